//! A small assembler of images and the smallest kernel that links, for what the compiler would never emit.

#![allow(dead_code, reason = "a vocabulary")]

use twintalk_bytecode::Op;
use twintalk_bytecode::image::*;
use twintalk_bytecode::operand::{CodeIndex, Fallback, Global, Jump16, Jump24, Literal as Row, Reg, Site, Small, Tiny};
use twintalk_bytecode::verify::{selector_arguments, verify};
use twintalk_vm::vm::WellKnown;
use twintalk_vm::{ExceptionKind, Vm};

/// An image being built.
#[derive(Default)]
pub struct Assembler {
    pub image: Image,
}

impl Assembler {
    pub fn name(&mut self, text: &str) -> NameId {
        let known = self.image.names.iter().position(|name| name == text);
        NameId(known.unwrap_or_else(|| {
            self.image.names.push(text.to_owned());
            self.image.names.len() - 1
        }) as u32)
    }

    pub fn site(&mut self, selector: &str) -> SendSite {
        SendSite {
            selector: self.name(selector),
            argument_count: selector_arguments(selector).expect("a selector") as u8,
            to_self: false,
        }
    }

    pub fn sites(&mut self, selectors: &[&str]) -> Vec<SendSite> {
        selectors.iter().map(|selector| self.site(selector)).collect()
    }

    pub fn global(&mut self, name: &str) -> Global {
        let name = self.name(name);
        let known = self.image.globals.iter().position(|&global| global == name);
        Global(known.unwrap_or_else(|| {
            self.image.globals.push(name);
            self.image.globals.len() - 1
        }) as u16)
    }

    pub fn prototype(&mut self, name: &str, parent: Option<&str>) -> &mut Prototype {
        let prototype = Prototype {
            name: self.name(name),
            kind: PrototypeKind::Object,
            parent: parent.map(|parent| self.name(parent)),
            traits: Vec::new(),
            instance: Behaviour::default(),
            side: Behaviour::default(),
            events: Vec::new(),
            timers: Vec::new(),
            invariants: Vec::new(),
            version: 1,
            migrations: Vec::new(),
            supervision: None,
            comment: None,
            position: SourcePosition::default(),
        };
        self.image.prototypes.push(prototype);
        self.image.prototypes.last_mut().expect("just pushed")
    }

    pub fn slot(&mut self, name: &str) -> &mut SlotDefinition {
        let slot = SlotDefinition {
            name: self.name(name),
            constant: false,
            initialiser: None,
            annotation: Annotation::default(),
            comment: None,
        };
        let slots = &mut self.image.prototypes.last_mut().expect("a prototype").instance.slots;
        slots.push(slot);
        slots.last_mut().expect("just pushed")
    }

    /// A method of no prototype yet.
    pub fn method(&mut self, selector: &str, codes: Vec<Code>) -> MethodId {
        let method = Method {
            selector: self.name(selector),
            argument_count: codes.first().map_or(0, |code| code.argument_count),
            flags: MethodFlags::default(),
            body: Body::Code(codes.into()),
            position: SourcePosition::default(),
            comment: None,
        };
        self.image.methods.push(method);
        MethodId(self.image.methods.len() as u32 - 1)
    }

    /// A method of the last prototype.
    pub fn add(&mut self, selector: &str, codes: Vec<Code>) {
        let id = self.method(selector, codes);
        self.image.prototypes.last_mut().expect("a prototype").instance.methods.push(id);
    }

    /// A primitive of the last prototype.
    pub fn primitive(&mut self, selector: &str) {
        let id = self.method(selector, Vec::new());
        let method = &mut self.image.methods[id.0 as usize];
        method.body = Body::Primitive;
        method.argument_count = selector_arguments(selector).expect("a selector") as u8;
        self.image.prototypes.last_mut().expect("a prototype").instance.methods.push(id);
    }

    pub fn main(&mut self, codes: Vec<Code>) {
        self.image.main = Some(self.method("main", codes));
    }
}

/// A code with these arguments, registers, instructions and send sites.
pub fn code(argument_count: u8, register_count: u16, ops: &[Op], sites: Vec<SendSite>) -> Code {
    let mut words = Vec::new();
    ops.iter().for_each(|op| op.encode(&mut words));
    Code { argument_count, register_count, words, sites, ..Code::default() }
}

pub fn load_nil(dst: u8) -> Op {
    Op::LoadNil { dst: Reg(dst) }
}

pub fn integer(dst: u8, value: i16) -> Op {
    Op::LoadInteger { dst: Reg(dst), value: Small(value) }
}

pub fn literal(dst: u8, row: u16) -> Op {
    Op::LoadLiteral { dst: Reg(dst), literal: Row(row) }
}

pub fn load_global(dst: u8, global: Global) -> Op {
    Op::LoadGlobal { dst: Reg(dst), global }
}

pub fn copy(dst: u8, src: u8) -> Op {
    Op::Copy { dst: Reg(dst), src: Reg(src) }
}

pub fn answer(value: u8) -> Op {
    Op::Answer { value: Reg(value) }
}

pub fn send(base: u8, site: u16) -> Op {
    Op::Send { base: Reg(base), site: Site(site) }
}

pub fn make_block(dst: u8, code: u16) -> Op {
    Op::MakeBlock { dst: Reg(dst), code: CodeIndex(code) }
}

pub fn jump_back(words: i32) -> Op {
    Op::JumpBack { target: Jump24(words) }
}

pub fn jump_unless(condition: u8, words: i16, fallback: i16) -> Op {
    Op::JumpUnless { condition: Reg(condition), target: Jump16(words), fallback: Fallback(fallback) }
}

pub fn less_jump_unless(dst: u8, left: u8, right: u8, site: u16) -> Op {
    Op::LessJumpUnless { dst: Reg(dst), left: Reg(left), right: Reg(right), site: Site(site) }
}

pub fn add(dst: u8, left: u8, right: u8, site: u16) -> Op {
    Op::Add { dst: Reg(dst), left: Reg(left), right: Reg(right), site: Site(site) }
}

pub fn add_tiny(dst: u8, left: u8, right: i8, site: u16) -> Op {
    Op::AddTiny { dst: Reg(dst), left: Reg(left), right: Tiny(right), site: Site(site) }
}

pub fn subtract_tiny(dst: u8, left: u8, right: i8, site: u16) -> Op {
    Op::SubtractTiny { dst: Reg(dst), left: Reg(left), right: Tiny(right), site: Site(site) }
}

/// The smallest kernel: the names that the VM uses, blocks that can be valued, exceptions that can be
/// signalled.
pub fn kernel() -> Image {
    let mut a = Assembler::default();
    a.prototype("Object", None);
    // doesNotUnderstand: message = ( ^MessageNotUnderstood new signal: message )
    let global = a.global("MessageNotUnderstood");
    let sites = a.sites(&["new", "signal:"]);
    let ops = [load_global(2, global), send(2, 0), copy(3, 1), send(2, 1), answer(2)];
    a.add("doesNotUnderstand:", vec![code(1, 4, &ops, sites)]);
    a.primitive("perform:");
    a.primitive("perform:with:");
    a.primitive("perform:withArguments:");
    a.prototype("Prototype", Some("Object"));
    a.primitive("new");
    a.primitive("basicNew");
    for name in WellKnown::NAMES.iter().filter(|name| !["Object", "Prototype", "Exception", "Block"].contains(name)) {
        a.prototype(name, Some("Object"));
        let slots: &[&str] = match *name {
            "Promise" => &["number", "outcome", "answer", "actions"],
            "Continuation" => {
                &["program", "image", "scope", "prototype", "side", "method", "code", "receiver", "captured"]
            }
            "Message" => &["selector", "arguments"],
            "ExceptionSet" => &["members"],
            "TwinReference" => &["path", "kind"],
            "ScaledDecimal" => &["unscaled", "scale"],
            _ => &[],
        };
        for slot in slots {
            a.slot(slot);
        }
    }
    a.prototype("Block", Some("Object"));
    for selector in
        ["value", "value:", "value:value:", "valueWithArguments:", "numArgs", "on:do:", "ensure:", "ifCurtailed:"]
    {
        a.primitive(selector);
    }
    a.prototype("Exception", Some("Object"));
    a.slot("messageText");
    for selector in ["signal", "signal:", "outer", "pass", "return:", "retry", "resume:", "unhandled"] {
        a.primitive(selector);
    }
    let sites = a.sites(&["unhandled"]);
    a.add("defaultAction", vec![code(0, 2, &[copy(1, 0), send(1, 0), answer(1)], sites)]);
    for kind in ExceptionKind::ALL {
        let parent = if *kind == ExceptionKind::Error { "Exception" } else { "Error" };
        a.prototype(kind.name(), Some(parent));
    }
    a.image
}

/// A VM with the smallest kernel and `image`, both verified.
pub fn link(image: &Image) -> Vm {
    let kernel = kernel();
    for image in [&kernel, image] {
        verify(image).unwrap_or_else(|error| panic!("{error:?}"));
    }
    Vm::link(&[&kernel, image]).unwrap_or_else(|error| panic!("{error}"))
}
