//! `twintalk query`: a question to many twins, also beside the process that runs them.

use std::collections::BTreeSet;

use clap::Args;
use twintalk_compiler::{NoSources, Options, SourceText, compile_with};
use twintalk_runtime::{Reading, SendError, StoreError};

use crate::console::Console;
use crate::exit::{Exit, Failure, Outcome};
use crate::load;
use crate::store::Look;
use crate::terminal::{count, say};

/// Print what an expression answers about the twins of a store
#[derive(Args)]
#[command(
    after_help = "Such as `Tank where: [ :t | t level > 80 ]`, `Tank average: [ :t | t level ]` or `(Tank at: 'tank-1') \
    level`. Queries only: nothing is changed, no timer comes due, and a process that runs the store goes on beside it."
)]
pub struct Query {
    /// The expression
    expression: String,
    /// Say what was read, and by which indices
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    look: Look,
}

impl Query {
    /// Asks it.
    pub fn run(self) -> Outcome {
        let mut system = self.look.open()?;
        let images = system.images()?;
        let source = SourceText { name: "query".to_owned(), text: self.expression };
        let outer: Vec<_> = images.iter().collect();
        let compilation = compile_with(vec![source], &mut NoSources, &outer, Options::default());
        load::report(&compilation);
        let Some(image) = compilation.image else { return Err(Failure::said(Exit::Wrong)) };
        let mut console = Console::new();
        let shown = system.show_image(&image, self.look.json, &mut console);
        console.flush();
        shown.map_err(|error| match error {
            SendError::Store(StoreError::ReadOnly) => {
                Failure::wrong("this would change a twin; a query only asks: `twintalk send` and `run` change twins")
            }
            error => Failure::from(error),
        })?;
        if self.explain {
            say(&explained(&system.take_reading()));
        }
        Ok(Exit::Done)
    }
}

/// What was read, in words.
fn explained(reading: &Reading) -> String {
    let Reading { rows, twins, indices, scanned } = reading;
    let list = |names: &BTreeSet<String>| names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut text = format!("{} read, {} asked", count(*rows as usize, "row"), count(*twins as usize, "twin"));
    if !indices.is_empty() {
        text += &format!("; by the index of {}", list(indices));
    }
    if !scanned.is_empty() {
        text += &format!("; without an index: all of {}", list(scanned));
    }
    text
}
