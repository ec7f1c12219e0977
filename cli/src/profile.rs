//! `twintalk profile`: where a program, and the turns that it causes, spend time, memory and sends.
//!
//! The program runs as with `run`. Meanwhile a thread asks the VMs for samples, or with `--every` they take them by
//! themselves, whenever so much fuel was spent. What was noted is shown in several forms, a file each.

use std::fs;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use twintalk_runtime::profile::{Pace, Profile, request};
use twintalk_runtime::{FaultReport, Given, Output, Request, System};

use crate::console::Console;
use crate::exit::{Exit, Failure, Outcome};
use crate::store::{Install, duration_ns};
use crate::{load, sources};

mod firefox;
mod folded;
mod report;
mod rows;

/// Run a program and say where its time goes
#[derive(Args)]
#[command(after_help = "By the clock, counts are estimates. By fuel (activations and rounds of loops) they are exact.")]
pub struct ProfileVerb {
    /// A program, an image, or a folder with one
    file: PathBuf,
    /// Folders where capitalised names are sought too
    #[arg(value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// Where twins live on; made on first use
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// Let timers run for so long after the last statement
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_ns)]
    for_ns: Option<i64>,
    /// How many samples a second
    #[arg(long, value_name = "HZ", default_value_t = 1000, conflicts_with = "every",
          value_parser = clap::value_parser!(u64).range(1..=10_000))]
    rate: u64,
    /// Take a sample whenever so much fuel was spent, the same in each run
    #[arg(long, value_name = "FUEL")]
    every: Option<NonZeroU64>,
    /// How many rows a table of the report has
    #[arg(long, value_name = "N", default_value_t = 15)]
    top: usize,
    /// The report as JSON, one object a line; what the program prints goes to standard error
    #[arg(long)]
    json: bool,
    /// A flame graph
    #[arg(long, value_name = "FILE.svg")]
    flame: Option<PathBuf>,
    /// Stacks and what they weigh, one a line
    #[arg(long, value_name = "FILE")]
    folded: Option<PathBuf>,
    /// A profile that the Firefox profiler opens
    #[arg(long, value_name = "FILE.json")]
    firefox: Option<PathBuf>,
    /// What the program finds in Program arguments
    #[arg(last = true, value_name = "ARG")]
    arguments: Vec<String>,
}

/// What a form of a profile is told beside it.
pub struct Title {
    /// The file that was run.
    pub file: String,
    /// When it was, in milliseconds since 1970; 0 where every run is to be the same.
    pub started_ms: f64,
    /// How long it took.
    pub seconds: f64,
    /// Samples a second, if they were taken by the clock.
    pub rate: Option<u64>,
}

impl ProfileVerb {
    /// Runs it.
    pub fn run(self) -> Outcome {
        let (file, folders) = sources::of_program(self.file, self.folders)?;
        let program = load::program(std::slice::from_ref(&file), &folders)?;
        let install = Install { upgrade: false, mode: None, partitions: None };
        let mut options = install.options(self.store, Some(program));
        if self.every.is_some() {
            // The same in each run: threads would take turns as it comes.
            options.threads = Some(1);
        }
        let mut system = System::open(options)?;
        let mut output = Beside { console: Console::new(), aside: self.json };
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let begun = Instant::now();
        let outcome = match self.every {
            Some(every) => {
                system.start_profile(Pace::Fuel(every));
                system.run_program(self.arguments, self.for_ns, &mut output)
            }
            None => {
                let ticker = Ticker::start(Duration::from_nanos(1_000_000_000 / self.rate));
                system.start_profile(Pace::Requests);
                let outcome = system.run_program(self.arguments, self.for_ns, &mut output);
                ticker.stop();
                outcome
            }
        };
        let profile = system.take_profile();
        let title = Title {
            file: file.display().to_string(),
            started_ms: if self.every.is_some() { 0.0 } else { started.as_secs_f64() * 1000.0 },
            seconds: begun.elapsed().as_secs_f64(),
            rate: self.every.is_none().then_some(self.rate),
        };
        system.close(&mut output)?;
        output.console.flush();
        // A program that faulted has a profile too.
        if let Some(profile) = profile {
            if let Some(path) = &self.folded {
                write(path, folded::lines(&profile).as_bytes())?;
            }
            if let Some(path) = &self.flame {
                write(path, &folded::flame(&profile, &title).map_err(|error| Failure::file(&path.display(), &error))?)?;
            }
            if let Some(path) = &self.firefox {
                write(path, firefox::text(&profile, &title).as_bytes())?;
            }
            let text = if self.json { rows::text(&profile, &title) } else { report::text(&profile, &title, self.top) };
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
        outcome?;
        Ok(if output.console.faults > 0 { Exit::Wrong } else { Exit::Done })
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| Failure::file(&path.display(), &error))
}

/// What the program shows, on standard output or aside.
struct Beside {
    console: Console,
    aside: bool,
}

impl Output for Beside {
    fn print(&mut self, text: &str) {
        if self.aside {
            // A closed standard error is none of our business.
            let _ = io::stderr().write_all(text.as_bytes());
        } else {
            self.console.print(text);
        }
    }

    fn fault(&mut self, report: &FaultReport) {
        self.console.fault(report);
    }

    fn machine(&mut self, request: &Request) -> Result<Given, String> {
        self.console.machine(request)
    }
}

/// A thread that asks for samples.
struct Ticker {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Ticker {
    fn start(period: Duration) -> Ticker {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            let begun = Instant::now();
            let mut next = period;
            loop {
                match stopped.recv_timeout(next.saturating_sub(begun.elapsed())) {
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {}
                }
                let now = begun.elapsed();
                request(u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
                // What was missed, as the machine had other things to do, is in the weight of the sample.
                next = (next + period).max(now);
            }
        });
        Ticker { stop, thread }
    }

    /// Stops it, with a last request: a profile ends with the time that it is.
    fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}

/// What part `weight` is of `all`, in percent.
fn percent(weight: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { 100.0 * weight as f64 / all as f64 }
}

/// The prototype and place of a function of a profile: `tank.twin:12`, or where the image was stripped the word.
fn place(profile: &Profile, spot: usize) -> String {
    let spot = profile.spots[spot];
    let function = &profile.functions[spot.function];
    match (&function.file, spot.line) {
        (Some(file), Some((line, _))) => format!("{file}:{line}"),
        (_, _) => format!("word {}", spot.word),
    }
}
