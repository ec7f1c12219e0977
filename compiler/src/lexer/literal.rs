//! Numbers, strings and symbols: from their spelling to their value.
//!
//! [`number_length`] says where a number ends, [`number`] what it is; both follow one grammar:
//!
//! ```text
//! number   = digits [ "." digits ] [ exponent | scale ]    |    digits "r" alphanumerics
//! exponent = ("e" | "E") [ "-" | "+" ] digits
//! scale    = "s" [ digits ]                                 not before a letter
//! digits   = digit { digit | "_" digit }
//! ```
//!
//! `1e3` is an integer, as in Smalltalk-80; `1e-3`, which cannot be one, is a float.

use bumpalo::Bump;

use crate::ast::Literal;

/// The zeros that an exponent may add to an integer. A larger one is a mistake, or meant to fill the memory.
const EXPONENT_MAX: u32 = 10_000;

/// How far the digits go from `at`.
fn digits(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            Some(b'0'..=b'9') => at += 1,
            Some(b'_') if bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => at += 2,
            _ => return at,
        }
    }
}

/// The length of the number that `bytes` starts with; its first byte is a digit.
pub(super) fn number_length(bytes: &[u8]) -> usize {
    let is_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = digits(bytes, 0);
    if bytes.get(at) == Some(&b'r') && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric) {
        at += 2;
        while bytes.get(at).is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            at += 1;
        }
        // `16r1.8` is refused as a whole, rather than read as `16r1` and a statement `8`.
        return if bytes.get(at) == Some(&b'.') && is_digit(at + 1) { digits(bytes, at + 1) } else { at };
    }
    if bytes.get(at) == Some(&b'.') && is_digit(at + 1) {
        at = digits(bytes, at + 1);
    }
    match bytes.get(at) {
        Some(b'e' | b'E') if is_digit(at + 1) => digits(bytes, at + 1),
        Some(b'e' | b'E') if matches!(bytes.get(at + 1), Some(b'-' | b'+')) && is_digit(at + 2) => {
            digits(bytes, at + 2)
        }
        Some(b's') => {
            let end = digits(bytes, at + 1);
            // `3s` has a scale, `3seconds` is a message to 3.
            let word_goes_on =
                bytes.get(end).is_some_and(|&byte| byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80);
            if word_goes_on { at } else { end }
        }
        _ => at,
    }
}

/// The value of a number, with its minus sign if it has one.
///
/// # Errors
/// What is wrong with it, for a `malformed-number`.
pub(crate) fn number<'a>(arena: &'a Bump, spelling: &'a str) -> Result<Literal<'a>, String> {
    let (negative, unsigned) = match spelling.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, spelling),
    };
    if unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Literal::Integer { negative, radix: 10, digits: without_leading_zeros(unsigned) });
    }
    let plain: std::borrow::Cow<str> =
        if unsigned.contains('_') { unsigned.replace('_', "").into() } else { unsigned.into() };
    if let Some((radix, digits)) = plain.split_once('r') {
        return radix_integer(arena, negative, radix, digits);
    }
    if let Some((mantissa, scale)) = plain.split_once('s') {
        return scaled(arena, negative, mantissa, scale);
    }
    let (mantissa, exponent) = match plain.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (&*plain, None),
    };
    match exponent {
        None if !mantissa.contains('.') => Ok(integer(arena, negative, mantissa, 0)),
        Some(exponent) if !mantissa.contains('.') && !exponent.starts_with('-') => {
            match exponent.trim_start_matches('+').parse::<u32>() {
                Ok(zeros) if zeros <= EXPONENT_MAX => Ok(integer(arena, negative, mantissa, zeros)),
                _ => Err(format!("the exponent of an integer is at most {EXPONENT_MAX}")),
            }
        }
        _ => match plain.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Literal::Float(if negative { -value } else { value })),
            _ => Err("this is too large for a float".to_owned()),
        },
    }
}

fn integer<'a>(arena: &'a Bump, negative: bool, digits: &str, zeros: u32) -> Literal<'a> {
    let digits = without_leading_zeros(digits);
    let digits = match zeros {
        0 => arena.alloc_str(digits),
        _ if digits == "0" => "0",
        _ => arena.alloc_str(&(digits.to_owned() + &"0".repeat(zeros as usize))),
    };
    Literal::Integer { negative, radix: 10, digits }
}

fn radix_integer<'a>(arena: &'a Bump, negative: bool, radix: &str, digits: &str) -> Result<Literal<'a>, String> {
    let radix = match radix.parse::<u32>() {
        Ok(radix @ 2..=36) => radix,
        _ => return Err(format!("a radix is 2 to 36, not {radix}")),
    };
    if digits.contains('.') {
        return Err("a number with a radix has no fraction".to_owned());
    }
    match digits.chars().find(|digit| !digit.is_digit(radix) || digit.is_lowercase()) {
        Some(digit) if digit.is_digit(radix) => {
            Err(format!("write `{}` for the digit `{digit}`", digit.to_uppercase()))
        }
        Some(digit) => Err(format!("`{digit}` is no digit in radix {radix}")),
        None => Ok(Literal::Integer { negative, radix, digits: arena.alloc_str(without_leading_zeros(digits)) }),
    }
}

fn scaled<'a>(arena: &'a Bump, negative: bool, mantissa: &str, scale: &str) -> Result<Literal<'a>, String> {
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let scale = match scale {
        "" => fraction.len(),
        _ => scale.parse::<usize>().unwrap_or(usize::MAX),
    };
    if scale > EXPONENT_MAX as usize {
        return Err(format!("the scale of a number is at most {EXPONENT_MAX}"));
    }
    if fraction.len() > scale {
        let count = fraction.len();
        return Err(format!("there are {count} digits behind the point, and the scale is {scale}"));
    }
    let digits = format!("{whole}{fraction}{}", "0".repeat(scale - fraction.len()));
    Ok(Literal::Scaled { negative, digits: arena.alloc_str(without_leading_zeros(&digits)), scale: scale as u32 })
}

fn without_leading_zeros(digits: &str) -> &str {
    let rest = digits.trim_start_matches('0');
    if rest.is_empty() { "0" } else { rest }
}

/// What stands between the quotes of `spelling`, which starts with one, doubled quotes undone.
pub(crate) fn string<'a>(arena: &'a Bump, spelling: &'a str) -> &'a str {
    let inside = spelling.get(1..).unwrap_or("");
    let inside = inside.strip_suffix('\'').unwrap_or(inside);
    if inside.contains('\'') { arena.alloc_str(&inside.replace("''", "'")) } else { inside }
}

/// The text of a symbol: `#name`, `#'any text'`, or a bare word of a literal array.
pub(crate) fn symbol<'a>(arena: &'a Bump, spelling: &'a str) -> &'a str {
    match spelling.strip_prefix('#') {
        Some(quoted) if quoted.starts_with('\'') => string(arena, quoted),
        Some(name) => name,
        None => spelling,
    }
}
