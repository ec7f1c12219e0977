//! What a profile by the clock costs those who take one.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use twintalk_runtime::profile::{Pace, request};
use twintalk_runtime::{FaultReport, Limits, OpenOptions, Output, Program, System};

use crate::measure::{Figure, Scale, Target, busy_seconds};
use crate::repository;
use crate::turns::program;

/// How often `twintalk profile` looks.
const PERIOD: Duration = Duration::from_millis(1);

/// What is printed is of no account.
struct Deaf;

impl Output for Deaf {
    fn print(&mut self, _text: &str) {}
    fn fault(&mut self, report: &FaultReport) {
        panic!("{report:?}");
    }
}

/// How much longer a program takes while it is profiled, in pairs: once without, once with, so that a machine that gets
/// slower slows both.
pub fn profile(scale: Scale) -> Vec<Figure> {
    let read = |name: &str| {
        let file = repository().join("benches/programs").join(name).with_extension("twin");
        program(&std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
    };
    let turns = program(
        "twin Tank = ( | level <- 0. | fill: n = ( 1 to: 20 do: [ :i | level := level + n ]. ^level ) )
         1 to: (Program arguments at: 1) asNumber do: [ :i | (Tank ensure: 'tank') fill: i ].",
    );
    let programs = [
        ("profile of a program, by the clock: richards", read("richards"), 3),
        ("profile of a program, by the clock: json", read("json"), 16),
        ("profile of turns, by the clock", turns, 60_000),
    ];
    let pairs = if scale.smoke { 2 } else { 31 };
    let figure = |(name, program, size): (&str, Program, u64)| {
        let size = if scale.smoke { "1".to_owned() } else { size.to_string() };
        run(&program, &size, false);
        let more = (0..pairs).map(|_| {
            let (without, with) = (run(&program, &size, false), run(&program, &size, true));
            100.0 * (with / without - 1.0)
        });
        Figure::new(name, "% more", Target::AtMost(5.0), more.collect())
    };
    programs.into_iter().map(figure).collect()
}

/// How many seconds of a processor a run takes; with those of who asks for samples.
fn run(program: &Program, size: &str, profiled: bool) -> f64 {
    let limits = Limits { fuel: i64::MAX, ..Limits::default() };
    let options = OpenOptions { program: Some(program.clone()), limits, ..OpenOptions::default() };
    let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
    let run = |system: &mut System| {
        system.run_program(vec![size.to_owned()], None, &mut Deaf).unwrap_or_else(|error| panic!("{error}"));
    };
    if !profiled {
        return busy_seconds(&mut || run(&mut system));
    }
    let (stop, stopped) = channel::<()>();
    let asking = std::thread::spawn(move || {
        busy_seconds(&mut || {
            let begun = Instant::now();
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(PERIOD) {
                request(begun.elapsed().as_micros() as u64);
            }
        })
    });
    let mut seconds = busy_seconds(&mut || {
        system.start_profile(Pace::Requests);
        run(&mut system);
    });
    drop(stop);
    seconds += asking.join().expect("it ends when it is told");
    assert!(system.take_profile().is_some(), "one was started");
    seconds
}
