//! What a turn of a partition sees: the twins of its composite, and what others answer to its queries.
//!
//! A far query to a composite of this partition is answered at once: it is run as a query of the other composite, on
//! what that last committed, while the turn that asks rests. One to a composite of another partition is asked there, and
//! the turn runs again when the answer is known. What a chain of queries may use is bounded for the whole turn,
//! wherever it leads.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};
use twintalk_store::record::{ProgramHash, RECORD_BYTES_MAX};
use twintalk_store::{Key, KeyRange, Partition, Row, Store, StoreError, Table};
use twintalk_vm::many::{Many, Verb};
use twintalk_vm::turn::{ALL, ALL_PATH, Action, Outcome, TurnInput, first_segment};
use twintalk_vm::{Answer, EarlierProgram, FarAnswer, FarQuery, Fault, Limits, Vm, World};

use crate::catalog::Catalog;
use crate::index;
use crate::many::{Share, unreachable_twins};
use crate::place::Placing;
use crate::resident::{Residents, View, read_row};
use crate::slab::Handle;
use crate::supervision::Supervisor;
use crate::system::earlier_program;

/// What a far query costs of the fuel for far queries, beside the sends in it.
const QUERY_FUEL: i64 = 100;
/// How deep far queries may ask each other.
const QUERY_DEPTH_MAX: usize = 32;

/// Brings what is known of `path` into memory; answers where it lies there.
pub(crate) fn load(
    residents: &mut Residents,
    store: &dyn Store,
    partition: Partition,
    path: &str,
) -> Result<Option<Handle>, StoreError> {
    if let Some(handle) = residents.find(path) {
        residents.mark_used(handle);
        return Ok(Some(handle));
    }
    let mut key = Key::new();
    if let Some(row) = store.get(Table::State, key.state(partition, path))? {
        let view = view_of(path, &row, key.bytes())?;
        return Ok(Some(residents.put(&view)));
    }
    Ok(None)
}

/// What the row of a twin says.
fn view_of<'a>(path: &'a str, row: &'a Row, key: &[u8]) -> Result<View<'a>, StoreError> {
    read_row(path, row.position, &row.bytes).ok_or_else(|| StoreError::Corrupt {
        at: twintalk_store::Place::Row { table: Table::State, key: key.to_vec() },
        reason: twintalk_store::Corruption::Row("a state row that is none"),
    })
}

/// The paths below `path` that have a twin, sorted.
pub(crate) fn parts(
    residents: &mut Residents,
    store: &dyn Store,
    partition: Partition,
    moved: &BTreeSet<String>,
    path: &str,
) -> Result<Vec<String>, StoreError> {
    let below = |part: &str| part.len() > path.len() && part.starts_with(path) && part.as_bytes()[path.len()] == b'/';
    let first = format!("{path}/");
    let mut paths: BTreeSet<String> = moved.range(first..).take_while(|part| below(part)).cloned().collect();
    for row in store.scan(Table::State, &KeyRange::twin_and_parts(partition, path))? {
        let (key, _) = row?;
        paths.extend(key.path().filter(|part| below(part)));
    }
    let mut existing = Vec::new();
    for part in paths {
        let handle = load(residents, store, partition, &part)?;
        if handle.is_some_and(|handle| residents.at(handle, &part).exists) {
            existing.push(part);
        }
    }
    Ok(existing)
}

/// The order in which many twins are told of: by path, and those below a twin directly behind it.
pub(crate) fn path_order(one: &str, other: &str) -> Ordering {
    let key = |byte| if byte == b'/' { 0 } else { byte };
    one.bytes().map(key).cmp(other.bytes().map(key))
}

/// The paths of all twins of the partition that `is_meant` answers true for, in no order; and how many rows were read. For a
/// store that is only looked at, and was written without rows that say so.
fn found_by_state(
    residents: &Residents,
    store: &dyn Store,
    partition: Partition,
    is_meant: &dyn Fn(&[u8]) -> bool,
) -> Result<(Vec<String>, i64), StoreError> {
    let (mut paths, mut seen) = (Vec::new(), 0);
    for row in store.scan(Table::State, &KeyRange::partition(partition))? {
        let (key, row) = row?;
        seen += 1;
        // Of one in memory its row may be behind.
        let Some(path) = key.path().filter(|path| residents.find(path).is_none()) else { continue };
        let view = view_of(&path, &row, key.bytes())?;
        if view.exists && is_meant(view.image) {
            paths.push(path);
        }
    }
    let here = residents.iter().filter(|view| view.exists && is_meant(view.image));
    paths.extend(here.map(|view| view.path.to_owned()));
    Ok((paths, seen))
}

/// What a turn has asked of other partitions, over all its runs.
pub(crate) struct Inquiry {
    /// How many queries have led to this run.
    depth: usize,
    /// What its far queries may still use, all together: what they are answered is in the record, so a turn that runs
    /// again does not use it again. That it runs again is paid from this too.
    pub fuel: i64,
    /// Whether a program asks: then no record has to hold the answers.
    in_program: bool,
    /// Answers of other partitions that a run was stopped for, by how deep in the chain of queries they were asked.
    known: FxHashMap<(usize, FarQuery), FarAnswer>,
}

/// What a run was stopped for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Need {
    pub to: Partition,
    pub query: FarQuery,
    /// How deep in the chain of queries it is asked.
    pub depth: usize,
    pub fuel: i64,
}

impl Inquiry {
    /// Of a run that `depth` queries have led to.
    pub fn new(depth: usize, fuel: i64) -> Inquiry {
        Inquiry { depth, fuel, in_program: false, known: FxHashMap::default() }
    }

    /// The same of a question that a program asks.
    pub fn of_program(depth: usize, fuel: i64) -> Inquiry {
        Inquiry { in_program: true, ..Inquiry::new(depth, fuel) }
    }

    /// Takes an answer, for the next run.
    pub fn learn(&mut self, need: Need, answer: FarAnswer, fuel_used: i64) {
        self.fuel = self.fuel.saturating_sub(fuel_used);
        self.known.insert((need.depth, need.query), answer);
    }

    /// Forgets the answers.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// The answer to a query that is known. The turn itself takes each once, since what it takes stays with its answers; a
    /// query on the way to another answer runs again from its start, and asks again.
    fn find(&mut self, query: &FarQuery) -> Option<FarAnswer> {
        let key = (self.depth, query.clone());
        // The turn itself is at depth 0; the first query of another partition comes with 1.
        if self.depth == 0 { self.known.remove(&key) } else { self.known.get(&key).cloned() }
    }

    fn knows(&self, query: &FarQuery) -> bool {
        self.known.contains_key(&(self.depth, query.clone()))
    }
}

/// The world of a turn in a partition.
pub(crate) struct Near<'a> {
    pub residents: &'a mut Residents,
    pub catalog: &'a Catalog,
    /// Whether rows say which twins each prototype has.
    pub is_indexed: bool,
    pub reading: &'a mut Reading,
    pub store: &'a dyn Store,
    pub partition: Partition,
    pub placing: Placing,
    pub moved: &'a BTreeSet<String>,
    pub supervisor: &'a Supervisor,
    pub limits: Limits,
    pub now_ns: i64,
    pub inquiry: &'a mut Inquiry,
    /// What is asked of other partitions; the run ended then, to begin again with the answers.
    pub needs: Vec<Need>,
    /// The same, to be found.
    pub needed: FxHashSet<(usize, FarQuery)>,
    /// What reading the store ran into; the turn ended then without a record.
    pub error: Option<StoreError>,
}

impl Near<'_> {
    fn note<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }
}

impl World for Near<'_> {
    fn program(&mut self, hash: &ProgramHash) -> Answer<Option<EarlierProgram>> {
        let program = earlier_program(self.store, hash);
        match self.note(program) {
            Some(program) => Answer::Here(program),
            None => Answer::NotYet,
        }
    }

    fn near_twin(&mut self, path: &str) -> Answer<Option<&[u8]>> {
        let loaded = load(self.residents, self.store, self.partition, path);
        match self.note(loaded) {
            Some(handle) => Answer::Here(handle.and_then(|handle| self.residents.image_at(handle))),
            None => Answer::NotYet,
        }
    }

    fn is_quarantined(&mut self, path: &str) -> bool {
        self.supervisor.is_quarantined(path)
    }

    fn piece(&mut self, path: &str, number: u64) -> Answer<Option<&[u8]>> {
        self.residents.pieces.asked += 1;
        let loaded = self.residents.pieces.load(self.store, self.partition, path, number).map(|_| ());
        match self.note(loaded) {
            Some(()) => Answer::Here(self.residents.pieces.get(path, number).flatten()),
            None => Answer::NotYet,
        }
    }

    fn parts(&mut self, path: &str) -> Answer<Vec<String>> {
        let parts = parts(self.residents, self.store, self.partition, self.moved, path);
        match self.note(parts) {
            Some(parts) => Answer::Here(parts),
            None => Answer::NotYet,
        }
    }

    fn far_query(&mut self, vm: &mut Vm, query: &FarQuery) -> Answer<FarAnswer> {
        if query.selector == ALL {
            return self.ask_all(vm, query);
        }
        let composite = first_segment(&query.path).to_owned();
        let home = self.placing.of(&composite);
        if home == self.partition {
            return self.answer(vm, query, composite);
        }
        if let Some(answer) = self.inquiry.find(query) {
            return Answer::Here(answer);
        }
        if let Some(fault) = self.exhausted(query) {
            return Answer::Here(FarAnswer { composite, turn: 0, reply: Err(fault) });
        }
        self.need(home, query.clone());
        Answer::NotYet
    }
}

/// How many answers of other partitions are awaited at once for the twins of a share, about.
const NEEDS_MAX: usize = 4096;
/// What asking each of many twins costs of the fuel for far queries, beside the sends in it.
const TWIN_FUEL: i64 = 10;
/// How many bytes of answers a page has, about.
const PAGE_BYTES: usize = 256 << 10;
/// How many bytes of twins that were not in memory may stay there while all are asked.
const BROUGHT_BYTES_MAX: usize = 16 << 20;

impl Near<'_> {
    /// Notes an answer that the run is stopped for.
    fn need(&mut self, to: Partition, query: FarQuery) {
        let need = Need { to, query, depth: self.inquiry.depth, fuel: self.inquiry.fuel };
        if self.needed.insert((need.depth, need.query.clone())) {
            self.needs.push(need);
        }
    }

    /// What all twins of a prototype answer; or those of this partition, if another one asks.
    fn ask_all(&mut self, vm: &mut Vm, query: &FarQuery) -> Answer<FarAnswer> {
        let here = |reply| Answer::Here(FarAnswer { composite: ALL_PATH.to_owned(), turn: 0, reply });
        let Some(many) = Many::read(&query.arguments) else {
            return here(Err(unreachable_twins("a question to all twins that cannot be read".to_owned())));
        };
        if query.path != ALL_PATH {
            if let Some(fault) = self.exhausted(query) {
                return here(Err(fault));
            }
            return match self.share(vm, &many) {
                Answer::Here(share) => here(Ok(share.write())),
                Answer::NotYet => Answer::NotYet,
            };
        }
        let own = self.partition;
        let others = (0..self.placing.partitions).map(Partition).filter(|&other| other != own);
        let asked = |other: Partition| FarQuery { path: format!("{ALL_PATH}/{}", other.0), ..query.clone() };
        let unknown: Vec<Partition> = others.clone().filter(|&other| !self.inquiry.knows(&asked(other))).collect();
        // Once their answers are here, what is left may be less, and a fault of a twin among them comes first.
        if (!unknown.is_empty() || self.placing.partitions == 1)
            && let Some(fault) = self.exhausted(query)
        {
            return here(Err(fault));
        }
        if !unknown.is_empty() {
            unknown.into_iter().for_each(|other| self.need(other, asked(other)));
            return Answer::NotYet;
        }
        let Answer::Here(mut share) = self.share(vm, &many) else { return Answer::NotYet };
        for other in others {
            let Some(answer) = self.inquiry.find(&asked(other)) else { continue };
            let other = match answer.reply {
                Ok(bytes) => Share::read(&bytes).unwrap_or_else(|| {
                    Share::of_fault(unreachable_twins(
                        "a partition answers for its twins what cannot be read".to_owned(),
                    ))
                }),
                Err(fault) => Share::of_fault(fault),
            };
            share.merge(other, many.verb);
        }
        let answer = share.answer(&many, vm.shapes());
        here(match answer {
            Ok(_) if self.inquiry.fuel <= 0 => Err(spent(many.prototype)),
            answer => answer,
        })
    }

    /// What the twins of this partition answer. Where one needs answers of other partitions, the rest is asked too, so that
    /// all that is needed is known.
    ///
    /// Cost: reads a row for each of these twins, and brings into memory those that are asked, some at a time.
    fn share(&mut self, vm: &mut Vm, many: &Many<'_>) -> Answer<Share> {
        let found = self.twins_of(vm, many);
        let Some((mut paths, seen)) = self.note(found) else { return Answer::NotYet };
        let mut up_to = None;
        if let Some(page) = many.page.filter(|page| paths.len() >= page.twins as usize) {
            paths.truncate(page.twins as usize);
            up_to = paths.last().cloned();
        }
        self.inquiry.fuel = self.inquiry.fuel.saturating_sub(seen);
        let mut share = Share::default();
        let (mut bytes, mut all_here) = (0, true);
        let mut brought = Brought { bytes: self.residents.bytes() };
        for path in paths {
            let asked = many.page.map(|_| path.clone());
            if self.inquiry.fuel <= 0 {
                share.end_behind_all(spent(many.prototype));
                break;
            }
            if many.verb == Verb::All {
                bytes += path.len();
                share.take_path(path);
            } else {
                match self.evaluate(vm, &path, many) {
                    Answer::Here(Ok(answer)) => bytes += share.take(many, &path, answer, vm.shapes()),
                    Answer::Here(Err(fault)) => share.take_fault(&path, fault),
                    Answer::NotYet if self.error.is_some() || self.needs.len() >= NEEDS_MAX => return Answer::NotYet,
                    Answer::NotYet => all_here = false,
                }
                brought.keep_few(self.residents);
            }
            if many.page.is_some() && bytes > PAGE_BYTES {
                up_to = asked;
                break;
            }
            if bytes > RECORD_BYTES_MAX && !self.inquiry.in_program {
                let text =
                    format!("what the twins of {} answer takes more than the 16 MiB of a record", many.prototype);
                let fault = Fault { kind: "RecordTooLarge".to_owned(), text, trace: Vec::new() };
                return Answer::Here(Share::of_fault(fault));
            }
            // What those before it still need may change that, but nothing behind it counts.
            if share.has_ended() {
                break;
            }
        }
        if let Some(up_to) = up_to {
            share.goes_up_to(&up_to);
        }
        if all_here { Answer::Here(share) } else { Answer::NotYet }
    }

    /// The paths of all twins of the partition that are asked, sorted, of a page some more; and how many rows were read.
    fn twins_of(&mut self, vm: &Vm, many: &Many<'_>) -> Result<(Vec<String>, i64), StoreError> {
        let is_meant = |image: &[u8]| vm.is_of_kind(image, many.prototype);
        let (after, twins_max) = many.page.map_or(("", usize::MAX), |page| (page.after, page.twins as usize));
        let (mut paths, mut seen) = (Vec::new(), 0);
        if self.is_indexed {
            // Rows do not know yet of those that were made or removed since the last commit.
            let is_written = |path: &String| !self.moved.contains(path);
            for name in vm.twin_prototypes_of(many.prototype) {
                if let Some(found) = self.found_by_value(vm, many, &name, twins_max)? {
                    seen += found.len() as i64;
                    paths.extend(found.into_iter().filter(is_written));
                    continue;
                }
                let seen_before = seen;
                let rows = index::paths(self.store, self.partition, &name, after)?;
                let rows = rows.inspect(|_| seen += 1).filter(|path| path.as_ref().map_or(true, is_written));
                for path in rows.take(twins_max) {
                    paths.push(path?);
                }
                if seen > seen_before {
                    self.reading.scanned.insert(name);
                }
            }
            let moved = self.moved.iter().filter(|path| self.residents.image(path).is_some_and(is_meant));
            paths.extend(moved.cloned());
        } else {
            (paths, seen) = found_by_state(self.residents, self.store, self.partition, &is_meant)?;
        }
        if !after.is_empty() {
            paths.retain(|path| path_order(path, after).is_gt());
        }
        paths.sort_unstable_by(|one, other| path_order(one, other));
        paths.dedup();
        self.reading.rows += seen as u64;
        Ok((paths, seen))
    }

    /// The paths of the twins of the very prototype `name` that an index says must be asked; `None` if there is none for this question, or
    /// more than a page may have.
    fn found_by_value(
        &mut self,
        vm: &Vm,
        many: &Many<'_>,
        name: &str,
        twins_max: usize,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let Some(hint) = many.hint.filter(|hint| vm.reads_indexed_slot(name, hint.selector)) else { return Ok(None) };
        let rows_max = twins_max.saturating_mul(2);
        let found = index::with_values(self.store, self.partition, (name, hint.selector), &hint.range, rows_max)?;
        let Some(mut found) = found else { return Ok(None) };
        self.reading.indices.insert(format!("{name} {}", hint.selector));
        found.extend(index::behind(self.residents, |image| self.catalog.prototype(image) == Some(name)));
        Ok(Some(found))
    }

    /// What the twin at `path` answers to what all twins are asked.
    fn evaluate(&mut self, vm: &mut Vm, path: &str, many: &Many<'_>) -> Answer<Result<Vec<u8>, Fault>> {
        self.reading.twins += 1;
        self.reading.rows += u64::from(self.residents.find(path).is_none());
        let loaded = load(self.residents, self.store, self.partition, first_segment(path));
        if self.note(loaded).is_none() {
            return Answer::NotYet;
        }
        let turn = self.residents.get(first_segment(path)).map_or(0, |view| view.turn);
        self.inquiry.fuel -= TWIN_FUEL;
        let input = TurnInput {
            path,
            action: Action::Evaluate { many: *many },
            query: true,
            wants_reply: true,
            turn,
            now_ns: self.now_ns,
            seed: self.now_ns as u64 ^ turn,
            answers: &[],
            limits: Limits { fuel: self.inquiry.fuel, ..self.limits },
        };
        self.inquiry.depth += 1;
        let end = vm.run_turn(self, &input);
        self.inquiry.depth -= 1;
        self.inquiry.fuel -= end.fuel_used;
        Answer::Here(match end.outcome {
            // A program shows what it evaluates itself.
            Outcome::Done { effects, .. } if self.inquiry.in_program && !effects.output.is_empty() => {
                Err(Fault { kind: "ProgramOnly".to_owned(), text: effects.output, trace: Vec::new() })
            }
            Outcome::Done { reply, .. } => Ok(reply),
            Outcome::Failed(fault) => Err(fault),
            Outcome::Needs => return Answer::NotYet,
        })
    }

    /// Answers a query to a composite of this partition.
    fn answer(&mut self, vm: &mut Vm, query: &FarQuery, composite: String) -> Answer<FarAnswer> {
        let loaded = load(self.residents, self.store, self.partition, &composite);
        if self.note(loaded).is_none() {
            return Answer::NotYet;
        }
        let turn = self.residents.get(&composite).map_or(0, |view| view.turn);
        let loaded = load(self.residents, self.store, self.partition, &query.path);
        if self.note(loaded).is_none() {
            return Answer::NotYet;
        }
        if let Some(kind) = &query.kind
            && let Some(view) = self.residents.get(&query.path).filter(|view| view.exists)
            && !vm.is_of_kind(view.image, kind)
        {
            return Answer::Here(FarAnswer {
                composite,
                turn,
                reply: Err(another_kind(vm, view.image, &query.path, kind)),
            });
        }
        if let Some(fault) = self.exhausted(query) {
            return Answer::Here(FarAnswer { composite, turn, reply: Err(fault) });
        }
        self.inquiry.fuel -= QUERY_FUEL;
        let input = TurnInput {
            path: &query.path,
            action: Action::Message { selector: &query.selector, arguments: &query.arguments },
            query: true,
            wants_reply: true,
            turn,
            now_ns: self.now_ns,
            seed: self.now_ns as u64 ^ turn,
            answers: &[],
            limits: Limits { fuel: self.inquiry.fuel, ..self.limits },
        };
        self.inquiry.depth += 1;
        let end = vm.run_turn(self, &input);
        self.inquiry.depth -= 1;
        match end.outcome {
            Outcome::Done { reply, .. } => {
                self.inquiry.fuel -= end.fuel_used;
                Answer::Here(FarAnswer { composite, turn, reply: Ok(reply) })
            }
            Outcome::Failed(fault) => {
                self.inquiry.fuel -= end.fuel_used;
                Answer::Here(FarAnswer { composite, turn, reply: Err(fault) })
            }
            // It will run again: that is not free.
            Outcome::Needs => {
                self.inquiry.fuel -= end.fuel_used;
                Answer::NotYet
            }
        }
    }

    /// Why a query is not asked, if the chain of queries is too deep or has used up its fuel.
    fn exhausted(&self, query: &FarQuery) -> Option<Fault> {
        let text = if self.inquiry.depth >= QUERY_DEPTH_MAX {
            format!("far queries ask each other more than {QUERY_DEPTH_MAX} deep; the last was to {}", query.path)
        } else if self.inquiry.fuel <= QUERY_FUEL {
            format!("far queries have used up the fuel for all of them together; the last was to {}", query.path)
        } else {
            return None;
        };
        Some(Fault { kind: "Unreachable".to_owned(), text, trace: Vec::new() })
    }
}

/// What was read for questions to many twins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// How many rows: those that say which twins there are, and of twins that were not in memory.
    pub rows: u64,
    /// How many twins were asked.
    pub twins: u64,
    /// The indices that told which: prototype and slot of each.
    pub indices: BTreeSet<String>,
    /// The prototypes of which all twins were asked.
    pub scanned: BTreeSet<String>,
}

impl Reading {
    /// Adds what another partition has read.
    pub(crate) fn add(&mut self, other: Reading) {
        self.rows += other.rows;
        self.twins += other.twins;
        self.indices.extend(other.indices);
        self.scanned.extend(other.scanned);
    }
}

/// The twins that are in memory only since all are asked.
struct Brought {
    /// How many bytes lay there before.
    bytes: usize,
}

impl Brought {
    /// Forgets them when they are too many.
    fn keep_few(&mut self, residents: &mut Residents) {
        if residents.bytes() > self.bytes + BROUGHT_BYTES_MAX {
            residents.drop_idle(self.bytes);
            self.bytes = residents.bytes();
        }
    }
}

/// The fault of a question to all twins that is too much.
fn spent(prototype: &str) -> Fault {
    let text = "far queries have used up the fuel for all of them together; the last was for all twins of";
    unreachable_twins(format!("{text} {prototype}"))
}

/// The fault of a message to a twin that is not of the kind its sender takes it to be.
pub(crate) fn another_kind(vm: &Vm, image: &[u8], path: &str, kind: &str) -> Fault {
    let shape = twintalk_vm::codec::shape_of_image(image).and_then(|shape| vm.shapes().get(shape));
    let text = match shape.map(|shape| shape.prototype.as_str()) {
        Some(actual) if vm.find_class(actual).is_some() => format!("the twin at {path} is a {actual}, not a {kind}"),
        Some(actual) => format!("the twin at {path} is a {actual}, which the program does not define, not a {kind}"),
        None => format!("the twin at {path} is no {kind}"),
    };
    Fault { kind: "NoSuchTwin".to_owned(), text, trace: Vec::new() }
}

#[cfg(test)]
mod tests {
    use twintalk_store::memory::MemoryStore;
    use twintalk_store::{Place, Position, Rows, Tables};

    use super::*;
    use crate::place::PLACING;
    use crate::resident::write_row;

    #[test]
    fn a_query_of_many_refuses_a_damaged_row_as_a_message_to_its_twin_does() {
        let store = MemoryStore::new(1, PLACING);
        let (partition, mut key, mut rows, mut row) = (Partition(0), Key::new(), Rows::new(), Vec::new());
        let view =
            |path| View { path, dirty: false, exists: true, life: 1, last: Position::START, turn: 1, image: &[7] };
        write_row(&view("good"), &mut row);
        rows.put(Table::State, key.state(partition, "good"), Position::START, &row);
        store.write(&rows).expect("written");
        let mut residents = Residents::default();
        let found = found_by_state(&residents, &store, partition, &|image| image == [7]).expect("read");
        assert_eq!(found, (vec!["good".to_owned()], 1));

        rows.put(Table::State, key.state(partition, "spoilt"), Position::START, &[0xff]);
        store.write(&rows).expect("written");
        let refused = [
            found_by_state(&residents, &store, partition, &|_| true).map(|_| ()),
            load(&mut residents, &store, partition, "spoilt").map(|_| ()),
        ];
        for result in refused {
            let Err(StoreError::Corrupt { at: Place::Row { key: found, .. }, .. }) = result else {
                panic!("{result:?}");
            };
            assert_eq!(found, key.state(partition, "spoilt").bytes());
        }
    }
}
