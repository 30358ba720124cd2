//! A box on a tagged VLAN: two of them talk to each other there, and nobody without the tag hears them.

use std::time::Duration;

use crate::lab::{BCD, DNS, XYZ};
use crate::rig::Site;

#[test]
fn two_boxes_exchange_mail_on_a_vlan_and_nobody_else_sees_them() {
    let Some(site) = Site::long("pc") else { return };
    let mut sender = site.power_on(site.disk("sender.img"), &[]);
    sender.greeted();
    sender.told(&[
        "box name abc.com",
        "box interface eth0.20",
        "box address 203.0.113.1/24",
        &format!("box nameserver {DNS}"),
        &format!("domain bcd.com address {BCD}/24"),
        &format!("domain bcd.com route default {XYZ}:25"),
    ]);
    let other = ["--tap", "tap1", "--", "-global", "virtio-net-pci.mac=52:54:00:12:34:57"];
    let mut receiver = site.power_on(site.disk("receiver.img"), &other);
    receiver.greeted();
    receiver.told(&[
        "box name mail.xyz.com",
        "box interface eth0.20",
        "box address 203.0.113.2/24",
        &format!("domain xyz.com address {XYZ}/24"),
        "domain xyz.com mailbox x1",
    ]);
    receiver.say_until("show interface --json", &format!(r#""address":"{XYZ}","up":true"#));
    sender.say_until("show interface --json", &format!(r#""address":"{BCD}","up":true"#));
    sender.type_keys(b"send b1@bcd.com x1@xyz.com across the VLAN\r");
    sender.expect("Text, then a line with a dot: ");
    sender.type_keys(b"It is tagged.\r.\r");
    sender.expect("Sent (");
    receiver.say_until("show log 100", &format!("[{BCD}]"));
    let heard = site.pc.within(|| {
        let address = format!("{BCD}:25").parse().unwrap();
        std::net::TcpStream::connect_timeout(&address, Duration::from_secs(3)).map(drop)
    });
    assert!(heard.is_err(), "the box is heard without the tag");
}
