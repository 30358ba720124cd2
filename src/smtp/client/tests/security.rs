//! STARTTLS: what was said in the clear is forgotten, and nothing may be slipped in.

use crate::smtp::client::dialogue::play;

/// After EHLO, with STARTTLS said.
fn securing(script: &str) {
    play(&format!(
        "
        S: 220 xyz.com
        C: EHLO bcd.com
        S: 250-xyz.com
        S: 250-PIPELINING
        S: 250 STARTTLS
        E: ready
        H: starttls
        C: STARTTLS
        {script}"
    ));
}

#[test]
fn ehlo_is_said_anew_under_tls() {
    securing(
        "
        S: 220 go ahead
        E: start TLS
        H: tls
        C: EHLO bcd.com
        S: 250-xyz.com
        S: 250 REQUIRETLS
        E: ready
        H: start tls x1@xyz.com
        C: MAIL FROM:<b1@bcd.com> REQUIRETLS",
    );
}

#[test]
fn a_refused_starttls_leaves_the_session_ready() {
    securing(
        "
        S: 454 4.7.0 no certificate
        E: no TLS: 454 4.7.0 no certificate
        H: start x1@xyz.com
        C: MAIL FROM:<b1@bcd.com>
        C: RCPT TO:<x1@xyz.com>
        C: DATA",
    );
}

#[test]
fn words_slipped_in_before_the_handshake_break_the_connection() {
    let reason = "broken: the server went on in the clear after its reply to STARTTLS";
    securing(&format!("S: 220 go ahead\nS: 250 PIPELINING\nE: start TLS\nE: {reason}"));
    securing(&format!("S: 220 go ahead\nS~ 2\nE: start TLS\nE: {reason}"));
}

#[test]
fn a_handshake_has_its_time() {
    securing(
        "
        S: 220 go ahead
        E: start TLS
        @ +59s
        @ +1s
        E: broken: the TLS handshake takes too long",
    );
    securing("S: 250 what?\nE: broken: 250 is no reply to STARTTLS");
}

#[test]
fn starttls_is_not_said_where_it_is_not_offered() {
    play(
        "
        S: 220 xyz.com
        C: EHLO bcd.com
        S: 250-xyz.com
        S: 250 REQUIRETLS
        E: ready
        H: starttls
        H: start tls x1@xyz.com
        E: no 550 5.7.30 The next host does not offer REQUIRETLS",
    );
}
