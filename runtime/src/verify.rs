//! The check that the log says what its programs do: every message is run again, with the program that its record names and
//! with the answers, the time and the seed that it keeps, and what comes out is compared with what the record says.
//!
//! It also looks at what lies between records: turns without gaps, time that does not go back, back chains, lives, each message
//! taken once and in order, nobody seen younger than before; and at rows, which must say what the records do.

use std::collections::{BTreeMap, HashMap};

use twintalk_store::record::{self, ProgramHash, Record};
use twintalk_store::{KeyRange, Position, Store, StoreError, Table};
use twintalk_vm::turn::{Effects, Outcome, RELEASE, TurnEnd, TurnInput, TwinChange};
use twintalk_vm::{Answer, EarlierProgram, FarAnswer, FarQuery, Limits, Vm, World};

use crate::index;
use crate::message::{DROP, PROGRAM, QUARANTINE, SYSTEM_PATH, WAITS, action, decode_answer, wants_reply};
use crate::near::another_kind;
use crate::partition::Core;
use crate::program::Programs;
use crate::recall::Recalled;
use crate::replay::{State, each_record};
use crate::resident::read_row;
use crate::system::{System, earlier_program};

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

impl System {
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
        recalled: Recalled::default(),
        seen: HashMap::new(),
        limits: core.limits,
    };
    let partition = core.partition;
    let mut programs = Programs::new(core.store.clone(), core.program);
    each_record(&*core.store, partition, Position::FIRST, |position, record, _| {
        if report.differences.len() < DIFFERENCES_MAX
            && let Err(difference) = verifier.check(&mut programs, vm, position, record)
        {
            report.differences.push(format!("{partition}/{position}: {difference}"));
        }
        let mut policy_of = |path: &str| match verifier.states.get(path) {
            Some(state) => programs.linked(vm, record.envelope.program).map(|vm| Some(vm.supervision(&state.image))),
            None => Ok(None),
        };
        verifier.recalled.take(&*core.store, partition, position, record, &mut policy_of)?;
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
            if !pieces.iter().eq(wanted) {
                report.differences.push(format!("{path}: the rows of its pieces are not what its records say"));
            }
        }
    }
    if core.is_indexed {
        let of_twin =
            |(path, state): (&String, &State)| Some((core.catalog.prototype(&state.image)?.to_owned(), path.clone()));
        let twins = verifier.states.iter().filter_map(of_twin).collect();
        report.differences.extend(index::differences(&*core.store, partition, &core.catalog, twins)?);
    }
    report.differences.extend(verifier.recalled.differences(core)?);
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
    /// What supervision remembers.
    recalled: Recalled,
    /// The last turn of another composite that each composite has seen, by its answers and messages.
    seen: HashMap<(String, String), u64>,
    time_ns: i64,
    limits: Limits,
}

impl Verifier<'_> {
    /// Runs one record's message again and compares; then takes what the record says.
    fn check(
        &mut self,
        programs: &mut Programs,
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
        if composite == SYSTEM_PATH {
            return match record.input.selector {
                PROGRAM | WAITS => Ok(()),
                other => Err(format!("the runtime has no record `{other}`")),
            };
        }
        if matches!(record.input.selector, QUARANTINE | RELEASE | DROP) {
            return Self::note(record);
        }
        let vm = programs.linked_mut(vm, record.envelope.program).map_err(|error| error.to_string())?;
        self.compare(vm, record)
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
    fn note(record: &Record<'_>) -> Result<(), String> {
        let path = record.receiver().path;
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
        let wants_reply = wants_reply(&record.cause, record.envelope.flags.contains(record::Flags::REPLIES));
        let input = TurnInput {
            path,
            action: action(selector, record.input.arguments),
            query: false,
            wants_reply,
            turn: record.envelope.turn,
            now_ns: record.envelope.began_ns.unwrap_or(record.envelope.time_ns),
            seed: record.input.seed.unwrap_or(0),
            answers: &answers,
            limits: self.limits,
        };
        let mut world = Recorded { states: &self.states, recalled: &self.recalled, store: self.store };
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
                    self.states.remove(twin.path);
                }
                record::TwinChange::Created => {
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
            (wanted.twin, wanted.name, wanted.due_ns, wanted.errand)
                != (&timer.path, &timer.name, timer.due_ns, &timer.errand)
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
    recalled: &'a Recalled,
    store: &'a dyn Store,
}

impl World for Recorded<'_> {
    fn near_twin(&mut self, path: &str) -> Answer<Option<&[u8]>> {
        Answer::Here(self.states.get(path).map(|state| state.image.as_slice()))
    }

    fn piece(&mut self, path: &str, number: u64) -> Answer<Option<&[u8]>> {
        Answer::Here(self.states.get(path).and_then(|state| state.pieces.get(&number)).map(Vec::as_slice))
    }

    fn is_quarantined(&mut self, path: &str) -> bool {
        self.recalled.is_quarantined(path)
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
