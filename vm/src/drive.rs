//! The loop that drives a run: interpret, ask the world, go on.
//!
//! The interpreter leaves whenever it needs something from outside, with a [`Question`] noted; here it is put to
//! the [`World`] of a turn or the [`ProgramWorld`] of a program, and the answer goes where the run
//! waits for it. A fault that comes back is raised there, so a program can handle it.

use std::ptr::NonNull;

use crate::class::{LinkedMethod, Target};
use crate::fault::{ExceptionKind, Fault};
use crate::interpret::{Exit, Flow};
use crate::name::Name;
use crate::primitive::{Primitive, Stop, Window};
use crate::symbol::{Symbol, argument_count};
use crate::turn::{ALL, Mode, first_segment};
use crate::turn_world::TurnWorld;
use crate::value::Value;
use crate::vm::{Limits, Vm};
use crate::world::{Answer, FarQuery, Given, ProgramWorld, Request};

/// How a stretch of interpretation ended.
pub(crate) enum End {
    Done(Value),
    Failed(Fault),
    NotYet,
}

/// What the run asks.
pub(crate) enum Question {
    /// A twin of the composite, for the send that waits to be done again.
    Near(String),
    /// Whether there is a twin of the composite at the path.
    Exists(String),
    /// A twin of the composite is to be brought in and removed.
    Remove(String),
    /// What a clone is made from of the twin at `from`, with its parts.
    CloneImage {
        /// The twin of the composite.
        from: String,
        /// Where the clone is to be.
        to: String,
    },
    /// A clone is made in this composite.
    Clone {
        /// Where.
        path: String,
        /// What from.
        arguments: Vec<u8>,
    },
    /// The parts below a path, a string.
    Parts {
        /// The path.
        path: String,
        /// Those of parts too.
        all: bool,
    },
    /// A query to another composite.
    Query(FarQuery),
    /// In a program: a plain send.
    Turn {
        /// Whom.
        path: String,
        /// The prototype that the reference says the twin has.
        kind: Option<String>,
        /// What.
        selector: String,
        /// With what.
        arguments: Vec<u8>,
    },
    /// In a program: a far send.
    FarSend {
        /// Whom.
        path: Name,
        /// The prototype that the reference says the twin has.
        kind: Option<Name>,
        /// What.
        selector: Name,
        /// With what.
        arguments: Vec<u8>,
    },
    /// In a program: whether a reply is there.
    IsResolved(u64),
    /// In a program: wait for a reply.
    Wait(u64),
    /// In a program: let time pass.
    Advance(i64),
    /// In a program: what time is it.
    Now,
    /// In a program: what it was started with.
    Arguments,
    /// In a program: what the records behind the first so many say.
    Records(u64),
    /// In a program: something of the machine.
    Machine(Request),
    /// In a program: print.
    Print(String),
}

/// Who answers: a turn's world or a program's.
pub(crate) enum Asked<'a> {
    Turn(TurnWorld),
    Program(&'a mut dyn ProgramWorld),
}

impl Vm {
    // ---- programs ----

    /// Sets what every run from now on may spend.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.heap.region_mut().set_cap_bytes(limits.memory_bytes);
    }

    /// Whether programs from now on ask many twins page by page as they look at what these answer, instead of at once. That is
    /// the same where nothing changes meanwhile.
    pub fn set_pages(&mut self, on: bool) {
        self.pages = on;
    }

    /// What the last run left of its fuel.
    pub fn fuel_left(&self) -> i64 {
        self.run.fuel
    }

    /// Runs the statements of the image linked last; nil where it has none.
    ///
    /// The answer is good until the next run on this VM.
    ///
    /// # Errors
    /// An exception that nobody handled, or a limit.
    pub fn run_main(&mut self, world: &mut dyn ProgramWorld) -> Result<Value, Fault> {
        self.start_program(world)?;
        let answer = match self.images.last().and_then(|image| image.main) {
            Some(main) => self.run_method(main, &[Value::NIL], world)?,
            None => Value::NIL,
        };
        if self.run.promises.is_empty() {
            return Ok(answer);
        }
        // The answer waits where the collector finds it.
        self.begin(&[]);
        self.run.handles.push(answer);
        loop {
            world.settle(self)?;
            if !self.run_due_blocks(world)? {
                return Ok(self.run.handles[0]);
            }
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
        world: &mut dyn ProgramWorld,
    ) -> Result<Value, Fault> {
        assert_eq!(argument_count(selector), arguments.len(), "`{selector}` takes as many arguments");
        let selector = self.symbols.intern(selector);
        let mut values = vec![receiver];
        values.extend_from_slice(arguments);
        self.run.fuel = self.limits.fuel;
        let window = self.begin(&values);
        let step = self.dispatch(window, window, selector, arguments.len(), true, None);
        let flow = self.settle(step, window, window);
        self.program_end(flow, world)
    }

    /// What `printString` answers, as text.
    ///
    /// # Errors
    /// As [`Vm::run_main`].
    pub fn print_string(&mut self, value: Value, world: &mut dyn ProgramWorld) -> Result<String, Fault> {
        let answer = self.send(value, "printString", &[], world)?;
        let shown = self.as_text(answer).map(str::to_owned);
        Ok(shown.unwrap_or_else(|| format!("a {} whose printString is no string", self.class_name(value))))
    }

    /// Runs a primitive on a receiver and arguments, whatever they are: for tests, since a program may
    /// come close to that.
    ///
    /// # Errors
    /// As [`Vm::run_main`].
    #[doc(hidden)]
    pub fn run_primitive(
        &mut self,
        primitive: Primitive,
        values: &[Value],
        world: &mut dyn ProgramWorld,
    ) -> Result<Value, Fault> {
        self.run.fuel = self.limits.fuel;
        let window = self.begin(values);
        let answer = primitive(self, Window { base: 0, argument_count: values.len() - 1 });
        let flow = match answer {
            Ok(value) => {
                self.set_stack_at(0, value);
                Flow::Go
            }
            Err(stop) => self.settle(Err(stop), window, window),
        };
        self.program_end(flow, world)
    }

    /// Runs a method on a receiver and arguments, to its end.
    pub(crate) fn run_method(
        &mut self,
        method: NonNull<LinkedMethod>,
        values: &[Value],
        world: &mut dyn ProgramWorld,
    ) -> Result<Value, Fault> {
        self.run.fuel = self.limits.fuel;
        let window = self.begin(values);
        let step = self.invoke(window, window, method, values.len() - 1);
        let flow = self.settle(step, window, window);
        self.program_end(flow, world)
    }

    fn program_end(&mut self, flow: Flow, world: &mut dyn ProgramWorld) -> Result<Value, Fault> {
        match self.go_on(&mut Asked::Program(world), flow) {
            End::Done(value) => Ok(value),
            End::Failed(fault) => Err(fault),
            End::NotYet => unreachable!("a program's world answers at once"),
        }
    }

    /// Gives the slots behind the dashes their first values, once.
    fn start_program(&mut self, world: &mut dyn ProgramWorld) -> Result<(), Fault> {
        for (prototype, slot, initialiser) in std::mem::take(&mut self.shared_initialisers) {
            let value = self.run_method(initialiser, &[prototype], world)?;
            self.heap.init_slot(prototype, slot, value);
        }
        Ok(())
    }

    /// Shows `text`: in a program at once, in a turn when it is committed. For primitives.
    ///
    /// # Errors
    /// The fault of a turn that leaves too much. In a program the stop that lets the world print, whose answer is nil.
    pub fn print(&mut self, text: String) -> Result<Value, Stop> {
        match self.run.turn.mode {
            Mode::Program => {
                self.run.question = Some(Question::Print(text));
                Err(Stop::Ask)
            }
            Mode::Turn => {
                self.leave(text.len())?;
                self.run.turn.effects.output.push_str(&text);
                Ok(Value::NIL)
            }
        }
    }

    /// Whether an object of the value's class understands `selector`.
    pub fn understands(&self, value: Value, selector: Symbol) -> bool {
        match self.find_method(self.class_of(value), selector) {
            Some(Target::Method(method)) => !self.linked(method).flags.private,
            Some(Target::Getter(_) | Target::Constant(_)) => true,
            None => false,
        }
    }

    // ---- any run ----

    /// Runs from `flow` on until the first frame answers, asking the world on the way.
    pub(crate) fn go_on(&mut self, world: &mut Asked<'_>, mut flow: Flow) -> End {
        loop {
            let exit = match flow {
                Flow::Go if self.profile.is_some() => self.interpret_profiled(),
                Flow::Go => self.interpret(),
                Flow::Exit(exit) => exit,
            };
            match exit {
                Exit::Next => unreachable!("`interpret` goes on by itself"),
                Exit::Done => {
                    // A program that nobody saved has unwound to its start.
                    return match self.run.fault.take() {
                        Some(fault) => End::Failed(fault),
                        None => End::Done(self.final_answer()),
                    };
                }
                Exit::Fault => {
                    let fault = self.run.fault.take().expect("noted by whoever stopped");
                    return End::Failed(fault);
                }
                Exit::Ask => {
                    let question = self.run.question.take().expect("noted by whoever asked");
                    match self.ask(world, question) {
                        Ok(Some(next)) => flow = next,
                        Ok(None) => return End::NotYet,
                        Err(fault) => return End::Failed(fault),
                    }
                }
            }
        }
    }

    /// Asks, and puts the answer where the run wants it. `None`: not known yet.
    fn ask(&mut self, world: &mut Asked<'_>, question: Question) -> Result<Option<Flow>, Fault> {
        match (question, world) {
            (Question::Near(path), world) => {
                let resend = self.run.resend.take().expect("noted with the question");
                let Some(there) = self.bring(world, &path)? else { return Ok(None) };
                if there.is_none() {
                    let fault = self.missing(&path);
                    return Ok(Some(self.raise_at(resend.window, resend.answer, fault)));
                }
                let step = self.send_to_reference(resend.window, resend.answer, resend.selector, resend.argument_count);
                Ok(Some(self.settle(step, resend.answer, resend.window)))
            }
            (Question::Exists(path), world) => {
                let Some(there) = self.bring(world, &path)? else { return Ok(None) };
                self.put_answer(Value::boolean(there.is_some()));
                Ok(Some(Flow::Go))
            }
            (Question::Remove(path), world) => {
                let Some(there) = self.bring(world, &path)? else { return Ok(None) };
                if let Some(nth) = there {
                    self.run.turn.remove(nth);
                }
                self.put_answer(Value::NIL);
                Ok(Some(Flow::Go))
            }
            (Question::CloneImage { from, to }, world @ Asked::Turn(_)) => self.answer_clone_image(world, &from, &to),
            (Question::Clone { path, arguments }, world @ Asked::Turn(_)) => {
                match self.make_clone(world, &path, &arguments)? {
                    None => Ok(None),
                    Some(Ok(twin)) => {
                        let kind = self.class(self.class_of(twin)).name;
                        match self.new_reference(&path, Some(kind)) {
                            Ok(reference) => {
                                self.put_answer(reference);
                                Ok(Some(Flow::Go))
                            }
                            Err(stop) => Err(self.fault_of_stop(stop)),
                        }
                    }
                    Some(Err(fault)) => Ok(Some(self.raise_answer(fault))),
                }
            }
            (Question::Parts { path, all }, Asked::Turn(world)) => {
                let Answer::Here(committed) = world.parts(&path) else { return Ok(None) };
                let mut paths = self.parts_now(&path, committed);
                if !all {
                    paths.retain(|part| !part[path.len() + 1..].contains('/'));
                }
                match self.new_references(&paths) {
                    Ok(array) => {
                        self.put_answer(array);
                        Ok(Some(Flow::Go))
                    }
                    Err(stop) => Err(self.fault_of_stop(stop)),
                }
            }
            (Question::Query(query), Asked::Turn(world)) => {
                let used = self.run.turn.answers_used;
                let answer = match self.run.turn.answers.get(used) {
                    // It asks somebody else than it did: then it is not the turn that it was.
                    Some(answer) if answer.composite != first_segment(&query.path) => return Ok(None),
                    Some(answer) => answer.clone(),
                    None => match world.far_query(self, &query) {
                        Answer::Here(answer) => answer,
                        Answer::NotYet => return Ok(None),
                    },
                };
                if used == self.run.turn.answers.len() {
                    self.run.turn.answers.push(answer.clone());
                }
                self.run.turn.answers_used += 1;
                if !self.run.turn.leaves(answer.reply.as_ref().map_or(64, Vec::len)) {
                    return Err(self.too_large());
                }
                self.take_reply(answer.reply).map(Some)
            }
            (Question::Turn { path, kind, selector, arguments }, Asked::Program(world)) => {
                let reply = world.turn(self, &path, kind.as_deref(), &selector, &arguments);
                if selector == ALL && matches!(&reply, Err(fault) if fault.kind == ExceptionKind::ProgramOnly.name()) {
                    // It is evaluated here then.
                    self.put_answer(Value::NIL);
                    return Ok(Some(Flow::Go));
                }
                if let Err(fault) = self.run_due_blocks(*world) {
                    return Ok(Some(self.raise_answer(fault)));
                }
                self.take_reply(reply).map(Some)
            }
            (Question::FarSend { path, kind, selector, arguments }, Asked::Program(world)) => {
                match world.far_send(self, &path, kind.as_deref(), &selector, &arguments) {
                    Ok(number) => match self.new_promise(number) {
                        Ok(promise) => {
                            self.put_answer(promise);
                            Ok(Some(Flow::Go))
                        }
                        Err(stop) => Err(self.fault_of_stop(stop)),
                    },
                    Err(fault) => Ok(Some(self.raise_answer(fault))),
                }
            }
            (Question::IsResolved(promise), Asked::Program(world)) => {
                self.put_answer(Value::boolean(world.is_resolved(promise)));
                Ok(Some(Flow::Go))
            }
            (Question::Wait(number), Asked::Program(world)) => {
                let reply = world.wait(self, number);
                self.settle_in_program(self.run.promise, reply)?;
                self.run.handles.push(self.run.promise);
                let ran = self.run_due_blocks(*world);
                let promise = self.run.handles.pop().expect("pushed above");
                if let Err(fault) = ran {
                    return Ok(Some(self.raise_answer(fault)));
                }
                match self.answer_of_promise(promise) {
                    Ok(answer) => {
                        self.put_answer(answer);
                        Ok(Some(Flow::Go))
                    }
                    Err(stop) => Ok(Some(self.settle(Err(stop), self.run.answer_at, self.run.scratch_top))),
                }
            }
            (Question::Advance(duration_ns), Asked::Program(world)) => {
                let advanced = world.advance_clock(self, duration_ns);
                match advanced.and_then(|()| self.run_due_blocks(*world)) {
                    Ok(_) => {
                        self.put_answer(Value::NIL);
                        Ok(Some(Flow::Go))
                    }
                    Err(fault) => Ok(Some(self.raise_answer(fault))),
                }
            }
            (Question::Now, Asked::Program(world)) => {
                let now_ns = world.now_ns();
                match self.new_integer(now_ns) {
                    Ok(now) => {
                        self.put_answer(now);
                        Ok(Some(Flow::Go))
                    }
                    Err(stop) => Err(self.fault_of_stop(stop)),
                }
            }
            (Question::Arguments, Asked::Program(world)) => {
                let arguments = world.arguments().to_vec();
                match self.new_array_of_strings(&arguments) {
                    Ok(array) => {
                        self.put_answer(array);
                        Ok(Some(Flow::Go))
                    }
                    Err(stop) => Err(self.fault_of_stop(stop)),
                }
            }
            (Question::Records(from), Asked::Program(world)) => {
                let bytes = match world.records(self, from) {
                    Ok(bytes) => bytes,
                    Err(fault) => return Ok(Some(self.raise_answer(fault))),
                };
                let before = self.run.handles.len();
                self.decode_arguments(&bytes).map_err(|error| self.decode_fault(&error))?;
                let records = self.run.handles.get(before).copied().unwrap_or(Value::NIL);
                self.run.handles.truncate(before);
                self.put_answer(records);
                Ok(Some(Flow::Go))
            }
            (Question::Machine(request), Asked::Program(world)) => {
                let answer = match world.machine(&request) {
                    Ok(Given::Nothing) => Ok(Value::NIL),
                    Ok(Given::Text(text)) => self.new_string(&text),
                    Ok(Given::Names(names)) => self.new_array_of_strings(&names),
                    Err(text) => {
                        let fault = Fault { kind: "FileError".to_owned(), text, trace: Vec::new() };
                        return Ok(Some(self.raise_answer(fault)));
                    }
                };
                match answer {
                    Ok(answer) => {
                        self.put_answer(answer);
                        Ok(Some(Flow::Go))
                    }
                    Err(stop) => Err(self.fault_of_stop(stop)),
                }
            }
            (Question::Print(text), Asked::Program(world)) => {
                world.print(&text);
                self.put_answer(Value::NIL);
                Ok(Some(Flow::Go))
            }
            (
                Question::Parts { .. } | Question::Query(_) | Question::CloneImage { .. } | Question::Clone { .. },
                Asked::Program(_),
            ) => unreachable!("a program sends to twins, it asks nothing of a composite"),
            (
                Question::Turn { .. }
                | Question::FarSend { .. }
                | Question::IsResolved(_)
                | Question::Wait(_)
                | Question::Advance(_)
                | Question::Now
                | Question::Arguments
                | Question::Records(_)
                | Question::Machine(_)
                | Question::Print(_),
                Asked::Turn(_),
            ) => unreachable!("only programs ask this"),
        }
    }

    /// A reply from elsewhere becomes the answer of the send that waits, or is raised there.
    pub(crate) fn take_reply(&mut self, reply: Result<Vec<u8>, Fault>) -> Result<Flow, Fault> {
        let bytes = match reply {
            Ok(bytes) => bytes,
            Err(fault) => return Ok(self.raise_answer(fault)),
        };
        match self.decode_message(&bytes) {
            Ok(value) => {
                self.put_answer(value);
                Ok(Flow::Go)
            }
            Err(error) => Err(self.decode_fault(&error)),
        }
    }

    /// Raises `fault` where the run waits for an answer.
    pub(crate) fn raise_answer(&mut self, fault: Fault) -> Flow {
        let answer = self.run.answer_at;
        let window = self.run.scratch_top;
        self.raise_at(window, answer, fault)
    }

    /// Raises `fault` as an exception of its kind, where the program or the kernel has one. From `window` on the
    /// stack is free.
    fn raise_at(&mut self, window: *mut Value, answer: *mut Value, fault: Fault) -> Flow {
        self.run.raise = Some(self.exception_for(&fault.kind, fault.text));
        self.settle(Err(Stop::Raise), answer, window)
    }
}
