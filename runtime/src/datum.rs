//! A plain value outside the VM: what comes in with a message and goes out with an answer.
//!
//! A [`Datum`] is a tree without identity. It is written as the language writes literals, so that an
//! answer can be pasted into source or into the next `send`; `crate::json` has the JSON form. Reading
//! ([`Datum::literal`], [`message`]) takes literals and paths and evaluates nothing.

use std::fmt::{self, Write as _};
use std::iter::Peekable;
use std::str::CharIndices;

use num_bigint::BigInt;
use num_integer::Integer;
use twintalk_bytecode::units::{self, Unit};

use crate::time::moment_text;

/// How deep literal arrays may be nested.
pub const LITERAL_DEPTH_MAX: usize = 64;
/// The zeros that an exponent or scale may add to an integer, as in the compiler.
const EXPONENT_MAX: u32 = 10_000;

/// A plain value.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    /// `nil`.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// An integer of any size.
    Int(BigInt),
    /// A float.
    Float(f64),
    /// `3.50s2`: `unscaled` times 10^-`scale`.
    Decimal {
        /// The digits as an integer, 350.
        unscaled: BigInt,
        /// How many of them are behind the point, 2.
        scale: u32,
    },
    /// `$a`.
    Char(char),
    /// `'text'`.
    String(String),
    /// `#symbol`.
    Symbol(String),
    /// `#(1 2 3)`; lists and sets are arrays too.
    Array(Vec<Datum>),
    /// `#[1 2 3]`.
    Bytes(Vec<u8>),
    /// Keys with values, in the order they came.
    Dictionary(Vec<(Datum, Datum)>),
    /// A twin, by its path.
    Reference(String),
    /// Any other object, as it looks from outside.
    Object {
        /// The prototype's name.
        prototype: String,
        /// The slots, in order.
        slots: Vec<(String, Datum)>,
    },
}

/// Why a text is no literal or message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The byte offset in the text.
    pub offset: usize,
    /// What is wrong there, without a full stop.
    pub reason: String,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at character {})", self.reason, self.offset + 1)
    }
}

impl std::error::Error for ReadError {}

impl From<i64> for Datum {
    fn from(number: i64) -> Datum {
        Datum::Int(number.into())
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Datum {
        Datum::String(text.to_owned())
    }
}

impl Datum {
    /// The value of a text that is one literal or one path.
    ///
    /// # Errors
    /// [`ReadError`] for anything else, an expression for instance.
    pub fn literal(text: &str) -> Result<Datum, ReadError> {
        let mut reader = Reader::new(text);
        reader.skip_spaces();
        let datum = reader.argument(0)?;
        reader.end()?;
        Ok(datum)
    }

    /// The value of a field of a table: a number if the field is wholly a number literal, nil if it is
    /// empty, else a string. What is a number past all floats, or none, as programs write it, is not finite.
    pub fn field(text: &str) -> Datum {
        if text.is_empty() {
            return Datum::Nil;
        }
        if let Some(number) = number(text) {
            return number;
        }
        // `1e999`; `NaN`, `inf`, `-Infinity`: a sensor's way to say that it has nothing to say.
        match text.parse::<f64>() {
            Ok(number) if !number.is_finite() => Datum::Float(number),
            Ok(_) | Err(_) => Datum::String(text.to_owned()),
        }
    }

    /// So many of a unit: the kernel's Quantity.
    pub fn quantity(number: Datum, unit: &str) -> Datum {
        let slots = vec![("number".to_owned(), number), ("unit".to_owned(), Datum::from(unit))];
        Datum::Object { prototype: "Quantity".to_owned(), slots }
    }

    /// The number and the unit, if it is a quantity.
    pub fn as_quantity(&self) -> Option<(&Datum, &str)> {
        match self {
            Datum::Object { prototype, slots } if prototype == "Quantity" => match slots.as_slice() {
                [(number_name, number), (unit_name, Datum::String(unit))]
                    if number_name == "number" && unit_name == "unit" =>
                {
                    Some((number, unit))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether it is an object that is shown by its slots, rather than as what it stands for.
    pub(crate) fn is_shown_by_slots(&self) -> bool {
        match self {
            Datum::Object { prototype, slots } => {
                moment_ns(prototype, slots).is_none() && self.as_quantity().is_none() && !slots.is_empty()
            }
            _ => false,
        }
    }

    /// A length of time: the kernel's Duration.
    fn duration(number: &Datum, unit_ns: i64) -> Option<Datum> {
        let nanoseconds = match number {
            Datum::Int(count) => count * unit_ns,
            Datum::Float(count) => BigInt::from((count * unit_ns as f64).round() as i128),
            Datum::Decimal { unscaled, scale } => {
                let (product, power) = (unscaled * unit_ns, BigInt::from(10).pow(*scale));
                // To the nearest whole one, as the kernel does.
                let doubled: BigInt = product * 2 + &power;
                doubled.div_floor(&(power * 2))
            }
            _ => return None,
        };
        let slots = vec![("nanoseconds".to_owned(), Datum::Int(nanoseconds))];
        Some(Datum::Object { prototype: "Duration".to_owned(), slots })
    }

    /// Why it cannot be handed in from outside, if it cannot.
    pub fn refusal(&self) -> Option<String> {
        match self {
            Datum::Float(number) if !number.is_finite() => {
                Some(format!("{} is no number to go by", float_text(*number)))
            }
            Datum::Array(elements) => elements.iter().find_map(Datum::refusal),
            Datum::Reference(path) => twintalk_vm::reference::check_path(path).err(),
            Datum::Object { prototype, slots: _ } if prototype == "Duration" => None,
            Datum::Object { .. } | Datum::Dictionary(_) => match self.as_quantity() {
                Some((Datum::Int(_) | Datum::Float(_) | Datum::Decimal { .. }, unit))
                    if Unit::parse(unit).is_none() =>
                {
                    Some(format!("there is no unit `{unit}`"))
                }
                Some((number @ (Datum::Int(_) | Datum::Float(_) | Datum::Decimal { .. }), _)) => number.refusal(),
                Some(_) => Some("a quantity is a number and a unit".to_owned()),
                None => Some(
                    "only numbers, quantities, strings, symbols, booleans, nil, arrays and twins can be handed in"
                        .to_owned(),
                ),
            },
            Datum::Nil
            | Datum::Bool(_)
            | Datum::Int(_)
            | Datum::Float(_)
            | Datum::Decimal { .. }
            | Datum::Char(_)
            | Datum::String(_)
            | Datum::Symbol(_)
            | Datum::Bytes(_) => None,
        }
    }

    /// Whether the language can write it out as one literal.
    pub fn is_literal(&self) -> bool {
        match self {
            Datum::Nil
            | Datum::Bool(_)
            | Datum::Int(_)
            | Datum::Float(_)
            | Datum::Decimal { .. }
            | Datum::Char(_)
            | Datum::String(_)
            | Datum::Symbol(_)
            | Datum::Bytes(_) => true,
            Datum::Array(elements) => elements.iter().all(Datum::is_literal),
            Datum::Dictionary(_) | Datum::Reference(_) | Datum::Object { .. } => false,
        }
    }

    /// A dictionary whose keys are strings: a row of output.
    pub fn row<'a>(columns: impl IntoIterator<Item = (&'a str, Datum)>) -> Datum {
        Datum::Dictionary(columns.into_iter().map(|(name, value)| (Datum::from(name), value)).collect())
    }
}

/// The selector and the arguments of a message as it is written behind a receiver: `level`, `+ 3`,
/// `move: 3 to: plant-1/tank-2`. Arguments are literals or paths.
///
/// # Errors
/// [`ReadError`] when it is not one message, or an argument would have to be evaluated.
pub fn message(text: &str) -> Result<(String, Vec<Datum>), ReadError> {
    let mut reader = Reader::new(text);
    reader.skip_spaces();
    let mut selector = String::new();
    let mut arguments = Vec::new();
    match reader.peek() {
        None => return Err(reader.wrong("there is no message")),
        Some(first) if is_binary(first) => {
            selector = reader.take_while(is_binary).to_owned();
            reader.skip_spaces();
            arguments.push(reader.argument(0)?);
        }
        Some(first) if is_name_start(first) => {
            while reader.peek().is_some() {
                let at = reader.offset();
                let name = reader.take_while(is_name);
                if name.is_empty() || !name.starts_with(is_name_start) {
                    return Err(ReadError { offset: at, reason: "a keyword such as `at:` belongs here".to_owned() });
                }
                selector.push_str(name);
                if reader.peek() != Some(':') {
                    if arguments.is_empty() {
                        break; // a unary message
                    }
                    let reason =
                        format!("`{name}` is no keyword; arguments are literals or paths, and nothing is evaluated");
                    return Err(ReadError { offset: at, reason });
                }
                reader.next();
                selector.push(':');
                reader.skip_spaces();
                arguments.push(reader.argument(0)?);
                reader.skip_spaces();
            }
        }
        Some(_) => return Err(reader.wrong("a message starts with its selector")),
    }
    reader.end()?;
    Ok((selector, arguments))
}

/// The number that `text` wholly is: `-3`, `16rFF`, `2.5`, `1e-7`, `3.50s2`, `1_000`; the compiler's
/// numbers, and a test compares them. With a point or an exponent below zero it is a float.
pub fn number(text: &str) -> Option<Datum> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let signed = |magnitude: BigInt| if negative { -magnitude } else { magnitude };
    let integer = |digits: &str, radix| Some(signed(BigInt::parse_bytes(digits.as_bytes(), radix)?));
    if let Some((radix, digits)) = unsigned.split_once('r') {
        let radix: u32 = decimal(radix)?.parse().ok().filter(|radix| (2..=36).contains(radix))?;
        let digits =
            digits.starts_with(|first: char| first.is_ascii_alphanumeric()).then(|| digits.replace('_', ""))?;
        return integer(&digits, radix).map(Datum::Int);
    }
    if let Some((mantissa, scale)) = unsigned.split_once('s') {
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (decimal(whole)?, decimal(fraction)?),
            None => (decimal(mantissa)?, String::new()),
        };
        let given = u32::try_from(fraction.len()).ok()?;
        let scale = if scale.is_empty() { given } else { decimal(scale)?.parse().ok()? };
        let zeros = scale.checked_sub(given).filter(|_| scale <= EXPONENT_MAX)?;
        let unscaled = integer(&format!("{whole}{fraction}"), 10)? * BigInt::from(10).pow(zeros);
        return Some(Datum::Decimal { unscaled, scale });
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (below_zero, exponent) = match exponent {
        None => (false, None),
        Some(exponent) => {
            (exponent.starts_with('-'), Some(decimal(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))?))
        }
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (decimal(whole)?, Some(decimal(fraction)?)),
        None => (decimal(mantissa)?, None),
    };
    if fraction.is_none() && !below_zero {
        let zeros: u32 =
            exponent.map_or(Some(0), |exponent| exponent.parse().ok()).filter(|zeros| *zeros <= EXPONENT_MAX)?;
        return Some(Datum::Int(integer(&whole, 10)? * BigInt::from(10).pow(zeros)));
    }
    let (minus, fraction) = (if below_zero { "-" } else { "" }, fraction.unwrap_or_default());
    let text = format!("{whole}.{fraction}0e{minus}{}", exponent.unwrap_or_else(|| "0".to_owned()));
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    Some(Datum::Float(if negative { -value } else { value }))
}

/// Decimal digits without the `_` between them; none where there is anything else.
fn decimal(text: &str) -> Option<String> {
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        && !(text.is_empty() || text.starts_with('_') || text.ends_with('_') || text.contains("__"));
    is_whole.then(|| text.replace('_', ""))
}

fn is_name_start(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_binary(character: char) -> bool {
    "+-*/\\~<>=@%|&?,!".contains(character)
}

/// Whether `text` may be a path: segments without the characters that no segment has.
fn is_path(text: &str) -> bool {
    text.split('/').all(|segment| {
        !matches!(segment, "" | "." | ".." | "-")
            && !segment.contains(|character: char| character.is_control() || "#+*?{}".contains(character))
    })
}

struct Reader<'a> {
    text: &'a str,
    characters: Peekable<CharIndices<'a>>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Reader<'a> {
        Reader { text, characters: text.char_indices().peekable() }
    }

    fn peek(&mut self) -> Option<char> {
        self.characters.peek().map(|(_, character)| *character)
    }

    fn next(&mut self) -> Option<char> {
        self.characters.next().map(|(_, character)| character)
    }

    fn offset(&mut self) -> usize {
        self.characters.peek().map_or(self.text.len(), |(offset, _)| *offset)
    }

    fn wrong(&mut self, reason: &str) -> ReadError {
        ReadError { offset: self.offset(), reason: reason.to_owned() }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let start = self.offset();
        while self.characters.next_if(|(_, character)| wanted(*character)).is_some() {}
        let end = self.offset();
        &self.text[start..end]
    }

    fn skip_spaces(&mut self) {
        self.take_while(char::is_whitespace);
    }

    fn end(&mut self) -> Result<(), ReadError> {
        self.skip_spaces();
        match self.peek() {
            None => Ok(()),
            Some(_) => {
                Err(self
                    .wrong("nothing more can stand here: arguments are literals or paths, and nothing is evaluated"))
            }
        }
    }

    /// A literal or a path; `depth` counts the arrays around it.
    fn argument(&mut self, depth: usize) -> Result<Datum, ReadError> {
        if depth > LITERAL_DEPTH_MAX {
            return Err(self.wrong("arrays are nested too deep"));
        }
        let in_array = depth > 0;
        match self.peek() {
            None => Err(self.wrong("a literal or a path is missing")),
            Some('\'') => Ok(Datum::String(self.quoted()?)),
            Some('$') => {
                self.next();
                self.next().map(Datum::Char).ok_or_else(|| self.wrong("a character belongs behind `$`"))
            }
            Some('#') => self.hash(depth),
            Some('(') if in_array => self.array(depth),
            Some('[') if in_array => self.bytes(),
            Some(_) => {
                let start = self.offset();
                let word = self.take_while(|character| !character.is_whitespace() && !"()[]'".contains(character));
                match word {
                    "nil" => return Ok(Datum::Nil),
                    "true" => return Ok(Datum::Bool(true)),
                    "false" => return Ok(Datum::Bool(false)),
                    _ => {}
                }
                if let Some(number) = number(word) {
                    Ok(if in_array { number } else { self.with_unit(number) })
                } else if in_array && is_symbol(word) {
                    Ok(Datum::Symbol(word.to_owned()))
                } else if !in_array && is_path(word) && !word.ends_with(':') {
                    Ok(Datum::Reference(word.to_owned()))
                } else {
                    let reason =
                        format!("`{}` is neither a literal nor a path, and nothing is evaluated", self.from(start));
                    Err(ReadError { offset: start, reason })
                }
            }
        }
    }

    /// The number, or a quantity of it where a unit follows, as one word (`3 bars`) or as symbols (`3 m3/h`); a duration
    /// where that is `10 seconds`.
    fn with_unit(&mut self, number: Datum) -> Datum {
        let before = self.characters.clone();
        self.skip_spaces();
        let word = self.take_while(|character| !character.is_whitespace());
        let unit = match units::duration_of_word(word) {
            Some(unit_ns) => Datum::duration(&number, unit_ns),
            None => units::of_word(word)
                .map(str::to_owned)
                .or_else(|| Unit::parse(word).map(|unit| unit.to_string()))
                .map(|unit| Datum::quantity(number.clone(), &unit)),
        };
        unit.unwrap_or_else(|| {
            self.characters = before;
            number
        })
    }

    /// The text from `start` to the next space, for messages.
    fn from(&mut self, start: usize) -> &'a str {
        self.text[start..].split_whitespace().next().unwrap_or("")
    }

    /// What starts with `#`: a symbol, an array or bytes.
    fn hash(&mut self, depth: usize) -> Result<Datum, ReadError> {
        self.next();
        match self.peek() {
            Some('(') => self.array(depth),
            Some('[') => self.bytes(),
            Some('\'') => Ok(Datum::Symbol(self.quoted()?)),
            Some(first) if is_binary(first) => Ok(Datum::Symbol(self.take_while(is_binary).to_owned())),
            Some(first) if is_name_start(first) => {
                Ok(Datum::Symbol(self.take_while(|character| is_name(character) || character == ':').to_owned()))
            }
            Some(_) | None => Err(self.wrong("a symbol, `(` or `[` belongs behind `#`")),
        }
    }

    /// From `(` to `)`.
    fn array(&mut self, depth: usize) -> Result<Datum, ReadError> {
        self.next();
        let mut elements = Vec::new();
        loop {
            self.skip_spaces();
            match self.peek() {
                None => return Err(self.wrong("the array has no `)`")),
                Some(')') => {
                    self.next();
                    return Ok(Datum::Array(elements));
                }
                Some(_) => elements.push(self.argument(depth + 1)?),
            }
        }
    }

    /// From `[` to `]`.
    fn bytes(&mut self) -> Result<Datum, ReadError> {
        self.next();
        let mut bytes = Vec::new();
        loop {
            self.skip_spaces();
            match self.peek() {
                None => return Err(self.wrong("the byte array has no `]`")),
                Some(']') => {
                    self.next();
                    return Ok(Datum::Bytes(bytes));
                }
                Some(_) => {
                    let offset = self.offset();
                    let word = self.take_while(is_name);
                    match number(word) {
                        Some(Datum::Int(value)) if u8::try_from(&value).is_ok() => bytes.extend(u8::try_from(&value)),
                        _ => return Err(ReadError { offset, reason: "a byte is an integer from 0 to 255".to_owned() }),
                    }
                }
            }
        }
    }

    /// From quote to quote; two stand for one inside.
    fn quoted(&mut self) -> Result<String, ReadError> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(self.wrong("the closing quote is missing")),
                Some('\'') if self.peek() != Some('\'') => return Ok(text),
                Some('\'') => {
                    self.next();
                    text.push('\'');
                }
                Some(character) => text.push(character),
            }
        }
    }
}

/// Whether a symbol of this text is written without quotes.
fn is_symbol(text: &str) -> bool {
    let keywords = text.strip_suffix(':').unwrap_or(text);
    let is_word = |part: &str| part.starts_with(is_name_start) && part.chars().all(is_name);
    (!text.is_empty() && text.chars().all(is_binary))
        || is_word(text)
        || (text.ends_with(':') && keywords.split(':').all(is_word))
}

/// As it is written in source: `at: 3 put: 'x'`; what the system sends itself, `<ensure:>`, likewise.
pub fn message_text(selector: &str, arguments: &[Datum]) -> String {
    let selector = selector.strip_prefix('<').and_then(|inside| inside.strip_suffix('>')).unwrap_or(selector);
    let mut keywords = selector.split_inclusive(':');
    let mut words: Vec<String> = Vec::new();
    if arguments.is_empty() {
        return selector.to_owned();
    }
    for argument in arguments {
        words.extend(keywords.next().map(str::to_owned));
        words.push(argument.to_string());
    }
    words.join(" ")
}

impl fmt::Display for Datum {
    /// As the language writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Datum::Nil => f.write_str("nil"),
            Datum::Bool(value) => write!(f, "{value}"),
            Datum::Int(value) => write!(f, "{value}"),
            Datum::Float(value) => f.write_str(&float_text(*value)),
            Datum::Decimal { unscaled, scale } => write!(f, "{}s{scale}", decimal_text(unscaled, *scale)),
            Datum::Char(character) => write!(f, "${character}"),
            Datum::String(text) => write_quoted(f, text),
            Datum::Symbol(text) => {
                f.write_char('#')?;
                if is_symbol(text) { f.write_str(text) } else { write_quoted(f, text) }
            }
            Datum::Array(elements) if self.is_literal() => {
                f.write_str("#(")?;
                write_list(f, elements, " ", |f, element| write!(f, "{element}"))?;
                f.write_char(')')
            }
            Datum::Array(elements) => {
                f.write_char('{')?;
                write_list(f, elements, ". ", |f, element| write!(f, "{element}"))?;
                f.write_char('}')
            }
            Datum::Bytes(bytes) => {
                f.write_str("#[")?;
                write_list(f, bytes, " ", |f, byte| write!(f, "{byte}"))?;
                f.write_char(']')
            }
            Datum::Dictionary(entries) => {
                f.write_str("Dictionary(")?;
                write_list(f, entries, " ", |f, (key, value)| write!(f, "{key}->{value}"))?;
                f.write_char(')')
            }
            Datum::Reference(path) => f.write_str(path),
            Datum::Object { prototype, slots } => {
                if let Some(moment_ns) = moment_ns(prototype, slots) {
                    return f.write_str(&moment_text(moment_ns));
                }
                if let Some((number, unit)) = self.as_quantity() {
                    return write!(f, "{number} {unit}");
                }
                let article = if prototype.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
                write!(f, "{article} {prototype}")?;
                if slots.is_empty() {
                    return Ok(());
                }
                f.write_char('(')?;
                write_list(f, slots, " ", |f, (name, value)| write!(f, "{name}: {value}"))?;
                f.write_char(')')
            }
        }
    }
}

/// The nanoseconds of the kernel's DateTime.
fn moment_ns(prototype: &str, slots: &[(String, Datum)]) -> Option<i64> {
    match (prototype, slots) {
        ("DateTime", [(name, Datum::Int(nanoseconds))]) if name == "nanoseconds" => nanoseconds.try_into().ok(),
        _ => None,
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    write!(f, "'{}'", text.replace('\'', "''"))
}

fn write_list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    separator: &str,
    mut write: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// The shortest text that reads as the same float.
pub(crate) fn float_text(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned()
    } else {
        let text = format!("{value:?}");
        // `1e100` is an integer where a literal has no point.
        match text.split_once('e') {
            Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0e{exponent}"),
            Some(_) | None => text,
        }
    }
}

/// `unscaled` with a point before its last `scale` digits.
pub(crate) fn decimal_text(unscaled: &BigInt, scale: u32) -> String {
    let scale = scale as usize;
    let digits = unscaled.magnitude().to_string();
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let minus = if unscaled.sign() == num_bigint::Sign::Minus { "-" } else { "" };
    let point = if scale == 0 { "" } else { "." };
    format!("{minus}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, shown: &str) {
        match Datum::literal(text) {
            Ok(datum) => assert_eq!(datum.to_string(), shown, "{datum:?}"),
            Err(error) => assert_eq!(format!("error: {error}"), shown),
        }
    }

    #[test]
    fn literals_print_as_the_language_writes_them() {
        for same in [
            "nil",
            "true",
            "false",
            "3",
            "-3",
            "3.5",
            "-0.25",
            "1.0e100",
            "1e-7",
            "3.50s2",
            "-0.05s2",
            "$a",
            "$ ",
            "'it''s'",
            "#foo",
            "#at:put:",
            "#+",
            "#'a b'",
            "#(1 #two 'three' #(4 5.0))",
            "#[1 2 255]",
            "plant-1/pump-7",
            "#()",
            "123456789012345678901234567890",
        ] {
            check(same, if same == "1e-7" { "1.0e-7" } else { same });
        }
    }

    #[test]
    fn what_has_no_literal_prints_as_the_kernel_prints_it() {
        let pump = Datum::Object { prototype: "Pump".to_owned(), slots: vec![("rpm".to_owned(), Datum::from(3))] };
        assert_eq!(Datum::Array(vec![Datum::from(1), pump]).to_string(), "{1. a Pump(rpm: 3)}");
        assert_eq!(Datum::row([("a", Datum::from(1)), ("b", Datum::Nil)]).to_string(), "Dictionary('a'->1 'b'->nil)");
        let moment = vec![("nanoseconds".to_owned(), Datum::from(1_500_000_000))];
        let moment = Datum::Object { prototype: "DateTime".to_owned(), slots: moment };
        assert_eq!(moment.to_string(), "1970-01-01T00:00:01.5Z");
    }

    #[test]
    fn numbers_are_read_as_the_language_reads_them() {
        check("16rFF", "255");
        check("-2r101", "-5");
        check("1_000", "1000");
        check("1e3", "1000");
        check("1.5e3", "1500.0");
        check("3s", "3s0");
        check("16rff", "255");
        check("2.5E+3", "2500.0");
        check("1E3", "1000");
        check("3s2", "3.00s2");
    }

    #[test]
    fn a_field_that_is_not_wholly_a_number_is_a_string() {
        for text in
            ["1.", ".5", "+5", "1 ", "1e", "1__0", "2014-01-01", "37r1", "16rfg", "-", "3.14159s2", "--1", "1.5.2"]
        {
            assert_eq!(Datum::field(text), Datum::from(text));
        }
        for text in ["NaN", "1e99999", "1.5e999", "-inf"] {
            assert!(matches!(Datum::field(text), Datum::Float(number) if !number.is_finite()), "{text}");
        }
        assert_eq!(Datum::field(""), Datum::Nil);
        assert_eq!(Datum::field("-12"), Datum::from(-12));
        assert_eq!(Datum::field("0.5"), Datum::Float(0.5));
    }

    #[test]
    fn words_in_an_array_are_symbols() {
        check("#(a b: c:d: (1) [2] nil)", "#(#a #b: #c:d: #(1) #[2] nil)");
    }

    #[test]
    fn what_would_be_evaluated_is_refused() {
        check(
            "3 + 4",
            "error: nothing more can stand here: arguments are literals or paths, and nothing is evaluated (at character 3)",
        );
        check("(3)", "error: `(3)` is neither a literal nor a path, and nothing is evaluated (at character 1)");
        check("{3}", "error: `{3}` is neither a literal nor a path, and nothing is evaluated (at character 1)");
        check("a//b", "error: `a//b` is neither a literal nor a path, and nothing is evaluated (at character 1)");
        check("'open", "error: the closing quote is missing (at character 6)");
        check("", "error: a literal or a path is missing (at character 1)");
        check(&"#(".repeat(200), "error: arrays are nested too deep (at character 131)");
    }

    fn check_message(text: &str, shown: &str) {
        let found = match message(text) {
            Ok((selector, arguments)) => {
                let arguments: Vec<String> = arguments.iter().map(Datum::to_string).collect();
                format!("{selector}({})", arguments.join(", "))
            }
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(found, shown);
    }

    #[test]
    fn a_message_is_unary_binary_or_keyword() {
        check_message("level", "level()");
        check_message(" + 3 ", "+(3)");
        check_message("fill: 3", "fill:(3)");
        check_message("move: 3.5 to: plant-1/tank-2", "move:to:(3.5, plant-1/tank-2)");
        check_message("at:#a put:-1", "at:put:(#a, -1)");
    }

    #[test]
    fn a_message_that_is_none_says_where() {
        check_message("", "error: there is no message (at character 1)");
        check_message("fill:", "error: a literal or a path is missing (at character 6)");
        check_message(
            "fill: 3 printNl",
            "error: `printNl` is no keyword; arguments are literals or paths, and nothing is evaluated (at character 9)",
        );
        check_message(
            "level printNl",
            "error: nothing more can stand here: arguments are literals or paths, and nothing is evaluated (at character 7)",
        );
        check_message("'x'", "error: a message starts with its selector (at character 1)");
    }

    #[test]
    fn a_number_may_have_a_unit() {
        let shown = |text: &str| {
            message(text).map(|(selector, arguments)| {
                let arguments: Vec<String> = arguments.iter().map(Datum::to_string).collect();
                format!("{selector} {}", arguments.join(" | "))
            })
        };
        let check = |text: &str, expected: &str| assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        check("fill: 3 bar", "fill: 3 bar");
        check("fill: 3.5 kilopascals from: plant-1/pump-7", "fill:from: 3.5 kPa | plant-1/pump-7");
        check("fill: 3 m3/h", "fill: 3 m3/h");
        check("fill: -2.50s2 celsius", "fill: -2.50s2 degC");
        check("wait: 1.5 minutes", "wait: a Duration(nanoseconds: 90000000000)");
        check("wait: 0.25s2 seconds then: 1 percent", "wait:then: a Duration(nanoseconds: 250000000) | 1 %");
        check("at: 3 min: 4", "at:min: 3 | 4");
        check("+ 3 metres", "+ 3 m");
        assert!(shown("fill: 3 smoots").is_err());
        assert!(shown("fill: 'x' bar").is_err());
        assert_eq!(Datum::literal("3 bar"), Ok(Datum::quantity(Datum::from(3), "bar")));
    }

    #[test]
    fn what_cannot_be_handed_in_says_why() {
        let refusal = |datum: Datum| datum.refusal();
        assert_eq!(refusal(Datum::field("1.5e999")).as_deref(), Some("Infinity is no number to go by"));
        assert_eq!(refusal(Datum::field("NaN")).as_deref(), Some("NaN is no number to go by"));
        assert_eq!(
            refusal(Datum::Array(vec![Datum::field("-inf")])).as_deref(),
            Some("-Infinity is no number to go by")
        );
        assert_eq!(refusal(Datum::quantity(Datum::from(3), "smoot")).as_deref(), Some("there is no unit `smoot`"));
        assert_eq!(
            refusal(Datum::quantity(Datum::from("3"), "m")).as_deref(),
            Some("a quantity is a number and a unit")
        );
        assert_eq!(refusal(Datum::quantity(Datum::from(3), "m")), None);
        assert_eq!(Datum::field("infra"), Datum::from("infra"));
    }
}
