//! What a turn may read and spend, what it leaves, and the loop that drives it.
//!
//! A turn runs one message to one composite to its end. It reads the message, the twins of its
//! composite, the time and the seed it was given, and what [`World`] answers. It leaves
//! [`Effects`], or nothing but a [`Fault`]. All its objects lie in one region that is dropped
//! afterwards, so a turn that failed has nothing to undo.
//!
//! Twins of the composite are loaded when they are first sent something; until then they are only
//! references. Each object of a loaded twin has a number within the turn, so the header of an old object
//! says which twin it belongs to.
//!
//! After the message has been answered, every changed or new twin is checked: the types and ranges
//! of its slots, then its invariants, which run as queries. Only then are the effects written out.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use twintalk_bytecode::image::Supervision;

use crate::apart::{Answered, Apart};
use crate::class::{ClassId, Target};
use crate::codec::Errand;
use crate::delta::{AtRest, PieceChange};
use crate::drive::{Asked, End};
use crate::fault::{ExceptionKind, Fault};
use crate::link::earlier::Program as EarlierProgram;
use crate::many::Many;
use crate::name::Name;
use crate::primitive::{Few, Stop};
use crate::symbol::Symbol;
use crate::value::Value;
use crate::vm::{ARGUMENTS_MAX, Limits, Vm};
use crate::world::{Answer, FarAnswer, World};

/// What a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The statements of a program, outside all composites.
    Program,
    /// A turn, or a query that runs beside turns.
    Turn,
}

/// What is to be done in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<'a> {
    /// A message to the twin.
    Message {
        /// The selector.
        selector: &'a str,
        /// The arguments, as the codec writes them.
        arguments: &'a [u8],
    },
    /// The twin is made.
    Make {
        /// Its prototype.
        prototype: &'a str,
        /// Whether it may be there already, if it is of that prototype.
        ensure: bool,
    },
    /// The twin is made as a copy of another.
    Clone {
        /// Its state, as [`crate::clone`] writes it.
        arguments: &'a [u8],
    },
    /// The twin is asked what all twins of a prototype are asked: a query.
    Evaluate {
        /// What is asked.
        many: Many<'a>,
    },
    /// Nothing: the twin is brought up to its definition and checked, whether or not that changes it.
    Check,
    /// A timer that repeats is set again, after its turn failed.
    Rearm {
        /// Its name.
        name: &'a str,
        /// When it was due and what it sends, if a turn set it.
        errand: Option<(i64, Errand<'a>)>,
    },
    /// A twin below this one has failed, and this one is to be told.
    Failed {
        /// The arguments of the message that tells it, as [`failed_arguments`](crate::codec::failed_arguments) writes them.
        arguments: &'a [u8],
    },
    /// The reply has come to a far send of the twin.
    Reply {
        /// The number of its promise.
        promise: u64,
        /// The answer, as the codec writes it, or kind and text of the fault.
        answer: Result<&'a [u8], (&'a str, &'a str)>,
    },
    /// Blocks are to run that `then:` was given when the answer was there already.
    Then {
        /// The number of the message that the twin sent itself for them.
        promise: u64,
    },
    /// A timer of the twin is due.
    Timer {
        /// Its name.
        name: &'a str,
        /// When it was due, in nanoseconds since 1970 UTC.
        due_ns: i64,
        /// The earlier program whose timer it is, if the definition has no such timer any more: it fires once.
        program: Option<[u8; 32]>,
        /// What it sends, if a turn set it.
        errand: Option<Errand<'a>>,
    },
}

/// A message whose turn failed, as the twin above its receiver is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed<'a> {
    /// The twin that the message was for.
    pub part: &'a str,
    /// The message.
    pub selector: &'a str,
    /// Its arguments, as the codec writes them; of a reply none.
    pub arguments: Cow<'a, [u8]>,
    /// The kind of the fault.
    pub kind: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// All that a turn is a function of, but for what it asks.
#[derive(Clone, Copy, Debug)]
pub struct TurnInput<'a> {
    /// The twin that the message is for.
    pub path: &'a str,
    /// What is to be done.
    pub action: Action<'a>,
    /// Whether it must be a query: nothing changes, and a method that is none is the fault `FarSend`.
    pub query: bool,
    /// Whether somebody waits for the reply; else it is not written out, so it may be anything. A query's is.
    pub wants_reply: bool,
    /// The number of the turn within its composite.
    pub turn: u64,
    /// The time of the turn, in nanoseconds since 1970 UTC.
    pub now_ns: i64,
    /// What its random numbers start from.
    pub seed: u64,
    /// What far queries were answered when it ran before.
    pub answers: &'a [FarAnswer],
    /// What it may spend.
    pub limits: Limits,
}

/// On whose behalf a turn sends its message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    /// The system itself, which may send what is private: `startUp` and the like.
    system: bool,
    /// A query, to which only queries answer.
    query: bool,
}

impl Sender {
    pub(crate) const SYSTEM: Sender = Sender { system: true, query: false };
    pub(crate) const QUERY: Sender = Sender { system: false, query: true };
}

/// A turn that ended, and what it is a function of beside its input.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnEnd {
    /// How it ended.
    pub outcome: Outcome,
    /// What its far queries were answered, in order.
    pub answers: Vec<FarAnswer>,
    /// Whether it took random numbers.
    pub used_random: bool,
    /// How much fuel it used.
    pub fuel_used: i64,
    /// A twin that could not be brought up to its definition: the turn failed with that.
    pub broken: Option<String>,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It is done.
    Done {
        /// The reply, as the codec writes it; empty if nobody waits for it.
        reply: Vec<u8>,
        /// What it changed.
        effects: Effects,
    },
    /// It faulted; nothing of it remains.
    Failed(Fault),
    /// The world does not know yet what it asked; run it again when it does.
    Needs,
}

/// What a turn leaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Effects {
    /// Twins made, changed or removed, in the order in which the turn first met them.
    pub twins: Vec<TwinEffect>,
    /// Far sends, in order.
    pub far_sends: Vec<FarSend>,
    /// Events, in order.
    pub events: Vec<Event>,
    /// Timers set and cancelled, in order.
    pub timers: Vec<TimerEffect>,
    /// What it printed.
    pub output: String,
}

/// What became of one twin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwinEffect {
    /// The twin.
    pub path: Name,
    /// What became of it.
    pub change: TwinChange,
}

/// What became of one twin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TwinChange {
    /// It is new.
    Image(Whole),
    /// It was there, and was carried over to a changed definition.
    Carried(Whole),
    /// It changed.
    Delta {
        /// What changed.
        delta: Vec<u8>,
        /// As it is now.
        at_rest: AtRest,
    },
    /// It is gone.
    Removed,
}

/// A twin as a record has it: all of it, but for pieces that a twin that was carried over had before and has still.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// What the record has.
    pub bytes: Vec<u8>,
    /// How it is kept, where that is another thing: with its parts as pieces.
    pub at_rest: Option<AtRest>,
}

impl TwinChange {
    /// What the record has of the twin.
    pub fn recorded(&self) -> &[u8] {
        match self {
            TwinChange::Image(whole) | TwinChange::Carried(whole) => &whole.bytes,
            TwinChange::Delta { delta, .. } => delta,
            TwinChange::Removed => &[],
        }
    }

    /// The twin as it is kept but for its pieces; empty if it is gone.
    pub fn image(&self) -> &[u8] {
        match self {
            TwinChange::Image(whole) | TwinChange::Carried(whole) => match &whole.at_rest {
                Some(at_rest) => &at_rest.image,
                None => &whole.bytes,
            },
            TwinChange::Delta { at_rest, .. } => &at_rest.image,
            TwinChange::Removed => &[],
        }
    }

    /// The pieces that are new, changed or gone. Those of a twin that is new, or gone, are all that there are.
    pub fn pieces(&self) -> &[PieceChange] {
        match self {
            TwinChange::Image(whole) | TwinChange::Carried(whole) => {
                whole.at_rest.as_ref().map_or(&[], |at_rest| &at_rest.pieces)
            }
            TwinChange::Delta { at_rest, .. } => &at_rest.pieces,
            TwinChange::Removed => &[],
        }
    }
}

/// A message to be handled in a later turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FarSend {
    /// The twin that sent it.
    pub sender: Name,
    /// Whom it is for.
    pub path: Name,
    /// The selector; of [`MAKE`] and [`ENSURE`] the arguments are one symbol, the prototype; of [`CLONE`] those of
    /// [`Action::Clone`].
    pub selector: Name,
    /// The arguments.
    pub arguments: Vec<u8>,
    /// The number of its promise within the composite.
    pub promise: u64,
    /// Whether the promise outlives the turn: a slot reaches it, or a block waits for it.
    pub wants_reply: bool,
    /// The prototype that the reference says the receiver has.
    pub kind: Option<Name>,
}

/// The selector under which the making of a twin travels.
pub const MAKE: &str = "<new:>";
/// The same for `ensure:`.
pub const ENSURE: &str = "<ensure:>";
/// The same for `cloneAs:`.
pub const CLONE: &str = "<clone:>";
/// The selector under which all twins of a prototype are asked; the arguments are a [`Many`].
pub const ALL: &str = "<all:>";
/// The path that stands for all partitions; behind it and a `/` the number of one stands for that. No twin can have it.
pub const ALL_PATH: &str = "-";
/// The selector under which a twin in quarantine is released.
pub const RELEASE: &str = "<release>";
/// The selector of the message that a twin sends itself for blocks of a promise whose answer is there; its argument is
/// the number of the message.
pub const THEN: &str = "<then:>";

/// Something a twin emitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The twin.
    pub path: String,
    /// The event's selector.
    pub selector: String,
    /// Its values.
    pub arguments: Vec<u8>,
}

/// A timer set or cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimerEffect {
    /// The twin.
    pub path: String,
    /// The timer's name.
    pub name: String,
    /// When it is due; `None`: it is cancelled.
    pub due_ns: Option<i64>,
    /// What it sends then, as [`Errand`] reads it; empty where it is cancelled, or one of the definition.
    pub errand: Vec<u8>,
}

/// Where a twin of this turn comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Birth {
    /// It was at rest.
    Loaded,
    /// It was at rest with another shape than its prototype has now.
    Carried,
    /// This turn made it.
    Made,
}

/// A twin that the turn has met.
pub(crate) struct TwinInTurn {
    pub path: Name,
    pub value: Value,
    pub birth: Birth,
    /// The next number for an object of it.
    pub counter: u32,
    pub removed: bool,
    /// Whether it is checked although nothing of it has changed.
    pub to_check: bool,
    /// Whether it takes nothing but queries.
    pub quarantined: bool,
    /// Whether it was made where this turn removed one that was at rest.
    pub replaces: bool,
    /// What the slots of a carried twin held before, by name: for `oldSlot:`.
    pub old_slots: Vec<(Symbol, Value)>,
    /// Its promises that wait for their answers, in the order of their making.
    pub waiting: Vec<Value>,
    /// How many of them it was loaded with.
    pub waiting_before: usize,
    /// The numbers, within the twin, of those that this turn took off the list.
    pub settled: Vec<u32>,
    /// What it was loaded with of promises that wait apart.
    pub apart: Apart,
    /// The one of them whose reply this turn brings.
    pub answered: Option<Answered>,
    /// Whether it has parts of long collections.
    pub has_parts: bool,
    /// Whether objects in its pieces are given what they lack.
    pub completes_pieces: bool,
}

impl TwinInTurn {
    /// Whether its list of promises that wait is another than it was.
    pub fn waits_otherwise(&self) -> bool {
        !self.settled.is_empty() || self.waiting.len() != self.waiting_before || self.answered.is_some()
    }
}

/// What a run reads and does beside computing.
pub struct TurnState {
    pub(crate) mode: Mode,
    /// The twin whose method runs.
    pub(crate) current: Value,
    /// Whether a query runs.
    pub(crate) query: bool,
    /// The first segment of all paths of the composite.
    composite: String,
    turn: u64,
    pub(crate) now_ns: i64,
    random: u64,
    random_used: bool,
    pub(crate) due_ns: Option<i64>,
    pub(crate) twins: Vec<TwinInTurn>,
    /// Objects that were read with another shape than they have, each with that: they lack first values.
    pub(crate) unfinished: Vec<(Value, u32)>,
    /// The twin whose carrying over has failed.
    pub(crate) broken: Option<String>,
    /// Whether one of them takes nothing but queries.
    pub(crate) meets_quarantine: bool,
    /// Which of them has a path, once they are more than [`FEW_TWINS`]. Of a path removed and made again the later counts.
    by_path: FxHashMap<Name, usize>,
    /// By the number that an object's header has, less one: the twin it belongs to, and its number within that.
    numbers: Vec<(u32, u32)>,
    /// By twin and number within it: the number within the turn of a part that is kept as a piece of its own.
    pieces: FxHashMap<(u32, u32), u32>,
    /// Those of them that were brought in, by their number within the turn.
    pub(crate) brought: FxHashMap<u32, Value>,
    /// The pieces with objects in them: numbers within the turn, ascending; those of the objects are behind the first up to the
    /// second, that of the piece is the third.
    pub(crate) homes: Vec<(u32, u32, u32)>,
    /// Whether the world did not know a piece yet that was asked for.
    pub(crate) not_yet: bool,
    /// How many timers the turn has set.
    timers_set: u32,
    /// How many bytes the turn leaves so far, about.
    left_bytes: usize,
    /// The promise whose blocks run.
    pub(crate) promise: Value,
    /// Those blocks, as the promise had them.
    pub(crate) actions: Value,
    /// What far queries were answered, in the order of asking: before, and now.
    pub(crate) answers: Vec<FarAnswer>,
    pub(crate) answers_used: usize,
    pub(crate) effects: Effects,
}

impl TurnState {
    pub(crate) fn new() -> TurnState {
        TurnState {
            mode: Mode::Program,
            current: Value::NIL,
            query: false,
            composite: String::new(),
            turn: 0,
            now_ns: 0,
            random: 0,
            random_used: false,
            due_ns: None,
            twins: Vec::new(),
            unfinished: Vec::new(),
            broken: None,
            meets_quarantine: false,
            by_path: FxHashMap::default(),
            numbers: Vec::new(),
            pieces: FxHashMap::default(),
            brought: FxHashMap::default(),
            homes: Vec::new(),
            not_yet: false,
            timers_set: 0,
            left_bytes: 0,
            promise: Value::NIL,
            actions: Value::NIL,
            answers: Vec::new(),
            answers_used: 0,
            effects: Effects::default(),
        }
    }

    /// Makes it ready for another turn; keeps its memory.
    fn reset(&mut self) {
        self.current = Value::NIL;
        self.query = false;
        self.composite.clear();
        self.random_used = false;
        self.due_ns = None;
        self.twins.clear();
        self.unfinished.clear();
        self.broken = None;
        self.meets_quarantine = false;
        self.by_path.clear();
        self.numbers.clear();
        self.pieces.clear();
        self.brought.clear();
        self.homes.clear();
        self.not_yet = false;
        self.timers_set = 0;
        self.left_bytes = 0;
        self.promise = Value::NIL;
        self.actions = Value::NIL;
        self.answers.clear();
        self.answers_used = 0;
        self.effects = Effects::default();
    }

    pub(crate) fn visit_roots(&mut self, visit: &mut dyn FnMut(&mut Value)) {
        visit(&mut self.current);
        self.brought.values_mut().for_each(&mut *visit);
        self.unfinished.iter_mut().for_each(|(object, _)| visit(object));
        visit(&mut self.promise);
        visit(&mut self.actions);
        for twin in &mut self.twins {
            visit(&mut twin.value);
            twin.waiting.iter_mut().for_each(&mut *visit);
            twin.apart.held.iter_mut().for_each(|(object, _)| visit(object));
            twin.old_slots.iter_mut().for_each(|(_, value)| visit(value));
        }
    }

    pub(crate) fn find(&self, path: &str) -> Option<usize> {
        if self.twins.len() <= FEW_TWINS {
            return self.twins.iter().rposition(|twin| *twin.path == *path);
        }
        self.by_path.get(path).copied()
    }

    pub(crate) fn add(&mut self, path: &str, value: Value, birth: Birth, counter: u32) -> usize {
        let nth = self.twins.len();
        let earlier = self.find(path).map(|earlier| &self.twins[earlier]);
        let replaces = earlier.is_some_and(|earlier| earlier.birth != Birth::Made || earlier.replaces);
        self.twins.push(TwinInTurn {
            path: path.into(),
            value,
            birth,
            counter,
            removed: false,
            to_check: false,
            quarantined: false,
            replaces,
            old_slots: Vec::new(),
            waiting: Vec::new(),
            waiting_before: 0,
            settled: Vec::new(),
            apart: Apart::default(),
            answered: None,
            has_parts: false,
            completes_pieces: false,
        });
        if nth > FEW_TWINS {
            self.by_path.insert(path.into(), nth);
        } else if nth == FEW_TWINS {
            self.by_path.extend(self.twins.iter().enumerate().map(|(nth, twin)| (twin.path.clone(), nth)));
        }
        nth
    }

    /// The number that the header of an object gets which is object `number` of the `nth` twin; 0 of a twin is the
    /// twin itself. Dense, whatever a long life has done to the twin's own numbers.
    pub(crate) fn number_object(&mut self, nth: usize, number: u32) -> Option<u32> {
        self.numbers.push((u32::try_from(nth).ok()?, number));
        u32::try_from(self.numbers.len()).ok()
    }

    /// The number within the turn of object `number` of the `nth` twin, which is kept as a piece of its own.
    pub(crate) fn number_piece(&mut self, nth: usize, number: u32) -> Option<u32> {
        let place = (u32::try_from(nth).ok()?, number);
        if let Some(&known) = self.pieces.get(&place) {
            return Some(known);
        }
        let number = self.number_object(nth, number)?;
        self.pieces.insert(place, number);
        Some(number)
    }

    /// How many numbers objects have got.
    pub(crate) fn numbers_given(&self) -> u32 {
        // As `number_object` keeps it.
        self.numbers.len() as u32
    }

    /// The piece that the object of this number was read with, by its number in the turn.
    pub(crate) fn home_of(&self, number: u32) -> Option<u32> {
        let after = self.homes.partition_point(|home| home.0 < number);
        let &(_, end, piece) = self.homes.get(after.checked_sub(1)?)?;
        (number <= end).then_some(piece)
    }

    /// Whether no part is kept as a piece of its own that was not brought in.
    pub(crate) fn all_brought(&self) -> bool {
        self.pieces.len() == self.brought.len()
    }

    /// The number that an object's header has, as the twin it belongs to and the number within it.
    pub(crate) fn split(&self, number: u32) -> Option<(usize, u32)> {
        let (twin, number) = *self.numbers.get((number as usize).checked_sub(1)?)?;
        Some((twin as usize, number))
    }

    /// The twin at `path`, if the turn has met it; inside, `None` if it was removed.
    pub(crate) fn twin_at(&self, path: &str) -> Option<Option<Value>> {
        let twin = &self.twins[self.find(path)?];
        Some((!twin.removed).then_some(twin.value))
    }

    /// Notes that the `nth` twin is gone, and its timers with it.
    pub(crate) fn remove(&mut self, nth: usize) {
        let twin = &mut self.twins[nth];
        twin.removed = true;
        self.effects.timers.retain(|timer| *timer.path != *twin.path);
    }

    /// The next random number of the turn.
    pub(crate) fn next_random(&mut self) -> u64 {
        self.random_used = true;
        split_mix(&mut self.random)
    }

    /// Notes a far send; answers the number of its promise.
    pub(crate) fn queue(&mut self, sender: Name, path: Name, selector: Name, arguments: Vec<u8>) -> Option<u64> {
        u16::try_from(self.effects.far_sends.len()).ok()?;
        let promise = self.next_promise();
        let (wants_reply, kind) = (false, None);
        self.effects.far_sends.push(FarSend { sender, path, selector, arguments, promise, wants_reply, kind });
        Some(promise)
    }

    /// A name for a timer that no other of the composite has or had.
    pub(crate) fn next_timer_name(&mut self) -> String {
        self.timers_set += 1;
        format!("{}.{}", self.turn, self.timers_set)
    }

    /// The number that the promise of the next far send gets. Turns of a composite are counted through all its lives,
    /// so no number comes twice.
    pub(crate) fn next_promise(&self) -> u64 {
        self.turn << 16 | self.effects.far_sends.len() as u64
    }

    /// Counts `bytes` that the turn is to leave; whether they fit a record.
    pub(crate) fn leaves(&mut self, bytes: usize) -> bool {
        self.left_bytes = self.left_bytes.saturating_add(bytes);
        self.left_bytes <= LEFT_BYTES_MAX
    }

    pub(crate) fn is_near(&self, path: &str) -> bool {
        first_segment(path) == self.composite
    }
}

/// Up to how many twins are sought one by one: most turns meet one or two.
const FEW_TWINS: usize = 4;

/// How many bytes a turn may leave: what the record of it may have.
pub(crate) const LEFT_BYTES_MAX: usize = 16 << 20;

/// The next number of a series that depends on its state alone (SplitMix64, Steele, Lea & Flood 2014).
pub fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// The name of a composite: the first segment of the paths of its twins.
pub fn first_segment(path: &str) -> &str {
    // Paths are short: a search in strides takes longer to begin than this to end.
    match path.as_bytes().iter().position(|&byte| byte == b'/') {
        Some(end) => &path[..end],
        None => path,
    }
}

impl Vm {
    // ---- turns ----

    /// Runs one turn, or one query, to its end. The run in hand rests meanwhile.
    pub fn run_turn(&mut self, world: &mut dyn World, input: &TurnInput<'_>) -> TurnEnd {
        let run = self.spare_runs.pop().unwrap_or_else(|| Vm::new_run(input.limits.memory_bytes));
        let resting = self.swap_run(run);
        self.run.fuel = input.limits.fuel;
        self.heap.region_mut().set_cap_bytes(input.limits.memory_bytes);
        self.profile_turn(input);
        let outcome = self.with_world(world, |vm, world| vm.turn(world, input));
        let outcome = if self.run.turn.not_yet { Outcome::Needs } else { outcome };
        let mut answers = std::mem::take(&mut self.run.turn.answers);
        answers.truncate(self.run.turn.answers_used);
        let used_random = self.run.turn.random_used;
        let fuel_used = input.limits.fuel.saturating_sub(self.run.fuel.max(0));
        let broken = self.run.turn.broken.take();
        self.profile_turn_end(input, fuel_used, &outcome);
        self.clear_run();
        let run = self.swap_run(resting);
        self.spare_runs.push(run);
        TurnEnd { outcome, answers, used_random, fuel_used, broken }
    }

    /// Drops what is left of a turn, so that the run is ready for another.
    fn clear_run(&mut self) {
        self.heap.clear_region();
        self.run.handles.clear();
        self.run.raise = None;
        self.run.unwind = None;
        self.run.question = None;
        self.run.fault = None;
        self.run.intrinsic = None;
        self.run.turn.reset();
    }

    fn turn(&mut self, world: &mut Asked<'_>, input: &TurnInput<'_>) -> Outcome {
        let turn = &mut self.run.turn;
        turn.mode = Mode::Turn;
        turn.composite.push_str(first_segment(input.path));
        turn.turn = input.turn;
        turn.now_ns = input.now_ns;
        turn.random = input.seed;
        turn.query = input.query;
        turn.answers.extend_from_slice(input.answers);
        self.begin(&[]);
        let result = self.receive(world, input);
        let answer = match result {
            End::Done(answer) => answer,
            End::Failed(fault) => return Outcome::Failed(fault),
            End::NotYet => return Outcome::Needs,
        };
        let mut reply = Vec::new();
        if input.query || input.wants_reply {
            let answer = match self.brought_whole(Few::from_slice(&[answer])) {
                Ok(answer) => answer[0],
                Err(stop) => return Outcome::Failed(self.fault_of_stop(stop)),
            };
            if let Err(error) = self.encode_message(answer, &mut reply) {
                return Outcome::Failed(self.not_storable_fault(&error, "answered to another composite"));
            }
        }
        if input.query {
            let output = std::mem::take(&mut self.run.turn.effects.output);
            return Outcome::Done { reply, effects: Effects { output, ..Effects::default() } };
        }
        match self.check_twins(world) {
            End::Done(_) => {}
            End::Failed(fault) => return Outcome::Failed(fault),
            End::NotYet => return Outcome::Needs,
        }
        match self.write_effects() {
            Ok(effects) => Outcome::Done { reply, effects },
            Err(fault) => Outcome::Failed(fault),
        }
    }

    /// Does what the input says, up to its answer.
    fn receive(&mut self, world: &mut Asked<'_>, input: &TurnInput<'_>) -> End {
        let there = match self.bring(world, input.path) {
            Ok(Some(there)) => there,
            Ok(None) => return End::NotYet,
            Err(fault) => return End::Failed(fault),
        };
        match input.action {
            Action::Message { selector, arguments } => {
                let Some(nth) = there else { return End::Failed(self.missing(input.path)) };
                let unfinished = self.run.turn.unfinished.len();
                let count = match self.decode_arguments(arguments) {
                    Ok(count) => count,
                    Err(error) => return End::Failed(self.decode_fault(&error)),
                };
                match self.complete_objects(world, nth, unfinished) {
                    Ok(Some(())) => {}
                    Ok(None) => return End::NotYet,
                    Err(fault) => return End::Failed(fault),
                }
                let arguments: Few = self.run.handles.drain(self.run.handles.len() - count..).collect();
                let wanted = crate::symbol::argument_count(selector);
                if wanted != count || count > ARGUMENTS_MAX {
                    let short: String = selector.chars().take(80).collect();
                    let text =
                        format!("`{short}` takes {wanted} arguments, at most {ARGUMENTS_MAX}, but was given {count}");
                    return End::Failed(self.plain_fault(ExceptionKind::ArgumentError.name(), text));
                }
                let selector = self.symbols.intern(selector);
                if let Some(fault) = self.refused_in_quarantine(nth, selector) {
                    return End::Failed(fault);
                }
                self.deliver(world, nth, selector, &arguments, Sender { system: false, query: input.query })
            }
            Action::Make { prototype, ensure } => {
                match self.parent_is_there(world, input.path) {
                    Ok(Some(Ok(()))) => {}
                    Ok(None) => return End::NotYet,
                    Ok(Some(Err(fault))) | Err(fault) => return End::Failed(fault),
                }
                let class = match self.twin_class(prototype) {
                    Ok(class) => class,
                    Err(fault) => return End::Failed(fault),
                };
                if let Some(nth) = there {
                    let twin = self.run.turn.twins[nth].value;
                    if ensure && self.is_kind_of(twin, class) {
                        return End::Done(twin);
                    }
                    return End::Failed(self.taken(input.path, twin));
                }
                match self.make_twin(input.path, class) {
                    Ok(nth) => self.deliver(world, nth, self.selectors.start_up, &[], Sender::SYSTEM),
                    Err(stop) => End::Failed(self.fault_of_stop(stop)),
                }
            }
            Action::Clone { arguments } => match self.make_clone(world, input.path, arguments) {
                Ok(Some(Ok(twin))) => End::Done(twin),
                Ok(None) => End::NotYet,
                Ok(Some(Err(fault))) | Err(fault) => End::Failed(fault),
            },
            Action::Evaluate { many } => {
                let Some(nth) = there else { return End::Failed(self.missing(input.path)) };
                self.evaluate(world, nth, &many)
            }
            Action::Check => {
                let Some(nth) = there else { return End::Failed(self.missing(input.path)) };
                self.run.turn.twins[nth].to_check = true;
                End::Done(Value::NIL)
            }
            Action::Rearm { name, errand: Some((due_ns, errand)) } => {
                self.run.turn.due_ns = Some(due_ns);
                self.run_errand(world, there, input.path, self.selectors.rearm_errand, name, errand)
            }
            Action::Rearm { name, errand: None } => {
                let Some(nth) = there else { return End::Failed(self.missing(input.path)) };
                if !self.class_repeats(self.class_of(self.run.turn.twins[nth].value), name) {
                    // The definition was another when this was sent.
                    return End::Done(Value::NIL);
                }
                let name = Value::symbol(self.symbols.intern(name).0);
                self.deliver(world, nth, self.selectors.rearm_timer, &[name], Sender::SYSTEM)
            }
            Action::Failed { arguments } => {
                let Some(nth) = there else { return End::Failed(self.missing(input.path)) };
                match crate::codec::read_failed_arguments(arguments) {
                    Some(failed) => self.receive_failed(world, nth, &failed),
                    None => {
                        End::Failed(self.plain_fault(ExceptionKind::ArgumentError.name(), "damaged arguments".into()))
                    }
                }
            }
            Action::Reply { promise, answer } => {
                let Some(nth) = there else { return End::Failed(self.missing(input.path)) };
                self.receive_reply(world, nth, promise, answer)
            }
            Action::Then { promise } => match there {
                Some(nth) => self.receive_then(world, nth, promise),
                // Its blocks went with it.
                None => End::Done(Value::NIL),
            },
            Action::Timer { name, due_ns, program: _, errand: Some(errand) } => {
                self.run.turn.due_ns = Some(due_ns);
                self.run_errand(world, there, input.path, self.selectors.fire_errand, name, errand)
            }
            Action::Timer { name, due_ns, program, errand: None } => {
                let Some(nth) = there else { return End::Failed(self.missing(input.path)) };
                self.run.turn.due_ns = Some(due_ns);
                let class = self.class_of(self.run.turn.twins[nth].value);
                if let Some(program) = program.filter(|_| !self.has_timer(class, name)) {
                    return self.fire_earlier(world, nth, name, program);
                }
                let name = Value::symbol(self.symbols.intern(name).0);
                self.deliver(world, nth, self.selectors.fire_timer, &[name], Sender::SYSTEM)
            }
        }
    }

    /// Has a twin do what a timer says that one of its turns set: `message` gets the name, and the errand as an array.
    fn run_errand(
        &mut self,
        world: &mut Asked<'_>,
        there: Option<usize>,
        path: &str,
        message: Symbol,
        name: &str,
        errand: Errand<'_>,
    ) -> End {
        let Some(nth) = there else { return End::Failed(self.missing(path)) };
        let unfinished = self.run.turn.unfinished.len();
        let count = match self.decode_arguments(&errand.to_bytes()) {
            Ok(count) => count,
            Err(error) => return End::Failed(self.decode_fault(&error)),
        };
        match self.complete_objects(world, nth, unfinished) {
            Ok(Some(())) => {}
            Ok(None) => return End::NotYet,
            Err(fault) => return End::Failed(fault),
        }
        let first = self.run.handles.len() - count;
        let array = self.allocate_indexed(self.known.array, count);
        let array = match array {
            Ok(array) => array,
            Err(stop) => return End::Failed(self.fault_of_stop(stop)),
        };
        for index in 0..count {
            self.heap.init_element(array, index, self.run.handles[first + index]);
        }
        self.run.handles.truncate(first);
        let name = Value::symbol(self.symbols.intern(name).0);
        self.deliver(world, nth, message, &[name, array], Sender::SYSTEM)
    }

    /// Runs the body of a timer that the definition of the `nth` twin had in an earlier program.
    fn fire_earlier(&mut self, world: &mut Asked<'_>, nth: usize, name: &str, program: [u8; 32]) -> End {
        if self.learn_earlier(world, &program).is_none() {
            return End::NotYet;
        }
        let twin = self.run.turn.twins[nth].value;
        let wanted = self.earlier_timer(program, self.class_of(twin), name);
        let linked = match wanted {
            Some(wanted) => self.link_earlier(&wanted),
            None => Err("no program has it".to_owned()),
        };
        match linked {
            Ok(body) => {
                self.run.turn.current = twin;
                let base = self.begin(&[twin]);
                let step = self.invoke(base, base, body, 0);
                let flow = self.settle(step, base, base);
                self.go_on(world, flow)
            }
            Err(why) => {
                let text = format!("the timer `{name}` of {} cannot run any more: {why}", self.class_name(twin));
                End::Failed(self.plain_fault("BlockGone", text))
            }
        }
    }

    /// Sends to a twin of the turn, from outside it, and runs to the answer. `private_ok`: in the system's own name.
    pub(crate) fn deliver(
        &mut self,
        world: &mut Asked<'_>,
        nth: usize,
        selector: Symbol,
        arguments: &[Value],
        sender: Sender,
    ) -> End {
        let twin = self.run.turn.twins[nth].value;
        let target = self.lookup(self.class_of(twin), selector);
        if let Some(Target::Method(method)) = target {
            let method = self.linked(method);
            if sender.query && !method.flags.query && !(method.origin.image == 0 && method.primitive.is_some()) {
                return End::Failed(self.far_send_fault(twin, selector));
            }
        }
        self.run.turn.current = twin;
        self.profile_delivery(nth, selector, arguments, sender.query);
        let mut values = Few::from_slice(&[twin]);
        values.extend_from_slice(arguments);
        // What the turn has done so far left nothing on the stack that is older than it.
        let base = self.open(&values);
        let step = self.dispatch(base, base, selector, arguments.len(), sender.system, None);
        let flow = self.settle(step, base, base);
        self.go_on(world, flow)
    }

    // ---- loading ----

    /// Makes sure that the twin at `path` is in the turn, if there is one. Outer `None`: not known yet.
    pub(crate) fn bring(&mut self, world: &mut Asked<'_>, path: &str) -> Result<Option<Option<usize>>, Fault> {
        if let Some(nth) = self.run.turn.find(path) {
            return Ok(Some((!self.run.turn.twins[nth].removed).then_some(nth)));
        }
        let Asked::Turn(turn_world) = world else { unreachable!("a program has no twins of its own") };
        let unfinished;
        let loaded = match turn_world.near_twin(path) {
            Answer::NotYet => return Ok(None),
            Answer::Here(None) => return Ok(Some(None)),
            Answer::Here(Some(bytes)) => {
                let nth = self.run.turn.twins.len();
                unfinished = self.run.turn.unfinished.len();
                self.decode_image(path, bytes, nth)
            }
        };
        let quarantined = turn_world.is_quarantined(path);
        match loaded {
            Ok(loaded) => {
                let birth = if loaded.stale { Birth::Carried } else { Birth::Loaded };
                let nth = self.run.turn.add(path, loaded.twin, birth, loaded.counter);
                self.run.turn.meets_quarantine |= quarantined;
                let twin = &mut self.run.turn.twins[nth];
                twin.old_slots = loaded.old_slots;
                twin.quarantined = quarantined;
                twin.waiting_before = loaded.waiting.len();
                twin.waiting = loaded.waiting;
                twin.apart = loaded.apart;
                twin.has_parts = loaded.has_parts;
                twin.completes_pieces = loaded.completes_pieces;
                if loaded.completes_pieces
                    && let Err(fault) = self.bring_all_of(nth)
                {
                    return if self.run.turn.not_yet { Ok(None) } else { Err(fault) };
                }
                let whole = self.is_whole(self.run.turn.twins[nth].value, loaded.shape, unfinished);
                if whole {
                    return Ok(Some(Some(nth)));
                }
                match self.complete(world, nth, loaded.shape, unfinished) {
                    Ok(done) => Ok(done.map(|()| Some(nth))),
                    Err(fault) => {
                        let birth = self.run.turn.twins[nth].birth;
                        Err(self.broken_twin(path, birth, quarantined, fault))
                    }
                }
            }
            Err(error) => Err(self.decode_fault(&error)),
        }
    }

    /// Brings in every piece of the `nth` twin.
    fn bring_all_of(&mut self, nth: usize) -> Result<(), Fault> {
        let brought = self.with_handles(|vm, first| {
            let twin = &vm.run.turn.twins[nth];
            vm.run.handles.extend_from_slice(&twin.waiting);
            vm.run.handles.extend(twin.apart.held.iter().map(|(object, _)| object));
            // `migrate` may move them into other slots.
            vm.run.handles.extend(twin.old_slots.iter().map(|(_, value)| value));
            vm.push_slots(vm.run.turn.twins[nth].value);
            vm.bring_reached(first, None)
        });
        brought.map_err(|stop| self.fault_of_stop(stop))
    }

    /// Whether the twin is there that a new one at `path` is a part of. Outer `None`: not known yet.
    pub(crate) fn parent_is_there(
        &mut self,
        world: &mut Asked<'_>,
        path: &str,
    ) -> Result<Option<Result<(), Fault>>, Fault> {
        let Some((parent, _)) = path.rsplit_once('/') else { return Ok(Some(Ok(()))) };
        Ok(self.bring(world, parent)?.map(|there| match there {
            Some(_) => Ok(()),
            None => {
                let text = format!("there is no twin at {parent} for {path} to be a part of");
                Err(self.plain_fault(ExceptionKind::PathError.name(), text))
            }
        }))
    }

    /// Makes a twin in this turn; its slots are nil so far.
    pub(crate) fn make_twin(&mut self, path: &str, class: ClassId) -> Result<usize, Stop> {
        let name = self.new_string(path)?;
        self.run.handles.push(name);
        let twin = self.allocate(class);
        let name = self.run.handles.pop().expect("pushed above");
        let twin = twin?;
        self.heap.init_slot(twin, 0, name);
        // A path removed in this turn and made again is another twin; the old one keeps its entry.
        Ok(self.run.turn.add(path, twin, Birth::Made, 1))
    }

    /// The parts below `path` as the turn sees them: committed ones and its own, without the removed.
    pub(crate) fn parts_now(&self, path: &str, committed: Vec<String>) -> Vec<String> {
        let below =
            |part: &str| part.len() > path.len() && part.starts_with(path) && part.as_bytes()[path.len()] == b'/';
        let turn = &self.run.turn;
        let mut paths: Vec<String> = committed.into_iter().filter(|part| turn.find(part).is_none()).collect();
        for twin in turn.twins.iter().filter(|twin| below(&twin.path)) {
            let current = turn.find(&twin.path).is_some_and(|nth| !turn.twins[nth].removed);
            if current {
                paths.push(twin.path.to_string());
            }
        }
        paths.sort_unstable();
        // A path that was removed and made again was met twice.
        paths.dedup();
        paths
    }

    pub(crate) fn new_references(&mut self, paths: &[String]) -> Result<Value, Stop> {
        let start = self.run.handles.len();
        let made = (|| {
            for path in paths {
                let reference = self.new_reference(path, None)?;
                self.run.handles.push(reference);
            }
            self.allocate_indexed(self.known.array, paths.len())
        })();
        if let Ok(array) = made {
            for index in 0..paths.len() {
                self.heap.init_element(array, index, self.run.handles[start + index]);
            }
        }
        self.run.handles.truncate(start);
        made
    }

    // ---- what stored twins can do ----

    /// Whether the twin at rest answers `selector` as a query.
    pub fn answers_as_query(&self, image: &[u8], selector: &str) -> bool {
        let target = self.class_at_rest(image).zip(self.symbols.find(selector));
        match target.and_then(|(class, selector)| self.find_method(class, selector)) {
            Some(Target::Method(method)) => self.linked(method).flags.query,
            Some(Target::Getter(_) | Target::Constant(_)) => true,
            None => false,
        }
    }

    /// Whether the definition of the twin at rest has no timer of this name.
    pub fn lacks_timer(&self, image: &[u8], name: &str) -> bool {
        self.class_at_rest(image).is_some_and(|class| !self.has_timer(class, name))
    }

    fn has_timer(&self, class: ClassId, name: &str) -> bool {
        let timers = &self.class(class).timers;
        timers.iter().any(|timer| self.symbols.name(self.linked(timer.method).selector) == name)
    }

    /// Whether the definition of the twin at rest had a timer of this name in an earlier program, which is known from now
    /// on.
    pub fn had_timer(&mut self, image: &[u8], name: &str, hash: [u8; 32], program: &EarlierProgram) -> bool {
        self.learn_program(hash, program.clone());
        self.class_at_rest(image).is_some_and(|class| self.earlier_timer(hash, class, name).is_some())
    }

    /// Whether the twin at rest has a timer of this name that repeats.
    pub fn timer_repeats(&self, image: &[u8], name: &str) -> bool {
        self.class_at_rest(image).is_some_and(|class| self.class_repeats(class, name))
    }

    /// Whether twins of the class have a timer of this name that fires again and again.
    fn class_repeats(&self, class: ClassId, name: &str) -> bool {
        let timers = &self.class(class).timers;
        timers.iter().any(|timer| timer.repeats && self.symbols.name(self.linked(timer.method).selector) == name)
    }

    /// What becomes of a message to the twin at rest whose turn failed.
    pub fn supervision(&self, image: &[u8]) -> Supervision {
        self.class_at_rest(image).map_or(Supervision::DEFAULT, |class| self.class(class).supervision)
    }

    /// Whether the twin at rest is of the prototype `kind`, or of one that descends from it.
    pub fn is_of_kind(&self, image: &[u8], kind: &str) -> bool {
        let Some(class) = self.class_at_rest(image) else { return false };
        // Most often it is of no other.
        if self.symbols.name(self.class(class).name) == kind {
            return true;
        }
        let wanted = self.symbols.find(kind).and_then(|name| self.class_of_prototype(self.prototype_named(name)?));
        wanted.is_some_and(|wanted| self.inherits(class, wanted))
    }

    /// The names of the prototypes that stored twins have which are of `kind`, or descend from it.
    pub fn twin_prototypes_of(&self, kind: &str) -> BTreeSet<String> {
        let wanted = self.symbols.find(kind).and_then(|name| self.class_of_prototype(self.prototype_named(name)?));
        let entries = (0..self.shapes.len() as u32).filter_map(|number| self.shapes.entry(number));
        let meant = entries.filter(|entry| {
            let is_it = |class| wanted.is_some_and(|wanted| self.inherits(class, wanted));
            entry.shape.twin && entry.class.is_some_and(is_it)
        });
        meant.map(|entry| entry.shape.prototype.clone()).collect()
    }

    fn class_at_rest(&self, image: &[u8]) -> Option<ClassId> {
        let shape = crate::codec::shape_of_image(image)?;
        self.shapes.entry(shape)?.class
    }
}
