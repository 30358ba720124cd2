//! The one thread that waits for the medium: it runs batches of the spool and other blocking jobs in the
//! order in which they were given, and hands results back to the event loop.
//! Danger: what it is given last waits for all before it, so jobs are short.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::{io, thread};

use smol::channel::{self, Receiver};

use crate::mail::Domain;
use crate::spool::{Batch, BatchError, Flash};

/// A blocking job. It sends its own result, if it has one.
pub type Job = Box<dyn FnOnce() + Send>;

/// A batch that has run.
#[derive(Debug)]
pub struct Flushed {
    pub domain: Domain,
    pub result: Result<(), BatchError>,
}

enum Task {
    Batches(Vec<(Domain, Arc<dyn Flash>, Batch)>),
    Job(Job),
}

/// Access to the flusher's thread, which ends when this is dropped and its work is done.
#[derive(Debug)]
pub struct Flusher {
    tasks: Option<Sender<Task>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Flusher {
    /// Starts the thread; results of batches come out of the receiver.
    pub fn start() -> io::Result<(Flusher, Receiver<Flushed>)> {
        let (tasks, work) = mpsc::channel();
        let (done, results) = channel::unbounded();
        let run = move || {
            for task in work {
                match task {
                    Task::Batches(batches) => run_batches(batches, &done),
                    Task::Job(job) => job(),
                }
            }
        };
        let thread = thread::Builder::new().name("flusher".to_owned()).spawn(run)?;
        Ok((Flusher { tasks: Some(tasks), thread: Some(thread) }, results))
    }

    /// Has batches written, each with its domain's medium.
    pub fn write(&self, batches: Vec<(Domain, Arc<dyn Flash>, Batch)>) {
        self.give(Task::Batches(batches));
    }

    /// Has a blocking job run.
    pub fn run(&self, job: Job) {
        self.give(Task::Job(job));
    }

    fn give(&self, task: Task) {
        let given = self.tasks.as_ref().is_some_and(|tasks| tasks.send(task).is_ok());
        assert!(given, "the flusher's thread has died");
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the flusher's thread has died");
        }
    }
}

fn run_batches(batches: Vec<(Domain, Arc<dyn Flash>, Batch)>, done: &channel::Sender<Flushed>) {
    for (domain, flash, batch) in batches {
        let result = batch.run(&*flash);
        if done.try_send(Flushed { domain, result }).is_err() {
            log::warn!("nobody waits for the result of a batch");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_run_in_order_and_before_the_flusher_ends() {
        let (flusher, _results) = Flusher::start().unwrap();
        let (tell, told) = mpsc::channel();
        for n in 0..3 {
            let tell = tell.clone();
            flusher.run(Box::new(move || tell.send(n).expect("the test listens")));
        }
        drop(flusher);
        drop(tell);
        assert_eq!(told.iter().collect::<Vec<i32>>(), [0, 1, 2]);
    }
}
