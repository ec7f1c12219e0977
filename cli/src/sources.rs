//! Where source texts come from: files, and folders in which capitalised names are sought.
//!
//! A file is named as the user would reach it from where they stand: the path they gave, with `.` and
//! `..` resolved by text alone, and imports relative to the file that imports. So diagnostics can be
//! clicked, images hold no more of the machine than the user wrote, and one file has one name.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use twintalk_compiler::{SourceText, Sources};

use crate::exit::{Failure, reason};

/// The ends of the names of source files; where both are there, the first is taken.
pub const EXTENSIONS: [&str; 2] = ["twin", "som"];

/// Files beside the file that asks, then in `folders`.
#[derive(Clone, Debug, Default)]
pub struct Files {
    folders: Vec<PathBuf>,
}

impl Files {
    /// Capitalised names are sought in `folders` too, in this order, after the folder of the file that names them.
    pub fn new(folders: Vec<PathBuf>) -> Files {
        Files { folders }
    }
}

impl Sources for Files {
    fn import(&mut self, from: &str, path: &str) -> Result<SourceText, String> {
        let folder = Path::new(from).parent().unwrap_or(Path::new(""));
        let path = folder.join(path);
        read(&path).map_err(|error| reason(&error))
    }

    fn find(&mut self, from: &str, name: &str) -> Option<SourceText> {
        let beside = Path::new(from).parent().map(Path::to_owned);
        for folder in beside.iter().chain(&self.folders) {
            for extension in EXTENSIONS {
                let path = folder.join(format!("{name}.{extension}"));
                if path.is_file() {
                    return read(&path).ok();
                }
            }
        }
        None
    }
}

/// The text of a file that the user named; `-` is standard input.
///
/// # Errors
/// It cannot be read, or is no text.
pub fn root(path: &Path) -> Result<SourceText, Failure> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map_err(|error| Failure::file(&"standard input", &error))?;
        let text = text_of(bytes).map_err(|error| Failure::file(&"standard input", &error))?;
        return Ok(SourceText { name: "standard input".to_owned(), text });
    }
    read(path).map_err(|error| Failure::file(&path.display(), &error))
}

/// The source files in `folder` and below, sorted; hidden files and folders are passed over.
///
/// # Errors
/// A folder that cannot be listed.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let wrong = |error: io::Error| Failure::file(&folder.display(), &error);
        for entry in fs::read_dir(&folder).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let path = entry.path();
            // `file_type` does not follow links, so a link to a folder above cannot lead round and round.
            let is_folder = entry.file_type().map_err(wrong)?.is_dir();
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            } else if is_folder {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known)) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The file that a program begins with, and where else capitalised names are sought: `file` itself, or the one that its folder
/// is run by.
///
/// # Errors
/// One of `folders` is none, or the folder has no such file.
pub fn of_program(file: PathBuf, mut folders: Vec<PathBuf>) -> Result<(PathBuf, Vec<PathBuf>), Failure> {
    if let Some(other) = folders.iter().find(|folder| !folder.is_dir()) {
        let other = other.display();
        return Err(Failure::usage(format!("{other} is no folder; what the program is to be given stands behind --")));
    }
    if !file.is_dir() {
        return Ok((file, folders));
    }
    let main = main_of(&file)?;
    folders.insert(0, file);
    Ok((main, folders))
}

/// The file of `folder` that `run` runs: `main.twin` or `main.som`.
///
/// # Errors
/// There is none.
fn main_of(folder: &Path) -> Result<PathBuf, Failure> {
    let candidates = EXTENSIONS.map(|extension| folder.join(format!("main.{extension}")));
    let found = candidates.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| Failure::wrong(format!("{}: there is no main.twin or main.som", folder.display())))
}

/// The name of the file that `from` imports as `path`.
pub fn beside(from: &str, path: &str) -> String {
    let folder = Path::new(from).parent().unwrap_or(Path::new(""));
    tidy(&folder.join(path)).to_string_lossy().into_owned()
}

fn read(path: &Path) -> io::Result<SourceText> {
    let path = tidy(path);
    let text = text_of(fs::read(&path)?)?;
    Ok(SourceText { name: path.to_string_lossy().into_owned(), text })
}

fn text_of(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::new(io::ErrorKind::InvalidData, format!("line {line} is not UTF-8 text"))
    })
}

/// `path` without `.`, and without `..` behind a name.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(tidied.components().next_back(), Some(Component::Normal(_))) => {
                tidied.pop();
            }
            Component::ParentDir | Component::Normal(_) | Component::RootDir | Component::Prefix(_) => {
                tidied.push(part)
            }
        }
    }
    if tidied.as_os_str().is_empty() { PathBuf::from(".") } else { tidied }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_name() {
        for (given, tidied) in [
            ("a.twin", "a.twin"),
            ("./a.twin", "a.twin"),
            ("plant/../a.twin", "a.twin"),
            ("plant/./lib/../a.twin", "plant/a.twin"),
            ("../a.twin", "../a.twin"),
            ("../../x/../a.twin", "../../a.twin"),
            ("/x/../a.twin", "/a.twin"),
            (".", "."),
        ] {
            assert_eq!(tidy(Path::new(given)), Path::new(tidied), "{given}");
        }
    }
}
