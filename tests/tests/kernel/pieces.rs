//! Pieces with objects in them whose bytes were changed: whatever they say then, a turn answers or faults, and the machine stands.

use twintalk_vm::turn::{Action, Outcome, TurnInput, TwinChange};
use twintalk_vm::{Answer, FarAnswer, FarQuery, Limits, Tree, Vm, World};

use super::{
    kernel, machine, program,
    twins::{Twin, Twins},
};

/// One twin at rest.
struct Alone(Twin);

impl World for Alone {
    fn near_twin(&mut self, path: &str) -> Answer<Option<&[u8]>> {
        Answer::Here((path == "t").then_some(&self.0.image[..]))
    }

    fn piece(&mut self, _path: &str, number: u64) -> Answer<Option<&[u8]>> {
        Answer::Here(self.0.pieces.get(&number).map(Vec::as_slice))
    }

    fn parts(&mut self, _path: &str) -> Answer<Vec<String>> {
        Answer::Here(Vec::new())
    }

    fn far_query(&mut self, _vm: &mut Vm, query: &FarQuery) -> Answer<FarAnswer> {
        Answer::Here(FarAnswer { composite: query.path.clone(), turn: 0, reply: Ok(vec![0]) })
    }
}

const TWINS: &str = "
    object One = ( | v <- 1. next <- nil. | v: x = ( v := x ) next: one = ( next := one ) )
    twin T = ( | all <- List new. latest <- nil. |
      fill = (
        1 to: 262 do: [ :i | all add: (One new v: i; yourself) ].
        (all at: 260) next: (all at: 260); v: 'text' copy.
        (all at: 261) next: {One new. 2.5. #name} )
      change = ( (all at: 260) v: 2. all add: (One new next: (all at: 261); yourself) )
      keep = ( latest := all at: 260. all removeLast )
      swap = ( | one | one := all at: 1. all at: 1 put: (all at: 260). all at: 260 put: one ) )";

const SELECTORS: [&str; 3] = ["change", "keep", "swap"];

fn end(vm: &mut Vm, world: &mut Alone, selector: &str) -> Outcome {
    let input = TurnInput {
        path: "t",
        action: Action::Message { selector, arguments: &[0] },
        query: false,
        wants_reply: true,
        turn: 9,
        now_ns: 0,
        seed: 0,
        answers: &[],
        limits: Limits { fuel: 10_000, memory_bytes: 1 << 20 },
    };
    vm.run_turn(world, &input).outcome
}

#[test]
fn a_changed_byte_of_a_piece_with_objects_makes_no_turn_panic() {
    let definitions = program(TWINS, &[kernel()]);
    let mut vm = machine(&[kernel(), &definitions]);
    let mut twins = Twins::default();
    twins.run(&mut vm, "t", Action::Make { prototype: "T", ensure: false }).expect("made");
    twins.run(&mut vm, "t", Action::Message { selector: "fill", arguments: &[0] }).expect("filled");
    let twin = &twins.at_rest["t"];
    assert_eq!(twin.pieces.len(), 3, "two leaves and what is above them");
    // The leaf with the fewer objects.
    let leaf = twin.pieces.iter().filter(|(_, bytes)| bytes.len() > 200).min_by_key(|(_, bytes)| bytes.len());
    let leaf = *leaf.expect("a leaf").0;
    let deltas: Vec<Vec<u8>> = SELECTORS
        .iter()
        .map(|selector| {
            let Outcome::Done { effects, .. } = end(&mut vm, &mut Alone(twin.clone()), selector) else {
                panic!("{selector} runs on what was not changed")
            };
            match effects.twins.into_iter().next().map(|twin| twin.change) {
                Some(TwinChange::Delta { delta, .. }) => delta,
                other => panic!("{selector} leaves {other:?}"),
            }
        })
        .collect();
    let (mut done, mut failed) = (0, 0);
    for (of_image, length) in [(true, twin.image.len()), (false, 140)] {
        for at in 0..length {
            for changed in [0, 1, 2, 3, 11, 12, 14, 16, 21, 24, 64, 127, 129, 131, 255] {
                let mut twin = twin.clone();
                match of_image {
                    true => twin.image[at] = changed,
                    false => twin.pieces.get_mut(&leaf).expect("looked for above")[at] = changed,
                }
                let mut pieces = |number| twin.pieces.get(&number).cloned();
                let _ = Tree::from_image(&twin.image, &mut pieces, vm.shapes());
                for delta in &deltas {
                    let _ = vm.shapes().apply_delta(&twin.image, &mut pieces, delta);
                }
                for selector in SELECTORS {
                    match end(&mut vm, &mut Alone(twin.clone()), selector) {
                        Outcome::Done { .. } => done += 1,
                        Outcome::Failed(_) => failed += 1,
                        Outcome::Needs => panic!("this world knows all at once"),
                    }
                }
            }
        }
    }
    assert!(done > 0 && failed > 0, "{done} ran, {failed} were refused");
}
