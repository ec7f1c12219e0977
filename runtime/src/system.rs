//! The front door: open a store, run programs and messages, ask about the present and the past.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use twintalk_bytecode::image::Image;
use twintalk_bytecode::verify::{self, VerifyError};
use twintalk_store::memory::MemoryStore;
use twintalk_store::record::{self, ProgramHash};
use twintalk_store::rocks::{RocksOptions, RocksStore};
use twintalk_store::{Corruption, Durability, Key, Partition, Place, Position, Settings, Store, StoreError, Table};
use twintalk_vm::profile::{Pace, Profile};
use twintalk_vm::reference::NAME_BYTES_MAX;
use twintalk_vm::turn::ALL;
use twintalk_vm::{EarlierProgram, FarQuery, Fault, Given, Limits, LinkError, ProgramWorld, Request, Shapes, Vm};

use crate::catalog::Catalog;
use crate::clock::{Clock, ClockKind};
use crate::datum::{self, Datum};
use crate::difference::{Difference, difference};
use crate::flush::Flusher;
use crate::kernel::{self, Library};
use crate::message::{FaultReport, From, Message, SYSTEM_PATH};
use crate::near::Reading;
use crate::partition::{AHEAD_RECORDS, BATCH_RECORDS_MAX, Core, Discipline, Leaving, QUERY_LIMIT, Reply};
use crate::partitions::{Linked, Partitions};
use crate::place::PLACING;
use crate::post::Post;
use crate::program::{self, Program};
use crate::replay::{damaged, each_record};
use crate::upgrade::{Lowered, Orphans, Versions};
use crate::values;
use crate::{index, rebuild, replay};

/// How many records, and messages not handled yet, may wait for one write.
const COMMIT_RECORDS: usize = 512;
/// After how many records rows are written for the twins they changed.
const CHECKPOINT_RECORDS: u64 = 100_000;
/// How many bytes of twins stay in memory, unless the opener says otherwise.
const RESIDENT_BYTES: usize = 256 << 20;

/// How a store is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The folder; without one everything is in memory and gone afterwards.
    pub folder: Option<PathBuf>,
    /// When a record of a new store counts as durable; an old one keeps what it was made with.
    pub durability: Option<Durability>,
    /// How many partitions a new store has, by default one; an old one keeps what it was made with.
    pub partitions: Option<u16>,
    /// How many threads drive them, by default one; no more than there are partitions.
    pub threads: Option<usize>,
    /// How long a turn waits for the answer of another partition, by default ten seconds; then it is the fault
    /// `Unreachable`.
    pub query_limit: Option<Duration>,
    /// How many bytes of twins stay in memory, the index over them left out; by default 256 MiB. When there are more, those that
    /// were not in use lately are passivated.
    pub resident_bytes: Option<usize>,
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
    /// Does without rows that say which twins a prototype has, where they are missing: a fork would have to read all of its base
    /// for them.
    #[doc(hidden)]
    pub unindexed: bool,
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
    /// Twins are of a later version than their definition would be.
    VersionLower {
        /// The definitions.
        prototypes: Vec<Lowered>,
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
            OpenError::VersionLower { prototypes } => {
                let lines = prototypes.iter().map(|Lowered { prototype, from, to, twins }| {
                    format!(
                        "{prototype} goes back from version {from} to {to}, but {twins} of its twins are of a later one already: \
                         go on with version {}, and a `migrate {from}`",
                        from.saturating_add(1)
                    )
                });
                f.write_str(&lines.collect::<Vec<_>>().join("\n"))
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

    /// What the machine answers a program: files, standard input, its exit code. Refused unless it is provided.
    ///
    /// # Errors
    /// Why not, in a sentence: the text of a `FileError` in the program.
    fn machine(&mut self, _request: &Request) -> Result<Given, String> {
        Err(Request::REFUSED.to_owned())
    }
}

/// What a test puts in the place of disk and clock.
#[doc(hidden)]
pub struct Simulated {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The time on the wall, in nanoseconds since 1970; without it the clock is driven.
    pub wall_ns: Option<Arc<AtomicI64>>,
    /// How many records may wait for one write.
    pub batch_records_max: usize,
    /// How many records are written at once while the disk is idle.
    pub ahead_records: usize,
    /// How often one looks for a flush until it is done.
    pub flush_looks: u64,
}

#[doc(hidden)]
impl Simulated {
    /// A store, with all else as it is without a test.
    pub fn new(store: Arc<dyn Store>) -> Simulated {
        let (batch_records_max, ahead_records) = (BATCH_RECORDS_MAX, AHEAD_RECORDS);
        Simulated { store, wall_ns: None, batch_records_max, ahead_records, flush_looks: 100 }
    }
}

/// A store that is open, with its program.
pub struct System {
    vm: Vm,
    partitions: Partitions,
    read_only: bool,
    checkpointed_records: u64,
    /// How many bytes of twins stay in memory.
    resident_bytes: usize,
    orphans: Vec<Orphans>,
    arguments: Vec<String>,
    /// The selector that was fed last: it is one.
    checked_selector: String,
    /// Paths at which a twin is about to be made for an outside sender.
    making: BTreeSet<String>,
    /// Up to which number outside senders have fed since the last commit.
    fed: BTreeMap<String, u64>,
    /// Those of the commit whose flush is under way.
    flushing: BTreeMap<String, u64>,
    /// Those that are durable.
    acknowledged: BTreeMap<String, u64>,
}

/// What becomes of the value of a program's last statement.
#[derive(Clone, Copy, Debug)]
enum Shown {
    /// Nothing.
    Nothing,
    /// It is answered as text.
    Text,
    /// It is shown; of many elements each on a line.
    Lines,
    /// The same as JSON.
    Json,
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
        let partitions = options.partitions;
        if partitions.is_some_and(|count| count == 0 || count == u16::MAX) {
            let text = "a store has 1 to 65,534 partitions".to_owned();
            return Err(OpenError::Store(StoreError::Io(std::io::Error::other(text))));
        }
        let store: Arc<dyn Store> = match &options.folder {
            None => Arc::new(MemoryStore::new(partitions.unwrap_or(1), PLACING)),
            Some(folder) if options.read_only => Arc::new(RocksStore::open_read_only(folder)?),
            Some(folder) => {
                let asked = RocksOptions {
                    durability: options.durability,
                    partitions,
                    placing: Some(PLACING.to_owned()),
                    ..RocksOptions::default()
                };
                Arc::new(RocksStore::open(folder, &asked)?)
            }
        };
        let kind = options.clock.unwrap_or(match options.folder {
            Some(_) => ClockKind::Wall,
            None => ClockKind::Driven,
        });
        System::with_store(store, kind, options)
    }

    /// Opens a store that is there already, of whatever kind; `folder`, `durability` and `partitions` of the options are
    /// of no account. For tests.
    ///
    /// # Errors
    /// See [`OpenError`].
    #[doc(hidden)]
    pub fn with_store(store: Arc<dyn Store>, clock: ClockKind, options: OpenOptions) -> Result<System, OpenError> {
        let flusher = Flusher::new(store.clone());
        System::with_clock(store, flusher, Clock::new(clock, None), options)
    }

    /// The same on a machine that a test makes up.
    ///
    /// # Errors
    /// See [`OpenError`].
    #[doc(hidden)]
    pub fn open_simulated(machine: Simulated, options: OpenOptions) -> Result<System, OpenError> {
        let clock = match machine.wall_ns {
            Some(wall_ns) => Clock::simulated(wall_ns),
            None => Clock::new(ClockKind::Driven, None),
        };
        let flusher = Flusher::simulated(machine.store.clone(), machine.flush_looks);
        let mut system = System::with_clock(machine.store, flusher, clock, options)?;
        for core in system.partitions.iter_mut() {
            (core.batch_records_max, core.ahead_records) = (machine.batch_records_max, machine.ahead_records);
        }
        Ok(system)
    }

    fn with_clock(
        store: Arc<dyn Store>,
        flusher: Flusher,
        clock: Clock,
        options: OpenOptions,
    ) -> Result<System, OpenError> {
        let lost = rebuild::begin(&*store, options.read_only)?;
        let stored_hash = match lost {
            Some(hash) => Some(hash),
            None => stored_program(&*store)?,
        };
        let stored = match &stored_hash {
            Some(hash) => Some(load_program(&*store, hash)?),
            None => None,
        };
        let mut versions = Versions::default();
        let (library, program, hash, is_new) = match (options.program, stored, stored_hash) {
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
                    versions = Versions::compare(&stored, &program.definitions);
                }
                (Library::Embedded, program, hash, !same)
            }
            (None, Some((library, definitions)), Some(hash)) => {
                (library, Program { image: definitions.clone(), definitions }, hash, false)
            }
            (None, _, _) => {
                let program = Program::empty();
                let hash = program.hash();
                (Library::Embedded, program, hash, stored_hash.is_none())
            }
        };
        let mut vm = library.link(&program.image).map_err(OpenError::Link)?;
        // Only turns are limited in what they send and loop: a program may run for as long as it likes.
        vm.set_limits(Limits { fuel: i64::MAX, ..options.limits });
        vm.set_program(hash);
        let shapes = stored_shapes(&*store)?;
        let before = shapes.len();
        vm.adopt_shapes(shapes);
        let count = store.settings().partitions;
        let threads = options.threads.unwrap_or(1).clamp(1, usize::from(count));
        let post = Arc::new(Post::new(count, threads));
        let flusher = Arc::new(flusher);
        let catalog = Arc::new(Catalog::of(&vm));
        let mut cores = Vec::new();
        for partition in (0..count).map(Partition) {
            let mut core = Core::new(partition, store.clone(), post.clone(), flusher.clone(), clock.clone(), hash)?;
            core.catalog = catalog.clone();
            core.limits = options.limits;
            core.discipline = options.discipline;
            core.query_limit = options.query_limit.unwrap_or(QUERY_LIMIT);
            cores.push(core);
        }
        let mut partitions = Partitions::new(store, post, cores);
        match lost {
            Some(hash) => rebuild::rebuild(partitions.all(), &mut vm, &hash)?,
            None => replay::recover(partitions.all(), &mut vm)?,
        }
        for core in partitions.iter_mut() {
            core.is_indexed = index::is_whole(&*core.store, core.partition, &core.catalog)?;
            if !core.is_indexed && !options.read_only && !options.unindexed {
                index::build(&*core.store, core.partition, &core.catalog)?;
                core.is_indexed = true;
            }
        }
        let now_ns = partitions.now_ns();
        partitions.drive_to(now_ns);
        let orphans = versions.check(&partitions, &vm, before)?;
        if !options.read_only && (is_new || vm.shapes().len() != before) {
            partitions.first().install_program(&program, vm.shapes())?;
        }
        if !options.read_only && is_new {
            // What a twin could not do in the old program it may do in the new one.
            for core in partitions.iter_mut() {
                core.release_all(&mut vm)?;
                core.commit()?;
            }
        }
        let shapes = || vm.copy_shapes();
        let linked = Linked { library: &library, program: &program.image, hash, shapes: &shapes };
        partitions.start_threads(threads, &linked).map_err(OpenError::Link)?;
        Ok(System {
            vm,
            partitions,
            read_only: options.read_only,
            checkpointed_records: 0,
            resident_bytes: options.resident_bytes.unwrap_or(RESIDENT_BYTES),
            orphans,
            arguments: Vec::new(),
            checked_selector: String::new(),
            making: BTreeSet::new(),
            fed: BTreeMap::new(),
            flushing: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
        })
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
        let result = self.run_newest(Shown::Nothing, output).map(|_| ());
        if let Err(SendError::Store(_)) = result {
            return result;
        }
        self.partitions.pump(&mut self.vm, None)?;
        self.partitions.iter_mut().for_each(Core::report_unclaimed);
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
        self.run_added(image, Shown::Text, output)
    }

    fn run_added(&mut self, image: &Image, shown: Shown, output: &mut dyn Output) -> Result<String, SendError> {
        verify::verify(image).map_err(|error| SendError::Argument(error.to_string()))?;
        let defines = !image.prototypes.is_empty() || !image.extensions.is_empty();
        if defines && self.partitions.store.settings().durability != Durability::Memory {
            let text = "a store has the definitions that it was opened with, since its log must say what they were: \
                put these in a file, and open the store with that";
            return Err(SendError::Argument(text.to_owned()));
        }
        if self.partitions.thread_count() > 1 {
            let text = "definitions are added by one thread only".to_owned();
            return Err(SendError::Argument(text));
        }
        self.vm.add_image(image).map_err(|error| SendError::Argument(error.to_string()))?;
        let shapes = self.vm.take_shapes();
        self.vm.adopt_shapes(shapes);
        let catalog = Arc::new(Catalog::of(&self.vm));
        for core in self.partitions.iter_mut() {
            let is_same = core.catalog.text() == catalog.text();
            core.catalog = catalog.clone();
            if core.is_indexed && !is_same {
                index::build(&*core.store, core.partition, &catalog)?;
            }
        }
        if self.read_only {
            // What waits and what is due is for the process that runs the store.
            self.partitions.iter_mut().for_each(Core::forget_messages);
        }
        let result = self.run_newest(shown, output);
        self.partitions.pump(&mut self.vm, None)?;
        self.partitions.iter_mut().for_each(Core::report_unclaimed);
        self.settle(output)?;
        result
    }

    /// Links and runs one more image as [`System::run_image`] does, and shows the last statement's value as a line of text or
    /// of JSON. Where that is of many twins, it is asked page by page and shown as it comes, each element on a line of its own. For a
    /// store that is only looked at.
    ///
    /// # Errors
    /// As for [`System::run_image`].
    pub fn show_image(&mut self, image: &Image, json: bool, output: &mut dyn Output) -> Result<(), SendError> {
        self.vm.set_pages(true);
        let shown = self.run_added(image, if json { Shown::Json } else { Shown::Lines }, output);
        self.vm.set_pages(false);
        shown.map(|_| ())
    }

    /// Runs the statements of the newest image; answers what their value prints as, if somebody will read it.
    fn run_newest(&mut self, shown: Shown, output: &mut dyn Output) -> Result<String, SendError> {
        let (partitions, vm) = (&mut self.partitions, &mut self.vm);
        let mut host = Host { partitions, output, error: None, arguments: &self.arguments };
        let result = vm.run_main(&mut host);
        let result = result.and_then(|value| match (shown, vm.find_prototype("TwinQuery")) {
            (Shown::Nothing, _) => Ok(String::new()),
            (Shown::Json, Some(shower)) => vm.send(shower, "showJson:", &[value], &mut host).map(|_| String::new()),
            (Shown::Lines, Some(shower)) => vm.send(shower, "show:", &[value], &mut host).map(|_| String::new()),
            (Shown::Text | Shown::Json | Shown::Lines, _) => vm.print_string(value, &mut host),
        });
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
        self.partitions.pump(&mut self.vm, None)?;
        let leaving = self.partitions.commit()?;
        let_out(leaving, output);
        Ok(())
    }

    /// Lets `duration_ns` pass: a driven clock jumps from timer to timer, the wall is waited for.
    ///
    /// # Errors
    /// The store refuses.
    pub fn let_time_pass(&mut self, duration_ns: i64, output: &mut dyn Output) -> Result<(), StoreError> {
        let end_ns = self.partitions.now_ns().saturating_add(duration_ns);
        loop {
            self.settle(output)?;
            let due_ns = self.partitions.first_due().filter(|due_ns| *due_ns <= end_ns);
            let next_ns = due_ns.unwrap_or(end_ns);
            self.partitions.pass_time(next_ns);
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
        let from = From::Outside { name: "<command line>".into(), number: 0 };
        let ticket = self.partitions.ask(path, selector, &arguments, from);
        self.partitions.pump(&mut self.vm, Some(ticket))?;
        let reply = self.partitions.take_reply(ticket).expect("pumped until it was there");
        self.settle(output)?;
        let bytes = reply.map_err(SendError::Fault)?;
        values::datum_of_message(&bytes, self.vm.shapes()).map_err(|error| SendError::Argument(error.to_string()))
    }

    /// Up to which number all messages of an outside sender were taken. Some behind it may have been, too: they are
    /// recognised when they come again.
    ///
    /// # Errors
    /// The store refuses.
    pub fn taken(&mut self, sender: &str) -> Result<u64, StoreError> {
        let taken: Result<Vec<u64>, StoreError> =
            self.partitions.iter_mut().map(|core| core.taken_of(sender)).collect();
        Ok(taken?.into_iter().min().unwrap_or(0))
    }

    /// Up to which number the messages of an outside sender are durable, with all that they caused; 0 if none was fed since
    /// the store was opened.
    pub fn acknowledged(&self, sender: &str) -> u64 {
        self.acknowledged.get(sender).copied().unwrap_or(0)
    }

    /// Takes one message of an outside sender and handles all that it causes. It becomes durable by and by, while others are
    /// fed ([`System::acknowledged`] says how far that is), or with [`System::commit`]. Waits where the disk is slower than
    /// what feeds: one group of messages is being flushed, and one gathers.
    ///
    /// # Errors
    /// See [`SendError`]. A fault of the turn is none: it is reported through the output.
    pub fn feed(&mut self, sender: &str, message: &FeedMessage<'_>, output: &mut dyn Output) -> Result<(), SendError> {
        let arguments = values::arguments(message.arguments, self.vm.shapes()).map_err(SendError::Argument)?;
        let is_there = self.partitions.of(message.path).is_in_memory(message.path);
        if !is_there {
            twintalk_vm::reference::check_path(message.path).map_err(SendError::Argument)?;
        }
        // Most messages of a feed are of one kind.
        if self.checked_selector != message.selector {
            check_selector(message.selector)?;
            message.selector.clone_into(&mut self.checked_selector);
        }
        if sender.is_empty() || sender.len() > NAME_BYTES_MAX {
            let text =
                format!("the name of a sender has 1 to {NAME_BYTES_MAX} bytes, but this one has {}", sender.len());
            return Err(SendError::Argument(text));
        }
        if self.partitions.of(message.path).taken_of(sender)? >= message.number {
            return Ok(());
        }
        if let Some(device_time_ns) = message.device_time_ns
            && self.partitions.clock_kind() == ClockKind::Driven
        {
            self.partitions.advance_to(&mut self.vm, device_time_ns)?;
        }
        if let Some(prototype) = message.make
            && !is_there
            && !self.making.contains(message.path)
            && !self.partitions.of(message.path).exists(message.path)?
        {
            self.making.insert(message.path.to_owned());
            self.partitions.enqueue(Message::make(message.path, prototype));
        }
        let from = From::Outside { name: sender.into(), number: message.number };
        self.partitions.enqueue(Message {
            device_time_ns: message.device_time_ns,
            ..Message::new(message.path, message.selector, arguments, from)
        });
        match self.fed.get_mut(sender) {
            Some(number) => *number = message.number,
            None => drop(self.fed.insert(sender.to_owned(), message.number)),
        }
        // What crosses partitions waits for the disk, so there a whole batch goes at once.
        if self.partitions.placing.partitions == 1 {
            self.partitions.pump(&mut self.vm, None)?;
            self.making.clear();
        }
        let flushing = !self.release_flushed(output)?;
        let pending = self.partitions.pending();
        if pending >= COMMIT_RECORDS
            || pending >= self.partitions.first().ahead_records && !flushing && self.is_synced()
        {
            self.commit_ahead(output)?;
        }
        Ok(())
    }

    /// Whether who acknowledges has to wait for the disk.
    fn is_synced(&self) -> bool {
        self.partitions.store.settings().durability == Durability::Sync
    }

    /// Handles all that was taken, makes it durable, and lets out what waits for that; writes a checkpoint when one is due.
    ///
    /// # Errors
    /// The store refuses.
    pub fn commit(&mut self, output: &mut dyn Output) -> Result<(), StoreError> {
        self.handle_all()?;
        let leaving = self.partitions.commit()?;
        let_out(leaving, output);
        self.acknowledge_flushing();
        self.acknowledge_fed();
        self.checkpoint_if_due()
    }

    /// Makes durable what is being flushed, or if nothing is, what was taken; and lets out what waits for that. For who has
    /// nothing more to feed before something is acknowledged.
    ///
    /// # Errors
    /// The store refuses.
    pub fn commit_some(&mut self, output: &mut dyn Output) -> Result<(), StoreError> {
        if self.release_flushed(output)? {
            return self.commit(output);
        }
        self.partitions.await_flush()?;
        self.release_flushed(output).map(drop)
    }

    /// Handles all that was taken and has it flushed beside what is fed next, once the flush before is done.
    fn commit_ahead(&mut self, output: &mut dyn Output) -> Result<(), StoreError> {
        self.handle_all()?;
        let flush = self.partitions.commit_ahead()?;
        // What was being flushed is durable now.
        let_out(self.partitions.take_released(), output);
        self.acknowledge_flushing();
        match flush {
            0 => self.acknowledge_fed(),
            _ => self.flushing = std::mem::take(&mut self.fed),
        }
        self.checkpoint_if_due()
    }

    /// Lets out what waited for a flush that is done; answers whether none is under way.
    fn release_flushed(&mut self, output: &mut dyn Output) -> Result<bool, StoreError> {
        let idle = self.partitions.release_flushed()?;
        let_out(self.partitions.take_released(), output);
        if idle {
            self.acknowledge_flushing();
        }
        Ok(idle)
    }

    /// Handles all that was taken, and notes how far that is.
    fn handle_all(&mut self) -> Result<(), StoreError> {
        self.partitions.pump(&mut self.vm, None)?;
        self.making.clear();
        let partitions = &mut self.partitions;
        self.fed.iter().try_for_each(|(sender, &number)| {
            partitions.iter_mut().try_for_each(|core| core.taken_up_to(sender, number))
        })
    }

    fn acknowledge_flushing(&mut self) {
        self.acknowledged.append(&mut self.flushing);
    }

    fn acknowledge_fed(&mut self) {
        self.acknowledged.append(&mut self.fed);
    }

    fn checkpoint_if_due(&mut self) -> Result<(), StoreError> {
        let records = self.partitions.records() - self.checkpointed_records;
        if records >= CHECKPOINT_RECORDS || self.residents().1 > self.resident_bytes {
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
        self.partitions.checkpoint()?;
        self.checkpointed_records = self.partitions.records();
        if self.residents().1 > self.resident_bytes {
            // Some more than has to, since every twin is looked at for this.
            let each = (self.resident_bytes - self.resident_bytes / 8) / self.partitions.iter().count();
            self.partitions.iter_mut().for_each(|core| core.residents.drop_idle(each));
        }
        Ok(())
    }

    /// Writes out all twins and forgets those in memory: they are loaded again when they are next sent something.
    ///
    /// # Errors
    /// The store refuses.
    pub fn passivate(&mut self) -> Result<(), StoreError> {
        self.checkpoint()?;
        self.partitions.iter_mut().for_each(|core| core.residents.drop_clean());
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
        self.partitions.store.settle()
    }

    /// Has the store write what it holds in memory to its files, so that the next opening is quick; what is not committed is
    /// left alone.
    ///
    /// # Errors
    /// The store refuses.
    pub fn settle_store(&self) -> Result<(), StoreError> {
        self.partitions.store.settle()
    }

    // ---- profiles ----

    /// Notes from now on how programs and turns spend their time; one profile at a time.
    pub fn start_profile(&mut self, pace: Pace) {
        self.vm.start_profile(pace);
        self.partitions.start_profile(pace);
    }

    /// What was noted, by all threads together; `None` if no profile was started.
    pub fn take_profile(&mut self) -> Option<Profile> {
        let mut profile = self.vm.take_profile()?;
        self.partitions.take_profiles().into_iter().for_each(|other| profile.merge(other));
        Some(profile)
    }

    // ---- looking ----

    /// Twins that were there when the store was upgraded, of definitions that the new program does not have: messages to
    /// them are the fault `UnknownPrototype` until it has them again.
    pub fn orphans(&self) -> &[Orphans] {
        &self.orphans
    }

    /// Moves every object at every allocation from now on: finds what forgets one. For tests.
    #[doc(hidden)]
    pub fn set_stress(&mut self, on: bool) {
        self.vm.set_stress(on);
    }

    /// Gives the program limits from now on; without them it has no limit of fuel. Those of turns are others.
    pub fn limit_program(&mut self, limits: Limits) {
        self.vm.set_limits(limits);
    }

    /// The VM, to show values with.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    pub(crate) fn parts(&mut self) -> (&mut Partitions, &mut Vm) {
        (&mut self.partitions, &mut self.vm)
    }

    /// Loses every question put to `partition`, one of the first 64, from now on, or no longer. For tests.
    #[doc(hidden)]
    pub fn cut_off(&mut self, partition: u16, off: bool) {
        self.partitions.post.cut_off(Partition(partition), off);
    }

    /// What was fixed when the store was made: how many partitions, for one.
    pub fn settings(&self) -> &Settings {
        self.partitions.store.settings()
    }

    /// Whether there is a twin at `path`; it is in memory afterwards. Cost: one point read where it was not.
    ///
    /// # Errors
    /// The store refuses.
    pub fn exists(&mut self, path: &str) -> Result<bool, StoreError> {
        self.partitions.of(path).exists(path)
    }

    /// How many twins are in memory, and how many bytes they take, the index left out.
    pub fn residents(&self) -> (usize, usize) {
        let both = self.partitions.iter().map(|core| (core.residents.len(), core.residents.bytes()));
        both.fold((0, 0), |(twins, bytes), (more, more_bytes)| (twins + more, bytes + more_bytes))
    }

    /// How many pieces of twins turns have asked for so far. For tests.
    #[doc(hidden)]
    pub fn pieces_asked(&self) -> u64 {
        self.partitions.iter().map(|core| core.residents.pieces.asked).sum()
    }

    /// How many messages that wait are in memory. For tests.
    #[doc(hidden)]
    pub fn waiting_in_memory(&self) -> usize {
        self.partitions.iter().map(Core::waiting_in_memory).sum()
    }

    /// How often turns and queries have begun again so far, since answers of other partitions had come. For tests.
    #[doc(hidden)]
    pub fn begun_again(&self) -> u64 {
        self.partitions.iter().map(|core| core.begun_again).sum()
    }

    /// Rows that say which twins there are, and with which values, otherwise than the rows of twins do.
    pub(crate) fn damage_of_indices(&mut self) -> Result<Vec<(Place, Corruption)>, StoreError> {
        let mut damage = Vec::new();
        for core in self.partitions.iter().filter(|core| core.is_indexed) {
            for table in [Table::Prototypes, Table::Indices] {
                damage.extend(index::damage(&*core.store, core.partition, &core.catalog, table)?);
            }
        }
        Ok(damage)
    }

    /// What was read for questions to many twins since this was last asked.
    pub fn take_reading(&mut self) -> Reading {
        let mut reading = Reading::default();
        self.partitions.iter_mut().for_each(|core| reading.add(std::mem::take(&mut core.reading)));
        reading
    }

    /// How many records this process has written.
    pub fn records(&self) -> u64 {
        self.partitions.records()
    }

    /// The images that more can be compiled against: the kernel's, and the definitions of the store.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn images(&self) -> Result<[Image; 2], OpenError> {
        let store = &*self.partitions.store;
        Ok(match stored_program(store)? {
            Some(hash) => {
                let (library, definitions) = load_program(store, &hash)?;
                [library.clone_image(), definitions]
            }
            None => [kernel::image().clone(), Image::default()],
        })
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

pub(crate) fn check_message(path: &str, selector: &str) -> Result<(), SendError> {
    twintalk_vm::reference::check_path(path).map_err(SendError::Argument)?;
    check_selector(selector)
}

fn check_selector(selector: &str) -> Result<(), SendError> {
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
    partitions: &'a mut Partitions,
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
        let committed = self.partitions.commit();
        let leaving = self.note(committed)?;
        let_out(leaving, self.output);
        Ok(())
    }

    /// What all twins of a prototype answer, with all done that is due.
    fn ask_all(&mut self, vm: &mut Vm, path: &str, arguments: &[u8]) -> Reply {
        let pumped = self.partitions.pump(vm, None);
        self.note(pumped)?;
        self.commit()?;
        let query =
            FarQuery { path: path.to_owned(), kind: None, selector: ALL.to_owned(), arguments: arguments.to_vec() };
        let now_ns = self.partitions.now_ns();
        let answer = self.partitions.answer_now(vm, &query, now_ns);
        self.note(answer)?.reply
    }

    fn reply(&mut self, vm: &mut Vm, ticket: u64) -> Reply {
        let pumped = self.partitions.pump(vm, Some(ticket));
        self.note(pumped)?;
        self.commit()?;
        self.partitions.take_reply(ticket).unwrap_or_else(|| {
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
        if selector == ALL {
            return self.ask_all(vm, path, arguments);
        }
        let message = Message::new(path, selector, arguments.to_owned(), From::Program);
        let ticket = self.partitions.ask_message(Message { kind: kind.map(Into::into), ..message });
        self.reply(vm, ticket)
    }

    fn far_send(
        &mut self,
        _vm: &mut Vm,
        path: &str,
        kind: Option<&str>,
        selector: &str,
        arguments: &[u8],
    ) -> Result<u64, Fault> {
        let message = Message::new(path, selector, arguments.to_owned(), From::Program);
        Ok(self.partitions.ask_message(Message { far: true, kind: kind.map(Into::into), ..message }))
    }

    fn wait(&mut self, vm: &mut Vm, promise: u64) -> Reply {
        self.reply(vm, promise)
    }

    fn settle(&mut self, vm: &mut Vm) -> Result<(), Fault> {
        let pumped = self.partitions.pump(vm, None);
        self.note(pumped)?;
        self.commit()
    }

    fn is_resolved(&mut self, promise: u64) -> bool {
        self.partitions.has_reply(promise)
    }

    fn advance_clock(&mut self, vm: &mut Vm, duration_ns: i64) -> Result<(), Fault> {
        if self.partitions.clock_kind() == ClockKind::Wall {
            let text = "this store runs by the clock on the wall, which cannot be advanced".to_owned();
            return Err(Fault { kind: "ProgramOnly".to_owned(), text, trace: Vec::new() });
        }
        let end_ns = self.partitions.now_ns().saturating_add(duration_ns);
        let advanced = self.partitions.advance_to(vm, end_ns);
        self.note(advanced)?;
        self.commit()
    }

    fn now_ns(&mut self) -> i64 {
        self.partitions.now_ns()
    }

    fn arguments(&self) -> &[String] {
        self.arguments
    }

    fn machine(&mut self, request: &Request) -> Result<Given, String> {
        self.output.machine(request)
    }

    fn records(&mut self, vm: &mut Vm, from: u64) -> Reply {
        // Those of several have no order among them in which one could go on from a number.
        if self.partitions.placing.partitions > 1 {
            let text = "records can be looked at where there is one partition only".to_owned();
            return Err(Fault { kind: "ArgumentError".to_owned(), text, trace: Vec::new() });
        }
        let pumped = self.partitions.pump(vm, None);
        self.note(pumped)?;
        self.commit()?;
        let shown = shown_records(&*self.partitions.store, vm, from);
        let shown = self.note(shown)?;
        values::arguments(&[Datum::Array(shown)], vm.shapes()).map_err(|text| Fault {
            kind: "Store".to_owned(),
            text,
            trace: Vec::new(),
        })
    }
}

/// How many records there are, and what those say that come after the first `from`: see [`ProgramWorld::records`].
fn shown_records(store: &dyn Store, vm: &Vm, from: u64) -> Result<Vec<Datum>, StoreError> {
    let partition = Partition(0);
    let mut shown = vec![Datum::Nil];
    let mut count = 0;
    each_record(store, partition, Position::FIRST, |position, record, _| {
        count += 1;
        if count <= from || record.composite() == SYSTEM_PATH {
            return Ok(());
        }
        let message = |path: &str, selector: &str, arguments: &[u8]| {
            let arguments = match arguments {
                [] => Ok(Vec::new()),
                arguments => values::data_of_arguments(arguments, vm.shapes()),
            };
            let arguments = arguments.map_err(|_| damaged(partition, position, "arguments that cannot be read"))?;
            Ok::<_, StoreError>(Datum::String(format!("{path} {}", datum::message_text(selector, &arguments))))
        };
        let mut row = vec![message(record.receiver().path, record.input.selector, record.input.arguments)?];
        match &record.outcome {
            record::Outcome::Committed(effects) => {
                let events = effects.events.iter().map(|event| message(event.twin, event.selector, event.arguments));
                let sends = effects.sends.iter().map(|send| message(send.receiver, send.selector, send.arguments));
                let changed = record.twins.iter().filter(|twin| twin.kind != record::TwinChange::Touched);
                row.push(Datum::Nil);
                row.push(Datum::Array(events.collect::<Result<_, _>>()?));
                row.push(Datum::Array(sends.collect::<Result<_, _>>()?));
                row.push(Datum::Array(changed.map(|twin| Datum::String(twin.path.to_owned())).collect()));
            }
            record::Outcome::Failed(failure) => {
                row.push(Datum::String(format!("{}: {}", failure.kind, failure.text)));
                row.extend([const { Datum::Array(Vec::new()) }; 3]);
            }
        }
        shown.push(Datum::Array(row));
        Ok(())
    })?;
    shown[0] = Datum::Int(count.into());
    Ok(shown)
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
pub(crate) fn load_program(store: &dyn Store, hash: &ProgramHash) -> Result<(Library, Image), OpenError> {
    let row = store.get(Table::Programs, Key::new().program(hash))?;
    let row = row.ok_or_else(|| OpenError::StoredProgram("they are missing".to_owned()))?;
    program::images_from_bytes(&row.bytes).map_err(OpenError::StoredProgram)
}

/// The same of a program that the store may not have.
pub(crate) fn earlier_program(store: &dyn Store, hash: &ProgramHash) -> Result<Option<EarlierProgram>, StoreError> {
    let mut key = Key::new();
    let Some(row) = store.get(Table::Programs, key.program(hash))? else { return Ok(None) };
    match program::images_from_bytes(&row.bytes) {
        Ok((library, definitions)) => Ok(Some(Rc::new([library.clone_image(), definitions]))),
        Err(_) => Err(StoreError::Corrupt {
            at: twintalk_store::Place::Row { table: Table::Programs, key: key.bytes().to_vec() },
            reason: twintalk_store::Corruption::Row("a program that cannot be read"),
        }),
    }
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
