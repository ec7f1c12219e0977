//! Copies of whole stores, and what is damaged in one.
//!
//! A backup is a store. To a moment of the past a store is restored from its log alone: the blocks before the cut go to a new
//! store, the last of them without the records behind the cut, and its tables are made of them as if they had been lost.

use std::path::Path;

use twintalk_store::rocks::{NewStore, RocksStore, Sharing};
use twintalk_store::{BlockBuilder, Blocks, CheckReport, Log, Partition, Position, Store, StoreError};

use crate::cut::{self, Cut};
use crate::replay::damaged;
use crate::{OpenError, OpenOptions, System};

impl System {
    /// Copies the store in `folder`, as it is now, to `to`, beside a process that may be running it. Files that never change
    /// are the same in both where they lie on one file system. Answers up to where its logs reach.
    ///
    /// # Errors
    /// The store refuses, or `to` is not empty; then there is no copy.
    pub fn backup(folder: &Path, to: &Path) -> Result<Vec<Position>, StoreError> {
        RocksStore::copy(folder, to, Sharing::Files)?;
        let copy = RocksStore::open_read_only(to)?;
        cut::positions(&copy, &Cut::Now)
    }

    /// Makes a store in `to` that is what the one in `from` is, or was at a moment. Answers up to where its logs reach.
    ///
    /// Of now it is a copy, whose every byte is read, and whose tables are made again if they are damaged.
    ///
    /// # Errors
    /// The store in `from` is damaged or refuses, or `to` is not empty.
    pub fn restore(from: &Path, to: &Path, cut: &Cut) -> Result<Vec<Position>, OpenError> {
        if *cut == Cut::Now {
            RocksStore::copy(from, to, Sharing::Nothing)?;
            let mut damage = System::check_store(to)?.damage.into_iter();
            if damage.len() > 0 {
                if let Some((at, reason)) = damage.find(|(at, _)| !at.is_in_table()) {
                    return Err(StoreError::Corrupt { at, reason }.into());
                }
                System::rebuild_tables(to)?;
            }
        } else {
            let store = RocksStore::open_read_only(from)?;
            let ends = cut::positions(&store, cut)?;
            let mut new = NewStore::begin(to, store.settings())?;
            for (partition, end) in (0..).map(Partition).zip(&ends) {
                copy_log(&store, &mut new, partition, *end)?;
            }
            new.finish()?;
            // One without records would be given a program, which it did not have.
            if ends.iter().any(|end| *end > Position::FIRST) {
                let system = System::open(OpenOptions { folder: Some(to.to_owned()), ..OpenOptions::default() })?;
                system.settle_store()?;
            }
        }
        Ok(cut::positions(&RocksStore::open_read_only(to)?, &Cut::Now)?)
    }

    /// Reads every byte of the store in `folder`, also beside a process that runs it, and says what is damaged and where, also
    /// if it is so damaged that it does not open. Runs no code, and changes nothing.
    ///
    /// # Errors
    /// There is no such store, or it cannot be read at all.
    pub fn check_store(folder: &Path) -> Result<CheckReport, StoreError> {
        let damaged = |error| match error {
            StoreError::Corrupt { at, reason } => {
                Ok(CheckReport { damage: vec![(at, reason)], ..CheckReport::default() })
            }
            other => Err(other),
        };
        let mut report = match RocksStore::open_read_only(folder) {
            Ok(store) => store.check().or_else(damaged)?,
            Err(error) => return damaged(error),
        };
        if report.damage.is_empty() {
            match System::open(OpenOptions {
                folder: Some(folder.to_owned()),
                read_only: true,
                ..OpenOptions::default()
            }) {
                Ok(mut system) => report.damage = system.damage_of_indices()?,
                Err(OpenError::Store(error)) => report.damage = damaged(error)?.damage,
                // What its program is like, is not asked here.
                Err(_) => {}
            }
        }
        Ok(report)
    }
}

/// Copies what a log has before `end`.
fn copy_log(from: &RocksStore, to: &mut NewStore, partition: Partition, end: Position) -> Result<(), StoreError> {
    for block in from.read(partition, Position::FIRST)? {
        let block = block?;
        let (number, next) = (block.number(), to.next(partition)?);
        let unreadable = |_| damaged(partition, next, "a block that cannot be read");
        if number < end.block {
            let mut blocks = Blocks::new(partition, next);
            blocks.push(&block).map_err(unreadable)?;
            to.append(&blocks)?;
            continue;
        }
        // The names in a block are those of its records, so one with fewer is written anew.
        let mut builder = BlockBuilder::new(partition, next);
        for record in block.open().map_err(unreadable)?.records(0) {
            let (position, record) = record.map_err(unreadable)?;
            if (number, position.index) >= (end.block, end.index) {
                break;
            }
            builder.push(&record).map_err(|_| damaged(partition, position, "a record that cannot be written"))?;
        }
        return to.append(builder.finish());
    }
    Ok(())
}
