//! `twintalk`, the command line: reads the arguments, runs one verb, answers with an exit code.
//!
//! Answers go to standard output, diagnostics and faults to standard error. A verb is a file with a
//! struct of arguments and `run`; [`verb::Verb`] lists them. What ends a verb early is a
//! [`exit::Failure`], which knows its exit code; a panic is a defect of ours and exits with 70.
#![forbid(unsafe_code)]

mod backup;
mod check;
mod check_store;
mod compile;
mod completions;
mod console;
mod deadletters;
mod diff;
mod disasm;
mod doc;
mod exit;
mod export;
mod feed;
mod fmt;
mod history;
mod import;
mod load;
mod machine;
mod profile;
mod progress;
mod query;
mod render;
mod repl;
mod restore;
mod rows;
mod run;
mod send;
mod sources;
mod state;
mod store;
mod template;
mod terminal;
mod test;
mod trial;
mod twins;
mod verb;
mod verify;
mod version;
mod whatif;
mod why;

use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;

use clap::Parser;
use exit::Exit;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Digital twins in a small Smalltalk: defined as text, kept as a log, replayed at will.
#[derive(Parser)]
#[command(name = "twintalk", version, disable_version_flag = true, disable_help_subcommand = true)]
#[command(max_term_width = 100, after_help = exit::HELP)]
// A line shorter than usual, so that it fits a screen.
#[command(help_template = "{about}\n{usage-heading} {usage}\n\n{all-args}{after-help}")]
struct CommandLine {
    #[command(subcommand)]
    verb: verb::Verb,
    /// The same as `version`, as other programs have it
    #[arg(short = 'V', long, action = clap::ArgAction::Version, hide = true)]
    version: Option<bool>,
}

fn main() -> ExitCode {
    panic::set_hook(Box::new(report_defect));
    let outcome = CommandLine::parse().verb.run();
    let exit = outcome.unwrap_or_else(|failure| {
        if !failure.message.is_empty() {
            terminal::say(&failure.message);
        }
        failure.exit
    });
    ExitCode::from(exit.code())
}

/// Says what to do about a panic, and exits: no destructor runs, as after a kill, which every store survives.
fn report_defect(panic: &panic::PanicHookInfo<'_>) {
    let place = panic.location().map(|location| format!(" at {}:{}", location.file(), location.line()));
    let _ = writeln!(
        io::stderr(),
        "twintalk: this is a defect of TwinTalk, not of your program or data.\n\
         Please report it with these lines, and what you did just before:\n  {}{}\n  {}",
        panic.payload_as_str().unwrap_or("a panic without a text"),
        place.unwrap_or_default(),
        version::line(),
    );
    std::process::exit(Exit::Defect.code().into());
}
