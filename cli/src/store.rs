//! Arguments that verbs with a store share, and how they open it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use twintalk_runtime::{Durability, Moment, OpenOptions, Position, Program, System, time};

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
        say(&reach(&system.ends()?));
        Ok(system)
    }
}

/// At which moment a twin is looked at.
#[derive(Args)]
pub struct At {
    /// As it was at this time
    #[arg(long, value_name = "TIME", value_parser = moment_ns, conflicts_with = "turn")]
    at: Option<i64>,
    /// As it was after this turn of its composite
    #[arg(long = "rev", value_name = "N")]
    turn: Option<u64>,
}

impl At {
    /// The moment; by default now.
    pub fn moment(&self) -> Moment {
        self.at.map(Moment::Time).or(self.turn.map(Moment::Turn)).unwrap_or(Moment::Now)
    }
}

/// Up to where the logs of a store reach, in words.
pub fn reach(ends: &[Position]) -> String {
    match ends {
        [end] => format!("the log up to position {end}"),
        ends => {
            let ends: Vec<String> = ends.iter().enumerate().map(|(n, end)| format!("{n}/{end}")).collect();
            format!("the logs up to positions {}", ends.join(", "))
        }
    }
}

/// One position, as `12.3`, or some of several partitions, as `0/12.3,2/7.0`, for clap.
///
/// # Errors
/// It names none, or two of one partition.
pub fn positions(text: &str) -> Result<Vec<Option<Position>>, String> {
    let wrong = || "a position is written like 12.3; of several partitions like 0/12.3,1/7.0".to_owned();
    let mut positions = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (partition, position) = part.split_once('/').unwrap_or(("0", part));
        let (block, index) = position.split_once('.').unwrap_or((position, "0"));
        let partition: usize = partition.parse::<u16>().map_err(|_| wrong())?.into();
        let block = block.parse().ok().filter(|block| (1..=Position::BLOCK_MAX).contains(block)).ok_or_else(wrong)?;
        let position = Position { block, index: index.parse().map_err(|_| wrong())? };
        if positions.len() <= partition {
            positions.resize(partition + 1, None);
        }
        if positions[partition].replace(position).is_some() {
            return Err(format!("two positions of partition {partition}"));
        }
    }
    Ok(positions)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_as_they_are_written() {
        let at = |block, index| Some(Position { block, index });
        assert_eq!(positions("12.3"), Ok(vec![at(12, 3)]));
        assert_eq!(positions("12"), Ok(vec![at(12, 0)]));
        assert_eq!(positions("2/7.1, 0/12.3"), Ok(vec![at(12, 3), None, at(7, 1)]));
        for wrong in ["", "x", "0.1", "1.x", "0/1,0/2", "70000/1", "281474976710656.0"] {
            assert!(positions(wrong).is_err(), "{wrong}");
        }
    }
}
