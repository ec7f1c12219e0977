//! Sets of registers, and what is known of what they hold.

use super::REGISTERS_MAX;

/// A set of registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Registers([u64; REGISTERS_MAX / 64]);

impl Registers {
    pub(super) fn has(&self, register: u8) -> bool {
        self.0[usize::from(register >> 6)] >> (register & 63) & 1 != 0
    }

    pub(super) fn add(&mut self, register: u8) {
        self.0[usize::from(register >> 6)] |= 1 << (register & 63);
    }

    fn remove(&mut self, register: u8) {
        self.0[usize::from(register >> 6)] &= !(1 << (register & 63));
    }

    /// The registers from `first` on.
    pub(super) fn from(first: u8) -> Registers {
        let mut set = Registers([u64::MAX; REGISTERS_MAX / 64]);
        let word = usize::from(first >> 6);
        set.0[..word].fill(0);
        set.0[word] = u64::MAX << (first & 63);
        set
    }

    fn zip(self, other: Registers, f: impl Fn(u64, u64) -> u64) -> Registers {
        Registers(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }

    fn and(self, other: Registers) -> Registers {
        self.zip(other, |a, b| a & b)
    }

    pub(super) fn or(self, other: Registers) -> Registers {
        self.zip(other, |a, b| a | b)
    }

    pub(super) fn without(self, other: Registers) -> Registers {
        self.zip(other, |a, b| a & !b)
    }

    pub(super) fn first(&self) -> Option<u8> {
        let word = self.0.iter().position(|bits| *bits != 0)?;
        Some((64 * word) as u8 + self.0[word].trailing_zeros() as u8)
    }
}

/// What the registers hold before an instruction. No register is in both `values` and `cells`;
/// `selves` are values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) values: Registers,
    pub(super) cells: Registers,
    pub(super) selves: Registers,
}

impl State {
    /// What is known where this state and `other` meet.
    pub(super) fn meet(self, other: State) -> State {
        State {
            values: self.values.and(other.values),
            cells: self.cells.and(other.cells),
            selves: self.selves.and(other.selves),
        }
    }

    pub(super) fn set(&mut self, register: u8, kind: Kind) {
        self.values.add(register);
        self.cells.remove(register);
        self.selves.remove(register);
        match kind {
            Kind::Value => {}
            Kind::Itself => self.selves.add(register),
            Kind::Cell => {
                self.values.remove(register);
                self.cells.add(register);
            }
        }
    }

    pub(super) fn forget(&mut self, registers: Registers) {
        self.values = self.values.without(registers);
        self.cells = self.cells.without(registers);
        self.selves = self.selves.without(registers);
    }
}

/// What an instruction leaves in the register it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Value,
    /// `self`.
    Itself,
    Cell,
}

/// What the instructions of a loop may do to a state that was there before the loop.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Changes {
    /// Registers no longer known to hold a value.
    pub(super) values: Registers,
    /// Registers no longer known to hold a cell.
    pub(super) cells: Registers,
    /// Registers no longer known to hold `self`.
    pub(super) selves: Registers,
}

impl Changes {
    pub(super) fn join(&mut self, other: &Changes) {
        self.values = self.values.or(other.values);
        self.cells = self.cells.or(other.cells);
        self.selves = self.selves.or(other.selves);
    }

    pub(super) fn forget(&mut self, registers: Registers) {
        self.join(&Changes { values: registers, cells: registers, selves: registers });
    }

    pub(super) fn write(&mut self, register: u8, kind: Kind) {
        match kind {
            Kind::Value => {
                self.cells.add(register);
                self.selves.add(register);
            }
            Kind::Itself => self.cells.add(register),
            Kind::Cell => {
                self.values.add(register);
                self.selves.add(register);
            }
        }
    }
}

/// The registers above `base`.
pub(super) fn above(base: u8) -> Registers {
    let mut registers = Registers::from(base);
    registers.remove(base);
    registers
}

/// One register.
pub(super) fn only(register: u8) -> Registers {
    let mut registers = Registers::default();
    registers.add(register);
    registers
}
