use proptest::prelude::*;

use super::*;
use crate::mail::QueueId;
use crate::mail::received::Protocol;
use crate::time::WallTime;

const FIGURE_2A: &str = "Date: Mon, 27 Nov 00 10:18:52\r\n\
    From: \"Bob Smith\" <b1@bcd.com>\r\n\
    To: x1@xyz.com, b2\r\n\
    Subject: Test Message 2\r\n\
    \r\n\
    This message is a test. The end.\r\n";

const TRACE: &str = "Received: from bcd.com (bcd.com [216.122.95.70])\r\n\
    \tby bcd.com (Stagepost) with ESMTP id 00000AQKFF\r\n\
    \tfor <x1@xyz.com>;\r\n\
    \tMon, 27 Nov 2000 10:21:46 +0000\r\n";

struct Scene {
    bcd: Domain,
    x1: Address,
    b1: ReversePath,
}

impl Scene {
    fn new() -> Self {
        Scene {
            bcd: Domain::parse("bcd.com").unwrap(),
            x1: Address::parse("x1@xyz.com").unwrap(),
            b1: ReversePath::Address(Address::parse("b1@bcd.com").unwrap()),
        }
    }

    fn facts(&self) -> Facts<'_> {
        let submitter = Submitter::Smtp {
            claimed: "bcd.com",
            verified: Some(&self.bcd),
            ip: "216.122.95.70".parse().unwrap(),
            protocol: Protocol { extended: true, ..Protocol::default() },
        };
        let trace = Trace {
            our_name: &self.bcd,
            id: QueueId::from_u64(0xABCDEF).unwrap(),
            now: WallTime::from_unix_seconds(975_320_506),
            submitter,
            recipient_for: Some(&self.x1),
        };
        Facts {
            trace,
            domain: &self.bcd,
            reverse_path: &self.b1,
            unique: 0x4B0213D,
            drop_bcc: false,
            full_name: None,
            tolerant: false,
        }
    }
}

fn composed(start: &str, facts: &Facts<'_>) -> String {
    String::from_utf8(compose(start.as_bytes(), facts).unwrap().head).unwrap()
}

#[test]
fn figure_2a_goes_in_and_figure_2b_comes_out() {
    let scene = Scene::new();
    let expected = [
        TRACE,
        "Message-Id: <00000AQKFF.00000002B089X@bcd.com>\r\n",
        &FIGURE_2A.replace("x1@xyz.com, b2", "x1@xyz.com, b2@bcd.com"),
    ];
    assert_eq!(composed(FIGURE_2A, &scene.facts()), expected.concat());
}

#[test]
fn composing_again_adds_a_trace_line_and_nothing_else() {
    let scene = Scene::new();
    let once = composed(FIGURE_2A, &scene.facts());
    assert_eq!(composed(&once, &scene.facts()), format!("{TRACE}{once}"));
}

#[test]
fn mail_that_passes_gets_a_trace_line_and_nothing_else() {
    let scene = Scene::new();
    let passed = |start: &str| {
        let passed = pass(start.as_bytes(), &scene.facts().trace).unwrap();
        String::from_utf8(passed.head).unwrap()
    };
    for (caption, start) in [
        ("Figure 2A", FIGURE_2A),
        ("no body", "Subject: x\r\n"),
        ("no header", "\r\ntext\r\n"),
        ("a line that is no field", "Subject: x\r\ntext\r\n\r\nmore\r\n"),
        ("nothing", ""),
    ] {
        assert_eq!(passed(start), format!("{TRACE}{start}"), "{caption}");
    }
    assert_eq!(passed(" text\r\n"), format!("{TRACE}\r\n text\r\n"), "text that would continue our line");
    assert_eq!(
        passed("From b1@bcd.com Mon Nov 27 10:19:23 2000\r\nSubject: x\r\n\r\n"),
        format!("{TRACE}Subject: x\r\n\r\n"),
        "a mailbox file's line"
    );
}

/// The result without the trace line.
fn mended(start: &str, facts: &Facts<'_>) -> String {
    composed(start, facts).strip_prefix(TRACE).expect("the trace line is on top").to_owned()
}

const MESSAGE_ID: &str = "Message-Id: <00000AQKFF.00000002B089X@bcd.com>\r\n";
const DATE: &str = "Date: Mon, 27 Nov 2000 10:21:46 +0000\r\n";
const FROM: &str = "From: b1@bcd.com\r\n";

#[test]
fn what_is_missing_is_added_once() {
    let scene = Scene::new();
    let full = "Message-Id: <a@b>\r\nDate: x\r\nFrom: b1@bcd.com\r\n";
    for (caption, start, added, rest) in [
        ("nothing at all", "", [MESSAGE_ID, DATE, FROM].concat(), "\r\n"),
        ("only an empty line", "\r\n", [MESSAGE_ID, DATE, FROM].concat(), "\r\n"),
        ("no header", "text\r\n", [MESSAGE_ID, DATE, FROM].concat(), "\r\ntext\r\n"),
        ("no header, a colon later", "a b: text\r\n", [MESSAGE_ID, DATE, FROM].concat(), "\r\na b: text\r\n"),
        ("no body", "Subject: x\r\n", [MESSAGE_ID, DATE, FROM].concat(), "Subject: x\r\n\r\n"),
        ("no final newline", "Subject: x", [MESSAGE_ID, DATE, FROM].concat(), "Subject: x\r\n\r\n"),
        (
            "names in any case",
            "DATE: x\r\nfrom: b1@bcd.com\r\n\r\n",
            MESSAGE_ID.into(),
            "DATE: x\r\nfrom: b1@bcd.com\r\n\r\n",
        ),
        (
            "empty fields",
            "Date:\r\nFrom: \r\n\t\r\nMessage-Id:  \r\nTo: x1@xyz.com\r\n\r\n",
            [MESSAGE_ID, DATE, FROM].concat(),
            "To: x1@xyz.com\r\n\r\n",
        ),
    ] {
        assert_eq!(mended(start, &scene.facts()), format!("{added}{rest}"), "{caption}");
    }
    for (caption, start, expected) in [
        ("a space before the colon", "To : b2\r\n\r\n", "To : b2@bcd.com\r\n\r\n"),
        ("duplicate From", "From: b2\r\n\r\n", "From: b2@bcd.com\r\n\r\n"),
        ("8-bit bytes", "Subject: J\u{f6}rg\r\n\r\nJ\u{f6}rg", "Subject: J\u{f6}rg\r\n\r\nJ\u{f6}rg"),
        ("a line that is no field", "Subject: x\r\ntext\r\n\r\nmore", "Subject: x\r\n\r\ntext\r\n\r\nmore"),
        ("a space before the empty line", "Subject: x\r\n \r\n\r\n", "Subject: x\r\n \r\n\r\n"),
        ("a bare LF", "Subject: x\n\r\n\r\n", "Subject: x\n\r\n\r\n"),
        ("Bcc is kept", "Bcc: b2\r\n\r\n", "Bcc: b2@bcd.com\r\n\r\n"),
    ] {
        assert_eq!(
            mended(&format!("{full}{start}"), &scene.facts()),
            format!("{full}{expected}"),
            "{caption}"
        );
    }
}

#[test]
fn sendmail_t_drops_the_blind_copies_and_gives_a_full_name() {
    let scene = Scene::new();
    let start = "To: x1@xyz.com\r\nBCC: b2,\r\n b3\r\nResent-Bcc: b4\r\nSubject: x\r\n\r\n";
    let facts = Facts { drop_bcc: true, full_name: Some("Bob \"B\" Smith"), ..scene.facts() };
    let expected = [
        MESSAGE_ID,
        DATE,
        "From: \"Bob \\\"B\\\" Smith\"\r\n <b1@bcd.com>\r\nTo: x1@xyz.com\r\nSubject: x\r\n\r\n",
    ];
    assert_eq!(mended(start, &facts), expected.concat());
}

#[test]
fn without_a_reverse_path_the_user_is_the_sender() {
    let scene = Scene::new();
    for (user, from) in [("b2", "From: b2@bcd.com\r\n"), ("b 2", "From: MAILER-DAEMON@bcd.com\r\n")] {
        let trace = Trace { submitter: Submitter::Local { user }, ..scene.facts().trace };
        let facts = Facts { trace, reverse_path: &ReversePath::Null, ..scene.facts() };
        assert!(composed("", &facts).contains(from), "{user}");
    }
}

#[test]
fn a_message_that_runs_in_a_circle_is_refused() {
    let scene = Scene::new();
    let round = |times: usize| "Received: from a by b; now\r\n".repeat(times) + "\r\n";
    assert!(compose(round(RECEIVED_FIELDS_MAX).as_bytes(), &scene.facts()).is_ok());
    let circle = round(RECEIVED_FIELDS_MAX + 1);
    assert_eq!(compose(circle.as_bytes(), &scene.facts()), Err(ComposeError::Loop));
    assert_eq!(pass(circle.as_bytes(), &scene.facts().trace), Err(ComposeError::Loop));
    assert!(ComposeError::Loop.to_string().starts_with("554 5.4.6 "));
}

#[test]
fn completing_cannot_blow_a_header_up() {
    let scene = Scene::new();
    let many = format!("To: {}\r\n\r\n", "b,".repeat(100_000));
    assert_eq!(compose(many.as_bytes(), &scene.facts()), Err(ComposeError::TooLong));
}

#[test]
fn the_lines_of_final_delivery() {
    let scene = Scene::new();
    let now = WallTime::from_unix_seconds(975_320_363);
    assert_eq!(mailbox_line(&scene.b1, now), "From b1@bcd.com Mon Nov 27 10:19:23 2000");
    assert_eq!(mailbox_line(&ReversePath::Null, now), "From MAILER-DAEMON Mon Nov 27 10:19:23 2000");
    let head = delivery_head(&ReversePath::Null, &scene.x1);
    assert_eq!(head, "Return-Path: <>\r\nDelivered-To: x1@xyz.com\r\n");
}

#[test]
fn what_an_old_device_did_not_declare_is_declared() {
    let scene = Scene::new();
    let facts = Facts { tolerant: true, ..scene.facts() };
    let given = [MESSAGE_ID, DATE, FROM].concat();
    let mime = |charset: &str| {
        format!(
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n"
        )
    };
    for (caption, start, expected) in [
        (
            "text in UTF-8",
            "Subject: Übersicht\r\n\r\nö\r\n",
            mime("utf-8") + "Subject: =?utf-8?B?w5xiZXJzaWNodA==?=\r\n\r\nö\r\n",
        ),
        (
            "an address is mended and completed",
            "To: Jörg <b2>\r\n\r\n",
            mime("utf-8") + "To: =?utf-8?B?SsO2cmc=?= <b2@bcd.com>\r\n\r\n",
        ),
        (
            "MIME is left alone",
            "MIME-Version: 1.0\r\nX: y\r\n\r\nö\r\n",
            "MIME-Version: 1.0\r\nX: y\r\n\r\nö\r\n".to_owned(),
        ),
    ] {
        assert_eq!(mended(start, &facts), format!("{given}{expected}"), "{caption}");
    }
    let latin = compose(b"X: y\r\n\r\n\xf6\r\n", &facts).unwrap().head;
    let expected = [TRACE, &given, &mime("iso-8859-1"), "X: y\r\n\r\n"].concat();
    assert_eq!(latin, [expected.as_bytes(), b"\xf6\r\n"].concat());
}

/// A message of likely and unlikely pieces, then a body.
fn message_like() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "(To|From|cc|Bcc|Date|Message-Id|Subject|X) ?: ?[b2@,;:<>() \"x.ö]{0,20}(\r\n [b2,]{1,5})?\r\n"
            .prop_map(String::into_bytes),
        Just(b"\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..30),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_is_handed_in_keeps_its_body_and_its_fields(start in message_like()) {
        let scene = Scene::new();
        let composed = compose(&start, &scene.facts()).unwrap().head;
        let (old, new) = (Section::of(&start), Section::of(&composed));
        prop_assert_eq!(new.end, End::EmptyLine);
        prop_assert_eq!(&composed[new.body_start..], &start[old.body_start..]);
        let untouched = |section: &Section<'_>| -> Vec<Vec<u8>> {
            let kept = |f: &Field<'_>| f.is_named("Subject") || f.is_named("X");
            section.fields().filter(kept).map(|field| field.raw.trim_ascii_end().to_vec()).collect()
        };
        prop_assert_eq!(untouched(&new), untouched(&old));
        for name in ["Message-Id", "Date", "From"] {
            prop_assert!(present(&new, name).is_some(), "{} is missing", name);
        }
        prop_assert!(composed.len() < start.len() * 9 + 1000);
    }

    #[test]
    fn whatever_is_composed_is_complete(start in message_like()) {
        let scene = Scene::new();
        let once = compose(&start, &scene.facts()).unwrap().head;
        let twice = compose(&once, &scene.facts()).unwrap().head;
        prop_assert_eq!(twice, [TRACE.as_bytes(), &once].concat());
    }

    #[test]
    fn whatever_an_old_device_sends_keeps_its_body(start in message_like()) {
        let scene = Scene::new();
        let composed = compose(&start, &Facts { tolerant: true, ..scene.facts() }).unwrap().head;
        let (old, new) = (Section::of(&start), Section::of(&composed));
        prop_assert_eq!(&composed[new.body_start..], &start[old.body_start..]);
        prop_assert!(new.fields().all(|field| holds_addresses(&field) || field.raw.is_ascii()));
    }

    #[test]
    fn whatever_passes_stays_as_it_is(start in message_like()) {
        let scene = Scene::new();
        let passed = pass(&start, &scene.facts().trace).unwrap().head;
        prop_assert!(passed.starts_with(TRACE.as_bytes()));
        let (old, new) = (Section::of(&start), Section::of(&passed));
        prop_assert_eq!(&passed[new.body_start..], &start[old.body_start..]);
        prop_assert!(new.as_bytes().ends_with(old.as_bytes()));
    }
}
