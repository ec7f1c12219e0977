//! A million turns leave the process as large as it was: nothing is kept of a turn but what its record says.
//!
//! What is measured is the resident set, where the operating system tells it. Memtables are written out before each look, so
//! what RocksDB has gathered does not count.

#[path = "counted/mod.rs"]
mod counted;

use std::fs;

use counted::{check_figures, feed, folder, make, reopen};
use twintalk_runtime::{ClockKind, Durability, System};

/// How many turns a message makes: its own, and of every third that does not fail a note and its echo.
const MESSAGES: u64 = 640_000;
const TURNS: u64 = 1_000_000;
/// Allocators keep pages, and the operating system counts them as it likes.
const SLACK_BYTES: u64 = 8 << 20;

/// The resident set of this process.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes << 10)
}

fn feed_up_to(system: &mut System, from: u64, to: u64) {
    for number in from..=to {
        feed(system, number, None).unwrap_or_else(|error| panic!("{error}"));
        if number % 512 == 0 {
            system.commit(&mut counted::Faults).unwrap_or_else(|error| panic!("{error}"));
        }
        if number % 16_384 == 0 {
            system.settle_store().unwrap_or_else(|error| panic!("{error}"));
        }
    }
    system.commit(&mut counted::Faults).unwrap_or_else(|error| panic!("{error}"));
    system.checkpoint().unwrap_or_else(|error| panic!("{error}"));
    system.settle_store().unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn slow_a_million_turns_leave_the_process_as_large_as_it_was() {
    let folder = folder();
    make(folder.path(), Durability::Async, 1, Some(ClockKind::Driven));
    let mut system = reopen(folder.path());
    let warm = MESSAGES / 8;
    feed_up_to(&mut system, 1, warm);
    let before = resident_bytes();
    feed_up_to(&mut system, warm + 1, MESSAGES);
    let after = resident_bytes();
    assert!(system.records() >= TURNS, "{} turns", system.records());
    check_figures(&mut system, MESSAGES, "a million turns");
    let Some((before, after)) = before.zip(after) else { return println!("the resident set is not told here") };
    println!("{} MiB after {warm} messages, {} MiB after {MESSAGES}", before >> 20, after >> 20);
    assert!(after < before + SLACK_BYTES, "from {before} to {after} bytes");
}
