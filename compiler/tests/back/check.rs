//! What all tests here know of the API.

use expect_test::Expect;
use twintalk_bytecode::disasm::{CodeListing, ImageListing};
use twintalk_bytecode::verify::verify;
use twintalk_compiler::diagnostic::{Diagnostic, Severity};
use twintalk_compiler::{Compilation, NoSources, SourceText, compile};

/// A text that stands alone, called `test.twin`, compiled without a kernel.
pub fn compile_text(text: &str) -> Compilation {
    let root = SourceText { name: "test.twin".to_owned(), text: text.to_owned() };
    compile(vec![root], &mut NoSources, &[])
}

/// Line and column of a byte, both from 1; columns count characters.
fn position(text: &str, offset: u32) -> (usize, usize) {
    let before = text.get(..offset as usize).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// A diagnostic in plain words: place, severity, code and message, then labels and help.
pub fn rendered(diagnostic: &Diagnostic, files: &[SourceText]) -> String {
    let place = |file: u16, offset: u32| {
        let source = &files[usize::from(file)];
        let (line, column) = position(&source.text, offset);
        format!("{}:{line}:{column}", source.name)
    };
    let severity = match diagnostic.code.severity() {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let at = place(diagnostic.file, diagnostic.span.start);
    let mut text = format!("{at}: {severity}[{}]: {}\n", diagnostic.code.name(), diagnostic.message);
    for label in &diagnostic.labels {
        text += &format!("  {}: {}\n", place(label.file, label.span.start), label.text);
    }
    if let Some(help) = &diagnostic.help {
        text += &format!("  help: {help}\n");
    }
    text
}

/// All diagnostics of a compilation.
pub fn all_rendered(compilation: &Compilation) -> String {
    compilation.diagnostics.iter().map(|diagnostic| rendered(diagnostic, &compilation.files)).collect()
}

/// Compares the instructions of all methods of `text` with a listing, without headings where
/// there is one code only.
pub fn check_bytecode(text: &str, expected: Expect) {
    let compilation = compile_text(text);
    let Some(image) = &compilation.image else {
        panic!("no image:\n{}", all_rendered(&compilation));
    };
    verify(image).expect("what is compiled passes the verifier");
    let listing = ImageListing::of(image);
    let codes: Vec<(String, &CodeListing)> = listing
        .methods
        .iter()
        .flat_map(|method| {
            let owner = method.owner.clone().map_or(String::new(), |owner| format!("{owner}>>"));
            let heading = format!("{owner}{}", method.selector);
            method.codes.iter().flatten().map(move |code| (heading.clone(), code))
        })
        .collect();
    let mut shown = String::new();
    for (heading, code) in &codes {
        match code.number {
            _ if codes.len() == 1 => {}
            0 => shown += &format!("{heading}\n"),
            number => {
                let captures: Vec<String> = code.captures.iter().map(|register| format!(" r{register}")).collect();
                let of = if captures.is_empty() { "" } else { ", captures" };
                shown += &format!("code{number}{of}{}\n", captures.concat());
            }
        }
        for line in &code.lines {
            shown += &format!("{line}\n");
        }
    }
    expected.assert_eq(&shown);
}
