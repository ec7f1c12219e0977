//! The past of made-up histories, against what was seen as they were made.

mod common;

use std::collections::BTreeMap;

use common::{Seen, program};
use proptest::prelude::*;
use twintalk_runtime::{Datum, Durability, LookError, Moment, OpenOptions, System};

const TEXT: &str = "
    twin Part = ( | n <- 0. | put: k = ( n := k ) )
    twin T = ( | n <- 0. list <- List new. map <- Dictionary new. |
      set: k = ( n := k )
      add: k = ( list add: k )
      take = ( list removeFirst )
      at: k = ( map at: k put: n )
      many: k = ( 1 to: k * 40 do: [ :i | list add: i ] )
      nothing = ( ^self )
      part: k = ( (self parts isEmpty) ifTrue: [ self part: 'p' of: Part ]. (self part: 'p') put: k )
      drop = ( (self part: 'p') remove )
      tell: k = ( (T at: 'b') ! add: k )
      undo: k = ( n := k. self error: 'no' ) )";

/// Slots by twin.
type Slots = BTreeMap<String, Vec<(String, Datum)>>;

fn open(folder: &std::path::Path, text: &str) -> System {
    System::open(OpenOptions {
        folder: Some(folder.to_owned()),
        durability: Some(Durability::Async),
        partitions: Some(3),
        program: Some(program(text)),
        ..OpenOptions::default()
    })
    .unwrap_or_else(|error| panic!("{error}"))
}

/// What the twins of composite `a` are now.
fn now(system: &mut System) -> Slots {
    let mut seen = Slots::new();
    for path in ["a", "a/p"] {
        if let Some(state) = system.state(path, Moment::Now).expect("nothing is damaged") {
            seen.insert(path.to_owned(), state.slots);
        }
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    // delivery: D12.2, D12.11, D12.12
    #[test]
    fn the_past_is_what_was_seen_when_it_was_the_present(
        messages in prop::collection::vec((0..10_usize, 0..4_i64, prop::bool::weighted(0.1)), 1..24),
    ) {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let mut system = open(folder.path(), &format!("{TEXT} T new: 'a'. T new: 'b'."));
        let mut output = Seen::default();
        system.run_program(Vec::new(), None, &mut output).expect("it runs");
        // By the number of the turn.
        let mut seen = vec![Slots::new(), now(&mut system)];
        for (nth, number, again) in messages {
            let selector = ["set:", "add:", "take", "at:", "many:", "nothing", "part:", "drop", "tell:", "undo:"][nth];
            let arguments: &[Datum] = if selector.ends_with(':') { &[number.into()] } else { &[] };
            // Whether or not it fails: it is a turn.
            let _ = system.send("a", selector, arguments, &mut output);
            seen.push(now(&mut system));
            if again {
                system.close(&mut output).expect("it closes");
                system = open(folder.path(), &format!("{TEXT} T new: 'a'. T new: 'b'."));
            }
        }
        for (turn, wanted) in seen.iter().enumerate().skip(1) {
            let moment = Moment::Turn(turn as u64);
            for path in ["a", "a/p"] {
                let state = system.state(path, moment).expect("nothing is damaged");
                let wanted = wanted.get(path);
                prop_assert_eq!(state.as_ref().map(|state| &state.slots), wanted);
                // Before the next record of the composite is the same moment.
                if let Some(state) = system.state(path, Moment::Turn(turn as u64 + 1)).expect("nothing is damaged") {
                    let before = system.state(path, Moment::Before(state.position)).expect("nothing is damaged");
                    if state.turn == turn as u64 + 1 {
                        prop_assert_eq!(before.as_ref().map(|before| &before.slots), wanted);
                    }
                }
                for (slot, value) in wanted.into_iter().flatten() {
                    let reason = system.why(path, Some(slot), moment);
                    let reason = reason.map_err(|error| TestCaseError::fail(error.to_string()))?;
                    prop_assert_eq!(&reason.value, value);
                    // The last turn after which it was something else than before, in this life.
                    let at = |turn: usize| {
                        let slots = seen[turn].get(path)?;
                        slots.iter().find(|(name, _)| name == slot).map(|(_, value)| value)
                    };
                    let set = (1..=turn).rev().find(|&turn| at(turn) != at(turn - 1)).unwrap_or(0);
                    prop_assert_eq!(reason.links[0].entry.turn, set as u64);
                    prop_assert_eq!(reason.links.len(), 1, "all messages came from outside");
                }
            }
            let differences = system.differences("a", None, moment);
            let differences = differences.map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(differences.len(), wanted.len());
        }
        let last = seen.len() as u64 - 1;
        prop_assert!(matches!(system.check_moment("a", Moment::Turn(last + 1)), Err(LookError::Question(_))));
        // What `a` told `b` leads back to `a`, and outside.
        if let Ok(reason) = system.why("b", Some("list"), Moment::Now)
            && reason.links[0].entry.turn > 1
        {
            prop_assert_eq!(reason.links.len(), 2);
            prop_assert_eq!(&*reason.links[1].entry.receiver, "a");
        }
    }
}

// delivery: D12.12
#[test]
fn of_a_long_history_the_newest_change_is_found() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let mut system = open(
        folder.path(),
        "twin T = ( | n <- 0. m <- 0. | a = ( n := n + 1 ) b = ( m := m + 1 ) )
         | t | t := T new: 'a'. 900 timesRepeat: [ t a ]. t b. 900 timesRepeat: [ t a ].",
    );
    system.run_program(Vec::new(), None, &mut Seen::default()).expect("it runs");
    for (slot, moment, turn) in [
        ("m", Moment::Now, 902),
        ("m", Moment::Turn(901), 1),
        ("m", Moment::Turn(902), 902),
        ("n", Moment::Now, 1802),
        ("n", Moment::Turn(902), 901),
        ("n", Moment::Turn(2), 2),
        ("n", Moment::Turn(1), 1),
    ] {
        let reason = system.why("a", Some(slot), moment).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(reason.links[0].entry.turn, turn, "{slot} {moment:?}");
    }
}

// delivery: D12.12
#[test]
fn a_chain_that_is_too_long_to_tell_says_that_it_goes_on() {
    let text = "twin T = ( | n <- 0. | again: last = ( n := n + 1. n < last ifTrue: [ (T at: 'a') ! again: last ] ) )
         (T new: 'a') again: 100001.";
    let mut system =
        System::open(OpenOptions { program: Some(program(text)), ..OpenOptions::default() }).expect("it opens");
    system.run_program(Vec::new(), None, &mut Seen::default()).expect("it runs");
    for (turn, links, goes_on) in [(100_001, 100_000, false), (100_002, 100_000, true)] {
        let reason = system.why("a", Some("n"), Moment::Turn(turn)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((reason.links.len(), reason.goes_on), (links, goes_on), "{turn}");
    }
}
