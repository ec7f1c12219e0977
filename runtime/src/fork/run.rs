//! A fork at work: what the base recorded is done again, in that order, and what follows from it otherwise where it comes to that.
//!
//! The logs of the base are the score. Each record of it is done again when its turn comes: what came from outside is sent again,
//! and for what came of something the fork's own message is sought that has come of the same. It has the time and the random
//! numbers that the record has. So where nothing is otherwise the fork does what the base did, whatever the clock on the
//! wall, threads or the network had made of it.
//!
//! A message of the fork that the base has not sent is handled at once; a timer that it has not, when the
//! clock comes to its time, the clock being at the record that is done next. A composite has *diverged* once
//! one of its turns was otherwise, or came or stayed away: answers of it are asked for anew from then on.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use twintalk_store::record::{Flags, Origin, ProgramHash, composite_of};
use twintalk_store::{Key as RowKey, Partition, Position, StoreError, Table};
use twintalk_vm::Shapes;
use twintalk_vm::turn::RELEASE;

use crate::clock::ClockKind;
use crate::message::{FAILED, From, Message, PROGRAM, QUARANTINE, REARM, SYSTEM_PATH, WAITS, message_from_row};
use crate::partition::Core;
use crate::past::LookError;
use crate::supervision::waits_for_release;
use crate::timers::TimerId;
use crate::{OpenError, OpenOptions, System};

use super::script::{Done, Key, Recorded, Script, Sent};
use super::{ForkFault, Forked};

/// How many records wait for one write.
const COMMIT_RECORDS: usize = 4096;
/// Where the orders of released messages begin: behind those that there are before the fork.
const RELEASED_FIRST: u64 = 1 << 32;
/// Where the orders of all others begin.
const ORDER_FIRST: u64 = 1 << 48;
/// How many faults are told.
const FAULTS_MAX: usize = 100;

/// What the base had set and stopped at the cut.
#[derive(Default)]
pub(super) struct Pending {
    /// When each timer is due, by its twin and name.
    pub timers: BTreeMap<(String, String), i64>,
    /// The twins in quarantine.
    pub quarantined: BTreeSet<String>,
}

/// A message that is put in.
pub(super) struct Insertion {
    pub time_ns: i64,
    pub message: Message,
}

/// A message that the base has handled too, and that waits for that.
struct Held {
    nth: usize,
    message: Message,
    key: Key,
}

/// A fork.
pub(super) struct Run<'a> {
    pub fork: System,
    pub forked: Forked,
    /// Twins that may be otherwise than in the base.
    pub touched: BTreeSet<String>,
    options: OpenOptions,
    program: ProgramHash,
    /// What the base runs.
    base_program: ProgramHash,
    /// By partition: whether all that was done so far follows from the last record before the cut.
    fresh: Vec<bool>,
    /// Whether it runs another program than the base did.
    other_program: bool,
    is_dropped: &'a mut dyn FnMut(&Recorded) -> bool,
    insertions: VecDeque<Insertion>,
    cuts: Vec<Position>,
    now_ns: i64,
    /// By their order.
    held: BTreeMap<u64, Held>,
    by_key: HashMap<Key, VecDeque<u64>>,
    /// By the composites of sender and receiver.
    by_pair: HashMap<(String, String), BTreeSet<u64>>,
    /// What is handled as soon as can be, by order.
    ready: BTreeMap<u64, (usize, Message)>,
    /// What messages that partitions have, or get next, are in the base, by their order; none: the base has no such message.
    keys: HashMap<u64, Option<Key>>,
    /// The same of those that wait for the release of a twin, by partition and number: of them a partition has rows alone.
    waiting: HashMap<(usize, u64), Option<Key>>,
    /// The order of the message that was released last: before that of all others.
    released: u64,
    /// What was handled before the base did: the prints of its turns.
    early: HashMap<Key, VecDeque<[u8; 32]>>,
    /// Failures of the base, and the records of the fork that stand for them.
    failures: HashMap<Origin, Position>,
    base_timers: BTreeMap<(String, String), i64>,
    /// Timers of the fork that the base may not have.
    candidates: BTreeSet<(i64, usize, TimerId)>,
    base_quarantined: BTreeSet<String>,
    diverged: HashSet<String>,
    /// Messages that were let in without being sent on, since they are dropped.
    dropped: HashSet<Key>,
}

/// What is done for a record of the base.
enum Todo {
    /// Nothing: the fork has no such message.
    Nothing,
    /// It is left out.
    Drop,
    /// A message is handled.
    Handle(Message),
    /// A message is let in, which is handled later.
    LetIn(Message),
    /// Another program is run from here on.
    Switch,
}

fn pair_of(message: &Message) -> Option<(String, String)> {
    match &message.from {
        From::Twin { path, .. } | From::Reply { path, .. } => {
            Some((composite_of(path).to_owned(), composite_of(&message.path).to_owned()))
        }
        From::Program | From::Outside { .. } | From::Timer { .. } | From::Supervisor { .. } | From::System => None,
    }
}

/// The composites, and whether one of them may differ from what it was.
fn is_among(diverged: &HashSet<String>, composite: &str) -> bool {
    // All twins of a partition answer under a name that none has.
    if composite == SYSTEM_PATH { !diverged.is_empty() } else { diverged.contains(composite) }
}

impl<'a> Run<'a> {
    /// Of a fork that stands at `cuts`, whose partitions have their scripts.
    pub fn new(
        mut fork: System,
        forked: Forked,
        options: OpenOptions,
        (program, other_program): (ProgramHash, bool),
        is_dropped: &'a mut dyn FnMut(&Recorded) -> bool,
        insertions: VecDeque<Insertion>,
        pending: Pending,
    ) -> Run<'a> {
        let (partitions, _) = fork.parts();
        partitions.post.go_on_from(ORDER_FIRST);
        let now_ns = partitions.now_ns();
        let cuts = forked.from.clone();
        let Pending { timers: base_timers, quarantined: base_quarantined } = pending;
        let mut released: Vec<(usize, String)> = Vec::new();
        for path in &base_quarantined {
            let core = partitions.of(path);
            if !core.supervisor.is_quarantined(path) {
                released.push((usize::from(core.partition.0), path.clone()));
            }
        }
        let mut run = Run {
            fork,
            forked,
            touched: BTreeSet::new(),
            options,
            program,
            base_program: program,
            fresh: vec![true; cuts.len()],
            other_program,
            is_dropped,
            insertions,
            cuts,
            now_ns,
            held: BTreeMap::new(),
            by_key: HashMap::new(),
            by_pair: HashMap::new(),
            ready: BTreeMap::new(),
            keys: HashMap::new(),
            waiting: HashMap::new(),
            released: RELEASED_FIRST,
            early: HashMap::new(),
            failures: HashMap::new(),
            base_timers,
            candidates: BTreeSet::new(),
            base_quarantined,
            diverged: HashSet::new(),
            dropped: HashSet::new(),
        };
        let Run { fork, keys, .. } = &mut run;
        let (partitions, _) = fork.parts();
        let post = partitions.post.clone();
        for message in partitions.iter_mut().flat_map(|core| core.supervisor.retries_mut()) {
            message.order = post.next_order();
            keys.insert(message.order, Some(Key::of(message)));
        }
        for (nth, path) in released {
            run.consider_timers_of(nth, &path);
        }
        run
    }

    /// Does all that the base did, and what follows up to `end_ns`; if the base has come to its end before, `runs_on` from there
    /// by itself.
    ///
    /// # Errors
    /// The base refuses; or a program that it ran does not link.
    pub fn run(&mut self, end_ns: i64, runs_on: bool, progress: &mut dyn FnMut(u64)) -> Result<(), LookError> {
        self.route_all(&[])?;
        self.settle()?;
        while let Some(nth) = self.next_partition()? {
            self.step(nth)?;
            self.commit()?;
            if self.forked.turns.is_multiple_of(1024) {
                progress(self.forked.turns);
            }
        }
        self.catch_up(end_ns, true)?;
        if runs_on {
            let held = std::mem::take(&mut self.held);
            self.ready.extend(held.into_iter().map(|(order, held)| (order, (held.nth, held.message))));
            (self.by_key, self.by_pair) = Default::default();
            self.settle()?;
            let (partitions, vm) = self.fork.parts();
            partitions.advance_to(vm, end_ns)?;
            self.after(None)?;
        }
        self.write()
    }

    fn script(&mut self, nth: usize) -> &mut Script {
        let (partitions, _) = self.fork.parts();
        partitions.all()[nth].script.as_mut().expect("every partition of a fork has one")
    }

    fn partitions(&mut self) -> usize {
        self.cuts.len()
    }

    /// The partition whose next record is the first by time of those whose cause has been done.
    fn next_partition(&mut self) -> Result<Option<usize>, StoreError> {
        if self.partitions() == 1 {
            return Ok(self.script(0).peek()?.map(|_| 0));
        }
        let mut passed = Vec::new();
        // A program that is brought comes after all that ran before it; the time may be the same.
        let mut runs_ns = i64::MAX;
        let base_program = self.base_program;
        for nth in 0..self.partitions() {
            passed.push(self.script(nth).position()?);
            if let Some(record) = self.script(nth).peek()?
                && record.program == base_program
            {
                runs_ns = runs_ns.min(record.time_ns);
            }
        }
        let mut first: Option<(bool, i64, usize)> = None;
        for nth in 0..self.partitions() {
            let Some(record) = self.script(nth).peek()? else { continue };
            let has_cause = record.origin.is_none_or(|origin| {
                let other = usize::from(origin.partition.0);
                other == nth || passed.get(other).is_none_or(|passed| origin.position < *passed)
            });
            let brings = (record.key.path.as_str(), record.key.selector.as_str()) == (SYSTEM_PATH, PROGRAM);
            let may_run = record.program == base_program || (brings && record.time_ns < runs_ns);
            let this = (!has_cause || !may_run, record.time_ns, nth);
            if first.is_none_or(|first| this < first) {
                first = Some(this);
            }
        }
        Ok(first.map(|(_, _, nth)| nth))
    }

    /// Does the next record of a partition.
    fn step(&mut self, nth: usize) -> Result<(), LookError> {
        let Some(record) = self.script(nth).peek()? else { return Ok(()) };
        let time_ns = record.time_ns;
        self.catch_up(time_ns, false)?;
        self.advance(time_ns);
        let Some(mut record) = self.script(nth).skip()? else { return Ok(()) };
        let at = record.position;
        let follows = matches!(record.key.selector.as_str(), REARM | QUARANTINE | WAITS);
        self.fresh[nth] &= follows;
        match self.todo(nth, &record)? {
            Todo::Nothing => self.missed(nth, record)?,
            Todo::Drop => {
                self.forked.dropped += 1;
                self.missed(nth, record)?;
            }
            Todo::Switch => self.switch(record)?,
            Todo::LetIn(message) => {
                let key = Key::of(&message);
                self.script(nth).put_back(record);
                self.script(nth).follows = true;
                let (partitions, _) = self.fork.parts();
                let core = &mut partitions.all()[nth];
                let order = core.post.next_order();
                let message = core.let_in(Message { order, ..message })?;
                self.script(nth).follows = false;
                self.script(nth).done.clear();
                if self.script(nth).position()? == at {
                    self.script(nth).skip()?;
                }
                self.route(nth, message, Some(key));
            }
            Todo::Handle(message) => {
                let same = !self.other_program
                    && message.arguments == record.arguments
                    && !self.diverged.contains(record.composite());
                let diverged = &self.diverged;
                let known = record.answers.iter().take_while(|answer| !is_among(diverged, &answer.composite)).count();
                record.answers.truncate(if same { known } else { 0 });
                let key = record.key.clone();
                self.script(nth).put_back(record);
                self.handle(nth, message, Some(key), true)?;
                if self.script(nth).position()? == at
                    && let Some(record) = self.script(nth).skip()?
                {
                    self.missed(nth, record)?;
                }
            }
        }
        self.settle()?;
        Ok(())
    }

    /// What is to be done for a record of the base.
    fn todo(&mut self, nth: usize, record: &Recorded) -> Result<Todo, StoreError> {
        let Key { path, selector, .. } = &record.key;
        if path == SYSTEM_PATH {
            let message = if selector == WAITS { message_from_row(&record.arguments) } else { None };
            return Ok(match message {
                Some(message) => {
                    let key = Key::of(&message);
                    let (arguments, from) = (message.arguments.clone(), message.from.clone());
                    let let_in = Recorded { key: key.clone(), arguments, from, ..record.clone() };
                    if (self.is_dropped)(&let_in) {
                        self.dropped.insert(key);
                        return Ok(Todo::Drop);
                    }
                    Todo::LetIn(message)
                }
                None if selector == PROGRAM => Todo::Switch,
                None => Todo::Nothing,
            });
        }
        if self.dropped.remove(&record.key) {
            return Ok(Todo::Nothing);
        }
        let is_outside = match &record.from {
            From::Program | From::Outside { .. } => true,
            From::System => !matches!(selector.as_str(), REARM | RELEASE),
            From::Twin { .. } | From::Reply { .. } | From::Timer { .. } | From::Supervisor { .. } => false,
        };
        let is_dropped = is_outside && !record.flags.contains(Flags::RETRIED) && (self.is_dropped)(record);
        let held = self.take_held(&record.key);
        if is_dropped {
            return Ok(Todo::Drop);
        }
        if let Some(message) = held {
            return Ok(Todo::Handle(message));
        }
        let Run { fork, keys, .. } = self;
        let (partitions, _) = fork.parts();
        let core = &mut partitions.all()[nth];
        if record.flags.contains(Flags::RETRIED) {
            let is_it = |message: &Message| {
                keys.get(&message.order).is_some_and(|key| key.as_ref() == Some(&record.key))
                    || Key::of(message) == record.key
            };
            return Ok(core.supervisor.take_retry_where(is_it).map_or(Todo::Nothing, Todo::Handle));
        }
        let from = match &record.from {
            From::Twin { .. } | From::Reply { .. } => return Ok(Todo::Nothing),
            From::Timer { name, due_ns, .. } => {
                let id = TimerId { path: path.as_str().into(), name: (&**name).into() };
                let is_set = core.timers.due_ns(&id) == Some(*due_ns);
                let message = if is_set { core.timer_message(&id) } else { None };
                return Ok(message.map_or(Todo::Nothing, Todo::Handle));
            }
            // What directly follows from a turn is done with it, but where the cut lies between them.
            From::Supervisor { origin } if selector == QUARANTINE && self.fresh[nth] => {
                From::Supervisor { origin: *origin }
            }
            From::Supervisor { .. } if matches!(selector.as_str(), QUARANTINE | FAILED) => return Ok(Todo::Nothing),
            // Somebody has sent a dead letter again, or dropped it.
            From::Supervisor { origin } => {
                let is_past = origin.position < self.cuts[nth];
                let position = if is_past { Some(origin.position) } else { self.failures.get(origin).copied() };
                let Some(position) = position else { return Ok(Todo::Nothing) };
                From::Supervisor { origin: Origin { position, ..*origin } }
            }
            From::System if selector == REARM && !self.fresh[nth] => return Ok(Todo::Nothing),
            From::System if selector == RELEASE && !core.supervisor.is_quarantined(path) => return Ok(Todo::Nothing),
            from @ (From::Program | From::Outside { .. } | From::System) => from.clone(),
        };
        // What a program or the command line sends is waited for.
        let is_awaited = matches!(from, From::Program | From::Outside { number: 0, .. });
        let message = Message {
            device_time_ns: record.device_time_ns,
            ticket: is_awaited.then_some(0),
            far: is_awaited,
            kind: record.mistaken.as_deref().map(Into::into),
            ..Message::new(path, selector, record.arguments.clone(), from)
        };
        Ok(Todo::Handle(message))
    }

    // ---- messages ----

    /// Handles a message, and takes what comes of it.
    fn handle(&mut self, nth: usize, mut message: Message, key: Option<Key>, follows: bool) -> Result<(), StoreError> {
        let (partitions, vm) = self.fork.parts();
        if message.order == 0 {
            message.order = partitions.post.next_order();
        }
        let (order, path, selector) = (message.order, message.path.to_string(), message.selector.to_string());
        if key.is_some() {
            self.keys.insert(order, key);
        } else {
            self.keys.entry(order).or_insert(None);
        }
        let core = &mut partitions.all()[nth];
        set_follows(core, follows);
        core.handle_next(vm, message)?;
        if let Some(number) = core.supervisor.last_waiting(&path, order)
            && let Some(key) = self.keys.remove(&order)
        {
            self.waiting.insert((nth, number), key);
        }
        // Questions to other partitions, and their answers.
        loop {
            let mut some = false;
            for core in partitions.iter_mut() {
                some |= core.take_in(vm)?;
            }
            if !some {
                break;
            }
        }
        set_follows(&mut partitions.all()[nth], false);
        self.after(Some((order, &path, &selector)))
    }

    /// Takes what was written, and what is on its way since; `handled` was the message that caused it.
    fn after(&mut self, handled: Option<(u64, &str, &str)>) -> Result<(), StoreError> {
        let mut handled = handled;
        let mut written: Vec<(Origin, Option<Recorded>, Flags)> = Vec::new();
        for nth in 0..self.partitions() {
            for done in std::mem::take(&mut self.script(nth).done) {
                let is_it = |(_, path, selector): &(u64, &str, &str)| done.path == *path && done.selector == *selector;
                let key = match handled.take_if(|handled| is_it(handled)) {
                    Some((order, ..)) if done.flags.contains(Flags::RETRIES) => {
                        self.keys.get(&order).cloned().flatten()
                    }
                    Some((order, ..)) => self.keys.remove(&order).flatten(),
                    None => None,
                };
                let at = Origin { partition: Partition(nth as u16), position: done.position };
                let flags = done.flags;
                let base = self.take_done(nth, done, key)?;
                written.push((at, base, flags));
            }
        }
        self.route_all(&written)
    }

    /// Takes what is in the queues of all partitions, as it came from the records that were written just now.
    fn route_all(&mut self, written: &[(Origin, Option<Recorded>, Flags)]) -> Result<(), StoreError> {
        let (partitions, _) = self.fork.parts();
        let mut queued: Vec<(usize, Message)> = Vec::new();
        for (nth, core) in partitions.iter_mut().enumerate() {
            while let Some(mut message) = core.next_message()? {
                if let Some(number) = message.waiting {
                    if message.order == 0 {
                        self.released += 1;
                        message.order = self.released;
                    }
                    if let Some(key) = self.waiting.remove(&(nth, number)) {
                        self.keys.insert(message.order, key);
                    }
                }
                queued.push((nth, message));
            }
            core.replies.clear();
            core.unclaimed.clear();
            core.leaving.clear();
            core.released.clear();
        }
        queued.sort_by_key(|(_, message)| message.order);
        let mut leaves: HashMap<Origin, Vec<Key>> = HashMap::new();
        for (at, base, _) in written {
            leaves.insert(*at, base.as_ref().map(|base| base.leaves.clone()).unwrap_or_default());
        }
        for (nth, message) in queued {
            if let Some(key) = self.keys.get(&message.order).cloned() {
                self.route(nth, message, key);
                continue;
            }
            let key = match &message.from {
                From::Twin { origin, .. } | From::Reply { origin, .. } if leaves.contains_key(origin) => {
                    let left = leaves.get_mut(origin).expect("it is there");
                    let is_same = |key: &Key| key.path == *message.path && key.selector == *message.selector;
                    left.iter().position(is_same).map(|nth| left.remove(nth))
                }
                From::Supervisor { origin } if message.selector == FAILED => {
                    let base = written.iter().find(|(at, ..)| at == origin).map(|(_, base, _)| base.as_ref());
                    match base {
                        Some(base) => base.filter(|base| base.flags.contains(Flags::ESCALATES)).map(|base| {
                            let origin = Origin { position: base.position, ..*origin };
                            Key { from: Sent::Supervisor(origin), ..Key::of(&message) }
                        }),
                        None => Some(Key::of(&message)),
                    }
                }
                // From before the cut, or kept by the runtime for itself.
                From::Program
                | From::Outside { .. }
                | From::Twin { .. }
                | From::Reply { .. }
                | From::Timer { .. }
                | From::Supervisor { .. }
                | From::System => {
                    let diverged = self.diverged.contains(composite_of(&message.path));
                    (message.source().is_some() || !diverged).then(|| Key::of(&message))
                }
            };
            self.route(nth, message, key);
        }
        Ok(())
    }

    /// Keeps a message until the base handles it, or else handles it as soon as can be.
    fn route(&mut self, nth: usize, message: Message, key: Option<Key>) {
        let order = message.order;
        match key {
            // The base kept those for a twin in quarantine: so does the fork, unless it is in none here. Not one behind which the base
            // has still to handle another of the same sender: that would be handled too early.
            Some(key)
                if self.base_quarantined.contains(&*message.path)
                    && waits_for_release(&message)
                    && !self.is_behind_another(&message, order) =>
            {
                self.keys.insert(order, Some(key));
                self.ready.insert(order, (nth, message));
            }
            Some(key) => {
                if let Some(pair) = pair_of(&message) {
                    self.by_pair.entry(pair).or_default().insert(order);
                }
                self.by_key.entry(key.clone()).or_default().push_back(order);
                self.held.insert(order, Held { nth, message, key });
            }
            None => {
                self.keys.insert(order, None);
                self.ready.insert(order, (nth, message));
            }
        }
    }

    /// Whether a message is held that the same composite has sent to the same one before.
    fn is_behind_another(&self, message: &Message, order: u64) -> bool {
        let orders = pair_of(message).and_then(|pair| self.by_pair.get(&pair));
        orders.is_some_and(|orders| orders.range(..order).next().is_some())
    }

    /// Takes back a message that is held.
    fn take_held(&mut self, key: &Key) -> Option<Message> {
        let order = *self.by_key.get(key)?.front()?;
        self.release(order).map(|held| held.message)
    }

    fn release(&mut self, order: u64) -> Option<Held> {
        let held = self.held.remove(&order)?;
        if let Some(orders) = self.by_key.get_mut(&held.key) {
            orders.retain(|other| *other != order);
            if orders.is_empty() {
                self.by_key.remove(&held.key);
            }
        }
        if let Some(pair) = pair_of(&held.message)
            && let Some(orders) = self.by_pair.get_mut(&pair)
        {
            orders.remove(&order);
            if orders.is_empty() {
                self.by_pair.remove(&pair);
            }
        }
        Some(held)
    }

    /// Handles what need not wait, and before it what the same composite has sent to the same one before.
    fn settle(&mut self) -> Result<(), StoreError> {
        while let Some((order, (nth, message))) = self.ready.pop_first() {
            let before = pair_of(&message).and_then(|pair| self.by_pair.get(&pair));
            let before: Vec<u64> = before.into_iter().flat_map(|orders| orders.range(..order)).copied().collect();
            if before.is_empty() {
                self.handle(nth, message, None, false)?;
                continue;
            }
            self.ready.insert(order, (nth, message));
            for order in before {
                if let Some(held) = self.release(order) {
                    self.keys.insert(order, Some(held.key));
                    self.ready.insert(order, (held.nth, held.message));
                }
            }
        }
        Ok(())
    }

    // ---- time ----

    fn advance(&mut self, time_ns: i64) {
        self.now_ns = self.now_ns.max(time_ns);
        let now_ns = self.now_ns;
        let (partitions, _) = self.fork.parts();
        partitions.drive_to(now_ns);
    }

    /// Does what the fork alone has to do before `time_ns`, or up to and with it: timers and further attempts that the base has
    /// not, and what is put in.
    fn catch_up(&mut self, time_ns: i64, inclusive: bool) -> Result<(), StoreError> {
        loop {
            let timer = self.due_candidate(time_ns);
            let Run { fork, diverged, .. } = self;
            let (partitions, _) = fork.parts();
            let retries = partitions.iter().enumerate().filter_map(|(nth, core)| {
                let mut own = core.supervisor.retries_until(time_ns);
                let retry = own.find(|(_, message)| {
                    // One whose twin is in quarantine by now leaves no record.
                    diverged.contains(composite_of(&message.path)) || core.supervisor.is_quarantined(&message.path)
                });
                retry.map(|(due_ns, message)| (due_ns, nth, message.waiting))
            });
            let retry = retries.min();
            let insertion = self.insertions.front().map(|one| one.time_ns);
            let insertion = insertion.filter(|at_ns| *at_ns < time_ns || (inclusive && *at_ns == time_ns));
            let first = [timer.as_ref().map(|(due_ns, ..)| *due_ns), retry.map(|(due_ns, ..)| due_ns), insertion];
            let Some(first_ns) = first.into_iter().flatten().min() else { return Ok(()) };
            self.advance(first_ns);
            let (partitions, _) = self.fork.parts();
            match (timer, retry) {
                (Some((due_ns, nth, id)), _) if due_ns == first_ns => {
                    if let Some(message) = partitions.all()[nth].timer_message(&id) {
                        self.handle(nth, message, None, false)?;
                    }
                }
                (_, Some((due_ns, nth, waiting))) if due_ns == first_ns => {
                    let core = &mut partitions.all()[nth];
                    if let Some(message) = core.supervisor.take_retry_where(|message| message.waiting == waiting) {
                        self.handle(nth, message, None, false)?;
                    }
                }
                _ => {
                    if let Some(Insertion { message, .. }) = self.insertions.pop_front() {
                        let nth = usize::from(partitions.placing.of(&message.path).0);
                        self.handle(nth, message, None, false)?;
                    }
                }
            }
            self.settle()?;
        }
    }

    /// The first timer due by `time_ns` that the fork has and the base has not.
    fn due_candidate(&mut self, time_ns: i64) -> Option<(i64, usize, TimerId)> {
        loop {
            let (due_ns, ..) = self.candidates.first()?;
            if *due_ns > time_ns {
                return None;
            }
            let (due_ns, nth, id) = self.candidates.pop_first()?;
            let (partitions, _) = self.fork.parts();
            let is_set = partitions.all()[nth].timers.due_ns(&id) == Some(due_ns);
            let in_base = self.base_timers.get(&(id.path.to_string(), id.name.to_string()));
            if is_set && (in_base != Some(&due_ns) || self.base_quarantined.contains(&*id.path)) {
                return Some((due_ns, nth, id));
            }
        }
    }

    /// Timers of the fork that a record of one side only has to do with.
    fn consider_timers(&mut self, nth: usize, facts: &super::script::Facts) {
        let (partitions, _) = self.fork.parts();
        let timers = &partitions.all()[nth].timers;
        let named =
            facts.timers.iter().map(|(path, name, _)| TimerId { path: (&**path).into(), name: (&**name).into() });
        let of_moved = facts.moved.iter().flat_map(|path| timers.of_twin(path));
        let found: Vec<_> = named.chain(of_moved).filter_map(|id| Some((timers.due_ns(&id)?, nth, id))).collect();
        self.candidates.extend(found);
    }

    /// The same of a twin that is in quarantine in the base only.
    fn consider_timers_of(&mut self, nth: usize, path: &str) {
        let (partitions, _) = self.fork.parts();
        let timers = &partitions.all()[nth].timers;
        let of_twin = timers.of_twin(path).into_iter();
        self.candidates.extend(of_twin.filter_map(|id| Some((timers.due_ns(&id)?, nth, id))));
    }

    // ---- records ----

    /// Takes a record that the fork has written. `key`: what its message is in the base. Answers the record of the base in whose
    /// place it is.
    fn take_done(&mut self, nth: usize, done: Done, key: Option<Key>) -> Result<Option<Recorded>, StoreError> {
        let Done { base, position, time_ns, path, selector, flags: _, facts } = done;
        if path == SYSTEM_PATH {
            return Ok(base);
        }
        self.forked.turns += 1;
        let expected = base.as_ref().and_then(|base| base.facts.fault.as_ref());
        let is_new_fault = |fault: &&twintalk_vm::Fault| {
            expected.is_none_or(|other| (&other.kind, &other.text) != (&fault.kind, &fault.text))
        };
        if let Some(fault) = facts.fault.as_ref().filter(is_new_fault) {
            self.forked.fault_count += 1;
            if self.forked.faults.len() < FAULTS_MAX {
                let (path, selector, fault) = (path.clone(), selector.clone(), fault.clone());
                self.forked.faults.push(ForkFault { time_ns, path, selector, fault });
            }
        }
        if let Some(base) = &base {
            self.note_base(nth, base)?;
            if facts.fault.is_some() {
                let at = Origin { partition: Partition(nth as u16), position: base.position };
                self.failures.insert(at, position);
            }
        }
        if base.as_ref().is_some_and(|base| base.facts.print == facts.print) {
            return Ok(base);
        }
        match &base {
            Some(base) => {
                self.forked.differing += 1;
                self.touched.extend(base.facts.changed.iter().cloned());
                self.consider_timers(nth, &base.facts);
            }
            None => {
                self.forked.added += 1;
                if let Some(key) = key {
                    self.early.entry(key).or_default().push_back(facts.print);
                }
            }
        }
        self.touched.extend(facts.changed.iter().cloned());
        self.diverged.insert(composite_of(&path).to_owned());
        self.consider_timers(nth, &facts);
        Ok(base)
    }

    /// A record of the base has none of the fork in its place, unless one came early.
    fn missed(&mut self, nth: usize, record: Recorded) -> Result<(), StoreError> {
        self.note_base(nth, &record)?;
        if record.key.path == SYSTEM_PATH {
            return Ok(());
        }
        let early = self.early.get_mut(&record.key).and_then(VecDeque::pop_front);
        match early {
            Some(print) => {
                self.forked.added -= 1;
                self.forked.differing += u64::from(print != record.facts.print);
            }
            None => self.forked.missing += 1,
        }
        self.diverged.insert(record.composite().to_owned());
        self.touched.extend(record.facts.changed.iter().cloned());
        self.consider_timers(nth, &record.facts);
        // The fork may have this timer for another time.
        if let From::Timer { name, .. } = &record.from {
            let id = TimerId { path: record.key.path.as_str().into(), name: (&**name).into() };
            let (partitions, _) = self.fork.parts();
            if let Some(due_ns) = partitions.all()[nth].timers.due_ns(&id) {
                self.candidates.insert((due_ns, nth, id));
            }
        }
        Ok(())
    }

    /// Notes what a record says of the base.
    fn note_base(&mut self, nth: usize, record: &Recorded) -> Result<(), StoreError> {
        let path = &record.key.path;
        if let From::Timer { name, due_ns, .. } = &record.from {
            let id = (path.clone(), name.to_string());
            if self.base_timers.get(&id) == Some(due_ns) {
                self.base_timers.remove(&id);
            }
        }
        for path in &record.facts.moved {
            let names = self.base_timers.range((path.clone(), String::new())..);
            let names: Vec<_> = names.map(|(id, _)| id).take_while(|id| id.0 == *path).cloned().collect();
            for id in names {
                self.base_timers.remove(&id);
            }
            self.base_quarantined.remove(path);
        }
        for (path, name, due_ns) in &record.facts.timers {
            let id = (path.clone(), name.clone());
            match due_ns {
                Some(due_ns) => self.base_timers.insert(id, *due_ns),
                None => self.base_timers.remove(&id),
            };
        }
        match record.key.selector.as_str() {
            RELEASE => drop(self.base_quarantined.remove(path)),
            QUARANTINE => {
                self.base_quarantined.insert(path.clone());
                let (partitions, _) = self.fork.parts();
                if !partitions.all()[nth].supervisor.is_quarantined(path) {
                    // What the base keeps from here on is handled here.
                    self.consider_timers_of(nth, path);
                    let held: Vec<u64> = self
                        .held
                        .iter()
                        .filter(|(_, held)| held.message.path == **path)
                        .map(|(order, _)| *order)
                        .collect();
                    for order in held {
                        if let Some(held) = self.release(order) {
                            self.keys.insert(order, Some(held.key));
                            self.ready.insert(order, (held.nth, held.message));
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    // ---- the store ----

    fn commit(&mut self) -> Result<(), LookError> {
        let (partitions, _) = self.fork.parts();
        if partitions.iter().map(|core| core.uncommitted).sum::<usize>() >= COMMIT_RECORDS {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), LookError> {
        let (partitions, _) = self.fork.parts();
        for core in partitions.iter_mut() {
            core.commit()?;
        }
        Ok(())
    }

    /// The base ran another program from this record on: so does the fork, unless it has one of its own.
    fn switch(&mut self, record: Recorded) -> Result<(), LookError> {
        self.base_program = record.program;
        if self.other_program {
            return Ok(());
        }
        let (partitions, _) = self.fork.parts();
        let core = partitions.first();
        core.program = record.program;
        let key = RowKey::new().named(Partition::SHARED, "program").clone();
        core.rows.put(Table::Meta, &key, Position::START, &record.program);
        core.push_own(&Shapes::default(), PROGRAM, record.arguments)?;
        self.script(0).done.clear();
        self.write()?;
        if record.program == self.program {
            return Ok(());
        }
        self.program = record.program;
        let (partitions, _) = self.fork.parts();
        let scripts: Vec<_> = partitions.iter_mut().map(|core| core.script.take()).collect();
        // What partitions keep has rows, which do not say what it is in the base.
        let mut known: HashMap<(usize, u64), Option<Key>> = HashMap::new();
        for (nth, core) in partitions.iter().enumerate() {
            for message in core.supervisor.kept() {
                if let (Some(number), Some(key)) = (message.waiting, self.keys.get(&message.order)) {
                    known.insert((nth, number), key.clone());
                }
            }
        }
        let (store, order) = (partitions.store.clone(), partitions.post.next_order());
        let options = OpenOptions { program: None, ..self.options.clone() };
        self.fork = System::with_store(store, ClockKind::Driven, options).map_err(look_error)?;
        // What is on its way lies here already.
        let here = |nth: usize, message: &Message, run: &Run<'_>| {
            let same = |other: &(usize, &Message)| other.0 == nth && other.1.waiting == message.waiting;
            message.waiting.is_none()
                || run.held.values().map(|held| (held.nth, &held.message)).any(|other| same(&other))
                || run.ready.values().map(|(nth, message)| (*nth, message)).any(|other| same(&other))
        };
        let mut kept = Vec::new();
        let (partitions, _) = self.fork.parts();
        partitions.post.go_on_from(order);
        for (nth, core) in partitions.iter_mut().enumerate() {
            kept.extend(std::mem::take(&mut core.queue).into_iter().map(|message| (nth, message)));
            core.sources.iter_mut().for_each(|source| source.outstanding = 0);
        }
        for (nth, script) in scripts.into_iter().enumerate() {
            partitions.all()[nth].script = script;
        }
        let on_their_way = self.held.values().map(|held| (held.nth, &held.message));
        for (nth, message) in on_their_way.chain(self.ready.values().map(|(nth, message)| (*nth, message))) {
            if let (Some((origin, _)), None) = (message.source(), message.waiting) {
                partitions.all()[nth].sources[usize::from(origin.partition.0)].outstanding += 1;
            }
        }
        let ready = &self.ready;
        self.keys.retain(|order, _| ready.contains_key(order));
        let key_of = |nth: usize, message: &Message| {
            let known = message.waiting.and_then(|number| known.get(&(nth, number)).cloned());
            known.unwrap_or_else(|| Some(Key::of(message)))
        };
        let (partitions, _) = self.fork.parts();
        for nth in 0..partitions.all().len() {
            let post = partitions.post.clone();
            for message in partitions.all()[nth].supervisor.retries_mut() {
                message.order = post.next_order();
                self.keys.insert(message.order, key_of(nth, message));
            }
        }
        kept.retain(|(nth, message)| !here(*nth, message, self));
        for (nth, message) in kept {
            let (partitions, _) = self.fork.parts();
            let order = partitions.post.next_order();
            let key = key_of(nth, &message);
            self.route(nth, Message { order, ..message }, key);
        }
        let now_ns = self.now_ns;
        self.advance(now_ns);
        Ok(())
    }
}

fn set_follows(core: &mut Core, follows: bool) {
    if let Some(script) = &mut core.script {
        script.follows = follows;
    }
}

/// What keeps a store from opening, to somebody who has a question about it.
pub(super) fn look_error(error: OpenError) -> LookError {
    match error {
        OpenError::Store(error) => LookError::Store(error),
        other => LookError::Question(other.to_string()),
    }
}
