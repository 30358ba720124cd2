//! One outgoing connection (Figure 6, Figure 3A): finds the next hop's hosts, connects **from the domain's own
//! address**, says EHLO under the domain's own name, and carries message after message of that one domain.
//! A step that would need another address is not taken: the mail waits.

use std::rc::Rc;
use std::time::Duration;

use crate::config::Config;
use crate::config::RetryPlan;
use crate::limits::IDLE_CONNECTION_S;
use crate::mail::{Envelope, QueueId};
use crate::os::clock;
use crate::relay::judge::judge;
use crate::relay::{Answer, Attempt, Job, LaneKey};
use crate::smtp::Enhanced;
use crate::tasks::line::{self, Line};
use crate::tasks::station::Station;
use crate::tasks::watch::fate;

/// Too many recipients (RFC 5321 §4.5.3.1.10).
const TOO_MANY: Enhanced = Enhanced(4, 5, 3);

/// Opens a connection for a lane and keeps it while the lane has jobs.
pub async fn run(station: Rc<Station>, key: LaneKey) {
    let mut carrier =
        Carrier { station: station.clone(), config: station.config(), key: key.clone(), free: true };
    match line::reach(&station, &key).await {
        Ok(line) => carrier.carry_all(line).await,
        Err(attempt) => {
            log::warn!("{} to {}: {}", key.sender, key.hop, attempt.answer());
            station.office.borrow_mut().connection_failed(clock::now(), &key, attempt);
        }
    }
    station.office.borrow_mut().connection_closed(clock::now(), &key, carrier.free);
    station.pass_answers();
    station.to_commit.notify(usize::MAX);
    station.wake_senders();
}

/// Carries a lane's jobs over one connection.
struct Carrier {
    station: Rc<Station>,
    /// What the connection was opened under; it carries nothing under another.
    config: Rc<Config>,
    key: LaneKey,
    /// No job is in hand.
    free: bool,
}

impl Carrier {
    async fn carry_all(&mut self, mut line: Line) {
        let mut watched = None;
        while line.is_ready() && !self.station.stop.is_given() && self.is_current() {
            let job = self.station.office.borrow_mut().take_job(&self.key, self.free);
            self.free = job.is_none();
            match job {
                Some(job) => {
                    watched = self.watch(watched, job.id);
                    self.carry(&mut line, job).await;
                }
                None if watched.is_some() => break,
                None if !self.wait_for_job(&mut line).await => break,
                None => {}
            }
        }
        line.quit(watched).await;
        if let Some(id) = watched {
            self.station.watchers.let_go(id);
        }
    }

    /// The domain may have another name or address by now: its mail then takes a new connection.
    fn is_current(&self) -> bool {
        Rc::ptr_eq(&self.config, self.station.office.borrow().config())
    }

    /// The message whose watcher sees this connection from here on: the newest that is watched.
    fn watch(&self, before: Option<QueueId>, id: QueueId) -> Option<QueueId> {
        let watchers = &self.station.watchers;
        if !watchers.has(id) || before == Some(id) {
            return before;
        }
        watchers.hold(id);
        if let Some(before) = before {
            watchers.let_go(before);
        }
        Some(id)
    }

    /// Carries one job, in as many transactions as the host's bounds on recipients ask for, and what those of
    /// the connection itself leave over (RFC 9422 §4), another connection takes.
    async fn carry(&mut self, line: &mut Line, job: Job) {
        let Job { id, recipients: mut places } = job;
        let mut attempts = Vec::new();
        while !places.is_empty() {
            let message = self.station.office.borrow().job_message(&self.key.sender, id, &places);
            let Some((envelope, content)) = message else {
                // Deleted by the operator while it waited.
                places.clear();
                break;
            };
            let reused = line.is_reused();
            let outcome = line.transact(&self.key.sender, id, &envelope, &content).await;
            let ready = line.is_ready();
            // The host had hung up while the connection was idle.
            if reused && !ready && outcome.iter().all(|a| is_lost(a) || is_held(a)) {
                break;
            }
            let (left, tried) = leave_for_the_next(&outcome, ready);
            let told = |n: &usize| (places[*n], outcome[*n].clone());
            self.show(id, &envelope, &outcome, &tried);
            attempts.extend(tried.iter().map(told));
            places = left.into_iter().map(|n| places[n]).collect();
            if !ready {
                break;
            }
        }
        if attempts.iter().any(|(_, a)| matches!(a, Attempt::Accepted(_))) {
            self.station.office.borrow_mut().connection_works(&self.key);
        }
        match places.is_empty() {
            true => self.station.office.borrow_mut().finish_job(clock::now(), &self.key.sender, id, attempts),
            false => self.put_back(Job { id, recipients: places }, attempts),
        }
        self.station.to_commit.notify(usize::MAX);
        self.station.wake_senders();
    }

    /// Another connection takes the rest of the job.
    fn put_back(&self, job: Job, attempts: Vec<(usize, Attempt)>) {
        self.station.office.borrow_mut().put_back(clock::now(), &self.key, job, attempts);
    }

    /// Tells the message's watcher what the host said to each recipient.
    fn show(&self, id: QueueId, envelope: &Envelope, attempts: &[Attempt], tried: &[usize]) {
        for (recipient, attempt) in tried.iter().map(|n| (&envelope.recipients[*n], &attempts[*n])) {
            if attempt.answer().host.is_some() {
                let verdict = judge(attempt.clone(), Duration::ZERO, &RetryPlan::default());
                self.station.watchers.show(id, fate(&verdict).line(&recipient.address));
            }
        }
    }

    /// Keeps the idle connection for a while. False: no job came, or the host has hung up.
    async fn wait_for_job(&self, line: &mut Line) -> bool {
        let called = self.station.idle_listener(&self.key);
        if self.station.office.borrow().has_jobs(&self.key) {
            return true;
        }
        let until = clock::mono() + Duration::from_secs(IDLE_CONNECTION_S);
        line.quiet_until(called, until).await
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.station.forget_idle(&self.key);
    }
}

/// The connection broke, and the host had not said a word to this.
fn is_lost(attempt: &Attempt) -> bool {
    is_found(attempt, 451, Enhanced(4, 4, 2))
}

/// We ourselves did not name this recipient, for the sake of the host's bounds (RFC 9422 §4).
fn is_held(attempt: &Attempt) -> bool {
    is_found(attempt, 452, TOO_MANY)
}

fn is_found(attempt: &Attempt, code: u16, status: Enhanced) -> bool {
    attempt.answer().host.is_none() && is_refused(attempt, code, status)
}

fn is_refused(attempt: &Attempt, code: u16, status: Enhanced) -> bool {
    let Attempt::Refused(Answer { reply, .. }) = attempt else { return false };
    reply.code() == code && reply.enhanced() == Some(status)
}

/// The host has decided on this recipient, and did not turn us out with it.
fn is_decided(attempt: &Attempt) -> bool {
    attempt.answer().host.is_some() && attempt.answer().reply.code() != 421
}

/// Recipients that were one too many, and the rest, which were tried; both by their place in the transaction.
/// On the same connection that is whomever we held back or the host put off (RFC 5321 §4.5.3.1.10), as long as
/// others were tried; on the next one, whomever we held back, as long as the host has decided on others: each
/// round leaves fewer, and none is begun with a host that is not well.
fn leave_for_the_next(outcome: &[Attempt], ready: bool) -> (Vec<usize>, Vec<usize>) {
    let is_left = |n: &usize| match ready {
        true => is_refused(&outcome[*n], 452, TOO_MANY),
        false => is_held(&outcome[*n]),
    };
    let (left, tried): (Vec<usize>, Vec<usize>) = (0..outcome.len()).partition(is_left);
    let goes_on = match ready {
        true => !tried.is_empty(),
        false => tried.iter().any(|n| is_decided(&outcome[*n])),
    };
    match goes_on {
        true => (left, tried),
        false => (Vec::new(), (0..outcome.len()).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::Host;
    use crate::smtp::Reply;

    #[test]
    fn another_connection_takes_whom_we_held_back_when_the_host_has_decided_on_others() {
        let host = |code, status, text: &'static str| {
            let host = Host { name: "xyz.com".into(), reports: false, tls: None };
            Answer { host: Some(host), reply: Reply::new(code, status, text) }
        };
        let taken = || Attempt::Accepted(host(250, Enhanced(2, 0, 0), "ok"));
        let refused = || Attempt::Refused(host(450, Enhanced(4, 2, 1), "not now"));
        let put_off = || Attempt::Refused(host(452, TOO_MANY, "too many"));
        let turned_out = || Attempt::Refused(host(421, Enhanced(4, 3, 2), "not here"));
        let held = || Attempt::Refused(Answer::own(452, TOO_MANY, "no more at once"));
        let lost = || Attempt::Refused(Answer::own(451, Enhanced(4, 4, 2), "closed"));
        for (caption, outcome, next, fresh) in [
            ("held back", vec![taken(), held()], vec![1], vec![1]),
            ("held back behind a refusal", vec![refused(), held()], vec![1], vec![1]),
            ("put off by the host", vec![taken(), put_off(), held()], vec![1, 2], vec![2]),
            ("put off without others", vec![put_off()], vec![], vec![]),
            ("nobody is tried", vec![held()], vec![], vec![]),
            ("turned out", vec![turned_out(), held()], vec![1], vec![]),
            ("lost", vec![lost(), held()], vec![1], vec![]),
        ] {
            assert_eq!(leave_for_the_next(&outcome, true).0, next, "{caption}, on the same connection");
            assert_eq!(leave_for_the_next(&outcome, false).0, fresh, "{caption}, on the next");
        }
        let said = Attempt::Refused(host(451, Enhanced(4, 4, 2), "my own line broke"));
        assert!(is_lost(&lost()) && !is_lost(&said));
    }
}
