//! What a generated program means, by its syntax tree alone.
//!
//! Every variable is a box of its own, every block a closure over boxes: nothing of the compiler's
//! cleverness is here, so that it can be held against it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use twintalk_compiler::ast::*;

use crate::machine::{DEPTH_MAX, End, Outcome, Run, STEPS_MAX, Stop, Value, World, operate};

/// A block with the variables around it.
#[derive(Debug)]
pub struct Closure<'a> {
    parameters: &'a [Name<'a>],
    body: Body<'a>,
    scope: Scope<'a>,
}

type Walked<'a> = Value<Closure<'a>>;
type Scope<'a> = HashMap<&'a str, Rc<RefCell<Walked<'a>>>>;

struct Walker<'a> {
    steps: usize,
    depth: usize,
    log: Vec<String>,
    kept: Vec<Walked<'a>>,
}

/// Runs the only method of the only definition with an integer.
pub fn run(file: &File<'_>, argument: i64) -> Run {
    let Item::Definition(definition) = file.items[0] else {
        panic!("a definition");
    };
    let Member::Method(method) = definition.instance.members[0] else {
        panic!("a method");
    };
    let body = method.body.expect("a body");
    let mut walker = Walker { steps: 0, depth: 0, log: Vec::new(), kept: Vec::new() };
    let arguments = [Value::Integer(argument)];
    let end = match walker.body(method.pattern.parameters, &body, &Scope::new(), &arguments) {
        // A method answers itself, unless it says otherwise.
        Ok(_) => End::Answer(Walked::Object.shown()),
        Err(Stop::Home(value)) => End::Answer(value.shown()),
        Err(Stop::NonBoolean) => End::NonBoolean,
        Err(Stop::Exhausted) => End::Exhausted,
    };
    Run { end, log: walker.log }
}

impl<'a> World<Closure<'a>> for Walker<'a> {
    fn call(&mut self, block: &Rc<Closure<'a>>, arguments: &[Walked<'a>]) -> Outcome<Closure<'a>> {
        if block.parameters.len() != arguments.len() {
            return Ok(Value::Nil);
        }
        self.body(block.parameters, &block.body, &block.scope, arguments)
    }

    fn log(&mut self, text: String) {
        self.log.push(text);
    }

    fn kept(&mut self) -> &mut Vec<Walked<'a>> {
        &mut self.kept
    }
}

impl<'a> Walker<'a> {
    fn body(
        &mut self,
        parameters: &'a [Name<'a>],
        body: &Body<'a>,
        around: &Scope<'a>,
        arguments: &[Walked<'a>],
    ) -> Outcome<Closure<'a>> {
        if self.depth == DEPTH_MAX {
            return Err(Stop::Exhausted);
        }
        self.depth += 1;
        let mut scope = around.clone();
        for (parameter, argument) in parameters.iter().zip(arguments) {
            scope.insert(parameter.text, Rc::new(RefCell::new(argument.clone())));
        }
        for temporary in body.temporaries {
            scope.insert(temporary.text, Rc::new(RefCell::new(Value::Nil)));
        }
        let mut last = Ok(Value::Nil);
        for statement in body.statements {
            last = match statement {
                Statement::Expression(expression) => self.expression(expression, &scope),
                Statement::Answer { value, span: _ } => {
                    self.expression(value, &scope).and_then(|value| Err(Stop::Home(value)))
                }
            };
            if last.is_err() {
                break;
            }
        }
        self.depth -= 1;
        last
    }

    fn expression(&mut self, expression: &Expression<'a>, scope: &Scope<'a>) -> Outcome<Closure<'a>> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(Stop::Exhausted);
        }
        match expression.kind {
            ExpressionKind::Name("self") => Ok(Value::Object),
            ExpressionKind::Name("nil") => Ok(Value::Nil),
            ExpressionKind::Name("true") => Ok(Value::Boolean(true)),
            ExpressionKind::Name("false") => Ok(Value::Boolean(false)),
            ExpressionKind::Name(name) => Ok(scope[name].borrow().clone()),
            ExpressionKind::Literal(literal) => Ok(walked(literal)),
            ExpressionKind::Brace(elements) => {
                let elements: Result<Vec<_>, _> = elements.iter().map(|e| self.expression(e, scope)).collect();
                Ok(Value::Array(Rc::new(elements?)))
            }
            ExpressionKind::Block { parameters, body } => {
                Ok(Value::Block(Rc::new(Closure { parameters, body, scope: scope.clone() })))
            }
            ExpressionKind::Assign { name, value } => {
                let value = self.expression(value, scope)?;
                *scope[name.text].borrow_mut() = value.clone();
                Ok(value)
            }
            ExpressionKind::Send { receiver, message, far: _ } => {
                let receiver = self.expression(receiver, scope)?;
                self.message(&receiver, &message, scope)
            }
            ExpressionKind::Cascade { receiver, messages, far: _ } => {
                let receiver = self.expression(receiver, scope)?;
                let mut last = Value::Nil;
                for message in messages {
                    last = self.message(&receiver, message, scope)?;
                }
                Ok(last)
            }
            ExpressionKind::Error => panic!("no generated program has mistakes"),
        }
    }

    fn message(&mut self, receiver: &Walked<'a>, message: &Message<'a>, scope: &Scope<'a>) -> Outcome<Closure<'a>> {
        let arguments: Result<Vec<_>, _> = message.arguments.iter().map(|a| self.expression(a, scope)).collect();
        let arguments = arguments?;
        let argument = |index: usize| match &arguments[index] {
            Value::Block(block) => Rc::clone(block),
            other => panic!("no block: {}", other.shown()),
        };
        let is_nil = matches!(receiver, Value::Nil);
        match (message.selector.text, receiver) {
            (selector @ ("whileTrue:" | "whileFalse:" | "whileTrue"), Value::Block(condition)) => loop {
                match self.call(condition, &[])? {
                    Value::Boolean(found) if found != (selector == "whileFalse:") => {
                        if selector != "whileTrue" {
                            self.call(&argument(0), &[])?;
                        }
                    }
                    Value::Boolean(_) => return Ok(Value::Nil),
                    _ => return Err(Stop::NonBoolean),
                }
            },
            ("ifNil:", _) => {
                if is_nil {
                    self.call(&argument(0), &[])
                } else {
                    Ok(receiver.clone())
                }
            }
            ("ifNotNil:", _) if is_nil => Ok(Value::Nil),
            ("ifNotNil:", _) => self.call(&argument(0), std::slice::from_ref(receiver)),
            ("ifNil:ifNotNil:", _) if is_nil => self.call(&argument(0), &[]),
            ("ifNil:ifNotNil:", _) => self.call(&argument(1), std::slice::from_ref(receiver)),
            ("isNil", _) => Ok(Value::Boolean(is_nil)),
            ("notNil", _) => Ok(Value::Boolean(!is_nil)),
            ("==", _) => Ok(Value::Boolean(receiver.is_identical(&arguments[0]))),
            ("~~", _) => Ok(Value::Boolean(!receiver.is_identical(&arguments[0]))),
            ("+" | "-" | "*" | "//" | "\\\\" | "<" | "<=" | ">" | ">=" | "=" | "~=", _) => {
                Ok(operate(message.selector.text, receiver, &arguments[0]))
            }
            (selector, _) => self.send(receiver, selector, &arguments),
        }
    }
}

fn walked<'a>(literal: Literal<'a>) -> Walked<'a> {
    match literal {
        Literal::Integer { negative, digits, radix: _ } => {
            let magnitude: i64 = digits.parse().expect("a small number");
            Value::Integer(if negative { -magnitude } else { magnitude })
        }
        Literal::Array(elements) => Value::Array(Rc::new(elements.iter().map(|element| walked(*element)).collect())),
        other => panic!("no generated program has {other:?}"),
    }
}
