//! `twintalk feed`: each row of a table is one message of a named sender.
//!
//! A thread reads rows ahead. The runtime commits when it has gathered enough, and here whenever no
//! row is waiting, so that a slow source is acknowledged at once and a fast one in large groups. A
//! row that was taken in an earlier run is acknowledged and not run again: the same command, started
//! again after whatever happened, ends in the same state.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvError, TryRecvError, sync_channel};
use std::thread;

use clap::{Args, ValueEnum};
use twintalk_bytecode::verify::selector_arguments;
use twintalk_runtime::datum::Datum;
use twintalk_runtime::{ClockKind, FeedMessage, SendError, System, time};

use crate::console::Console;
use crate::exit::{Exit, Failure, Outcome};
use crate::load;
use crate::profile::{FORMS, Forms, Watch};
use crate::progress::Progress;
use crate::rows::{Field, Format, Row, Table};
use crate::store::Install;
use crate::template::Template;
use crate::terminal::{count, person_on_stderr, say};
use crate::trial;

/// How many rows are read ahead.
const ROWS_AHEAD: usize = 4096;

/// Send each row of a table as a message
#[derive(Args)]
#[command(mut_group("Forms", |forms| forms.requires("profile")))]
// With those of a profile the help would not fit a screen; --profile says where they are.
#[command(mut_args(|arg| if FORMS.contains(&arg.get_id().as_str()) { arg.hide(true) } else { arg }))]
pub struct Feed {
    /// A table; - for standard input
    input: PathBuf,
    /// Definitions; those of the store if not given
    #[arg(value_name = "DEFS")]
    definitions: Vec<PathBuf>,
    /// Where the twins live
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// Whom to send to: plant-{line}/pump-{id} has columns line, id
    #[arg(long, value_name = "PATH")]
    to: String,
    /// What to send
    #[arg(long, value_name = "SELECTOR")]
    send: String,
    /// The columns that are its arguments
    #[arg(long, value_name = "COL,...", value_delimiter = ',')]
    args: Vec<String>,
    /// What the file holds; by its name if not given
    #[arg(long, value_name = "csv|jsonl", hide_possible_values = true)]
    format: Option<Format>,
    /// The sender's name, which numbers the rows; the file's name if not given
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// The column with the device's time
    #[arg(long, value_name = "COL")]
    time: Option<String>,
    /// Let that time drive the store's clock and timers
    #[arg(long, value_name = "device", requires = "time", hide_possible_values = true)]
    clock: Option<ClockArgument>,
    /// Make missing twins from this definition; the only twin if not given
    #[arg(long = "as", value_name = "PROTOTYPE")]
    prototype: Option<String>,
    /// Print `ack ROW`: all rows up to it are durable
    #[arg(long)]
    acks: bool,
    /// Begin at this row; the first is 1
    #[arg(long, value_name = "ROW", default_value_t = 1, hide_default_value = true)]
    from: u64,
    #[command(flatten)]
    install: Install,
    /// Say at the end where the time went, as profile does, with its options
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    forms: Forms,
}

/// What `--clock` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ClockArgument {
    /// The column of --time
    Device,
}

/// A row, and how much of the input is read with it.
type Arrival = Result<(Row, u64), String>;

impl Feed {
    /// Feeds them.
    pub fn run(self) -> Outcome {
        let plan = Plan::of(&self)?;
        let source = self.source_name()?;
        let (input, bytes_total) = open(&self.input)?;
        let table = Table::open(input, self.table_format(), &plan.columns)
            .map_err(|error| Failure::wrong(format!("{}: {error}", self.input.display())))?;
        let program = match &*self.definitions {
            [] => None,
            paths => {
                let (folders, files): (Vec<_>, Vec<_>) = paths.iter().cloned().partition(|path| path.is_dir());
                Some(load::program(&files, &folders)?)
            }
        };
        let mut options = self.install.options(Some(self.store.clone()), program);
        options.clock = self.clock.map(|ClockArgument::Device| ClockKind::Driven);
        if self.profile {
            self.forms.settle(&mut options);
        }
        let mut system = System::open(options)?;
        let make = match &self.prototype {
            Some(prototype) => Some(prototype.clone()),
            None => match &*system.twin_definitions() {
                [only] => Some(only.clone()),
                [] | [_, ..] => None,
            },
        };
        let mut console = Console::new();
        trial::report_orphans(&system, &mut console);
        console.feed = Some(source.clone());
        console.progress = Progress::start(bytes_total, "bytes");
        let watch = self.profile.then(|| Watch::start(self.forms, &mut system));
        let mut feeder = Feeder { system, console, source, plan, make, acks: self.acks, tally: Tally::default() };
        let fed = feeder.feed(&read_ahead(table), self.from).and_then(|()| feeder.commit());
        let taken = watch.map(|watch| watch.stop(&mut feeder.system, self.input.display().to_string()));
        let outcome = feeder.finish(fed);
        // A feed with rows that failed has a profile too.
        if let Some(taken) = taken {
            taken.show(false)?;
        }
        outcome
    }

    fn table_format(&self) -> Format {
        let by_name = || match self.input.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "ndjson" | "json") => Format::Jsonl,
            Some(_) | None => Format::Csv,
        };
        self.format.unwrap_or_else(by_name)
    }

    fn source_name(&self) -> Result<String, Failure> {
        match &self.source {
            Some(name) => Ok(name.clone()),
            // All that is ever piped in would be one sender, whose row 1 is long taken.
            None if self.input == Path::new("-") => Err(Failure::usage("rows of standard input need a --source NAME")),
            None => Ok(self.input.file_name().unwrap_or_default().to_string_lossy().into_owned()),
        }
    }
}

fn open(path: &Path) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path).map_err(|error| Failure::file(&path.display(), &error))?;
    let bytes_total = file.metadata().ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len());
    Ok((Box::new(file), bytes_total))
}

fn read_ahead(mut table: Table) -> Receiver<Arrival> {
    let (sender, receiver) = sync_channel(ROWS_AHEAD);
    thread::spawn(move || {
        loop {
            let arrival = match table.next_row() {
                Ok(Some(row)) => Ok((row, table.bytes())),
                Ok(None) => return,
                Err(reason) => Err(reason),
            };
            let is_last = arrival.is_err();
            // Nobody listens once the feed has failed.
            if sender.send(arrival).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// Which columns are what.
struct Plan {
    to: Template,
    selector: String,
    argument_count: usize,
    has_time: bool,
    /// Those of the path, then the arguments, then the time.
    columns: Vec<String>,
}

impl Plan {
    fn of(feed: &Feed) -> Result<Plan, Failure> {
        let to = Template::parse(&feed.to).map_err(|reason| Failure::usage(format!("--to: {reason}")))?;
        let wanted = selector_arguments(&feed.send)
            .ok_or_else(|| Failure::usage(format!("--send: `{}` is no selector", feed.send)))?;
        if wanted != feed.args.len() {
            let wanted = count(wanted, "argument");
            return Err(Failure::usage(format!(
                "`{}` takes {wanted}, and --args names {}",
                feed.send,
                feed.args.len()
            )));
        }
        let columns =
            to.columns().map(str::to_owned).chain(feed.args.iter().cloned()).chain(feed.time.iter().cloned()).collect();
        Ok(Plan { to, selector: feed.send.clone(), argument_count: wanted, has_time: feed.time.is_some(), columns })
    }

    /// Path, arguments and time of a row.
    fn message(&self, fields: &[Field]) -> Result<(String, Vec<Datum>, Option<i64>), String> {
        let (to, rest) = fields.split_at(self.columns.len() - self.argument_count - usize::from(self.has_time));
        let (arguments, time) = rest.split_at(self.argument_count);
        let time_ns = match time {
            [] => None,
            [field, ..] => {
                let text = field.text();
                Some(time::parse_moment_ns(&text).ok_or_else(|| format!("`{text}` is no time"))?)
            }
        };
        let first = self.columns.len() - rest.len();
        let arguments = arguments.iter().zip(&self.columns[first..]).map(|(field, column)| {
            let datum = field.datum();
            match datum.refusal() {
                None => Ok(datum),
                Some(reason) => Err(format!("column {column}: {reason}")),
            }
        });
        Ok((self.to.fill(to)?, arguments.collect::<Result<_, String>>()?, time_ns))
    }
}

#[derive(Default)]
struct Tally {
    /// The last row that was looked at.
    row: u64,
    /// The last row that was acknowledged.
    acked: u64,
    /// How many rows were sent in this run.
    sent: u64,
    /// How many of them were when all were made durable last.
    committed: u64,
    /// How many were taken before.
    taken_before: u64,
    /// How many rows were no message.
    unsent: u64,
}

struct Feeder {
    system: System,
    console: Console,
    source: String,
    plan: Plan,
    make: Option<String>,
    acks: bool,
    tally: Tally,
}

impl Feeder {
    fn feed(&mut self, rows: &Receiver<Arrival>, from: u64) -> Result<(), Failure> {
        let taken = self.system.taken(&self.source)?;
        loop {
            let arrival = match rows.try_recv() {
                Ok(arrival) => arrival,
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) => {
                    self.commit()?;
                    match rows.recv() {
                        Ok(arrival) => arrival,
                        Err(RecvError) => return Ok(()),
                    }
                }
            };
            let (row, bytes) = arrival.map_err(Failure::wrong)?;
            if row.number < from {
                continue;
            }
            self.row(row, taken)?;
            let sent = self.tally.sent;
            self.console.progress.at(bytes, || format!("{sent} rows"));
        }
    }

    fn row(&mut self, row: Row, taken: u64) -> Result<(), Failure> {
        let number = row.number;
        self.tally.row = number;
        if number <= taken {
            self.tally.taken_before += 1;
            return Ok(());
        }
        let (path, arguments, device_time_ns) = match row.fields.and_then(|fields| self.plan.message(&fields)) {
            Ok(message) => message,
            Err(reason) => {
                self.refuse(number, &reason);
                return Ok(());
            }
        };
        let message = FeedMessage {
            number,
            path: &path,
            selector: &self.plan.selector,
            arguments: &arguments,
            device_time_ns,
            make: self.make.as_deref(),
        };
        match self.system.feed(&self.source, &message, &mut self.console) {
            Ok(()) => {
                self.tally.sent += 1;
                self.acknowledge(self.system.acknowledged(&self.source));
            }
            Err(SendError::Store(error)) => return Err(Failure::from(error)),
            Err(error @ (SendError::Argument(_) | SendError::Fault(_))) => self.refuse(number, &error.to_string()),
        }
        Ok(())
    }

    fn refuse(&mut self, number: u64, reason: &str) {
        self.tally.unsent += 1;
        self.console.complain(&format!("row {number}: {reason}"));
    }

    /// Makes all rows so far durable.
    fn commit(&mut self) -> Result<(), Failure> {
        if self.tally.sent > self.tally.committed {
            self.system.commit(&mut self.console)?;
            self.tally.committed = self.tally.sent;
        }
        self.acknowledge(self.tally.row);
        Ok(())
    }

    /// All rows up to `row` are durable.
    fn acknowledge(&mut self, row: u64) {
        if row <= self.tally.acked {
            return;
        }
        self.tally.acked = row;
        if self.acks {
            self.console.line(&format!("ack {row}"));
            self.console.flush();
        }
    }

    fn finish(mut self, fed: Result<(), Failure>) -> Outcome {
        if let Err(failure) = fed {
            // What is committed stays; the rest is fed again next time.
            self.console.progress = Progress::none();
            self.console.flush();
            return Err(failure);
        }
        let Feeder { system, mut console, tally, .. } = self;
        system.close(&mut console)?;
        console.progress = Progress::none();
        console.flush();
        let failures = console.faults + tally.unsent;
        if person_on_stderr() || failures > 0 {
            let before = match tally.taken_before {
                0 => String::new(),
                rows => format!(", {rows} taken before"),
            };
            say(&format!("{}{before}, {}", count(tally.sent as usize, "row"), count(failures as usize, "failure")));
        }
        Ok(if failures > 0 { Exit::Wrong } else { Exit::Done })
    }
}
