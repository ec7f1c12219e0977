//! `twintalk check-store`: whether every byte of a store is what was written.

use std::path::PathBuf;

use clap::Args;
use twintalk_runtime::datum::Datum;
use twintalk_runtime::{CheckReport, System, json};

use crate::console::Console;
use crate::exit::{Exit, Outcome};
use crate::state::number;
use crate::terminal::{count, say};

/// Read every byte of a store and say what is damaged
#[derive(Args)]
#[command(after_help = "Exit code 3 if anything is damaged. Runs no code; `twintalk verify` also runs the log again.")]
pub struct CheckStore {
    /// The folder of the store
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// Where the tables are damaged and the log is not, make them again from the log
    #[arg(long)]
    repair: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl CheckStore {
    /// Reads it.
    pub fn run(self) -> Outcome {
        let mut report = System::check_store(&self.store)?;
        if self.repair && !report.damage.is_empty() {
            report.damage.iter().for_each(|(place, reason)| say(&format!("{place}: {reason}")));
            if report.damage.iter().all(|(place, _)| place.is_in_table()) {
                System::rebuild_tables(&self.store)?;
                say("the tables were made again from the log");
                report = System::check_store(&self.store)?;
            } else {
                say("the log itself is damaged, so nothing was changed: restore a backup");
            }
        }
        self.show(&report);
        Ok(if report.damage.is_empty() { Exit::Done } else { Exit::Store })
    }

    fn show(&self, report: &CheckReport) {
        let CheckReport { blocks, records, rows, bytes, damage } = report;
        let mut console = Console::new();
        if self.json {
            let damage = damage.iter().map(|(place, reason)| {
                let row =
                    [("place", place.to_string()), ("reason", reason.to_string()), ("cure", place.cure().to_owned())];
                Datum::row(row.map(|(name, text)| (name, Datum::String(text))))
            });
            let damage = Datum::Array(damage.collect());
            let counts = [("blocks", *blocks), ("records", *records), ("rows", *rows), ("bytes", *bytes)];
            let counts = counts.into_iter().map(|(name, count)| (name, number(count)));
            console.line(&json::text(&Datum::row(counts.chain([("damage", damage)]))));
        } else {
            for (place, reason) in damage {
                console.line(&format!("{place}: {reason}; {}", place.cure()));
            }
            let found = match damage.len() {
                0 => "no damage".to_owned(),
                places => format!("damage in {}", count(places, "place")),
            };
            console.line(&format!("{records} records in {blocks} blocks, {rows} rows, {bytes} bytes: {found}"));
        }
        console.flush();
    }
}
