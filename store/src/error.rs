//! Why the log refuses, and who must act.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::record::RecordError;
use crate::{Partition, Position, Table};

/// What went wrong with a store.
#[derive(Debug)]
pub enum StoreError {
    /// The log ends at `found`: another writer owns this partition, or this one is behind. Nothing
    /// is written. *The runtime* must stop the partition.
    Conflict {
        /// Whose log.
        partition: Partition,
        /// Where the writer took its end to be.
        expected: Position,
        /// Where it is.
        found: Position,
    },
    /// Something is not what was written, or is missing. Never skip it: *the operator* restores a
    /// backup, or rebuilds the tables if the damage is in a table.
    Corrupt {
        /// Where.
        at: Place,
        /// What is wrong there.
        reason: Corruption,
    },
    /// The store was written by a newer TwinTalk: *the operator* takes that version or a later one.
    NewerFormat {
        /// The format of the store.
        found: u32,
        /// The newest one that this build knows.
        known: u32,
    },
    /// Another process runs the store: *the user* stops it first, or asks it.
    Locked {
        /// The folder of the store.
        folder: PathBuf,
        /// The process, if it said so.
        process: Option<u32>,
    },
    /// There is no store in the folder: *the user* gave the wrong one, or nothing ran yet.
    Missing {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder has other things in it, and no store: *the user* gives an empty or a new one.
    NotAStore {
        /// The folder.
        folder: PathBuf,
    },
    /// A store was to be made in the folder, and there are files in it: *the user* gives an empty or a new one.
    Occupied {
        /// The folder.
        folder: PathBuf,
    },
    /// The store was made with another setting: *the user* leaves the option out, or makes a new store.
    Setting {
        /// The name of the setting.
        name: &'static str,
        /// What the store has.
        stored: String,
        /// What was asked for.
        asked: String,
    },
    /// The log no longer has what was asked for: it was cut off up to `first`. *The caller* starts
    /// from a row or a snapshot.
    Trimmed {
        /// Whose log.
        partition: Partition,
        /// The first position that is left.
        first: Position,
    },
    /// There is no such partition in this store: a defect of *the runtime*.
    NoPartition {
        /// The one asked for.
        partition: Partition,
        /// How many there are.
        partitions: u16,
    },
    /// The store was opened to be read only: a defect of *the runtime*.
    ReadOnly,
    /// An earlier write or flush failed, so nobody knows where the log ends, nor what of it is on the disk: *the
    /// runtime* opens it anew.
    Stopped,
    /// The disk or the operating system refused. *The operator* looks there; *the runtime* opens the
    /// log anew to learn whether the batch is in it.
    Io(io::Error),
}

/// Where damage is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// At a position of a partition's log.
    Log {
        /// Whose log.
        partition: Partition,
        /// The record, or the first one of the block.
        position: Position,
    },
    /// In a row of a table.
    Row {
        /// Whose table.
        table: Table,
        /// Its key, partition included.
        key: Vec<u8>,
    },
    /// Somewhere in a table.
    Table(Table),
    /// Somewhere in the logs of the partitions.
    Logs,
    /// In a file of the engine below.
    File {
        /// Its name in the engine's folder.
        name: String,
        /// The table whose rows it has, where that is known.
        table: Option<Table>,
        /// The byte where what is damaged starts, as far as that can be told.
        byte: Option<u64>,
    },
    /// In the folder, below what positions tell.
    Folder,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// The bytes are no block, or no record of it.
    Bytes(RecordError),
    /// The block was written for another place.
    Misplaced {
        /// The partition that the block names.
        partition: Partition,
        /// The number that the block names.
        number: u64,
    },
    /// The log goes on behind, but here is no block.
    Gap,
    /// The log ends before the position that its tables rely on.
    EndsBefore {
        /// Where it must at least reach.
        checkpoint: Position,
    },
    /// A row stands at or behind the end of the log.
    RowBeyondLog {
        /// Where the row stands.
        position: Position,
        /// Where the log ends.
        end: Position,
    },
    /// A row, or its key, is not one that a writer writes.
    Row(&'static str),
    /// What the engine below found.
    Engine(String),
}

impl Place {
    /// Whether what is damaged follows from the logs, so that it can be made again.
    pub const fn is_in_table(&self) -> bool {
        match self {
            Place::Row { .. } | Place::Table(_) | Place::File { table: Some(_), .. } => true,
            Place::Log { .. } | Place::Logs | Place::File { table: None, .. } | Place::Folder => false,
        }
    }

    /// What the operator can do about damage there.
    pub const fn cure(&self) -> &'static str {
        match self.is_in_table() {
            true => "make the tables again from the log (`twintalk verify --rebuild-tables`) or restore a backup",
            false => "restore a backup",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Log { partition, position } => write!(f, "partition {partition}, position {position}"),
            Place::Row { table, key } => write!(f, "table `{table}`, key {}", key.escape_ascii()),
            Place::Table(table) => write!(f, "table `{table}`"),
            Place::Logs => f.write_str("the logs of the partitions"),
            Place::File { name, table, byte } => {
                write!(f, "file `{name}`")?;
                table.iter().try_for_each(|table| write!(f, " of table `{table}`"))?;
                byte.iter().try_for_each(|byte| write!(f, ", byte {byte}"))
            }
            Place::Folder => f.write_str("the folder of the store"),
        }
    }
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Corruption::Bytes(error) => error.fmt(f),
            Corruption::Misplaced { partition, number } => {
                write!(f, "here stands block {number} of partition {partition}")
            }
            Corruption::Gap => f.write_str("a block is missing: the log goes on behind it"),
            Corruption::EndsBefore { checkpoint } => {
                write!(f, "the log ends here, but its tables rely on it up to {checkpoint}: its tail is lost")
            }
            Corruption::RowBeyondLog { position, end } => {
                write!(f, "the row stands at {position}, but the log ends at {end}")
            }
            Corruption::Row(reason) => f.write_str(reason),
            Corruption::Engine(message) => f.write_str(message),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Conflict { partition, expected, found } => write!(
                f,
                "the log of partition {partition} ends at {found}, not at {expected}: another writer owns it; stop this one"
            ),
            StoreError::Corrupt { at, reason } => {
                write!(f, "the store is damaged at {at}: {reason}; nothing was skipped or changed, {}", at.cure())
            }
            StoreError::NewerFormat { found, known } => write!(
                f,
                "the store has format version {found}, and this TwinTalk knows versions up to {known}: use a newer TwinTalk"
            ),
            StoreError::Locked { folder, process: Some(process) } => {
                write!(f, "process {process} runs the store `{}`; one process runs a store", folder.display())
            }
            StoreError::Locked { folder, process: None } => {
                write!(f, "another process runs the store `{}`; one process runs a store", folder.display())
            }
            StoreError::Missing { folder } => write!(f, "there is no store in `{}`", folder.display()),
            StoreError::NotAStore { folder } => {
                write!(f, "`{}` is not empty and is no store: give an empty or a new folder", folder.display())
            }
            StoreError::Occupied { folder } => {
                write!(f, "`{}` is not empty: give an empty or a new folder", folder.display())
            }
            StoreError::Setting { name, stored, asked } => {
                write!(f, "the store was made with {name} {stored}, not {asked}; this cannot be changed later")
            }
            StoreError::Trimmed { partition, first } => {
                write!(f, "the log of partition {partition} has been cut off before {first}")
            }
            StoreError::NoPartition { partition, partitions } => {
                write!(f, "there is no partition {partition}: the store has {partitions}")
            }
            StoreError::ReadOnly => f.write_str("the store was opened to be read only"),
            StoreError::Stopped => f.write_str("an earlier write or flush failed: open the store anew"),
            StoreError::Io(error) => write!(f, "the disk or the operating system refused: {error}"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StoreError::Io(error) => Some(error),
            StoreError::Corrupt { at: _, reason: Corruption::Bytes(error) } => Some(error),
            StoreError::Corrupt { .. }
            | StoreError::Conflict { .. }
            | StoreError::NewerFormat { .. }
            | StoreError::Locked { .. }
            | StoreError::Missing { .. }
            | StoreError::NotAStore { .. }
            | StoreError::Occupied { .. }
            | StoreError::Setting { .. }
            | StoreError::Trimmed { .. }
            | StoreError::NoPartition { .. }
            | StoreError::ReadOnly
            | StoreError::Stopped => None,
        }
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        StoreError::Io(error)
    }
}
