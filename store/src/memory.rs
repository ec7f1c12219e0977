//! The store in memory: for tests, and for runs without a folder.
//!
//! The same rules as in a folder, over a list of blocks per partition and a sorted map per table.
//! Everything executed is as durable as it gets, so the watermark is the end of the log.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::check;
use crate::rules::{self, Ends};
use crate::tables::{CHECKPOINT, TRIMMED};
use crate::{Batch, BlockBytes, BlockIter, Blocks, Change, CheckReport, Durability, Key, KeyRange, Log, Partition};
use crate::{Position, Row, RowIter, Rows, Settings, Store, StoreError, Table, Tables};

/// A store that is gone with its process.
#[derive(Debug)]
pub struct MemoryStore {
    settings: Settings,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    logs: Vec<MemoryLog>,
    /// One for each [`Table`].
    tables: Vec<SortedRows>,
}

type SortedRows = BTreeMap<Vec<u8>, (Position, Vec<u8>)>;

#[derive(Debug)]
struct MemoryLog {
    ends: Ends,
    /// The blocks from `ends.first` on.
    blocks: VecDeque<BlockBytes>,
}

impl MemoryStore {
    /// An empty store of `partitions` partitions, placed by the hash called `placing`.
    ///
    /// # Panics
    /// When there is no partition.
    pub fn new(partitions: u16, placing: &str) -> MemoryStore {
        assert!((1..u16::MAX).contains(&partitions), "a store has 1 to 65,534 partitions");
        let logs = (0..partitions).map(|_| MemoryLog { ends: Ends::EMPTY, blocks: VecDeque::new() }).collect();
        MemoryStore {
            settings: Settings { durability: Durability::Memory, partitions, placing: placing.to_owned() },
            state: RwLock::new(State { logs, tables: Table::ALL.iter().map(|_| BTreeMap::new()).collect() }),
        }
    }

    /// A thread that panicked held the lock between two whole commits, or the map itself is whole.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn ends(&self, partition: Partition) -> Result<Ends, StoreError> {
        rules::check_partition(partition, self.settings.partitions)?;
        Ok(self.state().logs[usize::from(partition.0)].ends)
    }
}

impl State {
    fn end(&self, partition: Partition) -> Position {
        self.logs[usize::from(partition.0)].ends.end
    }

    fn apply(&mut self, rows: &Rows) {
        for change in rows.iter() {
            match change {
                Change::Put { table, key, position, bytes } => {
                    self.tables[table as usize].insert(key.to_vec(), (position, bytes.to_vec()));
                }
                Change::Delete { table, key } => {
                    self.tables[table as usize].remove(key);
                }
            }
        }
    }
}

impl Log for MemoryStore {
    fn append(&self, partition: Partition, expected: Position, blocks: &Blocks) -> Result<Position, StoreError> {
        rules::check_blocks(partition, blocks);
        self.commit(expected, Batch { blocks, rows: &Rows::new() })
    }

    fn read(&self, partition: Partition, from: Position) -> Result<BlockIter<'_>, StoreError> {
        let ends = self.ends(partition)?;
        ends.check_read(partition, from)?;
        let mut next = from.block;
        Ok(Box::new(std::iter::from_fn(move || {
            if next >= ends.end.block {
                return None;
            }
            let block = self.block(partition, next).transpose();
            next = if let Some(Ok(_)) = block { next + 1 } else { u64::MAX };
            block
        })))
    }

    fn block(&self, partition: Partition, number: u64) -> Result<Option<BlockBytes>, StoreError> {
        rules::check_partition(partition, self.settings.partitions)?;
        let state = self.state();
        let MemoryLog { ends, blocks } = &state.logs[usize::from(partition.0)];
        ends.check_read(partition, Position::block(number))?;
        Ok(blocks.get((number - ends.first.block) as usize).cloned())
    }

    fn trim(&self, partition: Partition, to: Position) -> Result<(), StoreError> {
        rules::check_partition(partition, self.settings.partitions)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let State { logs, tables } = &mut *state;
        let MemoryLog { ends, blocks } = &mut logs[usize::from(partition.0)];
        let Some(first) = ends.trimmed(to) else { return Ok(()) };
        blocks.drain(..(first.block - ends.first.block) as usize);
        ends.first = first;
        let key = Key::new().named(partition, TRIMMED).bytes().to_vec();
        tables[Table::Meta as usize].insert(key, (Position::START, first.to_bytes().to_vec()));
        Ok(())
    }

    fn first(&self, partition: Partition) -> Result<Position, StoreError> {
        Ok(self.ends(partition)?.first)
    }

    fn end(&self, partition: Partition) -> Result<Position, StoreError> {
        Ok(self.ends(partition)?.end)
    }

    fn flushed(&self, partition: Partition) -> Result<Position, StoreError> {
        Ok(self.ends(partition)?.end)
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Tables for MemoryStore {
    fn get_into(&self, table: Table, key: &Key, bytes: &mut Vec<u8>) -> Result<Option<Position>, StoreError> {
        bytes.clear();
        Ok(self.state().tables[table as usize].get(key.bytes()).map(|(position, row)| {
            bytes.extend_from_slice(row);
            *position
        }))
    }

    fn multi_get(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        keys.iter().map(|key| self.get(table, key)).collect()
    }

    fn scan(&self, table: Table, range: &KeyRange) -> Result<RowIter<'_>, StoreError> {
        // A map refuses a range that ends before it starts; a scan of one is empty.
        let range = range.from.bytes().to_vec()..range.to.bytes().max(range.from.bytes()).to_vec();
        let rows: Vec<_> = self.state().tables[table as usize]
            .range(range)
            .map(|(key, (position, bytes))| {
                Ok((Key::from_bytes(key), Row { position: *position, bytes: bytes.clone() }))
            })
            .collect();
        Ok(Box::new(rows.into_iter()))
    }

    fn write(&self, rows: &Rows) -> Result<(), StoreError> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        rules::check_rows(rows, self.settings.partitions, |partition| state.end(partition))?;
        state.apply(rows);
        Ok(())
    }
}

impl Store for MemoryStore {
    fn commit(&self, expected: Position, Batch { blocks, rows }: Batch<'_>) -> Result<Position, StoreError> {
        let written = blocks.partition();
        rules::check_partition(written, self.settings.partitions)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let end = state.logs[usize::from(written.0)].ends.check_append(expected, blocks)?;
        rules::check_rows(rows, self.settings.partitions, |partition| {
            if partition == written { end } else { state.end(partition) }
        })?;
        let MemoryLog { ends, blocks: log } = &mut state.logs[usize::from(written.0)];
        log.extend(blocks.iter().map(|(number, bytes)| BlockBytes::trusted(Arc::from(bytes), written, number)));
        ends.end = end;
        ends.flushed = end;
        state.apply(rows);
        Ok(end)
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn checkpoint(&self, partition: Partition) -> Result<Position, StoreError> {
        rules::check_partition(partition, self.settings.partitions)?;
        let row = self.get(Table::Meta, Key::new().named(partition, CHECKPOINT))?;
        rules::checkpoint_of(partition, row.as_ref().map(|row| row.bytes.as_slice()), self.first(partition)?)
    }

    fn check(&self) -> Result<CheckReport, StoreError> {
        check::check(self)
    }

    fn settle(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
