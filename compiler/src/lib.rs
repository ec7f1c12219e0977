//! TwinTalk source text to bytecode image: a pure function, without files, clock or running code.
#![forbid(unsafe_code)]

pub mod ast;
pub mod diagnostic;
mod lexer;
pub mod parser;

use diagnostic::Diagnostic;
use twintalk_bytecode::Image;

/// Where texts come from: the compiler itself opens no files.
pub trait Sources {
    /// `import 'path'` in the file named `from`: the canonical name and text.
    ///
    /// # Errors
    /// Why the file cannot be read, for the diagnostic `import-missing`.
    fn import(&mut self, from: &str, path: &str) -> Result<SourceText, String>;

    /// An unknown capitalised name: sought as NAME.twin, then NAME.som beside the file `from`.
    fn find(&mut self, from: &str, name: &str) -> Option<SourceText>;
}

/// A source text by its canonical name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceText {
    /// What diagnostics and faults call it, and what tells it from others.
    pub name: String,
    /// What it says.
    pub text: String,
}

/// What became of a compilation.
#[derive(Clone, Debug)]
pub struct Compilation {
    /// The image, if no diagnostic is an error.
    pub image: Option<Image>,
    /// By file, then by place.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read; diagnostics name them by their number here.
    pub files: Vec<SourceText>,
}

/// [`Sources`] that find nothing: for texts that stand alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSources;

impl Sources for NoSources {
    fn import(&mut self, _from: &str, _path: &str) -> Result<SourceText, String> {
        Err("there are no other files here".to_owned())
    }

    fn find(&mut self, _from: &str, _name: &str) -> Option<SourceText> {
        None
    }
}

/// Compiles `roots` and all that they import or name into one image.
///
/// `outer`: images whose definitions and program variables can be named, the kernel first; later
/// ones hide earlier ones. Empty while the kernel itself is compiled.
pub fn compile(roots: Vec<SourceText>, _sources: &mut dyn Sources, _outer: &[&Image]) -> Compilation {
    Compilation { image: None, diagnostics: Vec::new(), files: roots }
}
