//! Records as bytes.

use twintalk_store::record::*;
use twintalk_store::{BlockBuilder, BlockBytes, Partition, Position};

const PROGRAM: ProgramHash = [7; 32];

/// What a reading of one sensor leaves: row `turn` of a feed, one slot of one twin changed.
pub fn sensor_turn<'a>(path: &'a str, turn: u64, time_ns: i64, previous: Option<Position>) -> Record<'a> {
    Record {
        envelope: Envelope {
            life: 1,
            turn,
            time_ns,
            device_time_ns: Some(time_ns - 1_500_000_000),
            program: &PROGRAM,
            flags: Flags::default(),
        },
        cause: Cause::of(Sender::Outside("readings.csv"), turn),
        input: Input {
            selector: "rpm:",
            arguments: b"\x01\x06\0\0\0\0\0\x40\x8f\x40",
            answers: List::default(),
            seed: None,
        },
        twins: vec![TwinEffect {
            path,
            life: 1,
            previous,
            kind: TwinChange::Changed,
            prototype: None,
            bytes: b"\x01\0\x06\0\0\0\0\0\x40\x8f\x40",
        }]
        .into(),
        outcome: Outcome::Committed(Effects::default()),
    }
}

#[test]
fn a_one_slot_sensor_turn_takes_40_to_100_bytes() {
    let mut builder = BlockBuilder::new(Partition(0), Position::block(1_000_000));
    let paths: Vec<String> = (0..200).map(|n| format!("plant-1/line-3/pump-{n}")).collect();
    for (turn, path) in (5_000..).zip(&paths) {
        let previous = Position { block: 990_000 + turn, index: (turn % 150) as u32 };
        let record = sensor_turn(path, turn, 1_700_000_000_000_000_000 + turn as i64 * 40_000, Some(previous));
        builder.push(&record).unwrap();
    }
    let blocks = builder.finish();
    let bytes = blocks.bytes_len() / 200;
    assert!((40..=100).contains(&bytes), "{bytes} bytes a turn, tables and headers included");
}

#[test]
fn what_is_written_is_read() {
    let mut builder = BlockBuilder::new(Partition(3), Position::FIRST);
    let record = sensor_turn("pump-1", 1, 1_700_000_000_000_000_000, None);
    let position = builder.push(&record).unwrap();
    assert_eq!(position, Position { block: 1, index: 0 });
    let blocks = builder.finish();
    let (_, bytes) = blocks.iter().next().unwrap();
    let block = BlockBytes::new(bytes.into()).unwrap();
    let view = block.open().unwrap();
    view.check().unwrap();
    assert_eq!(view.record(0).unwrap(), record);
}
