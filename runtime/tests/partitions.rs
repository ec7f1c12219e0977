//! A store of several partitions: wherever composites lie, and however many threads drive them, a program means the same.

mod common;

use std::time::Duration;

use common::{Seen, program};
use twintalk_runtime::{Datum, Discipline, Durability, FeedMessage, OpenOptions, Settings, System};

/// A ring of stations through which tokens go, each with a trail of far sends, a tower that asks them, and timers.
const RING: &str = "
    twin Station = (
      | next <- 0. passed <- 0. sum <- 0. |
      next: n = ( next := n )
      pass: token left: n = (
        passed := passed + 1.
        sum := sum + (token * passed).
        n > 0 ifTrue: [ (Station at: 's' , next printString) ! pass: token + 1 left: n - 1 ].
        n \\\\ 7 = 0 ifTrue: [ (Ledger at: 'ledger-' , (n \\\\ 3) printString) ! note: token from: self path ]
      )
      timer beat every: 10 seconds = ( sum := sum + 1 )
      query total = ( ^sum )
    )
    twin Ledger = (
      | lines <- List new. |
      note: token from: path = ( lines add: token )
      query size = ( ^lines size )
    )
    twin Tower = (
      | seen <- List new. |
      look: n = (
        | total |
        total := 0.
        0 to: n - 1 do: [ :i | total := total + (Station at: 's' , i printString) total ].
        seen add: total.
        ^total )
      query glance: n = ( | t | t := 0. 0 to: n - 1 do: [ :i | t := t + (Station at: 's' , i printString) total ]. ^t )
    )
    twin Watcher = ( | got | watch = ( got := (Tower at: 'tower') glance: 12. ^got ) )
    | tower |
    0 to: 11 do: [ :i | (Station new: 's' , i printString) next: i + 5 \\\\ 12 ].
    0 to: 2 do: [ :i | Ledger new: 'ledger-' , i printString ].
    tower := Tower new: 'tower'.
    1 to: 5 do: [ :k |
      (Station at: 's' , k printString) ! pass: k * 100 left: 40.
      Clock advance: 7 seconds.
      (tower look: 12) printNl ].
    (tower glance: 12) printNl.
    (Watcher new: 'watcher') watch printNl.
    (0 to: 2) do: [ :i | (Ledger at: 'ledger-' , i printString) size printNl ].";

fn open(text: &str, partitions: u16, threads: usize, discipline: Discipline) -> System {
    let options = OpenOptions {
        program: Some(program(text)),
        partitions: Some(partitions),
        threads: Some(threads),
        discipline,
        ..OpenOptions::default()
    };
    System::open(options).unwrap_or_else(|error| panic!("{error}"))
}

/// What a run printed, and the whole history of each twin.
fn run(system: &mut System) -> (String, Vec<String>) {
    let mut seen = Seen::default();
    if let Err(error) = system.run_program(Vec::new(), None, &mut seen) {
        seen.text.push_str(&format!("!! {error}\n"));
    }
    let report = system.verify(&mut |_| {}).expect("the store is in memory");
    assert_eq!(report.differences, Vec::<String>::new());
    (seen.text, histories(system))
}

fn histories(system: &mut System) -> Vec<String> {
    let twins = system.twins("").expect("readable");
    let mut lines = Vec::new();
    for twin in twins {
        for entry in system.history(&twin.path, None, None).expect("readable") {
            let (turn, time_ns, sender, selector) = (entry.turn, entry.time_ns, &entry.sender, &entry.selector);
            let line =
                (turn, time_ns, sender, selector, &entry.arguments, &entry.far_sends, &entry.fault, entry.change);
            lines.push(format!("{}: {line:?}", twin.path));
        }
        lines.push(format!(
            "{:?}",
            system.state(&twin.path, twintalk_runtime::Moment::Now).expect("readable").map(|s| s.slots)
        ));
    }
    lines
}

// delivery: D2.13
#[test]
fn the_same_program_gives_each_composite_the_same_history_however_it_is_placed_and_driven() {
    let wanted = run(&mut open(RING, 1, 1, Discipline::Normal));
    assert!(wanted.0.lines().count() == 10 && wanted.1.len() > 300, "{}", wanted.0);
    for (partitions, threads) in [(2, 1), (2, 2), (8, 1), (8, 2), (64, 3)] {
        let found = run(&mut open(RING, partitions, threads, Discipline::Normal));
        assert_eq!(found.0, wanted.0, "{partitions} partitions, {threads} threads");
        for (found, wanted) in found.1.iter().zip(&wanted.1) {
            assert_eq!(found, wanted, "{partitions} partitions, {threads} threads");
        }
        assert_eq!(found.1.len(), wanted.1.len());
    }
    for discipline in [Discipline::Replay, Discipline::Reload] {
        assert_eq!(run(&mut open(RING, 8, 1, discipline)), wanted, "{discipline:?}");
    }
}

// delivery: D4.5
#[test]
fn a_turn_that_waits_for_an_answer_runs_again_with_the_same_time_and_chance() {
    let text = "
        twin Tank = ( | level <- 5. | query level: n = ( ^level * n ) )
        twin Boss = (
          | log <- List new. |
          ask = (
            | first |
            first := Random next.
            log add: first. log add: Clock now asNanoseconds.
            1 to: 6 do: [ :i | log add: ((Tank at: 't' , i printString) level: i) ].
            log add: (Random next = first) ) )
        1 to: 6 do: [ :i | Tank new: 't' , i printString ].
        (Boss new: 'b') ask.
        (Boss at: 'b') log size printNl.";
    let wanted = run(&mut open(text, 1, 1, Discipline::Normal));
    assert_eq!(wanted.0, "9\n");
    assert_eq!(run(&mut open(text, 16, 1, Discipline::Normal)), wanted);
    assert_eq!(run(&mut open(text, 16, 2, Discipline::Normal)), wanted);
}

// delivery: D4.9, D4.13
#[test]
fn queries_that_ask_in_a_circle_end() {
    let text = "
        twin Node = (
          | next value <- 1. |
          next: n = ( next := n )
          query sum: n = ( ^n = 0 ifTrue: [ value ] ifFalse: [ value + ((Node at: next) sum: n - 1) ] )
          look = ( value := 10. ^self sum: 7 ) )
        | names |
        names := #('a' 'b' 'c').
        names do: [ :each | Node new: each ].
        (Node at: 'a') next: 'b'. (Node at: 'b') next: 'c'. (Node at: 'c') next: 'a'.
        (Node at: 'a') look printNl.
        [ ((Node at: 'a') sum: 100) printNl ] on: Unreachable do: [ :e | 'too deep' displayNl ].";
    // The asker's own turn is not committed yet when the circle comes back to it: 10, then seven times 1.
    for (partitions, threads) in [(1, 1), (3, 1), (8, 1), (8, 2)] {
        let found = run(&mut open(text, partitions, threads, Discipline::Normal)).0;
        assert_eq!(found, "17\ntoo deep\n", "{partitions} partitions, {threads} threads");
    }
}

// delivery: D4.4, D4.13
#[test]
fn an_answer_that_does_not_come_is_unreachable_and_others_go_on() {
    let text = "
        twin Tank = ( | level <- 5. | )
        twin Boss = (
          | got <- 0. notes <- List new. |
          ask: path = ( got := [ (Tank at: path) level ] on: Unreachable do: [ :e | -1 ] )
          note: n = ( notes add: n ) )
        1 to: 8 do: [ :i | Tank new: 't' , i printString. Boss new: 'b' , i printString ].";
    let options = OpenOptions {
        program: Some(program(text)),
        partitions: Some(4),
        query_limit: Some(Duration::from_millis(1)),
        ..OpenOptions::default()
    };
    let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
    let mut seen = Seen::default();
    system.run_program(Vec::new(), None, &mut seen).expect("runs");
    (0..4).for_each(|partition| system.cut_off(partition, true));
    let mut answers = Vec::new();
    for i in 1..=8 {
        let path = format!("t{}", 9 - i);
        answers.push(system.send(&format!("b{i}"), "ask:", &[Datum::String(path)], &mut seen).expect("handled"));
    }
    assert!(answers.iter().all(|answer| matches!(answer, Datum::Reference { .. } | Datum::Int(_))), "{answers:?}");
    let got: Vec<Datum> =
        (1..=8).map(|i| system.send(&format!("b{i}"), "got", &[], &mut seen).expect("handled")).collect();
    assert!(got.contains(&Datum::Int((-1).into())), "{got:?}");
    (0..4).for_each(|partition| system.cut_off(partition, false));
    system.send("b1", "ask:", &[Datum::String("t8".to_owned())], &mut seen).expect("handled");
    assert_eq!(system.send("b1", "got", &[], &mut seen).expect("handled"), Datum::Int(5.into()));
    assert_eq!(system.verify(&mut |_| {}).expect("readable").differences, Vec::<String>::new());
}

const COUNTERS: &str = "
    twin Count = ( | n <- 0. seen <- List new. | up: k = ( n := n + 1. seen add: k ) )
    twin Sender = ( | sent <- 0. | send: k = ( sent := sent + 1. 0 to: 3 do: [ :i | (Count ensure: 'c' , i printString) ! up: k ] ) )";

// delivery: D3.5, D3.6
#[test]
fn a_feed_to_many_partitions_is_taken_once_wherever_the_process_ends() {
    for mode in [Durability::Async, Durability::Sync] {
        for threads in [1, 2] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut next = 1;
            let mut acknowledged = 0;
            for round in 0..6 {
                let options = OpenOptions {
                    folder: Some(folder.path().to_owned()),
                    durability: Some(mode),
                    partitions: Some(4),
                    threads: Some(threads),
                    program: Some(program(COUNTERS)),
                    ..OpenOptions::default()
                };
                let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
                let mut seen = Seen::default();
                assert!(system.taken("feed").expect("readable") >= acknowledged);
                // Some rows come again.
                next = (next - 20_i64).max(1);
                for number in next..next + 60 {
                    let path = format!("s{}", number % 5);
                    let message = FeedMessage {
                        number: number as u64,
                        path: &path,
                        selector: "send:",
                        arguments: &[Datum::Int(number.into())],
                        device_time_ns: None,
                        make: Some("Sender"),
                    };
                    system.feed("feed", &message, &mut seen).expect("taken");
                    if number % 25 == 0 {
                        system.commit(&mut seen).expect("durable");
                        acknowledged = number as u64;
                    }
                }
                next += 60;
                if round % 2 == 0 {
                    system.commit(&mut seen).expect("durable");
                    acknowledged = next as u64 - 1;
                }
                assert_eq!(seen.text, "");
                // Otherwise it ends as a killed one does, with what is not committed.
            }
            let options = OpenOptions {
                folder: Some(folder.path().to_owned()),
                threads: Some(threads),
                ..OpenOptions::default()
            };
            let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
            let mut seen = Seen::default();
            system.settle(&mut seen).expect("settled");
            let Settings { partitions, .. } = system.settings();
            assert_eq!(*partitions, 4);
            let taken = system.taken("feed").expect("readable");
            assert!(taken >= acknowledged);
            let kept: i64 = (0..5)
                .map(|i| match system.send(&format!("s{i}"), "sent", &[], &mut seen) {
                    Ok(Datum::Int(sent)) => i64::try_from(&sent).expect("small"),
                    other => panic!("{other:?}"),
                })
                .sum();
            assert!(kept >= taken as i64);
            for i in 0..4 {
                let Ok(Datum::Array(all)) = system.send(&format!("c{i}"), "seen", &[], &mut seen) else { panic!() };
                let mut numbers: Vec<String> = all.iter().map(|one| format!("{one:?}")).collect();
                assert_eq!(numbers.len() as i64, kept, "c{i}, {mode}, {threads} threads");
                numbers.sort_unstable();
                numbers.dedup();
                assert_eq!(numbers.len() as i64, kept, "nothing twice");
            }
            assert_eq!(system.verify(&mut |_| {}).expect("readable").differences, Vec::<String>::new());
        }
    }
}

// delivery: D2.12
#[test]
fn rows_that_pass_a_composite_which_waits_for_an_answer_do_not_hide_those_it_has_still_to_take() {
    let text = "
        twin Tank = ( | level <- 5. | )
        twin Boss = ( | taken <- List new. | take: k = ( (Tank at: 't' , (k \\\\ 7) printString) level. taken add: k ) )
        0 to: 6 do: [ :i | Tank new: 't' , i printString ].";
    for threads in [1, 2] {
        let mut system = open(text, 4, threads, Discipline::Normal);
        let mut seen = Seen::default();
        system.run_program(Vec::new(), None, &mut seen).expect("runs");
        for number in 1..=60_i64 {
            let path = format!("b{}", number * number % 5);
            let message = FeedMessage {
                number: number as u64,
                path: &path,
                selector: "take:",
                arguments: &[Datum::Int(number.into())],
                device_time_ns: None,
                make: Some("Boss"),
            };
            system.feed("feed", &message, &mut seen).expect("taken");
        }
        system.commit(&mut seen).expect("durable");
        for boss in [0, 1, 4] {
            let wanted =
                (1..=60_i64).filter(|number| number * number % 5 == boss).map(|number| Datum::Int(number.into()));
            let found = system.send(&format!("b{boss}"), "taken", &[], &mut seen).expect("handled");
            assert_eq!(found, Datum::Array(wanted.collect()), "b{boss}, {threads} threads");
        }
        assert_eq!(seen.text, "");
        assert_eq!(system.verify(&mut |_| {}).expect("readable").differences, Vec::<String>::new());
    }
}
