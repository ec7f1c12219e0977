//! Queries of many twins, wherever these lie: one answer for all, and few runs for it.

mod common;

use common::{Seen, program};
use twintalk_runtime::{Datum, Discipline, OpenOptions, SendError, System};

const FLEET: &str = "
    twin Tank = (
      | level <- 0. next <- nil. |
      level: n = ( level := n )
      next: path = ( next := Tank at: path )
      query share: n = ( ^n / level )
    )
    twin Boss = (
      | limit <- 90. seen <- List new. |
      above = ( seen add: (Tank where: [ :t | t level \\\\ 100 > limit ]) size. ^seen last )
      figures = (
        seen add: {Tank sum: [ :t | t level ]. Tank max: [ :t | t level ]. (Tank average: [ :t | t level ]) * 2.
          Tank count: [ :t | t level even ]. (Tank detect: [ :t | t level > 700 ]) path.
          (Tank collect: [ :t | t level * 2 ]) sum. (Tank where: #level is: [ :l | l < 5 ]) size}.
        ^seen last )
      next = ( ^(Tank collect: [ :t | t next level - t level ]) sum )
      shares = ( ^Tank collect: [ :t | t share: 120 ] )
      byOne = ( ^(Tank all collect: [ :t | t level ]) sum )
    )";

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

/// A boss, and `count` tanks in a ring, of which the nth has the level n.
fn fleet(count: usize, partitions: u16, threads: usize, discipline: Discipline) -> System {
    let text = format!(
        "{FLEET}
         Boss new: 'boss'.
         1 to: {count} do: [ :n |
           (Tank new: 't' , n printString) ! level: n.
           (Tank at: 't' , n printString) ! next: 't' , (n \\\\ {count} + 1) printString ]."
    );
    let mut system = open(&text, partitions, threads, discipline);
    system.run_program(Vec::new(), None, &mut Seen::default()).unwrap_or_else(|error| panic!("{error}"));
    system
}

fn ask(system: &mut System, selector: &str) -> String {
    match system.send("boss", selector, &[], &mut Seen::default()) {
        Ok(answer) => answer.to_string(),
        Err(SendError::Fault(fault)) => format!("{}: {}", fault.kind, fault.text),
        Err(error) => panic!("{error}"),
    }
}

fn assert_verified(system: &mut System) {
    assert_eq!(system.verify(&mut |_| {}).expect("readable").differences, Vec::<String>::new());
}

// delivery: D4.22, D4.24
#[test]
fn a_turn_that_asks_thousands_with_a_block_runs_twice_on_any_number_of_partitions() {
    for (count, partitions, threads) in [(2000, 1, 1), (2000, 2, 1), (2000, 4, 1), (20_000, 4, 2)] {
        let sum = count * (count + 1) / 2;
        let what = format!("{partitions} partitions, {threads} threads");
        let mut system = fleet(count, partitions, threads, Discipline::Normal);
        let before = system.begun_again();
        assert_eq!(ask(&mut system, "above"), (count / 100 * 9).to_string(), "{what}");
        assert_eq!(system.begun_again() - before, u64::from(partitions > 1), "{what}");
        let wanted = format!("#({sum} {count} {} {} 't1000' {} 4)", count + 1, count / 2, 2 * sum);
        assert_eq!(ask(&mut system, "figures"), wanted, "{what}");
        assert_eq!(system.begun_again() - before, if partitions > 1 { 8 } else { 0 }, "{what}");
        assert_verified(&mut system);
    }
}

// delivery: D4.25
#[test]
fn twins_that_ask_further_ones_when_all_are_asked_have_their_answers_together() {
    for (partitions, threads) in [(1, 1), (4, 1), (4, 2)] {
        let mut system = fleet(1000, partitions, threads, Discipline::Normal);
        let before = system.begun_again();
        assert_eq!(ask(&mut system, "next"), "0", "{partitions} partitions, {threads} threads");
        // The turn when the others have answered, and again when its own twins have their answers; each other partition once.
        assert_eq!(system.begun_again() - before, if partitions > 1 { 2 + 3 } else { 0 });
        assert_verified(&mut system);
    }
}

// delivery: D4.26
#[test]
fn a_turn_that_asks_thousands_one_by_one_runs_out_of_fuel() {
    let mut system = fleet(6000, 4, 1, Discipline::Normal);
    let before = system.begun_again();
    let fault = ask(&mut system, "byOne");
    assert!(fault.starts_with("Unreachable: far queries have used up the fuel"), "{fault}");
    let runs = system.begun_again() - before;
    assert!((100..6000).contains(&runs), "it has run {runs} times");
    assert_verified(&mut system);
    let mut few = fleet(60, 4, 1, Discipline::Normal);
    assert_eq!(ask(&mut few, "byOne"), "1830");
}

// delivery: D4.23
#[test]
fn a_fault_where_all_are_asked_names_the_twin_the_message_and_the_line() {
    let mut faults = Vec::new();
    for partitions in [1, 2, 4] {
        let mut system = fleet(50, partitions, 1, Discipline::Normal);
        for path in ["t7", "t33", "t8"] {
            system.send(path, "level:", &[Datum::Int(0.into())], &mut Seen::default()).expect("handled");
        }
        faults.push(ask(&mut system, "shares"));
        assert_verified(&mut system);
    }
    let line = FLEET.lines().position(|line| line.contains("share: n")).expect("it is there") + 1;
    // Sorted by path, the first of them is t33.
    let wanted = format!("ZeroDivide: t33: division of 120 by zero (`Tank>>share: 120` at ");
    assert!(faults[0].starts_with(&wanted) && faults[0].contains(&format!(":{line}:")), "{faults:?}");
    assert!(faults.iter().all(|fault| *fault == faults[0]), "{faults:?}");
}

#[test]
fn what_many_answer_is_the_same_when_every_turn_is_replayed_or_its_twins_are_read_again() {
    for discipline in [Discipline::Replay, Discipline::Reload] {
        let mut system = fleet(60, 3, 1, discipline);
        assert_eq!(ask(&mut system, "next"), "0", "{discipline:?}");
        assert_eq!(ask(&mut system, "above"), "0", "{discipline:?}");
        assert_verified(&mut system);
    }
}
