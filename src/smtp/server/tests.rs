//! Dialogues with the server: every command, wrong orders, bounds, timeouts, smuggling, arbitrary bytes.

use proptest::prelude::*;

use super::dialogue::{House, play, play_with, session, settings};
use super::*;

const HELLO: &str = "
    S: 220 bcd.com ESMTP Stagepost
    C: EHLO a.example
    S: 250-bcd.com Hello a.example
    S: 250-SIZE 1000
    S: 250-PIPELINING
    S: 250-8BITMIME
    S: 250-ENHANCEDSTATUSCODES
    S: 250-DSN
    S: 250 HELP
    ";

/// After EHLO.
fn after_hello(script: &str) {
    play(&format!("{HELLO}{script}"));
}

/// After DATA, with one recipient.
fn in_data(script: &str) {
    after_hello(&format!(
        "
        C: MAIL FROM:<a@a.example>
        C: RCPT TO:<b1@bcd.com>
        C: DATA
        S: 250 2.1.0 Sender ok
        S: 250 2.1.5 Recipient ok
        S: 354 End the message with a dot on a line by itself
        A: data <a@a.example> to b1@bcd.com
        {script}"
    ));
}

#[test]
fn a_message_goes_through() {
    in_data(
        "
        C: Subject: hi
        C:
        C: ..stuffed
        C: text
        C: .
        A: message \"Subject: hi\\r\\n\\r\\n.stuffed\\r\\ntext\\r\\n\"
        H: answer 250 stored as 1
        S: 250 stored as 1
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender ok
        C: QUIT
        S: 221 2.0.0 bcd.com closing connection
        A: close
        C: NOOP",
    );
}

#[test]
fn an_empty_message_is_a_message() {
    in_data(
        "
        C: .
        A: message \"\"
        H: answer 250 ok
        S: 250 ok",
    );
}

#[test]
fn commands_behind_a_message_wait_for_its_answer() {
    in_data(
        "
        C: text
        C: .
        C: NOOP
        C: QUIT
        A: message \"text\\r\\n\"
        H: answer 451 no room
        S: 451 no room
        S: 250 2.0.0 Ok
        S: 221 2.0.0 bcd.com closing connection
        A: close",
    );
}

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
        C: noop\x20
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
        S: 214-2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT
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
        S: 503 5.5.1 MAIL and RCPT come before DATA
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
        S: 503 5.5.1 MAIL and RCPT come before DATA
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
        @ +170s
        C: text
        @ +179s
        C: text
        @ +180s
        S: 421 4.4.2 Nothing came for too long
        A: aborted
        A: close",
    );
}

#[test]
fn an_answer_that_does_not_come_aborts_the_message() {
    in_data(
        "
        C: .
        A: message \"\"
        @ +599s
        @ +1s
        S: 421 4.3.0 The answer took too long
        A: aborted
        A: close
        H: answer 250 too late",
    );
}

#[test]
fn a_message_of_declared_excess_is_refused_at_mail() {
    after_hello(
        "
        C: MAIL FROM:<a@a.example> SIZE=1001
        S: 552 5.3.4 At most 1000 bytes are taken
        C: MAIL FROM:<a@a.example> SIZE=99999999999999999999
        S: 552 5.3.4 At most 1000 bytes are taken
        C: MAIL FROM:<a@a.example> SIZE=1000
        S: 250 2.1.0 Sender ok",
    );
}

#[test]
fn a_message_that_grows_too_large_is_refused_after_its_end() {
    in_data(
        "
        C: {998*x}
        C: y
        A: aborted
        C: {998*x}
        C: .
        S: 552 5.3.4 Refused: larger than 1000 bytes
        C: NOOP
        S: 250 2.0.0 Ok",
    );
}

#[test]
fn a_message_of_just_the_bound_is_taken() {
    let text = "x".repeat(998);
    in_data(&format!(
        "
        C: {text}
        C: .
        A: message \"{text}\\r\\n\"
        H: answer 250 ok
        S: 250 ok"
    ));
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
    let chatter = "C: GET / HTTP/1.1\nS: 500 5.5.2 There is no such command\n".repeat(19);
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
fn only_crlf_dot_crlf_ends_a_message() {
    for (variant, told) in [
        ("\\n.\\n", "a bare LF"),
        ("\\n.\\r\\n", "a bare LF"),
        ("\\r\\n.\\n", "a bare LF"),
        ("\\r.\\r", "a bare CR"),
        ("\\r.\\r\\n", "a bare CR"),
        ("\\r\\n.\\r", "a bare CR"),
        ("\\r\\r\\n.\\r\\n", "a bare CR"),
        ("\\r\\n.\\r\\r\\n", "a bare CR"),
        ("\\n\\n.\\r\\n", "a bare LF"),
        ("\\r\\n\\0.\\r\\n", "a NUL"),
        ("\\r\\n.\\0\\r\\n", "a NUL"),
    ] {
        let whole_end = variant.ends_with("\\r\\r\\n.\\r\\n");
        let (what, tail) = match told {
            "a NUL" => ("the message", ""),
            _ => ("the message", "; lines end in CRLF"),
        };
        let rest = if whole_end { "" } else { "C: MAIL FROM:<smuggled@a.example>\nC: .\n" };
        in_data(&format!(
            "C~ text{variant}\n{rest}A: aborted\nS: 550 5.6.0 Refused: {told} is in {what}{tail}
             C: NOOP\nS: 250 2.0.0 Ok"
        ));
    }
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
fn a_client_that_leaves_gets_its_message_dropped() {
    in_data(
        "
        C: text
        H: closed
        A: aborted
        A: close
        H: closed",
    );
    in_data(
        "
        C: .
        A: message \"\"
        H: closed
        A: aborted
        A: close",
    );
}

#[test]
fn a_bound_of_the_house_is_what_ehlo_offers() {
    play_with(Settings { message_bytes_max: 77, ..settings() }, &HELLO.replace("SIZE 1000", "SIZE 77"));
}

#[test]
fn replies_that_nobody_reads_stop_the_input() {
    let mut session = session();
    session.resolved(Instant::ORIGIN, None);
    let flood = b"HELP\r\n".repeat(10_000);
    let used = session.input(Instant::ORIGIN, &House, &flood);
    assert!(used < flood.len());
    assert!(session.output().len() < REPLIES_HELD_BYTES_MAX + 1000);
    session.sent(session.output().len());
    assert!(session.input(Instant::ORIGIN, &House, &flood[used..]) > 0);
}

/// Bytes that are likelier than others to mean something.
fn chatter() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => proptest::sample::select(vec![
            &b"EHLO x\r\n"[..], b"HELO x\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<b1@bcd.com>\r\n",
            b"DATA\r\n", b"\r\n.\r\n", b".\r\n", b"\r", b"\n", b"\0", b".", b"RSET\r\n", b"NOOP\r\n", b"<",
            b"MAIL FROM:<a@b.example> SIZE=1 RET=FULL\r\n", b"VRFY \xc3\xa9\r\n", b"HELP\r\n",
        ])
        .prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

/// What one client's bytes lead to, however they are cut: all output, and how many lines were commands.
fn outcome(bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, usize) {
    let mut session = session();
    session.resolved(Instant::ORIGIN, None);
    let (mut output, mut messages) = (Vec::new(), 0);
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let piece = rest.len().min(*cuts.next().unwrap());
        let used = session.input(Instant::ORIGIN, &House, &rest[..piece]);
        rest = &rest[used..];
        while let Some(action) = session.next_action() {
            if let Action::Message { .. } = action {
                messages += 1;
                session.answer(Instant::ORIGIN, Reply::new(250, None, "taken"));
            }
        }
        assert!(session.content_len() <= 1000 && session.output().len() <= 100_000);
        output.extend(session.output());
        session.sent(session.output().len());
    }
    (output, messages)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn arbitrary_bytes_in_arbitrary_pieces(bytes in chatter(), cuts in proptest::collection::vec(1..50usize, 1..9)) {
        let whole = outcome(&bytes, &[usize::MAX]);
        prop_assert_eq!(outcome(&bytes, &cuts), whole);
    }

    #[test]
    fn every_command_has_one_reply(lines in proptest::collection::vec("[A-Za-z:<>@. ]{0,30}", 1..19)) {
        let bytes: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
        let (output, _) = outcome(&bytes, &[7]);
        let replies = output.split(|b| *b == b'\n').filter(|line| line.get(3) == Some(&b' ')).count();
        prop_assert_eq!(replies, lines.len() + 1);
    }
}
