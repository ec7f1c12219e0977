//! `Exception`: signalling, and what a handler may do.

use crate::class::Mark;
use crate::fault::ExceptionKind;
use crate::primitive::{Row, Stop, Window};
use crate::turn::Mode;
use crate::value::Value;
use crate::vm::{Then, Vm};

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("Exception.signal", signal),
    ("Exception.signal:", signal_text),
    ("Exception.outer", outer),
    ("Exception.pass", pass),
    ("Exception.return:", answer),
    ("Exception.retry", retry),
    ("Exception.retryUsing:", retry_using),
    ("Exception.resume:", resume),
    ("Exception.resignalAs:", resignal_as),
    ("Exception.unhandled", unhandled),
    ("Exception.isHandled", is_handled),
    ("Exception.signalled", signalled),
];

/// The receiver is an exception, or an exception says so.
fn check(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let receiver = window.receiver(vm);
    if receiver.is_pointer() && vm.is_kind_of(receiver, vm.known.exception) {
        return Ok(receiver);
    }
    let text = format!("this is for exceptions, but the receiver is of {}", vm.class_name(receiver));
    Err(vm.raise(ExceptionKind::ArgumentError, text))
}

fn signal(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    check(vm, window)?;
    let from = vm.run.frame;
    let default = Stop::Send { selector: vm.selectors.default_action, argument_count: 0 };
    Err(vm.handle(window, from).unwrap_or(default))
}

fn signal_text(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let exception = check(vm, window)?;
    let text = window.argument(vm, 0);
    vm.set_slot(exception, 0, text)?;
    signal(vm, window)
}

/// Searches below the handler at work; what the exception is resumed with is the answer.
fn outer(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let exception = check(vm, window)?;
    let default = Stop::Send { selector: vm.selectors.default_action, argument_count: 0 };
    let Some((_, on_do)) = vm.handling(exception) else { return Err(vm.not_handled()) };
    Err(vm.handle_below(window, on_do).unwrap_or(default))
}

/// As `outer`, but what that answers is what the signal answers.
fn pass(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    check(vm, window)?;
    vm.run.intrinsic = Some(vm.intrinsics.pass);
    Err(Stop::Intrinsic)
}

fn answer(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let exception = check(vm, window)?;
    let value = window.argument(vm, 0);
    match vm.handling(exception) {
        Some((_, on_do)) => Err(vm.unwind_to(on_do, Then::Answer, value)),
        None => Err(vm.not_handled()),
    }
}

fn retry(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let exception = check(vm, window)?;
    match vm.handling(exception) {
        Some((_, on_do)) => Err(vm.unwind_to(on_do, Then::Restart, Value::NIL)),
        None => Err(vm.not_handled()),
    }
}

/// The block takes the place of the one that `on:do:` protects.
fn retry_using(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let exception = check(vm, window)?;
    let block = window.argument(vm, 0);
    match vm.handling(exception) {
        Some((_, on_do)) => {
            vm.set_protected(on_do, block);
            Err(vm.unwind_to(on_do, Then::Restart, Value::NIL))
        }
        None => Err(vm.not_handled()),
    }
}

fn resume(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let exception = check(vm, window)?;
    let value = window.argument(vm, 0);
    match vm.handling(exception) {
        Some((run, _)) => Err(vm.unwind_to(run, Then::Answer, value)),
        None => Err(vm.not_handled()),
    }
}

/// Signals the argument where the receiver was signalled, with all gone that ran since.
fn resignal_as(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let exception = check(vm, window)?;
    let other = window.argument(vm, 0);
    match vm.signal_of(exception) {
        Some(signal) => Err(vm.unwind_to(signal, Then::Signal, other)),
        None => Err(vm.not_handled()),
    }
}

/// Ends the run: nobody handled it.
fn unhandled(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let exception = check(vm, window)?;
    let kind = vm.class_name(exception).to_owned();
    let text = match vm.as_text(vm.heap.slot(exception, 0)) {
        Some(text) => text.to_owned(),
        None => "unhandled".to_owned(),
    };
    let stop = vm.fault_of(exception, kind, text);
    // A turn is undone whole; what a program did stays, so its `ensure:` blocks run before it ends.
    Err(if vm.run.turn.mode == Mode::Program { vm.unwind_all() } else { stop })
}

fn is_handled(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let exception = check(vm, window)?;
    Ok(Value::boolean(vm.handling(exception).is_some()))
}

/// While a handler runs: who signalled, the selector of the method that did, and the trace from there, as an array; else nil.
/// The exception's own methods, and those of `Object` that signal for others, are passed over.
fn signalled(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let exception = check(vm, window)?;
    let Some(above) = vm.frames_above_signal(exception) else { return Ok(Value::NIL) };
    let prototype = vm.class(vm.class_of(exception)).prototype;
    let mut own = 0;
    let mut found = None;
    for (code, _, values) in crate::interpret::frames(&vm.run).skip(above) {
        let method = vm.method_of(code);
        let signals = SIGNALLERS.contains(&vm.symbols.name(method.selector));
        let passed = method.mark != Mark::None
            || values[0] == exception
            || values[0] == prototype
            || (signals && vm.symbols.name(vm.class(method.class).name) == "Object");
        if !passed {
            found = Some((values[0], method.selector));
            break;
        }
        own += 1;
    }
    let Some((receiver, selector)) = found else { return Ok(Value::NIL) };
    let lines: Vec<String> = vm.trace_below(above + own).iter().map(ToString::to_string).collect();
    vm.spend(above + own + lines.len())?;
    vm.with_handles(|vm, first| {
        vm.run.handles.extend([receiver, Value::symbol(selector.0)]);
        let text = vm.new_string(&lines.join("\n"))?;
        vm.run.handles.push(text);
        vm.array_of_handles(first)
    })
}

/// Methods of `Object` that signal in the name of whoever sends them.
const SIGNALLERS: [&str; 7] = [
    "error:",
    "fault:",
    "assert:",
    "assert:description:",
    "doesNotUnderstand:",
    "subclassResponsibility",
    "unknownGlobal:",
];
