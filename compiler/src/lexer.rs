//! From text to tokens.
//!
//! It goes in two steps. [`scan`] cuts the text into lexemes (the only place that names logos) and
//! puts comments aside. [`adapter::adapt`] then settles what only the place can say: whether a word
//! is a modifier, whether `|` opens slots, whether `=` defines or compares. So the grammar behind
//! it gets by with one token of look-ahead.
//!
//! Tokens are kinds and places; what they say is read from the text when the tree is built.
//!
//! Invariants: lexemes and comments ascend, do not overlap, and lie on character boundaries. With
//! the white space between them they are the whole text, but for characters that a diagnostic names.

pub(crate) mod adapter;
pub(crate) mod literal;
pub(crate) mod token;

use logos::Logos;

use crate::ast::Span;
use crate::diagnostic::{Code, Diagnostic};

/// Diagnostics of one text: past them nobody reads on, and a binary file would have millions.
pub(crate) const DIAGNOSTICS_MAX: usize = 100;

/// What the text is cut into, before anybody looks at the place.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq)]
#[logos(skip r"[ \t\n\r\x0b\x0c]+")]
pub(crate) enum Raw {
    #[regex(r"[\p{XID_Start}_]\p{XID_Continue}*")]
    Word,
    /// A word directly before `:`, but not before `:=`. Made of `Word` by [`scan`].
    Keyword,
    #[regex("[0-9]", number)]
    Number,
    #[token("$", character)]
    Character,
    #[token("'", |lexer| quoted(lexer, b'\''))]
    String,
    #[token("#'", |lexer| quoted(lexer, b'\''))]
    #[regex(r"#[\p{XID_Start}_]\p{XID_Continue}*", keyword_symbol)]
    #[regex(r"#(\|\|?|[-+*/\\<>=~&@%,?]+)")]
    Symbol,
    #[token("\"", |lexer| quoted(lexer, b'"'))]
    Comment,
    #[token("#(")]
    HashParenthesis,
    #[token("#[")]
    HashBracket,
    #[token("(")]
    OpenParenthesis,
    #[token(")")]
    CloseParenthesis,
    #[token("[")]
    OpenBracket,
    #[token("]")]
    CloseBracket,
    #[token("{")]
    OpenBrace,
    #[token("}")]
    CloseBrace,
    #[token(".")]
    Period,
    #[token(";")]
    Semicolon,
    #[token("^")]
    Caret,
    #[token(":=")]
    Assign,
    #[token(":")]
    Colon,
    /// A run of operator characters; the adapter cuts it further.
    #[regex(r"[-+*/\\<>=~&@%,?!|]+")]
    Operator,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexeme {
    pub raw: Raw,
    pub start: u32,
    pub end: u32,
}

impl Lexeme {
    pub fn span(self) -> Span {
        Span::new(self.start, self.end)
    }
}

/// A text in pieces.
#[derive(Default)]
pub(crate) struct Lexed {
    pub lexemes: Vec<Lexeme>,
    /// With their quotes.
    pub comments: Vec<Span>,
    pub diagnostics: Vec<Diagnostic>,
}

impl Lexed {
    fn report(&mut self, diagnostic: Diagnostic) {
        if self.diagnostics.len() < DIAGNOSTICS_MAX {
            self.diagnostics.push(diagnostic);
        }
    }
}

/// Cuts `text`, which the caller knows to be shorter than 4 GiB.
pub(crate) fn scan(file: u16, text: &str) -> Lexed {
    let bytes = text.as_bytes();
    let mut lexed = Lexed { lexemes: Vec::with_capacity(text.len() / 5), ..Lexed::default() };
    let mut lexer = Raw::lexer(text);
    if text.starts_with('\u{feff}') {
        lexer.bump('\u{feff}'.len_utf8());
    }
    while let Some(result) = lexer.next() {
        let mut range = lexer.span();
        let mut raw = match result {
            Ok(raw) => raw,
            Err(()) => {
                report_unknown(&mut lexed, file, text, range.start, range.end);
                continue;
            }
        };
        if raw == Raw::Word && bytes.get(range.end) == Some(&b':') && bytes.get(range.end + 1) != Some(&b'=') {
            lexer.bump(1);
            range.end += 1;
            raw = Raw::Keyword;
        }
        let span = Span::new(range.start as u32, range.end as u32);
        if let Some(opener) = lacks_end(raw, &text[range]) {
            report_unterminated(&mut lexed, file, text, raw, span, opener);
        }
        match raw {
            Raw::Comment => lexed.comments.push(span),
            _ => lexed.lexemes.push(Lexeme { raw, start: span.start, end: span.end }),
        }
    }
    lexed
}

/// Passes over the rest of a string, comment or quoted symbol. A doubled quote is no end.
fn quoted(lexer: &mut logos::Lexer<Raw>, quote: u8) {
    let rest = lexer.remainder().as_bytes();
    let mut at = 0;
    while let Some(found) = rest[at..].iter().position(|&byte| byte == quote) {
        at += found + 1;
        if rest.get(at) != Some(&quote) || quote == b'"' {
            lexer.bump(at);
            return;
        }
        at += 1;
    }
    lexer.bump(rest.len());
}

/// `$a`: whatever character follows.
fn character(lexer: &mut logos::Lexer<Raw>) {
    if let Some(character) = lexer.remainder().chars().next() {
        lexer.bump(character.len_utf8());
    }
}

/// `#at:put:`: a symbol goes on as long as its parts end in colons.
fn keyword_symbol(lexer: &mut logos::Lexer<Raw>) {
    let rest = lexer.remainder();
    let mut length = 0;
    while rest[length..].starts_with(':') && !rest[length..].starts_with(":=") {
        length += 1;
        let word = word_length(&rest[length..]);
        if word == 0 || !rest[length + word..].starts_with(':') || rest[length + word..].starts_with(":=") {
            break;
        }
        length += word;
    }
    lexer.bump(length);
}

/// The length of the word that `text` starts with, or 0.
fn word_length(text: &str) -> usize {
    // Nothing but words starts like this, so the lexer does not go far, or come back here.
    let starts_word = |first: char| first == '_' || first.is_ascii_alphabetic() || !first.is_ascii();
    if !text.starts_with(starts_word) {
        return 0;
    }
    match Raw::lexer(text).spanned().next() {
        Some((Ok(Raw::Word), range)) if range.start == 0 => range.end,
        _ => 0,
    }
}

/// The rest of a number behind its first digit.
fn number(lexer: &mut logos::Lexer<Raw>) {
    let length = literal::number_length(&lexer.source().as_bytes()[lexer.span().start..]);
    lexer.bump(length - 1);
}

/// How it opened, when it has no end.
fn lacks_end(raw: Raw, text: &str) -> Option<&'static str> {
    let closed = |open: usize, quote: u8| {
        let inside = &text.as_bytes()[open..];
        // Doubled quotes are inside: an odd run of quotes at the end closes.
        inside.iter().rev().take_while(|&&byte| byte == quote).count() % 2 == 1
    };
    match raw {
        Raw::Comment => (text.len() < 2 || !text.ends_with('"')).then_some("\""),
        Raw::String => (!closed(1, b'\'')).then_some("'"),
        Raw::Symbol if text.starts_with("#'") => (!closed(2, b'\'')).then_some("#'"),
        Raw::Character => (text.len() < 2).then_some("$"),
        _ => None,
    }
}

fn report_unterminated(lexed: &mut Lexed, file: u16, text: &str, raw: Raw, span: Span, opener: &str) {
    let what = match raw {
        Raw::Comment => "comment",
        Raw::String => "string",
        Raw::Symbol => "quoted symbol",
        _ => "character",
    };
    let at = Span::new(span.start, span.start + opener.len() as u32);
    if raw == Raw::Character {
        let diagnostic = Diagnostic::new(Code::Unterminated, file, at, "the text ends after `$`");
        lexed.report(diagnostic.help("`$` stands before a character, as in `$a`"));
        return;
    }
    let quote = &opener[opener.len() - 1..];
    let message = format!("this {what} is never closed");
    let mut diagnostic = Diagnostic::new(Code::Unterminated, file, at, message)
        .help(format!("close it with `{quote}`; inside a string, a quote is written twice: `''`"));
    // One quote forgotten turns inside out all that follows, up to the last quote of the text. The
    // first of its kind that goes over a line's end is the likelier culprit.
    let earlier = match raw {
        Raw::Comment => lexed.comments.iter().copied().find(|comment| spans_lines(text, *comment)),
        _ => lexed
            .lexemes
            .iter()
            .filter(|lexeme| lexeme.raw == raw)
            .map(|lexeme| lexeme.span())
            .find(|span| spans_lines(text, *span)),
    };
    if raw != Raw::Comment
        && let Some(earlier) = earlier
    {
        let start = Span::new(earlier.start, earlier.start + 1);
        diagnostic = diagnostic.label(start, format!("or is it this {what}, which goes over the end of its line?"));
    }
    lexed.report(diagnostic);
}

fn spans_lines(text: &str, span: Span) -> bool {
    text[span.start as usize..span.end as usize].contains('\n')
}

fn report_unknown(lexed: &mut Lexed, file: u16, text: &str, start: usize, end: usize) {
    // One diagnostic for a run of them, or a binary file would have thousands.
    if let Some(last) = lexed.diagnostics.last_mut()
        && last.code == Code::UnknownCharacter
        && last.span.end as usize == start
    {
        last.span.end = end as u32;
        last.message = "these characters start no token".to_owned();
        return;
    }
    let span = Span::new(start as u32, end as u32);
    let character = text[start..end].chars().next().unwrap_or('\u{fffd}');
    let shown: String = match character {
        '#' => "`#`".to_owned(),
        _ if character.is_control() || character.is_whitespace() => format!("U+{:04X}", u32::from(character)),
        _ => format!("`{character}`"),
    };
    let diagnostic = Diagnostic::new(Code::UnknownCharacter, file, span, format!("{shown} starts no token"));
    let help = match character {
        '\u{2018}' | '\u{2019}' | '\u{201a}' | '`' | '\u{b4}' => Some("strings stand between `'` and `'`"),
        '\u{201c}' | '\u{201d}' | '\u{201e}' => {
            Some("comments stand between `\"` and `\"`, strings between `'` and `'`")
        }
        '\u{2013}' | '\u{2014}' | '\u{2212}' => Some("write `-`"),
        '#' => Some("a symbol is `#name`, `#at:put:`, `#+` or `#'any text'`; an array `#(1 2 3)`"),
        _ if character.is_whitespace() => Some("write an ordinary space"),
        _ => None,
    };
    lexed.report(match help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    });
}
