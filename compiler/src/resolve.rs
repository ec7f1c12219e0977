//! Names of a body bound to what they mean, and all that can be wrong with a body.
//!
//! One walk in the order of evaluation makes the tree that `emit` needs. A name is, in this order: a
//! parameter or temporary; a slot or constant of `self`; a program variable; a prototype.
//!
//! **Cells.** A variable that a block takes along is copied into it, unless it may be assigned when
//! the block is there already: then both share a cell. That is so when the block assigns it, when an
//! assignment follows the block in the order of the walk, and when both stand in a loop that the
//! variable is older than. Blocks that are inlined are part of the code around them.
//!
//! **First values.** A temporary starts as nil, but need not be set to it when the first statement
//! that names it assigns it whatever happens.

use hashbrown::HashMap;

use bumpalo::Bump;
use twintalk_bytecode::image::PrototypeKind;

use crate::ast::{self, ExpressionKind, Name, Span};
use crate::diagnostic::{Code, Diagnostic};
use crate::inline;
use crate::loader::is_capitalised;
use crate::names::nearest;
use crate::program::{FoundSlot, Program, Prototype};
use crate::tree::*;

/// What a body is there for, as far as names and effects go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A method, a timer or a migration.
    Method,
    /// A `query`.
    Query,
    /// An invariant.
    Invariant,
    /// The first value of the slot in this row.
    Initialiser(usize),
    /// The value of the constant in this row.
    Constant(usize),
    /// The statements of the program.
    Main,
}

/// Where a body stands, shared by all bodies of one side of a definition.
pub(crate) struct Home<'p> {
    /// The prototype whose `self` it is; none for the statements of the program, and when the
    /// prototype is not known.
    pub prototype: Option<Prototype>,
    /// Whether it stands behind `----`.
    pub behind_dashes: bool,
    /// Slots and constants by name.
    pub slots: HashMap<&'p str, FoundSlot>,
    /// What lies on the other side of `----`, for help.
    pub other_side: HashMap<&'p str, FoundSlot>,
    /// All that `self` has is known.
    pub is_complete: bool,
    /// Events it may emit; none where that is not known.
    pub events: Option<Vec<&'p str>>,
}

impl<'p> Home<'p> {
    /// The home of the bodies on one side of `prototype`.
    pub(crate) fn of(program: &'p Program<'_, '_>, prototype: Option<Prototype>, behind_dashes: bool) -> Home<'p> {
        let Some(found) = prototype else {
            return Home { is_complete: false, ..Home::nowhere() };
        };
        let slots_of = |behind_dashes| {
            let mut slots = HashMap::new();
            for (name, slot) in program.slots(found, behind_dashes) {
                slots.entry(name).or_insert(slot);
            }
            slots
        };
        let is_complete = program.is_complete(found);
        let knows_events = is_complete && program.kind(found) == PrototypeKind::Twin && !behind_dashes;
        Home {
            prototype,
            behind_dashes,
            slots: slots_of(behind_dashes),
            other_side: slots_of(!behind_dashes),
            is_complete,
            events: knows_events.then(|| program.events(found)),
        }
    }

    /// The home of the program's own statements.
    pub(crate) fn nowhere() -> Home<'p> {
        Home {
            prototype: None,
            behind_dashes: false,
            slots: HashMap::new(),
            other_side: HashMap::new(),
            is_complete: true,
            events: None,
        }
    }
}

/// What is known of a variable while its method is walked.
struct Known<'a> {
    name: Name<'a>,
    variable: Variable,
    is_parameter: bool,
    is_read: bool,
    /// The row of its scope on the stack of scopes.
    scope: usize,
    /// How many loops were open around its declaration.
    loops: usize,
    captured: bool,
    assigned_at: Option<u32>,
}

/// A method or block being walked.
struct Scope {
    /// Where its variables start in `names`.
    first_name: usize,
    /// Whether it is a code of its own.
    is_real: bool,
    free: Vec<Free>,
}

/// Walks bodies.
pub(crate) struct Resolver<'r, 'a, 'o> {
    pub arena: &'a Bump,
    pub program: &'r Program<'a, 'o>,
    pub diagnostics: &'r mut Vec<Diagnostic>,
    pub home: &'r Home<'r>,
    pub purpose: Purpose,
    pub file: u16,
    /// No warnings: the file has mistakes that would make false ones.
    pub is_quiet: bool,
    variables: Vec<Known<'a>>,
    /// Variables in sight, the innermost last.
    names: Vec<VariableId>,
    scopes: Vec<Scope>,
    loops: Vec<u32>,
    time: u32,
    errors: usize,
    unknown: Vec<&'a str>,
    /// Where faults point to in statements of other files than the routine's.
    offset: Option<u32>,
}

impl<'r, 'a, 'o> Resolver<'r, 'a, 'o> {
    /// A resolver for one body.
    pub(crate) fn new(
        arena: &'a Bump,
        program: &'r Program<'a, 'o>,
        diagnostics: &'r mut Vec<Diagnostic>,
        home: &'r Home<'r>,
        purpose: Purpose,
        file: u16,
        is_quiet: bool,
    ) -> Resolver<'r, 'a, 'o> {
        Resolver {
            arena,
            program,
            diagnostics,
            home,
            purpose,
            file,
            is_quiet,
            variables: Vec::new(),
            names: Vec::new(),
            scopes: Vec::new(),
            loops: Vec::new(),
            time: 0,
            errors: 0,
            unknown: Vec::new(),
            offset: None,
        }
    }

    /// Resolves a method body; none when something in it is wrong.
    pub(crate) fn body(
        mut self,
        parameters: &'a [Name<'a>],
        body: &ast::Body<'a>,
        answers_last: bool,
    ) -> Option<Routine<'a>> {
        let block = self.block(parameters, body, true, answers_last);
        self.finish(block, answers_last)
    }

    /// Resolves an expression that is a body of its own.
    pub(crate) fn value(mut self, expression: &ast::Expression<'a>) -> Option<Routine<'a>> {
        let statements = self.arena.alloc_slice_copy(&[ast::Statement::Expression(*expression)]);
        let body = ast::Body { temporaries: &[], statements, span: expression.span };
        let block = self.block(&[], &body, true, true);
        self.finish(block, true)
    }

    /// Resolves the statements of a program: each with its file, and for other files than the first
    /// with the place that stands for all of it.
    pub(crate) fn main(mut self, statements: &[(u16, Option<u32>, ast::Statement<'a>)]) -> Option<Routine<'a>> {
        self.open_scope(true);
        let mut resolved = Vec::with_capacity(statements.len());
        for (index, (file, offset, statement)) in statements.iter().enumerate() {
            (self.file, self.offset) = (*file, *offset);
            let is_last = index + 1 == statements.len();
            resolved.push(self.statement(statement, is_last));
            if let ast::Statement::Answer { .. } = statement
                && let Some((file, _, next)) = statements.get(index + 1)
            {
                self.file = *file;
                self.warn(Code::Unreachable, statement_span(next), "nothing runs behind `^`");
                break;
            }
        }
        let free = self.close_scope();
        let block = Block {
            parameters: &[],
            temporaries: &[],
            statements: self.arena.alloc_slice_copy(&resolved),
            free,
            offset: 0,
        };
        let block = &*self.arena.alloc(block);
        self.finish(block, true)
    }

    fn finish(self, block: &'a Block<'a>, answers_last: bool) -> Option<Routine<'a>> {
        let variables: Vec<Variable> = self.variables.iter().map(|known| known.variable).collect();
        let variables = &*self.arena.alloc_slice_copy(&variables);
        (self.errors == 0).then_some(Routine { variables, block, answers_last })
    }

    // ---- diagnostics ----

    fn push(&mut self, diagnostic: Diagnostic) {
        if diagnostic.is_error() {
            self.errors += 1;
        } else if self.is_quiet {
            return;
        }
        self.diagnostics.push(diagnostic);
    }

    fn complain(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.push(Diagnostic::new(code, self.file, span, message));
    }

    fn warn(&mut self, code: Code, span: Span, message: impl Into<String>) {
        self.push(Diagnostic::new(code, self.file, span, message));
    }

    fn nothing(&mut self) -> Kind<'a> {
        // Whatever it is, no code may be made of it.
        self.errors += 1;
        Kind::Nothing
    }

    /// What changes nothing, in the words of the source, if this body is such.
    fn pure(&self) -> Option<&'static str> {
        match self.purpose {
            Purpose::Query => Some("a query"),
            Purpose::Invariant => Some("an invariant"),
            Purpose::Method | Purpose::Initialiser(_) | Purpose::Constant(_) | Purpose::Main => None,
        }
    }

    fn no_writes(&mut self, span: Span, what: &str) {
        if let Some(pure) = self.pure() {
            let message = format!("{pure} changes nothing, but this {what}");
            let diagnostic = Diagnostic::new(Code::QueryWrites, self.file, span, message);
            self.push(match self.purpose {
                Purpose::Query => diagnostic.help("leave out `query`, or leave the change to another method"),
                Purpose::Invariant
                | Purpose::Method
                | Purpose::Initialiser(_)
                | Purpose::Constant(_)
                | Purpose::Main => diagnostic,
            });
        }
    }

    // ---- scopes ----

    fn open_scope(&mut self, is_real: bool) {
        self.scopes.push(Scope { first_name: self.names.len(), is_real, free: Vec::new() });
    }

    fn close_scope(&mut self) -> &'a [Free] {
        let scope = self.scopes.pop().expect("scopes are closed where they are opened");
        for id in self.names.split_off(scope.first_name) {
            let known = &self.variables[id.0 as usize];
            if known.is_parameter || known.is_read {
                continue;
            }
            let name = known.name;
            let diagnostic = match known.variable.mentioned {
                true => Diagnostic::new(
                    Code::UnusedTemporary,
                    self.file,
                    name.span,
                    format!("`{}` is assigned, but never read", name.text),
                ),
                false => {
                    let message = format!("`{}` is never used", name.text);
                    Diagnostic::new(Code::UnusedTemporary, self.file, name.span, message).help("leave it out")
                }
            };
            self.push(diagnostic);
        }
        self.arena.alloc_slice_copy(&scope.free)
    }

    fn declare(&mut self, names: &[Name<'a>], is_parameter: bool) -> &'a [VariableId] {
        let mut ids = Vec::with_capacity(names.len());
        for name in names {
            let scope = self.scopes.len() - 1;
            let first_name = self.scopes[scope].first_name;
            match self.visible(name.text) {
                Some((row, other)) if row >= first_name => {
                    let message = format!("`{}` is declared twice", name.text);
                    let diagnostic = Diagnostic::new(Code::DuplicateVariable, self.file, name.span, message);
                    self.push(diagnostic.label(other, "first declared here"));
                    continue;
                }
                Some((_, other)) => {
                    let message = format!("`{}` hides a variable of the same name", name.text);
                    let diagnostic = Diagnostic::new(Code::Shadows, self.file, name.span, message);
                    self.push(diagnostic.label(other, "the variable it hides"));
                }
                None => {
                    if let Some(slot) = self.home.slots.get(name.text) {
                        let what = if slot.is_constant { "constant" } else { "slot" };
                        let message = format!("`{}` hides the {what} of the same name", name.text);
                        let diagnostic = Diagnostic::new(Code::Shadows, self.file, name.span, message);
                        self.push(match slot.place {
                            Some((file, span)) => diagnostic.label_in(file, span, format!("the {what} it hides")),
                            None => diagnostic,
                        });
                    }
                }
            }
            if inline::is_reserved(name.text) {
                self.complain(Code::NotAssignable, name.span, format!("`{}` cannot be declared", name.text));
                continue;
            }
            let id = VariableId(self.variables.len() as u32);
            let starts_nil = !is_parameter;
            self.variables.push(Known {
                name: *name,
                variable: Variable { in_cell: false, mentioned: false, starts_nil },
                is_parameter,
                is_read: false,
                scope,
                loops: self.loops.len(),
                captured: false,
                assigned_at: None,
            });
            self.names.push(id);
            ids.push(id);
        }
        self.arena.alloc_slice_copy(&ids)
    }

    /// The variable that `name` means: its row among the names in sight, and where it is declared.
    fn visible(&self, name: &str) -> Option<(usize, Span)> {
        let is_it = |id: &VariableId| self.variables[id.0 as usize].name.text == name;
        let row = self.names.iter().rposition(is_it)?;
        Some((row, self.variables[self.names[row].0 as usize].name.span))
    }

    fn local(&self, name: &str) -> Option<VariableId> {
        self.visible(name).map(|(row, _)| self.names[row])
    }

    /// Notes that a variable is read, or assigned, here.
    fn mention(&mut self, id: VariableId, assigned: bool) {
        let known = &mut self.variables[id.0 as usize];
        known.variable.mentioned = true;
        known.is_read |= !assigned;
        let mut crosses = false;
        for scope in &mut self.scopes[known.scope + 1..] {
            crosses |= scope.is_real;
            match scope.free.iter_mut().find(|free| free.variable == id) {
                Some(free) => free.assigned |= assigned,
                None => scope.free.push(Free { variable: id, assigned }),
            }
        }
        self.time += 1;
        match (crosses, assigned) {
            (true, true) => {
                known.captured = true;
                known.variable.in_cell = true;
            }
            (true, false) => {
                known.captured = true;
                let in_loop = |start: &u32| known.assigned_at.is_some_and(|assigned| assigned >= *start);
                known.variable.in_cell |= self.loops.get(known.loops).is_some_and(in_loop);
            }
            (false, true) => {
                known.variable.in_cell |= known.captured;
                known.assigned_at = Some(self.time);
            }
            (false, false) => {}
        }
    }

    // ---- bodies ----

    fn block(
        &mut self,
        parameters: &'a [Name<'a>],
        body: &ast::Body<'a>,
        is_real: bool,
        answers_last: bool,
    ) -> &'a Block<'a> {
        self.open_scope(is_real);
        let parameters = self.declare(parameters, true);
        let temporaries = self.declare(body.temporaries, false);
        let statements = self.statements(body.statements, answers_last);
        let free = self.close_scope();
        let offset = self.offset_of(body.span);
        self.arena.alloc(Block { parameters, temporaries, statements, free, offset })
    }

    fn statements(&mut self, statements: &[ast::Statement<'a>], answers_last: bool) -> &'a [Statement<'a>] {
        let mut resolved = Vec::with_capacity(statements.len());
        for (index, statement) in statements.iter().enumerate() {
            let is_last = index + 1 == statements.len();
            resolved.push(self.statement(statement, is_last && answers_last));
            if let (ast::Statement::Answer { .. }, Some(next)) = (statement, statements.get(index + 1)) {
                let last = statements.last().map_or(statement_span(next), statement_span);
                self.warn(Code::Unreachable, statement_span(next).to(last), "nothing runs behind `^`");
                break;
            }
        }
        self.arena.alloc_slice_copy(&resolved)
    }

    fn statement(&mut self, statement: &ast::Statement<'a>, is_wanted: bool) -> Statement<'a> {
        match statement {
            ast::Statement::Expression(expression) => {
                if !is_wanted {
                    self.warn_if_useless(expression);
                }
                let scope = self.scopes.len() - 1;
                Statement::Expression(self.expression_at(expression, Some(scope)))
            }
            ast::Statement::Answer { value, span: _ } => Statement::Answer(self.expression(value)),
        }
    }

    fn warn_if_useless(&mut self, expression: &ast::Expression<'a>) {
        let diagnostic = |message: &str| Diagnostic::new(Code::UselessStatement, self.file, expression.span, message);
        let diagnostic = match &expression.kind {
            ExpressionKind::Literal(_) | ExpressionKind::Block { .. } => diagnostic("this value is not used"),
            ExpressionKind::Send { receiver, message, far: false } if inline::is_comparison(message.selector.text) => {
                let diagnostic = diagnostic("what this comparison answers is not used");
                match (&receiver.kind, message.selector.text) {
                    (ExpressionKind::Name(name), "=") => diagnostic.help(format!("to assign, write `{name} := ...`")),
                    (_, _) => diagnostic,
                }
            }
            ExpressionKind::Send { .. }
            | ExpressionKind::Name(_)
            | ExpressionKind::Brace(_)
            | ExpressionKind::Assign { .. }
            | ExpressionKind::Cascade { .. }
            | ExpressionKind::Error => return,
        };
        self.push(diagnostic);
    }

    // ---- expressions ----

    fn offset_of(&self, span: Span) -> u32 {
        self.offset.unwrap_or(span.start)
    }

    fn expression(&mut self, expression: &ast::Expression<'a>) -> Expression<'a> {
        self.expression_at(expression, None)
    }

    /// `sure`: the scope whose statement this is, so that what it assigns there is assigned for
    /// sure.
    fn expression_at(&mut self, expression: &ast::Expression<'a>, sure: Option<usize>) -> Expression<'a> {
        let span = expression.span;
        let plain = |kind| (kind, false);
        let (kind, assigns) = match expression.kind {
            ExpressionKind::Name(name) => plain(self.name(name, span)),
            ExpressionKind::Literal(literal) => plain(self.literal(literal)),
            ExpressionKind::Brace(elements) => {
                let elements = self.list(elements);
                (Kind::Brace(elements), elements.iter().any(|element| element.assigns))
            }
            ExpressionKind::Block { parameters, body } => {
                // What it assigns lives in cells, which are read when they are needed.
                plain(Kind::Block(self.block(parameters, &body, true, true)))
            }
            ExpressionKind::Assign { name, value } => self.assign(&name, value, sure),
            ExpressionKind::Send { receiver, message, far } => self.send(receiver, &message, far),
            ExpressionKind::Cascade { receiver, messages, far } => self.cascade(receiver, messages, far),
            ExpressionKind::Error => plain(self.nothing()),
        };
        Expression { kind, offset: self.offset_of(span), assigns }
    }

    fn literal(&mut self, literal: ast::Literal<'a>) -> Kind<'a> {
        match literal {
            ast::Literal::Nil => Kind::Nil,
            ast::Literal::True => Kind::True,
            ast::Literal::False => Kind::False,
            ast::Literal::Integer { .. }
            | ast::Literal::Float(_)
            | ast::Literal::Scaled { .. }
            | ast::Literal::Character(_)
            | ast::Literal::String(_)
            | ast::Literal::Symbol(_)
            | ast::Literal::Array(_)
            | ast::Literal::Bytes(_) => Kind::Literal(literal),
        }
    }

    fn list(&mut self, expressions: &[ast::Expression<'a>]) -> &'a [Expression<'a>] {
        let resolved: Vec<Expression<'a>> = expressions.iter().map(|element| self.expression(element)).collect();
        self.arena.alloc_slice_copy(&resolved)
    }

    fn assign(&mut self, name: &Name<'a>, value: &ast::Expression<'a>, sure: Option<usize>) -> (Kind<'a>, bool) {
        let value = &*self.arena.alloc(self.expression_at(value, sure));
        match self.target(name, sure) {
            Some(target) => (Kind::Assign(target, value), value.assigns || matches!(target, Target::Local(_))),
            None => (self.nothing(), false),
        }
    }

    fn target(&mut self, name: &Name<'a>, sure: Option<usize>) -> Option<Target<'a>> {
        let span = name.span;
        if let Some(id) = self.local(name.text) {
            let known = &mut self.variables[id.0 as usize];
            if known.is_parameter {
                let declared = known.name.span;
                let message = format!("`{}` is a parameter, which keeps its value", name.text);
                let diagnostic = Diagnostic::new(Code::NotAssignable, self.file, span, message);
                self.push(diagnostic.label(declared, "declared here").help("assign a temporary instead"));
                return None;
            }
            if !known.variable.mentioned && sure == Some(known.scope) {
                known.variable.starts_nil = false;
            }
            self.mention(id, true);
            return Some(Target::Local(id));
        }
        if let Some(slot) = self.slot(name.text, span) {
            let slot = slot?;
            if slot.is_constant {
                let message = format!("`{}` is a constant", name.text);
                let diagnostic = Diagnostic::new(Code::NotAssignable, self.file, span, message);
                let help = format!("to make it a slot, write `{} <- ...` where it is defined", name.text);
                self.push(match slot.place {
                    Some((file, span)) => diagnostic.label_in(file, span, "defined here").help(help),
                    None => diagnostic,
                });
                return None;
            }
            self.no_writes(span, &format!("assigns the slot `{}`", name.text));
            return Some(Target::Slot(name.text));
        }
        if inline::is_reserved(name.text) {
            self.complain(Code::NotAssignable, span, format!("`{}` cannot be assigned", name.text));
            return None;
        }
        if self.program.has_variable(name.text) {
            self.no_writes(span, &format!("assigns the program variable `{}`", name.text));
            return Some(Target::ProgramVariable(name.text));
        }
        if self.program.find(name.text).is_some() {
            self.complain(Code::NotAssignable, span, format!("`{}` is a prototype", name.text));
            return None;
        }
        self.unknown_name(name.text, span, true);
        None
    }

    /// The slot that a name means; `Some(None)` if it means one that this body cannot use, which
    /// is reported.
    fn slot(&mut self, name: &'a str, span: Span) -> Option<Option<FoundSlot>> {
        let slot = *self.home.slots.get(name)?;
        let is_own = self.home.prototype == Some(slot.owner);
        let message = match self.purpose {
            Purpose::Constant(_) if !slot.is_constant => {
                format!("a constant is found once for all objects, so it cannot use the slot `{name}`")
            }
            Purpose::Constant(row) if is_own && slot.index >= row => {
                format!("`{name}` has no value yet when this constant is found")
            }
            Purpose::Initialiser(row) if is_own && !slot.is_constant && slot.index >= row => {
                format!("`{name}` has no value yet when this slot gets its own")
            }
            Purpose::Method
            | Purpose::Query
            | Purpose::Invariant
            | Purpose::Initialiser(_)
            | Purpose::Constant(_)
            | Purpose::Main => return Some(Some(slot)),
        };
        let diagnostic = Diagnostic::new(Code::UnknownName, self.file, span, message);
        self.push(match slot.place {
            Some((file, span)) => diagnostic.label_in(file, span, "defined here"),
            None => diagnostic,
        });
        Some(None)
    }

    fn name(&mut self, name: &'a str, span: Span) -> Kind<'a> {
        match name {
            "self" => return Kind::Itself,
            "nil" => return Kind::Nil,
            "true" => return Kind::True,
            "false" => return Kind::False,
            "super" => {
                let diagnostic = Diagnostic::new(
                    Code::SuperAlone,
                    self.file,
                    span,
                    "`super` can only receive a message: it is no value of its own",
                );
                self.push(diagnostic.help("as a value, write `self`"));
                return Kind::Nothing;
            }
            _ => {}
        }
        if let Some(id) = self.local(name) {
            self.mention(id, false);
            return Kind::Local(id);
        }
        if let Some(slot) = self.slot(name, span) {
            return match slot {
                Some(_) => Kind::Slot(name),
                None => Kind::Nothing,
            };
        }
        if self.program.has_variable(name) {
            return Kind::ProgramVariable(name);
        }
        if self.program.find(name).is_some() {
            return Kind::Global(name);
        }
        // SOM's only global that is not capitalised.
        if name == "system" && self.program.find("System").is_some() {
            return Kind::Global("System");
        }
        if is_capitalised(name) {
            if !self.unknown.contains(&name) {
                self.unknown.push(name);
                let message = format!("there is no `{name}`: if this runs, `unknownGlobal:` is sent");
                let diagnostic = Diagnostic::new(Code::UnknownGlobal, self.file, span, message);
                let known = nearest(name, self.program.prototype_names()).map(str::to_owned);
                self.push(match known {
                    Some(known) => diagnostic.help(format!("did you mean `{known}`?")),
                    None => diagnostic,
                });
            }
            return Kind::Global(name);
        }
        self.unknown_name(name, span, false);
        Kind::Nothing
    }

    fn unknown_name(&mut self, name: &'a str, span: Span, is_assigned: bool) {
        // What an ancestor would have had is not known; and once is enough.
        if !self.home.is_complete || self.unknown.contains(&name) {
            self.errors += 1;
            return;
        }
        self.unknown.push(name);
        let diagnostic = |message| Diagnostic::new(Code::UnknownName, self.file, span, message);
        if name == "thisContext" {
            let diagnostic = diagnostic("there is no `thisContext`".to_owned());
            return self.push(diagnostic.help("a method or block under way is no object that could be named"));
        }
        if let Some(slot) = self.home.other_side.get(name) {
            let side = if self.home.behind_dashes { "before" } else { "behind" };
            let message = format!("the slot `{name}` stands {side} `----`, on the other side");
            let mut diagnostic = diagnostic(message);
            if let Some((file, span)) = slot.place {
                diagnostic = diagnostic.label_in(file, span, "defined here");
            }
            if let (false, Some(prototype)) = (self.home.behind_dashes, self.home.prototype) {
                let owner = self.program.name(prototype);
                diagnostic = diagnostic.help(format!("ask the prototype: `{owner} {name}`"));
            }
            return self.push(diagnostic);
        }
        let mut slots: Vec<&str> = self.home.slots.keys().copied().collect();
        slots.sort_unstable();
        let locals = self.names.iter().rev().map(|id| self.variables[id.0 as usize].name.text);
        let variables = self.program.variable_names();
        let words = ["self", "super", "true", "false", "nil"].into_iter().filter(|_| !is_assigned);
        let prototypes = self.program.prototype_names().filter(|_| !is_assigned);
        let known = nearest(name, locals.chain(slots).chain(variables).chain(words).chain(prototypes));
        let diagnostic = diagnostic(format!("nothing here is called `{name}`"));
        let diagnostic = match known {
            Some(known) => diagnostic.help(format!("did you mean `{known}`?")),
            None if is_assigned && self.purpose == Purpose::Main => {
                diagnostic.help(format!("declare it as a program variable: `| {name} |`"))
            }
            None if is_assigned => diagnostic.help(format!("declare it as a temporary: `| {name} |`")),
            None => diagnostic,
        };
        self.push(diagnostic);
    }

    // ---- sends ----

    /// The receiver, and how messages to it travel.
    fn receiver(&mut self, receiver: &ast::Expression<'a>, far: bool) -> (Expression<'a>, Way) {
        let offset = self.offset_of(receiver.span);
        match (receiver.kind, far) {
            (ExpressionKind::Name("super"), false) => {
                if self.purpose == Purpose::Main {
                    self.complain(Code::WrongPlace, receiver.span, "`super` outside of a definition");
                }
                (Expression { kind: Kind::Itself, offset, assigns: false }, Way::ToSuper)
            }
            (ExpressionKind::Name("self"), false) => (self.expression(receiver), Way::ToSelf),
            (_, false) => (self.expression(receiver), Way::Near),
            (_, true) => (self.expression(receiver), Way::Far),
        }
    }

    fn send(&mut self, receiver: &ast::Expression<'a>, message: &ast::Message<'a>, far: bool) -> (Kind<'a>, bool) {
        let is_super = matches!(receiver.kind, ExpressionKind::Name("super"));
        let shape = if far || is_super { inline::Shape::Send } else { inline::shape(receiver, message) };
        let mut looping = false;
        if let inline::Shape::LoopAround = shape {
            self.loops.push(self.time);
            looping = true;
        }
        let (to, way) = match (shape, receiver.kind) {
            (inline::Shape::LoopAround, ExpressionKind::Block { parameters, body }) => {
                let block = self.block(parameters, &body, false, true);
                let offset = self.offset_of(receiver.span);
                (Expression { kind: Kind::Block(block), offset, assigns: true }, Way::Near)
            }
            (_, _) => self.receiver(receiver, far),
        };
        if far {
            self.no_writes(message.selector.span, "sends with `!`");
        }
        let mut arguments = Vec::with_capacity(message.arguments.len());
        for argument in message.arguments {
            arguments.push(match (shape, argument.kind) {
                (inline::Shape::Send, _) => self.expression(argument),
                (_, ExpressionKind::Block { parameters, body }) => {
                    let is_body = matches!(shape, inline::Shape::LoopInside) && !looping;
                    if is_body {
                        self.loops.push(self.time);
                        looping = true;
                    }
                    // A loop's body is run for its effect alone.
                    let is_wanted = matches!(shape, inline::Shape::Branches);
                    let block = self.block(parameters, &body, false, is_wanted);
                    let offset = self.offset_of(argument.span);
                    Expression { kind: Kind::Block(block), offset, assigns: block.free.iter().any(|f| f.assigned) }
                }
                (_, _) => self.expression(argument),
            });
        }
        if looping {
            self.loops.pop();
        }
        let arguments = &*self.arena.alloc_slice_copy(&arguments);
        if way == Way::ToSelf {
            self.check_emit(message);
        }
        let resolved =
            Message { selector: message.selector.text, arguments, offset: self.offset_of(message.selector.span) };
        let form = if far || is_super { Form::Plain } else { inline::form(shape, &to, &resolved) };
        let assigns = to.assigns || arguments.iter().any(|argument| argument.assigns);
        (Kind::Send(self.arena.alloc(Send { receiver: to, message: resolved, way, form })), assigns)
    }

    fn cascade(
        &mut self,
        receiver: &ast::Expression<'a>,
        messages: &[ast::Message<'a>],
        far: bool,
    ) -> (Kind<'a>, bool) {
        let (receiver, way) = self.receiver(receiver, far);
        let mut resolved = Vec::with_capacity(messages.len());
        let mut assigns = receiver.assigns;
        for message in messages {
            if far {
                self.no_writes(message.selector.span, "sends with `!`");
            }
            let arguments = self.list(message.arguments);
            assigns |= arguments.iter().any(|argument| argument.assigns);
            if way == Way::ToSelf {
                self.check_emit(message);
            }
            let offset = self.offset_of(message.selector.span);
            resolved.push(Message { selector: message.selector.text, arguments, offset });
        }
        let messages = &*self.arena.alloc_slice_copy(&resolved);
        (Kind::Cascade(self.arena.alloc(Cascade { receiver, messages, way })), assigns)
    }

    /// `self emit: #name with: value`: whether the event is declared, and whether it may be.
    fn check_emit(&mut self, message: &ast::Message<'a>) {
        let selector = message.selector.text;
        if !selector.starts_with("emit:") || !selector["emit:".len()..].split_terminator(':').all(|word| word == "with")
        {
            return;
        }
        self.no_writes(message.selector.span, "emits an event");
        let Some(events) = &self.home.events else {
            return;
        };
        let Some(ast::Expression { kind: ExpressionKind::Literal(ast::Literal::Symbol(event)), span }) =
            message.arguments.first()
        else {
            return;
        };
        let values = message.arguments.len() - 1;
        let diagnostic = |message| Diagnostic::new(Code::UndeclaredEvent, self.file, *span, message);
        let diagnostic = if events.contains(event) {
            let declared = twintalk_bytecode::verify::selector_arguments(event).unwrap_or(0);
            if declared == values {
                return;
            }
            let count = |count: usize| if count == 1 { "1 value".to_owned() } else { format!("{count} values") };
            diagnostic(format!("`{event}` is declared with {}, and emitted with {}", count(declared), count(values)))
        } else {
            let diagnostic = diagnostic(format!("the event `{event}` is not declared"));
            match nearest(event, events.iter().copied()) {
                Some(known) => diagnostic.help(format!("did you mean `#{known}`?")),
                None => diagnostic.help("declare it in the definition, with `event`"),
            }
        };
        self.push(diagnostic);
    }
}

fn statement_span(statement: &ast::Statement<'_>) -> Span {
    match statement {
        ast::Statement::Expression(expression) => expression.span,
        ast::Statement::Answer { value: _, span } => *span,
    }
}
