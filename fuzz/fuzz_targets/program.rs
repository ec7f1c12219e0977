//! Any bytes as the choices that a whole program is made of: what must hold for any program holds for it.
//!
//! The first eight bytes pick the limits that end some runs sooner, each further one decides one choice.

#![no_main]

use libfuzzer_sys::fuzz_target;
use twintalk_tests::programs::{Bytes, Subject, program};
use twintalk_tests::trial;

fuzz_target!(
    init: {
        std::sync::LazyLock::force(&trial::KERNEL);
    },
    |bytes: &[u8]| {
        let Some((small, choices)) = bytes.split_first_chunk() else { return };
        let text = program(&mut Bytes(choices), Subject::Objects);
        if let Err(wrong) = trial::check(&text, u64::from_le_bytes(*small)) {
            panic!("{wrong}\n\n{text}");
        }
    }
);
