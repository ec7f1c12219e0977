//! `Twin`, `TwinReference`, and what belongs to the turn: `Clock`, `Random`, `Transcript`.

use crate::class::ClassKind;
use crate::drive::Question;
use crate::fault::ExceptionKind;
use crate::indexed::Hint;
use crate::many::{Many, Page, Verb};
use crate::primitive::{Few, Row, Stop, Window};
use crate::reference::{NAME_BYTES_MAX, check_path};
use crate::symbol::Symbol;
use crate::turn::{ALL, ALL_PATH, CLONE, ENSURE, Event, MAKE, Mode, RELEASE, TimerEffect};
use crate::value::{Kind, Value};
use crate::vm::{ARGUMENTS_MAX, Vm};
use crate::world::FarQuery;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("Twin.path", path),
    ("Twin.reference", reference),
    ("Twin.parent", parent),
    ("Twin.root", root),
    ("Twin.part:", part),
    ("Twin.makePart:of:", make_part),
    ("Twin.begin:", begin),
    ("Twin.hasPart:", has_part),
    ("Twin.partArray", part_array),
    ("Twin.allPartArray", all_part_array),
    ("Twin.end:", end),
    ("Twin.release", release),
    ("Twin.emit:withArguments:", emit),
    ("Twin.cloneImageFor:", clone_image_for),
    ("Twin.clone:as:", clone_as),
    ("TwinReference.makeClone:at:", make_clone_at),
    ("Twin.oldSlot:", old_slot),
    ("Twin.startSlots", start_slots),
    ("Twin.timerNames", timer_names),
    ("Twin.timerDuration:", timer_duration),
    ("Twin.timerRepeats:", timer_repeats),
    ("Twin.runTimer:", run_timer),
    ("Twin.setTimer:after:", set_timer_after),
    ("Twin.setTimer:again:", set_timer_again),
    ("Twin.setTimer:at:errand:", set_timer_errand),
    ("Twin.cancelTimer:", cancel_timer),
    ("Twin.newTimerName", new_timer_name),
    ("Twin.timerDue", timer_due),
    ("Twin class.at:", at),
    ("Twin class.new:", new),
    ("Twin class.ensure:", ensure),
    ("Twin class.ask:by:", ask_all),
    ("Twin class.ask:of:by:", ask_all),
    ("TwinQuery.pageOf:after:", page_after),
    ("TwinReference.==", same),
    ("Clock class.nanoseconds", now),
    ("Clock class.advanceNanoseconds:", advance),
    ("Random class.bits", random_bits),
    ("Program class.arguments", arguments),
    ("TestCase.recordsFrom:", records),
    ("Transcript class.showText:", show),
];

/// How many twins a page asks of each partition at most.
const PAGE_TWINS: u32 = 512;

// ---- receivers and arguments ----

/// The receiver is a twin of this turn.
fn twin(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let receiver = window.receiver(vm);
    if receiver.is_pointer() && vm.class(vm.class_of(receiver)).kind == ClassKind::Twin {
        return Ok(receiver);
    }
    let text = format!("this is for twins, but the receiver is of {}", vm.class_name(receiver));
    Err(vm.raise(ExceptionKind::ArgumentError, text))
}

fn twin_path(vm: &mut Vm, window: Window) -> Result<String, Stop> {
    let twin = twin(vm, window)?;
    Ok(vm.path_of(twin).unwrap_or_default().to_owned())
}

fn text(vm: &mut Vm, window: Window, index: usize, what: &str) -> Result<String, Stop> {
    let argument = window.argument(vm, index);
    match vm.as_text(argument) {
        Some(text) => Ok(text.to_owned()),
        None => {
            let text = format!("{what} is a string or symbol, but this is of {}", vm.class_name(argument));
            Err(vm.raise(ExceptionKind::ArgumentError, text))
        }
    }
}

fn symbol(vm: &mut Vm, window: Window, index: usize, what: &str) -> Result<Symbol, Stop> {
    let name = text(vm, window, index, what)?;
    Ok(vm.symbols.intern(&name))
}

fn integer(vm: &mut Vm, window: Window, index: usize, what: &str) -> Result<i64, Stop> {
    let argument = window.argument(vm, index);
    match argument.as_integer() {
        Some(integer) => Ok(integer),
        None => {
            let text = format!("{what} is an integer of 63 bits, but this is of {}", vm.class_name(argument));
            Err(vm.raise(ExceptionKind::ArgumentError, text))
        }
    }
}

fn changes_nothing(vm: &mut Vm, what: &str) -> Result<(), Stop> {
    if vm.run.turn.query {
        return Err(vm.raise(ExceptionKind::QueryWrites, format!("a query changes nothing, but this one {what}")));
    }
    Ok(())
}

fn program_only(vm: &mut Vm, what: &str) -> Result<(), Stop> {
    if vm.run.turn.mode != Mode::Program {
        return Err(vm.raise(ExceptionKind::ProgramOnly, format!("only a program {what}, not a twin's turn")));
    }
    Ok(())
}

fn turn_only(vm: &mut Vm) -> Result<(), Stop> {
    if vm.run.turn.mode == Mode::Program {
        return Err(vm.raise(ExceptionKind::Error, "this is for the turns of twins"));
    }
    Ok(())
}

/// The path of the part below the receiver that the first argument names.
fn part_path(vm: &mut Vm, window: Window) -> Result<String, Stop> {
    let name = text(vm, window, 0, "the name of a part")?;
    let path = format!("{}/{name}", twin_path(vm, window)?);
    match check_path(&path) {
        Ok(()) => Ok(path),
        Err(wrong) => Err(vm.raise(ExceptionKind::PathError, wrong)),
    }
}

// ---- paths ----

fn path(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let twin = twin(vm, window)?;
    Ok(vm.heap.slot(twin, 0))
}

fn reference(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let path = twin_path(vm, window)?;
    let kind = vm.class(vm.class_of(window.receiver(vm))).name;
    vm.new_reference(&path, Some(kind))
}

/// A reference to a twin of this composite, with its prototype if the turn has met it.
fn near_reference(vm: &mut Vm, path: &str) -> Result<Value, Stop> {
    let kind = match vm.run.turn.twin_at(path) {
        Some(Some(twin)) => Some(vm.class(vm.class_of(twin)).name),
        Some(None) | None => None,
    };
    vm.new_reference(path, kind)
}

fn parent(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let path = twin_path(vm, window)?;
    match path.rsplit_once('/') {
        Some((parent, _)) => near_reference(vm, parent),
        None => Ok(Value::NIL),
    }
}

fn root(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let path = twin_path(vm, window)?;
    near_reference(vm, crate::turn::first_segment(&path))
}

fn part(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let path = part_path(vm, window)?;
    near_reference(vm, &path)
}

// ---- parts ----

fn has_part(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let path = part_path(vm, window)?;
    match vm.run.turn.twin_at(&path) {
        Some(twin) => Ok(Value::boolean(twin.is_some())),
        None => {
            vm.run.question = Some(Question::Exists(path));
            Err(Stop::Ask)
        }
    }
}

/// The kernel has made sure that the path is free.
fn make_part(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    changes_nothing(vm, "makes a part")?;
    turn_only(vm)?;
    let maker = twin(vm, window)?;
    let maker_path = vm.path_of(maker).unwrap_or_default().to_owned();
    if vm.run.turn.twin_at(&maker_path) != Some(Some(maker)) {
        return Err(vm.raise(ExceptionKind::NoSuchTwin, format!("the twin at {maker_path} was removed")));
    }
    let name = text(vm, window, 0, "the name of a part")?;
    if name.contains('/') {
        let text = format!("{name} is more than one segment: each part is made by the twin above it");
        return Err(vm.raise(ExceptionKind::PathError, text));
    }
    let path = part_path(vm, window)?;
    let prototype = window.argument(vm, 1);
    let class = vm
        .class_of_prototype(prototype)
        .filter(|&class| vm.class(class).kind == ClassKind::Twin && class != vm.known.twin);
    let Some(class) = class else {
        let text = "a part is made from a twin definition: `self part: 'pump-1' of: Pump`";
        return Err(vm.raise(ExceptionKind::ArgumentError, text));
    };
    if matches!(vm.run.turn.twin_at(&path), Some(Some(_))) {
        return Err(vm.raise(ExceptionKind::PathError, format!("the path {path} is taken")));
    }
    let nth = vm.make_twin(&path, class)?;
    Ok(vm.run.turn.twins[nth].value)
}

/// `startUp` is private to each twin: the VM sends it on the maker's behalf.
fn begin(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    changes_nothing(vm, "makes a part")?;
    let part = window.argument(vm, 0);
    if !part.is_pointer() || vm.class(vm.class_of(part)).kind != ClassKind::Twin {
        return Err(vm.raise(ExceptionKind::ArgumentError, "only a twin begins its life"));
    }
    vm.set_stack_at(window.base, part);
    Err(Stop::Send { selector: vm.selectors.start_up, argument_count: 0 })
}

fn part_array(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    parts(vm, window, false)
}

fn all_part_array(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    parts(vm, window, true)
}

fn parts(vm: &mut Vm, window: Window, all: bool) -> Result<Value, Stop> {
    turn_only(vm)?;
    let path = twin_path(vm, window)?;
    vm.run.question = Some(Question::Parts { path, all });
    Err(Stop::Ask)
}

/// Ends one twin; the kernel goes through its parts.
fn end(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    changes_nothing(vm, "removes a twin")?;
    turn_only(vm)?;
    let Some(path) = vm.path_of(window.argument(vm, 0)).map(str::to_owned) else {
        return Err(vm.raise(ExceptionKind::ArgumentError, "only twins can be removed"));
    };
    if !vm.run.turn.is_near(&path) {
        return Err(vm.raise(ExceptionKind::FarSend, "only twins of the own composite can be removed in its turn"));
    }
    match vm.run.turn.find(&path) {
        Some(nth) => {
            vm.run.turn.remove(nth);
            Ok(Value::NIL)
        }
        None => {
            vm.run.question = Some(Question::Remove(path));
            Err(Stop::Ask)
        }
    }
}

/// Sends a twin in quarantine the message that releases it; nothing to another.
fn release(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    changes_nothing(vm, "releases a twin")?;
    turn_only(vm)?;
    let path = twin_path(vm, window)?;
    if vm.run.turn.find(&path).is_some_and(|nth| vm.run.turn.twins[nth].quarantined) {
        vm.send_far_message(path.into(), RELEASE.into(), vec![0])?;
    }
    Ok(window.receiver(vm))
}

// ---- clones ----

/// The path of a clone, which is the argument at `index`.
fn clone_path(vm: &mut Vm, window: Window, index: usize) -> Result<String, Stop> {
    let path = text(vm, window, index, "the path of a twin")?;
    match check_path(&path) {
        Ok(()) => Ok(path),
        Err(wrong) => Err(vm.raise(ExceptionKind::PathError, wrong)),
    }
}

fn clone_image_for(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    turn_only(vm)?;
    let twin = twin(vm, window)?;
    let from = twin_path(vm, window)?;
    if vm.run.turn.twin_at(&from) != Some(Some(twin)) {
        return Err(vm.raise(ExceptionKind::NoSuchTwin, format!("the twin at {from} was removed")));
    }
    let to = clone_path(vm, window, 0)?;
    vm.run.question = Some(Question::CloneImage { from, to });
    Err(Stop::Ask)
}

/// The bytes that [`clone_image_for`] answered.
fn clone_arguments(vm: &mut Vm, window: Window) -> Result<Vec<u8>, Stop> {
    let argument = window.argument(vm, 0);
    let is_bytes = argument.is_pointer() && vm.class_of(argument) == vm.known.byte_array;
    if is_bytes && vm.is_clone_image(vm.heap.bytes(argument)) {
        return Ok(vm.heap.bytes(argument).to_vec());
    }
    Err(vm.raise(ExceptionKind::ArgumentError, "this is for what `cloneImageFor:` has answered"))
}

/// In the own composite in this turn; elsewhere a far send.
fn clone_as(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    changes_nothing(vm, "makes a clone")?;
    turn_only(vm)?;
    let twin = twin(vm, window)?;
    let arguments = clone_arguments(vm, window)?;
    let path = clone_path(vm, window, 1)?;
    if vm.run.turn.is_near(&path) {
        vm.run.question = Some(Question::Clone { path, arguments });
        return Err(Stop::Ask);
    }
    let kind = vm.class(vm.class_of(twin)).name;
    vm.send_far_message(path.as_str().into(), CLONE.into(), arguments)?;
    vm.new_reference(&path, Some(kind))
}

fn make_clone_at(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    program_only(vm, "makes a clone so")?;
    let arguments = clone_arguments(vm, window)?;
    let path = clone_path(vm, window, 1)?;
    vm.run.question = Some(Question::Turn { path, kind: None, selector: CLONE.to_owned(), arguments });
    Err(Stop::Ask)
}

// ---- events, slots ----

fn emit(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    changes_nothing(vm, "emits an event")?;
    turn_only(vm)?;
    let path = twin_path(vm, window)?;
    let selector = text(vm, window, 0, "the name of an event")?;
    let Some(values) = vm.array_elements(window.argument(vm, 1)).map(<[Value]>::to_vec) else {
        return Err(vm.raise(ExceptionKind::ArgumentError, "the values of an event are an array"));
    };
    // A declared event of this name and number of values: `full`, `alarm:`, `moved:to:`.
    let names = vm.class(vm.class_of(window.receiver(vm))).events.iter().map(|&event| vm.symbols.name(event));
    let declared = names.into_iter().find(|event| {
        let named = **event == selector || event.split(':').next() == Some(selector.as_str());
        named && event.matches(':').count() == values.len()
    });
    let selector = declared.map_or(selector.clone(), str::to_owned);
    if selector.is_empty() || selector.len() > NAME_BYTES_MAX {
        let text = format!("the name of an event has 1 to {NAME_BYTES_MAX} bytes, but this one has {}", selector.len());
        return Err(vm.raise(ExceptionKind::ArgumentError, text));
    }
    let values = vm.brought_whole(values.into())?;
    let mut arguments = Vec::new();
    if let Err(error) = vm.encode_arguments(&values, &mut arguments) {
        return Err(vm.refuse_to_write(error, |prototype| {
            format!("an object of {prototype} cannot be in an event: it is good for its own turn only")
        }));
    }
    vm.leave(path.len() + selector.len() + arguments.len())?;
    vm.run.turn.effects.events.push(Event { path, selector, arguments });
    Ok(window.receiver(vm))
}

/// What a slot held before the twin was carried over to its present definition.
fn old_slot(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let path = twin_path(vm, window)?;
    let name = symbol(vm, window, 0, "the name of a slot")?;
    let found =
        vm.run.turn.find(&path).and_then(|nth| {
            vm.run.turn.twins[nth].old_slots.iter().find(|(old, _)| *old == name).map(|(_, value)| *value)
        });
    match found {
        Some(value) => Ok(value),
        None => {
            let text = format!("the definition before had no slot `{}`", vm.symbols.name(name));
            Err(vm.raise(ExceptionKind::ArgumentError, text))
        }
    }
}

fn start_slots(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let twin = twin(vm, window)?;
    match vm.class(vm.class_of(twin)).initialiser {
        None => Ok(twin),
        Some(initialiser) => {
            vm.run.intrinsic = Some(initialiser);
            Err(Stop::Intrinsic)
        }
    }
}

// ---- timers ----

fn timer_names(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let twin = twin(vm, window)?;
    let timers = &vm.class(vm.class_of(twin)).timers;
    let names: Vec<Value> = timers.iter().map(|timer| Value::symbol(vm.linked(timer.method).selector.0)).collect();
    vm.new_array(&names)
}

fn timer(vm: &mut Vm, window: Window) -> Result<crate::class::TimerDefinition, Stop> {
    let twin = twin(vm, window)?;
    let name = symbol(vm, window, 0, "the name of a timer")?;
    let found =
        vm.class(vm.class_of(twin)).timers.iter().find(|timer| vm.linked(timer.method).selector == name).copied();
    match found {
        Some(timer) => Ok(timer),
        None => {
            let text = format!("{} has no timer `{}`", vm.class_name(twin), vm.symbols.name(name));
            Err(vm.raise(ExceptionKind::ArgumentError, text))
        }
    }
}

fn timer_duration(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    vm.run.intrinsic = Some(timer(vm, window)?.duration);
    Err(Stop::Intrinsic)
}

fn timer_repeats(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::boolean(timer(vm, window)?.repeats))
}

fn run_timer(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    vm.run.intrinsic = Some(timer(vm, window)?.method);
    Err(Stop::Intrinsic)
}

fn set_timer_after(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let duration_ns = integer(vm, window, 1, "the duration of a timer in nanoseconds")?.max(0);
    let due_ns = vm.run.turn.now_ns.saturating_add(duration_ns);
    set_timer(vm, window, due_ns)
}

/// A timer that missed some of its times does not catch up: it goes on with the next.
fn set_timer_again(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let period_ns = integer(vm, window, 1, "the duration of a timer in nanoseconds")?.max(1);
    let now_ns = vm.run.turn.now_ns;
    let last_ns = vm.run.turn.due_ns.unwrap_or(now_ns);
    let missed = now_ns.saturating_sub(last_ns) / period_ns;
    let due_ns = last_ns.saturating_add(period_ns.saturating_mul(missed + 1));
    set_timer(vm, window, due_ns)
}

fn set_timer(vm: &mut Vm, window: Window, due_ns: i64) -> Result<Value, Stop> {
    changes_nothing(vm, "sets a timer")?;
    turn_only(vm)?;
    timer(vm, window)?;
    leave_timer(vm, window, Some(due_ns), Vec::new())
}

/// Sets a timer that sends the elements of an array, as an [`Errand`](crate::codec::Errand) has them.
fn set_timer_errand(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    changes_nothing(vm, "sets a timer")?;
    turn_only(vm)?;
    let due_ns = integer(vm, window, 1, "the time of a timer in nanoseconds")?;
    let errand = window.argument(vm, 2);
    if vm.class_of(errand) != vm.known.array {
        return Err(vm.raise(ExceptionKind::ArgumentError, "what a timer sends is an array"));
    }
    let values = vm.brought_whole(Few::from_slice(vm.heap.elements(errand)))?;
    let mut errand = Vec::new();
    if let Err(error) = vm.encode_arguments(&values, &mut errand) {
        return Err(vm.refuse_to_write(error, |prototype| {
            format!("an object of {prototype} cannot wait for a timer: it is good for its own turn only")
        }));
    }
    if crate::codec::Errand::from_bytes(&errand).is_none() {
        return Err(vm.raise(ExceptionKind::ArgumentError, format!("a message has at most {ARGUMENTS_MAX} arguments")));
    }
    leave_timer(vm, window, Some(due_ns), errand)
}

fn cancel_timer(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    changes_nothing(vm, "cancels a timer")?;
    turn_only(vm)?;
    leave_timer(vm, window, None, Vec::new())
}

/// A name that no other timer of the twin has or had.
fn new_timer_name(vm: &mut Vm, _window: Window) -> Result<Value, Stop> {
    turn_only(vm)?;
    let name = vm.run.turn.next_timer_name();
    Ok(Value::symbol(vm.symbols.intern(&name).0))
}

/// When the timer was due whose turn this is, in nanoseconds; if it is none, the time now.
fn timer_due(vm: &mut Vm, _window: Window) -> Result<Value, Stop> {
    let due_ns = vm.run.turn.due_ns.unwrap_or(vm.run.turn.now_ns);
    vm.new_integer(due_ns)
}

fn leave_timer(vm: &mut Vm, window: Window, due_ns: Option<i64>, errand: Vec<u8>) -> Result<Value, Stop> {
    let twin = twin(vm, window)?;
    let path = vm.path_of(twin).unwrap_or_default().to_owned();
    let name = text(vm, window, 0, "the name of a timer")?;
    if vm.run.turn.twin_at(&path) != Some(Some(twin)) {
        // Removed while its method still runs.
        return Ok(Value::NIL);
    }
    if due_ns == Some(i64::MAX) {
        // Past all time.
        return Ok(Value::NIL);
    }
    vm.leave(path.len() + name.len() + errand.len())?;
    vm.run.turn.effects.timers.push(TimerEffect { path, name, due_ns, errand });
    Ok(Value::NIL)
}

// ---- prototypes of twins ----

/// The path that the argument is, and the name of the twin prototype that the receiver is.
fn kind_and_path(vm: &mut Vm, window: Window) -> Result<(Symbol, String), Stop> {
    let path = text(vm, window, 0, "the path of a twin")?;
    let receiver = window.receiver(vm);
    let class = vm.class_of_prototype(receiver).filter(|&class| vm.class(class).kind == ClassKind::Twin);
    let Some(class) = class else {
        return Err(vm.raise(ExceptionKind::ArgumentError, "only twin definitions have twins"));
    };
    match check_path(&path) {
        Ok(()) => Ok((vm.class(class).name, path)),
        Err(wrong) => Err(vm.raise(ExceptionKind::PathError, wrong)),
    }
}

fn at(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (kind, path) = kind_and_path(vm, window)?;
    let kind = (window.receiver(vm) != vm.class(vm.known.twin).prototype).then_some(kind);
    vm.new_reference(&path, kind)
}

fn new(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    make(vm, window, MAKE)
}

fn ensure(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    make(vm, window, ENSURE)
}

/// What all twins of the receiver answer, as a [`Verb`] wants it: to a symbol, to a block, or to a block given what they answer to a symbol. In a
/// program nil, if the block is better evaluated there.
fn ask_all(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let class = vm.class_of_prototype(window.receiver(vm)).filter(|&class| vm.class(class).kind == ClassKind::Twin);
    let verb = text(vm, window, 0, "what is wanted of twins")?;
    let verb = Verb::ALL.iter().find(|(_, name)| *name == verb).map(|(verb, _)| *verb);
    let (Some(class), Some(verb)) = (class, verb) else {
        return Err(vm.raise(ExceptionKind::ArgumentError, "twins are sought of a twin definition"));
    };
    let (mut selector, mut block, mut hint) = (String::new(), Vec::new(), None);
    for index in 1..window.argument_count {
        let asked = window.argument(vm, index);
        if asked.is_nil() {
            continue;
        }
        if matches!(asked.kind(), Kind::Symbol(_)) {
            selector = text(vm, window, index, "a selector")?;
            if crate::symbol::argument_count(&selector) != 0 {
                let text = format!("all twins are asked what takes no arguments, which `{selector}` does");
                return Err(vm.raise(ExceptionKind::ArgumentError, text));
            }
        } else if vm.block_arguments(asked).is_some() {
            let Some(bytes) = vm.block_that_travels(asked)? else { return Ok(Value::NIL) };
            block = bytes;
            let asked = window.argument(vm, index);
            hint = vm.hint_of(&selector, asked).filter(|_| verb.is_of_true_ones());
        } else if vm.run.turn.mode == Mode::Program {
            return Ok(Value::NIL);
        } else {
            let text = format!("all twins are asked a symbol or a block, not a {}", vm.class_name(asked));
            return Err(vm.raise(ExceptionKind::ArgumentError, text));
        }
    }
    let prototype = vm.symbols.name(vm.class(class).name);
    let hint = hint.as_ref().map(|(selector, range)| Hint { selector, range: *range });
    let arguments = Many { verb, prototype, selector: &selector, block: &block, hint, page: None }.write();
    if verb.is_list() && vm.pages && vm.run.turn.mode == Mode::Program {
        let bytes = vm.allocate_bytes(vm.known.byte_array, arguments.len(), 0)?;
        vm.heap.init_bytes(bytes).copy_from_slice(&arguments);
        return Ok(bytes);
    }
    let (path, kind, selector) = (ALL_PATH.to_owned(), None, ALL.to_owned());
    vm.run.question = Some(match vm.run.turn.mode {
        Mode::Program => Question::Turn { path, kind, selector, arguments },
        Mode::Turn => Question::Query(FarQuery { path, kind, selector, arguments }),
    });
    Err(Stop::Ask)
}

/// A part of what all twins answer to a question that was kept for that, behind a path.
fn page_after(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    program_only(vm, "asks for pages")?;
    let question = window.argument(vm, 0);
    let after = text(vm, window, 1, "a path")?;
    let is_bytes = question.is_pointer() && vm.heap.class_of_object(question) == vm.known.byte_array;
    let bytes = if is_bytes { vm.heap.bytes(question).to_vec() } else { Vec::new() };
    let Some(many) = Many::read(&bytes) else {
        return Err(vm.raise(ExceptionKind::ArgumentError, "these bytes ask nothing"));
    };
    let page = Some(Page { after: &after, twins: PAGE_TWINS });
    let arguments = Many { page, ..many }.write();
    let (path, kind, selector) = (ALL_PATH.to_owned(), None, ALL.to_owned());
    vm.run.question = Some(Question::Turn { path, kind, selector, arguments });
    Err(Stop::Ask)
}

/// In a program a turn of the new composite; in a turn a far send to it.
fn make(vm: &mut Vm, window: Window, selector: &str) -> Result<Value, Stop> {
    let (kind, path) = kind_and_path(vm, window)?;
    if window.receiver(vm) == vm.class(vm.known.twin).prototype {
        let text = "Twin itself has no twins: send this to a twin definition of your own";
        return Err(vm.raise(ExceptionKind::ArgumentError, text));
    }
    let arguments = crate::codec::symbol_argument(vm.symbols.name(kind));
    match vm.run.turn.mode {
        Mode::Program => {
            vm.run.question = Some(Question::Turn { path, kind: None, selector: selector.to_owned(), arguments });
            Err(Stop::Ask)
        }
        Mode::Turn => {
            if vm.run.turn.is_near(&path) {
                let text = format!("{path} is of this composite: make it with `part:of:`, sent to the twin above it");
                return Err(vm.raise(ExceptionKind::PathError, text));
            }
            vm.send_far_message(path.as_str().into(), selector.into(), arguments)?;
            vm.new_reference(&path, Some(kind))
        }
    }
}

fn same(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (left, right) = (window.receiver(vm), window.argument(vm, 0));
    Ok(Value::boolean(left == right || vm.same_twin(left, right)))
}

// ---- time, chance, output ----

fn now(vm: &mut Vm, _window: Window) -> Result<Value, Stop> {
    match vm.run.turn.mode {
        Mode::Turn => vm.new_integer(vm.run.turn.now_ns),
        Mode::Program => {
            vm.run.question = Some(Question::Now);
            Err(Stop::Ask)
        }
    }
}

fn advance(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    program_only(vm, "moves the clock")?;
    let duration_ns = integer(vm, window, 0, "a duration in nanoseconds")?;
    vm.run.question = Some(Question::Advance(duration_ns.max(0)));
    Err(Stop::Ask)
}

/// 53 bits of SplitMix64 (Steele, Lea & Flood 2014), which starts from the turn's seed.
fn random_bits(vm: &mut Vm, _window: Window) -> Result<Value, Stop> {
    Ok(Value::small((vm.run.turn.next_random() >> 11) as i64))
}

fn arguments(vm: &mut Vm, _window: Window) -> Result<Value, Stop> {
    program_only(vm, "has arguments")?;
    vm.run.question = Some(Question::Arguments);
    Err(Stop::Ask)
}

fn records(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    program_only(vm, "reads records")?;
    let from = integer(vm, window, 0, "a number of records")?;
    vm.run.question = Some(Question::Records(from.max(0) as u64));
    Err(Stop::Ask)
}

fn show(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let shown = text(vm, window, 0, "what is shown")?;
    vm.print(shown)
}
