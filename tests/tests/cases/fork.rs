//! Forks of the stores that cases have left, with nothing otherwise: each ends as what happened ended, whatever moment it begins at.

use std::collections::BTreeMap;
use std::sync::Arc;

use twintalk_compiler::{SourceText, compile};
use twintalk_runtime::{
    ClockKind, Cut, FaultReport, Limits, Moment, OpenOptions, Output, Position, Program, System, TwinState, WhatIf,
    kernel,
};
use twintalk_store::memory::MemoryStore;
use twintalk_store::{Log, Partition};

use crate::case::{self, Case, Step};
use crate::sources::Files;

/// At how many moments of a store forks begin at most.
const CUTS_MAX: usize = 3;

struct Nowhere;

impl Output for Nowhere {
    fn print(&mut self, text: &str) {
        assert!(!text.is_empty(), "nothing is printed");
    }
    fn fault(&mut self, _report: &FaultReport) {}
}

fn open(store: &Arc<MemoryStore>, program: Option<Program>) -> Option<System> {
    let limits = Limits { fuel: 1_000_000, memory_bytes: 32 << 20 };
    let options = OpenOptions { program, upgrade: true, limits, ..OpenOptions::default() };
    System::with_store(store.clone(), ClockKind::Driven, options).ok()
}

/// Runs a step; false if it is not to run.
fn run(store: &Arc<MemoryStore>, step: &Step, nth: usize) -> bool {
    let (mut files, name) = Files::beside(&step.path);
    let compilation = compile(vec![SourceText { name, text: step.text.clone() }], &mut files, &[kernel::image()]);
    let Some(image) = compilation.image else { return false };
    let Some(mut system) = open(store, Some(Program::new(image))) else { return false };
    let run_for = (step.run_for_ns > 0).then_some(step.run_for_ns);
    // A program that ends with a fault leaves what it did before.
    let _ = system.run_program(Vec::new(), run_for, &mut Nowhere);
    system.settle(&mut Nowhere).expect("settled");
    // Rows are behind their twins in every other store.
    if nth.is_multiple_of(2) {
        system.checkpoint().expect("a checkpoint");
    }
    true
}

/// Every twin as it is, but for where in the log.
fn states(system: &mut System) -> BTreeMap<String, TwinState> {
    let twins = system.twins("").expect("twins");
    let mut state = |path: &str| system.state(path, Moment::Now).expect("a state").expect("a twin");
    let states = twins.into_iter().map(|twin| {
        let state = state(&twin.path);
        (twin.path, TwinState { position: Position::START, quarantined: twin.quarantined, ..state })
    });
    states.collect()
}

/// Moments of a store: places in the log of its first partition, spread over it.
fn cuts(store: &MemoryStore) -> Vec<Position> {
    let mut cuts = Vec::new();
    for block in store.read(Partition(0), Position::FIRST).expect("blocks") {
        let block = block.expect("a block");
        let records = block.open().expect("records").len();
        cuts.extend((0..records).map(|index| Position { block: block.number(), index }));
    }
    let step = cuts.len().div_ceil(CUTS_MAX).max(1);
    cuts.into_iter().step_by(step).collect()
}

fn check(case: &Case, partitions: u16, nth: usize, defects: &mut Vec<String>) -> usize {
    let store = Arc::new(MemoryStore::new(partitions, "fnv1a64-first-segment"));
    if !case.steps.iter().all(|step| run(&store, step, nth)) {
        return 0;
    }
    let mut system = open(&store, None).unwrap_or_else(|| panic!("{}: it does not open again", case.name));
    let wanted = states(&mut system);
    if cuts(&store).len() < 2 {
        // There is nothing but the program.
        return 0;
    }
    let mut turns = 0;
    for cut in cuts(&store) {
        let asked = WhatIf {
            from: Cut::Before(vec![Some(cut)]),
            until: Cut::Now,
            program: None,
            dropped: Vec::new(),
            inserted: Vec::new(),
        };
        let name = format!("{}, {partitions} partitions, from {cut}", case.name);
        let (forked, mut fork) = match system.fork(&asked, &mut |_| {}) {
            Ok(forked) => forked,
            // It may have no moment there.
            Err(error) if partitions > 1 && error.to_string().contains("is no moment of the store") => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        turns += forked.turns as usize;
        let otherwise = (forked.differing, forked.added, forked.missing, forked.fault_count);
        if otherwise != (0, 0, 0, 0) || !forked.differences.is_empty() {
            let places: Vec<_> = forked.differences.iter().map(|one| (&one.path, &one.changes)).collect();
            defects.push(format!("{name}: {otherwise:?}, {:?}, {places:?}", forked.faults));
        } else if states(&mut fork) != wanted {
            defects.push(format!("{name}: twins are otherwise: {:?}, not {wanted:?}", states(&mut fork)));
        }
    }
    turns
}

// delivery: D13.2
#[test]
fn a_fork_of_any_case_at_any_moment_with_nothing_otherwise_ends_as_the_case_did() {
    let mut defects = Vec::new();
    let only = std::env::var("CASE").unwrap_or_default();
    let (mut cases, mut turns) = (0, 0);
    for (nth, case) in case::all().iter().enumerate().filter(|(_, case)| case.name.contains(&only)) {
        for partitions in [1, 3] {
            // All in all, both are had often enough.
            if only.is_empty() && nth.is_multiple_of(3) != (partitions == 1) {
                continue;
            }
            let more = check(case, partitions, nth, &mut defects);
            cases += usize::from(more > 0);
            turns += more;
        }
    }
    let first: Vec<&str> = defects.iter().map(String::as_str).take(30).collect();
    assert!(defects.is_empty(), "{} forks are otherwise:\n{}", defects.len(), first.join("\n"));
    println!("{turns} turns of the forks of {cases} stores");
    assert!(!only.is_empty() || (cases > 300 && turns > 5_000), "{turns} turns of {cases} stores");
}
