//! JSON in and out; the only file that names a JSON library.
//!
//! | here | JSON |
//! | --- | --- |
//! | nil, booleans, strings, arrays | the same |
//! | integers, of any size | numbers without point and exponent |
//! | floats, decimals | numbers; what is not finite is `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | symbols, characters | strings |
//! | byte arrays | arrays of numbers |
//! | dictionaries whose keys are strings or symbols | objects |
//! | other dictionaries | arrays of pairs |
//! | references | `{"twin": "plant-1/pump-7"}` |
//! | quantities | `{"number": 3.5, "unit": "bar"}` |
//! | other objects | `{"prototype": "Pump", "slots": {…}}` |
//!
//! From JSON come nil, booleans, integers, floats, strings, arrays, references, quantities and dictionaries.

use std::fmt;

use num_bigint::BigInt;
use serde_json::{Map, Number, Value};

use crate::datum::{Datum, decimal_text, float_text};

/// Why a text is no JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError(String);

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for JsonError {}

/// The value that a JSON text stands for.
///
/// # Errors
/// [`JsonError`] when it is not one JSON value, or nested deeper than 128.
pub fn parse(text: &str) -> Result<Datum, JsonError> {
    serde_json::from_str(text).map(from_json).map_err(|error| JsonError(error.to_string()))
}

/// `datum` as JSON, on one line.
pub fn text(datum: &Datum) -> String {
    to_json(datum).to_string()
}

fn from_json(value: Value) -> Datum {
    match value {
        Value::Null => Datum::Nil,
        Value::Bool(value) => Datum::Bool(value),
        Value::Number(number) => {
            let text = number.to_string();
            match BigInt::parse_bytes(text.as_bytes(), 10) {
                Some(integer) => Datum::Int(integer),
                None => Datum::Float(text.parse().unwrap_or(f64::NAN)),
            }
        }
        Value::String(text) => Datum::String(text),
        Value::Array(elements) => Datum::Array(elements.into_iter().map(from_json).collect()),
        Value::Object(mut members) => match members.get("twin") {
            Some(Value::String(_)) if members.len() == 1 => match members.remove("twin") {
                Some(Value::String(path)) => Datum::Reference(path),
                Some(_) | None => unreachable!("it was a string a line ago"),
            },
            Some(_) | None if members.len() == 2 && members.contains_key("number") && members.contains_key("unit") => {
                match (members.remove("number"), members.remove("unit")) {
                    (Some(number), Some(Value::String(unit))) => Datum::quantity(from_json(number), &unit),
                    (number, unit) => {
                        let members = [("number", number), ("unit", unit)].into_iter();
                        let member =
                            |(name, value): (&str, Option<Value>)| Some((Datum::from(name), from_json(value?)));
                        Datum::Dictionary(members.filter_map(member).collect())
                    }
                }
            }
            Some(_) | None => Datum::Dictionary(
                members.into_iter().map(|(key, value)| (Datum::String(key), from_json(value))).collect(),
            ),
        },
    }
}

fn to_json(datum: &Datum) -> Value {
    match datum {
        Datum::Nil => Value::Null,
        Datum::Bool(value) => Value::Bool(*value),
        Datum::Int(value) => exact(&value.to_string()),
        Datum::Float(value) if value.is_finite() => exact(&format!("{value:?}")),
        Datum::Float(value) => Value::String(float_text(*value)),
        Datum::Decimal { unscaled, scale } => exact(&decimal_text(unscaled, *scale)),
        Datum::Char(character) => Value::String(character.to_string()),
        Datum::String(text) | Datum::Symbol(text) => Value::String(text.clone()),
        Datum::Array(elements) => elements.iter().map(to_json).collect(),
        Datum::Bytes(bytes) => bytes.iter().map(|byte| Value::from(*byte)).collect(),
        Datum::Dictionary(entries) => {
            let named: Option<Map<String, Value>> = entries
                .iter()
                .map(|(key, value)| match key {
                    Datum::String(name) | Datum::Symbol(name) => Some((name.clone(), to_json(value))),
                    Datum::Nil
                    | Datum::Bool(_)
                    | Datum::Int(_)
                    | Datum::Float(_)
                    | Datum::Decimal { .. }
                    | Datum::Char(_)
                    | Datum::Array(_)
                    | Datum::Bytes(_)
                    | Datum::Dictionary(_)
                    | Datum::Reference(_)
                    | Datum::Object { .. } => None,
                })
                .collect();
            match named {
                Some(members) => Value::Object(members),
                None => entries.iter().map(|(key, value)| Value::Array(vec![to_json(key), to_json(value)])).collect(),
            }
        }
        Datum::Reference(path) => object([("twin", Value::String(path.clone()))]),
        Datum::Object { .. } if let Some((number, unit)) = datum.as_quantity() => {
            object([("number", to_json(number)), ("unit", Value::String(unit.to_owned()))])
        }
        Datum::Object { prototype, slots } => {
            let slots = slots.iter().map(|(name, value)| (name.clone(), to_json(value))).collect();
            object([("prototype", Value::String(prototype.clone())), ("slots", Value::Object(slots))])
        }
    }
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A number with exactly these digits (the library's `arbitrary_precision`).
fn exact(digits: &str) -> Value {
    match digits.parse::<Number>() {
        Ok(number) => Value::Number(number),
        Err(_) => Value::String(digits.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(datum: &str, json: &str) {
        let datum = Datum::literal(datum).expect("a literal");
        assert_eq!(text(&datum), json);
    }

    #[test]
    fn every_kind_of_datum_has_a_json_form() {
        check("#(nil true 3 -2.5 3.50s2)", "[null,true,3,-2.5,3.50]");
        check("#($a 'it''s' #sym #[1 2])", r#"["a","it's","sym",[1,2]]"#);
        check("123456789012345678901234567890", "123456789012345678901234567890");
        check("plant-1/pump-7", r#"{"twin":"plant-1/pump-7"}"#);
        assert_eq!(text(&Datum::Float(f64::INFINITY)), r#""Infinity""#);
        assert_eq!(text(&Datum::row([("b", Datum::from(1)), ("a", Datum::Nil)])), r#"{"b":1,"a":null}"#);
        assert_eq!(text(&Datum::Dictionary(vec![(Datum::from(1), Datum::from("x"))])), r#"[[1,"x"]]"#);
        let pump = Datum::Object { prototype: "Pump".to_owned(), slots: vec![("rpm".to_owned(), Datum::from(3))] };
        assert_eq!(text(&pump), r#"{"prototype":"Pump","slots":{"rpm":3}}"#);
    }

    #[test]
    fn what_json_has_comes_back_the_same() {
        for json in
            [r#"[null,true,3,2.5,"x",{"twin":"a/b"},{"z":1,"a":[]}]"#, "123456789012345678901234567890", "1e300"]
        {
            let datum = parse(json).expect("JSON");
            assert_eq!(parse(&text(&datum)).expect("JSON"), datum);
        }
        assert_eq!(text(&parse("1.0").expect("JSON")), "1.0");
    }

    #[test]
    fn what_is_no_json_says_where() {
        assert_eq!(
            parse("{\"a\": }").map_err(|error| error.to_string()),
            Err("expected value at line 1 column 7".to_owned())
        );
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
