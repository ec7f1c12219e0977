//! What a program and its turns show, and how failures of the runtime end a verb.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use twintalk_runtime::{FaultReport, Given, LookError, OpenError, Output, Request, SendError, StoreError};

use crate::exit::{Exit, Failure};
use crate::machine;
use crate::progress::Progress;
use crate::terminal::say;

/// Output of turns on standard output, faults that nobody waits for on standard error, in the order they came.
pub struct Console {
    out: BufWriter<Stdout>,
    is_terminal: bool,
    /// What the program said that the process is to exit with.
    pub exit_code: u8,
    /// How many faults were told.
    pub faults: u64,
    /// The sender whose messages are rows of a table, if there is one.
    pub feed: Option<String>,
    /// Is taken aside while something is told.
    pub progress: Progress,
}

impl Console {
    /// With nothing told yet.
    pub fn new() -> Console {
        let out = io::stdout();
        let is_terminal = out.is_terminal();
        Console {
            out: BufWriter::new(out),
            is_terminal,
            exit_code: 0,
            faults: 0,
            feed: None,
            progress: Progress::none(),
        }
    }

    /// How a program that came to its end exits.
    pub fn exit(&self) -> Exit {
        match (self.faults, self.exit_code) {
            (0, 0) => Exit::Done,
            (0, code) => Exit::Program(code),
            (_, _) => Exit::Wrong,
        }
    }

    /// One line on standard output.
    pub fn line(&mut self, line: &str) {
        let Console { out, progress, is_terminal, .. } = self;
        leave_on_error(progress.aside(|| {
            writeln!(out, "{line}")?;
            if *is_terminal { out.flush() } else { Ok(()) }
        }));
    }

    /// What was shown so far leaves this process.
    pub fn flush(&mut self) {
        leave_on_error(self.out.flush());
    }

    /// One line on standard error, after all that was shown before.
    pub fn complain(&mut self, message: &str) {
        self.flush();
        self.progress.aside(|| say(message));
    }
}

/// A reader that has seen enough (`| head`) ends the process quietly; what was not acknowledged may be done again.
fn leave_on_error(result: io::Result<()>) {
    if let Err(error) = result {
        let failure = Failure::from(error);
        if !failure.message.is_empty() {
            say(&failure.message);
        }
        std::process::exit(failure.exit.code().into());
    }
}

impl Output for Console {
    fn print(&mut self, text: &str) {
        let Console { out, progress, is_terminal, .. } = self;
        leave_on_error(progress.aside(|| {
            out.write_all(text.as_bytes())?;
            if *is_terminal { out.flush() } else { Ok(()) }
        }));
    }

    fn fault(&mut self, report: &FaultReport) {
        self.faults += 1;
        let message = format!("`{}` to {}", report.selector, report.path);
        let told = match report.number {
            Some(number) if self.feed.as_deref() == Some(&report.sender) => format!("row {number}: {message}"),
            Some(_) | None => format!("{message}, from {}", report.sender),
        };
        self.complain(&format!("{told}: {}", report.fault));
    }

    fn machine(&mut self, request: &Request) -> Result<Given, String> {
        // A question stands there before it is answered, and both outputs are in the order of the program.
        if matches!(request, Request::ReadLine | Request::ReadRest | Request::ShowError(_)) {
            self.flush();
        }
        let Console { progress, exit_code, .. } = self;
        progress.aside(|| machine::answer(request, exit_code))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let exit = match &error {
            StoreError::Missing { .. }
            | StoreError::NotAStore { .. }
            | StoreError::Occupied { .. }
            | StoreError::Setting { .. } => Exit::Wrong,
            StoreError::Conflict { .. }
            | StoreError::Corrupt { .. }
            | StoreError::NewerFormat { .. }
            | StoreError::Locked { .. }
            | StoreError::Trimmed { .. }
            | StoreError::Stopped
            | StoreError::Io(_) => Exit::Store,
            StoreError::NoPartition { .. } | StoreError::ReadOnly => Exit::Defect,
        };
        Failure { exit, message: error.to_string() }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Failure {
        match error {
            OpenError::Store(error) => Failure::from(error),
            OpenError::Verify(_)
            | OpenError::Link(_)
            | OpenError::OtherProgram { .. }
            | OpenError::VersionMissing { .. }
            | OpenError::VersionLower { .. } => Failure::wrong(error.to_string()),
            OpenError::StoredProgram(_) | OpenError::Replay(_) => {
                Failure { exit: Exit::Store, message: error.to_string() }
            }
        }
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Failure {
        match error {
            SendError::Fault(fault) => Failure::wrong(fault.to_string()),
            SendError::Argument(what) => Failure::wrong(what),
            SendError::Store(error) => Failure::from(error),
        }
    }
}

impl From<LookError> for Failure {
    fn from(error: LookError) -> Failure {
        match error {
            LookError::Question(what) => Failure::wrong(what),
            LookError::Store(error) => Failure::from(error),
        }
    }
}
