//! Threads that share work, while the caller's own watches for a reason to stop.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How often the caller is asked whether to go on.
const POLL: Duration = Duration::from_millis(50);

/// Runs `work` on `workers` threads, while this one calls `keep_going` about every 50 ms; `false` if
/// that said no. `stop` is set then, and when a worker fails.
pub fn supervise(
    workers: usize,
    stop: &AtomicBool,
    mut keep_going: impl FnMut() -> bool,
    work: impl Fn() -> io::Result<()> + Sync,
) -> io::Result<bool> {
    let mut result = Ok(true);
    thread::scope(|scope| {
        let (done, finished) = mpsc::channel();
        for started in 0..workers {
            let (work, done) = (&work, done.clone());
            let worker = move || {
                let outcome = work();
                if outcome.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                // The receiver lives until every sender is gone.
                let _ = done.send(outcome);
            };
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, worker) {
                // Those that started do all the work; without any there is none.
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
/// this thread about every 50 ms, said no.
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
    supervise(workers.max(1), &stop, keep_going, || {
        while !stop.load(Ordering::Relaxed) {
            let item = items.lock().expect("no worker panics with it").next();
            match item {
                Some(item) => work(item)?,
                None => break,
            }
        }
        Ok(())
    })
}
