//! Threads that share work, while the caller's own watches for a reason to stop.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How often the caller's `keep_going` is called.
const POLL: Duration = Duration::from_millis(50);

/// Runs `work` on `workers` threads while this one calls `keep_going` about every 50 ms; `false` if
/// that returns false. `stop` is set then, and when a worker fails.
///
/// A single worker runs on this thread. So `work` receives a function to call between two pieces of
/// work, which then calls `keep_going`.
pub fn supervise(
    workers: usize,
    stop: &AtomicBool,
    mut keep_going: impl FnMut() -> bool,
    work: impl Fn(&mut dyn FnMut()) -> io::Result<()> + Sync,
) -> io::Result<bool> {
    if workers == 1 {
        let (mut asked, mut going) = (Instant::now(), true);
        work(&mut || {
            if going && asked.elapsed() >= POLL {
                asked = Instant::now();
                going = keep_going();
                stop.store(!going, Ordering::Relaxed);
            }
        })?;
        return Ok(going);
    }
    let mut result = Ok(true);
    thread::scope(|scope| {
        let (done, finished) = mpsc::channel();
        for started in 0..workers {
            let (work, done) = (&work, done.clone());
            let worker = move || {
                let outcome = work(&mut || {});
                if outcome.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                // The receiver outlives every sender.
                let _ = done.send(outcome);
            };
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, worker) {
                // Those that started do all the work; if none did, this fails.
                if started == 0 {
                    result = Err(error);
                }
                break;
            }
        }
        drop(done);
        loop {
            match finished.recv_timeout(POLL) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => result = Err(error),
                Err(RecvTimeoutError::Timeout) => {
                    if matches!(result, Ok(true)) && !keep_going() {
                        stop.store(true, Ordering::Relaxed);
                        result = Ok(false);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
    });
    result
}

/// Does `work` for each of `items` on `workers` threads; `false` if `keep_going`, which is called on
/// this thread about every 50 ms, returned false.
///
/// # Errors
/// The first failure of `work`.
pub fn in_parallel<T: Send>(
    items: Vec<T>,
    workers: usize,
    keep_going: impl FnMut() -> bool,
    work: impl Fn(T) -> io::Result<()> + Sync,
) -> io::Result<bool> {
    let stop = AtomicBool::new(false);
    let items = Mutex::new(items.into_iter());
    supervise(workers.max(1), &stop, keep_going, |pause| {
        while !stop.load(Ordering::Relaxed) {
            pause();
            let item = items.lock().expect("no worker panics with it").next();
            match item {
                Some(item) => work(item)?,
                None => break,
            }
        }
        Ok(())
    })
}

/// Results of [`in_order`] that may wait for an earlier one, besides those being made.
const MOST_AHEAD: usize = 32;

/// The line in which the workers of [`in_order`] take their numbers.
#[derive(Default)]
struct Line {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    taken: usize,
    consumed: usize,
    stopped: bool,
}

impl Line {
    /// The next number below `items`, once it is not too far ahead; `None` when there is none.
    fn take(&self, items: usize) -> Option<usize> {
        let ahead = |s: &mut State| !s.stopped && s.taken > s.consumed + MOST_AHEAD;
        let state = self.state.lock().expect("nothing panics with it");
        let mut state = self.moved.wait_while(state, ahead).expect("nothing panics with it");
        let number = state.taken;
        state.taken += 1;
        (!state.stopped && number < items).then_some(number)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("nothing panics with it"));
        self.moved.notify_all();
    }
}

/// Stops the line when it is dropped, so that nothing waits for a worker that panicked.
struct Stop<'a>(&'a Line);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.stopped = true);
    }
}

/// Makes a result for each number below `items` on `workers` threads, each with its own `worker()`,
/// and hands them to `consume` on this thread, in order. Few of them are in memory at once.
/// `Break` from `consume`, or from `keep_going`, which is called about every 50 ms, ends it.
///
/// # Errors
/// The system's error if it cannot start any thread.
pub fn in_order<T: Send, W: FnMut(usize) -> T>(
    items: usize,
    workers: usize,
    mut keep_going: impl FnMut() -> ControlFlow<()>,
    worker: impl Fn() -> W + Sync,
    mut consume: impl FnMut(usize, T) -> ControlFlow<()>,
) -> io::Result<()> {
    let line = Line::default();
    let line = &line;
    thread::scope(|scope| {
        let (sender, results) = mpsc::channel();
        for started in 0..workers.clamp(1, items.max(1)) {
            let (worker, sender) = (&worker, sender.clone());
            let run = move || {
                let _stop = Stop(line);
                let mut work = worker();
                while let Some(i) = line.take(items) {
                    // The receiver outlives every sender.
                    let _ = sender.send((i, work(i)));
                }
            };
            match thread::Builder::new().spawn_scoped(scope, run) {
                // Those that started do all the work; if none did, this fails.
                Err(error) if started == 0 => return Err(error),
                Err(_) => break,
                Ok(_) => {}
            }
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let (mut next, mut flow) = (0, ControlFlow::Continue(()));
        let mut asked = Instant::now();
        loop {
            match results.recv_timeout(POLL) {
                Ok((i, result)) => drop(waiting.insert(i, result)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if flow.is_continue() && asked.elapsed() >= POLL {
                asked = Instant::now();
                flow = keep_going();
            }
            while flow.is_continue()
                && let Some(result) = waiting.remove(&next)
            {
                flow = consume(next, result);
                next += 1;
            }
            line.change(|state| {
                state.consumed = next;
                state.stopped |= flow.is_break();
            });
        }
    })
}
