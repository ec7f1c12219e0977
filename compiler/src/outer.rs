//! The images around a program: the kernel, and in a REPL the inputs before.
//!
//! A later image hides the names of earlier ones; inside an image its own names come first, then
//! those of the images before it.

use hashbrown::{HashMap, HashSet};

use twintalk_bytecode::Image;
use twintalk_bytecode::image::{NameId, Prototype};

/// A prototype of an outer image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OuterId {
    image: usize,
    prototype: usize,
}

/// All images around a program.
pub(crate) struct Outer<'o> {
    images: &'o [&'o Image],
    /// By name the prototypes of that name, ascending by image.
    prototypes: HashMap<&'o str, Vec<OuterId>>,
    variables: HashSet<&'o str>,
}

impl<'o> Outer<'o> {
    /// The names of `images`.
    pub(crate) fn new(images: &'o [&'o Image]) -> Outer<'o> {
        let mut prototypes: HashMap<&str, Vec<OuterId>> = HashMap::new();
        let mut variables = HashSet::new();
        for (number, image) in images.iter().enumerate() {
            for (row, prototype) in image.prototypes.iter().enumerate() {
                let id = OuterId { image: number, prototype: row };
                prototypes.entry(image.name(prototype.name)).or_default().push(id);
            }
            variables.extend(image.variables.iter().map(|variable| image.name(*variable)));
        }
        Outer { images, prototypes, variables }
    }

    /// Whether there is none: the kernel itself is being compiled.
    pub(crate) fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// The prototype that a program means by `name`.
    pub(crate) fn find(&self, name: &str) -> Option<OuterId> {
        self.prototypes.get(name)?.last().copied()
    }

    /// Whether there is a program variable of that name.
    pub(crate) fn has_variable(&self, name: &str) -> bool {
        self.variables.contains(name)
    }

    /// The prototype itself.
    pub(crate) fn prototype(&self, id: OuterId) -> &'o Prototype {
        &self.images[id.image].prototypes[id.prototype]
    }

    /// A name of the image that `id` stands in.
    pub(crate) fn name(&self, id: OuterId, name: NameId) -> &'o str {
        self.images[id.image].name(name)
    }

    /// The parent and the traits of a prototype, as its image means them.
    pub(crate) fn ancestors(&self, id: OuterId) -> impl Iterator<Item = OuterId> {
        let prototype = self.prototype(id);
        prototype.parent.iter().chain(&prototype.traits).filter_map(move |name| {
            let rows = self.prototypes.get(self.name(id, *name))?;
            // A definition that hides its own parent's name is no ancestor of itself.
            rows.iter().rev().find(|row| row.image <= id.image && **row != id).copied()
        })
    }

    /// Every prototype's name.
    pub(crate) fn prototype_names(&self) -> impl Iterator<Item = &'o str> {
        let images = self.images;
        images.iter().flat_map(|image| image.prototypes.iter().map(|prototype| image.name(prototype.name)))
    }

    /// Every program variable's name.
    pub(crate) fn variable_names(&self) -> impl Iterator<Item = &'o str> {
        let images = self.images;
        images.iter().flat_map(|image| image.variables.iter().map(|variable| image.name(*variable)))
    }
}
