//! Copies of stores, and what is damaged in one, as a user meets them.

use std::fs;

use crate::folder::Folder;

const TANK: &str = "
twin Tank = (
  | level <Float m3> <- 0.0. |
  fill: amount = ( level := level + amount. ^level )
)
(Tank ensure: 'tank-1') fill: 30.
";

fn plant() -> Folder {
    let folder = Folder::with(&[("tank.twin", TANK)]);
    assert_eq!(folder.run("run tank.twin --store s"), "");
    assert_eq!(folder.run("send tank-1 'fill: 5' --store s"), "35.0\n");
    folder
}

/// What a verb says, without positions and numbers of bytes.
fn level(folder: &Folder, store: &str) -> String {
    let said = folder.run(&format!("state tank-1 --json --store {store}"));
    let (_, slots) = said.split_once("\"slots\":").unwrap_or_else(|| panic!("{said}"));
    slots.lines().next().expect("a line").to_owned()
}

#[test]
fn a_backup_is_a_store_and_is_restored_as_it_is_or_was() {
    let folder = plant();
    let said = folder.run("backup b --store s");
    assert!(said.starts_with("! twintalk: `b` has the log up to position "), "{said}");
    assert_eq!(folder.run("send tank-1 'fill: 1' --store s"), "36.0\n");
    assert_eq!(level(&folder, "b"), r#"{"level":35.0}}"#);
    let said = folder.run("restore b --to r");
    assert!(said.starts_with("! twintalk: `r` has the log up to position "), "{said}");
    assert_eq!(folder.run("send tank-1 'fill: 2' --store r"), "37.0\n");
    // The record of `fill: 5` is the last one; before it the level was 30.
    let history = folder.run("history tank-1 --json --store b");
    let last = history.lines().rfind(|line| line.contains("fill:")).expect("a record");
    let position = last.split("\"position\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a position");
    let said = folder.run(&format!("restore s --to then --position {position}"));
    assert!(said.contains(&format!("up to position {position}")), "{said}");
    assert_eq!(level(&folder, "then"), r#"{"level":30.0}}"#);
    assert!(folder.run("verify --store then").contains("no difference"));
    let said = folder.run("restore s --to long-ago --at 2001-01-01");
    assert!(said.contains("up to position 1.0"), "{said}");
    assert_eq!(folder.run("twins --store long-ago"), "! twintalk: the log up to position 1.0\n");
}

#[test]
fn a_folder_that_is_in_use_is_left_alone() {
    let folder = plant();
    assert_eq!(
        folder.run("backup s --store s"),
        "! twintalk: `s` is not empty: give an empty or a new folder\nexit 1\n"
    );
    assert_eq!(folder.run("restore nothing --to r"), "! twintalk: there is no store in `nothing`\nexit 1\n");
    assert!(!folder.path("r").exists());
    let said = folder.run("restore s --to r --position x");
    assert!(said.contains("a position is written like 12.3") && said.ends_with("exit 2\n"), "{said}");
}

#[test]
fn an_export_is_imported_as_the_same_store() {
    let folder = plant();
    let lines = folder.run("export --store s");
    let lines: String = lines.lines().filter(|line| !line.starts_with("! ")).map(|line| format!("{line}\n")).collect();
    assert!(lines.contains(r#""selector":"fill:","arguments":[5]"#), "{lines}");
    assert!(lines.contains(r#"{"slot":0,"name":"level","value":35.0}"#), "{lines}");
    folder.write("x.jsonl", &lines);
    let said = folder.run("import x.jsonl --store t");
    assert!(said.starts_with("! twintalk: `t` has ") && said.ends_with(" records\n"), "{said}");
    assert_eq!(folder.run("export --store t").replace("! ", ""), folder.run("export --store s").replace("! ", ""));
    assert!(folder.run("verify --store t").contains("no difference"));
    assert_eq!(folder.run("send tank-1 'fill: 1' --store t"), "36.0\n");
    let states = folder.run("export --states --store t");
    assert!(states.starts_with(r#"{"path":"tank-1","prototype":"Tank","life":1,"#), "{states}");
}

#[test]
fn an_import_says_which_line_is_wrong_and_leaves_nothing() {
    let folder = plant();
    let lines = folder.run("export --store s");
    let lines: Vec<&str> = lines.lines().filter(|line| !line.starts_with("! ")).collect();
    let wrong = |lines: &[String], expected: &str| {
        folder.write("x.jsonl", &lines.join("\n"));
        let said = folder.run("import x.jsonl --store t");
        assert!(said.contains(expected) && said.ends_with("exit 1\n"), "{said}\ninstead of {expected}");
        assert!(!folder.path("t").exists(), "{expected}: something is left");
    };
    let all = || lines.iter().map(|line| (*line).to_owned()).collect::<Vec<String>>();
    wrong(&[], "x.jsonl:1: there is nothing");
    wrong(&["[]".to_owned()], "x.jsonl:1: the first line is a JSON object");
    wrong(&all()[..lines.len() - 1], "the last line is missing: the export was cut short");
    for (line, old, new, expected) in [
        (0, "\"version\":1", "\"version\":2", ":1: the export has version 2"),
        (0, "\"partitions\":1", "\"partitions\":0", ":1: a store has 1 to 65,534 partitions"),
        (2, "{", "{{", ":3: it is no JSON"),
        (2, "\"turn\"", "\"trun\"", ":3: a line has no `turn`"),
        (2, "\"selector\"", "\"extra\":1,\"selector\"", ":3: a line has no member `extra`"),
        (2, "\"position\":\"0/", "\"position\":\"7/", ":3: there is no partition 7"),
        (2, "\"path\":\"tank-1\"", "\"path\":\"\"", ":3: a name is empty"),
    ] {
        let mut all = all();
        assert!(all[line].contains(old), "{}", all[line]);
        all[line] = all[line].replacen(old, new, 1);
        wrong(&all, expected);
    }
    let mut missing = all();
    missing.remove(2);
    wrong(&missing, "has to follow, not");
    let mut longer = all();
    longer.push("{}".to_owned());
    wrong(&longer, "there is something behind the last line");
}

#[test]
fn damage_is_told_with_its_place_and_tables_are_made_again() {
    let folder = plant();
    let said = folder.run("check-store --store s");
    assert!(said.ends_with("no damage\n"), "{said}");
    // What was in the write-ahead log is in files of rows now, each of one table or of the log.
    folder.run("twins --store s");
    for _ in 0..2 {
        folder.run("send tank-1 'fill: 0' --store s");
    }
    let file_of = |family: &[u8]| {
        let files = fs::read_dir(folder.path("s/rocksdb")).expect("files").map(|file| file.expect("a file").path());
        let mut rows = files.filter(|path| path.extension().is_some_and(|extension| extension == "sst"));
        let is_of = |path: &std::path::PathBuf| {
            fs::read(path).expect("a file").windows(family.len()).any(|part| part == family)
        };
        rows.find(is_of)
    };
    let Some(file) = file_of(b"supervision\0").or_else(|| file_of(b"taken")).or_else(|| file_of(b"meta")) else {
        panic!("no table has a file")
    };
    let mut bytes = fs::read(&file).expect("a file");
    bytes[3] ^= 1;
    fs::write(&file, bytes).expect("written");
    let said = folder.run("check-store --store s");
    assert!(said.contains("make the tables again from the log") && said.ends_with("exit 3\n"), "{said}");
    let said = folder.run("check-store --store s --repair");
    assert!(
        said.contains("! twintalk: the tables were made again from the log\n") && !said.ends_with("exit 3\n"),
        "{said}"
    );
    assert_eq!(folder.run("send tank-1 'fill: 1' --store s"), "36.0\n");
    assert!(folder.run("check-store --json --store s").starts_with(r#"{"blocks":"#));
}
