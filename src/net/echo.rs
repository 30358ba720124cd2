//! ICMP echo, as `ping` sends it and hears it. Sources: RFC 792, RFC 4443 §4.
//! Danger: a raw socket hears everybody's echoes; only our own identifier and number count.

use std::net::IpAddr;

/// Bytes of an echo before its data.
pub const HEAD_BYTES: usize = 8;

/// An echo request. The kernel fills in the checksum of ICMPv6, and of ICMP on a datagram socket.
///
/// ```text
/// 0  type 8, or 128   1  code 0   2  checksum   4  identifier   6  number   8  data
/// ```
pub fn request(to: IpAddr, identifier: u16, number: u16) -> Vec<u8> {
    let mut packet = vec![if to.is_ipv4() { 8 } else { 128 }, 0, 0, 0];
    packet.extend(identifier.to_be_bytes());
    packet.extend(number.to_be_bytes());
    packet.extend(b"stagepost was here, and asks for an echo of this");
    if to.is_ipv4() {
        let sum = checksum(&packet);
        packet[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    packet
}

/// The number of our own echo in what came from `from`. `identifier` is `None` where the kernel has chosen it
/// and lets nothing else through. A raw IPv4 socket gives the IP header too.
pub fn reply_number(from: IpAddr, identifier: Option<u16>, packet: &[u8]) -> Option<u16> {
    let is_raw_v4 = from.is_ipv4() && packet.first().is_some_and(|byte| byte >> 4 == 4);
    let icmp = match is_raw_v4 {
        true => packet.get(usize::from(packet[0] & 15) * 4..)?,
        false => packet,
    };
    let head: &[u8; HEAD_BYTES] = icmp.first_chunk()?;
    let is_reply = head[0] == if from.is_ipv4() { 0 } else { 129 };
    let is_ours = identifier.is_none_or(|own| own == u16::from_be_bytes([head[4], head[5]]));
    (is_reply && is_ours).then(|| u16::from_be_bytes([head[6], head[7]]))
}

/// The Internet checksum (RFC 1071) of bytes whose own checksum is zero.
pub fn checksum(bytes: &[u8]) -> u16 {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |b| u32::from(*b)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_known_by_its_number() {
        let v4: IpAddr = "192.0.2.2".parse().unwrap();
        let mut packet = request(v4, 0x1234, 7);
        assert_eq!(checksum(&packet), 0, "with its checksum in place the sum is zero");
        assert_eq!(reply_number(v4, None, &packet), None, "a request is no reply");
        packet[0] = 0;
        assert_eq!(reply_number(v4, Some(0x1234), &packet), Some(7));
        assert_eq!(reply_number(v4, Some(0x1235), &packet), None);
        let mut raw = vec![0x45; 20];
        raw.extend(&packet);
        assert_eq!(reply_number(v4, Some(0x1234), &raw), Some(7));
        assert_eq!(reply_number(v4, None, &packet[..6]), None);
        assert_eq!(reply_number(v4, None, &[]), None);
        let v6: IpAddr = "2001:db8::2".parse().unwrap();
        let mut packet = request(v6, 1, 9);
        assert_eq!(packet[2..4], [0, 0]);
        packet[0] = 129;
        assert_eq!(reply_number(v6, Some(1), &packet), Some(9));
    }

    #[test]
    fn the_sum_is_that_of_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&[0xff]), !0xff00);
    }
}
