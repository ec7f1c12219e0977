//! `twintalk run`: the statements of a program, and all that follows from them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;
use twintalk_runtime::{OpenOptions, Program, SendError, System};

use crate::console::Console;
use crate::exit::{Exit, Failure, Outcome};
use crate::progress::Progress;
use crate::store::{Install, duration_ns};
use crate::terminal::count;
use crate::{load, sources};

/// Run a program
#[derive(Args)]
#[command(
    after_help = "Of a folder its main.twin or main.som is run. A .som file without statements runs as in SOM: NAME \
                        new run. Without --store all is in memory, and time moves by --for and Clock advance: alone."
)]
pub struct Run {
    /// A program, an image, or a folder with one
    file: PathBuf,
    /// Folders where capitalised names are sought too
    #[arg(value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// Where twins live on; made on first use
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Let timers run for so long after the last statement
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_ns)]
    for_ns: Option<i64>,
    #[command(flatten)]
    install: Install,
    /// Change nothing: try --upgrade on a copy of every stored twin, and report
    #[arg(long, requires = "upgrade", requires = "store")]
    dry_run: bool,
    /// What the program finds in Program arguments
    #[arg(last = true, value_name = "ARG")]
    arguments: Vec<String>,
}

impl Run {
    /// Runs it.
    pub fn run(self) -> Outcome {
        let mut folders = self.folders;
        if let Some(other) = folders.iter().find(|folder| !folder.is_dir()) {
            return Err(Failure::usage(format!(
                "{} is no folder; what the program is to be given stands behind --",
                other.display()
            )));
        }
        let file = if self.file.is_dir() {
            folders.insert(0, self.file.clone());
            sources::main_of(&self.file)?
        } else {
            self.file
        };
        let program = load::program(&[file], &folders)?;
        if let (true, Some(store)) = (self.dry_run, &self.store) {
            return dry_run(store, program);
        }
        let mut system = System::open(self.install.options(self.store, Some(program)))?;
        let mut console = Console::new();
        let outcome = system.run_program(self.arguments, self.for_ns, &mut console);
        system.close(&mut console)?;
        console.flush();
        outcome?;
        Ok(if console.faults > 0 { Exit::Wrong } else { Exit::Done })
    }
}

/// Upgrades a copy of the store, and lets every twin take one message that changes nothing: its state is carried
/// over before, and its migration, types and invariants run.
fn dry_run(store: &Path, program: Program) -> Outcome {
    // While it is open nobody else writes to it.
    let mut original = System::open(OpenOptions { folder: Some(store.to_owned()), ..OpenOptions::default() })?;
    let copy = Copy::of(store)?;
    let twins = original.twins("")?;
    drop(original);
    let options = OpenOptions {
        folder: Some(copy.folder.clone()),
        program: Some(program),
        upgrade: true,
        ..OpenOptions::default()
    };
    let mut system = System::open(options)?;
    let mut console = Console::new();
    console.progress = Progress::start(Some(twins.len() as u64), "twins");
    let mut failures = 0;
    for (index, twin) in twins.iter().enumerate() {
        match system.send(&twin.path, "path", &[], &mut console) {
            Ok(_) => {}
            Err(SendError::Store(error)) => return Err(Failure::from(error)),
            Err(error @ (SendError::Fault(_) | SendError::Argument(_))) => {
                failures += 1;
                console.complain(&format!("{}: {error}", twin.path));
            }
        }
        console.progress.at(index as u64 + 1, || "twins".to_owned());
    }
    console.progress = Progress::none();
    let can = twins.len() - failures;
    let cannot = if failures > 0 { format!(", {failures} cannot") } else { String::new() };
    console.line(&format!("{} can go on with these definitions{cannot}", count(can, "twin")));
    console.flush();
    Ok(if failures > 0 { Exit::Wrong } else { Exit::Done })
}

/// A copy of a store beside it, which removes itself.
struct Copy {
    folder: PathBuf,
}

impl Copy {
    fn of(store: &Path) -> Result<Copy, Failure> {
        let mut name = store.file_name().unwrap_or_default().to_owned();
        name.push(format!(".dry-run-{}", std::process::id()));
        let copy = Copy { folder: store.with_file_name(name) };
        copy_folder(store, &copy.folder).map_err(|error| Failure::file(&copy.folder.display(), &error))?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // Nothing more can be done about what stays.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
