//! Runs cases and compares what came of them with what they expect.

use std::fs;
use std::panic;
use std::path::Path;
use std::sync::LazyLock;

use twintalk_bytecode::Image;
use twintalk_bytecode::image::PrototypeKind;
use twintalk_compiler::diagnostic::{Diagnostic, Severity};
use twintalk_compiler::{Compilation, NoSources, SourceText, compile};
use twintalk_vm::{Fault, Vm};

use crate::case::{self, Case, Step};
use crate::sources::Files;

static KERNEL: LazyLock<Image> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel");
    let entries = fs::read_dir(folder).expect("the folder kernel");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry of a folder").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "twin"));
    paths.sort();
    let roots = paths
        .iter()
        .map(|path| SourceText {
            name: path.file_name().unwrap().to_string_lossy().into_owned(),
            text: fs::read_to_string(path).expect("a file of the kernel"),
        })
        .collect();
    let compilation = compile(roots, &mut NoSources, &[]);
    compilation.image.unwrap_or_else(|| panic!("the kernel compiles: {:?}", compilation.diagnostics))
});

/// The compiler's report, as a case writes it.
pub fn report(step: &Step) -> (Compilation, Vec<String>) {
    let (mut files, name) = Files::beside(&step.path);
    let root = SourceText { name, text: step.text.clone() };
    let compilation = compile(vec![root], &mut files, &[&KERNEL]);
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
pub struct Ran {
    /// All that was printed.
    pub output: String,
    /// What ended it.
    pub fault: Option<Fault>,
}

/// Whether a twin is defined anywhere in the program: then it takes a store to run.
pub fn has_twins(image: &Image) -> bool {
    image.prototypes.iter().any(|prototype| prototype.kind == PrototypeKind::Twin)
}

/// Runs a program that has no twins.
pub fn run_alone(image: &Image) -> Ran {
    let mut vm = Vm::link(&[&KERNEL, image]).expect("a verified image links");
    let mut output = String::new();
    let fault = vm.run_main(&mut output).err();
    Ran { output, fault }
}

/// Where a run differs from what the step expects: a line each, `-` expected, `+` found.
pub fn differences(step: &Step, ran: &Ran) -> Vec<String> {
    let found: Vec<&str> = ran.output.lines().map(str::trim_end).collect();
    let expected: Vec<&str> = step.output.iter().map(String::as_str).collect();
    let mut lines = Vec::new();
    if found != expected {
        lines.extend(diff(&expected, &found));
    }
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
    lines
}

/// Both sides line by line, what is common at the start and the end once.
fn diff(expected: &[&str], found: &[&str]) -> Vec<String> {
    let start = expected.iter().zip(found).take_while(|(left, right)| left == right).count();
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

/// All that is wrong with a case, empty if nothing is.
fn check(case: &Case) -> Vec<String> {
    let mut wrong = Vec::new();
    for step in &case.steps {
        let (compilation, found) = report(step);
        wrong.extend(report_differences(step, &compilation, &found));
        let Some(image) = &compilation.image else { continue };
        if has_twins(image) {
            wrong.push("twins take a store, which this harness cannot open yet".to_owned());
            continue;
        }
        wrong.extend(differences(step, &run_alone(image)));
    }
    wrong
}

#[test]
fn every_case_does_what_it_says() {
    let filter = std::env::var("CASE").unwrap_or_default();
    let pending = case::pending();
    let cases = case::all();
    for name in pending.keys() {
        assert!(cases.iter().any(|case| case.name == *name), "pending.txt names {name}, which is no case");
    }
    let (mut count, mut failures) = (0, Vec::new());
    for case in cases.iter().filter(|case| case.name.contains(&filter)) {
        count += 1;
        let wrong = panic::catch_unwind(|| check(case)).unwrap_or_else(|_| vec!["+ it panicked".to_owned()]);
        match (wrong.is_empty(), pending.get(&case.name)) {
            (true, None) => {}
            (true, Some(_)) => failures.push(format!("{}: passes, so pending.txt must not name it", case.name)),
            (false, None) => failures.push(format!("{}\n    {}", case.name, wrong.join("\n").replace('\n', "\n    "))),
            (false, Some(_)) => {}
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {count} cases fail (- expected, + found; CASE=name picks one):\n\n{}\n",
        failures.len(),
        failures.join("\n\n")
    );
}
