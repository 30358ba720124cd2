//! The extensions between us and others' servers: Postfix, Exim and OpenSMTPD send to us and we to them, with
//! DSN and SMTPUTF8, in the clear and under TLS. Each server is told what to send by an SMTP client on its own
//! host, for which it relays.

use crate::lab::peers::{Kind, Mta};
use crate::lab::{BCD, DNS, Dialogue, Message, PATIENCE, PC, Remote, Reply, Stagepost, until};
use crate::world::{World, world_of, zones};

/// bücher.example in A-labels, and its address.
const IDN: &str = "xn--bcher-kva.example";
const IDN_IP: &str = "203.0.113.71";

const DEVICE: &[&str] = &["203.0.113.1/24", "203.0.113.70/24", "203.0.113.71/24"];

fn the_world() -> Option<World> {
    world_of(DEVICE, &zones().host(IDN, IDN_IP))
}

fn config(more: &str) -> String {
    format!(
        "box name abc.com\nbox nameserver {DNS}\ndomain bcd.com address {BCD}\ndomain bcd.com client {PC}\n\
         domain bcd.com mailbox b1\ndomain bcd.com mailbox b2\ndomain bücher.example address {IDN_IP}\n\
         domain bücher.example alias jörg b2@bcd.com\n{more}"
    )
}

/// Hands a message over with these commands; gives the reply to the final dot.
#[track_caller]
fn hand_over(dialogue: &mut Dialogue, mail: &str, rcpt: &str, text: &str) -> String {
    dialogue.ask(mail, "250");
    dialogue.ask(rcpt, "250");
    dialogue.ask("DATA", "354");
    dialogue.text(text);
    dialogue.reply()
}

/// The first message of b1 that holds `what`.
#[track_caller]
fn b1_hears(box_: &Stagepost, what: &str) -> Message {
    let holds = || box_.mailbox("bcd.com", "b1").into_iter().find(|m| m.raw.contains(what));
    until(&format!("b1 hears {what:?}"), PATIENCE, holds)
}

/// DSN both ways: what they ask of us we tell them, what we ask of them they tell us.
fn notices_go_both_ways(kind: Kind, tls: bool) {
    let Some(world) = the_world() else { return };
    let theirs = match tls {
        true => Mta::with_tls(&world.remote, kind, "xyz.com", DNS),
        false => Mta::start(&world.remote, kind, "xyz.com", DNS, &[]),
    };
    let box_ = Stagepost::start(&world.device, &config(""));
    // Some take up TLS wherever it is offered.
    let with = if tls { " with ESMTPS id " } else { " with ESMTP" };

    let mut dialogue = Dialogue::greeted(&world.remote, "127.0.0.1:25", "xyz.com");
    let mail = "MAIL FROM:<x1@xyz.com> RET=HDRS ENVID=QQ+2B1";
    let rcpt = "RCPT TO:<b2@bcd.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first@bcd.com";
    let reply = hand_over(&mut dialogue, mail, rcpt, "From: x1@xyz.com\nSubject: there\n\nhello\n");
    assert!(reply.starts_with("250"), "{reply}");
    let message = box_.mailbox_message("bcd.com", "b2", "there");
    assert!(message.raw.contains(with), "{}", message.raw);
    let report = theirs.message("Delivered: your mail to b2@bcd.com").raw;
    for line in [
        "Original-Recipient: rfc822; first@bcd.com",
        "Final-Recipient: rfc822; b2@bcd.com",
        "Action: delivered",
    ] {
        assert!(report.contains(line), "{line}: {report}");
    }
    // OpenSMTPD keeps the envelope id to itself.
    let envid = report.contains("Original-Envelope-Id: QQ+1");
    assert!(envid || kind == Kind::OpenSmtpd, "{report}");

    let mut dialogue = Dialogue::greeted(&world.pc, "203.0.113.70:25", "pc.example");
    let (mail, rcpt) = ("MAIL FROM:<b1@bcd.com> RET=HDRS ENVID=AB1", "RCPT TO:<x1@xyz.com> NOTIFY=SUCCESS");
    let reply = hand_over(&mut dialogue, mail, rcpt, "From: b1@bcd.com\nSubject: back\n\nhello\n");
    assert!(reply.starts_with("250"), "{reply}");
    theirs.message("back");
    let report = b1_hears(&box_, "Action: delivered");
    assert!(report.raw.contains("Reporting-MTA: dns; xyz.com"), "{}", report.raw);
    match kind {
        // OpenSMTPD 6.8 built with OpenSSL 3 breaks off as a server, so it is called again in the clear.
        Kind::OpenSmtpd if tls => box_.await_log("xyz.com"),
        _ if tls => box_.await_log("xyz.com (TLSv1.3 "),
        _ => {}
    }
}

#[test]
fn postfix_and_we_tell_one_another_of_delivery() {
    notices_go_both_ways(Kind::Postfix, false);
}

#[test]
fn postfix_and_we_tell_one_another_of_delivery_under_tls() {
    notices_go_both_ways(Kind::Postfix, true);
}

#[test]
fn exim_and_we_tell_one_another_of_delivery() {
    notices_go_both_ways(Kind::Exim, false);
}

#[test]
fn exim_and_we_tell_one_another_of_delivery_under_tls() {
    notices_go_both_ways(Kind::Exim, true);
}

#[test]
fn opensmtpd_and_we_tell_one_another_of_delivery() {
    notices_go_both_ways(Kind::OpenSmtpd, false);
}

#[test]
fn opensmtpd_and_we_tell_one_another_of_delivery_under_tls() {
    notices_go_both_ways(Kind::OpenSmtpd, true);
}

const UTF8_TEXT: &str = "From: Jörg <jörg@bücher.example>\nSubject: Grüße\n\nGrüß Gott\n";

/// UTF-8 in addresses and header both ways; the domain goes by either of its names.
fn utf8_goes_both_ways(kind: Kind) {
    let Some(world) = the_world() else { return };
    let theirs = Mta::start(&world.remote, kind, "xyz.com", DNS, &[]);
    let box_ = Stagepost::start(&world.device, &config(""));
    let mut dialogue = Dialogue::greeted(&world.pc, "203.0.113.70:25", "pc.example");
    let reply = hand_over(
        &mut dialogue,
        "MAIL FROM:<jörg@bcd.com> BODY=8BITMIME SMTPUTF8",
        "RCPT TO:<ünal@xyz.com>",
        UTF8_TEXT,
    );
    assert!(reply.starts_with("250"), "{reply}");
    let message = theirs.message("Grüße");
    assert!(
        message.raw.contains("Grüß Gott") && message.raw.contains("jörg@bücher.example"),
        "{}",
        message.raw
    );
    assert!(message.received().to_ascii_lowercase().contains("utf8"), "{}", message.raw);

    let mut dialogue = Dialogue::greeted(&world.remote, "127.0.0.1:25", "xyz.com");
    let reply = hand_over(
        &mut dialogue,
        "MAIL FROM:<ünal@xyz.com> BODY=8BITMIME SMTPUTF8",
        "RCPT TO:<jörg@bücher.example>",
        &UTF8_TEXT.replace("Grüße", "zurück"),
    );
    assert!(reply.starts_with("250"), "{reply}");
    let message = box_.mailbox_message("bcd.com", "b2", "zurück");
    assert!(message.raw.contains(" with UTF8SMTP"), "{}", message.raw);
}

#[test]
fn postfix_and_we_write_one_another_in_utf8() {
    utf8_goes_both_ways(Kind::Postfix);
}

#[test]
fn exim_and_we_write_one_another_in_utf8() {
    utf8_goes_both_ways(Kind::Exim);
}

#[test]
fn a_host_without_smtputf8_gets_what_needs_none_and_the_rest_is_refused() {
    let Some(world) = the_world() else { return };
    let theirs = Mta::start(&world.remote, Kind::OpenSmtpd, "xyz.com", DNS, &[]);
    let box_ = Stagepost::start(&world.device, &config(""));
    let mut dialogue = Dialogue::greeted(&world.pc, "203.0.113.70:25", "pc.example");
    let plain = "From: b1@bcd.com\nSubject: plain\n\nhello\n";
    for (caption, sender, recipient, text, expected) in [
        ("nothing needs it", "b1@bcd.com", "x1@xyz.com", plain, "250"),
        ("the header", "b1@bcd.com", "x1@xyz.com", UTF8_TEXT, "550 5.6.7"),
        ("the sender", "jörg@bcd.com", "x1@xyz.com", plain, "553 5.6.7"),
        ("the recipient", "b1@bcd.com", "ünal@xyz.com", plain, "553 5.6.7"),
    ] {
        let (mail, rcpt) = (format!("MAIL FROM:<{sender}> SMTPUTF8"), format!("RCPT TO:<{recipient}>"));
        let reply = hand_over(&mut dialogue, &mail, &rcpt, text);
        assert!(reply.starts_with(expected), "{caption}: {reply}");
    }
    theirs.message("plain");
    assert_eq!(theirs.messages().len(), 1);
    // Where the client cannot be told any more, the sender is (RFC 6533).
    let mail = "MAIL FROM:<b1@bcd.com> SMTPUTF8";
    dialogue.ask(mail, "250");
    dialogue.ask("RCPT TO:<b2@bcd.com>", "250");
    dialogue.ask("RCPT TO:<ünal@xyz.com> ORCPT=utf-8;ünal@xyz.com", "250");
    dialogue.ask("DATA", "354");
    dialogue.text(&UTF8_TEXT.replace("Grüße", "beide"));
    dialogue.expect("250");
    box_.mailbox_message("bcd.com", "b2", "beide");
    let report = b1_hears(&box_, "Status: 5.6.7").raw;
    assert!(report.contains("Original-Recipient: utf-8; \\x{FC}nal@xyz.com"), "{report}");
    assert!(report.contains("Final-Recipient: utf-8; \\x{FC}nal@xyz.com"), "{report}");
    assert!(report.contains("Content-Type: message/global-headers") && report.is_ascii(), "{report}");
}

/// A host that offers DSN, or not, and takes what it is given.
fn host(world: &World, dsn: bool) -> Remote {
    Remote::start(&world.remote, "203.0.113.25", move |line| match line.starts_with("EHLO") {
        true if dsn => Reply::Say("250-xyz.com\r\n250-8BITMIME\r\n250 DSN"),
        _ => Reply::Usual,
    })
}

#[test]
fn what_was_asked_of_delivery_goes_on_to_a_host_that_offers_dsn() {
    let Some(world) = the_world() else { return };
    let remote = host(&world, true);
    let _box = Stagepost::start(&world.device, &config(""));
    let mut dialogue = Dialogue::greeted(&world.pc, "203.0.113.70:25", "pc.example");
    let rcpt = "RCPT TO:<x1@xyz.com> NOTIFY=NEVER ORCPT=rfc822;x+2B1@xyz.com";
    let text = "From: b1@bcd.com\nSubject: on\n\nhello\n";
    let reply = hand_over(&mut dialogue, "MAIL FROM:<b1@bcd.com> RET=FULL ENVID=a+2Bb", rcpt, text);
    assert!(reply.starts_with("250"), "{reply}");
    remote.await_heard("MAIL FROM:<b1@bcd.com> RET=FULL ENVID=a+2Bb", 1);
    remote.await_heard(rcpt, 1);
}

#[test]
fn what_was_asked_of_delivery_is_told_by_us_where_the_host_will_not() {
    let Some(world) = the_world() else { return };
    let remote = host(&world, false);
    let box_ = Stagepost::start(&world.device, &config(""));
    let mut dialogue = Dialogue::greeted(&world.pc, "203.0.113.70:25", "pc.example");
    let text = "From: b1@bcd.com\nSubject: on\n\nhello\n";
    let rcpt = "RCPT TO:<x1@xyz.com> NOTIFY=SUCCESS";
    let reply = hand_over(&mut dialogue, "MAIL FROM:<b1@bcd.com> ENVID=e1", rcpt, text);
    assert!(reply.starts_with("250"), "{reply}");
    remote.await_heard("RCPT TO:<x1@xyz.com>", 1);
    assert_eq!(remote.heard("RCPT TO:<x1@xyz.com> "), 0, "no parameter that the host does not know");
    let report = b1_hears(&box_, "Action: relayed").raw;
    assert!(report.contains("Original-Envelope-Id: e1"), "{report}");
    assert!(report.contains("Final-Recipient: rfc822; x1@xyz.com"), "{report}");
}

#[test]
fn what_we_hold_against_a_host_is_not_put_into_its_mouth() {
    let Some(world) = the_world() else { return };
    let remote = Remote::start(&world.remote, "203.0.113.25", |line| match line {
        _ if line.starts_with("EHLO") => Reply::Say("250-xyz.com\r\n250 SIZE 1000"),
        "RCPT TO:<x2@xyz.com>" => Reply::Say("550 5.1.1 no such user"),
        "RCPT TO:<x3@xyz.com>" => Reply::Close,
        _ => Reply::Usual,
    });
    let box_ = Stagepost::start(&world.device, &config("domain bcd.com spool always\n"));
    for (subject, to, size) in [("large", "x1", 2000), ("unknown", "x2", 10), ("broken off", "x3", 10)] {
        let mut dialogue = Dialogue::greeted(&world.pc, "203.0.113.70:25", "pc.example");
        let text = format!("From: b1@bcd.com\nSubject: {subject}\n\n{}\n", "0123456789\n".repeat(size / 10));
        let rcpt = format!("RCPT TO:<{to}@xyz.com>");
        let reply = hand_over(&mut dialogue, "MAIL FROM:<b1@bcd.com>", &rcpt, &text);
        assert!(reply.starts_with("250"), "{reply}");
    }
    let ours = b1_hears(&box_, "Final-Recipient: rfc822; x1@xyz.com").raw;
    for line in [
        "Status: 5.3.4\n",
        "Diagnostic-Code: x-stagepost; 552 5.3.4 xyz.com: the message has ",
        "The reason: ",
    ] {
        assert!(ours.contains(line), "{line}: {ours}");
    }
    assert!(!ours.contains("Remote-MTA") && !ours.contains(" said:"), "{ours}");
    let theirs = b1_hears(&box_, "Final-Recipient: rfc822; x2@xyz.com").raw;
    for line in [
        "Remote-MTA: dns; xyz.com\n",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user\n",
        "The host xyz.com said:",
    ] {
        assert!(theirs.contains(line), "{line}: {theirs}");
    }
    box_.await_log("Deferred: 451 4.4.2 xyz.com: the server closed the connection");
    let queue = box_.console(&["show", "queue"]);
    let id = queue["queue"][0]["id"].as_str().unwrap();
    let shown = box_.console_text(&["show", "message", id]);
    assert!(shown.contains("xyz.com: the server closed the") && !shown.contains(" said"), "{shown}");
    assert_eq!(remote.taken().len(), 0);
}
