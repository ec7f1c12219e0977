//! What the definitions say of twins at rest: needed where rows are written, which is done without a VM.

use twintalk_vm::codec::shape_of_image;
use twintalk_vm::indexed::{IndexKey, IndexedSlots, OTHER, key_of_stored};
use twintalk_vm::{Shapes, Vm};

/// By the number of a shape.
#[derive(Default)]
pub(crate) struct Catalog {
    entries: Vec<Option<Entry>>,
    shapes: Shapes,
}

struct Entry {
    prototype: String,
    indexed: IndexedSlots,
}

impl Catalog {
    /// What the program of `vm` says.
    pub fn of(vm: &Vm) -> Catalog {
        let shapes = vm.copy_shapes();
        let entry = |number: u32| {
            let shape = shapes.get(number).filter(|shape| shape.twin)?;
            Some(Entry { prototype: shape.prototype.clone(), indexed: vm.indexed_slots(number) })
        };
        Catalog { entries: (0..shapes.len() as u32).map(entry).collect(), shapes }
    }

    fn entry(&self, image: &[u8]) -> Option<&Entry> {
        self.entries.get(shape_of_image(image)? as usize)?.as_ref()
    }

    /// The name of the prototype that a twin at rest is of.
    pub fn prototype(&self, image: &[u8]) -> Option<&str> {
        self.entry(image).map(|entry| entry.prototype.as_str())
    }

    /// The name of the prototype, and of each indexed slot the name and the key of its value.
    pub fn values<'a>(&'a self, image: &'a [u8]) -> impl Iterator<Item = (&'a str, &'a str, IndexKey)> {
        self.entry(image).into_iter().flat_map(move |entry| {
            entry.indexed.slots.iter().map(move |(name, place)| {
                let key = match place {
                    Some(place) => key_of_stored(self.shapes.stored_slot(image, *place), &self.shapes),
                    None => OTHER,
                };
                (entry.prototype.as_str(), name.as_str(), key)
            })
        })
    }

    /// Whether twins of the shape that this one has have indexed slots.
    pub fn has_indices(&self, image: &[u8]) -> bool {
        self.entry(image).is_some_and(|entry| !entry.indexed.slots.is_empty())
    }

    /// What is indexed of which shapes: rows that were made for another text are not these.
    pub fn text(&self) -> String {
        let numbered = self.entries.iter().enumerate().filter_map(|(number, entry)| Some((number, entry.as_ref()?)));
        let texts = numbered.filter(|(_, entry)| !entry.indexed.slots.is_empty()).map(|(number, entry)| {
            let slots = entry.indexed.slots.iter().map(|(name, place)| match place {
                Some(place) => format!(" {name} {place}"),
                None => format!(" {name}"),
            });
            format!("{number} {}{}\n", entry.prototype, slots.collect::<String>())
        });
        texts.collect()
    }
}
