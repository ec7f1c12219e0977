//! Large collections in twins: what a change of one costs, and that it is the same however the twin is brought back.

mod common;

use std::path::Path;

use common::{Seen, check, program};
use twintalk_runtime::{Durability, OpenOptions, System};
use twintalk_store::rocks::RocksStore;
use twintalk_store::{Log, Partition, Position};

/// Opens a store in a folder with a program that has been run.
fn opened(folder: &Path, text: &str) -> System {
    let options = OpenOptions {
        folder: Some(folder.to_owned()),
        durability: Some(Durability::Async),
        program: Some(program(text)),
        ..OpenOptions::default()
    };
    let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
    let mut seen = Seen::default();
    system.run_program(Vec::new(), None, &mut seen).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen.text, "");
    system
}

/// How many bytes each record has of what became of its twins, for the messages with this selector.
fn bytes_of_changes(folder: &Path, selector: &str) -> Vec<usize> {
    let store = RocksStore::open_read_only(folder).expect("it is closed");
    let mut sizes = Vec::new();
    for block in store.read(Partition(0), Position::FIRST).expect("the log is there") {
        let bytes = block.expect("it is whole");
        let block = bytes.open().expect("it is whole");
        for record in block.records(0) {
            let (_, record) = record.expect("it is whole");
            if record.input.selector == selector {
                sizes.push(record.twins.iter().map(|twin| twin.bytes.len()).sum());
            }
        }
    }
    sizes
}

/// One turn that fills, then 2,000 that change, each in a record of its own.
const LONG: &str = "twin T = ( | list <- List new. |
       fill: n = ( 1 to: n do: [ :each | list add: each ] )
       add: x = ( list add: x )
       put: x = ( list at: x * 37 \\\\ list size + 1 put: x )
       turn: x = ( list add: x. ^list removeFirst )
       first: x = ( list addFirst: x. ^list removeLast )
       few: x = ( 1 to: x * 20 do: [ :each | self add: each; first: each; turn: each ] )
       query look = ( ^{list size. list first. list last. list at: 777} ) )
     | t | t := T new: 't'.";

#[test]
fn a_change_of_a_long_list_leaves_a_record_of_the_size_of_the_change() {
    for (selector, leaf) in [("add:", true), ("put:", false), ("turn:", true), ("first:", true)] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let text = format!("{LONG} t fill: 5000. 1 to: 2000 do: [ :each | t {selector} each ]");
        opened(folder.path(), &text).close(&mut Seen::default()).expect("it closes");
        let sizes = bytes_of_changes(folder.path(), selector);
        assert_eq!(sizes.len(), 2000);
        // One in 256 makes a new leaf; no other has more than what changed.
        assert!(sizes.iter().all(|&size| size < 700), "{selector}: {:?}", sizes.iter().max());
        let long = sizes.iter().filter(|&&size| size > 60).count();
        assert!(long <= if leaf { 16 } else { 0 }, "{selector}: {long} records are long");
    }
}

#[test]
fn a_long_list_is_the_same_however_its_twin_is_brought_back() {
    check(
        &format!(
            "{LONG} t fill: 500. 1 to: 12 do: [ :each | t add: each; put: each; turn: each; turn: each; first: each; few: each ].
             t look printNl"
        ),
        "#(2072 12 240 79)\n",
    );
}
