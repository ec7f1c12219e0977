//! `twintalk test`, as the author of a twin meets it.

use crate::folder::Folder;
use expect_test::{Expect, expect};

const TANK: &str = "twin Tank = (
  | level <- 0. ticks <- 0. |
  event alarm: what.
  fill: n = (
    n < 0 ifTrue: [ self error: 'less than nothing' ].
    level + n > 100 ifTrue: [ ^self emit: #alarm: with: #overflow ].
    level := level + n.
    (Fleet at: 'fleet') ! note: level )
  timer tick every: 1 second = ( ticks := ticks + 1 )
)
twin Fleet = ( | noted | note: n = ( noted := n ) )
";

const TESTS: &str = "import 'tank.twin'.
object TankTest = TestCase (
  | tank |
  setUp = ( Fleet new: 'fleet'. tank := Tank new: 'tank' )
  testFill = ( tank fill: 3. tank fill: 4. self assert: tank level equals: 7 )
  testTimer = ( Clock advance: 10 seconds. self assert: tank ticks equals: 10 )
  testRefused = (
    self should: [ tank fill: -1 ] raise: Error withText: 'nothing'.
    self assert: tank level equals: 0 )
  testOverflow = (
    self given: [ tank fill: 90 ] when: [ tank fill: 20 ] then: [ :records |
      self assert: records messages equals: #('tank fill: 20').
      self assert: records events equals: #('tank alarm: #overflow').
      self assertEmpty: records changed ] )
  testNoted = (
    self given: [ tank fill: 90 ] when: [ tank fill: 2 ] then: [ :records |
      self assert: records messages equals: #('tank fill: 2' 'fleet note: 92').
      self assert: records sends equals: #('fleet note: 92').
      self assert: records changed equals: #('fleet' 'tank') ] )
  testFault = (
    self given: [ ] when: [ [ tank fill: -1 ] on: Error do: [ :e | ] ] then: [ :records |
      self assert: records faults equals: #('tank fill: -1: Error: less than nothing') ].
    self given: [ ] when: [ tank fill: -1 ] then: Error )
)
";

const BROKEN: &str = "object BrokenTest = TestCase (
  testWrong = ( self assert: 3 + 4 equals: 8 )
  testBreak = ( 'about to' displayNl. nil foo )
  testSkip = ( self skip: 'not today' )
  testNothingRaised = ( self should: [ 3 ] raise: ZeroDivide )
  testRight = ( self assert: 3 < 4. self deny: 4 < 3. self assert: 0.1 + 0.2 closeTo: 0.3 )
  notATest = ( self fail )
  test: n = ( self fail )
)
object More = BrokenTest ( testSkip = ( ) )
";

/// Times differ from run to run.
fn check(words: &str, expected: Expect) {
    let folder = Folder::with(&[
        ("tank.twin", TANK),
        ("tests/tank.twin", TANK),
        ("tests/a.twin", TESTS),
        ("broken.twin", BROKEN),
    ]);
    let mut said = String::new();
    for line in folder.run(words).lines() {
        match line.split_once(", in ") {
            Some((counts, _)) if line.ends_with(" s") => said.push_str(counts),
            Some(_) | None => said.push_str(line),
        }
        said.push('\n');
    }
    expected.assert_eq(&said);
}

#[test]
fn what_passes_is_counted() {
    check(
        "test tests",
        expect![[r#"
        6 tests: 6 passed
    "#]],
    );
    check(
        "test tests/a.twin --filter Noted",
        expect![[r#"
        1 test: 1 passed
    "#]],
    );
    check(
        "test tests --list",
        expect![[r#"
        TankTest>>testFill
        TankTest>>testTimer
        TankTest>>testRefused
        TankTest>>testOverflow
        TankTest>>testNoted
        TankTest>>testFault
    "#]],
    );
}

#[test]
fn what_does_not_pass_is_told_with_its_place_and_values() {
    check(
        "test broken.twin --filter Broken",
        expect![[r#"
            failed BrokenTest>>testWrong (broken.twin:2:22)
              expected 8, got 7
            broke BrokenTest>>testBreak (broken.twin:3:43)
              MessageNotUnderstood: nil does not understand #foo
                Object>>doesNotUnderstand: a Message (kernel/Object.twin:269:66)
                BrokenTest>>testBreak (broken.twin:3:43)
              | about to
            skipped BrokenTest>>testSkip: not today
            failed BrokenTest>>testNothingRaised (broken.twin:5:30)
              expected ZeroDivide, but nothing was signalled
            5 tests: 1 passed, 2 failed, 1 broke, 1 skipped
            exit 1
        "#]],
    );
}

#[test]
fn a_report_for_the_test_anything_protocol() {
    check(
        "test broken.twin --tap --filter Broken",
        expect![[r#"
        TAP version 14
        1..5
        not ok 1 - BrokenTest>>testWrong
          ---
          message: "expected 8, got 7"
          severity: "fail"
          kind: "AssertionFailure"
          at: "broken.twin:2:22"
          ...
        not ok 2 - BrokenTest>>testBreak
          ---
          message: "nil does not understand #foo"
          severity: "error"
          kind: "MessageNotUnderstood"
          at: "broken.twin:3:43"
          output: "about to\n"
          ...
        ok 3 - BrokenTest>>testSkip # SKIP not today
        not ok 4 - BrokenTest>>testNothingRaised
          ---
          message: "expected ZeroDivide, but nothing was signalled"
          severity: "fail"
          kind: "AssertionFailure"
          at: "broken.twin:5:30"
          ...
        ok 5 - BrokenTest>>testRight
        exit 1
    "#]],
    );
}

#[test]
fn a_report_for_readers_of_junit() {
    let folder = Folder::with(&[("broken.twin", BROKEN)]);
    folder.run("test broken.twin --junit report.xml");
    let mut report = String::new();
    for line in folder.read("report.xml").lines() {
        let (before, after) = line.split_once(" time=\"").unwrap_or((line, ""));
        let after = after.split_once('"').map_or("", |(_, after)| after);
        report.push_str(&format!("{before}{after}\n"));
    }
    expect![[r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites>
          <testsuite name="BrokenTest" tests="5" failures="2" errors="1" skipped="1">
            <testcase classname="BrokenTest" name="testWrong">
              <failure message="expected 8, got 7" type="AssertionFailure">broken.twin:2:22&#10;TestCase&gt;&gt;assert: 7 equals: 8 of a BrokenTest (kernel/TestCase.twin:58:25)&#10;BrokenTest&gt;&gt;testWrong (broken.twin:2:22)&#10;</failure>
            </testcase>
            <testcase classname="BrokenTest" name="testBreak">
              <error message="nil does not understand #foo" type="MessageNotUnderstood">broken.twin:3:43&#10;Object&gt;&gt;doesNotUnderstand: a Message (kernel/Object.twin:269:66)&#10;BrokenTest&gt;&gt;testBreak (broken.twin:3:43)&#10;</error>
              <system-out>about to&#10;</system-out>
            </testcase>
            <testcase classname="BrokenTest" name="testSkip">
              <skipped message="not today"/>
            </testcase>
            <testcase classname="BrokenTest" name="testNothingRaised">
              <failure message="expected ZeroDivide, but nothing was signalled" type="AssertionFailure">broken.twin:5:30&#10;TestCase&gt;&gt;should: a Block raise: ZeroDivide of a BrokenTest (kernel/TestCase.twin:99:23)&#10;BrokenTest&gt;&gt;testNothingRaised (broken.twin:5:30)&#10;</failure>
            </testcase>
            <testcase classname="BrokenTest" name="testRight"/>
          </testsuite>
          <testsuite name="More" tests="5" failures="2" errors="1" skipped="0">
            <testcase classname="More" name="testWrong">
              <failure message="expected 8, got 7" type="AssertionFailure">broken.twin:2:22&#10;TestCase&gt;&gt;assert: 7 equals: 8 of a More (kernel/TestCase.twin:58:25)&#10;BrokenTest&gt;&gt;testWrong of a More (broken.twin:2:22)&#10;</failure>
            </testcase>
            <testcase classname="More" name="testBreak">
              <error message="nil does not understand #foo" type="MessageNotUnderstood">broken.twin:3:43&#10;Object&gt;&gt;doesNotUnderstand: a Message (kernel/Object.twin:269:66)&#10;BrokenTest&gt;&gt;testBreak of a More (broken.twin:3:43)&#10;</error>
              <system-out>about to&#10;</system-out>
            </testcase>
            <testcase classname="More" name="testSkip"/>
            <testcase classname="More" name="testNothingRaised">
              <failure message="expected ZeroDivide, but nothing was signalled" type="AssertionFailure">broken.twin:5:30&#10;TestCase&gt;&gt;should: a Block raise: ZeroDivide of a More (kernel/TestCase.twin:99:23)&#10;BrokenTest&gt;&gt;testNothingRaised of a More (broken.twin:5:30)&#10;</failure>
            </testcase>
            <testcase classname="More" name="testRight"/>
          </testsuite>
        </testsuites>
    "#]].assert_eq(&report);
}

#[test]
fn where_there_is_no_test() {
    check(
        "test tank.twin",
        expect![[r#"
        ! twintalk: tank.twin: there is no test; one is a message of a child of TestCase whose name begins with `test`
        exit 1
    "#]],
    );
    check(
        "test nowhere.twin",
        expect![[r#"
        ! twintalk: nowhere.twin: no such file or directory
        exit 1
    "#]],
    );
    check(
        "test tests --filter Nowhere",
        expect![[r#"
        ! twintalk: there are no tests there
        exit 1
    "#]],
    );
}

#[test]
fn a_test_without_an_end_stops() {
    let folder =
        Folder::with(&[("endless.twin", "object EndlessTest = TestCase ( testLoop = ( [ true ] whileTrue: [ ] ) )")]);
    let said = folder.run("test endless.twin --fuel 100000");
    assert!(said.starts_with("broke EndlessTest>>testLoop"), "{said}");
    assert!(said.contains("OutOfFuel"), "{said}");
}

#[test]
fn the_kernel_passes_its_own_tests() {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../kernel/tests");
    let said = Folder::with(&[]).run(&format!("test '{tests}'"));
    let (counts, _) = said.trim_end().rsplit_once(", in ").unwrap_or((&said, ""));
    let (total, passed) = counts.split_once(" tests: ").expect(&said);
    assert_eq!(passed, format!("{total} passed"), "{said}");
}
