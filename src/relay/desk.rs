//! The front desk: the decisions of [`policy`](super::policy) on one connection, in the form in which an
//! SMTP session asks for them.

use std::rc::Rc;

use crate::config::Config;
use crate::mail::{Address, Domain, Envelope, LocalPart, Recipient, ReversePath};
use crate::relay::policy::{Door, Place, check_recipient, place};
use crate::smtp::command::MailParameters;
use crate::smtp::server::{Client, Desk};
use crate::smtp::{Enhanced, Reply};

/// The desk behind one door, with the configuration of the moment when the client came in.
#[derive(Debug)]
pub struct FrontDesk {
    config: Rc<Config>,
    door: Door,
}

impl FrontDesk {
    pub fn new(config: Rc<Config>, door: Door) -> Self {
        FrontDesk { config, door }
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
    fn mail(&self, _: &Client, _: &ReversePath, _: &MailParameters) -> Result<(), Reply> {
        // Who it may be for depends on the recipients: see `rcpt`.
        Ok(())
    }

    fn rcpt(&self, _: &Client, envelope: &Envelope, recipient: &Recipient) -> Result<(), Reply> {
        check_recipient(&self.config, &self.door, &envelope.reverse_path, &recipient.address)
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
