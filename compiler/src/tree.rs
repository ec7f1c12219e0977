//! A method with its names bound: what `resolve` makes and `emit` turns into instructions.
//!
//! Variables are numbers into the method's table; slots, program variables and prototypes are
//! known as such; `self` and `super` are settled; sends that are compiled inline say so. The tree
//! lies in the arena of the syntax tree, so nodes are copied freely.
//!
//! Invariant: a block lists in `free` every variable from outside that is named anywhere inside
//! it, so that it can be made into a code of its own, whether it is inlined elsewhere or not.

use crate::ast::Literal;

/// A parameter or temporary of a method or of a block in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VariableId(pub u32);

/// What emission must know of a variable.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Variable {
    /// It lives in a cell: a block shares it, and it is assigned after the block may exist.
    pub in_cell: bool,
    /// It is named somewhere; others need no register.
    pub mentioned: bool,
    /// It may be read before it is assigned, so it must start as nil.
    pub starts_nil: bool,
}

/// A method, initialiser, or the statements of a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Routine<'a> {
    /// The table of variables.
    pub variables: &'a [Variable],
    /// Parameters, temporaries and statements; nothing is free in it.
    pub block: &'a Block<'a>,
    /// Whether it answers its last statement, as a block does, or `self`, as a method does.
    pub answers_last: bool,
}

/// A block, or the outermost part of a routine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'a> {
    /// In the order of the source.
    pub parameters: &'a [VariableId],
    /// In the order of the source.
    pub temporaries: &'a [VariableId],
    /// Up to the first `^`.
    pub statements: &'a [Statement<'a>],
    /// Variables from outside, in the order of their first mention.
    pub free: &'a [Free],
    /// Where it starts in the source.
    pub offset: u32,
}

/// A variable from outside of a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Free {
    /// Which.
    pub variable: VariableId,
    /// Whether it is assigned in the block.
    pub assigned: bool,
}

/// A statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Statement<'a> {
    /// For its effect, or as the last for its value.
    Expression(Expression<'a>),
    /// `^`: the method answers.
    Answer(Expression<'a>),
}

/// An expression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expression<'a> {
    /// What it is.
    pub kind: Kind<'a>,
    /// Where a fault in it points to.
    pub offset: u32,
    /// Whether a variable of the method is assigned somewhere in it.
    pub assigns: bool,
}

/// The kinds of expressions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    /// `self`.
    Itself,
    /// `nil`.
    Nil,
    /// `true`.
    True,
    /// `false`.
    False,
    /// A value written out.
    Literal(Literal<'a>),
    /// A parameter or temporary.
    Local(VariableId),
    /// A slot or constant of `self`.
    Slot(&'a str),
    /// A program variable.
    ProgramVariable(&'a str),
    /// A prototype, or a name found nowhere.
    Global(&'a str),
    /// `{ a. b }`.
    Brace(&'a [Expression<'a>]),
    /// A block that is a value.
    Block(&'a Block<'a>),
    /// `target := value`.
    Assign(Target<'a>, &'a Expression<'a>),
    /// A message.
    Send(&'a Send<'a>),
    /// Messages to one receiver.
    Cascade(&'a Cascade<'a>),
    /// What has a diagnostic already.
    Nothing,
}

/// What is assigned.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target<'a> {
    /// A temporary.
    Local(VariableId),
    /// A slot of `self`.
    Slot(&'a str),
    /// A program variable.
    ProgramVariable(&'a str),
}

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To any receiver.
    Near,
    /// The receiver is written `self`.
    ToSelf,
    /// The receiver is written `super`.
    ToSuper,
    /// `receiver ! message`.
    Far,
}

/// A selector with its arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// The selector.
    pub selector: &'a str,
    /// As many as it says.
    pub arguments: &'a [Expression<'a>],
    /// Where the selector stands.
    pub offset: u32,
}

/// A message to a receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Send<'a> {
    /// Whom it is sent to.
    pub receiver: Expression<'a>,
    /// What is sent.
    pub message: Message<'a>,
    /// How it travels.
    pub way: Way,
    /// How it is compiled.
    pub form: Form<'a>,
}

/// Messages to one receiver.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cascade<'a> {
    /// Whom all are sent to.
    pub receiver: Expression<'a>,
    /// Two or more.
    pub messages: &'a [Message<'a>],
    /// How they travel.
    pub way: Way,
}

/// How a send is compiled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form<'a> {
    /// As a send.
    Plain,
    /// As an instruction of arithmetic.
    Arithmetic(Operator),
    /// As an instruction of comparison.
    Comparison(Comparison),
    /// `at:`, as an instruction.
    At,
    /// `at:put:`, as an instruction where nobody wants the answer.
    AtPut,
    /// `==`, or negated `~~`.
    Identical {
        /// Whether it is `~~`.
        negated: bool,
    },
    /// `isNil`, or negated `notNil`.
    IsNil {
        /// Whether it is `notNil`.
        negated: bool,
    },
    /// `ifTrue:`, `ifFalse:` and both, in either order.
    If {
        /// What is done where the receiver is true.
        on_true: Option<&'a Block<'a>>,
        /// What is done where it is false.
        on_false: Option<&'a Block<'a>>,
    },
    /// `and:`, `or:`, `&&`, `||` with a block.
    ShortCircuit {
        /// Whether it is `or:` or `||`.
        is_or: bool,
        /// What decides where the receiver does not.
        block: &'a Block<'a>,
    },
    /// `ifNil:`, `ifNotNil:` and both, in either order.
    IfNil {
        /// What is done where the receiver is nil.
        on_nil: Option<&'a Block<'a>>,
        /// What is done where it is not; it may take the receiver.
        on_value: Option<&'a Block<'a>>,
    },
    /// `whileTrue:`, `whileFalse:`, `whileTrue`, `whileFalse`.
    While {
        /// The receiver.
        condition: &'a Block<'a>,
        /// What it answers while the loop goes on.
        wanted: bool,
        /// The argument.
        body: Option<&'a Block<'a>>,
    },
    /// `repeat`.
    Repeat(&'a Block<'a>),
    /// `to:do:` and `to:by:do:` with a literal step.
    ToDo {
        /// The step, where one is given.
        step: Option<Step<'a>>,
        /// The body, of one parameter.
        body: &'a Block<'a>,
    },
    /// `to:by:do:` with a step that is a name: inline where that is found to be above zero.
    ToByDo(&'a Block<'a>),
    /// `timesRepeat:`.
    TimesRepeat(&'a Block<'a>),
}

/// The step of a counting loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<'a> {
    /// The literal.
    pub literal: Literal<'a>,
    /// Whether it counts down.
    pub is_negative: bool,
    /// Its value, where it fits an instruction.
    pub tiny: Option<i8>,
}

/// The selectors of arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `+`.
    Add,
    /// `-`.
    Subtract,
    /// `*`.
    Multiply,
    /// `/`.
    Divide,
    /// `//`.
    Quotient,
    /// `\\`.
    Modulo,
}

/// The selectors of comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// `<`.
    Less,
    /// `<=`.
    LessEqual,
    /// `>`.
    Greater,
    /// `>=`.
    GreaterEqual,
    /// `=`.
    Equal,
    /// `~=`.
    NotEqual,
}
