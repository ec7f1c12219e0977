//! Promises at rest whose bytes were changed: whatever they say then, a turn answers or faults, and the machine stands.

use twintalk_vm::turn::{Action, Outcome, TurnInput};
use twintalk_vm::{Answer, FarAnswer, FarQuery, Limits, PROMISE_PIECE, Vm, World};

use super::{kernel, machine, program, twins::Twins};

/// One twin at rest, and the one piece that it may have.
struct Alone(Vec<u8>, Option<Vec<u8>>);

impl World for Alone {
    fn near_twin(&mut self, path: &str) -> Answer<Option<&[u8]>> {
        Answer::Here((path == "w").then_some(&self.0[..]))
    }

    fn piece(&mut self, _path: &str, _number: u64) -> Answer<Option<&[u8]>> {
        Answer::Here(self.1.as_deref())
    }

    fn parts(&mut self, _path: &str) -> Answer<Vec<String>> {
        Answer::Here(Vec::new())
    }

    fn far_query(&mut self, _vm: &mut Vm, _query: &FarQuery) -> Answer<FarAnswer> {
        Answer::NotYet
    }
}

const TWINS: &str = "
    twin Watch = (
      | got promise |
      ask = (
        | n |
        n := 3.
        promise := (Watch at: 'x') ! got.
        promise then: [ :l | n := n + 1. got := [ :x | x + n ] value: l ] else: [ :e | got := e messageText ] )
      again = ( promise then: [ :l | got := l ] )
      apart = (
        | n list |
        n := 'three'. list := List new.
        ((Watch at: 'x') ! got) then: [ :l | list add: n; add: l. got := list ] else: [ :e | got := e messageText ] ) )";

#[test]
fn a_changed_byte_of_a_promise_makes_no_turn_panic() {
    let definitions = program(TWINS, &[kernel()]);
    let mut vm = machine(&[kernel(), &definitions]);
    let mut twins = Twins::default();
    twins.run(&mut vm, "w", Action::Make { prototype: "Watch", ensure: false }).expect("made");
    let ask = Action::Message { selector: "ask", arguments: &[0] };
    twins.run(&mut vm, "w", ask).expect("asked");
    let promise = 2 << 16;
    let asked = twins.at_rest["w"].image.clone();
    assert_eq!(vm.shapes().waits_for(&asked, promise), Ok(true));
    // The integer 4.
    let reply = Action::Reply { promise, answer: Ok(&[132]) };
    twins.run(&mut vm, "w", reply).expect("replied");
    twins.run(&mut vm, "w", Action::Message { selector: "again", arguments: &[0] }).expect("asked");
    let again = twins.at_rest["w"].image.clone();
    let fault = Action::Reply { promise, answer: Err(("Error", "leaking")) };
    let actions =
        [(&asked, reply), (&asked, fault), (&asked, ask), (&again, Action::Then { promise: 4 << 16 }), (&again, ask)];
    let mut done = 0;
    for (image, action) in actions {
        for at in 0..image.len() {
            for changed in [0, 1, 2, 11, 12, 18, 64, 127, 128, 131, 255, image[at] ^ 1, image[at].wrapping_add(1)] {
                let mut bytes = image.clone();
                bytes[at] = changed;
                let input = TurnInput {
                    path: "w",
                    action,
                    query: false,
                    wants_reply: true,
                    turn: 9,
                    now_ns: 0,
                    seed: 0,
                    answers: &[],
                    limits: Limits { fuel: 10_000, memory_bytes: 1 << 20 },
                };
                let _ = (
                    vm.shapes().waits_for(&bytes, promise),
                    twintalk_vm::Tree::from_image(&bytes, &mut |_| None, vm.shapes()),
                );
                let end = vm.run_turn(&mut Alone(bytes, None), &input);
                done += usize::from(matches!(end.outcome, Outcome::Done { .. }));
            }
        }
    }
    assert!(done > 0, "what was not changed still runs");
}

#[test]
fn a_changed_byte_of_a_promise_that_waits_apart_makes_no_turn_panic() {
    let definitions = program(TWINS, &[kernel()]);
    let mut vm = machine(&[kernel(), &definitions]);
    let mut twins = Twins::default();
    twins.run(&mut vm, "w", Action::Make { prototype: "Watch", ensure: false }).expect("made");
    twins.run(&mut vm, "w", Action::Message { selector: "apart", arguments: &[0] }).expect("asked");
    let promise = 2 << 16;
    let image = twins.at_rest["w"].image.clone();
    assert_eq!(vm.shapes().waits_for(&image, promise), Ok(false));
    let piece = twins.at_rest["w"].pieces[&(PROMISE_PIECE | promise)].clone();
    let replies = [Ok(&[132][..]), Err(("Error", "leaking"))];
    let (mut done, mut failed) = (0, 0);
    for (of_piece, length) in [(false, image.len()), (true, piece.len())] {
        for (at, answer) in (0..=length).flat_map(|at| replies.map(|answer| (at, answer))) {
            for changed in [0, 1, 2, 3, 11, 12, 18, 19, 20, 24, 64, 127, 128, 129, 131, 255] {
                let (mut image, mut piece) = (image.clone(), piece.clone());
                match (of_piece, at < length) {
                    (true, true) => piece[at] = changed,
                    (false, true) => image[at] = changed,
                    // It is longer than it was.
                    (true, false) => piece.push(changed),
                    (false, false) => image.push(changed),
                }
                let input = TurnInput {
                    path: "w",
                    action: Action::Reply { promise, answer },
                    query: false,
                    wants_reply: true,
                    turn: 9,
                    now_ns: 0,
                    seed: 0,
                    answers: &[],
                    limits: Limits { fuel: 10_000, memory_bytes: 1 << 20 },
                };
                let end = vm.run_turn(&mut Alone(image, Some(piece)), &input);
                done += usize::from(matches!(end.outcome, Outcome::Done { .. }));
                failed += usize::from(matches!(end.outcome, Outcome::Failed(_)));
            }
        }
    }
    assert!(done > 0 && failed > 0, "{done} ran, {failed} were refused");
}
