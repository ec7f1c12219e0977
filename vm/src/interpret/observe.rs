//! Looking at instructions before they run: what a profile is made of.
//!
//! A VM dispatches through a table of its own. While its recorder looks, every entry leads to [`observed`], which tells
//! the recorder about the instruction and then does it with its own handler. So looking costs nothing while nobody
//! looks, and it sees the state between two instructions: a sample falls on the instruction that is about to run,
//! whatever that is. Virtual machines of Java reach their safe points in the same way.
//!
//! Whoever has a clock calls [`request`] as often as samples are wanted. That closes the tables of all VMs that run and
//! are profiled by requests; each takes a sample, looks at some hundred instructions more, and opens its table again.

use std::mem;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use twintalk_bytecode::codec;
use twintalk_bytecode::op::{Op, Opcode};

use super::{Caches, Exit, HANDLERS, Handler};
use crate::class::{Hit, LinkedCode, NO_CLASS};
use crate::frame::Frame;
use crate::link::fuse::{plain, plain_words};
use crate::profile::recorder::{GAP, Made, Place, Recorder, Seen, Step, Wanted};
use crate::value::Value;
use crate::vm::Vm;

/// The table that a VM dispatches through.
pub(crate) struct Dispatch([AtomicPtr<()>; 256]);

impl Dispatch {
    pub(crate) fn new() -> Dispatch {
        Dispatch(HANDLERS.map(|handler| AtomicPtr::new(handler as *mut ())))
    }

    /// What does the instruction, or looks at it first.
    #[inline(always)]
    pub(super) fn handler(&self, insn: u32) -> Handler {
        let handler = self.0[(insn & 0xff) as usize].load(Relaxed);
        // SAFETY: only handlers are ever stored.
        unsafe { mem::transmute::<*mut (), Handler>(handler) }
    }

    /// Every instruction is looked at from now on.
    pub(crate) fn close(&self) {
        for entry in &self.0 {
            entry.store(observed as Handler as *mut (), Relaxed);
        }
    }

    /// None is.
    pub(crate) fn open(&self) {
        for (entry, handler) in self.0.iter().zip(&HANDLERS) {
            entry.store(*handler as *mut (), Relaxed);
        }
    }
}

/// The table of a VM that runs and is profiled by requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Running(*const Dispatch);

// SAFETY: a table is nothing but atomic words, and is only reached while it is listed (see `begin_running`).
unsafe impl Send for Running {}

static RUNNING: Mutex<Vec<Running>> = Mutex::new(Vec::new());
/// What time it is, in the unit of whoever calls [`request`].
static CLOCK: AtomicU64 = AtomicU64::new(0);

fn running() -> MutexGuard<'static, Vec<Running>> {
    // Nothing of it can be half done.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks each VM that is profiled by requests for a sample. `now` is the time, in microseconds from any start; it never
/// goes back. From any thread; cost: some 300 writes for each VM that runs.
pub fn request(now: u64) {
    let running = running();
    CLOCK.fetch_max(now, Relaxed);
    for table in running.iter() {
        // SAFETY: it is listed, and stays so while the lock is held.
        unsafe { (*table.0).close() };
    }
}

/// The time of the last request.
pub(crate) fn clock() -> u64 {
    CLOCK.load(Relaxed)
}

/// From now on requests reach the VM with this table.
///
/// # Safety
/// The table stays where it is until [`end_running`].
pub(crate) unsafe fn begin_running(table: *const Dispatch) {
    running().push(Running(table));
}

/// No request reaches it any more.
pub(crate) fn end_running(table: *const Dispatch) {
    let mut running = running();
    if let Some(nth) = running.iter().rposition(|listed| listed.0 == table) {
        running.swap_remove(nth);
    }
}

handler!(apart observed(pc, base, vm, insn, fp, caches) {
    // Of a superinstruction only the first part is done: the others are looked at too.
    let insn = plain(insn);
    look(vm, pc, base, insn, fp);
    HANDLERS[(insn & 0xff) as usize](pc, base, vm, insn, fp, caches)
});

/// Tells the recorder about the instruction `insn`, whose first word lies before `pc`.
///
/// # Safety
/// The state is that of a handler.
#[inline(never)]
unsafe fn look(vm: *mut Vm, pc: *const u32, base: *mut Value, insn: u32, fp: *mut Frame) {
    // SAFETY: handlers have the VM to themselves, and the recorder is taken out of it meanwhile. The rest by contract.
    unsafe {
        // A request may come when the profile is over.
        let Some(mut recorder) = (*vm).profile.take() else { return (*vm).dispatch.open() };
        let Wanted { look, weight, done } = recorder.wants(clock(), (*vm).run.fuel);
        if look {
            note(&*vm, &mut recorder, pc, base, insn, fp, weight);
        }
        (*vm).profile = Some(recorder);
        if done {
            (*vm).dispatch.open();
        }
    }
}

/// # Safety
/// As [`look`].
unsafe fn note(
    vm: &Vm,
    recorder: &mut Recorder,
    pc: *const u32,
    base: *mut Value,
    insn: u32,
    fp: *mut Frame,
    weight: u64,
) {
    // SAFETY: by contract.
    unsafe {
        let code = (*fp).code;
        let word = pc.sub(1).offset_from((*code).words.as_ptr()) as u32;
        let opcode = insn as u8;
        let receiver = match RECEIVER_BYTE[usize::from(opcode)] {
            0 => NO_CLASS,
            byte => vm.class_of(*base.add((insn >> (8 * byte) & 0xff) as usize)).0,
        };
        recorder.made(made_since(vm, recorder), Seen::of(vm));
        if weight > 0 {
            let came_from_before = recorder.came_straight(code as usize, word, fp as usize);
            let primitive = came_from_before.unwrap_or(vm.run.pc == pc.sub(1) && vm.run.frame == fp);
            let primitive = if primitive { primitive_before(&*code, word) } else { None };
            sample(vm, recorder, pc, fp, primitive, weight);
        }
        let (code, frame, made) = (code as usize, fp as usize, Made::default());
        recorder.step(Step { code, frame, word, opcode, receiver, made, entered: false });
    }
}

/// What was allocated since the recorder looked.
fn made_since(vm: &Vm, recorder: &Recorder) -> Made {
    let seen = recorder.seen();
    let bytes = vm.heap.allocated_bytes().wrapping_sub(seen.allocated_bytes);
    if bytes == 0 || !recorder.wants_objects() {
        return Made { bytes, ..Made::default() };
    }
    if vm.heap.collections != seen.collections {
        // What was made lies somewhere, or is gone.
        return Made { bytes, objects: 1, class: NO_CLASS };
    }
    let (objects, class) = vm.heap.objects_from(seen.used_bytes);
    Made { bytes, objects, class: class.map_or(NO_CLASS, |class| class.0) }
}

/// The method whose primitive the instruction before `word` ran, if it was a send that led to one.
fn primitive_before(code: &LinkedCode, word: u32) -> Option<usize> {
    let words = plain_words(&code.words);
    let before = codec::instructions(&words).map_while(Result::ok).take_while(|(at, _)| *at < word as usize).last();
    let (at, op) = before?;
    if at + op.opcode().words() != word as usize {
        return None;
    }
    let (Op::Send { site, .. } | Op::SendSuper { site, .. }) = op else { return None };
    let cache = code.caches.get(usize::from(site.0))?.get();
    (cache.hit == Hit::Primitive).then_some(cache.target)
}

/// Hands over the frames of the run, the outermost first.
///
/// # Safety
/// As [`look`]; `primitive` is the address of a method.
unsafe fn sample(
    vm: &Vm,
    recorder: &mut Recorder,
    pc: *const u32,
    fp: *mut Frame,
    primitive: Option<usize>,
    weight: u64,
) {
    let first = vm.run.stack.frames.start();
    // SAFETY: frames from the first to the current one are filled; codes live with the VM.
    unsafe {
        let depth = fp.offset_from(first) as usize + 1;
        recorder.begin_sample();
        let (outer, inner) = Recorder::kept(depth);
        let gap = (!inner.is_empty()).then_some(inner.start);
        for index in outer.chain(inner) {
            if gap == Some(index) {
                recorder.frame(Place { address: GAP, word: 0 });
            }
            let frame = first.add(index);
            let code = (*frame).code;
            // A frame below waits behind its send.
            let after = if frame == fp { pc } else { (*frame).pc };
            let word = (after as usize).saturating_sub((*code).words.as_ptr() as usize) / 4;
            recorder.frame(Place { address: code as usize, word: word.saturating_sub(1) as u32 });
        }
    }
    if let Some(method) = primitive {
        recorder.frame(Place { address: method, word: 0 });
    }
    recorder.end_sample(weight);
}

/// By opcode: the byte of the instruction that names the register of a send's receiver; 0 for what is no send.
static RECEIVER_BYTE: [u8; 256] = receiver_bytes();

const fn receiver_bytes() -> [u8; 256] {
    let mut bytes = [0; 256];
    let mut opcode = 0;
    while opcode < Opcode::ALL.len() {
        let operands = Opcode::ALL[opcode].operand_types();
        let mut sends = false;
        let mut byte = 0;
        let mut at = 0;
        while at < operands.len() {
            let (name, kind) = operands[at];
            sends |= same(kind, "Site");
            if byte == 0 && (same(name, "base") || same(name, "left") || same(name, "receiver")) {
                // What comes before a receiver are registers, of one byte each.
                byte = 1 + at as u8;
            }
            at += 1;
        }
        bytes[Opcode::ALL[opcode] as usize] = if sends { byte } else { 0 };
        opcode += 1;
    }
    bytes
}

const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

impl Vm {
    /// As [`Vm::interpret`], while there is a recorder.
    #[cold]
    pub(crate) fn interpret_profiled(&mut self) -> Exit {
        let (seen, fuel, clock) = (Seen::of(self), self.run.fuel, clock());
        let outermost = self.profile.as_deref_mut().is_some_and(|recorder| recorder.enter(clock, fuel, seen));
        if outermost && self.profile.as_deref().is_some_and(Recorder::plans_burst) {
            self.dispatch.close();
        }
        let table = &raw const self.dispatch;
        if outermost {
            // SAFETY: the VM is borrowed, and so does not move, until the end of this.
            unsafe { begin_running(table) };
        }
        let exit = self.interpret();
        if outermost {
            end_running(table);
        }
        if let Some(mut recorder) = self.profile.take() {
            recorder.leave(self.run.fuel, made_since(self, &recorder), Seen::of(self));
            self.profile = Some(recorder);
        }
        exit
    }
}
