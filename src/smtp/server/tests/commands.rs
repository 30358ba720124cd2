//! Commands: each of them, wrong orders, bounds, names, silence.

use std::collections::BTreeSet;

use super::{HELLO, after_hello, in_data};
use crate::mail::Domain;
use crate::smtp::server::dialogue::{House, play, play_with, session_with, settings};
use crate::smtp::server::{AuthOffer, Settings, Tls};
use crate::time::Instant;

#[test]
fn helo_gets_one_line() {
    play(
        "
        S: 220 bcd.com ESMTP Stagepost
        C: HELO a.example
        S: 250 bcd.com Hello a.example
        C: MAIL FROM:<a@a.example>
        S: 250 2.1.0 Sender ok",
    );
}

#[test]
fn commands_in_any_case_and_with_spaces_at_the_end() {
    after_hello(
        "
        C: noop\\x20
        S: 250 2.0.0 Ok
        C: NoOp whatever
        S: 250 2.0.0 Ok
        C: mail from:<a@a.example>\\x20
        S: 250 2.1.0 Sender ok
        C: rcpt to:<postmaster>
        S: 250 2.1.5 Recipient ok
        C: rset
        S: 250 2.0.0 Reset
        C: vrfy b1
        S: 252 2.5.0 Send mail and see
        C: vrfy
        S: 501 5.5.4 VRFY needs a user or an address
        C: expn list
        S: 502 5.5.1 This command is not implemented
        C: help
        S: 214-2.0.0 EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT
        S: 214-2.0.0 MAIL FROM:<address> SIZE= BODY= RET= ENVID=
        S: 214 2.0.0 RCPT TO:<address> NOTIFY= ORCPT=",
    );
}

#[test]
fn wrong_order_is_refused_and_changes_nothing() {
    play(
        "
        S: 220 bcd.com ESMTP Stagepost
        C: MAIL FROM:<a@a.example>
        S: 503 5.5.1 Say EHLO or HELO first
        C: RCPT TO:<b1@bcd.com>
        S: 503 5.5.1 MAIL comes before RCPT
        C: DATA
        S: 503 5.5.1 MAIL and RCPT come before the message
        C: EHLO
        S: 501 5.5.4 Say your host name or your address after the command
        C: HELO a.example
        S: 250 bcd.com Hello a.example
        C: MAIL FROM:<a@a.example>
        S: 250 2.1.0 Sender ok
        C: MAIL FROM:<b@a.example>
        S: 503 5.5.1 A transaction is open already
        C: DATA
        S: 554 5.5.1 No recipient was accepted
        C: RCPT TO:<nobody@bcd.com>
        S: 550 5.1.1 No such user
        C: RCPT TO:<later@bcd.com>
        S: 450 4.2.1 Busy
        C: RCPT TO:<x1@xyz.com>
        S: 550 5.7.1 No relaying
        C: DATA
        S: 554 5.5.1 No recipient was accepted
        C: RCPT TO:<b1@bcd.com>
        S: 250 2.1.5 Recipient ok
        C: DATA
        S: 354 End the message with a dot on a line by itself
        A: data <a@a.example> to b1@bcd.com
        H: closed
        A: aborted
        A: close",
    );
}

#[test]
fn ehlo_within_a_transaction_resets_it() {
    after_hello(
        "
        C: MAIL FROM:<a@a.example>
        S: 250 2.1.0 Sender ok
        C: HELO a.example
        S: 250 bcd.com Hello a.example
        C: RCPT TO:<b1@bcd.com>
        S: 503 5.5.1 MAIL comes before RCPT",
    );
}

#[test]
fn a_pipelined_group_gets_one_reply_each() {
    after_hello(
        "
        C: MAIL FROM:<a@refused.example>
        C: RCPT TO:<b1@bcd.com>
        C: DATA
        C: RSET
        C: MAIL FROM:<a@a.example> SIZE=10 BODY=8BITMIME RET=HDRS ENVID=a+20b
        C: RCPT TO:<nobody@bcd.com>
        C: RCPT TO:<b1@bcd.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b1@bcd.com
        C: NOOP
        S: 550 5.7.1 Not from there
        S: 503 5.5.1 MAIL comes before RCPT
        S: 503 5.5.1 MAIL and RCPT come before the message
        S: 250 2.0.0 Reset
        S: 250 2.1.0 Sender ok
        S: 550 5.1.1 No such user
        S: 250 2.1.5 Recipient ok
        S: 250 2.0.0 Ok",
    );
}

#[test]
fn the_reply_to_ehlo_waits_for_the_peers_name() {
    play(
        "
        H: naming
        S: 220 bcd.com ESMTP Stagepost
        A: resolve
        C: HELO bcd.example
        C: NOOP
        H: resolved abc.com
        S: 250 bcd.com Hello bcd.example (abc.com)
        A: abc.com claims to be bcd.example
        S: 250 2.0.0 Ok",
    );
}

#[test]
fn a_name_that_agrees_is_not_told_twice() {
    play(
        "
        H: naming
        S: 220 bcd.com ESMTP Stagepost
        A: resolve
        H: resolved abc.com
        C: HELO ABC.com.
        S: 250 bcd.com Hello abc.com
        C: HELO [192.0.2.1]
        S: 250 bcd.com Hello [192.0.2.1]
        C: HELO [192.0.2.2]
        S: 250 bcd.com Hello [192.0.2.2] (abc.com)
        A: abc.com claims to be [192.0.2.2]
        C: HELO my_laptop
        S: 250 bcd.com Hello my_laptop (abc.com)
        A: abc.com claims to be my_laptop",
    );
}

#[test]
fn ehlo_does_not_wait_longer_than_five_seconds() {
    play(
        "
        H: naming
        S: 220 bcd.com ESMTP Stagepost
        A: resolve
        @ +200s
        C: HELO bcd.example
        @ +4s
        @ +1s
        S: 250 bcd.com Hello bcd.example
        H: resolved abc.com
        C: HELO bcd.example
        S: 250 bcd.com Hello bcd.example",
    );
}

#[test]
fn silence_ends_with_421() {
    play(
        "
        S: 220 bcd.com ESMTP Stagepost
        @ +299s
        C~ NOO
        @ +1s
        S: 421 4.4.2 Nothing came for too long
        A: close",
    );
    in_data(
        "
        @ +100s
        C: text
        @ +179s
        @ +1s
        S: 421 4.4.2 Nothing came for too long
        A: aborted
        A: close",
    );
}

#[test]
fn too_many_recipients_are_452() {
    after_hello(
        "
        C: MAIL FROM:<a@a.example>
        C: RCPT TO:<b1@bcd.com>
        C: RCPT TO:<b1@bcd.com>
        C: RCPT TO:<b2@bcd.com>
        C: RCPT TO:<b3@bcd.com>
        C: RCPT TO:<b4@bcd.com>
        C: DATA
        S: 250 2.1.0 Sender ok
        S: 250 2.1.5 Recipient ok
        S: 250 2.1.5 Recipient ok
        S: 250 2.1.5 Recipient ok
        S: 250 2.1.5 Recipient ok
        S: 452 4.5.3 Too many recipients; send them later
        S: 354 End the message with a dot on a line by itself
        A: data <a@a.example> to b1@bcd.com,b2@bcd.com,b3@bcd.com
        H: closed
        A: aborted
        A: close",
    );
}

#[test]
fn too_many_errors_end_the_session() {
    let chatter = "C: FOO bar\nS: 500 5.5.2 There is no such command\n".repeat(19);
    after_hello(&format!("{chatter}C: x\nC: NOOP\nS: 421 4.7.0 Too many errors; good bye\nA: close"));
    let guesses = "C: RCPT TO:<nobody@bcd.com>\nS: 550 5.1.1 No such user\n".repeat(99);
    after_hello(&format!(
        "C: MAIL FROM:<>\nS: 250 2.1.0 Sender ok\n{guesses}C: RCPT TO:<nobody@bcd.com>
         S: 421 4.7.0 Too many errors; good bye\nA: close"
    ));
}

#[test]
fn malformed_lines_are_one_error_each() {
    after_hello(
        "
        C: NOOP\\nQUIT
        S: 500 5.5.2 Refused: a bare LF is in the line; only CRLF ends a line
        C: NOOP\\rQUIT
        S: 500 5.5.2 Refused: a bare CR is in the line; only CRLF ends a line
        C: NOOP\\0
        S: 500 5.5.2 Refused: a NUL is in the line
        C: NOOP {3000*x}
        S: 500 5.5.2 Refused: the line is too long
        C: NOOP {2041*x}
        S: 250 2.0.0 Ok
        C: NOOP {2042*x}
        S: 500 5.5.2 Refused: the line is too long
        C: \\xff\\xfe
        S: 500 5.5.2 The line is no ASCII
        C:
        S: 500 5.5.2 The line is empty; a command was expected
        C: NOOP
        S: 250 2.0.0 Ok",
    );
}

#[test]
fn shutdown_waits_for_the_message_on_its_way() {
    after_hello(
        "
        H: shutdown
        S: 421 4.3.2 The service is going down; come back later
        A: close",
    );
    in_data(
        "
        H: shutdown
        C: .
        A: message \"\"
        H: answer 250 ok
        S: 250 ok
        S: 421 4.3.2 The service is going down; come back later
        A: close",
    );
}

#[test]
fn a_bound_of_the_house_is_what_ehlo_offers() {
    play_with(Settings { message_bytes_max: 77, ..settings() }, &HELLO.replace("SIZE 1000", "SIZE 77"));
}

#[test]
fn the_readme_lists_what_ehlo_offers() {
    let offer = AuthOffer { nonce: [0; 32], secret: [0; 32], in_the_clear: true, lacks_users: false };
    let all = || Settings {
        smtputf8: true,
        starttls: true,
        auth: Some(offer.clone()),
        ..Settings::new(Domain::parse("bcd.com").unwrap())
    };
    let mut offered = BTreeSet::new();
    for tls in [false, true] {
        let mut session = session_with(all());
        session.resolved(Instant::ORIGIN, None);
        if tls {
            let (version, cipher) = ("TLSv1.3".to_owned(), "x".to_owned());
            session.tls_started(Instant::ORIGIN, Tls { version, cipher, binding: None });
        }
        session.sent(session.output().len());
        session.input(Instant::ORIGIN, &House, b"EHLO a.example\r\n");
        let reply = String::from_utf8(session.output().to_vec()).unwrap();
        offered.extend(reply.lines().skip(1).map(keyword));
    }
    let readme = include_str!("../../../../README.md");
    let told: BTreeSet<String> = readme
        .lines()
        .filter(|l| l.starts_with("    250-") || l.starts_with("    250 "))
        .map(keyword)
        .collect();
    assert_eq!(told, offered);
}

/// `SIZE 33554432` and `LIMITS RCPTMAX=1000` with their values, of the others the first word.
fn keyword(line: &str) -> String {
    let words: Vec<&str> = line.trim()[4..].split_whitespace().collect();
    match words[0] {
        "SIZE" | "LIMITS" => words.join(" "),
        other => other.to_owned(),
    }
}

#[test]
fn tls_in_the_clear_is_noticed() {
    play(
        "
        S: 220 bcd.com ESMTP Stagepost
        C~ \\x16\\x03\\x01\\x02\\0\\x01
        A: speaks TLS
        A: close",
    );
}

#[test]
fn smtputf8_is_taken_where_it_is_offered() {
    let offering = || Settings { smtputf8: true, ..settings() };
    let hello = HELLO.replace("S: 250 HELP", "S: 250-SMTPUTF8\nS: 250 HELP");
    play_with(
        offering(),
        &format!(
            "{hello}
            C: MAIL FROM:<jos\\xc3\\xa9@a.example>
            S: 553 5.6.7 An address beyond ASCII needs SMTPUTF8
            C: MAIL FROM:<a@a.example>
            S: 250 2.1.0 Sender ok
            C: RCPT TO:<jos\\xc3\\xa9@bcd.com>
            S: 553 5.6.7 An address beyond ASCII needs SMTPUTF8
            C: RCPT TO:<b1@b\\xc3\\xbccher.example>
            S: 553 5.6.7 An address beyond ASCII needs SMTPUTF8
            C: RSET
            S: 250 2.0.0 Reset
            C: MAIL FROM:<jos\\xc3\\xa9@a.example> SMTPUTF8
            S: 250 2.1.0 Sender ok
            C: RCPT TO:<jos\\xc3\\xa9@bcd.com>
            S: 250 2.1.5 Recipient ok"
        ),
    );
    after_hello(
        "
        C: MAIL FROM:<a@a.example> SMTPUTF8
        S: 555 5.5.4 SMTPUTF8 is not offered
        C: MAIL FROM:<a@a.example> REQUIRETLS
        S: 555 5.5.4 REQUIRETLS is offered under TLS only",
    );
}

#[test]
fn a_browser_that_was_led_here_is_sent_away_at_once() {
    for verb in ["GET", "post", "PUT", "CONNECT"] {
        play(&format!(
            "
            S: 220 bcd.com ESMTP Stagepost
            C: {verb} / HTTP/1.1
            C: Host: bcd.com
            C:
            C: EHLO a.example
            S: 421 4.7.0 Only SMTP is spoken here; good bye
            A: close"
        ));
    }
}
