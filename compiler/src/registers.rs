//! Hands out the registers of one code, as a stack.
//!
//! `self`, arguments and captures come first and stay; temporaries and the values in between are
//! taken from the top and given back in the reverse order. What stands above is free, so the
//! window of a send can start at the top whenever all that is still needed lies below it.
//!
//! A code that needs more than there are goes on with the last one, so that the rest of the method
//! is looked at too; `overflowed` then says that its instructions mean nothing.

use twintalk_bytecode::operand::Reg;
use twintalk_bytecode::verify::REGISTERS_MAX;

/// The registers of one code.
#[derive(Clone, Debug)]
pub(crate) struct Registers {
    next: usize,
    /// Behind the highest register that belongs to a variable.
    scratch: usize,
    most: usize,
    overflowed: bool,
}

/// How many registers are in use: what a later [`Registers::release`] goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    next: usize,
    scratch: usize,
}

impl Default for Registers {
    /// With `self` in use.
    fn default() -> Registers {
        Registers { next: 1, scratch: 1, most: 1, overflowed: false }
    }
}

impl Registers {
    /// Takes the lowest free register.
    pub(crate) fn take(&mut self) -> Reg {
        if self.next >= REGISTERS_MAX {
            self.overflowed = true;
            return Reg((REGISTERS_MAX - 1) as u8);
        }
        let register = Reg(self.next as u8);
        self.next += 1;
        self.most = self.most.max(self.next);
        register
    }

    /// Takes the lowest free register for a variable, an argument or a capture.
    pub(crate) fn take_for_variable(&mut self) -> Reg {
        let register = self.take();
        self.scratch = self.next;
        register
    }

    /// Where the registers stand now.
    pub(crate) fn mark(&self) -> Mark {
        Mark { next: self.next, scratch: self.scratch }
    }

    /// Gives back all that was taken since `mark`.
    pub(crate) fn release(&mut self, mark: Mark) {
        self.next = mark.next;
        self.scratch = mark.scratch;
    }

    /// Takes all that was in use at `mark`, so that it keeps what it holds.
    pub(crate) fn keep(&mut self, mark: Mark) {
        self.next = self.next.max(mark.next);
        self.scratch = self.scratch.max(mark.scratch);
    }

    /// Whether `register` belongs to no variable, so that it may be written before its time.
    pub(crate) fn is_scratch(&self, register: Reg) -> bool {
        usize::from(register.0) >= self.scratch
    }

    /// Whether the window of a send can start at `register`: it is the highest in use, and no
    /// variable's.
    pub(crate) fn is_top(&self, register: Reg) -> bool {
        usize::from(register.0) + 1 == self.next && self.is_scratch(register)
    }

    /// How many are free.
    pub(crate) fn free(&self) -> usize {
        REGISTERS_MAX - self.next
    }

    /// How many were in use at once.
    pub(crate) fn count(&self) -> u16 {
        self.most as u16
    }

    /// Whether more were wanted than there are.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed
    }
}
