//! What a program defines: an exception, traits, objects that inherit and use them, methods for the kernel's integers.

use std::fmt::Write as _;

use super::expressions::pattern;
use super::{BUDGET_METHOD, Made, Place, Signature, Sort, Subject, Variable, Writer};

impl Writer<'_> {
    pub(super) fn definitions(&mut self) {
        let oops = ["", " isResumable = ( ^true ) ", " defaultAction = ( ^5 ) ", " query isResumable = ( ^true ) "];
        let members = *self.pick(&oops);
        let _ = writeln!(self.text, "Oops = Error ({members})");
        self.protocol = self.signatures('m', 4);
        let globals: Vec<Variable> = (0..1 + self.below(3)).map(|_| self.held('g', true)).collect();
        let names: Vec<&str> = globals.iter().map(|variable| variable.name.as_str()).collect();
        let _ = writeln!(self.text, "| {} |", names.join(" "));
        // A turn that touches one has a fault.
        let in_sight = self.subject == Subject::Objects || self.once_in(20);
        self.scope = if in_sight { globals.clone() } else { Vec::new() };
        let traits: Vec<String> = (0..self.below(3)).map(|nth| self.add_trait(nth)).collect();
        for nth in 0..1 + self.below(4) {
            self.add_object(nth, &traits);
        }
        if self.once_in(3) {
            self.scope.truncate(globals.len());
            let method = self.method_of_protocol(0);
            let _ = writeln!(self.text, "extend Integer = (\n{method})");
        }
        if self.subject == Subject::Twins {
            self.twin_definitions(&traits);
        }
        self.scope = globals;
        self.fuel = None;
        self.returns = false;
        self.inside = None;
    }

    /// Selectors that begin with `letter`.
    pub(super) fn signatures(&mut self, letter: char, count: usize) -> Vec<Signature> {
        (0..count)
            .map(|nth| {
                let arguments: Vec<Sort> = (0..self.below(3)).map(|_| *self.pick(&Sort::HELD)).collect();
                let selector = match arguments.len() {
                    0 if letter == 'm' && self.once_in(2) => format!("<{}>", "+".repeat(nth + 1)),
                    count => format!("{letter}{nth}:{}", "with:".repeat(count)),
                };
                Signature { selector, arguments, answer: *self.pick(&Sort::HELD) }
            })
            .collect()
    }

    /// A new name for something that holds a value.
    pub(super) fn held(&mut self, letter: char, assignable: bool) -> Variable {
        Variable { name: self.fresh(letter), sort: *self.pick(&Sort::HELD), assignable }
    }

    /// A slot section: new slots with first values, in sight from here on. Empty where there are none.
    pub(super) fn slot_section(&mut self, letter: char, count: usize) -> (String, Vec<Variable>) {
        let mut slots = Vec::new();
        let mut text = String::new();
        for _ in 0..count {
            let slot = self.held(letter, true);
            let place = std::mem::replace(&mut self.place, Place::Initialiser);
            let (value, other) = (self.expression(slot.sort, 2), self.expression(slot.sort, 0));
            self.place = place;
            let _ = match self.below(6) {
                5 => write!(text, " {} <- {value}.", slot.name),
                _ => write!(text, " {} <- ([ {value} ] on: Error do: [ :e | {other} ]).", slot.name),
            };
            self.scope.push(slot.clone());
            slots.push(slot);
        }
        (if slots.is_empty() { String::new() } else { format!("  |{text} |\n") }, slots)
    }

    fn writers(slots: &[Variable]) -> String {
        slots.iter().map(|Variable { name, .. }| format!("  {name}: new = ( {name} := new )\n")).collect()
    }

    fn add_trait(&mut self, nth: usize) -> String {
        let name = format!("T{nth}");
        let outside = self.scope.len();
        let count = self.below(2);
        let (section, slots) = self.slot_section('t', count);
        let picked = self.below(self.protocol.len());
        let method = self.method_of_protocol(picked);
        let _ = writeln!(self.text, "trait {name} = (\n{section}{}{method})", Self::writers(&slots));
        self.scope.truncate(outside);
        name
    }

    fn add_object(&mut self, nth: usize, traits: &[String]) {
        let outside = self.scope.len();
        let name = format!("P{nth}");
        let parent = if nth > 0 && self.once_in(2) { Some(self.below(nth)) } else { None };
        let (inherited, above) = parent.map_or((Vec::new(), Vec::new()), |parent| {
            (self.objects[parent].slots.clone(), self.objects[parent].methods.clone())
        });
        // A trait brings its slots once: what an ancestor uses is not used again.
        let used =
            if parent.is_none() && !traits.is_empty() && self.once_in(2) { self.below(traits.len() + 1) } else { 0 };
        let ancestry: Vec<&str> = std::iter::once(parent.map_or("Object", |parent| self.objects[parent].name.as_str()))
            .chain(traits[..used].iter().map(String::as_str))
            .collect();
        let header = format!("object {name} = {} (\n", ancestry.join(" + "));
        self.scope.extend(inherited.iter().cloned());
        let count = self.below(3);
        let (section, slots) = self.slot_section('s', count);
        let all = [inherited, slots.clone()].concat();
        self.objects.push(Made { name, parent, slots: all, methods: above });
        self.inside = Some(nth);
        let mut text = header + &section + &Self::writers(&slots);
        for picked in 0..self.protocol.len() {
            if self.below(3) > 0 {
                let method = self.method_of_protocol(picked);
                text.push_str(&method);
                self.objects[nth].methods.push(picked);
            }
        }
        if self.once_in(4) {
            text.push_str("  doesNotUnderstand: aMessage = ( ^aMessage arguments size )\n");
        }
        if self.once_in(4) {
            let value = self.expression(Sort::Any, 1);
            let _ = writeln!(text, "  printOn: aStream = ( super printOn: aStream. aStream print: {value} )");
        }
        if self.once_in(6) {
            text.push_str("  = other = ( ^self class == other class )\n  hash = ( ^7 )\n");
        }
        if self.once_in(6) {
            let statement = self.member_statements();
            let _ = writeln!(text, "  initialize = ( super initialize. {statement} )");
        }
        let shared = self.fresh('c');
        let made = match slots.first() {
            Some(slot) => format!("(self new {}: x; yourself)", slot.name),
            None => "self new".to_owned(),
        };
        let _ = write!(text, "  ----\n  | {shared} <- 0. |\n  make: x = ( {shared} := {shared} + 1. ^{made} )\n)\n");
        self.text.push_str(&text);
        self.scope.truncate(outside);
    }

    /// Statements of a method without arguments: what they send goes no deeper.
    pub(super) fn member_statements(&mut self) -> String {
        let place = std::mem::replace(&mut self.place, Place::Method);
        self.budget = BUDGET_METHOD / 2;
        let text = self.statements(2);
        self.place = place;
        text
    }

    fn method_of_protocol(&mut self, nth: usize) -> String {
        let signature = self.protocol[nth].clone();
        self.method("", &signature, Place::Method)
    }

    /// A method of the selector.
    pub(super) fn method(&mut self, modifier: &str, signature: &Signature, place: Place) -> String {
        let outside = self.scope.len();
        let fuel = self.fresh('n');
        let mut names = vec![fuel.clone()];
        for sort in &signature.arguments {
            let name = self.fresh('a');
            self.scope.push(Variable { name: name.clone(), sort: *sort, assignable: false });
            names.push(name);
        }
        let parameters = pattern(&signature.selector, &names).replace(['(', ')'], "");
        let earlier = std::mem::replace(&mut self.place, place);
        self.budget = BUDGET_METHOD;
        self.fuel = None;
        self.returns = true;
        let least = self.expression(signature.answer, 0);
        self.fuel = Some(fuel.clone());
        let temporaries: Vec<Variable> = (0..self.below(3)).map(|_| self.held('l', true)).collect();
        let mut text = format!("  {modifier}{parameters} = (\n");
        if !temporaries.is_empty() {
            let names: Vec<&str> = temporaries.iter().map(|variable| variable.name.as_str()).collect();
            let _ = writeln!(text, "    | {} |", names.join(" "));
        }
        let _ = writeln!(text, "    {fuel} < 1 ifTrue: [ ^{least} ].");
        for variable in temporaries {
            let value = self.expression(variable.sort, 2);
            let _ = writeln!(text, "    {} := {value}.", variable.name);
            self.scope.push(variable);
        }
        for _ in 0..self.below(3) {
            let statement = self.statement(3);
            let _ = match self.below(3) {
                0 => writeln!(text, "    {statement}."),
                _ => writeln!(text, "    [ {statement} ] on: Error do: [ :e | e class printNl ]."),
            };
        }
        let answer = self.expression(signature.answer, 3);
        let _ = writeln!(text, "    ^{answer}\n  )");
        self.scope.truncate(outside);
        self.place = earlier;
        self.fuel = None;
        self.returns = false;
        text
    }
}
