//! `twintalk verify`: whether the log says what its programs do.

use clap::Args;
use twintalk_runtime::datum::Datum;
use twintalk_runtime::{System, json};

use crate::console::Console;
use crate::exit::{Exit, Outcome};
use crate::progress::Progress;
use crate::state::number;
use crate::store::Look;
use crate::terminal::count;

/// Run the log again, compare, and check every checksum
#[derive(Args)]
#[command(after_help = "Exit code 3 if anything differs. Without --rebuild-tables the store stays as it is.")]
pub struct Verify {
    #[command(flatten)]
    look: Look,
    /// First make all tables again from the log, as when one is damaged
    #[arg(long)]
    rebuild_tables: bool,
}

impl Verify {
    /// Verifies it.
    pub fn run(self) -> Outcome {
        if self.rebuild_tables {
            System::rebuild_tables(&self.look.store)?;
        }
        let mut system = self.look.open()?;
        let progress = Progress::start(None, "records");
        let report = system.verify(&mut |records| progress.at(records, || "records".to_owned()))?;
        drop(progress);
        let mut console = Console::new();
        if self.look.json {
            let differences = report.differences.iter().map(|line| Datum::from(&**line)).collect();
            console.line(&json::text(&Datum::row([
                ("records", number(report.records)),
                ("blocks", number(report.blocks)),
                ("bytes", number(report.bytes)),
                ("differences", Datum::Array(differences)),
            ])));
        } else {
            for difference in &report.differences {
                console.line(difference);
            }
            let found = match report.differences.len() {
                0 => "no difference".to_owned(),
                number => count(number, "difference"),
            };
            let (records, blocks) = (report.records, report.blocks);
            console.line(&format!("{records} records in {blocks} blocks, {} bytes: {found}", report.bytes));
        }
        console.flush();
        Ok(if report.differences.is_empty() { Exit::Done } else { Exit::Store })
    }
}
