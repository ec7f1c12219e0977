//! `JSON` and `CSV`: texts of data, read as nested arrays and strings; and strings written as JSON has them.
//!
//! JSON as RFC 8259 says, strictly; a JSON object is answered as an array that begins with the symbol `object`, followed
//! by each key and value, of which the kernel makes a dictionary. CSV as RFC 4180 says. What is wrong with a text is said with its
//! line and column, counted in characters. Each value costs fuel as it is read, so a long text ends the turn, not the machine.

use num_bigint::BigInt;

use crate::fault::ExceptionKind;
use crate::primitive::{Row, Stop, Window};
use crate::primitives::integer::BITS_MAX;
use crate::value::Value;
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("JSON class.treeOf:", tree_of),
    ("CSV class.arrayRows:separator:", array_rows),
    ("String.jsonString", json_string),
];

/// How many arrays and objects may stand in each other.
const DEPTH_MAX: usize = 500;

/// Why reading ended early.
enum Failure {
    /// The text is wrong at this byte.
    Text(usize, String),
    /// The VM has no fuel or room.
    Stop(Stop),
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Failure {
        Failure::Stop(stop)
    }
}

/// The error for a text that is wrong at `byte`.
#[cold]
fn wrong_text(vm: &mut Vm, format: &str, text: &str, byte: usize, what: &str) -> Stop {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    vm.raise(ExceptionKind::ArgumentError, format!("{format}, line {line}, column {column}: {what}"))
}

/// A text being read.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn peek_for(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// What stands here, for a message.
    fn here(&self) -> String {
        match self.text.get(self.at..).and_then(|rest| rest.chars().next()) {
            Some(character) if character.is_control() => format!("here is the character {}", u32::from(character)),
            Some(character) => format!("here is `{character}`"),
            None => "the text ends here".to_owned(),
        }
    }

    fn wanted(&self, what: &str) -> Failure {
        Failure::Text(self.at, format!("{what} is wanted, but {}", self.here()))
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, Failure> {
        let follows = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let rest = &self.text.as_bytes()[self.at..];
        if rest.starts_with(word.as_bytes()) && !rest.get(word.len()).is_some_and(follows) {
            self.at += word.len();
            return Ok(value);
        }
        Err(self.wanted("a value (a number, a string in double quotes, true, false, null, [ or {)"))
    }

    fn digits(&mut self) -> Result<(), Failure> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.wanted("a digit"));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self, vm: &mut Vm) -> Result<Value, Failure> {
        let start = self.at;
        self.peek_for(b'-');
        if self.peek_for(b'0') {
            if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                return Err(Failure::Text(start, "a number does not begin with a needless 0".to_owned()));
            }
        } else {
            self.digits()?;
        }
        let mut is_whole = true;
        if self.peek_for(b'.') {
            is_whole = false;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            is_whole = false;
            self.at += 1;
            if !self.peek_for(b'+') {
                self.peek_for(b'-');
            }
            self.digits()?;
        }
        let digits = &self.text[start..self.at];
        if !is_whole {
            let number: f64 = digits.parse().unwrap_or(f64::INFINITY);
            return match number.is_finite() {
                true => Ok(vm.new_float(number)?),
                false => Err(Failure::Text(start, "this number is past all floats".to_owned())),
            };
        }
        if let Ok(number) = digits.parse::<i64>() {
            return Ok(vm.new_integer(number)?);
        }
        vm.charge(u32::try_from(digits.len() * digits.len() / 4096).unwrap_or(u32::MAX))?;
        let number = match digits.len() as u64 > BITS_MAX / 3 {
            true => None,
            false => digits.parse::<BigInt>().ok().filter(|number| number.bits() <= BITS_MAX),
        };
        match number {
            Some(number) => Ok(vm.new_big_integer(&number)?),
            None => Err(Failure::Text(start, format!("an integer has at most {BITS_MAX} bits"))),
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Failure> {
        let digits = self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(unit) => {
                self.at += 4;
                Ok(unit)
            }
            None => Err(Failure::Text(self.at, "\\u is followed by four hexadecimal digits".to_owned())),
        }
    }

    /// The character behind a backslash.
    fn escape(&mut self) -> Result<char, Failure> {
        let start = self.at - 1;
        let Some(byte) = self.peek() else { return Err(self.wanted("an escape")) };
        self.at += 1;
        let character = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let mut unit = self.unit()?;
                let alone = || Failure::Text(start, "half of a surrogate pair stands alone here".to_owned());
                if (0xd800..0xdc00).contains(&unit) {
                    if !(self.peek_for(b'\\') && self.peek_for(b'u')) {
                        return Err(alone());
                    }
                    let low = self.unit()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(alone());
                    }
                    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                }
                char::from_u32(unit).ok_or_else(alone)?
            }
            _ => {
                return Err(Failure::Text(
                    start,
                    "an escape is one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u".to_owned(),
                ));
            }
        };
        Ok(character)
    }

    fn string(&mut self, vm: &mut Vm) -> Result<Value, Failure> {
        let start = self.at;
        self.at += 1;
        let mut built: Option<String> = None;
        let mut plain = self.at;
        loop {
            match self.peek() {
                None => return Err(Failure::Text(start, "this string has no end".to_owned())),
                Some(b'"') => break,
                Some(b'\\') => {
                    let text = built.get_or_insert_default();
                    text.push_str(&self.text[plain..self.at]);
                    self.at += 1;
                    let character = self.escape()?;
                    built.get_or_insert_default().push(character);
                    plain = self.at;
                }
                Some(byte) if byte < 0x20 => {
                    let what = format!("the character {byte} has to be written as an escape in a string");
                    return Err(Failure::Text(self.at, what));
                }
                Some(_) => self.at += 1,
            }
        }
        let rest = &self.text[plain..self.at];
        self.at += 1;
        vm.spend((self.at - start) / 64)?;
        Ok(match built {
            Some(text) => vm.new_string(&(text + rest))?,
            None => vm.new_string(rest)?,
        })
    }

    /// A value; its parts wait as handles until they are all there.
    fn value(&mut self, vm: &mut Vm, depth: usize) -> Result<Value, Failure> {
        vm.charge(1)?;
        self.skip_blanks();
        match self.peek() {
            Some(b'"') => self.string(vm),
            Some(b'-' | b'0'..=b'9') => self.number(vm),
            Some(b't') => self.word("true", Value::TRUE),
            Some(b'f') => self.word("false", Value::FALSE),
            Some(b'[' | b'{') if depth == DEPTH_MAX => {
                Err(Failure::Text(self.at, format!("arrays and objects nest at most {DEPTH_MAX} deep")))
            }
            Some(b'[') => self.parts(vm, depth, b']'),
            Some(b'{') => self.parts(vm, depth, b'}'),
            Some(_) | None => self.word("null", Value::NIL),
        }
    }

    /// An array, or an object: its keys and values one after the other behind a mark.
    fn parts(&mut self, vm: &mut Vm, depth: usize, end: u8) -> Result<Value, Failure> {
        let first = vm.run.handles.len();
        if end == b'}' {
            let mark = Value::symbol(vm.symbols.intern("object").0);
            vm.run.handles.push(mark);
        }
        self.at += 1;
        self.skip_blanks();
        if !self.peek_for(end) {
            loop {
                if end == b'}' {
                    self.skip_blanks();
                    if self.peek() != Some(b'"') {
                        return Err(self.wanted("a key, a string in double quotes,"));
                    }
                    let key = self.string(vm)?;
                    vm.run.handles.push(key);
                    self.skip_blanks();
                    if !self.peek_for(b':') {
                        return Err(self.wanted("`:` behind a key"));
                    }
                }
                let value = self.value(vm, depth + 1)?;
                vm.run.handles.push(value);
                self.skip_blanks();
                if self.peek_for(end) {
                    break;
                }
                if !self.peek_for(b',') {
                    return Err(self.wanted(if end == b']' { "`,` or `]`" } else { "`,` or `}`" }));
                }
            }
        }
        let array = vm.array_of_handles(first)?;
        vm.run.handles.truncate(first);
        Ok(array)
    }
}

fn tree_of(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.argument_text(window, 0)?.to_owned();
    vm.check_text_room(text.len())?;
    vm.with_handles(|vm, _| {
        let mut reader = Reader { text: &text, at: 0 };
        let value = reader.value(vm, 0).and_then(|value| {
            reader.skip_blanks();
            if reader.at == text.len() { Ok(value) } else { Err(reader.wanted("the end of the text")) }
        });
        match value {
            Ok(value) => Ok(value),
            Err(Failure::Stop(stop)) => Err(stop),
            Err(Failure::Text(byte, what)) => Err(wrong_text(vm, "JSON", &text, byte, &what)),
        }
    })
}

/// The text of a string in double quotes, with escapes where JSON wants them.
fn json_string(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?;
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            control if u32::from(control) < 0x20 => json.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => json.push(other),
        }
    }
    json.push('"');
    vm.check_text_room(json.len())?;
    vm.new_string(&json)
}

/// One field of a row, and whether the row goes on.
fn field(reader: &mut Reader, separator: char) -> Result<(String, bool), Failure> {
    let mut text = String::new();
    if reader.peek_for(b'"') {
        let start = reader.at - 1;
        loop {
            let rest = &reader.text[reader.at..];
            let Some(quote) = rest.find('"') else {
                return Err(Failure::Text(start, "this field in quotes has no end".to_owned()));
            };
            text.push_str(&rest[..quote]);
            reader.at += quote + 1;
            if !reader.peek_for(b'"') {
                break;
            }
            text.push('"');
        }
    } else {
        let rest = &reader.text[reader.at..];
        let end = rest.find([separator, '\n']).unwrap_or(rest.len());
        let is_line_end = !rest[end..].starts_with(separator);
        let plain = if is_line_end { rest[..end].strip_suffix('\r').unwrap_or(&rest[..end]) } else { &rest[..end] };
        if let Some(quote) = plain.find('"') {
            let what = "a quote inside a field: quotes stand round the whole field, and are doubled in it";
            return Err(Failure::Text(reader.at + quote, what.to_owned()));
        }
        text.push_str(plain);
        reader.at += plain.len();
    }
    let rest = &reader.text[reader.at..];
    if rest.starts_with(separator) {
        reader.at += separator.len_utf8();
        return Ok((text, true));
    }
    for end in ["\r\n", "\n"] {
        if rest.starts_with(end) {
            reader.at += end.len();
            return Ok((text, false));
        }
    }
    if rest.is_empty() { Ok((text, false)) } else { Err(reader.wanted("the end of the field")) }
}

fn array_rows(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.argument_text(window, 0)?.to_owned();
    let argument = window.argument(vm, 1);
    let separator = argument.as_character().filter(|separator| !['"', '\r', '\n'].contains(separator));
    let Some(separator) = separator else {
        return Err(vm.wrong_argument("a character other than a quote or line end, as separator,", argument));
    };
    vm.check_text_room(text.len())?;
    vm.with_handles(|vm, first| {
        let mut reader = Reader { text: &text, at: 0 };
        while reader.at < text.len() {
            let row = vm.run.handles.len();
            loop {
                vm.charge(1)?;
                let (field, goes_on) = match field(&mut reader, separator) {
                    Ok(field) => field,
                    Err(Failure::Stop(stop)) => return Err(stop),
                    Err(Failure::Text(byte, what)) => return Err(wrong_text(vm, "CSV", &text, byte, &what)),
                };
                let field = vm.new_string(&field)?;
                vm.run.handles.push(field);
                if !goes_on {
                    break;
                }
            }
            let fields = vm.array_of_handles(row)?;
            vm.run.handles.truncate(row);
            vm.run.handles.push(fields);
        }
        vm.array_of_handles(first)
    })
}
