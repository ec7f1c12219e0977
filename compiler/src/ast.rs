//! What the source says, nothing resolved.
//!
//! The tree lies in a bump arena and borrows names and comments from the source. Every node has
//! the span that a diagnostic about it would underline. Nothing here knows what a name means:
//! whether `level` is a slot, a temporary or a program variable is for `resolve` to say.

/// A range of bytes in one source file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// The span from `start` up to `end`.
    pub fn new(start: u32, end: u32) -> Span {
        Span { start, end }
    }

    /// From where `self` starts to where `other` ends.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// A word of the source with its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// The text: of a keyword selector all its parts, `at:put:`.
    pub text: &'a str,
    /// Where; of a keyword selector from its first part to its last.
    pub span: Span,
}

/// A whole file.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// In the order of the source.
    pub items: &'a [Item<'a>],
}

/// What may stand at top level.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// `import 'other.twin'.`
    Import(Import<'a>),
    /// `twin|object|trait NAME = ...`, or SOM's plain form.
    Definition(&'a Definition<'a>),
    /// `extend NAME = ( ... )`.
    Extend(&'a Extend<'a>),
    /// `| a b |`: program variables.
    Variables(&'a [Name<'a>]),
    /// A statement of the program.
    Statement(Statement<'a>),
}

/// `import 'other.twin'.`
#[derive(Clone, Copy, Debug)]
pub struct Import<'a> {
    /// The path, quotes and doubled quotes undone.
    pub path: &'a str,
    /// The string.
    pub span: Span,
}

/// How a definition starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefinitionKind {
    /// `twin NAME = ...`
    Twin,
    /// `object NAME = ...`
    Object,
    /// `trait NAME = ...`
    Trait,
    /// `NAME = ...`, SOM's form: an object.
    Plain,
}

/// A definition.
#[derive(Clone, Copy, Debug)]
pub struct Definition<'a> {
    /// How it starts.
    pub kind: DefinitionKind,
    /// What it defines.
    pub name: Name<'a>,
    /// The parent, where one is named. (SOM's `nil` as parent is the name `nil`.)
    pub parent: Option<Name<'a>>,
    /// `+ TRAIT + TRAIT`.
    pub traits: &'a [Name<'a>],
    /// What stands between the brackets, up to `----`.
    pub instance: Side<'a>,
    /// What stands behind `----`.
    pub side: Option<Side<'a>>,
    /// The comments directly before it, joined by line ends.
    pub comment: Option<&'a str>,
    /// All of it.
    pub span: Span,
}

/// `extend NAME = ( members ---- members )`.
#[derive(Clone, Copy, Debug)]
pub struct Extend<'a> {
    /// What is extended.
    pub name: Name<'a>,
    /// What stands before `----`. Slots here are an error, which `resolve` reports.
    pub instance: Side<'a>,
    /// What stands behind it.
    pub side: Option<Side<'a>>,
    /// The comments directly before it, joined by line ends.
    pub comment: Option<&'a str>,
    /// All of it.
    pub span: Span,
}

/// Slots and members of one side of `----`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Side<'a> {
    /// Of all slot sections, in order.
    pub slots: &'a [Slot<'a>],
    /// In order.
    pub members: &'a [Member<'a>],
}

/// A slot between bars.
#[derive(Clone, Copy, Debug)]
pub struct Slot<'a> {
    /// Its name.
    pub name: Name<'a>,
    /// `<...>`, where there is one.
    pub annotation: Option<Annotation<'a>>,
    /// What it starts with.
    pub initial: SlotInitial<'a>,
    /// The comments directly before it, or on its line after it.
    pub comment: Option<&'a str>,
    /// All of it.
    pub span: Span,
}

/// What a slot starts with.
#[derive(Clone, Copy, Debug)]
pub enum SlotInitial<'a> {
    /// nil.
    None,
    /// `<- expression`.
    Slot(Expression<'a>),
    /// `= expression`.
    Constant(Expression<'a>),
}

/// `<Integer 'rev/min' min: 0 max: 3600>`.
#[derive(Clone, Copy, Debug)]
pub struct Annotation<'a> {
    /// In the order of the source.
    pub parts: &'a [AnnotationPart<'a>],
    /// With the angle brackets.
    pub span: Span,
}

/// One thing that an annotation says.
#[derive(Clone, Copy, Debug)]
pub enum AnnotationPart<'a> {
    /// A type, a unit or a word such as `personal`.
    Name(Name<'a>),
    /// A string: a unit.
    String(Name<'a>),
    /// A number.
    Number(Literal<'a>, Span),
    /// `min: 0`, `keep: 30 days`.
    Keyword {
        /// With its colon.
        name: Name<'a>,
        /// A literal.
        value: Literal<'a>,
        /// At most one unary message to it.
        unary: Option<Name<'a>>,
        /// Of literal and message.
        span: Span,
    },
}

/// What stands beside slots in a definition.
#[derive(Clone, Copy, Debug)]
pub enum Member<'a> {
    /// A method.
    Method(&'a Method<'a>),
    /// `event pattern.`
    Event {
        /// Name and parameters.
        pattern: Pattern<'a>,
        /// The comments before it.
        comment: Option<&'a str>,
        /// All of it.
        span: Span,
    },
    /// `timer name every:|after: duration = ( body )`.
    Timer {
        /// Its name.
        name: Name<'a>,
        /// `every:` rather than `after:`.
        repeats: bool,
        /// How long.
        duration: Expression<'a>,
        /// What it does.
        body: Body<'a>,
        /// The comments before it.
        comment: Option<&'a str>,
        /// All of it.
        span: Span,
    },
    /// `invariant name = ( body )`.
    Invariant {
        /// Its name.
        name: Name<'a>,
        /// Answers whether it holds.
        body: Body<'a>,
        /// The comments before it.
        comment: Option<&'a str>,
        /// All of it.
        span: Span,
    },
    /// `version n.`
    Version {
        /// The number.
        number: i64,
        /// The comments before it.
        comment: Option<&'a str>,
        /// All of it.
        span: Span,
    },
    /// `supervise ...`.
    Supervise {
        /// A word alone, or words with colons, each with a value.
        words: &'a [SuperviseWord<'a>],
        /// The comments before it.
        comment: Option<&'a str>,
        /// All of it.
        span: Span,
    },
    /// `migrate n = ( body )`.
    Migrate {
        /// The version it comes from.
        from: i64,
        /// The number.
        from_span: Span,
        /// What it does.
        body: Body<'a>,
        /// The comments before it.
        comment: Option<&'a str>,
        /// All of it.
        span: Span,
    },
}

/// One thing that `supervise` says.
#[derive(Clone, Copy, Debug)]
pub struct SuperviseWord<'a> {
    /// `quarantine`, or with its colon `retry:`.
    pub word: Name<'a>,
    /// What stands behind the colon.
    pub value: Option<SuperviseValue<'a>>,
}

/// What stands behind a word of `supervise`.
#[derive(Clone, Copy, Debug)]
pub enum SuperviseValue<'a> {
    /// `then: quarantine`.
    Name(Name<'a>),
    /// `retry: 5`, `after: 100 milliseconds`.
    Number {
        /// The number.
        value: Literal<'a>,
        /// The word behind it.
        unit: Option<Name<'a>>,
        /// Of both.
        span: Span,
    },
}

/// A selector with its parameters.
#[derive(Clone, Copy, Debug)]
pub struct Pattern<'a> {
    /// All its parts.
    pub selector: Name<'a>,
    /// As many as the selector says.
    pub parameters: &'a [Name<'a>],
}

/// What stands before a method's pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modifiers {
    /// `private`.
    pub private: bool,
    /// `query`.
    pub query: bool,
}

/// `modifiers pattern = ( body )`, or `= primitive`.
#[derive(Clone, Copy, Debug)]
pub struct Method<'a> {
    /// What stands before the pattern.
    pub modifiers: Modifiers,
    /// Selector and parameters.
    pub pattern: Pattern<'a>,
    /// None: `primitive`.
    pub body: Option<Body<'a>>,
    /// The comments directly before it, or else first in its body.
    pub comment: Option<&'a str>,
    /// All of it.
    pub span: Span,
}

/// Temporaries and statements.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    /// `| a b |`.
    pub temporaries: &'a [Name<'a>],
    /// In order.
    pub statements: &'a [Statement<'a>],
    /// With its brackets.
    pub span: Span,
}

/// A statement.
#[derive(Clone, Copy, Debug)]
pub enum Statement<'a> {
    /// An expression for its effect, or as the last for its value.
    Expression(Expression<'a>),
    /// `^expression`.
    Answer {
        /// What is answered.
        value: Expression<'a>,
        /// With the `^`.
        span: Span,
    },
}

/// An expression.
#[derive(Clone, Copy, Debug)]
pub struct Expression<'a> {
    /// What it is.
    pub kind: ExpressionKind<'a>,
    /// Where.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Copy, Debug)]
pub enum ExpressionKind<'a> {
    /// A name: `self`, `super`, `nil`, `true`, `false`, `thisContext`, a variable, a slot, a prototype.
    Name(&'a str),
    /// A value written out.
    Literal(Literal<'a>),
    /// `{ a. b }`.
    Brace(&'a [Expression<'a>]),
    /// `[ :a | | t | ... ]`.
    Block {
        /// `:a :b`.
        parameters: &'a [Name<'a>],
        /// The rest; its span is the block's.
        body: Body<'a>,
    },
    /// `name := value`.
    Assign {
        /// What is assigned.
        name: Name<'a>,
        /// The value.
        value: &'a Expression<'a>,
    },
    /// `receiver selector arguments`.
    Send {
        /// Whom it is sent to.
        receiver: &'a Expression<'a>,
        /// What is sent.
        message: Message<'a>,
        /// `receiver ! message`.
        far: bool,
    },
    /// `receiver first; second; third`.
    Cascade {
        /// Whom all are sent to.
        receiver: &'a Expression<'a>,
        /// Two or more.
        messages: &'a [Message<'a>],
        /// `receiver ! first; second`: all far.
        far: bool,
    },
    /// What the parser could not read, after its diagnostic; to be passed over in silence.
    Error,
}

/// A selector with its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The selector.
    pub selector: Name<'a>,
    /// As many as the selector says.
    pub arguments: &'a [Expression<'a>],
}

/// A value written out in the source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Literal<'a> {
    /// An integer of any size, as its digits: `-16rFF` is `negative`, radix 16, `FF`.
    Integer {
        /// With a minus sign directly before it.
        negative: bool,
        /// 2 to 36.
        radix: u32,
        /// Upper-case digits and letters, without `_`.
        digits: &'a str,
    },
    /// A float.
    Float(f64),
    /// `3.50s2`.
    Scaled {
        /// With a minus sign directly before it.
        negative: bool,
        /// All digits, without the point and without leading zeros: `350`.
        digits: &'a str,
        /// How many of them are behind the point.
        scale: u32,
    },
    /// `$a`.
    Character(char),
    /// `'text'`, quotes and doubled quotes undone.
    String(&'a str),
    /// `#symbol`, `#at:put:`, `#+`, `#'any text'`.
    Symbol(&'a str),
    /// `#( ... )`; inside it bare words are symbols, but for nil, true and false.
    Array(&'a [Literal<'a>]),
    /// `#[ ... ]`.
    Bytes(&'a [u8]),
    /// `nil`, inside literal arrays.
    Nil,
    /// `true`, inside literal arrays.
    True,
    /// `false`, inside literal arrays.
    False,
}
