//! Both forms of every answer, letter by letter.

use super::*;
use crate::config::Port;
use crate::console::status::StatusReport;

fn minutes(m: u64) -> Duration {
    Duration::from_secs(m * 60)
}

fn wall() -> WallTime {
    WallTime::from_unix_seconds(975_320_363)
}

fn status() -> StatusReport {
    StatusReport {
        version: "0.1.0".to_owned(),
        name: Some("abc.com".to_owned()),
        uptime: minutes(75),
        time: wall(),
        smtp: Port::On(25),
        sessions_in: 3,
        sessions_out: 1,
        domains_up: 2,
        domains_pending: 1,
        queued: 4,
        oldest: Some(minutes(12)),
        accepted: 100,
        delivered: 95,
        bounced: 1,
        auth_failures: 2,
        syslog: None,
        memory_used_bytes: 3 << 20,
        memory_bound_bytes: 24 << 20,
        confinement: "user stagepost (998) with no capability".to_owned(),
        alarms: vec!["cde.com: address 10.0.0.8 is not up: link down".to_owned()],
    }
}

fn entry() -> QueueEntry {
    QueueEntry {
        id: "0D2K8M0001".to_owned(),
        domain: "bcd.com".to_owned(),
        from: Some("b1@bcd.com".to_owned()),
        recipients: vec![
            RecipientReport {
                address: "x1@xyz.com".to_owned(),
                state: RecipientState::Deferred,
                reply: Some(
                    "450 4.2.0 <x1@xyz.com>... Mailbox busy, please come again later \x1b[2J".to_owned(),
                ),
            },
            RecipientReport { address: "b2@bcd.com".to_owned(), state: RecipientState::Pending, reply: None },
        ],
        size_bytes: 2200,
        age: minutes(5),
        attempts: 3,
        next_attempt: Some(minutes(10)),
        held: false,
        reason: Some("xyz.com deferred it".to_owned()),
    }
}

#[test]
fn status_fits_one_screen() {
    let wanted = "\
stagepost  0.1.0
name       abc.com
up for     1h15m
time       2000-11-27T10:19:23Z
smtp       port 25, 3 sessions in, 1 out
domains    2 up, 1 pending
queue      4 waiting, the oldest for 12m
mail       100 accepted, 95 delivered, 1 bounced
auth       2 failures
memory     3M of 24M
confined   user stagepost (998) with no capability
ALARM      cde.com: address 10.0.0.8 is not up: link down
";
    assert_eq!(Report::Status(status()).text(80), wanted);
    let json = concat!(
        r#"{"version":"0.1.0","name":"abc.com","uptime_s":4500,"time":"2000-11-27T10:19:23Z","smtp_port":25,"#,
        r#""sessions_in":3,"sessions_out":1,"domains_up":2,"domains_pending":1,"queued":4,"oldest_s":720,"#,
        r#""accepted":100,"delivered":95,"bounced":1,"auth_failures":2,"syslog":null,"#,
        r#""memory_used_bytes":3145728,"memory_bound_bytes":25165824,"#,
        r#""confinement":"user stagepost (998) with no capability","#,
        r#""alarms":["cde.com: address 10.0.0.8 is not up: link down"]}"#,
        "\n"
    );
    assert_eq!(Report::Status(status()).json(), json);
}

#[test]
fn domains_tell_which_address_waits_and_why() {
    let report = Report::Domains(vec![DomainReport {
        name: "bcd.com".to_owned(),
        addresses: vec![
            AddressReport { address: "192.0.2.70".to_owned(), state: AddressState::Up },
            AddressReport {
                address: "2001:db8::70".to_owned(),
                state: AddressState::Pending("not on eth0: permission denied".to_owned()),
            },
        ],
        ehlo: "bcd.com".to_owned(),
        certificate: Some("AB:CD".to_owned()),
        held: false,
        queued: 0,
        oldest: None,
        last_reply: Some("250 ok".to_owned()),
    }]);
    let wanted = "\
bcd.com
  address      192.0.2.70 up
  address      2001:db8::70 pending: not on eth0: permission denied
  ehlo         bcd.com
  certificate  AB:CD
  queue        0
  last reply   250 ok
";
    assert_eq!(report.text(80), wanted);
    let json = concat!(
        r#"{"domains":[{"name":"bcd.com","addresses":[{"address":"192.0.2.70","state":"up","reason":null},"#,
        r#"{"address":"2001:db8::70","state":"pending","reason":"not on eth0: permission denied"}],"#,
        r#""ehlo":"bcd.com","certificate_sha256":"AB:CD","held":false,"queued":0,"oldest_s":null,"last_reply":"250 ok"}]}"#,
        "\n"
    );
    assert_eq!(report.json(), json);
}

#[test]
fn the_queue_says_why_mail_waits() {
    let report = Report::Queue(vec![entry()]);
    let wanted = "\
0D2K8M0001  bcd.com  2.1K  5m old  tried 3  next in 10m
  from b1@bcd.com
  to x1@xyz.com  deferred: 450 4.2.0 <x1@xyz.com>... Mailbox busy, please come
    again later ?[2J
  to b2@bcd.com  pending
  xyz.com deferred it
";
    assert_eq!(report.text(80), wanted);
    let json = concat!(
        r#"{"queue":[{"id":"0D2K8M0001","domain":"bcd.com","from":"b1@bcd.com","recipients":["#,
        r#"{"address":"x1@xyz.com","state":"deferred","#,
        r#""reply":"450 4.2.0 <x1@xyz.com>... Mailbox busy, please come again later \u001b[2J"},"#,
        r#"{"address":"b2@bcd.com","state":"pending","reply":null}],"size_bytes":2200,"age_s":300,"#,
        r#""attempts":3,"next_attempt_s":600,"held":false,"reason":"xyz.com deferred it"}]}"#,
        "\n"
    );
    assert_eq!(report.json(), json);
    assert_eq!(Report::Queue(vec![]).text(80), "no mail waits\n");
    assert_eq!(Report::Queue(vec![]).json(), "{\"queue\":[]}\n");
}

#[test]
fn a_message_begins_with_its_from_line() {
    let held = QueueEntry { from: None, recipients: vec![], held: true, reason: None, ..entry() };
    let report = Report::Message(MessageReport {
        entry: held,
        from_line: "From b1@bcd.com Mon Nov 27 10:19:23 2000".to_owned(),
        arrived: wall(),
        headers_bytes: 180,
        last_reply: None,
    });
    let wanted = "\
From b1@bcd.com Mon Nov 27 10:19:23 2000
0D2K8M0001  bcd.com  2.1K  5m old  tried 3  held
  from <>
  arrived     Mon, 27 Nov 2000 10:19:23 +0000
  header      180 bytes
  last reply  -
";
    assert_eq!(report.text(80), wanted);
    let json = concat!(
        r#"{"id":"0D2K8M0001","domain":"bcd.com","from":"","recipients":[],"size_bytes":2200,"age_s":300,"#,
        r#""attempts":3,"next_attempt_s":600,"held":true,"reason":null,"#,
        r#""from_line":"From b1@bcd.com Mon Nov 27 10:19:23 2000","arrived":"2000-11-27T10:19:23Z","#,
        r#""headers_bytes":180,"last_reply":null}"#,
        "\n"
    );
    assert_eq!(report.json(), json);
}

#[test]
fn memory_is_added_up() {
    let part =
        |name: &str, used_bytes, bound_bytes| MemoryPart { name: name.to_owned(), used_bytes, bound_bytes };
    let parts = vec![part("sessions", 2048, 10 << 20), part("queue", 100, 2 << 20)];
    let machine = Some(MachineMemory { bytes: 64 << 20, available_bytes: 44 << 20 });
    let report =
        Report::Memory(MemoryReport { sessions_max: 75, parts, resident_bytes: Some(5 << 20), machine });
    let wanted = "\
what      used  bound
sessions    2K    10M
queue      100     2M
sum         2K    12M
at most 75 clients come in at once
the process takes 5M
the machine has 64M, of which 44M are to be had
";
    assert_eq!(report.text(80), wanted);
    let json = concat!(
        r#"{"parts":[{"name":"sessions","used_bytes":2048,"bound_bytes":10485760},"#,
        r#"{"name":"queue","used_bytes":100,"bound_bytes":2097152}],"#,
        r#""used_bytes":2148,"bound_bytes":12582912,"resident_bytes":5242880,"#,
        r#""machine_bytes":67108864,"machine_available_bytes":46137344,"sessions_max":75}"#,
        "\n"
    );
    assert_eq!(report.json(), json);
}

#[test]
fn small_answers_have_both_forms_too() {
    let log = LogLine { time: wall(), level: "warn", text: "Host abc.com claimed to be bcd.com".to_owned() };
    let help = HelpLine { form: "show log [N]".to_owned(), help: "the newest lines".to_owned() };
    for (report, text, json) in [
        (
            Report::Log(vec![log]),
            "2000-11-27T10:19:23Z warn: Host abc.com claimed to be bcd.com\n",
            r#"{"lines":[{"time":"2000-11-27T10:19:23Z","level":"warn","text":"Host abc.com claimed to be bcd.com"}]}"#,
        ),
        (
            Report::Config(vec!["box name abc.com".to_owned()]),
            "box name abc.com\n",
            r#"{"statements":["box name abc.com"]}"#,
        ),
        (
            Report::Help(vec![help]),
            "show log [N]  the newest lines\n",
            r#"{"help":[{"form":"show log [N]","help":"the newest lines"}]}"#,
        ),
        (Report::Touched { messages: 1 }, "1 message\n", r#"{"messages":1}"#),
        (Report::Touched { messages: 2 }, "2 messages\n", r#"{"messages":2}"#),
        (Report::Done("saved".to_owned()), "saved\n", r#"{"done":"saved"}"#),
    ] {
        assert_eq!(report.text(80), text);
        assert_eq!(report.json(), format!("{json}\n"));
    }
    assert_eq!(error_json("no \"such\" mail"), "{\"error\":\"no \\\"such\\\" mail\"}\n");
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let long = QueueEntry { reason: Some("x".repeat(500)), domain: "d".repeat(200), ..entry() };
    for width in [20, 40, 80, 132] {
        for line in Report::Queue(vec![long.clone()]).text(width).lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}
