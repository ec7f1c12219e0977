//! Register windows and frames.
//!
//! All windows lie on one stack of values and overlap: the receiver and arguments that a caller
//! puts at the end of its window are the start of the callee's. Frames lie beside it in an array.
//! Both are reserved once and never move, so the interpreter may hold pointers into them.
//!
//! **Stale registers.** A register that was not written since its window was opened may hold what an
//! earlier window left there. Such words are always values of the current region or immediate: at a
//! collection all that was ever written is visited or cleared, at the start of a run cleared, and
//! beyond it are zeros, which are integers. So no window need be cleared when it is opened.
//!
//! **The high-water mark** says how far the stack may have been written. A window below it opens the
//! fast way; one that passes it raises it. Whatever the slow ways write beyond it (at most
//! [`WINDOW_MAX`] values) they reserve before the next collection can happen.

use std::alloc::{self, GlobalAlloc, Layout, System};
use std::ptr::NonNull;

use crate::class::LinkedCode;
use crate::value::Value;

/// How many frames a run may have: the limit of depth.
pub const DEPTH_MAX: usize = 100_000;
/// How many values the windows of a run may take together.
pub const STACK_VALUES_MAX: usize = 1 << 20;
/// By how much the high-water mark rises.
const HIGH_WATER_STEP: usize = 64;
/// More than the largest window: beyond the mark there is always room for as much.
pub const WINDOW_MAX: usize = 512;

/// An activation of a method or block.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Frame {
    /// Where it goes on once the frame above it is done.
    pub pc: *const u32,
    /// Its register 0.
    pub base: *mut Value,
    /// What it runs.
    pub code: *const LinkedCode,
    /// Where its answer goes.
    pub answer: *mut Value,
    /// Its number, once a block was made in it; 0 before.
    pub serial: u64,
    /// For a block: the number and index of the frame of the method it stands in.
    pub home_serial: u64,
    /// See `home_serial`.
    pub home_index: u32,
}

/// Memory for `length` elements of `T`, reserved but only touched as it is used.
pub struct Reserved<T> {
    start: NonNull<T>,
    length: usize,
}

impl<T: Copy> Reserved<T> {
    fn new(length: usize) -> Reserved<T> {
        let layout = Layout::array::<T>(length).expect("a constant size");
        // SAFETY: the size is not zero. Zeroed memory of this size comes straight from the system
        // and costs nothing until it is written; zero is a value, an integer. The program's own
        // allocator would hand out memory that it keeps, and clear all of it.
        let start = unsafe { System.alloc_zeroed(layout) }.cast::<T>();
        let Some(start) = NonNull::new(start) else { alloc::handle_alloc_error(layout) };
        Reserved { start, length }
    }

    /// The first element.
    pub fn start(&self) -> *mut T {
        self.start.as_ptr()
    }
}

impl<T> Drop for Reserved<T> {
    fn drop(&mut self) {
        let layout = Layout::array::<T>(self.length).expect("made with the same size");
        // SAFETY: allocated in `new` with this layout.
        unsafe { System.dealloc(self.start.as_ptr().cast(), layout) }
    }
}

/// The windows and frames of one run.
pub struct Stack {
    pub(crate) values: Reserved<Value>,
    pub(crate) frames: Reserved<Frame>,
    /// Windows end below this; passing it takes the slow way.
    pub(crate) high_water: *mut Value,
    /// The last frame there is room for.
    pub(crate) frame_limit: *mut Frame,
}

impl Stack {
    pub(crate) fn new() -> Stack {
        let values = Reserved::new(STACK_VALUES_MAX);
        let frames = Reserved::new(DEPTH_MAX + 64);
        let mut stack = Stack { high_water: values.start(), frame_limit: frames.start(), values, frames };
        // SAFETY: within the reservation, which has 64 frames more for unwinding.
        stack.frame_limit = unsafe { stack.frames.start().add(DEPTH_MAX) };
        stack.high_water = stack.values.start().wrapping_add(HIGH_WATER_STEP);
        stack
    }

    /// Forgets all windows: all that was written is nil again.
    pub(crate) fn reset(&mut self) {
        let end = self.dirty_end();
        self.clear_between(self.values.start(), end);
        self.high_water = self.values.start().wrapping_add(HIGH_WATER_STEP);
    }

    /// How far the mark can rise.
    fn limit(&self) -> *mut Value {
        self.values.start().wrapping_add(STACK_VALUES_MAX - WINDOW_MAX)
    }

    /// Past all that was ever written since the last clearing.
    fn dirty_end(&self) -> *mut Value {
        if self.high_water < self.limit() {
            self.high_water
        } else {
            self.values.start().wrapping_add(STACK_VALUES_MAX)
        }
    }

    /// Makes all values from `from` to below `to` nil; both lie in the reservation.
    fn clear_between(&mut self, from: *mut Value, to: *mut Value) {
        let mut at = from;
        while at < to {
            // SAFETY: between two pointers into the reservation.
            unsafe {
                at.write(Value::NIL);
                at = at.add(1);
            }
        }
    }

    /// Notes that the stack is written up to `end`, which lies at most [`WINDOW_MAX`] past the mark.
    #[inline]
    pub(crate) fn reserve(&mut self, end: *mut Value) {
        if end > self.high_water {
            self.raise_high_water(end);
        }
    }

    /// As [`Stack::reserve`], up to the value at `index`.
    pub(crate) fn reserve_index(&mut self, index: usize) {
        self.reserve(self.values.start().wrapping_add(index));
    }

    /// Raises the mark so that a window up to `end` fits; false when the stack is full.
    #[cold]
    pub(crate) fn raise_high_water(&mut self, end: *mut Value) -> bool {
        let limit = self.limit();
        self.high_water = end.wrapping_add(HIGH_WATER_STEP).min(limit);
        end <= limit
    }

    /// Visits every value below `top` and clears the rest of what was written.
    pub(crate) fn visit(&mut self, top: *mut Value, visit: &mut dyn FnMut(&mut Value)) {
        let mut at = self.values.start();
        while at < top {
            // SAFETY: below `top`, which lies in the reservation; all of it was written or is zero.
            unsafe {
                visit(&mut *at);
                at = at.add(1);
            }
        }
        self.clear_between(top, self.dirty_end());
    }

    /// The value at `index`, which a window of a primitive names.
    #[inline(always)]
    pub(crate) fn read(&self, index: usize) -> Value {
        assert!(index < STACK_VALUES_MAX, "windows lie on the stack");
        // SAFETY: just checked.
        unsafe { *self.values.start().add(index) }
    }

    /// Writes the value at `index`.
    #[inline(always)]
    pub(crate) fn write(&mut self, index: usize, value: Value) {
        assert!(index < STACK_VALUES_MAX, "windows lie on the stack");
        // SAFETY: just checked.
        unsafe { *self.values.start().add(index) = value }
    }
}
