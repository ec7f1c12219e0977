//! The table from the names of primitives to functions.
//!
//! A method whose body is `primitive` is done by the function named `Prototype.selector`, or
//! `Prototype class.selector` behind the dashes. A primitive never runs TwinTalk code: what needs it
//! is written in the kernel, or ends in [`Stop::Send`].
//!
//! Values move whenever something is allocated, so a primitive reads receiver and arguments from its
//! [`Window`] again after each allocation.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::class::Hit;
use crate::fault::ExceptionKind;
use crate::symbol::Symbol;
use crate::value::Value;
use crate::vm::Vm;

/// A primitive: answers a value, or says what is to happen instead.
pub type Primitive = fn(&mut Vm, Window) -> Result<Value, Stop>;

/// Values of which there are most often few, such as arguments.
pub(crate) type Few = SmallVec<[Value; 6]>;

/// A row of the table.
pub type Row = (&'static str, Primitive);

/// Where the receiver and the arguments of a primitive lie on the stack.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// The index of the receiver; the arguments follow.
    pub(crate) base: usize,
    /// How many arguments.
    pub(crate) argument_count: usize,
}

impl Window {
    /// The receiver.
    #[inline(always)]
    pub fn receiver(self, vm: &Vm) -> Value {
        vm.stack_at(self.base)
    }

    /// The argument at `index`, counted from 0.
    #[inline(always)]
    pub fn argument(self, vm: &Vm, index: usize) -> Value {
        debug_assert!(index < self.argument_count, "a selector has as many arguments");
        vm.stack_at(self.base + 1 + index)
    }

    /// All arguments.
    pub(crate) fn arguments(self, vm: &Vm) -> Few {
        (0..self.argument_count).map(|index| self.argument(vm, index)).collect()
    }
}

/// What a primitive wants instead of answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Signal the exception that was noted by [`Vm::raise`]; what it is resumed with is the answer.
    Raise,
    /// Send `selector` to what now lies in the window; its answer is the answer. Finds private methods too.
    Send {
        /// The selector.
        selector: Symbol,
        /// The arguments in the window.
        argument_count: u8,
    },
    /// The same in the name of who sent the message: a private method is only found if that is the
    /// receiver.
    Perform {
        /// The selector.
        selector: Symbol,
        /// The arguments in the window.
        argument_count: u8,
    },
    /// Value the block that now lies in the window.
    BlockValue {
        /// The arguments in the window.
        argument_count: u8,
    },
    /// Run the VM's own code noted in the VM on what now lies in the window.
    Intrinsic,
    /// Unwind as noted in the VM, then go on there.
    Unwind,
    /// Ask the world what is noted in the VM; its answer is the answer.
    Ask,
    /// Ask the world what is noted in the VM, then do the send again.
    AskAgain,
    /// The turn is over with the fault noted in the VM: a limit was passed. Not to be handled.
    Fault,
}

impl Vm {
    /// Notes an exception for [`Stop::Raise`]: `return Err(vm.raise(kind, "what is wrong"))`.
    #[cold]
    pub fn raise(&mut self, kind: ExceptionKind, text: impl Into<String>) -> Stop {
        self.note_raise(kind, text.into());
        Stop::Raise
    }
}

/// What the interpreter does itself for a primitive of this name; else [`Hit::Primitive`].
pub(crate) fn quick(name: &str) -> Hit {
    match name {
        "Prototype.new" | "Prototype.clone" => Hit::New,
        "Array.at:" => Hit::ArrayAt,
        "Array.at:put:" => Hit::ArrayAtPut,
        "Array.size" => Hit::ArraySize,
        "List.at:" => Hit::ListAt,
        "List.at:put:" => Hit::ListAtPut,
        "List.add:" => Hit::ListAdd,
        "String.at:" => Hit::StringAt,
        "Block.value"
        | "Block.value:"
        | "Block.value:value:"
        | "Block.value:value:value:"
        | "Block.value:value:value:value:" => Hit::BlockValue,
        _ => Hit::Primitive,
    }
}

/// All tables as one.
static TABLE: LazyLock<FxHashMap<&str, Primitive>> =
    LazyLock::new(|| crate::primitives::TABLES.iter().flat_map(|table| table.iter().copied()).collect());

/// The function for a primitive of this name.
pub fn find(name: &str) -> Option<Primitive> {
    TABLE.get(name).copied()
}
