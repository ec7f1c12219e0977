//! `twintalk history`: the records of a twin.

use std::io::{self, BufWriter, Write};

use clap::Args;
use twintalk_runtime::datum::{Datum, message_text};
use twintalk_runtime::{HistoryEntry, json, time};

use crate::exit::{Exit, Failure, Outcome};
use crate::state::number;
use crate::store::{Look, moment_ns};

/// Print the records of a twin, oldest first
#[derive(Args)]
pub struct History {
    /// The twin
    path: String,
    /// From this time on
    #[arg(long, value_name = "TIME", value_parser = moment_ns)]
    from: Option<i64>,
    /// Up to this time
    #[arg(long, value_name = "TIME", value_parser = moment_ns)]
    to: Option<i64>,
    #[command(flatten)]
    look: Look,
}

impl History {
    /// Prints them.
    pub fn run(self) -> Outcome {
        let entries = self.look.open()?.history(&self.path, self.from, self.to)?;
        if entries.is_empty() && self.from.is_none() && self.to.is_none() {
            return Err(Failure::wrong(format!("there never was a twin {}", self.path)));
        }
        let mut out = BufWriter::new(io::stdout());
        for entry in &entries {
            if self.look.json {
                writeln!(out, "{}", json::text(&row(entry)))?;
            } else {
                write_entry(&mut out, &self.path, entry)?;
            }
        }
        out.flush()?;
        Ok(Exit::Done)
    }
}

/// `turn, time, message, from whom`, and below it what came of that.
fn write_entry(out: &mut impl Write, path: &str, entry: &HistoryEntry) -> io::Result<()> {
    let receiver = if entry.receiver == path { String::new() } else { format!("{} ", entry.receiver) };
    let number = if entry.number > 0 { format!(" {}", entry.number) } else { String::new() };
    writeln!(
        out,
        "{:>6}  {}  {receiver}{}  from {}{number}",
        entry.turn,
        time::moment_text(entry.time_ns),
        message_text(&entry.selector, &entry.arguments),
        entry.sender,
    )?;
    if let Some(device_time_ns) = entry.device_time_ns.filter(|device_time_ns| *device_time_ns != entry.time_ns) {
        writeln!(out, "        measured {}", time::moment_text(device_time_ns))?;
    }
    if let Some(change) = entry.change {
        writeln!(out, "        {change}")?;
    }
    for line in entry.output.lines() {
        writeln!(out, "        showed {line}")?;
    }
    for (twin, selector, values) in &entry.events {
        let twin = if twin == path { String::new() } else { format!("{twin} ") };
        writeln!(out, "        {twin}emitted {}", message_text(selector, values))?;
    }
    for (receiver, selector, values) in &entry.far_sends {
        writeln!(out, "        sent {receiver} ! {}", message_text(selector, values))?;
    }
    if let Some(fault) = &entry.fault {
        writeln!(out, "        failed: {}: {}", fault.kind, fault.text)?;
    }
    for note in &entry.notes {
        writeln!(out, "        {note}")?;
    }
    Ok(())
}

/// A record as an object.
pub fn row(entry: &HistoryEntry) -> Datum {
    let sent = |(twin, selector, values): &(String, String, Vec<Datum>)| {
        Datum::row([
            ("twin", Datum::from(&**twin)),
            ("selector", Datum::from(&**selector)),
            ("arguments", Datum::Array(values.clone())),
        ])
    };
    let fault = entry
        .fault
        .as_ref()
        .map(|fault| Datum::row([("kind", Datum::from(&*fault.kind)), ("text", Datum::from(&*fault.text))]));
    let time = |time_ns| Datum::String(time::moment_text(time_ns));
    Datum::row([
        ("position", Datum::String(entry.position.to_string())),
        ("rev", number(entry.turn)),
        ("time", time(entry.time_ns)),
        ("device_time", entry.device_time_ns.map_or(Datum::Nil, time)),
        ("sender", Datum::from(&*entry.sender)),
        ("number", if entry.number > 0 { number(entry.number) } else { Datum::Nil }),
        ("receiver", Datum::from(&*entry.receiver)),
        ("selector", Datum::from(&*entry.selector)),
        ("arguments", Datum::Array(entry.arguments.clone())),
        ("change", entry.change.map_or(Datum::Nil, Datum::from)),
        ("output", Datum::from(&*entry.output)),
        ("events", Datum::Array(entry.events.iter().map(sent).collect())),
        ("far_sends", Datum::Array(entry.far_sends.iter().map(sent).collect())),
        ("fault", fault.unwrap_or(Datum::Nil)),
        ("notes", Datum::Array(entry.notes.iter().map(|note| Datum::from(*note)).collect())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_as_in_source() {
        assert_eq!(message_text("level", &[]), "level");
        assert_eq!(message_text("+", &[Datum::from(3)]), "+ 3");
        assert_eq!(message_text("<", &[Datum::from(3)]), "< 3");
        assert_eq!(message_text("<timer:>", &[Datum::from("tick")]), "timer: 'tick'");
        assert_eq!(message_text("at:put:", &[Datum::from(3), Datum::from("x")]), "at: 3 put: 'x'");
    }
}
