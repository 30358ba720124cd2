//! The front door: who may send for whom, and that nobody else gets anything through (RFC 5321 §3.6.2, §4.5.1).

use crate::lab::peers::{Zones, ordinary_client, swaks};
use crate::lab::{ABC, BCD, Dialogue, Remote, Reply, Stagepost, XYZ, until_true};
use crate::world::{BOTH, note, two_domains, world, world_of, zones};

#[test]
fn nobody_relays_through_the_classic_tricks() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, "203.0.113.25", |_| Reply::Usual);
    let stagepost = Stagepost::start(&world.device, &two_domains());
    // The remote host is no client of anybody.
    for sender in ["x1@xyz.com", "b1@bcd.com", "a1@abc.com", ""] {
        let mut dialogue = Dialogue::greeted(&world.remote, BCD, "xyz.com");
        for recipient in [
            "x1@xyz.com",
            "x1%xyz.com@bcd.com",
            "x1%xyz.com",
            "\"x1@xyz.com\"@bcd.com",
            "\"x1%xyz.com\"@bcd.com",
            "\"x1@xyz.com\"",
            "@bcd.com:x1@xyz.com",
            "@bcd.com,@abc.com:x1@xyz.com",
            "xyz.com!x1@bcd.com",
            "xyz.com!x1",
            "x1@xyz.com@bcd.com",
            "x1@xyz.com%bcd.com",
            "x1@[203.0.113.25]",
            "x1%[203.0.113.25]@bcd.com",
            "postmaster%xyz.com@bcd.com",
            "b1 x1@xyz.com",
        ] {
            dialogue.ask(&format!("MAIL FROM:<{sender}>"), "250");
            let reply = dialogue.ask(&format!("RCPT TO:<{recipient}>"), "5");
            assert!(
                ["550 5.7.1", "550 5.1.", "553 5.1.", "501 5.1.3"].iter().any(|r| reply.starts_with(r)),
                "{reply}"
            );
            dialogue.ask("DATA", "5");
            dialogue.ask("RSET", "250");
        }
    }
    assert_eq!(stagepost.console(&["show", "status"])["accepted"], 0);
    assert_eq!(remote.heard("CONNECT"), 0);
}

#[test]
fn a_refusal_names_its_rule() {
    let Some(world) = world(BOTH) else { return };
    let _stagepost = Stagepost::start(&world.device, &two_domains());
    let mut stranger = Dialogue::greeted(&world.remote, BCD, "xyz.com");
    stranger.ask("MAIL FROM:<b1@bcd.com>", "250");
    let reply = stranger.ask("RCPT TO:<x1@xyz.com>", "550 5.7.1 ");
    assert!(reply.contains("no client of bcd.com"), "{reply}");
    let mut client = Dialogue::greeted(&world.pc, BCD, "pc.example");
    client.ask("MAIL FROM:<a1@abc.com>", "250");
    let reply = client.ask("RCPT TO:<x1@xyz.com>", "550 5.7.1 ");
    assert!(reply.contains("<a1@abc.com>"), "{reply}");
    client.ask("RSET", "250");
    client.ask("MAIL FROM:<>", "250");
    client.ask("RCPT TO:<x1@xyz.com>", "250");
}

#[test]
fn strangers_reach_hosted_users_and_nobody_else() {
    let Some(world) = world(BOTH) else { return };
    let config =
        two_domains() + "domain bcd.com alias sales b1@bcd.com\ndomain bcd.com alias out x1@xyz.com\n";
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let stagepost = Stagepost::start(&world.device, &config);
    for (recipient, reply) in [
        ("b1@bcd.com", "250"),
        ("B1@BCD.COM", "250"),
        ("sales@bcd.com", "250"),
        ("postmaster@bcd.com", "250"),
        ("Postmaster", "250"),
        ("nobody@bcd.com", "550 5.1.1 "),
        ("b1@sub.bcd.com", "550 5.7.1 "),
    ] {
        let mut dialogue = Dialogue::greeted(&world.remote, BCD, "xyz.com");
        dialogue.ask("MAIL FROM:<x1@xyz.com>", "250");
        dialogue.ask(&format!("RCPT TO:<{recipient}>"), reply);
    }
    let text = note("x1@xyz.com", "postmaster", "To whom it may concern");
    ordinary_client(&world.remote, BCD, "xyz.com", "x1@xyz.com", "Postmaster", &text);
    stagepost.mailbox_message("abc.com", "a1", "To whom it may concern");
    ordinary_client(
        &world.remote,
        BCD,
        "xyz.com",
        "x1@xyz.com",
        "sales@bcd.com",
        &note("x1@xyz.com", "sales@bcd.com", "Sale"),
    );
    stagepost.mailbox_message("bcd.com", "b1", "Sale");
    // An alias leads out again, under the identity of its own domain.
    ordinary_client(
        &world.remote,
        ABC,
        "xyz.com",
        "x1@xyz.com",
        "out@bcd.com",
        &note("x1@xyz.com", "out@bcd.com", "Out"),
    );
    let taken = remote.await_taken(1).remove(0);
    assert_eq!((taken.client.to_string().as_str(), taken.ehlo.as_str()), (BCD, "bcd.com"));
}

#[test]
fn inbound_mail_is_passed_on_untouched_but_for_its_trace() {
    let Some(world) = world(BOTH) else { return };
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let text = "subject:  odd   spacing\nX-Folded: one\n\ttwo\nFROM: x1\n\n.leading dot\n..two\n\nend";
    let mut dialogue = Dialogue::greeted(&world.remote, BCD, "xyz.com");
    let reply = dialogue.hand_over("x1@xyz.com", &["b1@bcd.com"], text);
    assert!(reply.starts_with("250"), "{reply}");
    let message = stagepost.mailbox_message("bcd.com", "b1", "odd   spacing");
    assert!(message.raw.ends_with(&format!("{text}\n")), "{}", message.raw);
    let received = message.received();
    assert!(received.starts_with("from xyz.com (xyz.com [203.0.113.25])"), "{received}");
    assert!(received.contains("by bcd.com"), "{received}");
}

#[test]
fn a_client_that_lies_about_its_name_is_greeted_with_both() {
    let Some(world) = world_of(BOTH, &zones().host("pc.lab", "203.0.113.9")) else { return };
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let hello = |name: &str| {
        let mut dialogue = Dialogue::connect(&world.pc, ABC);
        dialogue.expect("220 abc.com ");
        dialogue.ask(&format!("EHLO {name}"), "250")
    };
    let reply = hello("bcd.com");
    assert!(reply.starts_with("250-abc.com Hello bcd.com (pc.lab)"), "{reply}");
    stagepost.await_log("Host pc.lab claimed to be bcd.com");
    let reply = hello("pc.lab");
    assert!(reply.starts_with("250-abc.com Hello pc.lab") && !reply.contains('('), "{reply}");
    for extension in ["PIPELINING", "SIZE 33554432", "8BITMIME", "ENHANCEDSTATUSCODES"] {
        assert!(reply.contains(extension), "{extension} is missing in {reply}");
    }
    let mut dialogue = Dialogue::connect(&world.pc, ABC);
    dialogue.expect("220");
    assert_eq!(dialogue.ask("HELO pc.lab", "250 ").lines().count(), 1);
}

#[test]
fn an_unconfirmed_reverse_name_is_not_believed() {
    // The address says that it is mail.lab; mail.lab says that it is another address.
    let liar = Zones::default().host("mail.lab", "203.0.113.9").records("mail.lab", "");
    let mut honest = zones();
    honest = honest.records("mail.lab", "@ A 203.0.113.200");
    let Some(mut world) = world_of(BOTH, &honest) else { return };
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let reply = hello_reply(&world, "mail.lab");
    assert!(reply.starts_with("250-abc.com Hello mail.lab") && !reply.contains('('), "{reply}");
    assert!(!stagepost.stderr().contains("claimed to be"));
    world.nsd.replace(&world.dns, &liar);
}

fn hello_reply(world: &crate::world::World, name: &str) -> String {
    let mut dialogue = Dialogue::connect(&world.pc, ABC);
    dialogue.expect("220");
    dialogue.ask(&format!("EHLO {name}"), "250")
}

#[test]
fn on_the_shared_address_the_senders_domain_decides() {
    let Some(world) = world(&["203.0.113.1/24", "203.0.113.70/24", "203.0.113.71/24"]) else { return };
    let config = two_domains().replace("box name abc.com", "box name abc.com\nbox address 203.0.113.71");
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let _stagepost = Stagepost::start(&world.device, &config);
    for (sender, domain, ip) in [("a1@abc.com", "abc.com", ABC), ("b1@bcd.com", "bcd.com", BCD)] {
        let before = remote.taken().len();
        ordinary_client(
            &world.pc,
            "203.0.113.71",
            "pc.example",
            sender,
            "x1@xyz.com",
            &note(sender, "x1@xyz.com", "Shared"),
        );
        let taken = remote.await_taken(before + 1).remove(before);
        assert_eq!((taken.client.to_string().as_str(), taken.ehlo.as_str()), (ip, domain));
    }
    let mut dialogue = Dialogue::greeted(&world.pc, "203.0.113.71", "pc.example");
    dialogue.ask("MAIL FROM:<x1@xyz.com>", "250");
    dialogue.ask("RCPT TO:<x1@xyz.com>", "550 5.7.1 ");
}

#[test]
fn swaks_relays_through_the_box() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let _stagepost = Stagepost::start(&world.device, &two_domains());
    for pipelining in [&["--pipeline"][..], &[]] {
        let before = remote.taken().len();
        let args = ["--server", BCD, "--ehlo", "pc.example", "--from", "b1@bcd.com", "--to", "x1@xyz.com"];
        let output = swaks(&world.pc, &[&args[..], pipelining].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        remote.await_taken(before + 1);
    }
    let clients: Vec<String> = remote.clients().iter().map(ToString::to_string).collect();
    assert_eq!(clients, [BCD]);
}

#[test]
fn malformed_input_costs_its_sender_alone() {
    let Some(world) = world(BOTH) else { return };
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let mut other = Dialogue::greeted(&world.pc, BCD, "pc.example");
    for (caption, bytes) in [
        ("a bare LF", &b"NOOP\nNOOP\r\n"[..]),
        ("a bare CR", b"NOOP\rNOOP\r\n"),
        ("a NUL", b"NO\0OP\r\n"),
        ("bytes of no character set", b"\xff\xfe\xfd\r\n"),
        ("a line of 10,000", &[b'x'; 10_000]),
    ] {
        let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
        dialogue.send(bytes);
        dialogue.send(b"\r\n");
        let reply = dialogue.reply();
        assert!(reply.starts_with("50"), "{caption}: {reply}");
    }
    let reply = other.hand_over("b1@bcd.com", &["b2@bcd.com"], &note("b1@bcd.com", "b2@bcd.com", "Through"));
    assert!(reply.starts_with("250"), "{reply}");
    until_true("it is kept", || !stagepost.mailbox("bcd.com", "b2").is_empty());
}

#[test]
fn a_smuggled_end_of_data_is_refused() {
    let Some(world) = world(BOTH) else { return };
    let stagepost = Stagepost::start(&world.device, &two_domains());
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r"] {
        let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
        dialogue.ask("MAIL FROM:<b1@bcd.com>", "250");
        dialogue.ask("RCPT TO:<b2@bcd.com>", "250");
        dialogue.ask("DATA", "354");
        let smuggled = format!(
            "Subject: one\r\n\r\ntext{end}MAIL FROM:<b1@bcd.com>\r\nRCPT TO:<b2@bcd.com>\r\nDATA\r\nSubject: two\r\n\r\n.\r\n"
        );
        dialogue.send(smuggled.as_bytes());
        let reply = dialogue.reply();
        assert!(reply.starts_with("55") || reply.starts_with("50"), "{end:?}: {reply}");
    }
    assert_eq!(stagepost.mailbox("bcd.com", "b2").len(), 0);
}
