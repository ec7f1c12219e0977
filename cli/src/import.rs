//! `twintalk import`: a store of the lines that `export` printed.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use twintalk_runtime::{ImportError, System};

use crate::exit::{Exit, Failure, Outcome};
use crate::terminal::{count, say};

/// Make a store of what `twintalk export` printed
#[derive(Args)]
pub struct Import {
    /// The file; `-` is standard input
    file: PathBuf,
    /// The folder of the new store: a new or an empty one
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
}

impl Import {
    /// Makes it.
    pub fn run(self) -> Outcome {
        let name = self.file.display();
        let mut lines: Box<dyn BufRead> = if self.file == Path::new("-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            Box::new(BufReader::new(File::open(&self.file).map_err(|error| Failure::file(&name, &error))?))
        };
        let records = System::import(&self.store, &mut *lines).map_err(|error| match error {
            ImportError::Line { number, reason } => Failure::wrong(format!("{name}:{number}: {reason}")),
            ImportError::Io(error) => Failure::file(&name, &error),
            ImportError::Open(error) => Failure::from(error),
        })?;
        say(&format!("`{}` has {}", self.store.display(), count(records as usize, "record")));
        Ok(Exit::Done)
    }
}
