//! The definitions of a program without its statements: what a store keeps and records name.
//!
//! Two programs that define the same and do different things with it must have the same definitions,
//! to the byte: a script that makes twins, and the file it imports. The compiler emits the statements
//! last, so what only they use stands at the ends of the tables and is cut off.

use crate::codec;
use crate::image::{Body, Code, Image, Literal, Method, NameId};
use crate::op::Op;

/// `image` without the statements at top level and without the names, globals and variables that
/// only they use. Of an image whose statements are not its last method, the code of the statements
/// stays, out of reach. Cost: linear.
pub fn definitions(image: &Image) -> Image {
    let mut definitions = image.clone();
    let Some(main) = definitions.main.take() else { return definitions };
    if main.0 as usize + 1 != image.methods.len() {
        return definitions;
    }
    definitions.methods.pop();
    let mut used = Used::default();
    used.image(&definitions);
    definitions.globals.truncate(used.globals);
    definitions.variables.truncate(used.variables);
    definitions.globals.iter().chain(&definitions.variables).for_each(|name| used.name(*name));
    definitions.names.truncate(used.names);
    definitions
}

/// How many rows of each table are in use, from the first to the last used one.
#[derive(Default)]
struct Used {
    names: usize,
    globals: usize,
    variables: usize,
}

impl Used {
    fn name(&mut self, name: NameId) {
        self.names = self.names.max(name.0 as usize + 1);
    }

    fn image(&mut self, image: &Image) {
        for prototype in &image.prototypes {
            self.name(prototype.name);
            prototype.parent.iter().chain(&prototype.traits).for_each(|name| self.name(*name));
            for slot in prototype.instance.slots.iter().chain(&prototype.side.slots) {
                self.name(slot.name);
                slot.annotation.type_name.iter().for_each(|name| self.name(*name));
                slot.annotation.min.iter().chain(&slot.annotation.max).for_each(|literal| self.literal(literal));
            }
            prototype.events.iter().for_each(|event| self.name(event.selector));
        }
        image.extensions.iter().for_each(|extension| self.name(extension.name));
        image.methods.iter().for_each(|method| self.method(method));
    }

    fn method(&mut self, method: &Method) {
        self.name(method.selector);
        match &method.body {
            Body::Code(codes) => codes.iter().for_each(|code| self.code(code)),
            Body::Primitive => {}
        }
    }

    fn code(&mut self, code: &Code) {
        code.sites.iter().for_each(|site| self.name(site.selector));
        code.slots.iter().for_each(|slot| self.name(*slot));
        code.literals.iter().for_each(|literal| self.literal(literal));
        for (_, op) in codec::instructions(&code.words).flatten() {
            if let Op::LoadGlobal { global, .. } = op {
                self.globals = self.globals.max(usize::from(global.0) + 1);
            }
            if let Op::LoadVariable { variable, .. } | Op::StoreVariable { variable, .. } = op {
                self.variables = self.variables.max(usize::from(variable.0) + 1);
            }
        }
    }

    fn literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Symbol(name) => self.name(*name),
            Literal::Array(elements) => elements.iter().for_each(|element| self.literal(element)),
            Literal::Nil
            | Literal::True
            | Literal::False
            | Literal::Integer(_)
            | Literal::LargeInteger { .. }
            | Literal::Float(_)
            | Literal::ScaledDecimal { .. }
            | Literal::Character(_)
            | Literal::String(_)
            | Literal::Bytes(_) => {}
        }
    }
}
