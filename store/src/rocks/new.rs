//! A store that is made of what another has: nothing of it is there before all of it is.
//!
//! It grows in the folder `rocksdb.new`, and gets its name when it is whole and on the disk. Whatever ends this early leaves a
//! folder without a store, and dropped in time not even that.

use super::*;

/// About how many bytes are written at once.
const BATCH_BYTES: usize = 4 << 20;

/// The folder of a store that is not there yet, locked.
pub(super) struct Site {
    folder: PathBuf,
    /// Where the files of RocksDB go meanwhile.
    pub(super) path: PathBuf,
    /// Whether the folder was made here.
    made: bool,
    settled: bool,
    _lock: FolderLock,
}

impl Site {
    /// Takes `folder`, which is empty or not there.
    pub(super) fn take(folder: &Path) -> Result<Site, StoreError> {
        let occupied = || StoreError::Occupied { folder: folder.to_owned() };
        let made = match fs::read_dir(folder) {
            // What an earlier attempt left is no store, and nobody's.
            Ok(mut files) => match files.all(|file| file.is_ok_and(|file| is_left_over(&file.file_name()))) {
                true => false,
                false => return Err(occupied()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(occupied()),
            Err(error) => return Err(error.into()),
        };
        let lock = folder::lock(folder, ENGINE)?;
        let place = Site { folder: folder.to_owned(), path: folder.join(anew::NEW), made, settled: false, _lock: lock };
        if place.path.exists() {
            fs::remove_dir_all(&place.path)?;
        }
        fs::create_dir(&place.path)?;
        Ok(place)
    }

    /// All files are written: it is a store from now on.
    pub(super) fn settle(mut self) -> Result<(), StoreError> {
        fs::File::open(&self.path)?.sync_all()?;
        fs::rename(&self.path, self.folder.join(ENGINE))?;
        fs::File::open(&self.folder)?.sync_all()?;
        self.settled = true;
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !self.settled {
            // What is left here is no store, and the next attempt takes it away.
            let _ = fs::remove_dir_all(&self.path);
            let _ = fs::remove_file(self.folder.join("lock"));
            let _ = self.made.then(|| fs::remove_dir(&self.folder));
        }
    }
}

fn is_left_over(name: &std::ffi::OsStr) -> bool {
    name == anew::NEW || name == "lock"
}

/// A store that is being made of blocks: it has a log and settings, and no rows; those are made of the log when it is opened.
pub struct NewStore {
    // Closed before the place goes.
    db: DB,
    place: Site,
    /// Where the next block of each partition goes.
    next: Vec<u64>,
    batch: WriteBatch,
}

impl fmt::Debug for NewStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewStore").field("folder", &self.place.folder).field("next", &self.next).finish()
    }
}

impl NewStore {
    /// Begins a store in `folder`, which is made, or is empty.
    ///
    /// # Errors
    /// [`StoreError::Occupied`], [`StoreError::Locked`], [`StoreError::Io`].
    ///
    /// # Panics
    /// When the settings are those of a store without a folder.
    pub fn begin(folder: &Path, settings: &Settings) -> Result<NewStore, StoreError> {
        assert!(settings.durability != Durability::Memory, "a store in a folder is no store in memory");
        assert!((1..u16::MAX).contains(&settings.partitions), "a store has 1 to 65,534 partitions");
        let place = Site::take(folder)?;
        let db = make(&place.path)?;
        let settings = write_settings(&db, settings.clone())?;
        let next = vec![Position::FIRST.block; usize::from(settings.partitions)];
        Ok(NewStore { db, place, next, batch: WriteBatch::default() })
    }

    /// Where the next block of `partition` goes.
    ///
    /// # Errors
    /// [`StoreError::NoPartition`].
    pub fn next(&self, partition: Partition) -> Result<Position, StoreError> {
        rules::check_partition(partition, self.next.len() as u16)?;
        Ok(Position::block(self.next[usize::from(partition.0)]))
    }

    /// Appends blocks of one partition. Cost: linear in bytes.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when they do not follow those that are there; [`StoreError::NoPartition`], [`StoreError::Io`].
    pub fn append(&mut self, blocks: &Blocks) -> Result<(), StoreError> {
        let partition = blocks.partition();
        let expected = self.next(partition)?;
        if blocks.start() != expected {
            return Err(StoreError::Conflict { partition, expected: blocks.start(), found: expected });
        }
        for (number, bytes) in blocks.iter() {
            self.batch.put_cf(family(&self.db, LOG)?, log_key(partition, number), bytes);
            if self.batch.size_in_bytes() > BATCH_BYTES {
                self.write()?;
            }
        }
        self.next[usize::from(partition.0)] = blocks.next().block;
        Ok(())
    }

    /// Ends it: the store is there, on the disk.
    ///
    /// # Errors
    /// [`StoreError::Io`]: then there is none.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.write()?;
        self.db.flush_wal(true).map_err(|error| engine_error(Place::Folder, error))?;
        drop(self.db);
        self.place.settle()
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.db
            .write_opt(std::mem::take(&mut self.batch), &WriteOptions::default())
            .map_err(|error| engine_error(Place::Folder, error))
    }
}

/// A database in `path` with all families of a store.
pub(super) fn make(path: &Path) -> Result<DB, StoreError> {
    let mut options = database_options();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    DB::open_cf_descriptors(&options, path, families(None)).map_err(|error| engine_error(Place::Folder, error))
}
