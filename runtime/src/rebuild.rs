//! Tables made again from the logs, when they are lost: opening a store whose logs have records, but which has no row that
//! says what program it runs, makes every row anew.
//!
//! Twins are replayed as in any recovery, from the first record on. What recovery otherwise finds in rows is folded from the
//! same records: timers from the timers that turns set and from the turns they had, counters of outside senders from the
//! numbers of their messages; what failed, what becomes of it and what waits as `verify` folds it ([`recall`](crate::recall)).
//! How far a partition has taken what a log sends to it is found by walking both logs side by side: what was sent and has a
//! record is taken; what has none, but lies before something that was taken, waits.
//!
//! The row that names the program is written last, so a process that ends early leaves a store whose tables are still lost.
//!
//! What came from outside or from a program and waits for its first turn has a record that says so.
//!
//! Where there are several partitions, one that never had a message of a sender does not know how far that sender has come, so
//! its messages are sent again, and recognised.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;

use twintalk_store::record::{Cause, Flags, Origin, Outcome, ProgramHash, Record, Sender, TwinChange};
use twintalk_store::rocks::RocksStore;
use twintalk_store::{
    BlockIter, Corruption, Key, KeyRange, Partition, Place, Position, Rows, Store, StoreError, Table,
};
use twintalk_vm::Vm;
use twintalk_vm::codec::read_timer_arguments;

use crate::index;
use crate::message::{From, Message, PROGRAM, SYSTEM_PATH};
use crate::partition::Core;
use crate::program::{self, Programs};
use crate::recall::Recalled;
use crate::replay::{Applied, chain, damaged, each_record, recover_outbox, sent_by};
use crate::timers::TimerId;
use crate::{OpenError, OpenOptions, System};

/// How many rows are written or deleted at once.
const ROWS_AT_ONCE: usize = 10_000;
/// How many bytes of twins may gather before they are written out.
const RESIDENT_BYTES: usize = 256 << 20;
/// The row that names the program.
const PROGRAM_ROW: &str = "program";

impl System {
    /// Makes the tables of the store in `folder` again from its logs, also when they are damaged; runs no code.
    ///
    /// Cost: reads the logs a few times, and writes them once to a new store beside the old one.
    ///
    /// # Errors
    /// See [`OpenError`]; the store is as it was, or has no tables, and is rebuilt when it is next opened to run.
    pub fn rebuild_tables(folder: &Path) -> Result<(), OpenError> {
        RocksStore::forget_tables(folder)?;
        let system = System::open(OpenOptions { folder: Some(folder.to_owned()), ..OpenOptions::default() })?;
        system.settle_store()?;
        Ok(())
    }
}

/// Whether the tables are lost, and logs have what was in them. Then programs and shapes are there again afterwards; the
/// program that is to run is answered.
///
/// # Errors
/// A store that is only looked at has no rows made for it.
pub(crate) fn begin(store: &dyn Store, read_only: bool) -> Result<Option<ProgramHash>, StoreError> {
    if store.get(Table::Meta, Key::new().named(Partition::SHARED, PROGRAM_ROW))?.is_some() {
        return Ok(None);
    }
    let mut empty = true;
    for partition in (0..store.settings().partitions).map(Partition) {
        empty &= store.end(partition)? <= Position::FIRST;
    }
    if empty {
        return Ok(None);
    }
    if read_only {
        let reason = Corruption::Row("its rows are lost, and the log has what was in them");
        return Err(StoreError::Corrupt { at: Place::Table(Table::Meta), reason });
    }
    forget_rows(store)?;
    let mut newest = None;
    let mut rows = Rows::new();
    let mut key = Key::new();
    each_record(store, Partition(0), Position::FIRST, |position, record, _| {
        if record.input.selector == PROGRAM && record.composite() == SYSTEM_PATH {
            let (program, shapes) = program::from_record(record.input.arguments)
                .ok_or_else(|| damaged(Partition(0), position, "a program that cannot be read"))?;
            rows.put(Table::Programs, key.program(record.envelope.program), Position::START, program);
            rows.put(Table::Meta, key.named(Partition::SHARED, "shapes"), Position::START, shapes);
            newest = Some(*record.envelope.program);
        }
        Ok(())
    })?;
    let newest = newest.ok_or_else(|| damaged(Partition(0), Position::FIRST, "a log without a program"))?;
    store.write(&rows)?;
    Ok(Some(newest))
}

/// Deletes what is left of rows, but for the store's own.
fn forget_rows(store: &dyn Store) -> Result<(), StoreError> {
    let everything = KeyRange { from: Key::new(), to: KeyRange::partition(Partition::SHARED).to };
    for &table in Table::ALL {
        let mut rows = Rows::new();
        for row in store.scan(table, &everything)? {
            let (key, _) = row?;
            let is_stores_own = table == Table::Meta && key.rest().first() == Some(&b'.');
            if !is_stores_own || key.rest() == b".checkpoint" {
                rows.delete(table, &key);
            }
            if rows.len() == ROWS_AT_ONCE {
                store.write(&rows)?;
                rows.clear();
            }
        }
        store.write(&rows)?;
    }
    Ok(())
}

/// Brings the memory of all partitions to the ends of their logs, writes every row, and last the one that names `program`.
pub(crate) fn rebuild(cores: &mut [Core], vm: &mut Vm, program: &ProgramHash) -> Result<(), StoreError> {
    fold_all(cores, vm, Twins::Applied)?;
    for from in 0..cores.len() {
        recover_outbox(cores, from)?;
    }
    for core in cores.iter_mut() {
        for from in (0..core.placing.partitions).map(Partition) {
            let end = core.store.end(from)?;
            core.taken_all_of(from, end);
        }
        core.checkpoint()?;
    }
    let Some(core) = cores.first() else { return Ok(()) };
    let mut rows = Rows::new();
    for partition in (0..core.placing.partitions).map(Partition) {
        index::note_whole(&mut rows, partition, &core.catalog);
    }
    rows.put(Table::Meta, Key::new().named(Partition::SHARED, PROGRAM_ROW), Position::START, program);
    core.store.write(&rows)?;
    core.store.flush()
}

/// Writes the rows of all but the twins, which lie in the store already: timers, what failed and what waits, and how far everything
/// has been taken.
///
/// Cost: reads the logs a few times; memory for what is on its way or set, not for what there is.
pub(crate) fn rebuild_beside_twins(cores: &mut [Core], vm: &mut Vm) -> Result<(), StoreError> {
    fold_all(cores, vm, Twins::Stored)?;
    cores.iter_mut().try_for_each(|core| core.commit().map(|_| ()))
}

/// How twins are known while a log is folded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Twins {
    /// The records are applied to them.
    Applied,
    /// They lie in the store as the end of the log leaves them.
    Stored,
}

fn fold_all(cores: &mut [Core], vm: &mut Vm, twins: Twins) -> Result<(), StoreError> {
    let Some(first) = cores.first() else { return Ok(()) };
    let mut programs = Programs::new(first.store.clone(), first.program);
    for core in cores.iter_mut() {
        fold(core, vm, &mut programs, twins)?;
    }
    (0..cores.len()).try_for_each(|to| find_taken(cores, to))
}

/// What twins that have failed are, by the record that says all of them: their prototype is what their policy depends on.
#[derive(Default)]
struct Kinds(HashMap<String, Option<Vec<u8>>>);

impl Kinds {
    /// Takes what a record says of twins that were asked about before.
    fn take(&mut self, record: &Record<'_>) {
        for twin in record.twins.iter() {
            if let Some(known) = self.0.get_mut(twin.path) {
                match (twin.kind, twin.prototype) {
                    (TwinChange::Removed, _) => *known = None,
                    (_, Some(_)) => *known = Some(twin.bytes.to_vec()),
                    (_, None) => {}
                }
            }
        }
    }

    /// The bytes of the twin at `path`, as the last record that had all of them; `None`: there is none.
    fn of(
        &mut self,
        store: &dyn Store,
        partition: Partition,
        path: &str,
        newest: Option<Position>,
    ) -> Result<Option<&[u8]>, StoreError> {
        if !self.0.contains_key(path) {
            let mut found = None;
            chain(store, partition, path, newest.unwrap_or(Position::START), |_, _, twin| {
                found = twin.prototype.map(|_| twin.bytes.to_vec());
                Ok(found.is_none() && twin.kind != TwinChange::Removed)
            })?;
            self.0.insert(path.to_owned(), found);
        }
        Ok(self.0.get(path).and_then(Option::as_deref))
    }
}

/// Folds the whole log of a partition into memory: twins, timers, what failed and what waits, counters of outside senders.
fn fold(core: &mut Core, vm: &Vm, programs: &mut Programs, twins: Twins) -> Result<(), StoreError> {
    let (store, partition) = (core.store.clone(), core.partition);
    let mut kinds = Kinds::default();
    let mut timers = FoldedTimers::default();
    let mut recalled = Recalled::default();
    let mut taken: BTreeMap<String, u64> = BTreeMap::new();
    // One that waited for an answer may stand behind later ones.
    let mut take = |name: &str, number: u64| {
        let last = taken.entry(name.to_owned()).or_default();
        *last = number.max(*last);
    };
    each_record(&*store, partition, Position::FIRST, |position, record, _| {
        match twins {
            Twins::Applied => Applied::of(record).apply(core, vm, position)?,
            Twins::Stored => kinds.take(record),
        }
        timers.take(record, position);
        let mut policy_of = |path: &str| {
            let image = match twins {
                Twins::Applied => core.residents.image(path),
                Twins::Stored => kinds.of(&*store, partition, path, record.receiver().previous)?,
            };
            match image {
                Some(image) => programs.linked(vm, record.envelope.program).map(|vm| Some(vm.supervision(image))),
                None => Ok(None),
            }
        };
        let waits = recalled.take(&*store, partition, position, record, &mut policy_of)?;
        if let Some(From::Outside { name, number: number @ 1.. }) = waits.map(|message| message.from) {
            take(&name, number);
        }
        if let Cause { sender: Sender::Outside(name), number: number @ 1.., .. } = record.cause {
            take(name, number);
        }
        core.continue_after(position, record.envelope.time_ns);
        if core.residents.bytes() > RESIDENT_BYTES {
            core.checkpoint()?;
            core.residents.drop_clean();
        }
        Ok(())
    })?;
    for mut message in core.restore_supervision(recalled) {
        if !core.outlives_its_twin(&mut message)? {
            core.wait_again(message);
        }
    }
    for (name, number) in taken {
        core.taken_up_to(&name, number)?;
    }
    for (path, names) in timers.0 {
        for (name, FoldedTimer { due_ns, errand, position }) in names {
            core.set_timer(TimerId { path: path.as_str().into(), name: name.into() }, due_ns, &errand, position);
        }
    }
    Ok(())
}

/// When each timer of each twin is due, and which record said so.
#[derive(Default)]
struct FoldedTimers(BTreeMap<String, BTreeMap<String, FoldedTimer>>);

struct FoldedTimer {
    due_ns: i64,
    errand: Vec<u8>,
    position: Position,
}

impl FoldedTimers {
    fn take(&mut self, record: &Record<'_>, position: Position) {
        // It came due, and this is its turn.
        if let Sender::Timer(name) = record.cause.sender {
            let path = record.receiver().path;
            let due = read_timer_arguments(record.input.arguments).map(|timer| timer.due_ns);
            self.cancel(path, name, due);
        }
        for twin in record.twins.iter() {
            match twin.kind {
                TwinChange::Created | TwinChange::Removed => {
                    self.0.remove(twin.path);
                }
                TwinChange::Touched | TwinChange::Changed => {}
            }
        }
        let Outcome::Committed(effects) = &record.outcome else { return };
        for timer in effects.timers.iter() {
            match timer.due_ns {
                None => self.cancel(timer.twin, timer.name, None),
                Some(due_ns) => {
                    let names = self.0.entry(timer.twin.to_owned()).or_default();
                    let errand = timer.errand.to_vec();
                    names.insert(timer.name.to_owned(), FoldedTimer { due_ns, errand, position });
                }
            }
        }
    }

    /// Takes away a timer; one that is due at another time than it `was_due` has been set again since.
    fn cancel(&mut self, path: &str, name: &str, was_due_ns: Option<i64>) {
        let Some(names) = self.0.get_mut(path) else { return };
        if was_due_ns.is_none() || names.get(name).map(|timer| timer.due_ns) == was_due_ns {
            names.remove(name);
        }
        if names.is_empty() {
            self.0.remove(path);
        }
    }
}

// ---- what logs have sent ----

/// What the log of one partition sends to another, in order.
struct Sent<'s> {
    from: Partition,
    blocks: BlockIter<'s>,
    /// Whose partition the receiver has to be.
    is_for: &'s dyn Fn(&str) -> bool,
    /// What the block that was read last sends.
    read: VecDeque<(u32, Message)>,
}

impl Sent<'_> {
    /// The next thing: its index among what leaves its record, and the message.
    fn next(&mut self) -> Result<Option<(u32, Message)>, StoreError> {
        loop {
            if let Some(item) = self.read.pop_front() {
                return Ok(Some(item));
            }
            let Some(bytes) = self.blocks.next().transpose()? else { return Ok(None) };
            let malformed = |_| damaged(self.from, Position::block(bytes.number()), "a block that cannot be read");
            let block = bytes.open().map_err(malformed)?;
            for record in block.records(0) {
                let (position, record) = record.map_err(malformed)?;
                sent_by(&record, Origin { partition: self.from, position }, &mut |nth, message| {
                    if (self.is_for)(&message.path) {
                        self.read.push_back((nth, message));
                    }
                });
            }
        }
    }
}

/// What tells one thing that a record sends from others that it sends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    pub position: Position,
    is_reply: bool,
    sender: String,
    number: u64,
}

impl Name {
    pub fn of(message: &Message) -> Option<Name> {
        let (sender, number, origin, is_reply) = match &message.from {
            From::Twin { path, number, origin, .. } => (path, *number, origin, false),
            From::Reply { path, number, origin, .. } => (path, *number, origin, true),
            From::Program | From::Outside { .. } | From::Timer { .. } | From::Supervisor { .. } | From::System => {
                return None;
            }
        };
        Some(Name { position: origin.position, is_reply, sender: sender.to_string(), number })
    }

    /// What a record says it was caused by.
    pub fn of_cause(cause: &Cause<'_>) -> Option<(Partition, Name)> {
        let (sender, is_reply) = match cause.sender {
            Sender::Twin(path) => (path, false),
            Sender::Reply(path) => (path, true),
            Sender::Program | Sender::Outside(_) | Sender::Timer(_) | Sender::System => return None,
        };
        let Origin { partition, position } = cause.origin?;
        Some((partition, Name { position, is_reply, sender: sender.to_owned(), number: cause.number }))
    }
}

/// Finds how far partition `to` has taken what each log sends to it, and what of that waits.
fn find_taken(cores: &mut [Core], to: usize) -> Result<(), StoreError> {
    let (store, partition, placing) = (cores[to].store.clone(), cores[to].partition, cores[to].placing);
    let is_for = |path: &str| placing.of(path) == partition;
    let mut logs = Vec::new();
    for from in (0..cores.len() as u16).map(Partition) {
        let blocks = store.read(from, Position::FIRST)?;
        logs.push(Sent { from, blocks, is_for: &is_for, read: VecDeque::new() });
    }
    // Sent before something that was taken, and not met yet; by partition.
    let mut passed: Vec<BTreeMap<(Position, u32), Message>> = vec![BTreeMap::new(); logs.len()];
    let mut names: Vec<HashMap<Name, (Position, u32)>> = vec![HashMap::new(); logs.len()];
    let mut taken = vec![(Position::FIRST, 0); logs.len()];
    each_record(&*store, partition, Position::FIRST, |position, record, _| {
        let Some((from, name)) = Name::of_cause(&record.cause) else { return Ok(()) };
        if record.envelope.flags.contains(Flags::RETRIED) {
            return Ok(());
        }
        let without_cause = || damaged(partition, position, "a record whose cause is in no log");
        let from = usize::from(from.0);
        if let Some(place) = names.get_mut(from).ok_or_else(without_cause)?.remove(&name) {
            passed[from].remove(&place);
            return Ok(());
        }
        while let Some((nth, message)) = logs[from].next()? {
            let found = Name::of(&message).ok_or_else(without_cause)?;
            let place = (found.position, nth);
            if found == name {
                taken[from] = (place.0, nth + 1);
                return Ok(());
            }
            names[from].insert(found, place);
            passed[from].insert(place, message);
        }
        Err(without_cause())
    })?;
    drop(logs);
    for (from, passed) in passed.into_iter().enumerate() {
        for message in passed.into_values() {
            let core = &mut cores[to];
            // A reply to a twin that is gone has been dropped.
            if matches!(message.from, From::Reply { .. }) && !core.exists(&message.path)? {
                continue;
            }
            core.wait_again(message);
        }
        let source = &mut cores[to].sources[from];
        (source.taken, source.changed) = (taken[from], taken[from] != (Position::FIRST, 0));
    }
    Ok(())
}
