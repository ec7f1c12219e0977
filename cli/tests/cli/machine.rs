//! What a program is given of the machine: standard input and error, files, arguments, an exit code.

use crate::folder::Folder;

fn check(program: &str, input: &str, expected: &str) {
    let folder = Folder::with(&[("main.twin", program), ("data/a.txt", "one\r\ntwo\n"), ("data/b.txt", "")]);
    assert_eq!(folder.run_with("run main.twin", input), expected);
}

#[test]
fn standard_input_is_read_line_by_line_and_to_its_end() {
    check(
        "StandardInput nextLine printNl. StandardInput nextLine printNl. StandardInput upToEnd printNl. StandardInput nextLine printNl.",
        "one\r\n\ntwo\nthree",
        "'one'\n''\n'two\nthree'\nnil\n",
    );
    check("StandardInput linesDo: [ :line | line asUppercase displayNl ].", "a\nb", "A\nB\n");
    check("(StandardInput nextLine isNil) printNl. StandardInput upToEnd printNl.", "", "true\n''\n");
}

#[test]
fn a_question_stands_there_before_its_answer_is_read() {
    check("Transcript show: 'name? '. StandardOutput showLine: StandardInput nextLine.", "Ada\n", "name? Ada\n");
}

#[test]
fn what_is_no_result_goes_to_standard_error() {
    check("StandardError showLine: 'careful'; print: 3; cr. 'result' displayNl.", "", "result\n! careful\n! 3\n");
}

#[test]
fn files_are_read_written_and_gone_on_with() {
    check(
        "| file | file := File at: 'out.txt'.
         file exists printNl. file contents: 'first'; appendLine: ' line'; append: 'end'.
         file contents printNl. file lines size printNl. file exists printNl. file isFolder printNl.
         file contents: ''. file contents printNl. file delete. file exists printNl.",
        "",
        "false\n'first line\nend'\n2\ntrue\nfalse\n''\nfalse\n",
    );
    check("(File at: 'data/a.txt') linesDo: [ :line | line printNl ].", "", "'one'\n'two'\n");
}

#[test]
fn a_folder_says_what_is_in_it() {
    check(
        "| folder | folder := File at: 'data'. folder isFolder printNl.
         folder files do: [ :file | file printNl. file name displayNl ].
         (folder / 'a.txt') = (File at: 'data/a.txt') ifTrue: [ 'equal' displayNl ].",
        "",
        "true\n(File at: 'data/a.txt')\na.txt\n(File at: 'data/b.txt')\nb.txt\nequal\n",
    );
}

// faults: FileError
#[test]
fn what_cannot_be_done_says_what_and_why() {
    check(
        "| try | try := [ :block | [ block value ] on: FileError do: [ :e | e messageText displayNl ] ].
         try value: [ (File at: 'none.txt') contents ].
         try value: [ (File at: 'data') contents: 'x' ].
         try value: [ (File at: 'data') delete ].
         try value: [ (File at: 'data/a.txt') files ].",
        "",
        "none.txt: no such file or directory\ndata: is a directory\ndata: directory not empty\n\
         data/a.txt: not a directory\n",
    );
    let folder = Folder::with(&[("main.twin", "(File at: 'x.bin') contents.")]);
    std::fs::write(folder.path("x.bin"), b"ab\xff").expect("a file for the test");
    let shown = folder.run("run main.twin");
    assert!(shown.contains("FileError: x.bin: no text in UTF-8: byte 3 is wrong"), "{shown}");
    assert!(shown.ends_with("exit 1\n"), "{shown}");
}

#[test]
fn a_program_says_how_its_process_exits_and_an_error_wins() {
    check("Program exitCode: 3. 'on' displayNl.", "", "on\nexit 3\n");
    check("Program exitCode: 3. Program exitCode: 0.", "", "");
    check(
        "[ Program exitCode: 256 ] on: ArgumentError do: [ :e | e messageText displayNl ].",
        "",
        "an exit code is an integer from 0 to 255\n",
    );
    let folder = Folder::with(&[("main.twin", "Program exitCode: 7. Error signal: 'bang'.")]);
    assert!(folder.run("run main.twin").ends_with("exit 1\n"));
}

#[test]
fn a_turn_that_asks_for_the_machine_is_told_why_not_and_the_cure() {
    let program = "twin T = (
           read = ( ^(File at: 'data/a.txt') contents )
           write = ( (File at: 'new.txt') contents: 'x' )
           line = ( ^StandardInput nextLine )
           warn = ( StandardError showLine: 'x' )
           leave = ( Program exitCode: 4 )
         )
         | t | t := T new: 't'.
         #(read write line warn leave) do: [ :each |
           [ t perform: each ] on: ProgramOnly do: [ :e | e messageText displayNl ] ].
         (File at: 'new.txt') exists printNl.";
    let why = "not a twin's turn, which must do the same when it is run again: do it in the program, and send the twin what it needs\n";
    let what = ["reads files", "changes files", "reads standard input", "writes to standard error", "has an exit code"];
    let told: String = what.iter().map(|what| format!("only a program {what}, {why}")).collect();
    check(program, "", &format!("{told}false\n"));
}

#[test]
fn a_test_is_given_no_files() {
    let folder = Folder::with(&[(
        "t.twin",
        "object T = TestCase ( testFile = ( self should: [ (File at: 't.twin') contents ] raise: FileError withText: 'given no files' ) )",
    )]);
    assert!(folder.run("test t.twin").starts_with("1 test: 1 passed"));
}

#[test]
fn in_a_dialogue_through_a_pipe_a_statement_reads_the_next_line() {
    let folder = Folder::with(&[]);
    assert_eq!(folder.run_with("repl", "x := StandardInput nextLine.\nhello\nx size\n"), "'hello'\n5\n");
}

#[test]
fn a_profiled_program_reads_its_input_too() {
    let folder = Folder::with(&[("main.twin", "StandardInput nextLine displayNl.")]);
    assert!(folder.run_with("profile main.twin", "hello\n").starts_with("hello\n"));
}
