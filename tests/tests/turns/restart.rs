//! What a restart finds: timers, time, messages on their way.

use std::path::Path;
use std::thread;
use std::time::Duration;

use twintalk_runtime::{ClockKind, OpenOptions};
use twintalk_store::record::Outcome;

use crate::log::{Shown, assert_sound, each_record, open_with, options, program};

// delivery: D8.9, D8.2, D3.10
#[test]
fn a_timer_that_was_missed_has_one_turn_and_keeps_its_beat() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "twin T = ( | n <- 0. | timer tick every: 100 milliseconds = ( n := n + 1 ) )  T ensure: 't'.";
    let on_the_wall = || {
        open_with(OpenOptions { program: Some(program(text)), clock: Some(ClockKind::Wall), ..options(folder.path()) })
    };
    let mut shown = Shown::default();
    let mut system = on_the_wall();
    system.run_program(Vec::new(), None, &mut shown).expect("runs");
    system.close(&mut shown).expect("closed");
    let (before, _, _) = ticks(folder.path());
    thread::sleep(Duration::from_millis(450));
    let mut system = on_the_wall();
    system.settle(&mut shown).expect("the store takes it");
    assert_sound(&mut system);
    system.close(&mut shown).expect("closed");
    let (after, made_ns, next_ns) = ticks(folder.path());
    // One turn for the four or more that were missed; the next is a multiple of the interval after the first.
    assert_eq!(after.len(), before.len() + 1);
    let last_ns = after[before.len()];
    assert!(last_ns >= before.last().unwrap_or(&made_ns) + 450_000_000, "{last_ns} after {before:?}");
    assert!(next_ns > last_ns && (next_ns - made_ns) % 100_000_000 == 0, "{next_ns}, made at {made_ns}");
}

/// When the timer had its turns, when its twin was made, and when the timer is due next.
fn ticks(folder: &Path) -> (Vec<i64>, i64, i64) {
    let (mut fired_ns, mut made_ns, mut next_ns) = (Vec::new(), 0, 0);
    each_record(folder, |_, _, record| {
        match record.input.selector {
            "<ensure:>" => made_ns = record.envelope.time_ns,
            "<timer:>" => fired_ns.push(record.envelope.time_ns),
            other => assert_eq!(other, "<program>"),
        }
        let Outcome::Committed(effects) = &record.outcome else { panic!("nothing fails") };
        next_ns = effects.timers.iter().filter_map(|timer| timer.due_ns).next_back().unwrap_or(next_ns);
    });
    (fired_ns, made_ns, next_ns)
}
