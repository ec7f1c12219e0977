//! Long collections of objects that can change: what a change costs, and that each object stays one, wherever it is kept.

mod common;

use std::path::Path;

use common::{Seen, program, run};
use proptest::prelude::*;
use twintalk_runtime::{ClockKind, Datum, Discipline, Durability, Moment, OpenOptions, System};
use twintalk_store::rocks::RocksStore;
use twintalk_store::{Key, KeyRange, Log, Partition, Position, Table, Tables};

fn open(folder: &Path, text: &str) -> System {
    System::open(OpenOptions {
        folder: Some(folder.to_owned()),
        durability: Some(Durability::Async),
        clock: Some(ClockKind::Driven),
        upgrade: true,
        program: Some(program(text)),
        ..OpenOptions::default()
    })
    .unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a program on the store in a folder, verifies it, and closes it. Answers what was shown.
fn run_in(folder: &Path, text: &str) -> String {
    let mut system = open(folder, text);
    let mut seen = Seen::default();
    system.run_program(Vec::new(), None, &mut seen).unwrap_or_else(|error| panic!("{error}"));
    let report = system.verify(&mut |_| {}).expect("the store can be read");
    assert_eq!(report.differences, Vec::<String>::new());
    system.close(&mut seen).expect("it closes");
    seen.text
}

/// The row of `t`, and those of its pieces.
fn rows(folder: &Path) -> (Vec<u8>, Vec<(Key, Vec<u8>)>) {
    let store = RocksStore::open_read_only(folder).expect("it is closed");
    let row = store.get(Table::State, Key::new().state(Partition(0), "t")).expect("the table is there");
    let pieces = store.scan(Table::Chunks, &KeyRange::of_twin(Partition(0), "t")).expect("the table is there");
    let pieces = pieces.map(|row| row.map(|(key, row)| (key, row.bytes)).expect("a row")).collect();
    (row.expect("there is a twin").bytes, pieces)
}

/// How many bytes the records of messages with this selector have of what became of their twins.
fn bytes_of_changes(folder: &Path, selector: &str) -> Vec<usize> {
    let store = RocksStore::open_read_only(folder).expect("it is closed");
    let mut sizes = Vec::new();
    for block in store.read(Partition(0), Position::FIRST).expect("the log is there") {
        let bytes = block.expect("it is whole");
        for record in bytes.open().expect("it is whole").records(0) {
            let (_, record) = record.expect("it is whole");
            if record.input.selector == selector {
                sizes.push(record.twins.iter().map(|twin| twin.bytes.len()).sum());
            }
        }
    }
    sizes
}

/// A list and a dictionary of objects.
const READINGS: &str = "
    object Reading = ( | at <- 0. value <- 0. note <- nil. MORE |
        at: t value: v = ( at := t. value := v )
        value: v = ( value := v )
        note: n = ( note := {n. n + 1} )
        query sum = ( ^value + (note isNil ifTrue: [ 0 ] ifFalse: [ note last ]) ) )
    twin T = ( | all <- List new. map <- Dictionary new. latest <- nil. VERSION |
        fill: n = ( 1 to: n do: [ :i | all add: (Reading new at: i value: i * 2; yourself) ] )
        fill: from to: to = ( from to: to do: [ :i | map at: i put: (Reading new at: i value: i * 2; yourself) ] )
        add: i = ( all add: (Reading new at: i value: i * 2; yourself) )
        change: i = ( (all at: i) value: 0 - i )
        note: i = ( (all at: i) note: i )
        turn: i = ( all add: (Reading new at: i value: i; yourself). ^all removeFirst value )
        swap: i = ( | one | one := all at: i. all at: i put: (all at: 1). all at: 1 put: one )
        map: i = ( map at: i put: (Reading new at: i value: i; yourself) )
        mapChange: i = ( (map at: i) value: 0 - i )
        mapRemove: i = ( ^(map removeKey: i) value )
        keep: i = ( latest := all at: i )
        forget = ( latest := nil )
        through: v = ( latest value: v )
        query sum = ( ^{all size. all inject: 0 into: [ :sum :each | sum + each sum ]. map size.
            map values inject: 0 into: [ :sum :each | sum + each sum ]} )
        query valueAt: i = ( ^(all at: i) value ) )\n";

fn readings(statements: &str) -> String {
    READINGS.replace("MORE", "").replace("VERSION", "") + statements
}

// delivery: D11.9, D11.13
#[test]
fn a_change_of_one_of_many_objects_leaves_a_record_and_rows_of_its_size() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let parts = "1 to: 100 do: [ :i | t fill: 1000 ]. 1 to: 20 do: [ :i | t fill: i * 1000 - 999 to: i * 1000 ].";
    assert_eq!(
        run_in(folder.path(), &readings(&format!("| t | t := T new: 't'. {parts} t sum printNl"))),
        "#(100000 100100000 20000 400020000)\n"
    );
    let (row, pieces) = rows(folder.path());
    assert!(row.len() < 60, "the row of the twin has {} bytes", row.len());
    assert!(pieces.iter().all(|(_, bytes)| bytes.len() < 8000), "a piece is large");
    let steps = ["add:", "change:", "note:", "turn:", "swap:", "map:", "mapChange:", "mapRemove:"];
    let mut system = open(folder.path(), &readings(""));
    for selector in steps {
        for i in 0..300i64 {
            let argument = if selector == "map:" { 20_001 + i } else { i * 61 + 300 };
            system.send("t", selector, &[argument.into()], &mut Seen::default()).expect("it is done");
        }
    }
    let before = system.pieces_asked();
    system.passivate().expect("it can be written");
    system.send("t", "change:", &[50_000.into()], &mut Seen::default()).expect("it is done");
    // The way there, and the same again to be written.
    assert!(system.pieces_asked() - before <= 12, "{} pieces are read", system.pieces_asked() - before);
    let sum = system.send("t", "sum", &[], &mut Seen::default()).expect("it is done").to_string();
    system.close(&mut Seen::default()).expect("it closes");
    for selector in steps {
        let sizes = bytes_of_changes(folder.path(), selector);
        assert!(sizes.len() >= 300);
        // A new leaf has its 256 places.
        let long = sizes.iter().filter(|&&size| size > 180).count();
        let most = sizes.iter().max().copied().unwrap_or_default();
        assert!(long <= 12 && most < 900, "{selector}: {long} records are long, one has {most} bytes");
    }
    assert_eq!(run_in(folder.path(), &readings("(T at: 't') sum printNl")), format!("{sum}\n"));
    let before = rows(folder.path());
    System::rebuild_tables(folder.path()).expect("the log has everything");
    assert!(rows(folder.path()) == before, "rows that are made again are the same");
}

#[test]
fn one_that_a_slot_has_too_is_one_wherever_it_is_kept() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let text = "| t | t := T new: 't'. t fill: 5000. t keep: 3000.";
    assert_eq!(run_in(folder.path(), &readings(text)), "");
    // Its leaf, and what lies above that, is a part of the image while two know it, and no longer.
    let tied = rows(folder.path());
    assert!((1500..8000).contains(&tied.0.len()), "{}", tied.0.len());
    let text = "(T at: 't') through: 77. (T at: 't') valueAt: 3000.";
    assert_eq!(
        run_in(
            folder.path(),
            &readings(&text.replace("3000.", "3000) printNl").replacen(
                "(T at: 't') valueAt",
                "((T at: 't') valueAt",
                1
            ))
        ),
        "77\n"
    );
    assert_eq!(
        run_in(folder.path(), &readings("(T at: 't') change: 3000. (T at: 't') latest value printNl")),
        "-3000\n"
    );
    assert_eq!(run_in(folder.path(), &readings("(T at: 't') forget. ((T at: 't') valueAt: 3000) printNl")), "-3000\n");
    let mut system = open(folder.path(), &readings(""));
    let state = system.state("t", Moment::Now).expect("nothing is damaged").expect("there is a twin");
    let Datum::Array(all) = &state.slots[0].1 else { panic!("{}", state.slots[0].1) };
    let Datum::Object { slots, .. } = &all[2999] else { panic!("{}", all[2999]) };
    assert_eq!((all.len(), slots[1].1.to_string()), (5000, "-3000".to_owned()));
    system.close(&mut Seen::default()).expect("it closes");
    let loose = rows(folder.path());
    assert!(loose.0.len() < 60 && loose.1.len() > tied.1.len(), "{}", loose.0.len());
}

// delivery: D10.14
#[test]
fn objects_in_pieces_are_carried_over_by_name_and_get_what_is_new() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let text = "| t | t := T new: 't'. t fill: 2000. t fill: 1 to: 500";
    assert_eq!(run_in(folder.path(), &readings(text)), "");
    let second = READINGS
        .replace("MORE", "limit <- at * 3.")
        .replace("VERSION", "")
        .replace("query sum = ( ^value", "query sum = ( ^limit");
    // A query sees it carried over, and so does each turn, the first of which writes it.
    assert_eq!(run_in(folder.path(), &format!("{second} (T at: 't') sum printNl")), "#(2000 6003000 500 375750)\n");
    let text = "(T at: 't') change: 900. (T at: 't') add: 1. (T at: 't') sum printNl";
    assert_eq!(run_in(folder.path(), &format!("{second} {text}")), "#(2001 6003000 500 375750)\n");
    let sizes = bytes_of_changes(folder.path(), "add:");
    assert!(sizes[0] < 60, "it is carried over once, and {} bytes are left", sizes[0]);
    assert!(rows(folder.path()).0.len() < 60);
    // A slot goes: nothing is to be made up for, so each piece follows when it is met.
    let third = readings("");
    let text = "(T at: 't') change: 901. (T at: 't') sum printNl";
    assert_eq!(run_in(folder.path(), &format!("{third} {text}")), "#(2001 3996599 500 250500)\n");
    let before = rows(folder.path());
    System::rebuild_tables(folder.path()).expect("the log has everything");
    assert!(rows(folder.path()) == before, "rows that are made again are the same");
}

#[test]
fn objects_of_a_list_that_migrate_moves_are_carried_over_too() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let first = "object One = ( | v <- 1. | v: x = ( v := x ) )
        twin T = ( | all <- List new. | fill = ( 1 to: 600 do: [ :i | all add: (One new v: i; yourself) ] ) )\n";
    assert_eq!(run_in(folder.path(), &format!("{first} (T new: 't') fill")), "");
    let second = "object One = ( | v <- 1. w <- v + 1. | v: x = ( v := x ) )
        twin T = ( | kept <- nil. | version 2. migrate 1 = ( kept := self oldSlot: #all )
            touch = ( (kept at: 300) v: 0 )
            query sum = ( ^kept inject: 0 into: [ :sum :each | sum + each v + each w ] ) )\n";
    assert_eq!(run_in(folder.path(), &format!("{second} (T at: 't') sum printNl. (T at: 't') touch")), "361200\n");
    assert_eq!(run_in(folder.path(), &format!("{second} (T at: 't') sum printNl")), "360900\n");
}

#[test]
fn a_transient_slot_of_an_object_in_a_piece_starts_anew() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let text = "object One = ( | v <- 1. seen <transient> <- v * 10. | v: x = ( v := x. seen := 0 ) query both = ( ^v + seen ) )
        twin T = ( | all <- List new. | fill: n = ( 1 to: n do: [ :i | all add: (One new v: i; yourself) ] )
            change: i = ( (all at: i) v: 2. ^(all at: i) both )
            query at: i = ( ^(all at: i) both ) )\n";
    let first = format!(
        "{text} | t | t := T new: 't'. t fill: 700. (t at: 5) printNl. (t change: 6) printNl. (t at: 6) printNl"
    );
    assert_eq!(run_in(folder.path(), &first), "55\n2\n22\n");
    assert_eq!(run_in(folder.path(), &format!("{text} ((T at: 't') at: 700) printNl")), "7700\n");
}

// ---- any steps, beside objects that are in no twin ----

/// What is done to the collections, with two numbers.
const STEPS: [&str; 23] = [
    "add:x:",
    "add:x:",
    "share:x:",
    "share:x:",
    "drop:x:",
    "latest:x:",
    "forget:x:",
    "link:x:",
    "link:x:",
    "unlink:x:",
    "set:x:",
    "set:x:",
    "setLatest:x:",
    "removeFirst:x:",
    "removeLast:x:",
    "removeAt:x:",
    "swap:x:",
    "own:x:",
    "map:x:",
    "mapNew:x:",
    "mapRemove:x:",
    "move:x:",
    "copy:x:",
];

const ANY: &str = "
object Box = ( | v <- 0. next <- nil. own <- nil. |
  v: x = ( v := x ) next: b = ( next := b ) own: l = ( own := l ) )
trait Steps = ( | items <- List new. others <- List new. map <- Dictionary new. latest <- nil. made <- 0. |
  box = ( made := made + 1. ^Box new v: made; yourself )
  at: i = ( ^items at: i \\\\ items size + 1 )
  add: n x: x = ( n \\\\ 400 timesRepeat: [ items add: self box ] )
  share: i x: x = ( x \\\\ 5 + 1 timesRepeat: [ items isEmpty ifFalse: [ others add: (self at: i * others size + x) ] ] )
  drop: i x: x = ( others isEmpty ifFalse: [ x even ifTrue: [ others removeAll ] ifFalse: [ others removeLast ] ] )
  latest: i x: x = ( items isEmpty ifFalse: [ latest := self at: i ] )
  forget: i x: x = ( latest := nil )
  link: i x: x = ( items isEmpty ifFalse: [ (self at: i) next: (self at: x) ] )
  unlink: i x: x = ( items do: [ :each | each next: nil ] )
  set: i x: x = ( items isEmpty ifFalse: [ (self at: i) v: x ] )
  setLatest: i x: x = ( latest isNil ifFalse: [ latest v: x; own: (List with: latest) ] )
  removeFirst: n x: x = ( n \\\\ 300 timesRepeat: [ items isEmpty ifFalse: [ items removeFirst ] ] )
  removeLast: n x: x = ( n \\\\ 300 timesRepeat: [ items isEmpty ifFalse: [ items removeLast ] ] )
  removeAt: i x: x = ( items isEmpty ifFalse: [ items removeAt: i \\\\ items size + 1 ] )
  swap: i x: x = ( | one | items isEmpty ifFalse: [
    one := self at: i. items at: i \\\\ items size + 1 put: (self at: x). items at: x \\\\ items size + 1 put: one ] )
  own: i x: x = ( items isEmpty ifFalse: [ | list |
    list := List new. (x \\\\ 3 = 0 ifTrue: [ 300 ] ifFalse: [ x \\\\ 4 ]) timesRepeat: [ list add: self box ].
    (self at: i) own: list. x \\\\ 7 = 0 ifTrue: [ (self at: i + 1) own: list ] ] )
  map: i x: x = ( items isEmpty ifFalse: [ map at: x put: (self at: i) ] )
  mapNew: i x: x = ( 1 to: i \\\\ 200 do: [ :each | map at: each * 7 + x put: self box ] )
  mapRemove: i x: x = ( map removeKey: x ifAbsent: [ nil ]. 1 to: i \\\\ 200 do: [ :each | map removeKey: each * 7 + x ifAbsent: [ nil ] ] )
  move: i x: x = ( others := items. items := List new )
  copy: i x: x = ( others := items copy )
  query look = ( | seen open out at |
    seen := IdentityDictionary new. open := List new. out := List new.
    {items. others. map values. {latest}} do: [ :all |
      all do: [ :each | self number: each in: seen open: open to: out ]. out add: -1 ].
    map keysDo: [ :each | out add: each ].
    at := 1.
    [ at <= open size ] whileTrue: [ | box |
      box := open at: at. at := at + 1. out add: box v.
      self number: box next in: seen open: open to: out.
      out add: (box own isNil ifTrue: [ -3 ] ifFalse: [ seen at: box own ifAbsent: [ seen at: box own put: seen size. seen size ] ]).
      box own isNil ifFalse: [ box own do: [ :each | self number: each in: seen open: open to: out ] ] ].
    ^out asArray )
  query number: box in: seen open: open to: out = (
    box isNil ifTrue: [ ^out add: -2 ].
    out add: (seen at: box ifAbsent: [ open add: box. seen at: box put: seen size. seen size ]) )
)
object Plain = Object + Steps ( )
twin T = Twin + Steps ( )
| t p both |
t := T new: 't'. p := Plain new.
";

/// A program that does the steps to a twin and to an object, and says after which they differ.
fn beside(steps: &[(usize, u32, u32)]) -> String {
    let mut text = ANY.to_owned();
    for (nth, &(step, i, x)) in steps.iter().enumerate() {
        let message = STEPS[step % STEPS.len()].replacen(':', &format!(": {i} "), 1).replace("x:", &format!("x: {x}"));
        text.push_str(&format!("t {message}. p {message}.\n"));
        if nth % 4 == 3 || nth + 1 == steps.len() {
            text.push_str(&format!("t look = p look ifFalse: [ 'after {nth} {message}' printNl ].\n"));
        }
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn objects_in_a_twin_are_like_those_outside_whatever_is_done_to_them(
        steps in proptest::collection::vec((any::<usize>(), 0u32..2000, 0u32..2000), 1..50),
        discipline in prop_oneof![Just(Discipline::Normal), Just(Discipline::Replay), Just(Discipline::Reload)],
        stress in any::<bool>(),
    ) {
        let text = beside(&steps);
        prop_assert_eq!(run(&text, discipline, stress && steps.len() < 12), "");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn rows_of_objects_that_are_made_again_from_the_log_are_the_same(
        steps in proptest::collection::vec((any::<usize>(), 0u32..2000, 0u32..2000), 1..40),
        more in proptest::collection::vec((any::<usize>(), 0u32..2000, 0u32..2000), 1..10),
    ) {
        let folder = tempfile::tempdir().expect("a folder for the test");
        prop_assert_eq!(run_in(folder.path(), &beside(&steps)), "");
        // And on from there, of what the rows say.
        let text = beside(&more).replace("t := T new: 't'. p := Plain new.", "t := T at: 't'.");
        let text: String = text.lines().map(|line| line.split(". p ").next().unwrap_or(line)).filter(|line| !line.starts_with("t look"))
            .map(|line| if line.starts_with("t ") && !line.ends_with('.') { format!("{line}.\n") } else { format!("{line}\n") }).collect();
        prop_assert_eq!(run_in(folder.path(), &text), "");
        let before = rows(folder.path());
        System::rebuild_tables(folder.path()).expect("the log has everything");
        prop_assert!(rows(folder.path()) == before, "rows that are made again are the same");
    }
}
