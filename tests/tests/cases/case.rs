//! What a case is: its files, and what its comments expect. The format is `spec/cases/README.md`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A program, or several run one after another on one store.
#[derive(Debug)]
pub struct Case {
    /// `chapter/name`.
    pub name: String,
    /// Run in this order.
    pub steps: Vec<Step>,
}

/// One program and what is expected of it.
#[derive(Debug, Default)]
pub struct Step {
    /// The file, for reading what it imports.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
    /// The lines of its output.
    pub output: Vec<String>,
    /// Failures that nobody waits for: `path selector Kind`.
    pub reported: Vec<String>,
    /// Kind and a part of the text.
    pub fault: Option<(String, String)>,
    /// `error unknown-name at 3:5`, sorted.
    pub report: Vec<String>,
    /// Productions and codes.
    pub covers: Vec<String>,
    /// Sentences of `spec/delivery.md`.
    pub sentences: Vec<String>,
    /// Kinds of fault that it handles.
    pub faults: Vec<String>,
    /// Why composites race in it when several threads drive them.
    pub races: Option<String>,
    /// How long timers are waited for, in nanoseconds.
    pub run_for_ns: i64,
    /// By twin: `fill: committed`.
    pub records: BTreeMap<String, Vec<String>>,
}

/// The folder of all cases.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../spec/cases")
}

/// Every case, by name.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for chapter in sorted_entries(&folder()).into_iter().filter(|path| path.is_dir()) {
        for path in sorted_entries(&chapter) {
            let name = format!("{}/{}", file_stem(&chapter), file_stem(&path));
            if path.is_dir() {
                cases.push(Case { steps: steps_of_folder(&path, &name), name });
            } else if path.extension().is_some_and(|extension| extension == "twin") {
                cases.push(Case { steps: vec![step(&path, &name)], name });
            } else {
                panic!("{}: a chapter holds cases only", path.display());
            }
        }
    }
    cases
}

fn steps_of_folder(path: &Path, name: &str) -> Vec<Step> {
    for main in ["main.twin"] {
        if path.join(main).exists() {
            return vec![step(&path.join(main), name)];
        }
    }
    let numbered: Vec<PathBuf> =
        (1..).map(|number| path.join(format!("{number}.twin"))).take_while(|path| path.exists()).collect();
    assert!(!numbered.is_empty(), "{name}: a folder needs main.twin, main.som or 1.twin");
    numbered.iter().map(|path| step(path, name)).collect()
}

fn step(path: &Path, name: &str) -> Step {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut step = Step { path: path.to_owned(), ..Step::default() };
    for comment in comments(&text) {
        let Some((mark, rest)) = comment.split_at_checked(2) else { continue };
        let said = rest.strip_prefix(' ').unwrap_or(rest).trim_end().replace("\\q", "\"");
        match mark {
            "=>" => step.output.push(said),
            "!!" => {
                let (kind, part) = said.split_once(':').unwrap_or((&said, ""));
                let earlier = step.fault.replace((kind.trim().to_owned(), part.trim().to_owned()));
                assert!(earlier.is_none(), "{name}: a run ends with one fault");
            }
            "!>" => step.reported.push(said),
            "??" => step.report.push(said),
            "@@" => {
                let (path, record) =
                    said.split_once(": ").unwrap_or_else(|| panic!("{name}: `@@ {said}` names no twin"));
                step.records.entry(path.to_owned()).or_default().push(record.trim().to_owned());
            }
            "##" => setting(&mut step, &said, name),
            _ => {}
        }
    }
    step.report.sort();
    step.text = text;
    step
}

fn setting(step: &mut Step, said: &str, name: &str) {
    let (word, value) = said.split_once(':').unwrap_or_else(|| panic!("{name}: `## {said}` has no colon"));
    let names = || value.split(',').map(|part| part.trim().to_owned());
    match word.trim() {
        "covers" => step.covers.extend(names()),
        "delivery" => step.sentences.extend(names()),
        "faults" => step.faults.extend(names()),
        "races" => step.races = Some(value.trim().to_owned()),
        "for" => {
            let (number, unit) =
                value.trim().split_once(' ').unwrap_or_else(|| panic!("{name}: `for: NUMBER UNIT`, not `{value}`"));
            let number: i64 = number.parse().unwrap_or_else(|_| panic!("{name}: `{number}` is no number"));
            let seconds = match unit.trim() {
                "s" => 1,
                "min" => 60,
                "h" => 3600,
                other => panic!("{name}: the unit `{other}` is not s, min or h"),
            };
            step.run_for_ns = number * seconds * 1_000_000_000;
        }
        other => panic!("{name}: `## {other}` is no setting"),
    }
}

/// What stands between the quotes of each comment, in order.
fn comments(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut characters = text.char_indices();
    while let Some((start, character)) = characters.next() {
        match character {
            '$' => {
                characters.next();
            }
            // A doubled quote in a string reads as two strings, which serves as well here.
            '\'' => while characters.next().is_some_and(|(_, character)| character != '\'') {},
            '"' => {
                let end = characters.by_ref().find(|(_, character)| *character == '"').map(|(end, _)| end);
                let Some(end) = end else { break };
                found.push(&text[start + 1..end]);
            }
            _ => {}
        }
    }
    found
}

/// What cannot pass yet, or has no test yet.
#[derive(Debug, Default)]
pub struct Pending {
    /// Cases, by name.
    pub cases: BTreeMap<String, String>,
    /// Sentences, by number.
    pub sentences: BTreeMap<String, String>,
    /// Faults, by kind.
    pub faults: BTreeMap<String, String>,
}

/// What `pending.txt` names, each with its reason.
pub fn pending() -> Pending {
    let mut pending = Pending::default();
    for (name, reason) in pending_lines() {
        let rows = match name.strip_prefix("fault ") {
            Some(_) => &mut pending.faults,
            None if name.contains('/') => &mut pending.cases,
            None => &mut pending.sentences,
        };
        rows.insert(name.trim_start_matches("fault ").to_owned(), reason);
    }
    pending
}

fn pending_lines() -> BTreeMap<String, String> {
    let Ok(text) = fs::read_to_string(folder().join("pending.txt")) else { return BTreeMap::new() };
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, reason) = line.split_once(": ").unwrap_or_else(|| panic!("pending.txt: `{line}` has no reason"));
            (name.trim().to_owned(), reason.trim().to_owned())
        })
        .collect()
}

fn sorted_entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of a folder").path()).collect();
    paths.sort();
    paths
}

fn file_stem(path: &Path) -> String {
    path.file_stem().expect("a file has a name").to_string_lossy().into_owned()
}
