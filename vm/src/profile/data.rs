//! A profile: what a recorder noted, by name.
//!
//! It is plain data: profiles of several VMs of one program are one ([`Profile::merge`]), and whatever shows
//! one needs nothing else.

use std::collections::HashMap;
use std::hash::Hash;

use super::Pace;

/// What a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FunctionKind {
    /// Where a stack starts: the program, or a kind of turn.
    Root,
    /// What the VM does not do: the store, output, waiting.
    Outside,
    /// A method or block of the program.
    Program,
    /// A method or block of the class library.
    Kernel,
    /// A primitive.
    Primitive,
    /// Frames that were left out of a deep stack.
    Gap,
}

/// A method or block, or what stands in its place in a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// As in a trace: `Tank>>fill:`, `Tank>>fill: block`, `main`.
    pub name: String,
    /// What it is.
    pub kind: FunctionKind,
    /// Where it stands, unless the image was stripped.
    pub file: Option<String>,
    /// Its first line, counted from 1.
    pub line: Option<u32>,
    /// How often it was activated.
    pub calls: f64,
    /// How many instructions of it ran.
    pub instructions: f64,
}

/// A place in a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spot {
    /// The function, by its number in the profile.
    pub function: usize,
    /// The word of the instruction in its code.
    pub word: u32,
    /// Line and column in the function's file, unless the image was stripped.
    pub line: Option<(u32, u32)>,
}

/// A node of the tree of stacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The node below; it has a lower number.
    pub parent: Option<usize>,
    /// Where the frame stands, by its number in the profile.
    pub spot: usize,
    /// What the samples weigh that end here.
    pub own: u64,
}

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When: since the profile began, in its unit.
    pub at: u64,
    /// The innermost frame.
    pub node: usize,
    /// What it stands for.
    pub weight: u64,
}

/// Turns that do the same to twins of the same prototype.
#[derive(Clone, Debug, PartialEq)]
pub struct Turns {
    /// The root of their stacks.
    pub function: usize,
    /// The prototype of the receiver, if it is known.
    pub prototype: Option<String>,
    /// How many turns were run to their end.
    pub turns: u64,
    /// How many of them failed.
    pub failed: u64,
    /// The fuel that they used.
    pub fuel: u64,
    /// Twins that samples fell on, with what those weigh; not all where they are many.
    pub paths: Vec<(String, u64)>,
}

/// What a send site's cache knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SiteState {
    /// No send went through it.
    Empty,
    /// One class.
    Monomorphic,
    /// Some.
    Polymorphic,
    /// Many.
    Megamorphic,
}

impl SiteState {
    /// In the field's words.
    pub const fn name(self) -> &'static str {
        match self {
            SiteState::Empty => "empty",
            SiteState::Monomorphic => "monomorphic",
            SiteState::Polymorphic => "polymorphic",
            SiteState::Megamorphic => "megamorphic",
        }
    }
}

/// A send site.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// Where it stands.
    pub spot: usize,
    /// What is sent.
    pub selector: String,
    /// What the cache knows; of arithmetic that was done in place, nothing.
    pub state: SiteState,
    /// How often the instruction ran.
    pub sends: f64,
    /// How often the cache had to learn since the profile began, exactly.
    pub misses: u64,
    /// The prototypes of receivers, the most frequent first.
    pub receivers: Vec<(String, f64)>,
    /// What the cache leads to.
    pub target: Option<String>,
}

/// Allocation at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocation {
    /// Where.
    pub spot: usize,
    /// The prototype of the first object that is made there; none where that could not be seen.
    pub prototype: Option<String>,
    /// How often the instruction allocated.
    pub times: f64,
    /// How many objects it made.
    pub objects: f64,
    /// And of how many bytes.
    pub bytes: f64,
}

/// A loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loop {
    /// Its head.
    pub spot: usize,
    /// How often code jumped back to that.
    pub rounds: f64,
}

/// Two instructions that run one after the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The first one's name.
    pub first: &'static str,
    /// The second one's.
    pub second: &'static str,
    /// How often.
    pub times: f64,
}

/// A profile of one VM, or several.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// How it was made. By request weights are microseconds, else fuel.
    pub pace: Pace,
    /// How long it took in that unit.
    pub span: u64,
    /// Methods and blocks that samples or counts fell on.
    pub functions: Vec<Function>,
    /// Places in them.
    pub spots: Vec<Spot>,
    /// The tree of stacks.
    pub nodes: Vec<Node>,
    /// Samples in the order of time, the first million.
    pub samples: Vec<Sample>,
    /// How many more there were.
    pub samples_lost: u64,
    /// Turns by receiver and message.
    pub turns: Vec<Turns>,
    /// Send sites that were used.
    pub sites: Vec<Site>,
    /// Allocation by site.
    pub allocations: Vec<Allocation>,
    /// Loops.
    pub loops: Vec<Loop>,
    /// Pairs of instructions.
    pub pairs: Vec<Pair>,
    /// How many instructions ran.
    pub instructions: f64,
    /// The fuel spent in all.
    pub fuel: u64,
    /// What was allocated in all, exactly.
    pub allocated_bytes: u64,
    /// How often objects were moved to make room.
    pub collections: u64,
}

/// What the samples say of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// While it ran itself.
    pub own: u64,
    /// While it was on the stack; a function that is there twice counts once.
    pub total: u64,
}

impl Profile {
    /// Whether counts are exact.
    pub fn is_exact(&self) -> bool {
        match self.pace {
            Pace::Requests => false,
            Pace::Fuel(_) => true,
        }
    }

    /// What all samples weigh.
    pub fn weight(&self) -> u64 {
        self.nodes.iter().map(|node| node.own).sum()
    }

    /// What the samples say of each function, by number.
    pub fn shares(&self) -> Vec<Share> {
        self.shares_by(self.functions.len(), |spot| self.spots[spot].function)
    }

    /// The same of each place.
    pub fn shares_of_spots(&self) -> Vec<Share> {
        self.shares_by(self.spots.len(), |spot| spot)
    }

    /// What samples say of whatever `key` makes of the places of frames. Cost: linear in the nodes.
    pub fn shares_by(&self, keys: usize, key: impl Fn(usize) -> usize) -> Vec<Share> {
        let mut shares = vec![Share::default(); keys];
        let below = self.subtree_weights();
        // What is on the stack twice was counted by the outer one.
        let children = self.children();
        let mut depth_of = vec![0u32; keys];
        let mut walk: Vec<(usize, bool)> = Vec::new();
        for root in (0..self.nodes.len()).filter(|&node| self.nodes[node].parent.is_none()) {
            walk.push((root, false));
            while let Some((node, leaving)) = walk.pop() {
                let key = key(self.nodes[node].spot);
                if leaving {
                    depth_of[key] -= 1;
                    continue;
                }
                shares[key].own += self.nodes[node].own;
                if depth_of[key] == 0 {
                    shares[key].total += below[node];
                }
                depth_of[key] += 1;
                walk.push((node, true));
                walk.extend(children[node].iter().map(|&child| (child, false)));
            }
        }
        shares
    }

    /// By node: what it and all above it weigh.
    pub fn subtree_weights(&self) -> Vec<u64> {
        let mut weights: Vec<u64> = self.nodes.iter().map(|node| node.own).collect();
        for node in (0..self.nodes.len()).rev() {
            if let Some(parent) = self.nodes[node].parent {
                weights[parent] += weights[node];
            }
        }
        weights
    }

    /// By node: those right above it.
    pub fn children(&self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (node, Node { parent, .. }) in self.nodes.iter().enumerate() {
            if let Some(parent) = parent {
                children[*parent].push(node);
            }
        }
        children
    }

    /// The places of a node's frames, the outermost first.
    pub fn stack(&self, node: usize) -> Vec<usize> {
        let mut spots = Vec::new();
        let mut at = Some(node);
        while let Some(node) = at {
            spots.push(self.nodes[node].spot);
            at = self.nodes[node].parent;
        }
        spots.reverse();
        spots
    }

    /// Adds what another VM of the same program noted at the same pace.
    pub fn merge(&mut self, other: Profile) {
        let mut functions = Index::new(&self.functions, function_key);
        let functions: Vec<usize> = other
            .functions
            .into_iter()
            .map(|function| {
                let (calls, instructions) = (function.calls, function.instructions);
                let (nth, known) = functions.place(&mut self.functions, function_key(&function), || function);
                if known {
                    self.functions[nth].calls += calls;
                    self.functions[nth].instructions += instructions;
                }
                nth
            })
            .collect();
        let mut spots = Index::new(&self.spots, |spot| *spot);
        let spots: Vec<usize> = other
            .spots
            .into_iter()
            .map(|spot| {
                let spot = Spot { function: functions[spot.function], ..spot };
                spots.place(&mut self.spots, spot, || spot).0
            })
            .collect();
        let mut nodes = Index::new(&self.nodes, |node| (node.parent, node.spot));
        let mut numbers: Vec<usize> = Vec::with_capacity(other.nodes.len());
        for node in other.nodes {
            let node = Node { parent: node.parent.map(|parent| numbers[parent]), spot: spots[node.spot], ..node };
            let (nth, known) = nodes.place(&mut self.nodes, (node.parent, node.spot), || node);
            if known {
                self.nodes[nth].own += node.own;
            }
            numbers.push(nth);
        }
        self.samples.extend(other.samples.into_iter().map(|sample| Sample { node: numbers[sample.node], ..sample }));
        self.samples.sort_by_key(|sample| sample.at);
        self.samples_lost += other.samples_lost;
        let mut turns = Index::new(&self.turns, |turns| turns.function);
        for row in other.turns {
            let row = Turns { function: functions[row.function], ..row };
            let (nth, known) = turns.place(&mut self.turns, row.function, || row.clone());
            if known {
                let sum = &mut self.turns[nth];
                sum.turns += row.turns;
                sum.failed += row.failed;
                sum.fuel += row.fuel;
                add_by_name(&mut sum.paths, row.paths, |sum, more| *sum += more);
            }
        }
        let mut sites = Index::new(&self.sites, |site| site.spot);
        for site in other.sites {
            let site = Site { spot: spots[site.spot], ..site };
            let (nth, known) = sites.place(&mut self.sites, site.spot, || site.clone());
            if known {
                let sum = &mut self.sites[nth];
                sum.state = sum.state.max(site.state);
                sum.sends += site.sends;
                sum.misses += site.misses;
                add_by_name(&mut sum.receivers, site.receivers, |sum, more| *sum += more);
                sum.target = sum.target.take().or(site.target);
            }
        }
        let mut allocations = Index::new(&self.allocations, |made| (made.spot, made.prototype.clone()));
        for made in other.allocations {
            let made = Allocation { spot: spots[made.spot], ..made };
            let key = (made.spot, made.prototype.clone());
            let (nth, known) = allocations.place(&mut self.allocations, key, || made.clone());
            if known {
                let sum = &mut self.allocations[nth];
                sum.times += made.times;
                sum.objects += made.objects;
                sum.bytes += made.bytes;
            }
        }
        let mut loops = Index::new(&self.loops, |head| head.spot);
        for head in other.loops {
            let head = Loop { spot: spots[head.spot], ..head };
            let (nth, known) = loops.place(&mut self.loops, head.spot, || head);
            if known {
                self.loops[nth].rounds += head.rounds;
            }
        }
        let mut pairs = Index::new(&self.pairs, |pair| (pair.first, pair.second));
        for pair in other.pairs {
            let (nth, known) = pairs.place(&mut self.pairs, (pair.first, pair.second), || pair);
            if known {
                self.pairs[nth].times += pair.times;
            }
        }
        self.span = self.span.max(other.span);
        self.instructions += other.instructions;
        self.fuel += other.fuel;
        self.allocated_bytes += other.allocated_bytes;
        self.collections += other.collections;
        self.sort();
    }

    /// The largest first, in each list.
    pub(super) fn sort(&mut self) {
        let by = |left: f64, right: f64| right.total_cmp(&left);
        self.turns.sort_by(|left, right| right.turns.cmp(&left.turns).then(left.function.cmp(&right.function)));
        self.sites.sort_by(|left, right| by(left.sends, right.sends).then(left.spot.cmp(&right.spot)));
        self.allocations.sort_by(|left, right| by(left.bytes, right.bytes).then(left.spot.cmp(&right.spot)));
        self.loops.sort_by(|left, right| by(left.rounds, right.rounds).then(left.spot.cmp(&right.spot)));
        self.pairs.sort_by(|left, right| {
            by(left.times, right.times).then((left.first, left.second).cmp(&(right.first, right.second)))
        });
        for turns in &mut self.turns {
            turns.paths.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
        }
        for site in &mut self.sites {
            site.receivers.sort_by(|left, right| by(left.1, right.1).then_with(|| left.0.cmp(&right.0)));
        }
    }
}

fn function_key(function: &Function) -> (String, FunctionKind, Option<String>, Option<u32>) {
    (function.name.clone(), function.kind, function.file.clone(), function.line)
}

/// Where rows stand, by key.
struct Index<K>(HashMap<K, usize>);

impl<K: Hash + Eq> Index<K> {
    fn new<R>(rows: &[R], key: impl Fn(&R) -> K) -> Index<K> {
        Index(rows.iter().enumerate().map(|(nth, row)| (key(row), nth)).collect())
    }

    /// The number of the row with this key, made if there is none; and whether there was one.
    fn place<R>(&mut self, rows: &mut Vec<R>, key: K, make: impl FnOnce() -> R) -> (usize, bool) {
        let next = rows.len();
        let nth = *self.0.entry(key).or_insert(next);
        if nth == next {
            rows.push(make());
        }
        (nth, nth < next)
    }
}

fn add_by_name<N>(sums: &mut Vec<(String, N)>, more: Vec<(String, N)>, add: impl Fn(&mut N, N)) {
    for (name, number) in more {
        match sums.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => add(sum, number),
            None => sums.push((name, number)),
        }
    }
}
