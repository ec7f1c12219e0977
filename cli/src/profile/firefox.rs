//! A profile in the processed format of the Firefox profiler, version 55.
//!
//! A thread of it is a profile of ours: its tables are columns side by side, strings are numbers in one array, and a
//! stack is a frame on top of another stack. Numbers are written as they are; strings as JSON writes them.

use std::collections::HashMap;
use std::fmt::{Display, Write as _};

use twintalk_runtime::profile::{FunctionKind, Profile};
use twintalk_runtime::{Datum, json};

use super::Title;

/// What it is about a frame, in the order of [`category`].
const CATEGORIES: [(&str, &str); 5] =
    [("Program", "blue"), ("Class library", "green"), ("Primitive", "orange"), ("Turn", "purple"), ("Other", "grey")];

fn category(kind: FunctionKind) -> usize {
    match kind {
        FunctionKind::Program => 0,
        FunctionKind::Kernel => 1,
        FunctionKind::Primitive => 2,
        FunctionKind::Root => 3,
        FunctionKind::Outside | FunctionKind::Gap => 4,
    }
}

/// The whole file.
pub fn text(profile: &Profile, title: &Title) -> String {
    let interval_ms = title.rate.map_or(1.0, |rate| 1000.0 / rate as f64);
    let categories = CATEGORIES
        .map(|(name, colour)| format!(r#"{{"name":"{name}","color":"{colour}","subcategories":["Other"]}}"#))
        .join(",");
    let mut out = String::new();
    let _ = write!(out, r#"{{"meta":{{"categories":[{categories}],"debug":false,"#,);
    let _ = write!(out, r#""extensions":{{"length":0,"baseURL":[],"id":[],"name":[]}},"interval":{interval_ms},"#);
    let _ = write!(
        out,
        r#""preprocessedProfileVersion":55,"processType":0,"product":{},"#,
        quoted(&format!("twintalk profile {}", title.file))
    );
    let _ = write!(
        out,
        r#""sampleUnits":{{"time":"ms","eventDelay":"ms","threadCPUDelta":"µs"}},"startTime":{},"symbolicated":true,"#,
        title.started_ms
    );
    out.push_str(
        r#""pausedRanges":[],"version":24,"usesOnlyOneStackType":true,"sourceCodeIsNotOnSearchfox":true,"markerSchema":[]},"#,
    );
    let _ = write!(
        out,
        r#""libs":[],"threads":[{}],"pages":[],"profilerOverhead":[],"counters":[]}}"#,
        thread(profile, title)
    );
    out.push('\n');
    out
}

fn thread(profile: &Profile, title: &Title) -> String {
    let mut strings = Strings::default();
    let functions = &profile.functions;
    let kinds = || profile.spots.iter().map(|spot| category(functions[spot.function].kind));
    let frame_table = table(
        profile.spots.len(),
        &[
            ("address", column(profile.spots.iter().map(|_| -1))),
            ("inlineDepth", column(profile.spots.iter().map(|_| 0))),
            ("category", column(kinds())),
            ("subcategory", column(profile.spots.iter().map(|_| 0))),
            ("func", column(profile.spots.iter().map(|spot| spot.function))),
            ("nativeSymbol", nulls(profile.spots.len())),
            ("innerWindowID", column(profile.spots.iter().map(|_| 0))),
            ("line", optional(profile.spots.iter().map(|spot| spot.line.map(|(line, _)| line)))),
            ("column", optional(profile.spots.iter().map(|spot| spot.line.map(|(_, column)| column)))),
        ],
    );
    let names: Vec<usize> = functions.iter().map(|function| strings.number(&function.name)).collect();
    let files: Vec<Option<usize>> =
        functions.iter().map(|function| function.file.as_deref().map(|file| strings.number(file))).collect();
    let func_table = table(
        functions.len(),
        &[
            ("name", column(names)),
            ("isJS", column(functions.iter().map(|_| false))),
            ("relevantForJS", column(functions.iter().map(|_| false))),
            ("resource", column(functions.iter().map(|_| -1))),
            ("fileName", optional(files)),
            ("lineNumber", optional(functions.iter().map(|function| function.line))),
            ("columnNumber", nulls(functions.len())),
        ],
    );
    let stack_table = table(
        profile.nodes.len(),
        &[
            ("prefix", optional(profile.nodes.iter().map(|node| node.parent))),
            ("frame", column(profile.nodes.iter().map(|node| node.spot))),
        ],
    );
    let exact = profile.is_exact();
    // Time is in milliseconds, and a unit of fuel counts as one.
    let scale = if exact { 1.0 } else { 0.001 };
    let times: Vec<f64> = profile.samples.iter().map(|sample| sample.at as f64 * scale).collect();
    let deltas = times.iter().scan(0.0, |before, &at| Some(milliseconds(at - std::mem::replace(before, at))));
    let samples = table_with(
        profile.samples.len(),
        &[("weightType", quoted(if exact { "samples" } else { "tracing-ms" }))],
        &[
            ("stack", column(profile.samples.iter().map(|sample| sample.node))),
            ("timeDeltas", column(deltas)),
            ("weight", column(profile.samples.iter().map(|sample| milliseconds(sample.weight as f64 * scale)))),
            ("threadCPUDelta", nulls(profile.samples.len())),
        ],
    );
    let empty = |names: &[&str]| {
        let columns: Vec<(&str, String)> = names.iter().map(|name| (*name, "[]".to_owned())).collect();
        table(0, &columns)
    };
    let end_ms = times.last().copied().unwrap_or(0.0).max(profile.span as f64 * scale);
    let members = [
        ("frameTable", frame_table),
        ("funcTable", func_table),
        ("markers", empty(&["category", "data", "endTime", "name", "phase", "startTime"])),
        ("name", quoted("GeckoMain")),
        ("isMainThread", "true".to_owned()),
        ("nativeSymbols", empty(&["address", "functionSize", "libIndex", "name"])),
        ("pausedRanges", "[]".to_owned()),
        ("pid", quoted("1")),
        ("processName", quoted(&title.file)),
        ("processShutdownTime", milliseconds(end_ms)),
        ("processStartupTime", "0".to_owned()),
        ("processType", quoted("default")),
        ("registerTime", "0".to_owned()),
        ("resourceTable", empty(&["lib", "name", "host", "type"])),
        ("samples", samples),
        ("stackTable", stack_table),
        ("stringArray", column(strings.texts.iter().map(|text| quoted(text)))),
        ("tid", quoted("1")),
        ("unregisterTime", milliseconds(end_ms)),
        ("showMarkersInTimeline", "false".to_owned()),
    ];
    object(&members)
}

/// Texts by number.
#[derive(Default)]
struct Strings {
    texts: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Strings {
    fn number(&mut self, text: &str) -> usize {
        if let Some(&known) = self.numbers.get(text) {
            return known;
        }
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), self.texts.len() - 1);
        self.texts.len() - 1
    }
}

fn quoted(text: &str) -> String {
    json::text(&Datum::from(text))
}

/// To the nanosecond, as more digits say nothing.
fn milliseconds(time_ms: f64) -> String {
    let text = format!("{time_ms:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn column<T: Display>(values: impl IntoIterator<Item = T>) -> String {
    let mut out = String::from("[");
    for (nth, value) in values.into_iter().enumerate() {
        let _ = write!(out, "{}{value}", if nth > 0 { "," } else { "" });
    }
    out.push(']');
    out
}

fn optional<T: Display>(values: impl IntoIterator<Item = Option<T>>) -> String {
    column(values.into_iter().map(|value| value.map_or_else(|| "null".to_owned(), |value| value.to_string())))
}

fn nulls(count: usize) -> String {
    column((0..count).map(|_| "null"))
}

fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn table(length: usize, columns: &[(&str, String)]) -> String {
    table_with(length, &[], columns)
}

fn table_with(length: usize, first: &[(&str, String)], columns: &[(&str, String)]) -> String {
    let mut members = vec![("length", length.to_string())];
    members.extend_from_slice(first);
    members.extend_from_slice(columns);
    object(&members)
}
