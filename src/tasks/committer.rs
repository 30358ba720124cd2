//! Commits: gathers what all sessions of a turn have appended, one batch a domain, and hands it to the one
//! thread that may wait for flash. While a batch is being synced, the next one gathers (group commit).

use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;
use futures_lite::future;
use smol::channel::Receiver;

use crate::limits::COMPANY_WAIT_MS;
use crate::os::clock;
use crate::os::flusher::Flushed;
use crate::tasks::station::Station;
use crate::tasks::timer::sleep_until;

/// Hands batches to the flusher as they come to be, for as long as the daemon runs.
pub async fn hand_out(station: Rc<Station>) {
    loop {
        let called = station.to_commit.listen();
        wait_for_company(&station).await;
        station.write_batches(clock::mono());
        let due = station.office.borrow_mut().flush_at();
        future::or(called, sleep_until(due)).await;
    }
}

/// Lets a commit wait a moment for others, so that they share one write: only when somebody else is in the
/// middle of a message, and never for long.
async fn wait_for_company(station: &Station) {
    if station.meters.arriving.get() > 0 && station.office.borrow_mut().commits_waiting() > 0 {
        Timer::after(Duration::from_millis(COMPANY_WAIT_MS)).await;
    }
}

/// Takes the results back and tells those who waited.
pub async fn take_back(station: Rc<Station>, flushed: Receiver<Flushed>) {
    while let Ok(Flushed { domain, result }) = flushed.recv().await {
        station.batch_written(&domain, result);
    }
}
