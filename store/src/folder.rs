//! The folder of a store: who may open it, and where things stand in it.
//!
//! `lock` is held by the process that runs the store, for as long as it lives, and names it; the
//! operating system lets go of it however the process ends. A folder inside belongs to the engine.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::StoreError;

/// The lock on a folder; gone when it is dropped.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _file: File,
}

/// Makes the folder if there is none, and locks it for this process.
///
/// `engine`: the name of the engine's folder in it, which a store has.
pub(crate) fn lock(folder: &Path, engine: &str) -> Result<FolderLock, StoreError> {
    fs::create_dir_all(folder)?;
    let path = folder.join("lock");
    if !path.exists() && !folder.join(engine).exists() && fs::read_dir(folder)?.next().is_some() {
        return Err(StoreError::NotAStore { folder: folder.to_owned() });
    }
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // Whoever has just taken it may not have written its number yet.
            let process = file.read_to_string(&mut owner).ok().and_then(|_| owner.trim().parse().ok());
            return Err(StoreError::Locked { folder: folder.to_owned(), process });
        }
        Err(TryLockError::Error(error)) => return Err(StoreError::Io(error)),
    }
    name_owner(&mut file)?;
    Ok(FolderLock { _file: file })
}

fn name_owner(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}
