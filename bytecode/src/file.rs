//! Images as bytes: the `.twb` file.
//!
//! A header with a table of sections, then the sections, one behind the other. What a program
//! *does* stands in the content sections; where it came from (files, positions, comments, source
//! maps) in the debug sections, which [`strip`] leaves out. The content hash covers the content
//! sections alone, so a program keeps its hash when it is stripped, reformatted or commented.
//!
//! Both directions derive from one list of fields per type ([`Wire`]), and there is one way only
//! to write an image. Invariants: `decode(&encode(x)) == Ok(x)` for every image within the limits
//! below, and `encode(&x) == bytes` whenever `decode(bytes) == Ok(x)`. Decoding is total: any bytes
//! give an image or an error, and memory grows with the bytes read, not with the counts they claim.
//!
//! What comes out of [`decode`] has the shape of an image and no more: its numbers may point
//! anywhere until [`crate::verify::verify`] has passed it. `spec/bytecode.md` has every byte.

mod embedded;
mod wire;

use std::fmt;

use crate::image::*;
pub(crate) use embedded::Place;
pub use embedded::{Embedded, decode_embedded, index};
use wire::{Bodies, Cursor, Reader, Wire, Writer};

/// The first bytes of every image. A transfer that mangles line ends, or the eighth bit, or that
/// stops at an end-of-file character, shows here.
pub const MAGIC: [u8; 8] = *b"\x89TWB\r\n\x1a\n";

/// The format that this build writes.
pub const FORMAT_VERSION: u16 = 3;
/// The oldest format that this build reads: stores keep images. Format 3 has more instructions than format 2, and
/// is the same in all else.
pub const FORMAT_OLDEST: u16 = 2;

/// How deep literal arrays nest: `#(1)` has depth 1.
pub const LITERAL_DEPTH_MAX: usize = 16;

/// How many bytes the header has before the section table.
const HEADER_BYTES: usize = 56;
/// How many bytes each row of the section table has.
const ROW_BYTES: usize = 16;
/// The header's checksum stands here and covers what is before it, and the section table.
const HEADER_CHECKSUM_AT: usize = 52;
/// The content hash stands here.
const CONTENT_HASH_AT: usize = 16;
/// Flag: there are no debug sections.
const FLAG_STRIPPED: u16 = 1;
/// What the content hash starts with, so that it equals no hash of anything else.
const CONTENT_HASH_DOMAIN: &[u8] = b"twintalk image content 1\0";

macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $title:literal;)*) => {
        /// A section of the file, in the order in which they stand.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Section {
            $($(#[$doc])* $name,)*
        }

        impl Section {
            /// Every section, in order.
            pub const ALL: &[Section] = &[$(Section::$name),*];

            /// The number in the section table.
            pub const fn id(self) -> u16 {
                match self { $(Section::$name => $id,)* }
            }

            /// The name in messages and in `spec/bytecode.md`.
            pub const fn title(self) -> &'static str {
                match self { $(Section::$name => $title,)* }
            }
        }
    };
}

sections! {
    /// The names, each once.
    Names = 1, "names";
    /// Prototypes, without comments and positions.
    Prototypes = 2, "prototypes";
    /// Extensions.
    Extensions = 3, "extensions";
    /// Names of globals.
    Globals = 4, "globals";
    /// Names of program variables.
    Variables = 5, "variables";
    /// Methods without their codes, then the number of the main method.
    Methods = 6, "methods";
    /// Codes without literals and source maps, method by method.
    Codes = 7, "codes";
    /// The literals of each code, in the order of the codes.
    Literals = 8, "literals";
    /// Debug: source files.
    Files = 17, "files";
    /// Debug: positions of prototypes, then of methods.
    Positions = 18, "positions";
    /// Debug: comments of prototypes and slots, then of methods.
    Comments = 19, "comments";
    /// Debug: the source map of each code, in the order of the codes.
    SourceMap = 20, "source map";
}

impl Section {
    /// Whether the section says where the program came from, and not what it does.
    pub const fn is_debug(self) -> bool {
        self.id() > 16
    }

    /// The sections of a file, in order.
    fn of_file(stripped: bool) -> impl Iterator<Item = Section> {
        Section::ALL.iter().copied().filter(move |section| !(stripped && section.is_debug()))
    }
}

/// Why bytes are no image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// The first bytes are not [`MAGIC`].
    NotAnImage,
    /// The file has a format that this build does not read: newer, where `found` is higher.
    Version {
        /// The version in the file.
        found: u16,
        /// The version that this build reads.
        supported: u16,
    },
    /// The file is not what was written.
    Corrupt {
        /// The section, or none in header and section table.
        section: Option<Section>,
        /// The byte offset in the file.
        offset: usize,
        /// What is wrong there.
        reason: Corruption,
    },
}

/// What is wrong with a byte of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Corruption {
    /// The file, or the section, ends too early.
    Truncated,
    /// Bytes are left over.
    TrailingBytes,
    /// The checksum of the header or of a section does not fit its bytes.
    Checksum,
    /// The content hash does not fit the content.
    ContentHash,
    /// A flag that this version does not know.
    UnknownFlags(u16),
    /// A row of the section table is not the one that belongs there.
    SectionTable,
    /// A number takes more bytes than it needs, or is too large for its place.
    Number,
    /// A byte that says which of several forms follows says none of them.
    Tag(u8),
    /// A string is not UTF-8.
    Utf8,
    /// A number is no Unicode scalar value.
    Character,
    /// Literal arrays nest deeper than [`LITERAL_DEPTH_MAX`].
    TooDeep,
    /// There are debug sections, and nothing in them.
    EmptyDebug,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Corruption::Truncated => write!(f, "it ends too early"),
            Corruption::TrailingBytes => write!(f, "bytes are left over"),
            Corruption::Checksum => write!(f, "the checksum does not fit"),
            Corruption::ContentHash => write!(f, "the content hash does not fit"),
            Corruption::UnknownFlags(flags) => write!(f, "unknown flags {flags:#06x}"),
            Corruption::SectionTable => write!(f, "the section table is out of order"),
            Corruption::Number => write!(f, "a number is too long or too large"),
            Corruption::Tag(found) => write!(f, "{found} is none of the forms possible"),
            Corruption::Utf8 => write!(f, "a string is not UTF-8"),
            Corruption::Character => write!(f, "a number is no character"),
            Corruption::TooDeep => write!(f, "literal arrays nest deeper than {LITERAL_DEPTH_MAX} levels"),
            Corruption::EmptyDebug => write!(f, "the debug sections say nothing"),
        }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ImageError::NotAnImage => write!(f, "not a TwinTalk image"),
            ImageError::Version { found, supported } if found > supported => {
                write!(f, "the image has the newer format {found}; this build reads format {supported}")
            }
            ImageError::Version { found, supported } => {
                write!(f, "the image has format {found}; this build reads format {supported}")
            }
            ImageError::Corrupt { section, offset, reason } => {
                let title = section.map_or("header", Section::title);
                write!(f, "the image is damaged in its {title} at byte {offset}: {reason}")
            }
        }
    }
}

impl std::error::Error for ImageError {}

/// The file form of `image`; the only one it has. Cost: linear in the image.
///
/// # Panics
/// When the file would reach 4 GiB.
pub fn encode(image: &Image) -> Vec<u8> {
    let stripped = is_stripped(image);
    let writer = Writer::of(image, stripped);
    let sections: Vec<Section> = Section::of_file(stripped).collect();
    let body: usize = sections.iter().map(|s| writer.bytes(*s).len()).sum();
    let total = HEADER_BYTES + sections.len() * ROW_BYTES + body;
    let total_u32 = u32::try_from(total).expect("an image is smaller than 4 GiB");

    let mut file = Vec::with_capacity(total);
    file.extend(MAGIC);
    file.extend(FORMAT_VERSION.to_le_bytes());
    file.extend(if stripped { FLAG_STRIPPED } else { 0 }.to_le_bytes());
    file.extend((sections.len() as u32).to_le_bytes());
    file.extend(writer.content_hash());
    file.extend(total_u32.to_le_bytes());
    file.extend([0; 4]);
    let mut offset = HEADER_BYTES + sections.len() * ROW_BYTES;
    for section in &sections {
        let bytes = writer.bytes(*section);
        file.extend(section.id().to_le_bytes());
        file.extend([0; 2]);
        file.extend((offset as u32).to_le_bytes());
        file.extend((bytes.len() as u32).to_le_bytes());
        file.extend(crc32fast::hash(bytes).to_le_bytes());
        offset += bytes.len();
    }
    let checksum = header_checksum(&file);
    file[HEADER_CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    for section in &sections {
        file.extend(writer.bytes(*section));
    }
    file
}

/// The image whose file form is `bytes`. Not yet to be trusted: see [`crate::verify::verify`].
///
/// Memory: a constant times `bytes.len()`. Cost: linear.
///
/// # Errors
/// [`ImageError`] for all bytes that [`encode`] does not write.
pub fn decode(bytes: &[u8]) -> Result<Image, ImageError> {
    let (stripped, mut reader) = open(bytes)?;
    let image = Image::read(&mut reader, Section::Names)?;
    for section in Section::of_file(stripped) {
        if reader.cursor(section).left() != 0 {
            return Err(reader.corrupt(section, Corruption::TrailingBytes));
        }
    }
    if !stripped && is_stripped(&image) {
        return Err(header_error(10, Corruption::EmptyDebug));
    }
    Ok(image)
}

/// The hash that names what a program does: BLAKE3 over a fixed prefix and, section by section,
/// number, length and bytes of the content sections. Files, positions, comments and source maps
/// are not in it; the order of names, definitions, methods and literals is. Cost: one encoding.
pub fn content_hash(image: &Image) -> [u8; 32] {
    Writer::of(image, true).content_hash()
}

/// Leaves out all that says where the program came from; its content hash stays.
pub fn strip(image: &mut Image) {
    image.files.clear();
    for prototype in &mut image.prototypes {
        prototype.comment = None;
        prototype.position = SourcePosition::default();
        let sides = [&mut prototype.instance, &mut prototype.side];
        for slot in sides.into_iter().flat_map(|side| &mut side.slots) {
            slot.comment = None;
        }
    }
    for method in &mut image.methods {
        method.comment = None;
        method.position = SourcePosition::default();
        if let Body::Code(codes) = &mut method.body {
            codes.iter_mut().for_each(|code| code.source_map.clear());
        }
    }
}

/// Whether there is nothing that [`strip`] would leave out.
pub fn is_stripped(image: &Image) -> bool {
    let nowhere = SourcePosition::default();
    image.files.is_empty()
        && image.prototypes.iter().all(|prototype| {
            prototype.comment.is_none()
                && prototype.position == nowhere
                && [&prototype.instance, &prototype.side]
                    .into_iter()
                    .flat_map(|side| &side.slots)
                    .all(|slot| slot.comment.is_none())
        })
        && image.methods.iter().all(|method| {
            method.comment.is_none()
                && method.position == nowhere
                && match &method.body {
                    Body::Code(codes) => codes.iter().all(|code| code.source_map.is_empty()),
                    Body::Primitive => true,
                }
        })
}

/// Sets checksums and content hash to what the sections hold, and says whether header and section
/// table are whole enough for that. For tests and fuzzing, which damage images on purpose: without
/// it nearly all damage ends at a checksum and never reaches the reader or the verifier.
pub fn reseal(bytes: &mut [u8]) -> bool {
    let Some(count) = bytes.get(12..16).map(|b| u32_at(b, 0) as usize) else {
        return false;
    };
    let stripped = count < Section::ALL.len();
    let sections: Vec<Section> = Section::of_file(stripped).collect();
    let table_end = HEADER_BYTES + sections.len() * ROW_BYTES;
    if count != sections.len() || bytes.len() < table_end {
        return false;
    }
    let mut hasher = ContentHasher::new();
    for (index, section) in sections.iter().enumerate() {
        let row = HEADER_BYTES + index * ROW_BYTES;
        let (offset, length) = (u32_at(bytes, row + 4), u32_at(bytes, row + 8));
        let range = offset as usize..(offset as usize).saturating_add(length as usize);
        let Some(body) = bytes.get(range) else {
            return false;
        };
        if !section.is_debug() {
            hasher.add(*section, body);
        }
        let checksum = crc32fast::hash(body);
        bytes[row + 12..row + 16].copy_from_slice(&checksum.to_le_bytes());
    }
    bytes[CONTENT_HASH_AT..CONTENT_HASH_AT + 32].copy_from_slice(&hasher.finish());
    let checksum = header_checksum(&bytes[..table_end]);
    bytes[HEADER_CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    true
}

/// Checks header, section table, checksums and content hash, and stands at the start of each
/// section.
fn open(bytes: &[u8]) -> Result<(bool, Reader<'_>), ImageError> {
    if !bytes.starts_with(&MAGIC) {
        return Err(ImageError::NotAnImage);
    }
    // The version comes first: what follows it is only known for the format that is ours.
    let Some(found) = bytes.get(8..10) else {
        return Err(header_error(bytes.len(), Corruption::Truncated));
    };
    let found = u16::from_le_bytes([found[0], found[1]]);
    if !(FORMAT_OLDEST..=FORMAT_VERSION).contains(&found) {
        return Err(ImageError::Version { found, supported: FORMAT_VERSION });
    }
    if bytes.len() < HEADER_BYTES {
        return Err(header_error(bytes.len(), Corruption::Truncated));
    }
    let flags = u16::from_le_bytes([bytes[10], bytes[11]]);
    if flags & !FLAG_STRIPPED != 0 {
        return Err(header_error(10, Corruption::UnknownFlags(flags)));
    }
    let stripped = flags & FLAG_STRIPPED != 0;
    let count = Section::of_file(stripped).count();
    if u32_at(bytes, 12) as usize != count {
        return Err(header_error(12, Corruption::SectionTable));
    }
    let total = u32_at(bytes, 48) as usize;
    let table_end = HEADER_BYTES + count * ROW_BYTES;
    if bytes.len() < total.max(table_end) {
        return Err(header_error(bytes.len(), Corruption::Truncated));
    }
    if bytes.len() > total {
        return Err(header_error(total, Corruption::TrailingBytes));
    }
    if header_checksum(&bytes[..table_end]) != u32_at(bytes, HEADER_CHECKSUM_AT) {
        return Err(header_error(HEADER_CHECKSUM_AT, Corruption::Checksum));
    }

    let mut reader = Reader::new(bytes, stripped, Bodies::Read);
    let mut hasher = ContentHasher::new();
    let mut offset = table_end;
    for (index, section) in Section::of_file(stripped).enumerate() {
        let row = HEADER_BYTES + index * ROW_BYTES;
        let id = u32_at(bytes, row);
        let length = u32_at(bytes, row + 8) as usize;
        let end = offset.saturating_add(length);
        if id != u32::from(section.id()) || u32_at(bytes, row + 4) as usize != offset || end > total {
            return Err(header_error(row, Corruption::SectionTable));
        }
        let body = &bytes[offset..end];
        if crc32fast::hash(body) != u32_at(bytes, row + 12) {
            return Err(ImageError::Corrupt { section: Some(section), offset, reason: Corruption::Checksum });
        }
        if !section.is_debug() {
            hasher.add(section, body);
        }
        reader.cursors[section as usize] = Cursor { at: offset, end };
        offset = end;
    }
    if offset != total {
        return Err(header_error(offset, Corruption::TrailingBytes));
    }
    if hasher.finish() != bytes[CONTENT_HASH_AT..CONTENT_HASH_AT + 32] {
        return Err(header_error(CONTENT_HASH_AT, Corruption::ContentHash));
    }
    Ok((stripped, reader))
}

fn header_error(offset: usize, reason: Corruption) -> ImageError {
    ImageError::Corrupt { section: None, offset, reason }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The checksum over header and section table, which `start` ends with, but for itself.
fn header_checksum(start: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&start[..HEADER_CHECKSUM_AT]);
    hasher.update(&start[HEADER_BYTES..]);
    hasher.finalize()
}

struct ContentHasher(blake3::Hasher);

impl ContentHasher {
    fn new() -> ContentHasher {
        let mut hasher = blake3::Hasher::new();
        hasher.update(CONTENT_HASH_DOMAIN);
        ContentHasher(hasher)
    }

    fn add(&mut self, section: Section, bytes: &[u8]) {
        self.0.update(&section.id().to_le_bytes());
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}
