//! What a program defines and does of twins: two kinds with commands and queries that send near and far, parts, timers,
//! invariants, supervision, promises.

use std::fmt::Write as _;

use super::{BUDGET_METHOD, Made, Place, Sort, Subject, Writer};

/// Paths, and which definition makes the twin there. Now and then a reference is to another kind, or nobody.
const PATHS: [(&str, usize); 3] = [("a", 0), ("b", 1), ("c", 0)];
const OTHER_PATHS: [&str; 5] = ["'d'", "'a/x'", "'e/p'", "'a'", "''"];

const SUPERVISION: [&str; 6] = [
    "",
    "",
    "  supervise deadLetter.\n",
    "  supervise quarantine.\n",
    "  supervise retry: 2 after: 1 second upTo: 4 seconds then: deadLetter.\n",
    "  supervise retry: 1 after: 300 milliseconds within: 1 minute then: quarantine.\n",
];

const PART: &str = "twin Pa0 = (
  | level <Integer min: -1000 max: 1000000> <- 0. kept |
  p0: x = ( level := x )
  p1: x = ( kept := x. self parent notNil ifTrue: [ (self parent) noted: x ] )
  query shown = ( ^{ level. kept } printString )
";

impl Writer<'_> {
    pub(super) fn twin_definitions(&mut self, traits: &[String]) {
        self.commands = self.signatures('w', 3);
        self.queries = self.signatures('q', 2);
        // Known before they are written, so that they can send to each other.
        for nth in 0..2 {
            let name = format!("W{nth}");
            self.twins.push(Made { name, parent: None, slots: Vec::new(), methods: Vec::new() });
        }
        let escalate = if self.once_in(3) { "  supervise escalate.\n" } else { "" };
        let _ = writeln!(self.text, "{PART}{escalate})");
        for nth in 0..2 {
            self.add_twin(nth, traits);
        }
    }

    fn add_twin(&mut self, nth: usize, traits: &[String]) {
        let outside = self.scope.len();
        self.inside = None;
        let used = if traits.is_empty() || self.once_in(2) { String::new() } else { format!(" + {}", traits[0]) };
        let count = 1 + self.below(3);
        let (section, slots) = self.slot_section('w', count);
        let mut text = format!("twin W{nth} = Twin{used} (\n{section}  | notes <- List new. |\n");
        text.push_str("  event changed: x.\n  event seen.\n");
        let supervision = *self.pick(&SUPERVISION);
        text.push_str(supervision);
        self.budget = BUDGET_METHOD / 2;
        self.place = Place::Turn;
        let created = self.statement(2);
        let _ = writeln!(
            text,
            "  created = ( self part: 'p' of: Pa0. [ {created} ] on: Error do: [ :e | notes add: e class name ] )"
        );
        text.push_str("  noted: x = ( notes size < 20 ifTrue: [ notes add: x ] )\n");
        for signature in self.commands.clone() {
            let method = self.method("", &signature, Place::Turn);
            text.push_str(&method);
        }
        // A query assigns none of the slots.
        for variable in &mut self.scope {
            variable.assignable = false;
        }
        for signature in self.queries.clone() {
            let method = self.method("query ", &signature, Place::Query);
            text.push_str(&method);
        }
        let names: Vec<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
        let _ = writeln!(text, "  query shown = ( ^{{ {}. notes }} printString )", names.join(". "));
        if self.once_in(3) {
            self.place = Place::Query;
            self.budget = 6;
            let condition = self.expression(Sort::Boolean, 2);
            let _ = writeln!(text, "  invariant often = ( ({condition}) | true )");
        }
        for variable in &mut self.scope {
            variable.assignable = true;
        }
        if self.once_in(2) {
            let period = *self.pick(&["every: 1 second", "every: 700 milliseconds", "after: 2 seconds"]);
            self.place = Place::Turn;
            self.budget = BUDGET_METHOD / 2;
            let statement = self.statement(2);
            let _ = writeln!(text, "  timer check {period} = ( {statement} )");
        }
        self.place = Place::Program;
        let _ = writeln!(self.text, "{text})");
        self.scope.truncate(outside);
    }

    pub(super) fn make_twins(&mut self) {
        for (path, nth) in PATHS {
            let _ = writeln!(self.text, "[ W{nth} new: '{path}' ] on: Error do: [ :e | e printNl ].");
        }
    }

    pub(super) fn show_twins(&mut self) {
        for (path, nth) in PATHS {
            let _ = writeln!(self.text, "[ (W{nth} at: '{path}') shown displayNl ] on: Error do: [ :e | e printNl ].");
        }
    }

    pub(super) fn twin_reference(&mut self) -> String {
        if self.subject == Subject::Objects {
            return "nil".to_owned();
        }
        let (path, nth) = *self.pick(&PATHS);
        match self.below(12) {
            9 if matches!(self.place, Place::Turn | Place::Query) => "self".to_owned(),
            10 => format!("(Pa0 at: '{path}/p')"),
            11 => format!("(W{} at: '{path}')", 1 - nth),
            _ => format!("(W{nth} at: '{path}')"),
        }
    }

    pub(super) fn path(&mut self) -> String {
        (*self.pick(&OTHER_PATHS)).to_owned()
    }

    pub(super) fn new_twin(&mut self) -> String {
        let (nth, path) = (self.below(2), self.path());
        let word = *self.pick(&["new", "ensure"]);
        format!("(W{nth} {word}: {path})")
    }

    /// A plain send of a command or a query.
    pub(super) fn send_to_twin(&mut self, depth: usize, is_query: bool) -> String {
        let signatures = if is_query { self.queries.clone() } else { self.commands.clone() };
        if signatures.is_empty() {
            return "nil".to_owned();
        }
        let signature = self.pick(&signatures).clone();
        let receiver = if !is_query && self.place == Place::Turn { "self".to_owned() } else { self.twin_reference() };
        self.send(&receiver, &signature, depth.saturating_sub(1), true)
    }

    pub(super) fn far_send(&mut self, depth: usize) -> String {
        let receiver = self.twin_reference();
        let is_query = self.once_in(3);
        let signatures = if is_query { self.queries.clone() } else { self.commands.clone() };
        if signatures.is_empty() {
            return "nil".to_owned();
        }
        let signature = self.pick(&signatures).clone();
        let sent = self.send("", &signature, depth.saturating_sub(1), false);
        format!("({receiver} ! {}", sent.trim_start_matches(['(', ' ']))
    }
}
