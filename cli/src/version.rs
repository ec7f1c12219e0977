//! `twintalk version`.

use std::io::{self, Write};

use clap::Args;
use twintalk_bytecode::file::FORMAT_VERSION;
use twintalk_runtime::datum::Datum;
use twintalk_runtime::json;

use crate::exit::{Exit, Outcome};

/// Print the version, and the formats it writes
#[derive(Args)]
pub struct Version {
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Version {
    /// Prints it.
    pub fn run(self) -> Outcome {
        let mut out = io::stdout();
        if self.json {
            let row = Datum::row([
                ("version", Datum::from(env!("CARGO_PKG_VERSION"))),
                ("image_format", Datum::from(i64::from(FORMAT_VERSION))),
            ]);
            writeln!(out, "{}", json::text(&row))?;
        } else {
            writeln!(out, "{}", line())?;
        }
        Ok(Exit::Done)
    }
}

/// The version on one line.
pub fn line() -> String {
    format!("twintalk {} (image format {FORMAT_VERSION})", env!("CARGO_PKG_VERSION"))
}
