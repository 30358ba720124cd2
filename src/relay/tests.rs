//! The office as a whole, on a simulated flash: what a client is told, what is on flash then, and what the
//! sender hears. Remote hosts are played by the test.

mod held_back;
mod shares;
mod simulation;
mod window;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::config;
use crate::limits::{INCOMING_BYTES_MAX, QUEUE_COUNTED_MS};
use crate::mail::{Address, Domain, Envelope, QueueId, ReversePath};
use crate::relay::intake::{Bearer, Intake, Source};
use crate::relay::judge::Host;
use crate::relay::policy::shares_for;
use crate::smtp::{Enhanced, Reply};
use crate::spool::sim::SimFlash;
use crate::spool::{Bounds, DomainLog};
use crate::time::{Instant, Now, WallTime};

const CONFIG: &str = "
    box name host.abc.com
    domain abc.com address 203.0.113.2
    domain abc.com mailbox a1
    domain abc.com spool always
    domain bcd.com address 203.0.113.70
    domain bcd.com client 10.0.2.0/24
    domain bcd.com mailbox b1
    domain bcd.com retry first 5m max 1h expire 1d
    domain cde.com address 203.0.113.71
    domain cde.com mailbox c1
";

/// An office with its flash and its clock.
struct Desk {
    office: Office,
    now: Now,
    flashes: BTreeMap<Domain, Arc<SimFlash>>,
}

impl Desk {
    fn new() -> Self {
        let config = Rc::new(config::parse(CONFIG.as_bytes()).expect("the test's configuration"));
        let now = Now { mono: Instant::from_nanos(1), wall: WallTime::from_unix_seconds(1_800_000_000) };
        let flash = |name: &Domain| (name.clone(), Arc::new(SimFlash::new(1)));
        let flashes = config.domains.iter().map(|domain| flash(&domain.name)).collect();
        let mut desk = Desk { office: Office::new(config, 7), now, flashes };
        desk.open();
        desk
    }

    /// The daemon starts with what its flash holds.
    fn open(&mut self) {
        self.office = Office::new(self.office.config().clone(), 7);
        for (n, (name, flash)) in (1..).zip(&self.flashes) {
            let (log, found) =
                DomainLog::recover(&**flash, Bounds::for_quota(4 << 20, self.now.mono.as_nanos() ^ n));
            self.office.open(self.now, name.clone(), log, flash.clone(), &found);
        }
    }

    /// The power is cut and comes back.
    fn cut(&mut self) {
        self.flashes.values().for_each(|flash| flash.power_cycle());
        self.pass(Duration::from_secs(1));
        self.open();
    }

    fn flash(&self, domain: &str) -> &SimFlash {
        &self.flashes[&name(domain)]
    }

    fn post(&self, domain: &str) -> &Post {
        self.office.post(&name(domain)).expect("a post")
    }

    /// b1 hands in a message.
    fn hand_in(&mut self, to: &[&str]) -> (QueueId, Receipt) {
        self.try_hand_in("b1@bcd.com", to).expect("accepted for a start")
    }

    fn try_hand_in(&mut self, from: &str, to: &[&str]) -> Result<(QueueId, Receipt), Reply> {
        let from = Address::parse(from).unwrap();
        let config = self.office.config().clone();
        let to = to.iter().map(|t| Address::parse(t).unwrap());
        let envelope = Envelope::plain(ReversePath::Address(from.clone()), to);
        let shares = shares_for(&config, config.domain(&from.domain), &envelope)?;
        let id = self.office.next_id(self.now);
        let head = b"From: b1@bcd.com\r\nSubject: test\r\n\r\n".to_vec();
        let composed = Composed { id, shares, origin: "test".to_owned(), head, body: b"text\r\n".to_vec() };
        self.office.accept(self.now, composed).map(|receipt| (id, receipt))
    }

    /// b1 begins to hand in a message.
    fn begin(&mut self) -> Intake {
        let config = self.office.config().clone();
        let author = Address::parse("b1@bcd.com").unwrap();
        let envelope =
            Envelope::plain(ReversePath::Address(author.clone()), [Address::parse("x1@xyz.com").unwrap()]);
        let shares = shares_for(&config, config.domain(&author.domain), &envelope).unwrap();
        let source = Source {
            our_name: name("bcd.com"),
            author: Some(author.domain),
            bearer: Bearer::Local { user: "b1".to_owned() },
            drop_bcc: false,
            full_name: None,
            tolerant: false,
        };
        Intake::new(&mut self.office, self.now, source, envelope, shares)
    }

    fn pass(&mut self, time: Duration) {
        self.now = Now { mono: self.now.mono + time, wall: self.now.wall + time };
    }

    /// Every connection that the office wants is made, and every host answers each recipient so.
    fn hosts_say(&mut self, say: impl Fn(&Address) -> Attempt) -> usize {
        let mut messages = 0;
        self.office.activate_due(self.now);
        while let Some(key) = self.office.open_connection() {
            let mut free = true;
            while let Some(job) = self.office.take_job(&key, free) {
                free = false;
                let (envelope, content) =
                    self.office.job_message(&key.sender, job.id, &job.recipients).unwrap();
                assert!(content.octets() > 0);
                let attempts = envelope.recipients.iter().map(|r| say(&r.address));
                let attempts = job.recipients.iter().copied().zip(attempts).collect();
                self.office.finish_job(self.now, &key.sender, job.id, attempts);
                messages += 1;
            }
            self.office.connection_closed(self.now, &key, true);
        }
        messages
    }

    fn mailboxes_take_everything(&mut self) -> Vec<LocalJob> {
        let mut taken = Vec::new();
        while let Some(job) = self.office.take_local() {
            let kept = Attempt::Accepted(Answer::own(250, Enhanced(2, 0, 0), "kept"));
            self.office.finish_job(self.now, &job.owner, job.id, vec![(job.recipient, kept)]);
            taken.push(job);
        }
        taken
    }

    /// Writes what is due; true: something was.
    fn flush(&mut self) -> bool {
        let batches = self.office.take_batches(self.now.mono);
        let wrote = !batches.is_empty();
        for (owner, flash, batch) in batches {
            let result = batch.run(&*flash);
            self.office.batch_finished(self.now, &owner, result);
        }
        wrote
    }

    fn answer(&mut self) -> Option<(Receipt, Result<Safe, Reply>)> {
        let mut answers = self.office.take_answers();
        assert!(answers.len() <= 1);
        answers.pop()
    }

    fn queued(&self) -> usize {
        self.office.queue_len()
    }
}

fn name(domain: &str) -> Domain {
    Domain::parse(domain).unwrap()
}

fn said(code: u16, status: Enhanced, text: &'static str) -> Answer {
    let host = Host { name: "mx.xyz.com".into(), reports: false, tls: None };
    Answer { host: Some(host), reply: Reply::new(code, status, text) }
}

fn yes(_: &Address) -> Attempt {
    Attempt::Accepted(said(250, Enhanced(2, 0, 0), "taken"))
}

fn no(_: &Address) -> Attempt {
    Attempt::Refused(said(550, Enhanced(5, 1, 1), "no such user"))
}

fn later(_: &Address) -> Attempt {
    Attempt::Refused(said(451, Enhanced(4, 3, 0), "busy"))
}

#[test]
fn mail_that_is_taken_at_once_never_touches_flash() {
    let mut desk = Desk::new();
    let (_, receipt) = desk.hand_in(&["x1@xyz.com", "x2@xyz.com"]);
    assert!(desk.office.held_until(receipt).is_some());
    assert_eq!(desk.hosts_say(yes), 1, "one transaction for both");
    let (answered, result) = desk.answer().expect("an answer");
    assert_eq!(answered, receipt);
    assert!(matches!(result, Ok(Safe::Delivered(answer)) if answer.reply.text() == "taken"));
    assert!(!desk.flush());
    assert_eq!((desk.queued(), desk.office.resident_bytes()), (0, 0));
}

#[test]
fn a_refusal_that_all_recipients_share_is_the_clients_answer() {
    let mut desk = Desk::new();
    desk.hand_in(&["x1@xyz.com", "x2@xyz.com"]);
    desk.hosts_say(no);
    let (_, result) = desk.answer().expect("an answer");
    assert_eq!(result.unwrap_err().to_string(), "550 5.1.1 mx.xyz.com said: no such user");
    assert!(!desk.flush(), "no bounce, no record");
    assert_eq!(desk.queued(), 0);
}

#[test]
fn when_recipients_differ_the_rest_is_committed_and_the_refusal_bounces() {
    let mut desk = Desk::new();
    let (id, receipt) = desk.hand_in(&["x1@xyz.com", "x2@xyz.com"]);
    desk.hosts_say(|to| if to.local.as_str() == "x1" { yes(to) } else { no(to) });
    assert_eq!(desk.answer(), None, "not before the commit");
    assert!(desk.flush());
    assert_eq!(desk.answer(), Some((receipt, Ok(Safe::Stored))));
    assert!(desk.flush(), "the report is stored");
    let reports: Vec<_> = desk.office.posts().flat_map(|(_, post)| post.queue.ids()).collect();
    assert!(!reports.contains(&id) && reports.len() == 1, "{reports:?}");
    desk.office.activate_due(desk.now);
    assert_eq!(desk.mailboxes_take_everything().len(), 1, "to b1, who is here");
    assert_eq!(desk.queued(), 0);
}

#[test]
fn a_host_that_defers_makes_the_message_wait_on_flash() {
    let mut desk = Desk::new();
    let (id, receipt) = desk.hand_in(&["x1@xyz.com"]);
    desk.hosts_say(later);
    assert!(desk.flush());
    assert_eq!(desk.answer(), Some((receipt, Ok(Safe::Stored))));
    assert_eq!(desk.hosts_say(yes), 0, "not before its time");
    desk.pass(Duration::from_secs(6 * 60));
    assert_eq!(desk.hosts_say(yes), 1);
    assert!(desk.office.post(&Domain::parse("bcd.com").unwrap()).unwrap().queue.stand(id).is_none());
}

#[test]
fn a_slow_host_does_not_keep_the_client_waiting() {
    let mut desk = Desk::new();
    let (_, receipt) = desk.hand_in(&["x1@xyz.com"]);
    let key = desk.office.open_connection().expect("a connection is wanted");
    let job = desk.office.take_job(&key, true).expect("with its job");
    desk.pass(Duration::from_secs(2));
    desk.office.commit_held(desk.now, receipt);
    assert!(desk.flush());
    assert_eq!(desk.answer(), Some((receipt, Ok(Safe::Stored))));
    let attempt = yes(&Address::parse("x1@xyz.com").unwrap());
    desk.office.finish_job(desk.now, &key.sender, job.id, vec![(0, attempt)]);
    desk.office.connection_closed(desk.now, &key, false);
    assert_eq!(desk.queued(), 0, "sent once, and done");
}

#[test]
fn a_host_that_answers_while_the_commit_is_on_its_way_settles_it_afterwards() {
    let mut desk = Desk::new();
    let (_, receipt) = desk.hand_in(&["x1@xyz.com"]);
    let key = desk.office.open_connection().unwrap();
    let job = desk.office.take_job(&key, true).unwrap();
    desk.office.commit_held(desk.now, receipt);
    let attempt = yes(&Address::parse("x1@xyz.com").unwrap());
    desk.office.finish_job(desk.now, &key.sender, job.id, vec![(0, attempt)]);
    assert_eq!((desk.answer(), desk.queued()), (None, 1));
    desk.flush();
    assert_eq!(desk.answer(), Some((receipt, Ok(Safe::Stored))));
    assert_eq!(desk.queued(), 0);
}

#[test]
fn a_domain_that_always_stores_is_written_first() {
    let mut desk = Desk::new();
    let (_, receipt) = desk.try_hand_in("a1@abc.com", &["x1@xyz.com"]).unwrap();
    assert_eq!(desk.office.held_until(receipt), None);
    assert_eq!(desk.hosts_say(yes), 0, "nothing leaves before it is on flash");
    desk.flush();
    assert_eq!(desk.answer(), Some((receipt, Ok(Safe::Stored))));
    assert_eq!(desk.hosts_say(yes), 1);
}

#[test]
fn without_its_address_a_domains_mail_waits_and_says_why() {
    let mut desk = Desk::new();
    let ip = "203.0.113.70".parse().unwrap();
    desk.office.set_address(desk.now, ip, Err("the cable is out".to_owned()));
    let (_, receipt) = desk.hand_in(&["x1@xyz.com"]);
    assert_eq!(desk.hosts_say(yes), 0, "nothing leaves from elsewhere");
    desk.flush();
    assert_eq!(desk.answer(), Some((receipt, Ok(Safe::Stored))));
    desk.office.set_address(desk.now, ip, Ok(()));
    assert_eq!(desk.hosts_say(yes), 1, "at once when the address is back");
    assert_eq!(desk.queued(), 0);
}

#[test]
fn messages_that_come_in_share_one_bound_of_memory() {
    let mut desk = Desk::new();
    let endless = [&b"X: "[..], &[b'a'; 200_000]].concat();
    let mut begun = Vec::new();
    for _ in 0..100 {
        let mut intake = desk.begin();
        intake.take(&mut desk.office, desk.now, &endless);
        assert!(desk.office.incoming_bytes() <= INCOMING_BYTES_MAX);
        begun.push(intake);
    }
    assert!(desk.office.incoming_bytes() > INCOMING_BYTES_MAX / 2, "the bound is of use");
    let now = desk.now;
    let last = begun.pop().unwrap().finish(&mut desk.office, now).unwrap_err();
    assert!(last.to_string().starts_with("452 4.3.1 "), "{last}");
    begun.into_iter().for_each(|intake| intake.abandon(&mut desk.office));
    assert_eq!(desk.office.incoming_bytes(), 0);
    let mut intake = desk.begin();
    intake.take(&mut desk.office, now, b"Subject: there is room again\r\n\r\ntext\r\n");
    assert!(intake.finish(&mut desk.office, now).is_ok());
    assert_eq!(desk.office.incoming_bytes(), 0);
}

#[test]
fn a_queue_takes_what_the_memory_has_room_for() {
    let mut desk = Desk::new();
    desk.office.keep_within(Capacity { connections: 1, queued: 2 });
    let hand_in = |desk: &mut Desk| {
        let mut intake = desk.begin();
        intake.take(&mut desk.office, desk.now, b"Subject: test\r\n\r\ntext\r\n");
        let done = intake.finish(&mut desk.office, desk.now);
        desk.pass(Duration::from_millis(QUEUE_COUNTED_MS));
        done.map(drop).map_err(|reply| reply.to_string())
    };
    assert_eq!(hand_in(&mut desk), Ok(()));
    assert_eq!(hand_in(&mut desk), Ok(()));
    assert!(hand_in(&mut desk).unwrap_err().starts_with("452 4.3.1 "));
    desk.office.keep_within(Capacity { connections: 1, queued: 3 });
    assert_eq!(hand_in(&mut desk), Ok(()));
}

#[test]
fn expired_mail_bounces_once_and_its_bounce_never() {
    let mut desk = Desk::new();
    desk.try_hand_in("b1@bcd.com", &["x1@xyz.com"]).unwrap();
    let mut rounds = 0;
    while desk.queued() > 0 {
        desk.hosts_say(later);
        desk.flush();
        desk.mailboxes_take_everything();
        desk.answer();
        desk.pass(Duration::from_secs(3600));
        rounds += 1;
        assert!(rounds < 100, "it comes to an end");
    }
    let post = desk.office.post(&Domain::parse("bcd.com").unwrap()).unwrap();
    assert_eq!(post.counts.failed, 1);
    assert_eq!(post.counts.delivered, 2, "a notice that it is late, and the report of its failure");
}

#[test]
fn identities_never_share_a_lane() {
    let mut desk = Desk::new();
    desk.hand_in(&["x1@xyz.com"]);
    desk.try_hand_in("a1@abc.com", &["x1@xyz.com"]).unwrap();
    desk.flush();
    desk.office.activate_due(desk.now);
    let mut senders = Vec::new();
    while let Some(key) = desk.office.open_connection() {
        let job = desk.office.take_job(&key, true).unwrap();
        let (envelope, _) = desk.office.job_message(&key.sender, job.id, &job.recipients).unwrap();
        assert_eq!(envelope.reverse_path.address().unwrap().domain, key.sender);
        senders.push(key.sender);
    }
    senders.sort();
    assert_eq!(senders.iter().map(Domain::as_str).collect::<Vec<_>>(), ["abc.com", "bcd.com"]);
}

#[test]
fn who_asks_to_hear_of_success_hears_of_it_though_the_domain_holds_its_mail() {
    let mut desk = Desk::new();
    let config = desk.office.config().clone();
    let from = Address::parse("b1@bcd.com").unwrap();
    let mut envelope = Envelope::plain(ReversePath::Address(from), [Address::parse("x1@xyz.com").unwrap()]);
    envelope.recipients[0].notify = Some(crate::mail::Notify { success: true, failure: true, delay: false });
    let shares = shares_for(&config, config.domain(&Domain::parse("bcd.com").unwrap()), &envelope).unwrap();
    let id = desk.office.next_id(desk.now);
    let head = b"From: b1@bcd.com\r\n\r\n".to_vec();
    let composed = Composed { id, shares, origin: "test".to_owned(), head, body: b"text\r\n".to_vec() };
    let receipt = desk.office.accept(desk.now, composed).unwrap();
    assert_eq!(desk.office.held_until(receipt), None, "a report needs a message that is stored");
    while desk.flush() {}
    let host = Host { name: "xyz.com".into(), reports: false, tls: None };
    let yes = Reply::new(250, Enhanced(2, 0, 0), "ok");
    desk.hosts_say(|_| Attempt::Accepted(Answer { host: Some(host.clone()), reply: yes.clone() }));
    while desk.flush() {}
    desk.office.activate_due(desk.now);
    let jobs = desk.mailboxes_take_everything();
    assert_eq!(jobs.iter().map(|job| job.user.as_str()).collect::<Vec<_>>(), ["b1"], "the report");
}
