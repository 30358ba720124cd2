//! What becomes of mail whose destination does not take it at once: retries, bounces, fallbacks, restarts.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::lab::peers::{Mta, ordinary_client};
use crate::lab::{ABC, BCD, DNS, Dialogue, PATIENCE, Remote, Reply, Stagepost, XYZ, until, until_true};
use crate::world::{BOTH, World, note, two_domains, world, world_of, zones};

/// The two domains; b1's mail is stored before it is tried, and retried after a second.
fn impatient() -> String {
    two_domains() + "domain bcd.com retry first 1s max 2s expire 5d\ndomain bcd.com spool always\n"
}

fn hand_in(world: &World, recipient: &str, subject: &str) {
    ordinary_client(
        &world.pc,
        BCD,
        "pc.example",
        "b1@bcd.com",
        recipient,
        &note("b1@bcd.com", recipient, subject),
    );
}

/// Waits until the first entry of the queue says this somewhere.
fn await_reason(stagepost: &Stagepost, text: &str) {
    let mut last = String::new();
    until_true(&format!("the queue says {text:?}"), || {
        last = stagepost.console(&["show", "queue"]).to_string();
        last.contains(text)
    });
}

#[test]
fn a_deferral_is_tried_again_and_delivered_once() {
    let Some(world) = world(BOTH) else { return };
    let tries = AtomicUsize::new(0);
    let remote = Remote::start(&world.remote, XYZ, move |line| match line {
        "RCPT TO:<x1@xyz.com>" if tries.fetch_add(1, Ordering::Relaxed) < 2 => {
            Reply::Say("450 4.2.1 greylisted")
        }
        _ => Reply::Usual,
    });
    let stagepost = Stagepost::start(&world.device, &impatient());
    hand_in(&world, "x1@xyz.com", "Later");
    await_reason(&stagepost, "greylisted");
    let taken = remote.await_taken(1);
    assert_eq!(taken[0].message.subject(), "Later");
    until_true("the queue is empty", || stagepost.console(&["show", "status"])["queued"] == 0);
    assert_eq!(remote.taken().len(), 1);
}

#[test]
fn each_recipient_has_an_outcome_of_its_own() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |line| match line {
        "RCPT TO:<no@xyz.com>" => Reply::Say("550 5.1.1 never heard of him"),
        "RCPT TO:<later@xyz.com>" => Reply::Say("450 4.2.2 his box is full"),
        _ => Reply::Usual,
    });
    let stagepost = Stagepost::start(&world.device, &impatient());
    let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
    let all = ["x1@xyz.com", "no@xyz.com", "later@xyz.com"];
    let reply = dialogue.hand_over("b1@bcd.com", &all, &note("b1@bcd.com", "x1@xyz.com", "To three"));
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(remote.await_taken(1)[0].recipients, ["x1@xyz.com"]);
    await_reason(&stagepost, "his box is full");
    let bounce = until("b1 is told", PATIENCE, || stagepost.mailbox("bcd.com", "b1").pop());
    assert_eq!(bounce.field("Return-Path"), "<>");
    assert!(bounce.field("Content-Type").starts_with("multipart/report"), "{}", bounce.raw);
    for text in [
        "Final-Recipient: rfc822; no@xyz.com",
        "Action: failed",
        "Status: 5.1.1",
        "never heard of him",
        "To three",
    ] {
        assert!(bounce.raw.contains(text), "{text:?} is missing in\n{}", bounce.raw);
    }
    assert!(
        !bounce.raw.contains("later@xyz.com") && !bounce.raw.contains("Final-Recipient: rfc822; x1@"),
        "{}",
        bounce.raw
    );
    remote.await_heard("RCPT TO:<later@xyz.com>", 2);
    assert_eq!(remote.heard("RCPT TO:<no@xyz.com>"), 1);
    assert_eq!(stagepost.mailbox("bcd.com", "b1").len(), 1, "one bounce");
}

#[test]
fn a_bounce_reaches_a_real_postfix_under_its_domains_identity() {
    let Some(world) = world(BOTH) else { return };
    let postfix = Mta::postfix(&world.remote, "xyz.com", DNS);
    // The inner host of bcd.com may hand in for outside users only as <>; x1 writes to a user whom it refuses.
    let inner = Remote::start(&world.pc, "203.0.113.9", |line| match line {
        "RCPT TO:<gone@bcd.com>" => Reply::Say("550 5.1.1 moved away"),
        _ => Reply::Usual,
    });
    let config = two_domains() + "domain bcd.com forward 203.0.113.9\ndomain bcd.com spool always\n";
    let _stagepost = Stagepost::start(&world.device, &config);
    ordinary_client(
        &world.remote,
        BCD,
        "xyz.com",
        "x1@xyz.com",
        "gone@bcd.com",
        &note("x1@xyz.com", "gone@bcd.com", "Anybody there"),
    );
    inner.await_heard("RCPT TO:<gone@bcd.com>", 1);
    let bounce = until("the bounce arrives", PATIENCE, || postfix.messages().pop());
    assert!(bounce.received().starts_with("from bcd.com (bcd.com [203.0.113.70])"), "{}", bounce.raw);
    assert_eq!(bounce.field("Return-Path"), "<>");
    assert_eq!(bounce.field("To"), "<x1@xyz.com>");
    for text in [
        "Reporting-MTA: dns; bcd.com",
        "Final-Recipient: rfc822; gone@bcd.com",
        "Diagnostic-Code: smtp; 550 5.1.1 moved away",
    ] {
        assert!(bounce.raw.contains(text), "{text:?} is missing in\n{}", bounce.raw);
    }
}

#[test]
fn a_bounce_is_never_bounced() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |line| match line {
        "." => Reply::Say("554 5.6.0 no thanks"),
        _ => Reply::Usual,
    });
    let stagepost = Stagepost::start(&world.device, &impatient());
    let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
    let reply = dialogue.hand_over("", &["x1@xyz.com"], &note("b1@bcd.com", "x1@xyz.com", "From nobody"));
    assert!(reply.starts_with("250"), "{reply}");
    remote.await_heard(".", 1);
    until_true("the queue is empty", || stagepost.console(&["show", "status"])["queued"] == 0);
    assert_eq!(stagepost.mailbox("bcd.com", "b1").len() + stagepost.mailbox("abc.com", "a1").len(), 0);
}

#[test]
fn an_expired_message_comes_back() {
    let Some(world) = world(BOTH) else { return };
    let _remote = Remote::start(&world.remote, XYZ, |line| match line {
        "." => Reply::Say("451 4.3.0 never today"),
        _ => Reply::Usual,
    });
    let config =
        two_domains() + "domain bcd.com retry first 1s max 1s expire 3s\ndomain bcd.com spool always\n";
    let stagepost = Stagepost::start(&world.device, &config);
    hand_in(&world, "x1@xyz.com", "Too late");
    let bounce = until("b1 is told", PATIENCE, || stagepost.mailbox("bcd.com", "b1").pop());
    for text in ["Action: failed", "never today", "Final-Recipient: rfc822; x1@xyz.com"] {
        assert!(bounce.raw.contains(text), "{text:?} is missing in\n{}", bounce.raw);
    }
    until_true("the queue is empty", || stagepost.console(&["show", "status"])["queued"] == 0);
}

#[test]
fn what_dns_says_decides() {
    let zones =
        zones().records("null.test", "@ MX 0 .").broken("broken.test").records("empty.test", "@ TXT \"x\"");
    let Some(world) = world_of(BOTH, &zones) else { return };
    let stagepost = Stagepost::start(&world.device, &impatient());
    for (caption, domain, status) in
        [("a null MX", "null.test", "5.1.10"), ("no host at all", "empty.test", "5.")]
    {
        let before = stagepost.mailbox("bcd.com", "b1").len();
        hand_in(&world, &format!("x@{domain}"), caption);
        until_true(&format!("{caption} bounces"), || stagepost.mailbox("bcd.com", "b1").len() > before);
        let bounces = stagepost.mailbox("bcd.com", "b1");
        let told = bounces
            .iter()
            .any(|b| b.raw.contains(&format!("x@{domain}")) && b.raw.contains(&format!("Status: {status}")));
        assert!(told, "{caption}: {bounces:?}");
    }
    hand_in(&world, "x@broken.test", "SERVFAIL");
    await_reason(&stagepost, "broken.test");
    assert_eq!(stagepost.mailbox("bcd.com", "b1").len(), 2, "a server failure is no answer");
}

#[test]
fn mail_is_deferred_while_the_name_server_is_silent() {
    let Some(mut world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    world.nsd.stop();
    let stagepost = Stagepost::start(&world.device, &impatient());
    let mut dialogue = Dialogue::connect(&world.pc, BCD);
    dialogue.expect("220");
    dialogue.ask("EHLO pc.example", "250");
    let reply =
        dialogue.hand_over("b1@bcd.com", &["x1@xyz.com"], &note("b1@bcd.com", "x1@xyz.com", "Patience"));
    assert!(reply.starts_with("250"), "{reply}");
    until_true("it waits for a reason", || {
        stagepost.console(&["show", "queue"])["queue"][0]["reason"].is_string()
    });
    world.nsd.replace(&world.dns, &zones());
    until("it leaves", 3 * PATIENCE, || remote.taken().pop());
}

#[test]
fn the_next_exchanger_is_tried_when_one_is_down() {
    let zones = zones()
        .host("down.lab", "203.0.113.200")
        .host("up.lab", XYZ)
        .records("two.test", "@ MX 10 down.lab.\n@ MX 20 up.lab.");
    let Some(world) = world_of(BOTH, &zones) else { return };
    // A host that is there, and where nobody listens.
    world.pc.add_address("203.0.113.200/24");
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let _stagepost = Stagepost::start(&world.device, &impatient());
    hand_in(&world, "x@two.test", "Second choice");
    assert_eq!(remote.await_taken(1)[0].recipients, ["x@two.test"]);
}

#[test]
fn broken_remote_hosts_are_deferrals() {
    for (caption, at, reply) in [
        ("closes at once", "CONNECT", &Reply::Close),
        ("greets with garbage", "CONNECT", &Reply::Bytes(b"\xff\x00garbage\r\n")),
        ("says 554 to everybody", "CONNECT", &Reply::Say("421 4.3.2 not now")),
        ("hangs up on EHLO", "EHLO bcd.com", &Reply::Close),
        ("hangs up at the final dot", ".", &Reply::Close),
    ] {
        let Some(world) = world(BOTH) else { return };
        let reply = match reply {
            Reply::Bytes(b) => (1, *b, ""),
            Reply::Say(s) => (2, &b""[..], *s),
            _ => (0, &b""[..], ""),
        };
        let remote = Remote::start(&world.remote, XYZ, move |line| match (line == at, reply) {
            (true, (1, bytes, _)) => Reply::Bytes(bytes),
            (true, (2, _, text)) => Reply::Say(text),
            (true, _) => Reply::Close,
            _ => Reply::Usual,
        });
        let stagepost = Stagepost::start(&world.device, &two_domains());
        hand_in(&world, "x1@xyz.com", caption);
        remote.await_heard(at, 1);
        until_true(&format!("{caption}: it waits, and says why"), || {
            let entry = &stagepost.console(&["show", "queue"])["queue"][0];
            entry["attempts"].as_u64() >= Some(1) && entry["reason"].is_string()
        });
        assert_eq!(stagepost.mailbox("bcd.com", "b1").len(), 0, "{caption}");
    }
}

#[test]
fn a_hung_destination_delays_nobody_else() {
    let zones = zones().host("hung.test", "203.0.113.26").records("hung.test", "@ MX 10 hung.test.");
    let Some(world) = world_of(BOTH, &zones) else { return };
    world.remote.add_address("203.0.113.26/24");
    let hung = Remote::start(&world.remote, "203.0.113.26", |_| Reply::Silence);
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let _stagepost = Stagepost::start(&world.device, &two_domains());
    for n in 0..30 {
        hand_in(&world, &format!("x{n}@hung.test"), "Hung");
    }
    hung.await_heard("CONNECT", 1);
    hand_in(&world, "x1@xyz.com", "Not hung");
    remote.await_taken(1);
}

#[test]
fn stored_mail_survives_a_restart_and_a_kill() {
    let Some(world) = world(BOTH) else { return };
    let mut stagepost = Stagepost::start(&world.device, &impatient());
    hand_in(&world, "x1@xyz.com", "Before the stop");
    until_true("it waits", || stagepost.console(&["show", "status"])["queued"] == 1);
    assert_eq!(stagepost.stop(), Some(0));
    let listed = stagepost.run(&["spool", "list"]);
    assert_eq!(listed.code, 0, "{listed:?}");
    assert!(listed.out.contains("b1@bcd.com") && listed.out.contains("x1@xyz.com"), "{listed:?}");
    let verified = stagepost.run(&["spool", "verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    stagepost.restart();
    hand_in(&world, "x1@xyz.com", "Before the kill");
    stagepost.kill9();
    stagepost.restart();
    assert_eq!(stagepost.console(&["show", "status"])["queued"], 2);
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let mut subjects: Vec<String> = remote.await_taken(2).iter().map(|t| t.message.subject()).collect();
    subjects.sort();
    assert_eq!(subjects, ["Before the kill", "Before the stop"]);
    until_true("the queue is empty", || stagepost.console(&["show", "status"])["queued"] == 0);
}

#[test]
fn spool_cat_prints_a_stored_message() {
    let Some(world) = world(BOTH) else { return };
    let mut stagepost = Stagepost::start(&world.device, &two_domains());
    hand_in(&world, "x1@xyz.com", "To be read");
    let id = until("it waits", PATIENCE, || {
        stagepost.console(&["show", "queue"])["queue"][0]["id"].as_str().map(str::to_owned)
    });
    stagepost.stop();
    let outcome = stagepost.run(&["spool", "cat", &id]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.out.contains("Subject: To be read") && outcome.out.contains("A note."), "{outcome:?}");
    assert_eq!(stagepost.run(&["spool", "cat", "9999999999"]).code, 1);
}

#[test]
fn sessions_are_told_of_the_shutdown() {
    let Some(world) = world(BOTH) else { return };
    let mut stagepost = Stagepost::start(&world.device, &two_domains());
    let mut idle = Dialogue::greeted(&world.pc, ABC, "pc.example");
    stagepost.terminate();
    idle.expect("421 4.");
    assert!(idle.closed());
    assert_eq!(stagepost.stop(), Some(0));
}

#[test]
fn a_held_domain_keeps_back_later_mail_too_and_after_a_restart() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let mut stagepost = Stagepost::start(&world.device, &two_domains());
    assert_eq!(stagepost.console(&["queue", "hold", "bcd.com"])["messages"], 0);
    hand_in(&world, "x1@xyz.com", "While it is held");
    assert_eq!(stagepost.stop(), Some(0));
    stagepost.restart();
    let held = |stagepost: &Stagepost| {
        let domains = stagepost.console(&["show", "domains"])["domains"].as_array().unwrap().clone();
        domains.iter().find(|d| d["name"] == "bcd.com").unwrap()["held"].as_bool().unwrap()
    };
    assert!(held(&stagepost));
    let alarms = stagepost.console(&["show", "status"])["alarms"].to_string();
    assert!(alarms.contains("bcd.com: the operator holds its mail"), "{alarms}");
    hand_in(&world, "x2@xyz.com", "After the restart");
    let queue = stagepost.console(&["show", "queue", "bcd.com"])["queue"].as_array().unwrap().clone();
    assert_eq!(queue.len(), 2);
    assert!(
        queue.iter().all(|entry| entry["held"] == true && entry["next_attempt_s"].is_null()),
        "{queue:?}"
    );
    assert_eq!(remote.taken().len(), 0);
    assert_eq!(stagepost.console(&["queue", "release", "bcd.com"])["messages"], 2);
    remote.await_taken(2);
    assert!(!held(&stagepost));
    stagepost.stop();
    stagepost.restart();
    assert!(!held(&stagepost), "the mark is gone");
}

#[test]
fn show_flash_counts_what_is_written_and_warns_of_the_end() {
    let Some(world) = world(BOTH) else { return };
    let _remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let config = two_domains() + "domain bcd.com spool always\nbox flash endurance 64M\n";
    let stagepost = Stagepost::start(&world.device, &config);
    hand_in(&world, "x1@xyz.com", "One");
    let flash = stagepost.console(&["show", "flash"]);
    let domain = |name: &str| {
        let all = flash["domains"].as_array().unwrap();
        all.iter().find(|d| d["name"] == name).unwrap_or_else(|| panic!("{name} is not in {flash}")).clone()
    };
    assert!(domain("bcd.com")["today_bytes"].as_u64().unwrap() >= 4096, "{flash}");
    assert!(domain("bcd.com")["stored_bytes"].as_u64().unwrap() > 100, "{flash}");
    assert!(domain("bcd.com")["amplification"].as_f64().unwrap() > 1.0, "{flash}");
    assert_eq!(domain("abc.com")["today_bytes"], 0, "abc.com has written nothing");
    assert_eq!(flash["endurance_bytes"], 64 << 20);
    // A segment of zeros and a page on such a medium: a year at most.
    assert!(flash["years_left"].as_f64().unwrap() < 2.0, "{flash}");
    let alarms = stagepost.console(&["show", "status"])["alarms"].to_string();
    assert!(alarms.contains("the medium is worn out in"), "{alarms}");
}
