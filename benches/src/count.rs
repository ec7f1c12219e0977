//! How many instructions the programs take: `make count`.
//!
//! Times differ from machine to machine and from hour to hour, counts hardly: so a table of them is kept with the sources,
//! `benches/results/instructions.tsv`, and CI fails when a program takes more than 3 % over it. They are counted by valgrind
//! (callgrind), at a small size of each program. What
//! the process takes without running it, that is start and compilation, is counted too and taken off. Under valgrind a process
//! has the same addresses each time; the seeds of the standard library's hash tables are all that differs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::compare::{Listed, PROGRAMS};
use crate::repository;

/// How far a count may go beyond the table.
const TOLERANCE: f64 = 0.03;

fn file() -> PathBuf {
    repository().join("benches/results/instructions.tsv")
}

/// The instructions of a whole process that runs a program; without a size, of one that only compiles it.
fn process(name: &str, size: Option<u64>, folder: &Path) -> Result<u64, String> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", folder.join(name).display()))
        .arg(std::env::current_exe().map_err(|error| error.to_string())?)
        .args(["run", name])
        .args(size.map(|size| size.to_string()))
        .output()
        .map_err(|error| format!("valgrind: {error} (tools/setup.sh peers)"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split_once("Collected :"));
    let count = count.and_then(|(_, count)| count.trim().replace(',', "").parse().ok());
    count.filter(|_| output.status.success()).ok_or_else(|| format!("{name} under valgrind: {text}"))
}

/// The instructions that each program takes, start and compilation taken off. As many are counted at once as there are
/// processors: that changes no count.
fn counts(programs: &[&Listed], folder: &Path) -> Vec<Result<u64, String>> {
    let next = AtomicUsize::new(0);
    let count = || {
        let mut counted = Vec::new();
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            let Some(program) = programs.get(nth) else { return counted };
            let whole = process(program.name, Some(program.small), folder);
            let start = process(program.name, None, folder);
            counted.push((nth, whole.and_then(|whole| Ok(whole.saturating_sub(start?)))));
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut counted: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(count)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it does not panic")).collect()
    });
    counted.sort_by_key(|(nth, _)| *nth);
    counted.into_iter().map(|(_, count)| count).collect()
}

/// Counts all programs and holds them against the table, or with `write` makes it anew.
///
/// # Errors
/// Programs that take too many instructions, and whatever goes wrong.
pub fn count(only: &str, write: bool) -> Result<(), String> {
    if write && !only.is_empty() {
        return Err("only all programs are written".to_owned());
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let known = std::fs::read_to_string(file()).unwrap_or_default();
    let known = |name: &str, size: u64| {
        let start = format!("{name}\t{size}\t");
        known.lines().find_map(|line| line.strip_prefix(start.as_str())?.parse::<u64>().ok())
    };
    let programs: Vec<&Listed> = PROGRAMS.iter().filter(|program| program.name.contains(only)).collect();
    let mut text = String::from("program\tsize\tinstructions\n");
    let mut failed = Vec::new();
    for (program, count) in programs.iter().zip(counts(&programs, folder.path())) {
        let (name, size, count) = (program.name, program.small, count?);
        text.push_str(&format!("{name}\t{size}\t{count}\n"));
        let told = match known(name, size) {
            None => "not in the table".to_owned(),
            Some(known) => format!("{:+.2} %", (count as f64 / known as f64 - 1.0) * 100.0),
        };
        println!("{name:16} {size:6} {count:14} {told}");
        if known(name, size).is_none_or(|known| count as f64 > known as f64 * (1.0 + TOLERANCE)) {
            failed.push(name);
        }
    }
    if write {
        return std::fs::write(file(), text).map_err(|error| format!("{}: {error}", file().display()));
    }
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(format!(
            "more instructions than in benches/results/instructions.tsv, or not there: {}. Where that is meant: make count WRITE=1",
            failed.join(", ")
        )),
    }
}
