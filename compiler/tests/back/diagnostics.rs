//! A golden file for each code: `tests/diagnostics/CODE.twin`, and what is said of it in `CODE.txt`.
//!
//! `UPDATE_EXPECT=1` writes the texts anew.

use std::path::{Path, PathBuf};

use expect_test::expect_file;
use twintalk_compiler::diagnostic::Code;
use twintalk_compiler::{SourceText, Sources, compile};

use crate::check::all_rendered;
use crate::kernel::kernel_image;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics")
}

/// The files of the folder, by their names.
struct Folder;

impl Folder {
    fn read(name: &str) -> Option<SourceText> {
        let text = std::fs::read_to_string(folder().join(name)).ok()?;
        Some(SourceText { name: name.to_owned(), text })
    }
}

impl Sources for Folder {
    fn import(&mut self, _from: &str, path: &str) -> Result<SourceText, String> {
        Folder::read(path).ok_or_else(|| "no such file".to_owned())
    }

    fn find(&mut self, _from: &str, _name: &str) -> Option<SourceText> {
        None
    }
}

#[test]
fn every_code_has_a_program_that_earns_it() {
    for code in Code::ALL {
        let name = code.name();
        let Some(source) = Folder::read(&format!("{name}.twin")) else {
            panic!("`{name}` has no golden file");
        };
        let compilation = compile(vec![source], &mut Folder, &[kernel_image()]);
        let earned = compilation.diagnostics.iter().any(|diagnostic| diagnostic.code == *code);
        let shown = all_rendered(&compilation);
        assert!(earned, "`{name}.twin` does not earn `{name}`:\n{shown}");
        expect_file![folder().join(format!("{name}.txt"))].assert_eq(&shown);
    }
}

#[test]
fn an_error_withholds_the_image_and_a_warning_does_not() {
    for (text, has_image) in [("| a | a := b.", false), ("Gauge = ( a = ( | b | ) )", true)] {
        let source = SourceText { name: "test.twin".to_owned(), text: text.to_owned() };
        let compilation = compile(vec![source], &mut Folder, &[kernel_image()]);
        assert_eq!(compilation.diagnostics.len(), 1);
        assert_eq!(compilation.image.is_some(), has_image);
    }
}
