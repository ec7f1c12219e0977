//! `Float`: numbers of 64 bits with a binary point.
//!
//! What IEEE 754 rounds exactly (sums, products, quotients, square roots) is the processor's; all other
//! functions come from `libm`, so that a turn finds the same digits on every machine. Text is the shortest
//! that reads back as the same number, as Rust prints it.

use num_bigint::BigInt;
use num_traits::{FromPrimitive, ToPrimitive, Zero};

use crate::fault::ExceptionKind;
use crate::primitive::{Row, Stop, Window};
use crate::primitives::integer::{self, Number};
use crate::value::Value;
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("Float.+", add),
    ("Float.-", subtract),
    ("Float.*", multiply),
    ("Float./", divide),
    ("Float.//", quotient),
    ("Float.\\\\", float_modulo),
    ("Float.<", less),
    ("Float.<=", less_equal),
    ("Float.>", greater),
    ("Float.>=", greater_equal),
    ("Float.=", equal),
    ("Float.hash", hash),
    ("Float.isFinite", is_finite),
    ("Float.isNaN", is_nan),
    ("Float.negated", negated),
    ("Float.abs", abs),
    ("Float.sqrt", sqrt),
    ("Float.cbrt", cbrt),
    ("Float.exp", exp),
    ("Float.ln", ln),
    ("Float.log", log),
    ("Float.log2", log2),
    ("Float.sin", sin),
    ("Float.cos", cos),
    ("Float.tan", tan),
    ("Float.arcSin", arc_sin),
    ("Float.arcCos", arc_cos),
    ("Float.arcTan", arc_tan),
    ("Float.arcTan:", arc_tan_2),
    ("Float.sinh", sinh),
    ("Float.cosh", cosh),
    ("Float.tanh", tanh),
    ("Float.arcSinh", arc_sinh),
    ("Float.arcCosh", arc_cosh),
    ("Float.arcTanh", arc_tanh),
    ("Float.raisedTo:", raised_to),
    ("Float.truncated", truncated),
    ("Float.rounded", rounded),
    ("Float.floor", floor),
    ("Float.ceiling", ceiling),
    ("Float.significandAndExponent", significand_and_exponent),
    ("Float.asBits", as_bits),
    ("Float.printString", print_string),
    ("Float class.infinity", infinity),
    ("Float class.nan", nan),
    ("Float class.fromBits:", from_bits),
];

/// The receiver, a float.
fn receiver(vm: &mut Vm, window: Window) -> Result<f64, Stop> {
    let value = window.receiver(vm);
    match vm.as_float(value) {
        Some(number) => Ok(number),
        None => Err(vm.wrong_receiver("floats", value)),
    }
}

/// The argument as a float, or the stop that lets it adapt.
fn other(vm: &mut Vm, window: Window, selector: &str) -> Result<f64, Stop> {
    let argument = window.argument(vm, 0);
    match vm.as_number(argument) {
        Some(number) => Ok(integer::to_float(&number)),
        None => Err(vm.hand_to_argument(window, "adaptToNumber:andSend:", selector)),
    }
}

fn add(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (left, right) = (receiver(vm, window)?, other(vm, window, "+")?);
    vm.new_float(left + right)
}

fn subtract(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (left, right) = (receiver(vm, window)?, other(vm, window, "-")?);
    vm.new_float(left - right)
}

fn multiply(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (left, right) = (receiver(vm, window)?, other(vm, window, "*")?);
    vm.new_float(left * right)
}

fn divide(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (left, right) = (receiver(vm, window)?, other(vm, window, "/")?);
    if right == 0.0 {
        return Err(integer::zero_divide(vm, window));
    }
    vm.new_float(left / right)
}

fn quotient(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (left, right) = (receiver(vm, window)?, other(vm, window, "//")?);
    if right == 0.0 {
        return Err(integer::zero_divide(vm, window));
    }
    integer(vm, (left / right).floor())
}

fn float_modulo(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (left, right) = (receiver(vm, window)?, other(vm, window, "\\\\")?);
    if right == 0.0 {
        return Err(integer::zero_divide(vm, window));
    }
    vm.new_float(modulo(left, right))
}

/// The rest with the sign of the divisor.
pub(crate) fn modulo(left: f64, right: f64) -> f64 {
    let rest = left % right;
    if rest != 0.0 && (rest < 0.0) != (right < 0.0) { rest + right } else { rest }
}

fn less(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let left = Number::Float(receiver(vm, window)?);
    integer::comparison(vm, window, &left, "<", std::cmp::Ordering::is_lt)
}

fn less_equal(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let left = Number::Float(receiver(vm, window)?);
    integer::comparison(vm, window, &left, "<=", std::cmp::Ordering::is_le)
}

fn greater(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let left = Number::Float(receiver(vm, window)?);
    integer::comparison(vm, window, &left, ">", std::cmp::Ordering::is_gt)
}

fn greater_equal(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let left = Number::Float(receiver(vm, window)?);
    integer::comparison(vm, window, &left, ">=", std::cmp::Ordering::is_ge)
}

fn equal(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let left = Number::Float(receiver(vm, window)?);
    integer::equality(vm, window, &left)
}

fn hash(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = Number::Float(receiver(vm, window)?);
    Ok(Value::small(integer::number_hash(&number) as i64))
}

fn is_finite(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::boolean(receiver(vm, window)?.is_finite()))
}

fn is_nan(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::boolean(receiver(vm, window)?.is_nan()))
}

macro_rules! functions {
    ($($name:ident = $function:expr;)*) => {
        $(fn $name(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
            let number = receiver(vm, window)?;
            let function: fn(f64) -> f64 = $function;
            vm.new_float(function(number))
        })*
    };
}

functions! {
    negated = |x| -x;
    abs = f64::abs;
    cbrt = libm::cbrt;
    exp = libm::exp;
    sin = libm::sin;
    cos = libm::cos;
    tan = libm::tan;
    arc_tan = libm::atan;
    sinh = libm::sinh;
    cosh = libm::cosh;
    tanh = libm::tanh;
    arc_sinh = libm::asinh;
}

/// A function that has no answer for some numbers, with what to say of them.
macro_rules! partial_functions {
    ($($name:ident = $function:expr, $has:expr, $what:literal;)*) => {
        $(fn $name(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
            let number = receiver(vm, window)?;
            let has: fn(f64) -> bool = $has;
            if !number.is_nan() && !has(number) {
                let text = format!(concat!("there is no ", $what, " of {}"), text(number));
                return Err(vm.raise(ExceptionKind::ArithmeticError, text));
            }
            let function: fn(f64) -> f64 = $function;
            vm.new_float(function(number))
        })*
    };
}

partial_functions! {
    sqrt = f64::sqrt, |x| x >= 0.0, "square root";
    ln = libm::log, |x| x > 0.0, "logarithm";
    log = libm::log10, |x| x > 0.0, "logarithm";
    log2 = libm::log2, |x| x > 0.0, "logarithm";
    arc_sin = libm::asin, |x| (-1.0..=1.0).contains(&x), "arc sine";
    arc_cos = libm::acos, |x| (-1.0..=1.0).contains(&x), "arc cosine";
    arc_cosh = libm::acosh, |x| x >= 1.0, "arc hyperbolic cosine";
    arc_tanh = libm::atanh, |x| x > -1.0 && x < 1.0, "arc hyperbolic tangent";
}

fn arc_tan_2(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let y = receiver(vm, window)?;
    let argument = window.argument(vm, 0);
    let Some(x) = vm.as_number(argument) else { return Err(vm.wrong_argument("a number", argument)) };
    vm.new_float(libm::atan2(y, integer::to_float(&x)))
}

fn raised_to(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let base = receiver(vm, window)?;
    let exponent = other(vm, window, "raisedTo:")?;
    if base < 0.0 && exponent.is_finite() && exponent.trunc() != exponent {
        let text = format!("there is no {} to the power of {}", text(base), text(exponent));
        return Err(vm.raise(ExceptionKind::ArithmeticError, text));
    }
    if base == 0.0 && exponent < 0.0 {
        return Err(integer::zero_divide(vm, window));
    }
    vm.new_float(libm::pow(base, exponent))
}

/// A whole float as an integer.
pub(crate) fn integer(vm: &mut Vm, whole: f64) -> Result<Value, Stop> {
    if !whole.is_finite() {
        return Err(vm.raise(ExceptionKind::ArithmeticError, format!("{} is no integer", text(whole))));
    }
    vm.new_big_integer(&to_big(whole))
}

/// A whole, finite float as a large integer.
pub(crate) fn to_big(whole: f64) -> BigInt {
    BigInt::from_f64(whole).unwrap_or_else(BigInt::zero)
}

fn truncated(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?;
    integer(vm, number.trunc())
}

fn rounded(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?;
    integer(vm, number.round())
}

fn floor(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?;
    integer(vm, number.floor())
}

fn ceiling(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?;
    integer(vm, number.ceil())
}

fn significand_and_exponent(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?;
    if !number.is_finite() {
        return Err(vm.raise(ExceptionKind::ArithmeticError, format!("{} is no fraction", text(number))));
    }
    let bits = number.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i64;
    let fraction = (bits & ((1 << 52) - 1)) as i64;
    let (significand, exponent) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let zeros = if significand == 0 { 0 } else { i64::from(significand.trailing_zeros()) };
    let significand = (significand >> zeros) * if number < 0.0 { -1 } else { 1 };
    let exponent = if significand == 0 { 0 } else { exponent + zeros };
    vm.new_array(&[Value::small(significand), Value::small(exponent)])
}

/// Where a number may lie half-way between two texts of as many digits.
const TIES: std::ops::Range<f64> = 281_474_976_710_656.0..18_014_398_509_481_984.0;

/// The shortest text that reads back as the same number, always with a point: `1.5`, `100.0`, `1.0e100`.
pub(crate) fn text(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let magnitude = number.abs();
    if magnitude == 0.0 || (1e-4..1e16).contains(&magnitude) {
        let text = format!("{number:?}");
        // Of two shortest texts as near to the number, the one that ends in an even digit, as in other languages. There are
        // two only where floats lie a quarter or a half apart.
        if TIES.contains(&magnitude)
            && let Some((_, places)) = text.split_once('.')
        {
            let even = format!("{number:.*}", places.len());
            if even.parse() == Ok(number) {
                return even;
            }
        }
        return text;
    }
    let text = format!("{number:e}");
    let (digits, exponent) = text.split_once('e').expect("the form has an exponent");
    if digits.contains('.') { text } else { format!("{digits}.0e{exponent}") }
}

fn print_string(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?;
    vm.new_string(&text(number))
}

fn infinity(vm: &mut Vm, _window: Window) -> Result<Value, Stop> {
    vm.new_float(f64::INFINITY)
}

fn nan(vm: &mut Vm, _window: Window) -> Result<Value, Stop> {
    vm.new_float(f64::NAN)
}

fn as_bits(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let bits = receiver(vm, window)?.to_bits();
    vm.new_big_integer(&BigInt::from(bits))
}

/// Every pattern that is no number answers the one nan.
fn from_bits(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let argument = window.argument(vm, 0);
    let Some(bits) = vm.as_big_integer(argument).and_then(|bits| bits.to_u64()) else {
        return Err(vm.wrong_argument("an integer of 64 bits, not below zero,", argument));
    };
    let number = f64::from_bits(bits);
    vm.new_float(if number.is_nan() { f64::NAN } else { number })
}
