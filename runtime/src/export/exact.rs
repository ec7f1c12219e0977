//! Values, twins and changes as JSON, with all that their bytes say.
//!
//! Integers, floats, strings, nil and booleans are those of JSON; all else is an object whose first member says what it is.

use twintalk_vm::Shapes;
use twintalk_vm::exact::{
    Contents, Exact, ExactBlock, ExactChange, ExactDelta, ExactImage, ExactPromise, read_arguments, read_delta,
    read_image, read_value, write_arguments, write_delta, write_image, write_value,
};

use super::members::{Members, hex, hex_of};
use crate::datum::Datum;

fn in_hex(bytes: &[u8]) -> Datum {
    Datum::row([("hex", hex(bytes))])
}

/// The bytes of `{"hex": …}`; else what it is.
fn hex_or(datum: Datum) -> Result<Result<Vec<u8>, Datum>, String> {
    let text = match &datum {
        Datum::Dictionary(members) => match members.as_slice() {
            [(Datum::String(name), Datum::String(text))] if name == "hex" => text,
            _ => return Ok(Err(datum)),
        },
        _ => return Ok(Err(datum)),
    };
    hex_of(text).map(Ok).ok_or_else(|| "`hex` is bytes in hexadecimal digits".to_owned())
}

/// Arguments: an array, or bytes that are none.
pub(super) fn arguments(bytes: &[u8], shapes: &Shapes) -> Datum {
    match read_arguments(bytes, shapes) {
        Ok(values) if write_arguments(&values) == bytes => {
            Datum::Array(values.iter().map(|value| datum(value, shapes)).collect())
        }
        Ok(_) | Err(_) => in_hex(bytes),
    }
}

/// What [`arguments`] made.
pub(super) fn arguments_of(datum: Datum) -> Result<Vec<u8>, String> {
    match hex_or(datum)? {
        Ok(bytes) => Ok(bytes),
        Err(Datum::Array(values)) => {
            Ok(write_arguments(&values.into_iter().map(exact).collect::<Result<Vec<_>, _>>()?))
        }
        Err(_) => Err("arguments are an array".to_owned()),
    }
}

/// One value.
pub(super) fn value(bytes: &[u8], shapes: &Shapes) -> Datum {
    match read_value(bytes, shapes) {
        Ok(value) if write_value(&value) == bytes => datum(&value, shapes),
        Ok(_) | Err(_) => in_hex(bytes),
    }
}

/// What [`value`] made.
pub(super) fn value_of(datum: Datum) -> Result<Vec<u8>, String> {
    match hex_or(datum)? {
        Ok(bytes) => Ok(bytes),
        Err(datum) => Ok(write_value(&exact(datum)?)),
    }
}

/// A twin at rest, and the number of its shape.
pub(super) fn image(bytes: &[u8], shapes: &Shapes) -> (Datum, Option<u32>) {
    match read_image(bytes, shapes) {
        Ok(image) if write_image(&image) == bytes => {
            let ExactImage { shape, counter, answered, waiting, apart, held, slots } = image;
            let mut row =
                vec![("shape", number(shape.into())), ("of", of(shape, shapes)), ("counter", number(counter.into()))];
            row.extend(answered.map(|answered| ("answered", number(answered))));
            if !waiting.is_empty() {
                row.push(("waiting", all(&waiting, shapes)));
            }
            if apart > 0 {
                let held = held.iter().map(|(object, count)| {
                    Datum::row([("value", datum(object, shapes)), ("times", number((*count).into()))])
                });
                row.extend([("apart", number(apart.into())), ("held", Datum::Array(held.collect()))]);
            }
            row.push(("slots", slots_datum(shape, &slots, shapes)));
            (Datum::row(row), Some(shape))
        }
        Ok(_) | Err(_) => (in_hex(bytes), None),
    }
}

/// What [`image`] made.
pub(super) fn image_of(datum: Datum) -> Result<Vec<u8>, String> {
    let datum = match hex_or(datum)? {
        Ok(bytes) => return Ok(bytes),
        Err(datum) => datum,
    };
    let mut members = Members::of(datum, "a twin")?;
    members.take("of");
    let image = ExactImage {
        shape: members.number32("shape")?,
        counter: members.number32("counter")?,
        answered: members.number_or_none("answered")?,
        waiting: members.elements("waiting")?.into_iter().map(exact).collect::<Result<_, _>>()?,
        apart: if members.has("apart") { members.number32("apart")? } else { 0 },
        held: members.elements("held")?.into_iter().map(held_object).collect::<Result<_, _>>()?,
        slots: slots_exact(members.take("slots"))?,
    };
    members.end()?;
    Ok(write_image(&image))
}

/// What a turn changed in a twin of the shape that is given, if it is known.
pub(super) fn delta(bytes: &[u8], shape: Option<u32>, shapes: &Shapes) -> Datum {
    let delta = match read_delta(bytes, shapes) {
        Ok(delta) if write_delta(&delta) == bytes => delta,
        Ok(_) | Err(_) => return in_hex(bytes),
    };
    let slots = shape.and_then(|shape| shapes.get(shape)).map(|shape| shape.slots.as_slice()).unwrap_or_default();
    let changes = delta.changes.iter().map(|change| {
        let mut row = Vec::new();
        match change {
            ExactChange::Slot(index, value) => {
                row.push(("slot", number((*index).into())));
                row.extend(slots.get(*index as usize).map(|name| ("name", Datum::from(name.as_str()))));
                row.push(("value", datum(value, shapes)));
            }
            ExactChange::Element(object, index, value) => {
                row.push(("object", number((*object).into())));
                row.push(("index", number((*index).into())));
                row.push(("value", datum(value, shapes)));
            }
            ExactChange::Bytes(object, bytes) => {
                row.extend([("object", number((*object).into())), ("bytes", hex(bytes))]);
            }
            ExactChange::SomeBytes(object, from, bytes) => {
                row.extend([("object", number((*object).into())), ("from", number(*from)), ("bytes", hex(bytes))]);
            }
            ExactChange::Waits(promise) => row.push(("waits", datum(promise, shapes))),
            ExactChange::Settled(promise) => row.push(("settled", number((*promise).into()))),
            ExactChange::Opened(piece) => row.push(("opened", number((*piece).into()))),
            ExactChange::Apart(promise) => row.push(("apart", promise_datum(promise, shapes))),
            ExactChange::Answered(promise) => row.push(("answered", number(*promise))),
        }
        Datum::row(row)
    });
    Datum::row([("counter", number(delta.counter.into())), ("changes", Datum::Array(changes.collect()))])
}

/// What [`delta`] made.
pub(super) fn delta_of(datum: Datum) -> Result<Vec<u8>, String> {
    let datum = match hex_or(datum)? {
        Ok(bytes) => return Ok(bytes),
        Err(datum) => datum,
    };
    let mut members = Members::of(datum, "a change of a twin")?;
    let counter = members.number32("counter")?;
    let changes = members.elements("changes")?.into_iter().map(change).collect::<Result<Vec<_>, _>>()?;
    members.end()?;
    Ok(write_delta(&ExactDelta { counter, changes }))
}

fn change(datum: Datum) -> Result<ExactChange, String> {
    let mut members = Members::of(datum, "a change")?;
    let number32 = |datum: Datum, name: &str| match datum {
        Datum::Int(number) => u32::try_from(number).map_err(|_| format!("`{name}` is a number of 32 bits")),
        _ => Err(format!("`{name}` is a number")),
    };
    let value = |members: &mut Members| exact(members.take("value").ok_or("a change has no `value`")?);
    let change = if let Some(index) = members.take("slot") {
        members.take("name");
        ExactChange::Slot(number32(index, "slot")?, value(&mut members)?)
    } else if let Some(object) = members.take("object") {
        let object = number32(object, "object")?;
        match (members.bytes_or_none("bytes")?, members.number_or_none("from")?) {
            (Some(bytes), None) => ExactChange::Bytes(object, bytes),
            (Some(bytes), Some(from)) => ExactChange::SomeBytes(object, from, bytes),
            (None, _) => ExactChange::Element(object, members.number32("index")?, value(&mut members)?),
        }
    } else if let Some(promise) = members.take("waits") {
        ExactChange::Waits(exact(promise)?)
    } else if let Some(promise) = members.take("settled") {
        ExactChange::Settled(number32(promise, "settled")?)
    } else if let Some(promise) = members.take("apart") {
        ExactChange::Apart(promise_exact(promise)?)
    } else if let Some(promise) = members.number_or_none("answered")? {
        ExactChange::Answered(promise)
    } else {
        ExactChange::Opened(members.number32("opened")?)
    };
    members.end()?;
    Ok(change)
}

/// A promise that waits apart.
fn promise_datum(promise: &ExactPromise, shapes: &Shapes) -> Datum {
    let blocks = promise.blocks.iter().map(|block| {
        let Some(block) = block else { return Datum::Nil };
        let mut row = Vec::new();
        row.extend(block.program.map(|program| ("program", hex(&program))));
        row.extend([
            ("image", number(block.images[0])),
            ("scope", number(block.images[1])),
            ("prototype", Datum::from(block.prototype.as_str())),
            ("side", number(block.side.into())),
            ("method", number(block.code[0])),
            ("code", number(block.code[1])),
            ("receiver", datum(&block.receiver, shapes)),
            ("captured", all(&block.captured, shapes)),
        ]);
        Datum::row(row)
    });
    let blocks = Datum::Array(blocks.collect());
    let (outcome, answer) = (datum(&promise.outcome, shapes), datum(&promise.answer, shapes));
    Datum::row([("number", number(promise.number)), ("outcome", outcome), ("answer", answer), ("blocks", blocks)])
}

/// What [`promise_datum`] made.
fn promise_exact(datum: Datum) -> Result<ExactPromise, String> {
    let mut members = Members::of(datum, "a promise")?;
    let promise = ExactPromise {
        number: members.number("number")?,
        outcome: exact(members.take("outcome").ok_or("a promise has no `outcome`")?)?,
        answer: exact(members.take("answer").ok_or("a promise has no `answer`")?)?,
        blocks: members.elements("blocks")?.into_iter().map(block_exact).collect::<Result<_, _>>()?,
    };
    members.end()?;
    Ok(promise)
}

fn block_exact(datum: Datum) -> Result<Option<ExactBlock>, String> {
    if datum == Datum::Nil {
        return Ok(None);
    }
    let mut members = Members::of(datum, "a block")?;
    let block = ExactBlock {
        program: if members.has("program") { Some(members.bytes("program")?) } else { None },
        images: [members.number("image")?, members.number("scope")?],
        prototype: members.text("prototype")?,
        side: u8::try_from(members.number("side")?).map_err(|_| "`side` is 0 or 1")?,
        code: [members.number("method")?, members.number("code")?],
        receiver: exact(members.take("receiver").ok_or("a block has no `receiver`")?)?,
        captured: members.elements("captured")?.into_iter().map(exact).collect::<Result<_, _>>()?,
    };
    members.end()?;
    Ok(Some(block))
}

/// An object that promises hold, and how often.
fn held_object(datum: Datum) -> Result<(Exact, u32), String> {
    let mut members = Members::of(datum, "what promises hold")?;
    let object = exact(members.take("value").ok_or("what promises hold has no `value`")?)?;
    let held = (object, members.number32("times")?);
    members.end()?;
    Ok(held)
}

fn number(number: u64) -> Datum {
    Datum::Int(number.into())
}

/// The prototype of a shape, for whoever reads.
fn of(shape: u32, shapes: &Shapes) -> Datum {
    shapes.get(shape).map_or(Datum::Nil, |shape| Datum::from(shape.prototype.as_str()))
}

fn all(values: &[Exact], shapes: &Shapes) -> Datum {
    Datum::Array(values.iter().map(|value| datum(value, shapes)).collect())
}

/// Slots by name, or as an array where names stand twice.
fn slots_datum(shape: u32, slots: &[Exact], shapes: &Shapes) -> Datum {
    let names = shapes.get(shape).map(|shape| shape.slots.as_slice()).unwrap_or_default();
    let are_distinct = names.iter().enumerate().all(|(nth, name)| !names[..nth].contains(name));
    // The reader of JSON takes two such members for a quantity, and puts the number first.
    let is_odd = names.len() == 2 && names[0] == "unit" && names[1] == "number";
    if names.len() != slots.len() || !are_distinct || is_odd {
        return all(slots, shapes);
    }
    Datum::row(names.iter().map(String::as_str).zip(slots.iter().map(|slot| datum(slot, shapes))))
}

fn slots_exact(datum: Option<Datum>) -> Result<Vec<Exact>, String> {
    match datum {
        Some(Datum::Array(slots)) => slots.into_iter().map(exact).collect(),
        Some(datum) => Members::of(datum, "`slots`")?.rest().into_iter().map(|(_, slot)| exact(slot)).collect(),
        None => Err("an object has no `slots`".to_owned()),
    }
}

fn datum(value: &Exact, shapes: &Shapes) -> Datum {
    let named = |name: &str, text: &str| Datum::row([(name, Datum::from(text))]);
    match value {
        Exact::Nil => Datum::Nil,
        Exact::Boolean(boolean) => Datum::Bool(*boolean),
        Exact::Integer(integer) => Datum::Int(integer.clone()),
        Exact::Float(bits) if f64::from_bits(*bits).is_finite() => Datum::Float(f64::from_bits(*bits)),
        Exact::Float(bits) => Datum::row([("float", hex(&bits.to_be_bytes()))]),
        Exact::Character(character) => named("character", &character.to_string()),
        Exact::Symbol(name) => named("symbol", name),
        Exact::String(text) => Datum::from(text.as_str()),
        Exact::Reference(path, prototype) if prototype.is_empty() => named("twin", path),
        Exact::Reference(path, prototype) => {
            Datum::row([("twin", Datum::from(path.as_str())), ("prototype", Datum::from(prototype.as_str()))])
        }
        Exact::Prototype(name) => named("prototype", name),
        Exact::Again(number) => Datum::row([("again", self::number((*number).into()))]),
        Exact::Piece(number) => Datum::row([("piece", self::number((*number).into()))]),
        Exact::Object { number, shape, immutable, contents } => {
            let mut row = vec![
                ("object", self::number((*number).into())),
                ("shape", self::number((*shape).into())),
                ("of", of(*shape, shapes)),
            ];
            if *immutable {
                row.push(("immutable", Datum::Bool(true)));
            }
            row.push(match contents {
                Contents::Slots(slots) => ("slots", slots_datum(*shape, slots, shapes)),
                Contents::Elements(elements) => ("elements", all(elements, shapes)),
                // Most of them are texts; those that are not keep their bytes.
                Contents::Bytes(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) if !text.chars().any(char::is_control) => ("text", Datum::from(text)),
                    Ok(_) | Err(_) => ("bytes", hex(bytes)),
                },
            });
            Datum::row(row)
        }
    }
}

fn exact(datum: Datum) -> Result<Exact, String> {
    match datum {
        Datum::Nil => return Ok(Exact::Nil),
        Datum::Bool(boolean) => return Ok(Exact::Boolean(boolean)),
        Datum::Int(integer) => return Ok(Exact::Integer(integer)),
        Datum::Float(float) => return Ok(Exact::Float(float.to_bits())),
        Datum::String(text) => return Ok(Exact::String(text)),
        Datum::Array(_) => return Err("an array is no value: it is the elements of an object".to_owned()),
        _ => {}
    }
    let mut members = Members::of(datum, "a value")?;
    let value = if members.has("object") {
        members.take("of");
        Exact::Object {
            number: members.number32("object")?,
            shape: members.number32("shape")?,
            immutable: members.flag("immutable")?,
            contents: if members.has("elements") {
                Contents::Elements(members.elements("elements")?.into_iter().map(exact).collect::<Result<_, _>>()?)
            } else if let Some(text) = members.text_or_none("text")? {
                Contents::Bytes(text.into_bytes())
            } else if let Some(bytes) = members.bytes_or_none("bytes")? {
                Contents::Bytes(bytes)
            } else {
                Contents::Slots(slots_exact(members.take("slots"))?)
            },
        }
    } else if let Some(path) = members.text_or_none("twin")? {
        Exact::Reference(path, members.text_or_none("prototype")?.unwrap_or_default())
    } else if let Some(name) = members.text_or_none("prototype")? {
        Exact::Prototype(name)
    } else if let Some(name) = members.text_or_none("symbol")? {
        Exact::Symbol(name)
    } else if let Some(text) = members.text_or_none("character")? {
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(character), None) => Exact::Character(character),
            (_, _) => return Err("`character` is one character".to_owned()),
        }
    } else if members.has("float") {
        Exact::Float(u64::from_be_bytes(members.bytes("float")?))
    } else if members.has("again") {
        Exact::Again(members.number32("again")?)
    } else if members.has("piece") {
        Exact::Piece(members.number32("piece")?)
    } else {
        return Err("a JSON object says by its first member which value it is".to_owned());
    };
    members.end()?;
    Ok(value)
}
