//! Instructions with labels, made into the words of a code.
//!
//! While a code is written, jumps name labels. `finish` lays the words out: jumps to jumps go
//! straight to the end of the chain, jumps to an answer become that answer, jumps to the next
//! instruction vanish, and a conditional whose distance does not fit 16 bits gets two plain jumps
//! beside it that do.
//!
//! What nothing reaches is never written: a writer that has left off at an answer or a jump drops
//! what it is given until a label that some jump names. So every block code that a `make_block`
//! was meant for has one.
//!
//! Invariant: labels are bound behind the jumps that name them, but for heads of loops, which
//! only `jump_back` names.

use twintalk_bytecode::image::SourceMapEntry;
use twintalk_bytecode::op::Op;
use twintalk_bytecode::operand::{Fallback, Jump16, Jump24, Reg};
use twintalk_bytecode::verify::CODE_WORDS_MAX;

/// A place in a code, named by jumps before it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(u32);

/// A conditional jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// `jump_if`.
    True,
    /// `jump_unless`.
    False,
    /// `jump_if_nil`.
    Nil,
    /// `jump_unless_nil`.
    NotNil,
    /// `jump_unless_number`.
    NotNumber,
}

#[derive(Clone, Copy, Debug)]
enum Item {
    Op(Op),
    Jump(Label),
    JumpBack(Label),
    Branch { condition: Condition, register: Reg, target: Label, fallback: Option<Label> },
}

#[derive(Clone, Copy, Debug)]
struct Row {
    item: Item,
    /// Where a fault points to; none where there can be none.
    offset: Option<u32>,
    /// The innermost loop that the row is part of.
    inside: Option<Label>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bound {
    /// The row that follows the label.
    row: Option<u32>,
    /// Whether a jump names it.
    named: bool,
}

/// Writes the instructions of one code.
#[derive(Debug)]
pub(crate) struct Assembler {
    rows: Vec<Row>,
    labels: Vec<Bound>,
    loops: Vec<Label>,
    unreachable: bool,
}

impl Default for Assembler {
    fn default() -> Assembler {
        // Most codes are short, and each has its own rows.
        Assembler { rows: Vec::with_capacity(16), labels: Vec::new(), loops: Vec::new(), unreachable: false }
    }
}

/// What [`Assembler::finish`] makes.
pub(crate) struct Assembled {
    pub words: Vec<u32>,
    pub source_map: Vec<SourceMapEntry>,
}

/// A code that no jump can cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

impl Assembler {
    /// Whether the next instruction can be reached; if not, it is dropped.
    pub(crate) fn is_reachable(&self) -> bool {
        !self.unreachable
    }

    /// A label to be bound later.
    pub(crate) fn label(&mut self) -> Label {
        self.labels.push(Bound::default());
        Label(self.labels.len() as u32 - 1)
    }

    /// Puts `label` here.
    pub(crate) fn bind(&mut self, label: Label) {
        let row = self.rows.len() as u32;
        let bound = &mut self.labels[label.0 as usize];
        assert!(bound.row.is_none(), "a label is bound once");
        bound.row = Some(row);
        if bound.named {
            self.unreachable = false;
        }
    }

    /// Starts a loop here; its rounds end with [`Assembler::jump_back`].
    pub(crate) fn open_loop(&mut self) -> Label {
        let head = self.label();
        self.bind(head);
        self.loops.push(head);
        head
    }

    /// Says that what follows is behind the loop.
    pub(crate) fn close_loop(&mut self, head: Label) {
        assert_eq!(self.loops.pop(), Some(head), "loops close in the reverse order");
    }

    /// Adds an instruction that is no jump.
    pub(crate) fn op(&mut self, op: Op, offset: Option<u32>) {
        let ends = matches!(op, Op::Answer { .. } | Op::AnswerSelf {} | Op::AnswerHome { .. });
        self.push(Item::Op(op), offset);
        self.unreachable |= ends;
    }

    /// Adds a jump forward.
    pub(crate) fn jump(&mut self, target: Label) {
        if !self.unreachable {
            self.name(target);
            self.push(Item::Jump(target), None);
            self.unreachable = true;
        }
    }

    /// Adds a jump to the head of the innermost loop.
    pub(crate) fn jump_back(&mut self, head: Label) {
        self.push(Item::JumpBack(head), None);
        self.unreachable = true;
    }

    /// Adds a conditional jump. `offset`: what the fault points to where there is no fallback.
    pub(crate) fn branch(
        &mut self,
        condition: Condition,
        register: Reg,
        target: Label,
        fallback: Option<Label>,
        offset: Option<u32>,
    ) {
        if !self.unreachable {
            self.name(target);
            fallback.into_iter().for_each(|label| self.name(label));
            self.push(Item::Branch { condition, register, target, fallback }, offset);
        }
    }

    fn name(&mut self, label: Label) {
        let bound = &mut self.labels[label.0 as usize];
        assert!(bound.row.is_none(), "jumps go forward");
        bound.named = true;
    }

    fn push(&mut self, item: Item, offset: Option<u32>) {
        if !self.unreachable {
            self.rows.push(Row { item, offset, inside: self.loops.last().copied() });
        }
    }

    fn row_of(&self, label: Label) -> usize {
        let row = self.labels[label.0 as usize].row;
        row.expect("every label that is named is bound") as usize
    }

    /// The words, and what they come from.
    pub(crate) fn finish(mut self) -> Result<Assembled, TooLong> {
        self.thread_jumps();
        let keep = self.kept();
        let (starts, long) = self.lay_out(&keep)?;
        let mut words = Vec::with_capacity(*starts.last().expect("one more than rows") as usize);
        let mut source_map: Vec<SourceMapEntry> = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            if !keep[index] {
                continue;
            }
            let word = words.len() as u32;
            assert_eq!(word, starts[index], "the words lie where they were laid out");
            if let Some(offset) = row.offset
                && source_map.last().is_none_or(|last| last.offset != offset)
            {
                source_map.push(SourceMapEntry { word, offset });
            }
            let distance = |label: Label, next: u32| starts[self.row_of(label)] as i32 - next as i32;
            match row.item {
                Item::Op(op) => op.encode(&mut words),
                Item::Jump(target) => Op::Jump { target: Jump24(distance(target, word + 1)) }.encode(&mut words),
                Item::JumpBack(head) => Op::JumpBack { target: Jump24(distance(head, word + 1)) }.encode(&mut words),
                Item::Branch { condition, register, target, fallback } if long[index] => {
                    // The branch, over its jumps; then each jump.
                    let next = word + branch_words(condition);
                    let far_fallback = fallback.map_or(Fallback(0), |_| Fallback(2));
                    branch(condition, register, Jump16(1), far_fallback).encode(&mut words);
                    let skipped = 1 + fallback.iter().count() as i32;
                    Op::Jump { target: Jump24(skipped) }.encode(&mut words);
                    Op::Jump { target: Jump24(distance(target, next + 2)) }.encode(&mut words);
                    if let Some(fallback) = fallback {
                        Op::Jump { target: Jump24(distance(fallback, next + 3)) }.encode(&mut words);
                    }
                }
                Item::Branch { condition, register, target, fallback } => {
                    let next = word + branch_words(condition);
                    let target = Jump16(distance(target, next) as i16);
                    let fallback = fallback.map_or(Fallback(0), |label| Fallback(distance(label, next) as i16));
                    branch(condition, register, target, fallback).encode(&mut words);
                }
            }
        }
        Ok(Assembled { words, source_map })
    }

    /// Where a jump to `label` ends up.
    fn end_of_chain(&self, mut label: Label) -> Label {
        // Every step goes forward, so this ends.
        while let Some(Row { item: Item::Jump(next), .. }) = self.rows.get(self.row_of(label)) {
            label = *next;
        }
        label
    }

    fn thread_jumps(&mut self) {
        // From the last to the first, so that chains are short.
        for index in (0..self.rows.len()).rev() {
            match self.rows[index].item {
                Item::Jump(target) => {
                    let target = self.end_of_chain(target);
                    let inside = self.rows[index].inside;
                    self.rows[index].item = match self.rows.get(self.row_of(target)).map(|row| row.item) {
                        Some(Item::Op(op @ (Op::Answer { .. } | Op::AnswerSelf {} | Op::AnswerHome { .. }))) => {
                            self.rows[index].offset = self.rows[self.row_of(target)].offset;
                            Item::Op(op)
                        }
                        // A jump back out of an inner loop would tear it open.
                        Some(Item::JumpBack(head)) if inside == Some(head) => Item::JumpBack(head),
                        Some(_) | None => Item::Jump(target),
                    };
                }
                Item::Branch { condition, register, target, fallback } => {
                    let target = self.end_of_chain(target);
                    let fallback = fallback.map(|label| self.end_of_chain(label));
                    self.rows[index].item = Item::Branch { condition, register, target, fallback };
                }
                Item::Op(_) | Item::JumpBack(_) => {}
            }
        }
    }

    /// Which rows are needed: those that are reached, but for jumps to the next.
    fn kept(&self) -> Vec<bool> {
        let mut reached = vec![false; self.rows.len() + 1];
        let mut flows = true;
        let mut keep = Vec::with_capacity(self.rows.len());
        for (index, row) in self.rows.iter().enumerate() {
            flows |= reached[index];
            let mut kept = flows;
            if flows {
                match row.item {
                    Item::Op(Op::Answer { .. } | Op::AnswerSelf {} | Op::AnswerHome { .. }) => flows = false,
                    Item::Op(_) => {}
                    Item::JumpBack(_) => flows = false,
                    Item::Jump(target) => {
                        reached[self.row_of(target)] = true;
                        flows = false;
                    }
                    Item::Branch { target, fallback, .. } => {
                        reached[self.row_of(target)] = true;
                        fallback.into_iter().for_each(|label| reached[self.row_of(label)] = true);
                    }
                }
            } else {
                kept = false;
            }
            keep.push(kept);
        }
        for index in (0..self.rows.len()).rev() {
            if let (true, Item::Jump(target)) = (keep[index], self.rows[index].item) {
                let skipped = &keep[index + 1..self.row_of(target)];
                keep[index] = skipped.iter().any(|kept| *kept);
            }
        }
        keep
    }

    /// The first word of each row, with one more at the end, and which conditionals are too far
    /// from where they go.
    fn lay_out(&self, keep: &[bool]) -> Result<(Vec<u32>, Vec<bool>), TooLong> {
        let mut long = vec![false; self.rows.len()];
        loop {
            let mut starts = Vec::with_capacity(self.rows.len() + 1);
            let mut word: u32 = 0;
            for (index, row) in self.rows.iter().enumerate() {
                starts.push(word);
                if keep[index] {
                    word += self.words_of(row, long[index]);
                }
                if word as usize > CODE_WORDS_MAX {
                    return Err(TooLong);
                }
            }
            starts.push(word);
            let mut changed = false;
            for (index, row) in self.rows.iter().enumerate() {
                if let Item::Branch { condition, target, fallback, .. } = row.item
                    && keep[index]
                    && !long[index]
                {
                    let next = starts[index] + branch_words(condition);
                    let distance = |label: Label| starts[self.row_of(label)] - next;
                    // As an operand, 0 says that there is no fallback.
                    let is_far = |label: Label| distance(label) > i16::MAX as u32 || distance(label) == 0;
                    if distance(target) > i16::MAX as u32 || fallback.is_some_and(is_far) {
                        long[index] = true;
                        changed = true;
                    }
                }
            }
            if !changed {
                return Ok((starts, long));
            }
        }
    }

    fn words_of(&self, row: &Row, long: bool) -> u32 {
        match row.item {
            Item::Op(op) => op.opcode().words() as u32,
            Item::Jump(_) | Item::JumpBack(_) => 1,
            Item::Branch { condition, fallback, .. } => {
                let jumps = if long { 2 + fallback.iter().count() as u32 } else { 0 };
                branch_words(condition) + jumps
            }
        }
    }
}

fn branch(condition: Condition, register: Reg, target: Jump16, fallback: Fallback) -> Op {
    match condition {
        Condition::True => Op::JumpIf { condition: register, target, fallback },
        Condition::False => Op::JumpUnless { condition: register, target, fallback },
        Condition::Nil => Op::JumpIfNil { value: register, target },
        Condition::NotNil => Op::JumpUnlessNil { value: register, target },
        Condition::NotNumber => Op::JumpUnlessNumber { value: register, target },
    }
}

fn branch_words(condition: Condition) -> u32 {
    branch(condition, Reg(0), Jump16(0), Fallback(0)).opcode().words() as u32
}
