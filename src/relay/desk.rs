//! The front desk: the decisions of [`policy`](super::policy) on one connection, in the form in which an
//! SMTP session asks for them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::config::Config;
use crate::limits::ENVELOPE_SURE_BYTES;
use crate::mail::{Address, Domain, Envelope, LocalPart, Recipient, ReversePath};
use crate::relay::guesses::Guesses;
use crate::relay::incoming::{Incoming, Weight};
use crate::relay::mailboxes::Mailboxes;
use crate::relay::policy::{
    Door, Place, check_recipient, check_sender, client_lines, place, shares, user_named,
};
use crate::smtp::command::MailParameters;
use crate::smtp::sasl::Account;
use crate::smtp::server::{Client, Desk};
use crate::smtp::{Enhanced, Reply};
use crate::time::Instant;

/// The desk behind one door, with the configuration of the moment when the client came in.
#[derive(Debug)]
pub struct FrontDesk {
    config: Rc<Config>,
    door: Door,
    guesses: Rc<RefCell<Guesses>>,
    mailboxes: Rc<RefCell<Mailboxes>>,
    /// What of its envelope is beyond `ENVELOPE_SURE_BYTES`.
    long_envelope: RefCell<Weight>,
    sure_bytes: Cell<usize>,
    /// What the client has said of its message's size (RFC 1870 §6.1); nothing is 0.
    declared_bytes: Cell<u64>,
}

impl FrontDesk {
    pub fn new(
        config: Rc<Config>,
        door: Door,
        guesses: Rc<RefCell<Guesses>>,
        mailboxes: Rc<RefCell<Mailboxes>>,
        long_envelopes: &Incoming,
    ) -> Self {
        FrontDesk {
            config,
            door,
            guesses,
            mailboxes,
            long_envelope: RefCell::new(long_envelopes.begin()),
            sure_bytes: Cell::new(0),
            declared_bytes: Cell::new(0),
        }
    }

    /// The transaction is over: what its envelope held is free.
    pub fn forget_envelope(&self) {
        self.long_envelope.borrow_mut().becomes(0);
        self.sure_bytes.set(0);
    }

    /// Counts one more recipient of the envelope. False: it is long, and others have all the room for such.
    fn has_room_for(&self, recipient: &Recipient) -> bool {
        let Address { local, domain } = &recipient.address;
        let text =
            local.as_str().len() + domain.as_str().len() + recipient.orcpt.as_ref().map_or(0, String::len);
        let bytes = size_of::<Recipient>() + text;
        if self.sure_bytes.get() + bytes <= ENVELOPE_SURE_BYTES {
            self.sure_bytes.set(self.sure_bytes.get() + bytes);
            return true;
        }
        self.long_envelope.borrow_mut().grows(bytes)
    }

    /// Whether a message of so many bytes finds room at one of its ends at least, see [`Mailboxes::check_all`].
    ///
    /// # Errors
    /// The reply to the client.
    pub fn check_room(&self, client: &Client, envelope: &Envelope, bytes: u64) -> Result<(), Reply> {
        // What is wrong with the envelope itself is told elsewhere.
        let Ok(shares) = shares(&self.config, &self.door, client.user.as_ref(), envelope) else {
            return Ok(());
        };
        self.mailboxes.borrow_mut().check_all(&self.config, &shares, bytes)
    }

    /// Whether anybody has a password here.
    pub fn has_users(&self) -> bool {
        self.lacks_users() || self.config.domains.iter().any(|domain| !domain.users.is_empty())
    }

    /// Whether only a later version knows all users.
    pub fn lacks_users(&self) -> bool {
        self.config.lacks_users()
    }

    /// The client is an old device that the operator has named.
    pub fn is_tolerant(&self) -> bool {
        client_lines(&self.config, &self.door).any(|line| line.tolerant)
    }

    /// AUTH is offered to the client without TLS too.
    pub fn takes_plaintext_auth(&self) -> bool {
        client_lines(&self.config, &self.door).any(|line| line.plaintext_auth)
    }

    /// AUTH failed for this name: how long its reply waits.
    pub fn note_guess(&self, now: Instant, name: &str) -> Duration {
        let user = user_named(&self.config, &self.door, name).map(|user| user.to_string());
        self.guesses.borrow_mut().failed(now, self.door.client, user.as_deref().unwrap_or(name))
    }

    pub fn door(&self) -> &Door {
        &self.door
    }

    /// The name that greets at this door: the EHLO name of the domain whose address it is, on the shared
    /// address the box's own.
    pub fn greeting_name(&self) -> Domain {
        let machine = &self.config.machine;
        let at_address = || self.config.domain_at(self.door.reached).map(|d| d.ehlo_name());
        let shared =
            self.config.is_shared_address(self.door.reached).then_some(machine.name.as_ref()).flatten();
        shared.or_else(at_address).cloned().unwrap_or_else(|| Domain::literal(self.door.reached))
    }
}

impl Desk for FrontDesk {
    fn mail(&self, client: &Client, path: &ReversePath, parameters: &MailParameters) -> Result<(), Reply> {
        self.declared_bytes.set(parameters.size.unwrap_or(0));
        self.forget_envelope();
        check_sender(&self.config, &self.door, client.user.as_ref(), client.tls.is_some(), path)
    }

    fn rcpt(&self, client: &Client, envelope: &Envelope, recipient: &Recipient) -> Result<(), Reply> {
        let user = client.user.as_ref();
        check_recipient(&self.config, &self.door, user, &envelope.reverse_path, &recipient.address)?;
        let alone = Envelope::plain(envelope.reverse_path.clone(), [recipient.address.clone()]);
        self.check_room(client, &alone, self.declared_bytes.get())?;
        match self.has_room_for(recipient) {
            true => Ok(()),
            false => Err(Reply::new(452, Enhanced(4, 5, 3), "Too many recipients at once; send them later")),
        }
    }

    fn may_authenticate(&self, now: Instant, client: &Client) -> Result<(), Reply> {
        self.guesses.borrow().may_try(now, client.ip)
    }

    fn account(&self, _: &Client, name: &str) -> Option<Account> {
        let named = user_named(&self.config, &self.door, name)?;
        let user = self.config.domain(&named.domain)?.user(&named.local)?;
        let verifier = user.verifier.clone()?;
        Some(Account { user: Address::new(user.name.clone(), named.domain), verifier })
    }

    fn vrfy(&self, _: &Client, _: &str) -> Reply {
        Reply::new(252, Enhanced(2, 5, 2), "Users are not told; send the mail and it will be tried")
    }

    fn complete(&self, user: LocalPart) -> Address {
        let hosted = self.config.domain_at(self.door.reached).or_else(|| self.config.domains.first());
        let domain = hosted.map_or_else(|| Domain::literal(self.door.reached), |d| d.name.clone());
        let address = Address::new(user, domain);
        debug_assert!(hosted.is_none() || place(&self.config, &address) != Place::Elsewhere);
        address
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Service;

    fn desk(long_envelopes: &Incoming) -> FrontDesk {
        let text = "domain bcd.com address 192.0.2.2\ndomain bcd.com forward 192.0.2.3\n";
        let config = Rc::new(crate::config::parse(text.as_bytes()).unwrap());
        let [reached, client] = ["192.0.2.2", "198.51.100.1"].map(|ip| ip.parse().unwrap());
        let door = Door { reached, client, service: Service::Smtp };
        FrontDesk::new(config, door, Rc::default(), Rc::default(), long_envelopes)
    }

    /// How many recipients of one envelope are taken, each with an ORCPT of so many bytes, and the last reply.
    fn taken(desk: &FrontDesk, orcpt_bytes: usize) -> (usize, String) {
        let ip = desk.door.client;
        let client = Client { ip, claimed: None, verified: None, extended: true, tls: None, user: None };
        let mut envelope = Envelope::plain(ReversePath::Null, []);
        desk.mail(&client, &envelope.reverse_path, &MailParameters::default()).unwrap();
        for n in 0..1000 {
            let address = Address::parse(&format!("somebody.with.number.{n}@bcd.com")).unwrap();
            let orcpt = (orcpt_bytes > 0).then(|| "o".repeat(orcpt_bytes));
            let recipient = Recipient { orcpt, ..Recipient::plain(address) };
            match desk.rcpt(&client, &envelope, &recipient) {
                Ok(()) => envelope.recipients.push(recipient),
                Err(reply) => return (n, reply.to_string()),
            }
        }
        (1000, String::new())
    }

    #[test]
    fn long_envelopes_share_one_bound_and_a_hundred_usual_recipients_always_have_room() {
        let all = Incoming::new(300_000);
        let desks: Vec<FrontDesk> = (0..3).map(|_| desk(&all)).collect();
        assert_eq!(taken(&desks[0], 0).0, 1000, "of usual length");
        let (count, reply) = taken(&desks[1], 500);
        assert!((100..1000).contains(&count) && reply.starts_with("452 4.5.3"), "{count}: {reply}");
        assert!(all.bytes() <= 300_000);
        let (count, reply) = taken(&desks[2], 0);
        assert!((100..1000).contains(&count) && reply.starts_with("452 4.5.3"), "{count}: {reply}");
        desks[1].forget_envelope();
        assert_eq!(taken(&desks[2], 0).0, 1000);
        drop(desks);
        assert_eq!(all.bytes(), 0);
    }
}
