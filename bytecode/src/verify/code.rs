//! Each method by itself: its tables, the shape of its codes, its jumps.

use super::effect::{Flow, Sending, effect_of, flow_of};
use super::operands::{Limits, check_operands};
use super::registers::{Changes, State};
use super::tables::check_literal;
use super::{Broken, CODE_WORDS_MAX, REGISTERS_MAX, Rule, broken, check_name, check_position, check_rows};
use crate::codec;
use crate::image::*;
use crate::op::Op;
use crate::operand::Fallback;

/// What is known of a word before the pass over states.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    /// An instruction starts here.
    pub(super) start: bool,
    /// The jump of a fused pair.
    pub(super) paired: bool,
    /// One more than the row in `CodeVerifier::arriving`; 0 where no jump goes forward to.
    pub(super) target: u32,
    /// One more than the row in `CodeVerifier::loops`; 0 where no loop starts.
    pub(super) head: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Loop {
    pub(super) changes: Changes,
    /// The state at the head; none while nothing has reached it.
    pub(super) state: Option<State>,
}

/// What is known of a block code from the codes before it.
#[derive(Clone, Debug, Default)]
pub(super) struct BlockCode {
    /// The code that makes it.
    pub(super) maker: Option<usize>,
    /// Whether each capture is a cell; none while no reachable `make_block` was seen.
    pub(super) captures: Option<Vec<bool>>,
}

/// Checks methods one after the other; the buffers serve all of them.
pub(super) struct CodeVerifier<'a> {
    pub(super) image: &'a Image,
    /// How many arguments each name takes as a selector: asked for once, since a long name may
    /// stand in many sites.
    pub(super) selector_arguments: Vec<Option<usize>>,
    /// Where the check stands, for errors.
    pub(super) code: Option<usize>,
    pub(super) word: Option<usize>,
    pub(super) ops: Vec<(usize, Op)>,
    pub(super) marks: Vec<Mark>,
    pub(super) arriving: Vec<Option<State>>,
    pub(super) loops: Vec<Loop>,
    pub(super) blocks: Vec<BlockCode>,
}

impl<'a> CodeVerifier<'a> {
    pub(super) fn new(image: &'a Image, selector_arguments: Vec<Option<usize>>) -> CodeVerifier<'a> {
        CodeVerifier {
            image,
            selector_arguments,
            code: None,
            word: None,
            ops: Vec::new(),
            marks: Vec::new(),
            arriving: Vec::new(),
            loops: Vec::new(),
            blocks: Vec::new(),
        }
    }

    pub(super) fn check_method(&mut self, method: &Method) -> Result<(), Broken> {
        (self.code, self.word) = (None, None);
        check_name(self.image, method.selector)?;
        check_position(self.image, method.position)?;
        let codes = match &method.body {
            Body::Primitive => return Ok(()),
            Body::Code(codes) => codes,
        };
        let Some(first) = codes.first() else {
            return broken(Rule::Codes, "no code");
        };
        if first.argument_count != method.argument_count || !first.captures.is_empty() {
            return broken(Rule::Codes, "the first code takes other arguments than the method, or captures");
        }
        check_rows("codes", codes.len())?;
        for (number, code) in codes.iter().enumerate() {
            self.code = Some(number);
            let needed = 1 + usize::from(code.argument_count) + code.captures.len();
            let registers = usize::from(code.register_count);
            if registers > REGISTERS_MAX || registers < needed {
                return broken(Rule::Window, format!("{registers} registers, {needed} of them taken at the start"));
            }
        }
        self.blocks.clear();
        self.blocks.resize(codes.len(), BlockCode::default());
        for (number, code) in codes.iter().enumerate() {
            (self.code, self.word) = (Some(number), None);
            if number > 0 && self.blocks[number].maker.is_none() {
                return broken(Rule::BlockNesting, "no code before this one makes it");
            }
            self.check_code_tables(code)?;
            self.check_shape(codes, number)?;
            self.check_jumps(code)?;
            self.check_source_map(code)?;
            self.find_loops(code)?;
            self.check_states(codes, number)?;
        }
        Ok(())
    }

    fn check_code_tables(&self, code: &Code) -> Result<(), Broken> {
        check_rows("literals", code.literals.len())?;
        check_rows("sites", code.sites.len())?;
        check_rows("slots", code.slots.len())?;
        if code.words.len() > CODE_WORDS_MAX {
            return broken(Rule::Size, format!("{} words", code.words.len()));
        }
        for literal in &code.literals {
            check_literal(self.image, literal, 0)?;
        }
        for slot in &code.slots {
            check_name(self.image, *slot)?;
        }
        for site in &code.sites {
            let selector = check_name(self.image, site.selector)?;
            let Some(asked) = self.selector_arguments[site.selector.0 as usize] else {
                return broken(Rule::Selector, format!("`{selector}` is no selector"));
            };
            if asked != usize::from(site.argument_count) {
                return broken(
                    Rule::ArgumentCount,
                    format!("a site gives `{selector}` {} arguments", site.argument_count),
                );
            }
        }
        Ok(())
    }

    /// Decodes the words, and checks all of an instruction that stands in it alone.
    fn check_shape(&mut self, codes: &[Code], number: usize) -> Result<(), Broken> {
        let code = &codes[number];
        let limits = Limits {
            registers: usize::from(code.register_count),
            literals: code.literals.len(),
            sites: code.sites.len(),
            slots: code.slots.len(),
            globals: self.image.globals.len(),
            variables: self.image.variables.len(),
            codes: codes.len(),
        };
        self.ops.clear();
        self.marks.clear();
        self.marks.resize(code.words.len(), Mark::default());
        // The `dst` of the comparison just before, when it is fused.
        let mut fused: Option<u8> = None;
        for item in codec::instructions(&code.words) {
            let (word, op) = match item {
                Ok(item) => item,
                Err(error) => {
                    self.word = Some(error.word);
                    return broken(Rule::Decode, error.reason.to_string());
                }
            };
            self.word = Some(word);
            self.ops.push((word, op));
            self.marks[word].start = true;
            if op.opcode().made_by_linking() {
                return broken(Rule::Linked, format!("`{}` in a code", op.opcode().name()));
            }
            check_operands(&op, &limits)?;
            if let Op::AnswerHome { .. } = op
                && number == 0
            {
                return broken(Rule::AnswerHome, "`answer_home` outside of a block");
            }
            let pairs = match op {
                Op::JumpUnless { condition, .. } => Some(condition.0),
                _ => None,
            };
            if fused.is_some() && fused != pairs {
                return broken(Rule::Fused, "no `jump_unless` of the comparison before");
            }
            self.marks[word].paired = fused.is_some();

            let effect = effect_of(&op);
            if let Some((0, _)) = effect.writes {
                return broken(Rule::SelfWritten, "`r0` is written");
            }
            if let Some(sending) = effect.sends {
                self.check_sending(code, &sending)?;
            }
            if let Some((first, count)) = effect.reads_run
                && usize::from(first) + count > limits.registers
            {
                return broken(Rule::RegisterRange, format!("{count} elements from r{first} on leave the window"));
            }
            if let Some(block) = effect.block {
                self.check_block(codes, number, usize::from(block.0))?;
            }
            fused = match effect.writes {
                Some((dst, _)) if effect.fused => Some(dst),
                _ => None,
            };
        }
        let ends = self.ops.last().is_some_and(|(_, op)| match flow_of(op) {
            Flow::End | Flow::Back(_) => true,
            Flow::Next | Flow::Jump(_) | Flow::Branch(..) => false,
        });
        if !ends {
            return broken(Rule::End, "the last instruction goes on behind the code");
        }
        Ok(())
    }

    fn check_sending(&self, code: &Code, sending: &Sending) -> Result<(), Broken> {
        let site = &code.sites[usize::from(sending.site.0)];
        let selector = check_name(self.image, site.selector)?;
        if let Some(expected) = sending.selector
            && expected != selector
        {
            return broken(Rule::ArgumentCount, format!("the site of a `{expected}` has the selector `{selector}`"));
        }
        let last = usize::from(sending.receiver) + usize::from(site.argument_count);
        if sending.window && last >= usize::from(code.register_count) {
            return broken(Rule::RegisterRange, format!("the arguments of `{selector}` leave the window"));
        }
        Ok(())
    }

    fn check_block(&mut self, codes: &[Code], maker: usize, block: usize) -> Result<(), Broken> {
        if block <= maker {
            return broken(Rule::BlockNesting, format!("it makes code {block}"));
        }
        match self.blocks[block].maker.replace(maker) {
            Some(other) if other != maker => {
                return broken(Rule::BlockNesting, format!("code {other} makes code {block} too"));
            }
            Some(_) => return Ok(()),
            None => {}
        }
        let registers = codes[maker].register_count;
        for capture in &codes[block].captures {
            if u16::from(*capture) >= registers {
                return broken(Rule::Captures, format!("code {block} captures r{capture} of {registers}"));
            }
        }
        Ok(())
    }

    /// The word that a jump of `distance` in the instruction at `index` goes to.
    pub(super) fn destination(&self, code: &Code, index: usize, distance: i32) -> Option<usize> {
        let (word, op) = self.ops[index];
        let next = (word + op.opcode().words()) as i64;
        let target = usize::try_from(next + i64::from(distance)).ok()?;
        (target < code.words.len() && self.marks[target].start).then_some(target)
    }

    pub(super) fn forward(&self, code: &Code, index: usize, distance: i32) -> Result<usize, Broken> {
        let target = self.destination(code, index, distance);
        match target {
            Some(target) if distance >= 0 && !self.marks[target].paired => Ok(target),
            Some(_) if distance >= 0 => broken(Rule::Fused, "a jump between a comparison and its jump"),
            Some(_) | None => {
                broken(Rule::JumpTarget, format!("a jump of {distance:+} words lands on no later instruction"))
            }
        }
    }

    fn check_jumps(&mut self, code: &Code) -> Result<(), Broken> {
        self.arriving.clear();
        self.loops.clear();
        for index in 0..self.ops.len() {
            let (word, op) = self.ops[index];
            self.word = Some(word);
            match flow_of(&op) {
                Flow::Next | Flow::End => {}
                Flow::Jump(target) => self.mark_target(code, index, target.0)?,
                Flow::Branch(target, fallback) => {
                    self.mark_target(code, index, i32::from(target.0))?;
                    if fallback != Fallback(0) {
                        self.mark_target(code, index, i32::from(fallback.0))?;
                    }
                }
                Flow::Back(target) => match self.destination(code, index, target.0) {
                    Some(head) if target.0 < 0 && !self.marks[head].paired => {
                        if self.marks[head].head == 0 {
                            self.loops.push(Loop { changes: Changes::default(), state: None });
                            self.marks[head].head = self.loops.len() as u32;
                        }
                    }
                    Some(_) if target.0 < 0 => {
                        return broken(Rule::Fused, "a jump between a comparison and its jump");
                    }
                    Some(_) | None => {
                        return broken(
                            Rule::JumpBackTarget,
                            format!("a jump of {:+} words lands on no earlier instruction", target.0),
                        );
                    }
                },
            }
        }
        Ok(())
    }

    fn mark_target(&mut self, code: &Code, index: usize, distance: i32) -> Result<(), Broken> {
        let target = self.forward(code, index, distance)?;
        if self.marks[target].target == 0 {
            self.arriving.push(None);
            self.marks[target].target = self.arriving.len() as u32;
        }
        Ok(())
    }

    fn check_source_map(&mut self, code: &Code) -> Result<(), Broken> {
        self.word = None;
        let mut next = 0;
        for entry in &code.source_map {
            let starts = self.marks.get(entry.word as usize).is_some_and(|m| m.start);
            if entry.word < next || !starts {
                return broken(Rule::SourceMap, format!("the source map names word {}", entry.word));
            }
            next = entry.word + 1;
        }
        Ok(())
    }
}
