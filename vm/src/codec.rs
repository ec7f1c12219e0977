//! Values to bytes and back: messages, what changed in a turn, and twins at rest.
//!
//! One encoding serves three uses. A *message* is one value and all it reaches. An *image* is a twin at
//! rest: its shape, a counter, and its slots. A *delta* is what a turn changed in a twin that was
//! there before: slots and elements with their new values, and the new objects inside these.
//!
//! Mutable objects keep their identity: each has a number, unique within its twin and never used
//! again, and a second mention is only the number. The counter says which number is next. Applying
//! the delta of a turn to the image from before gives, byte for byte, the image from after; replay
//! rests on that, and so does the comparison that `verify` makes.
//!
//! A twin is written as its path, wherever it is mentioned: a reference is what is read back.
//! Blocks, exceptions and what is bound to the run are refused ([`EncodeError`]).
//!
//! Nothing here recurses: a list of a million cells is as deep as any.
//!
//! The format, byte by byte: `spec/record.md`, "Values".

use num_bigint::BigInt;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::apart::{Apart, PROMISE_PIECE};
use crate::class::{ClassId, ClassKind, Layout};
use crate::clone::Move;
use crate::commit::Written;
use crate::delta::{PieceChange, read_shapes_in_pieces};
use crate::heap;
use crate::part::HEIGHT_MAX;
use crate::primitive::Stop;
use crate::symbol::Symbol;
use crate::turn::Birth;
use crate::turn::{Failed, LEFT_BYTES_MAX};
use crate::value::{Kind, Value};
use crate::vm::{ARGUMENTS_MAX, Vm};

/// The first byte of a value.
pub(crate) mod tag {
    pub const NIL: u8 = 0;
    pub const TRUE: u8 = 1;
    pub const FALSE: u8 = 2;
    /// Zigzag LEB128.
    pub const INTEGER: u8 = 3;
    /// Eight bytes, little-endian.
    pub const FLOAT: u8 = 4;
    /// LEB128.
    pub const CHARACTER: u8 = 5;
    /// Length and UTF-8.
    pub const SYMBOL: u8 = 6;
    /// An immutable string: length and UTF-8.
    pub const STRING: u8 = 7;
    /// A large integer: length and its bytes in two's complement, lowest first.
    pub const LARGE: u8 = 8;
    /// A reference: length and path, length and name of its prototype, which is empty where it is not known.
    pub const REFERENCE: u8 = 9;
    /// A prototype: length and name.
    pub const PROTOTYPE: u8 = 10;
    /// An object mentioned before: its number.
    pub const BACK: u8 = 11;
    /// An object: number, shape, as many values as the shape has slots.
    pub const OBJECT: u8 = 12;
    /// The same, immutable.
    pub const OBJECT_IMMUTABLE: u8 = 13;
    /// An object with elements: number, shape, how many, the values.
    pub const INDEXED: u8 = 14;
    /// The same, immutable.
    pub const INDEXED_IMMUTABLE: u8 = 15;
    /// An object of bytes: number, shape, how many, the bytes.
    pub const RAW: u8 = 16;
    /// The same, immutable.
    pub const RAW_IMMUTABLE: u8 = 17;
    /// Before the slots of an image: how many promises of the twin wait, and these.
    pub const WAITING: u8 = 18;
    /// Before the slots of an image: how many promises of the twin wait apart, how many objects they hold, and these, each with
    /// how often.
    pub const APART: u8 = 19;
    /// Before all that, and only in a record: the number of a promise that waited apart, and waits no longer.
    pub const ANSWERED: u8 = 20;
    /// Behind that: how many shapes there are of objects that are in pieces, and these.
    pub const IN_PIECES: u8 = 21;
    /// A part of a long collection that is kept as a piece of its own: its number.
    pub const PIECE: u8 = 24;
    /// From here on the byte is a small integer: the byte less 128.
    pub const TINY: u8 = 64;
}

/// The first byte of a change in a delta.
pub(crate) mod change {
    /// A slot of the twin: index, value.
    pub const SLOT: u8 = 1;
    /// A slot or element of an object: number, index, value.
    pub const ELEMENT: u8 = 2;
    /// All bytes of an object: number, length, bytes.
    pub const BYTES: u8 = 3;
    /// A promise waits from now on: the promise.
    pub const WAITS: u8 = 4;
    /// A promise waits no longer: its number.
    pub const SETTLED: u8 = 5;
    /// A piece that is read, since objects in it are changed or mentioned, or since it is above one: number.
    pub const OPENED: u8 = 6;
    /// Some bytes of a long object: number, index of the first, length, bytes.
    pub const SOME_BYTES: u8 = 7;
    /// A promise waits apart from now on: the promise, as `apart.rs` has it.
    pub const WAITS_APART: u8 = 8;
    /// One that waited apart waits no longer: its number.
    pub const ANSWERED: u8 = 9;
}

/// An object with more bytes leaves those that changed, any other all.
const ALL_BYTES_MAX: usize = 64;

/// Why a value cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// It reaches an object that is good for its run only.
    NotStorable {
        /// The prototype of that.
        prototype: String,
    },
    /// It reaches a promise, and is not written as part of the twin that made it.
    Promise,
    /// It takes more bytes than there may be, or its objects more numbers.
    TooLarge,
    /// In a clone: it refers to a twin whose path would be none.
    Path(String),
}

/// Why bytes cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// They are not what was written.
    Damaged(&'static str),
    /// The definitions have no such prototype any more.
    UnknownPrototype(String),
    /// The values do not fit the memory limit of the turn.
    OutOfMemory,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DecodeError::Damaged(what) => write!(f, "the bytes of a value are damaged: {what}"),
            DecodeError::UnknownPrototype(name) => {
                write!(f, "there is a stored object of `{name}`, which the program does not define any more")
            }
            DecodeError::OutOfMemory => write!(f, "a stored value does not fit the memory limit of a turn"),
        }
    }
}

impl std::error::Error for DecodeError {}

// ---- bytes ----

/// Appends `number` as LEB128.
pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends an integer in its shortest form.
pub(crate) fn put_integer(out: &mut Vec<u8>, integer: i64) {
    if (-64..128).contains(&integer) {
        out.push((integer + 128) as u8);
        return;
    }
    out.push(tag::INTEGER);
    put_number(out, (integer << 1 ^ integer >> 63) as u64);
}

/// Reads bytes from the front on; nothing it is given makes it panic or read past the end.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    pub bytes: &'a [u8],
}

type Got<T> = Result<T, DecodeError>;

const SHORT: DecodeError = DecodeError::Damaged("it ends too early");
const TOO_MANY: DecodeError = DecodeError::Damaged("more objects than a turn has numbers");

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    pub fn byte(&mut self) -> Got<u8> {
        let (&first, rest) = self.bytes.split_first().ok_or(SHORT)?;
        self.bytes = rest;
        Ok(first)
    }

    pub fn take(&mut self, length: usize) -> Got<&'a [u8]> {
        if length > self.bytes.len() {
            return Err(SHORT);
        }
        let (taken, rest) = self.bytes.split_at(length);
        self.bytes = rest;
        Ok(taken)
    }

    pub fn number(&mut self) -> Got<u64> {
        let mut number = 0u64;
        let mut shift = 0;
        loop {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(DecodeError::Damaged("a number past 64 bits"));
            }
            if byte == 0 && shift > 0 {
                // There is one way to write a number: replay must give the bytes that the turn gave.
                return Err(DecodeError::Damaged("a number in more bytes than it needs"));
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
            if shift > 63 {
                return Err(DecodeError::Damaged("a number past 64 bits"));
            }
        }
    }

    pub fn number32(&mut self) -> Got<u32> {
        u32::try_from(self.number()?).map_err(|_| DecodeError::Damaged("a number past 32 bits"))
    }

    /// A length of what follows, each part of which takes at least one byte.
    pub fn length(&mut self) -> Got<usize> {
        let length = self.number()?;
        if length > self.bytes.len() as u64 {
            return Err(SHORT);
        }
        Ok(length as usize)
    }

    pub fn sized(&mut self) -> Got<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    pub fn text(&mut self) -> Got<&'a str> {
        std::str::from_utf8(self.sized()?).map_err(|_| DecodeError::Damaged("text that is not UTF-8"))
    }

    pub fn integer(&mut self) -> Got<i64> {
        let zigzag = self.number()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// A value with its first byte, if it is an integer.
    pub fn integer_value(&mut self) -> Got<Option<i64>> {
        match self.byte()? {
            tag::INTEGER => self.integer().map(Some),
            first if first >= tag::TINY => Ok(Some(i64::from(first) - 128)),
            _ => Ok(None),
        }
    }

    pub fn float(&mut self) -> Got<f64> {
        let bytes = self.take(8)?.try_into().expect("took eight");
        Ok(f64::from_bits(u64::from_le_bytes(bytes)))
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// The number of the shape that a twin at rest has.
pub fn shape_of_image(image: &[u8]) -> Option<u32> {
    Reader::new(image).number32().ok()
}

/// The arguments of a message of the runtime's own: one symbol.
pub fn symbol_argument(name: &str) -> Vec<u8> {
    let mut out = vec![1, tag::SYMBOL];
    put_bytes(&mut out, name.as_bytes());
    out
}

/// What [`symbol_argument`] wrote.
pub fn read_symbol_argument(arguments: &[u8]) -> Option<&str> {
    let mut reader = Reader::new(arguments.strip_prefix(&[1, tag::SYMBOL])?);
    reader.text().ok().filter(|_| reader.is_empty())
}

/// What a timer sends that a turn has set: values, of which the first three are the nanoseconds of its period (0: it fires once), what
/// becomes of times that passed (a symbol), and the selector; the others are the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errand<'a> {
    count: u8,
    values: &'a [u8],
}

impl<'a> Errand<'a> {
    /// How many values there are before the arguments.
    const HEAD: u8 = 3;

    /// What [`Errand::to_bytes`] made; `None` if it is none, or there is none.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Errand<'a>> {
        let (&count, values) = bytes.split_first()?;
        Errand { count, values }.checked()
    }

    /// The values as the arguments of a message.
    pub fn to_bytes(self) -> Vec<u8> {
        [&[self.count], self.values].concat()
    }

    fn checked(self) -> Option<Errand<'a>> {
        (Errand::HEAD..=Errand::HEAD + ARGUMENTS_MAX as u8).contains(&self.count).then_some(self)
    }

    /// Whether the timer fires again and again.
    pub fn repeats(self) -> bool {
        Reader::new(self.values).integer_value().ok().flatten().is_some_and(|period_ns| period_ns > 0)
    }
}

/// What the arguments of a timer say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerArguments<'a> {
    /// Its name.
    pub name: &'a str,
    /// When it was due.
    pub due_ns: i64,
    /// If the definition has no such timer any more, what records call the newest program that has it.
    pub program: Option<[u8; 32]>,
    /// What it sends, if a turn set it.
    pub errand: Option<Errand<'a>>,
}

/// The arguments of a timer that is due.
pub fn timer_arguments(timer: &TimerArguments<'_>) -> Vec<u8> {
    let errand = timer.errand.map_or(0, |errand| errand.count);
    let mut out = vec![2 + u8::from(timer.program.is_some()) + errand, tag::SYMBOL];
    put_bytes(&mut out, timer.name.as_bytes());
    put_integer(&mut out, timer.due_ns);
    if let Some(program) = timer.program {
        out.push(tag::STRING);
        let text: String = program.iter().map(|byte| format!("{byte:02x}")).collect();
        put_bytes(&mut out, text.as_bytes());
    }
    if let Some(errand) = timer.errand {
        out.extend_from_slice(errand.values);
    }
    out
}

/// The arguments of the message that sets a timer again, whose turn failed: the same where a turn set it, else its name alone.
pub fn rearm_arguments(timer: &TimerArguments<'_>) -> Vec<u8> {
    match timer.errand {
        Some(_) => timer_arguments(timer),
        None => symbol_argument(timer.name),
    }
}

/// What [`rearm_arguments`] wrote: the name; and when it was due and what it sends, if a turn set it.
pub fn read_rearm_arguments(arguments: &[u8]) -> Option<(&str, Option<(i64, Errand<'_>)>)> {
    if let Some(name) = read_symbol_argument(arguments) {
        return Some((name, None));
    }
    let timer = read_timer_arguments(arguments)?;
    Some((timer.name, Some((timer.due_ns, timer.errand?))))
}

/// The arguments of a message of the runtime's own: one number.
pub fn number_argument(number: u64) -> Vec<u8> {
    let mut out = vec![1, tag::INTEGER];
    put_number(&mut out, number << 1);
    out
}

/// What [`number_argument`] wrote.
pub fn read_number_argument(arguments: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(arguments.strip_prefix(&[1, tag::INTEGER])?);
    let zigzag = reader.number().ok()?;
    (reader.is_empty() && zigzag & 1 == 0).then_some(zigzag >> 1)
}

/// What [`timer_arguments`] wrote.
pub fn read_timer_arguments(arguments: &[u8]) -> Option<TimerArguments<'_>> {
    let (&count, rest) = arguments.split_first()?;
    let mut reader = Reader::new(rest.strip_prefix(&[tag::SYMBOL])?);
    let name = reader.text().ok()?;
    let due_ns = reader.integer_value().ok()??;
    let program = match count {
        4.. => {
            let errand = Some(Errand { count: count - 2, values: reader.bytes }.checked()?);
            return Some(TimerArguments { name, due_ns, program: None, errand });
        }
        2 => None,
        3 if reader.byte().ok()? == tag::STRING => {
            let text = reader.text().ok().filter(|text| text.len() == 64)?;
            let mut program = [0; 32];
            for (byte, digits) in program.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            }
            Some(program)
        }
        _ => return None,
    };
    reader.is_empty().then_some(TimerArguments { name, due_ns, program, errand: None })
}

/// The arguments of the message that tells a twin of a failure below it: the part, the selector, kind and text of the
/// fault, then the arguments of the message.
pub fn failed_arguments(failed: &Failed<'_>) -> Vec<u8> {
    let mut reader = Reader::new(&failed.arguments);
    let (count, values) = match reader.number() {
        Ok(count) if count <= ARGUMENTS_MAX as u64 => (count, reader.bytes),
        Ok(_) | Err(_) => (0, &[][..]),
    };
    let mut out = Vec::new();
    put_number(&mut out, count + 4);
    out.push(tag::REFERENCE);
    put_bytes(&mut out, failed.part.as_bytes());
    put_bytes(&mut out, &[]);
    for (tag, text) in [(tag::SYMBOL, failed.selector), (tag::SYMBOL, failed.kind), (tag::STRING, failed.text)] {
        out.push(tag);
        put_bytes(&mut out, text.as_bytes());
    }
    out.extend_from_slice(values);
    out
}

/// What [`failed_arguments`] wrote.
pub fn read_failed_arguments(arguments: &[u8]) -> Option<Failed<'_>> {
    let mut reader = Reader::new(arguments);
    let count = reader.number().ok()?.checked_sub(4)?;
    let mut text = |wanted: u8| {
        let found = reader.byte().ok()?;
        let text = reader.text().ok()?;
        (found == wanted && (wanted != tag::REFERENCE || reader.text().ok()?.is_empty())).then_some(text)
    };
    let part = text(tag::REFERENCE)?;
    let (selector, kind, fault) = (text(tag::SYMBOL)?, text(tag::SYMBOL)?, text(tag::STRING)?);
    let mut arguments = Vec::new();
    put_number(&mut arguments, count);
    arguments.extend_from_slice(reader.bytes);
    Some(Failed { part, selector, arguments: arguments.into(), kind, text: fault })
}

// ---- writing ----

/// Which numbers objects have, within one message or twin.
pub(crate) struct Numbering {
    /// The twin whose objects keep the numbers they were loaded with; none for messages.
    owner: Option<usize>,
    /// Objects that were numbered here, by address: nothing moves while one is at work.
    given: FxHashMap<usize, u32>,
    /// The next number.
    next: u32,
    /// Promises of this turn that the owner reaches, that have no answer, and that were not known to wait.
    promises: Vec<Value>,
    /// Those that are, by address.
    waiting: FxHashSet<usize>,
}

impl Numbering {
    pub fn of_message() -> Numbering {
        Numbering { owner: None, ..Numbering::of_twin(0, 1, &[]) }
    }

    /// Of the twin loaded or made as the `nth` of the turn, whose counter stands at `next`, and of whose promises
    /// those of `waiting` wait.
    pub fn of_twin(nth: usize, next: u32, waiting: &[Value]) -> Numbering {
        Numbering {
            owner: Some(nth),
            given: FxHashMap::default(),
            next,
            promises: Vec::new(),
            waiting: waiting.iter().map(|promise| promise.address() as usize).collect(),
        }
    }
}

/// What a delta has beside its changes.
pub(crate) struct Beside {
    /// Whether there are parts of long collections in it.
    pub has_parts: bool,
    /// The promises that wait apart from now on, as they are in the delta.
    pub promises: Vec<PieceChange>,
    /// Whether one of them holds an object.
    pub holds: bool,
}

/// Writes values of the current heap.
pub(crate) struct Encoder<'a> {
    pub vm: &'a Vm,
    numbering: &'a mut Numbering,
    pub out: &'a mut Vec<u8>,
    /// Objects of the owner that were written already.
    mentioned: FxHashSet<usize>,
    /// Whether a part of a long collection was written or mentioned.
    pub met_part: bool,
    /// In a delta: the pieces that have objects which were mentioned or given such, or that were given one, by their numbers in the turn.
    homes: FxHashSet<u32>,
    /// In a delta, objects of the owner are only mentioned: they are there.
    delta: bool,
    /// Whether this is a twin at rest, which keeps its promises; elsewhere they cannot be written.
    keeps_promises: bool,
    /// In a clone: paths of the original become those of the clone, and promises stay behind.
    pub moved: Option<&'a Move<'a>>,
    /// How long `out` may become: a string that is mentioned often is written as often.
    bytes_max: usize,
    /// Objects whose contents are being written, and how far they are.
    open: Vec<(Value, usize)>,
}

impl<'a> Encoder<'a> {
    pub fn new(vm: &'a Vm, numbering: &'a mut Numbering, out: &'a mut Vec<u8>, delta: bool) -> Encoder<'a> {
        Encoder {
            vm,
            numbering,
            out,
            mentioned: FxHashSet::default(),
            delta,
            keeps_promises: false,
            moved: None,
            met_part: false,
            homes: FxHashSet::default(),
            bytes_max: LEFT_BYTES_MAX,
            open: Vec::new(),
        }
    }

    /// Writes a twin as an object of its shape, rather than as its path.
    pub fn twin(&mut self, twin: Value) -> Result<(), EncodeError> {
        let shape = self.vm.shapes.number_of(self.vm.class_of(twin)).expect("twins have shapes");
        let number = self.numbering.next;
        self.numbering.next = number.checked_add(1).ok_or(EncodeError::TooLarge)?;
        self.out.push(tag::OBJECT);
        put_number(self.out, u64::from(number));
        put_number(self.out, u64::from(shape));
        let mut index = 0;
        while let Some(value) = self.stored_slot(twin, index) {
            self.value(value)?;
            index += 1;
        }
        Ok(())
    }

    /// Writes `value` and all that it reaches.
    pub fn value(&mut self, value: Value) -> Result<(), EncodeError> {
        self.mention(value)?;
        while let Some(&(object, index)) = self.open.last() {
            if self.out.len() > self.bytes_max {
                return Err(EncodeError::TooLarge);
            }
            let next = if self.vm.heap.has_flags(object, heap::INDEXED) {
                self.vm.heap.contents(object).get(index).copied()
            } else {
                self.stored_slot(object, index)
            };
            match next {
                Some(next) => {
                    self.open.last_mut().expect("looked at above").1 += 1;
                    self.mention(next)?;
                }
                None => {
                    self.open.pop();
                }
            }
        }
        if self.out.len() > self.bytes_max { Err(EncodeError::TooLarge) } else { Ok(()) }
    }

    /// The slot at `index` among those that the shape of the object's class stores.
    fn stored_slot(&self, object: Value, index: usize) -> Option<Value> {
        let entry =
            self.vm.shapes.number_of(self.vm.class_of(object)).and_then(|number| self.vm.shapes.entry(number))?;
        let offset = (*entry.offsets.get(index)?).expect("a class has the slots of its own shape");
        Some(self.vm.heap.slot(object, offset as usize))
    }

    /// Writes `value`; of an object that was not mentioned before the head, and opens it.
    fn mention(&mut self, value: Value) -> Result<(), EncodeError> {
        if self.vm.encode_plain(value, self.out) {
            return Ok(());
        }
        match value.as_part() {
            Some(number) => self.mention_part(number),
            None => self.mention_object(value),
        }
    }

    /// Writes a part that was kept as a piece: as what it is if it was brought in.
    fn mention_part(&mut self, number: u32) -> Result<(), EncodeError> {
        let own = self.vm.run.turn.split(number).filter(|&(nth, _)| Some(nth) == self.numbering.owner);
        match (self.vm.brought(number), own) {
            (_, Some((_, own))) if self.delta => {
                self.out.push(tag::BACK);
                put_number(self.out, u64::from(own));
                Ok(())
            }
            (Some(part), _) => self.mention_object(part),
            (None, Some((_, own))) => {
                self.met_part = true;
                self.out.push(tag::PIECE);
                put_number(self.out, u64::from(own));
                Ok(())
            }
            // What reaches it was to be brought in before.
            (None, None) => Err(EncodeError::NotStorable { prototype: "ListPart".to_owned() }),
        }
    }

    fn mention_object(&mut self, object: Value) -> Result<(), EncodeError> {
        let vm = self.vm;
        let heap = &vm.heap;
        let class = heap.class_of_object(object);
        let known = &vm.known;
        let immutable = heap.has_flags(object, heap::IMMUTABLE);
        if let Some(path) = vm.path_of(object) {
            self.out.push(tag::REFERENCE);
            match self.moved {
                Some(moved) => put_bytes(self.out, moved.apply(path).map_err(EncodeError::Path)?.as_bytes()),
                None => put_bytes(self.out, path.as_bytes()),
            }
            put_bytes(self.out, vm.kind_of_twin(object).unwrap_or_default().as_bytes());
            return Ok(());
        }
        if class == known.string && immutable {
            self.out.push(tag::STRING);
            put_bytes(self.out, heap.bytes(object));
            return Ok(());
        }
        if class == known.float {
            let float = vm.as_float(object).expect("an object of Float");
            self.out.push(tag::FLOAT);
            self.out.extend_from_slice(&float.to_bits().to_le_bytes());
            return Ok(());
        }
        if class == known.large_integer {
            self.out.push(tag::LARGE);
            put_bytes(self.out, heap.bytes(object));
            return Ok(());
        }
        if let Some(class) = vm.class_of_prototype(object) {
            self.out.push(tag::PROTOTYPE);
            put_bytes(self.out, vm.symbols.name(vm.class(class).name).as_bytes());
            return Ok(());
        }
        if class == known.promise && self.moved.is_some() {
            self.out.push(tag::NIL);
            return Ok(());
        }
        if class == known.promise {
            if !self.keeps_promises {
                return Err(EncodeError::Promise);
            }
            self.keep_promise(object)?;
        }
        let shape = vm.shapes.number_of(class);
        let Some(shape) = shape.filter(|_| !vm.is_bound_to_the_run(class)) else {
            return Err(EncodeError::NotStorable { prototype: vm.symbols.name(vm.class(class).name).to_owned() });
        };
        let address = object.address() as usize;
        let own = match self.numbering.owner {
            Some(owner) => vm.number_within(object, owner),
            None => None,
        };
        let number = match (own, self.numbering.given.get(&address)) {
            (Some(number), _) => {
                if self.delta {
                    self.homes.extend(vm.run.turn.home_of(heap.number(object)));
                }
                if self.delta || !self.mentioned.insert(address) {
                    self.out.push(tag::BACK);
                    put_number(self.out, u64::from(number));
                    return Ok(());
                }
                number
            }
            (None, Some(&number)) => {
                if !self.mentioned.insert(address) {
                    self.out.push(tag::BACK);
                    put_number(self.out, u64::from(number));
                    return Ok(());
                }
                number
            }
            (None, None) => {
                let number = self.numbering.next;
                self.numbering.next = number.checked_add(1).ok_or(EncodeError::TooLarge)?;
                self.numbering.given.insert(address, number);
                self.mentioned.insert(address);
                number
            }
        };
        self.met_part |= class == known.list_part;
        let (plain, fixed) = if heap.has_flags(object, heap::RAW) {
            (tag::RAW, tag::RAW_IMMUTABLE)
        } else if heap.has_flags(object, heap::INDEXED) {
            (tag::INDEXED, tag::INDEXED_IMMUTABLE)
        } else {
            (tag::OBJECT, tag::OBJECT_IMMUTABLE)
        };
        self.out.push(if immutable { fixed } else { plain });
        put_number(self.out, u64::from(number));
        put_number(self.out, u64::from(shape));
        if plain == tag::RAW {
            put_bytes(self.out, heap.bytes(object));
            return Ok(());
        }
        if plain == tag::INDEXED {
            put_number(self.out, heap.length(object) as u64);
        }
        self.open.push((object, 0));
        Ok(())
    }

    /// Writes into a delta those promises that wait in the image from `written` on, and those that these reach.
    fn waits(&mut self, waiting: &mut Vec<Value>, written: &mut usize) -> Result<(), EncodeError> {
        waiting.append(&mut self.numbering.promises);
        while let Some(&promise) = waiting.get(*written) {
            *written += 1;
            self.out.push(change::WAITS);
            self.value(promise)?;
            waiting.append(&mut self.numbering.promises);
        }
        Ok(())
    }

    /// Makes sure that the twin being written made the promise, and notes one of this turn that has no answer.
    fn keep_promise(&mut self, promise: Value) -> Result<(), EncodeError> {
        if self.vm.promise_number(promise).is_none() {
            // An object of that prototype which is no promise: nobody answers it.
            return Ok(());
        }
        if self.vm.owner_of_promise(promise) != self.numbering.owner {
            return Err(EncodeError::Promise);
        }
        let is_new = self.vm.heap.number(promise) == 0;
        if is_new && !self.vm.is_settled(promise) && self.numbering.waiting.insert(promise.address() as usize) {
            self.numbering.promises.push(promise);
        }
        Ok(())
    }
}

impl Vm {
    /// Whether objects of `class` make sense in this run only.
    pub(crate) fn is_bound_to_the_run(&self, class: ClassId) -> bool {
        class == self.known.block
            || class == self.known.cell
            || self.inherits(class, self.known.exception)
            // One that names no twin: all others are written as what they name.
            || class == self.known.reference
            || self.class(class).kind != ClassKind::Object
            || self.inherits(class, self.known.stream)
    }

    /// Writes one value.
    ///
    /// # Errors
    /// When it reaches something that cannot leave its run or its twin, or is too large.
    pub(crate) fn encode_message(&self, value: Value, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.encode_plain(value, out) {
            return Ok(());
        }
        let mut numbering = Numbering::of_message();
        Encoder::new(self, &mut numbering, out, false).value(value)
    }

    /// Writes a value that is no object and no part of a collection; answers whether it is none.
    fn encode_plain(&self, value: Value, out: &mut Vec<u8>) -> bool {
        match value.kind() {
            Kind::Nil => out.push(tag::NIL),
            Kind::Boolean(true) => out.push(tag::TRUE),
            Kind::Boolean(false) => out.push(tag::FALSE),
            Kind::Integer(integer) => put_integer(out, integer),
            Kind::Float(float) => {
                out.push(tag::FLOAT);
                out.extend_from_slice(&float.to_bits().to_le_bytes());
            }
            Kind::Character(character) => {
                out.push(tag::CHARACTER);
                put_number(out, u64::from(u32::from(character)));
            }
            Kind::Symbol(number) => {
                out.push(tag::SYMBOL);
                put_bytes(out, self.symbols.name(Symbol(number)).as_bytes());
            }
            Kind::Part(_) | Kind::Pointer => return false,
        }
        true
    }

    /// Writes several values that share what they share: the arguments of a message.
    pub(crate) fn encode_arguments(&self, values: &[Value], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_number(out, values.len() as u64);
        let objects = values.iter().position(|&value| !self.encode_plain(value, out));
        // From the first object on they may share what they reach.
        let Some(first) = objects else { return Ok(()) };
        let values = &values[first..];
        let mut numbering = Numbering::of_message();
        let mut encoder = Encoder::new(self, &mut numbering, out, false);
        values.iter().try_for_each(|&value| encoder.value(value))
    }

    /// Writes a twin as it stands, with the promises that wait; what else of this turn it reaches is added to
    /// these. `answered`: one of those that waited apart which does so no longer, where nothing else says so. Answers whether it has parts of long collections.
    pub(crate) fn encode_image(
        &self,
        twin: Value,
        waiting: &mut Vec<Value>,
        apart: &Apart,
        answered: Option<u64>,
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> Result<bool, EncodeError> {
        loop {
            let (contents, has_parts) = self.encode_contents(twin, waiting, apart, numbering)?;
            if numbering.promises.is_empty() {
                put_number(out, u64::from(self.shapes.number_of(self.class_of(twin)).expect("twins have shapes")));
                put_number(out, u64::from(numbering.next));
                if let Some(answered) = answered {
                    out.push(tag::ANSWERED);
                    put_number(out, answered);
                }
                out.extend_from_slice(&contents);
                return Ok(has_parts);
            }
            // They are written before the slots, so all is written again.
            waiting.append(&mut numbering.promises);
        }
    }

    /// What stands behind the counter of an image, which is only known after it, and whether there are parts in it.
    fn encode_contents(
        &self,
        twin: Value,
        waiting: &[Value],
        apart: &Apart,
        numbering: &mut Numbering,
    ) -> Result<(Vec<u8>, bool), EncodeError> {
        let mut contents = Vec::new();
        let mut encoder = Encoder::new(self, numbering, &mut contents, false);
        encoder.keeps_promises = true;
        encoder.bytes_max = self.heap.region().cap_words().saturating_mul(8);
        if !waiting.is_empty() {
            encoder.out.push(tag::WAITING);
            put_number(encoder.out, waiting.len() as u64);
            waiting.iter().try_for_each(|&promise| encoder.value(promise))?;
        }
        if apart.count > 0 {
            encoder.out.push(tag::APART);
            put_number(encoder.out, u64::from(apart.count));
            put_number(encoder.out, apart.held.len() as u64);
            for &(object, count) in &apart.held {
                encoder.value(object)?;
                put_number(encoder.out, u64::from(count));
            }
        }
        let mut index = 0;
        while let Some(value) = encoder.stored_slot(twin, index) {
            encoder.value(value)?;
            index += 1;
        }
        let has_parts = encoder.met_part;
        Ok((contents, has_parts))
    }

    /// Writes what this turn changed in a twin and in the objects it was loaded with. Writes nothing
    /// when nothing changed.
    ///
    /// `objects`: the old objects of this twin that were written to, by ascending number. `out` is empty. `waiting`: its promises that
    /// wait in the image; those of this turn that it reaches are added. `new`: those that got blocks in this turn. Those of them that
    /// something reaches are added to `waiting`, too; the others wait apart.
    pub(crate) fn encode_delta(
        &self,
        nth: usize,
        objects: &[Written],
        waiting: &mut Vec<Value>,
        new: &[Value],
        numbering: &mut Numbering,
        out: &mut Vec<u8>,
    ) -> Result<Beside, EncodeError> {
        let twin = &self.run.turn.twins[nth];
        // The counter stands first, and most often there is no new object that it counts.
        let counter = numbering.next;
        put_number(out, u64::from(counter));
        let start = out.len();
        let mut encoder = Encoder::new(self, numbering, out, true);
        encoder.keeps_promises = true;
        // The pieces with objects that get nothing but plain values.
        let mut alone = FxHashSet::default();
        for &Written { number, object, index: nth, .. } in objects {
            let home = self.run.turn.home_of(self.heap.number(object));
            if self.heap.has_flags(object, heap::RAW) {
                alone.extend(home);
                let bytes = self.heap.bytes(object);
                if bytes.len() > ALL_BYTES_MAX {
                    for run in self.heap.changed_bytes(nth) {
                        encoder.out.push(change::SOME_BYTES);
                        put_number(encoder.out, u64::from(number));
                        put_number(encoder.out, run.start as u64);
                        put_bytes(encoder.out, &bytes[run]);
                    }
                } else if !self.heap.changed_indices(nth).is_empty() {
                    encoder.out.push(change::BYTES);
                    put_number(encoder.out, u64::from(number));
                    put_bytes(encoder.out, bytes);
                }
                continue;
            }
            let indexed = self.heap.has_flags(object, heap::INDEXED);
            for offset in self.heap.changed_indices(nth) {
                let (index, value) = if indexed {
                    (Some(offset), self.heap.contents(object)[offset])
                } else {
                    (self.stored_index(object, offset), self.heap.slot(object, offset))
                };
                // A slot that is not stored leaves nothing.
                let Some(index) = index else { continue };
                if object == twin.value {
                    encoder.out.push(change::SLOT);
                } else {
                    encoder.out.push(change::ELEMENT);
                    put_number(encoder.out, u64::from(number));
                }
                put_number(encoder.out, index as u64);
                let at = encoder.out.len();
                encoder.value(value)?;
                if !matches!(encoder.out[at], tag::BACK..=tag::RAW_IMMUTABLE) {
                    alone.extend(home);
                } else if self.is_part(object) {
                    encoder.homes.insert(self.heap.number(object));
                } else {
                    encoder.homes.extend(home);
                }
            }
        }
        for &number in &twin.settled {
            encoder.out.push(change::SETTLED);
            put_number(encoder.out, u64::from(number));
        }
        if let Some(answered) = &twin.answered {
            encoder.out.push(change::ANSWERED);
            put_number(encoder.out, answered.number);
        }
        let mut written = waiting.len();
        let given = &encoder.numbering.given;
        let reached = self.reached_promises(new, |object| given.contains_key(&(object.address() as usize)));
        let (in_image, apart): (Vec<Value>, Vec<Value>) =
            new.iter().copied().partition(|one| reached.contains(&one.bits()));
        waiting.extend(in_image);
        encoder.waits(waiting, &mut written)?;
        let mut promises = Vec::new();
        let mut holds = false;
        for promise in apart {
            encoder.out.push(change::WAITS_APART);
            let start = encoder.out.len();
            holds |= encoder.promise_apart(promise)?;
            let number = PROMISE_PIECE | self.promise_number(promise).unwrap_or(0);
            promises.push(PieceChange { number, bytes: Some(encoder.out[start..].to_vec()) });
        }
        encoder.waits(waiting, &mut written)?;
        let (has_parts, homes) = (encoder.met_part, encoder.homes);
        if out.len() == start {
            out.clear();
            return Ok(Beside { has_parts, promises, holds });
        }
        let opened = self.opened(nth, &alone, &homes);
        if numbering.next != counter || !opened.is_empty() {
            let mut head = Vec::new();
            put_number(&mut head, u64::from(numbering.next));
            for number in opened {
                head.push(change::OPENED);
                put_number(&mut head, u64::from(number));
            }
            out.splice(..start, head);
        }
        Ok(Beside { has_parts, promises, holds })
    }

    /// The pieces of the `owner`th twin that replay has to read before it changes anything, by ascending number: `alone`, and `homes` with
    /// those above them, all by their numbers in the turn.
    fn opened(&self, owner: usize, alone: &FxHashSet<u32>, homes: &FxHashSet<u32>) -> Vec<u32> {
        let mut opened = Vec::new();
        if alone.is_empty() && homes.is_empty() {
            return opened;
        }
        let mut known = FxHashMap::default();
        for (&number, &part) in &self.run.turn.brought {
            if let Some((nth, own)) = self.run.turn.split(number)
                && nth == owner
                && (alone.contains(&number) || self.leads_to(part, homes, &mut known, 0))
            {
                opened.push(own);
            }
        }
        opened.sort_unstable();
        opened
    }

    /// Whether a part is one of `homes`, or lies above one.
    fn leads_to(&self, part: Value, homes: &FxHashSet<u32>, known: &mut FxHashMap<u64, bool>, depth: usize) -> bool {
        if let Some(&does) = known.get(&part.bits()) {
            return does;
        }
        if homes.contains(&self.heap.number(part)) {
            return true;
        }
        if depth > HEIGHT_MAX {
            return false;
        }
        known.insert(part.bits(), false);
        let does = self.heap.contents(part).iter().any(|&element| {
            let element = element.as_part().and_then(|number| self.brought(number)).unwrap_or(element);
            self.is_part(element) && self.leads_to(element, homes, known, depth + 1)
        });
        known.insert(part.bits(), does);
        does
    }

    /// The index among the stored slots of the slot at `offset`.
    fn stored_index(&self, object: Value, offset: usize) -> Option<usize> {
        let number = self.shapes.number_of(self.class_of(object))?;
        let offsets = &self.shapes.entry(number)?.offsets;
        offsets.iter().position(|&stored| stored == Some(offset as u32))
    }
}

// ---- reading ----

/// Objects met while reading, by number: where each lies among the handles.
#[derive(Default)]
pub(crate) struct Met {
    handles: FxHashMap<u32, usize>,
    /// For a twin: all numbers are below its counter.
    below: u32,
    /// Whether something was read that would be written in other words now, since definitions have changed.
    stale: bool,
    /// Whether there are parts of long collections.
    has_parts: bool,
    /// Whether transient slots start anew: in what was at rest, not in what is only passed.
    with_transient: bool,
    /// Whether what is read is guarded, as if it were older than the run.
    guarded: bool,
    /// Objects that lack first values: where each lies among the handles, and its shape.
    unfinished: Vec<(usize, u32)>,
}

impl Met {
    /// For a state, rather than for what is passed.
    pub fn at_rest() -> Met {
        Met { with_transient: true, ..Met::default() }
    }
}

/// A twin that was read: where it lies among the handles, its counter and shape.
struct Read {
    handle: usize,
    counter: u32,
    shape: u32,
    /// The promises that wait: where they lie among the handles.
    waiting: std::ops::Range<usize>,
    /// How many wait apart, where among the handles the objects lie that these hold, and how often each is held.
    apart: (u32, usize, Vec<u32>),
    /// Whether objects in its pieces are to be completed.
    completes_pieces: bool,
}

/// What is still to be read into an object.
struct Filling {
    /// Where the object lies among the handles.
    handle: usize,
    /// The shape, for objects with slots.
    shape: Option<u32>,
    next: usize,
    count: usize,
}

/// The twin at rest that a load brought in.
pub(crate) struct Loaded {
    /// The twin.
    pub twin: Value,
    /// The number that the next new object of it gets.
    pub counter: u32,
    /// The shape that it was stored with.
    pub shape: u32,
    /// Whether it would be written in other words now: then a delta against the old ones is not enough.
    pub stale: bool,
    /// What its slots held, by name, if its definition has another shape now.
    pub old_slots: Vec<(Symbol, Value)>,
    /// Its promises that wait.
    pub waiting: Vec<Value>,
    /// What there is of others, which wait apart.
    pub apart: Apart,
    /// Whether it has parts of long collections.
    pub has_parts: bool,
    /// Whether all its pieces have to be read, since objects in them lack first values.
    pub completes_pieces: bool,
}

/// The error of a load, or the limit that it ran into.
pub(crate) enum Fail {
    Bytes(DecodeError),
    Stop,
}

impl From<DecodeError> for Fail {
    fn from(error: DecodeError) -> Fail {
        Fail::Bytes(error)
    }
}

impl From<Stop> for Fail {
    fn from(_: Stop) -> Fail {
        Fail::Stop
    }
}

impl Fail {
    pub fn into_error(self) -> DecodeError {
        match self {
            Fail::Bytes(error) => error,
            Fail::Stop => DecodeError::OutOfMemory,
        }
    }
}

impl Vm {
    /// Reads a value of a message.
    ///
    /// # Errors
    /// When the bytes are damaged or the value does not fit.
    pub(crate) fn decode_message(&mut self, bytes: &[u8]) -> Result<Value, DecodeError> {
        let mut reader = Reader::new(bytes);
        let handles = self.run.handles.len();
        let mut met = Met::default();
        let value = self.decode_value(&mut reader, &mut met, None);
        if value.is_ok() {
            self.note_unfinished(&met);
        }
        self.run.handles.truncate(handles);
        let value = value.map_err(Fail::into_error)?;
        if reader.is_empty() { Ok(value) } else { Err(DecodeError::Damaged("more bytes than values")) }
    }

    /// Reads arguments and leaves them among the handles; answers how many.
    pub(crate) fn decode_arguments(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        self.decode_all(bytes, Met::default())
    }

    /// The same; a query may not change what is read.
    pub(crate) fn decode_guarded(&mut self, bytes: &[u8]) -> Result<usize, DecodeError> {
        self.decode_all(bytes, Met { guarded: true, ..Met::default() })
    }

    fn decode_all(&mut self, bytes: &[u8], mut met: Met) -> Result<usize, DecodeError> {
        let mut reader = Reader::new(bytes);
        let count = reader.length()?;
        let start = self.run.handles.len();
        self.run.handles.resize(start + count, Value::NIL);
        for index in 0..count {
            match self.decode_value(&mut reader, &mut met, None) {
                Ok(value) => self.run.handles[start + index] = value,
                Err(fail) => {
                    self.run.handles.truncate(start);
                    return Err(fail.into_error());
                }
            }
        }
        self.note_unfinished(&met);
        self.run.handles.truncate(start + count);
        if reader.is_empty() { Ok(count) } else { Err(DecodeError::Damaged("more bytes than values")) }
    }

    /// Reads a twin at rest into the turn, as the `nth` that the turn meets. Its objects are old: numbered,
    /// and guarded.
    pub(crate) fn decode_image(&mut self, path: &str, bytes: &[u8], nth: usize) -> Result<Loaded, DecodeError> {
        let handles = self.run.handles.len();
        let mut met = Met::at_rest();
        let read = self.read_image(path, bytes, nth, &mut met);
        if read.is_ok() {
            self.note_unfinished(&met);
        }
        let result =
            read.map(|Read { handle, counter, shape, waiting, apart: (count, first, counts), completes_pieces }| {
                let waiting = self.run.handles[waiting].to_vec();
                let held = self.run.handles[first..first + counts.len()].iter().copied().zip(counts).collect();
                let apart = Apart { count, held };
                let twin = self.run.handles[handle];
                let old_slots = self.old_slots(handle, shape);
                let stale = met.stale || self.shapes.number_of(self.class_of(twin)) != Some(shape);
                let has_parts = met.has_parts;
                Loaded { twin, counter, shape, stale, old_slots, waiting, apart, has_parts, completes_pieces }
            });
        self.run.handles.truncate(handles);
        result.map_err(Fail::into_error)
    }

    /// Reads a piece of the `nth` twin of the turn: its object `own`, which has `number` in the turn.
    pub(crate) fn decode_piece(
        &mut self,
        nth: usize,
        own: u32,
        number: u32,
        bytes: &[u8],
    ) -> Result<Value, DecodeError> {
        let handles = self.run.handles.len();
        let mut reader = Reader::new(bytes);
        let mut met = Met { below: self.run.turn.twins[nth].counter, ..Met::at_rest() };
        let first = self.run.turn.numbers_given();
        let read = self.decode_value(&mut reader, &mut met, Some(nth));
        if read.is_ok() && self.run.turn.twins[nth].completes_pieces {
            self.note_unfinished(&met);
        }
        self.run.handles.truncate(handles);
        let part = read.map_err(Fail::into_error)?;
        if !reader.is_empty() || !self.is_part(part) || self.number_within(part, nth) != Some(own) {
            return Err(DecodeError::Damaged("a piece that is another object than was asked for"));
        }
        if !met.unfinished.is_empty() && !self.run.turn.twins[nth].completes_pieces {
            return Err(DecodeError::Damaged("a piece with objects of a shape that its twin does not name"));
        }
        if met.handles.len() > 1 {
            self.run.turn.homes.push((first, self.run.turn.numbers_given(), number));
        }
        self.heap.set_number(part, number);
        if met.stale {
            self.run.turn.twins[nth].birth = Birth::Carried;
        }
        Ok(part)
    }

    /// What the slots held of the twin at `handle`, which [`Vm::read_twin`] has read, by name; nothing where its
    /// definition still has that shape.
    pub(crate) fn old_slots(&mut self, handle: usize, shape: u32) -> Vec<(Symbol, Value)> {
        if self.shapes.number_of(self.class_of(self.run.handles[handle])) == Some(shape) {
            return Vec::new();
        }
        let names = self.shapes.get(shape).map(|shape| shape.slots.clone()).unwrap_or_default();
        let slots = names.iter().enumerate();
        slots.map(|(index, name)| (self.symbols.intern(name), self.run.handles[handle + 1 + index])).collect()
    }

    /// Reads the image; the twin is left at the handle that is answered.
    fn read_image(&mut self, path: &str, bytes: &[u8], nth: usize, met: &mut Met) -> Result<Read, Fail> {
        let mut reader = Reader::new(bytes);
        let shape = reader.number32()?;
        let counter = reader.number32()?;
        met.below = counter;
        let waiting = self.read_waiting(&mut reader, nth, met)?;
        let apart = self.read_all_held(&mut reader, nth, met)?;
        let mut completes_pieces = false;
        for shape in read_shapes_in_pieces(&mut reader)? {
            let entry = self.shapes.entry(shape).ok_or(DecodeError::Damaged("a shape that is not known"))?;
            // One that is not defined any more is refused as it would be in the image.
            completes_pieces |= entry.class.is_none() || entry.lacks_new || entry.lacks_transient;
        }
        let handle = self.read_twin(&mut reader, path, shape, met, Some(nth))?;
        if !reader.is_empty() {
            return Err(DecodeError::Damaged("more bytes than slots").into());
        }
        let twin = self.run.handles[handle];
        let number = self.run.turn.number_object(nth, 0).ok_or(TOO_MANY)?;
        self.heap.set_number(twin, number);
        self.heap.set_flags(twin, heap::OLD);
        Ok(Read { handle, counter, shape, waiting, apart, completes_pieces })
    }

    /// Reads what an image has of promises that wait apart: how many, where the objects that they hold lie among the handles, and how
    /// often each is held.
    fn read_all_held(
        &mut self,
        reader: &mut Reader<'_>,
        nth: usize,
        met: &mut Met,
    ) -> Result<(u32, usize, Vec<u32>), Fail> {
        let start = self.run.handles.len();
        if reader.bytes.first() != Some(&tag::APART) {
            return Ok((0, start, Vec::new()));
        }
        reader.byte()?;
        let promises = reader.number32()?;
        let length = reader.length()?;
        self.run.handles.resize(start + length, Value::NIL);
        let mut counts = Vec::with_capacity(length);
        for place in start..start + length {
            let object = self.decode_value(reader, met, Some(nth))?;
            if self.number_within_or_part(object, nth).is_none() {
                return Err(DecodeError::Damaged("a promise holds what is no object of its twin").into());
            }
            self.run.handles[place] = object;
            counts.push(reader.number32()?);
        }
        if promises == 0 || counts.contains(&0) {
            return Err(DecodeError::Damaged("a list of promises without any").into());
        }
        Ok((promises, start, counts))
    }

    /// Reads the promises that wait, which stand before the slots; answers where they lie among the handles.
    fn read_waiting(
        &mut self,
        reader: &mut Reader<'_>,
        nth: usize,
        met: &mut Met,
    ) -> Result<std::ops::Range<usize>, Fail> {
        let start = self.run.handles.len();
        if reader.bytes.first() != Some(&tag::WAITING) {
            return Ok(start..start);
        }
        reader.byte()?;
        let count = reader.length()?;
        if count == 0 {
            return Err(DecodeError::Damaged("a list of promises without any").into());
        }
        self.run.handles.resize(start + count, Value::NIL);
        for place in start..start + count {
            let promise = self.decode_value(reader, met, Some(nth))?;
            if self.promise_number(promise).is_none() {
                return Err(DecodeError::Damaged("what waits is no promise").into());
            }
            self.run.handles[place] = promise;
        }
        Ok(start..start + count)
    }

    /// Reads the slots of a twin written with `shape`. It is left at the handle that is answered, and directly behind it
    /// what each slot held. `owner`: it is at rest, and the turn's `owner`th.
    pub(crate) fn read_twin(
        &mut self,
        reader: &mut Reader<'_>,
        path: &str,
        shape: u32,
        met: &mut Met,
        owner: Option<usize>,
    ) -> Result<usize, Fail> {
        let (class, count) = self.class_to_fill(shape)?;
        if self.class(class).kind != ClassKind::Twin {
            return Err(DecodeError::Damaged("a twin whose shape is none of a twin").into());
        }
        let name = self.new_string(path)?;
        self.run.handles.push(name);
        let twin = self.allocate(class)?;
        let handle = self.run.handles.len() - 1;
        let name = std::mem::replace(&mut self.run.handles[handle], twin);
        self.heap.init_slot(twin, 0, name);
        // Its slots lie directly behind it, for those that the definition no longer has.
        self.run.handles.resize(handle + 1 + count, Value::NIL);
        for index in 0..count {
            let value = self.decode_value(reader, met, owner)?;
            self.run.handles[handle + 1 + index] = value;
            if let Some(offset) = self.offset_of(shape, index) {
                let twin = self.run.handles[handle];
                self.heap.init_slot(twin, offset, value);
            }
        }
        Ok(handle)
    }

    /// Notes the objects that were read without first values, for [`Vm::complete_objects`].
    pub(crate) fn note_unfinished(&mut self, met: &Met) {
        let objects = met.unfinished.iter().map(|&(handle, shape)| (self.run.handles[handle], shape));
        self.run.turn.unfinished.extend(objects);
    }

    fn met_object(&self, number: u32, met: &Met) -> Result<usize, DecodeError> {
        met.handles.get(&number).copied().ok_or(DecodeError::Damaged("an object that is not there"))
    }

    /// The class of a shape's objects, and how many slots it stores.
    fn class_to_fill(&self, shape: u32) -> Result<(ClassId, usize), DecodeError> {
        let entry = self.shapes.entry(shape).ok_or(DecodeError::Damaged("a shape that is not known"))?;
        match entry.class {
            Some(class) => Ok((class, entry.shape.slots.len())),
            None => Err(DecodeError::UnknownPrototype(entry.shape.prototype.clone())),
        }
    }

    fn offset_of(&self, shape: u32, index: usize) -> Option<usize> {
        let entry = self.shapes.entry(shape)?;
        entry.offsets.get(index).copied().flatten().map(|offset| offset as usize)
    }

    /// Raw bytes are read by primitives that trust them: text is UTF-8, a large integer is one.
    fn check_raw(&self, class: ClassId, bytes: &[u8]) -> Result<(), DecodeError> {
        if self.inherits(class, self.known.string) && std::str::from_utf8(bytes).is_err() {
            return Err(DecodeError::Damaged("text that is not UTF-8"));
        }
        Ok(())
    }

    /// The number of an object, or of a part that was not brought in, within the twin that it belongs to.
    pub(crate) fn number_within_or_part(&self, value: Value, nth: usize) -> Option<u32> {
        match value.kind() {
            Kind::Part(number) => self.run.turn.split(number).filter(|&(owner, _)| owner == nth).map(|(_, own)| own),
            Kind::Pointer => self.number_within(value, nth),
            _ => None,
        }
    }

    /// Reads one value and all that it reaches. `owner`: it belongs to the twin at rest that is the turn's `owner`th.
    pub(crate) fn decode_value(
        &mut self,
        reader: &mut Reader<'_>,
        met: &mut Met,
        owner: Option<usize>,
    ) -> Result<Value, Fail> {
        let mut open: Vec<Filling> = Vec::new();
        let value = self.decode_head(reader, met, owner, &mut open)?;
        // Most values have no parts. The others lie among the handles, where they are kept.
        let Some(&Filling { handle: root, .. }) = open.first() else { return Ok(value) };
        while let Some(filling) = open.last_mut() {
            if filling.next == filling.count {
                open.pop();
                continue;
            }
            filling.next += 1;
            let (handle, shape, index) = (filling.handle, filling.shape, filling.next - 1);
            let value = self.decode_head(reader, met, owner, &mut open)?;
            match shape {
                None => {
                    let object = self.run.handles[handle];
                    self.heap.init_part_element(object, index, value);
                }
                Some(shape) => {
                    if let Some(offset) = self.offset_of(shape, index) {
                        let object = self.run.handles[handle];
                        self.heap.init_slot(object, offset, value);
                    }
                }
            }
        }
        Ok(self.run.handles[root])
    }

    /// Reads a value that has no parts, or the head of one that has, which is opened.
    fn decode_head(
        &mut self,
        reader: &mut Reader<'_>,
        met: &mut Met,
        owner: Option<usize>,
        open: &mut Vec<Filling>,
    ) -> Result<Value, Fail> {
        let first = reader.byte()?;
        if first >= tag::TINY {
            return Ok(Value::small(i64::from(first) - 128));
        }
        match first {
            tag::NIL => Ok(Value::NIL),
            tag::TRUE => Ok(Value::TRUE),
            tag::FALSE => Ok(Value::FALSE),
            tag::INTEGER => {
                let value = Value::integer(reader.integer()?);
                Ok(value.ok_or(DecodeError::Damaged("an integer past 63 bits"))?)
            }
            tag::FLOAT => Ok(self.new_float(reader.float()?)?),
            tag::CHARACTER => {
                let character = char::from_u32(reader.number32()?);
                Ok(Value::character(character.ok_or(DecodeError::Damaged("a character that is none"))?))
            }
            tag::SYMBOL => Ok(Value::symbol(self.symbols.intern(reader.text()?).0)),
            tag::STRING => Ok(self.new_string(reader.text()?)?),
            tag::LARGE => Ok(self.new_big_integer(&BigInt::from_signed_bytes_le(reader.sized()?))?),
            tag::REFERENCE => {
                let path = reader.text()?;
                let name = reader.text()?;
                let kind = self.symbols.find(name).filter(|&kind| self.prototype_named(kind).is_some());
                met.stale |= kind.is_none() && !name.is_empty();
                Ok(self.new_reference(path, kind)?)
            }
            tag::PROTOTYPE => {
                let name = reader.text()?;
                let prototype = self.symbols.find(name).and_then(|symbol| self.prototype_named(symbol));
                Ok(prototype.ok_or_else(|| DecodeError::UnknownPrototype(name.to_owned()))?)
            }
            tag::PIECE => {
                let number = reader.number32()?;
                let (Some(owner), true) = (owner, (1..met.below).contains(&number)) else {
                    return Err(DecodeError::Damaged("a piece past its twin's counter").into());
                };
                met.has_parts = true;
                Ok(Value::part(self.run.turn.number_piece(owner, number).ok_or(TOO_MANY)?))
            }
            tag::BACK => {
                let handle = self.met_object(reader.number32()?, met)?;
                Ok(self.run.handles[handle])
            }
            tag::OBJECT | tag::OBJECT_IMMUTABLE => {
                let number = reader.number32()?;
                let shape = reader.number32()?;
                let (class, count) = self.class_to_fill(shape)?;
                met.stale |= self.shapes.number_of(class) != Some(shape);
                if count > reader.bytes.len() {
                    return Err(SHORT.into());
                }
                if owner.is_none() && [self.known.promise, self.known.continuation].contains(&class) {
                    return Err(DecodeError::Damaged("a promise outside of its twin").into());
                }
                if !self.has_layout(class, Layout::Slots) {
                    return Err(DecodeError::Damaged("an object of a shape that has other contents").into());
                }
                let object = self.allocate(class)?;
                let handle = self.meet(number, object, met, owner, first == tag::OBJECT_IMMUTABLE)?;
                let entry = self.shapes.entry(shape).ok_or(DecodeError::Damaged("a shape that is not known"))?;
                if entry.lacks_new || entry.lacks_transient && met.with_transient {
                    met.unfinished.push((handle, shape));
                }
                open.push(Filling { handle, shape: Some(shape), next: 0, count });
                Ok(object)
            }
            tag::INDEXED | tag::INDEXED_IMMUTABLE => {
                let number = reader.number32()?;
                let shape = reader.number32()?;
                let (class, _) = self.class_to_fill(shape)?;
                met.stale |= self.shapes.number_of(class) != Some(shape);
                let count = reader.length()?;
                if !self.has_layout(class, Layout::Elements) {
                    return Err(DecodeError::Damaged("elements for a shape that has none").into());
                }
                let is_part = class == self.known.list_part;
                if is_part && first == tag::INDEXED_IMMUTABLE {
                    return Err(DecodeError::Damaged("a part that refuses writes").into());
                }
                let object = self.allocate_indexed(class, count)?;
                if is_part {
                    met.has_parts = true;
                    self.heap.set_flags(object, heap::BLOCK);
                }
                let handle = self.meet(number, object, met, owner, first == tag::INDEXED_IMMUTABLE)?;
                open.push(Filling { handle, shape: None, next: 0, count });
                Ok(object)
            }
            tag::RAW | tag::RAW_IMMUTABLE => {
                let number = reader.number32()?;
                let shape = reader.number32()?;
                let (class, _) = self.class_to_fill(shape)?;
                met.stale |= self.shapes.number_of(class) != Some(shape);
                let bytes = reader.sized()?;
                if !self.has_layout(class, Layout::Bytes) {
                    return Err(DecodeError::Damaged("bytes for a shape that has none").into());
                }
                self.check_raw(class, bytes)?;
                let is_text = self.inherits(class, self.known.string);
                let flags = if is_text && bytes.is_ascii() { heap::ASCII } else { 0 };
                let object = self.allocate_bytes(class, bytes.len(), flags)?;
                self.heap.init_bytes(object).copy_from_slice(bytes);
                self.meet(number, object, met, owner, first == tag::RAW_IMMUTABLE)?;
                Ok(object)
            }
            _ => Err(DecodeError::Damaged("an unknown kind of value").into()),
        }
    }

    /// Whether objects of `class` are made of `layout` alone, so that the VM trusts nothing else of them.
    fn has_layout(&self, class: ClassId, layout: Layout) -> bool {
        let others = [self.known.large_integer, self.known.float];
        let class_of = self.class(class);
        class_of.kind == ClassKind::Object
            && class_of.layout == layout
            && !others.contains(&class)
            && !self.is_bound_to_the_run(class)
    }

    /// Notes an object that was just made; answers where it lies among the handles.
    fn meet(
        &mut self,
        number: u32,
        object: Value,
        met: &mut Met,
        owner: Option<usize>,
        immutable: bool,
    ) -> Result<usize, DecodeError> {
        let handle = self.run.handles.len();
        self.run.handles.push(object);
        if number == 0 || met.handles.insert(number, handle).is_some() {
            return Err(DecodeError::Damaged("two objects of one number"));
        }
        if let Some(owner) = owner {
            if number >= met.below {
                return Err(DecodeError::Damaged("an object past its twin's counter"));
            }
            let number = self.run.turn.number_object(owner, number).ok_or(TOO_MANY)?;
            self.heap.set_number(object, number);
            self.heap.set_flags(object, heap::OLD);
        }
        if met.guarded {
            self.heap.set_flags(object, heap::OLD);
        }
        if immutable {
            self.heap.set_flags(object, heap::IMMUTABLE);
        }
        Ok(handle)
    }
}
