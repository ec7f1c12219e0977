//! `twintalk profile`, as a user meets it. Samples by fuel are the same in each run, so the report is too.

use expect_test::expect;
use twintalk_bytecode::file;
use twintalk_runtime::{Datum, json};

use crate::folder::Folder;

const SPIN: &str = "object Wheel = (
  spin = ( 1 to: 900 do: [ :i | i ] )
  twice = ( self spin. self spin )
)
| list |
list := List new.
1 to: 5 do: [ :i | list add: i printString ].
Wheel new twice.
list size displayNl.
";

const PUMPS: &str = "twin Pump = (
  | rpm <- 0. |
  run: speed = ( 1 to: speed do: [ :i | rpm := i ] )
  query level = ( ^rpm )
  timer tick every: 1 seconds = ( self run: 10 )
)
1 to: 3 do: [ :i | (Pump ensure: 'pump-', i printString) run: i * 1000 ].
(Pump at: 'pump-2') level displayNl.
((Pump at: 'pump-9') ! run: 3).
";

/// Rows of `--json` that are of this kind.
fn rows(text: &str, kind: &str) -> Vec<Datum> {
    let rows = text.lines().filter(|line| line.starts_with('{')).map(|line| json::parse(line).expect("JSON"));
    rows.filter(|row| member(row, "kind") == Datum::from(kind)).collect()
}

fn member(row: &Datum, name: &str) -> Datum {
    let Datum::Dictionary(members) = row else { panic!("{row:?} is no object") };
    let found = members.iter().find(|(key, _)| *key == Datum::from(name));
    found.unwrap_or_else(|| panic!("{row:?} has no {name}")).1.clone()
}

fn length(column: &Datum) -> usize {
    match column {
        Datum::Array(elements) => elements.len(),
        other => panic!("{other:?} is no column"),
    }
}

/// The tables of a report that are the program's own doing: instructions and the class library may become others.
fn own_tables(report: &str) -> String {
    let tables: Vec<&str> = report.split("\n\n").collect();
    let own = tables.iter().filter(|table| ["Methods", "Lines", "Loops"].iter().any(|name| table.starts_with(name)));
    own.map(|table| format!("{}\n", table.trim_end())).collect()
}

#[test]
fn a_report_by_fuel_is_the_same_each_time() {
    let folder = Folder::with(&[("spin.twin", SPIN)]);
    let report = folder.run("profile spin.twin --every 100 --top 4");
    expect![[r#"
        Methods
             self   total calls Method       Where
          100.0 % 100.0 %     2 Wheel>>spin  spin.twin:2
            0.0 % 100.0 %     1 Wheel>>twice spin.twin:3
            0.0 % 100.0 %     1 main         spin.twin:6
            0.0 % 100.0 %       program
        Lines
             self   total Where       Method
          100.0 % 100.0 % spin.twin:2 Wheel>>spin
            0.0 % 100.0 % spin.twin:3 Wheel>>twice
            0.0 % 100.0 % spin.twin:8 main
        Loops (rounds)
          rounds Where       Method
           1,800 spin.twin:2 Wheel>>spin
               5 spin.twin:7 main
    "#]]
    .assert_eq(&own_tables(&report));
    for table in ["\nSend sites", "\nAllocation", "\nPairs of instructions"] {
        assert!(report.contains(table), "{report}");
    }
    assert!(
        report.starts_with("5\n\n==== profile of spin.twin ====\n18 samples, one every 100 units of fuel"),
        "{report}"
    );
    assert_eq!(folder.run("profile spin.twin --every 100 --top 4"), report);
}

#[test]
fn a_report_by_the_clock_names_what_takes_the_time() {
    let folder = Folder::with(&[("spin.twin", &SPIN.replace("900", "900000"))]);
    let report = folder.run("profile spin.twin");
    assert!(report.contains("5\n\n==== profile of spin.twin ====\n"), "{report}");
    let first = report.lines().skip_while(|line| *line != "Methods").nth(2).expect("a row");
    assert!(first.contains("Wheel>>spin") && first.contains("spin.twin:2"), "{report}");
    assert!(report.contains("counts are estimates"), "{report}");
}

#[test]
fn a_stripped_image_shows_selectors_and_words() {
    let folder = Folder::with(&[("spin.twin", SPIN)]);
    folder.run("compile spin.twin -o spin.twb");
    let whole = folder.run("profile spin.twb --every 100 --top 4");
    assert_eq!(whole.replace("spin.twb", "spin.twin"), folder.run("profile spin.twin --every 100 --top 4"));
    let mut image = file::decode(&std::fs::read(folder.path("spin.twb")).expect("a file")).expect("an image");
    file::strip(&mut image);
    std::fs::write(folder.path("bare.twb"), file::encode(&image)).expect("a file");
    let bare = folder.run("profile bare.twb --every 100 --top 4");
    // Which word it is, is the compiler's affair.
    let bare: String = bare
        .split_inclusive('\n')
        .map(|line| match line.split_once("word ") {
            Some((before, word)) => {
                format!("{before}word N{}", word.trim_start_matches(|digit: char| digit.is_ascii_digit()))
            }
            None => line.to_owned(),
        })
        .collect();
    expect![[r#"
        Methods
             self   total calls Method       Where
          100.0 % 100.0 %     2 Wheel>>spin
            0.0 % 100.0 %     1 Wheel>>twice
            0.0 % 100.0 %     1 main
            0.0 % 100.0 %       program
        Lines
             self   total Where   Method
          100.0 % 100.0 % word N  Wheel>>spin
            0.0 % 100.0 % word N main
            0.0 %  50.0 % word N  Wheel>>twice
            0.0 %  50.0 % word N  Wheel>>twice
        Loops (rounds)
          rounds Where  Method
           1,800 word N Wheel>>spin
               5 word N main
    "#]]
    .assert_eq(&own_tables(&bare));
}

#[test]
fn turns_are_told_apart_by_receiver_and_message() {
    let folder = Folder::with(&[("pumps.twin", PUMPS)]);
    for words in
        ["profile pumps.twin --every 50 --json --for 2s", "profile pumps.twin --every 50 --json --for 2s --store s"]
    {
        let text = folder.run(words);
        let turns: Vec<(Datum, Datum, Datum)> = rows(&text, "turns")
            .iter()
            .map(|row| (member(row, "of"), member(row, "turns"), member(row, "failed")))
            .collect();
        let row = |of: &str, turns: i64, failed: i64| (Datum::from(of), Datum::from(turns), Datum::from(failed));
        assert!(turns.contains(&row("turn: Pump>>run:", 3, 0)), "{text}");
        assert!(turns.contains(&row("query: Pump>>level", 1, 0)), "{text}");
        assert!(turns.contains(&row("timer: Pump>>tick", 6, 0)), "{text}");
        let runs = rows(&text, "turns").into_iter().find(|row| member(row, "of") == Datum::from("turn: Pump>>run:"));
        let runs = runs.expect("it is there");
        assert_eq!(member(&runs, "prototype"), Datum::from("Pump"));
        assert_eq!(length(&member(&runs, "paths")), 3);
    }
}

#[test]
fn a_feed_says_where_the_time_of_its_turns_went() {
    let rows: String = (1..=40).map(|row| format!("{},{row}\n", row % 2)).collect();
    let tank = "twin Tank = ( | level <- 0. | fill: n = ( 1 to: n do: [ :i | level := level + 1 ]. n = 40 ifTrue: [ nil fly ] ) )";
    let folder = Folder::with(&[("rows.csv", &format!("id,value\n{rows}")), ("tank.twin", tank)]);
    let words = "feed rows.csv tank.twin --store s --to tank-{id} --send fill: --args value";
    let shown = folder.run(&format!("{words} --acks --profile --every 7 --top 3 --folded f.txt --flame f.svg"));
    let (fed, report) = shown.split_once("\n==== profile of rows.csv ====\n").expect("a report behind what is fed");
    assert!(fed.ends_with("ack 40\n"), "{shown}");
    let turns = report.split("\n\n").find(|table| table.starts_with("Turns")).expect("a table of turns");
    let turn = turns.lines().nth(2).expect("a row").split_whitespace().collect::<Vec<_>>();
    assert!(turn[2..4] == ["40", "1"], "40 turns, one of which failed\n{turns}");
    assert!(turns.contains("turn: Tank>>fill:") && turns.contains("tank-0, tank-1"), "{turns}");
    assert!(folder.read("f.txt").contains("turn: Tank>>fill:;Tank>>fill: "), "{}", folder.read("f.txt"));
    assert!(folder.read("f.svg").starts_with("<?xml"));
    assert!(shown.ends_with("exit 1\n"), "a row failed\n{shown}");
    // All was taken before, so there is nothing to say; by the clock, in a store that is there already.
    assert!(folder.run(&format!("{words} --profile")).contains("\n==== profile of rows.csv ====\n"));
    for asked in ["--flame f.svg", "--every 5", "--profile --every 5 --rate 5"] {
        assert!(folder.run(&format!("{words} {asked}")).ends_with("exit 2\n"), "{asked}");
    }
}

#[test]
fn every_form_can_be_read() {
    let folder = Folder::with(&[("spin.twin", SPIN)]);
    let shown = folder.run("profile spin.twin --every 10 --json --folded f.txt --flame f.svg --firefox f.json");
    assert!(shown.ends_with("! 5\n"), "what the program prints is aside\n{shown}");

    let methods = rows(&shown, "method");
    assert_eq!(member(&methods[0], "method"), Datum::from("Wheel>>spin"));
    assert_eq!(member(&methods[0], "calls"), Datum::from(2));
    let own: i64 = methods.iter().map(|row| whole(&member(row, "self"))).sum();
    assert_eq!(Datum::from(own), member(&rows(&shown, "profile")[0], "weight"));
    for kind in ["line", "site", "allocation", "loop", "pair"] {
        assert!(!rows(&shown, kind).is_empty(), "{kind}");
    }

    let folded = folder.read("f.txt");
    let weights =
        folded.lines().map(|line| line.rsplit_once(' ').expect("a weight").1.parse::<i64>().expect("a number"));
    assert_eq!(weights.sum::<i64>(), own);
    assert!(folded.contains("program;main;Wheel>>twice;Wheel>>spin "), "{folded}");

    let flame = folder.read("f.svg");
    assert!(flame.starts_with("<?xml") && flame.contains("Wheel&gt;&gt;spin"), "{flame}");

    let firefox = json::parse(&folder.read("f.json")).expect("JSON");
    assert_eq!(member(&member(&firefox, "meta"), "preprocessedProfileVersion"), Datum::from(55));
    let Datum::Array(threads) = member(&firefox, "threads") else { panic!("threads are a list") };
    let thread = &threads[0];
    for table in ["frameTable", "funcTable", "stackTable", "samples", "markers", "nativeSymbols", "resourceTable"] {
        let Datum::Dictionary(columns) = member(thread, table) else { panic!("{table} is a table") };
        let rows = whole(&member(&member(thread, table), "length"));
        for (name, column) in columns {
            if let Datum::Array(elements) = column {
                assert_eq!(elements.len() as i64, rows, "{table}: {name:?}");
            }
        }
    }
    let (frames, functions, strings) = (
        whole(&member(&member(thread, "frameTable"), "length")),
        whole(&member(&member(thread, "funcTable"), "length")),
        length(&member(thread, "stringArray")) as i64,
    );
    numbers(&member(&member(thread, "stackTable"), "frame")).iter().for_each(|frame| assert!(*frame < frames));
    numbers(&member(&member(thread, "frameTable"), "func")).iter().for_each(|function| assert!(*function < functions));
    numbers(&member(&member(thread, "funcTable"), "name")).iter().for_each(|name| assert!(*name < strings));
    let prefixes = numbers(&member(&member(thread, "stackTable"), "prefix"));
    for (stack, prefix) in prefixes.iter().enumerate() {
        assert!(*prefix < stack as i64, "a stack stands on one before it");
    }
    let weights = numbers(&member(&member(thread, "samples"), "weight"));
    assert_eq!(weights.iter().sum::<i64>(), own);
}

fn whole(number: &Datum) -> i64 {
    match number {
        Datum::Int(number) => number.to_string().parse().expect("a small number"),
        other => panic!("{other:?} is no whole number"),
    }
}

/// A column of numbers; -1 for null.
fn numbers(column: &Datum) -> Vec<i64> {
    let Datum::Array(elements) = column else { panic!("{column:?} is no column") };
    elements.iter().map(|element| if *element == Datum::Nil { -1 } else { whole(element) }).collect()
}

#[test]
fn a_program_that_faults_has_a_profile_and_exits_with_1() {
    let folder = Folder::with(&[("bad.twin", "1 to: 500 do: [ :i | i ]. nil fly.\n")]);
    let shown = folder.run("profile bad.twin --every 10");
    assert!(shown.contains("==== profile of bad.twin ====") && shown.contains("nil"), "{shown}");
    assert!(shown.ends_with("exit 1\n"), "{shown}");
}

#[test]
fn odd_input_is_no_defect() {
    let folder = Folder::with(&[
        ("empty.twin", ""),
        ("spin.twin", SPIN),
        ("deep.twin", "object A = ( down = ( ^self down ) ) A new down.\n"),
    ]);
    assert!(
        folder.run("profile empty.twin --flame e.svg --folded e.txt --firefox e.json").starts_with("\n==== profile")
    );
    assert!(folder.read("e.svg").contains("nothing was sampled"));
    assert!(json::parse(&folder.read("e.json")).is_ok());
    assert!(folder.run("profile empty.twin --every 1 --json").starts_with("{\"kind\":\"profile\""));
    for (words, end) in [
        ("profile spin.twin --every 0", "exit 2\n"),
        ("profile spin.twin --rate 0", "exit 2\n"),
        ("profile spin.twin --rate 5 --every 5", "exit 2\n"),
        ("profile spin.twin --top none", "exit 2\n"),
        ("profile nowhere.twin", "exit 1\n"),
        ("profile spin.twin --every 10 --flame nowhere/f.svg", "exit 1\n"),
        ("profile deep.twin --every 1000", "exit 1\n"),
        ("profile spin.twin words", "exit 2\n"),
    ] {
        let shown = folder.run(words);
        assert!(shown.ends_with(end), "{words}\n{shown}");
    }
    assert!(folder.run("profile spin.twin --every 18446744073709551615 --top 0").contains("0 samples"));
}
