//! `at:` and `at:put:` as instructions: in place for the kernel's arrays, else sends.
//!
//! The send is like that of an arithmetic instruction: its receiver and arguments stand above the window.

use crate::interpret::*;
use crate::primitives::list;

handler!(at(pc, base, vm, insn, fp, caches) {
    match (*vm).heap.element_in_place(*base.add(b!(insn)), (*vm).array_at, *base.add(c!(insn))) {
        Some(element) => {
            *base.add(a!(insn)) = element;
            next!(pc.add(1), base, vm, fp, caches)
        }
        None => slow!(at_other, pc, base, vm, insn, fp, caches),
    }
});

// Lists and strings are found by the cache, and done in place too.
handler!(apart at_other(pc, base, vm, insn, fp, caches) {
    let (receiver, index) = (*base.add(b!(insn)), *base.add(c!(insn)));
    let cache = (*caches.add((*pc & 0xffff) as usize)).as_ptr();
    if receiver.is_pointer() && (*cache).class == (*vm).heap.class_of_object(receiver).0 {
        let found = match (*cache).hit {
            Hit::ListAt => list::element_in_place(&(*vm).heap, receiver, index),
            Hit::StringAt => (*vm).heap.character_in_place(receiver, index),
            Hit::ArrayAt => (*vm).heap.any_element_in_place(receiver, index),
            _ => None,
        };
        if let Some(element) = found {
            *base.add(a!(insn)) = element;
            next!(pc.add(1), base, vm, fp, caches)
        }
    }
    slow!(operate_slow, pc, base, vm, insn, fp, caches)
});

handler!(at_put(pc, base, vm, insn, fp, caches) {
    let (array, index, value) = (*base.add(a!(insn)), *base.add(b!(insn)), *base.add(c!(insn)));
    if (*vm).heap.put_in_place(array, (*vm).array_at_put, index, value) {
        next!(pc.add(1), base, vm, fp, caches)
    }
    slow!(at_put_other, pc, base, vm, insn, fp, caches)
});

handler!(apart at_put_other(pc, base, vm, insn, fp, caches) {
    let (receiver, index, value) = (*base.add(a!(insn)), *base.add(b!(insn)), *base.add(c!(insn)));
    let cache = (*caches.add((*pc & 0xffff) as usize)).as_ptr();
    if receiver.is_pointer() && (*cache).class == (*vm).heap.class_of_object(receiver).0 {
        let done = match (*cache).hit {
            Hit::ListAtPut => list::put_in_place(&mut (*vm).heap, receiver, index, value),
            Hit::ArrayAtPut => (*vm).heap.put_any_in_place(receiver, index, value),
            Hit::Code => {
                let window = window_above(fp);
                *window = receiver;
                *window.add(1) = index;
                *window.add(2) = value;
                let code = (*cache).target as *const LinkedCode;
                activate!(at_put_slow, pc, pc.add(1), window, window, vm, insn, fp, caches, base, code)
            }
            Hit::Primitive => slow!(at_put_primitive, pc, base, vm, insn, fp, caches),
            _ => false,
        };
        if done {
            next!(pc.add(1), base, vm, fp, caches)
        }
    }
    slow!(at_put_slow, pc, base, vm, insn, fp, caches)
});

handler!(apart at_put_primitive(pc, base, vm, insn, fp, caches) {
    let window = window_above(fp);
    // A primitive may use more of the stack than it was given.
    if window.add(8) > (*vm).run.stack.high_water {
        slow!(at_put_slow, pc, base, vm, insn, fp, caches)
    }
    *window = *base.add(a!(insn));
    *window.add(1) = *base.add(b!(insn));
    *window.add(2) = *base.add(c!(insn));
    let method = (*(*caches.add((*pc & 0xffff) as usize)).as_ptr()).target as *const LinkedMethod;
    (*vm).run.pc = pc.add(1);
    (*vm).run.base = base;
    (*vm).run.frame = fp;
    (*vm).run.scratch_top = window.add(3);
    match run_primitive(vm, method, window) {
        Some(_) => next!(pc.add(1), base, vm, fp, caches),
        None => slow!(at_put_stopped, pc, base, vm, insn, fp, caches),
    }
});

handler!(cold at_put_stopped(pc, base, vm, insn, fp, caches) {
    publish!(pc.add(1), base, vm, fp, {
        let stop = (*vm).run.pending_stop;
        (*vm).settle(Err(stop), window_above(fp), window_above(fp))
    })
});

// Nobody wants the answer: it stays above the window.
handler!(cold at_put_slow(pc, base, vm, insn, fp, caches) {
    let site = (*pc & 0xffff) as usize;
    let window = window_above(fp);
    *window = *base.add(a!(insn));
    *window.add(1) = *base.add(b!(insn));
    *window.add(2) = *base.add(c!(insn));
    publish!(pc.add(1), base, vm, fp, (*vm).send_at_site(window, window, site))
});
