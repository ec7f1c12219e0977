//! The values of constants: run once, at load, and then permanent.

use super::{LinkError, Linker};
use crate::class::ClassKind;
use crate::heap;
use crate::value::{Kind, Value};
use crate::vm::Vm;
use crate::world::ProgramWorld;

/// What the values of all constants of one link may cost.
const CONSTANTS_FUEL: i64 = 100_000_000;
/// How deep the value of a constant may nest.
const CONSTANT_DEPTH_MAX: usize = 64;

impl Linker<'_, '_> {
    pub(super) fn evaluate_constants(&mut self) -> Result<(), LinkError> {
        let limits = self.vm.limits;
        let mut fuel = limits.fuel.min(CONSTANTS_FUEL);
        for (class, name, number, initialiser) in std::mem::take(&mut self.constants) {
            let Some(initialiser) = initialiser else { continue };
            let names = |vm: &Vm| (vm.symbols.name(vm.class(class).name).to_owned(), vm.symbols.name(name).to_owned());
            let prototype = self.vm.class(class).prototype;
            self.vm.limits.fuel = fuel;
            let answer = self.vm.run_method(initialiser, &[prototype], &mut Silent);
            self.vm.limits = limits;
            fuel = self.vm.run.fuel.max(0);
            let value = answer.map_err(|fault| {
                let (prototype, constant) = names(self.vm);
                LinkError::ConstantFault { prototype, constant, fault }
            })?;
            let Some(value) = self.vm.make_permanent(value, 0) else {
                let (prototype, constant) = names(self.vm);
                return Err(LinkError::ConstantMutable { prototype, constant });
            };
            self.vm.constants[number as usize] = value;
        }
        Ok(())
    }
}

/// Constants print nothing.
struct Silent;

impl ProgramWorld for Silent {
    fn print(&mut self, _text: &str) {}
}

impl Vm {
    /// A permanent copy of an immutable value; `None` if some part of it can be changed, or is a block.
    ///
    /// Objects of plain prototypes count as immutable here if all their slots are: they are frozen.
    fn make_permanent(&mut self, value: Value, depth: usize) -> Option<Value> {
        match value.kind() {
            Kind::Integer(_) | Kind::Float(_) | Kind::Nil | Kind::Boolean(_) | Kind::Character(_) | Kind::Symbol(_) => {
                return Some(value);
            }
            Kind::Part(_) => return None,
            Kind::Pointer => {}
        }
        if self.heap.is_permanent(value) {
            return Some(value);
        }
        if depth > CONSTANT_DEPTH_MAX || self.heap.has_flags(value, heap::BLOCK) {
            return None;
        }
        let class = self.heap.class_of_object(value);
        if self.heap.has_flags(value, heap::RAW) {
            return self.heap.has_flags(value, heap::IMMUTABLE).then(|| self.heap.make_permanent(value));
        }
        if self.heap.has_flags(value, heap::INDEXED) {
            if !self.heap.has_flags(value, heap::IMMUTABLE) {
                return None;
            }
            let elements: Vec<Value> = self.heap.elements(value).to_vec();
            let elements = elements
                .into_iter()
                .map(|element| self.make_permanent(element, depth + 1))
                .collect::<Option<Vec<_>>>()?;
            return Some(self.heap.permanent_array(class, &elements));
        }
        if self.class(class).kind != ClassKind::Object || self.is_kind_of(value, self.known.exception) {
            return None;
        }
        let slots: Vec<Value> = (0..self.heap.slot_count(value)).map(|index| self.heap.slot(value, index)).collect();
        let slots = slots.into_iter().map(|slot| self.make_permanent(slot, depth + 1)).collect::<Option<Vec<_>>>()?;
        Some(self.heap.permanent_slots(class, &slots))
    }
}
