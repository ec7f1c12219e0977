//! Turns into records: a message is run, its record written, and what it left taken into memory.
//!
//! A turn that needs an answer which is not here leaves nothing; it runs again from its start, with the same time, seed and
//! answers so far, so it goes the same way up to where it stopped.

use smallvec::SmallVec;
use twintalk_store::record::{self, Envelope, Failure, Flags, Input, Origin, Record};
use twintalk_store::{Key, Partition, Position, StoreError, Table};
use twintalk_vm::codec::{read_timer_arguments, rearm_arguments};
use twintalk_vm::turn::{Effects, Outcome, TurnEnd, TurnInput, TwinChange, first_segment};
use twintalk_vm::{FarAnswer, Fault, Shapes, Vm};

use crate::message::{
    From, Message, PROGRAM, REARM, SYSTEM_PATH, WAITS, action, cause, encode_answer, report, wants_reply,
};
use crate::near::{Inquiry, load};
use crate::partition::{Core, Discipline, Leaving, Reply};
use crate::post::Parcel;
use crate::program::{self, Program};
use crate::resident::{Residents, View};
use crate::supervision::Verdict;
use crate::timers::TimerId;

/// More than a record of a message that waits has beside its row.
const WAITS_BYTES: usize = 1024;

/// A turn, or a query from outside, that may have to run more than once.
pub(crate) struct Attempt {
    pub message: Message,
    /// The time that it sees.
    pub now_ns: i64,
    /// What its random numbers start from.
    pub seed: u64,
    /// What its far queries were answered so far, in order.
    pub answers: Vec<FarAnswer>,
    pub inquiry: Inquiry,
}

impl Attempt {
    /// A query; `fuel` is what its far queries may use.
    pub fn of_query(message: Message, now_ns: i64, fuel: i64) -> Attempt {
        Attempt { message, now_ns, seed: 0, answers: Vec::new(), inquiry: Inquiry::new(0, fuel) }
    }

    /// Keeps what was answered up to where it stopped. That it runs again is paid from what its far queries may use, or a turn
    /// that asks thousands one by one would never end.
    pub fn runs_again(&mut self, answers: Vec<FarAnswer>, fuel_used: i64) {
        // So is that it reads its answers again.
        let read = answers.iter().map(|answer| answer.reply.as_ref().map_or(0, Vec::len)).sum::<usize>() / 4;
        self.inquiry.fuel = self.inquiry.fuel.saturating_sub(fuel_used).saturating_sub(read as i64);
        if answers.len() > self.answers.len() {
            // What was learned on the way to these need not be known any more.
            self.inquiry.forget();
        }
        self.answers = answers;
    }
}

impl Core {
    /// Runs one turn and writes its record.
    pub(crate) fn run(&mut self, vm: &mut Vm, message: Message) -> Result<(), StoreError> {
        let composite = first_segment(&message.path);
        let number = self.next_turn(composite)?;
        let mut now_ns = self.clock.now_ns().max(self.last_time_ns).max(message.sent_ns);
        now_ns = now_ns.max(message.due_ns.unwrap_or(i64::MIN));
        if let From::Timer { due_ns, .. } = message.from {
            now_ns = now_ns.max(due_ns);
        }
        let mut seed = self.clock.seed(composite, number.turn);
        let mut answers = Vec::new();
        let inquiry = Inquiry::new(0, self.limits.fuel);
        if let Some(script) = &mut self.script
            && let Some(record) = script.take(&message.path, &message.selector)?
        {
            now_ns = record.began_ns.max(message.sent_ns);
            seed = record.seed.unwrap_or(seed);
            answers = std::mem::take(&mut record.answers);
        }
        self.attempt_turn(vm, Attempt { message, now_ns, seed, answers, inquiry }, number)
    }

    /// Runs a turn, from its start; closes its composite if it needs an answer, else writes its record.
    pub(crate) fn attempt(&mut self, vm: &mut Vm, attempt: Attempt) -> Result<(), StoreError> {
        let number = self.next_turn(first_segment(&attempt.message.path))?;
        self.attempt_turn(vm, attempt, number)
    }

    /// The number that the next turn of a composite has.
    fn next_turn(&mut self, composite: &str) -> Result<TurnNumber, StoreError> {
        let (turn, life) = self.turn_of(composite)?;
        Ok(TurnNumber { turn: turn + 1, life })
    }

    fn attempt_turn(&mut self, vm: &mut Vm, mut attempt: Attempt, number: TurnNumber) -> Result<(), StoreError> {
        let limits = self.limits;
        let Attempt { message, now_ns, seed, answers, inquiry } = &mut attempt;
        let wants_reply = wants_reply(&cause(&message.from), replies(message));
        let input = TurnInput {
            path: &message.path,
            action: action(&message.selector, &message.arguments),
            query: false,
            wants_reply,
            turn: number.turn,
            now_ns: *now_ns,
            seed: *seed,
            answers,
            limits,
        };
        let (end, needs) = self.with_world(inquiry, *now_ns, |world| vm.run_turn(world, &input))?;
        let TurnEnd { outcome, answers, used_random, fuel_used, broken } = end;
        let (result, effects) = match outcome {
            Outcome::Done { reply, effects } => (Ok(reply), effects),
            Outcome::Failed(fault) => (Err(fault), Effects::default()),
            // A fork that is not what it was given answers of asks anew.
            Outcome::Needs if needs.is_empty() && self.script.is_some() && !attempt.answers.is_empty() => {
                attempt.answers.clear();
                return self.attempt_turn(vm, attempt, number);
            }
            Outcome::Needs => {
                attempt.runs_again(answers, fuel_used);
                self.close(attempt, needs)?;
                return Ok(());
            }
        };
        let Attempt { message, now_ns, seed, .. } = attempt;
        let asked = Asked { answers: &answers, used_random };
        // Others may have gone on while this one waited.
        let facts = Facts { number, now_ns, log_ns: now_ns.max(self.last_time_ns), seed };
        let mut verdict = self.judge(vm, &message, &result, facts.log_ns);
        if let Some(broken) = broken {
            verdict.break_off(&message, broken);
        }
        match self.push_record(vm.shapes(), &message, asked, &effects, &result, facts, &verdict) {
            Ok(position) => self.take_effects(vm, &message, effects, &result, facts, position, verdict)?,
            Err(error) => {
                // What does not fit a record is undone like any other fault.
                let fault = Fault { kind: "RecordTooLarge".to_owned(), text: error.to_string(), trace: Vec::new() };
                let verdict =
                    if result.is_err() { verdict } else { self.judge(vm, &message, &Err(fault.clone()), facts.log_ns) };
                self.record_failure(vm, &message, fault, facts, verdict)?;
            }
        }
        Ok(())
    }

    /// The time of the record of a message that runs nothing.
    fn time_of(&mut self, message: &Message) -> Result<i64, StoreError> {
        if let Some(script) = &mut self.script
            && let Some(record) = script.take(&message.path, &message.selector)?
        {
            return Ok(record.time_ns.max(self.last_time_ns));
        }
        Ok(self.clock.now_ns().max(self.last_time_ns).max(message.sent_ns))
    }

    /// Writes the record of a message that fails before its turn begins.
    pub(crate) fn fail(&mut self, vm: &mut Vm, message: Message, fault: Fault) -> Result<(), StoreError> {
        let composite = first_segment(&message.path);
        let number = self.next_turn(composite)?;
        let now_ns = self.time_of(&message)?;
        let facts = Facts { number, now_ns, log_ns: now_ns, seed: 0 };
        // It never reached the twin, whose policy has no say then.
        let verdict = Verdict::of_unread(&message);
        self.record_failure(vm, &message, fault, facts, verdict)
    }

    /// Writes the record of a message that failed, without arguments that would not fit beside the fault.
    fn record_failure(
        &mut self,
        vm: &mut Vm,
        message: &Message,
        fault: Fault,
        facts: Facts,
        verdict: Verdict,
    ) -> Result<(), StoreError> {
        let (nothing, result) = (Effects::default(), Err(fault));
        let short = Message { arguments: vec![0], ..message.clone() };
        let recorded = if message.arguments.len() > record::RECORD_BYTES_MAX / 2 { &short } else { message };
        // Names are checked where they come in, so nothing is left that could not be written.
        let position = self
            .push_record(vm.shapes(), recorded, Asked::default(), &nothing, &result, facts, &verdict)
            .map_err(|error| StoreError::Io(std::io::Error::other(error.to_string())))?;
        self.take_effects(vm, message, nothing, &result, facts, position, verdict)
    }

    /// Writes the record of a message that runs nothing; answers where it will stand.
    pub(crate) fn push_note(&mut self, vm: &mut Vm, message: &Message) -> Result<Position, StoreError> {
        let number = self.next_turn(first_segment(&message.path))?;
        load(&mut self.residents, &*self.store, self.partition, &message.path)?;
        let now_ns = self.time_of(message)?;
        let facts = Facts { number, now_ns, log_ns: now_ns, seed: 0 };
        let (nothing, verdict, result) = (Effects::default(), Verdict::default(), Ok(vec![0]));
        let position = self
            .push_record(vm.shapes(), message, Asked::default(), &nothing, &result, facts, &verdict)
            .map_err(|error| StoreError::Io(std::io::Error::other(error.to_string())))?;
        self.take_effects(vm, message, nothing, &result, facts, position, verdict)?;
        Ok(position)
    }

    /// Writes the record of a turn; answers where it will stand.
    #[expect(clippy::too_many_arguments, reason = "a record has as many parts")]
    fn push_record(
        &mut self,
        shapes: &Shapes,
        message: &Message,
        asked: Asked<'_>,
        effects: &Effects,
        result: &Reply,
        facts: Facts,
        verdict: &Verdict,
    ) -> Result<Position, record::EncodeError> {
        let answers: Vec<Vec<u8>> = asked.answers.iter().map(|answer| encode_answer(answer.reply.as_deref())).collect();
        let twins = record_twins(&self.residents, shapes, message, effects);
        let trace: String;
        let replies = replies(message);
        let sends: SmallVec<[record::FarSend<'_>; 1]> = effects
            .far_sends
            .iter()
            .map(|send| record::FarSend {
                number: send.promise,
                sender: &send.sender,
                receiver: &send.path,
                selector: &send.selector,
                arguments: &send.arguments,
                promise: send.wants_reply.then_some(send.promise),
                kind: send.kind.as_deref(),
            })
            .collect();
        let outcome = match result {
            Ok(reply) => record::Outcome::Committed(record::Effects {
                reply: replies.then_some(reply),
                sends: sends[..].into(),
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
                    .map(|timer| record::Timer {
                        twin: &timer.path,
                        name: &timer.name,
                        due_ns: timer.due_ns,
                        errand: &timer.errand,
                    })
                    .collect::<Vec<_>>()
                    .into(),
            }),
            Err(fault) => {
                trace = fault.trace_text();
                record::Outcome::Failed(Failure { kind: &fault.kind, text: &fault.text, trace: &trace })
            }
        };
        let mut life = facts.number.life.max(1);
        let mut flags = verdict.flags(message);
        for twin in &effects.twins {
            match &twin.change {
                TwinChange::Image(_) if twin.path == first_segment(&message.path) => life = facts.number.life + 1,
                TwinChange::Carried(_) => flags = flags.with(Flags::MIGRATED),
                TwinChange::Image(_) | TwinChange::Delta { .. } | TwinChange::Removed => {}
            }
        }
        if replies {
            flags = flags.with(Flags::REPLIES);
        }
        let record = Record {
            envelope: Envelope {
                life,
                turn: facts.number.turn,
                time_ns: facts.log_ns,
                began_ns: (facts.now_ns < facts.log_ns).then_some(facts.now_ns),
                device_time_ns: message.device_time_ns,
                program: &self.program,
                flags,
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
            twins: twins[..].into(),
            outcome,
        };
        let position = self.builder.push(&record)?;
        if let Some(script) = &mut self.script {
            script.written(&record, position);
        }
        Ok(position)
    }

    /// Takes what a recorded turn left into memory.
    #[expect(clippy::too_many_arguments, reason = "a turn leaves as much")]
    fn take_effects(
        &mut self,
        vm: &mut Vm,
        message: &Message,
        effects: Effects,
        result: &Reply,
        facts: Facts,
        position: Position,
        verdict: Verdict,
    ) -> Result<(), StoreError> {
        self.last_record = position;
        self.last_time_ns = facts.log_ns;
        self.uncommitted += 1;
        self.records += 1;
        let composite = first_segment(&message.path);
        let turn = facts.number.turn;
        // What changes of a twin is written down at once, with the turn where it is the root.
        let (mut knows_receiver, mut knows_turn) = (false, false);
        for twin in &effects.twins {
            let is_root = twin.path == composite;
            self.take_twin(&twin.path, &twin.change, position, is_root.then_some(turn));
            knows_receiver |= twin.path == message.path;
            knows_turn |= is_root;
        }
        if !knows_receiver {
            let is_root = composite.len() == message.path.len();
            self.touch(&message.path, position, is_root.then_some(turn));
            knows_turn |= is_root;
        }
        if !knows_turn {
            self.set_turn(composite, turn);
        }
        if effects.output.is_empty() {
            // Most turns print nothing.
        } else {
            self.let_out(Leaving::Output(effects.output));
        }
        if !verdict.tries_again() {
            self.take_from_source(message);
        }
        for timer in &effects.timers {
            let id = TimerId { path: timer.path.as_str().into(), name: timer.name.as_str().into() };
            match timer.due_ns {
                Some(due_ns) => self.set_timer(id, due_ns, &timer.errand, position),
                None => self.unset_timer(&id),
            }
        }
        let origin = Origin { partition: self.partition, position };
        let leaves = effects.far_sends.len() as u32;
        for (nth, send) in effects.far_sends.into_iter().enumerate() {
            let nth = nth as u32;
            let from = From::Twin { path: send.sender, number: send.promise, wanted: send.wants_reply, origin, nth };
            let message = Message::named(send.path, send.selector, send.arguments, from);
            self.dispatch(Message { sent_ns: facts.log_ns, kind: send.kind, ..message });
        }
        match &message.from {
            From::Twin { path, number, wanted: true, .. } if !verdict.tries_again() => {
                let reply = result.as_deref();
                let reply = Message::reply(path, &message.path, *number, reply, origin, leaves, facts.log_ns);
                self.dispatch(reply);
            }
            From::Timer { .. } if result.is_err() && !verdict.tries_again() && !verdict.breaks(&message.path) => {
                self.rearm(vm, message)?
            }
            From::Program
            | From::Outside { .. }
            | From::Twin { .. }
            | From::Reply { .. }
            | From::Timer { .. }
            | From::Supervisor { .. }
            | From::System => {}
        }
        if let Err(fault) = result
            && !verdict.tries_again()
        {
            match message.ticket {
                None if matches!(message.from, From::Twin { wanted: true, .. }) => {}
                None => self.let_out(Leaving::Fault(report(message, fault))),
                Some(ticket) if message.far => {
                    self.unclaimed.insert(ticket, report(message, fault));
                }
                Some(_) => {}
            }
        }
        if self.discipline == Discipline::Replay {
            self.met.push(message.path.to_string());
            let others = effects.twins.iter().filter(|twin| twin.path != message.path);
            self.met.extend(others.map(|twin| twin.path.to_string()));
        }
        if let Some(ticket) = message.ticket
            && !verdict.tries_again()
        {
            self.replies.insert(ticket, result.clone());
        }
        let breaks = verdict.breaks(&message.path);
        self.carry_out(vm, message, result, verdict, position)?;
        match &message.from {
            From::Timer { .. } if breaks => self.rearm_when_released(vm, message),
            From::System if breaks && message.selector == REARM => {
                self.wait_for_release(Message { waiting: None, ..message.clone() })
            }
            From::Program
            | From::Outside { .. }
            | From::Twin { .. }
            | From::Reply { .. }
            | From::Timer { .. }
            | From::Supervisor { .. }
            | From::System => Ok(()),
        }
    }

    /// Sends what leaves a record on its way: to the own queue, or to another partition once the record is durable.
    fn dispatch(&mut self, message: Message) {
        let to = self.placing.of(&message.path);
        let message = Message { order: self.post.next_order(), ..message };
        if to == self.partition {
            self.receive(message);
        } else {
            self.leave_for(to, Parcel::Message(message), true);
        }
    }

    /// A timer that repeats is set again although its turn failed, in a turn of its own that directly follows.
    fn rearm(&mut self, vm: &mut Vm, timer: &Message) -> Result<(), StoreError> {
        match self.rearming(vm, timer) {
            Some(message) => self.run(vm, message),
            None => Ok(()),
        }
    }

    /// The same for a twin that could not be carried over to its definition: it has that turn when it can.
    fn rearm_when_released(&mut self, vm: &Vm, timer: &Message) -> Result<(), StoreError> {
        match self.rearming(vm, timer) {
            Some(message) => self.wait_for_release(message),
            None => Ok(()),
        }
    }

    /// The message that sets a timer again which came due, if it repeats.
    fn rearming(&self, vm: &Vm, message: &Message) -> Option<Message> {
        let timer = read_timer_arguments(&message.arguments)?;
        let view = self.residents.get(&message.path).filter(|view| view.exists)?;
        let repeats = match timer.errand {
            Some(errand) => errand.repeats(),
            None => vm.timer_repeats(view.image, timer.name),
        };
        repeats.then(|| Message::new(&message.path, REARM, rearm_arguments(&timer), From::System))
    }

    /// Takes what became of a twin, recorded at `position`, into memory; of a root also the number of the turn.
    pub fn take_twin(&mut self, path: &str, change: &TwinChange, position: Position, turn: Option<u64>) {
        let old = self.residents.get(path);
        let (exists, life, old_turn) = old.map_or((false, 0, 0), |view| (view.exists, view.life, view.turn));
        let turn = turn.unwrap_or(old_turn);
        let now_exists = !matches!(change, TwinChange::Removed);
        // Also where one was removed and another made in one turn, of another prototype perhaps.
        let is_new = matches!(change, TwinChange::Image(_));
        let life = if is_new { life + 1 } else { life };
        let image = change.image();
        self.residents.put(&View { path, dirty: true, exists: now_exists, life, last: position, turn, image });
        if is_new || !now_exists {
            self.residents.pieces.begin_anew(path, exists);
        }
        self.residents.pieces.take(path, change.pieces());
        if now_exists != exists || is_new {
            self.moved.insert(path.to_owned());
        }
        if is_new || !now_exists {
            self.forget_twin(path);
            for id in self.timers.of_twin(path) {
                self.unset_timer(&id);
            }
        }
    }

    /// Notes which life of a path it is, as its record says.
    pub fn set_life(&mut self, path: &str, life: u64) {
        if let Some(view) = self.residents.get(path).filter(|view| view.life != life && (view.exists || view.life > 0))
        {
            let image = view.image.to_vec();
            let View { dirty, exists, last, turn, .. } = view;
            self.residents.put(&View { path, dirty, exists, life, last, turn, image: &image });
        }
    }

    /// Notes that the record at `position` lists the twin, which it did not change; of a root also the number of the turn.
    pub fn touch(&mut self, path: &str, position: Position, turn: Option<u64>) {
        let exists = self.residents.advance(path, Some(position), turn);
        if exists.is_none() {
            let (exists, life, turn) = (false, 0, turn.unwrap_or(0));
            self.residents.put(&View { path, dirty: true, exists, life, last: position, turn, image: &[] });
        }
        if exists != Some(true) {
            // A path where nothing lives keeps the chain of messages that missed it.
            self.moved.insert(path.to_owned());
        }
    }

    /// Notes the number of the last turn of a composite.
    pub fn set_turn(&mut self, composite: &str, turn: u64) {
        if self.residents.advance(composite, None, Some(turn)).is_none() {
            let (exists, life, last) = (false, 0, Position::START);
            self.residents.put(&View { path: composite, dirty: true, exists, life, last, turn, image: &[] });
            self.moved.insert(composite.to_owned());
        }
    }

    /// Puts the program and all shapes into the store and notes them in the log.
    pub fn install_program(&mut self, program: &Program, shapes: &Shapes) -> Result<(), StoreError> {
        let mut key = Key::new();
        let bytes = program.to_bytes();
        let shape_bytes = program::shapes_to_bytes(shapes);
        self.rows.put(Table::Programs, key.program(&self.program), Position::START, &bytes);
        self.rows.put(Table::Meta, key.named(Partition::SHARED, "program"), Position::START, &self.program);
        self.rows.put(Table::Meta, key.named(Partition::SHARED, "shapes"), Position::START, &shape_bytes);
        self.push_own(shapes, PROGRAM, program::to_record(&bytes, &shape_bytes))?;
        self.commit().map(|_| ())
    }

    /// Notes in the log that a message waits, by its row. One that is too long for that is too long for a turn, too, or nearly,
    /// and has just its row.
    pub(crate) fn push_waits(&mut self, row: &[u8]) -> Result<(), StoreError> {
        if row.len() <= record::RECORD_BYTES_MAX - WAITS_BYTES {
            self.push_own(&Shapes::default(), WAITS, row.to_vec())?;
        }
        Ok(())
    }

    /// Writes a record of the runtime's own.
    pub(crate) fn push_own(&mut self, shapes: &Shapes, selector: &str, arguments: Vec<u8>) -> Result<(), StoreError> {
        let number = self.next_turn(SYSTEM_PATH)?;
        let message = Message::new(SYSTEM_PATH, selector, arguments, From::System);
        let now_ns = self.time_of(&message)?;
        let facts = Facts { number, now_ns, log_ns: now_ns, seed: 0 };
        let (nothing, verdict) = (Effects::default(), Verdict::default());
        let position = self
            .push_record(shapes, &message, Asked::default(), &nothing, &Ok(Vec::new()), facts, &verdict)
            .map_err(|error| StoreError::Io(std::io::Error::other(error.to_string())))?;
        self.last_record = position;
        self.last_time_ns = facts.log_ns;
        self.uncommitted += 1;
        self.touch(SYSTEM_PATH, position, Some(number.turn));
        Ok(())
    }
}

/// Which turn of a composite it is.
#[derive(Clone, Copy)]
struct TurnNumber {
    turn: u64,
    /// The life of the composite that it begins in; 0: there was none yet.
    life: u64,
}

/// What a turn is given beside its message.
#[derive(Clone, Copy)]
struct Facts {
    number: TurnNumber,
    /// The time that the turn sees.
    now_ns: i64,
    /// The time in the log, which never goes back: later, if the turn waited for answers.
    log_ns: i64,
    seed: u64,
}

/// The receiver first, then every other twin that the turn changed.
fn record_twins<'a>(
    residents: &'a Residents,
    shapes: &'a Shapes,
    message: &'a Message,
    effects: &'a Effects,
) -> SmallVec<[record::TwinEffect<'a>; 1]> {
    let prototype_of = |image: &[u8]| {
        let shape = twintalk_vm::codec::shape_of_image(image)?;
        shapes.get(shape).map(|shape| shape.prototype.as_str())
    };
    let entry = |path: &'a str, change: Option<&'a TwinChange>| {
        let view = residents.get(path);
        let life = view.map_or(1, |view| view.life.max(1));
        let bytes = change.map(TwinChange::recorded).unwrap_or_default();
        let kind = match change {
            None => record::TwinChange::Touched,
            Some(TwinChange::Image(_)) => record::TwinChange::Created,
            Some(TwinChange::Carried(_) | TwinChange::Delta { .. }) => record::TwinChange::Changed,
            Some(TwinChange::Removed) => record::TwinChange::Removed,
        };
        let life = match change {
            Some(TwinChange::Image(_)) => view.map_or(0, |view| view.life) + 1,
            Some(TwinChange::Carried(_) | TwinChange::Delta { .. } | TwinChange::Removed) | None => life,
        };
        let previous = view.map(|view| view.last).filter(|last| *last > Position::START);
        // Named where the bytes are all of the twin rather than what changed in it.
        let prototype = match change {
            Some(TwinChange::Image(whole) | TwinChange::Carried(whole)) => prototype_of(&whole.bytes),
            Some(TwinChange::Delta { .. } | TwinChange::Removed) | None => None,
        };
        record::TwinEffect { path, life, previous, kind, prototype, bytes }
    };
    let change_of = |path: &str| effects.twins.iter().find(|twin| twin.path == path).map(|twin| &twin.change);
    let mut twins = SmallVec::new();
    twins.push(entry(&message.path, change_of(&message.path)));
    twins.extend(
        effects.twins.iter().filter(|twin| twin.path != message.path).map(|twin| entry(&twin.path, Some(&twin.change))),
    );
    twins
}

/// Whether the reply is a message of its own, to the sender.
fn replies(message: &Message) -> bool {
    matches!(message.from, From::Twin { wanted: true, .. })
}

/// What a turn asked for beside its input.
#[derive(Clone, Copy, Default)]
struct Asked<'a> {
    answers: &'a [FarAnswer],
    used_random: bool,
}
