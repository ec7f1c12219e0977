//! `twintalk test`: the tests of prototypes that descend from `TestCase`.
//!
//! A file is a program of its own, with what it imports and names; its statements are not run. Each test has a system of its
//! own, in memory and with a clock that only the test moves, so that no test sees what another did, and they can be run in
//! any order and one at a time.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use twintalk_bytecode::Image;
use twintalk_bytecode::image::Prototype;
use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_runtime::{Fault, FaultReport, Limits, OpenOptions, Output, Program, SendError, System, kernel};

use crate::exit::{Exit, Failure, Outcome};
use crate::terminal::{colour_on_stdout, count};
use crate::{load, sources};

mod forms;

/// Run the tests of a program
#[derive(Args)]
#[command(
    after_help = "A test is a message of a child of TestCase whose name begins with `test`. Of a folder all .twin files with \
                  tests are taken. Exit code 1 if a test does not pass."
)]
pub struct Test {
    /// Files, or folders with .twin files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only tests whose Prototype>>selector contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// How much of activations and rounds a test may use, its turns not counted: one without an end stops there
    #[arg(long, value_name = "UNITS", default_value_t = 1_000_000_000, value_parser = clap::value_parser!(i64).range(1..))]
    fuel: i64,
    /// Name the tests and run none
    #[arg(long)]
    list: bool,
    /// Report in the Test Anything Protocol, version 14
    #[arg(long, conflicts_with = "list")]
    tap: bool,
    /// Also write a JUnit report
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    junit: Option<PathBuf>,
}

/// A program with tests.
struct Suite {
    image: Image,
    /// Its source files, as places name them.
    files: Vec<String>,
    /// Which of its tests are to be run.
    tests: Vec<Name>,
}

/// A test: a prototype and a selector of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    prototype: String,
    selector: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}>>{}", self.prototype, self.selector)
    }
}

/// How a test ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Passed,
    /// An assertion did not hold.
    Failed(Trouble),
    /// It said why it is not to be run.
    Skipped(String),
    /// Something else went wrong.
    Broke(Trouble),
}

#[derive(Debug, PartialEq, Eq)]
struct Trouble {
    kind: String,
    text: String,
    /// `file:line:column` in the sources of the test, if the trace leads there.
    place: Option<String>,
    trace: Vec<String>,
}

/// What became of a test.
struct Result {
    name: Name,
    end: End,
    took: Duration,
    /// What it printed, and failures of its twins that nobody waited for.
    output: String,
}

impl Test {
    /// Runs them.
    pub fn run(self) -> Outcome {
        let folders: Vec<PathBuf> = self.paths.iter().filter(|path| path.is_dir()).cloned().collect();
        let mut suites = Vec::new();
        let mut broken = false;
        for path in &self.paths {
            let named = !path.is_dir();
            let mut files = if named { vec![path.clone()] } else { sources::in_folder(path)? };
            // Of those in a folder some may be of another dialect, and are run by the file that names them.
            files.retain(|file| named || file.extension().is_some_and(|extension| extension == "twin"));
            for file in files {
                let compilation = load::source(&file, &folders)?;
                let with_errors = compilation.image.is_none();
                if with_errors || named {
                    load::report(&compilation);
                }
                broken |= with_errors;
                let files = compilation.files.iter().map(|file| file.name.clone()).collect();
                let Some(image) = compilation.image else { continue };
                let tests = tests_of(&image);
                if named && tests.is_empty() {
                    return Err(Failure::wrong(format!(
                        "{}: there is no test; one is a message of a child of TestCase whose name begins with `test`",
                        file.display()
                    )));
                }
                suites.push(Suite { image, files, tests });
            }
        }
        if let Some(text) = &self.filter {
            suites.iter_mut().for_each(|suite| suite.tests.retain(|test| test.to_string().contains(text)));
        }
        if self.list {
            let mut out = io::stdout().lock();
            for test in suites.iter().flat_map(|suite| &suite.tests) {
                writeln!(out, "{test}")?;
            }
            return Ok(if broken { Exit::Wrong } else { Exit::Done });
        }
        let total = suites.iter().map(|suite| suite.tests.len()).sum();
        if total == 0 && !broken {
            return Err(Failure::wrong("there are no tests there"));
        }
        let results = self.run_all(&suites, total)?;
        if let Some(file) = &self.junit {
            std::fs::write(file, forms::junit(&results)).map_err(|error| Failure::file(&file.display(), &error))?;
        }
        let passes = results.iter().all(|result| matches!(result.end, End::Passed | End::Skipped(_)));
        Ok(if passes && !broken { Exit::Done } else { Exit::Wrong })
    }

    fn run_all(&self, suites: &[Suite], total: usize) -> std::result::Result<Vec<Result>, Failure> {
        let start = Instant::now();
        let mut out = io::stdout().lock();
        let colour = colour_on_stdout();
        let dots = !self.tap && out.is_terminal();
        if self.tap {
            out.write_all(forms::tap_head(total).as_bytes())?;
        }
        let mut results = Vec::with_capacity(total);
        for suite in suites {
            for test in &suite.tests {
                let result = suite.run(test, self.fuel)?;
                if self.tap {
                    out.write_all(forms::tap(results.len() + 1, &result).as_bytes())?;
                } else {
                    // A person sees that it goes on; a file has what did not pass.
                    if dots {
                        write!(out, "\r\x1b[K{} of {total}", results.len() + 1)?;
                        out.flush()?;
                    }
                    let text = forms::readable(&result, colour);
                    if dots && !text.is_empty() {
                        out.write_all(b"\r\x1b[K")?;
                    }
                    out.write_all(text.as_bytes())?;
                }
                results.push(result);
            }
        }
        if !self.tap {
            let clear = if dots { "\r\x1b[K" } else { "" };
            writeln!(out, "{clear}{}", summary(&results, start.elapsed()))?;
        }
        Ok(results)
    }
}

/// `5 tests: 3 passed, 1 failed, 1 skipped, in 0.2 s`.
fn summary(results: &[Result], took: Duration) -> String {
    let number = |is: fn(&End) -> bool| results.iter().filter(|result| is(&result.end)).count();
    let counts = [
        (number(|end| matches!(end, End::Passed)), "passed"),
        (number(|end| matches!(end, End::Failed(_))), "failed"),
        (number(|end| matches!(end, End::Broke(_))), "broke"),
        (number(|end| matches!(end, End::Skipped(_))), "skipped"),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
    format!("{}: {}, in {:.1} s", count(results.len(), "test"), counts.join(", "), took.as_secs_f64())
}

/// The tests of the prototypes that the first file of the image defines, in the order of the source; what is inherited comes
/// first.
fn tests_of(image: &Image) -> Vec<Name> {
    let by_name: HashMap<&str, &Prototype> =
        image.prototypes.iter().map(|prototype| (image.name(prototype.name), prototype)).collect();
    let mut prototypes: Vec<&Prototype> =
        image.prototypes.iter().filter(|prototype| prototype.position.file == 0).collect();
    prototypes.sort_by_key(|prototype| prototype.position.offset);
    let mut found = Vec::new();
    for prototype in prototypes {
        for ancestor in lineage(image, &by_name, prototype).into_iter().rev() {
            let selectors = ancestor.instance.methods.iter().map(|method| image.name(image.method(*method).selector));
            for selector in selectors.filter(|selector| selector.starts_with("test") && !selector.contains(':')) {
                let name = Name { prototype: image.name(prototype.name).to_owned(), selector: selector.to_owned() };
                if !found.contains(&name) {
                    found.push(name);
                }
            }
        }
    }
    found
}

/// The prototype and its ancestors in the image, if they lead to the kernel's `TestCase`; else nothing.
fn lineage<'i>(image: &Image, by_name: &HashMap<&str, &'i Prototype>, prototype: &'i Prototype) -> Vec<&'i Prototype> {
    let mut lineage = vec![prototype];
    loop {
        let Some(parent) = lineage[lineage.len() - 1].parent.map(|parent| image.name(parent)) else {
            return Vec::new();
        };
        match by_name.get(parent) {
            // No parent follows its child in an image, so this ends.
            Some(parent) => lineage.push(parent),
            None if parent == "TestCase" => return lineage,
            None => return Vec::new(),
        }
    }
}

impl Suite {
    /// Runs a test in a system of its own.
    fn run(&self, name: &Name, fuel: i64) -> std::result::Result<Result, Failure> {
        let start = Instant::now();
        let text = format!("{} new runTest: #{}.", name.prototype, name.selector);
        let source = SourceText { name: "twintalk test".to_owned(), text };
        let begin = compile(vec![source], &mut NoSources, &[kernel::image(), &self.image]).image;
        let begin = begin.ok_or_else(|| Failure::wrong(format!("{name} cannot be named in a program")))?;
        let program = Some(Program::new(self.image.clone()));
        // One thread: tests define what they run.
        let options = OpenOptions { program, threads: Some(1), ..OpenOptions::default() };
        let mut system = System::open(options)?;
        system.limit_program(Limits { fuel, ..Limits::default() });
        let mut output = Kept(String::new());
        let end = match system.run_image(&begin, &mut output) {
            Ok(_) => End::Passed,
            Err(SendError::Fault(fault)) => self.end_of(fault),
            Err(error) => return Err(Failure::from(error)),
        };
        Ok(Result { name: name.clone(), end, took: start.elapsed(), output: output.0 })
    }

    fn end_of(&self, fault: Fault) -> End {
        if fault.kind == "TestSkipped" {
            return End::Skipped(fault.text);
        }
        let is_own = |place: &str| self.files.iter().any(|file| place.starts_with(&format!("{file}:")));
        let place = fault.trace.iter().filter_map(|line| line.place.as_deref()).find(|place| is_own(place));
        let trouble = Trouble {
            place: place.map(str::to_owned),
            // What is below the test is how it was begun.
            trace: fault
                .trace
                .iter()
                .take_while(|line| !line.method.starts_with("TestCase>>runTest:"))
                .map(ToString::to_string)
                .collect(),
            kind: fault.kind,
            text: fault.text,
        };
        if trouble.kind == "AssertionFailure" { End::Failed(trouble) } else { End::Broke(trouble) }
    }
}

/// Keeps what a test shows, for the report.
struct Kept(String);

impl Output for Kept {
    fn print(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn fault(&mut self, report: &FaultReport) {
        if !self.0.is_empty() && !self.0.ends_with('\n') {
            self.0.push('\n');
        }
        self.0
            .push_str(&format!("`{}` to {}, from {}: {}\n", report.selector, report.path, report.sender, report.fault));
    }
}
