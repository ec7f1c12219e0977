//! `twintalk restore`: a store from a backup, or as it was at some moment.

use std::path::PathBuf;

use clap::Args;
use twintalk_runtime::{Cut, Position, System};

use crate::exit::{Exit, Failure, Outcome};
use crate::store::{moment_ns, positions, reach};
use crate::terminal::say;

/// Make a store from a backup, or from any store, as it is or was
#[derive(Args)]
#[command(
    after_help = "Without --at and --position every byte is copied and checked. With them the new store is made \
    from the log, and has the latest moment there is below: nothing in it came of anything that is not."
)]
pub struct Restore {
    /// The folder of the backup
    from: PathBuf,
    /// The folder of the new store: a new or an empty one
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Only what was before this position; of several partitions like 0/12.3,1/7.0
    #[arg(long, value_name = "POSITION", value_parser = positions_of)]
    position: Option<Positions>,
    /// Only what was until this time
    #[arg(long, value_name = "TIME", value_parser = moment_ns, conflicts_with = "position")]
    at: Option<i64>,
}

/// One for each partition that is named; a type of its own, since clap takes a `Vec` for an option given often.
#[derive(Clone)]
struct Positions(Vec<Option<Position>>);

fn positions_of(text: &str) -> Result<Positions, String> {
    positions(text).map(Positions)
}

impl Restore {
    /// Makes it.
    pub fn run(self) -> Outcome {
        let cut = match (self.at, self.position) {
            (Some(time_ns), _) => Cut::Time(time_ns),
            (None, Some(Positions(positions))) => Cut::Before(positions),
            (None, None) => Cut::Now,
        };
        let ends = System::restore(&self.from, &self.to, &cut).map_err(Failure::from)?;
        say(&format!("`{}` has {}", self.to.display(), reach(&ends)));
        Ok(Exit::Done)
    }
}
