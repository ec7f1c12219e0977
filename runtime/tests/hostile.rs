//! Programs and stores that mean no good, or that have bad luck: nothing panics, nothing is lost or doubled.

mod common;

use common::{Seen, check_moving, program};
use twintalk_runtime::{ClockKind, Datum, Durability, FeedMessage, Limits, Moment, OpenOptions, System};

fn open(text: &str) -> System {
    let options = OpenOptions { program: Some(program(text)), ..OpenOptions::default() };
    System::open(options).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs it, and answers what it showed.
fn run_in(system: &mut System) -> String {
    let mut seen = Seen::default();
    if let Err(error) = system.run_program(Vec::new(), None, &mut seen) {
        seen.text.push_str(&format!("!! {error}\n"));
    }
    seen.text
}

fn assert_verified(system: &mut System) {
    let report = system.verify(&mut |_| {}).expect("it can be read");
    assert_eq!(report.differences, Vec::<String>::new());
}

// delivery: D6.10, D6.13
#[test]
fn a_twin_made_again_in_the_turn_that_removes_it_is_a_new_life_without_the_old_timers() {
    check_moving(
        "twin Bell = ( timer ring every: 1 seconds = ( Transcript showLine: 'ring' ) )
         twin Quiet = ( | n <- 0. | bump = ( ^n := n + 1 ) )
         twin House = (
            created = ( self part: 'bell' of: Bell )
            swap = ( (self part: 'bell') remove. self part: 'bell' of: Quiet. ^(self part: 'bell') bump )
            much = ( 1 to: 6 do: [ :i | self part: 'p' , i printString of: Quiet ]. ^self swap ) )
         | h |
         h := House new: 'h'.
         Clock advance: 1 seconds.
         h much printNl.
         Clock advance: 3 seconds.
         (h part: 'bell') bump printNl.",
        "ring\n1\n2\n",
    );
}

#[test]
fn lives_are_counted_also_within_one_turn() {
    let mut system = open(
        "twin P = ()
         twin H = ( created = ( self part: 'p' of: P ) again = ( (self part: 'p') remove. self part: 'p' of: P. ^nil ) )
         | h | h := H new: 'h'. h again. h again.",
    );
    assert_eq!(run_in(&mut system), "");
    assert_eq!(system.state("h/p", Moment::Now).expect("readable").expect("there").life, 3);
    assert_verified(&mut system);
}

#[test]
fn a_twin_that_removes_itself_in_its_timer_leaves_no_timer() {
    check_moving(
        "twin Fuse = ( timer burn every: 1 seconds = ( Transcript showLine: 'bang'. self remove ) )
         twin Other = ()
         Fuse new: 'f'. Clock advance: 5 seconds. Other new: 'f'. Clock advance: 5 seconds. 'end' displayNl.",
        "bang\nend\n",
    );
    check_moving(
        "twin Fuse = ( timer burn every: 1 seconds = ( Transcript showLine: 'bang' ) )
         twin House = ( flash = ( self part: 'f' of: Fuse. (self part: 'f') remove ) )
         House new: 'h'. (House at: 'h') flash. Clock advance: 5 seconds. 'end' displayNl.",
        "end\n",
    );
}

#[test]
fn a_removed_twin_makes_no_parts() {
    check_moving(
        "twin P = ()
         twin H = ( odd = ( self remove. self part: 'p' of: P ) deep = ( self part: 'a/b' of: P ) )
         | h | h := H new: 'h'.
         ([ h odd ] on: Error do: [ :e | e class name ]) displayNl.
         ([ h deep ] on: Error do: [ :e | e class name ]) displayNl.",
        "NoSuchTwin\nPathError\n",
    );
}

#[test]
fn what_is_private_stays_so_from_outside() {
    check_moving(
        "twin T = ( | n <- 0. | created = ( n := n + 1 ) private secret = ( ^'secret' ) query n2 = ( ^n ) )
         | t | t := T new: 't'.
         ([ t startUp ] on: Error do: [ :e | e class name ]) displayNl.
         ([ t fireTimer: #x ] on: Error do: [ :e | e class name ]) displayNl.
         ([ t perform: #secret ] on: Error do: [ :e | e class name ]) displayNl.
         ([ t perform: #startUp ] on: Error do: [ :e | e class name ]) displayNl.
         t n2 printNl.",
        "PrivateMethod\nPrivateMethod\nPrivateMethod\nPrivateMethod\n1\n",
    );
}

#[test]
fn a_message_has_as_many_arguments_as_its_selector() {
    let mut system = open("twin T = ( put: a = ( ^a ) two: a with: b = ( ^b ) ) T new: 't'.");
    assert_eq!(run_in(&mut system), "");
    let mut seen = Seen::default();
    let many = "a:".repeat(300);
    assert!(system.send("t", &many, &vec![Datum::Nil; 300], &mut seen).is_err());
    for arguments in [vec![], vec![Datum::Nil; 2], vec![Datum::Nil; 300]] {
        let error = system.send("t", "put:", &arguments, &mut seen).expect_err("too few or too many");
        assert!(error.to_string().contains("argument"), "{error}");
    }
    assert_verified(&mut system);
}

#[test]
fn what_comes_from_outside_is_checked() {
    let mut system = open("twin T = ( | s | put: a = ( ^s := a ) go: r = ( r ! foo ) ) T new: 't'.");
    assert_eq!(run_in(&mut system), "");
    let mut seen = Seen::default();
    for path in ["-", "a//b", "a\0b", &"x".repeat(600)] {
        assert!(system.send("t", "go:", &[Datum::Reference(path.to_owned())], &mut seen).is_err(), "{path}");
        assert!(system.send(path, "foo", &[], &mut seen).is_err(), "{path}");
    }
    assert!(system.send("t", "<new:>", &[Datum::Symbol("T".to_owned())], &mut seen).is_err());
    assert!(system.send("t", &"x".repeat(70_000), &[], &mut seen).is_err());
    let decimal = Datum::Decimal { unscaled: 150.into(), scale: 2 };
    assert_eq!(system.send("t", "put:", std::slice::from_ref(&decimal), &mut seen).expect("a number"), decimal);
    let message = FeedMessage {
        number: 1,
        path: "t",
        selector: "put:",
        arguments: &[Datum::Nil],
        device_time_ns: Some(i64::MIN),
        make: None,
    };
    assert!(system.feed("", &message, &mut seen).is_err());
    assert!(system.feed(&"n".repeat(70_000), &message, &mut seen).is_err());
    system.feed("ok", &message, &mut seen).expect("an odd time is no error");
    assert_eq!(seen.text, "");
    assert_verified(&mut system);
}

#[test]
fn names_that_no_record_can_hold_are_faults() {
    check_moving(
        "twin T = (
            event1 = ( self emit: '' )
            event2 = ( self emit: (String new: 70000) )
            timer1 = ( self setTimer: '' after: 5 ) )
         | t long | t := T new: 't'.
         long := 'x'. 17 timesRepeat: [ long := long , long ].
         ([ t event1 ] on: Error do: [ :e | e class name ]) displayNl.
         ([ t event2 ] on: Error do: [ :e | e class name ]) displayNl.
         ([ t timer1 ] on: Error do: [ :e | e class name ]) displayNl.
         ([ t perform: long ] on: Error do: [ :e | e class name ]) displayNl.
         'end' displayNl.",
        "ArgumentError\nArgumentError\nArgumentError\nMessageNotUnderstood\nend\n",
    );
}

#[test]
fn what_a_turn_leaves_is_limited_while_it_runs() {
    check_moving(
        "twin T = ( | s |
            print = ( | a | a := 'x'. 20 timesRepeat: [ a := a , a ]. [ true ] whileTrue: [ Transcript show: a ] )
            keep = ( | a | a := 'x'. 20 timesRepeat: [ a := a , a ]. s := Array new: 100000 withAll: a )
            send = ( | a | a := 'x'. 20 timesRepeat: [ a := a , a ]. [ true ] whileTrue: [ self ! take: a ] )
            tell = ( | a | a := 'x'. 20 timesRepeat: [ a := a , a ]. ^Array new: 100000 withAll: a )
            take: x = ( ^x ) )
         | t | t := T new: 't'.
         ([ t print ] on: Error do: [ :e | e messageText size < 200 ]) displayNl.
         ([ t keep ] on: Error do: [ :e | e messageText size < 200 ]) displayNl.
         ([ t send ] on: Error do: [ :e | e messageText size < 200 ]) displayNl.
         ([ t tell ] on: Error do: [ :e | e messageText size < 200 ]) displayNl.",
        "true\ntrue\ntrue\ntrue\n",
    );
}

#[test]
fn a_message_that_fills_a_record_to_a_twin_of_another_kind_is_a_fault_and_no_end() {
    let text = "
        twin Tank = ( | got | got: text = ( got := text size ) )
        twin Pump = ( | got | got: text = ( got := text size ) )
        | text |
        Pump new: 'p'.
        text := 'x'.
        [ text size < 10000000 ] whileTrue: [ text := text , text ].
        text := (text copyFrom: 1 to: 16777216 - 60).
        ([ (Tank at: 'p') got: text. 'taken' ] on: NoSuchTwin do: [ :e | 'no tank' ]) displayNl.
        (Pump at: 'p') got printNl.";
    let mut system = open(text);
    assert_eq!(run_in(&mut system), "no tank\nnil\n");
    assert_verified(&mut system);
}

#[test]
fn twins_that_load_each_other_do_not_nest_without_end() {
    check_moving(
        "twin Node = ( | next warm <transient> <- (next isNil ifTrue: [ 0 ] ifFalse: [ next depth ]). |
            next: n = ( next := n ) query depth = ( ^warm + 1 ) )
         twin Chain = ( make: count = ( | last |
            1 to: count do: [ :i | | node |
              node := self part: 'n' , i printString of: Node. last isNil ifFalse: [ node next: last reference ]. last := node ] )
            ask: i = ( ^(self part: 'n' , i printString) depth ) )
         | c | c := Chain new: 'c'. c make: 3000.
         (c ask: 10) printNl.
         ([ c ask: 3000 ] on: Error do: [ :e | e messageText size > 0 ]) displayNl.",
        "10\ntrue\n",
    );
}

// delivery: D4.13
#[test]
fn far_queries_share_one_budget() {
    let limits = Limits { fuel: 1_000_000, ..Limits::default() };
    let text = "twin Q = ( query twice: n other: o = (
              n = 0 ifTrue: [ ^1 ].
              ^((Q at: o) twice: n - 1 other: self path) + ((Q at: o) twice: n - 1 other: self path) )
            go = ( ^(Q at: 'b') twice: 25 other: 'a' ) )
         | a | a := Q new: 'a'. Q new: 'b'.
         ([ a go ] on: Error do: [ :e | e messageText size > 0 ]) displayNl.";
    let options = OpenOptions { program: Some(program(text)), limits, ..OpenOptions::default() };
    let mut system = System::open(options).expect("in memory");
    assert_eq!(run_in(&mut system), "true\n");
    assert_verified(&mut system);
}

#[test]
fn what_a_primitive_spends_ends_the_turn_there() {
    // Nothing is sent after the primitive, so nothing else could notice.
    let text = "twin T = ( | n <- 0. | go = ( n := 1. ByteArray new: 64000 ) )
         | t | t := T new: 't'.
         ([ t go. 'done' ] on: Error do: [ :e | (e messageText substrings: ':') first ]) displayNl.
         t n displayNl.";
    let run = |fuel: i64| {
        let limits = Limits { fuel, ..Limits::default() };
        let options = OpenOptions { program: Some(program(text)), limits, ..OpenOptions::default() };
        let mut system = System::open(options).expect("in memory");
        let seen = run_in(&mut system);
        assert_verified(&mut system);
        seen
    };
    let (mut too_little, mut enough) = (500, 5000);
    while enough - too_little > 1 {
        let fuel = i64::midpoint(enough, too_little);
        if run(fuel) == "done\n1\n" { enough = fuel } else { too_little = fuel }
    }
    assert!(enough > 1000, "the primitive costs more than {enough}");
    assert_eq!(run(enough), "done\n1\n");
    assert_eq!(run(enough - 1), "OutOfFuel\n0\n");
}

#[test]
fn children_of_the_kernels_collections_can_be_kept() {
    check_moving(
        "object Row = Array ()
         object Name = String ()
         object Blob = ByteArray ()
         object Bunch = List ()
         twin T = ( | a b c d n <- 0. |
            go = ( a := Row new: 2. a at: 1 put: 7. c := Blob new: 2. d := Bunch new. d add: 3. n := n + 1. ^n )
            more = ( a at: 2 put: 8. d add: 4. n := n + 1. ^a )
            query all = ( ^{a. c. d. n} ) )
         | t | t := T new: 't'. t go printNl. t more size printNl. (t all at: 1) size printNl. (t all at: 3) size printNl.",
        "1\n2\n2\n2\n",
    );
}

#[test]
fn the_clock_does_not_wrap_around() {
    check_moving(
        "| before | before := Clock now.
         Clock advance: 36500 days. Clock advance: 36500 days.
         (Clock now > before) printNl.
         (Clock now asNanoseconds > before asNanoseconds) printNl.",
        "true\ntrue\n",
    );
}

#[test]
fn a_promise_is_no_answer() {
    check_moving(
        "twin B = ( x = ( ^1 ) )
         twin A = ( leak = ( ^(B at: 'b') ! x ) inside = ( ^{(B at: 'b') ! x} ) )
         B new: 'b'. A new: 'a'.
         ([ (A at: 'a') leak ] on: Error do: [ :e | e class name ]) displayNl.
         ([ (A at: 'a') inside ] on: Error do: [ :e | e class name ]) displayNl.",
        "NotStorable\nNotStorable\n",
    );
}

#[test]
fn many_parts_in_one_turn_are_quick() {
    let started = std::time::Instant::now();
    let mut system = open(
        "twin P = ( | n <- 0. | bump = ( n := n + 1 ) query n2 = ( ^n ) )
         twin H = (
            make = ( 1 to: 4000 do: [ :i | self part: 'p' , i printString of: P ] )
            all = ( self parts do: [ :each | each bump. each n2 ]. ^self parts size )
            clear = ( self parts do: [ :each | each remove ]. ^self parts size ) )
         | h | h := H new: 'h'. h make. h all printNl. h all printNl. h clear printNl.",
    );
    assert_eq!(run_in(&mut system), "4000\n4000\n0\n");
    println!("{:?}", started.elapsed());
}

fn in_folder(folder: &std::path::Path, text: &str) -> System {
    let options = OpenOptions {
        folder: Some(folder.to_owned()),
        durability: Some(Durability::Async),
        program: Some(program(text)),
        upgrade: true,
        clock: Some(ClockKind::Driven),
        ..OpenOptions::default()
    };
    System::open(options).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_store_that_crashed_opens_with_changed_definitions() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = "object Box = ( | a b | a: x = ( a := x ) b: x = ( b := x ) query a = ( ^a ) query b = ( ^b ) )
        twin T = ( | n <- 0. box | created = ( box := Box new. box a: 1; b: 2 ) up = ( box b: 5. ^n := n + 1 ) )
        T new: 't'.";
    let two = "object Box = ( | b a extra | a: x = ( a := x ) b: x = ( b := x ) query a = ( ^a ) query b = ( ^b ) )
        twin T = ( version 2. | m <- 7. n <- 0. box | up = ( ^n := n + 1 ) query both = ( ^{box a. box b. n. m} ) )
        (T at: 't') both printNl.";
    let mut system = in_folder(folder.path(), one);
    let mut seen = Seen::default();
    system.run_program(Vec::new(), None, &mut seen).expect("runs");
    for _ in 0..3 {
        system.send("t", "up", &[], &mut seen).expect("handled");
    }
    // Neither closed nor checkpointed: what follows has only the log.
    drop(system);
    let mut system = in_folder(folder.path(), two);
    assert_eq!(run_in(&mut system), "#(1 5 3 7)\n");
    system.send("t", "up", &[], &mut seen).expect("handled");
    let then = system.state("t", Moment::Turn(2)).expect("readable").expect("there");
    assert_eq!(then.slots[0], ("n".to_owned(), Datum::Int(1.into())));
    assert_verified(&mut system);
}

#[test]
fn objects_whose_slots_changed_are_carried_with_their_twin() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = |slots: &str| {
        format!(
            "object Box = ( | {slots} | a: x = ( a := x ) b: x = ( b := x ) query a = ( ^a ) query b = ( ^b ) )
             twin T = ( | n <- 0. box | created = ( box := Box new. box a: 1; b: 2 )
               up = ( box b: 5. ^n := n + 1 ) only = ( ^n := n + 1 ) query both = ( ^{{box a. box b. n}} ) )
             | t | t := T ensure: 't'. t only. t both printNl. t up. t only. t both printNl."
        )
    };
    assert_eq!(run_in(&mut in_folder(folder.path(), &text("a b"))), "#(1 2 1)\n#(1 5 3)\n");
    let mut system = in_folder(folder.path(), &text("b extra a"));
    assert_eq!(run_in(&mut system), "#(1 5 4)\n#(1 5 6)\n");
    assert_verified(&mut system);
    drop(system);
    assert_verified(&mut in_folder(folder.path(), &text("b extra a")));
}

// delivery: D3.2
#[test]
fn far_sends_outstanding_at_a_crash_are_done_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "twin C = ( | n <- 0. | up = ( n := n + 1 ) query n2 = ( ^n ) )
        twin S = ( go = ( 5 timesRepeat: [ (C at: 'c') ! up ] ) )
        C ensure: 'c'. S ensure: 's'. (S at: 's') go.";
    let mut system = in_folder(folder.path(), text);
    let mut seen = Seen::default();
    system.run_program(Vec::new(), None, &mut seen).expect("runs");
    drop(system);
    for _ in 0..2 {
        let mut system = in_folder(folder.path(), text);
        let answer = system.send("c", "n2", &[], &mut seen).expect("handled");
        assert_eq!(answer, Datum::Int(5.into()));
        assert_verified(&mut system);
    }
}

#[test]
fn slots_of_the_kernel_that_a_program_overwrites_end_in_errors() {
    check_moving(
        "extend TwinReference = ( hack: p = ( path := p ) )
         extend Promise = ( hack: n = ( number := n ) )
         extend List = ( hack: a with: b = ( start := a. size := b ) hackArray: a = ( array := a ) )
         extend Dictionary = ( hack: n = ( used := n ) )
         extend Set = ( hack: n = ( used := n ) hackIndex: a = ( index := a ) )
         twin T = ( | s | keep: x = ( s := x ) foo = ( ^1 ) query s2 = ( ^s ) )
         | t try list |
         t := T new: 't'.
         try := [ :block | [ block value ] on: Error do: [ :e | e ] ].
         {'-'. 'a//b'. ''. nil. 5. #x. 'x' , (String new: 700)} do: [ :path |
           try value: [ (TwinReference new hack: path) foo ].
           try value: [ (TwinReference new hack: path) ! foo ].
           try value: [ t keep: (TwinReference new hack: path) ].
           try value: [ (TwinReference new hack: path) printString ].
           try value: [ (TwinReference new hack: path) == t ].
           try value: [ (T at: 't') hack: path ] ].
         try value: [ (Promise new hack: -1) wait ].
         try value: [ (Promise new hack: 99) wait ].
         {-1. 0. 5. 1000. (1 << 61) negated. nil. 'x'} do: [ :n |
           {-1. 0. 5. 1000. (1 << 61) negated. nil. 'x'} do: [ :m |
             list := List new. list add: 1; add: 2. list hack: n with: m.
             try value: [ list at: 1 ]. try value: [ list add: 3 ]. try value: [ list first ]. try value: [ list removeFirst ].
             try value: [ list removeLast ]. try value: [ list printString ]. try value: [ list do: [ :x | x ] ].
             try value: [ list addFirst: 3 ]. try value: [ list asArray ]. try value: [ list at: 1 put: 3 ].
             try value: [ t keep: list ] ].
           list := List new. list add: 1. list hackArray: n. try value: [ list at: 1 ]. try value: [ list add: 1 ].
           try value: [ t keep: list ].
           list := Dictionary new. list at: 1 put: 2. list hack: n. try value: [ list at: 1 ]. try value: [ list at: 3 put: 4 ].
           try value: [ list removeKey: 1 ]. try value: [ list keys ]. try value: [ t keep: list ].
           list := Set new. list add: 1. list hack: n. try value: [ list includes: 1 ]. try value: [ list add: 4 ].
           list := Set new. list add: 1. list hackIndex: {1}. try value: [ list add: 4 ]. try value: [ list includes: 4 ].
           try value: [ list remove: 1 ]. try value: [ list asArray ]. try value: [ t keep: list ] ].
         t keep: 3.
         t s2 printNl.",
        "3\n",
    );
}

#[test]
fn a_timer_that_is_always_due_lets_the_program_end() {
    let text = "twin T = ( | n <- 0. | timer tick every: 0 seconds = ( n := n + 1 ) ) T new: 't'. 'end' displayNl.";
    let options = OpenOptions { program: Some(program(text)), clock: Some(ClockKind::Wall), ..OpenOptions::default() };
    let mut system = System::open(options).expect("in memory");
    assert_eq!(run_in(&mut system), "end\n");
    assert_verified(&mut system);
}

#[test]
fn a_timer_past_all_time_is_not_set() {
    check_moving(
        "twin T = ( timer tick every: 50000 days = ( 'tick' displayNl ) )
         T new: 't'. 3 timesRepeat: [ Clock advance: 40000 days ]. 'end' displayNl.",
        "tick\nend\n",
    );
}
