//! What a change of a collection in a twin costs, for a short one and a long one.

use std::path::Path;

use twintalk_runtime::{Durability, FeedMessage, OpenOptions, System};
use twintalk_store::rocks::RocksStore;
use twintalk_store::{Log, Partition, Position};

use crate::measure::{Figure, Scale, Target, busy_seconds, ns_each};
use crate::turns::{Silent, integer, program, send};

const WINDOW: &str = "twin Window = ( | list <- List new. |
    fill: n = ( 1 to: n do: [ :each | list add: each ] )
    add: x = ( list add: x. list removeFirst ) )
  Window ensure: 'window'.";

/// An element is added to a list in a turn of its own, and the first is taken off, so that it stays as long as it is.
pub fn lists(scale: Scale) -> Vec<Figure> {
    let folder = tempfile::tempdir().expect("a folder");
    let (short, short_bytes) = changes(scale, &folder.path().join("short"), 100);
    let (long, long_bytes) = changes(scale, &folder.path().join("long"), scale.of(1_000_000));
    let ratios = long.iter().zip(&short).map(|(long, short)| long / short).collect();
    vec![
        Figure::new("add to a list of 100, taking the first off, async", "ns", Target::None, short),
        Figure::new("the same to a list of a million", "ns", Target::None, long),
        Figure::new("a million beside 100", "times", Target::None, ratios),
        Figure::new("what a record of it has, list of 100", "bytes", Target::None, short_bytes),
        Figure::new("what a record of it has, list of a million", "bytes", Target::None, long_bytes),
    ]
}

/// Nanoseconds for each change of a list of `length`, and the mean of the bytes that its record has of the twin.
fn changes(scale: Scale, folder: &Path, length: u64) -> (Vec<f64>, Vec<f64>) {
    let options = OpenOptions {
        folder: Some(folder.to_owned()),
        durability: Some(Durability::Async),
        program: Some(program(WINDOW)),
        ..OpenOptions::default()
    };
    let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
    system.run_program(Vec::new(), None, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    send(&mut system, "window", "fill:", &[integer(length)]);
    let count = scale.of(20_000);
    let mut number = 0;
    let values = ns_each(scale, count, busy_seconds, |_| {
        for _ in 0..count {
            number += 1;
            let message = FeedMessage {
                number,
                path: "window",
                selector: "add:",
                arguments: &[integer(number)],
                device_time_ns: None,
                make: None,
            };
            system.feed("bench", &message, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
        }
        system.commit(&mut Silent).expect("committed");
    });
    system.close(&mut Silent).expect("closed");
    (values, vec![mean_change(folder)])
}

/// How many bytes the records of `add:` have of the twin, each.
fn mean_change(folder: &Path) -> f64 {
    let store = RocksStore::open_read_only(folder).unwrap_or_else(|error| panic!("{error}"));
    let (mut bytes, mut records) = (0, 0);
    for block in store.read(Partition(0), Position::FIRST).expect("its log") {
        let block = block.expect("it is whole");
        for record in block.open().expect("it is whole").records(0) {
            let (_, record) = record.expect("it is whole");
            if record.input.selector == "add:" {
                bytes += record.twins.iter().map(|twin| twin.bytes.len()).sum::<usize>();
                records += 1;
            }
        }
    }
    bytes as f64 / f64::from(records.max(1))
}
