//! Any bytes as a twin at rest, as what changes in it, and as the arguments of a message to it: they are refused, or they
//! mean a state that is written one way and that replay reaches too.

#![no_main]

use std::cell::RefCell;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use twintalk_fuzz::{Dice, KERNEL, MESSAGES, PROGRAM, Parts, compiled};
use twintalk_vm::turn::{Action, Outcome, TurnInput, TwinChange};
use twintalk_vm::{Answer, FarAnswer, FarQuery, Fault, Limits, Shapes, Tree, Vm, World};

const PATH: &str = "tank-1";

thread_local! {
    static VM: RefCell<Vm> = RefCell::new({
        let program = compiled(PROGRAM).expect("the program has no errors");
        let mut vm = Vm::link(&[&KERNEL, &program]).unwrap_or_else(|error| panic!("{error}"));
        vm.adopt_shapes(Shapes::default());
        vm
    });

    /// The part of every twin.
    static PART: Vec<u8> = VM.with_borrow_mut(|vm| {
        let action = Action::Make { prototype: "Part", ensure: false };
        let outcome = vm.run_turn(&mut AtRest { twin: None, part: None, piece: &[] }, &input(action)).outcome;
        let Outcome::Done { mut effects, .. } = outcome else { panic!("{outcome:?}") };
        let Some(TwinChange::Image(whole)) = effects.twins.pop().map(|twin| twin.change) else { panic!("{effects:?}") };
        whole.bytes
    });
}

/// A turn of the twin.
fn input(action: Action<'_>) -> TurnInput<'_> {
    let limits = Limits { fuel: 100_000, memory_bytes: 4 << 20 };
    TurnInput { path: PATH, action, query: false, wants_reply: true, turn: 1, now_ns: 1, seed: 1, answers: &[], limits }
}

/// A twin and its part at rest.
struct AtRest<'a> {
    twin: Option<&'a [u8]>,
    part: Option<&'a [u8]>,
    /// What is said to be each piece of the twin.
    piece: &'a [u8],
}

impl World for AtRest<'_> {
    fn near_twin(&mut self, path: &str) -> Answer<Option<&[u8]>> {
        Answer::Here(if path == PATH { self.twin } else { self.part })
    }

    fn piece(&mut self, _path: &str, _number: u64) -> Answer<Option<&[u8]>> {
        Answer::Here(Some(self.piece).filter(|piece| !piece.is_empty()))
    }

    fn parts(&mut self, path: &str) -> Answer<Vec<String>> {
        Answer::Here(vec![format!("{path}/p")])
    }

    fn far_query(&mut self, _vm: &mut Vm, query: &FarQuery) -> Answer<FarAnswer> {
        let reply = Err(Fault { kind: "Unreachable".to_owned(), text: String::new(), trace: Vec::new() });
        Answer::Here(FarAnswer { composite: query.path.clone(), turn: 0, reply })
    }
}

fuzz_target!(
    init: {
        PART.with(|_| {});
    },
    |bytes: &[u8]| {
        let input = Parts::of(bytes);
        PART.with(|part| VM.with_borrow_mut(|vm| check(vm, part, input.parts.each_ref().map(Vec::as_slice))));
    }
);

fn check(vm: &mut Vm, part: &[u8], [image, delta, arguments]: [&[u8]; 3]) {
    // The bytes of the delta serve as pieces too.
    let pieces = |_: u64| Some(delta.to_vec());
    let count = look(vm, image, delta, arguments);
    // What a turn leaves is written as the VM writes, and from then on replay gives the same bytes.
    if let Some((_, left)) = turns(vm, image, [part, delta], count, arguments) {
        let image = left.image;
        let empty = vm.shapes().apply_delta(&image, &mut { pieces }, &[]);
        assert_eq!(empty.map(|left| left.image).as_ref(), Ok(&image), "an empty delta changes nothing");
        if let Some((delta, after)) = turns(vm, &image, [part, delta], count, arguments) {
            let replayed = vm.shapes().apply_delta(&image, &mut { pieces }, &delta);
            assert_eq!(replayed.as_ref(), Ok(&after), "replay gives what the turn left");
        }
    }
    let shapes = vm.shapes();
    let _ = shapes.settle(image, None);
    let _ = shapes.settle(image, Some((image, &mut { pieces })));
    let applied = |image: &[u8], delta: &[u8]| shapes.apply_delta(image, &mut { pieces }, delta).map(|left| left.image);
    let Ok(written) = applied(image, &[]) else { return };
    assert_eq!(applied(&written, &[]).as_ref(), Ok(&written), "an empty delta changes nothing");
    let Ok(changed) = applied(&written, delta) else { return };
    assert_eq!(applied(&changed, &[]).as_ref(), Ok(&changed), "what a delta leaves is written one way");
    look(vm, &changed, delta, arguments);
    turns(vm, &changed, [part, delta], count, arguments);
}

/// Reads everything as trees, and answers how many arguments there are.
fn look(vm: &Vm, image: &[u8], piece: &[u8], arguments: &[u8]) -> usize {
    let _ = Tree::from_image(image, &mut |_| Some(piece.to_vec()), vm.shapes());
    let _ = vm.answers_as_query(image, "shown");
    let _ = vm.timer_repeats(image, "check");
    if let Ok(tree) = Tree::from_message(arguments, vm.shapes()) {
        check_written(&[tree], vm.shapes());
    }
    let Ok(trees) = Tree::from_arguments(arguments, vm.shapes()) else { return 0 };
    let count = trees.len();
    check_written(&trees, vm.shapes());
    count
}

/// Trees that can be handed in are read as they were.
fn check_written(trees: &[Tree], shapes: &Shapes) {
    let Ok(written) = Tree::write_arguments(trees, shapes) else { return };
    let read = Tree::from_arguments(&written, shapes).expect("what was written is read");
    let again = Tree::write_arguments(&read, shapes).expect("what was read is written");
    assert_eq!(again, written, "a tree is written one way");
}

/// Runs every message that takes so many arguments; answers the last delta that one left, and the twin after it.
fn turns(
    vm: &mut Vm,
    image: &[u8],
    [part, piece]: [&[u8]; 2],
    count: usize,
    arguments: &[u8],
) -> Option<(Vec<u8>, twintalk_vm::AtRest)> {
    let mut left = None;
    for selector in MESSAGES.get(count).copied().unwrap_or_default() {
        let mut world = AtRest { twin: Some(image), part: Some(part), piece };
        let end = vm.run_turn(&mut world, &input(Action::Message { selector, arguments }));
        let Outcome::Done { reply, effects } = end.outcome else { continue };
        Tree::from_message(&reply, vm.shapes()).expect("what was written can be shown");
        for twin in effects.twins {
            if let (PATH, TwinChange::Delta { delta, at_rest }) = (twin.path.as_str(), twin.change) {
                left = Some((delta, at_rest));
            }
        }
    }
    left
}

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut dice = Dice::new(seed);
    let mut input = Parts::of(&data[..size]);
    let part = &mut input.parts[dice.below(3)];
    let length = part.len();
    let room = length.max(max_size.saturating_sub(size - length));
    part.resize(room, 0);
    let length = fuzzer_mutate(part, length, room);
    part.truncate(length);
    let bytes = input.bytes();
    let length = bytes.len().min(max_size);
    data[..length].copy_from_slice(&bytes[..length]);
    length
});
