//! Arguments that verbs with a store share, and how they open it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use twintalk_runtime::{Durability, OpenOptions, Program, System, time};

use crate::exit::Failure;
use crate::terminal::say;

/// A store that is only looked at, also beside the process that runs it.
#[derive(Args)]
pub struct Look {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    pub store: PathBuf,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

impl Look {
    /// Opens it read-only, and says on standard error up to where it sees.
    ///
    /// # Errors
    /// The store refuses.
    pub fn open(&self) -> Result<System, Failure> {
        let options = OpenOptions { folder: Some(self.store.clone()), read_only: true, ..OpenOptions::default() };
        let mut system = System::open(options)?;
        match system.ends()?.as_slice() {
            [end] => say(&format!("the log up to position {end}")),
            ends => {
                let ends: Vec<String> = ends.iter().enumerate().map(|(n, end)| format!("{n}/{end}")).collect();
                say(&format!("the logs up to positions {}", ends.join(", ")));
            }
        }
        Ok(system)
    }
}

/// When a record of a new store counts as durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Flushed to the disk
    Sync,
    /// Handed to the operating system: survives a kill, not a power loss
    Async,
}

impl Mode {
    /// As the runtime calls it.
    pub fn durability(self) -> Durability {
        match self {
            Mode::Sync => Durability::Sync,
            Mode::Async => Durability::Async,
        }
    }
}

/// What verbs say that bring definitions to a store.
#[derive(Args)]
pub struct Install {
    /// Let the store run these definitions from now on
    #[arg(long)]
    pub upgrade: bool,
    /// When a new store calls a record durable; an old one keeps its mode
    #[arg(long, value_name = "sync|async", hide_possible_values = true)]
    pub mode: Option<Mode>,
    /// How many partitions a new store has; an old one keeps its number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub partitions: Option<u16>,
}

impl Install {
    /// How to open `folder` with `program`.
    pub fn options(&self, folder: Option<PathBuf>, program: Option<Program>) -> OpenOptions {
        OpenOptions {
            folder,
            durability: self.mode.map(Mode::durability),
            program,
            partitions: self.partitions,
            // No more than there are partitions.
            threads: Some(std::thread::available_parallelism().map_or(1, usize::from)),
            upgrade: self.upgrade,
            ..OpenOptions::default()
        }
    }
}

/// A moment, for clap.
///
/// # Errors
/// It names none.
pub fn moment_ns(text: &str) -> Result<i64, String> {
    time::parse_moment_ns(text).ok_or_else(|| "a moment is written like 2024-05-01T12:30:00Z, or 2024-05-01".to_owned())
}

/// A duration in nanoseconds, for clap.
///
/// # Errors
/// It names none, or one past 292 years.
pub fn duration_ns(text: &str) -> Result<i64, String> {
    let duration = time::parse_duration(text).and_then(|duration| i64::try_from(duration.as_nanos()).ok());
    duration.ok_or_else(|| "a duration is written like 90s, '10 min' or 1h30m".to_owned())
}
