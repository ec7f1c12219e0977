//! A copy of a store, as it was at one moment, beside the process that runs it: a backup.
//!
//! A file of rows never changes once it is there, so the copy may have it as a second name of the same file: that takes no
//! room and no time. The write-ahead logs grow, and are copied, the newest first: one is not added to any more once there is a
//! newer one, so what is copied is a prefix of the commits. All partitions share them, so the copy is one moment of all of them,
//! and what one has of another's messages fits. A commit that was being written is a torn end, as after a crash.

use std::fs::File;

use super::*;

/// What a copy of a store shares with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Files that never change, where both are on one file system.
    Files,
    /// Nothing: a disk that spoils one leaves the other.
    Nothing,
}

impl RocksStore {
    /// Copies the store in `from`, as it is now, to the folder `to`, which is made, or is empty; it is on the disk then.
    ///
    /// Cost: the bytes of the write-ahead logs (up to 128 MiB), and without sharing those of all other files.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Occupied`], and as [`RocksStore::open_read_only`]; then there is no copy.
    pub fn copy(from: &Path, to: &Path, sharing: Sharing) -> Result<(), StoreError> {
        if !has_store(from) {
            return Err(StoreError::Missing { folder: from.to_owned() });
        }
        let place = new::Site::take(to)?;
        // The links to what is there lie beside it, on its own file system.
        let engine = from.join(ENGINE);
        match Held::take(from, &engine) {
            Some(held) => copy_files(held.path(), &place.path, sharing)?,
            None => {
                // As on a disk that can only be read, where nothing changes; or what lists the files is damaged.
                frames::refuse_damage(&engine)?;
                let before = manifest(&engine)?;
                copy_files(&engine, &place.path, sharing)?;
                if manifest(&engine)? != before {
                    let message =
                        "the process that runs the store changes its files, and its folder cannot be written to";
                    return Err(StoreError::Io(io::Error::new(io::ErrorKind::ResourceBusy, message)));
                }
            }
        }
        look_first(&place.path)?;
        place.settle()
    }
}

/// Copies what a store of RocksDB is made of; what is written and never read is left out.
fn copy_files(from: &Path, to: &Path, sharing: Sharing) -> Result<(), StoreError> {
    let (mut rows, mut logs, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        match name.rsplit_once('.') {
            Some((_, "sst")) => rows.push(name),
            Some((number, "log")) => logs.extend(number.parse::<u64>().ok().map(|number| (number, name.clone()))),
            Some(_) | None if name == "CURRENT" || name.starts_with("MANIFEST-") => others.push(name),
            Some(_) | None => {}
        }
    }
    for name in others.iter().chain(&rows) {
        let (old, new) = (from.join(name), to.join(name));
        let is_row = name.ends_with(".sst");
        if !(is_row && sharing == Sharing::Files && fs::hard_link(&old, &new).is_ok()) {
            copy_file(&old, &new)?;
        }
    }
    logs.sort_unstable_by(|one, other| other.cmp(one));
    for (_, name) in &logs {
        copy_file(&from.join(name), &to.join(name))?;
    }
    Ok(())
}

/// Copies a file, and has it on the disk.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut copy = File::create_new(to)?;
    io::copy(&mut File::open(from)?, &mut copy)?;
    copy.sync_all()
}
