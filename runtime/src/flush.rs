//! The thread that flushes the disk while turns run on.
//!
//! Whoever wrote something asks for a flush and is given its number; all that was written before is durable once that
//! number is reached. Those who ask while a flush is under way share the next one, from whatever partition they come: group
//! commit (DeWitt et al. 1984). What waits for a number is kept by who asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use twintalk_store::{Store, StoreError};

/// Flushes of a store, by number from 1.
pub(crate) struct Flusher {
    shared: Arc<Shared>,
    /// Started with the first flush that is asked for.
    thread: Mutex<Option<JoinHandle<()>>>,
    /// No thread: a flush is done by who waits for it or has looked for it this many times, so that a test with a seed does
    /// the same each time.
    looks: Option<u64>,
}

struct Shared {
    store: Arc<dyn Store>,
    /// The last flush that is done; never goes back.
    done: AtomicU64,
    state: Mutex<State>,
    /// Rung when a flush is asked for, done, or failed.
    change: Condvar,
}

#[derive(Default)]
struct State {
    /// The last flush that was asked for.
    asked: u64,
    /// A flush failed: none follows.
    failed: bool,
    /// Why, for the first who looks.
    error: Option<StoreError>,
    /// The store is closed.
    ended: bool,
    /// How often somebody looked in vain since the last flush, where there is no thread.
    looks: u64,
}

impl State {
    fn check(&mut self) -> Result<(), StoreError> {
        match self.failed {
            true => Err(self.error.take().unwrap_or(StoreError::Stopped)),
            false => Ok(()),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.change.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Flushes here and now.
    fn flush(&self, state: &mut State) -> Result<(), StoreError> {
        state.looks = 0;
        let flushed = self.store.flush();
        state.failed = flushed.is_err();
        flushed?;
        self.done.store(state.asked, Ordering::Release);
        Ok(())
    }

    /// Flushes whenever that is asked for, until the store is closed or a flush fails.
    fn run(&self) {
        let mut state = self.lock();
        while !state.ended && !state.failed {
            let asked = state.asked;
            if asked == self.done.load(Ordering::Acquire) {
                state = self.wait(state);
                continue;
            }
            drop(state);
            let flushed = self.store.flush();
            state = self.lock();
            match flushed {
                Ok(()) => self.done.store(asked, Ordering::Release),
                Err(error) => (state.failed, state.error) = (true, Some(error)),
            }
            self.change.notify_all();
        }
    }
}

impl Flusher {
    /// With a thread of its own.
    pub fn new(store: Arc<dyn Store>) -> Flusher {
        let shared = Shared { store, done: AtomicU64::new(0), state: Mutex::default(), change: Condvar::new() };
        Flusher { shared: Arc::new(shared), thread: Mutex::new(None), looks: None }
    }

    /// Without a thread: a flush is done when it is waited for, or was looked for `looks` times.
    pub fn simulated(store: Arc<dyn Store>, looks: u64) -> Flusher {
        let mut flusher = Flusher::new(store);
        flusher.looks = Some(looks);
        flusher
    }

    /// Asks for a flush of all that is written by now, and answers its number.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn ask(&self) -> Result<u64, StoreError> {
        if self.looks.is_none() {
            let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            if thread.is_none() {
                let shared = self.shared.clone();
                let builder = std::thread::Builder::new().name("twintalk-flush".to_owned());
                *thread = Some(builder.spawn(move || shared.run()).map_err(StoreError::Io)?);
            }
        }
        let mut state = self.shared.lock();
        state.asked += 1;
        let number = state.asked;
        drop(state);
        self.shared.change.notify_all();
        Ok(number)
    }

    /// Whether flush `number` is done.
    ///
    /// # Errors
    /// It has failed.
    pub fn is_done(&self, number: u64) -> Result<bool, StoreError> {
        if self.shared.done.load(Ordering::Acquire) >= number {
            return Ok(true);
        }
        let mut state = self.shared.lock();
        state.check()?;
        state.looks += 1;
        let done = self.looks.is_some_and(|looks| state.looks >= looks);
        if done {
            self.shared.flush(&mut state)?;
        }
        Ok(done)
    }

    /// Waits until flush `number`, which was asked for, is done.
    ///
    /// # Errors
    /// It has failed.
    pub fn wait(&self, number: u64) -> Result<(), StoreError> {
        let mut state = self.shared.lock();
        while self.shared.done.load(Ordering::Acquire) < number {
            state.check()?;
            match self.looks {
                None => state = self.shared.wait(state),
                Some(_) => self.shared.flush(&mut state)?,
            }
        }
        Ok(())
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.change.notify_all();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // It ends by itself; whether it panicked matters to nobody any more.
            let _ = thread.join();
        }
    }
}
