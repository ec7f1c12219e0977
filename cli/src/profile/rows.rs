//! A profile as JSON, one object a line; `kind` says what a line is about.

use twintalk_runtime::profile::{FunctionKind, Profile};
use twintalk_runtime::{Datum, json};

use super::{Title, percent};

/// All lines.
pub fn text(profile: &Profile, title: &Title) -> String {
    let mut rows = vec![summary(profile, title)];
    functions(profile, &mut rows);
    lines(profile, &mut rows);
    turns(profile, title, &mut rows);
    sites(profile, &mut rows);
    allocations(profile, &mut rows);
    for head in &profile.loops {
        let mut row = kind("loop");
        row.extend(place(profile, head.spot));
        row.push(("rounds", count(head.rounds)));
        rows.push(Datum::row(row));
    }
    for pair in &profile.pairs {
        let mut row = kind("pair");
        row.extend([
            ("first", Datum::from(pair.first)),
            ("second", Datum::from(pair.second)),
            ("times", count(pair.times)),
        ]);
        rows.push(Datum::row(row));
    }
    let mut text = String::new();
    for row in rows {
        text.push_str(&json::text(&row));
        text.push('\n');
    }
    text
}

type Row = Vec<(&'static str, Datum)>;

fn kind(kind: &str) -> Row {
    vec![("kind", Datum::from(kind))]
}

fn number(number: u64) -> Datum {
    Datum::Int(number.into())
}

/// A count, which is a whole number where it is exact.
fn count(number: f64) -> Datum {
    Datum::Int((number.round() as u64).into())
}

fn rounded(number: f64) -> Datum {
    Datum::Float((number * 1000.0).round() / 1000.0)
}

fn text_or_nil(text: Option<&str>) -> Datum {
    text.map_or(Datum::Nil, Datum::from)
}

fn summary(profile: &Profile, title: &Title) -> Datum {
    let mut row = kind("profile");
    row.extend([
        ("file", Datum::from(&*title.file)),
        ("unit", Datum::from(if profile.is_exact() { "fuel" } else { "microseconds" })),
        ("counts", Datum::from(if profile.is_exact() { "exact" } else { "estimated" })),
        ("weight", number(profile.weight())),
        ("span", number(profile.span)),
        ("samples", number(profile.samples.len() as u64 + profile.samples_lost)),
        ("fuel", number(profile.fuel)),
        ("instructions", count(profile.instructions)),
        ("allocated_bytes", number(profile.allocated_bytes)),
        ("collections", number(profile.collections)),
    ]);
    if !profile.is_exact() {
        row.push(("seconds", rounded(title.seconds)));
    }
    Datum::row(row)
}

fn place(profile: &Profile, spot: usize) -> Row {
    let spot = profile.spots[spot];
    let function = &profile.functions[spot.function];
    vec![
        ("method", Datum::from(&*function.name)),
        ("file", text_or_nil(function.file.as_deref())),
        ("line", spot.line.map_or(Datum::Nil, |(line, _)| number(line.into()))),
        ("column", spot.line.map_or(Datum::Nil, |(_, column)| number(column.into()))),
        ("word", number(spot.word.into())),
    ]
}

fn functions(profile: &Profile, rows: &mut Vec<Datum>) {
    let all = profile.weight();
    let mut functions: Vec<_> = profile.functions.iter().zip(profile.shares()).collect();
    functions.sort_by(|left, right| {
        (right.1.own, right.1.total).cmp(&(left.1.own, left.1.total)).then_with(|| left.0.name.cmp(&right.0.name))
    });
    for (function, share) in functions {
        let of = match function.kind {
            FunctionKind::Root => "root",
            FunctionKind::Outside => "outside",
            FunctionKind::Program => "program",
            FunctionKind::Kernel => "kernel",
            FunctionKind::Primitive => "primitive",
            FunctionKind::Gap => "gap",
        };
        let mut row = kind("method");
        row.extend([
            ("method", Datum::from(&*function.name)),
            ("of", Datum::from(of)),
            ("file", text_or_nil(function.file.as_deref())),
            ("line", function.line.map_or(Datum::Nil, |line| number(line.into()))),
            ("self", number(share.own)),
            ("total", number(share.total)),
            ("self_percent", rounded(percent(share.own, all))),
            ("total_percent", rounded(percent(share.total, all))),
            ("calls", count(function.calls)),
            ("instructions", count(function.instructions)),
        ]);
        rows.push(Datum::row(row));
    }
}

fn lines(profile: &Profile, rows: &mut Vec<Datum>) {
    let all = profile.weight();
    for line in super::report::lines(profile) {
        let mut row = kind("line");
        row.extend([
            ("file", text_or_nil(line.file.as_deref())),
            ("line", number(line.line.into())),
            ("self", number(line.own)),
            ("total", number(line.total)),
            ("self_percent", rounded(percent(line.own, all))),
            ("total_percent", rounded(percent(line.total, all))),
        ]);
        rows.push(Datum::row(row));
    }
}

fn turns(profile: &Profile, title: &Title, rows: &mut Vec<Datum>) {
    let (all, shares) = (profile.weight(), profile.shares());
    for turns in &profile.turns {
        let mut row = kind("turns");
        row.extend([
            ("of", Datum::from(&*profile.functions[turns.function].name)),
            ("prototype", text_or_nil(turns.prototype.as_deref())),
            ("turns", number(turns.turns)),
            ("failed", number(turns.failed)),
            ("fuel", number(turns.fuel)),
            ("total", number(shares[turns.function].total)),
            ("total_percent", rounded(percent(shares[turns.function].total, all))),
        ]);
        if !profile.is_exact() && title.seconds > 0.0 {
            row.push(("turns_per_second", rounded(turns.turns as f64 / title.seconds)));
        }
        let path =
            |(path, weight): &(String, u64)| Datum::row([("path", Datum::from(&**path)), ("self", number(*weight))]);
        row.push(("paths", Datum::Array(turns.paths.iter().map(path).collect())));
        rows.push(Datum::row(row));
    }
}

fn sites(profile: &Profile, rows: &mut Vec<Datum>) {
    for site in &profile.sites {
        let mut row = kind("site");
        row.extend(place(profile, site.spot));
        let receiver = |(prototype, times): &(String, f64)| {
            Datum::row([("prototype", Datum::from(&**prototype)), ("sends", count(*times))])
        };
        row.extend([
            ("selector", Datum::from(&*site.selector)),
            ("cache", Datum::from(site.state.name())),
            ("sends", count(site.sends)),
            ("hits", count((site.sends - site.misses as f64).max(0.0))),
            ("misses", number(site.misses)),
            ("receivers", Datum::Array(site.receivers.iter().map(receiver).collect())),
            ("leads_to", text_or_nil(site.target.as_deref())),
        ]);
        rows.push(Datum::row(row));
    }
}

fn allocations(profile: &Profile, rows: &mut Vec<Datum>) {
    for made in &profile.allocations {
        let mut row = kind("allocation");
        row.extend(place(profile, made.spot));
        row.extend([
            ("prototype", text_or_nil(made.prototype.as_deref())),
            ("times", count(made.times)),
            ("objects", count(made.objects)),
            ("bytes", count(made.bytes)),
        ]);
        rows.push(Datum::row(row));
    }
}
