//! Codes of earlier programs, bound to the present one.
//!
//! A block that waited for an answer, or a timer that is still to fire, belongs to the program that was there when it was
//! set. After an upgrade its code is linked alone, on demand: slots, constants and prototypes are the present ones of
//! the same names, literals are what they were. It is installed in no dictionary; whatever it sends finds the present
//! methods.
//!
//! Its images come through [`World::program`](crate::world::World::program), and were verified like all others.

use std::ptr::NonNull;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};
use twintalk_bytecode::codec;
use twintalk_bytecode::image::*;
use twintalk_bytecode::op::Op;
use twintalk_bytecode::operand::{Count, Reg};

use super::{Context, LinkError, Linker, ROWS_MAX};
use crate::class::{ClassId, Hit, LinkedMethod, Mark, Origin};
use crate::symbol::Symbol;
use crate::value::Value;
use crate::vm::{Vm, stub};

/// Images of earlier programs are counted down from here, and those of the present one up from 0.
const FIRST: u16 = u16::MAX;
/// How many earlier programs a VM takes; each has two images.
const PROGRAMS_MAX: usize = 4096;

/// A program that the store ran before: its kernel and its definitions.
pub type Program = Rc<[Image; 2]>;

/// The earlier programs that this VM knows, and what it has linked of them.
#[derive(Default)]
pub(crate) struct Earlier {
    programs: Vec<([u8; 32], Program)>,
    linked: FxHashMap<(Origin, u32, ClassId), NonNull<LinkedMethod>>,
}

impl Earlier {
    /// The number of the program with this hash.
    fn find(&self, hash: &[u8; 32]) -> Option<usize> {
        self.programs.iter().position(|(known, _)| known == hash)
    }

    /// Which program and which of its images an origin names.
    pub(crate) fn of(&self, origin: Origin) -> Option<(&[u8; 32], u16, &Image)> {
        let number = usize::from(FIRST - origin.image);
        let (hash, images) = self.programs.get(number / 2)?;
        Some((hash, (number % 2) as u16, &images[number % 2]))
    }
}

/// A method of an earlier program, or one block of it, and the class that it is to run for.
pub(crate) struct Wanted {
    pub program: [u8; 32],
    /// 0: the kernel; 1: the definitions.
    pub image: u16,
    pub method: u32,
    pub code: usize,
    pub class: ClassId,
}

impl Vm {
    /// Whether this VM knows the earlier program.
    pub(crate) fn knows_program(&self, hash: &[u8; 32]) -> bool {
        self.earlier.find(hash).is_some()
    }

    /// Makes an earlier program known.
    pub(crate) fn learn_program(&mut self, hash: [u8; 32], program: Program) {
        if !self.knows_program(&hash) && self.earlier.programs.len() < PROGRAMS_MAX {
            self.earlier.programs.push((hash, program));
        }
    }

    /// Links a code of an earlier program that is known, with the blocks that it makes.
    ///
    /// # Errors
    /// The program has no such code, or the present one lacks what the code names.
    pub(crate) fn link_earlier(&mut self, wanted: &Wanted) -> Result<NonNull<LinkedMethod>, String> {
        let none = || "its program has no such code".to_owned();
        let number = self.earlier.find(&wanted.program).ok_or("its program is not in the store")?;
        if wanted.image > 1 {
            return Err(none());
        }
        let program = self.earlier.programs[number].1.clone();
        let image = &program[usize::from(wanted.image)];
        let origin = Origin { image: FIRST - (2 * number as u16 + wanted.image), method: wanted.method };
        let key = (origin, wanted.code as u32, wanted.class);
        if let Some(&linked) = self.earlier.linked.get(&key) {
            return Ok(linked);
        }
        let method = image.methods.get(wanted.method as usize).ok_or_else(none)?;
        let Body::Code(codes) = &method.body else { return Err(none()) };
        if wanted.code >= codes.len() {
            return Err(none());
        }
        for &name in &image.variables {
            // No turn reads or writes them; but each has a row.
            let name = self.symbols.intern(image.name(name));
            if !self.variable_rows.contains_key(&name) {
                if self.variables.len() >= ROWS_MAX {
                    return Err("there are too many program variables".to_owned());
                }
                self.variable_rows.insert(name, self.variables.len() as u16);
                self.variables.push(Value::NIL);
            }
        }
        // The kernel sees its own prototypes, definitions all that there are.
        let scope = if wanted.image == 0 { 0 } else { self.globals.len() - 1 };
        let linked = self.link_codes(scope, image, MethodId(wanted.method), codes, wanted, origin);
        let linked = linked.map_err(|error| error.to_string())?;
        self.earlier.linked.insert(key, linked);
        Ok(linked)
    }

    fn link_codes(
        &mut self,
        scope: usize,
        image: &Image,
        id: MethodId,
        codes: &[Code],
        wanted: &Wanted,
        origin: Origin,
    ) -> Result<NonNull<LinkedMethod>, LinkError> {
        let method = image.method(id);
        let selector = self.symbols.intern(image.name(method.selector));
        let linked = self.methods.add(LinkedMethod {
            selector,
            class: wanted.class,
            flags: method.flags,
            argument_count: method.argument_count,
            codes: Vec::new(),
            primitive: None,
            quick: (Hit::Code, 0),
            origin,
            mark: Mark::None,
        });
        let needed = made_by(codes, wanted.code);
        let context = Context { class: wanted.class, constants: wanted.class };
        let mut linker = Linker::new(self, Vec::new());
        let mut result = Vec::with_capacity(codes.len());
        for (index, code) in codes.iter().enumerate() {
            result.push(if needed[index] {
                linker.code(scope, image, id, index, code, linked, context)?
            } else {
                let ops = [Op::Stub { kind: Count(stub::MISSING) }, Op::Answer { value: Reg(0) }];
                linker.made_code(linked, &ops, Vec::new(), 1, 0)
            });
        }
        self.methods.set_codes(linked, result);
        Ok(linked)
    }

    /// The method of the timer of this name that the definition of `class` had in an earlier program that is known, and the
    /// class that it is to run for.
    pub(crate) fn earlier_timer(&mut self, program: [u8; 32], class: ClassId, timer: &str) -> Option<Wanted> {
        let number = self.earlier.find(&program)?;
        let images = self.earlier.programs[number].1.clone();
        let mut name = self.symbols.name(self.class(class).name).to_owned();
        let mut seen = FxHashSet::default();
        while seen.insert(name.clone()) {
            let (image, definition) = definition_of(&images, &name)?;
            if let Some((image, method)) = own_timer(&images, image, definition, timer, &mut FxHashSet::default()) {
                let present = self.symbols.find(&name).and_then(|name| self.class_of_definition(name));
                let class = present.filter(|&present| self.inherits(class, present)).unwrap_or(class);
                return Some(Wanted { program, image, method: method.0, code: 0, class });
            }
            name = images[image].name(definition.parent?).to_owned();
        }
        None
    }

    fn class_of_definition(&self, name: Symbol) -> Option<ClassId> {
        self.find_global(self.globals.len().checked_sub(1)?, name)
    }
}

/// The definition of a name: the program's own, else the kernel's.
fn definition_of<'a>(images: &'a [Image; 2], name: &str) -> Option<(usize, &'a Prototype)> {
    [1, 0].into_iter().find_map(|number| {
        let image = &images[number];
        let found = image.prototypes.iter().find(|prototype| image.name(prototype.name) == name)?;
        Some((number, found))
    })
}

/// The body of the timer that a definition has itself or from a trait: the image and the method.
fn own_timer(
    images: &[Image; 2],
    number: usize,
    definition: &Prototype,
    timer: &str,
    seen: &mut FxHashSet<String>,
) -> Option<(u16, MethodId)> {
    let image = &images[number];
    let own = definition.timers.iter().find(|own| image.name(image.method(own.method).selector) == timer);
    if let Some(own) = own {
        return Some((number as u16, own.method));
    }
    definition.traits.iter().find_map(|&used| {
        let name = image.name(used);
        if !seen.insert(name.to_owned()) {
            return None;
        }
        let (number, used) = definition_of(images, name)?;
        own_timer(images, number, used, timer, seen)
    })
}

/// Which codes of a method the one of this number may run: itself and the blocks that it makes, and these. A code makes
/// blocks of higher numbers only.
fn made_by(codes: &[Code], first: usize) -> Vec<bool> {
    let mut needed = vec![false; codes.len()];
    needed[first] = true;
    for index in first..codes.len() {
        if !needed[index] {
            continue;
        }
        for (_, op) in codec::instructions(&codes[index].words).flatten() {
            if let Op::MakeBlock { code, .. } = op {
                needed[usize::from(code.0)] = true;
            }
        }
    }
    needed
}
