//! What to say about a token that cannot stand where it does: what was expected there, in the reader's words, and
//! the likely cure.

use super::Mistake;
use super::build::Build;
use crate::ast::Span;
use crate::diagnostic::{Code, Diagnostic};
use crate::lexer::token::{Kind, Token};

/// The characters of a token that a message shows.
const SHOWN_MAX: usize = 24;

/// What is wrong at `mistake`. `next`: the token behind the item. None if brackets that are not closed, which have
/// their own diagnostic, are to blame.
pub(super) fn explain(build: &Build, tokens: &[Token], next: Option<Token>, mistake: &Mistake) -> Option<Diagnostic> {
    let scene = Scene { build, tokens, at: mistake.at, next, expected: &mistake.expected };
    let (before, found) = (scene.before(), scene.found());
    let is_missing = |token: Option<Token>| token.is_some_and(|token| token.missing);
    if is_missing(before) || is_missing(found) {
        return None;
    }
    let end = before.map_or(0, |token| token.end);
    let span = found.map_or(Span::new(end, end), Token::span);
    let what = found.map_or("the end of the text".to_owned(), |token| scene.shown(token));
    let message = match (scene.wanted(), before) {
        (Some(wanted), Some(before)) => format!("expected {wanted} after {}, found {what}", scene.shown(before)),
        (Some(wanted), None) => format!("expected {wanted}, found {what}"),
        (None, Some(before)) => format!("nothing can follow {} but {what} does", scene.shown(before)),
        (None, None) => format!("{what} cannot stand here"),
    };
    let mut diagnostic = Diagnostic::new(Code::Syntax, build.file, span, message);
    diagnostic.help = scene.help();
    Some(diagnostic)
}

/// Whether what is wrong follows from what has been said already:
///
/// - there is a diagnostic between the token before the place and the one there;
/// - the place is inside a bracket, other than a definition's, that is or may be the one never closed;
/// - it is behind the string that may be the one never closed.
pub(super) fn is_known(diagnostic: &Diagnostic, tokens: &[Token], at: usize, known: &[Diagnostic]) -> bool {
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    let start = before.map_or(diagnostic.span.start, |token| token.start);
    let end = if at < tokens.len() { diagnostic.span.end } else { u32::MAX };
    let around: Vec<Span> = openers(tokens, at).map(|opener| tokens[opener].span()).collect();
    let is_around = |span: Span| match &around[..] {
        [inner @ .., outermost] => inner.contains(&span) || (*outermost == span && !starts_definition(tokens)),
        [] => false,
    };
    known.iter().any(|known| match known.code {
        Code::UnbalancedBracket if is_around(known.span) => true,
        Code::UnbalancedBracket if known.labels.len() == 2 && is_around(known.labels[0].span) => true,
        Code::Unterminated if known.labels.iter().any(|label| label.span.start <= diagnostic.span.start) => true,
        _ => known.span.start <= end && start <= known.span.end,
    })
}

/// The brackets around the place, from the innermost.
fn openers(tokens: &[Token], at: usize) -> impl Iterator<Item = usize> {
    let mut depth = 0usize;
    (0..at.min(tokens.len())).rev().filter(move |&index| {
        let kind = tokens[index].kind;
        if kind.closes() {
            depth += 1;
        } else if kind.opens() && depth > 0 {
            depth -= 1;
        } else {
            return kind.opens();
        }
        false
    })
}

fn starts_definition(tokens: &[Token]) -> bool {
    matches!(tokens[0].kind, Kind::Defined | Kind::Twin | Kind::Object | Kind::Trait | Kind::Extend)
}

/// The place of a mistake.
struct Scene<'s, 'a> {
    build: &'s Build<'a>,
    tokens: &'s [Token],
    at: usize,
    next: Option<Token>,
    expected: &'s [String],
}

impl Scene<'_, '_> {
    fn found(&self) -> Option<Token> {
        self.tokens.get(self.at).copied().or(self.next)
    }

    fn back(&self, count: usize) -> Option<Token> {
        self.at.checked_sub(count).and_then(|at| self.tokens.get(at)).copied()
    }

    fn before(&self) -> Option<Token> {
        self.back(1)
    }

    fn text(&self, token: Token) -> &str {
        &self.build.text[token.start as usize..token.end as usize]
    }

    /// The token as a message shows it: its first line, and not too much of that.
    fn shown(&self, token: Token) -> String {
        if token.kind == Kind::Error {
            return "this".to_owned();
        }
        let text = self.text(token);
        let line = text.lines().next().unwrap_or("");
        let short: String = line.chars().take(SHOWN_MAX).collect();
        if short.len() < text.len() { format!("`{short} ...`") } else { format!("`{short}`") }
    }

    /// Whether the grammar could have gone on with this token.
    fn could_be(&self, token: &str) -> bool {
        self.expected.iter().any(|expected| expected.trim_matches('"') == token)
    }

    /// The innermost bracket around the place.
    fn bracket(&self) -> Option<Kind> {
        openers(self.tokens, self.at).next().map(|opener| self.tokens[opener].kind)
    }

    /// Whether the place is in a definition, but in nothing inside it.
    fn is_among_members(&self) -> bool {
        openers(self.tokens, self.at).count() == 1
            && self.bracket() == Some(Kind::OpenParenthesis)
            && starts_definition(self.tokens)
    }

    /// What the member, slot or item starts with.
    fn first(&self) -> Option<Kind> {
        let before = &self.tokens[..self.at.min(self.tokens.len())];
        before.iter().rev().find(|token| token.first).map(|token| token.kind)
    }

    /// What could have stood at the place, as a phrase.
    fn wanted(&self) -> Option<String> {
        let mut wanted: Vec<&str> = Vec::new();
        let before = self.before().map(|token| token.kind);
        // Behind a second `----` the parser has already given up on members.
        let starts_member = self.could_be("event") || self.found().is_some_and(|found| found.kind == Kind::Separator);
        let starts_expression = self.could_be("{") && self.could_be("number");
        let takes_message = self.could_be("operator") && !starts_member;
        let is_head = self.could_be("<-") && !starts_expression;
        if starts_member {
            wanted.push("a member");
        } else if matches!(before, Some(Kind::Private | Kind::Query)) {
            wanted.push("a method");
        } else if before == Some(Kind::Define) && !starts_expression {
            wanted.push(match (self.could_be("primitive"), self.could_be("name")) {
                (true, _) => "`(` or `primitive`",
                (false, true) => "a parent or `(`",
                (false, false) => "`(`",
            });
        } else if starts_expression {
            wanted.push(match before {
                _ if self.could_be("^") => "a statement",
                Some(Kind::Keyword) => "an argument",
                Some(Kind::Operator | Kind::Bar) => "an operand",
                _ => "an expression",
            });
        } else if self.could_be("symbol") {
            wanted.push("a literal");
        } else if takes_message {
            wanted.push("a message");
        } else if self.could_be("name") && !is_head {
            wanted.push(match (before, self.bracket()) {
                (Some(Kind::Keyword), _) if self.first() == Some(Kind::Supervise) => "a number or a word",
                (Some(Kind::Keyword | Kind::Operator | Kind::Colon), _) => "the name of a parameter",
                (Some(Kind::Plus), _) => "the name of a trait",
                (_, Some(Kind::OpenSlots)) => "a slot",
                (_, Some(Kind::OpenAnnotation)) => "a word",
                _ => "a name",
            });
        } else if self.back(2).is_some_and(|token| token.kind == Kind::Timer) {
            wanted.push("`every:` or `after:`");
        } else if self.could_be("number") {
            wanted.push("a number");
        }
        let can_go_on = starts_expression || starts_member;
        for (token, text, is_named) in [
            ("<-", "`<-`", true),
            ("=", "`=`", before != Some(Kind::Define)),
            ("|", "`|`", !takes_message && !can_go_on),
            (".", "`.`", !can_go_on && self.bracket() != Some(Kind::OpenSlots) || is_head || takes_message),
            ("(", "`(`", wanted.is_empty()),
            (")", "`)`", !can_go_on),
            ("]", "`]`", !can_go_on),
            ("}", "`}`", !can_go_on),
            (">", "`>`", true),
            ("|slots", "`|`", !is_head),
        ] {
            if is_named && self.could_be(token) {
                wanted.push(text);
            }
        }
        let last = wanted.pop()?;
        Some(if wanted.is_empty() { last.to_owned() } else { format!("{} or {last}", wanted.join(", ")) })
    }

    /// The likely cure.
    fn help(&self) -> Option<String> {
        let before = self.before()?;
        let Some(found) = self.found() else { return self.help_at_end(before) };
        let in_slots = self.bracket() == Some(Kind::OpenSlots);
        let among_members = self.is_among_members();
        if let Some(string) = [before, found].into_iter().find(|token| self.spans_lines(*token)) {
            let shown = self.shown(string);
            return Some(format!("the string {shown} goes over the end of its line: is a quote missing?"));
        }
        if self.tokens[0].kind == Kind::Extend && before.kind == Kind::Define && self.bracket().is_none() {
            return Some("an extension is written `extend NAME = ( methods )`; it has no parent".to_owned());
        }
        let is_plain = self.tokens[0].kind == Kind::Defined && self.bracket().is_none();
        if is_plain && (2..=3).contains(&self.at) && found.kind != Kind::OpenParenthesis {
            let help =
                "at top level `NAME =` starts a definition; to assign write `:=`, to compare put it in parentheses";
            return Some(help.to_owned());
        }
        match (before.kind, found.kind) {
            (_, Kind::Assign) if in_slots && self.could_be("<-") => {
                let name = self.text(before);
                Some(format!("a slot's first value is written `{name} <- value.`, a constant `{name} = value.`"))
            }
            (_, Kind::Arrow | Kind::Define | Kind::OpenAnnotation) if in_slots => Some(self.period_before(before)),
            (_, Kind::Arrow) => Some("only slots have `<-`; to assign, write `:=`".to_owned()),
            (Kind::Name, Kind::Assign) if self.back(2).is_some_and(|token| token.kind.ends_operand()) => {
                Some(self.period_before(before))
            }
            (_, Kind::Operator)
                if self.text(found) == "-"
                    && self.tokens.get(self.at + 1).is_some_and(|token| token.kind == Kind::Number) =>
            {
                Some("the minus sign of a number stands directly before it".to_owned())
            }
            (_, Kind::Assign) if before.kind.ends_operand() && self.could_be(".") => {
                Some("only a name can be assigned".to_owned())
            }
            (_, Kind::OpenParenthesis) if among_members && self.could_be("=") => {
                let written = match self.first() {
                    Some(Kind::Timer) => "a timer is written `timer name every: duration = ( body )`",
                    Some(Kind::Invariant) => "an invariant is written `invariant name = ( body )`",
                    Some(Kind::Migrate) => "a migration is written `migrate number = ( body )`",
                    _ => "a method is written `selector = ( body )`",
                };
                Some(written.to_owned())
            }
            (Kind::Private | Kind::Query, _) => Some("only methods are `private` or `query`".to_owned()),
            (Kind::Define, _) if among_members => Some("the body stands between `(` and `)`".to_owned()),
            (_, Kind::Far) if self.is_behind_keyword_message() => {
                Some("put the receiver of `!` in parentheses: `(a at: b) ! message`".to_owned())
            }
            (_, Kind::Name | Kind::Operator | Kind::Keyword | Kind::Far) if self.is_behind_far_send() => Some(
                "one message stands behind `!`; to send something to its promise write `(a ! message) then: ...`"
                    .to_owned(),
            ),
            (_, Kind::Semicolon) if before.kind.ends_operand() => {
                Some("a cascade goes on after a message: `a foo; bar`".to_owned())
            }
            (Kind::Name, Kind::OpenParenthesis) if before.end == found.start && !among_members => {
                let name = self.text(before);
                Some(format!("a message with an argument is written `{name}: argument`"))
            }
            (_, Kind::OpenParenthesis) if self.looks_like_definition() => {
                Some("a definition starts with `twin`, `object`, `trait`, or its own name".to_owned())
            }
            (_, Kind::Separator) if among_members => {
                Some("a definition has two sides, with `----` between them once".to_owned())
            }
            _ if among_members
                && matches!(self.first(), Some(Kind::Event | Kind::Version | Kind::Supervise))
                && self.could_be(".") =>
            {
                Some(format!("end it with a period: `{}.`", self.text(before)))
            }
            _ if before.kind.ends_operand() && starts_statement(found.kind) && self.could_be(".") => {
                Some(match self.on_other_line(before, found) {
                    true => "is the period at the end of the line before missing?".to_owned(),
                    false => format!("is a period missing before {}?", self.shown(found)),
                })
            }
            _ if before.kind == Kind::String && self.could_be(".") && self.at >= self.tokens.len() => {
                Some("an import ends with a period".to_owned())
            }
            _ => None,
        }
    }

    fn help_at_end(&self, before: Token) -> Option<String> {
        match before.kind {
            Kind::String if self.could_be(".") => Some("an import ends with a period".to_owned()),
            _ => None,
        }
    }

    /// For `a foo b := 3`, where `token` is `b`.
    fn period_before(&self, token: Token) -> String {
        let earlier = self.back(2);
        match earlier.is_some_and(|earlier| self.on_other_line(earlier, token)) {
            true => "is the period at the end of the line before missing?".to_owned(),
            false => format!("is a period missing before {}?", self.shown(token)),
        }
    }

    /// Whether it is a string with a line end in it.
    fn spans_lines(&self, token: Token) -> bool {
        token.kind == Kind::String && self.text(token).contains('\n')
    }

    fn on_other_line(&self, one: Token, other: Token) -> bool {
        self.build.text[one.end as usize..other.start as usize].contains('\n')
    }

    /// Whether the statement up to here is a keyword message, so that no `!` can follow.
    fn is_behind_keyword_message(&self) -> bool {
        self.statement().any(|kind| kind == Kind::Keyword)
    }

    fn is_behind_far_send(&self) -> bool {
        !self.could_be("name") && self.statement().any(|kind| kind == Kind::Far)
    }

    /// The tokens of the statement before the place, backwards, without what is inside brackets.
    fn statement(&self) -> impl Iterator<Item = Kind> {
        let mut depth = 0isize;
        let before = &self.tokens[..self.at.min(self.tokens.len())];
        before.iter().rev().map(|token| token.kind).map_while(move |kind| {
            if kind.closes() {
                depth += 1;
            } else if kind.opens() {
                depth -= 1;
            }
            let ends = depth < 0 || depth == 0 && matches!(kind, Kind::Period | Kind::Assign | Kind::Caret);
            (!ends).then_some(if depth == 0 { kind } else { Kind::Error })
        })
    }

    /// `class Foo = Object ( ... )`, and the like.
    fn looks_like_definition(&self) -> bool {
        let is_name = |token: Option<&Token>| token.is_some_and(|token| token.kind == Kind::Name);
        let equals = self.tokens.get(2);
        (3..=4).contains(&self.at)
            && is_name(self.tokens.first())
            && is_name(self.tokens.get(1))
            && equals.is_some_and(|token| token.kind == Kind::Operator && self.text(*token) == "=")
    }
}

fn starts_statement(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Name
            | Kind::Number
            | Kind::Character
            | Kind::String
            | Kind::Symbol
            | Kind::HashParenthesis
            | Kind::HashBracket
            | Kind::OpenParenthesis
            | Kind::OpenBracket
            | Kind::OpenBrace
            | Kind::Caret
    )
}
