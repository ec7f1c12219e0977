//! `twintalk query`: a question to many twins, also beside the process that runs them.

use clap::Args;
use twintalk_compiler::{NoSources, Options, SourceText, compile_with};
use twintalk_runtime::{SendError, StoreError};

use crate::console::Console;
use crate::exit::{Exit, Failure, Outcome};
use crate::load;
use crate::store::Look;

/// Print what an expression answers about the twins of a store
#[derive(Args)]
#[command(
    after_help = "Such as `Tank where: [ :t | t level > 80 ]`, `Tank average: [ :t | t level ]` or `(Tank at: 'tank-1') \
    level`. Queries only: nothing is changed, no timer comes due, and a process that runs the store goes on beside it."
)]
pub struct Query {
    /// The expression
    expression: String,
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
        Ok(Exit::Done)
    }
}
