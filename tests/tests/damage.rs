//! What a crash of the machine, or a failing disk, leaves of a store: a part of what was acknowledged, whole, or an
//! error that says where. Never other data, and never a panic.
//!
//! A store is made, and fed in small commits with a checkpoint or a passivation here and there; after each commit it
//! is noted how long the write-ahead log has become. Then copies of its folder are damaged: the log is cut at each of
//! its last 4,096 bytes, pages of it are zeros as if later writes had reached the disk before earlier ones, one byte
//! of one file is another. Each copy is opened, compared with the messages that it must have taken, fed on, and verified;
//! where many cuts leave the same records and rows, all are read, and one is opened to run.
//!
//! `SEED=n` repeats the choices of a run. `FLIPS=n` changes n bytes of each file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use twintalk_runtime::{ClockKind, Durability, OpenError, OpenOptions, StoreError, System, VIRTUAL_START_NS};
use twintalk_store::rocks::RocksStore;
use twintalk_store::{Key, KeyRange, Log, Partition, Position, Store, Table, Tables};

use crate::counted::{Dice, Faults, SENDER, check_figures, check_verify, feed, folder, make, number, open, pulses};

mod counted;

/// How many flips there are without `FLIPS`.
const FLIPS: u64 = 4;
/// The bytes at the end of the write-ahead log that are cut through.
const CUT_BYTES: u64 = 4096;
/// Between two messages of the device, in nanoseconds: a timer of `line` is due after every other one.
const STEP_NS: i64 = 10_000_000;

// delivery: D7.5, D7.6, D7.7, D7.8
#[test]
fn a_write_ahead_log_cut_anywhere_opens_with_the_commits_that_it_still_has() {
    cut_everywhere(Durability::Async, 1);
}

// delivery: D7.5, D7.6, D7.7, D7.8
#[test]
fn the_write_ahead_log_of_several_partitions_cut_anywhere_does_too() {
    cut_everywhere(Durability::Sync, 3);
}

/// Cuts the log at each of its last bytes.
fn cut_everywhere(durability: Durability, partitions: u16) {
    let mut dice = dice();
    let original = Original::make(durability, partitions, 60, &mut dice);
    let length = original.log_bytes();
    assert!(length > CUT_BYTES, "the log has {length} bytes");
    let whole = Contents::of(original.folder.path(), "the whole log");
    let copy = original.copy();
    let log = fs::OpenOptions::new().write(true).open(original.log_in(copy.path())).expect("the copied log");
    // What was seen last; each shorter log has that, or less.
    let mut before = whole.clone();
    let mut different = 0;
    for keep in (length - CUT_BYTES..length).rev() {
        let name = format!("{durability}, {partitions} partitions, cut to {keep} of {length} bytes");
        log.set_len(keep).expect("it is cut");
        let contents = Contents::of(copy.path(), &name);
        if contents == before {
            continue;
        }
        assert!(contents.is_start_of(&whole) && contents.is_start_of(&before), "{name}: other records than there were");
        // Of all logs with these contents this is the longest, so the one that has the most to keep.
        let copy = original.copy();
        let log = fs::OpenOptions::new().write(true).open(original.log_in(copy.path())).expect("the copied log");
        log.set_len(keep).expect("it is cut");
        let system = reopen(copy.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        original.check(system, original.kept(keep), &name);
        different += 1;
        before = contents;
    }
    println!("{durability}, {partitions} partitions: {CUT_BYTES} cuts of {length} bytes leave {different} stores");
    // How many commits lie there is the seed's to say; with none the cuts would show nothing.
    assert!(different > 1, "the last {CUT_BYTES} bytes have {different} commits");
}

/// All that a store has: the records of each partition, and the rows.
#[derive(Clone, PartialEq)]
struct Contents {
    logs: Vec<Vec<Vec<u8>>>,
    rows: Vec<(Key, Position, Vec<u8>)>,
}

impl Contents {
    /// Reads all of a store, and changes nothing in it.
    fn of(folder: &Path, name: &str) -> Contents {
        let refused = |error: StoreError| -> ! { panic!("{name}: {error}") };
        let store = RocksStore::open_read_only(folder).unwrap_or_else(|error| refused(error));
        let partitions = (0..store.settings().partitions).map(Partition);
        let logs = partitions.map(|partition| {
            let blocks = store.read(partition, Position::FIRST).unwrap_or_else(|error| refused(error));
            blocks.map(|block| block.unwrap_or_else(|error| refused(error)).bytes().to_vec()).collect()
        });
        let logs = logs.collect();
        let everything = KeyRange { from: Key::new(), to: KeyRange::partition(Partition::SHARED).to };
        let mut rows = Vec::new();
        for &table in Table::ALL {
            for row in store.scan(table, &everything).unwrap_or_else(|error| refused(error)) {
                let (key, row) = row.unwrap_or_else(|error| refused(error));
                rows.push((key, row.position, row.bytes));
            }
        }
        Contents { logs, rows }
    }

    /// Whether each log is a start of the other's.
    fn is_start_of(&self, other: &Contents) -> bool {
        self.logs.iter().zip(&other.logs).all(|(log, all)| all.starts_with(log))
    }
}

// delivery: D7.5, D7.10
#[test]
fn writes_that_reached_the_disk_before_earlier_ones_are_never_believed() {
    let mut dice = dice();
    let original = Original::make(Durability::Sync, 1, 400, &mut dice);
    let length = original.log_bytes();
    let (mut refused, mut kept) = (0, 0);
    for page_bytes in [512, 4096, 32768] {
        for from in (0..length).step_by(page_bytes as usize).filter(|_| dice.one_of(length / page_bytes / 8 + 1) == 0) {
            let name = format!("zeros at {from}, {page_bytes} of {length} bytes");
            let copy = original.copy();
            let mut bytes = fs::read(original.log_in(copy.path())).expect("the copied log");
            let to = (from + page_bytes).min(length);
            bytes[from as usize..to as usize].fill(0);
            fs::write(original.log_in(copy.path()), bytes).expect("written");
            match reopen(copy.path()) {
                Err(error) => {
                    assert_damage(&error, &name, original.log_name());
                    refused += 1;
                }
                Ok(system) => {
                    assert_eq!(to, length, "{name}: there is something behind the zeros, but it opens");
                    original.check(system, original.kept(from), &name);
                    kept += 1;
                }
            }
        }
    }
    // The file was made longer, and what was to be there never came.
    for (bytes, _) in original.acks.iter().skip(1).step_by(40) {
        let name = format!("zeros from {bytes} to the end");
        let copy = original.copy();
        let log = fs::OpenOptions::new().write(true).open(original.log_in(copy.path())).expect("the copied log");
        log.set_len(*bytes).and_then(|()| log.set_len(bytes + dice.one_of(100_000))).expect("it is changed");
        let system = reopen(copy.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        original.check(system, original.kept(*bytes), &name);
        kept += 1;
    }
    println!("{refused} holes refused, {kept} ends of zeros dropped");
    assert!(refused > 0 && kept > 0);
}

// delivery: D7.9, D12.7
#[test]
fn a_changed_byte_is_found_with_its_place_or_changes_nothing() {
    let flips = number("FLIPS").unwrap_or(FLIPS);
    let mut dice = dice();
    let original = Original::make(Durability::Async, 3, 60, &mut dice);
    // Closed and fed on: rows and records are in files of their own, and in the write-ahead log.
    let mut system = reopen(original.folder.path()).unwrap_or_else(|error| panic!("{error}"));
    for number in 61..=80 {
        feed_one(&mut system, number);
    }
    system.commit(&mut Faults).expect("committed");
    drop(system);
    let original = Original { log: newest_log(original.folder.path()), acks: vec![(0, 80)], ..original };
    let mut tally: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for (file, bytes) in original.files() {
        let kind = Kind::of(&file);
        for nth in 0..flips.min(bytes) {
            // Somewhere in each stretch of the file.
            let stretch = bytes / flips.min(bytes);
            let (at, bit) = (nth * stretch + dice.one_of(stretch), dice.one_of(8));
            let name = format!("bit {bit} of byte {at} of {}", file.display());
            let copy = original.copy();
            let path = copy.path().join(&file);
            let mut changed = fs::read(&path).expect("the copied file");
            changed[at as usize] ^= 1 << bit;
            fs::write(&path, changed).expect("written");
            let (found, silent) = tally.entry(kind.name()).or_default();
            if is_found(copy.path(), &name, &file) {
                *found += 1;
                continue;
            }
            assert!(kind.may_be_silent(), "{name}: nobody finds it");
            *silent += 1;
            let system = reopen(copy.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
            original.check(system, 80, &name);
        }
    }
    for (kind, (found, silent)) in &tally {
        println!("{kind}: {found} found, {silent} without effect");
    }
    assert_eq!(tally.keys().copied().collect::<Vec<_>>(), Kind::ALL.map(Kind::name));
}

// delivery: D7.9
#[test]
fn a_file_that_is_missing_is_missed_or_nobody_needs_it() {
    let original = Original::make(Durability::Sync, 1, 20, &mut dice());
    for (file, _) in original.files() {
        let name = format!("without {}", file.display());
        let copy = original.copy();
        fs::remove_file(copy.path().join(&file)).expect("removed");
        match Kind::of(&file) {
            Kind::Identity | Kind::Options | Kind::Lock => {
                let system = reopen(copy.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
                original.check(system, 20, &name);
            }
            kind @ (Kind::Current | Kind::Manifest | Kind::Rows | Kind::WriteAhead) => {
                let place = match kind {
                    Kind::Manifest => "CURRENT",
                    Kind::WriteAhead => "*.log",
                    Kind::Current | Kind::Rows | Kind::Identity | Kind::Options | Kind::Lock => {
                        file.file_name().and_then(|name| name.to_str()).expect("a name")
                    }
                };
                let error = reopen(copy.path()).err().unwrap_or_else(|| panic!("{name}: it opens"));
                assert_damage(&error, &name, place);
            }
        }
    }
}

// delivery: D7.11
#[test]
fn tables_that_are_lost_or_damaged_are_made_again_from_the_log() {
    let mut dice = dice();
    for partitions in [1, 3] {
        let original = Original::make(Durability::Sync, partitions, 60, &mut dice);
        // As the crash left it, and after it was opened, which wrote files of rows.
        for (nth, name) in ["as a crash left it", "with a damaged table"].into_iter().enumerate() {
            let name = format!("{partitions} partitions, {name}");
            let copy = original.copy();
            if nth == 1 {
                let mut system = reopen(copy.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
                system.checkpoint().expect("a checkpoint");
                drop(system);
                drop(reopen(copy.path()));
                damage_table(copy.path(), b"taken");
                let error = reopen(copy.path()).err().unwrap_or_else(|| panic!("{name}: it opens"));
                assert!(error.to_string().contains("--rebuild-tables"), "{name}: {error}");
            }
            System::rebuild_tables(copy.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let system = reopen(copy.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
            let kept = if partitions == 1 { 60 } else { 0 };
            original.check(system, kept, &name);
        }
    }
}

/// Changes a byte at the end of a file of a table, which says itself whose it is.
fn damage_table(folder: &Path, table: &[u8]) {
    let files = fs::read_dir(folder.join("rocksdb")).expect("the files").map(|file| file.expect("a file").path());
    let of_table = |path: &PathBuf| fs::read(path).expect("a file").windows(table.len()).any(|part| part == table);
    let mut rows = files.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    let file = rows.find(of_table).expect("the table has a file");
    let mut bytes = fs::read(&file).expect("a file");
    let footer = bytes.len() - 20;
    bytes[footer] ^= 1;
    fs::write(file, bytes).expect("written");
}

/// Whether opening the store, or `verify`, says that it is damaged, and where.
fn is_found(folder: &Path, name: &str, file: &Path) -> bool {
    let options = OpenOptions {
        folder: Some(folder.to_owned()),
        read_only: true,
        clock: Some(ClockKind::Driven),
        ..OpenOptions::default()
    };
    let file = file.file_name().and_then(|name| name.to_str()).expect("a name");
    let verified = System::open(options).and_then(|mut system| Ok(system.verify(&mut |_| {})?));
    match verified {
        Ok(report) => {
            let told = report.differences.iter().all(|line| says_where(line, file));
            assert!(told, "{name}: {:?} do not say where", report.differences);
            !report.differences.is_empty()
        }
        Err(error) => {
            assert_damage(&error, name, file);
            true
        }
    }
}

/// The kinds of files in a store.
#[derive(Clone, Copy)]
enum Kind {
    Current,
    Identity,
    Lock,
    Manifest,
    Options,
    Rows,
    WriteAhead,
}

impl Kind {
    const ALL: [Kind; 7] =
        [Kind::Current, Kind::Identity, Kind::Manifest, Kind::Options, Kind::Rows, Kind::Lock, Kind::WriteAhead];

    fn of(file: &Path) -> Kind {
        match file.file_name().and_then(|name| name.to_str()).expect("a name") {
            "CURRENT" => Kind::Current,
            "IDENTITY" => Kind::Identity,
            "lock" => Kind::Lock,
            name if name.starts_with("MANIFEST") => Kind::Manifest,
            name if name.starts_with("OPTIONS") => Kind::Options,
            name if name.ends_with(".sst") => Kind::Rows,
            name if name.ends_with(".log") => Kind::WriteAhead,
            name => panic!("{name} is a file of no kind"),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Current => "CURRENT",
            Kind::Identity => "IDENTITY",
            Kind::Lock => "lock",
            Kind::Manifest => "MANIFEST",
            Kind::Options => "OPTIONS",
            Kind::Rows => "files of rows and records",
            Kind::WriteAhead => "write-ahead log",
        }
    }

    /// Whether there are bytes in it that nothing follows from.
    fn may_be_silent(self) -> bool {
        match self {
            // Text that RocksDB writes and does not read; the number of the process.
            Kind::Identity | Kind::Options | Kind::Lock => true,
            // A filter that does not match its checksum is not used: it only saves looking for rows that are not there.
            Kind::Rows => true,
            Kind::Current | Kind::Manifest | Kind::WriteAhead => false,
        }
    }
}

/// A store that was not closed, and what it had acknowledged when its log had how many bytes.
struct Original {
    folder: TempDir,
    log: PathBuf,
    partitions: u16,
    acks: Vec<(u64, u64)>,
}

impl Original {
    fn make(durability: Durability, partitions: u16, messages: u64, dice: &mut Dice) -> Original {
        let folder = folder();
        make(folder.path(), durability, partitions, Some(ClockKind::Driven));
        // Opening moves what is in the write-ahead log into files of rows, and begins another log.
        let mut system = reopen(folder.path()).unwrap_or_else(|error| panic!("{error}"));
        let log = newest_log(folder.path());
        let mut original = Original { folder, log, partitions, acks: vec![(0, 0)] };
        let mut group = 1;
        for number in 1..=messages {
            feed_one(&mut system, number);
            group -= 1;
            if group == 0 || number == messages {
                system.commit(&mut Faults).expect("committed");
                match dice.one_of(8) {
                    0 => system.passivate().expect("passivated"),
                    1 => system.checkpoint().expect("a checkpoint"),
                    _ => {}
                }
                original.acks.push((original.log_bytes(), number));
                group = 1 + dice.one_of(4);
            }
        }
        assert_eq!(original.log, newest_log(original.folder.path()), "all is in one log");
        original
    }

    fn log_in(&self, folder: &Path) -> PathBuf {
        folder.join("rocksdb").join(self.log_name())
    }

    fn log_name(&self) -> &str {
        self.log.file_name().and_then(|name| name.to_str()).expect("a name of digits")
    }

    fn log_bytes(&self) -> u64 {
        fs::metadata(&self.log).expect("the log").len()
    }

    /// Up to which message a log of so many bytes has all that was acknowledged.
    fn kept(&self, bytes: u64) -> u64 {
        self.acks.iter().filter(|(length, _)| *length <= bytes).map(|(_, number)| *number).max().unwrap_or(0)
    }

    /// The files, relative to the folder, and how long they are: all but the diary of RocksDB, which nobody reads, and
    /// its settings of earlier times.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut files = vec![PathBuf::from("lock")];
        let mut names: Vec<String> = fs::read_dir(self.folder.path().join("rocksdb"))
            .expect("the files")
            .map(|file| file.expect("a file").file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with("LO"))
            .collect();
        names.sort_unstable();
        let last_options = names.iter().rposition(|name| name.starts_with("OPTIONS"));
        let names =
            names.iter().enumerate().filter(|(nth, name)| !name.starts_with("OPTIONS") || Some(*nth) == last_options);
        files.extend(names.map(|(_, name)| Path::new("rocksdb").join(name)));
        let length = |file: &PathBuf| fs::metadata(self.folder.path().join(file)).expect("a file").len();
        files.into_iter().map(|file| (file.clone(), length(&file))).collect()
    }

    fn copy(&self) -> TempDir {
        let copy = folder();
        fs::create_dir(copy.path().join("rocksdb")).expect("a folder");
        for (file, _) in self.files() {
            fs::copy(self.folder.path().join(&file), copy.path().join(&file)).expect("copied");
        }
        copy
    }

    /// The store has taken the messages that a whole part of its log says, at least up to `kept`; it goes on.
    fn check(&self, mut system: System, kept: u64, name: &str) {
        let taken = system.taken(SENDER).expect("a counter");
        assert!(taken >= kept, "{name}: message {kept} was acknowledged, only {taken} are there");
        system.settle(&mut Faults).expect("settled");
        check_verify(&mut system, name);
        let beats = pulses(&mut system, name);
        let last = if self.partitions == 1 {
            assert!(self.acks.iter().any(|(_, number)| *number == taken), "{name}: {taken} is no end of a commit");
            check_figures(&mut system, taken, name);
            taken + 3
        } else {
            // Each partition commits for itself, so the composites may have taken more than is known to be taken by all:
            // that is told apart when it is fed again.
            self.acks.last().map_or(0, |(_, number)| *number) + 3
        };
        for number in taken + 1..=last {
            feed_one(&mut system, number);
        }
        system.commit(&mut Faults).expect("committed");
        let later = check_figures(&mut system, last, name);
        assert!(later > beats, "{name}: the timer is gone");
        check_verify(&mut system, name);
    }
}

fn dice() -> Dice {
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()) ^ 0x6461_6d61);
    println!("SEED={seed}");
    Dice(seed)
}

fn reopen(folder: &Path) -> Result<System, OpenError> {
    open(folder, Some(ClockKind::Driven))
}

fn newest_log(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder.join("rocksdb")).expect("the files").map(|file| file.expect("a file").path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().expect("a log")
}

fn feed_one(system: &mut System, number: u64) {
    let time_ns = VIRTUAL_START_NS + number as i64 * STEP_NS;
    feed(system, number, Some(time_ns)).unwrap_or_else(|error| panic!("{error}"));
}

/// The store says that it is damaged, where, and what to do.
#[track_caller]
fn assert_damage(error: &OpenError, name: &str, place: &str) {
    assert!(matches!(error, OpenError::Store(StoreError::Corrupt { .. })), "{name}: {error}");
    let text = error.to_string();
    assert!(says_where(&text, place) && text.contains("restore a backup"), "{name}: {text}");
}

/// The file, or the table or log that the file is of.
fn says_where(text: &str, file: &str) -> bool {
    let rows = file.ends_with(".sst") && ["at table `", "at the logs"].iter().any(|place| text.contains(place));
    rows || text.contains(file)
}
