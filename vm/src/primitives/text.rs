//! `String`, `Symbol` and `Character`.
//!
//! Text is UTF-8; indices and sizes are of characters. A string whose bytes are all below 128 says so in a
//! flag, and then a character is found by its index at once. What a primitive answers is immutable.

use num_bigint::BigInt;
use num_traits::{Num, ToPrimitive};

use crate::fault::ExceptionKind;
use crate::heap;
use crate::primitive::{Row, Stop, Window};
use crate::primitives::hashed::character_hash;
use crate::primitives::integer::BITS_MAX;
use crate::primitives::support::hash_bytes;
use crate::value::{Kind, Value};
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("String.size", size),
    ("String.byteSize", byte_size),
    ("String.at:", at),
    ("String.at:put:", at_put),
    ("String.copyFrom:to:", copy_range),
    ("String.,", concatenate),
    ("String.=", equal),
    ("String.<", less),
    ("String.hash", hash),
    ("String.asArray", as_array),
    ("String.asBytes", as_bytes),
    ("String.asSymbol", as_symbol),
    ("String.asInteger", as_integer),
    ("String.parseNumber", parse_number),
    ("String.asUppercase", as_uppercase),
    ("String.asLowercase", as_lowercase),
    ("String.trim", trim),
    ("String.trimLeft", trim_left),
    ("String.trimRight", trim_right),
    ("String.reversed", reversed),
    ("String.indexOf:startingAt:", index_of),
    ("String.indexOfSubstring:startingAt:", index_of_substring),
    ("String.startsWith:", starts_with),
    ("String.endsWith:", ends_with),
    ("String.replaceAll:with:", replace_all),
    ("String.arraySplit:", split),
    ("String.arrayWords", words),
    ("String.arrayLines", lines),
    ("String.printString", print_string),
    ("String class.new:withAll:", new_filled),
    ("String class.fromArray:", from_array),
    ("Symbol.asString", symbol_as_string),
    ("Symbol.isSelector", is_selector),
    ("Character.codePoint", code_point),
    ("Character.asString", character_as_string),
    ("Character.hash", character_hash_row),
    ("Character.isLetter", is_letter),
    ("Character.isWhitespace", is_whitespace),
    ("Character.isUppercase", is_uppercase),
    ("Character.isLowercase", is_lowercase),
    ("Character.asUppercase", character_upper),
    ("Character.asLowercase", character_lower),
    ("Character.digitValue", digit_value),
    ("Character class.value:", character_of),
];

/// How many characters a text has.
fn count(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

/// The byte at which the character at `index`, counted from 0, starts; the end for one past the last.
fn byte_of(text: &str, index: usize) -> usize {
    if text.is_ascii() {
        return index.min(text.len());
    }
    text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte)
}

/// The number of the character that starts at `byte`, counted from 0.
fn character_at_byte(text: &str, byte: usize) -> usize {
    count(&text[..byte])
}

/// Whether the receiver says that each of its characters is one byte, without a look at them.
#[inline]
fn is_flagged_ascii(vm: &Vm, value: Value) -> bool {
    value.is_pointer() && vm.heap.has_flags(value, heap::ASCII)
}

fn size(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let is_ascii = is_flagged_ascii(vm, window.receiver(vm));
    let text = vm.receiver_text(window)?;
    Ok(Value::small(if is_ascii { text.len() } else { count(text) } as i64))
}

fn byte_size(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::small(vm.receiver_text(window)?.len() as i64))
}

fn at(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let is_ascii = is_flagged_ascii(vm, window.receiver(vm));
    let text = vm.receiver_text(window)?;
    let length = text.len();
    if is_ascii {
        let index = vm.index_within(window.argument(vm, 0), length)?;
        return Ok(Value::character(char::from(vm.receiver_text(window)?.as_bytes()[index])));
    }
    let size = count(text);
    vm.spend(length / 64)?;
    let index = vm.index_within(window.argument(vm, 0), size)?;
    let character = vm.receiver_text(window)?.chars().nth(index);
    Ok(Value::character(character.expect("the index was checked")))
}

fn at_put(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?;
    let size = count(text);
    let receiver = window.receiver(vm);
    let index = vm.index_within(window.argument(vm, 0), size)?;
    let value = window.argument(vm, 1);
    let Some(character) = value.as_character() else { return Err(vm.wrong_argument("a character", value)) };
    if !receiver.is_pointer() {
        return Err(
            vm.raise(ExceptionKind::Immutable, "a symbol is immutable; asString copy gives text that can change")
        );
    }
    let text = vm.receiver_text(window)?;
    let start = byte_of(text, index);
    let present = text[start..].chars().next().expect("the index was checked").len_utf8();
    if present != character.len_utf8() {
        let text = format!(
            "at:put: replaces a character by one of as many bytes in UTF-8, but here lie {present} and `{character}` \
             takes {}: build a new string instead, with a stream or replaceAll:with:",
            character.len_utf8()
        );
        return Err(vm.raise(ExceptionKind::ArgumentError, text));
    }
    vm.prepare_write(receiver)?;
    let mut bytes = [0; 4];
    let encoded = character.encode_utf8(&mut bytes).as_bytes();
    vm.heap.init_bytes(receiver)[start..start + encoded.len()].copy_from_slice(encoded);
    Ok(value)
}

fn copy_range(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let size = count(vm.receiver_text(window)?);
    let range = vm.range_within(window.argument(vm, 0), window.argument(vm, 1), size)?;
    let text = vm.receiver_text(window)?;
    let start = byte_of(text, range.start);
    let end = start + byte_of(&text[start..], range.len());
    let part = text[start..end].to_owned();
    vm.spend(part.len() / 64)?;
    vm.new_string(&part)
}

fn concatenate(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let argument = window.argument(vm, 0);
    let Some(more) = vm.piece_of_text(argument) else {
        let class = vm.class_name(argument);
        let text = format!("`,` puts text behind text, but the argument is of {class}: send it `asString` first");
        return Err(vm.raise(ExceptionKind::ArgumentError, text));
    };
    let text = vm.receiver_text(window)?;
    let mut answer = String::with_capacity(text.len() + more.len());
    answer.push_str(text);
    answer.push_str(&more);
    vm.check_text_room(answer.len())?;
    vm.new_string(&answer)
}

fn equal(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    vm.receiver_text(window)?;
    let (receiver, argument) = (window.receiver(vm), window.argument(vm, 0));
    Ok(Value::boolean(receiver == argument || vm.as_text(receiver) == vm.as_text(argument)))
}

fn less(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    vm.argument_text(window, 0)?;
    vm.receiver_text(window)?;
    let (receiver, argument) = (window.receiver(vm), window.argument(vm, 0));
    // Bytes of UTF-8 are in the order of the code points.
    Ok(Value::boolean(vm.as_text(receiver) < vm.as_text(argument)))
}

fn hash(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::small(hash_bytes(vm.receiver_text(window)?.as_bytes()) as i64))
}

fn as_array(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?.to_owned();
    vm.spend(text.len() / 16)?;
    let array = vm.allocate_indexed(vm.known.array, count(&text))?;
    for (index, character) in text.chars().enumerate() {
        vm.heap.init_element(array, index, Value::character(character));
    }
    Ok(array)
}

fn as_bytes(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?.to_owned();
    vm.spend(text.len() / 64)?;
    let bytes = vm.allocate_bytes(vm.known.byte_array, text.len(), 0)?;
    vm.heap.init_bytes(bytes).copy_from_slice(text.as_bytes());
    Ok(bytes)
}

/// Bytes that a symbol may have: names stay in memory as long as the machine.
const SYMBOL_BYTES_MAX: usize = 1024;

fn as_symbol(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?;
    if text.len() > SYMBOL_BYTES_MAX {
        let text = format!("a symbol has at most {SYMBOL_BYTES_MAX} bytes");
        return Err(vm.raise(ExceptionKind::ArgumentError, text));
    }
    let name = text.to_owned();
    vm.spend(1)?;
    Ok(Value::symbol(vm.symbols.intern(&name).0))
}

/// Digits of an integer within the limit of bits, in a base, with a sign perhaps.
fn parse_integer(text: &str, radix: u32) -> Option<BigInt> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    if !is_number || digits.len() as u64 > BITS_MAX / 3 {
        return None;
    }
    let number = BigInt::from_str_radix(text, radix).ok()?;
    (number.bits() <= BITS_MAX).then_some(number)
}

fn as_integer(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?.trim();
    let text = text.strip_prefix('+').unwrap_or(text).to_owned();
    vm.spend(text.len() * text.len() / 4096)?;
    match parse_integer(&text, 10) {
        Some(number) => vm.new_big_integer(&number),
        None => Ok(Value::NIL),
    }
}

/// What a number literal says.
enum Parsed {
    Integer(BigInt),
    Float(f64),
}

/// Digits alone; with a base before `r`; with a point, an exponent or both.
fn parse_literal(text: &str) -> Option<Parsed> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    if !rest.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    if let Some((base, digits)) = rest.split_once('r') {
        let base: u32 = base.parse().ok().filter(|base| (2..=36).contains(base))?;
        if digits.chars().any(|digit| digit.is_ascii_lowercase()) || digits.starts_with('-') {
            return None;
        }
        return parse_integer(&format!("{sign}{digits}"), base).map(Parsed::Integer);
    }
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.parse::<i32>().ok()?)),
        None => (rest, None),
    };
    if let Some((whole, part)) = mantissa.split_once('.') {
        let is_digits = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_digits(whole) || !is_digits(part) {
            return None;
        }
        return text.parse().ok().map(Parsed::Float);
    }
    let number = parse_integer(&format!("{sign}{mantissa}"), 10)?;
    match exponent {
        None => Some(Parsed::Integer(number)),
        Some(exponent @ 0..=10_000) => {
            let number = number * BigInt::from(10).pow(exponent.unsigned_abs());
            (number.bits() <= BITS_MAX).then_some(Parsed::Integer(number))
        }
        Some(_) => text.parse().ok().map(Parsed::Float),
    }
}

fn parse_number(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?.trim().to_owned();
    vm.spend(text.len() * text.len() / 4096)?;
    match parse_literal(&text) {
        Some(Parsed::Integer(number)) => vm.new_big_integer(&number),
        Some(Parsed::Float(number)) => vm.new_float(number),
        None => Ok(Value::NIL),
    }
}

fn as_uppercase(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?.to_uppercase();
    vm.check_text_room(text.len())?;
    vm.new_string(&text)
}

fn as_lowercase(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?.to_lowercase();
    vm.check_text_room(text.len())?;
    vm.new_string(&text)
}

fn trim(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?.trim().to_owned();
    vm.new_string(&text)
}

fn trim_left(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?.trim_start().to_owned();
    vm.new_string(&text)
}

fn trim_right(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?.trim_end().to_owned();
    vm.new_string(&text)
}

fn reversed(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text: String = vm.receiver_text(window)?.chars().rev().collect();
    vm.check_text_room(text.len())?;
    vm.new_string(&text)
}

/// The byte at which a search from the character at the argument, counted from 1, starts; `None` past the
/// end.
fn start_of_search(vm: &mut Vm, window: Window, index: usize) -> Result<Option<usize>, Stop> {
    let argument = window.argument(vm, index);
    let Some(start) = argument.as_integer() else { return Err(vm.wrong_argument("an integer as index", argument)) };
    let text = vm.receiver_text(window)?;
    let start = usize::try_from(start - 1).unwrap_or(0);
    Ok((start <= count(text)).then(|| byte_of(text, start)))
}

fn index_of(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let argument = window.argument(vm, 0);
    let start = start_of_search(vm, window, 1)?;
    let (Some(character), Some(start)) = (argument.as_character(), start) else { return Ok(Value::small(0)) };
    let text = vm.receiver_text(window)?;
    let found = text[start..].find(character).map_or(0, |byte| character_at_byte(text, start + byte) + 1);
    let cost = text.len() / 64;
    vm.spend(cost)?;
    Ok(Value::small(found as i64))
}

fn index_of_substring(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let part = vm.argument_text(window, 0)?.to_owned();
    let Some(start) = start_of_search(vm, window, 1)? else { return Ok(Value::small(0)) };
    let text = vm.receiver_text(window)?;
    let found = text[start..].find(&part).map_or(0, |byte| character_at_byte(text, start + byte) + 1);
    let cost = text.len() / 64;
    vm.spend(cost)?;
    Ok(Value::small(found as i64))
}

fn starts_with(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let argument = window.argument(vm, 0);
    let Some(prefix) = vm.piece_of_text(argument) else { return Err(vm.wrong_argument("a string", argument)) };
    Ok(Value::boolean(vm.receiver_text(window)?.starts_with(&prefix)))
}

fn ends_with(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let argument = window.argument(vm, 0);
    let Some(suffix) = vm.piece_of_text(argument) else { return Err(vm.wrong_argument("a string", argument)) };
    Ok(Value::boolean(vm.receiver_text(window)?.ends_with(&suffix)))
}

/// A text that is sought: not empty.
fn sought(vm: &mut Vm, window: Window, index: usize) -> Result<String, Stop> {
    let argument = window.argument(vm, index);
    match vm.piece_of_text(argument) {
        Some(text) if text.is_empty() => {
            Err(vm.raise(ExceptionKind::ArgumentError, "the text that is sought is empty"))
        }
        Some(text) => Ok(text),
        None => Err(vm.wrong_argument("a string or character", argument)),
    }
}

fn replace_all(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let old = sought(vm, window, 0)?;
    let argument = window.argument(vm, 1);
    let Some(new) = vm.piece_of_text(argument) else {
        return Err(vm.wrong_argument("a string or character", argument));
    };
    let text = vm.receiver_text(window)?;
    let (found, length) = (text.matches(&old).count(), text.len());
    vm.check_text_room(length + found.saturating_mul(new.len()))?;
    let text = vm.receiver_text(window)?.replace(&old, &new);
    vm.new_string(&text)
}

/// An array of the parts of the receiver, which `parts` finds. They are counted first: each takes more memory as an
/// object than it does as text.
fn array_of_parts<'a, P: Iterator<Item = &'a str>>(
    vm: &mut Vm,
    text: &'a str,
    parts: impl Fn(&'a str) -> P,
) -> Result<Value, Stop> {
    let count = parts(text).count();
    vm.check_text_room(text.len() + PART_BYTES * count)?;
    vm.spend(count)?;
    let parts: Vec<String> = parts(text).map(str::to_owned).collect();
    vm.new_array_of_strings(&parts)
}

/// What an empty string and its place in an array take.
const PART_BYTES: usize = 24;

fn split(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let separator = sought(vm, window, 0)?;
    let text = vm.receiver_text(window)?.to_owned();
    array_of_parts(vm, &text, |text| text.split(separator.as_str()))
}

fn words(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?.to_owned();
    array_of_parts(vm, &text, str::split_whitespace)
}

fn lines(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?.to_owned();
    array_of_parts(vm, &text, str::lines)
}

fn print_string(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?;
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for character in text.chars() {
        quoted.push(character);
        if character == '\'' {
            quoted.push('\'');
        }
    }
    quoted.push('\'');
    vm.check_text_room(quoted.len())?;
    vm.new_string(&quoted)
}

/// A string of one character again and again, that can be changed.
fn new_filled(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let size = vm.size_argument(window.argument(vm, 0))?;
    let argument = window.argument(vm, 1);
    let Some(character) = argument.as_character() else { return Err(vm.wrong_argument("a character", argument)) };
    let mut bytes = [0; 4];
    let encoded = character.encode_utf8(&mut bytes).as_bytes();
    let length = size.saturating_mul(encoded.len());
    vm.check_text_room(length)?;
    let flags = if character.is_ascii() { heap::ASCII } else { 0 };
    let string = vm.allocate_bytes(vm.known.string, length, flags)?;
    for place in vm.heap.init_bytes(string).chunks_exact_mut(encoded.len()) {
        place.copy_from_slice(encoded);
    }
    Ok(string)
}

/// A string of the elements of an array, if they are all characters; else the array.
fn from_array(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let array = window.argument(vm, 0);
    let Some(elements) = vm.array_elements(array) else { return Err(vm.wrong_argument("an array", array)) };
    let text: Option<String> = elements.iter().map(|element| element.as_character()).collect();
    match text {
        Some(text) => {
            vm.check_text_room(text.len())?;
            vm.new_string(&text)
        }
        None => Ok(array),
    }
}

fn symbol_as_string(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?.to_owned();
    vm.new_string(&text)
}

/// Whether a symbol can be written without quotes.
fn is_selector(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.receiver_text(window)?;
    let starts_name = |first: char| first.is_ascii_alphabetic() || first == '_';
    let is_name = |part: &str| {
        part.starts_with(starts_name) && part.chars().all(|each| each.is_ascii_alphanumeric() || each == '_')
    };
    let is_operator = !text.is_empty() && text.chars().all(|each| "+-*/\\<>=~@%&?,|".contains(each));
    let is_keywords = text.strip_suffix(':').is_some_and(|parts| parts.split(':').all(is_name));
    Ok(Value::boolean(is_name(text) || is_operator || is_keywords))
}

// ---- characters ----

fn character(vm: &mut Vm, window: Window) -> Result<char, Stop> {
    let receiver = window.receiver(vm);
    match receiver.kind() {
        Kind::Character(character) => Ok(character),
        Kind::Integer(_)
        | Kind::Float(_)
        | Kind::Pointer
        | Kind::Nil
        | Kind::Boolean(_)
        | Kind::Symbol(_)
        | Kind::Part(_) => Err(vm.wrong_receiver("characters", receiver)),
    }
}

fn code_point(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::small(i64::from(u32::from(character(vm, window)?))))
}

fn character_as_string(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let character = character(vm, window)?;
    vm.new_string(character.encode_utf8(&mut [0; 4]))
}

fn character_hash_row(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::small(character_hash(character(vm, window)?) as i64))
}

fn is_letter(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::boolean(character(vm, window)?.is_alphabetic()))
}

fn is_whitespace(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::boolean(character(vm, window)?.is_whitespace()))
}

fn is_uppercase(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::boolean(character(vm, window)?.is_uppercase()))
}

fn is_lowercase(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::boolean(character(vm, window)?.is_lowercase()))
}

/// The only character of a case mapping, or the character itself where there are more.
fn single(character: char, mut mapped: impl Iterator<Item = char>) -> Value {
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => Value::character(one),
        (Some(_), Some(_)) | (None, _) => Value::character(character),
    }
}

fn character_upper(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let character = character(vm, window)?;
    Ok(single(character, character.to_uppercase()))
}

fn character_lower(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let character = character(vm, window)?;
    Ok(single(character, character.to_lowercase()))
}

fn digit_value(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::small(character(vm, window)?.to_digit(36).map_or(-1, i64::from)))
}

fn character_of(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let argument = window.argument(vm, 0);
    let Some(number) = vm.as_big_integer(argument) else { return Err(vm.wrong_argument("an integer", argument)) };
    match number.to_u32().and_then(char::from_u32) {
        Some(character) => Ok(Value::character(character)),
        None => Err(vm.raise(ExceptionKind::ArgumentError, format!("no character has the code point {number}"))),
    }
}
