//! Figures: a quantity measured in several rounds, with its median and its range, and the table of all of them.

use std::time::{Duration, Instant};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// A few seconds for everything: to see that it runs, not how fast.
    pub smoke: bool,
    /// How many twins the largest store has, but for a smoke run.
    pub twins: u64,
}

impl Scale {
    /// `full` things, or a thousandth of them, at least one.
    pub fn of(self, full: u64) -> u64 {
        if self.smoke { (full / 1000).max(1) } else { full }
    }

    /// How many rounds are measured.
    pub fn rounds(self) -> usize {
        if self.smoke { 2 } else { 7 }
    }
}

/// What a figure is held against.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// It is to be no more than this.
    AtMost(f64),
    /// It is to be no less than this.
    AtLeast(f64),
    /// It explains another figure.
    None,
}

/// One measured quantity.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// In what.
    pub unit: String,
    /// The design's target.
    pub target: Target,
    /// One value a round, ascending.
    values: Vec<f64>,
}

impl Figure {
    /// A figure of the values of its rounds.
    pub fn new(name: impl Into<String>, unit: impl Into<String>, target: Target, mut values: Vec<f64>) -> Figure {
        assert!(!values.is_empty(), "a figure has at least one round");
        values.sort_by(f64::total_cmp);
        Figure { name: name.into(), unit: unit.into(), target, values }
    }

    /// The middle value.
    pub fn median(&self) -> f64 {
        self.values[self.values.len() / 2]
    }

    /// The figure as one line, for [`Figure::from_line`] in another process.
    pub fn to_line(&self) -> String {
        let (kind, limit) = match self.target {
            Target::AtMost(limit) => ("most", limit),
            Target::AtLeast(limit) => ("least", limit),
            Target::None => ("none", 0.0),
        };
        let values: Vec<String> = self.values.iter().map(f64::to_string).collect();
        format!("{}\t{}\t{kind}\t{limit}\t{}", self.name, self.unit, values.join(" "))
    }

    /// The figure of a line that [`Figure::to_line`] wrote.
    pub fn from_line(line: &str) -> Option<Figure> {
        let mut parts = line.split('\t');
        let (name, unit, kind) = (parts.next()?, parts.next()?.to_owned(), parts.next()?);
        let limit: f64 = parts.next()?.parse().ok()?;
        let target = match kind {
            "most" => Target::AtMost(limit),
            "least" => Target::AtLeast(limit),
            _ => Target::None,
        };
        let values: Option<Vec<f64>> = parts.next()?.split(' ').map(|value| value.parse().ok()).collect();
        Some(Figure::new(name, unit, target, values?))
    }

    /// Whether the median reaches the target, in words.
    fn verdict(&self) -> String {
        let (wanted, factor) = match self.target {
            Target::None => return String::new(),
            Target::AtMost(limit) => (format!("at most {}", number(limit)), self.median() / limit),
            Target::AtLeast(limit) => (format!("at least {}", number(limit)), limit / self.median()),
        };
        if factor <= 1.0 { format!("{wanted}: reached") } else { format!("{wanted}: missed, {factor:.1} times off") }
    }
}

/// Three figures of precision.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// The figures as a table in Markdown; those of a smoke run are held against nothing.
pub fn table(scale: Scale, figures: &[Figure]) -> String {
    let mut rows = vec![["what", "median", "lowest .. highest", "unit", "target"].map(str::to_owned)];
    rows.extend(figures.iter().map(|figure| {
        let (first, last) = (figure.values[0], figure.values[figure.values.len() - 1]);
        [
            figure.name.clone(),
            number(figure.median()),
            format!("{} .. {}", number(first), number(last)),
            figure.unit.clone(),
            if scale.smoke { String::new() } else { figure.verdict() },
        ]
    }));
    let widths: Vec<usize> =
        (0..5).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for (nth, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
        if nth == 0 {
            let lines: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text.push_str(&format!("| {} |\n", lines.join(" | ")));
        }
    }
    text
}

/// The time that this thread has spent on a processor: what else runs on the machine does not count.
fn busy() -> Duration {
    // The scheduler brings its account up to date.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts it");
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.expect("nanoseconds first"))
}

/// Does `work` and answers how many seconds of a processor this thread took for it. For work that waits for nothing.
pub fn busy_seconds(work: &mut dyn FnMut()) -> f64 {
    let start = busy();
    work();
    (busy() - start).max(Duration::from_nanos(1)).as_secs_f64()
}

/// Does `work` and answers how many seconds went by on the wall. For work that waits for disks or processes.
pub fn wall_seconds(work: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Nanoseconds of each of `count` things that `work` does, once a round; `work` is told the round, from 0. One
/// round before those warms caches up.
pub fn ns_each(scale: Scale, count: u64, clock: fn(&mut dyn FnMut()) -> f64, mut work: impl FnMut(u64)) -> Vec<f64> {
    work(0);
    (1..=scale.rounds() as u64).map(|round| clock(&mut || work(round)) * 1e9 / count as f64).collect()
}

/// The resident set of this process, in bytes.
pub fn resident_set_bytes() -> f64 {
    const PAGE_BYTES: f64 = 4096.0;
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).expect("a number of pages") * PAGE_BYTES
}
