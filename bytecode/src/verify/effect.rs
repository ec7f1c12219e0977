//! What each instruction does to registers, and where control goes after it.

use crate::op::Op;
use crate::operand::{self, CodeIndex, Fallback, Jump16, Jump24, Reg};

/// What the register that an instruction writes holds afterwards.
#[derive(Clone, Copy, Debug)]
pub(super) enum Written {
    Value,
    Cell,
    /// What this register held.
    CopyOf(u8),
}

/// A send that an instruction may make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    pub(super) site: operand::Site,
    pub(super) receiver: u8,
    /// The selector that the site must have.
    pub(super) selector: Option<&'static str>,
    /// Whether the receiver and arguments stand in a window of their own, starting at `receiver`.
    pub(super) window: bool,
    /// Whether the receiver must be `self`, whatever the site says.
    pub(super) to_super: bool,
}

/// What an instruction does to registers, apart from jumping.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Effect {
    /// Registers that must hold values.
    pub(super) reads: [Option<u8>; 3],
    /// A run of registers that must hold values: the first, and how many.
    pub(super) reads_run: Option<(u8, usize)>,
    /// A register that must hold a cell.
    pub(super) cell: Option<u8>,
    pub(super) block: Option<CodeIndex>,
    pub(super) sends: Option<Sending>,
    pub(super) writes: Option<(u8, Written)>,
    /// The registers above this one are unassigned afterwards.
    pub(super) forgets_above: Option<u8>,
    /// The comparison of a fused pair.
    pub(super) fused: bool,
}

impl Effect {
    /// Reads `registers`, then writes a value to `dst`.
    fn value(dst: Reg, [first, second]: [Option<u8>; 2]) -> Effect {
        Effect { reads: [first, second, None], writes: Some((dst.0, Written::Value)), ..Effect::default() }
    }

    fn reads(register: Reg) -> Effect {
        Effect { reads: [Some(register.0), None, None], ..Effect::default() }
    }

    fn sends(base: Reg, site: operand::Site, to_super: bool) -> Effect {
        Effect {
            sends: Some(Sending { site, receiver: base.0, selector: None, window: true, to_super }),
            writes: Some((base.0, Written::Value)),
            forgets_above: Some(base.0),
            ..Effect::default()
        }
    }

    fn binary(selector: &'static str, dst: Reg, left: Reg, right: Option<Reg>, site: operand::Site) -> Effect {
        Effect {
            sends: Some(Sending { site, receiver: left.0, selector: Some(selector), window: false, to_super: false }),
            ..Effect::value(dst, [Some(left.0), right.map(|right| right.0)])
        }
    }

    fn fused(self) -> Effect {
        Effect { fused: true, ..self }
    }
}

pub(super) fn effect_of(op: &Op) -> Effect {
    match *op {
        Op::Copy { dst, src } => Effect {
            reads: [Some(src.0), None, None],
            writes: Some((dst.0, Written::CopyOf(src.0))),
            ..Effect::default()
        },
        Op::LoadNil { dst }
        | Op::LoadTrue { dst }
        | Op::LoadFalse { dst }
        | Op::LoadInteger { dst, value: _ }
        | Op::LoadLiteral { dst, literal: _ }
        | Op::LoadGlobal { dst, global: _ }
        | Op::LoadVariable { dst, variable: _ }
        | Op::LoadSlot { dst, slot: _ }
        | Op::LoadConstant { dst, constant: _ }
        | Op::LoadShared { dst, slot: _ } => Effect::value(dst, [None, None]),
        Op::StoreVariable { src, variable: _ } | Op::StoreSlot { src, slot: _ } | Op::StoreShared { src, slot: _ } => {
            Effect::reads(src)
        }
        Op::MakeCell { dst, src } => {
            Effect { reads: [Some(src.0), None, None], writes: Some((dst.0, Written::Cell)), ..Effect::default() }
        }
        Op::LoadCell { dst, cell } => Effect { cell: Some(cell.0), ..Effect::value(dst, [None, None]) },
        Op::StoreCell { cell, src } => Effect { cell: Some(cell.0), ..Effect::reads(src) },
        Op::MakeBlock { dst, code } => Effect { block: Some(code), ..Effect::value(dst, [None, None]) },
        Op::MakeArray { base, count } => {
            Effect { reads_run: Some((base.0, usize::from(count.0))), ..Effect::value(base, [None, None]) }
        }
        Op::Send { base, site } | Op::SendFar { base, site } => Effect::sends(base, site, false),
        Op::SendSuper { base, site } => Effect::sends(base, site, true),
        Op::Add { dst, left, right, site } => Effect::binary("+", dst, left, Some(right), site),
        Op::Subtract { dst, left, right, site } => Effect::binary("-", dst, left, Some(right), site),
        Op::Multiply { dst, left, right, site } => Effect::binary("*", dst, left, Some(right), site),
        Op::Divide { dst, left, right, site } => Effect::binary("/", dst, left, Some(right), site),
        Op::Quotient { dst, left, right, site } => Effect::binary("//", dst, left, Some(right), site),
        Op::Modulo { dst, left, right, site } => Effect::binary("\\\\", dst, left, Some(right), site),
        Op::AddTiny { dst, left, right: _, site } => Effect::binary("+", dst, left, None, site),
        Op::SubtractTiny { dst, left, right: _, site } => Effect::binary("-", dst, left, None, site),
        Op::Less { dst, left, right, site } => Effect::binary("<", dst, left, Some(right), site),
        Op::LessEqual { dst, left, right, site } => Effect::binary("<=", dst, left, Some(right), site),
        Op::Greater { dst, left, right, site } => Effect::binary(">", dst, left, Some(right), site),
        Op::GreaterEqual { dst, left, right, site } => Effect::binary(">=", dst, left, Some(right), site),
        Op::Equal { dst, left, right, site } => Effect::binary("=", dst, left, Some(right), site),
        Op::NotEqual { dst, left, right, site } => Effect::binary("~=", dst, left, Some(right), site),
        Op::Identical { dst, left, right } => Effect::value(dst, [Some(left.0), Some(right.0)]),
        Op::LessJumpUnless { dst, left, right, site } => Effect::binary("<", dst, left, Some(right), site).fused(),
        Op::LessEqualJumpUnless { dst, left, right, site } => {
            Effect::binary("<=", dst, left, Some(right), site).fused()
        }
        Op::GreaterJumpUnless { dst, left, right, site } => Effect::binary(">", dst, left, Some(right), site).fused(),
        Op::GreaterEqualJumpUnless { dst, left, right, site } => {
            Effect::binary(">=", dst, left, Some(right), site).fused()
        }
        Op::EqualJumpUnless { dst, left, right, site } => Effect::binary("=", dst, left, Some(right), site).fused(),
        Op::NotEqualJumpUnless { dst, left, right, site } => Effect::binary("~=", dst, left, Some(right), site).fused(),
        Op::Jump { target: _ } | Op::JumpBack { target: _ } => Effect::default(),
        Op::JumpIf { condition, target: _, fallback: _ } | Op::JumpUnless { condition, target: _, fallback: _ } => {
            Effect::reads(condition)
        }
        Op::JumpIfNil { value, target: _ }
        | Op::JumpUnlessNil { value, target: _ }
        | Op::JumpUnlessNumber { value, target: _ } => Effect::reads(value),
        Op::Answer { value } | Op::AnswerHome { value } => Effect::reads(value),
        Op::AnswerSelf {} => Effect::default(),
        Op::Stub { kind: _ } => Effect::default(),
        Op::MultiplyTiny { dst, left, right: _, site } => Effect::binary("*", dst, left, None, site),
        Op::QuotientTiny { dst, left, right: _, site } => Effect::binary("//", dst, left, None, site),
        Op::ModuloTiny { dst, left, right: _, site } => Effect::binary("\\\\", dst, left, None, site),
        Op::LessTinyJumpUnless { dst, left, right: _, site } => Effect::binary("<", dst, left, None, site).fused(),
        Op::LessEqualTinyJumpUnless { dst, left, right: _, site } => {
            Effect::binary("<=", dst, left, None, site).fused()
        }
        Op::GreaterTinyJumpUnless { dst, left, right: _, site } => Effect::binary(">", dst, left, None, site).fused(),
        Op::GreaterEqualTinyJumpUnless { dst, left, right: _, site } => {
            Effect::binary(">=", dst, left, None, site).fused()
        }
        Op::EqualTinyJumpUnless { dst, left, right: _, site } => Effect::binary("=", dst, left, None, site).fused(),
        Op::NotEqualTinyJumpUnless { dst, left, right: _, site } => Effect::binary("~=", dst, left, None, site).fused(),
        Op::At { dst, receiver, index, site } => Effect::binary("at:", dst, receiver, Some(index), site),
        Op::AtPut { receiver, index, value, site } => Effect {
            reads: [Some(receiver.0), Some(index.0), Some(value.0)],
            sends: Some(Sending {
                site,
                receiver: receiver.0,
                selector: Some("at:put:"),
                window: false,
                to_super: false,
            }),
            ..Effect::default()
        },
    }
}

/// Whether the instruction uses `self` as a value; reading or writing a slot of it is none.
pub fn uses_self(op: &Op) -> bool {
    let effect = effect_of(op);
    let in_run = effect.reads_run.is_some_and(|(first, count)| first == 0 && count > 0);
    effect.reads.contains(&Some(0)) || in_run || matches!(op, Op::AnswerSelf {})
}

/// Where control goes after an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flow {
    Next,
    Jump(Jump24),
    Back(Jump24),
    Branch(Jump16, Fallback),
    End,
}

pub(super) fn flow_of(op: &Op) -> Flow {
    match *op {
        Op::Jump { target } => Flow::Jump(target),
        Op::JumpBack { target } => Flow::Back(target),
        Op::JumpIf { condition: _, target, fallback } | Op::JumpUnless { condition: _, target, fallback } => {
            Flow::Branch(target, fallback)
        }
        Op::JumpIfNil { value: _, target }
        | Op::JumpUnlessNil { value: _, target }
        | Op::JumpUnlessNumber { value: _, target } => Flow::Branch(target, Fallback(0)),
        Op::Answer { value: _ } | Op::AnswerSelf {} | Op::AnswerHome { value: _ } => Flow::End,
        Op::Copy { .. }
        | Op::LoadNil { .. }
        | Op::LoadTrue { .. }
        | Op::LoadFalse { .. }
        | Op::LoadInteger { .. }
        | Op::LoadLiteral { .. }
        | Op::LoadGlobal { .. }
        | Op::LoadVariable { .. }
        | Op::StoreVariable { .. }
        | Op::LoadSlot { .. }
        | Op::StoreSlot { .. }
        | Op::MakeCell { .. }
        | Op::LoadCell { .. }
        | Op::StoreCell { .. }
        | Op::MakeBlock { .. }
        | Op::MakeArray { .. }
        | Op::Send { .. }
        | Op::SendSuper { .. }
        | Op::SendFar { .. }
        | Op::Add { .. }
        | Op::Subtract { .. }
        | Op::Multiply { .. }
        | Op::Divide { .. }
        | Op::Quotient { .. }
        | Op::Modulo { .. }
        | Op::AddTiny { .. }
        | Op::SubtractTiny { .. }
        | Op::Less { .. }
        | Op::LessEqual { .. }
        | Op::Greater { .. }
        | Op::GreaterEqual { .. }
        | Op::Equal { .. }
        | Op::NotEqual { .. }
        | Op::Identical { .. }
        | Op::LessJumpUnless { .. }
        | Op::LessEqualJumpUnless { .. }
        | Op::GreaterJumpUnless { .. }
        | Op::GreaterEqualJumpUnless { .. }
        | Op::EqualJumpUnless { .. }
        | Op::NotEqualJumpUnless { .. }
        | Op::LoadConstant { .. }
        | Op::LoadShared { .. }
        | Op::StoreShared { .. }
        | Op::Stub { .. }
        | Op::MultiplyTiny { .. }
        | Op::QuotientTiny { .. }
        | Op::ModuloTiny { .. }
        | Op::LessTinyJumpUnless { .. }
        | Op::LessEqualTinyJumpUnless { .. }
        | Op::GreaterTinyJumpUnless { .. }
        | Op::GreaterEqualTinyJumpUnless { .. }
        | Op::EqualTinyJumpUnless { .. }
        | Op::NotEqualTinyJumpUnless { .. }
        | Op::At { .. }
        | Op::AtPut { .. } => Flow::Next,
    }
}
