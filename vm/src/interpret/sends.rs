//! Sends: what a hit in the cache of a site leads to.
//!
//! The commonest, an activation, is done in the handler of `send` itself; all others in a handler apart, found by the
//! number of the hit. A site that has seen another class looks into the table behind the caches before it
//! asks for a send in full.

use crate::interpret::*;
use crate::primitives::list;
use crate::vm::lookup_index;

/// Handlers by the number of the hit.
struct Hits([Handler; 32]);

static HITS: Hits = {
    let mut table = [send_slow as Handler; 32];
    table[Hit::Code as usize] = send_code;
    table[Hit::Primitive as usize] = send_primitive;
    table[Hit::Getter as usize] = send_getter;
    table[Hit::Constant as usize] = send_constant;
    table[Hit::BlockValue as usize] = send_block_value;
    table[Hit::TwinCode as usize] = send_twin_code;
    table[Hit::Itself as usize] = send_itself;
    table[Hit::Slot as usize] = send_slot;
    table[Hit::Literal as usize] = send_literal;
    table[Hit::Store as usize] = send_store;
    table[Hit::StoreAnswer as usize] = send_store_answer;
    table[Hit::Identical as usize] = send_identical;
    table[Hit::New as usize] = send_new;
    table[Hit::ArrayAt as usize] = send_array_at;
    table[Hit::ArrayAtPut as usize] = send_array_at_put;
    table[Hit::ArraySize as usize] = send_array_size;
    table[Hit::ListAt as usize] = send_list_at;
    table[Hit::ListAtPut as usize] = send_list_at_put;
    table[Hit::ListAdd as usize] = send_list_add;
    table[Hit::StringAt as usize] = send_string_at;
    table[Hit::Near as usize] = send_near;
    Hits(table)
};

/// Goes on with the handler for what the cache at `$cache` leads to.
macro_rules! hit {
    ($cache:expr, $pc:expr, $base:expr, $vm:expr, $insn:expr, $fp:expr, $caches:expr) => {
        return HITS.0[(*$cache).hit as usize]($pc, $base, $vm, $insn, $fp, $caches)
    };
}

/// Spends one unit of fuel, or leaves it to a send in full to say that there is none.
macro_rules! spend {
    ($pc:expr, $base:expr, $vm:expr, $insn:expr, $fp:expr, $caches:expr) => {
        let fuel = (*$vm).run.fuel - 1;
        if fuel < 0 {
            slow!(send_slow, $pc, $base, $vm, $insn, $fp, $caches)
        }
        (*$vm).run.fuel = fuel;
    };
}

handler!(send(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    let receiver = *window;
    if !receiver.is_pointer() {
        slow!(send_immediate, pc, base, vm, insn, fp, caches)
    }
    let cache = (*caches.add(bx!(insn))).as_ptr();
    if (*cache).class != (*vm).heap.class_of_object(receiver).0 {
        slow!(send_miss, pc, base, vm, insn, fp, caches)
    }
    if (*cache).hit != Hit::Code {
        hit!(cache, pc, base, vm, insn, fp, caches)
    }
    activate!(send_slow, pc, pc, window, window, vm, insn, fp, caches, base, (*cache).target as *const LinkedCode)
});

handler!(apart send_immediate(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    let cache = (*caches.add(bx!(insn))).as_ptr();
    if (*cache).class != (&(*vm).immediate_classes)[immediate_index(*window)] {
        slow!(send_miss, pc, base, vm, insn, fp, caches)
    }
    hit!(cache, pc, base, vm, insn, fp, caches)
});

// The site has seen another class last, or none: what the table behind the caches says of this one goes into its cache.
handler!(apart send_miss(pc, base, vm, insn, fp, caches) {
    let class = (*vm).class_of(*base.add(a!(insn))).0;
    let selector = (*(*(*fp).code).sites.as_ptr().add(bx!(insn))).selector;
    let entry = (*vm).lookup.as_ptr().add(lookup_index(class, selector));
    if (*entry).class != class || (*entry).selector != selector || (*entry).hit.0 == Hit::Empty {
        slow!(send_slow, pc, base, vm, insn, fp, caches)
    }
    let cache = (*caches.add(bx!(insn))).as_ptr();
    (*cache).class = class;
    (*cache).hit = (*entry).hit.0;
    (*cache).target = (*entry).hit.1;
    (*cache).misses = (*cache).misses.saturating_add(1);
    hit!(cache, pc, base, vm, insn, fp, caches)
});

handler!(apart send_code(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    let code = (*(*caches.add(bx!(insn))).as_ptr()).target as *const LinkedCode;
    activate!(send_slow, pc, pc, window, window, vm, insn, fp, caches, base, code)
});

handler!(apart send_getter(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    *window = (*vm).heap.slot(*window, (*(*caches.add(bx!(insn))).as_ptr()).target);
    next!(pc, base, vm, fp, caches)
});

handler!(apart send_constant(pc, base, vm, insn, fp, caches) {
    let number = (*(*caches.add(bx!(insn))).as_ptr()).target;
    *base.add(a!(insn)) = *(*vm).constants.as_ptr().add(number);
    next!(pc, base, vm, fp, caches)
});

handler!(apart send_twin_code(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    let code = (*(*caches.add(bx!(insn))).as_ptr()).target as *const LinkedCode;
    if *window == (*vm).run.turn.current && !(*vm).run.turn.query && !(*code).method.as_ref().flags.query {
        activate!(send_slow, pc, pc, window, window, vm, insn, fp, caches, base, code)
    }
    slow!(send_slow, pc, base, vm, insn, fp, caches)
});

handler!(apart send_near(pc, base, vm, insn, fp, caches) {
    let site = bx!(insn);
    publish!(pc, base, vm, fp, (*vm).send_near(base.add(a!(insn)), site))
});

// ---- quick methods ----

handler!(apart send_itself(pc, base, vm, insn, fp, caches) {
    spend!(pc, base, vm, insn, fp, caches);
    next!(pc, base, vm, fp, caches)
});

handler!(apart send_slot(pc, base, vm, insn, fp, caches) {
    spend!(pc, base, vm, insn, fp, caches);
    let window = base.add(a!(insn));
    *window = (*vm).heap.slot(*window, (*(*caches.add(bx!(insn))).as_ptr()).target);
    next!(pc, base, vm, fp, caches)
});

handler!(apart send_literal(pc, base, vm, insn, fp, caches) {
    spend!(pc, base, vm, insn, fp, caches);
    *base.add(a!(insn)) = Value::from_bits((*(*caches.add(bx!(insn))).as_ptr()).target as u64);
    next!(pc, base, vm, fp, caches)
});

macro_rules! store {
    ($name:ident, |$receiver:ident, $argument:ident| $answer:expr) => {
        handler!(apart $name(pc, base, vm, insn, fp, caches) {
            let window = base.add(a!(insn));
            let ($receiver, $argument) = (*window, *window.add(1));
            if (*vm).heap.has_flags($receiver, heap::GUARDED) {
                slow!(send_slow, pc, base, vm, insn, fp, caches)
            }
            spend!(pc, base, vm, insn, fp, caches);
            (*vm).heap.init_slot($receiver, (*(*caches.add(bx!(insn))).as_ptr()).target, $argument);
            *window = $answer;
            next!(pc, base, vm, fp, caches)
        });
    };
}

store!(send_store, |receiver, argument| receiver);
store!(send_store_answer, |receiver, argument| argument);

// Two objects may be references to one twin.
handler!(apart send_identical(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    let (left, right) = (*window, *window.add(1));
    if !(*vm).tells_identity(left, right) {
        slow!(send_slow, pc, base, vm, insn, fp, caches)
    }
    spend!(pc, base, vm, insn, fp, caches);
    *window = Value::boolean(left == right);
    next!(pc, base, vm, fp, caches)
});

// ---- primitives done here ----

handler!(apart send_new(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    let id = ClassId((*(*caches.add(bx!(insn))).as_ptr()).target as u32);
    let class = (*vm).classes.as_ptr().add(id.0 as usize);
    match (*vm).heap.allocate_started(id, (*class).slots.len(), &(*class).template) {
        Ok(object) => *window = object,
        Err(heap::Full) => slow!(send_slow, pc, base, vm, insn, fp, caches),
    }
    if let Some(initialiser) = (*class).initialiser {
        let code = (*initialiser.as_ptr()).codes.as_ptr();
        activate!(start_slow, pc, pc, window, window, vm, insn, fp, caches, base, code)
    }
    next!(pc, base, vm, fp, caches)
});

// There is no room for the window of an initialiser, or no fuel. The object lies where the prototype was.
handler!(cold start_slow(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, {
        let window = base.add(a!(insn));
        let class = (*vm).class_of(*window);
        (*vm).run.intrinsic = (*vm).class(class).initialiser;
        (*vm).settle(Err(Stop::Intrinsic), window, window)
    })
});

handler!(apart send_array_at(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    match (*vm).heap.any_element_in_place(*window, *window.add(1)) {
        Some(element) => {
            *window = element;
            next!(pc, base, vm, fp, caches)
        }
        None => slow!(send_primitive, pc, base, vm, insn, fp, caches),
    }
});

handler!(apart send_array_at_put(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    let value = *window.add(2);
    if (*vm).heap.put_any_in_place(*window, *window.add(1), value) {
        *window = value;
        next!(pc, base, vm, fp, caches)
    }
    slow!(send_primitive, pc, base, vm, insn, fp, caches)
});

handler!(apart send_array_size(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    match (*vm).heap.array_size_in_place(*window) {
        Some(size) => {
            *window = size;
            next!(pc, base, vm, fp, caches)
        }
        None => slow!(send_primitive, pc, base, vm, insn, fp, caches),
    }
});

handler!(apart send_list_at(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    match list::element_in_place(&(*vm).heap, *window, *window.add(1)) {
        Some(element) => {
            *window = element;
            next!(pc, base, vm, fp, caches)
        }
        None => slow!(send_primitive, pc, base, vm, insn, fp, caches),
    }
});

handler!(apart send_list_at_put(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    let value = *window.add(2);
    if list::put_in_place(&mut (*vm).heap, *window, *window.add(1), value) {
        *window = value;
        next!(pc, base, vm, fp, caches)
    }
    slow!(send_primitive, pc, base, vm, insn, fp, caches)
});

handler!(apart send_list_add(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    let value = *window.add(1);
    if list::add_in_place(&mut (*vm).heap, *window, value) {
        *window = value;
        next!(pc, base, vm, fp, caches)
    }
    slow!(send_primitive, pc, base, vm, insn, fp, caches)
});

handler!(apart send_string_at(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    match (*vm).heap.character_in_place(*window, *window.add(1)) {
        Some(character) => {
            *window = character;
            next!(pc, base, vm, fp, caches)
        }
        None => slow!(send_primitive, pc, base, vm, insn, fp, caches),
    }
});

handler!(apart send_primitive(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    let method = (*(*caches.add(bx!(insn))).as_ptr()).target as *const LinkedMethod;
    (*vm).run.pc = pc;
    (*vm).run.base = base;
    (*vm).run.frame = fp;
    (*vm).run.scratch_top = base;
    match run_primitive(vm, method, window) {
        Some(answer) => {
            *window = answer;
            next!(pc, base, vm, fp, caches)
        }
        None => slow!(send_stopped, pc, base, vm, insn, fp, caches),
    }
});

/// Runs the primitive of a method on the window. Where it wants something instead of answering, that
/// is noted: an answer in memory would keep the handler from ending in a jump.
///
/// # Safety
/// The method has a primitive, and the window lies on the stack.
#[inline(never)]
pub(super) unsafe fn run_primitive(vm: *mut Vm, method: *const LinkedMethod, window: *mut Value) -> Option<Value> {
    // SAFETY: by contract.
    unsafe {
        let argument_count = usize::from((*method).argument_count);
        let base = window.offset_from((*vm).run.stack.values.start()) as usize;
        let primitive = (*method).primitive.unwrap_unchecked();
        match primitive(&mut *vm, Window { base, argument_count }) {
            Ok(answer) => Some(answer),
            Err(stop) => {
                (*vm).run.pending_stop = stop;
                None
            }
        }
    }
}

handler!(cold send_stopped(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, {
        let window = base.add(a!(insn));
        let stop = (*vm).run.pending_stop;
        (*vm).settle(Err(stop), window, window)
    })
});

handler!(apart send_block_value(pc, base, vm, insn, fp, caches) {
    let window = base.add(a!(insn));
    let block = *window;
    let elements = (*vm).heap.block_elements(block);
    let code = block_code(elements);
    let argument_count = usize::from((*(*(*fp).code).sites.as_ptr().add(bx!(insn))).argument_count);
    let fuel = (*vm).run.fuel - 1;
    if usize::from((*code).argument_count) != argument_count
        || window.add((*code).register_count as usize) > (*vm).run.stack.high_water
        || fp >= (*vm).run.stack.frame_limit
        || fuel < 0
    {
        slow!(send_slow, pc, base, vm, insn, fp, caches)
    }
    (*vm).run.fuel = fuel;
    (*fp).pc = pc;
    let fp = fp.add(1);
    open_block(fp, window, elements, code, argument_count);
    (*fp).answer = window;
    next!((*code).words.as_ptr(), window, vm, fp, (*code).caches.as_ptr())
});

handler!(cold send_slow(pc, base, vm, insn, fp, caches) {
    let site = bx!(insn);
    publish!(pc, base, vm, fp, {
        let window = base.add(a!(insn));
        (*vm).send_at_site(window, window, site)
    })
});

// Where a send to `super` leads depends on nothing but the site.
handler!(send_super(pc, base, vm, insn, fp, caches) {
    let cache = (*caches.add(bx!(insn))).as_ptr();
    match (*cache).hit {
        Hit::Code => {
            let window = base.add(a!(insn));
            let code = (*cache).target as *const LinkedCode;
            activate!(send_super_slow, pc, pc, window, window, vm, insn, fp, caches, base, code)
        }
        Hit::Primitive => slow!(send_primitive, pc, base, vm, insn, fp, caches),
        // A send in full from these would not be one to `super`, but all they ask of it is to say that there is no fuel.
        Hit::Itself if (*vm).run.fuel > 0 => slow!(send_itself, pc, base, vm, insn, fp, caches),
        Hit::Slot if (*vm).run.fuel > 0 => slow!(send_slot, pc, base, vm, insn, fp, caches),
        Hit::Literal if (*vm).run.fuel > 0 => slow!(send_literal, pc, base, vm, insn, fp, caches),
        _ => slow!(send_super_slow, pc, base, vm, insn, fp, caches),
    }
});

handler!(cold send_super_slow(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, (*vm).send_super(base.add(a!(insn)), bx!(insn)))
});

handler!(send_far(pc, base, vm, insn, fp, caches) {
    publish!(pc, base, vm, fp, (*vm).send_far(base.add(a!(insn)), bx!(insn)))
});
