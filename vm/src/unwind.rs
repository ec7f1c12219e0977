//! Leaving frames early: `^` from blocks, handlers of exceptions, and the blocks that run on the way.
//!
//! Nothing is kept beside the frames: `on:do:`, `ensure:` and `ifCurtailed:` are methods of the VM's own whose
//! frames are marked ([`Mark`]), and both the search for a handler and unwinding walk the frames.
//! An exception is handled *on top of* the frame that signals it, so that it can be resumed; only
//! when the handler is done are the frames below it removed.
//!
//! A handler is not for what is raised while it runs: the search goes on below its `on:do:`. An
//! `ensure:` block runs on top of its own frame, with all above it gone; what it raises is for the
//! handlers around it, but not for the `on:do:` that the unwinding leads to, whose handler has run.

use crate::class::*;
use crate::fault::ExceptionKind;
use crate::frame::Frame;
use crate::interpret::{Flow, window_above};
use crate::primitive::{Stop, Window};
use crate::send::Step;
use crate::value::Value;
use crate::vm::{Then, Unwind, Vm, stub};

impl Vm {
    /// The frame at `index`, counted from the first.
    pub(crate) fn frame_at(&self, index: usize) -> *mut Frame {
        self.run.stack.frames.start().wrapping_add(index)
    }

    fn frame_mark(&self, frame: *mut Frame) -> Mark {
        // SAFETY: asked only of frames up to the published one.
        unsafe { (*(*frame).code).method.as_ref().mark }
    }

    pub(crate) fn answer_home(&mut self, value: Value) -> Flow {
        // SAFETY: the published frame is a block's.
        let (serial, index) = unsafe { ((*self.run.frame).home_serial, (*self.run.frame).home_index) };
        let home = self.frame_at(index as usize);
        // SAFETY: above the current window there is room.
        let window = unsafe { window_above(self.run.frame) };
        // SAFETY: frames up to the current one are filled; a serial is never used twice.
        let step = if home >= self.run.frame || unsafe { (*home).serial } != serial {
            // Nothing follows this instruction: whoever resumes the exception comes back to it.
            self.run.pc = self.run.pc.wrapping_sub(1);
            Err(self.raise(
                ExceptionKind::BlockContextGone,
                "^ in a block whose method has already answered; the block may still be valued for its own value",
            ))
        } else {
            self.unwind(Unwind { to: home, then: Then::Answer, value })
        };
        self.settle(step, window, window)
    }

    /// Removes all frames above `to`, running `ensure:` and `ifCurtailed:` blocks of theirs; then `to`
    /// answers the value or starts again.
    pub(crate) fn unwind(&mut self, unwind: Unwind) -> Step {
        let mut frame = self.run.frame;
        // SAFETY: frames from the first to the published one are filled, and intrinsic frames have
        // the registers that their marks say.
        unsafe {
            while frame > unwind.to {
                debug_assert!(self.frame_mark(frame) != Mark::Base, "a stretch of its own is never left");
                match self.frame_mark(frame) {
                    Mark::Crossing => self.cross_back(frame),
                    Mark::Ensure | Mark::Curtail if *(*frame).base.add(2) != Value::TRUE => {
                        return self.run_on_the_way(frame, unwind);
                    }
                    Mark::Ensure
                    | Mark::Curtail
                    | Mark::None
                    | Mark::Own
                    | Mark::Handler
                    | Mark::HandlerRun
                    | Mark::Unwinding
                    | Mark::Base => {}
                }
                frame = frame.sub(1);
            }
            if unwind.then == Then::Restart {
                self.charge(1)?;
                self.run.frame = frame;
                self.run.base = (*frame).base;
                self.run.pc = (*(*frame).code).words.as_ptr();
                return Ok(Flow::Go);
            }
            let (window, answer) = ((*frame).base, (*frame).answer);
            let frame = frame.sub(1);
            self.run.frame = frame;
            self.run.base = (*frame).base;
            self.run.pc = (*frame).pc;
            if unwind.then == Then::Signal {
                *window = unwind.value;
                self.run.scratch_top = window.add(1);
                self.charge(1)?;
                // Whoever unwinds has another window, so what the send asks for is done here.
                let step = self.dispatch(window, answer, self.selectors.signal, 0, true, None);
                return Ok(self.settle(step, answer, window));
            }
            *answer = unwind.value;
        }
        Ok(Flow::Go)
    }

    /// Runs the block of an `ensure:` or `ifCurtailed:` on top of its frame; the rest of the unwinding
    /// waits in the window of [`Mark::Unwinding`].
    ///
    /// # Safety
    /// `frame` is such a frame, and lies above `unwind.to`.
    unsafe fn run_on_the_way(&mut self, frame: *mut Frame, unwind: Unwind) -> Step {
        // SAFETY: by contract it has these registers; above every window there is room for a few.
        unsafe {
            *(*frame).base.add(2) = Value::TRUE;
            self.run.frame = frame;
            self.run.base = (*frame).base;
            self.run.pc = (*(*frame).code).words.as_ptr();
            let window = window_above(frame);
            let to = unwind.to.offset_from(self.run.stack.frames.start());
            *window = Value::small(to as i64);
            *window.add(1) = Value::small(unwind.then.number());
            *window.add(2) = unwind.value;
            *window.add(3) = *(*frame).base.add(1);
            self.run.scratch_top = window.add(4);
            let code = &raw const self.intrinsics.unwinding.as_ref().codes[0];
            self.activate(window, window, code)
        }
    }

    /// Leaves the twin that a crossing frame entered.
    ///
    /// # Safety
    /// `frame` is a crossing frame.
    unsafe fn cross_back(&mut self, frame: *mut Frame) {
        // SAFETY: by contract it has these registers.
        unsafe {
            self.run.turn.current = *(*frame).base.add(1);
            if *(*frame).base.add(2) == Value::TRUE {
                self.leave_query();
            }
        }
    }

    pub(crate) fn run_stub(&mut self, kind: u8) -> Flow {
        // SAFETY: each stub stands in the one code whose frames have these registers; above every
        // window there is room.
        unsafe {
            let frame = self.run.frame;
            let base = (*frame).base;
            let window = window_above(frame);
            match kind {
                stub::CROSS_BACK => {
                    self.run.scratch_top = window;
                    let value = if *base == *base.add(1) {
                        *base.add(3)
                    } else {
                        match self.copy_mutable(*base.add(3)) {
                            Ok(value) => value,
                            Err(stop) => {
                                // What resumes the exception takes the value's place, and is tried in turn.
                                self.run.pc = self.run.pc.wrapping_sub(1);
                                return self.settle(Err(stop), base.add(3), window);
                            }
                        }
                    };
                    self.cross_back(frame);
                    *(*frame).answer = value;
                    let caller = frame.sub(1);
                    self.run.frame = caller;
                    self.run.base = (*caller).base;
                    self.run.pc = (*caller).pc;
                    Flow::Go
                }
                stub::HANDLED => {
                    let to = self.frame_at((*base.add(2)).integer_unchecked() as usize);
                    let step = self.unwind(Unwind { to, then: Then::Answer, value: *base.add(3) });
                    self.settle(step, window, window)
                }
                stub::UNWIND_ON => {
                    let to = self.frame_at((*base).integer_unchecked() as usize);
                    let then = Then::of_number((*base.add(1)).integer_unchecked());
                    let value = *base.add(2);
                    self.run.frame = frame.sub(1);
                    let step = self.unwind(Unwind { to, then, value });
                    self.settle(step, window, window)
                }
                stub::RESUME => {
                    let step = match self.handling(*base) {
                        Some((run, _)) => self.unwind(Unwind { to: run, then: Then::Answer, value: *base.add(1) }),
                        None => Err(self.not_handled()),
                    };
                    // Nothing follows the stub: whoever resumes the exception comes back to it.
                    if step.is_err() {
                        self.run.pc = self.run.pc.wrapping_sub(1);
                    }
                    self.settle(step, window, window)
                }
                stub::MISSING => {
                    let method = (*(*frame).code).method.as_ref();
                    let text = format!(
                        "`{}` of {} is a primitive that this VM does not have",
                        self.symbols.name(method.selector),
                        self.symbols.name(self.class(method.class).name),
                    );
                    let stop = self.raise(ExceptionKind::PrimitiveMissing, text);
                    self.settle(Err(stop), base, window)
                }
                _ => unreachable!("the codes of the VM's own have no other stubs"),
            }
        }
    }

    // ---- exceptions ----

    /// Finds the handler for the exception in the window and lays out its window there; the search
    /// starts at the current frame, or for `pass` and `outer` below the `on:do:` that now handles it.
    /// `None` where there is none.
    pub(crate) fn handle(&mut self, window: Window, from: *mut Frame) -> Option<Stop> {
        let class = self.class_of(window.receiver(self));
        let first = self.run.stack.frames.start();
        let mut frame = from;
        let mut done = std::ptr::null_mut();
        // SAFETY: frames from the first to the published one are filled; marks say their registers.
        unsafe {
            while frame > first {
                match self.frame_mark(frame) {
                    Mark::HandlerRun => {
                        frame = self.frame_at((*(*frame).base.add(2)).integer_unchecked() as usize);
                    }
                    Mark::Unwinding => {
                        done = self.frame_at((*(*frame).base).integer_unchecked() as usize);
                    }
                    Mark::Handler
                        if frame != done
                            && self.handles(*(*frame).base.add(1), class, &mut SET_MEMBERS_MAX.clone()) =>
                    {
                        return Some(self.open_handler(window, frame));
                    }
                    // What waits below a stretch of its own handles nothing of it.
                    Mark::Base => return None,
                    Mark::Handler | Mark::None | Mark::Own | Mark::Ensure | Mark::Curtail | Mark::Crossing => {}
                }
                frame = frame.sub(1);
            }
        }
        None
    }

    /// Whether `what` is a kind of exceptions, or a set of such kinds. Looks at no more than `left` members of sets.
    fn is_exception_kind(&self, what: Value, left: &mut u32) -> bool {
        if let Some(class) = self.class_of_prototype(what) {
            return self.inherits(class, self.known.exception);
        }
        if !what.is_pointer() || !self.is_kind_of(what, self.known.exception_set) {
            return false;
        }
        let members = self.heap.slot(what, 0);
        if !members.is_pointer() || self.heap.class_of_object(members) != self.known.array {
            return false;
        }
        self.heap.elements(members).iter().all(|&member| {
            *left = left.saturating_sub(1);
            *left == 0 || self.is_exception_kind(member, left)
        })
    }

    /// Makes sure that `what` is something that `on:do:` can be for.
    ///
    /// # Errors
    /// `ArgumentError`.
    #[inline(always)]
    pub(crate) fn check_exception_kind(&mut self, what: Value) -> Result<(), Stop> {
        let is_one_alone = what.is_pointer() && self.exception_kinds[self.heap.class_of_object(what).0 as usize];
        if is_one_alone || self.is_exception_kind(what, &mut SET_MEMBERS_MAX.clone()) {
            return Ok(());
        }
        Err(self.refuse_kind(what))
    }

    #[cold]
    fn refuse_kind(&mut self, what: Value) -> Stop {
        let wanted = "a kind of exceptions, such as ZeroDivide, or several joined by `,`";
        let text = match self.class_of_prototype(what) {
            Some(class) => {
                format!("on:do: takes {wanted}, but {} is none", self.symbols.name(self.class(class).name))
            }
            None => format!("on:do: takes {wanted}, but this is of {}", self.class_name(what)),
        };
        self.raise(ExceptionKind::ArgumentError, text)
    }

    /// Whether an `on:do:` for `what` (a prototype, or a set of them) is for exceptions of `class`.
    /// Looks at no more than `left` members of sets: a set may hold itself.
    fn handles(&self, what: Value, class: ClassId, left: &mut u32) -> bool {
        if let Some(wanted) = self.class_of_prototype(what) {
            return self.inherits(class, wanted);
        }
        if !what.is_pointer() || !self.is_kind_of(what, self.known.exception_set) {
            return false;
        }
        let members = self.heap.slot(what, 0);
        if !members.is_pointer() || self.heap.class_of_object(members) != self.known.array {
            return false;
        }
        for &member in self.heap.elements(members) {
            if *left == 0 {
                return false;
            }
            *left -= 1;
            if self.handles(member, class, left) {
                return true;
            }
        }
        false
    }

    /// Lays out the window of a handler: the exception, the handler, its `on:do:`.
    ///
    /// # Safety
    /// `on_do` is a frame of `on:do:`.
    unsafe fn open_handler(&mut self, window: Window, on_do: *mut Frame) -> Stop {
        // SAFETY: by contract.
        let handler = unsafe { *(*on_do).base.add(2) };
        // SAFETY: both lie in the reservation of frames.
        let on_do_index = unsafe { on_do.offset_from(self.run.stack.frames.start()) };
        self.set_stack_at(window.base + 1, handler);
        self.set_stack_at(window.base + 2, Value::small(on_do_index as i64));
        let takes_argument = self.block_arguments(handler) != Some(0);
        self.run.intrinsic = Some(self.intrinsics.handler_run[usize::from(takes_argument)]);
        Stop::Intrinsic
    }

    /// The frames of the handler that now handles `exception`: of its run, and of its `on:do:`.
    pub(crate) fn handling(&self, exception: Value) -> Option<(*mut Frame, *mut Frame)> {
        let first = self.run.stack.frames.start();
        let mut frame = self.run.frame;
        while frame > first {
            // SAFETY: frames from the first to the published one are filled; marks say their registers.
            unsafe {
                match self.frame_mark(frame) {
                    Mark::HandlerRun if *(*frame).base == exception => {
                        let on_do = (*(*frame).base.add(2)).integer_unchecked();
                        return Some((frame, self.frame_at(on_do as usize)));
                    }
                    // Nothing leads out of a stretch of its own.
                    Mark::Base => return None,
                    Mark::HandlerRun
                    | Mark::Handler
                    | Mark::None
                    | Mark::Own
                    | Mark::Ensure
                    | Mark::Curtail
                    | Mark::Unwinding
                    | Mark::Crossing => {}
                }
                frame = frame.sub(1);
            }
        }
        None
    }

    /// The frame that stands where `exception` was signalled first: that of its outermost handler at work.
    pub(crate) fn signal_of(&self, exception: Value) -> Option<*mut Frame> {
        let (mut found, _) = self.handling(exception)?;
        let mut frame = found;
        // SAFETY: as in `handling`.
        unsafe {
            while frame > self.run.stack.frames.start() && self.frame_mark(frame) != Mark::Base {
                if self.frame_mark(frame) == Mark::HandlerRun && *(*frame).base == exception {
                    found = frame;
                }
                frame = frame.sub(1);
            }
        }
        Some(found)
    }

    /// How many frames lie above what signalled `exception`: the handler's, and what it runs. `None` while none handles it.
    pub(crate) fn frames_above_signal(&self, exception: Value) -> Option<usize> {
        let (run, _) = self.handling(exception)?;
        Some((self.run.frame as usize - run as usize) / size_of::<Frame>() + 1)
    }

    /// Raises the exception of a message that only makes sense while a handler runs.
    pub(crate) fn not_handled(&mut self) -> Stop {
        self.raise(
            ExceptionKind::BlockContextGone,
            "the exception is not being handled: its handler has ended, or never began",
        )
    }

    /// The search for a handler below an `on:do:`.
    pub(crate) fn handle_below(&mut self, window: Window, on_do: *mut Frame) -> Option<Stop> {
        self.handle(window, on_do.wrapping_sub(1))
    }

    /// Puts another block under the protection of an `on:do:`.
    pub(crate) fn set_protected(&mut self, on_do: *mut Frame, block: Value) {
        // SAFETY: its first register is the receiver of `on:do:`.
        unsafe { *(*on_do).base = block }
    }

    /// The fault of an exception that nobody handles; its own methods are left out of the trace.
    pub(crate) fn fault_of(&mut self, exception: Value, kind: String, text: String) -> Stop {
        let stop = self.fault(&kind, text);
        let prototype = self.class(self.class_of(exception)).prototype;
        let own = crate::interpret::frames(&self.run)
            .take_while(|(_, _, values)| values[0] == exception || values[0] == prototype);
        let own = own.filter(|(code, _, _)| self.method_of(code).mark == Mark::None).count();
        if let Some(fault) = &mut self.run.fault {
            fault.trace.drain(..own.min(fault.trace.len()));
        }
        stop
    }

    /// Unwinds everything down to where the run, or the stretch of one, began; it ends with the fault noted.
    pub(crate) fn unwind_all(&mut self) -> Stop {
        let mut frame = self.run.frame;
        while frame > self.run.stack.frames.start() && self.frame_mark(frame) != Mark::Base {
            frame = frame.wrapping_sub(1);
        }
        self.unwind_to(frame, Then::Restart, Value::NIL)
    }

    /// Notes an unwinding for [`Stop::Unwind`].
    pub(crate) fn unwind_to(&mut self, to: *mut Frame, then: Then, value: Value) -> Stop {
        self.run.unwind = Some(Unwind { to, then, value });
        Stop::Unwind
    }
}

/// How many members of a set of exceptions are looked at.
const SET_MEMBERS_MAX: u32 = 1000;
