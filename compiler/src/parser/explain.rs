//! What to say about a token that cannot stand where it does.

use super::Mistake;
use super::build::Build;
use crate::ast::Span;
use crate::diagnostic::{Code, Diagnostic};
use crate::lexer::adapter::Token;

/// What is wrong at `mistake`. `next`: the token behind the item.
pub(super) fn explain(build: &Build, tokens: &[Token], next: Option<Token>, mistake: &Mistake) -> Option<Diagnostic> {
    let found = tokens.get(mistake.at).copied().or(next);
    let end = build.text.len() as u32;
    let span = found.map_or(Span::new(end, end), Token::span);
    let text = &build.text[span.start as usize..span.end as usize];
    let message = format!("unexpected `{text}`");
    Some(Diagnostic::new(Code::Syntax, build.file, span, message))
}

/// Whether what is wrong has been said already: around the place there is a diagnostic.
pub(super) fn is_known(diagnostic: &Diagnostic, tokens: &[Token], at: usize, known: &[Diagnostic]) -> bool {
    let start =
        at.checked_sub(1).and_then(|before| tokens.get(before)).map_or(diagnostic.span.start, |token| token.start);
    let near = Span::new(start, diagnostic.span.end);
    known.iter().any(|known| known.span.start <= near.end && near.start <= known.span.end)
}
