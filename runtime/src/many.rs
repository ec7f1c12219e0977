//! What all twins of a prototype answer: each partition asks its own, and what they say is put together.
//!
//! A partition's [`Share`] has the answers in the order of their paths, or what they come to as far as that does not depend on an
//! order: how many there are, the exact sum of integers and floats, and the greatest or smallest of them. So the answer is the
//! same however the twins are placed. A share ends at the first twin that has a fault, or that decides; which of those of
//! several shares counts is told by their paths too.
//!
//! A finite float is an integer times 2^-1074, so sums of floats are sums of integers, and rounded once.

use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};
use twintalk_vm::fault::TraceLine;
use twintalk_vm::many::{Many, Verb, array, as_boolean, is_number, reference};
use twintalk_vm::{Fault, Shapes, Tree};

use crate::near::path_order;
use crate::resident::{get_number, put_number};

/// What the twins of a partition answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Share {
    /// The answers that are kept, by path; a reference alone has none.
    entries: Vec<(String, Vec<u8>)>,
    /// How many twins have answered, or of those that answer true or false, how many have answered true.
    count: u64,
    /// What answers that are integers and floats come to.
    total: Total,
    /// The twin that the share ends with, since it decides, or has a fault.
    last: Option<(String, Option<Fault>)>,
    /// Of a page that is not the last: the twin up to which it goes.
    up_to: Option<String>,
}

/// What integers and floats come to.
#[derive(Clone, Debug, Default, PartialEq)]
struct Total {
    /// The sum of the integers.
    integers: BigInt,
    /// The sum of the floats, times 2^1074; `None` if there is none.
    floats: Option<BigInt>,
    /// The greatest or smallest, with its path: of equal ones that of the first.
    extreme: Option<(String, Number)>,
    /// How many there are.
    count: u64,
}

/// A finite number.
#[derive(Clone, Debug, PartialEq)]
enum Number {
    Integer(BigInt),
    Float(f64),
}

impl Number {
    /// What the bytes of a value say; `None` if they are no finite number.
    fn read(value: &[u8], shapes: &Shapes) -> Option<Number> {
        if !is_number(value) {
            return None;
        }
        match Tree::from_message(value, shapes) {
            Ok(Tree::Integer(integer)) => Some(Number::Integer(integer)),
            Ok(Tree::Float(float)) if float.is_finite() => Some(Number::Float(float)),
            Ok(_) | Err(_) => None,
        }
    }

    fn tree(self) -> Tree {
        match self {
            Number::Integer(integer) => Tree::Integer(integer),
            Number::Float(float) => Tree::Float(float),
        }
    }

    fn cmp(&self, other: &Number) -> Ordering {
        match (self, other) {
            (Number::Integer(one), Number::Integer(other)) => one.cmp(other),
            (Number::Float(one), Number::Float(other)) => one.partial_cmp(other).unwrap_or(Ordering::Equal),
            (one, other) => one.scaled().cmp(&other.scaled()),
        }
    }

    /// The number times 2^1074.
    fn scaled(&self) -> BigInt {
        match self {
            Number::Integer(integer) => integer << SCALE,
            Number::Float(float) => scaled(*float),
        }
    }
}

/// The smallest float above 0 is 2 to the minus this.
const SCALE: u32 = 1074;
/// How many bits of a float stand behind its exponent.
const FRACTION_BITS: u32 = 52;

/// A finite float times 2^1074.
fn scaled(float: f64) -> BigInt {
    let bits = float.to_bits();
    let (exponent, fraction) = (bits >> FRACTION_BITS & 0x7ff, bits & ((1 << FRACTION_BITS) - 1));
    let magnitude = match exponent {
        0 => BigInt::from(fraction),
        _ => BigInt::from(fraction | 1 << FRACTION_BITS) << (exponent - 1),
    };
    if float.is_sign_negative() { -magnitude } else { magnitude }
}

/// The float that is nearest to a number divided by 2^1074; of two the even one.
fn rounded(scaled: &BigInt) -> f64 {
    let (sign, magnitude) = (scaled.sign(), scaled.magnitude());
    let shift = magnitude.bits().saturating_sub(u64::from(FRACTION_BITS) + 1);
    let mut top = u64::try_from(magnitude >> shift).expect("at most 53 bits are left");
    if shift > 0 {
        let half = magnitude.bit(shift - 1);
        let more = magnitude.trailing_zeros().is_some_and(|zeros| zeros < shift - 1);
        // A carry past the last bit leads to the next exponent, as the bits are.
        top += u64::from(half && (more || top & 1 == 1));
    }
    // The highest bit of what is normal counts as one of the exponent.
    let bits = if shift >= 0x7ff { f64::INFINITY.to_bits() } else { top + (shift << FRACTION_BITS) };
    let float = f64::from_bits(bits.min(f64::INFINITY.to_bits()));
    if sign == Sign::Minus { -float } else { float }
}

impl Total {
    fn take(&mut self, path: &str, number: Number, verb: Verb) {
        self.count += 1;
        match verb {
            Verb::Sum => match number {
                Number::Integer(integer) => self.integers += integer,
                Number::Float(float) => *self.floats.get_or_insert_default() += scaled(float),
            },
            _ => self.take_extreme(path, number, verb),
        }
    }

    fn take_extreme(&mut self, path: &str, number: Number, verb: Verb) {
        let is_more = self.extreme.as_ref().is_none_or(|(known_path, known)| match number.cmp(known) {
            Ordering::Equal => path_order(path, known_path).is_lt(),
            order => (order == Ordering::Greater) == (verb == Verb::Max),
        });
        if is_more {
            self.extreme = Some((path.to_owned(), number));
        }
    }

    fn merge(&mut self, other: Total, verb: Verb) {
        self.count += other.count;
        self.integers += other.integers;
        if let Some(floats) = other.floats {
            *self.floats.get_or_insert_default() += floats;
        }
        if let Some((path, number)) = other.extreme {
            self.take_extreme(&path, number, verb);
        }
    }

    fn tree(self, verb: Verb) -> Tree {
        match (verb, self.floats) {
            _ if self.count == 0 => Tree::Nil,
            (Verb::Sum, None) => Tree::Integer(self.integers),
            (Verb::Sum, Some(floats)) => Tree::Float(rounded(&(floats + (self.integers << SCALE)))),
            (_, _) => self.extreme.map_or(Tree::Nil, |(_, number)| number.tree()),
        }
    }
}

impl Share {
    /// A share that ends before its first twin.
    pub fn of_fault(fault: Fault) -> Share {
        Share { last: Some((String::new(), Some(fault))), ..Share::default() }
    }

    /// The share ends, and a fault of a twin counts before this.
    pub fn end_behind_all(&mut self, fault: Fault) {
        self.last = Some((char::MAX.to_string(), Some(fault)));
    }

    /// Takes the next twin, which is not asked anything.
    pub fn take_path(&mut self, path: String) {
        self.entries.push((path, Vec::new()));
    }

    /// Takes what the next twin answers; answers how many more bytes the share has.
    pub fn take(&mut self, many: &Many<'_>, path: &str, answer: Vec<u8>, shapes: &Shapes) -> usize {
        let bytes = path.len() + answer.len();
        if many.verb.is_of_booleans() {
            let Some(is_true) = as_boolean(&answer) else {
                let what = if many.selector.is_empty() { "the block" } else { many.selector };
                let text = format!("{path}: {what} answers something that is neither true nor false");
                self.end(path, Some(Fault { kind: "NonBoolean".to_owned(), text, trace: Vec::new() }));
                return 0;
            };
            self.count += u64::from(is_true);
            match many.verb {
                Verb::Where | Verb::Reject if is_true == (many.verb == Verb::Where) => {
                    self.entries.push((path.to_owned(), Vec::new()));
                    return bytes;
                }
                Verb::Detect | Verb::Any if is_true => self.end(path, None),
                Verb::Every if !is_true => self.end(path, None),
                _ => {}
            }
            return 0;
        }
        self.count += 1;
        match Number::read(&answer, shapes).filter(|_| many.verb.is_of_numbers()) {
            Some(number) => {
                self.total.take(path, number, many.verb);
                0
            }
            None => {
                self.entries.push((path.to_owned(), answer));
                bytes
            }
        }
    }

    /// Takes the fault of the next twin, which says where it was.
    pub fn take_fault(&mut self, path: &str, fault: Fault) {
        // What the kernel does on the way is of less interest.
        let is_of_kernel = |line: &&TraceLine| line.place.as_ref().is_none_or(|place| place.starts_with("kernel/"));
        let place = fault.trace.iter().find(|line| !is_of_kernel(line)).or(fault.trace.first());
        let place = place.map(|line| match &line.place {
            Some(place) => format!(" (`{}` at {place})", line.method),
            None => format!(" (`{}`)", line.method),
        });
        let text = format!("{path}: {}{}", fault.text, place.unwrap_or_default());
        self.end(path, Some(Fault { text, ..fault }));
    }

    fn end(&mut self, path: &str, fault: Option<Fault>) {
        self.last = Some((path.to_owned(), fault));
    }

    /// The page goes up to this twin, and there are more behind it.
    pub fn goes_up_to(&mut self, path: &str) {
        self.up_to = Some(path.to_owned());
    }

    /// Whether no more twins need be asked.
    pub fn has_ended(&self) -> bool {
        self.last.is_some()
    }

    /// Takes what the twins of another partition answer.
    pub fn merge(&mut self, other: Share, verb: Verb) {
        self.entries.extend(other.entries);
        self.count += other.count;
        self.total.merge(other.total, verb);
        let first = match (self.last.take(), other.last) {
            (Some(one), Some(other)) => Some(if path_order(&one.0, &other.0).is_le() { one } else { other }),
            (one, other) => one.or(other),
        };
        self.last = first;
        self.up_to = match (self.up_to.take(), other.up_to) {
            (Some(one), Some(other)) => Some(if path_order(&one, &other).is_le() { one } else { other }),
            (one, other) => one.or(other),
        };
    }

    /// Drops what is behind the end of the page, and comes again with the next.
    fn cut(&mut self) {
        let Some(up_to) = &self.up_to else { return };
        let is_in = |path: &str| path_order(path, up_to).is_le();
        self.entries.retain(|(path, _)| is_in(path));
        self.last.take_if(|(path, _)| !is_in(path));
    }

    /// The answer to the whole question, as a message has it.
    pub fn answer(mut self, many: &Many<'_>, shapes: &Shapes) -> Result<Vec<u8>, Fault> {
        self.cut();
        if let Some((_, Some(fault))) = self.last {
            return Err(fault);
        }
        self.entries.sort_unstable_by(|(one, _), (other, _)| path_order(one, other));
        let ended = self.last.is_some();
        let refer = |path: &str| reference(path, many.prototype);
        let gathered = match many.verb {
            Verb::All | Verb::Where | Verb::Reject => {
                let references: Vec<_> = self.entries.iter().map(|(path, _)| refer(path)).collect();
                array(references.iter().map(Vec::as_slice), shapes)
            }
            Verb::Detect => {
                let first: Vec<_> = self.last.iter().map(|(path, _)| refer(path)).collect();
                array(first.iter().map(Vec::as_slice), shapes)
            }
            Verb::Collect => array(self.entries.iter().map(|(_, answer)| answer.as_slice()), shapes),
            Verb::Answers => {
                let pair =
                    |(path, answer): &(String, Vec<u8>)| array([refer(path).as_slice(), answer].into_iter(), shapes);
                let pairs: Result<Vec<_>, _> = self.entries.iter().map(pair).collect();
                pairs.and_then(|pairs| array(pairs.iter().map(Vec::as_slice), shapes))
            }
            Verb::Count => return written(&Tree::Integer(self.count.into()), shapes),
            Verb::Any => return written(&Tree::Boolean(ended), shapes),
            Verb::Every => return written(&Tree::Boolean(!ended), shapes),
            Verb::Sum | Verb::Max | Verb::Min => {
                let count = written(&Tree::Integer(self.count.into()), shapes)?;
                let total = written(&self.total.tree(many.verb), shapes)?;
                let others = array(self.entries.iter().map(|(_, answer)| answer.as_slice()), shapes);
                others.and_then(|others| array([count, total, others].iter().map(Vec::as_slice), shapes))
            }
        };
        let gathered = match many.page {
            None => gathered,
            Some(_) => {
                let up_to = written(&self.up_to.map_or(Tree::Nil, Tree::String), shapes)?;
                gathered.and_then(|list| array([up_to, list].iter().map(Vec::as_slice), shapes))
            }
        };
        gathered.map_err(|error| unreachable_twins(format!("what twins answer cannot be put together: {error}")))
    }

    // ---- bytes ----

    /// The share as it goes to another partition.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_number(&mut out, self.entries.len() as u64);
        for (path, answer) in &self.entries {
            put_bytes(&mut out, path.as_bytes());
            put_bytes(&mut out, answer);
        }
        put_number(&mut out, self.count);
        put_number(&mut out, self.total.count);
        put_bytes(&mut out, &self.total.integers.to_signed_bytes_le());
        put_bytes(&mut out, &self.total.floats.as_ref().map(BigInt::to_signed_bytes_le).unwrap_or_default());
        match &self.total.extreme {
            None => out.push(0),
            Some((path, number)) => {
                let (kind, bytes) = match number {
                    Number::Integer(integer) => (1, integer.to_signed_bytes_le()),
                    Number::Float(float) => (2, float.to_bits().to_le_bytes().to_vec()),
                };
                out.push(kind);
                put_bytes(&mut out, path.as_bytes());
                put_bytes(&mut out, &bytes);
            }
        }
        match &self.last {
            None => out.push(0),
            Some((path, fault)) => {
                out.push(1 + u8::from(fault.is_some()));
                put_bytes(&mut out, path.as_bytes());
                for text in fault.iter().flat_map(|fault| [&fault.kind, &fault.text]) {
                    put_bytes(&mut out, text.as_bytes());
                }
            }
        }
        out.push(u8::from(self.up_to.is_some()));
        put_bytes(&mut out, self.up_to.as_deref().unwrap_or_default().as_bytes());
        out
    }

    /// What [`Share::write`] wrote; `None` if the bytes are others.
    pub fn read(mut bytes: &[u8]) -> Option<Share> {
        let bytes = &mut bytes;
        let mut share = Share::default();
        for _ in 0..get_number(bytes)? {
            share.entries.push((get_text(bytes)?, get_bytes(bytes)?.to_vec()));
        }
        share.count = get_number(bytes)?;
        share.total.count = get_number(bytes)?;
        share.total.integers = BigInt::from_signed_bytes_le(get_bytes(bytes)?);
        let floats = get_bytes(bytes)?;
        share.total.floats = (!floats.is_empty()).then(|| BigInt::from_signed_bytes_le(floats));
        share.total.extreme = match get_number(bytes)? {
            0 => None,
            kind => {
                let (path, number) = (get_text(bytes)?, get_bytes(bytes)?);
                let number = match kind {
                    1 => Number::Integer(BigInt::from_signed_bytes_le(number)),
                    _ => Number::Float(f64::from_bits(u64::from_le_bytes(number.try_into().ok()?))),
                };
                Some((path, number))
            }
        };
        share.last = match get_number(bytes)? {
            0 => None,
            kind => {
                let path = get_text(bytes)?;
                let fault = match kind {
                    1 => None,
                    _ => Some(Fault { kind: get_text(bytes)?, text: get_text(bytes)?, trace: Vec::new() }),
                };
                Some((path, fault))
            }
        };
        let has_more = get_number(bytes)? == 1;
        share.up_to = Some(get_text(bytes)?).filter(|_| has_more);
        bytes.is_empty().then_some(share)
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn get_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(get_number(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn get_text(bytes: &mut &[u8]) -> Option<String> {
    String::from_utf8(get_bytes(bytes)?.to_vec()).ok()
}

/// A value as a message has it.
fn written(tree: &Tree, shapes: &Shapes) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    tree.write(&mut out, shapes).map_err(unreachable_twins)?;
    Ok(out)
}

/// The fault of a question to many twins that has no answer.
pub(crate) fn unreachable_twins(text: String) -> Fault {
    Fault { kind: "Unreachable".to_owned(), text, trace: Vec::new() }
}
