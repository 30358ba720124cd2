//! DKIM signatures, checked by two verifiers that share no code with ours: dkimpy and Mail::DKIM. Needs
//! the Debian packages python3-dkim, python3-nacl and libmail-dkim-perl. Mail::DKIM knows Ed25519 only in
//! versions after Debian 12; there it calls such a signature `invalid`, as one that it cannot judge.

#[path = "dkim/verifiers.rs"]
mod verifiers;

use std::path::PathBuf;

use stagepost::mail::Domain;
use stagepost::mail::dkim::{BodyHasher, SigningKey, generate_rsa_2048, signatures};
use stagepost::prng::Prng;
use stagepost::time::WallTime;

const HEAD: &str = "Received: from bcd.com by bcd.com; now\r\n\
    Message-Id: <3431121623.4B0213D@bcd.com>\r\n\
    Date: Mon, 27 Nov 2000 10:18:52 +0000\r\n\
    From: \"Bob Smith\"\r\n\t<b1@bcd.com>\r\n\
    To: x1@xyz.com,  b2@bcd.com\r\n\
    Subject:  Test Message 2 \r\n\t \r\n\
    MIME-Version: 1.0\r\n";

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

fn keys() -> [SigningKey; 2] {
    let mut prng = Prng::from_seed(6376);
    let rsa = generate_rsa_2048(&mut |buffer: &mut [u8]| buffer.fill_with(|| prng.u64() as u8));
    let ed25519 = SigningKey::ed25519_pkcs8(&[42; 32]);
    [("s1", rsa), ("s1-ed25519", ed25519)].map(|(selector, pkcs8)| {
        SigningKey::from_pkcs8(domain(selector), &pkcs8).expect("a key that was just made")
    })
}

fn signed(keys: &[SigningKey], body: &str) -> String {
    let mut hasher = BodyHasher::default();
    body.as_bytes().chunks(7).for_each(|piece| hasher.update(piece));
    let now = WallTime::from_unix_seconds(975_320_506);
    let fields = signatures(HEAD.as_bytes(), &hasher.finish(), &domain("bcd.com"), keys, now);
    format!("{fields}{HEAD}\r\n{body}")
}

/// A directory of this test's own, removed when it ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("stagepost-dkim-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What both verifiers print on a message, sorted.
fn verdicts(scratch: &Scratch, keys: &[SigningKey], message: &str) -> [Vec<String>; 2] {
    let records: String = keys
        .iter()
        .map(|key| key.txt_record(&domain("bcd.com")))
        .map(|record| format!("{} {}\n", record.name, record.value))
        .collect();
    let (message, records) = (scratch.write("message", message), scratch.write("records", &records));
    verifiers::verdicts(&message, &records)
}

#[test]
fn two_verifiers_accept_both_signatures() {
    let (scratch, keys) = (Scratch::new("good"), keys());
    for (caption, body) in [
        ("Figure 2A", "This message is a test. The end.\r\n"),
        ("blanks and empty lines", " a  b\t \r\n\r\n \r\nc\r\n\r\n\r\n"),
        ("no body", ""),
        ("no final line end", "a"),
        ("8-bit", "J\u{f6}rg\r\n"),
    ] {
        let [dkimpy, mail_dkim] = verdicts(&scratch, &keys, &signed(&keys, body));
        assert_eq!(dkimpy, ["pass ed25519-sha256", "pass rsa-sha256"], "dkimpy, {caption}");
        assert!(mail_dkim.contains(&"pass rsa-sha256".to_owned()), "Mail::DKIM, {caption}: {mail_dkim:?}");
        assert!(
            !mail_dkim.contains(&"fail ed25519-sha256".to_owned()),
            "Mail::DKIM, {caption}: {mail_dkim:?}"
        );
    }
}

#[test]
fn two_verifiers_notice_every_change() {
    let (scratch, keys) = (Scratch::new("bad"), keys());
    let good = signed(&keys, "This message is a test. The end.\r\n");
    for (caption, changed) in [
        ("body", good.replace("The end.", "The end!")),
        ("subject", good.replace("Message 2", "Message 3")),
        ("a second From on top", format!("From: x1@xyz.com\r\n{good}")),
        ("a second From below", good.replace("To: ", "From: x1@xyz.com\r\nTo: ")),
    ] {
        for verdicts in verdicts(&scratch, &keys, &changed) {
            assert_eq!(verdicts.len(), 2, "{caption}: {verdicts:?}");
            assert!(!verdicts.iter().any(|verdict| verdict.starts_with("pass")), "{caption}: {verdicts:?}");
        }
    }
}
