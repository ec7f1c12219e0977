//! `twintalk check`: what is wrong, and nothing else.

use std::collections::HashSet;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use twintalk_runtime::json;

use crate::exit::{Exit, Failure, Outcome};
use crate::terminal::{colour_on_stderr, count, person_on_stderr, say};
use crate::{load, render, sources};

/// Report what is wrong with programs
#[derive(Args)]
#[command(after_help = "Each file is checked as a program of its own, with all that it imports or names. \
                        Exit code 1 if there is an error; warnings alone are no reason.")]
pub struct Check {
    /// Files, folders with .twin and .som files, or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// One JSON object a line, on standard output
    #[arg(long)]
    json: bool,
}

impl Check {
    /// Checks them.
    pub fn run(self) -> Outcome {
        let folders: Vec<PathBuf> = self.paths.iter().filter(|path| path.is_dir()).cloned().collect();
        let mut files = Vec::new();
        for path in &self.paths {
            if path.is_dir() {
                files.extend(sources::in_folder(path)?);
            } else {
                files.push(path.clone());
            }
        }
        if files.is_empty() {
            return Err(Failure::wrong("there are no .twin or .som files there"));
        }

        // A file that several programs import is reported once.
        let mut reported = HashSet::new();
        let (mut errors, mut warnings) = (0, 0);
        let colour = colour_on_stderr();
        let mut out = BufWriter::new(io::stdout());
        for file in &files {
            let compilation = match load::source(file, &folders) {
                Ok(compilation) => compilation,
                Err(failure) => {
                    say(&failure.message);
                    errors += 1;
                    continue;
                }
            };
            for diagnostic in &compilation.diagnostics {
                let name = compilation.files.get(usize::from(diagnostic.file)).map(|file| file.name.clone());
                if !reported.insert((name, diagnostic.span, diagnostic.code, diagnostic.message.clone())) {
                    continue;
                }
                *(if diagnostic.is_error() { &mut errors } else { &mut warnings }) += 1;
                if self.json {
                    writeln!(out, "{}", json::text(&render::row(diagnostic, &compilation.files)))?;
                } else {
                    let _ = writeln!(io::stderr(), "{}", render::picture(diagnostic, &compilation.files, colour));
                }
            }
        }
        out.flush()?;
        if errors + warnings > 0 {
            let _ = io::stderr().write_all(load::summary(errors, warnings).as_bytes());
        } else if person_on_stderr() {
            say(&format!("{} checked, nothing to report", count(files.len(), "file")));
        }
        Ok(if errors > 0 { Exit::Wrong } else { Exit::Done })
    }
}
