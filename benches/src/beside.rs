//! The compiler, and the start of the program.

use std::path::PathBuf;
use std::process::Command;

use twintalk_bytecode::verify::verify;
use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_runtime::kernel;

use crate::measure::{Figure, Scale, Target, busy_seconds, wall_seconds};
use crate::repository;

/// Source text to verified image.
pub fn compiler(scale: Scale) -> Vec<Figure> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(repository().join("kernel"))
        .expect("the class library")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "twin"))
        .collect();
    files.sort();
    let library: Vec<SourceText> = files
        .iter()
        .map(|path| SourceText {
            name: path.to_string_lossy().into_owned(),
            text: std::fs::read_to_string(path).expect("a source"),
        })
        .collect();
    let dense = vec![SourceText { name: "dense.twin".to_owned(), text: dense_text(scale.of(2_000)) }];
    let speed = |roots: &[SourceText], outer: &[&twintalk_bytecode::Image]| {
        let megabytes = roots.iter().map(|root| root.text.len()).sum::<usize>() as f64 / 1e6;
        let rounds = (0..=scale.rounds()).map(|_| {
            let mut texts = roots.to_vec();
            let seconds = busy_seconds(&mut || {
                let image = compile(std::mem::take(&mut texts), &mut NoSources, outer).image.expect("no error in it");
                verify(&image).expect("it verifies");
            });
            megabytes / seconds
        });
        rounds.skip(1).collect()
    };
    vec![
        Figure::new(
            "compile the class library, with its comments",
            "MB/s",
            Target::AtLeast(20.0),
            speed(&library, &[]),
        ),
        Figure::new(
            "compile definitions without comments",
            "MB/s",
            Target::AtLeast(20.0),
            speed(&dense, &[kernel::image()]),
        ),
    ]
}

/// Code of the common kind, and no comments.
fn dense_text(definitions: u64) -> String {
    let mut text = String::new();
    for nth in 0..definitions {
        text.push_str(&format!(
            "twin Tank{nth} = (\n  | level <- 0. capacity <- 100. alarms <- 0. lately <- List new. |\n  \
             fill: amount = (\n    amount < 0 ifTrue: [ ^self error: 'nothing comes out of a filler' ].\n    \
             level := level + amount min: capacity.\n    lately add: level. lately size > 10 ifTrue: [ lately \
             removeFirst ].\n    level > (capacity * 9 // 10) ifTrue: [ alarms := alarms + 1. (Tank{nth} at: 'spare') ! \
             fill: amount // 2 ].\n    ^level )\n  query free = ( ^capacity - level )\n  query mean = ( ^(lately inject: 0 \
             into: [ :sum :each | sum + each ]) / (lately size max: 1) )\n)\n"
        ));
    }
    text
}

/// The program `twintalk`, from start to end.
pub fn cold_start(scale: Scale) -> Vec<Figure> {
    let program = std::env::current_exe().expect("this program").with_file_name("twintalk");
    if !program.exists() {
        eprintln!("cold start is left out: there is no twintalk beside this program (cargo build -p twintalk-cli)");
        return Vec::new();
    }
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("small.twin");
    let text = "twin Tank = ( | level <- 0. | fill: n = ( level := level + n. ^level ) )\n((Tank ensure: 'a') fill: 3) displayNl.\n";
    std::fs::write(&source, text).expect("written");
    let measure = |arguments: &[&str], wanted: &str| {
        let rounds = (0..=scale.rounds() * 3).map(|_| {
            1e3 * wall_seconds(&mut || {
                let output = Command::new(&program).args(arguments).output().expect("it starts");
                assert!(String::from_utf8_lossy(&output.stdout).starts_with(wanted), "{output:?}");
            })
        });
        rounds.skip(1).collect()
    };
    let source = source.to_string_lossy();
    vec![
        Figure::new(
            "cold start of a small program, source to answer",
            "ms",
            Target::AtMost(10.0),
            measure(&["run", &source], "3\n"),
        ),
        Figure::new("the program's start alone: twintalk --version", "ms", Target::None, measure(&["--version"], "")),
    ]
}
