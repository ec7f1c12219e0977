//! The end of a turn: what it changed is checked, then written out; and the faults of turns.
//!
//! Every twin that is new or changed must hold values of the types and within the bounds that its slots
//! declare, and satisfy its invariants, which run as queries. What then is written is what the record keeps.

use std::cmp::Ordering;
use std::ptr::NonNull;

use num_bigint::{BigInt, Sign};
use num_traits::ToPrimitive;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;
use twintalk_bytecode::image::Literal;

use crate::apart::{Apart, PROMISE_PIECE};
use crate::class::{ClassId, ClassKind, LinkedMethod};
use crate::codec::{DecodeError, EncodeError, Numbering};
use crate::delta::{AtRest, PieceChange, Pieces};
use crate::drive::{Asked, End};
use crate::fault::{ExceptionKind, Fault};
use crate::primitive::Stop;
use crate::symbol::Symbol;
use crate::turn::{Birth, Effects, TwinChange, TwinEffect, Whole};
use crate::value::{Kind, Value};
use crate::vm::Vm;
use crate::world::Answer;

/// An old object that was written to.
pub(crate) struct Written {
    /// The twin of the turn that it belongs to.
    twin: usize,
    /// Its number within that.
    pub number: u32,
    pub object: Value,
    /// Its index among all that were written to.
    pub index: usize,
}

impl Vm {
    // ---- at the end of a turn ----

    /// Checks the types, ranges and invariants of every twin that is new or changed.
    pub(crate) fn check_twins(&mut self, world: &mut Asked<'_>) -> End {
        let mut nth = 0;
        // What was written to is looked at once, however many twins there are.
        let (mut known, mut written_to) = (0, SmallVec::<[bool; 16]>::new());
        while nth < self.run.turn.twins.len() {
            written_to.resize(self.run.turn.twins.len(), false);
            for object in self.heap.written_after(known) {
                known += 1;
                if let Some((twin, _)) = self.place_in_twin(object) {
                    written_to[twin] = true;
                }
            }
            if self.is_changed(nth, written_to[nth]) {
                if let Err(fault) = self.check_slots(nth) {
                    return End::Failed(fault);
                }
                let class = self.class_of(self.run.turn.twins[nth].value);
                for index in 0..self.class(class).invariants.len() {
                    let invariant = self.class(class).invariants[index];
                    match self.check_invariant(world, nth, invariant) {
                        End::Done(_) => {}
                        end @ (End::Failed(_) | End::NotYet) => return end,
                    }
                }
            }
            nth += 1;
        }
        End::Done(Value::NIL)
    }

    /// Whether the twin is new, or some object of it was `written_to`.
    fn is_changed(&self, nth: usize, written_to: bool) -> bool {
        let twin = &self.run.turn.twins[nth];
        if twin.removed {
            return false;
        }
        match twin.birth {
            Birth::Made | Birth::Carried => true,
            Birth::Loaded => written_to || twin.to_check,
        }
    }

    /// Checks what the slots hold against their annotations; an Integer in a slot of Floats becomes one.
    fn check_slots(&mut self, nth: usize) -> Result<(), Fault> {
        let class = self.class_of(self.run.turn.twins[nth].value);
        for index in 0..self.class(class).slots.len() {
            let slot = &self.class(class).slots[index];
            let (name, wanted, bounded) =
                (slot.name, slot.type_class, slot.annotation.min.is_some() || slot.annotation.max.is_some());
            let measured = slot.annotation.unit.is_some();
            if let Some(keep_ns) = slot.annotation.keep_ns {
                self.tell_to_keep(nth, index, keep_ns)?;
            }
            if wanted.is_none() && !bounded && !measured {
                continue;
            }
            if measured {
                self.measure(nth, class, index)?;
            }
            let value = self.heap.slot(self.run.turn.twins[nth].value, index);
            if value.is_nil() {
                continue;
            }
            if let Some(wanted) = wanted {
                if wanted == self.known.float
                    && let Some(number) = self.as_big_integer(value).and_then(|integer| integer.to_f64())
                    && number.is_finite()
                {
                    let float = match self.new_float(number) {
                        Ok(float) => float,
                        Err(stop) => return Err(self.fault_of_stop(stop)),
                    };
                    let twin = self.run.turn.twins[nth].value;
                    if self.set_slot(twin, index, float).is_err() {
                        unreachable!("a twin is neither immutable nor in a query at commit");
                    }
                } else if !self.fits_type(value, wanted) {
                    let text = format!(
                        "slot `{}` of {} is for values of {}, but holds {} of {}",
                        self.symbols.name(name),
                        self.run.turn.twins[nth].path,
                        self.symbols.name(self.class(wanted).name),
                        self.describe(value),
                        self.class_name(value),
                    );
                    return Err(self.plain_fault(ExceptionKind::SlotType.name(), text));
                }
            }
            if bounded {
                self.check_bounds(nth, class, index)?;
            }
        }
        Ok(())
    }

    /// Puts a number in the place of a quantity in a slot with a unit.
    fn measure(&mut self, nth: usize, class: ClassId, index: usize) -> Result<(), Fault> {
        let slot = &self.class(class).slots[index];
        let Some(unit) = &slot.annotation.unit else { return Ok(()) };
        let value = self.heap.slot(self.run.turn.twins[nth].value, index);
        match self.in_slot_unit(value, unit, slot.type_class) {
            None => Ok(()),
            Some(Ok(amount)) => {
                let number = match self.new_amount(amount) {
                    Ok(number) => number,
                    Err(stop) => return Err(self.fault_of_stop(stop)),
                };
                let twin = self.run.turn.twins[nth].value;
                if self.set_slot(twin, index, number).is_err() {
                    unreachable!("a twin is neither immutable nor in a query at commit");
                }
                Ok(())
            }
            Some(Err(wanted)) => {
                let text = format!(
                    "slot `{}` of {} is in {unit}, for {wanted}, but holds {}",
                    self.symbols.name(slot.name),
                    self.run.turn.twins[nth].path,
                    self.describe(value)
                );
                Err(self.plain_fault(ExceptionKind::SlotType.name(), text))
            }
        }
    }

    /// Tells a series in a slot with `keep:` for how long it keeps its readings, unless it was told.
    fn tell_to_keep(&mut self, nth: usize, index: usize, keep_ns: i64) -> Result<(), Fault> {
        let value = self.heap.slot(self.run.turn.twins[nth].value, index);
        if !value.is_pointer() || self.find_class("Series") != Some(self.class_of(value)) {
            return Ok(());
        }
        let keep = self.symbols.find("keep").and_then(|name| self.class(self.class_of(value)).slot_index(name));
        let (Some(keep), Some(keep_ns)) = (keep, Value::integer(keep_ns)) else { return Ok(()) };
        if self.heap.slot(value, keep).is_nil()
            && let Err(stop) = self.set_slot(value, keep, keep_ns)
        {
            return Err(self.fault_of_stop(stop));
        }
        Ok(())
    }

    /// Whether a slot of type `wanted` may hold `value`. Small and large integers are one type, and a reference
    /// fits when it is not known to be of another kind.
    fn fits_type(&self, value: Value, wanted: ClassId) -> bool {
        if self.is_kind_of(value, wanted) {
            return true;
        }
        if wanted == self.known.integer {
            return self.class_of(value) == self.known.large_integer;
        }
        // A reference fits unless it says that its twin is of another kind.
        self.class(wanted).kind == ClassKind::Twin
            && self.class_of(value) == self.known.reference
            && self.class_of_prototype(self.heap.slot(value, 1)).is_none_or(|kind| self.inherits(kind, wanted))
    }

    fn check_bounds(&self, nth: usize, class: ClassId, index: usize) -> Result<(), Fault> {
        let twin = &self.run.turn.twins[nth];
        let slot = &self.class(class).slots[index];
        let value = self.heap.slot(twin.value, index);
        let out_of = |bound: &str, limit: String| {
            let text = format!(
                "slot `{}` of {} is {} {limit}, but holds {}",
                self.symbols.name(slot.name),
                twin.path,
                bound,
                self.describe(value)
            );
            Err(self.plain_fault(ExceptionKind::SlotType.name(), text))
        };
        if let Some(min) = &slot.annotation.min
            && self.compare_with_literal(value, min).is_none_or(|order| order.is_lt())
        {
            return out_of("at least", literal_text(min));
        }
        if let Some(max) = &slot.annotation.max
            && self.compare_with_literal(value, max).is_none_or(|order| order.is_gt())
        {
            return out_of("at most", literal_text(max));
        }
        Ok(())
    }

    /// How a value stands to a number of the source; `None` where it is no number.
    fn compare_with_literal(&self, value: Value, bound: &Literal) -> Option<Ordering> {
        let bound_float = match bound {
            Literal::Integer(bound) => {
                if let Some(integer) = self.as_big_integer(value) {
                    return Some(integer.cmp(&BigInt::from(*bound)));
                }
                *bound as f64
            }
            Literal::Float(bits) => f64::from_bits(*bits),
            Literal::ScaledDecimal { digits, scale } => format!("{digits}e-{scale}").parse().ok()?,
            Literal::LargeInteger { negative, magnitude } => {
                let sign = if *negative { Sign::Minus } else { Sign::Plus };
                let bound = BigInt::from_bytes_le(sign, magnitude);
                if let Some(integer) = self.as_big_integer(value) {
                    return Some(integer.cmp(&bound));
                }
                bound.to_f64()?
            }
            Literal::Nil
            | Literal::True
            | Literal::False
            | Literal::Character(_)
            | Literal::String(_)
            | Literal::Symbol(_)
            | Literal::Array(_)
            | Literal::Bytes(_) => return None,
        };
        let number = self.as_float(value).or_else(|| self.as_big_integer(value)?.to_f64())?;
        number.partial_cmp(&bound_float)
    }

    /// Runs one invariant as a query.
    fn check_invariant(&mut self, world: &mut Asked<'_>, nth: usize, invariant: NonNull<LinkedMethod>) -> End {
        let twin = self.run.turn.twins[nth].value;
        self.run.turn.current = twin;
        self.enter_query();
        let base = self.begin(&[twin]);
        let code = &raw const self.linked(invariant).codes[0];
        let step = self.activate(base, base, code);
        let flow = self.settle(step, base, base);
        let end = self.go_on(world, flow);
        self.leave_query();
        match end {
            End::Done(Value::TRUE) => End::Done(Value::TRUE),
            End::Done(_) => {
                let class = self.class_of(self.run.turn.twins[nth].value);
                let text = format!(
                    "the invariant `{}` of {} does not hold for {}",
                    self.symbols.name(self.linked(invariant).selector),
                    self.symbols.name(self.class(class).name),
                    self.run.turn.twins[nth].path
                );
                End::Failed(self.plain_fault(ExceptionKind::InvariantBroken.name(), text))
            }
            end @ (End::Failed(_) | End::NotYet) => end,
        }
    }

    /// Writes out what became of each twin, and hands over the rest.
    pub(crate) fn write_effects(&mut self) -> Result<Effects, Fault> {
        self.bring_of_others()?;
        let written = self.written_objects();
        let mut written = &written[..];
        let mut twins = Vec::new();
        let mut waited_for: FxHashSet<u64> = FxHashSet::default();
        for nth in 0..self.run.turn.twins.len() {
            let objects;
            (objects, written) = written.split_at(written.partition_point(|object| object.twin <= nth));
            let twin = &self.run.turn.twins[nth];
            // Made again after it was removed: the later entry speaks for the path.
            if self.run.turn.find(&twin.path) != Some(nth) {
                continue;
            }
            let change = if twin.removed {
                (twin.birth != Birth::Made || twin.replaces).then_some(TwinChange::Removed)
            } else if !self.is_changed(nth, !objects.is_empty() || twin.waits_otherwise()) {
                None
            } else {
                let mut waiting = twin.waiting.clone();
                let change = self.write_twin(nth, objects, &mut waiting)?;
                // Of these the answer is awaited from elsewhere.
                let new = waiting.into_iter().filter(|&promise| self.heap.number(promise) == 0);
                let open = new.filter(|&promise| !self.is_settled(promise));
                waited_for.extend(open.filter_map(|promise| self.promise_number(promise)));
                Some(change).filter(|change| match change {
                    TwinChange::Delta { delta, .. } => !delta.is_empty(),
                    TwinChange::Image(_) | TwinChange::Carried(_) | TwinChange::Removed => true,
                })
            };
            let path = &self.run.turn.twins[nth].path;
            twins.extend(change.map(|change| TwinEffect { path: path.clone(), change }));
        }
        let mut effects = std::mem::take(&mut self.run.turn.effects);
        effects.twins = twins;
        if !waited_for.is_empty() {
            for send in &mut effects.far_sends {
                send.wants_reply = waited_for.contains(&send.promise);
            }
        }
        Ok(effects)
    }

    /// The old objects that were written to, by twin and then by their number within it.
    fn written_objects(&self) -> SmallVec<[Written; 2]> {
        let mut written: SmallVec<[Written; 2]> = SmallVec::new();
        for (index, object) in self.heap.written_after(0).enumerate() {
            if let Some((twin, number)) = self.place_in_twin(object) {
                written.push(Written { twin, number, object, index });
            }
        }
        written.sort_by_key(|object| (object.twin, object.number));
        written
    }

    /// Brings in the parts of long collections that one twin has of another: they are written whole, as its own.
    fn bring_of_others(&mut self) -> Result<(), Fault> {
        if self.run.turn.all_brought() || self.run.turn.twins.len() == 1 {
            return Ok(());
        }
        for nth in 0..self.run.turn.twins.len() {
            if self.run.turn.twins[nth].removed {
                continue;
            }
            let brought = self.with_handles(|vm, first| {
                vm.push_slots(vm.run.turn.twins[nth].value);
                let waiting = vm.run.turn.twins[nth].waiting.clone();
                vm.run.handles.extend(waiting);
                vm.bring_reached(first, Some(nth))
            });
            if let Err(stop) = brought {
                return Err(self.fault_of_stop(stop));
            }
        }
        Ok(())
    }

    /// `objects`: those of it that were written to, by their number. `waiting`: its promises that wait, those that wait apart since before
    /// the turn left out; those of this turn that it keeps are added.
    fn write_twin(&mut self, nth: usize, objects: &[Written], waiting: &mut Vec<Value>) -> Result<TwinChange, Fault> {
        let mut apart = self.apart_now(nth).map_err(|error| self.decode_fault(&error))?;
        let twin = &self.run.turn.twins[nth];
        let path = twin.path.clone();
        let mut numbering = Numbering::of_twin(nth, twin.counter, waiting);
        let refused = |error: EncodeError| self.not_storable_fault(&error, &format!("kept in {}", twin.path));
        let mut image = Vec::new();
        match twin.birth {
            Birth::Made => {
                let has_parts = self
                    .encode_image(twin.value, waiting, &Apart::default(), None, &mut numbering, &mut image)
                    .map_err(refused)?;
                let at_rest = if has_parts { Some(self.settled(&path, None, &image)?) } else { None };
                Ok(TwinChange::Image(Whole { bytes: image, at_rest }))
            }
            Birth::Carried => {
                let answered = twin.answered.as_ref().map(|answered| answered.number);
                let has_parts = self
                    .encode_image(twin.value, waiting, &apart, answered, &mut numbering, &mut image)
                    .map_err(refused)?;
                let at_rest = if has_parts || twin.has_parts || twin.apart.count > 0 {
                    let before = self.at_rest_before(&path)?;
                    Some(self.settled(&path, Some(&before), &image)?)
                } else {
                    None
                };
                Ok(TwinChange::Carried(Whole { bytes: image, at_rest }))
            }
            Birth::Loaded => {
                let mut delta = Vec::with_capacity(24);
                let new = waiting.split_off(twin.waiting_before - twin.settled.len());
                let written =
                    self.encode_delta(nth, objects, waiting, &new, &mut numbering, &mut delta).map_err(refused)?;
                if delta.is_empty() {
                    // The same values as before: nothing becomes of it.
                    return Ok(TwinChange::Delta { delta, at_rest: AtRest::default() });
                }
                if let Some(image) = self.with_slots_replaced(nth, &delta) {
                    debug_assert!(
                        written.has_parts || twin.has_parts || {
                            let mut whole = Vec::new();
                            self.encode_image(twin.value, waiting, &apart, None, &mut numbering, &mut whole)
                                .map_err(refused)?;
                            whole == image
                        },
                        "a twin with some slots replaced is what it is when all of it is written"
                    );
                    return Ok(TwinChange::Delta { delta, at_rest: AtRest { image, pieces: Vec::new() } });
                }
                if written.has_parts || twin.has_parts || written.holds || !twin.apart.held.is_empty() {
                    waiting.extend(new);
                    let before = self.at_rest_before(&path)?;
                    let at_rest =
                        self.with_pieces(&path, |vm, pieces| vm.shapes.apply_delta(&before, pieces, &delta))?;
                    return Ok(TwinChange::Delta { delta, at_rest });
                }
                apart.count += written.promises.len() as u32;
                self.encode_image(twin.value, waiting, &apart, None, &mut numbering, &mut image).map_err(refused)?;
                waiting.extend(new);
                let mut pieces = written.promises;
                if let Some(answered) = &twin.answered {
                    pieces.push(PieceChange { number: PROMISE_PIECE | answered.number, bytes: None });
                }
                pieces.sort_unstable_by_key(|piece| piece.number);
                Ok(TwinChange::Delta { delta, at_rest: AtRest { image, pieces } })
            }
        }
    }

    /// The twin as it is now, if all that changed are values in slots where others stood: then it need not be written whole.
    fn with_slots_replaced(&self, nth: usize, delta: &[u8]) -> Option<Vec<u8>> {
        let mut world = self.run.world?;
        let Answer::Here(Some(before)) = world.near_twin(&self.run.turn.twins[nth].path) else { return None };
        self.shapes.with_slots_replaced(before, delta)
    }

    // ---- twins with parts of long collections: what replay does, so that it gives the same ----

    /// A twin that its record has whole, as it is kept.
    fn settled(&mut self, path: &str, before: Option<&[u8]>, whole: &[u8]) -> Result<AtRest, Fault> {
        self.with_pieces(path, |vm, pieces| vm.shapes.settle(whole, before.map(|before| (before, pieces))))
    }

    /// The twin as it was before the turn.
    fn at_rest_before(&mut self, path: &str) -> Result<Vec<u8>, Fault> {
        match self.run.world.as_mut().map(|world| world.near_twin(path)) {
            Some(Answer::Here(Some(image))) => Ok(image.to_vec()),
            Some(Answer::Here(None)) | None => Err(self.missing(path)),
            Some(Answer::NotYet) => {
                self.run.turn.not_yet = true;
                Err(self.missing(path))
            }
        }
    }

    /// Does `work` with the pieces that the twin had before the turn.
    fn with_pieces(
        &mut self,
        path: &str,
        work: impl FnOnce(&Vm, Pieces<'_>) -> Result<AtRest, DecodeError>,
    ) -> Result<AtRest, Fault> {
        let mut world = self.run.world;
        let mut not_yet = false;
        let mut piece = |number| match world.as_mut()?.piece(path, number) {
            Answer::Here(bytes) => bytes.map(<[u8]>::to_vec),
            Answer::NotYet => {
                not_yet = true;
                None
            }
        };
        let at_rest = work(self, &mut piece);
        self.run.turn.not_yet |= not_yet;
        at_rest.map_err(|error| self.decode_fault(&error))
    }

    /// The number of an object within the `nth` twin of the turn, if it belongs to that one.
    pub(crate) fn number_within(&self, object: Value, nth: usize) -> Option<u32> {
        let (twin, number) = self.place_in_twin(object)?;
        (twin == nth).then_some(number)
    }

    /// The twin of the turn that an old object belongs to, and its number within that.
    pub(crate) fn place_in_twin(&self, object: Value) -> Option<(usize, u32)> {
        // What is new or permanent has no number.
        self.run.turn.split(self.heap.number(object))
    }

    // ---- faults ----

    pub(crate) fn plain_fault(&self, kind: &str, text: String) -> Fault {
        Fault { kind: kind.to_owned(), text, trace: Vec::new() }
    }

    pub(crate) fn missing(&self, path: &str) -> Fault {
        self.plain_fault(ExceptionKind::NoSuchTwin.name(), format!("there is no twin at {path}"))
    }

    pub(crate) fn taken(&self, path: &str, twin: Value) -> Fault {
        let text = format!("the path {path} is taken: a {} lives there", self.class_name(twin));
        self.plain_fault(ExceptionKind::PathError.name(), text)
    }

    pub(crate) fn far_send_fault(&self, twin: Value, selector: Symbol) -> Fault {
        let text = format!(
            "`{0}` of {1} is no query, so another composite cannot wait for it: send it far, as `... ! {0}`, or declare it `query`",
            self.symbols.name(selector),
            self.class_name(twin),
        );
        self.plain_fault(ExceptionKind::FarSend.name(), text)
    }

    pub(crate) fn not_storable_fault(&self, error: &EncodeError, what: &str) -> Fault {
        match error {
            EncodeError::NotStorable { prototype } => {
                let text = format!("an object of {prototype} cannot be {what}: it is good for its own turn only");
                self.plain_fault(ExceptionKind::NotStorable.name(), text)
            }
            EncodeError::Promise => {
                let text = format!("a promise cannot be {what}: it stays with the twin that made it");
                self.plain_fault(ExceptionKind::NotStorable.name(), text)
            }
            EncodeError::TooLarge => self.too_large(),
            EncodeError::Path(wrong) => self.plain_fault(ExceptionKind::PathError.name(), wrong.clone()),
        }
    }

    /// The stop of a value that cannot be written: `text` says so of its prototype.
    pub(crate) fn refuse_to_write(&mut self, error: EncodeError, text: impl FnOnce(&str) -> String) -> Stop {
        match error {
            EncodeError::NotStorable { prototype } => self.raise(ExceptionKind::NotStorable, text(&prototype)),
            EncodeError::Promise => {
                let text = "a promise stays with the twin that made it: send what it is answered, when that is there";
                self.raise(ExceptionKind::NotStorable, text)
            }
            EncodeError::TooLarge => self.stop_too_large(),
            EncodeError::Path(wrong) => self.raise(ExceptionKind::PathError, wrong),
        }
    }

    /// The fault of a turn that leaves more than a record holds.
    pub(crate) fn too_large(&self) -> Fault {
        self.plain_fault("RecordTooLarge", "the turn leaves more than the 16 MiB that a record may have".to_owned())
    }

    fn stop_too_large(&mut self) -> Stop {
        let text = self.too_large().text;
        self.fault("RecordTooLarge", text)
    }

    /// Counts `bytes` that the turn is to leave.
    ///
    /// # Errors
    /// The fault of a turn that leaves more than a record holds, which no handler sees.
    pub(crate) fn leave(&mut self, bytes: usize) -> Result<(), Stop> {
        if self.run.turn.leaves(bytes) { Ok(()) } else { Err(self.stop_too_large()) }
    }

    pub(crate) fn decode_fault(&self, error: &DecodeError) -> Fault {
        let kind = match error {
            DecodeError::Damaged(_) => "Damaged",
            DecodeError::UnknownPrototype(_) => return self.plain_fault("UnknownPrototype", error.to_string()),
            DecodeError::OutOfMemory => "OutOfMemory",
        };
        self.plain_fault(kind, error.to_string())
    }

    /// The fault behind a stop outside of any code: a limit.
    pub(crate) fn fault_of_stop(&mut self, stop: Stop) -> Fault {
        if stop == Stop::Raise
            && let Some((class, text)) = self.run.raise.take()
        {
            let kind = self.symbols.name(self.class(class).name).to_owned();
            return self.plain_fault(&kind, text);
        }
        self.run.fault.take().unwrap_or_else(|| self.plain_fault("OutOfMemory", "the turn passed a limit".to_owned()))
    }

    pub(crate) fn twin_class(&self, name: &str) -> Result<ClassId, Fault> {
        let class = self
            .symbols
            .find(name)
            .and_then(|symbol| self.prototype_named(symbol))
            .and_then(|prototype| self.class_of_prototype(prototype));
        match class {
            Some(class) if self.class(class).kind == ClassKind::Twin => Ok(class),
            Some(_) => Err(self.plain_fault(ExceptionKind::PathError.name(), format!("{name} is no twin definition"))),
            None => Err(self.plain_fault(ExceptionKind::PathError.name(), format!("there is no definition of {name}"))),
        }
    }

    /// A value in a fault's text, short and without running code.
    fn describe(&self, value: Value) -> String {
        match value.kind() {
            Kind::Nil => "nil".to_owned(),
            Kind::Boolean(boolean) => boolean.to_string(),
            Kind::Integer(integer) => integer.to_string(),
            Kind::Float(float) => format!("{float:?}"),
            Kind::Character(character) => format!("${character}"),
            Kind::Symbol(number) => format!("#{}", self.symbols.name(Symbol(number))),
            Kind::Part(_) => "a part of a list".to_owned(),
            Kind::Pointer => match (self.path_of(value), self.as_text(value)) {
                (Some(path), _) => path.to_owned(),
                (None, Some(text)) => {
                    let short: String = text.chars().take(40).collect();
                    format!("'{short}'")
                }
                (None, None) => self.quantity_text(value).unwrap_or_else(|| "an object".to_owned()),
            },
        }
    }
}

fn literal_text(literal: &Literal) -> String {
    match literal {
        Literal::Integer(integer) => integer.to_string(),
        Literal::Float(bits) => format!("{:?}", f64::from_bits(*bits)),
        Literal::ScaledDecimal { digits, scale } => format!("{digits}e-{scale}"),
        Literal::LargeInteger { .. }
        | Literal::Nil
        | Literal::True
        | Literal::False
        | Literal::Character(_)
        | Literal::String(_)
        | Literal::Symbol(_)
        | Literal::Array(_)
        | Literal::Bytes(_) => "its bound".to_owned(),
    }
}
