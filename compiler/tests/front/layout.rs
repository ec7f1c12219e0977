//! What the formatter makes of texts.

use std::path::{Path, PathBuf};

use bumpalo::Bump;
use expect_test::{Expect, expect};
use proptest::prelude::*;
use twintalk_compiler::format::format;
use twintalk_compiler::parser::parse;

use crate::{generate, print};

/// Formats `text`, and checks that the result says the same and stays as it is.
pub fn formatted(text: &str) -> String {
    let listing = |text: &str| {
        let arena = Bump::new();
        let parsed = parse(&arena, 0, text);
        assert!(parsed.diagnostics.is_empty(), "{text}\n{:?}", parsed.diagnostics);
        print::file(&parsed.file)
    };
    let once = format(text).unwrap_or_else(|diagnostics| panic!("{text}\n{diagnostics:?}"));
    assert_eq!(listing(&once), listing(text), "the tree of\n{text}\nand of\n{once}");
    let twice = format(&once).expect("what was formatted can be formatted again");
    assert_eq!(twice, once, "formatted twice, from\n{text}");
    assert_eq!(bare(&once), bare(text), "tokens and comments are kept");
    let has_own = text.contains(" \n") || text.contains("$ ") || text.contains("$\t");
    assert!(has_own || !once.lines().any(|line| line.ends_with([' ', '\t'])), "no line ends in a space:\n{once}");
    once
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&formatted(text));
}

/// The text without its white space.
fn bare(text: &str) -> String {
    text.trim_start_matches('\u{feff}').split_whitespace().collect()
}

#[test]
fn the_example_of_the_design() {
    check(
        include_str!("fixtures/tank.twin"),
        expect![[r#"
            "tank.twin: a tank, the pump that fills it, and what happens when it runs full."

            trait Alarmed = (
              | alarms <- List new. |

              event alarm: aSymbol.
              raise: aSymbol = ( alarms add: aSymbol. self emit: #alarm: with: aSymbol )
            )

            twin Pump = (
              | maxRpm = 3600. "= makes a constant, <- a slot"
                rpm <Integer 'rev/min' min: 0 max: 3600> <- 0. |

              start = ( self rpm: 1500 )
              rpm: target = (
                target > maxRpm ifTrue: [ ^self fault: 'over speed' ].
                rpm := target.
                self parent inflow: self flow
              )
              query flow = ( ^rpm * 0.02 )
            )

            twin Tank = Twin + Alarmed (
              | level <Float m3> <- 0.0.
                capacity <- 100.0.
                readings <keep: 30 days> <- Series new. |

              created = ( self part: 'pump-1' of: Pump )

              inflow: rate = (
                level + rate > capacity ifTrue: [ ^self raise: #overflow ].
                level := level + rate.
                readings add: level
              )

              timer check every: 10 seconds = (
                (self parts anySatisfy: [ :p | p rpm > 3000 ])
                  ifTrue: [ (Fleet at: 'fleet-1') ! warn: self ]
              )

              invariant plausible = ( level between: 0 and: capacity )
              version 2.
              migrate 1 = ( level := (self oldSlot: #litres) / 1000 )
            )

            | tank |
            tank := Tank ensure: 'tank-1'.
            (tank part: 'pump-1') start.
            tank level printNl.
        "#]],
    );
}

#[test]
fn a_program_in_the_plain_form() {
    check(
        include_str!("fixtures/Plain.som"),
        expect![[r#"
            "A program in the plain form, as SOM has it."

            Plain = Object (
              | first second total |

              first = ( ^first )
              first: f second: s = ( first := f. second := s )

              "binary methods"
              + other = ( ^Plain with: first + other first with: -1 )
              && block = ( ^block value )
              || block = ( ^block value )
              ==> other = ( ^self )
              - other = ( ^first - 1 )

              run = (
                | t block |
                t := 3.
                block := [ :x :y | | z | z := x + y. z ].
                block := [ :x | x ].
                1 to: 10 do: [ :i | t := t + i ].
                #(1 -2 $a foo #bar at:put: + (1 2) #(3) nil true false 'it''s') do: [ :e | e print ].
                [ t > 3 ] whileTrue: [ t := t - 1 ].
                ^#at:put:
              )

              hash = primitive
              at: index put: value = primitive

              -----------------

              | count |

              new = ( count := count + 1. ^super new )
              with: a with: b = ( ^self new first: a second: b )
            )
        "#]],
    );
}

#[test]
fn all_on_one_line() {
    check(
        "import 'a'. | a b | a:=3. b:=a+-4*(a foo:b bar:$c);baz. twin A=B+C(|a<-1.b=2.c d<Float min:0>|foo=(|t|^t)private query at:i put:v=(a:=v.^[:x|x])event x.version 2.timer t every:10 seconds=()invariant ok=(^true)----|z|new=primitive)extend A=(x=([]value.[:a|]value.[:a||t|t]value:{1.2}.a!foo:1;bar.#(1 (2 3)#[1 2]at:put:)print)) a print",
        expect![[r#"
            import 'a'. | a b | a := 3. b := a + -4 * (a foo: b bar: $c); baz.

            twin A = B + C (
              | a <- 1. b = 2. c d <Float min: 0> |
              foo = ( | t | ^t )
              private query at: i put: v = ( a := v. ^[ :x | x ] )
              event x.
              version 2.
              timer t every: 10 seconds = ( )
              invariant ok = ( ^true )
              ----
              | z |
              new = primitive
            )

            extend A = (
              x = ( [] value. [ :a | ] value. [ :a | | t | t ] value: { 1.2 }. a ! foo: 1; bar. #(1 (2 3) #[1 2] at:put:) print )
            )

            a print
        "#]],
    );
}

#[test]
fn line_ends_of_the_author_are_kept_inside_statements() {
    check(
        "x :=\n a foo\n bar: 3\n baz: [ 4 ].\na\n  show: b;\n    show: c;\n cr.\ncond ifTrue: [\na.\n  b ]\n ifFalse: [ c ].\ncond\n  ifTrue: [\n a ]\n ifFalse: [ :x |\n b\n].",
        expect![[r#"
            x :=
              a foo
              bar: 3
              baz: [ 4 ].
            a
              show: b;
              show: c;
              cr.
            cond ifTrue: [
              a.
              b ]
              ifFalse: [ c ].
            cond
              ifTrue: [
                a ]
              ifFalse: [ :x |
                b
              ].
        "#]],
    );
}

#[test]
fn brackets_are_broken_on_both_sides_or_not_at_all_but_for_the_ends_of_blocks() {
    check(
        "A = (\nfoo = ( a.\nb )\nbar = (\n a )\nbaz = ( a do: [ :x |\n x foo.\n x bar ] )\nqux = ( | t |\n\n t )\n\n\n\nquux = ( a do: [ :x | | t | t ].\n a do: [ | t |\n t ].\n a do: [ :x |\n\n | t | t\n ] ) corge = ( \n ) grault = ( a\n foo )\n)",
        expect![[r#"
            A = (
              foo = (
                a.
                b
              )
              bar = (
                a
              )
              baz = ( a do: [ :x |
                x foo.
                x bar ] )
              qux = (
                | t |

                t
              )

              quux = (
                a do: [ :x | | t | t ].
                a do: [ | t |
                  t ].
                a do: [ :x |
                  | t |
                  t
                ]
              )
              corge = ( )
              grault = (
                a
                  foo
              )
            )
        "#]],
    );
    check(
        "x := {\na. b.\nc }. y := (\na foo\n) bar. z := #(\n1 2\n3 4\n). w := ( a\n + b ).",
        expect![[r#"
        x := {
          a. b.
          c
        }. y := (
          a foo
        ) bar. z := #(
          1 2
          3 4
        ). w := (a
          + b).
    "#]],
    );
}

#[test]
fn slots_keep_their_lines() {
    check(
        "A = ( | a b\n\n\n c <- 1.\n  d\n <Float>\n = 4.\n\n e <- x\n foo: [ y ] | )",
        expect![[r#"
        A = (
          | a b

            c <- 1.
            d <Float> = 4.

            e <- x
              foo: [ y ] |
        )
    "#]],
    );
    check(
        "A = (\n|\n  a b\n c |\n |d e|\n|\n\n f\n\n|\n)",
        expect![[r#"
        A = (
          |
            a b
            c |
          | d e |
          |
            f
          |
        )
    "#]],
    );
}

#[test]
fn comments_stay_where_they_belong() {
    check(
        "\"head\"\n\n\"of A\"\nA = ( \"in A\"\n\n\n | \"a\" a. \"also a\"\n b \"b\" |\n\n\"of foo\"\n\nfoo = ( \"in foo\" ^1 ) \"behind foo\"\nbar = (\n \"in bar\"\n a. \"behind a\"\n\n\n \"before b\"\n b \"behind b\"\n \"last\"\n ) \"end\"\n) \"behind A\"\n\n\"of the statement\"\na foo \"x\" . \"y\"\n\"z\"",
        expect![[r#"
            "head"

            "of A"
            A = ( "in A"

              | "a" a. "also a"
                b "b" |

              "of foo"

              foo = ( "in foo" ^1 ) "behind foo"
              bar = (
                "in bar"
                a. "behind a"

                "before b"
                b "behind b"
                "last"
              ) "end"
            ) "behind A"

            "of the statement"
            a foo "x". "y"
            "z"
        "#]],
    );
    check(
        "a \"b\" foo: (\"c\" d \"e\") \"f\"; \"g\" bar.",
        expect![[r#"
            a "b" foo: ("c" d "e") "f"; "g" bar.
        "#]],
    );
    check(
        "a foo. \"x\" twin A = ( ) \"y\"\nb foo.",
        expect![[r#"
        a foo. "x"

        twin A = ( ) "y"

        b foo.
    "#]],
    );
    check(
        "twin \"x\" A \"y\"\n = \"z\" ( foo \"1\"\n = \"2\" ( \"3\" ) )",
        expect![[r#"
        twin "x" A "y"
          = "z" (
            foo "1"
              = "2" ( "3" )
          )
    "#]],
    );
    check(
        "\"only\"",
        expect![[r#"
        "only"
    "#]],
    );
    check(
        "\n\n\"only\n   this\"\n\n",
        expect![[r#"
        "only
           this"
    "#]],
    );
}

#[test]
fn blank_lines_are_one_at_most_and_around_definitions() {
    check(
        "\n\n\na foo.\n\n\n\nb foo. c foo.\nA = ( )\nB = ( )\n| x |\n\n\n",
        expect![[r#"
        a foo.

        b foo. c foo.

        A = ( )

        B = ( )

        | x |
    "#]],
    );
    check(
        "A = (\n\n\n  foo = ( )\n\n\n\n  bar = ( )\n  ----\n\n  baz = ( )\n\n)",
        expect![[r#"
        A = (
          foo = ( )

          bar = ( )
          ----

          baz = ( )
        )
    "#]],
    );
}

#[test]
fn nothing_becomes_nothing() {
    check("", expect![[""]]);
    assert_eq!(formatted("a foo: $ \n\n"), "a foo: $ \n");
    assert_eq!(formatted("$\n"), "$\n\n");
    check("\n \n", expect![[""]]);
    check("\u{feff}", expect![[""]]);
    check(
        ". .",
        expect![[r#"
        ..
    "#]],
    );
}

#[test]
fn what_has_mistakes_is_left_alone() {
    let diagnostics = format("x := .").expect_err("there is no tree to keep");
    assert_eq!(diagnostics.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_stay_what_they_are(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        formatted(&generate::program(&bytes));
    }
}

/// The programs in folders of the project, with their paths.
fn programs(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut programs = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_program = path.extension().is_some_and(|extension| extension == "twin" || extension == "som");
            if path.is_dir() {
                folders.push(path);
            } else if is_program && let Ok(text) = std::fs::read_to_string(&path) {
                programs.push((path, text));
            }
        }
    }
    programs
}

#[test]
fn every_program_of_the_project_stays_what_it_is() {
    for (_, text) in programs(&["kernel", "spec", "benches", "examples"]) {
        if format(&text).is_ok() {
            formatted(&text);
        }
    }
}

#[test]
fn the_class_library_and_the_examples_are_laid_out() {
    let programs = programs(&["kernel", "examples"]);
    assert!(programs.len() > 90, "kernel/ and examples/ were found");
    // Files of SOM stay as they came.
    let is_own = |(path, _): &&(PathBuf, String)| path.extension().is_some_and(|extension| extension == "twin");
    let differs = |(_, text): &&(PathBuf, String)| format(text).as_ref() != Ok(text);
    let differing: Vec<&PathBuf> = programs.iter().filter(is_own).filter(differs).map(|(path, _)| path).collect();
    assert!(differing.is_empty(), "`twintalk fmt kernel examples` changes {differing:#?}");
}
