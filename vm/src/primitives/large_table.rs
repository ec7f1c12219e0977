//! Sets and dictionaries in parts: tables of any size, of which a step touches a few parts.
//!
//! `entries` is the root of a tree of parts (`part.rs`) with the *rows* of the table, in the order in which they came: of each its
//! link, its key, and in a dictionary its value; as many to a leaf as fit. `index` is a header: how many values a row has, how many
//! *chains* there are, two counts for the sweep, and the root of a tree with the place of the first row of each chain. The
//! link of a row is its hash and the place of the next row of its chain. Places count rows from 1; a row that is free has no link.
//!
//! The chains grow one at a time (Litwin 1980, *Linear hashing*): a table with more rows than chains divides one of them in two, one with
//! less than half as many puts two together. So no turn hashes a table anew, and each leaves what it changed and a few links.
//!
//! Where a row is removed is a hole, and a leaf of holes is dropped. When more than half of the rows are holes, each
//! row that is added moves up to two others down, the first ones first: those before `to` lie close together, from `to` to `from` are
//! holes, from `from` on lie those that are still to be moved. Rows never pass each other.
//!
//! Links are not trusted: a chain that is longer than the table is refused.

use crate::part::{HEADER, LEAF, Place, Root, span};
use crate::primitive::{Stop, Window};
use crate::primitives::hashed::{ENTRIES, Entry, INDEX, SIZE, Table, USED};
use crate::value::Value;
use crate::vm::Vm;

const ROWS: Root = Root::Slot(ENTRIES);
const CHAINS: Root = Root::Header(INDEX);

/// What a header has before its root.
const STRIDE: usize = 0;
const CHAIN_COUNT: usize = 1;
const TO: usize = 2;
const FROM: usize = 3;

/// No table has fewer chains.
const CHAINS_MIN: usize = 64;
/// Places that fit a link.
const PLACES_MAX: usize = u32::MAX as usize;
/// Steps along a chain that cost nothing.
const STEPS_FREE: usize = 16;
/// How many rows one that is added moves at most, and how many it looks at.
const SWEEP_MOVES: usize = 2;
const SWEEP_LOOKS: usize = 32;
/// Holes that no table minds.
const HOLES_FREE: usize = 256;

/// A table in parts.
#[derive(Clone, Copy)]
pub(super) struct Large {
    /// How many values a row has: 1 in a set, 2 in a dictionary.
    pub stride: usize,
    chains: usize,
    to: usize,
    from: usize,
    size: usize,
    /// How many rows there are, holes among them.
    pub used: usize,
    of_program: bool,
}

/// A row that was found.
struct Row {
    leaf: Value,
    /// The index of its link in the leaf; key and value follow.
    at: usize,
    link: Entry,
}

impl Large {
    /// The table that is the receiver.
    pub fn read(vm: &mut Vm, window: Window, table: Table) -> Result<Large, Stop> {
        let header = vm.part_slot(window, INDEX)?;
        if vm.is_header(header) {
            let number = |index| {
                vm.heap.part_element(header, index).as_integer().and_then(|number| usize::try_from(number).ok())
            };
            if let (Some(stride @ 1..=2), Some(chains), Some(to), Some(from)) =
                (number(STRIDE), number(CHAIN_COUNT), number(TO), number(FROM))
                && (CHAINS_MIN..=PLACES_MAX).contains(&chains)
                && to <= from
                && from <= table.used
                && table.used < PLACES_MAX
            {
                let Table { size, used, of_program, .. } = table;
                return Ok(Large { stride, chains, to, from, size, used, of_program });
            }
        }
        Err(vm.wrong_parts(window))
    }

    /// How many rows a leaf has.
    fn rows_of_leaf(self) -> usize {
        LEAF / (self.stride + 1)
    }

    /// The position of the row at `place`.
    fn position(self, place: usize) -> usize {
        let nth = place - 1;
        nth / self.rows_of_leaf() * LEAF + nth % self.rows_of_leaf() * (self.stride + 1)
    }

    /// The chain of a hash, in a table with `chains` of them.
    fn chain_among(hash: u64, chains: usize) -> usize {
        let mask = chains.next_power_of_two() - 1;
        let chain = (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        if chain < chains { chain } else { chain & (mask >> 1) }
    }

    fn chain(self, hash: u64) -> usize {
        Large::chain_among(hash, self.chains)
    }

    /// The row at `place`, unless there is a hole.
    fn row(self, vm: &mut Vm, window: Window, place: usize) -> Result<Option<Row>, Stop> {
        if !(1..=self.used).contains(&place) {
            return Ok(None);
        }
        let position = self.position(place);
        let Some(leaf) = vm.leaf(window, ROWS, position)? else { return Ok(None) };
        let at = position % LEAF;
        Ok(Entry::read(vm.heap.part_element(leaf, at)).map(|link| Row { leaf, at, link }))
    }

    /// A row of a chain, which is not to be a hole. `steps`: how many were there before it.
    fn linked(self, vm: &mut Vm, window: Window, place: usize, steps: &mut usize) -> Result<Row, Stop> {
        *steps += 1;
        if *steps > STEPS_FREE {
            vm.charge(1)?;
        }
        match self.row(vm, window, place)? {
            Some(row) if *steps <= self.used => Ok(row),
            Some(_) | None => Err(vm.wrong_parts(window)),
        }
    }

    /// The place of the first row of a chain; 0: it has none.
    fn first_of_chain(self, vm: &mut Vm, window: Window, chain: usize) -> Result<usize, Stop> {
        if chain >= span(vm.root_height(window, CHAINS)?) {
            return Ok(0);
        }
        let first = match vm.leaf(window, CHAINS, chain)? {
            Some(leaf) => vm.heap.part_element(leaf, chain % LEAF).as_integer().unwrap_or(0),
            None => 0,
        };
        usize::try_from(first).map_err(|_| vm.wrong_parts(window))
    }

    fn set_first_of_chain(self, vm: &mut Vm, window: Window, chain: usize, place: usize) -> Result<(), Stop> {
        while chain >= span(vm.root_height(window, CHAINS)?) {
            vm.raise_root(window, CHAINS, 0)?;
        }
        let leaf = vm.leaf_to_fill(window, CHAINS, chain)?;
        vm.set_part_element(leaf, chain % LEAF, if place == 0 { Value::NIL } else { Value::small(place as i64) })
    }

    fn set_link(self, vm: &mut Vm, window: Window, place: usize, link: Entry) -> Result<(), Stop> {
        match self.row(vm, window, place)? {
            Some(Row { leaf, at, .. }) => vm.set_part_element(leaf, at, link.write()),
            None => Err(vm.wrong_parts(window)),
        }
    }

    /// What names the row at `place` in its chain names the one at `other` from now on.
    fn relink(self, vm: &mut Vm, window: Window, hash: u64, place: usize, other: usize) -> Result<(), Stop> {
        let chain = self.chain(hash);
        let mut before = self.first_of_chain(vm, window, chain)?;
        if before == place {
            return self.set_first_of_chain(vm, window, chain, other);
        }
        let mut steps = 0;
        loop {
            let link = self.linked(vm, window, before, &mut steps)?.link;
            if link.place == place {
                return self.set_link(vm, window, before, Entry { place: other, ..link });
            }
            before = link.place;
        }
    }

    fn write_header(self, vm: &mut Vm, window: Window) -> Result<(), Stop> {
        let header = vm.part_slot(window, INDEX)?;
        if !vm.is_header(header) {
            return Err(vm.wrong_parts(window));
        }
        vm.prepare_write(header)?;
        for (index, number) in [(STRIDE, self.stride), (CHAIN_COUNT, self.chains), (TO, self.to), (FROM, self.from)] {
            vm.heap.init_part_element(header, index, Value::small(number as i64));
        }
        Ok(())
    }

    /// Writes the counts to the receiver, which was prepared for that.
    fn write_counts(self, vm: &mut Vm, window: Window) {
        let object = window.receiver(vm);
        vm.heap.init_slot(object, SIZE, Value::small(self.size as i64));
        vm.heap.init_slot(object, USED, Table::used_slot(self.of_program, self.used));
    }

    // ---- finding ----

    /// The place of the first key behind the row at `after` (0: from the start) of the chain for `hash` that has this
    /// hash and of which `is` holds, given the first argument and the key; 0: there is none. `None` if `is` cannot tell.
    pub fn find(
        self,
        vm: &mut Vm,
        window: Window,
        hash: u64,
        after: usize,
        is: impl Fn(&Vm, Value, Value) -> Option<bool>,
    ) -> Result<Option<usize>, Stop> {
        let mut steps = 0;
        let mut place = match after {
            0 => self.first_of_chain(vm, window, self.chain(hash))?,
            _ => self.linked(vm, window, after, &mut steps)?.link.place,
        };
        while place != 0 {
            let Row { leaf, at, link } = self.linked(vm, window, place, &mut steps)?;
            if link.hash == hash {
                match is(vm, window.argument(vm, 0), vm.heap.part_element(leaf, at + 1)) {
                    Some(false) => {}
                    Some(true) => break,
                    None => return Ok(None),
                }
            }
            place = link.place;
        }
        Ok(Some(place))
    }

    /// The key (0) or value (1) at a place, where no hole is.
    pub fn value(self, vm: &mut Vm, window: Window, place: usize, which: usize) -> Result<Value, Stop> {
        match self.row(vm, window, place)? {
            Some(Row { leaf, at, .. }) if which < self.stride => Ok(vm.heap.part_element(leaf, at + 1 + which)),
            Some(_) | None => Err(vm.wrong_parts(window)),
        }
    }

    /// Puts the argument at `index` of the window in the place of the value there.
    pub fn set_value(self, vm: &mut Vm, window: Window, place: usize, index: usize) -> Result<(), Stop> {
        match self.row(vm, window, place)? {
            Some(Row { leaf, at, .. }) if self.stride == 2 => {
                vm.set_part_element(leaf, at + 2, window.argument(vm, index))
            }
            Some(_) | None => Err(vm.wrong_parts(window)),
        }
    }

    /// The next place behind `place` that is no hole; 0 at the end.
    pub fn next(self, vm: &mut Vm, window: Window, place: usize) -> Result<usize, Stop> {
        let mut place = place + 1;
        while place <= self.used {
            let position = self.position(place);
            match vm.leaf_or_hole(window, ROWS, position)? {
                Place::Leaf(leaf) if Entry::read(vm.heap.part_element(leaf, position % LEAF)).is_some() => {
                    return Ok(place);
                }
                Place::Leaf(_) => {
                    place += 1;
                    vm.charge(u32::from(place.is_multiple_of(LEAF)))?;
                }
                Place::Hole(next) => place = next / LEAF * self.rows_of_leaf() + 1,
            }
        }
        Ok(0)
    }

    // ---- changes ----

    /// Appends the first argument, which is no key yet and has this hash. Answers its place.
    pub fn append(mut self, vm: &mut Vm, window: Window, hash: u64, of_program: bool) -> Result<usize, Stop> {
        vm.prepare_write(window.receiver(vm))?;
        self.sweep(vm, window)?;
        if self.used + 1 >= PLACES_MAX {
            return Err(vm.no_room());
        }
        self.used += 1;
        let place = self.used;
        let chain = self.chain(hash);
        let next = self.first_of_chain(vm, window, chain)?;
        let (leaf, at) = self.row_to_fill(vm, window, place)?;
        vm.prepare_write(leaf)?;
        vm.heap.init_part_element(leaf, at, Entry { hash, place: next }.write());
        vm.heap.init_part_element(leaf, at + 1, window.argument(vm, 0));
        self.set_first_of_chain(vm, window, chain, place)?;
        self.size += 1;
        self.of_program |= of_program;
        self.write_counts(vm, window);
        if self.size > self.chains {
            self.divide(vm, window)?;
        }
        Ok(place)
    }

    /// The leaf for the row at `place`, and the index of the link in it.
    fn row_to_fill(self, vm: &mut Vm, window: Window, place: usize) -> Result<(Value, usize), Stop> {
        let position = self.position(place);
        while position >= span(vm.root_height(window, ROWS)?) {
            vm.raise_root(window, ROWS, 0)?;
        }
        Ok((vm.leaf_to_fill(window, ROWS, position)?, position % LEAF))
    }

    /// Takes the row at a place out.
    pub fn remove(mut self, vm: &mut Vm, window: Window, place: usize) -> Result<(), Stop> {
        let Some(Row { link, .. }) = self.row(vm, window, place)? else { return Ok(()) };
        vm.prepare_write(window.receiver(vm))?;
        self.relink(vm, window, link.hash, place, link.place)?;
        self.size = self.size.saturating_sub(1);
        if self.size == 0 {
            let object = window.receiver(vm);
            vm.heap.init_slot(object, ENTRIES, Value::NIL);
            vm.heap.init_slot(object, INDEX, Value::NIL);
            self = Large { used: 0, of_program: false, ..self };
            self.write_counts(vm, window);
            return Ok(());
        }
        self.clear(vm, window, place)?;
        self.write_counts(vm, window);
        for _ in 0..2 {
            if self.chains > CHAINS_MIN && self.size < self.chains / 2 {
                self.put_together(vm, window)?;
            }
        }
        Ok(())
    }

    /// Makes a hole of a row that is in no chain.
    fn clear(self, vm: &mut Vm, window: Window, place: usize) -> Result<(), Stop> {
        let Some(Row { leaf, at, .. }) = self.row(vm, window, place)? else { return Ok(()) };
        vm.prepare_write(leaf)?;
        for index in at..=at + self.stride {
            vm.heap.init_part_element(leaf, index, Value::NIL);
        }
        // Where rows are added next their leaf stays.
        let leaf_of = |place: usize| (place - 1) / self.rows_of_leaf();
        let kept = [self.used + 1, self.to + 1].iter().any(|&next| leaf_of(next) == leaf_of(place));
        let is_empty = vm.heap.contents(leaf).iter().all(|value| value.is_nil());
        if is_empty && !kept {
            vm.drop_leaf(window, ROWS, self.position(place))?;
        }
        Ok(())
    }

    /// Makes one chain more, of half of another.
    fn divide(&mut self, vm: &mut Vm, window: Window) -> Result<(), Stop> {
        let new = self.chains;
        let old = new & (((new + 1).next_power_of_two() - 1) >> 1);
        // The rows of the chain, those that stay first.
        let mut parted: [Vec<(usize, Entry)>; 2] = Default::default();
        let first = self.first_of_chain(vm, window, old)?;
        let (mut place, mut steps) = (first, 0);
        while place != 0 {
            let link = self.linked(vm, window, place, &mut steps)?.link;
            let moves = Large::chain_among(link.hash, new + 1) == new;
            parted[usize::from(moves)].push((place, link));
            place = link.place;
        }
        self.chains += 1;
        self.write_header(vm, window)?;
        for (rows, chain, before) in [(&parted[0], old, first), (&parted[1], new, 0)] {
            let first = rows.first().map_or(0, |row| row.0);
            if first != before {
                self.set_first_of_chain(vm, window, chain, first)?;
            }
            for (nth, &(place, link)) in rows.iter().enumerate() {
                let next = rows.get(nth + 1).map_or(0, |row| row.0);
                if link.place != next {
                    self.set_link(vm, window, place, Entry { place: next, ..link })?;
                }
            }
        }
        Ok(())
    }

    /// Puts the rows of the last chain before those of the one that it was made of.
    fn put_together(&mut self, vm: &mut Vm, window: Window) -> Result<(), Stop> {
        let last = self.chains - 1;
        let other = last & ((self.chains.next_power_of_two() - 1) >> 1);
        let first = self.first_of_chain(vm, window, last)?;
        if first != 0 {
            let (mut place, mut steps) = (first, 0);
            let end = loop {
                let link = self.linked(vm, window, place, &mut steps)?.link;
                if link.place == 0 {
                    break link;
                }
                place = link.place;
            };
            let next = self.first_of_chain(vm, window, other)?;
            if next != 0 {
                self.set_link(vm, window, place, Entry { place: next, ..end })?;
            }
            self.set_first_of_chain(vm, window, other, first)?;
            self.set_first_of_chain(vm, window, last, 0)?;
        }
        if last.is_multiple_of(LEAF) {
            vm.drop_leaf(window, CHAINS, last)?;
        }
        self.chains = last;
        self.write_header(vm, window)
    }

    /// Moves a few rows down to where holes were, if there are many of these.
    fn sweep(&mut self, vm: &mut Vm, window: Window) -> Result<(), Stop> {
        if self.from == 0 && self.used <= 2 * self.size + HOLES_FREE {
            return Ok(());
        }
        let mut moves = 0;
        for _ in 0..SWEEP_LOOKS {
            if moves == SWEEP_MOVES || self.from == self.used {
                break;
            }
            let place = self.from + 1;
            let position = self.position(place);
            match vm.leaf_or_hole(window, ROWS, position)? {
                Place::Hole(next) => self.from = (next / LEAF * self.rows_of_leaf()).min(self.used),
                Place::Leaf(leaf) => {
                    match Entry::read(vm.heap.part_element(leaf, position % LEAF)) {
                        None => {}
                        Some(_) if self.to == self.from => self.to += 1,
                        Some(link) => {
                            self.move_row(vm, window, place, link)?;
                            self.to += 1;
                            moves += 1;
                        }
                    }
                    self.from += 1;
                }
            }
        }
        if self.from == self.used {
            self.used = self.to;
            (self.to, self.from) = (0, 0);
        }
        self.write_header(vm, window)
    }

    /// Moves a row to the first hole.
    fn move_row(self, vm: &mut Vm, window: Window, place: usize, link: Entry) -> Result<(), Stop> {
        let target = self.to + 1;
        self.relink(vm, window, link.hash, place, target)?;
        let (leaf, at) = self.row_to_fill(vm, window, target)?;
        vm.prepare_write(leaf)?;
        vm.heap.init_part_element(leaf, at, link.write());
        for which in 0..self.stride {
            let Some(Row { leaf: source, at: source_at, .. }) = self.row(vm, window, place)? else { break };
            let value = vm.heap.part_element(source, source_at + 1 + which);
            vm.run.handles.push(value);
            let filled = self.row_to_fill(vm, window, target);
            let value = vm.run.handles.pop().expect("pushed above");
            vm.heap.init_part_element(filled?.0, at + 1 + which, value);
        }
        self.clear(vm, window, place)
    }

    /// Copies both trees, so that a copy of the collection has them for itself.
    pub fn copy(self, vm: &mut Vm, window: Window) -> Result<(), Stop> {
        vm.prepare_write(window.receiver(vm))?;
        for (root, slot) in [(ROWS, ENTRIES), (CHAINS, INDEX)] {
            vm.with_handles(|vm, first| {
                let top = vm.root(window, root)?;
                vm.run.handles.push(top);
                let copy = vm.copy_part(first)?;
                vm.run.handles[first] = copy;
                if root == CHAINS {
                    let copy = vm.new_header()?;
                    let header = vm.part_slot(window, INDEX)?;
                    for index in 0..HEADER - 1 {
                        vm.heap.init_part_element(copy, index, vm.heap.part_element(header, index));
                    }
                    vm.heap.init_part_element(copy, HEADER - 1, vm.run.handles[first]);
                    vm.run.handles[first] = copy;
                }
                let object = window.receiver(vm);
                vm.heap.init_slot(object, slot, vm.run.handles[first]);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Moves a table from arrays, `stride` values to a row, to parts; its places stay. `hashes` has those of all rows, holes too.
    pub fn spread(vm: &mut Vm, window: Window, table: Table, stride: usize, hashes: &[u64]) -> Result<Large, Stop> {
        let Table { arrays, size, used, of_program, .. } = table;
        let Some((entries, _)) = arrays else { return Err(vm.wrong_parts(window)) };
        let chains = size.max(CHAINS_MIN);
        let large = Large { stride, chains, to: 0, from: 0, size, used, of_program };
        vm.prepare_write(window.receiver(vm))?;
        vm.spend(used / 4)?;
        vm.with_handles(|vm, first| {
            vm.run.handles.push(entries);
            for slot in [ENTRIES, INDEX] {
                let root = vm.new_part(1)?;
                vm.run.handles.push(root);
                if slot == INDEX {
                    let header = vm.new_header()?;
                    vm.heap.init_part_element(header, HEADER - 1, vm.run.handles[first + 2]);
                    vm.run.handles[first + 2] = header;
                }
            }
            let object = window.receiver(vm);
            vm.heap.init_slot(object, ENTRIES, vm.run.handles[first + 1]);
            vm.heap.init_slot(object, INDEX, vm.run.handles[first + 2]);
            large.write_header(vm, window)?;
            let mut firsts = vec![0; chains];
            for (nth, &hash) in hashes.iter().enumerate().take(used) {
                if vm.heap.element(vm.run.handles[first], nth * stride) == vm.run.handles[first] {
                    continue;
                }
                let chain = large.chain(hash);
                let (leaf, at) = large.row_to_fill(vm, window, nth + 1)?;
                vm.heap.init_part_element(leaf, at, Entry { hash, place: firsts[chain] }.write());
                for which in 0..stride {
                    let value = vm.heap.element(vm.run.handles[first], nth * stride + which);
                    vm.heap.init_part_element(leaf, at + 1 + which, value);
                }
                firsts[chain] = nth + 1;
            }
            for (chain, &place) in firsts.iter().enumerate().filter(|&(_, &place)| place != 0) {
                large.set_first_of_chain(vm, window, chain, place)?;
            }
            Ok(large)
        })
    }
}
