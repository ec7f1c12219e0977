//! A store made anew from its log, without its tables: for when a table is damaged and the log is not.
//!
//! RocksDB does not open while a file of any table is damaged, so the log alone is read, and each of its blocks, verified,
//! goes into a store of its own beside the old one, which then takes its place. The folders change names in two steps. A
//! process that ends between them leaves no store under the old one's name; then, on the next opening, the old one gets its
//! name back.

use super::*;

/// Where the new store is made, and where the old one goes before it is removed.
pub(super) const NEW: &str = "rocksdb.new";
const OLD: &str = "rocksdb.old";
/// About how many bytes are written at once.
const BATCH_BYTES: usize = 4 << 20;

impl RocksStore {
    /// Makes the store in `folder` anew from its log: afterwards its tables are empty, but for its settings.
    ///
    /// Cost: reads and writes the log once, and needs room for it twice. Whatever ends this early leaves the store as it was.
    ///
    /// # Errors
    /// As [`RocksStore::open`], also for damage anywhere in the log. [`StoreError::Trimmed`] when the start of a log was
    /// cut off, since what the tables know of that cannot be made again.
    pub fn forget_tables(folder: &Path) -> Result<(), StoreError> {
        if !has_store(folder) && !folder.join(OLD).exists() {
            return Err(StoreError::Missing { folder: folder.to_owned() });
        }
        let _lock = folder::lock(folder, ENGINE)?;
        finish(folder)?;
        let (engine, new, old) = (folder.join(ENGINE), folder.join(NEW), folder.join(OLD));
        frames::refuse_damage(&engine)?;
        let log = DB::open_cf_for_read_only(&read_only_options(), &engine, [DEFAULT, LOG], false)
            .map_err(|error| open_error(folder, error))?;
        let settings = match settings_of_log(&log)? {
            Some(settings) => settings,
            None => {
                let families = [DEFAULT, Table::Meta.title()];
                let meta = DB::open_cf_for_read_only(&read_only_options(), &engine, families, false)
                    .map_err(|error| open_error(folder, error))?;
                settings_of_tables(&meta)?.ok_or_else(|| StoreError::Missing { folder: folder.to_owned() })?
            }
        };
        copy_log(&log, &new, settings)?;
        drop(log);
        fs::rename(&engine, &old)?;
        fs::rename(&new, &engine)?;
        // The old one goes when the new one is surely there.
        fs::File::open(folder)?.sync_all()?;
        fs::remove_dir_all(&old)?;
        Ok(())
    }
}

/// Ends what an earlier process had begun: either the new store is in its place, or the old one is.
pub(super) fn finish(folder: &Path) -> Result<(), StoreError> {
    let (engine, new, old) = (folder.join(ENGINE), folder.join(NEW), folder.join(OLD));
    if old.exists() {
        if engine.exists() {
            fs::remove_dir_all(&old)?;
        } else {
            fs::rename(&old, &engine)?;
        }
    }
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    Ok(())
}

fn copy_log(from: &DB, path: &Path, settings: Settings) -> Result<(), StoreError> {
    let failed = |error| engine_error(Place::Folder, error);
    let to = new::make(path)?;
    let Settings { partitions, .. } = write_settings(&to, settings)?;
    let log = family(&to, LOG)?;
    let mut batch = WriteBatch::default();
    for partition in (0..partitions).map(Partition) {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(log_key(partition, 0));
        options.set_iterate_upper_bound(log_key(Partition(partition.0 + 1), 0));
        let mut blocks = from.raw_iterator_cf_opt(family(from, LOG)?, options);
        blocks.seek_to_first();
        let mut number = Position::FIRST.block;
        while blocks.valid() {
            if let Err(error) = read_block(&blocks, partition, number) {
                let first = blocks.key().and_then(|key| key.try_into().ok()).map(u64::from_be_bytes);
                return Err(match (first, error) {
                    (Some(first), StoreError::Corrupt { reason: Corruption::Gap, .. }) if number == 1 => {
                        StoreError::Trimmed { partition, first: Position::block(first & Position::BLOCK_MAX) }
                    }
                    (_, error) => error,
                });
            }
            if let Some((key, block)) = blocks.item() {
                batch.put_cf(log, key, block);
            }
            if batch.size_in_bytes() > BATCH_BYTES {
                to.write_opt(std::mem::take(&mut batch), &WriteOptions::default()).map_err(failed)?;
            }
            number += 1;
            blocks.next();
        }
        blocks.status().map_err(|error| engine_error(Place::Logs, error))?;
    }
    to.write_opt(batch, &WriteOptions::default()).map_err(failed)?;
    to.flush_wal(true).map_err(failed)
}
