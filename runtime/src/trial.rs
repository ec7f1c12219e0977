//! A program tried on every twin of a store, which changes nothing: what an upgrade would do.
//!
//! Each twin is brought up to the new definitions in a turn of its own, on a copy: its slots are carried over, its
//! `migrate` runs, and then its types, ranges and invariants are checked. The turn is dropped. Other twins that it
//! asks on the way are carried over likewise, each time anew, since nothing is kept.

use std::collections::BTreeMap;

use twintalk_bytecode::verify;
use twintalk_store::StoreError;
use twintalk_vm::turn::{ALL, Action, Outcome, TurnInput, TwinChange, first_segment};
use twintalk_vm::{Answer, FarAnswer, FarQuery, Fault, Limits, Vm, World};

use crate::difference::{Difference, difference};
use crate::kernel::{self, Library};
use crate::near::{Inquiry, another_kind};
use crate::partitions::Partitions;
use crate::program::Program;
use crate::system::{OpenError, System, load_program};
use crate::upgrade::Versions;

/// After how many twins memory is given back.
const RESIDENTS_MAX: u64 = 10_000;
/// How deep far queries may ask each other here.
const QUERY_DEPTH_MAX: usize = 32;

/// What an upgrade would do to a store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trial {
    /// How the definitions differ.
    pub difference: Vec<Difference>,
    /// Why the upgrade is refused as a whole, if it is. Then no twin was tried.
    pub refused: Option<String>,
    /// By definition that twins are stored of.
    pub prototypes: BTreeMap<String, Tried>,
}

/// What became of the twins of one definition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// How many there are.
    pub twins: u64,
    /// How many are carried over to another shape.
    pub carried: u64,
    /// How many fault.
    pub failed: u64,
}

/// What is told while a program is tried.
#[derive(Clone, Debug, PartialEq)]
pub enum TrialStep<'a> {
    /// So many twins have been tried, of so many.
    Twins(u64, u64),
    /// A twin faults.
    Fault {
        /// Its path.
        path: &'a str,
        /// Its definition, as the store has it.
        prototype: &'a str,
        /// Why.
        fault: &'a Fault,
    },
}

impl Trial {
    /// Whether every twin can go on with the program.
    pub fn succeeds(&self) -> bool {
        self.refused.is_none() && self.prototypes.values().all(|tried| tried.failed == 0)
    }
}

impl System {
    /// Tries `program` on every twin. Nothing changes. Cost: linear in all state; the paths of all twins are in memory.
    ///
    /// # Errors
    /// The program is not valid, or does not fit the class library; or the store refuses.
    pub fn try_program(&mut self, program: &Program, tell: &mut dyn FnMut(TrialStep<'_>)) -> Result<Trial, OpenError> {
        verify::verify(&program.image).map_err(OpenError::Verify)?;
        verify::verify(&program.definitions).map_err(OpenError::Verify)?;
        let mut vm = Library::Embedded.link(&program.definitions).map_err(OpenError::Link)?;
        let twins = self.twins("")?;
        let (partitions, present) = self.parts();
        vm.adopt_shapes(present.copy_shapes());
        let mut trial = Trial::default();
        let core = partitions.first();
        let (stored_hash, limits) = (core.program, core.limits);
        if stored_hash != program.hash() {
            let (old_kernel, stored) = load_program(&*core.store, &stored_hash)?;
            trial.difference = difference((&old_kernel, &stored), (kernel::image(), &program.definitions));
            let versions = Versions::compare(&stored, &program.definitions);
            match versions.check(partitions, &vm, present.shapes().len()) {
                Ok(_) => {}
                Err(error @ (OpenError::VersionMissing { .. } | OpenError::VersionLower { .. })) => {
                    trial.refused = Some(error.to_string());
                    return Ok(trial);
                }
                Err(error) => return Err(error),
            }
        }
        let now_ns = partitions.now_ns();
        vm.set_limits(limits);
        for (index, twin) in twins.iter().enumerate() {
            let mut world = OnCopies { partitions, limits, now_ns, depth: 0, error: None };
            let input = TurnInput {
                path: &twin.path,
                action: Action::Check,
                query: false,
                wants_reply: true,
                turn: 0,
                now_ns,
                seed: 0,
                answers: &[],
                limits,
            };
            let outcome = vm.run_turn(&mut world, &input).outcome;
            if let Some(error) = world.error {
                return Err(OpenError::Store(error));
            }
            let tried = trial.prototypes.entry(twin.prototype.clone()).or_default();
            tried.twins += 1;
            match outcome {
                Outcome::Done { effects, .. } => {
                    let own = effects.twins.iter().find(|effect| effect.path == twin.path);
                    let carried = own.is_some_and(|effect| matches!(effect.change, TwinChange::Carried(_)));
                    tried.carried += u64::from(carried);
                }
                Outcome::Failed(fault) => {
                    tried.failed += 1;
                    tell(TrialStep::Fault { path: &twin.path, prototype: &twin.prototype, fault: &fault });
                }
                Outcome::Needs => unreachable!("every answer is here, or the store refused it"),
            }
            let done = index as u64 + 1;
            if done.is_multiple_of(RESIDENTS_MAX) {
                partitions.iter_mut().for_each(|core| core.residents.drop_clean());
            }
            tell(TrialStep::Twins(done, twins.len() as u64));
        }
        Ok(trial)
    }
}

/// The twins of a store as they are, wherever they lie, for turns that leave nothing.
struct OnCopies<'a> {
    partitions: &'a mut Partitions,
    limits: Limits,
    now_ns: i64,
    depth: usize,
    /// What the store refused; the turn ended then.
    error: Option<StoreError>,
}

impl OnCopies<'_> {
    fn note<T>(&mut self, result: Result<T, StoreError>) -> Answer<T> {
        match result {
            Ok(value) => Answer::Here(value),
            Err(error) => {
                self.error.get_or_insert(error);
                Answer::NotYet
            }
        }
    }

    fn image(&mut self, path: &str) -> Answer<Option<&[u8]>> {
        let exists = self.partitions.of(path).exists(path);
        match self.note(exists) {
            Answer::Here(true) => Answer::Here(self.partitions.of(path).residents.image(path)),
            Answer::Here(false) => Answer::Here(None),
            Answer::NotYet => Answer::NotYet,
        }
    }
}

impl World for OnCopies<'_> {
    fn near_twin(&mut self, path: &str) -> Answer<Option<&[u8]>> {
        self.image(path)
    }

    fn piece(&mut self, path: &str, number: u64) -> Answer<Option<&[u8]>> {
        let core = self.partitions.of(path);
        let loaded = core.residents.pieces.load(&*core.store, core.partition, path, number).map(|_| ());
        match self.note(loaded) {
            Answer::Here(()) => Answer::Here(self.partitions.of(path).residents.pieces.get(path, number).flatten()),
            Answer::NotYet => Answer::NotYet,
        }
    }

    fn parts(&mut self, path: &str) -> Answer<Vec<String>> {
        let now_ns = self.now_ns;
        let core = self.partitions.of(path);
        let parts = core.with_world(&mut Inquiry::new(0, 0), now_ns, |near| near.parts(path));
        match self.note(parts) {
            Answer::Here((parts, _)) => parts,
            Answer::NotYet => Answer::NotYet,
        }
    }

    fn far_query(&mut self, vm: &mut Vm, query: &FarQuery) -> Answer<FarAnswer> {
        let composite = first_segment(&query.path).to_owned();
        let refused = |fault| Answer::Here(FarAnswer { composite: composite.clone(), turn: 0, reply: Err(fault) });
        if query.selector == ALL {
            let answer = self.partitions.answer_now(vm, query, self.now_ns);
            return self.note(answer);
        }
        if self.depth == QUERY_DEPTH_MAX {
            let text = format!("far queries ask each other more than {QUERY_DEPTH_MAX} deep");
            return refused(Fault { kind: "Unreachable".to_owned(), text, trace: Vec::new() });
        }
        match (self.image(&query.path), &query.kind) {
            (Answer::NotYet, _) => return Answer::NotYet,
            (Answer::Here(Some(image)), Some(kind)) if !vm.is_of_kind(image, kind) => {
                let fault = another_kind(vm, image, &query.path, kind);
                return refused(fault);
            }
            (Answer::Here(_), _) => {}
        }
        let input = TurnInput {
            path: &query.path,
            action: Action::Message { selector: &query.selector, arguments: &query.arguments },
            query: true,
            wants_reply: true,
            turn: 0,
            now_ns: self.now_ns,
            seed: 0,
            answers: &[],
            limits: self.limits,
        };
        self.depth += 1;
        let outcome = vm.run_turn(self, &input).outcome;
        self.depth -= 1;
        match outcome {
            Outcome::Done { reply, .. } => Answer::Here(FarAnswer { composite, turn: 0, reply: Ok(reply) }),
            Outcome::Failed(fault) => Answer::Here(FarAnswer { composite, turn: 0, reply: Err(fault) }),
            Outcome::Needs => Answer::NotYet,
        }
    }
}
