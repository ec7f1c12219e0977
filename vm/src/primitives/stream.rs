//! `WriteStream`: text built piece by piece in a buffer that doubles.

use crate::fault::ExceptionKind;
use crate::heap;
use crate::primitive::{Row, Stop, Window};
use crate::value::Value;
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] =
    &[("WriteStream.nextPut:", next_put), ("WriteStream.append:", append), ("WriteStream.contents", contents)];

/// The slots of a stream, in the order of `kernel/WriteStream.twin`.
const BUFFER: usize = 0;
const USED: usize = 1;

/// Bytes that a new buffer has room for.
const ROOM_FIRST: usize = 64;

/// The receiver, its buffer's room, and how much of it is used.
fn stream(vm: &mut Vm, window: Window) -> Result<(Value, usize, usize), Stop> {
    let receiver = window.receiver(vm);
    if vm.has_slots(receiver, 2)
        && let Some(used) = vm.count_slot(receiver, USED)
    {
        let buffer = vm.heap.slot(receiver, BUFFER);
        let is_buffer =
            buffer.is_pointer() && vm.class_of(buffer) == vm.known.byte_array && vm.heap.has_flags(buffer, heap::RAW);
        let room = if is_buffer { vm.heap.length(buffer) } else { 0 };
        if used <= room {
            return Ok((receiver, room, used));
        }
    }
    Err(vm.wrong_receiver("streams of text", receiver))
}

/// Writes `text` behind what is there, in a larger buffer if need be.
fn write(vm: &mut Vm, window: Window, text: &str) -> Result<(), Stop> {
    let (receiver, room, used) = stream(vm, window)?;
    if text.is_empty() {
        return Ok(());
    }
    vm.prepare_write(receiver)?;
    let end = used + text.len();
    if end > room {
        vm.check_text_room(end)?;
        let buffer = vm.allocate_bytes(vm.known.byte_array, (2 * end).max(ROOM_FIRST), 0)?;
        let receiver = window.receiver(vm);
        if used > 0 {
            let written = vm.heap.bytes(vm.heap.slot(receiver, BUFFER))[..used].to_vec();
            vm.heap.init_bytes(buffer)[..used].copy_from_slice(&written);
        }
        vm.heap.init_slot(receiver, BUFFER, buffer);
    }
    let receiver = window.receiver(vm);
    let buffer = vm.heap.slot(receiver, BUFFER);
    vm.prepare_write(buffer)?;
    vm.heap.init_bytes(buffer)[used..end].copy_from_slice(text.as_bytes());
    vm.heap.init_slot(receiver, USED, Value::small(end as i64));
    Ok(())
}

fn next_put(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let argument = window.argument(vm, 0);
    let Some(character) = argument.as_character() else { return Err(vm.wrong_argument("a character", argument)) };
    write(vm, window, character.encode_utf8(&mut [0; 4]))?;
    Ok(window.receiver(vm))
}

fn append(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let text = vm.argument_text(window, 0)?.to_owned();
    vm.spend(text.len() / 64)?;
    write(vm, window, &text)?;
    Ok(window.receiver(vm))
}

fn contents(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let (receiver, room, used) = stream(vm, window)?;
    let bytes = if room == 0 { Vec::new() } else { vm.heap.bytes(vm.heap.slot(receiver, BUFFER))[..used].to_vec() };
    vm.spend(used / 64)?;
    match String::from_utf8(bytes) {
        Ok(text) => vm.new_string(&text),
        Err(_) => Err(vm.raise(ExceptionKind::ArgumentError, "what was written is no text in UTF-8")),
    }
}
