//! What supervision asks of a turn: twins in quarantine take nothing but queries, and a twin is told of failures below it.
//!
//! The kernel's own messages pass: a twin in quarantine can be removed and released.

use crate::class::Target;
use crate::drive::{Asked, End};
use crate::fault::{ExceptionKind, Fault};
use crate::primitive::Stop;
use crate::symbol::Symbol;
use crate::turn::{Birth, Failed, Sender};
use crate::value::Value;
use crate::vm::Vm;

impl Vm {
    /// The fault of a message from outside to a twin in quarantine, unless that takes it.
    pub(crate) fn refused_in_quarantine(&self, nth: usize, selector: Symbol) -> Option<Fault> {
        let twin = &self.run.turn.twins[nth];
        if !twin.quarantined {
            return None;
        }
        let taken = match self.find_method(self.class_of(twin.value), selector) {
            Some(Target::Method(method)) => {
                let method = self.linked(method);
                method.flags.query || method.origin.image == 0
            }
            Some(Target::Getter(_) | Target::Constant(_)) => true,
            None => false,
        };
        let text = || refusal(&twin.path, self.symbols.name(selector));
        (!taken).then(|| self.plain_fault(ExceptionKind::Quarantined.name(), text()))
    }

    /// The fault of a turn whose twin at `path` could not be brought up to its definition, which puts it in quarantine; if it is
    /// there already, it is not tried for every message.
    pub(crate) fn broken_twin(&mut self, path: &str, birth: Birth, quarantined: bool, fault: Fault) -> Fault {
        if birth != Birth::Carried {
            return fault;
        }
        if quarantined && !self.run.turn.query {
            let text = format!("the twin at {path} is in quarantine, since it cannot be carried over: {}", fault.text);
            return self.plain_fault(ExceptionKind::Quarantined.name(), text);
        }
        // The innermost, of those that wait for another.
        self.run.turn.broken.get_or_insert_with(|| path.to_owned());
        fault
    }

    /// Refuses a near send of what is no query, if it is to a twin in quarantine.
    #[cold]
    pub(crate) fn check_quarantine(&mut self, receiver: Value, selector: Symbol) -> Result<(), Stop> {
        let path = self.path_of(receiver).unwrap_or_default();
        if !self.run.turn.find(path).is_some_and(|nth| self.run.turn.twins[nth].quarantined) {
            return Ok(());
        }
        let text = refusal(path, self.symbols.name(selector));
        Err(self.raise(ExceptionKind::Quarantined, text))
    }

    /// Tells the `nth` twin of a failure below it.
    pub(crate) fn receive_failed(&mut self, world: &mut Asked<'_>, nth: usize, failed: &Failed<'_>) -> End {
        let start = self.run.handles.len();
        let made = self.failed_arguments(failed);
        let arguments: Vec<Value> = self.run.handles.drain(start..).collect();
        match made {
            Ok(()) => self.deliver(world, nth, self.selectors.part_failed, &arguments, Sender::SYSTEM),
            Err(stop) => End::Failed(self.fault_of_stop(stop)),
        }
    }

    /// Leaves the part, the message and the exception as handles, in this order.
    fn failed_arguments(&mut self, failed: &Failed<'_>) -> Result<(), Stop> {
        let part = self.new_reference(failed.part, None)?;
        self.run.handles.push(part);
        let start = self.run.handles.len();
        // What a later version of the runtime might put there is no reason to keep the failure from the twin.
        let count = self.decode_arguments(&failed.arguments).unwrap_or(0);
        let array = self.allocate_indexed(self.known.array, count)?;
        for index in 0..count {
            self.heap.init_element(array, index, self.run.handles[start + index]);
        }
        self.run.handles.truncate(start);
        self.run.handles.push(array);
        let message = self.allocate(self.known.message)?;
        let array = self.run.handles.pop().expect("pushed above");
        let selector = self.symbols.intern(failed.selector);
        self.heap.init_slot(message, 0, Value::symbol(selector.0));
        self.heap.init_slot(message, 1, array);
        self.run.handles.push(message);
        let (class, text) = self.exception_for(failed.kind, failed.text.to_owned());
        let exception = self.new_exception(class, &text)?;
        self.run.handles.push(exception);
        Ok(())
    }
}

fn refusal(path: &str, selector: &str) -> String {
    format!(
        "the twin at {path} is in quarantine: it answers queries alone until it is released, and `{selector}` is none"
    )
}
