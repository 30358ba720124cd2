//! How full the mailboxes of this box are, and what still finds room in them: a quarter of a domain's share is its
//! postmaster's, the rest its users', so that neither shuts out the other. Source: RFC 5321 §4.5.1 (postmaster stays
//! reachable), RFC 3463 §3.3 (4.2.2). Danger: strangers fill mailboxes, and must not fill the flash with them.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Config;
use crate::limits::{FLASH_PAGE_BYTES, MAILBOX_QUOTA_BYTES_MIN};
use crate::mail::{Address, Domain, LocalPart};
use crate::relay::policy::{Place, Share, place};
use crate::smtp::{Enhanced, Reply};

/// What lies in a mailbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    pub messages: u64,
    /// As files take it of flash, see [`occupied`].
    pub bytes: u64,
}

/// What a file of so many bytes takes of flash: whole pages, an empty one too.
pub fn occupied(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(FLASH_PAGE_BYTES as u64)
}

impl Stock {
    /// One more message of so many bytes.
    pub fn add(&mut self, bytes: u64) {
        self.messages += 1;
        self.bytes += occupied(bytes);
    }

    fn take(&mut self, bytes: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(occupied(bytes));
    }
}

/// All mailboxes of the box, as far as they have been measured; what has not seems empty.
#[derive(Debug, Default)]
pub struct Mailboxes {
    shelves: BTreeMap<Domain, Shelf>,
    /// Domains that had no room for something: others may have taken mail out meanwhile, so they are measured again.
    doubted: BTreeSet<Domain>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// What its mailboxes may take together.
    quota_bytes: u64,
    /// By user, in lower case.
    boxes: BTreeMap<String, Stock>,
}

fn key(user: &LocalPart) -> String {
    user.as_str().to_ascii_lowercase()
}

impl Mailboxes {
    /// What a domain's mailboxes may take together from now on; a mebibyte at the least.
    pub fn set_quota(&mut self, domain: &Domain, quota_bytes: u64) {
        let shelf = self.shelves.entry(domain.clone()).or_default();
        shelf.quota_bytes = quota_bytes.max(MAILBOX_QUOTA_BYTES_MIN);
    }

    /// This was found in a mailbox just now.
    pub fn measured(&mut self, domain: &Domain, user: &LocalPart, stock: Stock) {
        if let Some(shelf) = self.shelves.get_mut(domain) {
            shelf.boxes.insert(key(user), stock);
        }
    }

    /// A message of so many bytes comes into a mailbox.
    pub fn comes(&mut self, domain: &Domain, user: &LocalPart, bytes: u64) {
        if let Some(shelf) = self.shelves.get_mut(domain) {
            shelf.boxes.entry(key(user)).or_default().add(bytes);
        }
    }

    /// One has gone, or did not come after all.
    pub fn goes(&mut self, domain: &Domain, user: &LocalPart, bytes: u64) {
        let stock = self.shelves.get_mut(domain).and_then(|shelf| shelf.boxes.get_mut(&key(user)));
        stock.into_iter().for_each(|stock| stock.take(bytes));
    }

    pub fn stock(&self, domain: &Domain, user: &LocalPart) -> Stock {
        let shelf = self.shelves.get(domain);
        shelf.and_then(|shelf| shelf.boxes.get(&key(user))).copied().unwrap_or_default()
    }

    /// What a mailbox may take: a user's together with those of the domain's other users.
    pub fn bound_bytes(&self, domain: &Domain, user: &LocalPart) -> u64 {
        self.shelves.get(domain).map_or(u64::MAX, |shelf| shelf.bound_bytes(user.is_postmaster()))
    }

    /// Whether a message of so many bytes finds room: 452 4.2.2 while it does not, 552 5.2.3 if it never will.
    ///
    /// # Errors
    /// That reply.
    pub fn check(&mut self, domain: &Domain, user: &LocalPart, bytes: u64) -> Result<(), Reply> {
        let Some(shelf) = self.shelves.get(domain) else { return Ok(()) };
        let postmaster = user.is_postmaster();
        let bound = shelf.bound_bytes(postmaster);
        let address = Address::new(user.clone(), domain.clone());
        if occupied(bytes) > bound {
            let text = format!("<{address}>: no mailbox of this domain holds a message of {bytes} bytes");
            return Err(Reply::new(552, Enhanced(5, 2, 3), text));
        }
        if shelf.used_bytes(postmaster) + occupied(bytes) > bound {
            self.doubted.insert(domain.clone());
            return Err(Reply::new(452, Enhanced(4, 2, 2), format!("<{address}>: the mailbox is full")));
        }
        Ok(())
    }

    /// Whether a message of so many bytes finds room at one end of its envelope at least: in a mailbox here, or on
    /// its way elsewhere.
    ///
    /// # Errors
    /// Why it does not; the temporary reason of several.
    pub fn check_all(&mut self, config: &Config, shares: &[Share], bytes: u64) -> Result<(), Reply> {
        let mut refusal: Option<Reply> = None;
        for recipient in shares.iter().flat_map(|share| &share.envelope.recipients) {
            let Place::Mailbox(domain, user) = place(config, &recipient.address) else { return Ok(()) };
            match self.check(&domain.name, &user, bytes) {
                Ok(()) => return Ok(()),
                Err(reply) if reply.is_transient() => refusal = Some(reply),
                Err(reply) => refusal = refusal.or(Some(reply)),
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// The domains that had no room for something since the last call.
    pub fn take_doubted(&mut self) -> BTreeSet<Domain> {
        std::mem::take(&mut self.doubted)
    }

    /// What the operator should see to: nine tenths are full.
    pub fn alarms(&self) -> impl Iterator<Item = String> {
        self.shelves.iter().flat_map(|(name, shelf)| {
            let nearly = [true, false].into_iter().filter(|postmaster| {
                shelf.used_bytes(*postmaster) >= shelf.bound_bytes(*postmaster) / 10 * 9
            });
            nearly.map(move |postmaster| match postmaster {
                true => {
                    format!("postmaster@{name}: its mailbox is full; see `show mailbox postmaster@{name}`")
                }
                false => format!("{name}: its users' mailboxes are full; see `show mailboxes`"),
            })
        })
    }
}

impl Shelf {
    fn bound_bytes(&self, postmaster: bool) -> u64 {
        let quarter = self.quota_bytes / 4;
        if postmaster { quarter } else { self.quota_bytes - quarter }
    }

    fn used_bytes(&self, postmaster: bool) -> u64 {
        let own = LocalPart::postmaster();
        let ours = |user: &str| (user == own.as_str()) == postmaster;
        self.boxes.iter().filter(|(user, _)| ours(user)).map(|(_, stock)| stock.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAILBOX_QUOTA_BYTES_MIN;
    use crate::mail::{Envelope, ReversePath};
    use crate::relay::policy::shares_for;

    const QUOTA: u64 = MAILBOX_QUOTA_BYTES_MIN;

    fn bcd() -> Domain {
        Domain::parse("bcd.com").unwrap()
    }

    fn user(text: &str) -> LocalPart {
        LocalPart::parse(text).unwrap()
    }

    fn mailboxes() -> Mailboxes {
        let mut all = Mailboxes::default();
        all.set_quota(&bcd(), 0);
        all
    }

    fn told(result: Result<(), Reply>) -> String {
        result.map_or_else(|reply| reply.to_string(), |()| "room".to_owned())
    }

    #[test]
    fn a_full_mailbox_says_so_until_something_is_taken_out() {
        let mut all = mailboxes();
        let bound = QUOTA - QUOTA / 4;
        assert_eq!(all.bound_bytes(&bcd(), &user("b1")), bound);
        all.comes(&bcd(), &user("b1"), bound - 4096);
        assert_eq!(told(all.check(&bcd(), &user("B1"), 4096)), "room");
        assert_eq!(told(all.check(&bcd(), &user("b1"), 4097)), "452 4.2.2 <b1@bcd.com>: the mailbox is full");
        assert_eq!(told(all.check(&bcd(), &user("b2"), 4097)), "452 4.2.2 <b2@bcd.com>: the mailbox is full");
        assert_eq!(all.take_doubted().into_iter().collect::<Vec<_>>(), [bcd()]);
        assert!(all.take_doubted().is_empty());
        all.goes(&bcd(), &user("b1"), bound - 4096);
        assert_eq!(told(all.check(&bcd(), &user("b2"), bound)), "room");
        assert!(told(all.check(&bcd(), &user("b2"), bound + 1)).starts_with("552 5.2.3 <b2@bcd.com>"));
        all.measured(&bcd(), &user("b2"), Stock { messages: 3, bytes: bound });
        assert!(
            told(all.check(&bcd(), &user("b1"), 0)).starts_with("452 4.2.2"),
            "an empty file takes a page"
        );
        assert_eq!(all.stock(&bcd(), &user("b2")).messages, 3);
    }

    #[test]
    fn the_postmaster_and_the_users_do_not_shut_each_other_out() {
        let mut all = mailboxes();
        all.comes(&bcd(), &user("b1"), QUOTA - QUOTA / 4);
        assert_eq!(told(all.check(&bcd(), &user("Postmaster"), 1)), "room");
        assert_eq!(
            all.alarms().collect::<Vec<_>>(),
            ["bcd.com: its users' mailboxes are full; see `show mailboxes`"]
        );
        let mut all = mailboxes();
        all.comes(&bcd(), &user("POSTMASTER"), QUOTA / 4);
        assert!(told(all.check(&bcd(), &user("postmaster"), 1)).starts_with("452 4.2.2"));
        assert_eq!(told(all.check(&bcd(), &user("b1"), 1)), "room");
        assert_eq!(
            all.alarms().collect::<Vec<_>>(),
            ["postmaster@bcd.com: its mailbox is full; see `show mailbox postmaster@bcd.com`"]
        );
    }

    #[test]
    fn small_messages_count_as_what_they_take_of_flash() {
        let mut all = mailboxes();
        for _ in 0..QUOTA / 4 / 4096 {
            all.check(&bcd(), &user("postmaster"), 100).unwrap();
            all.comes(&bcd(), &user("postmaster"), 100);
        }
        assert!(all.check(&bcd(), &user("postmaster"), 100).is_err());
    }

    #[test]
    fn a_message_is_refused_only_if_it_finds_room_nowhere() {
        let text = "domain bcd.com address 192.0.2.2\ndomain bcd.com mailbox b1\ndomain bcd.com alias all b1@bcd.com\n\
                    domain bcd.com alias all x1@xyz.com\ndomain bcd.com alias b b1@bcd.com\n";
        let config = crate::config::parse(text.as_bytes()).unwrap();
        let mut all = mailboxes();
        all.comes(&bcd(), &user("b1"), QUOTA - QUOTA / 4);
        for (recipients, wanted) in [
            (&["b1@bcd.com"][..], "452"),
            (&["b@bcd.com"], "452"),
            (&["all@bcd.com"], "room"),
            (&["b1@bcd.com", "postmaster@bcd.com"], "room"),
            (&["b1@bcd.com", "x1@xyz.com"], "room"),
        ] {
            let to = recipients.iter().map(|text| Address::parse(text).unwrap());
            let envelope = Envelope::plain(ReversePath::Null, to);
            let shares = shares_for(&config, config.domain(&bcd()), &envelope).unwrap();
            assert!(told(all.check_all(&config, &shares, 100)).starts_with(wanted), "{recipients:?}");
        }
    }
}
