//! The tables of a store that has run a case, lost and made again from its logs: every row is what it was. And its logs, as
//! lines of JSON and made again of those: every byte is what it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use twintalk_compiler::{SourceText, compile};
use twintalk_runtime::{
    ClockKind, FaultReport, Limits, OpenError, OpenOptions, Output, Program, System, export, kernel,
};
use twintalk_store::memory::MemoryStore;
use twintalk_store::{Key, KeyRange, Partition, Position, Rows, Store, Table};

use crate::case::{self, Case, Step};
use crate::sources::Files;

struct Nowhere;

impl Output for Nowhere {
    fn print(&mut self, _text: &str) {}
    fn fault(&mut self, _report: &FaultReport) {}
}

/// By table and key: where a row stands, and what it holds.
type Dump = BTreeMap<(Table, Key), (Position, Vec<u8>)>;

fn dump(store: &dyn Store) -> Dump {
    let everything = KeyRange { from: Key::new(), to: KeyRange::partition(Partition::SHARED).to };
    let mut dump = Dump::new();
    for &table in Table::ALL {
        for row in store.scan(table, &everything).expect("rows") {
            let (key, row) = row.expect("a row");
            dump.insert((table, key), (row.position, row.bytes));
        }
    }
    dump
}

/// What rebuilt rows have in common with those that were lost.
fn compared(dump: Dump) -> Dump {
    let mut compared = Dump::new();
    for ((table, key), (position, bytes)) in dump {
        match table {
            // How far a log is taken may be before or behind what it sends nothing in.
            Table::Taken if key.rest().first() == Some(&0) => {}
            // Where these stand is where the batch ended that wrote them.
            Table::Taken | Table::Supervision | Table::Chunks => {
                drop(compared.insert((table, key), (Position::START, bytes)))
            }
            // The number counts all that ever waited.
            Table::Waiting => {
                let composite = key.path().expect("the name of a composite");
                let text = format!("{composite} {bytes:?}");
                compared.insert((table, Key::new().named(key.partition(), &text).clone()), (Position::START, bytes));
            }
            _ => drop(compared.insert((table, key), (position, bytes))),
        }
    }
    compared
}

/// Where the logs end.
fn ends(store: &dyn Store) -> Vec<Position> {
    (0..store.settings().partitions).map(|number| store.end(Partition(number)).expect("an end")).collect()
}

fn forget(store: &dyn Store) {
    let mut rows = Rows::new();
    dump(store).into_keys().for_each(|(table, key)| rows.delete(table, &key));
    store.write(&rows).expect("deleted");
}

fn open(store: &Arc<MemoryStore>, program: Option<Program>) -> Result<System, OpenError> {
    let limits = Limits { fuel: 1_000_000, memory_bytes: 32 << 20 };
    let options = OpenOptions { program, upgrade: true, limits, ..OpenOptions::default() };
    System::with_store(store.clone(), ClockKind::Driven, options)
}

/// Runs a step and leaves a checkpoint; false if it is not to run.
fn run(store: &Arc<MemoryStore>, step: &Step) -> bool {
    let (mut files, name) = Files::beside(&step.path);
    let compilation = compile(vec![SourceText { name, text: step.text.clone() }], &mut files, &[kernel::image()]);
    let Some(image) = compilation.image else { return false };
    let Ok(mut system) = open(store, Some(Program::new(image))) else { return false };
    let run_for = (step.run_for_ns > 0).then_some(step.run_for_ns);
    // A program that ends with a fault leaves what it did before.
    let _ = system.run_program(Vec::new(), run_for, &mut Nowhere);
    system.settle(&mut Nowhere).expect("settled");
    system.checkpoint().expect("a checkpoint");
    true
}

/// The logs say the same as lines of JSON. Answers how many of these there are, those that are in hexadecimal digits, too.
fn check_export(store: &dyn Store, system: &System, name: &str) -> [usize; 2] {
    let mut lines = String::new();
    let mut counts = [0; 2];
    export::lines(store, system.vm().shapes(), &mut |line| {
        counts[0] += 1;
        // Programs and what the runtime alone reads have no other form.
        let is_runtimes = ["<program>", "<reply:>", "<waits>"].iter().any(|own| line.contains(own));
        counts[1] += usize::from(line.contains("\"hex\"") && !is_runtimes);
        lines.push_str(line);
        lines.push('\n');
    })
    .expect("lines");
    let mut bytes: Vec<Vec<u8>> = vec![Vec::new(); usize::from(store.settings().partitions)];
    let mut take = |_: &_, blocks: &twintalk_store::Blocks| {
        blocks.iter().for_each(|(_, block)| bytes[usize::from(blocks.partition().0)].extend_from_slice(block));
        Ok(())
    };
    export::blocks(&mut lines.as_bytes(), &mut take).unwrap_or_else(|error| panic!("{name}: {error}\n{lines}"));
    for (partition, bytes) in (0..).map(Partition).zip(bytes) {
        let blocks = store.read(partition, Position::FIRST).expect("blocks").map(|block| block.expect("a block"));
        let was: Vec<u8> = blocks.flat_map(|block| block.bytes().to_vec()).collect();
        assert!(was == bytes, "{name}: the log of partition {partition} is another");
    }
    counts
}

/// How many rows were compared, and lines.
fn check(case: &Case, partitions: u16, differences: &mut Vec<String>) -> (usize, [usize; 2]) {
    let store = Arc::new(MemoryStore::new(partitions, "fnv1a64-first-segment"));
    if !case.steps.iter().all(|step| run(&store, step)) {
        return (0, [0; 2]);
    }
    let before = compared(dump(&*store));
    forget(&*store);
    let mut system = open(&store, None).unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let lines = check_export(&*store, &system, &case.name);
    // What is tried again, or due, for a twin in quarantine finds that out once more; nothing has a turn.
    let all = ends(&*store);
    system.settle(&mut Nowhere).expect("settled");
    assert_eq!(ends(&*store), all, "{}: what was taken is taken again", case.name);
    system.checkpoint().expect("a checkpoint");
    let after = compared(dump(&*store));
    let rows: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let different = rows.into_iter().filter(|row| before.get(row) != after.get(row));
    different
        .map(|row| {
            let (was, is) = (before.get(row), after.get(row));
            let key = row.1.bytes().escape_ascii();
            format!(
                "{}, {partitions} partitions, table `{}`, key {key}:\n  was {was:?}\n  is  {is:?}",
                case.name, row.0
            )
        })
        .for_each(|line| differences.push(line));
    (before.len(), lines)
}

// delivery: D7.11, D7.19
#[test]
fn the_tables_of_every_case_are_made_again_row_for_row_and_its_log_byte_for_byte() {
    let (mut cases, mut rows, mut lines, mut digits) = (0, 0, 0, 0);
    let mut differences = Vec::new();
    for (nth, case) in case::all().iter().enumerate() {
        let (compared, [all, hex]) = check(case, if nth % 2 == 0 { 1 } else { 3 }, &mut differences);
        (lines, digits) = (lines + all, digits + hex);
        cases += usize::from(compared > 0);
        rows += compared;
    }
    assert!(differences.is_empty(), "{} rows differ:\n{}", differences.len(), differences.join("\n"));
    println!("{rows} rows of {cases} cases; {lines} lines, {digits} of them with values in digits");
    assert!(digits * 100 < lines, "{digits} of {lines} lines have values that nobody can read");
    assert!(cases > 200, "{cases} cases ran");
}
