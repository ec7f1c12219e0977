//! What a message costs, near and far, in memory.

use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_runtime::{Datum, FaultReport, Limits, OpenOptions, Output, Program, System, kernel};

use crate::measure::{Figure, Scale, Target, busy_seconds, ns_each};

/// Nothing that is measured prints or fails.
pub struct Silent;

impl Output for Silent {
    fn print(&mut self, text: &str) {
        panic!("printed {text}");
    }
    fn fault(&mut self, report: &FaultReport) {
        panic!("{report:?}");
    }
}

/// The program of a text.
pub fn program(text: &str) -> Program {
    let source = SourceText { name: "bench.twin".to_owned(), text: text.to_owned() };
    let compilation = compile(vec![source], &mut NoSources, &[kernel::image()]);
    assert!(compilation.image.is_some(), "{:#?}", compilation.diagnostics);
    Program::new(compilation.image.expect("looked at above"))
}

/// A program on a store in memory, its statements run.
pub fn in_memory(text: &str) -> System {
    let limits = Limits { fuel: i64::MAX, ..Limits::default() };
    let options = OpenOptions { program: Some(program(text)), limits, ..OpenOptions::default() };
    let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
    system.run_program(Vec::new(), None, &mut Silent).unwrap_or_else(|error| panic!("{error}"));
    system
}

/// An integer as a message carries it.
pub fn integer(number: u64) -> Datum {
    Datum::field(&number.to_string())
}

/// Sends a message and answers what its answer looks like.
pub fn send(system: &mut System, path: &str, selector: &str, arguments: &[Datum]) -> String {
    system.send(path, selector, arguments, &mut Silent).unwrap_or_else(|error| panic!("{error}")).to_string()
}

/// A loop of sends inside one turn.
pub fn sends(scale: Scale) -> Vec<Figure> {
    let mut system = in_memory(
        "object Counter = ( | count <- 0. | tick = ( count := count + 1 ) )
         twin Pump = ( | count <- 0. | tick = ( count := count + 1 ) )
         twin Tank = (
           created = ( self part: 'pump' of: Pump )
           objects: rounds = ( | other | other := Counter new. 1 to: rounds do: [ :i | other tick ]. ^other count )
           parts: rounds = ( | pump | pump := self part: 'pump'. 1 to: rounds do: [ :i | pump tick ]. ^pump count ) )
         Tank ensure: 'tank'.",
    );
    let rounds = scale.of(3_000_000);
    let mut figure = |name: &str, selector: &str, target| {
        let values = ns_each(scale, rounds, busy_seconds, |_| {
            send(&mut system, "tank", selector, &[integer(rounds)]);
        });
        Figure::new(name, "ns", target, values)
    };
    vec![
        figure("near send to an object, with slot update and loop", "objects:", Target::AtMost(15.0)),
        figure("near send to a part, with slot update and loop", "parts:", Target::AtMost(15.0)),
    ]
}

/// Far sends between composites: each is a turn of its receiver, with its record.
pub fn far_sends(scale: Scale) -> Vec<Figure> {
    let mut system = in_memory(
        "twin Tank = ( | level <- 0. | fill: n = ( level := level + n )
           go: n = ( n > 0 ifTrue: [ (Tank at: (self name = 'a' ifTrue: [ 'b' ] ifFalse: [ 'a' ])) ! go: n - 1 ] ) )
         twin Valve = ( open: n = ( | tank | tank := Tank at: 'a'. 1 to: n do: [ :i | tank ! fill: i ] ) )
         Tank ensure: 'a'. Tank ensure: 'b'. Valve ensure: 'valve'.",
    );
    let count = scale.of(20_000);
    let many = ns_each(scale, count, busy_seconds, |_| {
        send(&mut system, "valve", "open:", &[integer(count)]);
    });
    let turns = ns_each(scale, count, busy_seconds, |_| {
        send(&mut system, "a", "go:", &[integer(count)]);
    });
    vec![
        Figure::new("far send, many from one turn, memory", "ns", Target::AtMost(100.0), many),
        Figure::new("far send, one from each turn, memory", "ns", Target::None, turns),
    ]
}
