//! What a program defines: its definitions with their ancestors and slots, its variables.
//!
//! Definitions may come in any order and name each other; all of them are entered here before any
//! body is looked at. What is wrong with how they hang together is reported here too: a name
//! defined twice, a parent that is not there or of the wrong kind, a cycle, a slot twice.
//!
//! Invariant: after [`Program::new`], following parents and traits ends.

use hashbrown::{HashMap, HashSet};

use twintalk_bytecode::image::PrototypeKind;

use crate::ast::{Definition, DefinitionKind, Item, Member, Name, SlotInitial, Span};
use crate::diagnostic::{Code, Diagnostic};
use crate::inline::is_reserved;
use crate::loader::Files;
use crate::names::nearest;
use crate::outer::{Outer, OuterId};

/// A prototype, of the program or of an outer image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Prototype {
    /// A row of [`Program::definitions`].
    Here(usize),
    /// One of an outer image.
    Outer(OuterId),
}

/// A definition of the program.
pub(crate) struct Defined<'a> {
    /// In which file.
    pub file: u16,
    /// What it says.
    pub tree: &'a Definition<'a>,
    /// How it starts, in the words of an image.
    pub kind: PrototypeKind,
    /// The parent, if it is known.
    pub parent: Option<Prototype>,
    /// The parent's name, as the image has it.
    pub parent_name: Option<&'a str>,
    /// The traits that are known.
    pub traits: Vec<Prototype>,
    /// The traits' names, as the image has them.
    pub trait_names: Vec<&'a str>,
    /// An ancestor is missing: what it would have had is not known.
    pub is_incomplete: bool,
    slots: HashMap<&'a str, usize>,
    side_slots: HashMap<&'a str, usize>,
}

/// A slot or constant that a body can name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundSlot {
    /// Whose it is.
    pub owner: Prototype,
    /// Its row among the slots of that side of the owner.
    pub index: usize,
    /// Whether it is a constant.
    pub is_constant: bool,
    /// Where it stands, if that is in the program.
    pub place: Option<(u16, Span)>,
}

/// Everything that names can mean.
pub(crate) struct Program<'a, 'o> {
    /// In the order of files and source; of two with one name the first.
    pub definitions: Vec<Defined<'a>>,
    by_name: HashMap<&'a str, usize>,
    /// Program variables with their places, in order.
    pub variables: Vec<(&'a str, Option<(u16, Span)>)>,
    variable_rows: HashMap<&'a str, usize>,
    /// The images around it.
    pub outer: &'o Outer<'o>,
}

impl<'a, 'o> Program<'a, 'o> {
    /// Enters all that `files` define.
    pub(crate) fn new(files: &Files<'a>, outer: &'o Outer<'o>, diagnostics: &mut Vec<Diagnostic>) -> Program<'a, 'o> {
        let mut program = Program {
            definitions: Vec::new(),
            by_name: HashMap::new(),
            variables: Vec::new(),
            variable_rows: HashMap::new(),
            outer,
        };
        for (file, loaded) in files.loaded.iter().enumerate() {
            for item in loaded.tree.items {
                match item {
                    Item::Definition(definition) => program.enter(file as u16, definition, diagnostics),
                    Item::Variables(names) => {
                        for name in *names {
                            program.enter_variable(file as u16, name, diagnostics);
                        }
                    }
                    Item::Import(_) | Item::Extend(_) | Item::Statement(_) => {}
                }
            }
        }
        program.find_ancestors(diagnostics);
        program.cut_cycles(diagnostics);
        program.spread_incompleteness();
        program.check_slots(diagnostics);
        program
    }

    fn enter(&mut self, file: u16, tree: &'a Definition<'a>, diagnostics: &mut Vec<Diagnostic>) {
        let name = tree.name;
        if let Some(first) = self.by_name.get(name.text) {
            let first = &self.definitions[*first];
            diagnostics.push(
                Diagnostic::new(
                    Code::DuplicateDefinition,
                    file,
                    name.span,
                    format!("`{}` is defined twice", name.text),
                )
                .label_in(first.file, first.tree.name.span, "first defined here")
                .help(format!("to add methods to it, write `extend {} = ( ... )`", name.text)),
            );
            return;
        }
        self.by_name.insert(name.text, self.definitions.len());
        let kind = match tree.kind {
            DefinitionKind::Twin => PrototypeKind::Twin,
            DefinitionKind::Object | DefinitionKind::Plain => PrototypeKind::Object,
            DefinitionKind::Trait => PrototypeKind::Trait,
        };
        let rows = |slots: &'a [crate::ast::Slot<'a>]| {
            let mut rows = HashMap::with_capacity(slots.len());
            for (row, slot) in slots.iter().enumerate() {
                rows.entry(slot.name.text).or_insert(row);
            }
            rows
        };
        self.definitions.push(Defined {
            file,
            tree,
            kind,
            parent: None,
            parent_name: None,
            traits: Vec::new(),
            trait_names: Vec::new(),
            is_incomplete: false,
            slots: rows(tree.instance.slots),
            side_slots: rows(tree.side.map_or(&[], |side| side.slots)),
        });
    }

    fn enter_variable(&mut self, file: u16, name: &Name<'a>, diagnostics: &mut Vec<Diagnostic>) {
        if is_reserved(name.text) {
            let message = format!("`{}` cannot be declared", name.text);
            diagnostics.push(Diagnostic::new(Code::NotAssignable, file, name.span, message));
            return;
        }
        if let Some(row) = self.variable_rows.get(name.text) {
            let message = format!("the program has a variable `{}` already", name.text);
            let mut diagnostic = Diagnostic::new(Code::DuplicateVariable, file, name.span, message);
            if let (_, Some((file, span))) = self.variables[*row] {
                diagnostic = diagnostic.label_in(file, span, "first declared here");
            }
            diagnostics.push(diagnostic);
            return;
        }
        self.variable_rows.insert(name.text, self.variables.len());
        self.variables.push((name.text, Some((file, name.span))));
    }

    /// Adds a variable that nothing declares.
    pub(crate) fn declare_variable(&mut self, name: &'a str) {
        if !self.has_variable(name) {
            self.variable_rows.insert(name, self.variables.len());
            self.variables.push((name, None));
        }
    }

    // ---- looking up ----

    /// The prototype that `name` means.
    pub(crate) fn find(&self, name: &str) -> Option<Prototype> {
        match self.by_name.get(name) {
            Some(row) => Some(Prototype::Here(*row)),
            None => self.outer.find(name).map(Prototype::Outer),
        }
    }

    /// Whether `name` is a program variable.
    pub(crate) fn has_variable(&self, name: &str) -> bool {
        self.variable_rows.contains_key(name) || self.outer.has_variable(name)
    }

    /// Every prototype's name, the nearest first.
    pub(crate) fn prototype_names(&self) -> impl Iterator<Item = &str> {
        self.definitions.iter().map(|defined| defined.tree.name.text).chain(self.outer.prototype_names())
    }

    /// Every program variable's name.
    pub(crate) fn variable_names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|(name, _)| *name).chain(self.outer.variable_names())
    }

    /// How a prototype was defined.
    pub(crate) fn kind(&self, prototype: Prototype) -> PrototypeKind {
        match prototype {
            Prototype::Here(row) => self.definitions[row].kind,
            Prototype::Outer(id) => self.outer.prototype(id).kind,
        }
    }

    /// The name of a prototype.
    pub(crate) fn name(&self, prototype: Prototype) -> &str {
        match prototype {
            Prototype::Here(row) => self.definitions[row].tree.name.text,
            Prototype::Outer(id) => self.outer.name(id, self.outer.prototype(id).name),
        }
    }

    /// The prototype itself and all that it takes slots and methods from, each once, the nearest
    /// first.
    pub(crate) fn lineage(&self, prototype: Prototype) -> Vec<Prototype> {
        let mut seen = HashSet::<Prototype>::from([prototype]);
        let mut lineage = Vec::new();
        let mut next = vec![prototype];
        while let Some(prototype) = next.pop() {
            lineage.push(prototype);
            let mut ancestors: Vec<Prototype> = match prototype {
                Prototype::Here(row) => {
                    let defined = &self.definitions[row];
                    defined.traits.iter().copied().chain(defined.parent).collect()
                }
                Prototype::Outer(id) => {
                    let mut ancestors: Vec<Prototype> = self.outer.ancestors(id).map(Prototype::Outer).collect();
                    // The parent stands first there, and comes last here.
                    if self.outer.prototype(id).parent.is_some() && !ancestors.is_empty() {
                        ancestors.rotate_left(1);
                    }
                    ancestors
                }
            };
            ancestors.retain(|ancestor| seen.insert(*ancestor));
            next.extend(ancestors.into_iter().rev());
        }
        lineage
    }

    /// The slots and constants that names mean in the methods of `prototype`, or behind its dashes.
    pub(crate) fn slots(&self, prototype: Prototype, behind_dashes: bool) -> Vec<(&str, FoundSlot)> {
        let mut slots = Vec::new();
        for owner in self.lineage(prototype) {
            for name in self.own_slot_names(owner, behind_dashes) {
                if let Some(slot) = self.own_slot(owner, behind_dashes, name) {
                    slots.push((name, slot));
                }
            }
        }
        slots
    }

    fn own_slot(&self, owner: Prototype, behind_dashes: bool, name: &str) -> Option<FoundSlot> {
        match owner {
            Prototype::Here(row) => {
                let defined = &self.definitions[row];
                let (rows, slots) = match (behind_dashes, &defined.tree.side) {
                    (false, _) => (&defined.slots, defined.tree.instance.slots),
                    (true, Some(side)) => (&defined.side_slots, side.slots),
                    (true, None) => return None,
                };
                let index = *rows.get(name)?;
                let is_constant = matches!(slots[index].initial, SlotInitial::Constant(_));
                Some(FoundSlot { owner, index, is_constant, place: Some((defined.file, slots[index].name.span)) })
            }
            Prototype::Outer(id) => {
                let prototype = self.outer.prototype(id);
                let slots = if behind_dashes { &prototype.side.slots } else { &prototype.instance.slots };
                let index = slots.iter().position(|slot| self.outer.name(id, slot.name) == name)?;
                Some(FoundSlot { owner, index, is_constant: slots[index].constant, place: None })
            }
        }
    }

    /// The selectors of the events that `prototype` and its ancestors declare.
    pub(crate) fn events(&self, prototype: Prototype) -> Vec<&str> {
        let mut events = Vec::new();
        for owner in self.lineage(prototype) {
            match owner {
                Prototype::Here(row) => {
                    events.extend(self.definitions[row].tree.instance.members.iter().filter_map(
                        |member| match member {
                            Member::Event { pattern, .. } => Some(pattern.selector.text),
                            Member::Method(_)
                            | Member::Timer { .. }
                            | Member::Invariant { .. }
                            | Member::Version { .. }
                            | Member::Supervise { .. }
                            | Member::Migrate { .. } => None,
                        },
                    ));
                }
                Prototype::Outer(id) => {
                    let prototype = self.outer.prototype(id);
                    events.extend(prototype.events.iter().map(|event| self.outer.name(id, event.selector)));
                }
            }
        }
        events
    }

    /// Whether all ancestors of a prototype are known.
    pub(crate) fn is_complete(&self, prototype: Prototype) -> bool {
        match prototype {
            Prototype::Here(row) => !self.definitions[row].is_incomplete,
            Prototype::Outer(_) => true,
        }
    }

    // ---- ancestors ----

    fn find_ancestors(&mut self, diagnostics: &mut Vec<Diagnostic>) {
        for row in 0..self.definitions.len() {
            let defined = &self.definitions[row];
            let (tree, file, kind) = (defined.tree, defined.file, defined.kind);
            let is_trait = kind == PrototypeKind::Trait;
            // What a trait names first is a trait like the rest.
            let (parent, first_trait) = if is_trait { (None, tree.parent) } else { (tree.parent, None) };
            let mut found = (None, Vec::new());
            let mut incomplete = false;
            let mut parent_name = match kind {
                PrototypeKind::Twin => Some("Twin"),
                PrototypeKind::Object | PrototypeKind::Trait => Some("Object"),
            };
            match parent {
                Some(Name { text: "nil", span }) => {
                    parent_name = None;
                    if !self.outer.is_empty() {
                        let message = format!("`{}` has no parent: only the kernel's root has none", tree.name.text);
                        let diagnostic = Diagnostic::new(Code::WrongParent, file, span, message);
                        diagnostics.push(diagnostic.help("leave it out, or write `Object`"));
                    }
                }
                Some(name) => {
                    parent_name = Some(name.text);
                    match self.find(name.text) {
                        Some(parent) => match self.wrong_parent(kind, parent, &name) {
                            None => found.0 = Some(parent),
                            Some((message, help)) => {
                                incomplete = true;
                                let diagnostic = Diagnostic::new(Code::WrongParent, file, name.span, message);
                                diagnostics.push(diagnostic.help(help));
                            }
                        },
                        None => {
                            incomplete = true;
                            diagnostics.push(self.unknown_prototype(file, &name));
                        }
                    }
                }
                // The default is not looked for while there is no kernel yet.
                None if !is_trait => {
                    found.0 =
                        parent_name.and_then(|name| self.find(name)).filter(|found| *found != Prototype::Here(row));
                }
                None => {}
            }
            let mut trait_names = Vec::new();
            for name in first_trait.iter().chain(tree.traits) {
                trait_names.push(name.text);
                match self.find(name.text) {
                    Some(found_trait) if self.kind(found_trait) == PrototypeKind::Trait => found.1.push(found_trait),
                    Some(_) => {
                        incomplete = true;
                        let message = format!("`{}` is no trait", name.text);
                        diagnostics.push(
                            Diagnostic::new(Code::WrongParent, file, name.span, message)
                                .help(format!("write `trait {} = ( ... )`, or make it the parent", name.text)),
                        );
                    }
                    None => {
                        incomplete = true;
                        diagnostics.push(self.unknown_prototype(file, name));
                    }
                }
            }
            let defined = &mut self.definitions[row];
            defined.parent_name = parent_name;
            defined.trait_names = trait_names;
            (defined.parent, defined.traits) = found;
            defined.is_incomplete = incomplete;
        }
    }

    /// What is wrong with a parent, and how to cure it.
    fn wrong_parent(&self, kind: PrototypeKind, parent: Prototype, name: &Name<'_>) -> Option<(String, String)> {
        let parent_name = name.text;
        match (kind, self.kind(parent)) {
            (_, PrototypeKind::Trait) => {
                let default = if kind == PrototypeKind::Twin { "Twin" } else { "Object" };
                let message = format!("`{parent_name}` is a trait, which is nobody's parent");
                Some((message, format!("write `{default} + {parent_name}`")))
            }
            // The kernel's own `Twin` descends from an object.
            (PrototypeKind::Twin, PrototypeKind::Object) if !self.outer.is_empty() => {
                let message = format!("the parent of a twin is a twin, but `{parent_name}` is an object");
                Some((message, "share methods between objects and twins with a `trait`".to_owned()))
            }
            (PrototypeKind::Object, PrototypeKind::Twin) => {
                let message = format!("the parent of an object is an object, but `{parent_name}` is a twin");
                Some((message, "write `twin` before the definition".to_owned()))
            }
            (PrototypeKind::Object, PrototypeKind::Object)
            | (PrototypeKind::Twin, PrototypeKind::Object | PrototypeKind::Twin)
            | (PrototypeKind::Trait, PrototypeKind::Object | PrototypeKind::Twin) => None,
        }
    }

    pub(crate) fn unknown_prototype(&self, file: u16, name: &Name<'_>) -> Diagnostic {
        let message = format!("there is no definition `{}`", name.text);
        let diagnostic = Diagnostic::new(Code::UnknownPrototype, file, name.span, message);
        match nearest(name.text, self.prototype_names()) {
            Some(known) => diagnostic.help(format!("did you mean `{known}`?")),
            None => diagnostic,
        }
    }

    /// The definitions of the program that a definition of it names.
    fn ancestors_here(&self, row: usize) -> Vec<usize> {
        let defined = &self.definitions[row];
        let ancestors = defined.parent.iter().chain(&defined.traits);
        ancestors
            .filter_map(|ancestor| match ancestor {
                Prototype::Here(row) => Some(*row),
                Prototype::Outer(_) => None,
            })
            .collect()
    }

    fn cut_cycles(&mut self, diagnostics: &mut Vec<Diagnostic>) {
        #[derive(Clone, Copy, PartialEq)]
        enum State {
            New,
            Open,
            Done,
        }
        let mut states = vec![State::New; self.definitions.len()];
        for first in 0..self.definitions.len() {
            if states[first] != State::New {
                continue;
            }
            states[first] = State::Open;
            let mut open = vec![(first, self.ancestors_here(first), 0)];
            while let Some((row, ancestors, next)) = open.last_mut() {
                let row = *row;
                let Some(ancestor) = ancestors.get(*next).copied() else {
                    states[row] = State::Done;
                    open.pop();
                    continue;
                };
                *next += 1;
                match states[ancestor] {
                    State::Done => {}
                    State::New => {
                        states[ancestor] = State::Open;
                        let ancestors = self.ancestors_here(ancestor);
                        open.push((ancestor, ancestors, 0));
                    }
                    State::Open => {
                        let start = open.iter().position(|(open, ..)| *open == ancestor).unwrap_or(0);
                        let names: Vec<String> = open[start..]
                            .iter()
                            .map(|(row, ..)| format!("`{}`", self.definitions[*row].tree.name.text))
                            .collect();
                        let defined = &mut self.definitions[row];
                        defined.parent = defined.parent.filter(|parent| *parent != Prototype::Here(ancestor));
                        defined.traits.retain(|parent| *parent != Prototype::Here(ancestor));
                        defined.is_incomplete = true;
                        let tree = self.definitions[ancestor].tree;
                        let message = match names.len() {
                            1 => format!("{} is its own parent", names[0]),
                            _ => format!("{} is its own ancestor, by way of {}", names[0], names[1..].join(", ")),
                        };
                        let file = self.definitions[ancestor].file;
                        diagnostics.push(Diagnostic::new(Code::CyclicParent, file, tree.name.span, message));
                    }
                }
            }
        }
    }

    /// The definitions in an order in which nothing follows what is made from it.
    pub(crate) fn parents_first(&self) -> Vec<usize> {
        let mut entered = vec![false; self.definitions.len()];
        let mut order = Vec::with_capacity(self.definitions.len());
        for first in 0..self.definitions.len() {
            let mut open = vec![(first, 0)];
            if std::mem::replace(&mut entered[first], true) {
                continue;
            }
            while let Some((row, next)) = open.last_mut() {
                let row = *row;
                match self.ancestors_here(row).get(*next).copied() {
                    Some(ancestor) => {
                        *next += 1;
                        if !std::mem::replace(&mut entered[ancestor], true) {
                            open.push((ancestor, 0));
                        }
                    }
                    None => {
                        order.push(row);
                        open.pop();
                    }
                }
            }
        }
        order
    }

    fn spread_incompleteness(&mut self) {
        for row in self.parents_first() {
            if self.ancestors_here(row).iter().any(|ancestor| self.definitions[*ancestor].is_incomplete) {
                self.definitions[row].is_incomplete = true;
            }
        }
    }

    // ---- slots ----

    fn check_slots(&self, diagnostics: &mut Vec<Diagnostic>) {
        for (row, defined) in self.definitions.iter().enumerate() {
            for behind_dashes in [false, true] {
                self.check_slots_of(row, defined, behind_dashes, diagnostics);
            }
        }
    }

    fn check_slots_of(
        &self,
        row: usize,
        defined: &Defined<'a>,
        behind_dashes: bool,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        let tree = defined.tree;
        let slots = match (behind_dashes, &tree.side) {
            (false, _) => tree.instance.slots,
            (true, Some(side)) => side.slots,
            (true, None) => return,
        };
        let lineage = self.lineage(Prototype::Here(row));
        let complain = |name: &Name<'a>, first: FoundSlot| {
            let owner = self.name(first.owner);
            let message = if first.owner == Prototype::Here(row) {
                format!("a second slot `{}`", name.text)
            } else {
                format!("`{owner}` has a slot `{}` already", name.text)
            };
            let diagnostic = Diagnostic::new(Code::DuplicateSlot, defined.file, name.span, message);
            match first.place {
                Some((file, span)) => diagnostic.label_in(file, span, "first defined here"),
                None => diagnostic,
            }
        };
        for (index, slot) in slots.iter().enumerate() {
            let own = self.own_slot(Prototype::Here(row), behind_dashes, slot.name.text);
            let first = match own {
                Some(own) if own.index < index => Some(own),
                Some(_) | None => {
                    lineage[1..].iter().find_map(|owner| self.own_slot(*owner, behind_dashes, slot.name.text))
                }
            };
            if let Some(first) = first {
                diagnostics.push(complain(&slot.name, first));
            }
        }
        if behind_dashes {
            return;
        }
        // What traits bring along meets what is there from elsewhere.
        let own_traits: HashSet<Prototype> = defined.traits.iter().flat_map(|found| self.lineage(*found)).collect();
        let inherited: HashSet<Prototype> = defined.parent.iter().flat_map(|parent| self.lineage(*parent)).collect();
        let mut from_traits: HashMap<&str, Prototype> = HashMap::new();
        for owner in lineage.iter().filter(|owner| own_traits.contains(*owner)) {
            for name in self.own_slot_names(*owner, false) {
                let other = match from_traits.get(name) {
                    Some(other) => Some(*other),
                    None => inherited_owner(self, &lineage, &inherited, *owner, name),
                };
                from_traits.entry(name).or_insert(*owner);
                if let Some(other) = other {
                    let text = match other == *owner {
                        true => format!("an ancestor uses `{}` and has its slot `{name}` already", self.name(other)),
                        false => {
                            format!("`{}` and `{}` both have a slot `{name}`", self.name(other), self.name(*owner))
                        }
                    };
                    diagnostics.push(Diagnostic::new(Code::DuplicateSlot, defined.file, tree.name.span, text));
                }
            }
        }
    }

    fn own_slot_names(&self, owner: Prototype, behind_dashes: bool) -> Vec<&str> {
        match owner {
            Prototype::Here(row) => {
                let tree = self.definitions[row].tree;
                let slots =
                    if behind_dashes { tree.side.map_or(&[][..], |side| side.slots) } else { tree.instance.slots };
                slots.iter().map(|slot| slot.name.text).collect()
            }
            Prototype::Outer(id) => {
                let prototype = self.outer.prototype(id);
                let slots = if behind_dashes { &prototype.side.slots } else { &prototype.instance.slots };
                slots.iter().map(|slot| self.outer.name(id, slot.name)).collect()
            }
        }
    }
}

/// An ancestor other than `owner` that has a slot `name`; `owner` itself if it is used twice along
/// the chain of parents.
fn inherited_owner(
    program: &Program<'_, '_>,
    lineage: &[Prototype],
    inherited: &HashSet<Prototype>,
    owner: Prototype,
    name: &str,
) -> Option<Prototype> {
    let has = |other: &&Prototype| inherited.contains(*other) && program.own_slot(**other, false, name).is_some();
    if inherited.contains(&owner) {
        return Some(owner);
    }
    lineage.iter().find(has).copied()
}
