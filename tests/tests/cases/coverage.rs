//! `spec/language.md` against the compiler's codes.

use std::fmt::Write as _;

use expect_test::expect_file;
use twintalk_compiler::diagnostic::{Code, Severity};

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

#[test]
fn the_spec_lists_every_diagnostic() {
    let text = spec();
    let (start, end) = ("<!-- diagnostics -->\n", "<!-- end of diagnostics -->");
    let (before, rest) = text.split_once(start).expect("the mark before the diagnostics");
    let (_, after) = rest.split_once(end).expect("the mark after the diagnostics");
    let text = format!("{before}{start}{}{end}{after}", diagnostics());
    expect_file!["../../../spec/language.md"].assert_eq(&text);
}
