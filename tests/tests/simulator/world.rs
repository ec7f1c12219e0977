//! Carries out a plan: one process after another on one disk, and what must hold between them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use twintalk_runtime::{
    Cut, Datum, Durability, FaultReport, FeedMessage, LookError, Moment, OpenError, OpenOptions, Output, Position,
    SendError, Simulated, StoreError, System, TwinState, VIRTUAL_START_NS, WhatIf,
};
use twintalk_store::{Key, KeyRange, Partition, Settings, Table, Tables};

use crate::check::{Expected, Figures, LogRead, Place, check_hub, check_pair};
use crate::dice::Dice;
use crate::disk::{Disk, Fault, Sabotage};
use crate::plan::{COPIES, FRAILS, GLASSES, Plan, SENDERS, Step, copy_path, frail_path, glass_path, hub_path, program};

const SECOND_NS: i64 = 1_000_000_000;
/// Where the clock on the wall starts.
const START_NS: i64 = 1_000_000_000 * SECOND_NS;

/// Why a process goes no further.
pub enum Stop {
    /// What was armed struck.
    Struck,
    /// Something is not as it must be.
    Wrong(String),
}

type Going<T> = Result<T, Stop>;

fn wrong<T>(what: impl Into<String>) -> Going<T> {
    Err(Stop::Wrong(what.into()))
}

/// What one run did, for the figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub records: u64,
    pub openings: u64,
    pub struck: u64,
    pub blackouts: u64,
    pub writes: u64,
    pub forks: u64,
}

/// Sees all that leaves a process.
struct Witness<'p> {
    plan: &'p Plan,
    disk: Arc<Disk>,
    /// The tokens that turns have printed.
    printed: BTreeSet<u64>,
    wrong: Vec<String>,
}

impl Witness<'_> {
    /// A process that was killed says nothing.
    fn is_running(&mut self, what: &str) {
        match self.disk.struck() {
            Some(fault @ (Fault::KillBefore | Fault::KillWithin | Fault::KillAfter)) => {
                self.wrong.push(format!("`{what}` leaves after {fault:?}"));
            }
            Some(Fault::FailedFlush | Fault::Full) | None => {}
        }
    }
}

impl Output for Witness<'_> {
    fn print(&mut self, text: &str) {
        self.is_running(text);
        let before = self.disk.struck().map(|_| LogRead::of(&self.disk.look_durable()));
        for line in text.lines() {
            match line.parse() {
                Ok(token) if self.printed.insert(token) => {
                    // What was durable before something struck may leave after it.
                    if before.as_ref().is_some_and(|read| read.feeds(self.plan).iter().all(|feed| feed.token != token))
                    {
                        self.wrong.push(format!("{token} leaves, and is not durable"));
                    }
                }
                Ok(_) | Err(_) => self.wrong.push(format!("`{line}` is printed twice, or by nobody")),
            }
        }
    }

    fn fault(&mut self, report: &FaultReport) {
        self.is_running(&report.selector);
        let of_guest = report.path.starts_with("guest-");
        let planned = match report.fault.kind.as_str() {
            "Error" => report.fault.text == "planned",
            "InvariantBroken" => report.selector == "overdraw:to:",
            "NoSuchTwin" => of_guest && (report.selector == "leave" || report.selector.starts_with("visit:")),
            "PathError" => of_guest && report.selector == "<new:>" || report.path.starts_with("copy-"),
            _ => false,
        };
        if !planned {
            self.wrong.push(format!("{} {}: {}", report.path, report.selector, report.fault));
        }
    }
}

/// The rows of what is remembered of failures: which twins are in quarantine, and when twins have failed within the windows of
/// their policies.
type Remembered = Vec<(Key, Vec<u8>)>;

/// A run of a plan.
pub struct World<'p> {
    plan: &'p Plan,
    pub disk: Arc<Disk>,
    wall_ns: Arc<AtomicI64>,
    /// The latest time that was on the wall.
    latest_ns: i64,
    dice: Dice,
    system: Option<System>,
    witness: Witness<'p>,
    /// The version of the program, and whether the store is known to have it.
    version: usize,
    installed: bool,
    /// How many messages of each sender were sent, and how many are acknowledged.
    sent: Vec<usize>,
    acked: Vec<usize>,
    /// Answers that were waited for: those that came, and those that perhaps were given.
    marks: BTreeSet<u64>,
    marks_perhaps: BTreeSet<u64>,
    /// What supervision remembered when all tables were lost.
    lost: Option<Remembered>,
    pub trace: Vec<String>,
    pub done: Done,
}

impl<'p> World<'p> {
    /// A world in which nothing has happened.
    pub fn new(plan: &'p Plan, sabotage: Sabotage, dice: &mut Dice) -> World<'p> {
        let settings = Settings {
            durability: plan.durability,
            partitions: plan.partitions,
            placing: "fnv1a64-first-segment".to_owned(),
        };
        let disk = Arc::new(Disk::new(settings, plan.page_bytes, sabotage, dice.fork()));
        World {
            plan,
            wall_ns: Arc::new(AtomicI64::new(START_NS)),
            latest_ns: START_NS,
            dice: dice.fork(),
            system: None,
            witness: Witness { plan, disk: disk.clone(), printed: BTreeSet::new(), wrong: Vec::new() },
            disk,
            version: 1,
            installed: false,
            sent: vec![0; plan.senders.len()],
            acked: vec![0; plan.senders.len()],
            marks: BTreeSet::new(),
            marks_perhaps: BTreeSet::new(),
            lost: None,
            trace: Vec::new(),
            done: Done::default(),
        }
    }

    /// Carries out the whole plan; the error says what is wrong.
    pub fn run(&mut self) -> Result<(), String> {
        let setup = self.within(|world| world.set_up());
        setup?;
        for step in &self.plan.steps {
            self.trace.push(format!("{step:?}"));
            self.within(|world| world.step(step))?;
        }
        self.trace.push("the end".to_owned());
        self.disk.disarm();
        self.within(|world| world.end())
    }

    /// Does `work`, and after whatever strikes opens the store again, and does it again if it says so.
    fn within(&mut self, work: impl Fn(&mut World<'p>) -> Going<()>) -> Result<(), String> {
        for _ in 0..100 {
            let mut going = work(self);
            if !self.witness.wrong.is_empty() {
                return Err(self.witness.wrong.join("\n"));
            }
            match going {
                Ok(()) => return Ok(()),
                Err(Stop::Wrong(what)) => return Err(what),
                Err(Stop::Struck) => {}
            }
            // What strikes while the store is opened again strikes there.
            loop {
                self.crash()?;
                going = self.open();
                match going {
                    Ok(()) => break,
                    Err(Stop::Wrong(what)) => return Err(what),
                    Err(Stop::Struck) => {}
                }
            }
            if !self.witness.wrong.is_empty() {
                return Err(self.witness.wrong.join("\n"));
            }
        }
        Err("a hundred faults in one step".to_owned())
    }

    /// Ends the process after something struck.
    fn crash(&mut self) -> Result<(), String> {
        let Some(fault) = self.disk.struck() else { return Err("nothing struck".to_owned()) };
        self.trace.push(format!("  struck: {fault:?}"));
        self.done.struck += 1;
        if let Some(system) = &mut self.system
            && matches!(fault, Fault::FailedFlush | Fault::Full)
            && self.dice.one_in(2)
        {
            // A process that tries again is refused again, and lets nothing out.
            if system.commit(&mut self.witness).is_ok() && system.settle(&mut self.witness).is_ok() {
                let text = "  it went on as if nothing had happened";
                self.trace.push(text.to_owned());
            }
        }
        self.system = None;
        if self.dice.one_in(2) {
            self.blackout();
        }
        if self.dice.one_in(4) {
            // It may happen again while the store is opened, or soon after.
            let fault = self.dice.pick(&[Fault::KillBefore, Fault::KillWithin, Fault::KillAfter, Fault::FailedFlush]);
            let events = self.dice.below(5);
            self.trace.push(format!("  armed: {fault:?} after {events}"));
            self.disk.arm(fault, events);
        }
        Ok(())
    }

    fn blackout(&mut self) {
        self.wall_ns.fetch_add(SECOND_NS / 100, Ordering::Relaxed);
        let (at_stake, kept) = self.disk.lose_power();
        self.trace.push(format!("  the power is lost: {kept} of {at_stake} pages are kept"));
        self.done.blackouts += 1;
        if self.plan.durability != Durability::Sync {
            // Only a kill is survived; what is left must be whole all the same.
            self.acked.fill(0);
            self.marks_perhaps.append(&mut self.marks);
            self.witness.printed.clear();
            self.installed = false;
        }
    }

    fn store<T>(&self, result: Result<T, StoreError>) -> Going<T> {
        result.or_else(|error| match self.disk.struck() {
            Some(_) => Err(Stop::Struck),
            None => wrong(format!("the store refuses: {error}")),
        })
    }

    fn sent<T>(&self, result: Result<T, SendError>) -> Going<T> {
        match result {
            Ok(value) => Ok(value),
            Err(SendError::Store(error)) => self.store(Err(error)),
            Err(error @ (SendError::Fault(_) | SendError::Argument(_))) => wrong(error.to_string()),
        }
    }

    fn system(&mut self) -> (&mut System, &mut Witness<'p>) {
        (self.system.as_mut().expect("a process runs"), &mut self.witness)
    }

    // ---- opening ----

    /// Starts a process, looks what it has, and sends it what it lacks.
    fn open(&mut self) -> Going<()> {
        self.system = None;
        self.done.openings += 1;
        let lost = self.lost.take();
        let given = !self.installed || self.dice.one_in(3);
        let options = OpenOptions {
            program: given.then(|| program(self.version, self.plan.hubs).clone()),
            upgrade: true,
            threads: Some(self.plan.threads),
            discipline: self.plan.discipline,
            resident_bytes: self.plan.resident_bytes,
            ..OpenOptions::default()
        };
        let machine = Simulated {
            wall_ns: self.plan.wall.then(|| self.wall_ns.clone()),
            batch_records_max: self.plan.batch_records_max,
            ahead_records: self.plan.ahead_records,
            flush_looks: self.plan.flush_looks,
            ..Simulated::new(Arc::new(self.disk.open()))
        };
        self.trace.push(format!("  opened, {} bytes", self.disk.bytes().0));
        match System::open_simulated(machine, options) {
            Ok(system) => self.system = Some(system),
            Err(OpenError::Store(error)) => return self.store(Err(error)),
            Err(error) => return wrong(format!("the store does not open: {error}")),
        }
        // An upgrade ends every quarantine.
        if let Some(lost) = lost.filter(|_| self.installed) {
            let now = self.remembered();
            if now != lost {
                return wrong(format!(
                    "with the tables was lost what was remembered of failures: {lost:?}, now {now:?}"
                ));
            }
        }
        self.check_durable()?;
        if given {
            self.make_hubs()?;
        }
        self.installed = true;
        if self.dice.below(3) > 0 {
            self.check_settled(false)?;
        }
        self.send_again()
    }

    /// What a process would find that is remembered of failures.
    fn remembered(&self) -> Remembered {
        let store = self.disk.look();
        let partitions = (0..self.plan.partitions).map(Partition);
        let rows = partitions.flat_map(|partition| {
            let rows = store.scan(Table::Supervision, &KeyRange::partition(partition)).expect("rows are readable");
            rows.map(|row| row.map(|(key, row)| (key, row.bytes)).expect("a row")).collect::<Remembered>()
        });
        rows.collect()
    }

    /// What was acknowledged, and what has left, is in the log.
    fn check_durable(&mut self) -> Going<()> {
        let read = self.read_log()?;
        for (sender, acked) in self.acked.iter().enumerate() {
            for number in 1..=*acked as u64 {
                if !read.outside.contains_key(&(SENDERS[sender].to_owned(), number)) {
                    return wrong(format!("{} {number} was acknowledged, and is not in the log", SENDERS[sender]));
                }
            }
        }
        let tokens: BTreeSet<u64> = read.feeds(self.plan).iter().map(|feed| feed.token).collect();
        match self.witness.printed.difference(&tokens).next() {
            Some(token) => wrong(format!("{token} was printed, and is not in the log")),
            None => Ok(()),
        }
    }

    fn read_log(&self) -> Going<LogRead> {
        let read = LogRead::of(&self.disk.look());
        let found = [read.wrong.clone(), read.check_outside(self.plan)].concat();
        if found.is_empty() { Ok(read) } else { wrong(found.join("\n")) }
    }

    /// Every sender sends again what was not taken, or all.
    fn send_again(&mut self) -> Going<()> {
        for (sender, name) in SENDERS.iter().enumerate().take(self.sent.len()) {
            let taken = self.system().0.taken(name);
            let taken = self.store(taken)? as usize;
            // Each partition knows its own; what all have taken is at most what is acknowledged.
            let is_too_little = taken < self.acked[sender] && self.plan.partitions == 1;
            if is_too_little || taken > self.sent[sender] {
                let (acked, sent) = (self.acked[sender], self.sent[sender]);
                return wrong(format!("{name}: {taken} taken, {acked} acknowledged, {sent} sent"));
            }
            let first = if self.dice.one_in(4) { 0 } else { taken };
            for nth in first..self.sent[sender] {
                self.feed(sender, nth)?;
            }
        }
        Ok(())
    }

    // ---- steps ----

    fn set_up(&mut self) -> Going<()> {
        if self.system.is_some() {
            return Ok(());
        }
        if self.dice.one_in(3) {
            let fault = self.dice.pick(&[Fault::KillBefore, Fault::KillWithin, Fault::KillAfter, Fault::Full]);
            let events = self.dice.below(6);
            self.disk.arm(fault, events);
        }
        self.open()
    }

    /// Runs the program, which makes the hubs, where they are not there.
    fn make_hubs(&mut self) -> Going<()> {
        let paths = (0..self.plan.hubs).map(hub_path).chain((0..FRAILS).map(frail_path));
        for path in paths.chain((0..GLASSES).map(glass_path)) {
            let there = self.system().0.exists(&path);
            if !self.store(there)? {
                self.trace.push("  the program runs".to_owned());
                let (system, witness) = self.system();
                let ran = system.run_program(Vec::new(), None, witness);
                return self.sent(ran);
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Going<()> {
        if self.system.is_none() {
            self.open()?;
        }
        match step {
            Step::Feed { sender, count } => {
                // When something strikes, those that were sent are sent again as the store is opened.
                for _ in 0..*count {
                    let nth = self.sent[*sender];
                    if nth == self.plan.senders[*sender].len() {
                        break;
                    }
                    self.sent[*sender] += 1;
                    self.feed(*sender, nth)?;
                }
                Ok(())
            }
            Step::Commit => self.commit(),
            Step::Mark { hub, token } => self.mark(*hub, *token),
            Step::Checkpoint => {
                let done = self.system().0.checkpoint();
                self.store(done)
            }
            Step::Passivate => {
                let done = self.system().0.passivate();
                self.store(done)
            }
            Step::Close => {
                let system = self.system.take().expect("a process runs");
                let closed = system.close(&mut self.witness);
                self.store(closed)?;
                self.acked.clone_from(&self.sent);
                self.open()
            }
            Step::Leave => self.open(),
            Step::Blackout => {
                self.system = None;
                self.blackout();
                self.open()
            }
            Step::LoseTables => {
                self.system = None;
                self.lost = Some(self.remembered());
                self.disk.lose_tables();
                self.open()
            }
            Step::Pass { ns } => self.pass(*ns),
            Step::SetClock { ns } => {
                self.latest_ns = self.latest_ns.max(self.wall_ns.load(Ordering::Relaxed));
                self.wall_ns.fetch_add(*ns, Ordering::Relaxed);
                Ok(())
            }
            Step::Upgrade { version } => {
                if self.version != *version {
                    self.version = *version;
                    self.installed = false;
                }
                if self.installed { Ok(()) } else { self.open() }
            }
            Step::Release => self.release().map(drop),
            Step::Verify => {
                self.commit()?;
                self.verify()
            }
            Step::Arm { fault, events } => {
                self.disk.arm(*fault, *events);
                Ok(())
            }
        }
    }

    fn feed(&mut self, sender: usize, nth: usize) -> Going<()> {
        let plan = self.plan;
        let feed = &plan.senders[sender][nth];
        let (selector, arguments) = feed.message();
        let path = feed.path();
        let message = FeedMessage {
            number: feed.number,
            path: &path,
            selector,
            arguments: &arguments,
            device_time_ns: feed.device_ns.map(|ns| if plan.wall { START_NS } else { VIRTUAL_START_NS } + ns),
            make: feed.make(),
        };
        let (system, witness) = self.system();
        let fed = system.feed(SENDERS[sender], &message, witness);
        self.sent(fed)?;
        // Of those that were sent again, some are behind what was acknowledged before.
        for (sender, name) in SENDERS.iter().enumerate().take(self.acked.len()) {
            let acknowledged = self.system().0.acknowledged(name) as usize;
            self.acked[sender] = self.acked[sender].max(acknowledged);
        }
        Ok(())
    }

    fn commit(&mut self) -> Going<()> {
        let (system, witness) = self.system();
        let committed = system.commit(witness);
        self.store(committed)?;
        self.acked.clone_from(&self.sent);
        Ok(())
    }

    fn mark(&mut self, hub: usize, token: u64) -> Going<()> {
        if !self.marks_perhaps.insert(token) {
            return Ok(());
        }
        let (system, witness) = self.system();
        let answer = system.send(&hub_path(hub), "mark:", &[Datum::Int(token.into())], witness);
        let answer = self.sent(answer)?;
        if answer != Datum::Int(token.into()) {
            return wrong(format!("the answer to mark: {token} is {answer}"));
        }
        self.marks_perhaps.remove(&token);
        self.marks.insert(token);
        Ok(())
    }

    fn pass(&mut self, ns: i64) -> Going<()> {
        let wall = self.plan.wall.then_some(&self.wall_ns);
        if let Some(wall_ns) = wall {
            wall_ns.fetch_add(ns, Ordering::Relaxed);
        }
        let is_driven = wall.is_none();
        let (system, witness) = self.system();
        let passed = if is_driven { system.let_time_pass(ns, witness) } else { system.settle(witness) };
        self.store(passed)
    }

    /// Releases all that is in quarantine; answers whether there was something.
    fn release(&mut self) -> Going<bool> {
        let quarantined = self.system().0.quarantined("");
        for twin in &quarantined {
            let (system, witness) = self.system();
            let released = system.release(&twin.path, witness);
            self.sent(released)?;
        }
        Ok(!quarantined.is_empty())
    }

    fn verify(&mut self) -> Going<()> {
        let report = self.system().0.verify(&mut |_| {});
        let report = self.store(report)?;
        if report.differences.is_empty() { Ok(()) } else { wrong(format!("verify: {}", report.differences.join("\n"))) }
    }

    // ---- what must hold ----

    /// Once all is settled the twins' evidence is what follows from the messages that the log has.
    fn bring_clock_forward(&mut self) {
        self.latest_ns = self.latest_ns.max(self.wall_ns.load(Ordering::Relaxed));
        self.wall_ns.store(self.latest_ns, Ordering::Relaxed);
    }

    fn check_settled(&mut self, rested: bool) -> Going<()> {
        let (system, witness) = self.system();
        let settled = system.settle(witness);
        self.store(settled)?;
        while self.release()? {}
        if !self.read_log()?.check_settled().is_empty() {
            // What is tried again, and what waits behind it, takes its time; of which there is none while the clock on
            // the wall is behind that of the log.
            self.bring_clock_forward();
            (0..3).try_for_each(|_| self.pass(SECOND_NS))?;
        }
        let read = self.read_log()?;
        let missing = read.check_settled();
        if !missing.is_empty() {
            return wrong(missing.join("\n"));
        }
        let Some(figures) = self.figures()? else { return Ok(()) };
        let expected = Expected::of(self.plan, &read.feeds(self.plan));
        let mut found = expected.check(&figures, rested);
        found.extend(self.check_marks(&figures));
        for (path, pot) in &expected.pots {
            let answer = self.ask(path)?;
            let wanted = Datum::Array(vec![Datum::from(pot.0), Datum::from(pot.1)]);
            if answer.as_ref() != Some(&wanted) {
                found.push(format!("{path} says {answer:?}, not {wanted}"));
            }
        }
        let frails = (0..FRAILS).map(|frail| (frail_path(frail), expected.frails.get(&frail)));
        let glasses = (0..GLASSES).map(|glass| (glass_path(glass), expected.glasses.get(&glass)));
        for (path, expected) in frails.chain(glasses) {
            let [done, sum, told, told_sum] = expected.copied().unwrap_or_default();
            let wanted = [done, done, sum, sum, told, told_sum].map(Datum::from);
            let wanted = wanted.into_iter().chain([Datum::from("List()")]).collect();
            let answer = self.ask(&path)?;
            if answer.as_ref() != Some(&Datum::Array(wanted)) {
                found.push(format!("{path} says {answer:?}, not {done} of {sum}, told {told} of {told_sum}"));
            }
        }
        for guest in ["guest-0", "guest-1"] {
            let answer = self.ask(guest)?;
            match &answer {
                None => {}
                Some(Datum::Array(parts))
                    if parts.len() == 5
                        && parts[0] == parts[1]
                        && parts[2] == parts[3]
                        && parts[4] == Datum::from(0) => {}
                Some(answer) => found.push(format!("{guest}: half a turn: {answer}")),
            }
        }
        for path in (0..COPIES).map(copy_path) {
            let Some(copy) = self.figures_of(&path)? else { continue };
            found.extend(check_hub(&path, &copy));
            found.extend(check_pair(&path, &copy, &hub_path(0), &figures[0]));
        }
        if found.is_empty() { Ok(()) } else { wrong(found.join("\n")) }
    }

    /// What the twin at a path says of itself, if there is one.
    fn ask(&mut self, path: &str) -> Going<Option<Datum>> {
        let there = self.system().0.exists(path);
        if !self.store(there)? {
            return Ok(None);
        }
        let (system, witness) = self.system();
        let answer = system.send(path, "figures", &[], witness);
        self.sent(answer).map(Some)
    }

    fn figures_of(&mut self, path: &str) -> Going<Option<Figures>> {
        match self.ask(path)? {
            None => Ok(None),
            Some(Datum::Dictionary(entries)) => {
                let name = |key: Datum| match key {
                    Datum::Symbol(name) => name,
                    other => other.to_string(),
                };
                Ok(Some(entries.into_iter().map(|(key, value)| (name(key), value)).collect()))
            }
            Some(other) => wrong(format!("{path} says {other}")),
        }
    }

    /// What every hub says; nothing while they are not all made.
    fn figures(&mut self) -> Going<Option<Vec<Figures>>> {
        (0..self.plan.hubs).map(|hub| self.figures_of(&hub_path(hub))).collect()
    }

    /// Each answer that came is of a turn that was done once; no turn was done twice.
    fn check_marks(&self, figures: &[Figures]) -> Vec<String> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        for marks in figures.iter().filter_map(|figures| figures.get("marks")) {
            let Datum::Array(marks) = marks else { return vec![format!("marks are {marks}")] };
            for mark in marks {
                let token = crate::check::integer(Some(mark)).map_or(0, |token| token as u64);
                if !seen.insert(token) {
                    found.push(format!("mark {token} is there twice"));
                }
                if !self.marks.contains(&token) && !self.marks_perhaps.contains(&token) {
                    found.push(format!("mark {token} was never sent"));
                }
            }
        }
        found.extend(self.marks.difference(&seen).map(|token| format!("mark {token} was answered, and is gone")));
        found
    }

    /// Lets everything come to rest, checks all, and opens the store once more.
    fn end(&mut self) -> Going<()> {
        if self.system.is_none() {
            self.open()?;
        }
        // What was fed sets its timers before their time passes, which it does not while the clock is behind.
        self.commit()?;
        self.bring_clock_forward();
        self.pass(20 * SECOND_NS)?;
        self.commit()?;
        self.check_settled(true)?;
        self.pass(60 * SECOND_NS)?;
        self.commit()?;
        self.check_settled(true)?;
        let read = self.read_log()?;
        if let Some(missing) = self
            .plan
            .senders
            .iter()
            .flatten()
            .find(|feed| !read.feeds(self.plan).iter().any(|one| one.token == feed.token))
        {
            return wrong(format!("{missing:?} was never taken"));
        }
        self.done.records = read.records;
        let letters = self.system().0.dead_letters("");
        let letters: Vec<Place> = self.store(letters)?.iter().map(|one| (one.id.partition, one.id.position)).collect();
        if letters != read.dead_letters {
            return wrong(format!("the dead letters are {letters:?}, but the log has {:?}", read.dead_letters));
        }
        self.verify()?;
        let before = self.states()?;
        match self.dice.below(3) {
            0 => {
                let system = self.system.take().expect("a process runs");
                let closed = system.close(&mut self.witness);
                self.store(closed)?;
            }
            1 if self.plan.durability == Durability::Sync => {
                self.system = None;
                self.disk.lose_power();
            }
            _ => self.system = None,
        }
        self.open()?;
        self.check_settled(true)?;
        let after = self.states()?;
        if before != after {
            let differs = before.iter().zip(&after).find(|(before, after)| before != after);
            return wrong(format!("opening changes twins: {differs:#?}"));
        }
        self.verify()?;
        if std::env::var_os("FORKS").is_none_or(|forks| forks != "0") {
            self.check_fork()?;
        }
        self.done.writes = self.disk.events();
        Ok(())
    }

    /// A fork from some moment in which nothing is otherwise ends as the store did, whatever went wrong on the way.
    fn check_fork(&mut self) -> Going<()> {
        let ends = self.system().0.ends();
        let blocks = self.store(ends)?[0].block;
        let at = Position::block(1 + self.dice.below(blocks as usize) as u64);
        let asked = WhatIf {
            from: Cut::Before(vec![Some(at)]),
            until: Cut::Now,
            program: None,
            dropped: Vec::new(),
            inserted: Vec::new(),
        };
        let forked = match self.system().0.what_if(&asked, &mut |_| {}) {
            Ok(forked) => forked,
            Err(LookError::Store(error)) => return self.store(Err(error)),
            // Several partitions have no moment there.
            Err(LookError::Question(what)) if what.contains("is no moment of the store") => return Ok(()),
            Err(error) => return wrong(format!("a fork from {at}: {error}")),
        };
        self.done.forks += 1;
        let otherwise = (forked.differing, forked.added, forked.missing, forked.fault_count);
        match otherwise == (0, 0, 0, 0) && forked.differences.is_empty() {
            true => Ok(()),
            false => wrong(format!("a fork from {at} is otherwise: {forked:#?}")),
        }
    }

    /// Every twin, as its records say.
    fn states(&mut self) -> Going<Vec<TwinState>> {
        let twins = self.system().0.twins("");
        let mut states = Vec::new();
        for twin in self.store(twins)? {
            let state = self.system().0.state(&twin.path, Moment::Now);
            match self.store(state)? {
                Some(state) => states.push(state),
                None => return wrong(format!("{} is in the tables, and not in the log", twin.path)),
            }
        }
        Ok(states)
    }
}
