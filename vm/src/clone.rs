//! `cloneAs:`: a twin and its parts as bytes, and a new twin from these.
//!
//! What a clone is made from travels as the arguments of the message [`CLONE`](crate::turn::CLONE): a reference to the
//! original, then for each twin, the original first, its path below that and its slots, as an object of its shape. So a
//! record of the message says all that the new twins start with, and a program upgraded meanwhile carries
//! them over like twins at rest.
//!
//! The copy is the original's own: references to the original and to what lies below it are written as references
//! to the clone and what lies below that. Promises stay behind as nil. Slots that are not stored, `transient` ones,
//! start with their initialisers. `created` is not sent; timers are started.
//!
//! The bytes may come from anywhere: nothing in them makes reading panic.

use crate::class::{ClassKind, Target};
use crate::codec::{DecodeError, EncodeError, Encoder, Fail, Met, Numbering, Reader, put_bytes, put_number, tag};
use crate::drive::{Asked, End};
use crate::fault::{ExceptionKind, Fault};
use crate::heap;
use crate::interpret::Flow;
use crate::reference::check_path;
use crate::symbol::Symbol;
use crate::tree::Tree;
use crate::turn::Birth;
use crate::value::Value;
use crate::vm::Vm;
use crate::world::Answer;

/// A path, and the one that takes its place, for all below it too.
pub(crate) struct Move<'a> {
    pub from: &'a str,
    pub to: &'a str,
}

impl Move<'_> {
    /// Where `path` lies below the one that moves; empty for that itself.
    fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.from)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }

    /// `path`, or where it has moved.
    ///
    /// # Errors
    /// In words, when no path leads there.
    pub fn apply(&self, path: &str) -> Result<String, String> {
        let Some(below) = self.below(path) else { return Ok(path.to_owned()) };
        let moved = join(self.to, below);
        check_path(&moved)?;
        Ok(moved)
    }
}

fn join(path: &str, below: &str) -> String {
    if below.is_empty() { path.to_owned() } else { format!("{path}/{below}") }
}

impl Vm {
    /// Answers what a clone at `to` is made from of the twin at `from`. `None`: not known yet.
    pub(crate) fn answer_clone_image(
        &mut self,
        world: &mut Asked<'_>,
        from: &str,
        to: &str,
    ) -> Result<Option<Flow>, Fault> {
        let Asked::Turn(turn_world) = world else { unreachable!("a program has no twins of its own") };
        let Answer::Here(committed) = turn_world.parts(from) else { return Ok(None) };
        let mut paths = vec![from.to_owned()];
        paths.extend(self.parts_now(from, committed));
        let mut twins = Vec::with_capacity(paths.len());
        for path in &paths {
            let Some(there) = self.bring(world, path)? else { return Ok(None) };
            twins.extend(there);
        }
        let brought = self.with_handles(|vm, first| {
            for &nth in &twins {
                vm.push_slots(vm.run.turn.twins[nth].value);
            }
            vm.bring_reached(first, None)
        });
        if let Err(stop) = brought {
            return Err(self.fault_of_stop(stop));
        }
        let mut bytes = Vec::new();
        match self.encode_clone(&Move { from, to }, &twins, &mut bytes) {
            Ok(()) => {}
            Err(EncodeError::Path(wrong)) => {
                let fault = self.plain_fault(ExceptionKind::PathError.name(), wrong);
                return Ok(Some(self.raise_answer(fault)));
            }
            Err(error @ (EncodeError::NotStorable { .. } | EncodeError::Promise)) => {
                let fault = self.not_storable_fault(&error, "in a clone");
                return Ok(Some(self.raise_answer(fault)));
            }
            Err(EncodeError::TooLarge) => return Err(self.too_large()),
        }
        match self.allocate_bytes(self.known.byte_array, bytes.len(), 0) {
            Ok(image) => {
                self.heap.init_bytes(image).copy_from_slice(&bytes);
                self.heap.set_flags(image, heap::IMMUTABLE);
                self.put_answer(image);
                Ok(Some(Flow::Go))
            }
            Err(stop) => Err(self.fault_of_stop(stop)),
        }
    }

    /// Makes the clone at `path`, with its parts, in this turn. `None`: not known yet. The inner fault is one of the
    /// message alone; the outer ends the turn.
    pub(crate) fn make_clone(
        &mut self,
        world: &mut Asked<'_>,
        path: &str,
        arguments: &[u8],
    ) -> Result<Option<Result<Value, Fault>>, Fault> {
        match self.parent_is_there(world, path)? {
            Some(Ok(())) => {}
            Some(Err(fault)) => return Ok(Some(Err(fault))),
            None => return Ok(None),
        }
        match self.bring(world, path)? {
            Some(None) => {}
            Some(Some(nth)) => return Ok(Some(Err(self.taken(path, self.run.turn.twins[nth].value)))),
            None => return Ok(None),
        }
        let unfinished = self.run.turn.unfinished.len();
        let made = match self.decode_clone(path, arguments) {
            Ok(made) => made,
            Err(error) => return Err(self.decode_fault(&error)),
        };
        // The objects of all of them are in one list.
        if self.complete_objects(world, made[0].0, unfinished)?.is_none() {
            return Ok(None);
        }
        for &(nth, shape) in &made {
            let whole = self.is_whole(self.run.turn.twins[nth].value, shape, unfinished);
            if !whole && self.complete(world, nth, shape, unfinished)?.is_none() {
                return Ok(None);
            }
        }
        for &(nth, _) in &made {
            let twin = self.run.turn.twins[nth].value;
            if let Some(Target::Method(start)) = self.lookup(self.class_of(twin), self.selectors.start_timers) {
                match self.call_inside(world, start, twin, twin) {
                    End::Done(_) => {}
                    End::Failed(fault) => return Err(fault),
                    End::NotYet => return Ok(None),
                }
            }
        }
        let (original, _) = made[0];
        Ok(Some(Ok(self.run.turn.twins[original].value)))
    }

    /// Whether `bytes` are the arguments of a clone, as far as can be seen without making one.
    pub(crate) fn is_clone_image(&self, bytes: &[u8]) -> bool {
        let is_twin = |name: &str| self.find_class(name).is_some_and(|class| self.class(class).kind == ClassKind::Twin);
        match Tree::from_arguments(bytes, &self.shapes).as_deref() {
            Ok([Tree::Reference(..), twins @ ..]) if !twins.is_empty() && twins.len() % 2 == 0 => twins
                .chunks_exact(2)
                .all(|twin| matches!(twin, [Tree::String(_), Tree::Object { prototype, .. }] if is_twin(prototype))),
            Ok(_) | Err(_) => false,
        }
    }

    /// Writes the twins, the one that moves first.
    fn encode_clone(&self, moved: &Move<'_>, twins: &[usize], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        put_number(out, 1 + 2 * twins.len() as u64);
        out.push(tag::REFERENCE);
        put_bytes(out, moved.from.as_bytes());
        let original = self.run.turn.twins[twins[0]].value;
        put_bytes(out, self.kind_of_twin(original).unwrap_or_default().as_bytes());
        let mut numbering = Numbering::of_message();
        let mut encoder = Encoder::new(self, &mut numbering, out, false);
        encoder.moved = Some(moved);
        for &nth in twins {
            let twin = &self.run.turn.twins[nth];
            let below = moved.below(&twin.path).expect("it lies below the original");
            moved.apply(&twin.path).map_err(EncodeError::Path)?;
            encoder.out.push(tag::STRING);
            put_bytes(encoder.out, below.as_bytes());
            encoder.twin(twin.value)?;
        }
        Ok(())
    }

    /// Reads the twins into the turn, each made in it; answers which they are, and with which shape each was written.
    fn decode_clone(&mut self, path: &str, bytes: &[u8]) -> Result<Vec<(usize, u32)>, DecodeError> {
        let handles = self.run.handles.len();
        let made = self.read_clone(path, bytes);
        self.run.handles.truncate(handles);
        made.map_err(Fail::into_error)
    }

    fn read_clone(&mut self, path: &str, bytes: &[u8]) -> Result<Vec<(usize, u32)>, Fail> {
        const WRONG: DecodeError = DecodeError::Damaged("arguments that no clone is made from");
        let mut reader = Reader::new(bytes);
        let count = reader.length()?;
        if count < 3 || count % 2 == 0 || reader.byte()? != tag::REFERENCE {
            return Err(WRONG.into());
        }
        reader.text()?;
        reader.text()?;
        let mut met = Met::at_rest();
        let mut made = Vec::with_capacity(count / 2);
        for nth in 0..count / 2 {
            if reader.byte()? != tag::STRING {
                return Err(WRONG.into());
            }
            let below = reader.text()?;
            let path = join(path, below);
            let taken = matches!(self.run.turn.twin_at(&path), Some(Some(_)));
            if below.is_empty() != (nth == 0) || taken || check_path(&path).is_err() || reader.byte()? != tag::OBJECT {
                return Err(WRONG.into());
            }
            reader.number32()?;
            let shape = reader.number32()?;
            let handle = self.read_twin(&mut reader, &path, shape, &mut met, None)?;
            let old_slots: Vec<(Symbol, Value)> = self.old_slots(handle, shape);
            let nth = self.run.turn.add(&path, self.run.handles[handle], Birth::Made, 1);
            self.run.turn.twins[nth].old_slots = old_slots;
            made.push((nth, shape));
        }
        self.note_unfinished(&met);
        if reader.is_empty() { Ok(made) } else { Err(WRONG.into()) }
    }
}
