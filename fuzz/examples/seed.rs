//! Writes inputs to start from into `fuzz/corpus`: the programs of `spec/cases`, their images, what their like
//! leaves at rest, choices of programs, and the log fixtures. `fuzz/seed.sh` runs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use twintalk_bytecode::file::{encode, strip};
use twintalk_fuzz::{KERNEL, PROGRAM, Parts, compiled, of_repository};
use twintalk_tests::programs::{Choices, Seeded};
use twintalk_vm::codec::read_symbol_argument;
use twintalk_vm::turn::{Action, ENSURE, MAKE, Outcome, TurnInput, TwinChange};
use twintalk_vm::{Answer, FarAnswer, FarQuery, Fault, Limits, ProgramWorld, Shapes, Vm, World};

fn main() {
    let cases = files(&of_repository("spec/cases"), &["twin", "som"]);
    let kernel = files(&of_repository("kernel"), &["twin"]);
    let texts: Vec<(String, String)> = (cases.iter().chain(&kernel))
        .map(|path| (name(path), fs::read_to_string(path).expect("a source is text")))
        .collect();
    for (name, text) in &texts {
        put("parse", name, text.as_bytes());
    }
    for (name, text) in &texts {
        let Some(mut image) = compiled(text) else { continue };
        strip(&mut image);
        put("image", name, &encode(&image));
    }
    // A few are enough of the sections that a stripped image has not.
    for (name, text) in texts.iter().step_by(16) {
        let Some(image) = compiled(text) else { continue };
        put("image", &format!("{name}.debug"), &encode(&image));
    }
    for fixture in files(&of_repository("store/tests/fixtures"), &["bin"]) {
        let bytes = fs::read(&fixture).expect("a fixture can be read");
        let mut rest = bytes.as_slice();
        let mut number = 0;
        // Each block has its length in front, in four bytes.
        while let Some((length, after)) = rest.split_first_chunk() {
            let (block, after) = after.split_at(u32::from_le_bytes(*length) as usize);
            put("log_reader", &format!("{}.{number}", name(&fixture)), block);
            (number, rest) = (number + 1, after);
        }
    }
    let mut dice = Seeded::new(1);
    for nth in 0..64 {
        let choices: Vec<u8> = (0..600).map(|_| dice.below(256) as u8).collect();
        put("program", &nth.to_string(), &choices);
    }
    let program = compiled(&format!("{PROGRAM} {STATEMENTS}")).expect("the program has no errors");
    let mut vm = Vm::link(&[&KERNEL, &program]).unwrap_or_else(|error| panic!("{error}"));
    vm.adopt_shapes(Shapes::default());
    vm.run_main(&mut Twins::default()).unwrap_or_else(|fault| panic!("{fault}"));
}

/// What is sent to the twins of the program: each message leaves a seed.
const STATEMENTS: &str = "
    | t |
    t := Tank new: 'tank-1'.
    #(nil true -64 127 128 4611686018427387903 1.5 $e #sym 'text' #(1 #(2)) #[1 2 3]) do: [ :x | t keep: x. t add: x ].
    t keep: 2 ** 200.
    t keep: (Array new: 3).
    t keep: (String new: 3).
    t keep: 'text' copy.
    t over: 'text' copy.
    t keep: t.
    t keep: Tank.
    t keep: (1/3).
    t keep: 1.25s2.
    t keep: 3 seconds.
    t keep: 3 @ 4.
    t keep: (List new add: 1; add: 2; yourself).
    t keep: (Set new add: 1; yourself).
    t level: 3.5.
    t level: 4.
    t turn: 2.
    t turn: 2000.
    t at: #k put: 1.
    t at: 2 put: {1. 'two'. #three}.
    t over: 7.
    t keep: {1. {2. {3}}}.
    t over: 7.
    t over: {t. 8}.
    t shown.
    t all.
    1 to: 300 do: [ :each | t add: each ].
    t list";

/// The twins of the program: each is the bytes that its last turn left.
#[derive(Default)]
struct Twins {
    at_rest: BTreeMap<String, Vec<u8>>,
    pieces: BTreeMap<(String, u64), Vec<u8>>,
    turns: u64,
}

impl World for Twins {
    fn near_twin(&mut self, path: &str) -> Answer<Option<&[u8]>> {
        Answer::Here(self.at_rest.get(path).map(Vec::as_slice))
    }

    fn piece(&mut self, path: &str, number: u64) -> Answer<Option<&[u8]>> {
        Answer::Here(self.pieces.get(&(path.to_owned(), number)).map(Vec::as_slice))
    }

    fn parts(&mut self, path: &str) -> Answer<Vec<String>> {
        let below = format!("{path}/");
        Answer::Here(self.at_rest.keys().filter(|part| part.starts_with(&below)).cloned().collect())
    }

    fn far_query(&mut self, _vm: &mut Vm, query: &FarQuery) -> Answer<FarAnswer> {
        unreachable!("nothing here asks another composite, such as {}", query.path)
    }
}

impl ProgramWorld for Twins {
    fn print(&mut self, _text: &str) {}

    fn turn(
        &mut self,
        vm: &mut Vm,
        path: &str,
        _kind: Option<&str>,
        selector: &str,
        arguments: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        self.turns += 1;
        let action = match read_symbol_argument(arguments) {
            Some(prototype) if [MAKE, ENSURE].contains(&selector) => {
                Action::Make { prototype, ensure: selector == ENSURE }
            }
            Some(_) | None => Action::Message { selector, arguments },
        };
        let (turn, limits) = (self.turns, Limits::default());
        let input = TurnInput { path, action, query: false, wants_reply: true, turn, now_ns: 1, seed: 1, answers: &[], limits };
        let before = self.at_rest.get(path).cloned().unwrap_or_default();
        let (reply, effects) = match vm.run_turn(self, &input).outcome {
            Outcome::Done { reply, effects } => (reply, effects),
            Outcome::Failed(fault) => return Err(fault),
            Outcome::Needs => unreachable!("this world knows all at once"),
        };
        let mut seed = Parts { parts: [before, Vec::new(), arguments.to_vec()] };
        for twin in effects.twins {
            for piece in twin.change.pieces() {
                let key = (twin.path.to_string(), piece.number);
                match &piece.bytes {
                    Some(bytes) => self.pieces.insert(key, bytes.clone()),
                    None => self.pieces.remove(&key),
                };
            }
            if twin.path == path && matches!(twin.change, TwinChange::Delta { .. }) {
                seed.parts[1] = twin.change.recorded().to_vec();
            }
            self.at_rest.insert(twin.path.to_string(), twin.change.image().to_vec());
        }
        put("message", &format!("turn.{}", self.turns), &seed.bytes());
        Ok(reply)
    }
}

/// The files below `folder` whose names end so, in order.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of the folder").path()).collect();
    paths.sort();
    let ends =
        |path: &PathBuf| path.extension().and_then(|end| end.to_str()).is_some_and(|end| extensions.contains(&end));
    paths
        .into_iter()
        .flat_map(|path| match path.is_dir() {
            true => files(&path, extensions),
            false if ends(&path) => vec![path],
            false => Vec::new(),
        })
        .collect()
}

/// A name for a seed from `path`: the last two parts of it.
fn name(path: &Path) -> String {
    let parts: Vec<_> = path.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("-")
}

fn put(target: &str, name: &str, bytes: &[u8]) {
    let folder = of_repository("fuzz/corpus").join(target);
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let path = folder.join(format!("seed-{name}"));
    fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
