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

mod brackets;
mod operators;

use super::token::{Comment, Kind, Token, Tokens};
use super::{DIAGNOSTICS_MAX, Lexed, Lexeme, Raw};
use crate::ast::Span;
use crate::diagnostic::{Code, Diagnostic};

/// Brackets inside brackets.
pub(crate) const NESTING_MAX: usize = 200;
/// Messages, operators and assignments on the way from a file to any of its expressions.
pub(crate) const SENDS_MAX: u32 = 500;

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
    /// Of these the assignments: the messages of a cascade are below them all.
    assignments: u32,
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
        frames: vec![Frame {
            place: Place::Top(Top::Start),
            opener: Span::default(),
            sends: 0,
            assignments: 0,
            suspect: None,
        }],
        sends: 0,
        first: true,
        balanced: brackets::is_balanced(&lexed.lexemes),
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
    let comments = comments(text, &adapter.out, &lexed.comments);
    Tokens { tokens: adapter.out, items: adapter.items, comments, diagnostics: adapter.diagnostics }
}

/// Says of each comment whether it trails something.
fn comments(text: &str, tokens: &[Token], spans: &[Span]) -> Vec<Comment> {
    let mut comments: Vec<Comment> = Vec::with_capacity(spans.len());
    let mut behind = 0;
    for &span in spans {
        while tokens.get(behind).is_some_and(|token| token.end <= span.start) {
            behind += 1;
        }
        let token = behind.checked_sub(1).map(|before| tokens[before]);
        let is_attached = token.is_some_and(|token| !token.kind.opens() && token.kind != Kind::Separator);
        let token_end = token.map_or(0, |token| token.end);
        // Behind another comment of the same gap, only what is between the two is looked at.
        let (follows, start) = match comments.last() {
            Some(last) if last.span.start >= token_end => (last.trails, last.span.end),
            _ => (is_attached, token_end),
        };
        let trails = follows && !text[start as usize..span.start as usize].contains('\n');
        comments.push(Comment { span, trails });
    }
    comments
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

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < DIAGNOSTICS_MAX {
            self.diagnostics.push(diagnostic);
        }
    }

    /// A statement, member or slot ends: what follows is not deeper in the tree for it.
    fn forget_sends(&mut self) {
        let last = self.frames.len() - 1;
        self.sends -= std::mem::take(&mut self.frames[last].sends);
        self.frames[last].assignments = 0;
    }

    /// A message of a cascade ends: the next is beside it, not below it.
    fn forget_message(&mut self) {
        let last = self.frames.len() - 1;
        let frame = &mut self.frames[last];
        self.sends -= frame.sends - frame.assignments;
        frame.sends = frame.assignments;
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
        self.report(diagnostic.help("keep a part of it in a temporary"));
        let mut depth = 0usize;
        while let Some(lexeme) = self.peek(0) {
            match lexeme.raw {
                Raw::OpenParenthesis | Raw::HashParenthesis | Raw::OpenBracket | Raw::HashBracket | Raw::OpenBrace => {
                    depth += 1;
                }
                Raw::CloseParenthesis | Raw::CloseBracket | Raw::CloseBrace if depth > 0 => depth -= 1,
                Raw::CloseParenthesis | Raw::CloseBracket | Raw::CloseBrace => break,
                Raw::Period if depth == 0 => break,
                Raw::Operator if depth == 0 && self.ends_head(lexeme) => break,
                _ => {}
            }
            self.at += 1;
        }
        false
    }

    /// Whether an operator ends the expression that stands in this place: the last slot's, or a timer's duration.
    fn ends_head(&self, lexeme: Lexeme) -> bool {
        match self.place() {
            Place::Slots { .. } => self.text_of(lexeme).starts_with('|'),
            Place::Definition(_) => self.text_of(lexeme) == "=",
            _ => false,
        }
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
                self.forget_message();
                self.emit(Kind::Semicolon, start, end);
            }
            Raw::Caret => self.plain(Kind::Caret, lexeme),
            Raw::Assign => {
                self.begin_plain();
                if self.may_deepen(lexeme.span()) {
                    let last = self.frames.len() - 1;
                    self.frames[last].assignments += 1;
                    self.emit(Kind::Assign, start, end);
                }
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
            "supervise" => Kind::Supervise,
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
        // No statement ends inside parentheses. Where brackets match there is some other mistake, and the parser
        // names it.
        while self.place() == Place::Annotation || (self.place() == Place::Parentheses && !self.balanced) {
            self.close_unclosed(lexeme.span());
        }
        match self.place() {
            Place::Top(_) => {
                // A period that ends nothing belongs to the item before, if there is one.
                self.first &= self.items.is_empty();
                self.emit(Kind::Period, start, end);
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
