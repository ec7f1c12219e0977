//! Walking the words of a code: from word index to instruction, strictly.
//!
//! How one instruction is packed is [`crate::op`]'s business; this file knows how they follow one
//! another. The walk is strict: a number that no instruction has, a second word that is missing
//! and a padding byte that is not zero each end it with an error, so that the words of a code and
//! its instructions determine each other: encoding what was read gives the same words.

use std::fmt;

use crate::op::{Op, Opcode};

/// A word that starts no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The index of the word.
    pub word: usize,
    /// What is wrong with it.
    pub reason: DecodeReason,
}

/// Why a word starts no instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeReason {
    /// No instruction has this number.
    UnknownOpcode(u8),
    /// The instruction takes two words, and the code ends after the first.
    MissingWord(Opcode),
    /// A byte behind the operands is not zero.
    Padding(Opcode),
}

impl fmt::Display for DecodeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeReason::UnknownOpcode(number) => {
                write!(f, "no instruction has the number {number}")
            }
            DecodeReason::MissingWord(opcode) => {
                write!(f, "`{}` lacks its second word", opcode.name())
            }
            DecodeReason::Padding(opcode) => {
                write!(f, "the bytes behind the operands of `{}` are not zero", opcode.name())
            }
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "word {:04}: {}", self.word, self.reason)
    }
}

impl std::error::Error for DecodeError {}

/// The instruction that starts at `words[at]`.
///
/// # Errors
/// [`DecodeError`] when none does.
///
/// # Panics
/// When `at` is not below `words.len()`.
pub fn decode_at(words: &[u32], at: usize) -> Result<Op, DecodeError> {
    let fail = |reason| Err(DecodeError { word: at, reason });
    let first = words[at];
    let number = first as u8;
    let Some(opcode) = Opcode::from_number(number) else {
        return fail(DecodeReason::UnknownOpcode(number));
    };
    let second = match (opcode.words(), words.get(at + 1)) {
        (1, _) => 0,
        (_, Some(second)) => *second,
        (_, None) => return fail(DecodeReason::MissingWord(opcode)),
    };
    let bits = u64::from(first) | u64::from(second) << 32;
    // A one-word instruction has zeros for a second word here, so one shift sees its padding too.
    if bits.checked_shr(8 * (1 + opcode.operand_bytes() as u32)).is_some_and(|rest| rest != 0) {
        return fail(DecodeReason::Padding(opcode));
    }
    match Op::decode(first, second) {
        Some(op) => Ok(op),
        None => fail(DecodeReason::UnknownOpcode(number)),
    }
}

/// The instructions of `words` with the index of the first word of each; ends after an error.
pub fn instructions(words: &[u32]) -> Instructions<'_> {
    Instructions { words, at: 0 }
}

/// The iterator of [`instructions`].
#[derive(Clone, Debug)]
pub struct Instructions<'a> {
    words: &'a [u32],
    at: usize,
}

impl Iterator for Instructions<'_> {
    type Item = Result<(usize, Op), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        if at >= self.words.len() {
            return None;
        }
        Some(match decode_at(self.words, at) {
            Ok(op) => {
                self.at = at + op.opcode().words();
                Ok((at, op))
            }
            Err(error) => {
                self.at = self.words.len();
                Err(error)
            }
        })
    }
}
