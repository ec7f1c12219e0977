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
//! Most programs use little of the kernel. So of the one that is embedded in the program, which links for sure, methods
//! get their codes when a message first finds them ([`Vm::link_found`]).
//!
//! Invariant: a method is linked for one class, and runs only with a `self` whose class descends from
//! it, so its offsets are right.

mod code;
mod constant;
pub mod earlier;
pub(crate) mod fuse;
mod shape;

use std::borrow::Cow;
use std::ptr::NonNull;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use twintalk_bytecode::image::*;
use twintalk_bytecode::op::Op;
use twintalk_bytecode::operand::{self, Reg};

use crate::class::{
    Cache, ClassId, ClassKind, Hit, Layout, LinkedMethod, LinkedSite, Mark, Origin, Target, TimerDefinition,
};
use crate::fault::Fault;
use crate::heap;
use crate::symbol::Symbol;
use crate::value::Value;
use crate::vm::{Kept, LoadedImage, Vm};

/// How many ancestors a prototype may have.
const DEPTH_MAX: usize = 256;
/// How many slots an object may have.
const SLOTS_MAX: usize = 4096;
/// How many traits a prototype may have, theirs included.
const TRAITS_MAX: usize = 256;
/// How many slots all classes of a link may have together, counting them for each descendant.
const SLOTS_TOTAL_MAX: usize = 1 << 20;
/// How many words all linked codes may take, counting traits for each use.
const WORDS_TOTAL_MAX: usize = 32 << 20;
/// Rows that an operand of two bytes can point at.
const ROWS_MAX: usize = 1 << 16;

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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Context {
    /// Where `super` starts above, and whose slots `self` has.
    class: ClassId,
    /// Where constants are sought besides: for the initialiser of a constant, whose `self` is the
    /// prototype, those of the instances.
    constants: ClassId,
}

/// What a name of a slot means.
#[derive(Clone, Copy)]
enum Bound {
    Slot(u16),
    Shared(u16),
    Constant(u16),
}

struct Linker<'a, 'v> {
    vm: &'v mut Vm,
    /// The first image, if it is the kernel that is embedded in the program.
    embedded: Option<&'static Image>,
    /// The images by their number in the VM; those of earlier links are not at hand.
    images: Vec<(usize, &'a Image)>,
    /// Literals by image, method and code, for traits that are linked again and again.
    literals: FxHashMap<(usize, u32, usize), Vec<Value>>,
    definitions: Vec<Definition<'a>>,
    /// The text of all traits, those linked before included.
    traits: FxHashMap<ClassId, Part<'a>>,
    /// What names of slots mean.
    bindings: FxHashMap<(Context, Symbol), Option<Bound>>,
    /// The prototypes that use a trait.
    users: FxHashMap<ClassId, Vec<ClassId>>,
    /// Constants in their order: owner, name, number, and what answers the value.
    constants: Vec<(ClassId, Symbol, u32, Option<NonNull<LinkedMethod>>)>,
    constants_seen: FxHashSet<(ClassId, Symbol)>,
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

    /// The same on the kernel that is embedded in the program: one of which a test says that all of it verifies and links.
    ///
    /// Cost: linear in the programs and the kernel's definitions, not in its codes.
    ///
    /// # Errors
    /// As [`Vm::link`].
    pub fn link_on(kernel: &'static Image, programs: &[&Image]) -> Result<Vm, LinkError> {
        let mut vm = Vm::empty();
        let images: Vec<&Image> = std::iter::once(kernel).chain(programs.iter().copied()).collect();
        vm.link_images_on(Some(kernel), &images)?;
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
        self.link_images_on(None, images)
    }

    /// `embedded`: the first of the images, if it is the kernel that is embedded in the program.
    fn link_images_on(&mut self, embedded: Option<&'static Image>, images: &[&Image]) -> Result<(), LinkError> {
        let first = self.images.len();
        let earlier: Vec<(usize, Kept)> = (self.images.iter().enumerate())
            .filter_map(|(number, image)| Some((number, image.kept.clone()?)))
            .collect();
        let numbered = images.iter().enumerate().map(|(nth, &image)| (first + nth, image)).collect();
        let mut linker = Linker::new(self, numbered);
        linker.embedded = embedded;
        for (number, image) in earlier.iter().map(|(number, kept)| (number, kept.image())) {
            for prototype in image.prototypes.iter().filter(|prototype| prototype.kind == PrototypeKind::Trait) {
                let name = linker.vm.symbols.intern(image.name(prototype.name));
                let class = linker.vm.globals[*number][&name];
                linker.traits.insert(class, Part { image, number: *number, prototype });
            }
        }
        linker.link()?;
        for class in &self.classes[self.exception_kinds.len()..] {
            let is_kind = class.kind == ClassKind::Prototype && self.inherits(class.counterpart, self.known.exception);
            self.exception_kinds.push(is_kind);
        }
        Ok(())
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

    /// Notes whether the kernel's arrays have the kernel's methods, so that the interpreter may do for them.
    fn note_arrays(&mut self) {
        let class = self.known.array;
        let (at, at_put) = (self.symbols.intern("at:"), self.symbols.intern("at:put:"));
        let header = |vm: &Vm, selector, hit| match vm.find_method(class, selector) {
            Some(Target::Method(method)) if vm.linked(method).quick.0 == hit => heap::Heap::array_header(class),
            Some(Target::Method(_) | Target::Getter(_) | Target::Constant(_)) | None => heap::NO_HEADER,
        };
        self.array_at = header(self, at, Hit::ArrayAt);
        self.array_at_put = header(self, at_put, Hit::ArrayAtPut);
    }

    /// Links the codes of a method of the embedded kernel that has none yet. Whoever runs a method that [`Vm::find_method`]
    /// found comes here first.
    pub(crate) fn link_found(&mut self, method: NonNull<LinkedMethod>) {
        let linked = self.linked(method);
        if linked.codes.is_empty() && linked.primitive.is_none() {
            self.link_later(method);
        }
    }

    #[cold]
    fn link_later(&mut self, method: NonNull<LinkedMethod>) {
        let Some(&Kept::Embedded(kernel)) = self.images[0].kept.as_ref() else {
            unreachable!("all other methods have their codes from the start");
        };
        let LinkedMethod { class, origin, .. } = *self.linked(method);
        // The limit is there for programs, and was kept when they were linked.
        let linked_words = std::mem::take(&mut self.linked_words);
        let mut linker = Linker::new(self, Vec::new());
        let context = Context { class, constants: class };
        let result = linker.codes(0, kernel, MethodId(origin.method), context, method);
        result.expect("a test of the embedded kernel links all of it");
        self.linked_words = linked_words;
    }

    /// Links all that waits for its first use: for those who look at code that need not have run.
    pub fn link_all(&mut self) {
        let waiting: Vec<NonNull<LinkedMethod>> = self.methods.iter().map(NonNull::from).collect();
        waiting.into_iter().for_each(|method| self.link_found(method));
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

impl<'a, 'v> Linker<'a, 'v> {
    fn new(vm: &'v mut Vm, images: Vec<(usize, &'a Image)>) -> Linker<'a, 'v> {
        Linker {
            vm,
            embedded: None,
            images,
            literals: FxHashMap::default(),
            definitions: Vec::new(),
            traits: FxHashMap::default(),
            bindings: FxHashMap::default(),
            users: FxHashMap::default(),
            constants: Vec::new(),
            constants_seen: FxHashSet::default(),
            extended: false,
            total_slots: 0,
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
                if !self.vm.variable_rows.contains_key(&name) {
                    if self.vm.variables.len() >= ROWS_MAX {
                        return Err(LinkError::TooLarge { what: "program variables" });
                    }
                    self.vm.variable_rows.insert(name, self.vm.variables.len() as u16);
                    self.vm.variables.push(Value::NIL);
                }
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
        self.vm.note_arrays();
        self.resolve_types(&definitions);
        self.evaluate_constants()
    }

    /// Notes what faults need of an image.
    fn load(&mut self, number: usize, image: &'a Image) {
        debug_assert_eq!(number, self.vm.images.len(), "images are numbered in order");
        let has_traits = || image.prototypes.iter().any(|prototype| prototype.kind == PrototypeKind::Trait);
        let (files, kept) = match self.embedded.filter(|_| number == 0) {
            Some(kernel) => (Cow::Borrowed(&*kernel.files), Some(Kept::Embedded(kernel))),
            None => (Cow::Owned(image.files.clone()), has_traits().then(|| Kept::Traits(Rc::new(image.clone())))),
        };
        self.vm.images.push(LoadedImage {
            files,
            method_files: image.methods.iter().map(|method| method.position.file).collect(),
            main: None,
            kept,
        });
        self.vm.globals.push(FxHashMap::default());
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
            let supervision = parent.supervision;
            let own = &mut self.vm.classes[class.0 as usize];
            (own.events, own.timers, own.invariants) = (events, timers, invariants);
            own.supervision = supervision;
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
        // The definition's own comes first, then those of its traits in their order.
        if let Some(own) = definition.parts.iter().find_map(|part| part.prototype.supervision) {
            self.vm.classes[class.0 as usize].supervision = own;
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
                if !self.constants_seen.insert((class, name)) {
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
        let users = if is_trait { self.users_of(class) } else { vec![class] };
        for user in users {
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

    /// The prototypes that use a trait and have objects.
    fn users_of(&mut self, used: ClassId) -> Vec<ClassId> {
        if self.users.is_empty() {
            for (number, class) in self.vm.classes.iter().enumerate() {
                if matches!(class.kind, ClassKind::Object | ClassKind::Twin) {
                    for &used in &class.traits {
                        self.users.entry(used).or_default().push(ClassId(number as u32));
                    }
                }
            }
        }
        self.users.get(&used).cloned().unwrap_or_default()
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
            quick: (Hit::Code, 0),
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
        let mut template: Vec<Value> = Vec::new();
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
            // What never changes is in an object from the start, unless code runs before that could see it.
            if ops.is_empty()
                && self.vm.class(class).kind == ClassKind::Object
                && let (Hit::Literal, word) = self.vm.linked(initialiser).quick
            {
                template.resize(self.vm.class(class).slots.len(), Value::NIL);
                template[index] = Value::from_bits(word as u64);
                continue;
            }
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
        self.vm.classes[class.0 as usize].template = template.into();
        if ops.is_empty() {
            return Ok(());
        }
        ops.push(Op::AnswerSelf {});
        let selector = self.vm.symbols.intern("new");
        let method = self.made_method(class, selector, MethodFlags { hidden: true, ..MethodFlags::default() });
        let code = self.made_code(method, &ops, sites, 2, 0);
        self.vm.methods.set_codes(method, vec![code]);
        self.vm.classes[class.0 as usize].initialiser = Some(method);
        if self.vm.linked_words > WORDS_TOTAL_MAX {
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
}
