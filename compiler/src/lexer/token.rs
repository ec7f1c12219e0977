//! What tokens are.

use crate::ast::Span;
use crate::diagnostic::Diagnostic;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Name,
    Keyword,
    Number,
    Character,
    String,
    Symbol,
    /// `nil`, `true` and `false` where a literal is wanted.
    Nil,
    True,
    False,
    HashParenthesis,
    HashBracket,
    OpenParenthesis,
    CloseParenthesis,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
    Period,
    Semicolon,
    Caret,
    Assign,
    Colon,
    Operator,
    /// `!` alone.
    Far,
    /// `|` around names, or as an operator.
    Bar,
    /// `=` in the head of a definition, member or slot.
    Define,
    /// `+` in the head of a definition.
    Plus,
    /// `|` around slots.
    OpenSlots,
    CloseSlots,
    /// `<` and `>` around an annotation.
    OpenAnnotation,
    CloseAnnotation,
    /// `<-`.
    Arrow,
    /// `----`, or longer.
    Separator,
    /// The name that a definition defines.
    Defined,
    Twin,
    Object,
    Trait,
    Extend,
    Import,
    Private,
    Query,
    Event,
    Timer,
    Invariant,
    Version,
    Migrate,
    Supervise,
    Primitive,
    /// What could not be read, and has its diagnostic. The parser puts it for an expression, a slot or a member.
    Error,
}

impl Kind {
    pub fn opens(self) -> bool {
        matches!(
            self,
            Kind::HashParenthesis
                | Kind::HashBracket
                | Kind::OpenParenthesis
                | Kind::OpenBracket
                | Kind::OpenBrace
                | Kind::OpenSlots
                | Kind::OpenAnnotation
        )
    }

    pub fn closes(self) -> bool {
        matches!(
            self,
            Kind::CloseParenthesis | Kind::CloseBracket | Kind::CloseBrace | Kind::CloseSlots | Kind::CloseAnnotation
        )
    }

    /// Whether an operand can end with it, so that what follows is a message.
    pub fn ends_operand(self) -> bool {
        matches!(
            self,
            Kind::Name
                | Kind::Number
                | Kind::Character
                | Kind::String
                | Kind::Symbol
                | Kind::Nil
                | Kind::True
                | Kind::False
                | Kind::CloseParenthesis
                | Kind::CloseBracket
                | Kind::CloseBrace
                | Kind::Error
        )
    }
}

/// A token: its kind and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub kind: Kind,
    /// It starts an item, a member or a slot.
    pub first: bool,
    /// It is not in the text: a bracket that was forgotten.
    pub missing: bool,
    pub start: u32,
    pub end: u32,
}

impl Token {
    pub fn span(self) -> Span {
        Span::new(self.start, self.end)
    }
}

/// A comment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comment {
    /// With its quotes.
    pub span: Span,
    /// It stands behind something on its line, and so belongs to that; but not behind an opening bracket or `----`.
    pub trails: bool,
}

/// A text as the parser wants it.
#[derive(Default)]
pub(crate) struct Tokens {
    pub tokens: Vec<Token>,
    /// The index of each item's first token.
    pub items: Vec<usize>,
    pub comments: Vec<Comment>,
    pub diagnostics: Vec<Diagnostic>,
}
