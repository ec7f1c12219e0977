//! What supervision remembers, folded from the records of a partition: what its rows have to say, for `verify`.
//!
//! Not here: when twins have failed within the windows of their policies, which is in no record and forgotten with its
//! rows, and what waits for its first turn.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use twintalk_store::record::{Cause, Flags, Record, Sender, TwinChange};
use twintalk_store::{KeyRange, Position, StoreError, Table};
use twintalk_vm::codec::failed_arguments;
use twintalk_vm::turn::{Failed, RELEASE};

use crate::message::{FAILED, From, Message, QUARANTINE, REPLY, message_from_row};
use crate::partition::Core;

/// What tells a message from others.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    from: String,
    path: String,
    selector: String,
    arguments: Vec<u8>,
    /// It is a timer's, or a reply: without its twin it is dropped.
    ends_with_twin: bool,
}

/// What supervision remembers.
#[derive(Default)]
pub(crate) struct Recalled {
    /// Twins in quarantine.
    quarantined: BTreeSet<String>,
    /// Dead letters.
    letters: BTreeSet<Position>,
    /// How many messages there are that are tried again.
    retries: BTreeMap<Identity, usize>,
    /// Records of failures that twins are to be told of.
    told: BTreeSet<Position>,
}

impl Identity {
    /// Of the message that a record is of.
    fn of(record: &Record<'_>) -> Identity {
        let Cause { sender, number, origin, .. } = record.cause;
        Identity {
            from: format!("{sender:?} {number} {origin:?}"),
            path: record.receiver().path.to_owned(),
            selector: record.input.selector.to_owned(),
            arguments: record.input.arguments.to_owned(),
            ends_with_twin: matches!(sender, Sender::Timer(_) | Sender::Reply(_)),
        }
    }
}

impl Recalled {
    /// Takes the next record.
    pub fn take(&mut self, position: Position, record: &Record<'_>) {
        let flags = record.envelope.flags;
        let path = record.receiver().path;
        match record.input.selector {
            QUARANTINE => {
                self.quarantined.insert(path.to_owned());
            }
            RELEASE => {
                self.quarantined.remove(path);
            }
            _ => {}
        }
        for twin in record.twins.iter() {
            match twin.kind {
                TwinChange::Created | TwinChange::Removed => self.forget(twin.path),
                TwinChange::Touched | TwinChange::Changed => {}
            }
        }
        if let (Sender::System, Some(origin)) = (record.cause.sender, record.cause.origin) {
            match record.input.selector {
                QUARANTINE => {}
                FAILED => {
                    self.told.remove(&origin.position);
                }
                // A letter that was sent again or dropped.
                _ => {
                    self.letters.remove(&origin.position);
                }
            }
        }
        match (flags.contains(Flags::RETRIED), flags.contains(Flags::RETRIES)) {
            (false, true) => *self.retries.entry(Identity::of(record)).or_default() += 1,
            (true, false) => {
                if let Entry::Occupied(mut count) = self.retries.entry(Identity::of(record)) {
                    *count.get_mut() -= 1;
                    if *count.get() == 0 {
                        count.remove();
                    }
                }
            }
            (true, true) | (false, false) => {}
        }
        if flags.contains(Flags::DEAD) {
            self.letters.insert(position);
        }
        if flags.contains(Flags::ESCALATES) {
            self.told.insert(position);
        }
    }

    /// Whether the twin at `path` is in quarantine.
    pub fn is_quarantined(&self, path: &str) -> bool {
        self.quarantined.contains(path)
    }

    /// The twin at `path` is gone, or another.
    fn forget(&mut self, path: &str) {
        self.quarantined.remove(path);
        self.retries.retain(|one, _| one.path != path || !one.ends_with_twin);
    }

    /// How the rows of the partition differ from what was folded, a line each.
    ///
    /// # Errors
    /// The store refuses.
    pub fn differences(&self, core: &Core) -> Result<Vec<String>, StoreError> {
        let range = KeyRange::partition(core.partition);
        let (mut letters, mut again, mut told, mut tried) = (BTreeSet::new(), BTreeSet::new(), 0, 0);
        for row in core.store.scan(Table::DeadLetters, &range)? {
            letters.extend(row?.0.position());
        }
        for row in core.store.scan(Table::Waiting, &range)? {
            let Some(message) = message_from_row(&row?.1.bytes) else { continue };
            tried += usize::from(message.attempts > 0);
            match message.from {
                From::Supervisor { .. } if message.selector == FAILED => told += usize::from(message.attempts == 0),
                From::Supervisor { origin } => {
                    again.insert(origin.position);
                }
                _ => {}
            }
        }
        let mut found = Vec::new();
        // A letter that was sent again may wait.
        let wanted: BTreeSet<Position> = self.letters.iter().copied().filter(|at| !again.contains(at)).collect();
        for position in letters.symmetric_difference(&wanted) {
            found.push(format!("the dead letter {}/{position} is not as its records say", core.partition.0));
        }
        let mut marked = BTreeSet::new();
        for row in core.store.scan(Table::Supervision, &range)? {
            let (key, row) = row?;
            marked.extend(key.path().filter(|_| row.bytes.first() == Some(&1)));
        }
        for path in marked.symmetric_difference(&self.quarantined) {
            found.push(format!("whether {path} is in quarantine is not as its records say"));
        }
        for (what, rows, wanted) in
            [("are tried again", tried, self.retries.values().sum()), ("tell twins of failures", told, self.told.len())]
        {
            if rows != wanted {
                found.push(format!("{rows} messages {what}, and records say {wanted}"));
            }
        }
        Ok(found)
    }
}

/// The arguments that tell of a failure of `message`.
pub(crate) fn told_arguments(message: &Message, kind: &str, text: &str) -> Vec<u8> {
    if message.selector == FAILED {
        // The twin above is told what this one was told.
        return message.arguments.clone();
    }
    let arguments = if message.selector == REPLY { &[0][..] } else { &message.arguments };
    failed_arguments(&Failed {
        part: &message.path,
        selector: &message.selector,
        arguments: arguments.into(),
        kind,
        text,
    })
}
