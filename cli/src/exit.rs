//! How `twintalk` ends: the exit codes, and what carries them.

use std::fmt::Display;
use std::io;

/// The exit codes, for the end of `--help`.
pub const HELP: &str = "Exit codes: 0 done, 1 program or data wrong, 2 usage, 3 store damaged or busy, 70 our defect";

/// What a verb answers.
pub type Outcome = Result<Exit, Failure>;

/// The exit codes. Who has to act differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Nobody.
    Done,
    /// The user: the program or the data is wrong.
    Wrong,
    /// Whoever wrote the command.
    Usage,
    /// Whoever runs the store: it is damaged or busy.
    Store,
    /// TwinTalk's makers.
    Defect,
    /// Whoever the program says: it came to its end and chose the code.
    Program(u8),
}

impl Exit {
    /// The code of the process.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Wrong => 1,
            Exit::Usage => 2,
            Exit::Store => 3,
            Exit::Defect => 70,
            Exit::Program(code) => code,
        }
    }
}

/// What ended a verb early.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What to say on standard error; empty where all is said.
    pub message: String,
}

impl Failure {
    /// The program or the data is wrong, and nobody said so yet.
    pub fn wrong(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Wrong, message: message.into() }
    }

    /// The command makes no sense, in a way that only shows as it runs.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, message: message.into() }
    }

    /// A file that cannot be read or written.
    pub fn file(path: &dyn Display, error: &io::Error) -> Failure {
        Failure::wrong(format!("{path}: {}", reason(error)))
    }

    /// All is said.
    pub fn said(exit: Exit) -> Failure {
        Failure { exit, message: String::new() }
    }
}

/// An error of standard output. A reader that has seen enough (`| head`) is no error.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::said(Exit::Done),
            _ => Failure::wrong(format!("standard output: {}", reason(&error))),
        }
    }
}

/// The error's text without the system's number for it.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}
