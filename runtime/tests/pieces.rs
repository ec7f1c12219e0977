//! Large collections in twins: what a change of one costs, and that it is the same however the twin is brought back.

mod common;

use std::path::Path;

use common::{Seen, check, program};
use proptest::prelude::*;
use twintalk_runtime::{Datum, Discipline, Durability, Moment, OpenOptions, SendError, System, TrialStep, Tried};
use twintalk_store::rocks::{RocksOptions, RocksStore};
use twintalk_store::{Key, KeyRange, Log, Partition, Position, Rows, Table, Tables};

/// Opens a store in a folder.
fn open(folder: &Path, text: &str, discipline: Discipline) -> System {
    System::open(OpenOptions {
        folder: Some(folder.to_owned()),
        durability: Some(Durability::Async),
        program: Some(program(text)),
        discipline,
        ..OpenOptions::default()
    })
    .unwrap_or_else(|error| panic!("{error}"))
}

/// Opens it and runs the program to its end.
fn opened(folder: &Path, text: &str) -> System {
    let mut system = open(folder, text, Discipline::Normal);
    let mut seen = Seen::default();
    system.run_program(Vec::new(), None, &mut seen).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(seen.text, "");
    system
}

fn send(system: &mut System, selector: &str, arguments: &[i64]) -> String {
    let arguments: Vec<Datum> = arguments.iter().map(|&number| number.into()).collect();
    let mut seen = Seen::default();
    let reply = system.send("t", selector, &arguments, &mut seen).unwrap_or_else(|error| panic!("{selector}: {error}"));
    assert_eq!(seen.text, "");
    reply.to_string()
}

fn verify(system: &mut System) {
    let report = system.verify(&mut |_| {}).expect("the store can be read");
    assert_eq!(report.differences, Vec::<String>::new());
}

/// How many bytes each record has of what became of its twins, for the messages with this selector.
fn bytes_of_changes(folder: &Path, selector: &str) -> Vec<usize> {
    let store = RocksStore::open_read_only(folder).expect("it is closed");
    let mut sizes = Vec::new();
    for block in store.read(Partition(0), Position::FIRST).expect("the log is there") {
        let bytes = block.expect("it is whole");
        let block = bytes.open().expect("it is whole");
        for record in block.records(0) {
            let (_, record) = record.expect("it is whole");
            if record.input.selector == selector {
                sizes.push(record.twins.iter().map(|twin| twin.bytes.len()).sum());
            }
        }
    }
    sizes
}

/// The pieces of `t` that the store has rows of.
fn rows_of_pieces(folder: &Path) -> usize {
    let store = RocksStore::open_read_only(folder).expect("it is closed");
    store.scan(Table::Chunks, &KeyRange::of_twin(Partition(0), "t")).expect("the table is there").count()
}

/// One turn that fills, then many that change.
const LONG: &str = "twin T = ( | list <- List new. log <- Series new. moment <- 0. |
       fill: n = ( 1 to: n do: [ :each | list add: each ] )
       log: n = ( log keepFor: (Duration nanoseconds: n - 1). n timesRepeat: [ self read: moment + 1 ] )
       add: x = ( list add: x )
       put: x = ( list at: x * 37 \\\\ list size + 1 put: x )
       turn: x = ( list add: x. ^list removeFirst )
       first: x = ( list addFirst: x. ^list removeLast )
       read: x = ( moment := moment + 1. log add: x at: (DateTime nanoseconds: moment) )
       few: x = ( 1 to: x * 20 do: [ :each | self add: each; first: each; turn: each ] )
       empty = ( list removeAll )
       query look = ( ^{list size. list first. list last. list at: 777} )
       query lookAtLog = ( ^{log size. log first. log last} ) )
     | t | t := T new: 't'.";

// delivery: D11.9
#[test]
fn a_change_of_a_list_of_a_million_leaves_a_record_of_the_size_of_the_change() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let text = format!("{LONG} t fill: 1000000. t log: 20000");
    let mut system = opened(folder.path(), &text);
    system.passivate().expect("it can be written");
    let steps = ["add:", "put:", "turn:", "first:", "read:"];
    for (selector, pieces) in [("add:", 3), ("put:", 3), ("turn:", 6), ("first:", 7), ("read:", 12)] {
        // Whatever it touches is brought in again for each.
        for x in 0..20 {
            let before = system.pieces_asked();
            send(&mut system, selector, &[x]);
            let asked = system.pieces_asked() - before;
            assert!(asked <= 2 * pieces, "{selector} asks for {asked} pieces");
        }
        for x in 20..2000 {
            send(&mut system, selector, &[x]);
        }
    }
    assert_eq!(send(&mut system, "look", &[]), "#(1002000 1999 1999 1223)");
    system.close(&mut Seen::default()).expect("it closes");
    for selector in steps {
        let sizes = bytes_of_changes(folder.path(), selector);
        assert_eq!(sizes.len(), 2000);
        // Some make a leaf, which is as long as one: one in 256 for each list that grows. No other has more than what changed.
        let most = sizes.iter().max().copied().unwrap_or(0);
        assert!(most < 700, "{selector}: {most}");
        let long = sizes.iter().filter(|&&size| size > 100).count();
        assert!(long <= 2 * (2000 / 256 + 1), "{selector}: {long} records are long");
    }
}

#[test]
fn a_long_list_is_the_same_however_its_twin_is_brought_back() {
    check(
        &format!(
            "{LONG} t fill: 500. 1 to: 12 do: [ :each | t add: each; put: each; turn: each; turn: each; first: each; few: each ].
             t look printNl. t log: 700. 1 to: 10 do: [ :each | t read: each ]. t lookAtLog printNl"
        ),
        "#(2072 12 240 79)\n#(700 11 10)\n",
    );
}

#[test]
fn a_list_that_holds_what_can_change_is_the_same_too() {
    check(
        "object Box = ( | v | v: x = ( v := x ) )
         twin Other = ( | mine <- nil. | take: aList = ( mine := aList. mine add: 0 ) query size = ( ^mine size ) query at: i = ( ^(mine at: i) v ) )
         twin T = ( | list <- List new. boxes <- List new. both. |
           fill = ( 1 to: 600 do: [ :each | list add: each ]. 1 to: 600 do: [ :each | boxes add: (Box new v: each; yourself) ] )
           box: i = ( list at: i put: (boxes at: i). (boxes at: i) v: 0 )
           number: i = ( list at: i put: i. boxes at: i put: i )
           share = ( both := {list. list. boxes}. list add: 7 )
           lose = ( list := List new. boxes removeAll. both := nil )
           give = ( (self part: 'other' of: Other) take: list. ^(self part: 'other') size )
           far = ( (T at: 'u') ! take: list )
           take: aList = ( list := aList )
           grow = ( 1 to: 20000 do: [ :each | list add: each ] )
           query look = ( ^{(list at: 300) class name. list last. (boxes at: 300) class name. list size} )
           query lookShort = ( ^{list size. list isEmpty ifTrue: [ 0 ] ifFalse: [ list last ]} )
           query same = ( ^(both at: 1) == (both at: 2) and: [ (both at: 1) == list ] ) )
         | t u |
         t := T new: 't'. u := T new: 'u'. t fill. t look printNl.
         t box: 300. t look printNl. t share. t same printNl. t box: 1. t box: 600. t look printNl.
         t number: 300. t number: 1. t number: 600. t look printNl. t same printNl.
         t give printNl. t far. u lookShort printNl. t grow. t lookShort printNl.
         (t cloneAs: 'v') lookShort printNl. t lose. t lookShort printNl. (T at: 'v') lookShort printNl.
         t grow. t lookShort printNl. t remove. t := T new: 't'. t grow. t lookShort printNl"
,        "#('Integer' 600 'Box' 600)\n#('Box' 600 'Box' 600)\ntrue\n#('Box' 7 'Box' 601)\n#('Integer' 7 'Integer' 601)\ntrue\n602\n\
         #(601 7)\n#(20601 20000)\n#(20601 20000)\n#(0 0)\n#(20601 20000)\n#(20000 20000)\n#(20000 20000)\n",
    );
}

#[test]
fn an_old_moment_of_a_long_list_is_what_it_was() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let mut system = opened(folder.path(), &format!("{LONG} t fill: 700. t add: 1. t put: 2. t empty. t fill: 300"));
    let mut list = |turn| {
        let state = system.state("t", Moment::Turn(turn)).expect("nothing is damaged").expect("there is a twin");
        let Datum::Array(elements) = &state.slots[0].1 else { panic!("{}", state.slots[0].1) };
        (elements.len(), elements.last().map(Datum::to_string).unwrap_or_default())
    };
    assert_eq!(list(2), (700, "700".to_owned()));
    assert_eq!(list(3), (701, "1".to_owned()));
    assert_eq!(list(5), (0, String::new()));
    assert_eq!(list(6), (300, "300".to_owned()));
    verify(&mut system);
}

#[test]
fn pieces_that_are_gone_have_no_rows() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let mut system = opened(folder.path(), &format!("{LONG} t fill: 70000"));
    system.passivate().expect("it can be written");
    send(&mut system, "empty", &[]);
    verify(&mut system);
    system.close(&mut Seen::default()).expect("it closes");
    assert_eq!(rows_of_pieces(folder.path()), 0);
    let mut system = open(folder.path(), LONG, Discipline::Normal);
    send(&mut system, "fill:", &[1000]);
    system.close(&mut Seen::default()).expect("it closes");
    assert_eq!(rows_of_pieces(folder.path()), 5);
    let mut system = open(folder.path(), LONG, Discipline::Normal);
    send(&mut system, "remove", &[]);
    system.close(&mut Seen::default()).expect("it closes");
    assert_eq!(rows_of_pieces(folder.path()), 0);
}

#[test]
fn a_twin_whose_definition_has_changed_keeps_its_pieces() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let mut system = opened(folder.path(), &format!("{LONG} t fill: 20000"));
    system.checkpoint().expect("it can be written");
    send(&mut system, "add:", &[1]);
    // As after a crash: the last turn is replayed.
    drop(system);
    let later = LONG
        .replace("| list <-", "| more <- 5. list <-")
        .replace("query look =", "version 2. migrate 1 = ( more := list last + (list at: 5000) ) query look =");
    // On a copy first.
    let mut system = open(folder.path(), LONG, Discipline::Normal);
    let mut faults = Vec::new();
    let trial = system.try_program(&program(&later), &mut |step| {
        if let TrialStep::Fault { fault, .. } = step {
            faults.push(fault.to_string());
        }
    });
    assert_eq!(trial.map(|trial| trial.prototypes["T"]).ok(), Some(Tried { twins: 1, carried: 1, failed: 0 }));
    assert_eq!(faults, Vec::<String>::new());
    drop(system);
    let mut system = System::open(OpenOptions {
        folder: Some(folder.path().to_owned()),
        durability: Some(Durability::Async),
        program: Some(program(&later)),
        upgrade: true,
        ..OpenOptions::default()
    })
    .unwrap_or_else(|error| panic!("{error}"));
    send(&mut system, "turn:", &[3]);
    assert_eq!(send(&mut system, "look", &[]), "#(20001 2 3 778)");
    let state = system.state("t", Moment::Now).expect("nothing is damaged").expect("there is a twin");
    assert_eq!((state.slots[0].0.as_str(), state.slots[0].1.to_string()), ("more", "5001".to_owned()));
    let state = system.state("t", Moment::Turn(3)).expect("nothing is damaged").expect("there is a twin");
    let Datum::Array(elements) = &state.slots[0].1 else { panic!("{}", state.slots[0].1) };
    assert_eq!(elements.len(), 20001);
    verify(&mut system);
    system.close(&mut Seen::default()).expect("it closes");
    let sizes = bytes_of_changes(folder.path(), "turn:");
    assert!(sizes[0] < 6000, "a twin that is carried over leaves only the pieces that it touched: {}", sizes[0]);
}

#[test]
fn a_damaged_piece_is_an_error() {
    for (nth, damage) in [
        (0, [14, 200, 1].as_slice()),
        (1, b""),
        (2, &[0; 300]),
        (3, &[24, 5]),
        (4, &[14, 2, 1, 3, 24, 2, 24, 2, 24, 2]),
        (5, &[255; 5000]),
    ] {
        let folder = tempfile::tempdir().expect("a folder for the test");
        opened(folder.path(), &format!("{LONG} t fill: 1000")).close(&mut Seen::default()).expect("it closes");
        let store = RocksStore::open(folder.path(), &RocksOptions::default()).expect("it is closed");
        let keys = store.scan(Table::Chunks, &KeyRange::of_twin(Partition(0), "t")).expect("the table is there");
        let keys: Vec<(Key, Position)> =
            keys.map(|row| row.map(|(key, row)| (key, row.position)).expect("it is whole")).collect();
        let mut rows = Rows::new();
        for (key, position) in &keys {
            rows.put(Table::Chunks, key, *position, damage);
        }
        store.write(&rows).expect("it can be written");
        drop(store);
        let mut system = open(folder.path(), LONG, Discipline::Normal);
        for selector in ["add:", "put:"] {
            let sent = system.send("t", selector, &[1.into()], &mut Seen::default());
            let Err(SendError::Fault(fault)) = sent else { panic!("{nth}: {selector} is done: {sent:?}") };
            assert_eq!(fault.kind, "Damaged", "{nth}");
        }
        let report = system.verify(&mut |_| {}).expect("the store can be read");
        assert!(!report.differences.is_empty(), "{nth}: verify tells");
    }
}

// ---- any steps, beside a plain model ----

/// A step on one of the collections of a twin.
#[derive(Clone, Debug)]
enum Step {
    Add(i64),
    AddFirst(i64),
    AddMany(i64),
    Put(usize, i64),
    Box(usize),
    RemoveFirst,
    RemoveLast,
    RemoveMany(usize, bool),
    Insert(usize, i64),
    RemoveAt(usize),
    Clear,
    MapPut(i64, i64),
    MapBox(i64),
    MapMany(i64),
    MapRemove(i64),
    MapRemoveMany(i64, i64),
    MapClear,
    Log(i64),
    Passivate,
}

fn step() -> impl Strategy<Value = Step> {
    let number = -1000i64..100_000;
    prop_oneof![
        6 => number.clone().prop_map(Step::Add),
        4 => number.clone().prop_map(Step::AddFirst),
        3 => (1i64..900).prop_map(Step::AddMany),
        5 => (any::<usize>(), number.clone()).prop_map(|(at, x)| Step::Put(at, x)),
        1 => any::<usize>().prop_map(Step::Box),
        5 => Just(Step::RemoveFirst),
        5 => Just(Step::RemoveLast),
        3 => (1usize..900, any::<bool>()).prop_map(|(count, first)| Step::RemoveMany(count, first)),
        2 => (any::<usize>(), number.clone()).prop_map(|(at, x)| Step::Insert(at, x)),
        2 => any::<usize>().prop_map(Step::RemoveAt),
        1 => Just(Step::Clear),
        6 => (0i64..2003, number.clone()).prop_map(|(key, x)| Step::MapPut(key, x)),
        1 => (0i64..2003).prop_map(Step::MapBox),
        4 => (0i64..1500).prop_map(Step::MapMany),
        4 => (0i64..2003).prop_map(Step::MapRemove),
        5 => (0i64..2003, 1i64..900).prop_map(|(from, count)| Step::MapRemoveMany(from, count)),
        1 => Just(Step::MapClear),
        3 => (1i64..400).prop_map(Step::Log),
        4 => Just(Step::Passivate),
    ]
}

const ANY: &str = "object Box = ( | v | v: x = ( v := x ) )
    twin T = ( | list <- List new. map <- Dictionary new. set <- IdentitySet new. log <- Series new. moment <- 0. |
      add: x = ( list add: x )
      addFirst: x = ( list addFirst: x )
      addMany: n = ( 1 to: n do: [ :each | list add: each ] )
      put: i with: x = ( list at: i put: x )
      box: i = ( list at: i put: (Box new v: i; yourself) )
      removeFirst = ( list removeFirst )
      removeLast = ( list removeLast )
      removeMany: n first: first = ( n timesRepeat: [ first ifTrue: [ list removeFirst ] ifFalse: [ list removeLast ] ] )
      insert: i with: x = ( list insert: x at: i )
      removeAt: i = ( list removeAt: i )
      clear = ( list removeAll )
      map: k put: x = ( map at: k put: x. set add: k )
      mapBox: k = ( map at: k put: (Box new v: k; yourself). set add: k )
      mapMany: n = ( 1 to: n do: [ :each | self map: each * 7 \\\\ 2003 put: each ] )
      mapRemove: k = ( map removeKey: k ifAbsent: [ nil ]. set remove: k ifAbsent: [ nil ] )
      map: k removeMany: n = ( k to: k + n - 1 do: [ :each | self mapRemove: each \\\\ 2003 ] )
      mapClear = ( map removeAll. set := IdentitySet new )
      log: n = ( log keepFor: (Duration nanoseconds: 600). n timesRepeat: [ moment := moment + 1. log add: moment at: (DateTime nanoseconds: moment) ] )
      query all = ( ^{list asArray collect: [ :each | each isNumber ifTrue: [ each ] ifFalse: [ each v negated - 5000 ] ].
         map keys asArray. map values asArray collect: [ :each | each isNumber ifTrue: [ each ] ifFalse: [ each v negated - 5000 ] ].
         set asArray = map keys asArray. map size = set size and: [ map = map copy ]. log asArray} ) )
    T new: 't'.";

/// What a boxed number is shown as.
fn boxed(index: usize) -> i64 {
    -(index as i64) - 5000
}

/// The plain collections that the twin's are to be like.
#[derive(Default)]
struct Model {
    list: Vec<i64>,
    map: Vec<(i64, i64)>,
    moment: i64,
    logged: bool,
}

impl Model {
    fn shown(&self) -> String {
        let array = |numbers: Vec<i64>| {
            let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
            format!("#({})", numbers.join(" "))
        };
        let log = if self.logged { ((self.moment - 600).max(1)..=self.moment).collect() } else { Vec::new() };
        let keys = self.map.iter().map(|pair| pair.0).collect();
        let values = self.map.iter().map(|pair| pair.1).collect();
        format!("#({} {} {} true true {})", array(self.list.clone()), array(keys), array(values), array(log))
    }

    fn put(&mut self, key: i64, value: i64) {
        match self.map.iter_mut().find(|pair| pair.0 == key) {
            Some(pair) => pair.1 = value,
            None => self.map.push((key, value)),
        }
    }

    /// Does the step here and to the twin.
    fn step(&mut self, system: &mut System, step: &Step) {
        let size = self.list.len();
        match *step {
            Step::Add(x) => {
                self.list.push(x);
                send(system, "add:", &[x]);
            }
            Step::AddFirst(x) => {
                self.list.insert(0, x);
                send(system, "addFirst:", &[x]);
            }
            Step::AddMany(n) => {
                self.list.extend(1..=n);
                send(system, "addMany:", &[n]);
            }
            Step::Put(at, x) if size > 0 => {
                self.list[at % size] = x;
                send(system, "put:with:", &[(at % size) as i64 + 1, x]);
            }
            Step::Box(at) if size > 0 => {
                self.list[at % size] = boxed(at % size + 1);
                send(system, "box:", &[(at % size) as i64 + 1]);
            }
            Step::RemoveFirst if size > 0 => {
                self.list.remove(0);
                send(system, "removeFirst", &[]);
            }
            Step::RemoveLast if size > 0 => {
                self.list.pop();
                send(system, "removeLast", &[]);
            }
            Step::RemoveMany(count, first) => {
                let count = count.min(size);
                if first {
                    self.list.drain(..count);
                } else {
                    self.list.truncate(size - count);
                }
                let arguments = [Datum::from(count as i64), Datum::Bool(first)];
                system.send("t", "removeMany:first:", &arguments, &mut Seen::default()).expect("it is done");
            }
            Step::Insert(at, x) if size > 0 => {
                self.list.insert(at % size, x);
                send(system, "insert:with:", &[(at % size) as i64 + 1, x]);
            }
            Step::RemoveAt(at) if size > 0 => {
                self.list.remove(at % size);
                send(system, "removeAt:", &[(at % size) as i64 + 1]);
            }
            Step::Clear => {
                self.list.clear();
                send(system, "clear", &[]);
            }
            Step::MapPut(key, x) => {
                self.put(key, x);
                send(system, "map:put:", &[key, x]);
            }
            Step::MapBox(key) => {
                self.put(key, boxed(key as usize));
                send(system, "mapBox:", &[key]);
            }
            Step::MapMany(n) => {
                (1..=n).for_each(|each| self.put(each * 7 % 2003, each));
                send(system, "mapMany:", &[n]);
            }
            Step::MapRemove(key) => {
                self.map.retain(|pair| pair.0 != key);
                send(system, "mapRemove:", &[key]);
            }
            Step::MapRemoveMany(from, count) => {
                (from..from + count).for_each(|key| self.map.retain(|pair| pair.0 != key % 2003));
                send(system, "map:removeMany:", &[from, count]);
            }
            Step::MapClear => {
                self.map.clear();
                send(system, "mapClear", &[]);
            }
            Step::Log(n) => {
                self.moment += n;
                self.logged = true;
                send(system, "log:", &[n]);
            }
            Step::Passivate => system.passivate().expect("it can be written"),
            Step::Put(..)
            | Step::Box(_)
            | Step::RemoveFirst
            | Step::RemoveLast
            | Step::Insert(..)
            | Step::RemoveAt(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn collections_are_like_plain_ones_whatever_is_done_to_them(
        steps in proptest::collection::vec(step(), 1..60),
        discipline in prop_oneof![Just(Discipline::Normal), Just(Discipline::Replay), Just(Discipline::Reload)],
        stress in any::<bool>(),
    ) {
        let options = OpenOptions { program: Some(program(ANY)), discipline, ..OpenOptions::default() };
        let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
        system.run_program(Vec::new(), None, &mut Seen::default()).unwrap_or_else(|error| panic!("{error}"));
        system.set_stress(stress && steps.len() < 20);
        let mut model = Model::default();
        for (nth, step) in steps.iter().enumerate() {
            model.step(&mut system, step);
            if nth % 5 == 4 || nth + 1 == steps.len() {
                prop_assert_eq!(send(&mut system, "all", &[]), model.shown());
            }
        }
        verify(&mut system);
    }
}

// ---- sets and dictionaries ----

/// A message with arguments of any kind.
fn ask(system: &mut System, selector: &str, arguments: &[Datum]) -> String {
    let mut seen = Seen::default();
    let reply = system.send("t", selector, arguments, &mut seen).unwrap_or_else(|error| panic!("{selector}: {error}"));
    assert_eq!(seen.text, "");
    reply.to_string()
}

/// Turns that fill, then many that change.
const TABLES: &str = "twin T = ( | map <- Dictionary new. set <- Set new. same <- IdentityDictionary new. only <- IdentitySet new. bag <- Bag new. |
       map: from to: to = ( from to: to do: [ :each | map at: each put: each * 2 ] )
       set: from to: to = ( from to: to do: [ :each | set add: each ] )
       same: from to: to = ( from to: to do: [ :each | same at: each put: each * 2 ] )
       only: from to: to = ( from to: to do: [ :each | only add: each ] )
       bag: from to: to = ( from to: to do: [ :each | bag add: each ] )
       mapAdd: x = ( map at: x put: x )           mapPut: x = ( map at: x * 37 put: 0 - x )   mapRemove: x = ( ^map removeKey: x * 41 )
       setAdd: x = ( set add: x )                 setRemove: x = ( ^set remove: x * 41 )
       sameAdd: x = ( same at: x put: x )         samePut: x = ( same at: x * 37 put: 0 - x ) sameRemove: x = ( ^same removeKey: x * 41 )
       onlyAdd: x = ( only add: x )               onlyRemove: x = ( ^only remove: x * 41 )
       bagAdd: x = ( bag add: x )                 bagRemove: x = ( ^bag remove: x * 41 )
       query mapAt: x = ( ^map at: x * 31 ifAbsent: [ nil ] )
       query setHas: x = ( ^set includes: x * 31 )
       query sameAt: x = ( ^same at: x * 31 ifAbsent: [ nil ] )
       query onlyHas: x = ( ^only includes: x * 31 )
       query bagHas: x = ( ^bag occurrencesOf: x * 31 )
       query sizes = ( ^{map size. set size. same size. only size} ) )
     | t | t := T new: 't'.";

// delivery: D11.9
#[test]
fn a_change_of_a_dictionary_or_set_of_many_leaves_a_record_of_the_size_of_the_change() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let mut system = opened(folder.path(), TABLES);
    let filled = [("map", 1_000_000i64), ("set", 200_000), ("same", 100_000), ("only", 100_000), ("bag", 100_000)];
    for (name, size) in filled {
        for from in (0..size).step_by(50_000) {
            ask(&mut system, &format!("{name}:to:"), &[(from + 1).into(), (from + 50_000).into()]);
        }
    }
    system.passivate().expect("it can be written");
    for (name, size) in filled {
        for step in ["Add:", "Put:", "Remove:", "At:", "Has:"] {
            let selector = format!("{name}{step}");
            if !TABLES.contains(&selector) {
                continue;
            }
            for x in 1..=300 {
                let x = if step == "Add:" { size + x } else { x };
                let before = system.pieces_asked();
                send(&mut system, &selector, &[x]);
                let asked = system.pieces_asked() - before;
                // The queries bring in no more than their way; what changes is read once more, to be written.
                let most = if step == "At:" || step == "Has:" { 24 } else { 60 };
                assert!(asked <= most, "{selector} asks for {asked} pieces");
            }
        }
    }
    assert_eq!(send(&mut system, "sizes", &[]), "#(1000000 200000 100000 100000)");
    system.close(&mut Seen::default()).expect("it closes");
    for (name, _) in filled {
        // What was put there from the start: for each key some 40 bytes, key and value among them.
        assert!(bytes_of_changes(folder.path(), &format!("{name}:to:")).iter().all(|&size| size < 50_000 * 40));
        for (step, usual) in [("Add:", 160), ("Put:", 20), ("Remove:", 140)] {
            let selector = format!("{name}{step}");
            let sizes = bytes_of_changes(folder.path(), &selector);
            if !TABLES.contains(&selector) {
                continue;
            }
            assert_eq!(sizes.len(), 300, "{selector}");
            // Some make a leaf.
            let most = sizes.iter().max().copied().unwrap_or(0);
            assert!(most < 700, "{selector}: {most}");
            let long = sizes.iter().filter(|&&size| size > usual).count();
            assert!(long <= 10, "{selector}: {long} records are long");
        }
    }
}

#[test]
fn no_turn_of_a_dictionary_that_grows_and_shrinks_leaves_a_long_record() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let mut system = opened(folder.path(), TABLES);
    ask(&mut system, "map:to:", &[1.into(), 100.into()]);
    for x in 101..1500 {
        send(&mut system, "mapAdd:", &[x]);
    }
    // The keys that are removed and added all the time leave holes, which are swept.
    let text = "mapRemove:";
    for x in 1..36 {
        send(&mut system, text, &[x]);
    }
    for x in 0..4000 {
        send(&mut system, "mapAdd:", &[41 * (x % 30 + 1)]);
        send(&mut system, text, &[x % 30 + 1]);
    }
    verify(&mut system);
    system.close(&mut Seen::default()).expect("it closes");
    for selector in ["mapAdd:", "mapRemove:"] {
        let sizes = bytes_of_changes(folder.path(), selector);
        // The one that moves it to parts has all 128.
        let long = sizes.iter().filter(|&&size| size > 1000).count();
        assert!(long <= 1, "{selector}: {long} records are long");
        assert!(sizes.iter().all(|&size| size < 6000), "{selector}: {:?}", sizes.iter().max());
    }
    let pieces = rows_of_pieces(folder.path());
    assert!(pieces < 120, "holes are swept: {pieces} pieces");
}

#[test]
fn a_large_dictionary_is_the_same_however_its_twin_is_brought_back() {
    check(
        "object Key = ( | n | n: x = ( n := x ) query n = ( ^n ) = other = ( ^other class == Key and: [ n = other n ] ) query hash = ( ^n \\\\ 7 ) )
         object Box = ( | v | v: x = ( v := x ) )
         twin Other = ( | mine | take: aMap = ( mine := aMap. mine at: 'new' put: 0 ) query size = ( ^mine size ) )
         twin T = ( | map <- Dictionary new. keys <- Dictionary new. set <- Set new. other old |
           fill = ( 1 to: 600 do: [ :each | map at: each put: each. map at: each printString put: each. map at: each / 7 put: each ].
             map at: nil put: 0. map at: true put: 1. map at: self put: 2. map at: $a put: 3. map at: Box put: 4. map at: #(1 2) put: 5 )
           keys = ( 1 to: 300 do: [ :each | keys at: (Key new n: each; yourself) put: each. set add: (Key new n: each \\\\ 150; yourself) ] )
           query look = ( ^{map size. map at: 600. map at: '600'. map at: 3 / 7. map at: nil. map at: true. map at: self. map at: $a. map at: Box.
             map at: #(1 2). map at: 2.0. map includesKey: false. map keys last. map keys first. map values last} )
           query found = ( ^{keys size. keys at: (Key new n: 300; yourself). set size. set includes: (Key new n: 149; yourself). keys includesKey: (Key new n: 301; yourself)} )
           loseKeys = ( 2 to: 300 do: [ :each | keys removeKey: (Key new n: each; yourself). set remove: (Key new n: each; yourself) ifAbsent: [ 0 ] ] )
           share = ( other := {map. map}. (other at: 1) at: 'shared' put: 1. ^((other at: 2) at: 'shared') = 1 and: [ other first == map ] )
           copies = ( | copy | copy := map copy. copy removeKey: 'shared'. copy at: 600 put: 0. ^{copy size. map size. map at: 600. copy = map. copy at: 600} )
           boxes = ( map at: 'box' put: (Box new v: 5; yourself). other at: 1 put: (map at: 'box') )
           boxed = ( (map at: 'box') v: 6. ^(other at: 1) == (map at: 'box') )
           whileLooking = ( | seen | seen := 0. map keysDo: [ :each | each isString ifTrue: [ map removeKey: each. seen := seen + 1 ] ]. ^{seen. map size} )
           putting = ( map keysAndValuesDo: [ :key :value | value isNumber ifTrue: [ map at: key put: value + 1 ] ]. ^map at: 600 )
           give = ( (self part: 'other' of: Other) take: map. ^(self part: 'other') size )
           far = ( (T at: 'u') ! take: map )
           take: aMap = ( map := aMap )
           keep: aMap = ( old := aMap )
           more = ( old at: 7 put: 70. old at: 'x' put: 1. old removeKey: 9 ifAbsent: [ nil ]. ^{old size. old at: 7. old at: 10. old at: 'x'} )
           lose = ( map removeAll. other := nil. keys := nil )
           query lookShort = ( ^{map size. map isEmpty} ) )
         | t u old |
         t := T new: 't'. u := T new: 'u'. t fill. t look printNl. t keys. t found printNl. t loseKeys. t share printNl. t copies printNl.
         t boxes. t boxed printNl. t putting printNl. t give printNl. t far. u lookShort printNl. (t cloneAs: 'v') lookShort printNl.
         t whileLooking printNl. t lookShort printNl. u lookShort printNl.
         old := Dictionary new. 1 to: 3000 do: [ :each | old at: each put: each ]. t keep: old. t more printNl. t more printNl.
         t lose. t lookShort printNl. (T at: 'v') lookShort printNl. t remove. t := T new: 't'. t fill. t lookShort printNl",
        "#(1721 600 600 3 0 1 2 3 4 5 14 false #(1 2) 1 5)\n#(300 300 150 true false)\ntrue\n#(1721 1722 600 false 0)\ntrue\n601\n1724\n\
         #(1723 false)\n#(1723 false)\n#(602 1121)\n#(1121 false)\n#(1723 false)\n#(3000 70 10 1)\n#(3000 70 10 1)\n\
         #(0 true)\n#(1723 false)\n#(1721 false)\n",
    );
}

#[test]
fn a_turn_that_fails_leaves_a_large_dictionary_as_it_was_and_a_query_cannot_change_it() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let text = TABLES.replace(
        "query sizes",
        "fails: x = ( map at: x put: x. map removeKey: 41. map at: 37 put: 5. self error: 'no' )
         query adds: x = ( map at: x put: x ) query puts: x = ( map at: 37 put: x ) query removes: x = ( map removeKey: 41 )
         query own: x = ( | own | own := map copy. 1 to: x do: [ :each | own at: each negated put: each. own removeKey: each ]. ^own size ) query sizes",
    );
    let mut system = opened(folder.path(), &format!("{text} t map: 1 to: 3000"));
    for passive in [false, true] {
        for (selector, kind) in
            [("fails:", "Error"), ("adds:", "QueryWrites"), ("puts:", "QueryWrites"), ("removes:", "QueryWrites")]
        {
            if passive {
                system.passivate().expect("it can be written");
            }
            let sent = system.send("t", selector, &[5000.into()], &mut Seen::default());
            let Err(SendError::Fault(fault)) = sent else { panic!("{selector} is done: {sent:?}") };
            assert_eq!(fault.kind, kind, "{selector}");
        }
        assert_eq!(send(&mut system, "own:", &[700]), "3000");
        assert_eq!(send(&mut system, "sizes", &[]), "#(3000 0 0 0)");
        assert_eq!(send(&mut system, "mapAt:", &[1]), "62");
    }
    verify(&mut system);
}

#[test]
fn a_twin_whose_definition_has_changed_keeps_its_large_dictionary() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let mut system = opened(folder.path(), &format!("{TABLES} t map: 1 to: 20000"));
    system.checkpoint().expect("it can be written");
    send(&mut system, "mapAdd:", &[20001]);
    // As after a crash: the last turn is replayed.
    drop(system);
    let later = TABLES
        .replace("| map <-", "| more <- 5. map <-")
        .replace("query sizes =", "version 2. migrate 1 = ( more := (map at: 20001) + (map at: 5) ) query sizes =");
    let mut system = System::open(OpenOptions {
        folder: Some(folder.path().to_owned()),
        durability: Some(Durability::Async),
        program: Some(program(&later)),
        upgrade: true,
        ..OpenOptions::default()
    })
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(send(&mut system, "mapRemove:", &[3]), "246");
    assert_eq!(send(&mut system, "sizes", &[]), "#(20000 0 0 0)");
    let state = system.state("t", Moment::Now).expect("nothing is damaged").expect("there is a twin");
    assert_eq!((state.slots[0].0.as_str(), state.slots[0].1.to_string()), ("more", "20011".to_owned()));
    for (moment, size) in [(Moment::Now, 20000), (Moment::Turn(3), 20001), (Moment::Turn(2), 20000)] {
        let state = system.state("t", moment).expect("nothing is damaged").expect("there is a twin");
        let map = state.slots.iter().find(|slot| slot.0 == "map").map(|slot| &slot.1);
        let Some(Datum::Dictionary(pairs)) = map else { panic!("{map:?}") };
        assert_eq!(pairs.len(), size);
        assert_eq!(pairs[0].1.to_string(), "2");
    }
    verify(&mut system);
    system.close(&mut Seen::default()).expect("it closes");
    let sizes = bytes_of_changes(folder.path(), "mapRemove:");
    assert!(sizes[0] < 20_000, "a twin that is carried over leaves only the pieces that it touched: {}", sizes[0]);
}

/// Long arrays: they stay in the image, but what changes in one is all that is written.
const ARRAYS: &str = "twin T = ( | array bytes text list |
       fill: n = ( array := Array new: n. bytes := ByteArray new: n. text := (String new: n withAll: $a) copy. list := List new.
         1 to: 3000 do: [ :each | array at: each put: each. bytes at: each put: each \\\\ 256 ] )
       put: i = ( array at: i * 31 put: i )
       byte: i = ( bytes at: i * 31 put: 255 )
       bytes: i = ( bytes at: i put: 1; at: i + 700 put: 2; at: bytes size put: 3 )
       letter: i = ( text at: i * 31 put: $b )
       query look = ( ^{array at: 31. array at: 62. bytes at: 31. bytes at: 62. bytes at: 702. bytes last. text at: 31. text at: 32. array size. bytes size. text size} ) )
     | t | t := T new: 't'.";

// delivery: D11.9
#[test]
fn a_change_of_a_long_array_leaves_a_record_of_the_size_of_the_change() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let mut system = opened(folder.path(), &format!("{ARRAYS} t fill: 100001"));
    for passive in [false, true] {
        for selector in ["put:", "byte:", "bytes:", "letter:"] {
            if passive {
                system.passivate().expect("it can be written");
            }
            send(&mut system, selector, &[1 + i64::from(passive)]);
        }
    }
    let wanted = "#(1 2 255 255 2 3 $b $a 100001 100001 100001)";
    assert_eq!(send(&mut system, "look", &[]), wanted);
    verify(&mut system);
    // As after a crash.
    drop(system);
    let mut system = open(folder.path(), ARRAYS, Discipline::Normal);
    assert_eq!(send(&mut system, "look", &[]), wanted);
    system.close(&mut Seen::default()).expect("it closes");
    for selector in ["put:", "byte:", "bytes:", "letter:"] {
        let sizes = bytes_of_changes(folder.path(), selector);
        assert!(sizes.len() == 2 && sizes.iter().all(|&size| size < 60), "{selector}: {sizes:?}");
    }
}

// delivery: D11.9
#[test]
fn a_dictionary_of_many_is_asked_from_afar_and_cloned() {
    check(
        "twin T = ( | map <- Dictionary new. set <- Set new. sum <- 0 |
           fill = ( 1 to: 2000 do: [ :each | map at: each put: each. set add: each printString ] )
           query at: k = ( ^map at: k ) query has: k = ( ^set includes: k ) query all = ( ^map ) query size = ( ^map size )
           askFar = ( | other all | other := T at: 'u'. all := other all. all at: 5 put: 50.
             ^{other at: 1999. other has: '2000'. other has: '2001'. all size. all at: 5. other at: 5. map size} )
           askOften = ( 1 to: 200 do: [ :each | sum := sum + ((T at: 'u') at: each * 10) ]. ^sum )
           change: k = ( map at: k put: 0. map removeKey: k + 1. set remove: k printString ) )
         | t u |
         t := T new: 't'. u := T new: 'u'. u fill. t askFar printNl. t askOften printNl.
         (u cloneAs: 'v') change: 7. (T at: 'v') size printNl. u size printNl. ((T at: 'v') at: 7) printNl. (u at: 7) printNl.
         ((T at: 'v') has: '7') printNl. (u has: '7') printNl. t askFar printNl",
        "#(1999 true false 2000 50 5 0)\n201000\n1999\n2000\n0\n7\nfalse\ntrue\n#(1999 true false 2000 50 5 0)\n",
    );
}

/// Children of the collections that put whatever they like into the slots of these: parts of other collections too.
const THIEVES: &str = "
    object BadMap = Dictionary ( loot = ( ^{entries. index. size. used} ) a: a b: b c: c d: d = ( entries := a. index := b. size := c. used := d ) )
    object BadSet = Set ( loot = ( ^{entries. index. size. used} ) a: a b: b c: c d: d = ( entries := a. index := b. size := c. used := d ) )
    object BadList = List ( loot = ( ^{array. start. size} ) a: a b: b c: c d: d = ( array := a. start := b. size := c ) )
    twin T = ( | bad kept pool seed <- 1. |
      pick = ( seed := seed * 1103515245 + 12345 \\\\ 2147483648. ^pool at: seed // 65536 \\\\ pool size + 1 )
      try: aBlock = ( ^[ aBlock value ] on: Error do: [ :e | nil ] )
      fill = ( | map set list |
        map := BadMap new. set := BadSet new. list := BadList new.
        1 to: 400 do: [ :each | map at: each put: each. set add: each. list add: each ].
        1 to: 100 do: [ :each | map removeKey: each * 3 ].
        pool := List new. {map. set. list} do: [ :each | pool addAll: each loot ].
        pool addAll: {nil. 0. 1. 5. 64. 400. 1000000. -1. -400. 4294967295. 1 bitShift: 61. 'text'. Array new: 4. Array new: 256. map. list}.
        kept := {map. set. list} )
      steal: n = ( | map set list |
        seed := n.
        map := BadMap new. set := BadSet new. list := BadList new.
        {map. set. list} do: [ :each | self try: [ each a: self pick b: self pick c: self pick d: self pick ] ].
        {map. kept first} do: [ :each |
          self try: [ each at: n put: self pick ]. self try: [ each at: 7 ]. self try: [ each removeKey: n ]. self try: [ each keys ].
          self try: [ 1 to: 20 do: [ :k | each at: k negated put: self pick ] ]. self try: [ 1 to: 50 do: [ :k | each removeKey: k * 5 ] ].
          self try: [ each copy at: 5 put: 5 ] ].
        {set. kept at: 2} do: [ :each |
          self try: [ each add: self pick ]. self try: [ each includes: n ]. self try: [ each remove: n ]. self try: [ each asArray ].
          self try: [ 1 to: 20 do: [ :k | each add: k negated ] ]. self try: [ each copy remove: 5 ] ].
        {list. kept last} do: [ :each |
          self try: [ each add: self pick ]. self try: [ each at: 5 ]. self try: [ each removeFirst ]. self try: [ each asArray ]. self try: [ each copy add: 5 ] ].
        bad := {map. set. list} )
      query sound = ( ^true ) )
    | t | t := T new: 't'. t fill.";

#[test]
fn no_part_in_a_wrong_place_makes_a_turn_panic() {
    for discipline in [Discipline::Normal, Discipline::Replay] {
        let options = OpenOptions { program: Some(program(THIEVES)), discipline, ..OpenOptions::default() };
        let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
        system.run_program(Vec::new(), None, &mut Seen::default()).unwrap_or_else(|error| panic!("{error}"));
        let mut done = 0;
        for seed in 0..12 {
            // Some end in a fault: what they leave cannot be kept.
            done += usize::from(system.send("t", "steal:", &[seed.into()], &mut Seen::default()).is_ok());
            system.state("t", Moment::Now).expect("what is kept can be read");
        }
        assert!(done > 3, "{done}");
        assert_eq!(send(&mut system, "sound", &[]), "true");
        verify(&mut system);
    }
}
