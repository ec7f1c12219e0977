//! What stands in an image file, field by field, and where writing and reading stand in each section.

use super::{ContentHasher, Corruption, Embedded, ImageError, LITERAL_DEPTH_MAX, Place, Section, u32_at};
use crate::image::*;

/// Sections being written.
pub(super) struct Writer {
    sections: [Vec<u8>; Section::ALL.len()],
    pub(super) stripped: bool,
}

impl Writer {
    pub(super) fn of(image: &Image, stripped: bool) -> Writer {
        let mut writer = Writer { sections: std::array::from_fn(|_| Vec::new()), stripped };
        image.write(&mut writer, Section::Names);
        writer
    }

    pub(super) fn bytes(&self, section: Section) -> &[u8] {
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

    pub(super) fn content_hash(&self) -> [u8; 32] {
        let mut hasher = ContentHasher::new();
        for section in Section::of_file(true) {
            hasher.add(section, self.bytes(section));
        }
        hasher.finish()
    }
}

/// The sections that codes stand in.
pub(super) const CODE_SECTIONS: [Section; 3] = [Section::Codes, Section::Literals, Section::SourceMap];

/// Where reading stands in one section, as offsets in the file.
#[derive(Clone, Copy, Default)]
pub(super) struct Cursor {
    pub(super) at: usize,
    pub(super) end: usize,
}

impl Cursor {
    pub(super) fn left(&self) -> usize {
        self.end - self.at
    }
}

/// Sections being read.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) cursors: [Cursor; Section::ALL.len()],
    pub(super) stripped: bool,
    pub(super) bodies: Bodies,
    depth: usize,
}

/// What becomes of the codes that reading comes to.
pub(super) enum Bodies {
    /// They are read.
    Read,
    /// They are read, and it is noted where they stood: the rows of an index.
    Note(Vec<u8>),
    /// They are left for when they are looked at. The row of the next method's in the index.
    Leave(&'static Embedded, u32),
}

impl<'a> Reader<'a> {
    /// A reader that stands nowhere yet.
    pub(super) fn new(bytes: &'a [u8], stripped: bool, bodies: Bodies) -> Reader<'a> {
        Reader { bytes, cursors: [Cursor::default(); Section::ALL.len()], stripped, bodies, depth: 0 }
    }

    /// The codes of a method, of which the methods section has just the number.
    fn codes(&mut self, section: Section) -> Result<Codes, ImageError> {
        let count = u32::read(self, section)?;
        match &mut self.bodies {
            Bodies::Read => {}
            Bodies::Note(index) => {
                let [codes, literals, source_map] =
                    CODE_SECTIONS.map(|section| self.cursors[section as usize].at as u32);
                index.extend([count, codes, literals, source_map].into_iter().flat_map(u32::to_le_bytes));
            }
            Bodies::Leave(file, row) => {
                *row += 1;
                return Ok(Codes::embedded(Place { file, row: *row - 1 }));
            }
        }
        Ok(Code::read_list(count as usize, self, section)?.into())
    }

    pub(super) fn cursor(&self, section: Section) -> Cursor {
        self.cursors[section as usize]
    }

    pub(super) fn corrupt(&self, section: Section, reason: Corruption) -> ImageError {
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
pub(super) trait Wire: Sized {
    /// Adds it to what is written.
    fn write(&self, to: &mut Writer, section: Section);
    /// What was written, from where reading stands.
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
                to.number(section, codes.len() as u64);
                Code::write_list(codes, to, section);
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
            true => Body::Code(from.codes(section)?),
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
