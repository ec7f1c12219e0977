//! Programs made at random: they compile, they verify, and they do what their syntax tree says.
//!
//! Each program is run three ways: by walking its tree ([`crate::tree_walk`]), by running its
//! instructions, and by running them so that every inlined message takes its fallback
//! ([`crate::machine`]). All must answer the same and log the same on the way.

use bumpalo::Bump;
use proptest::prelude::*;
use twintalk_bytecode::verify::verify;
use twintalk_compiler::parser;

use crate::check::{all_rendered, compile_text};
use crate::machine::{self, End};
use crate::tree_walk;

/// Spends a stream of decisions on a program.
struct Writer<'d> {
    decisions: std::slice::Iter<'d, u8>,
    /// Variables in sight that can be read; those that can be assigned come first.
    names: Vec<(String, bool)>,
    counters: usize,
}

impl Writer<'_> {
    fn decide(&mut self, below: u8) -> u8 {
        self.decisions.next().map_or(0, |decision| decision % below)
    }

    fn program(decisions: &[u8]) -> String {
        let names = [("x", false), ("a", true), ("b", true), ("c", true)];
        let names = names.iter().map(|(name, assigned)| ((*name).to_owned(), *assigned)).collect();
        let mut writer = Writer { decisions: decisions.iter(), names, counters: 0 };
        let statements = writer.statements(5, 4);
        let counters: String = (0..writer.counters).map(|counter| format!(" n{counter}")).collect();
        // What `c` starts with is left to the statements.
        let look = "self log: { a. b. c }. self runKept. ^{ a. b. c }";
        format!("G = ( run: x = ( | a b c{counters} | a := x. b := 2. {statements}. {look} ) )")
    }

    fn statements(&mut self, most: u8, depth: u8) -> String {
        let count = 1 + self.decide(most);
        let statements: Vec<String> = (0..count).map(|_| self.statement(depth)).collect();
        statements.join(". ")
    }

    /// The inside of a block, with a temporary of its own now and then.
    fn inside(&mut self, depth: u8) -> String {
        if self.decide(4) > 0 {
            return self.statements(2, depth);
        }
        let name = format!("t{depth}");
        self.names.push((name.clone(), true));
        let statements = self.statements(3, depth);
        self.names.pop();
        format!("| {name} | {statements}")
    }

    fn block(&mut self, depth: u8) -> String {
        format!("[ {} ]", self.inside(depth))
    }

    fn block_of_one(&mut self, depth: u8) -> String {
        let name = format!("p{depth}");
        self.names.push((name.clone(), false));
        let inside = self.inside(depth);
        self.names.pop();
        format!("[ :{name} | {inside} ]")
    }

    fn assigned(&mut self) -> String {
        let assigned: Vec<String> =
            self.names.iter().filter(|(_, assigned)| *assigned).map(|(n, _)| n.clone()).collect();
        assigned[usize::from(self.decide(assigned.len() as u8))].clone()
    }

    fn read(&mut self) -> String {
        let row = self.decide(self.names.len() as u8);
        self.names[usize::from(row)].0.clone()
    }

    fn statement(&mut self, depth: u8) -> String {
        if depth == 0 {
            return self.expression(0);
        }
        let inner = depth - 1;
        match self.decide(16) {
            0..=2 => {
                let name = self.assigned();
                format!("{name} := {}", self.number(inner))
            }
            3 => {
                let name = self.assigned();
                format!("{name} := {}", self.expression(inner))
            }
            4 => format!("self log: {}", self.read()),
            12 | 13 => format!("self keep: {}", self.block(inner)),
            14 => "self runKept".to_owned(),
            15 => {
                let (read, name) = (self.read(), self.assigned());
                format!("self keep: [ {name} := {read} + 1 ]")
            }
            5 => {
                let counter = format!("n{}", self.counters);
                self.counters += 1;
                let condition = match self.decide(3) {
                    0 => format!("{counter} < 3"),
                    1 => format!("{counter} < 3 and: {}", self.block(inner)),
                    _ => format!("{}. {counter} < 3", self.statement(inner)),
                };
                let body = self.statements(2, inner);
                let keep = if self.decide(3) == 2 { format!("self keep: [ {counter} ]. ") } else { String::new() };
                match self.decide(4) {
                    0 => format!(
                        "{counter} := 0. [ {counter} >= 3 ] whileFalse: [ {counter} := {counter} + 1. {keep}{body} ]"
                    ),
                    1 => {
                        format!("{counter} := 0. [ {counter} := {counter} + 1. {keep}{body}. {counter} < 3 ] whileTrue")
                    }
                    _ => format!(
                        "{counter} := 0. [ {condition} ] whileTrue: [ {counter} := {counter} + 1. {keep}{body} ]"
                    ),
                }
            }
            6 => {
                let (first, last) = (self.number(0), self.number(0));
                format!("({first}) to: ({last}) do: {}", self.block_of_one(inner))
            }
            7 => {
                let step = ["2", "-1", "-200", "300"][usize::from(self.decide(4))];
                let first = self.number(0);
                format!("({first}) to: 3 by: {step} do: {}", self.block_of_one(inner))
            }
            8 => format!("({}) timesRepeat: {}", self.number(0), self.block(inner)),
            9 => format!("#(1 2) do: {}", self.block_of_one(inner)),
            10 => format!("({}) ifTrue: {}", self.condition(inner), self.block(inner)),
            _ if self.decide(8) == 7 => format!("^{}", self.expression(inner)),
            _ => self.expression(inner),
        }
    }

    /// What is most likely a number.
    fn number(&mut self, depth: u8) -> String {
        if depth == 0 {
            return match self.decide(8) {
                0 => "1".to_owned(),
                1 => "3".to_owned(),
                2 => self.expression(0),
                _ => self.read(),
            };
        }
        let inner = depth - 1;
        match self.decide(10) {
            0 | 1 => self.number(0),
            2 => self.expression(inner),
            3..=6 => {
                let operator = ["+", "-", "*", "\\\\", "//"][usize::from(self.decide(5))];
                format!("({}) {operator} ({})", self.number(inner), self.number(inner))
            }
            7 => {
                let name = self.assigned();
                format!("({name} := {})", self.number(inner))
            }
            8 => format!("({}) ifTrue: {} ifFalse: {}", self.condition(inner), self.block(inner), self.block(inner)),
            _ => format!("(self log: ({}))", self.number(inner)),
        }
    }

    /// What is most likely a boolean.
    fn condition(&mut self, depth: u8) -> String {
        if depth == 0 {
            return match self.decide(4) {
                0 => format!("{} isNil", self.read()),
                1 => self.expression(0),
                _ => format!("{} < 3", self.read()),
            };
        }
        let inner = depth - 1;
        match self.decide(6) {
            0 => self.condition(0),
            1 => self.expression(inner),
            2 | 3 => {
                let operator = ["<", "<=", ">", ">=", "=", "~="][usize::from(self.decide(6))];
                format!("({}) {operator} ({})", self.number(inner), self.number(inner))
            }
            _ => {
                let selector = ["and:", "or:", "&&", "||"][usize::from(self.decide(4))];
                let before = match self.decide(3) {
                    0 => format!("{}. ", self.statement(inner)),
                    _ => String::new(),
                };
                format!("({}) {selector} [ {before}{} ]", self.condition(inner), self.condition(inner))
            }
        }
    }

    fn expression(&mut self, depth: u8) -> String {
        if depth == 0 {
            return match self.decide(8) {
                0 => "1".to_owned(),
                1 => "-3".to_owned(),
                2 => "300".to_owned(),
                3 => ["nil", "true", "false", "self"][usize::from(self.decide(4))].to_owned(),
                _ => self.read(),
            };
        }
        let inner = depth - 1;
        match self.decide(22) {
            0 | 1 => self.expression(0),
            2 | 3 => self.number(depth),
            4 | 5 => {
                let operator = ["<", "<=", ">", ">=", "=", "~="][usize::from(self.decide(6))];
                format!("({}) {operator} ({})", self.expression(inner), self.expression(inner))
            }
            6 => {
                let operator = ["==", "~~"][usize::from(self.decide(2))];
                format!("({}) {operator} ({})", self.expression(inner), self.expression(inner))
            }
            7 => format!("({}) {}", self.expression(inner), ["isNil", "notNil"][usize::from(self.decide(2))]),
            8 => self.condition(depth),
            9 => {
                let selector = ["and:", "or:", "&&", "||"][usize::from(self.decide(4))];
                format!("({}) {selector} {}", self.condition(inner), self.block(inner))
            }
            10 | 11 => {
                let receiver = self.condition(inner);
                let (first, second) = (self.block(inner), self.block(inner));
                match self.decide(4) {
                    0 => format!("({receiver}) ifTrue: {first}"),
                    1 => format!("({receiver}) ifFalse: {first}"),
                    2 => format!("({receiver}) ifTrue: {first} ifFalse: {second}"),
                    _ => format!("({receiver}) ifFalse: {first} ifTrue: {second}"),
                }
            }
            12 => {
                let receiver = self.expression(inner);
                let (first, second) = (self.block(inner), self.block_of_one(inner));
                match self.decide(3) {
                    0 => format!("({receiver}) ifNil: {first}"),
                    1 => format!("({receiver}) ifNotNil: {second}"),
                    _ => format!("({receiver}) ifNil: {first} ifNotNil: {second}"),
                }
            }
            13 | 14 => {
                let name = self.assigned();
                format!("({name} := {})", self.expression(inner))
            }
            15 => format!("{} value", self.block(inner)),
            16 => format!("{} value: ({})", self.block_of_one(inner), self.expression(inner)),
            17 => self.block(inner),
            18 => format!("({}) value", self.expression(inner)),
            19 => format!("(self log: ({}))", self.expression(inner)),
            20 => format!("(self log: ({}); log: ({}))", self.expression(inner), self.expression(inner)),
            _ => format!("{{ {}. {} }}", self.expression(inner), self.expression(inner)),
        }
    }
}

/// Runs `text` in all three ways.
fn check_meaning(text: &str) -> Result<(), TestCaseError> {
    let compilation = compile_text(text);
    let Some(image) = &compilation.image else {
        return Err(TestCaseError::fail(format!("no image of {text}:\n{}", all_rendered(&compilation))));
    };
    prop_assert_eq!(verify(image), Ok(()), "{}", text);
    let arena = Bump::new();
    let tree = parser::parse(&arena, 0, text);
    let expected = tree_walk::run(&tree.file, 5);
    prop_assume!(expected.end != End::Exhausted);
    for always_falls_back in [false, true] {
        let found = machine::run(image, 5, always_falls_back);
        prop_assume!(found.end != End::Exhausted);
        prop_assert_eq!(&found, &expected, "{}, by fallbacks: {}", text, always_falls_back);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000,
        max_global_rejects: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_compiled_does_what_the_tree_says(decisions in prop::collection::vec(any::<u8>(), 20..400)) {
        check_meaning(&Writer::program(&decisions))?;
    }
}

#[test]
fn compiling_again_gives_the_same_image() {
    let decisions: Vec<u8> = (0..2_000u32).map(|index| (index * index / 7 + index) as u8).collect();
    let text = Writer::program(&decisions);
    let [first, second] = [(); 2].map(|()| compile_text(&text).image.expect("an image"));
    assert_eq!(twintalk_bytecode::file::encode(&first), twintalk_bytecode::file::encode(&second));
}

#[test]
fn a_temporary_of_a_condition_outlives_the_condition_in_its_fallback() {
    let inner = "(a < 3 and: [ | t | t := b. t < 9 and: [ b := b + 1. t := t + 1. t > a ] ])";
    for text in [
        format!("G = ( run: x = ( | a b | a := 1. b := x. {inner} ifTrue: [ ^{{ 1. a }} ]. ^{{ 2. b }} ) )"),
        format!("G = ( run: x = ( | a b | a := 1. b := x. [ {inner} ] whileTrue: [ a := a + 1 ]. ^{{ a. b }} ) )"),
    ] {
        check_meaning(&text).expect("all ways answer the same");
    }
}
