//! `twintalk doc`: what sources define, as pages to browse.
//!
//! [`model`] reads the trees of the sources, [`page`] writes HTML that needs neither a server nor a script; a little script of our
//! own adds a search. Nothing is compiled or run, so a source whose imports are elsewhere has pages too.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bumpalo::Bump;
use clap::Args;
use twintalk_compiler::parser::parse;

use crate::exit::{Exit, Failure, Outcome};
use crate::terminal::{colour_on_stderr, count};
use crate::{render, sources};

mod model;
mod page;

/// Write pages about what sources define
#[derive(Args)]
#[command(
    after_help = "Open DIR/index.html. Give the class library's folder too, and what is inherited from it is listed and linked. \
                        Source with syntax errors has pages of what could be read; the exit code is then 1."
)]
pub struct Doc {
    /// Files, or folders with .twin and .som files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Where the pages go; made if it is not there
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// What stands above the pages
    #[arg(long, value_name = "TEXT", default_value = "TwinTalk")]
    title: String,
}

impl Doc {
    /// Writes them.
    pub fn run(self) -> Outcome {
        let mut files: Vec<PathBuf> = Vec::new();
        let mut seen = HashSet::new();
        for path in &self.paths {
            let found = if path.is_dir() { sources::in_folder(path)? } else { vec![path.clone()] };
            files.extend(found.into_iter().filter(|file| seen.insert(file.clone())));
        }
        let mut library = model::Library::default();
        let mut exit = Exit::Done;
        for file in &files {
            let files = [sources::root(file)?];
            let [source] = &files;
            let arena = Bump::new();
            let parsed = parse(&arena, 0, &source.text);
            library.add(&source.name, &source.text, &parsed.file);
            for diagnostic in &parsed.diagnostics {
                exit = Exit::Wrong;
                let _ = writeln!(io::stderr(), "{}", render::picture(diagnostic, &files, colour_on_stderr()));
            }
        }
        library.link();
        if library.prototypes.is_empty() {
            return Err(Failure::wrong("there are no definitions there"));
        }
        fs::create_dir_all(&self.output).map_err(|error| Failure::file(&self.output.display(), &error))?;
        write(&self.output.join("style.css"), page::STYLE)?;
        write(&self.output.join("search.js"), &page::search(&library))?;
        write(&self.output.join("index.html"), &page::index(&library, &self.title))?;
        for prototype in 0..library.prototypes.len() {
            let name = page::file_name(&library, prototype);
            write(&self.output.join(name), &page::prototype(&library, prototype, &self.title))?;
        }
        writeln!(
            io::stdout(),
            "{}, {}",
            self.output.join("index.html").display(),
            count(library.prototypes.len(), "prototype")
        )?;
        Ok(exit)
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::file(&path.display(), &error))
}
