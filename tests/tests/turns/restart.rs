//! What a restart finds: timers whose time has passed, and a clock that has gone back.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use twintalk_runtime::{Datum, OpenOptions, Simulated, System};
use twintalk_store::memory::MemoryStore;
use twintalk_store::record::Outcome;
use twintalk_store::{Log, Partition, Position};

use crate::log::{Shown, assert_sound, open_with, options, program};

const MILLISECOND_NS: i64 = 1_000_000;

/// A machine with a clock on its wall that only the test moves.
struct Machine {
    store: Arc<MemoryStore>,
    wall_ns: Arc<AtomicI64>,
}

impl Machine {
    fn new() -> Machine {
        let wall_ns = Arc::new(AtomicI64::new(1_700_000_000_000 * MILLISECOND_NS));
        Machine { store: Arc::new(MemoryStore::new(1, "one")), wall_ns }
    }

    fn move_clock(&self, milliseconds: i64) {
        self.wall_ns.fetch_add(milliseconds * MILLISECOND_NS, Ordering::Relaxed);
    }

    /// Runs a process: opens the store, has `work` done, and closes it.
    fn run(&self, work: impl FnOnce(&mut System)) {
        let text = "twin T = ( | n <- 0. | up = ( n := n + 1 ) timer tick every: 100 milliseconds = ( n := n + 1 ) )  T ensure: 't'.";
        self.run_program(text, work);
    }

    fn run_program(&self, text: &str, work: impl FnOnce(&mut System)) {
        let machine = Simulated { wall_ns: Some(self.wall_ns.clone()), ..Simulated::new(self.store.clone()) };
        let options = OpenOptions { program: Some(program(text)), ..OpenOptions::default() };
        let mut system = System::open_simulated(machine, options).unwrap_or_else(|error| panic!("{error}"));
        work(&mut system);
        assert_sound(&mut system);
        system.close(&mut Shown::default()).expect("closed");
    }

    /// Each record: what it is of, its time, and when the timer is due next, in milliseconds since the first.
    fn log(&self) -> Vec<(String, i64, Option<i64>)> {
        let mut log = Vec::new();
        for block in self.store.read(Partition(0), Position::FIRST).expect("readable") {
            let block = block.expect("sound");
            for record in block.open().expect("sound").records(0) {
                let (_, record) = record.expect("sound");
                let Outcome::Committed(effects) = &record.outcome else { panic!("nothing fails") };
                let due_ns = effects.timers.iter().find_map(|timer| timer.due_ns);
                log.push((record.input.selector.to_owned(), record.envelope.time_ns, due_ns));
            }
        }
        let first_ns = log[0].1;
        let since = |time_ns: i64| (time_ns - first_ns) / MILLISECOND_NS;
        log.into_iter().map(|(what, at, due)| (what, since(at), due.map(since))).collect()
    }
}

fn lines(log: &[(String, i64, Option<i64>)]) -> Vec<String> {
    log.iter()
        .map(|(what, at, due)| format!("{at}: {what} {}", due.map_or(String::new(), |due| format!("due {due}"))))
        .collect()
}

// delivery: D8.9, D3.10
#[test]
fn a_timer_that_was_missed_has_one_turn_and_keeps_its_beat() {
    let machine = Machine::new();
    machine.run(|system| {
        system.run_program(Vec::new(), None, &mut Shown::default()).expect("runs");
        machine.move_clock(130);
        system.settle(&mut Shown::default()).expect("the store takes it");
    });
    machine.move_clock(450);
    for _ in 0..2 {
        machine.run(|system| system.settle(&mut Shown::default()).expect("the store takes it"));
    }
    machine.move_clock(20);
    machine.run(|system| system.settle(&mut Shown::default()).expect("the store takes it"));
    let log = machine.log();
    let wanted = [
        "0: <program> ",
        "0: <ensure:> due 100",
        "130: <timer:> due 200",
        "580: <timer:> due 600",
        "600: <timer:> due 700",
    ];
    assert_eq!(lines(&log), wanted);
}

// delivery: D8.15, D8.16, D3.10
#[test]
fn a_timer_that_a_turn_set_catches_up_as_it_says() {
    let text = "twin T = ( | log <- List new. started |
          begin = ( started := Clock now.
            #(all latest skip) do: [ :each | self every: 100 milliseconds send: #take: withArguments: { each } catchUp: each ].
            self after: 250 milliseconds send: #take: with: #once )
          take: what = ( log add: { what. (self timeDue - started) asMilliseconds. (Clock now - started) asMilliseconds } )
          query of: what = ( ^(log select: [ :each | (each at: 1) = what ]) collect: [ :each | each copyFrom: 2 to: 3 ] ) )
        T ensure: 't'.";
    let machine = Machine::new();
    machine.run_program(text, |system| {
        system.run_program(Vec::new(), None, &mut Shown::default()).expect("runs");
        system.send("t", "begin", &[], &mut Shown::default()).expect("handled");
        machine.move_clock(130);
        system.settle(&mut Shown::default()).expect("the store takes it");
    });
    machine.move_clock(300);
    machine.run_program(text, |system| system.settle(&mut Shown::default()).expect("the store takes it"));
    machine.move_clock(75);
    machine.run_program(text, |system| {
        system.settle(&mut Shown::default()).expect("the store takes it");
        let mut of = |what: &str| {
            let answer = system.send("t", "of:", &[Datum::Symbol(what.to_owned())], &mut Shown::default());
            answer.expect("handled").to_string()
        };
        assert_eq!(of("all"), "#(#(100 130) #(200 430) #(300 430) #(400 430) #(500 505))");
        assert_eq!(of("latest"), "#(#(100 130) #(200 430) #(500 505))");
        assert_eq!(of("skip"), "#(#(100 130) #(500 505))");
        assert_eq!(of("once"), "#(#(250 430))");
    });
}

// delivery: D8.2
#[test]
fn the_time_of_a_store_does_not_go_back_with_the_clock_on_the_wall() {
    let machine = Machine::new();
    machine.run(|system| {
        system.run_program(Vec::new(), None, &mut Shown::default()).expect("runs");
        machine.move_clock(50);
        system.send("t", "up", &[], &mut Shown::default()).expect("handled");
        machine.move_clock(-30);
        system.send("t", "up", &[], &mut Shown::default()).expect("handled");
    });
    machine.move_clock(-1_000_000);
    machine.run(|system| {
        system.send("t", "up", &[], &mut Shown::default()).expect("handled");
    });
    assert_eq!(lines(&machine.log()), ["0: <program> ", "0: <ensure:> due 100", "50: up ", "50: up ", "50: up "]);
}

// delivery: D7.11, D8.15
#[test]
fn a_timer_that_a_turn_set_is_made_again_with_lost_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "twin T = ( | log <- List new. |
          begin = ( self after: 2 seconds send: #take: with: { 'once' }; every: 1 second send: #take: withArguments: #(again).
            (self after: 1 second send: #take: with: 'never') cancel )
          take: what = ( log add: what )
          query log = ( ^log ) )
        T ensure: 't'. (T at: 't') begin.";
    let opened = |text: Option<&str>| open_with(OpenOptions { program: text.map(program), ..options(folder.path()) });
    let mut shown = Shown::default();
    let mut system = opened(Some(text));
    system.run_program(Vec::new(), Some(1_000_000_000), &mut shown).expect("runs");
    drop(system);
    System::rebuild_tables(folder.path()).expect("the log has everything");
    let mut system = opened(None);
    system.let_time_pass(1_000_000_000, &mut shown).expect("settled");
    let log = system.send("t", "log", &[], &mut shown).expect("handled").to_string();
    assert_eq!(log, "#(#again #('once') #again)");
    assert_sound(&mut system);
    system.close(&mut shown).expect("closed");
}
