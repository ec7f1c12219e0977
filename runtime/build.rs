//! Compiles the class library in `kernel/` to the one image that is embedded in the program, and embeds its sources.

use std::path::{Path, PathBuf};
use std::{env, fs};

use twintalk_compiler::{NoSources, SourceText, compile};

fn main() {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("set by Cargo")).join("../kernel");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("the class library is not at {}: {error}", folder.display()))
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "twin"))
        .collect();
    paths.sort();
    let roots: Vec<SourceText> = paths
        .iter()
        .map(|path| {
            println!("cargo::rerun-if-changed={}", path.display());
            let name = path.file_name().expect("a file has a name").to_string_lossy();
            let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            SourceText { name: format!("kernel/{name}"), text }
        })
        .collect();
    write_sources(&roots);
    let compilation = compile(roots, &mut NoSources, &[]);
    for diagnostic in &compilation.diagnostics {
        let file = &compilation.files[usize::from(diagnostic.file)];
        let before = &file.text[..(diagnostic.span.start as usize).min(file.text.len())];
        let line = before.matches('\n').count() + 1;
        println!("cargo::warning={}:{line}: {} ({})", file.name, diagnostic.message, diagnostic.code.name());
    }
    let image = compilation.image.expect("the class library has errors");
    twintalk_bytecode::verify::verify(&image).unwrap_or_else(|error| panic!("the class library is refused: {error}"));
    let out = env::var("OUT_DIR").expect("set by Cargo");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(Path::new(&out).join(name), bytes).expect("the build folder can be written to");
    };
    let bytes = twintalk_bytecode::file::encode(&image);
    write("kernel.index", &twintalk_bytecode::file::index(&bytes).expect("written just now"));
    write("kernel.twb", &bytes);
}

/// The sources as a Rust expression: what `kernel::sources` answers.
fn write_sources(sources: &[SourceText]) {
    let rows: String = sources.iter().map(|source| format!("({:?}, {:?}),\n", source.name, source.text)).collect();
    let out = Path::new(&env::var("OUT_DIR").expect("set by Cargo")).join("kernel_sources.rs");
    fs::write(&out, format!("&[{rows}]")).expect("the build folder can be written to");
}
