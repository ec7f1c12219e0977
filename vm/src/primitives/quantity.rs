//! `Quantity`: numbers with units. What units are stands in `bytecode/src/units.rs`.

use twintalk_bytecode::units::{Exact, RATIO, Unit, dimension_name};

use crate::fault::ExceptionKind;
use crate::primitive::{Row, Stop, Window};
use crate::value::Value;
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("Quantity.in:", in_unit),
    ("Quantity.differenceIn:", difference_in),
    ("Quantity class.checked:", checked),
    ("Quantity class.unit:times:", times),
    ("Quantity class.unit:over:", over),
    ("Quantity class.isScale:", is_scale),
    ("Quantity class.ratioOf:", ratio_of),
    ("Quantity class.is:like:", is_like),
    ("Quantity class.baseOf:", base_of),
];

/// The unit that an argument writes.
fn unit(vm: &mut Vm, window: Window, index: usize) -> Result<Unit, Stop> {
    let argument = window.argument(vm, index);
    let Some(text) = vm.as_text(argument) else {
        let text = format!("a unit is a string or symbol, such as 'm3/h', but this is of {}", vm.class_name(argument));
        return Err(vm.raise(ExceptionKind::ArgumentError, text));
    };
    match Unit::parse(text) {
        Some(unit) => Ok(unit),
        None => {
            let short: String = text.chars().take(40).collect();
            Err(vm.raise(ExceptionKind::ArgumentError, format!("there is no unit `{short}`")))
        }
    }
}

fn in_unit(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    convert(vm, window, false)
}

fn difference_in(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    convert(vm, window, true)
}

fn convert(vm: &mut Vm, window: Window, difference: bool) -> Result<Value, Stop> {
    let to = unit(vm, window, 0)?;
    let receiver = window.receiver(vm);
    let Some((amount, from)) = vm.quantity(receiver) else {
        return Err(vm.raise(ExceptionKind::ArgumentError, "this quantity has no number or no unit"));
    };
    let amount = if difference { amount.difference(&from, &to) } else { amount.converted(&from, &to) };
    match amount {
        Some(amount) => vm.new_amount(amount),
        None => {
            let (from_name, to_name) = (dimension_name(from.dimension), dimension_name(to.dimension));
            let text = format!("{from} and {to} do not go together: one is for {from_name}, the other for {to_name}");
            Err(vm.raise(ExceptionKind::ArgumentError, text))
        }
    }
}

fn checked(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let unit = unit(vm, window, 0)?;
    vm.new_string(&unit.to_string())
}

fn times(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (left, right) = (unit(vm, window, 0)?, unit(vm, window, 1)?);
    combined(vm, &left, &right, left.times(&right))
}

fn over(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (left, right) = (unit(vm, window, 0)?, unit(vm, window, 1)?);
    combined(vm, &left, &right, left.over(&right))
}

fn combined(vm: &mut Vm, left: &Unit, right: &Unit, result: Option<Unit>) -> Result<Value, Stop> {
    match result {
        Some(unit) if !(left.is_scale() || right.is_scale()) => vm.new_string(&unit.to_string()),
        Some(_) | None if left.is_scale() || right.is_scale() => {
            let text = format!("a point on a scale has no products: ask for it in kelvin first ({left}, {right})");
            Err(vm.raise(ExceptionKind::ArgumentError, text))
        }
        Some(_) | None => {
            Err(vm.raise(ExceptionKind::ArgumentError, format!("{left} and {right} make no unit that can be written")))
        }
    }
}

fn is_scale(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::boolean(unit(vm, window, 0)?.is_scale()))
}

fn ratio_of(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let unit = unit(vm, window, 0)?;
    if unit.dimension == RATIO { vm.new_ratio(unit.factor) } else { Ok(Value::NIL) }
}

fn is_like(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (left, right) = (unit(vm, window, 0)?, unit(vm, window, 1)?);
    Ok(Value::boolean(left.dimension == right.dimension))
}

fn base_of(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let unit = unit(vm, window, 0)?;
    let base = Unit::base_of(unit.dimension);
    debug_assert_eq!(base.factor, Exact::ONE);
    vm.new_string(&base.to_string())
}
