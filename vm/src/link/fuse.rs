//! Superinstructions are put into linked codes, and taken out for those who look at instructions.
//!
//! Only the number of an instruction changes, and it stays an instruction that does, of what comes next, the first part or
//! all; so nothing that verification found is lost, and a jump may land on any part.

use twintalk_bytecode::op::Opcode;

use crate::interpret::fused::{FIRST, FUSED, When};

/// How many instructions a superinstruction has at most.
const PARTS_MAX: usize = 4;

/// By the number of an instruction: the superinstructions that begin with it, a bit each.
static CANDIDATES: [u64; FIRST as usize] = {
    assert!(FUSED.len() <= 64);
    let mut candidates = [0; FIRST as usize];
    let mut number = 0;
    while number < FUSED.len() {
        assert!(FUSED[number].parts.len() <= PARTS_MAX);
        candidates[FUSED[number].parts[0] as usize] |= 1 << number;
        number += 1;
    }
    candidates
};

/// Gives the first of instructions that have a superinstruction together its number. The words are those of verified code.
pub(crate) fn fuse(words: &mut [u32]) {
    let words_of = |word: u32| Opcode::from_number(word as u8).map_or(1, Opcode::words);
    let mut at = 0;
    while at < words.len() {
        let mut candidates = CANDIDATES[usize::from(words[at] as u8 & (FIRST - 1))];
        // Where the instruction and those behind it start.
        let mut starts = [at; PARTS_MAX + 1];
        for nth in 0..PARTS_MAX {
            let start = starts[nth];
            starts[nth + 1] = start + words.get(start).map_or(1, |&word| words_of(word));
            if candidates == 0 {
                break;
            }
        }
        let mut next = starts[1];
        while candidates != 0 {
            let number = candidates.trailing_zeros() as usize;
            candidates &= candidates - 1;
            let fused = &FUSED[number];
            let fits = fused
                .parts
                .iter()
                .zip(starts)
                .all(|(&part, start)| words.get(start).is_some_and(|&word| word as u8 == part as u8));
            if fits && holds(fused.when, words, &starts) {
                words[at] = words[at] & !0xff | (usize::from(FIRST) + number) as u32;
                next = starts[fused.parts.len()];
                break;
            }
        }
        at = next;
    }
}

fn holds(when: When, words: &[u32], starts: &[usize; PARTS_MAX + 1]) -> bool {
    let byte = |part: usize, byte: u32| words[starts[part]] >> (8 * byte) & 0xff;
    let follows = |part: usize| byte(part, 2) == byte(part - 1, 1) && byte(part, 3) != byte(part - 1, 1);
    match when {
        When::Always => true,
        When::Left => follows(1),
        When::Right => byte(1, 3) == byte(0, 1) && byte(1, 2) != byte(0, 1),
        When::Chain { from, to } => (from..to).all(follows),
        When::Limit => byte(2, 2) == byte(0, 1) && byte(2, 3) == byte(1, 1) && byte(0, 1) != byte(1, 1),
        When::Counts => {
            let target = words[starts[1]] as i32 >> 8;
            let head = (starts[1] as i64 + 1 + i64::from(target)) as usize;
            words.get(head).is_some_and(|head| *head as u8 == Opcode::LessEqualJumpUnless as u8)
        }
    }
}

/// The plain instruction for the first word of any.
#[inline]
pub(crate) fn plain(word: u32) -> u32 {
    match usize::from(word as u8).checked_sub(usize::from(FIRST)).and_then(|number| FUSED.get(number)) {
        Some(fused) => word & !0xff | fused.parts[0] as u32,
        None => word,
    }
}

/// The words of a linked code with plain instructions alone.
pub(crate) fn plain_words(words: &[u32]) -> Vec<u32> {
    let mut result = words.to_vec();
    let mut at = 0;
    while at < result.len() {
        result[at] = plain(result[at]);
        let Some(opcode) = Opcode::from_number(result[at] as u8) else { break };
        at += opcode.words();
    }
    result
}

#[cfg(test)]
mod tests {
    use twintalk_bytecode::op::Op;
    use twintalk_bytecode::operand::{Jump24, Reg, Site, Tiny};

    use super::*;

    fn words(ops: &[Op]) -> Vec<u32> {
        let mut words = Vec::new();
        ops.iter().for_each(|op| op.encode(&mut words));
        words
    }

    /// The parts of the superinstructions in the code of `ops`, in their order.
    fn fused(ops: &[Op]) -> Vec<&'static [Opcode]> {
        let plain = words(ops);
        let mut changed = plain.clone();
        fuse(&mut changed);
        assert_eq!(plain_words(&changed), plain, "what was put in comes out");
        let number = |word: &u32| usize::from(*word as u8).checked_sub(usize::from(FIRST));
        changed.iter().filter_map(number).filter_map(|number| FUSED.get(number)).map(|fused| fused.parts).collect()
    }

    #[test]
    fn the_longest_that_fits_is_taken_and_nothing_twice() {
        let copy = Op::Copy { dst: Reg(2), src: Reg(0) };
        let send = Op::Send { base: Reg(2), site: Site(0) };
        let expected: [&[Opcode]; 2] = [&[Opcode::Copy, Opcode::Copy, Opcode::Send], &[Opcode::Copy, Opcode::Send]];
        assert_eq!(fused(&[copy, copy, send, copy, send, Op::AnswerSelf {}]), expected);
    }

    #[test]
    fn operations_are_fused_where_one_operand_is_the_result_before() {
        let add =
            |dst: u8, left: u8, right: u8| Op::Add { dst: Reg(dst), left: Reg(left), right: Reg(right), site: Site(0) };
        assert_eq!(fused(&[add(3, 1, 2), add(4, 3, 1)]).len(), 1);
        assert_eq!(fused(&[add(3, 1, 2), add(4, 1, 3)]).len(), 1);
        assert_eq!(fused(&[add(3, 1, 2), add(4, 3, 3)]).len(), 0, "both operands are");
        assert_eq!(fused(&[add(3, 1, 2), add(4, 1, 2)]).len(), 0, "none is");
    }

    #[test]
    fn the_end_of_a_loop_knows_its_head() {
        let add = Op::AddTiny { dst: Reg(1), left: Reg(1), right: Tiny(1), site: Site(0) };
        let head = Op::LessEqualJumpUnless { dst: Reg(3), left: Reg(1), right: Reg(2), site: Site(1) };
        let counts = |ops: &[Op]| {
            let mut words = words(ops);
            fuse(&mut words);
            words.iter().any(|word| {
                FUSED
                    .get((*word as usize & 0xff).wrapping_sub(usize::from(FIRST)))
                    .is_some_and(|fused| fused.when == When::Counts)
            })
        };
        assert!(counts(&[head, add, Op::JumpBack { target: Jump24(-5) }]));
        assert!(!counts(&[head, add, Op::JumpBack { target: Jump24(-3) }]));
    }
}
