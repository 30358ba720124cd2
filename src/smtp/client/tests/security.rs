//! STARTTLS: what was said in the clear is forgotten, and nothing may be slipped in. AUTH: each mechanism,
//! refusals, servers that do not prove themselves.

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
    securing(
        "
        S: 220 go ahead
        E: start TLS
        H: tls
        C: EHLO bcd.com
        S: 250 xyz.com
        E: ready
        H: start tls x1@xyz.com
        E: own 550 5.7.30 the mail requires TLS all the way, and it does not offer REQUIRETLS",
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
        E: own 550 5.7.10 the mail requires TLS all the way (REQUIRETLS), and there is none",
    );
}

/// After EHLO, where `mechanisms` are offered.
fn offered(mechanisms: &str, script: &str) {
    play(&format!(
        "
        S: 220 xyz.com
        C: EHLO bcd.com
        S: 250-xyz.com
        S: 250 AUTH {mechanisms}
        E: ready
        {script}"
    ));
}

#[test]
fn the_best_mechanism_is_taken() {
    offered(
        "LOGIN PLAIN",
        "
        H: login secret
        C: AUTH PLAIN AGIxAHNlY3JldA==
        S: 235 2.7.0 welcome
        E: authenticated
        T: 220 xyz.com | >>> EHLO bcd.com | 250-xyz.com | 250 AUTH LOGIN PLAIN \
           | >>> AUTH PLAIN (secret) | 235 2.7.0 welcome
        H: start x1@xyz.com
        C: MAIL FROM:<b1@bcd.com>",
    );
    offered(
        "LOGIN",
        "
        H: login secret
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: YjE=
        S: 334 UGFzc3dvcmQ6
        C: c2VjcmV0
        S: 235 2.7.0 welcome
        E: authenticated",
    );
}

#[test]
fn a_refused_login_is_told() {
    offered(
        "PLAIN",
        "
        H: login wrong
        C: AUTH PLAIN AGIxAHdyb25n
        S: 535 5.7.8 no
        E: not authenticated: 535 5.7.8 no
        H: quit
        C: QUIT",
    );
    offered(
        "GSSAPI",
        "
        H: login secret
        E: not authenticated: 504 5.7.4 The next host offers no way to authenticate that we know",
    );
}

#[test]
fn a_server_that_asks_strange_things_is_left() {
    let first = "H: login x\nC: AUTH SCRAM-SHA-256 biwsbj1iMSxyPXJPcHJOR2Z3RWJlUldnYk5Fa3FP\n";
    for (said, reason) in [
        ("235 2.7.0 welcome", "the server let us in without proving itself"),
        ("334 !", "the challenge is no base64"),
        ("334 cj14", "the server's SCRAM challenge is malformed"),
        ("250 ok", "250 is no reply to AUTH"),
    ] {
        offered("SCRAM-SHA-256 PLAIN", &format!("{first}S: {said}\nE: broken: {reason}"));
    }
    offered(
        "PLAIN",
        "
        H: login x
        C: AUTH PLAIN AGIxAHg=
        S: 334 more
        E: broken: the server asks for more than the mechanism has",
    );
}

#[test]
fn a_server_of_scram_has_to_prove_itself() {
    // The example of RFC 7677, with our user.
    let exchange = |last: &str| {
        format!(
            "
            H: login pencil
            C: AUTH SCRAM-SHA-256 biwsbj1iMSxyPXJPcHJOR2Z3RWJlUldnYk5Fa3FP
            S: 334 cj1yT3ByTkdmd0ViZVJXZ2JORWtxT3gscz1XMjJaYUowU05ZN3NvRXNVRWpiNmdRPT0saT00MDk2
            C: {}
            {last}",
            proof("pencil")
        )
    };
    offered("SCRAM-SHA-256", &exchange("S: 535 5.7.8 no\nE: not authenticated: 535 5.7.8 no"));
    offered(
        "SCRAM-SHA-256 PLAIN",
        &exchange("S: 334 dj1BQUFB\nE: broken: the server did not prove that it knows the user"),
    );
}

/// What a client says of this password to the challenge above, made by the other half of the exchange.
fn proof(password: &str) -> String {
    use crate::smtp::sasl::{Credentials, Login, Mechanism, Step};
    let credentials = Credentials { user: "b1".to_owned(), password: password.to_owned() };
    let mut login =
        Login::new(Mechanism::ScramSha256, credentials, "rOprNGfwEbeRWgbNEkqO".to_owned()).unwrap();
    login.initial().unwrap();
    let challenge = b"r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let Ok(Step::Derive(derivation)) = login.respond(challenge) else { panic!("SCRAM derives") };
    data_encoding::BASE64.encode(&login.derived(derivation.run()).unwrap())
}
