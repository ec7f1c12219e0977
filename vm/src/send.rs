//! Message sends in full: lookup, the inline caches in front of it, and what a target asks for.
//!
//! A send site remembers the class it saw last and where lookup led (Deutsch & Schiffman 1984); behind
//! the sites stands one table for all of them. The handlers of the interpreter do what a hit needs;
//! all else comes here.
//!
//! A way that ends early answers a [`Stop`]. Stops are obeyed in a loop ([`Vm::settle`]) and not where they
//! arise, so a program that makes the VM send on the VM's behalf (`perform:` of `perform:`) uses fuel
//! and not the stack of the process.
//!
//! Invariant: a hit answers exactly what `lookup` would answer now.

use std::ptr::NonNull;

use crate::class::*;
use crate::fault::ExceptionKind;
use crate::frame::{DEPTH_MAX, Frame};
use crate::heap;
use crate::interpret::{BLOCK_HEADER, Exit, Flow, block_code, fill_block, home_of, open_block, window_above};
use crate::primitive::{Stop, Window};
use crate::primitives::list;
use crate::symbol::Symbol;
use crate::value::Value;
use crate::vm::Vm;

/// What a way through the VM answers: go on or leave, or first do what the stop says.
pub(crate) type Step = Result<Flow, Stop>;

/// The cache of one site, beside its code.
pub(crate) type CacheCell = std::cell::Cell<Cache>;

/// All linked methods. Frames, caches and blocks point to them, so they never move and live as long
/// as the VM.
#[derive(Default)]
pub(crate) struct Methods(Vec<NonNull<LinkedMethod>>);

impl Methods {
    pub(crate) fn add(&mut self, method: LinkedMethod) -> NonNull<LinkedMethod> {
        let method = NonNull::from(Box::leak(Box::new(method)));
        self.0.push(method);
        method
    }

    /// Gives the method its codes, which point back to it. Once, before it runs.
    pub(crate) fn set_codes(&mut self, mut method: NonNull<LinkedMethod>, codes: Vec<LinkedCode>) {
        // SAFETY: made by `add`; who looks at a method borrows the VM, whose part `self` is, and frames, caches and blocks
        // point to methods that have their codes.
        let method = unsafe { method.as_mut() };
        assert!(method.codes.is_empty(), "codes never change once they are linked");
        method.codes = codes;
    }

    /// Says what sends of the method lead to. Once, before it runs.
    pub(crate) fn set_quick(&mut self, mut method: NonNull<LinkedMethod>, quick: (Hit, usize)) {
        // SAFETY: as in `set_codes`.
        unsafe { method.as_mut() }.quick = quick;
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LinkedMethod> {
        // SAFETY: made by `add`, and freed only when `self` is dropped.
        self.0.iter().map(|method| unsafe { method.as_ref() })
    }
}

impl Drop for Methods {
    fn drop(&mut self) {
        for method in self.0.drain(..) {
            // SAFETY: leaked by `add`, and given back once.
            drop(unsafe { Box::from_raw(method.as_ptr()) });
        }
    }
}

/// A send to be done again once the world has answered.
#[derive(Clone, Copy)]
pub(crate) struct Resend {
    pub window: *mut Value,
    pub answer: *mut Value,
    pub selector: Symbol,
    pub argument_count: usize,
}

impl Vm {
    /// The method a code belongs to.
    pub(crate) fn method_of<'a>(&'a self, code: &'a LinkedCode) -> &'a LinkedMethod {
        // SAFETY: methods live as long as the VM.
        unsafe { code.method.as_ref() }
    }

    /// The method behind a link; it lives as long as the VM.
    pub fn linked(&self, method: NonNull<LinkedMethod>) -> &LinkedMethod {
        // SAFETY: methods live as long as the VM.
        unsafe { method.as_ref() }
    }

    /// Does a step, and whatever the stops say in which it ends.
    pub(crate) fn settle(&mut self, mut step: Step, answer: *mut Value, window: *mut Value) -> Flow {
        loop {
            match step {
                Ok(flow) => return flow,
                Err(stop) => step = self.obey(stop, answer, window),
            }
        }
    }

    /// Does what a primitive wants instead of answering. `answer` is where its answer goes, and from
    /// `window` on the stack is free but for what the stop says lies there.
    fn obey(&mut self, stop: Stop, answer: *mut Value, window: *mut Value) -> Step {
        match stop {
            Stop::Fault => Ok(Flow::Exit(Exit::Fault)),
            Stop::Send { selector, argument_count } => {
                self.charge(1)?;
                self.dispatch(window, answer, selector, usize::from(argument_count), true, None)
            }
            Stop::Perform { selector, argument_count } => {
                self.charge(1)?;
                // What comes from outside the run comes from nobody: its window is the lowest frame's own.
                let from_outside = self.run.frame == self.run.stack.frames.start();
                // SAFETY: the window holds the receiver; the published frame is the sender's.
                let to_self = !from_outside && unsafe { *window == *(*self.run.frame).base };
                self.dispatch(window, answer, selector, usize::from(argument_count), to_self, None)
            }
            Stop::Intrinsic => {
                let method = self.run.intrinsic.take().expect("noted by whoever stopped");
                let code = &raw const self.linked(method).codes[0];
                self.activate(window, answer, code)
            }
            Stop::BlockValue { argument_count } => self.value_block(window, answer, usize::from(argument_count)),
            Stop::Unwind => {
                let unwind = self.run.unwind.take().expect("noted by whoever stopped");
                self.unwind(unwind)
            }
            Stop::Ask => {
                self.run.answer_at = answer;
                self.run.resend = None;
                Ok(Flow::Exit(Exit::Ask))
            }
            Stop::AskAgain => Ok(Flow::Exit(Exit::Ask)),
            Stop::Raise => {
                self.charge(1)?;
                let (class, text) = self.run.raise.take().expect("noted by `raise`");
                self.run.scratch_top = window;
                let exception = self.new_exception(class, &text)?;
                // SAFETY: from the window on there is room.
                unsafe {
                    *window = exception;
                    self.run.scratch_top = window.add(1);
                }
                self.dispatch(window, answer, self.selectors.signal, 0, true, None)
            }
        }
    }

    pub(crate) fn new_exception(&mut self, class: ClassId, text: &str) -> Result<Value, Stop> {
        let text = self.new_string(text)?;
        self.run.handles.push(text);
        let exception = self.allocate(class);
        let text = self.run.handles.pop().expect("pushed above");
        let exception = exception?;
        self.heap.init_slot(exception, 0, text);
        Ok(exception)
    }

    /// Spends fuel.
    ///
    /// # Errors
    /// The fault `OutOfFuel`.
    pub fn charge(&mut self, units: u32) -> Result<(), Stop> {
        self.run.fuel = self.run.fuel.saturating_sub(i64::from(units));
        if self.run.fuel < 0 { Err(self.no_fuel()) } else { Ok(()) }
    }

    pub(crate) fn unknown_global(&mut self, dst: *mut Value, literal: usize) -> Flow {
        // SAFETY: the current frame's code has the literal; above its window there is room.
        let window = unsafe {
            let fp = self.run.frame;
            let window = window_above(fp);
            *window = *(*fp).base;
            *window.add(1) = (&(*(*fp).code).literals)[literal];
            window
        };
        let step = self.dispatch(window, dst, self.selectors.unknown_global, 1, true, None);
        self.settle(step, dst, window)
    }

    pub(crate) fn make_block(&mut self, dst: *mut Value, index: usize) -> Flow {
        let vm: *mut Vm = self;
        // SAFETY: the current frame's method has the code; captures are registers of its window.
        unsafe {
            let fp = self.run.frame;
            let code = &raw const (&(*(*(*fp).code).method.as_ptr()).codes)[index];
            let captures: *const [u8] = &raw const *(*code).captures;
            let (home_serial, home_index) = home_of(vm, fp);
            let length = BLOCK_HEADER + captures.len();
            if let Err(stop) = self.make_room(2 + length) {
                return self.settle(Err(stop), dst, window_above(fp));
            }
            match self.heap.allocate_block(self.known.block, length) {
                Ok(block) => {
                    fill_block(vm, block, code, (*fp).base, home_serial, home_index);
                    *dst = block;
                    Flow::Go
                }
                Err(crate::heap::Full) => {
                    let stop = self.no_room();
                    self.settle(Err(stop), dst, window_above(fp))
                }
            }
        }
    }

    /// The send at a site of the current code, with its cache.
    pub(crate) fn send_at_site(&mut self, window: *mut Value, answer: *mut Value, site: usize) -> Flow {
        // SAFETY: the current frame's code has the site.
        let (site, cache) = unsafe {
            let code = &*(*self.run.frame).code;
            (code.sites[site], &raw const code.caches[site])
        };
        let argument_count = usize::from(site.argument_count);
        let step = self.dispatch(window, answer, site.selector, argument_count, site.to_self, Some(cache));
        self.settle(step, answer, window)
    }

    /// A send in full: lookup, then whatever the target asks for.
    pub(crate) fn dispatch(
        &mut self,
        window: *mut Value,
        answer: *mut Value,
        selector: Symbol,
        argument_count: usize,
        to_self: bool,
        cache: Option<*const CacheCell>,
    ) -> Step {
        // SAFETY: the window holds receiver and arguments; above it there is room.
        let receiver = unsafe {
            self.run.scratch_top = window.add(argument_count + 1);
            self.run.stack.reserve(window.add(argument_count + 8));
            *window
        };
        let class = self.class_of(receiver);
        if class == self.known.reference && !self.class(class).methods.contains_key(&selector) {
            if let Some(cache) = cache {
                self.note(cache, class, (Hit::Near, 0));
            }
            return self.send_to_reference(window, answer, selector, argument_count);
        }
        let Some(target) = self.lookup(class, selector) else {
            return self.not_understood(window, answer, selector, argument_count);
        };
        if let Target::Method(method) = target
            && self.linked(method).flags.private
            && !to_self
        {
            return Err(self.refuse_private(method));
        }
        if let Some(cache) = cache {
            self.learn(cache, class, target);
        }
        match target {
            Target::Getter(slot) => {
                let value = self.heap.slot(receiver, slot as usize);
                // SAFETY: answers go to registers of live windows.
                unsafe { *answer = value };
                Ok(Flow::Go)
            }
            Target::Constant(number) => {
                let value = self.constants[number as usize];
                // SAFETY: as above.
                unsafe { *answer = value };
                Ok(Flow::Go)
            }
            Target::Method(method) => self.invoke(window, answer, method, argument_count),
        }
    }

    #[cold]
    fn refuse_private(&mut self, method: NonNull<LinkedMethod>) -> Stop {
        let method = self.linked(method);
        let text = format!(
            "`{}` is private: only {} itself may send it",
            self.symbols.name(method.selector),
            self.symbols.name(self.class(method.class).name)
        );
        self.raise(ExceptionKind::PrivateMethod, text)
    }

    /// Raises `NonBoolean`. What it is resumed with goes nowhere: the code goes on behind the jump.
    #[cold]
    pub(crate) fn refuse_condition(&mut self, condition: Value) -> Flow {
        let text = format!("a condition is true or false, but this one is of {}", self.class_name(condition));
        let stop = self.raise(ExceptionKind::NonBoolean, text);
        // SAFETY: above the window of the current frame there is room.
        let window = unsafe { window_above(self.run.frame) };
        self.settle(Err(stop), window, window)
    }

    /// Runs `method` on what lies in the window.
    pub(crate) fn invoke(
        &mut self,
        window: *mut Value,
        answer: *mut Value,
        method: NonNull<LinkedMethod>,
        argument_count: usize,
    ) -> Step {
        let linked = self.linked(method);
        if let Some(primitive) = linked.primitive {
            // SAFETY: the window lies on the stack.
            let base = unsafe { window.offset_from(self.run.stack.values.start()) as usize };
            let value = primitive(self, Window { base, argument_count })?;
            // SAFETY: answers go to registers of live windows.
            unsafe { *answer = value };
            return Ok(Flow::Go);
        }
        if let Some(value) = self.quick_answer(method, window)? {
            // SAFETY: answers go to registers of live windows.
            unsafe { *answer = value };
            return Ok(Flow::Go);
        }
        let linked = self.linked(method);
        let code = &raw const linked.codes[0];
        if self.class(linked.class).kind == ClassKind::Twin {
            // SAFETY: the window holds the receiver.
            let receiver = unsafe { *window };
            return self.invoke_twin(window, answer, method, code, receiver, argument_count);
        }
        self.activate(window, answer, code)
    }

    /// A method of a twin: near, so in this turn, but what is mutable is copied on the way to
    /// another twin, and a query is watched.
    fn invoke_twin(
        &mut self,
        window: *mut Value,
        answer: *mut Value,
        method: NonNull<LinkedMethod>,
        code: *const LinkedCode,
        receiver: Value,
        argument_count: usize,
    ) -> Step {
        let method = self.linked(method);
        let of_kernel = method.origin.image == 0;
        if self.run.turn.query && !method.flags.query && !of_kernel {
            let text = format!(
                "a query sends nothing but queries, but `{}` is none: declare it `query`, or leave it out",
                self.symbols.name(method.selector)
            );
            return Err(self.raise(ExceptionKind::QueryWrites, text));
        }
        let starts_query = method.flags.query && !self.run.turn.query;
        let crosses = receiver != self.run.turn.current && !of_kernel;
        if crosses && self.run.turn.meets_quarantine && !method.flags.query {
            let selector = method.selector;
            self.check_quarantine(receiver, selector)?;
        }
        if !starts_query && !crosses {
            return self.activate(window, answer, code);
        }
        // SAFETY: beyond the high-water mark there is room for a window, so shifting by three fits.
        unsafe {
            if crosses {
                for index in 1..=argument_count {
                    *window.add(index) = self.copy_mutable(*window.add(index))?;
                }
            }
            if self.run.frame.add(1) >= self.run.stack.frame_limit {
                return Err(self.too_deep());
            }
            for index in (0..=argument_count).rev() {
                *window.add(3 + index) = *window.add(index);
            }
            let receiver = *window.add(3);
            *window = receiver;
            *window.add(1) = self.run.turn.current;
            *window.add(2) = Value::boolean(starts_query);
            let crossing = &raw const self.intrinsics.crossing.as_ref().codes[0];
            (*self.run.frame).pc = self.run.pc;
            let frame = self.run.frame.add(1);
            *frame = Frame {
                pc: (*crossing).words.as_ptr(),
                base: window,
                code: crossing,
                answer,
                serial: 0,
                home_serial: 0,
                home_index: 0,
            };
            self.run.frame = frame;
            self.run.base = window;
            self.run.pc = (*crossing).words.as_ptr();
            self.run.turn.current = receiver;
            if starts_query {
                self.enter_query();
            }
            self.run.scratch_top = window.add(4 + argument_count);
            self.activate(window.add(3), window.add(3), code)
        }
    }

    /// Inside a query, what this turn has already written is guarded again.
    pub(crate) fn enter_query(&mut self) {
        self.run.turn.query = true;
        self.heap.guard_written();
    }

    pub(crate) fn leave_query(&mut self) {
        // What is guarded still is written to in the slow way once more, and not copied aside again.
        self.run.turn.query = false;
    }

    /// Opens a window for `code` and publishes its start.
    pub(crate) fn activate(&mut self, window: *mut Value, answer: *mut Value, code: *const LinkedCode) -> Step {
        // SAFETY: `code` is linked, and `check_limits` makes sure of the room.
        unsafe {
            self.check_limits(window, code)?;
            (*self.run.frame).pc = self.run.pc;
            let frame = self.run.frame.add(1);
            *frame =
                Frame { pc: std::ptr::null(), base: window, code, answer, serial: 0, home_serial: 0, home_index: 0 };
            self.run.frame = frame;
            self.run.base = window;
            self.run.pc = (*code).words.as_ptr();
        }
        Ok(Flow::Go)
    }

    /// Charges an activation, and makes sure that its window and frame fit.
    ///
    /// # Safety
    /// `code` is linked and `window` lies on the stack.
    unsafe fn check_limits(&mut self, window: *mut Value, code: *const LinkedCode) -> Result<(), Stop> {
        self.charge(1)?;
        // SAFETY: by contract.
        unsafe {
            if self.run.frame >= self.run.stack.frame_limit {
                return Err(self.too_deep());
            }
            let end = window.add((*code).register_count as usize);
            if end > self.run.stack.high_water && !self.run.stack.raise_high_water(end) {
                return Err(self.too_deep());
            }
        }
        Ok(())
    }

    pub(crate) fn no_fuel(&mut self) -> Stop {
        self.run.fuel = 0;
        self.fault(
            "OutOfFuel",
            "the turn used up its fuel: it sends or loops without end, or its limit is too low".to_owned(),
        )
    }

    pub(crate) fn too_deep(&mut self) -> Stop {
        self.fault(
            "StackDepth",
            format!("sends are nested too deep: at most {DEPTH_MAX}, fewer where methods are large"),
        )
    }

    /// Values the block in the window.
    pub(crate) fn value_block(&mut self, window: *mut Value, answer: *mut Value, argument_count: usize) -> Step {
        // SAFETY: the window holds the block and its arguments.
        unsafe {
            let block = *window;
            if self.class_of(block) != self.known.block {
                let selector = if argument_count == 0 { self.selectors.value } else { self.selectors.value_1 };
                return self.not_understood(window, answer, selector, argument_count.min(1));
            }
            let code = block_code(self.heap.block_elements(block));
            let wanted = usize::from((*code).argument_count);
            if wanted != argument_count {
                let plural = if wanted == 1 { "" } else { "s" };
                return Err(self.raise(
                    ExceptionKind::ArgumentError,
                    format!("this block takes {wanted} argument{plural}, but was given {argument_count}"),
                ));
            }
            self.check_limits(window, code)?;
            (*self.run.frame).pc = self.run.pc;
            let frame = self.run.frame.add(1);
            (*frame).pc = std::ptr::null();
            open_block(frame, window, self.heap.block_elements(block), code, argument_count);
            (*frame).answer = answer;
            self.run.frame = frame;
            self.run.base = window;
            self.run.pc = (*code).words.as_ptr();
        }
        Ok(Flow::Go)
    }

    /// The method that a block stands in, and the number of its code there.
    pub(crate) fn code_of_block(&self, block: Value) -> (NonNull<LinkedMethod>, usize) {
        assert!(block.is_pointer() && self.class_of(block) == self.known.block, "asked of blocks only");
        // SAFETY: the code of a block lives as long as the VM.
        let code = unsafe { &*block_code(self.heap.block_elements(block)) };
        (code.method, code.index as usize)
    }

    /// What a block took along: `self`, then the values or cells of its variables.
    pub(crate) fn parts_of_block(&self, block: Value) -> Vec<Value> {
        let (method, code) = self.code_of_block(block);
        let count = self.linked(method).codes[code].captures.len();
        let elements = self.heap.block_elements(block);
        // SAFETY: a block has its header, in which `self` is the second, and then as many elements as captures.
        unsafe {
            let captured = (0..count).map(|nth| *elements.add(BLOCK_HEADER + nth));
            std::iter::once(*elements.add(1)).chain(captured).collect()
        }
    }

    /// A block that has no home, so that `^` in it leads nowhere. `self` and what it takes along are the handles from
    /// `first` on. Of verified code that is safe where `self` is of the class that the method was linked for, and cells
    /// are what the code may use as cells.
    pub(crate) fn new_block(
        &mut self,
        method: NonNull<LinkedMethod>,
        code: usize,
        first: usize,
    ) -> Result<Value, Stop> {
        let linked = &self.linked(method).codes[code];
        let (count, linked) = (linked.captures.len(), &raw const *linked);
        assert!(self.run.handles.len() >= first + 1 + count, "the caller holds all that the block takes along");
        self.make_room(2 + BLOCK_HEADER + count)?;
        let Ok(block) = self.heap.allocate_block(self.known.block, BLOCK_HEADER + count) else {
            return Err(self.no_room());
        };
        self.run.next_serial += 1;
        self.heap.fill_element(block, 0, Value::from_bits(linked as u64));
        self.heap.fill_element(block, 1, self.run.handles[first]);
        self.heap.fill_element(block, 2, Value::from_bits(self.run.next_serial << 1));
        self.heap.fill_element(block, 3, Value::from_bits(0));
        for nth in 0..count {
            self.heap.fill_element(block, BLOCK_HEADER + nth, self.run.handles[first + 1 + nth]);
        }
        Ok(block)
    }

    /// How many arguments the block takes; `None` if the value is no block.
    pub fn block_arguments(&self, block: Value) -> Option<usize> {
        if self.class_of(block) != self.known.block {
            return None;
        }
        // SAFETY: the code of a block lives as long as the VM.
        Some(usize::from(unsafe { (*block_code(self.heap.block_elements(block))).argument_count }))
    }

    /// Notes in the cache of a site where a send led.
    fn learn(&mut self, cache: *const CacheCell, class: ClassId, target: Target) {
        let hit = self.hit_of(class, target);
        self.note(cache, class, hit);
    }

    fn note(&mut self, cache: *const CacheCell, class: ClassId, (hit, target): (Hit, usize)) {
        // SAFETY: the cache lies beside a code, which lives as long as the VM.
        unsafe {
            let misses = (*cache).get().misses.saturating_add(1);
            (*cache).set(Cache { class: class.0, hit, target, misses });
        }
    }

    /// What a send that is found to lead to `target` for a receiver of `class` leads to.
    pub(crate) fn hit_of(&self, class: ClassId, target: Target) -> (Hit, usize) {
        let method = match target {
            Target::Getter(slot) => return (Hit::Getter, slot as usize),
            Target::Constant(number) => return (Hit::Constant, number as usize),
            Target::Method(method) => method,
        };
        let linked = self.linked(method);
        let of_method = method.as_ptr() as usize;
        let (quick, target) = linked.quick;
        let receiver = self.class(class);
        match quick {
            Hit::Itself | Hit::Slot | Hit::Literal | Hit::Store | Hit::StoreAnswer | Hit::Identical => {
                return (quick, target);
            }
            Hit::BlockValue if class == self.known.block => return (quick, 0),
            Hit::New if receiver.kind == ClassKind::Prototype => {
                let made = self.class(receiver.counterpart);
                if made.kind == ClassKind::Object && made.layout == Layout::Slots {
                    return (quick, receiver.counterpart.0 as usize);
                }
            }
            Hit::ArrayAt | Hit::ArrayAtPut | Hit::ArraySize if receiver.layout == Layout::Elements => {
                return (quick, of_method);
            }
            Hit::ListAt | Hit::ListAtPut | Hit::ListAdd
                if receiver.layout == Layout::Slots && receiver.slots.len() > list::SIZE =>
            {
                return (quick, of_method);
            }
            Hit::StringAt if class == self.known.string => return (quick, of_method),
            Hit::Empty
            | Hit::Code
            | Hit::Primitive
            | Hit::Getter
            | Hit::Constant
            | Hit::BlockValue
            | Hit::TwinCode
            | Hit::New
            | Hit::ArrayAt
            | Hit::ArrayAtPut
            | Hit::ArraySize
            | Hit::ListAt
            | Hit::ListAtPut
            | Hit::ListAdd
            | Hit::StringAt
            | Hit::Near => {}
        }
        if linked.primitive.is_some() {
            return (Hit::Primitive, of_method);
        }
        let code = &raw const linked.codes[0] as usize;
        let is_twin = self.class(linked.class).kind == ClassKind::Twin;
        (if is_twin { Hit::TwinCode } else { Hit::Code }, code)
    }

    /// The answer of a quick method, or `None` where the method must be activated.
    fn quick_answer(&mut self, method: NonNull<LinkedMethod>, window: *mut Value) -> Result<Option<Value>, Stop> {
        let (quick, target) = self.linked(method).quick;
        // SAFETY: the window holds the receiver and the arguments, of which a `Store` has one.
        let (receiver, argument) = unsafe { (*window, *window.add(1)) };
        let answer = match quick {
            Hit::Itself => receiver,
            Hit::Slot => self.heap.slot(receiver, target),
            Hit::Literal => Value::from_bits(target as u64),
            Hit::Identical => {
                let is = receiver == argument
                    || (receiver.is_pointer() && argument.is_pointer() && self.same_twin(receiver, argument));
                Value::boolean(is)
            }
            Hit::Store | Hit::StoreAnswer => {
                if self.heap.has_flags(receiver, heap::GUARDED) {
                    return Ok(None);
                }
                self.charge(1)?;
                self.heap.init_slot(receiver, target, argument);
                return Ok(Some(if quick == Hit::Store { receiver } else { argument }));
            }
            Hit::Empty
            | Hit::Code
            | Hit::Primitive
            | Hit::Getter
            | Hit::Constant
            | Hit::BlockValue
            | Hit::TwinCode
            | Hit::New
            | Hit::ArrayAt
            | Hit::ArrayAtPut
            | Hit::ArraySize
            | Hit::ListAt
            | Hit::ListAtPut
            | Hit::ListAdd
            | Hit::StringAt
            | Hit::Near => return Ok(None),
        };
        self.charge(1)?;
        Ok(Some(answer))
    }

    pub(crate) fn send_super(&mut self, window: *mut Value, site: usize) -> Flow {
        // SAFETY: the current frame's code has the site.
        let (site, cache, method) = unsafe {
            let code = &*(*self.run.frame).code;
            (code.sites[site], &raw const code.caches[site], code.method.as_ref())
        };
        let argument_count = usize::from(site.argument_count);
        // SAFETY: the window holds receiver and arguments.
        unsafe {
            self.run.scratch_top = window.add(argument_count + 1);
            self.run.stack.reserve(window.add(argument_count + 8));
        }
        let above = self.class(method.class).parent;
        let target = above.and_then(|above| self.lookup(above, site.selector));
        if let (Some(above), Some(target)) = (above, target) {
            self.learn(cache, above, target);
        }
        let step = match target {
            Some(Target::Method(method)) => self.invoke(window, window, method, argument_count),
            Some(Target::Getter(slot)) => {
                // SAFETY: the window holds the receiver, whose class descends from the slot's.
                unsafe { *window = self.heap.slot(*window, slot as usize) };
                Ok(Flow::Go)
            }
            Some(Target::Constant(number)) => {
                // SAFETY: as above.
                unsafe { *window = self.constants[number as usize] };
                Ok(Flow::Go)
            }
            None => self.not_understood(window, window, site.selector, argument_count),
        };
        self.settle(step, window, window)
    }

    pub(crate) fn send_far(&mut self, window: *mut Value, site: usize) -> Flow {
        // SAFETY: the current frame's code has the site; the window holds receiver and arguments.
        let site = unsafe { (&(*(*self.run.frame).code).sites)[site] };
        let argument_count = usize::from(site.argument_count);
        // SAFETY: as above.
        let base = unsafe {
            self.run.scratch_top = window.add(argument_count + 1);
            self.run.stack.reserve(window.add(argument_count + 8));
            window.offset_from(self.run.stack.values.start()) as usize
        };
        let step = self.queue_far_send(Window { base, argument_count }, site.selector).map(|promise| {
            // SAFETY: as above.
            unsafe { *window = promise };
            Flow::Go
        });
        self.settle(step, window, window)
    }

    /// The send at a site of the current code to a reference, which does not answer it itself.
    pub(crate) fn send_near(&mut self, window: *mut Value, site: usize) -> Flow {
        // SAFETY: the current frame's code has the site; above the window there is room.
        let (selector, argument_count) = unsafe {
            let site = (&(*(*self.run.frame).code).sites)[site];
            let argument_count = usize::from(site.argument_count);
            self.run.scratch_top = window.add(argument_count + 1);
            self.run.stack.reserve(window.add(argument_count + 8));
            (site.selector, argument_count)
        };
        let step = self.send_to_reference(window, window, selector, argument_count);
        self.settle(step, window, window)
    }

    /// A message to a reference: to the twin in hand if it is near, else to the world.
    pub(crate) fn send_to_reference(
        &mut self,
        window: *mut Value,
        answer: *mut Value,
        selector: Symbol,
        argument_count: usize,
    ) -> Step {
        // SAFETY: the window holds the receiver.
        let twin = match self.near_twin(unsafe { *window }) {
            Some(twin) => twin,
            None => {
                // SAFETY: the window lies on the stack.
                let base = unsafe { window.offset_from(self.run.stack.values.start()) as usize };
                self.run.answer_at = answer;
                self.run.resend = Some(Resend { window, answer, selector, argument_count });
                self.resolve_reference(Window { base, argument_count }, selector)?
            }
        };
        // SAFETY: the window holds the receiver.
        unsafe { *window = twin };
        let class = self.class_of(twin);
        match self.lookup(class, selector) {
            None => self.not_understood(window, answer, selector, argument_count),
            Some(Target::Getter(slot)) => {
                let value = self.copy_mutable(self.heap.slot(twin, slot as usize))?;
                // SAFETY: answers go to registers of live windows.
                unsafe { *answer = value };
                Ok(Flow::Go)
            }
            Some(Target::Constant(number)) => {
                // SAFETY: as above.
                unsafe { *answer = self.constants[number as usize] };
                Ok(Flow::Go)
            }
            Some(Target::Method(method)) => {
                if self.linked(method).flags.private {
                    return Err(self.refuse_private(method));
                }
                self.invoke(window, answer, method, argument_count)
            }
        }
    }

    /// Sends `doesNotUnderstand:` with the message.
    pub(crate) fn not_understood(
        &mut self,
        window: *mut Value,
        answer: *mut Value,
        selector: Symbol,
        argument_count: usize,
    ) -> Step {
        let arguments = self.allocate_indexed(self.known.array, argument_count)?;
        // SAFETY: the window holds receiver and arguments, which are roots up to `scratch_top`.
        unsafe {
            for index in 0..argument_count {
                self.heap.init_element(arguments, index, *window.add(1 + index));
            }
            *window.add(1) = arguments;
            self.run.scratch_top = window.add(2);
            let message = self.allocate(self.known.message)?;
            self.heap.init_slot(message, 0, Value::symbol(selector.0));
            self.heap.init_slot(message, 1, *window.add(1));
            *window.add(1) = message;
        }
        // SAFETY: as above.
        let class = self.class_of(unsafe { *window });
        match self.lookup(class, self.selectors.does_not_understand) {
            Some(Target::Method(method)) => self.invoke(window, answer, method, 1),
            Some(Target::Getter(_) | Target::Constant(_)) | None => {
                let text = format!("the kernel has no doesNotUnderstand: for `{}`", self.symbols.name(selector));
                Err(self.fault("MessageNotUnderstood", text))
            }
        }
    }
}
