//! `twintalk fmt`: the one layout.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use twintalk_compiler::format::format;

use crate::exit::{Exit, Failure, Outcome};
use crate::terminal::{colour_on_stderr, say};
use crate::{render, sources};

/// Lay sources out in the one format
#[derive(Args)]
#[command(after_help = "Files are written anew where they differ. A file with syntax errors stays as it is.")]
pub struct Fmt {
    /// Files, folders with .twin files, or - for standard input to standard output
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write nothing; name the files that differ, and exit with 1 if there are any
    #[arg(long)]
    check: bool,
}

impl Fmt {
    /// Formats them.
    pub fn run(self) -> Outcome {
        let mut files = Vec::new();
        for path in &self.paths {
            if path.is_dir() {
                // SOM's files belong to others, who have a layout of their own.
                files.extend(sources::in_folder(path)?.into_iter().filter(|file| has_extension(file, "twin")));
            } else {
                files.push(path.clone());
            }
        }
        let mut exit = Exit::Done;
        for file in &files {
            match self.format(file) {
                Ok(true) => {}
                Ok(false) => exit = Exit::Wrong,
                Err(failure) if failure.exit == Exit::Wrong => {
                    say(&failure.message);
                    exit = Exit::Wrong;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(exit)
    }

    /// Whether `path` is, or is now, as it should be.
    fn format(&self, path: &Path) -> Result<bool, Failure> {
        let source = sources::root(path)?;
        let formatted = match format(&source.text) {
            Ok(formatted) => formatted,
            Err(diagnostics) => {
                let files = [source];
                for diagnostic in &diagnostics {
                    let _ = writeln!(io::stderr(), "{}", render::picture(diagnostic, &files, colour_on_stderr()));
                }
                return Ok(false);
            }
        };
        let differs = formatted != source.text;
        if self.check {
            if differs {
                writeln!(io::stdout(), "{}", source.name)?;
            }
            return Ok(!differs);
        }
        if path == Path::new("-") {
            io::stdout().write_all(formatted.as_bytes())?;
        } else if differs {
            fs::write(path, formatted).map_err(|error| Failure::file(&path.display(), &error))?;
        }
        Ok(true)
    }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}
