//! What `verify` finds in logs that no run could have written.
//!
//! A program is run on a store in memory; its log is copied, record by record, into another store, with one thing
//! changed on the way that running the messages again would not show.

use std::sync::Arc;

use twintalk_runtime::{OpenOptions, Simulated, System};
use twintalk_store::memory::MemoryStore;
use twintalk_store::record::{Answer, Record};
use twintalk_store::{Batch, BlockBuilder, Key, KeyRange, Log, Partition, Position, Rows, Store, Table, Tables};

use crate::log::{Shown, program};

const PARTITION: Partition = Partition(0);

/// `a` sends `b` three messages that do the same and asks it twice.
const PROGRAM: &str = r"
twin T = (
  | n <- 0. seen <- List new. |
  up = ( n := n + 1 )
  send = ( 3 timesRepeat: [ (T at: 'b') ! up ] )
  ask = ( seen add: (T at: 'b') m )
  query m = ( ^7 )
)
T new: 'a'. T new: 'b'.
(T at: 'a') send.
Clock advance: 1 second.
(T at: 'a') ask.
(T at: 'b') up.
(T at: 'a') ask.
";

fn open(store: Arc<MemoryStore>) -> System {
    let options = OpenOptions { program: Some(program(PROGRAM)), ..OpenOptions::default() };
    let machine = Simulated::new(store);
    System::open_simulated(machine, options).unwrap_or_else(|error| panic!("{error}"))
}

/// What `verify` says of the program's log when `edit` has changed its records; it is told the selector and how many with
/// that one came before.
fn differences(edit: impl Fn(&str, usize, &mut Record<'_>)) -> Vec<String> {
    let ran = Arc::new(MemoryStore::new(1, "one"));
    let mut system = open(ran.clone());
    system.run_program(Vec::new(), None, &mut Shown::default()).expect("runs");
    system.close(&mut Shown::default()).expect("closed");
    let edited = Arc::new(MemoryStore::new(1, "one"));
    copy(&ran, &edited, edit);
    open(edited).verify(&mut |_| {}).expect("readable").differences
}

fn copy(from: &MemoryStore, to: &MemoryStore, edit: impl Fn(&str, usize, &mut Record<'_>)) {
    let mut seen = Vec::<String>::new();
    for block in from.read(PARTITION, Position::FIRST).expect("readable") {
        let block = block.expect("sound");
        let mut builder = BlockBuilder::new(PARTITION, to.end(PARTITION).expect("an end"));
        for record in block.open().expect("sound").records(0) {
            let (_, mut record) = record.expect("sound");
            let selector = record.input.selector.to_owned();
            let before = seen.iter().filter(|other| **other == selector).count();
            edit(&selector, before, &mut record);
            seen.push(selector);
            builder.push(&record).expect("a record");
        }
        to.commit(block_start(&block), Batch { blocks: builder.finish(), rows: &Rows::new() }).expect("in memory");
    }
    let mut rows = Rows::new();
    for table in Table::ALL {
        for partition in [PARTITION, Partition::SHARED] {
            for row in from.scan(*table, &KeyRange::partition(partition)).expect("readable") {
                let (key, row) = row.expect("readable");
                rows.put(*table, &Key::from_bytes(key.bytes()), row.position, &row.bytes);
            }
        }
    }
    to.write(&rows).expect("in memory");
}

fn block_start(block: &twintalk_store::BlockBytes) -> Position {
    Position::block(block.number())
}

// delivery: D12.7
#[test]
fn a_log_that_nobody_changed_is_sound() {
    assert_eq!(differences(|_, _, _| {}), Vec::<String>::new());
}

// delivery: D12.8
#[test]
fn a_message_that_was_handled_twice_is_found() {
    let mut found = differences(|selector, before, record| {
        if (selector, before) == ("up", 1) {
            record.cause.number -= 1;
        }
    });
    assert!(found.remove(0).contains("taken again, or out of order"), "{found:?}");
}

// delivery: D12.8
#[test]
fn messages_that_were_handled_out_of_order_are_found() {
    let mut found = differences(|selector, before, record| match (selector, before) {
        ("up", 0) => record.cause.number += 2,
        ("up", 2) => record.cause.number -= 2,
        _ => {}
    });
    assert!(found.remove(0).contains("taken again, or out of order"), "{found:?}");
}

// delivery: D12.9
#[test]
fn an_answer_older_than_what_was_seen_is_found() {
    let older = |record: &mut Record<'_>| {
        let answers = record.input.answers.iter().map(|answer| Answer { turn: answer.turn - 2, ..*answer });
        record.input.answers = answers.collect::<Vec<_>>().into();
    };
    let mut found = differences(|selector, before, record| {
        if (selector, before) == ("ask", 1) {
            older(record);
        }
    });
    assert!(found.remove(0).contains("sees turn 3 of b after turn 4"), "{found:?}");
}
