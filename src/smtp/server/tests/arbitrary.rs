//! Arbitrary bytes in arbitrary pieces: the same replies however they are cut, one for each command.

use std::time::Duration;

use proptest::prelude::*;

use crate::limits::{REPLIES_HELD_BYTES_MAX, SERVER_LAST_WORDS_WAIT_S};
use crate::smtp::Reply;
use crate::smtp::server::dialogue::{House, session, session_with, settings};
use crate::smtp::server::{Action, AuthOffer, Settings};
use crate::time::Instant;

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

#[test]
fn last_words_that_nobody_reads_have_their_time() {
    let mut session = session();
    let now = Instant::ORIGIN + Duration::from_secs(100);
    session.resolved(now, None);
    session.input(now, &House, &[b"HELP\r\n".repeat(10), b"QUIT\r\n".to_vec()].concat());
    assert!(session.is_finished() && !session.output().is_empty());
    assert_eq!(session.deadline(), now + Duration::from_secs(SERVER_LAST_WORDS_WAIT_S));
    // They are over then, and nothing is added to them.
    let said = session.output().len();
    session.timeout(session.deadline());
    assert_eq!(session.output().len(), said);
}

#[test]
fn a_message_that_is_too_large_is_not_kept() {
    let mut session = session();
    session.resolved(Instant::ORIGIN, None);
    let hello = b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<b1@bcd.com>\r\nDATA\r\n";
    session.input(Instant::ORIGIN, &House, hello);
    for _ in 0..1000 {
        session.input(Instant::ORIGIN, &House, &[b'x'; 1000]);
        assert!(session.content_len() <= 1000);
    }
}

/// Bytes that are likelier than others to mean something.
fn chatter() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => proptest::sample::select(vec![
            &b"EHLO x\r\n"[..], b"HELO x\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<b1@bcd.com>\r\n",
            b"DATA\r\n", b"\r\n.\r\n", b".\r\n", b"\r", b"\n", b"\0", b".", b"RSET\r\n", b"NOOP\r\n", b"<",
            b"MAIL FROM:<a@b.example> SIZE=1 RET=FULL\r\n", b"VRFY \xc3\xa9\r\n", b"HELP\r\n", b"BDAT 9\r\n",
            b"BDAT 7 LAST\r\n", b"BDAT 0 LAST\r\n", b"BDAT 2000\r\n", b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n",
            b"AGIxAHNlY3JldA==\r\n", b"AUTH SCRAM-SHA-256 biwsbj1iMSxyPXg=\r\n", b"*\r\n", b"STARTTLS\r\n",
        ])
        .prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..40),
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

/// A house that offers everything, to strangers or to an old device.
fn offering_all(tolerant: bool) -> Settings {
    let auth = Some(AuthOffer { nonce: [1; 32], secret: [2; 32], in_the_clear: true, lacks_users: false });
    Settings { starttls: true, smtputf8: true, auth, tolerant, ..settings() }
}

/// What one client's bytes lead to, however they are cut: all output, and how many messages.
fn outcome(settings: Settings, bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, usize) {
    let mut session = session_with(settings);
    session.resolved(Instant::ORIGIN, None);
    let (mut output, mut messages) = (Vec::new(), 0);
    let mut rest = bytes;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let piece = rest.len().min(*cuts.next().unwrap());
        let used = session.input(Instant::ORIGIN, &House, &rest[..piece]);
        rest = &rest[used..];
        let mut answered = false;
        while let Some(action) = session.next_action() {
            if let Action::CheckPassword(check) = &action {
                answered = true;
                session.checked(Instant::ORIGIN, Some(check.clone().run()));
            }
            if let Action::Message { bytes, .. } = action {
                assert_eq!(bytes, session.take_content().len() as u64);
                messages += 1;
                answered = true;
                session.answer(Instant::ORIGIN, Reply::new(250, None, "taken"));
            }
        }
        if used < piece && !answered {
            // A failed AUTH waits for its penalty.
            session.timeout(session.deadline());
        }
        assert!(session.content_len() <= 1000 && session.output().len() <= 100_000);
        output.extend(session.output());
        session.sent(session.output().len());
    }
    session.timeout(session.deadline());
    output.extend(session.output());
    (output, messages)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn arbitrary_bytes_in_arbitrary_pieces(
        bytes in chatter(),
        cuts in proptest::collection::vec(1..50usize, 1..9),
        tolerant: bool,
    ) {
        let whole = outcome(offering_all(tolerant), &bytes, &[usize::MAX]);
        prop_assert_eq!(outcome(offering_all(tolerant), &bytes, &cuts), whole);
    }

    #[test]
    fn every_command_has_one_reply(lines in proptest::collection::vec("[A-Za-z:<>@. ]{0,30}", 0..19)) {
        let bytes: Vec<u8> = lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect();
        let (output, _) = outcome(settings(), &bytes, &[7]);
        let replies = output.split(|b| *b == b'\n').filter(|line| line.get(3) == Some(&b' ')).count();
        // The greeting, and 421 for the silence at the end.
        prop_assert_eq!(replies, lines.len() + 2);
    }
}
