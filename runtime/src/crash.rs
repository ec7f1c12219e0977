//! Tests of what a crash leaves: a process that ends between any two messages, with a checkpoint or without.

use std::path::Path;

use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_store::{Durability, Position};

use crate::clock::ClockKind;
use crate::message::{FaultReport, From, Message};
use crate::partition::Core;
use crate::recall::Recalled;
use crate::replay::Moment;
use crate::{Datum, OpenOptions, Output, Program, System, kernel};

struct Nowhere;

impl Output for Nowhere {
    fn print(&mut self, _text: &str) {}
    fn fault(&mut self, report: &FaultReport) {
        panic!("{}", report.fault);
    }
}

fn open(folder: &Path, text: &str) -> System {
    open_with(folder, text, false)
}

fn open_with(folder: &Path, text: &str, upgrade: bool) -> System {
    open_in(folder, text, upgrade, None)
}

fn open_in(folder: &Path, text: &str, upgrade: bool, partitions: Option<u16>) -> System {
    let source = SourceText { name: "test.twin".to_owned(), text: text.to_owned() };
    let compilation = compile(vec![source], &mut NoSources, &[kernel::image()]);
    let options = OpenOptions {
        folder: Some(folder.to_owned()),
        durability: Some(Durability::Async),
        program: Some(Program::new(compilation.image.expect("it compiles"))),
        clock: Some(ClockKind::Driven),
        upgrade,
        partitions,
        ..OpenOptions::default()
    };
    System::open(options).unwrap_or_else(|error| panic!("{error}"))
}

const TWINS: &str = "
    twin Count = ( | n <- 0. seen <- List new. | up: k = ( n := n + 1. seen add: k ) query n2 = ( ^n ) query all = ( ^seen ) )
    twin Sender = ( | t <- 0. |
        timer tick every: 1 seconds = ( t := t + 1. (Count at: 'c') ! up: 100 + t )
        go = ( 1 to: 3 do: [ :i | (Count at: 'c') ! up: i ]. (Sender at: 's') ! again )
        again = ( (Count at: 'c') ! up: 4 ) )
    Count ensure: 'c'. Sender ensure: 's'.";

/// Handles one message, or a timer that is due.
fn step(core: &mut Core, vm: &mut twintalk_vm::Vm) -> bool {
    let now_ns = core.clock.now_ns();
    let Some(message) = core.queue.pop_front().or_else(|| core.due_message(now_ns)) else { return false };
    core.handle(vm, message).expect("the store takes it");
    true
}

// delivery: D2.1, D3.1, D3.2, D3.4
#[test]
fn wherever_it_crashes_each_far_send_is_handled_once_and_in_order() {
    for crash_after in 1..12 {
        for checkpoint in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut system = open(folder.path(), TWINS);
            system.run_program(Vec::new(), None, &mut Nowhere).expect("runs");
            let (partitions, vm) = system.parts();
            let core = partitions.first();
            let start_ns = core.clock.now_ns();
            core.enqueue(Message::new("s", "go", vec![0], From::Program));
            let mut steps = 0;
            // Every message is a turn, and two rounds of the timer.
            while steps < crash_after {
                if !step(core, vm) {
                    if core.clock.now_ns() >= start_ns + 2_000_000_000 {
                        break;
                    }
                    let now_ns = core.clock.now_ns();
                    core.clock.drive_to(now_ns + 1_000_000_000);
                    continue;
                }
                steps += 1;
            }
            core.commit().expect("written");
            if checkpoint {
                core.checkpoint().expect("written");
            }
            drop(system);
            let mut system = open(folder.path(), TWINS);
            let (partitions, vm) = system.parts();
            partitions.pump(vm, None).expect("the store takes it");
            while partitions.now_ns() < start_ns + 2_000_000_000 {
                let now_ns = partitions.now_ns();
                partitions.drive_to(now_ns + 1_000_000_000);
                partitions.pump(vm, None).expect("the store takes it");
            }
            partitions.commit().expect("written");
            let all = system.send("c", "all", &[], &mut Nowhere).expect("handled");
            let wanted = [1, 2, 3, 4, 101, 102].map(|k: i64| Datum::Int(k.into()));
            assert_eq!(all, Datum::Array(wanted.into()), "after {crash_after}, checkpoint {checkpoint}");
            let report = system.verify(&mut |_| {}).expect("readable");
            assert_eq!(report.differences, Vec::<String>::new(), "after {crash_after}, checkpoint {checkpoint}");
        }
    }
}

const FRAGILE: &str = "
    twin Valve = ( | got <- List new. broken <- true. |
        supervise retry: 9 after: 1 second upTo: 1 second then: quarantine.
        take: x = ( (broken and: [ x = 2 ]) ifTrue: [ self error: 'broken' ]. got add: x )
        mend = ( broken := false )
        timer mends after: 3500 milliseconds = ( broken := false ) )
    twin Pump = ( | got <- List new. |
        supervise quarantine.
        take: x = ( x = 2 ifTrue: [ self error: 'bang' ]. got add: x ) )
    twin Sender = ( go = ( 1 to: 4 do: [ :x | (Valve at: 'valve') ! take: x. (Pump at: 'pump') ! take: x ] ) )
    Valve ensure: 'valve'. Pump ensure: 'pump'. Sender ensure: 's'.";

/// Takes reports as they come.
struct Anything;

impl Output for Anything {
    fn print(&mut self, _text: &str) {}
    fn fault(&mut self, _report: &FaultReport) {}
}

// delivery: D3.8, D3.11, D9.3, D9.12
#[test]
fn wherever_it_crashes_what_is_tried_again_or_waits_for_a_release_is_handled_once_and_in_order() {
    for crash_after in 1..24 {
        for checkpoint in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut system = open(folder.path(), FRAGILE);
            system.run_program(Vec::new(), None, &mut Nowhere).expect("runs");
            let (partitions, vm) = system.parts();
            let core = partitions.first();
            core.enqueue(Message::new("s", "go", vec![0], From::Program));
            for _ in 0..crash_after {
                if !step(core, vm) {
                    let Some(due_ns) = core.first_due().map(|(due_ns, ..)| due_ns) else { break };
                    core.clock.drive_to(due_ns);
                }
            }
            core.commit().expect("written");
            if checkpoint {
                core.checkpoint().expect("written");
            }
            drop(system);
            let mut system = open(folder.path(), FRAGILE);
            let (partitions, vm) = system.parts();
            partitions.pump(vm, None).expect("the store takes it");
            let end_ns = partitions.now_ns() + 20_000_000_000;
            partitions.advance_to(vm, end_ns).expect("the store takes it");
            partitions.commit().expect("written");
            let what = format!("after {crash_after}, checkpoint {checkpoint}");
            let got = |system: &mut System, path: &str| system.send(path, "got", &[], &mut Anything).expect("handled");
            let list = |numbers: &[i64]| Datum::Array(numbers.iter().map(|&x| Datum::Int(x.into())).collect());
            assert_eq!(got(&mut system, "valve"), list(&[1, 2, 3, 4]), "{what}");
            assert_eq!(got(&mut system, "pump"), list(&[1]), "{what}");
            let letters = system.dead_letters("").expect("readable");
            assert_eq!(letters.len(), 1, "{what}");
            assert_eq!((&*letters[0].path, &*letters[0].arguments), ("pump", &[Datum::from(2)][..]), "{what}");
            assert_eq!(system.quarantined("")[0].waiting, 2, "{what}");
            system.release("pump", &mut Anything).expect("released");
            assert_eq!(got(&mut system, "pump"), list(&[1, 3, 4]), "{what}");
            let report = system.verify(&mut |_| {}).expect("readable");
            assert_eq!(report.differences, Vec::<String>::new(), "{what}");
        }
    }
}

#[test]
fn what_supervision_remembers_is_folded_from_records() {
    for stop_after in 1..24 {
        let folder = tempfile::tempdir().expect("a folder");
        let mut system = open(folder.path(), FRAGILE);
        system.run_program(Vec::new(), None, &mut Nowhere).expect("runs");
        let (partitions, vm) = system.parts();
        let core = partitions.first();
        core.enqueue(Message::new("s", "go", vec![0], From::Program));
        for _ in 0..stop_after {
            if !step(core, vm) {
                let Some(due_ns) = core.first_due().map(|(due_ns, ..)| due_ns) else { break };
                core.clock.drive_to(due_ns);
            }
        }
        core.commit().expect("written");
        let mut recalled = Recalled::default();
        let (partition, store) = (core.partition, core.store.clone());
        crate::replay::each_record(&*store, partition, Position::FIRST, |position, record, _| {
            let mut policy_of = |path: &str| Ok(core.residents.image(path).map(|image| vm.supervision(image)));
            recalled.take(&*store, partition, position, record, &mut policy_of).map(|_| ())
        })
        .expect("readable");
        assert_eq!(recalled.differences(core).expect("readable"), Vec::<String>::new(), "after {stop_after}");
    }
}

const WATCH: &str = "
    twin Tank = ( | level <- 5. | )
    twin Watch = ( | got unused |
        bonus = ( ^1 )
        ask = (
            | factor t |
            factor := 10. t := Tank at: 't'.
            (t ! level) then: [ :l |
                got := l * factor + self bonus.
                (t ! level) then: [ :m | got := got + m ] ] ) )
    Tank ensure: 't'. Watch ensure: 'w'.";

/// The same tanks, and watches that are other twins in all but their one slot.
const WATCH_2: &str = "
    twin Tank = ( | level <- 5. | )
    twin Watch = ( version 2. | more <- 1000. got | bonus = ( ^more ) )";

/// What was reported.
#[derive(Default)]
struct Reported(Vec<(String, String)>);

impl Output for Reported {
    fn print(&mut self, _text: &str) {}
    fn fault(&mut self, report: &FaultReport) {
        self.0.push((report.fault.kind.clone(), report.fault.text.clone()));
    }
}

/// Has a watch ask, and ends after so many messages.
fn ask_and_end(folder: &Path, messages: usize) {
    let mut system = open(folder, WATCH);
    system.run_program(Vec::new(), None, &mut Nowhere).expect("runs");
    let (partitions, vm) = system.parts();
    let core = partitions.first();
    core.enqueue(Message::new("w", "ask", vec![0], From::Program));
    for _ in 0..messages {
        assert!(step(core, vm), "there are more");
    }
    core.commit().expect("written");
}

// delivery: D10.11, D5.10
#[test]
fn a_block_of_an_earlier_program_runs_its_own_code_on_the_state_of_today() {
    // The message, the answer to it, the reply; then the same of the block inside, which may be of the earlier program as well.
    for (messages, wanted) in [(1, 1055), (2, 1055), (3, 56), (4, 56), (5, 56)] {
        let folder = tempfile::tempdir().expect("a folder");
        ask_and_end(folder.path(), messages);
        let mut system = open_with(folder.path(), WATCH_2, true);
        system.settle(&mut Nowhere).expect("the store takes it");
        let got = system.send("w", "got", &[], &mut Nowhere).expect("handled");
        assert_eq!(got, Datum::Int(wanted.into()), "after {messages} messages");
        let report = system.verify(&mut |_| {}).expect("readable");
        assert_eq!(report.differences, Vec::<String>::new(), "after {messages} messages");
    }
}

// delivery: D10.15
// faults: BlockGone
#[test]
fn a_block_that_the_definitions_of_today_have_no_place_for_is_a_fault() {
    let without_slot = "twin Tank = ( | level <- 5. | ) twin Watch = ( version 2. | more | )";
    let constant = "twin Tank = ( | level <- 5. | ) twin Watch = ( version 2. | got = 3. | )";
    for (definitions, why) in
        [(without_slot, "names the slot `got`, which is not there"), (constant, "assigns the constant `got`")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        ask_and_end(folder.path(), 2);
        let mut system = open_with(folder.path(), definitions, true);
        let mut reported = Reported::default();
        system.settle(&mut reported).expect("the store takes it");
        let [(kind, text)] = &reported.0[..] else { panic!("{:?}", reported.0) };
        assert_eq!(kind, "BlockGone");
        assert!(text.contains(why), "{text}");
    }
}

#[test]
fn what_waits_is_shown_where_slots_reach_it() {
    let text = "
        twin Tank = ( | level <- 5. | )
        twin Watch = (
            | items <- nil. promise | 
            ask = ( | list | items := list := List new. list add: 1. promise := (Tank at: 't') ! level. promise then: [ :l | list add: l ] ) )
        Tank ensure: 't'. Watch ensure: 'w'.";
    let folder = tempfile::tempdir().expect("a folder");
    let mut system = open(folder.path(), text);
    system.run_program(Vec::new(), None, &mut Nowhere).expect("runs");
    let (partitions, vm) = system.parts();
    let core = partitions.first();
    core.enqueue(Message::new("w", "ask", vec![0], From::Program));
    assert!(step(core, vm), "there is a message");
    core.commit().expect("written");
    let state = system.state("w", Moment::Now).expect("readable").expect("it is there");
    let promise = |outcome, answer| Datum::Object {
        prototype: "Promise".to_owned(),
        slots: [("number", Datum::Int((2 << 16).into())), ("outcome", outcome), ("answer", answer)]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
    };
    let items = |items: &[i64]| Datum::Array(items.iter().map(|&item| Datum::Int(item.into())).collect());
    let slots = |listed: &[i64], promise| [("items".to_owned(), items(listed)), ("promise".to_owned(), promise)];
    assert_eq!(state.slots, slots(&[1], promise(Datum::Nil, Datum::Nil)));
    system.settle(&mut Nowhere).expect("the store takes it");
    let state = system.state("w", Moment::Now).expect("readable").expect("it is there");
    assert_eq!(state.slots, slots(&[1, 5], promise(Datum::Bool(true), Datum::Int(5.into()))));
}

#[test]
fn an_opening_after_a_checkpoint_reads_nothing_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut system = open(folder.path(), TWINS);
    system.run_program(Vec::new(), None, &mut Nowhere).expect("runs");
    system.send("s", "go", &[], &mut Nowhere).expect("handled");
    system.close(&mut Nowhere).expect("closed");
    let mut system = open(folder.path(), TWINS);
    let end = system.ends().expect("readable")[0];
    let (partitions, _) = system.parts();
    let core = partitions.first();
    assert_eq!(core.store.checkpoint(core.partition).expect("readable"), end);
    assert_eq!(core.sources[0].taken, (end, 0));
}

// delivery: D2.12, D3.2, D3.8, D7.11
#[test]
fn what_waits_for_the_making_of_its_twin_is_not_handled_before_it_after_a_crash() {
    for tables_lost in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "
            twin Well = ( | level <- 7. | )
            twin Tank = ( | start got | created = ( start := (Well at: 'well') level ) got: n = ( got := start + n ) )
            Well new: 'well'.";
        let open = || open_in(folder.path(), text, false, Some(2));
        let mut system = open();
        system.run_program(Vec::new(), None, &mut Nowhere).expect("runs");
        let (partitions, vm) = system.parts();
        let well = partitions.of("well").partition;
        let tank = (0..).map(|n| format!("tank-{n}")).find(|path| partitions.of(path).partition != well);
        let tank = tank.expect("some are");
        let core = partitions.of(&tank);
        core.handle(vm, Message::make(&tank, "Tank")).expect("it waits for the level of the well");
        let from = From::Outside { name: "rows".into(), number: 1 };
        core.handle(vm, Message::new(&tank, "got:", vec![1, 128 + 5], from)).expect("it waits for its twin");
        assert_eq!(core.closed.len(), 1);
        core.commit().expect("written");
        drop(system);
        if tables_lost {
            System::rebuild_tables(folder.path()).expect("the log has everything");
        }
        let mut system = open();
        let taken = system.parts().0.of(&tank).taken_of("rows").expect("readable");
        assert_eq!(taken, 1, "it does not come again");
        system.settle(&mut Nowhere).expect("the store takes it");
        assert_eq!(system.send(&tank, "got", &[], &mut Nowhere).expect("handled"), Datum::Int(12.into()));
        assert_eq!(system.verify(&mut |_| {}).expect("readable").differences, Vec::<String>::new());
    }
}
