//! The clients: letters with known bodies, handed in piece by piece, some of them too large for memory.

use std::collections::BTreeMap;

use super::ledger::{Fate, Letter, Told};
use super::world::World;
use crate::config::Service;
use crate::mail::{Address, Domain, Envelope, QueueId};
use crate::relay::intake::{Bearer, Intake, Source};
use crate::relay::{Door, FrontDesk, Incoming, Receipt, Safe, policy};
use crate::smtp::server::{Action, Peer, Session, Settings};
use crate::smtp::{Enhanced, Reply};
use crate::spool::{Bounds, DomainLog};

/// A letter whose client is still talking, or waits for its answer.
pub struct Arriving {
    pub token: usize,
    session: Session,
    desk: FrontDesk,
    intake: Option<Intake>,
    /// What the client has still to say, and what the session has not taken of what was said.
    rest: Vec<u8>,
    unread: Vec<u8>,
    /// The final dot was said.
    whole: bool,
    /// Its message is with the office.
    receipt: Option<Receipt>,
}

impl Arriving {
    /// Nothing more is read from the client before a batch is over.
    pub fn waits_for_flash(&self) -> bool {
        self.intake.as_ref().is_some_and(Intake::is_backlogged)
    }

    /// What the client hears now.
    fn hears(&mut self) -> String {
        let said = String::from_utf8_lossy(self.session.output()).into_owned();
        self.session.sent(said.len());
        said
    }
}

const SENDERS: [(&str, &str); 5] = [
    ("a1@abc.com", "203.0.113.2"),
    ("b1@bcd.com", "203.0.113.70"),
    ("b1@bcd.com", "203.0.113.70"),
    ("c1@cde.com", "203.0.113.71"),
    ("e1@xyz.com", "203.0.113.70"),
];
const HOSTED: [&str; 5] = ["b1@bcd.com", "all@bcd.com", "b2@bcd.com", "c1@cde.com", "c7@cde.com"];
const ELSEWHERE: [&str; 4] = ["x1@xyz.com", "x2@xyz.com", "y1@yyy.com", "z1@zzz.com"];

/// Whether `owner` sends to `to` what others wrote: by its alias, and to its inner host.
pub fn hands_on(owner: &Domain, to: &Address) -> bool {
    match owner.as_str() {
        "bcd.com" => to.to_string() == "x9@xyz.com",
        "cde.com" => to.domain == *owner,
        _ => false,
    }
}

impl World {
    /// A client says DATA.
    pub fn client_comes(&mut self) {
        let (from, reached) = SENDERS[self.prng.below(SENDERS.len())];
        let outside = from.ends_with("xyz.com");
        let mut to: Vec<&str> = HOSTED.to_vec();
        if !outside {
            to.extend(ELSEWHERE);
            to.extend(ELSEWHERE);
        }
        self.prng.shuffle(&mut to);
        to.truncate(1 + self.prng.below(3));
        to.sort_unstable();
        to.dedup();
        let client = if outside { "198.51.100.9" } else { "10.0.2.5" };
        let door = Door {
            reached: reached.parse().unwrap(),
            client: client.parse().unwrap(),
            service: Service::Smtp,
        };
        let token = self.ledger.next_token();
        let body = self.body(token);
        let mut rest = format!("EHLO pc.example\r\nMAIL FROM:<{from}>\r\n");
        to.iter().for_each(|to| rest.push_str(&format!("RCPT TO:<{to}>\r\n")));
        rest.push_str(&format!("DATA\r\nFrom: {from}\r\nSubject: token-{token}\r\n\r\n"));
        let mut rest = rest.into_bytes();
        for line in body.split_inclusive(|b| *b == b'\n') {
            let dot: &[u8] = if line.starts_with(b".") { b"." } else { b"" };
            rest.extend([dot, line].concat());
        }
        rest.extend_from_slice(b".\r\n");
        let id = QueueId::from_u64(token as u64).expect("a small number");
        let (fates, local_sender) = (BTreeMap::new(), !outside);
        self.ledger.add(Letter { id, body, fates, told: Told::Nothing, local_sender, deleted: false });
        let desk = FrontDesk::new(
            self.office.config().clone(),
            door,
            Default::default(),
            Default::default(),
            &Incoming::new(usize::MAX),
        );
        let settings = Settings::new(desk.greeting_name());
        let mut session = Session::new(settings, Peer { ip: client.parse().unwrap() }, self.now.mono);
        session.resolved(self.now.mono, None);
        let (intake, unread, whole, receipt) = (None, Vec::new(), false, None);
        self.arriving.push(Arriving { token, session, desk, intake, rest, unread, whole, receipt });
    }

    /// The session has heard DATA: the letter begins.
    fn letter_begins(&mut self, one: &mut Arriving, envelope: Envelope) {
        let config = self.office.config().clone();
        let door = one.desk.door();
        let outside = !self.ledger.letter(one.token).local_sender;
        let shares = policy::shares(&config, door, None, &envelope).expect("every recipient was accepted");
        let author =
            policy::may_send(&config, door, None, &envelope.reverse_path).ok().map(|d| d.name.clone());
        assert_eq!(author.is_none(), outside, "who may send");
        let from = envelope.reverse_path.address().expect("everybody has a name").clone();
        let fates: BTreeMap<_, _> = shares
            .iter()
            .flat_map(|s| {
                s.envelope.recipients.iter().map(|r| ((s.owner.clone(), r.address.clone()), Fate::default()))
            })
            .collect();
        for (owner, to) in fates.keys().filter(|_| !outside) {
            let due = *owner == from.domain || hands_on(owner, to);
            assert!(due || *owner == to.domain, "{owner} answers for {from} to {to}");
        }
        let bearer = Bearer::Smtp {
            ip: door.client,
            claimed: "pc.example".to_owned(),
            verified: None,
            extended: true,
            cipher: None,
            user: None,
        };
        let our_name = one.desk.greeting_name();
        let source = Source { our_name, author, bearer, drop_bcc: false, full_name: None, tolerant: false };
        let intake = Intake::new(&mut self.office, self.now, source, envelope, shares);
        let letter = self.ledger.letter_mut(one.token);
        (letter.id, letter.fates) = (intake.id, fates);
        one.intake = Some(intake);
    }

    fn body(&mut self, token: usize) -> Vec<u8> {
        let lines = match self.prng.below(40) {
            0 => 2_500 + self.prng.below(2_000),
            n => n * 3,
        };
        let mut body = Vec::new();
        for line in 0..lines {
            let dot = if line % 7 == 3 { "." } else { "" };
            body.extend_from_slice(format!("{dot}letter {token} line {line:08} abcdefghijk\r\n").as_bytes());
        }
        body
    }

    /// A client sends its next piece, its final dot, or hangs up.
    pub fn client_goes_on(&mut self) {
        if self.arriving.is_empty() {
            return;
        }
        let place = self.prng.below(self.arriving.len());
        let mut one = self.arriving.swap_remove(place);
        one.session.timeout(self.now.mono);
        if let Some(intake) = one.intake.as_mut().filter(|intake| intake.is_backlogged()) {
            intake.catch_up(&mut self.office);
        } else if self.prng.below(30) == 0 {
            one.session.closed();
        } else {
            let count = (1 + self.prng.below(60_000)).min(one.rest.len());
            one.unread.extend(one.rest.drain(..count));
        }
        self.session_moves(&mut one);
        let heard = one.hears();
        match one.receipt {
            _ if one.session.is_finished() => {}
            Some(receipt) => drop(self.waiting.insert(receipt, one)),
            None if one.rest.is_empty() && one.unread.is_empty() && one.intake.is_none() => {
                assert!(matches!(self.ledger.letter(one.token).told, Told::No { .. }), "{heard}");
            }
            None => self.arriving.push(one),
        }
    }

    /// The session takes what it can, and what it asks for is done.
    fn session_moves(&mut self, one: &mut Arriving) {
        loop {
            let used = if one.waits_for_flash() || one.receipt.is_some() {
                0
            } else {
                one.session.input(self.now.mono, &one.desk, &one.unread)
            };
            one.unread.drain(..used);
            if let Some(intake) = &mut one.intake {
                intake.take(&mut self.office, self.now, &one.session.take_content());
            }
            match one.session.next_action() {
                None if one.whole && !one.waits_for_flash() => self.letter_is_whole(one),
                None if used == 0 => return,
                Some(Action::DataStarts(envelope)) => self.letter_begins(one, (*envelope).clone()),
                Some(Action::Message { .. }) => one.whole = true,
                Some(Action::Aborted) => {
                    if let Some(intake) = one.intake.take() {
                        intake.abandon(&mut self.office);
                    }
                }
                _ => {}
            }
        }
    }

    fn letter_is_whole(&mut self, one: &mut Arriving) {
        one.whole = false;
        let Some(intake) = one.intake.take() else { panic!("token {} was lost on its way", one.token) };
        match intake.finish(&mut self.office, self.now) {
            Ok(receipt) => one.receipt = Some(receipt),
            Err(reply) => {
                self.client_is_refused(one.token, &reply, false);
                one.session.answer(self.now.mono, reply);
            }
        }
    }

    /// Clients hear what the office has to say to them, at once; those whose patience is over make it commit.
    pub fn answer_clients(&mut self) {
        loop {
            let answers = self.office.take_answers();
            if answers.is_empty() {
                return;
            }
            for (receipt, result) in answers {
                self.answer(receipt, result);
            }
        }
    }

    fn answer(&mut self, receipt: Receipt, result: Result<Safe, Reply>) {
        let Some(mut one) = self.waiting.remove(&receipt) else { panic!("an answer to nobody: {receipt:?}") };
        let token = one.token;
        let reply = match &result {
            Ok(_) => Reply::new(250, Enhanced(2, 0, 0), "accepted"),
            Err(reply) => reply.clone(),
        };
        one.session.answer(self.now.mono, reply);
        let heard = one.hears();
        assert_eq!(heard.starts_with("250 "), result.is_ok(), "token {token} heard {heard:?}");
        match result {
            Ok(Safe::Delivered(_)) => {
                let letter = self.ledger.letter(token);
                for (to, fate) in &letter.fates {
                    assert!(
                        fate.taken > 0 || letter.deleted,
                        "token {token} is not on flash, and {to:?} does not have it"
                    );
                }
                self.ledger.letter_mut(token).told = Told::Yes;
            }
            Ok(Safe::Stored) => {
                self.assert_on_flash(token);
                self.ledger.letter_mut(token).told = Told::Yes;
            }
            Err(reply) => self.client_is_refused(token, &reply, true),
        }
    }

    fn client_is_refused(&mut self, token: usize, reply: &Reply, late: bool) {
        let letter = self.ledger.letter_mut(token);
        let healthy = letter.fates.keys().all(|(owner, _)| Some(owner) != self.faulty.as_ref());
        if healthy && !reply.is_permanent() {
            // A full spool or too much at once: each is of this domain's own making.
            let status = reply.enhanced().map(|e| e.to_string());
            assert_eq!(
                status.as_deref(),
                Some("4.3.1"),
                "token {token} was refused for another's fault: {reply}"
            );
        }
        letter.told = Told::No { step: self.steps, life: self.restarts, torn: late && !reply.is_permanent() };
    }

    /// Whatever a cut at this moment leaves holds the letter, unless its recipients have it or it was refused.
    fn assert_on_flash(&mut self, token: usize) {
        let letter = self.ledger.letter(token);
        let owners: std::collections::BTreeSet<&Domain> =
            letter.fates.keys().map(|(owner, _)| owner).collect();
        for owner in owners {
            let mut fates = letter.fates.iter().filter(|((o, _), _)| o == owner).map(|(_, fate)| fate);
            if letter.deleted || fates.all(|fate| fate.taken > 0 || fate.refused) {
                continue;
            }
            let flash = self.flashes[owner].fork(self.prng.u64());
            flash.power_cycle();
            let (log, found) = DomainLog::recover(&flash, Bounds::for_quota(self.quota, 99));
            let id = letter.id;
            assert!(
                found.messages.iter().any(|m| m.id == id),
                "token {token} ({id}) got 250, and a cut loses it: {owner} {:?} {:?}",
                letter.told,
                letter.fates
            );
            let stored =
                log.load(&flash, id).unwrap_or_else(|why| panic!("token {token} after a cut: {why}"));
            assert_eq!(stored.body_len, letter.body.len() as u64);
        }
    }

    /// Held letters whose clients have waited long enough.
    pub fn patience_ends(&mut self) {
        let mut over: Vec<Receipt> = self.waiting.keys().copied().collect();
        over.retain(|receipt| self.office.held_until(*receipt).is_some_and(|until| until <= self.now.mono));
        over.sort_by_key(|receipt| self.waiting[receipt].token);
        for receipt in over {
            self.office.commit_held(self.now, receipt);
            self.answer_clients();
        }
    }
}
