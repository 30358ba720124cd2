//! The figures as acceptance: what a real receiver writes about a host that speaks for a virtual domain, by
//! itself (Figures 2A-2C, 2E) and through Stagepost (2D, 3A).

use crate::lab::peers::{Mta, Nsd, Zones, ordinary_client, swaks};
use crate::lab::{ABC, BCD, DNS, Host, Lab, XYZ};

/// Figure 2A, as a mail program hands it over.
const MESSAGE_2A: &str = "Date: Mon, 27 Nov 2000 10:18:52 -0800\n\
    From: \"Bob Smith\" <b1@bcd.com>\nTo: x1@xyz.com, b2\nSubject: Test Message 2\n\n\
    This message is a test. The end.\n";

/// The hosts of the figures: the computing device 100 with both addresses, the remote one 130, and DNS.
struct Figures {
    device: Host,
    remote: Host,
    _dns: (Host, Nsd),
    _lab: Lab,
}

fn figures() -> Option<Figures> {
    let lab = Lab::new()?;
    let device = lab.host("device", &["203.0.113.1/24", "203.0.113.70/24"]);
    let remote = lab.host("remote", &["203.0.113.25/24"]);
    let dns = lab.host("dns", &["203.0.113.53/24"]);
    let zones = Zones::default()
        .host("abc.com", ABC)
        .host("bcd.com", BCD)
        .host("xyz.com", XYZ)
        .records("xyz.com", "@ MX 10 xyz.com.");
    let nsd = Nsd::start(&dns, &[DNS], &zones);
    Some(Figures { device, remote, _dns: (dns, nsd), _lab: lab })
}

#[test]
fn an_ordinary_client_is_caught() {
    let Some(lab) = figures() else { return };
    let sendmail = Mta::sendmail(&lab.remote, "xyz.com", DNS);
    let hello = ordinary_client(&lab.device, XYZ, "bcd.com", "b1@bcd.com", "x1@xyz.com", MESSAGE_2A);
    assert!(hello.contains("xyz.com Hello abc.com [203.0.113.1]"), "Figure 2E: {hello}");
    let message = sendmail.message("Test Message 2");
    assert!(message.received().starts_with("from bcd.com (abc.com [203.0.113.1])"), "{}", message.raw);
}

#[test]
fn swaks_on_the_hosts_address_is_caught() {
    let Some(lab) = figures() else { return };
    let postfix = Mta::postfix(&lab.remote, "xyz.com", DNS);
    let args = ["--server", XYZ, "--ehlo", "bcd.com", "--from", "b1@bcd.com", "--to", "x1@xyz.com"];
    let output = swaks(&lab.device, &[&args[..], &["--header", "Subject: Test Message 2"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let message = postfix.message("Test Message 2");
    assert!(message.received().starts_with("from bcd.com (abc.com [203.0.113.1])"), "{}", message.raw);
}

#[test]
fn every_receiver_catches_an_ordinary_client() {
    let Some(lab) = figures() else { return };
    let exim = Mta::exim(&lab.remote, "xyz.com", DNS);
    ordinary_client(&lab.device, XYZ, "bcd.com", "b1@bcd.com", "x1@xyz.com", MESSAGE_2A);
    let message = exim.message("Test Message 2");
    let clause = exim.from_clause("bcd.com", "abc.com", ABC);
    assert!(message.received().starts_with(&clause), "{}", message.raw);
}
