//! Backups taken while the store is fed, and stores restored to moments of the past: each is a moment, whole, and goes on.
//!
//! `SEED=n` repeats the choices of a run, `RESTORES=n` says to how many moments a store is restored.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_runtime::{
    ClockKind, Cut, Datum, Durability, FaultReport, FeedMessage, Moment, OpenOptions, Output, Program, StoreError,
    System, VIRTUAL_START_NS, kernel,
};
use twintalk_store::record::composite_of;
use twintalk_store::rocks::RocksStore;
use twintalk_store::{Log, Partition, Position};

use crate::counted::{Dice, Faults, SENDER, check_figures, check_verify, feed, folder, make, number, open, pulses};

mod counted;

/// To how many moments without `RESTORES`.
const RESTORES: u64 = 12;
/// Between two messages of the device.
const STEP_NS: i64 = 10_000_000;

// delivery: D7.16
#[test]
fn a_backup_taken_while_the_store_is_fed_is_one_moment_of_it() {
    for partitions in [1, 3] {
        let original = folder();
        make(original.path(), Durability::Async, partitions, Some(ClockKind::Driven));
        let (acknowledged, allowed, done) = (AtomicU64::new(0), AtomicU64::new(150), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let ends = Ends(&done);
            scope.spawn(|| {
                let _ends = Ends(&done);
                let mut system = open(original.path(), Some(ClockKind::Driven)).expect("opens");
                for number in 1.. {
                    feed(&mut system, number, Some(VIRTUAL_START_NS + number as i64 * STEP_NS)).expect("fed");
                    if number % 5 == 0 {
                        system.commit(&mut Faults).expect("committed");
                        acknowledged.store(number, Ordering::Release);
                    }
                    match number % 100 {
                        0 => system.settle_store().expect("settled"),
                        50 => system.passivate().expect("passivated"),
                        _ => {}
                    }
                    // While a backup is judged there is none to be taken.
                    while number >= allowed.load(Ordering::Acquire) && !done.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                    if done.load(Ordering::Acquire) {
                        break;
                    }
                }
            });
            for nth in 0..4 {
                while acknowledged.load(Ordering::Acquire) < 100 * nth + 50 {
                    assert!(!done.load(Ordering::Acquire), "the feeder has failed");
                    std::thread::yield_now();
                }
                allowed.store(100 * (nth + 1) + 150, Ordering::Release);
                let before = acknowledged.load(Ordering::Acquire);
                let copies = folder();
                let (copy, restored) = (copies.path().join("backup"), copies.path().join("restored"));
                System::backup(original.path(), &copy).unwrap_or_else(|error| panic!("{error}"));
                let after = acknowledged.load(Ordering::Acquire);
                System::restore(&copy, &restored, &Cut::Now).unwrap_or_else(|error| panic!("{error}"));
                for copy in [copy, restored] {
                    check_counted(&copy, before, after + 10, partitions);
                }
            }
            drop(ends);
        });
        assert!(!original.path().join("readers").exists(), "what the backup held is let go");
    }
}

/// Tells the other thread of the end, also that of a test that fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// The store has what was acknowledged, and goes on: the figures are those of all messages up to `last`.
fn check_counted(folder: &Path, acknowledged: u64, last: u64, partitions: u16) {
    let name = format!("{partitions} partitions, {acknowledged} acknowledged");
    let mut system = open(folder, Some(ClockKind::Driven)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let taken = system.taken(SENDER).expect("a counter");
    assert!(taken >= acknowledged || partitions > 1, "{name}: only {taken} are there");
    assert!(taken <= last, "{name}: {taken} of {last}");
    system.settle(&mut Faults).expect("settled");
    if partitions == 1 {
        check_figures(&mut system, taken, &name);
    }
    check_verify(&mut system, &name);
    let beats = pulses(&mut system, &name);
    for number in taken + 1..=last {
        feed(&mut system, number, Some(VIRTUAL_START_NS + number as i64 * STEP_NS)).expect("fed");
    }
    system.commit(&mut Faults).expect("committed");
    assert!(check_figures(&mut system, last, &name) > beats, "{name}: the timer is gone");
    check_verify(&mut system, &name);
}

/// Each tells the next what it took, and asks it how much it has.
const RING: &str = r"
twin Cell = (
  | sum <- 0. echoes <- 0. known <- 0. next <- nil. |
  next: aPath = ( next := Cell at: aPath )
  take: n = ( sum := sum + n. known := next sum. next ! echo: n )
  echo: n = ( echoes := echoes + n )
  query figures = ( ^{sum. echoes. known} )
)
0 to: 5 do: [ :n | (Cell ensure: 'cell-', n printString) next: 'cell-', ((n + 1) \\ 6) printString ].
";

struct Silent;

impl Output for Silent {
    fn print(&mut self, text: &str) {
        panic!("printed {text}");
    }
    fn fault(&mut self, report: &FaultReport) {
        // A message that had been let in and waited may go on where the twin that it asks is not made yet.
        assert_eq!(report.fault.kind, "NoSuchTwin", "{report:?}");
    }
}

fn ring(folder: &Path, partitions: u16, dice: &mut Dice) {
    let source = SourceText { name: "ring.twin".to_owned(), text: RING.to_owned() };
    let image = compile(vec![source], &mut NoSources, &[kernel::image()]).image.expect("it compiles");
    let options = OpenOptions {
        folder: Some(folder.to_owned()),
        durability: Some(Durability::Async),
        partitions: Some(partitions),
        program: Some(Program::new(image)),
        clock: Some(ClockKind::Driven),
        ..OpenOptions::default()
    };
    let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
    system.run_program(Vec::new(), None, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    for number in 1..=200 {
        let argument = Datum::from(1 + dice.one_of(9) as i64);
        let path = format!("cell-{}", dice.one_of(6));
        let message = FeedMessage {
            number,
            path: &path,
            selector: "take:",
            arguments: std::slice::from_ref(&argument),
            device_time_ns: Some(VIRTUAL_START_NS + number as i64 * STEP_NS),
            make: None,
        };
        system.feed("device", &message, &mut Silent).expect("fed");
        match dice.one_of(9) {
            0 | 1 => system.commit(&mut Silent).expect("committed"),
            2 => system.passivate().expect("passivated"),
            _ => {}
        }
    }
    system.close(&mut Silent).expect("closed");
}

/// How much each cell has, what it was told, and what it last heard.
fn figures(system: &mut System) -> Vec<[i64; 3]> {
    let mut all = Vec::new();
    for nth in 0..6 {
        let answer = system.send(&format!("cell-{nth}"), "figures", &[], &mut Silent).expect("an answer").to_string();
        let numbers: Vec<i64> =
            answer[2..answer.len() - 1].split(' ').map(|word| word.parse().expect("a number")).collect();
        all.push(numbers.try_into().expect("three"));
    }
    all
}

// delivery: D7.17, D7.18
#[test]
fn a_store_restored_to_a_moment_is_what_it_was_and_goes_on() {
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()) ^ 0x6261_636b);
    println!("SEED={seed}");
    let mut dice = Dice(seed);
    let (mut cut_back, mut inside) = (0, 0);
    for partitions in [1, 4] {
        let original = folder();
        ring(original.path(), partitions, &mut dice);
        let ends = ends(original.path());
        for nth in 0..number("RESTORES").unwrap_or(RESTORES) {
            let cut = match nth % 3 {
                0 => Cut::Time(VIRTUAL_START_NS + dice.one_of(210) as i64 * STEP_NS),
                _ => Cut::Before(
                    ends.iter()
                        .map(|end| {
                            let block = 1 + dice.one_of(end.block - 1);
                            (dice.one_of(3) != 0).then_some(Position { block, index: dice.one_of(8) as u32 })
                        })
                        .collect(),
                ),
            };
            let copies = folder();
            let copy = copies.path().join("store");
            let restored =
                System::restore(original.path(), &copy, &cut).unwrap_or_else(|error| panic!("{cut:?}: {error}"));
            assert_eq!(restored, self::ends(&copy), "{cut:?}");
            let name = format!("SEED={seed}, {partitions} partitions, {cut:?}");
            let moment = check_moment(original.path(), &copy, &cut, &name);
            inside += u64::from(moment.iter().any(|position| position.index > 0));
            cut_back += u64::from(moment != ends);
            if moment.iter().any(|position| *position > Position::FIRST) {
                check_goes_on(original.path(), &copy, &name);
            }
        }
    }
    assert!(cut_back > 0 && inside > 0, "{cut_back} moments before the end, {inside} inside a block");
}

fn ends(folder: &Path) -> Vec<Position> {
    let store = RocksStore::open_read_only(folder).expect("opens");
    (0..twintalk_store::Store::settings(&store).partitions).map(|n| store.end(Partition(n)).expect("an end")).collect()
}

/// What is needed to judge a moment: of each record where it is, its time, its composite and turn, where its message came
/// from, and whose answers it has.
struct Seen {
    position: Position,
    time_ns: i64,
    composite: String,
    turn: u64,
    origin: Option<(usize, Position)>,
    answers: Vec<(String, u64)>,
    hash: u64,
}

fn seen(folder: &Path) -> Vec<Vec<Seen>> {
    let store = RocksStore::open_read_only(folder).expect("opens");
    let partitions = (0..twintalk_store::Store::settings(&store).partitions).map(Partition);
    let hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
    let log = |partition| {
        let mut all = Vec::new();
        for block in store.read(partition, Position::FIRST).expect("blocks") {
            let block = block.expect("a block");
            for record in block.open().expect("a block").records(0) {
                let (position, record) = record.expect("a record");
                let origin = record.cause.origin.map(|origin| (usize::from(origin.partition.0), origin.position));
                let answers =
                    record.input.answers.iter().map(|answer| (composite_of(answer.composite).to_owned(), answer.turn));
                all.push(Seen {
                    position,
                    time_ns: record.envelope.time_ns,
                    composite: record.composite().to_owned(),
                    turn: record.envelope.turn,
                    origin,
                    answers: answers.collect(),
                    hash: std::hash::BuildHasher::hash_one(&hasher, format!("{record:?}")),
                });
            }
        }
        all
    };
    partitions.map(log).collect()
}

/// The restored log is the start of the old one; it is closed under cause; and what comes next could not be in it.
fn check_moment(original: &Path, copy: &Path, cut: &Cut, name: &str) -> Vec<Position> {
    let (all, kept) = (seen(original), seen(copy));
    let mut turns: HashMap<&str, u64> = HashMap::new();
    for record in kept.iter().flatten() {
        turns.insert(&record.composite, record.turn);
    }
    let moment: Vec<Position> = all
        .iter()
        .zip(&kept)
        .map(|(all, kept)| all.get(kept.len()).map_or(Position { block: u64::MAX, index: 0 }, |next| next.position))
        .collect();
    let has = |record: &Seen| {
        record.origin.is_none_or(|(partition, position)| position < moment[partition])
            && record
                .answers
                .iter()
                .all(|(composite, turn)| *turn == 0 || turns.get(composite.as_str()).is_some_and(|last| last >= turn))
    };
    let programs_kept = !kept[0].is_empty();
    for (partition, (all, kept)) in all.iter().zip(&kept).enumerate() {
        for (record, was) in kept.iter().zip(all) {
            assert_eq!((record.position, record.hash), (was.position, was.hash), "{name}");
            assert!(has(record), "{name}: {partition}/{} came of what is not there", record.position);
        }
        let Some(next) = all.get(kept.len()) else { continue };
        let is_wanted = match cut {
            Cut::Now => true,
            Cut::Time(time_ns) => next.time_ns <= *time_ns,
            Cut::Before(limits) => limits[partition].is_none_or(|limit| next.position < limit),
        };
        let may = has(next) && (partition == 0 || programs_kept);
        assert!(!(is_wanted && may), "{name}: {partition}/{} could be there", next.position);
    }
    moment
}

fn check_goes_on(original: &Path, copy: &Path, name: &str) {
    let report = System::check_store(copy).expect("checked");
    assert_eq!(report.damage, [], "{name}");
    let options = OpenOptions { folder: Some(original.to_owned()), read_only: true, ..OpenOptions::default() };
    let mut was = System::open(options).expect("opens");
    let mut system = open(copy, Some(ClockKind::Driven)).unwrap_or_else(|error| panic!("{name}: {error}"));
    check_verify(&mut system, name);
    let twins = system.twins("cell").expect("twins");
    for twin in &twins {
        let now = system.state(&twin.path, Moment::Now).expect("a state").expect("a twin");
        let then = was.state(&twin.path, Moment::Turn(now.turn)).expect("a state");
        assert_eq!(Some(now), then, "{name}");
    }
    // What was sent and not taken is taken now, once; then all that was taken has been told on.
    system.settle(&mut Silent).expect("settled");
    if twins.len() == 6 {
        let figures = figures(&mut system);
        for nth in 0..6 {
            assert_eq!(figures[nth][0], figures[(nth + 1) % 6][1], "{name}: {figures:?}");
        }
    }
    check_verify(&mut system, name);
}

#[test]
fn a_restored_store_shares_nothing_and_takes_no_folder_that_is_in_use() {
    let original = folder();
    make(original.path(), Durability::Sync, 1, Some(ClockKind::Driven));
    let copies = folder();
    let (copy, restored) = (copies.path().join("backup"), copies.path().join("restored"));
    System::backup(original.path(), &copy).expect("copied");
    System::restore(&copy, &restored, &Cut::Now).expect("restored");
    let occupied = |result: Result<Vec<Position>, StoreError>| matches!(result, Err(StoreError::Occupied { .. }));
    assert!(occupied(System::backup(original.path(), &copy)), "a store is there already");
    fs::create_dir(copies.path().join("other")).expect("a folder");
    fs::write(copies.path().join("other").join("x"), "x").expect("a file");
    assert!(occupied(System::backup(original.path(), &copies.path().join("other"))));
    assert!(copies.path().join("other").join("x").exists());
    assert!(matches!(
        System::backup(&copies.path().join("nowhere"), &copies.path().join("new")),
        Err(StoreError::Missing { .. })
    ));
    assert!(!copies.path().join("new").exists(), "nothing is left of an attempt");
    // A disk that spoils the backup's files leaves what was restored from it.
    for file in fs::read_dir(copy.join("rocksdb")).expect("files").map(|file| file.expect("a file").path()) {
        fs::OpenOptions::new().write(true).open(&file).and_then(|file| file.set_len(3)).expect("cut short");
    }
    assert!(!System::check_store(&copy).expect("checked").damage.is_empty());
    let error = System::restore(&copy, &copies.path().join("again"), &Cut::Now).expect_err("it is damaged");
    assert!(error.to_string().contains("damaged"), "{error}");
    assert!(!copies.path().join("again").exists(), "nothing is left of an attempt");
    assert_eq!(System::check_store(&restored).expect("checked").damage, []);
    check_counted(&restored, 0, 20, 1);
}

/// Lines that somebody has changed: the import says what is wrong with them, or makes a store of them; it never fails otherwise.
#[test]
fn an_import_of_changed_lines_is_refused_or_taken() {
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()) ^ 0x696d_706f);
    println!("SEED={seed}");
    let mut dice = Dice(seed);
    let original = folder();
    ring(original.path(), 2, &mut dice);
    let options = OpenOptions { folder: Some(original.path().to_owned()), read_only: true, ..OpenOptions::default() };
    let mut lines = Vec::new();
    System::open(options).expect("opens").export(&mut |line| lines.push(line.to_owned())).expect("lines");
    let numbers = regex::Regex::new(r"\d+").expect("a pattern");
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..number("IMPORTS").unwrap_or(60) {
        let mut changed = lines.clone();
        // The lines with programs are long, and all of one kind.
        let nth = loop {
            let nth = dice.one_of(lines.len() as u64) as usize;
            if changed[nth].len() < 10_000 {
                break nth;
            }
        };
        let line = changed[nth].clone();
        match dice.one_of(4) {
            0 => drop(changed.remove(nth)),
            1 => changed.swap(nth, dice.one_of(lines.len() as u64) as usize),
            2 => {
                let found: Vec<_> = numbers.find_iter(&line).collect();
                let found = found[dice.one_of(found.len() as u64) as usize];
                let other = [0, 1, 2, 7, 4_000_000_000, u64::MAX][dice.one_of(6) as usize];
                changed[nth] = format!("{}{other}{}", &line[..found.start()], &line[found.end()..]);
            }
            _ => {
                let at = dice.one_of(line.len() as u64) as usize;
                let with = ["", "\"", "{", "]", "x", ",", "null"][dice.one_of(7) as usize];
                changed[nth] = format!("{}{with}{}", &line[..at], &line[at + 1..]);
            }
        }
        let copies = folder();
        match System::import(&copies.path().join("store"), &mut changed.join("\n").as_bytes()) {
            Ok(_) => taken += 1,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
        }
    }
    println!("{refused} refused, {taken} taken");
    assert!(refused > 0);
}
