//! The interpreter: one handler for each instruction, for both loops.
//!
//! A handler takes the state of the machine in six registers and ends by calling the handler of the
//! next instruction. In optimised builds for x86-64 that call is a jump, and each handler's own
//! indirect jump gives the branch predictor more to go by than one central jump; the state never
//! leaves the registers. Elsewhere (debug builds, Miri, other processors, the feature
//! `plain-loop`) the same handlers return to a plain loop after every instruction. Which one is
//! decided at build time ([`THREADED`]).
//!
//! The compiler turns the last call into a jump only if nothing of the handler outlives it: no
//! destructors, no address taken of a local. So handlers hold nothing but copies, and whatever is not
//! the common case is a `#[cold]` handler of its own, which publishes the state in [`Run`], calls
//! ordinary Rust, and returns to the loop that takes the state up again from there.
//!
//! **Safety of the whole file.** Codes were verified when their image was loaded: operands lie in
//! the window, the tables and the code; jumps land on instructions; cells are cells. Windows lie
//! below the high-water mark because activation checks it, and beyond it there is room for one more
//! window. Methods and codes live as long as the VM.

use twintalk_bytecode::for_each_instruction;
use twintalk_bytecode::op::Opcode;

use crate::class::*;
use crate::fault::ExceptionKind;
use crate::frame::Frame;
use crate::heap;
use crate::primitive::{Stop, Window};
use crate::turn::Mode;
use crate::value::Value;
use crate::vm::{Run, Vm, immediate_index, stub};

/// Whether handlers jump to each other.
pub const THREADED: bool =
    cfg!(all(target_arch = "x86_64", not(debug_assertions), not(miri), not(feature = "plain-loop")));

/// Why the handlers came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Exit {
    /// On with the next instruction: in the plain loop after each, else after an uncommon one.
    Next,
    /// The first frame's answer lies in its register 0.
    Done,
    /// The world is asked.
    Ask,
    /// The run is over with a fault.
    Fault,
}

macro_rules! handler_type {
    ($abi:literal) => {
        type Handler = unsafe extern $abi fn(*const u32, *mut Value, *mut Vm, u32, *mut Frame, *const Caches) -> Exit;
        macro_rules! handler {
            ($name:ident($pc:ident, $base:ident, $vm:ident, $insn:ident, $fp:ident, $caches:ident) $body:block) => {
                #[allow(unused_variables, reason = "all handlers have one signature")]
                pub(super) unsafe extern $abi fn $name(
                    $pc: *const u32,
                    $base: *mut Value,
                    $vm: *mut Vm,
                    $insn: u32,
                    $fp: *mut Frame,
                    $caches: *const Caches,
                ) -> Exit {
                    // SAFETY: see the head of the file.
                    unsafe { $body }
                }
            };
            (apart $name:ident($pc:ident, $base:ident, $vm:ident, $insn:ident, $fp:ident, $caches:ident) $body:block) => {
                #[inline(never)]
                #[allow(unused_variables, reason = "all handlers have one signature")]
                pub(super) unsafe extern $abi fn $name(
                    $pc: *const u32,
                    $base: *mut Value,
                    $vm: *mut Vm,
                    $insn: u32,
                    $fp: *mut Frame,
                    $caches: *const Caches,
                ) -> Exit {
                    // SAFETY: see the head of the file.
                    unsafe { $body }
                }
            };
            (cold $name:ident($pc:ident, $base:ident, $vm:ident, $insn:ident, $fp:ident, $caches:ident) $body:block) => {
                #[cold]
                #[inline(never)]
                #[allow(unused_variables, reason = "all handlers have one signature")]
                pub(super) unsafe extern $abi fn $name(
                    $pc: *const u32,
                    $base: *mut Value,
                    $vm: *mut Vm,
                    $insn: u32,
                    $fp: *mut Frame,
                    $caches: *const Caches,
                ) -> Exit {
                    // SAFETY: see the head of the file.
                    unsafe { $body }
                }
            };
        }
    };
}

// A panic of ours passes through handlers where it unwinds; where it aborts, a handler that could
// unwind would need a landing pad behind its last call, and that call would be no jump.
#[cfg(all(target_arch = "x86_64", panic = "unwind"))]
handler_type!("sysv64-unwind");
#[cfg(all(target_arch = "x86_64", not(panic = "unwind")))]
handler_type!("sysv64");
#[cfg(all(not(target_arch = "x86_64"), panic = "unwind"))]
handler_type!("C-unwind");
#[cfg(all(not(target_arch = "x86_64"), not(panic = "unwind")))]
handler_type!("C");

/// One cell of the caches beside a code.
type Caches = std::cell::Cell<Cache>;

/// On to the instruction at `$pc`.
macro_rules! next {
    ($pc:expr, $base:expr, $vm:expr, $fp:expr, $caches:expr) => {{
        let pc = $pc;
        if THREADED {
            let insn = *pc;
            return (*$vm).dispatch.handler(insn)(pc.add(1), $base, $vm, insn, $fp, $caches);
        }
        (*$vm).run.pc = pc;
        (*$vm).run.base = $base;
        (*$vm).run.frame = $fp;
        return Exit::Next;
    }};
}

/// Hands the instruction to a handler for the uncommon case.
macro_rules! slow {
    ($name:ident, $pc:expr, $base:expr, $vm:expr, $insn:expr, $fp:expr, $caches:expr) => {
        return $name($pc, $base, $vm, $insn, $fp, $caches)
    };
}

/// Publishes the state and runs `$work` (which answers [`Flow`]); then the loop in [`Vm::interpret`] goes on
/// where that left the state.
///
/// Not by a jump: whether the compiler makes one depends on what of `$work` it inlines here, and a call
/// in its place would leave a frame of the process at every turn of a loop.
macro_rules! publish {
    ($pc:expr, $base:expr, $vm:expr, $fp:expr, $work:expr) => {{
        (*$vm).run.pc = $pc;
        (*$vm).run.base = $base;
        (*$vm).run.frame = $fp;
        (*$vm).run.scratch_top = $base;
        match $work {
            Flow::Go => return Exit::Next,
            Flow::Exit(exit) => return exit,
        }
    }};
}

/// What the slow ways answer: go on from the published state, or leave.
pub(crate) enum Flow {
    Go,
    Exit(Exit),
}

macro_rules! table {
    ($($(#[$doc:meta])* $name:ident = $variant:ident { $($field:ident: $type:ident),* };)*) => {
        /// The handler of each instruction.
        static HANDLERS: [Handler; 256] = {
            let mut table = [unknown as Handler; 256];
            $(table[Opcode::$variant as usize] = $name as Handler;)*
            fused::with_fused(table)
        };
    };
}

for_each_instruction!(table);

/// The bytes of an instruction's first word after the opcode.
macro_rules! a {
    ($insn:expr) => {
        ($insn >> 8 & 0xff) as usize
    };
}
macro_rules! b {
    ($insn:expr) => {
        ($insn >> 16 & 0xff) as usize
    };
}
macro_rules! c {
    ($insn:expr) => {
        ($insn >> 24) as usize
    };
}
macro_rules! bx {
    ($insn:expr) => {
        ($insn >> 16) as usize
    };
}
macro_rules! sbx {
    ($insn:expr) => {
        ($insn as i32 >> 16) as isize
    };
}

/// The operand of one byte at the end of the word.
macro_rules! tiny {
    ($insn:expr) => {
        i64::from(($insn >> 24) as i8)
    };
}

handler!(unknown(pc, base, vm, insn, fp, caches) {
    panic!("verified code has no instruction {} (after {pc:p}, {:p})", insn & 0xff, (*fp).code)
});

/// Keeps the compiler from turning the branch into a conditional move of the program counter,
/// which would make the next fetch wait for the comparison.
macro_rules! keep_branch {
    () => {
        std::arch::asm!("", options(nomem, nostack, preserves_flags))
    };
}

/// A number of a register, worked out here and not later: it lies in a byte that only four registers of the processor can be asked
/// for, and where these are in use by then one is saved on the stack.
macro_rules! early {
    ($register:expr) => {{
        let mut register: usize = $register;
        std::arch::asm!("/* {0} */", inout(reg) register, options(nomem, nostack, preserves_flags));
        register
    }};
}

/// Opens a window and goes on in it, with its answer to `$answer`, unless a limit says no.
macro_rules! activate {
    ($slow:ident, $pc:expr, $after:expr, $window:expr, $answer:expr, $vm:expr, $insn:expr, $fp:expr, $caches:expr, $base:expr, $code:expr) => {{
        let code: *const LinkedCode = $code;
        let window: *mut Value = $window;
        let fuel = (*$vm).run.fuel - 1;
        if window.add((*code).register_count as usize) > (*$vm).run.stack.high_water
            || $fp >= (*$vm).run.stack.frame_limit
            || fuel < 0
        {
            slow!($slow, $pc, $base, $vm, $insn, $fp, $caches)
        }
        (*$vm).run.fuel = fuel;
        (*$fp).pc = $after;
        let fp = $fp.add(1);
        (*fp).base = window;
        (*fp).code = code;
        (*fp).answer = $answer;
        (*fp).serial = 0;
        (*fp).home_serial = 0;
        next!((*code).words.as_ptr(), window, $vm, fp, (*code).caches.as_ptr())
    }};
}

mod arithmetic;
pub(crate) mod fused;
mod index;
pub(crate) mod observe;
mod sends;

use arithmetic::*;
use index::*;
use sends::*;

// ---- moves ----

handler!(copy(pc, base, vm, insn, fp, caches) {
    *base.add(a!(insn)) = *base.add(b!(insn));
    next!(pc, base, vm, fp, caches)
});

handler!(load_nil(pc, base, vm, insn, fp, caches) {
    *base.add(a!(insn)) = Value::NIL;
    next!(pc, base, vm, fp, caches)
});

handler!(load_true(pc, base, vm, insn, fp, caches) {
    *base.add(a!(insn)) = Value::TRUE;
    next!(pc, base, vm, fp, caches)
});

handler!(load_false(pc, base, vm, insn, fp, caches) {
    *base.add(a!(insn)) = Value::FALSE;
    next!(pc, base, vm, fp, caches)
});

handler!(load_integer(pc, base, vm, insn, fp, caches) {
    *base.add(a!(insn)) = Value::from_bits((sbx!(insn) as u64) << 1);
    next!(pc, base, vm, fp, caches)
});

handler!(load_literal(pc, base, vm, insn, fp, caches) {
    let dst = early!(a!(insn));
    *base.add(dst) = *(*(*fp).code).literals.as_ptr().add(bx!(insn));
    next!(pc, base, vm, fp, caches)
});

handler!(load_global(pc, base, vm, insn, fp, caches) {
    slow!(load_unknown_global, pc, base, vm, insn, fp, caches)
});

handler!(cold load_unknown_global(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, (*vm).unknown_global(base.add(a!(insn)), bx!(insn)))
});

handler!(load_constant(pc, base, vm, insn, fp, caches) {
    *base.add(a!(insn)) = *(*vm).constants.as_ptr().add(bx!(insn));
    next!(pc, base, vm, fp, caches)
});

handler!(load_variable(pc, base, vm, insn, fp, caches) {
    if (*vm).run.turn.mode != Mode::Program {
        slow!(program_only, pc, base, vm, insn, fp, caches)
    }
    *base.add(a!(insn)) = *(*vm).variables.as_ptr().add(bx!(insn));
    next!(pc, base, vm, fp, caches)
});

handler!(store_variable(pc, base, vm, insn, fp, caches) {
    if (*vm).run.turn.mode != Mode::Program {
        slow!(program_only, pc, base, vm, insn, fp, caches)
    }
    *(*vm).variables.as_mut_ptr().add(bx!(insn)) = *base.add(a!(insn));
    next!(pc, base, vm, fp, caches)
});

handler!(load_shared(pc, base, vm, insn, fp, caches) {
    if (*vm).run.turn.mode != Mode::Program {
        slow!(program_only, pc, base, vm, insn, fp, caches)
    }
    *base.add(a!(insn)) = (*vm).heap.slot(*base, bx!(insn));
    next!(pc, base, vm, fp, caches)
});

handler!(store_shared(pc, base, vm, insn, fp, caches) {
    if (*vm).run.turn.mode != Mode::Program {
        slow!(program_only, pc, base, vm, insn, fp, caches)
    }
    (*vm).heap.init_slot(*base, bx!(insn), *base.add(a!(insn)));
    next!(pc, base, vm, fp, caches)
});

handler!(cold program_only(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, {
        let stop = (*vm).raise(
            ExceptionKind::ProgramOnly,
            "program variables and slots behind ---- belong to the program run: a turn of a twin cannot use them; keep it in a slot or pass it as an argument",
        );
        // What a store resumes with goes nowhere: its register may be `self`.
        let stores = [Opcode::StoreVariable as u8, Opcode::StoreShared as u8].contains(&(insn as u8));
        let answer = if stores { window_above(fp) } else { base.add(a!(insn)) };
        (*vm).settle(Err(stop), answer, window_above(fp))
    })
});

handler!(load_slot(pc, base, vm, insn, fp, caches) {
    let dst = early!(a!(insn));
    *base.add(dst) = (*vm).heap.slot(*base, bx!(insn));
    next!(pc, base, vm, fp, caches)
});

handler!(store_slot(pc, base, vm, insn, fp, caches) {
    let object = *base;
    if (*vm).heap.has_flags(object, heap::GUARDED) {
        slow!(store_guarded_slot, pc, base, vm, insn, fp, caches)
    }
    let value = *base.add(early!(a!(insn)));
    (*vm).heap.init_slot(object, bx!(insn), value);
    next!(pc, base, vm, fp, caches)
});

handler!(cold store_guarded_slot(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, {
        match (*vm).prepare_write(*base) {
            Ok(()) => {
                (*vm).heap.init_slot(*base, bx!(insn), *base.add(a!(insn)));
                Flow::Go
            }
            Err(stop) => (*vm).settle(Err(stop), window_above(fp), window_above(fp)),
        }
    })
});

// ---- cells, blocks, arrays ----

handler!(make_cell(pc, base, vm, insn, fp, caches) {
    match (*vm).heap.allocate_slots((*vm).known.cell, 1) {
        Ok(cell) => {
            (*vm).heap.init_slot(cell, 0, *base.add(b!(insn)));
            *base.add(a!(insn)) = cell;
            next!(pc, base, vm, fp, caches)
        }
        Err(heap::Full) => slow!(make_cell_slow, pc, base, vm, insn, fp, caches),
    }
});

handler!(cold make_cell_slow(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, match (*vm).allocate((*vm).known.cell) {
        Ok(cell) => {
            (*vm).heap.init_slot(cell, 0, *base.add(b!(insn)));
            *base.add(a!(insn)) = cell;
            Flow::Go
        }
        Err(stop) => (*vm).settle(Err(stop), base.add(a!(insn)), window_above(fp)),
    })
});

handler!(load_cell(pc, base, vm, insn, fp, caches) {
    *base.add(a!(insn)) = (*vm).heap.slot(*base.add(b!(insn)), 0);
    next!(pc, base, vm, fp, caches)
});

handler!(store_cell(pc, base, vm, insn, fp, caches) {
    (*vm).heap.init_slot(*base.add(a!(insn)), 0, *base.add(b!(insn)));
    next!(pc, base, vm, fp, caches)
});

handler!(make_block(pc, base, vm, insn, fp, caches) {
    let code: *const LinkedCode = (*(*(*fp).code).method.as_ptr()).codes.as_ptr().add(bx!(insn));
    let captures: *const [u8] = &raw const *(*code).captures;
    let (home_serial, home_index) = home_of(vm, fp);
    match (*vm).heap.allocate_block((*vm).known.block, BLOCK_HEADER + captures.len()) {
        Ok(block) => {
            fill_block(vm, block, code, base, home_serial, home_index);
            *base.add(a!(insn)) = block;
            next!(pc, base, vm, fp, caches)
        }
        Err(heap::Full) => slow!(make_block_slow, pc, base, vm, insn, fp, caches),
    }
});

handler!(cold make_block_slow(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, (*vm).make_block(base.add(a!(insn)), bx!(insn)))
});

handler!(make_array(pc, base, vm, insn, fp, caches) {
    let (first, count) = (a!(insn), b!(insn));
    match (*vm).heap.allocate_array((*vm).known.array, count) {
        Ok(array) => {
            for index in 0..count {
                (*vm).heap.fill_element(array, index, *base.add(first + index));
            }
            *base.add(first) = array;
            next!(pc, base, vm, fp, caches)
        }
        Err(heap::Full) => slow!(make_array_slow, pc, base, vm, insn, fp, caches),
    }
});

handler!(cold make_array_slow(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, {
        let (first, count) = (a!(insn), b!(insn));
        match (*vm).allocate_indexed((*vm).known.array, count) {
            Ok(array) => {
                for index in 0..count {
                    (*vm).heap.init_element(array, index, *base.add(first + index));
                }
                *base.add(first) = array;
                Flow::Go
            }
            Err(stop) => (*vm).settle(Err(stop), base.add(first), window_above(fp)),
        }
    })
});

handler!(identical(pc, base, vm, insn, fp, caches) {
    let (left, right) = (*base.add(b!(insn)), *base.add(c!(insn)));
    if !(*vm).tells_identity(left, right) {
        slow!(identical_references, pc, base, vm, insn, fp, caches)
    }
    *base.add(a!(insn)) = Value::boolean(left == right);
    next!(pc, base, vm, fp, caches)
});

handler!(cold identical_references(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, {
        let same = (*vm).same_twin(*base.add(b!(insn)), *base.add(c!(insn)));
        *base.add(a!(insn)) = Value::boolean(same);
        Flow::Go
    })
});

// ---- jumps ----

handler!(jump(pc, base, vm, insn, fp, caches) {
    next!(pc.offset((insn as i32 >> 8) as isize), base, vm, fp, caches)
});

handler!(jump_back(pc, base, vm, insn, fp, caches) {
    let fuel = (*vm).run.fuel - 1;
    if fuel < 0 {
        slow!(out_of_fuel, pc, base, vm, insn, fp, caches)
    }
    (*vm).run.fuel = fuel;
    next!(pc.offset((insn as i32 >> 8) as isize), base, vm, fp, caches)
});

handler!(cold out_of_fuel(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, {
        let stop = (*vm).no_fuel();
        (*vm).settle(Err(stop), base, window_above(fp))
    })
});

macro_rules! conditional {
    ($name:ident, $taken:expr, $not:expr) => {
        handler!($name(pc, base, vm, insn, fp, caches) {
            let condition = *base.add(a!(insn));
            if condition == $not {
                next!(pc.add(1), base, vm, fp, caches)
            }
            if condition == $taken {
                keep_branch!();
                next!(pc.add(1).offset(sbx!(insn)), base, vm, fp, caches)
            }
            slow!(not_boolean, pc, base, vm, insn, fp, caches)
        });
    };
}

conditional!(jump_if, Value::TRUE, Value::FALSE);
conditional!(jump_unless, Value::FALSE, Value::TRUE);

handler!(cold not_boolean(pc, base, vm, insn, fp, caches) {
    let fallback = (*pc as i32) << 16 >> 16;
    if fallback != 0 {
        next!(pc.add(1).offset(fallback as isize), base, vm, fp, caches)
    }
    publish!(pc.add(1), base, vm, fp, (*vm).refuse_condition(*base.add(a!(insn))))
});

handler!(jump_if_nil(pc, base, vm, insn, fp, caches) {
    if (*base.add(a!(insn))).is_nil() {
        keep_branch!();
        next!(pc.offset(sbx!(insn)), base, vm, fp, caches)
    }
    next!(pc, base, vm, fp, caches)
});

handler!(jump_unless_nil(pc, base, vm, insn, fp, caches) {
    if !(*base.add(a!(insn))).is_nil() {
        keep_branch!();
        next!(pc.offset(sbx!(insn)), base, vm, fp, caches)
    }
    next!(pc, base, vm, fp, caches)
});

handler!(jump_unless_number(pc, base, vm, insn, fp, caches) {
    let value = *base.add(a!(insn));
    if !value.is_integer() && !value.is_float() {
        keep_branch!();
        next!(pc.offset(sbx!(insn)), base, vm, fp, caches)
    }
    next!(pc, base, vm, fp, caches)
});

// ---- answers ----

macro_rules! return_from {
    ($vm:expr, $fp:expr, $value:expr) => {{
        *(*$fp).answer = $value;
        let fp = $fp.sub(1);
        let code = (*fp).code;
        next!((*fp).pc, (*fp).base, $vm, fp, (*code).caches.as_ptr())
    }};
}

handler!(answer(pc, base, vm, insn, fp, caches) {
    return_from!(vm, fp, *base.add(a!(insn)))
});

handler!(answer_self(pc, base, vm, insn, fp, caches) {
    return_from!(vm, fp, *base)
});

handler!(answer_home(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, (*vm).answer_home(*base.add(a!(insn))))
});

handler!(stub(pc, base, vm, insn, fp, caches) {
    let kind = a!(insn) as u8;
    if kind == stub::EXIT {
        (*vm).run.pc = pc;
        (*vm).run.base = base;
        (*vm).run.frame = fp;
        return Exit::Done;
    }
    // Back from another twin with what need not be copied.
    if kind == stub::CROSS_BACK && *base.add(2) != Value::TRUE {
        let value = *base.add(3);
        if !value.is_pointer() || value == *base {
            (*vm).run.turn.current = *base.add(1);
            return_from!(vm, fp, value)
        }
    }
    publish!(pc, base, vm, fp, (*vm).run_stub(kind))
});

// ---- what handlers share ----

/// The first register past the window of the frame: where a send in the making goes that has no
/// place in the window.
///
/// # Safety
/// `fp` is a filled frame; beyond its window there is room for another (see [`crate::frame`]).
pub(crate) unsafe fn window_above(fp: *mut Frame) -> *mut Value {
    // SAFETY: by contract.
    unsafe { (*fp).base.add((*(*fp).code).register_count as usize) }
}

/// What a block's elements start with, before what it captured: its code, `self`, and serial number
/// and index of its home frame.
pub(crate) const BLOCK_HEADER: usize = 4;

/// The code of a block.
///
/// # Safety
/// `elements` are those of a block.
#[inline(always)]
pub(crate) unsafe fn block_code(elements: *const Value) -> *const LinkedCode {
    // SAFETY: by contract the first is the address of a code.
    unsafe { (*elements).bits() as *const LinkedCode }
}

/// The serial number and index of the frame that `^` in a block made here leads to.
///
/// # Safety
/// `fp` is the current frame.
#[inline(always)]
pub(crate) unsafe fn home_of(vm: *mut Vm, fp: *mut Frame) -> (u64, u32) {
    // SAFETY: by contract.
    unsafe {
        if (*fp).home_serial != 0 {
            return ((*fp).home_serial, (*fp).home_index);
        }
        if (*fp).serial == 0 {
            (*vm).run.next_serial += 1;
            (*fp).serial = (*vm).run.next_serial;
        }
        ((*fp).serial, fp.offset_from((*vm).run.stack.frames.start()) as u32)
    }
}

/// Writes all elements of a new block.
///
/// # Safety
/// `block` was allocated for `code`, which belongs to the method of the frame whose window is `base`.
#[inline(always)]
pub(crate) unsafe fn fill_block(
    vm: *mut Vm,
    block: Value,
    code: *const LinkedCode,
    base: *mut Value,
    home_serial: u64,
    home_index: u32,
) {
    // SAFETY: by contract; captures are registers of the window.
    unsafe {
        let heap = &mut (*vm).heap;
        let captures: &[u8] = &(*code).captures;
        // A code's address is even, so as a word it is an integer to the collector.
        heap.fill_element(block, 0, Value::from_bits(code as u64));
        heap.fill_element(block, 1, *base);
        heap.fill_element(block, 2, Value::from_bits(home_serial << 1));
        heap.fill_element(block, 3, Value::from_bits(u64::from(home_index) << 1));
        for (nth, &register) in captures.iter().enumerate() {
            heap.fill_element(block, BLOCK_HEADER + nth, *base.add(usize::from(register)));
        }
    }
}

/// Fills the frame and window of a block: `self`, the arguments already there, then the captures.
///
/// # Safety
/// The window has room for the code's registers, `fp` is a free frame, and `elements` are those of a
/// block of `code`: its header, then as many as the code has captures.
#[inline(always)]
pub(crate) unsafe fn open_block(
    fp: *mut Frame,
    window: *mut Value,
    elements: *const Value,
    code: *const LinkedCode,
    argument_count: usize,
) {
    // SAFETY: by contract.
    unsafe {
        (*fp).base = window;
        (*fp).code = code;
        (*fp).serial = 0;
        (*fp).home_serial = (*elements.add(2)).integer_unchecked() as u64;
        (*fp).home_index = (*elements.add(3)).integer_unchecked() as u32;
        *window = *elements.add(1);
        let captures: *const [u8] = &raw const *(*code).captures;
        let (from, to) = (elements.add(BLOCK_HEADER), window.add(1 + argument_count));
        for index in 0..captures.len() {
            *to.add(index) = *from.add(index);
        }
    }
}

/// The end of what is live on the stack.
pub(crate) fn live_top(run: &Run) -> *mut Value {
    if run.pc.is_null() {
        return run.scratch_top;
    }
    // SAFETY: the published frame is the current one.
    let top = unsafe { window_above(run.frame) };
    top.max(run.scratch_top)
}

/// The frames from the innermost out: code, word, and the receiver with its arguments.
pub(crate) fn frames(run: &Run) -> impl Iterator<Item = (&LinkedCode, usize, &[Value])> {
    let mut frame = run.frame;
    let mut pc = run.pc;
    let first = run.stack.frames.start();
    std::iter::from_fn(move || {
        if frame <= first {
            return None;
        }
        // SAFETY: frames from the first to the published one are filled; codes live with the VM.
        unsafe {
            let code = &*(*frame).code;
            let start = code.words.as_ptr() as usize;
            let word = (pc as usize).saturating_sub(start) / 4;
            // The receiver and the arguments are where the sender put them: no code writes over its parameters.
            let values = std::slice::from_raw_parts((*frame).base, 1 + usize::from(code.argument_count));
            frame = frame.sub(1);
            pc = (*frame).pc;
            Some((code, word, values))
        }
    })
}

impl Vm {
    /// Whether the words of two values say if they are identical: all but different ones of which one is a reference.
    #[inline(always)]
    fn tells_identity(&self, left: Value, right: Value) -> bool {
        let is_reference = |value| self.heap.class_of_object(value) == self.known.reference;
        left == right || !left.is_pointer() || !right.is_pointer() || !(is_reference(left) || is_reference(right))
    }

    /// Opens the first frame of a run and puts `values`, a receiver and its arguments, where the
    /// window of the method to be run will be.
    pub(crate) fn begin(&mut self, values: &[Value]) -> *mut Value {
        self.run.stack.reset();
        self.open(values)
    }

    /// The same where nothing on the stack is of another run.
    pub(crate) fn open(&mut self, values: &[Value]) -> *mut Value {
        let run = &mut self.run;
        run.question = None;
        run.fault = None;
        run.unwind = None;
        run.raise = None;
        run.handles.clear();
        let base = run.stack.values.start();
        assert!(values.len() < crate::frame::WINDOW_MAX / 2, "a selector has at most 255 arguments");
        // SAFETY: the reservation holds these few values; the base code has one register.
        unsafe {
            let code = &raw const self.intrinsics.base.as_ref().codes[0];
            let frame = run.stack.frames.start();
            *frame = Frame {
                pc: (*code).words.as_ptr(),
                base,
                code,
                answer: base,
                serial: 0,
                home_serial: 0,
                home_index: 0,
            };
            run.frame = frame;
            run.pc = (*code).words.as_ptr();
            run.base = base;
            for (index, &value) in values.iter().enumerate() {
                *base.add(index) = value;
            }
            run.scratch_top = base.add(values.len().max(1));
            run.stack.reserve(run.scratch_top);
        }
        base
    }

    /// Runs from the published state until something is to be done outside.
    pub(crate) fn interpret(&mut self) -> Exit {
        let vm: *mut Vm = self;
        loop {
            // SAFETY: see the head of the file; the state was published by `begin` or a handler.
            let exit = unsafe {
                let run = &(*vm).run;
                let (pc, base, fp) = (run.pc, run.base, run.frame);
                let caches = (*(*fp).code).caches.as_ptr();
                let insn = *pc;
                (*vm).dispatch.handler(insn)(pc.add(1), base, vm, insn, fp, caches)
            };
            if exit != Exit::Next {
                return exit;
            }
        }
    }

    /// Opens a frame like that of [`Vm::begin`] above all that waits on the stack, with `values` where the window
    /// of what is to be run will be, at most seven; answers where that is.
    ///
    /// # Errors
    /// The fault of too deep a stack.
    pub(crate) fn begin_above(&mut self, values: &[Value]) -> Result<*mut Value, Stop> {
        assert!((1..8).contains(&values.len()), "a receiver and few arguments");
        let base = live_top(&self.run);
        let run = &mut self.run;
        // SAFETY: a frame is only opened below the limit, and there is always room for a window above what is live.
        unsafe {
            if run.frame.add(1) >= run.stack.frame_limit {
                return Err(self.too_deep());
            }
            run.stack.reserve(base.add(8));
            let code = &raw const self.intrinsics.base.as_ref().codes[0];
            (*run.frame).pc = run.pc;
            run.frame = run.frame.add(1);
            *run.frame = Frame {
                pc: (*code).words.as_ptr(),
                base,
                code,
                answer: base,
                serial: 0,
                home_serial: 0,
                home_index: 0,
            };
            run.pc = (*code).words.as_ptr();
            run.base = base;
            for (index, &value) in values.iter().enumerate() {
                *base.add(index) = value;
            }
            run.scratch_top = base.add(values.len());
        }
        Ok(base)
    }

    /// The answer of a run, or a stretch of one, that is done.
    pub(crate) fn final_answer(&self) -> Value {
        // SAFETY: the stub that ends it publishes the base of the first frame, where the answer was put.
        unsafe { *self.run.base }
    }

    /// Puts the answer of the world where the question wanted it.
    pub(crate) fn put_answer(&mut self, value: Value) {
        // SAFETY: set by `obey` to a place on the stack.
        unsafe { *self.run.answer_at = value }
    }
}
