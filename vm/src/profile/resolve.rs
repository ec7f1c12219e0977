//! From what a recorder noted to a profile: names in the place of addresses.
//!
//! Codes of the VM's own (handlers, `ensure:`, the crossing to another twin) are left out, as in traces: what fell on
//! them is their sender's.

use rustc_hash::FxHashMap;
use twintalk_bytecode::codec;
use twintalk_bytecode::op::{Op, Opcode};

use super::data::*;
use super::recorder::{GAP, NO_NODE, Place, ROOT, Recorder, RootKey, SystemTurn};
use crate::class::{Cache, Hit, LinkedCode, LinkedMethod, MEGAMORPHIC, Mark, NO_CLASS};
use crate::link::fuse::plain_words;
use crate::vm::Vm;

/// How often the caches of sites have learned, by the address of the code and the number of the site.
pub(crate) type Misses = FxHashMap<(usize, usize), u32>;

/// As it is now.
pub(super) fn misses(vm: &Vm) -> Misses {
    let codes = vm.methods.iter().flat_map(|method| &method.codes);
    let caches = codes.flat_map(|code| {
        let address = &raw const *code as usize;
        code.caches.iter().enumerate().map(move |(site, cache)| ((address, site), cache.get().misses))
    });
    caches.filter(|(_, misses)| *misses > 0).collect()
}

/// What an address leads to.
#[derive(Clone, Copy)]
enum Found<'a> {
    Code(&'a LinkedCode),
    Primitive(&'a LinkedMethod),
}

struct Resolver<'a> {
    vm: &'a Vm,
    recorder: &'a Recorder,
    addresses: FxHashMap<usize, Found<'a>>,
    functions: FxHashMap<usize, usize>,
    roots: Vec<Option<usize>>,
    spots: FxHashMap<(usize, u32), usize>,
    profile: Profile,
}

pub(super) fn resolve(vm: &Vm, recorder: &Recorder, span: u64) -> Profile {
    let mut addresses = FxHashMap::default();
    for method in vm.methods.iter().filter(|method| method.mark == Mark::None) {
        if method.primitive.is_some() {
            addresses.insert(&raw const *method as usize, Found::Primitive(method));
        }
        for code in &method.codes {
            addresses.insert(&raw const *code as usize, Found::Code(code));
        }
    }
    let profile = Profile {
        pace: recorder.pace,
        span,
        functions: Vec::new(),
        spots: Vec::new(),
        nodes: Vec::new(),
        samples: Vec::new(),
        samples_lost: recorder.samples_lost,
        turns: Vec::new(),
        sites: Vec::new(),
        allocations: Vec::new(),
        loops: Vec::new(),
        pairs: Vec::new(),
        instructions: recorder.counts.instructions,
        fuel: recorder.fuel_spent,
        allocated_bytes: recorder.allocated_bytes,
        collections: recorder.collections,
    };
    let roots = vec![None; recorder.roots.len()];
    let (functions, spots) = (FxHashMap::default(), FxHashMap::default());
    let mut resolver = Resolver { vm, recorder, addresses, functions, roots, spots, profile };
    resolver.stacks();
    resolver.turns();
    resolver.codes();
    resolver.pairs();
    resolver.profile.sort();
    resolver.profile
}

impl Resolver<'_> {
    fn class_name(&self, class: u32) -> Option<String> {
        let class = (class != NO_CLASS).then(|| self.vm.classes.get(class as usize)).flatten()?;
        Some(self.vm.symbols.name(class.name).to_owned())
    }

    fn add_function(&mut self, name: String, kind: FunctionKind) -> usize {
        let function = Function { name, kind, file: None, line: None, calls: 0.0, instructions: 0.0 };
        self.profile.functions.push(function);
        self.profile.functions.len() - 1
    }

    /// The function at an address; `None` for the VM's own.
    fn function(&mut self, address: usize) -> Option<usize> {
        if let Some(&known) = self.functions.get(&address) {
            return Some(known);
        }
        let vm = self.vm;
        let nth = match self.addresses.get(&address).copied() {
            _ if address == GAP => self.add_function("...".to_owned(), FunctionKind::Gap),
            None => return None,
            Some(Found::Primitive(method)) => self.add_function(vm.name_of_method(method), FunctionKind::Primitive),
            Some(Found::Code(code)) => {
                let of_kernel = vm.method_of(code).origin.image == 0;
                let kind = if of_kernel { FunctionKind::Kernel } else { FunctionKind::Program };
                let nth = self.add_function(vm.name_of(code), kind);
                let words = code.source_map.iter().map(|entry| entry.word as usize);
                let first = words.filter_map(|word| vm.place(code, word)).min_by_key(|(_, line, _)| *line);
                if let Some((file, line, _)) = first {
                    self.profile.functions[nth].file = Some(file.to_owned());
                    self.profile.functions[nth].line = Some(line);
                }
                nth
            }
        };
        self.functions.insert(address, nth);
        Some(nth)
    }

    fn spot_of(&mut self, function: usize, word: u32, line: Option<(u32, u32)>) -> usize {
        let next = self.profile.spots.len();
        let nth = *self.spots.entry((function, word)).or_insert(next);
        if nth == next {
            self.profile.spots.push(Spot { function, word, line });
        }
        nth
    }

    /// The place of a frame; `None` for the VM's own.
    fn spot(&mut self, place: Place) -> Option<usize> {
        if place.address == ROOT {
            let function = self.root(place.word as usize);
            return Some(self.spot_of(function, 0, None));
        }
        let function = self.function(place.address)?;
        let line = match self.addresses.get(&place.address) {
            Some(Found::Code(code)) => {
                // What comes before all that the map knows belongs to the first that it does.
                let first = code.source_map.first().map_or(0, |entry| entry.word);
                let word = place.word.max(first) as usize;
                self.vm.place(code, word).map(|(_, line, column)| (line, column))
            }
            Some(Found::Primitive(_)) | None => None,
        };
        Some(self.spot_of(function, place.word, line))
    }

    fn root(&mut self, number: usize) -> usize {
        if let Some(known) = self.roots[number] {
            return known;
        }
        let names = &self.vm.symbols;
        let class_name = |class| names.name(self.vm.class(class).name);
        let (name, kind) = match self.recorder.roots[number].key {
            RootKey::Program => ("program".to_owned(), FunctionKind::Root),
            RootKey::Outside => ("store, output, waiting".to_owned(), FunctionKind::Outside),
            RootKey::System(what) => {
                let what = match what {
                    SystemTurn::Message => "a message",
                    SystemTurn::Make => "a twin is made",
                    SystemTurn::Clone => "a twin is cloned",
                    SystemTurn::Check => "a twin is checked",
                    SystemTurn::Timer => "a timer",
                    SystemTurn::Failed => "a part has failed",
                    SystemTurn::Reply => "a reply",
                };
                (format!("turn: {what}"), FunctionKind::Root)
            }
            RootKey::Message { class, selector, query } => {
                let turn = if query { "query" } else { "turn" };
                (format!("{turn}: {}>>{}", class_name(class), names.name(selector)), FunctionKind::Root)
            }
            RootKey::Timer { class, name } => {
                (format!("timer: {}>>{}", class_name(class), names.name(name)), FunctionKind::Root)
            }
        };
        let nth = self.add_function(name, kind);
        self.roots[number] = Some(nth);
        nth
    }

    fn stacks(&mut self) {
        let recorder = self.recorder;
        let mut numbers: Vec<usize> = Vec::with_capacity(recorder.nodes.len());
        let mut known: FxHashMap<(Option<usize>, usize), usize> = FxHashMap::default();
        for node in &recorder.nodes {
            let parent = (node.parent != NO_NODE).then(|| numbers[node.parent as usize]);
            let number = match (self.spot(node.place), parent) {
                (Some(spot), parent) => {
                    let next = self.profile.nodes.len();
                    let number = *known.entry((parent, spot)).or_insert(next);
                    if number == next {
                        self.profile.nodes.push(Node { parent, spot, own: 0 });
                    }
                    number
                }
                (None, Some(parent)) => parent,
                (None, None) => unreachable!("roots have names"),
            };
            self.profile.nodes[number].own += node.weight;
            numbers.push(number);
        }
        self.profile.samples = recorder
            .samples
            .iter()
            .map(|sample| Sample { at: sample.at, node: numbers[sample.node as usize], weight: sample.weight })
            .collect();
    }

    fn turns(&mut self) {
        for (number, root) in self.recorder.roots.iter().enumerate() {
            let class = match root.key {
                RootKey::Program | RootKey::Outside => continue,
                RootKey::System(_) if root.turns == 0 => continue,
                RootKey::System(_) => None,
                RootKey::Message { class, .. } | RootKey::Timer { class, .. } => Some(class),
            };
            let prototype = class.and_then(|class| self.class_name(class.0));
            let paths = root.paths.iter().map(|(path, weight)| (path.to_string(), *weight)).collect();
            let function = self.root(number);
            let (turns, failed, fuel) = (root.turns, root.failed, root.fuel);
            self.profile.turns.push(Turns { function, prototype, turns, failed, fuel, paths });
        }
    }

    fn codes(&mut self) {
        for (address, counts) in &self.recorder.counts.codes {
            let (Some(function), Some(Found::Code(code))) =
                (self.function(*address), self.addresses.get(address).copied())
            else {
                continue;
            };
            let sum = &mut self.profile.functions[function];
            sum.calls += counts.calls;
            sum.instructions += counts.words.iter().sum::<f64>();
            for (&word, &rounds) in &counts.rounds {
                if let Some(spot) = self.spot(Place { address: *address, word }) {
                    self.profile.loops.push(Loop { spot, rounds });
                }
            }
            for (&(word, class), made) in &counts.made {
                if let Some(spot) = self.spot(Place { address: *address, word }) {
                    let prototype = self.class_name(class);
                    let (times, objects, bytes) = (made.times, made.objects, made.bytes);
                    self.profile.allocations.push(Allocation { spot, prototype, times, objects, bytes });
                }
            }
            for (word, op) in codec::instructions(&plain_words(&code.words)).map_while(Result::ok) {
                let sends = counts.words.get(word).copied().unwrap_or(0.0);
                let Some(number) = site_of(&op).filter(|_| sends > 0.0) else { continue };
                let place = Place { address: *address, word: word as u32 };
                let (Some(site), Some(cache), Some(spot)) =
                    (code.sites.get(number), code.caches.get(number), self.spot(place))
                else {
                    continue;
                };
                let cache = cache.get();
                let before = self.recorder.misses.get(&(*address, number)).copied().unwrap_or(0);
                let receivers = counts.receivers.iter().filter(|((at, _), _)| *at as usize == word);
                let mut by_name: Vec<(String, f64)> = Vec::new();
                for (&(_, class), &times) in receivers {
                    let name = self.class_name(class).unwrap_or_default();
                    match by_name.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, sum)) => *sum += times,
                        None => by_name.push((name, times)),
                    }
                }
                self.profile.sites.push(Site {
                    spot,
                    selector: self.vm.symbols.name(site.selector).to_owned(),
                    state: state_of(&cache),
                    sends,
                    misses: u64::from(cache.misses.saturating_sub(before)),
                    receivers: by_name,
                    target: self.target(&cache),
                });
            }
        }
    }

    /// What a cache leads to, in words.
    fn target(&self, cache: &Cache) -> Option<String> {
        match cache.hit {
            Hit::Empty => None,
            Hit::Code | Hit::TwinCode => match self.addresses.get(&cache.target)? {
                Found::Code(code) => Some(self.vm.name_of(code)),
                Found::Primitive(_) => None,
            },
            Hit::Primitive
            | Hit::ArrayAt
            | Hit::ArrayAtPut
            | Hit::ArraySize
            | Hit::ListAt
            | Hit::ListAtPut
            | Hit::ListAdd
            | Hit::StringAt => match self.addresses.get(&cache.target)? {
                Found::Primitive(method) => Some(format!("{} (primitive)", self.vm.name_of_method(method))),
                Found::Code(_) => None,
            },
            Hit::Getter | Hit::Slot | Hit::Store | Hit::StoreAnswer => Some("a slot".to_owned()),
            Hit::Itself => Some("the receiver".to_owned()),
            Hit::Literal => Some("a literal".to_owned()),
            Hit::Identical => Some("identity".to_owned()),
            Hit::New => Some("a new object".to_owned()),
            Hit::Constant => Some("a constant".to_owned()),
            Hit::BlockValue => Some("a block".to_owned()),
            Hit::Near => Some("the twin of a reference".to_owned()),
        }
    }

    fn pairs(&mut self) {
        for (pair, &times) in self.recorder.counts.pairs.iter().enumerate().filter(|(_, times)| **times > 0.0) {
            let names = (Opcode::from_number((pair >> 8) as u8), Opcode::from_number(pair as u8));
            if let (Some(first), Some(second)) = names {
                self.profile.pairs.push(Pair { first: first.name(), second: second.name(), times });
            }
        }
    }
}

fn state_of(cache: &Cache) -> SiteState {
    match cache.misses {
        0 => SiteState::Empty,
        1 => SiteState::Monomorphic,
        2..=MEGAMORPHIC => SiteState::Polymorphic,
        _ => SiteState::Megamorphic,
    }
}

/// The number of the send site that the instruction names.
fn site_of(op: &Op) -> Option<usize> {
    let mut site = None;
    op.operands(|name, operand| {
        if name == "site" {
            site = operand.to_string().trim_start_matches("site").parse().ok();
        }
    });
    site
}
