//! The types operands have, and how many bytes each takes in an instruction.
//!
//! An instruction is its opcode byte followed by its operands in the order of their row in
//! [`crate::op`], little-endian, padded to whole 32-bit words. The types keep a register from
//! being used as a literal number, and give the listing its way of showing each.

use std::fmt;

/// What every operand type can do; rows of [`crate::op`] are built from these alone.
pub trait Operand: Copy + Sized {
    /// How many bytes the operand takes.
    const BYTES: usize;
    /// The operand as the low `BYTES` bytes of a word.
    fn to_bits(self) -> u32;
    /// The operand held in the low `BYTES` bytes of `bits`; higher bits are zero.
    fn from_bits(bits: u32) -> Self;
}

macro_rules! operands {
    ($($(#[$doc:meta])* $name:ident($repr:ty, $unsigned:ty, $bytes:literal, $show:literal);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $repr);

        impl Operand for $name {
            const BYTES: usize = $bytes;
            fn to_bits(self) -> u32 {
                u32::from(self.0 as $unsigned)
            }
            fn from_bits(bits: u32) -> Self {
                Self(bits as $unsigned as $repr)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $show, self.0)
            }
        }
    )*};
}

operands! {
    /// A register of the running code's window. `r0` is `self`, `r1..` the arguments; in a block
    /// its captures follow the arguments.
    Reg(u8, u8, 1, "r{}");
    /// A literal of the running code.
    Literal(u16, u16, 2, "literal{}");
    /// A send site of the running code: selector and argument count; the cache lies beside it.
    Site(u16, u16, 2, "site{}");
    /// A name in the running code's slot table, bound to an offset or a constant when linked.
    Slot(u16, u16, 2, "slot{}");
    /// A name in the image's table of globals: a prototype, or a name found nowhere.
    Global(u16, u16, 2, "global{}");
    /// A program variable of the image.
    Variable(u16, u16, 2, "variable{}");
    /// A code of the same method, made into a block.
    CodeIndex(u16, u16, 2, "code{}");
    /// A number of registers or elements.
    Count(u8, u8, 1, "{}");
    /// A small integer in place.
    Small(i16, u16, 2, "{}");
    /// A tiny integer in place.
    Tiny(i8, u8, 1, "{}");
    /// A jump of a conditional, counted in words from the word after the instruction.
    Jump16(i16, u16, 2, "{:+}");
    /// Where the general send of an inlined message stands, counted in words from the word after
    /// the instruction; 0 when there is none.
    Fallback(i16, u16, 2, "fallback {:+}");
    /// Nothing: fills a word.
    Pad(u8, u8, 1, "{}");
}

/// A jump counted in words from the word after the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Jump24(pub i32);

impl Operand for Jump24 {
    const BYTES: usize = 3;
    fn to_bits(self) -> u32 {
        self.0 as u32 & 0x00ff_ffff
    }
    fn from_bits(bits: u32) -> Self {
        Self(((bits << 8) as i32) >> 8)
    }
}

impl fmt::Display for Jump24 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+}", self.0)
    }
}
