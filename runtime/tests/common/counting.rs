//! A store in memory that counts what is read of it.

use std::sync::atomic::{AtomicU64, Ordering};

use twintalk_store::memory::MemoryStore;
use twintalk_store::{
    Batch, BlockIter, Blocks, CheckReport, Key, KeyRange, Log, Partition, Position, Row, RowIter, Rows, Settings,
    Store, StoreError, Table, Tables,
};

/// The store.
#[derive(Debug)]
pub struct Counting {
    inner: MemoryStore,
    rows: AtomicU64,
}

impl Counting {
    pub fn new(partitions: u16) -> Counting {
        Counting { inner: MemoryStore::new(partitions, "counting"), rows: AtomicU64::new(0) }
    }

    /// How many rows were read since this was last asked.
    pub fn take_rows(&self) -> u64 {
        self.rows.swap(0, Ordering::Relaxed)
    }

    fn count(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }
}

impl Log for Counting {
    fn append(&self, partition: Partition, expected: Position, blocks: &Blocks) -> Result<Position, StoreError> {
        self.inner.append(partition, expected, blocks)
    }
    fn read(&self, partition: Partition, from: Position) -> Result<BlockIter<'_>, StoreError> {
        self.inner.read(partition, from)
    }
    fn trim(&self, partition: Partition, to: Position) -> Result<(), StoreError> {
        self.inner.trim(partition, to)
    }
    fn first(&self, partition: Partition) -> Result<Position, StoreError> {
        self.inner.first(partition)
    }
    fn end(&self, partition: Partition) -> Result<Position, StoreError> {
        self.inner.end(partition)
    }
    fn flushed(&self, partition: Partition) -> Result<Position, StoreError> {
        self.inner.flushed(partition)
    }
    fn flush(&self) -> Result<(), StoreError> {
        self.inner.flush()
    }
}

impl Tables for Counting {
    fn get_into(&self, table: Table, key: &Key, bytes: &mut Vec<u8>) -> Result<Option<Position>, StoreError> {
        self.count(1);
        self.inner.get_into(table, key, bytes)
    }
    fn multi_get(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.count(keys.len() as u64);
        self.inner.multi_get(table, keys)
    }
    fn scan(&self, table: Table, range: &KeyRange) -> Result<RowIter<'_>, StoreError> {
        let rows = self.inner.scan(table, range)?;
        Ok(Box::new(rows.inspect(|_| self.count(1))))
    }
    fn write(&self, rows: &Rows) -> Result<(), StoreError> {
        self.inner.write(rows)
    }
}

impl Store for Counting {
    fn commit(&self, expected: Position, batch: Batch<'_>) -> Result<Position, StoreError> {
        self.inner.commit(expected, batch)
    }
    fn settings(&self) -> &Settings {
        self.inner.settings()
    }
    fn checkpoint(&self, partition: Partition) -> Result<Position, StoreError> {
        self.inner.checkpoint(partition)
    }
    fn check(&self) -> Result<CheckReport, StoreError> {
        self.inner.check()
    }
    fn settle(&self) -> Result<(), StoreError> {
        self.inner.settle()
    }
}
