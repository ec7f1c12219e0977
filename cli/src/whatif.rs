//! `twintalk whatif`: what would have become of twins if something had been otherwise.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use twintalk_runtime::datum::{self, Datum};
use twintalk_runtime::{Cut, Dropped, Forked, Inserted, Position, WhatIf, json, time};

use crate::diff::write_differences;
use crate::exit::{Exit, Failure, Outcome};
use crate::load;
use crate::progress::Progress;
use crate::state::number;
use crate::store::{Look, moment_ns, positions};
use crate::terminal::count;

/// Run a store on from a moment of its past, with something otherwise, and print what differs
#[derive(Args)]
#[command(
    after_help = "The fork is sent again what came from outside since, at the times and with the random numbers of then; \
    timers run by its own clock. Nothing of it is kept, and nothing leaves it. Each line is what a slot became -> what it \
    would have become.\n\n  \
    twintalk whatif --from 2026-06-01T10:00:00Z --insert 2026-06-01T10:00:00Z pump-1 stop --store plant\n  \
    twintalk whatif --from 12.3 --drop 12.3 --store plant\n  \
    twintalk whatif --from 2026-06-01 --with new.twin --store plant"
)]
pub struct Whatif {
    /// The moment it begins at: after all up to a time, or before the record at a position
    #[arg(long, value_name = "TIME|POSITION", value_parser = cut)]
    from: Cut,
    /// How far it goes; by default as far as the store. Up to a later time it runs on by itself
    #[arg(long, value_name = "TIME|POSITION", value_parser = cut)]
    until: Option<Cut>,
    /// Leave out a message from outside, by the position of its record, or all like 'pump-1 speed:' or 'pump-1 speed: 600'
    #[arg(long, value_name = "POSITION|MESSAGE", value_parser = dropped)]
    drop: Vec<Dropped>,
    /// Put in a message
    #[arg(long, num_args = 3, value_names = ["TIME", "TWIN", "MESSAGE"])]
    insert: Vec<String>,
    /// Run these definitions from there
    #[arg(long, value_name = "FILE")]
    with: Vec<PathBuf>,
    #[command(flatten)]
    look: Look,
}

/// A time, or a position of one or several partitions.
fn cut(text: &str) -> Result<Cut, String> {
    if let Ok(positions) = positions(text) {
        return Ok(Cut::Before(positions));
    }
    let wrong =
        "a moment is a time like 2024-05-01T12:30:00Z, or a position like 12.3; of several partitions 0/12.3,1/7.0";
    moment_ns(text).map(Cut::Time).map_err(|_| wrong.to_owned())
}

fn dropped(text: &str) -> Result<Dropped, String> {
    if let Ok(positions) = positions(text) {
        let mut named = (0..).zip(&positions).filter_map(|(nth, at)| at.map(|at: Position| (nth, at)));
        return match (named.next(), named.next()) {
            (Some((partition, position)), None) => Ok(Dropped::At(partition, position)),
            _ => Err("one record at a time: give --drop for each".to_owned()),
        };
    }
    let wrong =
        || "what is left out is a record like 12.3, or messages like 'pump-1 speed:' or 'pump-1 speed: 600'".to_owned();
    let (path, message) = text.trim().split_once(' ').ok_or_else(wrong)?;
    let (path, message) = (path.to_owned(), message.trim());
    if message.ends_with(':') && !message.contains(char::is_whitespace) {
        return Ok(Dropped::Like { path, selector: message.to_owned(), arguments: None });
    }
    let (selector, arguments) =
        datum::message(message).map_err(|error| format!("`{message}` is no message: {error}"))?;
    Ok(Dropped::Like { path, selector, arguments: Some(arguments) })
}

impl Whatif {
    /// Runs it.
    pub fn run(self) -> Outcome {
        let program = match self.with.as_slice() {
            [] => None,
            paths => Some(load::program(paths, &[])?),
        };
        let asked = WhatIf {
            from: self.from,
            until: self.until.unwrap_or(Cut::Now),
            program,
            dropped: self.drop,
            inserted: self.insert.chunks_exact(3).map(inserted).collect::<Result<_, _>>()?,
        };
        let mut system = self.look.open()?;
        let progress = Progress::start(None, "turns");
        let forked = system.what_if(&asked, &mut |turns| progress.at(turns, || "turns".to_owned()))?;
        drop(progress);
        let mut out = BufWriter::new(io::stdout());
        write_differences(&mut out, &forked.differences, self.look.json, ["turn", "in the fork turn"])?;
        if self.look.json {
            writeln!(out, "{}", json::text(&summary(&forked)))?;
        } else {
            write_summary(&mut out, &forked)?;
        }
        out.flush()?;
        Ok(Exit::Done)
    }
}

fn inserted(words: &[String]) -> Result<Inserted, Failure> {
    let [at, path, message] = words else { return Err(Failure::usage("--insert takes a time, a twin and a message")) };
    let time_ns = moment_ns(at).map_err(|error| Failure::usage(format!("--insert `{at}`: {error}")))?;
    let (selector, arguments) =
        datum::message(message).map_err(|error| Failure::usage(format!("`{message}` is no message: {error}")))?;
    Ok(Inserted { time_ns, path: path.clone(), selector, arguments })
}

fn places(positions: &[Position]) -> String {
    match positions {
        [position] => position.to_string(),
        positions => {
            let all: Vec<String> = positions.iter().enumerate().map(|(n, at)| format!("{n}/{at}")).collect();
            all.join(",")
        }
    }
}

fn write_summary(out: &mut impl Write, forked: &Forked) -> io::Result<()> {
    for one in &forked.faults {
        let at = time::moment_text(one.time_ns);
        writeln!(out, "fault at {at}, {} to {}: {}: {}", one.selector, one.path, one.fault.kind, one.fault.text)?;
    }
    let untold = forked.fault_count - forked.faults.len() as u64;
    if untold > 0 {
        writeln!(out, "and {}", count(untold as usize, "more fault"))?;
    }
    let Forked { turns, differing, added, missing, fault_count, .. } = forked;
    let from = match forked.from_ns {
        Some(from_ns) => format!("{}, {}", places(&forked.from), time::moment_text(from_ns)),
        None => "the beginning".to_owned(),
    };
    let until = time::moment_text(forked.until_ns);
    writeln!(
        out,
        "{} from {from}, to {until}: {differing} differ, {added} more, {missing} fewer than happened; {}; {}",
        count(*turns as usize, "turn"),
        count(*fault_count as usize, "new fault"),
        match forked.differences.len() {
            0 => "no twin differs".to_owned(),
            1 => "1 twin differs".to_owned(),
            twins => format!("{twins} twins differ"),
        },
    )
}

fn summary(forked: &Forked) -> Datum {
    let moment = |time_ns| Datum::String(time::moment_text(time_ns));
    let fault = |one: &twintalk_runtime::ForkFault| {
        Datum::row([
            ("time", moment(one.time_ns)),
            ("path", Datum::from(&*one.path)),
            ("selector", Datum::from(&*one.selector)),
            ("kind", Datum::from(&*one.fault.kind)),
            ("text", Datum::from(&*one.fault.text)),
        ])
    };
    Datum::row([
        ("from", Datum::String(places(&forked.from))),
        ("until", Datum::String(places(&forked.until))),
        ("from_time", forked.from_ns.map_or(Datum::Nil, moment)),
        ("until_time", moment(forked.until_ns)),
        ("turns", number(forked.turns)),
        ("differing", number(forked.differing)),
        ("added", number(forked.added)),
        ("missing", number(forked.missing)),
        ("dropped", number(forked.dropped)),
        ("fault_count", number(forked.fault_count)),
        ("faults", Datum::Array(forked.faults.iter().map(fault).collect())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_a_record_or_a_message() {
        let at = Position { block: 7, index: 1 };
        assert_eq!(dropped("7.1"), Ok(Dropped::At(0, at)));
        assert_eq!(dropped("2/7.1"), Ok(Dropped::At(2, at)));
        let like = |selector: &str, arguments| {
            Ok(Dropped::Like { path: "pump-1".to_owned(), selector: selector.to_owned(), arguments })
        };
        assert_eq!(dropped("pump-1 speed:"), like("speed:", None));
        assert_eq!(dropped("pump-1 at:put:"), like("at:put:", None));
        assert_eq!(dropped("pump-1 stop"), like("stop", Some(Vec::new())));
        assert_eq!(dropped("pump-1 speed: 600"), like("speed:", Some(vec![Datum::from(600)])));
        for wrong in ["pump-1", "0/1.1,1/1.1", "pump-1 speed: (1 + 2)"] {
            assert!(dropped(wrong).is_err(), "{wrong}");
        }
    }
}
