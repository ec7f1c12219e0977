//! Each operand by its type: inside its table.

use std::fmt;

use super::{Broken, Rule, broken};
use crate::op::Op;
use crate::operand;

/// How large the tables are that the operands of one code point into.
pub(super) struct Limits {
    pub(super) registers: usize,
    pub(super) literals: usize,
    pub(super) sites: usize,
    pub(super) slots: usize,
    pub(super) globals: usize,
    pub(super) variables: usize,
    pub(super) codes: usize,
}

/// What an operand may be, whatever instruction it belongs to.
trait InRange: fmt::Display + Copy {
    fn check(self, limits: &Limits) -> Result<(), Broken>;
}

macro_rules! in_range {
    ($($type:ident below $limit:ident else $rule:ident;)*; $($free:ident)*) => {
        $(impl InRange for operand::$type {
            fn check(self, limits: &Limits) -> Result<(), Broken> {
                if usize::from(self.0) >= limits.$limit {
                    return broken(
                        Rule::$rule,
                        format!("{self}, with {} {}", limits.$limit, stringify!($limit)),
                    );
                }
                Ok(())
            }
        })*
        // Plain numbers, and jumps, which the pass over jumps checks.
        $(impl InRange for operand::$free {
            fn check(self, _: &Limits) -> Result<(), Broken> {
                Ok(())
            }
        })*
    };
}

in_range! {
    Reg below registers else RegisterRange;
    Literal below literals else TableRange;
    Site below sites else TableRange;
    Slot below slots else TableRange;
    Global below globals else TableRange;
    Variable below variables else TableRange;
    CodeIndex below codes else TableRange;
    ; Count Small Tiny Jump16 Jump24 Fallback
}

macro_rules! define_check_operands {
    ($($(#[$doc:meta])* $name:ident = $variant:ident { $($field:ident: $type:ident),* };)*) => {
        /// Checks every operand of `op` by its type.
        pub(super) fn check_operands(op: &Op, limits: &Limits) -> Result<(), Broken> {
            match *op {
                $(Op::$variant { $($field),* } => {
                    $(operand::$type::check($field, limits)?;)*
                    #[allow(clippy::needless_return, unreachable_code, reason = "rows are alike")]
                    return Ok(());
                })*
            }
        }
    };
}

crate::for_each_instruction!(define_check_operands);
