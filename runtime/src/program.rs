//! What a store runs: the kernel and a program's definitions, under one hash.

use std::collections::HashMap;
use std::sync::Arc;

use twintalk_bytecode::definitions::definitions;
use twintalk_bytecode::image::Image;
use twintalk_bytecode::{file, verify};
use twintalk_store::record::ProgramHash;
use twintalk_store::{Corruption, Key, Place, Store, StoreError, Table};
use twintalk_vm::{Shape, Shapes, Vm};

use crate::kernel::{self, Library};
use crate::resident::{get_number, put_number};
use crate::system::earlier_program;

/// A compiled program: its definitions, which twins live by, and the whole with its statements.
#[derive(Clone, Debug)]
pub struct Program {
    /// Definitions and statements.
    pub image: Image,
    /// The definitions alone: what a store keeps, and what records name.
    pub definitions: Image,
}

impl Program {
    /// The program that an image is.
    pub fn new(image: Image) -> Program {
        Program { definitions: definitions(&image), image }
    }

    /// A program without definitions or statements.
    pub fn empty() -> Program {
        Program { image: Image::default(), definitions: Image::default() }
    }

    /// What records call it: a hash over the kernel and the definitions.
    pub fn hash(&self) -> ProgramHash {
        hash(&kernel::content_hash(), &file::content_hash(&self.definitions))
    }

    /// As the table `programs` keeps it: the kernel's image, then the definitions.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let definitions = file::encode(&self.definitions);
        let mut bytes = Vec::with_capacity(definitions.len() + kernel::bytes().len() + 10);
        put_number(&mut bytes, kernel::bytes().len() as u64);
        bytes.extend_from_slice(kernel::bytes());
        bytes.extend_from_slice(&definitions);
        bytes
    }
}

/// The programs that the records of a store name: the present one, and those from before it, each linked when it is first asked
/// for.
pub(crate) struct Programs {
    store: Arc<dyn Store>,
    present: ProgramHash,
    earlier: HashMap<ProgramHash, Vm>,
}

impl Programs {
    pub fn new(store: Arc<dyn Store>, present: ProgramHash) -> Programs {
        Programs { store, present, earlier: HashMap::new() }
    }

    /// A VM with the program `hash`; `present` has the one that runs now.
    ///
    /// # Errors
    /// The store does not have it, or it is damaged.
    pub fn linked<'p>(&'p mut self, present: &'p Vm, hash: &ProgramHash) -> Result<&'p Vm, StoreError> {
        self.link(present, hash)?;
        Ok(self.earlier.get(hash).unwrap_or(present))
    }

    /// The same, to run turns of it.
    ///
    /// # Errors
    /// As above.
    pub fn linked_mut<'p>(&'p mut self, present: &'p mut Vm, hash: &ProgramHash) -> Result<&'p mut Vm, StoreError> {
        self.link(present, hash)?;
        Ok(self.earlier.get_mut(hash).unwrap_or(present))
    }

    fn link(&mut self, present: &Vm, hash: &ProgramHash) -> Result<(), StoreError> {
        if *hash == self.present || self.earlier.contains_key(hash) {
            return Ok(());
        }
        let unfit = |what| StoreError::Corrupt {
            at: Place::Row { table: Table::Programs, key: Key::new().program(hash).bytes().to_vec() },
            reason: Corruption::Row(what),
        };
        let program = earlier_program(&*self.store, hash)?;
        let program = program.ok_or_else(|| unfit("a program that records name, and that is not there"))?;
        let mut vm = Vm::link(&[&program[0], &program[1]]).map_err(|_| unfit("a program that cannot be linked"))?;
        vm.adopt_shapes(present.copy_shapes());
        vm.set_program(*hash);
        self.earlier.insert(*hash, vm);
        Ok(())
    }
}

fn hash(kernel: &[u8; 32], definitions: &[u8; 32]) -> ProgramHash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(b"twintalk program 1\0");
    hasher.update(kernel);
    hasher.update(definitions);
    *hasher.finalize().as_bytes()
}

/// The arguments of the record that installs a program: the length of its row and the row, then the row of the shapes.
pub(crate) fn to_record(program: &[u8], shapes: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(program.len() + shapes.len() + 10);
    put_number(&mut bytes, program.len() as u64);
    bytes.extend_from_slice(program);
    bytes.extend_from_slice(shapes);
    bytes
}

/// The rows of program and shapes that [`to_record`] was given.
pub(crate) fn from_record(mut bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::try_from(get_number(&mut bytes)?).ok()?;
    bytes.split_at_checked(length)
}

/// The kernel and the definitions that [`Program::to_bytes`] wrote.
pub(crate) fn images_from_bytes(bytes: &[u8]) -> Result<(Library, Image), String> {
    let mut rest = bytes;
    let length = get_number(&mut rest).and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| *length <= rest.len()).ok_or("it ends too early")?;
    let (kernel, definitions) = rest.split_at(length);
    let kernel = Library::read(kernel)?;
    let definitions = file::decode(definitions).map_err(|error| error.to_string())?;
    verify::verify(&definitions).map_err(|error| error.to_string())?;
    Ok((kernel, definitions))
}

/// Every shape of a store, as the row `shapes` keeps them.
pub(crate) fn shapes_to_bytes(shapes: &Shapes) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_number(&mut bytes, shapes.len() as u64);
    for shape in (0..shapes.len() as u32).filter_map(|number| shapes.get(number)) {
        bytes.push(u8::from(shape.kernel) | u8::from(shape.twin) << 1);
        put_number(&mut bytes, u64::from(shape.version));
        put_text(&mut bytes, &shape.prototype);
        put_number(&mut bytes, shape.slots.len() as u64);
        shape.slots.iter().for_each(|slot| put_text(&mut bytes, slot));
    }
    bytes
}

/// What [`shapes_to_bytes`] wrote.
pub(crate) fn shapes_from_bytes(mut bytes: &[u8]) -> Option<Shapes> {
    let mut shapes = Shapes::default();
    for number in 0..get_number(&mut bytes)? {
        let (&flags, rest) = bytes.split_first()?;
        bytes = rest;
        let version = get_number(&mut bytes)?.try_into().ok()?;
        let prototype = get_text(&mut bytes)?;
        let count = get_number(&mut bytes)?;
        let slots = (0..count).map(|_| get_text(&mut bytes)).collect::<Option<Vec<String>>>()?;
        let shape = Shape { prototype, kernel: flags & 1 != 0, twin: flags & 2 != 0, version, slots };
        if u64::from(shapes.define(shape)) != number {
            return None;
        }
    }
    bytes.is_empty().then_some(shapes)
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn get_text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(get_number(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_as_they_were_written() {
        let mut shapes = Shapes::default();
        for (prototype, twin) in [("Tank", true), ("List", false)] {
            shapes.define(Shape {
                prototype: prototype.to_owned(),
                kernel: !twin,
                twin,
                version: 3,
                slots: vec!["level".to_owned(), "größe".to_owned()],
            });
        }
        let bytes = shapes_to_bytes(&shapes);
        let read = shapes_from_bytes(&bytes).expect("written just now");
        assert_eq!((read.get(0), read.get(1), read.len()), (shapes.get(0), shapes.get(1), 2));
        for length in 0..bytes.len() {
            assert!(shapes_from_bytes(&bytes[..length]).is_none());
        }
    }
}
