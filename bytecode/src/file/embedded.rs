//! An image that is embedded in the program: its codes are read when they are first looked at.
//!
//! The build wrote the image, verified it, and made an index of it ([`index`]) that says where the codes of each method
//! stand. So nothing of it is checked again, and most of it is never read. Only bytes that the build embeds may come here:
//! those of files and stores are decoded and verified, whole.
//!
//! Invariant: `decode_embedded(file) == decode(file.bytes)`; a test of whoever embeds an image says so.

use super::wire::{Bodies, CODE_SECTIONS, Cursor, Reader, Wire};
use super::{CONTENT_HASH_AT, FLAG_STRIPPED, HEADER_BYTES, ImageError, ROW_BYTES, Section, open, u32_at};
use crate::image::{Code, Image};

/// How many bytes each row of an index has: how many codes a method has, and where they start in three sections.
const INDEX_ROW_BYTES: usize = 16;

/// An image in the program, and its index.
#[derive(Debug)]
pub struct Embedded {
    /// What [`super::encode`] wrote of an image that verifies.
    pub bytes: &'static [u8],
    /// What [`index`] says of `bytes`.
    pub index: &'static [u8],
}

impl Embedded {
    /// What [`super::content_hash`] says of the image, which stands in the file.
    pub fn content_hash(&self) -> [u8; 32] {
        std::array::from_fn(|nth| self.bytes[CONTENT_HASH_AT + nth])
    }
}

/// Where the codes of one method stand.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(super) file: &'static Embedded,
    /// The row of the index.
    pub(super) row: u32,
}

impl Place {
    /// Reads them.
    pub(crate) fn read(self) -> Vec<Code> {
        let bytes = self.file.bytes;
        let row = self.row as usize * INDEX_ROW_BYTES;
        let number = |nth: usize| u32_at(self.file.index, row + 4 * nth) as usize;
        let mut reader = Reader::new(bytes, is_stripped(bytes), Bodies::Read);
        for (nth, section) in CODE_SECTIONS.into_iter().enumerate() {
            reader.cursors[section as usize] = Cursor { at: number(1 + nth), end: bytes.len() };
        }
        Code::read_list(number(0), &mut reader, Section::Methods).expect("the build read it when it made the index")
    }
}

/// Where the codes of each method of an image file stand.
///
/// # Errors
/// As [`super::decode`].
pub fn index(bytes: &[u8]) -> Result<Vec<u8>, ImageError> {
    let (_, mut reader) = open(bytes)?;
    reader.bodies = Bodies::Note(Vec::new());
    Image::read(&mut reader, Section::Names)?;
    let Bodies::Note(index) = reader.bodies else { unreachable!("set above") };
    Ok(index)
}

/// The image, as [`super::decode`] reads it; but nothing is checked, and its codes are read later.
///
/// # Panics
/// Where `file` is not what it must be.
pub fn decode_embedded(file: &'static Embedded) -> Image {
    let bytes = file.bytes;
    let stripped = is_stripped(bytes);
    let mut reader = Reader::new(bytes, stripped, Bodies::Leave(file, 0));
    for (nth, section) in Section::of_file(stripped).enumerate() {
        let row = HEADER_BYTES + nth * ROW_BYTES;
        let at = u32_at(bytes, row + 4) as usize;
        reader.cursors[section as usize] = Cursor { at, end: at + u32_at(bytes, row + 8) as usize };
    }
    Image::read(&mut reader, Section::Names).expect("the build wrote it")
}

fn is_stripped(bytes: &[u8]) -> bool {
    u16::from_le_bytes([bytes[10], bytes[11]]) & FLAG_STRIPPED != 0
}
