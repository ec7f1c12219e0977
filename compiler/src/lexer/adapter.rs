//! The adapter between lexemes and grammar: it settles what only the place can say.
//!
//! A stack of open brackets, each with its kind and how far its contents have come, decides
//!
//! - what starts at top level: `NAME =` a definition, `twin NAME` one with a modifier, else a statement;
//! - which words are modifiers: the first of a member, not before `=` or `:`;
//! - what `=` is: in the head of a definition, member or slot it defines, elsewhere it compares;
//! - what `|` is: it opens and closes slots in a definition, and is a bar elsewhere;
//! - what `<`, `>` and `<-` are: an annotation and a first value in slots, operators elsewhere;
//! - what `-` before a digit is: a sign, unless an operand stands before it;
//! - what a word inside `#( ... )` is: a symbol.
//!
//! It also balances the brackets, so that the parser never sees a missing one, and limits how deep
//! they and the sends of one expression nest, since whoever walks the tree recurses.
//!
//! Invariants of what it hands on: brackets match; tokens ascend; the tree of any part of them is no
//! deeper than [`NESTING_MAX`] + [`SENDS_MAX`].

use super::{Lexed, Lexeme, Raw};
use crate::ast::Span;
use crate::diagnostic::{Code, Diagnostic};

/// Brackets inside brackets.
pub(crate) const NESTING_MAX: usize = 200;
/// Messages, operators and assignments on the way from a file to any of its expressions.
pub(crate) const SENDS_MAX: u32 = 500;

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

/// A text as the parser wants it.
#[derive(Default)]
pub(crate) struct Tokens {
    pub tokens: Vec<Token>,
    /// The index of each item's first token.
    pub items: Vec<usize>,
    pub comments: Vec<Span>,
    pub diagnostics: Vec<Diagnostic>,
}

/// How far the top level has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Top {
    /// An item may start here.
    Start,
    /// In `| a b |`.
    Variables,
    /// Behind the name that is defined.
    Head,
    /// In a statement, or in something broken.
    Statement,
}

/// How far a definition has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A member or slots may start here. `bare`: on this side of `----` there was no member yet.
    Start { bare: bool },
    /// In a member, before `=`. `timer`: it has an expression there.
    Head { timer: bool },
    /// Behind `=`.
    Body,
}

/// How far a body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Parameters or temporaries may start here.
    Start,
    Parameters,
    Temporaries,
    Statements,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Top(Top),
    Definition(Part),
    /// `head`: before `<-` or `=` of a slot.
    Slots {
        head: bool,
    },
    Annotation,
    /// Of a method, between parentheses.
    Body(Stage),
    Block(Stage),
    Parentheses,
    Brace,
    Array,
    Bytes,
}

impl Place {
    /// How it closes.
    fn closer(self) -> Kind {
        match self {
            Place::Top(_) | Place::Definition(_) | Place::Body(_) | Place::Parentheses | Place::Array => {
                Kind::CloseParenthesis
            }
            Place::Slots { .. } => Kind::CloseSlots,
            Place::Annotation => Kind::CloseAnnotation,
            Place::Block(_) | Place::Bytes => Kind::CloseBracket,
            Place::Brace => Kind::CloseBrace,
        }
    }
}

struct Frame {
    place: Place,
    opener: Span,
    /// The messages, operators and assignments of the statement that has been reached.
    sends: u32,
    /// A bracket inside that closes on a line indented less than the line it opens on.
    suspect: Option<(Span, Span)>,
}

struct Adapter<'t> {
    file: u16,
    text: &'t str,
    lexemes: &'t [Lexeme],
    at: usize,
    frames: Vec<Frame>,
    /// Of all frames.
    sends: u32,
    /// The next token starts an item, a member or a slot.
    first: bool,
    /// Every bracket has its partner, as far as a glance can tell.
    balanced: bool,
    out: Vec<Token>,
    items: Vec<usize>,
    diagnostics: Vec<Diagnostic>,
}

/// Settles what the lexemes of `text` are.
pub(crate) fn adapt(file: u16, text: &str, lexed: Lexed) -> Tokens {
    let mut adapter = Adapter {
        file,
        text,
        lexemes: &lexed.lexemes,
        at: 0,
        frames: vec![Frame { place: Place::Top(Top::Start), opener: Span::default(), sends: 0, suspect: None }],
        sends: 0,
        first: true,
        balanced: is_balanced(&lexed.lexemes),
        out: Vec::with_capacity(lexed.lexemes.len() + 8),
        items: Vec::new(),
        diagnostics: lexed.diagnostics,
    };
    while adapter.at < adapter.lexemes.len() {
        if !adapter.balanced && adapter.frames.len() > 1 && adapter.starts_definition_at_margin() {
            adapter.close_all();
        }
        let lexeme = adapter.lexemes[adapter.at];
        adapter.at += 1;
        adapter.take(lexeme);
    }
    adapter.close_all();
    Tokens { tokens: adapter.out, items: adapter.items, comments: lexed.comments, diagnostics: adapter.diagnostics }
}

/// Whether round, square and curly brackets match.
fn is_balanced(lexemes: &[Lexeme]) -> bool {
    let mut open = Vec::new();
    for lexeme in lexemes {
        match lexeme.raw {
            Raw::OpenParenthesis | Raw::HashParenthesis => open.push(Raw::CloseParenthesis),
            Raw::OpenBracket | Raw::HashBracket => open.push(Raw::CloseBracket),
            Raw::OpenBrace => open.push(Raw::CloseBrace),
            Raw::CloseParenthesis | Raw::CloseBracket | Raw::CloseBrace if open.pop() != Some(lexeme.raw) => {
                return false;
            }
            _ => {}
        }
    }
    open.is_empty()
}

impl<'t> Adapter<'t> {
    fn place(&self) -> Place {
        self.frames[self.frames.len() - 1].place
    }

    fn set_place(&mut self, place: Place) {
        let last = self.frames.len() - 1;
        self.frames[last].place = place;
    }

    fn text_of(&self, lexeme: Lexeme) -> &'t str {
        &self.text[lexeme.start as usize..lexeme.end as usize]
    }

    /// The lexeme `ahead` behind the one being taken.
    fn peek(&self, ahead: usize) -> Option<Lexeme> {
        self.lexemes.get(self.at + ahead).copied()
    }

    fn peek_raw(&self, ahead: usize) -> Option<Raw> {
        self.peek(ahead).map(|lexeme| lexeme.raw)
    }

    fn peek_is(&self, ahead: usize, operator: &str) -> bool {
        self.peek(ahead).is_some_and(|lexeme| lexeme.raw == Raw::Operator && self.text_of(lexeme) == operator)
    }

    fn ends_operand(&self) -> bool {
        !self.first && self.out.last().is_some_and(|token| token.kind.ends_operand())
    }

    fn emit(&mut self, kind: Kind, start: u32, end: u32) {
        self.push(Token { kind, first: false, missing: false, start, end });
    }

    fn push(&mut self, mut token: Token) {
        if self.first && matches!(self.place(), Place::Top(_)) {
            self.items.push(self.out.len());
        }
        token.first = std::mem::take(&mut self.first);
        self.out.push(token);
    }

    /// A statement, member or slot ends: what follows is not deeper in the tree for it.
    fn forget_sends(&mut self) {
        let last = self.frames.len() - 1;
        self.sends -= std::mem::take(&mut self.frames[last].sends);
    }

    /// Counts a token that makes the tree deeper. If it is one too many: says so, passes over the rest of the
    /// statement, and answers false.
    fn may_deepen(&mut self, span: Span) -> bool {
        if self.sends < SENDS_MAX {
            let last = self.frames.len() - 1;
            self.frames[last].sends += 1;
            self.sends += 1;
            return true;
        }
        let message = format!("more than {SENDS_MAX} sends inside each other");
        let diagnostic = Diagnostic::new(Code::TooDeep, self.file, span, message);
        self.diagnostics.push(diagnostic.help("keep a part of it in a temporary"));
        let mut depth = 0usize;
        while let Some(lexeme) = self.peek(0) {
            match lexeme.raw {
                Raw::OpenParenthesis | Raw::HashParenthesis | Raw::OpenBracket | Raw::HashBracket | Raw::OpenBrace => {
                    depth += 1;
                }
                Raw::CloseParenthesis | Raw::CloseBracket | Raw::CloseBrace if depth > 0 => depth -= 1,
                Raw::CloseParenthesis | Raw::CloseBracket | Raw::CloseBrace => break,
                Raw::Period if depth == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        false
    }

    /// Hands a token of an expression on, if the tree has room below it.
    fn emit_deeper(&mut self, kind: Kind, start: u32, end: u32) {
        if self.may_deepen(Span::new(start, end)) {
            self.emit(kind, start, end);
        }
    }

    fn take(&mut self, lexeme: Lexeme) {
        let Lexeme { raw, start, end } = lexeme;
        match raw {
            Raw::Word => self.word(lexeme),
            Raw::Keyword => self.keyword(lexeme),
            Raw::Number => self.plain(Kind::Number, lexeme),
            Raw::Character => self.plain(Kind::Character, lexeme),
            Raw::String => self.plain(Kind::String, lexeme),
            Raw::Symbol => self.plain(Kind::Symbol, lexeme),
            // Kept aside by `scan`.
            Raw::Comment => {}
            Raw::HashParenthesis => {
                self.begin_plain();
                self.open(Kind::HashParenthesis, Place::Array, lexeme);
            }
            Raw::HashBracket => {
                self.begin_plain();
                self.open(Kind::HashBracket, Place::Bytes, lexeme);
            }
            Raw::OpenParenthesis => self.open_parenthesis(lexeme),
            Raw::OpenBracket => {
                self.begin_plain();
                let place = match self.place() {
                    Place::Array => Place::Bytes,
                    _ => Place::Block(Stage::Start),
                };
                self.open(Kind::OpenBracket, place, lexeme);
            }
            Raw::OpenBrace => {
                self.begin_plain();
                self.open(Kind::OpenBrace, Place::Brace, lexeme);
            }
            Raw::CloseParenthesis => self.close(Kind::CloseParenthesis, lexeme),
            Raw::CloseBracket => self.close(Kind::CloseBracket, lexeme),
            Raw::CloseBrace => self.close(Kind::CloseBrace, lexeme),
            Raw::Period => self.period(lexeme),
            Raw::Semicolon => {
                self.begin_plain();
                self.forget_sends();
                self.emit(Kind::Semicolon, start, end);
            }
            Raw::Caret => self.plain(Kind::Caret, lexeme),
            Raw::Assign => {
                self.begin_plain();
                self.emit_deeper(Kind::Assign, start, end);
            }
            Raw::Colon => {
                match self.place() {
                    Place::Block(Stage::Start) => self.set_place(Place::Block(Stage::Parameters)),
                    _ => self.begin_plain(),
                }
                self.emit(Kind::Colon, start, end);
            }
            Raw::Operator => self.operators(lexeme),
        }
    }

    fn plain(&mut self, kind: Kind, lexeme: Lexeme) {
        self.begin_plain();
        self.emit(kind, lexeme.start, lexeme.end);
    }

    /// Something other than what opens a new part has come.
    fn begin_plain(&mut self) {
        let place = match self.place() {
            Place::Top(Top::Start | Top::Head | Top::Statement) => Place::Top(Top::Statement),
            Place::Definition(Part::Start { .. }) => Place::Definition(Part::Head { timer: false }),
            Place::Body(Stage::Start) => Place::Body(Stage::Statements),
            Place::Block(Stage::Start) => Place::Block(Stage::Statements),
            same @ (Place::Top(Top::Variables)
            | Place::Definition(Part::Head { .. } | Part::Body)
            | Place::Slots { .. }
            | Place::Annotation
            | Place::Body(_)
            | Place::Block(_)
            | Place::Parentheses
            | Place::Brace
            | Place::Array
            | Place::Bytes) => same,
        };
        self.set_place(place);
    }

    fn word(&mut self, lexeme: Lexeme) {
        let Lexeme { start, end, .. } = lexeme;
        let text = self.text_of(lexeme);
        match self.place() {
            Place::Top(Top::Start) => self.first_word_of_item(text, lexeme),
            Place::Top(Top::Head | Top::Variables) => self.emit(Kind::Name, start, end),
            Place::Definition(Part::Start { .. }) => self.first_word_of_member(text, lexeme),
            Place::Definition(Part::Body) if text == "primitive" => {
                self.emit(Kind::Primitive, start, end);
                self.start_member(false);
            }
            Place::Slots { head: true } => {
                self.first = true;
                self.emit(Kind::Name, start, end);
            }
            Place::Annotation => {
                let is_value = self.out.last().is_some_and(|token| token.kind == Kind::Keyword);
                let kind = if is_value { literal_word(text).unwrap_or(Kind::Name) } else { Kind::Name };
                self.emit(kind, start, end);
            }
            Place::Array => self.emit(literal_word(text).unwrap_or(Kind::Symbol), start, end),
            Place::Body(Stage::Temporaries) | Place::Block(Stage::Temporaries | Stage::Parameters) => {
                self.emit(Kind::Name, start, end);
            }
            Place::Top(Top::Statement)
            | Place::Definition(Part::Head { .. } | Part::Body)
            | Place::Slots { head: false }
            | Place::Body(_)
            | Place::Block(_)
            | Place::Parentheses
            | Place::Brace
            | Place::Bytes => {
                self.begin_plain();
                if self.ends_operand() {
                    self.emit_deeper(Kind::Name, start, end);
                } else {
                    self.emit(Kind::Name, start, end);
                }
            }
        }
    }

    fn first_word_of_item(&mut self, text: &str, lexeme: Lexeme) {
        let Lexeme { start, end, .. } = lexeme;
        let modifier = match text {
            "twin" => Some(Kind::Twin),
            "object" => Some(Kind::Object),
            "trait" => Some(Kind::Trait),
            "extend" => Some(Kind::Extend),
            _ => None,
        };
        if let Some(kind) = modifier
            && let Some(name) = self.peek(0)
            && name.raw == Raw::Word
            && (self.peek_is(1, "=") || is_capitalised(self.text_of(name)))
        {
            self.emit(kind, start, end);
            self.at += 1;
            self.emit(Kind::Defined, name.start, name.end);
            self.set_place(Place::Top(Top::Head));
        } else if text == "import" && self.peek_raw(0) == Some(Raw::String) {
            let path = self.lexemes[self.at];
            self.at += 1;
            self.emit(Kind::Import, start, end);
            self.emit(Kind::String, path.start, path.end);
            if self.peek_raw(0) == Some(Raw::Period) {
                self.set_place(Place::Top(Top::Statement));
            } else {
                self.start_item();
            }
        } else if self.peek_is(0, "=") {
            self.emit(Kind::Defined, start, end);
            self.set_place(Place::Top(Top::Head));
        } else {
            self.emit(Kind::Name, start, end);
            self.set_place(Place::Top(Top::Statement));
        }
    }

    fn first_word_of_member(&mut self, text: &str, lexeme: Lexeme) {
        let Lexeme { start, end, .. } = lexeme;
        let kind = match text {
            "private" => Kind::Private,
            "query" => Kind::Query,
            "event" => Kind::Event,
            "timer" => Kind::Timer,
            "invariant" => Kind::Invariant,
            "version" => Kind::Version,
            "migrate" => Kind::Migrate,
            _ => Kind::Name,
        };
        // Before `(` the author forgot the `=`; the word is the name.
        let is_name = kind == Kind::Name
            || self.peek_is(0, "=")
            || matches!(self.peek_raw(0), None | Some(Raw::Colon | Raw::OpenParenthesis | Raw::CloseParenthesis));
        if is_name {
            self.emit(Kind::Name, start, end);
            self.set_place(Place::Definition(Part::Head { timer: false }));
            return;
        }
        self.emit(kind, start, end);
        if !matches!(kind, Kind::Private | Kind::Query) {
            self.set_place(Place::Definition(Part::Head { timer: kind == Kind::Timer }));
        }
    }

    fn keyword(&mut self, lexeme: Lexeme) {
        let Lexeme { start, mut end, .. } = lexeme;
        match self.place() {
            Place::Array => {
                // `at:put:` is one symbol.
                while let Some(next) = self.peek(0)
                    && next.raw == Raw::Keyword
                    && next.start == end
                {
                    end = next.end;
                    self.at += 1;
                }
                self.emit(Kind::Symbol, start, end);
            }
            Place::Annotation | Place::Definition(Part::Start { .. } | Part::Head { timer: false }) => {
                self.plain(Kind::Keyword, lexeme);
            }
            Place::Top(_)
            | Place::Definition(_)
            | Place::Slots { .. }
            | Place::Body(_)
            | Place::Block(_)
            | Place::Parentheses
            | Place::Brace
            | Place::Bytes => {
                self.begin_plain();
                self.emit_deeper(Kind::Keyword, start, end);
            }
        }
    }

    fn period(&mut self, lexeme: Lexeme) {
        let Lexeme { start, end, .. } = lexeme;
        if self.place() == Place::Annotation {
            self.close_unclosed(lexeme.span());
        }
        match self.place() {
            Place::Top(_) => {
                if self.first {
                    // A period that ends nothing; it belongs to the item before, if there is one.
                    let first = std::mem::replace(&mut self.first, self.items.is_empty());
                    self.emit(Kind::Period, start, end);
                    self.first = first;
                } else {
                    self.emit(Kind::Period, start, end);
                }
                self.start_item();
            }
            Place::Definition(_) => {
                self.first = false;
                self.emit(Kind::Period, start, end);
                self.start_member(false);
            }
            Place::Slots { .. } => {
                self.first = false;
                self.emit(Kind::Period, start, end);
                self.forget_sends();
                self.set_place(Place::Slots { head: true });
                self.first = true;
            }
            Place::Body(_)
            | Place::Block(_)
            | Place::Annotation
            | Place::Parentheses
            | Place::Brace
            | Place::Array
            | Place::Bytes => {
                self.begin_plain();
                self.emit(Kind::Period, start, end);
                self.forget_sends();
            }
        }
    }

    fn start_item(&mut self) {
        self.forget_sends();
        self.set_place(Place::Top(Top::Start));
        self.first = true;
    }

    fn start_member(&mut self, bare: bool) {
        self.forget_sends();
        self.set_place(Place::Definition(Part::Start { bare }));
        self.first = true;
    }

    /// Cuts a run of operator characters as its place demands.
    fn operators(&mut self, lexeme: Lexeme) {
        let (mut start, end) = (lexeme.start, lexeme.end);
        // A minus sign directly before a number is the number's.
        let sign = self.peek(0).is_some_and(|next| next.raw == Raw::Number && next.start == end)
            && self.text.as_bytes()[end as usize - 1] == b'-';
        while start < end {
            let run = &self.text[start as usize..end as usize];
            if run == "-" && sign && self.takes_sign(lexeme.start < start) {
                let number = self.lexemes[self.at];
                self.at += 1;
                self.begin_plain();
                self.emit(Kind::Number, start, number.end);
                return;
            }
            let length = self.operator(run, start, sign);
            debug_assert!(length > 0, "every operator has a character");
            start += length;
        }
    }

    /// Whether a minus sign makes the number behind it negative. `glued`: it stands directly behind an operator.
    fn takes_sign(&self, glued: bool) -> bool {
        match self.place() {
            Place::Array | Place::Annotation | Place::Bytes => true,
            Place::Definition(Part::Start { .. } | Part::Head { timer: false }) => false,
            _ if glued => true,
            _ => match self.out.last() {
                Some(last) if !self.first => {
                    !last.kind.ends_operand() && !matches!(last.kind, Kind::Semicolon | Kind::Far)
                }
                _ => true,
            },
        }
    }

    /// Hands on the first operator of `run`, which stands at `start`, and answers its length. `sign`: the run ends
    /// in a minus sign directly before a number.
    fn operator(&mut self, run: &str, start: u32, sign: bool) -> u32 {
        let place = self.place();
        match place {
            Place::Annotation if run.starts_with('>') => {
                self.close_annotation(start);
                return 1;
            }
            Place::Annotation if run.starts_with('|') || run.starts_with("<-") => {
                self.close_unclosed(Span::new(start, start + 1));
                return self.operator(run, start, sign);
            }
            Place::Slots { head } => {
                if run.starts_with('|') {
                    self.first = false;
                    self.pop();
                    self.emit(Kind::CloseSlots, start, start + 1);
                    return 1;
                }
                if head && run.starts_with("<-") {
                    self.set_place(Place::Slots { head: false });
                    self.emit(Kind::Arrow, start, start + 2);
                    return 2;
                }
                if head && run.starts_with('<') {
                    self.open_at(Kind::OpenAnnotation, Place::Annotation, start, start + 1);
                    return 1;
                }
                if head && run.starts_with('=') {
                    self.set_place(Place::Slots { head: false });
                    self.emit(Kind::Define, start, start + 1);
                    return 1;
                }
            }
            Place::Top(Top::Head) if run == "=" => {
                self.emit(Kind::Define, start, start + 1);
                return 1;
            }
            Place::Top(Top::Head) if run == "+" => {
                self.emit(Kind::Plus, start, start + 1);
                return 1;
            }
            Place::Definition(part) => {
                if let Some(length) = self.operator_in_definition(part, run, start) {
                    return length;
                }
            }
            Place::Top(Top::Start) if run.starts_with('|') => {
                self.emit(Kind::Bar, start, start + 1);
                self.set_place(Place::Top(Top::Variables));
                return 1;
            }
            Place::Top(Top::Variables) if run.starts_with('|') => {
                self.emit(Kind::Bar, start, start + 1);
                self.start_item();
                return 1;
            }
            Place::Body(stage) if run.starts_with('|') && stage != Stage::Statements => {
                let next = if stage == Stage::Start { Stage::Temporaries } else { Stage::Statements };
                self.set_place(Place::Body(next));
                self.emit(Kind::Bar, start, start + 1);
                return 1;
            }
            Place::Block(stage) if run.starts_with('|') && stage != Stage::Statements => {
                let next = match stage {
                    Stage::Start => Stage::Temporaries,
                    Stage::Parameters => Stage::Start,
                    Stage::Temporaries | Stage::Statements => Stage::Statements,
                };
                self.set_place(Place::Block(next));
                self.emit(Kind::Bar, start, start + 1);
                return 1;
            }
            Place::Top(_)
            | Place::Annotation
            | Place::Body(_)
            | Place::Block(_)
            | Place::Parentheses
            | Place::Brace
            | Place::Array
            | Place::Bytes => {}
        }
        self.ordinary_operator(run, start, sign)
    }

    fn operator_in_definition(&mut self, part: Part, run: &str, start: u32) -> Option<u32> {
        let is_start = matches!(part, Part::Start { .. });
        if run.len() >= 4 && run.bytes().all(|byte| byte == b'-') && !(is_start && self.is_pattern_end(1)) {
            self.first = true;
            self.emit(Kind::Separator, start, start + run.len() as u32);
            self.start_member(true);
            return Some(run.len() as u32);
        }
        if run == "=" && !(is_start && self.is_pattern_end(1)) {
            self.emit(Kind::Define, start, start + 1);
            self.set_place(Place::Definition(Part::Body));
            return Some(1);
        }
        if run == "||" && is_start && self.is_pattern_end(1) {
            return None;
        }
        let is_method = || match part {
            Part::Start { bare } => self.is_method_bar(bare),
            Part::Head { .. } => {
                self.out.last().is_some_and(|token| matches!(token.kind, Kind::Private | Kind::Query | Kind::Event))
            }
            Part::Body => false,
        };
        if run.starts_with('|') && !is_method() {
            if !is_start {
                self.start_member(false);
            }
            self.first = true;
            self.open_at(Kind::OpenSlots, Place::Slots { head: true }, start, start + 1);
            self.first = true;
            return Some(1);
        }
        None
    }

    /// Whether a binary pattern goes on at `ahead - 1` with its parameter and `=`.
    fn is_pattern_end(&self, ahead: usize) -> bool {
        self.peek_raw(ahead - 1) == Some(Raw::Word) && self.peek_is(ahead, "=")
    }

    /// Whether `|`, where slots may open, is instead the selector of a method: `| other = ( ... )`.
    ///
    /// It looks the same as a constant up to the end of the parenthesis. Directly behind the opening of a
    /// definition it is taken for slots; else it is a method when a member or the end of the definition follows.
    fn is_method_bar(&self, bare: bool) -> bool {
        if bare || !self.is_pattern_end(1) || self.peek_raw(2) != Some(Raw::OpenParenthesis) {
            return false;
        }
        let mut depth = 0usize;
        let mut ahead = 2;
        while let Some(raw) = self.peek_raw(ahead) {
            ahead += 1;
            match raw {
                Raw::OpenParenthesis | Raw::HashParenthesis => depth += 1,
                Raw::CloseParenthesis => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        match self.peek(ahead) {
            Some(next) => match next.raw {
                Raw::Period => false,
                Raw::Operator if self.text_of(next).starts_with("----") => true,
                Raw::Operator => self.is_pattern_end(ahead + 2),
                Raw::Word => self.peek_is(ahead + 1, "=") || self.peek_raw(ahead + 1) != Some(Raw::Period),
                Raw::Keyword => {
                    let mut at = ahead;
                    while self.peek_raw(at) == Some(Raw::Keyword) && self.peek_raw(at + 1) == Some(Raw::Word) {
                        at += 2;
                    }
                    self.peek_is(at, "=")
                }
                _ => true,
            },
            None => true,
        }
    }

    fn ordinary_operator(&mut self, run: &str, start: u32, sign: bool) -> u32 {
        if run.starts_with('|') {
            let length = if run.starts_with("||") { 2 } else { 1 };
            let kind = if length == 2 { Kind::Operator } else { Kind::Bar };
            self.binary(kind, start, start + length);
            return length;
        }
        let mut length = run.find('|').unwrap_or(run.len());
        if sign && length == run.len() && length > 1 {
            length -= 1;
        }
        if self.place() == Place::Annotation {
            length = run.find('>').unwrap_or(length);
        }
        let kind = match &run[..length] {
            "!" => Kind::Far,
            "<-" => Kind::Arrow,
            _ => Kind::Operator,
        };
        self.binary(kind, start, start + length as u32);
        length as u32
    }

    fn binary(&mut self, kind: Kind, start: u32, end: u32) {
        match self.place() {
            Place::Array => self.emit(Kind::Symbol, start, end),
            Place::Definition(Part::Start { .. } | Part::Head { timer: false }) | Place::Annotation => {
                self.begin_plain();
                self.emit(kind, start, end);
            }
            _ => {
                self.begin_plain();
                self.emit_deeper(kind, start, end);
            }
        }
    }

    fn open_parenthesis(&mut self, lexeme: Lexeme) {
        let place = match self.place() {
            Place::Top(Top::Head) => Place::Definition(Part::Start { bare: true }),
            Place::Definition(Part::Head { timer: true }) => Place::Parentheses,
            Place::Definition(_) => Place::Body(Stage::Start),
            Place::Array => Place::Array,
            Place::Top(_)
            | Place::Slots { .. }
            | Place::Annotation
            | Place::Body(_)
            | Place::Block(_)
            | Place::Parentheses
            | Place::Brace
            | Place::Bytes => Place::Parentheses,
        };
        if !matches!(place, Place::Definition(_)) {
            self.begin_plain();
        }
        self.open(Kind::OpenParenthesis, place, lexeme);
        if matches!(self.place(), Place::Definition(Part::Start { .. })) {
            self.first = true;
        }
    }

    fn open(&mut self, kind: Kind, place: Place, lexeme: Lexeme) {
        self.open_at(kind, place, lexeme.start, lexeme.end);
    }

    fn open_at(&mut self, kind: Kind, place: Place, start: u32, end: u32) {
        let opener = Span::new(start, end);
        if self.frames.len() <= NESTING_MAX {
            self.emit(kind, start, end);
            self.frames.push(Frame { place, opener, sends: 0, suspect: None });
            return;
        }
        let message = format!("brackets nest deeper than {NESTING_MAX}");
        let diagnostic = Diagnostic::new(Code::TooDeep, self.file, opener, message);
        self.diagnostics.push(diagnostic.help("make a method of what is inside"));
        self.pass_over(start);
    }

    /// Puts an error for a bracket and all that is inside it.
    fn pass_over(&mut self, start: u32) {
        let mut depth = 1usize;
        let mut end = start + 1;
        while depth > 0
            && let Some(lexeme) = self.peek(0)
        {
            match lexeme.raw {
                Raw::OpenParenthesis | Raw::HashParenthesis | Raw::OpenBracket | Raw::HashBracket | Raw::OpenBrace => {
                    depth += 1;
                }
                Raw::CloseParenthesis | Raw::CloseBracket | Raw::CloseBrace => depth -= 1,
                _ => {}
            }
            end = lexeme.end;
            self.at += 1;
        }
        self.emit(Kind::Error, start, end);
    }

    fn pop(&mut self) -> Frame {
        self.forget_sends();
        let frame = self.frames.pop().expect("the top level is never popped");
        debug_assert!(!self.frames.is_empty(), "brackets close what they open");
        frame
    }

    fn close_annotation(&mut self, start: u32) {
        self.pop();
        self.emit(Kind::CloseAnnotation, start, start + 1);
    }

    fn close(&mut self, kind: Kind, lexeme: Lexeme) {
        // A `]` or `}` reaches no further than its method.
        let found = self.frames.iter().skip(1).rev().take_while(|frame| {
            kind == Kind::CloseParenthesis || !matches!(frame.place, Place::Body(_) | Place::Definition(_))
        });
        let Some(above) = found.map(|frame| frame.place.closer()).position(|closer| closer == kind) else {
            let message = format!("this `{}` closes nothing", self.text_of(lexeme));
            self.diagnostics.push(Diagnostic::new(Code::UnbalancedBracket, self.file, lexeme.span(), message));
            return;
        };
        for _ in 0..above {
            self.close_unclosed(lexeme.span());
        }
        self.first = false;
        let frame = self.pop();
        self.emit(kind, lexeme.start, lexeme.end);
        if !self.balanced {
            self.suspect(frame.opener, lexeme.span());
        }
        self.closed(frame.place);
    }

    /// Says that the innermost bracket is not closed, and closes it before `found`.
    fn close_unclosed(&mut self, found: Span) {
        let last = self.frames.len() - 1;
        let frame = &self.frames[last];
        let opener = &self.text[frame.opener.start as usize..frame.opener.end as usize];
        let mut diagnostic = Diagnostic::new(
            Code::UnbalancedBracket,
            self.file,
            frame.opener,
            format!("this `{opener}` is never closed"),
        );
        diagnostic = match frame.suspect {
            Some((opener, closer)) => {
                diagnostic = diagnostic.label(opener, "or is it this one,");
                diagnostic.label(closer, "which closes here, further left than it opens?")
            }
            None if (found.start as usize) < self.text.len() => {
                diagnostic.label(found, "it should have been closed before this")
            }
            None => diagnostic,
        };
        self.diagnostics.push(diagnostic);
        self.close_silently(found.start);
    }

    fn close_silently(&mut self, at: u32) {
        self.first = false;
        let frame = self.pop();
        self.push(Token { kind: frame.place.closer(), first: false, missing: true, start: at, end: at });
        self.closed(frame.place);
    }

    /// At the end of the text, or before what is surely the next definition.
    fn close_all(&mut self) {
        if self.frames.len() == 1 {
            return;
        }
        let at = match self.peek(0) {
            Some(lexeme) => lexeme.span(),
            None => Span::new(self.text.len() as u32, self.text.len() as u32),
        };
        // The innermost is the one to name: those around it may well have been closed by its closer.
        self.close_unclosed(at);
        while self.frames.len() > 1 {
            self.close_silently(at.start);
        }
        self.start_item();
    }

    /// What a closed bracket means for what is around it.
    fn closed(&mut self, inner: Place) {
        match (self.place(), inner) {
            (Place::Top(_), Place::Definition(_)) => self.start_item(),
            (Place::Definition(_), Place::Slots { .. }) => {}
            (Place::Definition(Part::Head { timer: false } | Part::Body), _) => self.start_member(false),
            _ => {}
        }
        if let (Place::Definition(_), Place::Slots { .. }) = (self.place(), inner) {
            self.start_member(true);
        }
    }

    /// Remembers the first bracket inside each that closes on a line indented less than its own.
    fn suspect(&mut self, opener: Span, closer: Span) {
        let (Some(open_indent), Some(close_indent)) =
            (self.indent(opener.start, false), self.indent(closer.start, true))
        else {
            return;
        };
        let last = self.frames.len() - 1;
        let suspect = &mut self.frames[last].suspect;
        if close_indent < open_indent && suspect.is_none() {
            *suspect = Some((opener, closer));
        }
    }

    /// How far the line of `at` is indented. `leading`: only if `at` is the first of its line.
    fn indent(&self, at: u32, leading: bool) -> Option<usize> {
        let before = &self.text[..at as usize];
        let line = &before[before.rfind('\n').map_or(0, |end| end + 1)..];
        let indent = line.len() - line.trim_start().len();
        (!leading || indent == line.len()).then_some(indent)
    }

    /// Whether the lexeme at hand is at the left margin and starts a definition.
    fn starts_definition_at_margin(&self) -> bool {
        let Some(lexeme) = self.peek(0) else { return false };
        let at_margin = lexeme.start == 0 || self.text.as_bytes()[lexeme.start as usize - 1] == b'\n';
        if !at_margin || lexeme.raw != Raw::Word {
            return false;
        }
        let capitalised = |ahead: usize| {
            self.peek(ahead).is_some_and(|next| next.raw == Raw::Word && is_capitalised(self.text_of(next)))
        };
        match self.text_of(lexeme) {
            "twin" | "object" | "trait" | "extend" => capitalised(1) && self.peek_is(2, "="),
            _ => {
                let parent = usize::from(self.peek_raw(2) == Some(Raw::Word));
                capitalised(0) && self.peek_is(1, "=") && self.peek_raw(2 + parent) == Some(Raw::OpenParenthesis)
            }
        }
    }
}

fn is_capitalised(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase)
}

fn literal_word(text: &str) -> Option<Kind> {
    match text {
        "nil" => Some(Kind::Nil),
        "true" => Some(Kind::True),
        "false" => Some(Kind::False),
        _ => None,
    }
}
