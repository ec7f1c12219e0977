//! Stored bytes as data that say all of them, and back: for copies of a log as text.
//!
//! A [`Tree`](crate::Tree) shows what a value is to a user; an [`Exact`] also has the numbers of objects and of their shapes,
//! and which mention of an object is the first, so that the same bytes can be written again. Bytes have one way to be
//! written, so what is read here and written gives the same bytes, or reading refuses it.

use num_bigint::BigInt;

use crate::apart::begin;
use crate::codec::{DecodeError, Reader, change, put_bytes, put_integer, put_number, tag};
use crate::shape::Shapes;

/// How deep an [`Exact`] goes at most; what is deeper is refused.
pub const EXACT_DEPTH_MAX: usize = 24;

/// A value, with all that its bytes say.
#[derive(Clone, Debug, PartialEq)]
pub enum Exact {
    /// nil.
    Nil,
    /// true or false.
    Boolean(bool),
    /// An integer of any size.
    Integer(BigInt),
    /// A float, by its bits.
    Float(u64),
    /// A character.
    Character(char),
    /// A symbol.
    Symbol(String),
    /// An immutable string.
    String(String),
    /// A twin: its path, and the name of its prototype, which is empty where it is not known.
    Reference(String, String),
    /// A prototype, by its name.
    Prototype(String),
    /// An object that was met before, by its number.
    Again(u32),
    /// A part of a long collection that is kept apart, by its number.
    Piece(u32),
    /// An object.
    Object {
        /// Its number in its message or twin.
        number: u32,
        /// The number of its shape.
        shape: u32,
        /// Whether it cannot change.
        immutable: bool,
        /// What it has.
        contents: Contents,
    },
}

/// What an object has.
#[derive(Clone, Debug, PartialEq)]
pub enum Contents {
    /// As many values as its shape has slots.
    Slots(Vec<Exact>),
    /// Elements.
    Elements(Vec<Exact>),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A twin at rest.
#[derive(Clone, Debug, PartialEq)]
pub struct ExactImage {
    /// The number of its shape.
    pub shape: u32,
    /// The number that its next object gets.
    pub counter: u32,
    /// The promise that waited apart and does so no longer, by its number.
    pub answered: Option<u64>,
    /// Its promises that wait in it.
    pub waiting: Vec<Exact>,
    /// How many wait apart.
    pub apart: u32,
    /// The objects that these hold, each with how often.
    pub held: Vec<(Exact, u32)>,
    /// As many values as its shape has slots.
    pub slots: Vec<Exact>,
}

/// What a turn changed in a twin.
#[derive(Clone, Debug, PartialEq)]
pub struct ExactDelta {
    /// The number that its next object gets.
    pub counter: u32,
    /// In their order.
    pub changes: Vec<ExactChange>,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum ExactChange {
    /// A slot of the twin: index, value.
    Slot(u32, Exact),
    /// A slot or element of an object: number, index, value.
    Element(u32, u32, Exact),
    /// All bytes of an object: number, bytes.
    Bytes(u32, Vec<u8>),
    /// Some bytes of an object: number, index of the first, bytes.
    SomeBytes(u32, u64, Vec<u8>),
    /// A promise waits from now on.
    Waits(Exact),
    /// A promise waits no longer: its number.
    Settled(u32),
    /// A piece is read before anything changes: its number.
    Opened(u32),
    /// A promise waits apart from now on.
    Apart(ExactPromise),
    /// One that waited apart does so no longer: its number.
    Answered(u64),
}

/// A promise that waits apart.
#[derive(Clone, Debug, PartialEq)]
pub struct ExactPromise {
    /// Its number as a promise.
    pub number: u64,
    /// nil, or whether it has an answer or a fault.
    pub outcome: Exact,
    /// That.
    pub answer: Exact,
    /// Two by two: for the answer, and for a fault.
    pub blocks: Vec<Option<ExactBlock>>,
}

/// A block that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct ExactBlock {
    /// The hash of its program; none: it is of that of the block before.
    pub program: Option<[u8; 32]>,
    /// The image that its method stands in, and the one in which the prototype is sought.
    pub images: [u64; 2],
    /// The prototype that the method was linked for.
    pub prototype: String,
    /// Whether it is a method of the prototype itself.
    pub side: u8,
    /// The numbers of the method and of the code.
    pub code: [u64; 2],
    /// `self`.
    pub receiver: Exact,
    /// The values of the variables.
    pub captured: Vec<Exact>,
}

type Got<T> = Result<T, DecodeError>;

const NO_SHAPE: DecodeError = DecodeError::Damaged("a shape that is not known");
const DEEP: DecodeError = DecodeError::Damaged("a value that is nested too deep");

/// The arguments of a message.
///
/// # Errors
/// The bytes are no arguments, or nested deeper than [`EXACT_DEPTH_MAX`].
pub fn read_arguments(bytes: &[u8], shapes: &Shapes) -> Got<Vec<Exact>> {
    let mut reader = Reader::new(bytes);
    let count = reader.length()?;
    let values = (0..count).map(|_| read(&mut reader, shapes, 0)).collect::<Got<Vec<Exact>>>()?;
    ended(&reader, values)
}

/// One value of a message.
///
/// # Errors
/// As [`read_arguments`].
pub fn read_value(bytes: &[u8], shapes: &Shapes) -> Got<Exact> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader, shapes, 0)?;
    ended(&reader, value)
}

/// A twin at rest.
///
/// # Errors
/// As [`read_arguments`].
pub fn read_image(bytes: &[u8], shapes: &Shapes) -> Got<ExactImage> {
    let mut reader = Reader::new(bytes);
    let (shape, counter) = (reader.number32()?, reader.number32()?);
    let count = shapes.get(shape).ok_or(NO_SHAPE)?.slots.len();
    let mut answered = None;
    if reader.bytes.first() == Some(&tag::ANSWERED) {
        reader.byte()?;
        answered = Some(reader.number()?);
    }
    let mut waiting = Vec::new();
    if reader.bytes.first() == Some(&tag::WAITING) {
        reader.byte()?;
        for _ in 0..reader.length()? {
            waiting.push(read(&mut reader, shapes, 0)?);
        }
    }
    let (mut apart, mut held) = (0, Vec::new());
    if reader.bytes.first() == Some(&tag::APART) {
        reader.byte()?;
        apart = reader.number32()?;
        for _ in 0..reader.length()? {
            held.push((read(&mut reader, shapes, 0)?, reader.number32()?));
        }
    }
    let slots = (0..count).map(|_| read(&mut reader, shapes, 0)).collect::<Got<Vec<Exact>>>()?;
    ended(&reader, ExactImage { shape, counter, answered, waiting, apart, held, slots })
}

/// What a turn changed in a twin.
///
/// # Errors
/// As [`read_arguments`].
pub fn read_delta(bytes: &[u8], shapes: &Shapes) -> Got<ExactDelta> {
    let mut reader = Reader::new(bytes);
    let counter = reader.number32()?;
    let mut changes = Vec::new();
    while !reader.is_empty() {
        changes.push(match reader.byte()? {
            change::SLOT => ExactChange::Slot(reader.number32()?, read(&mut reader, shapes, 0)?),
            change::ELEMENT => {
                ExactChange::Element(reader.number32()?, reader.number32()?, read(&mut reader, shapes, 0)?)
            }
            change::BYTES => ExactChange::Bytes(reader.number32()?, reader.sized()?.to_vec()),
            change::SOME_BYTES => {
                ExactChange::SomeBytes(reader.number32()?, reader.number()?, reader.sized()?.to_vec())
            }
            change::WAITS => ExactChange::Waits(read(&mut reader, shapes, 0)?),
            change::SETTLED => ExactChange::Settled(reader.number32()?),
            change::OPENED => ExactChange::Opened(reader.number32()?),
            change::WAITS_APART => ExactChange::Apart(read_promise(&mut reader, shapes)?),
            change::ANSWERED => ExactChange::Answered(reader.number()?),
            _ => return Err(DecodeError::Damaged("a change of no kind")),
        });
    }
    Ok(ExactDelta { counter, changes })
}

fn read_promise(reader: &mut Reader<'_>, shapes: &Shapes) -> Got<ExactPromise> {
    let number = reader.number()?;
    let (outcome, answer) = (read(reader, shapes, 0)?, read(reader, shapes, 0)?);
    let mut blocks = Vec::new();
    for _ in 0..reader.length()? {
        let program = match reader.byte()? {
            begin::NONE => {
                blocks.push(None);
                continue;
            }
            begin::PROGRAM => Some(reader.take(32)?.try_into().expect("took 32")),
            begin::SAME_PROGRAM => None,
            _ => return Err(DecodeError::Damaged("a block of no kind")),
        };
        let images = [reader.number()?, reader.number()?];
        let prototype = reader.text()?.to_owned();
        let side = reader.byte()?;
        let code = [reader.number()?, reader.number()?];
        let receiver = read(reader, shapes, 0)?;
        let captured = (0..reader.length()?).map(|_| read(reader, shapes, 0)).collect::<Got<_>>()?;
        blocks.push(Some(ExactBlock { program, images, prototype, side, code, receiver, captured }));
    }
    Ok(ExactPromise { number, outcome, answer, blocks })
}

fn write_promise(promise: &ExactPromise, out: &mut Vec<u8>) {
    put_number(out, promise.number);
    write(&promise.outcome, out);
    write(&promise.answer, out);
    put_number(out, promise.blocks.len() as u64);
    for block in &promise.blocks {
        let Some(block) = block else {
            out.push(begin::NONE);
            continue;
        };
        match &block.program {
            Some(program) => {
                out.push(begin::PROGRAM);
                out.extend_from_slice(program);
            }
            None => out.push(begin::SAME_PROGRAM),
        }
        block.images.iter().for_each(|&number| put_number(out, number));
        put_bytes(out, block.prototype.as_bytes());
        out.push(block.side);
        block.code.iter().for_each(|&number| put_number(out, number));
        write(&block.receiver, out);
        put_number(out, block.captured.len() as u64);
        block.captured.iter().for_each(|value| write(value, out));
    }
}

fn ended<T>(reader: &Reader<'_>, read: T) -> Got<T> {
    if reader.is_empty() { Ok(read) } else { Err(DecodeError::Damaged("bytes left over")) }
}

fn read(reader: &mut Reader<'_>, shapes: &Shapes, depth: usize) -> Got<Exact> {
    if depth == EXACT_DEPTH_MAX {
        return Err(DEEP);
    }
    let values = |reader: &mut Reader<'_>, count: usize| {
        (0..count).map(|_| read(reader, shapes, depth + 1)).collect::<Got<Vec<Exact>>>()
    };
    Ok(match reader.byte()? {
        tag::NIL => Exact::Nil,
        tag::TRUE => Exact::Boolean(true),
        tag::FALSE => Exact::Boolean(false),
        tag::INTEGER => Exact::Integer(reader.integer()?.into()),
        tag::FLOAT => Exact::Float(reader.float()?.to_bits()),
        tag::CHARACTER => Exact::Character(
            char::from_u32(reader.number32()?).ok_or(DecodeError::Damaged("a character of no code point"))?,
        ),
        tag::SYMBOL => Exact::Symbol(reader.text()?.to_owned()),
        tag::STRING => Exact::String(reader.text()?.to_owned()),
        tag::LARGE => Exact::Integer(BigInt::from_signed_bytes_le(reader.sized()?)),
        tag::REFERENCE => Exact::Reference(reader.text()?.to_owned(), reader.text()?.to_owned()),
        tag::PROTOTYPE => Exact::Prototype(reader.text()?.to_owned()),
        tag::BACK => Exact::Again(reader.number32()?),
        tag::PIECE => Exact::Piece(reader.number32()?),
        first @ tag::OBJECT..=tag::RAW_IMMUTABLE => {
            let (number, shape) = (reader.number32()?, reader.number32()?);
            let slots = shapes.get(shape).ok_or(NO_SHAPE)?.slots.len();
            let contents = match first {
                tag::OBJECT | tag::OBJECT_IMMUTABLE => Contents::Slots(values(reader, slots)?),
                tag::INDEXED | tag::INDEXED_IMMUTABLE => {
                    let count = reader.length()?;
                    Contents::Elements(values(reader, count)?)
                }
                _ => Contents::Bytes(reader.sized()?.to_vec()),
            };
            let immutable = matches!(first, tag::OBJECT_IMMUTABLE | tag::INDEXED_IMMUTABLE | tag::RAW_IMMUTABLE);
            Exact::Object { number, shape, immutable, contents }
        }
        first if first >= tag::TINY => Exact::Integer((i64::from(first) - 128).into()),
        _ => return Err(DecodeError::Damaged("a value of no kind")),
    })
}

/// The bytes of arguments.
pub fn write_arguments(values: &[Exact]) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, values.len() as u64);
    values.iter().for_each(|value| write(value, &mut out));
    out
}

/// The bytes of one value.
pub fn write_value(value: &Exact) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

/// The bytes of a twin at rest.
pub fn write_image(image: &ExactImage) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, image.shape.into());
    put_number(&mut out, image.counter.into());
    if let Some(answered) = image.answered {
        out.push(tag::ANSWERED);
        put_number(&mut out, answered);
    }
    if !image.waiting.is_empty() {
        out.push(tag::WAITING);
        put_number(&mut out, image.waiting.len() as u64);
        image.waiting.iter().for_each(|promise| write(promise, &mut out));
    }
    if image.apart > 0 {
        out.push(tag::APART);
        put_number(&mut out, image.apart.into());
        put_number(&mut out, image.held.len() as u64);
        for (object, count) in &image.held {
            write(object, &mut out);
            put_number(&mut out, u64::from(*count));
        }
    }
    image.slots.iter().for_each(|value| write(value, &mut out));
    out
}

/// The bytes of what a turn changed.
pub fn write_delta(delta: &ExactDelta) -> Vec<u8> {
    let mut bytes = Vec::new();
    let out = &mut bytes;
    put_number(out, delta.counter.into());
    for one in &delta.changes {
        let mut head = |kind: u8, numbers: &[u64]| {
            out.push(kind);
            numbers.iter().for_each(|&number| put_number(out, number));
        };
        match one {
            ExactChange::Slot(index, value) => {
                head(change::SLOT, &[u64::from(*index)]);
                write(value, out);
            }
            ExactChange::Element(number, index, value) => {
                head(change::ELEMENT, &[u64::from(*number), u64::from(*index)]);
                write(value, out);
            }
            ExactChange::Bytes(number, bytes) => {
                head(change::BYTES, &[u64::from(*number)]);
                put_bytes(out, bytes);
            }
            ExactChange::SomeBytes(number, index, bytes) => {
                head(change::SOME_BYTES, &[u64::from(*number), *index]);
                put_bytes(out, bytes);
            }
            ExactChange::Waits(promise) => {
                head(change::WAITS, &[]);
                write(promise, out);
            }
            ExactChange::Settled(number) => head(change::SETTLED, &[u64::from(*number)]),
            ExactChange::Opened(number) => head(change::OPENED, &[u64::from(*number)]),
            ExactChange::Apart(promise) => {
                head(change::WAITS_APART, &[]);
                write_promise(promise, out);
            }
            ExactChange::Answered(number) => head(change::ANSWERED, &[*number]),
        }
    }
    bytes
}

fn write(value: &Exact, out: &mut Vec<u8>) {
    let mut text = |kind: u8, text: &str| {
        out.push(kind);
        put_bytes(out, text.as_bytes());
    };
    match value {
        Exact::Nil => out.push(tag::NIL),
        Exact::Boolean(true) => out.push(tag::TRUE),
        Exact::Boolean(false) => out.push(tag::FALSE),
        Exact::Integer(integer) => match i64::try_from(integer) {
            Ok(small) if (crate::value::INTEGER_MIN..=crate::value::INTEGER_MAX).contains(&small) => {
                put_integer(out, small)
            }
            Ok(_) | Err(_) => {
                out.push(tag::LARGE);
                put_bytes(out, &integer.to_signed_bytes_le());
            }
        },
        Exact::Float(bits) => {
            out.push(tag::FLOAT);
            out.extend_from_slice(&bits.to_le_bytes());
        }
        Exact::Character(character) => {
            out.push(tag::CHARACTER);
            put_number(out, u64::from(u32::from(*character)));
        }
        Exact::Symbol(name) => text(tag::SYMBOL, name),
        Exact::String(string) => text(tag::STRING, string),
        Exact::Reference(path, prototype) => {
            text(tag::REFERENCE, path);
            put_bytes(out, prototype.as_bytes());
        }
        Exact::Prototype(name) => text(tag::PROTOTYPE, name),
        Exact::Again(number) => {
            out.push(tag::BACK);
            put_number(out, u64::from(*number));
        }
        Exact::Piece(number) => {
            out.push(tag::PIECE);
            put_number(out, u64::from(*number));
        }
        Exact::Object { number, shape, immutable, contents } => {
            let plain = match contents {
                Contents::Slots(_) => tag::OBJECT,
                Contents::Elements(_) => tag::INDEXED,
                Contents::Bytes(_) => tag::RAW,
            };
            out.push(plain + u8::from(*immutable));
            put_number(out, u64::from(*number));
            put_number(out, u64::from(*shape));
            match contents {
                Contents::Slots(slots) => slots.iter().for_each(|slot| write(slot, out)),
                Contents::Elements(elements) => {
                    put_number(out, elements.len() as u64);
                    elements.iter().for_each(|element| write(element, out));
                }
                Contents::Bytes(bytes) => put_bytes(out, bytes),
            }
        }
    }
}
