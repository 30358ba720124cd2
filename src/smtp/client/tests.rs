//! Dialogues with the client: outcomes for each recipient, fallbacks, timeouts, servers that misbehave.

mod security;

use proptest::prelude::*;

use super::dialogue::{envelope, play};
use super::*;

const PLAIN: &str = "
    S: 220 xyz.com
    C: EHLO bcd.com
    S: 250 xyz.com Hello
    E: ready
    ";

const PIPELINING: &str = "
    S: 220-xyz.com Sendmail 8.6.12/8.5 ready
    S: 220 ESMTP spoken here
    C: EHLO bcd.com
    S: 250-xyz.com Hello bcd.com, pleased to meet you
    S: 250-pipelining
    S: 250-SIZE 1000
    S: 250-8BITMIME
    S: 250-X-UNKNOWN a b
    S: 250 HELP
    E: ready
    ";

/// Up to the replies to MAIL, two RCPT and DATA, sent in one group.
const GROUP: &str = "
    H: start x1@xyz.com x2@xyz.com
    C: MAIL FROM:<b1@bcd.com> SIZE=10
    C: RCPT TO:<x1@xyz.com>
    C: RCPT TO:<x2@xyz.com>
    C: DATA
    ";

fn plain(script: &str) {
    play(&format!("{PLAIN}{script}"));
}

fn pipelining(script: &str) {
    play(&format!("{PIPELINING}{script}"));
}

fn group(script: &str) {
    play(&format!("{PIPELINING}{GROUP}{script}"));
}

#[test]
fn figure_3a() {
    play(
        "
        S: 220 xyz.com
        C: EHLO bcd.com
        S: 250-xyz.com Hello bcd.com, pleased to meet you
        S: 250 HELP
        E: ready
        H: start x1@xyz.com
        C: MAIL FROM:<b1@bcd.com>
        S: 250 <b1@bcd.com>... Sender ok
        C: RCPT TO:<x1@xyz.com>
        S: 250 <x1@xyz.com>... Recipient ok
        C: DATA
        S: 354 Enter mail, end with a dot
        E: send
        H: content text\\r\\n.dot\\r\\n
        C: text
        C: ..dot
        H: end
        C: .
        S: 250 GAA20115 Message accepted for delivery
        E: ok 250 GAA20115 Message accepted for delivery
        H: quit
        C: QUIT
        S: 221 xyz.com closing connection
        E: closed
        T: 220 xyz.com | >>> EHLO bcd.com | 250-xyz.com Hello bcd.com, pleased to meet you | 250 HELP \
           | >>> MAIL FROM:<b1@bcd.com> | 250 <b1@bcd.com>... Sender ok | >>> RCPT TO:<x1@xyz.com> \
           | 250 <x1@xyz.com>... Recipient ok | >>> DATA | 354 Enter mail, end with a dot \
           | {message, 12 bytes} | >>> . | 250 GAA20115 Message accepted for delivery | >>> QUIT \
           | 221 xyz.com closing connection",
    );
}

#[test]
fn everything_up_to_data_leaves_at_once_when_pipelining_is_offered() {
    group(
        "
        S: 250 ok
        S: 550 5.1.1 no x1
        S: 250 ok
        S: 354 go on
        E: send
        H: end
        C: .
        S: 250 2.0.0 taken
        E: no 550 5.1.1 no x1 / ok 250 2.0.0 taken
        H: start x1@xyz.com
        C: MAIL FROM:<b1@bcd.com> SIZE=10
        C: RCPT TO:<x1@xyz.com>
        C: DATA",
    );
}

#[test]
fn a_refused_sender_refuses_every_recipient() {
    group(
        "
        S: 550 5.7.1 not you
        S: 503 no MAIL
        S: 503 no MAIL
        S: 503 no MAIL
        E: no 550 5.7.1 not you / no 550 5.7.1 not you",
    );
    plain(
        "
        H: start x1@xyz.com x2@xyz.com
        C: MAIL FROM:<b1@bcd.com>
        S: 451 4.7.1 later
        E: no 451 4.7.1 later / no 451 4.7.1 later",
    );
}

#[test]
fn an_empty_message_ends_a_data_that_nobody_wants() {
    group(
        "
        S: 250 ok
        S: 550 no x1
        S: 450 not now
        S: 354 go on
        C: .
        S: 250 taken for nobody
        E: no 550 no x1 / no 450 not now",
    );
}

#[test]
fn a_transaction_that_did_not_end_is_reset_before_the_next() {
    group(
        "
        S: 250 ok
        S: 550 no x1
        S: 550 no x2
        S: 554 no recipients
        E: no 550 no x1 / no 550 no x2
        H: start x3@xyz.com
        C: RSET
        C: MAIL FROM:<b1@bcd.com> SIZE=10
        C: RCPT TO:<x3@xyz.com>
        C: DATA
        S: 250 reset
        S: 250 ok
        S: 250 ok
        S: 354 go on
        E: send",
    );
    plain(
        "
        H: start x1@xyz.com
        C: MAIL FROM:<b1@bcd.com>
        S: 250 ok
        C: RCPT TO:<x1@xyz.com>
        S: 550 no
        E: no 550 no
        H: start x2@xyz.com
        C: RSET
        S: 250 reset
        C: MAIL FROM:<b1@bcd.com>
        S: 250 ok
        C: RCPT TO:<x2@xyz.com>
        S: 250 ok
        C: DATA
        S: 451 no room
        E: no 451 no room",
    );
}

#[test]
fn too_many_recipients_are_deferred() {
    group(
        "
        S: 250 ok
        S: 250 ok
        S: 552 too many recipients
        S: 354 go on
        E: send
        H: end
        C: .
        S: 250 taken
        E: ok 250 taken / no 452 4.5.3 too many recipients",
    );
    group(
        "
        S: 250 ok
        S: 250 ok
        S: 552 5.2.2 the mailbox is full
        S: 354 go on
        E: send
        H: end
        C: .
        S: 554 spam
        E: no 554 spam / no 552 5.2.2 the mailbox is full",
    );
}

#[test]
fn helo_follows_a_refused_ehlo() {
    for code in [500, 502, 504, 550] {
        play(&format!(
            "
            S: 220 xyz.com
            C: EHLO bcd.com
            S: {code} what?
            C: HELO bcd.com
            S: 250 xyz.com
            E: ready
            H: start 8bit x1@xyz.com
            C: MAIL FROM:<b1@bcd.com>"
        ));
    }
}

#[test]
fn a_server_that_does_not_want_us_is_left_politely() {
    for opening in [
        "S: 554 go away\nE: refused 554 go away",
        "S: 220 hi\nC: EHLO bcd.com\nS: 451 later\nE: refused 451 later",
        "S: 220 hi\nC: EHLO bcd.com\nS: 500 eh\nC: HELO bcd.com\nS: 550 no\nE: refused 550 no",
    ] {
        play(&format!("{opening}\nC: QUIT\nS: 221 bye\nE: closed"));
    }
    play("S: 421 4.3.2 down\nE: refused 421 4.3.2 down\nE: closed");
}

#[test]
fn a_good_bye_defers_what_is_unfinished() {
    group(
        "
        S: 250 ok
        S: 550 5.1.1 no x1
        S: 421 4.3.2 going down
        E: no 550 5.1.1 no x1 / no 421 4.3.2 going down
        E: closed",
    );
    group(
        "
        S: 250 ok
        S: 250 ok
        S: 250 ok
        S: 354 go on
        E: send
        H: content text\\r\\n
        C: text
        S: 421 going down
        E: no 421 going down / no 421 going down
        E: closed",
    );
    plain("S: 421 idle too long\nE: closed");
}

#[test]
fn a_message_refused_before_its_end_is_refused() {
    plain(
        "
        H: start x1@xyz.com
        C: MAIL FROM:<b1@bcd.com>
        S: 250 ok
        C: RCPT TO:<x1@xyz.com>
        S: 250 ok
        C: DATA
        S: 354 go on
        E: send
        H: content text\\r\\n
        C: text
        S: 552 5.3.4 that is too much
        E: no 552 5.3.4 that is too much
        E: closed
        H: end",
    );
}

#[test]
fn what_the_server_does_not_offer_is_refused_here() {
    pipelining(
        "
        H: start size=1001 x1@xyz.com
        E: own 552 5.3.4 the message has 1001 bytes, it takes at most 1000
        H: start utf8 x1@xyz.com
        E: own 553 5.6.7 it does not offer SMTPUTF8, which the mail needs
        H: start tls x1@xyz.com
        E: own 550 5.7.10 the mail requires TLS all the way (REQUIRETLS), and there is none
        H: start size=1000 8bit x1@xyz.com
        C: MAIL FROM:<b1@bcd.com> SIZE=1000 BODY=8BITMIME
        C: RCPT TO:<x1@xyz.com>
        C: DATA",
    );
}

#[test]
fn who_needs_smtputf8_is_refused_and_the_others_get_the_message() {
    play(
        "
        S: 220 xyz.com
        C: EHLO bcd.com
        S: 250 xyz.com
        E: ready
        H: start jörg@xyz.com x1@bücher.example
        C: MAIL FROM:<b1@bcd.com>
        S: 250 ok
        C: RCPT TO:<x1@xn--bcher-kva.example>
        S: 250 ok
        C: DATA
        S: 354 go on
        E: send
        H: end
        C: .
        S: 250 ok
        E: own 553 5.6.7 it does not offer SMTPUTF8, which the address needs / ok 250 ok
        H: start jörg@xyz.com
        E: own 553 5.6.7 it does not offer SMTPUTF8, which the address needs",
    );
}

#[test]
fn limits_of_the_server_are_kept() {
    play(
        "
        S: 220 xyz.com
        C: EHLO bcd.com
        S: 250-xyz.com
        S: 250 LIMITS RCPTMAX=3 MAILMAX=1 RCPTDOMAINMAX=2 FOO=1 RCPTMAX
        E: ready
        H: start a@a.example b@b.example c@c.example a2@a.example b2@b.example
        C: MAIL FROM:<b1@bcd.com>
        S: 250 ok
        C: RCPT TO:<a@a.example>
        S: 250 ok
        C: RCPT TO:<b@b.example>
        S: 250 ok
        C: RCPT TO:<a2@a.example>
        S: 250 ok
        C: DATA
        S: 354 go on
        E: send
        H: end
        C: .
        S: 250 ok
        E: ok 250 ok / ok 250 ok / own 452 4.5.3 it takes no more recipients at once \
           / ok 250 ok / own 452 4.5.3 it takes no more recipients at once
        C: QUIT
        H: start c@c.example
        E: own 451 4.4.2 the connection takes no more mail
        S: 221 bye
        E: closed",
    );
}

#[test]
fn a_bound_of_domains_is_that_of_the_connection() {
    play(
        "
        S: 220 xyz.com
        C: EHLO bcd.com
        S: 250-xyz.com
        S: 250-PIPELINING
        S: 250 LIMITS RCPTDOMAINMAX=2
        E: ready
        H: start a@a.example a2@a.example
        C: MAIL FROM:<b1@bcd.com>
        C: RCPT TO:<a@a.example>
        C: RCPT TO:<a2@a.example>
        C: DATA
        S: 550 no
        S: 550 no
        S: 550 no
        S: 503 no
        E: no 550 no / no 550 no
        H: start b@b.example
        C: RSET
        C: MAIL FROM:<b1@bcd.com>
        C: RCPT TO:<b@b.example>
        C: DATA
        S: 250 ok
        S: 250 ok
        S: 250 ok
        S: 354 go on
        E: send
        H: end
        C: .
        S: 250 ok
        E: ok 250 ok
        C: QUIT
        S: 221 bye
        E: closed",
    );
}

#[test]
fn limits_that_make_no_sense_are_none() {
    let reply = Reply::new(250, None, "x\nLIMITS RCPTMAX=0 MAILMAX=1234567 RCPTDOMAINMAX=+1");
    assert_eq!(Extensions::parse(&reply).limits, Limits::default());
}

#[test]
fn no_transaction_takes_longer_than_two_hours() {
    let reply = "S: 250 ok\n@ +290s\n".repeat(24);
    let to: String = (0..30).map(|n| format!(" x{n}@xyz.com")).collect();
    let rcpts: String = (0..30).map(|n| format!("C: RCPT TO:<x{n}@xyz.com>\n")).collect();
    let late = ["own 451 4.4.2 the transaction takes too long"; 30].join(" / ");
    pipelining(&format!(
        "H: start{to}\nC: MAIL FROM:<b1@bcd.com> SIZE=10\n{rcpts}C: DATA\n{reply}S: 250 ok\n@ +239s\n@ +1s
         E: {late}\nE: broken: the transaction takes too long"
    ));
}

#[test]
fn delivery_status_parameters_go_where_they_are_offered() {
    let mut session = Session::new(Domain::parse("bcd.com").unwrap(), Instant::ORIGIN);
    session.input(Instant::ORIGIN, b"220 hi\r\n250-xyz.com\r\n250-DSN\r\n250-SIZE\r\n250 SMTPUTF8\r\n");
    let mut envelope = envelope(["x1@xyz.com"]);
    envelope.ret = Some(crate::mail::Ret::Headers);
    envelope.envid = Some("a+20b".to_owned());
    envelope.smtputf8 = true;
    envelope.recipients[0].notify = Some(crate::mail::Notify::NEVER);
    envelope.recipients[0].orcpt = Some("rfc822;x1@xyz.com".to_owned());
    session.sent(session.output().len());
    session.start(Instant::ORIGIN, &envelope, 7);
    session.input(Instant::ORIGIN, b"250 ok\r\n");
    let said = String::from_utf8(session.output().to_vec()).unwrap();
    assert_eq!(
        said,
        "MAIL FROM:<b1@bcd.com> SIZE=7 SMTPUTF8 RET=HDRS ENVID=a+20b\r\n\
         RCPT TO:<x1@xyz.com> NOTIFY=NEVER ORCPT=rfc822;x1@xyz.com\r\n"
    );
}

#[test]
fn silence_defers() {
    play("@ +299s\n@ +1s\nE: broken: no reply to a new connection in time");
    play("S: 220 hi\nC: EHLO bcd.com\n@ +300s\nE: broken: no reply to EHLO in time");
    group(
        "
        S: 250 ok
        @ +299s
        S: 250 ok
        @ +300s
        E: own 451 4.4.2 no reply to RCPT in time / own 451 4.4.2 no reply to RCPT in time
        E: broken: no reply to RCPT in time",
    );
    let to_content = "S: 250 ok\nS: 250 ok\nS: 550 no\nS: 354 go on\nE: send\n";
    group(&format!(
        "{to_content}
        @ +100s
        H: content text\\r\\n
        C: text
        @ +179s
        @ +1s
        E: own 451 4.4.2 the server takes no more of the message / no 550 no
        E: broken: the server takes no more of the message"
    ));
    group(&format!(
        "{to_content}
        H: end
        C: .
        @ +599s
        @ +1s
        E: own 451 4.4.2 no reply to the end of the message in time / no 550 no
        E: broken: no reply to the end of the message in time"
    ));
    plain("H: quit\nC: QUIT\n@ +10s\nE: closed");
    plain("@ +99999s\nH: closed\nE: closed");
}

#[test]
fn a_connection_that_breaks_defers() {
    group(
        "
        S: 250 ok
        H: closed
        E: own 451 4.4.2 the server closed the connection / own 451 4.4.2 the server closed the connection
        E: broken: the server closed the connection",
    );
    play("H: closed\nE: broken: the server closed the connection");
}

#[test]
fn what_is_no_reply_breaks_the_connection() {
    let lines_max = crate::limits::REPLY_LINES_MAX;
    let flood = "S: 220-x\n".repeat(lines_max + 1);
    let long = "S: 220-{2000*x}\n".repeat(17);
    for (said, reason) in [
        ("S: SSH-2.0-OpenSSH", "what came is no SMTP reply"),
        ("S: 20 ok", "what came is no SMTP reply"),
        ("S: 2200 ok", "what came is no SMTP reply"),
        ("S: 120 ok", "what came is no SMTP reply"),
        ("S: 220-a\nS: 250 b", "the lines of one reply have differing codes"),
        ("S~ 220 a\\n220 b\\r\\n", "in the reply, a bare LF is in the line; only CRLF ends a line"),
        ("S: 220 a\\rb", "in the reply, a bare CR is in the line; only CRLF ends a line"),
        ("S: 220 a\\0b", "in the reply, a NUL is in the line"),
        ("S: 220 {2043*x}", "in the reply, the line is too long"),
        (&flood, "the reply has too many lines"),
        (&long, "the reply is too long"),
        ("S: 354 go on", "354 is no reply to a new connection"),
    ] {
        play(&format!("{said}\nE: broken: {reason}"));
    }
    plain("S: 250 and one more\nE: broken: a reply came that was not due: 250 and one more");
    for (second, reason) in [("250 ok", "250 is no reply to DATA"), ("334 what", "334 is no reply to DATA")] {
        group(&format!(
            "S: 250 ok\nS: 550 no\nS: 250 ok\nS: {second}
             E: no 550 no / own 451 4.4.2 {reason}\nE: broken: {reason}"
        ));
    }
}

#[test]
fn text_of_replies_loses_its_control_characters() {
    play(
        "
        S: 554 go\\x1b[2J \\xff away
        E: refused 554 go?[2J \u{fffd} away
        C: QUIT",
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn arbitrary_servers(
        words in proptest::collection::vec(
            prop_oneof![
                4 => proptest::sample::select(vec![
                    "220 x\r\n", "250 x\r\n", "250-PIPELINING\r\n", "354 x\r\n", "421 x\r\n", "550 x\r\n",
                    "450-x\r\n", "\r", "\n", "250",
                ]).prop_map(|word| word.as_bytes().to_vec()),
                1 => proptest::collection::vec(any::<u8>(), 0..30),
            ],
            0..40,
        ),
    ) {
        let mut session = Session::new(Domain::parse("bcd.com").unwrap(), Instant::ORIGIN);
        let (mut started, mut finished) = (0, 0);
        for word in words {
            session.input(Instant::ORIGIN, &word);
            while let Some(event) = session.next_event() {
                match event {
                    Event::Ready => {}
                    Event::SendContent => {
                        session.content(Instant::ORIGIN, b"text");
                        session.end_of_content(Instant::ORIGIN);
                        continue;
                    }
                    Event::Finished(outcome) => {
                        finished += 1;
                        prop_assert_eq!(outcome.recipients.len(), 2);
                    }
                    _ => continue,
                }
                if matches!(session.state, State::Ready) {
                    started += 1;
                    session.start(Instant::ORIGIN, &envelope(["x1@xyz.com", "x2@xyz.com"]), 4);
                }
            }
            prop_assert!(session.output().len() < 20_000);
            session.sent(session.output().len());
        }
        session.closed();
        while let Some(event) = session.next_event() {
            finished += usize::from(matches!(event, Event::Finished(_)));
        }
        prop_assert_eq!(started, finished);
        prop_assert!(session.is_finished());
    }
}
