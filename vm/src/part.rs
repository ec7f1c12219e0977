//! Parts: where a collection keeps its elements once it is large.
//!
//! A tree of arrays of the kernel's prototype `ListPart`, which only the VM reads and writes. A *leaf* has [`LEAF`] elements. An
//! *inner part* has [`FAN`] parts, each nil until an element lies in it, and as its last element its height: 1 if its parts are
//! leaves. Element `position` of the tree lies where the bits of the position lead, so nothing is ever moved to make
//! room: a tree that is full becomes the first part of a new root.
//!
//! So a step on a collection of any size touches one part of each height, and a turn that adds to one leaves as
//! much as it added, and once in a while a new leaf.
//!
//! The root lies in a slot of the collection; or behind a *header*, a part of a few numbers that goes with the tree.
//!
//! Any program may write to the slots of a collection, so nothing is taken on trust here: what is no part of the
//! height expected is refused.

use rustc_hash::FxHashSet;

use crate::codec::DecodeError;
use crate::heap;
use crate::primitive::{Few, Stop, Window};
use crate::value::Value;
use crate::vm::Vm;
use crate::world::Answer;

/// How many elements a leaf has; a collection with more has parts.
pub(crate) const LEAF: usize = 256;
/// How many parts an inner part has.
pub(crate) const FAN: usize = 64;
/// The highest root: positions stay far below the largest integer.
pub(crate) const HEIGHT_MAX: usize = 7;

/// How many positions a part of this height has.
pub(crate) fn span(height: usize) -> usize {
    LEAF << (FAN.trailing_zeros() as usize * height)
}

/// The same for any height; `None` where there are too many to count.
pub(crate) fn checked_span(height: usize) -> Option<usize> {
    (height <= HEIGHT_MAX).then(|| span(height))
}

/// How many elements a header has: numbers, and behind them a root.
pub(crate) const HEADER: usize = 5;

/// Where in a collection the root of a tree lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// In this slot.
    Slot(usize),
    /// In the header in this slot.
    Header(usize),
}

/// A leaf, or what is in its place.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// The leaf.
    Leaf(Value),
    /// There is none: the next position that may have one.
    Hole(usize),
}

/// Where the way to a position ends.
enum Way {
    /// At the part that was looked for.
    Part(Value),
    /// Above it: the part of `height` that would be at `index` of `parent` is not there.
    Hole { parent: Value, index: usize, height: usize },
}

impl Vm {
    /// Whether the value is a part.
    pub(crate) fn is_part(&self, value: Value) -> bool {
        value.is_pointer() && self.heap.class_of_object(value) == self.known.list_part
    }

    /// How high a part stands: 0 for a leaf. `None` for what is no part.
    pub(crate) fn part_height(&self, value: Value) -> Option<usize> {
        if !self.is_part(value) {
            return None;
        }
        match self.heap.length(value) {
            LEAF => Some(0),
            length if length == FAN + 1 => {
                let height = usize::try_from(self.heap.part_element(value, FAN).as_integer()?).ok()?;
                (1..=HEIGHT_MAX).contains(&height).then_some(height)
            }
            _ => None,
        }
    }

    /// A new part of this height, with nothing in it.
    pub(crate) fn new_part(&mut self, height: usize) -> Result<Value, Stop> {
        let length = if height == 0 { LEAF } else { FAN + 1 };
        let part = match self.heap.allocate_part(self.known.list_part, length) {
            Ok(part) => part,
            Err(heap::Full) => {
                self.make_room(2 + length)?;
                self.heap.allocate_part(self.known.list_part, length).map_err(|heap::Full| self.no_room())?
            }
        };
        if height > 0 {
            self.heap.init_part_element(part, FAN, Value::small(height as i64));
        }
        Ok(part)
    }

    /// Writes an element of a part through the barrier.
    pub(crate) fn set_part_element(&mut self, part: Value, index: usize, value: Value) -> Result<(), Stop> {
        self.prepare_write(part)?;
        self.heap.init_part_element(part, index, value);
        Ok(())
    }

    /// A new header, with nothing in it.
    pub(crate) fn new_header(&mut self) -> Result<Value, Stop> {
        match self.heap.allocate_part(self.known.list_part, HEADER) {
            Ok(part) => Ok(part),
            Err(heap::Full) => {
                self.make_room(2 + HEADER)?;
                self.heap.allocate_part(self.known.list_part, HEADER).map_err(|heap::Full| self.no_room())
            }
        }
    }

    /// Whether the value is a header.
    pub(crate) fn is_header(&self, value: Value) -> bool {
        self.is_part(value) && self.heap.length(value) == HEADER
    }

    /// What slot `slot` of the receiver holds, brought in if it is a part that is not in the turn.
    pub(crate) fn part_slot(&mut self, window: Window, slot: usize) -> Result<Value, Stop> {
        loop {
            let collection = window.receiver(self);
            let value = self.heap.slot(collection, slot);
            let Some(number) = value.as_part() else { return Ok(value) };
            match self.brought(number) {
                // No change of the collection: what it held is here now.
                Some(part) => self.heap.init_slot(collection, slot, part),
                None => self.bring_part(number)?,
            }
        }
    }

    /// The root, brought in if it is not in the turn.
    pub(crate) fn root(&mut self, window: Window, root: Root) -> Result<Value, Stop> {
        let slot = match root {
            Root::Slot(slot) => return self.part_slot(window, slot),
            Root::Header(slot) => slot,
        };
        loop {
            let header = self.part_slot(window, slot)?;
            if !self.is_header(header) {
                return Err(self.wrong_parts(window));
            }
            let root = self.heap.part_element(header, HEADER - 1);
            let Some(number) = root.as_part() else { return Ok(root) };
            match self.brought(number) {
                Some(part) => self.heap.init_part_element(header, HEADER - 1, part),
                None => self.bring_part(number)?,
            }
        }
    }

    /// The stop of a receiver whose parts are not what they have to be.
    #[cold]
    pub(crate) fn wrong_parts(&mut self, window: Window) -> Stop {
        let collection = window.receiver(self);
        self.wrong_receiver("collections whose parts are whole", collection)
    }

    /// The way to the part of `height` over `position`.
    fn way(&mut self, window: Window, root: Root, position: usize, height: usize) -> Result<Way, Stop> {
        'from_root: loop {
            let mut at = self.root(window, root)?;
            let mut at_height = self.part_height(at).filter(|&root| root >= height && position < span(root));
            while let Some(here) = at_height {
                if here == height {
                    return Ok(Way::Part(at));
                }
                let index = position / span(here - 1) % FAN;
                let mut below = self.heap.part_element(at, index);
                if below.is_nil() {
                    return Ok(Way::Hole { parent: at, index, height: here - 1 });
                }
                if let Some(number) = below.as_part() {
                    let Some(part) = self.brought(number) else {
                        self.bring_part(number)?;
                        // Everything may have moved.
                        continue 'from_root;
                    };
                    self.heap.init_part_element(at, index, part);
                    below = part;
                }
                at = below;
                at_height = self.part_height(at).filter(|&below| below == here - 1);
            }
            return Err(self.wrong_parts(window));
        }
    }

    /// The leaf over `position`, or where the next one may be.
    pub(crate) fn leaf_or_hole(&mut self, window: Window, root: Root, position: usize) -> Result<Place, Stop> {
        Ok(match self.way(window, root, position, 0)? {
            Way::Part(leaf) => Place::Leaf(leaf),
            Way::Hole { height, .. } => Place::Hole((position / span(height) + 1) * span(height)),
        })
    }

    /// The leaf over `position`, if there is one.
    pub(crate) fn leaf(&mut self, window: Window, root: Root, position: usize) -> Result<Option<Value>, Stop> {
        match self.way(window, root, position, 0)? {
            Way::Part(leaf) => Ok(Some(leaf)),
            Way::Hole { .. } => Ok(None),
        }
    }

    /// The leaf over `position`, made with all above it where it is not there.
    pub(crate) fn leaf_to_fill(&mut self, window: Window, root: Root, position: usize) -> Result<Value, Stop> {
        loop {
            let height = match self.way(window, root, position, 0)? {
                Way::Part(leaf) => return Ok(leaf),
                Way::Hole { height, .. } => height,
            };
            let part = self.new_part(height)?;
            self.run.handles.push(part);
            let way = self.way(window, root, position, height);
            let part = self.run.handles.pop().expect("pushed above");
            if let Way::Hole { parent, index, .. } = way? {
                self.set_part_element(parent, index, part)?;
            }
        }
    }

    /// Takes the part of `height` over `position` out of the tree.
    pub(crate) fn drop_part(&mut self, window: Window, root: Root, position: usize, height: usize) -> Result<(), Stop> {
        if let Way::Part(parent) = self.way(window, root, position, height + 1)? {
            self.set_part_element(parent, position / span(height) % FAN, Value::NIL)?;
        }
        Ok(())
    }

    /// Takes the leaf over `position` out of the tree, and each part above it that has nothing left in it, but for the root.
    pub(crate) fn drop_leaf(&mut self, window: Window, root: Root, position: usize) -> Result<(), Stop> {
        for height in 0..self.root_height(window, root)? {
            self.drop_part(window, root, position, height)?;
            let Way::Part(above) = self.way(window, root, position, height + 1)? else { break };
            if self.heap.contents(above)[..FAN].iter().any(|part| !part.is_nil()) {
                break;
            }
        }
        Ok(())
    }

    /// Puts a root over the one there is, which becomes its part at `index`. Answers how many positions come before
    /// those that there were.
    pub(crate) fn raise_root(&mut self, window: Window, root: Root, index: usize) -> Result<usize, Stop> {
        let height = self.root_height(window, root)?;
        if height == HEIGHT_MAX {
            return Err(self.no_room());
        }
        let higher = self.new_part(height + 1)?;
        let collection = window.receiver(self);
        match root {
            Root::Slot(slot) => {
                self.heap.init_part_element(higher, index, self.heap.slot(collection, slot));
                self.set_slot(collection, slot, higher)?;
            }
            Root::Header(slot) => {
                let header = self.heap.slot(collection, slot);
                self.heap.init_part_element(higher, index, self.heap.part_element(header, HEADER - 1));
                self.set_part_element(header, HEADER - 1, higher)?;
            }
        }
        Ok(index * span(height))
    }

    /// How high the root stands.
    pub(crate) fn root_height(&mut self, window: Window, root: Root) -> Result<usize, Stop> {
        let top = self.root(window, root)?;
        self.part_height(top).ok_or_else(|| self.wrong_parts(window))
    }

    /// A copy of the part that is the handle at `handle`, and of all below it.
    pub(crate) fn copy_part(&mut self, handle: usize) -> Result<Value, Stop> {
        let part = self.run.handles[handle];
        let Some(height) = self.part_height(part) else {
            return Err(self.wrong_argument("a part", part));
        };
        self.spend(LEAF / 16)?;
        let copy = self.new_part(height)?;
        self.run.handles.push(copy);
        let at = self.run.handles.len() - 1;
        let count = if height == 0 { LEAF } else { FAN };
        for index in 0..count {
            let mut element = self.heap.part_element(self.run.handles[handle], index);
            if let Some(number) = element.as_part() {
                if self.brought(number).is_none()
                    && let Err(stop) = self.bring_part(number)
                {
                    self.run.handles.truncate(at);
                    return Err(stop);
                }
                element = self.brought(number).unwrap_or(Value::NIL);
            }
            // Below an inner part are lower ones only, so the way down ends.
            if height > 0 && self.part_height(element).is_some_and(|below| below < height) {
                self.run.handles.push(element);
                let copied = self.copy_part(self.run.handles.len() - 1);
                self.run.handles.pop();
                match copied {
                    Ok(copied) => element = copied,
                    Err(stop) => {
                        self.run.handles.truncate(at);
                        return Err(stop);
                    }
                }
            }
            let copy = self.run.handles[at];
            self.heap.init_part_element(copy, index, element);
        }
        Ok(self.run.handles.pop().expect("pushed above"))
    }

    // ---- pieces ----

    /// The part with this number in the turn, if it was brought in.
    pub(crate) fn brought(&self, number: u32) -> Option<Value> {
        self.run.turn.brought.get(&number).copied()
    }

    /// Asks the world for the part with this number in the turn. Objects move.
    #[cold]
    pub(crate) fn bring_part(&mut self, number: u32) -> Result<(), Stop> {
        let (Some(mut world), Some((nth, own))) = (self.run.world, self.run.turn.split(number)) else {
            return Err(self.damaged_part());
        };
        let bytes = match world.piece(&self.run.turn.twins[nth].path, u64::from(own)) {
            Answer::Here(Some(bytes)) => bytes.to_vec(),
            Answer::Here(None) => return Err(self.damaged_part()),
            Answer::NotYet => {
                // The turn ends here, and runs again: nobody sees the fault.
                self.run.turn.not_yet = true;
                self.run.fault = Some(self.missing(&self.run.turn.twins[nth].path));
                return Err(Stop::Fault);
            }
        };
        match self.decode_piece(nth, own, number, &bytes) {
            Ok(part) => {
                self.run.turn.brought.insert(number, part);
                Ok(())
            }
            Err(error) => {
                let fault = self.decode_fault(&error);
                Err(self.fault(&fault.kind, fault.text))
            }
        }
    }

    fn damaged_part(&mut self) -> Stop {
        let fault = self.decode_fault(&DecodeError::Damaged("a part of a list that is not there"));
        self.fault(&fault.kind, fault.text)
    }

    /// Brings in every part that the handles from `first` on reach, so that they can be written whole; without those that
    /// belong to the `owner`th twin of the turn, which is written in pieces. Objects move.
    pub(crate) fn bring_reached(&mut self, first: usize, owner: Option<usize>) -> Result<(), Stop> {
        loop {
            let wanted = self.absent_from(first, owner);
            if wanted.is_empty() {
                return Ok(());
            }
            for number in wanted {
                self.spend(LEAF / 16)?;
                self.bring_part(number)?;
            }
        }
    }

    /// Puts what the slots of an object hold among the handles.
    pub(crate) fn push_slots(&mut self, object: Value) {
        let slots = (0..self.heap.slot_count(object)).map(|index| self.heap.slot(object, index));
        self.run.handles.extend(slots);
    }

    /// The values, with every part that they reach brought in, so that they can be written whole. Objects move.
    pub(crate) fn brought_whole(&mut self, values: Few) -> Result<Few, Stop> {
        if self.run.turn.all_brought() {
            return Ok(values);
        }
        self.with_handles(|vm, first| {
            vm.run.handles.extend_from_slice(&values);
            vm.bring_reached(first, None)?;
            Ok(Few::from_slice(&vm.run.handles[first..]))
        })
    }

    /// The parts that are to be brought in before the handles can be written.
    fn absent_from(&self, first: usize, owner: Option<usize>) -> Vec<u32> {
        let mut wanted = Vec::new();
        if self.run.turn.all_brought() {
            return wanted;
        }
        let mut seen = FxHashSet::default();
        let mut open: Vec<Value> = self.run.handles[first..].to_vec();
        while let Some(mut value) = open.pop() {
            if let Some(number) = value.as_part() {
                match self.brought(number) {
                    Some(part) => value = part,
                    None => {
                        let of_owner = owner.is_some() && self.run.turn.split(number).map(|(nth, _)| nth) == owner;
                        if !of_owner && seen.insert(value.bits()) {
                            wanted.push(number);
                        }
                        continue;
                    }
                }
            }
            if !value.is_pointer() || !seen.insert(value.bits()) {
                continue;
            }
            match self.heap.has_flags(value, heap::INDEXED) {
                // A twin is only named.
                false if self.path_of(value).is_some() => {}
                false => open.extend((0..self.heap.slot_count(value)).map(|index| self.heap.slot(value, index))),
                true if self.is_part(value) || self.array_length(value).is_some() => {
                    open.extend_from_slice(self.heap.contents(value));
                }
                true => {}
            }
        }
        wanted
    }
}
