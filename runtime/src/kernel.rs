//! The class library, compiled when TwinTalk was built.

use std::ops::Deref;
use std::sync::LazyLock;

use twintalk_bytecode::file::{self, Embedded};
use twintalk_bytecode::{Image, verify};
use twintalk_vm::{LinkError, Vm};

/// The build verified it and made the index, and a test says so of just these bytes; so nothing of it is checked at a start.
static EMBEDDED: Embedded = Embedded {
    bytes: include_bytes!(concat!(env!("OUT_DIR"), "/kernel.twb")),
    index: include_bytes!(concat!(env!("OUT_DIR"), "/kernel.index")),
};

static SOURCES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/kernel_sources.rs"));

static KERNEL: LazyLock<Image> = LazyLock::new(|| file::decode_embedded(&EMBEDDED));

/// The image of the class library; programs are compiled and linked against it.
pub fn image() -> &'static Image {
    &KERNEL
}

/// The same as a file.
pub fn bytes() -> &'static [u8] {
    EMBEDDED.bytes
}

/// Its sources, name and text, in the order of their names: for documentation.
pub fn sources() -> &'static [(&'static str, &'static str)] {
    SOURCES
}

/// What [`file::content_hash`] says of it.
pub(crate) fn content_hash() -> [u8; 32] {
    EMBEDDED.content_hash()
}

/// The class library that a program of a store was made with.
#[derive(Clone)]
pub(crate) enum Library {
    /// That of this build.
    Embedded,
    /// That of another, verified.
    Stored(Box<Image>),
}

impl Library {
    /// The one in `bytes` from a store.
    ///
    /// # Errors
    /// They are no image, or one that breaks a rule.
    pub(crate) fn read(bytes: &[u8]) -> Result<Library, String> {
        if bytes == EMBEDDED.bytes {
            return Ok(Library::Embedded);
        }
        let image = file::decode(bytes).map_err(|error| error.to_string())?;
        verify::verify(&image).map_err(|error| error.to_string())?;
        Ok(Library::Stored(Box::new(image)))
    }

    /// The image by itself.
    pub(crate) fn clone_image(&self) -> Image {
        (**self).clone()
    }

    /// A VM with a program, which was verified, on top.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub(crate) fn link(&self, program: &Image) -> Result<Vm, LinkError> {
        match self {
            Library::Embedded => Vm::link_on(image(), &[program]),
            Library::Stored(library) => Vm::link(&[library, program]),
        }
    }
}

impl Deref for Library {
    type Target = Image;

    fn deref(&self) -> &Image {
        match self {
            Library::Embedded => image(),
            Library::Stored(library) => library,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`Vm::link_on`] and [`file::decode_embedded`] ask for.
    #[test]
    fn all_of_the_embedded_kernel_verifies_and_links() {
        let decoded = file::decode(bytes()).expect("the build wrote an image");
        assert_eq!(verify::verify(&decoded), Ok(()));
        assert_eq!(*image(), decoded, "what is read when it is looked at is what stands there");
        assert_eq!(file::content_hash(&decoded), content_hash());
        let mut vm = Vm::link_on(image(), &[]).expect("it links");
        vm.link_all();
    }
}
