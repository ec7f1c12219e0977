//! Deltas applied to images: what replay does, without a heap and without running code.
//!
//! An image is read as the graph it is: objects by number, each with the place of its plain values and the
//! numbers of the objects it mentions. The changes are made there, and the graph is
//! written again from the slots on, so what is no longer reached falls away. The shapes of
//! the store say how many slots there are, not the present definitions: what a program of long ago changed can
//! be replayed under any later one.
//!
//! **Pieces.** A part of a long collection (`part.rs`) is a *piece* where nothing ties it to the rest: the image has its
//! number only, and its bytes are kept beside the image, by that number. It may hold plain values, pieces, and objects that are its
//! own: what these reach is reached by nothing else, and is written where they are. A part that holds an object which something
//! else reaches too stays in the image, and so do those above it; once it is let go they are pieces again. So no object is ever in
//! two places, and whoever meets one has read the piece that it is in.
//!
//! A delta names what it changes, so only the pieces that it changes are read: where that is an object in a piece, or it mentions one, it
//! names the piece first, and those above it, which become a part of the image if this one does. Those whose number falls away are
//! traced down and told as gone.
//!
//! **Promises apart.** A promise that waits and that nothing else reaches is a piece, too (`apart.rs`), which no mention leads to: the image
//! counts them, and has the objects that they hold, each with how often it is held.
//!
//! Invariant: the result is, byte for byte, the image and the pieces that the turn left.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::apart::{self, PROMISE_PIECE};
use crate::codec::{DecodeError, Reader, change, put_bytes, put_number, tag};
use crate::part::HEIGHT_MAX;
use crate::shape::Shapes;

/// What became of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceChange {
    /// The number of the object, within its twin; or that of a promise, and [`PROMISE_PIECE`].
    pub number: u64,
    /// What it is now; `None`: it is gone.
    pub bytes: Option<Vec<u8>>,
}

/// A twin as a turn left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtRest {
    /// All of it but its pieces.
    pub image: Vec<u8>,
    /// The pieces that are new, changed or gone, by ascending number; all others are what they were.
    pub pieces: Vec<PieceChange>,
}

/// The pieces of a twin from before, by their number.
pub type Pieces<'a> = &'a mut dyn FnMut(u64) -> Option<Vec<u8>>;

/// Some bytes of a source of the graph.
#[derive(Clone, Copy)]
struct Span {
    source: u32,
    start: u32,
    end: u32,
}

/// A value inside an image.
#[derive(Clone, Copy)]
enum Item {
    /// What is no object: its bytes.
    Plain(Span),
    /// An object, by its number.
    Object(u32),
}

impl Item {
    fn object(&self) -> Option<u32> {
        match *self {
            Item::Object(number) => Some(number),
            Item::Plain(_) => None,
        }
    }
}

/// An object of an image.
struct Node {
    tag: u8,
    shape: u32,
    contents: Contents,
}

enum Contents {
    /// Slots or elements.
    Items(Vec<Item>),
    Bytes(Span),
}

/// What a piece mentioned before the turn.
#[derive(Clone, Default)]
struct Before {
    mentions: Vec<u32>,
    /// Whether those are leaves, which mention nothing.
    leaves: bool,
    /// Its bytes, among the sources.
    source: Option<u32>,
}

/// A reader that knows where in a source it is.
struct Cursor<'r> {
    reader: Reader<'r>,
    source: u32,
    length: u32,
}

impl<'r> Cursor<'r> {
    fn new(source: usize, bytes: &'r [u8]) -> Got<Cursor<'r>> {
        let length = u32::try_from(bytes.len()).map_err(|_| DecodeError::Damaged("more bytes than a twin has"))?;
        Ok(Cursor { reader: Reader::new(bytes), source: source as u32, length })
    }

    fn at(&self) -> u32 {
        self.length - self.reader.bytes.len() as u32
    }

    fn since(&self, start: u32) -> Span {
        Span { source: self.source, start, end: self.at() }
    }
}

/// A twin at rest, taken apart.
struct Graph<'a> {
    shapes: &'a Shapes,
    shape: u32,
    counter: u32,
    /// The promises that wait.
    waiting: Vec<Item>,
    /// How many promises wait apart.
    apart: u32,
    /// The objects that these hold, by their number, each with how often.
    held: BTreeMap<u32, u32>,
    /// Promises that came to wait apart, or do so no longer.
    promises: Vec<PieceChange>,
    slots: Vec<Item>,
    nodes: FxHashMap<u32, Node>,
    /// What spans are of.
    sources: Vec<std::borrow::Cow<'a, [u8]>>,
    /// Objects whose bytes were changed in places, each with the source that has them alone.
    own_bytes: FxHashMap<u32, u32>,
    pieces: Pieces<'a>,
    /// The pieces that the image mentioned before the turn.
    image_before: Vec<u32>,
    /// Pieces that were read.
    fetched: FxHashMap<u32, Before>,
    /// Those of them that the turn changed.
    changed: FxHashSet<u32>,
    /// Pieces met since this was last emptied.
    met: Vec<u32>,
    /// The shapes of objects that are in pieces.
    in_pieces: BTreeSet<u32>,
    /// The parts that are no pieces, since something else reaches what they hold.
    tied: FxHashSet<u32>,
}

type Got<T> = Result<T, DecodeError>;

const NO_PIECE: DecodeError = DecodeError::Damaged("a piece that is not there");
const NO_OBJECT: DecodeError = DecodeError::Damaged("an object that is not there");

impl Shapes {
    /// The twin after a turn, from the image before, its pieces, and what the turn changed.
    ///
    /// Cost: linear in image, delta and the pieces that are changed or gone.
    ///
    /// # Errors
    /// When one is damaged, or the delta does not belong to the image.
    pub fn apply_delta(&self, image: &[u8], pieces: Pieces<'_>, delta: &[u8]) -> Result<AtRest, DecodeError> {
        if let Some(image) = self.with_slots_replaced(image, delta) {
            return Ok(AtRest { image, pieces: Vec::new() });
        }
        let mut graph = Graph::read(self, image, pieces)?;
        graph.image_before = std::mem::take(&mut graph.met);
        graph.apply(delta)?;
        graph.finish(image.len() + delta.len())
    }

    /// The image after a turn that put plain values into slots where plain values stood, and did nothing else: all of it
    /// but these is what it was. `None` where the turn did more than that, or the bytes are not what they should be.
    ///
    /// Cost: one pass over the slots, nothing but the result is allocated.
    pub fn with_slots_replaced(&self, image: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
        let mut rest = Reader::new(image);
        let (shape, counter) = (rest.number32().ok()?, rest.number32().ok()?);
        match rest.bytes.first() {
            Some(&tag::WAITING) => return None,
            // How many promises wait apart, and nothing that they hold.
            Some(&tag::APART) => {
                rest.byte().ok()?;
                rest.number32().ok()?;
                if rest.number().ok()? > 0 {
                    return None;
                }
            }
            Some(_) | None => {}
        }
        read_shapes_in_pieces(&mut rest).ok()?;
        let slots = self.get(shape)?.slots.len();
        let mut changes = Reader::new(delta);
        if changes.number32().ok()? != counter {
            return None;
        }
        let mut new = Vec::with_capacity(image.len() + delta.len());
        // Up to where the image has been taken, and the next slot of it.
        let (mut taken, mut next) = (0, 0);
        while !changes.is_empty() {
            if changes.byte().ok()? != change::SLOT {
                return None;
            }
            let index = usize::try_from(changes.number().ok()?).ok()?;
            // They come in ascending order.
            if index < next || index >= slots {
                return None;
            }
            while next < index {
                skip(self, &mut rest)?;
                next += 1;
            }
            let start = image.len() - rest.bytes.len();
            new.extend_from_slice(&image[taken..start]);
            skip_plain(&mut rest)?;
            taken = image.len() - rest.bytes.len();
            next += 1;
            let value = changes.bytes;
            skip_plain(&mut changes)?;
            new.extend_from_slice(&value[..value.len() - changes.bytes.len()]);
        }
        new.extend_from_slice(&image[taken..]);
        Some(new)
    }

    /// A twin that a record has whole, with its parts as pieces; `before` is what it was, if it only was carried over to
    /// another definition: pieces that it mentions without having them are those from before.
    ///
    /// # Errors
    /// When bytes are damaged.
    pub fn settle(&self, whole: &[u8], before: Option<(&[u8], Pieces<'_>)>) -> Result<AtRest, DecodeError> {
        let mut none = |_: u64| None;
        let Some((image, pieces)) = before else {
            let mut graph = Graph::read(self, whole, &mut none)?;
            if !std::mem::take(&mut graph.met).is_empty() || graph.apart > 0 {
                return Err(NO_PIECE);
            }
            return graph.finish(whole.len());
        };
        let old = Graph::read(self, image, &mut none)?;
        let (old_counter, image_before, in_line) = (old.counter, old.met, old.nodes);
        let mut graph = Graph::read(self, whole, pieces)?;
        // Where all is written out, what was in pieces is of shapes that are met here.
        if !std::mem::take(&mut graph.met).is_empty() {
            graph.in_pieces = old.in_pieces;
        }
        graph.image_before = image_before;
        let parts: Vec<u32> = graph.nodes.keys().copied().filter(|&number| graph.is_part(number)).collect();
        for number in parts {
            if number < old_counter
                && !in_line.contains_key(&number)
                && let Some(bytes) = (graph.pieces)(u64::from(number))
            {
                let before = graph.scan(number, &bytes)?;
                graph.fetched.insert(number, before);
                graph.changed.insert(number);
            }
        }
        graph.finish(whole.len())
    }

    /// Whether a twin that a record has whole leans on pieces from before.
    pub fn has_pieces(&self, whole: &[u8]) -> bool {
        Graph::read(self, whole, &mut |_| None).is_ok_and(|graph| !graph.met.is_empty() || graph.apart > 0)
    }

    /// Whether a promise of this number waits in the image of the twin at rest, rather than apart from it. Cost: linear in what stands before its slots.
    ///
    /// # Errors
    /// When the image is damaged.
    pub fn waits_for(&self, image: &[u8], promise: u64) -> Result<bool, DecodeError> {
        let mut none = |_: u64| None;
        let (graph, _) = Graph::read_waiting(self, image, &mut none)?;
        for item in &graph.waiting {
            let Item::Object(number) = item else { continue };
            let Some(Node { shape, contents: Contents::Items(slots), .. }) = graph.nodes.get(number) else { continue };
            let at = self.get(*shape).and_then(|shape| shape.slots.iter().position(|slot| slot == "number"));
            if let Some(&Item::Plain(span)) = at.and_then(|at| slots.get(at))
                && Reader::new(graph.bytes(span)).integer_value()? == i64::try_from(promise).ok()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same twin at rest without its promises that wait, but for those that its slots reach.
    pub(crate) fn without_waiting(&self, image: &[u8]) -> Result<AtRest, DecodeError> {
        let mut none = |_: u64| None;
        let mut graph = Graph::read(self, image, &mut none)?;
        graph.waiting.clear();
        graph.held.clear();
        graph.apart = 0;
        graph.finish(image.len())
    }

    fn slot_count(&self, shape: u32) -> Got<usize> {
        let shape = self.get(shape).ok_or(DecodeError::Damaged("a shape that is not known"))?;
        Ok(shape.slots.len())
    }
}

/// Reads what is behind the first byte of a plain value; `false`: it is none.
pub(crate) fn plain(reader: &mut Reader<'_>, first: u8) -> Got<bool> {
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
        _ => return Ok(false),
    }
    Ok(true)
}

/// Passes over a plain value; `None` where there is none.
fn skip_plain(reader: &mut Reader<'_>) -> Option<()> {
    let first = reader.byte().ok()?;
    plain(reader, first).ok()?.then_some(())
}

/// Reads what an image says of the shapes of objects that are in pieces; nothing where there are none.
pub(crate) fn read_shapes_in_pieces(reader: &mut Reader<'_>) -> Got<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    if reader.bytes.first() != Some(&tag::IN_PIECES) {
        return Ok(found);
    }
    reader.byte()?;
    for _ in 0..reader.length()? {
        let shape = reader.number32()?;
        if found.last().is_some_and(|&last| last >= shape) {
            return Err(DecodeError::Damaged("shapes that are not in their order"));
        }
        found.insert(shape);
    }
    if found.is_empty() { Err(DecodeError::Damaged("a list of shapes without any")) } else { Ok(found) }
}

/// Passes over a value and all that it brings.
fn skip(shapes: &Shapes, reader: &mut Reader<'_>) -> Option<()> {
    let mut left = 1usize;
    while left > 0 {
        left -= 1;
        let first = reader.byte().ok()?;
        if plain(reader, first).ok()? {
            continue;
        }
        match first {
            tag::BACK | tag::PIECE => {
                reader.number32().ok()?;
            }
            tag::OBJECT | tag::OBJECT_IMMUTABLE => {
                reader.number32().ok()?;
                left += shapes.slot_count(reader.number32().ok()?).ok()?;
            }
            tag::INDEXED | tag::INDEXED_IMMUTABLE => {
                reader.number32().ok()?;
                reader.number32().ok()?;
                left += reader.length().ok()?;
            }
            tag::RAW | tag::RAW_IMMUTABLE => {
                reader.number32().ok()?;
                reader.number32().ok()?;
                reader.sized().ok()?;
            }
            _ => return None,
        }
    }
    Some(())
}

impl<'a> Graph<'a> {
    fn read(shapes: &'a Shapes, image: &'a [u8], pieces: Pieces<'a>) -> Got<Graph<'a>> {
        let (mut graph, mut cursor) = Graph::read_waiting(shapes, image, pieces)?;
        for _ in 0..shapes.slot_count(graph.shape)? {
            let item = graph.item(&mut cursor, false)?;
            graph.slots.push(item);
        }
        if cursor.reader.is_empty() { Ok(graph) } else { Err(DecodeError::Damaged("more bytes than slots")) }
    }

    /// Reads what stands before the slots.
    fn read_waiting(shapes: &'a Shapes, image: &'a [u8], pieces: Pieces<'a>) -> Got<(Graph<'a>, Cursor<'a>)> {
        let mut cursor = Cursor::new(0, image)?;
        let shape = cursor.reader.number32()?;
        let counter = cursor.reader.number32()?;
        let mut graph = Graph {
            shapes,
            shape,
            counter,
            waiting: Vec::new(),
            apart: 0,
            held: BTreeMap::new(),
            promises: Vec::new(),
            slots: Vec::new(),
            nodes: FxHashMap::default(),
            sources: vec![image.into()],
            own_bytes: FxHashMap::default(),
            pieces,
            image_before: Vec::new(),
            fetched: FxHashMap::default(),
            changed: FxHashSet::default(),
            met: Vec::new(),
            in_pieces: BTreeSet::new(),
            tied: FxHashSet::default(),
        };
        if cursor.reader.bytes.first() == Some(&tag::ANSWERED) {
            cursor.reader.byte()?;
            let number = PROMISE_PIECE | cursor.reader.number()?;
            graph.promises.push(PieceChange { number, bytes: None });
        }
        if cursor.reader.bytes.first() == Some(&tag::WAITING) {
            cursor.reader.byte()?;
            for _ in 0..cursor.reader.length()? {
                let item = graph.item(&mut cursor, false)?;
                graph.waiting.push(item);
            }
        }
        if cursor.reader.bytes.first() == Some(&tag::APART) {
            cursor.reader.byte()?;
            graph.apart = cursor.reader.number32()?;
            for _ in 0..cursor.reader.length()? {
                const WRONG: DecodeError = DecodeError::Damaged("what promises hold are no objects by their number");
                let Item::Object(number) = graph.item(&mut cursor, false)? else { return Err(WRONG) };
                let is_next = graph.held.last_key_value().is_none_or(|(&last, _)| last < number);
                let count = cursor.reader.number32()?;
                if !is_next || count == 0 {
                    return Err(WRONG);
                }
                graph.held.insert(number, count);
            }
        }
        graph.in_pieces = read_shapes_in_pieces(&mut cursor.reader)?;
        Ok((graph, cursor))
    }

    /// The bytes of a plain value.
    fn bytes(&self, span: Span) -> &[u8] {
        &self.sources[span.source as usize][span.start as usize..span.end as usize]
    }

    /// Reads a value and all that it brings. `delta`: it may mention objects that only pieces have.
    fn item(&mut self, cursor: &mut Cursor<'_>, delta: bool) -> Got<Item> {
        // Objects whose contents are being read: number, and how many are still to come.
        let mut open: Vec<(u32, usize)> = Vec::new();
        let root = self.head(cursor, &mut open, delta)?;
        while let Some((number, left)) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            let number = *number;
            let item = self.head(cursor, &mut open, delta)?;
            match &mut self.nodes.get_mut(&number).expect("opened by `head`").contents {
                Contents::Items(items) => items.push(item),
                Contents::Bytes(_) => unreachable!("only objects with parts are opened"),
            }
        }
        Ok(root)
    }

    /// Reads a plain value, or the head of an object, which is opened.
    fn head(&mut self, cursor: &mut Cursor<'_>, open: &mut Vec<(u32, usize)>, delta: bool) -> Got<Item> {
        let start = cursor.at();
        let first = cursor.reader.byte()?;
        if plain(&mut cursor.reader, first)? {
            return Ok(Item::Plain(cursor.since(start)));
        }
        match first {
            tag::BACK => {
                let number = cursor.reader.number32()?;
                if !self.nodes.contains_key(&number) {
                    if !delta {
                        return Err(NO_OBJECT);
                    }
                    if !self.image_before.contains(&number) {
                        self.fetch(number)?;
                    }
                }
                Ok(Item::Object(number))
            }
            tag::PIECE => {
                let number = cursor.reader.number32()?;
                if !(1..self.counter).contains(&number) {
                    return Err(NO_PIECE);
                }
                self.met.push(number);
                Ok(Item::Object(number))
            }
            tag::OBJECT
            | tag::OBJECT_IMMUTABLE
            | tag::INDEXED
            | tag::INDEXED_IMMUTABLE
            | tag::RAW
            | tag::RAW_IMMUTABLE => self.object(first, cursor, open),
            _ => Err(DecodeError::Damaged("an unknown kind of value")),
        }
    }

    fn object(&mut self, tag: u8, cursor: &mut Cursor<'_>, open: &mut Vec<(u32, usize)>) -> Got<Item> {
        let number = cursor.reader.number32()?;
        let shape = cursor.reader.number32()?;
        let slots = self.shapes.slot_count(shape)?;
        if number == 0 || number >= self.counter {
            return Err(DecodeError::Damaged("an object past its twin's counter"));
        }
        let contents = match tag {
            tag::RAW | tag::RAW_IMMUTABLE => {
                let length = cursor.reader.length()?;
                let start = cursor.at();
                cursor.reader.take(length)?;
                Contents::Bytes(cursor.since(start))
            }
            _ => {
                let count =
                    if tag == tag::OBJECT || tag == tag::OBJECT_IMMUTABLE { slots } else { cursor.reader.length()? };
                if count > cursor.reader.bytes.len() {
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

    // ---- pieces from before ----

    /// What a piece mentions; it is checked to be object `number`, a part with nothing in it but plain values, pieces and objects.
    fn scan(&self, number: u32, bytes: &[u8]) -> Got<Before> {
        const WRONG: DecodeError = DecodeError::Damaged("a piece that is another object than was asked for");
        let mut reader = Reader::new(bytes);
        if reader.byte()? != tag::INDEXED || reader.number32()? != number {
            return Err(WRONG);
        }
        let shape = reader.number32()?;
        if !self.shapes.get(shape).is_some_and(|shape| shape.is_part()) {
            return Err(WRONG);
        }
        let mut before = Before::default();
        for _ in 0..reader.length()? {
            let mut ahead = reader.clone();
            let first = ahead.byte()?;
            before.leaves = first == tag::TINY + 65;
            if first == tag::PIECE {
                before.mentions.push(ahead.number32()?);
                reader = ahead;
            } else {
                skip(self.shapes, &mut reader).ok_or(WRONG)?;
            }
        }
        if reader.is_empty() { Ok(before) } else { Err(WRONG) }
    }

    /// Reads a piece from before into the graph.
    fn fetch(&mut self, number: u32) -> Got<()> {
        if number == 0 || number >= self.counter {
            return Err(NO_OBJECT);
        }
        let bytes = (self.pieces)(u64::from(number)).ok_or(NO_OBJECT)?;
        let mut before = self.scan(number, &bytes)?;
        before.source = Some(self.sources.len() as u32);
        let met = std::mem::take(&mut self.met);
        let mut cursor = Cursor::new(self.sources.len(), &bytes)?;
        self.item(&mut cursor, false)?;
        self.met = met;
        self.sources.push(bytes.into());
        self.fetched.insert(number, before);
        Ok(())
    }

    // ---- changes ----

    fn apply(&mut self, delta: &'a [u8]) -> Got<()> {
        if delta.is_empty() {
            return Ok(());
        }
        let mut cursor = Cursor::new(self.sources.len(), delta)?;
        self.sources.push(delta.into());
        let counter = cursor.reader.number32()?;
        if counter < self.counter {
            return Err(DecodeError::Damaged("a counter that goes back"));
        }
        self.counter = counter;
        while !cursor.reader.is_empty() {
            match cursor.reader.byte()? {
                change::SLOT => {
                    let index = cursor.reader.number()? as usize;
                    let item = self.item(&mut cursor, true)?;
                    *self.slots.get_mut(index).ok_or(DecodeError::Damaged("a slot past the last"))? = item;
                }
                change::ELEMENT => {
                    let number = cursor.reader.number32()?;
                    let index = cursor.reader.number()? as usize;
                    let item = self.item(&mut cursor, true)?;
                    let place = match &mut self.node(number)?.contents {
                        Contents::Items(items) => items.get_mut(index),
                        Contents::Bytes(_) => None,
                    };
                    *place.ok_or(DecodeError::Damaged("an element past the last"))? = item;
                }
                change::BYTES => {
                    let number = cursor.reader.number32()?;
                    let length = cursor.reader.length()?;
                    let start = cursor.at();
                    cursor.reader.take(length)?;
                    let bytes = cursor.since(start);
                    match &mut self.node(number)?.contents {
                        Contents::Bytes(old) if old.end - old.start == bytes.end - bytes.start => *old = bytes,
                        Contents::Bytes(_) | Contents::Items(_) => {
                            return Err(DecodeError::Damaged("bytes for an object that has others"));
                        }
                    }
                }
                change::SOME_BYTES => {
                    let number = cursor.reader.number32()?;
                    let start = cursor.reader.number()?;
                    let bytes = cursor.reader.sized()?;
                    self.put_bytes(number, start, bytes)?;
                }
                change::WAITS => {
                    let item = self.item(&mut cursor, true)?;
                    self.waiting.push(item);
                }
                change::SETTLED => {
                    let number = cursor.reader.number32()?;
                    let at =
                        self.waiting.iter().position(|item| matches!(item, Item::Object(waits) if *waits == number));
                    self.waiting.remove(at.ok_or(DecodeError::Damaged("what is settled does not wait"))?);
                }
                change::WAITS_APART => self.wait_apart(&mut cursor)?,
                change::ANSWERED => {
                    let number = cursor.reader.number()?;
                    self.answered(number)?;
                }
                change::OPENED => {
                    let number = cursor.reader.number32()?;
                    self.node(number)?;
                }
                _ => return Err(DecodeError::Damaged("an unknown change")),
            }
        }
        Ok(())
    }

    /// A promise waits apart from now on.
    fn wait_apart(&mut self, cursor: &mut Cursor<'_>) -> Got<()> {
        let out = RefCell::new(Vec::new());
        let mut other = |_: &mut Cursor<'_>, bytes: &[u8]| out.borrow_mut().extend_from_slice(bytes);
        let number = apart::walk(cursor, |cursor| &mut cursor.reader, &mut other, &mut |cursor| {
            match self.item(cursor, true)? {
                Item::Plain(span) => out.borrow_mut().extend_from_slice(self.bytes(span)),
                Item::Object(number) => {
                    out.borrow_mut().push(tag::BACK);
                    put_number(&mut out.borrow_mut(), u64::from(number));
                    let times = self.held.entry(number).or_default();
                    *times = times.checked_add(1).ok_or(NO_OBJECT)?;
                }
            }
            Ok(())
        })?;
        self.apart = self.apart.checked_add(1).ok_or(NO_PIECE)?;
        self.promises.push(PieceChange { number: PROMISE_PIECE | number, bytes: Some(out.into_inner()) });
        Ok(())
    }

    /// A promise that waited apart does so no longer.
    fn answered(&mut self, number: u64) -> Got<()> {
        const WRONG: DecodeError = DecodeError::Damaged("what is answered does not wait");
        let bytes = (self.pieces)(PROMISE_PIECE | number).ok_or(WRONG)?;
        for number in apart::held(&bytes, number)? {
            let times = self.held.get_mut(&number).ok_or(WRONG)?;
            *times -= 1;
            if *times == 0 {
                self.held.remove(&number);
            }
        }
        self.apart = self.apart.checked_sub(1).ok_or(WRONG)?;
        self.promises.push(PieceChange { number: PROMISE_PIECE | number, bytes: None });
        Ok(())
    }

    /// Writes some bytes of an object, from the one at `start` on.
    fn put_bytes(&mut self, number: u32, start: u64, bytes: &[u8]) -> Got<()> {
        const WRONG: DecodeError = DecodeError::Damaged("bytes for an object that has others");
        let own = self.own_bytes.get(&number).copied();
        let Contents::Bytes(old) = self.node(number)?.contents else { return Err(WRONG) };
        let span = if own.is_some_and(|source| source == old.source) {
            old
        } else {
            // What it was is copied once.
            let copy = self.bytes(old).to_vec();
            let span = Span { source: self.sources.len() as u32, start: 0, end: copy.len() as u32 };
            self.sources.push(copy.into());
            self.own_bytes.insert(number, span.source);
            self.node(number)?.contents = Contents::Bytes(span);
            span
        };
        let all = self.sources[span.source as usize].to_mut();
        let start = usize::try_from(start).map_err(|_| WRONG)?;
        let end = start.checked_add(bytes.len()).ok_or(WRONG)?;
        all.get_mut(start..end).ok_or(WRONG)?.copy_from_slice(bytes);
        Ok(())
    }

    /// An object that the turn changed.
    fn node(&mut self, number: u32) -> Got<&mut Node> {
        if !self.nodes.contains_key(&number) {
            self.fetch(number)?;
        }
        if self.fetched.contains_key(&number) {
            self.changed.insert(number);
        }
        self.nodes.get_mut(&number).ok_or(NO_OBJECT)
    }

    // ---- writing ----

    fn is_part(&self, number: u32) -> bool {
        let node = self.nodes.get(&number).filter(|node| node.tag == tag::INDEXED);
        node.is_some_and(|node| self.shapes.get(node.shape).is_some_and(|shape| shape.is_part()))
    }

    /// The parts that hold an object which something else reaches too, or which reaches a part: they cannot be pieces.
    ///
    /// Cost: linear in what was read, where a part holds objects.
    fn tied_parts(&self) -> FxHashSet<u32> {
        let mut tied = FxHashSet::default();
        if !self.nodes.keys().any(|&number| self.is_part(number) && self.objects_of(number).next().is_some()) {
            return tied;
        }
        // By object: the part that alone reaches it so far, or the image.
        let mut reached_by: FxHashMap<u32, Option<u32>> = FxHashMap::default();
        let mut parts = Vec::new();
        let mut seen = FxHashSet::default();
        let objects = self.waiting.iter().chain(&self.slots).filter_map(|item| item.object());
        // What is still to be followed from the image, and from the part in hand.
        let mut open: Vec<u32> = objects.chain(self.held.keys().copied()).collect();
        let mut open_of_part: Vec<u32> = Vec::new();
        let mut at = 0;
        loop {
            while let Some(number) = open.pop() {
                if self.is_part(number) {
                    if seen.insert(number) {
                        parts.push(number);
                        open.extend(self.items_of(number).filter(|&below| self.is_part(below)));
                    }
                    continue;
                }
                match reached_by.insert(number, None) {
                    Some(None) => continue,
                    Some(Some(part)) if tied.insert(part) => open.extend(self.objects_of(part)),
                    Some(Some(_)) | None => {}
                }
                open.extend(self.items_of(number));
            }
            let Some(&part) = parts.get(at) else { return tied };
            at += 1;
            open_of_part.clear();
            if !tied.contains(&part) {
                open_of_part.extend(self.objects_of(part));
            }
            while let Some(number) = open_of_part.pop() {
                let other = match reached_by.get(&number).copied() {
                    _ if self.is_part(number) || !self.nodes.contains_key(&number) => None,
                    Some(Some(other)) if other == part => continue,
                    Some(other) => other,
                    None => {
                        reached_by.insert(number, Some(part));
                        open_of_part.extend(self.items_of(number));
                        continue;
                    }
                };
                for tied_now in [Some(part), other].into_iter().flatten() {
                    if tied.insert(tied_now) {
                        open.extend(self.objects_of(tied_now));
                    }
                }
                break;
            }
        }
    }

    /// The numbers of what an object mentions.
    fn items_of(&self, number: u32) -> impl Iterator<Item = u32> {
        let items = match self.nodes.get(&number) {
            Some(Node { contents: Contents::Items(items), .. }) => &items[..],
            Some(_) | None => &[],
        };
        items.iter().filter_map(|item| item.object())
    }

    /// The objects that a part holds, which are no parts.
    fn objects_of(&self, part: u32) -> impl Iterator<Item = u32> {
        self.items_of(part).filter(|&below| self.nodes.contains_key(&below) && !self.is_part(below))
    }

    /// Whether the object is kept as a piece: one that is there since before, or a part that holds nothing but plain values,
    /// pieces, and objects of its own. `depth`: how many parts lie above it.
    fn is_piece(&self, number: u32, known: &mut FxHashMap<u32, bool>, depth: usize) -> Got<bool> {
        if let Some(&is) = known.get(&number) {
            return Ok(is);
        }
        let is = match self.nodes.get(&number) {
            None => true,
            Some(_) if !self.is_part(number) => return Ok(false),
            Some(_) if depth > HEIGHT_MAX => return Err(DecodeError::Damaged("parts below parts without end")),
            Some(Node { contents: Contents::Bytes(_), .. }) => false,
            Some(Node { contents: Contents::Items(items), .. }) => {
                // One that holds itself is none.
                known.insert(number, false);
                let mut all = true;
                for item in items {
                    let Item::Object(below) = *item else { continue };
                    let is_object = self.nodes.contains_key(&below) && !self.is_part(below);
                    if is_object && self.tied.contains(&number)
                        || !is_object && !self.is_piece(below, known, depth + 1)?
                    {
                        all = false;
                        break;
                    }
                }
                all
            }
        };
        known.insert(number, is);
        Ok(is)
    }

    /// Writes items and what they bring; pieces are mentioned only, and noted in `mentions`.
    fn write(
        &self,
        items: &[Item],
        written: &mut FxHashSet<u32>,
        known: &mut FxHashMap<u32, bool>,
        mentions: &mut Vec<u32>,
        out: &mut Vec<u8>,
    ) -> Got<()> {
        let mut open = vec![items.iter()];
        while let Some(items) = open.last_mut() {
            let Some(item) = items.next() else {
                open.pop();
                continue;
            };
            match *item {
                Item::Plain(span) => {
                    out.extend_from_slice(self.bytes(span));
                }
                Item::Object(number) if self.is_piece(number, known, 0)? => {
                    mentions.push(number);
                    out.push(tag::PIECE);
                    put_number(out, u64::from(number));
                }
                Item::Object(number) if !written.insert(number) => {
                    out.push(tag::BACK);
                    put_number(out, u64::from(number));
                }
                Item::Object(number) => {
                    let node = self.nodes.get(&number).ok_or(NO_OBJECT)?;
                    self.write_head(number, node, out);
                    if let Contents::Items(items) = &node.contents {
                        open.push(items.iter());
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes all of an object but its items.
    fn write_head(&self, number: u32, node: &Node, out: &mut Vec<u8>) {
        out.push(node.tag);
        put_number(out, u64::from(number));
        put_number(out, u64::from(node.shape));
        match &node.contents {
            Contents::Bytes(span) => {
                put_bytes(out, self.bytes(*span));
            }
            Contents::Items(items) => {
                if node.tag == tag::INDEXED || node.tag == tag::INDEXED_IMMUTABLE {
                    put_number(out, items.len() as u64);
                }
            }
        }
    }

    fn finish(mut self, capacity: usize) -> Got<AtRest> {
        self.tied = self.tied_parts();
        let mut known = FxHashMap::default();
        let mut image = Vec::with_capacity(capacity);
        put_number(&mut image, u64::from(self.shape));
        put_number(&mut image, u64::from(self.counter));
        let mut open = Vec::new();
        let mut in_line = FxHashSet::default();
        if !self.waiting.is_empty() {
            image.push(tag::WAITING);
            put_number(&mut image, self.waiting.len() as u64);
            self.write(&self.waiting, &mut in_line, &mut known, &mut open, &mut image)?;
        }
        if self.apart > 0 {
            image.push(tag::APART);
            put_number(&mut image, u64::from(self.apart));
            put_number(&mut image, self.held.len() as u64);
            for (&number, &times) in &self.held {
                self.write(&[Item::Object(number)], &mut in_line, &mut known, &mut open, &mut image)?;
                put_number(&mut image, u64::from(times));
            }
        } else if !self.held.is_empty() {
            return Err(DecodeError::Damaged("an object that is held by no promise"));
        }
        let before_slots = image.len();
        self.write(&self.slots, &mut in_line, &mut known, &mut open, &mut image)?;
        if open.is_empty() {
            self.in_pieces.clear();
        }
        // How often each piece is mentioned by what is written here.
        let mut counts: FxHashMap<u32, usize> = FxHashMap::default();
        open.iter().for_each(|&number| *counts.entry(number).or_default() += 1);
        // Those that are written, with what they mention. One that was changed is written even if nothing here mentions
        // it: what does is a piece that was not read.
        let mut written: FxHashMap<u32, (Vec<u8>, Vec<u32>)> = FxHashMap::default();
        open.extend(&self.changed);
        while let Some(number) = open.pop() {
            let Some(node) = self.nodes.get(&number) else { continue };
            let unchanged = self.fetched.contains_key(&number) && !self.changed.contains(&number);
            if unchanged || written.contains_key(&number) || !self.is_piece(number, &mut known, 0)? {
                continue;
            }
            let (mut bytes, mut mentions, mut own) = (Vec::new(), Vec::new(), FxHashSet::default());
            self.write_head(number, node, &mut bytes);
            if let Contents::Items(items) = &node.contents {
                self.write(items, &mut own, &mut known, &mut mentions, &mut bytes)?;
            }
            self.in_pieces.extend(own.iter().map(|number| self.nodes[number].shape));
            for &below in &mentions {
                *counts.entry(below).or_default() += 1;
                open.push(below);
            }
            written.insert(number, (bytes, mentions));
        }
        let gone = self.gone(&mut counts, &mut written)?;
        let piece = |number, bytes| PieceChange { number: u64::from(number), bytes };
        let mut pieces: Vec<PieceChange> = gone.into_iter().map(|number| piece(number, None)).collect();
        for &number in &self.changed {
            if !self.is_piece(number, &mut known, 0)? {
                pieces.push(piece(number, None));
            }
        }
        // One that was read to see what becomes of it may be what it was.
        written.retain(|number, (bytes, _)| {
            let source = self.fetched.get(number).and_then(|before| before.source);
            source.is_none_or(|source| *bytes != *self.sources[source as usize])
        });
        pieces.extend(written.into_iter().map(|(number, (bytes, _))| piece(number, Some(bytes))));
        if !self.in_pieces.is_empty() {
            let mut shapes = vec![tag::IN_PIECES];
            put_number(&mut shapes, self.in_pieces.len() as u64);
            self.in_pieces.iter().for_each(|&shape| put_number(&mut shapes, u64::from(shape)));
            image.splice(before_slots..before_slots, shapes);
        }
        pieces.append(&mut self.promises);
        pieces.sort_unstable_by_key(|piece| piece.number);
        pieces.dedup_by_key(|piece| piece.number);
        Ok(AtRest { image, pieces })
    }

    /// The pieces from before that nothing mentions any more: those that lost a mention and have none left, and
    /// what only these mentioned. They are no longer among those written.
    fn gone(
        &mut self,
        counts: &mut FxHashMap<u32, usize>,
        written: &mut FxHashMap<u32, (Vec<u8>, Vec<u32>)>,
    ) -> Got<Vec<u32>> {
        let mut open: Vec<(u32, bool)> = self.image_before.iter().map(|&number| (number, false)).collect();
        for number in &self.changed {
            let before = &self.fetched[number];
            open.extend(before.mentions.iter().map(|&below| (below, before.leaves)));
        }
        let mut gone = Vec::new();
        let mut seen = FxHashSet::default();
        while let Some((number, leaf)) = open.pop() {
            if counts.get(&number).is_some_and(|&count| count > 0) || !seen.insert(number) {
                continue;
            }
            let before = match self.fetched.get(&number) {
                Some(before) => Some(before.clone()),
                // It was in the image, or there was no such part.
                None if self.nodes.contains_key(&number) => None,
                None if leaf => Some(Before::default()),
                None => match (self.pieces)(u64::from(number)) {
                    Some(bytes) => Some(self.scan(number, &bytes)?),
                    None => return Err(NO_PIECE),
                },
            };
            if let Some(before) = before {
                gone.push(number);
                open.extend(before.mentions.iter().map(|&below| (below, before.leaves)));
            }
            if let Some((_, mentions)) = written.remove(&number) {
                for below in mentions {
                    if let Some(count) = counts.get_mut(&below) {
                        *count -= 1;
                        open.push((below, false));
                    }
                }
            }
        }
        Ok(gone)
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

    fn applied(shapes: &Shapes, image: &[u8], delta: &[u8]) -> Result<Vec<u8>, DecodeError> {
        shapes.apply_delta(image, &mut |_| None, delta).map(|at_rest| at_rest.image)
    }

    #[test]
    fn a_delta_puts_values_into_slots_and_moves_the_counter_on() {
        let (shapes, image) = shapes_and_image();
        assert_eq!(applied(&shapes, &image, &[]), Ok(image.clone()));
        assert_eq!(applied(&shapes, &image, &[7, change::SLOT, 0, tag::TRUE]), Ok(vec![0, 7, tag::TRUE]));
    }

    #[test]
    fn a_delta_that_is_not_of_this_image_is_refused() {
        let (shapes, image) = shapes_and_image();
        let refused: [&[u8]; 7] = [
            // A number in more bytes than it needs.
            &[0x87, 0, change::SLOT, 0, tag::TRUE],
            // A counter that goes back: the objects below the old one would be past it.
            &[3, change::SLOT, 0, tag::TRUE],
            &[5, change::SLOT, 1, tag::TRUE],
            &[5, change::ELEMENT, 1, 0, tag::TRUE],
            &[5, change::BYTES, 1, 0],
            &[5, change::SOME_BYTES, 1, 0, 1, 7],
            &[5, 9],
        ];
        for delta in refused {
            assert!(applied(&shapes, &image, delta).is_err(), "{delta:?}");
        }
    }

    #[test]
    fn some_bytes_are_put_where_they_are_within_the_object() {
        let (mut shapes, _) = shapes_and_image();
        shapes.define(Shape {
            prototype: "ByteArray".to_owned(),
            kernel: true,
            twin: false,
            version: 1,
            slots: Vec::new(),
        });
        let image = [0, 5, tag::RAW, 1, 1, 4, 10, 11, 12, 13];
        let put = |changes: &[u8]| applied(&shapes, &image, &[&[5], changes].concat());
        let changed = put(&[change::SOME_BYTES, 1, 1, 2, 98, 99, change::SOME_BYTES, 1, 3, 1, 97]);
        assert_eq!(changed, Ok(vec![0, 5, tag::RAW, 1, 1, 4, 10, 98, 99, 97]));
        for outside in [&[change::SOME_BYTES, 1, 3, 2, 0, 0][..], &[change::SOME_BYTES, 1, 5, 0]] {
            assert!(put(outside).is_err(), "{outside:?}");
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
        assert_eq!(shapes.without_waiting(&image).map(|at_rest| at_rest.image), Ok(alone.clone()));
        let settled = applied(&shapes, &image, &[5, change::SETTLED, 2]);
        assert_eq!(settled, Ok(alone));
        let forgotten = applied(&shapes, &image, &[5, change::SLOT, 0, tag::NIL]);
        assert_eq!(forgotten, Ok([&image[..8], &[tag::NIL]].concat()));
        let again = applied(&shapes, &settled.expect("as above"), &[5, change::WAITS, tag::BACK, 2]);
        assert_eq!(again, Ok(image.clone()));
        for delta in [&[5, change::SETTLED, 3][..], &[5, change::WAITS, tag::BACK, 4]] {
            assert!(applied(&shapes, &image, delta).is_err(), "{delta:?}");
        }
    }
}
