//! Records into state: recovery and the past. Replay applies what records say was changed, and runs no code.

use std::collections::{BTreeMap, BTreeSet};

use twintalk_store::record::{self, ProgramHash, Record};
use twintalk_store::{BlockBytes, Key, KeyRange, Partition, Place, Position, Store, StoreError, Table};
use twintalk_vm::codec::DecodeError;
use twintalk_vm::turn::{Action, TwinChange, Whole};
use twintalk_vm::{AtRest, Fault, Shapes, Vm};

use crate::datum::Datum;
use crate::message::{Message, PROGRAM, SYSTEM_PATH, action};
use crate::near::load;
use crate::partition::Core;
use crate::resident::read_row;
use crate::system::{System, sender_text};
use crate::values;

/// A moment of a twin's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The newest.
    Now,
    /// After the last turn at or before this time, in nanoseconds since 1970 UTC.
    Time(i64),
    /// After the turn of this number of the composite.
    Turn(u64),
    /// Before the record at this position of its partition's log.
    Before(Position),
}

impl Moment {
    /// Whether a record at `position` has happened by then.
    pub(crate) fn includes(self, position: Position, envelope: &record::Envelope<'_>) -> bool {
        match self {
            Moment::Now => true,
            Moment::Time(time_ns) => envelope.time_ns <= time_ns,
            Moment::Turn(turn) => envelope.turn <= turn,
            Moment::Before(end) => position < end,
        }
    }
}

/// What a twin was at some moment.
#[derive(Clone, Debug, PartialEq)]
pub struct TwinState {
    /// Its path.
    pub path: String,
    /// Its definition.
    pub prototype: String,
    /// Which life of the path.
    pub life: u64,
    /// The record that left it so.
    pub position: Position,
    /// That record's turn in the composite.
    pub turn: u64,
    /// And its time, in nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// Whether it takes nothing but queries until it is released. Of the past nothing is said.
    pub quarantined: bool,
    /// What its slots held, in their order.
    pub slots: Vec<(String, Datum)>,
}

/// A twin in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TwinSummary {
    /// Its path.
    pub path: String,
    /// Its definition.
    pub prototype: String,
    /// Whether it takes nothing but queries until it is released.
    pub quarantined: bool,
}

/// A record as a user sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoryEntry {
    /// Where it stands in the log.
    pub position: Position,
    /// The turn in the composite.
    pub turn: u64,
    /// Its time, in nanoseconds since 1970 UTC.
    pub time_ns: i64,
    /// The time the device gave.
    pub device_time_ns: Option<i64>,
    /// Who sent the message.
    pub sender: String,
    /// The number that an outside sender gave it; 0 for none.
    pub number: u64,
    /// The twin that the message was for.
    pub receiver: String,
    /// The message.
    pub selector: String,
    /// Its arguments.
    pub arguments: Vec<Datum>,
    /// Why it failed, if it did.
    pub fault: Option<Fault>,
    /// What supervision has to do with it: that an attempt before failed, that the message is a dead letter.
    pub notes: Vec<&'static str>,
    /// What became of the twin that was asked about: made, changed, removed; none if it was only met.
    pub change: Option<&'static str>,
    /// What the turn printed.
    pub output: String,
    /// What twins emitted: path, event, values.
    pub events: Vec<(String, String, Vec<Datum>)>,
    /// What it sent far: receiver, selector, arguments.
    pub far_sends: Vec<(String, String, Vec<Datum>)>,
}

pub(crate) fn damaged(partition: Partition, position: Position, what: &'static str) -> StoreError {
    StoreError::Corrupt {
        at: Place::Log { partition, position },
        reason: twintalk_store::Corruption::Bytes(record::RecordError::Malformed(what)),
    }
}

/// Calls `visit` with every record from `from` on.
pub(crate) fn each_record(
    store: &dyn Store,
    partition: Partition,
    from: Position,
    mut visit: impl FnMut(Position, &Record<'_>, &BlockBytes) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for block in store.read(partition, from)? {
        let bytes = block?;
        let corrupt = |reason| StoreError::Corrupt {
            at: Place::Log { partition, position: Position::block(bytes.number()) },
            reason: twintalk_store::Corruption::Bytes(reason),
        };
        let block = bytes.open().map_err(corrupt)?;
        let first = if block.number() == from.block { from.index } else { 0 };
        for record in block.records(first) {
            let (position, record) = record.map_err(corrupt)?;
            visit(position, &record, &bytes)?;
        }
    }
    Ok(())
}

/// Brings the memory of all partitions to the ends of their logs: twins, timers, counters, and what logs have sent that
/// was not taken yet.
pub(crate) fn recover(cores: &mut [Core], vm: &mut Vm) -> Result<(), StoreError> {
    for core in cores.iter_mut() {
        recover_twins(core, vm)?;
        core.load_sources()?;
        core.load_supervision()?;
        core.load_waiting()?;
    }
    for from in 0..cores.len() {
        recover_outbox(cores, from)?;
    }
    Ok(())
}

fn recover_twins(core: &mut Core, vm: &mut Vm) -> Result<(), StoreError> {
    let partition = core.partition;
    core.load_timers()?;
    let end = core.store.end(partition)?;
    if end <= Position::FIRST {
        return Ok(());
    }
    let checkpoint = core.store.checkpoint(partition)?.max(Position::FIRST);
    let store = core.store.clone();
    each_record(&*store, partition, checkpoint, |position, record, _| Applied::of(record).apply(core, vm, position))?;
    // The time goes on from the last record.
    if let Some(last) = core.store.block(partition, end.block - 1)? {
        let block = last.open().map_err(|_| damaged(partition, Position::block(end.block - 1), "the last block"))?;
        if let Some(index) = block.len().checked_sub(1) {
            let position = block.position(index);
            let record = block.record(index).map_err(|_| damaged(partition, position, "the last record"))?;
            core.continue_after(position, record.envelope.time_ns);
        }
    }
    Ok(())
}

/// Queues what the log of one partition has sent to any that these have not taken.
pub(crate) fn recover_outbox(cores: &mut [Core], from: usize) -> Result<(), StoreError> {
    let (partition, store) = (cores[from].partition, cores[from].store.clone());
    let Some(first) = cores.iter().map(|core| core.sources[from].taken.0).min() else { return Ok(()) };
    if first >= store.end(partition)? {
        return Ok(());
    }
    let placing = cores[from].placing;
    each_record(&*store, partition, first.max(Position::FIRST), |position, record, _| {
        sent_by(record, record::Origin { partition, position }, &mut |nth, message| {
            let core = &mut cores[usize::from(placing.of(&message.path).0)];
            if core.sources[from].taken <= (position, nth) {
                let order = core.post.next_order();
                core.receive(Message { order, ..message });
            }
        });
        Ok(())
    })
}

/// Calls `visit` with all that leaves the record at `origin` for twins, counted from 0: its far sends, then its reply.
pub(crate) fn sent_by(record: &Record<'_>, origin: record::Origin, visit: &mut dyn FnMut(u32, Message)) {
    let time_ns = record.envelope.time_ns;
    let mut leaves = 0;
    let mut failed = None;
    let mut reply = None;
    match &record.outcome {
        record::Outcome::Committed(effects) => {
            for send in effects.sends.iter() {
                visit(leaves, Message::far_send(send, origin, leaves, time_ns));
                leaves += 1;
            }
            reply = effects.reply;
        }
        record::Outcome::Failed(failure) => failed = Some(fault_of(failure)),
    }
    let flags = record.envelope.flags;
    if flags.contains(record::Flags::REPLIES)
        && !flags.contains(record::Flags::RETRIES)
        && let record::Sender::Twin(sender) = record.cause.sender
    {
        let answer = match &failed {
            None => Ok(reply.unwrap_or_default()),
            Some(fault) => Err(fault),
        };
        let receiver = record.receiver().path;
        visit(leaves, Message::reply(sender, receiver, record.cause.number, answer, origin, leaves, time_ns));
    }
}

/// What replay needs of a record.
pub(crate) struct Applied {
    composite: String,
    turn: u64,
    /// Path, life, what became of it, whether the bytes are all of it, and these.
    twins: Vec<(String, u64, record::TwinChange, bool, Vec<u8>)>,
}

impl Applied {
    pub(crate) fn of(record: &Record<'_>) -> Applied {
        Applied {
            composite: record.composite().to_owned(),
            turn: record.envelope.turn,
            twins: record
                .twins
                .iter()
                .map(|twin| (twin.path.to_owned(), twin.life, twin.kind, twin.prototype.is_some(), twin.bytes.to_vec()))
                .collect(),
        }
    }

    pub(crate) fn apply(self, core: &mut Core, vm: &Vm, position: Position) -> Result<(), StoreError> {
        for (path, life, kind, whole, bytes) in self.twins {
            load(&mut core.residents, &*core.store, core.partition, &path)?;
            if core.residents.get(&path).is_some_and(|view| view.last >= position) {
                // The row knows it already.
                continue;
            }
            let change = match kind {
                record::TwinChange::Touched => None,
                record::TwinChange::Created => {
                    let at_rest = vm
                        .shapes()
                        .settle(&bytes, None)
                        .map_err(|_| damaged(core.partition, position, "a twin that cannot be read"))?;
                    Some(TwinChange::Image(Whole { bytes, at_rest: Some(at_rest) }))
                }
                record::TwinChange::Changed => {
                    let old = core.residents.get(&path).map(|view| view.image.to_vec()).unwrap_or_default();
                    let mut refused = None;
                    let (known, store, partition) = (&mut core.residents.pieces, &*core.store, core.partition);
                    let mut pieces = |number| match known.load(store, partition, &path, number) {
                        Ok(bytes) => bytes.map(<[u8]>::to_vec),
                        Err(error) => {
                            refused = Some(error);
                            None
                        }
                    };
                    let at_rest = match whole {
                        true => vm.shapes().settle(&bytes, Some((&old, &mut pieces))),
                        false => vm.shapes().apply_delta(&old, &mut pieces, &bytes),
                    };
                    if let Some(error) = refused {
                        return Err(error);
                    }
                    let at_rest = at_rest
                        .map_err(|_| damaged(core.partition, position, "a change that does not fit its twin"))?;
                    Some(match whole {
                        true => TwinChange::Carried(Whole { bytes, at_rest: Some(at_rest) }),
                        false => TwinChange::Delta { delta: bytes, at_rest },
                    })
                }
                record::TwinChange::Removed => Some(TwinChange::Removed),
            };
            match change {
                Some(change) => core.take_twin(&path, &change, position, None),
                None => core.touch(&path, position, None),
            }
            core.set_life(&path, life);
        }
        load(&mut core.residents, &*core.store, core.partition, &self.composite)?;
        if core.residents.get(&self.composite).is_none_or(|view| view.turn < self.turn) {
            core.set_turn(&self.composite, self.turn);
        }
        Ok(())
    }
}

/// The records that list a twin, newest first, back to its first life.
pub(crate) fn chain(
    store: &dyn Store,
    partition: Partition,
    path: &str,
    newest: Position,
    mut visit: impl FnMut(Position, &Record<'_>, &record::TwinEffect<'_>) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut at = (newest > Position::START).then_some(newest);
    while let Some(position) = at {
        let bytes = store
            .block(partition, position.block)?
            .ok_or_else(|| damaged(partition, position, "a back chain that leads out of the log"))?;
        let block = bytes.open().map_err(|_| damaged(partition, position, "a block that cannot be read"))?;
        let record =
            block.record(position.index).map_err(|_| damaged(partition, position, "a record that is not there"))?;
        let twin = record.twins.iter().find(|twin| twin.path == path);
        let twin =
            twin.ok_or_else(|| damaged(partition, position, "a back chain that leads to another twin's record"))?;
        let before = twin.previous;
        if before.is_some_and(|before| before >= position) {
            return Err(damaged(partition, position, "a back chain that does not lead back"));
        }
        if !visit(position, &record, twin)? {
            return Ok(());
        }
        at = before;
    }
    Ok(())
}

/// The programs that the store ran, from the newest back, until `visit` answers false.
pub(crate) fn programs(
    store: &dyn Store,
    mut visit: impl FnMut(ProgramHash) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let partition = Partition(0);
    let mut key = Key::new();
    let Some(row) = store.get(Table::State, key.state(partition, SYSTEM_PATH))? else { return Ok(()) };
    chain(store, partition, SYSTEM_PATH, row.position, |_, record, _| match record.input.selector {
        PROGRAM => visit(*record.envelope.program),
        _ => Ok(true),
    })
}

/// What the log says of a twin now.
pub(crate) fn newest(core: &mut Core, vm: &mut Vm, path: &str) -> Result<Option<State>, StoreError> {
    let last = core.residents.get(path).map_or(Position::START, |view| view.last);
    let at = fold(&*core.store, core.partition, vm.shapes(), path, last, Moment::Now)?;
    Ok(at.map(|at| at.state))
}

/// A twin at rest, by what records say.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct State {
    pub image: Vec<u8>,
    /// By their number, promises that wait apart too.
    pub pieces: BTreeMap<u64, Vec<u8>>,
}

impl State {
    /// What a record has whole of a twin that is new.
    pub fn created(shapes: &Shapes, bytes: &[u8]) -> Result<State, DecodeError> {
        let mut state = State::default();
        state.take(shapes.settle(bytes, None)?);
        Ok(state)
    }

    /// Takes what a record says was changed; `whole`: the twin was carried over.
    pub fn change(&mut self, shapes: &Shapes, bytes: &[u8], whole: bool) -> Result<(), DecodeError> {
        let mut pieces = |number| self.pieces.get(&number).cloned();
        let at_rest = match whole {
            true => shapes.settle(bytes, Some((&self.image, &mut pieces)))?,
            false => shapes.apply_delta(&self.image, &mut pieces, bytes)?,
        };
        self.take(at_rest);
        Ok(())
    }

    fn take(&mut self, at_rest: AtRest) {
        self.image = at_rest.image;
        for piece in at_rest.pieces {
            match piece.bytes {
                Some(bytes) => self.pieces.insert(piece.number, bytes),
                None => self.pieces.remove(&piece.number),
            };
        }
    }
}

/// A twin as records left it.
#[derive(Clone)]
pub(crate) struct Folded {
    pub state: State,
    pub life: u64,
    pub position: Position,
    pub turn: u64,
    pub time_ns: i64,
}

/// What one record says of a twin.
pub(crate) struct Step {
    pub position: Position,
    pub kind: record::TwinChange,
    pub turn: u64,
    pub time_ns: i64,
    life: u64,
    /// Whether the bytes are all of it.
    whole: bool,
    bytes: Vec<u8>,
}

impl Step {
    /// The twin behind this record, of what it was before.
    pub fn take(
        &self,
        partition: Partition,
        shapes: &Shapes,
        folded: Option<Folded>,
    ) -> Result<Option<Folded>, StoreError> {
        let Step { position, turn, time_ns, life, .. } = *self;
        let unfit = |_| damaged(partition, position, "a change that does not fit its twin");
        Ok(match (self.kind, folded) {
            // The first step is whole: one that is not new is a carried twin.
            (record::TwinChange::Created, _) | (record::TwinChange::Changed, None) => {
                let state = State::created(shapes, &self.bytes).map_err(unfit)?;
                Some(Folded { state, life, position, turn, time_ns })
            }
            (record::TwinChange::Removed, _) => None,
            (record::TwinChange::Touched, folded) => folded.map(|folded| Folded { position, turn, time_ns, ..folded }),
            (record::TwinChange::Changed, Some(mut folded)) => {
                folded.state.change(shapes, &self.bytes, self.whole).map_err(unfit)?;
                Some(Folded { life, position, turn, time_ns, ..folded })
            }
        })
    }
}

/// The records of a twin up to a moment, oldest first, from the last one for which `is_first` holds; what it says is whole.
pub(crate) fn steps(
    store: &dyn Store,
    partition: Partition,
    path: &str,
    newest: Position,
    moment: Moment,
    is_first: impl Fn(&record::TwinEffect<'_>) -> bool,
) -> Result<Vec<Step>, StoreError> {
    let mut steps = Vec::new();
    chain(store, partition, path, newest, |position, record, twin| {
        if !moment.includes(position, &record.envelope) {
            return Ok(true);
        }
        steps.push(Step {
            position,
            kind: twin.kind,
            turn: record.envelope.turn,
            time_ns: record.envelope.time_ns,
            life: twin.life,
            whole: twin.prototype.is_some(),
            bytes: twin.bytes.to_vec(),
        });
        Ok(!is_first(twin))
    })?;
    steps.reverse();
    Ok(steps)
}

/// Folds the records of a twin up to a moment. `None`: there was none then.
pub(crate) fn fold(
    store: &dyn Store,
    partition: Partition,
    shapes: &Shapes,
    path: &str,
    newest: Position,
    moment: Moment,
) -> Result<Option<Folded>, StoreError> {
    // From the last record that says all of the twin.
    let is_whole = |twin: &record::TwinEffect<'_>| match twin.kind {
        record::TwinChange::Created | record::TwinChange::Removed => true,
        record::TwinChange::Changed => twin.prototype.is_some() && !shapes.has_pieces(twin.bytes),
        record::TwinChange::Touched => false,
    };
    let steps = steps(store, partition, path, newest, moment, is_whole)?;
    steps.iter().try_fold(None, |folded, step| step.take(partition, shapes, folded))
}

impl System {
    // ---- the present and the past ----

    /// Every twin whose path starts with `prefix`, sorted by path.
    ///
    /// # Errors
    /// The store refuses.
    pub fn twins(&mut self, prefix: &str) -> Result<Vec<TwinSummary>, StoreError> {
        let quarantined: BTreeSet<String> = self.quarantined(prefix).into_iter().map(|twin| twin.path).collect();
        let (partitions, vm) = self.parts();
        let mut twins = BTreeMap::new();
        for core in partitions.iter() {
            for row in core.store.scan(Table::State, &KeyRange::partition(core.partition))? {
                let (key, row) = row?;
                let Some(path) = key.path() else { continue };
                if path.starts_with(prefix)
                    && let Some(view) = read_row(&path, row.position, &row.bytes)
                {
                    twins.insert(path.clone(), view.exists.then(|| view.image.to_vec()));
                }
            }
            for view in core.residents.iter().filter(|view| view.path.starts_with(prefix)) {
                twins.insert(view.path.to_owned(), view.exists.then(|| view.image.to_vec()));
            }
        }
        let named = twins.into_iter().filter_map(|(path, image)| {
            let shape = twintalk_vm::codec::shape_of_image(&image?)?;
            let prototype = vm.shapes().get(shape)?.prototype.clone();
            let quarantined = quarantined.contains(&path);
            Some(TwinSummary { path, prototype, quarantined })
        });
        Ok(named.collect())
    }

    /// What a twin was at a moment; `None` if there was none.
    ///
    /// # Errors
    /// The store refuses, or its bytes are damaged.
    pub fn state(&mut self, path: &str, moment: Moment) -> Result<Option<TwinState>, StoreError> {
        let (partitions, vm) = self.parts();
        let core = partitions.of(path);
        load(&mut core.residents, &*core.store, core.partition, path)?;
        let last = core.residents.get(path).map_or(Position::START, |view| view.last);
        let Some(folded) = fold(&*core.store, core.partition, vm.shapes(), path, last, moment)? else {
            return Ok(None);
        };
        let mut state = shown(vm.shapes(), core.partition, path, folded)?;
        state.quarantined = moment == Moment::Now && core.supervisor.is_quarantined(path);
        Ok(Some(state))
    }

    /// The records that list a twin between two times (in nanoseconds since 1970 UTC, both included), oldest first.
    ///
    /// # Errors
    /// The store refuses, or its bytes are damaged.
    pub fn history(
        &mut self,
        path: &str,
        from_ns: Option<i64>,
        to_ns: Option<i64>,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let (partitions, vm) = self.parts();
        let core = partitions.of(path);
        load(&mut core.residents, &*core.store, core.partition, path)?;
        let last = core.residents.get(path).map_or(Position::START, |view| view.last);
        let mut entries = Vec::new();
        let partition = core.partition;
        chain(&*core.store, partition, path, last, |position, record, twin| {
            if to_ns.is_some_and(|to_ns| record.envelope.time_ns > to_ns) {
                return Ok(true);
            }
            if from_ns.is_some_and(|from_ns| record.envelope.time_ns < from_ns) {
                return Ok(false);
            }
            entries.push(entry(position, record, twin, |bytes| data(vm.shapes(), partition, position, bytes))?);
            Ok(true)
        })?;
        entries.reverse();
        Ok(entries)
    }

    /// Every record of a composite, oldest first.
    ///
    /// # Errors
    /// The store refuses, or its bytes are damaged.
    pub fn composite_history(&mut self, composite: &str) -> Result<Vec<HistoryEntry>, StoreError> {
        let (partitions, vm) = self.parts();
        let core = partitions.of(composite);
        let partition = core.partition;
        let mut entries = Vec::new();
        each_record(&*core.store, partition, Position::FIRST, |position, record, _| {
            if record.composite() == composite {
                let data = |bytes: &[u8]| data(vm.shapes(), partition, position, bytes);
                entries.push(entry(position, record, record.receiver(), data)?);
            }
            Ok(())
        })?;
        Ok(entries)
    }

    /// Up to where the log of each partition reaches, as this process sees it, by number.
    ///
    /// # Errors
    /// The store refuses.
    pub fn ends(&mut self) -> Result<Vec<Position>, StoreError> {
        let (partitions, _) = self.parts();
        partitions.iter().map(|core| core.store.end(core.partition)).collect()
    }
}

/// A folded twin as a user sees it.
pub(crate) fn shown(
    shapes: &Shapes,
    partition: Partition,
    path: &str,
    folded: Folded,
) -> Result<TwinState, StoreError> {
    let State { image, pieces } = folded.state;
    let (prototype, slots) = values::slots_of_image(&image, &mut |number| pieces.get(&number).cloned(), shapes)
        .map_err(|_| damaged(partition, folded.position, "a twin that cannot be read"))?;
    Ok(TwinState {
        path: path.to_owned(),
        prototype,
        life: folded.life,
        position: folded.position,
        turn: folded.turn,
        time_ns: folded.time_ns,
        quarantined: false,
        slots,
    })
}

/// Arguments as a user sees them.
pub(crate) fn data(
    shapes: &Shapes,
    partition: Partition,
    position: Position,
    bytes: &[u8],
) -> Result<Vec<Datum>, StoreError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    values::data_of_arguments(bytes, shapes).map_err(|_| damaged(partition, position, "arguments that cannot be read"))
}

pub(crate) fn entry(
    position: Position,
    record: &Record<'_>,
    twin: &record::TwinEffect<'_>,
    data: impl Fn(&[u8]) -> Result<Vec<Datum>, StoreError>,
) -> Result<HistoryEntry, StoreError> {
    let mut entry = HistoryEntry {
        position,
        turn: record.envelope.turn,
        time_ns: record.envelope.time_ns,
        device_time_ns: record.envelope.device_time_ns,
        sender: sender_text(&record.cause),
        number: match record.cause.sender {
            record::Sender::Outside(_) => record.cause.number,
            record::Sender::Program
            | record::Sender::Twin(_)
            | record::Sender::Reply(_)
            | record::Sender::Timer(_)
            | record::Sender::System => 0,
        },
        receiver: record.receiver().path.to_owned(),
        selector: record.input.selector.to_owned(),
        arguments: match (record.input.selector, action(record.input.selector, record.input.arguments)) {
            (PROGRAM, _) => Vec::new(),
            // A value by itself is written like a single argument.
            (_, Action::Reply { answer: Ok(value), .. }) => data(&[&[1], value].concat())?,
            (_, Action::Reply { answer: Err((kind, text)), .. }) => {
                vec![Datum::Symbol(kind.to_owned()), Datum::String(text.to_owned())]
            }
            _ => data(record.input.arguments)?,
        },
        fault: None,
        notes: notes(record.envelope.flags),
        change: match twin.kind {
            record::TwinChange::Created => Some("made"),
            record::TwinChange::Changed => Some("changed"),
            record::TwinChange::Removed => Some("removed"),
            record::TwinChange::Touched => None,
        },
        output: String::new(),
        events: Vec::new(),
        far_sends: Vec::new(),
    };
    match &record.outcome {
        record::Outcome::Failed(failure) => entry.fault = Some(fault_of(failure)),
        record::Outcome::Committed(effects) => {
            entry.output = effects.output.to_owned();
            for event in effects.events.iter() {
                entry.events.push((event.twin.to_owned(), event.selector.to_owned(), data(event.arguments)?));
            }
            for send in effects.sends.iter().filter(|send| !send.selector.starts_with('<')) {
                entry.far_sends.push((send.receiver.to_owned(), send.selector.to_owned(), data(send.arguments)?));
            }
        }
    }
    Ok(entry)
}

/// What flags say of supervision, in words.
fn notes(flags: record::Flags) -> Vec<&'static str> {
    [
        (record::Flags::RETRIED, "an attempt before had failed"),
        (record::Flags::PASSED, "it had waited for the release of its twin"),
        (record::Flags::RETRIES, "it is tried again"),
        (record::Flags::DEAD, "it is a dead letter"),
        (record::Flags::ESCALATES, "the twin above is told"),
    ]
    .into_iter()
    .filter(|(flag, _)| flags.contains(*flag))
    .map(|(_, note)| note)
    .collect()
}

pub(crate) fn fault_of(failure: &record::Failure<'_>) -> Fault {
    Fault { kind: failure.kind.to_owned(), text: failure.text.to_owned(), trace: Fault::trace_from_text(failure.trace) }
}
