//! Damage below what RocksDB's own checksums find: its files are right, and what is in them is not.

use super::*;
use crate::BlockBuilder;
use crate::record::{Cause, Effects, Envelope, Flags, Input, List, Outcome, Record, Sender, TwinChange, TwinEffect};

const P: Partition = Partition(0);

/// A store of three blocks, and its folder.
fn three_blocks() -> (tempfile::TempDir, RocksStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = RocksStore::open(folder.path(), &RocksOptions::default()).unwrap();
    for block in 1..=3 {
        let mut builder = BlockBuilder::new(P, Position::block(block));
        builder.push(&record(block)).unwrap();
        store.append(P, Position::block(block), builder.finish()).unwrap();
    }
    (folder, store)
}

fn record(turn: u64) -> Record<'static> {
    let twin = TwinEffect {
        path: "pump-1",
        life: 1,
        previous: None,
        kind: TwinChange::Changed,
        prototype: None,
        bytes: b"effect",
    };
    Record {
        envelope: Envelope {
            life: 1,
            turn,
            time_ns: 0,
            began_ns: None,
            device_time_ns: None,
            program: &[0; 32],
            flags: Flags::default(),
        },
        cause: Cause::of(Sender::Program, turn),
        input: Input { selector: "start", arguments: &[], answers: List::default(), seed: None },
        twins: vec![twin].into(),
        outcome: Outcome::Committed(Effects::default()),
    }
}

fn bytes_of(store: &RocksStore, number: u64) -> Vec<u8> {
    store.block(P, number).unwrap().unwrap().bytes().to_vec()
}

/// Writes what no writer writes.
fn put(store: &RocksStore, number: u64, bytes: &[u8]) {
    store.db.put_cf(family(&store.db, LOG).unwrap(), log_key(P, number), bytes).unwrap();
}

/// What reading, and what checking, say of the damage.
#[track_caller]
fn check_damage(store: &RocksStore, expected: &str) {
    let error = store.read(P, Position::FIRST).unwrap().find_map(Result::err).expect("reading stops at the damage");
    let damage = store.check().unwrap().damage;
    assert_eq!(damage.len(), 1, "{damage:?}");
    let StoreError::Corrupt { at, reason } = error else { panic!("{error}") };
    assert_eq!(format!("{at}: {reason}"), expected);
    assert_eq!(damage[0], (at, reason));
}

// delivery: D7.9
#[test]
fn a_changed_block_is_refused_with_its_position() {
    let (_folder, store) = three_blocks();
    let mut bytes = bytes_of(&store, 2);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    put(&store, 2, &bytes);
    check_damage(
        &store,
        "partition 0, position 2.0: the checksum does not match: bytes changed after they were written",
    );
}

// delivery: D7.10
#[test]
fn a_missing_block_is_refused_with_its_position() {
    let (_folder, store) = three_blocks();
    store.db.delete_cf(family(&store.db, LOG).unwrap(), log_key(P, 2)).unwrap();
    check_damage(&store, "partition 0, position 2.0: a block is missing: the log goes on behind it");
}

#[test]
fn a_block_in_the_wrong_place_is_refused() {
    let (_folder, store) = three_blocks();
    put(&store, 2, &bytes_of(&store, 1));
    check_damage(&store, "partition 0, position 2.0: here stands block 1 of partition 0");
}

#[test]
fn a_missing_first_block_is_found_on_opening() {
    let (folder, store) = three_blocks();
    store.db.delete_cf(family(&store.db, LOG).unwrap(), log_key(P, 1)).unwrap();
    drop(store);
    let error = RocksStore::open(folder.path(), &RocksOptions::default()).unwrap_err();
    assert!(error.to_string().contains("partition 0, position 1.0: a block is missing"), "{error}");
}

#[test]
fn a_family_of_a_newer_version_is_no_riddle() {
    let (folder, mut store) = three_blocks();
    store.db.create_cf("indices-2", &Options::default()).unwrap();
    let meta = family(&store.db, Table::Meta.title()).unwrap();
    store.db.put_cf(meta, Key::new().named(Partition::SHARED, FORMAT).bytes(), 2u32.to_be_bytes()).unwrap();
    drop(store);
    let error = RocksStore::open(folder.path(), &RocksOptions::default()).unwrap_err();
    assert!(matches!(error, StoreError::NewerFormat { found: 2, known: 1 }), "{error}");
}

// delivery: D7.12
#[test]
fn after_a_failed_flush_nothing_is_written_or_flushed_until_the_store_is_opened_anew() {
    let (folder, store) = three_blocks();
    store.flush().unwrap();
    let mut builder = BlockBuilder::new(P, Position::block(4));
    builder.push(&record(4)).unwrap();
    store.append(P, Position::block(4), builder.finish()).unwrap();
    store.flush_fails.store(true, Ordering::Release);
    assert!(matches!(store.flush(), Err(StoreError::Io(_))));
    // The disk may say that it works again: what it dropped is lost all the same.
    store.flush_fails.store(false, Ordering::Release);
    assert!(matches!(store.flush(), Err(StoreError::Stopped)));
    assert_eq!(store.flushed(P).unwrap(), Position::block(4), "the watermark stays where it was");
    let mut builder = BlockBuilder::new(P, Position::block(5));
    builder.push(&record(5)).unwrap();
    assert!(matches!(store.append(P, Position::block(5), builder.finish()), Err(StoreError::Stopped)));
    assert!(matches!(store.write(&Rows::new()), Err(StoreError::Stopped)));
    assert!(matches!(store.trim(P, Position::block(3)), Err(StoreError::Stopped)));
    assert_eq!(store.read(P, Position::FIRST).unwrap().filter(Result::is_ok).count(), 4, "it can be read");
    drop(store);
    let store = RocksStore::open(folder.path(), &RocksOptions::default()).unwrap();
    assert!(store.flushed(P).unwrap() >= Position::block(4), "what was durable is there");
    store.append(P, store.end(P).unwrap(), builder_at(store.end(P).unwrap()).finish()).unwrap();
    store.flush().unwrap();
}

fn builder_at(next: Position) -> BlockBuilder {
    let mut builder = BlockBuilder::new(P, next);
    builder.push(&record(next.block)).unwrap();
    builder
}

#[test]
fn the_engine_takes_the_options_it_is_given() {
    let (folder, store) = three_blocks();
    let options = std::fs::read_dir(folder.path().join(ENGINE))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("OPTIONS"))
        .max()
        .unwrap();
    let text = std::fs::read_to_string(options).unwrap();
    let state = text.split("[CFOptions \"state\"]").nth(1).unwrap().split("[CFOptions").next().unwrap();
    for option in [
        "compression=kLZ4Compression",
        "filter_policy=bloomfilter:10",
        "data_block_index_type=kDataBlockBinaryAndHash",
        "index_block_search_type=kInterpolation",
        "write_buffer_size=67108864",
    ] {
        assert!(state.contains(option), "{option} in {state}");
    }
    for option in ["enable_pipelined_write=true", "wal_recovery_mode=kTolerateCorruptedTailRecords"] {
        assert!(text.contains(option), "{option}");
    }
    drop(store);
}
