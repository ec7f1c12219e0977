//! Programs made at random that define twins and send to them, each run as the cases of `spec/` are: however the twins are
//! kept it does the same and leaves the same records, and what `verify` runs again has the same effects.
//!
//! `PROGRAMS=n` makes so many, `SEED=s` begins with that number, `REDUCE=1` makes what fails smaller.
//! Programs without twins are the business of `vm/tests/programs.rs`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use twintalk_bytecode::Image;
use twintalk_bytecode::file::{decode, encode};
use twintalk_runtime::{
    ClockKind, Discipline, FaultReport, HistoryEntry, Limits, OpenOptions, Output, Position, Program, SendError, System,
};
use twintalk_tests::programs::{Choices, Seeded, Subject, program};
use twintalk_tests::trial;

/// How many `make test` makes.
const PROGRAMS: u64 = 40;

/// No program takes longer in all modes, on slow and busy machines included.
const ALL_MODES_MAX: Duration = Duration::from_secs(120);

/// What is run after the last statement, for timers.
const FOR_NS: i64 = 3_000_000_000;

#[derive(Debug, Default)]
struct Ran {
    /// What was printed, and reports of failures, in their order.
    output: String,
    end: String,
    /// By twin, all that its records say but for where they stand.
    histories: BTreeMap<String, Vec<String>>,
}

impl Output for Ran {
    fn print(&mut self, text: &str) {
        self.output.push_str(text);
    }

    fn fault(&mut self, report: &FaultReport) {
        self.output.push_str(&format!("[{} {}: {}]\n", report.path, report.selector, report.fault.kind));
    }
}

/// How twins are kept.
#[derive(Clone, Copy)]
struct Mode {
    discipline: Discipline,
    partitions: u16,
    threads: usize,
    /// A collection before every allocation.
    stress: bool,
}

/// The plain one.
const NORMAL: Mode = Mode { discipline: Discipline::Normal, partitions: 1, threads: 1, stress: false };

/// Programs that take longer are not run in the slowest mode.
const STRESSED_MAX: Duration = Duration::from_millis(20);

/// Runs a program in memory: what came of it, when `verify` finds nothing.
fn run(image: Image, mode: Mode, limits: Limits) -> Result<Ran, String> {
    let options = OpenOptions {
        partitions: Some(mode.partitions),
        threads: Some(mode.threads),
        program: Some(Program::new(image)),
        clock: Some(ClockKind::Driven),
        discipline: mode.discipline,
        limits,
        ..OpenOptions::default()
    };
    let mut system = System::open(options).map_err(|error| format!("the store does not open: {error}"))?;
    system.limit_program(trial::LIMITS);
    system.set_stress(mode.stress);
    let mut ran = Ran::default();
    ran.end = match system.run_program(Vec::new(), Some(FOR_NS), &mut ran) {
        Ok(()) => "ok".to_owned(),
        Err(SendError::Fault(fault)) => fault.to_string(),
        Err(error) => return Err(error.to_string()),
    };
    for twin in system.twins("").map_err(|error| error.to_string())? {
        let entries = system.history(&twin.path, None, None).map_err(|error| error.to_string())?;
        let whole = |entry: HistoryEntry| format!("{:?}", HistoryEntry { position: Position::START, ..entry });
        ran.histories.insert(twin.path, entries.into_iter().map(whole).collect());
    }
    let report = system.verify(&mut |_| {}).map_err(|error| error.to_string())?;
    if let Some(first) = report.differences.first() {
        return Err(format!("verify finds {} differences, first: {first}", report.differences.len()));
    }
    system.close(&mut ran).map_err(|error| format!("closing: {error}"))?;
    Ok(ran)
}

fn same(how: &str, wanted: &Ran, found: &Ran) -> Result<(), String> {
    let (wanted, found) = (lines(wanted), lines(found));
    let differs = |nth: &usize| wanted.get(*nth) != found.get(*nth);
    let Some(nth) = (0..wanted.len().max(found.len())).find(differs) else { return Ok(()) };
    let shown = |lines: &[String]| lines.get(nth).map_or("nothing", String::as_str).to_owned();
    Err(format!("{how} it is not the same:\n- {}\n+ {}", shown(&wanted), shown(&found)))
}

/// All of it, a line each.
fn lines(ran: &Ran) -> Vec<String> {
    let records =
        ran.histories.iter().flat_map(|(path, records)| records.iter().map(move |record| format!("{path}: {record}")));
    ran.output.lines().map(str::to_owned).chain([ran.end.clone()]).chain(records).collect()
}

/// Whether the program does the same in all modes.
fn check(text: &str, seed: u64) -> Result<(), String> {
    let image = trial::compiled(text)?;
    let read = decode(&encode(&image)).map_err(|error| format!("its file cannot be read: {error}"))?;
    let mut dice = Seeded::new(seed ^ 0x5eed);
    let fuel = [20_000, 20_000, 20_000, 1_000, 150][dice.below(5)];
    let limits = Limits { fuel, memory_bytes: 8 << 20 };
    let start = Instant::now();
    let ran = run(image.clone(), NORMAL, limits)?;
    let is_short = start.elapsed() < STRESSED_MAX && !ran.end.starts_with("StackDepth");
    same("from its file", &ran, &run(read, NORMAL, limits)?)?;
    let replayed = Mode { discipline: Discipline::Replay, ..NORMAL };
    same("replayed after every turn", &ran, &run(image.clone(), replayed, limits)?)?;
    let reloaded = Mode { discipline: Discipline::Reload, ..NORMAL };
    same("loaded before every turn", &ran, &run(image.clone(), reloaded, limits)?)?;
    if is_short {
        let stressed = Mode { stress: true, ..NORMAL };
        same("with a collection before every allocation", &ran, &run(image.clone(), stressed, limits)?)?;
    }
    // Senders may race for a twin here, so that only what `verify` says counts.
    run(image.clone(), Mode { partitions: 3, ..NORMAL }, limits)?;
    run(image, Mode { partitions: 4, threads: 2, ..NORMAL }, limits)?;
    Ok(())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

fn wrong_with(seed: u64) -> Option<String> {
    let text = program(&mut Seeded::new(seed), Subject::Twins);
    let checked =
        |text: &str| panic::catch_unwind(|| check(text, seed)).unwrap_or_else(|_| Err("it panicked".to_owned())).err();
    let wrong = checked(&text)?;
    let what = |wrong: &str| wrong.chars().filter(|character| !character.is_ascii_digit()).take(24).collect::<String>();
    let is_wrong = |text: &str| checked(text).is_some_and(|other| what(&other) == what(&wrong));
    let smaller = if number("REDUCE").is_some() { trial::reduced(&text, &is_wrong) } else { text.clone() };
    Some(format!("SEED={seed} PROGRAMS=1 REDUCE=1: {wrong}\n\n{smaller}"))
}

#[test]
fn any_program_of_twins_does_the_same_however_they_are_kept() {
    let (first, count) = (number("SEED").unwrap_or(1), number("PROGRAMS").unwrap_or(PROGRAMS));
    let (next, found) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let running: Mutex<BTreeMap<u64, Instant>> = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= count {
                break;
            }
            let seed = first.wrapping_add(nth);
            running.lock().expect("no thread panics here").insert(seed, Instant::now());
            if let Some(wrong) = wrong_with(seed) {
                found.lock().expect("no thread panics here").push(wrong);
            }
            running.lock().expect("no thread panics here").remove(&seed);
        }
    };
    // A program that never ends would say nothing.
    let watch = || {
        while next.load(Ordering::Relaxed) < count || !running.lock().expect("no thread panics here").is_empty() {
            thread::sleep(Duration::from_millis(100));
            for (seed, since) in running.lock().expect("no thread panics here").iter() {
                if since.elapsed() > ALL_MODES_MAX {
                    eprintln!(
                        "SEED={seed} PROGRAMS=1: it does not end\n\n{}",
                        program(&mut Seeded::new(*seed), Subject::Twins)
                    );
                    std::process::exit(101);
                }
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(watch);
        for _ in 0..thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(work);
        }
    });
    let found = found.into_inner().expect("no thread panics here");
    assert!(found.is_empty(), "{} of {count} programs:\n{}", found.len(), found.join("\n\n"));
}
