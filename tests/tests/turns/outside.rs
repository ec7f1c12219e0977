//! Senders from outside: named, numbered, taken once.

use twintalk_runtime::{Datum, FeedMessage, SendError, System};
use twintalk_store::record::Sender;

use crate::log::{Shown, assert_sound, each_record, open, open_with, options};

const TANK: &str =
    "twin Tank = ( | log <- List new. | add: x = ( log add: x. x \\\\ 5 = 0 ifTrue: [ self error: 'every fifth' ] ) )
    Tank ensure: 't'.";

fn feed(system: &mut System, sender: &str, number: u64, shown: &mut Shown) -> Result<(), SendError> {
    let arguments = [Datum::Int(number.into())];
    let message =
        FeedMessage { number, path: "t", selector: "add:", arguments: &arguments, device_time_ns: None, make: None };
    system.feed(sender, &message, shown)
}

fn log(system: &mut System) -> String {
    let slots = system.state("t", twintalk_runtime::Moment::Now).expect("readable").expect("there").slots;
    format!("{:?}", slots[0].1)
}

fn list(numbers: &[u64]) -> String {
    let elements: Vec<Datum> = numbers.iter().map(|number| Datum::Int((*number).into())).collect();
    format!("{elements:?}")
}

// delivery: D2.9, D3.5, D3.6, D3.7
#[test]
fn a_message_is_taken_once_by_sender_and_number_and_failures_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shown = Shown::default();
    let mut system = open(folder.path(), TANK);
    system.run_program(Vec::new(), None, &mut shown).expect("runs");
    for (sender, numbers) in [("one", [1, 2, 3, 2, 5, 5, 6]), ("two", [2, 2, 1, 3, 3, 4, 5])] {
        for number in numbers {
            feed(&mut system, sender, number, &mut shown).expect("taken, or taken before");
        }
    }
    system.commit(&mut shown).expect("durable");
    // Two failed, and neither runs again.
    assert_eq!(shown.reported, ["t add: Error", "t add: Error"]);
    drop(system);
    let mut system = open(folder.path(), TANK);
    for (sender, last) in [("one", 6), ("two", 5), ("three", 0)] {
        assert_eq!(system.taken(sender).expect("readable"), last);
        for number in 1..=last {
            feed(&mut system, sender, number, &mut shown).expect("taken before");
        }
    }
    assert_eq!(system.records(), 0);
    assert!(log(&mut system).contains(&list(&[1, 2, 3, 6, 2, 3, 4])), "{}", log(&mut system));
    assert_sound(&mut system);
    system.close(&mut shown).expect("closed");
    let mut numbers = [Vec::new(), Vec::new()];
    each_record(folder.path(), |_, _, record| match record.cause.sender {
        Sender::Outside("one") => numbers[0].push(record.cause.number),
        Sender::Outside("two") => numbers[1].push(record.cause.number),
        Sender::Outside(_)
        | Sender::Program
        | Sender::Twin(_)
        | Sender::Reply(_)
        | Sender::Timer(_)
        | Sender::System => {}
    });
    assert_eq!(numbers, [vec![1, 2, 3, 5, 6], vec![2, 3, 4, 5]]);
}

// delivery: D7.11
#[test]
fn what_waits_for_a_twin_in_quarantine_is_there_though_all_tables_are_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "twin Tank = ( | log <- List new. | supervise quarantine.
        add: x = ( x = 1 ifTrue: [ self error: 'bang' ]. log add: x ) )
        Tank ensure: 't'.";
    let mut shown = Shown::default();
    let mut system = open(folder.path(), text);
    system.run_program(Vec::new(), None, &mut shown).expect("runs");
    for number in 1..=3 {
        feed(&mut system, "one", number, &mut shown).expect("taken");
    }
    system.commit(&mut shown).expect("durable");
    drop(system);
    System::rebuild_tables(folder.path()).expect("the log has everything");
    let mut system = open_with(options(folder.path()));
    assert_eq!(system.taken("one").expect("readable"), 3);
    assert_eq!(system.quarantined("")[0].waiting, 2);
    assert!(log(&mut system).contains(&list(&[])), "{}", log(&mut system));
    system.release("t", &mut shown).expect("released");
    system.settle(&mut shown).expect("settled");
    assert!(log(&mut system).contains(&list(&[2, 3])), "{}", log(&mut system));
    assert_sound(&mut system);
    system.close(&mut shown).expect("closed");
    // They have their turns now, and wait no longer.
    System::rebuild_tables(folder.path()).expect("the log has everything");
    let mut system = open_with(options(folder.path()));
    system.settle(&mut shown).expect("settled");
    assert!(log(&mut system).contains(&list(&[2, 3])), "{}", log(&mut system));
}

// delivery: D9.12
#[test]
fn what_waits_for_a_twin_in_quarantine_lies_on_the_disk_and_comes_in_order() {
    const COUNT: u64 = 3000;
    let folder = tempfile::tempdir().expect("a folder");
    let text = "twin Tank = ( | log <- List new. broken <- true. | supervise quarantine.
        add: x = ( (broken and: [ x = 1 ]) ifTrue: [ self error: 'bang' ]. log add: x )
        query isInOrder = ( ^log asArray = (2 to: log size + 1) asArray )
        query size = ( ^log size ) )
        Tank ensure: 't'.";
    let mut shown = Shown::default();
    let mut system = open(folder.path(), text);
    system.run_program(Vec::new(), None, &mut shown).expect("runs");
    feed(&mut system, "one", 1, &mut shown).expect("taken");
    for number in 2..=COUNT {
        feed(&mut system, "one", number, &mut shown).expect("taken");
    }
    system.commit(&mut shown).expect("durable");
    let waiting = |system: &mut System| system.quarantined("")[0].waiting as u64;
    assert_eq!((waiting(&mut system), system.waiting_in_memory()), (COUNT - 1, 0));
    system.close(&mut shown).expect("closed");
    let mut system = open_with(options(folder.path()));
    assert_eq!((waiting(&mut system), system.waiting_in_memory()), (COUNT - 1, 0));
    // Some more, which are not written yet when it is released; all have their turns once, in order.
    for number in COUNT + 1..=COUNT + 10 {
        feed(&mut system, "one", number, &mut shown).expect("taken");
    }
    assert_eq!(waiting(&mut system), COUNT + 9);
    system.release("t", &mut shown).expect("released");
    system.settle(&mut shown).expect("settled");
    let mut ask = |selector: &str| system.send("t", selector, &[], &mut shown).expect("answered").to_string();
    // The first was laid aside.
    assert_eq!((ask("size"), ask("isInOrder")), ((COUNT + 9).to_string(), "true".to_owned()));
    assert_sound(&mut system);
    system.close(&mut shown).expect("closed");
}
