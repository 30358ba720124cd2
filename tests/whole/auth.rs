//! AUTH met by others' programs: swaks, msmtp, Python's smtplib, gsasl and openssl as users who send from
//! anywhere; what an address and a user may do; that a password stays nowhere.

use std::process::{Output, Stdio};
use std::time::Duration;

use crate::lab::peers::{gsasl, msmtp, swaks};
use crate::lab::{BCD, Dialogue, Host, Remote, Reply, Stagepost};
use crate::world::{BOTH, world};

/// The PC is nobody's client.
const CONFIG: &str = "box name abc.com\nbox address 203.0.113.1\nbox nameserver 203.0.113.53\n\
    domain abc.com address 203.0.113.1\n\
    domain bcd.com address 203.0.113.70\n\
    domain bcd.com mailbox b2\n\
    domain bcd.com user b1 password \"open sesame\" # typed once\n\
    domain bcd.com user b2 password other\n\
    domain bcd.com user b1 sends-as info@bcd.com\n";

/// What a Python program prints that talks SMTP.
fn python(from: &Host, program: &str) -> String {
    let output = from.command("python3", &["-c", program]).output().unwrap();
    told(&output)
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// `text` in base64, as AUTH wants it.
fn base64(text: &str) -> String {
    data_encoding::BASE64.encode(text.as_bytes())
}

/// Waits for the message and sees how it says it came.
fn came_with(box_: &Stagepost, subject: &str, protocol: &str) {
    let message = box_.mailbox_message("bcd.com", "b2", subject);
    assert!(message.received().contains(&format!(" with {protocol} id ")), "{}", message.raw);
}

#[test]
fn swaks_and_msmtp_and_smtplib_log_in_by_every_mechanism_they_know() {
    let Some(world) = world(BOTH) else { return };
    let box_ = Stagepost::start(&world.device, CONFIG);
    for (subject, options) in [
        ("swaks PLAIN", &["--auth", "PLAIN", "--tls", "--port", "587"][..]),
        ("swaks LOGIN", &["--auth", "LOGIN", "--tls-on-connect", "--port", "465"]),
        ("swaks on 25", &["--auth", "PLAIN", "--tls", "--port", "25"]),
    ] {
        let user = ["--auth-user", "b1", "--auth-password", "open sesame"];
        let args = ["--server", BCD, "--ehlo", "pc.example", "--from", "b1@bcd.com", "--to", "b2@bcd.com"];
        let header = format!("Subject: {subject}");
        let output = swaks(&world.pc, &[&args[..], &user, &["--header", &header], options].concat());
        assert!(output.status.success(), "{subject}: {}", told(&output));
        came_with(&box_, subject, "ESMTPSA");
    }
    for (mechanism, port, starttls) in [
        ("plain", "587", "on"),
        ("login", "465", "off"),
        ("scram-sha-256", "587", "on"),
        ("scram-sha-256", "465", "off"),
    ] {
        let subject = format!("msmtp {mechanism} on {port}");
        let (port, auth) = (format!("--port={port}"), format!("--auth={mechanism}"));
        let starttls = format!("--tls-starttls={starttls}");
        let args = [
            "--host=203.0.113.70",
            &port,
            "--tls=on",
            &starttls,
            "--tls-certcheck=off",
            &auth,
            "--user=b1@bcd.com",
            "--passwordeval=echo open sesame",
            "--from=info@bcd.com",
            "b2@bcd.com",
        ];
        let output = msmtp(&world.pc, &args, &format!("Subject: {subject}\n\nhello\n"));
        assert!(output.status.success(), "{subject}: {}", told(&output));
        came_with(&box_, &subject, "ESMTPSA");
    }
    let program = "
import smtplib, ssl
context = ssl._create_unverified_context()
for port, mechanism in [(465, 'plain'), (587, 'login'), (587, 'plain')]:
    s = smtplib.SMTP_SSL('203.0.113.70', port, context=context) if port == 465 else smtplib.SMTP('203.0.113.70', port)
    if port != 465:
        s.starttls(context=context)
    s.ehlo()
    s.user, s.password = 'b1@bcd.com', 'open sesame'
    s.auth(mechanism, getattr(s, 'auth_' + mechanism), initial_response_ok=mechanism == 'plain')
    s.sendmail('b1@bcd.com', ['b2@bcd.com'], f'Subject: smtplib {mechanism} on {port}\\n\\nhello\\n')
    s.quit()
print('done')";
    let said = python(&world.pc, program);
    assert!(said.ends_with("done\n"), "{said}");
    came_with(&box_, "smtplib plain on 465", "ESMTPSA");
    came_with(&box_, "smtplib login on 587", "ESMTPSA");
    box_.await_log("203.0.113.9: authenticated as b1@bcd.com");
}

#[test]
fn gnu_sasl_binds_its_login_to_the_connection() {
    let Some(world) = world(BOTH) else { return };
    let box_ = Stagepost::start(&world.device, CONFIG);
    let log_in = |mechanism: &str, password: &str| {
        let (mechanism, password) = (format!("--mechanism={mechanism}"), format!("--password={password}"));
        let args = [
            "--smtp",
            "--connect=203.0.113.70:587",
            &mechanism,
            "--authentication-id=b1@bcd.com",
            "--authorization-id=",
            &password,
            "--x509-ca-file=",
        ];
        told(&gsasl(&world.pc, &args))
    };
    let said = log_in("SCRAM-SHA-256-PLUS", "open sesame");
    assert!(said.contains("235 2.7.0 Welcome"), "{said}");
    box_.await_log("203.0.113.9: authenticated as b1@bcd.com");
    let said = log_in("SCRAM-SHA-256-PLUS", "open says me");
    assert!(said.contains("535 5.7.8 "), "{said}");
    // It could bind, and somebody seems to have told it that we cannot (RFC 5802 section 6).
    let said = log_in("SCRAM-SHA-256", "open sesame");
    assert!(!said.contains("235 "), "{said}");
}

#[test]
fn a_script_of_openssl_logs_in() {
    let Some(world) = world(BOTH) else { return };
    let box_ = Stagepost::start(&world.device, CONFIG);
    let plain = base64("\0b1@bcd.com\0open sesame");
    let script = format!(
        "(sleep 2; for line in 'EHLO pc.example' 'AUTH PLAIN {plain}' 'MAIL FROM:<b1@bcd.com>' \
         'RCPT TO:<b2@bcd.com>' 'DATA'; do printf '%s\\r\\n' \"$line\"; sleep 1; done; \
         printf 'Subject: openssl\\r\\n\\r\\nhello\\r\\n.\\r\\nQUIT\\r\\n'; sleep 1) | \
         openssl s_client -quiet -connect 203.0.113.1:465"
    );
    let output = world.pc.command("sh", &["-c", &script]).stdin(Stdio::null()).output().unwrap();
    let said = told(&output);
    assert!(said.contains("250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"), "{said}");
    assert!(said.contains("235 2.7.0 ") && said.contains("221 2.0.0 "), "{said}");
    came_with(&box_, "openssl", "ESMTPSA");
}

#[test]
fn a_user_sends_as_himself_and_the_mail_leaves_as_his_domain() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, crate::lab::XYZ, |_| Reply::Usual);
    let _box = Stagepost::start(&world.device, CONFIG);
    // Through the door that all domains share, and through another domain's.
    let program = "
import smtplib, ssl
context = ssl._create_unverified_context()
s = smtplib.SMTP_SSL('203.0.113.1', 465, context=context)
s.login('b1@bcd.com', 'open sesame')
for sender in ['b1@bcd.com', 'info@bcd.com', '', 'b2@bcd.com', 'a1@abc.com', 'x1@xyz.com']:
    s.ehlo_or_helo_if_needed()
    print(s.docmd(f'MAIL FROM:<{sender}>'))
    s.docmd('RSET')
s.sendmail('b1@bcd.com', ['x1@xyz.com'], 'Subject: mine\\n\\nhello\\n')
print(s.docmd('AUTH', 'PLAIN =')[0])
s.quit()";
    let said = python(&world.pc, program);
    assert_eq!(said.matches("(250, b'2.1.0 Sender ok')").count(), 3, "{said}");
    for other in ["b2@bcd.com", "a1@abc.com", "x1@xyz.com"] {
        let refusal = format!("(553, b'5.7.1 b1@bcd.com may not send as <{other}>')");
        assert!(said.contains(&refusal), "{other}: {said}");
    }
    assert!(said.ends_with("503\n"), "{said}");
    let taken = &remote.await_taken(1)[0];
    assert_eq!((taken.client.to_string().as_str(), taken.ehlo.as_str()), (BCD, "bcd.com"));
    let received = taken.message.received();
    assert!(received.contains(" with ESMTPSA id "), "{received}");
}

#[test]
fn what_is_wrong_with_an_auth_has_its_code() {
    let Some(world) = world(BOTH) else { return };
    let _box = Stagepost::start(&world.device, CONFIG);
    let mut clear = Dialogue::greeted(&world.pc, "203.0.113.70:587", "pc.example");
    clear.ask("AUTH PLAIN AGIxAHg=", "538 5.7.11 Say STARTTLS first");
    clear.ask("MAIL FROM:<b1@bcd.com>", "530 5.7.0 Authentication required; say STARTTLS first");
    clear.quit();
    let program = "
import smtplib, ssl, time
context = ssl._create_unverified_context()
s = smtplib.SMTP_SSL('203.0.113.70', 465, context=context)
print(s.docmd('AUTH', 'PLAIN'))
print(s.ehlo()[0])
print(s.docmd('MAIL', 'FROM:<b1@bcd.com>'))
print(s.docmd('AUTH', 'CRAM-MD5'))
print(s.docmd('AUTH', 'PLAIN ='))
began = time.monotonic()
print(s.docmd('AUTH', 'PLAIN AGIxAHg='))
print(s.docmd('AUTH', 'PLAIN AG5vYm9keQB4'))
print('waited', time.monotonic() - began >= 8)
s.quit()";
    let said = python(&world.pc, program);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "(503, b'5.5.1 Say EHLO first')",
            "250",
            "(530, b'5.7.0 Authentication required')",
            "(504, b'5.5.4 There is no such mechanism here')",
            "(501, b'5.5.2 This is no response of the mechanism')",
            "(535, b'5.7.8 No such user, or not the password')",
            "(535, b'5.7.8 No such user, or not the password')",
            "waited True",
        ]
    );
}

#[test]
fn a_typed_password_stays_nowhere() {
    let Some(world) = world(BOTH) else { return };
    let mut box_ = Stagepost::start(&world.device, CONFIG);
    let saved = box_.file("config");
    assert!(!saved.contains("sesame") && saved.contains("user b1 verifier SCRAM-SHA-256$"), "{saved}");
    assert!(saved.contains("domain bcd.com mailbox b2\n"), "the rest stays as it was: {saved}");
    // The many rounds of its verifier are not the event loop's work.
    let before = box_.thread_ran("clerk");
    box_.console_text(&["set", "domain", "bcd.com", "user", "b3", "pass", "qwertz"]);
    let ran = box_.thread_ran("clerk") - before;
    assert!(ran >= Duration::from_millis(1), "the clerk took {ran:?}");
    box_.console_text(&["set", "domain bcd.com route default 203.0.113.25:587 user u password hushhush"]);
    let changes = box_.console_text(&["show", "changes"]);
    assert!(changes.contains("+ domain bcd.com user b3 verifier SCRAM-SHA-256$"), "{changes}");
    assert!(changes.contains("user u password (hidden)"), "{changes}");
    box_.console_text(&["commit"]);
    let shown = box_.console_text(&["show", "config"]);
    assert!(shown.contains("user u password (hidden)"), "{shown}");
    let saved = box_.file("config");
    assert!(!saved.contains("qwertz") && saved.contains("user u password hushhush"), "{saved}");
    assert!(!(box_.file("config.history") + &box_.stderr()).contains("qwertz"));
    box_.stop();
    box_.restart();
    let mut login = Dialogue::greeted(&world.pc, "203.0.113.70:587", "pc.example");
    login.ask("NOOP", "250");
    assert!(!box_.stderr().contains("hushhush"));
}

#[test]
fn guesses_are_counted_and_an_address_that_goes_on_has_to_wait() {
    let Some(world) = world(BOTH) else { return };
    let box_ = Stagepost::start(&world.device, CONFIG);
    // Ten at once, from one address; their replies wait, and so does whoever comes next.
    let program = "
import smtplib, ssl, threading, time
context = ssl._create_unverified_context()
def session():
    s = smtplib.SMTP_SSL('203.0.113.70', 465, context=context)
    s.ehlo()
    return s
guesses = [threading.Thread(target=lambda: session().docmd('AUTH', 'PLAIN AGIxAHg='), daemon=True) for n in range(10)]
[guess.start() for guess in guesses]
for n in range(60):
    time.sleep(0.5)
    reply = session().docmd('AUTH', 'PLAIN AGIxAG9wZW4gc2VzYW1l')
    if reply[0] != 235:
        break
print(reply)";
    let said = python(&world.pc, program);
    assert!(said.starts_with("(454, b'4.7.0 Too many failures from your address; try again in "), "{said}");
    let status = box_.console(&["show", "status"]);
    assert_eq!(status["auth_failures"], 10);
    let alarms = status["alarms"].to_string();
    assert!(alarms.contains("AUTH failed 10 times for b1@bcd.com within 10 min"), "{alarms}");
    assert!(alarms.contains("AUTH failed 10 times from 203.0.113.9 within 10 min"), "{alarms}");
}

#[test]
fn a_named_client_logs_in_without_tls() {
    let Some(world) = world(BOTH) else { return };
    let config = format!("{CONFIG}domain bcd.com client 203.0.113.9 plaintext-auth\n");
    let box_ = Stagepost::start(&world.device, &config);
    let mut dialogue = Dialogue::connect(&world.pc, "203.0.113.70:25");
    dialogue.expect("220");
    let hello = dialogue.ask("EHLO pc.example", "250");
    assert!(hello.contains("250-AUTH SCRAM-SHA-256 PLAIN LOGIN"), "{hello}");
    dialogue.ask(&format!("AUTH PLAIN {}", base64("\0b1\0open sesame")), "235 2.7.0");
    dialogue.ask("MAIL FROM:<b2@bcd.com>", "553 5.7.1");
    let reply = dialogue.hand_over("b1@bcd.com", &["b2@bcd.com"], "Subject: in the clear\n\nhello\n");
    assert!(reply.starts_with("250"), "{reply}");
    came_with(&box_, "in the clear", "ESMTPA");
}
