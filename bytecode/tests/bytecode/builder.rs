//! A small builder of images, since tests here know no compiler.

use twintalk_bytecode::Op;
use twintalk_bytecode::image::*;
use twintalk_bytecode::operand::{CodeIndex, Fallback, Global, Jump16, Jump24, Reg, Site, Slot, Small, Tiny, Variable};
use twintalk_bytecode::verify::selector_arguments;

/// An image being built.
#[derive(Default)]
pub struct Builder {
    pub image: Image,
}

impl Builder {
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
    pub fn add(&mut self, selector: &str, codes: Vec<Code>) -> &mut Builder {
        let id = self.method(selector, codes);
        let prototype = self.image.prototypes.last_mut().expect("a prototype");
        prototype.instance.methods.push(id);
        self
    }

    /// A hidden method that answers nil.
    pub fn hidden(&mut self, name: &str) -> MethodId {
        let id = self.method(name, vec![code(0, 2, &[load_nil(1), answer(1)])]);
        self.image.methods[id.0 as usize].flags.hidden = true;
        id
    }
}

/// A code with these arguments, registers and instructions.
pub fn code(argument_count: u8, register_count: u16, ops: &[Op]) -> Code {
    let mut words = Vec::new();
    ops.iter().for_each(|op| op.encode(&mut words));
    Code { argument_count, register_count, words, ..Code::default() }
}

pub fn load_nil(dst: u8) -> Op {
    Op::LoadNil { dst: Reg(dst) }
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

pub fn make_cell(dst: u8, src: u8) -> Op {
    Op::MakeCell { dst: Reg(dst), src: Reg(src) }
}

pub fn load_cell(dst: u8, cell: u8) -> Op {
    Op::LoadCell { dst: Reg(dst), cell: Reg(cell) }
}

pub fn make_block(dst: u8, code: u16) -> Op {
    Op::MakeBlock { dst: Reg(dst), code: CodeIndex(code) }
}

pub fn jump(words: i32) -> Op {
    Op::Jump { target: Jump24(words) }
}

pub fn jump_back(words: i32) -> Op {
    Op::JumpBack { target: Jump24(words) }
}

pub fn jump_unless(condition: u8, words: i16, fallback: i16) -> Op {
    Op::JumpUnless { condition: Reg(condition), target: Jump16(words), fallback: Fallback(fallback) }
}

pub fn jump_if_nil(value: u8, words: i16) -> Op {
    Op::JumpIfNil { value: Reg(value), target: Jump16(words) }
}

pub fn less_jump_unless(dst: u8, left: u8, right: u8, site: u16) -> Op {
    Op::LessJumpUnless { dst: Reg(dst), left: Reg(left), right: Reg(right), site: Site(site) }
}

pub fn add_tiny(dst: u8, left: u8, right: i8, site: u16) -> Op {
    Op::AddTiny { dst: Reg(dst), left: Reg(left), right: Tiny(right), site: Site(site) }
}

/// An image with something of everything, which the verifier passes.
pub fn tank() -> Image {
    let mut b = Builder::default();
    b.image.files.push(SourceFile { name: "tank.twin".into(), line_starts: vec![0, 17, 40] });
    let (level, capacity, alarm) = (b.name("level"), b.name("capacity"), b.name("alarm:"));
    let float = b.name("Float");
    b.prototype("Alarmed", None).kind = PrototypeKind::Trait;
    let alarmed = b.name("Alarmed");
    let initialiser = b.hidden("level");
    let (check, duration) = (b.hidden("check"), b.hidden("check"));
    let (plausible, migrate) = (b.hidden("plausible"), b.hidden("migrate"));
    let tank = b.prototype("Tank", Some("Twin"));
    tank.kind = PrototypeKind::Twin;
    tank.traits = vec![alarmed];
    tank.version = 2;
    tank.comment = Some("A tank, and what happens when it runs full.".into());
    tank.position.offset = 17;
    tank.events = vec![Event { selector: alarm }];
    tank.timers = vec![Timer { method: check, repeats: true, duration }];
    tank.invariants = vec![plausible];
    let retry = Retry { count: 5, after_ns: 100_000_000, up_to_ns: 10_000_000_000, within_ns: Some(60_000_000_000) };
    tank.supervision = Some(Supervision { retry: Some(retry), then: GivingUp::Quarantine });
    tank.migrations = vec![Migration { from: 1, method: migrate }];
    tank.instance.slots = vec![
        SlotDefinition {
            name: level,
            constant: false,
            initialiser: Some(initialiser),
            annotation: Annotation {
                type_name: Some(float),
                unit: Some("m3".into()),
                min: Some(Literal::Integer(0)),
                max: Some(Literal::Float(100.0f64.to_bits())),
                keep_ns: Some(-1),
                indexed: true,
                other: vec!["shown: 'left'".into()],
                ..Annotation::default()
            },
            comment: Some("How full it is.".into()),
        },
        SlotDefinition {
            name: capacity,
            constant: true,
            initialiser: None,
            annotation: Annotation::default(),
            comment: None,
        },
    ];

    // inflow: rate = ( level := level + rate. ^level < 100 ifTrue: [ #full ] )
    let mut inflow = code(
        1,
        5,
        &[
            Op::LoadSlot { dst: Reg(2), slot: Slot(0) },
            Op::Add { dst: Reg(2), left: Reg(2), right: Reg(1), site: Site(0) },
            Op::StoreSlot { src: Reg(2), slot: Slot(0) },
            Op::LoadInteger { dst: Reg(3), value: Small(100) },
            less_jump_unless(3, 2, 3, 1),
            jump_unless(3, 2, 4),
            Op::LoadLiteral { dst: Reg(2), literal: Literal16(0) },
            answer(2),
            load_nil(2),
            answer(2),
            copy(2, 3),
            Op::LoadLiteral { dst: Reg(3), literal: Literal16(0) },
            send(2, 2),
            answer(2),
        ],
    );
    inflow.slots = vec![level];
    inflow.sites = vec![b.site("+"), b.site("<"), b.site("ifTrue:")];
    inflow.literals = vec![Literal::Symbol(b.name("full"))];
    inflow.source_map = vec![SourceMapEntry { word: 0, offset: 20 }, SourceMapEntry { word: 3, offset: 33 }];
    b.add("inflow:", vec![inflow]);

    // sum: list = ( | sum | sum := 0. list do: [ :each | sum := sum + each ]. ^sum )
    let mut sum = code(
        1,
        6,
        &[
            Op::LoadInteger { dst: Reg(2), value: Small(0) },
            make_cell(2, 2),
            copy(3, 1),
            make_block(4, 1),
            send(3, 0),
            load_cell(3, 2),
            answer(3),
        ],
    );
    sum.sites = vec![b.site("do:")];
    let mut block = code(
        1,
        4,
        &[
            load_cell(3, 2),
            Op::Add { dst: Reg(3), left: Reg(3), right: Reg(1), site: Site(0) },
            Op::StoreCell { cell: Reg(2), src: Reg(3) },
            answer(3),
        ],
    );
    block.captures = vec![2];
    block.sites = vec![b.site("+")];
    b.add("sum:", vec![sum, block]);

    // upTo: n = ( | i | i := 0. [ i < n ] whileTrue: [ i := i + 1 ]. ^self )
    let mut up_to = code(
        1,
        5,
        &[
            Op::LoadInteger { dst: Reg(2), value: Small(0) },
            less_jump_unless(3, 2, 1, 0),
            jump_unless(3, 3, 0),
            add_tiny(2, 2, 1, 1),
            jump_back(-7),
            Op::AnswerSelf {},
        ],
    );
    up_to.sites = vec![b.site("<"), b.site("+")];
    b.add("upTo:", vec![up_to]);

    // description = ( ^super description )
    let mut description = code(0, 2, &[copy(1, 0), Op::SendSuper { base: Reg(1), site: Site(0) }, answer(1)]);
    description.sites = vec![SendSite { to_self: true, ..b.site("description") }];
    b.add("description", vec![description]);

    let primitive = b.method("level:", Vec::new());
    b.image.methods[primitive.0 as usize].body = Body::Primitive;
    b.image.methods[primitive.0 as usize].argument_count = 1;
    b.image.methods[primitive.0 as usize].flags.query = true;
    let tank = b.image.prototypes.last_mut().expect("the tank");
    tank.side.methods.push(primitive);

    let double = b.method("double", vec![code(0, 1, &[Op::AnswerSelf {}])]);
    b.image.methods[double.0 as usize].comment = Some("Twice as much.".into());
    let number = b.name("Number");
    b.image.extensions.push(Extension { name: number, methods: vec![double], side_methods: Vec::new() });

    let (tank, one) = (b.name("Tank"), b.name("one"));
    b.image.globals = vec![tank];
    b.image.variables = vec![one];
    let mut main = code(
        0,
        2,
        &[
            Op::LoadGlobal { dst: Reg(1), global: Global(0) },
            send(1, 0),
            Op::StoreVariable { src: Reg(1), variable: Variable(0) },
            Op::LoadLiteral { dst: Reg(1), literal: Literal16(0) },
            answer(1),
        ],
    );
    main.sites = vec![b.site("new")];
    main.literals = vec![Literal::Array(every_literal(&mut b))];
    b.image.main = Some(b.method("main", vec![main]));
    b.image
}

/// One of each kind.
pub fn every_literal(b: &mut Builder) -> Vec<Literal> {
    vec![
        Literal::Nil,
        Literal::True,
        Literal::False,
        Literal::Integer(i64::MIN),
        Literal::LargeInteger { negative: false, magnitude: vec![0, 0, 0, 0, 0, 0, 0, 0, 1] },
        Literal::Float(f64::NAN.to_bits()),
        Literal::ScaledDecimal { digits: "-5".into(), scale: 2 },
        Literal::Character('ä'),
        Literal::String("it's".into()),
        Literal::Symbol(b.name("at:put:")),
        Literal::Array(vec![Literal::Bytes(vec![0, 255])]),
    ]
}

pub use twintalk_bytecode::operand::Literal as Literal16;
