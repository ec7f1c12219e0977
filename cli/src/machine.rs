//! What programs are given of the machine: standard input and error, files, an exit code.
//!
//! Texts are UTF-8, and what is not is refused rather than mended. A text longer than a limit is refused before it fills the memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};

use twintalk_runtime::{Given, Request};

use crate::exit::reason;

/// The longest text that is read at once.
const TEXT_BYTES_MAX: u64 = 256 << 20;

/// Does what a program asks for, and answers what came of it.
///
/// # Errors
/// What was sought, and why it cannot be had.
pub fn answer(request: &Request, exit_code: &mut u8) -> Result<Given, String> {
    match request {
        Request::ReadLine => line(&mut io::stdin().lock()),
        Request::ReadRest => text("standard input", &mut io::stdin().lock()).map(Given::Text),
        Request::ShowError(text) => {
            // A closed standard error is none of the program's business.
            let _ = io::stderr().write_all(text.as_bytes());
            Ok(Given::Nothing)
        }
        Request::ReadFile(path) => {
            let mut file = File::open(path).map_err(|error| wrong(path, &error))?;
            text(path, &mut file).map(Given::Text)
        }
        Request::WriteFile { path, text } => done(path, fs::write(path, text)),
        Request::AppendFile { path, text } => {
            let file = OpenOptions::new().append(true).create(true).open(path);
            done(path, file.and_then(|mut file| file.write_all(text.as_bytes())))
        }
        Request::FileKind(path) => match fs::metadata(path) {
            Ok(found) if found.is_file() => Ok(Given::Text("file".to_owned())),
            Ok(found) if found.is_dir() => Ok(Given::Text("folder".to_owned())),
            Ok(_) => Ok(Given::Text("other".to_owned())),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(Given::Nothing)
            }
            Err(error) => Err(wrong(path, &error)),
        },
        Request::DeleteFile(path) => {
            // A link to a folder is removed as a link.
            let found = fs::symlink_metadata(path).map_err(|error| wrong(path, &error))?;
            done(path, if found.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) })
        }
        Request::ListFolder(path) => {
            let mut names = Vec::new();
            for entry in fs::read_dir(path).map_err(|error| wrong(path, &error))? {
                let entry = entry.map_err(|error| wrong(path, &error))?;
                let name = entry.file_name().into_string();
                names.push(name.map_err(|name| format!("{path}: the name {name:?} in it is no text in UTF-8"))?);
            }
            names.sort();
            Ok(Given::Names(names))
        }
        Request::SetExitCode(code) => {
            *exit_code = *code;
            Ok(Given::Nothing)
        }
    }
}

fn done(path: &str, result: io::Result<()>) -> Result<Given, String> {
    result.map(|()| Given::Nothing).map_err(|error| wrong(path, &error))
}

fn wrong(path: &str, error: &io::Error) -> String {
    format!("{path}: {}", reason(error))
}

fn decoded(name: &str, bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() as u64 > TEXT_BYTES_MAX {
        return Err(format!("{name}: more than {} MiB are not read at once", TEXT_BYTES_MAX >> 20));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("{name}: no text in UTF-8: byte {} is wrong", error.utf8_error().valid_up_to() + 1))
}

fn text(name: &str, from: &mut dyn Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    from.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| wrong(name, &error))?;
    decoded(name, bytes)
}

/// The next line without its end: `\n`, or `\r\n`.
fn line(from: &mut dyn BufRead) -> Result<Given, String> {
    let name = "standard input";
    let mut bytes = Vec::new();
    from.take(TEXT_BYTES_MAX + 1).read_until(b'\n', &mut bytes).map_err(|error| wrong(name, &error))?;
    if bytes.is_empty() {
        return Ok(Given::Nothing);
    }
    let mut line = decoded(name, bytes)?;
    if line.ends_with('\n') {
        line.pop();
        if line.ends_with('\r') {
            line.pop();
        }
    }
    Ok(Given::Text(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_with_either_end_and_the_last_needs_none() {
        let mut input: &[u8] = "one\r\n\ntw\u{f6}".as_bytes();
        let mut lines = Vec::new();
        while let Ok(Given::Text(read)) = line(&mut input) {
            lines.push(read);
        }
        assert_eq!(lines, ["one", "", "tw\u{f6}"]);
        assert_eq!(line(&mut input), Ok(Given::Nothing));
    }

    #[test]
    fn what_is_no_text_is_refused_with_the_byte() {
        assert_eq!(text("x", &mut &b"ab\xff"[..]), Err("x: no text in UTF-8: byte 3 is wrong".to_owned()));
    }
}
