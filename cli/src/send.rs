//! `twintalk send`: one message, its answer.

use std::path::PathBuf;

use clap::Args;
use twintalk_runtime::{OpenOptions, System, datum, json};

use crate::console::Console;
use crate::exit::{Exit, Failure, Outcome};

/// Send one message to a twin and print its answer
#[derive(Args)]
#[command(after_help = "Arguments are literals or paths of twins; nothing is evaluated:\n  \
                        twintalk send plant-1/tank-2 \"fill: 3.5 from: plant-1/pump-7\" --store plant")]
pub struct Send {
    /// The twin
    path: String,
    /// A message: level, 'fill: 3'
    message: String,
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// The answer as JSON
    #[arg(long)]
    json: bool,
}

impl Send {
    /// Sends it.
    pub fn run(self) -> Outcome {
        let (selector, arguments) = datum::message(&self.message)
            .map_err(|error| Failure::usage(format!("`{}` is no message: {error}", self.message)))?;
        if !self.store.exists() {
            return Err(Failure::wrong(format!("{}: there is no store", self.store.display())));
        }
        let mut system = System::open(OpenOptions { folder: Some(self.store), ..OpenOptions::default() })?;
        let mut console = Console::new();
        let answer = system.send(&self.path, &selector, &arguments, &mut console);
        system.close(&mut console)?;
        console.flush();
        let answer = answer?;
        console.line(&if self.json { json::text(&answer) } else { answer.to_string() });
        console.flush();
        Ok(if console.faults > 0 { Exit::Wrong } else { Exit::Done })
    }
}
