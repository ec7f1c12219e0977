//! What tests of programs with twins share: a program, run on a store in each discipline and verified.
#![allow(dead_code, reason = "each test uses what it needs")]

pub mod counting;

use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_runtime::{Discipline, FaultReport, OpenOptions, Output, Program, System, kernel};

/// What was shown.
#[derive(Default)]
pub struct Seen {
    /// As text.
    pub text: String,
}

impl Output for Seen {
    fn print(&mut self, text: &str) {
        self.text.push_str(text);
    }
    fn fault(&mut self, report: &FaultReport) {
        self.text.push_str(&format!("!! {} {}: {}\n", report.path, report.selector, report.fault));
    }
}

pub fn program(text: &str) -> Program {
    let source = SourceText { name: "test.twin".to_owned(), text: text.to_owned() };
    let compilation = compile(vec![source], &mut NoSources, &[kernel::image()]);
    assert!(compilation.image.is_some(), "{:#?}", compilation.diagnostics);
    Program::new(compilation.image.expect("looked at above"))
}

pub fn run(text: &str, discipline: Discipline, stress: bool) -> String {
    let mut system = System::open(OpenOptions { program: Some(program(text)), discipline, ..OpenOptions::default() })
        .unwrap_or_else(|error| panic!("{error}"));
    system.set_stress(stress);
    let mut seen = Seen::default();
    if let Err(error) = system.run_program(Vec::new(), None, &mut seen) {
        seen.text.push_str(&format!("!! {error}\n"));
    }
    let report = system.verify(&mut |_| {}).expect("the store is in memory");
    assert_eq!(report.differences, Vec::<String>::new());
    seen.text
}

pub fn check(text: &str, wanted: &str) {
    for discipline in [Discipline::Normal, Discipline::Replay, Discipline::Reload] {
        assert_eq!(run(text, discipline, false), wanted, "{discipline:?}");
    }
}

/// The same, and once more with every object moved at every allocation.
pub fn check_moving(text: &str, wanted: &str) {
    check(text, wanted);
    assert_eq!(run(text, Discipline::Replay, true), wanted, "under stress");
}
