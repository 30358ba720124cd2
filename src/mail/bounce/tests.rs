use mailparse::{MailHeaderMap, ParsedMail, parse_mail};
use proptest::prelude::*;

use super::*;
use crate::mail::Notify;

const ORIGINAL: &str = "Received: from bcd.com by bcd.com; now\r\n\
    Message-Id: <3431121623.4B0213D@bcd.com>\r\n\
    From: \"Bob Smith\" <b1@bcd.com>\r\n\
    To: x1@xyz.com\r\n\
    Subject: Test Message 2\r\n\
    \r\n\
    This message is a test. The end.\r\n";

const REFUSED: Cause<'_> =
    Cause { status: "5.1.1", host: Some("xyz.com [192.0.2.25]"), text: "550 5.1.1 No such user" };
const TAKEN: Cause<'_> = Cause { status: "2.1.5", host: Some("mx.xyz.com"), text: "250 2.1.5 taken" };
const NO_DOMAIN: Cause<'_> =
    Cause { status: "5.1.2", host: None, text: "the domain xyz.com does not exist (NXDOMAIN)" };
const BUSY: Cause<'_> = Cause { status: "4.3.2", host: Some("xyz.com"), text: "421-come\n421 later" };

fn at(seconds: u64) -> WallTime {
    WallTime::from_unix_seconds(975_320_506 + seconds)
}

fn recipient(address: &str) -> Recipient {
    Recipient::plain(Address::parse(address).unwrap())
}

fn envelope() -> Envelope {
    Envelope::plain(ReversePath::Address(Address::parse("b1@bcd.com").unwrap()), [])
}

fn report_on(envelope: &Envelope, start: &[u8], outcomes: &[Outcome<'_>]) -> Option<Report> {
    let bcd = Domain::parse("bcd.com").unwrap();
    let id = |n| QueueId::from_u64(n).unwrap();
    let reporter = Reporter { our_name: &bcd, domain: &bcd, id: id(2), now: at(60), unique: 7 };
    let original = Original { envelope, id: id(1), arrived: at(0), start, whole: true };
    report(&reporter, &original, outcomes)
}

fn outcome<'a>(recipient: &'a Recipient, fate: Fate<'a>) -> Outcome<'a> {
    Outcome { recipient, fate, last_attempt: Some(at(50)) }
}

fn text(report: Option<Report>) -> String {
    String::from_utf8(report.expect("a report").message).unwrap()
}

const REPORT_HEAD: &str = "Message-Id: <0000000002.0000000000007@bcd.com>\r\n\
    Date: Mon, 27 Nov 2000 10:22:46 +0000\r\n\
    From: Mail Delivery System <MAILER-DAEMON@bcd.com>\r\n\
    To: <b1@bcd.com>\r\n\
    Subject: Not delivered: your mail to x1@xyz.com\r\n\
    References: <3431121623.4B0213D@bcd.com>\r\n\
    Auto-Submitted: auto-replied\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/report; report-type=delivery-status;\r\n\
    \tboundary=\"=0000000002=0000000000007=0\"\r\n\
    \r\n";

const REPORT_BODY: &str = "--=0000000002=0000000000007=0\r\n\
    Content-Description: Notification\r\n\
    Content-Type: text/plain; charset=us-ascii\r\n\
    \r\n\
    This is the mail system of bcd.com. It writes about your mail\r\n    \
        Subject: Test Message 2\r\n    \
        Handed in: Mon, 27 Nov 2000 10:21:46 +0000\r\n\
    \r\n\
    It could NOT be delivered to the following address, and will not be tried\r\n\
    again:\r\n\
    \r\n  \
      <x1@xyz.com>\r\n    \
        The host xyz.com [192.0.2.25] said:\r\n      \
          550 5.1.1 No such user\r\n    \
        The address does not exist there. Look for a typing error, or ask for\r\n    \
        the right address.\r\n\
    \r\n\
    Below this text are a report for mail programs and the header of your mail.\r\n\
    \r\n\
    --=0000000002=0000000000007=0\r\n\
    Content-Description: Delivery report\r\n\
    Content-Type: message/delivery-status\r\n\
    \r\n\
    Reporting-MTA: dns; bcd.com\r\n\
    X-Stagepost-Id: 0000000001\r\n\
    Arrival-Date: Mon, 27 Nov 2000 10:21:46 +0000\r\n\
    \r\n\
    Final-Recipient: rfc822; x1@xyz.com\r\n\
    Action: failed\r\n\
    Status: 5.1.1\r\n\
    Remote-MTA: dns; xyz.com [192.0.2.25]\r\n\
    Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n\
    Last-Attempt-Date: Mon, 27 Nov 2000 10:22:36 +0000\r\n\
    \r\n\
    --=0000000002=0000000000007=0\r\n\
    Content-Description: Your message's header\r\n\
    Content-Type: text/rfc822-headers\r\n\
    \r\n";

#[test]
fn a_refusal_is_reported_in_three_parts() {
    let x1 = recipient("x1@xyz.com");
    let report = text(report_on(&envelope(), ORIGINAL.as_bytes(), &[outcome(&x1, Fate::Failed(REFUSED))]));
    let (header, _) = ORIGINAL.split_once("\r\n\r\n").unwrap();
    let end = "\r\n\r\n--=0000000002=0000000000007=0--\r\n";
    assert_eq!(report, [REPORT_HEAD, REPORT_BODY, header, end].concat());
}

#[test]
fn nobody_hears_of_mail_from_the_null_path() {
    let x1 = recipient("x1@xyz.com");
    let from_nobody = Envelope { reverse_path: ReversePath::Null, ..envelope() };
    assert_eq!(report_on(&from_nobody, b"", &[outcome(&x1, Fate::Failed(REFUSED))]), None);
    assert_eq!(report_on(&envelope(), b"", &[]), None);
}

#[test]
fn the_sender_hears_of_what_he_asked_for() {
    let ask = |success, failure, delay| Some(Notify { success, failure, delay });
    for (caption, notify, failure, delay, success) in [
        ("not said", None, true, true, false),
        ("NEVER", Some(Notify::NEVER), false, false, false),
        ("SUCCESS", ask(true, false, false), false, false, true),
        ("FAILURE", ask(false, true, false), true, false, false),
        ("DELAY", ask(false, false, true), false, true, false),
    ] {
        let x1 = Recipient { notify, ..recipient("x1@xyz.com") };
        for (fate, wanted) in [
            (Fate::Failed(REFUSED), failure),
            (Fate::Expired(BUSY), failure),
            (Fate::Delayed { cause: BUSY, retry_until: at(500) }, delay),
            (Fate::Delivered, success),
            (Fate::Relayed(TAKEN), success),
        ] {
            let report = report_on(&envelope(), b"", &[outcome(&x1, fate.clone())]);
            assert_eq!(report.is_some(), wanted, "{caption} {fate:?}");
        }
    }
}

#[test]
fn each_fate_has_its_words_and_its_fields() {
    let x1 = Recipient {
        notify: Some(Notify { success: true, failure: true, delay: true }),
        ..recipient("x1@xyz.com")
    };
    for (fate, lines) in [
        (
            Fate::Delayed { cause: BUSY, retry_until: at(500) },
            vec![
                "Subject: Not delivered yet: your mail to x1@xyz.com",
                "421-come 421 later",
                "It will be tried again until Mon, 27 Nov 2000 10:30:06 +0000; then you",
                "Action: delayed",
                "Status: 4.3.2",
                "Will-Retry-Until: Mon, 27 Nov 2000 10:30:06 +0000",
            ],
        ),
        (
            Fate::Expired(BUSY),
            vec!["It has been tried for as long as is sensible.", "Action: failed", "Status: 4.3.2"],
        ),
        (
            Fate::Failed(NO_DOMAIN),
            vec![
                "The reason: the domain xyz.com does not exist (NXDOMAIN)",
                "What stands after the @ takes no mail.",
                "Diagnostic-Code: x-stagepost; the domain xyz.com does not exist (NXDOMAIN)",
            ],
        ),
        (Fate::Delivered, vec!["Subject: Delivered: your mail to", "Action: delivered", "Status: 2.0.0"]),
        (
            Fate::Relayed(TAKEN),
            vec![
                "The host mx.xyz.com has taken it",
                "Action: relayed",
                "Status: 2.1.5",
                "Remote-MTA: dns; mx.xyz.com",
                "Diagnostic-Code: smtp; 250 2.1.5 taken",
            ],
        ),
    ] {
        let report = text(report_on(&envelope(), ORIGINAL.as_bytes(), &[outcome(&x1, fate)]));
        for line in lines {
            assert!(report.contains(line), "{line:?} is not in {report}");
        }
    }
}

#[test]
fn a_status_that_does_not_fit_is_not_repeated() {
    for (status, reported) in [
        ("5.7.1", "5.7.1"),
        ("", "5.0.0"),
        ("4.7.1", "5.0.0"),
        ("5.7", "5.0.0"),
        ("5.7.1.1", "5.0.0"),
        ("5.7.1234", "5.0.0"),
        ("5.7.x", "5.0.0"),
    ] {
        assert_eq!(Fate::Failed(Cause { status, ..REFUSED }).status(), reported, "{status}");
    }
}

#[test]
fn what_the_sender_called_things_is_given_back() {
    let x1 = Recipient { orcpt: Some("rfc822;sales+2Bx@bcd.com".into()), ..recipient("x1@xyz.com") };
    let named = Envelope { envid: Some("QQ+3D314+0D+0AAction: x".into()), ..envelope() };
    let report = text(report_on(&named, b"", &[outcome(&x1, Fate::Failed(REFUSED))]));
    assert!(report.contains("\r\nOriginal-Recipient: rfc822; sales+x@bcd.com\r\n"), "{report}");
    assert!(report.contains("\r\nOriginal-Envelope-Id: QQ=314 Action: x\r\n"), "{report}");
}

#[test]
fn foreign_text_stays_in_its_place() {
    let x1 = recipient("x1@xyz.com");
    let nasty = "550 no\r\n\r\n--=0000000002=0000000000007=0\r\nAction: delivered\n\u{1b}[2J\u{202e}";
    let cause = Cause { status: "5.0.0", host: Some("evil\r\nAction: x"), text: nasty };
    let report = report_on(&envelope(), ORIGINAL.as_bytes(), &[outcome(&x1, Fate::Failed(cause))]).unwrap();
    let parsed = three_parts(&report.message);
    let status = parsed.subparts[1].get_body().unwrap();
    assert_eq!(status.matches("\r\nAction:").count(), 1, "{status}");
    assert!(parsed.ctype.params["boundary"].ends_with("=1"), "the text holds the first boundary");
    assert!(!report.message.contains(&0x1b));
}

#[test]
fn addresses_beyond_ascii_travel_in_seven_bits() {
    let joerg = recipient("jörg@xyz.com");
    let report =
        report_on(&envelope(), ORIGINAL.as_bytes(), &[outcome(&joerg, Fate::Failed(REFUSED))]).unwrap();
    assert!(report.message.is_ascii());
    assert_eq!(report.envelope.body, Body::SevenBit);
    let parsed = three_parts(&report.message);
    assert_eq!(
        parsed.headers.get_first_value("Subject").unwrap(),
        "Not delivered: your mail to jörg@xyz.com"
    );
    assert!(parsed.subparts[0].get_body().unwrap().contains("<jörg@xyz.com>"));
    let status = parsed.subparts[1].get_body().unwrap();
    assert!(status.contains("Final-Recipient: utf-8; j\\x{F6}rg@xyz.com"), "{status}");
}

#[test]
fn a_header_in_utf8_comes_back_as_such_in_seven_bits() {
    let x1 = recipient("x1@xyz.com");
    let full = Envelope { ret: Some(Ret::Full), ..envelope() };
    let (utf8, other) =
        ("Subject: Grüße\r\n\r\nGrüße\r\n".as_bytes(), &b"Subject: Gr\xfc\xdfe\r\n\r\nhi\r\n"[..]);
    for (caption, envelope, start, expected) in [
        ("header", &envelope(), utf8, "message/global-headers"),
        ("whole", &full, utf8, "message/global"),
        ("another charset", &envelope(), other, "text/rfc822-headers"),
    ] {
        let report = report_on(envelope, start, &[outcome(&x1, Fate::Failed(REFUSED))]).unwrap();
        assert!(report.message.is_ascii(), "{caption}");
        let parsed = three_parts(&report.message);
        assert_eq!(parsed.subparts[2].ctype.mimetype, expected, "{caption}");
        assert!(parsed.subparts[2].get_body_raw().unwrap().starts_with(&start[..11]), "{caption}");
    }
    let sealed = Envelope { require_tls: true, ..full };
    let report = report_on(&sealed, ORIGINAL.as_bytes(), &[outcome(&x1, Fate::Failed(REFUSED))]).unwrap();
    assert!(report.envelope.require_tls);
    assert_eq!(three_parts(&report.message).subparts[2].ctype.mimetype, "text/rfc822-headers");
}

#[test]
fn a_small_message_comes_back_whole_when_asked_for() {
    let x1 = recipient("x1@xyz.com");
    let full = Envelope { ret: Some(Ret::Full), ..envelope() };
    let third = |start: &[u8], fate| {
        let report = report_on(&full, start, &[outcome(&x1, fate)]).unwrap();
        let parsed = three_parts(&report.message);
        (parsed.subparts[2].ctype.mimetype.clone(), report.envelope.body)
    };
    let delayed = Fate::Delayed { cause: BUSY, retry_until: at(9) };
    let (whole, header) = ("message/rfc822".to_owned(), "text/rfc822-headers".to_owned());
    let failed = || Fate::Failed(REFUSED);
    assert_eq!(third(ORIGINAL.as_bytes(), failed()), (whole.clone(), Body::SevenBit));
    assert_eq!(third(ORIGINAL.as_bytes(), delayed), (header.clone(), Body::SevenBit));
    assert_eq!(third("Subject: x\r\n\r\nö\r\n".as_bytes(), failed()), (whole, Body::EightBitMime));
    let big = format!("{ORIGINAL}{}", "x\r\n".repeat(RETURNED_MESSAGE_BYTES_MAX / 3));
    assert_eq!(third(big.as_bytes(), failed()), (header, Body::SevenBit));
}

#[test]
fn a_returned_header_is_cut_between_fields() {
    let x1 = recipient("x1@xyz.com");
    let long = "X-Long: ".to_owned() + &"x".repeat(900) + "\r\n";
    let start = long.repeat(100) + "\r\n";
    let report = report_on(&envelope(), start.as_bytes(), &[outcome(&x1, Fate::Failed(REFUSED))]).unwrap();
    let parsed = three_parts(&report.message);
    let returned = parsed.subparts[2].get_body().unwrap();
    assert_eq!(returned.trim_end(), long.repeat(RETURNED_HEADER_BYTES_MAX / long.len()).trim_end());
}

/// Parses a report with a parser that did not write it.
fn three_parts(message: &[u8]) -> ParsedMail<'_> {
    let parsed = parse_mail(message).expect("a report is MIME");
    assert_eq!(parsed.ctype.mimetype, "multipart/report");
    let types: Vec<&str> = parsed.subparts.iter().map(|part| part.ctype.mimetype.as_str()).collect();
    assert_eq!(types.len(), 3, "{}", String::from_utf8_lossy(message));
    assert_eq!(types[..2], ["text/plain", "message/delivery-status"]);
    parsed
}

proptest! {
    #[test]
    fn whatever_came_in_the_report_has_three_parts(
        start in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "(?s)(Subject: [^\0]{0,40}\r\n|--=0000000002=0000000000007=0(--)?\r\n|[a-zA-Z: \r\n]{0,20}){0,8}".prop_map(String::into_bytes),
        ],
        said in "(?s).{0,200}",
        host in "(?s).{0,40}",
        envid in "(?s).{0,40}",
        status in "[0-9.x]{0,8}",
        full in any::<bool>(),
    ) {
        let x1 = Recipient { orcpt: Some(envid.clone()), ..recipient("x1@xyz.com") };
        let envelope = Envelope { envid: Some(envid), ret: full.then_some(Ret::Full), ..envelope() };
        let cause = Cause { status: &status, host: Some(&host), text: &said };
        let report = report_on(&envelope, &start, &[outcome(&x1, Fate::Failed(cause))]).unwrap();
        three_parts(&report.message);
    }
}
