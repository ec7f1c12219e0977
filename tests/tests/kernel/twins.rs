//! The smallest world in which twins live: each is the bytes that its last turn left, and every turn loads it anew.
//!
//! After each turn the delta is applied to the bytes from before, as replay would, and must give the bytes that the
//! turn left. Far sends are taken one after the other before the program's next message, and replied to if they ask.

use std::collections::{BTreeMap, VecDeque};

use twintalk_vm::codec::{read_number_argument, read_symbol_argument};
use twintalk_vm::turn::{Action, ENSURE, MAKE, Outcome, THEN, TurnInput, TwinChange};
use twintalk_vm::{Answer, FarAnswer, FarQuery, Fault, Limits, PROMISE_PIECE, PieceChange, ProgramWorld, Vm, World};

/// A twin at rest: its image, and its pieces.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Twin {
    pub(crate) image: Vec<u8>,
    pub(crate) pieces: BTreeMap<u64, Vec<u8>>,
}

impl Twin {
    /// Takes what became of it.
    fn take(&mut self, image: &[u8], pieces: &[PieceChange]) {
        self.image = image.to_vec();
        for piece in pieces {
            match &piece.bytes {
                Some(bytes) => self.pieces.insert(piece.number, bytes.clone()),
                None => self.pieces.remove(&piece.number),
            };
        }
    }
}

/// A message that waits for its turn.
enum Queued {
    Message { path: String, selector: String, arguments: Vec<u8>, reply_to: ReplyTo },
    Reply { path: String, promise: u64, answer: Result<Vec<u8>, Fault> },
}

/// Who waits for the answer to a message.
enum ReplyTo {
    Nobody,
    Twin { path: String, promise: u64 },
    Program(u64),
}

/// What there is, and what was shown.
#[derive(Default)]
pub(crate) struct Twins {
    pub(crate) at_rest: BTreeMap<String, Twin>,
    turns: u64,
    queue: VecDeque<Queued>,
    replies: BTreeMap<u64, Result<Vec<u8>, Fault>>,
    far_sends: u64,
    /// Faults of turns that nobody waits for.
    pub(crate) faults: Vec<Fault>,

    pub(crate) shown: String,
}

impl World for Twins {
    fn near_twin(&mut self, path: &str) -> Answer<Option<&[u8]>> {
        Answer::Here(self.at_rest.get(path).map(|twin| twin.image.as_slice()))
    }

    fn piece(&mut self, path: &str, number: u64) -> Answer<Option<&[u8]>> {
        Answer::Here(self.at_rest.get(path).and_then(|twin| twin.pieces.get(&number)).map(Vec::as_slice))
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

impl Twins {
    /// Runs one turn, and takes what it left.
    pub(crate) fn run(&mut self, vm: &mut Vm, path: &str, action: Action<'_>) -> Result<Vec<u8>, Fault> {
        self.turns += 1;
        let input = TurnInput {
            path,
            action,
            query: false,
            wants_reply: true,
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
            let change = twin.change;
            let before = self.at_rest.get(&*twin.path).cloned().unwrap_or_default();
            let mut pieces = |number| before.pieces.get(&number).cloned();
            // What replay makes of it.
            let replayed = match &change {
                TwinChange::Image(whole) => vm.shapes().settle(&whole.bytes, None),
                TwinChange::Carried(whole) => vm.shapes().settle(&whole.bytes, Some((&before.image, &mut pieces))),
                TwinChange::Delta { delta, .. } => vm.shapes().apply_delta(&before.image, &mut pieces, delta),
                TwinChange::Removed => {
                    self.at_rest.remove(&*twin.path);
                    continue;
                }
            };
            let replayed = replayed.expect("what a turn leaves can be read");
            assert_eq!(replayed.image, change.image(), "{}: replay gives what the turn left", twin.path);
            assert_eq!(replayed.pieces, change.pieces(), "{}: replay gives what the turn left", twin.path);
            let mut now = if matches!(change, TwinChange::Image(_)) { Twin::default() } else { before.clone() };
            now.take(change.image(), change.pieces());
            self.at_rest.insert(twin.path.to_string(), now);
        }
        for send in effects.far_sends {
            let reply_to = match send.wants_reply {
                true => ReplyTo::Twin { path: send.sender.to_string(), promise: send.promise },
                false => ReplyTo::Nobody,
            };
            let (path, selector, arguments) = (send.path.to_string(), send.selector.to_string(), send.arguments);
            self.queue.push_back(Queued::Message { path, selector, arguments, reply_to });
        }
        Ok(reply)
    }

    fn send(&mut self, vm: &mut Vm, path: &str, selector: &str, arguments: &[u8]) -> Result<Vec<u8>, Fault> {
        let action = match selector {
            MAKE | ENSURE => Action::Make {
                prototype: read_symbol_argument(arguments).expect("the kernel names the prototype"),
                ensure: selector == ENSURE,
            },
            THEN => Action::Then { promise: read_number_argument(arguments).expect("the VM names the promise") },
            selector => Action::Message { selector, arguments },
        };
        self.run(vm, path, action)
    }

    /// Handles one message that waits.
    pub(crate) fn step(&mut self, vm: &mut Vm) -> bool {
        match self.queue.pop_front() {
            None => return false,
            Some(Queued::Message { path, selector, arguments, reply_to }) => {
                let answer = self.send(vm, &path, &selector, &arguments);
                match reply_to {
                    ReplyTo::Nobody => self.faults.extend(answer.err()),
                    ReplyTo::Twin { path, promise } => {
                        self.queue.push_back(Queued::Reply { path, promise, answer });
                    }
                    ReplyTo::Program(number) => {
                        self.replies.insert(number, answer);
                    }
                }
            }
            Some(Queued::Reply { path, promise, answer }) => {
                let waits = |twin: &Twin| {
                    twin.pieces.contains_key(&(PROMISE_PIECE | promise))
                        || vm.shapes().waits_for(&twin.image, promise).expect("what a turn left")
                };
                if self.at_rest.get(&path).is_some_and(waits) {
                    let answer = match &answer {
                        Ok(bytes) => Ok(&bytes[..]),
                        Err(fault) => Err((&fault.kind[..], &fault.text[..])),
                    };
                    let result = self.run(vm, &path, Action::Reply { promise, answer });
                    self.faults.extend(result.err());
                }
            }
        }
        true
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
        while self.step(vm) {}
        self.send(vm, path, selector, arguments)
    }

    fn far_send(
        &mut self,
        _vm: &mut Vm,
        path: &str,
        _kind: Option<&str>,
        selector: &str,
        arguments: &[u8],
    ) -> Result<u64, Fault> {
        self.far_sends += 1;
        self.queue.push_back(Queued::Message {
            path: path.to_owned(),
            selector: selector.to_owned(),
            arguments: arguments.to_owned(),
            reply_to: ReplyTo::Program(self.far_sends),
        });
        Ok(self.far_sends)
    }

    fn wait(&mut self, vm: &mut Vm, promise: u64) -> Result<Vec<u8>, Fault> {
        while !self.replies.contains_key(&promise) && self.step(vm) {}
        self.replies.remove(&promise).expect("every message is handled once")
    }

    fn is_resolved(&mut self, promise: u64) -> bool {
        self.replies.contains_key(&promise)
    }

    fn settle(&mut self, vm: &mut Vm) -> Result<(), Fault> {
        while self.step(vm) {}
        Ok(())
    }
}
