//! Promises that wait: what one costs however many there are, and that it is the same however its twin is brought back.

mod common;

use std::path::Path;

use common::{Seen, check_moving, program};
use twintalk_runtime::{ClockKind, Durability, OpenOptions, System};
use twintalk_store::rocks::RocksStore;
use twintalk_store::{Key, KeyRange, Log, Partition, Position, Table, Tables};

/// Blocks take along values, objects of their own and of the twin, and promises.
const EVERY: &str = r"
object Box = ( | v <- 0. | v = ( ^v ) ask: e = ( (e ! echo: 5) then: [ :a | v := v + a ] ) )
twin Echo = ( echo: x = ( ^x ) fail: x = ( self error: 'no' ) )
twin T = (
  | sum <- 0. list <- nil. box kept other got <- List new. |
  e = ( ^Echo at: 'e' )
  plain: n = ( | factor |
    factor := 10.
    1 to: n do: [ :i | (self e ! echo: i) then: [ :a | sum := sum + (a * factor) ] ] )
  shared = ( | all |
    list := all := List new.
    1 to: 3 do: [ :i | (self e ! echo: i) then: [ :a | all add: a ] else: [ :x | all add: 0 ] ] )
  forget = ( list := nil )
  alone = ( | all |
    all := List new.
    1 to: 3 do: [ :i | (self e ! echo: i) then: [ :a | all add: a. a = 3 ifTrue: [ list := all ] ] ] )
  long = ( | all |
    all := List new. 1 to: 600 do: [ :i | all add: i ].
    1 to: 3 do: [ :i | (self e ! echo: i) then: [ :a | all add: a. a = 3 ifTrue: [ list := all ] ] ] )
  boxed = ( box := Box new. box ask: self e. box ask: self e )
  slot = ( kept := self e ! echo: 1. kept then: [ :a | got add: a + 200 ] )
  crossed = ( | p q |
    p := self e ! echo: 1. q := self e ! echo: 2.
    p then: [ :a | got add: a. q then: [ :b | got add: b + 100 ] ] )
  mutual = ( | p q |
    p := self e ! echo: 11. q := self e ! echo: 12.
    p then: [ :a | got add: a. other := q ].
    q then: [ :a | got add: a. kept := p ] )
  own = ( | p | p := self e ! echo: 4. p then: [ :a | got add: a. kept := p ] )
  late = ( kept then: [ :a | got add: a + 1000 ] )
  fails = ( (self e ! fail: 3) then: [ :a | got add: #wrong ] else: [ :x | got add: -1 ] )
  twice = ( | p | p := self e ! echo: 6. p then: [ :a | got add: a ]. p then: [ :a | got add: a + 1 ] )
  chain = ( (self e ! echo: 21) then: [ :a | (self e ! echo: a + 1) then: [ :b | got add: b ] ] )
  array = ( | both | both := {Box new. 3 / 4. 'text' copy. #(1 2)}. list := both.
    (self e ! echo: 31) then: [ :a | got add: a; add: both == list; add: (both at: 3) == (list at: 3) ] )
  part = ( (self part: 'p' of: T) chain )
  query look = ( ^{sum. list. box isNil ifTrue: [ 0 ] ifFalse: [ box v ]. got} )
)
| t |
Echo new: 'e'. t := T new: 't'.
t plain: 20. Clock advance: 1 second. t look printNl.
t shared. Clock advance: 1 second. t look printNl.
t shared. t forget. Clock advance: 1 second. t look printNl.
t alone. Clock advance: 1 second. t look printNl.
t long. t forget. Clock advance: 1 second. (t look at: 2) size printNl. ((t look at: 2) at: 603) printNl. t forget.
t boxed. Clock advance: 1 second. t look printNl.
t slot. Clock advance: 1 second. t late. Clock advance: 1 second. t look printNl.
t crossed. t mutual. t own. Clock advance: 1 second. t late. t fails. t twice. t chain. Clock advance: 1 second. t look printNl.
t array. Clock advance: 1 second. t look printNl. t part. Clock advance: 1 second. (T at: 't/p') look printNl.
";

// delivery: D5.2, D5.3, D5.4, D5.8
#[test]
fn promises_do_the_same_however_the_twin_is_brought_back() {
    check_moving(
        EVERY,
        "{2100. nil. 0. List()}\n\
         {2100. List(1 2 3). 0. List()}\n\
         {2100. nil. 0. List()}\n\
         {2100. List(1 2 3). 0. List()}\n\
         603\n\
         3\n\
         {2100. nil. 10. List()}\n\
         {2100. nil. 10. List(201 1001)}\n\
         {2100. nil. 10. List(201 1001 1 102 11 12 4 1004 -1 6 7 22)}\n\
         {2100. {a Box. (3/4). 'text'. #(1 2)}. 10. List(201 1001 1 102 11 12 4 1004 -1 6 7 22 31 true true)}\n\
         {0. nil. 0. List(22)}\n",
    );
}

/// What is asked waits until the other twin is opened.
const WAITS: &str = "
    twin Echo = ( | isOpen <- false. |
        supervise retry: 1000 after: 1 second upTo: 1 second.
        open = ( isOpen := true )
        echo: x = ( isOpen ifFalse: [ self error: 'not yet' ]. ^x ) )
    twin T = ( VERSION | sum <- 0. all <- nil. SLOT |
        ask: n = ( 1 to: n do: [ :i | ((Echo at: 'e') ! echo: i) then: [ :a | sum := sum + (a * i) ] else: [ :x | sum := 0 ] ] )
        hold: n = ( | list | list := List new.
            1 to: n do: [ :i | ((Echo at: 'e') ! echo: i) then: [ :a | list add: a. a = n ifTrue: [ all := list ] ] ] ) )\n";

fn waits(statements: &str) -> String {
    WAITS.replace("VERSION", "").replace("SLOT", "") + statements
}

/// Runs a program on the store in a folder, and closes it.
fn run(folder: &Path, text: &str) -> String {
    let mut system = open(folder, text);
    let mut seen = Seen::default();
    system.run_program(Vec::new(), None, &mut seen).unwrap_or_else(|error| panic!("{error}"));
    let report = system.verify(&mut |_| {}).expect("the store can be read");
    assert_eq!(report.differences, Vec::<String>::new());
    system.close(&mut seen).expect("it closes");
    seen.text
}

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

/// How many bytes the row of `t` has, and each of its pieces.
fn rows(folder: &Path) -> (usize, Vec<usize>) {
    let store = RocksStore::open_read_only(folder).expect("it is closed");
    let row = store.get(Table::State, Key::new().state(Partition(0), "t")).expect("the table is there");
    let pieces = store.scan(Table::Chunks, &KeyRange::of_twin(Partition(0), "t")).expect("the table is there");
    (row.map_or(0, |row| row.bytes.len()), pieces.map(|row| row.expect("a row").1.bytes.len()).collect())
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

// delivery: D5.15
#[test]
fn a_reply_costs_as_much_as_its_own_promise_however_many_wait() {
    for (count, sum) in [(10, "385\n"), (1000, "333833500\n")] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        assert_eq!(run(folder.path(), &waits(&format!("Echo new: 'e'. (T new: 't') ask: {count}."))), "");
        // They wait: the twin is as small as ever, and each promise has a row.
        let (row, pieces) = rows(folder.path());
        assert!(row < 40, "{row} bytes");
        assert_eq!(pieces.len(), count);
        assert!(pieces.iter().all(|&bytes| bytes < 90), "{pieces:?}");
        assert!(bytes_of_changes(folder.path(), "ask:")[0] < 90 * count);
        // Where all rows are lost they are made again.
        System::rebuild_tables(folder.path()).expect("the log has everything");
        assert_eq!(rows(folder.path()), (row, pieces));
        let mut system =
            open(folder.path(), &waits("(Echo at: 'e') open. Clock advance: 2 seconds. (T at: 't') sum printNl"));
        let (mut seen, before) = (Seen::default(), system.pieces_asked());
        system.run_program(Vec::new(), None, &mut seen).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(seen.text, sum);
        // A reply asks for its own alone.
        assert_eq!(system.pieces_asked() - before, count as u64);
        system.close(&mut seen).expect("it closes");
        let replies = bytes_of_changes(folder.path(), "<reply:>");
        assert_eq!(replies.len(), count);
        assert!(replies.iter().all(|&bytes| bytes < 24), "{replies:?}");
        let (row, pieces) = rows(folder.path());
        assert!(row < 40 && pieces.is_empty(), "{row} bytes, {pieces:?}");
    }
}

// delivery: D5.10, D10.11, D5.15
#[test]
fn promises_that_wait_hold_their_objects_through_restarts_and_upgrades() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    assert_eq!(run(folder.path(), &waits("Echo new: 'e'. (T new: 't') hold: 5. (T at: 't') ask: 2")), "");
    assert_eq!(rows(folder.path()).1.len(), 7);
    // Its definition is another from here on; the twin is carried over when the first reply comes.
    let second = WAITS.replace("VERSION", "version 2.").replace("SLOT", "more <- 7.");
    assert_eq!(run(folder.path(), &format!("{second} (Echo at: 'e') open")), "");
    let end = format!(
        "{second} Clock advance: 5 seconds. (T at: 't') all printNl. {{(T at: 't') sum. (T at: 't') more}} printNl"
    );
    assert_eq!(run(folder.path(), &end), "List(1 2 3 4 5)\n#(5 7)\n");
    assert_eq!(rows(folder.path()).1, Vec::<usize>::new());
}

#[test]
fn promises_that_wait_are_readable_in_an_export_and_the_same_after_an_import() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    assert_eq!(run(folder.path(), &waits("Echo new: 'e'. (T new: 't') hold: 5. (T at: 't') ask: 2")), "");
    // The definition that it is carried over to when a reply comes.
    let second = WAITS.replace("VERSION", "version 2.").replace("SLOT", "more <- 7.");
    assert_eq!(run(folder.path(), &format!("{second} (Echo at: 'e') open. Clock advance: 1 second")), "");
    let lines = exported(folder.path());
    for member in ["\"apart\":{\"number\"", "\"held\":[{", "\"answered\":"] {
        assert!(lines.contains(member), "{member} in {lines}");
    }
    let is_in_digits =
        |line: &&str| ["changes", "state"].iter().any(|one| line.contains(&format!("\"{one}\":{{\"hex\"")));
    let hex = lines.lines().find(is_in_digits);
    assert_eq!(hex, None);
    let copy = tempfile::tempdir().expect("a folder for the test");
    let other = copy.path().join("copy");
    System::import(&other, &mut lines.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(exported(&other), lines);
    let end = format!("{second} Clock advance: 5 seconds. {{(T at: 't') all. (T at: 't') sum}} printNl");
    assert_eq!(run(&other, &end), "{List(1 2 3 4 5). 5}\n");
}

fn exported(folder: &Path) -> String {
    let options = OpenOptions { folder: Some(folder.to_owned()), read_only: true, ..OpenOptions::default() };
    let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
    let mut lines = String::new();
    system
        .export(&mut |line| {
            lines.push_str(line);
            lines.push('\n');
        })
        .expect("the store can be read");
    lines
}

// delivery: D5.11, D6.9
#[test]
fn promises_that_wait_go_with_their_twin_and_are_not_cloned() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let text = "Echo new: 'e'. (T new: 't') hold: 5. (T at: 't') ask: 2. ((T at: 't') cloneAs: 'u') ask: 1";
    assert_eq!(run(folder.path(), &waits(text)), "");
    assert_eq!(run(folder.path(), &waits("(T at: 't') remove. (T new: 't') hold: 1")), "");
    assert_eq!(rows(folder.path()).1.len(), 1);
    let text =
        "(Echo at: 'e') open. Clock advance: 5 seconds. {(T at: 't') sum. (T at: 't') all. (T at: 'u') sum} printNl";
    assert_eq!(run(folder.path(), &waits(text)), "{0. List(1). 1}\n");
    assert_eq!(rows(folder.path()).1, Vec::<usize>::new());
}
