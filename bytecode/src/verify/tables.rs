//! The tables of an image: names, files, definitions, and the place that each method has among them; and literals.

use std::collections::HashSet;

use super::{
    Broken, Place, RETRIES_MAX, Rule, SCALE_MAX, VerifyError, broken, check_name, check_position, check_rows, name_of,
};
use crate::file::LITERAL_DEPTH_MAX;
use crate::image::*;

pub(super) fn check_tables(image: &Image) -> Result<(), Broken> {
    let mut seen = HashSet::with_capacity(image.names.len());
    for name in &image.names {
        if !seen.insert(name.as_str()) {
            return broken(Rule::NameTwice, format!("the name `{name}` twice"));
        }
    }
    check_rows("files", image.files.len())?;
    for file in &image.files {
        let ascends = file.line_starts.is_sorted_by(|a, b| a < b);
        if file.line_starts.first() != Some(&0) || !ascends {
            return broken(Rule::Position, format!("the line starts of {}", file.name));
        }
    }
    for (what, table) in [("globals", &image.globals), ("variables", &image.variables)] {
        check_rows(what, table.len())?;
        let mut seen = Seen::of(image);
        for id in table {
            let name = check_name(image, *id)?;
            if !seen.insert(*id) {
                return broken(Rule::NameTwice, format!("`{name}` twice among the {what}"));
            }
        }
    }
    Ok(())
}

/// A set of names of an image, for one list after the other.
struct Seen {
    /// By name the last list that it was in.
    lists: Vec<u32>,
    list: u32,
}

impl Seen {
    fn of(image: &Image) -> Seen {
        Seen { lists: vec![0; image.names.len()], list: 1 }
    }

    /// Forgets all names.
    fn clear(&mut self) {
        // There are fewer lists than bytes that say so.
        self.list += 1;
    }

    /// Whether the name, which is one, is new.
    fn insert(&mut self, name: NameId) -> bool {
        std::mem::replace(&mut self.lists[name.0 as usize], self.list) != self.list
    }
}

/// Which methods have found their place.
pub(super) struct Owners<'a> {
    image: &'a Image,
    selector_arguments: &'a [Option<usize>],
    used: Vec<bool>,
    /// The names in the list at hand.
    seen: Seen,
}

impl<'a> Owners<'a> {
    /// None yet. `selector_arguments`: what each name takes as a selector.
    pub(super) fn new(image: &'a Image, selector_arguments: &'a [Option<usize>]) -> Owners<'a> {
        Owners { image, selector_arguments, used: vec![false; image.methods.len()], seen: Seen::of(image) }
    }

    fn selector(&self, id: NameId) -> Result<usize, Broken> {
        let selector = check_name(self.image, id)?;
        match self.selector_arguments[id.0 as usize] {
            Some(count) => Ok(count),
            None => broken(Rule::Selector, format!("`{selector}` is no selector")),
        }
    }

    fn claim(&mut self, id: MethodId) -> Result<(&'a Method, &'a str), Broken> {
        let index = id.0 as usize;
        let Some(method) = self.image.methods.get(index) else {
            return broken(Rule::MethodRange, format!("method {index} of {}", self.image.methods.len()));
        };
        let selector = check_name(self.image, method.selector)?;
        if std::mem::replace(&mut self.used[index], true) {
            return broken(Rule::MethodTwice, format!("method {index} `{selector}` has two places"));
        }
        Ok((method, selector))
    }

    /// Methods that messages find.
    pub(super) fn found_by_lookup(&mut self, methods: &[MethodId]) -> Result<(), Broken> {
        self.seen.clear();
        for id in methods {
            let (method, selector) = self.claim(*id)?;
            if !self.seen.insert(method.selector) {
                return broken(Rule::SelectorTwice, format!("two methods `{selector}`"));
            }
            let asked = self.selector(method.selector)?;
            if asked != usize::from(method.argument_count) {
                return broken(Rule::ArgumentCount, format!("`{selector}` takes {} arguments", method.argument_count));
            }
            if method.flags.hidden {
                return broken(Rule::Hidden, format!("`{selector}` is hidden"));
            }
        }
        Ok(())
    }

    /// A method that takes nothing and has codes.
    pub(super) fn run_once(&mut self, id: MethodId) -> Result<&'a Method, Broken> {
        let (method, selector) = self.claim(id)?;
        if method.argument_count != 0 {
            return broken(Rule::ArgumentCount, format!("`{selector}` takes {} arguments", method.argument_count));
        }
        if method.body == Body::Primitive {
            return broken(Rule::Hidden, format!("`{selector}` is a primitive"));
        }
        Ok(method)
    }

    /// A method that only the system runs.
    fn hidden(&mut self, id: MethodId) -> Result<&'a Method, Broken> {
        let method = self.run_once(id)?;
        if !method.flags.hidden {
            let selector = check_name(self.image, method.selector)?;
            return broken(Rule::Hidden, format!("`{selector}` is not hidden"));
        }
        Ok(method)
    }

    fn behaviour(&mut self, behaviour: &Behaviour) -> Result<(), Broken> {
        for slot in &behaviour.slots {
            check_name(self.image, slot.name)?;
            if let Some(initialiser) = slot.initialiser {
                self.hidden(initialiser)?;
            }
            let annotation = &slot.annotation;
            if let Some(name) = annotation.type_name {
                check_name(self.image, name)?;
            }
            for literal in annotation.min.iter().chain(&annotation.max) {
                check_literal(self.image, literal, 0)?;
            }
        }
        self.found_by_lookup(&behaviour.methods)
    }

    fn prototype(&mut self, prototype: &Prototype) -> Result<(), Broken> {
        check_position(self.image, prototype.position)?;
        self.behaviour(&prototype.instance)?;
        self.behaviour(&prototype.side)?;
        for event in &prototype.events {
            self.selector(event.selector)?;
        }
        self.seen.clear();
        for timer in &prototype.timers {
            let selector = self.hidden(timer.method)?.selector;
            self.hidden(timer.duration)?;
            if !self.seen.insert(selector) {
                let name = name_of(self.image, selector);
                return broken(Rule::SelectorTwice, format!("two timers `{name}`"));
            }
        }
        self.seen.clear();
        for invariant in &prototype.invariants {
            let selector = self.hidden(*invariant)?.selector;
            if !self.seen.insert(selector) {
                let name = name_of(self.image, selector);
                return broken(Rule::SelectorTwice, format!("two invariants `{name}`"));
            }
        }
        for migration in &prototype.migrations {
            self.hidden(migration.method)?;
        }
        if !prototype.migrations.is_sorted_by(|a, b| a.from < b.from) {
            return broken(Rule::MigrationOrder, "the migrations do not ascend");
        }
        check_supervision(prototype)
    }
}

fn check_supervision(prototype: &Prototype) -> Result<(), Broken> {
    let Some(supervision) = &prototype.supervision else { return Ok(()) };
    match prototype.kind {
        PrototypeKind::Twin | PrototypeKind::Trait => {}
        PrototypeKind::Object => return broken(Rule::Supervision, "an object is supervised"),
    }
    if let Some(Retry { count, after_ns, up_to_ns, within_ns }) = supervision.retry {
        if !(1..=RETRIES_MAX).contains(&count) {
            return broken(Rule::Supervision, format!("{count} retries"));
        }
        if after_ns < 1 || up_to_ns < after_ns || within_ns.is_some_and(|within_ns| within_ns < 1) {
            return broken(Rule::Supervision, "durations that no retry can have");
        }
    }
    Ok(())
}

pub(super) fn check_prototypes(owners: &mut Owners<'_>) -> Result<(), VerifyError> {
    let image = owners.image;
    let fail = |prototype: &Prototype, (rule, reason): Broken| VerifyError {
        rule,
        place: Place::Prototype(name_of(image, prototype.name)),
        reason,
    };
    // By name the definition.
    let mut defined: Vec<Option<usize>> = vec![None; image.names.len()];
    for (index, prototype) in image.prototypes.iter().enumerate() {
        (|| {
            let name = check_name(image, prototype.name)?;
            match defined[prototype.name.0 as usize].replace(index) {
                Some(_) => broken(Rule::PrototypeTwice, format!("`{name}` is defined twice")),
                None => Ok(()),
            }
        })()
        .map_err(|error| fail(prototype, error))?;
    }
    let mut children = vec![Vec::new(); image.prototypes.len()];
    let mut roots = Vec::new();
    for (index, prototype) in image.prototypes.iter().enumerate() {
        (|| {
            for ancestor in prototype.parent.iter().chain(&prototype.traits) {
                let name = check_name(image, *ancestor)?;
                if defined[ancestor.0 as usize].is_some_and(|at| at >= index) {
                    return broken(Rule::PrototypeOrder, format!("`{name}` stands no earlier than what it is part of"));
                }
            }
            owners.prototype(prototype)
        })()
        .map_err(|error| fail(prototype, error))?;
        match prototype.parent.and_then(|parent| defined[parent.0 as usize]) {
            Some(parent) => children[parent].push(index),
            None => roots.push(index),
        }
    }

    // Slots along each chain, by a walk over the tree of definitions that takes the slots of a
    // prototype in on the way down and out on the way up: linear, however deep the chain.
    enum Step {
        Down(usize),
        Up(usize),
    }
    let mut taken = [vec![false; image.names.len()], vec![false; image.names.len()]];
    let mut steps: Vec<Step> = roots.into_iter().map(Step::Down).collect();
    while let Some(step) = steps.pop() {
        let (Step::Down(index) | Step::Up(index)) = step;
        let prototype = &image.prototypes[index];
        let sides = [(0, &prototype.instance), (1, &prototype.side)];
        let slots = sides.into_iter().flat_map(|(side, behaviour)| behaviour.slots.iter().map(move |s| (side, s.name)));
        if let Step::Up(_) = step {
            slots.for_each(|(side, slot)| taken[side][slot.0 as usize] = false);
            continue;
        }
        for (side, slot) in slots {
            if std::mem::replace(&mut taken[side][slot.0 as usize], true) {
                let name = name_of(image, slot);
                return Err(fail(prototype, (Rule::SlotTwice, format!("a second slot `{name}`"))));
            }
        }
        steps.push(Step::Up(index));
        steps.extend(children[index].iter().map(|child| Step::Down(*child)));
    }
    Ok(())
}

pub(super) fn check_literal(image: &Image, literal: &Literal, depth: usize) -> Result<(), Broken> {
    match literal {
        Literal::Nil
        | Literal::True
        | Literal::False
        | Literal::Integer(_)
        | Literal::Float(_)
        | Literal::Character(_)
        | Literal::String(_)
        | Literal::Bytes(_) => Ok(()),
        Literal::LargeInteger { negative, magnitude } => {
            let leading_zero = magnitude.last() == Some(&0);
            if leading_zero || fits_64_bits(*negative, magnitude) {
                return broken(Rule::LiteralForm, "a large integer that is none");
            }
            Ok(())
        }
        Literal::ScaledDecimal { digits, scale } => {
            let unsigned = digits.strip_prefix('-').unwrap_or(digits);
            let decimal = !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit());
            let shortest = !unsigned.starts_with('0') || digits == "0";
            if !decimal || !shortest || *scale > SCALE_MAX {
                return broken(Rule::LiteralForm, "a scaled decimal that is none");
            }
            Ok(())
        }
        Literal::Symbol(name) => check_name(image, *name).map(|_| ()),
        Literal::Array(items) => {
            if depth == LITERAL_DEPTH_MAX {
                return broken(Rule::LiteralDepth, format!("literal arrays deeper than {LITERAL_DEPTH_MAX}"));
            }
            items.iter().try_for_each(|item| check_literal(image, item, depth + 1))
        }
    }
}

/// Whether an integer is one that [`Literal::Integer`] holds.
fn fits_64_bits(negative: bool, magnitude: &[u8]) -> bool {
    if magnitude.len() > 8 {
        return false;
    }
    let mut bytes = [0; 8];
    bytes[..magnitude.len()].copy_from_slice(magnitude);
    let magnitude = u64::from_le_bytes(bytes);
    let limit = if negative { 1 << 63 } else { i64::MAX as u64 };
    magnitude <= limit
}
