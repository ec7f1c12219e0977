//! The only reader of time and of randomness.
//!
//! A store that lives on runs by the clock on the wall. A program without a store has a clock that only
//! moves when it is told to, so that it says the same on every run. A feed may let the times that devices
//! gave drive the clock. Whichever it is, the time of a partition never goes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use twintalk_vm::turn::split_mix;

use crate::place;

/// Where a clock that is not on the wall starts: the first moment of the year 2000, UTC.
pub const VIRTUAL_START_NS: i64 = 946_684_800_000_000_000;

/// What drives the time of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockKind {
    /// The wall.
    Wall,
    /// `Clock advance:`, `--for`, or a device.
    Driven,
}

/// The time of a partition.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    kind: ClockKind,
    /// The latest time it gave.
    last_ns: i64,
    random: u64,
    /// In the place of the wall, in tests.
    simulated_ns: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// A clock that never says less than `at_least_ns`.
    pub fn new(kind: ClockKind, at_least_ns: Option<i64>) -> Clock {
        let random = match kind {
            ClockKind::Wall => wall_ns() as u64 ^ u64::from(std::process::id()).rotate_left(32),
            ClockKind::Driven => 0x7477_696e_7461_6c6b,
        };
        let start = match kind {
            ClockKind::Wall => i64::MIN,
            ClockKind::Driven => VIRTUAL_START_NS,
        };
        Clock { kind, last_ns: at_least_ns.unwrap_or(start).max(start), random, simulated_ns: None }
    }

    /// A clock on a wall that a test moves as it likes, also back.
    pub fn simulated(wall_ns: Arc<AtomicI64>) -> Clock {
        Clock { kind: ClockKind::Wall, last_ns: i64::MIN, random: 0x7477_696e, simulated_ns: Some(wall_ns) }
    }

    /// What drives it.
    pub fn kind(&self) -> ClockKind {
        self.kind
    }

    /// The time now.
    pub fn now_ns(&mut self) -> i64 {
        if self.kind == ClockKind::Wall {
            let wall_ns = self.simulated_ns.as_ref().map_or_else(wall_ns, |wall_ns| wall_ns.load(Ordering::Relaxed));
            self.last_ns = self.last_ns.max(wall_ns);
        }
        self.last_ns
    }

    /// Moves a driven clock on to `time_ns`, if that is later.
    pub fn drive_to(&mut self, time_ns: i64) {
        self.last_ns = self.last_ns.max(time_ns);
    }

    /// What the random numbers of a turn start from: by chance, but the same wherever its composite lies.
    pub fn seed(&self, composite: &str, turn: u64) -> u64 {
        let mut seed = self.random ^ place::hash(composite).rotate_left(17) ^ turn;
        split_mix(&mut seed)
    }
}

/// The moment at which `limit` from now is over.
pub(crate) fn deadline(limit: Duration) -> Instant {
    Instant::now() + limit
}

/// Whether a moment has come.
pub(crate) fn is_past(deadline: Instant) -> bool {
    Instant::now() >= deadline
}

/// How long it is until a moment.
pub(crate) fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn wall_ns() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // delivery: D8.2
    #[test]
    fn a_driven_clock_stands_still_until_it_is_driven_and_never_goes_back() {
        let mut clock = Clock::new(ClockKind::Driven, None);
        assert_eq!(clock.now_ns(), VIRTUAL_START_NS);
        clock.drive_to(VIRTUAL_START_NS + 5);
        clock.drive_to(3);
        assert_eq!(clock.now_ns(), VIRTUAL_START_NS + 5);
    }

    // delivery: D8.2
    #[test]
    fn the_wall_clock_does_not_go_back_behind_the_log() {
        let later = wall_ns() + 1_000_000_000_000;
        assert_eq!(Clock::new(ClockKind::Wall, Some(later)).now_ns(), later);
    }
}
