//! What might have been: a store run on from a moment of its past, with something otherwise, beside what really happened.
//!
//! A fork is a store that lies over the base ([`overlay`]) and goes by what the base recorded ([`script`]), as far as that
//! carries ([`run`]). Nothing of it is kept, and nothing leaves it: no output, no message, no row.
//!
//! Cost: the logs are read up to the moment for what was on its way then, and from there as far as the fork goes; memory
//! holds the twins that the fork touches and what it writes.

mod overlay;
mod run;
mod script;

use std::collections::VecDeque;
use std::sync::Arc;

use twintalk_store::record::{Origin, ProgramHash, Record, Sender};
use twintalk_store::{Key, Partition, Position, Rows, Store, StoreError, Table, Tables};
use twintalk_vm::{Fault, Shapes, Vm};

use crate::clock::{Clock, ClockKind};
use crate::cut::{self, Cut};
use crate::datum::{self, Datum};
use crate::flush::Flusher;
use crate::message::{From, Message, PROGRAM, SYSTEM_PATH};
use crate::near::load;
use crate::partition::Core;
use crate::past::{LookError, TwinDifference, cause_of, read_record};
use crate::post::Post;
use crate::program::Program;
use crate::replay::{Moment, TwinState, chain, damaged};
use crate::system::{check_message, sender_text};
use crate::{OpenOptions, System, rebuild, time, values};

use overlay::Overlay;
use run::{Insertion, Pending, Run, look_error};
use script::Recorded;
pub(crate) use script::Script;

/// As whom what is put in is sent.
const SENDER: &str = "<what if>";
/// How many records are looked at for what a message came of.
const CAUSES_MAX: usize = 10_000;

/// What is to be otherwise.
#[derive(Clone, Debug)]
pub struct WhatIf {
    /// The moment of the past that the fork begins at.
    pub from: Cut,
    /// How far it goes. Up to a time behind all records it runs on by itself.
    pub until: Cut,
    /// Definitions to run from there, instead of those that ran.
    pub program: Option<Program>,
    /// Messages from outside that are left out.
    pub dropped: Vec<Dropped>,
    /// Messages that are put in.
    pub inserted: Vec<Inserted>,
}

/// Which messages from outside are left out.
#[derive(Clone, Debug, PartialEq)]
pub enum Dropped {
    /// The one whose turn is recorded there.
    At(u16, Position),
    /// All of one kind.
    Like {
        /// The twin.
        path: String,
        /// The message.
        selector: String,
        /// Its arguments; `None`: whatever they are.
        arguments: Option<Vec<Datum>>,
    },
}

/// A message that is put in.
#[derive(Clone, Debug, PartialEq)]
pub struct Inserted {
    /// When, in nanoseconds since 1970 UTC: after what was recorded for that time.
    pub time_ns: i64,
    /// The twin.
    pub path: String,
    /// The message.
    pub selector: String,
    /// Its arguments.
    pub arguments: Vec<Datum>,
}

/// A turn that failed in a fork, and did not, or otherwise, in what happened.
#[derive(Clone, Debug, PartialEq)]
pub struct ForkFault {
    /// When, in nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// The twin.
    pub path: String,
    /// The message.
    pub selector: String,
    /// Why.
    pub fault: Fault,
}

/// What came of a fork.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forked {
    /// Where it began, by partition.
    pub from: Vec<Position>,
    /// Up to where it went by the base.
    pub until: Vec<Position>,
    /// The time of the last record before it, if there was one.
    pub from_ns: Option<i64>,
    /// The time that it came to.
    pub until_ns: i64,
    /// How far it went on behind the last record of the base, if it did.
    pub runs_on: bool,
    /// How many turns it had.
    pub turns: u64,
    /// How many of them did something else than they did in the base.
    pub differing: u64,
    /// How many the base had not.
    pub added: u64,
    /// How many the base had, and it had not.
    pub missing: u64,
    /// How many messages were left out.
    pub dropped: u64,
    /// The first turns that failed otherwise than in the base.
    pub faults: Vec<ForkFault>,
    /// How many there were.
    pub fault_count: u64,
    /// The twins that are otherwise: from what they became to what they would have.
    pub differences: Vec<TwinDifference>,
}

impl System {
    /// What would have become of the twins if something had been otherwise. `progress` is told how many turns there have been.
    ///
    /// # Errors
    /// There is no such moment or message, or the program is refused; or the store refuses.
    pub fn what_if(&mut self, asked: &WhatIf, progress: &mut dyn FnMut(u64)) -> Result<Forked, LookError> {
        self.fork(asked, progress).map(|(forked, _)| forked)
    }

    /// The same with the store that the fork is, to be looked at. For tests.
    ///
    /// # Errors
    /// As [`System::what_if`].
    #[doc(hidden)]
    pub fn fork(&mut self, asked: &WhatIf, progress: &mut dyn FnMut(u64)) -> Result<(Forked, System), LookError> {
        let (partitions, vm) = self.parts();
        let (store, shapes) = (partitions.store.clone(), vm.copy_shapes());
        let (limits, present) = (partitions.first().limits, partitions.first().program);
        let from = moment(&*store, &asked.from, "begins")?;
        let until = moment(&*store, &asked.until, "ends")?;
        if from.iter().zip(&until).any(|(from, until)| from > until) {
            let text = "the fork ends before it begins: give an earlier --from or a later --until".to_owned();
            return Err(LookError::Question(text));
        }
        let ends = cut::positions(&*store, &Cut::Now)?;
        let from_ns = last_time(&*store, &from)?;
        let last_ns = last_time(&*store, &until)?;
        let Some(last_ns) = last_ns else {
            return Err(LookError::Question("nothing has happened in this store by then".to_owned()));
        };
        let (until_ns, runs_on) = match asked.until {
            Cut::Time(time_ns) => (time_ns.max(last_ns), until == ends && time_ns > last_ns),
            Cut::Now | Cut::Before(_) => (last_ns, false),
        };
        let inserted = insertions(asked, vm, from_ns, until_ns)?;
        let drops = Drops::new(&*store, asked, &from, &until)?;
        let program = program_at(&store, from[0], ends[0])?;
        let overlay = Arc::new(Overlay::new(store.clone(), shapes, from.clone())?);
        let pending = begin(&overlay, &*store, &program, (vm, present))?;
        let options = OpenOptions {
            program: asked.program.clone(),
            upgrade: true,
            limits,
            unindexed: true,
            ..OpenOptions::default()
        };
        let mut fork = System::with_store(overlay, ClockKind::Driven, options.clone()).map_err(look_error)?;
        let other = asked.program.as_ref().is_some_and(|other| other.hash() != program);
        let (partitions, fork_vm) = fork.parts();
        for (nth, core) in partitions.iter_mut().enumerate() {
            core.script = Some(Box::new(Script::new(store.clone(), core.partition, from[nth], until[nth])));
        }
        let forked = Forked { from, until: until.clone(), from_ns, until_ns, runs_on, ..Forked::default() };
        let shapes = fork_vm.copy_shapes();
        let mut drops = drops;
        let mut is_dropped = |record: &Recorded| drops.is_dropped(record, &shapes);
        let mut run = Run::new(fork, forked, options, (program, other), &mut is_dropped, inserted, pending);
        run.run(until_ns, runs_on, progress)?;
        let Run { mut fork, mut forked, touched, .. } = run;
        drops.check()?;
        for path in touched {
            let partition = usize::from(fork.parts().0.placing.of(&path).0);
            let was = self.seen(&path, Some(until[partition]))?;
            let is = fork.seen(&path, None)?;
            forked.differences.extend(TwinDifference::of(path, was, is));
        }
        Ok((forked, fork))
    }

    /// What a twin was before a position of its log, or is.
    fn seen(&mut self, path: &str, before: Option<Position>) -> Result<Option<TwinState>, StoreError> {
        let (partitions, vm) = self.parts();
        let core = partitions.of(path);
        let (store, partition) = (core.store.clone(), core.partition);
        load(&mut core.residents, &*store, partition, path)?;
        let Some(view) = core.residents.get(path) else { return Ok(None) };
        if let Some(before) = before.filter(|before| view.last >= *before) {
            return self.state(path, Moment::Before(before));
        }
        if !view.exists {
            return Ok(None);
        }
        let (life, position, image) = (view.life, view.last, view.image.to_vec());
        let mut refused = None;
        let pieces = &mut core.residents.pieces;
        let mut piece = |number| match pieces.load(&*store, partition, path, number) {
            Ok(bytes) => bytes.map(<[u8]>::to_vec),
            Err(error) => {
                refused = Some(error);
                None
            }
        };
        let slots = values::slots_of_image(&image, &mut piece, vm.shapes());
        if let Some(error) = refused {
            return Err(error);
        }
        let (prototype, slots) = slots.map_err(|_| damaged(partition, position, "a twin that cannot be read"))?;
        let (turn, time_ns) = read_record(&*store, Origin { partition, position }, |record| {
            Ok((record.envelope.turn, record.envelope.time_ns))
        })?;
        let path = path.to_owned();
        Ok(Some(TwinState { path, prototype, life, position, turn, time_ns, quarantined: false, slots }))
    }
}

// ---- moments ----

fn place(store: &dyn Store, partition: usize, position: Position) -> String {
    if store.settings().partitions == 1 { position.to_string() } else { format!("{partition}/{position}") }
}

/// How many records a block has.
fn records_of(store: &dyn Store, partition: Partition, block: u64) -> Result<u32, StoreError> {
    let lost = || damaged(partition, Position::block(block), "a block that is not there");
    let bytes = store.block(partition, block)?.ok_or_else(lost)?;
    Ok(bytes.open().map_err(|_| lost())?.len())
}

/// The positions of a moment that somebody has asked for.
fn moment(store: &dyn Store, cut: &Cut, what: &str) -> Result<Vec<Position>, LookError> {
    let Cut::Before(limits) = cut else { return Ok(cut::positions(store, cut)?) };
    let ends = cut::positions(store, &Cut::Now)?;
    let mut asked = vec![None; ends.len()];
    for (nth, limit) in limits.iter().enumerate() {
        let Some(limit) = *limit else { continue };
        let Some(end) = ends.get(nth) else {
            let text = format!("there is no partition {nth}: the store has {}", ends.len());
            return Err(LookError::Question(text));
        };
        asked[nth] = Some(in_log(store, nth, limit, *end)?);
    }
    if ends.len() > 1 {
        // Where others are is a matter of time then.
        let mut time_ns = i64::MIN;
        for (partition, limit) in (0..).map(Partition).zip(&asked) {
            if let Some(limit) = limit {
                time_ns = time_ns.max(time_at(store, partition, *limit)?);
            }
        }
        let then = cut::positions(store, &Cut::Time(time_ns))?;
        let full = asked.iter().zip(&then).map(|(asked, then)| Some(asked.unwrap_or(*then))).collect();
        let closed = cut::positions(store, &Cut::Before(full))?;
        for (nth, (asked, closed_at)) in asked.iter().zip(&closed).enumerate() {
            if let Some(asked) = asked.filter(|asked| asked != closed_at) {
                let all: Vec<String> = closed.iter().enumerate().map(|(nth, at)| format!("{nth}/{at}")).collect();
                return Err(LookError::Question(format!(
                    "{nth}/{asked} is no moment of the store at which a fork {what}: what is before it came of something that \
                     is not; the latest moment up to there is {}",
                    all.join(",")
                )));
            }
        }
        return Ok(closed);
    }
    Ok(asked.into_iter().zip(ends).map(|(asked, end)| asked.unwrap_or(end)).collect())
}

/// A position of a log that is there: behind the last record of a block it is the start of the next.
fn in_log(store: &dyn Store, nth: usize, position: Position, end: Position) -> Result<Position, LookError> {
    let partition = Partition(nth as u16);
    if position > end {
        let (at, end) = (place(store, nth, position), place(store, nth, end));
        return Err(LookError::Question(format!("{at} is behind the end of the log, which is at {end}")));
    }
    if position.index == 0 {
        return Ok(position);
    }
    let records = records_of(store, partition, position.block)?;
    match position.index {
        index if index < records => Ok(position),
        index if index == records => Ok(Position::block(position.block + 1)),
        _ => {
            let at = place(store, nth, position);
            let last = place(store, nth, Position { index: records - 1, ..position });
            let first = place(store, nth, Position::block(position.block));
            let text = format!("there is no record {at}: that block has those from {first} to {last}");
            Err(LookError::Question(text))
        }
    }
}

/// The time of the record at a position, or at the end of a log of the last.
fn time_at(store: &dyn Store, partition: Partition, position: Position) -> Result<i64, StoreError> {
    if position < store.end(partition)? {
        return read_record(store, Origin { partition, position }, |record| Ok(record.envelope.time_ns));
    }
    Ok(last_before(store, partition, position)?.unwrap_or(i64::MIN))
}

/// The time of the last record before a position.
fn last_before(store: &dyn Store, partition: Partition, position: Position) -> Result<Option<i64>, StoreError> {
    let last = match position {
        Position { index: 1.., .. } => Position { index: position.index - 1, ..position },
        Position { block: 0..=1, .. } => return Ok(None),
        Position { block, .. } => {
            let block = block - 1;
            Position { block, index: records_of(store, partition, block)? - 1 }
        }
    };
    read_record(store, Origin { partition, position: last }, |record| Ok(Some(record.envelope.time_ns)))
}

/// The time of the last record before a moment.
fn last_time(store: &dyn Store, cut: &[Position]) -> Result<Option<i64>, StoreError> {
    let mut last = None;
    for (partition, position) in (0..).map(Partition).zip(cut) {
        last = last.max(last_before(store, partition, *position)?);
    }
    Ok(last)
}

// ---- what is otherwise ----

fn insertions(asked: &WhatIf, vm: &Vm, from_ns: Option<i64>, until_ns: i64) -> Result<VecDeque<Insertion>, LookError> {
    let mut insertions = Vec::new();
    for Inserted { time_ns, path, selector, arguments } in &asked.inserted {
        check_message(path, selector).map_err(|error| LookError::Question(error.to_string()))?;
        let message = format!("`{}` to {path}", datum::message_text(selector, arguments));
        let at = time::moment_text(*time_ns);
        if from_ns.is_some_and(|from_ns| *time_ns < from_ns) {
            let begins = time::moment_text(from_ns.unwrap_or_default());
            let text = format!(
                "{message} cannot be put in at {at}: the fork begins with what is recorded up to {begins}; give an earlier --from"
            );
            return Err(LookError::Question(text));
        }
        if *time_ns > until_ns {
            let text = format!(
                "{message} cannot be put in at {at}: the fork ends at {}; give a later --until",
                time::moment_text(until_ns)
            );
            return Err(LookError::Question(text));
        }
        let bytes = values::arguments(arguments, vm.shapes()).map_err(LookError::Question)?;
        let from = From::Outside { name: SENDER.into(), number: 0 };
        let message = Message { ticket: Some(0), far: true, ..Message::new(path, selector, bytes, from) };
        insertions.push(Insertion { time_ns: *time_ns, message });
    }
    // Those of one time in the order in which they were given.
    insertions.sort_by_key(|insertion| insertion.time_ns);
    Ok(insertions.into())
}

/// What is left out, and how often it was.
struct Drops {
    /// Where the turn of each is recorded, and which message it is.
    at: Vec<(Position, script::Key)>,
    like: Vec<(Dropped, u64)>,
}

impl Drops {
    fn new(store: &dyn Store, asked: &WhatIf, from: &[Position], until: &[Position]) -> Result<Drops, LookError> {
        let mut drops = Drops { at: Vec::new(), like: Vec::new() };
        for dropped in &asked.dropped {
            match dropped {
                Dropped::At(partition, position) => {
                    let key = outside_message(store, *partition, *position, from, until)?;
                    drops.at.push((*position, key));
                }
                like @ Dropped::Like { .. } => drops.like.push((like.clone(), 0)),
            }
        }
        Ok(drops)
    }

    /// Whether the message of a record is left out.
    fn is_dropped(&mut self, record: &Recorded, shapes: &Shapes) -> bool {
        // One that waited is left out where it was let in, before the record of its turn, if its number tells that it is it.
        let mut is_dropped = self.at.iter().any(|(position, key)| {
            *key == record.key && (*position == record.position || matches!(key.from, script::Sent::Numbered(..)))
        });
        for (like, count) in &mut self.like {
            let Dropped::Like { path, selector, arguments } = like else { continue };
            let is_it = *path == record.key.path
                && *selector == record.key.selector
                && arguments.as_ref().is_none_or(|arguments| {
                    values::data_of_arguments(&record.arguments, shapes).is_ok_and(|data| data == *arguments)
                });
            if is_it {
                *count += 1;
                is_dropped = true;
            }
        }
        is_dropped
    }

    /// That each was met.
    fn check(&self) -> Result<(), LookError> {
        for (like, count) in &self.like {
            if let (Dropped::Like { path, selector, arguments }, 0) = (like, count) {
                let message = datum::message_text(selector, arguments.as_deref().unwrap_or_default());
                let text = format!(
                    "no message `{message}` to {path} came from outside while the fork ran, so there is none to leave out: \
                     `twintalk history {path}` shows what it was sent"
                );
                return Err(LookError::Question(text));
            }
        }
        Ok(())
    }
}

/// Whether the message of a record came from outside.
fn is_outside(record: &Record<'_>) -> bool {
    match record.cause.sender {
        Sender::Program | Sender::Outside(_) => true,
        // A twin that is made for what is fed.
        Sender::System => record.cause.origin.is_none() && record.composite() != SYSTEM_PATH,
        Sender::Twin(_) | Sender::Reply(_) | Sender::Timer(_) => false,
    }
}

/// The message from outside whose turn is recorded at a position.
fn outside_message(
    store: &dyn Store,
    partition: u16,
    position: Position,
    from: &[Position],
    until: &[Position],
) -> Result<script::Key, LookError> {
    let nth = usize::from(partition);
    let at = place(store, nth, position);
    let (Some(begins), Some(ends)) = (from.get(nth), until.get(nth)) else {
        let text = format!("there is no partition {partition}: the store has {}", from.len());
        return Err(LookError::Question(text));
    };
    let end = store.end(Partition(partition))?;
    let found = if position < end { in_log(store, nth, position, end)? } else { end };
    if found != position || position >= end {
        let text = format!(
            "there is no record {at} whose message could be left out: the log ends at {}",
            place(store, nth, end)
        );
        return Err(LookError::Question(text));
    }
    if position < *begins {
        let text = format!("the message of {at} came before the fork begins: give a --from at or before {at}");
        return Err(LookError::Question(text));
    }
    if position >= *ends {
        let text = format!("the message of {at} came after the fork ends: give a later --until");
        return Err(LookError::Question(text));
    }
    let origin = Origin { partition: Partition(partition), position };
    let (recorded, sender, mut cause) = read_record(store, origin, |record| {
        let sender = sender_text(&record.cause);
        let recorded = Recorded::of(origin.partition, position, record)?;
        Ok((recorded, (!is_outside(record)).then_some(sender), cause_of(store, origin, record)?))
    })?;
    let Some(sender) = sender else { return Ok(recorded.key) };
    let mut first = None;
    // Of a chain that is longer nothing is said of its start.
    for _ in 0..CAUSES_MAX {
        let Some((origin, _)) = cause else { break };
        (first, cause) = read_record(store, origin, |record| {
            Ok((is_outside(record).then_some(origin), cause_of(store, origin, record)?))
        })?;
    }
    let cure = match first {
        Some(Origin { partition, position }) => {
            format!("leave out what it came of, {}", place(store, usize::from(partition.0), position))
        }
        None => format!("`twintalk why {}` shows what it came of", recorded.key.path),
    };
    Err(LookError::Question(format!("the message of {at} came from {sender}, not from outside: {cure}")))
}

// ---- the beginning ----

/// The program that runs at a position of the first log; at its start the one that comes first.
fn program_at(store: &Arc<dyn Store>, cut: Position, end: Position) -> Result<ProgramHash, LookError> {
    let partition = Partition(0);
    let row = store.get(Table::State, Key::new().state(partition, SYSTEM_PATH))?;
    let mut found = None;
    if let Some(row) = row {
        chain(&**store, partition, SYSTEM_PATH, row.position, |position, record, _| {
            if position < cut && record.input.selector == PROGRAM {
                found = Some(*record.envelope.program);
            }
            Ok(found.is_none())
        })?;
    }
    if let Some(found) = found {
        return Ok(found);
    }
    let mut script = Script::new(store.clone(), partition, cut, end);
    while let Some(record) = script.skip()? {
        if (record.key.path.as_str(), record.key.selector.as_str()) == (SYSTEM_PATH, PROGRAM) {
            return Ok(record.program);
        }
    }
    Err(LookError::Question("nothing has happened in this store".to_owned()))
}

/// Writes what a fork has beside its twins when it begins: which program it runs, what is on its way, what is set. `present`
/// is the base's program.
fn begin(
    overlay: &Arc<Overlay>,
    base: &dyn Store,
    program: &ProgramHash,
    (vm, present): (&mut Vm, ProgramHash),
) -> Result<Pending, LookError> {
    let mut rows = Rows::new();
    let shapes = Key::new().named(Partition::SHARED, "shapes").clone();
    if let Some(row) = base.get(Table::Meta, &shapes)? {
        rows.put(Table::Meta, &shapes, Position::START, &row.bytes);
    }
    rows.put(Table::Meta, Key::new().named(Partition::SHARED, "program"), Position::START, program);
    overlay.write(&rows)?;
    let store: Arc<dyn Store> = overlay.clone();
    let count = store.settings().partitions;
    let post = Arc::new(Post::new(count, 1));
    let clock = Clock::new(ClockKind::Driven, None);
    let flusher = Arc::new(Flusher::new(store.clone()));
    let core = |nth| Core::new(Partition(nth), store.clone(), post.clone(), flusher.clone(), clock.clone(), present);
    let cores = (0..count).map(core);
    let mut cores = cores.collect::<Result<Vec<_>, _>>()?;
    rebuild::rebuild_beside_twins(&mut cores, vm)?;
    let mut pending = Pending::default();
    for core in &cores {
        let timers = core.timers.iter();
        pending.timers.extend(timers.map(|(id, due_ns)| ((id.path.to_string(), id.name.to_string()), due_ns)));
        pending.quarantined.extend(core.supervisor.quarantined().map(|(path, ..)| path.to_owned()));
    }
    Ok(pending)
}
