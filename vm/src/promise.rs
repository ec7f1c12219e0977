//! Promises: the answers of far sends, and the blocks that wait for them.
//!
//! A promise is an object in the state of the twin that made it. It is waited for when something keeps it past its
//! turn: a slot that reaches it, or a block that `then:` gave it. Those stand in the twin's list of promises that
//! wait (`codec.rs` writes it before the slots; `apart.rs` those that nothing else reaches), and the far send asks for a reply. The turn that brings the reply
//! takes the promise off the list, notes the answer in it, and runs its blocks in their order; all of that
//! is one turn like any other, so a fault in a block undoes it and the promise waits on. A block that comes
//! after the answer waits too: for a message that the twin sends itself.
//!
//! A block is kept as a *continuation*: where its code stands, what `self` is, and the values of the variables
//! it took along, as they were at `then:`. Where it shares a variable with others it gets one of its own. Nothing of
//! its frame is kept, so it must not answer from its method.
//!
//! In a program a promise lives as long as the run. Its blocks are copies that are never written out; they run
//! whenever the program waits, and when it has ended.
//!
//! Promises and continuations are immutable to programs and written by the VM alone. Still, all that is read from them
//! is checked, since bytes at rest may say anything: what a register of verified code may take for a cell is one,
//! and `self` is of the class that the code was linked for.

use std::collections::BTreeSet;
use std::ptr::NonNull;

use rustc_hash::FxHashSet;
use twintalk_bytecode::op::Op;
use twintalk_bytecode::{codec, verify};

use crate::apart::{Answered, PROMISE_PIECE};
use crate::class::{ClassId, ClassKind, LinkedMethod, Origin};
use crate::drive::{Asked, End};
use crate::fault::{ExceptionKind, Fault};
use crate::heap;
use crate::link::earlier::Wanted;
use crate::link::fuse::plain_words;
use crate::primitive::{Stop, Window};
use crate::symbol::Symbol;
use crate::turn::{Mode, THEN};
use crate::value::{Kind, Value};
use crate::vm::Vm;
use crate::world::{Answer, ProgramWorld};

/// How many slots the kernel's Promise has at least.
pub(crate) const SLOTS: usize = 4;
const NUMBER: usize = 0;
/// nil: it waits; true: there is an answer; false: there is a fault.
pub(crate) const OUTCOME: usize = 1;
/// The answer; of a fault an array of its kind and its text.
pub(crate) const ANSWER: usize = 2;
/// An array of continuations, two by two: for the answer, and for a fault or nil.
pub(crate) const ACTIONS: usize = 3;

/// How many slots the kernel's Continuation has at least.
pub(crate) const CONTINUATION_SLOTS: usize = 9;
/// The slots of a continuation.
pub(crate) mod part {
    /// The hash of the program.
    pub const PROGRAM: usize = 0;
    /// The image that the method stands in.
    pub const IMAGE: usize = 1;
    /// The image in which the name of the prototype is sought first.
    pub const SCOPE: usize = 2;
    /// The name of the prototype that the method was linked for.
    pub const PROTOTYPE: usize = 3;
    /// Whether it is a method of the prototype itself.
    pub const SIDE: usize = 4;
    /// The number of the method in its image.
    pub const METHOD: usize = 5;
    /// The number of the block in its method.
    pub const CODE: usize = 6;
    /// `self`.
    pub const RECEIVER: usize = 7;
    /// The values of the variables.
    pub const CAPTURED: usize = 8;
}

/// Where the code of a block stands.
pub(crate) struct Place {
    pub program: [u8; 32],
    pub origin: Origin,
    pub scope: usize,
    pub prototype: Symbol,
    pub side: bool,
    pub code: usize,
}

/// What a block does with what it takes along, the blocks in it included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uses {
    /// Whether each captured variable may be used as a cell.
    pub cells: Vec<bool>,
    /// Whether each captured variable may be assigned.
    pub assigned: Vec<bool>,
    /// Whether it answers from its method.
    pub answers_home: bool,
    /// The slots of `self` that it reads.
    pub slots: BTreeSet<u16>,
    /// Whether it uses `self` for anything but its slots.
    pub uses_self: bool,
    /// Whether it sends to `super`.
    pub sends_super: bool,
    /// Whether it assigns slots or program variables, or sends far.
    pub changes: bool,
    /// Whether it touches program variables, or slots behind the dashes.
    pub touches_program: bool,
}

impl Vm {
    // ---- promises ----

    /// The promise with this number.
    pub(crate) fn new_promise(&mut self, number: u64) -> Result<Value, Stop> {
        let Some(number) = i64::try_from(number).ok().and_then(Value::integer) else {
            return Err(self.raise(ExceptionKind::Error, "a promise has a number past 62 bits"));
        };
        let promise = self.allocate(self.known.promise)?;
        self.heap.init_slot(promise, NUMBER, number);
        self.heap.set_flags(promise, heap::IMMUTABLE);
        Ok(promise)
    }

    /// The number, if the value is a promise that the VM made.
    pub(crate) fn promise_number(&self, value: Value) -> Option<u64> {
        if !value.is_pointer()
            || self.heap.class_of_object(value) != self.known.promise
            || !self.heap.has_flags(value, heap::IMMUTABLE)
        {
            return None;
        }
        u64::try_from(self.heap.slot(value, NUMBER).as_integer()?).ok()
    }

    /// Whether there is an answer yet, or a fault.
    pub(crate) fn is_settled(&self, promise: Value) -> bool {
        !self.heap.slot(promise, OUTCOME).is_nil()
    }

    /// The twin of the turn that a promise belongs to: the one that made it.
    pub(crate) fn owner_of_promise(&self, promise: Value) -> Option<usize> {
        if let Some((nth, _)) = self.place_in_twin(promise) {
            return Some(nth);
        }
        let turn = &self.run.turn;
        let number = self.promise_number(promise)?;
        let send = turn.effects.far_sends.get((number & 0xffff) as usize).filter(|send| send.promise == number)?;
        turn.find(&send.sender)
    }

    /// Writes a slot of a promise, which only the VM does.
    fn set_promise_slot(&mut self, promise: Value, slot: usize, value: Value) {
        if self.heap.has_flags(promise, heap::OLD) {
            self.heap.remember(promise);
        }
        self.heap.init_slot(promise, slot, value);
    }

    // ---- then: ----

    /// `then:` and `then:else:`: gives the promise blocks to run. The arguments in the window are blocks; answers the
    /// promise.
    pub(crate) fn then(&mut self, window: Window) -> Result<Value, Stop> {
        for index in 0..window.argument_count {
            let block = window.argument(self, index);
            if !matches!(self.block_arguments(block), Some(0 | 1)) {
                let found = match self.block_arguments(block) {
                    Some(count) => format!("one of {count}"),
                    None => format!("of {}", self.class_name(block)),
                };
                let text =
                    format!("what is run with the answer is a block of one argument or none, but this is {found}");
                return Err(self.raise(ExceptionKind::ArgumentError, text));
            }
        }
        let held = self.run.handles.len();
        let added = match self.run.turn.mode {
            Mode::Turn => self.then_in_turn(window),
            Mode::Program => self.then_in_program(window),
        };
        self.run.handles.truncate(held);
        added.map(|()| window.receiver(self))
    }

    fn then_in_turn(&mut self, window: Window) -> Result<(), Stop> {
        if self.run.turn.query {
            return Err(self.raise(ExceptionKind::QueryWrites, "a query changes nothing, but this one sends `then:`"));
        }
        let Some(owner) = self.owner_of_promise(window.receiver(self)) else {
            return Err(self.raise(ExceptionKind::NotStorable, "this promise is of no twin of this turn"));
        };
        let first = self.run.handles.len();
        // Blocks of one program share its hash.
        self.run.handles.push(Value::NIL);
        for index in 0..window.argument_count {
            let continuation = self.make_continuation(window.argument(self, index), first)?;
            self.run.handles.push(continuation);
        }
        if window.argument_count == 1 {
            self.run.handles.push(Value::NIL);
        }
        if self.run.turn.twins[owner].removed {
            // Its method still runs, but nothing of it will wait.
            return Ok(());
        }
        let promise = window.receiver(self);
        if !self.is_settled(promise) {
            // One of before waits already, and so does one that has blocks.
            let waits = self.heap.number(promise) != 0 || !self.heap.slot(promise, ACTIONS).is_nil();
            self.add_action(promise, first + 1)?;
            if !waits {
                let promise = window.receiver(self);
                self.run.turn.twins[owner].waiting.push(promise);
            }
            return Ok(());
        }
        // The answer is there: the twin sends itself a message whose promise holds it already.
        let path = self.run.turn.twins[owner].path.clone();
        let number = self.run.turn.next_promise();
        let arguments = crate::codec::number_argument(number);
        self.leave(2 * path.len() + THEN.len() + arguments.len())?;
        if self.run.turn.queue(path.clone(), path, THEN.into(), arguments).is_none() {
            return Err(self.raise(ExceptionKind::Error, "a turn has at most 65,536 far sends"));
        }
        let again = self.new_promise(number)?;
        self.run.handles.push(again);
        let at = self.run.handles.len() - 1;
        self.add_action(again, first + 1)?;
        let (again, promise) = (self.run.handles[at], window.receiver(self));
        self.heap.init_slot(again, OUTCOME, self.heap.slot(promise, OUTCOME));
        self.heap.init_slot(again, ANSWER, self.heap.slot(promise, ANSWER));
        self.run.turn.twins[owner].waiting.push(again);
        Ok(())
    }

    /// Adds the two continuations, or blocks, at the handles from `first` on to what a promise runs.
    fn add_action(&mut self, promise: Value, first: usize) -> Result<(), Stop> {
        let before = self.array_length(self.heap.slot(promise, ACTIONS)).unwrap_or(0);
        self.run.handles.push(promise);
        let actions = self.allocate_indexed(self.known.array, before + 2);
        let promise = self.run.handles.pop().expect("pushed above");
        let actions = actions?;
        let old = self.heap.slot(promise, ACTIONS);
        for index in 0..before {
            self.heap.init_element(actions, index, self.heap.element(old, index));
        }
        self.heap.init_element(actions, before, self.run.handles[first]);
        self.heap.init_element(actions, before + 1, self.run.handles[first + 1]);
        self.heap.set_flags(actions, heap::IMMUTABLE);
        self.set_promise_slot(promise, ACTIONS, actions);
        Ok(())
    }

    /// What is kept of a block. At the handle `program` is the hash of a program, which is used if it is the block's, and
    /// is afterwards.
    fn make_continuation(&mut self, block: Value, program: usize) -> Result<Value, Stop> {
        let Place { program: hash, origin, scope, prototype, side, code } = self.place_of_block(block);
        let first = self.hold_parts_of_block(block)?;
        self.check_storable(first)?;
        let count = self.run.handles.len() - first - 1;
        let captured = self.allocate_indexed(self.known.array, count)?;
        for index in 0..count {
            self.heap.init_element(captured, index, self.run.handles[first + 1 + index]);
        }
        self.heap.set_flags(captured, heap::IMMUTABLE);
        self.run.handles.push(captured);
        if !self.is_hash(self.run.handles[program], &hash) {
            let bytes = self.allocate_bytes(self.known.byte_array, hash.len(), heap::IMMUTABLE)?;
            self.heap.init_bytes(bytes).copy_from_slice(&hash);
            self.run.handles[program] = bytes;
        }
        let continuation = self.allocate(self.known.continuation)?;
        let slots = [
            (part::PROGRAM, self.run.handles[program]),
            (part::IMAGE, Value::small(i64::from(origin.image))),
            (part::SCOPE, Value::small(scope as i64)),
            (part::PROTOTYPE, Value::symbol(prototype.0)),
            (part::SIDE, Value::boolean(side)),
            (part::METHOD, Value::small(i64::from(origin.method))),
            (part::CODE, Value::small(code as i64)),
            (part::RECEIVER, self.run.handles[first]),
            (part::CAPTURED, *self.run.handles.last().expect("pushed above")),
        ];
        for (slot, value) in slots {
            self.heap.init_slot(continuation, slot, value);
        }
        self.heap.set_flags(continuation, heap::IMMUTABLE);
        self.run.handles.truncate(first);
        Ok(continuation)
    }

    /// Where the code of a block stands, for other runs.
    pub(crate) fn place_of_block(&self, block: Value) -> Place {
        let (method, code) = self.code_of_block(block);
        let linked = self.linked(method);
        // A block of an earlier program stays one.
        let (program, image) = match self.earlier.of(linked.origin) {
            Some((hash, image, _)) => (*hash, image),
            None => (self.program, linked.origin.image),
        };
        let class = self.class(linked.class);
        Place {
            program,
            origin: Origin { image, method: linked.origin.method },
            scope: image.max(class.image) as usize,
            prototype: class.name,
            side: class.kind == ClassKind::Prototype,
            code,
        }
    }

    /// Puts what a block took along among the handles: `self`, then the values of the variables as they stand. Answers
    /// where they start.
    ///
    /// # Errors
    /// A block that answers from its method.
    fn hold_parts_of_block(&mut self, block: Value) -> Result<usize, Stop> {
        let (method, code) = self.code_of_block(block);
        let Uses { cells, answers_home, .. } = uses(self.linked(method), code);
        if answers_home {
            let text = "a block for `then:` cannot have a `^`: it runs when its method has long ended";
            return Err(self.raise(ExceptionKind::ArgumentError, text));
        }
        let first = self.run.handles.len();
        let parts = self.parts_of_block(block);
        for (nth, part) in parts.into_iter().enumerate() {
            let is_cell = part.is_pointer() && self.heap.class_of_object(part) == self.known.cell;
            let used_as_cell = nth > 0 && cells[nth - 1];
            if used_as_cell && !is_cell {
                let text = "a block for `then:` uses a register now as a value and now as a cell";
                return Err(self.raise(ExceptionKind::ArgumentError, text));
            }
            self.run.handles.push(if is_cell { self.heap.slot(part, 0) } else { part });
        }
        Ok(first)
    }

    /// Makes sure that all that the handles from `first` on reach may stay in a slot. What is older than the turn stays there
    /// already.
    ///
    /// # Errors
    /// `NotStorable`.
    fn check_storable(&mut self, first: usize) -> Result<(), Stop> {
        let mut open = self.run.handles[first..].to_vec();
        let mut seen: FxHashSet<u64> = FxHashSet::default();
        while let Some(object) = open.pop() {
            if !object.is_pointer() || self.heap.number(object) != 0 || !seen.insert(object.bits()) {
                continue;
            }
            let class = self.heap.class_of_object(object);
            let known = &self.known;
            if self.path_of(object).is_some()
                || [known.string, known.float, known.large_integer].contains(&class)
                || self.class_of_prototype(object).is_some()
            {
                continue;
            }
            let Some(shape) = self.shapes.number_of(class).filter(|_| !self.is_bound_to_the_run(class)) else {
                let prototype = self.symbols.name(self.class(class).name);
                let text =
                    format!("the block takes along an object of {prototype}, which is good for its own turn only");
                return Err(self.raise(ExceptionKind::NotStorable, text));
            };
            if self.heap.has_flags(object, heap::RAW) {
                continue;
            }
            if self.heap.has_flags(object, heap::INDEXED) {
                open.extend_from_slice(self.heap.contents(object));
                continue;
            }
            let offsets = self.shapes.entry(shape).map_or(&[][..], |entry| &entry.offsets);
            open.extend(offsets.iter().flatten().map(|&offset| self.heap.slot(object, offset as usize)));
        }
        self.spend(seen.len())
    }

    // ---- in programs ----

    /// Gives a promise of the program copies of the blocks.
    fn then_in_program(&mut self, window: Window) -> Result<(), Stop> {
        let first = self.run.handles.len();
        for index in 0..window.argument_count {
            let block = window.argument(self, index);
            let (method, code) = self.code_of_block(block);
            let parts = self.hold_parts_of_block(block)?;
            let copy = self.restore_block(method, code, parts)?;
            self.run.handles.truncate(parts);
            self.run.handles.push(copy);
        }
        if window.argument_count == 1 {
            self.run.handles.push(Value::NIL);
        }
        self.add_action(window.receiver(self), first)?;
        let promise = window.receiver(self);
        if !self.run.promises.contains(&promise) {
            self.run.promises.push(promise);
        }
        Ok(())
    }

    /// What a promise of the program was answered; the fault is signalled.
    pub(crate) fn answer_of_promise(&mut self, promise: Value) -> Result<Value, Stop> {
        if self.heap.slot(promise, OUTCOME) == Value::TRUE {
            return Ok(self.heap.slot(promise, ANSWER));
        }
        let (kind, text) = self.fault_in(promise);
        self.run.raise = Some(self.exception_for(&kind, text));
        Err(Stop::Raise)
    }

    /// Notes in a promise of the program what it was answered.
    pub(crate) fn settle_in_program(&mut self, promise: Value, reply: Result<Vec<u8>, Fault>) -> Result<(), Fault> {
        self.run.turn.promise = promise;
        match reply {
            Ok(bytes) => self.note_answer(Ok(&bytes)),
            Err(fault) => self.note_answer(Err((&fault.kind, &fault.text))),
        }
    }

    /// Runs the blocks of all promises of the program whose answers are there, in the order in which the first of each
    /// was given, above whatever waits on the stack; whether there was any.
    pub(crate) fn run_due_blocks(&mut self, world: &mut dyn ProgramWorld) -> Result<bool, Fault> {
        let mut ran = false;
        let mut at = 0;
        while let Some(&promise) = self.run.promises.get(at) {
            if !self.is_settled(promise) {
                let number = self.promise_number(promise).expect("checked by `then:`");
                if !world.is_resolved(number) {
                    at += 1;
                    continue;
                }
                let reply = world.wait(self, number);
                self.settle_in_program(promise, reply)?;
            }
            ran = true;
            let promise = self.run.promises.remove(at);
            self.run_blocks_of(world, promise)?;
            // They may have given others blocks.
            at = 0;
        }
        Ok(ran)
    }

    fn run_blocks_of(&mut self, world: &mut dyn ProgramWorld, promise: Value) -> Result<(), Fault> {
        let held = self.run.handles.len();
        self.run.handles.extend([promise, self.heap.slot(promise, ACTIONS)]);
        self.set_promise_slot(promise, ACTIONS, Value::NIL);
        let failed = self.heap.slot(promise, OUTCOME) == Value::FALSE;
        let count = self.array_length(self.run.handles[held + 1]).unwrap_or(0) / 2;
        for index in 0..count {
            let block = self.heap.element(self.run.handles[held + 1], 2 * index + usize::from(failed));
            if block.is_nil() {
                continue;
            }
            self.run.turn.promise = self.run.handles[held];
            let values = self.argument_for(block).map_err(|stop| self.fault_of_stop(stop))?;
            match self.value_inside(&mut Asked::Program(&mut *world), &values) {
                End::Done(_) => {}
                End::Failed(fault) => return Err(fault),
                End::NotYet => unreachable!("a program's world answers at once"),
            }
        }
        self.run.handles.truncate(held);
        Ok(())
    }

    // ---- replies ----

    /// A reply has come for the `nth` twin: the promise it is for knows its answer, and its blocks run. A promise that
    /// does not wait is one of an earlier life of the path, and nothing happens.
    pub(crate) fn receive_reply(
        &mut self,
        world: &mut Asked<'_>,
        nth: usize,
        number: u64,
        answer: Result<&[u8], (&str, &str)>,
    ) -> End {
        if let Some(end) = self.take_off(nth, number) {
            return end;
        }
        let unfinished = self.run.turn.unfinished.len();
        let noted = self.note_answer(answer);
        match noted.and_then(|()| self.complete_objects(world, nth, unfinished)) {
            Ok(Some(())) => self.run_actions(world, nth),
            Ok(None) => End::NotYet,
            Err(fault) => End::Failed(fault),
        }
    }

    /// Notes the answer in the promise in hand.
    fn note_answer(&mut self, answer: Result<&[u8], (&str, &str)>) -> Result<(), Fault> {
        let (outcome, answer) = match answer {
            Ok(bytes) => (Value::TRUE, self.decode_message(bytes).map_err(|error| self.decode_fault(&error))?),
            Err((kind, text)) => {
                let kind = Value::symbol(self.symbols.intern(kind).0);
                let pair = self.new_string(text).and_then(|text| self.new_array(&[kind, text]));
                (Value::FALSE, pair.map_err(|stop| self.fault_of_stop(stop))?)
            }
        };
        let promise = self.run.turn.promise;
        self.set_promise_slot(promise, OUTCOME, outcome);
        self.set_promise_slot(promise, ANSWER, answer);
        Ok(())
    }

    /// The message has come that the `nth` twin sent itself for blocks of a promise whose answer was there already.
    pub(crate) fn receive_then(&mut self, world: &mut Asked<'_>, nth: usize, number: u64) -> End {
        if let Some(end) = self.take_off(nth, number) {
            return end;
        }
        self.run_actions(world, nth)
    }

    /// Takes the promise with this number from those that wait, into hand. `Some`: that is the end of it, since none does.
    fn take_off(&mut self, nth: usize, number: u64) -> Option<End> {
        let waiting = &self.run.turn.twins[nth].waiting;
        let Some(at) = waiting.iter().position(|&promise| self.promise_number(promise) == Some(number)) else {
            return self.take_apart(nth, number);
        };
        let promise = self.run.turn.twins[nth].waiting.remove(at);
        if let Some(object) = self.number_within(promise, nth) {
            self.run.turn.twins[nth].settled.push(object);
        }
        self.run.turn.promise = promise;
        None
    }

    /// The same of those that wait apart.
    fn take_apart(&mut self, nth: usize, number: u64) -> Option<End> {
        let twin = &self.run.turn.twins[nth];
        if twin.apart.count == 0 {
            return Some(End::Done(Value::NIL));
        }
        let Some(mut world) = self.run.world else { return Some(End::Done(Value::NIL)) };
        let bytes = match world.piece(&twin.path, PROMISE_PIECE | number) {
            Answer::Here(Some(bytes)) => bytes.to_vec(),
            Answer::Here(None) => return Some(End::Done(Value::NIL)),
            Answer::NotYet => return Some(End::NotYet),
        };
        match self.decode_apart(nth, number, &bytes) {
            Ok(held) => {
                self.run.turn.twins[nth].answered = Some(Answered { number, held });
                None
            }
            Err(error) => Some(End::Failed(self.decode_fault(&error))),
        }
    }

    /// Runs the blocks of the promise in hand, which has them no longer.
    fn run_actions(&mut self, world: &mut Asked<'_>, nth: usize) -> End {
        let promise = self.run.turn.promise;
        self.run.turn.actions = self.heap.slot(promise, ACTIONS);
        if !self.run.turn.actions.is_nil() {
            self.set_promise_slot(promise, ACTIONS, Value::NIL);
        }
        let count = self.array_length(self.run.turn.actions).unwrap_or(0) / 2;
        for index in 0..count {
            if self.run.turn.twins[nth].removed {
                break;
            }
            let failed = self.heap.slot(self.run.turn.promise, OUTCOME) == Value::FALSE;
            let chosen = 2 * index + usize::from(failed);
            if self.heap.element(self.run.turn.actions, chosen).is_nil() {
                continue;
            }
            match self.run_continuation(world, nth, chosen) {
                End::Done(_) => {}
                end @ (End::Failed(_) | End::NotYet) => return end,
            }
        }
        End::Done(Value::NIL)
    }

    /// Runs one block of the promise in hand, for the `nth` twin.
    fn run_continuation(&mut self, world: &mut Asked<'_>, nth: usize, chosen: usize) -> End {
        let (method, code) = match self.code_of_continuation(world, chosen) {
            Ok(Some(found)) => found,
            Ok(None) => return End::NotYet,
            Err(fault) => return End::Failed(fault),
        };
        let class = self.linked(method).class;
        let receiver = self.part_of(chosen, part::RECEIVER);
        let receiver = match (self.class(class).kind, self.path_of(receiver)) {
            (ClassKind::Twin, Some(path)) => {
                let path = path.to_owned();
                match self.bring(world, &path) {
                    Ok(Some(Some(near))) => self.run.turn.twins[near].value,
                    Ok(Some(None)) => return End::Failed(self.missing(&path)),
                    Ok(None) => return End::NotYet,
                    Err(fault) => return End::Failed(fault),
                }
            }
            (ClassKind::Object | ClassKind::Twin | ClassKind::Trait | ClassKind::Prototype, _) => receiver,
        };
        if !self.is_kind_of(receiver, class) {
            let text = format!("it is one of {}", self.class_name(receiver));
            return End::Failed(self.block_gone(chosen, &text));
        }
        self.run.handles.clear();
        self.run.handles.push(receiver);
        let captured = self.part_of(chosen, part::CAPTURED);
        let captured = self.array_elements(captured).map(<[Value]>::to_vec).unwrap_or_default();
        if captured.len() != self.linked(method).codes[code].captures.len() {
            return End::Failed(self.block_gone(chosen, "it took along other variables than it has"));
        }
        self.run.handles.extend_from_slice(&captured);
        let values = match self.restore_block(method, code, 0).and_then(|block| self.argument_for(block)) {
            Ok(values) => values,
            Err(stop) => return End::Failed(self.fault_of_stop(stop)),
        };
        self.run.turn.current = self.run.turn.twins[nth].value;
        let window = self.begin(&values);
        let step = self.value_block(window, window, values.len() - 1);
        let flow = self.settle(step, window, window);
        self.go_on(world, flow)
    }

    /// The block, and what it is given if it takes something: the answer of the promise in hand, or an exception of the kind
    /// of the fault.
    fn argument_for(&mut self, block: Value) -> Result<Vec<Value>, Stop> {
        if self.block_arguments(block) == Some(0) {
            return Ok(vec![block]);
        }
        let promise = self.run.turn.promise;
        let answer = self.heap.slot(promise, ANSWER);
        if self.heap.slot(promise, OUTCOME) == Value::TRUE {
            return Ok(vec![block, answer]);
        }
        let (kind, text) = self.fault_in(promise);
        let (class, text) = self.exception_for(&kind, text);
        self.run.handles.push(block);
        let exception = self.new_exception(class, &text);
        let block = self.run.handles.pop().expect("pushed above");
        Ok(vec![block, exception?])
    }

    /// Kind and text of the fault that a promise holds.
    pub(crate) fn fault_in(&self, promise: Value) -> (String, String) {
        let pair = self.heap.slot(promise, ANSWER);
        let text = |index: usize| {
            let value = self.array_elements(pair).and_then(|pair| pair.get(index).copied());
            value.and_then(|value| self.as_text(value)).unwrap_or_default().to_owned()
        };
        (text(0), text(1))
    }

    /// A slot of the continuation at `chosen` among those in hand.
    fn part_of(&self, chosen: usize, slot: usize) -> Value {
        let continuation = self.heap.element(self.run.turn.actions, chosen);
        if continuation.is_pointer() && self.heap.class_of_object(continuation) == self.known.continuation {
            self.heap.slot(continuation, slot)
        } else {
            Value::NIL
        }
    }

    /// A block of the code, whose `self` and variables are the handles from `first` on; those that it uses as cells get
    /// new ones.
    pub(crate) fn restore_block(
        &mut self,
        method: NonNull<LinkedMethod>,
        code: usize,
        first: usize,
    ) -> Result<Value, Stop> {
        let Uses { cells, .. } = uses(self.linked(method), code);
        for (nth, is_cell) in cells.into_iter().enumerate() {
            if is_cell {
                let cell = self.allocate(self.known.cell)?;
                let place = &mut self.run.handles[first + 1 + nth];
                self.heap.init_slot(cell, 0, *place);
                *place = cell;
            }
        }
        self.new_block(method, code, first)
    }

    /// The code of the continuation at `chosen` among those in hand. `None`: not known yet.
    fn code_of_continuation(
        &mut self,
        world: &mut Asked<'_>,
        chosen: usize,
    ) -> Result<Option<(NonNull<LinkedMethod>, usize)>, Fault> {
        let Some(place) = self.place_of_code(chosen) else {
            return Err(self.block_gone(chosen, "what was kept of it is not what `then:` keeps"));
        };
        match self.method_at(world, &place) {
            Some(Ok(method)) => Ok(Some((method, place.code))),
            Some(Err(why)) => Err(self.block_gone(chosen, &why)),
            None => Ok(None),
        }
    }

    /// The method with the code at a place, or why there is none. `None`: not known yet.
    pub(crate) fn method_at(
        &mut self,
        world: &mut Asked<'_>,
        place: &Place,
    ) -> Option<Result<NonNull<LinkedMethod>, String>> {
        let Some(class) = self.class_named(place) else {
            return Some(Err("there is no such prototype any more".to_owned()));
        };
        if place.program == self.program {
            let method = self.linked_method(place.origin, class);
            let is_block = |method: &NonNull<LinkedMethod>| place.code < self.linked(*method).codes.len();
            return Some(method.filter(is_block).ok_or_else(|| "its program has no such code".to_owned()));
        }
        self.learn_earlier(world, &place.program)?;
        let &Place { program, origin, code, .. } = place;
        Some(self.link_earlier(&Wanted { program, image: origin.image, method: origin.method, code, class }))
    }

    /// Makes an earlier program known, if the world has it. `None`: not known yet.
    pub(crate) fn learn_earlier(&mut self, world: &mut Asked<'_>, hash: &[u8; 32]) -> Option<()> {
        if self.knows_program(hash) {
            return Some(());
        }
        let Asked::Turn(world) = world else { unreachable!("only turns go on with what was kept") };
        match world.program(hash) {
            Answer::Here(Some(program)) => self.learn_program(*hash, program),
            Answer::Here(None) => {}
            Answer::NotYet => return None,
        }
        Some(())
    }

    /// Whether the value is the bytes of this hash.
    fn is_hash(&self, value: Value, hash: &[u8; 32]) -> bool {
        value.is_pointer()
            && self.heap.class_of_object(value) == self.known.byte_array
            && self.heap.bytes(value) == hash
    }

    /// Where a continuation says that its code stands.
    fn place_of_code(&self, chosen: usize) -> Option<Place> {
        let small = |slot| self.part_of(chosen, slot).as_integer();
        let program = self.part_of(chosen, part::PROGRAM);
        if !program.is_pointer() || self.heap.class_of_object(program) != self.known.byte_array {
            return None;
        }
        let Kind::Symbol(name) = self.part_of(chosen, part::PROTOTYPE).kind() else { return None };
        let origin =
            Origin { image: small(part::IMAGE)?.try_into().ok()?, method: small(part::METHOD)?.try_into().ok()? };
        Some(Place {
            program: self.heap.bytes(program).try_into().ok()?,
            origin,
            scope: small(part::SCOPE)?.try_into().ok()?,
            prototype: Symbol(name),
            side: self.part_of(chosen, part::SIDE) == Value::TRUE,
            // The first code is the method's own.
            code: small(part::CODE)?.try_into().ok().filter(|&code| code > 0)?,
        })
    }

    /// The class that the code was linked for, as the present program has it.
    fn class_named(&self, place: &Place) -> Option<ClassId> {
        let newest = self.globals.len().checked_sub(1)?;
        let class = self.find_global(place.scope.min(newest), place.prototype)?;
        Some(if place.side { self.class(class).counterpart } else { class })
    }

    /// The method of this origin that was linked for `class`; each is sought once.
    fn linked_method(&mut self, origin: Origin, class: ClassId) -> Option<NonNull<LinkedMethod>> {
        if let Some(&known) = self.continued.get(&(origin, class)) {
            return Some(known);
        }
        let found = self.methods.iter().find(|method| method.origin == origin && method.class == class)?;
        let found = NonNull::from(found);
        self.link_found(found);
        self.continued.insert((origin, class), found);
        Some(found)
    }

    /// The fault of a block that the present definitions have no place for.
    fn block_gone(&self, chosen: usize, why: &str) -> Fault {
        let name = self.as_text(self.part_of(chosen, part::PROTOTYPE)).unwrap_or_default();
        let text = format!("a block of {name} waited for the answer of a far send and cannot run any more: {why}");
        self.plain_fault("BlockGone", text)
    }

    /// The exception that a fault from elsewhere becomes: the class of its kind and its text, or of Error and both.
    pub(crate) fn exception_for(&self, kind: &str, text: String) -> (ClassId, String) {
        let named = self.symbols.find(kind).and_then(|kind| self.class_of_prototype(self.prototype_named(kind)?));
        match named.filter(|&class| self.inherits(class, self.known.exception)) {
            Some(class) => (class, text),
            None => (self.exception_classes[ExceptionKind::Error as usize], format!("{kind}: {text}")),
        }
    }
}

/// What the block of this number does with what it takes along. A code makes blocks of higher numbers only.
pub(crate) fn uses(method: &LinkedMethod, code: usize) -> Uses {
    let mut later: Vec<Uses> = Vec::new();
    for at in (code..method.codes.len()).rev() {
        let own = &method.codes[at];
        let (mut is_cell, mut is_assigned) = ([false; 256], [false; 256]);
        let mut uses = Uses::default();
        for (_, op) in codec::instructions(&plain_words(&own.words)).flatten() {
            if let Op::LoadCell { cell, .. } | Op::StoreCell { cell, .. } = op {
                is_cell[usize::from(cell.0)] = true;
            }
            if let Op::StoreCell { cell, .. } = op {
                is_assigned[usize::from(cell.0)] = true;
            }
            if let Op::MakeBlock { code: made, .. } = op {
                let made = usize::from(made.0);
                // The last code stands first.
                let Some(inner) = method.codes.len().checked_sub(made + 1).and_then(|nth| later.get(nth)) else {
                    continue;
                };
                uses.answers_home |= inner.answers_home;
                uses.slots.extend(&inner.slots);
                uses.uses_self |= inner.uses_self;
                uses.sends_super |= inner.sends_super;
                uses.changes |= inner.changes;
                uses.touches_program |= inner.touches_program;
                for (nth, &register) in method.codes[made].captures.iter().enumerate() {
                    is_cell[usize::from(register)] |= inner.cells[nth];
                    is_assigned[usize::from(register)] |= inner.assigned[nth];
                }
            }
            if let Op::LoadSlot { slot, .. } = op {
                uses.slots.insert(slot.0);
            }
            uses.answers_home |= matches!(op, Op::AnswerHome { .. });
            uses.uses_self |= verify::uses_self(&op);
            uses.sends_super |= matches!(op, Op::SendSuper { .. });
            uses.changes |= matches!(
                op,
                Op::StoreSlot { .. } | Op::StoreShared { .. } | Op::StoreVariable { .. } | Op::SendFar { .. }
            );
            uses.touches_program |= matches!(
                op,
                Op::LoadVariable { .. } | Op::StoreVariable { .. } | Op::LoadShared { .. } | Op::StoreShared { .. }
            );
        }
        let first = 1 + usize::from(own.argument_count);
        let of_captures = |found: &[bool; 256]| {
            (0..own.captures.len()).map(|nth| found.get(first + nth).copied().unwrap_or(false)).collect()
        };
        uses.cells = of_captures(&is_cell);
        uses.assigned = of_captures(&is_assigned);
        later.push(uses);
    }
    later.pop().unwrap_or_default()
}
