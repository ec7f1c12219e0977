//! From what the user named to an image: source files compiled, `.twb` files read and verified.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use twintalk_bytecode::{Image, file, verify};
use twintalk_compiler::{Compilation, compile};
use twintalk_runtime::kernel;

use crate::exit::{Exit, Failure};
use crate::render;
use crate::sources::{self, Files};
use crate::terminal::{colour_on_stderr, count};

/// The image in the file `path`, or compiled from it; capitalised names are sought in `folders` too.
/// Diagnostics go to standard error.
///
/// # Errors
/// The file cannot be read, the program has errors (all said then), or the image is damaged or harmful.
pub fn image(path: &Path, folders: &[PathBuf]) -> Result<Image, Failure> {
    if path.extension().is_some_and(|extension| extension == "twb") {
        return compiled(path);
    }
    let compilation = source(path, folders)?;
    report(&compilation);
    compilation.image.ok_or_else(|| Failure::said(Exit::Wrong))
}

/// Compiles the file `path` with all that it names.
///
/// # Errors
/// The file cannot be read.
pub fn source(path: &Path, folders: &[PathBuf]) -> Result<Compilation, Failure> {
    let root = sources::root(path)?;
    Ok(compile(vec![root], &mut Files::new(folders.to_vec()), &[kernel::image()]))
}

fn compiled(path: &Path) -> Result<Image, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::file(&path.display(), &error))?;
    let refused = |reason: &dyn std::fmt::Display| Failure::wrong(format!("{}: {reason}", path.display()));
    let image = file::decode(&bytes).map_err(|error| refused(&error))?;
    verify::verify(&image).map_err(|error| refused(&error))?;
    Ok(image)
}

/// Draws the diagnostics on standard error, and counts them below.
pub fn report(compilation: &Compilation) {
    let colour = colour_on_stderr();
    let mut pictures = String::new();
    for diagnostic in &compilation.diagnostics {
        pictures.push_str(&render::picture(diagnostic, &compilation.files, colour));
        pictures.push('\n');
    }
    let errors = compilation.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    if errors > 0 {
        pictures.push_str(&summary(errors, compilation.diagnostics.len() - errors));
    }
    // A closed standard error is no reason to stop.
    let _ = io::stderr().write_all(pictures.as_bytes());
}

/// `2 errors, 1 warning` as a line.
pub fn summary(errors: usize, warnings: usize) -> String {
    let counts = [(errors, "error"), (warnings, "warning")];
    let counts: Vec<String> =
        counts.into_iter().filter(|(number, _)| *number > 0).map(|(number, noun)| count(number, noun)).collect();
    format!("{}\n", counts.join(", "))
}
