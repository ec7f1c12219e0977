//! A long run at full load: does memory stay flat, does latency stay bounded, does the disk hold what the log says and no more?
//!
//! 256 producers that wait for each answer, on a store in `sync`: sensors keep a level, a peak and their last readings, and each
//! sixteenth message of a sensor goes on to a gateway, whose reply comes back as a promise. So every kind of row changes all the time.

use std::path::Path;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use twintalk_runtime::{Durability, FeedMessage, OpenOptions, System};

use crate::measure::resident_set_bytes;
use crate::turns::{Silent, integer, program};

const PLANT: &str =
    "twin Gateway = ( | total <- 0. last <- 0. | report: n = ( last := n. total := total + 1. ^total ) )
twin Sensor = ( | level <- 0. peak <- 0. count <- 0. acknowledged <- 0. recent |
  created = ( recent := List new )
  level: n = (
    level := n. count := count + 1.
    peak := peak max: n.
    recent add: n.
    recent size > 32 ifTrue: [ recent removeFirst ].
    count \\\\ 16 = 0 ifTrue: [
      ((Gateway at: 'gateway-' , (n \\\\ 100) printString) ! report: n) then: [ :total | acknowledged := total ] ] ) )
0 to: 99 do: [ :number | Gateway ensure: 'gateway-' , number printString ].";
const SENSORS: u64 = 100_000;
const PRODUCERS: usize = 256;
/// How many rows the table has.
const PERIODS: u32 = 15;
/// What memory may grow by after the first three periods, in which caches and tables of RocksDB fill up.
const GROWTH_MAX: f64 = 0.05;

/// One row: what one period showed.
struct Period {
    minutes: f64,
    messages: u64,
    seconds: f64,
    /// From the message to its record on disk, in microseconds.
    latency: Histogram<u64>,
    resident_bytes: f64,
    disk_bytes: u64,
    records: u64,
}

/// Runs for `minutes`, and prints a row every fifteenth of it; `write` puts the table into `benches/results/soak.md`.
///
/// # Errors
/// Memory grew, or a file could not be written. A smoke run of seconds, in which caches still fill, is not judged.
pub fn soak(minutes: f64, smoke: bool, write: bool) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let options = OpenOptions {
        folder: Some(folder.path().to_owned()),
        durability: Some(Durability::Sync),
        program: Some(program(PLANT)),
        ..OpenOptions::default()
    };
    let mut system = System::open(options).map_err(|error| error.to_string())?;
    system.run_program(Vec::new(), None, &mut Silent).map_err(|error| error.to_string())?;
    let period = Duration::from_secs_f64(minutes * 60.0 / f64::from(PERIODS));
    let start = Instant::now();
    let mut number = 0;
    let mut rows: Vec<Period> = Vec::new();
    println!("{HEAD}");
    for nth in 1..=PERIODS {
        let (began, first) = (Instant::now(), number);
        let mut latency = Histogram::new(3).expect("three digits");
        while start.elapsed() < period * nth {
            group(&mut system, &mut number, &mut latency)?;
        }
        rows.push(Period {
            minutes: start.elapsed().as_secs_f64() / 60.0,
            messages: number - first,
            seconds: began.elapsed().as_secs_f64(),
            latency,
            resident_bytes: resident_set_bytes(),
            disk_bytes: folder_bytes(folder.path()),
            records: system.records(),
        });
        println!("{}", rows[rows.len() - 1].row());
    }
    let all: Histogram<u64> = rows.iter().fold(Histogram::new(3).expect("three digits"), |mut all, row| {
        all.add(&row.latency).expect("values of the same range");
        all
    });
    let settled = rows[rows.len() / 5].resident_bytes;
    let growth = rows[rows.len() - 1].resident_bytes / settled - 1.0;
    let verdict = format!(
        "{number} messages of {SENSORS} sensors in {minutes:.1} minutes. Latency over all: {}. Memory after the first three rows: \
         {:+.1} %, of {:.0} % at most.",
        quantiles(&all),
        growth * 100.0,
        GROWTH_MAX * 100.0,
    );
    println!("\n{verdict}");
    if write && !smoke {
        let path = crate::repository().join("benches/results/soak.md");
        let rows: Vec<String> = rows.iter().map(Period::row).collect();
        let text = format!(
            "# A long run at full load\n\nWritten by `make soak WRITE=1`. {}\n\n{}\n\n{verdict}\n\n{HEAD}\n{}\n",
            crate::machine(),
            "256 producers wait for each answer, on a store in `sync` (`benches/src/soak.rs`). Latency is from the message to its record on disk.",
            rows.join("\n")
        );
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if growth > GROWTH_MAX && !smoke { Err(format!("memory grew by {:.1} %", growth * 100.0)) } else { Ok(()) }
}

const HEAD: &str = "| minute | messages/s | p50 ms | p99 ms | p99.9 ms | longest ms | memory MiB | disk MiB | disk bytes a record |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

impl Period {
    fn row(&self) -> String {
        let ms = |value: u64| format!("{:.2}", value as f64 / 1000.0);
        format!(
            "| {:.1} | {:.0} | {} | {} | {} | {} | {:.0} | {:.0} | {:.1} |",
            self.minutes,
            self.messages as f64 / self.seconds,
            ms(self.latency.value_at_quantile(0.5)),
            ms(self.latency.value_at_quantile(0.99)),
            ms(self.latency.value_at_quantile(0.999)),
            ms(self.latency.max()),
            self.resident_bytes / 1_048_576.0,
            self.disk_bytes as f64 / 1_048_576.0,
            self.disk_bytes as f64 / self.records.max(1) as f64,
        )
    }
}

fn quantiles(latency: &Histogram<u64>) -> String {
    let ms = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1000.0;
    format!("p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms", ms(0.5), ms(0.99), ms(0.999))
}

/// A message of each producer, and the commit that all of them wait for.
fn group(system: &mut System, number: &mut u64, latency: &mut Histogram<u64>) -> Result<(), String> {
    let mut sent = [Instant::now(); PRODUCERS];
    for sent in &mut sent {
        *number += 1;
        *sent = Instant::now();
        let path = format!("sensor-{}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % SENSORS);
        let message = FeedMessage {
            number: *number,
            path: &path,
            selector: "level:",
            arguments: &[integer(*number % 10_000)],
            device_time_ns: None,
            make: Some("Sensor"),
        };
        system.feed("soak", &message, &mut Silent).map_err(|error| error.to_string())?;
    }
    system.commit(&mut Silent).map_err(|error| error.to_string())?;
    for sent in sent {
        latency.record(sent.elapsed().as_micros() as u64).expect("grows by itself");
    }
    Ok(())
}

/// What the files in `folder` and below take; one that goes while it is looked at takes nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => folder_bytes(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    sizes.sum()
}
