//! What a run may read and spend, and what it leaves.
//!
//! Interim: programs run to their end ([`Vm::run_main`], [`Vm::send`]); twins, far sends and references
//! are refused with an exception.

use std::ptr::NonNull;

use crate::class::{LinkedMethod, Target};
use crate::fault::{ExceptionKind, Fault};
use crate::interpret::{Exit, Flow};
use crate::primitive::{Stop, Window};
use crate::symbol::{Symbol, argument_count};
use crate::value::Value;
use crate::vm::{Limits, Vm};
use crate::world::{Question, World};

/// What kind of run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A program, outside all composites.
    Program,
    /// A turn of a composite.
    Turn,
    /// A query of a composite.
    Query,
}

/// What the run in hand reads and does.
pub struct TurnState {
    /// What kind of run it is.
    pub mode: Mode,
    /// The twin whose method runs; nil in a program.
    pub current: Value,
    /// Whether a query runs.
    pub query: bool,
}

impl TurnState {
    /// That of a program.
    pub fn new() -> TurnState {
        TurnState { mode: Mode::Program, current: Value::NIL, query: false }
    }

    /// Visits every value held here.
    pub(crate) fn visit_roots(&mut self, visit: &mut dyn FnMut(&mut Value)) {
        visit(&mut self.current);
    }
}

impl Default for TurnState {
    fn default() -> TurnState {
        TurnState::new()
    }
}

impl Vm {
    // ---- programs ----

    /// Sets what every run from now on may spend.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.heap.region_mut().set_cap_bytes(limits.memory_bytes);
    }

    /// Runs the statements of the image linked last; nil where it has none.
    ///
    /// The answer is good until the next run on this VM.
    ///
    /// # Errors
    /// An exception that nobody handled, or a limit.
    pub fn run_main(&mut self, world: &mut dyn World) -> Result<Value, Fault> {
        self.start_program(world)?;
        match self.images.last().and_then(|image| image.main) {
            Some(main) => self.run_method(main, &[Value::NIL], world),
            None => Ok(Value::NIL),
        }
    }

    /// Sends `selector` to `receiver` in program mode; `receiver` and `arguments` are answers of the run
    /// before or immediate.
    ///
    /// # Errors
    /// As [`Vm::run_main`].
    pub fn send(
        &mut self,
        receiver: Value,
        selector: &str,
        arguments: &[Value],
        world: &mut dyn World,
    ) -> Result<Value, Fault> {
        assert_eq!(argument_count(selector), arguments.len(), "`{selector}` takes as many arguments");
        let selector = self.symbols.intern(selector);
        let mut values = vec![receiver];
        values.extend_from_slice(arguments);
        self.run.fuel = self.limits.fuel;
        let window = self.begin(&values);
        let step = self.dispatch(window, window, selector, arguments.len(), true, None);
        let flow = self.settle(step, window, window);
        self.drive(flow, world)
    }

    /// What `printString` answers, as text.
    ///
    /// # Errors
    /// As [`Vm::run_main`].
    pub fn print_string(&mut self, value: Value, world: &mut dyn World) -> Result<String, Fault> {
        let answer = self.send(value, "printString", &[], world)?;
        let shown = self.as_text(answer).map(str::to_owned);
        Ok(shown.unwrap_or_else(|| format!("a {} whose printString is no string", self.class_name(value))))
    }

    /// Runs a method on a receiver and arguments, to its end.
    pub(crate) fn run_method(
        &mut self,
        method: NonNull<LinkedMethod>,
        values: &[Value],
        world: &mut dyn World,
    ) -> Result<Value, Fault> {
        self.run.fuel = self.limits.fuel;
        let window = self.begin(values);
        let step = self.invoke(window, window, method, values.len() - 1);
        let flow = self.settle(step, window, window);
        self.drive(flow, world)
    }

    fn drive(&mut self, flow: Flow, world: &mut dyn World) -> Result<Value, Fault> {
        let mut exit = match flow {
            Flow::Go => self.interpret(),
            Flow::Exit(exit) => exit,
        };
        loop {
            exit = match exit {
                Exit::Done => return Ok(self.final_answer()),
                Exit::Fault => return Err(self.run.fault.take().expect("noted by whoever stopped")),
                Exit::Ask => {
                    match self.run.question.take().expect("noted by whoever stopped") {
                        Question::Print(text) => world.print(&text),
                    }
                    self.put_answer(Value::NIL);
                    self.interpret()
                }
                Exit::Next => unreachable!("`interpret` goes on by itself"),
            };
        }
    }

    /// Gives the slots behind the dashes their first values, once.
    fn start_program(&mut self, world: &mut dyn World) -> Result<(), Fault> {
        for (prototype, slot, initialiser) in std::mem::take(&mut self.shared_initialisers) {
            let value = self.run_method(initialiser, &[prototype], world)?;
            self.heap.init_slot(prototype, slot, value);
        }
        Ok(())
    }

    /// Shows `text`: in a program at once. For primitives: `vm.print(text)?`.
    ///
    /// # Errors
    /// Not one: the stop that lets the world print, whose answer is nil.
    pub fn print(&mut self, text: String) -> Result<Value, Stop> {
        self.run.question = Some(Question::Print(text));
        Err(Stop::Ask)
    }

    // ---- twins ----

    pub(crate) fn queue_far_send(&mut self, _window: Window, _selector: Symbol) -> Result<Value, Stop> {
        Err(self.raise(ExceptionKind::NoSuchTwin, "this program has no store, so it has no twins"))
    }

    pub(crate) fn resolve_reference(&mut self, _window: Window, _selector: Symbol) -> Result<Value, Stop> {
        Err(self.raise(ExceptionKind::NoSuchTwin, "this program has no store, so it has no twins"))
    }

    pub(crate) fn copy_mutable(&mut self, value: Value) -> Result<Value, Stop> {
        Ok(value)
    }

    pub(crate) fn path_of(&self, _value: Value) -> Option<&str> {
        None
    }

    pub(crate) fn same_twin(&self, left: Value, right: Value) -> bool {
        left == right
    }

    /// Whether an object of the value's class understands `selector`.
    pub fn understands(&self, value: Value, selector: Symbol) -> bool {
        match self.find_method(self.class_of(value), selector) {
            Some(Target::Method(method)) => !self.linked(method).flags.private,
            Some(Target::Getter(_) | Target::Constant(_)) => true,
            None => false,
        }
    }
}
