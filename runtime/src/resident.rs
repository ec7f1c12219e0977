//! Twins in memory, in their compact form.
//!
//! An idle twin is one run of bytes: where it stands in the log, its life, its path, and its state as the VM
//! writes it. The runs lie in a [`Slab`], the table over them holds nothing but their handles, and the path is read
//! from the bytes. A path that was removed stays known, so that its next life gets the next number.
//!
//! The root of a composite carries what belongs to all of it: the number of its last turn.
//!
//! The same bytes, without path and position, are a row of the table `state` (`spec/record.md`, "Rows").

use std::cell::Cell;
use std::hash::{BuildHasher, BuildHasherDefault};

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use twintalk_store::Position;

use crate::pieces::Pieces;
use crate::slab::{Handle, Slab};

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View<'a> {
    /// The path.
    pub path: &'a str,
    /// Whether memory is ahead of the row.
    pub dirty: bool,
    /// Whether there is a twin; else one was removed.
    pub exists: bool,
    /// Which life of the path it is, or was: from 1.
    pub life: u64,
    /// The last record that lists it.
    pub last: Position,
    /// For a root: the last turn of the composite.
    pub turn: u64,
    /// The twin at rest; empty if there is none.
    pub image: &'a [u8],
}

const DIRTY: u8 = 1;
const EXISTS: u8 = 2;
/// A turn or a query has asked for it since [`Residents::drop_idle`] last looked.
const USED: u8 = 4;

/// Writes what is known of a path as one run of bytes.
fn write(view: &View<'_>, bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.push(USED | if view.dirty { DIRTY } else { 0 } | if view.exists { EXISTS } else { 0 });
    put_number(bytes, view.path.len() as u64);
    bytes.extend_from_slice(view.path.as_bytes());
    put_number(bytes, view.last.block);
    put_number(bytes, u64::from(view.last.index));
    put_number(bytes, view.life);
    put_number(bytes, view.turn);
    bytes.extend_from_slice(view.image);
}

/// The bytes of the path in a run, and what comes after them.
#[inline]
fn split_path(run: &[u8]) -> (&[u8], &[u8]) {
    let mut rest = &run[1..];
    let length = get_number(&mut rest).expect("written by `write`") as usize;
    rest.split_at(length)
}

/// What a run says.
fn read(run: &[u8]) -> View<'_> {
    let path = std::str::from_utf8(split_path(run).0).expect("written from a path");
    read_of(path, run)
}

/// What the run of `path` says.
fn read_of<'a>(path: &'a str, run: &'a [u8]) -> View<'a> {
    let (_, mut rest) = split_path(run);
    let mut number = || get_number(&mut rest).expect("written by `write`");
    let last = Position { block: number(), index: number() as u32 };
    let (life, turn) = (number(), number());
    View { path, dirty: run[0] & DIRTY != 0, exists: run[0] & EXISTS != 0, life, last, turn, image: rest }
}

/// Every path that is in memory.
#[derive(Default)]
pub(crate) struct Residents {
    table: HashTable<Handle>,
    slab: Slab,
    dirty: usize,
    bytes: usize,
    scratch: Vec<u8>,
    /// The path that was looked for last: a turn asks for its receiver again and again.
    recent: Cell<Option<Handle>>,
    /// What twins keep apart.
    pub pieces: Pieces,
}

fn hash(path: &[u8]) -> u64 {
    BuildHasherDefault::<FxHasher>::default().hash_one(path)
}

impl Residents {
    /// Where what is known of `path` lies: until it is put again, or something is dropped.
    pub fn find(&self, path: &str) -> Option<Handle> {
        let path = path.as_bytes();
        let is_it = |handle: &Handle| split_path(self.slab.get(*handle)).0 == path;
        if let Some(handle) = self.recent.get().filter(is_it) {
            return Some(handle);
        }
        let found = self.table.find(hash(path), is_it).copied();
        self.recent.set(found.or(self.recent.get()));
        found
    }

    /// Notes that what lies there is in use.
    pub fn mark_used(&mut self, handle: Handle) {
        self.slab.get_mut(handle)[0] |= USED;
    }

    /// What lies there of `path`.
    pub fn at<'a>(&'a self, handle: Handle, path: &'a str) -> View<'a> {
        read_of(path, self.slab.get(handle))
    }

    /// What memory knows of `path`.
    pub fn get<'a>(&'a self, path: &'a str) -> Option<View<'a>> {
        self.find(path).map(|handle| self.at(handle, path))
    }

    /// The twin at rest, if there is one at `path`.
    pub fn image(&self, path: &str) -> Option<&[u8]> {
        self.image_at(self.find(path)?)
    }

    /// The twin at rest, if there is one.
    pub fn image_at(&self, handle: Handle) -> Option<&[u8]> {
        let run = self.slab.get(handle);
        if run[0] & EXISTS == 0 {
            return None;
        }
        // Position, life and turn are passed over.
        let mut rest = split_path(run).1;
        for _ in 0..4 {
            let last = rest.iter().position(|byte| byte & 0x80 == 0).expect("written by `write`");
            rest = &rest[last + 1..];
        }
        Some(rest)
    }

    /// Whether there is a twin.
    pub fn exists_at(&self, handle: Handle) -> bool {
        self.slab.get(handle)[0] & EXISTS != 0
    }

    /// Puts what is known of a path; answers where.
    pub fn put(&mut self, view: &View<'_>) -> Handle {
        let mut run = std::mem::take(&mut self.scratch);
        write(view, &mut run);
        let handle = self.put_run(view.path, &run);
        self.scratch = run;
        handle
    }

    fn put_run(&mut self, path: &str, run: &[u8]) -> Handle {
        self.bytes += run.len();
        self.dirty += usize::from(run[0] & DIRTY != 0);
        if let Some(handle) = self.find(path) {
            let old = self.slab.get(handle);
            self.bytes -= old.len();
            self.dirty -= usize::from(old[0] & DIRTY != 0);
            if self.slab.replace(handle, run) {
                return handle;
            }
            if let Ok(entry) = self.table.find_entry(hash(path.as_bytes()), |other| *other == handle) {
                entry.remove();
            }
            self.slab.remove(handle);
        }
        let handle = self.slab.insert(run);
        let slab = &self.slab;
        self.table.insert_unique(hash(path.as_bytes()), handle, |handle| hash(split_path(slab.get(*handle)).0));
        self.recent.set(Some(handle));
        handle
    }

    /// Moves a path that is in memory on to a later record or turn; answers whether there is a twin, if it is in memory.
    pub fn advance(&mut self, path: &str, last: Option<Position>, turn: Option<u64>) -> Option<bool> {
        let handle = self.find(path)?;
        let old = read_of(path, self.slab.get(handle));
        let was_dirty = old.dirty;
        let new = View { dirty: true, last: last.unwrap_or(old.last), turn: turn.unwrap_or(old.turn), ..old };
        let start = 1 + number_bytes(path.len() as u64) + path.len();
        let new_bytes = place_bytes(&new);
        if place_bytes(&old) != new_bytes {
            let mut run = std::mem::take(&mut self.scratch);
            write(&new, &mut run);
            let exists = new.exists;
            self.put_run(path, &run);
            self.scratch = run;
            return Some(exists);
        }
        // Most often the numbers take as many bytes as before, so nothing is copied.
        let mut place = [0; PLACE_BYTES_MAX];
        put_place(&new, &mut place);
        let run = self.slab.get_mut(handle);
        run[start..start + new_bytes].copy_from_slice(&place[..new_bytes]);
        run[0] |= DIRTY;
        self.dirty += usize::from(!was_dirty);
        Some(run[0] & EXISTS != 0)
    }

    /// Calls `visit` with each path whose row is behind.
    pub fn for_each_dirty(&self, mut visit: impl FnMut(View<'_>)) {
        if self.dirty > 0 {
            let runs = self.table.iter().map(|handle| self.slab.get(*handle));
            runs.filter(|run| run[0] & DIRTY != 0).for_each(|run| visit(read(run)));
        }
    }

    /// All rows have been written.
    pub fn all_clean(&mut self) {
        if self.dirty > 0 {
            let slab = &mut self.slab;
            self.table.iter().for_each(|handle| slab.get_mut(*handle)[0] &= !DIRTY);
            self.dirty = 0;
        }
    }

    /// Forgets everything that its row knows too.
    pub fn drop_clean(&mut self) {
        self.pieces.drop_clean();
        if self.dirty == 0 {
            let pieces = std::mem::take(&mut self.pieces);
            *self = Residents { pieces, ..Residents::default() };
            return;
        }
        self.retain(|run| run[0] & DIRTY != 0);
    }

    /// Forgets of what its row knows too so much that no more than `bytes_max` are left, if there is that much. What was not in
    /// use since it was last called goes first: the second chance of Corbató's clock (1969), in the order of the table.
    pub fn drop_idle(&mut self, bytes_max: usize) {
        self.pieces.drop_clean();
        for _ in 0..2 {
            let mut bytes = self.bytes();
            self.retain(|run| {
                let stays = run[0] & (DIRTY | USED) != 0 || bytes <= bytes_max;
                if !stays {
                    bytes -= run.len();
                } else if bytes > bytes_max {
                    run[0] &= !USED;
                }
                stays
            });
        }
    }

    /// Forgets the runs that `stays` answers false for.
    fn retain(&mut self, mut stays: impl FnMut(&mut [u8]) -> bool) {
        self.recent.set(None);
        let (slab, bytes) = (&mut self.slab, &mut self.bytes);
        self.table.retain(|handle| {
            let run = slab.get_mut(*handle);
            let stays = stays(run);
            if !stays {
                *bytes -= run.len();
                slab.remove(*handle);
            }
            stays
        });
        let slab = &self.slab;
        self.table.shrink_to_fit(|handle| hash(split_path(slab.get(*handle)).0));
    }

    /// How many paths' rows are behind.
    pub fn dirty(&self) -> usize {
        self.dirty
    }

    /// How many paths are in memory.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// How many bytes they take with their pieces, the tables left out.
    pub fn bytes(&self) -> usize {
        self.bytes + self.pieces.bytes()
    }

    /// Every path in memory.
    pub fn iter(&self) -> impl Iterator<Item = View<'_>> {
        self.table.iter().map(|handle| read(self.slab.get(*handle)))
    }
}

/// How many bytes the numbers between path and image take at most.
const PLACE_BYTES_MAX: usize = 4 * 10;

fn number_bytes(number: u64) -> usize {
    (64 - number.leading_zeros()).div_ceil(7).max(1) as usize
}

fn place_bytes(view: &View<'_>) -> usize {
    number_bytes(view.last.block)
        + number_bytes(u64::from(view.last.index))
        + number_bytes(view.life)
        + number_bytes(view.turn)
}

/// Writes the numbers between path and image as [`write`] does.
fn put_place(view: &View<'_>, out: &mut [u8]) {
    let mut at = 0;
    for mut number in [view.last.block, u64::from(view.last.index), view.life, view.turn] {
        while number >= 0x80 {
            out[at] = number as u8 | 0x80;
            number >>= 7;
            at += 1;
        }
        out[at] = number as u8;
        at += 1;
    }
}

/// Appends `number` as LEB128.
pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Takes a number off the front; `None` if the bytes end or the number is too long.
#[inline]
pub(crate) fn get_number(bytes: &mut &[u8]) -> Option<u64> {
    // Most are small.
    if let Some((&byte @ 0..0x80, rest)) = bytes.split_first() {
        *bytes = rest;
        return Some(u64::from(byte));
    }
    get_long_number(bytes)
}

fn get_long_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The row of a path.
pub(crate) fn write_row(view: &View<'_>, out: &mut Vec<u8>) {
    out.clear();
    out.push(if view.exists { EXISTS } else { 0 });
    put_number(out, view.life);
    put_number(out, view.turn);
    out.extend_from_slice(view.image);
}

/// What a row says of the path; `None` when it is damaged.
pub(crate) fn read_row<'a>(path: &'a str, position: Position, row: &'a [u8]) -> Option<View<'a>> {
    let (&flags, mut rest) = row.split_first()?;
    let life = get_number(&mut rest)?;
    let turn = get_number(&mut rest)?;
    if flags & !EXISTS != 0 {
        return None;
    }
    Some(View { path, dirty: false, exists: flags & EXISTS != 0, life, last: position, turn, image: rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view<'a>(path: &'a str, dirty: bool, image: &'a [u8]) -> View<'a> {
        View { path, dirty, exists: true, life: 1, last: Position { block: 300, index: 7 }, turn: 200, image }
    }

    #[test]
    fn what_is_put_is_found_again_and_the_later_counts() {
        let mut residents = Residents::default();
        residents.put(&view("plant-1/pump", true, &[1, 2, 3]));
        residents.put(&view("plant-1", false, &[]));
        residents.put(&view("plant-1/pump", false, &[4]));
        assert_eq!(residents.get("plant-1/pump"), Some(view("plant-1/pump", false, &[4])));
        assert_eq!((residents.len(), residents.dirty()), (2, 0));
        assert_eq!(residents.get("plant"), None);
    }

    #[test]
    fn a_path_moves_on_whatever_length_its_numbers_have() {
        let mut residents = Residents::default();
        residents.put(&view("a", false, &[1, 2]));
        for turn in [1, 127, 128, 200, 1 << 40, u64::MAX, 5] {
            let last = Position { block: turn >> 16, index: turn as u32 };
            assert_eq!(residents.advance("a", Some(last), Some(turn)), Some(true));
            let wanted = View { last, turn, ..view("a", true, &[1, 2]) };
            assert_eq!(residents.get("a"), Some(wanted));
            let mut fresh = Residents::default();
            fresh.put(&wanted);
            assert_eq!((residents.bytes(), residents.dirty()), (fresh.bytes(), 1));
        }
        assert_eq!(residents.advance("b", None, Some(1)), None);
    }

    #[test]
    fn only_what_its_row_knows_is_dropped() {
        let mut residents = Residents::default();
        residents.put(&view("a", true, &[1]));
        residents.put(&view("b", false, &[2]));
        residents.drop_clean();
        assert!(residents.get("a").is_some() && residents.get("b").is_none());
        residents.all_clean();
        residents.drop_clean();
        assert_eq!((residents.len(), residents.bytes()), (0, 0));
    }

    #[test]
    fn what_was_not_in_use_is_forgotten_first_and_what_has_no_row_never() {
        let mut residents = Residents::default();
        for number in 0..100 {
            residents.put(&view(&format!("t{number:02}"), number < 10, &[1; 20]));
        }
        let each = residents.bytes() / 100;
        residents.drop_idle(80 * each);
        assert_eq!((residents.len(), residents.bytes()), (80, 80 * each), "all were in use");
        let kept: Vec<String> = residents.iter().map(|view| view.path.to_owned()).collect();
        let (hot, cold) = kept[..].split_at(30);
        for path in hot {
            let handle = residents.find(path).expect("it stayed");
            residents.mark_used(handle);
        }
        residents.drop_idle(45 * each);
        assert_eq!(residents.len(), 45);
        assert!(hot.iter().all(|path| residents.find(path).is_some()));
        assert!(cold.iter().any(|path| residents.find(path).is_none()));
        residents.drop_idle(0);
        assert_eq!((residents.len(), residents.dirty()), (10, 10));
    }

    #[test]
    fn a_row_says_what_the_twin_is() {
        let twin = view("plant-1", false, &[9, 9]);
        let mut row = Vec::new();
        write_row(&twin, &mut row);
        assert_eq!(read_row("plant-1", twin.last, &row), Some(twin));
        assert_eq!(read_row("plant-1", twin.last, &[]), None);
    }
}
