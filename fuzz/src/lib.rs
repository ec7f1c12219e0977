//! What the fuzz targets and their seeds share: the kernel, a compiler without files, and inputs that are made of parts.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use twintalk_bytecode::Image;
use twintalk_bytecode::verify::verify;
use twintalk_compiler::{NoSources, SourceText, compile};
use twintalk_vm::ProgramWorld;

/// A folder or file of the repository.
pub fn of_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The class library, compiled.
pub static KERNEL: LazyLock<Image> = LazyLock::new(|| {
    let files = std::fs::read_dir(of_repository("kernel")).expect("the class library is in kernel/");
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.expect("an entry of kernel/").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "twin"));
    paths.sort();
    let roots = paths.iter().map(|path| SourceText {
        name: path.file_name().expect("a file has a name").to_string_lossy().into_owned(),
        text: std::fs::read_to_string(path).expect("the class library can be read"),
    });
    let compilation = compile(roots.collect(), &mut NoSources, &[]);
    let image = compilation.image.unwrap_or_else(|| panic!("{:#?}", compilation.diagnostics));
    verify(&image).unwrap_or_else(|error| panic!("{error}"));
    image
});

/// The image of a program that needs no other file; none if it has errors.
pub fn compiled(text: &str) -> Option<Image> {
    let root = SourceText { name: "seed.twin".to_owned(), text: text.to_owned() };
    compile(vec![root], &mut NoSources, &[&KERNEL]).image
}

/// A world that forgets what is printed, so that a program can fill no memory but its own.
pub struct Deaf;

impl ProgramWorld for Deaf {
    fn print(&mut self, _text: &str) {}
}

/// Random numbers for mutators, from the seed that the fuzzer gives (Marsaglia's xorshift).
pub struct Dice(u32);

impl Dice {
    /// The same seed gives the same numbers.
    pub fn new(seed: u32) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9) | 1)
    }

    /// Any 32 bits but zero.
    pub fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.bits() as usize % end
    }
}

/// A twin at rest, what changes in it, and the arguments of a message to it: the input of target `message`.
///
/// As bytes: the first two with their length in front, two bytes, lowest first. What is too short for that is all image.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Image, delta, arguments.
    pub parts: [Vec<u8>; 3],
}

impl Parts {
    /// Any bytes have parts.
    pub fn of(bytes: &[u8]) -> Parts {
        let mut rest = bytes;
        let mut next = || {
            let (length, after) = rest
                .split_first_chunk()
                .map_or((usize::MAX, rest), |(length, after)| (usize::from(u16::from_le_bytes(*length)), after));
            let (part, after) = after.split_at(length.min(after.len()));
            rest = after;
            part.to_vec()
        };
        let (image, delta) = (next(), next());
        Parts { parts: [image, delta, rest.to_vec()] }
    }

    /// Parts as bytes. The first two are cut where they are too long for that.
    pub fn bytes(&self) -> Vec<u8> {
        let [image, delta, arguments] = &self.parts;
        let mut bytes = Vec::new();
        for part in [image, delta] {
            let part = &part[..part.len().min(usize::from(u16::MAX))];
            bytes.extend((part.len() as u16).to_le_bytes());
            bytes.extend(part);
        }
        bytes.extend(arguments);
        bytes
    }
}

/// The program whose twins target `message` stores: something of every kind of value, in slots of every kind.
pub const PROGRAM: &str = "
    object Node = ( | next value <- 0. | next: n = ( next := n ) value: v = ( value := v ) )
    twin Part = ( | rpm <Integer 'rev/min' min: 0 max: 3600> <- 0. |
      rpm: n = ( rpm := n )
      invariant even = ( rpm even ) )
    twin Tank = (
      | level <Float> <- 0.0. name <String> <- 'tank'. kept list <- List new. known <- Dictionary new. nodes
        fixed <- #(1 $a #b 'c' 2.5). scratch <transient> |
      created = ( nodes := Node new. nodes next: (Node new next: nodes; value: self). self part: 'p' of: Part )
      level: x = ( level := x )
      keep: x = ( kept := x )
      add: x = ( list add: x. known at: x put: list size. ^list )
      at: k put: v = ( known at: k put: v. nodes := Node new next: nodes; value: v )
      turn: n = ( (self part: 'p') rpm: n. ^{ self. n. kept } )
      over: x = ( kept isArray ifTrue: [ kept at: 1 put: x ]. scratch := x. nodes next value: x. ^kept )
      query shown = ( ^{ level. name. kept. list. known. nodes value. fixed } printString )
      query all = ( ^{ level. name. kept. list. known. nodes. fixed } )
    )";

/// Messages of [`PROGRAM`], by how many arguments they take.
pub const MESSAGES: [&[&str]; 3] =
    [&["shown", "all", "list"], &["keep:", "add:", "over:", "level:", "turn:"], &["at:put:"]];
