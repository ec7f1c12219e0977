//! The verbs that need no store, as a user meets them: check, compile, disasm, fmt, completions, version.

use std::process::Stdio;

use crate::folder::Folder;
use expect_test::{Expect, expect};

const TANK: &str = "twin Tank = (\n  | level <- 0. |\n\n  fill: amount = ( level := level + amount )\n)\n";
const VERBS: [&str; 23] = [
    "check",
    "compile",
    "run",
    "test",
    "profile",
    "repl",
    "feed",
    "send",
    "twins",
    "state",
    "history",
    "query",
    "deadletters",
    "verify",
    "check-store",
    "backup",
    "restore",
    "export",
    "import",
    "disasm",
    "fmt",
    "completions",
    "version",
];

fn check(files: &[(&str, &str)], words: &str, expected: Expect) {
    expected.assert_eq(&Folder::with(files).run(words));
}

#[test]
fn help_fits_a_screen() {
    let folder = Folder::with(&[]);
    let screens = VERBS.iter().map(|verb| format!("{verb} --help")).chain(["--help".to_owned(), "-h".to_owned()]);
    for words in screens {
        let help = folder.run(&words);
        // The list of verbs is longer than the screens of old; a feed takes the line of the prompt, too.
        let lines_max = match () {
            () if words.starts_with('-') => 40,
            () if words.starts_with("feed") => 25,
            () => 24,
        };
        assert!(help.lines().count() <= lines_max, "{words}: {} lines\n{help}", help.lines().count());
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{words}\n{help}");
    }
}

#[test]
fn help_names_every_verb() {
    let help = Folder::with(&[]).run("--help");
    for verb in VERBS {
        assert!(help.lines().any(|line| line.trim_start().starts_with(verb)), "{verb}\n{help}");
    }
}

#[test]
fn a_command_that_makes_no_sense_exits_with_2() {
    let folder = Folder::with(&[]);
    for words in ["", "nonsense", "check", "check --nonsense", "completions tcsh", "compile"] {
        assert!(folder.run(words).ends_with("exit 2\n"), "{words}");
    }
}

#[test]
fn a_sound_program_gets_no_word() {
    check(&[("tank.twin", TANK)], "check tank.twin", expect![""]);
}

#[test]
fn check_shows_the_place_and_the_cure() {
    check(
        &[("tank.twin", "object Tank = (\n  | level <- 0. |\n  fill: amount = ( ^levl + amount )\n)\n")],
        "check tank.twin",
        expect![[r#"
            ! error[unknown-name]: nothing here is called `levl`
            !  --> tank.twin:3:21
            !   |
            ! 3 |   fill: amount = ( ^levl + amount )
            !   |                     ^^^^
            !   |
            !   = help: did you mean `level`?
            !
            ! 1 error
            exit 1
        "#]],
    );
}

#[test]
fn check_prints_rows_for_tools() {
    check(
        &[("tank.twin", "object Tank = (\n  fill: amount = ( ^levl + amount )\n)\n")],
        "check --json tank.twin",
        expect![[r#"
            {"file":"tank.twin","line":2,"column":21,"end_line":2,"end_column":25,"severity":"error","code":"unknown-name","message":"nothing here is called `levl`","labels":[],"help":null}
            ! 1 error
            exit 1
        "#]],
    );
}

#[test]
fn warnings_are_no_reason_to_fail() {
    check(
        &[("a.twin", "Ghost new printNl.\n")],
        "check a.twin",
        expect![[r#"
        ! warning[unknown-global]: there is no `Ghost`: if this runs, `unknownGlobal:` is sent
        !  --> a.twin:1:1
        !   |
        ! 1 | Ghost new printNl.
        !   | ^^^^^
        !
        ! 1 warning
    "#]],
    );
}

#[test]
fn check_reads_standard_input() {
    expect![[r#"
        ! error[syntax]: expected an operand after `+`, found `.`
        !  --> standard input:1:5
        !   |
        ! 1 | 3 + .
        !   |     ^
        !
        ! 1 error
        exit 1
    "#]]
    .assert_eq(&Folder::with(&[]).run_with("check -", "3 + .\n"));
}

#[test]
fn a_folder_is_checked_file_by_file_and_a_shared_mistake_told_once() {
    check(
        &[
            ("plant/a.twin", "import 'lib/shared.twin'.\nShared new printNl.\n"),
            ("plant/b.twin", "import 'lib/shared.twin'.\n"),
            ("plant/lib/shared.twin", "object Shared = (\n  x = ( ^nothere )\n)\n"),
            ("plant/.hidden/c.twin", "((("),
            ("plant/notes.txt", "((("),
        ],
        "check plant",
        expect![[r#"
            ! error[unknown-name]: nothing here is called `nothere`
            !  --> plant/lib/shared.twin:2:10
            !   |
            ! 2 |   x = ( ^nothere )
            !   |          ^^^^^^^
            !
            ! 1 error
            exit 1
        "#]],
    );
}

#[test]
fn capitalised_names_are_sought_beside_the_file_and_in_folders_given() {
    let files = [
        ("lib/Pump.twin", "object Pump = (\n  rpm = ( ^3 )\n)\n"),
        ("lib/Valve.som", "Valve = (\n  open = ( ^true )\n)\n"),
        ("app/main.twin", "Pump new rpm printNl.\nValve new open printNl.\n"),
        ("lib/main.twin", "Pump new rpm printNl.\nValve new open printNl.\n"),
    ];
    check(&files, "check lib/main.twin", expect![""]);
    check(&files, "check app/main.twin lib", expect![""]);
    check(
        &files,
        "check app/main.twin",
        expect![[r#"
            ! warning[unknown-global]: there is no `Pump`: if this runs, `unknownGlobal:` is sent
            !  --> app/main.twin:1:1
            !   |
            ! 1 | Pump new rpm printNl.
            !   | ^^^^
            !
            ! warning[unknown-global]: there is no `Valve`: if this runs, `unknownGlobal:` is sent
            !  --> app/main.twin:2:1
            !   |
            ! 2 | Valve new open printNl.
            !   | ^^^^^
            !
            ! 2 warnings
        "#]],
    );
}

#[test]
fn what_is_not_there_or_no_text_is_said() {
    let folder = Folder::with(&[]);
    expect![[r#"
        ! twintalk: nowhere.twin: no such file or directory
        ! 1 error
        exit 1
    "#]]
    .assert_eq(&folder.run("check nowhere.twin"));
    std::fs::write(folder.path("bytes.twin"), b"a\n\xff").expect("a file");
    expect![[r#"
        ! twintalk: bytes.twin: line 2 is not UTF-8 text
        ! 1 error
        exit 1
    "#]]
    .assert_eq(&folder.run("check bytes.twin"));
    expect![[r#"
        ! twintalk: bytes.twin: line 2 is not UTF-8 text
        exit 1
    "#]]
    .assert_eq(&folder.run("disasm bytes.twin"));
    std::fs::create_dir(folder.path("empty")).expect("a folder");
    expect![[r#"
        ! twintalk: there are no .twin or .som files there
        exit 1
    "#]]
    .assert_eq(&folder.run("check empty"));
}

#[test]
fn an_image_says_the_same_as_its_source() {
    let folder = Folder::with(&[("tank.twin", TANK)]);
    assert_eq!(folder.run("compile tank.twin"), "");
    assert_eq!(folder.run("compile tank.twin -o other.twb --strip"), "");
    let listing = folder.run("disasm tank.twin fill:");
    expect![[r#"
        Tank>>fill: (method)
          body: arguments 1, registers 3
            0000  load_slot     r2, slot0          ; level
            0001  add           r2, r2, r1, site0  ; +
            0003  store_slot    r2, slot0          ; level
            0004  answer_self
            site0 = +, arguments 1
            slot0 = level
    "#]]
    .assert_eq(&listing);
    assert_eq!(folder.run("disasm tank.twb Tank>>fill:"), listing);
    assert_eq!(folder.run("disasm tank.twb"), folder.run("disasm other.twb"));
    let json = folder.run("disasm tank.twb fill: --json");
    assert!(
        json.starts_with(r#"{"owner":"Tank","selector":"fill:","role":"method","private":false,"query":false,"#),
        "{json}"
    );
    assert_eq!(json.lines().count(), 1);
}

#[test]
fn an_image_is_no_source_and_is_never_trusted() {
    let folder = Folder::with(&[("tank.twin", TANK), ("text.twb", TANK)]);
    folder.run("compile tank.twin");
    expect![[r#"
        ! twintalk: the image would replace the program: name another file with -o
        exit 2
    "#]]
    .assert_eq(&folder.run("compile tank.twb"));
    expect![[r#"
        ! twintalk: text.twb: not a TwinTalk image
        exit 1
    "#]]
    .assert_eq(&folder.run("disasm text.twb"));
    let mut bytes = std::fs::read(folder.path("tank.twb")).expect("the image");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(folder.path("tank.twb"), bytes).expect("a damaged image");
    let refused = folder.run("disasm tank.twb");
    assert!(refused.starts_with("! twintalk: tank.twb: the image is damaged in its"), "{refused}");
    assert!(refused.ends_with("exit 1\n"));
}

#[test]
fn a_program_with_errors_leaves_no_image() {
    let folder = Folder::with(&[("a.twin", "object A = ( x = ( ^y ) )\n")]);
    assert!(folder.run("compile a.twin").ends_with("exit 1\n"));
    assert!(!folder.path("a.twb").exists());
}

#[test]
fn disasm_says_when_there_is_no_such_method() {
    check(
        &[("tank.twin", TANK)],
        "disasm tank.twin drain:",
        expect![[r#"
        ! twintalk: tank.twin: no method `drain:` is defined there
        exit 1
    "#]],
    );
}

#[test]
fn fmt_writes_files_anew_and_check_writes_nothing() {
    let folder = Folder::with(&[("a.twin", "object   A=(x=(^3))\n"), ("b.twin", TANK)]);
    folder.run("fmt b.twin");
    expect![[r#"
        a.twin
        exit 1
    "#]]
    .assert_eq(&folder.run("fmt --check ."));
    assert_eq!(folder.read("a.twin"), "object   A=(x=(^3))\n");
    assert_eq!(folder.run("fmt ."), "");
    expect![[r#"
        object A = (
          x = ( ^3 )
        )
    "#]]
    .assert_eq(&folder.read("a.twin"));
    assert_eq!(folder.run("fmt --check ."), "");
    assert_eq!(folder.run_with("fmt -", "object   A=(x=(^3))\n"), folder.read("a.twin"));
}

#[test]
fn fmt_leaves_a_file_with_errors_as_it_is() {
    let folder = Folder::with(&[("a.twin", "object A = (((\n"), ("b.twin", "object   B=(x=(^3))\n")]);
    let said = folder.run("fmt a.twin b.twin");
    assert!(said.contains("error[") && said.ends_with("exit 1\n"), "{said}");
    assert_eq!(folder.read("a.twin"), "object A = (((\n");
    assert_ne!(folder.read("b.twin"), "object   B=(x=(^3))\n");
}

#[test]
fn completions_are_there_for_the_usual_shells() {
    let folder = Folder::with(&[]);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = folder.run(&format!("completions {shell}"));
        assert!(script.contains("twintalk") && script.contains("disasm"), "{shell}");
    }
}

#[test]
fn version_names_the_formats() {
    let folder = Folder::with(&[]);
    let version = folder.run("version");
    assert!(version.starts_with(&format!("twintalk {} (image format ", env!("CARGO_PKG_VERSION"))), "{version}");
    assert!(folder.run("version --json").starts_with(r#"{"version":""#));
    assert!(folder.run("--version").starts_with("twintalk "));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = Folder::with(&[]);
    let mut child = folder
        .command("completions zsh")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("twintalk starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("twintalk ends");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn there_is_no_colour_without_a_terminal() {
    let folder = Folder::with(&[("a.twin", "object A = ( x = ( ^y ) )\n")]);
    assert!(!folder.run("check a.twin").contains('\u{1b}'));
}
