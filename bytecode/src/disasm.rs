//! The listing of images and codes, derived from the table of instructions.
//!
//! Everything is first made into plain rows ([`ImageListing`] and below), which tools can turn
//! into whatever form they like, and then shown by `Display`. A listing is made of any image,
//! verified or not: what points nowhere is shown by its number, and a word that starts no
//! instruction is shown as it is, so that a refused image can still be looked at.

use std::fmt;

use crate::codec;
use crate::file;
use crate::image::*;
use crate::op::Op;
use crate::operand::{self, Fallback, Jump16, Jump24};

/// How many characters of a literal a comment shows.
const COMMENT_CHARACTERS_MAX: usize = 60;

/// A whole image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageListing {
    /// [`file::content_hash`].
    pub content_hash: [u8; 32],
    /// Of each definition that says something of it.
    pub supervisions: Vec<SupervisionListing>,
    /// Every method, in the order of the image.
    pub methods: Vec<MethodListing>,
}

/// A method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodListing {
    /// Its number in the image.
    pub number: usize,
    /// `Prototype`, or `Prototype class` behind the dashes; none for the statements of a program.
    pub owner: Option<String>,
    /// Its selector, or its name.
    pub selector: String,
    /// What it is there for.
    pub role: Role,
    /// How many arguments it takes.
    pub argument_count: u8,
    /// `private`, `query`.
    pub flags: MethodFlags,
    /// Its codes; none for a primitive.
    pub codes: Option<Vec<CodeListing>>,
}

/// What a method is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Found by lookup.
    Method,
    /// Added by `extend`.
    Extension,
    /// Answers the first value of a slot or constant.
    Initialiser,
    /// The body of a timer.
    Timer,
    /// Answers the duration of a timer.
    Duration,
    /// An invariant.
    Invariant,
    /// Migrates from this version.
    Migration(u32),
    /// The statements of the program.
    Main,
    /// Named nowhere.
    Unused,
}

/// What a definition says of its supervision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupervisionListing {
    /// The prototype.
    pub owner: String,
    /// What it says.
    pub supervision: Supervision,
}

/// A code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeListing {
    /// Its number in the method.
    pub number: usize,
    /// How many arguments it takes.
    pub argument_count: u8,
    /// How many registers its window has.
    pub register_count: u16,
    /// The registers of its maker that it takes along.
    pub captures: Vec<u8>,
    /// Its instructions.
    pub lines: Vec<Line>,
    /// Its literals, as the source writes them.
    pub literals: Vec<String>,
    /// Its send sites.
    pub sites: Vec<SiteListing>,
    /// The slots it names.
    pub slots: Vec<String>,
}

/// A send site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteListing {
    /// The selector.
    pub selector: String,
    /// How many arguments.
    pub argument_count: u8,
    /// Whether private methods are found too.
    pub to_self: bool,
}

/// An instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The index of its first word.
    pub word: usize,
    /// Its name; `word` for a word that starts no instruction.
    pub name: &'static str,
    /// Its operands as shown; jumps by the word they go to.
    pub operands: Vec<String>,
    /// What the operands refer to.
    pub comment: Option<String>,
    /// The byte offset in the source, from the source map.
    pub source_offset: Option<u32>,
}

impl ImageListing {
    /// The listing of all of `image`. Cost: linear.
    pub fn of(image: &Image) -> ImageListing {
        let owners = owners_of(image);
        let methods = owners
            .into_iter()
            .enumerate()
            .map(|(number, (owner, role))| MethodListing::of(image, number, owner, role))
            .collect();
        let supervisions = image.prototypes.iter().filter_map(|prototype| {
            prototype
                .supervision
                .map(|supervision| SupervisionListing { owner: name(image, prototype.name), supervision })
        });
        ImageListing { content_hash: file::content_hash(image), supervisions: supervisions.collect(), methods }
    }
}

/// Where each method of an image belongs, and what it is there for.
fn owners_of(image: &Image) -> Vec<(Option<String>, Role)> {
    let mut owners = vec![(None, Role::Unused); image.methods.len()];
    let mut own = |id: MethodId, owner: Option<&str>, role: Role| {
        if let Some(row) = owners.get_mut(id.0 as usize) {
            *row = (owner.map(str::to_owned), role);
        }
    };
    for prototype in &image.prototypes {
        let name = name(image, prototype.name);
        let class = format!("{name} class");
        for (owner, side) in [(&name, &prototype.instance), (&class, &prototype.side)] {
            for method in &side.methods {
                own(*method, Some(owner), Role::Method);
            }
            for method in side.slots.iter().filter_map(|slot| slot.initialiser) {
                own(method, Some(owner), Role::Initialiser);
            }
        }
        for timer in &prototype.timers {
            own(timer.method, Some(&name), Role::Timer);
            own(timer.duration, Some(&name), Role::Duration);
        }
        for method in &prototype.invariants {
            own(*method, Some(&name), Role::Invariant);
        }
        for migration in &prototype.migrations {
            own(migration.method, Some(&name), Role::Migration(migration.from));
        }
    }
    for extension in &image.extensions {
        let name = name(image, extension.name);
        let class = format!("{name} class");
        for (owner, methods) in [(&name, &extension.methods), (&class, &extension.side_methods)] {
            for method in methods {
                own(*method, Some(owner), Role::Extension);
            }
        }
    }
    if let Some(main) = image.main {
        own(main, None, Role::Main);
    }
    owners
}

impl MethodListing {
    fn of(image: &Image, number: usize, owner: Option<String>, role: Role) -> MethodListing {
        let method = &image.methods[number];
        let codes = match &method.body {
            Body::Code(codes) => {
                Some(codes.iter().enumerate().map(|(number, code)| CodeListing::of(image, number, code)).collect())
            }
            Body::Primitive => None,
        };
        MethodListing {
            number,
            owner,
            selector: name(image, method.selector),
            role,
            argument_count: method.argument_count,
            flags: method.flags,
            codes,
        }
    }
}

impl CodeListing {
    /// The listing of one code of `image`, the one with this number in its method.
    pub fn of(image: &Image, number: usize, code: &Code) -> CodeListing {
        let mut source = code.source_map.iter().peekable();
        let mut source_offset = None;
        let lines = codec::instructions(&code.words)
            .map(|item| {
                let mut line = match item {
                    Ok((word, op)) => line(image, code, word, &op),
                    Err(error) => Line {
                        word: error.word,
                        name: "word",
                        operands: vec![format!("{:#010x}", code.words[error.word])],
                        comment: Some(error.reason.to_string()),
                        source_offset: None,
                    },
                };
                while let Some(entry) = source.next_if(|entry| entry.word as usize <= line.word) {
                    source_offset = Some(entry.offset);
                }
                line.source_offset = source_offset;
                line
            })
            .collect();
        let sites = code.sites.iter().map(|site| SiteListing {
            selector: name(image, site.selector),
            argument_count: site.argument_count,
            to_self: site.to_self,
        });
        CodeListing {
            number,
            argument_count: code.argument_count,
            register_count: code.register_count,
            captures: code.captures.clone(),
            lines,
            literals: code.literals.iter().map(|l| literal(image, l)).collect(),
            sites: sites.collect(),
            slots: code.slots.iter().map(|slot| name(image, *slot)).collect(),
        }
    }
}

/// What a name's number stands for; the number where it stands for nothing.
fn name(image: &Image, id: NameId) -> String {
    match image.names.get(id.0 as usize) {
        Some(name) => name.clone(),
        None => format!("<name {}>", id.0),
    }
}

/// `literal` as the source writes it.
pub fn literal(image: &Image, literal: &Literal) -> String {
    let mut text = String::new();
    write_literal(&mut text, image, literal, false);
    text
}

fn write_literal(text: &mut String, image: &Image, literal: &Literal, inside: bool) {
    use fmt::Write as _;
    let quoted = |value: &str| format!("'{}'", value.replace('\'', "''"));
    let shown = match literal {
        Literal::Nil => "nil".to_owned(),
        Literal::True => "true".to_owned(),
        Literal::False => "false".to_owned(),
        Literal::Integer(value) => value.to_string(),
        Literal::LargeInteger { negative, magnitude } => {
            // In hexadecimal: decimal digits would cost time quadratic in the length.
            let sign = if *negative { "-" } else { "" };
            let mut shown = format!("{sign}16r");
            for byte in magnitude.iter().rev() {
                let _ = write!(shown, "{byte:02X}");
            }
            shown
        }
        Literal::Float(bits) => format!("{:?}", f64::from_bits(*bits)),
        Literal::ScaledDecimal { digits, scale } => scaled(digits, *scale),
        Literal::Character(value) if value.is_control() => {
            format!("$<{:#04x}>", u32::from(*value))
        }
        Literal::Character(value) => format!("${value}"),
        Literal::String(value) => quoted(value),
        Literal::Symbol(id) => {
            let name = name(image, *id);
            match crate::verify::selector_arguments(&name) {
                Some(_) => format!("#{name}"),
                None => format!("#{}", quoted(&name)),
            }
        }
        Literal::Array(items) => {
            text.push_str(if inside { "(" } else { "#(" });
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(' ');
                }
                write_literal(text, image, item, true);
            }
            text.push(')');
            return;
        }
        Literal::Bytes(bytes) => {
            let bytes: Vec<String> = bytes.iter().map(u8::to_string).collect();
            format!("#[{}]", bytes.join(" "))
        }
    };
    text.push_str(&shown);
}

/// `350` with scale 2 is `3.50s2`.
fn scaled(digits: &str, scale: u32) -> String {
    let (sign, unsigned) = match digits.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", digits),
    };
    let places = scale as usize;
    // Scales past the limit come from files that no verifier has passed.
    if places == 0 || scale > crate::verify::SCALE_MAX || !unsigned.is_ascii() {
        return format!("{digits}s{scale}");
    }
    let padded = format!("{unsigned:0>width$}", width = places + 1);
    let (whole, part) = padded.split_at(padded.len() - places);
    format!("{sign}{whole}.{part}s{scale}")
}

/// An operand as a listing shows it.
trait Shown: fmt::Display {
    /// Adds the operand to `line`; `next` is the word after the instruction.
    fn show(&self, line: &mut Line, next: usize, image: &Image, code: &Code);
}

macro_rules! shown_as_they_are {
    ($($type:ident)*) => {$(
        impl Shown for operand::$type {
            fn show(&self, line: &mut Line, _: usize, _: &Image, _: &Code) {
                line.operands.push(self.to_string());
            }
        }
    )*};
}

shown_as_they_are! { Reg CodeIndex Count Small Tiny }

/// Operands that point into a table: the row becomes the comment.
macro_rules! shown_with_row {
    ($($type:ident($row:ident, $image:ident, $code:ident) $comment:expr;)*) => {$(
        impl Shown for operand::$type {
            #[allow(unused_variables, reason = "a table is the image's or the code's")]
            fn show(&self, line: &mut Line, _: usize, $image: &Image, $code: &Code) {
                line.operands.push(self.to_string());
                let $row = usize::from(self.0);
                line.comment = $comment;
            }
        }
    )*};
}

shown_with_row! {
    Literal(row, image, code) code.literals.get(row).map(|l| shortened(literal(image, l)));
    Site(row, image, code) code.sites.get(row).map(|site| name(image, site.selector));
    Slot(row, image, code) code.slots.get(row).map(|slot| name(image, *slot));
    Global(row, image, code) image.globals.get(row).map(|id| name(image, *id));
    Variable(row, image, code) image.variables.get(row).map(|id| name(image, *id));
}

fn jump(line: &mut Line, next: usize, distance: i32, label: &str) {
    line.operands.push(match next as i64 + i64::from(distance) {
        target @ 0.. => format!("{label}{target:04}"),
        before => format!("{label}{before}"),
    });
}

impl Shown for Jump16 {
    fn show(&self, line: &mut Line, next: usize, _: &Image, _: &Code) {
        jump(line, next, i32::from(self.0), "");
    }
}

impl Shown for Jump24 {
    fn show(&self, line: &mut Line, next: usize, _: &Image, _: &Code) {
        jump(line, next, self.0, "");
    }
}

impl Shown for Fallback {
    fn show(&self, line: &mut Line, next: usize, _: &Image, _: &Code) {
        if self.0 != 0 {
            jump(line, next, i32::from(self.0), "fallback ");
        }
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(COMMENT_CHARACTERS_MAX) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text,
    }
}

macro_rules! define_line {
    ($($(#[$doc:meta])* $name:ident = $variant:ident { $($field:ident: $type:ident),* };)*) => {
        fn line(image: &Image, code: &Code, word: usize, op: &Op) -> Line {
            let mut line = Line {
                word,
                name: op.opcode().name(),
                operands: Vec::new(),
                comment: None,
                source_offset: None,
            };
            let next = word + op.opcode().words();
            match op {
                $(Op::$variant { $($field),* } => {
                    $(Shown::show($field, &mut line, next, image, code);)*
                })*
            }
            line
        }
    };
}

crate::for_each_instruction!(define_line);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operands = self.operands.join(", ");
        let instruction = format!("{:04}  {:<13} {operands}", self.word, self.name);
        match &self.comment {
            // Control characters of a hostile file stay out of the terminal.
            Some(comment) => write!(f, "{instruction:<38} ; {}", printable(comment)),
            None => write!(f, "{}", instruction.trim_end()),
        }
    }
}

/// `text` with its control characters escaped.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

impl fmt::Display for CodeListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.number {
            0 => "body".to_owned(),
            number => format!("code{number}"),
        };
        write!(f, "  {kind}: arguments {}, registers {}", self.argument_count, self.register_count)?;
        if !self.captures.is_empty() {
            let captures: Vec<String> = self.captures.iter().map(|r| format!("r{r}")).collect();
            write!(f, ", captures {}", captures.join(" "))?;
        }
        writeln!(f)?;
        for line in &self.lines {
            writeln!(f, "    {line}")?;
        }
        for (row, literal) in self.literals.iter().enumerate() {
            writeln!(f, "    literal{row} = {}", printable(literal))?;
        }
        for (row, site) in self.sites.iter().enumerate() {
            let to_self = if site.to_self { ", to self" } else { "" };
            writeln!(f, "    site{row} = {}, arguments {}{to_self}", printable(&site.selector), site.argument_count)?;
        }
        for (row, slot) in self.slots.iter().enumerate() {
            writeln!(f, "    slot{row} = {}", printable(slot))?;
        }
        Ok(())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Method => write!(f, "method"),
            Role::Extension => write!(f, "extension"),
            Role::Initialiser => write!(f, "initialiser"),
            Role::Timer => write!(f, "timer"),
            Role::Duration => write!(f, "duration"),
            Role::Invariant => write!(f, "invariant"),
            Role::Migration(from) => write!(f, "migration from {from}"),
            Role::Main => write!(f, "main"),
            Role::Unused => write!(f, "unused"),
        }
    }
}

/// As the source writes it.
impl fmt::Display for SupervisionListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let then = match self.supervision.then {
            GivingUp::DeadLetter => "deadLetter",
            GivingUp::Quarantine => "quarantine",
            GivingUp::Escalate => "escalate",
        };
        write!(f, "{} supervise ", printable(&self.owner))?;
        let Some(Retry { count, after_ns, up_to_ns, within_ns }) = self.supervision.retry else {
            return writeln!(f, "{then}");
        };
        write!(f, "retry: {count} after: {after_ns} nanoseconds upTo: {up_to_ns} nanoseconds")?;
        if let Some(within_ns) = within_ns {
            write!(f, " within: {within_ns} nanoseconds")?;
        }
        writeln!(f, " then: {then}")
    }
}

impl fmt::Display for MethodListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(owner) = &self.owner {
            write!(f, "{}>>", printable(owner))?;
        }
        write!(f, "{} ({}", printable(&self.selector), self.role)?;
        let MethodFlags { private, query, hidden: _ } = self.flags;
        for (set, name) in [(private, "private"), (query, "query")] {
            if set {
                write!(f, ", {name}")?;
            }
        }
        writeln!(f, ")")?;
        match &self.codes {
            Some(codes) => codes.iter().try_for_each(|code| write!(f, "{code}")),
            None => writeln!(f, "  primitive"),
        }
    }
}

impl fmt::Display for ImageListing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image ")?;
        for byte in self.content_hash {
            write!(f, "{byte:02x}")?;
        }
        writeln!(f)?;
        for (index, supervision) in self.supervisions.iter().enumerate() {
            write!(f, "{}{supervision}", if index == 0 { "\n" } else { "" })?;
        }
        for method in &self.methods {
            write!(f, "\n{method}")?;
        }
        Ok(())
    }
}
