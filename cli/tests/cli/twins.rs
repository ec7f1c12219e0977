//! The verbs that run programs and stores, as a user meets them.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::folder::Folder;
use expect_test::{Expect, expect};

const TANK: &str = "
twin Tank = (
  | level <Float m3> <- 0.0.
    capacity = 100.0. |

  event alarm: aSymbol.

  fill: amount = (
    level + amount > capacity ifTrue: [ ^self error: 'it would run over' ].
    level := level + amount.
    level > 90 ifTrue: [ self emit: #alarm: with: #high ]
  )
  query free = ( ^capacity - level )
)
";

const MAIN: &str = "import 'tank.twin'.
| tank |
tank := Tank ensure: 'tank-1'.
tank fill: 30.
tank free printNl.
";

const ROWS: &str = "time,id,value
2024-01-01 00:00:00,1,10
2024-01-01 00:05:00,2,20
2024-01-01 00:10:00,1,95
2024-01-01 00:15:00,3,oops
2024-01-01 00:20:00,,5
2024-01-01 00:25:00,4
2024-01-01 00:30:00,1,2
";

const FEED: &str =
    "feed rows.csv tank.twin --store s --to plant-{id} --send fill: --args value --time time --clock device";

fn plant() -> Folder {
    Folder::with(&[("tank.twin", TANK), ("main.twin", MAIN), ("rows.csv", ROWS)])
}

/// Runs `words` one after the other and shows what each said, times and traces left out.
fn check(folder: &Folder, words: &[&str], expected: Expect) {
    let mut said = String::new();
    for words in words {
        said.push_str(&format!("$ {words}\n{}", timeless(&folder.run(words))));
    }
    expected.assert_eq(&said);
}

/// Without what differs from run to run: its times (those of devices are of 2024), how rows were grouped
/// for commits, and where methods stand in the kernel.
fn timeless(said: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in said.lines().filter(|line| !line.contains("(kernel/")) {
        if line.starts_with("ack ") && lines.last().is_some_and(|last| last.starts_with("ack ")) {
            lines.pop();
        }
        let line = match line.split_once("position ") {
            Some((before, _)) => format!("{before}position N"),
            None => line.to_owned(),
        };
        let words: Vec<&str> = line.split(' ').map(|word| if is_now(word) { "NOW" } else { word }).collect();
        lines.push(words.join(" "));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn is_now(word: &str) -> bool {
    word.ends_with('Z') && word.contains('T') && !word.starts_with("2024")
}

// delivery: D7.7, D12.1, D12.2, D12.3
#[test]
fn a_twin_survives_its_process() {
    check(
        &plant(),
        &[
            "run main.twin",
            "run main.twin --store s",
            "send tank-1 'fill: 3' --store s",
            "send tank-1 free --store s",
            "send tank-1 'fill: 300' --store s",
            "twins --store s",
            "state tank-1 --store s",
            "state tank-1 --store s --rev 2",
            "history tank-1 --store s",
        ],
        expect![[r#"
            $ run main.twin
            70.0
            $ run main.twin --store s
            70.0
            $ send tank-1 'fill: 3' --store s
            tank-1
            $ send tank-1 free --store s
            67.0
            $ send tank-1 'fill: 300' --store s
            ! twintalk: Error: it would run over
            !   Tank>>fill: 300 of tank-1 (tank.twin:9:47)
            exit 1
            $ twins --store s
            tank-1  Tank
            ! twintalk: the log up to position N
            $ state tank-1 --store s
            Tank tank-1, turn 4, NOW
              level  33.0
            ! twintalk: the log up to position N
            $ state tank-1 --store s --rev 2
            Tank tank-1, turn 2, NOW
              level  30.0
            ! twintalk: the log up to position N
            $ history tank-1 --store s
                 1  NOW  ensure: #Tank  from <program>
                    made
                 2  NOW  fill: 30  from <program>
                    changed
                 3  NOW  fill: 3  from <command line>
                    changed
                 4  NOW  fill: 300  from <command line>
                    failed: Error: it would run over
            ! twintalk: the log up to position N
        "#]],
    );
}

// delivery: D12.7
#[test]
fn verify_finds_no_difference_in_what_was_done() {
    let folder = plant();
    folder.run("run main.twin --store s");
    let said = folder.run("verify --store s");
    assert!(said.contains(": no difference\n") && !said.contains("exit"), "{said}");
    assert!(folder.run("verify --store s --json").contains(r#""differences":[]"#));
}

// delivery: D7.9, D7.11
#[test]
fn a_damaged_table_is_made_again_from_the_log() {
    let folder = plant();
    folder.run(FEED);
    let (before, history) = (folder.run("twins --store s"), folder.run("history plant-1 --store s"));
    let files =
        std::fs::read_dir(folder.path("s/rocksdb")).expect("the files").map(|file| file.expect("a file").path());
    let rows = files.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
    // A file says which table it is of; the smallest is none of the log.
    let is_of_table = |path: &std::path::PathBuf| {
        std::fs::read(path).expect("a file").windows(5).any(|part| part == b"taken" || part == b"state")
    };
    let file = rows.filter(is_of_table).min_by_key(|path| std::fs::metadata(path).expect("a length").len());
    let file = file.expect("a table has a file");
    let mut bytes = std::fs::read(&file).expect("a file");
    let footer = bytes.len() - 20;
    bytes[footer] ^= 1;
    std::fs::write(file, bytes).expect("written");

    let said = folder.run("verify --store s");
    assert!(said.contains("damaged at table `") && said.ends_with("exit 3\n"), "{said}");
    assert!(said.contains("`twintalk verify --rebuild-tables`"), "{said}");
    let said = folder.run("verify --store s --rebuild-tables");
    assert!(said.contains(": no difference\n") && !said.contains("exit"), "{said}");
    assert_eq!(folder.run("twins --store s"), before);
    folder.run(FEED);
    assert_eq!(folder.run("history plant-1 --store s"), history, "what was taken is not taken again");
}

#[test]
fn data_comes_as_json_too() {
    let folder = plant();
    folder.run(FEED);
    check(
        &folder,
        &["twins plant --store s --json", "send plant-1 free --store s --json"],
        expect![[r#"
            $ twins plant --store s --json
            {"path":"plant-1","prototype":"Tank","quarantined":false}
            {"path":"plant-2","prototype":"Tank","quarantined":false}
            {"path":"plant-3","prototype":"Tank","quarantined":false}
            ! twintalk: the log up to position N
            $ send plant-1 free --store s --json
            88.0
        "#]],
    );
}

#[test]
fn a_record_as_json_has_all_of_it() {
    let folder = plant();
    folder.run(FEED);
    let records = folder.run("history plant-1 --store s --json");
    let failed = records.lines().nth(2).expect("a third record");
    for part in [
        r#""rev":3,"time":"2024-01-01T00:10:00Z","device_time":"2024-01-01T00:10:00Z","sender":"rows.csv","number":3,"#,
        r#""receiver":"plant-1","selector":"fill:","arguments":[95],"change":null,"output":"","events":[],"far_sends":[],"#,
        r#""fault":{"kind":"Error","text":"it would run over"}"#,
    ] {
        assert!(failed.contains(part), "{failed}");
    }
}

// delivery: D3.5, D3.6, D9.3, D12.2
#[test]
fn each_row_is_a_message_and_bad_rows_are_told_in_the_end() {
    let folder = plant();
    check(
        &folder,
        &[
            &format!("{FEED} --acks"),
            &format!("{FEED} --acks"),
            "twins --store s",
            "history plant-1 --store s",
            "state plant-1 --store s --at 2024-01-01T00:05:00Z",
        ],
        expect![[r#"
            $ feed rows.csv tank.twin --store s --to plant-{id} --send fill: --args value --time time --clock device --acks
            ack 7
            ! twintalk: row 5: column `id` is empty, and the path needs it
            ! twintalk: row 6: the row has 2 fields and the header 3
            ! twintalk: row 3: `fill:` to plant-1: Error: it would run over
            !   Tank>>fill: 95 of plant-1 (tank.twin:9:47)
            ! twintalk: row 4: `fill:` to plant-3: ArgumentError: `+` wants a number, but was given 'oops'
            !   Tank>>fill: 'oops' of plant-3 (tank.twin:9:11)
            ! twintalk: 5 rows, 4 failures
            exit 1
            $ feed rows.csv tank.twin --store s --to plant-{id} --send fill: --args value --time time --clock device --acks
            ack 7
            $ twins --store s
            plant-1  Tank
            plant-2  Tank
            plant-3  Tank
            ! twintalk: the log up to position N
            $ history plant-1 --store s
                 1  2024-01-01T00:00:00Z  ensure: #Tank  from <system>
                    made
                 2  2024-01-01T00:00:00Z  fill: 10  from rows.csv 1
                    changed
                 3  2024-01-01T00:10:00Z  fill: 95  from rows.csv 3
                    failed: Error: it would run over
                    it is a dead letter
                 4  2024-01-01T00:30:00Z  fill: 2  from rows.csv 7
                    changed
            ! twintalk: the log up to position N
            $ state plant-1 --store s --at 2024-01-01T00:05:00Z
            Tank plant-1, turn 2, 2024-01-01T00:00:00Z
              level  10.0
            ! twintalk: the log up to position N
        "#]],
    );
}

#[test]
fn a_feed_goes_on_where_it_stopped() {
    let folder = plant();
    let rows: String = (1..=3000).map(|row| format!("{row},0.01\n")).collect();
    folder.write("many.csv", &format!("row,value\n{rows}"));
    let words = "feed many.csv tank.twin --store s --to tank-1 --send fill: --args value --acks";
    assert_eq!(timeless(&folder.run(&format!("{words} --from 2001"))), "ack 3000\n");
    // The rows before were never taken, but the sender's counter stands behind them.
    assert_eq!(timeless(&folder.run(words)), "ack 3000\n");
    let level: f64 = folder.run("send tank-1 level --store s").trim().parse().expect("a float");
    assert!((level - 10.0).abs() < 1e-9, "{level}");
}

// delivery: D7.3
#[test]
fn rows_that_come_slowly_are_acknowledged_at_once() {
    let folder = plant();
    let words = "feed - tank.twin --store s --to tank-1 --send fill: --args v --format jsonl --source pipe --acks";
    let mut child = folder
        .command(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    for row in 1..=3 {
        writeln!(input, r#"{{"v": {row}}}"#).expect("it reads");
        let mut line = String::new();
        output.read_line(&mut line).expect("it answers");
        assert_eq!(line, format!("ack {row}\n"));
    }
    // Killed, not ended: what was acknowledged is there.
    child.kill().expect("it runs");
    child.wait().expect("it ran");
    assert_eq!(folder.run("send tank-1 level --store s"), "6.0\n");
    assert_eq!(
        folder.run_with(words, "{\"v\": 1}\n{\"v\": 2}\n{\"v\": 3}\n{\"v\": 4}\n").lines().last(),
        Some("ack 4")
    );
    assert_eq!(folder.run("send tank-1 level --store s"), "10.0\n");
}

#[test]
fn a_feed_that_makes_no_sense_sends_nothing() {
    check(
        &plant(),
        &[
            "feed rows.csv tank.twin --store s --to t --send fill: --args nothere",
            "feed rows.csv tank.twin --store s --to t --send fill: --args id,value",
            "feed rows.csv tank.twin --store s --to t --send '1:' --args id",
            "feed rows.csv tank.twin --store s --to t-{ --send fill: --args id",
            "feed - tank.twin --store s --to t --send fill: --args id",
            "feed rows.csv tank.twin --store s --to t --send fill: --args id --clock device",
            "twins --store s",
        ],
        expect![[r#"
            $ feed rows.csv tank.twin --store s --to t --send fill: --args nothere
            ! twintalk: rows.csv: there is no column `nothere`; the header has time, id, value
            exit 1
            $ feed rows.csv tank.twin --store s --to t --send fill: --args id,value
            ! twintalk: `fill:` takes 1 argument, and --args names 2
            exit 2
            $ feed rows.csv tank.twin --store s --to t --send '1:' --args id
            ! twintalk: --send: `1:` is no selector
            exit 2
            $ feed rows.csv tank.twin --store s --to t-{ --send fill: --args id
            ! twintalk: --to: `t-{` has a brace without its partner: {column} stands for a column
            exit 2
            $ feed - tank.twin --store s --to t --send fill: --args id
            ! twintalk: rows of standard input need a --source NAME
            exit 2
            $ feed rows.csv tank.twin --store s --to t --send fill: --args id --clock device
            ! error: the following required arguments were not provided:
            !   --time <COL>
            !
            ! Usage: twintalk feed --store <DIR> --to <PATH> --send <SELECTOR> --time <COL> --args <COL,...> --clock <device> <INPUT> <DEFS>...
            !
            ! For more information, try '--help'.
            exit 2
            $ twins --store s
            ! twintalk: there is no store in `s`
            exit 1
        "#]],
    );
}

// delivery: D7.13, D12.5, D12.6
#[test]
fn one_process_runs_a_store_and_others_look() {
    let folder = plant();
    folder.run("run main.twin --store s");
    let words = "feed - --store s --to tank-1 --send fill: --args v --format jsonl --source pipe --acks";
    let mut child = folder
        .command(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    writeln!(input, r#"{{"v": 5}}"#).expect("it reads");
    output.read_line(&mut String::new()).expect("it answers");
    let second = folder.run("send tank-1 free --store s");
    assert!(second.contains("exit 3"), "{second}");
    let looked = folder.run("state tank-1 --store s");
    assert!(looked.contains("level  35.0") && looked.contains("the log up to position"), "{looked}");
    drop(input);
    assert!(child.wait().expect("it ends").success());
}

// delivery: D10.1, D10.2, D10.4, D10.10
#[test]
fn other_definitions_need_an_upgrade() {
    let folder = plant();
    folder.run("run main.twin --store s");
    let other = "twin Tank = (
  | litres <- 0. |
  version 2.
  migrate 1 = ( litres := (self oldSlot: #level) * 1000 )
  fill: x = ( litres := litres + x )
)
";
    folder.write(
        "same.twin",
        &other.replace("  version 2.\n", "").replace("  migrate 1 = ( litres := (self oldSlot: #level) * 1000 )\n", ""),
    );
    folder.write("other.twin", other);
    folder.write("wrong.twin", &other.replace("* 1000", "oops"));
    check(
        &folder,
        &[
            "run other.twin --store s",
            "run same.twin --store s --upgrade",
            "run wrong.twin --store s --upgrade --dry-run",
            "run other.twin --store s --upgrade --dry-run",
            "send tank-1 free --store s",
            "run other.twin --store s --upgrade",
            "send tank-1 litres --store s",
            "run other.twin --dry-run",
        ],
        expect![[r#"
            $ run other.twin --store s
            ! twintalk: the store runs other definitions
            !   Tank has the new slot `litres`
            !   Tank no longer has the slot `level`
            !   Tank no longer has the constant `capacity`
            !   Tank goes from version 1 to 2
            !   Tank no longer has the event `alarm:`
            !   Tank has another method `fill:`
            !   Tank no longer has the method `free`
            !   Tank has the new migration from version 1
            ! to run the store with these from now on, add --upgrade
            exit 1
            $ run same.twin --store s --upgrade
            ! twintalk: the slots of Tank have changed, but not the version: raise it, as in `version 2.`
            exit 1
            $ run wrong.twin --store s --upgrade --dry-run
            Tank has the new slot `litres`
            Tank no longer has the slot `level`
            Tank no longer has the constant `capacity`
            Tank goes from version 1 to 2
            Tank no longer has the event `alarm:`
            Tank has another method `fill:`
            Tank no longer has the method `free`
            Tank has the new migration from version 1
            Tank: 1 twin, 0 carried over, 1 cannot go on
            ! twintalk: tank-1: MessageNotUnderstood: Float does not understand #oops
            !   Tank>>migrate 1 of tank-1 (wrong.twin:4:50)
            exit 1
            $ run other.twin --store s --upgrade --dry-run
            Tank has the new slot `litres`
            Tank no longer has the slot `level`
            Tank no longer has the constant `capacity`
            Tank goes from version 1 to 2
            Tank no longer has the event `alarm:`
            Tank has another method `fill:`
            Tank no longer has the method `free`
            Tank has the new migration from version 1
            Tank: 1 twin, 1 carried over
            $ send tank-1 free --store s
            70.0
            $ run other.twin --store s --upgrade
            $ send tank-1 litres --store s
            30000.0
            $ run other.twin --dry-run
            ! error: the following required arguments were not provided:
            !   --upgrade
            !   --store <DIR>
            !
            ! Usage: twintalk run --upgrade --store <DIR> --dry-run <FILE> [FOLDER]... [-- <ARG>...]
            !
            ! For more information, try '--help'.
            exit 2
        "#]],
    );
    let left: Vec<String> = std::fs::read_dir(folder.path("."))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("dry-run"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_program_that_fails_says_where() {
    check(
        &Folder::with(&[("a.twin", "'before' displayNl.\n1 / 0.\n'after' displayNl.\n")]),
        &["run a.twin"],
        expect![[r#"
            $ run a.twin
            before
            ! twintalk: ZeroDivide: division of 1 by zero
            !   main (a.twin:2:3)
            exit 1
        "#]],
    );
}

#[test]
fn a_program_finds_its_arguments() {
    check(
        &Folder::with(&[("a.twin", "Program arguments do: [ :each | each displayNl ].\n")]),
        &["run a.twin -- one --two", "run a.twin one"],
        expect![[r#"
            $ run a.twin -- one --two
            one
            --two
            $ run a.twin one
            ! twintalk: one is no folder; what the program is to be given stands behind --
            exit 2
        "#]],
    );
}

#[test]
fn timers_run_for_as_long_as_is_said() {
    let text = "twin Clockwork = (
  | ticks <- 0. |
  timer tick every: 10 seconds = ( ticks := ticks + 1. Transcript showLine: ticks printString )
)
Clockwork ensure: 'c'.
";
    check(
        &Folder::with(&[("a.twin", text)]),
        &["run a.twin", "run a.twin --for 25s", "run a.twin --for 'a while'"],
        expect![[r#"
            $ run a.twin
            $ run a.twin --for 25s
            1
            2
            $ run a.twin --for 'a while'
            ! error: invalid value 'a while' for '--for <DURATION>': a duration is written like 90s, '10 min' or 1h30m
            !
            ! For more information, try '--help'.
            exit 2
        "#]],
    );
}

#[test]
fn a_folder_and_an_image_run_too() {
    let folder = plant();
    folder.write("som/Hello.som", "Hello = (\n  run = ( 'Hello' displayNl. Other new greet )\n)\n");
    folder.write("som/Other.som", "Other = (\n  greet = ( 'from Other' displayNl )\n)\n");
    folder.write("plant/main.twin", MAIN);
    folder.write("plant/tank.twin", TANK);
    check(
        &folder,
        &[
            "compile main.twin -o m.twb",
            "run m.twb",
            "run m.twb --store s",
            "run main.twin --store s",
            "run plant",
            "run som/Hello.som",
            "run som",
        ],
        expect![[r#"
            $ compile main.twin -o m.twb
            $ run m.twb
            70.0
            $ run m.twb --store s
            70.0
            $ run main.twin --store s
            40.0
            $ run plant
            70.0
            $ run som/Hello.som
            Hello
            from Other
            $ run som
            ! twintalk: som: there is no main.twin or main.som
            exit 1
        "#]],
    );
}

#[test]
fn a_message_that_is_none_is_usage() {
    check(
        &plant(),
        &["send tank-1 '3 + 4' --store s", "send tank-1 'fill: (3)' --store s", "send tank-1 free --store s"],
        expect![[r#"
            $ send tank-1 '3 + 4' --store s
            ! twintalk: `3 + 4` is no message: a message starts with its selector (at character 1)
            exit 2
            $ send tank-1 'fill: (3)' --store s
            ! twintalk: `fill: (3)` is no message: `(3)` is neither a literal nor a path, and nothing is evaluated (at character 7)
            exit 2
            $ send tank-1 free --store s
            ! twintalk: s: there is no store
            exit 1
        "#]],
    );
}

#[test]
fn what_is_asked_of_a_twin_that_is_not_there() {
    let folder = plant();
    folder.run("run main.twin --store s");
    check(
        &folder,
        &[
            "state tank-2 --store s",
            "history tank-2 --store s",
            "send tank-2 free --store s",
            "send 'a b#' free --store s",
            "twins x --store s",
        ],
        expect![[r#"
            $ state tank-2 --store s
            ! twintalk: the log up to position N
            ! twintalk: there is no twin tank-2
            exit 1
            $ history tank-2 --store s
            ! twintalk: the log up to position N
            ! twintalk: there never was a twin tank-2
            exit 1
            $ send tank-2 free --store s
            ! twintalk: NoSuchTwin: there is no twin at tank-2
            exit 1
            $ send 'a b#' free --store s
            ! twintalk: `a b#` cannot be a segment of a path: `#` has a meaning of its own in paths (in `a b#`)
            exit 1
            $ twins x --store s
            ! twintalk: the log up to position N
        "#]],
    );
}

#[test]
fn a_dialogue_keeps_what_was_said() {
    let folder = plant();
    let said = folder.run_with(
        "repl tank.twin",
        "x := 3\nx + 4\nobject P = (\n  | a <- 1. |\n  bump = ( a := a + 1. ^a )\n)\np := P new\np bump. p bump\n(Tank ensure: 't') free\n3 foo\n:nope\n\n:help\n(3\n",
    );
    expect![[r#"
        3
        7
        a P
        3
        100.0
          3 + 4                      an expression, and what it answers
          x := 3                     a variable of the dialogue
          twin Tank = ( ... )        a definition; it goes on while a bracket is open
          :doc Tank                  what is said of a definition; also :doc Tank fill:, :doc fill:
          :type 3 / 4                the prototype of what an expression answers; it is done
          :help  :quit               this; the end (or Ctrl-D)
        ! twintalk: MessageNotUnderstood: Integer does not understand #foo
        !   main (input 7:1:3)
        ! twintalk: there is no `:nope`; :help tells what there is
        ! error[unbalanced-bracket]: this `(` is never closed
        !  --> input 8:1:1
        !   |
        ! 1 | (3
        !   | ^
        !
        ! 1 error
        exit 1
    "#]]
    .assert_eq(&timeless(&said));
}

#[test]
fn what_a_twin_was_can_be_seen_after_an_upgrade() {
    let folder = plant();
    folder.run("run main.twin --store s");
    let other = "twin Tank = ( | litres <- 0. | version 2. migrate 1 = ( litres := (self oldSlot: #level) * 1000 ) )\n";
    folder.write("other.twin", other);
    check(
        &folder,
        &[
            "run other.twin --store s --upgrade",
            "state tank-1 --store s",
            "send tank-1 litres --store s",
            "state tank-1 --store s --rev 2",
        ],
        expect![[r#"
            $ run other.twin --store s --upgrade
            $ state tank-1 --store s
            Tank tank-1, turn 2, NOW
              level  30.0
            ! twintalk: the log up to position N
            $ send tank-1 litres --store s
            30000.0
            $ state tank-1 --store s --rev 2
            Tank tank-1, turn 2, NOW
              level  30.0
            ! twintalk: the log up to position N
        "#]],
    );
}

#[test]
fn quantities_come_in_by_messages_and_rows() {
    let folder = Folder::with(&[(
        "main.twin",
        "twin Tank = ( | level <Float m3> <- 0.0. last | fill: x = ( level := x. last := x ) )\nTank new: 'tank-1'\n",
    )]);
    folder.write("rows.csv", "volume\n1.5\nNaN\n1.0e999\nabc\n");
    folder.write(
        "rows.jsonl",
        "{\"v\": {\"number\": 250, \"unit\": \"L\"}}\n{\"v\": {\"number\": 1, \"unit\": \"smoot\"}}\n{\"v\": {\"a\": 1}}\n",
    );
    check(
        &folder,
        &[
            "run main.twin --store s",
            "send tank-1 'fill: 500 litres' --store s",
            "send tank-1 level --store s",
            "send tank-1 'fill: 3 bar' --store s",
            "send tank-1 'fill: 3 smoots' --store s",
            "send tank-1 last --store s --json",
            "feed rows.csv --store s --to tank-1 --send fill: --args volume",
            "feed rows.jsonl --store s --to tank-1 --send fill: --args v",
            "send tank-1 last --store s",
            "send tank-1 level --store s",
        ],
        expect![[r#"
            $ run main.twin --store s
            $ send tank-1 'fill: 500 litres' --store s
            tank-1
            $ send tank-1 level --store s
            0.5
            $ send tank-1 'fill: 3 bar' --store s
            ! twintalk: SlotType: slot `level` of tank-1 is in m3, for a volume, but holds 3 bar, a pressure
            exit 1
            $ send tank-1 'fill: 3 smoots' --store s
            ! twintalk: `fill: 3 smoots` is no message: `smoots` is no keyword; arguments are literals or paths, and nothing is evaluated (at character 9)
            exit 2
            $ send tank-1 last --store s --json
            {"number":500,"unit":"L"}
            $ feed rows.csv --store s --to tank-1 --send fill: --args volume
            ! twintalk: row 2: column volume: NaN is no number to go by
            ! twintalk: row 3: column volume: Infinity is no number to go by
            ! twintalk: row 4: `fill:` to tank-1: SlotType: slot `level` of tank-1 is for values of Float, but holds 'abc' of String
            ! twintalk: 2 rows, 3 failures
            exit 1
            $ feed rows.jsonl --store s --to tank-1 --send fill: --args v
            ! twintalk: row 2: column v: there is no unit `smoot`
            ! twintalk: row 3: column v: only numbers, quantities, strings, symbols, booleans, nil, arrays and twins can be handed in
            ! twintalk: 1 row, 2 failures
            exit 1
            $ send tank-1 last --store s
            250 L
            $ send tank-1 level --store s
            0.25
        "#]],
    );
}

#[test]
fn a_query_asks_many_twins_and_changes_nothing() {
    let folder = Folder::with(&[(
        "tanks.twin",
        "twin Tank = ( | level <indexed> <- 0. | fill: n = ( level := level + n ) timer tick every: 1 milliseconds = ( level := level + 1 ) )
        1 to: 3 do: [ :n | (Tank ensure: 'tank-', n printString) fill: n * 1000000 ].",
    )]);
    folder.run("run tanks.twin --store s");
    check(
        &folder,
        &[
            "query '(Tank where: [ :t | t level > 1500000 ]) collect: [ :t | t path ]' --store s",
            "query 'Tank where: [ :t | t level > 1500000 ]' --store s --json",
            "query 'Tank count: [ :t | t level > 1500000 ]' --store s --explain",
            "query 'Tank where: [ :t | t level isNil ]' --store s --explain --json",
            "query 'Tank count: #level' --store s",
            "query 'Tank all do: [ :t | t fill: 1 ]' --store s",
            "query 'Tank max:' --store s",
            "query 'Tnak all' --store s",
        ],
        expect![[r#"
            $ query '(Tank where: [ :t | t level > 1500000 ]) collect: [ :t | t path ]' --store s
            'tank-2'
            'tank-3'
            ! twintalk: the log up to position N
            $ query 'Tank where: [ :t | t level > 1500000 ]' --store s --json
            ["tank-2","tank-3"]
            ! twintalk: the log up to position N
            $ query 'Tank count: [ :t | t level > 1500000 ]' --store s --explain
            2
            ! twintalk: the log up to position N
            ! twintalk: 4 rows read, 2 twins asked; by the index of Tank level
            $ query 'Tank where: [ :t | t level isNil ]' --store s --explain --json
            []
            ! twintalk: the log up to position N
            ! twintalk: 6 rows read, 3 twins asked; without an index: all of Tank
            $ query 'Tank count: #level' --store s
            ! twintalk: the log up to position N
            ! twintalk: NonBoolean: tank-1: level answers something that is neither true nor false
            !   main (query:1:6)
            exit 1
            $ query 'Tank all do: [ :t | t fill: 1 ]' --store s
            ! twintalk: the log up to position N
            ! twintalk: this would change a twin; a query only asks: `twintalk send` and `run` change twins
            exit 1
            $ query 'Tank max:' --store s
            ! twintalk: the log up to position N
            ! error[syntax]: expected an argument after `max:`, found the end of the text
            !  --> query:1:10
            !   |
            ! 1 | Tank max:
            !   |          ^
            !
            ! 1 error
            exit 1
            $ query 'Tnak all' --store s
            ! twintalk: the log up to position N
            ! warning[unknown-global]: there is no `Tnak`: if this runs, `unknownGlobal:` is sent
            !  --> query:1:1
            !   |
            ! 1 | Tnak all
            !   | ^^^^
            !   |
            !   = help: did you mean `Tank`?
            !
            ! twintalk: UnknownGlobal: there is no prototype named Tnak
            !   main (query:1:1)
            exit 1
        "#]],
    );
    assert!(folder.run("verify --store s").contains("no difference"));
}
