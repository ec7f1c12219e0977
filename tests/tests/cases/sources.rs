//! The files of a case as the compiler asks for them, named relative to the case's folder.

use std::fs;
use std::path::{Component, Path, PathBuf};

use twintalk_compiler::{SourceText, Sources};

/// Reads files below a folder.
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// What lies in the folder of the file `path`, and that file as the compiler is to know it.
    pub fn beside(path: &Path) -> (Files, String) {
        let name = path.file_name().expect("a case is a file").to_string_lossy().into_owned();
        (Files { folder: path.parent().expect("a case lies in a folder").to_owned() }, name)
    }

    fn read(&self, from: &str, path: &str) -> Result<SourceText, String> {
        let beside = Path::new(from).parent().unwrap_or(Path::new("")).join(path);
        let mut name = PathBuf::new();
        for part in beside.components() {
            match part {
                Component::ParentDir => {
                    name.pop();
                }
                Component::Normal(part) => name.push(part),
                Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
            }
        }
        let text = fs::read_to_string(self.folder.join(&name)).map_err(|error| error.to_string())?;
        Ok(SourceText { name: name.to_string_lossy().into_owned(), text })
    }
}

impl Sources for Files {
    fn import(&mut self, from: &str, path: &str) -> Result<SourceText, String> {
        self.read(from, path)
    }

    fn find(&mut self, from: &str, name: &str) -> Option<SourceText> {
        ["twin", "som"].iter().find_map(|extension| self.read(from, &format!("{name}.{extension}")).ok())
    }
}
