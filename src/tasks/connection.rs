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
use crate::relay::{Attempt, Job, LaneKey};
use crate::smtp::Enhanced;
use crate::tasks::line::{self, Line};
use crate::tasks::station::Station;
use crate::tasks::watch::fate;

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

    /// Carries one job, in as many transactions as the host's bound on recipients asks for.
    async fn carry(&mut self, line: &mut Line, job: Job) {
        let Job { id, recipients: mut places } = job;
        let mut attempts = Vec::new();
        while !places.is_empty() {
            let message = self.station.office.borrow().job_message(&self.key.sender, id, &places);
            // Deleted by the operator while it waited.
            let Some((envelope, content)) = message else { break };
            let reused = line.is_reused();
            let outcome = line.transact(&self.key.sender, id, &envelope, &content).await;
            if reused && !line.is_ready() && outcome.iter().all(is_lost) {
                return self.put_back(Job { id, recipients: places }, attempts);
            }
            let (left, tried) = leave_for_the_next(&outcome, line.is_ready());
            let told = |n: &usize| (places[*n], outcome[*n].clone());
            self.show(id, &envelope, &outcome, &tried);
            attempts.extend(tried.iter().map(told));
            places = left.into_iter().map(|n| places[n]).collect();
        }
        if attempts.iter().any(|(_, a)| matches!(a, Attempt::Accepted(_))) {
            self.station.office.borrow_mut().connection_works(&self.key);
        }
        self.report(id, attempts);
    }

    /// The host had hung up while the connection was idle: another connection takes the job.
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

    fn report(&self, id: QueueId, attempts: Vec<(usize, Attempt)>) {
        self.station.office.borrow_mut().finish_job(clock::now(), &self.key.sender, id, attempts);
        self.station.to_commit.notify(usize::MAX);
        self.station.wake_senders();
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
    matches!(attempt, Attempt::Refused(answer) if answer.reply.enhanced() == Some(Enhanced(4, 4, 2)))
}

/// Recipients that the host put off for being too many (RFC 5321 §4.5.3.1.10), as long as others got through
/// and the connection lives; and the rest, which were tried. Both by their place in the transaction.
fn leave_for_the_next(outcome: &[Attempt], ready: bool) -> (Vec<usize>, Vec<usize>) {
    let too_many = |n: &usize| match &outcome[*n] {
        Attempt::Refused(answer) => {
            answer.reply.code() == 452 && answer.reply.enhanced() == Some(Enhanced(4, 5, 3))
        }
        _ => false,
    };
    let (left, tried): (Vec<usize>, Vec<usize>) = (0..outcome.len()).partition(too_many);
    match ready && !tried.is_empty() {
        true => (left, tried),
        false => (Vec::new(), (0..outcome.len()).collect()),
    }
}
