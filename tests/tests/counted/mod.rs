//! Composites that count what they are sent, so that their figures tell which messages they took: each once, and whole.

#![allow(dead_code, reason = "each of the tests that share this file uses a part of it")]

use std::path::Path;

use tempfile::TempDir;
use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_runtime::{
    ClockKind, Datum, Durability, FaultReport, FeedMessage, OpenError, OpenOptions, Output, Program, SendError, System,
    kernel,
};

/// The name of the outside sender.
pub const SENDER: &str = "readings";

/// Message n to `line` counts itself twice, in the root and in its part `probe`; every third is noted in the other
/// composite, which echoes it; every seventh fails after it has changed both; every eleventh replaces a part.
pub const PROGRAM: &str = r"
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
pub fn figures(taken: u64) -> (String, String) {
    let done: Vec<u64> = (1..=taken).filter(|n| n % 7 != 0).collect();
    let noted: Vec<u64> = done.iter().copied().filter(|n| n % 3 == 0).collect();
    let lately: Vec<String> = done[done.len().saturating_sub(8)..].iter().map(u64::to_string).collect();
    let (seen, sum, echoes) = (done.len(), done.iter().sum::<u64>(), noted.iter().sum::<u64>());
    (
        format!("#({seen} {seen} {sum} {echoes} #({}))", lately.join(" ")),
        format!("#({} {})", noted.len(), noted.iter().sum::<u64>()),
    )
}

/// Makes a store of the program in `folder`, with its twins.
pub fn make(folder: &Path, durability: Durability, partitions: u16, clock: Option<ClockKind>) {
    let options = OpenOptions {
        folder: Some(folder.to_owned()),
        durability: Some(durability),
        partitions: Some(partitions),
        program: Some(program()),
        clock,
        ..OpenOptions::default()
    };
    let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
    system.run_program(Vec::new(), None, &mut Faults).unwrap_or_else(|error| panic!("{error}"));
    system.close(&mut Faults).unwrap_or_else(|error| panic!("{error}"));
}

/// Opens the store with the program that it has.
pub fn reopen(folder: &Path) -> System {
    open(folder, None).unwrap_or_else(|error| panic!("{error}"))
}

/// The same, with a clock of its own kind; the error is the test's.
pub fn open(folder: &Path, clock: Option<ClockKind>) -> Result<System, OpenError> {
    System::open(OpenOptions { folder: Some(folder.to_owned()), clock, ..OpenOptions::default() })
}

/// Feeds message `number` to `line`; a time of the device drives the clock where it can be driven.
pub fn feed(system: &mut System, number: u64, device_time_ns: Option<i64>) -> Result<(), SendError> {
    let argument = Datum::field(&number.to_string());
    let message = FeedMessage {
        number,
        path: "line",
        selector: "take:",
        arguments: std::slice::from_ref(&argument),
        device_time_ns,
        make: None,
    };
    system.feed(SENDER, &message, &mut Faults)
}

/// What both composites must say after the messages 1 to `taken`, and that no turn of the timer is half there.
/// Answers how often the timer has fired.
pub fn check_figures(system: &mut System, taken: u64, name: &str) -> u64 {
    let (line, hall) = figures(taken);
    assert_eq!(ask(system, "line", "figures"), line, "{name}: line after {taken} messages");
    assert_eq!(ask(system, "hall", "figures"), hall, "{name}: hall after {taken} messages");
    pulses(system, name)
}

/// How often the timer has fired; its turn changes two twins.
pub fn pulses(system: &mut System, name: &str) -> u64 {
    let text = ask(system, "line", "pulses");
    let numbers: Vec<u64> = text[2..text.len() - 1].split(' ').map(|word| word.parse().expect("a number")).collect();
    assert_eq!(numbers[0], numbers[1], "{name}: half a turn");
    numbers[0]
}

/// A run of the log's messages finds what their records say.
pub fn check_verify(system: &mut System, name: &str) -> u64 {
    let report = system.verify(&mut |_| {}).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(report.differences, Vec::<String>::new(), "{name}");
    report.records
}

pub fn ask(system: &mut System, path: &str, selector: &str) -> String {
    let answer = system.send(path, selector, &[], &mut Faults);
    answer.unwrap_or_else(|error| panic!("{path} {selector}: {error}")).to_string()
}

pub fn program() -> Program {
    let source = SourceText { name: "counted.twin".to_owned(), text: PROGRAM.to_owned() };
    let compilation = compile(vec![source], &mut NoSources, &[kernel::image()]);
    assert!(compilation.image.is_some(), "{:#?}", compilation.diagnostics);
    Program::new(compilation.image.expect("looked at above"))
}

/// Nothing is printed, and the only faults are those of every seventh message.
pub struct Faults;

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
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub fn one_of(&mut self, count: u64) -> u64 {
        self.next() % count
    }
}

/// A folder in memory where there is one: many stores are opened.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.expect("a folder")
}

/// The number in a variable of the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}
