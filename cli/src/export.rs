//! `twintalk export`: a store as lines of JSON.

use clap::Args;
use twintalk_runtime::{Moment, json};

use crate::console::Console;
use crate::exit::{Exit, Outcome};
use crate::state;
use crate::store::Look;

/// Print a store as JSON, a line for each record
#[derive(Args)]
#[command(
    after_help = "`twintalk import` makes the same store of these lines. With --states there is a line for each \
    twin as it is now instead, for other tools."
)]
pub struct Export {
    /// Twins as they are now instead of records
    #[arg(long)]
    states: bool,
    #[command(flatten)]
    look: Look,
}

impl Export {
    /// Prints it.
    pub fn run(self) -> Outcome {
        let mut system = self.look.open()?;
        let mut console = Console::new();
        if self.states {
            for twin in system.twins("")? {
                if let Some(state) = system.state(&twin.path, Moment::Now)? {
                    console.line(&json::text(&state::row(state)));
                }
            }
        } else {
            system.export(&mut |line| console.line(line))?;
        }
        console.flush();
        Ok(Exit::Done)
    }
}
