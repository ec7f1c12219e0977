//! All partitions of a store, and the threads that drive them.
//!
//! A thread drives the partitions that are its own: it takes what lies in their mailboxes, handles of all messages the one
//! that was queued first, and has what they leave flushed beside that, which lets out what waited for it. The thread that calls
//! drives those of thread 0; the others are lent to their threads while there is something to do there, and are at home
//! otherwise, where all of them can be looked at.
//!
//! One thread can drive any number of partitions, and does so in the same order each time.
//!
//! Invariant: between two calls every partition is at home.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use twintalk_bytecode::image::Image;
use twintalk_store::record::ProgramHash;
use twintalk_store::{Partition, Store, StoreError};
use twintalk_vm::profile::{Pace, Profile};
use twintalk_vm::{Answer, FarAnswer, FarQuery, Limits, LinkError, Shapes, Vm, World};

use crate::clock::{self, ClockKind};
use crate::commit::{await_flush, commit, commit_ahead};
use crate::kernel::Library;
use crate::message::{From, Message};
use crate::near::Inquiry;
use crate::partition::{Core, Leaving, Reply};
use crate::place::Placing;
use crate::post::Post;

/// The partitions of a store.
pub(crate) struct Partitions {
    pub placing: Placing,
    pub store: Arc<dyn Store>,
    pub post: Arc<Post>,
    /// By number.
    cores: Vec<Core>,
    /// Those that drive partitions beside this one.
    threads: Vec<Lent>,
    next_ticket: u64,
}

/// A thread that partitions are lent to.
struct Lent {
    /// Closed when the store is: then the thread ends.
    jobs: Option<Sender<Job>>,
    done: Receiver<Done>,
    thread: Option<JoinHandle<()>>,
}

impl Lent {
    fn give(&self, job: Job) {
        let jobs = self.jobs.as_ref().expect("open as long as the store is");
        assert!(jobs.send(job).is_ok(), "a thread that drives partitions has ended");
    }
}

enum Job {
    /// Drive these, and hand them back.
    Drive { cores: Vec<Core>, now_ns: i64, until: Option<u64> },
    /// Note from now on how the VM spends its time.
    StartProfile(Pace),
    /// Say what was noted.
    TakeProfile(Sender<Option<Profile>>),
}

struct Done {
    cores: Vec<Core>,
    result: Result<(), StoreError>,
}

/// What a thread needs to have a VM of its own.
pub(crate) struct Linked<'a> {
    pub library: &'a Library,
    pub program: &'a Image,
    pub hash: ProgramHash,
    pub shapes: &'a dyn Fn() -> Shapes,
}

impl Partitions {
    /// `cores` by number, of which the thread that calls drives its share.
    pub fn new(store: Arc<dyn Store>, post: Arc<Post>, cores: Vec<Core>) -> Partitions {
        let placing = Placing { partitions: cores.len() as u16 };
        Partitions { placing, store, post, cores, threads: Vec::new(), next_ticket: 1 }
    }

    /// Starts the threads beside the one that calls; each links the program for itself.
    ///
    /// # Errors
    /// The program does not link, which it did before.
    pub fn start_threads(&mut self, threads: usize, linked: &Linked<'_>) -> Result<(), LinkError> {
        for number in 1..threads {
            let (jobs, todo) = channel::<Job>();
            let (finished, done) = channel();
            let (library, program, shapes) = (linked.library.clone(), linked.program.clone(), (linked.shapes)());
            let (post, hash) = (self.post.clone(), linked.hash);
            let thread = std::thread::Builder::new().name(format!("twintalk-{number}")).spawn(move || {
                let mut vm = match library.link(&program) {
                    Ok(vm) => vm,
                    // It was linked before, so this cannot be; who waits for the partitions sees that they do not come back.
                    Err(error) => panic!("the program does not link again: {error}"),
                };
                vm.set_limits(Limits { fuel: i64::MAX, ..Limits::default() });
                vm.adopt_shapes(shapes);
                vm.set_program(hash);
                while let Ok(job) = todo.recv() {
                    match job {
                        Job::Drive { mut cores, now_ns, until } => {
                            let mut worker = Worker { thread: number, post: &post, cores: &mut cores, now_ns, until };
                            let result = worker.run_with_others(&mut vm);
                            if finished.send(Done { cores, result }).is_err() {
                                return;
                            }
                        }
                        Job::StartProfile(pace) => vm.start_profile(pace),
                        // Who does not wait for it does not want it.
                        Job::TakeProfile(answer) => drop(answer.send(vm.take_profile())),
                    }
                }
            });
            let thread = thread.expect("a thread can be started");
            self.threads.push(Lent { jobs: Some(jobs), done, thread: Some(thread) });
        }
        Ok(())
    }

    /// How many threads drive partitions.
    pub fn thread_count(&self) -> usize {
        self.threads.len() + 1
    }

    /// Profiles what the threads beside the one that calls do from now on.
    pub fn start_profile(&self, pace: Pace) {
        self.threads.iter().for_each(|lent| lent.give(Job::StartProfile(pace)));
    }

    /// What they noted.
    pub fn take_profiles(&self) -> Vec<Profile> {
        let (answer, answers) = channel();
        self.threads.iter().for_each(|lent| lent.give(Job::TakeProfile(answer.clone())));
        drop(answer);
        answers.iter().flatten().collect()
    }

    // ---- looking ----

    /// The partition of the twin at `path`.
    pub fn of(&mut self, path: &str) -> &mut Core {
        let partition = self.placing.of(path);
        &mut self.cores[usize::from(partition.0)]
    }

    /// Every partition, by number.
    pub fn iter(&self) -> impl Iterator<Item = &Core> {
        self.cores.iter()
    }

    /// Every partition, by number.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Core> {
        self.cores.iter_mut()
    }

    /// The first partition, which also keeps what belongs to all of the store.
    pub fn first(&mut self) -> &mut Core {
        &mut self.cores[0]
    }

    /// All of them by number, for recovery.
    pub fn all(&mut self) -> &mut [Core] {
        &mut self.cores
    }

    /// How many records this process has written.
    pub fn records(&self) -> u64 {
        self.cores.iter().map(|core| core.records).sum()
    }

    /// How many records are not committed yet, or messages not handled.
    pub fn pending(&self) -> usize {
        self.cores.iter().map(|core| core.uncommitted + core.queue.len()).sum()
    }

    // ---- time ----

    /// The time now: the latest of all partitions.
    pub fn now_ns(&mut self) -> i64 {
        self.cores.iter_mut().map(|core| core.clock.now_ns()).max().unwrap_or(i64::MIN)
    }

    /// What drives the clock.
    pub fn clock_kind(&self) -> ClockKind {
        self.cores[0].clock.kind()
    }

    /// Moves driven clocks on to `time_ns`.
    pub fn drive_to(&mut self, time_ns: i64) {
        self.cores.iter_mut().for_each(|core| core.clock.drive_to(time_ns));
    }

    /// Lets time pass until `time_ns`: a driven clock jumps, the wall is waited for.
    pub fn pass_time(&mut self, time_ns: i64) {
        match self.clock_kind() {
            ClockKind::Driven => self.drive_to(time_ns),
            ClockKind::Wall => {
                let wait_ns = time_ns.saturating_sub(self.now_ns());
                std::thread::sleep(std::time::Duration::from_nanos(u64::try_from(wait_ns).unwrap_or(0)));
            }
        }
    }

    /// When the first timer is due, or the first message to be tried again.
    pub fn first_due(&self) -> Option<i64> {
        self.cores.iter().filter_map(Core::first_due).map(|(due_ns, _, _)| due_ns).min()
    }

    /// Lets time pass up to `end_ns`: timers due by then run, each at its own time.
    pub fn advance_to(&mut self, vm: &mut Vm, end_ns: i64) -> Result<(), StoreError> {
        self.pump(vm, None)?;
        while let Some(due_ns) = self.first_due().filter(|due_ns| *due_ns <= end_ns) {
            self.drive_to(due_ns);
            self.pump(vm, None)?;
        }
        self.drive_to(end_ns);
        Ok(())
    }

    // ---- messages ----

    /// Queues a message for whose reply somebody waits; answers the ticket.
    pub fn ask(&mut self, path: &str, selector: &str, arguments: &[u8], from: From) -> u64 {
        self.ask_message(Message::new(path, selector, arguments.to_owned(), from))
    }

    /// The same for a whole message.
    pub fn ask_message(&mut self, message: Message) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.enqueue(Message { ticket: Some(ticket), ..message });
        ticket
    }

    /// Queues a message.
    pub fn enqueue(&mut self, message: Message) {
        self.of(&message.path).enqueue(message);
    }

    /// Whether the reply of a message is there.
    pub fn has_reply(&self, ticket: u64) -> bool {
        self.cores.iter().any(|core| core.has_reply(ticket))
    }

    /// Takes the reply of a message that was handled.
    pub fn take_reply(&mut self, ticket: u64) -> Option<Reply> {
        self.cores.iter_mut().find_map(|core| core.take_reply(ticket))
    }

    /// Handles messages and timers that are due until the reply of `ticket` is there, or with none until nothing
    /// is left.
    ///
    /// # Errors
    /// The store refuses; memory is then ahead of it, and the store is to be opened anew.
    pub fn pump(&mut self, vm: &mut Vm, until: Option<u64>) -> Result<(), StoreError> {
        // Only what is due now: a timer that is due again as soon as it was handled would keep this going for ever.
        let mut now_ns = self.now_ns();
        loop {
            if until.is_some_and(|ticket| self.has_reply(ticket)) {
                return Ok(());
            }
            if self.threads.is_empty() {
                let Partitions { post, cores, .. } = self;
                Worker { thread: 0, post, cores, now_ns, until }.run(vm)?;
            } else {
                self.run_threads(vm, now_ns, until)?;
            }
            if until.is_some_and(|ticket| self.has_reply(ticket)) {
                return Ok(());
            }
            // All that can be done is done. What still waits, waits for an answer that was lost, or to be tried again.
            let Some(deadline) = self.cores.iter().filter_map(Core::first_deadline).min() else {
                if until.is_none() || !self.cores.iter().any(Core::has_retries) {
                    return Ok(());
                }
                self.pass_time(self.first_due().unwrap_or(now_ns));
                now_ns = self.now_ns();
                continue;
            };
            std::thread::sleep(clock::until(deadline));
            for core in &mut self.cores {
                core.expire(vm)?;
            }
        }
    }

    /// Lends out the partitions of other threads, drives the own ones, and has all back at home when nothing is left or
    /// the reply of `until` is there.
    fn run_threads(&mut self, vm: &mut Vm, now_ns: i64, until: Option<u64>) -> Result<(), StoreError> {
        let threads = self.thread_count();
        self.post.begin(threads);
        let mut shares: Vec<Vec<Core>> = (0..threads).map(|_| Vec::new()).collect();
        for core in self.cores.drain(..) {
            shares[self.post.thread_of(core.partition)].push(core);
        }
        let mut shares = shares.into_iter();
        let mut own = shares.next().unwrap_or_default();
        for (lent, cores) in self.threads.iter().zip(shares) {
            lent.give(Job::Drive { cores, now_ns, until });
        }
        let post = self.post.clone();
        let mut result = Worker { thread: 0, post: &post, cores: &mut own, now_ns, until }.run_with_others(vm);
        self.cores = own;
        for lent in &self.threads {
            let Done { cores, result: other } = lent.done.recv().expect("a thread that drives partitions has ended");
            self.cores.extend(cores);
            result = result.and(other);
        }
        self.cores.sort_by_key(|core| core.partition);
        result
    }

    /// What a question to all twins is answered, for a program: all partitions are at home, so nobody waits.
    pub fn answer_now(&mut self, vm: &mut Vm, query: &FarQuery, now_ns: i64) -> Result<FarAnswer, StoreError> {
        self.answer_in(Partition(0), vm, query, &mut Inquiry::of_program(0, i64::MAX), now_ns)
    }

    /// The answer of a partition, once it has all that it needs of others.
    fn answer_in(
        &mut self,
        partition: Partition,
        vm: &mut Vm,
        query: &FarQuery,
        inquiry: &mut Inquiry,
        now_ns: i64,
    ) -> Result<FarAnswer, StoreError> {
        loop {
            let core = &mut self.cores[usize::from(partition.0)];
            let asked = core.with_world(inquiry, now_ns, |near| near.far_query(vm, query));
            match asked? {
                (Answer::Here(answer), _) => return Ok(answer),
                (Answer::NotYet, needs) => {
                    assert!(!needs.is_empty(), "what cannot be answered yet needs something");
                    for need in needs {
                        let mut other = Inquiry::of_program(need.depth, need.fuel);
                        let answer = self.answer_in(need.to, vm, &need.query, &mut other, now_ns)?;
                        inquiry.learn(need, answer, 0);
                    }
                }
            }
        }
    }

    // ---- commit ----

    /// Writes what all partitions have to write, waits until it is durable, and answers what may leave for the outside, in
    /// order.
    ///
    /// # Errors
    /// The store refuses.
    pub fn commit(&mut self) -> Result<Vec<Leaving>, StoreError> {
        commit(&mut self.cores)?;
        Ok(self.take_released())
    }

    /// Writes what all partitions have to write, and has it flushed beside what comes next; waits for the flush before. Answers
    /// the number of the flush.
    ///
    /// # Errors
    /// The store refuses, or a flush has failed.
    pub fn commit_ahead(&mut self) -> Result<u64, StoreError> {
        commit_ahead(&mut self.cores)
    }

    /// Whether no flush is under way. What waited for one that is done may leave now.
    ///
    /// # Errors
    /// A flush has failed.
    pub fn release_flushed(&mut self) -> Result<bool, StoreError> {
        self.cores.iter_mut().try_fold(true, |all, core| Ok(core.release_flushed()? && all))
    }

    /// Waits for the flushes under way.
    ///
    /// # Errors
    /// A flush has failed.
    pub fn await_flush(&mut self) -> Result<(), StoreError> {
        await_flush(&mut self.cores)
    }

    /// What may leave for the outside, in order.
    pub fn take_released(&mut self) -> Vec<Leaving> {
        let mut released: Vec<_> = self.cores.iter_mut().flat_map(|core| std::mem::take(&mut core.released)).collect();
        released.sort_by_key(|(order, _)| *order);
        released.into_iter().map(|(_, what)| what).collect()
    }

    /// Writes the rows of all twins that memory is ahead of, and notes how far logs need not be read again.
    ///
    /// # Errors
    /// The store refuses.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        commit(&mut self.cores)?;
        for to in 0..self.cores.len() {
            // What lies in the mailbox is not taken yet.
            if self.post.has_mail(self.cores[to].partition) {
                continue;
            }
            for from in (0..self.cores.len() as u16).map(Partition) {
                let end = self.store.end(from)?;
                self.cores[to].taken_all_of(from, end);
            }
        }
        self.cores.iter_mut().try_for_each(Core::checkpoint)
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        for lent in &mut self.threads {
            lent.jobs = None;
            if let Some(thread) = lent.thread.take() {
                // It has panicked only if its partitions did not come back, which has been noticed.
                let _ = thread.join();
            }
        }
    }
}

/// A thread counts as working until this goes, also in a panic, which is ours: then all come home, and who waits for
/// its partitions sees that they do not.
struct AtWork<'a>(&'a Post);

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
        self.0.leave();
    }
}

/// One thread at work.
struct Worker<'a> {
    thread: usize,
    post: &'a Post,
    cores: &'a mut [Core],
    /// Timers due by then are to run.
    now_ns: i64,
    /// Whose reply ends the work.
    until: Option<u64>,
}

impl Worker<'_> {
    /// Works until there is nothing left to do here, or the reply is there.
    fn run(&mut self, vm: &mut Vm) -> Result<(), StoreError> {
        while !self.post.is_stopped() || self.is_alone() {
            for core in self.cores.iter_mut() {
                core.release_flushed()?;
                core.take_in(vm)?;
            }
            if self.until.is_some_and(|ticket| self.cores.iter().any(|core| core.has_reply(ticket))) {
                return Ok(());
            }
            let first = self.cores.iter_mut().filter_map(|core| Some((core.next_order()?, core)));
            if let Some((_, core)) = first.min_by_key(|(order, _)| *order) {
                // What was released may be nothing.
                let Some(message) = core.next_message()? else { continue };
                core.handle_next(vm, message)?;
                let (ahead_records, batch_records_max) = (core.ahead_records, core.batch_records_max);
                let uncommitted: usize = self.cores.iter().map(|core| core.uncommitted).sum();
                // Who waits for a parcel need not wait longer than the disk is busy.
                let is_due = uncommitted >= ahead_records && self.has_parcels() && !self.is_flushing();
                if is_due || uncommitted >= batch_records_max {
                    commit_ahead(self.cores)?;
                }
                continue;
            }
            if self.cores.iter().any(|core| self.post.has_mail(core.partition)) {
                continue;
            }
            if self.cores.iter().any(|core| core.in_flight.as_ref().is_some_and(|held| !held.outbox.is_empty())) {
                await_flush(self.cores)?;
                continue;
            }
            if self.has_parcels() {
                commit_ahead(self.cores)?;
                continue;
            }
            let now_ns = self.now_ns;
            let first = self.cores.iter().enumerate().filter_map(|(nth, core)| Some((core.first_due()?, nth)));
            let due = first.filter(|((due_ns, ..), _)| *due_ns <= now_ns).min().map(|(_, nth)| nth);
            let Some(nth) = due else { return Ok(()) };
            let core = &mut self.cores[nth];
            if let Some(message) = core.due_message(now_ns) {
                core.handle_next(vm, message)?;
            }
        }
        Ok(())
    }

    /// Works, and rests when there is nothing to do, until no thread has anything to do or one has the reply.
    fn run_with_others(&mut self, vm: &mut Vm) -> Result<(), StoreError> {
        let _at_work = AtWork(self.post);
        loop {
            if let Err(error) = self.run(vm) {
                self.post.stop();
                break Err(error);
            }
            if self.until.is_some_and(|ticket| self.cores.iter().any(|core| core.has_reply(ticket))) {
                self.post.stop();
            }
            if self.post.is_stopped() {
                break Ok(());
            }
            self.post.rest(self.thread);
        }
    }

    /// Whether something is to leave for another partition with the next flush.
    fn has_parcels(&self) -> bool {
        self.cores.iter().any(|core| !core.outbox.is_empty())
    }

    /// Whether a flush is under way.
    fn is_flushing(&self) -> bool {
        self.cores.iter().any(|core| core.in_flight.is_some())
    }

    /// Whether this thread drives every partition.
    fn is_alone(&self) -> bool {
        self.post.threads() == 1
    }
}
