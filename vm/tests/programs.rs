//! Programs made at random, each held to what [`trial::check`] asks of any; and the two loops of the interpreter compared.
//!
//! `PROGRAMS=n` makes so many, `SEED=s` begins with that number; a failure says which number to begin with to see it
//! alone. One build has one loop, so the loops are compared across builds: each leaves what came of every program in a file,
//! and the other finds it there. `make test` runs both.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::panic;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use twintalk_bytecode::file::encode;
use twintalk_tests::programs::{Seeded, Subject, program};
use twintalk_tests::trial::{self, KERNEL};
use twintalk_vm::interpret::THREADED;

/// How many `make test` makes.
const PROGRAMS: u64 = 120;

/// No program takes longer in all that is asked of it, on slow and busy machines included.
const PROGRAM_MAX: Duration = Duration::from_secs(300);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// What came of the program of that number; or what is wrong with it.
fn digest(seed: u64) -> Result<u64, String> {
    let text = program(&mut Seeded::new(seed), Subject::Objects);
    let checked = |text: &str| {
        panic::catch_unwind(|| trial::check(text, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .unwrap_or_else(|_| Err("it panicked".to_owned()))
    };
    checked(&text).map(|ran| ran.digest()).map_err(|wrong| {
        // What is wrong in the first words, without the numbers.
        let what =
            |wrong: &str| wrong.chars().filter(|character| !character.is_ascii_digit()).take(48).collect::<String>();
        let is_wrong = |text: &str| checked(text).is_err_and(|other| what(&other) == what(&wrong));
        let smaller = if number("REDUCE").is_some() { trial::reduced(&text, &is_wrong) } else { text.clone() };
        format!("SEED={seed} PROGRAMS=1 REDUCE=1: {wrong}\n\n{smaller}")
    })
}

/// Of every program what came of it, by number.
fn digests(first: u64, count: u64) -> BTreeMap<u64, u64> {
    let (next, found) = (AtomicU64::new(0), Mutex::new((BTreeMap::new(), Vec::new())));
    let running: Mutex<BTreeMap<u64, Instant>> = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= count {
                break;
            }
            let seed = first.wrapping_add(nth);
            running.lock().expect("no thread panics here").insert(seed, Instant::now());
            let digest = digest(seed);
            running.lock().expect("no thread panics here").remove(&seed);
            let mut found = found.lock().expect("no thread panics here");
            match digest {
                Ok(digest) => drop(found.0.insert(seed, digest)),
                Err(wrong) => found.1.push(wrong),
            }
        }
    };
    // A program that never ends would say nothing.
    let watch = || {
        while next.load(Ordering::Relaxed) < count || !running.lock().expect("no thread panics here").is_empty() {
            thread::sleep(Duration::from_millis(20));
            let running = running.lock().expect("no thread panics here");
            if let Some((seed, _)) = running.iter().find(|(_, since)| since.elapsed() > PROGRAM_MAX) {
                let text = program(&mut Seeded::new(*seed), Subject::Objects);
                eprintln!("SEED={seed} PROGRAMS=1: it does not end\n\n{text}");
                std::process::exit(101);
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(watch);
        for _ in 0..thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(work);
        }
    });
    let (digests, wrong) = found.into_inner().expect("no thread panics here");
    assert!(wrong.is_empty(), "{} of {count} programs:\n{}", wrong.len(), wrong.join("\n\n"));
    digests
}

#[test]
fn any_program_keeps_its_limits_and_does_the_same_however_it_runs() {
    let (first, count) = (number("SEED").unwrap_or(1), number("PROGRAMS").unwrap_or(PROGRAMS));
    let digests = digests(first, count);
    // What decides the digests: other files were left by another state of the sources.
    let mut hasher = DefaultHasher::new();
    encode(&KERNEL).hash(&mut hasher);
    program(&mut Seeded::new(first), Subject::Objects).hash(&mut hasher);
    let name = format!("programs-{first}-{count}-{:016x}", hasher.finish());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file_of = |threaded: bool| folder.join(format!("{name}.{}", if threaded { "threaded" } else { "plain" }));
    let lines = digests.iter().fold(String::new(), |mut lines, (seed, digest)| {
        let _ = writeln!(lines, "{seed} {digest:016x}");
        lines
    });
    fs::write(file_of(THREADED), &lines).expect("the folder for such files can be written");
    let Ok(other) = fs::read_to_string(file_of(!THREADED)) else { return };
    let differing: Vec<&str> =
        lines.lines().zip(other.lines()).filter(|(here, there)| here != there).map(|(here, _)| here).collect();
    assert!(differing.is_empty(), "the loops do not agree on {differing:?}");
}
