//! What the definitions say of twins at rest: needed where rows are written, which is done without a VM.

use twintalk_vm::Shapes;
use twintalk_vm::codec::shape_of_image;

/// By the number of a shape.
#[derive(Debug, Default)]
pub(crate) struct Catalog(Vec<Option<String>>);

impl Catalog {
    pub fn of(shapes: &Shapes) -> Catalog {
        let all = (0..shapes.len() as u32).map(|number| shapes.get(number).filter(|shape| shape.twin));
        Catalog(all.map(|shape| shape.map(|shape| shape.prototype.clone())).collect())
    }

    /// The name of the prototype that a twin at rest is of.
    pub fn prototype(&self, image: &[u8]) -> Option<&str> {
        self.0.get(shape_of_image(image)? as usize)?.as_deref()
    }
}
