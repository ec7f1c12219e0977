//! Dead letters and quarantine, as whoever runs a store meets them.

use expect_test::{Expect, expect};

use crate::folder::Folder;

const PLANT: &str = "
twin Valve = (
  | open <- false. broken <- true. |
  open: aBoolean = ( broken ifTrue: [ self error: 'it is stuck' ]. open := aBoolean )
  mend = ( broken := false )
)
twin Pump = (
  | rpm <- 0. |
  supervise quarantine.
  rpm: n = ( n > 100 ifTrue: [ self error: n printString , ' is too fast' ]. rpm := n )
)
twin Hand = (
  open = ( (Valve at: 'valve') ! open: true )
  rpm: n = ( (Pump at: 'pump') ! rpm: n )
)
| hand |
Valve ensure: 'valve'.
Pump ensure: 'pump'.
hand := Hand ensure: 'hand'.
hand open; open.
hand rpm: 900; rpm: 50.
";

fn plant() -> Folder {
    let folder = Folder::with(&[("plant.twin", PLANT)]);
    folder.run("run plant.twin --store s");
    folder
}

/// The names of the dead letters, oldest first.
fn letters(folder: &Folder) -> Vec<String> {
    let said = folder.run("deadletters --store s --json");
    let names = said.lines().filter_map(|line| line.strip_prefix(r#"{"letter":""#)?.split('"').next());
    names.map(str::to_owned).collect()
}

/// What `words` said, without times and positions.
fn said(folder: &Folder, words: &str) -> String {
    let place = |word: &str| {
        word.contains('.') && word.trim_end_matches([';', ',']).bytes().all(|byte| !byte.is_ascii_alphabetic())
    };
    let is_time = |word: &str| word.trim_end_matches([';', ',']).ends_with('Z') && word.starts_with("20");
    let word = |word: &str| match word {
        word if is_time(word) => "NOW".to_owned(),
        word if place(word) => "PLACE".to_owned(),
        word => word.to_owned(),
    };
    let said = folder.run(words);
    let lines = said.lines().map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" "));
    let lines: Vec<String> = lines.filter(|line| !line.contains(">>")).collect();
    format!("$ {words}\n{}\n", lines.join("\n"))
}

fn check(folder: &Folder, words: &[&str], expected: Expect) {
    expected.assert_eq(&words.iter().map(|words| said(folder, words)).collect::<String>());
}

// delivery: D9.16
#[test]
fn dead_letters_and_twins_in_quarantine_are_listed() {
    check(
        &plant(),
        &["deadletters --store s", "deadletters pump --store s", "twins --store s", "state pump --store s"],
        expect![[r#"
            $ deadletters --store s
            PLACE NOW valve open: true from hand
            failed: Error: it is stuck
            PLACE NOW valve open: true from hand
            failed: Error: it is stuck
            PLACE NOW pump rpm: 900 from hand
            failed: Error: 900 is too fast
            pump is in quarantine since NOW 1 message waits
            ! twintalk: the log up to position PLACE
            $ deadletters pump --store s
            PLACE NOW pump rpm: 900 from hand
            failed: Error: 900 is too fast
            pump is in quarantine since NOW 1 message waits
            ! twintalk: the log up to position PLACE
            $ twins --store s
            hand Hand
            pump Pump in quarantine
            valve Valve
            ! twintalk: the log up to position PLACE
            $ state pump --store s
            Pump pump, turn 3, NOW in quarantine
            rpm 0
            ! twintalk: the log up to position PLACE
        "#]],
    );
}

// delivery: D9.16
#[test]
fn a_dead_letter_is_read_sent_again_and_dropped() {
    let folder = plant();
    let names = letters(&folder);
    let first = said(&folder, &format!("deadletters --store s --read {}", names[0]));
    assert!(first.contains("valve open: true from hand\nfailed: Error: it is stuck"), "{first}");
    // It fails again, and is a letter of another name.
    assert!(folder.run(&format!("deadletters --store s --send {}", names[0])).ends_with("exit 1\n"));
    assert_eq!(letters(&folder).len(), names.len());
    assert!(!letters(&folder).contains(&names[0]));
    folder.run("send valve mend --store s");
    assert_eq!(folder.run("deadletters valve --store s --send-all"), "");
    assert_eq!(letters(&folder).len(), 1);
    assert!(folder.run("state valve --store s").contains("open    true"));
    let last = &letters(&folder)[0];
    assert_eq!(folder.run(&format!("deadletters --store s --drop {last}")), "");
    assert!(letters(&folder).is_empty());
    assert!(folder.run(&format!("deadletters --store s --drop {last}")).contains("there is no dead letter"));
    let said = folder.run("verify --store s");
    assert!(said.contains(": no difference\n"), "{said}");
    check(
        &folder,
        &["history valve --store s", "history pump --store s"],
        expect![[r#"
        $ history valve --store s
        1 NOW ensure: #Valve from <program>
        made
        2 NOW open: true from hand
        failed: Error: it is stuck
        it is a dead letter
        3 NOW open: true from hand
        failed: Error: it is stuck
        it is a dead letter
        4 NOW open: true from <system>
        failed: Error: it is stuck
        it is a dead letter
        5 NOW mend from <command line>
        changed
        6 NOW open: true from <system>
        changed
        7 NOW open: true from <system>
        ! twintalk: the log up to position PLACE
        $ history pump --store s
        1 NOW ensure: #Pump from <program>
        made
        2 NOW rpm: 900 from hand
        failed: Error: 900 is too fast
        it is a dead letter
        3 NOW quarantine from <system>
        4 NOW drop from <system>
        ! twintalk: the log up to position PLACE
    "#]],
    );
}

// delivery: D9.13
#[test]
fn a_twin_is_released() {
    let folder = plant();
    check(
        &folder,
        &[
            "send pump 'rpm: 3' --store s",
            "deadletters --store s --release pump",
            "deadletters --store s --release pump",
            "state pump --store s",
            "send pump 'rpm: 3' --store s",
        ],
        expect![[r#"
            $ send pump 'rpm: 3' --store s
            ! twintalk: Quarantined: the twin at pump is in quarantine: it answers queries alone until it is released, and `rpm:` is none
            exit 1
            $ deadletters --store s --release pump

            $ deadletters --store s --release pump
            ! twintalk: there is no twin in quarantine at pump
            exit 1
            $ state pump --store s
            Pump pump, turn 6, NOW
            rpm 50
            ! twintalk: the log up to position PLACE
            $ send pump 'rpm: 3' --store s
            pump
        "#]],
    );
}

#[test]
fn letters_come_as_json_too() {
    let said = plant().run("deadletters pump --store s --json");
    for part in [
        r#""twin":"pump","selector":"rpm:","arguments":[900],"sender":"hand","fault":{"kind":"Error","text":"900 is too fast"}}"#,
        r#"{"quarantined":"pump","since":""#,
        r#""waiting":1}"#,
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn what_makes_no_sense_exits_with_2() {
    let folder = plant();
    for words in ["--read x", "--send 1", "--read 0/1.0 --drop 0/1.0"] {
        assert!(folder.run(&format!("deadletters --store s {words}")).ends_with("exit 2\n"), "{words}");
    }
    assert!(folder.run("deadletters --store s --read 0/9999.0").ends_with("exit 1\n"));
}
