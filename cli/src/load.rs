//! From what the user named to an image: source files compiled, `.twb` files read and verified.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use twintalk_bytecode::{Image, file, verify};
use twintalk_compiler::{Compilation, SourceText, compile};
use twintalk_runtime::{Program, kernel};

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

/// As SOM starts a file without statements: `NAME new run`, or `NAME new run: Program arguments`.
fn start_of(path: &Path, image: &Image) -> Option<SourceText> {
    if image.main.is_some() || path.extension()? != "som" {
        return None;
    }
    let name = path.file_stem()?.to_str()?;
    let prototype = image.prototypes.iter().find(|prototype| image.name(prototype.name) == name)?;
    let selectors: Vec<&str> =
        prototype.instance.methods.iter().map(|method| image.name(image.method(*method).selector)).collect();
    let message = match () {
        () if selectors.contains(&"run:") => "run: Program arguments",
        () if selectors.contains(&"run") => "run",
        () => return None,
    };
    Some(SourceText { name: format!("start of {name}"), text: format!("{name} new {message}.") })
}

/// The program of one image, or of source files compiled together; the rest as [`image`].
///
/// # Errors
/// As [`image`]; or an image is not alone.
pub fn program(paths: &[PathBuf], folders: &[PathBuf]) -> Result<Program, Failure> {
    let is_image = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "twb");
    let image = match paths {
        [path] => {
            let image = image(path, folders)?;
            match start_of(path, &image) {
                None => image,
                Some(start) => {
                    let roots = vec![sources::root(path)?, start];
                    let started = compile(roots, &mut Files::new(folders.to_vec()), &[kernel::image()]).image;
                    started.ok_or_else(|| Failure::wrong(format!("{}: it cannot be started", path.display())))?
                }
            }
        }
        paths if paths.iter().any(is_image) => {
            return Err(Failure::usage("an image is a whole program: name it alone"));
        }
        paths => {
            let roots = paths.iter().map(|path| sources::root(path)).collect::<Result<Vec<_>, _>>()?;
            let compilation = compile(roots, &mut Files::new(folders.to_vec()), &[kernel::image()]);
            report(&compilation);
            compilation.image.ok_or_else(|| Failure::said(Exit::Wrong))?
        }
    };
    Ok(Program::new(image))
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
