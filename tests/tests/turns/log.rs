//! Programs run on a store in a folder, and the log that they leave, record by record.

use std::collections::BTreeMap;
use std::path::Path;

use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_runtime::{
    ClockKind, Durability, FaultReport, OpenOptions, Output, Position, Program, SendError, System, kernel,
};
use twintalk_store::record::{Outcome, Record};
use twintalk_store::rocks::RocksStore;
use twintalk_store::{Log, Partition, Store};

/// What a system showed.
#[derive(Debug, Default)]
pub struct Shown {
    /// What was printed.
    pub text: String,
    /// Failures that nobody waits for: path, selector, kind.
    pub reported: Vec<String>,
}

impl Output for Shown {
    fn print(&mut self, text: &str) {
        self.text.push_str(text);
    }
    fn fault(&mut self, report: &FaultReport) {
        self.reported.push(format!("{} {} {}", report.path, report.selector, report.fault.kind));
    }
}

pub fn program(text: &str) -> Program {
    let source = SourceText { name: "test.twin".to_owned(), text: text.to_owned() };
    let compilation = compile(vec![source], &mut NoSources, &[kernel::image()]);
    let image = compilation.image.unwrap_or_else(|| panic!("{:#?}", compilation.diagnostics));
    Program::new(image)
}

/// How a test opens a store: driven by its program's clock, handed to the operating system.
pub fn options(folder: &Path) -> OpenOptions {
    OpenOptions {
        folder: Some(folder.to_owned()),
        durability: Some(Durability::Async),
        clock: Some(ClockKind::Driven),
        ..OpenOptions::default()
    }
}

pub fn open(folder: &Path, text: &str) -> System {
    open_with(OpenOptions { program: Some(program(text)), upgrade: true, ..options(folder) })
}

pub fn open_with(options: OpenOptions) -> System {
    System::open(options).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a program on a store and closes it.
pub fn run(folder: &Path, text: &str) -> Shown {
    let mut system = open(folder, text);
    let mut shown = Shown::default();
    match system.run_program(Vec::new(), None, &mut shown) {
        Ok(()) => {}
        Err(SendError::Fault(fault)) => shown.text.push_str(&format!("{}\n", fault.kind)),
        Err(error) => panic!("{error}"),
    }
    assert_sound(&mut system);
    system.close(&mut shown).expect("the store takes it");
    shown
}

pub fn assert_sound(system: &mut System) {
    let report = system.verify(&mut |_| {}).expect("readable");
    assert_eq!(report.differences, Vec::<String>::new());
}

/// Calls `visit` with every record of a store that nobody runs, partition by partition, in order.
pub fn each_record(folder: &Path, mut visit: impl FnMut(Partition, Position, &Record<'_>)) {
    let store = RocksStore::open_read_only(folder).expect("a store");
    for partition in (0..store.settings().partitions).map(Partition) {
        for block in store.read(partition, Position::FIRST).expect("readable") {
            let block = block.expect("a sound block");
            for record in block.open().expect("a sound block").records(0) {
                let (position, record) = record.expect("a sound record");
                visit(partition, position, &record);
            }
        }
    }
}

/// What each composite did, turn by turn: all that its records say, but for where they stand.
pub fn histories(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut histories = BTreeMap::<String, Vec<String>>::new();
    each_record(folder, |_, _, record| {
        let composite = record.composite().to_owned();
        // The runtime's own records say which program runs.
        if composite != "-" {
            histories.entry(composite).or_default().push(line(record));
        }
    });
    histories
}

fn line(record: &Record<'_>) -> String {
    let Record { envelope, cause, input, twins, outcome } = record;
    let twins: Vec<String> = twins
        .iter()
        .map(|twin| {
            format!("{} {:?} life {} {:?} {:02x?}", twin.path, twin.kind, twin.life, twin.prototype, twin.bytes)
        })
        .collect();
    let ended = match outcome {
        Outcome::Committed(effects) => format!("{effects:?}"),
        Outcome::Failed(failure) => format!("{failure:?}"),
    };
    format!(
        "turn {} of life {} at {} ns, {:?} number {} sends {} {} {:02x?} answers {:?} seed {:?}, {:?}: {} {ended}",
        envelope.turn,
        envelope.life,
        envelope.time_ns,
        cause.sender,
        cause.number,
        record.receiver().path,
        input.selector,
        input.arguments,
        input.answers,
        input.seed,
        envelope.flags,
        twins.join(", "),
    )
}
