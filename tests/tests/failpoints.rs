//! Death at each moment that matters to the disk, and a disk that refuses: before, inside and after each commit, flush,
//! checkpoint, passivation and closing.
//!
//! This binary starts itself again as the *feeder*: it opens a store behind [`Failing`], which counts what is asked of the
//! store, and when the chosen thing comes the chosen number of times, ends the process there; or has the kernel cut the
//! write short in its middle, where the process dies or, if it ignores that signal, is told that there is no room; or ends
//! the process from another thread while a flush is under way; or
//! answers that the disk has failed. The parent then opens the store itself, and feeds again the messages that were not
//! acknowledged, and some that were taken: each must be there once, and whole.
//!
//! `SEED=n` repeats the choices of a run; `ROUNDS=n` says how often each moment comes, `MOMENT=text` leaves only moments
//! with that text in their names.

#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use twintalk_runtime::{Durability, OpenOptions, Simulated, System};
use twintalk_store::rocks::{RocksOptions, RocksStore};
use twintalk_store::{
    Batch, BlockBytes, BlockIter, Blocks, CheckReport, Key, KeyRange, Log, Partition, Position, Row, RowIter, Rows,
    Settings, Store, StoreError, Table, Tables,
};

use crate::counted::{Dice, Faults, SENDER, check_figures, check_verify, feed, folder, make, number, pulses, reopen};

mod counted;

/// How often each moment comes without `ROUNDS`.
const ROUNDS: u64 = 1;
/// How many messages are acknowledged together, at most.
const GROUP_MAX: u64 = 12;
/// In the environment of the feeder.
const FOLDER: &str = "TWINTALK_FAIL_FOLDER";
const SEED: &str = "TWINTALK_FAIL_SEED";
const MOMENT: &str = "TWINTALK_FAIL_MOMENT";
const NTH: &str = "TWINTALK_FAIL_NTH";

/// What is asked of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Records and rows are written.
    Commit,
    /// What was written is flushed to the disk.
    Flush,
    /// Rows of all twins that memory is ahead of are written.
    Checkpoint,
    /// The same, and then memory forgets them.
    Passivation,
    /// The store is closed: what would have to be recovered is written to files.
    Closing,
}

/// Where in it something happens, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    DeathBefore,
    DeathInside,
    DeathAfter,
    /// The write ends where there is no more room.
    NoRoom,
    /// The disk answers that it has failed.
    Failure,
}

/// A moment at which the feeder's luck ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment {
    act: Act,
    fate: Fate,
}

impl Moment {
    fn all() -> Vec<Moment> {
        let acts = [Act::Commit, Act::Flush, Act::Checkpoint, Act::Passivation, Act::Closing];
        let fates = [Fate::DeathBefore, Fate::DeathInside, Fate::DeathAfter, Fate::NoRoom, Fate::Failure];
        let every = acts.into_iter().flat_map(|act| fates.map(|fate| Moment { act, fate }));
        every.filter(|moment| moment.can_be()).collect()
    }

    fn can_be(self) -> bool {
        match self.fate {
            Fate::DeathBefore | Fate::DeathAfter | Fate::Failure => true,
            // A flush writes nothing that could be cut short. The tool that sets the limit is of Linux.
            Fate::NoRoom => self.act != Act::Flush && cfg!(target_os = "linux"),
            Fate::DeathInside => self.act == Act::Flush || cfg!(target_os = "linux"),
        }
    }

    fn name(self) -> String {
        format!("{:?} {:?}", self.act, self.fate)
    }

    fn named(name: &str) -> Moment {
        Moment::all().into_iter().find(|moment| moment.name() == name).expect("the parent names one")
    }

    /// Whether the feeder goes on living, and says that it was stopped.
    fn is_survived(self) -> bool {
        match self.fate {
            Fate::DeathBefore | Fate::DeathInside | Fate::DeathAfter => false,
            Fate::NoRoom | Fate::Failure => true,
        }
    }
}

// delivery: D3.2, D3.6, D3.10, D7.2, D7.3, D7.5, D7.6, D7.7, D7.12
#[test]
fn whatever_moment_is_the_last_what_was_acknowledged_is_there_once_and_whole() {
    if std::env::var_os(FOLDER).is_some() {
        return; // the feeder's process runs the other test of this file
    }
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()) ^ 0x6661_696c);
    let rounds = number("ROUNDS").unwrap_or(ROUNDS);
    let only = std::env::var("MOMENT").unwrap_or_default();
    println!("SEED={seed} ROUNDS={rounds}");
    let mut dice = Dice(seed);
    let (mut endings, mut stops) = (0, 0);
    for moment in Moment::all() {
        let dice = &mut Dice(dice.next());
        if !moment.name().contains(&only) {
            continue;
        }
        let durability =
            if dice.one_of(2) == 0 || moment.act == Act::Flush { Durability::Sync } else { Durability::Async };
        let partitions = if dice.one_of(2) == 0 { 1 } else { 3 };
        let folder = folder();
        make(folder.path(), durability, partitions, None);
        let mut known = Known::default();
        for round in 1..=rounds {
            let name = format!("{}, {durability}, {partitions} partitions, round {round}", moment.name());
            known.round(folder.path(), moment, dice, &name);
        }
        if moment.is_survived() { stops += rounds } else { endings += rounds }
    }
    println!(
        "SEED={seed}: {endings} deaths and {stops} refusals of the disk, nothing lost, nothing twice, nothing by half"
    );
}

/// What a store had after the last round.
#[derive(Default)]
struct Known {
    taken: u64,
    beats: u64,
}

impl Known {
    fn round(&mut self, folder: &Path, moment: Moment, dice: &mut Dice, name: &str) {
        // Closing comes once; checkpoints are rarer than commits.
        let nth = match moment.act {
            Act::Closing => 1,
            Act::Checkpoint | Act::Passivation => 1 + dice.one_of(3),
            Act::Commit | Act::Flush => 1 + dice.one_of(12),
        };
        let told = run_feeder(folder, moment, nth, dice.next(), name);
        let acknowledged = told.acknowledged.unwrap_or(self.taken);

        let mut system = reopen(folder);
        let taken = system.taken(SENDER).expect("a counter");
        assert!(taken >= acknowledged, "{name}: message {acknowledged} was acknowledged, only {taken} are there");
        // What was not acknowledged is fed again; some of it may have been taken.
        let last = acknowledged + 2 * GROUP_MAX;
        for number in taken + 1..=last {
            feed(&mut system, number, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        system.commit(&mut Faults).expect("committed");
        let beats = check_figures(&mut system, last, name);
        assert!(beats >= self.beats, "{name}: {} pulses were there before, now {beats}", self.beats);
        system.let_time_pass(20_000_000, &mut Faults).expect("settled");
        self.beats = pulses(&mut system, name);
        assert!(self.beats > beats, "{name}: the timer is gone");
        check_verify(&mut system, name);
        self.taken = last;
    }
}

/// What a feeder said before its end.
struct Told {
    acknowledged: Option<u64>,
}

fn run_feeder(folder: &Path, moment: Moment, nth: u64, seed: u64, name: &str) -> Told {
    let program = std::env::current_exe().expect("this binary");
    let mut feeder = Command::new("sh");
    // A signal that is ignored stays so in the program that takes the shell's place.
    let script = if moment.fate == Fate::NoRoom { "trap '' XFSZ; exec \"$0\" \"$@\"" } else { "exec \"$0\" \"$@\"" };
    feeder.arg("-c").arg(script).arg(program).args(["--exact", "feeder", "--nocapture"]);
    feeder.env(FOLDER, folder).env(SEED, seed.to_string()).env(MOMENT, moment.name()).env(NTH, nth.to_string());
    let mut feeder = feeder.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("this binary starts");
    let mut told = Told { acknowledged: None };
    let mut stopped = None;
    let stderr = feeder.stderr.take().expect("it is piped");
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if let Some(number) = line.strip_prefix("ack ").and_then(|number| number.parse().ok()) {
            assert_eq!(stopped, None, "{name}: {number} is acknowledged after the store was stopped");
            told.acknowledged = Some(number);
        } else if let Some(reason) = line.strip_prefix("stopped: ") {
            stopped.get_or_insert_with(|| reason.to_owned());
        } else {
            eprintln!("feeder: {line}");
        }
    }
    let status = feeder.wait().expect("it is gone");
    let signal = match moment.fate {
        Fate::DeathBefore | Fate::DeathAfter => Some(6), // it aborts
        Fate::DeathInside if moment.act == Act::Flush => Some(6),
        Fate::DeathInside => Some(25), // a file grows beyond the limit
        Fate::NoRoom | Fate::Failure => None,
    };
    assert_eq!(status.signal(), signal, "{name}: {status}");
    if moment.is_survived() {
        assert!(status.success(), "{name}: {status}");
        let reason = stopped.unwrap_or_else(|| panic!("{name}: nobody was told"));
        assert!(reason.contains("the disk or the operating system refused"), "{name}: {reason}");
    }
    told
}

/// The process whose luck ends; nothing unless it was started for that.
#[test]
fn feeder() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let variable = |name: &str| std::env::var(name).expect("the parent says it");
    let moment = Moment::named(&variable(MOMENT));
    let mut dice = Dice(variable(SEED).parse().expect("a number"));
    let store =
        RocksStore::open(Path::new(&folder), &RocksOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let failing = Arc::new(Failing {
        store,
        engine: Path::new(&folder).join("rocksdb"),
        moment,
        left: AtomicU64::new(variable(NTH).parse().expect("a number")),
        slack: dice.next(),
        act: Mutex::new(Act::Closing),
        failed: AtomicBool::new(false),
    });
    // Groups are small here, so turns run ahead of small ones.
    let machine = Simulated { ahead_records: 4, flush_looks: 3, ..Simulated::new(failing.clone()) };
    let mut system = System::open_simulated(machine, OpenOptions::default()).unwrap_or_else(|error| panic!("{error}"));
    let first = system.taken(SENDER).expect("a counter") + 1;
    let mut number = first;
    let stop = |what: &str| {
        let line = format!("stopped: {what}\n");
        std::io::stderr().write_all(line.as_bytes()).expect("the parent reads");
    };
    for nth in 1..=40 {
        failing.begins(Act::Commit);
        let group = 1 + dice.one_of(GROUP_MAX);
        let mut result = Ok(());
        for _ in 0..group {
            result = result.and_then(|()| feed(&mut system, number, None).map_err(|error| error.to_string()));
            number += 1;
        }
        let result = result.and_then(|()| system.commit(&mut Faults).map_err(|error| error.to_string()));
        match &result {
            Ok(()) => {
                let line = format!("ack {}\n", number - 1);
                std::io::stderr().write_all(line.as_bytes()).expect("the parent reads");
            }
            Err(error) => stop(error),
        }
        let result = match nth % 4 {
            1 => {
                failing.begins(Act::Checkpoint);
                system.checkpoint()
            }
            3 => {
                failing.begins(Act::Passivation);
                system.passivate()
            }
            _ => Ok(()),
        };
        if let Err(error) = result {
            stop(&error.to_string());
        }
        if moment.act == Act::Closing && nth > 8 {
            break;
        }
    }
    failing.begins(Act::Closing);
    if let Err(error) = system.close(&mut Faults) {
        stop(&error.to_string());
    }
}

/// A store that keeps to its promises up to some moment.
struct Failing {
    store: RocksStore,
    engine: PathBuf,
    moment: Moment,
    /// How often the moment has still to come.
    left: AtomicU64,
    /// A number that says how much of a write there is room for.
    slack: u64,
    /// What is being done.
    act: Mutex<Act>,
    /// The disk has failed: what the store promises is that it does nothing more.
    failed: AtomicBool,
}

impl Failing {
    fn begins(&self, act: Act) {
        *self.act.lock().unwrap_or_else(PoisonError::into_inner) = act;
    }

    /// Does `work`, which is `act`, unless its moment has come.
    fn act<T>(&self, act: Act, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(StoreError::Stopped);
        }
        let comes = act == self.moment.act && self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if !comes {
            return work();
        }
        match self.moment.fate {
            Fate::DeathBefore => std::process::abort(),
            Fate::DeathAfter => {
                let _ = work();
                std::process::abort()
            }
            Fate::DeathInside if act == Act::Flush => {
                let wait = Duration::from_micros(self.slack % 300);
                thread::spawn(move || {
                    thread::sleep(wait);
                    std::process::abort()
                });
                let _ = work();
                // Nobody is told that it is flushed, since the process ends within it.
                loop {
                    thread::park();
                }
            }
            Fate::DeathInside | Fate::NoRoom => {
                self.leave_little_room();
                work()
            }
            Fate::Failure => {
                self.failed.store(true, Ordering::SeqCst);
                Err(StoreError::Io(std::io::Error::other("the disk has failed")))
            }
        }
    }

    /// From now on the write-ahead log can grow by a few bytes only, and a new file has no room for its rows.
    fn leave_little_room(&self) {
        let files = fs::read_dir(&self.engine).expect("the files").map(|file| file.expect("a file"));
        let logs = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "log"));
        let longest = logs.map(|file| file.metadata().expect("a length").len()).max().expect("a log");
        let bytes = if self.moment.act == Act::Closing { 1 + self.slack % 1000 } else { longest + 1 + self.slack % 60 };
        let limit = format!("--fsize={bytes}:{bytes}");
        let pid = std::process::id().to_string();
        let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().expect("util-linux is there");
        assert!(status.success());
    }

    /// What a write is, which may be that of a checkpoint.
    fn writing(&self) -> Act {
        let act = *self.act.lock().unwrap_or_else(PoisonError::into_inner);
        if act == Act::Closing { Act::Commit } else { act }
    }
}

impl Log for Failing {
    fn append(&self, partition: Partition, expected: Position, blocks: &Blocks) -> Result<Position, StoreError> {
        self.act(self.writing(), || self.store.append(partition, expected, blocks))
    }

    fn read(&self, partition: Partition, from: Position) -> Result<BlockIter<'_>, StoreError> {
        self.store.read(partition, from)
    }

    fn block(&self, partition: Partition, number: u64) -> Result<Option<BlockBytes>, StoreError> {
        self.store.block(partition, number)
    }

    fn trim(&self, partition: Partition, to: Position) -> Result<(), StoreError> {
        self.act(self.writing(), || self.store.trim(partition, to))
    }

    fn first(&self, partition: Partition) -> Result<Position, StoreError> {
        self.store.first(partition)
    }

    fn end(&self, partition: Partition) -> Result<Position, StoreError> {
        self.store.end(partition)
    }

    fn flushed(&self, partition: Partition) -> Result<Position, StoreError> {
        self.store.flushed(partition)
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.act(Act::Flush, || self.store.flush())
    }
}

impl Tables for Failing {
    fn get_into(&self, table: Table, key: &Key, bytes: &mut Vec<u8>) -> Result<Option<Position>, StoreError> {
        self.store.get_into(table, key, bytes)
    }

    fn multi_get(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Row>>, StoreError> {
        self.store.multi_get(table, keys)
    }

    fn scan(&self, table: Table, range: &KeyRange) -> Result<RowIter<'_>, StoreError> {
        self.store.scan(table, range)
    }

    fn write(&self, rows: &Rows) -> Result<(), StoreError> {
        self.act(self.writing(), || self.store.write(rows))
    }
}

impl Store for Failing {
    fn commit(&self, expected: Position, batch: Batch<'_>) -> Result<Position, StoreError> {
        self.act(self.writing(), || self.store.commit(expected, batch))
    }

    fn settings(&self) -> &Settings {
        self.store.settings()
    }

    fn checkpoint(&self, partition: Partition) -> Result<Position, StoreError> {
        self.store.checkpoint(partition)
    }

    fn check(&self) -> Result<CheckReport, StoreError> {
        self.store.check()
    }

    fn settle(&self) -> Result<(), StoreError> {
        self.act(Act::Closing, || self.store.settle())
    }
}
