//! Twins brought up to their definition when they are loaded.
//!
//! A twin at rest has the shape that its definition had when it was last changed. Slots are carried over by
//! name; a slot that is new gets its initialiser, and so does a transient one whenever the twin is loaded. Then,
//! if the definition has a `migrate` for the version that the twin has, that runs. All of it happens in the turn
//! that touches the twin first, and is part of its record; a query does it on a copy that is dropped.

use std::ptr::NonNull;

use crate::class::LinkedMethod;
use crate::drive::{Asked, End};
use crate::fault::Fault;
use crate::turn::Birth;
use crate::value::Value;
use crate::vm::Vm;

/// How many twins may wait, each with a method that completes it, for another to be completed: each takes some of
/// the stack of the process.
const NESTED_MAX: u32 = 64;

impl Vm {
    /// Whether twins of the class of `twin` need more than their stored slots when they are loaded.
    pub(crate) fn needs_completing(&self, twin: Value, birth: Birth) -> bool {
        match birth {
            Birth::Carried => true,
            Birth::Made => false,
            Birth::Loaded => self.class(self.class_of(twin)).slots.iter().any(|slot| slot.annotation.transient),
        }
    }

    /// Gives the `nth` twin of the turn, stored with `shape`, what it lacks. `None`: not known yet.
    pub(crate) fn complete(&mut self, world: &mut Asked<'_>, nth: usize, shape: u32) -> Result<Option<()>, Fault> {
        let class = self.class_of(self.run.turn.twins[nth].value);
        let (stored, version) = match self.shapes.get(shape) {
            Some(shape) => (shape.slots.clone(), shape.version),
            None => unreachable!("it was loaded by this shape"),
        };
        for index in 0..self.class(class).slots.len() {
            let slot = &self.class(class).slots[index];
            let name = self.symbols.name(slot.name);
            let is_stored = !slot.annotation.transient && stored.iter().any(|stored| stored == name);
            let Some(initialiser) = slot.initialiser.filter(|_| !name.is_empty() && !is_stored) else { continue };
            let twin = self.run.turn.twins[nth].value;
            match self.call_inside(world, initialiser, twin) {
                End::Done(value) => {
                    let twin = self.run.turn.twins[nth].value;
                    self.heap.init_slot(twin, index, value);
                }
                End::Failed(fault) => return Err(fault),
                End::NotYet => return Ok(None),
            }
        }
        if self.shapes.number_of(class) == Some(shape) {
            // Only objects that it holds are carried over, or none.
            return Ok(Some(()));
        }
        let migration =
            self.class(class).migrations.iter().find(|(from, _)| *from == version).map(|(_, method)| *method);
        let result = match migration {
            None => Ok(Some(())),
            Some(migration) => {
                let twin = self.run.turn.twins[nth].value;
                match self.call_inside(world, migration, twin) {
                    End::Done(_) => Ok(Some(())),
                    End::Failed(fault) => Err(fault),
                    End::NotYet => Ok(None),
                }
            }
        };
        self.run.turn.twins[nth].old_slots.clear();
        result
    }

    /// Runs a method without arguments above whatever waits on the stack, and takes that up again.
    pub(crate) fn call_inside(&mut self, world: &mut Asked<'_>, method: NonNull<LinkedMethod>, receiver: Value) -> End {
        let run = &mut self.run;
        let waiting = (run.pc, run.base, run.frame, run.scratch_top, run.answer_at, run.resend.take());
        let (current, query) = (run.turn.current, run.turn.query);
        run.handles.push(current);
        self.nested += 1;
        let room = if self.nested > NESTED_MAX { Err(self.too_deep()) } else { self.begin_above(receiver) };
        let end = match room {
            Ok(window) => {
                self.run.turn.current = receiver;
                self.run.turn.query = false;
                let step = self.invoke(window, window, method, 0);
                let flow = self.settle(step, window, window);
                self.go_on(world, flow)
            }
            Err(stop) => End::Failed(self.fault_of_stop(stop)),
        };
        self.nested -= 1;
        let run = &mut self.run;
        (run.pc, run.base, run.frame, run.scratch_top, run.answer_at, run.resend) = waiting;
        run.turn.current = run.handles.pop().expect("pushed above");
        run.turn.query = query;
        if query {
            self.heap.guard_written();
        }
        end
    }
}
