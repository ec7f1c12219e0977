//! Records into state: recovery, the past, and the check that the log says what its programs do.
//!
//! *Replay* applies what records say was changed and runs no code. *Verify* runs every message of the log again,
//! with the program that its record names and with the answers and the seed that it keeps, and
//! compares what comes out with what the record says.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use twintalk_store::record::{self, ProgramHash, Record};
use twintalk_store::{BlockBytes, Key, KeyRange, Partition, Place, Position, Store, StoreError, Table};
use twintalk_vm::codec::DecodeError;
use twintalk_vm::turn::{Action, Effects, Outcome, RELEASE, TurnEnd, TurnInput, TwinChange, Whole};
use twintalk_vm::{Answer, AtRest, EarlierProgram, FarAnswer, FarQuery, Fault, Limits, Shapes, Vm, World};

use crate::datum::Datum;
use crate::message::{DROP, Message, PROGRAM, QUARANTINE, SYSTEM_PATH, action, decode_answer};
use crate::near::{another_kind, load};
use crate::partition::Core;
use crate::recall::Recalled;
use crate::resident::read_row;
use crate::system::{System, earlier_program, load_program, sender_text};
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

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// How many records were run again.
    pub records: u64,
    /// How many blocks, rows and bytes were read.
    pub blocks: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Where the log and a run of its messages differ, or something is damaged: a line each.
    pub differences: Vec<String>,
}

/// How many differences are told before verify gives up.
const DIFFERENCES_MAX: usize = 100;

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
                Some(change) => core.take_twin(&path, &change, position),
                None => core.touch(&path, position),
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
fn chain(
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
    let at = fold(&*core.store, core.partition, vm, path, last, Moment::Now)?;
    Ok(at.map(|at| at.state))
}

/// A twin at rest, by what records say.
#[derive(Default, PartialEq)]
pub(crate) struct State {
    pub image: Vec<u8>,
    /// By their number.
    pub pieces: BTreeMap<u32, Vec<u8>>,
}

impl State {
    /// What a record has whole of a twin that is new.
    fn created(shapes: &Shapes, bytes: &[u8]) -> Result<State, DecodeError> {
        let mut state = State::default();
        state.take(shapes.settle(bytes, None)?);
        Ok(state)
    }

    /// Takes what a record says was changed; `whole`: the twin was carried over.
    fn change(&mut self, shapes: &Shapes, bytes: &[u8], whole: bool) -> Result<(), DecodeError> {
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
struct Folded {
    state: State,
    life: u64,
    position: Position,
    turn: u64,
    time_ns: i64,
}

/// Folds the records of a twin up to a moment. `None`: there was none then.
fn fold(
    store: &dyn Store,
    partition: Partition,
    vm: &Vm,
    path: &str,
    newest: Position,
    moment: Moment,
) -> Result<Option<Folded>, StoreError> {
    // From the newest record back to the last one that says all of the twin, then forwards.
    let mut steps = Vec::new();
    chain(store, partition, path, newest, |position, record, twin| {
        let counts = match moment {
            Moment::Now => true,
            Moment::Time(time_ns) => record.envelope.time_ns <= time_ns,
            Moment::Turn(turn) => record.envelope.turn <= turn,
        };
        if !counts {
            return Ok(true);
        }
        let whole = match twin.kind {
            record::TwinChange::Created | record::TwinChange::Removed => true,
            record::TwinChange::Changed => twin.prototype.is_some() && !vm.shapes().has_pieces(twin.bytes),
            record::TwinChange::Touched => false,
        };
        steps.push((
            position,
            twin.kind,
            twin.life,
            twin.prototype.is_some(),
            twin.bytes.to_vec(),
            record.envelope.turn,
            record.envelope.time_ns,
        ));
        Ok(!whole)
    })?;
    let mut folded: Option<Folded> = None;
    for (position, kind, life, whole, bytes, turn, time_ns) in steps.into_iter().rev() {
        let unfit = |_| damaged(partition, position, "a change that does not fit its twin");
        folded = match (kind, folded) {
            // The first step back is whole: one that is not new is a carried twin.
            (record::TwinChange::Created, _) | (record::TwinChange::Changed, None) => {
                let state = State::created(vm.shapes(), &bytes).map_err(unfit)?;
                Some(Folded { state, life, position, turn, time_ns })
            }
            (record::TwinChange::Removed, _) => None,
            (record::TwinChange::Touched, folded) => folded.map(|folded| Folded { position, turn, time_ns, ..folded }),
            (record::TwinChange::Changed, Some(mut folded)) => {
                folded.state.change(vm.shapes(), &bytes, whole).map_err(unfit)?;
                Some(Folded { life, position, turn, time_ns, ..folded })
            }
        };
    }
    Ok(folded)
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
        let Some(folded) = fold(&*core.store, core.partition, vm, path, last, moment)? else { return Ok(None) };
        let State { image, pieces } = folded.state;
        let (prototype, slots) =
            values::slots_of_image(&image, &mut |number| pieces.get(&number).cloned(), vm.shapes())
                .map_err(|_| damaged(core.partition, folded.position, "a twin that cannot be read"))?;
        Ok(Some(TwinState {
            path: path.to_owned(),
            prototype,
            life: folded.life,
            position: folded.position,
            turn: folded.turn,
            time_ns: folded.time_ns,
            quarantined: moment == Moment::Now && core.supervisor.is_quarantined(path),
            slots,
        }))
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
            let data = |bytes: &[u8]| {
                if bytes.is_empty() {
                    return Ok(Vec::new());
                }
                values::data_of_arguments(bytes, vm.shapes())
                    .map_err(|_| damaged(partition, position, "arguments that cannot be read"))
            };
            entries.push(entry(position, record, twin, data)?);
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
                let data = |bytes: &[u8]| {
                    if bytes.is_empty() {
                        return Ok(Vec::new());
                    }
                    values::data_of_arguments(bytes, vm.shapes())
                        .map_err(|_| damaged(partition, position, "arguments that cannot be read"))
                };
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

    // ---- verify ----

    /// Reads every byte of the store, runs every message of the log again, and compares.
    ///
    /// `progress` is told how many records have been run.
    ///
    /// # Errors
    /// The store cannot be read at all.
    pub fn verify(&mut self, progress: &mut dyn FnMut(u64)) -> Result<VerifyReport, StoreError> {
        let (partitions, vm) = self.parts();
        let mut report = VerifyReport::default();
        let check = partitions.store.check()?;
        report.blocks = check.blocks;
        report.bytes = check.bytes;
        report
            .differences
            .extend(check.damage.iter().map(|(place, reason)| format!("{place}: {reason}; {}", place.cure())));
        if !report.differences.is_empty() {
            return Ok(report);
        }
        partitions.iter().try_for_each(|core| verify_partition(core, vm, &mut report, progress))?;
        Ok(report)
    }
}

fn verify_partition(
    core: &Core,
    vm: &mut Vm,
    report: &mut VerifyReport,
    progress: &mut dyn FnMut(u64),
) -> Result<(), StoreError> {
    let mut verifier = Verifier {
        store: &*core.store,
        states: BTreeMap::new(),
        turns: HashMap::new(),
        last: HashMap::new(),
        time_ns: i64::MIN,
        lives: HashMap::new(),
        taken: HashMap::new(),
        quarantined: BTreeSet::new(),
        seen: HashMap::new(),
        programs: HashMap::new(),
        limits: core.limits,
    };
    let partition = core.partition;
    let mut recalled = Recalled::default();
    each_record(&*core.store, partition, Position::FIRST, |position, record, _| {
        recalled.take(position, record);
        if report.differences.len() < DIFFERENCES_MAX
            && let Err(difference) = verifier.check(&core.program, vm, position, record)
        {
            report.differences.push(format!("{partition}/{position}: {difference}"));
        }
        report.records += 1;
        if report.records.is_multiple_of(4096) {
            progress(report.records);
        }
        Ok(())
    })?;
    for row in core.store.scan(Table::State, &KeyRange::partition(partition))? {
        let (key, row) = row?;
        let Some(path) = key.path().filter(|path| path != SYSTEM_PATH) else { continue };
        // A row may be behind its twin; one that is not says what the records say.
        if verifier.last.get(&path).is_some_and(|last| *last == row.position)
            && report.differences.len() < DIFFERENCES_MAX
        {
            let view = read_row(&path, row.position, &row.bytes);
            let image = view.filter(|view| view.exists).map(|view| view.image);
            if view.is_none() || image != verifier.states.get(&path).map(|state| state.image.as_slice()) {
                report.differences.push(format!("{path}: its row is not what its records say"));
            }
            let mut pieces = BTreeMap::new();
            for row in core.store.scan(Table::Chunks, &KeyRange::of_twin(partition, &path))? {
                let (key, row) = row?;
                pieces.insert(key.object().unwrap_or(0), row.bytes);
            }
            let wanted = verifier.states.get(&path).into_iter().flat_map(|state| &state.pieces);
            if !pieces
                .iter()
                .map(|(&number, bytes)| (number, bytes))
                .eq(wanted.map(|(&n, bytes)| (u64::from(n), bytes)))
            {
                report.differences.push(format!("{path}: the rows of its pieces are not what its records say"));
            }
        }
    }
    report.differences.extend(recalled.differences(core)?);
    let end = core.store.end(partition)?;
    // What is not committed yet is not in the log.
    for view in core.residents.iter().filter(|view| view.last < end) {
        let state = verifier.states.get(view.path);
        let mut pieces = core.residents.pieces.of_twin(view.path);
        let same = state.map(|state| state.image.as_slice()) == view.exists.then_some(view.image)
            && pieces.all(|(number, live)| live == state.and_then(|state| Some(state.pieces.get(&number)?.as_slice())));
        if view.path != SYSTEM_PATH && !same && report.differences.len() < DIFFERENCES_MAX {
            report.differences.push(format!("{}: its state is not what its records say", view.path));
        }
    }
    Ok(())
}

fn entry(
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

/// Runs the log again.
struct Verifier<'a> {
    store: &'a dyn Store,
    /// Twins as the records so far left them.
    states: BTreeMap<String, State>,
    turns: HashMap<String, u64>,
    /// The life that each path is in, or was.
    lives: HashMap<String, u64>,
    /// The last record that lists each path.
    last: HashMap<String, Position>,
    /// For each pair of a sending and a receiving composite the number and the origin of the last message taken.
    taken: HashMap<(String, String), (u64, record::Origin)>,
    /// Twins in quarantine.
    quarantined: BTreeSet<String>,
    /// The last turn of another composite that each composite has seen, by its answers and messages.
    seen: HashMap<(String, String), u64>,
    time_ns: i64,
    /// Programs that are not the present one.
    programs: HashMap<ProgramHash, Vm>,
    limits: Limits,
}

impl Verifier<'_> {
    /// Runs one record's message again and compares; then takes what the record says.
    fn check(
        &mut self,
        present: &ProgramHash,
        vm: &mut Vm,
        position: Position,
        record: &Record<'_>,
    ) -> Result<(), String> {
        let composite = record.composite();
        let before = self.turns.insert(composite.to_owned(), record.envelope.turn).unwrap_or(0);
        if record.envelope.turn != before + 1 {
            return Err(format!("turn {} of {composite} follows turn {before}", record.envelope.turn));
        }
        if record.envelope.time_ns < self.time_ns {
            return Err("time goes back".to_owned());
        }
        self.time_ns = record.envelope.time_ns;
        self.check_delivery(record)?;
        for twin in record.twins.iter() {
            let last = self.last.insert(twin.path.to_owned(), position);
            if last != twin.previous {
                return Err(format!("the back chain of {} leads to another record than its last", twin.path));
            }
            let life = self.lives.entry(twin.path.to_owned()).or_default();
            *life += u64::from(twin.kind == record::TwinChange::Created);
            if twin.life != (*life).max(1) {
                return Err(format!("{} is in its life {life}, not {}", twin.path, twin.life));
            }
        }
        if record.input.selector == PROGRAM && composite == SYSTEM_PATH {
            return Ok(());
        }
        if matches!(record.input.selector, QUARANTINE | RELEASE | DROP) {
            return self.note(record);
        }
        if record.envelope.program == present {
            return self.compare(vm, record);
        }
        let hash = *record.envelope.program;
        if !self.programs.contains_key(&hash) {
            let (kernel, definitions) = load_program(self.store, &hash).map_err(|error| error.to_string())?;
            let mut other = Vm::link(&[&kernel, &definitions]).map_err(|error| error.to_string())?;
            other.adopt_shapes(vm.copy_shapes());
            other.set_program(hash);
            self.programs.insert(hash, other);
        }
        let mut other = self.programs.remove(&hash).expect("put there above");
        let result = self.compare(&mut other, record);
        self.programs.insert(hash, other);
        result
    }

    /// What one composite sends another is taken once and in order, and what it answers is never older than what the other
    /// has seen of it.
    fn check_delivery(&mut self, record: &Record<'_>) -> Result<(), String> {
        let to = record.composite();
        // What was tried again, or waited for its twin to be released, may be behind what has passed it.
        let flags = record.envelope.flags;
        let late = flags.contains(record::Flags::RETRIED) || flags.contains(record::Flags::PASSED);
        if !late && let (record::Sender::Twin(path), Some(origin)) = (record.cause.sender, record.cause.origin) {
            let from = record::composite_of(path);
            let now = (record.cause.number, origin);
            let last = self.taken.insert((from.to_owned(), to.to_owned()), now);
            if last.is_some_and(|last| last.0 >= now.0) {
                return Err(format!("message {} of {from} to {to} is taken again, or out of order", now.0));
            }
            // The number of a far send is that of its turn, and within it. A message may be from before what a query has
            // seen already; an answer may not.
            let seen = self.seen.entry((to.to_owned(), from.to_owned())).or_default();
            *seen = (*seen).max(record.cause.number >> 16);
        }
        for answer in record.input.answers.iter().filter(|answer| answer.turn > 0) {
            let (composite, turn) = (answer.composite, answer.turn);
            let seen = self.seen.entry((to.to_owned(), composite.to_owned())).or_default();
            if turn < *seen {
                return Err(format!("{to} sees turn {turn} of {composite} after turn {seen}"));
            }
            *seen = turn;
        }
        Ok(())
    }

    /// A record that is about a twin and ran nothing.
    fn note(&mut self, record: &Record<'_>) -> Result<(), String> {
        let path = record.receiver().path;
        match record.input.selector {
            QUARANTINE => {
                self.quarantined.insert(path.to_owned());
            }
            RELEASE => {
                self.quarantined.remove(path);
            }
            _ => {}
        }
        let changes = record.twins.len() > 1 || record.receiver().kind != record::TwinChange::Touched;
        let leaves = match &record.outcome {
            record::Outcome::Committed(effects) => !effects.sends.is_empty() || !effects.timers.is_empty(),
            record::Outcome::Failed(_) => true,
        };
        match changes || leaves {
            true => Err(format!("`{}` to {path} has effects", record.input.selector)),
            false => Ok(()),
        }
    }

    fn compare(&mut self, vm: &mut Vm, record: &Record<'_>) -> Result<(), String> {
        let answers: Option<Vec<FarAnswer>> = record.input.answers.iter().map(decode_answer).collect();
        let answers = answers.ok_or("an answer to a far query that cannot be read")?;
        let path = record.receiver().path;
        let selector = record.input.selector;
        let input = TurnInput {
            path,
            action: action(selector, record.input.arguments),
            query: false,
            turn: record.envelope.turn,
            now_ns: record.envelope.began_ns.unwrap_or(record.envelope.time_ns),
            seed: record.input.seed.unwrap_or(0),
            answers: &answers,
            limits: self.limits,
        };
        let mut world = Recorded { states: &self.states, quarantined: &self.quarantined, store: self.store };
        let end = vm.run_turn(&mut world, &input);
        let compared = differs(record, &end).filter(|_| !self.of_another_kind(vm, record)).or_else(|| {
            let fewer = end.answers.len() < answers.len() && !is_too_large(record);
            fewer.then(|| "asks less of others than it did".to_owned())
        });
        self.take(vm, record)?;
        match compared {
            None => Ok(()),
            Some(what) => Err(format!("`{selector}` to {path} run again {what}")),
        }
    }

    /// Whether the message failed since its twin is not of the kind that its sender took it to be, which is no part of the
    /// record.
    fn of_another_kind(&self, vm: &Vm, record: &Record<'_>) -> bool {
        let path = record.receiver().path;
        let record::Outcome::Failed(failure) = &record.outcome else { return false };
        // The kind stands last in the text of the fault.
        let kind = failure.text.rsplit(' ').next().unwrap_or_default();
        let Some(state) = self.states.get(path).filter(|state| !vm.is_of_kind(&state.image, kind)) else {
            return false;
        };
        let fault = another_kind(vm, &state.image, path, kind);
        (failure.kind, failure.text) == (fault.kind.as_str(), fault.text.as_str())
    }

    /// Takes what the record says of each twin.
    fn take(&mut self, vm: &mut Vm, record: &Record<'_>) -> Result<(), String> {
        for twin in record.twins.iter() {
            match twin.kind {
                record::TwinChange::Touched => {}
                record::TwinChange::Removed => {
                    self.quarantined.remove(twin.path);
                    self.states.remove(twin.path);
                }
                record::TwinChange::Created => {
                    self.quarantined.remove(twin.path);
                    let state = State::created(vm.shapes(), twin.bytes)
                        .map_err(|error| format!("what {} started with cannot be read: {error}", twin.path))?;
                    self.states.insert(twin.path.to_owned(), state);
                }
                record::TwinChange::Changed => {
                    self.states
                        .entry(twin.path.to_owned())
                        .or_default()
                        .change(vm.shapes(), twin.bytes, twin.prototype.is_some())
                        .map_err(|error| format!("the change of {} cannot be applied: {error}", twin.path))?;
                }
            }
        }
        Ok(())
    }
}

/// Whether the turn failed because it did not fit its record, which then has nothing of it.
fn is_too_large(record: &Record<'_>) -> bool {
    match &record.outcome {
        record::Outcome::Failed(failure) => failure.kind == "RecordTooLarge",
        record::Outcome::Committed(_) => false,
    }
}

/// How a turn that ran again ended otherwise than its record says; `None` if it did not.
fn differs(record: &Record<'_>, end: &TurnEnd) -> Option<String> {
    if is_too_large(record) {
        return match &end.outcome {
            // Its arguments and answers may be left out, so there is nothing to compare.
            Outcome::Done { .. } | Outcome::Failed(_) | Outcome::Needs => None,
        };
    }
    match (&record.outcome, &end.outcome) {
        (record::Outcome::Committed(wanted), Outcome::Done { effects, .. }) => {
            differs_in_effects(record, wanted, effects)
        }
        (record::Outcome::Failed(wanted), Outcome::Failed(fault)) => {
            let same = wanted.kind == fault.kind && wanted.text == fault.text;
            (!same).then(|| format!("fails with {}: {}, not {}: {}", fault.kind, fault.text, wanted.kind, wanted.text))
        }
        (record::Outcome::Failed(wanted), Outcome::Done { .. }) => {
            Some(format!("is done, but it failed with {}", wanted.kind))
        }
        (record::Outcome::Committed(_), Outcome::Failed(fault)) => {
            Some(format!("fails with {}: {}, but it was done", fault.kind, fault.text))
        }
        (_, Outcome::Needs) => Some("asks more of others than it did".to_owned()),
    }
}

fn differs_in_effects(record: &Record<'_>, wanted: &record::Effects<'_>, effects: &Effects) -> Option<String> {
    let wanted_twins: Vec<_> = record.twins.iter().filter(|twin| twin.kind != record::TwinChange::Touched).collect();
    if wanted_twins.len() != effects.twins.len() {
        return Some(format!("changes {} twins, not {}", effects.twins.len(), wanted_twins.len()));
    }
    for wanted in wanted_twins {
        let Some(twin) = effects.twins.iter().find(|twin| twin.path == wanted.path) else {
            return Some(format!("does not change {}", wanted.path));
        };
        let kind = match &twin.change {
            TwinChange::Image(_) => record::TwinChange::Created,
            TwinChange::Carried(_) | TwinChange::Delta { .. } => record::TwinChange::Changed,
            TwinChange::Removed => record::TwinChange::Removed,
        };
        if kind != wanted.kind || twin.change.recorded() != wanted.bytes {
            return Some(format!("leaves {} in another state", wanted.path));
        }
    }
    let sends_differ = wanted.sends.len() != effects.far_sends.len()
        || wanted.sends.iter().zip(&effects.far_sends).any(|(wanted, send)| {
            (wanted.number, wanted.sender, wanted.receiver, wanted.kind, wanted.selector, wanted.arguments)
                != (send.promise, &send.sender, &send.path, send.kind.as_deref(), &send.selector, &send.arguments)
        });
    if sends_differ {
        return Some("sends something else to other composites".to_owned());
    }
    let events_differ = wanted.events.len() != effects.events.len()
        || wanted.events.iter().zip(&effects.events).any(|(wanted, event)| {
            (wanted.twin, wanted.selector, wanted.arguments) != (&event.path, &event.selector, &event.arguments)
        });
    if events_differ {
        return Some("emits something else".to_owned());
    }
    let timers_differ = wanted.timers.len() != effects.timers.len()
        || wanted.timers.iter().zip(&effects.timers).any(|(wanted, timer)| {
            (wanted.twin, wanted.name, wanted.due_ns) != (&timer.path, &timer.name, timer.due_ns)
        });
    if timers_differ {
        return Some("sets other timers".to_owned());
    }
    (wanted.output != effects.output).then(|| "prints something else".to_owned())
}

/// The world of a turn that runs again: twins as the records before it left them; far queries are answered
/// from the record.
struct Recorded<'a> {
    states: &'a BTreeMap<String, State>,
    quarantined: &'a BTreeSet<String>,
    store: &'a dyn Store,
}

impl World for Recorded<'_> {
    fn near_twin(&mut self, path: &str) -> Answer<Option<&[u8]>> {
        Answer::Here(self.states.get(path).map(|state| state.image.as_slice()))
    }

    fn piece(&mut self, path: &str, number: u32) -> Answer<Option<&[u8]>> {
        Answer::Here(self.states.get(path).and_then(|state| state.pieces.get(&number)).map(Vec::as_slice))
    }

    fn is_quarantined(&mut self, path: &str) -> bool {
        self.quarantined.contains(path)
    }

    fn parts(&mut self, path: &str) -> Answer<Vec<String>> {
        let from = format!("{path}/");
        let below = self.states.range(from.clone()..).map(|(part, _)| part).take_while(|part| part.starts_with(&from));
        Answer::Here(below.cloned().collect())
    }

    fn program(&mut self, hash: &ProgramHash) -> Answer<Option<EarlierProgram>> {
        // What cannot be read is missed by the turn, which then is not what it was.
        Answer::Here(earlier_program(self.store, hash).ok().flatten())
    }

    fn far_query(&mut self, _vm: &mut Vm, _query: &FarQuery) -> Answer<FarAnswer> {
        Answer::NotYet
    }
}
