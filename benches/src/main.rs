//! TwinTalk measured: the figures of the design's list of targets, taken on this machine.
//!
//! `twintalk-benches [--smoke] [--only WORD] [--write]` prints a table. `--smoke` runs everything so small that it
//! takes seconds: a test that it runs. `--only` takes the groups whose name contains the word. `--write` puts the
//! table in `benches/results.md` in place of the one that is there.
//!
//! `twintalk-benches compare [--smoke] [--only WORD] [--write]` runs the programs of `benches/programs/` beside other
//! languages, `twintalk-benches count [--only WORD] [--write]` counts their instructions; `twintalk-benches run NAME SIZE`
//! runs one of them and prints how many seconds that took.
//!
//! `twintalk-benches soak [--minutes N] [--write]` is a long run at full load: memory, latency and disk as time goes.
//!
//! Every group runs in a process of its own, so that none finds the memory or the caches that another left.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::measure::{Figure, Scale, table};

mod beside;
mod compare;
mod count;
mod heap;
mod lists;
mod measure;
mod plot;
mod soak;
mod stores;
mod turns;
mod watched;

// The allocator of the program that users run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Group = (&'static str, fn(Scale) -> Vec<Figure>);

/// How many twins the largest store has without `--twins`, and how many it may have: a path has so many digits.
const TWINS: u64 = 1_000_000;
const TWINS_MAX: u64 = 999_999_999;

/// The groups, in the order of the table.
const GROUPS: &[Group] = &[
    ("sends", turns::sends),
    ("far sends", turns::far_sends),
    ("heap", heap::heap),
    ("updates", stores::updates),
    ("lists", lists::lists),
    ("lazy load", stores::lazy_load),
    ("idle twins", stores::idle_twins),
    ("replay", stores::replay),
    ("opening", stores::opening),
    ("profile", watched::profile),
    ("compiler", beside::compiler),
    ("cold start", beside::cold_start),
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let verb = arguments.next_if(|argument| !argument.starts_with('-'));
    if verb.as_deref() == Some("run") {
        let name = arguments.next().unwrap_or_default();
        let (printed, seconds) = compare::run_here(&name, arguments.next());
        println!("{printed}{seconds}");
        return ExitCode::SUCCESS;
    }
    let (mut smoke, mut twins, mut write, mut only, mut group) = (false, TWINS, false, String::new(), None);
    let mut minutes = 30.0;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--smoke" => smoke = true,
            "--twins" => match arguments.next().and_then(|digits| digits.parse().ok()) {
                Some(count @ 1..=TWINS_MAX) => twins = count,
                Some(_) | None => return usage(),
            },
            "--write" => write = true,
            "--only" => only = arguments.next().unwrap_or_default(),
            "--group" => group = arguments.next(),
            "--minutes" => minutes = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(minutes),
            "--bench" => {} // `cargo bench` adds it
            _ => return usage(),
        }
    }
    let done = match verb.as_deref() {
        None => return figures(group, &only, Scale { smoke, twins }, write),
        Some("compare") => compare::compare(&only, smoke, write),
        Some("count") => count::count(&only, write),
        Some("soak") => soak::soak(if smoke { 0.02 } else { minutes }, smoke, write),
        Some(other) => Err(format!("there is no `{other}`")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: twintalk-benches [compare | count | soak] [--smoke] [--only WORD] [--twins N] [--write]");
    ExitCode::from(2)
}

/// Measures the groups of figures whose names contain `only`, or the one group that this process is for.
fn figures(group: Option<String>, only: &str, scale: Scale, write: bool) -> ExitCode {
    let smoke = scale.smoke;
    if let Some(name) = group {
        let (_, run) = GROUPS.iter().find(|(known, _)| *known == name).expect("named by the parent");
        run(scale).iter().for_each(|figure| println!("{}", figure.to_line()));
        return ExitCode::SUCCESS;
    }
    let mut figures = Vec::new();
    for (name, _) in GROUPS.iter().filter(|(name, _)| name.contains(only)) {
        eprintln!("measuring {name} ...");
        match run_group(name, scale) {
            Some(mut more) => figures.append(&mut more),
            None => {
                eprintln!("{name} ended badly");
                return ExitCode::FAILURE;
            }
        }
    }
    print!("{}", table(scale, &figures));
    if smoke {
        println!("\nA smoke run: it shows that everything runs; its figures mean nothing.");
    }
    if write && smoke {
        eprintln!("a smoke run is not written");
    } else if write && let Err(error) = write_results(scale, &figures) {
        eprintln!("benches/results.md: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Measures one group in a process of its own.
fn run_group(name: &str, scale: Scale) -> Option<Vec<Figure>> {
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.args(["--group", name]).args(scale.smoke.then_some("--smoke"));
    command.args(["--twins", &scale.twins.to_string()]).stderr(Stdio::inherit());
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()?.lines().map(Figure::from_line).collect()
}

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

const TABLE_START: &str = "<!-- table: written by `make bench WRITE=1` -->\n";
const TABLE_END: &str = "<!-- end of table -->\n";

/// Puts the table and where it was taken between the marks of `benches/results.md`.
fn write_results(scale: Scale, figures: &[Figure]) -> std::io::Result<()> {
    let path = repository().join("benches/results.md");
    let text = std::fs::read_to_string(&path)?;
    let missing = || std::io::Error::other("its marks are gone");
    let start = text.find(TABLE_START).ok_or_else(missing)? + TABLE_START.len();
    let end = text.find(TABLE_END).ok_or_else(missing)?;
    let table = format!("\n{}\n\n{}\n", machine(), table(scale, figures));
    std::fs::write(path, format!("{}{table}{}", &text[..start], &text[end..]))
}

/// The machine, without its name, and the commit.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("?", |(_, m)| m);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(repository()).args(arguments).output().ok();
        output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let changed = if git(&["status", "--porcelain", "--untracked-files=no"]).is_empty() { "" } else { " with changes" };
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{cores} cores of {model}; commit {}{changed}; {profile} build.", git(&["rev-parse", "--short=10", "HEAD"]))
}
