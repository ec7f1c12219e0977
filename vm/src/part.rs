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
//! Any program may write to the slots of a collection, so nothing is taken on trust here: what is no part of the
//! height expected is refused.

use crate::heap;
use crate::primitive::{Stop, Window};
use crate::value::Value;
use crate::vm::Vm;

/// How many elements a leaf has; a collection with more has parts.
pub(crate) const LEAF: usize = 256;
/// How many parts an inner part has.
pub(crate) const FAN: usize = 64;
/// The highest root: positions stay far below the largest integer.
const HEIGHT_MAX: usize = 7;

/// How many positions a part of this height has.
pub(crate) fn span(height: usize) -> usize {
    LEAF << (FAN.trailing_zeros() as usize * height)
}

/// The same for any height; `None` where there are too many to count.
pub(crate) fn checked_span(height: usize) -> Option<usize> {
    (height <= HEIGHT_MAX).then(|| span(height))
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

    /// The way to the part of `height` over `position`, from the root in slot `slot` of the receiver.
    fn way(&mut self, window: Window, slot: usize, position: usize, height: usize) -> Result<Way, Stop> {
        let collection = window.receiver(self);
        let mut at = self.heap.slot(collection, slot);
        let mut at_height = self.part_height(at).filter(|&root| root >= height && position < span(root));
        while let Some(here) = at_height {
            if here == height {
                return Ok(Way::Part(at));
            }
            let index = position / span(here - 1) % FAN;
            let below = self.heap.part_element(at, index);
            if below.is_nil() {
                return Ok(Way::Hole { parent: at, index, height: here - 1 });
            }
            at = below;
            at_height = self.part_height(at).filter(|&below| below == here - 1);
        }
        Err(self.wrong_receiver("collections whose parts are whole", collection))
    }

    /// The leaf over `position`, if there is one.
    pub(crate) fn leaf(&mut self, window: Window, slot: usize, position: usize) -> Result<Option<Value>, Stop> {
        match self.way(window, slot, position, 0)? {
            Way::Part(leaf) => Ok(Some(leaf)),
            Way::Hole { .. } => Ok(None),
        }
    }

    /// The leaf over `position`, made with all above it where it is not there.
    pub(crate) fn leaf_to_fill(&mut self, window: Window, slot: usize, position: usize) -> Result<Value, Stop> {
        loop {
            let height = match self.way(window, slot, position, 0)? {
                Way::Part(leaf) => return Ok(leaf),
                Way::Hole { height, .. } => height,
            };
            let part = self.new_part(height)?;
            self.run.handles.push(part);
            let way = self.way(window, slot, position, height);
            let part = self.run.handles.pop().expect("pushed above");
            if let Way::Hole { parent, index, .. } = way? {
                self.set_part_element(parent, index, part)?;
            }
        }
    }

    /// Takes the part of `height` over `position` out of the tree.
    pub(crate) fn drop_part(
        &mut self,
        window: Window,
        slot: usize,
        position: usize,
        height: usize,
    ) -> Result<(), Stop> {
        if let Way::Part(parent) = self.way(window, slot, position, height + 1)? {
            self.set_part_element(parent, position / span(height) % FAN, Value::NIL)?;
        }
        Ok(())
    }

    /// Puts a root over the one in slot `slot`, which becomes its part at `index`. Answers how many positions come before
    /// those that there were.
    pub(crate) fn raise_root(&mut self, window: Window, slot: usize, index: usize) -> Result<usize, Stop> {
        let height = self.root_height(window, slot)?;
        if height == HEIGHT_MAX {
            return Err(self.no_room());
        }
        let root = self.new_part(height + 1)?;
        let collection = window.receiver(self);
        self.heap.init_part_element(root, index, self.heap.slot(collection, slot));
        self.set_slot(collection, slot, root)?;
        Ok(index * span(height))
    }

    /// How high the root in slot `slot` of the receiver stands.
    pub(crate) fn root_height(&mut self, window: Window, slot: usize) -> Result<usize, Stop> {
        let collection = window.receiver(self);
        match self.part_height(self.heap.slot(collection, slot)) {
            Some(height) => Ok(height),
            None => Err(self.wrong_receiver("collections whose parts are whole", collection)),
        }
    }

    /// A copy of the part that is the handle at `handle`, and of all below it.
    pub(crate) fn copy_part(&mut self, handle: usize) -> Result<Value, Stop> {
        let part = self.run.handles[handle];
        let Some(height) = self.part_height(part) else {
            return Err(self.wrong_argument("a part", part));
        };
        self.spend(LEAF / 16);
        let copy = self.new_part(height)?;
        self.run.handles.push(copy);
        let at = self.run.handles.len() - 1;
        let count = if height == 0 { LEAF } else { FAN };
        for index in 0..count {
            let mut element = self.heap.part_element(self.run.handles[handle], index);
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
}
