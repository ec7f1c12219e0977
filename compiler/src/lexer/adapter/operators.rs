//! Runs of operator characters: where they are cut, and what the pieces are in their place.

use super::{Adapter, Part, Place, Stage, Top};
use crate::ast::Span;
use crate::lexer::token::Kind;
use crate::lexer::{Lexeme, Raw};

impl Adapter<'_> {
    /// Cuts a run of operator characters as its place demands.
    pub(super) fn operators(&mut self, lexeme: Lexeme) {
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
                    self.start_member(true);
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
        let dashes = run.len() - run.trim_start_matches('-').len();
        if dashes >= 4 && (dashes == run.len() || run[dashes..].starts_with('|')) {
            self.first = true;
            self.emit(Kind::Separator, start, start + dashes as u32);
            self.start_member(true);
            return Some(dashes as u32);
        }
        if run == "=" && !(is_start && self.is_pattern_end(1)) {
            self.emit(Kind::Define, start, start + 1);
            self.set_place(Place::Definition(Part::Body));
            return Some(1);
        }
        if run == "||" && is_start && self.is_pattern_end(1) {
            return None;
        }
        // Behind a modifier there are no slots.
        let is_modified =
            self.out.last().is_some_and(|token| matches!(token.kind, Kind::Private | Kind::Query | Kind::Event));
        let is_method = || match part {
            Part::Start { bare } => is_modified || self.is_method_bar(bare),
            Part::Head { .. } => is_modified,
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
}
