//! The packets that tell the neighbours whose address this is now, so that nobody keeps sending to the
//! machine that had it before. Sources: RFC 5227 §2.3 (ARP announcement), RFC 826, RFC 4861 §4.4 and §7.2.6.
//! Danger: a wrong sender address would take traffic away from another machine.

use std::net::{Ipv4Addr, Ipv6Addr};

pub type Mac = [u8; 6];

/// An ARP request for `ip` by its own holder, without the Ethernet header.
///
/// ```text
/// 0  hardware type 1   4  lengths 6, 4     8  sender MAC    18  target MAC, zero
/// 2  protocol 0x0800   6  operation 1      14 sender IP     24  target IP, the same
/// ```
pub fn arp_announcement(mac: Mac, ip: Ipv4Addr) -> [u8; 28] {
    let mut packet = [0; 28];
    packet[0..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    packet[8..14].copy_from_slice(&mac);
    packet[14..18].copy_from_slice(&ip.octets());
    packet[24..28].copy_from_slice(&ip.octets());
    packet
}

/// An unsolicited neighbour advertisement for `ip` with the override flag; the kernel fills the checksum.
///
/// ```text
/// 0  type 136   2  checksum   4  flags: override   8  target   24  option 2, length 1, MAC
/// ```
pub fn neighbour_advertisement(mac: Mac, ip: Ipv6Addr) -> [u8; 32] {
    let mut packet = [0; 32];
    packet[0] = 136;
    packet[4] = 0x20;
    packet[8..24].copy_from_slice(&ip.octets());
    packet[24..26].copy_from_slice(&[2, 1]);
    packet[26..32].copy_from_slice(&mac);
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    #[test]
    fn an_announcement_is_a_request_for_ones_own_address() {
        let packet = arp_announcement(MAC, Ipv4Addr::new(192, 0, 2, 70));
        let expected = b"\x00\x01\x08\x00\x06\x04\x00\x01\x52\x54\x00\x12\x34\x56\xc0\x00\x02\x46\
            \x00\x00\x00\x00\x00\x00\xc0\x00\x02\x46";
        assert_eq!(&packet, expected);
    }

    #[test]
    fn an_advertisement_overrides_what_neighbours_remember() {
        let packet = neighbour_advertisement(MAC, "2001:db8::70".parse().unwrap());
        assert_eq!(&packet[..8], b"\x88\x00\x00\x00\x20\x00\x00\x00");
        assert_eq!(&packet[8..12], b"\x20\x01\x0d\xb8");
        assert_eq!(&packet[23..], b"\x70\x02\x01\x52\x54\x00\x12\x34\x56");
    }
}
