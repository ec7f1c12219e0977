//! What the registers hold, by one pass over each code: the rules from `captures` on.

use super::code::CodeVerifier;
use super::effect::{Flow, Written, effect_of, flow_of};
use super::registers::{Changes, Kind, State, above, only};
use super::{Broken, Rule, broken};
use crate::image::Code;
use crate::op::Op;
use crate::operand::{Fallback, Jump24};

impl CodeVerifier<'_> {
    /// Collects for each loop what its instructions change, from the last to the first: a loop
    /// opens at its last `jump_back` and closes at its head.
    pub(super) fn find_loops(&mut self, code: &Code) -> Result<(), Broken> {
        let mut open: Vec<(usize, Changes)> = Vec::new();
        if self.loops.is_empty() {
            return Ok(());
        }
        for index in (0..self.ops.len()).rev() {
            let (word, op) = self.ops[index];
            self.word = Some(word);
            if let Flow::Back(target) = flow_of(&op) {
                let head = self.destination(code, index, target.0);
                let head = head.expect("`check_jumps` found the head of each loop");
                match open.last() {
                    Some((outer, _)) if *outer == head => {}
                    Some((outer, _)) if *outer > head => {
                        return broken(Rule::LoopNesting, format!("the loops at {head:04} and {outer:04} overlap"));
                    }
                    Some(_) | None => open.push((head, Changes::default())),
                }
            }
            let Some((head, changes)) = open.last_mut() else {
                continue;
            };
            let effect = effect_of(&op);
            if let Some(base) = effect.forgets_above {
                changes.forget(above(base));
            }
            match effect.writes {
                Some((dst, _)) if effect.fused => changes.forget(only(dst)),
                Some((dst, Written::Value)) => changes.write(dst, Kind::Value),
                Some((dst, Written::Cell)) => changes.write(dst, Kind::Cell),
                Some((dst, Written::CopyOf(0))) => changes.write(dst, Kind::Itself),
                Some((dst, Written::CopyOf(_))) => changes.write(dst, Kind::Value),
                None => {}
            }
            if *head == word {
                let closed = *changes;
                open.pop();
                let row = self.marks[word].head as usize - 1;
                self.loops[row].changes = closed;
                if let Some((_, outer)) = open.last_mut() {
                    outer.join(&closed);
                }
            }
        }
        Ok(())
    }

    /// The pass over states.
    pub(super) fn check_states(&mut self, codes: &[Code], number: usize) -> Result<(), Broken> {
        let code = &codes[number];
        let Some(mut state) = self.entry(code, number) else {
            // Only unreachable instructions make this block.
            return Ok(());
        };
        let mut reached = true;
        for index in 0..self.ops.len() {
            let (word, op) = self.ops[index];
            self.word = Some(word);
            let mark = self.marks[word];
            if mark.target != 0
                && let Some(arriving) = self.arriving[mark.target as usize - 1]
            {
                state = if reached { state.meet(arriving) } else { arriving };
                reached = true;
            }
            if !reached {
                continue;
            }
            if mark.head != 0 {
                let row = &mut self.loops[mark.head as usize - 1];
                state.values = state.values.without(row.changes.values);
                state.cells = state.cells.without(row.changes.cells);
                state.selves = state.selves.without(row.changes.selves);
                row.state = Some(state);
            }
            self.step(codes, number, &op, &mut state)?;
            match flow_of(&op) {
                Flow::Next => {}
                Flow::End => reached = false,
                Flow::Jump(target) => {
                    self.arrive(code, index, target.0, state)?;
                    reached = false;
                }
                Flow::Branch(target, fallback) => {
                    if fallback != Fallback(0) {
                        self.arrive(code, index, i32::from(fallback.0), state)?;
                    }
                    // Decided in place, the comparison of a pair writes nothing.
                    if mark.paired
                        && let Op::JumpUnless { condition, .. } = op
                    {
                        state.forget(only(condition.0));
                    }
                    self.arrive(code, index, i32::from(target.0), state)?;
                }
                Flow::Back(target) => {
                    self.check_loop(code, index, target, &state)?;
                    reached = false;
                }
            }
        }
        Ok(())
    }

    /// The state before the first instruction; none for a block that nothing reachable makes.
    fn entry(&self, code: &Code, number: usize) -> Option<State> {
        let mut state = State::default();
        state.set(0, Kind::Itself);
        // Windows have at most 256 registers, and these are among them.
        for argument in 1..=code.argument_count {
            state.set(argument, Kind::Value);
        }
        if number > 0 {
            let captures = self.blocks[number].captures.as_ref()?;
            for (index, is_cell) in captures.iter().enumerate() {
                let register = 1 + usize::from(code.argument_count) + index;
                let kind = if *is_cell { Kind::Cell } else { Kind::Value };
                state.set(register as u8, kind);
            }
        }
        Some(state)
    }

    fn arrive(&mut self, code: &Code, index: usize, distance: i32, state: State) -> Result<(), Broken> {
        let target = self.forward(code, index, distance)?;
        let row = self.marks[target].target as usize - 1;
        let arriving = &mut self.arriving[row];
        *arriving = Some(arriving.map_or(state, |other| other.meet(state)));
        Ok(())
    }

    fn check_loop(&self, code: &Code, index: usize, target: Jump24, state: &State) -> Result<(), Broken> {
        let head = self.destination(code, index, target.0);
        let head = head.expect("`check_jumps` found the head of each loop");
        let row = &self.loops[self.marks[head].head as usize - 1];
        let Some(at_head) = &row.state else {
            return broken(Rule::LoopState, format!("nothing before the loop at {head:04} reaches it"));
        };
        let lost = at_head
            .values
            .without(state.values)
            .or(at_head.cells.without(state.cells))
            .or(at_head.selves.without(state.selves));
        if let Some(register) = lost.first() {
            return broken(Rule::LoopState, format!("r{register} no longer holds what it held at {head:04}"));
        }
        Ok(())
    }

    fn step(&mut self, codes: &[Code], number: usize, op: &Op, state: &mut State) -> Result<(), Broken> {
        let effect = effect_of(op);
        let needs_value = |register: u8| match state.values.has(register) {
            true => Ok(()),
            false if state.cells.has(register) => {
                broken(Rule::Value, format!("r{register} holds a cell, which is no value"))
            }
            false => broken(Rule::Value, format!("r{register} is unassigned")),
        };
        effect.reads.into_iter().flatten().try_for_each(needs_value)?;
        if let Some(cell) = effect.cell
            && !state.cells.has(cell)
        {
            return broken(Rule::Cell, format!("r{cell} holds no cell"));
        }
        if let Some((first, count)) = effect.reads_run {
            // The sum is at most 256 and `check_shape` has seen to it.
            (usize::from(first)..usize::from(first) + count).try_for_each(|register| needs_value(register as u8))?;
        }
        if let Some(sending) = effect.sends {
            let site = &codes[number].sites[usize::from(sending.site.0)];
            if sending.window {
                let first = usize::from(sending.receiver);
                (first..=first + usize::from(site.argument_count))
                    .try_for_each(|register| needs_value(register as u8))?;
            }
            if (site.to_self || sending.to_super) && !state.selves.has(sending.receiver) {
                return broken(Rule::SelfReceiver, format!("r{} is not known to be `self`", sending.receiver));
            }
        }
        if let Some(block) = effect.block {
            let block = usize::from(block.0);
            let mut kinds = Vec::with_capacity(codes[block].captures.len());
            for capture in &codes[block].captures {
                let is_cell = state.cells.has(*capture);
                if !is_cell && !state.values.has(*capture) {
                    return broken(Rule::Captures, format!("r{capture} is unassigned, and code {block} captures it"));
                }
                kinds.push(is_cell);
            }
            match &self.blocks[block].captures {
                None => self.blocks[block].captures = Some(kinds),
                Some(before) if *before == kinds => {}
                Some(_) => {
                    return broken(
                        Rule::Captures,
                        format!("the captures of code {block} are of other kinds elsewhere"),
                    );
                }
            }
        }
        if let Some(base) = effect.forgets_above {
            state.forget(above(base));
        }
        match effect.writes {
            Some((dst, Written::Value)) => state.set(dst, Kind::Value),
            Some((dst, Written::Cell)) => state.set(dst, Kind::Cell),
            Some((dst, Written::CopyOf(src))) => {
                let kind = match state.selves.has(src) {
                    true => Kind::Itself,
                    false => Kind::Value,
                };
                state.set(dst, kind);
            }
            None => {}
        }
        Ok(())
    }
}
