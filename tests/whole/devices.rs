//! Old devices behind `client IP tolerant`: what they get wrong is mended and goes out clean, and everybody
//! else is told what is wrong. The network of the devices is a private one (RFC 1918).

use crate::lab::{Dialogue, Remote, Reply, Stagepost};
use crate::world::{World, world};

const CONFIG: &str = "box name abc.com\nbox nameserver 203.0.113.53\n\
    domain bcd.com address 10.0.0.70\ndomain bcd.com route default 10.0.0.25\n\
    domain bcd.com mailbox b2\ndomain bcd.com user b1 password secret\n\
    domain bcd.com client 10.0.0.9 tolerant plaintext-auth\ndomain bcd.com client 10.0.0.10\n";

const BOX: &str = "10.0.0.70:25";
const OTHER: &str = "10.0.0.10";

fn office() -> Option<World> {
    let world = world(&["203.0.113.1/24", "10.0.0.70/24"])?;
    world.pc.add_address("10.0.0.9/24");
    world.pc.add_address(&format!("{OTHER}/24"));
    world.remote.add_address("10.0.0.25/24");
    Some(world)
}

#[test]
fn an_old_scanner_is_understood_and_its_mail_goes_out_clean() {
    let Some(world) = office() else { return };
    let remote = Remote::start(&world.remote, "10.0.0.25", |_| Reply::Usual);
    let box_ = Stagepost::start(&world.device, CONFIG);
    let mut scanner = Dialogue::connect(&world.pc, BOX);
    scanner.expect("220");
    scanner.exchange(&[
        (b"HELO\n", "250 bcd.com Hello [10.0.0.9]"),
        (b"mail from: scanner@bcd.com\r\r\n", "250 2.1.0"),
        (b"RCPT TO: <x1@xyz.com>\n", "250 2.1.5"),
        (b"DATA\n", "354"),
        (b"Subject: Rechnung f\xfcr M\xfcller\n\nSeite 1\rSeite 2\r\r\n.. Gr\xfc\xdfe\n.\n", "250"),
        (b"QUIT\n", "221"),
    ]);
    let taken = &remote.await_taken(1)[0];
    assert_eq!((taken.sender.as_str(), taken.ehlo.as_str()), ("scanner@bcd.com", "bcd.com"));
    let message = &taken.message;
    assert!(message.field("Message-Id").ends_with("@bcd.com>"), "{}", message.raw);
    assert!(message.field("Date").contains("20") && message.field("From") == "scanner@bcd.com");
    assert_eq!(message.subject(), "Rechnung =?utf-8?B?ZsO8ciBNw7xsbGVy?=");
    assert_eq!(message.field("Content-Type"), "text/plain; charset=iso-8859-1");
    assert!(message.body().starts_with("Seite 1\nSeite 2\n. Gr"), "{}", message.raw);
    assert!(!message.raw.contains('\r'), "{:?}", message.raw);
    // 8-bit text that was not declared is declared now.
    assert_eq!(remote.heard("MAIL FROM:<scanner@bcd.com>"), 1);
    assert!(remote.line("MAIL FROM:<scanner@bcd.com>").contains(" BODY=8BITMIME"));
    assert!(message.received().contains("from [10.0.0.9] ([10.0.0.9])"), "{}", message.raw);
    assert_eq!(box_.console(&["show", "status"])["bounced"], 0);
}

#[test]
fn an_old_device_logs_in_as_it_always_did() {
    let Some(world) = office() else { return };
    let box_ = Stagepost::start(&world.device, CONFIG);
    let mut device = Dialogue::connect(&world.pc, BOX);
    device.expect("220");
    device.exchange(&[
        (b"EHLO my printer\n", "250"),
        (b"AUTH LOGIN YjE=\n", "334 UGFzc3dvcmQ6"),
        (b"c2VjcmV0\n", "235"),
        (b"MAIL FROM: b1@bcd.com\n", "250"),
        (b"RCPT TO: b2@bcd.com\nDATA\n", "250"),
    ]);
    device.expect("354");
    device.exchange(&[(b"Subject: toner\n\nlow\n.\n", "250")]);
    let message = box_.mailbox_message("bcd.com", "b2", "toner");
    assert!(message.received().contains(" with ESMTPA id "), "{}", message.raw);
    let mut tls = Dialogue::connect(&world.pc, BOX);
    tls.expect("220");
    tls.send(b"\x16\x03\x01\x00\x05hello");
    assert!(tls.closed());
    box_.await_log("10.0.0.9: speaks TLS to a port that begins in the clear");
}

#[test]
fn everybody_else_is_told_what_is_wrong() {
    let Some(world) = office() else { return };
    let remote = Remote::start(&world.remote, "10.0.0.25", |_| Reply::Usual);
    let box_ = Stagepost::start(&world.device, CONFIG);
    let mut other = Dialogue::connect_from(&world.pc, OTHER, BOX);
    other.expect("220");
    for (said, told) in [
        ("HELO\r\n", "501 5.5.4 Say your host name or your address after the command"),
        ("EHLO pc.example\n\r\n", "500 5.5.2 Refused: a bare LF is in the line"),
        ("EHLO pc.example\r\r\n", "500 5.5.2 Refused: a bare CR is in the line"),
        ("EHLO pc.example\r\n", "250"),
        ("MAIL FROM: <b1@bcd.com>\r\n", "501 5.5.2 Write MAIL FROM:<address>: no space may follow the colon"),
        (
            "MAIL FROM:b1@bcd.com\r\n",
            "501 5.5.2 Write MAIL FROM:<address>: the address stands in angle brackets",
        ),
        ("AUTH LOGIN YjE=\r\n", "538 5.7.11 Say STARTTLS first"),
    ] {
        other.exchange(&[(said.as_bytes(), told)]);
    }
    for (caption, text, told) in [
        ("a bare LF", "Subject: x\r\n\r\na\nb\r\n.\r\n", "550 5.6.0 Refused: a bare LF"),
        ("a bare CR", "Subject: x\r\n\r\na\rb\r\n.\r\n", "550 5.6.0 Refused: a bare CR"),
        (
            "8 bits undeclared",
            "Subject: x\r\n\r\n\u{e4}\r\n.\r\n",
            "550 5.6.0 Refused: it has bytes beyond ASCII, and MAIL did not say BODY=8BITMIME",
        ),
    ] {
        other.ask("MAIL FROM:<b1@bcd.com>", "250");
        other.ask("RCPT TO:<x1@xyz.com>", "250");
        other.ask("DATA", "354");
        other.send(text.as_bytes());
        let reply = other.reply();
        assert!(reply.starts_with(told), "{caption}: {reply}");
    }
    other.ask("MAIL FROM:<b1@bcd.com> BODY=8BITMIME", "250");
    other.ask("RCPT TO:<x1@xyz.com>", "250");
    other.ask("DATA", "354");
    other.send("Subject: declared\r\n\r\n\u{e4}\r\n.\r\n".as_bytes());
    other.expect("250");
    other.quit();
    assert_eq!(remote.await_taken(1)[0].message.subject(), "declared");
    assert!(box_.stderr().contains("10.0.0.10: \"(the message)\" refused: 550 5.6.0"));
}
