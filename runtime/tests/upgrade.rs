//! A store goes from program to program: what is refused, what is tried first, what becomes of twins on the way.

mod common;

use std::path::Path;

use common::{Seen, program};
use twintalk_runtime::{ClockKind, Datum, Durability, OpenError, OpenOptions, SendError, System, TrialStep, Tried};

fn open(folder: &Path, text: Option<&str>, upgrade: bool) -> Result<System, OpenError> {
    System::open(OpenOptions {
        folder: Some(folder.to_owned()),
        durability: Some(Durability::Async),
        program: text.map(program),
        upgrade,
        clock: Some(ClockKind::Driven),
        ..OpenOptions::default()
    })
}

/// Brings the program to the store and runs its statements; the store is closed again. Answers what was shown.
fn run(folder: &Path, text: &str) -> String {
    let mut system = open(folder, Some(text), true).unwrap_or_else(|error| panic!("{error}"));
    let mut seen = Seen::default();
    if let Err(error) = system.run_program(Vec::new(), None, &mut seen) {
        seen.text.push_str(&format!("!! {error}\n"));
    }
    let report = system.verify(&mut |_| {}).expect("it can be read");
    assert_eq!(report.differences, Vec::<String>::new());
    system.close(&mut seen).expect("it closes");
    seen.text
}

/// Why the store does not take the program.
fn refused(folder: &Path, text: &str) -> String {
    match open(folder, Some(text), true) {
        Ok(_) => panic!("the store takes it"),
        Err(error) => error.to_string(),
    }
}

const ONE: &str = "twin T = ( | a <- 1. | a: x = ( a := x ) )";
const TWO: &str = "twin T = ( | b <- 0. | version 2. migrate 1 = ( b := (self oldSlot: #a) * 10 ) )";
const THREE: &str = "twin T = ( | c <- 0. | version 3.
    migrate 1 = ( c := (self oldSlot: #a) * 100 )
    migrate 2 = ( c := (self oldSlot: #b) * 1000 ) )";

#[test]
fn a_twin_goes_straight_from_its_version_to_the_present_one() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &format!("{ONE} T new: 'old'. (T at: 'old') a: 5. T new: 'touched'. T new: 'idle'"));
    assert_eq!(
        run(folder.path(), &format!("{TWO} (T at: 'touched') b printNl. (T at: 'touched') remove. T new: 'touched'")),
        "10\n"
    );
    let shown = run(
        folder.path(),
        &format!("{THREE} (T at: 'old') c printNl. (T at: 'touched') c printNl. (T at: 'idle') c printNl"),
    );
    assert_eq!(shown, "500\n0\n100\n");
}

#[test]
fn an_upgrade_is_undone_as_long_as_it_carried_no_twin_over() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &format!("{ONE} T new: 't'. (T at: 't') a: 5"));
    // Only a query: it migrates a copy.
    assert_eq!(run(folder.path(), &format!("{TWO} (T at: 't') b printNl")), "50\n");
    assert_eq!(run(folder.path(), &format!("{ONE} (T at: 't') a printNl")), "5\n");
    // Another first version is not the one that there was.
    assert_eq!(run(folder.path(), TWO), "");
    let other = refused(folder.path(), "twin T = ( | a <- 1. more <- 2. | )");
    assert!(other.contains("the slots of T have changed"), "{other}");
    // Once a twin has gone on, there is no way back but on.
    run(folder.path(), &format!("{TWO} (T at: 't') ! path"));
    let text = refused(folder.path(), ONE);
    assert!(
        text.contains("T goes back from version 2 to 1, but 1 of its twins") && text.contains("version 3"),
        "{text}"
    );
    let back =
        "twin T = ( | a <- 0. | version 3. migrate 2 = ( a := (self oldSlot: #b) // 10 ) migrate 1 = ( a := a ) )";
    assert_eq!(run(folder.path(), &format!("{back} (T at: 't') a printNl")), "5\n");
}

#[test]
fn twins_without_a_definition_wait_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let timed = "twin T = ( | a <- 1. | timer tick every: 1 second = ( a := a + 1 ) )";
    run(folder.path(), &format!("{timed} T new: 't'. T new: 'u'"));
    {
        let mut system = open(folder.path(), Some("twin Other = ( )"), true).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            system.orphans().iter().map(|one| (one.prototype.as_str(), one.twins)).collect::<Vec<_>>(),
            [("T", 2)]
        );
        let mut seen = Seen::default();
        let error = system.send("t", "a", &[], &mut seen).expect_err("nobody can answer");
        assert!(error.to_string().contains("UnknownPrototype") && error.to_string().contains("`T`"), "{error}");
        system.close(&mut seen).expect("it closes");
    }
    assert_eq!(run(folder.path(), &format!("{timed} (T at: 't') a printNl. (T at: 'u') a printNl")), "1\n1\n");
}

/// Tries the program on the store beside nobody; answers what is said of each definition, and the faults.
fn tried(folder: &Path, text: &str) -> (Vec<(String, Tried)>, Vec<String>, Option<String>) {
    let options = OpenOptions { folder: Some(folder.to_owned()), read_only: true, ..OpenOptions::default() };
    let mut system = System::open(options).unwrap_or_else(|error| panic!("{error}"));
    let mut faults = Vec::new();
    let trial = system.try_program(&program(text), &mut |step| {
        if let TrialStep::Fault { path, prototype, fault } = step {
            faults.push(format!("{path} of {prototype}: {}", fault.kind));
        }
    });
    let trial = trial.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(trial.succeeds(), faults.is_empty() && trial.refused.is_none());
    (trial.prototypes.into_iter().collect(), faults, trial.refused)
}

#[test]
fn a_dry_run_says_what_would_become_of_each_twin() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = "twin P = ( | n <- 1. | n: x = ( n := x ) )
        twin T = ( | a <- 1. | created = ( self part: 'p' of: P ) a: x = ( a := x ) )";
    run(folder.path(), &format!("{before} T new: 'x'. T new: 'y'. (T at: 'y') a: 0. T new: 'z'. (P at: 'z/p') n: 7"));
    let count = |twins, carried, failed| Tried { twins, carried, failed };
    // `migrate` divides by the old value, and an invariant is new for a definition that has not changed.
    let after = "twin P = ( | n <- 1. | invariant few = ( n < 5 ) )
        twin T = ( | b <- 0. | version 2. migrate 1 = ( b := 10 / (self oldSlot: #a). (self part: 'p') n ) )";
    let (prototypes, faults, refused) = tried(folder.path(), after);
    assert_eq!(prototypes, [("P".to_owned(), count(3, 0, 1)), ("T".to_owned(), count(3, 2, 1))]);
    assert_eq!(faults, ["y of T: ZeroDivide", "z/p of P: InvariantBroken"]);
    assert_eq!(refused, None);
    // A far query on the way, a type, and a definition that is gone.
    let (prototypes, faults, _) = tried(
        folder.path(),
        "twin T = ( | b <String> <- 'x'. | version 2. migrate 1 = ( b := (T at: 'x') path = self path ifTrue: [ 'self' ] ifFalse: [ (T at: 'x') b size ] ) )",
    );
    assert_eq!(prototypes, [("P".to_owned(), count(3, 0, 3)), ("T".to_owned(), count(3, 1, 2))]);
    assert_eq!(faults.iter().filter(|fault| fault.contains("SlotType")).count(), 2);
    assert_eq!(faults.iter().filter(|fault| fault.contains("UnknownPrototype")).count(), 3);
    let (_, _, refused) = tried(folder.path(), &before.replace("a <- 1", "c <- 1").replace("a := x", "c := x"));
    assert!(refused.is_some_and(|text| text.contains("the slots of T have changed")));
    // Nothing has changed, and the program that is there passes.
    let (prototypes, faults, _) = tried(folder.path(), before);
    assert_eq!((prototypes.len(), faults.len()), (2, 0));
    assert_eq!(run(folder.path(), &format!("{before} (T at: 'y') a printNl. (P at: 'z/p') n printNl")), "0\n7\n");
}

#[test]
fn messages_to_another_kind_name_both() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), "twin Tank = ( | n <- 1. | ) Tank new: 'a'");
    let shown = run(
        folder.path(),
        "twin Vessel = ( | n <- 1. | ) twin Pump = ( | n <- 2. | )
         Pump new: 'p'.
         [ (Vessel at: 'p') n ] on: NoSuchTwin do: [ :e | e messageText displayNl ].
         [ (Vessel at: 'a') n ] on: NoSuchTwin do: [ :e | e messageText displayNl ]",
    );
    assert_eq!(
        shown,
        "the twin at p is a Pump, not a Vessel\nthe twin at a is a Tank, which the program does not define, not a Vessel\n"
    );
}

#[test]
fn a_query_migrates_a_copy() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &format!("{ONE} T new: 't'"));
    let mut system = open(folder.path(), Some(TWO), true).unwrap_or_else(|error| panic!("{error}"));
    let mut seen = Seen::default();
    let records = system.history("t", None, None).expect("readable").len();
    for _ in 0..2 {
        let answer = system.send("t", "b", &[], &mut seen).unwrap_or_else(|error: SendError| panic!("{error}"));
        assert_eq!(answer, Datum::from(10));
    }
    assert_eq!(system.history("t", None, None).expect("readable").len(), records);
}
