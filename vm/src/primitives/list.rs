//! `List`: elements in an order, added and removed at either end.
//!
//! A small list has its elements in one array, behind `start` in it. One that outgrows [`LEAF`] elements has
//! them in parts (`part.rs`), `array` being the root, and `start` counts positions there. It has parts until it is empty.

use crate::fault::ExceptionKind;
use crate::heap::{self, Heap};
use crate::part::{FAN, LEAF, Root, span};
use crate::primitive::{Row, Stop, Window};
use crate::primitives::array::{fill, new_array};
use crate::value::Value;
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("List.at:", at),
    ("List.at:put:", at_put),
    ("List.add:", add),
    ("List.addFirst:", add_first),
    ("List.takeFirst", take_first),
    ("List.takeLast", take_last),
    ("List.shift:to:", shift),
    ("List.asArray", as_array),
    ("List.copyElements", copy_elements),
];

/// The slots of a list, in the order of `kernel/List.twin`.
pub(crate) const ARRAY: usize = 0;
pub(crate) const START: usize = 1;
pub(crate) const SIZE: usize = 2;

/// Where the root of its parts lies.
const ROOT: Root = Root::Slot(ARRAY);

/// The receiver, a list.
#[derive(Clone, Copy)]
struct List {
    object: Value,
    start: usize,
    size: usize,
    /// Whether its elements lie in parts.
    large: bool,
}

/// The receiver; of a small list it is known that its elements lie in the array.
#[inline]
fn list(vm: &mut Vm, window: Window) -> Result<List, Stop> {
    let object = window.receiver(vm);
    if vm.has_slots(object, 3)
        && let Some(start) = vm.count_slot(object, START)
        && let Some(size) = vm.count_slot(object, SIZE)
    {
        let mut array = vm.heap.slot(object, ARRAY);
        let mut object = object;
        if array.as_part().is_some() {
            array = vm.root(window, ROOT)?;
            object = window.receiver(vm);
        }
        let room = vm.array_length(array).unwrap_or(0);
        if start <= room && size <= room - start {
            return Ok(List { object, start, size, large: false });
        }
        if vm.part_height(array).is_some_and(|height| start <= span(height) && size <= span(height) - start) {
            return Ok(List { object, start, size, large: true });
        }
    }
    Err(vm.wrong_receiver("lists", object))
}

/// Where the elements of a small list lie and how many there are: its array, `start` and `size`. The object has a list's
/// slots, which may hold anything; `None` where the primitives are to say what that is.
#[inline(always)]
fn in_place(heap: &Heap, object: Value) -> Option<(Value, u64, u64)> {
    let array = heap.slot(object, ARRAY);
    let (start, size) = (heap.slot(object, START), heap.slot(object, SIZE));
    // Both are integers, and not negative.
    if (start.bits() | size.bits()) & (1 << 63 | 1) != 0 || !array.is_pointer() {
        return None;
    }
    let (start, size) = (start.bits() >> 1, size.bits() >> 1);
    let room = heap.array_size_in_place(array)?.bits() >> 1;
    (start + size <= room).then_some((array, start, size))
}

/// The element of a small list at an index counted from 1.
#[inline(always)]
pub(crate) fn element_in_place(heap: &Heap, object: Value, index: Value) -> Option<Value> {
    let (array, start, size) = in_place(heap, object)?;
    let index = index.bits().rotate_right(1).wrapping_sub(1);
    if index >= size {
        return None;
    }
    heap.any_element_in_place(array, Value::from_bits((start + index + 1) << 1))
}

/// Writes the element of a small list at an index counted from 1. Answers whether it did.
#[inline(always)]
pub(crate) fn put_in_place(heap: &mut Heap, object: Value, index: Value, value: Value) -> bool {
    let Some((array, start, size)) = in_place(heap, object) else { return false };
    let index = index.bits().rotate_right(1).wrapping_sub(1);
    index < size && heap.put_any_in_place(array, Value::from_bits((start + index + 1) << 1), value)
}

/// Appends to a small list that has room and may be written to. Answers whether it did.
#[inline(always)]
pub(crate) fn add_in_place(heap: &mut Heap, object: Value, value: Value) -> bool {
    if heap.has_flags(object, heap::GUARDED) {
        return false;
    }
    let Some((array, start, size)) = in_place(heap, object) else { return false };
    if !heap.put_any_in_place(array, Value::from_bits((start + size + 1) << 1), value) {
        return false;
    }
    heap.init_slot(object, SIZE, Value::from_bits((size + 1) << 1));
    true
}

fn set_counts(vm: &mut Vm, object: Value, start: usize, size: usize) {
    vm.heap.init_slot(object, START, Value::small(start as i64));
    vm.heap.init_slot(object, SIZE, Value::small(size as i64));
}

/// The element of a large list at a position.
#[inline(never)]
fn element_at(vm: &mut Vm, window: Window, position: usize) -> Result<Value, Stop> {
    Ok(match vm.leaf(window, ROOT, position)? {
        Some(leaf) => vm.heap.part_element(leaf, position % LEAF),
        None => Value::NIL,
    })
}

/// Puts the argument at `index` of the window at a position of a large list.
#[inline(never)]
fn put_argument(vm: &mut Vm, window: Window, position: usize, index: usize) -> Result<(), Stop> {
    let leaf = vm.leaf_to_fill(window, ROOT, position)?;
    vm.set_part_element(leaf, position % LEAF, window.argument(vm, index))
}

fn at(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let list = list(vm, window)?;
    let index = vm.index_within(window.argument(vm, 0), list.size)?;
    if list.large {
        return element_at(vm, window, list.start + index);
    }
    Ok(vm.heap.element(vm.heap.slot(list.object, ARRAY), list.start + index))
}

fn at_put(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let list = list(vm, window)?;
    let index = vm.index_within(window.argument(vm, 0), list.size)?;
    if list.large {
        put_argument(vm, window, list.start + index, 1)?;
        return Ok(window.argument(vm, 1));
    }
    let value = window.argument(vm, 1);
    vm.set_element(vm.heap.slot(list.object, ARRAY), list.start + index, value)?;
    Ok(value)
}

/// Appends; when the array is full its elements move to its start if that makes half of it free, else to one
/// twice as large, or to parts.
fn add(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let List { object, start, size, large } = list(vm, window)?;
    vm.prepare_write(object)?;
    if large {
        return add_large(vm, window, start, size);
    }
    let elements = vm.heap.slot(object, ARRAY);
    let room = vm.array_length(elements).unwrap_or(0);
    if start + size < room {
        let value = window.argument(vm, 0);
        vm.set_element(elements, start + size, value)?;
    } else if start > size && start > 4 {
        vm.prepare_write(elements)?;
        fill(vm, elements, 0, elements, start..start + size);
        for index in size..room {
            vm.heap.init_element(elements, index, Value::NIL);
        }
        let value = window.argument(vm, 0);
        vm.heap.init_element(elements, size, value);
        vm.heap.init_slot(object, START, Value::small(0));
        vm.spend(size / 16)?;
    } else if size >= LEAF {
        spread(vm, window, 0)?;
        return add_large(vm, window, 0, size);
    } else {
        move_to_larger(vm, window, (2 * size).max(4), 0)?;
        let object = window.receiver(vm);
        vm.heap.init_element(vm.heap.slot(object, ARRAY), size, window.argument(vm, 0));
    }
    let object = window.receiver(vm);
    vm.heap.init_slot(object, SIZE, Value::small(size as i64 + 1));
    Ok(window.argument(vm, 0))
}

#[inline(never)]
fn add_large(vm: &mut Vm, window: Window, start: usize, size: usize) -> Result<Value, Stop> {
    if start + size == span(vm.root_height(window, ROOT)?) {
        vm.raise_root(window, ROOT, 0)?;
    }
    put_argument(vm, window, start + size, 0)?;
    let object = window.receiver(vm);
    set_counts(vm, object, start, size + 1);
    Ok(window.argument(vm, 0))
}

/// Moves the elements of a small list, which may be written to, to an array of `room` with `start` places before them.
fn move_to_larger(vm: &mut Vm, window: Window, room: usize, start: usize) -> Result<(), Stop> {
    let larger = new_array(vm, vm.known.array, room)?;
    let list = list(vm, window)?;
    if list.size > 0 {
        let elements = vm.heap.slot(list.object, ARRAY);
        fill(vm, larger, start, elements, list.start..list.start + list.size);
    }
    vm.heap.init_slot(list.object, ARRAY, larger);
    vm.heap.init_slot(list.object, START, Value::small(start as i64));
    Ok(())
}

/// Moves the elements of a small list, which may be written to, to parts, with `start` positions before them.
#[cold]
fn spread(vm: &mut Vm, window: Window, start: usize) -> Result<(), Stop> {
    let elements = list(vm, window)?;
    vm.spend(elements.size / 16)?;
    vm.with_handles(|vm, first| {
        vm.run.handles.push(vm.heap.slot(elements.object, ARRAY));
        let root = vm.new_part(1)?;
        vm.run.handles.push(root);
        for done in (0..elements.size).step_by(LEAF) {
            let leaf = vm.new_part(0)?;
            let (array, root) = (vm.run.handles[first], vm.run.handles[first + 1]);
            for index in done..elements.size.min(done + LEAF) {
                vm.heap.init_part_element(leaf, index - done, vm.heap.element(array, elements.start + index));
            }
            vm.heap.init_part_element(root, (start + done) / LEAF, leaf);
        }
        let object = window.receiver(vm);
        vm.heap.init_slot(object, ARRAY, vm.run.handles[first + 1]);
        vm.heap.init_slot(object, START, Value::small(start as i64));
        Ok(())
    })
}

/// Puts the argument before all others.
fn add_first(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let List { object, mut start, size, large } = list(vm, window)?;
    vm.prepare_write(object)?;
    if large || (start == 0 && size >= LEAF) {
        if !large {
            start = span(1) / 2;
            spread(vm, window, start)?;
        } else if start == 0 {
            start = vm.raise_root(window, ROOT, FAN / 2)?;
        }
        put_argument(vm, window, start - 1, 0)?;
    } else {
        if start == 0 {
            start = size + 4;
            move_to_larger(vm, window, start + size + 4, start)?;
        }
        let elements = vm.heap.slot(window.receiver(vm), ARRAY);
        vm.set_element(elements, start - 1, window.argument(vm, 0))?;
    }
    let object = window.receiver(vm);
    set_counts(vm, object, start - 1, size + 1);
    Ok(window.argument(vm, 0))
}

/// The receiver, which is not empty and may be written to.
fn filled_list(vm: &mut Vm, window: Window) -> Result<List, Stop> {
    let list = list(vm, window)?;
    if list.size == 0 {
        return Err(vm.raise(ExceptionKind::IndexError, "this list is empty"));
    }
    vm.prepare_write(list.object)?;
    Ok(list)
}

/// Takes the first element out and answers it.
fn take_first(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let List { object, start, size, large } = filled_list(vm, window)?;
    if large {
        return take_large(vm, window, start, start + 1, size);
    }
    let elements = vm.heap.slot(object, ARRAY);
    let element = vm.heap.element(elements, start);
    vm.set_element(elements, start, Value::NIL)?;
    set_counts(vm, object, if size == 1 { 0 } else { start + 1 }, size - 1);
    Ok(element)
}

/// Takes the last element out and answers it.
fn take_last(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let List { object, start, size, large } = filled_list(vm, window)?;
    if large {
        return take_large(vm, window, start + size - 1, start, size);
    }
    let elements = vm.heap.slot(object, ARRAY);
    let element = vm.heap.element(elements, start + size - 1);
    vm.set_element(elements, start + size - 1, Value::NIL)?;
    vm.heap.init_slot(object, SIZE, Value::small(size as i64 - 1));
    Ok(element)
}

/// Takes the element at a position, one of the ends of a large list, out of it; the others start at `start` then. A part with nothing
/// left in it is dropped whole.
fn take_large(vm: &mut Vm, window: Window, position: usize, start: usize, size: usize) -> Result<Value, Stop> {
    let element = element_at(vm, window, position)?;
    vm.run.handles.push(element);
    let done = forget(vm, window, position, start, size);
    let element = vm.run.handles.pop().expect("pushed above");
    done.map(|()| element)
}

fn forget(vm: &mut Vm, window: Window, position: usize, start: usize, size: usize) -> Result<(), Stop> {
    if size == 1 {
        let object = window.receiver(vm);
        vm.heap.init_slot(object, ARRAY, Value::NIL);
        set_counts(vm, object, 0, 0);
        return Ok(());
    }
    // The position is the last of the parts that are left behind when the start moves on, else the first.
    let edge = if position < start { position + 1 } else { position };
    let root = vm.root_height(window, ROOT)?;
    match (0..root).rev().find(|&height| edge.is_multiple_of(span(height))) {
        Some(height) => vm.drop_part(window, ROOT, position, height)?,
        None => {
            if let Some(leaf) = vm.leaf(window, ROOT, position)? {
                vm.set_part_element(leaf, position % LEAF, Value::NIL)?;
            }
        }
    }
    let object = window.receiver(vm);
    set_counts(vm, object, start, size - 1);
    Ok(())
}

/// Moves each element from the first index on to, but not at, the second by one towards that, over what is there.
fn shift(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let List { object, start, size, large } = list(vm, window)?;
    let from = vm.index_within(window.argument(vm, 0), size)?;
    let to = vm.index_within(window.argument(vm, 1), size)?;
    let count = from.abs_diff(to);
    if count == 0 {
        return Ok(object);
    }
    if large {
        for step in 0..count {
            if step % LEAF == LEAF - 1 {
                vm.charge(LEAF as u32 / 16)?;
            }
            // Towards a later index the last moves first.
            let (source, target) = if from < to { (to - 1 - step, to - step) } else { (to + 1 + step, to + step) };
            let element = element_at(vm, window, start + source)?;
            vm.run.handles.push(element);
            let leaf = vm.leaf_to_fill(window, ROOT, start + target);
            let element = vm.run.handles.pop().expect("pushed above");
            vm.set_part_element(leaf?, (start + target) % LEAF, element)?;
        }
        return Ok(window.receiver(vm));
    }
    vm.spend(count / 16)?;
    let elements = vm.heap.slot(object, ARRAY);
    vm.prepare_write(elements)?;
    if from < to {
        for index in (from..to).rev() {
            let element = vm.heap.element(elements, start + index);
            vm.heap.init_element(elements, start + index + 1, element);
        }
    } else {
        fill(vm, elements, start + to, elements, start + to + 1..start + from + 1);
    }
    Ok(object)
}

/// An array of the elements.
fn as_array(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let size = list(vm, window)?.size;
    let array = new_array(vm, vm.known.array, size)?;
    let list = list(vm, window)?;
    if !list.large {
        if size > 0 {
            let elements = vm.heap.slot(list.object, ARRAY);
            fill(vm, array, 0, elements, list.start..list.start + size);
        }
        return Ok(array);
    }
    vm.with_handles(|vm, first| {
        vm.run.handles.push(array);
        let mut done = 0;
        while done < size {
            let position = list.start + done;
            let count = (LEAF - position % LEAF).min(size - done);
            if let Some(leaf) = vm.leaf(window, ROOT, position)? {
                for offset in 0..count {
                    let element = vm.heap.part_element(leaf, position % LEAF + offset);
                    vm.heap.init_element(vm.run.handles[first], done + offset, element);
                }
            }
            done += count;
        }
        Ok(vm.run.handles[first])
    })
}

/// What a copy of the list has in the slot `array`, to keep its elements for itself.
fn copy_elements(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let list = list(vm, window)?;
    let elements = vm.heap.slot(list.object, ARRAY);
    if !list.large {
        return vm.copy_object(elements);
    }
    vm.with_handles(|vm, first| {
        vm.run.handles.push(vm.heap.slot(window.receiver(vm), ARRAY));
        vm.copy_part(first)
    })
}
