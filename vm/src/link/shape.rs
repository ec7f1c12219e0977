//! Classes and their slots, from definitions; and what the VM needs of the kernel.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use twintalk_bytecode::image::*;

use super::{Bound, DEPTH_MAX, Definition, LinkError, Linker, Part, ROWS_MAX, SLOTS_MAX, SLOTS_TOTAL_MAX, TRAITS_MAX};
use crate::class::{Class, ClassId, ClassKind, Layout, Slot};
use crate::fault::ExceptionKind;
use crate::promise;
use crate::symbol::Symbol;
use crate::value::Value;
use crate::vm::{Vm, WellKnown};

impl<'a> Linker<'a, '_> {
    pub(super) fn sought(&mut self, number: usize, name: &str, user: &str) -> Result<ClassId, LinkError> {
        let symbol = self.vm.symbols.intern(name);
        self.vm
            .find_global(number, symbol)
            .ok_or_else(|| LinkError::UnknownPrototype { name: name.to_owned(), user: user.to_owned() })
    }

    pub(super) fn define(
        &mut self,
        number: usize,
        image: &'a Image,
        prototype: &'a Prototype,
    ) -> Result<(), LinkError> {
        let name_text = image.name(prototype.name);
        let name = self.vm.symbols.intern(name_text);
        let is_root = number == 0 && name_text == "Object" && prototype.parent.is_none();
        let parent = match prototype.parent {
            Some(parent) => Some(self.sought(number, image.name(parent), name_text)?),
            None if is_root => None,
            None => {
                let default = if prototype.kind == PrototypeKind::Twin { "Twin" } else { "Object" };
                Some(self.sought(number, default, name_text)?)
            }
        };
        let wrong =
            |of: &str, wanted| LinkError::WrongKind { prototype: name_text.to_owned(), of: of.to_owned(), wanted };
        let parent_kind = parent.map_or(ClassKind::Object, |parent| self.vm.class(parent).kind);
        let is_twin_root = number == 0 && name_text == "Twin";
        let kind = match (prototype.kind, parent_kind) {
            (PrototypeKind::Trait, _) => ClassKind::Trait,
            (PrototypeKind::Object | PrototypeKind::Twin, ClassKind::Twin) => ClassKind::Twin,
            (PrototypeKind::Object | PrototypeKind::Twin, ClassKind::Object) if is_twin_root => ClassKind::Twin,
            (PrototypeKind::Object, ClassKind::Object) => ClassKind::Object,
            (PrototypeKind::Twin, ClassKind::Object) => {
                let of = parent.map_or("nil", |parent| self.vm.symbols.name(self.vm.class(parent).name));
                return Err(wrong(of, "a twin"));
            }
            (PrototypeKind::Object | PrototypeKind::Twin, ClassKind::Trait | ClassKind::Prototype) => {
                let of = parent.map_or("nil", |parent| self.vm.symbols.name(self.vm.class(parent).name));
                return Err(wrong(of, "no trait: traits are added with +"));
            }
        };

        // Traits, each followed by its own; the first mention counts.
        let mut named = Vec::new();
        for &used in &prototype.traits {
            let class = self.sought(number, image.name(used), name_text)?;
            if self.vm.class(class).kind != ClassKind::Trait {
                return Err(wrong(image.name(used), "a trait"));
            }
            named.push(class);
        }
        if kind == ClassKind::Trait && parent_kind == ClassKind::Trait {
            named.extend(parent);
        }
        let mut traits: Vec<ClassId> = Vec::new();
        for class in named {
            for &id in std::iter::once(&class).chain(&self.vm.class(class).traits) {
                if !traits.contains(&id) {
                    traits.push(id);
                }
            }
            if traits.len() > TRAITS_MAX {
                return Err(LinkError::TooLarge { what: "traits of one prototype" });
            }
        }

        let class = ClassId(self.vm.classes.len() as u32);
        let side = ClassId(class.0 + 1);
        if class.0 > 1 << 22 {
            return Err(LinkError::TooLarge { what: "prototypes" });
        }
        let own = Part { image, number, prototype };
        if kind == ClassKind::Trait {
            self.traits.insert(class, own);
        }
        let mut parts = vec![own];
        for used in &traits {
            parts.push(self.traits[used]);
        }

        let layout = match (number, name_text) {
            (0, "Array" | "ListPart") => Layout::Elements,
            (0, "String" | "ByteArray" | "LargeInteger" | "Float") => Layout::Bytes,
            (0, "Nil" | "True" | "False" | "Integer" | "Character" | "Symbol" | "Block") => Layout::None,
            _ => parent.map_or(Layout::Slots, |parent| self.vm.class(parent).layout),
        };
        // Children of a layout of their own keep it; all others of the kernel's start anew.
        let layout = if number == 0 && name_text == "ScaledDecimal" { Layout::Slots } else { layout };

        let side_parent = match parent {
            Some(parent) => Some(self.vm.class(parent).counterpart),
            // The root's side class descends from `Prototype`, which is not defined yet.
            None => None,
        };
        let depth = parent.map_or(0, |parent| self.depth(parent) + 1);
        if depth > DEPTH_MAX {
            return Err(LinkError::TooLarge { what: "ancestors of one prototype" });
        }
        let parent_slots = parent.map_or(Vec::new(), |parent| self.vm.class(parent).slots.clone());
        let side_parent_slots =
            parent.map_or(Vec::new(), |parent| self.vm.class(self.vm.class(parent).counterpart).slots.clone());
        self.add_class(name, kind, layout, parent, side, number, traits.clone(), parent_slots, prototype);
        self.add_class(
            name,
            ClassKind::Prototype,
            Layout::None,
            side_parent,
            class,
            number,
            traits,
            side_parent_slots,
            prototype,
        );
        let is_bare_cell = number == 0 && name_text == "Cell" && prototype.instance.slots.is_empty();
        if is_twin_root || is_bare_cell {
            // A twin's path, a cell's content: no method can name them.
            let hidden = self.vm.symbols.intern("");
            self.push_slot(class, hidden, number, Arc::default())?;
        }
        for (nth, part) in parts.iter().enumerate() {
            self.define_slots(*part, class, &part.prototype.instance.slots, nth == 0, kind == ClassKind::Trait)?;
            self.define_slots(*part, side, &part.prototype.side.slots, nth == 0, false)?;
        }
        let has_slots = !self.vm.class(class).slots.is_empty();
        if has_slots && (layout != Layout::Slots || is_root || (number == 0 && name_text == "Prototype")) {
            return Err(LinkError::SlotsNotAllowed { prototype: name_text.to_owned() });
        }
        let slot_count = self.vm.class(class).slots.len();
        self.vm.heap.set_slot_count(class, slot_count as u32);
        let side_slots = self.vm.class(side).slots.len();
        self.vm.heap.set_slot_count(side, side_slots as u32);
        let object = self.vm.heap.permanent_slots(side, &vec![Value::NIL; side_slots]);
        self.vm.classes[class.0 as usize].prototype = object;
        self.vm.classes[side.0 as usize].prototype = object;
        if side_slots > 0 {
            self.vm.shared.push(object);
        }
        self.vm.globals[number].insert(name, class);
        self.definitions.push(Definition { image, number, class, parts });
        Ok(())
    }

    fn depth(&self, class: ClassId) -> usize {
        std::iter::successors(Some(class), |&class| self.vm.class(class).parent).take(DEPTH_MAX + 1).count()
    }

    #[allow(clippy::too_many_arguments, reason = "called twice, in one place")]
    fn add_class(
        &mut self,
        name: Symbol,
        kind: ClassKind,
        layout: Layout,
        parent: Option<ClassId>,
        counterpart: ClassId,
        number: usize,
        traits: Vec<ClassId>,
        slots: Vec<Slot>,
        prototype: &Prototype,
    ) {
        self.total_slots += slots.len();
        self.vm.classes.push(Class {
            name,
            kind,
            layout,
            parent,
            prototype: Value::NIL,
            counterpart,
            image: number as u16,
            traits,
            initialiser: None,
            template: Box::new([]),
            slots,
            constants: FxHashMap::default(),
            methods: FxHashMap::default(),
            events: Vec::new(),
            timers: Vec::new(),
            invariants: Vec::new(),
            version: prototype.version,
            migrations: Vec::new(),
            supervision: Supervision::DEFAULT,
            comment: prototype.comment.clone(),
        });
    }

    /// Adds the slots and constants of one part. What a trait brings and the class has is shared.
    fn define_slots(
        &mut self,
        part: Part<'a>,
        class: ClassId,
        slots: &'a [SlotDefinition],
        own: bool,
        of_trait: bool,
    ) -> Result<(), LinkError> {
        for slot in slots {
            let name_text = part.image.name(slot.name);
            let name = self.vm.symbols.intern(name_text);
            if self.bind(class, name).is_some() {
                if own {
                    let prototype = self.vm.symbols.name(self.vm.class(class).name).to_owned();
                    return Err(LinkError::SlotClash { prototype, slot: name_text.to_owned() });
                }
                continue;
            }
            if of_trait {
                // The trait itself has no objects; its users get its slots.
                continue;
            }
            if slot.constant {
                let number = self.vm.constants.len();
                if number >= ROWS_MAX {
                    return Err(LinkError::TooLarge { what: "constants" });
                }
                self.vm.constants.push(Value::NIL);
                self.vm.classes[class.0 as usize].constants.insert(name, number as u32);
            } else {
                self.push_slot(class, name, part.number, Arc::new(slot.annotation.clone()))?;
            }
        }
        Ok(())
    }

    fn push_slot(
        &mut self,
        class: ClassId,
        name: Symbol,
        image: usize,
        annotation: Arc<Annotation>,
    ) -> Result<(), LinkError> {
        self.total_slots += 1;
        let slots = &mut self.vm.classes[class.0 as usize].slots;
        slots.push(Slot {
            name,
            initialiser: None,
            image: image as u16,
            annotation,
            type_class: None,
            min: None,
            max: None,
        });
        if slots.len() > SLOTS_MAX || self.total_slots > SLOTS_TOTAL_MAX {
            return Err(LinkError::TooLarge { what: "slots" });
        }
        Ok(())
    }

    /// What a name means to objects of a class.
    pub(super) fn bind(&self, class: ClassId, name: Symbol) -> Option<Bound> {
        let shape = self.vm.class(class);
        if let Some(slot) = shape.slot_index(name) {
            let slot = slot as u16;
            return Some(if shape.kind == ClassKind::Prototype { Bound::Shared(slot) } else { Bound::Slot(slot) });
        }
        let mut at = Some(class);
        while let Some(class) = at {
            let shape = self.vm.class(class);
            if let Some(&number) = shape.constants.get(&name) {
                return Some(Bound::Constant(number as u16));
            }
            at = shape.parent;
        }
        None
    }

    /// Finds the classes that the VM itself uses, and checks that they are as it needs them.
    pub(super) fn resolve_kernel(&mut self) -> Result<(), LinkError> {
        let find = |vm: &Vm, name: &str| vm.symbols.find(name).and_then(|name| vm.globals[0].get(&name)).copied();
        let lacks = |name: &str| LinkError::KernelLacks(name.to_owned());
        let vm = &mut *self.vm;
        vm.known = WellKnown::resolve(|name| find(vm, name)).map_err(lacks)?;
        vm.exception_classes = Vec::with_capacity(ExceptionKind::ALL.len());
        for kind in ExceptionKind::ALL {
            let class = find(vm, kind.name()).ok_or_else(|| lacks(kind.name()))?;
            vm.exception_classes.push(class);
            if !vm.inherits(class, vm.known.exception) {
                return Err(LinkError::KernelShape { prototype: kind.name().to_owned(), needs: "to be an Exception" });
            }
        }
        let known = vm.known;
        let root_side = vm.class(known.object).counterpart;
        vm.classes[root_side.0 as usize].parent = Some(known.prototype);
        let immediates = [
            known.integer,
            known.float,
            known.nil,
            known.true_,
            known.false_,
            known.character,
            known.symbol,
            known.list_part,
        ];
        for (index, class) in immediates.into_iter().enumerate() {
            vm.immediate_classes[index] = class.0;
        }
        let needs: [(ClassId, usize, &'static str); 7] = [
            (known.message, 2, "the slots selector and arguments"),
            (known.exception, 1, "a slot messageText, its first"),
            (known.exception_set, 1, "a slot members, its first"),
            (known.reference, 2, "the slots path and kind"),
            (known.scaled_decimal, 2, "the slots digits and scale"),
            (known.promise, promise::SLOTS, "the slots number, outcome, answer and actions"),
            (known.continuation, promise::CONTINUATION_SLOTS, "the slots program to captured"),
        ];
        if vm.class(known.cell).slots.len() != 1 {
            return Err(LinkError::KernelShape {
                prototype: "Cell".to_owned(),
                needs: "one slot, or to leave it to the machine",
            });
        }
        for (class, slots, needs) in needs {
            if vm.class(class).slots.len() < slots {
                let prototype = vm.symbols.name(vm.class(class).name).to_owned();
                return Err(LinkError::KernelShape { prototype, needs });
            }
        }
        let parents = [(known.prototype, known.object), (known.twin, known.object)];
        for (class, parent) in parents {
            if !vm.inherits(class, parent) {
                let prototype = vm.symbols.name(vm.class(class).name).to_owned();
                return Err(LinkError::KernelShape { prototype, needs: "to descend from Object" });
            }
        }
        Ok(())
    }
}
