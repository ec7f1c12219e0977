//! `Prototype`: making objects; and what every object can do with messages.

use crate::class::Layout;
use crate::fault::ExceptionKind;
use crate::primitive::{Row, Stop, Window};
use crate::symbol::argument_count;
use crate::value::Value;
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("Prototype.new", new),
    ("Prototype.clone", new),
    ("Prototype.basicNew", basic_new),
    ("Object.perform:", perform),
    ("Object.perform:with:", perform),
    ("Object.perform:with:with:", perform),
    ("Object.perform:with:with:with:", perform),
    ("Object.perform:with:with:with:with:", perform),
    ("Object.perform:withArguments:", perform_with_arguments),
];

/// A new object: its slots as the template says, the others started, then `initialize` sent, which cannot change what is answered.
fn new(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let object = basic_new(vm, window)?;
    let class = vm.class_of(object);
    for index in 0..vm.class(class).template.len() {
        vm.heap.init_slot(object, index, vm.class(class).template[index]);
    }
    match vm.class(class).initialiser {
        None => Ok(object),
        Some(initialiser) => {
            vm.set_stack_at(window.base, object);
            vm.run.intrinsic = Some(initialiser);
            Err(Stop::Intrinsic)
        }
    }
}

/// A new object whose slots are nil.
fn basic_new(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let prototype = window.receiver(vm);
    let class = vm.class_to_make(prototype, Layout::Slots)?;
    vm.allocate(class)
}

/// The first argument is a selector; moves the arguments behind it down.
fn perform(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let count = window.argument_count - 1;
    let selector = selector(vm, window, count)?;
    for index in 0..count {
        let argument = window.argument(vm, 1 + index);
        vm.set_stack_at(window.base + 1 + index, argument);
    }
    Err(Stop::Perform { selector, argument_count: count as u8 })
}

fn perform_with_arguments(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let arguments = window.argument(vm, 1);
    let Some(count) = vm.array_length(arguments) else {
        return Err(vm.raise(ExceptionKind::ArgumentError, "perform:withArguments: takes an array of arguments"));
    };
    let selector = selector(vm, window, count)?;
    let argument_count = vm.spread_array(window, 1, count)?;
    Err(Stop::Perform { selector, argument_count })
}

fn selector(vm: &mut Vm, window: Window, count: usize) -> Result<crate::symbol::Symbol, Stop> {
    let selector = window.argument(vm, 0);
    let Some(name) = vm.as_text(selector).map(str::to_owned) else {
        let text = format!("perform: takes a selector, but this is of {}", vm.class_name(selector));
        return Err(vm.raise(ExceptionKind::ArgumentError, text));
    };
    let wanted = argument_count(&name);
    if wanted != count {
        let text = format!("`{name}` takes {wanted} arguments, but was given {count}");
        return Err(vm.raise(ExceptionKind::ArgumentError, text));
    }
    Ok(vm.symbols.intern(&name))
}
