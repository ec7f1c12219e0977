//! Objects and their reclamation.
//!
//! An object is a header of 8 bytes and its words. Objects of a turn lie in a region that is
//! filled by moving a pointer and emptied all at once when the turn ends; a long turn, or a program, copies
//! what is alive to a new space when the old one is full (Cheney 1970). Literals, prototypes and
//! constants are permanent: they are never moved or freed while the VM lives.
//!
//! | bits | header |
//! | --- | --- |
//! | 0..8 | flags; bit 0 is always set, so that a forwarding address (8-aligned) is told apart |
//! | 8..32 | class |
//! | 32..64 | for an object older than the turn: its number within the turn's twins |
//!
//! An indexed object has its length in the word after the header: elements, or bytes if it is raw.
//! All others have as many slots as their class says.
//!
//! **The one barrier.** A write to an object first tests [`GUARDED`]: an immutable object refuses,
//! an old one is copied aside once (its words as they were before the turn), and the copies are the
//! delta of the turn.
//!
//! Invariant: a pointer [`Value`] that a live root, object or register holds points to the header of
//! an object of the current region or of the permanent one. The VM upholds it by registering roots
//! and by clearing registers above the live windows at each collection, and everything `unsafe`
//! here rests on it.

use std::alloc::{self, Layout};
use std::ptr::NonNull;

use smallvec::SmallVec;

use crate::value::Value;

/// The number of a class in the VM's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClassId(pub u32);

const HEADER: u64 = 1;
/// Has a length word.
pub const INDEXED: u64 = 1 << 1;
/// Holds bytes, not values.
pub const RAW: u64 = 1 << 2;
/// Refuses writes.
pub const IMMUTABLE: u64 = 1 << 3;
/// Is older than the turn, and a write has to copy it aside first, or is refused in a query.
pub const OLD: u64 = 1 << 4;
/// Is text whose bytes are all below 128.
pub const ASCII: u64 = 1 << 5;
/// A block, or a part of a collection: its elements are the VM's business, and no primitive for arrays reads or writes
/// them.
pub const BLOCK: u64 = 1 << 6;
/// Was copied aside in this turn: a query guards it again without copying it twice.
const REMEMBERED: u64 = 1 << 7;
/// Either reason for which a write takes the slow way.
pub const GUARDED: u64 = IMMUTABLE | OLD;

const CLASS_MASK: u64 = 0xff_ffff;
/// What of a header says that it is of an array of one class.
const ARRAY_MASK: u32 = 0xffff_ff00 | (HEADER | INDEXED | RAW | BLOCK) as u32;
/// The low half of no header.
pub(crate) const NO_HEADER: u32 = 0;
const SPACE_WORDS_FIRST: usize = 32 * 1024;

/// Memory for objects that is given back when it is dropped.
struct Space {
    start: NonNull<u64>,
    words: usize,
}

impl Space {
    fn new(words: usize) -> Space {
        let layout = Layout::array::<u64>(words).expect("the memory cap keeps spaces far below isize::MAX");
        // SAFETY: `words` is never 0: callers ask for at least `SPACE_WORDS_FIRST`.
        let start = unsafe { alloc::alloc(layout) }.cast::<u64>();
        let Some(start) = NonNull::new(start) else { alloc::handle_alloc_error(layout) };
        Space { start, words }
    }

    fn contains(&self, address: *mut u64) -> bool {
        let offset = (address as usize).wrapping_sub(self.start.as_ptr() as usize);
        offset < self.words * 8
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let layout = Layout::array::<u64>(self.words).expect("made with the same size");
        // SAFETY: allocated in `new` with this layout.
        unsafe { alloc::dealloc(self.start.as_ptr().cast(), layout) }
    }
}

/// An old object that was written to, and its words as they were before the turn.
#[derive(Clone, Copy)]
struct Before {
    object: Value,
    start: usize,
    words: usize,
}

/// The objects of one turn, or of a program.
pub struct Region {
    space: Space,
    cursor: *mut u64,
    limit: *mut u64,
    /// How large the space may grow, in words.
    cap_words: usize,
    /// The space left by the last collection, for the next one.
    spare: Option<Space>,
    before: Vec<Before>,
    before_words: Vec<u64>,
    /// Those of `before` that are not guarded now.
    unguarded: Vec<Value>,
}

impl Region {
    /// An empty region that may hold up to `cap_bytes` of live objects.
    pub fn new(cap_bytes: usize) -> Region {
        let space = Space::new(SPACE_WORDS_FIRST);
        let cursor = space.start.as_ptr();
        // SAFETY: one past the end of the allocation.
        let limit = unsafe { cursor.add(space.words) };
        Region {
            space,
            cursor,
            limit,
            cap_words: cap_bytes / 8,
            spare: None,
            before: Vec::new(),
            before_words: Vec::new(),
            unguarded: Vec::new(),
        }
    }

    /// Empties the region for the next turn; its memory is kept unless a long turn made it large.
    pub fn clear(&mut self) {
        if self.space.words > 32 * SPACE_WORDS_FIRST {
            self.space = Space::new(SPACE_WORDS_FIRST);
            self.spare = None;
        }
        self.cursor = self.space.start.as_ptr();
        // SAFETY: one past the end of the allocation.
        self.limit = unsafe { self.cursor.add(self.space.words) };
        self.before.clear();
        self.before_words.clear();
        self.unguarded.clear();
    }

    /// How many words of live objects it may hold.
    pub fn cap_words(&self) -> usize {
        self.cap_words
    }

    /// Sets how many bytes of live objects it may hold.
    pub fn set_cap_bytes(&mut self, cap_bytes: usize) {
        self.cap_words = cap_bytes / 8;
    }

    /// How many bytes of objects it holds.
    pub fn used_bytes(&self) -> usize {
        self.cursor as usize - self.space.start.as_ptr() as usize
    }
}

/// All objects that the VM can reach: the current region and what is permanent.
pub struct Heap {
    region: Region,
    permanent: Vec<Space>,
    permanent_cursor: usize,
    /// By class: how many slots an object that is not indexed has.
    slot_counts: Vec<u32>,
    /// Collects before every allocation, so that a forgotten root shows at once.
    stress: bool,
    /// How often it collected.
    pub(crate) collections: u64,
    /// How many bytes that gave back.
    released_bytes: u64,
}

/// The region is full: collect, then ask again.
#[derive(Debug)]
pub(crate) struct Full;

impl Heap {
    pub(crate) fn new(cap_bytes: usize) -> Heap {
        Heap {
            region: Region::new(cap_bytes),
            permanent: Vec::new(),
            permanent_cursor: 0,
            slot_counts: Vec::new(),
            stress: false,
            collections: 0,
            released_bytes: 0,
        }
    }

    /// Puts `region` in place of the current one and returns that; a program's region rests so
    /// while a turn runs.
    pub(crate) fn swap_region(&mut self, region: &mut Region) {
        std::mem::swap(&mut self.region, region);
        self.close_under_stress();
    }

    /// Collects before every allocation from now on, or no longer.
    pub(crate) fn set_stress(&mut self, on: bool) {
        self.stress = on;
        // SAFETY: one past the end of the allocation.
        self.region.limit = unsafe { self.region.space.start.as_ptr().add(self.region.space.words) };
        self.close_under_stress();
    }

    /// Under stress the region always says that it is full, so the fast way needs no second test.
    fn close_under_stress(&mut self) {
        if self.stress {
            self.region.limit = self.region.cursor;
        }
    }

    /// Empties the region.
    pub(crate) fn clear_region(&mut self) {
        self.region.clear();
        self.close_under_stress();
    }

    /// The current region.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    pub(crate) fn region_mut(&mut self) -> &mut Region {
        &mut self.region
    }

    pub(crate) fn set_slot_count(&mut self, class: ClassId, slots: u32) {
        let index = class.0 as usize;
        if index >= self.slot_counts.len() {
            self.slot_counts.resize(index + 1, 0);
        }
        self.slot_counts[index] = slots;
    }

    // ---- for a profile ----

    /// How many bytes were ever allocated: good to compare as long as the region is the same and not cleared.
    pub(crate) fn allocated_bytes(&self) -> u64 {
        self.released_bytes + self.region.used_bytes() as u64
    }

    /// How many objects of the region lie behind its first `used_bytes`, and the class of the first of them. Those are
    /// what it held at some moment since the last collection.
    pub(crate) fn objects_from(&self, used_bytes: usize) -> (u64, Option<ClassId>) {
        let (mut objects, mut first, mut at) = (0, None, used_bytes / 8);
        while at < self.region.used_bytes() / 8 {
            // SAFETY: below the cursor objects lie side by side, and by contract one starts here.
            let object = Value::pointer(unsafe { self.region.space.start.as_ptr().add(at) });
            first = first.or(Some(self.class_of_object(object)));
            at += self.object_words(object);
            objects += 1;
        }
        (objects, first)
    }

    // ---- allocation ----

    /// A new object with `slots` slots, all nil. `slots` is what the class says.
    #[inline(always)]
    pub(crate) fn allocate_slots(&mut self, class: ClassId, slots: usize) -> Result<Value, Full> {
        let object = self.bump(1 + slots)?;
        // SAFETY: `bump` returned `1 + slots` words of our own.
        unsafe {
            object.write(u64::from(class.0) << 8 | HEADER);
            for index in 1..=slots {
                object.add(index).write(Value::NIL.bits());
            }
        }
        Ok(Value::pointer(object))
    }

    /// A new object with `slots` slots, which hold what `template` does, or nil where that is empty.
    #[inline(always)]
    pub(crate) fn allocate_started(&mut self, class: ClassId, slots: usize, template: &[Value]) -> Result<Value, Full> {
        if template.is_empty() {
            return self.allocate_slots(class, slots);
        }
        debug_assert_eq!(template.len(), slots, "a template is of all slots");
        let object = self.bump(1 + template.len())?;
        // SAFETY: `bump` returned as many words of our own.
        unsafe {
            object.write(u64::from(class.0) << 8 | HEADER);
            for (index, value) in template.iter().enumerate() {
                object.add(1 + index).write(value.bits());
            }
        }
        Ok(Value::pointer(object))
    }

    /// A new indexed object of `length` elements, all nil.
    pub(crate) fn allocate_indexed(&mut self, class: ClassId, length: usize) -> Result<Value, Full> {
        let object = self.bump(2 + length)?;
        // SAFETY: `bump` returned `2 + length` words of our own.
        unsafe {
            object.write(u64::from(class.0) << 8 | HEADER | INDEXED);
            object.add(1).write(length as u64);
            for index in 0..length {
                object.add(2 + index).write(Value::NIL.bits());
            }
        }
        Ok(Value::pointer(object))
    }

    /// A new raw object of `length` bytes, all zero, with `flags` besides.
    pub(crate) fn allocate_bytes(&mut self, class: ClassId, length: usize, flags: u64) -> Result<Value, Full> {
        let words = length.div_ceil(8);
        let object = self.bump(2 + words)?;
        // SAFETY: `bump` returned `2 + words` words of our own.
        unsafe {
            object.write(u64::from(class.0) << 8 | HEADER | INDEXED | RAW | flags);
            object.add(1).write(length as u64);
            for index in 0..words {
                object.add(2 + index).write(0);
            }
        }
        Ok(Value::pointer(object))
    }

    /// A new block: `length` elements for the VM to fill at once, and never to be written again.
    ///
    /// The elements are not initialised: the caller writes all of them before it does anything else.
    #[inline(always)]
    pub(crate) fn allocate_block(&mut self, class: ClassId, length: usize) -> Result<Value, Full> {
        let object = self.bump(2 + length)?;
        // SAFETY: `bump` returned `2 + length` words of our own.
        unsafe {
            object.write(u64::from(class.0) << 8 | HEADER | INDEXED | IMMUTABLE | BLOCK);
            object.add(1).write(length as u64);
        }
        Ok(Value::pointer(object))
    }

    /// A new array whose elements are not initialised: the caller writes all of them before it does
    /// anything else.
    #[inline(always)]
    pub(crate) fn allocate_array(&mut self, class: ClassId, length: usize) -> Result<Value, Full> {
        let object = self.bump(2 + length)?;
        // SAFETY: `bump` returned `2 + length` words of our own.
        unsafe {
            object.write(u64::from(class.0) << 8 | HEADER | INDEXED);
            object.add(1).write(length as u64);
        }
        Ok(Value::pointer(object))
    }

    /// A new part of a collection: `length` elements, all nil, that can be written to.
    pub(crate) fn allocate_part(&mut self, class: ClassId, length: usize) -> Result<Value, Full> {
        let part = self.allocate_indexed(class, length)?;
        self.set_flags(part, BLOCK);
        Ok(part)
    }

    /// `words` new words of the region.
    #[inline(always)]
    fn bump(&mut self, words: usize) -> Result<*mut u64, Full> {
        let room_bytes = self.region.limit as usize - self.region.cursor as usize;
        if words * 8 > room_bytes {
            return Err(Full);
        }
        let object = self.region.cursor;
        // SAFETY: there is room for `words`, so the sum is at most one past the end.
        self.region.cursor = unsafe { object.add(words) };
        Ok(object)
    }

    // ---- permanent objects ----

    /// `words` new permanent words.
    fn permanent(&mut self, words: usize) -> *mut u64 {
        if self.permanent.last().is_none_or(|space| self.permanent_cursor + words > space.words) {
            self.permanent.push(Space::new(words.max(16 * 1024)));
            self.permanent_cursor = 0;
        }
        let space = self.permanent.last().expect("just pushed");
        // SAFETY: the space has room for `words` from the cursor on.
        let object = unsafe { space.start.as_ptr().add(self.permanent_cursor) };
        self.permanent_cursor += words;
        object
    }

    /// A new permanent object, immutable: `slots` are permanent or immediate.
    pub(crate) fn permanent_slots(&mut self, class: ClassId, slots: &[Value]) -> Value {
        let object = self.permanent(1 + slots.len());
        // SAFETY: as many words are our own.
        unsafe {
            object.write(u64::from(class.0) << 8 | HEADER | IMMUTABLE);
            for (index, slot) in slots.iter().enumerate() {
                object.add(1 + index).write(slot.bits());
            }
        }
        Value::pointer(object)
    }

    /// A new permanent array, immutable: `elements` are permanent or immediate.
    pub(crate) fn permanent_array(&mut self, class: ClassId, elements: &[Value]) -> Value {
        let object = self.permanent(2 + elements.len());
        // SAFETY: as many words are our own.
        unsafe {
            object.write(u64::from(class.0) << 8 | HEADER | INDEXED | IMMUTABLE);
            object.add(1).write(elements.len() as u64);
            for (index, element) in elements.iter().enumerate() {
                object.add(2 + index).write(element.bits());
            }
        }
        Value::pointer(object)
    }

    /// A new permanent raw object, immutable, with `flags` besides.
    pub(crate) fn permanent_bytes(&mut self, class: ClassId, bytes: &[u8], flags: u64) -> Value {
        let words = bytes.len().div_ceil(8);
        let object = self.permanent(2 + words);
        // SAFETY: as many words are our own.
        unsafe {
            object.write(u64::from(class.0) << 8 | HEADER | INDEXED | RAW | IMMUTABLE | flags);
            object.add(1).write(bytes.len() as u64);
            if words > 0 {
                object.add(1 + words).write(0);
            }
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), object.add(2).cast::<u8>(), bytes.len());
        }
        Value::pointer(object)
    }

    /// Copies the object, made permanent and immutable; what it refers to must be permanent already.
    pub(crate) fn make_permanent(&mut self, object: Value) -> Value {
        let words = self.object_words(object);
        let copy = self.permanent(words);
        // SAFETY: the copy has room for `words`; the object is live.
        unsafe { std::ptr::copy_nonoverlapping(object.address(), copy, words) };
        let copy = Value::pointer(copy);
        self.set_flags(copy, IMMUTABLE);
        self.set_number(copy, 0);
        copy
    }

    /// Whether the object is permanent. Cost: a look at every space of permanent objects.
    pub(crate) fn is_permanent(&self, object: Value) -> bool {
        self.permanent.iter().any(|space| space.contains(object.address()))
    }

    // ---- reading ----

    #[inline(always)]
    fn header(&self, object: Value) -> u64 {
        debug_assert!(object.is_pointer(), "only pointers have headers");
        // SAFETY: the invariant of this module: it points to a live header.
        unsafe { *object.address() }
    }

    /// The class of the object.
    #[inline(always)]
    pub fn class_of_object(&self, object: Value) -> ClassId {
        ClassId((self.header(object) >> 8 & CLASS_MASK) as u32)
    }

    /// Whether any of `flags` is set.
    #[inline(always)]
    pub fn has_flags(&self, object: Value, flags: u64) -> bool {
        self.header(object) & flags != 0
    }

    #[inline(always)]
    pub(crate) fn set_flags(&mut self, object: Value, flags: u64) {
        // SAFETY: the invariant of this module.
        unsafe { *object.address() |= flags }
    }

    #[inline(always)]
    pub(crate) fn clear_flags(&mut self, object: Value, flags: u64) {
        // SAFETY: the invariant of this module.
        unsafe { *object.address() &= !flags }
    }

    /// The number that an old object has within the turn's twins; 0 for a new one.
    pub(crate) fn number(&self, object: Value) -> u32 {
        (self.header(object) >> 32) as u32
    }

    pub(crate) fn set_number(&mut self, object: Value, number: u32) {
        let header = self.header(object) & 0xffff_ffff | u64::from(number) << 32;
        // SAFETY: the invariant of this module.
        unsafe { *object.address() = header }
    }

    /// How many words the object takes, header and length included.
    pub(crate) fn object_words(&self, object: Value) -> usize {
        let header = self.header(object);
        if header & INDEXED == 0 {
            return 1 + self.slot_counts[(header >> 8 & CLASS_MASK) as usize] as usize;
        }
        let length = self.length(object);
        2 + if header & RAW == 0 { length } else { length.div_ceil(8) }
    }

    /// How many slots an object has that is not indexed.
    pub fn slot_count(&self, object: Value) -> usize {
        self.object_words(object) - 1
    }

    /// The slot at `index`, which its class has.
    #[inline(always)]
    pub fn slot(&self, object: Value, index: usize) -> Value {
        debug_assert!(!self.has_flags(object, INDEXED) && index < self.slot_count(object), "the class has the slot");
        // SAFETY: the class has the slot: linked code and primitives are bound to classes.
        unsafe { Value::from_bits(*object.address().add(1 + index)) }
    }

    /// Writes the slot at `index` without the barrier: only to objects made in this turn, or by the
    /// decoder.
    #[inline(always)]
    pub(crate) fn init_slot(&mut self, object: Value, index: usize, value: Value) {
        debug_assert!(!self.has_flags(object, INDEXED) && index < self.slot_count(object), "the class has the slot");
        // SAFETY: as in `slot`.
        unsafe { *object.address().add(1 + index) = value.bits() }
    }

    /// How many elements, or bytes, an indexed object has.
    #[inline(always)]
    pub fn length(&self, object: Value) -> usize {
        debug_assert!(self.has_flags(object, INDEXED), "only indexed objects have a length");
        // SAFETY: indexed objects have a length word.
        unsafe { *object.address().add(1) as usize }
    }

    /// The element at `index`, counted from 0.
    ///
    /// # Panics
    /// Past the end.
    #[inline(always)]
    pub fn element(&self, object: Value, index: usize) -> Value {
        self.elements(object)[index]
    }

    /// The elements of an indexed object that is not raw.
    #[inline(always)]
    pub fn elements(&self, object: Value) -> &[Value] {
        assert!(self.header(object) & (INDEXED | RAW | BLOCK) == INDEXED, "an array of values");
        self.values(object)
    }

    /// The elements of an array or of a part.
    ///
    /// # Panics
    /// For all else.
    pub(crate) fn contents(&self, object: Value) -> &[Value] {
        let header = self.header(object);
        assert!(header & (INDEXED | RAW) == INDEXED && header & (BLOCK | IMMUTABLE) != BLOCK | IMMUTABLE, "no block");
        self.values(object)
    }

    /// The element at `index` of a part.
    ///
    /// # Panics
    /// Past the end.
    #[inline(always)]
    pub(crate) fn part_element(&self, part: Value, index: usize) -> Value {
        self.contents(part)[index]
    }

    /// Writes the element at `index` of a part, or of an array, without the barrier.
    ///
    /// # Panics
    /// Past the end.
    #[inline(always)]
    pub(crate) fn init_part_element(&mut self, part: Value, index: usize, value: Value) {
        assert!(index < self.contents(part).len(), "the caller knows the length");
        // SAFETY: just checked.
        unsafe { *part.address().add(2 + index) = value.bits() }
    }

    /// Where the elements of a block start.
    #[inline(always)]
    pub(crate) fn block_elements(&self, block: Value) -> *const Value {
        debug_assert!(self.has_flags(block, BLOCK), "asked of blocks only");
        // SAFETY: after the header and the length word.
        unsafe { block.address().add(2).cast_const().cast::<Value>() }
    }

    /// The element of a block or array in the making.
    #[inline(always)]
    pub(crate) fn fill_element(&mut self, object: Value, index: usize, value: Value) {
        debug_assert!(index < self.length(object) && !self.has_flags(object, RAW), "made with room for it");
        // SAFETY: the interpreter makes the object with as many elements as it then fills.
        unsafe { *object.address().add(2 + index) = value.bits() }
    }

    #[inline(always)]
    fn values(&self, object: Value) -> &[Value] {
        // SAFETY: the object has `length` values after its length word, and `Value` is one word.
        unsafe { std::slice::from_raw_parts(object.address().add(2).cast::<Value>(), self.length(object)) }
    }

    /// Writes the element at `index` without the barrier.
    ///
    /// # Panics
    /// Past the end.
    #[inline(always)]
    pub(crate) fn init_element(&mut self, object: Value, index: usize, value: Value) {
        assert!(
            self.header(object) & (INDEXED | RAW | BLOCK) == INDEXED && index < self.length(object),
            "the caller has checked the index"
        );
        // SAFETY: just checked.
        unsafe { *object.address().add(2 + index) = value.bits() }
    }

    /// The low half of the header of an array of this class that can be written to.
    pub(crate) fn array_header(class: ClassId) -> u32 {
        class.0 << 8 | (HEADER | INDEXED) as u32
    }

    /// The element at an index counted from 1, if the value is an array with that header and the index one of its own.
    #[inline(always)]
    pub(crate) fn element_in_place(&self, array: Value, header: u32, index: Value) -> Option<Value> {
        if !array.is_pointer() || self.header(array) as u32 & ARRAY_MASK != header {
            return None;
        }
        self.element_counted(array, index)
    }

    /// The element of an array, which this is, at an index counted from 1, if the index is one of its own.
    #[inline(always)]
    fn element_counted(&self, array: Value, index: Value) -> Option<Value> {
        // An odd word, and one of a negative integer, is past every end as a number without sign.
        let index = (index.bits().rotate_right(1) as usize).wrapping_sub(1);
        if index >= self.length(array) {
            return None;
        }
        // SAFETY: an array of values, and the index is one of its own.
        Some(unsafe { Value::from_bits(*array.address().add(2 + index)) })
    }

    /// Writes the element at an index counted from 1, if the value is an array with that header that may be written to at
    /// once, and the index is one of its own. Answers whether it did.
    #[inline(always)]
    pub(crate) fn put_in_place(&mut self, array: Value, header: u32, index: Value, value: Value) -> bool {
        if !array.is_pointer() || self.header(array) as u32 & (ARRAY_MASK | GUARDED as u32) != header {
            return false;
        }
        self.put_counted(array, index, value)
    }

    /// Writes the element of an array, which this is and which may be written to, at an index counted from 1. Answers whether
    /// the index is one of its own.
    #[inline(always)]
    fn put_counted(&mut self, array: Value, index: Value, value: Value) -> bool {
        let index = (index.bits().rotate_right(1) as usize).wrapping_sub(1);
        if index >= self.length(array) {
            return false;
        }
        // SAFETY: as above.
        unsafe { *array.address().add(2 + index) = value.bits() }
        true
    }

    /// The same for an array of any class; the value is an object.
    #[inline(always)]
    pub(crate) fn any_element_in_place(&self, object: Value, index: Value) -> Option<Value> {
        if self.header(object) & (INDEXED | RAW | BLOCK) != INDEXED {
            return None;
        }
        self.element_counted(object, index)
    }

    /// The same for an array of any class; the value is an object.
    #[inline(always)]
    pub(crate) fn put_any_in_place(&mut self, object: Value, index: Value, value: Value) -> bool {
        if self.header(object) & (INDEXED | RAW | BLOCK | GUARDED) != INDEXED {
            return false;
        }
        self.put_counted(object, index, value)
    }

    /// How many elements it has, if the object is an array.
    #[inline(always)]
    pub(crate) fn array_size_in_place(&self, object: Value) -> Option<Value> {
        let is_array = self.header(object) & (INDEXED | RAW | BLOCK) == INDEXED;
        is_array.then(|| Value::from_bits((self.length(object) as u64) << 1))
    }

    /// The character at an index counted from 1, if the object is text of one byte a character and the index one of its own.
    #[inline(always)]
    pub(crate) fn character_in_place(&self, object: Value, index: Value) -> Option<Value> {
        if self.header(object) & (RAW | ASCII) != RAW | ASCII {
            return None;
        }
        let index = (index.bits().rotate_right(1) as usize).wrapping_sub(1);
        if index >= self.length(object) {
            return None;
        }
        // SAFETY: a raw object, and the index is one of its own.
        Some(Value::character(char::from(unsafe { *object.address().add(2).cast::<u8>().add(index) })))
    }

    /// The bytes of a raw object.
    #[inline(always)]
    pub fn bytes(&self, object: Value) -> &[u8] {
        assert!(self.has_flags(object, RAW), "a raw object");
        // SAFETY: raw objects have `length` bytes after their length word.
        unsafe { std::slice::from_raw_parts(object.address().add(2).cast::<u8>(), self.length(object)) }
    }

    /// The bytes of a raw object, to be written without the barrier.
    pub(crate) fn init_bytes(&mut self, object: Value) -> &mut [u8] {
        assert!(self.has_flags(object, RAW), "a raw object");
        // SAFETY: as in `bytes`; `&mut self` keeps other views away.
        unsafe { std::slice::from_raw_parts_mut(object.address().add(2).cast::<u8>(), self.length(object)) }
    }

    /// The text of a string: raw bytes that were checked to be UTF-8 when they were written.
    pub fn text(&self, object: Value) -> &str {
        let bytes = self.bytes(object);
        debug_assert!(std::str::from_utf8(bytes).is_ok(), "strings hold UTF-8");
        // SAFETY: strings are only made from `str`, and primitives that change one write whole
        // characters.
        unsafe { std::str::from_utf8_unchecked(bytes) }
    }

    /// Header, length word and contents as words: what a shallow copy copies.
    fn words(&self, object: Value) -> &[u64] {
        // SAFETY: the object has that many words.
        unsafe { std::slice::from_raw_parts(object.address(), self.object_words(object)) }
    }

    /// A shallow copy: a new object of this turn, with the same contents, that can be written to.
    pub(crate) fn copy(&mut self, object: Value) -> Result<Value, Full> {
        let words = self.object_words(object);
        let copy = self.bump(words)?;
        // SAFETY: both have `words` words, and the copy is new.
        unsafe {
            std::ptr::copy_nonoverlapping(object.address(), copy, words);
            *copy &= 0xffff_ffff & !(IMMUTABLE | OLD | REMEMBERED);
        }
        Ok(Value::pointer(copy))
    }

    // ---- the delta ----

    /// Copies an old object aside before its first write in this turn.
    pub(crate) fn remember(&mut self, object: Value) {
        debug_assert!(self.has_flags(object, OLD), "what is not old needs no copy");
        self.clear_flags(object, OLD);
        self.region.unguarded.push(object);
        if self.has_flags(object, REMEMBERED) {
            return;
        }
        let start = self.region.before_words.len();
        let words = self.object_words(object);
        // SAFETY: the object has that many words.
        let contents = unsafe { std::slice::from_raw_parts(object.address(), words) };
        self.region.before_words.extend_from_slice(contents);
        self.region.before.push(Before { object, start, words });
        self.set_flags(object, REMEMBERED);
    }

    /// Guards again what was written to since the last time: for a query, which may not.
    pub(crate) fn guard_written(&mut self) {
        while let Some(object) = self.region.unguarded.pop() {
            self.set_flags(object, OLD);
        }
    }

    /// Whether the word is a pointer to the object with this number.
    fn is_numbered(&self, word: u64, number: u32) -> bool {
        let value = Value::from_bits(word);
        value.is_pointer() && self.number(value) == number
    }

    /// The old objects written to, in the order of their first write, without the first `known` ones.
    pub(crate) fn written_after(&self, known: usize) -> impl Iterator<Item = Value> + '_ {
        self.region.before.get(known..).unwrap_or_default().iter().map(|before| before.object)
    }

    /// The indices at which the `nth` written object differs from what it was, slots or elements;
    /// for a raw one a single index 0 if it differs at all.
    pub(crate) fn changed_indices(&self, nth: usize) -> SmallVec<[usize; 4]> {
        let before = self.region.before[nth];
        let old = &self.region.before_words[before.start..before.start + before.words];
        let new = self.words(before.object);
        let header = old[0];
        let first = if header & INDEXED == 0 { 1 } else { 2 };
        if header & RAW != 0 {
            return if old[1..] == new[1..] { SmallVec::new() } else { SmallVec::from_slice(&[0]) };
        }
        // A part that was brought in is what it was.
        let same = |old: u64, new: u64| {
            old == new || Value::from_bits(old).as_part().is_some_and(|number| self.is_numbered(new, number))
        };
        (first..old.len()).filter(|&index| !same(old[index], new[index])).map(|index| index - first).collect()
    }

    /// Where the bytes of the `nth` written object, a raw one, differ from what they were: runs of whole words, the last as far as
    /// there are bytes.
    pub(crate) fn changed_bytes(&self, nth: usize) -> Vec<std::ops::Range<usize>> {
        let before = self.region.before[nth];
        let old = &self.region.before_words[before.start..before.start + before.words];
        let (new, length) = (self.words(before.object), self.length(before.object));
        let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
        for word in (2..old.len()).filter(|&word| old[word] != new[word]) {
            let (start, end) = ((word - 2) * 8, ((word - 1) * 8).min(length));
            match runs.last_mut() {
                Some(run) if run.end == start => run.end = end,
                Some(_) | None => runs.push(start..end),
            }
        }
        runs
    }

    // ---- collection ----

    /// Copies all that `roots` reach to a space with room for `words_needed` more.
    ///
    /// `roots` is called once with a visitor for each root. Answers false if the live objects and the
    /// need together pass the cap; then nothing that was asked for fits, and the turn ends.
    pub(crate) fn collect(&mut self, words_needed: usize, roots: impl FnOnce(&mut dyn FnMut(&mut Value))) -> bool {
        self.collections += 1;
        let used_words = self.region.used_bytes() / 8;
        // Everything alive fits where everything allocated fitted. How much of the space is used
        // before the next collection is decided below, when it is known what is alive.
        let spare = self.region.spare.take().filter(|space| space.words >= used_words + words_needed);
        let to = spare.unwrap_or_else(|| Space::new((2 * used_words + words_needed).max(SPACE_WORDS_FIRST)));
        let from = std::mem::replace(&mut self.region.space, to);
        let start = self.region.space.start.as_ptr();
        let mut copier = Copier { from: &from, cursor: start, slot_counts: &self.slot_counts };
        roots(&mut |value| copier.forward(value));
        self.region.unguarded.iter_mut().for_each(|object| copier.forward(object));
        for before in &mut self.region.before {
            copier.forward(&mut before.object);
            let words = &mut self.region.before_words[before.start..before.start + before.words];
            let contents = if words[0] & INDEXED == 0 { 1 } else { 2 };
            if words[0] & RAW == 0 {
                for word in &mut words[contents..] {
                    copier.forward_word(word);
                }
            }
        }
        copier.scan(start);
        let live_words = (copier.cursor as usize - start as usize) / 8;
        self.region.cursor = copier.cursor;
        self.released_bytes += (used_words - live_words) as u64 * 8;
        // Twice what is alive, but not past the cap unless this very allocation needs it.
        let wanted_words = (2 * live_words).min(self.region.cap_words).max(live_words) + words_needed;
        // Under stress there is room for what was asked for, and the next allocation collects again.
        let limit_words = match self.stress {
            true => live_words + words_needed,
            false => wanted_words.max(SPACE_WORDS_FIRST).min(self.region.space.words),
        };
        // SAFETY: `limit_words` is at most the size of the space.
        self.region.limit = unsafe { start.add(limit_words) };
        self.region.spare = Some(from);
        live_words + words_needed <= self.region.cap_words
    }
}

/// Copies live objects out of `from`.
struct Copier<'a> {
    from: &'a Space,
    cursor: *mut u64,
    slot_counts: &'a [u32],
}

impl Copier<'_> {
    /// The words of the object with this header at `object`, and how many come before its contents.
    ///
    /// # Safety
    /// `object` points to a header of a live object.
    unsafe fn extent(&self, object: *const u64, header: u64) -> (usize, usize) {
        if header & INDEXED == 0 {
            return (1, 1 + self.slot_counts[(header >> 8 & CLASS_MASK) as usize] as usize);
        }
        // SAFETY: indexed objects have a length word.
        let length = unsafe { *object.add(1) as usize };
        (2, 2 + if header & RAW == 0 { length } else { length.div_ceil(8) })
    }

    fn forward_word(&mut self, word: &mut u64) {
        let mut value = Value::from_bits(*word);
        self.forward(&mut value);
        *word = value.bits();
    }

    /// Makes `value` point to the copy of its object, copying it if it is the first to ask.
    #[inline]
    fn forward(&mut self, value: &mut Value) {
        if !value.is_pointer() || !self.from.contains(value.address()) {
            return;
        }
        let object = value.address();
        // SAFETY: a live pointer into `from`: its header, or the address left in its place. The
        // new space has room for all of `from`.
        unsafe {
            let header = *object;
            if header & HEADER == 0 {
                *value = Value::pointer(header as *mut u64);
                return;
            }
            let (_, words) = self.extent(object, header);
            std::ptr::copy_nonoverlapping(object, self.cursor, words);
            *object = self.cursor as u64;
            *value = Value::pointer(self.cursor);
            self.cursor = self.cursor.add(words);
        }
    }

    /// Forwards what the copied objects from `scan` on refer to, until none is left.
    fn scan(&mut self, mut scan: *mut u64) {
        while scan < self.cursor {
            // SAFETY: `scan` steps from header to header of objects just copied; all their words
            // lie below the cursor.
            unsafe {
                let header = *scan;
                let (contents, words) = self.extent(scan, header);
                if header & RAW == 0 {
                    for index in contents..words {
                        self.forward_word(&mut *scan.add(index));
                    }
                }
                scan = scan.add(words);
            }
        }
    }
}
