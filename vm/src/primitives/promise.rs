//! `Promise`.

use crate::drive::Question;
use crate::fault::ExceptionKind;
use crate::primitive::{Row, Stop, Window};
use crate::turn::Mode;
use crate::value::Value;
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("Promise.isResolved", is_resolved),
    ("Promise.wait", wait),
    ("Promise.then:", then),
    ("Promise.then:else:", then),
];

/// The receiver is a promise that the VM made.
fn promise(vm: &mut Vm, window: Window) -> Result<u64, Stop> {
    match vm.promise_number(window.receiver(vm)) {
        Some(number) => Ok(number),
        None => Err(vm.raise(ExceptionKind::ArgumentError, "this is for promises that a far send answered")),
    }
}

fn is_resolved(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = promise(vm, window)?;
    match vm.run.turn.mode {
        Mode::Turn => Ok(Value::boolean(vm.is_settled(window.receiver(vm)))),
        Mode::Program if vm.is_settled(window.receiver(vm)) => Ok(Value::TRUE),
        Mode::Program => {
            vm.run.question = Some(Question::IsResolved(number));
            Err(Stop::Ask)
        }
    }
}

fn wait(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let number = promise(vm, window)?;
    if vm.run.turn.mode == Mode::Turn {
        let text = "only a program can wait, not a twin's turn: tell the promise what to do, as in `promise then: [ :answer | ... ]`";
        return Err(vm.raise(ExceptionKind::ProgramOnly, text));
    }
    let receiver = window.receiver(vm);
    if vm.is_settled(receiver) {
        return vm.answer_of_promise(receiver);
    }
    vm.run.promise = receiver;
    vm.run.question = Some(Question::Wait(number));
    Err(Stop::Ask)
}

fn then(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    promise(vm, window)?;
    vm.then(window)
}
