//! A thread for one long computation, such as a search for primes, beside the event loop and the flusher.
//! Danger: it has a processor for as long as it runs; only what happens once in a box's life belongs here.

use std::{io, thread};

use smol::channel::{self, Receiver};

/// Starts `job`; its result comes out of the receiver. The thread ends with it.
pub fn run<T: Send + 'static>(
    name: &str,
    job: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Receiver<T>> {
    let (sender, result) = channel::bounded(1);
    let work = move || {
        // Whoever asked may have stopped waiting.
        let _ = sender.try_send(job());
    };
    thread::Builder::new().name(name.to_owned()).spawn(work).map(|_| result)
}
