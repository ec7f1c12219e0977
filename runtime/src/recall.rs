//! What supervision remembers, folded from the records of a partition: what failed, and what waits because of it or for its first
//! turn. `verify` compares it with the rows that there are; where all rows are lost they are made from it.
//!
//! A record says what became of its message; what it does not say, when the twin has failed within the window of its policy, follows
//! from the policy in the program that the record names.
//!
//! Not here: what was sent from twin to twin and waits for its first turn. That is found in the logs ([`rebuild`](crate::rebuild)).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use twintalk_bytecode::image::Supervision;
use twintalk_store::record::{Flags, Origin, Outcome, Record, Sender, TwinChange};
use twintalk_store::{KeyRange, Partition, Position, Store, StoreError, Table};
use twintalk_vm::codec::{failed_arguments, read_timer_arguments};
use twintalk_vm::turn::{Failed, RELEASE};

use crate::message::{self, FAILED, From, Message, QUARANTINE, REARM, REPLY, SYSTEM_PATH, WAITS, message_from_row};
use crate::partition::Core;
use crate::rebuild::Name;
use crate::replay::{damaged, fault_of, sent_by};
use crate::supervise::Decision;
use crate::supervision::{FailuresOf, is_for_twin, letter_to_row, supervision_to_row};

/// What supervision remembers.
#[derive(Default)]
pub(crate) struct Recalled {
    /// Twins in quarantine: the record that says so, and its time.
    pub quarantined: BTreeMap<String, (Position, i64)>,
    /// When twins have failed within the windows of their policies.
    pub failures: FailuresOf,
    /// The rows of dead letters, by the record of the failure.
    pub letters: BTreeMap<Position, Vec<u8>>,
    /// What is tried again, what twins are to be told, and what was let in and waits for its first turn.
    pub waiting: Waiting,
}

/// What tells a message that waits from others: receiver, selector, arguments, and the sender and the number that its
/// records have.
type Identity = (String, String, Vec<u8>, String, u64, Option<(u16, Position)>);

/// What waits, each with the record since which it does. A program may have sent the same more than once: the first is
/// the first to go.
#[derive(Default)]
pub(crate) struct Waiting(BTreeMap<Identity, VecDeque<(Position, Message)>>);

impl Waiting {
    fn identity(message: &Message) -> Identity {
        let cause = message::cause(&message.from);
        let origin = cause.origin.map(|origin| (origin.partition.0, origin.position));
        let sender = format!("{:?}", cause.sender);
        (
            message.path.to_string(),
            message.selector.to_string(),
            message.arguments.clone(),
            sender,
            cause.number,
            origin,
        )
    }

    fn put(&mut self, since: Position, message: Message) {
        self.0.entry(Self::identity(&message)).or_default().push_back((since, message));
    }

    /// The same message as `message`, which waits no longer.
    fn take(&mut self, message: &Message) -> Option<(Position, Message)> {
        let identity = Self::identity(message);
        let all = self.0.get_mut(&identity)?;
        let first = all.pop_front();
        if all.is_empty() {
            self.0.remove(&identity);
        }
        first
    }

    /// The twin at `path` is gone, or another: its timers and replies are dropped, and its timers not set again.
    fn forget_twin(&mut self, path: &str) {
        let ends = |message: &Message| {
            message.selector == REARM || matches!(message.from, From::Timer { .. } | From::Reply { .. })
        };
        self.0.retain(|(receiver, ..), all| receiver != path || !all.front().is_some_and(|(_, one)| ends(one)));
    }

    fn iter(&self) -> impl Iterator<Item = &Message> {
        self.0.values().flatten().map(|(_, message)| message)
    }

    /// What still waits, in the order in which it came to.
    pub fn in_order(self) -> impl Iterator<Item = Message> {
        let mut all: Vec<(Position, Message)> = self.0.into_values().flatten().collect();
        all.sort_by_key(|(since, _)| *since);
        all.into_iter().map(|(_, message)| message)
    }
}

/// Says what policy the twin at a path has in the program of the record in hand; `None`: there is no twin.
pub(crate) type PolicyOf<'a> = &'a mut dyn FnMut(&str) -> Result<Option<Supervision>, StoreError>;

impl Recalled {
    /// Takes the next record, whose twins are as it left them. Answers the message that it says was let in and waits.
    ///
    /// # Errors
    /// The store refuses, or a record is damaged.
    pub fn take(
        &mut self,
        store: &dyn Store,
        partition: Partition,
        position: Position,
        record: &Record<'_>,
        policy_of: PolicyOf<'_>,
    ) -> Result<Option<Message>, StoreError> {
        if (record.composite(), record.input.selector) == (SYSTEM_PATH, WAITS) {
            let message = message_from_row(record.input.arguments)
                .ok_or_else(|| damaged(partition, position, "a message that cannot be read"))?;
            self.waiting.put(position, message.clone());
            return Ok(Some(message));
        }
        let (path, cause) = (record.receiver().path, &record.cause);
        match record.input.selector {
            QUARANTINE => {
                self.quarantined.insert(path.to_owned(), (position, record.envelope.time_ns));
            }
            RELEASE => self.release(path),
            _ => {}
        }
        if let (Sender::System, Some(origin)) = (cause.sender, cause.origin)
            && !matches!(record.input.selector, QUARANTINE | FAILED)
        {
            // A letter that was sent again or dropped.
            self.letters.remove(&origin.position);
        }
        self.take_message(store, partition, position, record, policy_of)?;
        for twin in record.twins.iter() {
            match twin.kind {
                TwinChange::Created | TwinChange::Removed => {
                    self.release(twin.path);
                    self.failures.forget(twin.path);
                    self.waiting.forget_twin(twin.path);
                }
                TwinChange::Touched | TwinChange::Changed => {}
            }
        }
        Ok(None)
    }

    /// Takes what a record says of its message.
    fn take_message(
        &mut self,
        store: &dyn Store,
        partition: Partition,
        position: Position,
        record: &Record<'_>,
        policy_of: PolicyOf<'_>,
    ) -> Result<(), StoreError> {
        let flags = record.envelope.flags;
        let may_wait = flags.contains(Flags::RETRIED)
            || flags.contains(Flags::PASSED)
            || record.input.selector == FAILED
            || matches!(record.cause.sender, Sender::Outside(_) | Sender::System);
        let may_wait = may_wait && !self.waiting.0.is_empty();
        let Outcome::Failed(failure) = &record.outcome else {
            if may_wait {
                self.waiting.take(&message_of(store, partition, record)?);
            }
            return Ok(());
        };
        let (mut since, mut message) = (position, message_of(store, partition, record)?);
        if may_wait && let Some(before) = self.waiting.take(&message) {
            (since, message) = before;
        }
        message.passed |= flags.contains(Flags::PASSED);
        let (fault, time_ns) = (fault_of(failure), record.envelope.time_ns);
        // Where the sender took the twin to be of another kind it never had a turn, and where it was refused neither.
        let unread = (fault.kind == "NoSuchTwin" && fault.trace.is_empty())
            || (fault.kind == "Quarantined" && self.quarantined.contains_key(&*message.path));
        let policy = if unread || !is_for_twin(&message.selector) { None } else { policy_of(&message.path)? };
        let decision = policy.map(|policy| self.failures.decide(&policy, &message, time_ns).0);
        if flags.contains(Flags::DEAD) {
            self.letters.insert(position, letter_to_row(&message, &fault.kind, &fault.text, time_ns));
        }
        if flags.contains(Flags::RETRIES) {
            let due_ns = Some(match decision {
                Some(Decision::TryAgain { due_ns }) => due_ns,
                Some(Decision::GiveUp(_)) | None => time_ns,
            });
            self.waiting.put(since, Message { attempts: message.attempts + 1, due_ns, ..message });
        } else if flags.contains(Flags::ESCALATES)
            && let Some((parent, _)) = message.path.rsplit_once('/')
        {
            let from = From::Supervisor { origin: Origin { partition, position } };
            let told = Message::new(parent, FAILED, told_arguments(&message, &fault.kind, &fault.text), from);
            self.waiting.put(since, told);
        }
        Ok(())
    }

    /// The twin at `path` takes messages again.
    fn release(&mut self, path: &str) {
        if self.quarantined.remove(path).is_some() {
            self.failures.forget(path);
        }
    }

    /// Whether the twin at `path` is in quarantine.
    pub fn is_quarantined(&self, path: &str) -> bool {
        self.quarantined.contains_key(path)
    }

    /// How the rows of the partition differ from what was folded, a line each.
    ///
    /// # Errors
    /// The store refuses.
    pub fn differences(&self, core: &Core) -> Result<Vec<String>, StoreError> {
        let range = KeyRange::partition(core.partition);
        let mut rows = Vec::new();
        for row in core.store.scan(Table::Waiting, &range)? {
            rows.extend(message_from_row(&row?.1.bytes));
        }
        let mut letters = BTreeSet::new();
        for row in core.store.scan(Table::DeadLetters, &range)? {
            letters.extend(row?.0.position());
        }
        let mut found = Vec::new();
        // A letter that was sent again may wait.
        let again = rows.iter().filter(|message| message.selector != FAILED);
        let again: BTreeSet<Position> = again
            .filter_map(|message| match message.from {
                From::Supervisor { origin } => Some(origin.position),
                _ => None,
            })
            .collect();
        let wanted: BTreeSet<Position> = self.letters.keys().copied().filter(|at| !again.contains(at)).collect();
        for position in letters.symmetric_difference(&wanted) {
            found.push(format!("the dead letter {}/{position} is not as its records say", core.partition.0));
        }
        let mut remembered = BTreeMap::new();
        for row in core.store.scan(Table::Supervision, &range)? {
            let (key, row) = row?;
            remembered.extend(key.path().map(|path| (path, row.bytes)));
        }
        let paths: BTreeSet<&String> =
            remembered.keys().chain(self.quarantined.keys()).chain(self.failures.paths()).collect();
        for path in paths {
            let wanted = supervision_to_row(self.quarantined.get(path).copied(), self.failures.get(path));
            if remembered.get(path) != wanted.as_ref() {
                found.push(format!("what is remembered of the failures of {path} is not as its records say"));
            }
        }
        let tried = |message: &&Message| message.attempts > 0;
        let told = |message: &&Message| message.selector == FAILED && message.attempts == 0;
        for (what, rows, wanted) in [
            ("are tried again", rows.iter().filter(tried).count(), self.waiting.iter().filter(tried).count()),
            ("tell twins of failures", rows.iter().filter(told).count(), self.waiting.iter().filter(told).count()),
        ] {
            if rows != wanted {
                found.push(format!("{rows} messages {what}, and records say {wanted}"));
            }
        }
        Ok(found)
    }
}

/// The message that a record of `in_partition` is of.
fn message_of(store: &dyn Store, in_partition: Partition, record: &Record<'_>) -> Result<Message, StoreError> {
    let cause = &record.cause;
    let (path, input) = (record.receiver().path, &record.input);
    let nobody = From::System;
    let from = match (cause.sender, cause.origin) {
        (Sender::Twin(_) | Sender::Reply(_), _) => {
            // The record that sent it says all of it.
            let mut found = None;
            if let Some((partition, name)) = Name::of_cause(cause)
                && let Some(block) = store.block(partition, name.position.block)?
                && let Ok(view) = block.open()
                && let Ok(sender) = view.record(name.position.index)
            {
                let origin = Origin { partition, position: name.position };
                sent_by(&sender, origin, &mut |_, message| {
                    if Name::of(&message).as_ref() == Some(&name) {
                        found = Some(message);
                    }
                });
            }
            return found.ok_or_else(|| damaged(in_partition, Position::FIRST, "a record whose cause is in no log"));
        }
        (Sender::Outside(name), _) => From::Outside { name: name.into(), number: cause.number },
        (Sender::Timer(name), _) => {
            let due = read_timer_arguments(input.arguments).map(|timer| timer.due_ns);
            let life = record.receiver().life;
            due.map_or(nobody, |due_ns| From::Timer { name: name.into(), due_ns, life })
        }
        (Sender::Program, _) => From::Program,
        (Sender::System, Some(origin)) => From::Supervisor { origin },
        (Sender::System, None) => nobody,
    };
    let message = Message::new(path, input.selector, input.arguments.to_vec(), from);
    Ok(Message { device_time_ns: record.envelope.device_time_ns, ..message })
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
