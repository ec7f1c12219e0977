//! The log, and what follows from it: records in, records out, in order. Bytes, never values.
//!
//! [`Log`] is the truth: per partition, blocks of records, numbered without gaps, appended by one
//! writer. [`Tables`] holds what follows from it, so that nobody need replay the whole: rows, each
//! saying at which position of the log it stands. [`Store`] has both on one machine and commits
//! blocks and rows as one. Two stores implement them: [`rocks::RocksStore`] in a folder, and
//! [`memory::MemoryStore`].
//!
//! **What is atomic.** One [`Store::commit`], [`Log::append`] or [`Tables::write`]: all of its blocks
//! and rows are there, or none, also after a crash. Nothing wider.
//!
//! **What is durable when.** A commit that answered is executed: this process, and whoever opens
//! the store later, sees it, unless a crash comes between. What a crash can take is always a suffix
//! of the commits of the whole store, and only what is not yet *flushed*:
//!
//! | durability | flushed at once means | a commit is flushed |
//! | --- | --- | --- |
//! | [`Durability::Memory`] | executed; gone with the process | when `commit` answers |
//! | [`Durability::Async`] | with the operating system: survives a kill, not a power loss | when `commit` answers |
//! | [`Durability::Sync`] | on the disk: survives a power loss | when a `flush` begun after it answers |
//!
//! [`Log::flushed`] is the watermark: every record before it is durable. Nothing leaves a partition
//! before the watermark has passed the record that caused it; so one flush releases all who wait.
//!
//! Invariants: the positions of a partition have no gaps; a row never stands at or behind the end
//! of its log; damage is reported with its position and never skipped.
//!
//! The traits fit a replicated stream as well: no method asks what only one engine could answer.

#![forbid(unsafe_code)]

use std::fmt;

pub mod block;
mod check;
mod codec;
mod error;
mod folder;
pub mod memory;
pub mod record;
pub mod rocks;
mod rules;
mod tables;
mod wire;

pub use block::{Block, BlockBuilder, BlockBytes, Blocks};
pub use error::{Corruption, Place, StoreError};
pub use record::Record;
pub use tables::{Change, KEY_BYTES_MAX, Key, KeyRange, Row, Rows, Table};

/// The format of a store that this build makes, and the newest that it reads.
pub const STORE_FORMAT: u32 = 1;

/// The number of a partition: one log, written by one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u16);

impl Partition {
    /// No partition of its own: rows that belong to the whole store.
    pub const SHARED: Partition = Partition(u16::MAX);
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in the log of one partition: the `index`th record of block `block`. Neither has gaps:
/// blocks count from 1, records in a block from 0.
///
/// Where a position says how far something goes, as the end of a log, it is the first place that is
/// no longer meant: the end of a log is the start of the block that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The number of the block: 48 bits.
    pub block: u64,
    /// The index of the record in its block.
    pub index: u32,
}

impl Position {
    /// Before every record. A row that stands here has no effect in it.
    pub const START: Position = Position { block: 0, index: 0 };
    /// The first record of a log: the end of an empty one.
    pub const FIRST: Position = Position { block: 1, index: 0 };
    /// The last number that a block can have.
    pub const BLOCK_MAX: u64 = (1 << 48) - 1;

    /// The start of a block.
    pub const fn block(block: u64) -> Position {
        Position { block, index: 0 }
    }

    /// Six bytes of block and four of index, highest first: ordered as positions are.
    pub fn to_bytes(self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[..6].copy_from_slice(&self.block.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&self.index.to_be_bytes());
        bytes
    }

    /// What [`to_bytes`](Position::to_bytes) made of a position.
    pub fn from_bytes(bytes: [u8; 10]) -> Position {
        let [a, b, c, d, e, f, index @ ..] = bytes;
        Position { block: u64::from_be_bytes([0, 0, a, b, c, d, e, f]), index: u32::from_be_bytes(index) }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.block, self.index)
    }
}

/// When a commit counts as durable. Set when the store is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// No folder: what is executed is as durable as it gets.
    Memory,
    /// Handed to the operating system: survives a kill of the process, not a power loss.
    Async,
    /// Flushed to the disk.
    Sync,
}

impl Durability {
    /// Its name on the command line and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Durability::Memory => "memory",
            Durability::Async => "async",
            Durability::Sync => "sync",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Durability> {
        [Durability::Memory, Durability::Async, Durability::Sync].into_iter().find(|mode| mode.name() == name)
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is fixed when a store is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When a commit is durable.
    pub durability: Durability,
    /// How many partitions there are: 1 or more, numbered from 0.
    pub partitions: u16,
    /// The name of the hash that places composites on partitions; the runtime gives it meaning.
    pub placing: String,
}

impl Settings {
    /// One partition in memory.
    pub fn memory() -> Settings {
        Settings { durability: Durability::Memory, partitions: 1, placing: String::new() }
    }
}

/// Blocks as they are read, one after the other.
pub type BlockIter<'s> = Box<dyn Iterator<Item = Result<BlockBytes, StoreError>> + 's>;
/// Rows as they are scanned, in the order of their keys.
pub type RowIter<'s> = Box<dyn Iterator<Item = Result<(Key, Row), StoreError>> + 's>;

/// The truth: blocks of records, per partition, in order.
pub trait Log: Send + Sync {
    /// Appends `blocks`, all or none, and answers the new end.
    ///
    /// `expected`: the end of the partition's log, where `blocks` start. Not yet durable: see
    /// [`flushed`](Log::flushed). Cost: one write, linear in bytes.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the log ends elsewhere; then nothing is written.
    /// [`StoreError::Io`]: nobody knows whether the blocks are there until the log is opened anew.
    fn append(&self, partition: Partition, expected: Position, blocks: &Blocks) -> Result<Position, StoreError>;

    /// The blocks from the one of `from` on, to the end that the log has now. The caller skips the
    /// records of the first one that are before `from.index`.
    ///
    /// Each block's place and checksum have been verified; a missing one is an error, and the last
    /// item.
    ///
    /// # Errors
    /// [`StoreError::Trimmed`] when `from` has been cut off.
    fn read(&self, partition: Partition, from: Position) -> Result<BlockIter<'_>, StoreError>;

    /// One block, verified; `None` behind the end. Cost: one point read.
    ///
    /// # Errors
    /// [`StoreError::Trimmed`] when it has been cut off.
    fn block(&self, partition: Partition, number: u64) -> Result<Option<BlockBytes>, StoreError> {
        if number >= self.end(partition)?.block {
            return Ok(None);
        }
        self.read(partition, Position::block(number))?.next().transpose()
    }

    /// Cuts off all blocks before the one of `to`, which must not be behind the end.
    fn trim(&self, partition: Partition, to: Position) -> Result<(), StoreError>;

    /// The first position that has not been cut off.
    fn first(&self, partition: Partition) -> Result<Position, StoreError>;

    /// The position after the last record: where the next block will start.
    fn end(&self, partition: Partition) -> Result<Position, StoreError>;

    /// The watermark: every record before it is durable. Never goes back.
    fn flushed(&self, partition: Partition) -> Result<Position, StoreError>;

    /// Makes durable all that is committed when it is called, of every partition, and moves the watermarks.
    ///
    /// Any thread may call it. Cost: in `sync`, one flush of the disk, however much there is; else nothing.
    ///
    /// # Errors
    /// [`StoreError::Io`]: what was not durable before may be lost, whatever the disk says later. From then on every
    /// write and flush is refused with [`StoreError::Stopped`], as after a write that failed: open the store anew.
    fn flush(&self) -> Result<(), StoreError>;
}

/// What follows from the log.
pub trait Tables: Send + Sync {
    /// Reads one row into `bytes`, which is emptied first, and answers where it stands.
    ///
    /// Cost: one point read.
    fn get_into(&self, table: Table, key: &Key, bytes: &mut Vec<u8>) -> Result<Option<Position>, StoreError>;

    /// One row.
    fn get(&self, table: Table, key: &Key) -> Result<Option<Row>, StoreError> {
        let mut bytes = Vec::new();
        Ok(self.get_into(table, key, &mut bytes)?.map(|position| Row { position, bytes }))
    }

    /// Many rows, in the order of `keys`; cheaper than one by one, most so if the keys ascend.
    fn multi_get(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError>;

    /// The rows in `range`, ascending by key, as they are when it is called.
    fn scan(&self, table: Table, range: &KeyRange) -> Result<RowIter<'_>, StoreError>;

    /// Writes all changes, or none.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] with [`Corruption::RowBeyondLog`] when a row would stand at or behind
    /// the end of its log: a defect of the caller, and nothing is written.
    fn write(&self, rows: &Rows) -> Result<(), StoreError>;
}

/// Log and tables on one machine.
pub trait Store: Log + Tables {
    /// Appends `blocks` and writes `rows`, all or nothing, and answers the new end of the log: as
    /// [`Log::append`] and [`Tables::write`] together, in one write. `rows` may stand in `blocks`.
    ///
    /// # Errors
    /// As those two.
    fn commit(&self, expected: Position, batch: Batch<'_>) -> Result<Position, StoreError>;

    /// What was fixed when the store was made.
    fn settings(&self) -> &Settings;

    /// From where `partition` must be replayed, as [`Rows::checkpoint`] last said.
    fn checkpoint(&self, partition: Partition) -> Result<Position, StoreError>;

    /// Reads every byte and answers what is damaged; an error only where reading itself ends.
    ///
    /// Cost: linear in the size of the store.
    fn check(&self) -> Result<CheckReport, StoreError>;

    /// Makes the next opening quick: writes what would have to be recovered. The store stays usable.
    fn settle(&self) -> Result<(), StoreError>;
}

/// What one commit writes.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Blocks of one partition.
    pub blocks: &'a Blocks,
    /// Rows of any.
    pub rows: &'a Rows,
}

/// What [`Store::check`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// How many blocks were read.
    pub blocks: u64,
    /// How many records.
    pub records: u64,
    /// How many rows.
    pub rows: u64,
    /// How many bytes of blocks and rows.
    pub bytes: u64,
    /// What is wrong, and where.
    pub damage: Vec<(Place, Corruption)>,
}
