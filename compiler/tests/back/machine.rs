//! A plain interpreter for what generated programs use, to see what instructions mean.
//!
//! It can be told that no value is a boolean or number in place: then each inlined message takes its
//! fallback, and what the blocks of fallbacks do is seen too.

use std::cell::RefCell;
use std::rc::Rc;

use twintalk_bytecode::Image;
use twintalk_bytecode::codec::decode_at;
use twintalk_bytecode::image::{Body, Code, Literal};
use twintalk_bytecode::op::Op;
use twintalk_bytecode::operand::{Fallback, Reg};

/// How many instructions or expressions a run has at most.
pub const STEPS_MAX: usize = 20_000;
/// How deep calls go at most.
pub const DEPTH_MAX: usize = 60;

/// What a run answered, and what it logged on the way.
#[derive(Debug, PartialEq)]
pub struct Run {
    pub end: End,
    pub log: Vec<String>,
}

/// How a run ended.
#[derive(Debug, PartialEq)]
pub enum End {
    /// With this value, as it prints.
    Answer(String),
    /// A loop's condition was no boolean.
    NonBoolean,
    /// It went on too long: nothing can be said of it.
    Exhausted,
}

/// A value; `B` is what a block is.
#[derive(Debug)]
pub enum Value<B> {
    Nil,
    Boolean(bool),
    Integer(i64),
    Object,
    Array(Rc<Vec<Value<B>>>),
    Block(Rc<B>),
}

impl<B> Clone for Value<B> {
    fn clone(&self) -> Value<B> {
        match self {
            Value::Nil => Value::Nil,
            Value::Boolean(value) => Value::Boolean(*value),
            Value::Integer(value) => Value::Integer(*value),
            Value::Object => Value::Object,
            Value::Array(elements) => Value::Array(Rc::clone(elements)),
            Value::Block(block) => Value::Block(Rc::clone(block)),
        }
    }
}

/// Why a run, or a method of it, is left.
pub enum Stop<B> {
    /// The method answers.
    Home(Value<B>),
    NonBoolean,
    Exhausted,
}

pub type Outcome<B> = Result<Value<B>, Stop<B>>;

/// How values are told apart and shown.
impl<B> Value<B> {
    pub fn is_identical(&self, other: &Value<B>) -> bool {
        match (self, other) {
            (Value::Nil, Value::Nil) | (Value::Object, Value::Object) => true,
            (Value::Boolean(left), Value::Boolean(right)) => left == right,
            (Value::Integer(left), Value::Integer(right)) => left == right,
            (Value::Array(left), Value::Array(right)) => Rc::ptr_eq(left, right),
            (Value::Block(left), Value::Block(right)) => Rc::ptr_eq(left, right),
            (_, _) => false,
        }
    }

    pub fn shown(&self) -> String {
        match self {
            Value::Nil => "nil".to_owned(),
            Value::Boolean(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Object => "self".to_owned(),
            Value::Array(elements) => {
                let elements: Vec<String> = elements.iter().map(Value::shown).collect();
                format!("{{{}}}", elements.join(" "))
            }
            Value::Block(_) => "block".to_owned(),
        }
    }
}

/// What messages do, whoever runs the blocks.
pub trait World<B> {
    fn call(&mut self, block: &Rc<B>, arguments: &[Value<B>]) -> Outcome<B>;
    fn log(&mut self, text: String);

    /// Blocks that `keep:` was sent with, to be run by `runKept`.
    fn kept(&mut self) -> &mut Vec<Value<B>>;

    /// `receiver selector: arguments`, really sent.
    fn send(&mut self, receiver: &Value<B>, selector: &str, arguments: &[Value<B>]) -> Outcome<B> {
        let value_of = |world: &mut Self, value: &Value<B>, arguments: &[Value<B>]| match value {
            Value::Block(block) => world.call(block, arguments),
            other => Ok(other.clone()),
        };
        let branch = |world: &mut Self, on_true: Option<usize>, on_false: Option<usize>| match receiver {
            Value::Boolean(condition) => match if *condition { on_true } else { on_false } {
                Some(index) => value_of(world, &arguments[index], &[]),
                None => Ok(Value::Nil),
            },
            _ => Ok(Value::Integer(-77)),
        };
        match (selector, receiver) {
            ("log:", _) => {
                self.log(arguments[0].shown());
                Ok(arguments[0].clone())
            }
            ("keep:", _) => {
                self.kept().push(arguments[0].clone());
                Ok(receiver.clone())
            }
            ("runKept", _) => {
                for block in std::mem::take(self.kept()) {
                    let answer = value_of(self, &block, &[])?;
                    self.log(answer.shown());
                }
                Ok(receiver.clone())
            }
            ("value", _) => value_of(self, receiver, &[]),
            ("value:", _) => value_of(self, receiver, arguments),
            ("ifTrue:", _) => branch(self, Some(0), None),
            ("ifFalse:", _) => branch(self, None, Some(0)),
            ("ifTrue:ifFalse:", _) => branch(self, Some(0), Some(1)),
            ("ifFalse:ifTrue:", _) => branch(self, Some(1), Some(0)),
            ("and:" | "&&", Value::Boolean(true)) => value_of(self, &arguments[0], &[]),
            ("or:" | "||", Value::Boolean(false)) => value_of(self, &arguments[0], &[]),
            ("and:" | "&&" | "or:" | "||", Value::Boolean(value)) => Ok(Value::Boolean(*value)),
            ("do:", Value::Array(elements)) => {
                for element in elements.iter() {
                    value_of(self, &arguments[0], std::slice::from_ref(element))?;
                }
                Ok(receiver.clone())
            }
            ("timesRepeat:", Value::Integer(count)) => {
                for _ in 0..*count {
                    value_of(self, &arguments[0], &[])?;
                }
                Ok(receiver.clone())
            }
            ("to:do:", Value::Integer(first)) => self.count(*first, &arguments[0], 1, &arguments[1]),
            ("to:by:do:", Value::Integer(first)) => match arguments[1] {
                Value::Integer(step) => self.count(*first, &arguments[0], step, &arguments[2]),
                _ => Ok(Value::Nil),
            },
            (operator, _) => Ok(operate(operator, receiver, &arguments[0])),
        }
    }

    fn count(&mut self, first: i64, last: &Value<B>, step: i64, body: &Value<B>) -> Outcome<B> {
        let Value::Integer(last) = *last else {
            return Ok(Value::Nil);
        };
        let mut counter = first;
        while if step > 0 { counter <= last } else { counter >= last } {
            if let Value::Block(block) = body {
                self.call(block, &[Value::Integer(counter)])?;
            }
            counter = counter.wrapping_add(step);
        }
        Ok(Value::Integer(first))
    }
}

/// Arithmetic and comparison; nil of what has no answer.
pub fn operate<B>(operator: &str, left: &Value<B>, right: &Value<B>) -> Value<B> {
    let (Value::Integer(left), Value::Integer(right)) = (left, right) else {
        return match operator {
            "=" => Value::Boolean(left.is_identical(right)),
            "~=" => Value::Boolean(!left.is_identical(right)),
            _ => Value::Nil,
        };
    };
    match operator {
        "+" => Value::Integer(left.wrapping_add(*right)),
        "-" => Value::Integer(left.wrapping_sub(*right)),
        "*" => Value::Integer(left.wrapping_mul(*right)),
        "//" if *right != 0 => Value::Integer(left.wrapping_div_euclid(*right)),
        "\\\\" if *right != 0 => Value::Integer(left.wrapping_rem_euclid(*right)),
        "<" => Value::Boolean(left < right),
        "<=" => Value::Boolean(left <= right),
        ">" => Value::Boolean(left > right),
        ">=" => Value::Boolean(left >= right),
        "=" => Value::Boolean(left == right),
        "~=" => Value::Boolean(left != right),
        _ => Value::Nil,
    }
}

/// A block: its code, and what it took along. There is one activation of one method, its home.
#[derive(Debug)]
pub struct Block {
    code: usize,
    captures: Vec<Held>,
}

type Machine = Value<Block>;

/// What a register holds.
#[derive(Clone, Debug)]
enum Held {
    Unassigned,
    Value(Machine),
    Cell(Rc<RefCell<Machine>>),
}

struct Interpreter<'i> {
    image: &'i Image,
    codes: &'i [Code],
    always_falls_back: bool,
    steps: usize,
    depth: usize,
    log: Vec<String>,
    kept: Vec<Machine>,
}

/// Runs the only method of `image` with an integer.
pub fn run(image: &Image, argument: i64, always_falls_back: bool) -> Run {
    let Body::Code(codes) = &image.methods[0].body else {
        panic!("the method has a body");
    };
    let mut interpreter =
        Interpreter { image, codes, always_falls_back, steps: 0, depth: 0, log: Vec::new(), kept: Vec::new() };
    let end = match interpreter.activate(0, &[Value::Integer(argument)], &[]) {
        Ok(value) | Err(Stop::Home(value)) => End::Answer(value.shown()),
        Err(Stop::NonBoolean) => End::NonBoolean,
        Err(Stop::Exhausted) => End::Exhausted,
    };
    Run { end, log: interpreter.log }
}

impl World<Block> for Interpreter<'_> {
    fn call(&mut self, block: &Rc<Block>, arguments: &[Machine]) -> Outcome<Block> {
        let wanted = usize::from(self.codes[block.code].argument_count);
        if wanted != arguments.len() {
            return Ok(Value::Nil);
        }
        self.activate(block.code, arguments, &block.captures)
    }

    fn log(&mut self, text: String) {
        self.log.push(text);
    }

    fn kept(&mut self) -> &mut Vec<Machine> {
        &mut self.kept
    }
}

impl Interpreter<'_> {
    fn activate(&mut self, number: usize, arguments: &[Machine], captures: &[Held]) -> Outcome<Block> {
        if self.depth == DEPTH_MAX {
            return Err(Stop::Exhausted);
        }
        self.depth += 1;
        let codes = self.codes;
        let mut registers = vec![Held::Unassigned; usize::from(codes[number].register_count)];
        registers[0] = Held::Value(Value::Object);
        let given = arguments.iter().cloned().map(Held::Value).chain(captures.iter().cloned());
        for (register, held) in registers[1..].iter_mut().zip(given) {
            *register = held;
        }
        let outcome = self.execute(&codes[number], &mut registers);
        self.depth -= 1;
        outcome
    }

    fn execute(&mut self, code: &Code, registers: &mut [Held]) -> Outcome<Block> {
        let mut word = 0;
        loop {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(Stop::Exhausted);
            }
            let op = decode_at(&code.words, word).expect("verified words decode");
            word += op.opcode().words();
            let jumped = |distance: i32| (word as i32 + distance) as usize;
            let site = |site: twintalk_bytecode::operand::Site| {
                let site = &code.sites[usize::from(site.0)];
                (self.image.name(site.selector), usize::from(site.argument_count))
            };
            let value = |registers: &[Held], register: Reg| match &registers[usize::from(register.0)] {
                Held::Value(value) => value.clone(),
                other => panic!("{op:?} reads {other:?}"),
            };
            let set = |registers: &mut [Held], register: Reg, value: Machine| {
                registers[usize::from(register.0)] = Held::Value(value);
            };
            macro_rules! binary {
                ($dst:expr, $left:expr, $right:expr, $site:expr) => {{
                    let (selector, _) = site($site);
                    let answer = operate(selector, &value(registers, $left), &value(registers, $right));
                    set(registers, $dst, answer);
                }};
            }
            match op {
                Op::Copy { dst, src } => registers[usize::from(dst.0)] = registers[usize::from(src.0)].clone(),
                Op::LoadNil { dst } => set(registers, dst, Value::Nil),
                Op::LoadTrue { dst } => set(registers, dst, Value::Boolean(true)),
                Op::LoadFalse { dst } => set(registers, dst, Value::Boolean(false)),
                Op::LoadInteger { dst, value } => set(registers, dst, Value::Integer(i64::from(value.0))),
                Op::LoadLiteral { dst, literal } => {
                    let literal = self.literal(&code.literals[usize::from(literal.0)]);
                    set(registers, dst, literal);
                }
                Op::MakeCell { dst, src } => {
                    let value = value(registers, src);
                    registers[usize::from(dst.0)] = Held::Cell(Rc::new(RefCell::new(value)));
                }
                Op::LoadCell { dst, cell } => match registers[usize::from(cell.0)].clone() {
                    Held::Cell(cell) => set(registers, dst, cell.borrow().clone()),
                    other => panic!("no cell: {other:?}"),
                },
                Op::StoreCell { cell, src } => match &registers[usize::from(cell.0)] {
                    Held::Cell(cell) => *cell.borrow_mut() = value(registers, src),
                    other => panic!("no cell: {other:?}"),
                },
                Op::MakeBlock { dst, code } => {
                    let captures = self.codes[usize::from(code.0)].captures.iter();
                    let captures = captures.map(|register| registers[usize::from(*register)].clone()).collect();
                    let block = Block { code: usize::from(code.0), captures };
                    set(registers, dst, Value::Block(Rc::new(block)));
                }
                Op::MakeArray { base, count } => {
                    let elements = (base.0..base.0 + count.0).map(|register| value(registers, Reg(register)));
                    let array = Value::Array(Rc::new(elements.collect()));
                    set(registers, base, array);
                }
                Op::Send { base, site: at } | Op::SendSuper { base, site: at } | Op::SendFar { base, site: at } => {
                    let (selector, count) = site(at);
                    let receiver = value(registers, base);
                    let arguments: Vec<Machine> =
                        (1..=count).map(|offset| value(registers, Reg(base.0 + offset as u8))).collect();
                    let answer = self.send(&receiver, selector, &arguments)?;
                    registers[usize::from(base.0)..].fill(Held::Unassigned);
                    registers[usize::from(base.0)] = Held::Value(answer);
                }
                Op::Add { dst, left, right, site: at }
                | Op::Subtract { dst, left, right, site: at }
                | Op::Multiply { dst, left, right, site: at }
                | Op::Quotient { dst, left, right, site: at }
                | Op::Modulo { dst, left, right, site: at }
                | Op::Less { dst, left, right, site: at }
                | Op::LessEqual { dst, left, right, site: at }
                | Op::Greater { dst, left, right, site: at }
                | Op::GreaterEqual { dst, left, right, site: at }
                | Op::Equal { dst, left, right, site: at }
                | Op::NotEqual { dst, left, right, site: at }
                | Op::LessJumpUnless { dst, left, right, site: at }
                | Op::LessEqualJumpUnless { dst, left, right, site: at }
                | Op::GreaterJumpUnless { dst, left, right, site: at }
                | Op::GreaterEqualJumpUnless { dst, left, right, site: at }
                | Op::EqualJumpUnless { dst, left, right, site: at }
                | Op::NotEqualJumpUnless { dst, left, right, site: at } => binary!(dst, left, right, at),
                Op::AddTiny { dst, left, right, site: at }
                | Op::SubtractTiny { dst, left, right, site: at }
                | Op::MultiplyTiny { dst, left, right, site: at }
                | Op::QuotientTiny { dst, left, right, site: at }
                | Op::ModuloTiny { dst, left, right, site: at }
                | Op::LessTinyJumpUnless { dst, left, right, site: at }
                | Op::LessEqualTinyJumpUnless { dst, left, right, site: at }
                | Op::GreaterTinyJumpUnless { dst, left, right, site: at }
                | Op::GreaterEqualTinyJumpUnless { dst, left, right, site: at }
                | Op::EqualTinyJumpUnless { dst, left, right, site: at }
                | Op::NotEqualTinyJumpUnless { dst, left, right, site: at } => {
                    let (selector, _) = site(at);
                    let right = Value::Integer(i64::from(right.0));
                    let answer = operate(selector, &value(registers, left), &right);
                    set(registers, dst, answer);
                }
                Op::Identical { dst, left, right } => {
                    let answer = value(registers, left).is_identical(&value(registers, right));
                    set(registers, dst, Value::Boolean(answer));
                }
                Op::Jump { target } | Op::JumpBack { target } => word = jumped(target.0),
                Op::JumpIf { condition, target, fallback } | Op::JumpUnless { condition, target, fallback } => {
                    let wanted = matches!(op, Op::JumpIf { .. });
                    match value(registers, condition) {
                        Value::Boolean(found) if fallback == Fallback(0) || !self.always_falls_back => {
                            if found == wanted {
                                word = jumped(i32::from(target.0));
                            }
                        }
                        _ if fallback == Fallback(0) => return Err(Stop::NonBoolean),
                        _ => word = jumped(i32::from(fallback.0)),
                    }
                }
                Op::JumpIfNil { value: at, target } => {
                    if matches!(value(registers, at), Value::Nil) {
                        word = jumped(i32::from(target.0));
                    }
                }
                Op::JumpUnlessNil { value: at, target } => {
                    if !matches!(value(registers, at), Value::Nil) {
                        word = jumped(i32::from(target.0));
                    }
                }
                Op::JumpUnlessNumber { value: at, target } => {
                    if self.always_falls_back || !matches!(value(registers, at), Value::Integer(_)) {
                        word = jumped(i32::from(target.0));
                    }
                }
                Op::Answer { value: at } => return Ok(value(registers, at)),
                Op::AnswerSelf {} => return Ok(Value::Object),
                Op::AnswerHome { value: at } => return Err(Stop::Home(value(registers, at))),
                Op::LoadGlobal { .. }
                | Op::LoadVariable { .. }
                | Op::StoreVariable { .. }
                | Op::LoadSlot { .. }
                | Op::StoreSlot { .. }
                | Op::Divide { .. }
                | Op::At { .. }
                | Op::AtPut { .. }
                | Op::LoadConstant { .. }
                | Op::LoadShared { .. }
                | Op::StoreShared { .. }
                | Op::Stub { .. } => panic!("no generated program has {op:?}"),
            }
        }
    }

    fn literal(&self, literal: &Literal) -> Machine {
        match literal {
            Literal::Integer(value) => Value::Integer(*value),
            Literal::Array(elements) => Value::Array(Rc::new(elements.iter().map(|e| self.literal(e)).collect())),
            other => panic!("no generated program has {other:?}"),
        }
    }
}
