//! `twintalk diff`: how a twin and its parts differ between two moments.

use std::io::{self, BufWriter, Write};

use clap::Args;
use twintalk_runtime::datum::Datum;
use twintalk_runtime::{Moment, SlotChange, TwinDifference, TwinState, json, time};

use crate::exit::{Exit, Outcome};
use crate::state::number;
use crate::store::{Look, moment_ns};

/// Print what differs in a twin and its parts between two moments
#[derive(Args)]
#[command(
    after_help = "Without --from, from before there was anything; without --to, up to now. A place is written like \
                        level, baseline.mean, readings[3] or latest['power']."
)]
pub struct Diff {
    /// The twin
    path: String,
    /// From what it was at this time
    #[arg(long, value_name = "TIME", value_parser = moment_ns, conflicts_with = "from_turn")]
    from: Option<i64>,
    /// From what it was after this turn of its composite
    #[arg(long = "from-rev", value_name = "N")]
    from_turn: Option<u64>,
    /// To what it was at this time
    #[arg(long, value_name = "TIME", value_parser = moment_ns, conflicts_with = "to_turn")]
    to: Option<i64>,
    /// To what it was after this turn of its composite
    #[arg(long = "to-rev", value_name = "N")]
    to_turn: Option<u64>,
    #[command(flatten)]
    look: Look,
}

impl Diff {
    /// Prints it.
    pub fn run(self) -> Outcome {
        let from = self.from.map(Moment::Time).or(self.from_turn.map(Moment::Turn));
        let to = self.to.map(Moment::Time).or(self.to_turn.map(Moment::Turn)).unwrap_or(Moment::Now);
        let differences = self.look.open()?.differences(&self.path, from, to)?;
        let mut out = BufWriter::new(io::stdout());
        write_differences(&mut out, &differences, self.look.json, ["turn", "turn"])?;
        out.flush()?;
        Ok(Exit::Done)
    }
}

/// A line for each twin and one for each place that differs; or an object for each place, and for each twin that came
/// or went. `sides` says what the two states of a twin are.
pub fn write_differences(
    out: &mut impl Write,
    differences: &[TwinDifference],
    as_json: bool,
    sides: [&str; 2],
) -> io::Result<()> {
    for difference in differences {
        let TwinDifference { path, from, to, changes } = difference;
        if as_json {
            let what = match (from, to) {
                (None, Some(_)) => Some("made"),
                (Some(_), None) => Some("removed"),
                (Some(from), Some(to)) if from.life != to.life => Some("made again"),
                (Some(_), Some(_)) | (None, None) => None,
            };
            if what.is_some() || changes.is_empty() {
                writeln!(out, "{}", json::text(&row(difference, what, None)))?;
            }
            for change in changes {
                writeln!(out, "{}", json::text(&row(difference, None, Some(change))))?;
            }
            continue;
        }
        let when = |side: &str, state: &Option<TwinState>| match state {
            Some(state) => format!("{side} {}, {}", state.turn, time::moment_text(state.time_ns)),
            None => "nothing".to_owned(),
        };
        let kind = match (from, to) {
            (Some(from), Some(to)) if from.prototype != to.prototype => {
                format!("{} -> {}", from.prototype, to.prototype)
            }
            (_, Some(state)) | (Some(state), None) => state.prototype.clone(),
            (None, None) => String::new(),
        };
        writeln!(out, "{kind} {path}, {} -> {}", when(sides[0], from), when(sides[1], to))?;
        let width = changes.iter().map(|change| change.place.chars().count()).max().unwrap_or(0);
        for SlotChange { place, before, after } in changes {
            match (before, after) {
                (Some(before), Some(after)) => writeln!(out, "  {place:width$}  {before} -> {after}")?,
                (None, Some(after)) => writeln!(out, "  {place:width$}  + {after}")?,
                (Some(before), None) => writeln!(out, "  {place:width$}  - {before}")?,
                (None, None) => {}
            }
        }
    }
    Ok(())
}

fn row(difference: &TwinDifference, what: Option<&str>, change: Option<&SlotChange>) -> Datum {
    let rev = |state: &Option<TwinState>| state.as_ref().map_or(Datum::Nil, |state| number(state.turn));
    let prototype = difference.to.as_ref().or(difference.from.as_ref()).map(|state| &*state.prototype);
    let mut row = vec![
        ("path", Datum::from(&*difference.path)),
        ("prototype", prototype.map_or(Datum::Nil, Datum::from)),
        ("from_rev", rev(&difference.from)),
        ("to_rev", rev(&difference.to)),
    ];
    if let Some(what) = what {
        row.push(("twin", Datum::from(what)));
    }
    if let Some(SlotChange { place, before, after }) = change {
        row.push(("place", Datum::from(&**place)));
        row.extend(before.clone().map(|before| ("before", before)));
        row.extend(after.clone().map(|after| ("after", after)));
    }
    Datum::row(row)
}
