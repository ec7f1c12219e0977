//! Arithmetic and comparison: in place on integers and floats, else a send.
//!
//! Integers and integers, floats and floats are done in the handler itself; a mixed pair in a handler
//! apart, so that the common ones need few registers; all else goes through the send site.

use crate::interpret::*;

// The send of an arithmetic instruction, or of `at`: arguments above the window, the answer to `dst`.
handler!(apart operate_slow(pc, base, vm, insn, fp, caches) {
    let (left, right) = (*base.add(b!(insn)), *base.add(c!(insn)));
    let cache = (*caches.add((*pc & 0xffff) as usize)).as_ptr();
    if (*cache).class != (*vm).class_of(left).0 {
        slow!(operate_in_full, pc, base, vm, insn, fp, caches)
    }
    if (*cache).hit == Hit::Code {
        let window = window_above(fp);
        *window = left;
        *window.add(1) = right;
        let code = (*cache).target as *const LinkedCode;
        activate!(operate_in_full, pc, pc.add(1), window, base.add(a!(insn)), vm, insn, fp, caches, base, code)
    }
    if (*cache).hit == Hit::Identical && (*vm).tells_identity(left, right) {
        let fuel = (*vm).run.fuel - 1;
        if fuel < 0 {
            slow!(operate_in_full, pc, base, vm, insn, fp, caches)
        }
        (*vm).run.fuel = fuel;
        *base.add(a!(insn)) = Value::boolean(left == right);
        next!(pc.add(1), base, vm, fp, caches)
    }
    if is_primitive((*cache).hit) {
        slow!(operate_primitive, pc, base, vm, insn, fp, caches)
    }
    slow!(operate_in_full, pc, base, vm, insn, fp, caches)
});

handler!(apart operate_primitive(pc, base, vm, insn, fp, caches) {
    let window = window_above(fp);
    // A primitive may use more of the stack than it was given.
    if window.add(8) > (*vm).run.stack.high_water {
        slow!(operate_in_full, pc, base, vm, insn, fp, caches)
    }
    *window = *base.add(b!(insn));
    *window.add(1) = *base.add(c!(insn));
    let method = (*(*caches.add((*pc & 0xffff) as usize)).as_ptr()).target as *const LinkedMethod;
    (*vm).run.pc = pc.add(1);
    (*vm).run.base = base;
    (*vm).run.frame = fp;
    (*vm).run.scratch_top = window.add(2);
    match run_primitive(vm, method, window) {
        Some(answer) => {
            *base.add(a!(insn)) = answer;
            next!(pc.add(1), base, vm, fp, caches)
        }
        None => slow!(operate_stopped, pc, base, vm, insn, fp, caches),
    }
});

handler!(cold operate_stopped(pc, base, vm, insn, fp, caches) {
    publish!(pc.add(1), base, vm, fp, {
        let stop = (*vm).run.pending_stop;
        (*vm).settle(Err(stop), base.add(a!(insn)), window_above(fp))
    })
});

handler!(cold operate_in_full(pc, base, vm, insn, fp, caches) {
    let site = (*pc & 0xffff) as usize;
    let window = window_above(fp);
    *window = *base.add(b!(insn));
    *window.add(1) = *base.add(c!(insn));
    publish!(pc.add(1), base, vm, fp, (*vm).send_at_site(window, base.add(a!(insn)), site))
});

/// Whether a hit is one of a primitive that `target` points to.
fn is_primitive(hit: Hit) -> bool {
    match hit {
        Hit::Primitive | Hit::ArrayAt | Hit::ArrayAtPut | Hit::ArraySize => true,
        Hit::ListAt | Hit::ListAtPut | Hit::ListAdd | Hit::StringAt => true,
        Hit::Empty | Hit::Code | Hit::Getter | Hit::Constant | Hit::BlockValue | Hit::TwinCode | Hit::New => false,
        Hit::Near => false,
        Hit::Itself | Hit::Slot | Hit::Literal | Hit::Store | Hit::StoreAnswer | Hit::Identical => false,
    }
}

// The same where the right operand stands in the instruction.
handler!(cold operate_tiny_slow(pc, base, vm, insn, fp, caches) {
    let site = (*pc & 0xffff) as usize;
    let window = window_above(fp);
    *window = *base.add(b!(insn));
    *window.add(1) = Value::from_bits((tiny!(insn) as u64) << 1);
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
pub(super) fn checked(bits: Option<i64>) -> Option<Value> {
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
    (
        $name:ident,
        |$left:ident, $right:ident| $integers:expr,
        |$x:ident, $y:ident| $floats:expr
    ) => {
        handler!($name(pc, base, vm, insn, fp, caches) {
            let ($left, $right) = (*base.add(b!(insn)), tiny!(insn));
            if $left.is_integer() {
                let result: Option<Value> = $integers;
                if let Some(result) = result {
                    *base.add(a!(insn)) = result;
                    next!(pc.add(1), base, vm, fp, caches)
                }
            } else if $left.is_float() {
                let ($x, $y) = ($left.float_unchecked(), $right as f64);
                let result: Option<f64> = $floats;
                if let Some(result) = result.and_then(Value::float) {
                    *base.add(a!(insn)) = result;
                    next!(pc.add(1), base, vm, fp, caches)
                }
            }
            slow!(operate_tiny_slow, pc, base, vm, insn, fp, caches)
        });
    };
}

arithmetic_tiny!(add_tiny, |left, right| checked((left.bits() as i64).checked_add(right << 1)), |x, y| Some(x + y));
arithmetic_tiny!(subtract_tiny, |left, right| checked((left.bits() as i64).checked_sub(right << 1)), |x, y| Some(
    x - y
));
arithmetic_tiny!(multiply_tiny, |left, right| checked((left.bits() as i64).checked_mul(right)), |x, y| Some(x * y));
arithmetic_tiny!(quotient_tiny, |left, right| floor_quotient(left.integer_unchecked(), right), |_x, _y| None);
arithmetic_tiny!(modulo_tiny, |left, right| floor_modulo(left.integer_unchecked(), right), |_x, _y| None);

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

macro_rules! comparison_tiny {
    ($fused:ident, $operator:tt) => {
        handler!($fused(pc, base, vm, insn, fp, caches) {
            let left = *base.add(b!(insn));
            let answer = if left.is_integer() {
                (left.bits() as i64) $operator tiny!(insn) << 1
            } else if left.is_float() {
                left.float_unchecked() $operator tiny!(insn) as f64
            } else {
                slow!(operate_tiny_slow, pc, base, vm, insn, fp, caches)
            };
            // The words: this one's second, then the two of `jump_unless`.
            let after = pc.add(3);
            if answer {
                next!(after, base, vm, fp, caches)
            }
            keep_branch!();
            next!(after.offset(sbx!(*pc.add(1))), base, vm, fp, caches)
        });
    };
}

comparison_tiny!(less_tiny_jump_unless, <);
comparison_tiny!(less_equal_tiny_jump_unless, <=);
comparison_tiny!(greater_tiny_jump_unless, >);
comparison_tiny!(greater_equal_tiny_jump_unless, >=);
comparison_tiny!(equal_tiny_jump_unless, ==);
comparison_tiny!(not_equal_tiny_jump_unless, !=);
