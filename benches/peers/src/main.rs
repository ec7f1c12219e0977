//! What users would pick instead, beside TwinTalk in one run: `make peers`.
//!
//! Each system has entities with three integers. Measured are: a message to one entity that nobody waits for; one with an answer
//! that is waited for; messages to entities at random; and what an idle entity takes in memory, by how many there are.
//! Each measurement is a process of its own. Time is what its thread spent on a processor, with one thread for
//! all of the system, so what else runs on the machine matters little.
//!
//! The systems do not do the same. A message to a twin that changes it is a turn: it commits whole or leaves nothing, and its record is in the
//! log, here one in memory. The peers change a field.

mod counting;
mod erlang;
mod peers;
mod plain;
mod plot;
mod twintalk;

use std::fmt::Write as _;
use std::process::Command;
use std::time::Duration;

pub use counting::{begin_counting, counted_bytes};

/// How many messages a round has.
const MESSAGES: u64 = 200_000;
/// How many answers are waited for.
const ASKS: u64 = 50_000;
/// How many entities random messages go to.
const ENTITIES: u64 = 100_000;
/// How many rounds there are after one to warm up.
const ROUNDS: usize = 5;
/// At how many entities memory is measured.
const COUNTS: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Nanoseconds a message to one entity, which nobody waits for.
    Tell,
    /// Nanoseconds a message and its answer.
    Ask,
    /// Nanoseconds a message to an entity at random.
    Random,
    /// Bytes an idle entity, where there are so many.
    Idle(u64),
}

impl Measure {
    fn words(self) -> String {
        match self {
            Measure::Tell => "tell".to_owned(),
            Measure::Ask => "ask".to_owned(),
            Measure::Random => "random".to_owned(),
            Measure::Idle(count) => format!("idle {count}"),
        }
    }

    fn from_words(words: &[String]) -> Option<Measure> {
        match words {
            [word] if word == "tell" => Some(Measure::Tell),
            [word] if word == "ask" => Some(Measure::Ask),
            [word] if word == "random" => Some(Measure::Random),
            [word, count] if word == "idle" => count.parse().ok().map(Measure::Idle),
            _ => None,
        }
    }
}

/// A system: its name, and what measures it; `None` where it is not to be had here.
type System = (&'static str, fn(Measure) -> Option<f64>);

const SYSTEMS: [System; 6] = [
    ("a hash map and direct calls", plain::measure),
    ("TwinTalk", twintalk::measure),
    ("actix", peers::actix),
    ("ractor", peers::ractor),
    ("kameo", peers::kameo),
    ("Erlang", erlang::measure),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, system, rest @ ..] = &words[..]
        && flag == "--one"
    {
        let system = SYSTEMS.iter().find(|(name, _)| name == system).expect("a system");
        if let Some(value) = (system.1)(Measure::from_words(rest).expect("a measurement")) {
            println!("{value}");
        }
        return;
    }
    let measures: Vec<Measure> =
        [Measure::Tell, Measure::Ask, Measure::Random].into_iter().chain(COUNTS.map(Measure::Idle)).collect();
    let mut table = String::from(
        "| system | tell, ns | ask, ns | random, ns | bytes idle, 1 k | 10 k | 100 k | 1 M |\n\
         | --- | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    let mut lines = Vec::new();
    for (name, _) in SYSTEMS {
        eprintln!("measuring {name} ...");
        let values: Vec<Option<f64>> = measures.iter().map(|&measure| one(name, measure)).collect();
        let cells: Vec<String> =
            values.iter().map(|value| value.map_or("-".to_owned(), |value| format!("{value:.0}"))).collect();
        let _ = writeln!(table, "| {name} | {} |", cells.join(" | "));
        lines.push((name, values[3..].to_vec()));
    }
    println!("{table}");
    if words.iter().any(|word| word == "--write") {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../results");
        let text = format!("{}{table}\n![bytes of an idle entity](peers.svg)\n", include_str!("head.md"));
        std::fs::write(folder.join("peers.md"), text).expect("written");
        std::fs::write(folder.join("peers.svg"), plot::lines(&COUNTS, &lines)).expect("written");
    }
}

/// Measures in a process of its own.
fn one(system: &str, measure: Measure) -> Option<f64> {
    let program = std::env::current_exe().expect("this program");
    let words = measure.words();
    let output = Command::new(program).args(["--one", system]).args(words.split(' ')).output().expect("it starts");
    assert!(output.status.success(), "{system}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// The middle of some rounds of `work`, in nanoseconds of a processor for each of `count` things.
pub fn ns_each(count: u64, mut work: impl FnMut()) -> f64 {
    work();
    let mut values: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = busy();
            work();
            (busy() - start).as_nanos() as f64 / count as f64
        })
        .collect();
    values.sort_by(f64::total_cmp);
    values[ROUNDS / 2]
}

/// The time that this thread has spent on a processor.
fn busy() -> Duration {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts it");
    Duration::from_nanos(text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("nanoseconds first"))
}

/// Numbers below `count` in no order, each as often.
pub fn scattered(nth: u64, count: u64) -> u64 {
    nth.wrapping_mul(2_147_483_647) % count
}

/// The name of an entity, of ten characters.
pub fn name(number: u64) -> String {
    format!("s{number:09}")
}
