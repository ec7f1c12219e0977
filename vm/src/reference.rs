//! Twins as values: paths, references, and messages to them.
//!
//! Inside its own turn a twin is an object; everywhere else, and wherever it is kept, it is a reference: its
//! path. The two compare equal. A message to a reference is answered here in one of three ways: by the twin
//! itself, when it is of this composite; as a query, when it is of another; as a turn of its own, when a
//! program sends it.

use unicode_normalization::is_nfc;

use crate::class::{ClassId, ClassKind, Target};
use crate::codec::EncodeError;
use crate::drive::Question;
use crate::fault::ExceptionKind;
use crate::heap;
use crate::name::Name;
use crate::primitive::{Few, Stop, Window};
use crate::symbol::Symbol;
use crate::turn::Mode;
use crate::value::Value;
use crate::vm::Vm;
use crate::world::FarQuery;

/// How many segments a path has at most.
pub const SEGMENTS_MAX: usize = 16;
/// How many bytes a path has at most.
pub const PATH_BYTES_MAX: usize = 512;
/// How many bytes a segment has at most.
pub const SEGMENT_BYTES_MAX: usize = 128;

/// How many bytes a selector has at most that leaves its turn, or another name.
pub const NAME_BYTES_MAX: usize = 1024;

/// Whether `path` is one: segments of 1 to 128 bytes between slashes, at most 16 of them and 512 bytes.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_path(path: &str) -> Result<(), String> {
    if path.len() > PATH_BYTES_MAX {
        return Err(format!("a path has at most {PATH_BYTES_MAX} bytes, but this one has {}", path.len()));
    }
    let segments = path.split('/').count();
    if segments > SEGMENTS_MAX {
        return Err(format!("a path has at most {SEGMENTS_MAX} segments, but `{path}` has {segments}"));
    }
    path.split('/').try_for_each(|segment| check_segment(segment).map_err(|what| format!("{what} (in `{path}`)")))
}

/// Whether `segment` may stand between the slashes of a path.
///
/// # Errors
/// What is wrong with it, in words.
pub fn check_segment(segment: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("`{segment}` cannot be a segment of a path: {what}"));
    if segment.is_empty() {
        return wrong("it is empty");
    }
    if segment.len() > SEGMENT_BYTES_MAX {
        return wrong("it has more than 128 bytes");
    }
    if segment == "." || segment == ".." || segment == "-" {
        return wrong("`.`, `..` and `-` have meanings of their own in paths");
    }
    if let Some(character) = segment.chars().find(|character| "/#+*?{}".contains(*character)) {
        return wrong(&format!("`{character}` has a meaning of its own in paths"));
    }
    if segment.chars().any(char::is_control) {
        return wrong("it has a control character");
    }
    if segment.starts_with(' ') || segment.ends_with(' ') {
        return wrong("it has a space at its end");
    }
    if !is_nfc(segment) {
        return wrong("it is not in Unicode's normal form C");
    }
    Ok(())
}

/// How many places the twins that references led to are remembered in.
pub(crate) const NEAR_MEMOS: usize = 16;

impl Vm {
    /// The path, if the value is a twin of this turn or a reference.
    pub fn path_of(&self, value: Value) -> Option<&str> {
        if !value.is_pointer() {
            return None;
        }
        let class = self.heap.class_of_object(value);
        if class != self.known.reference && self.class(class).kind != ClassKind::Twin {
            return None;
        }
        if class == self.known.reference && !self.heap.has_flags(value, heap::IMMUTABLE) {
            // The VM made no reference of it: it names nothing, whatever a program has put there.
            return None;
        }
        let path = self.heap.slot(value, 0);
        (path.is_pointer() && self.heap.class_of_object(path) == self.known.string).then(|| self.heap.text(path))
    }

    /// Whether both are the same twin, as objects or references.
    pub(crate) fn same_twin(&self, left: Value, right: Value) -> bool {
        match (self.path_of(left), self.path_of(right)) {
            (Some(left), Some(right)) => left == right,
            (Some(_) | None, _) => false,
        }
    }

    /// The name of the prototype of a twin of this turn, or that a reference says its twin has.
    pub(crate) fn kind_of_twin(&self, twin: Value) -> Option<&str> {
        let class = self.heap.class_of_object(twin);
        if class != self.known.reference {
            return Some(self.symbols.name(self.class(class).name));
        }
        let class = self.class_of_prototype(self.heap.slot(twin, 1))?;
        Some(self.symbols.name(self.class(class).name))
    }

    /// A reference to the twin at `path`, said to be of the prototype `kind`.
    ///
    /// # Errors
    /// When there is no room.
    pub fn new_reference(&mut self, path: &str, kind: Option<Symbol>) -> Result<Value, Stop> {
        let name = self.new_string(path)?;
        self.run.handles.push(name);
        let reference = self.allocate(self.known.reference);
        let name = self.run.handles.pop().expect("pushed above");
        let reference = reference?;
        self.heap.init_slot(reference, 0, name);
        if let Some(prototype) = kind.and_then(|kind| self.prototype_named(kind)) {
            self.heap.init_slot(reference, 1, prototype);
        }
        self.heap.set_flags(reference, heap::IMMUTABLE);
        Ok(reference)
    }

    /// The prototype of this name as the newest image sees it.
    pub(crate) fn prototype_named(&self, name: Symbol) -> Option<Value> {
        let class: ClassId = *self.globals.iter().rev().find_map(|names| names.get(&name))?;
        Some(self.class(class).prototype)
    }

    /// The twin of this turn that a message to the reference is for, where nothing need be asked and nothing is wrong.
    ///
    /// It is sought where a reference at the same address was found last. What is there counts if it has the path and was not
    /// removed: so that may be another reference by now, or the twin another one.
    pub(crate) fn near_twin(&mut self, reference: Value) -> Option<Value> {
        if self.run.turn.mode != Mode::Turn {
            return None;
        }
        let path = self.path_of(reference)?;
        // The twins in hand are of this composite: whoever is remembered is near.
        let memo = (reference.bits() >> 3) as usize % NEAR_MEMOS;
        let remembered = (self.run.turn.twins.get(self.run.near_memos[memo] as usize))
            .filter(|twin| !twin.removed && *twin.path == *path);
        let (nth, twin) = match remembered {
            Some(twin) => (None, twin.value),
            None => {
                if !self.run.turn.is_near(path) {
                    return None;
                }
                let nth = self.run.turn.find(path)?;
                let twin = &self.run.turn.twins[nth];
                (Some(nth), (!twin.removed).then_some(twin.value)?)
            }
        };
        let wanted = self.class_of_prototype(self.heap.slot(reference, 1));
        if let Some(nth) = nth {
            self.run.near_memos[memo] = u32::try_from(nth).unwrap_or(u32::MAX);
        }
        wanted.is_none_or(|wanted| self.is_kind_of(twin, wanted)).then_some(twin)
    }

    /// Whom a message to the reference in the window is for: the twin, if it is of this composite. Otherwise the
    /// question is noted whose answer is the message's.
    pub(crate) fn resolve_reference(&mut self, window: Window, selector: Symbol) -> Result<Value, Stop> {
        let reference = window.receiver(self);
        let Some(path) = self.path_of(reference).map(str::to_owned) else {
            return Err(self.raise(ExceptionKind::PathError, "this reference names no twin"));
        };
        let kind = self.kind_of_twin(reference).map(str::to_owned);
        match self.run.turn.mode {
            Mode::Turn if self.run.turn.is_near(&path) => match self.run.turn.twin_at(&path) {
                Some(Some(twin)) => {
                    let wanted = self.class_of_prototype(self.heap.slot(reference, 1));
                    if wanted.is_none_or(|wanted| self.is_kind_of(twin, wanted)) {
                        return Ok(twin);
                    }
                    let text = format!(
                        "the twin at {path} is a {}, not a {}",
                        self.class_name(twin),
                        kind.unwrap_or_default()
                    );
                    Err(self.raise(ExceptionKind::NoSuchTwin, text))
                }
                Some(None) => Err(self.raise(ExceptionKind::NoSuchTwin, format!("the twin at {path} was removed"))),
                None => {
                    self.run.question = Some(Question::Near(path));
                    Err(Stop::AskAgain)
                }
            },
            Mode::Turn => {
                let arguments = self.encode_window(window, selector)?;
                let selector = self.symbols.name(selector).to_owned();
                self.run.question = Some(Question::Query(FarQuery { path, kind, selector, arguments }));
                Err(Stop::Ask)
            }
            Mode::Program => {
                if selector == self.selectors.clone_as && self.clones_as_usual(reference) {
                    return Err(Stop::Send { selector: self.selectors.clone_in_program, argument_count: 1 });
                }
                let arguments = self.encode_window(window, selector)?;
                let selector = self.symbols.name(selector).to_owned();
                self.run.question = Some(Question::Turn { path, kind, selector, arguments });
                Err(Stop::Ask)
            }
        }
    }

    /// Whether `cloneAs:` is, for all that the reference knows, the kernel's.
    fn clones_as_usual(&mut self, reference: Value) -> bool {
        let Some(class) = self.class_of_prototype(self.heap.slot(reference, 1)) else { return true };
        match self.lookup(class, self.selectors.clone_as) {
            Some(Target::Method(method)) => self.linked(method).origin.image == 0,
            Some(Target::Getter(_) | Target::Constant(_)) | None => false,
        }
    }

    /// `receiver ! message`: the promise, or the question that brings it.
    pub(crate) fn queue_far_send(&mut self, window: Window, selector: Symbol) -> Result<Value, Stop> {
        let Some(path) = self.path_of(window.receiver(self)).map(Name::from) else {
            let name = self.class_name(window.receiver(self)).to_owned();
            return Err(self.raise(
                ExceptionKind::ArgumentError,
                format!("`!` sends to a twin, but this receiver is of {name}: send to it without `!`"),
            ));
        };
        let kind = self.kind_of_twin(window.receiver(self)).map(Name::from);
        let arguments = self.encode_window(window, selector)?;
        let selector = Name::from(self.symbols.name(selector));
        let sent = self.send_far_message(path, selector, arguments);
        match (&sent, &mut self.run.question) {
            (Err(Stop::Ask), Some(Question::FarSend { kind: asked, .. })) => *asked = kind,
            (Ok(_), _) => {
                if let Some(send) = self.run.turn.effects.far_sends.last_mut() {
                    send.kind = kind;
                }
            }
            (Err(_), _) => {}
        }
        sent
    }

    /// A message to a twin in a later turn: the promise, or the question that brings it.
    pub(crate) fn send_far_message(&mut self, path: Name, selector: Name, arguments: Vec<u8>) -> Result<Value, Stop> {
        if self.run.turn.query {
            return Err(self.raise(ExceptionKind::QueryWrites, "a query sends nothing, but this one sends with `!`"));
        }
        match self.run.turn.mode {
            Mode::Program => {
                self.run.question = Some(Question::FarSend { path, kind: None, selector, arguments });
                Err(Stop::Ask)
            }
            Mode::Turn => {
                self.leave(path.len() + selector.len() + arguments.len())?;
                let sender = Name::from(self.path_of(self.run.turn.current).unwrap_or_default());
                let Some(promise) = self.run.turn.queue(sender, path, selector, arguments) else {
                    return Err(self.raise(ExceptionKind::Error, "a turn has at most 65,536 far sends"));
                };
                self.new_promise(promise)
            }
        }
    }

    /// The arguments in the window, as bytes, of a message that leaves the composite.
    fn encode_window(&mut self, window: Window, selector: Symbol) -> Result<Vec<u8>, Stop> {
        let name = self.symbols.name(selector);
        let reserved = name.starts_with('<') && name.contains(char::is_alphabetic);
        if reserved || name.len() > NAME_BYTES_MAX {
            let text = match reserved {
                true => format!("`{name}` is a message of the system's own"),
                false => format!("a selector has at most {NAME_BYTES_MAX} bytes"),
            };
            return Err(self.raise(ExceptionKind::ArgumentError, text));
        }
        let values = self.brought_whole(window.arguments(self))?;
        let mut bytes = Vec::with_capacity(16);
        match self.encode_arguments(&values, &mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) => Err(self.refuse_to_write(error, |prototype| {
                format!("an object of {prototype} cannot go to another composite: it is good for its own turn only")
            })),
        }
    }

    /// What crosses from one twin to another: itself if it cannot change, else a copy of all of it.
    pub(crate) fn copy_mutable(&mut self, value: Value) -> Result<Value, Stop> {
        if !value.is_pointer() {
            return Ok(value);
        }
        let class = self.heap.class_of_object(value);
        if class == self.known.promise {
            return Err(self.refuse_to_write(EncodeError::Promise, str::to_owned));
        }
        let shared = self.heap.has_flags(value, heap::IMMUTABLE)
            || class == self.known.block
            || self.class(class).kind == ClassKind::Twin
            || self.inherits(class, self.known.exception);
        if shared {
            return Ok(value);
        }
        let value = self.brought_whole(Few::from_slice(&[value]))?[0];
        let mut bytes = Vec::new();
        if let Err(error) = self.encode_message(value, &mut bytes) {
            return Err(self.refuse_to_write(error, |prototype| {
                format!("an object of {prototype} cannot go to another twin inside a collection: pass it by itself")
            }));
        }
        // What was just written can be read, unless there is no room.
        self.decode_message(&bytes).map_err(|error| self.fault("OutOfMemory", error.to_string()))
    }
}
