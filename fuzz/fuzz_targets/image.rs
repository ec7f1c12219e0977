//! Any bytes as an image: they are refused, or they are the only way to write what they say; and whatever the
//! verifier accepts lists, links, and runs to an end.
//!
//! Checksums are put right first. The mutator changes images as images, half of the time: one
//! section's bytes, or words of code, since a change to the bytes of the file rarely leaves its tables whole.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use twintalk_bytecode::Image;
use twintalk_bytecode::disasm::ImageListing;
use twintalk_bytecode::file::{decode, encode, reseal};
use twintalk_bytecode::image::{Body, Code};
use twintalk_bytecode::verify::verify;
use twintalk_fuzz::{Deaf, Dice, KERNEL};
use twintalk_vm::{Limits, Vm};

fuzz_target!(
    init: {
        std::sync::LazyLock::force(&KERNEL);
    },
    |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        reseal(&mut bytes);
        let Ok(image) = decode(&bytes) else { return };
        assert!(encode(&image) == bytes, "there is one way to write an image");
        if verify(&image).is_err() {
            return;
        }
        let _ = ImageListing::of(&image).to_string();
        let Ok(mut vm) = Vm::link(&[&KERNEL, &image]) else { return };
        vm.set_limits(Limits { fuel: 200_000, memory_bytes: 4 << 20 });
        let _ = vm.run_main(&mut Deaf);
        // Whatever came of it, the VM can still be used.
        if let Some(object) = vm.find_prototype("Object") {
            let _ = vm.send(object, "new", &[], &mut Deaf);
        }
    }
);

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut dice = Dice::new(seed);
    let mut bytes = data[..size].to_vec();
    let changed = match (dice.below(8), reseal(&mut bytes)) {
        (0, _) | (_, false) => None,
        (1 | 2, true) => Some(with_section(&bytes, max_size, &mut dice)),
        (_, true) => decode(&bytes).ok().map(|image| encode(&with_codes(image, &mut dice))),
    };
    match changed {
        Some(changed) if changed.len() <= max_size => {
            data[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        Some(_) | None => fuzzer_mutate(data, size, max_size),
    }
});

/// The file with other bytes in one section, and a table that fits them.
fn with_section(file: &[u8], max_size: usize, dice: &mut Dice) -> Vec<u8> {
    const HEADER_BYTES: usize = 56;
    const ROW_BYTES: usize = 16;
    let u32_at = |at: usize| u32::from_le_bytes([file[at], file[at + 1], file[at + 2], file[at + 3]]) as usize;
    let rows = u32_at(12);
    let changed = dice.below(rows);
    let mut out = file[..HEADER_BYTES + rows * ROW_BYTES].to_vec();
    for row in 0..rows {
        let at = HEADER_BYTES + row * ROW_BYTES;
        // `reseal` found every section inside the file.
        let mut body = file[u32_at(at + 4)..][..u32_at(at + 8)].to_vec();
        if row == changed {
            let length = body.len();
            body.resize(max_size.max(length), 0);
            let length = fuzzer_mutate(&mut body, length, max_size.max(length));
            body.truncate(length);
        }
        let offset = out.len() as u32;
        out[at + 4..at + 8].copy_from_slice(&offset.to_le_bytes());
        out[at + 8..at + 12].copy_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend(body);
    }
    let total = out.len() as u32;
    out[48..52].copy_from_slice(&total.to_le_bytes());
    reseal(&mut out);
    out
}

/// The image with a few changes to its codes. Most that make it fail the verifier are left out.
fn with_codes(mut image: Image, dice: &mut Dice) -> Image {
    let keep_broken = dice.below(16) == 0;
    for _ in 0..=dice.below(6) {
        let mut other = image.clone();
        let Some(()) = change_code(&mut other, dice) else { return image };
        if keep_broken || verify(&other).is_ok() {
            image = other;
        }
    }
    image
}

/// One change to one code; none if there is no code.
fn change_code(image: &mut Image, dice: &mut Dice) -> Option<()> {
    let mut codes: Vec<&mut Code> = (image.methods.iter_mut())
        .filter_map(|method| match &mut method.body {
            Body::Code(codes) => Some(codes.iter_mut()),
            Body::Primitive => None,
        })
        .flatten()
        .filter(|code| !code.words.is_empty())
        .collect();
    if codes.is_empty() {
        return None;
    }
    let other = codes[dice.below(codes.len())].clone();
    let nth = dice.below(codes.len());
    let code = &mut *codes[nth];
    let at = dice.below(code.words.len());
    match dice.below(12) {
        0 => code.words[at] ^= 1 << dice.below(32),
        1 => code.words[at] = code.words[dice.below(code.words.len())],
        2 => code.words[at] = other.words[dice.below(other.words.len())],
        3..=6 => {
            // One byte of a word becomes a small number: registers, literals, sites and jumps are that.
            let shift = 8 * dice.below(4);
            code.words[at] = code.words[at] & !(0xff << shift) | (dice.below(48) as u32) << shift;
        }
        7 => code.register_count = code.register_count.saturating_add_signed(dice.below(7) as i16 - 3),
        8 => {
            let literal = other.literals.get(dice.below(other.literals.len().max(1)))?;
            let length = code.literals.len();
            *code.literals.get_mut(dice.below(length.max(1)))? = literal.clone();
        }
        9 => {
            let site = other.sites.get(dice.below(other.sites.len().max(1)))?;
            let length = code.sites.len();
            *code.sites.get_mut(dice.below(length.max(1)))? = *site;
        }
        10 => {
            let length = code.slots.len();
            *code.slots.get_mut(dice.below(length.max(1)))? = *other.slots.get(dice.below(other.slots.len().max(1)))?;
        }
        _ => {
            let (start, end) = (dice.below(other.words.len()), dice.below(8) + 1);
            let end = (start + end).min(other.words.len());
            let length = (end - start).min(code.words.len() - at);
            code.words[at..at + length].copy_from_slice(&other.words[start..start + length]);
        }
    }
    Some(())
}
