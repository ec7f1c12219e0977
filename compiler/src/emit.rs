//! From a method with its names bound to instructions.
//!
//! An expression is emitted towards a [`Goal`]: for its effect, into a register, or to be answered.
//! Variables have registers of their own and are read in place; what lies in between is taken from
//! the top of the window, so that arguments are evaluated straight into the window of their send
//! and its answer is used where it arrives. An assignment of arithmetic writes the variable's
//! register directly.
//!
//! **Inlined messages** ([`crate::flow`]) keep the send they stand for as a fallback, whose blocks
//! are codes of their own. Inside such a code, messages that would need a fallback in turn are
//! plain sends: otherwise each level of nesting would double the size. Variables that such a block
//! assigns live in a register elsewhere; around the send they lie in a cell made for it.
//!
//! **Order.** An operand that is read in place is read late. Where an operand after it assigns
//! something, it is copied first.

use hashbrown::HashMap;

use twintalk_bytecode::image::{self, Code, NameId, SendSite};
use twintalk_bytecode::op::Op;
use twintalk_bytecode::operand::{CodeIndex, Count, Global, Literal, Reg, Site, Slot, Small, Tiny, Variable};
use twintalk_bytecode::verify::TABLE_ROWS_MAX;

use crate::assemble::{Assembler, TooLong};
use crate::ast;
use crate::literals;
use crate::names::Tables;
use crate::registers::Registers;
use crate::tree::*;

/// How many elements a brace array has at most to be made in one piece.
const ARRAY_PIECE_MAX: usize = 128;
/// How many registers are left alone when an array is made in one piece, for its elements' sends.
const ARRAY_RESERVE: usize = 64;
/// How many literals of a code are searched for an equal one.
const LITERALS_SEARCHED: usize = 256;

/// What has no room in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge {
    /// Where.
    pub offset: u32,
    /// A sentence without a full stop.
    pub message: String,
}

/// Emits a routine: its body first, then its blocks.
pub(crate) fn emit(routine: &Routine<'_>, tables: &mut Tables) -> Result<Vec<Code>, TooLarge> {
    let mut emitter =
        Emitter { tables, variables: routine.variables, codes: Vec::new(), code: Writer::default(), too_large: None };
    emitter.code_of(routine.block, routine.answers_last, false);
    match emitter.too_large {
        Some(too_large) => Err(too_large),
        None => Ok(emitter.codes.into_iter().map(|code| code.expect("every code that is begun is ended")).collect()),
    }
}

/// Where the value of an expression goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Nowhere.
    Effect,
    /// Into this register.
    Into(Reg),
    /// The code answers it.
    Answer,
    /// The method around the block answers it.
    AnswerHome,
}

/// Where a variable is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Location {
    pub register: Reg,
    pub in_cell: bool,
    /// The cell is made by the first assignment, which comes next.
    pub unmade: bool,
}

impl Location {
    pub(crate) fn direct(register: Reg) -> Location {
        Location { register, in_cell: false, unmade: false }
    }
}

/// The code being written.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub number: usize,
    pub assembler: Assembler,
    pub registers: Registers,
    pub locations: HashMap<VariableId, Location>,
    /// Whether messages that need a fallback are plain sends here.
    pub sends_all: bool,
    literals: Vec<image::Literal>,
    sites: Vec<SendSite>,
    slots: Vec<NameId>,
}

/// Emits one routine.
pub(crate) struct Emitter<'t, 'a> {
    tables: &'t mut Tables,
    variables: &'a [crate::tree::Variable],
    codes: Vec<Option<Code>>,
    pub code: Writer,
    too_large: Option<TooLarge>,
}

impl<'a> Emitter<'_, 'a> {
    // ---- codes ----

    /// Emits `block` as a code of its own and answers its number. What is free in it is taken along
    /// from where it is in the code around.
    fn code_of(&mut self, block: &'a Block<'a>, answers_last: bool, sends_all: bool) -> usize {
        let number = self.codes.len();
        self.codes.push(None);
        let mut code = Writer { number, sends_all, ..Writer::default() };
        for parameter in block.parameters {
            let register = code.registers.take_for_variable();
            code.locations.insert(*parameter, Location::direct(register));
        }
        let mut captures = Vec::with_capacity(block.free.len());
        for free in block.free {
            let Location { register: from, in_cell, unmade: _ } = self.location(free.variable);
            captures.push(from.0);
            let register = code.registers.take_for_variable();
            code.locations.insert(free.variable, Location { register, in_cell, unmade: false });
        }
        let outer = std::mem::replace(&mut self.code, code);
        self.body(block, answers_last);
        let code = std::mem::replace(&mut self.code, outer);

        for (what, rows) in
            [("literals", code.literals.len()), ("sends", code.sites.len()), ("slots", code.slots.len())]
        {
            if rows > TABLE_ROWS_MAX {
                self.too_large(block.offset, format!("more than {TABLE_ROWS_MAX} {what} in one method or block"));
            }
        }
        if self.codes.len() > TABLE_ROWS_MAX {
            self.too_large(block.offset, format!("more than {TABLE_ROWS_MAX} blocks in one method"));
        }
        if code.registers.overflowed() || block.parameters.len() > usize::from(u8::MAX) {
            self.too_large(block.offset, "more than 255 variables and values at once in one method or block");
        }
        let (words, source_map) = match code.assembler.finish() {
            Ok(assembled) => (assembled.words, assembled.source_map),
            Err(TooLong) => {
                self.too_large(block.offset, "more instructions in one method or block than a jump can cross");
                (Vec::new(), Vec::new())
            }
        };
        self.codes[number] = Some(Code {
            argument_count: block.parameters.len() as u8,
            captures,
            register_count: code.registers.count(),
            words,
            literals: code.literals,
            sites: code.sites,
            slots: code.slots,
            source_map,
        });
        number
    }

    fn body(&mut self, block: &'a Block<'a>, answers_last: bool) {
        if answers_last {
            self.statements(block, Goal::Answer);
        } else {
            self.statements(block, Goal::Effect);
            self.op(Op::AnswerSelf {}, None);
        }
    }

    /// The temporaries and statements of `block`, the last towards `goal`.
    pub(crate) fn statements(&mut self, block: &'a Block<'a>, goal: Goal) {
        let mark = self.code.registers.mark();
        self.declare(block.temporaries);
        match block.statements.split_last() {
            Some((last, others)) => {
                others.iter().for_each(|statement| self.statement(statement, Goal::Effect));
                self.statement(last, goal);
            }
            None => self.nil(goal),
        }
        self.code.registers.release(mark);
    }

    /// Gives temporaries their registers and what they start with.
    pub(crate) fn declare(&mut self, temporaries: &[VariableId]) {
        for id in temporaries {
            let variable = self.variables[id.0 as usize];
            if !variable.mentioned {
                continue;
            }
            let register = self.code.registers.take_for_variable();
            let unmade = variable.in_cell && !variable.starts_nil;
            self.code.locations.insert(*id, Location { register, in_cell: variable.in_cell, unmade });
            if variable.starts_nil {
                self.op(Op::LoadNil { dst: register }, None);
                if variable.in_cell {
                    self.op(Op::MakeCell { dst: register, src: register }, None);
                }
            }
        }
    }

    pub(crate) fn statement(&mut self, statement: &Statement<'a>, goal: Goal) {
        match statement {
            Statement::Expression(expression) => self.towards(expression, goal),
            Statement::Answer(expression) => {
                let goal = if self.code.number == 0 { Goal::Answer } else { Goal::AnswerHome };
                self.towards(expression, goal);
            }
        }
    }

    // ---- instructions ----

    pub(crate) fn op(&mut self, op: Op, offset: Option<u32>) {
        self.code.assembler.op(op, offset);
    }

    pub(crate) fn copy(&mut self, dst: Reg, src: Reg) {
        if dst != src {
            self.op(Op::Copy { dst, src }, None);
        }
    }

    fn too_large(&mut self, offset: u32, message: impl Into<String>) {
        self.too_large.get_or_insert(TooLarge { offset, message: message.into() });
    }

    /// A new send site.
    pub(crate) fn site(&mut self, selector: &str, arguments: usize, to_self: bool) -> Site {
        let selector = self.tables.names.id(selector);
        // Too many are reported with the code, and so are too many arguments: they need registers.
        let row = self.code.sites.len();
        self.code.sites.push(SendSite { selector, argument_count: arguments as u8, to_self });
        Site(row as u16)
    }

    pub(crate) fn load_literal(&mut self, dst: Reg, literal: ast::Literal<'_>, offset: u32) {
        if !self.code.assembler.is_reachable() {
            return;
        }
        if let Some(value) = literals::small_integer(literal).and_then(|value| i16::try_from(value).ok()) {
            return self.op(Op::LoadInteger { dst, value: Small(value) }, None);
        }
        match literals::literal(literal, &mut self.tables.names) {
            Ok(literal) => self.load_image_literal(dst, literal),
            Err(reason) => self.too_large(offset, format!("this literal has {reason}")),
        }
    }

    fn load_image_literal(&mut self, dst: Reg, literal: image::Literal) {
        let literals = &mut self.code.literals;
        let first = literals.len().saturating_sub(LITERALS_SEARCHED);
        let row = match literals[first..].iter().position(|other| *other == literal) {
            Some(row) => first + row,
            None => {
                literals.push(literal);
                literals.len() - 1
            }
        };
        self.op(Op::LoadLiteral { dst, literal: Literal(row as u16) }, None);
    }

    fn slot(&mut self, name: &str) -> Slot {
        let name = self.tables.names.id(name);
        let slots = &mut self.code.slots;
        let row = slots.iter().position(|slot| *slot == name).unwrap_or_else(|| {
            slots.push(name);
            slots.len() - 1
        });
        Slot(row as u16)
    }

    fn program_variable(&mut self, name: &str) -> Variable {
        let name = self.tables.names.id(name);
        Variable(self.tables.variables.row(name) as u16)
    }

    pub(crate) fn location(&self, variable: VariableId) -> Location {
        let location = self.code.locations.get(&variable);
        *location.expect("a variable that is named is declared around its name")
    }

    /// Nil towards `goal`.
    pub(crate) fn nil(&mut self, goal: Goal) {
        match goal {
            Goal::Effect => {}
            Goal::Into(dst) => self.op(Op::LoadNil { dst }, None),
            Goal::Answer | Goal::AnswerHome => {
                let mark = self.code.registers.mark();
                let register = self.code.registers.take();
                self.op(Op::LoadNil { dst: register }, None);
                self.deliver(register, goal, None);
                self.code.registers.release(mark);
            }
        }
    }

    /// What is in `register` towards `goal`.
    pub(crate) fn deliver(&mut self, register: Reg, goal: Goal, offset: Option<u32>) {
        match goal {
            Goal::Effect => {}
            Goal::Into(dst) => self.copy(dst, register),
            Goal::Answer if register == Reg(0) && self.code.number == 0 => self.op(Op::AnswerSelf {}, None),
            Goal::Answer => self.op(Op::Answer { value: register }, None),
            Goal::AnswerHome => self.op(Op::AnswerHome { value: register }, offset),
        }
    }

    // ---- expressions ----

    /// Emits `expression` towards `goal`.
    pub(crate) fn towards(&mut self, expression: &Expression<'a>, goal: Goal) {
        if !self.code.assembler.is_reachable() {
            return;
        }
        if let Kind::Send(send) = expression.kind
            && self.flow(send, expression.offset, goal)
        {
            return;
        }
        match goal {
            Goal::Effect => self.effect(expression),
            Goal::Into(dst) => self.into(expression, dst),
            Goal::Answer | Goal::AnswerHome => {
                let mark = self.code.registers.mark();
                let register = self.any(expression);
                self.deliver(register, goal, Some(expression.offset));
                self.code.registers.release(mark);
            }
        }
    }

    fn effect(&mut self, expression: &Expression<'a>) {
        let mark = self.code.registers.mark();
        match expression.kind {
            // No effect, and no fault.
            Kind::Itself
            | Kind::Nil
            | Kind::True
            | Kind::False
            | Kind::Literal(_)
            | Kind::Local(_)
            | Kind::Slot(_)
            | Kind::Block(_)
            | Kind::Nothing => {}
            Kind::Send(send) if matches!(send.form, Form::AtPut) => self.at_put(send),
            Kind::ProgramVariable(_)
            | Kind::Global(_)
            | Kind::Brace(_)
            | Kind::Assign(..)
            | Kind::Send(_)
            | Kind::Cascade(_) => {
                self.any(expression);
            }
        }
        self.code.registers.release(mark);
    }

    /// A register that holds the value: a variable's own, or a new one at the top.
    pub(crate) fn any(&mut self, expression: &Expression<'a>) -> Reg {
        match expression.kind {
            Kind::Itself => return Reg(0),
            Kind::Local(variable) => {
                let location = self.location(variable);
                if !location.in_cell {
                    return location.register;
                }
            }
            Kind::Assign(target, value) => return self.assign(target, value, expression.offset),
            Kind::Nil
            | Kind::True
            | Kind::False
            | Kind::Literal(_)
            | Kind::Slot(_)
            | Kind::ProgramVariable(_)
            | Kind::Global(_)
            | Kind::Brace(_)
            | Kind::Block(_)
            | Kind::Send(_)
            | Kind::Cascade(_)
            | Kind::Nothing => {}
        }
        let register = self.code.registers.take();
        self.towards(expression, Goal::Into(register));
        register
    }

    /// As `any`, but the value stays what it is while what comes after is evaluated.
    pub(crate) fn operand(&mut self, expression: &Expression<'a>, later_assigns: bool) -> Reg {
        let register = self.any(expression);
        if !later_assigns || register == Reg(0) || self.code.registers.is_scratch(register) {
            return register;
        }
        let copy = self.code.registers.take();
        self.copy(copy, register);
        copy
    }

    /// Assigns, and answers a register that holds the value.
    fn assign(&mut self, target: Target<'a>, value: &Expression<'a>, offset: u32) -> Reg {
        match target {
            Target::Local(variable) => {
                let location = self.location(variable);
                if !location.in_cell {
                    self.towards(value, Goal::Into(location.register));
                    return location.register;
                }
                let register = self.any(value);
                if location.unmade {
                    self.op(Op::MakeCell { dst: location.register, src: register }, Some(offset));
                    self.code.locations.insert(variable, Location { unmade: false, ..location });
                } else {
                    self.op(Op::StoreCell { cell: location.register, src: register }, Some(offset));
                }
                register
            }
            Target::Slot(name) => {
                let src = self.any(value);
                let slot = self.slot(name);
                self.op(Op::StoreSlot { src, slot }, Some(offset));
                src
            }
            Target::ProgramVariable(name) => {
                let src = self.any(value);
                let variable = self.program_variable(name);
                self.op(Op::StoreVariable { src, variable }, Some(offset));
                src
            }
        }
    }

    /// Emits what is no control flow into `dst`.
    fn into(&mut self, expression: &Expression<'a>, dst: Reg) {
        let offset = Some(expression.offset);
        match expression.kind {
            Kind::Itself => self.copy(dst, Reg(0)),
            Kind::Nil => self.op(Op::LoadNil { dst }, None),
            Kind::True => self.op(Op::LoadTrue { dst }, None),
            Kind::False => self.op(Op::LoadFalse { dst }, None),
            Kind::Literal(literal) => self.load_literal(dst, literal, expression.offset),
            Kind::Local(variable) => {
                let location = self.location(variable);
                match location.in_cell {
                    true => self.op(Op::LoadCell { dst, cell: location.register }, offset),
                    false => self.copy(dst, location.register),
                }
            }
            Kind::Slot(name) => {
                let slot = self.slot(name);
                self.op(Op::LoadSlot { dst, slot }, offset);
            }
            Kind::ProgramVariable(name) => {
                let variable = self.program_variable(name);
                self.op(Op::LoadVariable { dst, variable }, offset);
            }
            Kind::Global(name) => {
                let name = self.tables.names.id(name);
                let global = Global(self.tables.globals.row(name) as u16);
                self.op(Op::LoadGlobal { dst, global }, offset);
            }
            Kind::Brace(elements) => self.brace(elements, expression.offset, dst),
            Kind::Block(block) => self.make_block(block, dst, self.code.sends_all),
            Kind::Assign(target, value) => {
                let mark = self.code.registers.mark();
                let register = self.assign(target, value, expression.offset);
                self.copy(dst, register);
                self.code.registers.release(mark);
            }
            Kind::Send(send) => self.send(send, dst),
            Kind::Cascade(cascade) => self.cascade(cascade, dst),
            Kind::Nothing => {}
        }
    }

    pub(crate) fn make_block(&mut self, block: &'a Block<'a>, dst: Reg, sends_all: bool) {
        if self.code.assembler.is_reachable() {
            let number = self.code_of(block, true, sends_all);
            self.op(Op::MakeBlock { dst, code: CodeIndex(number as u16) }, Some(block.offset));
        }
    }

    /// The register at which a window for `dst` starts: `dst` itself if nothing lies above it.
    fn window(&mut self, dst: Reg) -> Reg {
        if self.code.registers.is_top(dst) { dst } else { self.code.registers.take() }
    }

    // ---- sends ----

    /// Emits what is no control flow.
    fn send(&mut self, send: &'a Send<'a>, dst: Reg) {
        match send.form {
            Form::Arithmetic(operator) => self.arithmetic(operator, send, dst),
            Form::Comparison(comparison) => {
                let mark = self.code.registers.mark();
                let (left, right, site) = self.operands(send, dst);
                self.code.registers.release(mark);
                self.op(compare(comparison, dst, left, right, site), Some(send.message.offset));
            }
            Form::At => {
                let mark = self.code.registers.mark();
                let (receiver, index, site) = self.operands(send, dst);
                self.code.registers.release(mark);
                self.op(Op::At { dst, receiver, index, site }, Some(send.message.offset));
            }
            Form::Identical { negated } => self.identical(send, negated, dst),
            Form::IsNil { negated } => self.is_nil(send, negated, dst),
            Form::Plain
            | Form::AtPut
            | Form::If { .. }
            | Form::ShortCircuit { .. }
            | Form::IfNil { .. }
            | Form::While { .. }
            | Form::Repeat(_)
            | Form::ToDo { .. }
            | Form::ToByDo(_)
            | Form::TimesRepeat(_) => {
                let mark = self.code.registers.mark();
                let base = self.window(dst);
                self.towards(&send.receiver, Goal::Into(base));
                self.message(&send.message, send.way, base);
                self.copy(dst, base);
                self.code.registers.release(mark);
            }
        }
    }

    /// Emits the arguments and the send; the receiver is in `base`, the highest register in use.
    fn message(&mut self, message: &Message<'a>, way: Way, base: Reg) {
        let mark = self.code.registers.mark();
        for argument in message.arguments {
            let register = self.code.registers.take();
            self.towards(argument, Goal::Into(register));
        }
        self.code.registers.release(mark);
        self.send_at(message.selector, message.arguments.len(), way, base, message.offset);
    }

    /// `at:put:` whose answer nobody wants.
    fn at_put(&mut self, send: &'a Send<'a>) {
        let [index, value] = send.message.arguments else { unreachable!("`at:put:` takes two arguments") };
        let receiver = self.operand(&send.receiver, index.assigns || value.assigns);
        let index = self.operand(index, value.assigns);
        let value = self.any(value);
        let site = self.site(send.message.selector, 2, send.way == Way::ToSelf);
        self.op(Op::AtPut { receiver, index, value, site }, Some(send.message.offset));
    }

    /// A send whose receiver and arguments are in place.
    pub(crate) fn send_at(&mut self, selector: &str, arguments: usize, way: Way, base: Reg, offset: u32) {
        let to_self = matches!(way, Way::ToSelf | Way::ToSuper);
        let site = self.site(selector, arguments, to_self);
        let op = match way {
            Way::Near | Way::ToSelf => Op::Send { base, site },
            Way::ToSuper => Op::SendSuper { base, site },
            Way::Far => Op::SendFar { base, site },
        };
        self.op(op, Some(offset));
    }

    fn cascade(&mut self, cascade: &'a Cascade<'a>, dst: Reg) {
        let mark = self.code.registers.mark();
        let assigns = cascade.messages.iter().any(|m| m.arguments.iter().any(|argument| argument.assigns));
        let kept = match self.is_in_register(&cascade.receiver) {
            true => self.operand(&cascade.receiver, assigns),
            false => {
                let register = self.window(dst);
                self.towards(&cascade.receiver, Goal::Into(register));
                register
            }
        };
        let Some((last, others)) = cascade.messages.split_last() else {
            return;
        };
        for message in others {
            let mark = self.code.registers.mark();
            let base = self.code.registers.take();
            self.copy(base, kept);
            self.message(message, cascade.way, base);
            self.code.registers.release(mark);
        }
        let base = match self.code.registers.is_top(kept) {
            true => kept,
            false => self.window(dst),
        };
        self.copy(base, kept);
        self.message(last, cascade.way, base);
        self.copy(dst, base);
        self.code.registers.release(mark);
    }

    /// Whether the value is in a register already.
    pub(crate) fn is_in_register(&self, expression: &Expression<'a>) -> bool {
        match expression.kind {
            Kind::Itself => true,
            Kind::Local(variable) => !self.location(variable).in_cell,
            Kind::Nil
            | Kind::True
            | Kind::False
            | Kind::Literal(_)
            | Kind::Slot(_)
            | Kind::ProgramVariable(_)
            | Kind::Global(_)
            | Kind::Brace(_)
            | Kind::Block(_)
            | Kind::Assign(..)
            | Kind::Send(_)
            | Kind::Cascade(_)
            | Kind::Nothing => false,
        }
    }

    // ---- arithmetic and comparison ----

    /// The left operand: in place, or in `dst` where nothing else can want that.
    pub(crate) fn left(&mut self, send: &'a Send<'a>, dst: Reg) -> Reg {
        let assigns = send.message.arguments.iter().any(|argument| argument.assigns);
        match self.is_in_register(&send.receiver) || !self.code.registers.is_top(dst) {
            true => self.operand(&send.receiver, assigns),
            false => {
                self.towards(&send.receiver, Goal::Into(dst));
                dst
            }
        }
    }

    /// Both operands and the site of a binary send.
    pub(crate) fn operands(&mut self, send: &'a Send<'a>, dst: Reg) -> (Reg, Reg, Site) {
        let left = self.left(send, dst);
        let right = self.any(&send.message.arguments[0]);
        let site = self.site(send.message.selector, 1, send.way == Way::ToSelf);
        (left, right, site)
    }

    fn arithmetic(&mut self, operator: Operator, send: &'a Send<'a>, dst: Reg) {
        let offset = Some(send.message.offset);
        let mark = self.code.registers.mark();
        if operator != Operator::Divide
            && let Some(right) = tiny(&send.message.arguments[0])
        {
            let left = self.left(send, dst);
            self.code.registers.release(mark);
            let site = self.site(send.message.selector, 1, send.way == Way::ToSelf);
            let op = match operator {
                Operator::Add => Op::AddTiny { dst, left, right, site },
                Operator::Subtract => Op::SubtractTiny { dst, left, right, site },
                Operator::Multiply => Op::MultiplyTiny { dst, left, right, site },
                Operator::Quotient => Op::QuotientTiny { dst, left, right, site },
                Operator::Modulo => Op::ModuloTiny { dst, left, right, site },
                Operator::Divide => unreachable!("division has no form with an operand in place"),
            };
            return self.op(op, offset);
        }
        let (left, right, site) = self.operands(send, dst);
        self.code.registers.release(mark);
        let op = match operator {
            Operator::Add => Op::Add { dst, left, right, site },
            Operator::Subtract => Op::Subtract { dst, left, right, site },
            Operator::Multiply => Op::Multiply { dst, left, right, site },
            Operator::Divide => Op::Divide { dst, left, right, site },
            Operator::Quotient => Op::Quotient { dst, left, right, site },
            Operator::Modulo => Op::Modulo { dst, left, right, site },
        };
        self.op(op, offset);
    }

    // ---- brace arrays ----

    fn brace(&mut self, elements: &'a [Expression<'a>], offset: u32, dst: Reg) {
        let mark = self.code.registers.mark();
        let base = self.window(dst);
        let fits = elements.len() + ARRAY_RESERVE <= self.code.registers.free();
        if elements.is_empty() || (elements.len() <= ARRAY_PIECE_MAX && fits) || elements.len() == 1 {
            for (index, element) in elements.iter().enumerate() {
                let register = if index == 0 { base } else { self.code.registers.take() };
                self.towards(element, Goal::Into(register));
            }
            self.op(Op::MakeArray { base, count: Count(elements.len() as u8) }, Some(offset));
        } else {
            self.large_brace(elements, offset, base);
        }
        self.copy(dst, base);
        self.code.registers.release(mark);
    }

    /// An array of more elements than a window has room for: a copy of one of nils, filled.
    fn large_brace(&mut self, elements: &'a [Expression<'a>], offset: u32, base: Reg) {
        self.load_image_literal(base, image::Literal::Array(vec![image::Literal::Nil; elements.len()]));
        self.send_at("copy", 0, Way::Near, base, offset);
        for (index, element) in elements.iter().enumerate() {
            let mark = self.code.registers.mark();
            let window = self.code.registers.take();
            self.copy(window, base);
            let number = self.code.registers.take();
            let number_text = (index + 1).to_string();
            let literal = ast::Literal::Integer { negative: false, radix: 10, digits: &number_text };
            self.load_literal(number, literal, offset);
            let value = self.code.registers.take();
            self.towards(element, Goal::Into(value));
            self.send_at("at:put:", 2, Way::Near, window, offset);
            self.code.registers.release(mark);
        }
    }
}

/// The integer that the expression is, if it fits one byte.
pub(crate) fn tiny(expression: &Expression<'_>) -> Option<Tiny> {
    let Kind::Literal(literal) = expression.kind else { return None };
    literals::small_integer(literal).and_then(|value| i8::try_from(value).ok()).map(Tiny)
}

/// The instruction of a comparison with an operand in place, fused with the jump that follows.
pub(crate) fn compare_tiny_and_jump(comparison: Comparison, dst: Reg, left: Reg, right: Tiny, site: Site) -> Op {
    match comparison {
        Comparison::Less => Op::LessTinyJumpUnless { dst, left, right, site },
        Comparison::LessEqual => Op::LessEqualTinyJumpUnless { dst, left, right, site },
        Comparison::Greater => Op::GreaterTinyJumpUnless { dst, left, right, site },
        Comparison::GreaterEqual => Op::GreaterEqualTinyJumpUnless { dst, left, right, site },
        Comparison::Equal => Op::EqualTinyJumpUnless { dst, left, right, site },
        Comparison::NotEqual => Op::NotEqualTinyJumpUnless { dst, left, right, site },
    }
}

/// The instruction of a comparison.
pub(crate) fn compare(comparison: Comparison, dst: Reg, left: Reg, right: Reg, site: Site) -> Op {
    match comparison {
        Comparison::Less => Op::Less { dst, left, right, site },
        Comparison::LessEqual => Op::LessEqual { dst, left, right, site },
        Comparison::Greater => Op::Greater { dst, left, right, site },
        Comparison::GreaterEqual => Op::GreaterEqual { dst, left, right, site },
        Comparison::Equal => Op::Equal { dst, left, right, site },
        Comparison::NotEqual => Op::NotEqual { dst, left, right, site },
    }
}

/// The same, fused with the jump that follows.
pub(crate) fn compare_and_jump(comparison: Comparison, dst: Reg, left: Reg, right: Reg, site: Site) -> Op {
    match comparison {
        Comparison::Less => Op::LessJumpUnless { dst, left, right, site },
        Comparison::LessEqual => Op::LessEqualJumpUnless { dst, left, right, site },
        Comparison::Greater => Op::GreaterJumpUnless { dst, left, right, site },
        Comparison::GreaterEqual => Op::GreaterEqualJumpUnless { dst, left, right, site },
        Comparison::Equal => Op::EqualJumpUnless { dst, left, right, site },
        Comparison::NotEqual => Op::NotEqualJumpUnless { dst, left, right, site },
    }
}
