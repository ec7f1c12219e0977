//! What clones are made from: read by the definitions of another day, and by nobody's.

use proptest::prelude::*;
use twintalk_vm::turn::{Action, CLONE, Effects, Outcome, TurnInput, TwinChange};
use twintalk_vm::{Answer, FarAnswer, FarQuery, Fault, Limits, Shapes, Tree, Vm, World};

use crate::program::{compiled, whole_kernel};

const BEFORE: &str = "
    object Point = ( | x <- 1. y <- 2. | )
    twin Pump = ( | rpm <- 50. tank | )
    twin Tank = (
      | litres <- 3000. list <- List new. point <- Point new. pump promise |
      created = ( pump := self part: 'pump' of: Pump. list add: pump; add: 'text' copy; add: #(1 $a); add: list )
      split = ( promise := (Tank at: 'else') ! litres. self cloneAs: 'b' )
      timer check every: 1 second = ( )
    )";

const AFTER: &str = "
    object Point = ( | y <- 2. z <- 3. | )
    twin Pump = ( | rpm <- 50. | version 2. migrate 1 = ( rpm := rpm + 1 ) )
    twin Tank = (
      | cubic <- 0. list <- List new. point pump fresh <- 7. |
      version 2. migrate 1 = ( cubic := (self oldSlot: #litres) / 1000 )
      timer other every: 2 seconds = ( )
    )";

fn linked(text: &str, shapes: Shapes) -> Vm {
    let mut vm = Vm::link(&[whole_kernel(), &compiled("clone.twin", text, &[whole_kernel()])]).expect("links");
    vm.adopt_shapes(shapes);
    vm
}

/// Twins at rest, by path.
#[derive(Default)]
struct AtRest(Vec<(String, Vec<u8>)>);

impl World for AtRest {
    fn near_twin(&mut self, path: &str) -> Answer<Option<&[u8]>> {
        Answer::Here(self.0.iter().find(|(twin, _)| twin == path).map(|(_, image)| &image[..]))
    }

    fn piece(&mut self, _path: &str, _number: u64) -> Answer<Option<&[u8]>> {
        Answer::Here(None)
    }

    fn parts(&mut self, path: &str) -> Answer<Vec<String>> {
        let below = format!("{path}/");
        Answer::Here(self.0.iter().map(|(twin, _)| twin.clone()).filter(|twin| twin.starts_with(&below)).collect())
    }

    fn far_query(&mut self, _vm: &mut Vm, query: &FarQuery) -> Answer<FarAnswer> {
        let reply = Err(Fault { kind: "Unreachable".to_owned(), text: String::new(), trace: Vec::new() });
        Answer::Here(FarAnswer { composite: query.path.clone(), turn: 0, reply })
    }
}

fn turn(vm: &mut Vm, world: &mut AtRest, path: &str, action: Action<'_>) -> Result<Effects, Fault> {
    let limits = Limits { fuel: 100_000, memory_bytes: 4 << 20 };
    let input =
        TurnInput { path, action, query: false, wants_reply: true, turn: 1, now_ns: 1, seed: 1, answers: &[], limits };
    match vm.run_turn(world, &input).outcome {
        Outcome::Done { effects, .. } => Ok(effects),
        Outcome::Failed(fault) => Err(fault),
        Outcome::Needs => panic!("everything is here"),
    }
}

/// The images of the twins that a turn made.
fn made(effects: Effects) -> Vec<(String, Vec<u8>)> {
    let image = |change| match change {
        TwinChange::Image(whole) => Some(whole.bytes),
        TwinChange::Carried(_) | TwinChange::Delta { .. } | TwinChange::Removed => None,
    };
    effects.twins.into_iter().filter_map(|twin| Some((twin.path.to_string(), image(twin.change)?))).collect()
}

/// What the clone of a tank is made from, and the program that wrote it.
fn written() -> (Vm, Vec<u8>) {
    let mut vm = linked(BEFORE, Shapes::default());
    let make = Action::Make { prototype: "Tank", ensure: false };
    let effects = turn(&mut vm, &mut AtRest::default(), "a", make).expect("it is made");
    let mut world = AtRest(made(effects));
    let split = Action::Message { selector: "split", arguments: &[0] };
    let mut effects = turn(&mut vm, &mut world, "a", split).expect("it clones");
    let send = effects.far_sends.pop().expect("the last far send");
    assert_eq!((send.path.as_str(), send.selector.as_str()), ("b", CLONE));
    (vm, send.arguments)
}

/// A slot of the twin at `path`.
fn slot(vm: &Vm, twins: &[(String, Vec<u8>)], path: &str, name: &str) -> Tree {
    let (_, image) = twins.iter().find(|(twin, _)| twin == path).expect("made");
    let Tree::Object { slots, .. } = Tree::from_image(image, &mut |_| None, vm.shapes()).expect("readable") else {
        panic!("no twin")
    };
    slots.into_iter().find(|(slot, _)| slot == name).expect("has the slot").1
}

#[test]
fn a_clone_written_by_earlier_definitions_is_carried_over() {
    let (before, arguments) = written();
    let mut vm = linked(AFTER, before.copy_shapes());
    let effects = turn(&mut vm, &mut AtRest::default(), "b", Action::Clone { arguments: &arguments }).expect("made");
    let timers: Vec<(&str, &str)> =
        effects.timers.iter().map(|timer| (timer.path.as_str(), timer.name.as_str())).collect();
    assert_eq!(timers, [("b", "other")]);
    let twins = made(effects);
    assert_eq!(twins.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["b", "b/pump"]);
    assert_eq!(slot(&vm, &twins, "b", "cubic"), Tree::integer(3));
    assert_eq!(slot(&vm, &twins, "b", "fresh"), Tree::integer(7));
    assert_eq!(slot(&vm, &twins, "b", "pump"), Tree::Reference("b/pump".to_owned(), "Pump".to_owned()));
    assert_eq!(slot(&vm, &twins, "b/pump", "rpm"), Tree::integer(51));
}

#[test]
fn a_promise_stays_behind() {
    let (mut vm, arguments) = written();
    let effects = turn(&mut vm, &mut AtRest::default(), "b", Action::Clone { arguments: &arguments }).expect("made");
    assert_eq!(slot(&vm, &made(effects), "b", "promise"), Tree::Nil);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_clone_is_made_from_the_turn_comes_to_an_end(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        thread_local! {
            static WRITTEN: std::cell::RefCell<(Vm, Vec<u8>)> = std::cell::RefCell::new(written());
        }
        WRITTEN.with_borrow_mut(|(vm, arguments)| {
            let mut bytes = arguments.clone();
            for (at, byte) in &changes {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok(effects) = turn(vm, &mut AtRest::default(), "b", Action::Clone { arguments: &bytes }) {
                for (_, image) in made(effects) {
                    Tree::from_image(&image, &mut |_| None, vm.shapes()).expect("what a turn left can be shown");
                }
            }
        });
    }
}

// A part that refuses writes was one of these.
#[test]
fn a_clone_with_any_byte_changed_comes_to_an_end() {
    let (mut vm, arguments) = written();
    for at in 0..arguments.len() {
        for byte in 0..=255 {
            let mut bytes = arguments.clone();
            bytes[at] = byte;
            if let Ok(effects) = turn(&mut vm, &mut AtRest::default(), "b", Action::Clone { arguments: &bytes }) {
                for (_, image) in made(effects) {
                    Tree::from_image(&image, &mut |_| None, vm.shapes()).expect("what a turn left can be shown");
                }
            }
        }
    }
}
