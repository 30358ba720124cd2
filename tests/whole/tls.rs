//! TLS met by others' programs: openssl and swaks at our doors, Postfix with and without a certificate behind
//! the next hop.

use std::process::Stdio;

use crate::lab::peers::{Mta, certificate, swaks};
use crate::lab::{BCD, DNS, Dialogue, Host, Stagepost};
use crate::world::{BOTH, world};

const CONFIG: &str = "box name abc.com\nbox address 203.0.113.1\nbox nameserver 203.0.113.53\n\
    domain bcd.com address 203.0.113.70\ndomain bcd.com client 203.0.113.0/24\n\
    domain bcd.com mailbox b2\n";

/// What `openssl s_client` prints of a handshake.
fn handshake(from: &Host, args: &[&str]) -> String {
    let all = [&["s_client", "-brief"], args].concat();
    let output = from.command("openssl", &all).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A Postfix that offers TLS with a certificate of its own making.
fn postfix_with_tls(host: &Host, more: &[&str]) -> Mta {
    certificate(host, "postfix", "xyz.com");
    let lines = [
        "smtpd_tls_cert_file=/lab/xyz.com.pem",
        "smtpd_tls_key_file=/lab/key.pem",
        "smtpd_tls_security_level=may",
    ];
    Mta::postfix_with(host, "xyz.com", DNS, &[&lines[..], more].concat())
}

#[test]
fn every_door_has_the_certificate_of_its_domain() {
    let Some(world) = world(BOTH) else { return };
    let box_ = Stagepost::start(&world.device, CONFIG);
    let domains = box_.console(&["show", "domains"]);
    let print = domains["domains"][0]["certificate_sha256"].as_str().unwrap().replace(':', "");
    assert_eq!(print.len(), 64);
    for (caption, args) in [
        ("STARTTLS on 25", ["-starttls", "smtp", "-connect", "203.0.113.70:25"]),
        ("STARTTLS on 587", ["-starttls", "smtp", "-connect", "203.0.113.70:587"]),
        (
            "TLS on 465, by name at the shared address",
            ["-servername", "bcd.com", "-connect", "203.0.113.1:465"],
        ),
    ] {
        let seen = handshake(&world.pc, &args);
        assert!(
            seen.contains("Peer certificate: CN = bcd.com") || seen.contains("Peer certificate: CN=bcd.com"),
            "{caption}: {seen}"
        );
    }
    let seen = handshake(&world.pc, &["-tls1_2", "-connect", "203.0.113.1:465"]);
    assert!(seen.contains("TLSv1.2") && seen.contains("abc.com"), "{seen}");
    let seen =
        handshake(&world.pc, &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0", "-connect", "203.0.113.1:465"]);
    assert!(!seen.contains("CONNECTION ESTABLISHED"), "{seen}");
}

#[test]
fn sslscan_finds_nothing() {
    let Some(world) = world(BOTH) else { return };
    let _box = Stagepost::start(&world.device, CONFIG);
    if world.pc.command("sh", &["-c", "command -v sslscan"]).output().unwrap().status.success() {
        for args in [&["203.0.113.70:465"][..], &["--starttls-smtp", "203.0.113.70:587"]] {
            let all = [&["--no-colour"], args].concat();
            let output = world.pc.command("sslscan", &all).output().unwrap();
            assert_clean(&String::from_utf8_lossy(&output.stdout));
        }
    } else {
        eprintln!("skipped: sslscan is not installed");
    }
}

/// What sslscan calls anything but good would be one of these lines.
#[track_caller]
fn assert_clean(report: &str) {
    for version in ["SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"] {
        assert!(
            report.lines().any(|l| l.starts_with(version) && l.ends_with("disabled")),
            "{version}: {report}"
        );
    }
    for version in ["TLSv1.2", "TLSv1.3"] {
        assert!(
            report.lines().any(|l| l.starts_with(version) && l.ends_with("enabled")),
            "{version}: {report}"
        );
    }
    let ciphers: Vec<&str> =
        report.lines().filter(|line| line.starts_with("Accepted") || line.starts_with("Preferred")).collect();
    assert!(ciphers.len() >= 4, "{report}");
    for cipher in ciphers {
        let strong =
            cipher.contains("TLS_AES") || cipher.contains("TLS_CHACHA20") || cipher.contains("ECDHE-");
        let modern = cipher.contains("GCM") || cipher.contains("POLY1305");
        assert!(
            strong && modern && (cipher.contains(" 128 bits") || cipher.contains(" 256 bits")),
            "{cipher}"
        );
    }
    assert!(!report.contains("Compression enabled"), "{report}");
    assert!(!report.contains(" vulnerable to heartbleed") || report.contains("not vulnerable"), "{report}");
    assert!(!report.contains("Insecure session renegotiation"), "{report}");
}

#[test]
fn swaks_hands_mail_in_under_tls() {
    let Some(world) = world(BOTH) else { return };
    let box_ = Stagepost::start(&world.device, CONFIG);
    for (subject, options) in [
        ("on 25", &["--tls"][..]),
        ("on 587", &["--tls", "--port", "587"]),
        ("on 465", &["--tls-on-connect", "--port", "465"]),
    ] {
        let args = ["--server", BCD, "--ehlo", "pc.example", "--from", "b1@bcd.com", "--to", "b2@bcd.com"];
        let header = format!("Subject: {subject}");
        let output = swaks(&world.pc, &[&args[..], &["--header", &header], options].concat());
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if said.contains("requires Net::SSLeay") || said.contains("TLS not available") {
            eprintln!("skipped: this swaks has no TLS");
            return;
        }
        assert!(output.status.success(), "{subject}: {said}");
        let message = box_.mailbox_message("bcd.com", "b2", subject);
        assert!(message.raw.contains(" with ESMTPS id "), "{}", message.raw);
    }
}

#[test]
fn the_submission_ports_are_for_users_alone() {
    let Some(world) = world(BOTH) else { return };
    let config = CONFIG.replace("client 203.0.113.0/24", "client 203.0.113.99");
    let _box = Stagepost::start(&world.device, &config);
    let mut dialogue = Dialogue::greeted(&world.pc, "203.0.113.70:587", "pc.example");
    dialogue.ask("MAIL FROM:<a@xyz.com>", "550 5.7.1 only users send mail here");
}

#[test]
fn mail_leaves_under_tls_where_the_host_offers_it() {
    let Some(world) = world(BOTH) else { return };
    let postfix = postfix_with_tls(&world.remote, &[]);
    let box_ = Stagepost::start(&world.device, CONFIG);
    let sent = box_.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], "Subject: secret\n\nhello\n");
    assert_eq!(sent.code, 0, "{}", sent.err);
    let message = postfix.message("secret");
    assert!(message.raw.contains("with ESMTPS id"), "{}", message.raw);
    assert!(message.received().starts_with("from bcd.com (bcd.com [203.0.113.70])"), "{}", message.raw);
    box_.await_log("xyz.com (TLSv1.3 TLS_AES_256_GCM_SHA384, not verified) said: 250");
}

#[test]
fn a_route_that_requires_tls_sends_nothing_to_a_certificate_nobody_vouches_for() {
    let Some(world) = world(BOTH) else { return };
    let postfix = postfix_with_tls(&world.remote, &[]);
    let config = format!("{CONFIG}domain bcd.com route default mx tls required\n");
    let box_ = Stagepost::start(&world.device, &config);
    let sent = box_.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], "Subject: secret\n\nhello\n");
    assert_eq!(sent.code, 0, "{}", sent.err);
    box_.await_log("TLS is required, but its certificate does not do: ");
    let queue = box_.console_text(&["show", "queue"]);
    assert!(queue.contains("deferred"), "{queue}");
    assert!(postfix.messages().is_empty());
}

#[test]
fn a_host_whose_tls_fails_is_served_in_the_clear_unless_tls_is_required() {
    let Some(world) = world(BOTH) else { return };
    // A version that is no longer spoken: the handshake fails.
    let postfix = postfix_with_tls(&world.remote, &["smtpd_tls_protocols=TLSv1"]);
    let box_ = Stagepost::start(&world.device, CONFIG);
    let sent = box_.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], "Subject: open\n\nhello\n");
    assert_eq!(sent.code, 0, "{}", sent.err);
    assert!(postfix.message("open").raw.contains("with ESMTP id"));
    box_.await_log("xyz.com: no TLS, so in the clear: the handshake failed");
}

#[test]
fn what_a_deferred_message_was_offered_under_is_shown() {
    let Some(world) = world(BOTH) else { return };
    let _postfix = postfix_with_tls(&world.remote, &["smtpd_recipient_restrictions=defer"]);
    let box_ = Stagepost::start(&world.device, CONFIG);
    let sent = box_.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], "Subject: later\n\nhello\n");
    assert_eq!(sent.code, 0, "{}", sent.err);
    box_.await_log("Deferred: xyz.com (TLSv1.3 ");
    let queue = box_.console(&["show", "queue"]);
    let shown = box_.console_text(&["show", "message", queue["queue"][0]["id"].as_str().unwrap()]);
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("xyz.com (TLSv1.3 TLS_AES_256_GCM_SHA384, not verified) said: 450"), "{shown}");
}
