//! Times that statements set, as far as they must make sense to their owner. Danger: nobody may shut himself out.

use std::time::Duration;

use crate::config::RetryPlan;
use crate::config::argument::Argument;
use crate::limits::CONSOLE_IDLE_S_MIN;

/// Nobody is to be shut out of the console by his own statement.
pub(super) fn check_logout(after: Duration) -> Result<(), String> {
    match after.as_secs() < CONSOLE_IDLE_S_MIN {
        true => Err(format!(
            "`{}` is too short to type anything; write at least {CONSOLE_IDLE_S_MIN}s",
            after.write()
        )),
        false => Ok(()),
    }
}

/// The delays of deferred mail, one against the other.
pub(super) fn check_retry(plan: &RetryPlan) -> Result<(), String> {
    let first = plan.first.write();
    if plan.first > plan.max {
        return Err(format!(
            "the first delay {first} is longer than the longest, {}; swap them",
            plan.max.write()
        ));
    }
    if plan.first > plan.expire {
        return Err(format!(
            "mail expires after {} before its first retry after {first}; make expire longer",
            plan.expire.write()
        ));
    }
    Ok(())
}
