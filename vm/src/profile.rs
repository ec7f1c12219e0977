//! How a run spends its time, fuel and memory.
//!
//! [`Vm::start_profile`] puts a recorder beside the run; from then on `interpret::observe` tells it about instructions,
//! at the [`Pace`] asked for, and [`Vm::take_profile`] answers what it noted, with names in the place of addresses. A VM
//! that is not profiled pays nothing.
//!
//! **By request** ([`request`]) is for real time: whoever has a clock asks as often as it likes, and what passes between
//! two samples of a VM is the weight of the second. What passes outside the interpreter, in the store or in waiting, is
//! a root of its own. **By fuel** is for tests and exact counts: it depends on nothing but the program.

use std::num::NonZeroU64;

use crate::interpret::observe;
use crate::symbol::Symbol;
use crate::turn::{Action, Outcome, TurnInput};
use crate::value::{Kind, Value};
use crate::vm::Vm;

mod data;
pub(crate) mod recorder;
pub(crate) mod resolve;

pub use crate::interpret::observe::request;
pub use data::*;
use recorder::{Recorder, RootKey, SystemTurn};

/// When samples are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// When somebody calls [`request`]; counts are estimated.
    Requests,
    /// Whenever so much fuel was spent; counts are exact.
    Fuel(NonZeroU64),
}

impl Vm {
    /// Starts a profile; one that goes on is dropped. The caches of send sites keep what they have learned.
    pub fn start_profile(&mut self, pace: Pace) {
        match pace {
            Pace::Requests => self.dispatch.open(),
            Pace::Fuel(_) => self.dispatch.close(),
        }
        self.profile = Some(Box::new(Recorder::new(pace, observe::clock(), resolve::misses(self))));
    }

    /// Ends the profile; `None` if there is none. Cost: linear in what is linked and what was noted.
    pub fn take_profile(&mut self) -> Option<Profile> {
        let mut recorder = self.profile.take()?;
        self.dispatch.open();
        recorder.finish(observe::clock());
        let span = match recorder.pace {
            Pace::Requests => observe::clock() - recorder.time_begun,
            Pace::Fuel(_) => recorder.fuel_spent,
        };
        Some(resolve::resolve(self, &recorder, span))
    }

    /// A turn begins.
    pub(crate) fn profile_turn(&mut self, input: &TurnInput<'_>) {
        if let Some(recorder) = self.profile.as_deref_mut() {
            let what = match input.action {
                Action::Message { .. } | Action::Evaluate { .. } => SystemTurn::Message,
                Action::Make { .. } => SystemTurn::Make,
                Action::Clone { .. } => SystemTurn::Clone,
                Action::Check => SystemTurn::Check,
                Action::Rearm { .. } | Action::Timer { .. } => SystemTurn::Timer,
                Action::Failed { .. } => SystemTurn::Failed,
                Action::Reply { .. } | Action::Then { .. } => SystemTurn::Reply,
            };
            recorder.begin_turn(what, input.limits.fuel);
        }
    }

    /// The turn sends this to the `nth` of its twins.
    pub(crate) fn profile_delivery(&mut self, nth: usize, selector: Symbol, arguments: &[Value], query: bool) {
        if self.profile.is_none() {
            return;
        }
        let class = self.class_of(self.run.turn.twins[nth].value);
        let name = arguments.first().filter(|_| selector == self.selectors.fire_timer);
        let key = match name.map(|name| name.kind()) {
            Some(Kind::Symbol(name)) => RootKey::Timer { class, name: Symbol(name) },
            Some(_) | None => RootKey::Message { class, selector, query },
        };
        if let Some(recorder) = self.profile.as_deref_mut() {
            recorder.turn_is(key);
        }
    }

    /// The turn is over.
    pub(crate) fn profile_turn_end(&mut self, input: &TurnInput<'_>, fuel: i64, outcome: &Outcome) {
        if let Some(recorder) = self.profile.as_deref_mut() {
            recorder.end_turn(
                input.path,
                fuel,
                match outcome {
                    Outcome::Done { .. } => (1, 0),
                    Outcome::Failed(_) => (1, 1),
                    // It comes again.
                    Outcome::Needs => (0, 0),
                },
            );
        }
    }
}
