//! A store whose tables are lost, or damaged while its log is not.

use std::fs;
use std::path::Path;

use twintalk_store::rocks::{RocksOptions, RocksStore};
use twintalk_store::{
    Batch, Corruption, Durability, Key, KeyRange, Log, Partition, Place, Position, Rows, Store, StoreError, Table,
    Tables,
};

use crate::sample::sensor_blocks;

/// A closed store of three partitions, the last of them empty, with a row in every table.
fn make(folder: &Path) {
    let options = RocksOptions {
        durability: Some(Durability::Async),
        partitions: Some(3),
        placing: Some("by the sea".to_owned()),
        cache_bytes: None,
    };
    let store = RocksStore::open(folder, &options).unwrap();
    for partition in [Partition(0), Partition(1)] {
        for _ in 0..3 {
            let end = store.end(partition).unwrap();
            let mut rows = Rows::new();
            for &table in Table::ALL {
                let at = if table.is_positioned() { end } else { Position::START };
                rows.put(table, Key::new().named(partition, "row"), at, b"what follows");
            }
            store.commit(end, Batch { blocks: &sensor_blocks(partition, end, &[5, 7]), rows: &rows }).unwrap();
        }
    }
    drop(store);
    // What is in the write-ahead log goes into files.
    drop(open(folder).unwrap());
}

fn open(folder: &Path) -> Result<RocksStore, StoreError> {
    RocksStore::open(folder, &RocksOptions::default())
}

/// Every block there is.
fn log(store: &RocksStore) -> Vec<Vec<u8>> {
    (0..3)
        .flat_map(|number| store.read(Partition(number), Position::FIRST).unwrap())
        .map(|block| block.unwrap().bytes().to_vec())
        .collect()
}

fn rows(store: &RocksStore, table: Table) -> usize {
    let everything = KeyRange { from: Key::new(), to: KeyRange::partition(Partition::SHARED).to };
    store.scan(table, &everything).unwrap().map(Result::unwrap).count()
}

#[test]
fn a_damaged_table_is_named_with_its_cure_and_the_log_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let store = open(folder.path()).unwrap();
    let (blocks, settings) = (log(&store), store.settings().clone());
    drop(store);
    // A file of the table `state`: it says so itself.
    let files = fs::read_dir(folder.path().join("rocksdb")).unwrap().map(|file| file.unwrap().path());
    let is_state = |bytes: &[u8]| bytes.windows(5).any(|part| part == b"state");
    let file = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .find(|path| is_state(&fs::read(path).unwrap()))
        .unwrap();
    let mut bytes = fs::read(&file).unwrap();
    let footer = bytes.len() - 20;
    bytes[footer] ^= 1;
    fs::write(&file, bytes).unwrap();

    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { at: Place::Table(Table::State), .. }), "{error}");
    assert!(error.to_string().contains("twintalk verify --rebuild-tables"), "{error}");
    RocksStore::forget_tables(folder.path()).unwrap();
    let store = open(folder.path()).unwrap();
    assert_eq!((log(&store), store.settings()), (blocks, &settings));
    for &table in Table::ALL {
        let kept = if table == Table::Meta { 4 } else { 0 };
        assert_eq!(rows(&store, table), kept, "{table}");
    }
    assert_eq!(store.check().unwrap().damage, []);
    let end = store.end(Partition(1)).unwrap();
    store.append(Partition(1), end, &sensor_blocks(Partition(1), end, &[2])).unwrap();
}

#[test]
fn settings_outlive_their_table() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let store = open(folder.path()).unwrap();
    let settings = store.settings().clone();
    let mut rows = Rows::new();
    for name in [".format", ".durability", ".partitions", ".placing"] {
        rows.delete(Table::Meta, Key::new().named(Partition::SHARED, name));
    }
    store.write(&rows).unwrap();
    drop(store);
    assert_eq!(RocksStore::open_read_only(folder.path()).unwrap().settings(), &settings);
    assert_eq!(open(folder.path()).unwrap().settings(), &settings);

    let mut rows = Rows::new();
    rows.put(Table::Meta, Key::new().named(Partition::SHARED, ".placing"), Position::START, b"elsewhere");
    open(folder.path()).unwrap().write(&rows).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("table `meta`: the table `meta` has other settings than the log"), "{error}");
}

#[test]
fn a_damaged_log_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let files = fs::read_dir(folder.path().join("rocksdb")).unwrap().map(|file| file.unwrap().path());
    let file = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "sst"))
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap();
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = RocksStore::forget_tables(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { reason: Corruption::Engine(_), .. }), "{error}");
    assert!(error.to_string().contains("restore a backup"), "{error}");
    assert!(matches!(open(folder.path()), Err(StoreError::Corrupt { .. })), "the store is as it was");
}

#[test]
fn the_old_store_is_there_until_the_new_one_is() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path());
    let path = |name: &str| folder.path().join(name);
    // A process that ended while it copied, and one between the two changes of names.
    fs::create_dir(path("rocksdb.new")).unwrap();
    fs::rename(path("rocksdb"), path("rocksdb.old")).unwrap();
    assert_eq!(rows(&open(folder.path()).unwrap(), Table::State), 2);
    // And one that did not get as far as removing what is no longer needed.
    fs::create_dir(path("rocksdb.old")).unwrap();
    assert_eq!(rows(&open(folder.path()).unwrap(), Table::State), 2);
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    left.sort_unstable();
    assert_eq!(left, ["lock", "rocksdb"]);
}
