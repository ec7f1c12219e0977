//! Timers that are set, by when they are due.

use std::collections::{BTreeMap, BTreeSet};

/// A timer of a twin: its path and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TimerId {
    pub path: Box<str>,
    pub name: Box<str>,
}

/// What a timer is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetTimer {
    pub due_ns: i64,
    /// What it sends, where a turn set it; empty where the definition says what it does.
    pub errand: Box<[u8]>,
}

/// Every timer of a partition.
#[derive(Default)]
pub(crate) struct Timers {
    by_due: BTreeSet<(i64, TimerId)>,
    set: BTreeMap<TimerId, SetTimer>,
}

impl Timers {
    /// Sets a timer; answers when it was due before.
    pub fn set(&mut self, id: TimerId, due_ns: i64, errand: &[u8]) -> Option<i64> {
        let before =
            self.set.insert(id.clone(), SetTimer { due_ns, errand: errand.into() }).map(|before| before.due_ns);
        if let Some(before) = before {
            self.by_due.remove(&(before, id.clone()));
        }
        self.by_due.insert((due_ns, id));
        before
    }

    /// Cancels a timer; answers what it was set to.
    pub fn cancel(&mut self, id: &TimerId) -> Option<SetTimer> {
        let before = self.set.remove(id)?;
        self.by_due.remove(&(before.due_ns, id.clone()));
        Some(before)
    }

    /// The timers of one twin.
    pub fn of_twin(&self, path: &str) -> Vec<TimerId> {
        let first = TimerId { path: path.into(), name: "".into() };
        self.set.range(first..).map(|(id, _)| id).take_while(|id| *id.path == *path).cloned().collect()
    }

    /// When a timer is due, if it is set.
    pub fn due_ns(&self, id: &TimerId) -> Option<i64> {
        self.set.get(id).map(|timer| timer.due_ns)
    }

    /// Every timer, and when it is due.
    pub fn iter(&self) -> impl Iterator<Item = (&TimerId, i64)> {
        self.set.iter().map(|(id, timer)| (id, timer.due_ns))
    }

    /// The timer that is due first, and when.
    pub fn first(&self) -> Option<(i64, &TimerId)> {
        self.by_due.first().map(|(due, id)| (*due, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_due_comes_first_and_setting_again_replaces() {
        let id = |name: &str| TimerId { path: "tank".into(), name: name.into() };
        let mut timers = Timers::default();
        timers.set(id("check"), 10, &[]);
        timers.set(id("report"), 5, &[]);
        assert_eq!(timers.set(id("report"), 20, &[3]), Some(5));
        assert_eq!(timers.first(), Some((10, &id("check"))));
        assert_eq!(timers.cancel(&id("check")).map(|timer| timer.due_ns), Some(10));
        assert_eq!(timers.first(), Some((20, &id("report"))));
        assert_eq!(timers.of_twin("tank"), [id("report")]);
        assert_eq!(timers.cancel(&id("report")), Some(SetTimer { due_ns: 20, errand: [3].into() }));
        assert_eq!(timers.cancel(&id("report")), None);
    }
}
