//! Waiting for a moment of the house's own time.

use std::time::Duration;

use async_io::Timer;
use futures_lite::future;

use crate::limits::ERROR_PAUSE_MS;
use crate::os::clock;
use crate::time::Instant;

/// Ends at `at`; never, if that is [`Instant::NEVER`].
pub async fn sleep_until(at: Instant) {
    if at == Instant::NEVER {
        return future::pending().await;
    }
    Timer::after(at.since(clock::mono())).await;
}

/// The result of `work`, or `None` when it has not ended at `deadline`.
pub async fn by<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    let late = async {
        sleep_until(deadline).await;
        None
    };
    future::or(async { Some(work.await) }, late).await
}

/// Keeps a loop whose resource is exhausted from spinning.
pub async fn pause_after_error() {
    Timer::after(Duration::from_millis(ERROR_PAUSE_MS)).await;
}
