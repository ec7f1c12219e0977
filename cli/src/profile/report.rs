//! A profile for a person: the largest rows of each table, in aligned columns.

use std::collections::HashMap;
use std::fmt::Write as _;

use twintalk_runtime::profile::{Function, FunctionKind, Pace, Profile, SiteState};

use super::{Title, percent, place};
use crate::terminal::count;

/// What samples say of a line; of a stripped image, of an instruction.
pub struct Line {
    /// The file, unless the image was stripped.
    pub file: Option<String>,
    /// The line; else the word of the instruction.
    pub line: u32,
    /// Where it stands; of some functions on one line, one.
    pub function: usize,
    /// What samples weigh that fell on it.
    pub own: u64,
    /// And those that fell on what it sent.
    pub total: u64,
}

/// All lines that samples fell on, the largest first.
pub fn lines(profile: &Profile) -> Vec<Line> {
    let mut numbers: HashMap<(Option<&str>, usize, u32), usize> = HashMap::new();
    let mut lines: Vec<Line> = Vec::new();
    let mut keys = Vec::with_capacity(profile.spots.len());
    for spot in &profile.spots {
        let function = &profile.functions[spot.function];
        let file = function.file.as_deref().filter(|_| spot.line.is_some());
        let key = match (file, spot.line) {
            (Some(file), Some((line, _))) => (Some(file), 0, line),
            (_, _) => (None, spot.function, spot.word),
        };
        let number = *numbers.entry(key).or_insert(lines.len());
        if number == lines.len() {
            let (file, line) = (file.map(str::to_owned), key.2);
            lines.push(Line { file, line, function: spot.function, own: 0, total: 0 });
        }
        keys.push(number);
    }
    for (line, share) in lines.iter_mut().zip(profile.shares_by(keys.len(), |spot| keys[spot])) {
        (line.own, line.total) = (share.own, share.total);
    }
    lines.retain(|line| line.total > 0 && is_code(profile.functions[line.function].kind));
    lines.sort_by(|left, right| {
        (right.own, right.total)
            .cmp(&(left.own, left.total))
            .then_with(|| (&left.file, left.line, left.function).cmp(&(&right.file, right.line, right.function)))
    });
    lines
}

fn is_code(kind: FunctionKind) -> bool {
    match kind {
        FunctionKind::Program | FunctionKind::Kernel => true,
        FunctionKind::Root | FunctionKind::Outside | FunctionKind::Primitive | FunctionKind::Gap => false,
    }
}

/// The whole report.
pub fn text(profile: &Profile, title: &Title, top: usize) -> String {
    let mut out = head(profile, title);
    let about = if profile.is_exact() { "" } else { ", estimated" };
    methods(profile, top, &mut out);
    hot_lines(profile, top, &mut out);
    turns(profile, title, top, &mut out);
    sites(profile, top, about, &mut out);
    allocations(profile, top, about, &mut out);
    loops(profile, top, about, &mut out);
    pairs(profile, top, about, &mut out);
    out
}

fn head(profile: &Profile, title: &Title) -> String {
    let mut out = format!("\n==== profile of {} ====\n", title.file);
    let samples = profile.samples.len() as u64 + profile.samples_lost;
    let _ = match profile.pace {
        Pace::Requests => writeln!(
            out,
            "{:.2} s, {} samples by the clock; counts are estimates",
            title.seconds,
            grouped(samples as f64),
        ),
        Pace::Fuel(every) => {
            writeln!(out, "{} samples, one every {every} units of fuel; counts are exact", grouped(samples as f64))
        }
    };
    let outside: u64 = profile
        .functions
        .iter()
        .zip(profile.shares())
        .filter(|(function, _)| function.kind == FunctionKind::Outside)
        .map(|(_, share)| share.total)
        .sum();
    let _ = writeln!(
        out,
        "{} fuel, {} instructions, {} allocated, {}{}",
        grouped(profile.fuel as f64),
        grouped(profile.instructions),
        bytes(profile.allocated_bytes as f64),
        count(profile.collections as usize, "collection"),
        match profile.pace {
            Pace::Requests =>
                format!("; {:.1} % of the time in the store, output and waiting", percent(outside, profile.weight())),
            Pace::Fuel(_) => String::new(),
        },
    );
    out
}

/// Rows under a heading, in columns as wide as they need; the last one is not padded.
fn table(out: &mut String, heading: &str, columns: &[&str], rows: Vec<Vec<String>>, hidden: usize) {
    if rows.is_empty() {
        return;
    }
    let mut widths: Vec<usize> = columns.iter().map(|column| column.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let _ = writeln!(out, "\n{heading}");
    let head = columns.iter().map(|column| (*column).to_owned()).collect();
    for row in std::iter::once(head).chain(rows) {
        let last = row.len() - 1;
        let mut line = String::from(" ");
        for (nth, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Numbers stand to the right, names to the left.
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            let is_name = columns[nth].chars().next().is_some_and(char::is_uppercase);
            let _ = match (is_name, nth == last) {
                (true, true) => write!(line, " {cell}"),
                (true, false) => write!(line, " {cell}{pad}"),
                (false, _) => write!(line, " {pad}{cell}"),
            };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    if hidden > 0 {
        let _ = writeln!(out, "  ... and {hidden} more");
    }
}

fn methods(profile: &Profile, top: usize, out: &mut String) {
    let all = profile.weight();
    let mut rows: Vec<_> =
        profile.functions.iter().zip(profile.shares()).filter(|(_, share)| share.total > 0).collect();
    rows.retain(|(function, _)| function.kind != FunctionKind::Gap);
    rows.sort_by(|left, right| {
        (right.1.own, right.1.total).cmp(&(left.1.own, left.1.total)).then_with(|| left.0.name.cmp(&right.0.name))
    });
    let hidden = rows.len().saturating_sub(top);
    let rows = rows.into_iter().take(top).map(|(function, share)| {
        // Of what is seldom called, no estimate is one.
        let known = is_code(function.kind) && (profile.is_exact() || function.calls > 0.0);
        let calls = if known { grouped(function.calls) } else { String::new() };
        vec![
            format!("{:.1} %", percent(share.own, all)),
            format!("{:.1} %", percent(share.total, all)),
            calls,
            name(function),
            start(function),
        ]
    });
    table(out, "Methods", &["self", "total", "calls", "Method", "Where"], rows.collect(), hidden);
}

fn name(function: &Function) -> String {
    match function.kind {
        FunctionKind::Primitive => format!("{} (primitive)", function.name),
        FunctionKind::Root
        | FunctionKind::Outside
        | FunctionKind::Program
        | FunctionKind::Kernel
        | FunctionKind::Gap => function.name.clone(),
    }
}

fn start(function: &Function) -> String {
    match (&function.file, function.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (_, _) => String::new(),
    }
}

fn hot_lines(profile: &Profile, top: usize, out: &mut String) {
    let all = profile.weight();
    let lines = lines(profile);
    let hidden = lines.len().saturating_sub(top);
    let rows = lines.into_iter().take(top).map(|line| {
        let place = match &line.file {
            Some(file) => format!("{file}:{}", line.line),
            None => format!("word {}", line.line),
        };
        vec![
            format!("{:.1} %", percent(line.own, all)),
            format!("{:.1} %", percent(line.total, all)),
            place,
            profile.functions[line.function].name.clone(),
        ]
    });
    table(out, "Lines", &["self", "total", "Where", "Method"], rows.collect(), hidden);
}

fn turns(profile: &Profile, title: &Title, top: usize, out: &mut String) {
    let (all, shares) = (profile.weight(), profile.shares());
    let mut turns: Vec<_> = profile.turns.iter().filter(|turns| turns.turns > 0).collect();
    turns.sort_by(|left, right| {
        (shares[right.function].total, right.turns).cmp(&(shares[left.function].total, left.turns))
    });
    let hidden = turns.len().saturating_sub(top);
    let rows = turns.iter().take(top).map(|turns| {
        let rate = match profile.pace {
            Pace::Requests if title.seconds > 0.0 => grouped(turns.turns as f64 / title.seconds),
            Pace::Requests | Pace::Fuel(_) => String::new(),
        };
        let paths: Vec<&str> = turns.paths.iter().take(3).map(|(path, _)| &**path).collect();
        let more = if turns.paths.len() > 3 { ", ..." } else { "" };
        vec![
            format!("{:.1} %", percent(shares[turns.function].total, all)),
            grouped(turns.turns as f64),
            rate,
            grouped(turns.failed as f64),
            grouped(turns.fuel as f64 / turns.turns.max(1) as f64),
            profile.functions[turns.function].name.clone(),
            format!("{}{more}", paths.join(", ")),
        ]
    });
    let columns = ["total", "turns", "a second", "failed", "fuel each", "What", "Twins"];
    table(out, "Turns", &columns, rows.collect(), hidden);
}

fn sites(profile: &Profile, top: usize, about: &str, out: &mut String) {
    // Arithmetic that was done in place went through no cache.
    let sites: Vec<_> = profile.sites.iter().filter(|site| site.state != SiteState::Empty).collect();
    let hidden = sites.len().saturating_sub(top);
    let rows = sites.into_iter().take(top).map(|site| {
        let receivers: Vec<String> = site
            .receivers
            .iter()
            .take(4)
            .map(|(name, sends)| match site.receivers.len() {
                1 => name.clone(),
                _ => format!("{name} {:.0} %", 100.0 * sends / site.sends.max(1.0)),
            })
            .collect();
        let more = if site.receivers.len() > 4 { ", ..." } else { "" };
        let state = match site.state {
            SiteState::Polymorphic => format!("polymorphic {}", site.receivers.len().max(2)),
            SiteState::Empty | SiteState::Monomorphic | SiteState::Megamorphic => site.state.name().to_owned(),
        };
        vec![
            grouped(site.sends),
            grouped(site.misses as f64),
            state,
            site.selector.clone(),
            place(profile, site.spot),
            method(profile, site.spot),
            format!("{}{more}", receivers.join(", ")),
        ]
    });
    let heading = format!("Send sites (sends{about}; misses since the start)");
    let columns = ["sends", "misses", "Cache", "Selector", "Where", "Method", "Receivers"];
    table(out, &heading, &columns, rows.collect(), hidden);
}

fn method(profile: &Profile, spot: usize) -> String {
    profile.functions[profile.spots[spot].function].name.clone()
}

fn allocations(profile: &Profile, top: usize, about: &str, out: &mut String) {
    let hidden = profile.allocations.len().saturating_sub(top);
    let rows = profile.allocations.iter().take(top).map(|made| {
        vec![
            bytes(made.bytes),
            grouped(made.objects),
            made.prototype.clone().unwrap_or_default(),
            place(profile, made.spot),
            method(profile, made.spot),
        ]
    });
    let heading = format!("Allocation (by instruction{about})");
    table(out, &heading, &["bytes", "objects", "Prototype", "Where", "Method"], rows.collect(), hidden);
}

fn loops(profile: &Profile, top: usize, about: &str, out: &mut String) {
    let hidden = profile.loops.len().saturating_sub(top);
    let rows = profile
        .loops
        .iter()
        .take(top)
        .map(|head| vec![grouped(head.rounds), place(profile, head.spot), method(profile, head.spot)]);
    table(out, &format!("Loops (rounds{about})"), &["rounds", "Where", "Method"], rows.collect(), hidden);
}

fn pairs(profile: &Profile, top: usize, about: &str, out: &mut String) {
    let all: f64 = profile.pairs.iter().map(|pair| pair.times).sum();
    let hidden = profile.pairs.len().saturating_sub(top);
    let rows = profile.pairs.iter().take(top).map(|pair| {
        vec![
            format!("{:.1} %", if all > 0.0 { 100.0 * pair.times / all } else { 0.0 }),
            grouped(pair.times),
            pair.first.to_owned(),
            pair.second.to_owned(),
        ]
    });
    let heading = format!("Pairs of instructions (one after the other{about})");
    table(out, &heading, &["share", "times", "First", "Second"], rows.collect(), hidden);
}

/// A number in groups of three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut out = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number of bytes, in the unit that reads best.
fn bytes(number: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut number, mut unit) = (number, 0);
    while number >= 10_000.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    format!("{} {}", grouped(number), UNITS[unit])
}
