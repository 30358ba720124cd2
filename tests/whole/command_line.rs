//! The commands of the binary as scripts meet them: exit codes, `check`'s lines, `sendmail`'s sysexits, the
//! console's words and its JSON keys.

use std::time::Duration;

use serde_json::Value;

use crate::lab::{BCD, Dialogue, PATIENCE, Remote, Reply, Stagepost, XYZ, run_binary, until, until_true};
use crate::world::{BOTH, MESSAGE_2A, note, two_domains, world};

fn scratch(name: &str, text: &str) -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("stagepost-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn exit_codes_tell_what_happened() {
    let nowhere = "/dev/null/data";
    for (args, code) in [
        (&["version"][..], 0),
        (&["help"], 0),
        (&[], 2),
        (&["sing"], 2),
        (&["check"], 2),
        (&["check", "/nonexistent/config"], 1),
        (&["console", "--data", nowhere, "show", "status"], 1),
        (&["sendmail", "--data", nowhere, "x1@xyz.com"], 75),
        (&["sendmail", "--data", nowhere], 64),
        (&["sendmail", "-Z", "x1@xyz.com"], 64),
        (&["run", "--data", nowhere], 1),
    ] {
        let outcome = run_binary(args, "");
        assert_eq!(outcome.code, code, "{args:?}: {outcome:?}");
        assert_eq!(outcome.err.is_empty(), code == 0, "{args:?}: {outcome:?}");
    }
    assert!(run_binary(&["version"], "").out.starts_with("stagepost "));
}

#[test]
fn check_tells_each_fault_with_its_line() {
    let good = scratch("good", &two_domains());
    let outcome = run_binary(&["check", good.to_str().unwrap()], "");
    assert_eq!((outcome.code, outcome.out.as_str(), outcome.err.as_str()), (0, "", ""));
    for (caption, text, lines) in [
        ("an unknown statement", "# a comment\n\nbox colour red\n", &[3][..]),
        ("two faults", "box name -bad-\ndomain bcd.com address 203.0.113.70\nbox port smtp 99999\n", &[1, 3]),
        ("one address twice", "domain a.com address 203.0.113.1\ndomain b.com address 203.0.113.1\n", &[2]),
        ("a missing LEN", "box interface eth0\ndomain a.com address 203.0.113.1\n", &[2]),
        ("a bad EHLO name", "domain a.com address 203.0.113.1\ndomain a.com ehlo under_score\n", &[2]),
        (
            "a route to itself",
            "domain a.com address 203.0.113.1\ndomain a.com route default 203.0.113.1\n",
            &[2],
        ),
        ("a domain without address", "box name abc.com\ndomain a.com mailbox a1\n", &[2]),
    ] {
        let file = scratch("bad", text);
        let file = file.to_str().unwrap();
        let outcome = run_binary(&["check", file], "");
        assert_eq!(outcome.code, 1, "{caption}: {outcome:?}");
        let told: Vec<&str> = outcome.err.lines().chain(outcome.out.lines()).collect();
        let wanted: Vec<String> = lines.iter().map(|n| format!("{file}:{n}: ")).collect();
        assert_eq!(told.len(), wanted.len(), "{caption}: {told:?}");
        for (line, start) in told.iter().zip(&wanted) {
            assert!(line.starts_with(start) && line.len() > start.len() + 10, "{caption}: {line}");
        }
    }
}

#[test]
fn sendmail_exits_as_sysexits_say() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let mut stagepost = Stagepost::start(&world.device, &two_domains());
    for (caption, args, text, code) in [
        ("plain", &["-i", "-f", "b1@bcd.com", "x1@xyz.com"][..], "Subject: a\n\nb\n", 0),
        ("recipients of the header", &["-t", "-f", "b1@bcd.com"], "To: x1@xyz.com\n\nb\n", 0),
        (
            "as usual among mail programs",
            &["-oi", "-oem", "-t", "-f", "b1@bcd.com"],
            "To: x1@xyz.com\n\nb\n",
            0,
        ),
        ("no recipient at all", &["-t", "-f", "b1@bcd.com"], "Subject: a\n\nb\n", 64),
        ("a broken recipient", &["-f", "b1@bcd.com", "x1@@xyz.com"], "Subject: a\n\nb\n", 65),
        ("no such user here", &["-f", "b1@bcd.com", "b9@bcd.com"], "Subject: a\n\nb\n", 67),
        ("not our sender", &["-f", "x1@xyz.com", "x1@xyz.com"], "Subject: a\n\nb\n", 77),
    ] {
        let outcome = stagepost.sendmail(args, text);
        assert_eq!(outcome.code, code, "{caption}: {outcome:?}");
    }
    remote.await_taken(3);
    assert_eq!(stagepost.stop(), Some(0));
    let outcome = stagepost.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], "Subject: a\n\nb\n");
    assert_eq!(outcome.code, 75, "{outcome:?}");
}

#[test]
fn sendmail_completes_the_message() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let text = "To: x1@xyz.com\nBcc: x2@xyz.com,\n x3@xyz.com\nSubject: a\n\n.\nafter the dot\n";
    let outcome = stagepost.sendmail(&["-t", "-i", "-f", "b1@bcd.com", "-F", "Bob Smith"], text);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let taken = remote.await_taken(1).remove(0);
    let mut recipients = taken.recipients.clone();
    recipients.sort();
    assert_eq!(recipients, ["x1@xyz.com", "x2@xyz.com", "x3@xyz.com"]);
    let message = taken.message;
    assert!(message.fields("Bcc").is_empty(), "{}", message.raw);
    assert_eq!(message.field("From"), "\"Bob Smith\" <b1@bcd.com>");
    assert!(message.field("Message-Id").ends_with("@bcd.com>"));
    assert!(!message.field("Date").is_empty());
    assert_eq!(message.body(), ".\nafter the dot\n");
    let outcome = stagepost.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], "Subject: b\n\none\n.\ntwo\n");
    assert_eq!(outcome.code, 0);
    assert_eq!(remote.await_taken(2).remove(1).message.body(), "one\n");
}

#[test]
fn sendmail_v_prints_the_exchange_of_figure_3a() {
    let Some(world) = world(BOTH) else { return };
    let _remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let outcome = stagepost.sendmail(&["-v", "-t", "-i", "-f", "b1@bcd.com"], MESSAGE_2A);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let mut rest = outcome.out.as_str();
    for line in [
        "220 xyz.com ESMTP",
        ">>> EHLO bcd.com",
        "250-xyz.com",
        ">>> MAIL FROM:<b1@bcd.com>",
        "250 2.1.0 Sender ok",
        ">>> RCPT TO:<x1@xyz.com>",
        "250 2.1.5 Recipient ok",
        ">>> DATA",
        "354 Enter mail",
        ">>> .",
        "250 2.0.0 GAA20115 Message accepted for delivery",
        "x1@xyz.com... Sent (",
    ] {
        let at = rest.to_ascii_uppercase().find(&line.to_ascii_uppercase());
        rest = &rest[at.unwrap_or_else(|| panic!("{line:?} is missing in\n{}", outcome.out))..];
    }
}

#[test]
fn the_console_sends_and_shows_the_exchange() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let outcome =
        stagepost.console_with(&["send", "b1@bcd.com", "x1@xyz.com", "Test", "Message", "2"], "one\n..\n.\n");
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(
        outcome.out.contains(">>> EHLO bcd.com") && outcome.out.contains("x1@xyz.com... Sent ("),
        "{}",
        outcome.out
    );
    let taken = remote.await_taken(1).remove(0);
    assert_eq!((taken.client.to_string().as_str(), taken.sender.as_str()), (BCD, "b1@bcd.com"));
    assert_eq!(taken.message.subject(), "Test Message 2");
}

/// The keys of a JSON object, in order.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect()
}

#[test]
fn json_answers_keep_their_keys() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |line| match line {
        "." => Reply::Say("451 4.3.0 come back later"),
        _ => Reply::Usual,
    });
    let stagepost = Stagepost::start(&world.device, &two_domains());
    assert_eq!(stagepost.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], "Subject: a\n\nb\n").code, 0);
    remote.await_heard(".", 1);
    let entry = until("the reply is in the queue", PATIENCE, || {
        let queue = stagepost.console(&["show", "queue"]);
        Some(queue["queue"][0].clone()).filter(|e| e["recipients"][0]["reply"].is_string())
    });
    let queue_keys = [
        "id",
        "domain",
        "from",
        "recipients",
        "size_bytes",
        "age_s",
        "attempts",
        "next_attempt_s",
        "held",
        "reason",
    ];
    for key in queue_keys {
        assert!(keys(&entry).contains(&key), "{key}: {entry}");
    }
    assert_eq!((&entry["domain"], &entry["from"]), (&"bcd.com".into(), &"b1@bcd.com".into()));
    assert_eq!(entry["recipients"][0]["address"], "x1@xyz.com");
    assert_eq!(entry["recipients"][0]["state"], "deferred");
    assert!(entry["recipients"][0]["reply"].as_str().unwrap().contains("come back later"), "{entry}");
    let id = entry["id"].as_str().unwrap();
    let message = stagepost.console(&["show", "message", id]);
    assert!(message["from_line"].as_str().unwrap().starts_with("From b1@bcd.com "), "{message}");
    let status = stagepost.console(&["show", "status"]);
    for key in [
        "version",
        "name",
        "uptime_s",
        "domains_up",
        "domains_pending",
        "queued",
        "oldest_s",
        "accepted",
        "delivered",
        "alarms",
    ] {
        assert!(keys(&status).contains(&key), "{key}: {status}");
    }
    assert_eq!((&status["name"], &status["queued"]), (&"abc.com".into(), &1.into()));
    let domains = stagepost.console(&["show", "domains"]);
    let bcd = &domains["domains"][1];
    assert_eq!(
        (&bcd["name"], &bcd["ehlo"], &bcd["queued"]),
        (&"bcd.com".into(), &"bcd.com".into(), &1.into())
    );
    assert_eq!((&bcd["addresses"][0]["address"], &bcd["addresses"][0]["state"]), (&BCD.into(), &"up".into()));
    assert!(bcd["last_reply"].as_str().unwrap().contains("come back later"), "{bcd}");
    assert!(stagepost.console(&["show", "log", "5"])["lines"].as_array().unwrap().len() <= 5);
    assert!(keys(&stagepost.console(&["show", "memory"])).contains(&"parts"));
    assert!(!stagepost.console(&["help"])["help"].as_array().unwrap().is_empty());
}

#[test]
fn the_console_refuses_with_a_reason() {
    let Some(world) = world(BOTH) else { return };
    let stagepost = Stagepost::start(&world.device, &two_domains());
    for words in [
        &["shew", "queue"][..],
        &["show"],
        &["show", "message", "0000000001"],
        &["queue", "retry", "nowhere.com"],
    ] {
        let outcome = stagepost.try_console(words);
        assert_eq!(outcome.code, 1, "{words:?}: {outcome:?}");
        assert!(outcome.err.len() > 10 && outcome.out.is_empty(), "{words:?}: {outcome:?}");
    }
    for words in [
        &["help"][..],
        &["show", "status"],
        &["show", "domains"],
        &["show", "queue"],
        &["show", "log"],
        &["show", "memory"],
    ] {
        assert!(!stagepost.console_text(words).is_empty(), "{words:?}");
    }
}

#[test]
fn the_queue_obeys_the_operator() {
    let Some(world) = world(BOTH) else { return };
    let config =
        two_domains() + "domain bcd.com retry first 1s max 1s expire 5d\ndomain bcd.com spool always\n";
    let stagepost = Stagepost::start(&world.device, &config);
    for subject in ["one", "two"] {
        let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
        dialogue.hand_over("b1@bcd.com", &["x1@xyz.com"], &note("b1@bcd.com", "x1@xyz.com", subject));
    }
    until_true("both wait", || stagepost.console(&["show", "status"])["queued"] == 2);
    assert_eq!(stagepost.console(&["queue", "hold", "bcd.com"])["messages"], 2);
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(remote.taken().len(), 0, "held mail stays");
    let queue = stagepost.console(&["show", "queue", "bcd.com"]);
    assert!(queue["queue"].as_array().unwrap().iter().all(|entry| entry["held"] == true), "{queue}");
    let first = queue["queue"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(stagepost.console(&["queue", "delete", &first])["messages"], 1);
    until_true("one waits", || stagepost.console(&["show", "status"])["queued"] == 1);
    assert_eq!(stagepost.console(&["queue", "release", "all"])["messages"], 1);
    stagepost.console(&["queue", "retry", "bcd.com"]);
    assert_eq!(remote.await_taken(1)[0].message.subject(), "two");
    until_true("none waits", || stagepost.console(&["show", "status"])["queued"] == 0);
}
