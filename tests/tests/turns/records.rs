//! What records say of turns: numbers, causes, answers, programs.

use std::collections::BTreeMap;

use twintalk_runtime::{Moment, Position};
use twintalk_store::Partition;
use twintalk_store::record::Outcome;

use crate::log::{Shown, each_record, histories, open, open_with, options, run};

/// Composites that send each other messages in a ring and to all, with failures, parts, timers, lives and queries.
const TWINS: &str = r"
twin Leaf = ( | seen <- 0. | saw = ( seen := seen + 1 ) )
twin Node = (
  | n <- 0. sum <- 0. |
  created = ( self part: 'leaf' of: Leaf )
  pass: k to: names = (
    n := n + 1.
    (self part: 'leaf') saw.
    k > 0 ifTrue: [ (Node at: (names at: k \\ names size + 1)) ! pass: k - 1 to: names ].
    k \\ 4 = 0 ifTrue: [ self error: 'every fourth' ] )
  add: name = ( sum := sum + (Node at: name) n )
  timer beat every: 1 second = ( (Node at: 'a') ! add: 'b' )
)
#('a' 'b' 'c') do: [ :each | Node new: each ].
(Node at: 'a') ! pass: 11 to: #('a' 'b' 'c').
(Node at: 'b') ! pass: 7 to: #('a' 'b' 'c').
Clock advance: 3 seconds.
(Node at: 'c') remove.
Node new: 'c'.
(Node at: 'c') add: 'a'.
";

// delivery: D1.3, D1.4, D6.12, D6.13
#[test]
fn the_turns_of_a_composite_are_numbered_without_gaps_through_failures_and_lives() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), TWINS);
    let mut turns = BTreeMap::<String, Vec<(u64, u64, bool)>>::new();
    each_record(folder.path(), |_, _, record| {
        let failed = matches!(record.outcome, Outcome::Failed(_));
        let of_composite = turns.entry(record.composite().to_owned()).or_default();
        of_composite.push((record.envelope.turn, record.envelope.life, failed));
    });
    for (composite, turns) in &turns {
        let numbers: Vec<u64> = turns.iter().map(|(turn, _, _)| *turn).collect();
        assert_eq!(numbers, (1..=turns.len() as u64).collect::<Vec<_>>(), "{composite}");
    }
    assert!(turns["a"].iter().any(|(_, _, failed)| *failed), "some turn failed");
    let lives: Vec<u64> = turns["c"].iter().map(|(_, life, _)| *life).collect();
    assert!(lives.is_sorted() && lives.first() == Some(&1) && lives.last() == Some(&2), "{lives:?}");
}

// delivery: D2.1, D2.8, D3.1
#[test]
fn each_far_send_of_a_record_has_one_record_behind_it_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), TWINS);
    let mut sent = Vec::<(Partition, Position, u64, String, String)>::new();
    let mut handled = Vec::new();
    each_record(folder.path(), |partition, position, record| {
        let composite = record.composite().to_owned();
        if let Some(origin) = record.cause.origin {
            let behind = origin.partition != partition || origin.position < position;
            assert!(behind, "the record at {position} stands before its cause at {}", origin.position);
            let receiver = record.receiver().path.to_owned();
            handled.push((origin.partition, origin.position, record.cause.number, composite.clone(), receiver));
        }
        if let Outcome::Committed(effects) = &record.outcome {
            sent.extend(
                effects.sends.iter().map(|send| {
                    (partition, position, send.number, composite_of(send.receiver), send.receiver.to_owned())
                }),
            );
        }
    });
    assert!(sent.len() >= 15, "{} far sends", sent.len());
    // By receiver the handled ones stand in the order in which they were sent.
    sent.sort_by(|left, right| left.3.cmp(&right.3));
    handled.sort_by(|left, right| left.3.cmp(&right.3));
    assert_eq!(sent, handled);
}

fn composite_of(path: &str) -> String {
    path.split('/').next().unwrap_or_default().to_owned()
}

// delivery: D4.8
#[test]
fn the_answers_of_other_composites_are_in_the_record_with_their_turns() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "twin T = ( | n <- 0. | bump = ( n := n + 1 ) )
        twin W = ( | sum <- 0. | look = ( sum := (T at: 't') n + (T at: 'u') n + (T at: 't') n ) near = ( sum := self sum ) )
        | t w | t := T new: 't'. T new: 'u'. w := W new: 'w'.
        w look. t bump. t bump. w look. w near.";
    run(folder.path(), text);
    let mut answers = Vec::new();
    each_record(folder.path(), |_, _, record| {
        let of_record = record.input.answers.iter().map(|answer| (answer.composite.to_owned(), answer.turn));
        answers.extend(of_record.map(|(composite, turn)| format!("{} {composite} {turn}", record.input.selector)));
    });
    assert_eq!(answers, ["look t 1", "look u 1", "look t 1", "look t 3", "look u 1", "look t 3"]);
}

// delivery: D8.14, D8.10
#[test]
fn a_program_leaves_the_same_records_whenever_it_runs() {
    let text = "twin T = ( | drawn <- List new. | draw = ( drawn add: (Random between: 1 and: 1000000). (T at: 'u') ! note: drawn last )
            note: x = ( drawn add: x ) timer beat every: 7 seconds = ( self draw ) )
        T new: 't'. T new: 'u'. (T at: 't') draw. Clock advance: 1 minute. (T at: 'u') drawn size printNl.";
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    for folder in &folders {
        assert_eq!(run(folder.path(), text).text, "25\n");
        run(folder.path(), TWINS);
    }
    let [first, second] = folders.map(|folder| histories(folder.path()));
    assert_eq!(first, second);
}

// delivery: D10.3
#[test]
fn each_record_names_the_program_it_ran_in_and_an_upgrade_is_a_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = |step: u64| {
        format!("twin T = ( | n <- 0. | up = ( n := n + {step} ) ) (T ensure: 't') up. (T at: 't') n printNl.")
    };
    for (step, sum) in [(1, "1\n"), (1, "2\n"), (10, "12\n"), (10, "22\n")] {
        assert_eq!(run(folder.path(), &text(step)).text, sum);
    }
    let mut programs = Vec::new();
    each_record(folder.path(), |_, _, record| {
        programs.push((record.receiver().path.to_owned(), *record.envelope.program));
    });
    let installed: Vec<_> = programs.iter().filter(|(path, _)| path == "-").map(|(_, program)| *program).collect();
    assert_eq!(installed.len(), 2, "a program that is there already is not installed again");
    let mut present = None;
    for (path, program) in programs {
        match path.as_str() {
            "-" => present = Some(program),
            _ => assert_eq!(Some(program), present, "a record of {path}"),
        }
    }
}

// delivery: D12.3, D12.4
#[test]
fn looking_leaves_no_record() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), TWINS);
    let before = histories(folder.path());
    let mut system = open(folder.path(), TWINS);
    let mut shown = Shown::default();
    assert_eq!(system.twins("").expect("readable").len(), 6);
    for path in ["a", "b", "c", "a/leaf"] {
        let history = system.history(path, None, None).expect("readable");
        assert!(system.state(path, Moment::Turn(history[0].turn)).expect("readable").is_some());
        assert!(system.state(path, Moment::Now).expect("readable").is_some());
    }
    assert_eq!(system.history("c", None, None).expect("readable").len(), before["c"].len());
    system.send("a", "n", &[], &mut shown).expect("a query");
    assert!(system.verify(&mut |_| {}).expect("readable").records > 0);
    assert_eq!(system.records(), 0);
    system.close(&mut shown).expect("the store takes it");
    assert_eq!(histories(folder.path()), before);
    // Read-only it cannot even be meant to.
    let mut system = open_with(twintalk_runtime::OpenOptions { read_only: true, ..options(folder.path()) });
    assert_eq!(system.twins("a").expect("readable").len(), 2);
}
