//! The machine: a linked program, its heap, and the run in hand.
//!
//! A [`Vm`] holds one linked program. What is in execution is a [`Run`]: windows, frames, a region
//! of objects, fuel, and for a turn what it has read and done. A program rests while a turn that it
//! caused runs: their runs change places.

use std::borrow::Cow;
use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

use rustc_hash::FxHashMap;
use twintalk_bytecode::image::{Image, SourceFile};
use twintalk_bytecode::op::Op;
use twintalk_bytecode::operand::{Count, Reg, Site};

use crate::class::*;
use crate::drive::Question;
use crate::fault::{ExceptionKind, Fault, TraceLine};
use crate::frame::{Frame, Stack};
use crate::heap::{self, Heap, Region};
use crate::interpret::observe::Dispatch;
use crate::link::earlier::Earlier;
use crate::primitive::{Stop, Window};
use crate::profile::recorder::Recorder;
use crate::reference::NEAR_MEMOS;
use crate::send::{Methods, Resend};
use crate::shape::Shapes;
use crate::symbol::{Symbol, Symbols};
use crate::turn::{Mode, TurnState};
use crate::turn_world::TurnWorld;
use crate::value::{Kind, Value};

/// Classes that the VM itself makes objects of, by the kernel's names.
macro_rules! well_known {
    ($($field:ident = $name:literal,)*) => {
        /// The kernel's classes that the VM itself makes or tests for.
        #[derive(Clone, Copy)]
        #[allow(missing_docs, reason = "each is the kernel's prototype of that name")]
        pub struct WellKnown { $(pub $field: ClassId,)* }

        impl WellKnown {
            /// Their names, which every kernel has.
            pub const NAMES: &[&str] = &[$($name,)*];

            pub(crate) fn resolve(find: impl Fn(&str) -> Option<ClassId>) -> Result<WellKnown, &'static str> {
                Ok(WellKnown { $($field: find($name).ok_or($name)?,)* })
            }

            pub(crate) const fn unresolved() -> WellKnown {
                WellKnown { $($field: ClassId(0),)* }
            }
        }
    };
}

well_known! {
    object = "Object",
    prototype = "Prototype",
    nil = "Nil",
    true_ = "True",
    false_ = "False",
    integer = "Integer",
    large_integer = "LargeInteger",
    float = "Float",
    scaled_decimal = "ScaledDecimal",
    character = "Character",
    symbol = "Symbol",
    string = "String",
    array = "Array",
    list_part = "ListPart",
    byte_array = "ByteArray",
    block = "Block",
    cell = "Cell",
    message = "Message",
    exception = "Exception",
    exception_set = "ExceptionSet",
    twin = "Twin",
    reference = "TwinReference",
    promise = "Promise",
    continuation = "Continuation",
    stream = "Stream",
}

/// Selectors that the VM itself sends or looks for.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "each is the selector of that name")]
pub struct Selectors {
    pub does_not_understand: Symbol,
    pub unknown_global: Symbol,
    pub signal: Symbol,
    pub default_action: Symbol,
    pub value: Symbol,
    pub value_1: Symbol,
    pub look_up: Symbol,
    pub look_up_if_absent: Symbol,
    pub put_value: Symbol,
    pub take_out_if_absent: Symbol,
    pub initialize: Symbol,
    pub created: Symbol,
    pub start_up: Symbol,
    pub start_timers: Symbol,
    pub clone_as: Symbol,
    pub clone_in_program: Symbol,
    pub fire_timer: Symbol,
    pub rearm_timer: Symbol,
    pub fire_errand: Symbol,
    pub rearm_errand: Symbol,
    pub part_failed: Symbol,
}

/// An entry of the table behind all inline caches.
#[derive(Clone, Copy)]
pub(crate) struct LookupEntry {
    pub class: u32,
    pub selector: Symbol,
    pub target: Option<Target>,
    /// What the cache of a site learns that does not send to `self`: `Empty` where only a send in full will do.
    pub hit: (Hit, usize),
}

pub(crate) const LOOKUP_ENTRIES: usize = 2048;

/// The row of the table behind the caches for a class and a selector.
#[inline(always)]
pub(crate) fn lookup_index(class: u32, selector: Symbol) -> usize {
    let mixed = (class.wrapping_mul(0x9e37_79b1) ^ selector.0.wrapping_mul(0x85eb_ca6b)) as usize >> 7;
    mixed & (LOOKUP_ENTRIES - 1)
}

/// What is in execution.
pub struct Run {
    pub(crate) stack: Stack,
    /// Where the interpreter stands whenever it is not inside a handler.
    pub(crate) pc: *const u32,
    pub(crate) base: *mut Value,
    pub(crate) frame: *mut Frame,
    /// Values on the stack above the current window that count: arguments of a send in the making.
    pub(crate) scratch_top: *mut Value,
    /// Where the answer goes of what the world is asked.
    pub(crate) answer_at: *mut Value,
    /// What is left to spend.
    pub(crate) fuel: i64,
    pub(crate) next_serial: u64,
    /// How many objects of this run were given a number by `identityHash`.
    pub(crate) next_identity: u32,
    /// Values that primitives and the decoder hold across allocations.
    pub(crate) handles: Vec<Value>,
    /// The region, while the run rests.
    region: Option<Region>,
    /// The promise of the program that is waited for.
    pub(crate) promise: Value,
    /// The promises of the program that have blocks to run.
    pub(crate) promises: Vec<Value>,
    /// What the turn reads and does.
    pub(crate) turn: Box<TurnState>,
    /// Which twins of the turn references led to; see [`Vm::near_twin`].
    pub(crate) near_memos: [u32; NEAR_MEMOS],
    /// The world of the turn.
    pub(crate) world: Option<TurnWorld>,
    pub(crate) raise: Option<(ClassId, String)>,
    pub(crate) unwind: Option<Unwind>,
    pub(crate) question: Option<Question>,
    pub(crate) fault: Option<Fault>,
    /// The method of the VM's own that [`Stop::Intrinsic`] runs.
    pub(crate) intrinsic: Option<NonNull<LinkedMethod>>,
    /// The send that [`Stop::AskAgain`] does again.
    pub(crate) resend: Option<Resend>,
    /// What a primitive wants, on the way from the fast handler to the cold one.
    pub(crate) pending_stop: Stop,
}

/// What to do once all frames above `to` are gone.
#[derive(Clone, Copy)]
pub(crate) struct Unwind {
    pub to: *mut Frame,
    pub then: Then,
    pub value: Value,
}

/// How the frame that an unwinding leads to goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It answers the value.
    Answer,
    /// It starts again.
    Restart,
    /// It is gone too, and the value signalled in its place.
    Signal,
}

impl Then {
    /// As an integer, for the window of [`Mark::Unwinding`](crate::class::Mark::Unwinding).
    pub(crate) fn number(self) -> i64 {
        self as i64
    }

    /// The other way round.
    ///
    /// # Panics
    /// For what is no number of one.
    pub(crate) fn of_number(number: i64) -> Then {
        match number {
            0 => Then::Answer,
            1 => Then::Restart,
            2 => Then::Signal,
            _ => unreachable!("written by `number`"),
        }
    }
}

impl Run {
    pub(crate) fn new() -> Run {
        let stack = Stack::new();
        Run {
            pc: std::ptr::null(),
            base: stack.values.start(),
            frame: stack.frames.start(),
            scratch_top: stack.values.start(),
            answer_at: stack.values.start(),
            stack,
            fuel: 0,
            next_serial: 0,
            next_identity: 0,
            handles: Vec::new(),
            region: None,
            promise: Value::NIL,
            promises: Vec::new(),
            turn: Box::new(TurnState::new()),
            near_memos: [u32::MAX; NEAR_MEMOS],
            world: None,
            raise: None,
            unwind: None,
            question: None,
            fault: None,
            intrinsic: None,
            resend: None,
            pending_stop: Stop::Fault,
        }
    }
}

/// Codes of the VM's own, marked for unwinding.
pub(crate) struct Intrinsics {
    pub base: NonNull<LinkedMethod>,
    pub crossing: NonNull<LinkedMethod>,
    pub on_do: NonNull<LinkedMethod>,
    pub ensure: NonNull<LinkedMethod>,
    pub if_curtailed: NonNull<LinkedMethod>,
    /// By the number of arguments that the handler takes.
    pub handler_run: [NonNull<LinkedMethod>; 2],
    pub unwinding: NonNull<LinkedMethod>,
    /// `pass`: `outer`, and what that answers is what the exception is resumed with.
    pub pass: NonNull<LinkedMethod>,
}

/// What the interpreter's own codes do at a `stub` instruction.
pub(crate) mod stub {
    pub const EXIT: u8 = 0;
    pub const CROSS_BACK: u8 = 1;
    pub const HANDLED: u8 = 2;
    pub const UNWIND_ON: u8 = 3;
    pub const MISSING: u8 = 4;
    pub const RESUME: u8 = 5;
}

/// A linked program and the run in hand.
pub struct Vm {
    /// All names.
    pub symbols: Symbols,
    pub(crate) heap: Heap,
    pub(crate) run: Run,
    pub(crate) immediate_classes: [u32; 10],
    pub(crate) lookup: Box<[LookupEntry]>,
    /// What the headers of the kernel's arrays are for `at:` in place; what no header is where programs have their own.
    pub(crate) array_at: u32,
    /// The same for `at:put:`.
    pub(crate) array_at_put: u32,
    pub(crate) classes: Vec<Class>,
    /// Whether a program is told of many twins page by page.
    pub(crate) pages: bool,
    pub(crate) known: WellKnown,
    pub(crate) exception_classes: Vec<ClassId>,
    pub(crate) selectors: Selectors,
    /// Of each class whether its one object is a kind of exceptions.
    pub(crate) exception_kinds: Vec<bool>,
    pub(crate) intrinsics: Intrinsics,
    pub(crate) constants: Vec<Value>,
    pub(crate) variables: Vec<Value>,
    /// Program variables by name.
    pub(crate) variable_rows: FxHashMap<Symbol, u16>,
    /// Prototypes that have slots behind the dashes: roots of a program.
    pub(crate) shared: Vec<Value>,
    pub(crate) methods: Methods,
    /// By origin of a method: the source file and the offset of its start.
    pub(crate) images: Vec<LoadedImage>,
    /// Names of prototypes by image: the image's own, then the kernel's.
    pub(crate) globals: Vec<FxHashMap<Symbol, ClassId>>,
    /// What is still to be run before a program: a prototype, its slot behind the dashes, and what
    /// answers the first value.
    pub(crate) shared_initialisers: Vec<(Value, usize, NonNull<LinkedMethod>)>,
    /// What a run may spend.
    pub(crate) limits: Limits,
    /// What stored objects look like.
    pub(crate) shapes: Shapes,
    /// What records call the program.
    pub(crate) program: [u8; 32],
    /// Methods that blocks which waited were found in.
    pub(crate) continued: FxHashMap<(Origin, ClassId), NonNull<LinkedMethod>>,
    /// What is linked of earlier programs.
    pub(crate) earlier: Earlier,
    /// Runs that are not in use; their memory is kept.
    #[allow(clippy::vec_box, reason = "a run is large, and passed on as it is")]
    pub(crate) spare_runs: Vec<Box<Run>>,
    /// How many stretches of their own run inside each other, of all runs together.
    pub(crate) nested: u32,
    /// What all linked codes take together, in words.
    pub(crate) linked_words: usize,
    /// What notes how code runs, if anything does.
    pub(crate) profile: Option<Box<Recorder>>,
    /// Where instructions are dispatched through.
    pub(crate) dispatch: Dispatch,
}

/// What is kept of an image after linking.
pub(crate) struct LoadedImage {
    pub files: Cow<'static, [SourceFile]>,
    pub method_files: Vec<u16>,
    pub main: Option<NonNull<LinkedMethod>>,
    /// The image, if there is still something to link of it.
    pub kept: Option<Kept>,
}

/// An image of which there is still something to link.
#[derive(Clone)]
pub(crate) enum Kept {
    /// The kernel that is embedded in the program: its methods, as they are first found.
    Embedded(&'static Image),
    /// It defines traits: later images may use them.
    Traits(Rc<Image>),
}

impl Kept {
    pub fn image(&self) -> &Image {
        match self {
            Kept::Embedded(image) => image,
            Kept::Traits(image) => image,
        }
    }
}

/// How much memory and fuel a run may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Activations and rounds of loops.
    pub fuel: i64,
    /// Live objects, in bytes.
    pub memory_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { fuel: 100_000_000, memory_bytes: 256 << 20 }
    }
}

impl Vm {
    /// A machine without a program.
    pub(crate) fn empty() -> Vm {
        let mut symbols = Symbols::default();
        let mut methods = Methods::default();
        let value = symbols.intern("value");
        let value_1 = symbols.intern("value:");
        let outer = symbols.intern("outer");
        let sites = [(value, 0), (value_1, 1), (outer, 0)];
        let mut make = |mark, registers, ops: &[Op]| intrinsic(&mut methods, mark, registers, ops, &sites);
        let (r0, r1, r2, r3, r4) = (Reg(0), Reg(1), Reg(2), Reg(3), Reg(4));
        let (value_site, value_1_site, outer_site) = (Site(0), Site(1), Site(2));
        let intrinsics = Intrinsics {
            base: make(Mark::Base, 1, &[Op::Stub { kind: Count(stub::EXIT) }]),
            crossing: make(Mark::Crossing, 4, &[Op::Stub { kind: Count(stub::CROSS_BACK) }]),
            on_do: make(
                Mark::Handler,
                5,
                &[Op::Copy { dst: r3, src: r0 }, Op::Send { base: r3, site: value_site }, Op::Answer { value: r3 }],
            ),
            ensure: make(
                Mark::Ensure,
                5,
                &[
                    Op::LoadNil { dst: r2 },
                    Op::Copy { dst: r3, src: r0 },
                    Op::Send { base: r3, site: value_site },
                    Op::LoadTrue { dst: r2 },
                    Op::Copy { dst: r4, src: r1 },
                    Op::Send { base: r4, site: value_site },
                    Op::Answer { value: r3 },
                ],
            ),
            if_curtailed: make(
                Mark::Curtail,
                5,
                &[
                    Op::LoadNil { dst: r2 },
                    Op::Copy { dst: r3, src: r0 },
                    Op::Send { base: r3, site: value_site },
                    Op::Answer { value: r3 },
                ],
            ),
            handler_run: [
                make(
                    Mark::HandlerRun,
                    5,
                    &[
                        Op::Copy { dst: r3, src: r1 },
                        Op::Send { base: r3, site: value_site },
                        Op::Stub { kind: Count(stub::HANDLED) },
                    ],
                ),
                make(
                    Mark::HandlerRun,
                    5,
                    &[
                        Op::Copy { dst: r3, src: r1 },
                        Op::Copy { dst: r4, src: r0 },
                        Op::Send { base: r3, site: value_1_site },
                        Op::Stub { kind: Count(stub::HANDLED) },
                    ],
                ),
            ],
            unwinding: make(
                Mark::Unwinding,
                5,
                &[Op::Send { base: r3, site: value_site }, Op::Stub { kind: Count(stub::UNWIND_ON) }],
            ),
            pass: make(
                Mark::Own,
                2,
                &[
                    Op::Copy { dst: r1, src: r0 },
                    Op::Send { base: r1, site: outer_site },
                    Op::Stub { kind: Count(stub::RESUME) },
                ],
            ),
        };
        let selectors = Selectors {
            does_not_understand: symbols.intern("doesNotUnderstand:"),
            unknown_global: symbols.intern("unknownGlobal:"),
            signal: symbols.intern("signal"),
            look_up: symbols.intern("lookUp:"),
            look_up_if_absent: symbols.intern("lookUp:ifAbsent:"),
            put_value: symbols.intern("put:value:"),
            take_out_if_absent: symbols.intern("takeOut:ifAbsent:"),
            default_action: symbols.intern("defaultAction"),
            value,
            value_1,
            initialize: symbols.intern("initialize"),
            created: symbols.intern("created"),
            start_up: symbols.intern("startUp"),
            start_timers: symbols.intern("startTimers"),
            clone_as: symbols.intern("cloneAs:"),
            clone_in_program: symbols.intern("cloneInProgram:"),
            fire_timer: symbols.intern("fireTimer:"),
            rearm_timer: symbols.intern("rearmTimer:"),
            fire_errand: symbols.intern("fireTimer:errand:"),
            rearm_errand: symbols.intern("rearmTimer:errand:"),
            part_failed: symbols.intern("partFailed:on:with:"),
        };
        Vm {
            symbols,
            heap: Heap::new(Limits::default().memory_bytes),
            run: Run::new(),
            immediate_classes: [0; 10],
            lookup: vec![
                LookupEntry { class: NO_CLASS, selector: Symbol(0), target: None, hit: (Hit::Empty, 0) };
                LOOKUP_ENTRIES
            ]
            .into(),
            array_at: heap::NO_HEADER,
            array_at_put: heap::NO_HEADER,
            classes: Vec::new(),
            pages: false,
            known: WellKnown::unresolved(),
            exception_classes: Vec::new(),
            selectors,
            exception_kinds: Vec::new(),
            intrinsics,
            constants: Vec::new(),
            variables: Vec::new(),
            variable_rows: FxHashMap::default(),
            shared: Vec::new(),
            methods,
            images: Vec::new(),
            globals: Vec::new(),
            shared_initialisers: Vec::new(),
            limits: Limits::default(),
            shapes: Shapes::default(),
            program: [0; 32],
            continued: FxHashMap::default(),
            earlier: Earlier::default(),
            spare_runs: Vec::new(),
            nested: 0,
            linked_words: 0,
            profile: None,
            dispatch: Dispatch::new(),
        }
    }

    /// Collects before every allocation from now on, or no longer: finds what forgets a root.
    pub fn set_stress(&mut self, on: bool) {
        self.heap.set_stress(on);
    }

    /// Tells what records call the program: the blocks that wait for replies are kept with it.
    pub fn set_program(&mut self, hash: [u8; 32]) {
        self.program = hash;
    }

    // ---- runs ----

    /// Puts `run` in place of the current one and returns that.
    pub(crate) fn swap_run(&mut self, mut run: Box<Run>) -> Box<Run> {
        let mut region = run.region.take().expect("a resting run has its region");
        self.heap.swap_region(&mut region);
        std::mem::swap(&mut self.run, &mut *run);
        run.region = Some(region);
        run
    }

    /// A run at rest, with an empty region.
    pub(crate) fn new_run(memory_bytes: usize) -> Box<Run> {
        let mut run = Box::new(Run::new());
        run.region = Some(Region::new(memory_bytes));
        run
    }

    /// How often the memory of a turn was collected, in all turns so far.
    pub fn collections(&self) -> u64 {
        self.heap.collections
    }

    // ---- classes ----

    /// The class of a value.
    #[inline(always)]
    pub fn class_of(&self, value: Value) -> ClassId {
        if value.is_pointer() {
            return self.heap.class_of_object(value);
        }
        ClassId(self.immediate_classes[immediate_index(value)])
    }

    /// The class with this number.
    #[inline(always)]
    pub fn class(&self, id: ClassId) -> &Class {
        &self.classes[id.0 as usize]
    }

    /// The heap, to read objects.
    pub fn heap(&self) -> &Heap {
        &self.heap
    }

    /// The kernel's classes.
    pub fn known(&self) -> &WellKnown {
        &self.known
    }

    /// The name of the prototype of a value's class.
    pub fn class_name(&self, value: Value) -> &str {
        self.symbols.name(self.class(self.class_of(value)).name)
    }

    /// Whether `class` is `ancestor` or descends from it.
    pub fn inherits(&self, class: ClassId, ancestor: ClassId) -> bool {
        let mut at = Some(class);
        while let Some(class) = at {
            if class == ancestor {
                return true;
            }
            at = self.class(class).parent;
        }
        false
    }

    /// Whether the value is an object of `class` or of one that descends from it.
    pub fn is_kind_of(&self, value: Value, class: ClassId) -> bool {
        self.inherits(self.class_of(value), class)
    }

    /// The class whose prototype `value` is.
    pub fn class_of_prototype(&self, value: Value) -> Option<ClassId> {
        if !value.is_pointer() {
            return None;
        }
        let class = self.class(self.heap.class_of_object(value));
        (class.kind == ClassKind::Prototype).then_some(class.counterpart)
    }

    /// Where a send of `selector` to an object of `class` leads, found along the parents.
    pub fn find_method(&self, class: ClassId, selector: Symbol) -> Option<Target> {
        let mut at = Some(class);
        while let Some(class) = at {
            let class = self.class(class);
            if let Some(&target) = class.methods.get(&selector) {
                return Some(target);
            }
            at = class.parent;
        }
        None
    }

    /// The same through the table behind the inline caches.
    pub(crate) fn lookup(&mut self, class: ClassId, selector: Symbol) -> Option<Target> {
        let index = lookup_index(class.0, selector);
        let entry = self.lookup[index];
        if entry.class == class.0 && entry.selector == selector {
            return entry.target;
        }
        let target = self.find_method(class, selector);
        if let Some(Target::Method(method)) = target {
            self.link_found(method);
        }
        let hit = match target {
            Some(Target::Method(method)) if self.linked(method).flags.private => (Hit::Empty, 0),
            Some(target) => self.hit_of(class, target),
            None => (Hit::Empty, 0),
        };
        self.lookup[index] = LookupEntry { class: class.0, selector, target, hit };
        target
    }

    // ---- the stack, as primitives see it ----

    #[inline(always)]
    pub(crate) fn stack_at(&self, index: usize) -> Value {
        self.run.stack.read(index)
    }

    #[inline(always)]
    pub(crate) fn set_stack_at(&mut self, index: usize, value: Value) {
        self.run.stack.write(index, value);
    }

    // ---- allocation ----

    /// Makes room: visits all roots, or ends the turn when its live objects pass the cap.
    #[cold]
    pub(crate) fn make_room(&mut self, words: usize) -> Result<(), Stop> {
        let run = &mut self.run;
        let program = run.turn.mode == Mode::Program;
        let top = crate::interpret::live_top(run);
        let (variables, shared) = (&mut self.variables, &self.shared);
        let shared_slots: &[Value] = if program { shared } else { &[] };
        let slots: Vec<Value> = shared_slots.to_vec();
        let counts: Vec<usize> = slots.iter().map(|&prototype| self.heap.slot_count(prototype)).collect();
        let mut shared_values: Vec<Value> = Vec::new();
        for (&prototype, &count) in slots.iter().zip(&counts) {
            for index in 0..count {
                shared_values.push(self.heap.slot(prototype, index));
            }
        }
        let fits = self.heap.collect(words, |visit| {
            run.stack.visit(top, visit);
            run.handles.iter_mut().for_each(&mut *visit);
            visit(&mut run.promise);
            run.promises.iter_mut().for_each(&mut *visit);
            run.turn.visit_roots(visit);
            if let Some(unwind) = &mut run.unwind {
                visit(&mut unwind.value);
            }
            if program {
                variables.iter_mut().for_each(&mut *visit);
                shared_values.iter_mut().for_each(&mut *visit);
            }
        });
        let mut moved = shared_values.into_iter();
        for (&prototype, &count) in slots.iter().zip(&counts) {
            for index in 0..count {
                let value = moved.next().expect("as many as were taken");
                self.heap.init_slot(prototype, index, value);
            }
        }
        if fits {
            return Ok(());
        }
        Err(self.fault("OutOfMemory", "the turn holds more live objects than its memory limit".to_owned()))
    }

    /// Ends the run with a fault that no handler sees.
    #[cold]
    pub(crate) fn fault(&mut self, kind: &str, text: String) -> Stop {
        let trace = self.trace();
        self.run.fault = Some(Fault { kind: kind.to_owned(), text, trace });
        Stop::Fault
    }

    /// The class of the objects that a prototype makes, if they are of this layout.
    ///
    /// # Errors
    /// `ArgumentError`: it is no prototype, or its objects are made in another way.
    pub fn class_to_make(&mut self, prototype: Value, layout: Layout) -> Result<ClassId, Stop> {
        let Some(class) = self.class_of_prototype(prototype) else {
            let text = format!("only prototypes make objects, but this is of {}", self.class_name(prototype));
            return Err(self.raise(ExceptionKind::ArgumentError, text));
        };
        if self.class(class).kind == ClassKind::Object && self.class(class).layout == layout {
            return Ok(class);
        }
        let text = format!("{} makes no objects in this way", self.symbols.name(self.class(class).name));
        Err(self.raise(ExceptionKind::ArgumentError, text))
    }

    /// A new object of `class`, its slots nil. The layout of the class is [`Layout::Slots`].
    pub fn allocate(&mut self, class: ClassId) -> Result<Value, Stop> {
        let slots = self.class(class).slots.len();
        match self.heap.allocate_slots(class, slots) {
            Ok(object) => Ok(object),
            Err(heap::Full) => {
                self.make_room(1 + slots)?;
                self.heap.allocate_slots(class, slots).map_err(|heap::Full| self.no_room())
            }
        }
    }

    /// A new object of an indexed class, its elements nil.
    pub fn allocate_indexed(&mut self, class: ClassId, length: usize) -> Result<Value, Stop> {
        if length > self.heap.region().cap_words() {
            return Err(self.no_room());
        }
        match self.heap.allocate_indexed(class, length) {
            Ok(object) => Ok(object),
            Err(heap::Full) => {
                self.make_room(2 + length)?;
                self.heap.allocate_indexed(class, length).map_err(|heap::Full| self.no_room())
            }
        }
    }

    /// A new raw object of `length` zero bytes.
    pub fn allocate_bytes(&mut self, class: ClassId, length: usize, flags: u64) -> Result<Value, Stop> {
        if length / 8 > self.heap.region().cap_words() {
            return Err(self.no_room());
        }
        match self.heap.allocate_bytes(class, length, flags) {
            Ok(object) => Ok(object),
            Err(heap::Full) => {
                self.make_room(2 + length.div_ceil(8))?;
                self.heap.allocate_bytes(class, length, flags).map_err(|heap::Full| self.no_room())
            }
        }
    }

    #[cold]
    pub(crate) fn no_room(&mut self) -> Stop {
        self.fault("OutOfMemory", "one object is larger than the memory limit of a turn".to_owned())
    }

    /// A shallow copy that can be written to; what never changes is its own copy.
    pub fn copy_object(&mut self, object: Value) -> Result<Value, Stop> {
        if !object.is_pointer()
            || self.heap.has_flags(object, heap::BLOCK)
            || self.class_of_prototype(object).is_some()
            || [self.known.float, self.known.large_integer].contains(&self.heap.class_of_object(object))
        {
            return Ok(object);
        }
        self.copy_words(object)
    }

    /// A shallow copy of an object that can be written to.
    pub(crate) fn copy_words(&mut self, object: Value) -> Result<Value, Stop> {
        match self.heap.copy(object) {
            Ok(copy) => Ok(copy),
            Err(heap::Full) => {
                self.run.handles.push(object);
                let room = self.make_room(self.heap.object_words(object));
                let object = self.run.handles.pop().expect("pushed above");
                room?;
                self.heap.copy(object).map_err(|heap::Full| self.no_room())
            }
        }
    }

    /// A new array of `values`, which must not come from the heap unless they are handles.
    pub fn new_array(&mut self, values: &[Value]) -> Result<Value, Stop> {
        let start = self.run.handles.len();
        self.run.handles.extend_from_slice(values);
        let array = self.allocate_indexed(self.known.array, values.len());
        let held: Vec<Value> = self.run.handles.drain(start..).collect();
        let array = array?;
        for (index, value) in held.into_iter().enumerate() {
            self.heap.init_element(array, index, value);
        }
        Ok(array)
    }

    /// A new immutable string.
    pub fn new_string(&mut self, text: &str) -> Result<Value, Stop> {
        let flags = heap::IMMUTABLE | if text.is_ascii() { heap::ASCII } else { 0 };
        let string = self.allocate_bytes(self.known.string, text.len(), flags)?;
        self.heap.init_bytes(string).copy_from_slice(text.as_bytes());
        Ok(string)
    }

    /// A float, boxed where it lies in the far bands.
    pub fn new_float(&mut self, number: f64) -> Result<Value, Stop> {
        if let Some(value) = Value::float(number) {
            return Ok(value);
        }
        let float = self.allocate_bytes(self.known.float, 8, heap::IMMUTABLE)?;
        self.heap.init_bytes(float).copy_from_slice(&number.to_bits().to_le_bytes());
        Ok(float)
    }

    /// The float that the value is, in place or boxed.
    pub fn as_float(&self, value: Value) -> Option<f64> {
        if value.is_float() {
            return Some(value.float_unchecked());
        }
        if value.is_pointer() && self.heap.class_of_object(value) == self.known.float {
            let bytes = self.heap.bytes(value).try_into().expect("boxed floats have eight bytes");
            return Some(f64::from_bits(u64::from_le_bytes(bytes)));
        }
        None
    }

    /// How many elements the value has, if it is an array.
    pub fn array_length(&self, value: Value) -> Option<usize> {
        self.array_elements(value).map(<[Value]>::len)
    }

    /// The elements, if the value is an array.
    pub fn array_elements(&self, value: Value) -> Option<&[Value]> {
        let is_array = value.is_pointer()
            && self.heap.has_flags(value, heap::INDEXED)
            && !self.heap.has_flags(value, heap::RAW | heap::BLOCK);
        is_array.then(|| self.heap.elements(value))
    }

    /// Puts the elements of the array that is the argument at `index` where the arguments of a send
    /// from the window go; answers how many.
    ///
    /// # Errors
    /// `ArgumentError` unless it is an array of `wanted` elements.
    pub(crate) fn spread_array(&mut self, window: Window, index: usize, wanted: usize) -> Result<u8, Stop> {
        let array = window.argument(self, index);
        let Some(count) = self.array_length(array) else {
            let text = format!("the arguments come in an array, but this is of {}", self.class_name(array));
            return Err(self.raise(ExceptionKind::ArgumentError, text));
        };
        if count != wanted || count > ARGUMENTS_MAX {
            let text = format!("{wanted} arguments are wanted, but the array has {count}");
            return Err(self.raise(ExceptionKind::ArgumentError, text));
        }
        self.run.stack.reserve_index(window.base + count + 8);
        for nth in 0..count {
            let argument = self.heap.element(array, nth);
            self.set_stack_at(window.base + 1 + nth, argument);
        }
        Ok(count as u8)
    }

    /// The text, if the value is a string or symbol.
    pub fn as_text(&self, value: Value) -> Option<&str> {
        match value.kind() {
            Kind::Symbol(number) => Some(self.symbols.name(Symbol(number))),
            Kind::Pointer if self.heap.class_of_object(value) == self.known.string => Some(self.heap.text(value)),
            _ => None,
        }
    }

    // ---- writing ----

    /// Makes sure that `object` may be written to, and notes what it was before the turn.
    ///
    /// # Errors
    /// `Immutable`, or `QueryWrites` inside a query.
    #[inline(always)]
    pub fn prepare_write(&mut self, object: Value) -> Result<(), Stop> {
        if self.heap.has_flags(object, heap::GUARDED) {
            return self.prepare_guarded_write(object);
        }
        Ok(())
    }

    #[cold]
    fn prepare_guarded_write(&mut self, object: Value) -> Result<(), Stop> {
        if self.heap.has_flags(object, heap::IMMUTABLE) {
            let name = self.class_name(object).to_owned();
            return Err(self.raise(
                ExceptionKind::Immutable,
                format!("this {name} is immutable: it is a literal, a constant or a prototype; `copy` gives one that can change"),
            ));
        }
        if self.run.turn.query {
            return Err(self.raise(ExceptionKind::QueryWrites, "a query changes nothing, but this one assigns a slot"));
        }
        self.heap.remember(object);
        Ok(())
    }

    /// Writes a slot, through the barrier.
    pub fn set_slot(&mut self, object: Value, index: usize, value: Value) -> Result<(), Stop> {
        self.prepare_write(object)?;
        self.heap.init_slot(object, index, value);
        Ok(())
    }

    /// Writes an element counted from 0, through the barrier. The index was checked.
    pub fn set_element(&mut self, object: Value, index: usize, value: Value) -> Result<(), Stop> {
        self.prepare_write(object)?;
        self.heap.init_element(object, index, value);
        Ok(())
    }

    pub(crate) fn note_raise(&mut self, kind: ExceptionKind, text: String) {
        self.run.raise = Some((self.exception_classes[kind as usize], text));
    }

    // ---- where we are ----

    /// The frames of the run, innermost first, the VM's own left out.
    pub fn trace(&self) -> Vec<TraceLine> {
        self.trace_below(0)
    }

    /// The same, without the `above` innermost frames.
    pub(crate) fn trace_below(&self, above: usize) -> Vec<TraceLine> {
        crate::interpret::frames(&self.run)
            .skip(above)
            .filter_map(|(code, pc, values)| self.trace_line(code, pc, values))
            .take(TRACE_LINES_MAX)
            .collect()
    }

    fn trace_line(&self, code: &LinkedCode, word: usize, values: &[Value]) -> Option<TraceLine> {
        let method = self.method_of(code);
        if method.mark != Mark::None {
            return None;
        }
        let place =
            self.place(code, word.saturating_sub(1)).map(|(file, line, column)| format!("{file}:{line}:{column}"));
        let receiver = self.traced_receiver(values[0], method.class);
        let twin = self.path_of(values[0]).map(str::to_owned);
        let method = self.traced_method(code, &values[1..]);
        Some(TraceLine { method, twin: twin.or(receiver), place })
    }

    /// File, line and column of the instruction at `word`, counted from 1; `None` where the image does not say.
    pub(crate) fn place(&self, code: &LinkedCode, word: usize) -> Option<(&str, u32, u32)> {
        let origin = self.method_of(code).origin;
        let number = origin.method as usize;
        let offset = code.source_offset(word)?;
        let (files, file) = match self.images.get(usize::from(origin.image)) {
            Some(image) => (&*image.files, *image.method_files.get(number)?),
            None => {
                let (_, _, image) = self.earlier.of(origin)?;
                (&*image.files, image.methods.get(number)?.position.file)
            }
        };
        let file = files.get(usize::from(file))?;
        let line = file.line_starts.partition_point(|&start| start <= offset);
        let column = offset - file.line_starts.get(line.checked_sub(1)?)? + 1;
        Some((&file.name, line as u32, column))
    }

    /// What a trace calls the code: `Tank>>fill:`, `Tank>>fill: block`, `main`.
    pub(crate) fn name_of(&self, code: &LinkedCode) -> String {
        let method = self.method_of(code);
        let block = if code.index == 0 { "" } else { " block" };
        let image = self.images.get(usize::from(method.origin.image));
        if image.is_some_and(|image| image.main == Some(code.method)) {
            return format!("main{block}");
        }
        format!("{}{block}", self.name_of_method(method))
    }

    /// `Tank>>fill:`, or `Tank class>>fill:` for what stands behind the dashes.
    pub(crate) fn name_of_method(&self, method: &LinkedMethod) -> String {
        let class = self.class(method.class);
        let side = if class.kind == ClassKind::Prototype { " class" } else { "" };
        format!("{}{side}>>{}", self.symbols.name(class.name), self.symbols.name(method.selector))
    }
}

/// How many arguments a send may have.
pub(crate) const ARGUMENTS_MAX: usize = 250;
/// How many lines of a trace are kept.
const TRACE_LINES_MAX: usize = 32;

/// The row of [`Vm::immediate_classes`] for a value that is no pointer.
#[inline(always)]
pub(crate) fn immediate_index(value: Value) -> usize {
    if value.is_integer() {
        0
    } else if value.is_float() {
        1
    } else {
        2 + (value.bits() as usize >> 3 & 0b111)
    }
}

/// Links one of the VM's own codes.
fn intrinsic(
    methods: &mut Methods,
    mark: Mark,
    registers: u32,
    ops: &[Op],
    sites: &[(Symbol, u8)],
) -> NonNull<LinkedMethod> {
    let mut words = Vec::new();
    for op in ops {
        op.encode(&mut words);
    }
    let method = methods.add(LinkedMethod {
        selector: Symbol(0),
        class: ClassId(0),
        flags: Default::default(),
        argument_count: 0,
        codes: Vec::new(),
        primitive: None,
        quick: (Hit::Code, 0),
        origin: Origin { image: 0, method: 0 },
        mark,
    });
    let site = |&(selector, argument_count)| LinkedSite { selector, argument_count, to_self: false };
    methods.set_codes(
        method,
        vec![LinkedCode {
            words: words.into(),
            literals: Box::new([]),
            sites: sites.iter().map(site).collect(),
            caches: sites.iter().map(|_| Cell::new(Cache::EMPTY)).collect(),
            register_count: registers,
            argument_count: 0,
            captures: Box::new([]),
            method,
            index: 0,
            source_map: Box::new([]),
        }],
    );
    method
}
