use super::*;
use crate::mail::Domain;

const HEAD: &str = "Received: from bcd.com by bcd.com; now\r\n\
    Date: Mon, 27 Nov 00 10:18:52\r\n\
    From: \"Bob Smith\"\r\n <b1@bcd.com>\r\n\
    To: x1@xyz.com,  b2@bcd.com\r\n\
    Subject:  Test Message 2 \r\n\
    \r\n";
const BODY: &str = "This message is a  test. \r\n\r\nThe end.\r\n\r\n";

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

/// The same key for the same number.
fn keys(number: u64) -> [SigningKey; 2] {
    let mut prng = crate::prng::Prng::from_seed(number);
    let rsa = generate_rsa_2048(&mut |buffer: &mut [u8]| {
        buffer.iter_mut().for_each(|b| *b = prng.u64() as u8);
    });
    [
        SigningKey::from_pkcs8(domain("s1"), &rsa).expect("ring takes the RSA key"),
        SigningKey::from_pkcs8(domain("s1-ed25519"), &SigningKey::ed25519_pkcs8(&[7; 32])).unwrap(),
    ]
}

fn body_hash(body: &str) -> BodyHash {
    let mut hasher = BodyHasher::default();
    hasher.update(body.as_bytes());
    hasher.finish()
}

#[test]
fn both_keys_sign_the_same_fields() {
    let at = WallTime::from_unix_seconds(975_320_506);
    let signed = signatures(HEAD.as_bytes(), &body_hash(BODY), &domain("bcd.com"), &keys(1), at);
    let section = Section::of(signed.as_bytes());
    assert_eq!((section.count("DKIM-Signature"), section.fields().count()), (2, 2));
    assert!(signed.split("\r\n").all(|line| line.len() <= 78), "{signed}");
    for (field, start) in section.fields().zip(["v=1; a=rsa-sha256; ", "v=1; a=ed25519-sha256; "]) {
        let body = String::from_utf8_lossy(field.body()).replace("\r\n\t", " ");
        assert!(body.trim_start().starts_with(start), "{body}");
        assert!(body.contains(" t=975320506; h=from:from:subject:date:to; bh="), "{body}");
        assert!(body.contains(" c=relaxed/relaxed; d=bcd.com; s=s1"), "{body}");
    }
}

#[test]
fn many_fields_of_one_name_do_not_make_a_long_signature() {
    let head = "To: b2\r\n".repeat(10_000) + HEAD;
    let names = signed_names(&Section::of(head.as_bytes()), &signed_fields(&Section::of(head.as_bytes())));
    assert_eq!(names.iter().filter(|name| *name == "to").count(), SIGNED_FIELDS_OF_A_NAME_MAX);
}

#[test]
fn the_dns_record_is_ready_to_paste() {
    let [rsa, ed25519] = keys(2).map(|key| key.txt_record(&domain("bcd.com")));
    let public = "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=";
    let line = format!("s1-ed25519._domainkey.bcd.com. IN TXT ( \"v=DKIM1; k=ed25519; p={public}\" )");
    assert_eq!(ed25519.to_string(), line);
    assert!(rsa.value.starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"), "{rsa}");
    let strings: Vec<usize> = rsa.to_string().split('"').skip(1).step_by(2).map(str::len).collect();
    assert_eq!(strings, [255, rsa.value.len() - 255]);
}

#[test]
fn what_is_no_key_is_rejected() {
    for bytes in [&b""[..], b"x", &SigningKey::ed25519_pkcs8(&[7; 32])[..40]] {
        assert!(SigningKey::from_pkcs8(domain("s1"), bytes).is_err());
    }
}

#[test]
fn a_key_does_not_show_itself() {
    assert_eq!(format!("{:?}", keys(3)[1]), "SigningKey(s1-ed25519 ed25519-sha256)");
}
