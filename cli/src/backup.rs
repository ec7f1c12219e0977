//! `twintalk backup`: a copy of a store, taken while it runs.

use std::path::PathBuf;

use clap::Args;
use twintalk_runtime::System;

use crate::exit::{Exit, Outcome};
use crate::store::reach;
use crate::terminal::say;

/// Copy a store as it is now, also while a process runs it
#[derive(Args)]
#[command(after_help = "The copy is a store: every verb can look at it. Files that never change are shared by both \
    where they lie on one file system, so copy it to another disk to be safe from this one.")]
pub struct Backup {
    /// The folder of the copy: a new or an empty one
    to: PathBuf,
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
}

impl Backup {
    /// Copies it.
    pub fn run(self) -> Outcome {
        let ends = System::backup(&self.store, &self.to)?;
        say(&format!("`{}` has {}", self.to.display(), reach(&ends)));
        Ok(Exit::Done)
    }
}
