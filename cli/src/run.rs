//! `twintalk run`: the statements of a program, and all that follows from them.

use std::path::PathBuf;

use clap::Args;
use twintalk_runtime::System;

use crate::console::Console;
use crate::exit::Outcome;
use crate::store::{Install, duration_ns};
use crate::{load, sources, trial};

/// Run a program
#[derive(Args)]
#[command(
    after_help = "Of a folder its main.twin or main.som is run. A .som file without statements runs as in SOM: NAME \
                        new run. Without --store all is in memory, and time moves by --for and Clock advance: alone. \
                        A program has standard input (StandardInput), files (File at: 'x') and an exit code \
                        (Program exitCode: 2)."
)]
pub struct Run {
    /// A program, an image, or a folder with one
    file: PathBuf,
    /// Folders where capitalised names are sought too
    #[arg(value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// Where twins live on; made on first use
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Let timers run for so long after the last statement
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_ns)]
    for_ns: Option<i64>,
    #[command(flatten)]
    install: Install,
    /// Change nothing: try --upgrade on a copy of every stored twin, and report
    #[arg(long, requires = "upgrade", requires = "store")]
    dry_run: bool,
    /// The report of --dry-run as JSON, one object a line
    #[arg(long, requires = "dry_run")]
    json: bool,
    /// What the program finds in Program arguments
    #[arg(last = true, value_name = "ARG")]
    arguments: Vec<String>,
}

impl Run {
    /// Runs it.
    pub fn run(self) -> Outcome {
        let (file, folders) = sources::of_program(self.file, self.folders)?;
        let program = load::program(&[file], &folders)?;
        if let (true, Some(store)) = (self.dry_run, &self.store) {
            return trial::run(store, &program, self.json);
        }
        let mut system = System::open(self.install.options(self.store, Some(program)))?;
        let mut console = Console::new();
        trial::report_orphans(&system, &mut console);
        let outcome = system.run_program(self.arguments, self.for_ns, &mut console);
        system.close(&mut console)?;
        console.flush();
        outcome?;
        Ok(console.exit())
    }
}
