//! Values outside the VM: what a command line or a network hands in, and what they are shown.
//!
//! A [`Tree`] is a tree. It is read straight from the bytes of a message, image or delta, without a heap and
//! without running code, so it can show what the present definitions no longer know. An object that
//! is mentioned again appears as its number, and what is nested too deep is left out.

use num_bigint::BigInt;
use rustc_hash::FxHashSet;

use crate::codec::{DecodeError, Reader, put_bytes, put_integer, put_number, tag};
use crate::delta::{AtRest, Pieces, read_shapes_in_pieces};
use crate::part::{FAN, LEAF, checked_span};
use crate::shape::{Shape, Shapes};
use crate::value::{INTEGER_MAX, INTEGER_MIN};

/// How deep a tree goes at most.
pub const DEPTH_MAX: usize = 48;

/// A value as a tree.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// nil.
    Nil,
    /// true or false.
    Boolean(bool),
    /// An integer of any size.
    Integer(BigInt),
    /// A float.
    Float(f64),
    /// A character.
    Character(char),
    /// A symbol.
    Symbol(String),
    /// A string.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// An array.
    Array(Vec<Tree>),
    /// A part of a long list: see [`Tree::in_parts`].
    Part(Vec<Tree>),
    /// A twin, by its path, and the name of its prototype, which is empty where it is not known.
    Reference(String, String),
    /// A prototype, by its name.
    Prototype(String),
    /// An object.
    Object {
        /// Its prototype.
        prototype: String,
        /// Its slots, in order.
        slots: Vec<(String, Tree)>,
    },
    /// An object that stands elsewhere in the tree already, by its number.
    Again(u32),
    /// What is nested deeper than [`DEPTH_MAX`].
    Deeper,
}

impl Tree {
    /// An integer.
    pub fn integer(number: i64) -> Tree {
        Tree::Integer(number.into())
    }

    /// A string.
    pub fn string(text: impl Into<String>) -> Tree {
        Tree::String(text.into())
    }

    /// Reads one value of a message.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn from_message(bytes: &[u8], shapes: &Shapes) -> Result<Tree, DecodeError> {
        let mut reader = Reader::new(bytes);
        let datum = Bytes::alone(shapes, &mut |_| None).read(&mut reader, 0)?;
        ended(&reader)?;
        Ok(datum)
    }

    /// Reads the arguments of a message.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn from_arguments(bytes: &[u8], shapes: &Shapes) -> Result<Vec<Tree>, DecodeError> {
        let mut reader = Reader::new(bytes);
        let count = reader.length()?;
        let mut none = |_: u64| None;
        let mut bytes = Bytes::alone(shapes, &mut none);
        let data = (0..count).map(|_| bytes.read(&mut reader, 0)).collect::<Result<_, _>>()?;
        ended(&reader)?;
        Ok(data)
    }

    /// Reads a twin at rest, with its pieces: an object.
    ///
    /// # Errors
    /// When the bytes are damaged.
    pub fn from_image(bytes: &[u8], pieces: Pieces<'_>, shapes: &Shapes) -> Result<Tree, DecodeError> {
        let mut reader = Reader::new(bytes);
        let shape = shapes.get(reader.number32()?).ok_or(DecodeError::Damaged("a shape that is not known"))?;
        reader.number32()?;
        if matches!(reader.bytes.first(), Some(&(tag::WAITING | tag::APART))) {
            // What blocks took along is shown where slots reach it. What only that tied to the image may be in pieces then.
            let AtRest { image, pieces: made } = shapes.without_waiting(bytes)?;
            let mut pieces = |number| match made.iter().find(|piece| piece.number == number) {
                Some(piece) => piece.bytes.clone(),
                None => pieces(number),
            };
            return Tree::from_image(&image, &mut pieces, shapes);
        }
        read_shapes_in_pieces(&mut reader)?;
        let mut values = Bytes { shapes, pieces, seen: FxHashSet::default() };
        let slots = values.read_slots(&mut reader, &shape.slots, 0)?;
        ended(&reader)?;
        Ok(Tree::Object { prototype: shape.prototype.clone(), slots })
    }

    /// The elements at `positions` of a list whose root this is; `None` if it is none, or they are not all there.
    pub fn in_parts(&self, positions: std::ops::Range<usize>) -> Option<Vec<Tree>> {
        let mut elements = Vec::new();
        let mut position = positions.start;
        while position < positions.end {
            let mut at = self;
            let leaf = loop {
                let Tree::Part(parts) = at else { return None };
                let height = match parts.get(FAN) {
                    Some(Tree::Integer(height)) if parts.len() == FAN + 1 => usize::try_from(height).ok()?,
                    Some(_) | None if parts.len() == LEAF => break parts,
                    Some(_) | None => return None,
                };
                at = parts.get(position / checked_span(height.checked_sub(1)?)? % FAN)?;
            };
            let from = position % LEAF;
            let count = (LEAF - from).min(positions.end - position);
            elements.extend_from_slice(&leaf[from..from + count]);
            position += count;
        }
        Some(elements)
    }

    /// The rows of a table in parts whose root this is, in order; each without its link. `None` if it is none.
    pub fn rows_in_parts(&self, stride: usize) -> Option<Vec<&[Tree]>> {
        let mut rows = Vec::new();
        // Parts that are still to be looked at, with how high they may stand: so this ends.
        let mut open = vec![(self, usize::MAX)];
        while let Some((part, below)) = open.pop() {
            match part {
                Tree::Nil if below < usize::MAX => {}
                Tree::Part(values) if values.len() == LEAF => {
                    let chunks = values.chunks_exact(stride + 1);
                    rows.extend(chunks.filter(|row| matches!(row[0], Tree::Integer(_))).map(|row| &row[1..]));
                }
                Tree::Part(parts) if parts.len() == FAN + 1 => {
                    let Tree::Integer(height) = &parts[FAN] else { return None };
                    let height = usize::try_from(height).ok().filter(|&height| height < below)?;
                    open.extend(parts[..FAN].iter().rev().map(|part| (part, height)));
                }
                _ => return None,
            }
        }
        Some(rows)
    }

    /// Appends the value as the VM reads it.
    ///
    /// # Errors
    /// For what only makes sense inside a store: objects, promises.
    pub fn write(&self, out: &mut Vec<u8>, shapes: &Shapes) -> Result<(), String> {
        let mut next = 1;
        self.write_numbered(out, shapes, &mut next)
    }

    /// The arguments of a message, as the VM reads them.
    ///
    /// # Errors
    /// As for [`Tree::write`].
    pub fn write_arguments(arguments: &[Tree], shapes: &Shapes) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        put_number(&mut out, arguments.len() as u64);
        let mut next = 1;
        for argument in arguments {
            argument.write_numbered(&mut out, shapes, &mut next)?;
        }
        Ok(out)
    }

    fn write_numbered(&self, out: &mut Vec<u8>, shapes: &Shapes, next: &mut u32) -> Result<(), String> {
        match self {
            Tree::Nil => out.push(tag::NIL),
            Tree::Boolean(true) => out.push(tag::TRUE),
            Tree::Boolean(false) => out.push(tag::FALSE),
            Tree::Integer(integer) => match i64::try_from(integer) {
                Ok(small) if (INTEGER_MIN..=INTEGER_MAX).contains(&small) => put_integer(out, small),
                Ok(_) | Err(_) => {
                    out.push(tag::LARGE);
                    put_bytes(out, &integer.to_signed_bytes_le());
                }
            },
            Tree::Float(float) => {
                out.push(tag::FLOAT);
                out.extend_from_slice(&float.to_bits().to_le_bytes());
            }
            Tree::Character(character) => {
                out.push(tag::CHARACTER);
                put_number(out, u64::from(u32::from(*character)));
            }
            Tree::Symbol(name) => {
                out.push(tag::SYMBOL);
                put_bytes(out, name.as_bytes());
            }
            Tree::String(text) => {
                out.push(tag::STRING);
                put_bytes(out, text.as_bytes());
            }
            Tree::Reference(path, kind) => {
                out.push(tag::REFERENCE);
                put_bytes(out, path.as_bytes());
                put_bytes(out, kind.as_bytes());
            }
            Tree::Prototype(name) => {
                out.push(tag::PROTOTYPE);
                put_bytes(out, name.as_bytes());
            }
            Tree::Array(elements) => {
                put_object(out, tag::INDEXED, shapes, "Array", next)?;
                put_number(out, elements.len() as u64);
                for element in elements {
                    element.write_numbered(out, shapes, next)?;
                }
            }
            Tree::Bytes(bytes) => {
                put_object(out, tag::RAW, shapes, "ByteArray", next)?;
                put_bytes(out, bytes);
            }
            // Of objects only these, which are numbers.
            Tree::Object { prototype, slots }
                if ["ScaledDecimal", "Quantity", "Duration"].contains(&prototype.as_str()) =>
            {
                let shape = put_object(out, tag::OBJECT, shapes, prototype, next)?;
                for name in &shape.slots {
                    match slots.iter().find(|(slot, _)| slot == name) {
                        Some((_, value)) => value.write_numbered(out, shapes, next)?,
                        None => out.push(tag::NIL),
                    }
                }
            }
            Tree::Object { .. } | Tree::Part(_) | Tree::Again(_) | Tree::Deeper => {
                return Err(
                    "only numbers, strings, symbols, booleans, nil, arrays and twins can be handed in".to_owned()
                );
            }
        }
        Ok(())
    }
}

fn put_object<'a>(
    out: &mut Vec<u8>,
    kind: u8,
    shapes: &'a Shapes,
    prototype: &str,
    next: &mut u32,
) -> Result<&'a Shape, String> {
    // The newest: a store may have had others of an earlier kernel.
    let (number, shape) = (0..shapes.len() as u32)
        .rev()
        .filter_map(|number| Some((number, shapes.get(number)?)))
        .find(|(_, shape)| shape.kernel && shape.prototype == prototype)
        .ok_or_else(|| format!("the kernel has no {prototype}"))?;
    out.push(kind);
    put_number(out, u64::from(*next));
    put_number(out, u64::from(number));
    *next += 1;
    Ok(shape)
}

fn ended(reader: &Reader<'_>) -> Result<(), DecodeError> {
    if reader.is_empty() { Ok(()) } else { Err(DecodeError::Damaged("more bytes than values")) }
}

/// What values are read with.
struct Bytes<'a> {
    shapes: &'a Shapes,
    pieces: Pieces<'a>,
    /// The pieces that were read.
    seen: FxHashSet<u32>,
}

impl<'a> Bytes<'a> {
    /// Beside a message there are no pieces.
    fn alone(shapes: &'a Shapes, none: Pieces<'a>) -> Bytes<'a> {
        Bytes { shapes, pieces: none, seen: FxHashSet::default() }
    }

    fn read_slots(
        &mut self,
        reader: &mut Reader<'_>,
        names: &[String],
        depth: usize,
    ) -> Result<Vec<(String, Tree)>, DecodeError> {
        names.iter().map(|name| Ok((name.clone(), self.read(reader, depth)?))).collect()
    }

    /// Reads one value. Past [`DEPTH_MAX`] its parts are read over without being kept.
    fn read(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<Tree, DecodeError> {
        let shapes = self.shapes;
        let first = reader.byte()?;
        if first >= tag::TINY {
            return Ok(Tree::integer(i64::from(first) - 128));
        }
        let name_of = |number: u32| shapes.get(number).ok_or(DecodeError::Damaged("a shape that is not known"));
        Ok(match first {
            tag::NIL => Tree::Nil,
            tag::TRUE => Tree::Boolean(true),
            tag::FALSE => Tree::Boolean(false),
            tag::INTEGER => Tree::integer(reader.integer()?),
            tag::FLOAT => Tree::Float(reader.float()?),
            tag::CHARACTER => Tree::Character(
                char::from_u32(reader.number32()?).ok_or(DecodeError::Damaged("a character that is none"))?,
            ),
            tag::SYMBOL => Tree::Symbol(reader.text()?.to_owned()),
            tag::STRING => Tree::String(reader.text()?.to_owned()),
            tag::LARGE => Tree::Integer(BigInt::from_signed_bytes_le(reader.sized()?)),
            tag::REFERENCE => Tree::Reference(reader.text()?.to_owned(), reader.text()?.to_owned()),
            tag::PROTOTYPE => Tree::Prototype(reader.text()?.to_owned()),
            tag::PIECE => {
                let number = reader.number32()?;
                if depth == DEPTH_MAX {
                    return Ok(Tree::Deeper);
                }
                if !self.seen.insert(number) {
                    return Ok(Tree::Again(number));
                }
                let bytes =
                    (self.pieces)(u64::from(number)).ok_or(DecodeError::Damaged("a piece that is not there"))?;
                let mut reader = Reader::new(&bytes);
                let part = self.read(&mut reader, depth + 1)?;
                ended(&reader)?;
                part
            }
            tag::BACK => Tree::Again(reader.number32()?),
            tag::OBJECT | tag::OBJECT_IMMUTABLE => {
                reader.number32()?;
                let shape = name_of(reader.number32()?)?;
                if depth == DEPTH_MAX {
                    self.skip(reader, shape.slots.len())?;
                    return Ok(Tree::Deeper);
                }
                let slots = self.read_slots(reader, &shape.slots, depth + 1)?;
                Tree::Object { prototype: shape.prototype.clone(), slots }
            }
            tag::INDEXED | tag::INDEXED_IMMUTABLE => {
                reader.number32()?;
                let is_part = name_of(reader.number32()?)?.is_part();
                let count = reader.length()?;
                if depth == DEPTH_MAX {
                    self.skip(reader, count)?;
                    return Ok(Tree::Deeper);
                }
                let elements = (0..count).map(|_| self.read(reader, depth + 1)).collect::<Result<_, _>>()?;
                if is_part { Tree::Part(elements) } else { Tree::Array(elements) }
            }
            tag::RAW | tag::RAW_IMMUTABLE => {
                reader.number32()?;
                let text = name_of(reader.number32()?)?.prototype == "String";
                let bytes = reader.sized()?;
                match std::str::from_utf8(bytes) {
                    Ok(string) if text => Tree::String(string.to_owned()),
                    Ok(_) | Err(_) => Tree::Bytes(bytes.to_vec()),
                }
            }
            _ => return Err(DecodeError::Damaged("an unknown kind of value")),
        })
    }

    /// Reads over `count` values, however deep they are.
    fn skip(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<(), DecodeError> {
        let mut left = count;
        while left > 0 {
            left -= 1;
            // Of what has parts only the head is read: its parts join those still to be read over.
            let first = *reader.bytes.first().ok_or(DecodeError::Damaged("it ends too early"))?;
            match first {
                tag::OBJECT | tag::OBJECT_IMMUTABLE => {
                    reader.byte()?;
                    reader.number32()?;
                    let shape =
                        self.shapes.get(reader.number32()?).ok_or(DecodeError::Damaged("a shape that is not known"))?;
                    left += shape.slots.len();
                }
                tag::INDEXED | tag::INDEXED_IMMUTABLE => {
                    reader.byte()?;
                    reader.number32()?;
                    reader.number32()?;
                    left += reader.length()?;
                }
                _ => {
                    self.read(reader, DEPTH_MAX)?;
                }
            }
        }
        Ok(())
    }
}
