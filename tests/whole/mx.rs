//! Where mail goes when names or hosts fail (RFC 5321 §5.1): the next mail host, a bounce for what DNS knows
//! not to exist, patience for what it cannot say, and no harm from a nameserver that talks nonsense.

use std::net::UdpSocket;

use crate::lab::peers::{Nsd, Zones};
use crate::lab::{BCD, DNS, Dialogue, Host, Lab, Remote, Reply, Stagepost, until_true};

const CONFIG: &str = "box name abc.com\nbox address 203.0.113.1\nbox nameserver 203.0.113.53\n\
    domain bcd.com address 203.0.113.70\ndomain bcd.com client 203.0.113.9\n\
    domain bcd.com mailbox b1\ndomain bcd.com mailbox b2\n";

struct Bench {
    device: Host,
    pc: Host,
    remote: Host,
    dns: Host,
    _lab: Lab,
}

fn bench() -> Option<Bench> {
    let lab = Lab::new()?;
    let device = lab.host("device", &["203.0.113.1/24", "203.0.113.70/24"]);
    let remote = lab.host("remote", &["203.0.113.25/24", "203.0.113.26/24", "203.0.113.27/24"]);
    let (pc, dns) = (lab.host("pc", &["203.0.113.9/24"]), lab.host("dns", &["203.0.113.53/24"]));
    Some(Bench { device, pc, remote, dns, _lab: lab })
}

fn zones() -> Zones {
    Zones::default()
        .records("xyz.com", "@ MX 10 first\n@ MX 20 second\nfirst A 203.0.113.25\nsecond A 203.0.113.26")
        .records("twice.com", "@ MX 10 both\nboth A 203.0.113.25\nboth A 203.0.113.26")
        .records("null.com", "@ MX 0 .")
        .records("circle.com", "@ MX 10 bcd.com.")
        .host("bcd.com", BCD)
        .broken("broken.com")
}

/// Hands one message from b1 to `to` over; gives the reply.
fn send(bench: &Bench, to: &[&str], subject: &str) -> String {
    let mut dialogue = Dialogue::greeted(&bench.pc, BCD, "pc.bcd.com");
    let reply = dialogue.hand_over("b1@bcd.com", to, &format!("Subject: {subject}\n\ntext\n"));
    dialogue.quit();
    reply
}

#[test]
fn the_next_mail_host_takes_what_the_first_cannot() {
    let Some(bench) = bench() else { return };
    let _nsd = Nsd::start(&bench.dns, &[DNS], &zones());
    let _box = Stagepost::start(&bench.device, CONFIG);
    // At the first mail host nobody listens.
    let second = Remote::start(&bench.remote, "203.0.113.26", |_| Reply::Usual);
    assert!(send(&bench, &["x1@xyz.com"], "one").starts_with("250"));
    assert!(send(&bench, &["x1@twice.com"], "two").starts_with("250"));
    for taken in second.await_taken(2) {
        assert_eq!((taken.client.to_string().as_str(), taken.ehlo.as_str()), (BCD, "bcd.com"));
    }
    // It listens now, and is too busy to greet.
    let first = Remote::start(&bench.remote, "203.0.113.25", |line| match line {
        "CONNECT" => Reply::Say("421 4.3.2 Too busy"),
        _ => Reply::Usual,
    });
    assert!(send(&bench, &["x2@xyz.com"], "three").starts_with("250"));
    second.await_taken(3);
    assert!(first.taken().is_empty());
}

#[test]
fn what_dns_knows_bounces_and_what_it_does_not_waits() {
    let Some(bench) = bench() else { return };
    let _nsd = Nsd::start(&bench.dns, &[DNS], &zones());
    // Stored first, so that the client has had its 250 when DNS says no.
    let stagepost = Stagepost::start(&bench.device, &format!("{CONFIG}\ndomain bcd.com spool always\n"));
    for (to, subject, status) in [
        ("x@gone.xyz.com", "no such domain", "5.1.2"),
        ("x@null.com", "null MX", "5.1.10"),
        ("x@circle.com", "circle", "5.4.6"),
    ] {
        assert!(send(&bench, &[to], subject).starts_with("250"), "{subject}");
        let report = stagepost.mailbox_message("bcd.com", "b1", &format!("Not delivered: your mail to {to}"));
        assert!(report.raw.contains(&format!("Status: {status}\n")), "{subject}: {}", report.raw);
        assert_eq!(report.field("Return-Path"), "<>", "{subject}");
    }
    assert!(send(&bench, &["x@broken.com"], "servfail").starts_with("250"));
    until_true("the mail waits and says why", || {
        let queue = stagepost.console(&["show", "queue", "bcd.com"]).to_string();
        queue.contains("x@broken.com") && queue.contains("4.4.3") && queue.contains("SERVFAIL")
    });
    assert_eq!(stagepost.mailbox("bcd.com", "b1").len(), 3, "nothing else came back");
}

#[test]
fn mail_waits_for_dns_to_come_back() {
    let Some(bench) = bench() else { return };
    let stagepost = Stagepost::start(&bench.device, CONFIG);
    let second = Remote::start(&bench.remote, "203.0.113.26", |_| Reply::Usual);
    assert!(send(&bench, &["x1@xyz.com", "b2@bcd.com"], "patience").starts_with("250"));
    stagepost.mailbox_message("bcd.com", "b2", "patience");
    until_true("the mail waits", || {
        stagepost.console(&["show", "queue"]).to_string().contains("DNS lookup failed")
    });
    let _nsd = Nsd::start(&bench.dns, &[DNS], &zones());
    until_true("the mail leaves when it is asked to", || {
        stagepost.console(&["queue", "retry", "all"]);
        !second.taken().is_empty()
    });
    assert_eq!(second.taken()[0].message.subject(), "patience");
}

#[test]
fn a_nameserver_that_talks_nonsense_does_no_harm() {
    let Some(bench) = bench() else { return };
    let socket = bench.dns.within(|| UdpSocket::bind("203.0.113.53:53")).unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 512];
        for round in 0.. {
            let Ok((len, peer)) = socket.recv_from(&mut query) else { return };
            let mut reply = query[..len].to_vec();
            match round % 4 {
                // The right question, and an answer that points at itself.
                0 => {
                    (reply[2], reply[3], reply[7]) = (0x81, 0x80, 1);
                    reply.extend([0xC0, len as u8, 0, 15, 0, 1, 0, 0, 0, 9, 0, 2, 0xC0, len as u8]);
                }
                1 => reply = vec![0xFF; 1200],
                2 => (reply[2], reply[3]) = (0x83, 0x80),
                _ => reply.truncate(7),
            }
            let _ = socket.send_to(&reply, peer);
        }
    });
    let stagepost = Stagepost::start(&bench.device, CONFIG);
    assert!(send(&bench, &["x1@xyz.com", "b2@bcd.com"], "nonsense").starts_with("250"));
    stagepost.mailbox_message("bcd.com", "b2", "nonsense");
    until_true("the mail waits", || {
        stagepost
            .console(&["show", "queue"])
            .to_string()
            .contains("DNS lookup failed: MX xyz.com: nameserver")
    });
    assert!(stagepost.stderr().contains("nameserver 203.0.113.53:53: "), "{}", stagepost.stderr());
    assert!(stagepost.mailbox("bcd.com", "b1").is_empty());
}
