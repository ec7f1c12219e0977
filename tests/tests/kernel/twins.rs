//! The smallest world in which twins live: each is the bytes that its last turn left, and every turn loads it anew.
//!
//! After each turn the delta is applied to the bytes from before, as replay would, and must give the bytes that the
//! turn left.

use std::collections::BTreeMap;

use twintalk_vm::codec::read_symbol_argument;
use twintalk_vm::turn::{Action, ENSURE, MAKE, Outcome, TurnInput, TwinChange};
use twintalk_vm::{Answer, FarAnswer, FarQuery, Fault, Limits, ProgramWorld, Vm, World};

/// What there is, and what was shown.
#[derive(Default)]
pub(crate) struct Twins {
    at_rest: BTreeMap<String, Vec<u8>>,
    turns: u64,
    pub(crate) shown: String,
}

impl World for Twins {
    fn near_twin(&mut self, path: &str) -> Answer<Option<&[u8]>> {
        Answer::Here(self.at_rest.get(path).map(Vec::as_slice))
    }

    fn parts(&mut self, path: &str) -> Answer<Vec<String>> {
        let below = format!("{path}/");
        Answer::Here(self.at_rest.keys().filter(|part| part.starts_with(&below)).cloned().collect())
    }

    fn far_query(&mut self, _vm: &mut Vm, query: &FarQuery) -> Answer<FarAnswer> {
        let text = format!("no line asks another composite, but one asked {}", query.path);
        let reply = Err(Fault { kind: "Unreachable".to_owned(), text, trace: Vec::new() });
        Answer::Here(FarAnswer { composite: query.path.clone(), turn: 0, reply })
    }
}

impl ProgramWorld for Twins {
    fn print(&mut self, text: &str) {
        self.shown.push_str(text);
    }

    fn turn(
        &mut self,
        vm: &mut Vm,
        path: &str,
        _kind: Option<&str>,
        selector: &str,
        arguments: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        self.turns += 1;
        let action = match selector {
            MAKE | ENSURE => Action::Make {
                prototype: read_symbol_argument(arguments).expect("the kernel names the prototype"),
                ensure: selector == ENSURE,
            },
            selector => Action::Message { selector, arguments },
        };
        let input = TurnInput {
            path,
            action,
            query: false,
            turn: self.turns,
            now_ns: self.turns as i64 * 1_000_000_000,
            seed: self.turns,
            answers: &[],
            limits: Limits::default(),
        };
        let end = vm.run_turn(self, &input);
        let (reply, effects) = match end.outcome {
            Outcome::Done { reply, effects } => (reply, effects),
            Outcome::Failed(fault) => return Err(fault),
            Outcome::Needs => unreachable!("this world knows all at once"),
        };
        self.shown.push_str(&effects.output);
        for twin in effects.twins {
            match twin.change {
                TwinChange::Image(image) | TwinChange::Carried(image) => {
                    self.at_rest.insert(twin.path, image);
                }
                TwinChange::Delta { delta, image } => {
                    let before = &self.at_rest[&twin.path];
                    let replayed = vm.shapes().apply_delta(before, &delta).expect("a turn's own delta");
                    assert_eq!(replayed, image, "{}: replay gives what the turn left", twin.path);
                    self.at_rest.insert(twin.path, image);
                }
                TwinChange::Removed => {
                    self.at_rest.remove(&twin.path);
                }
            }
        }
        Ok(reply)
    }
}
