//! Arithmetic and printing beside what Rust says of the same numbers.
//!
//! Integers are drawn around the places where their form changes: zero, 63 bits, words of large ones.
//! Rust's `i128` is the witness for those that fit it, its parser and printer for floats.

use proptest::prelude::*;
use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_vm::Vm;

use super::{answer, kernel, machine};

thread_local! {
    static MACHINE: std::cell::RefCell<Option<Vm>> = const { std::cell::RefCell::new(None) };
}

/// What an expression prints, on a machine that lives as long as the test.
fn printed(expression: &str) -> String {
    MACHINE.with(|machine_cell| {
        let mut slot = machine_cell.borrow_mut();
        let vm = slot.get_or_insert_with(|| machine(&[kernel()]));
        let root = SourceText { name: "line".to_owned(), text: expression.to_owned() };
        let compilation = compile(vec![root], &mut NoSources, &[kernel()]);
        let image = compilation.image.unwrap_or_else(|| panic!("{expression}: {:?}", compilation.diagnostics));
        vm.add_image(&image).unwrap_or_else(|error| panic!("{error}"));
        answer(vm)
    })
}

/// A number as an operand: in brackets if it is below zero.
fn operand(number: impl ToString) -> String {
    format!("({})", number.to_string())
}

/// A float as the kernel reads it: an exponent alone would make an integer.
fn read(number: f64) -> String {
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').expect("the form has an exponent");
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("'{digits}{point}e{exponent}' asNumber")
}

/// Integers whose sums and products fit an `i128`.
fn integers() -> impl Strategy<Value = i128> {
    let edges = [0, 1, 1 << 31, 1 << 32, 1 << 53, (1 << 62) - 1, 1 << 62, (1 << 63) - 1];
    let near = (prop::sample::select(edges.to_vec()), -3i128..=3).prop_map(|(edge, by)| edge + by);
    let number = prop_oneof![near, -100i128..100, any::<i32>().prop_map(i128::from), any::<i64>().prop_map(i128::from)];
    (number, any::<bool>()).prop_map(|(number, negate)| if negate { -number } else { number })
}

fn floats() -> impl Strategy<Value = f64> {
    let edges = [0.0, 1.0, 0.1, 1e16, 1e-4, 9007199254740993.0, 1e38, 1e-38, f64::MIN_POSITIVE, f64::MAX, 5e-324];
    prop_oneof![
        prop::sample::select(edges.to_vec()),
        any::<f64>().prop_filter("finite", |number| number.is_finite()),
        -1000.0..1000.0f64,
    ]
}

fn floor_divide(left: i128, right: i128) -> (i128, i128) {
    let rest = left.rem_euclid(right);
    let rest = if rest != 0 && right < 0 { rest + right } else { rest };
    ((left - rest) / right, rest)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn integers_do_what_wider_ones_do(left in integers(), right in integers()) {
        let (x, y) = (operand(left), operand(right));
        let text = printed(&format!(
            "{{{x} + {y}. {x} - {y}. {x} * {y}. {x} < {y}. {x} = {y}. {x} bitAnd: {y}. {x} bitOr: {y}. {x} bitXor: {y}. \
             {x} gcd: {y}. {x} perform: #* with: {y}}}"
        ));
        let gcd = { let (mut a, mut b) = (left.abs(), right.abs()); while b != 0 { (a, b) = (b, a % b) } a };
        let wanted = format!(
            "#({} {} {} {} {} {} {} {} {} {})",
            left + right, left - right, left * right, left < right, left == right,
            left & right, left | right, left ^ right, gcd, left * right
        );
        prop_assert_eq!(text, wanted);
    }

    #[test]
    fn division_rounds_as_each_operator_says(left in integers(), right in integers()) {
        prop_assume!(right != 0);
        let (x, y) = (operand(left), operand(right));
        let (quotient, rest) = floor_divide(left, right);
        let text = printed(&format!("{{{x} // {y}. {x} \\\\ {y}. {x} quo: {y}. {x} rem: {y}. {x} / {y} * {y}}}"));
        prop_assert_eq!(text, format!("#({quotient} {rest} {} {} {left})", left / right, left % right));
    }

    #[test]
    fn powers_and_shifts_agree(base in -9i128..=9, exponent in 0u32..40, shift in 0u32..60) {
        let text = printed(&format!(
            "{{{} raisedTo: {exponent}. {} bitShift: {shift}. ({} bitShift: {shift}) bitShift: -{shift}}}",
            operand(base), operand(base), operand(base)
        ));
        prop_assert_eq!(text, format!("#({} {} {base})", base.pow(exponent), base << shift));
    }

    #[test]
    fn integers_print_and_read_in_every_base(number in integers(), base in 2u32..=36) {
        let text = printed(&format!(
            "({} radix: {base}) asNumber = {} and: [ {} printString asInteger = {} ]",
            operand(number), operand(number), operand(number), operand(number)
        ));
        prop_assert_eq!(text, "true");
    }

    #[test]
    fn floats_print_the_shortest_text_that_reads_back(number in floats()) {
        let text = printed(&read(number));
        prop_assert_eq!(text.parse::<f64>().ok(), Some(number));
        prop_assert!(text.contains('.'), "{} has a point", text);
        let digits = |text: &str| {
            let mantissa = text.split('e').next().unwrap_or_default();
            mantissa.chars().filter(char::is_ascii_digit).collect::<String>().trim_matches('0').len()
        };
        prop_assert_eq!(digits(&text), digits(&format!("{number:e}")), "{} is the shortest", text);
        // Written into a program, it is the same number.
        prop_assert_eq!(printed(&operand(&text)), text);
    }

    #[test]
    fn float_arithmetic_is_the_processors(left in floats(), right in floats()) {
        let (x, y) = (operand(read(left)), operand(read(right)));
        let text = printed(&format!("{{{x} < {y}. {x} = {y}. {x} >= {y}}}"));
        prop_assert_eq!(text, format!("#({} {} {})", left < right, left == right, left >= right));
        for (selector, wanted) in [("+", left + right), ("-", left - right), ("*", left * right)] {
            let found = printed(&format!("{x} {selector} {y}"));
            let found: f64 = found.parse().expect("a float prints as one");
            prop_assert_eq!(found.to_bits(), wanted.to_bits(), "{:e} {} {:e}", left, selector, right);
        }
        if right != 0.0 {
            let found: f64 = printed(&format!("{x} / {y}")).parse().expect("a float prints as one");
            prop_assert_eq!(found.to_bits(), (left / right).to_bits());
        }
    }

    #[test]
    fn integers_and_floats_compare_exactly(integer in integers(), float in floats()) {
        // Exact as a fraction: both are multiplied out by the kernel's own rational arithmetic.
        let (x, y) = (operand(integer), operand(read(float)));
        let text = printed(&format!(
            "{{({x} < {y}) = ({x} < {y} asExact). ({x} = {y}) = ({x} = {y} asExact). ({y} < {x}) = ({y} asExact < {x})}}"
        ));
        prop_assert_eq!(text, "#(true true true)");
        prop_assert_eq!(printed(&format!("{x} asFloat")).parse::<f64>().ok(), Some(integer as f64));
    }

    #[test]
    fn whole_parts_of_floats_are_exact(number in floats()) {
        let x = operand(read(number));
        let text = printed(&format!("{{{x} truncated. {x} floor. {x} ceiling. {x} rounded}}"));
        let wanted = format!("#({:.0} {:.0} {:.0} {:.0})", number.trunc(), number.floor(), number.ceil(), number.round());
        prop_assert_eq!(text, wanted.replace("-0 ", "0 ").replace("-0)", "0)"));
    }

    #[test]
    fn large_integers_become_the_nearest_float(digits in "[1-9][0-9]{18,80}") {
        let text = printed(&format!("{digits} asFloat"));
        prop_assert_eq!(text.parse::<f64>().ok(), digits.parse::<f64>().ok());
        let text = printed(&format!("({digits} / (10 raisedTo: 60)) asFloat"));
        prop_assert_eq!(text.parse::<f64>().ok(), format!("{digits}e-60").parse::<f64>().ok());
    }

    #[test]
    fn fractions_keep_the_laws(a in -50i64..50, b in 1i64..50, c in -50i64..50, d in 1i64..50) {
        prop_assume!(c != 0);
        let (x, y) = (format!("({} / {b})", operand(a)), format!("({} / {d})", operand(c)));
        let text = printed(&format!(
            "{{{x} + {y} - {y} = {x}. {x} * {y} / {y} = {x}. {x} // {y} * {y} + ({x} \\\\ {y}) = {x}. ({x} < {y}) = ({} * {d} < ({} * {b}))}}",
            operand(a), operand(c)
        ));
        prop_assert_eq!(text, "#(true true true true)");
    }
}
