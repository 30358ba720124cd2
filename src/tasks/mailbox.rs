//! Deliveries into the mailboxes of this box, piece by piece, on the thread that may wait for flash: a long message
//! takes no more memory than a short one, and others are written in between. Source: the maildir convention.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::limits::{MAILBOX_LOOK_S, MAILDIR_DELIVERIES_MAX, SPOOL_READ_BYTES};
use crate::mail::{Address, delivery_head};
use crate::os::clock;
use crate::os::maildir::{Delivery, Kept};
use crate::relay::{Answer, Attempt, Content, LocalJob};
use crate::smtp::{Enhanced, Reply};
use crate::tasks::mailboxes;
use crate::tasks::pieces::{Pieces, Unreadable};
use crate::tasks::station::Station;
use crate::tasks::timer::sleep_until;

/// Delivers whatever the office has for mailboxes, as long as the daemon runs.
pub async fn run(station: Rc<Station>) {
    mailboxes::share_out(&station);
    clean(&station).await;
    for _ in 0..MAILDIR_DELIVERIES_MAX {
        station.spawn(carry(station.clone()));
    }
    loop {
        let doubted = station.mailboxes.borrow_mut().take_doubted();
        for domain in doubted {
            mailboxes::measure(&station, &domain).await;
        }
        sleep_until(clock::mono() + Duration::from_secs(MAILBOX_LOOK_S)).await;
    }
}

/// What an earlier life left half done.
async fn clean(station: &Station) {
    match station.in_mailboxes(|maildirs| maildirs.clean()).await {
        Some(Ok(1..)) => {
            log::info!("deliveries that were cut off are taken out of the mailboxes' tmp folders")
        }
        Some(Err(error)) => log::warn!("the mailboxes' tmp folders cannot be cleaned: {error}"),
        Some(Ok(0)) | None => {}
    }
}

/// Takes one delivery after the other.
async fn carry(station: Rc<Station>) {
    loop {
        let called = station.to_mailbox.listen();
        let job = station.office.borrow_mut().take_local();
        match job {
            Some(job) => deliver(&station, job).await,
            None => called.await,
        }
    }
}

async fn deliver(station: &Rc<Station>, job: LocalJob) {
    let message = station.office.borrow().job_message(&job.owner, job.id, &[job.recipient]);
    let attempts = match message {
        Some((envelope, content)) => {
            let to = Address::new(job.user.clone(), job.domain.clone());
            let trace = delivery_head(&envelope.reverse_path, &to);
            let attempt = match keep(station, &job, trace, &content).await {
                Ok(()) => {
                    let reply = Reply::new(250, Enhanced(2, 0, 0), "kept in the mailbox");
                    Attempt::Accepted(Answer { host: None, reply })
                }
                Err(trouble) => failed(trouble),
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

/// Why a message is not in its mailbox.
enum Trouble {
    Full(Reply),
    Unreadable,
    Unwritable(io::Error),
    Stopping,
}

impl From<Unreadable> for Trouble {
    fn from(_: Unreadable) -> Self {
        Trouble::Unreadable
    }
}

/// Keeps a message where it finds room. Its place is taken before the first byte, as others are on their way too.
async fn keep(station: &Station, job: &LocalJob, trace: String, content: &Content) -> Result<(), Trouble> {
    let (bytes, mailboxes) = (content.octets(), &station.mailboxes);
    let check = || mailboxes.borrow_mut().check(&job.domain, &job.user, bytes);
    if let Err(full) = check() {
        if !mailboxes.borrow_mut().may_look(&job.domain, clock::mono()) {
            return Err(Trouble::Full(full));
        }
        mailboxes::measure(station, &job.domain).await;
        check().map_err(Trouble::Full)?;
    }
    mailboxes.borrow_mut().comes(&job.domain, &job.user, bytes);
    let kept = carry_over(station, job, trace, content).await;
    let kept_bytes = kept.as_ref().ok().map(|kept| kept.bytes);
    mailboxes.borrow_mut().came(&job.domain, &job.user, bytes, kept_bytes);
    kept.map(drop)
}

/// The whole way of a message from the spool into its mailbox.
async fn carry_over(
    station: &Station,
    job: &LocalJob,
    trace: String,
    content: &Content,
) -> Result<Kept, Trouble> {
    let (domain, user, now) = (job.domain.clone(), job.user.clone(), clock::now());
    let begun = station.in_mailboxes(move |maildirs| maildirs.begin(now, &domain, &user)).await;
    let mut delivery = begun.ok_or(Trouble::Stopping)?.map_err(Trouble::Unwritable)?;
    delivery = write(station, delivery, trace.as_bytes()).await?;
    for piece in content.head.chunks(SPOOL_READ_BYTES) {
        delivery = write(station, delivery, piece).await?;
    }
    let mut body = Pieces::of(station, &job.owner, job.id, content);
    loop {
        match body.next().await {
            Ok(Some(piece)) => delivery = write(station, delivery, piece).await?,
            Ok(None) => return on_flash(station, move || delivery.finish()).await,
            // To give it up may wait for flash too.
            Err(unreadable) => {
                station.blocking(move || drop(delivery)).await;
                return Err(unreadable.into());
            }
        }
    }
}

/// One piece; a delivery that fails is given up on the thread that may wait.
async fn write(station: &Station, mut delivery: Delivery, piece: &[u8]) -> Result<Delivery, Trouble> {
    let piece = piece.to_vec();
    on_flash(station, move || delivery.write(&piece).map(|()| delivery)).await
}

async fn on_flash<T: Send + 'static>(
    station: &Station,
    job: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Trouble> {
    station.blocking(job).await.ok_or(Trouble::Stopping)?.map_err(Trouble::Unwritable)
}

fn failed(trouble: Trouble) -> Attempt {
    let why = match trouble {
        Trouble::Full(reply) => return Attempt::Refused(Answer { host: None, reply }),
        Trouble::Unreadable => "the message cannot be read from the spool".to_owned(),
        Trouble::Unwritable(error) => format!("the mailbox cannot be written: {error}"),
        Trouble::Stopping => "the box is stopping".to_owned(),
    };
    Attempt::Unreached(Answer::own(451, Enhanced(4, 2, 0), why))
}
