//! The client's states (RFC 2131 §4.4, figure 5): times and messages in, messages out. It begins anew whenever
//! the link comes back, and keeps a lease to its last second.
//!
//! ```text
//! Selecting -offer-> Requesting -ack-> Bound -T1-> Renewing -T2-> Rebinding -end-> Selecting
//!      ^------------- nak, silence ----'  ^--------- ack -----------'
//! ```

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::limits::{
    DHCP_AGAIN_S_MAX, DHCP_DECLINE_S, DHCP_REQUESTS_MAX, DHCP_RETRY_S_MIN, DHCP_WAIT_FIRST_S,
};
use crate::net::announce::Mac;
use crate::net::dhcp::message::{Kind, Lease, Message, Request};
use crate::prng::Prng;
use crate::time::Instant;

/// One interface's client.
#[derive(Debug)]
pub struct Client {
    mac: Mac,
    prng: Prng,
    xid: u32,
    state: State,
    /// When this state began to ask, and when it asks again.
    asking_since: Instant,
    again: Instant,
    tries: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Looking for a server.
    Selecting,
    /// Asking for what one of them has offered.
    Requesting(Lease),
    Bound(Held),
    /// Asking the lease's server for more time.
    Renewing(Held),
    /// Asking anybody.
    Rebinding(Held),
}

/// A lease, and when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub lease: Lease,
    pub since: Instant,
}

impl Held {
    pub fn ends(&self) -> Instant {
        self.since + self.lease.duration
    }
}

/// How a message is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// To everyone, from this address.
    Broadcast(Ipv4Addr),
    /// From our address to the server.
    Unicast { from: Ipv4Addr, to: Ipv4Addr },
}

impl Client {
    pub fn new(now: Instant, mac: Mac, seed: u64) -> Self {
        let mut prng = Prng::from_seed(seed);
        let xid = prng.u64() as u32;
        Client { mac, prng, xid, state: State::Selecting, asking_since: now, again: now, tries: 0 }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// What may be used now.
    pub fn lease(&self) -> Option<&Held> {
        match &self.state {
            State::Bound(held) | State::Renewing(held) | State::Rebinding(held) => Some(held),
            State::Selecting | State::Requesting(_) => None,
        }
    }

    /// The link has come back, perhaps on another network: a lease that is held is confirmed at once.
    pub fn link_returned(&mut self, now: Instant) {
        match self.lease().cloned() {
            Some(held) => self.enter(now, State::Rebinding(held)),
            None => self.enter(now, State::Selecting),
        }
    }

    /// Somebody else has the address (RFC 2131 §4.4.1): gives what is to be said, and begins anew later.
    pub fn decline(&mut self, now: Instant) -> Option<(Road, Vec<u8>)> {
        let lease = self.lease()?.lease.clone();
        let said =
            self.request(now, Kind::Decline, Ipv4Addr::UNSPECIFIED, Some(lease.address), Some(lease.server));
        self.enter(now, State::Selecting);
        self.again = now + Duration::from_secs(DHCP_DECLINE_S);
        Some((Road::Broadcast(Ipv4Addr::UNSPECIFIED), said))
    }

    /// The address is not wanted any more.
    pub fn release(&mut self, now: Instant) -> Option<(Road, Vec<u8>)> {
        let lease = self.lease()?.lease.clone();
        let said = self.request(now, Kind::Release, lease.address, None, Some(lease.server));
        self.enter(now, State::Selecting);
        Some((Road::Unicast { from: lease.address, to: lease.server }, said))
    }

    /// When [`Client::tick`] has something to do.
    pub fn deadline(&self) -> Instant {
        match &self.state {
            State::Bound(held) => held.since + held.lease.renew,
            State::Renewing(held) => self.again.min(held.since + held.lease.rebind),
            State::Rebinding(held) => self.again.min(held.ends()),
            State::Selecting | State::Requesting(_) => self.again,
        }
    }

    /// Time passes; gives what is to be said now.
    pub fn tick(&mut self, now: Instant) -> Option<(Road, Vec<u8>)> {
        match self.state.clone() {
            State::Bound(held) if now >= held.since + held.lease.renew => {
                self.enter(now, State::Renewing(held))
            }
            State::Renewing(held) if now >= held.since + held.lease.rebind => {
                self.enter(now, State::Rebinding(held));
            }
            State::Rebinding(held) if now >= held.ends() => self.enter(now, State::Selecting),
            State::Requesting(_) if self.tries >= DHCP_REQUESTS_MAX && now >= self.again => {
                self.enter(now, State::Selecting);
            }
            _ => {}
        }
        if now < self.again || matches!(self.state, State::Bound(_)) {
            return None;
        }
        self.tries += 1;
        self.again = now + self.patience(now);
        let nobody = Ipv4Addr::UNSPECIFIED;
        Some(match self.state.clone() {
            State::Selecting => {
                (Road::Broadcast(nobody), self.request(now, Kind::Discover, nobody, None, None))
            }
            State::Requesting(lease) => {
                let said = self.request(now, Kind::Request, nobody, Some(lease.address), Some(lease.server));
                (Road::Broadcast(nobody), said)
            }
            State::Renewing(Held { lease, .. }) => {
                let said = self.request(now, Kind::Request, lease.address, None, None);
                (Road::Unicast { from: lease.address, to: lease.server }, said)
            }
            State::Rebinding(Held { lease, .. }) | State::Bound(Held { lease, .. }) => {
                (Road::Broadcast(lease.address), self.request(now, Kind::Request, lease.address, None, None))
            }
        })
    }

    /// How long an answer is waited for: doubling with jitter (§4.1); with a lease, half of what is left (§4.4.5).
    fn patience(&mut self, now: Instant) -> Duration {
        let left = match &self.state {
            State::Renewing(held) => Some((held.since + held.lease.rebind).since(now)),
            State::Rebinding(held) => Some(held.ends().since(now)),
            _ => None,
        };
        match left {
            Some(left) => (left / 2).max(Duration::from_secs(DHCP_RETRY_S_MIN)),
            None => {
                let doubled = DHCP_WAIT_FIRST_S << (self.tries - 1).min(16);
                self.prng.jitter(Duration::from_secs(doubled.min(DHCP_AGAIN_S_MAX)))
            }
        }
    }

    /// Takes a message from the link. True: there is another lease than before, or none any more.
    pub fn heard(&mut self, now: Instant, bytes: &[u8]) -> bool {
        let Some(message) = Message::parse(bytes, self.xid, self.mac) else { return false };
        match (self.state.clone(), message) {
            (State::Selecting, Message::Offer(lease)) if self.tries > 0 => {
                self.enter_with(now, State::Requesting(lease), self.xid);
                false
            }
            (State::Requesting(offer), Message::Ack(lease)) if lease.server == offer.server => {
                self.bind(lease)
            }
            (State::Renewing(_) | State::Rebinding(_), Message::Ack(lease)) => self.bind(lease),
            (State::Requesting(_), Message::Nak) => {
                self.enter(now, State::Selecting);
                false
            }
            (State::Renewing(_) | State::Rebinding(_), Message::Nak) => {
                self.enter(now, State::Selecting);
                true
            }
            _ => false,
        }
    }

    /// A lease runs from when it was asked for (§4.4.1).
    fn bind(&mut self, lease: Lease) -> bool {
        let other = self.lease().is_none_or(|held| held.lease != lease);
        self.state = State::Bound(Held { lease, since: self.asking_since });
        self.tries = 0;
        other
    }

    fn enter(&mut self, now: Instant, state: State) {
        let xid = self.prng.u64() as u32;
        self.enter_with(now, state, xid);
    }

    fn enter_with(&mut self, now: Instant, state: State, xid: u32) {
        (self.state, self.xid, self.asking_since, self.again, self.tries) = (state, xid, now, now, 0);
    }

    fn request(
        &self,
        now: Instant,
        kind: Kind,
        have: Ipv4Addr,
        wanted: Option<Ipv4Addr>,
        server: Option<Ipv4Addr>,
    ) -> Vec<u8> {
        let seconds = u16::try_from(now.since(self.asking_since).as_secs()).unwrap_or(u16::MAX);
        Request { kind, xid: self.xid, seconds, mac: self.mac, have, wanted, server }.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::dhcp::message::tests::{MAC, answer};

    const IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
    const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
    const OPTIONS: &[&[u8]] = &[&[1, 4, 255, 255, 255, 0], &[51, 4, 0, 0, 3, 32], &[54, 4, 192, 0, 2, 1]];

    fn at(s: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(s)
    }

    fn xid(message: &[u8]) -> u32 {
        u32::from_be_bytes([message[4], message[5], message[6], message[7]])
    }

    fn kind(message: &[u8]) -> u8 {
        message[242]
    }

    /// Bound at `at(0)` for 800 s, T1 at 400, T2 at 700.
    fn bound() -> Client {
        let mut client = Client::new(at(0), MAC, 1);
        let (road, discover) = client.tick(at(0)).unwrap();
        assert_eq!((road, kind(&discover)), (Road::Broadcast(Ipv4Addr::UNSPECIFIED), 1));
        assert!(
            !client.heard(at(0), &answer(Kind::Ack, xid(&discover), IP, OPTIONS)),
            "nothing was asked for"
        );
        assert!(!client.heard(at(0), &answer(Kind::Offer, xid(&discover), IP, OPTIONS)));
        let (_, request) = client.tick(at(0)).unwrap();
        assert_eq!(kind(&request), 3);
        assert!(client.heard(at(0), &answer(Kind::Ack, xid(&request), IP, OPTIONS)));
        assert_eq!(client.lease().unwrap().lease.address, IP);
        client
    }

    #[test]
    fn a_lease_is_renewed_with_its_server_and_then_with_anybody() {
        let mut client = bound();
        assert_eq!((client.tick(at(399)), client.deadline()), (None, at(400)));
        let (road, renew) = client.tick(at(400)).unwrap();
        assert_eq!(road, Road::Unicast { from: IP, to: SERVER });
        assert_eq!(client.deadline(), at(550), "half of the time until T2");
        assert_eq!(client.tick(at(500)), None);
        assert!(!client.heard(at(401), &answer(Kind::Ack, xid(&renew), IP, OPTIONS)), "the same lease");
        assert_eq!(client.deadline(), at(800), "the lease runs from when it was asked for again");

        let mut client = bound();
        client.tick(at(400));
        let (road, rebind) = client.tick(at(700)).unwrap();
        assert_eq!((road, kind(&rebind)), (Road::Broadcast(IP), 3));
        client.tick(at(760));
        assert!(client.lease().is_some());
        let (_, discover) = client.tick(at(800)).unwrap();
        assert!(kind(&discover) == 1 && client.lease().is_none(), "to the last second, and not longer");
    }

    #[test]
    fn a_nak_ends_it_and_a_conflict_is_declined() {
        let mut client = bound();
        let (_, renew) = client.tick(at(400)).unwrap();
        assert!(client.heard(at(401), &answer(Kind::Nak, xid(&renew), Ipv4Addr::UNSPECIFIED, &[])));
        assert_eq!(kind(&client.tick(at(401)).unwrap().1), 1);

        let mut client = bound();
        let (road, decline) = client.decline(at(1)).unwrap();
        assert_eq!((road, kind(&decline)), (Road::Broadcast(Ipv4Addr::UNSPECIFIED), 4));
        assert_eq!((client.lease(), client.deadline()), (None, at(1 + DHCP_DECLINE_S)));
        assert_eq!(kind(&bound().release(at(1)).unwrap().1), 7);
    }

    #[test]
    fn silence_is_asked_again_ever_more_rarely() {
        let mut client = Client::new(at(0), MAC, 3);
        let mut now = at(0);
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert_eq!(kind(&client.tick(now).unwrap().1), 1);
            waits.push(client.deadline().since(now).as_secs_f64().round() as u64);
            now = client.deadline();
        }
        assert!(waits.windows(2).all(|pair| pair[1] + 14 >= pair[0]), "{waits:?}");
        assert!(waits[0] <= 2 && *waits.last().unwrap() <= DHCP_AGAIN_S_MAX * 11 / 10, "{waits:?}");
    }

    #[test]
    fn an_offer_that_nobody_confirms_is_given_up() {
        let mut client = Client::new(at(0), MAC, 1);
        let (_, discover) = client.tick(at(0)).unwrap();
        client.heard(at(0), &answer(Kind::Offer, xid(&discover), IP, OPTIONS));
        let mut now = at(0);
        let mut kinds = Vec::new();
        for _ in 0..5 {
            kinds.push(kind(&client.tick(now).unwrap().1));
            now = client.deadline();
        }
        assert_eq!(kinds, [3, 3, 3, 3, 1]);
    }

    #[test]
    fn a_link_that_returns_has_its_lease_confirmed() {
        let mut client = bound();
        client.link_returned(at(10));
        let (road, ask) = client.tick(at(10)).unwrap();
        assert_eq!((road, kind(&ask)), (Road::Broadcast(IP), 3));
        assert!(client.lease().is_some(), "and stays usable meanwhile");
    }
}
