//! SIGKILL: a store keeps what it acknowledged, and nothing by halves.
//!
//! This binary starts itself again as the *feeder*: it opens a store, feeds numbered messages as fast as it can to two
//! composites that send each other messages, and writes `ack N` to its standard error whenever message N and all before
//! it are durable. The parent kills it at a random moment, also while it opens, replays, checkpoints or
//! passivates; opens the store itself; and compares every twin with what the messages taken must have
//! made of it. The next round goes on with the same store. Half of the stores are `async`, half `sync`.
//!
//! `SEED=n` repeats the choices of a run (not the moments of the kernel's scheduler), `KILLS=n` says how many rounds: 50 for
//! the figures in the closing note of a release, few by default.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_runtime::{
    Datum, Durability, FaultReport, FeedMessage, OpenOptions, Output, Position, Program, System, kernel,
};

/// How many rounds without `KILLS`.
const KILLS: u64 = 6;
/// How many rounds go on with one store: its whole log is verified after each.
const ROUNDS_PER_STORE: u64 = 10;
/// The name of the outside sender.
const SENDER: &str = "readings";
/// The feeder never gets this far; without a kill it ends.
const MESSAGES_MAX: u64 = 10_000_000;
/// In the environment of the feeder: the folder of the store, and the seed of its choices.
const FEEDER_FOLDER: &str = "TWINTALK_KILL_FOLDER";
const FEEDER_SEED: &str = "TWINTALK_KILL_SEED";

/// Message n to `line` counts itself twice, in the root and in its part `probe`; every third is noted in the other
/// composite, which echoes it; every seventh fails after it has changed both; every eleventh replaces a part.
const PROGRAM: &str = r"
twin Probe = (
  | seen <- 0. beats <- 0. |
  saw: n = ( seen := seen + 1 )
  beat = ( beats := beats + 1 )
)
twin Line = (
  | seen <- 0. sum <- 0. echoes <- 0. beats <- 0. lately <- List new. |
  created = ( self part: 'probe' of: Probe )
  take: n = (
    seen := seen + 1. sum := sum + n.
    lately add: n. lately size > 8 ifTrue: [ lately removeFirst ].
    (self part: 'probe') saw: n.
    n \\ 3 = 0 ifTrue: [ (Hall at: 'hall') ! note: n ].
    n \\ 11 = 0 ifTrue: [
      (self hasPart: 'spare') ifTrue: [ (self part: 'spare') remove ].
      self part: 'spare' of: Probe ].
    n \\ 7 = 0 ifTrue: [ self error: 'every seventh' ] )
  echo: n = ( echoes := echoes + n )
  timer pulse every: 15 milliseconds = ( beats := beats + 1. (self part: 'probe') beat )
  query figures = ( | probe |
    probe := self part: 'probe'.
    ^{seen. probe seen. sum. echoes. lately asArray} )
  query pulses = ( ^{beats. (self part: 'probe') beats} )
)
twin Hall = (
  | notes <- 0. sum <- 0. |
  note: n = ( notes := notes + 1. sum := sum + n. (Line at: 'line') ! echo: n )
  query figures = ( ^{notes. sum} )
)
(Line ensure: 'line'). (Hall ensure: 'hall').
";

/// What the figures of `line` and `hall` are after the messages 1 to `taken`, each taken once.
fn figures(taken: u64) -> (String, String) {
    let done: Vec<u64> = (1..=taken).filter(|n| n % 7 != 0).collect();
    let noted: Vec<u64> = done.iter().copied().filter(|n| n % 3 == 0).collect();
    let lately: Vec<String> = done[done.len().saturating_sub(8)..].iter().map(u64::to_string).collect();
    let (seen, sum, echoes) = (done.len(), done.iter().sum::<u64>(), noted.iter().sum::<u64>());
    (
        format!("#({seen} {seen} {sum} {echoes} #({}))", lately.join(" ")),
        format!("#({} {})", noted.len(), noted.iter().sum::<u64>()),
    )
}

// delivery: D3.2, D3.6, D3.10, D7.3, D7.6, D12.7
#[test]
fn what_is_acknowledged_survives_a_kill_once_and_whole() {
    if std::env::var_os(FEEDER_FOLDER).is_some() {
        return; // the feeder's process runs the other test of this file
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seed = number("SEED").unwrap_or_else(|| u64::from(std::process::id()) ^ 0x6b69_6c6c);
    let kills = number("KILLS").unwrap_or(KILLS);
    println!("SEED={seed} KILLS={kills}");
    let mut dice = Dice(seed);
    let mut total = Total::default();
    let rounds = kills.div_ceil(2).clamp(1, ROUNDS_PER_STORE);
    for (nth, first) in (1..=kills).step_by(rounds as usize).enumerate() {
        let folder = tempfile::tempdir().expect("a folder");
        let durability = if nth % 2 == 0 { Durability::Async } else { Durability::Sync };
        let mut store = Store { folder: folder.path(), durability, taken: 0, beats: 0, end: Position::START };
        store.make();
        for round in first..=kills.min(first + rounds - 1) {
            store.round(round, &mut dice, &mut total);
        }
    }
    println!(
        "SEED={seed}: {kills} kills, {} while opening; {} messages acknowledged, {} kept; {} records verified \
         again, no difference",
        total.early, total.acknowledged, total.kept, total.records
    );
    assert!(total.kept > 0, "no round got as far as its first message");
}

#[derive(Default)]
struct Total {
    acknowledged: u64,
    kept: u64,
    early: u64,
    records: u64,
}

/// A store, and what it had after the last round.
struct Store<'a> {
    folder: &'a Path,
    durability: Durability,
    taken: u64,
    beats: u64,
    end: Position,
}

impl Store<'_> {
    fn make(&self) {
        let options = OpenOptions {
            folder: Some(self.folder.to_owned()),
            durability: Some(self.durability),
            program: Some(program()),
            ..OpenOptions::default()
        };
        let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
        system.run_program(Vec::new(), None, &mut Faults).unwrap_or_else(|error| panic!("{error}"));
        system.close(&mut Faults).unwrap_or_else(|error| panic!("{error}"));
    }

    fn round(&mut self, round: u64, dice: &mut Dice, total: &mut Total) {
        let early = dice.one_of(8) == 0;
        let (acknowledged, last) = kill_one(self.folder, dice.next(), early, dice);
        let name = format!("round {round}, {}", self.durability);

        let mut system = reopen(self.folder);
        let taken = system.taken(SENDER).expect("a counter");
        assert!(taken >= acknowledged, "{name}: message {acknowledged} was acknowledged, only {taken} are there");
        assert!(taken >= self.taken, "{name}: {} messages were there before, now {taken}", self.taken);
        system.settle(&mut Faults).expect("settled");
        let (line, hall) = figures(taken);
        assert_eq!(ask(&mut system, "line", "figures"), line, "{name}: line after {taken} messages");
        assert_eq!(ask(&mut system, "hall", "figures"), hall, "{name}: hall after {taken} messages");
        let beats = self.pulses(&mut system, &name);
        assert!(beats >= self.beats, "{name}: {} pulses were there before, now {beats}", self.beats);
        system.let_time_pass(40_000_000, &mut Faults).expect("settled");
        self.beats = self.pulses(&mut system, &name);
        assert!(self.beats > beats, "{name}: the timer is gone");
        let end = system.end().expect("an end");
        assert!(end > self.end, "{name}: the log ended at {}, now at {end}", self.end);
        let report = system.verify(&mut |_| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(report.differences, Vec::<String>::new(), "{name}");

        println!("{name}: acknowledged {last}, kept {taken}, {} records, killed {}", report.records, moment(early));
        total.acknowledged += last.saturating_sub(self.taken);
        total.kept += taken - self.taken;
        total.early += u64::from(early);
        total.records += report.records;
        (self.taken, self.end) = (taken, end);
        // Sometimes the parent too goes without closing: what it did is in the log, not in the rows.
        if dice.one_of(2) == 0 {
            system.close(&mut Faults).expect("closed");
        }
    }

    /// How often the timer has fired; its turn changes two twins.
    fn pulses(&self, system: &mut System, name: &str) -> u64 {
        let text = ask(system, "line", "pulses");
        let numbers: Vec<u64> =
            text[2..text.len() - 1].split(' ').map(|word| word.parse().expect("a number")).collect();
        assert_eq!(numbers[0], numbers[1], "{name}: half a turn");
        numbers[0]
    }
}

fn moment(early: bool) -> &'static str {
    if early { "while it opened" } else { "under load" }
}

/// Starts a feeder and kills it; answers the highest message it acknowledged.
fn kill_one(folder: &Path, seed: u64, early: bool, dice: &mut Dice) -> (u64, u64) {
    let mut feeder = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "feeder", "--nocapture"])
        .env(FEEDER_FOLDER, folder)
        .env(FEEDER_SEED, seed.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this binary starts");
    let lines = acks(&mut feeder);
    let mut acknowledged = 0;
    if early {
        std::thread::sleep(Duration::from_micros(dice.one_of(150_000)));
    } else {
        acknowledged = lines.recv_timeout(Duration::from_secs(60)).expect("a first ack");
        let end = Instant::now() + Duration::from_micros(dice.one_of(250_000));
        loop {
            match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(ack) => acknowledged = ack,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => panic!("the feeder ended by itself after {acknowledged}"),
            }
        }
    }
    feeder.kill().expect("SIGKILL is sent");
    feeder.wait().expect("it is gone");
    // What it had written before it died counts as well.
    let last = lines.iter().last().unwrap_or(acknowledged);
    (acknowledged.max(last), last)
}

/// The numbers of the acknowledgements, as they come; all else that the feeder says is shown.
fn acks(feeder: &mut Child) -> Receiver<u64> {
    let stderr = feeder.stderr.take().expect("it is piped");
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            match line.strip_prefix("ack ").and_then(|number| number.parse().ok()) {
                Some(number) => drop(sender.send(number)),
                None => eprintln!("feeder: {line}"),
            }
        }
    });
    receiver
}

/// The process that is killed; nothing unless it was started for that.
#[test]
fn feeder() {
    let (Some(folder), Ok(seed)) = (std::env::var_os(FEEDER_FOLDER), std::env::var(FEEDER_SEED)) else { return };
    let mut dice = Dice(seed.parse().expect("a number"));
    let mut system = reopen(Path::new(&folder));
    let first = system.taken(SENDER).expect("a counter") + 1;
    let (mut group, mut acks) = (1, std::io::stderr());
    for number in first..MESSAGES_MAX {
        let argument = Datum::field(&number.to_string());
        let message = FeedMessage {
            number,
            path: "line",
            selector: "take:",
            arguments: std::slice::from_ref(&argument),
            device_time_ns: None,
            make: None,
        };
        system.feed(SENDER, &message, &mut Faults).unwrap_or_else(|error| panic!("{error}"));
        group -= 1;
        if group == 0 {
            system.commit(&mut Faults).expect("committed");
            acks.write_all(format!("ack {number}\n").as_bytes()).expect("the parent reads");
            match dice.one_of(100) {
                0 => system.passivate().expect("passivated"),
                1 => system.checkpoint().expect("a checkpoint"),
                _ => {}
            }
            group = 1 + dice.one_of(64);
        }
    }
}

/// Opens the store with the program that it has.
fn reopen(folder: &Path) -> System {
    let options = OpenOptions { folder: Some(folder.to_owned()), ..OpenOptions::default() };
    System::open(options).unwrap_or_else(|error| panic!("{error}"))
}

fn ask(system: &mut System, path: &str, selector: &str) -> String {
    let answer = system.send(path, selector, &[], &mut Faults);
    answer.unwrap_or_else(|error| panic!("{path} {selector}: {error}")).to_string()
}

fn program() -> Program {
    let source = SourceText { name: "kill.twin".to_owned(), text: PROGRAM.to_owned() };
    let compilation = compile(vec![source], &mut NoSources, &[kernel::image()]);
    assert!(compilation.image.is_some(), "{:#?}", compilation.diagnostics);
    Program::new(compilation.image.expect("looked at above"))
}

/// Nothing is printed, and the only faults are those of every seventh message.
struct Faults;

impl Output for Faults {
    fn print(&mut self, text: &str) {
        panic!("printed {text}");
    }
    fn fault(&mut self, report: &FaultReport) {
        let seventh = report.number.is_some_and(|number| number % 7 == 0);
        assert!(seventh && report.fault.text == "every seventh", "{report:?}");
    }
}

/// SplitMix64 (Steele, Lea & Flood 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn one_of(&mut self, count: u64) -> u64 {
        self.next() % count
    }
}
