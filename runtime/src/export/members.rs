//! The members of a JSON object, taken one by one; what nobody takes is refused.

use num_bigint::BigInt;

use crate::datum::Datum;
use crate::time;

/// Members that have not been taken yet.
pub(super) struct Members {
    of: &'static str,
    members: Vec<(String, Datum)>,
}

impl Members {
    /// Those of an object; `of` says in messages what it is.
    pub fn of(datum: Datum, of: &'static str) -> Result<Members, String> {
        if let Some((number, unit)) = datum.as_quantity() {
            // An object with these two members reads like a quantity.
            let members = vec![("number".to_owned(), number.clone()), ("unit".to_owned(), Datum::from(unit))];
            return Ok(Members { of, members });
        }
        let members = match datum {
            Datum::Dictionary(members) => {
                let named = members.into_iter().map(|(name, value)| match name {
                    Datum::String(name) => Some((name, value)),
                    _ => None,
                });
                named.collect::<Option<Vec<_>>>().ok_or_else(|| format!("{of} is a JSON object"))?
            }
            Datum::Reference(path) => vec![("twin".to_owned(), Datum::String(path))],
            _ => return Err(format!("{of} is a JSON object")),
        };
        Ok(Members { of, members })
    }

    /// The value of `name`, if it is there.
    pub fn take(&mut self, name: &str) -> Option<Datum> {
        let at = self.members.iter().position(|(member, _)| member == name)?;
        Some(self.members.remove(at).1)
    }

    /// Whether `name` is there.
    pub fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(member, _)| member == name)
    }

    /// All that are left, in their order.
    pub fn rest(self) -> Vec<(String, Datum)> {
        self.members
    }

    fn want(&mut self, name: &str) -> Result<Datum, String> {
        self.take(name).ok_or_else(|| format!("{} has no `{name}`", self.of))
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Result<String, String> {
        let datum = self.want(name)?;
        text_of(name, datum)
    }

    /// A text that may be missing.
    pub fn text_or_none(&mut self, name: &str) -> Result<Option<String>, String> {
        self.take(name).map(|datum| text_of(name, datum)).transpose()
    }

    /// A number from 0 to 2^64 - 1.
    pub fn number(&mut self, name: &str) -> Result<u64, String> {
        let datum = self.want(name)?;
        number_of(name, &datum)
    }

    /// A number that may be missing.
    pub fn number_or_none(&mut self, name: &str) -> Result<Option<u64>, String> {
        self.take(name).map(|datum| number_of(name, &datum)).transpose()
    }

    /// A number of 32 bits.
    pub fn number32(&mut self, name: &str) -> Result<u32, String> {
        u32::try_from(self.number(name)?).map_err(|_| format!("`{name}` is a number of 32 bits"))
    }

    /// Elements; none if they are missing.
    pub fn elements(&mut self, name: &str) -> Result<Vec<Datum>, String> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Datum::Array(elements)) => Ok(elements),
            Some(_) => Err(format!("`{name}` is an array")),
        }
    }

    /// Whether it is there and true.
    pub fn flag(&mut self, name: &str) -> Result<bool, String> {
        match self.take(name) {
            None => Ok(false),
            Some(Datum::Bool(flag)) => Ok(flag),
            Some(_) => Err(format!("`{name}` is true or false")),
        }
    }

    /// Bytes in hexadecimal digits, if they are there.
    pub fn bytes_or_none(&mut self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let Some(text) = self.text_or_none(name)? else { return Ok(None) };
        hex_of(&text).map(Some).ok_or_else(|| format!("`{name}` is bytes in hexadecimal digits"))
    }

    /// Bytes of a length that is known.
    pub fn bytes<const N: usize>(&mut self, name: &str) -> Result<[u8; N], String> {
        let bytes = self.bytes_or_none(name)?.ok_or_else(|| format!("{} has no `{name}`", self.of))?;
        bytes.try_into().map_err(|_| format!("`{name}` is {N} bytes in hexadecimal digits"))
    }

    /// A moment, if it is there.
    pub fn moment_or_none(&mut self, name: &str) -> Result<Option<i64>, String> {
        let moment = self.take(name).map(|datum| match datum {
            Datum::String(text) => time::parse_moment_ns(&text),
            Datum::Int(number) => i64::try_from(number).ok(),
            _ => None,
        });
        moment.map(|moment| moment.ok_or_else(|| format!("`{name}` is a time"))).transpose()
    }

    /// Nothing is left.
    pub fn end(self) -> Result<(), String> {
        match self.members.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("{} has no member `{name}`", self.of)),
        }
    }
}

fn text_of(name: &str, datum: Datum) -> Result<String, String> {
    match datum {
        Datum::String(text) => Ok(text),
        _ => Err(format!("`{name}` is a string")),
    }
}

fn number_of(name: &str, datum: &Datum) -> Result<u64, String> {
    let number = match datum {
        Datum::Int(number) => u64::try_from(number).ok(),
        _ => None,
    };
    number.ok_or_else(|| format!("`{name}` is a number from 0 to 2^64 - 1"))
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> Datum {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    Datum::String(digits.map(char::from).collect())
}

/// The bytes of hexadecimal digits.
pub(super) fn hex_of(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}

/// A moment as text, or as nanoseconds since 1970 where the text would not be read as it.
pub(super) fn moment(moment_ns: i64) -> Datum {
    let text = time::moment_text(moment_ns);
    match time::parse_moment_ns(&text) {
        Some(read) if read == moment_ns => Datum::String(text),
        Some(_) | None => Datum::Int(BigInt::from(moment_ns)),
    }
}
