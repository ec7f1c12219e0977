//! Every instruction, once: its name, its operands, its meaning.
//!
//! From the rows below derive the encoder and decoder, the listing, the verifier's view of
//! operands, and (through [`for_each_instruction!`](crate::for_each_instruction)) the tables of
//! handlers in the interpreter and the translator: a row without a handler does not compile.
//!
//! An instruction is one or two 32-bit words: the opcode in the lowest byte, then the operands in
//! order, little-endian, padded with zeros. No operand crosses from the first word to the second.
//!
//! **Calls.** A send at `base` finds the receiver in `r[base]` and the arguments in
//! `r[base+1 ..= base+argc]`; the callee's window starts at `r[base]`, and the answer comes back in
//! `r[base]`. All registers from `base` on count as unassigned after a send, but for the answer.
//!
//! **Arithmetic and comparison** are sends too. They work in place on integers and floats; every
//! other receiver or argument, and an integer result past 63 bits, goes through the send site
//! they name, whose answer arrives in `dst`. They leave all other registers alone. So are `at` and
//! `at_put`, which work in place on the kernel's arrays with the kernel's methods.
//!
//! **Numbers of instructions never change**: stores keep images. A new one that images hold gets the
//! next number, whatever stands before it.
//!
//! **Comparison and jump as one.** A `*_jump_unless` or `*_jump_if` must be followed by the
//! `jump_unless` or `jump_if` of the same `dst`. Where the comparison can be made in place both are
//! done at once and `dst` is not written; otherwise the answer arrives in `dst` and the jump that
//! follows runs. `dst` counts as unassigned afterwards.

use crate::operand::*;

/// Calls `$callback! { ... }` with every instruction row, so that other crates derive their tables.
#[macro_export]
macro_rules! for_each_instruction {
    ($callback:path) => {
        $callback! {
            /// `r[dst] := r[src]`.
            copy = Copy { dst: Reg, src: Reg };
            /// `r[dst] := nil`.
            load_nil = LoadNil { dst: Reg };
            /// `r[dst] := true`.
            load_true = LoadTrue { dst: Reg };
            /// `r[dst] := false`.
            load_false = LoadFalse { dst: Reg };
            /// `r[dst] := value`.
            load_integer = LoadInteger { dst: Reg, value: Small };
            /// `r[dst] := literal`.
            load_literal = LoadLiteral { dst: Reg, literal: Literal };
            /// `r[dst] :=` the prototype `global`; a name found nowhere is the send `unknownGlobal:`
            /// of the name to `self`, whose answer arrives in `dst`.
            load_global = LoadGlobal { dst: Reg, global: Global };
            /// `r[dst] :=` a program variable. In a turn: a fault.
            load_variable = LoadVariable { dst: Reg, variable: Variable };
            /// Program variable `:= r[src]`. In a turn: a fault.
            store_variable = StoreVariable { src: Reg, variable: Variable };
            /// `r[dst] :=` the slot or constant of `self`.
            load_slot = LoadSlot { dst: Reg, slot: Slot };
            /// Slot of `self := r[src]`. In a query of a twin, or on something immutable: a fault.
            store_slot = StoreSlot { src: Reg, slot: Slot };

            /// `r[dst] :=` a new cell holding `r[src]`: a variable that blocks share and somebody
            /// assigns.
            make_cell = MakeCell { dst: Reg, src: Reg };
            /// `r[dst] :=` what the cell `r[cell]` holds.
            load_cell = LoadCell { dst: Reg, cell: Reg };
            /// The cell `r[cell]` holds `r[src]` from now on.
            store_cell = StoreCell { cell: Reg, src: Reg };
            /// `r[dst] :=` a block of `code` with `self` and the registers that the code lists as its
            /// captures, as they stand.
            make_block = MakeBlock { dst: Reg, code: CodeIndex };
            /// `r[base] :=` a new array of `r[base ..< base+count]`.
            make_array = MakeArray { base: Reg, count: Count };

            /// `r[base] := r[base] selector: r[base+1 ..= base+argc]`, through the cache at `site`.
            send = Send { base: Reg, site: Site };
            /// As `send`, but lookup starts above the prototype that the method belongs to; the
            /// receiver is `self`, put in `r[base]` like any other.
            send_super = SendSuper { base: Reg, site: Site };
            /// `r[base] :=` the promise of `r[base] ! selector: r[base+1 ..= base+argc]`.
            send_far = SendFar { base: Reg, site: Site };

            /// `r[dst] := r[left] + r[right]`.
            add = Add { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `r[dst] := r[left] - r[right]`.
            subtract = Subtract { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `r[dst] := r[left] * r[right]`.
            multiply = Multiply { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `r[dst] := r[left] / r[right]`: in place for floats, and for integers that divide
            /// without rest.
            divide = Divide { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `r[dst] := r[left] // r[right]`, rounded towards minus infinity.
            quotient = Quotient { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `r[dst] := r[left] \\ r[right]`, with the sign of the divisor.
            modulo = Modulo { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `r[dst] := r[left] + right`.
            add_tiny = AddTiny { dst: Reg, left: Reg, right: Tiny, site: Site };
            /// `r[dst] := r[left] - right`.
            subtract_tiny = SubtractTiny { dst: Reg, left: Reg, right: Tiny, site: Site };
            /// `r[dst] := r[left] < r[right]`.
            less = Less { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `r[dst] := r[left] <= r[right]`.
            less_equal = LessEqual { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `r[dst] := r[left] > r[right]`.
            greater = Greater { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `r[dst] := r[left] >= r[right]`.
            greater_equal = GreaterEqual { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `r[dst] := r[left] = r[right]`.
            equal = Equal { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `r[dst] := r[left] ~= r[right]`.
            not_equal = NotEqual { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `r[dst] := r[left] == r[right]`: identity, never a send. References to one twin are
            /// identical.
            identical = Identical { dst: Reg, left: Reg, right: Reg };

            /// `less`, fused with the `jump_unless` that follows.
            less_jump_unless = LessJumpUnless { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `less_equal`, fused with the `jump_unless` that follows.
            less_equal_jump_unless = LessEqualJumpUnless { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `greater`, fused with the `jump_unless` that follows.
            greater_jump_unless = GreaterJumpUnless { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `greater_equal`, fused with the `jump_unless` that follows.
            greater_equal_jump_unless = GreaterEqualJumpUnless { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `equal`, fused with the `jump_unless` that follows.
            equal_jump_unless = EqualJumpUnless { dst: Reg, left: Reg, right: Reg, site: Site };
            /// `not_equal`, fused with the `jump_unless` that follows.
            not_equal_jump_unless = NotEqualJumpUnless { dst: Reg, left: Reg, right: Reg, site: Site };

            /// Jumps forward.
            jump = Jump { target: Jump24 };
            /// Jumps back to the head of a loop; costs one unit of fuel.
            jump_back = JumpBack { target: Jump24 };
            /// Jumps forward if `r[condition]` is true, falls through if it is false. Anything else:
            /// to `fallback`, or without one the fault `NonBoolean`.
            jump_if = JumpIf { condition: Reg, target: Jump16, fallback: Fallback };
            /// Jumps forward if `r[condition]` is false, falls through if it is true. Anything else:
            /// to `fallback`, or without one the fault `NonBoolean`.
            jump_unless = JumpUnless { condition: Reg, target: Jump16, fallback: Fallback };
            /// Jumps forward if `r[value]` is nil.
            jump_if_nil = JumpIfNil { value: Reg, target: Jump16 };
            /// Jumps forward unless `r[value]` is nil.
            jump_unless_nil = JumpUnlessNil { value: Reg, target: Jump16 };
            /// Jumps forward unless `r[value]` is an integer of 63 bits or a float: the guard of an
            /// inlined `to:do:`.
            jump_unless_number = JumpUnlessNumber { value: Reg, target: Jump16 };

            /// The method or block answers `r[value]`.
            answer = Answer { value: Reg };
            /// The method answers `self`.
            answer_self = AnswerSelf {};
            /// From a block: the method that the block stands in answers `r[value]`. Unwinds to it,
            /// running `ensure:` and `ifCurtailed:` blocks on the way; a fault when it has ended.
            answer_home = AnswerHome { value: Reg };

            /// `r[dst] :=` a constant, found when it was linked. Made by linking, never in an image.
            load_constant = LoadConstant { dst: Reg, constant: Literal };
            /// `r[dst] :=` a slot behind the dashes; in a turn a fault. Made by linking, never in an
            /// image.
            load_shared = LoadShared { dst: Reg, slot: Slot };
            /// A slot behind the dashes `:= r[src]`; in a turn a fault. Made by linking, never in an
            /// image.
            store_shared = StoreShared { src: Reg, slot: Slot };
            /// Work of the interpreter itself, in codes of its own. Never in an image.
            stub = Stub { kind: Count };

            /// `r[dst] := r[left] * right`.
            multiply_tiny = MultiplyTiny { dst: Reg, left: Reg, right: Tiny, site: Site };
            /// `r[dst] := r[left] // right`.
            quotient_tiny = QuotientTiny { dst: Reg, left: Reg, right: Tiny, site: Site };
            /// `r[dst] := r[left] \\\\ right`.
            modulo_tiny = ModuloTiny { dst: Reg, left: Reg, right: Tiny, site: Site };
            /// `r[left] < right`, fused with the `jump_unless` that follows.
            less_tiny_jump_unless = LessTinyJumpUnless { dst: Reg, left: Reg, right: Tiny, site: Site };
            /// `r[left] <= right`, fused with the `jump_unless` that follows.
            less_equal_tiny_jump_unless = LessEqualTinyJumpUnless { dst: Reg, left: Reg, right: Tiny, site: Site };
            /// `r[left] > right`, fused with the `jump_unless` that follows.
            greater_tiny_jump_unless = GreaterTinyJumpUnless { dst: Reg, left: Reg, right: Tiny, site: Site };
            /// `r[left] >= right`, fused with the `jump_unless` that follows.
            greater_equal_tiny_jump_unless = GreaterEqualTinyJumpUnless { dst: Reg, left: Reg, right: Tiny, site: Site };
            /// `r[left] = right`, fused with the `jump_unless` that follows.
            equal_tiny_jump_unless = EqualTinyJumpUnless { dst: Reg, left: Reg, right: Tiny, site: Site };
            /// `r[left] ~= right`, fused with the `jump_unless` that follows.
            not_equal_tiny_jump_unless = NotEqualTinyJumpUnless { dst: Reg, left: Reg, right: Tiny, site: Site };
            /// `r[dst] := r[receiver] at: r[index]`: in place for arrays, else a send.
            at = At { dst: Reg, receiver: Reg, index: Reg, site: Site };
            /// `r[receiver] at: r[index] put: r[value]`, whose answer nobody wants: in place for arrays,
            /// else a send.
            at_put = AtPut { receiver: Reg, index: Reg, value: Reg, site: Site };
        }
    };
}

macro_rules! define {
    ($($(#[doc = $doc:literal])* $name:ident = $variant:ident { $($field:ident: $type:ident),* };)*) => {
        /// One instruction, decoded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Op {
            $($(#[doc = $doc])* $variant {
                $(#[doc = concat!("Operand `", stringify!($field), "`.")] $field: $type),*
            },)*
        }

        /// The number of an instruction: the lowest byte of its first word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Opcode {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Opcode {
            /// Every opcode, in the order of their numbers.
            pub const ALL: &[Opcode] = &[$(Opcode::$variant),*];

            /// The name in listings.
            pub const fn name(self) -> &'static str {
                match self { $(Opcode::$variant => stringify!($name),)* }
            }

            /// How many words the instruction takes: 1 or 2.
            pub const fn words(self) -> usize {
                match self {
                    $(Opcode::$variant => (1usize $(+ <$type as Operand>::BYTES)*).div_ceil(4),)*
                }
            }

            /// How many bytes the operands take together; what is left of the words is zero.
            pub const fn operand_bytes(self) -> usize {
                match self { $(Opcode::$variant => 0usize $(+ <$type as Operand>::BYTES)*,)* }
            }

            /// What the instruction means, as its row says it.
            pub const fn meaning(self) -> &'static str {
                match self { $(Opcode::$variant => concat!($($doc, "\n"),*),)* }
            }

            /// The names and types of the operands, in order.
            pub const fn operand_types(self) -> &'static [(&'static str, &'static str)] {
                match self {
                    $(Opcode::$variant => &[$((stringify!($field), stringify!($type))),*],)*
                }
            }
        }

        $(const _: () = assert!(fits_words(&[$(<$type as Operand>::BYTES),*]), stringify!($name));)*

        impl Op {
            /// The number of this instruction.
            pub const fn opcode(&self) -> Opcode {
                match self { $(Op::$variant { .. } => Opcode::$variant,)* }
            }

            /// Appends the words of this instruction to `words`.
            pub fn encode(&self, words: &mut Vec<u32>) {
                match *self {
                    $(Op::$variant { $($field),* } => {
                        #[allow(unused_mut, reason = "an instruction without operands packs none")]
                        let mut packed = Packer::new(Opcode::$variant);
                        $(packed.push($field);)*
                        packed.finish(words);
                    })*
                }
            }

            /// The instruction that starts with `first`; `second` is the word after it, 0 where
            /// there is none. Total: `None` for a number that no instruction has.
            pub fn decode(first: u32, second: u32) -> Option<Op> {
                #[allow(unused_mut, unused_variables, reason = "an instruction without operands unpacks none")]
                let mut packed = Unpacker { bits: u64::from(first) | u64::from(second) << 32, at: 1 };
                match first as u8 {
                    $(number if number == Opcode::$variant as u8 => {
                        $(let $field: $type = packed.next();)*
                        Some(Op::$variant { $($field),* })
                    })*
                    _ => None,
                }
            }

            /// Calls `visit` with the name and the printed form of every operand.
            pub fn operands(&self, mut visit: impl FnMut(&'static str, &dyn std::fmt::Display)) {
                #[allow(unused_variables, reason = "an instruction without operands visits none")]
                let visit: &mut dyn FnMut(&'static str, &dyn std::fmt::Display) = &mut visit;
                match self {
                    $(Op::$variant { $($field),* } => { $(visit(stringify!($field), $field);)* })*
                }
            }
        }
    };
}

/// Whether no operand of these sizes crosses from the first word to the second, or past it.
const fn fits_words(bytes: &[usize]) -> bool {
    let (mut at, mut index) = (1, 0);
    while index < bytes.len() {
        let end = at + bytes[index];
        if end > 8 || (at < 4 && end > 4) {
            return false;
        }
        at = end;
        index += 1;
    }
    true
}

struct Packer {
    bits: u64,
    at: usize,
}

impl Packer {
    fn new(opcode: Opcode) -> Packer {
        Packer { bits: opcode as u64, at: 1 }
    }

    fn push<O: Operand>(&mut self, operand: O) {
        self.bits |= u64::from(operand.to_bits()) << (8 * self.at);
        self.at += O::BYTES;
    }

    fn finish(self, words: &mut Vec<u32>) {
        words.push(self.bits as u32);
        if self.at > 4 {
            words.push((self.bits >> 32) as u32);
        }
    }
}

struct Unpacker {
    bits: u64,
    at: usize,
}

impl Unpacker {
    fn next<O: Operand>(&mut self) -> O {
        let mask = (1u64 << (8 * O::BYTES)) - 1;
        let operand = O::from_bits(((self.bits >> (8 * self.at)) & mask) as u32);
        self.at += O::BYTES;
        operand
    }
}

for_each_instruction!(define);

impl Opcode {
    /// Whether only the VM makes it: an image that has one is refused.
    pub const fn is_internal(self) -> bool {
        matches!(self, Opcode::LoadConstant | Opcode::LoadShared | Opcode::StoreShared | Opcode::Stub)
    }

    /// The opcode with this number.
    pub fn from_number(number: u8) -> Option<Opcode> {
        Opcode::ALL.get(usize::from(number)).copied()
    }

    /// Whether only the VM makes the instruction, when it links a code: no image has it.
    pub fn made_by_linking(self) -> bool {
        matches!(self, Opcode::LoadConstant | Opcode::LoadShared | Opcode::StoreShared | Opcode::Stub)
    }
}
