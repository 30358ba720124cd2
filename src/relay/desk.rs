//! The front desk: the decisions of [`policy`](super::policy) on one connection, in the form in which an
//! SMTP session asks for them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::config::Config;
use crate::mail::{Address, Domain, Envelope, LocalPart, Recipient, ReversePath};
use crate::relay::guesses::Guesses;
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
    /// What the client has said of its message's size (RFC 1870 §6.1); nothing is 0.
    declared_bytes: Cell<u64>,
}

impl FrontDesk {
    pub fn new(
        config: Rc<Config>,
        door: Door,
        guesses: Rc<RefCell<Guesses>>,
        mailboxes: Rc<RefCell<Mailboxes>>,
    ) -> Self {
        FrontDesk { config, door, guesses, mailboxes, declared_bytes: Cell::new(0) }
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
        self.config.domains.iter().any(|domain| !domain.users.is_empty())
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
        check_sender(&self.config, &self.door, client.user.as_ref(), client.tls.is_some(), path)
    }

    fn rcpt(&self, client: &Client, envelope: &Envelope, recipient: &Recipient) -> Result<(), Reply> {
        let user = client.user.as_ref();
        check_recipient(&self.config, &self.door, user, &envelope.reverse_path, &recipient.address)?;
        let alone = Envelope::plain(envelope.reverse_path.clone(), [recipient.address.clone()]);
        self.check_room(client, &alone, self.declared_bytes.get())
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
