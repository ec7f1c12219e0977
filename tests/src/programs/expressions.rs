//! Expressions and statements, from templates.

use super::templates::*;
use super::{Place, Signature, Sort, Variable, Writer};

/// What stands where nothing larger may.
const LEAVES_ANY: &[&str] = &["nil", "3", "'t'", "$a", "#sym", "true", "2.5"];

impl Writer<'_> {
    /// An expression that can be an operand as it is.
    pub(super) fn expression(&mut self, sort: Sort, depth: usize) -> String {
        let sort = if self.once_in(40) { *self.pick(&Sort::HELD) } else { sort };
        if depth == 0 || self.budget == 0 {
            return self.leaf(sort);
        }
        self.budget -= 1;
        if self.once_in(4)
            && let Some(name) = self.variable(sort)
        {
            return name;
        }
        match sort {
            Sort::Object => self.object(depth),
            Sort::Twin => self.twin_reference(),
            Sort::Integer => self.expression_among(INTEGER, depth),
            Sort::Number => self.expression_among(NUMBER, depth),
            Sort::Text => self.expression_among(TEXT, depth),
            Sort::Boolean => self.expression_among(BOOLEAN, depth),
            Sort::Sequence => self.expression_among(SEQUENCE, depth),
            Sort::Keyed => self.expression_among(KEYED, depth),
            Sort::Block => self.expression_among(BLOCK, depth),
            Sort::Any if self.once_in(8) => self.expression_among(UNUSUAL, depth),
            Sort::Any => self.expression_among(ANY, depth),
        }
    }

    fn expression_among(&mut self, templates: &[&str], depth: usize) -> String {
        let template = *self.pick(templates);
        self.fill(template, depth - 1)
    }

    /// A variable, or a literal.
    fn leaf(&mut self, sort: Sort) -> String {
        if self.once_in(2)
            && let Some(name) = self.variable(sort)
        {
            return name;
        }
        let templates = match sort {
            Sort::Object => return self.object(0),
            Sort::Twin => return self.twin_reference(),
            Sort::Integer => INTEGER,
            Sort::Number => &NUMBER[1..],
            Sort::Text => TEXT,
            Sort::Boolean => BOOLEAN,
            Sort::Sequence => SEQUENCE,
            Sort::Keyed => KEYED,
            Sort::Block => &["[ ]", "[ nil ]", "[ 7 ]"],
            Sort::Any => LEAVES_ANY,
        };
        // Those that have no holes but digits.
        let small: Vec<&str> = templates.iter().copied().filter(|text| !text.replace("%d", "").contains('%')).collect();
        let template = *self.pick(&small);
        self.fill(template, 0)
    }

    /// One of the variables in sight that hold something of the sort, the innermost most often.
    fn variable(&mut self, sort: Sort) -> Option<String> {
        let fits = |variable: &&Variable| {
            sort == Sort::Any || variable.sort == sort || (sort == Sort::Number && variable.sort == Sort::Integer)
        };
        let names: Vec<String> = self.scope.iter().rev().filter(fits).map(|variable| variable.name.clone()).collect();
        if names.is_empty() {
            return None;
        }
        let (first, second) = (self.below(names.len()), self.below(names.len()));
        Some(names[first.min(second)].clone())
    }

    /// The template with its holes filled. What it declares is in sight to the end of the block that declares it.
    pub(super) fn fill(&mut self, template: &str, depth: usize) -> String {
        let outside = self.scope.len();
        let mut text = String::new();
        let (mut blocks, mut declared) = (Vec::new(), Vec::<String>::new());
        let mut characters = template.chars();
        while let Some(character) = characters.next() {
            match character {
                '[' => blocks.push(self.scope.len()),
                ']' => self.scope.truncate(blocks.pop().unwrap_or(outside)),
                _ => {}
            }
            if character != '%' {
                text.push(character);
                continue;
            }
            match characters.next() {
                Some(mark @ (':' | '~')) => {
                    let sort = characters.next().map_or(Sort::Any, sort_of);
                    let name = self.fresh('v');
                    if mark == ':' {
                        text.push(':');
                    }
                    text.push_str(&name);
                    // Counters of loops among them: only the template assigns these.
                    self.scope.push(Variable { name: name.clone(), sort, assignable: false });
                    declared.push(name);
                }
                Some(digit @ '1'..='9') => text.push_str(&declared[digit as usize - '1' as usize]),
                Some(hole) => text.push_str(&self.hole(hole, depth)),
                None => {}
            }
        }
        self.scope.truncate(outside);
        text
    }

    fn hole(&mut self, hole: char, depth: usize) -> String {
        match hole {
            'd' => self.below(10).to_string(),
            'E' => (*self.pick(EXCEPTIONS)).to_owned(),
            'S' => self.statements(depth),
            'J' => {
                let returns = std::mem::replace(&mut self.returns, false);
                let text = self.statements(depth);
                self.returns = returns;
                text
            }
            'm' => self.send_to_object(depth),
            'c' => self.send_to_twin(depth, false),
            'u' => self.send_to_twin(depth, true),
            'f' => self.far_send(depth),
            'p' => self.path(),
            'N' => self.new_twin(),
            other => self.expression(sort_of(other), depth),
        }
    }

    /// One to three statements, without a period at the end.
    pub(super) fn statements(&mut self, depth: usize) -> String {
        if self.place == Place::Initialiser {
            return "nil".to_owned();
        }
        let count = if depth == 0 { 1 } else { 1 + self.below(3) };
        let statements: Vec<String> = (0..count).map(|_| self.statement(depth)).collect();
        statements.join(". ")
    }

    pub(super) fn statement(&mut self, depth: usize) -> String {
        let depth_inside = depth.saturating_sub(1);
        let assignable: Vec<Variable> = self.scope.iter().filter(|variable| variable.assignable).cloned().collect();
        match self.below(8) {
            0 | 1 if !assignable.is_empty() => {
                let variable = self.pick(&assignable).clone();
                let value = self.expression(variable.sort, depth_inside);
                format!("{} := {value}", variable.name)
            }
            2 if self.returns && self.once_in(2) => {
                let (condition, value) =
                    (self.expression(Sort::Boolean, depth_inside), self.expression(Sort::Any, depth_inside));
                format!("{condition} ifTrue: [ ^{value} ]")
            }
            3 if depth > 0 => {
                let objects = self.objects.iter().flat_map(|made| &made.slots);
                let slots: Vec<Variable> = objects.cloned().collect();
                if slots.is_empty() {
                    return self.expression(Sort::Any, depth_inside);
                }
                let slot = self.pick(&slots).clone();
                let (receiver, value) =
                    (self.expression(Sort::Object, depth_inside), self.expression(slot.sort, depth_inside));
                format!("{receiver} {}: {value}", slot.name)
            }
            4 | 5 if matches!(self.place, Place::Turn) && depth > 0 => self.statement_among(IN_TURN, depth_inside),
            _ if depth == 0 => {
                let leaf = self.leaf(Sort::Any);
                format!("{leaf} printNl")
            }
            _ => self.statement_among(STATEMENT, depth_inside),
        }
    }

    /// A statement of the program that has to do with its twins.
    pub(super) fn statement_on_twins(&mut self) -> String {
        self.statement_among(ON_TWINS, 2)
    }

    fn statement_among(&mut self, templates: &[&str], depth: usize) -> String {
        self.budget = self.budget.saturating_sub(1);
        let depth = if self.budget == 0 { 0 } else { depth };
        let template = *self.pick(templates);
        self.fill(template, depth)
    }

    /// How deep the next send may go on.
    fn deeper(&mut self) -> String {
        match (&self.fuel, self.place) {
            (Some(name), _) => format!("{name} - 1"),
            (None, Place::Program) => self.below(4).to_string(),
            (None, _) => "0".to_owned(),
        }
    }

    /// An object of the program.
    fn object(&mut self, depth: usize) -> String {
        if matches!(self.place, Place::Method) && self.once_in(3) {
            return "self".to_owned();
        }
        if self.objects.is_empty() {
            return "Object new".to_owned();
        }
        let made = self.below(self.objects.len());
        let made = self.objects[made].clone();
        match self.below(6) {
            4 if depth > 0 => {
                let value = self.expression(Sort::Any, depth - 1);
                format!("({} make: {value})", made.name)
            }
            5 if depth > 0 && !made.slots.is_empty() => {
                let slot = self.pick(&made.slots).clone();
                let value = self.expression(slot.sort, depth - 1);
                format!("({} new {}: {value}; yourself)", made.name, slot.name)
            }
            3 => format!("{} new copy", made.name),
            _ => format!("{} new", made.name),
        }
    }

    /// A send of what objects understand, in one of its forms.
    fn send_to_object(&mut self, depth: usize) -> String {
        let depth_inside = depth.saturating_sub(1);
        if self.protocol.is_empty() {
            return self.leaf(Sort::Any);
        }
        let nth = self.below(self.protocol.len());
        let signature = self.protocol[nth].clone();
        let above = self.inside.and_then(|made| self.objects[made].parent);
        let is_super = self.place == Place::Method
            && above.is_some_and(|above| self.objects[above].methods.contains(&nth))
            && self.once_in(2);
        let receiver = if is_super { "super".to_owned() } else { self.expression(Sort::Object, depth_inside) };
        self.send(&receiver, &signature, depth_inside, !is_super)
    }

    /// The send, in parentheses: written out, or by `perform:`.
    pub(super) fn send(&mut self, receiver: &str, signature: &Signature, depth: usize, may_perform: bool) -> String {
        let mut arguments = vec![self.deeper()];
        for sort in &signature.arguments {
            arguments.push(self.expression(*sort, depth));
        }
        let selector = &signature.selector;
        match self.below(8) {
            6 if may_perform && arguments.len() < 4 => {
                let withs: Vec<String> = arguments.iter().map(|argument| format!("with: ({argument})")).collect();
                format!("({receiver} perform: #{selector} {})", withs.join(" "))
            }
            7 if may_perform => {
                format!("({receiver} perform: #{selector} withArguments: {{{}}})", arguments.join(". "))
            }
            _ => format!("({receiver} {})", pattern(selector, &arguments)),
        }
    }
}

/// `at: x put: y` for `at:put:`, x and y; `+ x` for `+`.
pub(super) fn pattern(selector: &str, arguments: &[String]) -> String {
    if !selector.contains(':') {
        return match arguments.first() {
            Some(argument) if !selector.starts_with(char::is_alphabetic) => format!("{selector} ({argument})"),
            Some(_) | None => selector.to_owned(),
        };
    }
    let words = selector.split_inclusive(':').zip(arguments);
    words.map(|(word, argument)| format!("{word} {argument}")).collect::<Vec<_>>().join(" ")
}

fn sort_of(letter: char) -> Sort {
    match letter {
        'i' => Sort::Integer,
        'n' => Sort::Number,
        't' => Sort::Text,
        'b' => Sort::Boolean,
        'q' => Sort::Sequence,
        'k' => Sort::Keyed,
        'o' => Sort::Object,
        'B' => Sort::Block,
        'r' => Sort::Twin,
        _ => Sort::Any,
    }
}
