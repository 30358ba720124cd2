//! Our TLS under others' eyes: testssl.sh tries every known attack on it, posttls-finger looks as Postfix would.
//! What sslscan sees of versions and ciphers is in `tls`.

use serde_json::Value;

use crate::lab::peers::{Authority, posttls_finger, testssl};
use crate::lab::{ABC, BCD, Host, PC, Stagepost, XYZ, long, tell};
use crate::world::{BOTH, world};

/// What testssl.sh finds at one door, but for what is worth no more than to be told.
#[track_caller]
fn findings(from: &Host, door: &[&str]) -> Vec<String> {
    // Versions, ciphers and forward secrecy too, where there is time for what sslscan has seen already.
    let more: &[&str] = if long() { &["-p", "-s", "-f"] } else { &[] };
    let scan = || testssl(from, &[&["-U"], more, door].concat());
    // Its own openssl lacks an engine that nobody needs; another warning is that it lost patience.
    let lost = |found: &[Value]| found.iter().any(|f| f["severity"] == "WARN" && f["id"] != "engine_problem");
    let mut found = scan();
    if lost(&found) {
        found = scan();
    }
    for attack in ["heartbleed", "CCS", "secure_renego", "POODLE_SSL", "DROWN", "RC4"] {
        let tried = found.iter().any(|finding| finding["id"] == attack);
        assert!(tried, "{attack} was not tried on {door:?}: {found:#?}");
    }
    tell(&format!("testssl.sh {door:?}: {} findings", found.len()));
    let harmless = |severity: &str| matches!(severity, "OK" | "INFO" | "DEBUG");
    let grave = found.iter().filter(|finding| !harmless(finding["severity"].as_str().unwrap_or_default()));
    grave.filter(|finding| finding["id"] != "engine_problem").map(Value::to_string).collect()
}

#[test]
fn testssl_finds_nothing() {
    let Some(world) = world(BOTH) else { return };
    let config = format!("box name abc.com\nbox address {ABC}\ndomain bcd.com address {BCD}\n");
    let _box = Stagepost::start(&world.device, &config);
    // Most of its time it waits.
    std::thread::scope(|scope| {
        let submissions = scope.spawn(|| findings(&world.pc, &["203.0.113.70:465"]));
        let submission = findings(&world.remote, &["-t", "smtp", "203.0.113.70:587"]);
        let none: [&str; 0] = [];
        assert_eq!(submission, none);
        assert_eq!(submissions.join().unwrap(), none);
    });
}

#[test]
fn posttls_finger_knows_each_domain_by_its_certificate() {
    let Some(world) = world(BOTH) else { return };
    let house = Authority::new(&world.remote, "house");
    let config = format!(
        "box name abc.com\ndomain abc.com address {ABC}\ndomain abc.com certificate {}\n\
         domain bcd.com address {BCD}\ndomain bcd.com client {PC}\ndomain bcd.com client {XYZ}\n",
        house.certify("abc.com").display()
    );
    let box_ = Stagepost::start(&world.device, &config);
    let look = |args: &[&str]| posttls_finger(&world.pc, &house.pem(), &[&["-c"], args].concat());
    let verified = |seen: &str| seen.contains("Verified TLS connection established to ");
    let list = box_.console(&["show", "certificates"]);
    let print = list["certificates"][1]["sha256"].as_str().unwrap();
    let first = if print.starts_with('A') { "B" } else { "A" };
    let other = first.to_owned() + &print[1..];
    for (caption, args, expected) in [
        (
            "the print that the console shows",
            &["-l", "fingerprint", "-d", "sha256", "[203.0.113.70]", print][..],
            true,
        ),
        ("that of no one", &["-l", "fingerprint", "-d", "sha256", "[203.0.113.70]", &other], false),
        (
            "an authority, and the name",
            &["-l", "secure", "-F", "/lab/ca.pem", "[203.0.113.1]", "abc.com"],
            true,
        ),
        ("another name", &["-l", "secure", "-F", "/lab/ca.pem", "[203.0.113.1]", "bcd.com"], false),
        (
            "a certificate of its own making",
            &["-l", "secure", "-F", "/lab/ca.pem", "[203.0.113.70]", "bcd.com"],
            false,
        ),
    ] {
        let seen = look(args);
        assert_eq!(verified(&seen), expected, "{caption}: {seen}");
        assert!(seen.contains("TLSv1.3 with cipher TLS_AES_256_GCM_SHA384"), "{caption}: {seen}");
    }
}
