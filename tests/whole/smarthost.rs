//! Smarthosts that want to know who we are: Exim with PLAIN and LOGIN, Postfix with Cyrus' SCRAM, and one that
//! changes its mind. A password that is not taken holds the mail and loses none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::lab::peers::{Mta, certificate};
use crate::lab::{DNS, PATIENCE, Remote, Reply, Stagepost, XYZ, until, until_true};
use crate::world::{BOTH, World, world};

const CONFIG: &str = "box name abc.com\nbox nameserver 203.0.113.53\n\
    domain abc.com address 203.0.113.1\ndomain bcd.com address 203.0.113.70\n\
    domain bcd.com retry first 1s max 2s expire 4s\ndomain bcd.com spool always\n";

fn send(box_: &Stagepost, from: &str, subject: &str) {
    let sent = box_.sendmail(&["-f", from, "x1@xyz.com"], &format!("Subject: {subject}\n\nhello\n"));
    assert_eq!(sent.code, 0, "{}", sent.err);
}

/// What `show status` warns of.
fn alarms(box_: &Stagepost) -> String {
    box_.console(&["show", "status"])["alarms"].to_string()
}

#[test]
fn exim_knows_us_by_plain_and_by_login() {
    let Some(world) = world(BOTH) else { return };
    certificate(&world.remote, "exim", "xyz.com");
    let lines = [
        "USERS = yes",
        "tls_advertise_hosts = *",
        "tls_certificate = /lab/xyz.com.pem",
        "tls_privatekey = /lab/key.pem",
        "daemon_smtp_ports = 25 : 465",
        "tls_on_connect_ports = 465",
    ];
    let exim = Mta::exim_with(&world.remote, "xyz.com", DNS, &lines);
    // PLAIN is what it offers on 465, LOGIN what it offers after STARTTLS on 25.
    let config = format!(
        "{CONFIG}domain bcd.com route default xyz.com:465 user b1 password \"let me in\"\n\
         domain abc.com route xyz.com xyz.com user b1 password \"let me in\"\n"
    );
    let box_ = Stagepost::start(&world.device, &config);
    for (from, subject, helo) in
        [("b1@bcd.com", "by PLAIN", "bcd.com"), ("a1@abc.com", "by LOGIN", "abc.com")]
    {
        send(&box_, from, subject);
        let message = exim.message(subject);
        assert!(message.received().contains("with esmtpsa"), "{}", message.raw);
        assert!(message.received().starts_with(&format!("from {helo} ")), "{}", message.raw);
    }
    let log = box_.stderr();
    assert!(log.contains("xyz.com (TLSv1.3 TLS_") && !log.contains("let me in"), "{log}");
}

#[test]
fn a_password_that_is_not_taken_holds_the_mail_until_it_is_changed() {
    let Some(world) = world(BOTH) else { return };
    certificate(&world.remote, "cyrus", "xyz.com");
    let lines = [
        "smtpd_tls_cert_file=/lab/xyz.com.pem",
        "smtpd_tls_key_file=/lab/key.pem",
        "smtpd_tls_security_level=may",
        "smtpd_tls_auth_only=yes",
        "smtpd_sasl_auth_enable=yes",
        "smtpd_sasl_local_domain=xyz.com",
        "smtpd_recipient_restrictions=permit_sasl_authenticated,reject",
        "user b1 letmein",
    ];
    let postfix = Mta::postfix_with_users(&world.remote, "xyz.com", DNS, &lines);
    let route = "domain bcd.com route default xyz.com user b1 password";
    let box_ = Stagepost::start(&world.device, &format!("{CONFIG}{route} wrong\n"));
    send(&box_, "b1@bcd.com", "held");
    let alarm =
        "bcd.com: mail to xyz.com:25 waits, nothing bounces: xyz.com does not admit us as b1: 535 5.7.8";
    until_true("there is an alarm", || alarms(&box_).contains(alarm));
    // Longer than the mail's whole life.
    std::thread::sleep(Duration::from_secs(6));
    send(&box_, "b1@bcd.com", "held too");
    let reason = "xyz.com does not admit us as b1: 535 5.7.8";
    until_true("both wait", || {
        let queue = box_.console(&["show", "queue"]);
        let waiting = queue["queue"].as_array().unwrap().iter();
        waiting.filter(|entry| entry["reason"].as_str().is_some_and(|why| why.contains(reason))).count() == 2
    });
    assert_eq!(box_.console(&["show", "status"])["bounced"], 0);
    let tries = |log: String| log.matches("authentication failed").count();
    assert_eq!(tries(postfix.log()), 1, "a wrong password is not tried again and again: {}", postfix.log());
    box_.console_text(&["set", &format!("{route} letmein")]);
    box_.console_text(&["commit"]);
    for subject in ["held", "held too"] {
        let message = postfix.message(subject);
        assert!(message.received().contains("with ESMTPSA id"), "{}", message.raw);
    }
    let log = postfix.log();
    assert!(log.contains("sasl_method=SCRAM-SHA-256, sasl_username=b1"), "{log}");
    until_true("the alarm is over", || !alarms(&box_).contains("does not admit us"));
}

const OFFERS_PLAIN: &str = "250-xyz.com\r\n250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN LOGIN";

#[test]
fn queue_retry_asks_a_smarthost_again_that_did_not_know_us() {
    let Some(world) = world(BOTH) else { return };
    let knows = Arc::new(AtomicBool::new(false));
    let known = knows.clone();
    let remote = Remote::start(&world.remote, XYZ, move |line| match line.split(' ').next() {
        Some("EHLO") => Reply::Say(OFFERS_PLAIN),
        Some("AUTH") if known.load(Ordering::Relaxed) => Reply::Say("235 2.7.0 welcome"),
        Some("AUTH") => Reply::Say("535 5.7.8 who?"),
        _ => Reply::Usual,
    });
    let route = "domain bcd.com route default xyz.com user b1 password letmein plaintext-auth\n";
    let box_ = Stagepost::start(&world.device, &format!("{CONFIG}{route}"));
    send(&box_, "b1@bcd.com", "again");
    remote.await_heard("AUTH PLAIN AGIxAGxldG1laW4=", 1);
    until_true("there is an alarm", || alarms(&box_).contains("does not admit us as b1: 535 5.7.8 who?"));
    knows.store(true, Ordering::Relaxed);
    box_.console_text(&["queue", "retry", "all"]);
    let taken = remote.await_taken(1);
    assert_eq!(taken[0].message.subject(), "again");
    until_true("the alarm is over", || !alarms(&box_).contains("does not admit us"));
}

#[test]
fn a_password_is_not_said_in_the_clear_and_a_busy_smarthost_is_asked_again() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, move |line| match line.split(' ').next() {
        Some("EHLO") => Reply::Say(OFFERS_PLAIN),
        Some("AUTH") => Reply::Say("454 4.7.0 not now"),
        _ => Reply::Usual,
    });
    let config = format!(
        "{CONFIG}domain bcd.com route default xyz.com user b1 password letmein\n\
         domain abc.com route xyz.com xyz.com user a1 password letmein plaintext-auth\n\
         domain abc.com retry first 1s max 2s expire 5d\n"
    );
    let box_ = Stagepost::start(&world.device, &config);
    send(&box_, "b1@bcd.com", "secret");
    box_.await_log("xyz.com: TLS is required, but the host does not offer it");
    assert_eq!(remote.heard("AUTH"), 0);
    send(&box_, "a1@abc.com", "later");
    remote.await_heard("AUTH PLAIN", 2);
    assert!(!alarms(&box_).contains("does not admit us"), "for a while is no alarm");
    assert!(remote.taken().is_empty());
    until("the queue says why", PATIENCE, || {
        let queue = box_.console(&["show", "queue", "abc.com"]).to_string();
        queue.contains("xyz.com does not admit us as a1: 454 4.7.0 not now").then_some(())
    });
}

/// To each of these the mail goes; the smarthost takes it for all of them.
const SCATTERED: [&str; 4] = ["x1@xyz.com", "c1@cde.com", "x2@xyz.com", "d1@def.com"];

/// A smarthost with these bounds that answers the rest as told, and a box that has sent it mail to
/// [`SCATTERED`]. What it would defer it tries again after five minutes, which no test waits for.
fn bounded<'a>(
    world: &'a World,
    limits: &'static str,
    answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
) -> (Remote, Stagepost<'a>) {
    let remote = Remote::start(&world.remote, XYZ, move |line| match line.split(' ').next() {
        Some("EHLO") => Reply::Say(limits),
        _ => answer(line),
    });
    let config = format!(
        "box name abc.com\ndomain bcd.com address 203.0.113.70\ndomain bcd.com route default {XYZ}\n\
         domain bcd.com retry first 5m max 1h expire 1d\n"
    );
    let box_ = Stagepost::start(&world.device, &config);
    let sent =
        box_.sendmail(&[&["-f", "b1@bcd.com"][..], &SCATTERED[..]].concat(), "Subject: many\n\nhello\n");
    assert_eq!(sent.code, 0, "{}", sent.err);
    (remote, box_)
}

const ONE_DOMAIN: &str = "250-xyz.com\r\n250-PIPELINING\r\n250 LIMITS RCPTDOMAINMAX=1";
const ONE_RECIPIENT: &str = "250-xyz.com\r\n250 LIMITS RCPTMAX=1 MAILMAX=1";

#[test]
fn the_bounds_of_a_connection_cost_more_connections_and_no_time() {
    let by_domain: &[&[&str]] = &[&["x1@xyz.com", "x2@xyz.com"], &["c1@cde.com"], &["d1@def.com"]];
    let one_by_one: &[&[&str]] = &[&["x1@xyz.com"], &["c1@cde.com"], &["x2@xyz.com"], &["d1@def.com"]];
    for (limits, expected) in [(ONE_DOMAIN, by_domain), (ONE_RECIPIENT, one_by_one)] {
        let Some(world) = world(BOTH) else { return };
        let (remote, box_) = bounded(&world, limits, |_| Reply::Usual);
        let taken = remote.await_taken(expected.len());
        let groups: Vec<&[String]> = taken.iter().map(|mail| &mail.recipients[..]).collect();
        assert_eq!(groups, expected, "{limits}");
        assert_eq!(remote.heard("CONNECT"), expected.len(), "{limits}");
        until_true("nothing waits", || box_.console(&["show", "queue"])["queue"] == serde_json::json!([]));
        let log = box_.stderr();
        assert_eq!(
            (log.matches("... Sent (").count(), log.matches("... Deferred: ").count()),
            (4, 0),
            "{log}"
        );
    }
}

#[test]
fn a_bounded_host_that_takes_nobody_is_asked_once_for_each_and_one_that_turns_us_out_no_more() {
    for (caption, no, connections) in [("no", "450 4.2.1 not now", 3), ("leave", "421 4.3.2 not here", 1)] {
        let Some(world) = world(BOTH) else { return };
        let (remote, box_) = bounded(&world, ONE_DOMAIN, move |line| match line.split(' ').next() {
            Some("RCPT") => Reply::Say(no),
            _ => Reply::Usual,
        });
        until_true("all wait", || box_.stderr().matches("... Deferred: ").count() == 4);
        assert_eq!(remote.heard("CONNECT"), connections, "{caption}");
        assert!(remote.taken().is_empty());
    }
}
