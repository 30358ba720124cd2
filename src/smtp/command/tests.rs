//! What commands are taken, and what the others are told.

use super::*;
use crate::mail::{Body, Notify, Ret};

/// The reply to a line that is refused.
fn refusal(line: &str) -> String {
    match parse(line.as_bytes()) {
        Err(reply) => reply.to_string(),
        Ok(command) => panic!("{line:?} is taken as {command:?}"),
    }
}

/// What a path means, `MAIL FROM:` or `RCPT TO:`.
fn meaning(line: &str) -> String {
    match parse(line.as_bytes()) {
        Ok(Command::Mail(path, _)) => path.to_string(),
        Ok(Command::Rcpt(ForwardPath::Address(address), _)) => address.to_string(),
        Ok(Command::Rcpt(ForwardPath::Postmaster(user), _)) => format!("({user})"),
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn paths_have_one_meaning() {
    for (line, means) in [
        ("MAIL FROM:<>", ""),
        ("mail from:<b1@BCD.com>", "b1@bcd.com"),
        ("MAIL FROM:<@a.example,@b.example:b1@bcd.com>", "b1@bcd.com"),
        ("RCPT TO:<\"b1\"@bcd.com>", "b1@bcd.com"),
        ("RCPT TO:<\"a>b\\\"c\"@bcd.com>", "\"a>b\\\"c\"@bcd.com"),
        ("RCPT TO:<x%y.example@bcd.com>", "x%y.example@bcd.com"),
        ("RCPT TO:<b1@[192.0.2.1]>", "b1@[192.0.2.1]"),
        ("RCPT TO:<b1@[IPv6:2001:DB8::1]>", "b1@[IPv6:2001:db8::1]"),
        ("RCPT TO:<Postmaster>", "(Postmaster)"),
        ("RCPT TO:<\"postmaster\">", "(postmaster)"),
        ("RCPT TO:<postmaster@bcd.com>", "postmaster@bcd.com"),
    ] {
        assert_eq!(meaning(line), means, "{line}");
    }
}

#[test]
fn a_malformed_path_is_told_what_is_wrong() {
    for (line, told) in [
        ("MAIL", "501 5.5.2 Write MAIL FROM:<address>: FROM: does not follow"),
        ("MAIL FROM <a@b.example>", "501 5.5.2 Write MAIL FROM:<address>: FROM: does not follow"),
        ("MAIL  FROM:<a@b.example>", "501 5.5.2 Write MAIL FROM:<address>: FROM: does not follow"),
        ("MAIL FROM: <a@b.example>", "501 5.5.2 Write MAIL FROM:<address>: no space may follow the colon"),
        (
            "MAIL FROM:a@b.example",
            "501 5.5.2 Write MAIL FROM:<address>: the address stands in angle brackets",
        ),
        ("MAIL FROM:<a@b.example", "501 5.5.2 Write MAIL FROM:<address>: the closing > is missing"),
        (
            "MAIL FROM:<a@b.example>SIZE=1",
            "501 5.5.2 Write MAIL FROM:<address>: a space stands between > and the parameters",
        ),
        ("MAIL FROM:<a>", "501 5.1.7 the address has no @"),
        ("MAIL FROM:<a@b c.example>", "501 5.1.7 the domain is no host name"),
        (
            "MAIL FROM:<<a@b.example>>",
            "501 5.5.2 Write MAIL FROM:<address>: a space stands between > and the parameters",
        ),
        ("RCPT FROM:<a@b.example>", "501 5.5.2 Write RCPT TO:<address>: TO: does not follow"),
        ("RCPT TO:<>", "501 5.1.3 The recipient's address is missing"),
        ("RCPT TO:<b1>", "501 5.1.3 the address has no @"),
        ("RCPT TO:<@a.example>", "501 5.1.3 the source route is malformed"),
        ("RCPT TO:<@a.example:>", "501 5.1.3 the source route is malformed"),
        ("RCPT TO:<@a b:x@y.example>", "501 5.1.3 the source route is malformed"),
        ("RCPT TO:<a@b.example@c.example>", "501 5.1.3 the local part has characters that need quoting"),
        ("MAIL FROM:<é@b.example>", "553 5.6.7 An address beyond ASCII needs SMTPUTF8"),
    ] {
        assert_eq!(refusal(line), told, "{line}");
    }
}

#[test]
fn mail_parameters_are_read() {
    let line =
        b"MAIL FROM:<a@b.example> size=99 BODY=8bitmime RET=hdrs ENVID=x+2By SMTPUTF8 REQUIRETLS AUTH=<>";
    let Ok(Command::Mail(_, parameters)) = parse(line) else { panic!() };
    let expected = MailParameters {
        size: Some(99),
        body: Body::EightBitMime,
        ret: Some(Ret::Headers),
        envid: Some("x+2By".to_owned()),
        smtputf8: true,
        require_tls: true,
        auth: true,
    };
    assert_eq!(parameters, expected);
}

#[test]
fn rcpt_parameters_are_read() {
    let line = b"RCPT TO:<a@b.example> NOTIFY=failure,DELAY ORCPT=rfc822;a+2Bc@b.example";
    let Ok(Command::Rcpt(_, parameters)) = parse(line) else { panic!() };
    assert_eq!(parameters.notify, Some(Notify { success: false, failure: true, delay: true }));
    assert_eq!(parameters.orcpt.as_deref(), Some("rfc822;a+2Bc@b.example"));
    for (said, kept) in [
        ("rfc822;j+C3+B6rg@b.example", "rfc822;j+C3+B6rg@b.example"),
        ("utf-8;jörg@b.example", "utf-8;j\\x{F6}rg@b.example"),
        ("utf-8;j\\x{F6}rg@b.example", "utf-8;j\\x{F6}rg@b.example"),
    ] {
        let line = format!("RCPT TO:<a@b.example> ORCPT={said}");
        let Ok(Command::Rcpt(_, parameters)) = parse(line.as_bytes()) else { panic!("{line}") };
        assert_eq!(parameters.orcpt.as_deref(), Some(kept));
    }
    let Ok(Command::Rcpt(_, parameters)) = parse(b"RCPT TO:<a@b.example> NOTIFY=NEVER") else { panic!() };
    assert_eq!(parameters.notify, Some(Notify::NEVER));
}

#[test]
fn the_longest_parameters_are_taken() {
    let envid = "x".repeat(100);
    let line = format!("MAIL FROM:<a@b.example> RET=FULL ENVID={envid} REQUIRETLS");
    let Ok(Command::Mail(_, parameters)) = parse(line.as_bytes()) else { panic!() };
    assert_eq!(parameters.envid, Some(envid));
    let orcpt = format!("rfc822;{}", "x".repeat(493));
    let local = "l".repeat(64);
    let line = format!("RCPT TO:<{local}@b.example> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT={orcpt}");
    let Ok(Command::Rcpt(_, parameters)) = parse(line.as_bytes()) else { panic!() };
    assert_eq!(parameters.orcpt, Some(orcpt));
}

#[test]
fn a_bad_parameter_is_told_what_is_wrong() {
    let long_envid = format!("ENVID={}", "x".repeat(101));
    for (parameters, told) in [
        ("FOO", "555 5.5.4 FOO is no parameter of MAIL here"),
        ("foo=bar", "555 5.5.4 FOO is no parameter of MAIL here"),
        ("NOTIFY=NEVER", "555 5.5.4 NOTIFY is no parameter of MAIL here"),
        ("SIZE", "501 5.5.4 SIZE needs a value"),
        ("SIZE=", "501 5.5.4 SIZE has a malformed value"),
        ("SIZE=x", "501 5.5.4 SIZE is a number of at most 20 digits"),
        ("SIZE=-1", "501 5.5.4 SIZE is a number of at most 20 digits"),
        ("SIZE=1 SIZE=1", "501 5.5.4 SIZE is given twice"),
        ("BODY=BINARYMIME", "504 5.5.4 BODY=BINARYMIME is not implemented"),
        ("BODY=9BIT", "501 5.5.4 BODY is 7BIT or 8BITMIME"),
        ("RET=SOME", "501 5.5.4 RET is FULL or HDRS"),
        ("ENVID=a+0Db", "501 5.5.4 ENVID is no xtext of printable characters"),
        ("ENVID=a+2", "501 5.5.4 ENVID is no xtext of printable characters"),
        ("ENVID=a+2b", "501 5.5.4 ENVID is no xtext of printable characters"),
        (&long_envid, "501 5.5.4 ENVID is longer than 100 bytes"),
        ("AUTH=a+0A", "501 5.5.4 AUTH is <> or a mailbox as xtext"),
        ("SMTPUTF8=yes", "501 5.5.4 SMTPUTF8 takes no value"),
        ("SIZE=1  BODY=7BIT", "501 5.5.4 The parameters are malformed"),
        ("-x=1", "501 5.5.4 The parameters are malformed"),
    ] {
        assert_eq!(refusal(&format!("MAIL FROM:<a@b.example> {parameters}")), told, "{parameters}");
    }
    for (parameters, told) in [
        ("SIZE=1", "555 5.5.4 SIZE is no parameter of RCPT here"),
        ("NOTIFY=NEVER,DELAY", "501 5.5.4 NOTIFY is NEVER, or of SUCCESS,FAILURE,DELAY"),
        ("NOTIFY=DELAY,DELAY", "501 5.5.4 NOTIFY names one thing twice"),
        ("ORCPT=x", "501 5.5.4 ORCPT is TYPE;ADDRESS"),
        ("ORCPT=;x", "501 5.5.4 ORCPT is TYPE;ADDRESS with the address as xtext"),
        ("ORCPT=rfc822;a+0A", "501 5.5.4 ORCPT is TYPE;ADDRESS with the address as xtext"),
        ("ORCPT=rfc822;a+C3", "501 5.5.4 ORCPT is TYPE;ADDRESS with the address as xtext"),
    ] {
        assert_eq!(refusal(&format!("RCPT TO:<a@b.example> {parameters}")), told, "{parameters}");
    }
}

#[test]
fn greetings_may_claim_any_printable_word() {
    for (line, claimed) in [
        ("EHLO bcd.com", "bcd.com"),
        ("EHLO BCD.com.", "bcd.com"),
        ("EHLO my_laptop", "my_laptop"),
        ("EHLO [192.0.2.1]", "[192.0.2.1]"),
        ("EHLO 192.0.2.1", "192.0.2.1"),
        ("EHLO .", "."),
    ] {
        let Ok(Command::Ehlo(claim)) = parse(line.as_bytes()) else { panic!("{line}") };
        assert_eq!(claim.to_string(), claimed, "{line}");
    }
    for bad in ["EHLO", "HELO ", "EHLO a b", "EHLO a(b)", "EHLO <a>", "HELO a\tb", "HELO \"", "EHLO é"] {
        assert!(refusal(bad).starts_with("501 5.5."), "{bad}");
    }
    assert!(refusal(&format!("EHLO {}", "x".repeat(256))).starts_with("501 5.5.4"));
}

#[test]
fn other_commands_say_what_they_lack() {
    for (line, told) in [
        ("DATA now", "501 5.5.4 This command takes no argument"),
        ("RSET x", "501 5.5.4 This command takes no argument"),
        ("QUIT x", "501 5.5.4 This command takes no argument"),
        ("ETRN x", "502 5.5.1 This command is not implemented"),
        ("AUTH", "501 5.5.4 Write AUTH mechanism, or AUTH mechanism response"),
        ("AUTH PLAIN a b", "501 5.5.4 Write AUTH mechanism, or AUTH mechanism response"),
        ("FOO", "500 5.5.2 There is no such command"),
        (" NOOP", "500 5.5.2 The line is empty; a command was expected"),
        ("NOOP é", "501 5.5.2 Only addresses may go beyond ASCII"),
        ("VRFY", "501 5.5.4 VRFY needs a user or an address"),
    ] {
        assert_eq!(refusal(line), told, "{line}");
    }
}
