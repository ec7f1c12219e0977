//! Brackets: what they enclose, how deep they go, and what to do about those without a partner.

use super::{Adapter, Frame, NESTING_MAX, Part, Place, Stage, Top, is_capitalised};
use crate::ast::Span;
use crate::diagnostic::{Code, Diagnostic};
use crate::lexer::token::{Kind, Token};
use crate::lexer::{Lexeme, Raw};

/// Bytes of a line whose indentation says something.
const INDENTED_LINE_MAX: usize = 1000;

/// Whether round, square and curly brackets match.
pub(super) fn is_balanced(lexemes: &[Lexeme]) -> bool {
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

impl Adapter<'_> {
    pub(super) fn open_parenthesis(&mut self, lexeme: Lexeme) {
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

    pub(super) fn open(&mut self, kind: Kind, place: Place, lexeme: Lexeme) {
        self.open_at(kind, place, lexeme.start, lexeme.end);
    }

    pub(super) fn open_at(&mut self, kind: Kind, place: Place, start: u32, end: u32) {
        let opener = Span::new(start, end);
        if self.frames.len() <= NESTING_MAX {
            self.emit(kind, start, end);
            self.frames.push(Frame { place, opener, sends: 0, assignments: 0, suspect: None });
            return;
        }
        let message = format!("brackets nest deeper than {NESTING_MAX}");
        let diagnostic = Diagnostic::new(Code::TooDeep, self.file, opener, message);
        self.report(diagnostic.help("make a method of what is inside"));
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

    pub(super) fn pop(&mut self) -> Frame {
        self.forget_sends();
        let frame = self.frames.pop().expect("the top level is never popped");
        debug_assert!(!self.frames.is_empty(), "brackets close what they open");
        frame
    }

    pub(super) fn close_annotation(&mut self, start: u32) {
        self.pop();
        self.emit(Kind::CloseAnnotation, start, start + 1);
    }

    pub(super) fn close(&mut self, kind: Kind, lexeme: Lexeme) {
        // A `]` or `}` reaches no further than its method.
        let found = self.frames.iter().skip(1).rev().take_while(|frame| {
            kind == Kind::CloseParenthesis || !matches!(frame.place, Place::Body(_) | Place::Definition(_))
        });
        let Some(above) = found.map(|frame| frame.place.closer()).position(|closer| closer == kind) else {
            let message = format!("this `{}` closes nothing", self.text_of(lexeme));
            self.report(Diagnostic::new(Code::UnbalancedBracket, self.file, lexeme.span(), message));
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
    pub(super) fn close_unclosed(&mut self, found: Span) {
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
        self.report(diagnostic);
        self.close_silently(found.start);
    }

    fn close_silently(&mut self, at: u32) {
        self.first = false;
        let frame = self.pop();
        self.push(Token { kind: frame.place.closer(), first: false, missing: true, start: at, end: at });
        self.closed(frame.place);
    }

    /// At the end of the text, or before what is surely the next definition.
    pub(super) fn close_all(&mut self) {
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
            (Place::Definition(_), Place::Slots { .. }) => self.start_member(true),
            (Place::Definition(Part::Head { timer: false } | Part::Body), _) => self.start_member(false),
            _ => {}
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

    /// How far the line of `at` is indented. `leading`: only if `at` is the first of its line. None also in a line so
    /// long that nobody indented it.
    fn indent(&self, at: u32, leading: bool) -> Option<usize> {
        let before = &self.text.as_bytes()[..at as usize];
        let length = before.iter().rev().take(INDENTED_LINE_MAX + 1).position(|&byte| byte == b'\n');
        let length = length.or((before.len() <= INDENTED_LINE_MAX).then_some(before.len()))?;
        let line = &before[before.len() - length..];
        let indent = line.iter().take_while(|&&byte| matches!(byte, b' ' | b'\t')).count();
        (!leading || indent == line.len()).then_some(indent)
    }

    /// Whether the lexeme at hand is at the left margin and starts a definition.
    pub(super) fn starts_definition_at_margin(&self) -> bool {
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
