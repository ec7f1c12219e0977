//! Records and blocks as bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use twintalk_store::record::*;
use twintalk_store::{BlockBuilder, BlockBytes, Blocks, Partition, Position};

use crate::sample::{Random, START_NS, random, sensor_turn};

/// Every record of `blocks` with its position, each block checked.
fn read_all<'b>(blocks: &'b [BlockBytes]) -> Vec<(Position, Record<'b>)> {
    let mut all = Vec::new();
    for block in blocks {
        let view = block.open().unwrap();
        view.check().unwrap();
        all.extend(view.records(0).map(Result::unwrap));
    }
    all
}

fn block_bytes(blocks: &Blocks) -> Vec<BlockBytes> {
    blocks.iter().map(|(_, bytes)| BlockBytes::new(bytes.into()).unwrap()).collect()
}

#[test]
fn a_one_slot_sensor_turn_takes_40_to_100_bytes() {
    let mut builder = BlockBuilder::new(Partition(0), Position::block(1_000_000));
    let paths: Vec<String> = (0..200).map(|n| format!("plant-1/line-3/pump-{n}")).collect();
    for (turn, path) in (5_000..).zip(&paths) {
        let previous = Position { block: 990_000 + turn, index: (turn % 150) as u32 };
        builder.push(&sensor_turn(path, turn, Some(previous))).unwrap();
    }
    let bytes = builder.finish().bytes_len() / 200;
    assert!((40..=100).contains(&bytes), "{bytes} bytes a turn, tables and headers included");
}

#[test]
fn positions_have_no_gaps() {
    let mut builder = BlockBuilder::new(Partition(2), Position::block(5));
    let mut last: Option<Position> = None;
    for turn in 1..2_000 {
        let position = builder.push(&sensor_turn("pump-1", turn, last)).unwrap();
        match last {
            None => assert_eq!(position, Position::block(5)),
            Some(last) if position.block == last.block => assert_eq!(position.index, last.index + 1),
            Some(last) => assert_eq!(position, Position::block(last.block + 1)),
        }
        last = Some(position);
        if turn % 700 == 0 {
            assert!(!builder.finish().is_empty());
            builder.clear();
        }
    }
}

#[test]
fn a_block_has_at_most_16_kib_unless_it_is_one_long_record() {
    let long = vec![1; 100_000];
    let mut builder = BlockBuilder::new(Partition(0), Position::FIRST);
    for turn in 1..=300 {
        let mut record = sensor_turn("pump-1", turn, None);
        if turn == 150 {
            record.input.arguments = &long;
        }
        builder.push(&record).unwrap();
    }
    let blocks = block_bytes(builder.finish());
    assert!(blocks.len() >= 3);
    for block in &blocks {
        assert!(block.bytes().len() <= 16 << 10 || block.open().unwrap().len() == 1);
    }
    assert_eq!(read_all(&blocks).len(), 300);
}

#[test]
fn a_record_has_at_most_16_mib_and_one_that_is_refused_leaves_no_trace() {
    let long = vec![1; RECORD_BYTES_MAX];
    let mut builder = BlockBuilder::new(Partition(0), Position::FIRST);
    builder.push(&sensor_turn("pump-1", 1, None)).unwrap();
    let mut record = sensor_turn("pump-2", 2, None);
    record.input.arguments = &long;
    assert!(matches!(builder.push(&record), Err(EncodeError::TooLong { .. })));
    record.input.arguments = &long[..RECORD_BYTES_MAX - 200];
    builder.push(&record).unwrap();
    builder.push(&sensor_turn("pump-3", 3, None)).unwrap();
    let blocks = block_bytes(builder.finish());
    let turns: Vec<u64> = read_all(&blocks).iter().map(|(_, record)| record.envelope.turn).collect();
    assert_eq!(turns, [1, 2, 3]);
}

#[test]
fn the_rules_of_records_are_kept() {
    let twin = |path, previous, kind| TwinEffect { path, life: 1, previous, kind, prototype: None, bytes: b"x" };
    let mut builder = BlockBuilder::new(Partition(0), Position::block(9));
    let mut refused = |record: Record<'_>| match builder.push(&record) {
        Err(EncodeError::Rule(rule)) => rule,
        other => panic!("{other:?}"),
    };
    let good = || sensor_turn("pump-1", 1, None);

    let mut record = good();
    record.twins = List::default();
    assert_eq!(refused(record), "a record has a receiver");

    let mut record = good();
    let twins = [twin("a/b", None, TwinChange::Changed), twin("ab", None, TwinChange::Changed)];
    record.twins = List::Borrowed(&twins);
    assert_eq!(refused(record), "the twins of a record are of one composite");

    let mut record = good();
    let twins = [twin("a", Some(Position { block: 9, index: 0 }), TwinChange::Changed)];
    record.twins = List::Borrowed(&twins);
    assert_eq!(refused(record), "a back chain leads back");

    let mut record = good();
    record.cause.origin = Some(Origin { partition: Partition(0), position: Position::block(10) });
    assert_eq!(refused(record), "a cause comes before its effect");

    let mut record = good();
    record.outcome = Outcome::Failed(Failure { kind: "Error", text: "", trace: "" });
    assert_eq!(refused(record), "a failed turn has no effects");

    let mut record = good();
    record.envelope.life = 0;
    assert_eq!(refused(record), "lives count from 1");

    builder.push(&good()).unwrap();
    let mut record = good();
    record.envelope.time_ns -= 1;
    assert_eq!(builder.push(&record), Err(EncodeError::Rule("time never goes back within a partition")));
}

#[test]
fn names_have_limits() {
    let long = "x".repeat(PATH_BYTES_MAX + 1);
    let mut builder = BlockBuilder::new(Partition(0), Position::FIRST);
    assert_eq!(
        builder.push(&sensor_turn(&long, 1, None)),
        Err(EncodeError::Name { bytes: PATH_BYTES_MAX + 1, bytes_max: PATH_BYTES_MAX })
    );
    assert_eq!(builder.push(&sensor_turn("", 1, None)), Err(EncodeError::Name { bytes: 0, bytes_max: PATH_BYTES_MAX }));
    assert!(builder.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_written_is_read(records in vec(random(), 1..12)) {
        let mut time_ns = START_NS;
        let times: Vec<i64> = records.iter().map(|record| { time_ns += record.elapsed_ns(); time_ns }).collect();
        let start = Position::block(77);
        let records: Vec<Record<'_>> =
            records.iter().zip(&times).map(|(record, &time_ns)| Random::record(record, time_ns, start)).collect();
        let mut builder = BlockBuilder::new(Partition(0), start);
        let positions: Vec<Position> = records.iter().map(|record| builder.push(record).unwrap()).collect();
        let blocks = builder.finish().clone();
        let bytes = block_bytes(&blocks);
        let read = read_all(&bytes);
        prop_assert_eq!(read.len(), records.len());
        for (((position, record), written), expected) in read.iter().zip(&records).zip(&positions) {
            prop_assert_eq!(position, expected);
            prop_assert_eq!(record, written);
        }

        // There is one way to write them.
        let mut again = BlockBuilder::new(Partition(0), start);
        for (_, record) in &read {
            again.push(record).unwrap();
        }
        prop_assert_eq!(again.finish(), &blocks);
    }
}
