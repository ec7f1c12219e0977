//! The class library compiles in one go, in any order of its files, to an image that verifies.

use std::path::Path;
use std::sync::OnceLock;

use twintalk_bytecode::Image;
use twintalk_bytecode::verify::verify;
use twintalk_compiler::{NoSources, SourceText, compile};

use crate::check::all_rendered;

/// The texts of the kernel.
pub fn kernel() -> Vec<SourceText> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kernel");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("the folder `kernel`").flatten().map(|e| e.path()).collect();
    paths.sort();
    paths
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "twin"))
        .map(|path| SourceText {
            name: path.file_name().expect("a file").to_string_lossy().into_owned(),
            text: std::fs::read_to_string(&path).expect("a text"),
        })
        .collect()
}

/// The kernel's image, compiled once.
pub fn kernel_image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| compile(kernel(), &mut NoSources, &[]).image.expect("the kernel compiles"))
}

#[test]
fn the_kernel_compiles_and_verifies() {
    let compilation = compile(kernel(), &mut NoSources, &[]);
    assert_eq!(all_rendered(&compilation), "");
    let image = compilation.image.expect("an image, since nothing is wrong");
    assert_eq!(verify(&image), Ok(()));
}
