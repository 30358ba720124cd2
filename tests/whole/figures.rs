//! The figures as acceptance: what a real receiver writes about a host that speaks for a virtual domain, by
//! itself (Figures 2A-2C, 2E) and through Stagepost (2D, 3A).

use std::fmt::Write;

use crate::lab::peers::{Mta, Zones, ordinary_client, swaks};
use crate::lab::{ABC, BCD, DNS, Dialogue, PC, Remote, Reply, Stagepost, XYZ, until_true};
use crate::world::{BOTH, MESSAGE_2A, World, note, two_domains, world, world_of, zones};

#[test]
fn an_ordinary_client_is_caught() {
    let Some(world) = world(BOTH) else { return };
    let sendmail = Mta::sendmail(&world.remote, "xyz.com", DNS);
    let hello = ordinary_client(&world.device, XYZ, "bcd.com", "b1@bcd.com", "x1@xyz.com", MESSAGE_2A);
    assert!(hello.contains("xyz.com Hello abc.com [203.0.113.1]"), "Figure 2E: {hello}");
    let message = sendmail.message("Test Message 2");
    assert!(message.received().starts_with("from bcd.com (abc.com [203.0.113.1])"), "{}", message.raw);
}

#[test]
fn swaks_on_the_hosts_address_is_caught() {
    let Some(world) = world(BOTH) else { return };
    let postfix = Mta::postfix(&world.remote, "xyz.com", DNS);
    let args = ["--server", XYZ, "--ehlo", "bcd.com", "--from", "b1@bcd.com", "--to", "x1@xyz.com"];
    let output = swaks(&world.device, &[&args[..], &["--header", "Subject: Test Message 2"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let message = postfix.message("Test Message 2");
    assert!(message.received().starts_with("from bcd.com (abc.com [203.0.113.1])"), "{}", message.raw);
}

#[test]
fn exim_catches_an_ordinary_client() {
    let Some(world) = world(BOTH) else { return };
    let exim = Mta::exim(&world.remote, "xyz.com", DNS);
    ordinary_client(&world.device, XYZ, "bcd.com", "b1@bcd.com", "x1@xyz.com", MESSAGE_2A);
    let message = exim.message("Test Message 2");
    let clause = exim.clause_from("bcd.com", "abc.com", ABC);
    assert!(message.received().starts_with(&clause), "{}", message.raw);
}

/// Both domains send at once; the receiver records each with its own pair of name and address.
fn each_domain_speaks_for_itself(world: &World, receiver: &Mta) {
    let stagepost = Stagepost::start(&world.device, &two_domains());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut dialogue = Dialogue::greeted(&world.pc, ABC, "pc.example");
            let reply = dialogue.hand_over(
                "a1@abc.com",
                &["x1@xyz.com"],
                &note("a1@abc.com", "x1@xyz.com", "Host mail"),
            );
            assert!(reply.starts_with("250 "), "{reply}");
        });
        let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
        let reply = dialogue.hand_over("b1@bcd.com", &["x1@xyz.com", "b2@bcd.com"], MESSAGE_2A);
        assert!(reply.starts_with("250 "), "{reply}");
    });
    let message = receiver.message("Test Message 2");
    assert!(
        message.received().starts_with(&receiver.clause_from("bcd.com", "bcd.com", BCD)),
        "{}",
        message.raw
    );
    assert_eq!(message.fields("To"), ["x1@xyz.com, b2@bcd.com"], "the unqualified address is completed");
    assert_eq!(message.fields("Return-Path").len(), 1, "{}", message.raw);
    assert!(message.field("Message-Id").ends_with("@bcd.com>"), "{}", message.raw);
    assert_eq!(message.body().trim_end(), "This message is a test. The end.");
    let host_mail = receiver.message("Host mail");
    assert!(
        host_mail.received().starts_with(&receiver.clause_from("abc.com", "abc.com", ABC)),
        "{}",
        host_mail.raw
    );
    let copy = stagepost.mailbox_message("bcd.com", "b2", "Test Message 2");
    assert_eq!(copy.field("Delivered-To"), "b2@bcd.com");
    assert_eq!(copy.field("Return-Path"), "<b1@bcd.com>");
    until_true("the queue is empty", || {
        stagepost.console(&["show", "queue"])["queue"] == serde_json::json!([])
    });
}

#[test]
fn sendmail_records_each_domain_with_its_own_address() {
    let Some(world) = world(BOTH) else { return };
    let sendmail = Mta::sendmail(&world.remote, "xyz.com", DNS);
    each_domain_speaks_for_itself(&world, &sendmail);
    let traffic = sendmail.traffic();
    assert!(traffic.contains("Hello bcd.com [203.0.113.70], pleased to meet you"), "Figure 3A: {traffic}");
    assert!(!traffic.contains("may be forged"), "{traffic}");
}

#[test]
fn postfix_records_each_domain_with_its_own_address() {
    let Some(world) = world(BOTH) else { return };
    each_domain_speaks_for_itself(&world, &Mta::postfix(&world.remote, "xyz.com", DNS));
}

#[test]
fn exim_records_each_domain_with_its_own_address() {
    let Some(world) = world(BOTH) else { return };
    each_domain_speaks_for_itself(&world, &Mta::exim(&world.remote, "xyz.com", DNS));
}

/// The alias is taken away: b1's mail waits and says why, while host mail goes; it is given back: it leaves.
fn mail_waits_for_its_alias(world: &World, receiver: &Mta) {
    let stagepost = Stagepost::start(&world.device, &two_domains());
    world.device.remove_address("203.0.113.70/24");
    until_true("the alias is seen to be gone", || address_state(&stagepost, "bcd.com") == "pending");
    let sent = stagepost.sendmail(&["-t", "-i", "-f", "b1@bcd.com"], MESSAGE_2A);
    assert_eq!(sent.code, 0, "{}", sent.err);
    ordinary_client(
        &world.pc,
        ABC,
        "pc.example",
        "a1@abc.com",
        "x1@xyz.com",
        &note("a1@abc.com", "x1@xyz.com", "Host mail"),
    );
    receiver.message("Host mail");
    until_true("the queue says why", || {
        let queue = stagepost.console(&["show", "queue", "bcd.com"]);
        queue["queue"][0]["reason"].as_str().is_some_and(|reason| reason.contains(BCD))
    });
    assert_eq!(receiver.messages().len(), 1, "only host mail left: {:?}", receiver.messages());
    world.device.add_address("203.0.113.70/24");
    let message = receiver.message("Test Message 2");
    assert!(
        message.received().starts_with(&receiver.clause_from("bcd.com", "bcd.com", BCD)),
        "{}",
        message.raw
    );
    assert_eq!(address_state(&stagepost, "bcd.com"), "up");
}

fn address_state(stagepost: &Stagepost, domain: &str) -> String {
    let domains = stagepost.console(&["show", "domains"]);
    let all = domains["domains"].as_array().unwrap();
    let found = all.iter().find(|d| d["name"] == domain).unwrap_or_else(|| panic!("{domains}"));
    found["addresses"][0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn without_its_alias_nothing_leaves_to_sendmail() {
    let Some(world) = world(BOTH) else { return };
    mail_waits_for_its_alias(&world, &Mta::sendmail(&world.remote, "xyz.com", DNS));
}

#[test]
fn without_its_alias_nothing_leaves_to_postfix() {
    let Some(world) = world(BOTH) else { return };
    mail_waits_for_its_alias(&world, &Mta::postfix(&world.remote, "xyz.com", DNS));
}

#[test]
fn without_its_alias_nothing_leaves_to_exim() {
    let Some(world) = world(BOTH) else { return };
    mail_waits_for_its_alias(&world, &Mta::exim(&world.remote, "xyz.com", DNS));
}

const DOMAINS: usize = 50;
const MESSAGES_EACH: usize = 20;

fn domain(n: usize) -> String {
    format!("d{n:02}.example")
}

fn alias(n: usize) -> String {
    format!("203.0.113.{}", 100 + n)
}

/// Fifty domains on fifty aliases of one NIC, which the box puts there itself; and their DNS.
fn fifty() -> (String, Zones) {
    let mut config =
        format!("box name abc.com\nbox interface eth0\nbox address {ABC}/24\nbox nameserver {DNS}\n");
    let mut zones = zones();
    for n in 0..DOMAINS {
        let (domain, ip) = (domain(n), alias(n));
        writeln!(config, "domain {domain} address {ip}/24\ndomain {domain} client {PC}").unwrap();
        zones = zones.host(&domain, &ip);
    }
    (config, zones)
}

/// Hands over every message, in an order that mixes the domains, over a few connections at once.
fn hand_over_interleaved(world: &World) {
    std::thread::scope(|scope| {
        for lane in 0..10 {
            scope.spawn(move || {
                for n in 0..DOMAINS * MESSAGES_EACH / 10 {
                    let index = n * 10 + lane;
                    let (domain, ip) = (domain(index * 7 % DOMAINS), alias(index * 7 % DOMAINS));
                    let sender = format!("u@{domain}");
                    let text = note(&sender, "x1@xyz.com", &format!("m{index} of {domain} "));
                    let mut dialogue = Dialogue::greeted(&world.pc, &ip, "pc.example");
                    let reply = dialogue.hand_over(&sender, &["x1@xyz.com"], &text);
                    assert!(reply.starts_with("250 "), "{reply}");
                    dialogue.quit();
                }
            });
        }
    });
}

#[test]
fn a_thousand_messages_of_fifty_domains_keep_their_identities() {
    let (config, zones) = fifty();
    let Some(world) = world_of(&[], &zones) else { return };
    let sendmail = Mta::sendmail(&world.remote, "xyz.com", DNS);
    let stagepost = Stagepost::start(&world.device, &config);
    stagepost.await_up();
    hand_over_interleaved(&world);
    let messages = sendmail.await_count(DOMAINS * MESSAGES_EACH);
    let mut count = [0; DOMAINS];
    for message in &messages {
        let subject = message.subject();
        let n = (0..DOMAINS).find(|n| subject.ends_with(&domain(*n))).unwrap_or_else(|| panic!("{subject}"));
        let clause = sendmail.clause_from(&domain(n), &domain(n), &alias(n));
        assert!(message.received().starts_with(&clause), "wanted {clause:?}:\n{}", message.raw);
        assert_eq!(message.field("Return-Path"), format!("<u@{}>", domain(n)));
        count[n] += 1;
    }
    assert_eq!(count, [MESSAGES_EACH; DOMAINS], "every message once");
}

#[test]
fn the_thousand_come_from_the_right_sockets() {
    let (config, zones) = fifty();
    let Some(world) = world_of(&[], &zones) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let stagepost = Stagepost::start(&world.device, &config);
    stagepost.await_up();
    hand_over_interleaved(&world);
    for taken in remote.await_taken(DOMAINS * MESSAGES_EACH) {
        let sender_domain = taken.sender.strip_prefix("u@").unwrap();
        let n = (0..DOMAINS).find(|n| domain(*n) == sender_domain).unwrap();
        assert_eq!((taken.client.to_string(), taken.ehlo.as_str()), (alias(n), sender_domain));
    }
}
