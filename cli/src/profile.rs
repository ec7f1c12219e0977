//! `twintalk profile`: where a program, and the turns that it causes, spend time, memory and sends. `twintalk feed` says the
//! same of the turns of its rows.
//!
//! The program runs as with `run`. Meanwhile a thread asks the VMs for samples, or with `--every` they take them by
//! themselves, whenever so much fuel was spent ([`Watch`]). What was noted is shown in several forms, a file each.

use std::fs;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use twintalk_runtime::profile::{Pace, Profile, request};
use twintalk_runtime::{FaultReport, Given, OpenOptions, Output, Request, System};

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
    /// The report as JSON, one object a line; what the program prints goes to standard error
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    forms: Forms,
    /// What the program finds in Program arguments
    #[arg(last = true, value_name = "ARG")]
    arguments: Vec<String>,
}

/// The names of [`Forms`].
pub const FORMS: [&str; 6] = ["rate", "every", "top", "flame", "folded", "firefox"];

/// How a profile is taken, and the forms that it is shown in.
#[derive(Args)]
pub struct Forms {
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
    /// A flame graph
    #[arg(long, value_name = "FILE.svg")]
    flame: Option<PathBuf>,
    /// Stacks and what they weigh, one a line
    #[arg(long, value_name = "FILE")]
    folded: Option<PathBuf>,
    /// A profile that the Firefox profiler opens
    #[arg(long, value_name = "FILE.json")]
    firefox: Option<PathBuf>,
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
        self.forms.settle(&mut options);
        let mut system = System::open(options)?;
        let mut output = Beside { console: Console::new(), aside: self.json };
        let watch = Watch::start(self.forms, &mut system);
        let outcome = system.run_program(self.arguments, self.for_ns, &mut output);
        let taken = watch.stop(&mut system, file.display().to_string());
        system.close(&mut output)?;
        output.console.flush();
        // A program that faulted has a profile too.
        taken.show(self.json)?;
        outcome?;
        Ok(if output.console.faults > 0 { Exit::Wrong } else { Exit::Done })
    }
}

impl Forms {
    /// What a profile asks of how the store is opened.
    pub fn settle(&self, options: &mut OpenOptions) {
        if self.every.is_some() {
            // The same in each run: threads would take turns as it comes.
            options.threads = Some(1);
        }
    }
}

/// A profile that is being taken.
pub struct Watch {
    forms: Forms,
    /// Where samples are taken by the clock.
    ticker: Option<Ticker>,
    started: Duration,
    begun: Instant,
}

impl Watch {
    /// Starts one.
    pub fn start(forms: Forms, system: &mut System) -> Watch {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let begun = Instant::now();
        let ticker = match forms.every {
            Some(every) => {
                system.start_profile(Pace::Fuel(every));
                None
            }
            None => {
                let ticker = Ticker::start(Duration::from_nanos(1_000_000_000 / forms.rate));
                system.start_profile(Pace::Requests);
                Some(ticker)
            }
        };
        Watch { forms, ticker, started, begun }
    }

    /// Ends it. `file`: what was run, or fed.
    pub fn stop(self, system: &mut System, file: String) -> Taken {
        let by_fuel = self.ticker.is_none();
        if let Some(ticker) = self.ticker {
            ticker.stop();
        }
        let profile = system.take_profile();
        let title = Title {
            file,
            started_ms: if by_fuel { 0.0 } else { self.started.as_secs_f64() * 1000.0 },
            seconds: self.begun.elapsed().as_secs_f64(),
            rate: (!by_fuel).then_some(self.forms.rate),
        };
        Taken { forms: self.forms, profile, title }
    }
}

/// A profile that was taken.
pub struct Taken {
    forms: Forms,
    profile: Option<Profile>,
    title: Title,
}

impl Taken {
    /// Writes the files that were asked for, and the report on standard output: as JSON or to be read.
    ///
    /// # Errors
    /// A file cannot be written, or standard output is closed.
    pub fn show(&self, json: bool) -> Result<(), Failure> {
        let (Some(profile), title) = (&self.profile, &self.title) else { return Ok(()) };
        if let Some(path) = &self.forms.folded {
            write(path, folded::lines(profile).as_bytes())?;
        }
        if let Some(path) = &self.forms.flame {
            write(path, &folded::flame(profile, title).map_err(|error| Failure::file(&path.display(), &error))?)?;
        }
        if let Some(path) = &self.forms.firefox {
            write(path, firefox::text(profile, title).as_bytes())?;
        }
        let text = if json { rows::text(profile, title) } else { report::text(profile, title, self.forms.top) };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        Ok(())
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
