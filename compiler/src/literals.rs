//! Values written out in the source, made into literals of an image.

use num_bigint::{BigInt, Sign};
use num_traits::ToPrimitive;
use twintalk_bytecode::file::LITERAL_DEPTH_MAX;
use twintalk_bytecode::image;
use twintalk_bytecode::verify::SCALE_MAX;

use crate::ast::Literal;
use crate::names::Names;

/// How many digits a number has at most: reading more would take time out of proportion.
const DIGITS_MAX: usize = 65_536;

/// What an image has no room for, in words that go on after "this literal has".
pub(crate) type TooLarge = String;

/// The literal as an image holds it.
pub(crate) fn literal(literal: Literal<'_>, names: &mut Names) -> Result<image::Literal, TooLarge> {
    nested(literal, names, 0)
}

fn nested(literal: Literal<'_>, names: &mut Names, depth: usize) -> Result<image::Literal, TooLarge> {
    Ok(match literal {
        Literal::Integer { negative, radix, digits } => {
            let value = integer(negative, radix, digits)?;
            match value.to_i64() {
                Some(value) => image::Literal::Integer(value),
                None => image::Literal::LargeInteger { negative, magnitude: value.magnitude().to_bytes_le() },
            }
        }
        Literal::Float(value) => image::Literal::Float(value.to_bits()),
        Literal::Scaled { negative, digits, scale } => {
            if scale > SCALE_MAX {
                return Err(format!("{scale} digits behind the point, which is more than {SCALE_MAX}"));
            }
            let digits = digits.trim_start_matches('0');
            let digits = match (negative, digits) {
                (_, "") => "0".to_owned(),
                (false, digits) => digits.to_owned(),
                (true, digits) => format!("-{digits}"),
            };
            image::Literal::ScaledDecimal { digits, scale }
        }
        Literal::Character(value) => image::Literal::Character(value),
        Literal::String(value) => image::Literal::String(value.to_owned()),
        Literal::Symbol(value) => image::Literal::Symbol(names.id(value)),
        Literal::Array(items) => {
            if depth == LITERAL_DEPTH_MAX {
                return Err(format!("literal arrays nested deeper than {LITERAL_DEPTH_MAX}"));
            }
            let items: Result<_, _> = items.iter().map(|item| nested(*item, names, depth + 1)).collect();
            image::Literal::Array(items?)
        }
        Literal::Bytes(bytes) => image::Literal::Bytes(bytes.to_vec()),
        Literal::Nil => image::Literal::Nil,
        Literal::True => image::Literal::True,
        Literal::False => image::Literal::False,
    })
}

fn integer(negative: bool, radix: u32, digits: &str) -> Result<BigInt, TooLarge> {
    if digits.len() > DIGITS_MAX {
        return Err(format!("{} digits, which is more than {DIGITS_MAX}", digits.len()));
    }
    // The parser lets only digits of the radix through; after an error of its own there is no image.
    let magnitude = BigInt::parse_bytes(digits.as_bytes(), radix).unwrap_or_default();
    Ok(BigInt::from_biguint(if negative { Sign::Minus } else { Sign::Plus }, magnitude.into_parts().1))
}

/// The value of an integer literal that fits 64 bits.
pub(crate) fn small_integer(literal: Literal<'_>) -> Option<i64> {
    let Literal::Integer { negative, radix, digits } = literal else {
        return None;
    };
    // One digit more than 64 bits can have, in any radix.
    let significant = digits.trim_start_matches('0');
    if significant.len() > 64 {
        return None;
    }
    match significant {
        "" => Some(0),
        digits => {
            let magnitude = i128::from_str_radix(digits, radix).ok()?;
            i64::try_from(if negative { -magnitude } else { magnitude }).ok()
        }
    }
}

/// A number near the literal, to compare it with others; none if it is no number.
pub(crate) fn approximate(literal: Literal<'_>) -> Option<f64> {
    match literal {
        Literal::Integer { negative, radix, digits } => match small_integer(literal) {
            Some(value) => Some(value as f64),
            None => integer(negative, radix, digits).ok()?.to_f64(),
        },
        Literal::Float(value) => Some(value),
        Literal::Scaled { negative, digits, scale } => {
            let sign = if negative { "-" } else { "" };
            format!("{sign}{digits}e-{scale}").parse().ok()
        }
        Literal::Character(_)
        | Literal::String(_)
        | Literal::Symbol(_)
        | Literal::Array(_)
        | Literal::Bytes(_)
        | Literal::Nil
        | Literal::True
        | Literal::False => None,
    }
}
