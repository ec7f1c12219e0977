//! `Object`: identity, copies and what can be asked of any value; and what a `Prototype` says of itself.

use rustc_hash::FxHashMap;

use crate::class::{ClassId, ClassKind, Target};
use crate::heap;
use crate::primitive::{Few, Row, Stop, Window};
use crate::primitives::integer::number_hash;
use crate::primitives::support::{hash_bytes, hash_word};
use crate::symbol::{Symbol, argument_count};
use crate::turn::Mode;
use crate::value::{Kind, Value};
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("Object.==", identical),
    ("Object.identityHash", identity_hash),
    ("Object.class", class),
    ("Object.isKindOf:", is_kind_of),
    ("Object.respondsTo:", responds_to),
    ("Object.shallowCopy", shallow_copy),
    ("Object.deepCopy", deep_copy),
    ("Object.nearestSelectorTo:", nearest_selector),
    ("Prototype.name", name),
    ("Prototype.parent", parent),
    ("Prototype.selectors", selectors),
    ("Prototype.slotNames", slot_names),
    ("Prototype.comment", comment),
    ("Prototype.includesSelector:", includes_selector),
    ("Prototype.inheritsFrom:", inherits_from),
];

fn identical(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (left, right) = (window.receiver(vm), window.argument(vm, 0));
    Ok(Value::boolean(left == right || (left.is_pointer() && right.is_pointer() && vm.same_twin(left, right))))
}

impl Vm {
    /// A hash of a value's identity, the same whenever the same turn runs again.
    ///
    /// What is immutable and what is immediate is hashed by what it says. In a program, an object that can
    /// change gets a number when it is first asked. In a turn it cannot: numbers there say where in the
    /// log an object belongs, and a hash must outlive the turn, since tables keep it; so objects of one
    /// prototype share theirs.
    pub(crate) fn identity_hash(&mut self, value: Value) -> u64 {
        match value.kind() {
            Kind::Pointer => {}
            Kind::Character(character) => return hash_word(u64::from(u32::from(character)) | 1 << 40),
            // A symbol's number depends on what was interned before, its name does not.
            Kind::Symbol(number) => return hash_bytes(self.symbols.name(Symbol(number)).as_bytes()),
            Kind::Integer(_) | Kind::Float(_) => {
                let number = self.as_number(value).expect("an integer or float");
                return number_hash(&number);
            }
            Kind::Nil => return hash_word(1),
            Kind::Boolean(is) => return hash_word(2 + u64::from(is)),
            Kind::Part(_) => return hash_bytes(self.class_name(value).as_bytes()),
        }
        if let Some(path) = self.path_of(value) {
            return hash_bytes(path.as_bytes());
        }
        if let Some(number) = self.as_number(value) {
            return number_hash(&number);
        }
        if let Some(class) = self.class_of_prototype(value) {
            return hash_bytes(self.symbols.name(self.class(class).name).as_bytes());
        }
        if self.heap.has_flags(value, heap::RAW) && self.heap.has_flags(value, heap::IMMUTABLE) {
            return hash_bytes(self.heap.bytes(value));
        }
        if self.heap.has_flags(value, heap::IMMUTABLE) || self.run.turn.mode == Mode::Turn {
            return hash_bytes(self.class_name(value).as_bytes());
        }
        let mut number = self.heap.number(value);
        if number == 0 {
            self.run.next_identity += 1;
            number = self.run.next_identity;
            self.heap.set_number(value, number);
        }
        hash_word(u64::from(number))
    }
}

fn identity_hash(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let receiver = window.receiver(vm);
    Ok(Value::small(vm.identity_hash(receiver) as i64))
}

fn class(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let class = vm.class_of(window.receiver(vm));
    Ok(vm.class(class).prototype)
}

/// The class whose prototype the argument is.
fn prototype_argument(vm: &mut Vm, window: Window) -> Result<ClassId, Stop> {
    let argument = window.argument(vm, 0);
    match vm.class_of_prototype(argument) {
        Some(class) => Ok(class),
        None => Err(vm.wrong_argument("a prototype", argument)),
    }
}

fn is_kind_of(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let wanted = prototype_argument(vm, window)?;
    let class = vm.class_of(window.receiver(vm));
    Ok(Value::boolean(vm.inherits(class, wanted) || vm.class(class).traits.contains(&wanted)))
}

fn understands(vm: &Vm, class: ClassId, selector: Symbol) -> bool {
    match vm.find_method(class, selector) {
        Some(Target::Method(method)) => {
            let flags = vm.linked(method).flags;
            !flags.private && !flags.hidden
        }
        Some(Target::Getter(_) | Target::Constant(_)) => true,
        None => false,
    }
}

fn responds_to(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let selector = vm.selector_argument(window, 0)?;
    Ok(Value::boolean(understands(vm, vm.class_of(window.receiver(vm)), selector)))
}

/// Whether a copy of the value is the value itself: what is immediate or immutable, prototypes, twins,
/// references, promises and blocks.
fn is_its_own_copy(vm: &Vm, value: Value) -> bool {
    if !value.is_pointer() {
        return true;
    }
    let class = vm.heap.class_of_object(value);
    match vm.class(class).kind {
        ClassKind::Twin | ClassKind::Trait | ClassKind::Prototype => return true,
        ClassKind::Object => {}
    }
    [vm.known.block, vm.known.reference, vm.known.promise, vm.known.cell, vm.known.large_integer, vm.known.float]
        .contains(&class)
}

fn shallow_copy(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let receiver = window.receiver(vm);
    if is_its_own_copy(vm, receiver) {
        return Ok(receiver);
    }
    vm.copy_object(receiver)
}

/// Copies all that the receiver reaches and that can be changed, each object once, so that what was
/// shared or went in circles does so again.
fn deep_copy(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let receiver = window.receiver(vm);
    if is_its_own_copy(vm, receiver) || vm.heap.has_flags(receiver, heap::IMMUTABLE) {
        return Ok(receiver);
    }
    let receiver = vm.brought_whole(Few::from_slice(&[receiver]))?[0];
    vm.with_handles(|vm, first| {
        // Handles in pairs, object and copy; places of objects are good until the next collection.
        let mut places: FxHashMap<u64, usize> = FxHashMap::default();
        let mut collections = vm.heap.collections;
        let mut copy_of = |vm: &mut Vm, value: Value| -> Result<usize, Stop> {
            if vm.heap.collections != collections {
                collections = vm.heap.collections;
                places = (first..vm.run.handles.len()).step_by(2).map(|at| (vm.run.handles[at].bits(), at)).collect();
            }
            if let Some(&at) = places.get(&value.bits()) {
                return Ok(at + 1);
            }
            let at = vm.run.handles.len();
            vm.run.handles.push(value);
            let copy = if vm.is_part(value) { vm.copy_words(value)? } else { vm.copy_object(value)? };
            vm.run.handles.push(copy);
            places.insert(vm.run.handles[at].bits(), at);
            vm.spend(4)?;
            Ok(at + 1)
        };
        copy_of(vm, receiver)?;
        let mut at = first + 1;
        while at < vm.run.handles.len() {
            let copy = vm.run.handles[at];
            let is_indexed = vm.heap.has_flags(copy, heap::INDEXED);
            let count = match (is_indexed, vm.heap.has_flags(copy, heap::RAW)) {
                (true, true) => 0,
                (true, false) => vm.heap.length(copy),
                (false, _) => vm.heap.slot_count(copy),
            };
            for index in 0..count {
                let copy = vm.run.handles[at];
                let part = if is_indexed { vm.heap.contents(copy)[index] } else { vm.heap.slot(copy, index) };
                let part = part.as_part().and_then(|number| vm.brought(number)).unwrap_or(part);
                if is_its_own_copy(vm, part) || vm.heap.has_flags(part, heap::IMMUTABLE) {
                    continue;
                }
                let part = copy_of(vm, part)?;
                let (copy, part) = (vm.run.handles[at], vm.run.handles[part]);
                if is_indexed {
                    vm.heap.init_part_element(copy, index, part);
                } else {
                    vm.heap.init_slot(copy, index, part);
                }
            }
            at += 2;
        }
        Ok(vm.run.handles[first + 1])
    })
}

/// How many methods are looked at for a near selector, and how long a name may be.
const NEAREST_METHODS_MAX: usize = 2000;
const NEAREST_NAME_MAX: usize = 64;

fn nearest_selector(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let wanted = vm.selector_argument(window, 0)?;
    let name = vm.symbols.name(wanted);
    let limit = ((name.chars().count() + 1) / 3).clamp(1, 3);
    let mut best: Option<(usize, &str, Symbol)> = None;
    let mut seen = 0;
    let mut at = Some(vm.class_of(window.receiver(vm)));
    while let Some(id) = at {
        let class = vm.class(id);
        for &selector in class.methods.keys() {
            seen += 1;
            let candidate = vm.symbols.name(selector);
            if seen > NEAREST_METHODS_MAX
                || name.len() > NEAREST_NAME_MAX
                || candidate.len().abs_diff(name.len()) > limit
                || argument_count(candidate) != argument_count(name)
                || !understands(vm, id, selector)
            {
                continue;
            }
            let found = (distance(name, candidate), candidate, selector);
            // By distance, then by name: the order of a hash table is no order.
            if found.0 <= limit && best.is_none_or(|best| (found.0, found.1) < (best.0, best.1)) {
                best = Some(found);
            }
        }
        at = class.parent;
    }
    let answer = best.map_or(Value::NIL, |(_, _, selector)| Value::symbol(selector.0));
    vm.spend(seen)?;
    Ok(answer)
}

/// How many characters are to be put in, left out or replaced to make one name of the other (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, one) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, &other) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(one != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

/// The class whose prototype the receiver is.
fn prototype_receiver(vm: &mut Vm, window: Window) -> Result<ClassId, Stop> {
    let receiver = window.receiver(vm);
    match vm.class_of_prototype(receiver) {
        Some(class) => Ok(class),
        None => Err(vm.wrong_receiver("prototypes", receiver)),
    }
}

fn name(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let class = prototype_receiver(vm, window)?;
    let name = vm.symbols.name(vm.class(class).name).to_owned();
    vm.new_string(&name)
}

fn parent(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let class = prototype_receiver(vm, window)?;
    Ok(vm.class(class).parent.map_or(Value::NIL, |parent| vm.class(parent).prototype))
}

fn selectors(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let class = prototype_receiver(vm, window)?;
    let mut names: Vec<(&str, Symbol)> = (vm.class(class).methods.iter())
        .filter(|(_, target)| match target {
            Target::Method(method) => !vm.linked(*method).flags.hidden,
            Target::Getter(_) | Target::Constant(_) => false,
        })
        .map(|(&selector, _)| (vm.symbols.name(selector), selector))
        .collect();
    names.sort_unstable();
    let symbols: Vec<Value> = names.into_iter().map(|(_, selector)| Value::symbol(selector.0)).collect();
    vm.spend(symbols.len())?;
    vm.new_array(&symbols)
}

fn slot_names(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let class = prototype_receiver(vm, window)?;
    let names: Vec<Value> = (vm.class(class).slots.iter())
        .filter(|slot| !vm.symbols.name(slot.name).is_empty())
        .map(|slot| Value::symbol(slot.name.0))
        .collect();
    vm.new_array(&names)
}

fn comment(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let class = prototype_receiver(vm, window)?;
    match vm.class(class).comment.clone() {
        Some(text) => vm.new_string(&text),
        None => Ok(Value::NIL),
    }
}

fn includes_selector(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let class = prototype_receiver(vm, window)?;
    let selector = vm.selector_argument(window, 0)?;
    Ok(Value::boolean(understands(vm, class, selector)))
}

fn inherits_from(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let class = prototype_receiver(vm, window)?;
    let wanted = prototype_argument(vm, window)?;
    Ok(Value::boolean(vm.inherits(class, wanted)))
}
