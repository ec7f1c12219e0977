//! The file form: there is one, and all else is refused where it stands.

use proptest::prelude::*;
use twintalk_bytecode::file::*;
use twintalk_bytecode::image::*;
use twintalk_bytecode::verify::verify;

use crate::builder;

fn corrupt(bytes: &[u8]) -> (Option<Section>, usize, Corruption) {
    match decode(bytes) {
        Err(ImageError::Corrupt { section, offset, reason }) => (section, offset, reason),
        other => panic!("not corrupt: {other:?}"),
    }
}

#[test]
fn an_image_is_read_as_it_was_written() {
    for image in [Image::default(), builder::tank()] {
        let bytes = encode(&image);
        let read = decode(&bytes).expect("its own file");
        assert_eq!(read, image);
        assert_eq!(encode(&read), bytes);
    }
}

#[test]
fn an_embedded_image_is_what_its_file_says() {
    let mut stripped = builder::tank();
    strip(&mut stripped);
    for image in [Image::default(), builder::tank(), stripped] {
        let bytes: &'static [u8] = encode(&image).leak();
        let index: &'static [u8] = index(bytes).expect("its own file").leak();
        let embedded: &'static Embedded = Box::leak(Box::new(Embedded { bytes, index }));
        assert_eq!(embedded.content_hash(), content_hash(&image));
        // From the last method to the first, so that none is found by reading on.
        let read = decode_embedded(embedded);
        for (method, wanted) in read.methods.iter().zip(&image.methods).rev() {
            assert_eq!(method, wanted);
        }
        assert_eq!(read, image);
        assert_eq!(encode(&read), bytes);
        let mut changed = decode_embedded(embedded);
        strip(&mut changed);
        assert_eq!(content_hash(&changed), content_hash(&image));
        assert!(is_stripped(&changed));
    }
}

#[test]
fn the_bytes_are_the_same_on_every_machine() {
    let bytes = encode(&Image::default());
    assert_eq!(bytes[..16], *b"\x89TWB\r\n\x1a\n\x03\x00\x01\x00\x08\x00\x00\x00");
    assert_eq!(
        bytes.len(),
        56 + 8 * 16 + 7,
        "five counts of nothing, two in the methods section, and no byte of codes and literals"
    );
}

#[test]
fn stripping_keeps_the_content_hash() {
    let image = builder::tank();
    let mut stripped = image.clone();
    strip(&mut stripped);
    assert!(is_stripped(&stripped) && !is_stripped(&image));
    assert_eq!(content_hash(&stripped), content_hash(&image));
    let bytes = encode(&stripped);
    assert!(bytes.len() < encode(&image).len());
    assert_eq!(bytes[16..48], content_hash(&image));
    assert_eq!(decode(&bytes).expect("its own file"), stripped);
    assert_eq!(verify(&stripped), Ok(()));
}

#[test]
fn the_content_hash_sees_what_a_program_does() {
    let image = builder::tank();
    let mut other = image.clone();
    let Body::Code(codes) = &mut other.methods.last_mut().expect("main").body else {
        panic!("main has codes");
    };
    codes[0].literals[0] = Literal::Nil;
    assert_ne!(content_hash(&other), content_hash(&image));
}

#[test]
fn a_file_of_another_format_names_both_versions() {
    let mut bytes = encode(&builder::tank());
    assert_eq!(decode(b"#!/bin/sh"), Err(ImageError::NotAnImage));
    bytes[8] = 4;
    let error = decode(&bytes).expect_err("a newer format");
    assert_eq!(error.to_string(), "the image has the newer format 4; this build reads format 3");
    bytes[8] = 1;
    let error = decode(&bytes).expect_err("an older format");
    assert_eq!(error.to_string(), "the image has format 1; this build reads format 3");
}

/// Stores keep images, so the format before, which has fewer instructions, is still read.
#[test]
fn a_file_of_format_2_is_read() {
    let mut bytes = encode(&builder::tank());
    bytes[8] = 2;
    let table = 56 + 12 * 16;
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&bytes[..52]);
    checksum.update(&bytes[56..table]);
    let checksum = checksum.finalize();
    bytes[52..56].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(decode(&bytes).expect("an image of format 2"), builder::tank());
}

#[test]
fn damage_is_found_in_its_section() {
    let good = encode(&builder::tank());
    let names = 56 + 12 * 16;
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    assert_eq!(corrupt(&flipped(names)), (Some(Section::Names), names, Corruption::Checksum));
    assert_eq!(corrupt(&flipped(20)), (None, 52, Corruption::Checksum));
    assert_eq!(corrupt(&flipped(57)), (None, 52, Corruption::Checksum));
    assert_eq!(corrupt(&good[..good.len() - 1]), (None, good.len() - 1, Corruption::Truncated));
    let longer = [&good[..], &[0]].concat();
    assert_eq!(corrupt(&longer), (None, good.len(), Corruption::TrailingBytes));

    // Behind a correct checksum: the names' count, then a length that claims too much.
    let mut bytes = good.clone();
    bytes[names + 1] = 0x7f;
    assert!(reseal(&mut bytes));
    let (section, _, reason) = corrupt(&bytes);
    assert_eq!(section, Some(Section::Names));
    assert!(matches!(reason, Corruption::Truncated | Corruption::Utf8), "{reason:?}");
    let mut bytes = good;
    bytes[16] ^= 1;
    assert!(reseal(&mut bytes), "sealing sets the hash too");
    assert_eq!(decode(&bytes), Ok(builder::tank()));
}

#[test]
fn a_count_makes_no_room_before_its_elements_are_there() {
    // The count of names, the first byte of the section, becomes 2^32 - 1.
    let image = Image { names: vec!["ab".into(), "c".into()], ..Image::default() };
    let mut bytes = encode(&image);
    let names = 56 + 8 * 16;
    bytes[names..names + 5].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
    assert!(reseal(&mut bytes));
    assert_eq!(corrupt(&bytes).2, Corruption::Truncated);
    // Zero in two bytes: not the shortest way.
    bytes[names..names + 2].copy_from_slice(&[0x80, 0x00]);
    assert!(reseal(&mut bytes));
    assert_eq!(corrupt(&bytes), (Some(Section::Names), names, Corruption::Number));
}

#[test]
fn literals_nest_so_deep_and_no_deeper() {
    let nested = |depth: usize| {
        let mut image = builder::tank();
        let mut literal = Literal::Array(Vec::new());
        for _ in 1..depth {
            literal = Literal::Array(vec![literal]);
        }
        image.prototypes[1].instance.slots[0].annotation.min = Some(literal);
        image
    };
    let deepest = nested(LITERAL_DEPTH_MAX);
    assert_eq!(decode(&encode(&deepest)), Ok(deepest.clone()));
    assert_eq!(verify(&deepest), Ok(()));
    let (section, _, reason) = corrupt(&encode(&nested(LITERAL_DEPTH_MAX + 1)));
    assert_eq!((section, reason), (Some(Section::Prototypes), Corruption::TooDeep));
}

fn literals() -> impl Strategy<Value = Literal> {
    let leaf = prop_oneof![
        Just(Literal::Nil),
        Just(Literal::True),
        Just(Literal::False),
        any::<i64>().prop_map(Literal::Integer),
        (any::<bool>(), any::<Vec<u8>>())
            .prop_map(|(negative, magnitude)| { Literal::LargeInteger { negative, magnitude } }),
        any::<u64>().prop_map(Literal::Float),
        (any::<String>(), any::<u32>()).prop_map(|(digits, scale)| Literal::ScaledDecimal { digits, scale }),
        any::<char>().prop_map(Literal::Character),
        any::<String>().prop_map(Literal::String),
        any::<u32>().prop_map(|id| Literal::Symbol(NameId(id))),
        any::<Vec<u8>>().prop_map(Literal::Bytes),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Literal::Array))
}

prop_compose! {
    fn codes()(
        argument_count in any::<u8>(),
        captures in any::<Vec<u8>>(),
        register_count in any::<u16>(),
        words in any::<Vec<u32>>(),
        literals in prop::collection::vec(literals(), 0..4),
        sites in any::<Vec<(u32, u8, bool)>>(),
        slots in any::<Vec<u32>>(),
        source_map in any::<Vec<(u32, u32)>>(),
    ) -> Code {
        Code {
            argument_count, captures, register_count, words, literals,
            sites: sites.into_iter().map(|(id, argument_count, to_self)| SendSite {
                selector: NameId(id), argument_count, to_self,
            }).collect(),
            slots: slots.into_iter().map(NameId).collect(),
            source_map: source_map.into_iter()
                .map(|(word, offset)| SourceMapEntry { word, offset }).collect(),
        }
    }
}

prop_compose! {
    fn methods()(
        selector in any::<u32>(),
        argument_count in any::<u8>(),
        flags in any::<(bool, bool, bool)>(),
        codes in prop::option::of(prop::collection::vec(codes(), 0..3)),
        position in any::<(u16, u32)>(),
        comment in any::<Option<String>>(),
    ) -> Method {
        let (private, query, hidden) = flags;
        Method {
            selector: NameId(selector),
            argument_count,
            flags: MethodFlags { private, query, hidden },
            body: codes.map_or(Body::Primitive, |codes| Body::Code(codes.into())),
            position: SourcePosition { file: position.0, offset: position.1 },
            comment,
        }
    }
}

prop_compose! {
    fn images()(
        names in any::<Vec<String>>(),
        methods in prop::collection::vec(methods(), 0..4),
        main in any::<Option<u32>>(),
        globals in any::<Vec<u32>>(),
        version in any::<u32>(),
        literal in prop::option::of(literals()),
        with_tank in any::<bool>(),
    ) -> Image {
        let mut image = if with_tank { builder::tank() } else { Image::default() };
        image.names.extend(names);
        image.methods.extend(methods);
        image.main = main.map(MethodId);
        image.globals.extend(globals.into_iter().map(NameId));
        if let Some(tank) = image.prototypes.get_mut(1) {
            tank.version = version;
            tank.instance.slots[0].annotation.max = literal;
        }
        image
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_image_is_read_as_it_was_written(image in images()) {
        let bytes = encode(&image);
        let read = decode(&bytes);
        prop_assert_eq!(read.as_ref(), Ok(&image));
        let _ = verify(&image);
        let _ = twintalk_bytecode::disasm::ImageListing::of(&image).to_string();
    }

    #[test]
    fn a_damaged_image_never_panics_and_has_one_form(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        sealed in any::<bool>(),
    ) {
        let mut bytes = encode(&builder::tank());
        for (at, byte) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        if sealed {
            reseal(&mut bytes);
        }
        if let Ok(image) = decode(&bytes) {
            prop_assert_eq!(encode(&image), bytes);
            let _ = verify(&image);
            let _ = twintalk_bytecode::disasm::ImageListing::of(&image).to_string();
        }
    }

    #[test]
    fn words_of_any_kind_never_panic_the_verifier(
        words in prop::collection::vec((0u8..52, any::<[u8; 3]>(), 0u32..4), 1..40),
    ) {
        let mut image = builder::tank();
        for method in &mut image.methods {
            if let Body::Code(codes) = &mut method.body {
                codes[0].words = words
                    .iter()
                    .map(|(op, rest, limit)| {
                        let rest = rest.map(|byte| if *limit == 0 { byte } else { byte & 3 });
                        u32::from_le_bytes([*op, rest[0], rest[1], rest[2]])
                    })
                    .collect();
                codes[0].source_map.clear();
            }
        }
        let _ = verify(&image);
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = decode(&bytes);
        let _ = decode(&[&MAGIC[..], &[1, 0], &bytes].concat());
    }
}
