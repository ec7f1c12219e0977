//! `Array` and `ByteArray`: elements by index.

use std::ops::Range;

use crate::class::{ClassId, Layout};
use crate::fault::ExceptionKind;
use crate::heap;
use crate::primitive::{Row, Stop, Window};
use crate::value::Value;
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("Array.size", size),
    ("Array.at:", at),
    ("Array.at:put:", at_put),
    ("Array.copyFrom:to:", copy_range),
    ("Array.concatenate:", concatenate),
    ("Array.replaceFrom:to:with:startingAt:", replace),
    ("Array class.new:", new),
    ("ByteArray.size", byte_size),
    ("ByteArray.at:", byte_at),
    ("ByteArray.at:put:", byte_at_put),
    ("ByteArray.asString", bytes_as_string),
    ("ByteArray class.new:", new_bytes),
];

/// The receiver, an array, and its size.
#[inline]
fn array(vm: &mut Vm, window: Window) -> Result<(Value, usize), Stop> {
    let receiver = window.receiver(vm);
    match vm.array_length(receiver) {
        Some(length) => Ok((receiver, length)),
        None => Err(vm.wrong_receiver("arrays", receiver)),
    }
}

fn size(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::small(array(vm, window)?.1 as i64))
}

fn at(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (array, size) = array(vm, window)?;
    let index = vm.index_within(window.argument(vm, 0), size)?;
    Ok(vm.heap.element(array, index))
}

fn at_put(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (array, size) = array(vm, window)?;
    let index = vm.index_within(window.argument(vm, 0), size)?;
    let value = window.argument(vm, 1);
    vm.set_element(array, index, value)?;
    Ok(value)
}

fn new(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let receiver = window.receiver(vm);
    let class = match vm.class_of_prototype(receiver) {
        Some(class) if vm.class(class).layout == Layout::Elements => class,
        Some(_) | None => return Err(vm.wrong_receiver("prototypes of arrays", receiver)),
    };
    let size = vm.size_argument(window.argument(vm, 0))?;
    new_array(vm, class, size)
}

pub(crate) fn new_array(vm: &mut Vm, class: ClassId, size: usize) -> Result<Value, Stop> {
    // Memory says first what is too large.
    let array = vm.allocate_indexed(class, size)?;
    vm.spend(size / 16)?;
    Ok(array)
}

/// Copies a range of `from` to the start of `to`, which is new.
pub(crate) fn fill(vm: &mut Vm, to: Value, start: usize, from: Value, range: Range<usize>) {
    for (offset, index) in range.enumerate() {
        let element = vm.heap.element(from, index);
        vm.heap.init_element(to, start + offset, element);
    }
}

fn copy_range(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (_, size) = array(vm, window)?;
    let range = vm.range_within(window.argument(vm, 0), window.argument(vm, 1), size)?;
    let copy = new_array(vm, vm.known.array, range.len())?;
    let from = window.receiver(vm);
    fill(vm, copy, 0, from, range);
    Ok(copy)
}

fn concatenate(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (_, size) = array(vm, window)?;
    let other = window.argument(vm, 0);
    let Some(more) = vm.array_length(other) else { return Err(vm.wrong_argument("an array", other)) };
    let answer = new_array(vm, vm.known.array, size + more)?;
    let (left, right) = (window.receiver(vm), window.argument(vm, 0));
    fill(vm, answer, 0, left, 0..size);
    fill(vm, answer, size, right, 0..more);
    Ok(answer)
}

/// Moves elements between arrays, or within one, where the ranges may overlap.
fn replace(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (to, size) = array(vm, window)?;
    let range = vm.range_within(window.argument(vm, 0), window.argument(vm, 1), size)?;
    let from = window.argument(vm, 2);
    let Some(from_size) = vm.array_length(from) else { return Err(vm.wrong_argument("an array", from)) };
    if range.is_empty() {
        return Ok(to);
    }
    let first = vm.index_within(window.argument(vm, 3), from_size)?;
    if first + range.len() > from_size {
        let text = format!("{} elements from {} on are not within 1 to {from_size}", range.len(), first + 1);
        return Err(vm.raise(ExceptionKind::IndexError, text));
    }
    vm.prepare_write(to)?;
    vm.spend(range.len() / 16)?;
    let (start, length) = (range.start, range.len());
    if start > first {
        for offset in (0..length).rev() {
            let element = vm.heap.element(from, first + offset);
            vm.heap.init_element(to, start + offset, element);
        }
    } else {
        fill(vm, to, start, from, first..first + length);
    }
    Ok(to)
}

// ---- bytes ----

/// Whether the value is a byte array.
fn is_byte_array(vm: &Vm, value: Value) -> bool {
    value.is_pointer()
        && vm.heap.has_flags(value, heap::RAW)
        && vm.class(vm.heap.class_of_object(value)).layout == Layout::Bytes
        && vm.is_kind_of(value, vm.known.byte_array)
}

fn byte_array(vm: &mut Vm, window: Window) -> Result<(Value, usize), Stop> {
    let receiver = window.receiver(vm);
    if !is_byte_array(vm, receiver) {
        return Err(vm.wrong_receiver("byte arrays", receiver));
    }
    Ok((receiver, vm.heap.length(receiver)))
}

fn byte_size(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    Ok(Value::small(byte_array(vm, window)?.1 as i64))
}

fn byte_at(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (bytes, size) = byte_array(vm, window)?;
    let index = vm.index_within(window.argument(vm, 0), size)?;
    Ok(Value::small(i64::from(vm.heap.bytes(bytes)[index])))
}

fn byte_at_put(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (bytes, size) = byte_array(vm, window)?;
    let index = vm.index_within(window.argument(vm, 0), size)?;
    let value = window.argument(vm, 1);
    let Some(byte) = value.as_integer().and_then(|byte| u8::try_from(byte).ok()) else {
        return Err(vm.raise(ExceptionKind::ArgumentError, "a byte is an integer from 0 to 255"));
    };
    vm.prepare_write(bytes)?;
    vm.heap.init_bytes(bytes)[index] = byte;
    Ok(value)
}

fn bytes_as_string(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (bytes, _) = byte_array(vm, window)?;
    match String::from_utf8(vm.heap.bytes(bytes).to_vec()) {
        Ok(text) => vm.new_string(&text),
        Err(_) => Err(vm.raise(ExceptionKind::ArgumentError, "these bytes are no text in UTF-8")),
    }
}

fn new_bytes(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let size = vm.size_argument(window.argument(vm, 0))?;
    let bytes = vm.allocate_bytes(vm.known.byte_array, size, 0)?;
    vm.spend(size / 64)?;
    Ok(bytes)
}
