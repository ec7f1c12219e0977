//! `HashedCollection`, `Set` and `Dictionary`: tables that keep the order in which keys came.
//!
//! A table has two arrays. `entries` holds the keys in order, in a dictionary each followed by its value;
//! where one was removed lies the array itself as a mark, which no program can have as a key. `index` is
//! open-addressed with linear probing (Knuth, vol. 3, 6.4): each row is nil, or an integer whose low half
//! is a place in `entries`, counted from 1 (0 where the key was removed), and whose high half is the
//! key's hash. So growing sends no `hash`, and most keys that differ are told apart without a look at
//! them. The layout is after that of Python's dictionaries (Hettinger 2012).
//!
//! Keys whose `hash` and `=` are the kernel's own and need no code are found here; for others the kernel
//! asks row by row. A program hashes objects by numbers that mean nothing in a turn, so a table to which it
//! added such a key says so (`used` is below zero), and in a turn the kernel searches it entry by entry,
//! and hashes it anew before it changes. Long probe sequences cost fuel, so that keys made to collide end the turn, not the
//! machine.
//!
//! One that outgrows a leaf in a turn has rows and index in parts (`large_table.rs`), so that a turn that changes it leaves as little
//! for any size; in a program, which leaves nothing, it stays in arrays. A place is the same in both forms.

use crate::fault::ExceptionKind;
use crate::part::LEAF;
use crate::primitive::{Row, Stop, Window};
use crate::primitives::integer::{compare, number_hash};
use crate::primitives::large_table::Large;
use crate::primitives::support::{HASH_MASK, hash_bytes, hash_word};
use crate::turn::Mode;
use crate::value::{Kind, Value};
use crate::vm::Vm;

/// The rows of this file.
pub const ROWS: &[Row] = &[
    ("HashedCollection.findQuick:", find_quick),
    ("HashedCollection.hashQuick:", hash_quick),
    ("HashedCollection.probe:after:", probe_after),
    ("HashedCollection.placeAt:", place_at),
    ("HashedCollection.keyAt:", key_at),
    ("HashedCollection.copyTable", copy_table),
    ("HashedCollection.isForeign", is_foreign),
    ("Set.addQuick:", add_quick),
    ("Set.append:hash:", append::<1>),
    ("Set.removeAt:hash:", remove::<1>),
    ("Set.next:", next::<1>),
    ("IdentitySet.findIdentical:", find_identical),
    ("Dictionary.at:", at::<EQUALITY>),
    ("Dictionary.at:put:", at_put::<EQUALITY>),
    ("Dictionary.at:ifAbsent:", at_if_absent::<EQUALITY>),
    ("Dictionary.removeKey:ifAbsent:", remove_key::<EQUALITY>),
    ("Dictionary.append:hash:", append::<2>),
    ("Dictionary.removeAt:hash:", remove::<2>),
    ("Dictionary.next:", next::<2>),
    ("Dictionary.valueAt:", value_at),
    ("Dictionary.valueAt:put:", value_at_put),
    ("IdentityDictionary.findIdentical:", find_identical),
    ("IdentityDictionary.at:", at::<IDENTITY>),
    ("IdentityDictionary.at:put:", at_put::<IDENTITY>),
    ("IdentityDictionary.at:ifAbsent:", at_if_absent::<IDENTITY>),
    ("IdentityDictionary.removeKey:ifAbsent:", remove_key::<IDENTITY>),
];

/// How a dictionary tells its keys apart.
const EQUALITY: bool = false;
const IDENTITY: bool = true;

/// The slots of a table, in the order of `kernel/HashedCollection.twin`.
pub(super) const ENTRIES: usize = 0;
pub(super) const INDEX: usize = 1;
pub(super) const SIZE: usize = 2;
pub(super) const USED: usize = 3;

/// Elements that a new table has room for.
const ROOM_FIRST: usize = 4;
/// Places that fit the low half of a row.
const PLACES_MAX: usize = 1 << 31;
/// Probes that cost nothing.
const PROBES_FREE: usize = 16;

/// The state of a table, read from its slots; good until the next allocation.
#[derive(Clone, Copy)]
pub(super) struct Table {
    object: Value,
    /// Both arrays, unless the table is empty and new, or in parts.
    pub arrays: Option<(Value, Value)>,
    pub size: usize,
    pub used: usize,
    /// Whether it has hashes that are good in the program only.
    pub of_program: bool,
    /// Whether it is in parts.
    is_large: bool,
}

impl Table {
    /// What the slot `used` holds.
    pub fn used_slot(of_program: bool, used: usize) -> Value {
        Value::small(if of_program { -1 - used as i64 } else { used as i64 })
    }
}

#[inline]
fn table(vm: &mut Vm, window: Window) -> Result<Table, Stop> {
    let object = window.receiver(vm);
    if vm.has_slots(object, 4)
        && let Some(size) = vm.count_slot(object, SIZE)
        && let Some(used) = vm.heap.slot(object, USED).as_integer()
    {
        let of_program = used < 0;
        let used = (if of_program { -1 - used } else { used }) as usize;
        let (entries, index) = (vm.heap.slot(object, ENTRIES), vm.heap.slot(object, INDEX));
        if entries.is_nil() && index.is_nil() {
            return Ok(Table { object, arrays: None, size: 0, used: 0, of_program: false, is_large: false });
        }
        if let (Some(room), Some(rows)) = (vm.array_length(entries), vm.array_length(index))
            && size <= used
            && used <= room
            && rows.is_power_of_two()
        {
            return Ok(Table { object, arrays: Some((entries, index)), size, used, of_program, is_large: false });
        }
        let is_part = entries.as_part().is_some() || vm.is_part(entries);
        if is_part && size <= used {
            return Ok(Table { object, arrays: None, size, used, of_program, is_large: true });
        }
    }
    Err(vm.wrong_receiver("sets and dictionaries", object))
}

/// A row of `index`, taken apart.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub hash: u64,
    /// Counted from 1; 0 where the key was removed.
    pub place: usize,
}

impl Entry {
    pub fn read(row: Value) -> Option<Entry> {
        let bits = row.as_integer()? as u64;
        Some(Entry { hash: bits >> 32 & HASH_MASK, place: (bits & 0xffff_ffff) as usize })
    }

    pub fn write(self) -> Value {
        Value::small((self.hash << 32) as i64 | self.place as i64)
    }
}

/// Where the probes for a hash start in a table of `rows` rows, a power of two.
fn first_row(hash: u64, rows: usize) -> usize {
    (hash.wrapping_mul(0x9e37_79b1) >> 8) as usize & (rows - 1)
}

/// The rows from `start` on, each once, round the end.
fn rows_from(start: usize, rows: usize) -> impl Iterator<Item = usize> {
    (0..rows).map(move |step| (start + step) & (rows - 1))
}

/// The hash of a key that the kernel's own `hash` answers without running code.
fn quick_hash(vm: &Vm, key: Value) -> Option<u64> {
    match key.kind() {
        Kind::Integer(number) => Some(hash_word(number as u64)),
        Kind::Float(_) => vm.as_number(key).map(|number| number_hash(&number)),
        Kind::Symbol(_) => vm.as_text(key).map(|text| hash_bytes(text.as_bytes())),
        Kind::Character(character) => Some(character_hash(character)),
        Kind::Pointer => match vm.as_text(key) {
            Some(text) => Some(hash_bytes(text.as_bytes())),
            None => vm.as_number(key).map(|number| number_hash(&number)),
        },
        Kind::Nil | Kind::Boolean(_) | Kind::Part(_) => None,
    }
}

pub(crate) fn character_hash(character: char) -> u64 {
    hash_word(u64::from(u32::from(character)) | 1 << 40)
}

/// Whether two keys of one hash are equal, `key` being one that [`quick_hash`] takes; `None` where only
/// code can say: a number beside an object that may be one.
fn quick_equal(vm: &Vm, key: Value, stored: Value) -> Option<bool> {
    if key == stored {
        return Some(vm.as_float(key).is_none_or(|number| !number.is_nan()));
    }
    if let Some(text) = vm.as_text(key) {
        return Some(vm.as_text(stored) == Some(text));
    }
    match (vm.as_number(key), vm.as_number(stored)) {
        (Some(left), Some(right)) => Some(compare(&left, &right) == Some(std::cmp::Ordering::Equal)),
        (Some(_), None) if stored.is_pointer() && vm.as_text(stored).is_none() => None,
        (Some(_) | None, _) => Some(false),
    }
}

/// Finds the first argument by its hash and a test of it and what is stored; the test answers `None` to give up.
fn find(
    vm: &mut Vm,
    window: Window,
    table: Table,
    hash: u64,
    is: impl Fn(&Vm, Value, Value) -> Option<bool>,
) -> Result<Option<usize>, Stop> {
    if table.is_large {
        return find_large(vm, window, table, hash, is);
    }
    let key = window.argument(vm, 0);
    let Some((entries, index)) = table.arrays else { return Ok(Some(0)) };
    let (entries, index) = (vm.heap.elements(entries), vm.heap.elements(index));
    let mut probes = 0;
    let mut found = Some(0);
    for row in rows_from(first_row(hash, index.len()), index.len()) {
        probes += 1;
        let Some(entry) = Entry::read(index[row]) else { break };
        if entry.hash != hash || entry.place == 0 || entry.place > entries.len() {
            continue;
        }
        match is(vm, key, entries[entry.place - 1]) {
            Some(false) => {}
            Some(true) => {
                found = Some(entry.place);
                break;
            }
            None => {
                found = None;
                break;
            }
        }
    }
    if probes > PROBES_FREE {
        vm.spend(probes)?;
    }
    Ok(found)
}

#[inline(never)]
fn find_large(
    vm: &mut Vm,
    window: Window,
    table: Table,
    hash: u64,
    is: impl Fn(&Vm, Value, Value) -> Option<bool>,
) -> Result<Option<usize>, Stop> {
    let large = Large::read(vm, window, table)?;
    let place = large.find(vm, window, hash, 0, is)?;
    Ok(place.map(|place| outer_place(place, large.stride)))
}

/// The place that the kernel is told of the row at `place`, which counts rows from 1: where its key lies in an array of all, counted from 1.
fn outer_place(place: usize, stride: usize) -> usize {
    if place == 0 { 0 } else { (place - 1) * stride + 1 }
}

/// The table in parts that is the receiver, and the row at the place that the argument at `index` names; 0 for 0 and what names none.
fn large_and_place(vm: &mut Vm, window: Window, table: Table, index: usize) -> Result<(Large, usize), Stop> {
    let large = Large::read(vm, window, table)?;
    let place = match window.argument(vm, index).as_integer().and_then(|place| usize::try_from(place).ok()) {
        Some(place) if place > 0 && (place - 1).is_multiple_of(large.stride) => (place - 1) / large.stride + 1,
        Some(_) | None => 0,
    };
    Ok((large, place))
}

fn find_quick(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let table = table(vm, window)?;
    let key = window.argument(vm, 0);
    let Some(hash) = quick_hash(vm, key) else { return Ok(Value::NIL) };
    let place = find(vm, window, table, hash, quick_equal)?;
    Ok(place.map_or(Value::NIL, |place| Value::small(place as i64)))
}

/// Whether the table has hashes that mean nothing here.
fn is_foreign(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let table = table(vm, window)?;
    Ok(Value::boolean(is_foreign_here(vm, table)))
}

/// The place of the key itself, or nil where the table has hashes that mean nothing here.
fn find_identical(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let table = table(vm, window)?;
    let found = locate::<IDENTITY>(vm, window, table)?;
    Ok(found.map_or(Value::NIL, |(place, _)| Value::small(place as i64)))
}

/// Where the key that is the first argument lies, 0 if nowhere, and its hash; `None` if it must be asked for `hash` and `=`, or
/// the table has hashes that mean nothing here.
#[inline(always)]
fn locate<const BY: bool>(vm: &mut Vm, window: Window, table: Table) -> Result<Option<(usize, u64)>, Stop> {
    let key = window.argument(vm, 0);
    let (hash, found) = if BY == IDENTITY {
        if table.of_program && vm.run.turn.mode == Mode::Turn {
            return Ok(None);
        }
        let hash = vm.identity_hash(key);
        let is = |vm: &Vm, key: Value, stored: Value| {
            Some(key == stored || (key.is_pointer() && stored.is_pointer() && vm.same_twin(key, stored)))
        };
        (hash, find(vm, window, table, hash, is)?)
    } else {
        let Some(hash) = quick_hash(vm, key) else { return Ok(None) };
        (hash, find(vm, window, table, hash, quick_equal)?)
    };
    Ok(found.map(|place| (place, hash)))
}

/// Where a key of this hash lies in a table in arrays, and these: what [`find`] says, where a few looks tell. `None` where they do
/// not, or the table is none.
#[inline(always)]
fn glance<const BY: bool>(vm: &Vm, object: Value, key: Value, hash: u64) -> Option<(Value, usize)> {
    if !vm.has_slots(object, 4) {
        return None;
    }
    let array = vm.heap.slot(object, ENTRIES);
    let (entries, index) = (vm.array_elements(array)?, vm.array_elements(vm.heap.slot(object, INDEX))?);
    if !index.len().is_power_of_two() {
        return None;
    }
    let start = first_row(hash, index.len());
    for step in 0..PROBES_FREE {
        let Some(entry) = Entry::read(index[(start + step) & (index.len() - 1)]) else { return Some((array, 0)) };
        if entry.hash != hash || entry.place == 0 {
            continue;
        }
        let stored = *entries.get(entry.place - 1)?;
        if stored == key && !key.is_float() {
            return Some((array, entry.place));
        }
        // Strings are most often equal where their hashes are; of all else [`find`] knows more.
        let (left, right) = (vm.as_text(key)?, vm.as_text(stored)?);
        return (BY == EQUALITY && left == right).then_some((array, entry.place));
    }
    None
}

/// As [`glance`], of the key that is the first argument; and its hash.
#[inline(always)]
fn glance_at_key<const BY: bool>(vm: &mut Vm, window: Window) -> Option<(Value, usize, u64)> {
    let key = window.argument(vm, 0);
    let hash = match key.kind() {
        Kind::Integer(number) if BY == EQUALITY => hash_word(number as u64),
        Kind::Pointer if BY == EQUALITY && vm.heap.class_of_object(key) == vm.known.string => {
            hash_bytes(vm.heap.text(key).as_bytes())
        }
        Kind::Pointer if BY == IDENTITY && vm.run.turn.mode == Mode::Program => vm.identity_hash(key),
        _ => return None,
    };
    let (array, place) = glance::<BY>(vm, window.receiver(vm), key, hash)?;
    Some((array, place, hash))
}

/// The value under the first argument. What must be asked, and what is not there, is left to the kernel.
fn at<const BY: bool>(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    if let Some((entries, place @ 1.., _)) = glance_at_key::<BY>(vm, window)
        && let Some(&value) = vm.heap.elements(entries).get(place)
    {
        return Ok(value);
    }
    let table = table(vm, window)?;
    match locate::<BY>(vm, window, table)? {
        Some((place @ 1.., _)) => value_of(vm, window, table, place),
        Some((0, _)) | None => Err(Stop::Send { selector: vm.selectors.look_up, argument_count: 1 }),
    }
}

/// The value under the first argument, or of the block that is the second; a key that must be asked is left to the kernel.
fn at_if_absent<const BY: bool>(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    match glance_at_key::<BY>(vm, window) {
        Some((_, 0, _)) => return Err(value_instead(vm, window)),
        Some((entries, place, _)) => {
            if let Some(&value) = vm.heap.elements(entries).get(place) {
                return Ok(value);
            }
        }
        None => {}
    }
    let table = table(vm, window)?;
    match locate::<BY>(vm, window, table)? {
        Some((0, _)) => Err(value_instead(vm, window)),
        Some((place, _)) => value_of(vm, window, table, place),
        None => Err(Stop::Send { selector: vm.selectors.look_up_if_absent, argument_count: 2 }),
    }
}

/// Puts the second argument under the first, and answers it; a key that must be asked is left to the kernel.
fn at_put<const BY: bool>(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    if let Some((_, place @ 1.., _)) = glance_at_key::<BY>(vm, window) {
        put_value(vm, window, place)?;
        return Ok(window.argument(vm, 1));
    }
    let table = table(vm, window)?;
    let place = match locate::<BY>(vm, window, table)? {
        Some((0, hash)) if !is_foreign_here(vm, table) => append_key::<2>(vm, window, hash)?,
        Some((place @ 1.., _)) => place,
        Some(_) | None => return Err(Stop::Send { selector: vm.selectors.put_value, argument_count: 2 }),
    };
    put_value(vm, window, place)?;
    Ok(window.argument(vm, 1))
}

/// Removes the first argument and answers its value, or that of the block that is the second; a key that must be asked, and a
/// table that is to be hashed anew first, are left to the kernel.
fn remove_key<const BY: bool>(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let table = table(vm, window)?;
    match locate::<BY>(vm, window, table)? {
        Some((0, _)) => Err(value_instead(vm, window)),
        Some((place, hash)) if !is_foreign_here(vm, table) => {
            let value = value_of(vm, window, table, place)?;
            vm.with_handles(|vm, first| {
                vm.run.handles.push(value);
                remove_at::<2>(vm, window, table, place, hash)?;
                Ok(vm.run.handles[first])
            })
        }
        Some(_) | None => Err(Stop::Send { selector: vm.selectors.take_out_if_absent, argument_count: 2 }),
    }
}

/// Values what is the second argument, in place of a key that is not there.
fn value_instead(vm: &mut Vm, window: Window) -> Stop {
    let instead = window.argument(vm, 1);
    vm.set_stack_at(window.base, instead);
    match vm.block_arguments(instead) {
        Some(_) => Stop::BlockValue { argument_count: 0 },
        None => Stop::Send { selector: vm.selectors.value, argument_count: 0 },
    }
}

/// Whether the table has hashes that mean nothing in this turn.
fn is_foreign_here(vm: &Vm, table: Table) -> bool {
    table.of_program && vm.run.turn.mode == Mode::Turn
}

fn hash_quick(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let key = window.argument(vm, 0);
    Ok(quick_hash(vm, key).map_or(Value::NIL, |hash| Value::small(hash as i64)))
}

/// What a `hash` method answered, in the bits of a row.
fn hash_argument(vm: &mut Vm, window: Window, index: usize) -> Result<u64, Stop> {
    let hash = window.argument(vm, index);
    match hash.as_integer() {
        Some(number) if number as u64 <= HASH_MASK => Ok(number as u64),
        Some(number) => Ok(hash_word(number as u64)),
        None => match vm.as_big_integer(hash) {
            Some(number) => Ok(hash_bytes(&number.to_signed_bytes_le())),
            None => {
                let text = format!("`hash` answers an integer, but this answer is of {}", vm.class_name(hash));
                Err(vm.raise(ExceptionKind::ArgumentError, text))
            }
        },
    }
}

fn probe_after(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let table = table(vm, window)?;
    let hash = hash_argument(vm, window, 0)?;
    if table.is_large {
        let (large, after) = large_and_place(vm, window, table, 1)?;
        let found = large.find(vm, window, hash, after, |_, _, _| Some(true))?.unwrap_or(0);
        return Ok(Value::small(outer_place(found, large.stride) as i64));
    }
    let Some((_, index)) = table.arrays else { return Ok(Value::small(0)) };
    let rows = vm.heap.length(index);
    let first = first_row(hash, rows);
    // Row numbers are handed out counted from 1; the walk ends where it began.
    let start = match window.argument(vm, 1).as_integer() {
        Some(0) => 0,
        Some(row) if row >= 1 && row as usize <= rows => ((row as usize - 1).wrapping_sub(first) & (rows - 1)) + 1,
        Some(_) | None => return Ok(Value::small(0)),
    };
    for step in start..rows {
        let row = (first + step) & (rows - 1);
        let Some(entry) = Entry::read(vm.heap.element(index, row)) else { break };
        if entry.hash == hash && entry.place != 0 {
            return Ok(Value::small(row as i64 + 1));
        }
    }
    Ok(Value::small(0))
}

fn place_at(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let table = table(vm, window)?;
    let row = window.argument(vm, 0);
    if table.is_large {
        // The walk along a chain is by places.
        return Ok(row);
    }
    let Some((_, index)) = table.arrays else { return Ok(Value::small(0)) };
    let row = vm.index_within(row, vm.heap.length(index))?;
    let place = Entry::read(vm.heap.element(index, row)).map_or(0, |entry| entry.place);
    Ok(Value::small(place as i64))
}

/// Puts an entry into the first row that is free for it. Answers whether there was one: a table has twice as many rows as
/// entries, unless a program has overwritten its slots.
fn insert(vm: &mut Vm, index: Value, entry: Entry) -> bool {
    let rows = vm.heap.length(index);
    let row = rows_from(first_row(entry.hash, rows), rows)
        .find(|&row| Entry::read(vm.heap.element(index, row)).is_none_or(|found| found.place == 0));
    if let Some(row) = row {
        vm.heap.init_element(index, row, entry.write());
    }
    row.is_some()
}

/// Appends a key, and room for its value where `STRIDE` is 2.
fn append<const STRIDE: usize>(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let hash = hash_argument(vm, window, 1)?;
    let place = append_key::<STRIDE>(vm, window, hash)?;
    Ok(Value::small(place as i64))
}

/// Appends the first argument, which is no key yet and has this hash. Answers its place.
fn append_key<const STRIDE: usize>(vm: &mut Vm, window: Window, hash: u64) -> Result<usize, Stop> {
    let state = table(vm, window)?;
    vm.prepare_write(state.object)?;
    let room = state.arrays.map_or(0, |(entries, _)| vm.heap.length(entries) / STRIDE);
    let new_room = if state.used < room { room } else { room_for_more(state, room) };
    if state.is_large || (new_room * STRIDE > LEAF && vm.run.turn.mode == Mode::Turn) {
        return append_large::<STRIDE>(vm, window, state, hash);
    }
    let state = if state.used < room { state } else { grow::<STRIDE>(vm, window, state, new_room)? };
    let Some((entries, index)) = state.arrays else { unreachable!("a table that has grown has arrays") };
    let place = state.used * STRIDE + 1;
    if place + STRIDE - 1 > vm.heap.length(entries) {
        // Its slots were overwritten.
        return Err(vm.wrong_receiver("sets and dictionaries", state.object));
    }
    vm.prepare_write(entries)?;
    vm.prepare_write(index)?;
    let key = window.argument(vm, 0);
    vm.heap.init_element(entries, place - 1, key);
    if !insert(vm, index, Entry { hash, place }) {
        return Err(vm.wrong_receiver("sets and dictionaries", state.object));
    }
    vm.heap.init_slot(state.object, SIZE, Value::small(state.size as i64 + 1));
    let of_program = state.of_program || (vm.run.turn.mode == Mode::Program && quick_hash(vm, key).is_none());
    vm.heap.init_slot(state.object, USED, Table::used_slot(of_program, state.used + 1));
    Ok(place)
}

#[inline(never)]
fn append_large<const STRIDE: usize>(vm: &mut Vm, window: Window, state: Table, hash: u64) -> Result<usize, Stop> {
    let large = if state.is_large { Large::read(vm, window, state)? } else { spread::<STRIDE>(vm, window, state)? };
    if large.stride != STRIDE {
        return Err(vm.wrong_parts(window));
    }
    let of_program = vm.run.turn.mode == Mode::Program && quick_hash(vm, window.argument(vm, 0)).is_none();
    Ok(outer_place(large.append(vm, window, hash, of_program)?, STRIDE))
}

/// Moves a table from arrays to parts.
#[cold]
fn spread<const STRIDE: usize>(vm: &mut Vm, window: Window, state: Table) -> Result<Large, Stop> {
    let hashes = hashes_of_entries::<STRIDE>(vm, state);
    Large::spread(vm, window, state, STRIDE, &hashes)
}

/// Adds the argument unless it is there. Answers whether that could be done without asking it, and without hashing the table anew.
fn add_quick(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let table = table(vm, window)?;
    match locate::<EQUALITY>(vm, window, table)? {
        Some((0, hash)) if !is_foreign_here(vm, table) => append_key::<1>(vm, window, hash)?,
        Some((place @ 1.., _)) => place,
        Some(_) | None => return Ok(Value::FALSE),
    };
    Ok(Value::TRUE)
}

/// Puts the second argument in the place of the value of the key at a place.
#[inline]
fn put_value(vm: &mut Vm, window: Window, place: usize) -> Result<(), Stop> {
    let entries = vm.heap.slot(window.receiver(vm), ENTRIES);
    match vm.array_length(entries) {
        Some(length) if place < length && (length <= LEAF || vm.run.turn.mode == Mode::Program) => {
            let value = window.argument(vm, 1);
            vm.set_element(entries, place, value)
        }
        Some(_) | None => put_value_large(vm, window, place),
    }
}

#[inline(never)]
fn put_value_large(vm: &mut Vm, window: Window, place: usize) -> Result<(), Stop> {
    let state = table(vm, window)?;
    let large = match state.arrays {
        // One from a program, or from before there were tables in parts.
        Some((entries, _)) if place < vm.heap.length(entries) && !state.of_program => {
            vm.prepare_write(state.object)?;
            spread::<2>(vm, window, state)?
        }
        Some((entries, _)) if place < vm.heap.length(entries) => {
            let value = window.argument(vm, 1);
            return vm.set_element(entries, place, value);
        }
        Some(_) => return Err(vm.wrong_receiver("dictionaries", state.object)),
        None => Large::read(vm, window, state)?,
    };
    large.set_value(vm, window, (place - 1) / 2 + 1, 1)
}

/// The value of the key at a place that was found.
#[inline]
fn value_of(vm: &mut Vm, window: Window, table: Table, place: usize) -> Result<Value, Stop> {
    let Some((entries, _)) = table.arrays else {
        let large = Large::read(vm, window, table)?;
        return large.value(vm, window, (place - 1) / large.stride + 1, 1);
    };
    match vm.heap.elements(entries).get(place) {
        Some(&value) => Ok(value),
        // Its slots were overwritten.
        None => Err(vm.wrong_receiver("dictionaries", table.object)),
    }
}

/// The key at a place.
fn key_at(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    entry_at(vm, window, 0)
}

/// The value of the key at a place.
fn value_at(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    entry_at(vm, window, 1)
}

#[inline]
fn entry_at(vm: &mut Vm, window: Window, which: usize) -> Result<Value, Stop> {
    let object = window.receiver(vm);
    if !vm.has_slots(object, 4) {
        return Err(vm.wrong_receiver("sets and dictionaries", object));
    }
    let entries = vm.heap.slot(object, ENTRIES);
    match vm.array_length(entries) {
        Some(length) => {
            let at = vm.index_within(window.argument(vm, 0), length.saturating_sub(which))?;
            Ok(vm.heap.element(entries, at + which))
        }
        None => entry_at_large(vm, window, which),
    }
}

#[inline(never)]
fn entry_at_large(vm: &mut Vm, window: Window, which: usize) -> Result<Value, Stop> {
    let state = table(vm, window)?;
    if !state.is_large {
        return Err(vm.wrong_receiver("sets and dictionaries", state.object));
    }
    let (large, place) = large_and_place(vm, window, state, 0)?;
    large.value(vm, window, place, which)
}

/// Puts the second argument in the place of the value of the key at the place that is the first, and answers it.
fn value_at_put(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let object = window.receiver(vm);
    let place = window.argument(vm, 0);
    match place.as_integer() {
        Some(place @ 1..) if vm.has_slots(object, 4) => put_value(vm, window, place as usize)?,
        Some(_) | None => return Err(vm.wrong_argument("a place", place)),
    }
    Ok(window.argument(vm, 1))
}

/// The room of the arrays that a full table moves to: twice as much, unless marks of what was removed make room enough.
fn room_for_more(state: Table, room: usize) -> usize {
    match room {
        0 => ROOM_FIRST,
        _ if state.size <= room - room / 4 => room,
        _ => 2 * room,
    }
}

/// The hash of each entry that is not removed, as its row has it.
fn hashes_of_entries<const STRIDE: usize>(vm: &Vm, state: Table) -> Vec<u64> {
    let Some((entries, index)) = state.arrays else { return Vec::new() };
    let mut hashes = vec![0; vm.heap.length(entries) / STRIDE];
    for row in 0..vm.heap.length(index) {
        if let Some(entry) = Entry::read(vm.heap.element(index, row))
            && let Some(hash) = entry.place.checked_sub(1).and_then(|at| hashes.get_mut(at / STRIDE))
        {
            *hash = entry.hash;
        }
    }
    hashes
}

/// Moves the entries to new arrays without the marks of what was removed.
fn grow<const STRIDE: usize>(vm: &mut Vm, window: Window, state: Table, new_room: usize) -> Result<Table, Stop> {
    if new_room * STRIDE > PLACES_MAX {
        return Err(vm.no_room());
    }
    vm.spend(new_room / 8)?;
    vm.with_handles(|vm, first| {
        let new_entries = vm.allocate_indexed(vm.known.array, new_room * STRIDE)?;
        vm.run.handles.push(new_entries);
        let new_index = vm.allocate_indexed(vm.known.array, (2 * new_room).next_power_of_two())?;
        let new_entries = vm.run.handles[first];
        let mut count = 0;
        let now = table(vm, window)?;
        if let Some((entries, _)) = now.arrays {
            let hashes = hashes_of_entries::<STRIDE>(vm, now);
            for (nth, &hash) in hashes.iter().enumerate().take(state.used) {
                if vm.heap.element(entries, nth * STRIDE) == entries || count == new_room {
                    continue;
                }
                for part in 0..STRIDE {
                    let value = vm.heap.element(entries, nth * STRIDE + part);
                    vm.heap.init_element(new_entries, count * STRIDE + part, value);
                }
                insert(vm, new_index, Entry { hash, place: count * STRIDE + 1 });
                count += 1;
            }
        }
        let object = window.receiver(vm);
        vm.heap.init_slot(object, ENTRIES, new_entries);
        vm.heap.init_slot(object, INDEX, new_index);
        vm.heap.init_slot(object, SIZE, Value::small(count as i64));
        vm.heap.init_slot(object, USED, Table::used_slot(state.of_program, count));
        Ok(Table { object, arrays: Some((new_entries, new_index)), size: count, used: count, ..state })
    })
}

/// Takes the entry at a place out, whose key has this hash.
fn remove<const STRIDE: usize>(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let state = table(vm, window)?;
    let hash = hash_argument(vm, window, 1)?;
    let place = window.argument(vm, 0);
    let place = if state.is_large {
        let (large, row) = large_and_place(vm, window, state, 0)?;
        outer_place(row, large.stride)
    } else if state.arrays.is_none() {
        return Ok(state.object);
    } else {
        vm.index_within(place, state.used * STRIDE)? + 1
    };
    remove_at::<STRIDE>(vm, window, state, place, hash)?;
    Ok(window.receiver(vm))
}

/// Takes the entry at a place out, whose key has this hash. A large table does without either where there is no such entry.
fn remove_at<const STRIDE: usize>(
    vm: &mut Vm,
    window: Window,
    state: Table,
    place: usize,
    hash: u64,
) -> Result<(), Stop> {
    let Some((entries, index)) = state.arrays else {
        let large = Large::read(vm, window, state)?;
        let row = if place == 0 { 0 } else { (place - 1) / large.stride + 1 };
        return large.remove(vm, window, row);
    };
    let at = place - 1;
    if at + STRIDE > vm.heap.length(entries) || vm.heap.element(entries, at) == entries {
        return Ok(());
    }
    vm.prepare_write(state.object)?;
    vm.prepare_write(entries)?;
    vm.prepare_write(index)?;
    let rows = vm.heap.length(index);
    for row in rows_from(first_row(hash, rows), rows) {
        let Some(entry) = Entry::read(vm.heap.element(index, row)) else { break };
        if entry.place == at + 1 {
            vm.heap.init_element(index, row, Entry { hash: 0, place: 0 }.write());
            break;
        }
    }
    vm.heap.init_element(entries, at, entries);
    for part in 1..STRIDE {
        vm.heap.init_element(entries, at + part, Value::NIL);
    }
    vm.heap.init_slot(state.object, SIZE, Value::small(state.size.saturating_sub(1) as i64));
    Ok(())
}

/// The next place that holds an entry; 0 at the end.
fn next<const STRIDE: usize>(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let state = table(vm, window)?;
    if state.is_large {
        let (large, place) = large_and_place(vm, window, state, 0)?;
        let next = large.next(vm, window, place)?;
        return Ok(Value::small(outer_place(next, large.stride) as i64));
    }
    let Some((entries, _)) = state.arrays else { return Ok(Value::small(0)) };
    let argument = window.argument(vm, 0);
    let mut nth = match argument.as_integer() {
        Some(0) => 0,
        Some(place) if place > 0 => (place as usize - 1) / STRIDE + 1,
        Some(_) | None => return Err(vm.wrong_argument("a place", argument)),
    };
    while nth < state.used && (nth + 1) * STRIDE <= vm.heap.length(entries) {
        if vm.heap.element(entries, nth * STRIDE) != entries {
            return Ok(Value::small((nth * STRIDE + 1) as i64));
        }
        nth += 1;
    }
    Ok(Value::small(0))
}

/// Makes a table that shares what it has with its original keep that for itself.
fn copy_table(vm: &mut Vm, window: Window) -> Result<Value, Stop> {
    let state = table(vm, window)?;
    vm.prepare_write(state.object)?;
    if state.is_large {
        Large::read(vm, window, state)?.copy(vm, window)?;
        return Ok(window.receiver(vm));
    }
    let Some((entries, _)) = state.arrays else { return Ok(state.object) };
    let copy = vm.copy_object(entries)?;
    let object = window.receiver(vm);
    let entries = vm.heap.slot(object, ENTRIES);
    // In the copy that is the mark of what was removed.
    for index in 0..vm.heap.length(copy) {
        if vm.heap.element(copy, index) == entries {
            vm.heap.init_element(copy, index, copy);
        }
    }
    vm.heap.init_slot(object, ENTRIES, copy);
    let copy = vm.copy_object(vm.heap.slot(object, INDEX))?;
    let object = window.receiver(vm);
    vm.heap.init_slot(object, INDEX, copy);
    Ok(object)
}
