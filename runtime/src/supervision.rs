//! What a partition does with a message whose turn failed, as the policy of its twin says ([`supervise`](crate::supervise)).
//!
//! A message that is tried again waits in the waiting list until its time has come; later messages of its sender to
//! its composite wait behind it. A twin in quarantine answers queries; what else comes for it waits, unless somebody
//! waits for the answer. A message that is given up and that nobody waits for is a dead letter. All of that stands in
//! rows, which go with the records that they follow from, and the flags of records say it, too.
//!
//! Invariants: a message counts as taken in the batch of its first record, or of its row in the waiting list; of one
//! sender and one composite at most one message is tried again at a time; a twin is in quarantine from its last
//! `<quarantine>` record on, up to a `<release>`, or to its end.

use std::collections::{BTreeMap, VecDeque};

use rustc_hash::FxHashMap;
use twintalk_bytecode::image::{GivingUp, Supervision};
use twintalk_store::record::{Flags, Origin};
use twintalk_store::{Corruption, Key, KeyRange, Place, Position, StoreError, Table};
use twintalk_vm::codec::read_failed_arguments;
use twintalk_vm::turn::{RELEASE, first_segment};
use twintalk_vm::{Fault, Vm};

use crate::message::{
    DROP, FAILED, FaultReport, From, Message, QUARANTINE, REARM, REPLY, TIMER, is_own, message_from_row,
    message_to_row, report, take_message, text,
};
use crate::partition::{Core, Reply};
use crate::recall::{Recalled, told_arguments};
use crate::resident::put_number;
use crate::supervise::{Decision, Failures, decide};
use crate::timers::Timers;

/// Whose messages keep their order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sender {
    Composite(String),
    Outside(String),
    Program,
}

/// Messages that wait, and what is remembered of failures.
#[derive(Default)]
pub(crate) struct Supervisor {
    /// Messages that are tried again, by when, and then by the number of their row.
    retries: BTreeMap<(i64, u64), Message>,
    /// The messages that are tried again, by their sender and the composite they are for, with what waits behind them.
    blocked: FxHashMap<(Sender, String), Blocked>,
    /// Twins in quarantine, with what waits for them.
    quarantined: BTreeMap<String, Quarantine>,
    /// Those for which messages wait whose rows are behind.
    waiting_here: Vec<String>,
    /// What waited and is to be handled now, before the queue.
    released: VecDeque<Released>,
    /// When twins have failed whose policy counts that.
    failures: FailuresOf,
}

/// When twins have failed whose policy counts that, by path.
#[derive(Default)]
pub(crate) struct FailuresOf(FxHashMap<String, Failures>);

impl FailuresOf {
    /// What becomes of a message whose turn has failed at `now_ns`, and whether what is remembered of its twin may have changed.
    pub fn decide(&mut self, policy: &Supervision, message: &Message, now_ns: i64) -> (Decision, bool) {
        let mut failures = self.0.remove(&*message.path).unwrap_or_default();
        let counted = !failures.0.is_empty();
        let decision = decide(policy, message.attempts + 1, &mut failures, now_ns);
        let counts = !failures.0.is_empty();
        if counts {
            self.0.insert(message.path.to_string(), failures);
        }
        (decision, counted || counts)
    }

    pub fn get(&self, path: &str) -> Option<&Failures> {
        self.0.get(path)
    }

    /// Forgets those of the twin at `path`; whether there were any.
    pub fn forget(&mut self, path: &str) -> bool {
        self.0.remove(path).is_some()
    }

    /// The twins that have failed.
    pub fn paths(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }
}

/// A message that is tried again, and what waits behind it.
struct Blocked {
    /// The number of its row.
    by: u64,
    behind: VecDeque<Message>,
}

/// A twin in quarantine.
struct Quarantine {
    /// Its record.
    at: Position,
    since_ns: i64,
    waiting: VecDeque<Waits>,
}

/// A message that waits until its twin is released. However many wait, little of each is in memory once its row is written.
enum Waits {
    /// Its row is behind.
    Here(Box<Message>),
    /// The number of its row, and whether it sets a timer again.
    Row { number: u64, is_rearm: bool },
}

/// What goes before the queue, in order: messages to a composite whose twin was released.
struct Released {
    composite: String,
    waiting: VecDeque<Waits>,
}

/// What becomes of a message, now that its turn has ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// When it is tried again.
    again_ns: Option<i64>,
    /// It is laid aside.
    dead: bool,
    /// Its twin is to take nothing but queries.
    quarantine: bool,
    /// The twin above, which is told.
    tell: Option<String>,
    /// A twin that cannot be carried over to its definition: it is to take nothing but queries, too.
    broken: Option<String>,
}

impl Verdict {
    /// Of a message that failed before it reached its twin.
    pub fn of_unread(message: &Message) -> Verdict {
        Verdict { dead: !is_awaited(message), ..Verdict::default() }
    }

    /// The twin at `broken` could not be carried over to its definition, and could not when the message is tried again:
    /// it is not.
    pub fn break_off(&mut self, message: &Message, broken: String) {
        self.dead |= self.again_ns.take().is_some() && !is_awaited(message);
        // What sets a timer again waits for the next release.
        self.dead &= message.selector != REARM || broken != message.path;
        self.broken = Some(broken);
    }

    /// Whether the twin at `path` cannot be carried over to its definition.
    pub fn breaks(&self, path: &str) -> bool {
        self.broken.as_deref() == Some(path)
    }

    /// Whether this is not the end of it.
    pub fn tries_again(&self) -> bool {
        self.again_ns.is_some()
    }

    /// What the record of the turn says of it.
    pub fn flags(&self, message: &Message) -> Flags {
        [
            (message.attempts > 0, Flags::RETRIED),
            (message.passed, Flags::PASSED),
            (self.tries_again(), Flags::RETRIES),
            (self.dead, Flags::DEAD),
            (self.tell.is_some(), Flags::ESCALATES),
        ]
        .into_iter()
        .filter(|(is, _)| *is)
        .fold(Flags::default(), |flags, (_, flag)| flags.with(flag))
    }
}

/// A message that was laid aside.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Letter {
    pub time_ns: i64,
    pub kind: String,
    pub text: String,
    pub path: String,
    pub selector: String,
    pub arguments: Vec<u8>,
    /// The prototype that the twin was taken to have.
    pub prototype: Option<String>,
    /// In words.
    pub sender: String,
}

impl Supervisor {
    /// Whether the twin at `path` takes nothing but queries.
    pub fn is_quarantined(&self, path: &str) -> bool {
        !self.quarantined.is_empty() && self.quarantined.contains_key(path)
    }

    /// The twins in quarantine: path, the record that says so, since when, and how many messages wait.
    pub fn quarantined(&self) -> impl Iterator<Item = (&str, Position, i64, usize)> {
        self.quarantined.iter().map(|(path, one)| (&**path, one.at, one.since_ns, one.waiting.len()))
    }

    /// When the first message is tried again, and which.
    pub fn first_retry(&self) -> Option<(i64, &Message)> {
        self.retries.first_key_value().map(|((due_ns, _), message)| (*due_ns, message))
    }

    /// The first message that is tried again and for which `is_it` holds.
    pub fn take_retry_where(&mut self, is_it: impl Fn(&Message) -> bool) -> Option<Message> {
        let key = self.retries.iter().find(|(_, message)| is_it(message)).map(|(key, _)| *key)?;
        self.retries.remove(&key)
    }

    /// What is tried again by `now_ns`, the first first.
    pub fn retries_until(&self, now_ns: i64) -> impl Iterator<Item = (i64, &Message)> {
        self.retries.range(..=(now_ns, u64::MAX)).map(|((due_ns, _), message)| (*due_ns, message))
    }

    /// Every message that is tried again, or waits behind one.
    pub fn kept(&self) -> impl Iterator<Item = &Message> {
        self.retries.values().chain(self.blocked.values().flat_map(|blocked| &blocked.behind))
    }

    /// The number of the row of a message, if it was the last that began to wait for the release of the twin at `path`.
    pub fn last_waiting(&self, path: &str, order: u64) -> Option<u64> {
        match self.quarantined.get(path)?.waiting.back()? {
            Waits::Here(message) if message.order == order => message.waiting,
            Waits::Here(_) | Waits::Row { .. } => None,
        }
    }

    /// The messages that are tried again.
    pub fn retries_mut(&mut self) -> impl Iterator<Item = &mut Message> {
        self.retries.values_mut()
    }

    /// Whether some message is tried again.
    pub fn has_retries(&self) -> bool {
        !self.retries.is_empty()
    }

    /// The first message that is tried again; what waits behind it goes on waiting.
    pub fn take_retry(&mut self) -> Option<Message> {
        self.retries.pop_first().map(|(_, message)| message)
    }
}

/// Whom a message keeps its order with.
fn pair_of(message: &Message) -> Option<(Sender, String)> {
    let sender = match &message.from {
        From::Twin { path, .. } | From::Reply { path, .. } => Sender::Composite(first_segment(path).to_owned()),
        From::Outside { name, number } if *number > 0 => Sender::Outside(name.to_string()),
        From::Program => Sender::Program,
        From::Outside { .. } | From::Timer { .. } | From::Supervisor { .. } | From::System => return None,
    };
    Some((sender, first_segment(&message.path).to_owned()))
}

/// Whether somebody waits for the answer.
fn is_awaited(message: &Message) -> bool {
    message.ticket.is_some() || matches!(message.from, From::Twin { wanted: true, .. })
}

/// Whether it is kept, if its twin is in quarantine, until that is released.
pub(crate) fn waits_for_release(message: &Message) -> bool {
    (is_for_twin(&message.selector) || message.selector == REARM) && !is_awaited(message)
}

/// Whether it is a message to the twin, rather than one about it.
pub(crate) fn is_for_twin(selector: &str) -> bool {
    !is_own(selector) || matches!(selector, TIMER | REPLY | FAILED)
}

impl Core {
    // ---- before a turn ----

    /// Keeps a message that has to wait; answers one that has not.
    pub(crate) fn hold_back(&mut self, message: Message) -> Result<Option<Message>, StoreError> {
        if self.supervisor.blocked.is_empty() && self.supervisor.quarantined.is_empty() {
            return Ok(Some(message));
        }
        if message.selector != RELEASE
            && let Some(pair) = pair_of(&message)
            && self.supervisor.blocked.get(&pair).is_some_and(|blocked| Some(blocked.by) != message.waiting)
        {
            let message = self.let_in(message)?;
            if let Some(blocked) = self.supervisor.blocked.get_mut(&pair) {
                blocked.behind.push_back(message);
            }
            return Ok(None);
        }
        if !self.supervisor.is_quarantined(&message.path) || !waits_for_release(&message) {
            return Ok(Some(message));
        }
        self.unblock(&message);
        self.wait_for_release(message)?;
        Ok(None)
    }

    /// Keeps a message for a twin in quarantine until that is released.
    pub(crate) fn wait_for_release(&mut self, message: Message) -> Result<(), StoreError> {
        // Its row says so from now on: after a restart it may be released before it is met again.
        let message = self.let_in(Message { due_ns: None, passed: true, ..message })?;
        if let Some(quarantine) = self.supervisor.quarantined.get_mut(&*message.path) {
            if !matches!(quarantine.waiting.back(), Some(Waits::Here(_))) {
                self.supervisor.waiting_here.push(message.path.to_string());
            }
            quarantine.waiting.push_back(Waits::Here(Box::new(message)));
        }
        Ok(())
    }

    /// The rows of all that waits are written: of what waits for a release those are enough.
    pub(crate) fn let_go_of_waiting(&mut self) {
        for path in std::mem::take(&mut self.supervisor.waiting_here) {
            let Some(quarantine) = self.supervisor.quarantined.get_mut(&path) else { continue };
            for waits in quarantine.waiting.iter_mut().rev() {
                let Waits::Here(message) = waits else { break };
                let number = message.waiting.expect("it was let in");
                *waits = Waits::Row { number, is_rearm: message.selector == REARM };
            }
        }
    }

    /// Whether the message of a row waits for the release of its twin; then it goes on doing so.
    pub(crate) fn goes_on_waiting(&mut self, number: u64, message: &Message) -> bool {
        let waits = message.passed && message.due_ns.is_none();
        let Some(quarantine) = self.supervisor.quarantined.get_mut(&*message.path).filter(|_| waits) else {
            return false;
        };
        quarantine.waiting.push_back(Waits::Row { number, is_rearm: message.selector == REARM });
        true
    }

    /// Puts a message before all others.
    pub(crate) fn put_first(&mut self, message: Message) {
        if self.supervisor.released.is_empty() {
            return self.queue.push_front(message);
        }
        let composite = first_segment(&message.path).to_owned();
        let waiting = VecDeque::from([Waits::Here(Box::new(message))]);
        self.supervisor.released.push_front(Released { composite, waiting });
    }

    /// The place of the message that is next, in the order of all partitions.
    pub(crate) fn next_order(&self) -> Option<u64> {
        match self.supervisor.released.is_empty() {
            true => self.queue.front().map(|message| message.order),
            false => Some(0),
        }
    }

    /// Takes the message that is next.
    pub(crate) fn next_message(&mut self) -> Result<Option<Message>, StoreError> {
        while let Some(released) = self.supervisor.released.front_mut() {
            match released.waiting.pop_front() {
                None => drop(self.supervisor.released.pop_front()),
                Some(Waits::Here(message)) => return Ok(Some(*message)),
                Some(Waits::Row { number, .. }) => {
                    let mut key = Key::new();
                    let key = key.waiting(self.partition, &released.composite, number);
                    let row = self.store.get(Table::Waiting, key)?;
                    let message = row.and_then(|row| message_from_row(&row.bytes));
                    let message =
                        message.ok_or_else(|| damaged(Table::Waiting, key, "a waiting message that is none"))?;
                    return Ok(Some(Message { waiting: Some(number), passed: true, ..message }));
                }
            }
        }
        Ok(self.queue.pop_front())
    }

    /// How many messages are in memory that wait for a release. For tests.
    pub(crate) fn waiting_in_memory(&self) -> usize {
        let waiting = self.supervisor.quarantined.values().flat_map(|quarantine| &quarantine.waiting);
        waiting.filter(|waits| matches!(waits, Waits::Here(_))).count() + self.queue.len()
    }

    /// A message that was tried again is done with: what waits behind it is next.
    pub(crate) fn unblock(&mut self, message: &Message) {
        if self.supervisor.blocked.is_empty() {
            return;
        }
        let Some(pair) = pair_of(message) else { return };
        // Another may be tried again by now, if this one has waited in between.
        if self.supervisor.blocked.get(&pair).is_some_and(|blocked| Some(blocked.by) == message.waiting)
            && let Some(blocked) = self.supervisor.blocked.remove(&pair)
        {
            blocked.behind.into_iter().rev().for_each(|message| self.put_first(message));
        }
    }

    // ---- after a turn ----

    /// What becomes of a message whose turn has ended at `now_ns`.
    pub(crate) fn judge(&mut self, vm: &Vm, message: &Message, result: &Reply, now_ns: i64) -> Verdict {
        let Err(fault) = result else { return Verdict::default() };
        let awaited = is_awaited(message);
        let refused = fault.kind == "Quarantined" && self.supervisor.is_quarantined(&message.path);
        let view = self.residents.get(&message.path).filter(|view| view.exists);
        let decision = match view {
            Some(view) if is_for_twin(&message.selector) && !refused => {
                let policy = vm.supervision(view.image);
                let (decision, changed) = self.supervisor.failures.decide(&policy, message, now_ns);
                if changed {
                    self.put_supervision(&message.path);
                }
                decision
            }
            // It is no failure of the twin.
            Some(_) | None => Decision::GiveUp(Supervision::DEFAULT.then),
        };
        let mut verdict = Verdict::default();
        match decision {
            Decision::TryAgain { due_ns } => verdict.again_ns = Some(due_ns),
            Decision::GiveUp(GivingUp::DeadLetter) => verdict.dead = !awaited,
            Decision::GiveUp(GivingUp::Quarantine) => (verdict.dead, verdict.quarantine) = (!awaited, true),
            Decision::GiveUp(GivingUp::Escalate) => match message.path.rsplit_once('/') {
                Some((parent, _)) => verdict.tell = Some(parent.to_owned()),
                None => verdict.dead = !awaited,
            },
        }
        verdict
    }

    /// Does what was judged of a message, whose turn is recorded at `position`.
    pub(crate) fn carry_out(
        &mut self,
        vm: &mut Vm,
        message: &Message,
        result: &Reply,
        verdict: Verdict,
        position: Position,
    ) -> Result<(), StoreError> {
        if let Some(due_ns) = verdict.again_ns {
            let attempts = message.attempts + 1;
            let message = self.keep(Message { attempts, due_ns: Some(due_ns), ..message.clone() });
            self.await_retry(message);
            return Ok(());
        }
        self.unblock(message);
        let Err(fault) = result else { return Ok(()) };
        let origin = Origin { partition: self.partition, position };
        if verdict.dead {
            let row = letter_to_row(message, &fault.kind, &fault.text, self.last_time_ns);
            self.restore_letter(position, &row);
        }
        if let Some(parent) = verdict.tell {
            let arguments = told_arguments(message, &fault.kind, &fault.text);
            self.restore_told(Message::new(&parent, FAILED, arguments, From::Supervisor { origin }));
        }
        if verdict.quarantine && !self.supervisor.is_quarantined(&message.path) {
            let mark = Message::new(&message.path, QUARANTINE, vec![0], From::Supervisor { origin });
            self.note(vm, mark)?;
        }
        if let Some(broken) = verdict.broken.filter(|broken| !self.supervisor.is_quarantined(broken)) {
            self.note(vm, Message::new(&broken, QUARANTINE, vec![0], From::Supervisor { origin }))?;
        }
        Ok(())
    }

    /// Queues a message that tells a twin of a failure. It is in the waiting list until its turn is recorded, so it is not
    /// lost.
    pub(crate) fn restore_told(&mut self, message: Message) {
        let message = self.keep(Message { order: self.post.next_order(), ..message });
        self.put_first(message);
    }

    /// Writes the row of a dead letter.
    pub(crate) fn restore_letter(&mut self, position: Position, row: &[u8]) {
        let mut key = Key::new();
        self.rows.put(Table::DeadLetters, key.dead_letter(self.partition, position), position, row);
    }

    /// Notes that a twin is in quarantine.
    pub(crate) fn restore_quarantine(&mut self, path: &str, at: Position, since_ns: i64) {
        self.supervisor.quarantined.insert(path.to_owned(), Quarantine { at, since_ns, waiting: VecDeque::new() });
        self.put_supervision(path);
    }

    /// Takes a message that is tried again when its time has come.
    pub(crate) fn await_retry(&mut self, message: Message) {
        let (Some(due_ns), Some(number)) = (message.due_ns, message.waiting) else { return };
        if let Some(pair) = pair_of(&message) {
            let blocked = Blocked { by: number, behind: VecDeque::new() };
            self.supervisor.blocked.entry(pair).or_insert(blocked);
        }
        self.supervisor.retries.insert((due_ns, number), message);
    }

    /// Forgets what waits to be handled, and timers: in a process that only looks nothing has a turn.
    pub(crate) fn forget_messages(&mut self) {
        self.queue.clear();
        self.supervisor.released.clear();
        self.timers = Timers::default();
        self.supervisor.retries.clear();
        self.supervisor.blocked.clear();
    }

    // ---- quarantine ----

    /// Records a message that is about a twin and runs nothing, and does what it says.
    pub(crate) fn note(&mut self, vm: &mut Vm, message: Message) -> Result<(), StoreError> {
        let position = self.push_note(vm, &message)?;
        match &*message.selector {
            QUARANTINE => {
                self.restore_quarantine(&message.path, position, self.last_time_ns);
            }
            RELEASE => self.lift(&message.path),
            // The row went with the record.
            DROP => {}
            selector => unreachable!("`{selector}` is no note"),
        }
        Ok(())
    }

    /// Records that every twin is released: the program is another one.
    pub(crate) fn release_all(&mut self, vm: &mut Vm) -> Result<(), StoreError> {
        let paths: Vec<String> = self.supervisor.quarantined.keys().cloned().collect();
        // What waited for the last that is released comes first.
        for path in paths.into_iter().rev() {
            self.note(vm, Message::new(&path, RELEASE, vec![0], From::System))?;
        }
        Ok(())
    }

    /// The twin takes messages again: those that waited first.
    fn lift(&mut self, path: &str) {
        if let Some(quarantine) = self.supervisor.quarantined.remove(path) {
            self.supervisor.failures.forget(path);
            self.put_supervision(path);
            if !quarantine.waiting.is_empty() {
                let composite = first_segment(path).to_owned();
                self.supervisor.released.push_front(Released { composite, waiting: quarantine.waiting });
            }
        }
    }

    /// The twin at `path` is gone: what waits for it is refused, and its timers and replies are tried no more.
    pub(crate) fn forget_twin(&mut self, path: &str) {
        if let Some(quarantine) = self.supervisor.quarantined.get_mut(path) {
            let (mut key, composite) = (Key::new(), first_segment(path));
            let (rows, partition) = (&mut self.rows, self.partition);
            quarantine.waiting.retain(|waits| {
                let (number, is_rearm) = match waits {
                    Waits::Here(message) => (message.waiting, message.selector == REARM),
                    Waits::Row { number, is_rearm } => (Some(*number), *is_rearm),
                };
                if let Some(number) = number.filter(|_| is_rearm) {
                    rows.delete(Table::Waiting, key.waiting(partition, composite, number));
                }
                !is_rearm
            });
        }
        self.lift(path);
        let mut gone = Vec::new();
        self.supervisor.retries.retain(|_, message| {
            let ends = message.path == path && matches!(message.from, From::Timer { .. } | From::Reply { .. });
            if ends {
                gone.push(message.clone());
            }
            !ends
        });
        for message in gone {
            self.take_from_source(&message);
            self.unblock(&message);
        }
        if self.supervisor.failures.forget(path) {
            self.put_supervision(path);
        }
    }

    // ---- rows ----

    /// Writes the row of what is remembered of a twin.
    fn put_supervision(&mut self, path: &str) {
        let mut key = Key::new();
        let key = key.state(self.partition, path);
        let quarantine = self.supervisor.quarantined.get(path).map(|one| (one.at, one.since_ns));
        match supervision_to_row(quarantine, self.supervisor.failures.get(path)) {
            Some(row) => self.rows.put(Table::Supervision, key, self.last_record, &row),
            None => self.rows.delete(Table::Supervision, key),
        }
    }

    /// Reads which twins are in quarantine, and when twins have failed.
    pub(crate) fn load_supervision(&mut self) -> Result<(), StoreError> {
        for row in self.store.scan(Table::Supervision, &KeyRange::partition(self.partition))? {
            let (key, row) = row?;
            let read = key.path().zip(supervision_from_row(&row.bytes));
            let Some((path, (quarantine, failures))) = read else {
                return Err(damaged(Table::Supervision, &key, "what is remembered of failures, and is none"));
            };
            if let Some(quarantine) = quarantine {
                self.supervisor.quarantined.insert(path.clone(), quarantine);
            }
            if !failures.0.is_empty() {
                self.supervisor.failures.0.insert(path, failures);
            }
        }
        Ok(())
    }

    /// The messages that were laid aside, oldest first.
    pub(crate) fn letters(&self) -> Result<Vec<(Position, Letter)>, StoreError> {
        let mut letters = BTreeMap::new();
        for row in self.store.scan(Table::DeadLetters, &KeyRange::partition(self.partition))? {
            let (key, row) = row?;
            let Some((position, letter)) = key.position().zip(letter_from_row(&row.bytes)) else {
                return Err(damaged(Table::DeadLetters, &key, "a dead letter that is none"));
            };
            letters.insert(position, letter);
        }
        Ok(letters.into_iter().collect())
    }
}

// ---- made again from the log ----

impl Core {
    /// Takes what was folded from the log; answers what waits, in the order in which it came to.
    pub(crate) fn restore_supervision(&mut self, recalled: Recalled) -> impl Iterator<Item = Message> + use<> {
        for (position, row) in &recalled.letters {
            self.restore_letter(*position, row);
        }
        for (path, &(at, since_ns)) in &recalled.quarantined {
            self.restore_quarantine(path, at, since_ns);
        }
        for (path, failures) in recalled.failures.0 {
            self.supervisor.failures.0.insert(path.clone(), failures);
            self.put_supervision(&path);
        }
        recalled.waiting.in_order()
    }
}

fn damaged(table: Table, key: &Key, what: &'static str) -> StoreError {
    StoreError::Corrupt { at: Place::Row { table, key: key.bytes().to_vec() }, reason: Corruption::Row(what) }
}

/// What is remembered of a twin, as its row has it: since which record and when it is in quarantine, and when it has failed.
/// `None`: nothing, so it has no row.
pub(crate) fn supervision_to_row(quarantine: Option<(Position, i64)>, failures: Option<&Failures>) -> Option<Vec<u8>> {
    let mut row = Vec::new();
    match quarantine {
        None if failures.is_none() => return None,
        None => row.push(0),
        Some((at, since_ns)) => {
            row.push(1);
            row.extend_from_slice(&at.to_bytes());
            row.extend_from_slice(&since_ns.to_le_bytes());
        }
    }
    for time_ns in failures.iter().flat_map(|failures| &failures.0) {
        row.extend_from_slice(&time_ns.to_le_bytes());
    }
    Some(row)
}

fn supervision_from_row(row: &[u8]) -> Option<(Option<Quarantine>, Failures)> {
    let (&first, mut rest) = row.split_first()?;
    let quarantine = match first {
        0 => None,
        1 => {
            let (at, behind) = rest.split_first_chunk::<10>()?;
            let (since, behind) = behind.split_first_chunk::<8>()?;
            rest = behind;
            let (at, since_ns) = (Position::from_bytes(*at), i64::from_le_bytes(*since));
            Some(Quarantine { at, since_ns, waiting: VecDeque::new() })
        }
        _ => return None,
    };
    let (times, rest) = rest.as_chunks::<8>();
    rest.is_empty().then(|| (quarantine, Failures(times.iter().map(|time| i64::from_le_bytes(*time)).collect())))
}

/// A dead letter as its row has it: of a failure that a twin was told of in vain, the message that failed first.
pub(crate) fn letter_to_row(message: &Message, kind: &str, text: &str, time_ns: i64) -> Vec<u8> {
    let told = if message.selector == FAILED { read_failed_arguments(&message.arguments) } else { None };
    let first = told.map(|failed| {
        let arguments = failed.arguments.into_owned();
        let message = Message::new(failed.part, failed.selector, arguments, message.from.clone());
        (message, failed.kind.to_owned(), failed.text.to_owned())
    });
    let (message, kind, text) = match &first {
        Some((message, kind, text)) => (message, &**kind, &**text),
        None => (message, kind, text),
    };
    let mut row = time_ns.to_le_bytes().to_vec();
    for text in [kind, text] {
        put_number(&mut row, text.len() as u64);
        row.extend_from_slice(text.as_bytes());
    }
    row.extend_from_slice(&message_to_row(message));
    row
}

/// The letter that [`letter_to_row`] wrote.
fn letter_from_row(row: &[u8]) -> Option<Letter> {
    let (time, mut rest) = row.split_first_chunk::<8>()?;
    let rest = &mut rest;
    let (kind, text) = (text(rest)?, text(rest)?);
    let message = take_message(rest).filter(|_| rest.is_empty())?;
    let fault = Fault { kind, text, trace: Vec::new() };
    let report = report(&message, &fault);
    let Message { arguments, kind, .. } = message;
    let prototype = kind.map(|kind| kind.to_string());
    let FaultReport { path, selector, sender, .. } = report;
    let Fault { kind, text, trace: _ } = fault;
    let time_ns = i64::from_le_bytes(*time);
    Some(Letter { time_ns, kind, text, path, selector, arguments, prototype, sender })
}
