//! Questions about the past: what differs between two moments, and why something is as it is.
//!
//! The *causal chain* of a value starts with the record that set it, and goes from each record to the one that sent its
//! message, up to what came from outside. A record says by which message it was caused and by which record of which log;
//! of a timer it does not, so the record that set it is sought in the history of its twin: of one that repeats that
//! which set it first.

use twintalk_store::record::{self, Origin, Record, Sender, TwinChange};
use twintalk_store::{KeyRange, Partition, Position, Store, StoreError, Table};
use twintalk_vm::Vm;
use twintalk_vm::codec::read_timer_arguments;

use crate::changes::{SlotChange, changes, value_at, value_changes};
use crate::datum::Datum;
use crate::message::{REARM, decode_answer};
use crate::near::load;
use crate::partition::Core;
use crate::replay::{Folded, HistoryEntry, Moment, Step, TwinState, chain, damaged, data, entry, shown, steps};
use crate::system::System;
use crate::values;

/// How many steps of a history at least are folded again at a time, looking for the one that set a value.
const WINDOW_STEPS: usize = 256;
/// How many states are kept on the way, to fold from again.
const SNAPSHOTS_MAX: usize = 64;
/// How many records of a chain are told: one of a twin that goes on by sending to itself is as long as its life.
const LINKS_MAX: usize = 100_000;

/// Why a question about a store has no answer.
#[derive(Debug)]
pub enum LookError {
    /// The store refuses.
    Store(StoreError),
    /// It asks about what is not there: a sentence that says what is.
    Question(String),
}

impl std::fmt::Display for LookError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LookError::Store(error) => error.fmt(f),
            LookError::Question(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for LookError {}

impl From<StoreError> for LookError {
    fn from(error: StoreError) -> LookError {
        LookError::Store(error)
    }
}

/// How a twin differs between two moments.
#[derive(Clone, Debug, PartialEq)]
pub struct TwinDifference {
    /// Its path.
    pub path: String,
    /// What it was; none: there was none.
    pub from: Option<TwinState>,
    /// What it became.
    pub to: Option<TwinState>,
    /// Where its slots differ.
    pub changes: Vec<SlotChange>,
}

impl TwinDifference {
    /// Of these two states, if they differ in what a twin is rather than in what it was sent.
    pub(crate) fn of(path: String, from: Option<TwinState>, to: Option<TwinState>) -> Option<TwinDifference> {
        let slots = |state: &Option<TwinState>| state.as_ref().map(|state| state.slots.clone()).unwrap_or_default();
        let changes = changes(&slots(&from), &slots(&to));
        let kind = |state: &Option<TwinState>| state.as_ref().map(|state| (state.prototype.clone(), state.life));
        (kind(&from) != kind(&to) || !changes.is_empty()).then_some(TwinDifference { path, from, to, changes })
    }
}

/// Why something is as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// What it is; of a whole twin nil.
    pub value: Datum,
    /// What the first record changed there.
    pub changes: Vec<SlotChange>,
    /// The record that set it, then the record that sent the message of that, and so on.
    pub links: Vec<Link>,
    /// Whether the chain goes on behind these.
    pub goes_on: bool,
}

/// One record of a causal chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// In whose log it is.
    pub partition: u16,
    /// How it led to the one before.
    pub step: LinkStep,
    /// What it says.
    pub entry: HistoryEntry,
    /// What its turn was answered by other composites: which, after how many of their turns, and what.
    pub answers: Vec<(String, u64, Result<Datum, String>)>,
}

/// How a record led to the next of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStep {
    /// It set the value, or made or removed the twin.
    Set,
    /// It sent the message.
    Sent,
    /// It answered a message, and this is the reply.
    Replied,
    /// It set the timer.
    Timer,
    /// It failed, and supervision sent the message.
    Failed,
}

impl LinkStep {
    /// In words.
    pub const fn text(self) -> &'static str {
        match self {
            LinkStep::Set => "set it",
            LinkStep::Sent => "sent that",
            LinkStep::Replied => "gave that reply",
            LinkStep::Timer => "set that timer",
            LinkStep::Failed => "failed, and so that was sent",
        }
    }
}

/// Calls `read` with the record at a position.
pub(crate) fn read_record<T>(
    store: &dyn Store,
    at: Origin,
    read: impl FnOnce(&Record<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let lost = || damaged(at.partition, at.position, "a record whose cause is in no log");
    let bytes = store.block(at.partition, at.position.block)?.ok_or_else(lost)?;
    let block = bytes.open().map_err(|_| lost())?;
    read(&block.record(at.position.index).map_err(|_| lost())?)
}

/// The newest record that lists a twin, as memory has it.
fn newest(core: &mut Core, path: &str) -> Result<Position, StoreError> {
    load(&mut core.residents, &*core.store, core.partition, path)?;
    Ok(core.residents.get(path).map_or(Position::START, |view| view.last))
}

impl System {
    /// Every path at or below `path` where a twin is or ever was, sorted.
    fn paths_below(&mut self, path: &str) -> Result<Vec<String>, StoreError> {
        let (partitions, _) = self.parts();
        let core = partitions.of(path);
        let mut paths = Vec::new();
        for row in core.store.scan(Table::State, &KeyRange::twin_and_parts(core.partition, path))? {
            paths.extend(row?.0.path());
        }
        let below = |part: &str| part.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        paths.extend(core.residents.iter().filter(|view| below(view.path)).map(|view| view.path.to_owned()));
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// Refuses a moment that is none of the twin at `path`.
    ///
    /// # Errors
    /// No record lists the path, or its composite has had no turn of this number; or the store refuses.
    pub fn check_moment(&mut self, path: &str, moment: Moment) -> Result<(), LookError> {
        let (partitions, _) = self.parts();
        let core = partitions.of(path);
        if newest(core, path)? == Position::START {
            return Err(LookError::Question(format!("there never was a twin {path}")));
        }
        let composite = record::composite_of(path);
        let turns = core.turn_of(composite)?.0;
        if let Moment::Turn(turn) = moment
            && turn > turns
        {
            let text = format!("{composite} has had {turns} turns, so there is no turn {turn}");
            return Err(LookError::Question(text));
        }
        Ok(())
    }

    /// Why there is no twin at `path` at a moment, in a sentence.
    ///
    /// # Errors
    /// The store refuses.
    pub fn absence(&mut self, path: &str, moment: Moment) -> Result<String, StoreError> {
        let history = self.history(path, None, None)?;
        let happened = |entry: &&HistoryEntry| match moment {
            Moment::Now => true,
            Moment::Time(time_ns) => entry.time_ns <= time_ns,
            Moment::Turn(turn) => entry.turn <= turn,
            Moment::Before(end) => entry.position < end,
        };
        let text = |entry: &HistoryEntry| format!("turn {}, {}", entry.turn, crate::time::moment_text(entry.time_ns));
        let last = history.iter().rev().filter(happened).find(|entry| entry.change == Some("removed"));
        let made = history.iter().find(|entry| entry.change == Some("made"));
        Ok(match (last, made, history.is_empty()) {
            (Some(removed), _, _) => format!("there was no twin {path} then: it was removed in {}", text(removed)),
            (None, Some(made), _) => format!("there was no twin {path} yet: it was made in {}", text(made)),
            (None, None, false) => format!("there never was a twin {path}; what it was sent failed"),
            (None, None, true) => format!("there never was a twin {path}"),
        })
    }

    /// How the twin at `path` and its parts differ between two moments; without a first one, from before there was anything.
    ///
    /// # Errors
    /// There is no such moment; or the store refuses.
    pub fn differences(
        &mut self,
        path: &str,
        from: Option<Moment>,
        to: Moment,
    ) -> Result<Vec<TwinDifference>, LookError> {
        for moment in from.into_iter().chain([to]) {
            self.check_moment(path, moment)?;
        }
        let mut found = Vec::new();
        for path in self.paths_below(path)? {
            let from = match from {
                Some(moment) => self.state(&path, moment)?,
                None => None,
            };
            let to = self.state(&path, to)?;
            found.extend(TwinDifference::of(path, from, to));
        }
        Ok(found)
    }

    /// Why the value at `place` (a slot, or a place inside one) of the twin at `path` was what it was at a moment; without a
    /// place, why there is the twin, or is none any more.
    ///
    /// Cost: reads the history of the twin's life, and a record for each link.
    ///
    /// # Errors
    /// There was no such twin, slot or moment; or the store refuses.
    pub fn why(&mut self, path: &str, place: Option<&str>, moment: Moment) -> Result<Reason, LookError> {
        self.check_moment(path, moment)?;
        let (partitions, vm) = self.parts();
        let core = partitions.of(path);
        let last = newest(core, path)?;
        let (store, partition) = (core.store.clone(), core.partition);
        let found = match place {
            None => made_or_removed(&*store, partition, path, last, moment)?
                .map(|position| (position, Datum::Nil, Vec::new())),
            Some(place) => set(&*store, partition, vm, path, last, moment, place)?,
        };
        let Some((position, value, changes)) = found else {
            return Err(LookError::Question(self.absence(path, moment)?));
        };
        let (links, goes_on) = links(&*store, vm, Origin { partition, position }, path)?;
        Ok(Reason { value, changes, links, goes_on })
    }
}

/// The last record up to a moment that made the twin, or removed it.
fn made_or_removed(
    store: &dyn Store,
    partition: Partition,
    path: &str,
    newest: Position,
    moment: Moment,
) -> Result<Option<Position>, StoreError> {
    let mut found = None;
    chain(store, partition, path, newest, |position, record, twin| {
        let moved = matches!(twin.kind, TwinChange::Created | TwinChange::Removed);
        if moved && moment.includes(position, &record.envelope) {
            found = Some(position);
        }
        Ok(found.is_none())
    })?;
    Ok(found)
}

/// The record that set the value at a place, the value, and what the record changed there. `None`: there was no twin.
fn set(
    store: &dyn Store,
    partition: Partition,
    vm: &Vm,
    path: &str,
    newest: Position,
    moment: Moment,
    place: &str,
) -> Result<Option<(Position, Datum, Vec<SlotChange>)>, LookError> {
    let is_first = |twin: &record::TwinEffect<'_>| matches!(twin.kind, TwinChange::Created | TwinChange::Removed);
    let steps = steps(store, partition, path, newest, moment, is_first)?;
    let shapes = vm.shapes();
    let window = WINDOW_STEPS.max(steps.len().div_ceil(SNAPSHOTS_MAX));
    let mut before_windows: Vec<Option<Folded>> = Vec::new();
    let mut folded = None;
    for (nth, step) in steps.iter().enumerate() {
        if nth % window == 0 {
            before_windows.push(folded.clone());
        }
        folded = step.take(partition, shapes, folded)?;
    }
    let Some(last) = folded else { return Ok(None) };
    let now = shown(shapes, partition, path, last)?;
    let Some(value) = value_at(&now.slots, place).map_err(LookError::Question)?.cloned() else {
        let names: Vec<&str> = now.slots.iter().map(|(name, _)| &**name).collect();
        let text = match names.as_slice() {
            [] => format!("{path}, a {}, stores no slots", now.prototype),
            names => format!("{path}, a {}, has no {place}; it stores {}", now.prototype, names.join(", ")),
        };
        return Err(LookError::Question(text));
    };
    let at = |folded: &Option<Folded>| -> Result<Option<Datum>, LookError> {
        let Some(folded) = folded else { return Ok(None) };
        let slots = shown(shapes, partition, path, folded.clone())?.slots;
        Ok(value_at(&slots, place).map_err(LookError::Question)?.cloned())
    };
    for (start, before) in steps.chunks(window).zip(before_windows).rev() {
        let mut folded = before;
        let mut held = at(&folded)?;
        let mut newest: Option<(&Step, Option<Datum>, Option<Datum>)> = None;
        for step in start {
            let is_same = step.kind == TwinChange::Touched;
            folded = step.take(partition, shapes, folded)?;
            if is_same {
                continue;
            }
            let holds = at(&folded)?;
            if holds != held {
                newest = Some((step, held, holds.clone()));
            }
            held = holds;
        }
        if let Some((step, before, after)) = newest {
            let changes = value_changes(place, before.as_ref(), after.as_ref());
            return Ok(Some((step.position, value, changes)));
        }
    }
    let first = steps.first().map_or(Position::START, |step| step.position);
    Err(LookError::Store(damaged(partition, first, "a twin that no record has made")))
}

/// The record at `first`, what caused it, and so on; and whether there is more.
fn links(store: &dyn Store, vm: &Vm, first: Origin, path: &str) -> Result<(Vec<Link>, bool), StoreError> {
    let mut links = Vec::new();
    let mut next = Some((first, LinkStep::Set));
    while let Some((at, step)) = next.take() {
        let (link, cause) = read_record(store, at, |record| {
            let Origin { partition, position } = at;
            let shapes = vm.shapes();
            let twin = match step {
                LinkStep::Set => record.twins.iter().find(|twin| twin.path == path),
                _ => None,
            };
            let twin = twin.unwrap_or(record.receiver());
            let entry = entry(position, record, twin, |bytes| data(shapes, partition, position, bytes))?;
            let answers = record.input.answers.iter().filter_map(|answer| {
                let reply = match decode_answer(answer)?.reply {
                    Ok(bytes) => Ok(values::datum_of_message(&bytes, shapes).ok()?),
                    Err(fault) => Err(fault.to_string()),
                };
                Some((answer.composite.to_owned(), answer.turn, reply))
            });
            let link = Link { partition: partition.0, step, entry, answers: answers.collect() };
            Ok((link, cause_of(store, at, record)?))
        })?;
        links.push(link);
        next = cause;
        if links.len() == LINKS_MAX {
            break;
        }
    }
    Ok((links, next.is_some()))
}

/// The record that caused this one. `None`: it came from outside.
pub(crate) fn cause_of(
    store: &dyn Store,
    at: Origin,
    record: &Record<'_>,
) -> Result<Option<(Origin, LinkStep)>, StoreError> {
    let step = match record.cause.sender {
        Sender::Program | Sender::Outside(_) => return Ok(None),
        Sender::Twin(_) => LinkStep::Sent,
        Sender::Reply(_) => LinkStep::Replied,
        Sender::Timer(name) => {
            let position = timer_set(store, at, record, name)?;
            return Ok(position.map(|position| (Origin { position, ..at }, LinkStep::Timer)));
        }
        Sender::System => LinkStep::Failed,
    };
    Ok(record.cause.origin.map(|origin| (origin, step)))
}

/// The record that set the timer whose turn this is; where a turn of the same timer did, that which set it first.
fn timer_set(store: &dyn Store, at: Origin, record: &Record<'_>, name: &str) -> Result<Option<Position>, StoreError> {
    let receiver = record.receiver();
    let mut due_ns = read_timer_arguments(record.input.arguments).map(|timer| timer.due_ns);
    let mut found = None;
    let path = receiver.path;
    chain(store, at.partition, path, receiver.previous.unwrap_or(Position::START), |position, record, twin| {
        let is_own = match record.cause.sender {
            Sender::Timer(timer) => timer == name && record.receiver().path == path,
            _ => record.input.selector == REARM && record.receiver().path == path,
        };
        let sets = match &record.outcome {
            record::Outcome::Committed(effects) if due_ns.is_some() => {
                effects.timers.iter().any(|timer| (timer.twin, timer.name, timer.due_ns) == (path, name, due_ns))
            }
            record::Outcome::Committed(_) | record::Outcome::Failed(_) => false,
        };
        if sets && !is_own {
            found = Some(position);
        } else if sets && let Sender::Timer(_) = record.cause.sender {
            due_ns = read_timer_arguments(record.input.arguments).map(|timer| timer.due_ns);
        } else if sets {
            // Set again since the turn before it failed, whose time was before.
            due_ns = None;
        } else if due_ns.is_none()
            && let Sender::Timer(timer) = record.cause.sender
            && timer == name
            && record.receiver().path == path
        {
            due_ns = read_timer_arguments(record.input.arguments).map(|timer| timer.due_ns);
        }
        Ok(found.is_none() && twin.kind != TwinChange::Created)
    })?;
    Ok(found)
}
