//! What the grammar's actions call: nodes out of places in the text.

use std::cell::RefCell;

use bumpalo::Bump;

use crate::ast::*;
use crate::diagnostic::{Code, Diagnostic};
use crate::lexer::token::Comment;
use crate::lexer::{DIAGNOSTICS_MAX, literal};

/// The text being parsed, and the arena that the tree goes into.
pub(crate) struct Build<'a> {
    pub arena: &'a Bump,
    pub file: u16,
    pub text: &'a str,
    /// Ascending.
    pub comments: &'a [Comment],
    /// What is wrong inside well-placed tokens. An item may be parsed more than once; each is kept once.
    pub diagnostics: RefCell<Vec<Diagnostic>>,
}

/// One side of a definition as it grows.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    slots: Vec<Slot<'a>>,
    members: Vec<Member<'a>>,
}

impl<'a> Parts<'a> {
    pub fn with_slots(mut self, slots: Vec<Slot<'a>>) -> Parts<'a> {
        self.slots.extend(slots);
        self
    }

    pub fn with_member(mut self, member: &Member<'a>) -> Parts<'a> {
        self.members.push(*member);
        self
    }
}

/// The words of a keyword selector, each with what stands behind it.
pub(crate) struct Pieces<'a, T> {
    words: Vec<Name<'a>>,
    values: Vec<T>,
}

impl<'a, T> Pieces<'a, T> {
    pub fn new(word: Name<'a>, value: T) -> Pieces<'a, T> {
        Pieces { words: vec![word], values: vec![value] }
    }

    pub fn with(mut self, word: Name<'a>, value: T) -> Pieces<'a, T> {
        self.words.push(word);
        self.values.push(value);
        self
    }
}

impl<'a> Build<'a> {
    fn slice(&self, l: u32, r: u32) -> &'a str {
        &self.text[l as usize..r as usize]
    }

    fn report(&self, code: Code, span: Span, message: impl Into<String>) {
        let diagnostic = Diagnostic::new(code, self.file, span, message);
        let mut diagnostics = self.diagnostics.borrow_mut();
        if diagnostics.len() < DIAGNOSTICS_MAX && !diagnostics.contains(&diagnostic) {
            diagnostics.push(diagnostic);
        }
    }

    pub fn alloc<T>(&self, item: T) -> &'a T {
        self.arena.alloc(item)
    }

    pub fn list<T>(&self, items: Vec<T>) -> &'a [T] {
        self.arena.alloc_slice_fill_iter(items)
    }

    pub fn one<T>(&self, item: T) -> &'a [T] {
        std::slice::from_ref(self.arena.alloc(item))
    }

    pub fn push<T>(&self, mut items: Vec<T>, item: T) -> Vec<T> {
        items.push(item);
        items
    }

    // Words and literals

    pub fn name(&self, l: u32, r: u32) -> Name<'a> {
        Name { text: self.slice(l, r), span: Span::new(l, r) }
    }

    pub fn number(&self, l: u32, r: u32) -> Literal<'a> {
        literal::number(self.arena, self.slice(l, r)).unwrap_or_else(|message| {
            self.report(Code::MalformedNumber, Span::new(l, r), message);
            Literal::Integer { negative: false, radix: 10, digits: "0" }
        })
    }

    pub fn byte(&self, l: u32, r: u32) -> u8 {
        let value = match self.number(l, r) {
            Literal::Integer { negative: false, radix, digits } => u8::from_str_radix(digits, radix).ok(),
            _ => None,
        };
        value.unwrap_or_else(|| {
            self.report(Code::MalformedNumber, Span::new(l, r), "a byte is a whole number from 0 to 255");
            0
        })
    }

    pub fn version_number(&self, l: u32, r: u32) -> i64 {
        let value = match self.number(l, r) {
            Literal::Integer { negative: false, radix, digits } => i64::from_str_radix(digits, radix).ok(),
            _ => None,
        };
        value.unwrap_or_else(|| {
            self.report(Code::MalformedNumber, Span::new(l, r), "a version is a whole number from 0 to 2^63 - 1");
            0
        })
    }

    pub fn character(&self, l: u32, r: u32) -> Literal<'a> {
        // Without a character behind `$` the lexer has reported it.
        Literal::Character(self.slice(l, r).chars().nth(1).unwrap_or(' '))
    }

    pub fn string(&self, l: u32, r: u32) -> Literal<'a> {
        Literal::String(literal::string(self.arena, self.slice(l, r)))
    }

    pub fn symbol(&self, l: u32, r: u32) -> Literal<'a> {
        Literal::Symbol(literal::symbol(self.arena, self.slice(l, r)))
    }

    // Expressions

    pub fn message(&self, selector: Name<'a>, arguments: &'a [Expression<'a>]) -> Message<'a> {
        Message { selector, arguments }
    }

    pub fn keyword_message(&self, parts: Pieces<'a, Expression<'a>>) -> Message<'a> {
        Message { selector: self.selector(&parts.words), arguments: self.list(parts.values) }
    }

    fn selector(&self, words: &[Name<'a>]) -> Name<'a> {
        let (first, last) = (words[0], words[words.len() - 1]);
        let text = match words.len() {
            1 => first.text,
            _ => {
                let text = words.iter().map(|word| word.text).collect::<String>();
                self.arena.alloc_str(&text)
            }
        };
        Name { text, span: first.span.to(last.span) }
    }

    pub fn send(&self, receiver: Expression<'a>, message: Message<'a>, far: bool, r: u32) -> Expression<'a> {
        let span = Span::new(receiver.span.start, r);
        let receiver = self.arena.alloc(receiver);
        Expression { kind: ExpressionKind::Send { receiver, message, far }, span }
    }

    /// `first` is a send; the receiver of its last message is the receiver of all.
    pub fn cascade(&self, first: Expression<'a>, rest: Vec<Message<'a>>, r: u32) -> Expression<'a> {
        let ExpressionKind::Send { receiver, message, far } = first.kind else {
            unreachable!("the grammar lets only a send start a cascade");
        };
        let mut messages = vec![message];
        messages.extend(rest);
        let kind = ExpressionKind::Cascade { receiver, messages: self.list(messages), far };
        Expression { kind, span: Span::new(first.span.start, r) }
    }

    pub fn assign(&self, name: Name<'a>, value: Expression<'a>) -> Expression<'a> {
        let span = name.span.to(value.span);
        Expression { kind: ExpressionKind::Assign { name, value: self.arena.alloc(value) }, span }
    }

    pub fn brace(&self, l: u32, items: Vec<Expression<'a>>, r: u32) -> Expression<'a> {
        Expression { kind: ExpressionKind::Brace(self.list(items)), span: Span::new(l, r) }
    }

    pub fn body(&self, l: u32, temporaries: &'a [Name<'a>], statements: Vec<Statement<'a>>, r: u32) -> Body<'a> {
        Body { temporaries, statements: self.list(statements), span: Span::new(l, r) }
    }

    pub fn block(
        &self,
        l: u32,
        parameters: &'a [Name<'a>],
        temporaries: &'a [Name<'a>],
        statements: Vec<Statement<'a>>,
        r: u32,
    ) -> Expression<'a> {
        let body = self.body(l, temporaries, statements, r);
        Expression { kind: ExpressionKind::Block { parameters, body }, span: Span::new(l, r) }
    }

    // Members

    pub fn pattern(&self, selector: Name<'a>, parameters: Vec<Name<'a>>) -> Pattern<'a> {
        Pattern { selector, parameters: self.list(parameters) }
    }

    pub fn keyword_pattern(&self, parts: Pieces<'a, Name<'a>>) -> Pattern<'a> {
        Pattern { selector: self.selector(&parts.words), parameters: self.list(parts.values) }
    }

    pub fn method(
        &self,
        l: u32,
        modifiers: Modifiers,
        pattern: Pattern<'a>,
        body: Option<Body<'a>>,
        r: u32,
    ) -> &'a Member<'a> {
        let inside = || body.and_then(|body| self.comment_inside(body.span));
        let comment = self.comment_before(l).or_else(inside);
        self.alloc(Member::Method(self.arena.alloc(Method {
            modifiers,
            pattern,
            body,
            comment,
            span: Span::new(l, r),
        })))
    }

    pub fn timer(
        &self,
        l: u32,
        name: Name<'a>,
        word: Name<'a>,
        duration: Expression<'a>,
        body: Body<'a>,
        r: u32,
    ) -> &'a Member<'a> {
        if !matches!(word.text, "every:" | "after:") {
            let message = format!("a timer goes `every:` or `after:` some time, not `{}`", word.text);
            self.report(Code::Syntax, word.span, message);
        }
        let (comment, span) = (self.comment_before(l), Span::new(l, r));
        self.alloc(Member::Timer { name, repeats: word.text == "every:", duration, body, comment, span })
    }

    pub fn event(&self, l: u32, pattern: Pattern<'a>, r: u32) -> &'a Member<'a> {
        self.alloc(Member::Event { pattern, comment: self.comment_before(l), span: Span::new(l, r) })
    }

    pub fn invariant(&self, l: u32, name: Name<'a>, body: Body<'a>, r: u32) -> &'a Member<'a> {
        self.alloc(Member::Invariant { name, body, comment: self.comment_before(l), span: Span::new(l, r) })
    }

    pub fn migrate(&self, l: u32, (from, from_span): (i64, Span), body: Body<'a>, r: u32) -> &'a Member<'a> {
        self.alloc(Member::Migrate { from, from_span, body, comment: self.comment_before(l), span: Span::new(l, r) })
    }

    pub fn version(&self, l: u32, (number, _): (i64, Span), r: u32) -> &'a Member<'a> {
        self.alloc(Member::Version { number, comment: self.comment_before(l), span: Span::new(l, r) })
    }

    pub fn supervise(&self, l: u32, words: Vec<SuperviseWord<'a>>, r: u32) -> &'a Member<'a> {
        let (words, comment, span) = (self.list(words), self.comment_before(l), Span::new(l, r));
        self.alloc(Member::Supervise { words, comment, span })
    }

    // Slots

    pub fn slot(
        &self,
        l: u32,
        name: Name<'a>,
        annotation: Option<Annotation<'a>>,
        initial: SlotInitial<'a>,
        r: u32,
    ) -> &'a Slot<'a> {
        let comment = self.comment_before(l).or_else(|| self.comment_on_line_after(r));
        self.alloc(Slot { name, annotation, initial, comment, span: Span::new(l, r) })
    }

    pub fn annotation(&self, l: u32, parts: Vec<AnnotationPart<'a>>, r: u32) -> Annotation<'a> {
        Annotation { parts: self.list(parts), span: Span::new(l, r) }
    }

    pub fn unit(&self, l: u32, r: u32) -> AnnotationPart<'a> {
        let text = literal::string(self.arena, self.slice(l, r));
        AnnotationPart::String(Name { text, span: Span::new(l, r) })
    }

    /// The last of `parts` is `word: literal`; `name` is sent to the literal.
    pub fn unary_annotation(&self, mut parts: Vec<AnnotationPart<'a>>, name: Name<'a>) -> Vec<AnnotationPart<'a>> {
        if let Some(AnnotationPart::Keyword { unary, span, .. }) = parts.last_mut() {
            *unary = Some(name);
            *span = span.to(name.span);
        }
        parts
    }

    // Items

    pub fn import(&self, l: u32, r: u32) -> Item<'a> {
        let path = literal::string(self.arena, self.slice(l, r));
        Item::Import(Import { path, span: Span::new(l, r) })
    }

    pub fn side(&self, parts: Parts<'a>) -> Side<'a> {
        Side { slots: self.list(parts.slots), members: self.list(parts.members) }
    }

    #[expect(clippy::too_many_arguments, reason = "a definition has as many parts")]
    pub fn definition(
        &self,
        l: u32,
        kind: DefinitionKind,
        name: Name<'a>,
        ancestry: Option<(Name<'a>, Vec<Name<'a>>)>,
        instance: Side<'a>,
        side: Option<Side<'a>>,
        r: u32,
    ) -> Item<'a> {
        let (parent, traits) = ancestry.map_or((None, Vec::new()), |(parent, traits)| (Some(parent), traits));
        let (traits, comment, span) = (self.list(traits), self.comment_before(l), Span::new(l, r));
        Item::Definition(self.arena.alloc(Definition { kind, name, parent, traits, instance, side, comment, span }))
    }

    pub fn extend(&self, l: u32, name: Name<'a>, instance: Side<'a>, side: Option<Side<'a>>, r: u32) -> Item<'a> {
        let (comment, span) = (self.comment_before(l), Span::new(l, r));
        Item::Extend(self.arena.alloc(Extend { name, instance, side, comment, span }))
    }

    // Comments

    /// The comment whose last byte is the last before `end` that is no white space, if there is such a one, and
    /// how many line ends lie between.
    fn comment_ending(&self, end: u32) -> Option<(usize, usize)> {
        let before = &self.text[..end as usize];
        let trimmed = before.trim_end();
        if !trimmed.ends_with('"') {
            return None;
        }
        let found = self.comments.binary_search_by_key(&(trimmed.len() as u32), |comment| comment.span.end).ok()?;
        let lines = before[trimmed.len()..].bytes().filter(|&byte| byte == b'\n').count();
        Some((found, lines))
    }

    /// The comments directly before `start`: no blank line between, and not behind something else on its line.
    fn comment_before(&self, start: u32) -> Option<&'a str> {
        let mut first = None;
        let mut last = 0;
        let mut at = start;
        while let Some((found, lines)) = self.comment_ending(at)
            && lines <= 1
            && !self.comments[found].trails
        {
            if first.is_none() {
                last = found;
            }
            first = Some(found);
            at = self.comments[found].span.start;
        }
        first.map(|first| self.join(&self.comments[first..=last]))
    }

    /// The comments that a body starts with.
    fn comment_inside(&self, body: Span) -> Option<&'a str> {
        let mut at = body.start + 1;
        let first = self.comments.partition_point(|comment| comment.span.start < at);
        let mut end = first;
        while let Some(comment) = self.comments.get(end)
            && comment.span.end <= body.end
            && self.slice(at, comment.span.start).trim_start().is_empty()
        {
            at = comment.span.end;
            end += 1;
        }
        (first < end).then(|| self.join(&self.comments[first..end]))
    }

    /// The comment on the same line behind `end` and at most a period.
    fn comment_on_line_after(&self, end: u32) -> Option<&'a str> {
        let rest = &self.text[end as usize..];
        // The period may stand on a line of its own; the comment is on the period's line.
        let rest = rest.trim_start().strip_prefix('.').unwrap_or(rest).trim_start_matches([' ', '\t']);
        if !rest.starts_with('"') {
            return None;
        }
        let start = (self.text.len() - rest.len()) as u32;
        let found = self.comments.binary_search_by_key(&start, |comment| comment.span.start).ok()?;
        Some(self.join(&self.comments[found..=found]))
    }

    fn join(&self, comments: &[Comment]) -> &'a str {
        let inside = |comment: &Comment| {
            let text = self.slice(comment.span.start, comment.span.end);
            text.strip_prefix('"').map_or(text, |text| text.strip_suffix('"').unwrap_or(text))
        };
        match comments {
            [only] => inside(only),
            _ => self.arena.alloc_str(&comments.iter().map(inside).collect::<Vec<_>>().join("\n")),
        }
    }
}
