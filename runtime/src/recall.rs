//! What supervision remembers, folded from the records of a partition: what its rows have to say, and what they are made
//! from again when they are lost.
//!
//! Not in the log, and so not here: when twins have failed within the windows of their policies, which is forgotten with its
//! rows, and what waits behind others, which has no record yet.

use std::collections::{BTreeMap, BTreeSet};

use twintalk_bytecode::image::Supervision;
use twintalk_store::record::{Flags, Origin, Outcome, Record, Sender, TwinChange};
use twintalk_store::{KeyRange, Partition, Position, StoreError, Table};
use twintalk_vm::Vm;
use twintalk_vm::codec::{failed_arguments, read_timer_arguments};
use twintalk_vm::turn::{Failed, RELEASE};

use crate::message::{FAILED, From, Message, QUARANTINE, REPLY, message_from_row};
use crate::partition::Core;
use crate::supervise::wait_ns;
use crate::supervision::letter_to_row;

/// What tells a message from others.
type Identity = (String, String, String, Vec<u8>);

/// What supervision remembers.
#[derive(Default)]
pub(crate) struct Recalled {
    /// Twins in quarantine: since which record, and when.
    pub quarantined: BTreeMap<String, (Position, i64)>,
    /// Dead letters, as their rows have them.
    pub letters: BTreeMap<Position, Vec<u8>>,
    /// Messages that are tried again, with the attempts that have failed, and when the last one was.
    retries: BTreeMap<Identity, (Message, i64)>,
    /// Messages that tell twins of failures, by the record of the failure.
    told: BTreeMap<Position, Message>,
}

/// The message that a record is of.
fn message_of(record: &Record<'_>) -> Message {
    let cause = &record.cause;
    let number = cause.number;
    let wanted = record.envelope.flags.contains(Flags::REPLIES);
    let from = match (cause.sender, cause.origin) {
        (Sender::Program, _) => From::Program,
        (Sender::Outside(name), _) => From::Outside { name: name.to_owned(), number },
        (Sender::Twin(path), Some(origin)) => From::Twin { path: path.to_owned(), number, wanted, origin, nth: 0 },
        (Sender::Reply(path), Some(origin)) => From::Reply { path: path.to_owned(), number, origin, nth: 0 },
        (Sender::Timer(name), _) => {
            let due_ns = read_timer_arguments(record.input.arguments).map_or(0, |(_, due_ns, _)| due_ns);
            From::Timer { name: name.to_owned(), due_ns }
        }
        (Sender::System, Some(origin)) => From::Supervisor { origin },
        (Sender::System | Sender::Twin(_) | Sender::Reply(_), None) => From::System,
    };
    let message = Message::new(record.receiver().path, record.input.selector, record.input.arguments.to_owned(), from);
    Message { device_time_ns: record.envelope.device_time_ns, ..message }
}

fn identity(message: &Message) -> Identity {
    let from = match &message.from {
        // What a sender does with the reply is not in each of its records.
        From::Twin { path, number, origin, .. } => format!("{path} {number} {origin:?}"),
        other => format!("{other:?}"),
    };
    (from, message.path.clone(), message.selector.clone(), message.arguments.clone())
}

impl Recalled {
    /// Takes the next record.
    pub fn take(&mut self, partition: Partition, position: Position, record: &Record<'_>) {
        let flags = record.envelope.flags;
        let time_ns = record.envelope.time_ns;
        let path = record.receiver().path;
        match record.input.selector {
            QUARANTINE => {
                self.quarantined.insert(path.to_owned(), (position, time_ns));
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
        if flags.contains(Flags::RETRIED) || flags.contains(Flags::RETRIES) {
            let message = message_of(record);
            let identity = identity(&message);
            let attempts = self.retries.remove(&identity).map_or(0, |(before, _)| before.attempts) + 1;
            if flags.contains(Flags::RETRIES) {
                self.retries.insert(identity, (Message { attempts, ..message }, time_ns));
            }
        }
        let Outcome::Failed(failure) = &record.outcome else { return };
        if flags.contains(Flags::DEAD) {
            let row = letter_to_row(&message_of(record), failure.kind, failure.text, time_ns);
            self.letters.insert(position, row);
        }
        if flags.contains(Flags::ESCALATES)
            && let Some((parent, _)) = path.rsplit_once('/')
        {
            let origin = Origin { partition, position };
            let arguments = told_arguments(&message_of(record), failure.kind, failure.text);
            self.told.insert(position, Message::new(parent, FAILED, arguments, From::Supervisor { origin }));
        }
    }

    /// The twin at `path` is gone, or another.
    fn forget(&mut self, path: &str) {
        self.quarantined.remove(path);
        let is_dropped = |message: &Message| matches!(message.from, From::Timer { .. } | From::Reply { .. });
        self.retries.retain(|_, (message, _)| message.path != path || !is_dropped(message));
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
        let wanted: BTreeSet<Position> = self.letters.keys().copied().filter(|at| !again.contains(at)).collect();
        for position in letters.symmetric_difference(&wanted) {
            found.push(format!("the dead letter {}/{position} is not as its records say", core.partition.0));
        }
        let mut marked = BTreeSet::new();
        for row in core.store.scan(Table::Supervision, &range)? {
            let (key, row) = row?;
            marked.extend(key.path().filter(|_| row.bytes.first() == Some(&1)));
        }
        let wanted: BTreeSet<String> = self.quarantined.keys().cloned().collect();
        for path in marked.symmetric_difference(&wanted) {
            found.push(format!("whether {path} is in quarantine is not as its records say"));
        }
        for (what, rows, wanted) in
            [("are tried again", tried, self.retries.len()), ("tell twins of failures", told, self.told.len())]
        {
            if rows != wanted {
                found.push(format!("{rows} messages {what}, and records say {wanted}"));
            }
        }
        Ok(found)
    }

    /// Makes rows and memory from what was folded.
    #[cfg_attr(not(test), expect(dead_code, reason = "for whoever makes lost tables again"))]
    pub fn restore(self, core: &mut Core, vm: &Vm) -> Result<(), StoreError> {
        for (path, (at, since_ns)) in self.quarantined {
            core.restore_quarantine(&path, at, since_ns);
        }
        for (position, row) in self.letters {
            core.restore_letter(position, &row);
        }
        for (message, time_ns) in self.retries.into_values() {
            let policy = match core.exists(&message.path)? {
                true => core.residents.get(&message.path).map(|view| vm.supervision(view.image)),
                false => None,
            };
            let retry = policy.unwrap_or(Supervision::DEFAULT).retry;
            let wait_ns = retry.map_or(0, |retry| wait_ns(&retry, message.attempts));
            core.restore_retry(Message { due_ns: Some(time_ns.saturating_add(wait_ns)), ..message });
        }
        for message in self.told.into_values() {
            core.restore_told(message);
        }
        Ok(())
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
