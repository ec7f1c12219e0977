//! Runs cases and compares what came of them with what they expect.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::panic;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use twintalk_bytecode::Image;
use twintalk_bytecode::image::PrototypeKind;
use twintalk_compiler::diagnostic::{Diagnostic, Severity};
use twintalk_compiler::{Compilation, SourceText, compile};
use twintalk_runtime::{
    ClockKind, Discipline, Durability, Fault, FaultReport, HistoryEntry, Limits, OpenError, OpenOptions, Output,
    Position, Program, SendError, System, kernel,
};
use twintalk_vm::Vm;

use crate::case::{self, Case, Step};
use crate::sources::Files;

/// What a turn may spend: little, so that the cases that pass the limits are quick.
const FUEL: i64 = 1_000_000;
const MEMORY_BYTES: usize = 32 << 20;

/// How a case is run.
#[derive(Clone, Copy, Debug)]
struct Mode {
    /// As `spec/cases/README.md` calls it.
    name: &'static str,
    discipline: Discipline,
    partitions: u16,
    threads: usize,
}

impl Mode {
    const fn new(name: &'static str, discipline: Discipline, partitions: u16, threads: usize) -> Mode {
        Mode { name, discipline, partitions, threads }
    }
}

/// The first is the one that the others are compared with.
const MODES: &[Mode] = &[
    Mode::new("normal", Discipline::Normal, 1, 1),
    Mode::new("replay", Discipline::Replay, 1, 1),
    Mode::new("reload", Discipline::Reload, 1, 1),
    Mode::new("two partitions", Discipline::Normal, 2, 1),
    Mode::new("eight partitions", Discipline::Normal, 8, 1),
    Mode::new("eight partitions, reload", Discipline::Reload, 8, 1),
    Mode::new("two threads", Discipline::Normal, 8, 2),
];

/// The compiler's report, as a case writes it.
pub fn report(step: &Step) -> (Compilation, Vec<String>) {
    let (mut files, name) = Files::beside(&step.path);
    let root = SourceText { name, text: step.text.clone() };
    let compilation = compile(vec![root], &mut files, &[kernel::image()]);
    let mut lines: Vec<String> =
        compilation.diagnostics.iter().map(|diagnostic| line(diagnostic, &compilation.files)).collect();
    lines.sort();
    (compilation, lines)
}

fn line(diagnostic: &Diagnostic, files: &[SourceText]) -> String {
    let severity = match diagnostic.code.severity() {
        Severity::Warning => "warning",
        Severity::Error => "error",
    };
    let file = &files[usize::from(diagnostic.file)];
    let before = &file.text[..diagnostic.span.start as usize];
    let row = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let place = if diagnostic.file == 0 { String::new() } else { format!("{}:", file.name) };
    format!("{severity} {} at {place}{row}:{column}", diagnostic.code.name())
}

/// What came of a run.
#[derive(Debug, Default)]
struct Ran {
    /// All that was printed.
    output: String,
    /// What ended it.
    fault: Option<Fault>,
    /// Failures that nobody waited for: path, selector, kind.
    reported: Vec<String>,
    /// By twin that the case asks about, its records.
    records: BTreeMap<String, Vec<String>>,
    /// By twin, all that its records say but for where they stand.
    histories: BTreeMap<String, Vec<String>>,
    /// What `verify` found, and what else must not be.
    defects: Vec<String>,
}

impl Ran {
    fn look_back(&mut self, system: &mut System, path: String) {
        let entries = match system.history(&path, None, None) {
            Ok(entries) => entries,
            Err(error) => return self.defects.push(format!("the history of {path}: {error}")),
        };
        let record = |entry: &HistoryEntry| match &entry.fault {
            None => format!("{}: committed", entry.selector),
            Some(fault) => format!("{}: failed {}", entry.selector, fault.kind),
        };
        let whole = |entry: HistoryEntry| format!("{:?}", HistoryEntry { position: Position::START, ..entry });
        self.records.insert(path.clone(), entries.iter().map(record).collect());
        self.histories.insert(path, entries.into_iter().map(whole).collect());
    }
}

impl Output for Ran {
    fn print(&mut self, text: &str) {
        self.output.push_str(text);
    }

    fn fault(&mut self, report: &FaultReport) {
        self.reported.push(format!("{} {} {}", report.path, report.selector, report.fault.kind));
    }
}

/// Runs one program of a case on the store in `folder`, or in memory.
fn run(step: &Step, image: Image, mode: Mode, folder: Option<&Path>) -> Ran {
    let mut ran = Ran::default();
    let options = OpenOptions {
        folder: folder.map(Path::to_owned),
        durability: folder.map(|_| Durability::Async),
        partitions: Some(mode.partitions),
        threads: Some(mode.threads),
        program: Some(Program::new(image)),
        upgrade: true,
        clock: Some(ClockKind::Driven),
        limits: Limits { fuel: FUEL, memory_bytes: MEMORY_BYTES },
        discipline: mode.discipline,
        ..OpenOptions::default()
    };
    let mut system = match System::open(options) {
        Ok(system) => system,
        Err(
            error
            @ (OpenError::OtherProgram { .. } | OpenError::VersionMissing { .. } | OpenError::VersionLower { .. }),
        ) => {
            ran.fault = Some(Fault { kind: "Refused".to_owned(), text: error.to_string(), trace: Vec::new() });
            return ran;
        }
        Err(error) => {
            ran.defects.push(format!("the store does not open: {error}"));
            return ran;
        }
    };
    let for_ns = (step.run_for_ns > 0).then_some(step.run_for_ns);
    match system.run_program(Vec::new(), for_ns, &mut ran) {
        Ok(()) => {}
        Err(SendError::Fault(fault)) => ran.fault = Some(fault),
        Err(error) => ran.defects.push(error.to_string()),
    }
    match system.twins("") {
        Ok(twins) => {
            let there = twins.into_iter().map(|twin| twin.path);
            for path in there.chain(step.records.keys().cloned()).collect::<BTreeSet<String>>() {
                ran.look_back(&mut system, path);
            }
        }
        Err(error) => ran.defects.push(format!("the twins: {error}")),
    }
    match system.verify(&mut |_| {}) {
        Ok(report) => ran.defects.extend(report.differences.iter().map(|line| format!("verify: {line}"))),
        Err(error) => ran.defects.push(format!("verify: {error}")),
    }
    if let Err(error) = system.close(&mut ran) {
        ran.defects.push(format!("closing: {error}"));
    }
    ran
}

/// Where a run differs from what the step expects: a line each, `-` expected, `+` found.
fn differences(step: &Step, ran: &Ran) -> Vec<String> {
    let found: Vec<&str> = ran.output.lines().map(str::trim_end).collect();
    let mut lines = diff(&step.output, &found);
    lines.extend(diff(&step.reported, &ran.reported));
    lines.extend(fault_and_record_differences(step, ran));
    lines
}

/// The same where threads drive the composites: what those print and report that do not wait for each other comes in
/// any order.
fn differences_of_threads(step: &Step, ran: &Ran) -> Vec<String> {
    let sorted = |lines: &[String]| {
        let mut lines: Vec<String> = lines.iter().map(|line| line.trim_end().to_owned()).collect();
        lines.sort();
        lines
    };
    let found: Vec<String> = ran.output.lines().map(str::to_owned).collect();
    let mut lines = diff(&sorted(&step.output), &sorted(&found));
    lines.extend(diff(&sorted(&step.reported), &sorted(&ran.reported)));
    lines.extend(fault_and_record_differences(step, ran));
    lines
}

fn fault_and_record_differences(step: &Step, ran: &Ran) -> Vec<String> {
    let mut lines = Vec::new();
    match (&step.fault, &ran.fault) {
        (None, None) => {}
        (Some((kind, part)), Some(fault)) if fault.kind == *kind && fault.text.contains(part.as_str()) => {}
        (expected, found) => {
            if let Some((kind, part)) = expected {
                lines.push(format!("- the fault {kind}: ...{part}..."));
            }
            lines.push(found.as_ref().map_or("+ no fault".to_owned(), |fault| format!("+ {fault}")));
        }
    }
    for (path, expected) in &step.records {
        let found = ran.records.get(path).cloned().unwrap_or_default();
        lines.extend(diff(expected, &found).iter().map(|line| format!("{line} (a record of {path})")));
    }
    lines.extend(ran.defects.iter().map(|defect| format!("+ {defect}")));
    lines
}

/// Both sides line by line, what is common at the start and the end once; nothing if they are the same.
fn diff(expected: &[impl AsRef<str>], found: &[impl AsRef<str>]) -> Vec<String> {
    let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
    let found: Vec<&str> = found.iter().map(AsRef::as_ref).collect();
    if expected == found {
        return Vec::new();
    }
    let start = expected.iter().zip(&found).take_while(|(left, right)| left == right).count();
    let (expected_rest, found_rest) = (&expected[start..], &found[start..]);
    let end = expected_rest.iter().rev().zip(found_rest.iter().rev()).take_while(|(left, right)| left == right).count();
    let common = |lines: &[&str]| lines.iter().map(|line| format!("  {line}")).collect::<Vec<_>>();
    let mut shown = common(&expected[..start]);
    shown.extend(expected_rest[..expected_rest.len() - end].iter().map(|line| format!("- {line}")));
    shown.extend(found_rest[..found_rest.len() - end].iter().map(|line| format!("+ {line}")));
    shown.extend(common(&expected_rest[expected_rest.len() - end..]));
    shown
}

/// Where a report differs from what the step expects.
fn report_differences(step: &Step, compilation: &Compilation, found: &[String]) -> Vec<String> {
    let missing = step.report.iter().filter(|line| !found.contains(line)).map(|line| format!("- {line}"));
    let more = found.iter().filter(|line| !step.report.contains(line)).map(|text| {
        let at = compilation.diagnostics.iter().find(|diagnostic| line(diagnostic, &compilation.files) == *text);
        format!("+ {text}: {}", at.map_or("", |diagnostic| diagnostic.message.as_str()))
    });
    missing.chain(more).collect()
}

/// The first record in which a twin's history is not what it was in the first mode.
fn history_differences(
    wanted: &BTreeMap<String, Vec<String>>,
    found: &BTreeMap<String, Vec<String>>,
) -> Option<String> {
    let paths: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    paths.into_iter().find_map(|path| {
        let (wanted, found) = (wanted.get(path)?, found.get(path)?);
        let nth = (0..wanted.len().max(found.len())).find(|nth| wanted.get(*nth) != found.get(*nth))?;
        let shown = |lines: &[String]| lines.get(nth).map_or("nothing", String::as_str).to_owned();
        Some(format!(
            "  record {nth} of {path}, as in the first mode and here\n- {}\n+ {}",
            shown(wanted),
            shown(found)
        ))
    })
}

/// All that is wrong with a case, in any mode; empty if nothing is.
fn check(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut images = Vec::new();
    for step in &case.steps {
        let (compilation, found) = report(step);
        wrong.extend(report_differences(step, &compilation, &found));
        images.extend(compilation.image);
    }
    if images.len() < case.steps.len() {
        return wrong; // an error was reported, as expected or not
    }
    // A program without twins has no turn that a mode could change.
    let modes = if images.iter().any(has_twins) { MODES } else { &MODES[..1] };
    let picked = std::env::var("MODE").unwrap_or_default();
    let mut first = Vec::new();
    for mode in modes.iter().filter(|mode| mode.name == MODES[0].name || mode.name.contains(&picked)) {
        // Only what is opened again needs a folder.
        let folder = (case.steps.len() > 1).then(|| tempfile::tempdir().expect("a folder for a store"));
        for (number, (step, image)) in case.steps.iter().zip(&images).enumerate() {
            let ran = run(step, image.clone(), *mode, folder.as_ref().map(|folder| folder.path()));
            let races = mode.threads > 1 && step.races.is_some();
            let mut found =
                if mode.threads == 1 { differences(step, &ran) } else { differences_of_threads(step, &ran) };
            match first.get(number) {
                None => first.push(ran.histories),
                Some(_) if races => {}
                Some(wanted) => found.extend(history_differences(wanted, &ran.histories)),
            }
            if !found.is_empty() {
                let program = if number == 0 { String::new() } else { format!(", program {}", number + 1) };
                wrong.push(format!("in mode {}{program}:", mode.name));
                wrong.extend(found);
            }
        }
    }
    wrong
}

#[test]
fn every_case_does_what_it_says() {
    let filter = std::env::var("CASE").unwrap_or_default();
    let pending = case::pending().cases;
    let cases = case::all();
    for name in pending.keys() {
        assert!(cases.iter().any(|case| case.name == *name), "pending.txt names {name}, which is no case");
    }
    let chosen: Vec<&Case> = cases.iter().filter(|case| case.name.contains(&filter)).collect();
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        while let Some(case) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let wrong = panic::catch_unwind(|| check(case)).unwrap_or_else(|_| vec!["+ it panicked".to_owned()]);
            let failure = match (wrong.is_empty(), pending.contains_key(&case.name)) {
                (true, false) | (false, true) => continue,
                (true, true) => "passes, so pending.txt must not name it".to_owned(),
                (false, false) => wrong.join("\n").replace('\n', "\n    "),
            };
            failures.lock().expect("no thread panics here").insert(&case.name, failure);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZeroUsize::get) {
            scope.spawn(work);
        }
    });
    let failures: Vec<String> = failures
        .into_inner()
        .expect("no thread panics here")
        .iter()
        .map(|(name, failure)| format!("{name}\n    {failure}"))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases fail (- expected, + found; CASE=name picks one):\n\n{}\n",
        failures.len(),
        chosen.len(),
        failures.join("\n\n")
    );
}

/// Whether a twin is defined anywhere in the program.
fn has_twins(image: &Image) -> bool {
    image.prototypes.iter().any(|prototype| prototype.kind == PrototypeKind::Twin)
}

#[test]
fn programs_survive_a_collection_before_every_allocation() {
    let filter = std::env::var("CASE").unwrap_or_default();
    let mut failures = Vec::new();
    // What passes a limit would do so at another place.
    for case in case::all().iter().filter(|case| case.name.contains(&filter) && !case.name.starts_with("limits/")) {
        let [step] = &case.steps[..] else { continue };
        let Some(image) = report(step).0.image.filter(|image| !has_twins(image)) else { continue };
        let mut vm = Vm::link(&[kernel::image(), &image]).expect("a verified image links");
        vm.set_stress(true);
        let mut output = String::new();
        let fault = vm.run_main(&mut output).err();
        let wrong = differences(step, &Ran { output, fault, ..Ran::default() });
        if !wrong.is_empty() {
            failures.push(format!("{}\n{}", case.name, wrong.join("\n")));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
