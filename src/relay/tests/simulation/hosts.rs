//! Remote hosts and mailboxes with their moods, and the connections that the office opens to them.

use super::mail::hands_on;
use super::remote::{Remote, Taken};
use super::world::World;
use crate::mail::{Domain, Envelope, QueueId};
use crate::prng::Prng;
use crate::relay::judge::Host;
use crate::relay::{Answer, Attempt, Body, Content, Job, LaneKey, LocalJob};
use crate::smtp::Enhanced;
use crate::smtp::client::{Event, Refusal, Session};
use crate::time::Instant;

/// What a host is like at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Friendly,
    /// Nobody answers a call.
    Down,
    /// 451 to everyone.
    Busy,
    /// 550 to everyone.
    Refusing,
    /// Each recipient by the dice.
    Fickle,
    /// Says nothing until the caller gives up.
    Hanging,
    /// Breaks off before the message is taken.
    Dropping,
    /// Takes the message, and its 250 never arrives.
    Vanishing,
    /// Answers with what is no reply.
    Garbling,
    /// Had hung up while the connection was idle.
    Stale,
}

pub const MOODS: [Mood; 14] = [
    Mood::Friendly,
    Mood::Friendly,
    Mood::Friendly,
    Mood::Friendly,
    Mood::Friendly,
    Mood::Down,
    Mood::Busy,
    Mood::Refusing,
    Mood::Fickle,
    Mood::Hanging,
    Mood::Dropping,
    Mood::Vanishing,
    Mood::Garbling,
    Mood::Stale,
];

/// One outgoing connection.
pub struct Connection {
    key: LaneKey,
    wire: Option<Wire>,
    free: bool,
    since: Instant,
    stage: Stage,
}

enum Stage {
    Connecting,
    Ready,
    /// A message is being offered.
    Offering {
        job: Job,
        began: usize,
        envelope: Envelope,
        content: Content,
    },
    /// The host has spoken; the office has not heard it yet. `broken`: the connection is gone.
    Heard {
        job: Job,
        attempts: Vec<(usize, Attempt)>,
        broken: bool,
    },
}

/// Our session and the host's, with the bytes between them.
struct Wire {
    session: Session,
    remote: Remote,
}

impl Wire {
    fn open(ehlo: &Domain, now: Instant) -> Self {
        let (mut session, remote) = (Session::new(ehlo.clone(), now), Remote::default());
        session.input(now, remote.greeting());
        Wire { session, remote }
    }

    /// Lets both talk until something happens; `None`: neither has anything to say.
    fn next_event(&mut self, now: Instant, mood: Mood, dice: &mut Prng) -> Option<Event> {
        loop {
            if let Some(event) = self.session.next_event() {
                return Some(event);
            }
            let said = self.session.output().to_vec();
            if said.is_empty() || self.session.is_finished() {
                return None;
            }
            self.session.sent(said.len());
            let replies = self.remote.hear(&said, mood, dice);
            self.session.input(now, &replies);
            if self.remote.is_closed() {
                self.session.closed();
            }
        }
    }
}

/// A delivery into a mailbox that is under way.
pub struct Delivery {
    job: LocalJob,
    began: usize,
    message: Option<(Envelope, Content)>,
    outcome: Option<Attempt>,
}

fn unreached(why: &'static str) -> Attempt {
    Attempt::Unreached(Answer::own(451, Enhanced(4, 4, 2), why))
}

impl World {
    /// The sender's turn: due mail becomes active, wanted connections are opened.
    pub fn sender_turns(&mut self) {
        self.office.activate_due(self.now);
        while let Some(key) = self.office.open_connection() {
            let since = self.now.mono;
            self.connections.push(Connection {
                key,
                wire: None,
                free: true,
                since,
                stage: Stage::Connecting,
            });
        }
        while let Some(job) = self.office.take_local() {
            let began = self.steps;
            let message = self.office.job_message(&job.owner, job.id, &[job.recipient]);
            self.deliveries.push(Delivery { job, began, message, outcome: None });
        }
    }

    /// Something happens on one connection.
    pub fn connection_moves(&mut self) {
        if self.connections.is_empty() {
            return;
        }
        let place = self.prng.below(self.connections.len());
        let one = self.connections.swap_remove(place);
        if let Some(one) = self.moved(one) {
            self.connections.push(one);
        }
    }

    fn moved(&mut self, mut one: Connection) -> Option<Connection> {
        let mood = self.moods.get(&one.key.hop.to_string()).copied().unwrap_or(Mood::Friendly);
        let late = self.now.mono.since(one.since).as_secs() >= 300;
        one.stage = match one.stage {
            Stage::Connecting => {
                let config = self.office.config().clone();
                let domain = config.domain(&one.key.sender).expect("a lane of a domain");
                match (self.office.source_for(domain, "198.51.100.25".parse().unwrap()), mood) {
                    (Err(why), _) => {
                        let answer = Answer::own(451, Enhanced(4, 3, 5), why);
                        return self.fails(one, Attempt::NoAddress(answer));
                    }
                    (_, Mood::Hanging) if !late => Stage::Connecting,
                    (_, Mood::Down | Mood::Hanging) => return self.fails(one, unreached("no route to host")),
                    (Ok(source), _) => {
                        assert!(
                            domain.addresses.iter().any(|a| a.ip == source),
                            "{} leaves from {source}",
                            one.key.sender
                        );
                        one.wire = Some(Wire::open(domain.ehlo_name(), self.now.mono));
                        Stage::Ready
                    }
                }
            }
            Stage::Ready => {
                let job = self.office.take_job(&one.key, one.free);
                one.free = job.is_none();
                one.since = self.now.mono;
                match job {
                    Some(job) => self.offer(&one.key, job),
                    None if self.prng.below(3) == 0 => {
                        self.office.connection_closed(self.now, &one.key, true);
                        return None;
                    }
                    None => Stage::Ready,
                }
            }
            Stage::Offering { job, began, envelope, content } => {
                if mood == Mood::Hanging && !late {
                    Stage::Offering { job, began, envelope, content }
                } else if mood == Mood::Stale {
                    self.office.put_back(self.now, &one.key, job, Vec::new());
                    self.office.connection_closed(self.now, &one.key, false);
                    return None;
                } else {
                    let wire = one.wire.as_mut().expect("it is connected");
                    self.converse(mood, wire, &one.key.sender, job, began, &envelope, &content)
                }
            }
            Stage::Heard { job, attempts, broken } => {
                self.tell(&one.key.sender, &job, attempts);
                if broken {
                    self.office.connection_closed(self.now, &one.key, false);
                    return None;
                }
                Stage::Ready
            }
        };
        Some(one)
    }

    fn fails(&mut self, one: Connection, attempt: Attempt) -> Option<Connection> {
        self.office.connection_failed(self.now, &one.key, attempt);
        self.office.connection_closed(self.now, &one.key, one.free);
        None
    }

    fn offer(&mut self, key: &LaneKey, job: Job) -> Stage {
        match self.office.job_message(&key.sender, job.id, &job.recipients) {
            Some((envelope, content)) => {
                let from = envelope.reverse_path.address();
                let own = from.is_none_or(|from| from.domain == key.sender);
                let handed_on = || envelope.recipients.iter().all(|r| hands_on(&key.sender, &r.address));
                assert!(own || handed_on(), "{} sends for {from:?}", key.sender);
                Stage::Offering { job, began: self.steps, envelope, content }
            }
            None => Stage::Heard { job, attempts: Vec::new(), broken: false },
        }
    }

    /// One transaction, as far as it comes.
    #[allow(
        clippy::too_many_arguments,
        reason = "a step of a simulation has everything to do with everything"
    )]
    fn converse(
        &mut self,
        mood: Mood,
        wire: &mut Wire,
        sender: &Domain,
        job: Job,
        began: usize,
        envelope: &Envelope,
        content: &Content,
    ) -> Stage {
        let none = |job: Job, why| {
            let attempts = job.recipients.iter().map(|place| (*place, unreached(why))).collect();
            Stage::Heard { job, attempts, broken: true }
        };
        let Some(body) = self.whole_body(sender, job.id, content) else {
            return none(job, "the message cannot be read from the spool");
        };
        if matches!(mood, Mood::Hanging | Mood::Down) {
            return none(job, "connection lost");
        }
        while !wire.session.is_ready() {
            if wire.next_event(self.now.mono, mood, &mut self.prng).is_none() {
                return none(job, "the host does not come to mail");
            }
        }
        wire.session.start(self.now.mono, envelope, content.octets());
        let outcome = loop {
            match wire.next_event(self.now.mono, mood, &mut self.prng) {
                Some(Event::SendContent) => {
                    wire.session.content(self.now.mono, &content.head);
                    body.chunks(50_000).for_each(|piece| wire.session.content(self.now.mono, piece));
                    wire.session.end_of_content(self.now.mono);
                }
                Some(Event::Finished(outcome)) => break outcome,
                Some(Event::Ready) => {}
                other => panic!("{sender} {}: {other:?} and no outcome", job.id),
            }
        };
        self.witness(wire, sender, job.id, began, envelope, content, &body);
        let attempts = job.recipients.iter().zip(outcome.recipients).map(|(place, result)| {
            let host = Host { name: "mx.test".into(), reports: false, tls: None };
            let said = |reply| Answer { host: Some(host), reply };
            match result {
                Ok(reply) => (*place, Attempt::Accepted(said(reply))),
                Err(Refusal::Said(reply)) => (*place, Attempt::Refused(said(reply))),
                Err(Refusal::Found(reply)) => (*place, Attempt::Refused(Answer { host: None, reply })),
            }
        });
        let attempts = attempts.collect();
        Stage::Heard { job, attempts, broken: !wire.session.is_ready() }
    }

    /// What the host really did goes into the ledger.
    #[allow(
        clippy::too_many_arguments,
        reason = "a step of a simulation has everything to do with everything"
    )]
    fn witness(
        &mut self,
        wire: &mut Wire,
        sender: &Domain,
        id: QueueId,
        began: usize,
        envelope: &Envelope,
        content: &Content,
        body: &[u8],
    ) {
        for to in wire.remote.refusals() {
            self.ledger.refused(sender, id, &to);
            if envelope.reverse_path.address().is_none() {
                self.ledger.report(body);
            }
        }
        if let Some(Taken { recipients, text }) = wire.remote.take() {
            let (head, body) = text.split_at_checked(content.head.len()).expect("torn on the wire");
            assert!(head == &content.head[..], "{sender} {id}: the header section is torn on the wire");
            for to in recipients {
                self.ledger.taken(sender, &to, head, body, began);
            }
        }
    }

    /// The office hears what became of a job.
    fn tell(&mut self, sender: &Domain, job: &Job, attempts: Vec<(usize, Attempt)>) {
        if let Some((envelope, _)) = self.office.job_message(sender, job.id, &job.recipients) {
            for ((_, attempt), recipient) in attempts.iter().zip(&envelope.recipients) {
                if matches!(attempt, Attempt::Accepted(_)) {
                    self.ledger.known(sender, job.id, &recipient.address, self.in_log_at(sender, job.id));
                }
            }
        }
        if attempts.iter().any(|(_, a)| matches!(a, Attempt::Accepted(_))) {
            // As a connection does that has carried a message.
            let lanes: Vec<LaneKey> = self.connections.iter().map(|c| c.key.clone()).collect();
            lanes
                .iter()
                .filter(|key| key.sender == *sender)
                .for_each(|key| self.office.connection_works(key));
        }
        self.office.finish_job(self.now, sender, job.id, attempts);
    }

    /// This moment, if the letter is in its log.
    fn in_log_at(&self, owner: &Domain, id: QueueId) -> Option<Instant> {
        self.office.post(owner).filter(|post| post.log.contains(id)).map(|_| self.now.mono)
    }

    fn whole_body(&self, owner: &Domain, id: QueueId, content: &Content) -> Option<Vec<u8>> {
        let len = match &content.body {
            Body::Memory(bytes) => return Some(bytes.to_vec()),
            Body::Spool(len) => *len as usize,
        };
        let mut body = Vec::new();
        while body.len() < len {
            let (piece, flash) = self.office.find_body(owner, id, body.len() as u64)?;
            let piece = piece.read(&*flash).ok().filter(|piece| !piece.is_empty())?;
            body.extend(piece);
        }
        Some(body)
    }

    /// Something happens in one delivery into a mailbox.
    pub fn mailbox_moves(&mut self) {
        if self.deliveries.is_empty() {
            return;
        }
        let place = self.prng.below(self.deliveries.len());
        let mut one = self.deliveries.swap_remove(place);
        let Some((envelope, content)) = &one.message else {
            return self.office.finish_job(self.now, &one.job.owner, one.job.id, Vec::new());
        };
        let to = &envelope.recipients[0].address;
        if let Some(outcome) = one.outcome.take() {
            if matches!(outcome, Attempt::Accepted(_)) {
                let since = self.in_log_at(&one.job.owner, one.job.id);
                self.ledger.known(&one.job.owner, one.job.id, to, since);
            }
            return self.office.finish_job(
                self.now,
                &one.job.owner,
                one.job.id,
                vec![(one.job.recipient, outcome)],
            );
        }
        let fails = !self.calm && self.prng.below(4) == 0;
        let body = if fails { None } else { self.whole_body(&one.job.owner, one.job.id, content) };
        one.outcome = Some(match body {
            Some(body) => {
                self.ledger.taken(&one.job.owner, to, &content.head, &body, one.began);
                Attempt::Accepted(Answer::own(250, Enhanced(2, 0, 0), "kept"))
            }
            None => Attempt::Unreached(Answer::own(451, Enhanced(4, 2, 0), "the mailbox cannot be written")),
        });
        self.deliveries.push(one);
    }
}
