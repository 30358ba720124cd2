//! STARTTLS: the session starts anew, and nothing said before counts.

use super::{HELLO, after_hello};
use crate::smtp::server::Settings;
use crate::smtp::server::dialogue::{play_with, settings};

/// After EHLO, where STARTTLS is offered.
fn offering(script: &str) {
    let hello = HELLO.replace("S: 250 HELP", "S: 250-STARTTLS\nS: 250 HELP");
    play_with(Settings { starttls: true, ..settings() }, &format!("{hello}{script}"));
}

const TLS: &str = "
    C: STARTTLS
    S: 220 2.0.0 Go ahead with TLS
    A: start TLS
    H: tls
    ";

#[test]
fn the_session_starts_anew_under_tls() {
    let hello = HELLO.replace("S: 250 HELP", "S: 250-REQUIRETLS\nS: 250 HELP");
    let hello = hello.replace("S: 220 bcd.com ESMTP Stagepost", "");
    offering(&format!(
        "
        C: MAIL FROM:<a@a.example>
        S: 250 2.1.0 Sender ok
        {TLS}
        C: RCPT TO:<b1@bcd.com>
        S: 503 5.5.1 MAIL comes before RCPT
        C: MAIL FROM:<a@a.example>
        S: 503 5.5.1 Say EHLO or HELO first
        {hello}
        C: STARTTLS
        S: 503 5.5.1 TLS is on already
        C: MAIL FROM:<a@a.example> REQUIRETLS
        S: 250 2.1.0 Sender ok"
    ));
}

#[test]
fn what_follows_starttls_in_the_clear_is_dropped() {
    offering(
        "
        C: STARTTLS
        C: EHLO intruder.example
        C: MAIL FROM:<intruder@a.example>
        C~ RCPT TO:<b
        S: 220 2.0.0 Go ahead with TLS
        A: start TLS
        H: tls
        C: MAIL FROM:<a@a.example>
        S: 503 5.5.1 Say EHLO or HELO first",
    );
}

#[test]
fn a_handshake_that_does_not_end_is_left_without_a_word() {
    offering(
        "
        C: STARTTLS
        S: 220 2.0.0 Go ahead with TLS
        A: start TLS
        H: shutdown
        @ +59s
        @ +1s
        A: close",
    );
    offering(&format!(
        "{}
        S: 421 4.3.2 The service is going down; come back later
        A: close",
        TLS.replace("H: tls", "H: shutdown\nH: tls")
    ));
}

#[test]
fn starttls_is_refused_where_it_is_not_offered() {
    after_hello(
        "
        C: STARTTLS
        S: 502 5.5.1 STARTTLS is not offered
        C: STARTTLS now
        S: 501 5.5.4 This command takes no argument",
    );
}

#[test]
fn tls_may_come_before_the_greeting() {
    play_with(
        settings(),
        "
        H: naming
        S: 220 bcd.com ESMTP Stagepost
        A: resolve
        H: tls
        H: resolved none
        C: STARTTLS
        S: 503 5.5.1 TLS is on already",
    );
}
