//! Classes, slots, method dictionaries, and linked code.
//!
//! Every prototype has two classes: that of its clones, and that of the prototype itself, which
//! holds what stands behind `----`. A class is never changed once a program is linked, so what an
//! inline cache learned stays true; an upgrade links a new program in a new VM.
//!
//! Methods of traits are linked once for each prototype that uses the trait, so that their slots
//! have fixed offsets like all others.

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use twintalk_bytecode::image::{Annotation, MethodFlags, SourceMapEntry, Supervision};

pub use crate::heap::ClassId;
use crate::primitive::Primitive;
use crate::symbol::Symbol;
use crate::value::Value;

/// What the objects of a class are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassKind {
    /// Plain objects.
    Object,
    /// Twins.
    Twin,
    /// A trait: no objects.
    Trait,
    /// The one prototype.
    Prototype,
}

/// What the objects of a class consist of; inherited, but for the kernel's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Slots.
    Slots,
    /// Values by index: arrays.
    Elements,
    /// Bytes: strings, byte arrays, large integers, and floats that do not fit in place.
    Bytes,
    /// No objects: the values are immediate, or only the VM makes them.
    None,
}

/// A slot of the objects of a class.
#[derive(Clone)]
pub struct Slot {
    /// Its name; empty for the hidden slot of twins.
    pub name: Symbol,
    /// What it starts with; nil without one.
    pub initialiser: Option<NonNull<LinkedMethod>>,
    /// The image whose names the annotation uses.
    pub image: u16,
    /// What stands between `<` and `>`.
    pub annotation: Arc<Annotation>,
    /// The prototype that it may hold, resolved from the annotation.
    pub type_class: Option<ClassId>,
    /// `min:` and `max:`, permanent values.
    pub min: Option<Value>,
    /// See `min`.
    pub max: Option<Value>,
}

/// A `timer` of a twin definition.
#[derive(Clone, Copy)]
pub struct TimerDefinition {
    /// Its body, whose selector is its name.
    pub method: NonNull<LinkedMethod>,
    /// Answers how long.
    pub duration: NonNull<LinkedMethod>,
    /// Again and again, or once.
    pub repeats: bool,
}

/// What a send may lead to.
#[derive(Clone, Copy)]
pub enum Target {
    /// A method.
    Method(NonNull<LinkedMethod>),
    /// The reader of a slot.
    Getter(u32),
    /// The reader of a constant.
    Constant(u32),
}

/// A class: the shape and behaviour of its objects.
pub struct Class {
    /// The prototype's name.
    pub name: Symbol,
    /// What its objects are.
    pub kind: ClassKind,
    /// What its objects consist of.
    pub layout: Layout,
    /// Where lookup goes on.
    pub parent: Option<ClassId>,
    /// The prototype.
    pub prototype: Value,
    /// The other of the two classes of the prototype.
    pub counterpart: ClassId,
    /// The image that defines it: the kernel's is 0.
    pub image: u16,
    /// Its traits and theirs, in the order in which they are asked.
    pub traits: Vec<ClassId>,
    /// Runs the initialisers of all slots, then `initialize` unless it is a twin; none where there
    /// is nothing to run.
    pub initialiser: Option<NonNull<LinkedMethod>>,
    /// What the slots of a new object hold before the initialiser runs; empty where that is nil.
    pub template: Box<[Value]>,
    /// All slots, the parent's first: the index is the offset.
    pub slots: Vec<Slot>,
    /// Constants, by name: where their value lies.
    pub constants: FxHashMap<Symbol, u32>,
    /// Its own methods and those of its traits.
    pub methods: FxHashMap<Symbol, Target>,
    /// What it declares to emit, with its ancestors and traits.
    pub events: Vec<Symbol>,
    /// Timers, with its ancestors' and traits'.
    pub timers: Vec<TimerDefinition>,
    /// Invariants, with its ancestors' and traits'.
    pub invariants: Vec<NonNull<LinkedMethod>>,
    /// `version n`.
    pub version: u32,
    /// `migrate n`, ascending.
    pub migrations: Vec<(u32, NonNull<LinkedMethod>)>,
    /// What becomes of a message whose turn failed; of the kernel's root what holds by default.
    pub supervision: Supervision,
    /// The comment before the definition.
    pub comment: Option<String>,
}

impl Class {
    /// The offset of the slot of this name.
    pub fn slot_index(&self, name: Symbol) -> Option<usize> {
        self.slots.iter().position(|slot| slot.name == name)
    }
}

/// Which method of which image; the same for all uses of a trait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The image: the kernel's is 0.
    pub image: u16,
    /// The number of the method in it.
    pub method: u32,
}

/// What unwinding and the search for handlers look for in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    None,
    /// Nothing; but the code is the VM's own, and no trace shows it.
    Own,
    /// `on:do:`: `r1` the exception, `r2` the handler.
    Handler,
    /// `ensure:`: `r1` the block, `r2` true once it runs.
    Ensure,
    /// `ifCurtailed:`: the same.
    Curtail,
    /// A handler at work: `r0` the exception, `r1` the handler, `r2` the frame of its `on:do:`.
    HandlerRun,
    /// A block of `ensure:` run while unwinding.
    Unwinding,
    /// A near send to another twin: `r0` that twin, `r1` the one that sent.
    Crossing,
    /// The first frame of a run.
    Base,
}

/// A method bound to the class it runs for.
pub struct LinkedMethod {
    /// Its selector.
    pub selector: Symbol,
    /// The class it is linked for; `super` starts above it.
    pub class: ClassId,
    /// Who may send it, and what it may do.
    pub flags: MethodFlags,
    /// How many arguments it takes.
    pub argument_count: u8,
    /// The body, then its blocks. Empty for a primitive.
    pub codes: Vec<LinkedCode>,
    /// The function, for a primitive.
    pub primitive: Option<Primitive>,
    /// What a send of it leads to, where its receiver is as that wants it; and the target for quick methods.
    pub quick: (Hit, usize),
    /// Which method of which image.
    pub origin: Origin,
    /// What unwinding sees in its frames.
    pub mark: Mark,
}

/// A code bound to offsets and cells, with the caches of its send sites.
///
/// What an activation reads comes first, in one cache line.
#[repr(C)]
pub struct LinkedCode {
    /// Instructions; as in the image, but for operands that linking bound.
    pub words: Box<[u32]>,
    /// The caches of the send sites.
    pub caches: Box<[Cell<Cache>]>,
    /// The window.
    pub register_count: u32,
    /// Its number in the method.
    pub index: u32,
    /// Arguments.
    pub argument_count: u8,
    /// The method it belongs to.
    pub method: NonNull<LinkedMethod>,
    /// Literals, permanent.
    pub literals: Box<[Value]>,
    /// What a block takes along: registers of the code that makes it.
    pub captures: Box<[u8]>,
    /// Send sites.
    pub sites: Box<[LinkedSite]>,
    /// From words to the source.
    pub source_map: Box<[SourceMapEntry]>,
}

/// A send site.
#[derive(Clone, Copy)]
pub struct LinkedSite {
    /// What is sent.
    pub selector: Symbol,
    /// With how many arguments.
    pub argument_count: u8,
    /// Whether the receiver is written `self` or `super`.
    pub to_self: bool,
}

/// What a hit in a cache leads to, and what `target` is then.
///
/// From [`Hit::Itself`] to [`Hit::Identical`] are quick methods: what they do is done without an activation,
/// for one unit of fuel. Behind them stand primitives that the interpreter does itself where nothing is uncommon;
/// where something is, the primitive is called as if there were no hit, so both say the same of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Hit {
    /// Nothing that can be done without a send in full.
    Empty,
    /// Activate the first code of a method; `target` points to the code.
    Code,
    /// Call a primitive; `target` points to the method.
    Primitive,
    /// The reader of a slot; `target` is its offset.
    Getter,
    /// The reader of a constant; `target` is its number.
    Constant,
    /// Activate a block with as many arguments as the site has.
    BlockValue,
    /// A method of a twin: `target` points to the code.
    TwinCode,
    /// `^self`.
    Itself,
    /// `^slot`; `target` is its offset.
    Slot,
    /// `^literal`; `target` is the word of the value.
    Literal,
    /// `slot := argument`; `target` is its offset.
    Store,
    /// `^slot := argument`; `target` is its offset.
    StoreAnswer,
    /// `^self == argument`.
    Identical,
    /// `new` of a prototype whose objects have slots: `target` is the class of the objects.
    New,
    /// `Array>>at:`; the class has elements. `target` points to the method, here and below.
    ArrayAt,
    /// `Array>>at:put:`; the class has elements.
    ArrayAtPut,
    /// `Array>>size`; the class has elements.
    ArraySize,
    /// `List>>at:`; the class has a list's slots.
    ListAt,
    /// `List>>at:put:`; the class has a list's slots.
    ListAtPut,
    /// `List>>add:`; the class has a list's slots.
    ListAdd,
    /// `String>>at:`; the class is the kernel's string.
    StringAt,
    /// A message that the reference does not answer itself: it is for the twin.
    Near,
}

/// The cache of a send site: the class it saw last and where that led (Deutsch & Schiffman 1984). For a
/// send to `super`, the class above the method's.
///
/// Behind it stands one table for all sites, so that a site that sees many classes finds most of
/// them there. `misses` counts how often it had to learn anew: 0 empty, 1 monomorphic, more is
/// polymorphic, and past [`MEGAMORPHIC`] megamorphic.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub struct Cache {
    /// The class, or [`NO_CLASS`].
    pub class: u32,
    /// What a hit leads to.
    pub hit: Hit,
    /// Where, by `hit`.
    pub target: usize,
    /// How often the site learned.
    pub misses: u32,
}

// The interpreter multiplies by it.
const _: () = assert!(size_of::<Cache>() == 32);

/// A class number that no object has.
pub const NO_CLASS: u32 = u32::MAX;
/// From how many misses on a site counts as megamorphic.
pub const MEGAMORPHIC: u32 = 8;

impl Cache {
    /// A cache that has seen nothing.
    pub const EMPTY: Cache = Cache { class: NO_CLASS, hit: Hit::Empty, target: 0, misses: 0 };

    /// The state, in the field's words.
    pub fn state(&self) -> &'static str {
        match self.misses {
            0 => "empty",
            1 => "monomorphic",
            2..=MEGAMORPHIC => "polymorphic",
            _ => "megamorphic",
        }
    }
}

impl LinkedCode {
    /// The byte offset in the source for the instruction at `word`.
    pub fn source_offset(&self, word: usize) -> Option<u32> {
        let after = self.source_map.partition_point(|entry| entry.word as usize <= word);
        after.checked_sub(1).map(|at| self.source_map[at].offset)
    }
}
