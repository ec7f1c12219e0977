//! What is said of each mistake, and where.

use expect_test::{Expect, expect};

use crate::print::{diagnostics, tree};

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&diagnostics(text));
}

/// Also what is left of the tree.
fn check_tree(text: &str, expected: Expect) {
    expected.assert_eq(&tree(text));
}

#[test]
fn a_period_is_missing_between_statements() {
    check(
        "a foo\nb := 3.",
        expect![[r#"
        2:3+2 syntax: expected a message or `.` after `b`, found `:=`
          help: is the period at the end of the line before missing?
    "#]],
    );
    check(
        "a foo b := 3.",
        expect![[r#"
        1:9+2 syntax: expected a message or `.` after `b`, found `:=`
          help: is a period missing before `b`?
    "#]],
    );
    check(
        "a foo\n3 print.",
        expect![[r#"
        2:1+1 syntax: expected a message or `.` after `foo`, found `3`
          help: is the period at the end of the line before missing?
    "#]],
    );
    check(
        "A = ( foo = ( self bar\n ^3 ) )",
        expect![[r#"
        2:2+1 syntax: expected a message, `.` or `)` after `bar`, found `^`
          help: is the period at the end of the line before missing?
    "#]],
    );
    check(
        "x := #(1) 'text'.",
        expect![[r#"
        1:11+6 syntax: expected a message or `.` after `)`, found `'text'`
          help: is a period missing before `'text'`?
    "#]],
    );
}

#[test]
fn assignment_is_colon_equals() {
    check(
        "x = 3.",
        expect![[r#"
        1:5+1 syntax: expected a parent or `(` after `=`, found `3`
          help: at top level `NAME =` starts a definition; to assign write `:=`, to compare put it in parentheses
    "#]],
    );
    check(
        "x = y.",
        expect![[r#"
        1:6+1 syntax: expected `(` after `y`, found `.`
          help: at top level `NAME =` starts a definition; to assign write `:=`, to compare put it in parentheses
    "#]],
    );
    check(
        "A = ( foo = ( x <- 3 ) )",
        expect![[r#"
        1:17+2 syntax: expected a message, `.` or `)` after `x`, found `<-`
          help: only slots have `<-`; to assign, write `:=`
    "#]],
    );
    check(
        "3 := 4.",
        expect![[r#"
        1:3+2 syntax: expected a message or `.` after `3`, found `:=`
          help: only a name can be assigned
    "#]],
    );
    check(
        "a foo: 1 := 4.",
        expect![[r#"
        1:10+2 syntax: expected a message or `.` after `1`, found `:=`
          help: only a name can be assigned
    "#]],
    );
    check(
        "A = ( | a := 3. b | )",
        expect![[r#"
        1:11+2 syntax: expected `<-`, `=` or `.` after `a`, found `:=`
          help: a slot's first value is written `a <- value.`, a constant `a = value.`
    "#]],
    );
}

#[test]
fn an_operand_is_missing() {
    check(
        "x := .",
        expect![[r#"
        1:6+1 syntax: expected an expression after `:=`, found `.`
    "#]],
    );
    check(
        "x := 3 + .",
        expect![[r#"
        1:10+1 syntax: expected an operand after `+`, found `.`
    "#]],
    );
    check(
        "x at: put: 3.",
        expect![[r#"
        1:7+4 syntax: expected an argument after `at:`, found `put:`
    "#]],
    );
    check(
        "x foo; .",
        expect![[r#"
        1:8+1 syntax: expected a message after `;`, found `.`
    "#]],
    );
    check(
        "x ! .",
        expect![[r#"
        1:5+1 syntax: expected a message after `!`, found `.`
    "#]],
    );
    check(
        "x := ( ).",
        expect![[r#"
        1:8+1 syntax: expected an expression after `(`, found `)`
    "#]],
    );
    check(
        "^",
        expect![[r#"
        1:2+0 syntax: expected an expression after `^`, found the end of the text
    "#]],
    );
    check(
        "x foo: [ :a | a + ]. y bar: (3 * ).",
        expect![[r#"
        1:19+1 syntax: expected an operand after `+`, found `]`
        1:34+1 syntax: expected an operand after `*`, found `)`
    "#]],
    );
}

#[test]
fn a_method_lacks_a_part() {
    check(
        "A = ( foo ( ^1 ) bar = ( ^2 ) )",
        expect![[r#"
        1:11+1 syntax: expected `=` after `foo`, found `(`
          help: a method is written `selector = ( body )`
    "#]],
    );
    check(
        "A = ( foo: ( ^1 ) bar = ( ^2 ) )",
        expect![[r#"
        1:12+1 syntax: expected the name of a parameter after `foo:`, found `(`
    "#]],
    );
    check(
        "A = ( foo: a bar: = ( ^1 ) )",
        expect![[r#"
        1:19+1 syntax: expected the name of a parameter after `bar:`, found `=`
    "#]],
    );
    check(
        "A = ( foo = 3. bar = ( ^2 ) )",
        expect![[r#"
        1:13+1 syntax: expected `(` or `primitive` after `=`, found `3`
          help: the body stands between `(` and `)`
    "#]],
    );
    check(
        "A = ( foo = [ ^3 ] bar = ( ^2 ) )",
        expect![[r#"
        1:13+1 syntax: expected `(` or `primitive` after `=`, found `[`
          help: the body stands between `(` and `)`
    "#]],
    );
    check(
        "A = ( foo bar = ( ^2 ) )",
        expect![[r#"
        1:11+3 syntax: expected `=` after `foo`, found `bar`
    "#]],
    );
    check(
        "A = ( private event foo. bar = ( ^2 ) )",
        expect![[r#"
        1:15+5 syntax: expected a method after `private`, found `event`
          help: only methods are `private` or `query`
    "#]],
    );
    check(
        "A = ( + = ( ^2 ) )",
        expect![[r#"
        1:9+1 syntax: expected the name of a parameter after `+`, found `=`
    "#]],
    );
    check(
        "A = ( 3 = ( ^2 ) )",
        expect![[r#"
        1:7+1 syntax: expected a member after `(`, found `3`
    "#]],
    );
}

#[test]
fn other_members_lack_a_part() {
    check(
        "twin A = ( event alarm: x\n foo = ( ^1 ) )",
        expect![[r#"
        2:2+3 syntax: expected `.` after `x`, found `foo`
          help: end it with a period: `x.`
    "#]],
    );
    check(
        "twin A = ( version 2 foo = ( ^1 ) )",
        expect![[r#"
        1:22+3 syntax: expected `.` after `2`, found `foo`
          help: end it with a period: `2.`
    "#]],
    );
    check(
        "twin A = ( version two. foo = ( ^1 ) )",
        expect![[r#"
        1:20+3 syntax: expected a number after `version`, found `two`
    "#]],
    );
    check(
        "twin A = ( timer t 10 seconds = ( ^1 ) )",
        expect![[r#"
        1:20+2 syntax: expected `every:` or `after:` after `t`, found `10`
    "#]],
    );
    check(
        "twin A = ( timer t at: 10 = ( ^1 ) )",
        expect![[r#"
        1:20+3 syntax: a timer goes `every:` or `after:` some time, not `at:`
    "#]],
    );
    check(
        "twin A = ( timer every: 10 = ( ^1 ) )",
        expect![[r#"
        1:18+6 syntax: expected a name after `timer`, found `every:`
    "#]],
    );
    check(
        "twin A = ( timer t every: 10 seconds ( ^1 ) )",
        expect![[r#"
        1:38+1 syntax: expected a message or `=` after `seconds`, found `(`
          help: a timer is written `timer name every: duration = ( body )`
    "#]],
    );
    check(
        "twin A = ( invariant = ( ^1 ) invariant ok ( ^1 ) )",
        expect![[r#"
        1:44+1 syntax: expected `=` after `ok`, found `(`
          help: an invariant is written `invariant name = ( body )`
    "#]],
    );
    check(
        "twin A = ( migrate 1 ( ^1 ) migrate x = ( ^2 ) )",
        expect![[r#"
        1:22+1 syntax: expected `=` after `1`, found `(`
          help: a migration is written `migrate number = ( body )`
        1:37+1 syntax: expected a number after `migrate`, found `x`
    "#]],
    );
    check(
        "twin A = ( supervise ( ^1 ) supervise retry: . supervise quarantine event full. )",
        expect![[r#"
            1:22+1 syntax: expected `=` after `supervise`, found `(`
              help: a method is written `selector = ( body )`
            1:46+1 syntax: expected a number or a word after `retry:`, found `.`
            1:69+5 syntax: expected `.` after `quarantine`, found `event`
              help: end it with a period: `quarantine.`
        "#]],
    );
    check(
        "A = ( foo = ( ) ---- bar = ( ) ---- baz = ( ) )",
        expect![[r#"
        1:32+4 syntax: expected a member after `)`, found `----`
          help: a definition has two sides, with `----` between them once
    "#]],
    );
}

#[test]
fn slots_lack_a_part() {
    check(
        "A = ( | a <- 3 b <- 4 | )",
        expect![[r#"
        1:18+2 syntax: expected a message, `.` or `|` after `b`, found `<-`
          help: is a period missing before `b`?
    "#]],
    );
    check(
        "A = ( | a <- 3\n b <- 4 | )",
        expect![[r#"
        2:4+2 syntax: expected a message, `.` or `|` after `b`, found `<-`
          help: is the period at the end of the line before missing?
    "#]],
    );
    check(
        "A = ( | a <- . b | )",
        expect![[r#"
        1:14+1 syntax: expected an expression after `<-`, found `.`
    "#]],
    );
    check(
        "A = ( | a: 3. b | )",
        expect![[r#"
        1:9+2 syntax: expected a slot or `|` after `|`, found `a:`
    "#]],
    );
    check(
        "A = ( | a <Float min: > b | )",
        expect![[r#"
        1:23+1 syntax: expected a literal after `min:`, found `>`
    "#]],
    );
    check(
        "A = ( | a <Float. b | )",
        expect![[r#"
        1:11+1 unbalanced-bracket: this `<` is never closed
          1:17+1 it should have been closed before this
    "#]],
    );
    check(
        "A = ( | a <- 3. foo = ( ^a ) )",
        expect![[r#"
        1:7+1 unbalanced-bracket: this `|` is never closed
          1:30+1 it should have been closed before this
    "#]],
    );
    check(
        "A = ( | 3 | )",
        expect![[r#"
        1:9+1 syntax: expected a slot or `|` after `|`, found `3`
    "#]],
    );
}

#[test]
fn a_definition_lacks_a_part() {
    check(
        "twin Pump ( foo = ( ^1 ) )",
        expect![[r#"
        1:11+1 syntax: expected `=` after `Pump`, found `(`
    "#]],
    );
    check(
        "twin Pump = Twin + ( foo = ( ^1 ) )",
        expect![[r#"
        1:20+1 syntax: expected the name of a trait after `+`, found `(`
    "#]],
    );
    check(
        "twin Pump = Twin Alarmed ( foo = ( ^1 ) )",
        expect![[r#"
        1:18+7 syntax: expected `(` after `Twin`, found `Alarmed`
    "#]],
    );
    check(
        "twin Pump = 3.",
        expect![[r#"
        1:13+1 syntax: expected a parent or `(` after `=`, found `3`
    "#]],
    );
    check(
        "class Pump = Object ( foo = ( ^1 ) )",
        expect![[r#"
        1:21+1 syntax: expected a message or `.` after `Object`, found `(`
          help: a definition starts with `twin`, `object`, `trait`, or its own name
    "#]],
    );
    check(
        "extend Pump = Object ( foo = ( ^1 ) )",
        expect![[r#"
        1:15+6 syntax: expected `(` after `=`, found `Object`
          help: an extension is written `extend NAME = ( methods )`; it has no parent
    "#]],
    );
    check(
        "import 'a.twin'\ntwin A = ( )",
        expect![[r#"
        2:1+4 syntax: expected `.` after `'a.twin'`, found `twin`
          help: an import ends with a period
    "#]],
    );
    check(
        "import 'a.twin'",
        expect![[r#"
        1:16+0 syntax: expected `.` after `'a.twin'`, found the end of the text
          help: an import ends with a period
    "#]],
    );
}

#[test]
fn far_sends_take_one_message() {
    check(
        "Fleet at: 'x' ! warn: 3.",
        expect![[r#"
        1:15+1 syntax: expected a message or `.` after `'x'`, found `!`
          help: put the receiver of `!` in parentheses: `(a at: b) ! message`
    "#]],
    );
    check(
        "a ! level then: [ :l | l ].",
        expect![[r#"
        1:11+5 syntax: expected `.` after `level`, found `then:`
          help: one message stands behind `!`; to send something to its promise write `(a ! message) then: ...`
    "#]],
    );
    check(
        "a ! level + 1.",
        expect![[r#"
        1:11+1 syntax: expected `.` after `level`, found `+`
          help: one message stands behind `!`; to send something to its promise write `(a ! message) then: ...`
    "#]],
    );
}

#[test]
fn other_habits() {
    check(
        "foo(3).",
        expect![[r#"
        1:4+1 syntax: expected a message or `.` after `foo`, found `(`
          help: a message with an argument is written `foo: argument`
    "#]],
    );
    check(
        "x; foo.",
        expect![[r#"
        1:2+1 syntax: expected a message or `.` after `x`, found `;`
          help: a cascade goes on after a message: `a foo; bar`
    "#]],
    );
    check(
        "[ :a a ] value.",
        expect![[r#"
        1:6+1 syntax: expected `|` or `]` after `a`, found `a`
    "#]],
    );
    check(
        "[ : | a ] value.",
        expect![[r#"
        1:5+1 syntax: expected the name of a parameter after `:`, found `|`
    "#]],
    );
    check(
        "| a b. a foo.",
        expect![[r#"
        1:6+1 syntax: expected a name or `|` after `b`, found `.`
    "#]],
    );
    check(
        "x := [ | a b. a foo ].",
        expect![[r#"
        1:13+1 syntax: expected a name or `|` after `b`, found `.`
    "#]],
    );
    check(
        "x := #(1 . 2).",
        expect![[r#"
        1:10+1 syntax: expected a literal or `)` after `1`, found `.`
    "#]],
    );
    check(
        "x := #[1 a].",
        expect![[r#"
        1:10+1 syntax: expected a number or `]` after `1`, found `a`
    "#]],
    );
}

#[test]
fn brackets_without_partner() {
    check(
        "x := (3 + 4.\ny := 5.",
        expect![[r#"
        1:6+1 unbalanced-bracket: this `(` is never closed
          1:12+1 it should have been closed before this
    "#]],
    );
    check(
        "x := 3 + 4).",
        expect![[r#"
        1:11+1 unbalanced-bracket: this `)` closes nothing
    "#]],
    );
    check(
        "A = ( foo = ( [ a ) bar = ( ] ) )",
        expect![[r#"
        1:15+1 unbalanced-bracket: this `[` is never closed
          1:19+1 it should have been closed before this
        1:29+1 unbalanced-bracket: this `]` closes nothing
    "#]],
    );
    check(
        "A = ( foo = ( [ a } ] ) )",
        expect![[r#"
        1:19+1 unbalanced-bracket: this `}` closes nothing
    "#]],
    );
    check(
        "A = (\n  foo = ( a )\n",
        expect![[r#"
        1:5+1 unbalanced-bracket: this `(` is never closed
    "#]],
    );
    check(
        "A = (\n  foo = (\n    a bar\n\n  baz = ( ^1 )\n)\n\nB = ( foo = ( ^2 ) )\n",
        expect![[r#"
        1:5+1 unbalanced-bracket: this `(` is never closed
          2:9+1 or is it this one,
          6:1+1 which closes here, further left than it opens?
    "#]],
    );
    check(
        "A = (\n  foo = (\n    a bar: [ b\n  )\n)\n\nB = ( foo = ( ^2 + ) )\n",
        expect![[r#"
        3:12+1 unbalanced-bracket: this `[` is never closed
          4:3+1 it should have been closed before this
        7:20+1 syntax: expected an operand after `+`, found `)`
    "#]],
    );
}

#[test]
fn quotes_without_partner() {
    check(
        "x := 'abc.",
        expect![[r#"
        1:6+1 unterminated: this string is never closed
          help: close it with `'`; inside a string, a quote is written twice: `''`
    "#]],
    );
    check(
        "x := \"abc.",
        expect![[r#"
        1:6+1 unterminated: this comment is never closed
          help: close it with `"`; inside a string, a quote is written twice: `''`
    "#]],
    );
    check(
        "x := #'abc.",
        expect![[r#"
        1:6+2 unterminated: this quoted symbol is never closed
          help: close it with `'`; inside a string, a quote is written twice: `''`
    "#]],
    );
    check(
        "x := $",
        expect![[r#"
        1:6+1 unterminated: the text ends after `$`
          help: `$` stands before a character, as in `$a`
    "#]],
    );
    check(
        "x := 'abc.\ny := 'def'.\nz := 'ghi'.",
        expect![[r#"
        3:10+1 unterminated: this string is never closed
          1:6+1 or is it this string, which goes over the end of its line?
          help: close it with `'`; inside a string, a quote is written twice: `''`
    "#]],
    );
}

#[test]
fn characters_that_start_no_token() {
    check(
        "x := 3 § 4.",
        expect![[r#"
        1:8+1 unknown-character: `§` starts no token
    "#]],
    );
    check(
        "x := `abc`.",
        expect![[r#"
        1:6+1 unknown-character: ``` starts no token
          help: strings stand between `'` and `'`
        1:10+1 unknown-character: ``` starts no token
          help: strings stand between `'` and `'`
    "#]],
    );
    check(
        "x := “abc”.",
        expect![[r#"
        1:6+1 unknown-character: `“` starts no token
          help: comments stand between `"` and `"`, strings between `'` and `'`
        1:10+1 unknown-character: `”` starts no token
          help: comments stand between `"` and `"`, strings between `'` and `'`
    "#]],
    );
    check(
        "x\u{a0}:= #.",
        expect![[r#"
        1:2+1 unknown-character: U+00A0 starts no token
          help: write an ordinary space
        1:6+1 unknown-character: `#` starts no token
          help: a symbol is `#name`, `#at:put:`, `#+` or `#'any text'`; an array `#(1 2 3)`
    "#]],
    );
    check(
        "\u{1}\u{2}\u{3}",
        expect![[r#"
        1:1+3 unknown-character: these characters start no token
    "#]],
    );
}

#[test]
fn numbers_that_are_none() {
    check(
        "x := 1r0. x := 37rZ. x := 2r12. x := 16rff. x := 16r1.8.",
        expect![[r#"
        1:6+3 malformed-number: a radix is 2 to 36, not 1
        1:16+4 malformed-number: a radix is 2 to 36, not 37
        1:27+4 malformed-number: `2` is no digit in radix 2
        1:38+5 malformed-number: write `F` for the digit `f`
        1:50+6 malformed-number: a number with a radix has no fraction
    "#]],
    );
    check(
        "x := 1.0e999. x := 1e99999. x := 3.555s2. x := 3s99999.",
        expect![[r#"
        1:6+7 malformed-number: this is too large for a float
        1:20+7 malformed-number: the exponent of an integer is at most 10000
        1:34+7 malformed-number: there are 3 digits behind the point, and the scale is 2
        1:48+7 malformed-number: the scale of a number is at most 10000
    "#]],
    );
    check(
        "x := #[256 -1 1.5]. ",
        expect![[r#"
        1:8+3 malformed-number: a byte is a whole number from 0 to 255
        1:12+2 malformed-number: a byte is a whole number from 0 to 255
        1:15+3 malformed-number: a byte is a whole number from 0 to 255
    "#]],
    );
    check(
        "twin A = ( version -1. migrate 1.5 = ( ) )",
        expect![[r#"
            1:20+1 syntax: expected a number after `version`, found `-`
              help: the minus sign of a number stands directly before it
            1:32+3 malformed-number: a version is a whole number from 0 to 2^63 - 1
        "#]],
    );
}

#[test]
fn nesting_has_a_limit() {
    check(
        &("x := ".to_owned() + &"(".repeat(300) + "3" + &")".repeat(300) + ". y := := 4."),
        expect![[r#"
        1:206+1 too-deep: brackets nest deeper than 200
          help: make a method of what is inside
        1:614+2 syntax: expected an expression after `:=`, found `:=`
    "#]],
    );
    check(
        &("x := ".to_owned() + &"#(".repeat(300) + "3" + &")".repeat(300) + "."),
        expect![[r#"
        1:406+2 too-deep: brackets nest deeper than 200
          help: make a method of what is inside
    "#]],
    );
    check(
        &("x := 3".to_owned() + &" + 1".repeat(1000) + ". y := 4 +."),
        expect![[r#"
        1:2004+1 too-deep: more than 500 sends inside each other
          help: keep a part of it in a temporary
        1:4017+1 syntax: expected an operand after `+`, found `.`
    "#]],
    );
    check(
        &("x := ".repeat(1000) + "3."),
        expect![[r#"
        1:2503+2 too-deep: more than 500 sends inside each other
          help: keep a part of it in a temporary
    "#]],
    );
    check(
        &("x".to_owned() + &" foo".repeat(1000) + "."),
        expect![[r#"
        1:2003+3 too-deep: more than 500 sends inside each other
          help: keep a part of it in a temporary
    "#]],
    );
}

#[test]
fn what_is_wide_is_not_deep() {
    check(&"x foo: 3 + 4. ".repeat(1000), expect![[""]]);
    check(&("x foo".to_owned() + &"; bar: 3 + 4".repeat(1000) + "."), expect![[""]]);
    check(&("A = ( |".to_owned() + &" a".repeat(1000) + " | foo = ( |" + &" a".repeat(1000) + "| ) )"), expect![[""]]);
    check(
        &("x := #(".to_owned() + &" at: + a 3".repeat(1000) + "). x := { " + &"a + b. ".repeat(1000) + " }."),
        expect![[""]],
    );
    check(&("|".to_owned() + &" a".repeat(1000) + " |"), expect![[""]]);
}

#[test]
fn every_mistake_is_named_and_the_rest_is_read() {
    check_tree(
        "A = (\n  | a <- . b := 2. c |\n  foo = ( x := . y := [ 3 + ]. ^1 )\n  bar ( ^2 )\n  baz = ( ^3 )\n)\nx := .\ny := 4.",
        expect![[r#"
            (plain A
              (slot a <- ERROR)
              (slot b <- ERROR)
              (slot c)
              (method foo ERROR (:= y [ERROR]) (^ 1))
              (method baz (^ 3)))
            ERROR
            (:= y 4)
            2:10+1 syntax: expected an expression after `<-`, found `.`
            2:14+2 syntax: expected `<-`, `=` or `.` after `b`, found `:=`
              help: a slot's first value is written `b <- value.`, a constant `b = value.`
            3:16+1 syntax: expected an expression after `:=`, found `.`
            3:29+1 syntax: expected an operand after `+`, found `]`
            4:7+1 syntax: expected `=` after `bar`, found `(`
              help: a method is written `selector = ( body )`
            7:6+1 syntax: expected an expression after `:=`, found `.`
        "#]],
    );
}

#[test]
fn there_is_an_end_to_diagnostics() {
    let text = "x := := 3. ".repeat(1000);
    assert_eq!(diagnostics(&text).lines().count(), 100);
    let text = "A = ( foo = ( ".to_owned() + &"x := := 3. ".repeat(1000) + ") )";
    assert_eq!(diagnostics(&text).lines().count(), 20);
}

#[test]
fn what_is_too_deep_ends_with_its_slot_or_timer() {
    let sends = " + 1".repeat(600);
    let text = format!("A = ( | a <- 1{sends} | timer t every: 1{sends} = ( ^x ) foo = ( a := ) )");
    check(
        &text,
        expect![[r#"
        1:2016+1 too-deep: more than 500 sends inside each other
          help: keep a part of it in a temporary
        1:4431+1 too-deep: more than 500 sends inside each other
          help: keep a part of it in a temporary
        1:4857+1 syntax: expected an expression after `:=`, found `)`
    "#]],
    );
    // The assignments stay above a cascade.
    let text = "a := ".repeat(300) + "b foo; bar: (" + &"a := ".repeat(300) + "c).";
    check(
        &text,
        expect![[r#"
        1:2511+2 too-deep: more than 500 sends inside each other
          help: keep a part of it in a temporary
    "#]],
    );
}
