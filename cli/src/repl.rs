//! `twintalk repl`: a dialogue. An input is definitions and statements, and goes on over lines while a bracket is open.
//!
//! Each input is compiled against all before it, linked to the running program, and its statements run;
//! a variable that it assigns need not be declared. Definitions made here live as long as the dialogue.
//!
//! Words are completed by what the kernel, the program and earlier inputs define ([`names`]).
//!
//! Only this file names rustyline.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::{env, fs};

use clap::Args;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper};
use twintalk_bytecode::Image;
use twintalk_compiler::{Options, SourceText, compile_with};
use twintalk_runtime::{OpenOptions, SendError, System, kernel};

use crate::console::Console;
use crate::exit::{Exit, Failure, Outcome};
use crate::load;
use crate::sources::Files;
use crate::terminal::say;
use names::Names;

mod names;

const HELP: &str = "  3 + 4                      an expression, and what it answers
  x := 3                     a variable of the dialogue
  twin Tank = ( ... )        a definition; it goes on while a bracket is open
  :doc Tank                  what is said of a definition; also :doc Tank fill:, :doc fill:
  :type 3 / 4                the prototype of what an expression answers; it is done
  :help  :quit               this; the end (or Ctrl-D)";

/// Talk to TwinTalk
#[derive(Args)]
#[command(
    after_help = "An input goes on over lines while a bracket is open. :help tells more, :quit or Ctrl-D ends it."
)]
pub struct Repl {
    /// Programs to begin with
    files: Vec<PathBuf>,
    /// Talk to the twins of this store
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

impl Repl {
    /// Talks until the end of the input.
    pub fn run(self) -> Outcome {
        let (folders, files): (Vec<_>, Vec<_>) = self.files.into_iter().partition(|path| path.is_dir());
        let program = if files.is_empty() { None } else { Some(load::program(&files, &folders)?) };
        let images = program.iter().map(|program| program.image.clone()).collect();
        let system = System::open(OpenOptions { folder: self.store, program, ..OpenOptions::default() })?;
        let mut dialogue = Dialogue {
            system,
            console: Console::new(),
            images,
            sources: Files::new(folders),
            inputs: 0,
            failed: false,
        };
        if !files.is_empty() {
            let begun = dialogue.system.run_program(Vec::new(), None, &mut dialogue.console);
            dialogue.report(begun.map(|()| None))?;
        }
        if io::stdin().is_terminal() {
            dialogue.with_person()?
        } else {
            dialogue.with_pipe()?
        }
        let Dialogue { system, mut console, failed, .. } = dialogue;
        system.close(&mut console)?;
        console.flush();
        Ok(if failed { Exit::Wrong } else { Exit::Done })
    }
}

struct Dialogue {
    system: System,
    console: Console,
    /// What was linked so far, the program first.
    images: Vec<Image>,
    sources: Files,
    inputs: u32,
    /// Whether an input failed; only said at the end of a pipe.
    failed: bool,
}

impl Dialogue {
    fn with_person(&mut self) -> Result<(), Failure> {
        let config = Config::builder().completion_type(CompletionType::List).build();
        let mut editor: Editor<Person, DefaultHistory> =
            Editor::with_config(config).map_err(|error| Failure::wrong(format!("the terminal: {error}")))?;
        let mut person = Person::default();
        std::iter::once(kernel::image()).chain(&self.images).for_each(|image| person.names.add(image));
        editor.set_helper(Some(person));
        let history = history_file();
        if let Some(file) = &history {
            // There is none the first time.
            let _ = editor.load_history(file);
        }
        self.console.line(&format!("{}; :help tells what to type", crate::version::line()));
        loop {
            match editor.readline("> ") {
                Ok(input) => {
                    let _ = editor.add_history_entry(&*input);
                    let known = self.images.len();
                    if !self.input(&input)? {
                        break;
                    }
                    if let Some(person) = editor.helper_mut() {
                        self.images[known..].iter().for_each(|image| person.names.add(image));
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break,
                Err(error) => return Err(Failure::wrong(format!("the terminal: {error}"))),
            }
        }
        if let Some(file) = &history
            && file.parent().is_some_and(|folder| fs::create_dir_all(folder).is_ok())
            && let Err(error) = editor.save_history(file)
        {
            say(&format!("{}: {error}", file.display()));
        }
        self.failed = false;
        Ok(())
    }

    fn with_pipe(&mut self) -> Result<(), Failure> {
        let mut input = String::new();
        // Standard input is let go between lines: a statement may read from it too.
        while io::stdin().read_line(&mut input).map_err(|error| Failure::file(&"standard input", &error))? > 0 {
            if !input.ends_with('\n') {
                input.push('\n');
            }
            if is_open(&input) {
                continue;
            }
            if !self.input(&input)? {
                return Ok(());
            }
            input.clear();
        }
        self.input(&input)?;
        Ok(())
    }

    /// Takes one input; false at the end of the dialogue.
    fn input(&mut self, input: &str) -> Result<bool, Failure> {
        match input.trim() {
            "" => {}
            ":quit" | ":q" => return Ok(false),
            ":help" | ":h" => self.console.line(HELP),
            command if command.starts_with(':') => {
                let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
                match (word, rest.trim().trim_end_matches('.')) {
                    (":doc", "") => self.refuse(":doc needs a name: `:doc Tank`, `:doc Tank fill:` or `:doc fill:`"),
                    (":doc", what) => self.doc(what),
                    (":type", "") => self.refuse(":type needs an expression: `:type 3 / 4`"),
                    (":type", expression) => self.evaluate(&format!("({expression}) class"))?,
                    (_, _) => self.refuse(&format!("there is no `{command}`; :help tells what there is")),
                }
            }
            _ => self.evaluate(input)?,
        }
        self.console.flush();
        Ok(true)
    }

    fn refuse(&mut self, why: &str) {
        self.failed = true;
        self.console.complain(why);
    }

    fn doc(&mut self, what: &str) {
        let images: Vec<&Image> = std::iter::once(kernel::image()).chain(&self.images).collect();
        match names::doc(&images, what) {
            Some(text) => self.console.line(&text),
            None => self.refuse(&format!("nothing is known of `{what}`")),
        }
    }

    fn evaluate(&mut self, input: &str) -> Result<(), Failure> {
        self.inputs += 1;
        let source = SourceText { name: format!("input {}", self.inputs), text: input.to_owned() };
        let outer: Vec<&Image> = std::iter::once(kernel::image()).chain(&self.images).collect();
        let options = Options { declare_unknown_variables: true };
        let compilation = compile_with(vec![source], &mut self.sources, &outer, options);
        self.console.flush();
        load::report(&compilation);
        let Some(image) = compilation.image else {
            self.failed = true;
            return Ok(());
        };
        let has_statements = image.main.is_some();
        let answer = self.system.run_image(&image, &mut self.console);
        if !matches!(answer, Err(SendError::Argument(_))) {
            self.images.push(image);
        }
        self.report(answer.map(|answer| has_statements.then_some(answer)))
    }

    /// Shows an answer, or why there is none; a store that refuses ends the dialogue.
    fn report(&mut self, answer: Result<Option<String>, SendError>) -> Result<(), Failure> {
        match answer {
            Ok(Some(answer)) => self.console.line(&answer),
            Ok(None) => {}
            Err(error @ SendError::Store(_)) => return Err(Failure::from(error)),
            Err(error @ (SendError::Fault(_) | SendError::Argument(_))) => {
                self.failed = true;
                self.console.complain(&Failure::from(error).message);
            }
        }
        Ok(())
    }
}

/// Where earlier inputs are kept: `$XDG_STATE_HOME/twintalk/history`.
fn history_file() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")))?;
    Some(state.join("twintalk").join("history"))
}

/// Whether more lines belong to the input: a bracket, string or comment is open.
fn is_open(text: &str) -> bool {
    let mut depth = 0i64;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            // A doubled quote closes and opens again.
            quote @ ('\'' | '"') => {
                let closes = characters.any(|character| character == quote);
                if !closes {
                    return true;
                }
            }
            '$' => {
                characters.next();
            }
            _ => {}
        }
    }
    depth > 0
}

/// Who types: an input goes on while it is open, and words are completed.
#[derive(Default)]
struct Person {
    names: Names,
}

impl Validator for Person {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_open(context.input()) { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Completer for Person {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.names.complete(line, at))
    }
}

impl Hinter for Person {
    type Hint = String;
}

impl Highlighter for Person {}

impl Helper for Person {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_goes_on_while_something_is_open() {
        for open in ["(", "[ :x |", "twin A = (\n x = ( ^3 )", "'it''s", "\"a ) comment", "#(1 2", "{ 1. '}'"] {
            assert!(is_open(open), "{open}");
        }
        for closed in ["", "3 + 4", "(3)", "$( printNl", "'(' size", "\"(\" 3", ")", "twin A = (\n)", "'it''s'"] {
            assert!(!is_open(closed), "{closed}");
        }
    }
}
