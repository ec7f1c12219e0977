//! A folder of files, and the built program run in it as a user would.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A folder that removes itself.
pub struct Folder {
    folder: TempDir,
}

impl Folder {
    /// With these files: name, text.
    pub fn with(files: &[(&str, &str)]) -> Folder {
        let folder = Folder { folder: tempfile::tempdir().expect("a folder for the test") };
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("a folder for the file");
        fs::write(path, text).expect("a file for the test");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("the file is there")
    }

    /// `twintalk` with these words, in this folder. `NO_COLOR` and the like do not reach it.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_twintalk"));
        command.args(split(words)).current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["NO_COLOR", "TERM", "RUST_BACKTRACE"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs it and shows all that it said: standard output, then standard error's lines after `! `, then an
    /// exit code other than 0.
    pub fn run(&self, words: &str) -> String {
        shown(&self.command(words).output().expect("twintalk starts"))
    }

    /// The same, with `input` on standard input.
    pub fn run_with(&self, words: &str, input: &str) -> String {
        let mut child = self
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("twintalk starts");
        // It may have stopped reading; what it then says is the test's business.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        shown(&child.wait_with_output().expect("twintalk ends"))
    }
}

/// Words by spaces; what stands between single quotes is one word.
fn split(words: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (index, part) in words.split('\'').enumerate() {
        match index % 2 {
            0 => all.extend(part.split_whitespace().map(str::to_owned)),
            _ => all.push(part.to_owned()),
        }
    }
    all
}

fn shown(output: &Output) -> String {
    let mut shown = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        shown.push_str(format!("! {line}").trim_end());
        shown.push('\n');
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => writeln!(shown, "exit {code}").expect("a string grows"),
        None => writeln!(shown, "killed").expect("a string grows"),
    }
    shown
}
