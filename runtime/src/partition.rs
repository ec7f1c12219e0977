//! One partition: its queue, its twins, its log.
//!
//! A message is taken off the queue, run as one turn ([`turn`](crate::turn)), and leaves one record; what it sends
//! far goes to the end of the queue, or to another partition. Turns run ahead of the disk: records gather until they
//! are written, with every row that follows from them, as one batch ([`commit`](crate::commit)), and go on while that
//! is flushed. Whatever is to leave the partition is held until its batch is durable.
//!
//! A turn that needs an answer from another partition ends, and its composite is *closed*: it takes no turns, but
//! answers queries, until the answer is here and the turn has run again from its start. What the partition takes for it
//! meanwhile waits, durably if it comes from a log.
//!
//! Invariants: memory is never behind the log of this process, rows never ahead of it; a twin that
//! was made or removed gets its row in the batch of that record, so rows know every path; what a log sends is taken in
//! the order of that log, and what is taken is in a record or in the waiting list.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use twintalk_store::record::ProgramHash;
use twintalk_store::{BlockBuilder, Key, KeyRange, Partition, Position, Rows, Store, StoreError, Table};
use twintalk_vm::codec::{Errand, TimerArguments, read_timer_arguments, timer_arguments};
use twintalk_vm::turn::{Action, Outcome, RELEASE, TurnInput, first_segment};
use twintalk_vm::{Answer, FarAnswer, Fault, Limits, PROMISE_PIECE, PieceChange, Vm, World};

use crate::catalog::Catalog;
use crate::clock::{self, Clock};
use crate::commit::InFlight;
use crate::flush::Flusher;
use crate::fork::Script;
use crate::message::{DROP, FAILED, FaultReport, From, Message, QUARANTINE, TIMER, message_from_row, message_to_row};
use crate::near::{Inquiry, Near, Need, Reading, another_kind, load};
use crate::place::Placing;
use crate::post::{Parcel, Post, Question};
use crate::resident::{Residents, View};
use crate::supervision::Supervisor;
use crate::system::earlier_program;
use crate::timers::{TimerId, Timers};
use crate::turn::Attempt;

/// How long an answer of another partition may take, unless the opener says otherwise.
pub(crate) const QUERY_LIMIT: Duration = Duration::from_secs(10);

/// What leaves a partition.
#[derive(Clone, Debug)]
pub(crate) enum Leaving {
    Output(String),
    Fault(FaultReport),
}

/// What is done around every turn, so that tests see what otherwise only a restart would show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Discipline {
    /// Nothing.
    #[default]
    Normal,
    /// After every turn the twins it met are replayed from the log; that state takes the place of the one in memory.
    Replay,
    /// Before every turn all twins are written out and forgotten.
    Reload,
}

/// What happened to one message.
pub(crate) type Reply = Result<Vec<u8>, Fault>;

/// How far this partition has taken what the log of another, or its own, sends to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// The next thing to be taken: the record, and its index among what leaves that.
    pub taken: (Position, u32),
    /// Whether its row is behind.
    pub changed: bool,
    /// How many things are here and not taken yet.
    pub outstanding: usize,
}

/// A composite whose turn waits for an answer.
pub(crate) struct Closed {
    /// The turn.
    pub attempt: Attempt,
    /// What has come for the composite meanwhile, in order.
    waiting: VecDeque<Message>,
}

/// Who waits for an answer from another partition.
enum Asker {
    /// The turn of a closed composite.
    Turn(String),
    /// A query that somebody outside waits for.
    Outside(Box<Attempt>),
    /// A far query of another partition, which led on to a third.
    Question(Box<(Question, Inquiry)>),
}

impl Asker {
    fn inquiry<'a>(&'a mut self, closed: &'a mut FxHashMap<String, Closed>) -> Option<&'a mut Inquiry> {
        match self {
            Asker::Turn(composite) => closed.get_mut(composite).map(|closed| &mut closed.attempt.inquiry),
            Asker::Outside(attempt) => Some(&mut attempt.inquiry),
            Asker::Question(waiting) => Some(&mut waiting.1),
        }
    }
}

/// Who waits for answers, and for how many.
struct Asking {
    asker: Asker,
    left: usize,
}

/// An answer that is awaited.
struct Awaited {
    /// The number of who asks.
    asking: u64,
    need: Need,
    /// When it counts as lost.
    deadline: Instant,
}

/// How many records of all partitions of a thread one batch may hold: a program can cause any number of turns before it
/// next waits.
pub(crate) const BATCH_RECORDS_MAX: usize = 8192;
/// How many records an idle disk is given: what one costs by itself no longer counts among so many.
pub(crate) const AHEAD_RECORDS: usize = 64;

/// A partition, but for its VM.
pub(crate) struct Core {
    pub partition: Partition,
    pub placing: Placing,
    pub store: Arc<dyn Store>,
    pub post: Arc<Post>,
    pub flusher: Arc<Flusher>,
    pub(crate) catalog: Arc<Catalog>,
    /// Whether rows say which twins each prototype has.
    pub(crate) is_indexed: bool,
    pub(crate) reading: Reading,
    pub residents: Residents,
    pub clock: Clock,
    pub timers: Timers,
    pub limits: Limits,
    pub program: ProgramHash,
    /// How long an answer of another partition may take.
    pub query_limit: Duration,
    /// How many records may wait for one write.
    pub batch_records_max: usize,
    /// From how many on they are written while the disk is idle, so that who waits for them need not wait for more.
    pub ahead_records: usize,
    pub(crate) builder: BlockBuilder,
    pub(crate) rows: Rows,
    /// Paths made or removed since the last commit: their rows are due.
    pub(crate) moved: BTreeSet<String>,
    pub queue: VecDeque<Message>,
    pub(crate) replies: FxHashMap<u64, Reply>,
    /// Failed far sends of the program for which it has not waited yet, by ticket.
    pub(crate) unclaimed: BTreeMap<u64, FaultReport>,
    /// What is to leave for the outside, each with its place in the order of all partitions.
    pub(crate) leaving: Vec<(u64, Leaving)>,
    /// What leaves for other partitions, once what caused it is durable.
    pub(crate) outbox: Vec<(Partition, Parcel)>,
    /// The same of what is being flushed.
    pub(crate) in_flight: Option<InFlight>,
    /// What may leave for the outside now.
    pub(crate) released: Vec<(u64, Leaving)>,
    /// Up to which number the messages of each outside sender were taken.
    pub(crate) taken: FxHashMap<String, u64>,
    pub(crate) taken_changed: BTreeSet<String>,
    /// By partition.
    pub(crate) sources: Vec<Source>,
    pub(crate) closed: FxHashMap<String, Closed>,
    pub(crate) supervisor: Supervisor,
    awaited: BTreeMap<u64, Awaited>,
    asking: BTreeMap<u64, Asking>,
    /// How often a turn or a query began again, since answers of other partitions had come.
    pub(crate) begun_again: u64,
    next_question: u64,
    pub(crate) next_waiting: u64,
    /// The last record pushed.
    pub(crate) last_record: Position,
    pub(crate) last_time_ns: i64,
    /// Records that are not committed yet.
    pub uncommitted: usize,
    /// Whether something was written for which no flush was asked yet.
    pub(crate) unflushed: bool,
    /// How many records this process has written.
    pub records: u64,
    pub discipline: Discipline,
    /// The twins that the last turn's record lists.
    pub(crate) met: Vec<String>,
    /// In a fork: what the base recorded.
    pub(crate) script: Option<Box<Script>>,
}

impl Core {
    /// A partition at the end of its log; memory is empty until `recover` has run.
    pub fn new(
        partition: Partition,
        store: Arc<dyn Store>,
        post: Arc<Post>,
        flusher: Arc<Flusher>,
        clock: Clock,
        program: ProgramHash,
    ) -> Result<Core, StoreError> {
        let end = store.end(partition)?;
        let partitions = store.settings().partitions;
        let source = Source { taken: (Position::FIRST, 0), changed: false, outstanding: 0 };
        Ok(Core {
            partition,
            placing: Placing { partitions },
            is_indexed: false,
            reading: Reading::default(),
            store,
            post,
            flusher,
            catalog: Arc::default(),
            residents: Residents::default(),
            clock,
            timers: Timers::default(),
            limits: Limits::default(),
            program,
            query_limit: QUERY_LIMIT,
            batch_records_max: BATCH_RECORDS_MAX,
            ahead_records: AHEAD_RECORDS,
            builder: BlockBuilder::new(partition, end),
            rows: Rows::new(),
            moved: BTreeSet::new(),
            queue: VecDeque::new(),
            replies: FxHashMap::default(),
            unclaimed: BTreeMap::new(),
            leaving: Vec::new(),
            outbox: Vec::new(),
            in_flight: None,
            released: Vec::new(),
            taken: FxHashMap::default(),
            taken_changed: BTreeSet::new(),
            sources: vec![source; usize::from(partitions)],
            closed: FxHashMap::default(),
            supervisor: Supervisor::default(),
            awaited: BTreeMap::new(),
            asking: BTreeMap::new(),
            begun_again: 0,
            next_question: 1,
            next_waiting: 1,
            last_record: Position::START,
            last_time_ns: i64::MIN,
            uncommitted: 0,
            unflushed: false,
            records: 0,
            discipline: Discipline::default(),
            met: Vec::new(),
            script: None,
        })
    }

    // ---- messages ----

    /// Queues a message from outside all partitions.
    pub fn enqueue(&mut self, mut message: Message) {
        message.order = self.post.next_order();
        self.queue.push_back(message);
    }

    /// Queues what a log has sent to this partition.
    pub fn receive(&mut self, message: Message) {
        let (origin, _) = message.source().expect("only what a log has sent is received");
        self.sources[usize::from(origin.partition.0)].outstanding += 1;
        // What was queued later may be here already.
        let place = self.queue.iter().rposition(|other| other.order <= message.order).map_or(0, |nth| nth + 1);
        self.queue.insert(place, message);
    }

    /// Whether the reply of a message is there.
    pub fn has_reply(&self, ticket: u64) -> bool {
        self.replies.contains_key(&ticket)
    }

    /// Whether memory has a twin at `path`; if not, there may be one all the same.
    pub fn is_in_memory(&self, path: &str) -> bool {
        self.residents.find(path).is_some_and(|handle| self.residents.exists_at(handle))
    }

    /// Whether there is a twin at `path`.
    pub fn exists(&mut self, path: &str) -> Result<bool, StoreError> {
        let handle = load(&mut self.residents, &*self.store, self.partition, path)?;
        Ok(handle.is_some_and(|handle| self.residents.exists_at(handle)))
    }

    /// What is known of `path`, which is in memory then.
    pub(crate) fn known<'a>(&'a mut self, path: &'a str) -> Result<Option<View<'a>>, StoreError> {
        let handle = load(&mut self.residents, &*self.store, self.partition, path)?;
        Ok(handle.map(|handle| self.residents.at(handle, path)))
    }

    /// Takes the reply of a message that was handled.
    pub fn take_reply(&mut self, ticket: u64) -> Option<Reply> {
        self.unclaimed.remove(&ticket);
        self.replies.remove(&ticket)
    }

    /// The program has ended: failures that it did not wait for are reported.
    pub fn report_unclaimed(&mut self) {
        for report in std::mem::take(&mut self.unclaimed).into_values() {
            self.let_out(Leaving::Fault(report));
        }
        self.replies.clear();
    }

    /// Holds back what is to leave for the outside.
    pub(crate) fn let_out(&mut self, what: Leaving) {
        let order = self.post.next_order();
        self.leaving.push((order, what));
    }

    /// Takes what lies in the mailbox: messages are queued, questions answered, answers given to those who wait.
    /// Answers whether there was something.
    pub fn take_in(&mut self, vm: &mut Vm) -> Result<bool, StoreError> {
        let parcels = self.post.take(self.partition);
        let some = !parcels.is_empty();
        for parcel in parcels {
            match parcel {
                Parcel::Message(message) => self.receive(message),
                Parcel::Question(question) => {
                    let inquiry = Inquiry::new(question.depth, question.fuel);
                    self.answer_question(vm, question, inquiry)?;
                }
                Parcel::Answer { number, answer, fuel_used } => self.take_answer(vm, number, answer, fuel_used)?,
            }
        }
        Ok(some)
    }

    /// Whether some message is tried again later.
    pub fn has_retries(&self) -> bool {
        self.supervisor.has_retries()
    }

    /// When the first timer is due, or the first message to be tried again; and whose that is: the twin, and the
    /// timer's name.
    pub fn first_due(&self) -> Option<(i64, &str, &str)> {
        let timer = self.timers.first().map(|(due_ns, id)| (due_ns, &*id.path, &*id.name));
        let retry = self.supervisor.first_retry().map(|(due_ns, message)| (due_ns, &*message.path, ""));
        timer.into_iter().chain(retry).min()
    }

    /// The message of the first timer whose time has come, or the first to be tried again. Its row goes with the record
    /// of its turn.
    pub fn due_message(&mut self, now_ns: i64) -> Option<Message> {
        let (due_ns, _, name) = self.first_due()?;
        if due_ns > now_ns {
            return None;
        }
        if name.is_empty() {
            return self.supervisor.take_retry();
        }
        let (_, id) = self.timers.first()?;
        let id = id.clone();
        self.timer_message(&id)
    }

    /// The message of a timer that is set, as if its time had come. Its row goes with the record of its turn.
    pub(crate) fn timer_message(&mut self, id: &TimerId) -> Option<Message> {
        let timer = self.timers.cancel(id)?;
        let due_ns = timer.due_ns;
        let from = From::Timer { name: (&*id.name).into(), due_ns, life: 0 };
        let errand = Errand::from_bytes(&timer.errand);
        let arguments = timer_arguments(&TimerArguments { name: &id.name, due_ns, program: None, errand });
        Some(Message::new(&id.path, TIMER, arguments, from))
    }

    /// Handles one message, around which the discipline does what it does.
    pub fn handle_next(&mut self, vm: &mut Vm, message: Message) -> Result<(), StoreError> {
        if self.discipline == Discipline::Reload {
            self.checkpoint()?;
            self.residents.drop_clean();
        }
        self.handle(vm, message)?;
        if self.discipline == Discipline::Replay {
            self.replay_met(vm)?;
        }
        Ok(())
    }

    /// Whether the twin at `path` waits for the reply to its message of this number.
    fn waits_for(&mut self, vm: &Vm, path: &str, number: u64) -> Result<bool, StoreError> {
        if !self.exists(path)? {
            return Ok(false);
        }
        let (pieces, store) = (&mut self.residents.pieces, &*self.store);
        if pieces.load(store, self.partition, path, PROMISE_PIECE | number)?.is_some() {
            return Ok(true);
        }
        let view = self.residents.get(path);
        // A damaged image is for the turn to refuse.
        Ok(view.is_some_and(|view| vm.shapes().waits_for(view.image, number).unwrap_or(true)))
    }

    /// A timer that the definition has no longer is one of the newest program that had it.
    fn find_program_of_timer(&mut self, vm: &mut Vm, message: &mut Message) -> Result<(), StoreError> {
        let From::Timer { name, due_ns, .. } = &message.from else { return Ok(()) };
        let has_errand = read_timer_arguments(&message.arguments).is_some_and(|timer| timer.errand.is_some());
        if has_errand || !self.exists(&message.path)? {
            return Ok(());
        }
        let view = self.residents.get(&message.path).filter(|view| vm.lacks_timer(view.image, name));
        let Some(view) = view else { return Ok(()) };
        let mut found = None;
        crate::replay::programs(&*self.store, |hash| {
            if hash != self.program
                && let Some(program) = earlier_program(&*self.store, &hash)?
                && vm.had_timer(view.image, name, hash, &program)
            {
                found = Some(hash);
            }
            Ok(found.is_none())
        })?;
        if let Some(program) = found {
            let timer = TimerArguments { name, due_ns: *due_ns, program: Some(program), errand: None };
            message.arguments = timer_arguments(&timer);
        }
        Ok(())
    }

    /// Whether a timer's twin was removed while it came due or waited, also if another is there now.
    pub(crate) fn outlives_its_twin(&mut self, message: &mut Message) -> Result<bool, StoreError> {
        let From::Timer { life, .. } = &mut message.from else { return Ok(false) };
        let Some(view) = self.known(&message.path)?.filter(|view| view.exists) else { return Ok(true) };
        if *life == 0 {
            *life = view.life;
        }
        Ok(*life != view.life)
    }

    /// Handles one message: a query, or a turn with its record.
    pub fn handle(&mut self, vm: &mut Vm, mut message: Message) -> Result<(), StoreError> {
        self.find_program_of_timer(vm, &mut message)?;
        if self.outlives_its_twin(&mut message)? {
            self.take_from_source(&message);
            return Ok(());
        }
        match &message.from {
            // What lives there now waits for others.
            From::Reply { number, .. } if !self.waits_for(vm, &message.path, *number)? => {
                self.take_from_source(&message);
                self.unblock(&message);
                return Ok(());
            }
            From::Outside { name, number }
                if *number > 0 && message.waiting.is_none() && self.taken_of(name)? >= *number =>
            {
                // Taken before: its record is there, and it is not run again.
                if let Some(ticket) = message.ticket {
                    self.replies.insert(ticket, Ok(vec![0]));
                }
                return Ok(());
            }
            From::Program
            | From::Outside { .. }
            | From::Twin { .. }
            | From::Reply { .. }
            | From::Timer { .. }
            | From::Supervisor { .. }
            | From::System => {}
        }
        let asks_only = !message.far && matches!(message.from, From::Program | From::Outside { number: 0, .. });
        if asks_only && self.is_query(vm, &message)? {
            if let Some(kind) = &message.kind
                && let Some(fault) = self.of_another_kind(vm, &message.path, kind)?
            {
                if let Some(ticket) = message.ticket {
                    self.replies.insert(ticket, Err(fault));
                }
                return Ok(());
            }
            let attempt = Attempt::of_query(message, self.clock.now_ns(), self.limits.fuel);
            return self.answer_outside(vm, attempt);
        }
        let Some(message) = self.hold_back(message)? else { return Ok(()) };
        if self.closed.contains_key(first_segment(&message.path)) {
            return self.put_aside(message);
        }
        if matches!(&*message.selector, RELEASE | DROP | QUARANTINE) {
            return self.note(vm, message);
        }
        if let Some(kind) = &message.kind
            && let Some(fault) = self.of_another_kind(vm, &message.path, kind)?
        {
            return self.fail(vm, message, fault);
        }
        self.run(vm, message)
    }

    // ---- what a log has sent ----

    /// Notes that a message is in a record, or in the waiting list.
    pub(crate) fn take_from_source(&mut self, message: &Message) {
        let mut key = Key::new();
        if let Some(number) = message.waiting {
            let composite = first_segment(&message.path);
            self.rows.delete(Table::Waiting, key.waiting(self.partition, composite, number));
            return;
        }
        match &message.from {
            From::Twin { origin, nth, .. } | From::Reply { origin, nth, .. } => {
                let source = &mut self.sources[usize::from(origin.partition.0)];
                source.taken = (origin.position, nth + 1);
                source.changed = true;
                source.outstanding -= 1;
            }
            From::Outside { name, number } if *number > 0 => {
                match self.taken.get_mut(&**name) {
                    Some(taken) => *taken = *number,
                    None => {
                        self.taken.insert(name.to_string(), *number);
                    }
                }
                if !self.taken_changed.contains(&**name) {
                    self.taken_changed.insert(name.to_string());
                }
            }
            From::Timer { name, due_ns, .. } => {
                self.rows.delete(Table::Timers, key.timer(self.partition, *due_ns, &message.path, name));
            }
            // A letter that is sent again or dropped is one no longer.
            From::Supervisor { origin } if !matches!(&*message.selector, QUARANTINE | FAILED) => {
                self.rows.delete(Table::DeadLetters, key.dead_letter(self.partition, origin.position));
            }
            From::Program | From::Outside { .. } | From::Supervisor { .. } | From::System => {}
        }
    }

    /// Lets in a message that waits for its first turn: it gets its row in the waiting list, and if no record has it, one that
    /// does, since rows can be lost.
    pub(crate) fn let_in(&mut self, message: Message) -> Result<Message, StoreError> {
        let is_in_no_log = message.waiting.is_none()
            && matches!(message.from, From::Outside { number: 1.., .. } | From::Program | From::System);
        if is_in_no_log {
            self.push_waits(&message_to_row(&message))?;
        }
        Ok(self.keep(message))
    }

    /// Gives a message that waits its row in the waiting list, which says how it stands now.
    pub(crate) fn keep(&mut self, message: Message) -> Message {
        let number = message.waiting.unwrap_or_else(|| {
            self.take_from_source(&message);
            self.next_waiting += 1;
            self.next_waiting - 1
        });
        let composite = first_segment(&message.path);
        let mut key = Key::new();
        let key = key.waiting(self.partition, composite, number);
        self.rows.put(Table::Waiting, key, self.last_record, &message_to_row(&message));
        Message { waiting: Some(number), ..message }
    }

    /// A message for a closed composite waits until that is open again.
    fn put_aside(&mut self, mut message: Message) -> Result<(), StoreError> {
        self.secure(&mut message)?;
        let composite = first_segment(&message.path);
        if let Some(closed) = self.closed.get_mut(composite) {
            closed.waiting.push_back(message);
        }
        Ok(())
    }

    /// Gives a message that has been let in and has no record yet a row of its own, since others pass it.
    fn secure(&mut self, message: &mut Message) -> Result<(), StoreError> {
        // What the system sends makes the twin that others behind it are for.
        let is_kept = matches!(message.from, From::Outside { number: 1.., .. } | From::System);
        if message.waiting.is_none() && (message.source().is_some() || is_kept) {
            *message = self.let_in(message.clone())?;
        }
        Ok(())
    }

    /// Takes a message that waited when the process before ended, and whose row is lost.
    pub(crate) fn wait_again(&mut self, message: Message) {
        if let Some((origin, _)) = message.source() {
            self.sources[usize::from(origin.partition.0)].outstanding += 1;
        }
        // A twin in quarantine is not tried again.
        let quarantined = self.supervisor.is_quarantined(&message.path);
        let due_ns = message.due_ns.filter(|_| !quarantined);
        let passed = message.passed || quarantined;
        let message = self.keep(Message { due_ns, passed, ..message });
        if message.due_ns.is_some() {
            self.await_retry(message);
        } else {
            let order = self.post.next_order();
            self.queue.push_back(Message { order, ..message });
        }
    }

    /// Queues what waited when the process before ended.
    pub fn load_waiting(&mut self) -> Result<(), StoreError> {
        let mut waiting = Vec::new();
        let store = self.store.clone();
        for row in store.scan(Table::Waiting, &KeyRange::partition(self.partition))? {
            let (key, row) = row?;
            let number = key.bytes().last_chunk().map(|number| u64::from_be_bytes(*number));
            let Some((number, message)) = number.zip(message_from_row(&row.bytes)) else {
                return Err(StoreError::Corrupt {
                    at: twintalk_store::Place::Row { table: Table::Waiting, key: key.bytes().to_vec() },
                    reason: twintalk_store::Corruption::Row("a waiting message that is none"),
                });
            };
            self.next_waiting = self.next_waiting.max(number + 1);
            if !self.goes_on_waiting(number, &message) {
                waiting.push((number, message));
            }
        }
        waiting.sort_by_key(|(number, _)| *number);
        for (number, message) in waiting {
            let message = Message { waiting: Some(number), order: self.post.next_order(), ..message };
            if message.due_ns.is_some() {
                self.await_retry(message);
            } else {
                self.queue.push_back(message);
            }
        }
        Ok(())
    }

    // ---- closed composites ----

    /// Closes the composite of a turn that needs answers, and asks for them.
    pub(crate) fn close(&mut self, mut attempt: Attempt, needs: Vec<Need>) -> Result<(), StoreError> {
        self.secure(&mut attempt.message)?;
        let composite = first_segment(&attempt.message.path).to_owned();
        self.ask(Asker::Turn(composite.clone()), needs);
        self.closed.insert(composite, Closed { attempt, waiting: VecDeque::new() });
        Ok(())
    }

    /// Asks for all that is needed; who asks goes on when the last of the answers is here.
    fn ask(&mut self, asker: Asker, needs: Vec<Need>) {
        assert!(!needs.is_empty(), "what cannot be answered yet needs something");
        let asking = self.next_question;
        self.asking.insert(asking, Asking { asker, left: needs.len() });
        for need in needs {
            let number = self.next_question;
            self.next_question += 1;
            let (query, depth, fuel) = (need.query.clone(), need.depth, need.fuel);
            self.post
                .deliver(need.to, Parcel::Question(Question { asker: self.partition, number, query, depth, fuel }));
            self.awaited.insert(number, Awaited { asking, need, deadline: clock::deadline(self.query_limit) });
        }
    }

    /// When the first awaited answer counts as lost.
    pub fn first_deadline(&self) -> Option<Instant> {
        self.awaited.values().map(|awaited| awaited.deadline).min()
    }

    /// Gives up on the answers whose time has run out.
    pub fn expire(&mut self, vm: &mut Vm) -> Result<(), StoreError> {
        let late = |awaited: &Awaited| clock::is_past(awaited.deadline);
        let late: Vec<u64> = self.awaited.iter().filter(|(_, one)| late(one)).map(|(number, _)| *number).collect();
        for number in late {
            let Some(awaited) = self.awaited.get(&number) else { continue };
            let query = &awaited.need.query;
            let composite = first_segment(&query.path).to_owned();
            let text = format!("`{}` to {} was not answered within {:?}", query.selector, query.path, self.query_limit);
            let fault = Fault { kind: "Unreachable".to_owned(), text, trace: Vec::new() };
            self.take_answer(vm, number, FarAnswer { composite, turn: 0, reply: Err(fault) }, 0)?;
        }
        Ok(())
    }

    /// Goes on with what waited for the answer; one that comes too late finds nobody.
    fn take_answer(&mut self, vm: &mut Vm, number: u64, answer: FarAnswer, fuel_used: i64) -> Result<(), StoreError> {
        let Some(Awaited { asking, need, .. }) = self.awaited.remove(&number) else { return Ok(()) };
        let Some(who) = self.asking.get_mut(&asking) else { return Ok(()) };
        if let Some(inquiry) = who.asker.inquiry(&mut self.closed) {
            inquiry.learn(need, answer, fuel_used);
        }
        who.left -= 1;
        if who.left > 0 {
            return Ok(());
        }
        let Some(Asking { asker, .. }) = self.asking.remove(&asking) else { return Ok(()) };
        self.begun_again += 1;
        match asker {
            Asker::Turn(composite) => {
                let Some(Closed { attempt, waiting }) = self.closed.remove(&composite) else { return Ok(()) };
                self.attempt(vm, attempt)?;
                match self.closed.get_mut(&composite) {
                    Some(closed) => closed.waiting = waiting,
                    None => waiting.into_iter().rev().for_each(|message| self.put_first(message)),
                }
                if self.discipline == Discipline::Replay {
                    self.replay_met(vm)?;
                }
                Ok(())
            }
            Asker::Outside(attempt) => self.answer_outside(vm, *attempt),
            Asker::Question(waiting) => {
                let (question, inquiry) = *waiting;
                self.answer_question(vm, question, inquiry)
            }
        }
    }

    // ---- queries ----

    /// Answers a query of another partition, or asks on.
    fn answer_question(&mut self, vm: &mut Vm, question: Question, mut inquiry: Inquiry) -> Result<(), StoreError> {
        let now_ns = self.clock.now_ns();
        let (answer, needs) = self.with_world(&mut inquiry, now_ns, |world| world.far_query(vm, &question.query))?;
        match answer {
            Answer::Here(answer) => {
                let fuel_used = question.fuel - inquiry.fuel;
                let parcel = Parcel::Answer { number: question.number, answer, fuel_used };
                // It may tell of what is not durable yet.
                let waits = self.uncommitted > 0 || self.unflushed || self.in_flight.is_some();
                self.leave_for(question.asker, parcel, waits);
                Ok(())
            }
            Answer::NotYet => {
                self.ask(Asker::Question(Box::new((question, inquiry))), needs);
                Ok(())
            }
        }
    }

    /// Holds a parcel back until what is committed so far is durable, if it has to wait for that.
    pub(crate) fn leave_for(&mut self, to: Partition, parcel: Parcel, waits: bool) {
        if waits && !self.is_durable_at_once() {
            self.outbox.push((to, parcel));
        } else {
            self.post.deliver(to, parcel);
        }
    }

    /// The fault of a message to a twin that is not of the kind its sender takes it to be.
    fn of_another_kind(&mut self, vm: &Vm, path: &str, kind: &str) -> Result<Option<Fault>, StoreError> {
        let view = self.known(path)?.filter(|view| view.exists);
        Ok(view.filter(|view| !vm.is_of_kind(view.image, kind)).map(|view| another_kind(vm, view.image, path, kind)))
    }

    /// Whether the message is one that the twin answers as a query.
    fn is_query(&mut self, vm: &Vm, message: &Message) -> Result<bool, StoreError> {
        let Some(view) = self.known(&message.path)?.filter(|view| view.exists) else { return Ok(false) };
        Ok(vm.answers_as_query(view.image, &message.selector))
    }

    /// Answers a query that a program or somebody outside waits for.
    fn answer_outside(&mut self, vm: &mut Vm, mut attempt: Attempt) -> Result<(), StoreError> {
        let turn = self.turn_of(first_segment(&attempt.message.path))?.0;
        let limits = self.limits;
        let Attempt { message, now_ns, answers, inquiry, .. } = &mut attempt;
        let input = TurnInput {
            path: &message.path,
            action: Action::Message { selector: &message.selector, arguments: &message.arguments },
            query: true,
            wants_reply: true,
            turn,
            now_ns: *now_ns,
            seed: *now_ns as u64 ^ turn,
            answers,
            limits,
        };
        let (end, needs) = self.with_world(inquiry, *now_ns, |world| vm.run_turn(world, &input))?;
        let reply = match end.outcome {
            Outcome::Done { reply, effects } => {
                if !effects.output.is_empty() {
                    self.let_out(Leaving::Output(effects.output));
                }
                Ok(reply)
            }
            Outcome::Failed(fault) => Err(fault),
            Outcome::Needs => {
                attempt.runs_again(end.answers, end.fuel_used);
                self.ask(Asker::Outside(Box::new(attempt)), needs);
                return Ok(());
            }
        };
        if let Some(ticket) = attempt.message.ticket {
            self.replies.insert(ticket, reply);
        }
        Ok(())
    }

    /// Calls `work` with the world as a turn of this partition sees it; answers also what it needs of others.
    pub(crate) fn with_world<T>(
        &mut self,
        inquiry: &mut Inquiry,
        now_ns: i64,
        work: impl FnOnce(&mut Near<'_>) -> T,
    ) -> Result<(T, Vec<Need>), StoreError> {
        let mut world = Near {
            residents: &mut self.residents,
            catalog: &self.catalog,
            is_indexed: self.is_indexed,
            reading: &mut self.reading,
            store: &*self.store,
            partition: self.partition,
            placing: self.placing,
            moved: &self.moved,
            supervisor: &self.supervisor,
            limits: self.limits,
            now_ns,
            inquiry,
            needs: Vec::new(),
            needed: FxHashSet::default(),
            error: None,
        };
        let result = work(&mut world);
        let Near { needs, error, .. } = world;
        match error {
            None => Ok((result, needs)),
            Some(error) => Err(error),
        }
    }

    /// The last turn and the life of a composite.
    pub(crate) fn turn_of(&mut self, composite: &str) -> Result<(u64, u64), StoreError> {
        Ok(self.known(composite)?.map_or((0, 0), |view| (view.turn, view.life)))
    }

    // ---- timers ----

    pub(crate) fn set_timer(&mut self, id: TimerId, due_ns: i64, errand: &[u8], position: Position) {
        let mut key = Key::new();
        if let Some(before) = self.timers.set(id.clone(), due_ns, errand) {
            self.rows.delete(Table::Timers, key.timer(self.partition, before, &id.path, &id.name));
        }
        self.rows.put(Table::Timers, key.timer(self.partition, due_ns, &id.path, &id.name), position, errand);
    }

    pub(crate) fn unset_timer(&mut self, id: &TimerId) {
        if let Some(before) = self.timers.cancel(id) {
            self.rows.delete(Table::Timers, Key::new().timer(self.partition, before.due_ns, &id.path, &id.name));
        }
    }

    /// Reads the timers that are set.
    pub fn load_timers(&mut self) -> Result<(), StoreError> {
        for row in self.store.scan(Table::Timers, &KeyRange::partition(self.partition))? {
            let (key, row) = row?;
            let (Some(due_ns), Some((path, name))) = (key.due_ns(), key.timer_names()) else { continue };
            self.timers.set(TimerId { path: path.into(), name: name.into() }, due_ns, &row.bytes);
        }
        Ok(())
    }

    // ---- tests ----

    /// Puts what the log says in the place of every twin that the last turn met.
    fn replay_met(&mut self, vm: &mut Vm) -> Result<(), StoreError> {
        if self.uncommitted > 0 {
            self.write(false)?;
        }
        for path in std::mem::take(&mut self.met) {
            let replayed = crate::replay::newest(self, vm, &path)?;
            let Some(view) = self.residents.get(&path) else { continue };
            let live = view.exists.then(|| view.image.to_vec());
            let (image, pieces) = match replayed {
                Some(replayed) => (Some(replayed.image), replayed.pieces),
                None => (None, BTreeMap::new()),
            };
            assert_eq!(live, image, "replay of {path} differs from what its turns left");
            for (number, live) in self.residents.pieces.of_twin(&path) {
                let replayed = pieces.get(&number).map(Vec::as_slice);
                assert_eq!(live, replayed, "replay of piece {number} of {path} differs from what its turns left");
            }
            if let Some(image) = image {
                let (life, last, turn) = (view.life, view.last, view.turn);
                self.residents.put(&View { path: &path, dirty: true, exists: true, life, last, turn, image: &image });
                // A promise that memory does not know has a row, and would be taken for a new one.
                let known = &self.residents.pieces;
                let is_known = |number: &u64| number & PROMISE_PIECE == 0 || known.get(&path, *number).is_some();
                let pieces = pieces.into_iter().filter(|(number, _)| is_known(number));
                let pieces = pieces.map(|(number, bytes)| PieceChange { number, bytes: Some(bytes) });
                let pieces: Vec<PieceChange> = pieces.collect();
                self.residents.pieces.take(&path, &pieces);
            }
        }
        Ok(())
    }
}
