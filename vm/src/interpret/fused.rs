//! Superinstructions: two or three instructions that often follow each other, done by one handler.
//!
//! Linking gives the first of them the number of a superinstruction ([`crate::link::fuse`]); all their words stay as they are. So
//! a jump to the second finds it, a handler that meets something uncommon goes on with the plain handler of the first or the second,
//! and a profile, which looks at instructions one by one, does the first alone. Which pairs are worth one was read from
//! counts over the published programs (`twintalk profile`); numbers of superinstructions mean nothing outside a VM.
//!
//! Between two operations on floats the value stays decoded: the way through memory and back costs more than the operation.

use twintalk_bytecode::op::Opcode;

use crate::interpret::*;

/// The number of the first superinstruction; those of instructions are below it.
pub(crate) const FIRST: u8 = 128;

const _: () = assert!(Opcode::ALL.len() <= FIRST as usize);

/// What must hold for two instructions besides their kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Nothing.
    Always,
    /// The left operand of the second is what the first writes, and its right operand is not.
    Left,
    /// The right operand of the second is what the first writes, and its left operand is not.
    Right,
    /// The second jumps back to a `less_equal_jump_unless`.
    Counts,
    /// The left operand of each part with one of these numbers is what the part before it writes, and its right operand is not.
    Chain { from: usize, to: usize },
    /// The third compares what the first writes with what the second does.
    Limit,
}

/// A superinstruction.
pub(crate) struct Fused {
    /// The instructions that it does.
    pub(crate) parts: &'static [Opcode],
    /// What else must hold.
    pub(crate) when: When,
}

macro_rules! superinstructions {
    ($($name:ident = $($part:ident)+, $when:ident $({$from:literal..$to:literal})?;)*) => {
        /// All superinstructions: the number of each is [`FIRST`] and its place here. Of two that begin alike the first
        /// that fits is taken.
        pub(crate) const FUSED: &[Fused] = &[$(
            Fused { parts: &[$(Opcode::$part),+], when: When::$when $({ from: $from, to: $to })? },
        )*];

        /// The table of handlers with those of superinstructions.
        pub(super) const fn with_fused(mut table: [Handler; 256]) -> [Handler; 256] {
            let mut number = FIRST as usize;
            $(
                table[number] = $name;
                number += 1;
            )*
            assert!(number <= 256);
            table
        }
    };
}

superinstructions! {
    load_literal_multiply_multiply_add = LoadLiteral Multiply Multiply Add, Chain {2..4};
    load_literal_multiply_multiply_subtract = LoadLiteral Multiply Multiply Subtract, Chain {2..4};
    multiply_multiply_add = Multiply Multiply Add, Chain {1..3};
    multiply_multiply_subtract = Multiply Multiply Subtract, Chain {1..3};
    add_less_than_literal = Add LoadLiteral LessJumpUnless, Limit;
    add_less_equal_literal = Add LoadLiteral LessEqualJumpUnless, Limit;
    add_greater_than_literal = Add LoadLiteral GreaterJumpUnless, Limit;
    add_greater_equal_literal = Add LoadLiteral GreaterEqualJumpUnless, Limit;
    copy_copy_send = Copy Copy Send, Always;
    copy_send = Copy Send, Always;
    copy_copy = Copy Copy, Always;
    load_slot_send = LoadSlot Send, Always;
    load_literal_send = LoadLiteral Send, Always;
    load_integer_send = LoadInteger Send, Always;
    load_slot_at = LoadSlot At, Always;
    load_slot_add = LoadSlot Add, Always;
    load_slot_subtract = LoadSlot Subtract, Always;
    load_slot_multiply = LoadSlot Multiply, Always;
    load_slot_add_tiny = LoadSlot AddTiny, Always;
    load_slot_load_slot = LoadSlot LoadSlot, Always;
    load_literal_add = LoadLiteral Add, Always;
    load_literal_subtract = LoadLiteral Subtract, Always;
    load_literal_multiply = LoadLiteral Multiply, Always;
    load_literal_less_equal = LoadLiteral LessEqualJumpUnless, Always;
    load_literal_equal = LoadLiteral EqualJumpUnless, Always;
    add_tiny_counts = AddTiny JumpBack, Counts;
    add_counts = Add JumpBack, Counts;
    add_tiny_jump_back = AddTiny JumpBack, Always;
    add_tiny_store_slot = AddTiny StoreSlot, Always;
    add_store_slot = Add StoreSlot, Always;
    subtract_store_slot = Subtract StoreSlot, Always;
    store_slot_load_slot = StoreSlot LoadSlot, Always;
    store_slot_answer_self = StoreSlot AnswerSelf, Always;
    load_slot_answer = LoadSlot Answer, Always;
    add_add_left = Add Add, Left;
    add_add_right = Add Add, Right;
    add_subtract_left = Add Subtract, Left;
    add_subtract_right = Add Subtract, Right;
    add_multiply_left = Add Multiply, Left;
    add_multiply_right = Add Multiply, Right;
    subtract_add_left = Subtract Add, Left;
    subtract_add_right = Subtract Add, Right;
    subtract_subtract_left = Subtract Subtract, Left;
    subtract_subtract_right = Subtract Subtract, Right;
    subtract_multiply_left = Subtract Multiply, Left;
    subtract_multiply_right = Subtract Multiply, Right;
    multiply_add_left = Multiply Add, Left;
    multiply_add_right = Multiply Add, Right;
    multiply_subtract_left = Multiply Subtract, Left;
    multiply_subtract_right = Multiply Subtract, Right;
    multiply_multiply_left = Multiply Multiply, Left;
    multiply_multiply_right = Multiply Multiply, Right;
}

// ---- one, then the other ----

macro_rules! do_copy {
    ($base:expr, $insn:expr, $vm:expr, $fp:expr) => {
        *$base.add(a!($insn)) = *$base.add(b!($insn))
    };
}
macro_rules! do_load_slot {
    ($base:expr, $insn:expr, $vm:expr, $fp:expr) => {
        let dst = early!(a!($insn));
        *$base.add(dst) = (*$vm).heap.slot(*$base, bx!($insn));
    };
}
macro_rules! do_load_literal {
    ($base:expr, $insn:expr, $vm:expr, $fp:expr) => {
        let dst = early!(a!($insn));
        *$base.add(dst) = *(*(*$fp).code).literals.as_ptr().add(bx!($insn));
    };
}
macro_rules! do_load_integer {
    ($base:expr, $insn:expr, $vm:expr, $fp:expr) => {
        *$base.add(a!($insn)) = Value::from_bits((sbx!($insn) as u64) << 1)
    };
}

/// An instruction of one word that cannot fail, and then another.
macro_rules! then {
    ($name:ident, $($first:ident)+, $second:ident) => {
        handler!($name(pc, base, vm, insn, fp, caches) {
            then!(@ pc, base, vm, insn, fp, caches, $($first)+, $second)
        });
    };
    (@ $pc:expr, $base:expr, $vm:expr, $insn:expr, $fp:expr, $caches:expr, $first:ident $($more:ident)+, $second:ident) => {{
        $first!($base, $insn, $vm, $fp);
        let pc = $pc;
        let insn = *pc;
        then!(@ pc.add(1), $base, $vm, insn, $fp, $caches, $($more)+, $second)
    }};
    (@ $pc:expr, $base:expr, $vm:expr, $insn:expr, $fp:expr, $caches:expr, $first:ident, $second:ident) => {{
        $first!($base, $insn, $vm, $fp);
        let pc = $pc;
        let insn = *pc;
        slow!($second, pc.add(1), $base, $vm, insn, $fp, $caches)
    }};
}

then!(copy_copy_send, do_copy do_copy, send);
then!(copy_send, do_copy, send);
then!(copy_copy, do_copy, copy);
then!(load_slot_send, do_load_slot, send);
then!(load_literal_send, do_load_literal, send);
then!(load_integer_send, do_load_integer, send);
then!(load_slot_at, do_load_slot, at);
then!(load_slot_add, do_load_slot, add);
then!(load_slot_subtract, do_load_slot, subtract);
then!(load_slot_multiply, do_load_slot, multiply);
then!(load_slot_add_tiny, do_load_slot, add_tiny);
then!(load_slot_load_slot, do_load_slot, load_slot);
then!(load_slot_answer, do_load_slot, answer);
then!(load_literal_add, do_load_literal, add);
then!(load_literal_multiply_multiply_add, do_load_literal, multiply_multiply_add);
then!(load_literal_multiply_multiply_subtract, do_load_literal, multiply_multiply_subtract);
then!(load_literal_subtract, do_load_literal, subtract);
then!(load_literal_multiply, do_load_literal, multiply);
then!(load_literal_less_equal, do_load_literal, less_equal_jump_unless);
then!(load_literal_equal, do_load_literal, equal_jump_unless);

/// `store_slot`, and then another.
macro_rules! store_then {
    ($name:ident, $second:ident) => {
        handler!($name(pc, base, vm, insn, fp, caches) {
            let object = *base;
            if (*vm).heap.has_flags(object, heap::GUARDED) {
                slow!(store_slot, pc, base, vm, insn, fp, caches)
            }
            let value = *base.add(early!(a!(insn)));
            (*vm).heap.init_slot(object, bx!(insn), value);
            let insn = *pc;
            slow!($second, pc.add(1), base, vm, insn, fp, caches)
        });
    };
}

store_then!(store_slot_load_slot, load_slot);
store_then!(store_slot_answer_self, answer_self);

/// Arithmetic whose result may go into a slot of `self`; `$plain` does all that is not done in place.
macro_rules! operate_store {
    ($name:ident, $plain:ident, $right:ident, |$left_value:ident, $right_value:ident| $integers:expr, |$x:ident, $y:ident| $floats:expr) => {
        handler!($name(pc, base, vm, insn, fp, caches) {
            let ($left_value, $right_value) = (*base.add(b!(insn)), $right!(base, insn));
            let result: Option<Value> = if $left_value.are_integers($right_value) {
                $integers
            } else if $left_value.are_floats($right_value) {
                let ($x, $y) = ($left_value.float_unchecked(), $right_value.float_unchecked());
                Value::float($floats)
            } else {
                None
            };
            let object = *base;
            let Some(result) = result else { slow!($plain, pc, base, vm, insn, fp, caches) };
            if (*vm).heap.has_flags(object, heap::GUARDED) {
                slow!($plain, pc, base, vm, insn, fp, caches)
            }
            *base.add(a!(insn)) = result;
            let store = *pc.add(1);
            (*vm).heap.init_slot(object, bx!(store), *base.add(a!(store)));
            next!(pc.add(2), base, vm, fp, caches)
        });
    };
}

macro_rules! right_register {
    ($base:expr, $insn:expr) => {
        *$base.add(c!($insn))
    };
}
macro_rules! right_tiny {
    ($base:expr, $insn:expr) => {
        Value::from_bits((tiny!($insn) as u64) << 1)
    };
}

operate_store!(
    add_store_slot,
    add,
    right_register,
    |left, right| checked((left.bits() as i64).checked_add(right.bits() as i64)),
    |x, y| x + y
);
operate_store!(
    subtract_store_slot,
    subtract,
    right_register,
    |left, right| checked((left.bits() as i64).checked_sub(right.bits() as i64)),
    |x, y| x - y
);
operate_store!(
    add_tiny_store_slot,
    add_tiny,
    right_tiny,
    |left, right| checked((left.bits() as i64).checked_add(right.bits() as i64)),
    |x, y| x + y
);

// ---- ends of loops ----

/// Adds to the counter and pays for the round; `$plain` does what is not done in place.
macro_rules! count {
    ($plain:ident, $right:ident, $pc:expr, $base:expr, $vm:expr, $insn:expr, $fp:expr, $caches:expr) => {
        let (left, right) = (*$base.add(b!($insn)), $right!($base, $insn));
        if !left.are_integers(right) {
            slow!($plain, $pc, $base, $vm, $insn, $fp, $caches)
        }
        let Some(sum) = checked((left.bits() as i64).checked_add(right.bits() as i64)) else {
            slow!($plain, $pc, $base, $vm, $insn, $fp, $caches)
        };
        let fuel = (*$vm).run.fuel - 1;
        if fuel < 0 {
            slow!($plain, $pc, $base, $vm, $insn, $fp, $caches)
        }
        *$base.add(a!($insn)) = sum;
        (*$vm).run.fuel = fuel;
    };
}

// The end of a round.
handler!(add_tiny_jump_back(pc, base, vm, insn, fp, caches) {
    count!(add_tiny, right_tiny, pc, base, vm, insn, fp, caches);
    let back = *pc.add(1);
    next!(pc.add(2).offset((back as i32 >> 8) as isize), base, vm, fp, caches)
});

/// The end of a round, and the comparison at the head of the next.
macro_rules! counts {
    ($name:ident, $plain:ident, $right:ident) => {
        handler!($name(pc, base, vm, insn, fp, caches) {
            count!($plain, $right, pc, base, vm, insn, fp, caches);
            let back = *pc.add(1);
            let head = pc.add(2).offset((back as i32 >> 8) as isize);
            let compare = *head;
            let (left, right) = (*base.add(b!(compare)), *base.add(c!(compare)));
            if !left.are_integers(right) {
                slow!(less_equal_jump_unless, head.add(1), base, vm, compare, fp, caches)
            }
            // The words: the two of the comparison, then the two of `jump_unless`.
            let after = head.add(4);
            if (left.bits() as i64) <= (right.bits() as i64) {
                next!(after, base, vm, fp, caches)
            }
            keep_branch!();
            next!(after.offset(sbx!(*head.add(2))), base, vm, fp, caches)
        });
    };
}

counts!(add_tiny_counts, add_tiny, right_tiny);
counts!(add_counts, add, right_register);

// ---- two operations ----

macro_rules! integers_of {
    (add, $left:expr, $right:expr) => {
        ($left.bits() as i64).checked_add($right.bits() as i64)
    };
    (subtract, $left:expr, $right:expr) => {
        ($left.bits() as i64).checked_sub($right.bits() as i64)
    };
    (multiply, $left:expr, $right:expr) => {
        ($left.bits() as i64).checked_mul($right.integer_unchecked())
    };
}
macro_rules! floats_of {
    (add, $left:expr, $right:expr) => {
        $left + $right
    };
    (subtract, $left:expr, $right:expr) => {
        $left - $right
    };
    (multiply, $left:expr, $right:expr) => {
        $left * $right
    };
}
/// The operands of the second operation in their order, and which byte names the one that the first does not write.
macro_rules! in_order {
    (left, $operate:ident, $second:ident, $result:expr, $other:expr) => {
        $operate!($second, $result, $other)
    };
    (right, $operate:ident, $second:ident, $result:expr, $other:expr) => {
        $operate!($second, $other, $result)
    };
}
macro_rules! other_byte {
    (left, $insn:expr) => {
        c!($insn)
    };
    (right, $insn:expr) => {
        b!($insn)
    };
}

/// Both operations where all three operands are floats, or all integers, and both results are in place; else the first
/// alone, or the first and then the plain second.
macro_rules! two {
    ($name:ident, $integers:ident, $first:ident, $second:ident, $side:ident) => {
        handler!($name(pc, base, vm, insn, fp, caches) {
            let (left, right) = (*base.add(b!(insn)), *base.add(c!(insn)));
            if !left.are_floats(right) {
                slow!($integers, pc, base, vm, insn, fp, caches)
            }
            let result = floats_of!($first, left.float_unchecked(), right.float_unchecked());
            let Some(between) = Value::float(result) else {
                slow!($first, pc, base, vm, insn, fp, caches)
            };
            *base.add(a!(insn)) = between;
            let insn = *pc.add(1);
            let other = *base.add(other_byte!($side, insn));
            if !other.is_float() {
                slow!($second, pc.add(2), base, vm, insn, fp, caches)
            }
            let result = in_order!($side, floats_of, $second, result, other.float_unchecked());
            let Some(result) = Value::float(result) else {
                slow!($second, pc.add(2), base, vm, insn, fp, caches)
            };
            *base.add(a!(insn)) = result;
            next!(pc.add(3), base, vm, fp, caches)
        });

        handler!(apart $integers(pc, base, vm, insn, fp, caches) {
            let (left, right) = (*base.add(b!(insn)), *base.add(c!(insn)));
            if !left.are_integers(right) {
                slow!($first, pc, base, vm, insn, fp, caches)
            }
            let Some(between) = checked(integers_of!($first, left, right)) else {
                slow!($first, pc, base, vm, insn, fp, caches)
            };
            *base.add(a!(insn)) = between;
            let insn = *pc.add(1);
            let other = *base.add(other_byte!($side, insn));
            if !other.is_integer() {
                slow!($second, pc.add(2), base, vm, insn, fp, caches)
            }
            let Some(result) = checked(in_order!($side, integers_of, $second, between, other)) else {
                slow!($second, pc.add(2), base, vm, insn, fp, caches)
            };
            *base.add(a!(insn)) = result;
            next!(pc.add(3), base, vm, fp, caches)
        });
    };
}

two!(add_add_left, add_add_left_integers, add, add, left);
two!(add_add_right, add_add_right_integers, add, add, right);
two!(add_subtract_left, add_subtract_left_integers, add, subtract, left);
two!(add_subtract_right, add_subtract_right_integers, add, subtract, right);
two!(add_multiply_left, add_multiply_left_integers, add, multiply, left);
two!(add_multiply_right, add_multiply_right_integers, add, multiply, right);
two!(subtract_add_left, subtract_add_left_integers, subtract, add, left);
two!(subtract_add_right, subtract_add_right_integers, subtract, add, right);
two!(subtract_subtract_left, subtract_subtract_left_integers, subtract, subtract, left);
two!(subtract_subtract_right, subtract_subtract_right_integers, subtract, subtract, right);
two!(subtract_multiply_left, subtract_multiply_left_integers, subtract, multiply, left);
two!(subtract_multiply_right, subtract_multiply_right_integers, subtract, multiply, right);
two!(multiply_add_left, multiply_add_left_integers, multiply, add, left);
two!(multiply_add_right, multiply_add_right_integers, multiply, add, right);
two!(multiply_subtract_left, multiply_subtract_left_integers, multiply, subtract, left);
two!(multiply_subtract_right, multiply_subtract_right_integers, multiply, subtract, right);
two!(multiply_multiply_left, multiply_multiply_left_integers, multiply, multiply, left);
two!(multiply_multiply_right, multiply_multiply_right_integers, multiply, multiply, right);

// ---- longer chains of floats ----

/// A product of three numbers and one operation more; integers go the way of the first two.
macro_rules! three {
    ($name:ident, $integers:ident, $last:ident) => {
        handler!($name(pc, base, vm, insn, fp, caches) {
            let (left, right) = (*base.add(b!(insn)), *base.add(c!(insn)));
            if !left.are_floats(right) {
                slow!($integers, pc, base, vm, insn, fp, caches)
            }
            let result = left.float_unchecked() * right.float_unchecked();
            let Some(between) = Value::float(result) else {
                slow!(multiply, pc, base, vm, insn, fp, caches)
            };
            *base.add(a!(insn)) = between;
            let insn = *pc.add(1);
            let other = *base.add(c!(insn));
            if !other.is_float() {
                slow!(multiply, pc.add(2), base, vm, insn, fp, caches)
            }
            let result = result * other.float_unchecked();
            let Some(between) = Value::float(result) else {
                slow!(multiply, pc.add(2), base, vm, insn, fp, caches)
            };
            *base.add(a!(insn)) = between;
            let insn = *pc.add(3);
            let other = *base.add(c!(insn));
            if !other.is_float() {
                slow!($last, pc.add(4), base, vm, insn, fp, caches)
            }
            let Some(result) = Value::float(floats_of!($last, result, other.float_unchecked())) else {
                slow!($last, pc.add(4), base, vm, insn, fp, caches)
            };
            *base.add(a!(insn)) = result;
            next!(pc.add(5), base, vm, fp, caches)
        });
    };
}

three!(multiply_multiply_add, multiply_multiply_left_integers, add);
three!(multiply_multiply_subtract, multiply_multiply_left_integers, subtract);

/// A sum compared with a literal, and the jump that follows.
macro_rules! limit {
    ($name:ident, $compare:ident, $operator:tt) => {
        handler!($name(pc, base, vm, insn, fp, caches) {
            let (left, right) = (*base.add(b!(insn)), *base.add(c!(insn)));
            if !left.are_floats(right) {
                slow!(add, pc, base, vm, insn, fp, caches)
            }
            let sum = left.float_unchecked() + right.float_unchecked();
            let Some(value) = Value::float(sum) else {
                slow!(add, pc, base, vm, insn, fp, caches)
            };
            *base.add(a!(insn)) = value;
            let insn = *pc.add(1);
            let literal = *(*(*fp).code).literals.as_ptr().add(bx!(insn));
            *base.add(a!(insn)) = literal;
            if !literal.is_float() {
                let compare = *pc.add(2);
                slow!($compare, pc.add(3), base, vm, compare, fp, caches)
            }
            // The words: the second of the sum, the literal, two of the comparison, two of `jump_unless`.
            let after = pc.add(6);
            if sum $operator literal.float_unchecked() {
                next!(after, base, vm, fp, caches)
            }
            keep_branch!();
            next!(after.offset(sbx!(*pc.add(4))), base, vm, fp, caches)
        });
    };
}

limit!(add_less_than_literal, less_jump_unless, <);
limit!(add_less_equal_literal, less_equal_jump_unless, <=);
limit!(add_greater_than_literal, greater_jump_unless, >);
limit!(add_greater_equal_literal, greater_equal_jump_unless, >=);
