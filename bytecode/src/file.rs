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

use std::fmt;

use crate::image::*;

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

    let mut reader = Reader { bytes, cursors: [Cursor::default(); Section::ALL.len()], stripped, depth: 0 };
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

/// Sections being written.
struct Writer {
    sections: [Vec<u8>; Section::ALL.len()],
    stripped: bool,
}

impl Writer {
    fn of(image: &Image, stripped: bool) -> Writer {
        let mut writer = Writer { sections: std::array::from_fn(|_| Vec::new()), stripped };
        image.write(&mut writer, Section::Names);
        writer
    }

    fn bytes(&self, section: Section) -> &[u8] {
        &self.sections[section as usize]
    }

    fn push(&mut self, section: Section, bytes: &[u8]) {
        self.sections[section as usize].extend_from_slice(bytes);
    }

    /// LEB128: seven bits a byte, lowest first, the top bit set on all but the last.
    fn number(&mut self, section: Section, mut number: u64) {
        let bytes = &mut self.sections[section as usize];
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    }

    fn content_hash(&self) -> [u8; 32] {
        let mut hasher = ContentHasher::new();
        for section in Section::of_file(true) {
            hasher.add(section, self.bytes(section));
        }
        hasher.finish()
    }
}

/// Where reading stands in one section, as offsets in the file.
#[derive(Clone, Copy, Default)]
struct Cursor {
    at: usize,
    end: usize,
}

impl Cursor {
    fn left(&self) -> usize {
        self.end - self.at
    }
}

/// Sections being read.
struct Reader<'a> {
    bytes: &'a [u8],
    cursors: [Cursor; Section::ALL.len()],
    stripped: bool,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn cursor(&self, section: Section) -> Cursor {
        self.cursors[section as usize]
    }

    fn corrupt(&self, section: Section, reason: Corruption) -> ImageError {
        ImageError::Corrupt { section: Some(section), offset: self.cursor(section).at, reason }
    }

    fn take(&mut self, section: Section, count: usize) -> Result<&'a [u8], ImageError> {
        let cursor = self.cursor(section);
        if count > cursor.left() {
            return Err(self.corrupt(section, Corruption::Truncated));
        }
        self.cursors[section as usize].at += count;
        Ok(&self.bytes[cursor.at..cursor.at + count])
    }

    fn byte(&mut self, section: Section) -> Result<u8, ImageError> {
        Ok(self.take(section, 1)?[0])
    }

    /// A byte that says which of several forms follows; `form` knows them.
    fn tag<T>(&mut self, section: Section, form: impl FnOnce(u8) -> Option<T>) -> Result<T, ImageError> {
        let start = self.cursor(section);
        let byte = self.byte(section)?;
        form(byte).ok_or_else(|| {
            self.cursors[section as usize] = start;
            self.corrupt(section, Corruption::Tag(byte))
        })
    }

    /// The number that [`Writer::number`] wrote, in the fewest bytes, at most `max`.
    fn number(&mut self, section: Section, max: u64) -> Result<u64, ImageError> {
        let start = self.cursor(section);
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(section)?;
            let bits = u64::from(byte & 0x7f);
            let kept = bits << shift;
            let minimal = byte != 0 || shift == 0;
            if kept >> shift != bits || !minimal {
                break;
            }
            number |= kept;
            if byte & 0x80 == 0 {
                if number > max {
                    break;
                }
                return Ok(number);
            }
        }
        self.cursors[section as usize] = start;
        Err(self.corrupt(section, Corruption::Number))
    }
}

/// What stands in an image file: written and read field by field, in the order of declaration.
///
/// `section` is where it goes, unless its declaration names a section of its own.
trait Wire: Sized {
    fn write(&self, to: &mut Writer, section: Section);
    fn read(from: &mut Reader<'_>, section: Section) -> Result<Self, ImageError>;

    /// The elements of a list, after their count.
    fn write_list(items: &[Self], to: &mut Writer, section: Section) {
        items.iter().for_each(|item| item.write(to, section));
    }

    /// `count` elements. The count is a claim: room is made as elements arrive, each of which
    /// takes at least a byte.
    fn read_list(count: usize, from: &mut Reader<'_>, section: Section) -> Result<Vec<Self>, ImageError> {
        let mut items = Vec::with_capacity(count.min(4));
        for _ in 0..count {
            items.push(Self::read(from, section)?);
        }
        Ok(items)
    }
}

/// Structs: their fields in order. `@ Section` sends a field to a section of its own; those after
/// `debug` are left out of stripped images, where they read as their default.
macro_rules! wire_struct {
    ($($name:ident {
        $($field:ident $(@ $section:ident)?),*
        $(; debug $($debug:ident @ $debug_section:ident),*)?
    })*) => {$(
        impl Wire for $name {
            #[allow(unused_variables, reason = "types whose fields all have sections of their own")]
            fn write(&self, to: &mut Writer, section: Section) {
                $({
                    $(let section = Section::$section;)?
                    self.$field.write(to, section);
                })*
                $(if !to.stripped {
                    $(self.$debug.write(to, Section::$debug_section);)*
                })?
            }

            #[allow(unused_variables, reason = "types whose fields all have sections of their own")]
            fn read(from: &mut Reader<'_>, section: Section) -> Result<Self, ImageError> {
                $(let $field = {
                    $(let section = Section::$section;)?
                    Wire::read(from, section)?
                };)*
                $($(let $debug = if from.stripped {
                    Default::default()
                } else {
                    Wire::read(from, Section::$debug_section)?
                };)*)?
                Ok($name { $($field,)* $($($debug,)*)? })
            }
        }
    )*};
}

wire_struct! {
    Image {
        names @ Names, prototypes @ Prototypes, extensions @ Extensions, globals @ Globals,
        variables @ Variables, methods @ Methods, main @ Methods; debug files @ Files
    }
    SourceFile { name, line_starts }
    Prototype {
        name, kind, parent, traits, instance, side, events, timers, invariants, version,
        migrations, supervision; debug comment @ Comments, position @ Positions
    }
    Behaviour { slots, methods }
    Extension { name, methods, side_methods }
    SlotDefinition { name, constant, initialiser, annotation; debug comment @ Comments }
    Annotation { type_name, unit, min, max, keep_ns, personal, indexed, transient, other }
    Event { selector }
    Timer { method, repeats, duration }
    Migration { from, method }
    Supervision { retry, then }
    Retry { count, after_ns, up_to_ns, within_ns }
    SourcePosition { file, offset }
    Method {
        selector, argument_count, flags, body; debug comment @ Comments, position @ Positions
    }
    Code {
        argument_count @ Codes, captures @ Codes, register_count @ Codes, words @ Codes,
        sites @ Codes, slots @ Codes, literals @ Literals; debug source_map @ SourceMap
    }
    SourceMapEntry { word, offset }
    SendSite { selector, argument_count, to_self }
}

/// Numbers and the newtypes around them.
macro_rules! wire_number {
    ($($name:ident($repr:ident);)*) => {$(
        impl Wire for $name {
            fn write(&self, to: &mut Writer, section: Section) {
                self.0.write(to, section);
            }
            fn read(from: &mut Reader<'_>, section: Section) -> Result<Self, ImageError> {
                Ok($name($repr::read(from, section)?))
            }
        }
    )*};
}

wire_number! {
    NameId(u32);
    MethodId(u32);
}

impl Wire for u8 {
    fn write(&self, to: &mut Writer, section: Section) {
        to.push(section, &[*self]);
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<u8, ImageError> {
        from.byte(section)
    }
    fn write_list(items: &[u8], to: &mut Writer, section: Section) {
        to.push(section, items);
    }
    fn read_list(count: usize, from: &mut Reader<'_>, section: Section) -> Result<Vec<u8>, ImageError> {
        Ok(from.take(section, count)?.to_vec())
    }
}

impl Wire for u16 {
    fn write(&self, to: &mut Writer, section: Section) {
        to.number(section, u64::from(*self));
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<u16, ImageError> {
        Ok(from.number(section, u64::from(u16::MAX))? as u16)
    }
}

/// Alone a varint; in a list, where instructions are, four bytes each.
impl Wire for u32 {
    fn write(&self, to: &mut Writer, section: Section) {
        to.number(section, u64::from(*self));
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<u32, ImageError> {
        Ok(from.number(section, u64::from(u32::MAX))? as u32)
    }
    fn write_list(items: &[u32], to: &mut Writer, section: Section) {
        let bytes = &mut to.sections[section as usize];
        bytes.reserve(4 * items.len());
        bytes.extend(items.iter().flat_map(|item| item.to_le_bytes()));
    }
    fn read_list(count: usize, from: &mut Reader<'_>, section: Section) -> Result<Vec<u32>, ImageError> {
        let bytes = from.take(section, count.saturating_mul(4))?;
        Ok(bytes.chunks_exact(4).map(|word| u32_at(word, 0)).collect())
    }
}

/// Always eight bytes: only the bits of floats are of this type.
impl Wire for u64 {
    fn write(&self, to: &mut Writer, section: Section) {
        to.push(section, &self.to_le_bytes());
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<u64, ImageError> {
        let bytes = from.take(section, 8)?;
        Ok(u64::from(u32_at(bytes, 0)) | u64::from(u32_at(bytes, 4)) << 32)
    }
}

/// Zigzag: 0, -1, 1, -2, 2 … are 0, 1, 2, 3, 4 ….
impl Wire for i64 {
    fn write(&self, to: &mut Writer, section: Section) {
        to.number(section, ((self << 1) ^ (self >> 63)) as u64);
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<i64, ImageError> {
        let number = from.number(section, u64::MAX)?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }
}

impl Wire for bool {
    fn write(&self, to: &mut Writer, section: Section) {
        u8::from(*self).write(to, section);
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<bool, ImageError> {
        from.tag(section, |byte| match byte {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        })
    }
}

impl Wire for char {
    fn write(&self, to: &mut Writer, section: Section) {
        u32::from(*self).write(to, section);
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<char, ImageError> {
        let number = u32::read(from, section)?;
        char::from_u32(number).ok_or_else(|| from.corrupt(section, Corruption::Character))
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn write(&self, to: &mut Writer, section: Section) {
        to.number(section, self.len() as u64);
        T::write_list(self, to, section);
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<Vec<T>, ImageError> {
        let count = u32::read(from, section)?;
        T::read_list(count as usize, from, section)
    }
}

impl Wire for String {
    fn write(&self, to: &mut Writer, section: Section) {
        to.number(section, self.len() as u64);
        to.push(section, self.as_bytes());
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<String, ImageError> {
        let bytes = Vec::<u8>::read(from, section)?;
        String::from_utf8(bytes).map_err(|_| from.corrupt(section, Corruption::Utf8))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn write(&self, to: &mut Writer, section: Section) {
        self.is_some().write(to, section);
        if let Some(item) = self {
            item.write(to, section);
        }
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<Option<T>, ImageError> {
        Ok(match bool::read(from, section)? {
            true => Some(T::read(from, section)?),
            false => None,
        })
    }
}

impl Wire for PrototypeKind {
    fn write(&self, to: &mut Writer, section: Section) {
        let tag: u8 = match self {
            PrototypeKind::Object => 0,
            PrototypeKind::Twin => 1,
            PrototypeKind::Trait => 2,
        };
        tag.write(to, section);
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<PrototypeKind, ImageError> {
        from.tag(section, |byte| match byte {
            0 => Some(PrototypeKind::Object),
            1 => Some(PrototypeKind::Twin),
            2 => Some(PrototypeKind::Trait),
            _ => None,
        })
    }
}

impl Wire for GivingUp {
    fn write(&self, to: &mut Writer, section: Section) {
        let tag: u8 = match self {
            GivingUp::DeadLetter => 0,
            GivingUp::Quarantine => 1,
            GivingUp::Escalate => 2,
        };
        tag.write(to, section);
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<GivingUp, ImageError> {
        from.tag(section, |byte| match byte {
            0 => Some(GivingUp::DeadLetter),
            1 => Some(GivingUp::Quarantine),
            2 => Some(GivingUp::Escalate),
            _ => None,
        })
    }
}

/// One byte: `private` 1, `query` 2, `hidden` 4.
impl Wire for MethodFlags {
    fn write(&self, to: &mut Writer, section: Section) {
        let MethodFlags { private, query, hidden } = *self;
        (u8::from(private) | u8::from(query) << 1 | u8::from(hidden) << 2).write(to, section);
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<MethodFlags, ImageError> {
        from.tag(section, |byte| {
            (byte < 8).then_some(MethodFlags { private: byte & 1 != 0, query: byte & 2 != 0, hidden: byte & 4 != 0 })
        })
    }
}

/// A byte, 0 for codes and 1 for a primitive; then the codes, each in the codes section.
impl Wire for Body {
    fn write(&self, to: &mut Writer, section: Section) {
        match self {
            Body::Code(codes) => {
                0u8.write(to, section);
                codes.write(to, section);
            }
            Body::Primitive => 1u8.write(to, section),
        }
    }
    fn read(from: &mut Reader<'_>, section: Section) -> Result<Body, ImageError> {
        let is_code = from.tag(section, |byte| match byte {
            0 => Some(true),
            1 => Some(false),
            _ => None,
        })?;
        Ok(match is_code {
            true => Body::Code(Wire::read(from, section)?),
            false => Body::Primitive,
        })
    }
}

/// A byte for the kind, then the value.
impl Wire for Literal {
    fn write(&self, to: &mut Writer, section: Section) {
        match self {
            Literal::Nil => 0u8.write(to, section),
            Literal::True => 1u8.write(to, section),
            Literal::False => 2u8.write(to, section),
            Literal::Integer(value) => {
                3u8.write(to, section);
                value.write(to, section);
            }
            Literal::LargeInteger { negative, magnitude } => {
                4u8.write(to, section);
                negative.write(to, section);
                magnitude.write(to, section);
            }
            Literal::Float(bits) => {
                5u8.write(to, section);
                bits.write(to, section);
            }
            Literal::ScaledDecimal { digits, scale } => {
                6u8.write(to, section);
                digits.write(to, section);
                scale.write(to, section);
            }
            Literal::Character(value) => {
                7u8.write(to, section);
                value.write(to, section);
            }
            Literal::String(value) => {
                8u8.write(to, section);
                value.write(to, section);
            }
            Literal::Symbol(name) => {
                9u8.write(to, section);
                name.write(to, section);
            }
            Literal::Array(items) => {
                10u8.write(to, section);
                items.write(to, section);
            }
            Literal::Bytes(bytes) => {
                11u8.write(to, section);
                bytes.write(to, section);
            }
        }
    }

    fn read(from: &mut Reader<'_>, section: Section) -> Result<Literal, ImageError> {
        let tag = from.tag(section, |byte| (byte <= 11).then_some(byte))?;
        Ok(match tag {
            0 => Literal::Nil,
            1 => Literal::True,
            2 => Literal::False,
            3 => Literal::Integer(Wire::read(from, section)?),
            4 => Literal::LargeInteger { negative: Wire::read(from, section)?, magnitude: Wire::read(from, section)? },
            5 => Literal::Float(Wire::read(from, section)?),
            6 => Literal::ScaledDecimal { digits: Wire::read(from, section)?, scale: Wire::read(from, section)? },
            7 => Literal::Character(Wire::read(from, section)?),
            8 => Literal::String(Wire::read(from, section)?),
            9 => Literal::Symbol(Wire::read(from, section)?),
            10 => {
                if from.depth == LITERAL_DEPTH_MAX {
                    return Err(from.corrupt(section, Corruption::TooDeep));
                }
                from.depth += 1;
                let items = Wire::read(from, section)?;
                from.depth -= 1;
                Literal::Array(items)
            }
            11 => Literal::Bytes(Wire::read(from, section)?),
            _ => unreachable!("the tag was checked"),
        })
    }
}
