//! TwinTalk: in memory for messages, from its rows at rest for idle twins.

use std::hint::black_box;

use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_runtime::{Datum, Durability, FaultReport, FeedMessage, OpenOptions, Output, Program, System, kernel};

use crate::{ASKS, ENTITIES, MESSAGES, Measure, begin_counting, counted_bytes, name, ns_each, scattered};

const DEFINITIONS: &str = "
    twin Sensor = (
      | level <- 0. low <- 0. high <- 0. |
      level: n = ( level := n. low := low min: n. high := high max: n )
      query level = ( ^level ) )
    twin Source = (
      tell: n = ( | sensor | sensor := Sensor at: 's000000000'. 1 to: n do: [ :i | sensor ! level: i ] ) )
    twin Watcher = (
      | last |
      ask: n = ( | sensor | sensor := Sensor at: 's000000000'. n timesRepeat: [ last := sensor level ]. ^last ) )
    Sensor ensure: 's000000000'. Source ensure: 'source'. Watcher ensure: 'watcher'.";

struct Silent;

impl Output for Silent {
    fn print(&mut self, text: &str) {
        panic!("nothing prints, but this came out: {text}");
    }
    fn fault(&mut self, report: &FaultReport) {
        panic!("{} {}: {}", report.path, report.selector, report.fault);
    }
}

fn open(options: OpenOptions) -> System {
    let source = SourceText { name: "peers.twin".to_owned(), text: DEFINITIONS.to_owned() };
    let compilation = compile(vec![source], &mut NoSources, &[kernel::image()]);
    let program = Program::new(compilation.image.expect("it compiles"));
    let limits = twintalk_runtime::Limits { fuel: i64::MAX, ..twintalk_runtime::Limits::default() };
    let mut system = System::open(OpenOptions { program: Some(program), limits, ..options })
        .unwrap_or_else(|error| panic!("{error}"));
    system.run_program(Vec::new(), None, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    system
}

/// Tells `count` sensors, the number of the first message being one more than `before`.
fn feed(system: &mut System, before: u64, count: u64, sensor: impl Fn(u64) -> String) {
    for nth in 0..count {
        let message = FeedMessage {
            number: before + nth + 1,
            path: &sensor(nth),
            selector: "level:",
            arguments: &[Datum::Int((nth as i64).into())],
            device_time_ns: None,
            make: Some("Sensor"),
        };
        system.feed("peers", &message, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    }
    system.commit(&mut Silent).expect("committed");
}

/// See [`Measure`].
pub fn measure(measure: Measure) -> Option<f64> {
    let number = |count: u64| [Datum::Int((count as i64).into())];
    Some(match measure {
        Measure::Tell => {
            let mut system = open(OpenOptions::default());
            ns_each(MESSAGES, || {
                // A turn sends so many at most.
                for _ in 0..MESSAGES / 20_000 {
                    system.send("source", "tell:", &number(20_000), &mut Silent).expect("told");
                }
            })
        }
        Measure::Ask => {
            let mut system = open(OpenOptions::default());
            ns_each(ASKS, || {
                for _ in 0..ASKS {
                    black_box(system.send("s000000000", "level", &[], &mut Silent).expect("answered"));
                }
            })
        }
        Measure::Random => {
            let mut system = open(OpenOptions::default());
            feed(&mut system, 0, ENTITIES, name);
            let names: Vec<String> = (0..MESSAGES).map(|nth| name(scattered(nth, ENTITIES))).collect();
            let mut before = ENTITIES;
            ns_each(MESSAGES, || {
                feed(&mut system, before, MESSAGES, |nth| names[nth as usize].clone());
                before += MESSAGES;
            })
        }
        Measure::Idle(count) => {
            let folder = tempfile::tempdir().expect("a folder");
            let options = || OpenOptions {
                folder: Some(folder.path().to_owned()),
                durability: Some(Durability::Async),
                ..OpenOptions::default()
            };
            let mut system = open(options());
            feed(&mut system, 0, count, name);
            system.close(&mut Silent).expect("closed");
            let mut system = open(options());
            begin_counting();
            for number in 0..count {
                system.exists(&name(number)).expect("its row");
            }
            assert!(system.residents().0 as u64 >= count, "all are in memory");
            counted_bytes() / count as f64
        }
    })
}
