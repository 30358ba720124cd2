//! Who else has our address: probes before an IPv4 address is used, and an ear for others afterwards. No
//! clock, no socket: packets and times in, packets out. Source: RFC 5227. Its probes are seconds apart; ours
//! are closer, because a box that starts must answer soon, and the ear stays open: whoever was asleep is heard
//! when we announce ourselves.
//! Danger: announcing an address that another machine has takes its traffic away.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::limits::{ARP_DEFEND_S, ARP_PROBE_AGAIN_S, ARP_PROBE_EVERY_MS, ARP_PROBES};
use crate::net::announce::{Mac, arp_announcement};
use crate::time::Instant;

/// Bytes of an ARP packet for IPv4 on Ethernet.
pub const ARP_BYTES: usize = 28;

/// What an ARP packet says of its sender (RFC 826).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    pub mac: Mac,
    /// Unspecified in a probe.
    pub sender: Ipv4Addr,
    pub target: Ipv4Addr,
}

impl Arp {
    /// Reads a request or a reply; anything else is nobody's.
    pub fn parse(packet: &[u8]) -> Option<Arp> {
        let packet: &[u8; ARP_BYTES] = packet.first_chunk()?;
        let (head, operation) = (&packet[..7], packet[7]);
        if head != [0, 1, 8, 0, 6, 4, 0] || !matches!(operation, 1 | 2) {
            return None;
        }
        let ip =
            |at: usize| Ipv4Addr::from_octets([packet[at], packet[at + 1], packet[at + 2], packet[at + 3]]);
        Some(Arp { mac: packet[8..14].try_into().ok()?, sender: ip(14), target: ip(24) })
    }
}

/// Asks who has `ip`, without saying that we do: its sender address is zero (RFC 5227 §2.1.1).
pub fn probe(mac: Mac, ip: Ipv4Addr) -> [u8; ARP_BYTES] {
    let mut packet = arp_announcement(mac, ip);
    packet[14..18].fill(0);
    packet
}

/// Whether an address may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The link is being asked.
    Probing,
    Free,
    /// By the machine with this MAC.
    Taken(Mac),
}

#[derive(Clone, Copy, Debug)]
enum Standing {
    Probing {
        sent: u32,
        next: Instant,
    },
    /// Ours; when it was last defended.
    Held {
        defended: Option<Instant>,
    },
    Taken {
        by: Mac,
        again: Instant,
    },
}

/// The ear of one link.
#[derive(Debug, Default)]
pub struct Defender {
    addresses: BTreeMap<Ipv4Addr, Standing>,
    /// Packets to be sent.
    out: Vec<[u8; ARP_BYTES]>,
}

impl Defender {
    /// Whether `ip` may be used; one that is not known yet is asked for from now on.
    pub fn claim(&mut self, now: Instant, ip: Ipv4Addr) -> Claim {
        match self.addresses.entry(ip).or_insert(Standing::Probing { sent: 0, next: now }) {
            Standing::Probing { .. } => Claim::Probing,
            Standing::Held { .. } => Claim::Free,
            Standing::Taken { by, .. } => Claim::Taken(*by),
        }
    }

    /// `ip` is on the NIC without our asking, from an earlier life or by somebody else: it is only listened for.
    pub fn hold(&mut self, ip: Ipv4Addr) {
        self.addresses.entry(ip).or_insert(Standing::Held { defended: None });
    }

    /// Forgets all but these.
    pub fn retain(&mut self, wanted: impl Fn(Ipv4Addr) -> bool) {
        self.addresses.retain(|ip, _| wanted(*ip));
    }

    /// Forgets what was learned: the link has been away, and another one may have come back.
    pub fn link_returned(&mut self, now: Instant) {
        for standing in self.addresses.values_mut().filter(|s| !matches!(s, Standing::Held { .. })) {
            *standing = Standing::Probing { sent: 0, next: now };
        }
    }

    /// What the link says. True: an address has changed hands, and the NIC must be looked at.
    pub fn heard(&mut self, now: Instant, own: Mac, packet: &[u8]) -> bool {
        let Some(arp) = Arp::parse(packet).filter(|arp| arp.mac != own) else { return false };
        // A probe of somebody else's for what we are probing counts as his claim (RFC 5227 §2.1.1).
        let rival = if arp.sender.is_unspecified() { arp.target } else { arp.sender };
        let taken = Standing::Taken { by: arp.mac, again: now + Duration::from_secs(ARP_PROBE_AGAIN_S) };
        let Some(standing) = self.addresses.get_mut(&rival) else { return false };
        match *standing {
            Standing::Probing { .. } => *standing = taken,
            // A probe is answered by the kernel; only who speaks from our address is a conflict.
            Standing::Held { .. } if arp.sender.is_unspecified() => return false,
            Standing::Held { defended } => {
                let lately = defended.is_some_and(|at| now.since(at) < Duration::from_secs(ARP_DEFEND_S));
                if !lately {
                    *standing = Standing::Held { defended: Some(now) };
                    self.out.push(arp_announcement(own, rival));
                    return false;
                }
                *standing = taken;
            }
            Standing::Taken { .. } => {
                *standing = taken;
                return false;
            }
        }
        true
    }

    /// Time passes. True: an address may be used now.
    pub fn tick(&mut self, now: Instant, own: Mac) -> bool {
        let mut freed = false;
        for (ip, standing) in &mut self.addresses {
            match *standing {
                Standing::Probing { sent, next } if next <= now => {
                    if sent >= ARP_PROBES {
                        *standing = Standing::Held { defended: None };
                        freed = true;
                        continue;
                    }
                    self.out.push(probe(own, *ip));
                    let next = now + Duration::from_millis(ARP_PROBE_EVERY_MS);
                    *standing = Standing::Probing { sent: sent + 1, next };
                }
                Standing::Taken { again, .. } if again <= now => {
                    self.out.push(probe(own, *ip));
                    let next = now + Duration::from_millis(ARP_PROBE_EVERY_MS);
                    *standing = Standing::Probing { sent: 1, next };
                }
                _ => {}
            }
        }
        freed
    }

    pub fn take_output(&mut self) -> Vec<[u8; ARP_BYTES]> {
        std::mem::take(&mut self.out)
    }

    /// When time matters next.
    pub fn deadline(&self) -> Instant {
        let due = |standing: &Standing| match standing {
            Standing::Probing { next, .. } => Some(*next),
            Standing::Taken { again, .. } => Some(*again),
            Standing::Held { .. } => None,
        };
        self.addresses.values().filter_map(due).min().unwrap_or(Instant::NEVER)
    }
}

/// `52:54:00:12:34:56`
pub fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = [2, 0, 0, 0, 0, 1];
    const OTHER: Mac = [2, 0, 0, 0, 0, 9];
    const IP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 70);

    fn at(ms: u64) -> Instant {
        Instant::ORIGIN + Duration::from_millis(ms)
    }

    /// Runs to the end of the probes; how many were sent.
    fn run(defender: &mut Defender, from: u64) -> usize {
        let mut sent = 0;
        for ms in from..from + 1000 {
            defender.tick(at(ms), OWN);
            sent += defender.take_output().len();
        }
        sent
    }

    #[test]
    fn a_free_address_is_used_after_its_probes() {
        let mut defender = Defender::default();
        assert_eq!(defender.claim(at(0), IP), Claim::Probing);
        assert!(!defender.tick(at(0), OWN));
        let packet = defender.take_output()[0];
        assert_eq!(Arp::parse(&packet), Some(Arp { mac: OWN, sender: Ipv4Addr::UNSPECIFIED, target: IP }));
        assert_eq!(run(&mut defender, 1), ARP_PROBES as usize - 1);
        assert_eq!((defender.claim(at(1000), IP), defender.deadline()), (Claim::Free, Instant::NEVER));
    }

    #[test]
    fn an_answer_or_a_rivals_probe_keeps_it_from_use_and_it_is_asked_for_again() {
        for packet in [arp_announcement(OTHER, IP), probe(OTHER, IP)] {
            let mut defender = Defender::default();
            defender.claim(at(0), IP);
            defender.tick(at(0), OWN);
            assert!(!defender.heard(at(1), OWN, &arp_announcement(OWN, IP)), "our own words come back");
            assert!(defender.heard(at(1), OWN, &packet));
            assert_eq!(defender.claim(at(2), IP), Claim::Taken(OTHER));
            defender.take_output();
            let again = ARP_PROBE_AGAIN_S * 1000 + 1;
            assert_eq!(defender.deadline(), at(again));
            assert_eq!(run(&mut defender, again), ARP_PROBES as usize);
            assert_eq!(defender.claim(at(again + 1000), IP), Claim::Free);
        }
    }

    #[test]
    fn a_held_address_is_defended_once_and_then_given_up() {
        let mut defender = Defender::default();
        defender.hold(IP);
        let rival = arp_announcement(OTHER, IP);
        assert!(!defender.heard(at(0), OWN, &probe(OTHER, IP)), "a question is no conflict");
        assert_eq!(defender.take_output().len(), 0);
        assert!(!defender.heard(at(0), OWN, &rival));
        assert_eq!(defender.take_output(), [arp_announcement(OWN, IP)]);
        assert!(!defender.heard(at(11_000), OWN, &rival), "long ago");
        assert!(defender.heard(at(12_000), OWN, &rival));
        assert_eq!(defender.claim(at(12_000), IP), Claim::Taken(OTHER));
    }

    #[test]
    fn other_packets_and_other_addresses_are_nothing() {
        let mut defender = Defender::default();
        defender.hold(IP);
        assert!(!defender.heard(at(0), OWN, &arp_announcement(OTHER, Ipv4Addr::new(192, 0, 2, 71))));
        assert!(!defender.heard(at(0), OWN, b"\x00\x01\x08\x00\x06\x04\x00\x03aaaaaaaaaaaaaaaaaaaa"));
        assert!(!defender.heard(at(0), OWN, &[0; 10]));
        defender.retain(|ip| ip != IP);
        assert_eq!(defender.claim(at(0), IP), Claim::Probing);
        assert_eq!(mac_text(OTHER), "02:00:00:00:00:09");
    }
}
