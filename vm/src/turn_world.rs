//! The world of a turn, within reach of all that runs in it.
//!
//! Most questions are put by the loop that drives a run, which holds the world. A part of a long collection is
//! asked for in the midst of a primitive, or of writing a value out, where nobody holds it: so the run keeps where it is.
//!
//! Invariant: a [`TurnWorld`] lies in a run only while [`Vm::with_world`] has the world borrowed, and is only used by
//! what runs then.

use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use crate::drive::Asked;
use crate::vm::Vm;
use crate::world::World;

/// Where the world of a turn is.
#[derive(Clone, Copy)]
pub(crate) struct TurnWorld(NonNull<dyn World>);

impl Deref for TurnWorld {
    type Target = dyn World;

    fn deref(&self) -> &(dyn World + 'static) {
        // SAFETY: as below.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for TurnWorld {
    fn deref_mut(&mut self) -> &mut (dyn World + 'static) {
        // SAFETY: the invariant of this file: the world is borrowed for as long as there are pointers to it, and one
        // question is put at a time. A query to another composite may put questions of its own, through a pointer made
        // from the borrow that the question has.
        unsafe { self.0.as_mut() }
    }
}

impl Vm {
    /// Does `work` in a run that has `world` within reach.
    pub(crate) fn with_world<T>(
        &mut self,
        world: &mut dyn World,
        work: impl FnOnce(&mut Vm, &mut Asked<'_>) -> T,
    ) -> T {
        // SAFETY: only the lifetime changes, and below no pointer is left when the borrow ends, nor when `work` panics.
        let world = unsafe { std::mem::transmute::<&mut dyn World, &'static mut dyn World>(world) };
        let world = TurnWorld(NonNull::from(world));
        self.run.world = Some(world);
        let result = catch_unwind(AssertUnwindSafe(|| work(self, &mut Asked::Turn(world))));
        self.run.world = None;
        result.unwrap_or_else(|panic| resume_unwind(panic))
    }
}
