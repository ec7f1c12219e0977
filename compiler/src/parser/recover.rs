//! Cutting a mistake out of an item, so that the rest of it can be read.

use crate::lexer::token::{Kind, Token};

/// Cuts the smallest part around `at` out of `tokens` that the brackets bound, and puts an error in its place.
/// Answers false when there is nothing left to cut.
///
/// Each cut leaves fewer tokens, or an error where there was none before: so there is an end to it.
pub(super) fn cut(tokens: &mut Vec<Token>, at: usize) -> bool {
    let mut part = Part::around(tokens, at);
    loop {
        if part.apply(tokens) {
            return true;
        }
        match part.opener {
            Some(opener) => part = Part::around(tokens, opener),
            None => return false,
        }
    }
}

/// A part of an item between brackets and periods.
struct Part {
    start: usize,
    end: usize,
    /// The bracket that it is in.
    opener: Option<usize>,
}

impl Part {
    /// The part in which `at` stands. A closing bracket stands in what it closes, an opening one in what is around it.
    fn around(tokens: &[Token], at: usize) -> Part {
        let at = at.min(tokens.len());
        let mut start = at;
        let mut depth = 0usize;
        let mut opener = None;
        // An error at the start of a part is mostly one at the end of the one before: `foo ( ... ) bar = ( ... )`.
        while start > 0 {
            let before = tokens[start - 1];
            if depth == 0 {
                if before.kind.opens() {
                    opener = Some(start - 1);
                    break;
                }
                if before.kind == Kind::Period
                    || before.kind == Kind::Separator
                    || tokens.get(start).is_some_and(|token| token.first && start < at)
                {
                    break;
                }
            }
            if before.kind.closes() {
                depth += 1;
            } else if before.kind.opens() {
                depth -= 1;
            }
            start -= 1;
        }
        if depth == 0 && opener.is_none() && start > 0 {
            opener = enclosing(tokens, start);
        }
        let mut end = at;
        let mut depth = 0usize;
        while let Some(token) = tokens.get(end) {
            if depth == 0 && end > start {
                let ends = token.kind.closes() || token.kind == Kind::Period || token.kind == Kind::Separator;
                if ends || token.first {
                    break;
                }
            }
            if depth == 0 && token.kind.closes() {
                break;
            }
            if token.kind.opens() {
                depth += 1;
            } else if token.kind.closes() {
                depth -= 1;
            }
            end += 1;
        }
        Part { start, end, opener }
    }

    /// Puts an error for the part; answers false if there is one already, or the place takes none.
    fn apply(&self, tokens: &mut Vec<Token>) -> bool {
        let part = &tokens[self.start..self.end];
        let is_error = |part: &[Token]| part.len() == 1 && part[0].kind == Kind::Error;
        let takes_one = match self.opener.map(|opener| tokens[opener].kind) {
            Some(Kind::HashParenthesis | Kind::HashBracket | Kind::OpenAnnotation) => false,
            Some(_) | None => true,
        };
        if is_error(part) || !takes_one {
            return false;
        }
        let (start, end) = match (part.first(), part.last()) {
            (Some(first), Some(last)) => (first.start, last.end),
            // Between an opener and its closer.
            _ => match tokens.get(self.end) {
                Some(token) => (token.start, token.start),
                None => return false,
            },
        };
        let first = part.first().is_some_and(|token| token.first);
        // A slot keeps its name, so that nobody misses it.
        let in_slots = self.opener.is_some_and(|opener| tokens[opener].kind == Kind::OpenSlots);
        let error = Token { kind: Kind::Error, first, missing: false, start, end };
        let is_kept = |part: &[Token]| part.len() == 3 && part[1].kind == Kind::Arrow && part[2].kind == Kind::Error;
        if in_slots && part.len() > 1 && part[0].kind == Kind::Name && !is_kept(part) {
            let name = part[0];
            let arrow = Token { kind: Kind::Arrow, first: false, missing: true, start: name.end, end: name.end };
            let value = Token { kind: Kind::Error, first: false, missing: false, start: name.end, end };
            tokens.splice(self.start..self.end, [name, arrow, value]);
        } else {
            tokens.splice(self.start..self.end, [error]);
        }
        true
    }
}

/// The bracket around the token at `at`.
fn enclosing(tokens: &[Token], at: usize) -> Option<usize> {
    let mut depth = 0usize;
    for index in (0..at).rev() {
        if tokens[index].kind.closes() {
            depth += 1;
        } else if tokens[index].kind.opens() {
            match depth {
                0 => return Some(index),
                _ => depth -= 1,
            }
        }
    }
    None
}
