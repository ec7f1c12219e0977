//! Queries of many twins, wherever these lie: one answer for all, and few runs for it.

mod common;

use std::cell::RefCell;
use std::sync::Arc;

use common::counting::Counting;
use common::{Seen, program};
use proptest::collection;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_runtime::{ClockKind, Datum, Discipline, FaultReport, OpenOptions, Output, SendError, System};
use twintalk_store::{Key, KeyRange, Partition, Position, Rows, Table, Tables};
use twintalk_vm::Limits;

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

fn open(text: &str, options: OpenOptions) -> System {
    System::open(OpenOptions { program: Some(program(text)), ..options }).unwrap_or_else(|error| panic!("{error}"))
}

fn on(partitions: u16, threads: usize) -> OpenOptions {
    OpenOptions { partitions: Some(partitions), threads: Some(threads), ..OpenOptions::default() }
}

/// A boss, and `count` tanks in a ring, of which the nth has the level n.
fn fleet(count: usize, options: OpenOptions) -> System {
    let text = format!(
        "{FLEET}
         Boss new: 'boss'.
         1 to: {count} do: [ :n |
           (Tank new: 't' , n printString) ! level: n.
           (Tank at: 't' , n printString) ! next: 't' , (n \\\\ {count} + 1) printString ]."
    );
    let mut system = open(&text, options);
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
        let mut system = fleet(count, on(partitions, threads));
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
        let mut system = fleet(1000, on(partitions, threads));
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
    let limits = Limits { fuel: 1_000_000, ..Limits::default() };
    let mut system = fleet(1000, OpenOptions { limits, ..on(4, 1) });
    let before = system.begun_again();
    let fault = ask(&mut system, "byOne");
    assert!(fault.starts_with("Unreachable: far queries have used up the fuel"), "{fault}");
    let runs = system.begun_again() - before;
    assert!((50..500).contains(&runs), "it has run {runs} times");
    assert_verified(&mut system);
    let mut few = fleet(60, on(4, 1));
    assert_eq!(ask(&mut few, "byOne"), "1830");
}

// delivery: D4.23
#[test]
fn a_fault_where_all_are_asked_names_the_twin_the_message_and_the_line() {
    let mut faults = Vec::new();
    for partitions in [1, 2, 4] {
        let mut system = fleet(50, on(partitions, 1));
        for path in ["t7", "t33", "t8"] {
            system.send(path, "level:", &[Datum::Int(0.into())], &mut Seen::default()).expect("handled");
        }
        faults.push(ask(&mut system, "shares"));
        assert_verified(&mut system);
    }
    let line = FLEET.lines().position(|line| line.contains("share: n")).expect("it is there") + 1;
    // Sorted by path, the first of them is t33.
    let wanted = "ZeroDivide: t33: division of 120 by zero (`Tank>>share: 120` at ";
    assert!(faults[0].starts_with(wanted) && faults[0].contains(&format!(":{line}:")), "{faults:?}");
    assert!(faults.iter().all(|fault| *fault == faults[0]), "{faults:?}");
}

#[test]
fn what_many_answer_is_the_same_when_every_turn_is_replayed_or_its_twins_are_read_again() {
    for discipline in [Discipline::Replay, Discipline::Reload] {
        let mut system = fleet(60, OpenOptions { discipline, ..on(3, 1) });
        assert_eq!(ask(&mut system, "next"), "0", "{discipline:?}");
        assert_eq!(ask(&mut system, "above"), "0", "{discipline:?}");
        assert_verified(&mut system);
    }
}

/// Pumps, some of them boosters, among tens of thousands of readings; and a desk that asks for them.
const PUMPS: &str = "
    twin Reading = ( | value <- 0. | )
    twin Pump = ( | rpm <- 0. | rpm: n = ( rpm := n ) query isFast = ( ^rpm > 50 ) )
    twin Booster = Pump ( query isFast = ( ^rpm > 10 ) )
    twin Desk = (
      query fast = ( ^(Pump where: [ :p | p isFast ]) collect: [ :p | p path ] )
      query pumps = ( ^Pump all size )
      make = ( | before | before := Pump all size. self part: 'pump' of: Pump. ^before )
      replace = ( (self part: 'pump') remove. self part: 'pump' of: Booster )
    )";

fn pumps(store: &Arc<Counting>) -> System {
    let options = OpenOptions { program: Some(program(PUMPS)), ..OpenOptions::default() };
    System::with_store(store.clone(), ClockKind::Driven, options).unwrap_or_else(|error| panic!("{error}"))
}

fn make(system: &mut System, prototype: &str, path: &str, number: u64) {
    let message = twintalk_runtime::FeedMessage {
        number,
        path,
        selector: "path",
        arguments: &[],
        device_time_ns: None,
        make: Some(prototype),
    };
    system.feed("maker", &message, &mut Seen::default()).expect("made");
}

fn ask_desk(system: &mut System, selector: &str) -> String {
    system.send("desk", selector, &[], &mut Seen::default()).expect("answered").to_string()
}

#[test]
fn a_few_twins_among_many_of_other_prototypes_are_found_by_a_few_rows() {
    let store = Arc::new(Counting::new(1));
    let mut system = pumps(&store);
    make(&mut system, "Desk", "desk", 1);
    for n in 0..20_000 {
        make(&mut system, "Reading", &format!("reading-{n}"), n + 2);
    }
    for n in 0..10 {
        let prototype = if n < 7 { "Pump" } else { "Booster" };
        make(&mut system, prototype, &format!("pump-{n}"), 30_000 + n);
        system
            .send(&format!("pump-{n}"), "rpm:", &[Datum::Int((n * 9).into())], &mut Seen::default())
            .expect("handled");
    }
    system.passivate().expect("written");
    store.take_rows();
    let wanted = "#('pump-6' 'pump-7' 'pump-8' 'pump-9')";
    assert_eq!(ask_desk(&mut system, "fast"), wanted);
    let rows = store.take_rows();
    assert!((20..=40).contains(&rows), "{rows} rows were read to ask 10 twins of 20,011");
    assert_eq!(ask_desk(&mut system, "pumps"), "10");
    assert!(store.take_rows() <= 20);

    // What a turn of another message has made and removed since the last commit counts, in memory or not.
    assert_eq!(ask_desk(&mut system, "make"), "10");
    assert_eq!(ask_desk(&mut system, "pumps"), "11");
    system.send("pump-3", "remove", &[], &mut Seen::default()).expect("handled");
    assert_eq!(ask_desk(&mut system, "replace"), "desk");
    assert_eq!(ask_desk(&mut system, "pumps"), "10");
    system.passivate().expect("written");
    assert_eq!(ask_desk(&mut system, "pumps"), "10");
    assert_verified(&mut system);
}

#[test]
fn a_store_without_the_rows_of_prototypes_gets_them_when_it_is_opened() {
    let store = Arc::new(Counting::new(1));
    let mut system = pumps(&store);
    make(&mut system, "Desk", "desk", 1);
    make(&mut system, "Booster", "pump-1", 2);
    make(&mut system, "Pump", "pump-2", 3);
    system.close(&mut Seen::default()).expect("closed");
    let everything = KeyRange::partition(Partition(0));
    let rows = |table| -> Vec<Key> {
        store.scan(table, &everything).expect("readable").map(|row| row.expect("readable").0).collect()
    };
    let wanted = rows(Table::Prototypes);
    assert_eq!(wanted.len(), 3);
    let mut lost = Rows::new();
    lost.delete(Table::Meta, Key::new().named(Partition(0), "prototypes"));
    lost.delete(Table::Prototypes, Key::new().prototype(Partition(0), "Pump", "pump-2"));
    lost.put(Table::Prototypes, Key::new().prototype(Partition(0), "Pump", "gone"), Position::START, &[]);
    store.write(&lost).expect("written");
    let read_only = OpenOptions { read_only: true, ..OpenOptions::default() };
    let mut system = System::with_store(store.clone(), ClockKind::Driven, read_only).expect("opened");
    assert_eq!(ask_desk(&mut system, "pumps"), "2");
    assert_eq!(rows(Table::Prototypes).len(), 3, "nothing is written by who only looks");
    drop(system);
    let mut system = pumps(&store);
    assert_eq!(ask_desk(&mut system, "pumps"), "2");
    assert_eq!(rows(Table::Prototypes), wanted);
    assert_verified(&mut system);
    // And verify sees rows that say something else.
    store.write(&lost).expect("written");
    let report = system.verify(&mut |_| {}).expect("readable");
    assert_eq!(
        report.differences,
        ["gone: a row says that it is a Pump, which no record says", "pump-2: no row says that it is a Pump"]
    );
}

/// What is shown, and how many rows were read before the first of it.
struct Watching {
    store: Arc<Counting>,
    text: String,
    rows_before: Option<u64>,
}

impl Output for Watching {
    fn print(&mut self, text: &str) {
        self.rows_before.get_or_insert_with(|| self.store.take_rows());
        self.text.push_str(text);
    }
    fn fault(&mut self, report: &FaultReport) {
        panic!("{report:?}");
    }
}

/// What a question shows of a store that is only looked at, page by page in little memory.
fn look(store: &Arc<Counting>, question: &str, json: bool) -> Watching {
    let options = OpenOptions { read_only: true, ..OpenOptions::default() };
    let mut system = System::with_store(store.clone(), ClockKind::Driven, options).expect("opened");
    system.limit_program(Limits { memory_bytes: 4 << 20, ..Limits::default() });
    let images = system.images().expect("readable");
    let source = SourceText { name: "query".to_owned(), text: question.to_owned() };
    let compilation = compile(vec![source], &mut NoSources, &images.iter().collect::<Vec<_>>());
    let image = compilation.image.unwrap_or_else(|| panic!("{:#?}", compilation.diagnostics));
    store.take_rows();
    let mut watching = Watching { store: store.clone(), text: String::new(), rows_before: None };
    system.show_image(&image, json, &mut watching).unwrap_or_else(|error| panic!("{question}: {error}"));
    watching
}

const SHELVES: &str = "
    twin Shelf = ( | text <- nil. number <- 0. | number: n = ( number := n. text := String new: 1000 withAll: $x ) )
    twin Case = Shelf ( )
    1 to: 6000 do: [ :n |
      (n \\\\ 10 = 0 ifTrue: [ Case ] ifFalse: [ Shelf ]) new: 's' , n printString.
      (Shelf at: 's' , n printString) ! number: n ].";

#[test]
fn what_many_answer_is_shown_as_it_comes_in_memory_that_does_not_grow() {
    for partitions in [1, 3] {
        let store = Arc::new(Counting::new(partitions));
        let options = OpenOptions { program: Some(program(SHELVES)), ..OpenOptions::default() };
        let mut system = System::with_store(store.clone(), ClockKind::Driven, options).expect("opened");
        system.run_program(Vec::new(), None, &mut Seen::default()).expect("made");
        system.close(&mut Seen::default()).expect("closed");

        // Six million bytes of text, in four mebibytes.
        let shown = look(&store, "Shelf collect: [ :s | s text ]", false);
        assert_eq!(shown.text.lines().count(), 6000);
        assert!(shown.text.lines().all(|line| line.len() == 1002));
        let before = shown.rows_before.expect("something is shown");
        assert!(before < 5000, "{before} rows were read before the first line");

        // Every twin once, in order, whatever is done to it on the way.
        let mut paths: Vec<String> = (1..=6000).filter(|n| n % 2 == 0).map(|n| format!("'s{n}'")).collect();
        paths.sort();
        let shown = look(&store, "(Shelf select: [ :s | s number even ]) collect: [ :s | s path ]", false);
        assert_eq!(shown.text.lines().collect::<Vec<_>>(), paths);
        let shown = look(&store, "((Shelf all reject: [ :s | s number odd ]) collect: [ :s | s path ])", true);
        assert_eq!(shown.text, format!("[{}]\n", paths.join(",").replace('\'', "\"")));
        assert_eq!(look(&store, "Case where: [ :s | s number < 0 ]", true).text, "[]\n");
        assert_eq!(look(&store, "(Case where: [ :s | s number < 25 ]) size", false).text, "2\n");
        assert_eq!(look(&store, "(Case answersTo: #number) first", false).text, "Case s10->10\n");
        assert_eq!(
            look(&store, "Case sum: #number", true).text,
            format!("{}\n", (1..=600).map(|n| n * 10).sum::<u64>())
        );
    }
}

const VALVES: &str = "
    twin Valve = (
      | level <indexed> <- 0. state <indexed> <- 'open'. owner <- nil. plain <- 0. |
      level: x = ( level := x. plain := x )
      state: x = ( state := x )
      query asked = ( ^level )
    )
    twin Check = Valve ( query level = ( ^super asked * 2 ) )
    twin Gate = Valve ( | width <indexed> <- 1. | )
    twin Ask = (
      | limit <- 3. |
      query above: n = ( ^(Valve where: [ :v | v level > n ]) collect: [ :v | v path ] )
      query aboveMine = ( ^(Valve where: [ :v | v level > limit ]) collect: [ :v | v path ] )
      query below: n = ( ^Valve count: [ :v | n > v level ] )
      query between: a and: b = ( ^(Valve where: #level is: [ :l | l between: a and: b ]) collect: [ :v | v path ] )
      query state: x = ( ^(Valve where: [ :v | v state = x ]) collect: [ :v | v path ] )
      query level: x = ( ^(Valve where: #level is: [ :l | x = l ]) collect: [ :v | v path ] )
      query any: n = ( ^Valve anySatisfy: [ :v | v level >= n ] )
      query first: n = ( ^(Valve detect: [ :v | v level <= n ] ifNone: [ nil ]) )
    )";

fn valves(store: &Arc<Counting>, text: &str) -> System {
    let options = OpenOptions { program: Some(program(text)), upgrade: true, ..OpenOptions::default() };
    System::with_store(store.clone(), ClockKind::Driven, options).unwrap_or_else(|error| panic!("{error}"))
}

/// What a desk answers, or the fault without the place in it.
fn desk(system: &mut System, selector: &str, arguments: &[Datum]) -> String {
    match system.send("ask", selector, arguments, &mut Seen::default()) {
        Ok(answer) => answer.to_string(),
        Err(SendError::Fault(fault)) => format!("{}: {}", fault.kind, fault.text),
        Err(error) => panic!("{error}"),
    }
}

fn int(number: i64) -> Datum {
    Datum::Int(number.into())
}

#[test]
fn an_index_tells_which_twins_need_not_be_asked() {
    let store = Arc::new(Counting::new(1));
    let mut system = valves(&store, VALVES);
    make(&mut system, "Ask", "ask", 1);
    for n in 0..2000 {
        make(&mut system, if n % 100 == 99 { "Gate" } else { "Valve" }, &format!("v{n}"), n + 2);
        system.send(&format!("v{n}"), "level:", &[int(n as i64)], &mut Seen::default()).expect("handled");
    }
    system.passivate().expect("written");
    system.take_reading();
    store.take_rows();
    assert_eq!(desk(&mut system, "above:", &[int(1997)]), "#('v1998' 'v1999')");
    let rows = store.take_rows();
    assert!(rows <= 12, "{rows} rows were read");
    let reading = system.take_reading();
    assert_eq!((reading.rows, reading.twins), (6, 3), "1997 is near enough to be asked");
    assert!(reading.scanned.is_empty(), "{reading:?}");
    assert_eq!(reading.indices.into_iter().collect::<Vec<_>>(), ["Gate level", "Valve level"]);
    assert_eq!(desk(&mut system, "between:and:", &[int(7), Datum::Float(8.5)]), "#('v7' 'v8')");
    assert_eq!(system.take_reading().twins, 2);
    assert_eq!(desk(&mut system, "below:", &[int(3)]), "3");
    assert_eq!(system.take_reading().twins, 4);
    assert_eq!(desk(&mut system, "level:", &[int(77)]), "#('v77')");
    assert_eq!(system.take_reading().twins, 1);
    assert_eq!(desk(&mut system, "any:", &[int(2000)]), "false");
    assert_eq!(system.take_reading().twins, 0);
    assert_eq!(desk(&mut system, "first:", &[int(0)]), "v0");

    // What memory knows and no row does yet; and a reader that is none any more.
    system.send("v5", "level:", &[int(5000)], &mut Seen::default()).expect("handled");
    system.send("v1999", "level:", &[int(0)], &mut Seen::default()).expect("handled");
    make(&mut system, "Check", "check", 9000);
    system.send("check", "level:", &[int(999)], &mut Seen::default()).expect("handled");
    system.commit(&mut Seen::default()).expect("written");
    assert_eq!(desk(&mut system, "above:", &[int(1997)]), "#('check' 'v1998' 'v5')");
    let reading = system.take_reading();
    assert_eq!(reading.scanned.into_iter().collect::<Vec<_>>(), ["Check"]);
    system.send("v1998", "remove", &[], &mut Seen::default()).expect("handled");
    assert_eq!(desk(&mut system, "above:", &[int(1997)]), "#('check' 'v5')");
    system.passivate().expect("written");
    assert_eq!(desk(&mut system, "above:", &[int(1997)]), "#('check' 'v5')");
    assert_verified(&mut system);

    // Rows that say something else are seen.
    let mut lost = Rows::new();
    let row = store.scan(Table::Indices, &KeyRange::partition(Partition(0))).expect("rows").next().expect("one");
    lost.delete(Table::Indices, &row.expect("readable").0);
    store.write(&lost).expect("written");
    let report = system.verify(&mut |_| {}).expect("readable");
    assert_eq!(report.differences.len(), 1, "{report:?}");
    assert!(report.differences[0].contains("it is not there, but a twin is that it tells of"), "{report:?}");
}

// delivery: D4.27
#[test]
fn what_an_index_does_not_know_is_asked_and_its_fault_is_the_same() {
    let plain = VALVES.replace("<indexed> ", "");
    for text in [VALVES, &plain] {
        let store = Arc::new(Counting::new(1));
        let mut system = valves(&store, text);
        make(&mut system, "Ask", "ask", 1);
        for n in 0..9 {
            make(&mut system, "Valve", &format!("v{n}"), n + 2);
            system.send(&format!("v{n}"), "level:", &[int(n as i64)], &mut Seen::default()).expect("handled");
        }
        system.send("v2", "state:", &[Datum::Symbol("shut".to_owned())], &mut Seen::default()).expect("handled");
        system.send("v3", "state:", &[Datum::String("shut".to_owned())], &mut Seen::default()).expect("handled");
        system.send("v4", "state:", &[int(4)], &mut Seen::default()).expect("handled");
        system.passivate().expect("written");
        assert_eq!(desk(&mut system, "state:", &[Datum::String("shut".to_owned())]), "#('v2' 'v3')");
        assert_eq!(desk(&mut system, "state:", &[int(4)]), "#('v4')");
        assert_eq!(desk(&mut system, "aboveMine", &[]), "#('v4' 'v5' 'v6' 'v7' 'v8')");
        system.send("v1", "level:", &[Datum::Nil], &mut Seen::default()).expect("handled");
        let fault = desk(&mut system, "above:", &[int(7)]);
        assert!(fault.starts_with("MessageNotUnderstood: v1: nil does not understand"), "{fault}");
        system.send("v1", "level:", &[Datum::String("high".to_owned())], &mut Seen::default()).expect("handled");
        let texts: Vec<String> = ["above:", "below:"].iter().map(|ask| desk(&mut system, ask, &[int(7)])).collect();
        assert!(texts.iter().all(|text| text.contains(": v1: ")), "{texts:?}");
        assert_verified(&mut system);
    }
}

// delivery: D4.28
#[test]
fn a_slot_that_becomes_indexed_is_indexed_when_the_store_is_upgraded() {
    let store = Arc::new(Counting::new(1));
    let plain = VALVES.replace("<indexed> ", "");
    let mut system = valves(&store, &plain);
    make(&mut system, "Ask", "ask", 1);
    for n in 0..50 {
        make(&mut system, "Valve", &format!("v{n}"), n + 2);
        system.send(&format!("v{n}"), "level:", &[int(n as i64)], &mut Seen::default()).expect("handled");
    }
    system.close(&mut Seen::default()).expect("closed");
    let mut system = valves(&store, VALVES);
    assert_eq!(desk(&mut system, "above:", &[int(47)]), "#('v48' 'v49')");
    assert_eq!(system.take_reading().twins, 3);
    assert_verified(&mut system);
    system.close(&mut Seen::default()).expect("closed");

    // A definition with another slot: twins that are still to be carried over are asked, whatever the index says.
    let wider = VALVES
        .replace("plain <- 0. |", "plain <- 0. more <- 1. |")
        .replace("query asked", "version 2. migrate 1 = ( level := level * 10 ) query asked");
    let mut system = valves(&store, &wider);
    assert_eq!(desk(&mut system, "above:", &[int(470)]), "#('v48' 'v49')");
    assert_eq!(system.take_reading().twins, 50);
    system.send("v3", "state:", &[int(1)], &mut Seen::default()).expect("handled");
    system.passivate().expect("written");
    assert_eq!(desk(&mut system, "above:", &[int(470)]), "#('v48' 'v49')");
    assert_eq!(system.take_reading().twins, 49, "one was carried over");
    assert_verified(&mut system);
    system.close(&mut Seen::default()).expect("closed");
    let mut system = valves(&store, &wider.replace("<indexed> ", ""));
    assert_eq!(desk(&mut system, "above:", &[int(470)]), "#('v48' 'v49')");
    assert!(store.scan(Table::Indices, &KeyRange::partition(Partition(0))).expect("rows").next().is_none());
    assert_verified(&mut system);
}

/// Values of all kinds, near to each other and far.
fn a_value() -> impl Strategy<Value = Datum> {
    prop_oneof![
        4 => (-4..5_i64).prop_map(int),
        3 => (-8..9_i64).prop_map(|half| Datum::Float(half as f64 / 2.0)),
        1 => any::<f64>().prop_map(Datum::Float),
        1 => (any::<i64>(), 0..80_u32).prop_map(|(number, shift)| Datum::Int(num_bigint::BigInt::from(number) << shift)),
        1 => "[ab]{0,2}".prop_map(Datum::String),
        1 => "[ab]{1,2}".prop_map(Datum::Symbol),
        1 => any::<bool>().prop_map(Datum::Bool),
    ]
}

// delivery: D4.27
#[test]
fn with_an_index_and_without_one_the_answer_is_the_same() {
    const VALVES_OF_A_CASE: usize = 6;
    let plain = VALVES.replace("<indexed> ", "");
    let stores: Vec<Arc<Counting>> = (0..2).map(|_| Arc::new(Counting::new(1))).collect();
    let mut systems: Vec<System> =
        stores.iter().zip([VALVES, &plain]).map(|(store, text)| valves(store, text)).collect();
    for system in &mut systems {
        make(system, "Ask", "ask", 1);
        (0..VALVES_OF_A_CASE as u64).for_each(|n| make(system, "Valve", &format!("v{n}"), n + 2));
    }
    let systems = RefCell::new(systems);
    let values = collection::vec(a_value(), VALVES_OF_A_CASE);
    let asked = (a_value(), a_value(), any::<bool>());
    let mut runner = TestRunner::new(Config::with_cases(300));
    let result = runner.run(&(values, asked), |(values, (one, other, written))| {
        let answers: Vec<Vec<String>> = systems
            .borrow_mut()
            .iter_mut()
            .map(|system| {
                for (nth, value) in values.iter().enumerate() {
                    let value = std::slice::from_ref(value);
                    system.send(&format!("v{nth}"), "level:", value, &mut Seen::default()).expect("handled");
                }
                if written {
                    system.passivate().expect("written");
                }
                let one = std::slice::from_ref(&one);
                let both = [one[0].clone(), other.clone()];
                let of_one = ["above:", "below:", "level:", "any:", "first:"].map(|ask| desk(system, ask, one));
                of_one.into_iter().chain([desk(system, "between:and:", &both)]).collect()
            })
            .collect();
        prop_assert_eq!(&answers[0], &answers[1]);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    let mut systems = systems.into_inner();
    assert!(!systems[0].take_reading().indices.is_empty() && systems[1].take_reading().indices.is_empty());
    systems.iter_mut().for_each(assert_verified);
}

// delivery: D4.13
#[test]
fn a_block_that_does_not_end_runs_out_of_the_fuel_for_far_queries_wherever_it_is() {
    for partitions in [1, 4] {
        let text = "
            twin Tank = ( | level <- 0. | )
            twin Boss = ( loops = ( ^[ Tank collect: [ :t | [ true ] whileTrue: [ t level ] ] ] on: Error do: [ :e | e messageText ] ) )
            Boss new: 'boss'. 1 to: 8 do: [ :n | Tank new: 't' , n printString ].";
        let limits = Limits { fuel: 100_000, memory_bytes: 16 << 20 };
        let mut system = open(text, OpenOptions { limits, ..on(partitions, 1) });
        system.run_program(Vec::new(), None, &mut Seen::default()).unwrap_or_else(|error| panic!("{error}"));
        let fault = ask(&mut system, "loops");
        assert!(fault.starts_with("'OutOfFuel: t1: "), "{partitions} partitions: {fault}");
        assert_verified(&mut system);
    }
}
