//! TwinTalk source text to bytecode image: a pure function, without files, clock or running code.
#![forbid(unsafe_code)]

mod annotation;
mod assemble;
pub mod ast;
mod define;
pub mod diagnostic;
mod emit;
mod flow;
pub mod format;
mod inline;
mod lexer;
mod literals;
mod loader;
mod names;
mod outer;
pub mod parser;
mod program;
mod registers;
mod resolve;
mod supervision;
mod tree;

use bumpalo::Bump;
use twintalk_bytecode::Image;
use twintalk_bytecode::verify::verify;

use diagnostic::Diagnostic;
use loader::Files;
use outer::Outer;
use program::Program;

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

/// What a compilation may do beyond what the language says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Statements at top level may assign variables that nothing declares, and so declare them: for
    /// a dialogue, where `x := 3` needs no ceremony.
    pub declare_unknown_variables: bool,
}

/// Compiles `roots` and all that they import or name into one image.
///
/// `outer`: images whose definitions and program variables can be named, the kernel first; later
/// ones hide earlier ones. Empty while the kernel itself is compiled. The same input gives the
/// same image, to the byte.
pub fn compile(roots: Vec<SourceText>, sources: &mut dyn Sources, outer: &[&Image]) -> Compilation {
    compile_with(roots, sources, outer, Options::default())
}

/// As [`compile`], with options.
pub fn compile_with(
    roots: Vec<SourceText>,
    sources: &mut dyn Sources,
    outer: &[&Image],
    options: Options,
) -> Compilation {
    let arena = Bump::new();
    let mut diagnostics = Vec::new();
    let outer = Outer::new(outer);
    let files = loader::load(&arena, roots, sources, &outer, &mut diagnostics);
    let mut program = Program::new(&files, &outer, &mut diagnostics);
    if options.declare_unknown_variables {
        declare_assigned(&files, &mut program);
    }
    let image = define::define(&arena, &files, &program, &mut diagnostics);
    // Stable, so that what was found first at one place comes first.
    diagnostics.sort_by_key(|diagnostic| (diagnostic.file, diagnostic.span.start, diagnostic.span.end));
    let has_errors = diagnostics.iter().any(Diagnostic::is_error);
    if !has_errors {
        debug_assert_eq!(verify(&image), Ok(()), "what is compiled passes the verifier");
    }
    Compilation { image: (!has_errors).then_some(image), diagnostics, files: files.sources }
}

/// Declares the variables that statements of the roots assign and that mean nothing else.
fn declare_assigned<'a>(files: &Files<'a>, program: &mut Program<'a, '_>) {
    for file in &files.loaded[..files.root_count] {
        for item in file.tree.items {
            let ast::Item::Statement(ast::Statement::Expression(mut expression)) = *item else {
                continue;
            };
            while let ast::ExpressionKind::Assign { name, value } = expression.kind {
                let is_free = program.find(name.text).is_none() && !inline::is_reserved(name.text);
                if is_free {
                    program.declare_variable(name.text);
                }
                expression = *value;
            }
        }
    }
}
