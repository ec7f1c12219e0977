//! What is on the other side: a person at a terminal, or a file or pipe.
//!
//! Colour and progress are for a person only. `NO_COLOR` (any text, <https://no-color.org>) and
//! `TERM=dumb` turn colour off.

use std::env;
use std::io::{self, IsTerminal, Write};

/// Whether standard error takes colour.
pub fn colour_on_stderr() -> bool {
    io::stderr().is_terminal() && may_colour()
}

fn may_colour() -> bool {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Whether standard output takes colour.
pub fn colour_on_stdout() -> bool {
    io::stdout().is_terminal() && may_colour()
}

/// Whether a person reads standard error.
pub fn person_on_stderr() -> bool {
    io::stderr().is_terminal()
}

/// One line on standard error, with the program's name before it. A closed standard error is none of our business.
pub fn say(message: &str) {
    let _ = writeln!(io::stderr(), "twintalk: {message}");
}

/// A number with its noun: `1 error`, `2 errors`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
