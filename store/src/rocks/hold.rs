//! The files of a store as they were at one moment, for a reader beside the process that runs it.
//!
//! That process deletes what it has no more need of, and a busy one does so faster than its files can be opened: RocksDB
//! reads the manifest, which lists the files of rows, and then what write-ahead logs there are, and rows that move from a log
//! to a file in between are in neither, of which nobody is told. So a reader first takes a link of its own to each file, which
//! takes no longer for large ones, and opens those at leisure. The manifest only grows, so it is copied up to its length. It
//! is written before anything is deleted: if it is the same before and after, nothing is missing.
//!
//! The links lie in a folder of the reader's own below `readers`, locked while it lives. The next reader removes those
//! whose process ended early.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::PathBuf;

use super::*;

/// Where the readers of a store have their links.
const READERS: &str = "readers";
/// What a reader locks in its folder.
const LOCK: &str = "lock";
const ATTEMPTS_MAX: u32 = 500;

/// Links to the files of a store; they go when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    path: PathBuf,
    _lock: File,
}

impl Held {
    /// Takes hold of the files in `engine`. `None` where this process cannot make links beside them, or finds them incomplete:
    /// then they can only be opened as they are.
    pub(super) fn take(folder: &Path, engine: &Path) -> Option<Held> {
        let readers = folder.join(READERS);
        remove_abandoned(&readers);
        for _ in 0..ATTEMPTS_MAX {
            let attempt = Held::empty(&readers).and_then(|held| Ok((held.link(engine)?, held)));
            match attempt {
                Ok((true, held)) => return Some(held),
                Ok((false, _)) => {}
                // The manifest has a successor, or another reader tidied up while this one's folder was new.
                Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {}
                Err(_) => return None,
            }
            thread::sleep(Duration::from_millis(1));
        }
        None
    }

    /// Where the links are.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A folder that no other reader, of this process or another, has.
    fn empty(readers: &Path) -> io::Result<Held> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        fs::create_dir_all(readers)?;
        let process = std::process::id();
        let path = readers.join(format!("{process}-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&path)?;
        // Until it is locked another reader may take it for abandoned, and remove it: then this fails.
        let lock = File::create_new(path.join(LOCK))?;
        lock.try_lock()?;
        Ok(Held { path, _lock: lock })
    }

    /// Whether all files were linked that one state of the store has.
    fn link(&self, engine: &Path) -> io::Result<bool> {
        let (manifest, length) = super::manifest(engine)?;
        for entry in fs::read_dir(engine)? {
            let name = entry?.file_name();
            if Path::new(&name).extension().is_some_and(|ending| ending == "sst" || ending == "log") {
                match fs::hard_link(engine.join(&name), self.path.join(&name)) {
                    // If it was needed, the manifest says by now that it is not.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    result => result?,
                }
            }
        }
        let copied = io::copy(
            &mut File::open(engine.join(&manifest))?.take(length),
            &mut File::create_new(self.path.join(&manifest))?,
        )?;
        fs::write(self.path.join("CURRENT"), format!("{manifest}\n"))?;
        Ok(copied == length && super::manifest(engine)? == (manifest, length))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // What is left here, the next reader removes.
        let _ = fs::remove_dir_all(&self.path);
        let _ = self.path.parent().map(fs::remove_dir);
    }
}

/// Removes the links of readers that ended without doing so.
fn remove_abandoned(readers: &Path) {
    let Ok(entries) = fs::read_dir(readers) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let abandoned = match File::open(path.join(LOCK)) {
            Ok(lock) => match lock.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
            },
            // Its reader has not come to lock it, or ended before; it has no links yet.
            Err(_) => true,
        };
        if abandoned {
            let _ = fs::remove_dir_all(path);
        }
    }
}
