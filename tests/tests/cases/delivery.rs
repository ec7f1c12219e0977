//! `spec/delivery.md` against its tests, and the kinds of fault against their cases.
//!
//! A sentence is tested by a case that says `## delivery: D2.3`, or by a test in Rust below a comment
//! `// delivery: D2.3`. A fault is tested by a case that ends with it, reports it, has it in a record, or
//! handles it and says so (`## faults: ZeroDivide`), or by a test below `// faults: Store`. What has no test yet is in `pending.txt`, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use twintalk_bytecode::Image;
use twintalk_runtime::kernel;
use twintalk_vm::ExceptionKind;

use crate::case::{self, Step};

const SENTENCES_MIN: usize = 90;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The numbers of the page's sentences, in order.
fn sentences() -> Vec<String> {
    let page = read("spec/delivery.md");
    page.lines()
        .filter_map(|line| Some(line.strip_prefix("- **")?.split_once("** ")?.0.to_owned()))
        .inspect(|number| assert!(is_number(number), "`{number}` is no number of a sentence"))
        .collect()
}

/// `D2.3`.
fn is_number(text: &str) -> bool {
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = text.strip_prefix('D').and_then(|rest| rest.split_once('.'));
    parts.is_some_and(|(chapter, nth)| is_digits(chapter) && is_digits(nth))
}

/// Every source file in Rust of the workspace.
fn rust_sources() -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![root()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry of a folder").path();
            let name = path.file_name().expect("it has a name").to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && name != "target" && name != "corpus" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// What tests in Rust name behind `mark`, with the file.
fn named_in_rust(mark: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for path in rust_sources() {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut lines = text.lines().map(str::trim_start);
        while let Some(line) = lines.next() {
            let Some(names) = line.strip_prefix(mark) else { continue };
            let test = lines.clone().find(|line| !line.starts_with("//"));
            assert_eq!(test, Some("#[test]"), "{}: `{line}` stands above a test", path.display());
            found.extend(names.split(',').map(|name| (name.trim().to_owned(), path.display().to_string())));
        }
    }
    found
}

#[test]
fn every_sentence_of_delivery_has_a_test() {
    let sentences = sentences();
    let numbers: BTreeSet<String> = sentences.iter().cloned().collect();
    assert_eq!(numbers.len(), sentences.len(), "two sentences have one number");
    assert!(numbers.len() >= SENTENCES_MIN, "{} sentences; {SENTENCES_MIN} are promised", numbers.len());
    let pending = case::pending();
    let mut named = named_in_rust("// delivery: ");
    for case in case::all().iter().filter(|case| !pending.cases.contains_key(&case.name)) {
        let of_case = case.steps.iter().flat_map(|step| &step.sentences);
        named.extend(of_case.map(|number| (number.clone(), case.name.clone())));
    }
    for (number, place) in &named {
        assert!(numbers.contains(number), "{place} names {number}, which is no sentence of spec/delivery.md");
    }
    let named: BTreeSet<String> = named.into_iter().map(|(number, _)| number).collect();
    compare(&numbers, &named, &pending.sentences, "no test names");
}

/// Fails with what has no test and is not pending, and with what is pending and not there, or has a test.
fn compare(wanted: &BTreeSet<String>, tested: &BTreeSet<String>, pending: &BTreeMap<String, String>, what: &str) {
    let waiting: BTreeSet<String> = pending.keys().cloned().collect();
    let unknown: Vec<&String> = waiting.difference(wanted).collect();
    assert!(unknown.is_empty(), "pending.txt names {unknown:?}, which are not there");
    let needless: Vec<&String> = waiting.intersection(tested).collect();
    assert!(needless.is_empty(), "{needless:?} have tests: take them out of pending.txt");
    let missing: Vec<&String> = wanted.difference(tested).filter(|name| !waiting.contains(*name)).collect();
    assert!(missing.is_empty(), "{what} {missing:?}");
}

/// The kernel's Error and all its children.
fn errors(kernel: &Image) -> BTreeSet<String> {
    let parents: BTreeMap<&str, &str> = kernel
        .prototypes
        .iter()
        .filter_map(|prototype| Some((kernel.name(prototype.name), kernel.name(prototype.parent?))))
        .collect();
    let is_error = |name: &str| {
        let mut at = Some(name);
        while let Some(name) = at.filter(|name| *name != "Error") {
            at = parents.get(name).copied();
        }
        at.is_some()
    };
    parents.keys().filter(|name| is_error(name)).map(|name| (*name).to_owned()).collect()
}

/// The kinds that the VM and the runtime write as text: the limits, and what has no VM at hand.
fn kinds_in_sources() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["vm/src", "runtime/src"] {
        for path in rust_sources().iter().filter(|path| path.starts_with(root().join(folder))) {
            let text = fs::read_to_string(path).expect("it was listed just now");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for before in ["fault(", "kind:"] {
                for rest in code.split(before).skip(1) {
                    let Some(rest) = rest.trim_start().strip_prefix('"') else { continue };
                    let kind = rest.split('"').next().unwrap_or_default();
                    if kind.starts_with(|first: char| first.is_ascii_uppercase())
                        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
                    {
                        found.insert(kind.to_owned());
                    }
                }
            }
        }
    }
    found
}

/// The kinds that a case shows: those it ends with, reports, has in records, and handles.
fn shown(step: &Step, name: &str) -> Vec<String> {
    let last_word = |line: &String| line.rsplit(' ').next().unwrap_or_default().to_owned();
    let mut kinds: Vec<String> = step.fault.iter().map(|(kind, _)| kind.clone()).collect();
    kinds.extend(step.reported.iter().map(last_word));
    kinds.extend(step.records.values().flatten().filter(|line| line.contains(": failed ")).map(last_word));
    for kind in &step.faults {
        assert!(step.text.contains(&format!("on: {kind} do:")), "{name} says that it handles {kind}");
        kinds.push(kind.clone());
    }
    kinds
}

#[test]
fn every_kind_of_fault_has_a_case() {
    let mut wanted = errors(kernel::image());
    wanted.extend(kinds_in_sources());
    for kind in ExceptionKind::ALL {
        assert!(wanted.contains(kind.name()), "{} is an exception of the kernel", kind.name());
    }
    for limit in ["OutOfFuel", "OutOfMemory", "StackDepth", "RecordTooLarge"] {
        assert!(wanted.contains(limit), "{limit} is sought where faults are made");
    }
    let pending = case::pending();
    let mut tested: BTreeSet<String> = named_in_rust("// faults: ").into_iter().map(|(kind, _)| kind).collect();
    for case in case::all().iter().filter(|case| !pending.cases.contains_key(&case.name)) {
        for step in &case.steps {
            for kind in &step.faults {
                assert!(wanted.contains(kind), "{} handles `{kind}`, which is no kind of fault", case.name);
            }
            tested.extend(shown(step, &case.name));
        }
    }
    compare(&wanted, &tested, &pending.faults, "no case shows the faults");
}

#[test]
fn the_spec_lists_every_fault_that_the_machine_makes() {
    let page = read("spec/language.md");
    let (_, table) = page.split_once("## 15. Faults").expect("the chapter on faults");
    let (table, _) = table.split_once("\n## ").expect("a chapter behind it");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let listed: BTreeSet<&str> = rows.flat_map(|row| row.split('`')).filter(|name| name.len() > 1).collect();
    let mut made = kinds_in_sources();
    made.extend(ExceptionKind::ALL.iter().map(|kind| kind.name().to_owned()));
    let missing: Vec<&String> = made.iter().filter(|kind| !listed.contains(kind.as_str())).collect();
    assert!(missing.is_empty(), "spec/language.md 15 does not have {missing:?}");
    let gone: Vec<&&str> = listed.iter().filter(|kind| !made.contains(**kind)).collect();
    assert!(gone.is_empty(), "spec/language.md 15 has {gone:?}, which nothing makes");
}
