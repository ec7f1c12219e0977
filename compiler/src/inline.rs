//! Which messages are compiled inline: by their selectors and the form of their arguments alone.
//!
//! A message is expanded in place when each block it needs is written there, with the number of
//! parameters that it would be given. Whatever the receiver is, the send itself remains as the
//! fallback, so nothing here depends on what methods there are; `isNil`, `==` and loops whose
//! receiver is a block written there are the exceptions, and are the language's own.

use crate::ast::{self, ExpressionKind, Literal};
use crate::literals;
use crate::tree::*;

/// How the blocks of a message belong to the code around them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// They are values, if there are any.
    Send,
    /// The arguments are branches, run at most once.
    Branches,
    /// Receiver and argument are run again and again.
    LoopAround,
    /// The last argument is run again and again.
    LoopInside,
}

/// Whether a name has a meaning of its own everywhere.
pub(crate) fn is_reserved(name: &str) -> bool {
    matches!(name, "self" | "super" | "nil" | "true" | "false" | "thisContext")
}

/// Whether a message of this selector is sent for its answer alone.
pub(crate) fn is_comparison(selector: &str) -> bool {
    matches!(selector, "=" | "==" | "~=" | "~~" | "<" | "<=" | ">" | ">=")
}

/// How many parameters a block written here has; none if it is something else.
fn parameters(expression: &ast::Expression<'_>) -> Option<usize> {
    match expression.kind {
        ExpressionKind::Block { parameters, body: _ } => Some(parameters.len()),
        ExpressionKind::Name(_)
        | ExpressionKind::Literal(_)
        | ExpressionKind::Brace(_)
        | ExpressionKind::Assign { .. }
        | ExpressionKind::Send { .. }
        | ExpressionKind::Cascade { .. }
        | ExpressionKind::Error => None,
    }
}

/// The shape of a message that is neither far nor to `super`.
pub(crate) fn shape(receiver: &ast::Expression<'_>, message: &ast::Message<'_>) -> Shape {
    let takes = |index: usize, counts: &[usize]| {
        message.arguments.get(index).and_then(parameters).is_some_and(|count| counts.contains(&count))
    };
    let is_block = parameters(receiver) == Some(0);
    let (fits, shape) = match message.selector.text {
        "ifTrue:" | "ifFalse:" | "and:" | "or:" | "&&" | "||" | "ifNil:" => (takes(0, &[0]), Shape::Branches),
        "ifTrue:ifFalse:" | "ifFalse:ifTrue:" => (takes(0, &[0]) && takes(1, &[0]), Shape::Branches),
        "ifNotNil:" => (takes(0, &[0, 1]), Shape::Branches),
        "ifNil:ifNotNil:" => (takes(0, &[0]) && takes(1, &[0, 1]), Shape::Branches),
        "ifNotNil:ifNil:" => (takes(0, &[0, 1]) && takes(1, &[0]), Shape::Branches),
        "whileTrue:" | "whileFalse:" => (is_block && takes(0, &[0]), Shape::LoopAround),
        "whileTrue" | "whileFalse" | "repeat" => (is_block, Shape::LoopAround),
        "timesRepeat:" => (takes(0, &[0]), Shape::LoopInside),
        // A limit written as a block would be taken for the body.
        "to:do:" => (takes(1, &[1]) && !is_any_block(&message.arguments[0]), Shape::LoopInside),
        "to:by:do:" => {
            let step = match message.arguments[1].kind {
                ExpressionKind::Literal(literal) => step(literal).is_some(),
                ExpressionKind::Name(_) => true,
                ExpressionKind::Brace(_)
                | ExpressionKind::Block { .. }
                | ExpressionKind::Assign { .. }
                | ExpressionKind::Send { .. }
                | ExpressionKind::Cascade { .. }
                | ExpressionKind::Error => false,
            };
            (step && takes(2, &[1]) && !is_any_block(&message.arguments[0]), Shape::LoopInside)
        }
        _ => (false, Shape::Send),
    };
    if fits { shape } else { Shape::Send }
}

fn is_any_block(expression: &ast::Expression<'_>) -> bool {
    parameters(expression).is_some()
}

/// A step that a counting loop can be compiled for: a number, and not zero.
fn step(literal: Literal<'_>) -> Option<Step<'_>> {
    let is_negative = match literal {
        Literal::Integer { .. } => match literals::small_integer(literal)? {
            0 => return None,
            value => value < 0,
        },
        Literal::Float(value) if value > 0.0 => false,
        Literal::Float(value) if value < 0.0 => true,
        Literal::Float(_)
        | Literal::Scaled { .. }
        | Literal::Character(_)
        | Literal::String(_)
        | Literal::Symbol(_)
        | Literal::Array(_)
        | Literal::Bytes(_)
        | Literal::Nil
        | Literal::True
        | Literal::False => return None,
    };
    let tiny = literals::small_integer(literal).and_then(|value| i8::try_from(value).ok());
    Some(Step { literal, is_negative, tiny })
}

/// The form of a message of this shape.
pub(crate) fn form<'a>(shape: Shape, receiver: &Expression<'a>, message: &Message<'a>) -> Form<'a> {
    let block = |expression: &Expression<'a>| {
        let Kind::Block(block) = expression.kind else { return None };
        Some(block)
    };
    let argument = |index: usize| message.arguments.get(index).and_then(block);
    let (first, second) = (argument(0), argument(1));
    let inlined = match (message.selector, first) {
        _ if shape == Shape::Send => None,
        ("ifTrue:", _) => Some(Form::If { on_true: first, on_false: None }),
        ("ifFalse:", _) => Some(Form::If { on_true: None, on_false: first }),
        ("ifTrue:ifFalse:", _) => Some(Form::If { on_true: first, on_false: second }),
        ("ifFalse:ifTrue:", _) => Some(Form::If { on_true: second, on_false: first }),
        ("ifNil:", _) => Some(Form::IfNil { on_nil: first, on_value: None }),
        ("ifNotNil:", _) => Some(Form::IfNil { on_nil: None, on_value: first }),
        ("ifNil:ifNotNil:", _) => Some(Form::IfNil { on_nil: first, on_value: second }),
        ("ifNotNil:ifNil:", _) => Some(Form::IfNil { on_nil: second, on_value: first }),
        ("and:" | "&&", Some(block)) => Some(Form::ShortCircuit { is_or: false, block }),
        ("or:" | "||", Some(block)) => Some(Form::ShortCircuit { is_or: true, block }),
        ("timesRepeat:", Some(body)) => Some(Form::TimesRepeat(body)),
        ("to:do:", _) => second.map(|body| Form::ToDo { step: None, body }),
        ("to:by:do:", _) => match (message.arguments[1].kind, argument(2)) {
            (Kind::Literal(literal), Some(body)) => step(literal).map(|step| Form::ToDo { step: Some(step), body }),
            (_, Some(body)) => Some(Form::ToByDo(body)),
            (_, None) => None,
        },
        ("repeat", _) => block(receiver).map(Form::Repeat),
        ("whileTrue:" | "whileTrue", _) => {
            block(receiver).map(|condition| Form::While { condition, wanted: true, body: first })
        }
        ("whileFalse:" | "whileFalse", _) => {
            block(receiver).map(|condition| Form::While { condition, wanted: false, body: first })
        }
        (_, _) => None,
    };
    inlined.unwrap_or(match message.selector {
        "+" => Form::Arithmetic(Operator::Add),
        "-" => Form::Arithmetic(Operator::Subtract),
        "*" => Form::Arithmetic(Operator::Multiply),
        "/" => Form::Arithmetic(Operator::Divide),
        "//" => Form::Arithmetic(Operator::Quotient),
        "\\\\" => Form::Arithmetic(Operator::Modulo),
        "<" => Form::Comparison(Comparison::Less),
        "<=" => Form::Comparison(Comparison::LessEqual),
        ">" => Form::Comparison(Comparison::Greater),
        ">=" => Form::Comparison(Comparison::GreaterEqual),
        "=" => Form::Comparison(Comparison::Equal),
        "~=" => Form::Comparison(Comparison::NotEqual),
        "at:" => Form::At,
        "at:put:" => Form::AtPut,
        "==" => Form::Identical { negated: false },
        "~~" => Form::Identical { negated: true },
        "isNil" => Form::IsNil { negated: false },
        "notNil" => Form::IsNil { negated: true },
        _ => Form::Plain,
    })
}
