//! Twins brought up to their definition when they are loaded.
//!
//! A twin at rest has the shape that its definition had when it was last changed, and so have the objects of its state.
//! Slots are carried over by name; a slot that is new gets its initialiser, and so does a transient one whenever the
//! twin is loaded: those of objects first, in the order in which they were read. Then,
//! if the definition has a `migrate` for the version that the twin has, that runs. All of it happens in the turn
//! that touches the twin first, and is part of its record; a query does it on a copy that is dropped.

use std::ptr::NonNull;

use crate::class::LinkedMethod;
use crate::drive::{Asked, End};
use crate::fault::Fault;
use crate::send::Step;
use crate::value::Value;
use crate::vm::Vm;

/// How many twins may wait, each with a method that completes it, for another to be completed: each takes some of
/// the stack of the process.
const NESTED_MAX: u32 = 64;

impl Vm {
    /// Whether a twin read with `shape` lacks nothing that its definition wants, nor does any object noted from
    /// `unfinished` on.
    pub(crate) fn is_whole(&self, twin: Value, shape: u32, unfinished: usize) -> bool {
        self.shapes.number_of(self.class_of(twin)) == Some(shape)
            && self.shapes.entry(shape).is_none_or(|entry| !entry.lacks_transient)
            && self.run.turn.unfinished.len() == unfinished
    }

    /// Gives the `nth` twin of the turn, read with `shape`, what it lacks, and the objects noted from `unfinished` on.
    /// `None`: not known yet.
    pub(crate) fn complete(
        &mut self,
        world: &mut Asked<'_>,
        nth: usize,
        shape: u32,
        unfinished: usize,
    ) -> Result<Option<()>, Fault> {
        if self.complete_objects(world, nth, unfinished)?.is_none() {
            return Ok(None);
        }
        let class = self.class_of(self.run.turn.twins[nth].value);
        let (lacking, version) = match self.shapes.get(shape) {
            Some(shape) => (self.lacking(class, shape), shape.version),
            None => unreachable!("it was read by this shape"),
        };
        for index in lacking {
            let Some(initialiser) = self.class(class).slots[index].initialiser else { continue };
            let twin = self.run.turn.twins[nth].value;
            match self.call_inside(world, initialiser, twin, twin) {
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
                match self.call_inside(world, migration, twin, twin) {
                    End::Done(_) => Ok(Some(())),
                    End::Failed(fault) => Err(fault),
                    End::NotYet => Ok(None),
                }
            }
        };
        self.run.turn.twins[nth].old_slots.clear();
        result
    }

    /// Gives the objects noted from `unfinished` on, which belong to the `nth` twin of the turn or were sent to it, the
    /// first values that they lack. `None`: not known yet.
    pub(crate) fn complete_objects(
        &mut self,
        world: &mut Asked<'_>,
        nth: usize,
        unfinished: usize,
    ) -> Result<Option<()>, Fault> {
        for at in unfinished..self.run.turn.unfinished.len() {
            let (object, shape) = self.run.turn.unfinished[at];
            let class = self.class_of(object);
            let lacking = self.shapes.get(shape).map(|shape| self.lacking(class, shape)).unwrap_or_default();
            for index in lacking {
                let Some(initialiser) = self.class(class).slots[index].initialiser else { continue };
                let (object, _) = self.run.turn.unfinished[at];
                match self.call_inside(world, initialiser, object, self.run.turn.twins[nth].value) {
                    End::Done(value) => {
                        let (object, _) = self.run.turn.unfinished[at];
                        self.heap.init_slot(object, index, value);
                    }
                    End::Failed(fault) => return Err(fault),
                    End::NotYet => return Ok(None),
                }
            }
        }
        self.run.turn.unfinished.truncate(unfinished);
        Ok(Some(()))
    }

    /// Runs a method of `receiver` without arguments in the name of the twin `current`, above whatever waits on the stack,
    /// and takes that up again.
    pub(crate) fn call_inside(
        &mut self,
        world: &mut Asked<'_>,
        method: NonNull<LinkedMethod>,
        receiver: Value,
        current: Value,
    ) -> End {
        self.run_inside(world, &[receiver], |vm, window| {
            vm.run.turn.current = current;
            vm.run.turn.query = false;
            vm.invoke(window, window, method, 0)
        })
    }

    /// Values a block above whatever waits on the stack, and takes that up again. `values`: the block and its arguments.
    pub(crate) fn value_inside(&mut self, world: &mut Asked<'_>, values: &[Value]) -> End {
        self.run_inside(world, values, |vm, window| vm.value_block(window, window, values.len() - 1))
    }

    /// Runs what `start` begins with the window that holds `values`, above whatever waits on the stack.
    fn run_inside(
        &mut self,
        world: &mut Asked<'_>,
        values: &[Value],
        start: impl FnOnce(&mut Vm, *mut Value) -> Step,
    ) -> End {
        let run = &mut self.run;
        let waiting = (run.pc, run.base, run.frame, run.scratch_top, run.answer_at, run.resend.take());
        let query = run.turn.query;
        run.handles.push(run.turn.current);
        self.nested += 1;
        let room = if self.nested > NESTED_MAX { Err(self.too_deep()) } else { self.begin_above(values) };
        let end = match room {
            Ok(window) => {
                let step = start(self, window);
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
