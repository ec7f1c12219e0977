//! What the compiler makes and the VM loads: prototypes, methods, codes and literals, by name.
//!
//! An image names everything outside itself (parents, traits, globals, slots, selectors) by
//! string, so that it can be loaded beside any kernel; the VM links names to offsets and cells in
//! a copy of its own and never changes the image. The file form (`.twb`) is [`crate::file`], and
//! `spec/bytecode.md` has every byte of it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use crate::file::Place;

/// An index into [`Image::names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub u32);

/// An index into [`Image::methods`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodId(pub u32);

/// An index into [`Image::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u16);

/// One compiled program or library: a file and all that it imports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// Every name used anywhere in the image, each once.
    pub names: Vec<String>,
    /// The source files, for positions in faults. Empty in a stripped image.
    pub files: Vec<SourceFile>,
    /// The definitions, in an order in which no parent follows its child.
    pub prototypes: Vec<Prototype>,
    /// `extend NAME = ( ... )`, in the order of the source.
    pub extensions: Vec<Extension>,
    /// Capitalised names that codes use, for [`crate::operand::Global`].
    pub globals: Vec<NameId>,
    /// Program variables, for [`crate::operand::Variable`].
    pub variables: Vec<NameId>,
    /// Every method, initialiser and the statements of the program.
    pub methods: Vec<Method>,
    /// The statements at top level; `self` is nil there. They answer the last statement's value.
    pub main: Option<MethodId>,
}

/// A source file as positions need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path as the user gave it, relative.
    pub name: String,
    /// The byte offset at which each line starts; the first is 0.
    pub line_starts: Vec<u32>,
}

/// How a definition starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrototypeKind {
    /// `object`, or SOM's plain form.
    Object,
    /// `twin`.
    Twin,
    /// `trait`.
    Trait,
}

/// A named definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Prototype {
    /// Its name, unique in the image.
    pub name: NameId,
    /// How it was defined.
    pub kind: PrototypeKind,
    /// The parent by name; none only for the kernel's root. A definition of the image is sought
    /// first, then the kernel's.
    pub parent: Option<NameId>,
    /// The traits, in order; a later one does not replace what an earlier one or the definition has.
    pub traits: Vec<NameId>,
    /// What instances have and understand.
    pub instance: Behaviour,
    /// What stands behind `----`: what the prototype itself has and understands.
    pub side: Behaviour,
    /// `event pattern.`
    pub events: Vec<Event>,
    /// `timer name every: d = ( ... )`.
    pub timers: Vec<Timer>,
    /// `invariant name = ( ... )`: methods whose selector is the name.
    pub invariants: Vec<MethodId>,
    /// `version n.`; 1 where none is given.
    pub version: u32,
    /// `migrate n = ( ... )`, ascending by n.
    pub migrations: Vec<Migration>,
    /// `supervise ...`; none where what is inherited goes on to hold.
    pub supervision: Option<Supervision>,
    /// The comment before the definition.
    pub comment: Option<String>,
    /// Where the definition stands.
    pub position: SourcePosition,
}

/// The slots and methods of one side of a prototype.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Behaviour {
    /// In the order of the source; a slot starts with what its initialiser answers.
    pub slots: Vec<SlotDefinition>,
    /// Selectors are unique within the list. Readers of slots are not listed: every slot has one
    /// unless a method of its name is listed.
    pub methods: Vec<MethodId>,
}

/// `extend NAME = ( ... )`.
#[derive(Clone, Debug, PartialEq)]
pub struct Extension {
    /// The prototype that gets the methods.
    pub name: NameId,
    /// Methods for instances.
    pub methods: Vec<MethodId>,
    /// Methods behind `----`.
    pub side_methods: Vec<MethodId>,
}

/// A slot between bars.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotDefinition {
    /// Its name, unique among the slots of the prototype and its ancestors.
    pub name: NameId,
    /// `=` makes a constant, whose value is shared and found at load; `<-` a slot.
    pub constant: bool,
    /// A method without arguments that answers the first value, run with `self` being the new
    /// object (the prototype for a constant); nil where there is none.
    pub initialiser: Option<MethodId>,
    /// What stands between `<` and `>`.
    pub annotation: Annotation,
    /// The comment before the slot.
    pub comment: Option<String>,
}

/// What `<...>` says about a slot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotation {
    /// The type: a prototype's name.
    pub type_name: Option<NameId>,
    /// The unit: `m3`, `'rev/min'`.
    pub unit: Option<String>,
    /// `min:`.
    pub min: Option<Literal>,
    /// `max:`.
    pub max: Option<Literal>,
    /// `keep:`, in nanoseconds.
    pub keep_ns: Option<i64>,
    /// `personal`.
    pub personal: bool,
    /// `indexed`.
    pub indexed: bool,
    /// `transient`: not stored; starts with its initialiser whenever the twin is loaded.
    pub transient: bool,
    /// All else, as written, kept for tools.
    pub other: Vec<String>,
}

/// `event alarm: aSymbol.`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its selector.
    pub selector: NameId,
}

/// `timer name every: duration = ( ... )`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The body: a method without arguments whose selector is the timer's name.
    pub method: MethodId,
    /// Whether it fires again and again (`every:`) or once (`after:`).
    pub repeats: bool,
    /// The duration: a method without arguments, run once when the twin is made.
    pub duration: MethodId,
}

/// `migrate n = ( ... )`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The version it migrates from.
    pub from: u32,
    /// The body: a method without arguments.
    pub method: MethodId,
}

/// `supervise ...`: what becomes of a message whose turn failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// `retry: ...`; none where nothing is tried again.
    pub retry: Option<Retry>,
    /// What becomes of it in the end.
    pub then: GivingUp,
}

/// `retry: 5 after: 100 milliseconds upTo: 10 seconds within: 1 minute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often a message is tried again, and how many failures the twin may have within the window: 1 or more.
    pub count: u32,
    /// How long is waited before the first retry, in nanoseconds: 1 or more. Each further one waits twice as long.
    pub after_ns: i64,
    /// How long is waited at most: not less.
    pub up_to_ns: i64,
    /// The window in which failures of the twin are counted; none where each message is counted alone.
    pub within_ns: Option<i64>,
}

/// What becomes of a message that is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivingUp {
    /// It is laid aside.
    DeadLetter,
    /// So it is, and the twin takes no more until it is released.
    Quarantine,
    /// The twin above is told.
    Escalate,
}

impl Supervision {
    /// What holds where no definition says anything.
    pub const DEFAULT: Supervision = Supervision { retry: None, then: GivingUp::DeadLetter };
}

/// Where something stands in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourcePosition {
    /// The file; meaningless in a stripped image.
    pub file: u16,
    /// The byte offset.
    pub offset: u32,
}

/// Who may send the selector of a method, and what it may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MethodFlags {
    /// `private`: only to `self`.
    pub private: bool,
    /// `query`: changes nothing and sends nothing but queries.
    pub query: bool,
    /// Timers, initialisers, invariants and migrations: run by the system, never found by lookup.
    pub hidden: bool,
}

/// A method: the code of its body, then the codes of its blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// The selector, or for what is hidden the name.
    pub selector: NameId,
    /// How many arguments it takes: as many as its selector says.
    pub argument_count: u8,
    /// Who may send it, and what it may do.
    pub flags: MethodFlags,
    /// The body. Code 0 is the method's, the others its blocks', each numbered as
    /// [`crate::operand::CodeIndex`] says. A code only makes blocks of higher numbers.
    pub body: Body,
    /// Where the method stands.
    pub position: SourcePosition,
    /// The comment before the method, or first in its body.
    pub comment: Option<String>,
}

/// What a method does.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Codes; at least one.
    Code(Codes),
    /// `selector = primitive`: the VM's function named `Prototype.selector`, or
    /// `Prototype class.selector` behind the dashes.
    Primitive,
}

/// The codes of a method: a list. Those of an image that is embedded in the program are read when they are first looked at.
#[derive(Clone)]
pub struct Codes(Held);

#[derive(Clone)]
enum Held {
    Read(Vec<Code>),
    Embedded { place: Place, read: OnceLock<Vec<Code>> },
}

impl Codes {
    /// The codes that stand at `place`.
    pub(crate) fn embedded(place: Place) -> Codes {
        Codes(Held::Embedded { place, read: OnceLock::new() })
    }
}

impl From<Vec<Code>> for Codes {
    fn from(codes: Vec<Code>) -> Codes {
        Codes(Held::Read(codes))
    }
}

impl Deref for Codes {
    type Target = [Code];

    fn deref(&self) -> &[Code] {
        match &self.0 {
            Held::Read(codes) => codes,
            Held::Embedded { place, read } => read.get_or_init(|| place.read()),
        }
    }
}

impl DerefMut for Codes {
    fn deref_mut(&mut self) -> &mut [Code] {
        if let Held::Embedded { place, read } = &mut self.0 {
            self.0 = Held::Read(read.take().unwrap_or_else(|| place.read()));
        }
        match &mut self.0 {
            Held::Read(codes) => codes,
            Held::Embedded { .. } => unreachable!("read above"),
        }
    }
}

impl<'a> IntoIterator for &'a Codes {
    type Item = &'a Code;
    type IntoIter = std::slice::Iter<'a, Code>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Codes {
    fn eq(&self, other: &Codes) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The instructions of a method body or a block, and what they refer to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Code {
    /// How many arguments it takes.
    pub argument_count: u8,
    /// For a block: the registers of the code that makes it whose values it takes along, in the
    /// order in which they are put after its arguments. Empty for a method's body.
    pub captures: Vec<u8>,
    /// How many registers the window has: `self`, arguments, captures and temporaries, including
    /// the windows of sends up to their last argument.
    pub register_count: u16,
    /// The instructions, whole words.
    pub words: Vec<u32>,
    /// The literals.
    pub literals: Vec<Literal>,
    /// The send sites.
    pub sites: Vec<SendSite>,
    /// The slots of `self` that are named here.
    pub slots: Vec<NameId>,
    /// From words to the source, ascending by word: from `word` on, the source at `offset`. Empty
    /// in a stripped image.
    pub source_map: Vec<SourceMapEntry>,
}

/// One row of a source map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceMapEntry {
    /// The index of the first word of an instruction.
    pub word: u32,
    /// The byte offset in the method's file.
    pub offset: u32,
}

/// A send: what is asked. Its cache lies beside the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendSite {
    /// The selector.
    pub selector: NameId,
    /// How many arguments: as many as the selector says.
    pub argument_count: u8,
    /// Whether the receiver is written `self` or `super`: such a send finds private methods too.
    pub to_self: bool,
}

/// A value that the source writes out. Immutable.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `nil`, inside literal arrays.
    Nil,
    /// `true`, inside literal arrays.
    True,
    /// `false`, inside literal arrays.
    False,
    /// An integer that fits 64 bits.
    Integer(i64),
    /// A larger one: sign and magnitude, least significant byte first, no leading zero.
    LargeInteger {
        /// Whether it is below zero.
        negative: bool,
        /// The magnitude.
        magnitude: Vec<u8>,
    },
    /// A float, by its bits, so that equality of images is equality of bytes.
    Float(u64),
    /// `3.50s2`: the digits as an integer times 10^-scale.
    ScaledDecimal {
        /// The unscaled value as decimal text, e.g. `350`.
        digits: String,
        /// How many of the digits are behind the point.
        scale: u32,
    },
    /// `$a`.
    Character(char),
    /// `'text'`.
    String(String),
    /// `#symbol`.
    Symbol(NameId),
    /// `#(1 2 #three)`.
    Array(Vec<Literal>),
    /// `#[1 2 3]`.
    Bytes(Vec<u8>),
}

impl Image {
    /// The text of a name.
    pub fn name(&self, id: NameId) -> &str {
        &self.names[id.0 as usize]
    }

    /// The method with this number.
    pub fn method(&self, id: MethodId) -> &Method {
        &self.methods[id.0 as usize]
    }
}
