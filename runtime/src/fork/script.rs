//! What the base recorded after the cut, record by record: by that a fork goes as long as nothing is otherwise.
//!
//! A partition of a fork has the script of its log. While it does what the next record says, the turn that it runs for
//! the same message has the time, the seed and the answers of that record; so do the turns that directly follow from it. What the
//! record of the fork says is then held against it by a *print*, a hash over all that a turn does, but for where and when.

use std::collections::VecDeque;
use std::sync::Arc;

use twintalk_store::record::{Effects, Flags, Origin, Outcome, ProgramHash, Record, Sender, TwinChange};
use twintalk_store::{Partition, Position, Store, StoreError};
use twintalk_vm::codec::read_timer_arguments;
use twintalk_vm::{FarAnswer, Fault};

use crate::message::{From, Message, REPLY, decode_answer};
use crate::replay::{damaged, fault_of};

/// Which message it is, in the words of the base: what tells it from others on the way at the same time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub path: String,
    pub selector: String,
    pub from: Sent,
}

/// Who sent a message, and which of his it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sent {
    /// A twin by a far send: its path, the number, the record.
    Far(String, u64, Origin),
    /// A twin by a reply: its path, the number of what it answers, the record.
    Reply(String, u64, Origin),
    /// Supervision, because of this record.
    Supervisor(Origin),
    /// A timer: its name, and when it was due.
    Timer(String, i64),
    /// Somebody outside, by name and number.
    Numbered(String, u64),
    /// Somebody whose messages have no numbers: all of it tells which it is.
    Unnumbered(&'static str, Vec<u8>),
}

impl Key {
    /// Of a message that the base and the fork have in common.
    pub fn of(message: &Message) -> Key {
        let from = match &message.from {
            From::Program => Sent::Unnumbered("program", message.arguments.clone()),
            From::Outside { number: 0, .. } => Sent::Unnumbered("outside", message.arguments.clone()),
            From::Outside { name, number } => Sent::Numbered(name.to_string(), *number),
            From::Twin { path, number, origin, .. } => Sent::Far(path.to_string(), *number, *origin),
            From::Reply { path, number, origin, .. } => Sent::Reply(path.to_string(), *number, *origin),
            From::Timer { name, due_ns, .. } => Sent::Timer(name.to_string(), *due_ns),
            From::Supervisor { origin } => Sent::Supervisor(*origin),
            From::System => Sent::Unnumbered("system", message.arguments.clone()),
        };
        Key { path: message.path.to_string(), selector: message.selector.to_string(), from }
    }
}

/// What the record of a turn says that a fork may do otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// Over everything that the turn did.
    pub print: [u8; 32],
    pub fault: Option<Fault>,
    /// The twins that it made, changed or removed.
    pub changed: Vec<String>,
    /// Those of them that it made or removed.
    pub moved: Vec<String>,
    /// Twin and name of the timers that it set or cancelled, and when they are due.
    pub timers: Vec<(String, String, Option<i64>)>,
}

impl Facts {
    fn of(record: &Record<'_>) -> Facts {
        let changed = record.twins.iter().filter(|twin| twin.kind != TwinChange::Touched);
        let moved = |twin: &&twintalk_store::record::TwinEffect<'_>| {
            matches!(twin.kind, TwinChange::Created | TwinChange::Removed)
        };
        let (fault, timers) = match &record.outcome {
            Outcome::Failed(failure) => (Some(fault_of(failure)), Vec::new()),
            Outcome::Committed(effects) => {
                let timers = effects.timers.iter();
                (None, timers.map(|one| (one.twin.to_owned(), one.name.to_owned(), one.due_ns)).collect())
            }
        };
        Facts {
            print: print(record),
            fault,
            changed: changed.clone().map(|twin| twin.path.to_owned()).collect(),
            moved: changed.filter(moved).map(|twin| twin.path.to_owned()).collect(),
            timers,
        }
    }
}

fn print(record: &Record<'_>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    put(record.input.arguments);
    for twin in record.twins.iter() {
        put(twin.path.as_bytes());
        put(&[twin.kind as u8]);
        put(&twin.life.to_le_bytes());
        put(twin.prototype.unwrap_or_default().as_bytes());
        put(twin.bytes);
    }
    match &record.outcome {
        Outcome::Failed(failure) => {
            put(failure.kind.as_bytes());
            put(failure.text.as_bytes());
        }
        Outcome::Committed(Effects { reply, sends, events, output, timers }) => {
            put(reply.unwrap_or_default());
            for send in sends.iter() {
                put(send.sender.as_bytes());
                put(send.receiver.as_bytes());
                put(send.selector.as_bytes());
                put(send.arguments);
            }
            for event in events.iter() {
                put(event.twin.as_bytes());
                put(event.selector.as_bytes());
                put(event.arguments);
            }
            put(output.as_bytes());
            for timer in timers.iter() {
                put(timer.twin.as_bytes());
                put(timer.name.as_bytes());
                put(&timer.due_ns.unwrap_or(i64::MIN).to_le_bytes());
                put(timer.errand);
            }
        }
    }
    *hasher.finalize().as_bytes()
}

/// A record of the base.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub position: Position,
    pub time_ns: i64,
    pub began_ns: i64,
    pub seed: Option<u64>,
    pub answers: Vec<FarAnswer>,
    pub device_time_ns: Option<i64>,
    pub program: ProgramHash,
    pub flags: Flags,
    pub key: Key,
    pub arguments: Vec<u8>,
    /// As the message had it.
    pub from: From,
    /// The record that sent it.
    pub origin: Option<Origin>,
    pub facts: Facts,
    /// What left it for twins, in the order of leaving: as messages of the base are known.
    pub leaves: Vec<Key>,
    /// What the message took the prototype of its twin to be, if that was wrong.
    pub mistaken: Option<String>,
}

impl Recorded {
    /// The composite whose turn it was.
    pub fn composite(&self) -> &str {
        twintalk_store::record::composite_of(&self.key.path)
    }

    /// The record at `position`.
    ///
    /// # Errors
    /// It is damaged.
    pub fn of(partition: Partition, position: Position, record: &Record<'_>) -> Result<Recorded, StoreError> {
        let (cause, receiver) = (&record.cause, record.receiver());
        let nowhere = Origin { partition: Partition::SHARED, position: Position::START };
        let origin = cause.origin.unwrap_or(nowhere);
        let from = match cause.sender {
            Sender::Program => From::Program,
            Sender::Outside(name) => From::Outside { name: name.into(), number: cause.number },
            Sender::Twin(path) => {
                let wanted = record.envelope.flags.contains(Flags::REPLIES);
                From::Twin { path: path.into(), number: cause.number, wanted, origin, nth: 0 }
            }
            Sender::Reply(path) => From::Reply { path: path.into(), number: cause.number, origin, nth: 0 },
            Sender::Timer(name) => {
                let due = read_timer_arguments(record.input.arguments).map(|timer| timer.due_ns);
                let due_ns = due.ok_or_else(|| damaged(partition, position, "a timer that cannot be read"))?;
                From::Timer { name: name.into(), due_ns, life: 0 }
            }
            Sender::System if cause.origin.is_some() => From::Supervisor { origin },
            Sender::System => From::System,
        };
        let answers = record.input.answers.iter().map(decode_answer).collect::<Option<Vec<_>>>();
        let facts = Facts::of(record);
        let mistaken = facts.fault.as_ref().filter(|fault| fault.kind == "NoSuchTwin").and_then(|fault| {
            // As `another_kind` says it, with the kind last.
            let is_kind =
                fault.trace.is_empty() && fault.text.starts_with(&format!("the twin at {} is ", receiver.path));
            fault.text.rsplit(' ').next().filter(|_| is_kind).map(str::to_owned)
        });
        let arguments = record.input.arguments.to_vec();
        let message = Message::new(receiver.path, record.input.selector, arguments, from);
        let key = Key::of(&message);
        let Message { arguments, from, .. } = message;
        Ok(Recorded {
            position,
            time_ns: record.envelope.time_ns,
            began_ns: record.envelope.began_ns.unwrap_or(record.envelope.time_ns),
            seed: record.input.seed,
            answers: answers.ok_or_else(|| damaged(partition, position, "an answer that cannot be read"))?,
            device_time_ns: record.envelope.device_time_ns,
            program: *record.envelope.program,
            flags: record.envelope.flags,
            key,
            arguments,
            from,
            origin: cause.origin,
            facts,
            leaves: leaves(Origin { partition, position }, record),
            mistaken,
        })
    }
}

/// What leaves a record for twins: its far sends, then its reply.
fn leaves(at: Origin, record: &Record<'_>) -> Vec<Key> {
    let mut leaves = Vec::new();
    if let Outcome::Committed(effects) = &record.outcome {
        for send in effects.sends.iter() {
            leaves.push(Key {
                path: send.receiver.to_owned(),
                selector: send.selector.to_owned(),
                from: Sent::Far(send.sender.to_owned(), send.number, at),
            });
        }
    }
    let flags = record.envelope.flags;
    if flags.contains(Flags::REPLIES)
        && !flags.contains(Flags::RETRIES)
        && let Sender::Twin(sender) = record.cause.sender
    {
        let from = Sent::Reply(record.receiver().path.to_owned(), record.cause.number, at);
        leaves.push(Key { path: sender.to_owned(), selector: REPLY.to_owned(), from });
    }
    leaves
}

/// A record that the fork has written.
#[derive(Debug)]
pub(crate) struct Done {
    /// The one of the base that it took the place of.
    pub base: Option<Recorded>,
    pub position: Position,
    pub time_ns: i64,
    pub path: String,
    pub selector: String,
    pub flags: Flags,
    pub facts: Facts,
}

/// The log of one partition of the base, from the cut on.
pub(crate) struct Script {
    store: Arc<dyn Store>,
    partition: Partition,
    /// Where to read on.
    next: Position,
    /// The first position that does not belong to it.
    end: Position,
    upcoming: VecDeque<Recorded>,
    /// Whether what the partition does now is what the next record says.
    pub follows: bool,
    /// What is run now.
    running: Option<Recorded>,
    /// What the fork has written.
    pub done: Vec<Done>,
}

impl Script {
    /// The records of `partition` from `from` up to `end`.
    pub fn new(store: Arc<dyn Store>, partition: Partition, from: Position, end: Position) -> Script {
        Script {
            store,
            partition,
            next: from,
            end,
            upcoming: VecDeque::new(),
            follows: false,
            running: None,
            done: Vec::new(),
        }
    }

    /// The next record.
    ///
    /// # Errors
    /// The base refuses, or is damaged.
    pub fn peek(&mut self) -> Result<Option<&mut Recorded>, StoreError> {
        while self.upcoming.is_empty() && self.next < self.end {
            let unreadable = |_| damaged(self.partition, self.next, "a block that cannot be read");
            let bytes = self.store.block(self.partition, self.next.block)?;
            let Some(bytes) = bytes else { break };
            let block = bytes.open().map_err(unreadable)?;
            for record in block.records(self.next.index) {
                let (position, record) = record.map_err(unreadable)?;
                if position < self.end {
                    self.upcoming.push_back(Recorded::of(self.partition, position, &record)?);
                }
            }
            self.next = Position::block(self.next.block + 1);
        }
        Ok(self.upcoming.front_mut())
    }

    /// Where the next record stands, or the end.
    ///
    /// # Errors
    /// As [`Script::peek`].
    pub fn position(&mut self) -> Result<Position, StoreError> {
        let end = self.end;
        Ok(self.peek()?.map_or(end, |record| record.position))
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// As [`Script::peek`].
    pub fn skip(&mut self) -> Result<Option<Recorded>, StoreError> {
        self.peek()?;
        Ok(self.upcoming.pop_front())
    }

    /// Gives back the record that was taken last: it is the next again.
    pub fn put_back(&mut self, record: Recorded) {
        self.upcoming.push_front(record);
    }

    /// The record that a turn, or a note, for this message is to follow, if there is one.
    ///
    /// # Errors
    /// As [`Script::peek`].
    pub fn take(&mut self, path: &str, selector: &str) -> Result<Option<&mut Recorded>, StoreError> {
        let is_it = |record: &mut Recorded| record.key.path == path && record.key.selector == selector;
        if !self.follows || self.running.is_some() || !self.peek()?.is_some_and(is_it) {
            return Ok(None);
        }
        self.running = self.upcoming.pop_front();
        Ok(self.running.as_mut())
    }

    /// The partition has written this.
    pub fn written(&mut self, record: &Record<'_>, position: Position) {
        self.done.push(Done {
            base: self.running.take(),
            position,
            time_ns: record.envelope.time_ns,
            path: record.receiver().path.to_owned(),
            selector: record.input.selector.to_owned(),
            flags: record.envelope.flags,
            facts: Facts::of(record),
        });
    }
}
