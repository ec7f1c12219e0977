//! What is large compiles as long as an image has room for it, and is an error beyond, never a panic.

use twintalk_bytecode::op::Op;
use twintalk_bytecode::verify::verify;
use twintalk_compiler::diagnostic::Code;

use crate::check::{all_rendered, compile_text};

/// The codes of the diagnostics of `text`; an image, if there is one, verifies.
fn codes(text: &str) -> Vec<Code> {
    let compilation = compile_text(text);
    if let Some(image) = &compilation.image {
        assert_eq!(verify(image), Ok(()));
    }
    compilation.diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

fn numbers(count: usize, separator: &str, text: impl Fn(usize) -> String) -> String {
    (0..count).map(text).collect::<Vec<_>>().join(separator)
}

#[test]
fn two_hundred_and_fifty_five_temporaries_fit_and_more_do_not() {
    let program = |count: usize| {
        let names = numbers(count, " ", |index| format!("t{index}"));
        let uses = numbers(count, ". ", |index| format!("t{index} := t{index}"));
        format!("G = ( a = ( | {names} | {uses} ) )")
    };
    assert_eq!(codes(&program(255)), []);
    assert_eq!(codes(&program(256)), [Code::TooLarge]);
}

#[test]
fn a_message_has_as_many_arguments_as_registers_allow() {
    let send = |count: usize| format!("G = ( a = ( ^self {} ) )", numbers(count, " ", |_| "k: 1".to_owned()));
    assert_eq!(codes(&send(254)), []);
    assert_eq!(codes(&send(255)), [Code::TooLarge]);
    let method = |count: usize| format!("G = ( {} = ( ) )", numbers(count, " ", |index| format!("k: a{index}")));
    assert_eq!(codes(&method(255)), []);
    assert_eq!(codes(&method(256)), [Code::TooLarge]);
}

#[test]
fn a_large_brace_array_is_made_in_steps() {
    for count in [0, 1, 128, 129, 1_000] {
        let text = format!("G = ( a = ( ^{{ {} }} ) )", numbers(count, ". ", |index| format!("self at: {index}")));
        assert_eq!(codes(&text), [], "{count} elements");
    }
}

#[test]
fn brace_arrays_in_brace_arrays_leave_each_other_room() {
    let nested = (0..40).fold("1".to_owned(), |inside, _| format!("{{ 1. 2. 3. 4. 5. 6. 7. {inside} }}"));
    assert_eq!(codes(&format!("G = ( a = ( ^{nested} ) )")), []);
}

#[test]
fn a_branch_too_long_for_a_conditional_jump_takes_a_longer_one() {
    let branch = numbers(12_000, ". ", |index| format!("x at: {index}"));
    let text =
        format!("G = ( a: x = ( x < 3 ifTrue: [ {branch} ] ifFalse: [ ^x ]. [ x foo ] whileTrue: [ {branch} ] ) )");
    assert_eq!(codes(&text), []);
    let image = compile_text(&text).image.expect("an image");
    let twintalk_bytecode::image::Body::Code(codes) = &image.methods[0].body else {
        panic!("a body");
    };
    let longest = twintalk_bytecode::codec::instructions(&codes[0].words).filter_map(|item| match item {
        Ok((_, Op::Jump { target })) => Some(target.0),
        _ => None,
    });
    assert!(longest.max() > Some(i32::from(i16::MAX)));
}

#[test]
fn more_sends_than_sites_have_numbers_are_too_large() {
    let sends = |count: usize| format!("G = ( a: x = ( {} ) )", numbers(count, ". ", |_| "x foo".to_owned()));
    assert_eq!(codes(&sends(65_536)), []);
    assert_eq!(codes(&sends(65_537)), [Code::TooLarge]);
}

#[test]
fn what_the_parser_lets_through_is_not_too_deep_for_the_rest() {
    let chain = format!("G = ( a: x = ( ^x{} ) )", " foo".repeat(490));
    assert_eq!(codes(&chain), []);
    let sums = format!("G = ( a: x = ( ^x{} ) )", " + x".repeat(490));
    assert_eq!(codes(&sums), []);
    let parentheses = format!("G = ( a: x = ( ^{}x{} ) )", "(1 + ".repeat(190), ")".repeat(190));
    assert_eq!(codes(&parentheses), []);
    let blocks = format!("G = ( a: x = ( ^{}x{} ) )", "[ ".repeat(190), " ]".repeat(190));
    assert_eq!(codes(&blocks), []);
}

#[test]
fn deeply_nested_conditionals_grow_with_the_depth_and_not_with_its_power() {
    let nested = |depth: usize| {
        let inside = "x foo ifTrue: [ ".repeat(depth);
        format!("G = ( a: x = ( {inside}x bar{} ) )", " ]".repeat(depth))
    };
    let words = |text: &str| -> usize {
        let compilation = compile_text(text);
        let image = compilation.image.as_ref().unwrap_or_else(|| panic!("{}", all_rendered(&compilation)));
        assert_eq!(verify(image), Ok(()));
        match &image.methods[0].body {
            twintalk_bytecode::image::Body::Code(codes) => codes.iter().map(|code| code.words.len()).sum(),
            twintalk_bytecode::image::Body::Primitive => 0,
        }
    };
    assert!(words(&nested(60)) < 5 * words(&nested(30)));
    assert_eq!(codes(&nested(190)), []);
}
