//! Many short runs of bytes, each behind a handle of four bytes.
//!
//! Runs are kept by size, rounded up to eight bytes: those of one size lie side by side in pages, and a place that
//! was left is the next to be taken. So a run costs its bytes and, on average, four more: no allocation of
//! its own, no header, no pointer. The few that are longer than [`SHORT_MAX`] are allocated one by one.

/// Sizes are multiples of this.
const STEP: usize = 8;
/// How many sizes have pages; the number after them stands for what is allocated one by one.
const CLASSES: usize = 63;
/// The longest run that lies in a page.
pub(crate) const SHORT_MAX: usize = STEP * CLASSES;
/// No page is longer.
const PAGE_BYTES: usize = 64 << 10;
/// A handle is the class in its upper bits and the place in the others.
const PLACE_BITS: u32 = 26;

/// Where a run lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle(u32);

impl Handle {
    fn new(class: usize, place: usize) -> Handle {
        assert!(place < 1 << PLACE_BITS, "memory ends before 2^26 runs of one size");
        Handle((class as u32) << PLACE_BITS | place as u32)
    }

    fn class(self) -> usize {
        (self.0 >> PLACE_BITS) as usize
    }

    fn place(self) -> usize {
        (self.0 & ((1 << PLACE_BITS) - 1)) as usize
    }
}

/// The runs of one size.
#[derive(Default)]
struct Class {
    pages: Vec<Box<[u8]>>,
    used: usize,
    free: Vec<u32>,
}

/// All runs. The first byte of a run is not the slab's alone: its upper three bits say how many bytes the size was
/// rounded up by, and the lower five are the caller's.
pub(crate) struct Slab {
    classes: Vec<Class>,
    long: Vec<Option<Box<[u8]>>>,
    long_free: Vec<u32>,
}

/// The bits of the first byte that are the caller's.
pub(crate) const OWN_BITS: u8 = 0b0001_1111;

impl Default for Slab {
    fn default() -> Slab {
        Slab { classes: (0..CLASSES).map(|_| Class::default()).collect(), long: Vec::new(), long_free: Vec::new() }
    }
}

fn size_of_class(class: usize) -> usize {
    (class + 1) * STEP
}

fn class_of_length(length: usize) -> usize {
    if length > SHORT_MAX { CLASSES } else { (length.max(1) - 1) / STEP }
}

/// By class: how many runs a page has, as a power of two. So places are found without a division.
const ROWS_BITS: [u8; CLASSES] = {
    let mut bits = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        bits[class] = ((PAGE_BYTES / STEP).ilog2() - (class + 1).next_power_of_two().ilog2()) as u8;
        class += 1;
    }
    bits
};

/// The page of a run that lies in one, and where in it the run starts.
fn where_is(handle: Handle, size: usize) -> (usize, usize) {
    let bits = ROWS_BITS[handle.class()];
    (handle.place() >> bits, (handle.place() & ((1 << bits) - 1)) * size)
}

impl Slab {
    /// Keeps `run`, which is not empty and whose first byte has nothing above [`OWN_BITS`].
    pub fn insert(&mut self, run: &[u8]) -> Handle {
        assert!(run.first().is_some_and(|first| first & !OWN_BITS == 0), "the upper bits are the slab's");
        let class = class_of_length(run.len());
        if class == CLASSES {
            let run = Some(run.into());
            let place = match self.long_free.pop() {
                Some(place) => place as usize,
                None => {
                    self.long.push(None);
                    self.long.len() - 1
                }
            };
            self.long[place] = run;
            return Handle::new(class, place);
        }
        let size = size_of_class(class);
        let rows = 1 << ROWS_BITS[class];
        let of_class = &mut self.classes[class];
        let place = match of_class.free.pop() {
            Some(place) => place as usize,
            None => {
                if of_class.used == of_class.pages.len() * rows {
                    of_class.pages.push(vec![0; rows * size].into());
                }
                of_class.used += 1;
                of_class.used - 1
            }
        };
        let handle = Handle::new(class, place);
        self.write(handle, run);
        handle
    }

    /// Puts `run`, which must be of the same size class, where another was; `false` if it is not.
    pub fn replace(&mut self, handle: Handle, run: &[u8]) -> bool {
        if class_of_length(run.len()) != handle.class() {
            return false;
        }
        match self.long.get_mut(handle.place()).filter(|_| handle.class() == CLASSES) {
            Some(long) => *long = Some(run.into()),
            None => self.write(handle, run),
        }
        true
    }

    fn write(&mut self, handle: Handle, run: &[u8]) {
        let size = size_of_class(handle.class());
        let (page, start) = where_is(handle, size);
        let page = &mut self.classes[handle.class()].pages[page];
        page[start..start + run.len()].copy_from_slice(run);
        page[start] |= ((size - run.len()) as u8) << 5;
    }

    /// Gives the run's place back.
    pub fn remove(&mut self, handle: Handle) {
        if handle.class() == CLASSES {
            self.long[handle.place()] = None;
            self.long_free.push(handle.place() as u32);
        } else {
            self.classes[handle.class()].free.push(handle.place() as u32);
        }
    }

    /// The run; of its first byte the lower bits are what was put.
    pub fn get(&self, handle: Handle) -> &[u8] {
        if handle.class() == CLASSES {
            return self.long[handle.place()].as_deref().expect("a handle is used while its run is there");
        }
        let size = size_of_class(handle.class());
        let (page, start) = where_is(handle, size);
        let run = &self.classes[handle.class()].pages[page][start..start + size];
        &run[..size - usize::from(run[0] >> 5)]
    }

    /// The same, to be changed in place; the upper bits of its first byte must stay.
    pub fn get_mut(&mut self, handle: Handle) -> &mut [u8] {
        if handle.class() == CLASSES {
            return self.long[handle.place()].as_deref_mut().expect("a handle is used while its run is there");
        }
        let size = size_of_class(handle.class());
        let (page, start) = where_is(handle, size);
        let run = &mut self.classes[handle.class()].pages[page][start..start + size];
        let length = size - usize::from(run[0] >> 5);
        &mut run[..length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn runs_stay_what_they_are_whatever_comes_and_goes(
            steps in proptest::collection::vec((0u8..4, 0usize..40, 1usize..600, any::<u8>()), 1..300)
        ) {
            let mut slab = Slab::default();
            let mut kept: HashMap<usize, (Handle, Vec<u8>)> = HashMap::new();
            for (step, key, length, byte) in steps {
                let mut run = vec![byte; length];
                run[0] &= OWN_BITS;
                match (step, kept.remove(&key)) {
                    (0 | 1, Some((handle, old))) => {
                        if slab.replace(handle, &run) {
                            kept.insert(key, (handle, run));
                        } else {
                            kept.insert(key, (handle, old));
                        }
                    }
                    (0..=2, None) => {
                        let handle = slab.insert(&run);
                        kept.insert(key, (handle, run));
                    }
                    (_, Some((handle, _))) => slab.remove(handle),
                    (_, None) => {}
                }
                for (handle, wanted) in kept.values() {
                    let mut found = slab.get(*handle).to_vec();
                    found[0] &= OWN_BITS;
                    prop_assert_eq!(&found, wanted);
                }
            }
        }
    }
}
