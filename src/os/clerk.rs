//! A thread for what takes a while and waits for nothing: the many rounds of a password's verifier, 2.3 ms on a
//! desktop processor and ten to thirty times that on a small ARM core; an RSA signature, 0.7 ms. Whoever
//! starts it sets how much may wait; what finds no room is turned away, and should come again later. What
//! presses is done before all that waits.

use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::{io, thread};

/// Something to compute. It sends its own result.
pub type Work = Box<dyn FnOnce() + Send>;

/// Access to the clerk's thread, which ends when this is dropped and its work is done.
#[derive(Debug)]
pub struct Clerk {
    work: SyncSender<Work>,
    pressing: SyncSender<Work>,
}

impl Clerk {
    /// Starts the thread under this name; so much work of either kind may wait for it.
    pub fn start(name: &str, waiting_max: usize) -> io::Result<Clerk> {
        let (work, waiting) = mpsc::sync_channel::<Work>(waiting_max);
        let (pressing, first) = mpsc::sync_channel::<Work>(waiting_max);
        let run = move || {
            for work in waiting {
                first.try_iter().for_each(|work| work());
                work();
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Clerk { work, pressing })
    }

    /// Has something computed. False: too much waits already, and it will not be.
    pub fn give(&self, work: Work) -> bool {
        take_on(&self.work, work)
    }

    /// The same for what is not to wait for more than the work under way.
    pub fn give_pressing(&self, work: Work) -> bool {
        let taken = take_on(&self.pressing, work);
        // Wakes the thread. Where this finds no room, the thread has work, and looks here before the next.
        take_on(&self.work, Box::new(|| ()));
        taken
    }
}

fn take_on(waiting: &SyncSender<Work>, work: Work) -> bool {
    match waiting.try_send(work) {
        Ok(()) => true,
        Err(TrySendError::Full(_)) => false,
        Err(TrySendError::Disconnected(_)) => {
            log::error!("a clerk's thread has died");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITING_MAX: usize = 4;

    #[test]
    fn what_finds_no_room_is_refused_and_the_rest_is_done() {
        let clerk = Clerk::start("clerk", WAITING_MAX).unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        assert!(clerk.give(Box::new(move || wait.recv().expect("the test says go"))));
        let mut taken = 0;
        for n in 0..2 * WAITING_MAX {
            let tell = tell.clone();
            taken += usize::from(clerk.give(Box::new(move || tell.send(n).expect("the test listens"))));
        }
        assert!((WAITING_MAX - 1..=WAITING_MAX).contains(&taken), "{taken}");
        go.send(()).unwrap();
        drop(tell);
        assert_eq!(told.iter().count(), taken);
    }

    #[test]
    fn what_presses_is_done_first_even_where_nothing_else_finds_room() {
        let clerk = Clerk::start("clerk", WAITING_MAX).unwrap();
        let (begun, begins) = mpsc::channel::<()>();
        let (go, wait) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let first = move || {
            begun.send(()).expect("the test listens");
            wait.recv().expect("the test says go");
        };
        assert!(clerk.give(Box::new(first)));
        begins.recv().unwrap();
        let telling = |what: &'static str| -> Work {
            let tell = tell.clone();
            Box::new(move || tell.send(what).expect("the test listens"))
        };
        while clerk.give(telling("a guess")) {}
        assert!(clerk.give_pressing(telling("the operator")));
        go.send(()).unwrap();
        assert_eq!(told.recv(), Ok("the operator"));
        assert!((0..WAITING_MAX).all(|_| told.recv() == Ok("a guess")));
        assert!(clerk.give_pressing(telling("the operator")), "the thread sleeps by now, or soon");
        assert_eq!(told.recv(), Ok("the operator"));
    }
}
