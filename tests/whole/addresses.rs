//! Aliases on the NIC of a running box, in both families: added, taken away by others, brought back.

use crate::lab::peers::{Mta, ordinary_client};
use crate::lab::{ABC, BCD, DNS, Dialogue, PC, Remote, Reply, Stagepost, XYZ, until_true};
use crate::world::{ABC6, BCD6, XYZ6, note, world, world_of, zones};

/// The box puts every address on its NIC itself.
fn on_the_nic() -> String {
    format!(
        "box name abc.com\nbox interface eth0\nbox address {ABC}/24\nbox nameserver {DNS}\n\
         domain abc.com address {ABC}/24\ndomain abc.com client {PC}\n\
         domain bcd.com address {BCD}/24\ndomain bcd.com client {PC}\ndomain bcd.com mailbox b1\n"
    )
}

#[test]
fn an_alias_deleted_by_hand_comes_back() {
    let Some(world) = world(&[]) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let stagepost = Stagepost::start(&world.device, &on_the_nic());
    stagepost.await_up();
    assert!(world.device.has_address(ABC) && world.device.has_address(BCD));
    for round in 1..4 {
        world.device.remove_address(&format!("{BCD}/24"));
        until_true("the alias is back", || world.device.has_address(BCD));
        let outcome = stagepost.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], "Subject: again\n\nb\n");
        assert_eq!(outcome.code, 0, "{outcome:?}");
        let taken = remote.await_taken(round);
        assert_eq!(taken[round - 1].client.to_string(), BCD);
    }
}

#[test]
fn what_the_box_added_goes_with_it_or_stays_usable() {
    let Some(world) = world(&["203.0.113.1/24"]) else { return };
    let mut stagepost = Stagepost::start(&world.device, &on_the_nic());
    stagepost.await_up();
    assert_eq!(stagepost.stop(), Some(0));
    assert!(world.device.has_address(ABC), "an address that was there before is left alone");
    stagepost.restart();
    stagepost.await_up();
    assert!(world.device.has_address(BCD));
}

#[test]
fn an_address_that_is_not_there_yet_is_waited_for() {
    let Some(world) = world(&["203.0.113.1/24"]) else { return };
    let config = on_the_nic().replace("box interface eth0\n", "").replace("/24", "");
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let stagepost = Stagepost::start(&world.device, &config);
    let outcome = stagepost.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], "Subject: early\n\nb\n");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    until_true("both say why", || {
        let reason = stagepost.console(&["show", "queue"])["queue"][0]["reason"].to_string();
        let domains = stagepost.console(&["show", "domains"]);
        let address = &domains["domains"][1]["addresses"][0];
        reason.contains(BCD) && address["state"] == "pending" && address["reason"].is_string()
    });
    assert_eq!(remote.heard("CONNECT"), 0);
    world.device.add_address(&format!("{BCD}/24"));
    assert_eq!(remote.await_taken(1)[0].client.to_string(), BCD);
    stagepost.await_up();
    let mut dialogue = Dialogue::connect(&world.pc, BCD);
    dialogue.expect("220 bcd.com");
}

#[test]
fn ipv6_keeps_its_identity_too() {
    let zones = zones().host("abc.com", ABC6).host("bcd.com", BCD6).host("xyz.com", XYZ6);
    let six_only = zones.clone().host("six.test", XYZ6).records("six.test", "@ MX 10 six.test.");
    let Some(world) = world_of(&[], &six_only) else { return };
    let sendmail = Mta::sendmail(&world.remote, "six.test", DNS);
    let config = on_the_nic()
        + &format!(
            "box address {ABC6}/64\ndomain abc.com address {ABC6}/64\ndomain bcd.com address {BCD6}/64\n"
        );
    let stagepost = Stagepost::start(&world.device, &config);
    stagepost.await_up();
    for (ip, domain, v6) in [(ABC, "abc.com", ABC6), (BCD, "bcd.com", BCD6)] {
        let sender = format!("u@{domain}");
        let subject = format!("By six {domain}");
        ordinary_client(
            &world.pc,
            ip,
            "pc.example",
            &sender,
            "x1@six.test",
            &note(&sender, "x1@six.test", &subject),
        );
        let message = sendmail.message(&subject);
        let clause = format!("from {domain} ({domain} [IPv6:{}])", sendmail_spelling(v6));
        let received = message.received();
        assert!(
            received.to_lowercase().starts_with(&clause.to_lowercase()),
            "wanted {clause}:\n{}",
            message.raw
        );
    }
}

/// Sendmail of Debian writes every group and no `::`.
fn sendmail_spelling(v6: &str) -> String {
    let ip: std::net::Ipv6Addr = v6.parse().unwrap();
    ip.segments().map(|group| format!("{group:x}")).join(":")
}

#[test]
fn a_destination_of_the_other_family_waits_and_says_so() {
    let zones = zones().host("six.test", XYZ6).records("six.test", "@ MX 10 six.test.");
    let Some(world) = world_of(&["203.0.113.1/24", "203.0.113.70/24", "2001:db8::1/64"], &zones) else {
        return;
    };
    let remote = Remote::start(&world.remote, XYZ6, |_| Reply::Usual);
    let config = on_the_nic().replace("box interface eth0\n", "").replace("/24", "");
    let stagepost = Stagepost::start(&world.device, &config);
    assert_eq!(stagepost.sendmail(&["-f", "b1@bcd.com", "x1@six.test"], "Subject: six\n\nb\n").code, 0);
    until_true("the queue says why", || {
        let reason = stagepost.console(&["show", "queue"])["queue"][0]["reason"].to_string();
        reason.contains("IPv6")
    });
    assert_eq!(remote.heard("CONNECT"), 0, "never from the host's own IPv6 address");
}
