//! One partition: its queue, its twins, its log.
//!
//! A message is taken off the queue, run as one turn, and leaves one record; what it sends far goes
//! to the end of the queue. Turns run ahead of the disk: records gather until [`Core::commit`]
//! writes them, with every row that follows from them, as one batch. Whatever is to leave the
//! partition (replies, output, reports of faults) is held until that batch is durable.
//!
//! Invariants: memory is never behind the log of this process, rows never ahead of it; a twin that
//! was made or removed gets its row in the batch of that record, so rows know every path; far sends
//! are taken in the order of the log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rustc_hash::FxHashMap;
use twintalk_store::record::{self, Envelope, Failure, Flags, Input, Origin, ProgramHash, Record};
use twintalk_store::{
    Batch, BlockBuilder, Durability, Key, KeyRange, Partition, Position, Rows, Store, StoreError, Table,
};
use twintalk_vm::codec::{symbol_argument, timer_arguments};
use twintalk_vm::turn::{Action, Effects, Outcome, TurnEnd, TurnInput, TwinChange, first_segment};
use twintalk_vm::{FarAnswer, Fault, Limits, Shapes, Vm};

use crate::clock::Clock;
use crate::message::{
    FaultReport, From, Message, PROGRAM, REARM, SYSTEM_PATH, TIMER, action, cause, encode_answer, report,
};
use crate::near::{Near, another_kind, load};
use crate::program::{self, Program};
use crate::resident::{Residents, View, write_row};
use crate::timers::{TimerId, Timers};

/// How many records one batch may hold: a program can cause any number of turns before it next waits.
const BATCH_RECORDS_MAX: usize = 8192;
/// What leaves a partition, in order.
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

/// A partition, but for its VM.
pub(crate) struct Core {
    pub partition: Partition,
    pub store: Box<dyn Store>,
    pub residents: Residents,
    pub clock: Clock,
    pub timers: Timers,
    pub limits: Limits,
    pub program: ProgramHash,
    builder: BlockBuilder,
    rows: Rows,
    /// Paths made or removed since the last commit: their rows are due.
    moved: BTreeSet<String>,
    pub queue: VecDeque<Message>,
    replies: FxHashMap<u64, Reply>,
    /// Failed far sends of the program for which it has not waited yet, by ticket.
    unclaimed: BTreeMap<u64, FaultReport>,
    next_ticket: u64,
    leaving: Vec<Leaving>,
    /// Up to which number the messages of each outside sender were taken.
    taken: FxHashMap<String, u64>,
    taken_changed: BTreeSet<String>,
    /// The next far send of this partition's own log to be taken: record, and index among its sends.
    taken_self: (Position, u32),
    taken_self_changed: bool,
    /// How many far sends of this partition's own log are not taken yet.
    outstanding: usize,
    /// The last record pushed.
    last_record: Position,
    last_time_ns: i64,
    /// Records that are not committed yet.
    pub uncommitted: usize,
    /// Whether something was committed that is not flushed yet.
    unflushed: bool,
    /// How many records this process has written.
    pub records: u64,
    pub discipline: Discipline,
    /// The twins that the last turn's record lists.
    met: Vec<String>,
}

impl Core {
    /// A partition at the end of its log; memory is empty until `recover` has run.
    pub fn new(
        partition: Partition,
        store: Box<dyn Store>,
        clock: Clock,
        program: ProgramHash,
    ) -> Result<Core, StoreError> {
        let end = store.end(partition)?;
        Ok(Core {
            partition,
            store,
            residents: Residents::default(),
            clock,
            timers: Timers::default(),
            limits: Limits::default(),
            program,
            builder: BlockBuilder::new(partition, end),
            rows: Rows::new(),
            moved: BTreeSet::new(),
            queue: VecDeque::new(),
            replies: FxHashMap::default(),
            unclaimed: BTreeMap::new(),
            next_ticket: 1,
            leaving: Vec::new(),
            taken: FxHashMap::default(),
            taken_changed: BTreeSet::new(),
            taken_self: (Position::FIRST, 0),
            taken_self_changed: false,
            outstanding: 0,
            last_record: Position::START,
            last_time_ns: i64::MIN,
            uncommitted: 0,
            unflushed: false,
            records: 0,
            discipline: Discipline::default(),
            met: Vec::new(),
        })
    }

    // ---- messages ----

    /// Queues a message for whose reply somebody waits; answers the ticket.
    pub fn ask(&mut self, path: &str, selector: &str, arguments: &[u8], from: From) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.queue.push_back(Message {
            path: path.to_owned(),
            selector: selector.to_owned(),
            arguments: arguments.to_owned(),
            from,
            device_time_ns: None,
            ticket: Some(ticket),
            kind: None,
            far: false,
        });
        ticket
    }

    /// Queues a far send of a program; answers the number of its promise.
    pub fn ask_far(&mut self, path: &str, selector: &str, arguments: &[u8]) -> u64 {
        let ticket = self.ask(path, selector, arguments, From::Program);
        if let Some(message) = self.queue.back_mut() {
            message.far = true;
        }
        ticket
    }

    /// Whether the reply of a message is there.
    pub fn has_reply(&self, ticket: u64) -> bool {
        self.replies.contains_key(&ticket)
    }

    /// Whether there is a twin at `path`.
    pub fn exists(&mut self, path: &str) -> Result<bool, StoreError> {
        load(&mut self.residents, &*self.store, self.partition, path)?;
        Ok(self.residents.get(path).is_some_and(|view| view.exists))
    }

    /// Takes the reply of a message that was handled.
    pub fn take_reply(&mut self, ticket: u64) -> Option<Reply> {
        self.unclaimed.remove(&ticket);
        self.replies.remove(&ticket)
    }

    /// The program has ended: failures that it did not wait for are reported.
    pub fn report_unclaimed(&mut self) {
        self.leaving.extend(std::mem::take(&mut self.unclaimed).into_values().map(Leaving::Fault));
        self.replies.clear();
    }

    /// Handles messages and timers that are due until the reply of `ticket` is there, or with none until nothing
    /// is left.
    pub fn pump(&mut self, vm: &mut Vm, until: Option<u64>) -> Result<(), StoreError> {
        // Only what is due now: a timer that is due again as soon as it was handled would keep this going for ever.
        let now_ns = self.clock.now_ns();
        loop {
            if until.is_some_and(|ticket| self.replies.contains_key(&ticket)) {
                return Ok(());
            }
            let Some(message) = self.next_message(now_ns) else { return Ok(()) };
            if self.discipline == Discipline::Reload {
                self.checkpoint()?;
                self.residents.drop_clean();
            }
            self.handle(vm, message)?;
            if self.uncommitted >= BATCH_RECORDS_MAX {
                self.write(false)?;
            }
            if self.discipline == Discipline::Replay {
                self.replay_met(vm)?;
            }
        }
    }

    /// What is to be handled next: a message that waits, or a timer that is due at `now_ns`.
    pub fn next_message(&mut self, now_ns: i64) -> Option<Message> {
        self.queue.pop_front().or_else(|| self.due_timer(now_ns))
    }

    /// The message of the first timer whose time has come. Its row goes with the record of its turn.
    fn due_timer(&mut self, now_ns: i64) -> Option<Message> {
        let (due_ns, id) = self.timers.first()?;
        let id = id.clone();
        if due_ns > now_ns {
            return None;
        }
        self.timers.cancel(&id);
        Some(Message {
            path: id.path.to_string(),
            selector: TIMER.to_owned(),
            arguments: timer_arguments(&id.name, due_ns),
            from: From::Timer { name: id.name.to_string(), due_ns },
            device_time_ns: None,
            ticket: None,
            kind: None,
            far: false,
        })
    }

    /// Handles one message: a query, or a turn with its record.
    pub fn handle(&mut self, vm: &mut Vm, message: Message) -> Result<(), StoreError> {
        if let From::Timer { .. } = &message.from {
            // Its twin was removed while it came due.
            load(&mut self.residents, &*self.store, self.partition, &message.path)?;
            if !self.residents.get(&message.path).is_some_and(|view| view.exists) {
                if let From::Timer { name, due_ns } = &message.from {
                    self.rows.delete(Table::Timers, Key::new().timer(self.partition, *due_ns, &message.path, name));
                }
                return Ok(());
            }
        }
        if let From::Outside { name, number } = &message.from
            && *number > 0
            && self.taken_of(name)? >= *number
        {
            // Taken before: its record is there, and it is not run again.
            if let Some(ticket) = message.ticket {
                self.replies.insert(ticket, Ok(vec![0]));
            }
            return Ok(());
        }
        if let Some(kind) = &message.kind
            && let Some(fault) = self.of_another_kind(vm, &message.path, kind)?
        {
            if let Some(ticket) = message.ticket {
                self.replies.insert(ticket, Err(fault));
            }
            return Ok(());
        }
        let asks_only = !message.far && matches!(message.from, From::Program | From::Outside { number: 0, .. });
        if asks_only && self.is_query(vm, &message)? {
            return self.answer_query(vm, message);
        }
        self.run(vm, message)
    }

    /// Puts what the log says in the place of every twin that the last turn met.
    fn replay_met(&mut self, vm: &mut Vm) -> Result<(), StoreError> {
        if self.uncommitted > 0 {
            self.write(false)?;
        }
        for path in std::mem::take(&mut self.met) {
            let replayed = crate::replay::newest(self, vm, &path)?;
            let Some(view) = self.residents.get(&path) else { continue };
            let live = view.exists.then(|| view.image.to_vec());
            assert_eq!(live, replayed, "replay of {path} differs from what its turns left");
            if let Some(image) = replayed {
                let (life, last, turn) = (view.life, view.last, view.turn);
                self.residents.put(&View { path: &path, dirty: true, exists: true, life, last, turn, image: &image });
            }
        }
        Ok(())
    }

    /// Puts the program and all shapes into the store and notes them in the log.
    pub fn install_program(&mut self, program: &Program, shapes: &Shapes) -> Result<(), StoreError> {
        let mut key = Key::new();
        let bytes = program.to_bytes();
        let shape_bytes = program::shapes_to_bytes(shapes);
        self.rows.put(Table::Programs, key.program(&self.program), Position::START, &bytes);
        self.rows.put(Table::Meta, key.named(Partition::SHARED, "program"), Position::START, &self.program);
        self.rows.put(Table::Meta, key.named(Partition::SHARED, "shapes"), Position::START, &shape_bytes);
        let turn = self.turn_of(SYSTEM_PATH)?.0 + 1;
        let message = Message {
            path: SYSTEM_PATH.to_owned(),
            selector: PROGRAM.to_owned(),
            arguments: [bytes, shape_bytes].concat(),
            from: From::System,
            device_time_ns: None,
            ticket: None,
            kind: None,
            far: false,
        };
        let facts = Facts { turn, now_ns: self.clock.now_ns().max(self.last_time_ns), seed: 0 };
        let position = self
            .push_record(shapes, &message, Asked::default(), &Effects::default(), &Ok(Vec::new()), facts)
            .map_err(|error| StoreError::Io(std::io::Error::other(error.to_string())))?;
        self.last_record = position;
        self.last_time_ns = facts.now_ns;
        self.uncommitted += 1;
        self.touch(SYSTEM_PATH, position);
        self.set_turn(SYSTEM_PATH, turn);
        self.write(false)?;
        if self.store.settings().durability == Durability::Sync {
            self.store.flush()?;
        }
        Ok(())
    }

    /// The fault of a message to a twin that is not of the kind its sender takes it to be.
    fn of_another_kind(&mut self, vm: &Vm, path: &str, kind: &str) -> Result<Option<Fault>, StoreError> {
        load(&mut self.residents, &*self.store, self.partition, path)?;
        let view = self.residents.get(path).filter(|view| view.exists);
        Ok(view.filter(|view| !vm.is_of_kind(view.image, kind)).map(|_| another_kind(path, kind)))
    }

    /// Whether the message is one that the twin answers as a query.
    fn is_query(&mut self, vm: &Vm, message: &Message) -> Result<bool, StoreError> {
        load(&mut self.residents, &*self.store, self.partition, &message.path)?;
        let Some(view) = self.residents.get(&message.path).filter(|view| view.exists) else { return Ok(false) };
        Ok(vm.answers_as_query(view.image, &message.selector))
    }

    fn answer_query(&mut self, vm: &mut Vm, message: Message) -> Result<(), StoreError> {
        let now_ns = self.clock.now_ns();
        let turn = self.turn_of(first_segment(&message.path))?.0;
        let (end, error) = self.with_world(|world| {
            let input = TurnInput {
                path: &message.path,
                action: Action::Message { selector: &message.selector, arguments: &message.arguments },
                query: true,
                turn,
                now_ns,
                seed: now_ns as u64 ^ turn,
                answers: &[],
                limits: world.limits,
            };
            vm.run_turn(world, &input)
        });
        if let Some(error) = error {
            return Err(error);
        }
        let reply = match end.outcome {
            Outcome::Done { reply, effects } => {
                if !effects.output.is_empty() {
                    self.leaving.push(Leaving::Output(effects.output));
                }
                Ok(reply)
            }
            Outcome::Failed(fault) => Err(fault),
            Outcome::Needs => unreachable!("with one partition every answer is here"),
        };
        if let Some(ticket) = message.ticket {
            self.replies.insert(ticket, reply);
        }
        Ok(())
    }

    /// Calls `work` with the world as a turn of this partition sees it, and answers also what reading the store
    /// ran into.
    fn with_world<T>(&mut self, work: impl FnOnce(&mut Near<'_>) -> T) -> (T, Option<StoreError>) {
        let mut world = Near {
            residents: &mut self.residents,
            store: &*self.store,
            partition: self.partition,
            moved: &self.moved,
            limits: self.limits,
            now_ns: self.clock.now_ns(),
            depth: 0,
            query_fuel: self.limits.fuel,
            error: None,
        };
        let result = work(&mut world);
        let error = world.error;
        (result, error)
    }

    /// The last turn and the life of a composite.
    fn turn_of(&mut self, composite: &str) -> Result<(u64, u64), StoreError> {
        load(&mut self.residents, &*self.store, self.partition, composite)?;
        Ok(self.residents.get(composite).map_or((0, 0), |view| (view.turn, view.life)))
    }

    // ---- turns ----

    /// Runs one turn and writes its record.
    fn run(&mut self, vm: &mut Vm, message: Message) -> Result<(), StoreError> {
        let composite = first_segment(&message.path).to_owned();
        let turn = self.turn_of(&composite)?.0 + 1;
        let mut now_ns = self.clock.now_ns();
        if let From::Timer { due_ns, .. } = message.from {
            now_ns = now_ns.max(due_ns);
        }
        now_ns = now_ns.max(self.last_time_ns);
        let seed = self.clock.seed();
        let (end, error) = self.with_world(|world| {
            let input = TurnInput {
                path: &message.path,
                action: action(&message.selector, &message.arguments),
                query: false,
                turn,
                now_ns,
                seed,
                answers: &[],
                limits: world.limits,
            };
            vm.run_turn(world, &input)
        });
        if let Some(error) = error {
            return Err(error);
        }
        let TurnEnd { outcome, answers, used_random, fuel_used: _ } = end;
        let (result, effects) = match outcome {
            Outcome::Done { reply, effects } => (Ok(reply), effects),
            Outcome::Failed(fault) => (Err(fault), Effects::default()),
            Outcome::Needs => unreachable!("with one partition every answer is here"),
        };
        let asked = Asked { answers: &answers, used_random };
        let facts = Facts { turn, now_ns, seed };
        match self.push_record(vm.shapes(), &message, asked, &effects, &result, facts) {
            Ok(position) => self.take_effects(vm, &message, effects, &result, facts, position)?,
            Err(error) => {
                // What does not fit a record is undone like any other fault.
                let fault = Fault { kind: "RecordTooLarge".to_owned(), text: error.to_string(), trace: Vec::new() };
                let nothing = Effects::default();
                let short = Message { arguments: vec![0], ..message.clone() };
                let recorded = if message.arguments.len() > record::RECORD_BYTES_MAX / 2 { &short } else { &message };
                // Names are checked where they come in, so nothing is left that could not be written.
                let position = self
                    .push_record(vm.shapes(), recorded, Asked::default(), &nothing, &Err(fault.clone()), facts)
                    .map_err(|error| StoreError::Io(std::io::Error::other(error.to_string())))?;
                self.take_effects(vm, &message, nothing, &Err(fault), facts, position)?;
            }
        }
        Ok(())
    }

    /// Writes the record of a turn; answers where it will stand.
    fn push_record(
        &mut self,
        shapes: &Shapes,
        message: &Message,
        asked: Asked<'_>,
        effects: &Effects,
        result: &Reply,
        facts: Facts,
    ) -> Result<Position, record::EncodeError> {
        let answers: Vec<Vec<u8>> = asked.answers.iter().map(encode_answer).collect();
        let twins = record_twins(&self.residents, shapes, message, effects);
        let trace: String;
        let outcome = match result {
            Ok(_) => record::Outcome::Committed(record::Effects {
                reply: None,
                sends: effects
                    .far_sends
                    .iter()
                    .map(|send| record::FarSend {
                        number: send.promise,
                        sender: &send.sender,
                        receiver: &send.path,
                        selector: &send.selector,
                        arguments: &send.arguments,
                        promise: Some(send.promise),
                    })
                    .collect::<Vec<_>>()
                    .into(),
                events: effects
                    .events
                    .iter()
                    .map(|event| record::Event {
                        twin: &event.path,
                        selector: &event.selector,
                        arguments: &event.arguments,
                    })
                    .collect::<Vec<_>>()
                    .into(),
                output: &effects.output,
                timers: effects
                    .timers
                    .iter()
                    .map(|timer| record::Timer { twin: &timer.path, name: &timer.name, due_ns: timer.due_ns })
                    .collect::<Vec<_>>()
                    .into(),
            }),
            Err(fault) => {
                trace = fault.trace_text();
                record::Outcome::Failed(Failure { kind: &fault.kind, text: &fault.text, trace: &trace })
            }
        };
        let composite = first_segment(&message.path);
        let life = self.residents.get(composite).map_or(1, |view| view.life.max(1));
        let made_root =
            effects.twins.iter().any(|twin| twin.path == composite && matches!(twin.change, TwinChange::Image(_)));
        let record = Record {
            envelope: Envelope {
                life: if made_root { next_life(&self.residents, composite) } else { life },
                turn: facts.turn,
                time_ns: facts.now_ns,
                device_time_ns: message.device_time_ns,
                program: &self.program,
                flags: if effects.twins.iter().any(|twin| matches!(twin.change, TwinChange::Carried(_))) {
                    Flags::MIGRATED
                } else {
                    Flags::default()
                },
            },
            cause: cause(&message.from),
            input: Input {
                selector: &message.selector,
                arguments: &message.arguments,
                answers: asked
                    .answers
                    .iter()
                    .zip(&answers)
                    .map(|(answer, bytes)| record::Answer { composite: &answer.composite, turn: answer.turn, bytes })
                    .collect::<Vec<_>>()
                    .into(),
                seed: asked.used_random.then_some(facts.seed),
            },
            twins: twins.into(),
            outcome,
        };
        self.builder.push(&record)
    }

    /// Takes what a recorded turn left into memory.
    fn take_effects(
        &mut self,
        vm: &mut Vm,
        message: &Message,
        effects: Effects,
        result: &Reply,
        facts: Facts,
        position: Position,
    ) -> Result<(), StoreError> {
        self.last_record = position;
        self.last_time_ns = facts.now_ns;
        self.uncommitted += 1;
        self.records += 1;
        let composite = first_segment(&message.path).to_owned();
        for twin in &effects.twins {
            self.take_twin(&twin.path, &twin.change, position);
        }
        if !effects.twins.iter().any(|twin| twin.path == message.path) {
            self.touch(&message.path, position);
        }
        self.set_turn(&composite, facts.turn);
        if effects.output.is_empty() {
            // Most turns print nothing.
        } else {
            self.leaving.push(Leaving::Output(effects.output));
        }
        if let From::Timer { name, due_ns } = &message.from {
            self.rows.delete(Table::Timers, Key::new().timer(self.partition, *due_ns, &message.path, name));
        }
        for timer in &effects.timers {
            let id = TimerId { path: timer.path.as_str().into(), name: timer.name.as_str().into() };
            match timer.due_ns {
                Some(due_ns) => self.set_timer(id, due_ns, position),
                None => self.unset_timer(&id),
            }
        }
        self.outstanding += effects.far_sends.len();
        for (nth, send) in effects.far_sends.into_iter().enumerate() {
            self.queue.push_back(Message {
                path: send.path,
                selector: send.selector,
                arguments: send.arguments,
                from: From::Twin {
                    path: send.sender,
                    number: send.promise,
                    origin: Origin { partition: self.partition, position },
                    nth: nth as u32,
                },
                device_time_ns: None,
                ticket: None,
                kind: None,
                far: false,
            });
        }
        match &message.from {
            From::Outside { name, number } if *number > 0 => {
                self.taken.insert(name.clone(), *number);
                self.taken_changed.insert(name.clone());
            }
            From::Twin { origin, nth, .. } => {
                self.taken_self = (origin.position, nth + 1);
                self.taken_self_changed = true;
                self.outstanding -= 1;
            }
            From::Timer { name, .. } if result.is_err() => self.rearm(vm, &message.path, name)?,
            From::Program | From::Outside { .. } | From::Timer { .. } | From::System => {}
        }
        if let Err(fault) = result {
            match message.ticket {
                None => self.leaving.push(Leaving::Fault(report(message, fault))),
                Some(ticket) if message.far => {
                    self.unclaimed.insert(ticket, report(message, fault));
                }
                Some(_) => {}
            }
        }
        if self.discipline == Discipline::Replay {
            self.met.push(message.path.clone());
            self.met.extend(effects.twins.iter().map(|twin| twin.path.clone()).filter(|path| *path != message.path));
        }
        if let Some(ticket) = message.ticket {
            self.replies.insert(ticket, result.clone());
        }
        Ok(())
    }

    /// A timer that repeats is set again although its turn failed, in a turn of its own that directly follows.
    fn rearm(&mut self, vm: &mut Vm, path: &str, name: &str) -> Result<(), StoreError> {
        let repeats = self.residents.get(path).is_some_and(|view| view.exists && vm.timer_repeats(view.image, name));
        if !repeats {
            return Ok(());
        }
        let message = Message {
            path: path.to_owned(),
            selector: REARM.to_owned(),
            arguments: symbol_argument(name),
            from: From::System,
            device_time_ns: None,
            ticket: None,
            kind: None,
            far: false,
        };
        self.run(vm, message)
    }

    /// Takes what became of a twin, recorded at `position`, into memory.
    pub fn take_twin(&mut self, path: &str, change: &TwinChange, position: Position) {
        let old = self.residents.get(path);
        let (exists, life, turn) = old.map_or((false, 0, 0), |view| (view.exists, view.life, view.turn));
        let (image, now_exists): (&[u8], bool) = match change {
            TwinChange::Image(image) | TwinChange::Carried(image) | TwinChange::Delta { image, .. } => (image, true),
            TwinChange::Removed => (&[], false),
        };
        // Also where one was removed and another made in one turn.
        let is_new = matches!(change, TwinChange::Image(_));
        let life = if is_new { life + 1 } else { life };
        self.residents.put(&View { path, dirty: true, exists: now_exists, life, last: position, turn, image });
        if now_exists != exists {
            self.moved.insert(path.to_owned());
        }
        if is_new || !now_exists {
            for id in self.timers.of_twin(path) {
                self.unset_timer(&id);
            }
        }
    }

    /// Notes that the record at `position` lists the twin, which it did not change.
    pub fn touch(&mut self, path: &str, position: Position) {
        if !self.residents.advance(path, Some(position), None) {
            let (exists, life, turn) = (false, 0, 0);
            self.residents.put(&View { path, dirty: true, exists, life, last: position, turn, image: &[] });
        }
        if !self.residents.get(path).is_some_and(|view| view.exists) {
            // A path where nothing lives keeps the chain of messages that missed it.
            self.moved.insert(path.to_owned());
        }
    }

    /// Notes the number of the last turn of a composite.
    pub fn set_turn(&mut self, composite: &str, turn: u64) {
        if !self.residents.advance(composite, None, Some(turn)) {
            let (exists, life, last) = (false, 0, Position::START);
            self.residents.put(&View { path: composite, dirty: true, exists, life, last, turn, image: &[] });
            self.moved.insert(composite.to_owned());
        }
    }

    // ---- timers ----

    fn set_timer(&mut self, id: TimerId, due_ns: i64, position: Position) {
        let mut key = Key::new();
        if let Some(before) = self.timers.set(id.clone(), due_ns) {
            self.rows.delete(Table::Timers, key.timer(self.partition, before, &id.path, &id.name));
        }
        self.rows.put(Table::Timers, key.timer(self.partition, due_ns, &id.path, &id.name), position, &[]);
    }

    fn unset_timer(&mut self, id: &TimerId) {
        if let Some(before) = self.timers.cancel(id) {
            self.rows.delete(Table::Timers, Key::new().timer(self.partition, before, &id.path, &id.name));
        }
    }

    /// Reads the timers that are set.
    pub fn load_timers(&mut self) -> Result<(), StoreError> {
        for row in self.store.scan(Table::Timers, &KeyRange::partition(self.partition))? {
            let (key, _) = row?;
            let (Some(due_ns), Some((path, name))) = (key.due_ns(), key.timer_names()) else { continue };
            self.timers.set(TimerId { path: path.into(), name: name.into() }, due_ns);
        }
        Ok(())
    }

    // ---- commit ----

    /// Writes all records since the last commit, with what follows from them, and waits until they are
    /// durable. Answers what may leave now.
    pub fn commit(&mut self) -> Result<Vec<Leaving>, StoreError> {
        if self.uncommitted > 0 {
            self.write(false)?;
        }
        self.flush()?;
        Ok(std::mem::take(&mut self.leaving))
    }

    /// Waits until what was written is durable.
    fn flush(&mut self) -> Result<(), StoreError> {
        if self.unflushed && self.store.settings().durability == Durability::Sync {
            self.store.flush()?;
        }
        self.unflushed = false;
        Ok(())
    }

    /// Writes the row of every twin that memory is ahead of, and notes that replay starts here.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.residents.dirty() == 0 && self.uncommitted == 0 {
            return Ok(());
        }
        self.write(true)?;
        self.residents.all_clean();
        self.flush()
    }

    fn write(&mut self, every_dirty: bool) -> Result<(), StoreError> {
        let mut key = Key::new();
        let mut row = Vec::new();
        if every_dirty {
            let (rows, partition) = (&mut self.rows, self.partition);
            self.residents.for_each_dirty(|view| {
                write_row(&view, &mut row);
                rows.put(Table::State, key.state(partition, view.path), view.last, &row);
            });
        } else {
            for path in &self.moved {
                let Some(view) = self.residents.get(path) else { continue };
                write_row(&view, &mut row);
                self.rows.put(Table::State, key.state(self.partition, path), view.last, &row);
            }
        }
        self.moved.clear();
        for name in std::mem::take(&mut self.taken_changed) {
            let number = self.taken.get(&name).copied().unwrap_or(0);
            self.rows.put(
                Table::Taken,
                key.taken_outside(self.partition, &name),
                self.last_record,
                &number.to_be_bytes(),
            );
        }
        if every_dirty && self.outstanding == 0 {
            // Nothing before the end is waited for, so nobody need look for it there.
            let end = match self.uncommitted {
                0 => self.store.end(self.partition)?,
                _ => self.builder.finish().next(),
            };
            self.taken_self_changed |= self.taken_self != (end, 0);
            self.taken_self = (end, 0);
        }
        if std::mem::take(&mut self.taken_self_changed) {
            let mut bytes = self.taken_self.0.to_bytes().to_vec();
            bytes.extend_from_slice(&self.taken_self.1.to_be_bytes());
            self.rows.put(Table::Taken, key.taken_from(self.partition, self.partition), self.last_record, &bytes);
        }
        if self.uncommitted > 0 {
            let blocks = self.builder.finish();
            let start = blocks.start();
            if every_dirty {
                self.rows.checkpoint(self.partition, blocks.next());
            }
            self.store.commit(start, Batch { blocks, rows: &self.rows })?;
            self.builder.clear();
        } else {
            if every_dirty {
                self.rows.checkpoint(self.partition, self.store.end(self.partition)?);
            }
            self.store.write(&self.rows)?;
        }
        self.rows.clear();
        self.unflushed |= self.uncommitted > 0;
        self.uncommitted = 0;
        Ok(())
    }

    // ---- senders ----

    /// Up to which number the messages of an outside sender were taken.
    pub fn taken_of(&mut self, name: &str) -> Result<u64, StoreError> {
        if let Some(&number) = self.taken.get(name) {
            return Ok(number);
        }
        let mut key = Key::new();
        let row = self.store.get(Table::Taken, key.taken_outside(self.partition, name))?;
        let number = row.and_then(|row| row.bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        self.taken.insert(name.to_owned(), number);
        Ok(number)
    }

    /// Where the far sends of the own log stand that are not taken yet.
    pub fn load_taken_self(&mut self) -> Result<(Position, u32), StoreError> {
        let mut key = Key::new();
        let row = self.store.get(Table::Taken, key.taken_from(self.partition, self.partition))?;
        if let Some((position, nth)) = row.as_ref().and_then(|row| row.bytes.split_first_chunk::<10>()) {
            let nth = nth.try_into().map_or(0, u32::from_be_bytes);
            self.taken_self = (Position::from_bytes(*position), nth);
        }
        Ok(self.taken_self)
    }

    /// Queues a far send of the own log that nobody had taken when the process before ended.
    pub fn queue_again(&mut self, message: Message) {
        self.outstanding += 1;
        self.queue.push_back(message);
    }

    /// Goes on after the last record of the log, which stands at `last` and is of `time_ns`.
    pub fn continue_after(&mut self, last: Position, time_ns: i64) {
        self.last_record = last;
        self.last_time_ns = time_ns;
        self.clock.drive_to(time_ns);
    }
}

/// What a turn is given beside its message.
#[derive(Clone, Copy)]
struct Facts {
    turn: u64,
    now_ns: i64,
    seed: u64,
}

/// The receiver first, then every other twin that the turn changed.
fn record_twins<'a>(
    residents: &'a Residents,
    shapes: &'a Shapes,
    message: &'a Message,
    effects: &'a Effects,
) -> Vec<record::TwinEffect<'a>> {
    let prototype_of = |image: &[u8]| {
        let shape = twintalk_vm::codec::shape_of_image(image)?;
        shapes.get(shape).map(|shape| shape.prototype.as_str())
    };
    let entry = |path: &'a str, change: Option<&'a TwinChange>| {
        let view = residents.get(path);
        let life = view.map_or(1, |view| view.life.max(1));
        let (kind, bytes): (_, &[u8]) = match change {
            None => (record::TwinChange::Touched, &[]),
            Some(TwinChange::Delta { delta, .. }) => (record::TwinChange::Changed, delta),
            Some(TwinChange::Image(image)) => (record::TwinChange::Created, image),
            Some(TwinChange::Carried(image)) => (record::TwinChange::Changed, image),
            Some(TwinChange::Removed) => (record::TwinChange::Removed, &[]),
        };
        let life = match change {
            Some(TwinChange::Image(_)) => next_life(residents, path),
            Some(TwinChange::Carried(_) | TwinChange::Delta { .. } | TwinChange::Removed) | None => life,
        };
        let previous = view.map(|view| view.last).filter(|last| *last > Position::START);
        // Named where the bytes are all of the twin rather than what changed in it.
        let prototype = match change {
            Some(TwinChange::Image(image) | TwinChange::Carried(image)) => prototype_of(image),
            Some(TwinChange::Delta { .. } | TwinChange::Removed) | None => None,
        };
        record::TwinEffect { path, life, previous, kind, prototype, bytes }
    };
    let change_of = |path: &str| effects.twins.iter().find(|twin| twin.path == path).map(|twin| &twin.change);
    let mut twins = vec![entry(&message.path, change_of(&message.path))];
    twins.extend(
        effects.twins.iter().filter(|twin| twin.path != message.path).map(|twin| entry(&twin.path, Some(&twin.change))),
    );
    twins
}

fn next_life(residents: &Residents, path: &str) -> u64 {
    residents.get(path).map_or(0, |view| view.life) + 1
}

/// What a turn asked for beside its input.
#[derive(Clone, Copy, Default)]
struct Asked<'a> {
    answers: &'a [FarAnswer],
    used_random: bool,
}
