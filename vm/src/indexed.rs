//! What an index of a slot can tell: which values may compare as a question wants.
//!
//! A block such as `[ :t | t level > 80 ]`, for all twins, compares what a reader of a slot answers with a value that is known where it
//! is asked. Where the slot is `<indexed>`, only twins whose value may do so need be asked. They are asked all the same, so
//! the index need not tell exactly: it orders numbers as floats, knows texts by a hash, and says of everything else, and of
//! twins that are still to be carried over to their definition, only that it is something else, which is always asked. What is not asked
//! would answer false and have no fault, since it is a number that compares otherwise, by the kernel's comparisons.

use num_traits::ToPrimitive;
use twintalk_bytecode::codec;
use twintalk_bytecode::op::Op;

use crate::class::{ClassId, Target};
use crate::codec::{DecodeError, Reader, put_bytes, tag};
use crate::link::fuse::plain_words;
use crate::shape::Shapes;
use crate::symbol::{Symbol, argument_count};
use crate::tree::Tree;
use crate::value::Value;
use crate::vm::Vm;

/// A value as an index has it: the order of these bytes is that of numbers.
pub type IndexKey = [u8; KEY_BYTES];
/// How many bytes that takes.
pub const KEY_BYTES: usize = 9;

/// What an index knows nothing more of.
pub const OTHER: IndexKey = [0; KEY_BYTES];
const NUMBER: u8 = 1;
const TEXT: u8 = 2;

/// A stored value as an index has it; `None` is one that cannot be read there.
pub fn key_of_stored(value: Option<&[u8]>, shapes: &Shapes) -> IndexKey {
    let first = value.and_then(|value| value.first().copied());
    let tree = match first {
        Some(tag::INTEGER | tag::LARGE | tag::FLOAT | tag::SYMBOL | tag::STRING | tag::TINY..) => {
            value.and_then(|value| Tree::from_message(value, shapes).ok())
        }
        Some(_) | None => None,
    };
    match tree {
        Some(Tree::Integer(integer)) => integer.to_f64().map_or(OTHER, of_number),
        Some(Tree::Float(float)) => of_number(float),
        Some(Tree::Symbol(text) | Tree::String(text)) => of_text(&text),
        Some(_) | None => OTHER,
    }
}

fn of_number(number: f64) -> IndexKey {
    if number.is_nan() {
        return OTHER;
    }
    // 0 and -0 are equal.
    let bits = (number + 0.0).to_bits();
    let ordered = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    with_tag(NUMBER, ordered)
}

/// FNV-1a: texts that are equal have equal keys, whoever hashes them.
fn of_text(text: &str) -> IndexKey {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    with_tag(TEXT, hash)
}

fn with_tag(tag: u8, number: u64) -> IndexKey {
    let mut key = [tag; KEY_BYTES];
    key[1..].copy_from_slice(&number.to_be_bytes());
    key
}

/// The first key of a text.
pub const TEXTS: IndexKey = [TEXT, 0, 0, 0, 0, 0, 0, 0, 0];

/// Which values may answer true, or have a fault, beside those that are [`OTHER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint<'a> {
    /// What each twin is asked first.
    pub selector: &'a str,
    /// Those between two keys.
    pub range: Range,
}

/// Values by their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub from: IndexKey,
    /// The last.
    pub to: IndexKey,
    /// Whether all texts belong to it.
    pub texts: bool,
}

impl<'a> Hint<'a> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.selector.as_bytes());
        out.extend_from_slice(&self.range.from);
        out.extend_from_slice(&self.range.to);
        out.push(u8::from(self.range.texts));
    }

    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Hint<'a>, DecodeError> {
        let selector = reader.text()?;
        let mut key = || Ok::<IndexKey, DecodeError>(reader.take(KEY_BYTES)?.try_into().expect("took as many"));
        let (from, to) = (key()?, key()?);
        Ok(Hint { selector, range: Range { from, to, texts: reader.byte()? == 1 } })
    }
}

/// What of the slots of a twin at rest is indexed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexedSlots {
    /// The name of each slot, and its place among those that are stored; `None` where it is not known what its value will be, since the twin is
    /// still to be carried over.
    pub slots: Vec<(String, Option<usize>)>,
}

impl Shapes {
    /// The bytes of a stored slot of a twin at rest, if they can be told from its image alone.
    pub fn stored_slot<'a>(&self, image: &'a [u8], index: usize) -> Option<&'a [u8]> {
        let mut reader = Reader::new(image);
        reader.number32().ok()?;
        reader.number32().ok()?;
        for _ in 0..index {
            self.skip_value(&mut reader).ok()?;
        }
        let start = reader.bytes;
        self.skip_value(&mut reader).ok()?;
        Some(&start[..start.len() - reader.bytes.len()])
    }

    /// Reads over a value.
    fn skip_value(&self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut left = 1;
        while left > 0 {
            left -= 1;
            match reader.byte()? {
                tag::NIL | tag::TRUE | tag::FALSE | tag::TINY.. => {}
                tag::INTEGER | tag::CHARACTER | tag::BACK | tag::PIECE => drop(reader.number()?),
                tag::FLOAT => drop(reader.float()?),
                tag::SYMBOL | tag::STRING | tag::LARGE | tag::PROTOTYPE => drop(reader.sized()?),
                tag::REFERENCE => {
                    reader.sized()?;
                    reader.sized()?;
                }
                tag::OBJECT | tag::OBJECT_IMMUTABLE => {
                    reader.number32()?;
                    let shape = self.get(reader.number32()?);
                    left += shape.ok_or(DecodeError::Damaged("a shape that is not known"))?.slots.len();
                }
                tag::INDEXED | tag::INDEXED_IMMUTABLE => {
                    reader.number32()?;
                    reader.number32()?;
                    left += reader.length()?;
                }
                tag::RAW | tag::RAW_IMMUTABLE => {
                    reader.number32()?;
                    reader.number32()?;
                    reader.sized()?;
                }
                // Promises that wait stand before the slots.
                _ => return Err(DecodeError::Damaged("a value that is none")),
            }
        }
        Ok(())
    }
}

/// What a register holds, as far as an index may use it.
#[derive(Clone, Copy)]
enum Holds {
    /// The twin.
    Twin,
    /// What the twin answers to this.
    Answer(Symbol),
    /// A value that is known here.
    Known(Value),
    /// Whether that answer compares as it should, for which it lies in the range.
    Compared(Symbol, Range),
    /// Anything.
    Unknown,
}

/// The comparisons that an index knows, with what they ask of the receiver.
#[derive(Clone, Copy)]
enum Comparison {
    Less,
    Greater,
    Equal,
}

impl Vm {
    /// What is indexed of the twins at rest that have this shape.
    pub fn indexed_slots(&self, shape: u32) -> IndexedSlots {
        let Some(entry) = self.shapes.entry(shape).filter(|entry| entry.shape.twin) else {
            return IndexedSlots::default();
        };
        let Some(class) = entry.class else { return IndexedSlots::default() };
        let is_present = self.shapes.number_of(class) == Some(shape) && !entry.lacks_new && !entry.lacks_transient;
        let slots = self.class(class).slots.iter();
        let slots = slots.filter(|slot| slot.annotation.indexed && !slot.annotation.transient).map(|slot| {
            let name = self.symbols.name(slot.name);
            let place = entry.shape.slots.iter().position(|stored| stored == name).filter(|_| is_present);
            (name.to_owned(), place)
        });
        IndexedSlots { slots: slots.collect() }
    }

    /// Whether twins of the prototype answer this from an indexed slot of that name.
    pub fn reads_indexed_slot(&self, prototype: &str, selector: &str) -> bool {
        let class = self.find_class(prototype);
        let Some((class, symbol)) = class.zip(self.symbols.find(selector)) else { return false };
        match self.find_method(class, symbol) {
            Some(Target::Getter(slot)) => {
                let slot = &self.class(class).slots[slot as usize];
                slot.annotation.indexed && !slot.annotation.transient && slot.name == symbol
            }
            Some(Target::Method(_) | Target::Constant(_)) | None => false,
        }
    }

    /// What an index can tell of a question: `selector` is what each twin is asked first, and the block is given what it answers, or
    /// without one the twin. `None`: nothing.
    pub(crate) fn hint_of(&self, selector: &str, block: Value) -> Option<(String, Range)> {
        let (method, code) = self.code_of_block(block);
        let parts = self.parts_of_block(block);
        let linked = &self.linked(method).codes[code];
        if linked.argument_count != 1 {
            return None;
        }
        let mut registers = [Holds::Unknown; 256];
        registers[1] = match selector {
            "" => Holds::Twin,
            selector => Holds::Answer(self.symbols.find(selector)?),
        };
        for (nth, &part) in parts[1..].iter().enumerate() {
            registers[2 + nth] = Holds::Known(part);
        }
        for (_, op) in codec::instructions(&plain_words(&linked.words)).flatten() {
            let (dst, holds) = match op {
                Op::Copy { dst, src } => (dst, registers[usize::from(src.0)]),
                Op::LoadInteger { dst, value } => (dst, Holds::Known(Value::small(i64::from(value.0)))),
                Op::LoadLiteral { dst, literal } => (dst, Holds::Known(*linked.literals.get(usize::from(literal.0))?)),
                Op::LoadSlot { dst, slot } => {
                    let of_twin = self.path_of(parts[0]).is_some();
                    of_twin.then(|| (dst, Holds::Known(self.heap.slot(parts[0], usize::from(slot.0)))))?
                }
                Op::LoadCell { dst, cell } => match registers[usize::from(cell.0)] {
                    // It is assigned by nobody in a block that travels, and as it stands now.
                    Holds::Known(cell) if cell.is_pointer() && self.heap.class_of_object(cell) == self.known.cell => {
                        (dst, Holds::Known(self.heap.slot(cell, 0)))
                    }
                    _ => return None,
                },
                Op::Send { base, site } => {
                    let at = usize::from(base.0);
                    let selector = linked.sites.get(usize::from(site.0))?.selector;
                    let name = self.symbols.name(selector);
                    let holds = match (registers[at], argument_count(name)) {
                        (Holds::Twin, 0) if self.is_answered_by_the_twin(selector) => Holds::Answer(selector),
                        (Holds::Answer(asked), 2) if name == "between:and:" => {
                            let (Holds::Known(least), Holds::Known(most)) = (registers[at + 1], registers[at + 2])
                            else {
                                return None;
                            };
                            let range =
                                Range { from: self.number_key(least)?, to: self.number_key(most)?, texts: true };
                            let used = [Some(selector), self.symbols.find(">="), self.symbols.find("<=")];
                            let is_usual = used.into_iter().flatten().all(|selector| self.compares_as_usual(selector));
                            is_usual.then_some(Holds::Compared(asked, range))?
                        }
                        _ => return None,
                    };
                    (base, holds)
                }
                Op::Less { dst, left, right, site } | Op::LessEqual { dst, left, right, site } => {
                    let selector = linked.sites.get(usize::from(site.0))?.selector;
                    let (left, right) = (registers[usize::from(left.0)], registers[usize::from(right.0)]);
                    (dst, self.compared(Comparison::Less, selector, left, right)?)
                }
                Op::Greater { dst, left, right, site } | Op::GreaterEqual { dst, left, right, site } => {
                    let selector = linked.sites.get(usize::from(site.0))?.selector;
                    let (left, right) = (registers[usize::from(left.0)], registers[usize::from(right.0)]);
                    (dst, self.compared(Comparison::Greater, selector, left, right)?)
                }
                Op::Equal { dst, left, right, site } => {
                    let selector = linked.sites.get(usize::from(site.0))?.selector;
                    let (left, right) = (registers[usize::from(left.0)], registers[usize::from(right.0)]);
                    (dst, self.compared(Comparison::Equal, selector, left, right)?)
                }
                Op::Answer { value } => match registers[usize::from(value.0)] {
                    Holds::Compared(asked, range) => return Some((self.symbols.name(asked).to_owned(), range)),
                    Holds::Twin | Holds::Answer(_) | Holds::Known(_) | Holds::Unknown => return None,
                },
                _ => return None,
            };
            registers[usize::from(dst.0)] = holds;
        }
        None
    }

    /// What comes of comparing an answer with something known, on whichever side that stands.
    fn compared(&self, comparison: Comparison, selector: Symbol, left: Holds, right: Holds) -> Option<Holds> {
        if !self.compares_as_usual(selector) {
            return None;
        }
        let (asked, known, comparison) = match (left, right, comparison) {
            (Holds::Answer(asked), Holds::Known(known), comparison) => (asked, known, comparison),
            (Holds::Known(known), Holds::Answer(asked), Comparison::Equal) => (asked, known, Comparison::Equal),
            (Holds::Known(known), Holds::Answer(asked), Comparison::Less) => (asked, known, Comparison::Greater),
            (Holds::Known(known), Holds::Answer(asked), Comparison::Greater) => (asked, known, Comparison::Less),
            _ => return None,
        };
        let range = match comparison {
            Comparison::Equal => {
                let texts = [self.known.string, self.known.symbol];
                if !texts.iter().all(|&class| self.finds_of_kernel(class, selector)) {
                    return None;
                }
                let key = self.number_key(known).or_else(|| self.as_text(known).map(of_text))?;
                Range { from: key, to: key, texts: false }
            }
            // To order a text and a number is a fault: all that is no number is asked.
            Comparison::Less => Range { from: with_tag(NUMBER, 0), to: self.number_key(known)?, texts: true },
            Comparison::Greater => Range { from: self.number_key(known)?, to: with_tag(NUMBER, u64::MAX), texts: true },
        };
        Some(Holds::Compared(asked, range))
    }

    fn number_key(&self, value: Value) -> Option<IndexKey> {
        let number = match (value.as_integer(), self.as_float(value)) {
            (Some(number), _) => number as f64,
            (None, Some(number)) => number,
            (None, None) => self.as_big_integer(value)?.to_f64()?,
        };
        Some(of_number(number)).filter(|key| *key != OTHER)
    }

    /// Whether a reference passes this on to its twin.
    fn is_answered_by_the_twin(&self, selector: Symbol) -> bool {
        let class = self.class(self.known.reference);
        !class.methods.contains_key(&selector)
    }

    /// Whether numbers compare by the kernel's methods.
    fn compares_as_usual(&self, selector: Symbol) -> bool {
        let numbers = [self.known.integer, self.known.large_integer, self.known.float];
        numbers.iter().all(|&class| self.finds_of_kernel(class, selector))
    }

    fn finds_of_kernel(&self, class: ClassId, selector: Symbol) -> bool {
        match self.find_method(class, selector) {
            Some(Target::Method(method)) => self.linked(method).origin.image == 0,
            Some(Target::Getter(_) | Target::Constant(_)) | None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_numbers_have_their_order() {
        let numbers = [f64::NEG_INFINITY, -1.0e300, -2.5, -1.0, -0.0, 5.0e-324, 0.5, 1.0, 80.0, 1.0e300, f64::INFINITY];
        for (nth, pair) in numbers.windows(2).enumerate() {
            assert!(of_number(pair[0]) < of_number(pair[1]), "{nth}: {pair:?}");
        }
        assert_eq!(of_number(0.0), of_number(-0.0));
        assert_eq!(of_number(f64::NAN), OTHER);
        assert!(numbers.iter().all(|&number| OTHER < of_number(number) && of_number(number) < TEXTS));
        assert!(of_text("") >= TEXTS && of_text("a") != of_text("b"));
    }

    #[test]
    fn what_is_stored_has_the_key_of_its_value() {
        let shapes = Shapes::default();
        let key = |tree: &Tree| {
            let mut bytes = Vec::new();
            tree.write(&mut bytes, &shapes).expect("written");
            key_of_stored(Some(&bytes), &shapes)
        };
        assert_eq!(key(&Tree::integer(80)), of_number(80.0));
        assert_eq!(key(&Tree::Float(80.0)), of_number(80.0));
        assert_eq!(key(&Tree::Integer(num_bigint::BigInt::from(1) << 2000)), of_number(f64::INFINITY));
        assert_eq!(key(&Tree::string("open")), key(&Tree::Symbol("open".to_owned())));
        assert_eq!(key(&Tree::Nil), OTHER);
        assert_eq!(key(&Tree::Boolean(true)), OTHER);
        assert_eq!(key_of_stored(None, &shapes), OTHER);
    }
}
