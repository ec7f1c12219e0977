//! `twintalk completions SHELL`.

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use crate::CommandLine;
use crate::exit::{Exit, Outcome};

/// Print completions for a shell
#[derive(Args)]
#[command(after_help = "They go where the shell looks for them, for instance:\n  \
                        twintalk completions bash > ~/.local/share/bash-completion/completions/twintalk")]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    /// Prints them.
    pub fn run(self) -> Outcome {
        // Into memory first: the generator panics where the output fails.
        let mut script = Vec::new();
        generate(self.shell, &mut CommandLine::command(), "twintalk", &mut script);
        io::stdout().write_all(&script)?;
        Ok(Exit::Done)
    }
}
