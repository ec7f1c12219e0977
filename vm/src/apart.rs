//! Promises that wait apart: each is kept beside the image of its twin, so that a reply reads and changes that one alone,
//! however many others wait.
//!
//! A promise that nothing reaches but the list of those that wait is only ever met again by its reply, or by the message
//! `<then:>`. It is written once, when it gets its blocks, under its number: what it was answered, if it was, and its
//! continuations, each as its parts in order rather than as objects. What these took along is a plain value, or an
//! object of the twin. Such an object stays in the image, which counts how often promises hold it, and a promise mentions it by its
//! number. When the promise is answered it is an object again, which is new and of no number: it is gone when the turn ends.
//!
//! A promise that a slot reaches, or that a block took along, is an object among others, and waits in the image. So do those of
//! the turn that makes its twin, or carries it over.
//!
//! Invariant: what is written here holds no object that is not counted in the image.

use rustc_hash::FxHashSet;

use crate::codec::{DecodeError, EncodeError, Encoder, Fail, Met, Reader, put_bytes, put_number, tag};
use crate::delta::plain;
use crate::heap;
use crate::promise::{self, part};
use crate::symbol::Symbol;
use crate::value::{Kind, Value};
use crate::vm::Vm;

/// What is added to the number of a promise that waits apart: so it is told from the objects that are kept as pieces.
pub const PROMISE_PIECE: u64 = 1 << 63;

/// What a twin has of promises that wait apart.
#[derive(Clone, Default)]
pub(crate) struct Apart {
    /// How many there are.
    pub count: u32,
    /// The objects that they hold, by their number, each with how often.
    pub held: Vec<(Value, u32)>,
}

/// A promise that waited apart, and waits no longer.
pub(crate) struct Answered {
    pub number: u64,
    /// The objects that it held, by their number within the twin, as often as it did.
    pub held: Vec<u32>,
}

/// How a continuation begins.
pub(crate) mod begin {
    /// There is none.
    pub const NONE: u8 = 0;
    /// The hash of its program follows.
    pub const PROGRAM: u8 = 1;
    /// It is of the program of the one before.
    pub const SAME_PROGRAM: u8 = 2;
}

const WRONG: DecodeError = DecodeError::Damaged("a promise that is another than was asked for");

/// Reads over a promise that waits apart, and hands each value in it to `value`, which reads it; all other bytes go to `other`.
pub(crate) fn walk<'r, S>(
    reader: &mut S,
    bytes_of: impl for<'s> Fn(&'s mut S) -> &'s mut Reader<'r>,
    other: &mut impl FnMut(&mut S, &[u8]),
    value: &mut impl FnMut(&mut S) -> Result<(), DecodeError>,
) -> Result<u64, DecodeError> {
    // Takes what `read` reads over.
    fn copied<'r, S, T>(
        reader: &mut S,
        bytes_of: &impl for<'s> Fn(&'s mut S) -> &'s mut Reader<'r>,
        other: &mut impl FnMut(&mut S, &[u8]),
        read: impl FnOnce(&mut Reader<'r>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let from = bytes_of(reader);
        let before = from.bytes;
        let got = read(from)?;
        let taken = before.len() - from.bytes.len();
        other(reader, &before[..taken]);
        Ok(got)
    }
    let number = copied(reader, &bytes_of, other, Reader::number)?;
    value(reader)?;
    value(reader)?;
    let count = copied(reader, &bytes_of, other, Reader::length)?;
    if count % 2 == 1 {
        return Err(DecodeError::Damaged("blocks that are not two by two"));
    }
    let mut has_program = false;
    for _ in 0..count {
        match copied(reader, &bytes_of, other, Reader::byte)? {
            begin::NONE => continue,
            begin::PROGRAM => {
                copied(reader, &bytes_of, other, |reader| reader.take(32))?;
                has_program = true;
            }
            begin::SAME_PROGRAM if has_program => {}
            _ => return Err(DecodeError::Damaged("a continuation of no program")),
        }
        copied(reader, &bytes_of, other, |reader| {
            reader.number()?;
            reader.number()?;
            reader.text()?;
            reader.byte()?;
            reader.number()?;
            reader.number()
        })?;
        value(reader)?;
        for _ in 0..copied(reader, &bytes_of, other, Reader::length)? {
            value(reader)?;
        }
    }
    Ok(number)
}

/// The objects that a promise at rest holds, as often as it does.
pub(crate) fn held(bytes: &[u8], number: u64) -> Result<Vec<u32>, DecodeError> {
    let mut held = Vec::new();
    let mut reader = Reader::new(bytes);
    let found = walk(&mut reader, |reader| reader, &mut |_, _| (), &mut |reader| {
        let first = reader.byte()?;
        match first {
            tag::BACK => held.push(reader.number32()?),
            _ if plain(reader, first)? => {}
            _ => return Err(DecodeError::Damaged("a promise apart with an object in it")),
        }
        Ok(())
    })?;
    if found == number && reader.is_empty() { Ok(held) } else { Err(WRONG) }
}

impl Encoder<'_> {
    /// Writes a promise of this turn that waits apart: an object is written out where it is met first. Answers whether it holds
    /// one.
    pub fn promise_apart(&mut self, promise: Value) -> Result<bool, EncodeError> {
        let vm = self.vm;
        let mut holds = false;
        let mut value = |encoder: &mut Self, value: Value| {
            let at = encoder.out.len();
            encoder.value(value)?;
            holds |= matches!(encoder.out[at], tag::BACK..=tag::RAW_IMMUTABLE | tag::PIECE);
            Ok(())
        };
        put_number(self.out, vm.promise_number(promise).unwrap_or(0));
        value(self, vm.heap.slot(promise, promise::OUTCOME))?;
        value(self, vm.heap.slot(promise, promise::ANSWER))?;
        let actions = vm.array_elements(vm.heap.slot(promise, promise::ACTIONS)).unwrap_or_default();
        put_number(self.out, actions.len() as u64);
        let mut last_program = None;
        for &continuation in actions {
            if continuation.is_nil() {
                self.out.push(begin::NONE);
                continue;
            }
            let slot = |slot| vm.heap.slot(continuation, slot);
            let program = vm.heap.bytes(slot(part::PROGRAM));
            if last_program == Some(program) {
                self.out.push(begin::SAME_PROGRAM);
            } else {
                self.out.push(begin::PROGRAM);
                self.out.extend_from_slice(program);
                last_program = Some(program);
            }
            let number = |slot: Value| slot.as_integer().map_or(0, |number| number as u64);
            put_number(self.out, number(slot(part::IMAGE)));
            put_number(self.out, number(slot(part::SCOPE)));
            let Kind::Symbol(prototype) = slot(part::PROTOTYPE).kind() else {
                unreachable!("`then:` put a symbol there")
            };
            put_bytes(self.out, vm.symbols.name(Symbol(prototype)).as_bytes());
            self.out.push(u8::from(slot(part::SIDE) == Value::TRUE));
            put_number(self.out, number(slot(part::METHOD)));
            put_number(self.out, number(slot(part::CODE)));
            value(self, slot(part::RECEIVER))?;
            let captured = vm.array_elements(slot(part::CAPTURED)).unwrap_or_default();
            put_number(self.out, captured.len() as u64);
            captured.iter().try_for_each(|&one| value(self, one))?;
        }
        Ok(holds)
    }
}

impl Vm {
    /// Which of the promises that got blocks in this turn something reaches but the list of those that wait: what is
    /// `numbered` was reached from slots; what blocks took along is looked through here.
    pub(crate) fn reached_promises(&self, new: &[Value], numbered: impl Fn(Value) -> bool) -> FxHashSet<u64> {
        let all: FxHashSet<u64> = new.iter().map(|promise| promise.bits()).collect();
        let mut reached: FxHashSet<u64> = new.iter().filter(|one| numbered(**one)).map(|one| one.bits()).collect();
        let mut open = Vec::new();
        for &promise in new {
            open.push(self.heap.slot(promise, promise::ANSWER));
            let actions = self.array_elements(self.heap.slot(promise, promise::ACTIONS)).unwrap_or_default();
            for &continuation in actions.iter().filter(|continuation| !continuation.is_nil()) {
                open.push(self.heap.slot(continuation, part::RECEIVER));
                open.push(self.heap.slot(continuation, part::CAPTURED));
            }
        }
        let mut seen: FxHashSet<u64> = FxHashSet::default();
        while let Some(object) = open.pop() {
            // What is older than the turn, or was numbered, reaches nothing that was not.
            if !object.is_pointer() || self.heap.number(object) != 0 || numbered(object) || !seen.insert(object.bits())
            {
                continue;
            }
            if all.contains(&object.bits()) {
                reached.insert(object.bits());
            } else if self.path_of(object).is_some() || self.heap.has_flags(object, heap::RAW) {
                // It is written as what it names, or as bytes.
            } else if self.heap.has_flags(object, heap::INDEXED) {
                open.extend_from_slice(self.heap.contents(object));
            } else if let Some(shape) = self.shapes.number_of(self.heap.class_of_object(object)) {
                let offsets = self.shapes.entry(shape).map_or(&[][..], |entry| &entry.offsets);
                open.extend(offsets.iter().flatten().map(|&offset| self.heap.slot(object, offset as usize)));
            }
        }
        reached
    }

    /// Reads a promise of the `nth` twin of the turn that waits apart, as a new object: it is the one in hand then. Answers the
    /// numbers of the objects that it holds.
    pub(crate) fn decode_apart(&mut self, nth: usize, number: u64, bytes: &[u8]) -> Result<Vec<u32>, DecodeError> {
        let handles = self.run.handles.len();
        let read = self.read_apart(nth, number, bytes);
        self.run.handles.truncate(handles);
        read.map_err(Fail::into_error)
    }

    fn read_apart(&mut self, nth: usize, number: u64, bytes: &[u8]) -> Result<Vec<u32>, Fail> {
        // What it is made of is looked through once, so below nothing is amiss but what a value may be.
        let held = held(bytes, number)?;
        let mut reader = Reader::new(bytes);
        let reader = &mut reader;
        let start = self.run.handles.len();
        let promise = self.new_promise(reader.number()?)?;
        self.run.handles.push(promise);
        for slot in [promise::OUTCOME, promise::ANSWER] {
            let value = self.read_held(reader, nth)?;
            self.heap.init_slot(self.run.handles[start], slot, value);
        }
        let count = reader.length()?;
        let actions = self.allocate_indexed(self.known.array, count)?;
        self.heap.set_flags(actions, heap::IMMUTABLE);
        self.heap.init_slot(self.run.handles[start], promise::ACTIONS, actions);
        self.run.handles.extend([actions, Value::NIL]);
        for index in 0..count {
            match reader.byte()? {
                begin::NONE => continue,
                begin::PROGRAM => {
                    let hash = reader.take(32)?;
                    let program = self.allocate_bytes(self.known.byte_array, hash.len(), heap::IMMUTABLE)?;
                    self.heap.init_bytes(program).copy_from_slice(hash);
                    self.run.handles[start + 2] = program;
                }
                _ => {}
            }
            let integer = |reader: &mut Reader<'_>| -> Result<Value, DecodeError> {
                let number = i64::try_from(reader.number()?).ok().and_then(Value::integer);
                number.ok_or(DecodeError::Damaged("an integer past 63 bits"))
            };
            let (image, scope) = (integer(reader)?, integer(reader)?);
            let prototype = Value::symbol(self.symbols.intern(reader.text()?).0);
            let side = Value::boolean(reader.byte()? == 1);
            let (method, code) = (integer(reader)?, integer(reader)?);
            let at = self.run.handles.len();
            let receiver = self.read_held(reader, nth)?;
            self.run.handles.push(receiver);
            let length = reader.length()?;
            let captured = self.allocate_indexed(self.known.array, length)?;
            self.heap.set_flags(captured, heap::IMMUTABLE);
            self.run.handles.push(captured);
            for nth_value in 0..length {
                let value = self.read_held(reader, nth)?;
                self.heap.init_element(self.run.handles[at + 1], nth_value, value);
            }
            let continuation = self.allocate(self.known.continuation)?;
            let slots = [
                (part::PROGRAM, self.run.handles[start + 2]),
                (part::IMAGE, image),
                (part::SCOPE, scope),
                (part::PROTOTYPE, prototype),
                (part::SIDE, side),
                (part::METHOD, method),
                (part::CODE, code),
                (part::RECEIVER, self.run.handles[at]),
                (part::CAPTURED, self.run.handles[at + 1]),
            ];
            for (slot, value) in slots {
                self.heap.init_slot(continuation, slot, value);
            }
            self.heap.set_flags(continuation, heap::IMMUTABLE);
            self.heap.init_element(self.run.handles[start + 1], index, continuation);
            self.run.handles.truncate(at);
        }
        self.run.turn.promise = self.run.handles[start];
        Ok(held)
    }

    /// Reads a plain value, or finds the object of the twin that is mentioned.
    fn read_held(&mut self, reader: &mut Reader<'_>, nth: usize) -> Result<Value, Fail> {
        if reader.bytes.first() != Some(&tag::BACK) {
            let handles = self.run.handles.len();
            let value = self.decode_value(reader, &mut Met::default(), None);
            self.run.handles.truncate(handles);
            return value;
        }
        reader.byte()?;
        let number = reader.number32()?;
        let held = &self.run.turn.twins[nth].apart.held;
        let found = held
            .iter()
            .map(|(object, _)| *object)
            .find(|&object| self.number_within_or_part(object, nth) == Some(number));
        Ok(found.ok_or(DecodeError::Damaged("a promise holds an object that its twin has not"))?)
    }

    /// What the `nth` twin has of promises that wait apart once the one that was answered is gone.
    pub(crate) fn apart_now(&self, nth: usize) -> Result<Apart, DecodeError> {
        let twin = &self.run.turn.twins[nth];
        let mut apart = twin.apart.clone();
        let Some(answered) = &twin.answered else { return Ok(apart) };
        apart.count = apart.count.checked_sub(1).ok_or(WRONG)?;
        for &number in &answered.held {
            let at = apart.held.iter().position(|&(object, _)| self.number_within_or_part(object, nth) == Some(number));
            let held = at.and_then(|at| apart.held.get_mut(at)).ok_or(WRONG)?;
            held.1 -= 1;
            apart.held.retain(|&(_, count)| count > 0);
        }
        Ok(apart)
    }
}
