//! `Block`: valuing, and the frames that exceptions and unwinding look for.

use crate::fault::ExceptionKind;
use crate::primitive::{Row, Stop, Window};
use crate::value::Value;
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("Block.value", value),
    ("Block.value:", value),
    ("Block.value:value:", value),
    ("Block.value:value:value:", value),
    ("Block.value:value:value:value:", value),
    ("Block.valueWithArguments:", value_with_arguments),
    ("Block.numArgs", argument_count),
    ("Block.on:do:", on_do),
    ("Block.ensure:", ensure),
    ("Block.ifCurtailed:", if_curtailed),
];

/// The receiver is a block, or an exception says so.
fn check_block(vm: &mut Vm, window: Window) -> Result<usize, Stop> {
    let receiver = window.receiver(vm);
    match vm.block_arguments(receiver) {
        Some(arguments) => Ok(arguments),
        None => {
            let text = format!("this is for blocks, but the receiver is of {}", vm.class_name(receiver));
            Err(vm.raise(ExceptionKind::ArgumentError, text))
        }
    }
}

fn value(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    check_block(vm, window)?;
    Err(Stop::BlockValue { argument_count: window.argument_count as u8 })
}

fn value_with_arguments(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let wanted = check_block(vm, window)?;
    let count = vm.spread_array(window, 0, wanted)?;
    Err(Stop::BlockValue { argument_count: count })
}

fn argument_count(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::small(check_block(vm, window)? as i64))
}

fn on_do(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let kind = window.argument(vm, 0);
    vm.check_exception_kind(kind)?;
    vm.run.intrinsic = Some(vm.intrinsics.on_do);
    with_arguments(window, 2)
}

fn ensure(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    vm.run.intrinsic = Some(vm.intrinsics.ensure);
    with_arguments(window, 1)
}

fn if_curtailed(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    vm.run.intrinsic = Some(vm.intrinsics.if_curtailed);
    with_arguments(window, 1)
}

/// The VM's own codes read as many arguments as their primitive's name says.
fn with_arguments(window: Window, count: usize) -> Result<Value, Stop> {
    assert_eq!(window.argument_count, count, "a primitive is found by its selector");
    Err(Stop::Intrinsic)
}
