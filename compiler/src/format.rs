//! The formatter: the same tokens and comments, with white space as it should be.
//!
//! It goes through the tokens once and decides, for the gap before each, what stands there: nothing, a space, or
//! the end of a line. Line ends are the author's where both ways are good, and are laid down where one is better:
//!
//! - an item, a member and `----` start a line; there is a blank line around definitions;
//! - the head of a definition, member or slot is one line;
//! - a bracket either ends a line and its partner starts one, or neither does. A line end in what it holds, unless it
//!   is inside another bracket there, makes it so; inside parentheses only one directly behind or before them. A block
//!   whose bracket does not start a line may also end behind its last statement;
//! - of blank lines one is left, and none directly inside a bracket.
//!
//! A line is indented by two more than the line its bracket opens on, and by two more again if it continues a
//! statement.
//!
//! Invariants: the tokens and comments of the result are those of the text, so it says the same; formatting it
//! again changes nothing. Comments keep to the token that they stand behind, or before, on their line.

use bumpalo::Bump;

use crate::diagnostic::Diagnostic;
use crate::lexer::token::{Comment, Kind, Token, Tokens};
use crate::lexer::{adapter, scan};
use crate::parser::parse;

/// Spaces of a level.
const INDENT: usize = 2;

/// The text, laid out as it should be: idempotent, with every token and comment of `text`.
///
/// # Errors
/// What the parser has to say, if the text has syntax errors; then nothing is laid out.
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let diagnostics = parse(&Bump::new(), 0, text).diagnostics;
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(diagnostics);
    }
    let tokens = adapter::adapt(0, text, scan(0, text));
    let groups = groups(text, &tokens);
    let mut layout = Layout {
        text,
        tokens: &tokens,
        groups: &groups,
        out: String::with_capacity(text.len() + text.len() / 8),
        open: Vec::new(),
        item: Item { is_definition: false, at_start: true },
        line_indent: 0,
        written: 0,
        comments: 0,
    };
    for index in 0..tokens.tokens.len() {
        layout.token(index);
    }
    layout.end();
    Ok(layout.out)
}

/// What a bracket encloses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Definition,
    Slots,
    Body,
    Block,
    Parentheses,
    Brace,
    /// A literal array, a byte array or an annotation.
    Items,
}

/// A bracket with its partner.
#[derive(Clone, Copy)]
struct Group {
    inside: Inside,
    closer: usize,
    /// It ends a line and its partner starts one.
    broken: bool,
}

/// How far the head of a body has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Parameters,
    Temporaries,
    Statements,
}

/// A bracket while the gaps inside it are laid out.
struct Open {
    inside: Inside,
    broken: bool,
    stage: Stage,
    /// It is the first thing on its line.
    starts_line: bool,
    /// Of the line that it opens on.
    indent: usize,
    /// A statement, slot or member may start at the next token.
    at_start: bool,
    /// There is nothing yet but parameters and temporaries.
    in_head: bool,
}

struct Item {
    is_definition: bool,
    at_start: bool,
}

/// What stands in a gap.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// One line, with or without a space.
    Join { space: bool },
    /// A line end if the author has one, else as in `Join`.
    Keep { space: bool, blank: bool },
    /// A line end. `blank`: a blank line if the author has one.
    Break { blank: bool },
    /// A blank line.
    Blank,
}

/// White space and comments between two tokens.
struct Trivia<'t> {
    comments: &'t [Comment],
    start: usize,
    end: usize,
}

impl Trivia<'_> {
    /// The line ends before each comment, and before the token behind them.
    fn line_ends(&self, text: &str, index: usize) -> usize {
        let start = if index == 0 { self.start } else { self.comments[index - 1].span.end as usize };
        let end = self.comments.get(index).map_or(self.end, |comment| comment.span.start as usize);
        text[start..end].bytes().filter(|&byte| byte == b'\n').count()
    }

    fn has_line_end(&self, text: &str) -> bool {
        (0..=self.comments.len()).any(|index| self.line_ends(text, index) > 0)
    }
}

/// The trivia before token `index`; `first_comment` is the first comment that does not stand before an earlier one.
fn trivia<'t>(text: &str, tokens: &'t Tokens, index: usize, first_comment: usize) -> Trivia<'t> {
    let start = index.checked_sub(1).map_or(0, |before| tokens.tokens[before].end as usize);
    let end = tokens.tokens.get(index).map_or(text.len(), |token| token.start as usize);
    let rest = &tokens.comments[first_comment..];
    let count = rest.iter().take_while(|comment| (comment.span.start as usize) < end).count();
    Trivia { comments: &rest[..count], start, end }
}

/// The group that each opening token opens.
fn groups(text: &str, tokens: &Tokens) -> Vec<Option<Group>> {
    let mut groups: Vec<Option<Group>> = vec![None; tokens.tokens.len()];
    let mut open: Vec<(usize, Stage)> = Vec::new();
    let mut items = tokens.items.iter().copied().peekable();
    let mut is_definition = false;
    let mut comments = 0;
    for (index, token) in tokens.tokens.iter().enumerate() {
        if items.next_if_eq(&index).is_some() {
            is_definition = defines(token.kind);
        }
        let before = trivia(text, tokens, index, comments);
        comments += before.comments.len();
        let has_line_end = before.has_line_end(text);
        let previous = index.checked_sub(1).map(|previous| tokens.tokens[previous].kind);
        if let Some((opener, stage)) = open.last_mut()
            && let Some(group) = &mut groups[*opener]
        {
            let is_empty = token.kind.closes() && index == *opener + 1 && before.comments.is_empty();
            group.broken |= !is_empty
                && match group.inside {
                    Inside::Definition => true,
                    Inside::Slots => false,
                    // Inside parentheses an expression may go over lines as it does outside of them.
                    Inside::Parentheses => has_line_end && (index == *opener + 1 || token.kind.closes()),
                    Inside::Body | Inside::Block | Inside::Brace | Inside::Items => has_line_end,
                };
            *stage = next_stage(*stage, token.kind);
            if token.kind.closes() {
                group.closer = index;
                open.pop();
            }
        }
        if token.kind.opens() {
            let around = open.last().and_then(|(opener, _)| groups[*opener]).map(|group| group.inside);
            let inside = inside(token.kind, around, previous, is_definition);
            groups[index] = Some(Group { inside, closer: index, broken: false });
            open.push((index, Stage::Start));
        }
    }
    groups
}

fn defines(kind: Kind) -> bool {
    matches!(kind, Kind::Defined | Kind::Twin | Kind::Object | Kind::Trait | Kind::Extend)
}

fn inside(kind: Kind, around: Option<Inside>, previous: Option<Kind>, is_definition: bool) -> Inside {
    match kind {
        Kind::OpenSlots => Inside::Slots,
        Kind::OpenBrace => Inside::Brace,
        Kind::OpenBracket if around != Some(Inside::Items) => Inside::Block,
        Kind::OpenParenthesis => match around {
            None if is_definition => Inside::Definition,
            Some(Inside::Definition) if previous == Some(Kind::Define) => Inside::Body,
            Some(Inside::Items) => Inside::Items,
            _ => Inside::Parentheses,
        },
        _ => Inside::Items,
    }
}

/// The stage behind a token that stands directly in a body. Of a bracket inside it the opener alone matters.
fn next_stage(stage: Stage, kind: Kind) -> Stage {
    match (stage, kind) {
        (Stage::Start, Kind::Colon) => Stage::Parameters,
        (Stage::Start, Kind::Bar) => Stage::Temporaries,
        (Stage::Parameters, Kind::Bar) => Stage::Start,
        (Stage::Parameters, Kind::Colon | Kind::Name) => Stage::Parameters,
        (Stage::Temporaries, Kind::Name) => Stage::Temporaries,
        _ => Stage::Statements,
    }
}

struct Layout<'t> {
    text: &'t str,
    tokens: &'t Tokens,
    groups: &'t [Option<Group>],
    out: String,
    open: Vec<Open>,
    item: Item,
    /// Of the line being written.
    line_indent: usize,
    /// Where the last token or comment in `out` ends. It may itself end in white space, as `$ ` does.
    written: usize,
    /// Comments written so far.
    comments: usize,
}

impl Layout<'_> {
    fn token(&mut self, index: usize) {
        let token = self.tokens.tokens[index];
        let starts_item = self.tokens.items.binary_search(&index).is_ok();
        let gap = self.gap(index, starts_item);
        if starts_item {
            self.item = Item { is_definition: defines(token.kind), at_start: true };
        }
        let indent = self.indent(token);
        self.write_gap(index, gap, indent);
        self.out.push_str(&self.text[token.start as usize..token.end as usize]);
        self.written = self.out.len();
        self.advance(index, token);
    }

    /// What stands before token `index`.
    fn gap(&self, index: usize, starts_item: bool) -> Gap {
        let Some(before) = index.checked_sub(1) else { return Gap::Keep { space: true, blank: true } };
        let (before, token) = (self.tokens.tokens[before], self.tokens.tokens[index]);
        if starts_item {
            return match self.item.is_definition || defines(token.kind) {
                true => Gap::Blank,
                false => Gap::Keep { space: true, blank: true },
            };
        }
        if matches!(token.kind, Kind::Period | Kind::Semicolon) {
            return Gap::Join { space: false };
        }
        let Some(open) = self.open.last() else {
            let space = needs_space(self.text, before, token);
            return if self.item.is_definition { Gap::Join { space } } else { Gap::Keep { space, blank: false } };
        };
        if token.kind.closes() && before.kind.opens() {
            let space = matches!(open.inside, Inside::Definition | Inside::Body | Inside::Slots);
            return Gap::Join { space };
        }
        let space = needs_space(self.text, before, token);
        let edge = match open.inside {
            Inside::Parentheses | Inside::Items => needs_edge(self.text, before, token),
            _ => true,
        };
        match open.inside {
            Inside::Definition if token.first || token.kind.closes() => {
                Gap::Break { blank: !before.kind.opens() && !token.kind.closes() }
            }
            Inside::Definition => Gap::Join { space },
            Inside::Slots if token.kind.closes() || before.kind.opens() => Gap::Keep { space: true, blank: false },
            Inside::Slots if token.first => Gap::Keep { space: true, blank: true },
            Inside::Slots if open.at_start => Gap::Join { space },
            Inside::Slots => Gap::Keep { space, blank: false },
            Inside::Block if token.kind.closes() && !open.starts_line => Gap::Keep { space: true, blank: false },
            _ if token.kind.closes() && open.broken => Gap::Break { blank: false },
            _ if token.kind.closes() => Gap::Join { space: edge },
            // Parameters stay on the line of their bracket; the temporaries of a block may.
            Inside::Block if before.kind.opens() && token.kind == Kind::Colon => Gap::Join { space: true },
            Inside::Block if open.stage == Stage::Parameters => Gap::Join { space },
            Inside::Body | Inside::Block if open.stage == Stage::Temporaries => Gap::Join { space },
            Inside::Block if open.in_head && open.stage == Stage::Start && token.kind == Kind::Bar => {
                Gap::Keep { space: true, blank: false }
            }
            _ if open.in_head && open.broken => Gap::Break { blank: open.stage == Stage::Statements },
            _ if before.kind.opens() => Gap::Join { space: edge },
            _ if open.in_head => Gap::Join { space },
            _ => Gap::Keep { space, blank: before.kind == Kind::Period },
        }
    }

    /// How far a line is indented that starts with `token`.
    fn indent(&self, token: Token) -> usize {
        let Some(open) = self.open.last() else {
            return if self.item.at_start { 0 } else { INDENT };
        };
        if token.kind.closes() {
            return open.indent;
        }
        let is_level = match open.inside {
            Inside::Definition | Inside::Slots => true,
            Inside::Body | Inside::Block | Inside::Parentheses | Inside::Brace | Inside::Items => open.broken,
        };
        let starts = match open.inside {
            Inside::Items => open.broken,
            Inside::Definition | Inside::Slots => token.first,
            Inside::Body | Inside::Block | Inside::Parentheses | Inside::Brace => open.at_start,
        };
        open.indent + if is_level { INDENT } else { 0 } + if starts { 0 } else { INDENT }
    }

    /// Lays down the gap before token `index` (at the end: behind the last), with its comments.
    fn write_gap(&mut self, index: usize, gap: Gap, indent: usize) {
        let trivia = trivia(self.text, self.tokens, index, self.comments);
        self.comments += trivia.comments.len();
        let line_ends = |place: usize| trivia.line_ends(self.text, place);
        let last = trivia.comments.len();
        // Where comments stand in the gap, the author's line ends around them are kept.
        let gap = match gap {
            Gap::Join { space } if last > 0 => Gap::Keep { space, blank: false },
            other => other,
        };
        let (must, blank, space) = match gap {
            Gap::Join { space } => (false, false, space),
            Gap::Keep { space, blank } => (false, blank, space),
            Gap::Break { blank } => (true, blank, false),
            Gap::Blank => (true, true, false),
        };
        let keeps = !matches!(gap, Gap::Join { .. });
        // A comment directly inside a bracket is as near to it as a token would be.
        let hugs = !space && !must && self.out.ends_with(['(', '[', '{', '<', '^', ':']);
        // Comments before a closing bracket are still inside.
        let closes = self.tokens.tokens.get(index).is_some_and(|token| token.kind.closes());
        let comment_indent = if closes { indent + INDENT } else { indent };
        let first_line_end = (0..=last).find(|&place| line_ends(place) > 0);
        let mut has_broken = false;
        for place in 0..=last {
            let count = line_ends(place);
            let breaks = (keeps && count > 0) || (must && place == last && first_line_end.is_none());
            let is_start = self.out.is_empty();
            if breaks && !is_start {
                let is_blank = match gap {
                    Gap::Blank if !has_broken => true,
                    // Whether a blank line is behind a comment says whether the comment is about what follows.
                    _ => (blank || place > 0) && count > 1,
                };
                let is_token = place == last;
                self.new_line(if is_token { indent } else { comment_indent }, is_blank);
                has_broken = true;
            } else if !is_start
                && (space || (place < last && !hugs) || (place > 0 && place == last && !self.is_tight(index)))
            {
                self.out.push(' ');
            }
            if let Some(comment) = trivia.comments.get(place) {
                self.out.push_str(&self.text[comment.span.start as usize..comment.span.end as usize]);
                self.written = self.out.len();
            }
        }
    }

    /// Whether token `index`, if it wants no space before it, does so behind a comment too.
    fn is_tight(&self, index: usize) -> bool {
        let is_tight = |kind: Kind| kind.closes() || matches!(kind, Kind::Period | Kind::Semicolon);
        self.tokens.tokens.get(index).is_none_or(|token| is_tight(token.kind))
    }

    fn new_line(&mut self, indent: usize, is_blank: bool) {
        self.out.push_str(if is_blank { "\n\n" } else { "\n" });
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.line_indent = indent;
    }

    /// Takes note of a token that has been written.
    fn advance(&mut self, index: usize, token: Token) {
        if token.kind.closes() {
            self.open.pop();
            return;
        }
        self.item.at_start = false;
        if let Some(open) = self.open.last_mut() {
            let stage = open.stage;
            open.stage = next_stage(stage, token.kind);
            let ends_head = stage == Stage::Temporaries && token.kind == Kind::Bar;
            match open.inside {
                // In a slot, up to its first value.
                Inside::Slots => {
                    open.at_start = !matches!(token.kind, Kind::Arrow | Kind::Define)
                        && (open.at_start || token.kind == Kind::Period)
                }
                Inside::Body | Inside::Block => {
                    open.in_head = ends_head || open.stage != Stage::Statements;
                    open.at_start = open.in_head || token.kind == Kind::Period;
                }
                Inside::Definition | Inside::Parentheses | Inside::Brace | Inside::Items => {
                    open.in_head = false;
                    open.at_start = token.kind == Kind::Period;
                }
            }
        }
        if let Some(group) = self.groups[index] {
            let line = self.out.rsplit('\n').next().unwrap_or_default();
            let opener = &self.text[token.start as usize..token.end as usize];
            self.open.push(Open {
                inside: group.inside,
                broken: group.broken,
                stage: Stage::Start,
                starts_line: line.trim_start() == opener,
                indent: self.line_indent,
                at_start: true,
                in_head: true,
            });
        }
    }

    /// What stands behind the last token.
    fn end(&mut self) {
        self.write_gap(self.tokens.tokens.len(), Gap::Break { blank: true }, 0);
        self.out.truncate(self.written);
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }
}

/// Whether there is a space between two tokens of a line, neither of which ends or starts a bracket's contents.
fn needs_space(text: &str, before: Token, token: Token) -> bool {
    let spelling = |token: Token| &text[token.start as usize..token.end as usize];
    // Behind `#+` an operator character would become a part of the symbol.
    let takes_operator = before.kind != Kind::Symbol
        || spelling(before).ends_with(|last| last == '\'' || last == ':' || is_of_word(last));
    match (before.kind, token.kind) {
        // `<-` would be an arrow.
        (Kind::OpenAnnotation, Kind::Number) => spelling(token).starts_with('-'),
        (Kind::Caret | Kind::Colon | Kind::HashParenthesis | Kind::HashBracket | Kind::OpenAnnotation, _) => false,
        (_, Kind::CloseAnnotation) => !takes_operator,
        (_, Kind::Period | Kind::Semicolon) => false,
        _ => true,
    }
}

/// Whether there is a space even directly inside parentheses, arrays and annotations.
fn needs_edge(text: &str, before: Token, token: Token) -> bool {
    (before.kind == Kind::OpenAnnotation || token.kind == Kind::CloseAnnotation) && needs_space(text, before, token)
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}
