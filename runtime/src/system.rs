//! The front door: open a store, run programs and messages, ask about the present and the past.

use std::path::PathBuf;

use twintalk_bytecode::image::Image;
use twintalk_bytecode::verify::{self, VerifyError};
use twintalk_store::memory::MemoryStore;
use twintalk_store::record::{self, ProgramHash};
use twintalk_store::rocks::{RocksOptions, RocksStore};
use twintalk_store::{Durability, Key, Partition, Store, StoreError, Table};
use twintalk_vm::reference::NAME_BYTES_MAX;
use twintalk_vm::{Fault, Limits, LinkError, ProgramWorld, Shapes, Vm};

use crate::clock::{Clock, ClockKind};
use crate::datum::Datum;
use crate::difference::{Difference, difference};
use crate::kernel;
use crate::message::{FaultReport, From, Message};
use crate::partition::{Core, Discipline, Leaving, Reply};
use crate::program::{self, Program};
use crate::replay;
use crate::values;

/// The one partition there is so far.
const PARTITION: Partition = Partition(0);
/// How composites are placed on partitions; with one partition there is nothing to place.
const PLACING: &str = "fx64-first-segment";
/// How many records may wait for one commit.
const COMMIT_RECORDS: usize = 512;
/// After how many records rows are written for the twins they changed.
const CHECKPOINT_RECORDS: u64 = 100_000;
/// How many bytes of twins stay in memory behind a checkpoint.
const RESIDENT_BYTES: usize = 256 << 20;

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The folder; without one everything is in memory and gone afterwards.
    pub folder: Option<PathBuf>,
    /// When a record of a new store counts as durable; an old one keeps what it was made with.
    pub durability: Option<Durability>,
    /// The definitions to run; without them those that the store has.
    pub program: Option<Program>,
    /// Takes other definitions than the store's.
    pub upgrade: bool,
    /// What drives the clock: the wall where there is a folder, else the program.
    pub clock: Option<ClockKind>,
    /// What a turn may spend.
    pub limits: Limits,
    /// What is done around every turn, for tests.
    pub discipline: Discipline,
    /// Leaves the store as it is: a process beside the one that runs it may look.
    pub read_only: bool,
}

/// Why a store does not open.
#[derive(Debug)]
pub enum OpenError {
    /// The store refuses.
    Store(StoreError),
    /// The definitions are not valid bytecode.
    Verify(VerifyError),
    /// The definitions do not fit the kernel.
    Link(LinkError),
    /// The store runs other definitions.
    OtherProgram {
        /// What is different, a line each.
        difference: Vec<Difference>,
    },
    /// Slots changed, but not the version.
    VersionMissing {
        /// The definitions.
        prototypes: Vec<String>,
    },
    /// The store has definitions that cannot be read.
    StoredProgram(String),
    /// The state that rows and log say is not one that the definitions can read.
    Replay(String),
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OpenError::Store(error) => error.fmt(f),
            OpenError::Verify(error) => write!(f, "the program is refused: {error}"),
            OpenError::Link(error) => write!(f, "the program does not fit the class library: {error}"),
            OpenError::OtherProgram { difference } => {
                write!(f, "the store runs other definitions")?;
                difference.iter().try_for_each(|line| write!(f, "\n  {line}"))?;
                write!(f, "\nto run the store with these from now on, add --upgrade")
            }
            OpenError::VersionMissing { prototypes } => {
                write!(
                    f,
                    "the slots of {} have changed, but not the version: raise it, as in `version 2.`",
                    prototypes.join(", ")
                )
            }
            OpenError::StoredProgram(what) => write!(f, "the definitions in the store cannot be read: {what}"),
            OpenError::Replay(what) => write!(f, "the log cannot be replayed: {what}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl std::convert::From<StoreError> for OpenError {
    fn from(error: StoreError) -> OpenError {
        OpenError::Store(error)
    }
}

/// Why a message has no answer.
#[derive(Debug)]
pub enum SendError {
    /// The turn faulted and is undone.
    Fault(Fault),
    /// An argument cannot be handed in.
    Argument(String),
    /// The store refuses.
    Store(StoreError),
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SendError::Fault(fault) => fault.fmt(f),
            SendError::Argument(what) => f.write_str(what),
            SendError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SendError {}

impl std::convert::From<StoreError> for SendError {
    fn from(error: StoreError) -> SendError {
        SendError::Store(error)
    }
}

/// Where output goes, and what else leaves: only what is durable.
pub trait Output {
    /// Text that a program or a turn printed.
    fn print(&mut self, text: &str);
    /// A turn that nobody waits for has failed.
    fn fault(&mut self, report: &FaultReport);
}

/// A store that is open, with its program.
pub struct System {
    vm: Vm,
    core: Core,
    read_only: bool,
    checkpointed_records: u64,
    arguments: Vec<String>,
}

/// A message from an outside sender.
#[derive(Clone, Debug)]
pub struct FeedMessage<'a> {
    /// The sender's number of it: from 1, ascending.
    pub number: u64,
    /// The twin.
    pub path: &'a str,
    /// The message.
    pub selector: &'a str,
    /// Its arguments.
    pub arguments: &'a [Datum],
    /// What the device says about when it was, in nanoseconds since 1970 UTC.
    pub device_time_ns: Option<i64>,
    /// The definition that the twin is made from if it is missing.
    pub make: Option<&'a str>,
}

impl System {
    /// Opens a store, or makes one; with its program, or a new one.
    ///
    /// # Errors
    /// See [`OpenError`]. The store is as it was then.
    pub fn open(options: OpenOptions) -> Result<System, OpenError> {
        let store: Box<dyn Store> = match &options.folder {
            None => Box::new(MemoryStore::new(1, PLACING)),
            Some(folder) if options.read_only => Box::new(RocksStore::open_read_only(folder)?),
            Some(folder) => {
                let asked = RocksOptions {
                    durability: options.durability,
                    partitions: Some(1),
                    placing: Some(PLACING.to_owned()),
                    ..RocksOptions::default()
                };
                Box::new(RocksStore::open(folder, &asked)?)
            }
        };
        let kind = options.clock.unwrap_or(match options.folder {
            Some(_) => ClockKind::Wall,
            None => ClockKind::Driven,
        });
        System::with_store(store, kind, options)
    }

    fn with_store(store: Box<dyn Store>, clock: ClockKind, options: OpenOptions) -> Result<System, OpenError> {
        let stored_hash = stored_program(&*store)?;
        let stored = match &stored_hash {
            Some(hash) => Some(load_program(&*store, hash)?),
            None => None,
        };
        let (kernel_image, program, hash, is_new) = match (options.program, stored, stored_hash) {
            (Some(program), stored, stored_hash) => {
                verify::verify(&program.image).map_err(OpenError::Verify)?;
                verify::verify(&program.definitions).map_err(OpenError::Verify)?;
                let hash = program.hash();
                let same = stored_hash == Some(hash);
                if let Some((old_kernel, stored)) = stored.filter(|_| !same) {
                    if !options.upgrade {
                        let difference = difference((&old_kernel, &stored), (kernel::image(), &program.definitions));
                        return Err(OpenError::OtherProgram { difference });
                    }
                    let prototypes = program::versions_missing(&stored, &program.definitions);
                    if !prototypes.is_empty() {
                        return Err(OpenError::VersionMissing { prototypes });
                    }
                }
                (kernel::image().clone(), program, hash, !same)
            }
            (None, Some((kernel, definitions)), Some(hash)) => {
                (kernel, Program { image: definitions.clone(), definitions }, hash, false)
            }
            (None, _, _) => {
                let program = Program::empty();
                let hash = program.hash();
                (kernel::image().clone(), program, hash, stored_hash.is_none())
            }
        };
        let mut vm = Vm::link(&[&kernel_image, &program.image]).map_err(OpenError::Link)?;
        // Only turns are limited in what they send and loop: a program may run for as long as it likes.
        vm.set_limits(Limits { fuel: i64::MAX, ..options.limits });
        let shapes = stored_shapes(&*store)?;
        let before = shapes.len();
        vm.adopt_shapes(shapes);
        let clock = Clock::new(clock, None);
        let mut core = Core::new(PARTITION, store, clock, hash)?;
        core.limits = options.limits;
        core.discipline = options.discipline;
        replay::recover(&mut core, &mut vm).map_err(OpenError::from)?;
        if !options.read_only && (is_new || vm.shapes().len() != before) {
            core.install_program(&program, vm.shapes())?;
        }
        Ok(System { vm, core, read_only: options.read_only, checkpointed_records: 0, arguments: Vec::new() })
    }

    // ---- programs ----

    /// Runs the statements of the program, then everything that follows from them; with `for_ns` also the timers that
    /// come due within that time.
    ///
    /// # Errors
    /// The fault that ended the program; what it did before stays done. Or the store refuses.
    pub fn run_program(
        &mut self,
        arguments: Vec<String>,
        for_ns: Option<i64>,
        output: &mut dyn Output,
    ) -> Result<(), SendError> {
        self.arguments = arguments;
        let result = self.run_newest(false, output).map(|_| ());
        if let Err(SendError::Store(_)) = result {
            return result;
        }
        self.core.pump(&mut self.vm, None)?;
        self.core.report_unclaimed();
        self.settle(output)?;
        if let Some(duration_ns) = for_ns
            && result.is_ok()
        {
            self.let_time_pass(duration_ns, output)?;
        }
        self.checkpoint()?;
        result
    }

    /// Links one more image, compiled against those before it, and runs its statements: for a REPL. Answers what
    /// the last statement's value prints as.
    ///
    /// # Errors
    /// The image does not link, or defines something although the store is one that stays; its statements fault, or the
    /// store refuses.
    pub fn run_image(&mut self, image: &Image, output: &mut dyn Output) -> Result<String, SendError> {
        verify::verify(image).map_err(|error| SendError::Argument(error.to_string()))?;
        let defines = !image.prototypes.is_empty() || !image.extensions.is_empty();
        if defines && self.core.store.settings().durability != Durability::Memory {
            let text = "a store has the definitions that it was opened with, since its log must say what they were: \
                put these in a file, and open the store with that";
            return Err(SendError::Argument(text.to_owned()));
        }
        self.vm.add_image(image).map_err(|error| SendError::Argument(error.to_string()))?;
        let shapes = self.vm.take_shapes();
        self.vm.adopt_shapes(shapes);
        let result = self.run_newest(true, output);
        self.core.pump(&mut self.vm, None)?;
        self.core.report_unclaimed();
        self.settle(output)?;
        result
    }

    /// Runs the statements of the newest image; answers what their value prints as, if somebody will read it.
    fn run_newest(&mut self, shown: bool, output: &mut dyn Output) -> Result<String, SendError> {
        let (core, vm) = (&mut self.core, &mut self.vm);
        let mut host = Host { core, output, error: None, arguments: &self.arguments };
        let result = vm.run_main(&mut host);
        let result = result.and_then(|value| if shown { vm.print_string(value, &mut host) } else { Ok(String::new()) });
        if let Some(error) = host.error {
            return Err(SendError::Store(error));
        }
        result.map_err(SendError::Fault)
    }

    /// Handles every message and promise that is due, and lets out what may leave.
    ///
    /// # Errors
    /// The store refuses.
    pub fn settle(&mut self, output: &mut dyn Output) -> Result<(), StoreError> {
        self.core.pump(&mut self.vm, None)?;
        let leaving = self.core.commit()?;
        let_out(leaving, output);
        Ok(())
    }

    /// Lets `duration_ns` pass: a driven clock jumps from timer to timer, the wall is waited for.
    ///
    /// # Errors
    /// The store refuses.
    pub fn let_time_pass(&mut self, duration_ns: i64, output: &mut dyn Output) -> Result<(), StoreError> {
        let end_ns = self.core.clock.now_ns().saturating_add(duration_ns);
        loop {
            self.settle(output)?;
            let due_ns = self.core.timers.first().map(|(due_ns, _)| due_ns).filter(|due_ns| *due_ns <= end_ns);
            let next_ns = due_ns.unwrap_or(end_ns);
            match self.core.clock.kind() {
                ClockKind::Driven => self.core.clock.drive_to(next_ns),
                ClockKind::Wall => {
                    let wait_ns = next_ns.saturating_sub(self.core.clock.now_ns());
                    std::thread::sleep(std::time::Duration::from_nanos(u64::try_from(wait_ns).unwrap_or(0)));
                }
            }
            if due_ns.is_none() {
                return self.settle(output);
            }
        }
    }

    // ---- messages ----

    /// Sends one message, and waits until its turn and all that it caused are durable.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(
        &mut self,
        path: &str,
        selector: &str,
        arguments: &[Datum],
        output: &mut dyn Output,
    ) -> Result<Datum, SendError> {
        let arguments = values::arguments(arguments, self.vm.shapes()).map_err(SendError::Argument)?;
        check_message(path, selector)?;
        let from = From::Outside { name: "<command line>".to_owned(), number: 0 };
        let ticket = self.core.ask(path, selector, &arguments, from);
        self.core.pump(&mut self.vm, Some(ticket))?;
        let reply = self.core.take_reply(ticket).expect("pumped until it was there");
        self.settle(output)?;
        let bytes = reply.map_err(SendError::Fault)?;
        values::datum_of_message(&bytes, self.vm.shapes()).map_err(|error| SendError::Argument(error.to_string()))
    }

    /// Up to which number the messages of an outside sender were taken.
    ///
    /// # Errors
    /// The store refuses.
    pub fn taken(&mut self, sender: &str) -> Result<u64, StoreError> {
        self.core.taken_of(sender)
    }

    /// Takes one message of an outside sender and handles all that it causes. Not durable before
    /// [`System::commit`]; commits by itself from time to time, which is answered.
    ///
    /// # Errors
    /// See [`SendError`]. A fault of the turn is none: it is reported through the output.
    pub fn feed(
        &mut self,
        sender: &str,
        message: &FeedMessage<'_>,
        output: &mut dyn Output,
    ) -> Result<bool, SendError> {
        let arguments = values::arguments(message.arguments, self.vm.shapes()).map_err(SendError::Argument)?;
        check_message(message.path, message.selector)?;
        if sender.is_empty() || sender.len() > NAME_BYTES_MAX {
            let text =
                format!("the name of a sender has 1 to {NAME_BYTES_MAX} bytes, but this one has {}", sender.len());
            return Err(SendError::Argument(text));
        }
        if self.core.taken_of(sender)? >= message.number {
            return Ok(false);
        }
        if let Some(device_time_ns) = message.device_time_ns
            && self.core.clock.kind() == ClockKind::Driven
        {
            self.drive_clock(device_time_ns)?;
        }
        if let Some(prototype) = message.make
            && !self.core.exists(message.path)?
        {
            self.core.queue.push_back(Message::make(message.path, prototype));
            self.core.pump(&mut self.vm, None)?;
        }
        self.core.queue.push_back(Message {
            path: message.path.to_owned(),
            selector: message.selector.to_owned(),
            arguments,
            from: From::Outside { name: sender.to_owned(), number: message.number },
            device_time_ns: message.device_time_ns,
            ticket: None,
            kind: None,
            far: false,
        });
        self.core.pump(&mut self.vm, None)?;
        if self.core.uncommitted >= COMMIT_RECORDS {
            self.commit(output)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Lets timers that come due before a moment run, each at its own time.
    fn drive_clock(&mut self, to_ns: i64) -> Result<(), StoreError> {
        while let Some((due_ns, _)) = self.core.timers.first().filter(|(due_ns, _)| *due_ns <= to_ns) {
            self.core.clock.drive_to(due_ns);
            self.core.pump(&mut self.vm, None)?;
        }
        self.core.clock.drive_to(to_ns);
        Ok(())
    }

    /// Makes all records so far durable and lets out what waits for that; writes a checkpoint when one is due.
    ///
    /// # Errors
    /// The store refuses.
    pub fn commit(&mut self, output: &mut dyn Output) -> Result<(), StoreError> {
        let leaving = self.core.commit()?;
        let_out(leaving, output);
        if self.core.records - self.checkpointed_records >= CHECKPOINT_RECORDS {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Writes the rows of all twins that memory is ahead of, so that the next opening replays nothing.
    ///
    /// # Errors
    /// The store refuses.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.read_only {
            return Ok(());
        }
        self.core.checkpoint()?;
        self.checkpointed_records = self.core.records;
        if self.core.residents.bytes() > RESIDENT_BYTES {
            self.core.residents.drop_clean();
        }
        Ok(())
    }

    /// Writes out all twins and forgets those in memory: they are loaded again when they are next sent something.
    ///
    /// # Errors
    /// The store refuses.
    pub fn passivate(&mut self) -> Result<(), StoreError> {
        self.checkpoint()?;
        self.core.residents.drop_clean();
        Ok(())
    }

    /// Ends well: all is durable, and the next opening is quick.
    ///
    /// # Errors
    /// The store refuses.
    pub fn close(mut self, output: &mut dyn Output) -> Result<(), StoreError> {
        if self.read_only {
            return Ok(());
        }
        self.commit(output)?;
        self.checkpoint()?;
        self.core.store.settle()
    }

    // ---- looking ----

    /// Moves every object at every allocation from now on: finds what forgets one. For tests.
    #[doc(hidden)]
    pub fn set_stress(&mut self, on: bool) {
        self.vm.set_stress(on);
    }

    /// The VM, to show values with.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    pub(crate) fn parts(&mut self) -> (&mut Core, &mut Vm) {
        (&mut self.core, &mut self.vm)
    }

    /// Whether there is a twin at `path`; it is in memory afterwards. Cost: one point read where it was not.
    ///
    /// # Errors
    /// The store refuses.
    pub fn exists(&mut self, path: &str) -> Result<bool, StoreError> {
        self.core.exists(path)
    }

    /// How many twins are in memory, and how many bytes they take, the index left out.
    pub fn residents(&self) -> (usize, usize) {
        (self.core.residents.len(), self.core.residents.bytes())
    }

    /// How many records this process has written.
    pub fn records(&self) -> u64 {
        self.core.records
    }

    /// The names of the twin definitions of the program, in their order.
    pub fn twin_definitions(&self) -> Vec<String> {
        let shapes = self.vm.shapes();
        let all = (0..shapes.len() as u32).filter_map(|number| shapes.get(number));
        let mut names: Vec<String> = Vec::new();
        for shape in all.filter(|shape| shape.twin && !shape.kernel && self.vm.find_class(&shape.prototype).is_some()) {
            if !names.contains(&shape.prototype) {
                names.push(shape.prototype.clone());
            }
        }
        names
    }
}

fn check_message(path: &str, selector: &str) -> Result<(), SendError> {
    twintalk_vm::reference::check_path(path).map_err(SendError::Argument)?;
    if verify::selector_arguments(selector).is_none() || selector.len() > NAME_BYTES_MAX {
        let short: String = selector.chars().take(80).collect();
        return Err(SendError::Argument(format!("`{short}` is no selector")));
    }
    Ok(())
}

fn let_out(leaving: Vec<Leaving>, output: &mut dyn Output) {
    for what in leaving {
        match what {
            Leaving::Output(text) => output.print(&text),
            Leaving::Fault(report) => output.fault(&report),
        }
    }
}

// ---- what a program sees ----

/// The world of a program on this store.
struct Host<'a> {
    core: &'a mut Core,
    output: &'a mut dyn Output,
    /// What the store refused; the program ends with it.
    error: Option<StoreError>,
    arguments: &'a [String],
}

impl Host<'_> {
    /// Once the store has refused something, it refuses all: what the program handles does not make it whole.
    fn note<T>(&mut self, result: Result<T, StoreError>) -> Result<T, Fault> {
        if let Some(error) = &self.error {
            return Err(Fault { kind: "Store".to_owned(), text: error.to_string(), trace: Vec::new() });
        }
        result.map_err(|error| {
            let fault = Fault { kind: "Store".to_owned(), text: error.to_string(), trace: Vec::new() };
            self.error.get_or_insert(error);
            fault
        })
    }

    fn commit(&mut self) -> Result<(), Fault> {
        let committed = self.core.commit();
        let leaving = self.note(committed)?;
        let_out(leaving, self.output);
        Ok(())
    }

    fn reply(&mut self, vm: &mut Vm, ticket: u64) -> Reply {
        let pumped = self.core.pump(vm, Some(ticket));
        self.note(pumped)?;
        self.commit()?;
        self.core.take_reply(ticket).unwrap_or_else(|| {
            let text = "the message was never handled: nothing is due any more".to_owned();
            Err(Fault { kind: "Unreachable".to_owned(), text, trace: Vec::new() })
        })
    }
}

impl ProgramWorld for Host<'_> {
    fn print(&mut self, text: &str) {
        self.output.print(text);
    }

    fn turn(&mut self, vm: &mut Vm, path: &str, kind: Option<&str>, selector: &str, arguments: &[u8]) -> Reply {
        let ticket = self.core.ask(path, selector, arguments, From::Program);
        if let Some(message) = self.core.queue.back_mut() {
            message.kind = kind.map(str::to_owned);
        }
        self.reply(vm, ticket)
    }

    fn far_send(&mut self, _vm: &mut Vm, path: &str, selector: &str, arguments: &[u8]) -> Result<u64, Fault> {
        Ok(self.core.ask_far(path, selector, arguments))
    }

    fn wait(&mut self, vm: &mut Vm, promise: u64) -> Reply {
        self.reply(vm, promise)
    }

    fn is_resolved(&mut self, promise: u64) -> bool {
        self.core.has_reply(promise)
    }

    fn advance_clock(&mut self, vm: &mut Vm, duration_ns: i64) -> Result<(), Fault> {
        if self.core.clock.kind() == ClockKind::Wall {
            let text = "this store runs by the clock on the wall, which cannot be advanced".to_owned();
            return Err(Fault { kind: "ProgramOnly".to_owned(), text, trace: Vec::new() });
        }
        let end_ns = self.core.clock.now_ns().saturating_add(duration_ns);
        let pumped = self.core.pump(vm, None);
        self.note(pumped)?;
        while let Some((due_ns, _)) = self.core.timers.first().filter(|(due_ns, _)| *due_ns <= end_ns) {
            self.core.clock.drive_to(due_ns);
            let pumped = self.core.pump(vm, None);
            self.note(pumped)?;
        }
        self.core.clock.drive_to(end_ns);
        self.commit()
    }

    fn now_ns(&mut self) -> i64 {
        self.core.clock.now_ns()
    }

    fn arguments(&self) -> &[String] {
        self.arguments
    }
}

// ---- programs in the store ----

fn stored_program(store: &dyn Store) -> Result<Option<ProgramHash>, OpenError> {
    let row = store.get(Table::Meta, Key::new().named(Partition::SHARED, "program"))?;
    match row {
        None => Ok(None),
        Some(row) => match row.bytes.try_into() {
            Ok(hash) => Ok(Some(hash)),
            Err(_) => Err(OpenError::StoredProgram("its hash has another length".to_owned())),
        },
    }
}

/// The kernel and the definitions of a program that the store has.
pub(crate) fn load_program(store: &dyn Store, hash: &ProgramHash) -> Result<(Image, Image), OpenError> {
    let row = store.get(Table::Programs, Key::new().program(hash))?;
    let row = row.ok_or_else(|| OpenError::StoredProgram("they are missing".to_owned()))?;
    program::images_from_bytes(&row.bytes).map_err(OpenError::StoredProgram)
}

fn stored_shapes(store: &dyn Store) -> Result<Shapes, OpenError> {
    match store.get(Table::Meta, Key::new().named(Partition::SHARED, "shapes"))? {
        None => Ok(Shapes::default()),
        Some(row) => program::shapes_from_bytes(&row.bytes)
            .ok_or_else(|| OpenError::StoredProgram("the table of shapes is damaged".to_owned())),
    }
}

/// Where a record came from, in words.
pub(crate) fn sender_text(cause: &record::Cause<'_>) -> String {
    match cause.sender {
        record::Sender::Program => "<program>".to_owned(),
        record::Sender::Outside(name) => name.to_owned(),
        record::Sender::Twin(path) => path.to_owned(),
        record::Sender::Reply(path) => format!("<reply of {path}>"),
        record::Sender::Timer(name) => format!("<timer {name}>"),
        record::Sender::System => "<system>".to_owned(),
    }
}
