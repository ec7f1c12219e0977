//! Deltas applied to images: what replay does, without a heap and without running code.
//!
//! An image is read as the graph it is: objects by number, each with the bytes of its plain values as they
//! stand and the numbers of the objects it mentions. The changes are made there, and the graph is
//! written again from the slots on, so what is no longer reached falls away. The shapes of
//! the store say how many slots there are, not the present definitions: what a program of long ago changed can
//! be replayed under any later one.
//!
//! Invariant: the result is, byte for byte, the image that the turn left.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::codec::{DecodeError, Reader, change, put_bytes, put_number, tag};
use crate::shape::Shapes;

/// A value inside an image.
#[derive(Clone, Copy)]
enum Item<'a> {
    /// What is no object: its bytes.
    Plain(&'a [u8]),
    /// An object, by its number.
    Object(u32),
}

/// An object of an image.
struct Node<'a> {
    tag: u8,
    shape: u32,
    contents: Contents<'a>,
}

enum Contents<'a> {
    /// Slots or elements.
    Items(Vec<Item<'a>>),
    Bytes(&'a [u8]),
}

/// A twin at rest, taken apart.
struct Graph<'a> {
    shapes: &'a Shapes,
    shape: u32,
    counter: u32,
    /// The promises that wait.
    waiting: Vec<Item<'a>>,
    slots: Vec<Item<'a>>,
    nodes: FxHashMap<u32, Node<'a>>,
}

type Got<T> = Result<T, DecodeError>;

impl Shapes {
    /// The image after a turn, from the one before and what the turn changed.
    ///
    /// Cost: linear in both.
    ///
    /// # Errors
    /// When either is damaged, or the delta does not belong to the image.
    pub fn apply_delta(&self, image: &[u8], delta: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut graph = Graph::read(self, image)?;
        graph.apply(delta)?;
        Ok(graph.write(image.len() + delta.len()))
    }

    /// Whether a promise of this number waits in the twin at rest. Cost: linear in what stands before its slots.
    ///
    /// # Errors
    /// When the image is damaged.
    pub fn waits_for(&self, image: &[u8], promise: u64) -> Result<bool, DecodeError> {
        let mut reader = Reader::new(image);
        let (shape, counter) = (reader.number32()?, reader.number32()?);
        let graph = Graph::read_waiting(self, shape, counter, &mut reader)?;
        for item in &graph.waiting {
            let Item::Object(number) = item else { continue };
            let Node { shape, contents: Contents::Items(slots), .. } = &graph.nodes[number] else { continue };
            let at = self.get(*shape).and_then(|shape| shape.slots.iter().position(|slot| slot == "number"));
            if let Some(Item::Plain(bytes)) = at.and_then(|at| slots.get(at))
                && Reader::new(bytes).integer_value()? == i64::try_from(promise).ok()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same twin at rest without its promises that wait, but for those that its slots reach.
    pub(crate) fn without_waiting(&self, image: &[u8]) -> Result<Vec<u8>, DecodeError> {
        let mut graph = Graph::read(self, image)?;
        graph.waiting.clear();
        Ok(graph.write(image.len()))
    }

    fn slot_count(&self, shape: u32) -> Got<usize> {
        let shape = self.get(shape).ok_or(DecodeError::Damaged("a shape that is not known"))?;
        Ok(shape.slots.len())
    }
}

impl<'a> Graph<'a> {
    fn read(shapes: &'a Shapes, image: &'a [u8]) -> Got<Graph<'a>> {
        let mut reader = Reader::new(image);
        let shape = reader.number32()?;
        let counter = reader.number32()?;
        let count = shapes.slot_count(shape)?;
        let mut graph = Graph::read_waiting(shapes, shape, counter, &mut reader)?;
        for _ in 0..count {
            let item = graph.item(&mut reader)?;
            graph.slots.push(item);
        }
        if reader.is_empty() { Ok(graph) } else { Err(DecodeError::Damaged("more bytes than slots")) }
    }

    /// Reads what stands before the slots.
    fn read_waiting(shapes: &'a Shapes, shape: u32, counter: u32, reader: &mut Reader<'a>) -> Got<Graph<'a>> {
        let (waiting, slots) = (Vec::new(), Vec::new());
        let mut graph = Graph { shapes, shape, counter, waiting, slots, nodes: FxHashMap::default() };
        if reader.bytes.first() == Some(&tag::WAITING) {
            reader.byte()?;
            for _ in 0..reader.length()? {
                let item = graph.item(reader)?;
                graph.waiting.push(item);
            }
        }
        Ok(graph)
    }

    /// Reads a value and all that it brings.
    fn item(&mut self, reader: &mut Reader<'a>) -> Got<Item<'a>> {
        // Objects whose contents are being read: number, and how many are still to come.
        let mut open: Vec<(u32, usize)> = Vec::new();
        let root = self.head(reader, &mut open)?;
        while let Some((number, left)) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            let number = *number;
            let item = self.head(reader, &mut open)?;
            match &mut self.nodes.get_mut(&number).expect("opened by `head`").contents {
                Contents::Items(items) => items.push(item),
                Contents::Bytes(_) => unreachable!("only objects with parts are opened"),
            }
        }
        Ok(root)
    }

    /// Reads a plain value, or the head of an object, which is opened.
    fn head(&mut self, reader: &mut Reader<'a>, open: &mut Vec<(u32, usize)>) -> Got<Item<'a>> {
        let start = reader.bytes;
        let first = reader.byte()?;
        match first {
            tag::NIL | tag::TRUE | tag::FALSE | tag::TINY.. => {}
            tag::INTEGER => {
                reader.number()?;
            }
            tag::CHARACTER => {
                reader.number32()?;
            }
            tag::FLOAT => {
                reader.float()?;
            }
            tag::SYMBOL | tag::STRING | tag::PROTOTYPE => {
                reader.text()?;
            }
            tag::LARGE => {
                reader.sized()?;
            }
            tag::REFERENCE => {
                reader.text()?;
                reader.text()?;
            }
            tag::BACK => {
                let number = reader.number32()?;
                if !self.nodes.contains_key(&number) {
                    return Err(DecodeError::Damaged("an object that is not there"));
                }
                return Ok(Item::Object(number));
            }
            tag::OBJECT
            | tag::OBJECT_IMMUTABLE
            | tag::INDEXED
            | tag::INDEXED_IMMUTABLE
            | tag::RAW
            | tag::RAW_IMMUTABLE => return self.object(first, reader, open),
            _ => return Err(DecodeError::Damaged("an unknown kind of value")),
        }
        Ok(Item::Plain(&start[..start.len() - reader.bytes.len()]))
    }

    fn object(&mut self, tag: u8, reader: &mut Reader<'a>, open: &mut Vec<(u32, usize)>) -> Got<Item<'a>> {
        let number = reader.number32()?;
        let shape = reader.number32()?;
        let slots = self.shapes.slot_count(shape)?;
        if number == 0 || number >= self.counter {
            return Err(DecodeError::Damaged("an object past its twin's counter"));
        }
        let contents = match tag {
            tag::RAW | tag::RAW_IMMUTABLE => Contents::Bytes(reader.sized()?),
            _ => {
                let count = if tag == tag::OBJECT || tag == tag::OBJECT_IMMUTABLE { slots } else { reader.length()? };
                if count > reader.bytes.len() {
                    return Err(DecodeError::Damaged("it ends too early"));
                }
                open.push((number, count));
                Contents::Items(Vec::with_capacity(count))
            }
        };
        if self.nodes.insert(number, Node { tag, shape, contents }).is_some() {
            return Err(DecodeError::Damaged("two objects of one number"));
        }
        Ok(Item::Object(number))
    }

    fn apply(&mut self, delta: &'a [u8]) -> Got<()> {
        if delta.is_empty() {
            return Ok(());
        }
        let mut reader = Reader::new(delta);
        let counter = reader.number32()?;
        if counter < self.counter {
            return Err(DecodeError::Damaged("a counter that goes back"));
        }
        self.counter = counter;
        while !reader.is_empty() {
            match reader.byte()? {
                change::SLOT => {
                    let index = reader.number()? as usize;
                    let item = self.item(&mut reader)?;
                    *self.slots.get_mut(index).ok_or(DecodeError::Damaged("a slot past the last"))? = item;
                }
                change::ELEMENT => {
                    let number = reader.number32()?;
                    let index = reader.number()? as usize;
                    let item = self.item(&mut reader)?;
                    let place = match &mut self.node(number)?.contents {
                        Contents::Items(items) => items.get_mut(index),
                        Contents::Bytes(_) => None,
                    };
                    *place.ok_or(DecodeError::Damaged("an element past the last"))? = item;
                }
                change::BYTES => {
                    let number = reader.number32()?;
                    let bytes = reader.sized()?;
                    match &mut self.node(number)?.contents {
                        Contents::Bytes(old) if old.len() == bytes.len() => *old = bytes,
                        Contents::Bytes(_) | Contents::Items(_) => {
                            return Err(DecodeError::Damaged("bytes for an object that has others"));
                        }
                    }
                }
                change::WAITS => {
                    let item = self.item(&mut reader)?;
                    self.waiting.push(item);
                }
                change::SETTLED => {
                    let number = reader.number32()?;
                    let at =
                        self.waiting.iter().position(|item| matches!(item, Item::Object(waits) if *waits == number));
                    self.waiting.remove(at.ok_or(DecodeError::Damaged("what is settled does not wait"))?);
                }
                _ => return Err(DecodeError::Damaged("an unknown change")),
            }
        }
        Ok(())
    }

    fn node(&mut self, number: u32) -> Got<&mut Node<'a>> {
        self.nodes.get_mut(&number).ok_or(DecodeError::Damaged("an object that is not there"))
    }

    fn write(&self, capacity: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(capacity);
        put_number(&mut out, u64::from(self.shape));
        put_number(&mut out, u64::from(self.counter));
        let mut mentioned = FxHashSet::default();
        let mut open: Vec<std::slice::Iter<'_, Item<'a>>> = vec![self.slots.iter()];
        if !self.waiting.is_empty() {
            out.push(tag::WAITING);
            put_number(&mut out, self.waiting.len() as u64);
            open.push(self.waiting.iter());
        }
        while let Some(items) = open.last_mut() {
            let Some(item) = items.next() else {
                open.pop();
                continue;
            };
            match item {
                Item::Plain(bytes) => out.extend_from_slice(bytes),
                Item::Object(number) if !mentioned.insert(*number) => {
                    out.push(tag::BACK);
                    put_number(&mut out, u64::from(*number));
                }
                Item::Object(number) => {
                    let node = &self.nodes[number];
                    out.push(node.tag);
                    put_number(&mut out, u64::from(*number));
                    put_number(&mut out, u64::from(node.shape));
                    match &node.contents {
                        Contents::Bytes(bytes) => put_bytes(&mut out, bytes),
                        Contents::Items(items) => {
                            if node.tag == tag::INDEXED || node.tag == tag::INDEXED_IMMUTABLE {
                                put_number(&mut out, items.len() as u64);
                            }
                            open.push(items.iter());
                        }
                    }
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    /// A twin with one slot, and the numbers of its objects below 5.
    fn shapes_and_image() -> (Shapes, Vec<u8>) {
        let mut shapes = Shapes::default();
        shapes.define(Shape {
            prototype: "Tank".to_owned(),
            kernel: false,
            twin: true,
            version: 1,
            slots: vec!["level".to_owned()],
        });
        (shapes, vec![0, 5, tag::NIL])
    }

    #[test]
    fn a_delta_puts_values_into_slots_and_moves_the_counter_on() {
        let (shapes, image) = shapes_and_image();
        assert_eq!(shapes.apply_delta(&image, &[]), Ok(image.clone()));
        assert_eq!(shapes.apply_delta(&image, &[7, change::SLOT, 0, tag::TRUE]), Ok(vec![0, 7, tag::TRUE]));
    }

    #[test]
    fn a_delta_that_is_not_of_this_image_is_refused() {
        let (shapes, image) = shapes_and_image();
        let refused: [&[u8]; 5] = [
            // A counter that goes back: the objects below the old one would be past it.
            &[3, change::SLOT, 0, tag::TRUE],
            &[5, change::SLOT, 1, tag::TRUE],
            &[5, change::ELEMENT, 1, 0, tag::TRUE],
            &[5, change::BYTES, 1, 0],
            &[5, 9],
        ];
        for delta in refused {
            assert!(shapes.apply_delta(&image, delta).is_err(), "{delta:?}");
        }
    }

    /// A twin with one slot, and the kernel's Promise, of which the second object is one that waits.
    fn shapes_and_waiting() -> (Shapes, Vec<u8>) {
        let (mut shapes, _) = shapes_and_image();
        shapes.define(Shape {
            prototype: "Promise".to_owned(),
            kernel: true,
            twin: false,
            version: 1,
            slots: vec!["number".to_owned()],
        });
        (shapes, vec![0, 5, tag::WAITING, 1, tag::OBJECT_IMMUTABLE, 2, 1, 128 + 7, tag::BACK, 2])
    }

    #[test]
    fn promises_that_wait_stand_before_the_slots() {
        let (shapes, image) = shapes_and_waiting();
        assert_eq!(shapes.waits_for(&image, 7), Ok(true));
        assert_eq!(shapes.waits_for(&image, 8), Ok(false));
        let alone = vec![0, 5, tag::OBJECT_IMMUTABLE, 2, 1, 128 + 7];
        assert_eq!(shapes.without_waiting(&image), Ok(alone.clone()));
        let settled = shapes.apply_delta(&image, &[5, change::SETTLED, 2]);
        assert_eq!(settled, Ok(alone));
        let forgotten = shapes.apply_delta(&image, &[5, change::SLOT, 0, tag::NIL]);
        assert_eq!(forgotten, Ok([&image[..8], &[tag::NIL]].concat()));
        let again = shapes.apply_delta(&settled.expect("as above"), &[5, change::WAITS, tag::BACK, 2]);
        assert_eq!(again, Ok(image.clone()));
        for delta in [&[5, change::SETTLED, 3][..], &[5, change::WAITS, tag::BACK, 4]] {
            assert!(shapes.apply_delta(&image, delta).is_err(), "{delta:?}");
        }
    }
}
