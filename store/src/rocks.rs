//! The store in a folder, on RocksDB. No other file names it.
//!
//! One column family holds the log, one each table; the partition is the start of every key, so
//! any number of partitions costs no more files. Keys of the log only ascend, which makes appends
//! cheap: a block goes to RocksDB's write-ahead log, then to a memtable, then to a file that later
//! merges only move. All families share the write-ahead log, so what a crash takes is a suffix of
//! the commits of the whole store, rows and blocks alike.
//!
//! `async` hands each commit to the operating system; `sync` does so too, and [`Log::flush`]
//! then flushes the write-ahead log once for all who wait.
//!
//! On opening, RocksDB drops a torn end of its write-ahead log; `frames.rs` looks first whether it is no more
//! than that. What lies below RocksDB's own checksums, ours find: on each block, for its place, and for a log
//! that ends before its checkpoint.
//!
//! Invariant: `end` of a partition is behind its last block; only the holder of `writer` moves it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io, thread};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRawIterator,
    DBRecoveryMode, DataBlockIndexType, ErrorKind, FlushOptions, InfoLogger, LogLevel, Options, ReadOptions,
    WriteBatch, WriteOptions,
};

use crate::block::FORMAT_VERSION;
use crate::folder::{self, FolderLock};
use crate::record::RecordError;
use crate::rules::{self, Ends};
use crate::tables::{CHECKPOINT, POSITION_BYTES, TRIMMED};
use crate::{Batch, BlockBytes, BlockIter, Blocks, CheckReport, Corruption, Durability, Key, KeyRange, Log, Partition};
use crate::{Place, Position, Row, RowIter, Rows, STORE_FORMAT, Settings, Store, StoreError, Table, Tables, check};

mod anew;
mod copy;
mod frames;
mod hold;
mod new;

pub use copy::Sharing;
use hold::Held;
pub use new::NewStore;

/// Where in the folder of a store RocksDB keeps its files.
const ENGINE: &str = "rocksdb";
/// The column family of the log; the tables have their titles.
const LOG: &str = "log";
/// RocksDB insists on this one. It stays empty.
const DEFAULT: &str = "default";

/// Rows of [`Table::Meta`] that hold what is fixed when the store is made.
const FORMAT: &str = ".format";
const DURABILITY: &str = ".durability";
const PARTITIONS: &str = ".partitions";
const PLACING: &str = ".placing";

/// Above this, memtables are written out by [`Store::settle`]: recovering them would take longer,
/// about 45 ms a MB.
const SETTLE_BYTES: u64 = 1 << 20;

/// How to open a store. What is `None` is as the store has it; a new store gets the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RocksOptions {
    /// When a commit is durable; by default [`Durability::Sync`].
    pub durability: Option<Durability>,
    /// How many partitions; by default one.
    pub partitions: Option<u16>,
    /// The name of the hash that places composites; by default the empty one.
    pub placing: Option<String>,
    /// How many bytes of files are kept in memory; by default 64 MiB.
    pub cache_bytes: Option<usize>,
}

/// A store in a folder.
pub struct RocksStore {
    db: DB,
    settings: Settings,
    partitions: Vec<PartitionEnds>,
    access: Access,
    /// A write or a flush failed: what is in the log, and what of it on the disk, is unknown until it is opened anew.
    stopped: AtomicBool,
    /// Whether the disk fails to flush from now on.
    #[cfg(test)]
    flush_fails: AtomicBool,
}

enum Access {
    /// This process runs the store.
    Run { _lock: FolderLock },
    /// Another may; this one sees the store as it was on opening, in the files that it holds.
    Read { _held: Option<Held> },
}

/// How far a log reaches, in numbers of blocks.
struct PartitionEnds {
    writer: Mutex<()>,
    first: AtomicU64,
    end: AtomicU64,
    flushed: AtomicU64,
}

impl PartitionEnds {
    fn new(Ends { first, end, flushed }: Ends) -> PartitionEnds {
        PartitionEnds {
            writer: Mutex::new(()),
            first: AtomicU64::new(first.block),
            end: AtomicU64::new(end.block),
            flushed: AtomicU64::new(flushed.block),
        }
    }

    fn load(&self) -> Ends {
        // The watermark first: it is never ahead of an end that is read later.
        let flushed = Position::block(self.flushed.load(Ordering::Acquire));
        let first = Position::block(self.first.load(Ordering::Acquire));
        Ends { first, end: Position::block(self.end.load(Ordering::Acquire)), flushed }
    }
}

impl fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksStore").field("folder", &self.db.path()).field("settings", &self.settings).finish()
    }
}

impl RocksStore {
    /// Opens the store in `folder` to run it, making both if they are not there.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process runs it, [`StoreError::NewerFormat`],
    /// [`StoreError::Setting`] when it was made with other settings than those asked for,
    /// [`StoreError::NotAStore`], [`StoreError::Corrupt`]: see `spec/record.md`, section 6.
    pub fn open(folder: &Path, asked: &RocksOptions) -> Result<RocksStore, StoreError> {
        if asked.durability == Some(Durability::Memory) {
            return Err(StoreError::Setting {
                name: "durability",
                stored: "async or sync".to_owned(),
                asked: Durability::Memory.to_string(),
            });
        }
        let lock = folder::lock(folder, ENGINE)?;
        anew::finish(folder)?;
        let path = folder.join(ENGINE);
        let is_new = !has_store(folder);
        if is_new {
            refuse_lost_files(&path)?;
        } else {
            look_first(&path)?;
        }
        let mut options = database_options();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        let db = DB::open_cf_descriptors(&options, &path, families(asked.cache_bytes))
            .map_err(|error| open_error(folder, error))?;
        let settings = match (settings_of_tables(&db)?, settings_of_log(&db)?) {
            (Some(settings), Some(kept)) if settings == kept => settings,
            (Some(settings), None) | (None, Some(settings)) => write_settings(&db, settings)?,
            (None, None) => write_settings(&db, new_settings(&db, asked)?)?,
            (Some(_), Some(_)) => return Err(settings_differ()),
        };
        Self::with(db, settings, asked, Access::Run { _lock: lock })
    }

    /// Opens the store in `folder` as it is now, beside a process that may be running it.
    ///
    /// What is committed later is not seen: open it again. [`Log::end`] says how far it sees.
    ///
    /// # Errors
    /// [`StoreError::Missing`], and as [`open`](Self::open), but never [`StoreError::Locked`].
    pub fn open_read_only(folder: &Path) -> Result<RocksStore, StoreError> {
        if !has_store(folder) {
            return Err(StoreError::Missing { folder: folder.to_owned() });
        }
        let path = folder.join(ENGINE);
        let (db, held) = open_unchanged(folder, &path)?;
        let settings = match (settings_of_tables(&db)?, settings_of_log(&db)?) {
            (Some(settings), Some(kept)) if settings != kept => return Err(settings_differ()),
            (Some(settings), _) | (None, Some(settings)) => settings,
            (None, None) => return Err(StoreError::Missing { folder: folder.to_owned() }),
        };
        Self::with(db, settings, &RocksOptions::default(), Access::Read { _held: held })
    }

    fn with(db: DB, settings: Settings, asked: &RocksOptions, access: Access) -> Result<RocksStore, StoreError> {
        let Settings { durability, partitions, placing } = &settings;
        refuse_other("durability", durability, asked.durability.as_ref())?;
        refuse_other("partitions", partitions, asked.partitions.as_ref())?;
        refuse_other("placing", placing, asked.placing.as_ref())?;
        let ends = (0..*partitions)
            .map(|number| Ok(PartitionEnds::new(find_ends(&db, Partition(number))?)))
            .collect::<Result<_, StoreError>>()?;
        Ok(RocksStore {
            db,
            settings,
            partitions: ends,
            access,
            stopped: AtomicBool::new(false),
            #[cfg(test)]
            flush_fails: AtomicBool::new(false),
        })
    }

    fn partition(&self, partition: Partition) -> Result<&PartitionEnds, StoreError> {
        rules::check_partition(partition, self.settings.partitions)?;
        Ok(&self.partitions[usize::from(partition.0)])
    }

    /// Whether this process runs the store, and nothing has failed so far.
    fn check_runs(&self) -> Result<(), StoreError> {
        match self.access {
            Access::Run { .. } if self.stopped.load(Ordering::Acquire) => Err(StoreError::Stopped),
            Access::Run { .. } => Ok(()),
            Access::Read { .. } => Err(StoreError::ReadOnly),
        }
    }

    /// Whatever failed, nothing more is written: the operating system may have dropped what it could not write, and
    /// say the next time that all is well.
    fn stop_if_failed<T>(&self, result: Result<T, rocksdb::Error>) -> Result<T, StoreError> {
        result.map_err(|error| {
            self.stopped.store(true, Ordering::Release);
            engine_error(Place::Folder, error)
        })
    }

    fn write_batch(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.check_runs()?;
        self.stop_if_failed(self.db.write_opt(batch, &WriteOptions::default()))
    }

    /// Flushes the write-ahead log to the disk.
    fn flush_log(&self) -> Result<(), StoreError> {
        self.check_runs()?;
        #[cfg(test)]
        if self.flush_fails.load(Ordering::Acquire) {
            self.stopped.store(true, Ordering::Release);
            return Err(StoreError::Io(io::Error::other("the disk fails")));
        }
        self.stop_if_failed(self.db.flush_wal(true))
    }

    fn add_rows(&self, batch: &mut WriteBatch, rows: &Rows) -> Result<(), StoreError> {
        for (table, key, row) in rows.stored() {
            let family = family(&self.db, table.title())?;
            match row {
                Some(row) if table.is_positioned() => batch.put_cf(family, key, row),
                Some(row) => batch.put_cf(family, key, &row[POSITION_BYTES..]),
                None => batch.delete_cf(family, key),
            }
        }
        Ok(())
    }

    fn row<'r>(table: Table, key: &[u8], row: &'r [u8]) -> Result<(Position, &'r [u8]), StoreError> {
        if !table.is_positioned() {
            return Ok((Position::START, row));
        }
        match row.split_first_chunk() {
            Some((position, bytes)) => Ok((Position::from_bytes(*position), bytes)),
            None => Err(StoreError::Corrupt {
                at: Place::Row { table, key: key.to_vec() },
                reason: Corruption::Row("the row has no position"),
            }),
        }
    }
}

impl Log for RocksStore {
    fn append(&self, partition: Partition, expected: Position, blocks: &Blocks) -> Result<Position, StoreError> {
        rules::check_blocks(partition, blocks);
        self.commit(expected, Batch { blocks, rows: &Rows::new() })
    }

    fn read(&self, partition: Partition, from: Position) -> Result<BlockIter<'_>, StoreError> {
        let ends = self.partition(partition)?.load();
        ends.check_read(partition, from)?;
        if from.block >= ends.end.block {
            return Ok(Box::new(std::iter::empty()));
        }
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(log_key(partition, from.block));
        options.set_iterate_upper_bound(log_key(partition, ends.end.block));
        // Each block is read once: it should not push rows out of the cache.
        options.fill_cache(false);
        let mut blocks = self.db.raw_iterator_cf_opt(family(&self.db, LOG)?, options);
        blocks.seek_to_first();
        let mut next = Some(from.block);
        Ok(Box::new(std::iter::from_fn(move || {
            let number = next.filter(|&number| number < ends.end.block)?;
            let block = read_block(&blocks, partition, number);
            next = block.is_ok().then_some(number + 1);
            blocks_forward(&mut blocks);
            Some(block)
        })))
    }

    fn block(&self, partition: Partition, number: u64) -> Result<Option<BlockBytes>, StoreError> {
        let ends = self.partition(partition)?.load();
        ends.check_read(partition, Position::block(number))?;
        if number >= ends.end.block {
            return Ok(None);
        }
        let place = Place::Log { partition, position: Position::block(number) };
        match self.db.get_pinned_cf(family(&self.db, LOG)?, log_key(partition, number)) {
            Ok(Some(bytes)) => verify_block(&bytes, partition, number).map(Some),
            Ok(None) => Err(StoreError::Corrupt { at: place, reason: Corruption::Gap }),
            Err(error) => Err(engine_error(place, error)),
        }
    }

    fn trim(&self, partition: Partition, to: Position) -> Result<(), StoreError> {
        let ends = self.partition(partition)?;
        let _writer = ends.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let before = ends.load();
        let Some(first) = before.trimmed(to) else { return Ok(()) };
        let log = family(&self.db, LOG)?;
        let (from, to) = (log_key(partition, before.first.block), log_key(partition, first.block));
        let mut batch = WriteBatch::default();
        let mut key = Key::new();
        let meta = family(&self.db, Table::Meta.title())?;
        batch.put_cf(meta, key.named(partition, TRIMMED).bytes(), first.to_bytes());
        batch.delete_range_cf(log, from, to);
        self.write_batch(batch)?;
        ends.first.store(first.block, Ordering::Release);
        // Whole files of nothing else can go at once; what this leaves, merging takes. That they may
        // be missing must be on the disk before they are.
        self.flush_log()?;
        self.db.delete_file_in_range_cf(log, from, to).map_err(|error| engine_error(Place::Folder, error))
    }

    fn first(&self, partition: Partition) -> Result<Position, StoreError> {
        Ok(self.partition(partition)?.load().first)
    }

    fn end(&self, partition: Partition) -> Result<Position, StoreError> {
        Ok(self.partition(partition)?.load().end)
    }

    fn flushed(&self, partition: Partition) -> Result<Position, StoreError> {
        Ok(self.partition(partition)?.load().flushed)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.check_runs()?;
        match self.settings.durability {
            Durability::Memory | Durability::Async => return Ok(()),
            Durability::Sync => {}
        }
        // What is committed meanwhile may be flushed too, but is not promised.
        let ends: Vec<u64> = self.partitions.iter().map(|ends| ends.end.load(Ordering::Acquire)).collect();
        self.flush_log()?;
        for (partition, end) in self.partitions.iter().zip(ends) {
            partition.flushed.fetch_max(end, Ordering::AcqRel);
        }
        Ok(())
    }
}

impl Tables for RocksStore {
    fn get_into(&self, table: Table, key: &Key, bytes: &mut Vec<u8>) -> Result<Option<Position>, StoreError> {
        bytes.clear();
        let found = self
            .db
            .get_pinned_cf(family(&self.db, table.title())?, key.bytes())
            .map_err(|error| engine_error(Place::Row { table, key: key.bytes().to_vec() }, error))?;
        let Some(row) = found else { return Ok(None) };
        let (position, row) = Self::row(table, key.bytes(), &row)?;
        bytes.extend_from_slice(row);
        Ok(Some(position))
    }

    fn multi_get(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        let family = family(&self.db, table.title())?;
        let rows = self.db.batched_multi_get_cf(family, keys.iter().map(Key::bytes), keys.is_sorted());
        keys.iter()
            .zip(rows)
            .map(|(key, row)| {
                let row = row.map_err(|error| engine_error(Place::Row { table, key: key.bytes().to_vec() }, error))?;
                let Some(row) = row else { return Ok(None) };
                let (position, bytes) = Self::row(table, key.bytes(), &row)?;
                Ok(Some(Row { position, bytes: bytes.to_vec() }))
            })
            .collect()
    }

    fn scan(&self, table: Table, range: &KeyRange) -> Result<RowIter<'_>, StoreError> {
        if range.from >= range.to {
            return Ok(Box::new(std::iter::empty()));
        }
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(range.from.bytes());
        options.set_iterate_upper_bound(range.to.bytes());
        let mut rows = self.db.raw_iterator_cf_opt(family(&self.db, table.title())?, options);
        rows.seek_to_first();
        let mut ended = false;
        Ok(Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let Some((key, row)) = rows.item() else {
                ended = true;
                return rows.status().err().map(|error| Err(engine_error(Place::Table(table), error)));
            };
            let item = Self::row(table, key, row)
                .map(|(position, bytes)| (Key::from_bytes(key), Row { position, bytes: bytes.to_vec() }));
            rows.next();
            Some(item)
        })))
    }

    fn write(&self, rows: &Rows) -> Result<(), StoreError> {
        rules::check_rows(rows, self.settings.partitions, |partition| {
            self.partitions[usize::from(partition.0)].load().end
        })?;
        let mut batch = WriteBatch::default();
        self.add_rows(&mut batch, rows)?;
        self.write_batch(batch)
    }
}

impl Store for RocksStore {
    fn commit(&self, expected: Position, Batch { blocks, rows }: Batch<'_>) -> Result<Position, StoreError> {
        let partition = blocks.partition();
        let ends = self.partition(partition)?;
        let _writer = ends.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let end = ends.load().check_append(expected, blocks)?;
        rules::check_rows(rows, self.settings.partitions, |other| {
            if other == partition { end } else { self.partitions[usize::from(other.0)].load().end }
        })?;
        let mut batch = WriteBatch::with_capacity_bytes(blocks.bytes_len() + blocks.len() * 16 + 64);
        let log = family(&self.db, LOG)?;
        for (number, bytes) in blocks.iter() {
            batch.put_cf(log, log_key(partition, number), bytes);
        }
        self.add_rows(&mut batch, rows)?;
        self.write_batch(batch)?;
        ends.end.store(end.block, Ordering::Release);
        match self.settings.durability {
            Durability::Memory | Durability::Async => ends.flushed.store(end.block, Ordering::Release),
            Durability::Sync => {}
        }
        Ok(end)
    }

    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn checkpoint(&self, partition: Partition) -> Result<Position, StoreError> {
        let first = self.first(partition)?;
        let row = self.get(Table::Meta, Key::new().named(partition, CHECKPOINT))?;
        rules::checkpoint_of(partition, row.as_ref().map(|row| row.bytes.as_slice()), first)
    }

    fn check(&self) -> Result<CheckReport, StoreError> {
        check::check(self)
    }

    fn settle(&self) -> Result<(), StoreError> {
        match self.access {
            Access::Run { .. } => self.check_runs()?,
            Access::Read { .. } => return Ok(()),
        }
        let families = family_names().map(|name| family(&self.db, name)).collect::<Result<Vec<_>, _>>()?;
        let mut bytes = 0;
        for family in &families {
            let size = self.db.property_int_value_cf(family, rocksdb::properties::CUR_SIZE_ACTIVE_MEM_TABLE);
            bytes += size.map_err(|error| engine_error(Place::Folder, error))?.unwrap_or(0);
        }
        if bytes < SETTLE_BYTES {
            return Ok(());
        }
        self.stop_if_failed(self.db.flush_cfs_opt(&families, &FlushOptions::default()))
    }
}

/// Partition and block number, highest byte first: keys of one log lie side by side and ascend.
fn log_key(partition: Partition, block: u64) -> [u8; 8] {
    ((u64::from(partition.0) << 48) | block).to_be_bytes()
}

/// Whether there is a store in the folder, as far as one can see without opening it.
fn has_store(folder: &Path) -> bool {
    folder.join(ENGINE).join("CURRENT").exists()
}

fn family<'d>(db: &'d DB, name: &str) -> Result<&'d ColumnFamily, StoreError> {
    db.cf_handle(name).ok_or_else(|| StoreError::Corrupt {
        at: Place::Folder,
        reason: Corruption::Engine(format!("there is no column family `{name}`")),
    })
}

fn family_names() -> impl Iterator<Item = &'static str> {
    [LOG].into_iter().chain(Table::ALL.iter().map(|table| table.title()))
}

fn blocks_forward(blocks: &mut DBRawIterator<'_>) {
    if blocks.valid() {
        blocks.next();
    }
}

/// The block under the iterator, which must be `number`.
fn read_block(blocks: &DBRawIterator<'_>, partition: Partition, number: u64) -> Result<BlockBytes, StoreError> {
    let place = Place::Log { partition, position: Position::block(number) };
    match blocks.item() {
        Some((key, bytes)) if key == log_key(partition, number) => verify_block(bytes, partition, number),
        Some(_) => Err(StoreError::Corrupt { at: place, reason: Corruption::Gap }),
        None => match blocks.status() {
            Ok(()) => Err(StoreError::Corrupt { at: place, reason: Corruption::Gap }),
            Err(error) => Err(engine_error(place, error)),
        },
    }
}

fn verify_block(bytes: &[u8], partition: Partition, number: u64) -> Result<BlockBytes, StoreError> {
    let at = Place::Log { partition, position: Position::block(number) };
    match BlockBytes::new(Arc::from(bytes)) {
        Ok(block) if block.partition() == partition && block.number() == number => Ok(block),
        Ok(block) => {
            let reason = Corruption::Misplaced { partition: block.partition(), number: block.number() };
            Err(StoreError::Corrupt { at, reason })
        }
        Err(RecordError::Version { found }) if found > FORMAT_VERSION => {
            Err(StoreError::NewerFormat { found: u32::from(found), known: u32::from(FORMAT_VERSION) })
        }
        Err(error) => Err(StoreError::Corrupt { at, reason: Corruption::Bytes(error) }),
    }
}

/// Looks where a log starts and ends, without reading it.
fn find_ends(db: &DB, partition: Partition) -> Result<Ends, StoreError> {
    let meta = |name: &str| {
        let mut key = Key::new();
        let key = key.named(partition, name);
        db.get_cf(family(db, Table::Meta.title())?, key.bytes())
            .map_err(|error| engine_error(Place::Row { table: Table::Meta, key: key.bytes().to_vec() }, error))
    };
    let first = rules::trimmed_of(partition, meta(TRIMMED)?.as_deref())?;
    let mut blocks = db.raw_iterator_cf(family(db, LOG)?);
    let number = |blocks: &DBRawIterator<'_>| {
        let place = Place::Log { partition, position: first };
        blocks.status().map_err(|error| engine_error(place.clone(), error))?;
        let Some(key) = blocks.key() else { return Ok(None) };
        let key = key.try_into().map(u64::from_be_bytes).map_err(|_| StoreError::Corrupt {
            at: place,
            reason: Corruption::Engine("a key of the log has not eight bytes".to_owned()),
        })?;
        Ok::<_, StoreError>((key >> 48 == u64::from(partition.0)).then_some(key & Position::BLOCK_MAX))
    };
    blocks.seek(log_key(partition, 0));
    let first_number = number(&blocks)?;
    blocks.seek_for_prev(log_key(partition, Position::BLOCK_MAX));
    let last_number = number(&blocks)?;
    let end = match (first_number, last_number) {
        (Some(found), Some(last)) if found == first.block => Position::block(last + 1),
        (None, None) => first,
        (Some(_), _) | (_, Some(_)) => {
            return Err(StoreError::Corrupt { at: Place::Log { partition, position: first }, reason: Corruption::Gap });
        }
    };
    let checkpoint = rules::checkpoint_of(partition, meta(CHECKPOINT)?.as_deref(), first)?;
    if checkpoint > end {
        return Err(StoreError::Corrupt {
            at: Place::Log { partition, position: end },
            reason: Corruption::EndsBefore { checkpoint },
        });
    }
    // RocksDB writes what it recovers to files, flushed, before it opens: all of it is durable. A
    // reader beside the running process counts what it sees.
    Ok(Ends { first, end, flushed: end })
}

fn refuse_other<T: PartialEq + ToString>(name: &'static str, stored: &T, asked: Option<&T>) -> Result<(), StoreError> {
    match asked {
        Some(asked) if asked != stored => {
            Err(StoreError::Setting { name, stored: stored.to_string(), asked: asked.to_string() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Opens the files as they were at one moment, and says what holds them.
fn open_unchanged(folder: &Path, path: &Path) -> Result<(DB, Option<Held>), StoreError> {
    let open = |path: &Path| {
        look_first(path)?;
        DB::open_cf_descriptors_read_only(&read_only_options(), path, families(None), false)
            .map_err(|error| open_error(folder, error))
    };
    if let Some(held) = Held::take(folder, path) {
        return Ok((open(held.path())?, Some(held)));
    }
    // There can be no links, as on a disk that can only be read. For a process that runs the store beside this one,
    // opening must come between two changes of its manifest: see `hold.rs`.
    const ATTEMPTS_MAX: u32 = 50;
    let mut attempt = 1;
    loop {
        let before = manifest(path);
        let opened = open(path);
        let unchanged = match (before, manifest(path)) {
            (Ok(before), Ok(after)) => before == after,
            (Err(_), _) | (_, Err(_)) => false,
        };
        match opened {
            Ok(db) if unchanged => return Ok((db, None)),
            // A file was gone before it could be opened; its successor may have been listed later.
            Err(error) if attempt == ATTEMPTS_MAX || (unchanged && attempt >= 5) => return Err(error),
            Ok(_) if attempt == ATTEMPTS_MAX => {
                let message = "the process that runs the store changes its files faster than they can be opened, \
                               and its folder cannot be written to";
                return Err(StoreError::Io(io::Error::new(io::ErrorKind::ResourceBusy, message)));
            }
            Ok(_) | Err(_) => thread::sleep(Duration::from_millis(10)),
        }
        attempt += 1;
    }
}

/// Which manifest there is, and how long it is. It only grows.
fn manifest(path: &Path) -> io::Result<(String, u64)> {
    let current = fs::read_to_string(path.join("CURRENT"))?;
    // Not a byte more is taken off: RocksDB refuses what is damaged, and so must whoever writes it anew.
    let name = current.strip_suffix('\n').unwrap_or(&current).to_owned();
    let length = fs::metadata(path.join(&name))?.len();
    Ok((name, length))
}

/// Without the file `CURRENT` RocksDB would make a new store in the place of one that is there.
fn refuse_lost_files(path: &Path) -> Result<(), StoreError> {
    let files = match fs::read_dir(path) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for file in files {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        // A store whose making was cut short has neither rows nor records.
        if name.ends_with(".sst") || (name.ends_with(".log") && file.metadata()?.len() > 0) {
            let at = Place::File { name: "CURRENT".to_owned(), table: None, byte: None };
            return Err(StoreError::Corrupt {
                at,
                reason: Corruption::Engine(format!("it is missing, `{name}` is not")),
            });
        }
    }
    Ok(())
}

/// Refuses what RocksDB would believe, or would only call strange.
fn look_first(path: &Path) -> Result<(), StoreError> {
    let write_ahead_logs = frames::refuse_damage(path)?;
    let found = DB::list_cf(&Options::default(), path).map_err(|error| engine_error(Place::Folder, error))?;
    // It is there before the families are, and there is another before it goes.
    if write_ahead_logs == 0 && found.iter().any(|name| name == LOG) {
        return Err(frames::damaged("*.log", None, "the write-ahead log is missing"));
    }
    // A newer version may have families that this one does not know.
    let Some(unknown) = found.iter().find(|name| *name != DEFAULT && !family_names().any(|known| known == *name))
    else {
        return Ok(());
    };
    let meta = [DEFAULT, Table::Meta.title()];
    let db = DB::open_cf_for_read_only(&read_only_options(), path, meta, false)
        .map_err(|error| engine_error(Place::Folder, error))?;
    settings_of_tables(&db)?;
    let reason = Corruption::Engine(format!("there is an unknown column family `{unknown}`"));
    Err(StoreError::Corrupt { at: Place::Folder, reason })
}

/// What was fixed when the store was made, as the table `meta` has it; `None` if that has nothing.
fn settings_of_tables(db: &DB) -> Result<Option<Settings>, StoreError> {
    let meta = family(db, Table::Meta.title())?;
    let get = |name: &str| {
        let mut key = Key::new();
        let key = key.named(Partition::SHARED, name);
        let place = Place::Row { table: Table::Meta, key: key.bytes().to_vec() };
        db.get_cf(meta, key.bytes()).map(|row| (row, place.clone())).map_err(|error| engine_error(place, error))
    };
    let damage = |at: Place| StoreError::Corrupt { at, reason: Corruption::Row("a setting is not what one can be") };
    let (format, format_place) = get(FORMAT)?;
    let Some(format) = format else { return Ok(None) };
    let found = format.as_slice().try_into().map(u32::from_be_bytes).map_err(|_| damage(format_place.clone()))?;
    if found > STORE_FORMAT {
        return Err(StoreError::NewerFormat { found, known: STORE_FORMAT });
    }
    if found == 0 {
        return Err(damage(format_place));
    }
    let (durability, place) = get(DURABILITY)?;
    let durability = text(durability).and_then(|name| Durability::from_name(&name)).ok_or_else(|| damage(place))?;
    let (partitions, place) = get(PARTITIONS)?;
    let partitions = partitions
        .and_then(|bytes| bytes.as_slice().try_into().ok())
        .map(u16::from_be_bytes)
        .filter(|count| (1..u16::MAX).contains(count))
        .ok_or_else(|| damage(place))?;
    let (placing, place) = get(PLACING)?;
    let placing = text(placing).ok_or_else(|| damage(place))?;
    Ok(Some(Settings { durability, partitions, placing }))
}

fn text(row: Option<Vec<u8>>) -> Option<String> {
    String::from_utf8(row?).ok()
}

/// The settings of a new store.
fn new_settings(db: &DB, asked: &RocksOptions) -> Result<Settings, StoreError> {
    let settings = Settings {
        durability: asked.durability.unwrap_or(Durability::Sync),
        partitions: asked.partitions.unwrap_or(1),
        placing: asked.placing.clone().unwrap_or_default(),
    };
    assert!((1..u16::MAX).contains(&settings.partitions), "a store has 1 to 65,534 partitions");
    let mut log = db.raw_iterator_cf(family(db, LOG)?);
    log.seek_to_first();
    if log.valid() {
        let reason = Corruption::Engine("the log has blocks, but the settings of the store are lost".to_owned());
        return Err(StoreError::Corrupt { at: Place::Folder, reason });
    }
    Ok(settings)
}

/// Writes the settings, in the table and beside the log; before that a new store is none.
fn write_settings(db: &DB, settings: Settings) -> Result<Settings, StoreError> {
    let meta = family(db, Table::Meta.title())?;
    let mut batch = WriteBatch::default();
    let mut key = Key::new();
    batch.put_cf(meta, key.named(Partition::SHARED, FORMAT).bytes(), STORE_FORMAT.to_be_bytes());
    batch.put_cf(meta, key.named(Partition::SHARED, DURABILITY).bytes(), settings.durability.name());
    batch.put_cf(meta, key.named(Partition::SHARED, PARTITIONS).bytes(), settings.partitions.to_be_bytes());
    batch.put_cf(meta, key.named(Partition::SHARED, PLACING).bytes(), &settings.placing);
    batch.put_cf(family(db, LOG)?, log_key(Partition::SHARED, 0), settings_to_bytes(&settings));
    let mut options = WriteOptions::default();
    options.set_sync(true);
    db.write_opt(batch, &options).map_err(|error| engine_error(Place::Folder, error))?;
    Ok(settings)
}

/// The settings as they stand beside the log, in the place of block 0 of no partition: so they outlive the tables.
fn settings_to_bytes(settings: &Settings) -> Vec<u8> {
    let Settings { durability, partitions, placing } = settings;
    let mut bytes = STORE_FORMAT.to_be_bytes().to_vec();
    bytes.extend_from_slice(&partitions.to_be_bytes());
    bytes.extend_from_slice(format!("{durability} {placing}").as_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

/// What [`settings_to_bytes`] wrote; `None` in a store that has none yet.
fn settings_of_log(db: &DB) -> Result<Option<Settings>, StoreError> {
    let bytes =
        db.get_cf(family(db, LOG)?, log_key(Partition::SHARED, 0)).map_err(|error| engine_error(Place::Logs, error))?;
    let Some(bytes) = bytes else { return Ok(None) };
    let read = || {
        let (bytes, sum) = bytes.split_last_chunk::<4>()?;
        let (format, rest) = bytes.split_first_chunk::<4>()?;
        let (partitions, rest) = rest.split_first_chunk::<2>()?;
        let (durability, placing) = std::str::from_utf8(rest).ok()?.split_once(' ')?;
        let settings = Settings {
            durability: Durability::from_name(durability)?,
            partitions: u16::from_be_bytes(*partitions),
            placing: placing.to_owned(),
        };
        (crc32fast::hash(bytes) == u32::from_be_bytes(*sum)).then_some((u32::from_be_bytes(*format), settings))
    };
    match read() {
        Some((found, _)) if found > STORE_FORMAT => Err(StoreError::NewerFormat { found, known: STORE_FORMAT }),
        Some((_, settings)) => Ok(Some(settings)),
        None => {
            let reason = Corruption::Engine("the settings beside the log are not what was written".to_owned());
            Err(StoreError::Corrupt { at: Place::Logs, reason })
        }
    }
}

fn settings_differ() -> StoreError {
    let reason = Corruption::Engine("the table `meta` has other settings than the log".to_owned());
    StoreError::Corrupt { at: Place::Table(Table::Meta), reason }
}

/// Options of the whole database.
fn database_options() -> Options {
    let mut options = Options::default();
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_enable_pipelined_write(true);
    // Bounds what a recovery has to read: about 45 ms a MB.
    options.set_max_total_wal_size(128 << 20);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1 << 20);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(1 << 20);
    options.set_keep_log_file_num(2);
    options
}

/// The same for a reader, which leaves no file behind.
fn read_only_options() -> Options {
    let mut options = database_options();
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {}));
    options
}

fn families(cache_bytes: Option<usize>) -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(cache_bytes.unwrap_or(64 << 20));
    family_names()
        .map(|name| ColumnFamilyDescriptor::new(name, family_options(name, &cache)))
        .chain([ColumnFamilyDescriptor::new(DEFAULT, Options::default())])
        .collect()
}

fn family_options(name: &str, cache: &Cache) -> Options {
    let mut files = BlockBasedOptions::default();
    files.set_block_cache(cache);
    if name == LOG {
        // A block of the log is read as a whole; nobody asks for one that is not there.
        files.set_block_size(16 << 10);
    } else {
        files.set_bloom_filter(10.0, false);
        files.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&files);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(64 << 20);
    if name != LOG {
        // The wrapper has no method for interpolation, and a string sets all or forgets the filter. A
        // build of RocksDB without it is as right, and slower.
        let interpolation = "block_based_table_factory={filter_policy=bloomfilter:10:false;\
                             index_block_search_type=kInterpolation}";
        if let Ok(better) = options.get_options_from_string(interpolation) {
            return better;
        }
    }
    options
}

/// What RocksDB says on opening, as what it means.
fn open_error(folder: &Path, error: rocksdb::Error) -> StoreError {
    let message = error.as_ref();
    if error.kind() == ErrorKind::IOError && message.contains("lock") {
        return StoreError::Locked { folder: folder.to_owned(), process: None };
    }
    // A file that its own list names is not there.
    if error.kind() == ErrorKind::IOError && message.contains("No such file") {
        let at = damaged_family(folder).or_else(|| file_in(message, None)).unwrap_or(Place::Folder);
        return StoreError::Corrupt { at, reason: Corruption::Engine(error.into_string()) };
    }
    match engine_error(Place::Folder, error) {
        StoreError::Corrupt { at, reason: Corruption::Engine(message) } => {
            // RocksDB does not always say which file of rows it means, and suspects the manifest, which is looked at before.
            let message = message.split("  The file ").next().unwrap_or_default().to_owned();
            let at = damaged_family(folder).unwrap_or(at);
            StoreError::Corrupt { at, reason: Corruption::Engine(message) }
        }
        other => other,
    }
}

/// The table, or the logs, whose files do not open, if they are those of one.
fn damaged_family(folder: &Path) -> Option<Place> {
    let opens = |name: &str| {
        let families = [DEFAULT, name];
        DB::open_cf_for_read_only(&read_only_options(), folder.join(ENGINE), families, false).is_ok()
    };
    if !opens(LOG) {
        return opens(Table::Meta.title()).then_some(Place::Logs);
    }
    Table::ALL.iter().find(|table| !opens(table.title())).map(|table| Place::Table(*table))
}

fn engine_error(at: Place, error: rocksdb::Error) -> StoreError {
    match error.kind() {
        ErrorKind::Corruption | ErrorKind::InvalidArgument | ErrorKind::NotSupported | ErrorKind::NotFound => {
            let message = error.into_string();
            let at = match at {
                Place::Folder => file_in(&message, None).unwrap_or(at),
                Place::Table(table) => file_in(&message, Some(table)).unwrap_or(at),
                Place::Log { .. } | Place::Row { .. } | Place::Logs | Place::File { .. } => at,
            };
            StoreError::Corrupt { at, reason: Corruption::Engine(message) }
        }
        ErrorKind::IOError
        | ErrorKind::MergeInProgress
        | ErrorKind::Incomplete
        | ErrorKind::ShutdownInProgress
        | ErrorKind::TimedOut
        | ErrorKind::Aborted
        | ErrorKind::Busy
        | ErrorKind::Expired
        | ErrorKind::TryAgain
        | ErrorKind::CompactionTooLarge
        | ErrorKind::ColumnFamilyDropped
        | ErrorKind::Unknown => StoreError::Io(io::Error::other(error.into_string())),
    }
}

/// The file of rows that a message of RocksDB names, and the byte where the damage starts.
fn file_in(message: &str, table: Option<Table>) -> Option<Place> {
    let end = message.find(".sst")? + ".sst".len();
    let name = message[..end].rsplit(['/', ' ']).next()?.to_owned();
    let number = |text: &str| text.split(' ').next().and_then(|digits| digits.parse().ok());
    let byte = message[end..].strip_prefix(" offset ").or_else(|| Some(message.split_once("Footer at ")?.1));
    Some(Place::File { name, table, byte: byte.and_then(number) })
}

#[cfg(test)]
mod tests;
