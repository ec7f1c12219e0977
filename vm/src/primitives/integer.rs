//! `Integer` and `LargeInteger`: whole numbers of any size.
//!
//! What fits 63 bits is worked out in place; all else goes through `num-bigint`. An operand that is no
//! integer or float is asked to adapt: `adaptToNumber:andSend:` and its kin in the kernel, so that
//! fractions, decimals, durations and points mix with integers without the machine knowing them.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};
use num_integer::Integer as _;
use num_traits::{Signed, ToPrimitive, Zero};

use crate::fault::ExceptionKind;
use crate::primitive::{Row, Stop, Window};
use crate::primitives::float;
use crate::primitives::support::{hash_bytes, hash_word};
use crate::value::{Kind, Value};
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("Integer.+", add),
    ("Integer.-", subtract),
    ("Integer.*", multiply),
    ("Integer./", divide),
    ("Integer.//", quotient),
    ("Integer.\\\\", modulo),
    ("Integer.quo:", truncated_quotient),
    ("Integer.rem:", remainder),
    ("Integer.<", less),
    ("Integer.<=", less_equal),
    ("Integer.>", greater),
    ("Integer.>=", greater_equal),
    ("Integer.=", equal),
    ("Integer.hash", hash),
    ("Integer.gcd:", gcd),
    ("Integer.bitAnd:", bit_and),
    ("Integer.bitOr:", bit_or),
    ("Integer.bitXor:", bit_xor),
    ("Integer.bitShift:", bit_shift),
    ("Integer.bitLength", bit_length),
    ("Integer.bitCount", bit_count),
    ("Integer.power:", power),
    ("Integer.raisedTo:modulo:", power_modulo),
    ("Integer.sqrtFloor", square_root_floor),
    ("Integer.asFloat", as_float),
    ("Integer.floatQuotient:", float_quotient),
    ("Integer.printString", print_string),
    ("Integer.printString:", print_string_radix),
];

/// The bits that an integer may have: beyond, arithmetic would take longer than a turn may.
pub(crate) const BITS_MAX: u64 = 1 << 20;

/// A number as the primitives of numbers take it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Number {
    /// An integer of 63 bits.
    Small(i64),
    /// A larger one.
    Large(BigInt),
    /// A float, in place or boxed.
    Float(f64),
}

impl Number {
    fn into_big(self) -> Option<BigInt> {
        match self {
            Number::Small(number) => Some(BigInt::from(number)),
            Number::Large(number) => Some(number),
            Number::Float(_) => None,
        }
    }
}

impl Vm {
    /// The integer or float that the value is.
    pub(crate) fn as_number(&self, value: Value) -> Option<Number> {
        match value.kind() {
            Kind::Integer(number) => Some(Number::Small(number)),
            Kind::Float(number) => Some(Number::Float(number)),
            Kind::Pointer => match self.as_float(value) {
                Some(number) => Some(Number::Float(number)),
                None => self.as_big_integer(value).map(Number::Large),
            },
            Kind::Nil | Kind::Boolean(_) | Kind::Character(_) | Kind::Symbol(_) | Kind::Part(_) => None,
        }
    }

    /// An integer of any size, unless it is past the limit.
    pub(crate) fn new_limited_integer(&mut self, number: &BigInt) -> Result<Value, Stop> {
        if number.bits() > BITS_MAX {
            return Err(too_large(self));
        }
        self.new_big_integer(number)
    }

    /// Spends fuel for a product or quotient of large integers.
    fn charge_product(&mut self, left: &BigInt, right: &BigInt) -> Result<(), Stop> {
        let (left, right) = (left.bits() / 64 + 1, right.bits() / 64 + 1);
        self.spend((left + right + left * right / 256) as usize / 8)
    }
}

#[cold]
fn too_large(vm: &mut Vm) -> Stop {
    vm.raise(ExceptionKind::ArithmeticError, format!("an integer has at most {BITS_MAX} bits"))
}

/// The receiver, an integer.
fn receiver(vm: &mut Vm, window: Window) -> Result<Number, Stop> {
    let value = window.receiver(vm);
    match vm.as_number(value) {
        Some(number @ (Number::Small(_) | Number::Large(_))) => Ok(number),
        Some(Number::Float(_)) | None => Err(vm.wrong_receiver("integers", value)),
    }
}

/// The receiver and the argument, both large.
fn both_large(vm: &mut Vm, window: Window) -> Result<(BigInt, BigInt), Stop> {
    let receiver = receiver(vm, window)?.into_big().expect("the receiver is an integer");
    let argument = integer_argument(vm, window, 0)?;
    Ok((receiver, argument))
}

/// The argument, an integer of any size.
fn integer_argument(vm: &mut Vm, window: Window, index: usize) -> Result<BigInt, Stop> {
    let value = window.argument(vm, index);
    match vm.as_big_integer(value) {
        Some(number) => Ok(number),
        None => Err(vm.wrong_argument("an integer", value)),
    }
}

#[cold]
pub(crate) fn zero_divide(vm: &mut Vm, window: Window) -> Stop {
    let receiver = window.receiver(vm);
    let text = match vm.as_number(receiver) {
        Some(Number::Small(number)) => format!("division of {number} by zero"),
        Some(Number::Float(number)) => format!("division of {} by zero", float::text(number)),
        Some(Number::Large(_)) | None => "division by zero".to_owned(),
    };
    vm.raise(ExceptionKind::ZeroDivide, text)
}

/// What an operator does with two integers of 63 bits, two large ones, or two floats.
struct Arithmetic {
    selector: &'static str,
    small: fn(i64, i64) -> Option<i64>,
    large: fn(&BigInt, &BigInt) -> BigInt,
    float: fn(f64, f64) -> f64,
    divides: bool,
}

impl Arithmetic {
    fn run(&self, vm: &mut Vm, window: Window) -> Result<Value, Stop> {
        let left = receiver(vm, window)?;
        let argument = window.argument(vm, 0);
        let Some(right) = vm.as_number(argument) else {
            return Err(vm.hand_to_argument(window, "adaptToNumber:andSend:", self.selector));
        };
        if self.divides && is_zero(&right) {
            return Err(zero_divide(vm, window));
        }
        if let (Number::Small(left), Number::Small(right)) = (&left, &right)
            && let Some(answer) = (self.small)(*left, *right)
        {
            return vm.new_integer(answer);
        }
        if let Number::Float(right) = right {
            return vm.new_float((self.float)(to_float(&left), right));
        }
        let (Some(left), Some(right)) = (left.into_big(), right.into_big()) else {
            unreachable!("floats were taken above")
        };
        vm.charge_product(&left, &right)?;
        vm.new_limited_integer(&(self.large)(&left, &right))
    }
}

pub(crate) fn to_float(number: &Number) -> f64 {
    match number {
        Number::Small(number) => *number as f64,
        Number::Large(number) => big_to_float(number),
        Number::Float(number) => *number,
    }
}

/// The nearest float; a tie goes to the even one. Infinite past the largest.
pub(crate) fn big_to_float(number: &BigInt) -> f64 {
    let magnitude = number.magnitude();
    let bits = magnitude.bits();
    let nearest = match magnitude.to_u64() {
        Some(small) => small as f64,
        None => {
            // The top 64 bits, the last of which also says whether anything follows.
            let shift = bits - 64;
            let top = (magnitude >> shift).to_u64().expect("64 bits are left");
            let rest = magnitude.trailing_zeros().is_some_and(|zeros| zeros < shift);
            let scale = i32::try_from(shift).unwrap_or(i32::MAX);
            libm::ldexp((top | u64::from(rest)) as f64, scale)
        }
    };
    if number.sign() == Sign::Minus { -nearest } else { nearest }
}

fn is_zero(number: &Number) -> bool {
    match number {
        Number::Small(number) => *number == 0,
        Number::Large(number) => number.is_zero(),
        Number::Float(number) => *number == 0.0,
    }
}

macro_rules! arithmetic {
    ($name:ident, $selector:literal, $divides:literal, $small:expr, $large:expr, $float:expr) => {
        fn $name(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
            Arithmetic { selector: $selector, small: $small, large: $large, float: $float, divides: $divides }
                .run(vm, window)
        }
    };
}

arithmetic!(add, "+", false, i64::checked_add, |x, y| x + y, |x, y| x + y);
arithmetic!(subtract, "-", false, i64::checked_sub, |x, y| x - y, |x, y| x - y);
arithmetic!(multiply, "*", false, i64::checked_mul, |x, y| x * y, |x, y| x * y);
arithmetic!(modulo, "\\\\", true, floor_modulo, |x, y| x.mod_floor(y), float::modulo);
arithmetic!(remainder, "rem:", true, i64::checked_rem, |x, y| x % y, |x, y| x % y);

fn floor_modulo(left: i64, right: i64) -> Option<i64> {
    Some(left.mod_floor(&right))
}

/// `//` and `quo:` answer integers beside floats too, so they are no plain [`Arithmetic`].
fn integer_quotient(
    vm: &mut Vm,
    window: Window,
    selector: &str,
    whole: fn(&BigInt, &BigInt) -> BigInt,
    of_float: fn(f64) -> f64,
) -> Result<Value, Stop> {
    let left = receiver(vm, window)?;
    let argument = window.argument(vm, 0);
    let Some(right) = vm.as_number(argument) else {
        return Err(vm.hand_to_argument(window, "adaptToNumber:andSend:", selector));
    };
    if is_zero(&right) {
        return Err(zero_divide(vm, window));
    }
    if let Number::Float(right) = right {
        return float::integer(vm, of_float(to_float(&left) / right));
    }
    let (Some(left), Some(right)) = (left.into_big(), right.into_big()) else {
        unreachable!("floats were taken above")
    };
    vm.charge_product(&left, &right)?;
    vm.new_limited_integer(&whole(&left, &right))
}

fn quotient(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    integer_quotient(vm, window, "//", |x, y| x.div_floor(y), f64::floor)
}

fn truncated_quotient(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    integer_quotient(vm, window, "quo:", |x, y| x / y, f64::trunc)
}

fn divide(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let left = receiver(vm, window)?;
    let argument = window.argument(vm, 0);
    let Some(right) = vm.as_number(argument) else {
        return Err(vm.hand_to_argument(window, "adaptToNumber:andSend:", "/"));
    };
    if is_zero(&right) {
        return Err(zero_divide(vm, window));
    }
    if let Number::Float(right) = right {
        return vm.new_float(to_float(&left) / right);
    }
    let (Some(left), Some(right)) = (left.into_big(), right.into_big()) else {
        unreachable!("floats were taken above")
    };
    vm.charge_product(&left, &right)?;
    let (quotient, rest) = left.div_rem(&right);
    if rest.is_zero() {
        return vm.new_big_integer(&quotient);
    }
    // What does not come out even is a fraction, which the kernel makes.
    let selector = vm.symbols.intern("fractionOver:");
    Err(Stop::Send { selector, argument_count: 1 })
}

/// How two numbers compare, exactly; `None` where one is nan.
pub(crate) fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (left, right) {
        (Number::Small(left), Number::Small(right)) => Some(left.cmp(right)),
        (Number::Large(left), Number::Large(right)) => Some(left.cmp(right)),
        // A large integer is past every small one, on its side of zero.
        (Number::Small(_), Number::Large(right)) => Some(BigInt::zero().cmp(right)),
        (Number::Large(left), Number::Small(_)) => Some(left.cmp(&BigInt::zero())),
        (Number::Float(left), Number::Float(right)) => left.partial_cmp(right),
        (Number::Float(left), right @ (Number::Small(_) | Number::Large(_))) => {
            compare_with_float(right, *left).map(Ordering::reverse)
        }
        (left @ (Number::Small(_) | Number::Large(_)), Number::Float(right)) => compare_with_float(left, *right),
    }
}

/// An integer beside a float: their whole parts first, then what the float has behind the point.
fn compare_with_float(integer: &Number, number: f64) -> Option<Ordering> {
    if number.is_nan() {
        return None;
    }
    if number.is_infinite() {
        return Some(if number > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = number.trunc();
    let by_whole = match integer {
        Number::Small(integer) if whole.abs() < 9.2e18 => integer.cmp(&(whole as i64)),
        Number::Small(integer) => BigInt::from(*integer).cmp(&float::to_big(whole)),
        Number::Large(integer) => integer.cmp(&float::to_big(whole)),
        Number::Float(_) => unreachable!("the caller passes an integer"),
    };
    Some(by_whole.then_with(|| whole.partial_cmp(&number).expect("neither is nan")))
}

/// The comparison of the receiver, an integer or float, with the argument.
pub(crate) fn comparison(
    vm: &mut Vm,
    window: Window,
    left: &Number,
    selector: &str,
    is: fn(Ordering) -> bool,
) -> Result<Value, Stop> {
    let argument = window.argument(vm, 0);
    match vm.as_number(argument) {
        Some(right) => Ok(Value::boolean(compare(left, &right).is_some_and(is))),
        None => Err(vm.hand_to_argument(window, "adaptToNumber:andCompare:", selector)),
    }
}

/// Equality of the receiver, an integer or float, with the argument, which may be anything.
pub(crate) fn equality(vm: &mut Vm, window: Window, left: &Number) -> Result<Value, Stop> {
    let argument = window.argument(vm, 0);
    match vm.as_number(argument) {
        Some(right) => Ok(Value::boolean(compare(left, &right) == Some(Ordering::Equal))),
        None if argument.is_pointer() && vm.as_text(argument).is_none() => Err(vm.turn_round(window, "equalsNumber:")),
        None => Ok(Value::FALSE),
    }
}

fn less(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let left = receiver(vm, window)?;
    comparison(vm, window, &left, "<", Ordering::is_lt)
}

fn less_equal(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let left = receiver(vm, window)?;
    comparison(vm, window, &left, "<=", Ordering::is_le)
}

fn greater(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let left = receiver(vm, window)?;
    comparison(vm, window, &left, ">", Ordering::is_gt)
}

fn greater_equal(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let left = receiver(vm, window)?;
    comparison(vm, window, &left, ">=", Ordering::is_ge)
}

fn equal(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let left = receiver(vm, window)?;
    equality(vm, window, &left)
}

/// The hash of a number: equal for equal numbers of whatever kind.
pub(crate) fn number_hash(number: &Number) -> u64 {
    match number {
        Number::Small(number) => hash_word(*number as u64),
        Number::Large(number) => hash_bytes(&number.to_signed_bytes_le()),
        Number::Float(number) if number.is_finite() && number.trunc() == *number => {
            let whole = float::to_big(*number);
            match whole.to_i64().filter(|&whole| Value::integer(whole).is_some()) {
                Some(whole) => hash_word(whole as u64),
                None => hash_bytes(&whole.to_signed_bytes_le()),
            }
        }
        Number::Float(number) => hash_word(number.to_bits()),
    }
}

fn hash(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?;
    Ok(Value::small(number_hash(&number) as i64))
}

fn gcd(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let argument = window.argument(vm, 0);
    if let (Some(left), Some(right)) = (window.receiver(vm).as_integer(), argument.as_integer()) {
        return vm.new_integer(left.gcd(&right));
    }
    let (left, right) = both_large(vm, window)?;
    vm.charge_product(&left, &right)?;
    vm.new_big_integer(&left.gcd(&right))
}

fn bitwise(
    vm: &mut Vm,
    window: Window,
    small: fn(i64, i64) -> i64,
    large: fn(BigInt, BigInt) -> BigInt,
) -> Result<Value, Stop> {
    if let (Some(left), Some(right)) = (window.receiver(vm).as_integer(), window.argument(vm, 0).as_integer()) {
        return vm.new_integer(small(left, right));
    }
    let (left, right) = both_large(vm, window)?;
    vm.new_big_integer(&large(left, right))
}

fn bit_and(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    bitwise(vm, window, |x, y| x & y, |x, y| x & y)
}

fn bit_or(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    bitwise(vm, window, |x, y| x | y, |x, y| x | y)
}

fn bit_xor(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    bitwise(vm, window, |x, y| x ^ y, |x, y| x ^ y)
}

fn bit_shift(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?;
    let argument = window.argument(vm, 0);
    let Some(count) = argument.as_integer() else {
        return Err(vm.wrong_argument("an integer of 63 bits", argument));
    };
    if count < 0 {
        let count = count.unsigned_abs();
        return match number {
            Number::Small(number) => vm.new_integer(number >> count.min(63)),
            Number::Large(number) => vm.new_big_integer(&(number >> count.min(BITS_MAX + 1))),
            Number::Float(_) => unreachable!("the receiver is an integer"),
        };
    }
    let number = number.into_big().expect("the receiver is an integer");
    if number.is_zero() {
        return Ok(Value::small(0));
    }
    if count as u64 + number.bits() > BITS_MAX {
        return Err(too_large(vm));
    }
    vm.spend(count as usize / 512)?;
    vm.new_big_integer(&(number << count as u64))
}

fn bit_length(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?.into_big().expect("the receiver is an integer");
    Ok(Value::small(number.bits() as i64))
}

fn bit_count(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?.into_big().expect("the receiver is an integer");
    if number.is_negative() {
        return Err(vm.raise(ExceptionKind::ArithmeticError, "a number below zero has bits without end: ask its abs"));
    }
    vm.spend((number.bits() / 512) as usize)?;
    Ok(Value::small(number.magnitude().count_ones() as i64))
}

/// A power of which only the rest by a modulus is kept, so that neither grows.
fn power_modulo(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (base, exponent) = both_large(vm, window)?;
    let modulus = integer_argument(vm, window, 1)?;
    if exponent.is_negative() || !modulus.is_positive() {
        let text = "raisedTo:modulo: takes an exponent not below zero and a modulus above zero";
        return Err(vm.raise(ExceptionKind::ArithmeticError, text));
    }
    // A product and a rest for each bit of the exponent. All that is checked before the work begins.
    let words = modulus.bits() / 64 + 1;
    let cost = (words + words * words / 256).saturating_mul(exponent.bits() + 1) / 4;
    vm.charge(u32::try_from(cost).unwrap_or(u32::MAX))?;
    vm.charge_product(&base, &modulus)?;
    vm.new_big_integer(&base.mod_floor(&modulus).modpow(&exponent, &modulus))
}

fn power(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?.into_big().expect("the receiver is an integer");
    let argument = window.argument(vm, 0);
    let exponent = match argument.as_integer() {
        Some(exponent) if exponent >= 0 => exponent as u64,
        Some(_) | None => return Err(vm.wrong_argument("an exponent of 63 bits, not below zero,", argument)),
    };
    // 0, 1 and -1 have every power; all others grow by at least a bit each time.
    if number.magnitude().bits() <= 1 {
        let odd = exponent % 2 == 1;
        let answer = match (number.to_i64(), exponent) {
            (_, 0) => 1,
            (Some(-1), _) if !odd => 1,
            (Some(number), _) => number,
            (None, _) => unreachable!("one bit fits an i64"),
        };
        return Ok(Value::small(answer));
    }
    if (number.bits() - 1).saturating_mul(exponent) > BITS_MAX {
        return Err(too_large(vm));
    }
    let answer = number.pow(u32::try_from(exponent).expect("below the limit of bits"));
    vm.spend((answer.bits() / 64) as usize)?;
    vm.new_limited_integer(&answer)
}

fn square_root_floor(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?.into_big().expect("the receiver is an integer");
    if number.is_negative() {
        return Err(vm.raise(ExceptionKind::ArithmeticError, "there is no square root of a number below zero"));
    }
    vm.charge_product(&number, &number)?;
    vm.new_big_integer(&number.sqrt())
}

fn as_float(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?;
    vm.new_float(to_float(&number))
}

/// The float nearest to the quotient of two integers, each of which may be past all floats.
fn float_quotient(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (left, right) = both_large(vm, window)?;
    if right.is_zero() {
        return Err(zero_divide(vm, window));
    }
    vm.charge_product(&left, &right)?;
    // Shifted so that the quotient has 65 bits or more; its last then also says whether a rest follows.
    let shift = 66 + right.bits() as i64 - left.bits() as i64;
    let (above, below) = if shift >= 0 { (left << shift, right) } else { (left, right << -shift) };
    let (quotient, rest) = above.magnitude().div_rem(below.magnitude());
    let quotient = if rest.is_zero() { quotient } else { quotient | num_bigint::BigUint::from(1u8) };
    let scale = i32::try_from(-shift).unwrap_or(if shift > 0 { i32::MIN } else { i32::MAX });
    let nearest = libm::ldexp(big_to_float(&BigInt::from(quotient)), scale);
    vm.new_float(if above.sign() * below.sign() == Sign::Minus { -nearest } else { nearest })
}

fn print_string(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    match receiver(vm, window)? {
        Number::Small(number) => vm.new_string(&number.to_string()),
        Number::Large(number) => {
            vm.charge_product(&number, &number)?;
            vm.new_string(&number.to_string())
        }
        Number::Float(_) => unreachable!("the receiver is an integer"),
    }
}

fn print_string_radix(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = receiver(vm, window)?.into_big().expect("the receiver is an integer");
    let argument = window.argument(vm, 0);
    let radix = match argument.as_integer() {
        Some(radix @ 2..=36) => radix as u32,
        Some(_) | None => return Err(vm.raise(ExceptionKind::ArgumentError, "a base is an integer from 2 to 36")),
    };
    vm.charge_product(&number, &number)?;
    vm.new_string(&number.to_str_radix(radix).to_uppercase())
}
