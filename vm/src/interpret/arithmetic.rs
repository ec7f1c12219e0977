//! Arithmetic and comparison: in place on integers and floats, else a send.
//!
//! Integers and integers, floats and floats are done in the handler itself; a mixed pair in a handler
//! apart, so that the common ones need few registers; all else goes through the send site.

use crate::interpret::*;

// The send of an arithmetic instruction: arguments above the window, the answer to `dst`.
handler!(cold operate_slow(pc, base, vm, insn, fp, caches) {
    let site = (*pc & 0xffff) as usize;
    let window = window_above(fp);
    *window = *base.add(b!(insn));
    *window.add(1) = *base.add(c!(insn));
    publish!(pc.add(1), base, vm, fp, (*vm).send_at_site(window, base.add(a!(insn)), site))
});

// The same where the right operand stands in the instruction.
handler!(cold operate_tiny_slow(pc, base, vm, insn, fp, caches) {
    let site = (*pc & 0xffff) as usize;
    let window = window_above(fp);
    *window = *base.add(b!(insn));
    *window.add(1) = Value::from_bits((i64::from((insn >> 24) as i8) as u64) << 1);
    publish!(pc.add(1), base, vm, fp, (*vm).send_at_site(window, base.add(a!(insn)), site))
});

macro_rules! arithmetic {
    (
        $name:ident,
        $mixed:ident,
        |$left:ident, $right:ident| $integers:expr,
        |$x:ident, $y:ident| $floats:expr
    ) => {
        handler!($name(pc, base, vm, insn, fp, caches) {
            let ($left, $right) = (*base.add(b!(insn)), *base.add(c!(insn)));
            if $left.are_integers($right) {
                let result: Option<Value> = $integers;
                if let Some(result) = result {
                    *base.add(a!(insn)) = result;
                    next!(pc.add(1), base, vm, fp, caches)
                }
                slow!(operate_slow, pc, base, vm, insn, fp, caches)
            }
            if $left.are_floats($right) {
                let ($x, $y) = ($left.float_unchecked(), $right.float_unchecked());
                let result: Option<f64> = $floats;
                if let Some(result) = result.and_then(Value::float) {
                    *base.add(a!(insn)) = result;
                    next!(pc.add(1), base, vm, fp, caches)
                }
            }
            slow!($mixed, pc, base, vm, insn, fp, caches)
        });

        handler!(apart $mixed(pc, base, vm, insn, fp, caches) {
            let (left, right) = (*base.add(b!(insn)), *base.add(c!(insn)));
            if let Some(($x, $y)) = floats(left, right) {
                let result: Option<f64> = $floats;
                if let Some(result) = result.and_then(Value::float) {
                    *base.add(a!(insn)) = result;
                    next!(pc.add(1), base, vm, fp, caches)
                }
            }
            slow!(operate_slow, pc, base, vm, insn, fp, caches)
        });
    };
}

/// Tagged integers are twice their value, so sums overflow exactly when they pass 63 bits.
fn checked(bits: Option<i64>) -> Option<Value> {
    bits.map(|bits| Value::from_bits(bits as u64))
}

arithmetic!(add, add_mixed, |left, right| checked((left.bits() as i64).checked_add(right.bits() as i64)), |x, y| Some(
    x + y
));
arithmetic!(
    subtract,
    subtract_mixed,
    |left, right| checked((left.bits() as i64).checked_sub(right.bits() as i64)),
    |x, y| Some(x - y)
);
arithmetic!(
    multiply,
    multiply_mixed,
    |left, right| checked((left.bits() as i64).checked_mul(right.integer_unchecked())),
    |x, y| Some(x * y)
);
arithmetic!(
    divide,
    divide_mixed,
    |left, right| exact_quotient(left.integer_unchecked(), right.integer_unchecked()),
    |x, y| (y != 0.0).then_some(x / y)
);
arithmetic!(
    quotient,
    quotient_mixed,
    |left, right| floor_quotient(left.integer_unchecked(), right.integer_unchecked()),
    |_x, _y| None
);
arithmetic!(
    modulo,
    modulo_mixed,
    |left, right| floor_modulo(left.integer_unchecked(), right.integer_unchecked()),
    |_x, _y| None
);

fn exact_quotient(left: i64, right: i64) -> Option<Value> {
    if right == 0 || left % right != 0 { None } else { Value::integer(left / right) }
}

fn floor_quotient(left: i64, right: i64) -> Option<Value> {
    if right == 0 {
        return None;
    }
    let quotient = left / right;
    let rounds_up = left % right != 0 && (left < 0) != (right < 0);
    Value::integer(quotient - i64::from(rounds_up))
}

fn floor_modulo(left: i64, right: i64) -> Option<Value> {
    if right == 0 {
        return None;
    }
    let rest = left % right;
    let wrong_sign = rest != 0 && (rest < 0) != (right < 0);
    Value::integer(if wrong_sign { rest + right } else { rest })
}

macro_rules! arithmetic_tiny {
    ($name:ident, $checked:ident, |$x:ident, $y:ident| $floats:expr) => {
        handler!($name(pc, base, vm, insn, fp, caches) {
            let left = *base.add(b!(insn));
            let right = i64::from((insn >> 24) as i8);
            if left.is_integer() {
                if let Some(bits) = (left.bits() as i64).$checked(right << 1) {
                    *base.add(a!(insn)) = Value::from_bits(bits as u64);
                    next!(pc.add(1), base, vm, fp, caches)
                }
            } else if left.is_float() {
                let ($x, $y) = (left.float_unchecked(), right as f64);
                if let Some(result) = Value::float($floats) {
                    *base.add(a!(insn)) = result;
                    next!(pc.add(1), base, vm, fp, caches)
                }
            }
            slow!(operate_tiny_slow, pc, base, vm, insn, fp, caches)
        });
    };
}

arithmetic_tiny!(add_tiny, checked_add, |x, y| x + y);
arithmetic_tiny!(subtract_tiny, checked_sub, |x, y| x - y);

macro_rules! comparison {
    ($name:ident, $mixed:ident, $fused:ident, $fused_mixed:ident, $operator:tt) => {
        handler!($name(pc, base, vm, insn, fp, caches) {
            let (left, right) = (*base.add(b!(insn)), *base.add(c!(insn)));
            let answer = if left.are_integers(right) {
                (left.bits() as i64) $operator (right.bits() as i64)
            } else if left.are_floats(right) {
                left.float_unchecked() $operator right.float_unchecked()
            } else {
                slow!($mixed, pc, base, vm, insn, fp, caches)
            };
            *base.add(a!(insn)) = Value::boolean(answer);
            next!(pc.add(1), base, vm, fp, caches)
        });

        handler!(apart $mixed(pc, base, vm, insn, fp, caches) {
            let Some((x, y)) = floats(*base.add(b!(insn)), *base.add(c!(insn))) else {
                slow!(operate_slow, pc, base, vm, insn, fp, caches)
            };
            *base.add(a!(insn)) = Value::boolean(x $operator y);
            next!(pc.add(1), base, vm, fp, caches)
        });

        handler!($fused(pc, base, vm, insn, fp, caches) {
            let (left, right) = (*base.add(b!(insn)), *base.add(c!(insn)));
            let answer = if left.are_integers(right) {
                (left.bits() as i64) $operator (right.bits() as i64)
            } else if left.are_floats(right) {
                left.float_unchecked() $operator right.float_unchecked()
            } else {
                slow!($fused_mixed, pc, base, vm, insn, fp, caches)
            };
            // The words: this one's second, then the two of `jump_unless`.
            let after = pc.add(3);
            if answer {
                next!(after, base, vm, fp, caches)
            }
            keep_branch!();
            next!(after.offset(sbx!(*pc.add(1))), base, vm, fp, caches)
        });

        handler!(apart $fused_mixed(pc, base, vm, insn, fp, caches) {
            let Some((x, y)) = floats(*base.add(b!(insn)), *base.add(c!(insn))) else {
                slow!(operate_slow, pc, base, vm, insn, fp, caches)
            };
            let after = pc.add(3);
            if x $operator y {
                next!(after, base, vm, fp, caches)
            }
            keep_branch!();
            next!(after.offset(sbx!(*pc.add(1))), base, vm, fp, caches)
        });
    };
}

/// Both as floats, if one is a float and the other a number in place.
///
/// Not an integer past 2^53, which has no exact float: the kernel knows what to do with those.
#[inline(always)]
fn floats(left: Value, right: Value) -> Option<(f64, f64)> {
    Some((as_exact_float(left)?, as_exact_float(right)?))
}

#[inline(always)]
fn as_exact_float(value: Value) -> Option<f64> {
    if value.is_float() {
        return Some(value.float_unchecked());
    }
    let number = value.as_integer()?;
    (-(1 << 53) < number && number < 1 << 53).then_some(number as f64)
}

comparison!(less, less_mixed, less_jump_unless, less_jump_unless_mixed, <);
comparison!(less_equal, less_equal_mixed, less_equal_jump_unless, less_equal_jump_unless_mixed, <=);
comparison!(greater, greater_mixed, greater_jump_unless, greater_jump_unless_mixed, >);
comparison!(greater_equal, greater_equal_mixed, greater_equal_jump_unless, greater_equal_jump_unless_mixed, >=);
comparison!(equal, equal_mixed, equal_jump_unless, equal_jump_unless_mixed, ==);
comparison!(not_equal, not_equal_mixed, not_equal_jump_unless, not_equal_jump_unless_mixed, !=);
