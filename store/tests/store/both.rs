//! What a store promises, of both of them at once: the one in memory is the model of the one in a folder.

use std::path::Path;

use proptest::prelude::*;
use twintalk_store::memory::MemoryStore;
use twintalk_store::rocks::{RocksOptions, RocksStore};
use twintalk_store::{
    Batch, Corruption, Durability, Key, KeyRange, Partition, Position, Rows, Store, StoreError, Table,
};

use crate::sample::sensor_blocks;

const PARTITIONS: u16 = 3;

fn open(folder: &Path) -> RocksStore {
    let options = RocksOptions {
        durability: Some(Durability::Async),
        partitions: Some(PARTITIONS),
        placing: Some("fnv".to_owned()),
        cache_bytes: None,
    };
    RocksStore::open(folder, &options).unwrap()
}

/// Runs `rule` on both stores.
fn both(rule: impl Fn(&dyn Store)) {
    rule(&MemoryStore::new(PARTITIONS, "fnv"));
    let folder = tempfile::tempdir().unwrap();
    rule(&open(folder.path()));
}

/// Everything that can be read of a store, but for what differs by its kind.
fn everything(store: &dyn Store) -> Vec<String> {
    let mut all = Vec::new();
    for partition in (0..PARTITIONS).map(Partition) {
        let (first, end) = (store.first(partition).unwrap(), store.end(partition).unwrap());
        all.push(format!("{partition}: {first} to {end}, checkpoint {:?}", store.checkpoint(partition)));
        for block in store.read(partition, first).unwrap() {
            let block = block.unwrap();
            assert_eq!(store.block(partition, block.number()).unwrap().as_ref(), Some(&block));
            all.push(format!("{} {:?}", block.number(), block.bytes()));
        }
        assert!(store.block(partition, end.block).unwrap().is_none());
        for &table in Table::ALL {
            for row in store.scan(table, &KeyRange::partition(partition)).unwrap() {
                let (key, row) = row.unwrap();
                assert_eq!(store.get(table, &key).unwrap().as_ref(), Some(&row));
                all.push(format!("{table} {:?} {row:?}", key.bytes()));
            }
        }
    }
    all
}

#[derive(Clone, Debug)]
enum Step {
    Append(u16, Vec<usize>),
    Rows(Vec<(u16, usize, u8, Option<Vec<u8>>)>),
    Commit(u16, usize, u8),
    Checkpoint(u16),
    Trim(u16, prop::sample::Index),
    Reopen,
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    let partition = || 0..PARTITIONS;
    let row = (partition(), 0..Table::ALL.len(), 0..6u8, prop::option::of(prop::collection::vec(any::<u8>(), 0..9)));
    prop_oneof![
        3 => (partition(), prop::collection::vec(1..5usize, 0..4)).prop_map(|(p, counts)| Step::Append(p, counts)),
        3 => prop::collection::vec(row, 0..5).prop_map(Step::Rows),
        2 => (partition(), 1..4usize, 0..6u8).prop_map(|(p, count, key)| Step::Commit(p, count, key)),
        1 => partition().prop_map(Step::Checkpoint),
        1 => (partition(), any::<prop::sample::Index>()).prop_map(|(p, index)| Step::Trim(p, index)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Settle),
    ]
}

/// Does a step; the answer tells what came of it.
fn run(store: &dyn Store, step: &Step) -> String {
    match step {
        Step::Append(partition, counts) => {
            let partition = Partition(*partition);
            let end = store.end(partition).unwrap();
            format!("{:?}", store.append(partition, end, &sensor_blocks(partition, end, counts)))
        }
        Step::Rows(changes) => {
            let mut rows = Rows::new();
            for (partition, table, name, bytes) in changes {
                let partition = Partition(*partition);
                let table = Table::ALL[*table];
                let mut key = Key::new();
                let key = key.named(partition, &format!("row-{name}"));
                // Some rows stand behind the end of the log, and all of the step is refused then.
                let position = if table.is_positioned() {
                    Position { block: u64::from(*name), index: 1 }
                } else {
                    Position::START
                };
                match bytes {
                    Some(bytes) => rows.put(table, key, position, bytes),
                    None => rows.delete(table, key),
                }
            }
            format!("{:?}", store.write(&rows))
        }
        Step::Commit(partition, count, name) => {
            let partition = Partition(*partition);
            let end = store.end(partition).unwrap();
            let mut rows = Rows::new();
            let last = Position { block: end.block, index: *count as u32 - 1 };
            rows.put(Table::State, Key::new().state(partition, &format!("pump-{name}")), last, b"state");
            let blocks = sensor_blocks(partition, end, &[*count]);
            format!("{:?}", store.commit(end, Batch { blocks: &blocks, rows: &rows }))
        }
        Step::Checkpoint(partition) => {
            let mut rows = Rows::new();
            rows.checkpoint(Partition(*partition), store.end(Partition(*partition)).unwrap());
            format!("{:?}", store.write(&rows))
        }
        Step::Trim(partition, index) => {
            let partition = Partition(*partition);
            let end = store.end(partition).unwrap();
            format!("{:?}", store.trim(partition, Position::block(1 + index.index(end.block as usize) as u64)))
        }
        Step::Reopen => String::new(),
        Step::Settle => format!("{:?}", store.settle()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(12) })]

    #[test]
    fn both_stores_do_the_same(steps in prop::collection::vec(step(), 1..25)) {
        let memory = MemoryStore::new(PARTITIONS, "fnv");
        let folder = tempfile::tempdir().unwrap();
        let mut rocks = open(folder.path());
        for step in &steps {
            prop_assert_eq!(run(&memory, step), run(&rocks, step), "{:?}", step);
            if let Step::Reopen = step {
                drop(rocks);
                rocks = open(folder.path());
            }
        }
        prop_assert_eq!(everything(&memory), everything(&rocks));
        let reader = RocksStore::open_read_only(folder.path()).unwrap();
        prop_assert_eq!(everything(&memory), everything(&reader));
        for store in [&memory as &dyn Store, &rocks, &reader] {
            prop_assert_eq!(store.check().unwrap().damage, vec![]);
        }
    }
}

// delivery: D7.15
#[test]
fn another_writer_is_a_conflict_and_nothing_is_written() {
    both(|store| {
        let p = Partition(1);
        let blocks = sensor_blocks(p, Position::FIRST, &[1, 1]);
        assert_eq!(store.append(p, Position::FIRST, &blocks).unwrap(), Position::block(3));
        let late = sensor_blocks(p, Position::FIRST, &[2]);
        let error = store.append(p, Position::FIRST, &late).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the log of partition 1 ends at 3.0, not at 1.0: another writer owns it; stop this one"
        );
        // Blocks that are for another place than the writer says are refused as well.
        assert!(matches!(store.append(p, Position::block(3), &late), Err(StoreError::Conflict { .. })));
        let mut rows = Rows::new();
        rows.put(Table::State, Key::new().state(p, "pump-1"), Position::FIRST, b"state");
        assert!(store.commit(Position::FIRST, Batch { blocks: &late, rows: &rows }).is_err());
        assert_eq!(store.end(p).unwrap(), Position::block(3));
        assert_eq!(store.get(Table::State, Key::new().state(p, "pump-1")).unwrap(), None);
    });
}

#[test]
fn a_row_never_stands_at_or_behind_the_end_of_its_log() {
    both(|store| {
        let p = Partition(0);
        let mut rows = Rows::new();
        rows.put(Table::State, Key::new().state(p, "pump-1"), Position::FIRST, b"state");
        let error = store.write(&rows).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { reason: Corruption::RowBeyondLog { .. }, .. }), "{error}");
        let blocks = sensor_blocks(p, Position::FIRST, &[1]);
        store.commit(Position::FIRST, Batch { blocks: &blocks, rows: &rows }).unwrap();
        assert_eq!(store.get(Table::State, Key::new().state(p, "pump-1")).unwrap().unwrap().bytes, b"state");
    });
}

#[test]
fn what_was_cut_off_is_named() {
    both(|store| {
        let p = Partition(2);
        store.append(p, Position::FIRST, &sensor_blocks(p, Position::FIRST, &[1, 1, 1])).unwrap();
        store.trim(p, Position::block(3)).unwrap();
        store.trim(p, Position::block(2)).unwrap();
        let error = store.read(p, Position::block(2)).err().unwrap();
        assert_eq!(error.to_string(), "the log of partition 2 has been cut off before 3.0");
        assert!(store.block(p, 1).is_err());
        assert_eq!(store.read(p, Position::block(3)).unwrap().count(), 1);
        store.trim(p, Position::block(4)).unwrap();
        assert_eq!(store.end(p).unwrap(), Position::block(4));
        assert_eq!(store.read(p, Position::block(4)).unwrap().count(), 0);
    });
}

#[test]
fn a_reading_ends_where_the_log_ended_when_it_began() {
    both(|store| {
        let p = Partition(0);
        store.append(p, Position::FIRST, &sensor_blocks(p, Position::FIRST, &[1, 1])).unwrap();
        let blocks = store.read(p, Position::FIRST).unwrap();
        let end = store.end(p).unwrap();
        store.append(p, end, &sensor_blocks(p, end, &[1])).unwrap();
        assert_eq!(blocks.count(), 2);
    });
}

#[test]
fn many_rows_are_read_in_the_order_asked() {
    both(|store| {
        let mut rows = Rows::new();
        for name in ["a", "b", "c"] {
            rows.put(Table::State, Key::new().state(Partition(0), name), Position::START, name.as_bytes());
        }
        store.write(&rows).unwrap();
        let keys = ["c", "x", "a"].map(|name| Key::new().state(Partition(0), name).clone());
        let found = store.multi_get(Table::State, &keys).unwrap();
        let found: Vec<_> = found.into_iter().map(|row| row.map(|row| row.bytes)).collect();
        assert_eq!(found, [Some(b"c".to_vec()), None, Some(b"a".to_vec())]);
    });
}

#[test]
fn there_is_no_partition_beyond_the_last() {
    both(|store| {
        let error = store.end(Partition(3)).unwrap_err();
        assert_eq!(error.to_string(), "there is no partition 3: the store has 3");
        let mut rows = Rows::new();
        rows.put(Table::Taken, Key::new().taken_outside(Partition(9), "feed"), Position::START, b"");
        assert!(matches!(store.write(&rows), Err(StoreError::NoPartition { .. })));
    });
}
