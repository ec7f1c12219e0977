//! `spec/language.md` against the compiler's codes and against the cases.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use expect_test::expect_file;
use twintalk_compiler::diagnostic::{Code, Severity};

use crate::case;

const CASES_MIN: usize = 1000;

fn spec() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../spec/language.md");
    std::fs::read_to_string(path).expect("spec/language.md")
}

/// The table of codes as the page must have it.
fn diagnostics() -> String {
    let mut text = String::from("| code | severity | meaning |\n|---|---|---|\n");
    for code in Code::ALL {
        let severity = match code.severity() {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let lines: Vec<&str> = code.meaning().lines().map(str::trim).collect();
        let meaning = lines.join(" ").trim().replace('|', "\\|");
        let _ = writeln!(text, "| `{}` | {severity} | {meaning} |", code.name());
    }
    text
}

/// The productions of the page: in its grammars, each line that starts with `name =`.
fn productions(spec: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in spec.split("<!-- grammar: ").skip(1) {
        let (part, _) = part.split_once("<!-- end of grammar -->").expect("the mark after a grammar");
        for line in part.lines().filter(|line| !line.starts_with(' ')) {
            if let Some((name, _)) = line.split_once(" = ").or_else(|| line.split_once(" =")) {
                let earlier = found.insert(name.trim().to_owned());
                assert!(earlier, "two productions are called {name}");
            }
        }
    }
    found
}

#[test]
fn the_spec_lists_every_diagnostic() {
    let text = spec();
    let (start, end) = ("<!-- diagnostics -->\n", "<!-- end of diagnostics -->");
    let (before, rest) = text.split_once(start).expect("the mark before the diagnostics");
    let (_, after) = rest.split_once(end).expect("the mark after the diagnostics");
    let text = format!("{before}{start}{}{end}{after}", diagnostics());
    expect_file!["../../../spec/language.md"].assert_eq(&text);
}

#[test]
fn every_production_and_every_diagnostic_has_a_case() {
    let mut wanted = productions(&spec());
    assert!(wanted.len() > 50, "the page has a grammar");
    wanted.extend(Code::ALL.iter().map(|code| code.name().to_owned()));
    let cases = case::all();
    let mut covered = BTreeSet::new();
    for case in &cases {
        let steps = || case.steps.iter();
        // What a case reports it covers; what else it covers it says.
        covered
            .extend(steps().flat_map(|step| &step.report).filter_map(|line| Some(line.split(' ').nth(1)?.to_owned())));
        for name in steps().flat_map(|step| &step.covers) {
            assert!(wanted.contains(name), "{} covers `{name}`, which is no production and no code", case.name);
            if !Code::ALL.iter().any(|code| code.name() == name) {
                covered.insert(name.clone());
            }
        }
    }
    let missing: Vec<&String> = wanted.difference(&covered).collect();
    assert!(missing.is_empty(), "no case covers {missing:?}");
}

#[test]
fn there_are_cases_enough() {
    let count = case::all().len();
    assert!(count >= CASES_MIN, "{count} cases; {CASES_MIN} are promised");
}
