//! `twintalk why`: the causal chain of a value, back to what came from outside.

use std::io::{self, BufWriter, Write};

use clap::Args;
use twintalk_runtime::datum::{Datum, message_text};
use twintalk_runtime::{Link, LinkStep, Reason, json, time};

use crate::exit::{Exit, Outcome};
use crate::history;
use crate::state::number;
use crate::store::{At, Look};

/// Print why a slot is as it is: the record that set it, what sent its message, and so on
#[derive(Args)]
#[command(
    after_help = "A place is a slot, or inside one: level, baseline.mean, readings[3], latest['power']. Without one: why \
                        there is the twin, or is none."
)]
pub struct Why {
    /// The twin
    path: String,
    /// The slot, or a place inside one
    place: Option<String>,
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    look: Look,
}

impl Why {
    /// Prints it.
    pub fn run(self) -> Outcome {
        let reason = self.look.open()?.why(&self.path, self.place.as_deref(), self.at.moment())?;
        let mut out = BufWriter::new(io::stdout());
        if self.look.json {
            for link in &reason.links {
                writeln!(out, "{}", json::text(&row(&reason, link)))?;
            }
            if reason.goes_on {
                writeln!(out, "{}", json::text(&Datum::row([("goes_on", Datum::Bool(true))])))?;
            }
        } else {
            self.write(&mut out, &reason)?;
        }
        out.flush()?;
        Ok(Exit::Done)
    }

    fn write(&self, out: &mut impl Write, reason: &Reason) -> io::Result<()> {
        match &self.place {
            Some(place) => writeln!(out, "{place} of {} is {}", self.path, reason.value)?,
            None => writeln!(out, "{}", self.path)?,
        }
        for link in &reason.links {
            let Link { step, entry, answers, .. } = link;
            let asks = if entry.number > 0 { format!(" {}", entry.number) } else { String::new() };
            writeln!(
                out,
                "{:>6}  {}  {} {}  from {}{asks}",
                entry.turn,
                time::moment_text(entry.time_ns),
                entry.receiver,
                message_text(&entry.selector, &entry.arguments),
                entry.sender,
            )?;
            match (step, entry.change.filter(|_| self.place.is_none())) {
                (LinkStep::Set, Some(change)) => writeln!(out, "        {change} it")?,
                (LinkStep::Set, None) => {
                    for change in &reason.changes {
                        writeln!(out, "        {change}")?;
                    }
                }
                (step, _) => writeln!(out, "        {}", step.text())?,
            }
            for (composite, turn, answer) in answers {
                let answer = match answer {
                    Ok(value) => value.to_string(),
                    Err(fault) => fault.clone(),
                };
                let turn = if *turn > 0 { format!(", turn {turn}") } else { String::new() };
                writeln!(out, "        {composite}{turn}, answered {answer}")?;
            }
        }
        if reason.goes_on {
            writeln!(out, "        and so on")?;
        }
        Ok(())
    }
}

fn row(reason: &Reason, link: &Link) -> Datum {
    let answers = link.answers.iter().map(|(composite, turn, answer)| {
        let answer = match answer {
            Ok(value) => ("answer", value.clone()),
            Err(fault) => ("fault", Datum::from(&**fault)),
        };
        Datum::row([("composite", Datum::from(&**composite)), ("rev", number(*turn)), answer])
    });
    let step = match link.step {
        LinkStep::Set => "set",
        LinkStep::Sent => "sent",
        LinkStep::Replied => "replied",
        LinkStep::Timer => "timer",
        LinkStep::Failed => "failed",
    };
    let mut row =
        vec![(Datum::from("step"), Datum::from(step)), (Datum::from("partition"), Datum::Int(link.partition.into()))];
    if link.step == LinkStep::Set {
        row.push((Datum::from("value"), reason.value.clone()));
    }
    row.push((Datum::from("answers"), Datum::Array(answers.collect())));
    if let Datum::Dictionary(columns) = history::row(&link.entry) {
        row.extend(columns);
    }
    Datum::Dictionary(row)
}
