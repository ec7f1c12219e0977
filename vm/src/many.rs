//! Queries of many twins: what a prototype is asked travels to the partitions that have its twins.
//!
//! The question names the prototype, what is wanted of its twins ([`Verb`]), and what each is asked: a selector, a block, or a
//! block that is given what the twin answers to a selector. Each twin is asked in a query of its own
//! ([`Action::Evaluate`](crate::turn::Action)), in which all its composite is near.
//!
//! The block travels as the blocks of `then:` do: where its code stands, and the values of its variables. What it takes along
//! is a copy, so it assigns none of it; as in every query what is older than it is guarded. Its `self` travels in one of
//! two ways. A block that only reads slots of the twin that asks gets an object of the same prototype, which has those slots and is seen
//! by nobody else. In any other `self` is what it is in a message: a reference, where it is a twin.
//!
//! Questions are never stored. Still their bytes are checked like those that are, since verified code trusts its registers.

use std::ptr::NonNull;

use crate::class::{ClassKind, LinkedMethod, Origin};
use crate::codec::{DecodeError, Reader, put_bytes, put_number, tag};
use crate::drive::{Asked, End};
use crate::fault::{ExceptionKind, Fault};
use crate::heap;
use crate::indexed::Hint;
use crate::primitive::{Few, Stop};
use crate::promise::{Place, Uses, uses};
use crate::shape::Shapes;
use crate::turn::{Mode, Sender};
use crate::value::Value;
use crate::vm::Vm;

/// What is wanted of the twins of a prototype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// References to all of them.
    All,
    /// References to those that answer true.
    Where,
    /// References to those that answer false.
    Reject,
    /// What each answers.
    Collect,
    /// For each an array of a reference and its answer.
    Answers,
    /// How many answer true.
    Count,
    /// What the answers are together: see [`Verb::is_of_numbers`].
    Sum,
    /// The greatest answer.
    Max,
    /// The smallest answer.
    Min,
    /// A reference to the first that answers true, in an array, which is empty if there is none.
    Detect,
    /// Whether one answers true.
    Any,
    /// Whether none answers false.
    Every,
}

impl Verb {
    /// Every one, with the symbol that the kernel has for it.
    pub const ALL: &[(Verb, &str)] = &[
        (Verb::All, "all"),
        (Verb::Where, "where"),
        (Verb::Reject, "reject"),
        (Verb::Collect, "collect"),
        (Verb::Answers, "answers"),
        (Verb::Count, "count"),
        (Verb::Sum, "sum"),
        (Verb::Max, "max"),
        (Verb::Min, "min"),
        (Verb::Detect, "detect"),
        (Verb::Any, "any"),
        (Verb::Every, "every"),
    ];

    /// Whether the answer is an array of three: how many twins there are, what integers and floats come to, or nil if there
    /// are none of those, and an array of all other answers.
    pub fn is_of_numbers(self) -> bool {
        matches!(self, Verb::Sum | Verb::Max | Verb::Min)
    }

    /// Whether the answer has a place for each twin, or for some.
    pub fn is_list(self) -> bool {
        matches!(self, Verb::All | Verb::Where | Verb::Reject | Verb::Collect | Verb::Answers)
    }

    /// Whether twins that answer false make no difference.
    pub fn is_of_true_ones(self) -> bool {
        matches!(self, Verb::Where | Verb::Count | Verb::Detect | Verb::Any)
    }

    /// Whether each twin answers true or false.
    pub fn is_of_booleans(self) -> bool {
        match self {
            Verb::Where | Verb::Reject | Verb::Count | Verb::Detect | Verb::Any | Verb::Every => true,
            Verb::All | Verb::Collect | Verb::Answers | Verb::Sum | Verb::Max | Verb::Min => false,
        }
    }
}

/// A question to all twins of a prototype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Many<'a> {
    /// What is wanted.
    pub verb: Verb,
    /// The name of the prototype.
    pub prototype: &'a str,
    /// What each twin is asked; empty if it is given to the block itself.
    pub selector: &'a str,
    /// The block, as [`Vm`] writes it; empty if there is none.
    pub block: &'a [u8],
    /// Which twins need not be asked, if an index can tell.
    pub hint: Option<Hint<'a>>,
    /// A part of the answer is wanted, of which there is a list: an array of the path up to which that goes, or nil if it is the last,
    /// and the list.
    pub page: Option<Page<'a>>,
}

/// A part of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<'a> {
    /// The path of the last twin that was asked before; empty if none was.
    pub after: &'a str,
    /// How many twins each partition asks at most.
    pub twins: u32,
}

impl<'a> Many<'a> {
    /// The arguments of a query that asks this.
    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![self.verb as u8];
        put_bytes(&mut out, self.prototype.as_bytes());
        put_bytes(&mut out, self.selector.as_bytes());
        put_bytes(&mut out, self.block);
        out.push(u8::from(self.hint.is_some()));
        if let Some(hint) = &self.hint {
            hint.write(&mut out);
        }
        if let Some(Page { after, twins }) = self.page {
            put_bytes(&mut out, after.as_bytes());
            put_number(&mut out, u64::from(twins));
        }
        out
    }

    /// What [`Many::write`] wrote; `None` if the bytes are others.
    pub fn read(bytes: &'a [u8]) -> Option<Many<'a>> {
        let mut reader = Reader::new(bytes);
        let &(verb, _) = Verb::ALL.get(usize::from(reader.byte().ok()?))?;
        let (prototype, selector) = (reader.text().ok()?, reader.text().ok()?);
        let block = reader.sized().ok()?;
        let hint = match reader.byte().ok()? {
            0 => None,
            _ => Some(Hint::read(&mut reader).ok()?),
        };
        let page = match reader.is_empty() {
            true => None,
            false => Some(Page { after: reader.text().ok()?, twins: reader.number32().ok()? }),
        };
        reader.is_empty().then_some(Many { verb, prototype, selector, block, hint, page })
    }
}

/// A reference as a message has it.
pub fn reference(path: &str, prototype: &str) -> Vec<u8> {
    let mut out = vec![tag::REFERENCE];
    put_bytes(&mut out, path.as_bytes());
    put_bytes(&mut out, prototype.as_bytes());
    out
}

/// A boolean in a message; `None` if the bytes are another value.
pub fn as_boolean(value: &[u8]) -> Option<bool> {
    match value {
        [tag::TRUE] => Some(true),
        [tag::FALSE] => Some(false),
        _ => None,
    }
}

/// Whether the bytes are an integer or a float.
pub fn is_number(value: &[u8]) -> bool {
    value.first().is_some_and(|&first| first >= tag::TINY || [tag::INTEGER, tag::LARGE, tag::FLOAT].contains(&first))
}

/// A message of one value, an array of values that were messages of their own.
///
/// # Errors
/// The bytes of one are damaged.
pub fn array<'a>(values: impl ExactSizeIterator<Item = &'a [u8]>, shapes: &Shapes) -> Result<Vec<u8>, DecodeError> {
    let mut out = vec![tag::INDEXED, 1];
    let is_array = |&number: &u32| shapes.get(number).is_some_and(|shape| shape.kernel && shape.prototype == "Array");
    // The newest: a store may have had others of an earlier kernel.
    let shape = (0..shapes.len() as u32).rev().find(is_array).ok_or(DecodeError::Damaged("there are no arrays"))?;
    put_number(&mut out, u64::from(shape));
    put_number(&mut out, values.len() as u64);
    let mut last = 1;
    for value in values {
        last = copy_renumbered(value, last, shapes, &mut out)?;
    }
    Ok(out)
}

/// Appends a value whose objects are numbered from 1 on with numbers from `before + 1` on; answers the last.
fn copy_renumbered(value: &[u8], before: u32, shapes: &Shapes, out: &mut Vec<u8>) -> Result<u32, DecodeError> {
    const MANY: DecodeError = DecodeError::Damaged("more objects than there are numbers");
    let mut reader = Reader::new(value);
    let (mut left, mut last) = (1, before);
    while left > 0 {
        left -= 1;
        let start = reader.bytes;
        let first = reader.byte()?;
        match first {
            tag::BACK
            | tag::OBJECT
            | tag::OBJECT_IMMUTABLE
            | tag::INDEXED
            | tag::INDEXED_IMMUTABLE
            | tag::RAW
            | tag::RAW_IMMUTABLE => {
                let number = reader.number32()?.checked_add(before).ok_or(MANY)?;
                last = last.max(number);
                out.push(first);
                put_number(out, u64::from(number));
                let start = reader.bytes;
                match first {
                    tag::BACK => {}
                    tag::OBJECT | tag::OBJECT_IMMUTABLE => {
                        let shape = shapes.get(reader.number32()?);
                        left += shape.ok_or(DecodeError::Damaged("a shape that is not known"))?.slots.len();
                    }
                    tag::INDEXED | tag::INDEXED_IMMUTABLE => {
                        reader.number32()?;
                        left += reader.length()?;
                    }
                    _ => {
                        reader.number32()?;
                        reader.sized()?;
                    }
                }
                out.extend_from_slice(&start[..start.len() - reader.bytes.len()]);
                continue;
            }
            tag::INTEGER | tag::CHARACTER => {
                reader.number()?;
            }
            tag::FLOAT => {
                reader.float()?;
            }
            tag::SYMBOL | tag::STRING | tag::LARGE | tag::PROTOTYPE => {
                reader.sized()?;
            }
            tag::REFERENCE => {
                reader.sized()?;
                reader.sized()?;
            }
            tag::NIL | tag::TRUE | tag::FALSE => {}
            tag::TINY.. => {}
            _ => return Err(DecodeError::Damaged("an unknown kind of value")),
        }
        out.extend_from_slice(&start[..start.len() - reader.bytes.len()]);
    }
    if reader.is_empty() { Ok(last) } else { Err(DecodeError::Damaged("more bytes than values")) }
}

/// What `self` is in a block that travels.
mod receiver {
    /// Nothing: it is not used.
    pub const UNUSED: u8 = 0;
    /// As in a message.
    pub const VALUE: u8 = 1;
    /// An object of its prototype, with the slots that the block reads.
    pub const SLOTS: u8 = 2;
}

impl Vm {
    /// A block as it travels. In a program `None`, if it is better evaluated there: it does what only a program may do, or something
    /// that it takes along can be changed.
    ///
    /// # Errors
    /// In a turn: a block that cannot travel.
    pub(crate) fn block_that_travels(&mut self, block: Value) -> Result<Option<Vec<u8>>, Stop> {
        let in_program = self.run.turn.mode == Mode::Program;
        let (method, code) = self.code_of_block(block);
        let uses = uses(self.linked(method), code);
        let parts = self.parts_of_block(block);
        let is_twin = self.path_of(parts[0]).is_some() && self.class(self.linked(method).class).kind == ClassKind::Twin;
        let refused = if self.block_arguments(block) != Some(1) {
            Some("takes one argument")
        } else if uses.answers_home {
            Some("has no `^`")
        } else if uses.changes {
            Some("changes nothing and sends nothing far")
        } else if uses.assigned.contains(&true) {
            Some("assigns no variable from outside")
        } else if is_twin && uses.sends_super {
            Some("sends nothing to `super`")
        } else if is_twin && uses.uses_self && !uses.slots.is_empty() {
            Some("uses `self` for its slots or for messages, not both, of which variables can hold one")
        } else {
            None
        };
        if in_program {
            let used = &parts[usize::from(!uses.uses_self && uses.slots.is_empty())..];
            let fixed = |part: &Value| !part.is_pointer() || self.is_fixed(*part);
            if refused.is_some() || uses.touches_program || !used.iter().all(fixed) {
                return Ok(None);
            }
        }
        if let Some(rule) = refused {
            let text = format!(
                "a block that is asked of all twins is evaluated where they are, so it {rule}; with `all` first, as in \
                 `Tank all collect: [ ... ]`, it is evaluated here"
            );
            return Err(self.raise(ExceptionKind::ArgumentError, text));
        }
        let Place { program, origin, scope, prototype, side, code } = self.place_of_block(block);
        let mut out = program.to_vec();
        put_number(&mut out, u64::from(origin.image));
        put_number(&mut out, u64::from(origin.method));
        put_number(&mut out, scope as u64);
        put_bytes(&mut out, self.symbols.name(prototype).as_bytes());
        out.push(u8::from(side));
        put_number(&mut out, code as u64);
        let mut values = Few::new();
        let (kind, slots) = if uses.slots.is_empty() && !uses.uses_self && !uses.sends_super {
            (receiver::UNUSED, Vec::new())
        } else if is_twin && !uses.uses_self {
            (receiver::SLOTS, uses.slots.iter().copied().collect())
        } else {
            values.push(parts[0]);
            (receiver::VALUE, Vec::new())
        };
        out.push(kind);
        put_number(&mut out, slots.len() as u64);
        for slot in slots {
            put_number(&mut out, u64::from(slot));
            values.push(self.heap.slot(parts[0], usize::from(slot)));
        }
        for part in &parts[1..] {
            let is_cell = part.is_pointer() && self.heap.class_of_object(*part) == self.known.cell;
            values.push(if is_cell { self.heap.slot(*part, 0) } else { *part });
        }
        let values = self.brought_whole(values)?;
        match self.encode_arguments(&values, &mut out) {
            Ok(()) => Ok(Some(out)),
            Err(_) if in_program => Ok(None),
            Err(error) => Err(self.refuse_to_write(error, |prototype| {
                format!("the block takes along an object of {prototype}, which is good for its own turn only")
            })),
        }
    }

    /// Whether a value cannot change, so that a copy of it is as good; what a cell holds, of a cell.
    fn is_fixed(&self, value: Value) -> bool {
        let class = self.heap.class_of_object(value);
        if class == self.known.cell {
            let held = self.heap.slot(value, 0);
            return !held.is_pointer() || self.heap.class_of_object(held) != self.known.cell && self.is_fixed(held);
        }
        self.heap.has_flags(value, heap::IMMUTABLE)
            || [self.known.float, self.known.large_integer].contains(&class)
            || self.class_of_prototype(value).is_some()
    }

    /// Asks the `nth` twin of the turn, which a reference says is of `prototype`, as a [`Many`] says.
    pub(crate) fn evaluate(&mut self, world: &mut Asked<'_>, nth: usize, many: &Many<'_>) -> End {
        let value = if many.selector.is_empty() {
            let path = self.run.turn.twins[nth].path.clone();
            let kind = self.symbols.intern(many.prototype);
            match self.new_reference(&path, Some(kind)) {
                Ok(reference) => reference,
                Err(stop) => return End::Failed(self.fault_of_stop(stop)),
            }
        } else {
            let selector = self.symbols.intern(many.selector);
            match self.deliver(world, nth, selector, &[], Sender::QUERY) {
                End::Done(answer) => answer,
                end @ (End::Failed(_) | End::NotYet) => return end,
            }
        };
        if many.block.is_empty() {
            return End::Done(value);
        }
        self.run.handles.push(value);
        let block = match self.arrived_block(world, nth, many.block) {
            Ok(Some(block)) => block,
            Ok(None) => return End::NotYet,
            Err(fault) => return End::Failed(fault),
        };
        let value = self.run.handles.pop().expect("pushed above");
        self.run.turn.current = self.run.turn.twins[nth].value;
        let window = self.begin(&[block, value]);
        let step = self.value_block(window, window, 1);
        let flow = self.settle(step, window, window);
        self.go_on(world, flow)
    }

    /// A block that has travelled here. `None`: not known yet.
    fn arrived_block(&mut self, world: &mut Asked<'_>, nth: usize, bytes: &[u8]) -> Result<Option<Value>, Fault> {
        let gone = |vm: &Vm, why: &str| {
            vm.plain_fault("BlockGone", format!("a block for all twins cannot be evaluated where they are: {why}"))
        };
        let read = ArrivedBlock::read(self, bytes);
        let ArrivedBlock { place, kind, slots, values } = read.map_err(|error| self.decode_fault(&error))?;
        let method = match self.method_at(world, &place) {
            Some(Ok(method)) => method,
            Some(Err(why)) => return Err(gone(self, &why)),
            None => return Ok(None),
        };
        let first = self.run.handles.len();
        // `self` goes before what the block takes along.
        self.run.handles.push(Value::NIL);
        let unfinished = self.run.turn.unfinished.len();
        let count = self.decode_guarded(values).map_err(|error| self.decode_fault(&error))?;
        if self.complete_objects(world, nth, unfinished)?.is_none() {
            return Ok(None);
        }
        let uses = uses(self.linked(method), place.code);
        let captures = self.linked(method).codes[place.code].captures.len();
        let of_self = if kind == receiver::VALUE { 1 } else { slots.len() };
        if count != of_self + captures || !self.takes_as_self(method, &uses, kind, &slots, first) {
            return Err(gone(self, "it took along other values than it uses"));
        }
        if kind == receiver::SLOTS {
            let class = self.linked(method).class;
            let object = self.allocate(class).map_err(|stop| self.fault_of_stop(stop))?;
            for (nth, &slot) in slots.iter().enumerate() {
                self.heap.init_slot(object, usize::from(slot), self.run.handles[first + 1 + nth]);
            }
            self.run.handles[first] = object;
        } else if kind == receiver::VALUE {
            self.run.handles[first] = self.run.handles[first + 1];
        }
        self.run.handles.drain(first + 1..first + 1 + of_self);
        let block = self.restore_block(method, place.code, first).map_err(|stop| self.fault_of_stop(stop))?;
        self.run.handles.truncate(first);
        Ok(Some(block))
    }

    /// Whether code that was verified may have this `self`: what came for it lies among the handles behind `first`.
    fn takes_as_self(&self, method: NonNull<LinkedMethod>, uses: &Uses, kind: u8, slots: &[u16], first: usize) -> bool {
        let class = self.linked(method).class;
        let reads_slots = !uses.slots.is_empty() || uses.sends_super;
        match kind {
            receiver::UNUSED => !uses.uses_self && !reads_slots,
            receiver::SLOTS => {
                let has_slots = self.class(class).kind == ClassKind::Twin;
                has_slots
                    && !uses.uses_self
                    && !uses.sends_super
                    && slots.iter().copied().eq(uses.slots.iter().copied())
            }
            _ => {
                let value = self.run.handles[first + 1];
                !reads_slots && self.path_of(value).is_some() || self.is_kind_of(value, class)
            }
        }
    }
}

/// The bytes of a block that has travelled, apart.
struct ArrivedBlock<'a> {
    place: Place,
    kind: u8,
    slots: Vec<u16>,
    values: &'a [u8],
}

impl<'a> ArrivedBlock<'a> {
    fn read(vm: &mut Vm, bytes: &'a [u8]) -> Result<ArrivedBlock<'a>, DecodeError> {
        const WRONG: DecodeError = DecodeError::Damaged("a block that is none");
        let mut reader = Reader::new(bytes);
        let program = reader.take(32)?.try_into().map_err(|_| WRONG)?;
        let image = u16::try_from(reader.number()?).map_err(|_| WRONG)?;
        let origin = Origin { image, method: reader.number32()? };
        let scope = reader.number32()? as usize;
        let prototype = vm.symbols.intern(reader.text()?);
        let side = reader.byte()? != 0;
        // The first code is the method's own.
        let code = Some(reader.number32()? as usize).filter(|&code| code > 0).ok_or(WRONG)?;
        let kind = reader.byte()?;
        let slots = (0..reader.length()?).map(|_| u16::try_from(reader.number()?).map_err(|_| WRONG));
        let slots = slots.collect::<Result<_, _>>()?;
        let place = Place { program, origin, scope, prototype, side, code };
        Ok(ArrivedBlock { place, kind, slots, values: reader.bytes })
    }
}
