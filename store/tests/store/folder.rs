//! The folder of a store: who may open it, what it remembers, and what is damage.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use twintalk_store::rocks::{RocksOptions, RocksStore};
use twintalk_store::{
    Batch, Durability, Key, Log, Partition, Position, Rows, Settings, Store, StoreError, Table, Tables,
};

use crate::sample::sensor_blocks;

const P: Partition = Partition(0);

fn open(folder: &Path) -> Result<RocksStore, StoreError> {
    RocksStore::open(folder, &RocksOptions::default())
}

fn append(store: &RocksStore, counts: &[usize]) {
    let end = store.end(P).unwrap();
    store.append(P, end, &sensor_blocks(P, end, counts)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The newest write-ahead log.
fn write_ahead_log(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder.join("rocksdb")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap()
}

// delivery: D7.1
#[test]
fn what_is_fixed_when_the_store_is_made_stays() {
    let folder = tempfile::tempdir().unwrap();
    let made = RocksOptions {
        durability: Some(Durability::Async),
        partitions: Some(4),
        placing: Some("fnv".to_owned()),
        cache_bytes: None,
    };
    drop(RocksStore::open(folder.path(), &made).unwrap());
    let store = open(folder.path()).unwrap();
    let settings = Settings { durability: Durability::Async, partitions: 4, placing: "fnv".to_owned() };
    assert_eq!(store.settings(), &settings);
    drop(store);
    let other = RocksOptions { durability: Some(Durability::Sync), ..made };
    assert_eq!(
        RocksStore::open(folder.path(), &other).unwrap_err().to_string(),
        "the store was made with durability async, not sync; this cannot be changed later"
    );
}

// delivery: D7.13, D12.5
#[test]
fn one_process_runs_a_store_and_others_read_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    append(&store, &[2]);
    let error = open(folder.path()).unwrap_err();
    let StoreError::Locked { process, .. } = &error else { panic!("{error}") };
    assert_eq!(*process, Some(std::process::id()));
    let reader = RocksStore::open_read_only(folder.path()).unwrap();
    append(&store, &[1]);
    assert_eq!(reader.end(P).unwrap(), Position::block(2), "it sees what was there when it was opened");
    assert_eq!(reader.read(P, Position::FIRST).unwrap().count(), 1);
    let blocks = sensor_blocks(P, Position::block(2), &[1]);
    assert!(matches!(reader.append(P, Position::block(2), &blocks), Err(StoreError::ReadOnly)));
    assert_eq!(RocksStore::open_read_only(folder.path()).unwrap().end(P).unwrap(), Position::block(3));
    drop(store);
    open(folder.path()).unwrap();
}

// delivery: D12.6
#[test]
fn a_reader_beside_a_busy_writer_sees_whole_commits() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let end = store.end(P).unwrap();
                let mut rows = Rows::new();
                rows.put(Table::State, Key::new().state(P, "pump-1"), Position::block(end.block + 1), b"state");
                let blocks = sensor_blocks(P, end, &[90, 90]);
                store.commit(end, Batch { blocks: &blocks, rows: &rows }).unwrap();
                // Files come and go faster than they can be opened.
                if end.block % 100 == 1 {
                    store.settle().unwrap();
                }
            }
        });
        let mut seen = Position::FIRST;
        for _ in 0..20 {
            let reader = RocksStore::open_read_only(folder.path()).unwrap_or_else(|error| {
                done.store(true, Ordering::Relaxed);
                panic!("{error}")
            });
            let end = reader.end(P).unwrap();
            assert!(end >= seen && end.block % 2 == 1, "{end} after {seen}");
            let row = reader.get(Table::State, Key::new().state(P, "pump-1")).unwrap();
            assert_eq!(row.map(|row| row.position), (end > Position::FIRST).then(|| Position::block(end.block - 1)));
            assert_eq!(reader.read(P, Position::FIRST).unwrap().filter(Result::is_ok).count() as u64, end.block - 1);
            seen = end;
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(!folder.path().join("readers").exists(), "readers leave nothing behind");
}

#[test]
fn what_a_reader_that_was_killed_had_linked_goes_with_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    append(&store, &[2]);
    let readers = folder.path().join("readers");
    let abandoned = readers.join("1-0");
    fs::create_dir_all(&abandoned).unwrap();
    fs::write(abandoned.join("lock"), "").unwrap();
    fs::write(abandoned.join("000042.log"), "rows").unwrap();
    let reader = RocksStore::open_read_only(folder.path()).unwrap();
    assert!(!abandoned.exists());
    let other = RocksStore::open_read_only(folder.path()).unwrap();
    assert_eq!(fs::read_dir(&readers).unwrap().count(), 2, "that of a living one stays");
    drop(other);
    assert_eq!(reader.read(P, Position::FIRST).unwrap().count(), 1);
    drop(reader);
    assert!(!readers.exists());
}

#[test]
fn a_reader_that_can_make_no_links_opens_the_files_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    append(&store, &[2]);
    fs::write(folder.path().join("readers"), "in the way").unwrap();
    let reader = RocksStore::open_read_only(folder.path()).unwrap();
    assert_eq!(reader.end(P).unwrap(), Position::block(2));
}

#[test]
fn a_folder_with_other_things_in_it_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(RocksStore::open_read_only(folder.path()), Err(StoreError::Missing { .. })));
    fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    assert!(matches!(open(folder.path()), Err(StoreError::NotAStore { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

// delivery: D7.14
#[test]
fn a_newer_format_is_refused_naming_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let mut rows = Rows::new();
    rows.put(Table::Meta, Key::new().named(Partition::SHARED, ".format"), Position::START, &7u32.to_be_bytes());
    store.write(&rows).unwrap();
    drop(store);
    let message = "the store has format version 7, and this TwinTalk knows versions up to 1: use a newer TwinTalk";
    assert_eq!(open(folder.path()).unwrap_err().to_string(), message);
    assert_eq!(RocksStore::open_read_only(folder.path()).unwrap_err().to_string(), message);
}

// delivery: D7.4
#[test]
fn sync_counts_as_durable_what_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    append(&store, &[1, 1]);
    assert_eq!(store.flushed(P).unwrap(), Position::FIRST);
    store.flush().unwrap();
    assert_eq!(store.flushed(P).unwrap(), Position::block(3));
    drop(store);
    assert_eq!(open(folder.path()).unwrap().flushed(P).unwrap(), Position::block(3));
}

// delivery: D7.10
#[test]
fn a_log_that_ends_before_its_checkpoint_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    append(&store, &[1, 1]);
    let mut rows = Rows::new();
    rows.checkpoint(P, Position::block(9));
    store.write(&rows).unwrap();
    let damage = store.check().unwrap().damage;
    assert_eq!(damage.len(), 1, "{damage:?}");
    drop(store);
    assert_eq!(
        open(folder.path()).unwrap_err().to_string(),
        "the store is damaged at partition 0, position 3.0: the log ends here, but its tables rely on it up to 9.0: \
         its tail is lost; nothing was skipped or changed, restore a backup"
    );
}

// delivery: D7.5, D7.6, D7.8
#[test]
fn a_torn_end_of_the_write_ahead_log_is_dropped_whole_commits_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let log = write_ahead_log(folder.path());
    let mut ends = vec![fs::metadata(&log).unwrap().len()];
    for _ in 0..8 {
        let end = store.end(P).unwrap();
        let mut rows = Rows::new();
        rows.put(Table::State, Key::new().state(P, "pump-1"), Position::block(end.block + 1), &end.to_bytes());
        let blocks = sensor_blocks(P, end, &[3, 3]);
        store.commit(end, Batch { blocks: &blocks, rows: &rows }).unwrap();
        ends.push(fs::metadata(&log).unwrap().len());
    }
    let bytes = fs::read(&log).unwrap();
    for cut in (ends[0]..=ends[8]).step_by(97).chain(ends.clone()) {
        let torn = tempfile::tempdir().unwrap();
        copy(folder.path(), torn.path());
        fs::write(write_ahead_log(torn.path()), &bytes[..cut as usize]).unwrap();
        let store = open(torn.path()).unwrap();
        let whole = ends.iter().filter(|&&end| end <= cut).count() as u64 - 1;
        let end = store.end(P).unwrap();
        assert_eq!(end, Position::block(1 + 2 * whole), "cut at {cut}");
        let row = store.get(Table::State, Key::new().state(P, "pump-1")).unwrap();
        assert_eq!(row.map(|row| row.position), (whole > 0).then(|| Position::block(end.block - 1)));
        assert_eq!(store.check().unwrap().damage, []);
    }
}

// delivery: D7.9
#[test]
fn a_changed_byte_before_the_end_of_the_write_ahead_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let log = write_ahead_log(folder.path());
    let mut ends = vec![fs::metadata(&log).unwrap().len()];
    for _ in 0..20 {
        append(&store, &[20, 20]);
        ends.push(fs::metadata(&log).unwrap().len());
    }
    let bytes = fs::read(&log).unwrap();
    let mut silent = Vec::new();
    for at in (ends[0]..ends[18]).step_by(1_117).chain(ends[1..6].iter().flat_map(|end| *end..*end + 8)) {
        let changed = tempfile::tempdir().unwrap();
        copy(folder.path(), changed.path());
        let mut bytes = bytes.clone();
        bytes[at as usize] ^= 0x10;
        fs::write(write_ahead_log(changed.path()), &bytes).unwrap();
        match open(changed.path()) {
            Err(StoreError::Corrupt { .. }) => {}
            Err(other) => panic!("{at}: {other}"),
            Ok(store) => silent.push((at, store.end(P).unwrap())),
        }
    }
    assert_eq!(silent, [], "of {ends:?}");
}

/// The length of a record is the one thing that its checksum does not cover.
#[test]
fn a_changed_head_of_a_short_write_ahead_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let log = write_ahead_log(folder.path());
    let mut starts = Vec::new();
    for _ in 0..3 {
        starts.push(fs::metadata(&log).unwrap().len() as usize);
        append(&store, &[2]);
    }
    let bytes = fs::read(&log).unwrap();
    for at in starts.iter().flat_map(|start| *start..start + 7) {
        let changed = tempfile::tempdir().unwrap();
        copy(folder.path(), changed.path());
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x80;
        fs::write(write_ahead_log(changed.path()), &bytes).unwrap();
        let error = open(changed.path()).expect_err("a changed byte is damage");
        assert!(matches!(error, StoreError::Corrupt { .. }), "byte {at}: {error}");
    }
}

// delivery: D7.9, D12.7
#[test]
fn a_changed_byte_in_a_file_is_found_by_check() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    // Enough that it is written out.
    for _ in 0..40 {
        append(&store, &[150; 4]);
    }
    store.settle().unwrap();
    drop(store);
    drop(open(folder.path()).unwrap());
    let files = fs::read_dir(folder.path().join("rocksdb")).unwrap().map(|entry| entry.unwrap().path());
    let file = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
    let report = open(folder.path()).unwrap().check().unwrap();
    assert!(!report.damage.is_empty());
    assert!(report.blocks > 100, "what is not damaged is read: {report:?}");
}
