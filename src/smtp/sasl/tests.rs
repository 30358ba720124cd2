//! Exchanges: the example of RFC 7677, both sides against one another, wrong passwords, forged messages.

use data_encoding::BASE64;

use super::*;
use crate::mail::Address;

const SECRET: [u8; 32] = [7; 32];

fn account(name: &str) -> Option<Account> {
    let user = Address::parse("b1@bcd.com").unwrap();
    (name == "b1").then(|| Account { user, verifier: Verifier::new("pass,=word", [1; 16]) })
}

fn exchange(mechanism: Mechanism) -> Exchange {
    Exchange::new(mechanism, "SERVERNONCE".to_owned(), SECRET, None)
}

fn decided(verdict: Verdict) -> Verdict {
    if let Verdict::Check(check) = verdict { check.run() } else { verdict }
}

/// The client's response, derived at once where it must be.
fn said(client: &mut Login, challenge: &[u8]) -> Result<Vec<u8>, &'static str> {
    client.respond(challenge).map(|step| match step {
        Step::Say(response) => response,
        Step::Derive(derivation) => client.derived(derivation.run()).unwrap(),
    })
}

/// Lets a client log in; the verdict, and whether the client believes it.
fn login(mechanism: Mechanism, user: &str, password: &str) -> (Verdict, bool) {
    let credentials = Credentials { user: user.to_owned(), password: password.to_owned() };
    let mut client = Login::new(mechanism, credentials, "CLIENTNONCE".to_owned()).unwrap();
    let mut server = exchange(mechanism);
    let mut response =
        client.initial().unwrap_or_else(|| said(&mut client, server.first_challenge()).unwrap());
    loop {
        match decided(server.respond(&response, account)) {
            Verdict::Challenge(challenge) => response = said(&mut client, &challenge).unwrap(),
            verdict => return (verdict, client.is_done()),
        }
    }
}

#[test]
fn the_right_password_is_admitted_by_every_mechanism() {
    let b1 = Address::parse("b1@bcd.com").unwrap();
    for mechanism in [Mechanism::Plain, Mechanism::Login, Mechanism::ScramSha256] {
        let (verdict, believed) = login(mechanism, "b1", "pass,=word");
        assert_eq!((verdict, believed), (Verdict::Admitted(b1.clone()), true), "{mechanism}");
        for (user, password) in [("b1", "wrong"), ("b2", "pass,=word"), ("a,=b", "x")] {
            let (verdict, _) = login(mechanism, user, password);
            assert_eq!(verdict, Verdict::Refused { user: user.to_owned() }, "{mechanism} {user}");
        }
    }
}

#[test]
fn the_example_of_rfc_7677() {
    let credentials = Credentials { user: "user".to_owned(), password: "pencil".to_owned() };
    let nonce = "rOprNGfwEbeRWgbNEkqO".to_owned();
    let mut client = Login::new(Mechanism::ScramSha256, credentials, nonce).unwrap();
    assert_eq!(client.initial().unwrap(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    let challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    let last = said(&mut client, challenge).unwrap();
    assert_eq!(
        String::from_utf8(last).unwrap(),
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    assert!(!client.is_done());
    assert_eq!(said(&mut client, b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(Vec::new()));
    assert!(client.is_done());
}

#[test]
fn a_server_that_cannot_prove_itself_is_not_believed() {
    for (challenge, caption) in [
        (&b"r=OTHERNONCE,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"[..], "another nonce"),
        (b"r=CLIENT,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "our nonce and nothing more"),
        (b"r=CLIENTx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1", "too few iterations"),
        (b"r=CLIENTx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4000000000", "too many iterations"),
        (b"r=CLIENTx,i=4096,s=W22ZaJ0SNY7soEsUEjb6gQ==", "another order"),
        (b"m=x,r=CLIENTx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", "an extension that must be known"),
        (b"\xff", "no text"),
    ] {
        let credentials = Credentials { user: "b1".to_owned(), password: "x".to_owned() };
        let mut client = Login::new(Mechanism::ScramSha256, credentials, "CLIENT".to_owned()).unwrap();
        client.initial().unwrap();
        assert!(client.respond(challenge).is_err(), "{caption}");
    }
    let credentials = Credentials { user: "b1".to_owned(), password: "x".to_owned() };
    let mut client = Login::new(Mechanism::ScramSha256, credentials, "CLIENT".to_owned()).unwrap();
    client.initial().unwrap();
    said(&mut client, b"r=CLIENTx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096").unwrap();
    assert!(client.respond(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").is_err());
}

#[test]
fn a_binding_must_be_of_this_connection() {
    let bound =
        |mechanism| Exchange::new(mechanism, "S".to_owned(), SECRET, Some(b"this connection".to_vec()));
    let verdict = |binding: &[u8]| {
        let mut server = bound(Mechanism::ScramSha256Plus);
        let header = "p=tls-exporter,,";
        let first = format!("{header}n=b1,r=C");
        let Verdict::Challenge(challenge) = server.respond(first.as_bytes(), account) else { panic!() };
        let challenge = String::from_utf8(challenge).unwrap();
        let verifier = Verifier::new("pass,=word", [1; 16]);
        let salted = verifier::salted_password("pass,=word", &[1; 16], verifier.iterations);
        let client_key = verifier::sign(&salted, b"Client Key");
        let without_proof = format!("c={},r=CS", scram::channel(header, Some(binding)));
        let said = format!("n=b1,r=C,{challenge},{without_proof}");
        let proof = scram::proof(&client_key, &verifier.stored_key, &said);
        server.respond(format!("{without_proof},p={}", BASE64.encode(&proof)).as_bytes(), account)
    };
    assert!(matches!(verdict(b"this connection"), Verdict::Challenge(_)));
    assert_eq!(verdict(b"another connection"), Verdict::Refused { user: "b1".to_owned() });
    // A client that could bind but was told that we cannot.
    let mut server = bound(Mechanism::ScramSha256);
    assert_eq!(server.respond(b"y,,n=b1,r=C", account), Verdict::Malformed);
}

#[test]
fn malformed_responses_are_malformed() {
    for (mechanism, response) in [
        (Mechanism::Plain, &b"b1"[..]),
        (Mechanism::Plain, b"\0b1\0"),
        (Mechanism::Plain, b"\0\0x"),
        (Mechanism::Plain, b"\0b1\0x\0y"),
        (Mechanism::Plain, b"\xff"),
        (Mechanism::Login, b""),
        (Mechanism::Login, b"a\0b"),
        (Mechanism::ScramSha256, b""),
        (Mechanism::ScramSha256, b"n,,n=b1"),
        (Mechanism::ScramSha256, b"n,,r=x,n=b1"),
        (Mechanism::ScramSha256, b"n,,n=b=1,r=x"),
        (Mechanism::ScramSha256, b"n,,n=,r=x"),
        (Mechanism::ScramSha256, b"n,,n=b1,r="),
        (Mechanism::ScramSha256, b"p=tls-exporter,,n=b1,r=x"),
        (Mechanism::ScramSha256Plus, b"n,,n=b1,r=x"),
        (Mechanism::ScramSha256Plus, b"p=tls-exporter,,n=b1,r=x"),
    ] {
        assert_eq!(exchange(mechanism).respond(response, account), Verdict::Malformed, "{response:?}");
    }
}

#[test]
fn nobody_speaks_for_others() {
    let refused = Verdict::Refused { user: "b1".to_owned() };
    assert_eq!(exchange(Mechanism::Plain).respond(b"root\0b1\0pass,=word", account), refused);
    let own = decided(exchange(Mechanism::Plain).respond(b"b1\0b1\0pass,=word", account));
    assert!(matches!(own, Verdict::Admitted(_)));
}

#[test]
fn an_unknown_user_has_a_salt_that_stays() {
    let challenge = || {
        let mut server = exchange(Mechanism::ScramSha256);
        server.respond(b"n,,n=nobody,r=x", account)
    };
    assert_eq!(challenge(), challenge());
}

#[test]
fn a_verifier_is_kept_as_text() {
    let verifier = Verifier::new("secret", [9; 16]);
    let text = verifier.to_string();
    assert!(text.starts_with("SCRAM-SHA-256$") && !text.contains("secret"));
    assert_eq!(Verifier::parse(&text).unwrap(), verifier);
    assert!(verifier.accepts("secret") && !verifier.accepts("Secret"));
    for bad in ["", "SCRAM-SHA-256$0:AA==$AA==:AA==", "SCRAM-SHA-1$1:AA==$AA==:AA==", &text[..text.len() - 2]]
    {
        assert_eq!(Verifier::parse(bad), None, "{bad}");
    }
}
