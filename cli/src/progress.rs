//! How far long work is, for a person at a terminal; silent everywhere else.
//!
//! Only this file names indicatif.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal::{colour_on_stderr, person_on_stderr};

/// A bar on standard error, or nothing.
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Nothing to show.
    pub fn none() -> Progress {
        Progress { bar: None }
    }

    /// Starts. `total` is in `unit`s: `bytes`, or what is counted; none where nobody knows the end.
    pub fn start(total: Option<u64>, unit: &str) -> Progress {
        if !person_on_stderr() {
            return Progress { bar: None };
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
        let figures = if unit == "bytes" { "{bytes}/{total_bytes}" } else { "{human_pos}/{human_len}" };
        let template = match total {
            Some(_) => format!("{{bar:30}} {{percent:>3}}% {figures} {{msg}} {{elapsed}}, {{eta}} left"),
            None => "{spinner} {human_pos} {msg} {elapsed}".to_owned(),
        };
        let style = ProgressStyle::with_template(&template).expect("the templates above are templates");
        bar.set_style(if colour_on_stderr() { style } else { style.progress_chars("=> ") });
        Progress { bar: Some(bar) }
    }

    /// It has come so far.
    pub fn at(&self, position: u64, message: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
            bar.set_message(message());
        }
    }

    /// Runs `print` while the bar is out of the way.
    pub fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
