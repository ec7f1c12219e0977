//! The verbs, in the order of `--help`.

use clap::Subcommand;

use crate::exit::Outcome;
use crate::{check, compile, completions, disasm, fmt, version};

/// Every verb with its arguments; what `--help` says of one is the comment on its arguments.
#[derive(Subcommand)]
pub enum Verb {
    Check(check::Check),
    Compile(compile::Compile),
    Disasm(disasm::Disasm),
    Fmt(fmt::Fmt),
    Completions(completions::Completions),
    Version(version::Version),
}

impl Verb {
    /// Does it.
    pub fn run(self) -> Outcome {
        match self {
            Verb::Check(verb) => verb.run(),
            Verb::Compile(verb) => verb.run(),
            Verb::Disasm(verb) => verb.run(),
            Verb::Fmt(verb) => verb.run(),
            Verb::Completions(verb) => verb.run(),
            Verb::Version(verb) => verb.run(),
        }
    }
}
