//! From tokens to the tree, and what to say when there is none.
//!
//! Items are parsed one by one. Where one cannot be read, the smallest part around the place that
//! the brackets bound (a statement, slot or member, then what is around that, at last the item) is cut
//! out for an error, which the grammar takes, and the item is parsed again: so each mistake gets a
//! diagnostic of its own, and the tree has all the rest. Since the adapter has balanced the brackets,
//! no mistake reaches past the part it is in.
//!
//! Only this file names lalrpop.

pub(crate) mod build;
mod explain;
mod recover;

use bumpalo::Bump;
use lalrpop_util::{ParseError, lalrpop_mod};

use crate::ast::{Expression, ExpressionKind, File, Item, Span, Statement};
use crate::diagnostic::{Code, Diagnostic};
use crate::lexer::adapter;
use crate::lexer::token::{Token, Tokens};
use crate::lexer::{self, DIAGNOSTICS_MAX};
use build::Build;

lalrpop_mod!(
    #[allow(clippy::all, clippy::pedantic, missing_docs, unused, unreachable_pub)]
    grammar
);

/// Mistakes that are told apart in one item; past them the item is left out.
const MISTAKES_PER_ITEM_MAX: usize = 20;

/// What a text says.
pub struct Parsed<'a> {
    /// All that could be read.
    pub file: File<'a>,
    /// What could not, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Parses `text`. Whatever it holds, there is a tree; with an error in `diagnostics` it is not the whole text.
///
/// `file_number` goes into the diagnostics. Texts of 4 GiB and more are refused, since places are 32 bits.
/// Cost: linear; an item with mistakes is parsed once for each, up to 20.
pub fn parse<'a>(arena: &'a Bump, file_number: u16, text: &'a str) -> Parsed<'a> {
    if u32::try_from(text.len()).is_err() {
        let diagnostic =
            Diagnostic::new(Code::TooLarge, file_number, Span::default(), "a source text is shorter than 4 GiB");
        return Parsed { file: File { items: &[] }, diagnostics: vec![diagnostic] };
    }
    let lexed = lexer::scan(file_number, text);
    let Tokens { tokens, items: starts, comments, mut diagnostics } = adapter::adapt(file_number, text, lexed);
    let comments = arena.alloc_slice_copy(&comments);
    let build = Build { arena, file: file_number, text, comments, diagnostics: Default::default() };
    let mut items = Vec::with_capacity(starts.len());
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(tokens.len());
        match attempt(&build, &tokens[start..end]) {
            Ok(item) => items.extend(item),
            Err(mistake) => items.extend(recover(&build, &tokens, start..end, mistake, &mut diagnostics)),
        }
    }
    diagnostics.append(&mut build.diagnostics.borrow_mut());
    diagnostics.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
    diagnostics.truncate(DIAGNOSTICS_MAX);
    Parsed { file: File { items: build.list(items) }, diagnostics }
}

/// Where an item stopped making sense.
struct Mistake {
    /// The index of the token, in the item; its length if the item ends too early.
    at: usize,
    /// The grammar's names of tokens that could have stood there.
    expected: Vec<String>,
}

/// Parses the tokens of one item. None: there is nothing but periods.
fn attempt<'a>(build: &Build<'a>, tokens: &[Token]) -> Result<Option<Item<'a>>, Mistake> {
    let stream = tokens.iter().map(|token| Ok::<_, ()>((token.start, token.kind, token.end)));
    grammar::ItemParser::new().parse(build, stream).map_err(|error| match error {
        ParseError::UnrecognizedToken { token: (start, kind, end), expected } => {
            let found = tokens.iter().position(|token| (token.start, token.kind, token.end) == (start, kind, end));
            Mistake { at: found.unwrap_or(tokens.len()), expected }
        }
        ParseError::UnrecognizedEof { expected, .. } => Mistake { at: tokens.len(), expected },
        ParseError::ExtraToken { token: (start, kind, end) } => {
            let found = tokens.iter().position(|token| (token.start, token.kind, token.end) == (start, kind, end));
            Mistake { at: found.unwrap_or(tokens.len()), expected: Vec::new() }
        }
        ParseError::InvalidToken { .. } | ParseError::User { .. } => unreachable!("the stream has no errors"),
    })
}

/// Reports one mistake after the other, cuts each out, and answers what is left of the item.
fn recover<'a>(
    build: &Build<'a>,
    all: &[Token],
    range: std::ops::Range<usize>,
    first: Mistake,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Item<'a>> {
    let next = all.get(range.end).copied();
    let mut tokens = all[range].to_vec();
    let mut scratch = Bump::new();
    let mut mistake = first;
    for count in 1.. {
        if diagnostics.len() < DIAGNOSTICS_MAX
            && let Some(diagnostic) = explain::explain(build, &tokens, next, &mistake)
            && !explain::is_known(&diagnostic, &tokens, mistake.at, diagnostics)
        {
            diagnostics.push(diagnostic);
        }
        if count == MISTAKES_PER_ITEM_MAX
            || diagnostics.len() >= DIAGNOSTICS_MAX
            || !recover::cut(&mut tokens, mistake.at)
        {
            break;
        }
        // What is built on the way is thrown away.
        scratch.reset();
        let draft = Build { arena: &scratch, diagnostics: Default::default(), ..*build };
        match attempt(&draft, &tokens) {
            Ok(_) => return attempt(build, &tokens).ok().flatten(),
            Err(next) => mistake = next,
        }
    }
    let span = tokens.first()?.span().to(tokens.last()?.span());
    Some(Item::Statement(Statement::Expression(Expression { kind: ExpressionKind::Error, span })))
}
