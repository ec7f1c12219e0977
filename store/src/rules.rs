//! The rules that every store keeps, whatever it is made of.

use crate::tables::{CHECKPOINT, TRIMMED};
use crate::{Blocks, Change, Corruption, KEY_BYTES_MAX, Key, Partition, Place, Position, Rows, StoreError, Table};

/// How far the log of a partition reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The first position that has not been cut off.
    pub(crate) first: Position,
    /// Where the next block goes.
    pub(crate) end: Position,
    /// All before it is durable.
    pub(crate) flushed: Position,
}

impl Ends {
    pub(crate) const EMPTY: Ends = Ends { first: Position::FIRST, end: Position::FIRST, flushed: Position::FIRST };

    /// The end after `blocks`, if they fit behind this one.
    pub(crate) fn check_append(self, expected: Position, blocks: &Blocks) -> Result<Position, StoreError> {
        let partition = blocks.partition();
        if expected != self.end {
            return Err(StoreError::Conflict { partition, expected, found: self.end });
        }
        // Blocks say themselves where they go; an empty list may have been made at any time.
        if !blocks.is_empty() && blocks.start() != self.end {
            return Err(StoreError::Conflict { partition, expected: blocks.start(), found: self.end });
        }
        Ok(Position::block(self.end.block + blocks.len() as u64))
    }

    pub(crate) fn check_read(self, partition: Partition, from: Position) -> Result<(), StoreError> {
        if from.block < self.first.block { Err(StoreError::Trimmed { partition, first: self.first }) } else { Ok(()) }
    }

    /// The first position after a cut at `to`, or `None` if that cuts nothing off.
    ///
    /// # Panics
    /// When `to` is behind the end.
    pub(crate) fn trimmed(self, to: Position) -> Option<Position> {
        assert!(to <= self.end, "a log is cut off at most up to its end");
        (to.block > self.first.block).then_some(Position::block(to.block))
    }
}

pub(crate) fn check_partition(partition: Partition, partitions: u16) -> Result<(), StoreError> {
    if partition.0 < partitions { Ok(()) } else { Err(StoreError::NoPartition { partition, partitions }) }
}

/// # Panics
/// When the blocks were built for another partition.
pub(crate) fn check_blocks(partition: Partition, blocks: &Blocks) {
    assert!(blocks.partition() == partition, "blocks are appended to the partition they were built for");
}

/// Refuses rows that cannot be, before any of them is written.
pub(crate) fn check_rows(rows: &Rows, partitions: u16, end: impl Fn(Partition) -> Position) -> Result<(), StoreError> {
    for change in rows.iter() {
        let (table, key, position) = match change {
            Change::Put { table, key, position, bytes: _ } => (table, key, position),
            Change::Delete { table, key } => (table, key, Position::START),
        };
        let partition = Key::from_bytes(key).partition();
        check_row(table, key, partition, position, partitions, &end)?;
    }
    Ok(())
}

fn check_row(
    table: Table,
    key: &[u8],
    partition: Partition,
    position: Position,
    partitions: u16,
    end: &impl Fn(Partition) -> Position,
) -> Result<(), StoreError> {
    let damage = |reason| Err(StoreError::Corrupt { at: Place::Row { table, key: key.to_vec() }, reason });
    if key.len() < 2 || key.len() > KEY_BYTES_MAX {
        return damage(Corruption::Row("a key has its partition and at most 66,098 bytes more"));
    }
    if partition == Partition::SHARED {
        return if position == Position::START {
            Ok(())
        } else {
            damage(Corruption::Row("a row of the whole store has no position"))
        };
    }
    check_partition(partition, partitions)?;
    let end = end(partition);
    if position >= end { damage(Corruption::RowBeyondLog { position, end }) } else { Ok(()) }
}

/// What the checkpoint row of a partition says, if it is there: else all must be replayed.
pub(crate) fn checkpoint_of(
    partition: Partition,
    bytes: Option<&[u8]>,
    first: Position,
) -> Result<Position, StoreError> {
    position_row(partition, CHECKPOINT, bytes).map(|position| position.unwrap_or(first))
}

/// What the row of a partition that says up to where its log was cut off says.
pub(crate) fn trimmed_of(partition: Partition, bytes: Option<&[u8]>) -> Result<Position, StoreError> {
    position_row(partition, TRIMMED, bytes).map(|position| position.unwrap_or(Position::FIRST))
}

fn position_row(partition: Partition, name: &str, bytes: Option<&[u8]>) -> Result<Option<Position>, StoreError> {
    let Some(bytes) = bytes else { return Ok(None) };
    match bytes.try_into() {
        Ok(bytes) => Ok(Some(Position::from_bytes(bytes))),
        Err(_) => Err(StoreError::Corrupt {
            at: Place::Row { table: Table::Meta, key: Key::new().named(partition, name).bytes().to_vec() },
            reason: Corruption::Row("a position has ten bytes"),
        }),
    }
}
