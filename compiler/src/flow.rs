//! Messages of control flow, compiled inline.
//!
//! Each is laid out so that the way most often taken needs no jump that the source does not ask
//! for. The send that the message stands for is kept behind it, for receivers that are neither
//! true nor false, or no numbers; it cannot stand at the end of the code, since jumps only go
//! forward.
//!
//! **Conditions.** A comparison, `and:`, `or:`, `isNil` or `==` before a conditional jumps by itself and
//! makes no boolean. What is no boolean in between goes on as real sends: the stub of an `and:`
//! sends `and:` and then falls into the fallback of the conditional around it.

use twintalk_bytecode::op::Op;
use twintalk_bytecode::operand::{Reg, Small, Tiny};

use crate::assemble::{Condition, Label};
use crate::ast::Literal;
use crate::emit::{Emitter, Goal, Location, compare_and_jump, compare_tiny_and_jump, tiny};
use crate::literals;
use crate::registers::Mark;
use crate::tree::*;

/// Integers nearer to zero than this are surely numbers in place.
const SURELY_SMALL: u64 = 1 << 61;

/// What becomes of a tested value that is no boolean.
struct Otherwise<'a> {
    /// It is put here,
    register: Reg,
    /// and then control comes here.
    label: Label,
    /// A value that the code has at hand is a fault instead; what a real `and:` answers is not.
    faults: bool,
    /// What must happen on the way.
    stubs: Vec<Stub<'a>>,
}

/// A stretch of code on the way from a test to where its odd values go.
struct Stub<'a> {
    label: Label,
    work: Work<'a>,
    next: Label,
}

enum Work<'a> {
    /// The value is in this register and must be in the common one.
    Copy(Reg),
    /// The value, in the common register, is the receiver of this `and:` or `or:`. Its block may name
    /// temporaries of the conditions around it, so what was in use there is still needed.
    Send(&'a Send<'a>, Mark),
}

impl<'a> Emitter<'_, 'a> {
    /// Emits control flow towards `goal`; answers whether the message is some.
    pub(crate) fn flow(&mut self, send: &'a Send<'a>, offset: u32, goal: Goal) -> bool {
        match send.form {
            Form::Plain
            | Form::Arithmetic(_)
            | Form::Comparison(_)
            | Form::At
            | Form::AtPut
            | Form::Identical { .. }
            | Form::IsNil { .. } => return false,
            Form::If { .. }
            | Form::ShortCircuit { .. }
            | Form::ToDo { .. }
            | Form::ToByDo(_)
            | Form::TimesRepeat(_)
                if self.code.sends_all =>
            {
                self.real_send(send, None, None, goal);
            }
            Form::If { on_true, on_false } => self.conditional(send, on_true, on_false, goal),
            Form::ShortCircuit { is_or, block } => self.short_circuit(send, is_or, block, goal),
            Form::IfNil { on_nil, on_value } => self.if_nil(send, on_nil, on_value, goal),
            Form::While { condition, wanted, body } => {
                self.while_loop(condition, wanted, body, offset);
                self.nil(goal);
            }
            Form::Repeat(body) => {
                let head = self.code.assembler.open_loop();
                self.statements(body, Goal::Effect);
                self.code.assembler.jump_back(head);
                self.code.assembler.close_loop(head);
            }
            Form::ToDo { step, body } => self.count_to(send, step, body, goal),
            Form::ToByDo(body) => self.count_by(send, body, goal),
            Form::TimesRepeat(body) => self.times_repeat(send, body, goal),
        }
        true
    }

    // ---- the send itself ----

    /// The message as a send, with its blocks as codes. Its receiver, and its first argument where
    /// that is no block, may have been evaluated already.
    fn real_send(&mut self, send: &'a Send<'a>, receiver: Option<Reg>, argument: Option<Reg>, goal: Goal) {
        if !self.code.assembler.is_reachable() {
            return;
        }
        let mark = self.code.registers.mark();
        let shared = self.assigned_in(send.message.arguments);
        let (mut receiver, mut argument) = (receiver, argument);
        if !shared.is_empty() {
            // Evaluated before the cells are made: it may assign the variables.
            receiver = Some(receiver.unwrap_or_else(|| self.evaluated(&send.receiver)));
            if let Some(first) = send.message.arguments.first()
                && !matches!(first.kind, Kind::Block(_))
            {
                argument = Some(argument.unwrap_or_else(|| self.evaluated(first)));
            }
        }
        let before = self.share(&shared);
        let base = match (receiver, goal) {
            (Some(register), _) if self.code.registers.is_top(register) => register,
            (None, Goal::Into(dst)) if self.code.registers.is_top(dst) => dst,
            (Some(_) | None, _) => self.code.registers.take(),
        };
        match receiver {
            Some(register) => self.copy(base, register),
            None => self.towards(&send.receiver, Goal::Into(base)),
        }
        for (index, expression) in send.message.arguments.iter().enumerate() {
            let register = self.code.registers.take();
            match (expression.kind, argument) {
                (Kind::Block(block), _) => self.make_block(block, register, true),
                (_, Some(argument)) if index == 0 => self.copy(register, argument),
                (_, _) => self.towards(expression, Goal::Into(register)),
            }
        }
        self.send_at(send.message.selector, send.message.arguments.len(), send.way, base, send.message.offset);
        self.unshare(&shared, before);
        self.deliver(base, goal, Some(send.message.offset));
        self.code.registers.release(mark);
    }

    fn evaluated(&mut self, expression: &Expression<'a>) -> Reg {
        let register = self.code.registers.take();
        self.towards(expression, Goal::Into(register));
        register
    }

    /// The variables in registers that blocks among `arguments` assign.
    fn assigned_in(&self, arguments: &[Expression<'a>]) -> Vec<VariableId> {
        let mut assigned = Vec::new();
        for argument in arguments {
            if let Kind::Block(block) = argument.kind {
                self.add_assigned(block, &mut assigned);
            }
        }
        assigned
    }

    fn add_assigned(&self, block: &Block<'a>, assigned: &mut Vec<VariableId>) {
        for free in block.free {
            if free.assigned && !self.location(free.variable).in_cell && !assigned.contains(&free.variable) {
                assigned.push(free.variable);
            }
        }
    }

    /// Puts variables into cells for a while, and answers where they were.
    fn share(&mut self, variables: &[VariableId]) -> Vec<Location> {
        let locations: Vec<Location> = variables.iter().map(|variable| self.location(*variable)).collect();
        for (variable, location) in variables.iter().zip(&locations) {
            let cell = self.code.registers.take();
            self.op(Op::MakeCell { dst: cell, src: location.register }, None);
            self.code.locations.insert(*variable, Location { register: cell, in_cell: true, unmade: false });
        }
        locations
    }

    /// Takes them back out.
    fn unshare(&mut self, variables: &[VariableId], locations: Vec<Location>) {
        for (variable, location) in variables.iter().zip(locations) {
            let cell = self.location(*variable).register;
            self.op(Op::LoadCell { dst: location.register, cell }, None);
            self.code.locations.insert(*variable, location);
        }
    }

    /// Runs `body` as a block, for its effect.
    fn real_value(&mut self, body: &'a Block<'a>, offset: u32) {
        let mark = self.code.registers.mark();
        let mut shared = Vec::new();
        self.add_assigned(body, &mut shared);
        let before = self.share(&shared);
        let base = self.code.registers.take();
        self.make_block(body, base, true);
        self.send_at("value", 0, Way::Near, base, offset);
        self.unshare(&shared, before);
        self.code.registers.release(mark);
    }

    // ---- conditions ----

    /// Falls through where `expression` is the boolean `wanted`, and jumps to `target` where it is
    /// the other.
    fn test(&mut self, expression: &Expression<'a>, wanted: bool, target: Label, otherwise: &mut Otherwise<'a>) {
        if !self.code.assembler.is_reachable() {
            return;
        }
        let mark = self.code.registers.mark();
        match expression.kind {
            Kind::True | Kind::False => {
                if matches!(expression.kind, Kind::True) != wanted {
                    self.code.assembler.jump(target);
                }
            }
            Kind::Send(send) => match send.form {
                Form::Comparison(comparison) => self.test_comparison(send, comparison, wanted, target, otherwise),
                Form::Identical { negated } => {
                    let argument = &send.message.arguments[0];
                    let other = match (send.receiver.kind, argument.kind) {
                        (Kind::Nil, _) => Some(argument),
                        (_, Kind::Nil) => Some(&send.receiver),
                        (_, _) => None,
                    };
                    match other {
                        Some(other) => self.test_nil(other, wanted != negated, target),
                        None => {
                            let left = self.operand(&send.receiver, argument.assigns);
                            let right = self.any(argument);
                            let dst = otherwise.register;
                            self.op(Op::Identical { dst, left, right }, None);
                            self.branch_unless(wanted != negated, dst, target, None, None);
                        }
                    }
                }
                Form::IsNil { negated } => self.test_nil(&send.receiver, wanted != negated, target),
                Form::ShortCircuit { is_or, block } if !self.code.sends_all => {
                    self.test_short_circuit(send, is_or, block, wanted, target, otherwise);
                }
                Form::Plain
                | Form::Arithmetic(_)
                | Form::At
                | Form::AtPut
                | Form::ShortCircuit { .. }
                | Form::If { .. }
                | Form::IfNil { .. }
                | Form::While { .. }
                | Form::Repeat(_)
                | Form::ToDo { .. }
                | Form::ToByDo(_)
                | Form::TimesRepeat(_) => self.test_value(expression, wanted, target, otherwise),
            },
            Kind::Itself
            | Kind::Nil
            | Kind::Literal(_)
            | Kind::Local(_)
            | Kind::Slot(_)
            | Kind::ProgramVariable(_)
            | Kind::Global(_)
            | Kind::Brace(_)
            | Kind::Block(_)
            | Kind::Assign(..)
            | Kind::Cascade(_)
            | Kind::Nothing => self.test_value(expression, wanted, target, otherwise),
        }
        self.code.registers.release(mark);
    }

    /// Tests the last statement of `block`, after doing the others.
    fn test_block(&mut self, block: &'a Block<'a>, wanted: bool, target: Label, otherwise: &mut Otherwise<'a>) {
        let mark = self.code.registers.mark();
        self.declare(block.temporaries);
        let nil = Expression { kind: Kind::Nil, offset: block.offset, assigns: false };
        let (last, others) = match block.statements.split_last() {
            Some((last, others)) => (*last, others),
            None => (Statement::Expression(nil), [].as_slice()),
        };
        others.iter().for_each(|statement| self.statement(statement, Goal::Effect));
        match last {
            Statement::Expression(expression) => self.test(&expression, wanted, target, otherwise),
            Statement::Answer(_) => self.statement(&last, Goal::Effect),
        }
        self.code.registers.release(mark);
    }

    fn branch_unless(
        &mut self,
        wanted: bool,
        register: Reg,
        target: Label,
        fallback: Option<Label>,
        offset: Option<u32>,
    ) {
        let condition = if wanted { Condition::False } else { Condition::True };
        self.code.assembler.branch(condition, register, target, fallback, offset);
    }

    fn test_value(&mut self, expression: &Expression<'a>, wanted: bool, target: Label, otherwise: &mut Otherwise<'a>) {
        let common = otherwise.register;
        let register = match self.is_in_register(expression) || !self.code.registers.is_top(common) {
            true => self.any(expression),
            false => {
                self.towards(expression, Goal::Into(common));
                common
            }
        };
        let fallback = self.fallback_from(register, otherwise);
        self.branch_unless(wanted, register, target, fallback, Some(expression.offset));
    }

    /// The label for a value in `register` that is no boolean.
    fn fallback_from(&mut self, register: Reg, otherwise: &mut Otherwise<'a>) -> Option<Label> {
        if otherwise.faults {
            return None;
        }
        if register == otherwise.register {
            return Some(otherwise.label);
        }
        let label = self.code.assembler.label();
        otherwise.stubs.push(Stub { label, work: Work::Copy(register), next: otherwise.label });
        Some(label)
    }

    fn test_comparison(
        &mut self,
        send: &'a Send<'a>,
        comparison: Comparison,
        wanted: bool,
        target: Label,
        otherwise: &mut Otherwise<'a>,
    ) {
        let dst = otherwise.register;
        let offset = Some(send.message.offset);
        let op = match tiny(&send.message.arguments[0]) {
            Some(right) => {
                let left = self.left(send, dst);
                let site = self.site(send.message.selector, 1, send.way == Way::ToSelf);
                compare_tiny_and_jump(comparison, dst, left, right, site)
            }
            None => {
                let (left, right, site) = self.operands(send, dst);
                compare_and_jump(comparison, dst, left, right, site)
            }
        };
        self.op(op, offset);
        let fallback = self.fallback_from(dst, otherwise);
        // Only `jump_unless` is fused, so where the comparison is to fail a second jump helps out.
        if wanted {
            self.branch_unless(true, dst, target, fallback, offset);
        } else {
            let fails = self.code.assembler.label();
            self.branch_unless(true, dst, fails, fallback, offset);
            self.code.assembler.jump(target);
            self.code.assembler.bind(fails);
        }
    }

    fn test_nil(&mut self, expression: &Expression<'a>, wanted: bool, target: Label) {
        let register = self.any(expression);
        let condition = if wanted { Condition::NotNil } else { Condition::Nil };
        self.code.assembler.branch(condition, register, target, None, None);
    }

    fn test_short_circuit(
        &mut self,
        send: &'a Send<'a>,
        is_or: bool,
        block: &'a Block<'a>,
        wanted: bool,
        target: Label,
        otherwise: &mut Otherwise<'a>,
    ) {
        let label = self.code.assembler.label();
        let in_use = self.code.registers.mark();
        let register = otherwise.register;
        let mut of_receiver = Otherwise { register, label, faults: false, stubs: Vec::new() };
        // The block decides where the receiver does not: true for `and:`, false for `or:`.
        let decided = is_or;
        if decided == wanted {
            let through = self.code.assembler.label();
            self.test(&send.receiver, !decided, through, &mut of_receiver);
            self.test_block(block, wanted, target, otherwise);
            self.code.assembler.bind(through);
        } else {
            self.test(&send.receiver, !decided, target, &mut of_receiver);
            self.test_block(block, wanted, target, otherwise);
        }
        otherwise.stubs.append(&mut of_receiver.stubs);
        otherwise.stubs.push(Stub { label, work: Work::Send(send, in_use), next: otherwise.label });
    }

    /// Emits what must happen between tests and their common fallback. The common register is the
    /// highest in use.
    fn stubs(&mut self, otherwise: &mut Otherwise<'a>) {
        for stub in std::mem::take(&mut otherwise.stubs) {
            self.code.assembler.bind(stub.label);
            match stub.work {
                Work::Copy(register) => self.copy(otherwise.register, register),
                Work::Send(send, in_use) => {
                    let mark = self.code.registers.mark();
                    self.code.registers.keep(in_use);
                    self.real_send(send, Some(otherwise.register), None, Goal::Into(otherwise.register));
                    self.code.registers.release(mark);
                }
            }
            self.code.assembler.jump(stub.next);
        }
        self.code.assembler.bind(otherwise.label);
    }

    fn otherwise(&mut self, register: Reg, faults: bool) -> Otherwise<'a> {
        Otherwise { register, label: self.code.assembler.label(), faults, stubs: Vec::new() }
    }

    // ---- conditionals ----

    fn conditional(
        &mut self,
        send: &'a Send<'a>,
        on_true: Option<&'a Block<'a>>,
        on_false: Option<&'a Block<'a>>,
        goal: Goal,
    ) {
        let (wanted, first, second) = match (on_true, on_false) {
            (Some(first), second) => (true, first, second),
            (None, Some(first)) => (false, first, None),
            (None, None) => return,
        };
        let (other, end) = (self.code.assembler.label(), self.code.assembler.label());
        let mark = self.code.registers.mark();
        let common = self.code.registers.take();
        let mut otherwise = self.otherwise(common, false);
        self.test(&send.receiver, wanted, other, &mut otherwise);
        self.code.registers.release(mark);

        self.statements(first, goal);
        self.code.assembler.jump(end);

        let common = self.code.registers.take();
        self.stubs(&mut otherwise);
        self.real_send(send, Some(common), None, goal);
        self.code.registers.release(mark);
        self.code.assembler.jump(end);

        self.code.assembler.bind(other);
        if self.code.assembler.is_reachable() {
            match second {
                Some(block) => self.statements(block, goal),
                None => self.nil(goal),
            }
        }
        self.code.assembler.bind(end);
    }

    /// Where a value for `goal` can lie while `block` runs: in the goal's register if that is no
    /// variable that the block names.
    fn held(&mut self, goal: Goal, blocks: &[Option<&'a Block<'a>>]) -> Reg {
        if let Goal::Into(dst) = goal {
            let named = |block: &Block<'a>| block.free.iter().any(|f| self.location(f.variable).register == dst);
            if !blocks.iter().flatten().any(|block| named(block)) {
                return dst;
            }
        }
        self.code.registers.take()
    }

    fn short_circuit(&mut self, send: &'a Send<'a>, is_or: bool, block: &'a Block<'a>, goal: Goal) {
        let end = self.code.assembler.label();
        let mark = self.code.registers.mark();
        if goal == Goal::Effect {
            let common = self.code.registers.take();
            let mut otherwise = self.otherwise(common, false);
            self.test(&send.receiver, !is_or, end, &mut otherwise);
            self.code.registers.release(mark);
            self.statements(block, Goal::Effect);
            self.code.assembler.jump(end);
            let common = self.code.registers.take();
            self.stubs(&mut otherwise);
            self.real_send(send, Some(common), None, Goal::Effect);
            self.code.registers.release(mark);
            return self.code.assembler.bind(end);
        }
        let register = self.held(goal, &[Some(block)]);
        let after = match goal {
            Goal::Into(_) => Goal::Into(register),
            Goal::Effect | Goal::Answer | Goal::AnswerHome => goal,
        };
        self.towards(&send.receiver, Goal::Into(register));
        let fallback = self.code.assembler.label();
        self.branch_unless(!is_or, register, end, Some(fallback), Some(send.message.offset));
        self.statements(block, after);
        self.code.assembler.jump(end);
        self.code.assembler.bind(fallback);
        self.real_send(send, Some(register), None, after);
        self.code.assembler.jump(end);
        self.code.assembler.bind(end);
        self.deliver(register, goal, Some(send.message.offset));
        self.code.registers.release(mark);
    }

    fn if_nil(
        &mut self,
        send: &'a Send<'a>,
        on_nil: Option<&'a Block<'a>>,
        on_value: Option<&'a Block<'a>>,
        goal: Goal,
    ) {
        let (other, end) = (self.code.assembler.label(), self.code.assembler.label());
        let mark = self.code.registers.mark();
        if let Some(block) = on_value {
            let register = match block.parameters.first() {
                Some(parameter) => {
                    let register = self.code.registers.take_for_variable();
                    self.code.locations.insert(*parameter, Location::direct(register));
                    self.towards(&send.receiver, Goal::Into(register));
                    register
                }
                None => self.any(&send.receiver),
            };
            self.code.assembler.branch(Condition::Nil, register, other, None, None);
            self.statements(block, goal);
            self.code.registers.release(mark);
            self.code.assembler.jump(end);
            self.code.assembler.bind(other);
            if self.code.assembler.is_reachable() {
                match on_nil {
                    Some(block) => self.statements(block, goal),
                    None => self.nil(goal),
                }
            }
            return self.code.assembler.bind(end);
        }
        let Some(block) = on_nil else {
            return;
        };
        let register = match goal {
            Goal::Into(_) => {
                let register = self.held(goal, &[on_nil]);
                self.towards(&send.receiver, Goal::Into(register));
                register
            }
            Goal::Effect | Goal::Answer | Goal::AnswerHome => self.any(&send.receiver),
        };
        let after = match goal {
            Goal::Into(_) => Goal::Into(register),
            Goal::Effect | Goal::Answer | Goal::AnswerHome => goal,
        };
        self.code.assembler.branch(Condition::NotNil, register, end, None, None);
        self.statements(block, after);
        self.code.assembler.bind(end);
        self.deliver(register, goal, Some(send.message.offset));
        self.code.registers.release(mark);
    }

    /// `==` or `~~` into `dst`.
    pub(crate) fn identical(&mut self, send: &'a Send<'a>, negated: bool, dst: Reg) {
        let mark = self.code.registers.mark();
        let argument = &send.message.arguments[0];
        let left = self.operand(&send.receiver, argument.assigns);
        let right = self.any(argument);
        self.code.registers.release(mark);
        self.op(Op::Identical { dst, left, right }, None);
        if negated {
            let (other, end) = (self.code.assembler.label(), self.code.assembler.label());
            self.code.assembler.branch(Condition::True, dst, other, None, None);
            self.op(Op::LoadTrue { dst }, None);
            self.code.assembler.jump(end);
            self.code.assembler.bind(other);
            self.op(Op::LoadFalse { dst }, None);
            self.code.assembler.bind(end);
        }
    }

    /// `isNil` or `notNil` into `dst`.
    pub(crate) fn is_nil(&mut self, send: &'a Send<'a>, negated: bool, dst: Reg) {
        let (other, end) = (self.code.assembler.label(), self.code.assembler.label());
        let mark = self.code.registers.mark();
        let register = self.any(&send.receiver);
        self.code.registers.release(mark);
        let boolean = |value: bool| if value { Op::LoadTrue { dst } } else { Op::LoadFalse { dst } };
        self.code.assembler.branch(Condition::Nil, register, other, None, None);
        self.op(boolean(negated), None);
        self.code.assembler.jump(end);
        self.code.assembler.bind(other);
        self.op(boolean(!negated), None);
        self.code.assembler.bind(end);
    }

    // ---- loops ----

    fn while_loop(&mut self, condition: &'a Block<'a>, wanted: bool, body: Option<&'a Block<'a>>, offset: u32) {
        if !self.code.assembler.is_reachable() {
            return;
        }
        let end = self.code.assembler.label();
        let mark = self.code.registers.mark();
        let head = self.code.assembler.open_loop();
        let common = self.code.registers.take();
        let mut otherwise = self.otherwise(common, true);
        self.test_block(condition, wanted, end, &mut otherwise);
        self.code.registers.release(mark);
        if let Some(body) = body {
            self.statements(body, Goal::Effect);
        }
        self.code.assembler.jump_back(head);

        // What a real `and:` in the condition answered is tested here.
        let common = self.code.registers.take();
        self.stubs(&mut otherwise);
        self.branch_unless(wanted, common, end, None, Some(offset));
        if let Some(body) = body
            && self.code.assembler.is_reachable()
        {
            self.real_value(body, offset);
        }
        self.code.assembler.jump_back(head);
        self.code.registers.release(mark);
        self.code.assembler.close_loop(head);
        self.code.assembler.bind(end);
    }

    /// A number that stays what it is while `body` runs: in a register of its own, or in place.
    fn counted(&mut self, expression: &Expression<'a>, body: &'a Block<'a>) -> Reg {
        let is_assigned = |variable| body.free.iter().any(|free| free.assigned && free.variable == variable);
        let in_place = self.is_in_register(expression)
            && !matches!(expression.kind, Kind::Local(variable) if is_assigned(variable));
        if in_place { self.any(expression) } else { self.evaluated(expression) }
    }

    fn guard(&mut self, expression: &Expression<'a>, register: Reg, fallback: Label) {
        if !is_surely_number(expression) {
            self.code.assembler.branch(Condition::NotNumber, register, fallback, None, None);
        }
    }

    fn count_to(&mut self, send: &'a Send<'a>, step: Option<Step<'a>>, body: &'a Block<'a>, goal: Goal) {
        let arguments = send.message.arguments;
        let offset = send.message.offset;
        let mark = self.code.registers.mark();
        // The loop answers its receiver, if anybody asks.
        let answer = (goal != Goal::Effect).then(|| self.code.registers.take());
        let counter = self.code.registers.take_for_variable();
        self.towards(&send.receiver, Goal::Into(counter));
        let limit = self.counted(&arguments[0], body);
        let fallback = self.code.assembler.label();
        self.guard(&send.receiver, counter, fallback);
        self.guard(&arguments[0], limit, fallback);
        if let Some(answer) = answer {
            self.copy(answer, counter);
        }
        let by = match step {
            None => None,
            Some(Step { tiny: Some(_), .. }) => None,
            Some(step) => {
                let register = self.code.registers.take();
                self.load_literal(register, step.literal, offset);
                Some(register)
            }
        };
        if let Some(parameter) = body.parameters.first() {
            self.code.locations.insert(*parameter, Location::direct(counter));
        }
        let comparison = match step {
            Some(Step { is_negative: true, .. }) => Comparison::GreaterEqual,
            Some(_) | None => Comparison::LessEqual,
        };
        let advance = |emitter: &mut Self| {
            let site = emitter.site("+", 1, false);
            let op = match by {
                Some(right) => Op::Add { dst: counter, left: counter, right, site },
                None => {
                    let right = Tiny(step.and_then(|step| step.tiny).unwrap_or(1));
                    Op::AddTiny { dst: counter, left: counter, right, site }
                }
            };
            emitter.op(op, Some(offset));
        };
        let end = self.counting_loop(comparison, counter, limit, body, offset, advance);
        self.code.assembler.bind(fallback);
        self.real_send(send, Some(counter), Some(limit), answer.map_or(Goal::Effect, Goal::Into));
        self.code.assembler.bind(end);
        if let Some(answer) = answer {
            self.deliver(answer, goal, Some(offset));
        }
        self.code.registers.release(mark);
    }

    /// A loop by a step that is known when it starts: upwards inline, all else by the send.
    fn count_by(&mut self, send: &'a Send<'a>, body: &'a Block<'a>, goal: Goal) {
        let [limit, by, _] = send.message.arguments else { unreachable!("`to:by:do:` takes three arguments") };
        // The fallback reads the step again, so that must do nothing.
        if !matches!(by.kind, Kind::Local(_) | Kind::Slot(_)) {
            return self.real_send(send, None, None, goal);
        }
        let offset = send.message.offset;
        let mark = self.code.registers.mark();
        let answer = (goal != Goal::Effect).then(|| self.code.registers.take());
        let counter = self.code.registers.take_for_variable();
        self.towards(&send.receiver, Goal::Into(counter));
        let limit_register = self.counted(limit, body);
        let step = self.counted(by, body);
        let fallback = self.code.assembler.label();
        self.guard(&send.receiver, counter, fallback);
        self.guard(limit, limit_register, fallback);
        self.guard(by, step, fallback);
        let inner = self.code.registers.mark();
        let dst = self.code.registers.take();
        let site = self.site(">", 1, false);
        self.op(compare_tiny_and_jump(Comparison::Greater, dst, step, Tiny(0), site), Some(offset));
        self.branch_unless(true, dst, fallback, None, Some(offset));
        self.code.registers.release(inner);
        if let Some(answer) = answer {
            self.copy(answer, counter);
        }
        if let Some(parameter) = body.parameters.first() {
            self.code.locations.insert(*parameter, Location::direct(counter));
        }
        let advance = |emitter: &mut Self| {
            let site = emitter.site("+", 1, false);
            emitter.op(Op::Add { dst: counter, left: counter, right: step, site }, Some(offset));
        };
        let end = self.counting_loop(Comparison::LessEqual, counter, limit_register, body, offset, advance);
        self.code.assembler.bind(fallback);
        self.real_send(send, Some(counter), Some(limit_register), answer.map_or(Goal::Effect, Goal::Into));
        self.code.assembler.bind(end);
        if let Some(answer) = answer {
            self.deliver(answer, goal, Some(offset));
        }
        self.code.registers.release(mark);
    }

    /// Rounds of `body` while `counter` compares with `limit`; answers the label behind the loop and
    /// its fallback, still to be bound.
    fn counting_loop(
        &mut self,
        comparison: Comparison,
        counter: Reg,
        limit: Reg,
        body: &'a Block<'a>,
        offset: u32,
        advance: impl FnOnce(&mut Self),
    ) -> Label {
        let end = self.code.assembler.label();
        if !self.code.assembler.is_reachable() {
            return end;
        }
        let head = self.code.assembler.open_loop();
        let selector = if comparison == Comparison::LessEqual { "<=" } else { ">=" };
        let site = self.site(selector, 1, false);
        let mark = self.code.registers.mark();
        let dst = self.code.registers.take();
        self.op(compare_and_jump(comparison, dst, counter, limit, site), Some(offset));
        self.branch_unless(true, dst, end, None, Some(offset));
        self.code.registers.release(mark);
        self.statements(body, Goal::Effect);
        if self.code.assembler.is_reachable() {
            advance(self);
            self.code.assembler.jump_back(head);
        }
        self.code.assembler.close_loop(head);
        end
    }

    fn times_repeat(&mut self, send: &'a Send<'a>, body: &'a Block<'a>, goal: Goal) {
        let offset = send.message.offset;
        let mark = self.code.registers.mark();
        let answer = (goal != Goal::Effect).then(|| self.code.registers.take());
        let limit = self.counted(&send.receiver, body);
        let fallback = self.code.assembler.label();
        self.guard(&send.receiver, limit, fallback);
        if let Some(answer) = answer {
            self.copy(answer, limit);
        }
        let counter = self.code.registers.take();
        self.op(Op::LoadInteger { dst: counter, value: Small(1) }, None);
        let advance = |emitter: &mut Self| {
            let site = emitter.site("+", 1, false);
            emitter.op(Op::AddTiny { dst: counter, left: counter, right: Tiny(1), site }, Some(offset));
        };
        let end = self.counting_loop(Comparison::LessEqual, counter, limit, body, offset, advance);
        self.code.assembler.bind(fallback);
        self.real_send(send, Some(limit), None, answer.map_or(Goal::Effect, Goal::Into));
        self.code.assembler.bind(end);
        if let Some(answer) = answer {
            self.deliver(answer, goal, Some(offset));
        }
        self.code.registers.release(mark);
    }
}

/// Whether `jump_unless_number` would never jump.
fn is_surely_number(expression: &Expression<'_>) -> bool {
    let Kind::Literal(literal) = expression.kind else {
        return false;
    };
    let is_small = |value: i64| value.unsigned_abs() < SURELY_SMALL;
    matches!(literal, Literal::Float(_)) || literals::small_integer(literal).is_some_and(is_small)
}
