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
use twintalk_compiler::SourceText;
use twintalk_compiler::parser::parse;
use twintalk_runtime::kernel;

use crate::exit::{Exit, Failure, Outcome};
use crate::terminal::{colour_on_stderr, count};
use crate::{render, sources};

mod model;
mod page;

/// Write pages about what sources define
#[derive(Args)]
#[command(
    after_help = "Open DIR/index.html. With --kernel what is inherited from the class library is listed and linked; alone it \
                        documents the class library. Source with syntax errors has pages of what could be read; the exit code is \
                        then 1. Pages of an earlier run that are no longer made are removed."
)]
pub struct Doc {
    /// Files, or folders with .twin and .som files
    #[arg(required_unless_present = "kernel", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The class library too
    #[arg(long)]
    kernel: bool,
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
            exit = add(&mut library, sources::root(file)?, exit);
        }
        for (name, text) in kernel::sources().iter().filter(|_| self.kernel) {
            if !files.iter().any(|file| file == Path::new(name)) {
                exit = add(&mut library, SourceText { name: (*name).to_owned(), text: (*text).to_owned() }, exit);
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
        let mut written = HashSet::from(["index.html".to_owned()]);
        for prototype in 0..library.prototypes.len() {
            let name = page::file_name(&library, prototype);
            write(&self.output.join(&name), &page::prototype(&library, prototype, &self.title))?;
            written.insert(name);
        }
        remove_stale(&self.output, &written)?;
        writeln!(
            io::stdout(),
            "{}, {}",
            self.output.join("index.html").display(),
            count(library.prototypes.len(), "prototype")
        )?;
        Ok(exit)
    }
}

/// Reads what `source` defines, and shows what is wrong with it; answers how the verb ends, if it was to end as `exit` before.
fn add(library: &mut model::Library, source: SourceText, exit: Exit) -> Exit {
    let files = [source];
    let [source] = &files;
    let arena = Bump::new();
    let parsed = parse(&arena, 0, &source.text);
    library.add(&source.name, &source.text, &parsed.file);
    for diagnostic in &parsed.diagnostics {
        let _ = writeln!(io::stderr(), "{}", render::picture(diagnostic, &files, colour_on_stderr()));
    }
    if parsed.diagnostics.is_empty() { exit } else { Exit::Wrong }
}

/// Removes the pages in `folder` that an earlier run made and this one did not: what they tell of is gone. Other people's stay.
fn remove_stale(folder: &Path, written: &HashSet<String>) -> Result<(), Failure> {
    let wrong = |error: io::Error| Failure::file(&folder.display(), &error);
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        let is_page = path.extension().is_some_and(|extension| extension == "html");
        let is_written = path.file_name().is_some_and(|name| written.contains(&*name.to_string_lossy()));
        if is_page && !is_written && fs::read(&path).is_ok_and(|text| is_ours(&text)) {
            fs::remove_file(&path).map_err(|error| Failure::file(&path.display(), &error))?;
        }
    }
    Ok(())
}

/// Whether a page has our mark in its head.
fn is_ours(page: &[u8]) -> bool {
    let head = &page[..page.len().min(512)];
    head.windows(page::MARK.len()).any(|part| part == page::MARK.as_bytes())
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| Failure::file(&path.display(), &error))
}
