//! `twintalk twins`: who is there.

use std::io::{self, BufWriter, Write};

use clap::Args;
use twintalk_runtime::datum::Datum;
use twintalk_runtime::json;

use crate::exit::{Exit, Outcome};
use crate::store::Look;

/// List twins by path and prototype
#[derive(Args)]
pub struct Twins {
    /// Only those whose path starts so
    prefix: Option<String>,
    #[command(flatten)]
    look: Look,
}

impl Twins {
    /// Lists them.
    pub fn run(self) -> Outcome {
        let twins = self.look.open()?.twins(self.prefix.as_deref().unwrap_or(""))?;
        let width = twins.iter().map(|twin| twin.path.chars().count()).max().unwrap_or(0);
        let mut out = BufWriter::new(io::stdout());
        for twin in twins {
            if self.look.json {
                let row = [
                    ("path", Datum::from(&*twin.path)),
                    ("prototype", Datum::from(&*twin.prototype)),
                    ("quarantined", Datum::Bool(twin.quarantined)),
                ];
                writeln!(out, "{}", json::text(&Datum::row(row)))?;
            } else {
                let quarantined = if twin.quarantined { "  in quarantine" } else { "" };
                writeln!(out, "{:width$}  {}{quarantined}", twin.path, twin.prototype)?;
            }
        }
        out.flush()?;
        Ok(Exit::Done)
    }
}
