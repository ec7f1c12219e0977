//! Images into classes: names bound to offsets, prototypes and cells.
//!
//! An image names all that lies outside a code by string; linking copies its codes and replaces, word
//! for word, slots by offsets, constants and prototypes by where their values lie, and program
//! variables by their number in the VM. Whatever verification cannot see, since it lies in another
//! image, is found here and is a [`LinkError`]; nothing of a verified image can make linking panic.
//!
//! It goes in passes over an image, each of which needs the one before complete: classes and their
//! slots; methods (those of traits once for each prototype that uses the trait); extensions; readers;
//! the hidden initialiser of each class; the values of constants, which run code.
//!
//! Invariant: a method is linked for one class, and runs only with a `self` whose class descends from
//! it, so its offsets are right.

use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use twintalk_bytecode::codec;
use twintalk_bytecode::image::*;
use twintalk_bytecode::op::Op;
use twintalk_bytecode::operand::{self, Count, Reg};

use crate::class::{
    Cache, Class, ClassId, ClassKind, Layout, LinkedCode, LinkedMethod, LinkedSite, Mark, Origin, Slot, Target,
    TimerDefinition,
};
use crate::fault::{ExceptionKind, Fault};
use crate::heap;
use crate::primitive;
use crate::symbol::Symbol;
use crate::value::{Kind, Value};
use crate::vm::{LoadedImage, Vm, WellKnown, stub};
use crate::world::World;

/// How many ancestors a prototype may have.
const DEPTH_MAX: usize = 256;
/// How many slots an object may have.
const SLOTS_MAX: usize = 4096;
/// How many slots all classes may have together, and how many words all linked codes.
const TOTAL_MAX: usize = 32 << 20;
/// Rows that an operand of two bytes can point at.
const ROWS_MAX: usize = 1 << 16;
/// What the value of one constant may cost.
const CONSTANT_FUEL: i64 = 10_000_000;

/// Why verified images do not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// No image was given, or the first defines no prototype that the VM needs.
    KernelLacks(String),
    /// A prototype of the kernel is not as the VM needs it.
    KernelShape {
        /// The prototype.
        prototype: String,
        /// What the VM needs.
        needs: &'static str,
    },
    /// A parent, trait or extended prototype that is defined nowhere.
    UnknownPrototype {
        /// Its name.
        name: String,
        /// Who names it.
        user: String,
    },
    /// A parent that is a trait, a trait that is none, or a twin whose parent is no twin.
    WrongKind {
        /// The definition.
        prototype: String,
        /// The parent or trait.
        of: String,
        /// What it must be.
        wanted: &'static str,
    },
    /// A slot whose name an ancestor has already.
    SlotClash {
        /// The definition.
        prototype: String,
        /// The slot.
        slot: String,
    },
    /// A slot of a prototype whose objects have none: immediate values, arrays, strings, blocks.
    SlotsNotAllowed {
        /// The definition.
        prototype: String,
    },
    /// A method names a slot that its prototype does not have.
    UnknownSlot {
        /// The method, as `Prototype>>selector`.
        method: String,
        /// The slot.
        slot: String,
    },
    /// A method assigns a constant.
    ConstantAssigned {
        /// The method.
        method: String,
        /// The constant.
        constant: String,
    },
    /// The value of a constant could not be had.
    ConstantFault {
        /// The prototype.
        prototype: String,
        /// The constant.
        constant: String,
        /// Why.
        fault: Fault,
    },
    /// The value of a constant can be changed, or belongs to the run.
    ConstantMutable {
        /// The prototype.
        prototype: String,
        /// The constant.
        constant: String,
    },
    /// More of something than a VM takes.
    TooLarge {
        /// Of what.
        what: &'static str,
    },
}

impl std::fmt::Display for LinkError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LinkError::KernelLacks(name) => write!(f, "the kernel does not define {name}"),
            LinkError::KernelShape { prototype, needs } => write!(f, "the kernel's {prototype} needs {needs}"),
            LinkError::UnknownPrototype { name, user } => write!(f, "{user} names {name}, which is defined nowhere"),
            LinkError::WrongKind { prototype, of, wanted } => {
                write!(f, "{prototype} names {of}, which must be {wanted}")
            }
            LinkError::SlotClash { prototype, slot } => {
                write!(f, "{prototype}: an ancestor has a slot `{slot}` already")
            }
            LinkError::SlotsNotAllowed { prototype } => {
                write!(f, "{prototype} cannot have slots: its values are immediate, or hold elements or bytes")
            }
            LinkError::UnknownSlot { method, slot } => {
                write!(f, "{method} names the slot `{slot}`, which is not there")
            }
            LinkError::ConstantAssigned { method, constant } => write!(f, "{method} assigns the constant `{constant}`"),
            LinkError::ConstantFault { prototype, constant, fault } => {
                write!(f, "the constant `{constant}` of {prototype}: {fault}")
            }
            LinkError::ConstantMutable { prototype, constant } => {
                write!(f, "the constant `{constant}` of {prototype} must be immutable")
            }
            LinkError::TooLarge { what } => write!(f, "the program has too many {what}"),
        }
    }
}

impl std::error::Error for LinkError {}

/// A definition on its way through the passes.
struct Definition<'a> {
    image: &'a Image,
    number: usize,
    class: ClassId,
    parts: Vec<Part<'a>>,
}

/// A prototype's own text, or that of one of its traits.
#[derive(Clone, Copy)]
struct Part<'a> {
    image: &'a Image,
    number: usize,
    prototype: &'a Prototype,
}

/// What a method is linked for.
#[derive(Clone, Copy)]
struct Context {
    /// Where `super` starts above, and whose slots `self` has.
    class: ClassId,
    /// Where constants are sought besides: for the initialiser of a constant, whose `self` is the
    /// prototype, those of the instances.
    constants: ClassId,
}

/// What a name of a slot means.
enum Bound {
    Slot(usize),
    Shared(usize),
    Constant(u32),
}

struct Linker<'a, 'v> {
    vm: &'v mut Vm,
    /// The images by their number in the VM; those of earlier links are not at hand.
    images: Vec<(usize, &'a Image)>,
    /// Literals by image, method and code, for traits that are linked again and again.
    literals: FxHashMap<(usize, u32, usize), Vec<Value>>,
    definitions: Vec<Definition<'a>>,
    /// The text of all traits, those linked before included.
    traits: FxHashMap<ClassId, Part<'a>>,
    constants: Vec<(ClassId, Symbol, u32, Option<NonNull<LinkedMethod>>)>,
    /// Classes that have new methods from extensions of traits or prototypes linked before.
    extended: bool,
    total_slots: usize,
}

impl Vm {
    /// A VM with these programs, which were verified: the kernel first, each seeing those before it.
    ///
    /// Constants are evaluated here. Cost: linear in the images, and in the traits times their uses.
    ///
    /// # Errors
    /// What verification of one image cannot see.
    pub fn link(images: &[&Image]) -> Result<Vm, LinkError> {
        let mut vm = Vm::empty();
        if images.is_empty() {
            return Err(LinkError::KernelLacks("Object".to_owned()));
        }
        vm.link_images(images)?;
        Ok(vm)
    }

    /// Adds a verified image, which sees those before it; its program variables are theirs where the names
    /// are the same.
    ///
    /// # Errors
    /// As [`Vm::link`]; then the VM is to be dropped.
    pub fn add_image(&mut self, image: &Image) -> Result<(), LinkError> {
        self.link_images(&[image])
    }

    fn link_images(&mut self, images: &[&Image]) -> Result<(), LinkError> {
        let first = self.images.len();
        let earlier: Vec<(usize, Rc<Image>)> = (self.images.iter().enumerate())
            .filter_map(|(number, image)| Some((number, image.traits.clone()?)))
            .collect();
        let numbered = images.iter().enumerate().map(|(nth, &image)| (first + nth, image)).collect();
        let mut linker = Linker {
            vm: self,
            images: numbered,
            literals: FxHashMap::default(),
            definitions: Vec::new(),
            traits: FxHashMap::default(),
            constants: Vec::new(),
            extended: false,
            total_slots: 0,
        };
        for (number, image) in &earlier {
            for prototype in image.prototypes.iter().filter(|prototype| prototype.kind == PrototypeKind::Trait) {
                let name = linker.vm.symbols.intern(image.name(prototype.name));
                let class = linker.vm.globals[*number][&name];
                linker.traits.insert(class, Part { image, number: *number, prototype });
            }
        }
        linker.link()
    }

    /// The prototype that `name` means in the image with this number.
    pub(crate) fn find_global(&self, image: usize, name: Symbol) -> Option<ClassId> {
        self.globals[..=image].iter().rev().find_map(|names| names.get(&name)).copied()
    }

    /// The class of the objects of the prototype that `name` means in the program linked last.
    pub fn find_class(&self, name: &str) -> Option<ClassId> {
        let name = self.symbols.find(name)?;
        self.find_global(self.globals.len().checked_sub(1)?, name)
    }

    /// The prototype that `name` means in the program linked last.
    pub fn find_prototype(&self, name: &str) -> Option<Value> {
        self.find_class(name).map(|class| self.class(class).prototype)
    }

    /// Empties every cache, since methods have come to classes that were linked before.
    fn forget_lookups(&mut self) {
        for method in self.methods.iter() {
            for code in &method.codes {
                code.caches.iter().for_each(|cache| cache.set(Cache::EMPTY));
            }
        }
        for entry in self.lookup.iter_mut() {
            entry.class = crate::class::NO_CLASS;
        }
    }
}

impl<'a> Linker<'a, '_> {
    fn link(&mut self) -> Result<(), LinkError> {
        for (number, image) in self.images.clone() {
            self.load(number, image);
            for prototype in &image.prototypes {
                self.define(number, image, prototype)?;
            }
            if number == 0 {
                self.resolve_kernel()?;
            }
            for &name in &image.variables {
                let name = self.vm.symbols.intern(image.name(name));
                if !self.vm.variable_names.contains(&name) {
                    self.vm.variable_names.push(name);
                    self.vm.variables.push(Value::NIL);
                }
            }
            if self.vm.variables.len() > ROWS_MAX {
                return Err(LinkError::TooLarge { what: "program variables" });
            }
        }
        let definitions = std::mem::take(&mut self.definitions);
        for definition in &definitions {
            self.link_definition(definition)?;
        }
        for (number, image) in self.images.clone() {
            for extension in &image.extensions {
                self.extend(number, image, extension)?;
            }
            if let Some(main) = image.main {
                let root = self.vm.known.nil;
                let main = self.method(number, image, main, Context { class: root, constants: root }, "")?;
                self.vm.images[number].main = Some(main);
            }
        }
        for definition in &definitions {
            self.make_readers(definition)?;
        }
        for definition in &definitions {
            self.make_initialiser(definition)?;
        }
        if self.extended {
            self.vm.forget_lookups();
        }
        self.resolve_types(&definitions);
        self.evaluate_constants()
    }

    /// Notes what faults need of an image.
    fn load(&mut self, number: usize, image: &'a Image) {
        debug_assert_eq!(number, self.vm.images.len(), "images are numbered in order");
        self.vm.images.push(LoadedImage {
            files: image.files.clone(),
            method_files: image.methods.iter().map(|method| method.position.file).collect(),
            main: None,
            traits: image
                .prototypes
                .iter()
                .any(|prototype| prototype.kind == PrototypeKind::Trait)
                .then(|| Rc::new(image.clone())),
        });
        self.vm.globals.push(FxHashMap::default());
    }

    // ---- classes ----

    fn sought(&mut self, number: usize, name: &str, user: &str) -> Result<ClassId, LinkError> {
        let symbol = self.vm.symbols.intern(name);
        self.vm
            .find_global(number, symbol)
            .ok_or_else(|| LinkError::UnknownPrototype { name: name.to_owned(), user: user.to_owned() })
    }

    fn define(&mut self, number: usize, image: &'a Image, prototype: &'a Prototype) -> Result<(), LinkError> {
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
        let mut traits: Vec<ClassId> = Vec::new();
        let mut add = |vm: &Vm, class: ClassId| {
            for id in std::iter::once(class).chain(vm.class(class).traits.iter().copied()) {
                if !traits.contains(&id) {
                    traits.push(id);
                }
            }
        };
        for &used in &prototype.traits {
            let class = self.sought(number, image.name(used), name_text)?;
            if self.vm.class(class).kind != ClassKind::Trait {
                return Err(wrong(image.name(used), "a trait"));
            }
            add(self.vm, class);
        }
        if kind == ClassKind::Trait && parent_kind == ClassKind::Trait {
            add(self.vm, parent.expect("a trait is the parent"));
        }
        if traits.len() > DEPTH_MAX {
            return Err(LinkError::TooLarge { what: "traits of one prototype" });
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
            (0, "Array") => Layout::Elements,
            (0, "String" | "ByteArray" | "LargeInteger" | "Float") => Layout::Bytes,
            (0, "Nil" | "True" | "False" | "Integer" | "Character" | "Symbol" | "Block" | "Cell") => Layout::None,
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
        if is_twin_root {
            let path = self.vm.symbols.intern("");
            self.push_slot(class, path, number, Arc::default())?;
        }
        for (nth, part) in parts.iter().enumerate() {
            self.define_slots(*part, class, &part.prototype.instance.slots, nth == 0, kind == ClassKind::Trait)?;
            self.define_slots(*part, side, &part.prototype.side.slots, nth == 0, false)?;
        }
        let has_slots = !self.vm.class(class).slots.is_empty();
        if has_slots && (layout != Layout::Slots || is_root || (number == 0 && name_text == "Prototype")) {
            return Err(LinkError::SlotsNotAllowed { prototype: name_text.to_owned() });
        }
        let slot_count = if number == 0 && name_text == "Cell" { 1 } else { self.vm.class(class).slots.len() };
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
            slots,
            constants: FxHashMap::default(),
            methods: FxHashMap::default(),
            events: Vec::new(),
            timers: Vec::new(),
            invariants: Vec::new(),
            version: prototype.version,
            migrations: Vec::new(),
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
        if slots.len() > SLOTS_MAX || self.total_slots > TOTAL_MAX {
            return Err(LinkError::TooLarge { what: "slots" });
        }
        Ok(())
    }

    /// What a name means to objects of a class.
    fn bind(&self, class: ClassId, name: Symbol) -> Option<Bound> {
        let shape = self.vm.class(class);
        if let Some(slot) = shape.slot_index(name) {
            return Some(if shape.kind == ClassKind::Prototype { Bound::Shared(slot) } else { Bound::Slot(slot) });
        }
        let mut at = Some(class);
        while let Some(class) = at {
            let shape = self.vm.class(class);
            if let Some(&number) = shape.constants.get(&name) {
                return Some(Bound::Constant(number));
            }
            at = shape.parent;
        }
        None
    }

    /// Finds the classes that the VM itself uses, and checks that they are as it needs them.
    fn resolve_kernel(&mut self) -> Result<(), LinkError> {
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
        let immediates =
            [known.integer, known.float, known.nil, known.true_, known.false_, known.character, known.symbol];
        for (index, class) in immediates.into_iter().enumerate() {
            vm.immediate_classes[index] = class.0;
        }
        let needs: [(ClassId, usize, &'static str); 5] = [
            (known.message, 2, "the slots selector and arguments"),
            (known.exception, 1, "a slot messageText, its first"),
            (known.exception_set, 1, "a slot members, its first"),
            (known.reference, 2, "the slots path and kind"),
            (known.scaled_decimal, 2, "the slots unscaled and scale"),
        ];
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

    // ---- methods ----

    fn link_definition(&mut self, definition: &Definition<'a>) -> Result<(), LinkError> {
        let class = definition.class;
        let side = self.vm.class(class).counterpart;
        let is_trait = self.vm.class(class).kind == ClassKind::Trait;
        if let Some(parent) = self.vm.class(class).parent {
            let parent = self.vm.class(parent);
            let (events, timers, invariants) =
                (parent.events.clone(), parent.timers.clone(), parent.invariants.clone());
            let own = &mut self.vm.classes[class.0 as usize];
            (own.events, own.timers, own.invariants) = (events, timers, invariants);
        }
        // Slots that come from the parent are as they are there.
        for class in [class, side] {
            let Some(parent) = self.vm.class(class).parent else { continue };
            for index in 0..self.vm.class(parent).slots.len() {
                self.vm.classes[class.0 as usize].slots[index] = self.vm.class(parent).slots[index].clone();
            }
        }
        let context = Context { class, constants: class };
        let side_context = Context { class: side, constants: side };
        for part in &definition.parts {
            let name = part.image.name(part.prototype.name);
            self.link_behaviour(*part, &part.prototype.side, side_context, side, &format!("{name} class."))?;
            if is_trait {
                continue;
            }
            self.link_behaviour(*part, &part.prototype.instance, context, side, &format!("{name}."))?;
            for event in &part.prototype.events {
                let selector = self.vm.symbols.intern(part.image.name(event.selector));
                let events = &mut self.vm.classes[class.0 as usize].events;
                if !events.contains(&selector) {
                    events.push(selector);
                }
            }
            for timer in &part.prototype.timers {
                let method = self.method(part.number, part.image, timer.method, context, "")?;
                let duration = self.method(part.number, part.image, timer.duration, context, "")?;
                let timer = TimerDefinition { method, duration, repeats: timer.repeats };
                self.vm.classes[class.0 as usize].timers.push(timer);
            }
            for &invariant in &part.prototype.invariants {
                let method = self.method(part.number, part.image, invariant, context, "")?;
                self.vm.classes[class.0 as usize].invariants.push(method);
            }
        }
        for migration in &definition.parts[0].prototype.migrations {
            let method = self.method(definition.number, definition.image, migration.method, context, "")?;
            self.vm.classes[class.0 as usize].migrations.push((migration.from, method));
        }
        Ok(())
    }

    fn link_behaviour(
        &mut self,
        part: Part<'a>,
        behaviour: &'a Behaviour,
        context: Context,
        side: ClassId,
        prefix: &str,
    ) -> Result<(), LinkError> {
        let class = context.class;
        for &id in &behaviour.methods {
            let selector = self.vm.symbols.intern(part.image.name(part.image.method(id).selector));
            if !self.vm.class(class).methods.contains_key(&selector) {
                let method = self.method(part.number, part.image, id, context, prefix)?;
                self.vm.classes[class.0 as usize].methods.insert(selector, Target::Method(method));
            }
        }
        for slot in &behaviour.slots {
            let name = self.vm.symbols.intern(part.image.name(slot.name));
            if slot.constant {
                let Some(&number) = self.vm.class(class).constants.get(&name) else { continue };
                if self.constants.iter().any(|&(owner, constant, _, _)| owner == class && constant == name) {
                    continue;
                }
                let initialiser = match slot.initialiser {
                    Some(id) => {
                        let context = Context { class: side, constants: class };
                        Some(self.method(part.number, part.image, id, context, "")?)
                    }
                    None => None,
                };
                self.constants.push((class, name, number, initialiser));
                continue;
            }
            let inherited = self.vm.class(class).parent.map_or(0, |parent| self.vm.class(parent).slots.len());
            let Some(index) = self.vm.class(class).slot_index(name).filter(|&index| index >= inherited) else {
                continue;
            };
            if self.vm.class(class).slots[index].initialiser.is_some() {
                continue;
            }
            let initialiser = match slot.initialiser {
                Some(id) => Some(self.method(part.number, part.image, id, context, "")?),
                None => None,
            };
            let min = slot.annotation.min.as_ref().map(|literal| self.literal(part.image, literal));
            let max = slot.annotation.max.as_ref().map(|literal| self.literal(part.image, literal));
            let slot = &mut self.vm.classes[class.0 as usize].slots[index];
            (slot.initialiser, slot.min, slot.max) = (initialiser, min, max);
        }
        Ok(())
    }

    /// Methods of an `extend`: in the place of what the prototype itself has; those of a trait go to its
    /// users that have none of their own.
    fn extend(&mut self, number: usize, image: &'a Image, extension: &'a Extension) -> Result<(), LinkError> {
        let name = image.name(extension.name);
        let class = self.sought(number, name, "an extension")?;
        self.extended = true;
        let is_trait = self.vm.class(class).kind == ClassKind::Trait;
        let users: Vec<ClassId> = if is_trait {
            let ids = (0..self.vm.classes.len() as u32).map(ClassId);
            ids.filter(|&id| self.vm.class(id).traits.contains(&class)).collect()
        } else {
            vec![class]
        };
        for user in users {
            let of_side = self.vm.class(user).kind == ClassKind::Prototype;
            if of_side || self.vm.class(user).kind == ClassKind::Trait {
                continue;
            }
            for &id in &extension.methods {
                let selector = self.vm.symbols.intern(image.name(image.method(id).selector));
                if is_trait && self.vm.class(user).methods.contains_key(&selector) {
                    continue;
                }
                let context = Context { class: user, constants: user };
                let method = self.method(number, image, id, context, &format!("{name}."))?;
                self.vm.classes[user.0 as usize].methods.insert(selector, Target::Method(method));
            }
        }
        let side = self.vm.class(class).counterpart;
        for &id in &extension.side_methods {
            let selector = self.vm.symbols.intern(image.name(image.method(id).selector));
            let context = Context { class: side, constants: side };
            let method = self.method(number, image, id, context, &format!("{name} class."))?;
            self.vm.classes[side.0 as usize].methods.insert(selector, Target::Method(method));
        }
        Ok(())
    }

    fn method_name(&self, class: ClassId, selector: Symbol) -> String {
        let shape = self.vm.class(class);
        let side = if shape.kind == ClassKind::Prototype { " class" } else { "" };
        format!("{}{side}>>{}", self.vm.symbols.name(shape.name), self.vm.symbols.name(selector))
    }

    /// Links a method for a class. `prefix` comes before the selector in the name of a primitive.
    fn method(
        &mut self,
        number: usize,
        image: &'a Image,
        id: MethodId,
        context: Context,
        prefix: &str,
    ) -> Result<NonNull<LinkedMethod>, LinkError> {
        let method = image.method(id);
        let selector_text = image.name(method.selector);
        let selector = self.vm.symbols.intern(selector_text);
        let mut linked = LinkedMethod {
            selector,
            class: context.class,
            flags: method.flags,
            argument_count: method.argument_count,
            codes: Vec::new(),
            primitive: None,
            origin: Origin { image: number as u16, method: id.0 },
            mark: Mark::None,
        };
        self.vm.linked_words += 64;
        match &method.body {
            Body::Primitive => {
                linked.primitive = primitive::find(&format!("{prefix}{selector_text}"));
                let missing = linked.primitive.is_none();
                let linked = self.vm.methods.add(linked);
                if missing {
                    let ops = [Op::Stub { kind: Count(stub::MISSING) }, Op::Answer { value: Reg(0) }];
                    let registers = u32::from(method.argument_count) + 1;
                    let code = self.made_code(linked, &ops, Vec::new(), registers, method.argument_count);
                    self.vm.methods.set_codes(linked, vec![code]);
                }
                Ok(linked)
            }
            Body::Code(codes) => {
                let linked = self.vm.methods.add(linked);
                let mut result = Vec::with_capacity(codes.len());
                for (index, code) in codes.iter().enumerate() {
                    result.push(self.code(number, image, id, index, code, linked, context)?);
                }
                self.vm.methods.set_codes(linked, result);
                Ok(linked)
            }
        }
    }

    /// A code that linking makes.
    fn made_code(
        &mut self,
        method: NonNull<LinkedMethod>,
        ops: &[Op],
        sites: Vec<LinkedSite>,
        registers: u32,
        argument_count: u8,
    ) -> LinkedCode {
        let mut words = Vec::new();
        ops.iter().for_each(|op| op.encode(&mut words));
        self.vm.linked_words += words.len() + 16 * sites.len() + 32;
        LinkedCode {
            words: words.into(),
            literals: Box::new([]),
            caches: sites.iter().map(|_| Cell::new(Cache::EMPTY)).collect(),
            sites: sites.into(),
            register_count: registers,
            argument_count,
            captures: Box::new([]),
            method,
            index: 0,
            source_map: Box::new([]),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "called in one place")]
    fn code(
        &mut self,
        number: usize,
        image: &'a Image,
        id: MethodId,
        index: usize,
        code: &'a Code,
        method: NonNull<LinkedMethod>,
        context: Context,
    ) -> Result<LinkedCode, LinkError> {
        self.vm.linked_words += code.words.len() + code.literals.len() + 16 * code.sites.len() + 32;
        if self.vm.linked_words > TOTAL_MAX {
            return Err(LinkError::TooLarge { what: "instructions, counting traits for each use" });
        }
        let mut literals = match self.literals.get(&(number, id.0, index)) {
            Some(literals) => literals.clone(),
            None => {
                let literals: Vec<Value> = code.literals.iter().map(|literal| self.literal(image, literal)).collect();
                self.literals.insert((number, id.0, index), literals.clone());
                literals
            }
        };
        let selector = self.vm.symbols.intern(image.name(image.method(id).selector));
        let mut slots = Vec::with_capacity(code.slots.len());
        for &slot in &code.slots {
            let name = self.vm.symbols.intern(image.name(slot));
            let bound = self.bind(context.class, name).or_else(|| match self.bind(context.constants, name) {
                Some(Bound::Constant(number)) => Some(Bound::Constant(number)),
                Some(Bound::Slot(_) | Bound::Shared(_)) | None => None,
            });
            slots.push(bound.ok_or_else(|| LinkError::UnknownSlot {
                method: self.method_name(context.class, selector),
                slot: image.name(slot).to_owned(),
            })?);
        }
        let mut words = Vec::with_capacity(code.words.len());
        let mut at = 0;
        while at < code.words.len() {
            let op = codec::decode_at(&code.words, at).expect("callers verify images before they link them");
            let op = self.bind_op(number, image, op, &slots, &mut literals).map_err(|error| match error {
                LinkError::ConstantAssigned { constant: slot, .. } => LinkError::ConstantAssigned {
                    method: self.method_name(context.class, selector),
                    constant: match slot.parse::<usize>() {
                        Ok(row) => image.name(code.slots[row]).to_owned(),
                        Err(_) => slot,
                    },
                },
                other => other,
            })?;
            at += op.opcode().words();
            op.encode(&mut words);
        }
        let sites: Box<[LinkedSite]> = code
            .sites
            .iter()
            .map(|site| LinkedSite {
                selector: self.vm.symbols.intern(image.name(site.selector)),
                argument_count: site.argument_count,
                to_self: site.to_self,
            })
            .collect();
        Ok(LinkedCode {
            words: words.into(),
            literals: literals.into(),
            caches: sites.iter().map(|_| Cell::new(Cache::EMPTY)).collect(),
            sites,
            register_count: u32::from(code.register_count),
            argument_count: code.argument_count,
            captures: code.captures.clone().into(),
            method,
            index: index as u32,
            source_map: code.source_map.clone().into(),
        })
    }

    /// An instruction with its operands bound; it keeps its length.
    fn bind_op(
        &mut self,
        number: usize,
        image: &Image,
        op: Op,
        slots: &[Bound],
        literals: &mut Vec<Value>,
    ) -> Result<Op, LinkError> {
        let mut literal = |value: Value| match literals.iter().position(|&known| known == value) {
            Some(row) => Ok(operand::Literal(row as u16)),
            None if literals.len() < ROWS_MAX => {
                literals.push(value);
                Ok(operand::Literal((literals.len() - 1) as u16))
            }
            None => Err(LinkError::TooLarge { what: "literals in one code" }),
        };
        Ok(match op {
            Op::LoadSlot { dst, slot } => match slots[usize::from(slot.0)] {
                Bound::Slot(offset) => Op::LoadSlot { dst, slot: operand::Slot(offset as u16) },
                Bound::Shared(offset) => Op::LoadShared { dst, slot: operand::Slot(offset as u16) },
                Bound::Constant(number) => Op::LoadConstant { dst, constant: operand::Literal(number as u16) },
            },
            Op::StoreSlot { src, slot } => match slots[usize::from(slot.0)] {
                Bound::Slot(offset) => Op::StoreSlot { src, slot: operand::Slot(offset as u16) },
                Bound::Shared(offset) => Op::StoreShared { src, slot: operand::Slot(offset as u16) },
                Bound::Constant(_) => {
                    return Err(LinkError::ConstantAssigned { method: String::new(), constant: slot.0.to_string() });
                }
            },
            Op::LoadGlobal { dst, global } => {
                let name = self.vm.symbols.intern(image.name(image.globals[usize::from(global.0)]));
                match self.vm.find_global(number, name) {
                    Some(class) => {
                        let prototype = self.vm.class(class).prototype;
                        Op::LoadLiteral { dst, literal: literal(prototype)? }
                    }
                    None => {
                        let literal = literal(Value::symbol(name.0))?;
                        Op::LoadGlobal { dst, global: operand::Global(literal.0) }
                    }
                }
            }
            Op::LoadVariable { dst, variable } => Op::LoadVariable { dst, variable: self.variable(image, variable) },
            Op::StoreVariable { src, variable } => Op::StoreVariable { src, variable: self.variable(image, variable) },
            other => other,
        })
    }

    fn variable(&mut self, image: &Image, variable: operand::Variable) -> operand::Variable {
        let name = self.vm.symbols.intern(image.name(image.variables[usize::from(variable.0)]));
        let row = self.vm.variable_names.iter().position(|&known| known == name);
        operand::Variable(row.expect("noted when the image was loaded") as u16)
    }

    /// A literal as a permanent value.
    fn literal(&mut self, image: &Image, literal: &Literal) -> Value {
        match literal {
            Literal::Nil => Value::NIL,
            Literal::True => Value::TRUE,
            Literal::False => Value::FALSE,
            Literal::Integer(number) => match Value::integer(*number) {
                Some(value) => value,
                None => self.large_integer(&num_bigint::BigInt::from(*number)),
            },
            Literal::LargeInteger { negative, magnitude } => {
                let sign = if *negative { num_bigint::Sign::Minus } else { num_bigint::Sign::Plus };
                self.large_integer(&num_bigint::BigInt::from_bytes_le(sign, magnitude))
            }
            Literal::Float(bits) => {
                let number = f64::from_bits(*bits);
                match Value::float(number) {
                    Some(value) => value,
                    None => self.vm.heap.permanent_bytes(self.vm.known.float, &bits.to_le_bytes(), 0),
                }
            }
            Literal::ScaledDecimal { digits, scale } => {
                let unscaled: num_bigint::BigInt = digits.parse().expect("verified: decimal digits");
                let unscaled = match num_traits::ToPrimitive::to_i64(&unscaled).and_then(Value::integer) {
                    Some(value) => value,
                    None => self.large_integer(&unscaled),
                };
                let class = self.vm.known.scaled_decimal;
                let mut slots = vec![Value::NIL; self.vm.class(class).slots.len()];
                slots[0] = unscaled;
                slots[1] = Value::small(i64::from(*scale));
                self.vm.heap.permanent_slots(class, &slots)
            }
            Literal::Character(character) => Value::character(*character),
            Literal::String(text) => {
                let flags = if text.is_ascii() { heap::ASCII } else { 0 };
                self.vm.heap.permanent_bytes(self.vm.known.string, text.as_bytes(), flags)
            }
            Literal::Symbol(name) => Value::symbol(self.vm.symbols.intern(image.name(*name)).0),
            Literal::Array(items) => {
                let items: Vec<Value> = items.iter().map(|item| self.literal(image, item)).collect();
                self.vm.heap.permanent_array(self.vm.known.array, &items)
            }
            Literal::Bytes(bytes) => self.vm.heap.permanent_bytes(self.vm.known.byte_array, bytes, 0),
        }
    }

    fn large_integer(&mut self, number: &num_bigint::BigInt) -> Value {
        self.vm.heap.permanent_bytes(self.vm.known.large_integer, &number.to_signed_bytes_le(), 0)
    }

    // ---- readers and initialisers ----

    fn make_readers(&mut self, definition: &Definition<'a>) -> Result<(), LinkError> {
        let class = definition.class;
        let side = self.vm.class(class).counterpart;
        for class in [class, side] {
            let shape = self.vm.class(class);
            let of_side = shape.kind == ClassKind::Prototype;
            let inherited = shape.parent.map_or(0, |parent| self.vm.class(parent).slots.len());
            let slots: Vec<(usize, Symbol)> =
                shape.slots.iter().enumerate().skip(inherited).map(|(index, slot)| (index, slot.name)).collect();
            let mut constants: Vec<(Symbol, u32)> =
                shape.constants.iter().map(|(&name, &number)| (name, number)).collect();
            constants.sort_unstable();
            for (index, name) in slots {
                if self.vm.class(class).methods.contains_key(&name) || self.vm.symbols.name(name).is_empty() {
                    continue;
                }
                let target = if of_side {
                    Target::Method(self.shared_reader(class, name, index))
                } else {
                    Target::Getter(index as u32)
                };
                self.vm.classes[class.0 as usize].methods.insert(name, target);
            }
            for (name, number) in constants {
                let methods = &mut self.vm.classes[class.0 as usize].methods;
                methods.entry(name).or_insert(Target::Constant(number));
            }
        }
        Ok(())
    }

    /// The reader of a slot behind the dashes: a method, since it is refused in a turn.
    fn shared_reader(&mut self, class: ClassId, name: Symbol, index: usize) -> NonNull<LinkedMethod> {
        let flags = MethodFlags { query: true, ..MethodFlags::default() };
        let method = self.made_method(class, name, flags);
        let ops = [Op::LoadShared { dst: Reg(1), slot: operand::Slot(index as u16) }, Op::Answer { value: Reg(1) }];
        let code = self.made_code(method, &ops, Vec::new(), 2, 0);
        self.vm.methods.set_codes(method, vec![code]);
        method
    }

    /// A method that no image has.
    fn made_method(&mut self, class: ClassId, selector: Symbol, flags: MethodFlags) -> NonNull<LinkedMethod> {
        self.vm.methods.add(LinkedMethod {
            selector,
            class,
            flags,
            argument_count: 0,
            codes: Vec::new(),
            primitive: None,
            origin: Origin { image: self.vm.class(class).image, method: u32::MAX },
            mark: Mark::None,
        })
    }

    /// The hidden method that gives a new object its first values: sends each initialiser and stores the
    /// answer, then sends `initialize` if there is one.
    ///
    /// The initialisers are found by lookup under names that no source can write, so that their sends
    /// are sends like all others.
    fn make_initialiser(&mut self, definition: &Definition<'a>) -> Result<(), LinkError> {
        let class = definition.class;
        let side = self.vm.class(class).counterpart;
        for index in 0..self.vm.class(side).slots.len() {
            // Each prototype has its own of what its ancestors have behind the dashes.
            if let Some(initialiser) = self.vm.class(side).slots[index].initialiser {
                self.vm.shared_initialisers.push((self.vm.class(side).prototype, index, initialiser));
            }
        }
        if self.vm.class(class).kind == ClassKind::Trait || self.vm.class(class).layout != Layout::Slots {
            return Ok(());
        }
        let (mut ops, mut sites) = (Vec::new(), Vec::new());
        let start = |sites: &mut Vec<LinkedSite>, ops: &mut Vec<Op>, selector| {
            ops.push(Op::Copy { dst: Reg(1), src: Reg(0) });
            ops.push(Op::Send { base: Reg(1), site: operand::Site(sites.len() as u16) });
            sites.push(LinkedSite { selector, argument_count: 0, to_self: true });
        };
        for index in 0..self.vm.class(class).slots.len() {
            let slot = &self.vm.class(class).slots[index];
            let Some(initialiser) = slot.initialiser else { continue };
            let name = format!("{} <-", self.vm.symbols.name(slot.name));
            let selector = self.vm.symbols.intern(&name);
            self.vm.classes[class.0 as usize].methods.insert(selector, Target::Method(initialiser));
            start(&mut sites, &mut ops, selector);
            ops.push(Op::StoreSlot { src: Reg(1), slot: operand::Slot(index as u16) });
        }
        let initialize = self.vm.selectors.initialize;
        // The root's own `initialize` does nothing, and is there to be sent to `super`.
        let initializes = match self.vm.find_method(class, initialize) {
            Some(Target::Method(method)) => self.vm.linked(method).class != self.vm.known.object,
            Some(Target::Getter(_) | Target::Constant(_)) | None => false,
        };
        if self.vm.class(class).kind == ClassKind::Object && initializes {
            start(&mut sites, &mut ops, initialize);
        }
        if ops.is_empty() {
            return Ok(());
        }
        ops.push(Op::AnswerSelf {});
        let selector = self.vm.symbols.intern("new");
        let method = self.made_method(class, selector, MethodFlags { hidden: true, ..MethodFlags::default() });
        let code = self.made_code(method, &ops, sites, 2, 0);
        self.vm.methods.set_codes(method, vec![code]);
        self.vm.classes[class.0 as usize].initialiser = Some(method);
        if self.vm.linked_words > TOTAL_MAX {
            return Err(LinkError::TooLarge { what: "slots with initialisers, counting them for each descendant" });
        }
        Ok(())
    }

    /// Finds the prototypes that annotations name; one that is nowhere is for tools only.
    fn resolve_types(&mut self, definitions: &[Definition<'a>]) {
        let images: FxHashMap<usize, &Image> = self.images.iter().copied().collect();
        for definition in definitions {
            for index in 0..self.vm.class(definition.class).slots.len() {
                let slot = &self.vm.class(definition.class).slots[index];
                let (Some(name), number) = (slot.annotation.type_name, usize::from(slot.image)) else { continue };
                // Slots that come from an image linked before are resolved there.
                let found = match images.get(&number) {
                    Some(image) => {
                        let name = self.vm.symbols.find(image.name(name));
                        name.and_then(|name| self.vm.find_global(number, name))
                    }
                    None => continue,
                };
                self.vm.classes[definition.class.0 as usize].slots[index].type_class = found;
            }
        }
    }

    // ---- constants ----

    fn evaluate_constants(&mut self) -> Result<(), LinkError> {
        for (class, name, number, initialiser) in std::mem::take(&mut self.constants) {
            let Some(initialiser) = initialiser else { continue };
            let names = |vm: &Vm| (vm.symbols.name(vm.class(class).name).to_owned(), vm.symbols.name(name).to_owned());
            let prototype = self.vm.class(class).prototype;
            let limits = self.vm.limits;
            self.vm.limits.fuel = limits.fuel.min(CONSTANT_FUEL);
            let answer = self.vm.run_method(initialiser, &[prototype], &mut Silent);
            self.vm.limits = limits;
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

impl World for Silent {
    fn print(&mut self, _text: &str) {}
}

/// How deep the value of a constant may nest.
const CONSTANT_DEPTH_MAX: usize = 64;

impl Vm {
    /// A permanent copy of an immutable value; `None` if some part of it can be changed, or is a block.
    ///
    /// Objects of plain prototypes count as immutable here if all their slots are: they are frozen.
    fn make_permanent(&mut self, value: Value, depth: usize) -> Option<Value> {
        match value.kind() {
            Kind::Integer(_) | Kind::Float(_) | Kind::Nil | Kind::Boolean(_) | Kind::Character(_) | Kind::Symbol(_) => {
                return Some(value);
            }
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
