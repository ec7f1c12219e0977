//! Programs at random: well-formed text that uses the whole language, made by choices that a seed or bytes decide.
//!
//! An expression is written from a template of the sort that is wanted ([`templates`]): its text with holes, each a sort of
//! its own. So most sends are understood, and now and then one is not, which a program must bear too. A choice of 0 always
//! comes to an end soon, and each piece takes from a budget. Methods that send to each other hand down how deep
//! they may still go, so most programs end; the others meet a limit.
//!
//! A program that this writes has no error; the same choices write the same program.

mod definitions;
mod expressions;
mod templates;
mod twins;

use std::fmt::Write as _;

/// Where choices come from.
pub trait Choices {
    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize;
}

/// Choices that a number decides (Steele, Lea and Flood's SplitMix).
pub struct Seeded(u64);

impl Seeded {
    /// The same number gives the same choices.
    pub fn new(seed: u64) -> Seeded {
        Seeded(seed)
    }
}

impl Choices for Seeded {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ bits >> 31) % end as u64) as usize
    }
}

/// Choices that bytes decide, one each; where they end, the first of everything.
pub struct Bytes<'b>(pub &'b [u8]);

impl Choices for Bytes<'_> {
    fn below(&mut self, end: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % end
    }
}

/// What a program is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Objects, blocks, exceptions, collections and numbers.
    Objects,
    /// These and twins, which send to each other, near and far.
    Twins,
}

/// A program.
pub fn program(choices: &mut dyn Choices, subject: Subject) -> String {
    let mut writer = Writer::new(choices, subject);
    writer.definitions();
    writer.statements_of_program();
    writer.text
}

/// What a value probably is. It decides what is sent to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Integer,
    Number,
    Text,
    Boolean,
    Sequence,
    Keyed,
    Object,
    /// A block without parameters.
    Block,
    /// A reference to a twin.
    Twin,
    Any,
}

impl Sort {
    /// What an argument, slot or variable may hold.
    const HELD: [Sort; 8] =
        [Sort::Integer, Sort::Any, Sort::Sequence, Sort::Number, Sort::Text, Sort::Keyed, Sort::Object, Sort::Boolean];
}

/// A name in sight.
#[derive(Clone, Debug)]
struct Variable {
    name: String,
    sort: Sort,
    assignable: bool,
}

/// A selector of which several definitions have a method. The first argument says how deep it may still send.
#[derive(Clone, Debug)]
struct Signature {
    /// `m0:with:`, or `<+>`.
    selector: String,
    /// Of the arguments behind the first.
    arguments: Vec<Sort>,
    answer: Sort,
}

/// A prototype of the program.
#[derive(Clone, Debug)]
struct Made {
    name: String,
    parent: Option<usize>,
    /// Of its own and its ancestors.
    slots: Vec<Variable>,
    /// Indices of what of the protocol it has a method for, its ancestors' included.
    methods: Vec<usize>,
}

/// Where the text being written stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Program,
    Method,
    /// Of a definition that is a twin.
    Turn,
    /// Of a twin; compiled as a query.
    Query,
    /// A first value: no statements.
    Initialiser,
}

/// The program so far, and what the next piece may name.
struct Writer<'c> {
    choices: &'c mut dyn Choices,
    subject: Subject,
    text: String,
    /// How many pieces may still be written.
    budget: usize,
    names: usize,
    scope: Vec<Variable>,
    place: Place,
    /// What objects understand.
    protocol: Vec<Signature>,
    objects: Vec<Made>,
    /// What twins understand.
    commands: Vec<Signature>,
    queries: Vec<Signature>,
    twins: Vec<Made>,
    /// Which definition is being written: its ancestors have what `super` means.
    inside: Option<usize>,
    /// The parameter that says how deep the method may still send.
    fuel: Option<String>,
    /// Whether `^` may stand here.
    returns: bool,
}

const BUDGET_PROGRAM: usize = 700;
const BUDGET_METHOD: usize = 30;

impl<'c> Writer<'c> {
    fn new(choices: &'c mut dyn Choices, subject: Subject) -> Writer<'c> {
        Writer {
            choices,
            subject,
            text: String::new(),
            budget: BUDGET_PROGRAM,
            names: 0,
            scope: Vec::new(),
            place: Place::Program,
            protocol: Vec::new(),
            objects: Vec::new(),
            commands: Vec::new(),
            queries: Vec::new(),
            twins: Vec::new(),
            inside: None,
            fuel: None,
            returns: false,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.choices.below(end)
    }

    /// True once in `times`, on average.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == times - 1
    }

    fn pick<'v, T>(&mut self, among: &'v [T]) -> &'v T {
        &among[self.below(among.len())]
    }

    fn fresh(&mut self, letter: char) -> String {
        self.names += 1;
        format!("{letter}{}", self.names)
    }

    /// What the program does: first values of its variables, then one statement after another, most of which survive an
    /// error.
    fn statements_of_program(&mut self) {
        self.place = Place::Program;
        let twins = self.subject == Subject::Twins;
        if twins {
            self.make_twins();
        }
        for variable in self.scope.clone() {
            let (value, other) = (self.expression(variable.sort, 2), self.expression(variable.sort, 0));
            let _ = writeln!(self.text, "{} := [ {value} ] on: Error do: [ :e | {other} ].", variable.name);
        }
        let count = if twins { 8 + self.below(8) } else { 3 + self.below(6) };
        for _ in 0..count {
            self.budget = self.budget.max(60);
            let statement = if twins && !self.once_in(3) { self.statement_on_twins() } else { self.statement(4) };
            let text = match self.below(16) {
                0 => statement,
                1..8 => format!("[ {statement} ] on: Error do: [ :e | e printNl ]"),
                8 => format!("[ {statement} ] ensure: [ 'last' displayNl ]"),
                _ => format!("([ {statement} ] on: Exception do: [ :e | e return: 3 ]) printNl"),
            };
            let _ = writeln!(self.text, "{text}.");
        }
        for variable in self.scope.clone() {
            let _ = writeln!(self.text, "{} printNl.", variable.name);
        }
        if twins {
            self.show_twins();
        }
    }
}
