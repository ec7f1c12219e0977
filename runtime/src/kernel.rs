//! The class library, compiled when TwinTalk was built.

use std::sync::LazyLock;

use twintalk_bytecode::{Image, file, verify};

static BYTES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernel.twb"));

static SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/kernel_sources.rs"));

static KERNEL: LazyLock<Image> = LazyLock::new(|| {
    let image = file::decode(BYTES).expect("the embedded kernel was written by this build");
    verify::verify(&image).expect("the embedded kernel was verified by this build");
    image
});

/// The image of the class library; programs are compiled and linked against it.
pub fn image() -> &'static Image {
    &KERNEL
}

/// The same as a file.
pub fn bytes() -> &'static [u8] {
    BYTES
}

/// Its sources, name and text, in the order of their names: for documentation.
pub fn sources() -> &'static [(&'static str, &'static str)] {
    SOURCES
}
