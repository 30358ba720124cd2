//! AUTH: where it is offered, how it fails, what it costs to guess.

use super::HELLO;
use crate::smtp::server::dialogue::{play_with, settings};
use crate::smtp::server::{AuthOffer, Settings};

fn offering(in_the_clear: bool) -> Settings {
    let offer = AuthOffer { nonce: [3; 32], secret: [4; 32], in_the_clear, lacks_users: false };
    Settings { auth: Some(offer), starttls: true, ..settings() }
}

/// After EHLO under TLS.
fn under_tls(script: &str) {
    let rest = HELLO.replace("S: 220 bcd.com ESMTP Stagepost", "");
    let rest =
        rest.replace("S: 250 HELP", "S: 250-REQUIRETLS\nS: 250-AUTH SCRAM-SHA-256 PLAIN LOGIN\nS: 250 HELP");
    let start = "S: 220 bcd.com ESMTP Stagepost
        C: STARTTLS
        S: 220 2.0.0 Go ahead with TLS
        A: start TLS
        H: tls";
    play_with(offering(false), &format!("{start}\n{rest}\n{script}"));
}

#[test]
fn a_password_is_taken_by_plain_and_login() {
    under_tls(
        "
        C: AUTH PLAIN AGIxAHNlY3JldA==
        A: b1@bcd.com authenticated
        S: 235 2.7.0 Welcome
        C: AUTH PLAIN AGIxAHNlY3JldA==
        S: 503 5.5.1 You are authenticated already
        C: MAIL FROM:<b1@bcd.com> AUTH=<>
        S: 250 2.1.0 Sender ok",
    );
    under_tls(
        "
        C: auth plain
        S: 334
        C: AGIxAHNlY3JldA==
        A: b1@bcd.com authenticated
        S: 235 2.7.0 Welcome",
    );
    under_tls(
        "
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: YjE=
        S: 334 UGFzc3dvcmQ6
        C: c2VjcmV0
        A: b1@bcd.com authenticated
        S: 235 2.7.0 Welcome",
    );
}

#[test]
fn who_may_be_a_user_of_a_later_version_is_told_to_come_again() {
    let mut settings = offering(true);
    settings.auth.iter_mut().for_each(|offer| offer.lacks_users = true);
    let hello =
        HELLO.replace("S: 250 HELP", "S: 250-STARTTLS\nS: 250-AUTH SCRAM-SHA-256 PLAIN LOGIN\nS: 250 HELP");
    let script = "
        C: AUTH PLAIN AGIxAHdyb25n
        A: b1 failed
        @ +3s
        S: 454 4.7.0 Not a user at the moment; try again later";
    play_with(settings, &format!("{hello}\n{script}"));
}

#[test]
fn guessing_takes_longer_each_time_and_ends_soon() {
    under_tls(
        "
        C: AUTH PLAIN AGIxAHdyb25n
        A: b1 failed
        C: NOOP
        @ +2s
        @ +1s
        S: 535 5.7.8 No such user, or not the password
        H: go on
        S: 250 2.0.0 Ok
        C: AUTH PLAIN AGIyAHNlY3JldA==
        A: b2 failed
        @ +5s
        @ +1s
        S: 535 5.7.8 No such user, or not the password
        C: AUTH PLAIN AGIxAHdyb25n
        A: b1 failed
        @ +8s
        @ +1s
        S: 421 4.7.0 Too many failures; good bye
        A: close",
    );
}

#[test]
fn what_is_no_response_is_told() {
    under_tls(
        "
        C: AUTH GSSAPI
        S: 504 5.5.4 There is no such mechanism here
        C: AUTH SCRAM-SHA-256-PLUS
        S: 504 5.5.4 There is no such mechanism here
        C: AUTH PLAIN !
        S: 501 5.5.2 This is no base64
        C: AUTH PLAIN =
        S: 501 5.5.2 This is no response of the mechanism
        C: AUTH PLAIN
        S: 334
        C: *
        S: 501 5.7.0 AUTH is cancelled
        C: AUTH PLAIN
        S: 334
        C: a\\nb
        S: 500 5.5.2 Refused: a bare LF is in the line; only CRLF ends a line
        C: AUTH LOGIN YjE=
        S: 501 5.5.4 AUTH LOGIN takes no initial response
        C: MAIL FROM:<b1@bcd.com>
        S: 250 2.1.0 Sender ok
        C: AUTH PLAIN
        S: 503 5.5.1 A transaction is open",
    );
}

#[test]
fn nobody_shows_a_password_in_the_clear_unasked() {
    let hello = HELLO.replace("S: 250 HELP", "S: 250-STARTTLS\nS: 250 HELP");
    play_with(
        offering(false),
        &format!(
            "{hello}
            C: AUTH PLAIN AGIxAHNlY3JldA==
            S: 538 5.7.11 Say STARTTLS first"
        ),
    );
    let hello =
        HELLO.replace("S: 250 HELP", "S: 250-STARTTLS\nS: 250-AUTH SCRAM-SHA-256 PLAIN LOGIN\nS: 250 HELP");
    play_with(
        Settings { tolerant: true, ..offering(true) },
        &format!(
            "{hello}
            C: AUTH LOGIN YjE=
            S: 334 UGFzc3dvcmQ6
            C~ c2VjcmV0\\n
            A: b1@bcd.com authenticated
            S: 235 2.7.0 Welcome"
        ),
    );
    play_with(
        settings(),
        &format!(
            "{HELLO}
            C: AUTH PLAIN AGIxAHNlY3JldA==
            S: 502 5.5.1 AUTH is not offered
            C: MAIL FROM:<a@a.example> AUTH=<>
            S: 555 5.5.4 AUTH is not offered"
        ),
    );
    play_with(
        offering(true),
        "
        S: 220 bcd.com ESMTP Stagepost
        C: HELO a.example
        S: 250 bcd.com Hello a.example
        C: AUTH PLAIN
        S: 503 5.5.1 Say EHLO first",
    );
}
