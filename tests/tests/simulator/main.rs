//! The simulator: a store on a disk that fails as a number says, and what must hold all the same.
//!
//! One seed makes one plan (`plan.rs`): twins that keep evidence (`twins.twin`), messages from outside, timers,
//! upgrades, removals, closings, and what goes wrong: kills at any write, failed flushes, a full disk, power that
//! is lost with torn and reordered pages (`disk.rs`), clocks that jump. `world.rs` carries it out through the
//! runtime as it is, and after every opening and at the end `check.rs` looks: exactly once, order per pair, no half
//! turn, what was acknowledged is durable, replay equals live, `verify` is silent.
//!
//! A run needs nothing but its seed: `SEED=7` runs that one and prints its plan and what happened; `SEEDS=1..10000` runs
//! many, `HOURS=1` as many as there are in that time; `FORKS=0` leaves out the fork at the end, which takes as long as all else.
//! A failure names its seed.
//!
//! That the simulator can fail is tested too: with a defect planted in the store it must find it.

mod check;
mod dice;
mod disk;
mod plan;
mod world;

use std::num::NonZeroUsize;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dice::Dice;
use disk::Sabotage;
use plan::Plan;
use world::{Done, World};

/// How many seeds are run when nothing else is asked for.
const SEEDS: u64 = 200;

/// What came of a seed.
struct Outcome {
    trace: Vec<String>,
    done: Done,
    failure: Option<String>,
    /// The records that the disk has in the end.
    log: Vec<String>,
}

fn run(seed: u64, sabotage: Sabotage, listed: bool) -> Outcome {
    let mut dice = Dice::new(seed);
    let plan = Plan::new(&mut dice);
    carry_out(&plan, dice, sabotage, listed)
}

fn carry_out(plan: &Plan, mut dice: Dice, sabotage: Sabotage, listed: bool) -> Outcome {
    let mut world = World::new(plan, sabotage, &mut dice);
    let result = panic::catch_unwind(AssertUnwindSafe(|| world.run()));
    let failure = match result {
        Ok(result) => result.err(),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
            Some(format!("it panicked: {}", text.unwrap_or("with something that is no text")))
        }
    };
    let log = if listed { check::listing(&world.disk.look()) } else { Vec::new() };
    Outcome { trace: std::mem::take(&mut world.trace), done: world.done, failure, log }
}

/// The seeds to run, from the environment, and how long at most.
fn asked() -> (u64, u64, Option<Duration>) {
    let number = |text: &str| text.trim().parse::<u64>().expect("a number");
    if let Ok(hours) = std::env::var("HOURS") {
        let hours: f64 = hours.parse().expect("a number of hours");
        // Other seeds than yesterday, as every long run should have; the first one is printed.
        let first = std::env::var("FROM").map_or_else(|_| days() * 1_000_000, |from| number(&from));
        return (first, u64::MAX, Some(Duration::from_secs_f64(hours * 3600.0)));
    }
    match std::env::var("SEEDS") {
        Ok(text) => {
            let (from, to) = text.split_once("..").expect("SEEDS=from..to");
            (number(from), number(to), None)
        }
        Err(_) => (1, SEEDS + 1, None),
    }
}

fn days() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() / 86_400)
}

// delivery: D2.1, D2.12, D3.1, D3.2, D3.5, D3.8, D7.4, D7.5, D7.6, D7.7, D8.13
#[test]
fn slow_whatever_goes_wrong_each_message_is_handled_once_in_order_and_whole() {
    if let Ok(seed) = std::env::var("SEED") {
        let seed = seed.parse().expect("a number");
        println!("{:#?}", Plan::new(&mut Dice::new(seed)));
        let outcome = run(seed, Sabotage::Nothing, true);
        println!("{}\n{}\n{:?}", outcome.log.join("\n"), outcome.trace.join("\n"), outcome.done);
        assert!(outcome.failure.is_none(), "seed {seed}: {}", outcome.failure.unwrap_or_default());
        return;
    }
    let (from, to, limit) = asked();
    let started = Instant::now();
    let (next, total) = (AtomicU64::new(from), Mutex::new((0u64, Done::default())));
    let failures = Mutex::new(Vec::new());
    let work = || {
        while limit.is_none_or(|limit| started.elapsed() < limit) && failures.lock().expect("no panic").len() < 5 {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= to {
                return;
            }
            let Outcome { trace, done, failure, log: _ } = run(seed, Sabotage::Nothing, false);
            if let Some(failure) = failure {
                let last = trace[trace.len().saturating_sub(12)..].join("\n    ");
                println!("seed {seed} fails");
                failures.lock().expect("no panic").push(format!("seed {seed}: {failure}\n    {last}"));
            }
            let (seeds, total) = &mut *total.lock().expect("no panic");
            *seeds += 1;
            total.records += done.records;
            total.openings += done.openings;
            total.struck += done.struck;
            total.blackouts += done.blackouts;
            total.writes += done.writes;
            total.forks += done.forks;
            if limit.is_some() && seeds.is_multiple_of(500) {
                println!("{seeds} seeds in {:?}", started.elapsed());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(work);
        }
    });
    let (seeds, total) = total.into_inner().expect("no panic");
    let failures = failures.into_inner().expect("no panic");
    println!(
        "{seeds} seeds from {from} in {:.1?}: {} records kept, {} openings, {} faults struck, power lost {} times, {} writes \
         and flushes, {} forks",
        started.elapsed(),
        total.records,
        total.openings,
        total.struck,
        total.blackouts,
        total.writes,
        total.forks
    );
    assert!(
        failures.is_empty(),
        "{} of {seeds} seeds fail; to run one again: SEED=n cargo test -p twintalk-tests --test simulator -- --nocapture \
         whatever\n\n{}\n",
        failures.len(),
        failures.join("\n\n")
    );
}

#[test]
fn slow_two_threads_keep_what_one_keeps() {
    // The order of things is the machine's, so a seed does not say all; what must hold is the same.
    let from = std::env::var("SEED").map_or(5_000, |seed| seed.parse().expect("a number"));
    for seed in from..from + 24 {
        let mut dice = Dice::new(seed);
        let plan = Plan { partitions: dice.pick(&[2, 3, 8]), threads: 2, ..Plan::new(&mut dice) };
        let Outcome { trace, failure, .. } = carry_out(&plan, dice, Sabotage::Nothing, false);
        assert!(failure.is_none(), "seed {seed}: {}\n    {}", failure.unwrap_or_default(), trace.join("\n    "));
    }
}

/// Runs seeds until one fails.
fn finds(sabotage: Sabotage) -> String {
    for seed in 1..=60 {
        if let Some(failure) = run(seed, sabotage, false).failure {
            return failure;
        }
    }
    panic!("no seed finds {sabotage:?}");
}

#[test]
fn a_flush_that_does_nothing_is_found() {
    finds(Sabotage::IdleFlush);
}

#[test]
fn rows_of_what_was_taken_that_are_not_written_are_found() {
    finds(Sabotage::ForgetsTaken);
}

#[test]
fn a_commit_in_two_halves_is_found() {
    finds(Sabotage::TwoFrames);
}

#[test]
fn rows_that_are_lost_are_found() {
    finds(Sabotage::LosesRows);
}
