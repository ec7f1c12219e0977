//! What goes from one partition to another, and how the threads that drive them know when all is done.
//!
//! Each partition has a mailbox. Whoever puts something in rings the bell of the thread that drives the partition; nothing
//! else is shared, and nobody waits for an answer. What is put in is durable already: its sender held it back until its
//! cause was.
//!
//! *Quiet* is when no thread works and no parcel lies in a mailbox. A parcel is counted as long as it lies there, and
//! is put in by a thread that counts itself; so the count reaches 0 only when nothing can follow any more.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use twintalk_store::Partition;
use twintalk_vm::{FarAnswer, FarQuery};

use crate::message::Message;

/// What one partition gives to another.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    /// A far send, or the reply to one.
    Message(Message),
    /// A far query.
    Question(Question),
    /// What came of one.
    Answer {
        /// The number that the asker gave it.
        number: u64,
        answer: FarAnswer,
        /// What finding it used of the fuel for far queries.
        fuel_used: i64,
    },
}

/// A far query on its way.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    /// Whose mailbox the answer is for.
    pub asker: Partition,
    /// The asker's number of it.
    pub number: u64,
    pub query: FarQuery,
    /// How many queries have led to this one.
    pub depth: usize,
    /// What it may use of the fuel for far queries.
    pub fuel: i64,
}

/// Every mailbox of a store.
#[derive(Debug)]
pub(crate) struct Post {
    /// By partition.
    boxes: Vec<Mailbox>,
    /// By thread.
    bells: Vec<Bell>,
    /// Threads that work, and parcels that lie in mailboxes.
    work: AtomicUsize,
    order: AtomicU64,
    stopped: AtomicBool,
    /// Questions put to partitions that are cut off are lost: what a network does, for tests.
    cut_off: AtomicU64,
}

#[derive(Debug, Default)]
struct Mailbox {
    parcels: Mutex<Vec<Parcel>>,
    /// How many there are, so that who finds none takes no lock; written under the lock.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
struct Bell {
    rung: Mutex<bool>,
    ring: Condvar,
}

/// A thread that panicked leaves these locks between two whole changes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Post {
    /// Of `partitions`, driven by `threads`.
    pub fn new(partitions: u16, threads: usize) -> Post {
        Post {
            boxes: (0..partitions).map(|_| Mailbox::default()).collect(),
            bells: (0..threads).map(|_| Bell::default()).collect(),
            work: AtomicUsize::new(0),
            order: AtomicU64::new(1),
            stopped: AtomicBool::new(false),
            cut_off: AtomicU64::new(0),
        }
    }

    /// The next number in the order of all that is queued.
    pub fn next_order(&self) -> u64 {
        self.order.fetch_add(1, Ordering::Relaxed)
    }

    /// Counts on from `order`, if that is more.
    pub fn go_on_from(&self, order: u64) {
        self.order.fetch_max(order, Ordering::Relaxed);
    }

    /// Which thread drives a partition.
    pub fn thread_of(&self, partition: Partition) -> usize {
        usize::from(partition.0) % self.bells.len()
    }

    /// Puts a parcel into the mailbox of `to`.
    pub fn deliver(&self, to: Partition, parcel: Parcel) {
        let cut_off = self.cut_off.load(Ordering::Relaxed);
        if matches!(parcel, Parcel::Question(_)) && to.0 < 64 && cut_off >> to.0 & 1 == 1 {
            return;
        }
        self.work.fetch_add(1, Ordering::AcqRel);
        let mailbox = &self.boxes[usize::from(to.0)];
        let mut parcels = lock(&mailbox.parcels);
        parcels.push(parcel);
        mailbox.count.store(parcels.len(), Ordering::Release);
        drop(parcels);
        self.ring(self.thread_of(to));
    }

    /// Takes all that lies in the mailbox of `partition`, in the order in which it came.
    pub fn take(&self, partition: Partition) -> Vec<Parcel> {
        if !self.has_mail(partition) {
            return Vec::new();
        }
        let mailbox = &self.boxes[usize::from(partition.0)];
        let mut lying = lock(&mailbox.parcels);
        let parcels = std::mem::take(&mut *lying);
        mailbox.count.store(0, Ordering::Release);
        drop(lying);
        self.work.fetch_sub(parcels.len(), Ordering::AcqRel);
        parcels
    }

    /// Whether something lies in the mailbox of `partition`.
    pub fn has_mail(&self, partition: Partition) -> bool {
        self.boxes[usize::from(partition.0)].count.load(Ordering::Acquire) > 0
    }

    /// Loses every question put to `partition` from now on, or no longer.
    pub fn cut_off(&self, partition: Partition, off: bool) {
        assert!(partition.0 < 64, "only one of the first 64 partitions can be cut off");
        let bit = 1 << partition.0;
        match off {
            true => self.cut_off.fetch_or(bit, Ordering::Relaxed),
            false => self.cut_off.fetch_and(!bit, Ordering::Relaxed),
        };
    }

    // ---- threads ----

    /// `threads` begin to work.
    pub fn begin(&self, threads: usize) {
        self.stopped.store(false, Ordering::Release);
        self.work.fetch_add(threads, Ordering::AcqRel);
    }

    /// Tells every thread to come home.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        (0..self.bells.len()).for_each(|thread| self.ring(thread));
    }

    /// Whether every thread is to come home.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// A thread comes home while others may still work.
    pub fn leave(&self) {
        if self.work.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.stop();
        }
    }

    /// A thread has nothing to do: it waits for its bell, and works again. If nobody has anything to do, all are told to
    /// come home.
    pub fn rest(&self, thread: usize) {
        if self.work.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.stop();
        }
        let bell = &self.bells[thread];
        let mut rung = lock(&bell.rung);
        while !*rung && !self.is_stopped() {
            rung = bell.ring.wait(rung).unwrap_or_else(PoisonError::into_inner);
        }
        *rung = false;
        drop(rung);
        self.work.fetch_add(1, Ordering::AcqRel);
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.bells.len()
    }

    fn ring(&self, thread: usize) {
        let bell = &self.bells[thread];
        *lock(&bell.rung) = true;
        bell.ring.notify_one();
    }
}
