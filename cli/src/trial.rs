//! `twintalk run --upgrade --dry-run`: what new definitions would do to the twins of a store.

use std::path::Path;

use twintalk_runtime::{Change, Datum, Difference, OpenOptions, Program, System, TrialStep, json};

use crate::console::Console;
use crate::exit::{Exit, Outcome};
use crate::progress::Progress;
use crate::terminal::count;

/// Tries `program` on every twin of the store in `folder`, also beside the process that runs it.
pub fn run(folder: &Path, program: &Program, as_json: bool) -> Outcome {
    let options = OpenOptions { folder: Some(folder.to_owned()), read_only: true, ..OpenOptions::default() };
    let mut system = System::open(options)?;
    let mut console = Console::new();
    let mut progress = Progress::none();
    let trial = system.try_program(program, &mut |step| match step {
        TrialStep::Twins(done, total) => {
            if done == 1 {
                progress = Progress::start(Some(total), "twins");
            }
            progress.at(done, || "twins".to_owned());
        }
        TrialStep::Fault { path, prototype, fault } => progress.aside(|| {
            if as_json {
                let row = [
                    ("path", Datum::from(path)),
                    ("prototype", Datum::from(prototype)),
                    ("fault", Datum::from(&*fault.kind)),
                    ("text", Datum::from(&*fault.text)),
                ];
                console.line(&json::text(&Datum::row(row)));
            } else {
                console.complain(&format!("{path}: {fault}"));
            }
        }),
    })?;
    drop(progress);
    if as_json {
        trial.difference.iter().for_each(|difference| console.line(&json::text(&row_of(difference))));
        for (name, tried) in &trial.prototypes {
            let number = |count: u64| Datum::Int(count.into());
            let row = [
                ("prototype", Datum::from(&**name)),
                ("twins", number(tried.twins)),
                ("carried", number(tried.carried)),
                ("failed", number(tried.failed)),
            ];
            console.line(&json::text(&Datum::row(row)));
        }
        if let Some(refused) = &trial.refused {
            console.line(&json::text(&Datum::row([("refused", Datum::from(&**refused))])));
        }
    } else {
        trial.difference.iter().for_each(|difference| console.line(&difference.to_string()));
        for (name, tried) in &trial.prototypes {
            let mut line = format!("{name}: {}, {} carried over", count(tried.twins as usize, "twin"), tried.carried);
            if tried.failed > 0 {
                line.push_str(&format!(", {} cannot go on", tried.failed));
            }
            console.line(&line);
        }
        if let Some(refused) = &trial.refused {
            console.complain(refused);
        }
    }
    console.flush();
    Ok(if trial.succeeds() { Exit::Done } else { Exit::Wrong })
}

/// Says which twins have lost their definition in an upgrade.
pub fn report_orphans(system: &System, console: &mut Console) {
    for orphans in system.orphans() {
        console.complain(&format!(
            "{} of {} no longer have a definition: messages to them fail until it is back",
            count(orphans.twins as usize, "twin"),
            orphans.prototype
        ));
    }
}

fn row_of(difference: &Difference) -> Datum {
    let mut row = vec![("change", Datum::from(difference.word()))];
    row.extend(difference.definition.as_deref().map(|definition| ("definition", Datum::from(definition))));
    if let Some(part) = &difference.part {
        row.push(("part", Datum::from(part.kind)));
        if !part.name.is_empty() {
            row.push(("name", Datum::from(&*part.name)));
        }
    }
    if let Change::From { before, after } = &difference.change {
        row.push(("before", Datum::from(&**before)));
        row.push(("after", Datum::from(&**after)));
    }
    row.push(("text", Datum::from(&*difference.to_string())));
    Datum::row(row)
}
