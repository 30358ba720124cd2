//! How full the mailboxes of this box are, and what still finds room in them: a quarter of a domain's share is its
//! postmaster's, the rest its users', so that neither shuts out the other, and all have a bound too. Source: RFC 5321 §4.5.1 (postmaster stays
//! reachable), RFC 3463 §3.3 (4.2.2). Danger: strangers fill mailboxes, and must not fill the flash with them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::Config;
use crate::limits::{FLASH_PAGE_BYTES, MAILBOX_LOOK_S, MAILBOX_QUOTA_BYTES_MIN, MAILBOX_ROOM_BYTES_MIN};
use crate::mail::{Address, Domain, LocalPart};
use crate::relay::policy::{Place, Share, place};
use crate::smtp::{Enhanced, Reply};
use crate::time::Instant;

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
    /// What all of them may take together.
    room_bytes: u64,
    shelves: BTreeMap<Domain, Shelf>,
    /// Domains to be measured: they have a new mailbox, or had no room for something, while others may have taken
    /// mail out.
    doubted: BTreeSet<Domain>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// What its mailboxes may take together.
    quota_bytes: u64,
    /// By user, in lower case: those of the configuration.
    boxes: BTreeMap<String, Mailbox>,
    /// When something without room last asked for a measurement.
    looked: Option<Instant>,
}

#[derive(Debug, Default)]
struct Mailbox {
    /// As measured, and what came and went since.
    lying: Stock,
    /// On its way: no measurement sees it.
    coming: Stock,
}

fn key(user: &LocalPart) -> String {
    user.as_str().to_ascii_lowercase()
}

impl Mailboxes {
    /// These are all the mailboxes now, and what they may take together. Each domain has an equal share, or as much as
    /// a message of full size wants if that is more: no share is more than half then, and the shares may be more
    /// than there is, so both bounds count. Mailboxes that are new are to be measured.
    pub fn share_out(&mut self, room_bytes: u64, mailboxes: &[Address]) {
        let mut wanted: BTreeMap<&Domain, BTreeSet<String>> = BTreeMap::new();
        for address in mailboxes {
            wanted.entry(&address.domain).or_default().insert(key(&address.local));
        }
        self.room_bytes = room_bytes.max(MAILBOX_ROOM_BYTES_MIN);
        let equal = self.room_bytes / wanted.len().max(1) as u64;
        let quota_bytes = equal.max(MAILBOX_QUOTA_BYTES_MIN.min(self.room_bytes / 2));
        self.shelves.retain(|domain, _| wanted.contains_key(domain));
        for (domain, users) in wanted {
            let shelf = self.shelves.entry(domain.clone()).or_default();
            shelf.quota_bytes = quota_bytes;
            shelf.boxes.retain(|user, _| users.contains(user));
            if shelf.boxes.len() < users.len() {
                self.doubted.insert(domain.clone());
            }
            for user in users {
                shelf.boxes.entry(user).or_default();
            }
        }
    }

    fn mailbox(&mut self, domain: &Domain, user: &LocalPart) -> Option<&mut Mailbox> {
        self.shelves.get_mut(domain)?.boxes.get_mut(&key(user))
    }

    /// This was found in a mailbox just now.
    pub fn measured(&mut self, domain: &Domain, user: &LocalPart, stock: Stock) {
        self.mailbox(domain, user).into_iter().for_each(|mailbox| mailbox.lying = stock);
    }

    /// A message of so many bytes is on its way into a mailbox.
    pub fn comes(&mut self, domain: &Domain, user: &LocalPart, bytes: u64) {
        self.mailbox(domain, user).into_iter().for_each(|mailbox| mailbox.coming.add(bytes));
    }

    /// The way of such a message has ended: it lies there in a file of so many bytes, or did not come after all.
    pub fn came(&mut self, domain: &Domain, user: &LocalPart, bytes: u64, kept_bytes: Option<u64>) {
        if let Some(mailbox) = self.mailbox(domain, user) {
            mailbox.coming.take(bytes);
            kept_bytes.into_iter().for_each(|bytes| mailbox.lying.add(bytes));
        }
    }

    /// One has been taken out.
    pub fn goes(&mut self, domain: &Domain, user: &LocalPart, bytes: u64) {
        self.mailbox(domain, user).into_iter().for_each(|mailbox| mailbox.lying.take(bytes));
    }

    /// What lies in a mailbox.
    pub fn stock(&self, domain: &Domain, user: &LocalPart) -> Stock {
        let shelf = self.shelves.get(domain);
        shelf.and_then(|shelf| shelf.boxes.get(&key(user))).map(|mailbox| mailbox.lying).unwrap_or_default()
    }

    /// Whether a domain that has no room for something may be measured for it: every now and then.
    pub fn may_look(&mut self, domain: &Domain, now: Instant) -> bool {
        let Some(shelf) = self.shelves.get_mut(domain) else { return false };
        let lately = |at: Instant| now.since(at) < Duration::from_secs(MAILBOX_LOOK_S);
        let may = !shelf.looked.is_some_and(lately);
        if may {
            shelf.looked = Some(now);
        }
        may
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
        let text = if shelf.used_bytes(postmaster) + occupied(bytes) > bound {
            self.doubted.insert(domain.clone());
            "the mailbox is full"
        } else if self.used_bytes(postmaster) + occupied(bytes) > part(self.room_bytes, postmaster) {
            self.doubted.extend(self.shelves.keys().cloned());
            "the mailboxes of this box are full"
        } else {
            return Ok(());
        };
        Err(Reply::new(452, Enhanced(4, 2, 2), format!("<{address}>: {text}")))
    }

    /// What lies in the mailboxes of all postmasters, or of all users.
    fn used_bytes(&self, postmasters: bool) -> u64 {
        self.shelves.values().map(|shelf| shelf.used_bytes(postmasters)).sum()
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

    /// The domains that are to be measured, since the last call.
    pub fn take_doubted(&mut self) -> BTreeSet<Domain> {
        std::mem::take(&mut self.doubted)
    }

    /// What the operator should see to: nine tenths are full.
    pub fn alarms(&self) -> impl Iterator<Item = String> {
        let several =
            [(true, "postmasters'"), (false, "users'")].into_iter().filter(|_| self.shelves.len() > 1);
        let all = several.filter_map(|(postmasters, whose)| {
            let full = fullness(self.used_bytes(postmasters), part(self.room_bytes, postmasters))?;
            Some(format!("the {whose} mailboxes of all domains together are {full}; see `show mailboxes`"))
        });
        let parts = self.shelves.iter().flat_map(|(name, shelf)| {
            let postmaster = shelf.fullness(true).map(|full| {
                format!("postmaster@{name}: its mailbox is {full}; see `show mailbox postmaster@{name}`")
            });
            let users = shelf.fullness(false);
            let users =
                users.map(|full| format!("{name}: its users' mailboxes are {full}; see `show mailboxes`"));
            postmaster.into_iter().chain(users)
        });
        all.chain(parts)
    }
}

/// The quarter that is for postmasters, or the rest.
fn part(bytes: u64, postmasters: bool) -> u64 {
    let quarter = bytes / 4;
    if postmasters { quarter } else { bytes - quarter }
}

/// How full something is, from nine tenths on.
fn fullness(used_bytes: u64, bound_bytes: u64) -> Option<&'static str> {
    let full = used_bytes + occupied(0) > bound_bytes;
    let nearly = used_bytes >= bound_bytes / 10 * 9;
    nearly.then_some(if full { "full" } else { "nearly full" })
}

impl Shelf {
    fn bound_bytes(&self, postmaster: bool) -> u64 {
        part(self.quota_bytes, postmaster)
    }

    fn used_bytes(&self, postmaster: bool) -> u64 {
        let own = LocalPart::postmaster();
        let ours = self.boxes.iter().filter(|(user, _)| (*user == own.as_str()) == postmaster);
        ours.map(|(_, mailbox)| mailbox.lying.bytes + mailbox.coming.bytes).sum()
    }

    fn fullness(&self, postmaster: bool) -> Option<&'static str> {
        fullness(self.used_bytes(postmaster), self.bound_bytes(postmaster))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MESSAGE_BYTES_MAX;
    use crate::mail::{Envelope, ReversePath};
    use crate::relay::policy::shares_for;

    const QUOTA: u64 = MAILBOX_ROOM_BYTES_MIN;
    const MIB: u64 = 1024 * 1024;

    fn bcd() -> Domain {
        Domain::parse("bcd.com").unwrap()
    }

    fn user(text: &str) -> LocalPart {
        LocalPart::parse(text).unwrap()
    }

    fn mailboxes() -> Mailboxes {
        let mut all = Mailboxes::default();
        all.share_out(0, &addresses(&["b1@bcd.com", "b2@bcd.com", "Postmaster@bcd.com"]));
        all.take_doubted();
        all
    }

    fn addresses(texts: &[&str]) -> Vec<Address> {
        texts.iter().map(|text| Address::parse(text).unwrap()).collect()
    }

    /// A message that lies in a mailbox.
    fn put(all: &mut Mailboxes, domain: &Domain, who: &str, bytes: u64) {
        all.comes(domain, &user(who), bytes);
        all.came(domain, &user(who), bytes, Some(bytes));
    }

    fn told(result: Result<(), Reply>) -> String {
        result.map_or_else(|reply| reply.to_string(), |()| "room".to_owned())
    }

    #[test]
    fn a_full_mailbox_says_so_until_something_is_taken_out() {
        let mut all = mailboxes();
        let bound = QUOTA - QUOTA / 4;
        assert_eq!(all.bound_bytes(&bcd(), &user("b1")), bound);
        put(&mut all, &bcd(), "b1", bound - 4096);
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

    #[test]
    fn a_mailbox_is_nearly_full_before_it_is_full() {
        let mut all = mailboxes();
        put(&mut all, &bcd(), "postmaster", QUOTA / 4 / 10 * 9 - 4096);
        assert_eq!(all.alarms().count(), 0);
        put(&mut all, &bcd(), "postmaster", 4096);
        let alarms = || all.alarms().collect::<Vec<_>>();
        assert!(alarms()[0].starts_with("postmaster@bcd.com: its mailbox is nearly full"), "{:?}", alarms());
    }

    #[test]
    fn every_domain_has_room_for_a_message_of_full_size_and_all_together_have_a_bound() {
        let room = 300 * MIB;
        let name = |n: u64| Domain::parse(&format!("d{n}.example")).unwrap();
        let mut all = Mailboxes::default();
        let hosted: Vec<_> = (0..100)
            .flat_map(|n| [Address::new(user("b1"), name(n)), Address::new(user("postmaster"), name(n))])
            .collect();
        all.share_out(room, &hosted);
        let large = MESSAGE_BYTES_MAX as u64;
        for n in 0..7 {
            assert_eq!(told(all.check(&name(n), &user("b1"), large)), "room", "{n}");
            put(&mut all, &name(n), "b1", large);
        }
        let full = told(all.check(&name(50), &user("b1"), large));
        assert_eq!(full, "452 4.2.2 <b1@d50.example>: the mailboxes of this box are full");
        assert_eq!(all.take_doubted().len(), 100, "mail may have been taken out of any");
        assert_eq!(told(all.check(&name(50), &user("b1"), 1000)), "room");
        assert_eq!(
            told(all.check(&name(50), &user("postmaster"), large)),
            "room",
            "users do not take his part"
        );
        assert!(
            all.alarms()
                .any(|alarm| alarm.starts_with("the users' mailboxes of all domains together are nearly"))
        );
        // Alone, a domain has all of it; on a small disk, as much as there is for it.
        all.share_out(room, &addresses(&["b1@bcd.com"]));
        assert_eq!(all.bound_bytes(&bcd(), &user("b1")), room - room / 4);
        all.share_out(8 * MIB, &hosted);
        assert_eq!(all.bound_bytes(&name(1), &user("b1")), 3 * MIB);
        assert!(told(all.check(&name(1), &user("b1"), large)).starts_with("552 5.2.3"));
    }

    #[test]
    fn what_is_hosted_no_more_is_forgotten_and_what_comes_back_is_measured() {
        let mut all = mailboxes();
        put(&mut all, &bcd(), "b1", QUOTA - QUOTA / 4);
        assert_eq!(all.alarms().count(), 1);
        all.share_out(0, &addresses(&["b2@bcd.com", "x1@xyz.com"]));
        assert_eq!(all.take_doubted().into_iter().map(|d| d.to_string()).collect::<Vec<_>>(), ["xyz.com"]);
        assert_eq!((all.alarms().count(), all.used_bytes(false)), (0, 0));
        // A delivery that was under way ends.
        all.came(&bcd(), &user("b1"), 4096, Some(4096));
        assert_eq!(all.used_bytes(false), 0);
        all.share_out(0, &addresses(&["b1@bcd.com", "b2@bcd.com"]));
        assert_eq!(all.take_doubted().into_iter().collect::<Vec<_>>(), [bcd()]);
        all.share_out(0, &addresses(&["b2@bcd.com"]));
        assert!(all.take_doubted().is_empty());
    }

    #[test]
    fn a_measurement_does_not_see_what_is_on_its_way_and_does_not_forget_it() {
        let mut all = mailboxes();
        let bound = QUOTA - QUOTA / 4;
        all.comes(&bcd(), &user("b1"), bound - 4096);
        all.measured(&bcd(), &user("b1"), Stock { messages: 1, bytes: 4096 });
        assert!(told(all.check(&bcd(), &user("b2"), 1)).starts_with("452"), "its place is still taken");
        assert_eq!(all.stock(&bcd(), &user("b1")), Stock { messages: 1, bytes: 4096 });
        all.came(&bcd(), &user("b1"), bound - 4096, None);
        assert_eq!(all.stock(&bcd(), &user("b1")), Stock { messages: 1, bytes: 4096 });
        assert_eq!(told(all.check(&bcd(), &user("b2"), bound - 4096)), "room");
    }

    #[test]
    fn a_domain_without_room_is_looked_into_once_a_minute() {
        let mut all = mailboxes();
        let at = |seconds| Instant::ORIGIN + Duration::from_secs(seconds);
        let looks: Vec<bool> = [0, 1, 59, 60, 61].iter().map(|s| all.may_look(&bcd(), at(*s))).collect();
        assert_eq!(looks, [true, false, false, true, false]);
        assert!(!all.may_look(&Domain::parse("xyz.com").unwrap(), at(100)));
    }
}
