//! The messages of DHCP, and the IP packet that carries one before there is an address. Sources: RFC 2131 §2,
//! RFC 2132 (options), RFC 3396 (options in pieces), RFC 768.
//! Danger: a message comes from anyone on the link; every length in it is checked, every list is bounded.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::limits::{DHCP_LEASE_S_MIN, DHCP_SERVERS_KEPT_MAX};
use crate::net::announce::Mac;
use crate::net::echo::checksum;

pub const SERVER_PORT: u16 = 67;
pub const CLIENT_PORT: u16 = 68;

/// The least that every server takes (RFC 2131 §2), which some insist on.
const MESSAGE_BYTES_MIN: usize = 300;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const OPTIONS_AT: usize = 240;

/// What a message is for (option 53).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
}

/// What a server gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub address: Ipv4Addr,
    /// The length of its network's prefix.
    pub len: u8,
    pub server: Ipv4Addr,
    pub routers: Vec<Ipv4Addr>,
    pub nameservers: Vec<Ipv4Addr>,
    pub timeservers: Vec<Ipv4Addr>,
    pub duration: Duration,
    /// T1 and T2 (RFC 2131 §4.4.5): when to ask the same server, and when any.
    pub renew: Duration,
    pub rebind: Duration,
}

/// A server's message to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Offer(Lease),
    Ack(Lease),
    Nak,
}

/// What we say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub kind: Kind,
    pub xid: u32,
    pub seconds: u16,
    pub mac: Mac,
    /// The address that we have and speak from; unspecified without one.
    pub have: Ipv4Addr,
    /// Options 50 and 54.
    pub wanted: Option<Ipv4Addr>,
    pub server: Option<Ipv4Addr>,
}

impl Request {
    pub fn encode(&self) -> Vec<u8> {
        let mut m = vec![1, 1, 6, 0];
        m.extend(self.xid.to_be_bytes());
        m.extend(self.seconds.to_be_bytes());
        // Without an address only a broadcast reaches us for certain.
        m.extend(if self.have.is_unspecified() { [0x80, 0] } else { [0, 0] });
        m.extend(self.have.octets());
        m.extend([0; 12]);
        m.extend(self.mac);
        m.resize(OPTIONS_AT - COOKIE.len(), 0);
        m.extend(COOKIE);
        let mut option = |code: u8, value: &[u8]| {
            m.extend([code, value.len() as u8]);
            m.extend(value);
        };
        option(53, &[self.kind as u8]);
        option(61, &[&[1], &self.mac[..]].concat());
        if let Some(ip) = self.wanted {
            option(50, &ip.octets());
        }
        if let Some(ip) = self.server {
            option(54, &ip.octets());
        }
        if matches!(self.kind, Kind::Discover | Kind::Request) {
            option(55, &[1, 3, 6, 42, 51, 54, 58, 59]);
        }
        m.push(255);
        m.resize(m.len().max(MESSAGE_BYTES_MIN), 0);
        m
    }
}

impl Message {
    /// Reads a server's answer to the request `xid` of `mac`; `None` for everything else.
    pub fn parse(bytes: &[u8], xid: u32, mac: Mac) -> Option<Message> {
        let head: &[u8; OPTIONS_AT] = bytes.first_chunk()?;
        let is_ours = head[..3] == [2, 1, 6] && head[4..8] == xid.to_be_bytes() && head[28..34] == mac;
        if !is_ours || head[OPTIONS_AT - COOKIE.len()..] != COOKIE {
            return None;
        }
        let options = &bytes[OPTIONS_AT..];
        let kind = *option(options, 53)?.first()?;
        if kind == Kind::Nak as u8 {
            return Some(Message::Nak);
        }
        let lease = lease(head, options)?;
        match kind {
            k if k == Kind::Offer as u8 => Some(Message::Offer(lease)),
            k if k == Kind::Ack as u8 => Some(Message::Ack(lease)),
            _ => None,
        }
    }
}

fn lease(head: &[u8; OPTIONS_AT], options: &[u8]) -> Option<Lease> {
    let address = Ipv4Addr::from_octets([head[16], head[17], head[18], head[19]]);
    let usable = !(address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_loopback());
    let mask = option(options, 1).and_then(|mask| <[u8; 4]>::try_from(mask).ok());
    let mask = mask.map_or(0xffff_ff00, u32::from_be_bytes);
    let len = mask.leading_ones();
    if !usable || len == 0 || mask.count_ones() != len {
        return None;
    }
    let seconds =
        |code| option(options, code).and_then(|v| <[u8; 4]>::try_from(v).ok()).map(u32::from_be_bytes);
    let duration = u64::from(seconds(51)?).max(DHCP_LEASE_S_MIN);
    let rebind = seconds(59).map_or(duration * 7 / 8, u64::from).clamp(2, duration);
    let renew = seconds(58).map_or(duration / 2, u64::from).clamp(1, rebind);
    Some(Lease {
        address,
        len: len as u8,
        server: addresses(options, 54).first().copied()?,
        routers: addresses(options, 3),
        nameservers: addresses(options, 6),
        timeservers: addresses(options, 42),
        duration: Duration::from_secs(duration),
        renew: Duration::from_secs(renew),
        rebind: Duration::from_secs(rebind),
    })
}

fn addresses(options: &[u8], code: u8) -> Vec<Ipv4Addr> {
    let bytes = option(options, code).unwrap_or_default();
    let all = bytes.chunks_exact(4).map(|b| Ipv4Addr::from_octets([b[0], b[1], b[2], b[3]]));
    all.filter(|ip| !ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast())
        .take(DHCP_SERVERS_KEPT_MAX)
        .collect()
}

/// The value of an option, its pieces put together.
fn option(mut rest: &[u8], wanted: u8) -> Option<Vec<u8>> {
    let mut found: Option<Vec<u8>> = None;
    loop {
        match rest {
            [0, after @ ..] => rest = after,
            [code, len, after @ ..] if *code != 255 && after.len() >= usize::from(*len) => {
                let (value, after) = after.split_at(usize::from(*len));
                if *code == wanted {
                    found.get_or_insert_default().extend(value);
                }
                rest = after;
            }
            _ => return found,
        }
    }
}

/// The IP and UDP headers around a message of ours, for a socket that takes whole packets.
pub fn packet(source: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let udp_len = (8 + message.len()) as u16;
    let mut p = vec![0x45, 0];
    p.extend((20 + udp_len).to_be_bytes());
    p.extend([0, 0, 0, 0, 64, 17, 0, 0]);
    p.extend(source.octets());
    p.extend(Ipv4Addr::BROADCAST.octets());
    let sum = checksum(&p);
    p[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut udp = Vec::with_capacity(8 + message.len());
    udp.extend(CLIENT_PORT.to_be_bytes());
    udp.extend(SERVER_PORT.to_be_bytes());
    udp.extend(udp_len.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(message);
    let pseudo = [&p[12..20], &[0, 17], &udp_len.to_be_bytes(), &udp].concat();
    // Zero would mean that there is no checksum.
    let sum = match checksum(&pseudo) {
        0 => 0xffff,
        sum => sum,
    };
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    p.extend(udp);
    p
}

/// The message in a whole IP packet, where it is one from a server's port to ours.
pub fn payload(packet: &[u8]) -> Option<&[u8]> {
    let (version, words) = (packet.first()? >> 4, packet[0] & 15);
    let head = packet.get(..usize::from(words) * 4).filter(|head| version == 4 && head.len() >= 20)?;
    let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let udp = packet.get(head.len()..total)?;
    let is_fragment = u16::from_be_bytes([head[6], head[7]]) & 0x3fff != 0;
    let ports = [SERVER_PORT.to_be_bytes(), CLIENT_PORT.to_be_bytes()].concat();
    (head[9] == 17 && !is_fragment && udp.len() > 8 && udp[..4] == ports).then(|| &udp[8..])
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const MAC: Mac = [2, 0, 0, 0, 0, 1];

    /// A server's message with these options after its kind.
    pub fn answer(kind: Kind, xid: u32, address: Ipv4Addr, options: &[&[u8]]) -> Vec<u8> {
        let mut m = vec![2, 1, 6, 0];
        m.extend(xid.to_be_bytes());
        m.extend([0; 8]);
        m.extend(address.octets());
        m.extend([0; 8]);
        m.extend(MAC);
        m.resize(OPTIONS_AT - COOKIE.len(), 0);
        m.extend(COOKIE);
        m.extend([53, 1, kind as u8]);
        m.extend(options.concat());
        m.push(255);
        m
    }

    #[test]
    fn a_request_says_who_asks_for_what() {
        let request = Request {
            kind: Kind::Request,
            xid: 0x0102_0304,
            seconds: 7,
            mac: MAC,
            have: Ipv4Addr::UNSPECIFIED,
            wanted: Some(Ipv4Addr::new(192, 0, 2, 9)),
            server: Some(Ipv4Addr::new(192, 0, 2, 1)),
        };
        let m = request.encode();
        assert_eq!(m.len(), MESSAGE_BYTES_MIN);
        assert_eq!(m[..12], [1, 1, 6, 0, 1, 2, 3, 4, 0, 7, 0x80, 0]);
        assert_eq!(option(&m[OPTIONS_AT..], 50).unwrap(), [192, 0, 2, 9]);
        assert_eq!(option(&m[OPTIONS_AT..], 61).unwrap(), [1, 2, 0, 0, 0, 0, 1]);
        let bound = Request { have: Ipv4Addr::new(192, 0, 2, 9), wanted: None, server: None, ..request };
        assert_eq!(bound.encode()[10..16], [0, 0, 192, 0, 2, 9]);
    }

    #[test]
    fn a_lease_is_read_with_all_it_brings() {
        let options: &[&[u8]] = &[
            &[1, 4, 255, 255, 255, 128],
            &[3, 4, 192, 0, 2, 1],
            &[6, 4, 192, 0, 2, 53, 0, 6, 8, 192, 0, 2, 54, 0, 0, 0, 0],
            &[42, 4, 192, 0, 2, 7],
            &[51, 4, 0, 0, 14, 16],
            &[54, 4, 192, 0, 2, 1],
        ];
        let ip = |n| Ipv4Addr::new(192, 0, 2, n);
        let m = answer(Kind::Ack, 5, ip(9), options);
        let Some(Message::Ack(lease)) = Message::parse(&m, 5, MAC) else { panic!("{m:?}") };
        let s = Duration::from_secs;
        let wanted = Lease {
            address: ip(9),
            len: 25,
            server: ip(1),
            routers: vec![ip(1)],
            nameservers: vec![ip(53), ip(54)],
            timeservers: vec![ip(7)],
            duration: s(3600),
            renew: s(1800),
            rebind: s(3150),
        };
        assert_eq!(lease, wanted);
        assert_eq!(Message::parse(&m, 6, MAC), None, "another request's");
        assert_eq!(Message::parse(&m, 5, [2, 0, 0, 0, 0, 2]), None, "another machine's");
        assert_eq!(Message::parse(&answer(Kind::Nak, 5, ip(0), &[]), 5, MAC), Some(Message::Nak));
        let bad_mask = answer(Kind::Ack, 5, ip(9), &[&[1, 4, 255, 0, 255, 0], options[4], options[5]]);
        assert_eq!(Message::parse(&bad_mask, 5, MAC), None);
        let nobody = answer(Kind::Ack, 5, Ipv4Addr::UNSPECIFIED, options);
        assert_eq!(Message::parse(&nobody, 5, MAC), None);
        for cut in 0..m.len() - 1 {
            let _ = Message::parse(&m[..cut], 5, MAC);
        }
    }

    #[test]
    fn a_packet_carries_it_and_checks() {
        let message = [7u8; 301];
        let mut packet = packet(Ipv4Addr::UNSPECIFIED, &message);
        assert_eq!(checksum(&packet[..20]), 0);
        let udp = packet[20..].to_vec();
        let pseudo = [&packet[12..20], &[0, 17], &udp[4..6], &udp].concat();
        assert_eq!(checksum(&pseudo), 0);
        assert_eq!(payload(&packet), None, "our own comes back");
        packet[20..24].copy_from_slice(&[0, 67, 0, 68]);
        assert_eq!(payload(&packet), Some(&message[..]));
        packet[6] = 0x20;
        assert_eq!(payload(&packet), None, "a fragment");
        for cut in 0..packet.len() {
            assert_eq!(payload(&packet[..cut]), None);
        }
    }
}
