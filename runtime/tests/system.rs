//! Programs with twins, run on a store.

mod common;

use common::{Seen, check_moving, program};
use twintalk_runtime::{Datum, FeedMessage, Moment, OpenOptions, System};

#[test]
fn a_tank_fills_and_its_pump_is_a_part() {
    check_moving(
        "twin Pump = ( | rpm <- 0. | start = ( rpm := 1500. self parent inflow: 10 ) query flow = ( ^rpm * 2 ) )
         twin Tank = ( | level <Float> <- 0. log <- List new. |
           created = ( self part: 'pump' of: Pump )
           inflow: rate = ( level := level + rate. log add: rate. ^level )
           bad: rate = ( level := 1000. self error: 'too much' )
           invariant low = ( level < 25 ) )
         | tank |
         tank := Tank ensure: 'tank-1'.
         tank printNl.
         (tank part: 'pump') start.
         tank level printNl.
         (tank part: 'pump') flow printNl.
         ([ tank bad: 3 ] on: Error do: [ :e | e messageText ]) displayNl.
         ([ tank inflow: 50 ] on: Error do: [ :e | e class name ]) displayNl.
         (tank inflow: 5) printNl.
         tank log printNl.
         tank parts printNl.",
        "Tank tank-1\n10.0\n3000\ntoo much\nInvariantBroken\n15.0\nList(10 5)\nList(tank-1/pump)\n",
    );
}

#[test]
fn composites_send_each_other_messages_and_queries() {
    check_moving(
        "twin Counter = ( | n <- 0. | add: k = ( n := n + k ) )
         twin Boss = ( | sum <- 0. |
            go = ( (Counter at: 'c') ! add: 3. (Counter at: 'c') ! add: 4. ^'sent' )
            ask = ( sum := (Counter at: 'c') n. ^sum )
            wrong = ( (Counter at: 'c') add: 1 ) )
         | b c |
         c := Counter new: 'c'. b := Boss new: 'b'.
         b go displayNl.
         b ask printNl.
         ([ b wrong ] on: Error do: [ :e | e class name ]) displayNl.
         c n printNl.",
        "sent\n7\nFarSend\n7\n",
    );
}

#[test]
fn timers_fire_each_at_its_own_time() {
    check_moving(
        "twin Clocked = ( | ticks <- List new. |
            timer tick every: 10 seconds = ( ticks add: Clock now asNanoseconds \\\\ 100000000000 // 1000000000 ) )
         | t | t := Clocked new: 't'. Clock advance: 35 seconds. t ticks printNl.",
        "List(10 20 30)\n",
    );
}

#[test]
fn the_state_of_a_twin_shows_collections_as_what_they_hold() {
    let text = "twin T = ( | list <- List new. none <- List new. map <- Dictionary new. set <- Set new. price <- 3.50s2. |
           go = ( 1 to: 5 do: [ :i | list add: i ]. list removeFirst. map at: #a put: 1; at: 'b' put: 2; removeKey: #a. set add: 7 ) )
         (T new: 't') go.";
    let mut system =
        System::open(OpenOptions { program: Some(program(text)), ..OpenOptions::default() }).expect("it opens");
    system.run_program(Vec::new(), None, &mut Seen::default()).expect("it runs");
    let state = system.state("t", Moment::Now).expect("the store is in memory").expect("there is a twin");
    let shown: Vec<String> = state.slots.iter().map(|(name, value)| format!("{name} {value}")).collect();
    assert_eq!(shown, ["list #(2 3 4 5)", "none #()", "map Dictionary('b'->2)", "set #(7)", "price 3.50s2"]);
    let before = system.state("t", Moment::Turn(1)).expect("the store is in memory").expect("it was made in turn 1");
    assert_eq!(before.slots[0].1.to_string(), "#()");
    assert_eq!(system.state("t", Moment::Turn(0)).expect("the store is in memory"), None);
}

// delivery: D8.13
#[test]
fn what_an_older_program_recorded_is_replayed_under_a_later_one() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let open = |text: &str, upgrade| {
        System::open(OpenOptions {
            folder: Some(folder.path().to_owned()),
            durability: Some(twintalk_runtime::Durability::Async),
            program: Some(program(text)),
            upgrade,
            ..OpenOptions::default()
        })
    };
    let mut seen = Seen::default();
    let mut system = open(
        "twin T = ( | litres <- 0. log <- List new. | add: n = ( litres := litres + n. log add: n ) ) T new: 't'.",
        false,
    )
    .expect("a new store");
    system.run_program(Vec::new(), None, &mut seen).expect("it runs");
    for number in 1..=5 {
        system.send("t", "add:", &[number.into()], &mut seen).expect("it is taken");
    }
    // As after a crash: the rows do not know the last five turns.
    drop(system);
    let later =
        "twin T = ( | level <- 1. log <- List new. extra <- 'new'. | add: n = ( level := level + n. log add: n )
        version 2. migrate 1 = ( level := (self oldSlot: #litres) / 1000 ) )";
    assert!(open(later, false).is_err(), "other definitions need --upgrade");
    let mut system = open(later, true).unwrap_or_else(|error| panic!("{error}"));
    let slots = |system: &mut System, moment| -> Vec<String> {
        let state = system.state("t", moment).expect("nothing is damaged").expect("there is a twin");
        state.slots.iter().map(|(name, value)| format!("{name} {value}")).collect()
    };
    assert_eq!(slots(&mut system, Moment::Now), ["litres 15", "log #(1 2 3 4 5)"]);
    system.send("t", "add:", &[6.into()], &mut seen).expect("it is carried over and taken");
    assert_eq!(
        slots(&mut system, Moment::Now),
        ["level a Fraction(numerator: 1203 denominator: 200)", "log #(1 2 3 4 5 6)", "extra 'new'"]
    );
    assert_eq!(slots(&mut system, Moment::Turn(3)), ["litres 3", "log #(1 2)"]);
    let report = system.verify(&mut |_| {}).expect("the store can be read");
    assert_eq!(report.differences, Vec::<String>::new());
    assert_eq!(seen.text, "");
}

#[test]
fn twins_beyond_the_budget_are_passivated_and_loaded_again_as_they_were() {
    const BUDGET: usize = 20_000;
    for (partitions, folder) in [(1, true), (3, true), (2, false)] {
        let kept = tempfile::tempdir().expect("a folder");
        let options = OpenOptions {
            folder: folder.then(|| kept.path().to_owned()),
            partitions: Some(partitions),
            program: Some(program(
                "twin Meter = ( | sum <- 0. last <- nil. | take: x = ( sum := sum + x. last := { x. sum } ) )",
            )),
            resident_bytes: Some(BUDGET),
            ..OpenOptions::default()
        };
        let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
        let mut seen = Seen::default();
        // Each of 3,000 twins takes three messages, in three rounds; one takes every tenth.
        let paths: Vec<String> =
            (0..9000).map(|nth| if nth % 10 == 0 { "hot".into() } else { format!("m{}", nth % 3000) }).collect();
        for (nth, path) in paths.iter().enumerate() {
            let message = FeedMessage {
                number: nth as u64 + 1,
                path,
                selector: "take:",
                arguments: &[Datum::Int(2.into())],
                device_time_ns: None,
                make: Some("Meter"),
            };
            system.feed("feed", &message, &mut seen).expect("taken");
            if nth % 100 == 99 {
                system.commit(&mut seen).expect("committed");
                assert!(system.residents().1 <= BUDGET, "{} bytes", system.residents().1);
            }
        }
        assert_eq!(seen.text, "");
        assert!(system.residents().0 > 200, "{} twins stay", system.residents().0);
        for (path, sum) in [("hot", 1800), ("m1", 6), ("m2999", 6), ("m1234", 6)] {
            let state = system.state(path, Moment::Now).expect("readable").expect("there");
            let last = Datum::Array(vec![Datum::Int(2.into()), Datum::Int(sum.into())]);
            assert_eq!(state.slots, [("sum".to_owned(), Datum::Int(sum.into())), ("last".to_owned(), last)], "{path}");
        }
        let report = system.verify(&mut |_| {}).expect("readable");
        assert_eq!(report.differences, Vec::<String>::new());
    }
}
