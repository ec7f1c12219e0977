//! Shapes: what stored objects look like, by number.
//!
//! Bytes in records and snapshots name the prototype of an object by the number of its shape:
//! prototype, version and the names of its slots. Numbers only ever grow within a store. They follow from the
//! programs it has run, in order: installing a program numbers those of its shapes that no
//! earlier one had. So whoever has read the log up to a record can read the record, whatever the
//! present definitions say.
//!
//! A shape whose prototype has changed since is read by the names of its slots; one whose prototype is
//! gone cannot be made into an object, only looked at.

use rustc_hash::FxHashMap;

use crate::class::{ClassId, ClassKind};
use crate::symbol::Symbol;
use crate::vm::Vm;

/// What the stored objects of a prototype look like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// The name of the prototype.
    pub prototype: String,
    /// Whether it is the kernel's prototype of that name, rather than the program's.
    pub kernel: bool,
    /// Whether its objects are twins.
    pub twin: bool,
    /// `version n`.
    pub version: u32,
    /// The slots that are stored, in order.
    pub slots: Vec<String>,
}

impl Shape {
    /// Whether its objects are parts of long lists.
    pub(crate) fn is_part(&self) -> bool {
        self.kernel && self.prototype == "ListPart"
    }
}

/// A shape, and how the linked program reads it.
pub(crate) struct Entry {
    pub shape: Shape,
    /// The class of its objects in the linked program.
    pub class: Option<ClassId>,
    /// For each stored slot the index in an object of `class`, where it still has the slot.
    pub offsets: Vec<Option<u32>>,
    /// Whether objects of `class` have slots with a first value that the shape does not store: new ones.
    pub lacks_new: bool,
    /// The same, of transient slots.
    pub lacks_transient: bool,
}

/// Every shape of a store.
#[derive(Default)]
pub struct Shapes {
    entries: Vec<Entry>,
    numbers: FxHashMap<Shape, u32>,
    /// By class: the number, or `u32::MAX` for a class that has no stored objects.
    by_class: Vec<u32>,
}

impl Shapes {
    /// The number of `shape`, which is a new one if there was none like it.
    pub fn define(&mut self, shape: Shape) -> u32 {
        if let Some(&number) = self.numbers.get(&shape) {
            return number;
        }
        let number = u32::try_from(self.entries.len()).expect("shapes are far fewer than 2^32");
        self.numbers.insert(shape.clone(), number);
        self.entries.push(Entry { shape, class: None, offsets: Vec::new(), lacks_new: false, lacks_transient: false });
        number
    }

    /// The shape with this number.
    pub fn get(&self, number: u32) -> Option<&Shape> {
        self.entry(number).map(|entry| &entry.shape)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn entry(&self, number: u32) -> Option<&Entry> {
        self.entries.get(number as usize)
    }

    /// The number of the shape of a linked class, which is one of objects.
    pub(crate) fn number_of(&self, class: ClassId) -> Option<u32> {
        self.by_class.get(class.0 as usize).copied().filter(|&number| number != u32::MAX)
    }
}

impl Vm {
    /// The shapes, to be adopted again after an image was added.
    pub fn take_shapes(&mut self) -> Shapes {
        std::mem::take(&mut self.shapes)
    }

    /// The shapes with their numbers, for another program of the same store.
    pub fn copy_shapes(&self) -> Shapes {
        let mut copy = Shapes::default();
        for entry in &self.shapes.entries {
            copy.define(entry.shape.clone());
        }
        copy
    }

    /// Every shape so far.
    pub fn shapes(&self) -> &Shapes {
        &self.shapes
    }

    /// Puts `shapes`, known from a store, under this program: numbers the program's own shapes that are
    /// new, and finds for each the class that its objects have now.
    pub fn adopt_shapes(&mut self, mut shapes: Shapes) {
        shapes.by_class.clear();
        shapes.by_class.resize(self.classes.len(), u32::MAX);
        for index in 0..self.classes.len() {
            let class = ClassId(index as u32);
            if let Some(shape) = self.shape_of(class) {
                let number = shapes.define(shape);
                shapes.by_class[index] = number;
            }
        }
        for entry in &mut shapes.entries {
            let class = self.class_of_shape(&entry.shape);
            entry.class = class;
            entry.offsets = match class {
                Some(class) => entry
                    .shape
                    .slots
                    .iter()
                    .map(|name| {
                        let symbol = self.symbols.find(name)?;
                        self.class(class).slot_index(symbol).map(|index| index as u32)
                    })
                    .collect(),
                None => Vec::new(),
            };
            let lacking = class.map(|class| self.lacking(class, &entry.shape)).unwrap_or_default();
            entry.lacks_new = lacking.iter().any(|&index| !self.is_transient(class, index));
            entry.lacks_transient = lacking.iter().any(|&index| self.is_transient(class, index));
        }
        self.shapes = shapes;
    }

    fn is_transient(&self, class: Option<ClassId>, index: usize) -> bool {
        class.is_some_and(|class| self.class(class).slots[index].annotation.transient)
    }

    /// The slots with a first value that an object of `class` written with `shape` is read without, in order.
    pub(crate) fn lacking(&self, class: ClassId, shape: &Shape) -> Vec<usize> {
        let slots = self.class(class).slots.iter().enumerate();
        slots
            .filter(|(_, slot)| {
                let name = self.symbols.name(slot.name);
                let is_stored = !slot.annotation.transient && shape.slots.iter().any(|stored| stored == name);
                slot.initialiser.is_some() && !name.is_empty() && !is_stored
            })
            .map(|(index, _)| index)
            .collect()
    }

    /// The shape of the objects of a class; none for traits and for the class of a prototype.
    fn shape_of(&self, id: ClassId) -> Option<Shape> {
        let class = self.class(id);
        match class.kind {
            ClassKind::Object | ClassKind::Twin => Some(Shape {
                prototype: self.symbols.name(class.name).to_owned(),
                kernel: self.globals.first().and_then(|kernel| kernel.get(&class.name)) == Some(&id),
                twin: class.kind == ClassKind::Twin,
                version: class.version,
                slots: class
                    .slots
                    .iter()
                    .filter(|slot| !self.symbols.name(slot.name).is_empty() && !slot.annotation.transient)
                    .map(|slot| self.symbols.name(slot.name).to_owned())
                    .collect(),
            }),
            ClassKind::Trait | ClassKind::Prototype => None,
        }
    }

    /// The class that the objects of a shape have in this program.
    fn class_of_shape(&self, shape: &Shape) -> Option<ClassId> {
        let name: Symbol = self.symbols.find(&shape.prototype)?;
        let images = if shape.kernel { &self.globals[..1] } else { &self.globals[1..] };
        // The REPL loads one image after another: the newest definition counts.
        let class = *images.iter().rev().find_map(|names| names.get(&name))?;
        (self.shape_of(class)?.twin == shape.twin).then_some(class)
    }
}
