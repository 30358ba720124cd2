//! DKIM on the real binary: mail that a real Postfix has received is given to two verifiers that share no code
//! with ours, dkimpy and Mail::DKIM, with the records that the console prints. Mail::DKIM knows Ed25519 only
//! in versions after Debian 12; there it calls such a signature `invalid`.

#[path = "../dkim/verifiers.rs"]
mod verifiers;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::lab::peers::Mta;
use crate::lab::{DNS, Dialogue, Host, Message, PC, Stagepost, until};
use crate::world::{BOTH, World, world};

/// How long the search for RSA primes may take in a debug build on a busy machine.
const RSA_PATIENCE: Duration = Duration::from_secs(240);

fn config(more: &str) -> String {
    format!(
        "box name abc.com\nbox nameserver {DNS}\ndomain abc.com address 203.0.113.1\n\
         domain abc.com client {PC}\ndomain bcd.com address 203.0.113.70\ndomain bcd.com client {PC}\n\
         domain bcd.com mailbox b1\ndomain bcd.com dkim mail\n{more}"
    )
}

/// The records of `show dkim`, one `NAME VALUE` a line, once both are there.
fn records(box_: &Stagepost) -> String {
    until("both keys are made", RSA_PATIENCE, || {
        let told = box_.console(&["show", "dkim", "bcd.com"]);
        let records = told["records"].as_array().unwrap();
        let line = |r: &serde_json::Value| {
            format!("{} {}\n", r["name"].as_str().unwrap(), r["value"].as_str().unwrap())
        };
        (told["making"] == false && records.len() == 2).then(|| records.iter().map(line).collect())
    })
}

/// What both verifiers print on a message, sorted: dkimpy's and Mail::DKIM's.
fn verdicts(scratch: &Path, records: &str, message: &Message) -> [Vec<String>; 2] {
    let (file, zone) = (scratch.join("message"), scratch.join("records"));
    std::fs::write(&file, message.raw.replace('\n', "\r\n")).unwrap();
    std::fs::write(&zone, records).unwrap();
    verifiers::verdicts(&file, &zone)
}

#[track_caller]
fn assert_signed(host: &Host, records: &str, message: &Message) {
    let [dkimpy, mail_dkim] = verdicts(host.dir(), records, message);
    assert_eq!(dkimpy, ["pass ed25519-sha256", "pass rsa-sha256"], "{}", message.raw);
    assert!(mail_dkim.contains(&"pass rsa-sha256".to_owned()), "{mail_dkim:?}: {}", message.raw);
    assert!(!mail_dkim.contains(&"fail ed25519-sha256".to_owned()), "{mail_dkim:?}: {}", message.raw);
    let signature = message.field("DKIM-Signature");
    assert!(signature.contains("h=from:from:") && signature.contains("c=relaxed/relaxed"), "{signature}");
}

/// Keys as openssl makes them, where the box looks for its own.
fn keys_of_openssl(world: &World) {
    let folder: PathBuf = world.device.dir().join("stagepost/dkim/bcd.com");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, options) in [
        ("mail-ed25519", &["-algorithm", "ed25519"][..]),
        ("mail-rsa", &["-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048"]),
    ] {
        let path = folder.join(format!("{name}.pem"));
        let args = [&["genpkey", "-out", path.to_str().unwrap()], options].concat();
        let made = Command::new("openssl").args(args).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }
}

#[test]
fn the_box_makes_its_keys_and_held_mail_is_signed() {
    use std::os::unix::fs::PermissionsExt;
    let Some(world) = world(BOTH) else { return };
    let postfix = Mta::postfix(&world.remote, "xyz.com", DNS);
    let box_ = Stagepost::start(&world.device, &config(""));
    let records = records(&box_);
    for name in ["mail-ed25519", "mail-rsa"] {
        let path = world.device.dir().join(format!("stagepost/dkim/bcd.com/{name}.pem"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Command::new("openssl").args(["pkey", "-noout", "-in"]).arg(&path).output().unwrap();
        assert!(read.status.success(), "openssl reads {name}");
    }
    let text = box_.console_text(&["show", "dkim", "bcd.com"]);
    assert!(text.contains("mail-rsa._domainkey.bcd.com. IN TXT ( \"v=DKIM1; k=rsa; p="), "{text}");
    let strings = text.split('"').skip(1).step_by(2);
    assert!(strings.clone().count() >= 3 && strings.clone().all(|s| s.len() <= 255), "{text}");
    // What the box completes on the way is signed as it leaves.
    let mut dialogue = Dialogue::greeted(&world.pc, "203.0.113.70:25", "pc.example");
    dialogue.hand_over(
        "b1@bcd.com",
        &["x1@xyz.com"],
        "From: Bob <b1>\r\nSubject: held\r\n\r\n.dots\r\n  a  b \r\n\r\n",
    );
    let message = postfix.message("held");
    assert_eq!(message.fields("Message-Id").len(), 1);
    assert_signed(&world.device, &records, &message);
    // Another domain's mail is never signed, nor what claims to come from another domain.
    for (from, header, subject) in
        [("a1@abc.com", "a1@abc.com", "of abc.com"), ("b1@bcd.com", "x9@xyz.com", "of somebody else")]
    {
        let text = format!("From: {header}\nSubject: {subject}\n\nhello\n");
        let sent = box_.sendmail(&["-f", from, "x1@xyz.com"], &text);
        assert_eq!(sent.code, 0, "{}", sent.err);
        let message = postfix.message(subject);
        assert!(message.fields("DKIM-Signature").is_empty(), "{}", message.raw);
    }
    let other = box_.try_console(&["show", "dkim", "abc.com"]);
    assert!(other.code != 0 && other.err.contains("abc.com signs nothing"), "{}", other.err);
}

#[test]
fn stored_mail_is_signed_after_it_is_made_fit_for_the_host_and_so_are_bounces() {
    let Some(world) = world(BOTH) else { return };
    let seven_bit = ["smtpd_discard_ehlo_keywords=8bitmime,dsn"];
    let postfix = Mta::postfix_with(&world.remote, "xyz.com", DNS, &seven_bit);
    keys_of_openssl(&world);
    let more = "domain bcd.com spool always\ndomain bcd.com alias far nobody@gone.xyz.com\n";
    let box_ = Stagepost::start(&world.device, &config(more));
    let records = records(&box_);
    let start = "From: Bob <b1@bcd.com>\nMIME-Version: 1.0\nSubject: ";
    let typed = "\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n";
    for (subject, body) in [
        ("plain", "hello\n\n\n".to_owned()),
        ("8-bit", "Grüße\n".to_owned()),
        ("large", "zwölf Boxkämpfer jagen Viktor\n".repeat(8000)),
    ] {
        let text = format!("{start}{subject}{typed}{body}");
        let sent = box_.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], &text);
        assert_eq!(sent.code, 0, "{}", sent.err);
        let message = postfix.message(subject);
        assert!(message.raw.is_ascii(), "{subject}");
        let encoding = if subject == "plain" { "8bit" } else { "quoted-printable" };
        assert_eq!(message.field("Content-Transfer-Encoding"), encoding);
        assert_signed(&world.device, &records, &message);
    }
    // What must not be changed is returned, and the report leaves signed.
    let signed = "From: b1@bcd.com\nSubject: sealed\nMIME-Version: 1.0\n\
        Content-Type: multipart/signed; boundary=x\n\n--x\nContent-Type: text/plain; charset=utf-8\n\
        Content-Transfer-Encoding: 8bit\n\nGrüße\n--x\nContent-Type: application/x-seal\n\nseal\n--x--\n";
    let sent = box_.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], signed);
    assert_eq!(sent.code, 0, "{}", sent.err);
    let report = box_.mailbox_message("bcd.com", "b1", "Not delivered: your mail to x1@xyz.com");
    assert!(report.raw.contains("Status: 5.6.3"), "{}", report.raw);
    // A stranger's mail through an alias of ours is not ours; the report on it is.
    let mut dialogue = Dialogue::greeted(&world.remote, "203.0.113.70:25", "xyz.com");
    let reply = dialogue.hand_over(
        "x1@xyz.com",
        &["far@bcd.com"],
        "From: b1@bcd.com\r\nSubject: forged\r\n\r\nhi\r\n",
    );
    assert!(reply.starts_with("250"), "{reply}");
    let report = postfix.message("Not delivered: your mail to nobody@gone.xyz.com");
    assert_signed(&world.device, &records, &report);
}

#[test]
fn mail_that_only_passes_is_not_signed() {
    let Some(world) = world(BOTH) else { return };
    let postfix = Mta::postfix(&world.remote, "xyz.com", DNS);
    keys_of_openssl(&world);
    let box_ = Stagepost::start(&world.device, &config("domain bcd.com alias far x1@xyz.com\n"));
    records(&box_);
    let mut dialogue = Dialogue::greeted(&world.remote, "203.0.113.70:25", "xyz.com");
    let forged = "From: b1@bcd.com\r\nSubject: forged\r\n\r\nhi\r\n";
    let reply = dialogue.hand_over("b1@bcd.com", &["far@bcd.com"], forged);
    assert!(reply.starts_with("250"), "{reply}");
    let message = postfix.message("forged");
    assert!(message.fields("DKIM-Signature").is_empty(), "{}", message.raw);
}

/// The loop has its other sessions to look after meanwhile.
#[test]
fn signatures_are_made_beside_the_event_loop() {
    const MESSAGES: u32 = 10;
    /// An RSA signature takes more than this on any processor there is.
    const SIGNATURE: Duration = Duration::from_micros(100);
    let Some(world) = world(BOTH) else { return };
    let postfix = Mta::postfix(&world.remote, "xyz.com", DNS);
    keys_of_openssl(&world);
    let box_ = Stagepost::start(&world.device, &config(""));
    records(&box_);
    let before = box_.thread_ran("outgoing clerk");
    for n in 1..=MESSAGES {
        let text = format!("From: b1@bcd.com\nSubject: number {n}\n\nhello\n");
        let sent = box_.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], &text);
        assert_eq!(sent.code, 0, "{}", sent.err);
        let message = postfix.message(&format!("number {n}"));
        assert_eq!(message.fields("DKIM-Signature").len(), 2, "{}", message.raw);
    }
    let ran = box_.thread_ran("outgoing clerk") - before;
    assert!(ran >= MESSAGES * SIGNATURE, "{MESSAGES} messages took the clerk of outgoing mail {ran:?}");
}
