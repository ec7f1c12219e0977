//! One hostile image for each way to break each rule, and what must pass.

use std::collections::BTreeSet;

use twintalk_bytecode::Op;
use twintalk_bytecode::image::*;
use twintalk_bytecode::operand::{self, CodeIndex, Count, Global, Reg, Site, Slot, Variable};
use twintalk_bytecode::verify::{RETRIES_MAX, Rule, verify};

use crate::builder::*;

/// An image of one prototype whose method has these codes. Sites: 0 `foo`, 1 `foo:`, 2 `<`, 3 `+`,
/// 4 `foo` to self.
fn codes(codes: Vec<Code>) -> Image {
    let mut b = Builder::default();
    b.prototype("A", None);
    let selector = match codes.first().map_or(0, |code| code.argument_count) {
        0 => "run".to_owned(),
        count => "run:".repeat(usize::from(count)),
    };
    let to_self = SendSite { to_self: true, ..b.site("foo") };
    let sites = ["foo", "foo:", "<", "+"].map(|selector| b.site(selector));
    let sites: Vec<SendSite> = sites.into_iter().chain([to_self]).collect();
    let with_sites = |code: Code| Code { sites: sites.clone(), ..code };
    b.add(&selector, codes.into_iter().map(with_sites).collect());
    b.image
}

/// A method of one argument and eight registers.
fn body(ops: &[Op]) -> Image {
    codes(vec![code(1, 8, ops)])
}

/// A method that makes `block` with `captures` in `r2`, after `before`.
fn block(before: &[Op], captures: &[u8], block: &[Op]) -> Image {
    let mut ops = before.to_vec();
    ops.extend([make_block(2, 1), answer(2)]);
    let block = Code { captures: captures.to_vec(), ..code(1, 8, block) };
    codes(vec![code(1, 8, &ops), block])
}

/// The tank, after `change`.
fn tank_with(change: impl FnOnce(&mut Image)) -> Image {
    let mut image = tank();
    change(&mut image);
    image
}

/// How the tank tries again.
fn retry(image: &mut Image) -> &mut Retry {
    let supervision = image.prototypes[1].supervision.as_mut();
    supervision.and_then(|supervision| supervision.retry.as_mut()).expect("the tank has one")
}

/// An image with `literal`.
fn with_literal(literal: Literal) -> Image {
    let mut image = body(&[Op::AnswerSelf {}]);
    first_code(&mut image).literals.push(literal);
    image
}

fn first_code(image: &mut Image) -> &mut Code {
    match &mut image.methods[0].body {
        Body::Code(codes) => &mut codes[0],
        Body::Primitive => panic!("a method with codes"),
    }
}

fn with_word(ops: &[Op], word: u32) -> Image {
    let mut image = body(ops);
    first_code(&mut image).words.push(word);
    image
}

fn method_named(selector: &str) -> Image {
    let mut b = Builder::default();
    b.prototype("A", None);
    b.add(selector, vec![code(0, 1, &[Op::AnswerSelf {}])]);
    b.image
}

/// Every hostile image, with the rule it breaks.
fn hostile() -> Vec<(Rule, Image)> {
    let nowhere = NameId(999);
    let missing = MethodId(999);
    let large =
        |negative, magnitude: &[u8]| with_literal(Literal::LargeInteger { negative, magnitude: magnitude.to_vec() });
    let scaled = |digits: &str, scale| with_literal(Literal::ScaledDecimal { digits: digits.into(), scale });
    let deep = (0..17).fold(Literal::Nil, |inner, _| Literal::Array(vec![inner]));
    let load_slot = |dst, slot| Op::LoadSlot { dst: Reg(dst), slot: Slot(slot) };
    let array = |base, count| Op::MakeArray { base: Reg(base), count: Count(count) };
    let store_cell = |cell, src| Op::StoreCell { cell: Reg(cell), src: Reg(src) };
    vec![
        (Rule::Size, tank_with(|i| i.globals = vec![NameId(0); 65_537])),
        (Rule::Size, tank_with(|i| i.files = vec![i.files[0].clone(); 65_537])),
        (Rule::NameRange, tank_with(|i| i.globals[0] = nowhere)),
        (Rule::NameRange, tank_with(|i| i.variables[0] = nowhere)),
        (Rule::NameRange, tank_with(|i| i.prototypes[0].name = nowhere)),
        (Rule::NameRange, tank_with(|i| i.prototypes[1].parent = Some(nowhere))),
        (Rule::NameRange, tank_with(|i| i.prototypes[1].traits[0] = nowhere)),
        (Rule::NameRange, tank_with(|i| i.prototypes[1].events[0].selector = nowhere)),
        (Rule::NameRange, tank_with(|i| i.prototypes[1].instance.slots[0].name = nowhere)),
        (Rule::NameRange, tank_with(|i| i.prototypes[1].instance.slots[0].annotation.type_name = Some(nowhere))),
        (Rule::NameRange, tank_with(|i| i.extensions[0].name = nowhere)),
        (Rule::NameRange, tank_with(|i| i.methods[5].selector = nowhere)),
        (
            Rule::NameRange,
            tank_with(|i| {
                let orphan = i.methods[0].clone();
                i.methods.push(Method { selector: nowhere, ..orphan });
            }),
        ),
        (Rule::NameRange, with_literal(Literal::Symbol(nowhere))),
        (Rule::NameRange, {
            let mut image = body(&[Op::AnswerSelf {}]);
            first_code(&mut image).slots.push(nowhere);
            image
        }),
        (Rule::NameRange, {
            let mut image = body(&[Op::AnswerSelf {}]);
            first_code(&mut image).sites[0].selector = nowhere;
            image
        }),
        (Rule::NameTwice, tank_with(|i| i.names.push("level".into()))),
        (Rule::NameTwice, tank_with(|i| i.globals.push(i.globals[0]))),
        (Rule::NameTwice, tank_with(|i| i.variables.push(i.variables[0]))),
        (Rule::Position, tank_with(|i| i.files[0].line_starts.clear())),
        (Rule::Position, tank_with(|i| i.files[0].line_starts = vec![1])),
        (Rule::Position, tank_with(|i| i.files[0].line_starts = vec![0, 9, 9])),
        (Rule::Position, tank_with(|i| i.methods[0].position.file = 1)),
        (Rule::Position, tank_with(|i| i.prototypes[0].position.file = 1)),
        (Rule::PrototypeTwice, tank_with(|i| i.prototypes[1].name = i.prototypes[0].name)),
        (Rule::PrototypeOrder, tank_with(|i| i.prototypes.swap(0, 1))),
        (Rule::PrototypeOrder, tank_with(|i| i.prototypes[1].parent = Some(i.prototypes[1].name))),
        (
            Rule::PrototypeOrder,
            tank_with(|i| {
                i.prototypes[0].parent = Some(i.prototypes[1].name);
                i.prototypes[1].parent = Some(i.prototypes[0].name);
            }),
        ),
        (
            Rule::SlotTwice,
            tank_with(|i| {
                let slots = &mut i.prototypes[1].instance.slots;
                slots[1].name = slots[0].name;
            }),
        ),
        (Rule::SlotTwice, {
            let mut b = Builder::default();
            let name = b.name("level");
            let slot = SlotDefinition {
                name,
                constant: false,
                initialiser: None,
                annotation: Annotation::default(),
                comment: None,
            };
            b.prototype("A", None).side.slots.push(slot.clone());
            b.prototype("B", Some("A"));
            b.prototype("C", Some("B")).side.slots.push(slot);
            b.image
        }),
        (Rule::MethodRange, tank_with(|i| i.main = Some(missing))),
        (Rule::MethodRange, tank_with(|i| i.prototypes[1].instance.methods.push(missing))),
        (Rule::MethodRange, tank_with(|i| i.prototypes[1].timers[0].duration = missing)),
        (Rule::MethodRange, tank_with(|i| i.prototypes[1].instance.slots[0].initialiser = Some(missing))),
        (
            Rule::MethodTwice,
            tank_with(|i| {
                let method = i.prototypes[1].instance.methods[0];
                i.extensions[0].side_methods.push(method);
            }),
        ),
        (
            Rule::SelectorTwice,
            tank_with(|i| {
                let copy = i.methods[5].clone();
                i.methods.push(copy);
                i.prototypes[1].instance.methods.push(MethodId(i.methods.len() as u32 - 1));
            }),
        ),
        (
            Rule::SelectorTwice,
            tank_with(|i| {
                let copy = i.methods[3].clone();
                i.methods.push(copy);
                i.prototypes[1].invariants.push(MethodId(i.methods.len() as u32 - 1));
            }),
        ),
        (
            Rule::SelectorTwice,
            tank_with(|i| {
                let (timer, duration) = (i.methods[1].clone(), i.methods[2].clone());
                let first = i.methods.len() as u32;
                i.methods.extend([timer, duration]);
                i.prototypes[1].timers.push(Timer {
                    method: MethodId(first),
                    repeats: false,
                    duration: MethodId(first + 1),
                });
            }),
        ),
        (Rule::Selector, method_named("")),
        (Rule::Selector, method_named("two words")),
        (Rule::Selector, method_named(":")),
        (Rule::Selector, method_named("at::")),
        (Rule::Selector, method_named("at:put")),
        (Rule::Selector, method_named("+a")),
        (Rule::Selector, method_named("9lives")),
        (Rule::Selector, {
            let mut image = body(&[Op::AnswerSelf {}]);
            image.names.push("no selector".into());
            let name = NameId(image.names.len() as u32 - 1);
            first_code(&mut image).sites[0].selector = name;
            image
        }),
        (Rule::ArgumentCount, method_named("at:put:")),
        (Rule::ArgumentCount, method_named("+")),
        (
            Rule::ArgumentCount,
            tank_with(|i| {
                i.prototypes[1].invariants[0] = MethodId(5);
                i.prototypes[1].instance.methods.remove(0);
            }),
        ),
        (
            Rule::ArgumentCount,
            tank_with(|i| {
                i.main = Some(MethodId(5));
                i.prototypes[1].instance.methods.remove(0);
            }),
        ),
        (Rule::ArgumentCount, {
            let mut image = body(&[Op::AnswerSelf {}]);
            first_code(&mut image).sites[1].argument_count = 2;
            image
        }),
        (Rule::ArgumentCount, body(&[add_tiny(2, 1, 1, 2), answer(2)])),
        (Rule::ArgumentCount, body(&[add_tiny(2, 1, 1, 0), answer(2)])),
        (Rule::Hidden, tank_with(|i| i.methods[0].flags.hidden = false)),
        (Rule::Hidden, tank_with(|i| i.methods[5].flags.hidden = true)),
        (Rule::Hidden, tank_with(|i| i.methods[3].body = Body::Primitive)),
        (
            Rule::MigrationOrder,
            tank_with(|i| {
                let copy = i.methods[4].clone();
                i.methods.push(copy);
                let method = MethodId(i.methods.len() as u32 - 1);
                i.prototypes[1].migrations.push(Migration { from: 1, method });
            }),
        ),
        (Rule::Supervision, tank_with(|i| i.prototypes[1].kind = PrototypeKind::Object)),
        (Rule::Supervision, tank_with(|i| retry(i).count = 0)),
        (Rule::Supervision, tank_with(|i| retry(i).count = RETRIES_MAX + 1)),
        (Rule::Supervision, tank_with(|i| retry(i).after_ns = 0)),
        (Rule::Supervision, tank_with(|i| retry(i).up_to_ns = 1)),
        (Rule::Supervision, tank_with(|i| retry(i).within_ns = Some(0))),
        (Rule::LiteralDepth, with_literal(deep.clone())),
        (Rule::LiteralDepth, tank_with(|i| i.prototypes[1].instance.slots[0].annotation.min = Some(deep))),
        (Rule::LiteralForm, large(false, &[])),
        (Rule::LiteralForm, large(false, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0])),
        (Rule::LiteralForm, large(false, &i64::MAX.to_le_bytes())),
        (Rule::LiteralForm, large(true, &(1u64 << 63).to_le_bytes())),
        (Rule::LiteralForm, scaled("", 0)),
        (Rule::LiteralForm, scaled("-", 1)),
        (Rule::LiteralForm, scaled("-0", 1)),
        (Rule::LiteralForm, scaled("007", 1)),
        (Rule::LiteralForm, scaled("1.5", 1)),
        (Rule::LiteralForm, scaled("15", 1001)),
        (Rule::Codes, codes(Vec::new())),
        (Rule::Codes, codes(vec![Code { captures: vec![0], ..code(0, 8, &[Op::AnswerSelf {}]) }])),
        (Rule::Codes, {
            let mut image = body(&[Op::AnswerSelf {}]);
            first_code(&mut image).argument_count = 0;
            image
        }),
        (Rule::Window, codes(vec![code(0, 257, &[Op::AnswerSelf {}])])),
        (Rule::Window, codes(vec![code(0, 0, &[Op::AnswerSelf {}])])),
        (Rule::Window, codes(vec![code(2, 2, &[Op::AnswerSelf {}])])),
        (Rule::Window, block(&[], &[1; 7], &[Op::AnswerSelf {}])),
        (Rule::Decode, with_word(&[Op::AnswerSelf {}], 0xff)),
        (Rule::Decode, {
            let mut image = body(&[add_tiny(2, 1, 1, 3)]);
            first_code(&mut image).words.pop();
            image
        }),
        (Rule::Decode, {
            let mut image = body(&[Op::AnswerSelf {}]);
            first_code(&mut image).words[0] |= 0x100;
            image
        }),
        (Rule::Decode, {
            let mut image = body(&[add_tiny(2, 1, 1, 3), answer(2)]);
            first_code(&mut image).words[1] |= 0x0100_0000;
            image
        }),
        (Rule::Linked, body(&[Op::Stub { kind: Count(0) }, Op::AnswerSelf {}])),
        (Rule::Linked, body(&[Op::LoadConstant { dst: Reg(2), constant: operand::Literal(9) }, answer(2)])),
        (Rule::RegisterRange, body(&[answer(8)])),
        (Rule::RegisterRange, body(&[load_nil(8), Op::AnswerSelf {}])),
        (Rule::RegisterRange, body(&[copy(7, 1), send(7, 1), answer(7)])),
        (Rule::RegisterRange, body(&[load_nil(7), array(7, 2), answer(7)])),
        (Rule::TableRange, body(&[copy(2, 1), send(2, 5), answer(2)])),
        (Rule::TableRange, body(&[load_slot(2, 0), answer(2)])),
        (Rule::TableRange, body(&[Op::LoadLiteral { dst: Reg(2), literal: operand::Literal(0) }, answer(2)])),
        (Rule::TableRange, body(&[Op::LoadGlobal { dst: Reg(2), global: Global(0) }, answer(2)])),
        (Rule::TableRange, body(&[Op::StoreVariable { src: Reg(1), variable: Variable(0) }, answer(1)])),
        (Rule::TableRange, body(&[Op::MakeBlock { dst: Reg(2), code: CodeIndex(1) }, answer(2)])),
        (Rule::JumpTarget, body(&[jump(1), answer(1)])),
        (Rule::JumpTarget, body(&[jump(-1), answer(1)])),
        (Rule::JumpTarget, body(&[jump(1), add_tiny(2, 1, 1, 3), answer(1)])),
        (Rule::JumpTarget, body(&[jump_if_nil(1, -1), answer(1)])),
        (Rule::JumpTarget, body(&[jump_if_nil(1, 9), answer(1)])),
        (Rule::JumpTarget, body(&[jump_unless(1, 0, -2), answer(1)])),
        (Rule::JumpTarget, body(&[jump_unless(1, 0, 1), answer(1)])),
        (Rule::JumpBackTarget, body(&[jump_back(-2)])),
        (Rule::JumpBackTarget, body(&[jump_back(0), answer(1)])),
        (Rule::JumpBackTarget, body(&[add_tiny(2, 1, 1, 3), jump_back(-2)])),
        (Rule::LoopNesting, body(&[load_nil(2), load_nil(3), jump_if_nil(2, 1), jump_back(-4), jump_back(-5 + 1)])),
        (Rule::End, body(&[])),
        (Rule::End, body(&[load_nil(2)])),
        (Rule::End, body(&[answer(1), jump_if_nil(1, 0)])),
        (Rule::Fused, body(&[less_jump_unless(2, 1, 1, 2), answer(1)])),
        (Rule::Fused, body(&[load_nil(3), less_jump_unless(2, 1, 1, 2), jump_unless(3, 0, 0), answer(1)])),
        (
            Rule::Fused,
            body(&[load_nil(2), jump_if_nil(1, 2), less_jump_unless(2, 1, 1, 2), jump_unless(2, 0, 0), answer(1)]),
        ),
        (Rule::Fused, body(&[less_jump_unless(2, 1, 1, 2), jump_unless(2, 1, 0), jump_back(-3), answer(1)])),
        (Rule::AnswerHome, body(&[Op::AnswerHome { value: Reg(1) }])),
        (Rule::BlockNesting, body(&[make_block(2, 0), answer(2)])),
        (Rule::BlockNesting, codes(vec![code(0, 8, &[Op::AnswerSelf {}]), code(0, 8, &[Op::AnswerSelf {}])])),
        (
            Rule::BlockNesting,
            codes(vec![
                code(0, 8, &[make_block(2, 1), make_block(3, 2), answer(2)]),
                code(0, 8, &[make_block(2, 2), answer(2)]),
                code(0, 8, &[Op::AnswerSelf {}]),
            ]),
        ),
        (Rule::Captures, block(&[], &[8], &[answer(1)])),
        (Rule::Captures, block(&[], &[3], &[answer(1)])),
        (Rule::Captures, block(&[copy(3, 1), make_block(2, 1), make_cell(3, 1)], &[3], &[answer(1)])),
        (Rule::SelfWritten, body(&[load_nil(0), Op::AnswerSelf {}])),
        (Rule::SelfWritten, body(&[send(0, 0), Op::AnswerSelf {}])),
        (Rule::SelfWritten, body(&[array(0, 1), Op::AnswerSelf {}])),
        // Unassigned: never, on one way only, after a send, after a fused comparison.
        (Rule::Value, body(&[answer(2)])),
        (Rule::Value, body(&[jump_if_nil(1, 1), load_nil(2), answer(2)])),
        (Rule::Value, body(&[copy(2, 1), copy(3, 1), send(2, 1), answer(3)])),
        (Rule::Value, body(&[copy(2, 1), send(2, 1), answer(2)])),
        (Rule::Value, body(&[load_nil(3), array(3, 2), answer(3)])),
        (Rule::Value, body(&[less_jump_unless(2, 1, 1, 2), jump_unless(2, 1, 0), answer(2), answer(1)])),
        (Rule::Value, body(&[less_jump_unless(2, 1, 1, 2), jump_unless(2, 1, 0), answer(1), answer(2)])),
        // A cell is never seen.
        (Rule::Value, body(&[make_cell(2, 1), answer(2)])),
        (Rule::Value, body(&[make_cell(2, 1), copy(3, 2), answer(1)])),
        (Rule::Value, body(&[make_cell(2, 1), send(2, 0), answer(2)])),
        (Rule::Value, body(&[copy(2, 1), make_cell(3, 1), send(2, 1), answer(2)])),
        (Rule::Value, body(&[make_cell(2, 1), make_cell(3, 2), answer(1)])),
        (Rule::Value, body(&[make_cell(2, 1), store_cell(2, 2), answer(1)])),
        (Rule::Value, body(&[make_cell(2, 1), array(2, 1), answer(2)])),
        (Rule::Value, body(&[make_cell(2, 1), add_tiny(3, 2, 1, 3), answer(3)])),
        (Rule::Value, body(&[make_cell(2, 1), jump_if_nil(2, 0), answer(1)])),
        (Rule::Value, block(&[make_cell(3, 1)], &[3], &[answer(2)])),
        // And nothing else is taken for one.
        (Rule::Cell, body(&[load_cell(2, 1), answer(2)])),
        (Rule::Cell, body(&[load_cell(2, 3), answer(2)])),
        (Rule::Cell, body(&[store_cell(0, 1), answer(1)])),
        (Rule::Cell, body(&[make_cell(2, 1), load_nil(2), load_cell(2, 2), answer(2)])),
        (Rule::Cell, body(&[make_cell(2, 1), jump_if_nil(1, 1), copy(2, 1), load_cell(3, 2), answer(3)])),
        (Rule::Cell, body(&[copy(2, 1), make_cell(3, 1), copy(4, 1), send(2, 0), load_cell(4, 3), answer(4)])),
        (Rule::Cell, block(&[], &[1], &[load_cell(3, 2), answer(3)])),
        (Rule::SelfReceiver, body(&[copy(2, 1), Op::SendSuper { base: Reg(2), site: Site(0) }, answer(2)])),
        (Rule::SelfReceiver, body(&[copy(2, 1), send(2, 4), answer(2)])),
        (Rule::SelfReceiver, body(&[copy(2, 0), jump_if_nil(1, 1), copy(2, 1), send(2, 4), answer(2)])),
        // A loop that nothing enters at its head.
        (Rule::LoopState, body(&[jump(1), jump_back(-1), jump_back(-2)])),
        // Entered in its middle, without what its head had.
        (Rule::LoopState, body(&[jump_if_nil(1, 2), load_nil(2), load_nil(3), load_nil(4), jump_back(-3)])),
        (Rule::SourceMap, tank_with(|i| source_map(i, &[(0, 0), (0, 5)]))),
        (Rule::SourceMap, tank_with(|i| source_map(i, &[(2, 0)]))),
        (Rule::SourceMap, tank_with(|i| source_map(i, &[(99, 0)]))),
    ]
}

fn source_map(image: &mut Image, rows: &[(u32, u32)]) {
    let Body::Code(codes) = &mut image.methods[5].body else {
        panic!("`inflow:` has codes");
    };
    codes[0].source_map = rows.iter().map(|(word, offset)| SourceMapEntry { word: *word, offset: *offset }).collect();
}

#[test]
fn every_hostile_image_is_refused_by_its_rule() {
    for (index, (rule, image)) in hostile().into_iter().enumerate() {
        match verify(&image) {
            Err(error) => assert_eq!(error.rule, rule, "image {index}: {error}"),
            Ok(()) => panic!("image {index} passes, and breaks the rule {}", rule.name()),
        }
    }
}

#[test]
fn every_rule_has_a_hostile_image() {
    let shown: BTreeSet<Rule> = hostile().into_iter().map(|(rule, _)| rule).collect();
    let missing: Vec<&str> = Rule::ALL.iter().filter(|rule| !shown.contains(rule)).map(|rule| rule.name()).collect();
    assert!(missing.is_empty(), "rules without a test: {missing:?}");
}

#[test]
fn an_error_says_where() {
    let image = block(&[], &[1], &[load_nil(3), answer(4)]);
    let error = verify(&image).expect_err("r4 is unassigned");
    assert_eq!(error.to_string(), "method `run:`, code 1, word 0001: r4 is unassigned (value)");
}

#[test]
fn what_compilers_make_passes() {
    let images = [
        tank(),
        // A leftover of an expression before the loop is gone after its first round.
        body(&[copy(4, 1), copy(3, 1), send(3, 0), jump_if_nil(3, 1), jump_back(-4), answer(3)]),
        // A temporary is a value before the loop and a cell within it.
        body(&[load_nil(4), make_cell(4, 1), load_cell(3, 4), jump_back(-3)]),
        // `self` stays known in a window that waits for arguments.
        body(&[copy(2, 0), copy(3, 1), send(3, 0), send(2, 4), answer(2)]),
        // A loop within a loop, and two ways back to one head.
        body(&[load_nil(2), jump_if_nil(1, 3), jump_if_nil(2, 1), jump_back(-3 - 1), jump_back(-1), answer(1)]),
        // The fallback of an inlined message sees the receiver.
        body(&[less_jump_unless(2, 1, 1, 2), jump_unless(2, 1, 2), answer(1), Op::AnswerSelf {}, answer(2)]),
        // Nothing reaches the code after an answer; its shape alone counts.
        body(&[answer(1), answer(7)]),
        // A block that only such code makes is not run either.
        block(&[answer(1)], &[5], &[load_cell(3, 2), answer(3)]),
        // All 256 registers.
        codes(vec![code(255, 256, &[answer(255)])]),
    ];
    for (index, image) in images.into_iter().enumerate() {
        assert_eq!(verify(&image), Ok(()), "image {index}");
    }
}

#[test]
fn what_a_loop_takes_away_is_gone_at_its_head() {
    // r3 is assigned before the loop, read at its head, and lost to the send in it.
    let image = body(&[copy(3, 1), copy(4, 3), copy(2, 1), send(2, 0), jump_back(-4)]);
    assert_eq!(verify(&image).expect_err("r3 is lost").rule, Rule::Value);
    // The same for a cell, and for `self`.
    let image = body(&[make_cell(3, 1), load_cell(4, 3), copy(3, 1), jump_back(-3)]);
    assert_eq!(verify(&image).expect_err("a value now").rule, Rule::Cell);
    let image = body(&[copy(2, 0), send(2, 4), jump_back(-2)]);
    assert_eq!(verify(&image).expect_err("an answer now").rule, Rule::SelfReceiver);
}

#[test]
fn the_cost_is_linear_in_hostile_images() {
    // Deep chains of prototypes and deep nests of loops are walked once; a verifier that is
    // quadratic in either would not end in a test's time.
    let mut b = Builder::default();
    let prototype_template = tank().prototypes.swap_remove(0);
    for depth in 0..20_000u32 {
        let name = 2 * depth;
        b.image.names.push(format!("P{depth}"));
        b.image.names.push(format!("s{depth}"));
        let parent_id = (depth > 0).then(|| NameId(name - 2));
        let mut prototype = prototype_template.clone();
        prototype.name = NameId(name);
        prototype.parent = parent_id;
        prototype.instance.slots = vec![SlotDefinition {
            name: NameId(name + 1),
            constant: false,
            initialiser: None,
            annotation: Annotation::default(),
            comment: None,
        }];
        b.image.prototypes.push(prototype);
    }
    assert_eq!(verify(&b.image), Ok(()));

    let loops = 50_000;
    let mut ops = vec![load_nil(2); loops];
    for inner in 0..loops as i32 {
        ops.extend([jump_if_nil(2, 1), jump_back(-3 * (inner + 1))]);
    }
    ops.push(answer(2));
    let error = verify(&body(&ops)).map_err(|error| error.rule);
    assert_eq!(error, Ok(()));
}
