//! What primitives share: checked views of receivers and arguments, and the errors that say what is wrong.
//!
//! Any program may name any primitive in a method of its own, so nothing is taken on trust here: each
//! view looks at the value before it reads it.

use crate::fault::ExceptionKind;
use crate::heap;
use crate::primitive::{Stop, Window};
use crate::symbol::Symbol;
use crate::value::{Kind, Value};
use crate::vm::Vm;

/// Bits of a hash: what fits beside a place in one row of a table (see `hashed.rs`).
pub(crate) const HASH_MASK: u64 = (1 << 30) - 1;

impl Vm {
    /// Spends fuel for work that grows with its operands.
    ///
    /// # Errors
    /// The fault `OutOfFuel`.
    #[inline]
    pub(crate) fn spend(&mut self, units: usize) -> Result<(), Stop> {
        self.charge(u32::try_from(units).unwrap_or(u32::MAX))
    }

    /// `ArgumentError`: `wanted` names what the argument has to be, with its article.
    #[cold]
    pub(crate) fn wrong_argument(&mut self, wanted: &str, found: Value) -> Stop {
        let text = format!("{wanted} is wanted, but the argument is of {}", self.class_name(found));
        self.raise(ExceptionKind::ArgumentError, text)
    }

    /// `ArgumentError`: a primitive named by a method of a prototype it was not made for.
    #[cold]
    pub(crate) fn wrong_receiver(&mut self, wanted: &str, found: Value) -> Stop {
        let text = format!("this is for {wanted}, but the receiver is of {}", self.class_name(found));
        self.raise(ExceptionKind::ArgumentError, text)
    }

    /// The index counted from 0, of an element of a sequence of `size`.
    #[inline]
    pub(crate) fn index_within(&mut self, index: Value, size: usize) -> Result<usize, Stop> {
        if let Some(number) = index.as_integer()
            && number >= 1
            && number as usize <= size
        {
            return Ok(number as usize - 1);
        }
        Err(self.wrong_index(index, size))
    }

    #[cold]
    fn wrong_index(&mut self, index: Value, size: usize) -> Stop {
        match index.as_integer() {
            Some(number) if size == 0 => self
                .raise(ExceptionKind::IndexError, format!("the index {number} is outside a collection that is empty")),
            Some(number) => {
                self.raise(ExceptionKind::IndexError, format!("the index {number} is not within 1 to {size}"))
            }
            None => self.wrong_argument("an integer as index", index),
        }
    }

    /// The range from `start` to `stop`, both counted from 1, as a range counted from 0.
    pub(crate) fn range_within(
        &mut self,
        start: Value,
        stop: Value,
        size: usize,
    ) -> Result<std::ops::Range<usize>, Stop> {
        let (Some(from), Some(to)) = (start.as_integer(), stop.as_integer()) else {
            let wrong = if start.is_integer() { stop } else { start };
            return Err(self.wrong_argument("an integer as index", wrong));
        };
        if from >= 1 && to >= from - 1 && to <= size as i64 {
            return Ok(from as usize - 1..to as usize);
        }
        Err(self.raise(ExceptionKind::IndexError, format!("the range {from} to {to} is not within 1 to {size}")))
    }

    /// A size for a new collection.
    pub(crate) fn size_argument(&mut self, size: Value) -> Result<usize, Stop> {
        match size.as_integer() {
            Some(number) if number >= 0 => Ok(number as usize),
            Some(number) => Err(self.raise(ExceptionKind::ArgumentError, format!("a size is 0 or more, not {number}"))),
            None => Err(self.wrong_argument("an integer as size", size)),
        }
    }

    /// Makes sure that text of `bytes` could be kept, before it is built outside the heap.
    pub(crate) fn check_text_room(&mut self, bytes: usize) -> Result<(), Stop> {
        if bytes / 8 > self.heap.region().cap_words() {
            return Err(self.no_room());
        }
        self.spend(bytes / 64)?;
        Ok(())
    }

    /// The text of a string or symbol that is the receiver.
    pub(crate) fn receiver_text(&mut self, window: Window) -> Result<&str, Stop> {
        let receiver = window.receiver(self);
        if self.as_text(receiver).is_none() {
            return Err(self.wrong_receiver("strings", receiver));
        }
        Ok(self.as_text(receiver).expect("just checked"))
    }

    /// The text of a string or symbol that is the argument at `index`.
    pub(crate) fn argument_text(&mut self, window: Window, index: usize) -> Result<&str, Stop> {
        let argument = window.argument(self, index);
        if self.as_text(argument).is_none() {
            return Err(self.wrong_argument("a string", argument));
        }
        Ok(self.as_text(argument).expect("just checked"))
    }

    /// The text of a string, symbol or character.
    pub(crate) fn piece_of_text(&self, value: Value) -> Option<String> {
        match value.kind() {
            Kind::Character(character) => Some(character.to_string()),
            Kind::Symbol(_) | Kind::Pointer => self.as_text(value).map(str::to_owned),
            Kind::Integer(_) | Kind::Float(_) | Kind::Nil | Kind::Boolean(_) | Kind::Part(_) => None,
        }
    }

    /// Whether the value has at least `count` slots.
    #[inline]
    pub(crate) fn has_slots(&self, value: Value, count: usize) -> bool {
        value.is_pointer() && !self.heap.has_flags(value, heap::INDEXED) && self.heap.slot_count(value) >= count
    }

    /// The slot of the receiver, which was checked with [`Vm::has_slots`], as a count.
    #[inline]
    pub(crate) fn count_slot(&self, object: Value, index: usize) -> Option<usize> {
        self.heap.slot(object, index).as_integer().and_then(|number| usize::try_from(number).ok())
    }

    /// Lets the argument answer instead: sends it `selector` with the receiver and the operator.
    #[cold]
    pub(crate) fn hand_to_argument(&mut self, window: Window, selector: &str, operator: &str) -> Stop {
        let (receiver, argument) = (window.receiver(self), window.argument(self, 0));
        self.run.stack.reserve_index(window.base + 8);
        self.set_stack_at(window.base, argument);
        self.set_stack_at(window.base + 1, receiver);
        let operator = Value::symbol(self.symbols.intern(operator).0);
        self.set_stack_at(window.base + 2, operator);
        Stop::Send { selector: self.symbols.intern(selector), argument_count: 2 }
    }

    /// Sends the argument `selector` with the receiver: the two change places.
    #[cold]
    pub(crate) fn turn_round(&mut self, window: Window, selector: &str) -> Stop {
        let (receiver, argument) = (window.receiver(self), window.argument(self, 0));
        self.set_stack_at(window.base, argument);
        self.set_stack_at(window.base + 1, receiver);
        Stop::Send { selector: self.symbols.intern(selector), argument_count: 1 }
    }

    /// Runs `work` and lets go of the handles that it took.
    pub(crate) fn with_handles<T>(&mut self, work: impl FnOnce(&mut Vm, usize) -> Result<T, Stop>) -> Result<T, Stop> {
        let first = self.run.handles.len();
        let answer = work(self, first);
        self.run.handles.truncate(first);
        answer
    }

    /// A new array of the handles from `first` on.
    pub(crate) fn array_of_handles(&mut self, first: usize) -> Result<Value, Stop> {
        let count = self.run.handles.len() - first;
        let array = self.allocate_indexed(self.known.array, count)?;
        for index in 0..count {
            let value = self.run.handles[first + index];
            self.heap.init_element(array, index, value);
        }
        Ok(array)
    }

    /// A new array of strings.
    pub(crate) fn new_array_of_strings(&mut self, texts: &[String]) -> Result<Value, Stop> {
        self.with_handles(|vm, first| {
            for text in texts {
                let string = vm.new_string(text)?;
                vm.run.handles.push(string);
            }
            vm.array_of_handles(first)
        })
    }

    /// The selector that a symbol or string names.
    pub(crate) fn selector_argument(&mut self, window: Window, index: usize) -> Result<Symbol, Stop> {
        let argument = window.argument(self, index);
        if let Some(number) = argument.as_symbol() {
            return Ok(Symbol(number));
        }
        let name = self.argument_text(window, index)?.to_owned();
        Ok(self.symbols.intern(&name))
    }
}

/// A hash of bytes, the same on every machine and in every run.
pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    let mut hash = bytes.len() as u64;
    // The last bytes of a word reach the highest bits of a product alone, so those are folded down.
    let mut mix = |word: u64| {
        let product = (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        hash = product ^ product >> 32;
    };
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        mix(u64::from_le_bytes(*chunk));
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        mix(u64::from_le_bytes(last));
    }
    hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 34 & HASH_MASK
}

/// A hash of one word.
pub(crate) fn hash_word(word: u64) -> u64 {
    let hash = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash ^ hash >> 32) & HASH_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_names_have_hashes_of_their_own() {
        for start in ["", "pump-", "tank-", "plant-1/line-3/pump-", "sensor"] {
            for end in ["", "/level"] {
                let hashes: std::collections::BTreeSet<u64> =
                    (1..=2000).map(|number| hash_bytes(format!("{start}{number}{end}").as_bytes())).collect();
                assert!(hashes.len() > 1990, "{} hashes of 2000 {start}N{end}", hashes.len());
                assert!(hashes.iter().all(|&hash| hash <= HASH_MASK));
            }
        }
    }
}
