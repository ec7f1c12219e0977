//! Methods bound to the class they run for: offsets, prototypes, constants and literals in the place of
//! names.

use std::cell::Cell;
use std::ptr::NonNull;

use rustc_hash::FxHashMap;
use twintalk_bytecode::codec;
use twintalk_bytecode::image::*;
use twintalk_bytecode::op::Op;
use twintalk_bytecode::operand::{self, Count, Reg};

use super::fuse;
use super::{Bound, Context, LinkError, Linker, ROWS_MAX, WORDS_TOTAL_MAX};
use crate::class::{Cache, ClassId, ClassKind, Hit, LinkedCode, LinkedMethod, LinkedSite, Mark, Origin};
use crate::heap;
use crate::primitive;
use crate::symbol::Symbol;
use crate::value::Value;
use crate::vm::stub;

/// What a method of this code does, if that needs no activation.
fn quick(code: &LinkedCode) -> (Hit, usize) {
    let words = fuse::plain_words(&code.words);
    let ops: Vec<Op> = codec::instructions(&words).map_while(|item| item.ok()).map(|(_, op)| op).take(3).collect();
    let literal = |value: Value| (Hit::Literal, value.bits() as usize);
    match *ops.as_slice() {
        [Op::AnswerSelf {}] => (Hit::Itself, 0),
        [first, Op::Answer { value }] => match first {
            Op::Identical { dst, left: Reg(0), right: Reg(1) } if dst == value && code.argument_count == 1 => {
                (Hit::Identical, 0)
            }
            Op::LoadSlot { dst, slot } if dst == value => (Hit::Slot, usize::from(slot.0)),
            Op::LoadNil { dst } if dst == value => literal(Value::NIL),
            Op::LoadTrue { dst } if dst == value => literal(Value::TRUE),
            Op::LoadFalse { dst } if dst == value => literal(Value::FALSE),
            Op::LoadInteger { dst, value: number } if dst == value => literal(Value::small(i64::from(number.0))),
            Op::LoadLiteral { dst, literal: row } if dst == value => literal(code.literals[usize::from(row.0)]),
            Op::StoreSlot { src, slot } if src == value && src == Reg(1) && code.argument_count == 1 => {
                (Hit::StoreAnswer, usize::from(slot.0))
            }
            _ => (Hit::Code, 0),
        },
        [Op::StoreSlot { src: Reg(1), slot }, Op::AnswerSelf {}] if code.argument_count == 1 => {
            (Hit::Store, usize::from(slot.0))
        }
        _ => (Hit::Code, 0),
    }
}

/// The literals of one code, which linking adds to.
struct Literals {
    values: Vec<Value>,
    /// Where the prototype of a global stands, or the name of one that is nowhere.
    globals: FxHashMap<u16, u16>,
}

impl<'a> Linker<'a, '_> {
    fn method_name(&self, class: ClassId, selector: Symbol) -> String {
        let shape = self.vm.class(class);
        let side = if shape.kind == ClassKind::Prototype { " class" } else { "" };
        format!("{}{side}>>{}", self.vm.symbols.name(shape.name), self.vm.symbols.name(selector))
    }

    /// Links a method for a class. `prefix` comes before the selector in the name of a primitive.
    pub(super) fn method(
        &mut self,
        number: usize,
        image: &'a Image,
        id: MethodId,
        context: Context,
        prefix: &str,
    ) -> Result<NonNull<LinkedMethod>, LinkError> {
        let method = image.method(id);
        let selector_text = image.name(method.selector);
        let selector = self.vm.symbols.intern(selector_text);
        let mut linked = LinkedMethod {
            selector,
            class: context.class,
            flags: method.flags,
            argument_count: method.argument_count,
            codes: Vec::new(),
            primitive: None,
            quick: (Hit::Code, 0),
            origin: Origin { image: number as u16, method: id.0 },
            mark: Mark::None,
        };
        self.vm.linked_words += 64;
        match &method.body {
            Body::Primitive => {
                let name = format!("{prefix}{selector_text}");
                linked.primitive = primitive::find(&name);
                let missing = linked.primitive.is_none();
                linked.quick.0 = if missing { Hit::Code } else { primitive::quick(&name) };
                let linked = self.vm.methods.add(linked);
                if missing {
                    let ops = [Op::Stub { kind: Count(stub::MISSING) }, Op::Answer { value: Reg(0) }];
                    let registers = u32::from(method.argument_count) + 1;
                    let code = self.made_code(linked, &ops, Vec::new(), registers, method.argument_count);
                    self.vm.methods.set_codes(linked, vec![code]);
                }
                Ok(linked)
            }
            Body::Code(_) => {
                let linked = self.vm.methods.add(linked);
                if !self.waits(number, method.flags, context) {
                    self.codes(number, image, id, context, linked)?;
                }
                Ok(linked)
            }
        }
    }

    /// Whether the codes of a method are linked when a message first finds it: those of the embedded kernel, in its own
    /// classes. What the system runs is not found by messages.
    fn waits(&self, number: usize, flags: MethodFlags, context: Context) -> bool {
        number == 0
            && self.embedded.is_some()
            && !flags.hidden
            && context.class == context.constants
            && self.vm.class(context.class).image == 0
    }

    /// Gives a method its codes.
    pub(super) fn codes(
        &mut self,
        number: usize,
        image: &'a Image,
        id: MethodId,
        context: Context,
        linked: NonNull<LinkedMethod>,
    ) -> Result<(), LinkError> {
        let Body::Code(codes) = &image.method(id).body else { unreachable!("a primitive has no codes") };
        let mut result = Vec::with_capacity(codes.len());
        for (index, code) in codes.iter().enumerate() {
            result.push(self.code(number, image, id, index, code, linked, context)?);
        }
        if self.vm.class(context.class).kind != ClassKind::Twin
            && let [code] = result.as_slice()
        {
            self.vm.methods.set_quick(linked, quick(code));
        }
        self.vm.methods.set_codes(linked, result);
        Ok(())
    }

    /// A code that linking makes.
    pub(super) fn made_code(
        &mut self,
        method: NonNull<LinkedMethod>,
        ops: &[Op],
        sites: Vec<LinkedSite>,
        registers: u32,
        argument_count: u8,
    ) -> LinkedCode {
        let mut words = Vec::new();
        ops.iter().for_each(|op| op.encode(&mut words));
        self.vm.linked_words += words.len() + 16 * sites.len() + 32;
        LinkedCode {
            words: words.into(),
            literals: Box::new([]),
            caches: sites.iter().map(|_| Cell::new(Cache::EMPTY)).collect(),
            sites: sites.into(),
            register_count: registers,
            argument_count,
            captures: Box::new([]),
            method,
            index: 0,
            source_map: Box::new([]),
        }
    }

    /// Links one code of a method.
    #[allow(clippy::too_many_arguments, reason = "each says something else of the one code")]
    pub(super) fn code(
        &mut self,
        number: usize,
        image: &'a Image,
        id: MethodId,
        index: usize,
        code: &'a Code,
        method: NonNull<LinkedMethod>,
        context: Context,
    ) -> Result<LinkedCode, LinkError> {
        self.vm.linked_words += code.words.len() + code.literals.len() + 16 * code.sites.len() + 32;
        if self.vm.linked_words > WORDS_TOTAL_MAX {
            return Err(LinkError::TooLarge { what: "instructions, counting traits for each use" });
        }
        let literals = match self.literals.get(&(number, id.0, index)) {
            Some(literals) => literals.clone(),
            None => {
                let literals: Vec<Value> = code.literals.iter().map(|literal| self.literal(image, literal)).collect();
                self.literals.insert((number, id.0, index), literals.clone());
                literals
            }
        };
        let mut literals = Literals { values: literals, globals: FxHashMap::default() };
        let selector = self.vm.symbols.intern(image.name(image.method(id).selector));
        let mut slots = Vec::with_capacity(code.slots.len());
        for &slot in &code.slots {
            let name = self.vm.symbols.intern(image.name(slot));
            let bound = self.bound(context, name);
            slots.push(bound.ok_or_else(|| LinkError::UnknownSlot {
                method: self.method_name(context.class, selector),
                slot: image.name(slot).to_owned(),
            })?);
        }
        let mut words = Vec::with_capacity(code.words.len());
        let mut at = 0;
        while at < code.words.len() {
            let op = codec::decode_at(&code.words, at).expect("callers verify images before they link them");
            let op = match self.bind_op(number, image, op, &slots, &mut literals)? {
                Some(op) => op,
                None => {
                    let Op::StoreSlot { slot, .. } = op else { unreachable!("only a store can be refused") };
                    return Err(LinkError::ConstantAssigned {
                        method: self.method_name(context.class, selector),
                        constant: image.name(code.slots[usize::from(slot.0)]).to_owned(),
                    });
                }
            };
            at += op.opcode().words();
            op.encode(&mut words);
        }
        fuse::fuse(&mut words);
        let sites: Box<[LinkedSite]> = code
            .sites
            .iter()
            .map(|site| LinkedSite {
                selector: self.vm.symbols.intern(image.name(site.selector)),
                argument_count: site.argument_count,
                to_self: site.to_self,
            })
            .collect();
        Ok(LinkedCode {
            words: words.into(),
            literals: literals.values.into(),
            caches: sites.iter().map(|_| Cell::new(Cache::EMPTY)).collect(),
            sites,
            register_count: u32::from(code.register_count),
            argument_count: code.argument_count,
            captures: code.captures.clone().into(),
            method,
            index: index as u32,
            source_map: code.source_map.clone().into(),
        })
    }

    /// What a name of a slot means in a context; each is sought once.
    fn bound(&mut self, context: Context, name: Symbol) -> Option<Bound> {
        if let Some(&known) = self.bindings.get(&(context, name)) {
            return known;
        }
        let bound = self.bind(context.class, name).or_else(|| match self.bind(context.constants, name) {
            Some(Bound::Constant(number)) => Some(Bound::Constant(number)),
            Some(Bound::Slot(_) | Bound::Shared(_)) | None => None,
        });
        self.bindings.insert((context, name), bound);
        bound
    }

    /// An instruction with its operands bound; it keeps its length. `None` if it assigns a constant.
    fn bind_op(
        &mut self,
        number: usize,
        image: &Image,
        op: Op,
        slots: &[Bound],
        literals: &mut Literals,
    ) -> Result<Option<Op>, LinkError> {
        Ok(Some(match op {
            Op::LoadSlot { dst, slot } => match slots[usize::from(slot.0)] {
                Bound::Slot(offset) => Op::LoadSlot { dst, slot: operand::Slot(offset) },
                Bound::Shared(offset) => Op::LoadShared { dst, slot: operand::Slot(offset) },
                Bound::Constant(number) => Op::LoadConstant { dst, constant: operand::Literal(number) },
            },
            Op::StoreSlot { src, slot } => match slots[usize::from(slot.0)] {
                Bound::Slot(offset) => Op::StoreSlot { src, slot: operand::Slot(offset) },
                Bound::Shared(offset) => Op::StoreShared { src, slot: operand::Slot(offset) },
                Bound::Constant(_) => return Ok(None),
            },
            Op::LoadGlobal { dst, global } => {
                let name = self.vm.symbols.intern(image.name(image.globals[usize::from(global.0)]));
                let class = self.vm.find_global(number, name);
                let row = match literals.globals.get(&global.0) {
                    Some(&row) => row,
                    None => {
                        let value = match class {
                            Some(class) => self.vm.class(class).prototype,
                            None => Value::symbol(name.0),
                        };
                        if literals.values.len() >= ROWS_MAX {
                            return Err(LinkError::TooLarge { what: "literals in one code" });
                        }
                        literals.values.push(value);
                        let row = (literals.values.len() - 1) as u16;
                        literals.globals.insert(global.0, row);
                        row
                    }
                };
                match class {
                    Some(_) => Op::LoadLiteral { dst, literal: operand::Literal(row) },
                    None => Op::LoadGlobal { dst, global: operand::Global(row) },
                }
            }
            Op::LoadVariable { dst, variable } => Op::LoadVariable { dst, variable: self.variable(image, variable) },
            Op::StoreVariable { src, variable } => Op::StoreVariable { src, variable: self.variable(image, variable) },
            other => other,
        }))
    }

    fn variable(&mut self, image: &Image, variable: operand::Variable) -> operand::Variable {
        let name = self.vm.symbols.intern(image.name(image.variables[usize::from(variable.0)]));
        operand::Variable(self.vm.variable_rows[&name])
    }

    /// A literal as a permanent value.
    pub(super) fn literal(&mut self, image: &Image, literal: &Literal) -> Value {
        match literal {
            Literal::Nil => Value::NIL,
            Literal::True => Value::TRUE,
            Literal::False => Value::FALSE,
            Literal::Integer(number) => match Value::integer(*number) {
                Some(value) => value,
                None => self.large_integer(&num_bigint::BigInt::from(*number)),
            },
            Literal::LargeInteger { negative, magnitude } => {
                let sign = if *negative { num_bigint::Sign::Minus } else { num_bigint::Sign::Plus };
                self.large_integer(&num_bigint::BigInt::from_bytes_le(sign, magnitude))
            }
            Literal::Float(bits) => {
                let number = f64::from_bits(*bits);
                match Value::float(number) {
                    Some(value) => value,
                    None => self.vm.heap.permanent_bytes(self.vm.known.float, &bits.to_le_bytes(), 0),
                }
            }
            Literal::ScaledDecimal { digits, scale } => {
                let unscaled: num_bigint::BigInt = digits.parse().expect("verified: decimal digits");
                let unscaled = match num_traits::ToPrimitive::to_i64(&unscaled).and_then(Value::integer) {
                    Some(value) => value,
                    None => self.large_integer(&unscaled),
                };
                let class = self.vm.known.scaled_decimal;
                let mut slots = vec![Value::NIL; self.vm.class(class).slots.len()];
                slots[0] = unscaled;
                slots[1] = Value::small(i64::from(*scale));
                self.vm.heap.permanent_slots(class, &slots)
            }
            Literal::Character(character) => Value::character(*character),
            Literal::String(text) => {
                let flags = if text.is_ascii() { heap::ASCII } else { 0 };
                self.vm.heap.permanent_bytes(self.vm.known.string, text.as_bytes(), flags)
            }
            Literal::Symbol(name) => Value::symbol(self.vm.symbols.intern(image.name(*name)).0),
            Literal::Array(items) => {
                let items: Vec<Value> = items.iter().map(|item| self.literal(image, item)).collect();
                self.vm.heap.permanent_array(self.vm.known.array, &items)
            }
            Literal::Bytes(bytes) => self.vm.heap.permanent_bytes(self.vm.known.byte_array, bytes, 0),
        }
    }

    fn large_integer(&mut self, number: &num_bigint::BigInt) -> Value {
        self.vm.heap.permanent_bytes(self.vm.known.large_integer, &number.to_signed_bytes_le(), 0)
    }
}
