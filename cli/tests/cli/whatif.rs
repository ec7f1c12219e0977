//! What might have been, as a user asks it: the example of `examples/whatif`, and what cannot be asked.

use std::path::Path;

use expect_test::{Expect, expect};

use crate::folder::Folder;

fn plant() -> Folder {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/whatif");
    let files = ["tank.twin", "regulated.twin", "switch.csv", "draws.csv"];
    let texts = files.map(|name| (name, std::fs::read_to_string(example.join(name)).expect("a file of the example")));
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let folder = Folder::with(&texts);
    for feed in [
        "feed switch.csv tank.twin --store s --to pump-1 --as Pump --send start --time time --clock device",
        "feed draws.csv --store s --to tank-1 --as Tank --send draw: --args m3 --time time --clock device",
    ] {
        assert_eq!(folder.run(feed), "");
    }
    folder
}

/// Without the places of records, which depend on how rows were grouped for commits.
fn without_places(line: &str) -> String {
    let mut line = line.to_owned();
    for marker in ["turns from ", "\"from\":\"", "\"until\":\""] {
        if let Some(start) = line.find(marker).map(|at| at + marker.len()) {
            let end = line[start..].find([',', '"']).map_or(line.len(), |at| start + at);
            line.replace_range(start..end, "PLACE");
        }
    }
    line
}

fn check(folder: &Folder, words: &[&str], expected: Expect) {
    let mut said = String::new();
    for words in words {
        let answer = folder.run(words);
        let lines = answer.lines().filter(|line| !line.starts_with("! twintalk: the log up to position "));
        said.push_str(&format!("$ {words}\n{}", lines.map(|line| without_places(line) + "\n").collect::<String>()));
    }
    expected.assert_eq(&said);
}

const AT_TEN: &str = "whatif --from 2026-06-01T10:00:00Z --store s";

// delivery: D13.1, D13.3, D13.4, D13.5
#[test]
fn a_day_goes_otherwise_with_a_message_put_in_or_left_out() {
    let folder = plant();
    let before = folder.run("export --store s");
    check(
        &folder,
        &[
            "state tank-1 --store s",
            AT_TEN,
            &format!("{AT_TEN} --insert 2026-06-01T10:00:00Z pump-1 stop --insert 2026-06-01T10:30:00Z pump-1 start"),
            &format!("{AT_TEN} --insert 2026-06-01T10:00:00Z pump-1 stop"),
            &format!("{AT_TEN} --insert 2026-06-01T10:00:00Z pump-1 stop --until 2026-06-01T10:20:30Z --json"),
            &format!("{AT_TEN} --drop 'tank-1 draw: 50'"),
            &format!("{AT_TEN} --insert 2026-06-01T11:00:00Z pump-1 'stop: now'"),
        ],
        expect![[r#"
            $ state tank-1 --store s
            Tank tank-1, turn 210, 2026-06-01T12:10:00Z
              level    405.0
              spilled  470.0
            $ whatif --from 2026-06-01T10:00:00Z --store s
            273 turns from PLACE, 2026-06-01T10:00:00Z, to 2026-06-01T12:10:00Z: 0 differ, 0 more, 0 fewer than happened; 0 new faults; no twin differs
            $ whatif --from 2026-06-01T10:00:00Z --store s --insert 2026-06-01T10:00:00Z pump-1 stop --insert 2026-06-01T10:30:00Z pump-1 start
            Tank tank-1, turn 210, 2026-06-01T12:10:00Z -> in the fork turn 181, 2026-06-01T12:10:00Z
              spilled  470.0 -> 200.0
            246 turns from PLACE, 2026-06-01T10:00:00Z, to 2026-06-01T12:10:00Z: 86 differ, 3 more, 30 fewer than happened; 0 new faults; 1 twin differs
            $ whatif --from 2026-06-01T10:00:00Z --store s --insert 2026-06-01T10:00:00Z pump-1 stop
            Pump pump-1, turn 192, 2026-06-01T12:10:00Z -> in the fork turn 193, 2026-06-01T12:10:00Z
              running  true -> false
            Tank tank-1, turn 210, 2026-06-01T12:10:00Z -> in the fork turn 80, 2026-06-01T12:10:00Z
              level    405.0 -> 30.0
              spilled  470.0 -> 110.0
            fault at 2026-06-01T11:30:00Z, draw: to tank-1: Error: the tank is empty
            fault at 2026-06-01T11:40:00Z, draw: to tank-1: Error: the tank is empty
            fault at 2026-06-01T11:50:00Z, draw: to tank-1: Error: the tank is empty
            fault at 2026-06-01T12:00:00Z, draw: to tank-1: Error: the tank is empty
            fault at 2026-06-01T12:10:00Z, draw: to tank-1: Error: the tank is empty
            144 turns from PLACE, 2026-06-01T10:00:00Z, to 2026-06-01T12:10:00Z: 143 differ, 1 more, 130 fewer than happened; 5 new faults; 2 twins differ
            $ whatif --from 2026-06-01T10:00:00Z --store s --insert 2026-06-01T10:00:00Z pump-1 stop --until 2026-06-01T10:20:30Z --json
            {"path":"pump-1","prototype":"Pump","from_rev":82,"to_rev":83,"place":"running","before":true,"after":false}
            {"path":"tank-1","prototype":"Tank","from_rev":89,"to_rev":69,"place":"level","before":455.0,"after":395.0}
            {"path":"tank-1","prototype":"Tank","from_rev":89,"to_rev":69,"place":"spilled","before":230.0,"after":110.0}
            {"from":"PLACE","until":"PLACE","from_time":"2026-06-01T10:00:00Z","until_time":"2026-06-01T10:20:30Z","turns":23,"differing":22,"added":1,"missing":20,"dropped":0,"fault_count":0,"faults":[]}
            $ whatif --from 2026-06-01T10:00:00Z --store s --drop 'tank-1 draw: 50'
            Tank tank-1, turn 210, 2026-06-01T12:10:00Z -> in the fork turn 209, 2026-06-01T12:10:00Z
              spilled  470.0 -> 520.0
            272 turns from PLACE, 2026-06-01T10:00:00Z, to 2026-06-01T12:10:00Z: 32 differ, 0 more, 1 fewer than happened; 0 new faults; 1 twin differs
            $ whatif --from 2026-06-01T10:00:00Z --store s --insert 2026-06-01T11:00:00Z pump-1 'stop: now'
            fault at 2026-06-01T11:00:00Z, stop: to pump-1: MessageNotUnderstood: Pump pump-1 does not understand #stop:
            274 turns from PLACE, 2026-06-01T10:00:00Z, to 2026-06-01T12:10:00Z: 0 differ, 1 more, 0 fewer than happened; 1 new fault; no twin differs
        "#]],
    );
    assert_eq!(folder.run("export --store s"), before, "the store is as it was");
}

// delivery: D13.6, D13.7
#[test]
fn a_day_goes_otherwise_with_other_definitions_and_goes_on() {
    let folder = plant();
    check(
        &folder,
        &[
            &format!("{AT_TEN} --with regulated.twin"),
            &format!("{AT_TEN} --with tank.twin"),
            &format!("{AT_TEN} --until 2026-06-01T12:30:00Z"),
        ],
        expect![[r#"
            $ whatif --from 2026-06-01T10:00:00Z --store s --with regulated.twin
            Tank tank-1, turn 210, 2026-06-01T12:10:00Z -> in the fork turn 167, 2026-06-01T12:10:00Z
              level    405.0 -> 306.0
              spilled  470.0 -> 110.0
            241 turns from PLACE, 2026-06-01T10:00:00Z, to 2026-06-01T12:10:00Z: 143 differ, 19 more, 51 fewer than happened; 0 new faults; 1 twin differs
            $ whatif --from 2026-06-01T10:00:00Z --store s --with tank.twin
            273 turns from PLACE, 2026-06-01T10:00:00Z, to 2026-06-01T12:10:00Z: 0 differ, 0 more, 0 fewer than happened; 0 new faults; no twin differs
            $ whatif --from 2026-06-01T10:00:00Z --store s --until 2026-06-01T12:30:00Z
            Tank tank-1, turn 210, 2026-06-01T12:10:00Z -> in the fork turn 230, 2026-06-01T12:30:00Z
              level    405.0 -> 500.0
              spilled  470.0 -> 555.0
            313 turns from PLACE, 2026-06-01T10:00:00Z, to 2026-06-01T12:30:00Z: 0 differ, 40 more, 0 fewer than happened; 0 new faults; 1 twin differs
        "#]],
    );
}

// delivery: D13.8
#[test]
fn what_cannot_be_otherwise_is_refused() {
    let folder = plant();
    // Each statement of a program is a commit, so here records stand where they are named.
    let program = "import 'tank.twin'. (Pump ensure: 'pump-1') start. (Tank at: 'tank-1') draw: 20.";
    folder.write("start.twin", program);
    assert_eq!(folder.run("run start.twin --store r"), "");
    check(
        &folder,
        &[
            "whatif --from 5000.0 --store r",
            "whatif --from 1.7 --store r",
            "whatif --from 3/1.0 --store r",
            "whatif --from 2.0 --until 1.0 --store r",
            "whatif --from 3.0 --drop 2.0 --store r",
            "whatif --from 1.0 --until 2.0 --drop 3.0 --store r",
            "whatif --from 1.0 --drop 900.0 --store r",
            "whatif --from 1.0 --drop 4.0 --store r",
            "whatif --from 1.0 --drop 'pump-1 speed:' --store r",
            "whatif --from 1.0 --drop pump-1 --store r",
            &format!("{AT_TEN} --insert 2026-06-01T09:00:00Z pump-1 stop"),
            &format!("{AT_TEN} --insert 2026-06-01T15:00:00Z pump-1 stop"),
            &format!("{AT_TEN} --insert yesterday pump-1 stop"),
            "whatif --from yesterday --store r",
        ],
        expect![[r#"
            $ whatif --from 5000.0 --store r
            ! twintalk: 5000.0 is behind the end of the log, which is at 5.0
            exit 1
            $ whatif --from 1.7 --store r
            ! twintalk: there is no record 1.7: that block has those from 1.0 to 1.0
            exit 1
            $ whatif --from 3/1.0 --store r
            ! twintalk: there is no partition 3: the store has 1
            exit 1
            $ whatif --from 2.0 --until 1.0 --store r
            ! twintalk: the fork ends before it begins: give an earlier --from or a later --until
            exit 1
            $ whatif --from 3.0 --drop 2.0 --store r
            ! twintalk: the message of 2.0 came before the fork begins: give a --from at or before 2.0
            exit 1
            $ whatif --from 1.0 --until 2.0 --drop 3.0 --store r
            ! twintalk: the message of 3.0 came after the fork ends: give a later --until
            exit 1
            $ whatif --from 1.0 --drop 900.0 --store r
            ! twintalk: there is no record 900.0 whose message could be left out: the log ends at 5.0
            exit 1
            $ whatif --from 1.0 --drop 4.0 --store r
            ! twintalk: the message of 4.0 came from pump-1, not from outside: leave out what it came of, 3.0
            exit 1
            $ whatif --from 1.0 --drop 'pump-1 speed:' --store r
            ! twintalk: no message `speed:` to pump-1 came from outside while the fork ran, so there is none to leave out: `twintalk history pump-1` shows what it was sent
            exit 1
            $ whatif --from 1.0 --drop pump-1 --store r
            ! error: invalid value 'pump-1' for '--drop <POSITION|MESSAGE>': what is left out is a record like 12.3, or messages like 'pump-1 speed:' or 'pump-1 speed: 600'
            !
            ! For more information, try '--help'.
            exit 2
            $ whatif --from 2026-06-01T10:00:00Z --store s --insert 2026-06-01T09:00:00Z pump-1 stop
            ! twintalk: `stop` to pump-1 cannot be put in at 2026-06-01T09:00:00Z: the fork begins with what is recorded up to 2026-06-01T10:00:00Z; give an earlier --from
            exit 1
            $ whatif --from 2026-06-01T10:00:00Z --store s --insert 2026-06-01T15:00:00Z pump-1 stop
            ! twintalk: `stop` to pump-1 cannot be put in at 2026-06-01T15:00:00Z: the fork ends at 2026-06-01T12:10:00Z; give a later --until
            exit 1
            $ whatif --from 2026-06-01T10:00:00Z --store s --insert yesterday pump-1 stop
            ! twintalk: --insert `yesterday`: a moment is written like 2024-05-01T12:30:00Z, or 2024-05-01
            exit 2
            $ whatif --from yesterday --store r
            ! error: invalid value 'yesterday' for '--from <TIME|POSITION>': a moment is a time like 2024-05-01T12:30:00Z, or a position like 12.3; of several partitions 0/12.3,1/7.0
            !
            ! For more information, try '--help'.
            exit 2
        "#]],
    );
}
