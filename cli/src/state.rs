//! `twintalk state`: what a twin holds, now or then.

use std::io::{self, BufWriter, Write};

use clap::Args;
use twintalk_runtime::datum::Datum;
use twintalk_runtime::{Moment, TwinState, json, time};

use crate::exit::{Exit, Failure, Outcome};
use crate::store::{At, Look};

/// Print the slots of a twin, now or then
#[derive(Args)]
pub struct State {
    /// The twin
    path: String,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    look: Look,
}

impl State {
    /// Prints it.
    pub fn run(self) -> Outcome {
        let moment = self.at.moment();
        let mut system = self.look.open()?;
        if moment != Moment::Now {
            system.check_moment(&self.path, moment)?;
        }
        let Some(state) = system.state(&self.path, moment)? else {
            return Err(Failure::wrong(match moment {
                Moment::Now => format!("there is no twin {}", self.path),
                moment => system.absence(&self.path, moment)?,
            }));
        };
        let mut out = BufWriter::new(io::stdout());
        if self.look.json {
            writeln!(out, "{}", json::text(&row(state)))?;
        } else {
            let when = time::moment_text(state.time_ns);
            let quarantined = if state.quarantined { ", in quarantine" } else { "" };
            writeln!(out, "{} {}, turn {}, {when}{quarantined}", state.prototype, state.path, state.turn)?;
            let width = state.slots.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
            for (name, value) in &state.slots {
                writeln!(out, "  {name:width$}  {value}")?;
            }
        }
        out.flush()?;
        Ok(Exit::Done)
    }
}

/// A twin for a line of JSON.
pub fn row(state: TwinState) -> Datum {
    let slots = state.slots.into_iter().map(|(name, value)| (Datum::String(name), value)).collect();
    Datum::row([
        ("path", Datum::String(state.path)),
        ("prototype", Datum::String(state.prototype)),
        ("life", number(state.life)),
        ("rev", number(state.turn)),
        ("time", Datum::String(time::moment_text(state.time_ns))),
        ("position", Datum::String(state.position.to_string())),
        ("quarantined", Datum::Bool(state.quarantined)),
        ("slots", Datum::Dictionary(slots)),
    ])
}

/// A count as a datum.
pub fn number(number: u64) -> Datum {
    Datum::Int(number.into())
}
