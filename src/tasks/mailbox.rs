//! Deliveries into the mailboxes of this box, one after the other, on the thread that may wait for flash.

use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::SPOOL_READ_BYTES;
use crate::mail::{Address, delivery_head};
use crate::os::clock;
use crate::os::maildir::Maildirs;
use crate::relay::{Answer, Attempt, Body, Content, LocalJob};
use crate::smtp::{Enhanced, Reply};
use crate::tasks::station::Station;

/// Delivers whatever the office has for mailboxes, as long as the daemon runs.
pub async fn run(station: Rc<Station>, maildirs: Maildirs) {
    let maildirs = Arc::new(Mutex::new(maildirs));
    loop {
        let called = station.to_mailbox.listen();
        let job = station.office.borrow_mut().take_local();
        match job {
            Some(job) => deliver(&station, &maildirs, job).await,
            None => called.await,
        }
    }
}

async fn deliver(station: &Rc<Station>, maildirs: &Arc<Mutex<Maildirs>>, job: LocalJob) {
    let message = station.office.borrow().job_message(&job.owner, job.id, &[job.recipient]);
    let attempts = match message {
        Some((envelope, content)) => {
            let to = Address::new(job.user.clone(), job.domain.clone());
            let trace = delivery_head(&envelope.reverse_path, &to);
            let attempt = match body(station, &job, &content) {
                Some(body) => {
                    write(station, maildirs.clone(), &job, trace, content.head.to_vec(), body).await
                }
                None => failed("the message cannot be read from the spool"),
            };
            vec![(job.recipient, attempt)]
        }
        // Deleted by the operator while it waited.
        None => Vec::new(),
    };
    station.office.borrow_mut().finish_job(clock::now(), &job.owner, job.id, attempts);
    station.to_commit.notify(usize::MAX);
    station.wake_senders();
}

/// The whole body, in memory for as long as the delivery takes.
fn body(station: &Station, job: &LocalJob, content: &Content) -> Option<Vec<u8>> {
    let len = match &content.body {
        Body::Memory(bytes) => return Some(bytes.to_vec()),
        Body::Spool(len) => usize::try_from(*len).ok()?,
    };
    let office = station.office.borrow();
    let mut body = vec![0; len];
    let mut at = 0;
    while at < len {
        let end = (at + SPOOL_READ_BYTES).min(len);
        match office.read_body(&job.owner, job.id, at as u64, &mut body[at..end])? {
            0 => return None,
            n => at += n,
        }
    }
    Some(body)
}

async fn write(
    station: &Station,
    maildirs: Arc<Mutex<Maildirs>>,
    job: &LocalJob,
    trace: String,
    head: Vec<u8>,
    body: Vec<u8>,
) -> Attempt {
    let (domain, user, now) = (job.domain.clone(), job.user.clone(), clock::now());
    let written = station.blocking(move || {
        let mut maildirs = maildirs.lock().unwrap_or_else(PoisonError::into_inner);
        maildirs.deliver(now, &domain, &user, &[trace.as_bytes(), &head, &body])
    });
    match written.await {
        Some(Ok(_)) => {
            let reply = Reply::new(250, Enhanced(2, 0, 0), "kept in the mailbox");
            Attempt::Accepted(Answer { host: None, reply })
        }
        Some(Err(error)) => failed(&format!("the mailbox cannot be written: {error}")),
        None => failed("the box is stopping"),
    }
}

fn failed(why: &str) -> Attempt {
    Attempt::Unreached(Answer::own(451, Enhanced(4, 2, 0), why.to_owned()))
}
