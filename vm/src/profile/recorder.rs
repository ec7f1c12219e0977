//! What is noted while code runs: numbers and addresses, no names.
//!
//! **Samples** are paths from a root (the program, or a kind of turn) through the frames to the instruction that was
//! about to run. They form a tree in which a node's children are found by hash; as most of the path is what it was at
//! the last sample, only the rest is sought.
//!
//! **Counts** come from looking at every instruction in turn: how often it ran, what it led to, what it allocated. By
//! fuel that is done all the time. By request it is done in bursts of a few hundred instructions, and what a burst saw
//! stands for the fuel spent since the burst before it: so counts are estimates. A burst takes far longer than a sample,
//! so there is one behind one sample in four.
//!
//! Nothing here is bounded by what a program does but by constants: nodes, samples, paths.

use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::class::{ClassId, NO_CLASS};
use crate::profile::Pace;
use crate::profile::resolve::Misses;
use crate::symbol::Symbol;
use crate::turn::split_mix;
use crate::vm::Vm;

/// How many frames of a sample are kept at most; of a deeper stack those in the middle are left out.
const FRAMES_MAX: usize = 1024;
/// How many of them are the outermost ones.
const FRAMES_OUTER: usize = 128;
/// How many different paths are told apart; later ones end where they leave these.
const NODES_MAX: usize = 1 << 20;
/// How many samples are kept with the time when they were taken.
const SAMPLES_MAX: usize = 1 << 20;
/// How many paths of twins are counted for one kind of turn.
const PATHS_MAX: usize = 256;
/// Behind one in how many samples there is a burst.
const SAMPLES_OF_BURST: u64 = 4;
/// How many instructions a burst has at least; up to as many are let go by before it, and may follow, so that it does
/// not begin and end at the same places of a loop each time.
const BURST: usize = 128;
/// And how much fuel, as the fuel is what it is scaled by.
const BURST_FUEL: u64 = 32;
/// And how many instructions at most.
const BURST_MAX: usize = 4096;
/// What of the past is forgotten at each burst when counts are scaled.
const FADE: f64 = 0.9;

/// What stands in the place of a node that is none.
pub(crate) const NO_NODE: u32 = u32::MAX;
/// The address of a root's place; its word is the number of the root.
pub(crate) const ROOT: usize = 1;
/// The address of the place of frames that were left out.
pub(crate) const GAP: usize = 2;

/// Where a frame stands: the address of its code, and the instruction there; or of the method of a primitive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub address: usize,
    pub word: u32,
}

/// A node of the tree of samples.
pub(crate) struct Node {
    pub parent: u32,
    pub place: Place,
    /// What its samples weigh that end here.
    pub weight: u64,
}

/// When a sample was taken, and where it ends.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    pub at: u64,
    pub node: u32,
    pub weight: u64,
}

/// What a turn does in general.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SystemTurn {
    Message,
    Make,
    Clone,
    Check,
    Timer,
    Failed,
    Reply,
}

/// How many of these there are.
const SYSTEM_TURNS: usize = SystemTurn::Reply as usize + 1;

/// What a stretch of execution is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RootKey {
    /// Statements of a program, and what they send to objects of theirs.
    Program,
    /// Nothing that the VM does.
    Outside,
    /// A turn before it is known what it does, or one that the system sends itself.
    System(SystemTurn),
    /// A message to a twin of this class.
    Message { class: ClassId, selector: Symbol, query: bool },
    /// A timer of a twin of this class.
    Timer { class: ClassId, name: Symbol },
}

/// A root of the tree.
pub(crate) struct Root {
    pub key: RootKey,
    pub node: u32,
    pub turns: u64,
    pub failed: u64,
    pub fuel: u64,
    /// What samples weigh that were taken in it, by twin.
    pub paths: FxHashMap<Box<str>, u64>,
}

/// The program, or the turn, that asked for the turn in hand.
struct Resting {
    root: u32,
    root_is_known: bool,
    weight: u64,
    fuel: i64,
}

/// An instruction that was looked at.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub code: usize,
    pub frame: usize,
    pub word: u32,
    pub opcode: u8,
    /// The class of the receiver, if it sends.
    pub receiver: u32,
    /// What it allocated, once the next one is looked at.
    pub made: Made,
    /// Whether it is the first one since the interpreter was entered.
    pub entered: bool,
}

/// What was allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    pub bytes: u64,
    pub objects: u64,
    /// The class of the first object.
    pub class: u32,
}

/// How the heap was at the last look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub allocated_bytes: u64,
    pub used_bytes: usize,
    pub collections: u64,
}

impl Seen {
    pub(crate) fn of(vm: &Vm) -> Seen {
        Seen {
            allocated_bytes: vm.heap.allocated_bytes(),
            used_bytes: vm.heap.region().used_bytes(),
            collections: vm.heap.collections,
        }
    }
}

/// What allocations at one place made of one class.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MadeSum {
    pub times: f64,
    pub objects: f64,
    pub bytes: f64,
}

/// What was counted in one code.
#[derive(Default)]
pub(crate) struct CodeCounts {
    pub calls: f64,
    /// How often each instruction ran, by its first word.
    pub words: Vec<f64>,
    /// Jumps back, by where they lead.
    pub rounds: FxHashMap<u32, f64>,
    /// Classes of receivers of the sends, by word and class.
    pub receivers: FxHashMap<(u32, u32), f64>,
    /// Allocation by word and class.
    pub made: FxHashMap<(u32, u32), MadeSum>,
}

/// Everything that was counted.
pub(crate) struct Counts {
    index: FxHashMap<usize, usize>,
    /// By the address of a code.
    pub codes: Vec<(usize, CodeCounts)>,
    last: (usize, usize),
    /// By opcode and the one that follows: times.
    pub pairs: Vec<f64>,
    pub instructions: f64,
}

impl Counts {
    fn new() -> Counts {
        let pairs = vec![0.0; 1 << 16];
        Counts { index: FxHashMap::default(), codes: Vec::new(), last: (0, 0), pairs, instructions: 0.0 }
    }

    fn code(&mut self, address: usize) -> &mut CodeCounts {
        if self.last.0 != address || self.codes.is_empty() {
            let next = self.codes.len();
            let nth = *self.index.entry(address).or_insert(next);
            if nth == next {
                self.codes.push((address, CodeCounts::default()));
            }
            self.last = (address, nth);
        }
        &mut self.codes[self.last.1].1
    }

    /// Counts a step behind another, `weight` times.
    fn add(&mut self, before: Option<&Step>, step: &Step, weight: f64) {
        let before = before.filter(|_| !step.entered);
        self.instructions += weight;
        if let Some(before) = before {
            self.pairs[usize::from(before.opcode) << 8 | usize::from(step.opcode)] += weight;
        }
        let called = step.word == 0 && before.map_or(step.entered, |before| before.frame != step.frame);
        let round = before
            .is_some_and(|before| before.frame == step.frame && before.code == step.code && before.word >= step.word);
        let counts = self.code(step.code);
        let word = step.word as usize;
        if word >= counts.words.len() {
            counts.words.resize(word + 1, 0.0);
        }
        counts.words[word] += weight;
        if called {
            counts.calls += weight;
        }
        if round {
            *counts.rounds.entry(step.word).or_default() += weight;
        }
        if step.receiver != NO_CLASS {
            *counts.receivers.entry((step.word, step.receiver)).or_default() += weight;
        }
        if step.made.bytes > 0 {
            let made = counts.made.entry((step.word, step.made.class)).or_default();
            made.times += weight;
            made.objects += step.made.objects as f64 * weight;
            made.bytes += step.made.bytes as f64 * weight;
        }
    }
}

/// What is to be done with an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Whether it is noted.
    pub look: bool,
    /// What a sample here weighs; none where it is 0.
    pub weight: u64,
    /// Whether the last request is answered with it.
    pub done: bool,
}

/// A profile in the making.
pub(crate) struct Recorder {
    pub pace: Pace,
    // ---- samples ----
    pub nodes: Vec<Node>,
    children: FxHashMap<(u32, Place), u32>,
    pub samples: Vec<Sample>,
    pub samples_lost: u64,
    /// The places and nodes of the sample before, from the root on, and how many of them are the present one's.
    path: Vec<(Place, u32)>,
    path_length: usize,
    path_root: u32,
    node: u32,
    // ---- roots ----
    pub roots: Vec<Root>,
    root_index: FxHashMap<RootKey, u32>,
    /// Those of turns in general that are made, and the one that was asked for last: most turns find theirs here.
    system_roots: [Option<u32>; SYSTEM_TURNS],
    last_root: (RootKey, u32),
    root: u32,
    /// What rests while a turn runs.
    resting: Vec<Resting>,
    /// Whether it is known what the turn does.
    root_is_known: bool,
    /// What the samples of the turn weigh.
    turn_weight: u64,
    // ---- counts ----
    pub counts: Counts,
    steps: Vec<Step>,
    before: Option<Step>,
    entered: bool,
    seen: Seen,
    pub allocated_bytes: u64,
    pub collections: u64,
    // ---- fuel and time ----
    /// How often the interpreter was entered and not left.
    inside: u32,
    time: u64,
    pub time_begun: u64,
    fuel: i64,
    pub fuel_spent: u64,
    /// By fuel: when so much is spent, the next sample is due.
    due: u64,
    /// By request: how many samples were asked for.
    asked: u64,
    /// And how many instructions go by before the next burst.
    skip: usize,
    /// The fuel spent at the start of the burst that goes on.
    burst: Option<u64>,
    burst_steps: usize,
    burst_length: usize,
    random: u64,
    /// And at the end of the one before.
    burst_ended: u64,
    /// Fuel spent, and fuel spent in bursts, lately.
    lately: (f64, f64),
    /// How often the caches had learned when it began.
    pub misses: Misses,
}

impl Recorder {
    pub(crate) fn new(pace: Pace, clock: u64, misses: Misses) -> Recorder {
        let mut recorder = Recorder {
            pace,
            nodes: Vec::new(),
            children: FxHashMap::default(),
            samples: Vec::new(),
            samples_lost: 0,
            path: Vec::new(),
            path_length: 0,
            path_root: NO_NODE,
            node: NO_NODE,
            roots: Vec::new(),
            root_index: FxHashMap::default(),
            system_roots: [None; SYSTEM_TURNS],
            last_root: (RootKey::Program, 0),
            root: 0,
            resting: Vec::new(),
            root_is_known: false,
            turn_weight: 0,
            counts: Counts::new(),
            steps: Vec::new(),
            before: None,
            entered: false,
            seen: Seen::default(),
            allocated_bytes: 0,
            collections: 0,
            inside: 0,
            time: clock,
            time_begun: clock,
            fuel: 0,
            fuel_spent: 0,
            due: match pace {
                Pace::Fuel(every) => every.get(),
                Pace::Requests => 0,
            },
            asked: 0,
            skip: 0,
            burst: None,
            burst_steps: 0,
            burst_length: 0,
            random: 0,
            burst_ended: 0,
            lately: (0.0, 0.0),
            misses,
        };
        recorder.root = recorder.root_of(RootKey::Program);
        recorder
    }

    /// Whether it looks at every instruction.
    pub(crate) fn always(&self) -> bool {
        match self.pace {
            Pace::Fuel(_) => true,
            Pace::Requests => false,
        }
    }

    // ---- what the VM tells ----

    /// The interpreter is entered, with this fuel; whether it was outside, and is to be told of requests.
    pub(crate) fn enter(&mut self, clock: u64, fuel: i64, seen: Seen) -> bool {
        self.inside += 1;
        self.spend(fuel);
        self.seen = seen;
        self.entered = true;
        if self.inside > 1 {
            return false;
        }
        if clock > self.time && !self.always() {
            self.note_outside(clock);
            // Turns may be so short that requests hardly ever come while one runs.
            self.end_burst();
            self.plan_burst();
        }
        !self.always()
    }

    /// Whether a burst is to begin soon, so that instructions are to be looked at.
    pub(crate) fn plans_burst(&self) -> bool {
        self.skip > 0
    }

    /// A sample was asked for: whether a burst is to follow.
    fn plan_burst(&mut self) -> bool {
        self.asked += 1;
        self.skip = 0;
        if self.asked % SAMPLES_OF_BURST == 1 {
            self.skip = 1 + split_mix(&mut self.random) as usize % BURST;
        }
        self.plans_burst()
    }

    /// By request: the time since the interpreter was left, in which there was one, is nobody's, not the turn's either
    /// that begins.
    #[cold]
    fn note_outside(&mut self, clock: u64) {
        let passed = clock - self.time;
        self.time = clock;
        let turn_weight = self.turn_weight;
        let root = std::mem::replace(&mut self.root, 0);
        self.root = self.root_of(RootKey::Outside);
        self.begin_sample();
        self.end_sample(passed);
        self.root = root;
        self.turn_weight = turn_weight;
    }

    /// The interpreter is left. `made` is what the last instruction allocated.
    pub(crate) fn leave(&mut self, fuel: i64, made: Made, seen: Seen) {
        self.made(made, seen);
        self.spend(fuel);
        self.inside = self.inside.saturating_sub(1);
    }

    /// What to do with the next instruction.
    pub(crate) fn wants(&mut self, clock: u64, fuel: i64) -> Wanted {
        match self.pace {
            Pace::Fuel(every) => {
                self.spend(fuel);
                let mut weight = 0;
                if self.fuel_spent >= self.due {
                    let beyond = self.fuel_spent - self.due;
                    weight = (1 + beyond / every.get()).saturating_mul(every.get());
                    self.due = self.due.saturating_add(weight);
                }
                if self.steps.len() > BURST {
                    self.count_steps(1.0);
                }
                Wanted { look: true, weight, done: false }
            }
            Pace::Requests if clock > self.time => {
                self.spend(fuel);
                let weight = clock - self.time;
                self.time = clock;
                self.end_burst();
                let done = !self.plan_burst();
                Wanted { look: true, weight, done }
            }
            Pace::Requests if self.skip > 0 => {
                self.skip -= 1;
                if self.skip == 0 {
                    self.spend(fuel);
                    self.burst = Some(self.fuel_spent);
                    self.burst_steps = 0;
                    self.burst_length = BURST + split_mix(&mut self.random) as usize % BURST;
                }
                Wanted { look: self.skip == 0, weight: 0, done: false }
            }
            Pace::Requests => {
                let Some(begun) = self.burst else { return Wanted { look: false, weight: 0, done: true } };
                self.spend(fuel);
                self.burst_steps += 1;
                let enough = self.burst_steps >= self.burst_length && self.fuel_spent - begun >= BURST_FUEL;
                let done = enough || self.burst_steps >= BURST_MAX;
                if done {
                    self.end_burst();
                }
                Wanted { look: !done, weight: 0, done }
            }
        }
    }

    /// Notes how much fuel is left; more than before is that of another run.
    fn spend(&mut self, fuel: i64) {
        self.fuel_spent += u64::try_from(self.fuel.saturating_sub(fuel)).unwrap_or(0);
        self.fuel = fuel;
    }

    /// How the heap was when the recorder looked last.
    pub(crate) fn seen(&self) -> Seen {
        self.seen
    }

    /// The instruction looked at last, if any, allocated this.
    pub(crate) fn made(&mut self, made: Made, seen: Seen) {
        self.allocated_bytes += made.bytes;
        self.collections += seen.collections.saturating_sub(self.seen.collections);
        self.seen = seen;
        if self.wants_objects()
            && let Some(step) = self.steps.last_mut()
        {
            step.made = made;
        }
    }

    /// Whether what was allocated since the last look is the doing of one instruction.
    pub(crate) fn wants_objects(&self) -> bool {
        self.is_looking() && !self.entered && !self.steps.is_empty()
    }

    fn is_looking(&self) -> bool {
        self.always() || self.burst.is_some()
    }

    /// Notes an instruction, unless it only had a sample taken.
    pub(crate) fn step(&mut self, step: Step) {
        if !self.is_looking() {
            return;
        }
        self.steps.push(Step { entered: self.entered, ..step });
        self.entered = false;
    }

    /// Whether the last instruction was the one before `word` in the same frame; `None` if that is not known.
    pub(crate) fn came_straight(&self, code: usize, word: u32, frame: usize) -> Option<bool> {
        let last = self.steps.last().filter(|_| !self.entered)?;
        Some(last.code == code && last.frame == frame && last.word + 1 == word)
    }

    fn end_burst(&mut self) {
        let Some(begun) = self.burst.take() else { return };
        let (spent, inside) = (self.fuel_spent - self.burst_ended, self.fuel_spent - begun);
        self.burst_ended = self.fuel_spent;
        self.lately = (self.lately.0 * FADE + spent as f64, self.lately.1 * FADE + inside as f64);
        let weight = if self.lately.1 > 0.0 { (self.lately.0 / self.lately.1).max(1.0) } else { 1.0 };
        self.count_steps(weight);
        // What the last one did was not seen.
        self.steps.clear();
        self.before = None;
    }

    /// Counts all steps but the last, which is not complete.
    fn count_steps(&mut self, weight: f64) {
        let Some(last) = self.steps.pop() else { return };
        let mut before = self.before.take();
        for step in &self.steps {
            self.counts.add(before.as_ref(), step, weight);
            before = Some(*step);
        }
        self.before = before;
        self.steps.clear();
        self.steps.push(last);
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self, clock: u64) {
        match self.pace {
            Pace::Requests => {
                if clock > self.time {
                    self.note_outside(clock);
                }
                self.end_burst();
            }
            Pace::Fuel(_) => {
                self.count_steps(1.0);
                if let Some(last) = self.steps.pop() {
                    self.counts.add(self.before.as_ref(), &last, 1.0);
                }
            }
        }
    }

    // ---- samples ----

    /// Which frames of a stack of this depth are kept.
    pub(crate) fn kept(depth: usize) -> (Range<usize>, Range<usize>) {
        if depth <= FRAMES_MAX {
            return (0..depth, depth..depth);
        }
        (0..FRAMES_OUTER, depth - (FRAMES_MAX - FRAMES_OUTER)..depth)
    }

    pub(crate) fn begin_sample(&mut self) {
        let root = self.roots[self.root as usize].node;
        if root != self.path_root {
            self.path.clear();
            self.path_root = root;
        }
        self.path_length = 0;
        self.node = root;
    }

    /// The next frame of the sample.
    pub(crate) fn frame(&mut self, place: Place) {
        match self.path.get(self.path_length) {
            Some(&(known, node)) if known == place => self.node = node,
            Some(_) | None => {
                self.node = self.child(self.node, place);
                self.path.truncate(self.path_length);
                self.path.push((place, self.node));
            }
        }
        self.path_length += 1;
    }

    pub(crate) fn end_sample(&mut self, weight: u64) {
        self.path.truncate(self.path_length);
        self.nodes[self.node as usize].weight += weight;
        self.turn_weight += weight;
        if self.samples.len() < SAMPLES_MAX {
            let at = if self.always() { self.fuel_spent } else { self.time - self.time_begun };
            self.samples.push(Sample { at, node: self.node, weight });
        } else {
            self.samples_lost += 1;
        }
    }

    fn child(&mut self, parent: u32, place: Place) -> u32 {
        let next = self.nodes.len();
        if next >= NODES_MAX {
            return self.children.get(&(parent, place)).copied().unwrap_or(parent);
        }
        let node = *self.children.entry((parent, place)).or_insert(next as u32);
        if node as usize == next {
            self.nodes.push(Node { parent, place, weight: 0 });
        }
        node
    }

    // ---- roots ----

    fn root_of(&mut self, key: RootKey) -> u32 {
        if let Some(&known) = self.root_index.get(&key) {
            return known;
        }
        let number = self.roots.len() as u32;
        // A root is always told apart.
        let node = self.nodes.len() as u32;
        self.nodes.push(Node { parent: NO_NODE, place: Place { address: ROOT, word: number }, weight: 0 });
        self.roots.push(Root { key, node, turns: 0, failed: 0, fuel: 0, paths: FxHashMap::default() });
        self.root_index.insert(key, number);
        number
    }

    /// A turn begins; what it does is only known in general.
    pub(crate) fn begin_turn(&mut self, what: SystemTurn, fuel: i64) {
        let root = match self.system_roots[what as usize] {
            Some(known) => known,
            None => {
                let made = self.root_of(RootKey::System(what));
                *self.system_roots[what as usize].insert(made)
            }
        };
        let resting = Resting {
            root: std::mem::replace(&mut self.root, root),
            root_is_known: std::mem::replace(&mut self.root_is_known, false),
            weight: std::mem::take(&mut self.turn_weight),
            fuel: std::mem::replace(&mut self.fuel, fuel),
        };
        self.resting.push(resting);
    }

    /// It is known now, unless it was before.
    pub(crate) fn turn_is(&mut self, key: RootKey) {
        if !self.root_is_known && !self.resting.is_empty() {
            if self.last_root.0 != key {
                self.last_root = (key, self.root_of(key));
            }
            self.root = self.last_root.1;
            self.root_is_known = true;
        }
    }

    /// The turn is over.
    pub(crate) fn end_turn(&mut self, path: &str, fuel: i64, (turns, failed): (u64, u64)) {
        let Some(resting) = self.resting.pop() else { return };
        let weight = std::mem::replace(&mut self.turn_weight, resting.weight);
        self.fuel = resting.fuel;
        self.root_is_known = resting.root_is_known;
        let root = &mut self.roots[std::mem::replace(&mut self.root, resting.root) as usize];
        root.turns += turns;
        root.failed += failed;
        root.fuel += u64::try_from(fuel).unwrap_or(0);
        if weight > 0 {
            if let Some(sum) = root.paths.get_mut(path) {
                *sum += weight;
            } else if root.paths.len() < PATHS_MAX {
                root.paths.insert(path.into(), weight);
            }
        }
    }
}
