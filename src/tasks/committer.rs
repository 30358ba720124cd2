//! Commits: gathers what all sessions of a turn have appended, one batch a domain, and hands it to the one
//! thread that may wait for flash. While a batch is being synced, the next one gathers (group commit).

use std::rc::Rc;

use futures_lite::future;
use smol::channel::Receiver;

use crate::os::clock;
use crate::os::flusher::Flushed;
use crate::tasks::station::Station;
use crate::tasks::timer::sleep_until;

/// Hands batches to the flusher as they come to be, for as long as the daemon runs.
pub async fn hand_out(station: Rc<Station>) {
    loop {
        let called = station.to_commit.listen();
        station.write_batches(clock::mono());
        let due = station.office.borrow().flush_at();
        future::or(called, sleep_until(due)).await;
    }
}

/// Takes the results back and tells those who waited.
pub async fn take_back(station: Rc<Station>, flushed: Receiver<Flushed>) {
    while let Ok(Flushed { domain, result }) = flushed.recv().await {
        station.batch_written(&domain, result);
    }
}
