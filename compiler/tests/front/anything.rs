//! Whatever the text, the parser answers, and what it answers is in order.

use bumpalo::Bump;
use proptest::prelude::*;
use twintalk_compiler::format::format;
use twintalk_compiler::parser::parse;

use crate::layout::formatted;
use crate::print;

/// Parses `text` and checks what holds of every answer.
fn check(text: &str) {
    let arena = Bump::new();
    let parsed = parse(&arena, 0, text);
    for diagnostic in &parsed.diagnostics {
        let span = diagnostic.span;
        assert!(span.start <= span.end && span.end as usize <= text.len(), "{diagnostic:?}");
        assert!(text.is_char_boundary(span.start as usize) && text.is_char_boundary(span.end as usize));
        assert!(!diagnostic.message.is_empty() && !diagnostic.message.ends_with('.'), "{diagnostic:?}");
    }
    assert!(parsed.diagnostics.is_sorted_by_key(|diagnostic| diagnostic.span.start));
    let listing = print::file(&parsed.file);
    assert!(!listing.contains("ERROR") || !parsed.diagnostics.is_empty(), "an error in the tree has a diagnostic");
}

/// Also lays `text` out, if it says anything.
fn check_layout(text: &str) {
    check(text);
    if format(text).is_ok() {
        formatted(text);
    }
}

/// Pieces of which texts are made that are nearly right.
const PIECES: &[&str] = &[
    "a",
    "b",
    "A",
    "B",
    "self",
    "twin",
    "object",
    "trait",
    "extend",
    "import",
    "private",
    "query",
    "event",
    "timer",
    "invariant",
    "version",
    "migrate",
    "supervise",
    "primitive",
    "every:",
    "after:",
    "a:",
    "b:",
    "nil",
    "true",
    ":a",
    ":",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "#(",
    "#[",
    "|",
    "||",
    "|",
    "=",
    "= (",
    "(",
    ")",
    "<",
    ">",
    "<-",
    "<->",
    "----",
    "-----",
    "+",
    "-",
    "-1",
    "1",
    "2.5",
    "3s2",
    "16rFF",
    "1e3",
    "$a",
    "$",
    "'x'",
    "'",
    "\"c\"",
    "\"",
    "#a",
    "#a:b:",
    "#+",
    "#'x'",
    "#",
    ".",
    ".",
    ".",
    ";",
    "^",
    ":=",
    "!",
    "\n",
    "\n",
    "\n\n",
    "A = (",
    "twin A = (",
    "| a <- 1. |",
    "foo = (",
    "é",
    "§",
    ",",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_pieces_are_answered(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60), spaced in any::<bool>()) {
        check_layout(&pieces.join(if spaced { " " } else { "" }));
    }

    #[test]
    fn random_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_program_with_a_piece_cut_out_or_put_in_is_answered(
        from in any::<prop::sample::Index>(), length in 0usize..20, piece in prop::sample::select(PIECES), som in any::<bool>(),
    ) {
        let text = if som { include_str!("fixtures/Plain.som") } else { include_str!("fixtures/tank.twin") };
        let (before, after) = text.split_at(from.index(text.len()));
        check_layout(&format!("{before}{piece}{}", &after[length.min(after.len())..]));
    }
}

/// A definition of many methods.
fn many_methods(count: usize) -> String {
    let mut text = "twin Big = (\n  | a <- 0. b <Integer min: 0> <- 1. |\n".to_owned();
    for number in 0..count {
        text += &format!(
            "  method{number}: x with: y = (\n    | t |\n    t := x + y * {number}. \"a comment\"\n    \
             t > 100 ifTrue: [ ^self foo: t bar: [ :each | each name: 'text' at: #(1 2 three) ] ].\n    \
             list do: [ :each | each foo; bar: t; baz ].\n    ^t\n  )\n\n"
        );
    }
    text + ")\n"
}

// Of these the runner is the judge: what is not in proportion to a text of a megabyte takes hours, and .config/nextest.toml ends
// a test after ten minutes. A clock in here would judge how busy the machine is.

#[test]
fn a_large_text_takes_time_in_proportion() {
    let size = 1 << 20;
    check(&many_methods(size / 250));
    // Many brackets on one line, and one too many.
    check(&("(".to_owned() + &"() ".repeat(size / 3)));
    for piece in [
        "(",
        "[",
        "#(",
        ")",
        "|",
        "'",
        "\"",
        "$",
        "-",
        "!",
        ".",
        "a ",
        "a:",
        "#a:",
        "A = ",
        "A = (\n",
        "foo = (",
        "x := := 3.\n",
        "1r1 ",
        "#[1r1] ",
        "\u{a7} ",
        "{a. ",
        "a; ",
        "| a = (",
        "<",
    ] {
        check(&piece.repeat(size / piece.len()));
        check(&format!("A = ( foo = ( ) {} )", piece.repeat(size / piece.len())));
        check(&format!("A = ( | a <- {} | )", piece.repeat(size / piece.len())));
    }
}

#[test]
fn mistakes_all_over_a_large_definition_take_time_in_proportion() {
    let text = many_methods(1000).replace("^t\n", "^t ) := [\n");
    check(&text);
}
