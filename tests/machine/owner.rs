//! What an owner does at the serial line, and what he leaves undone: a box that comes back from its pasted export,
//! a console that nobody touches, a terminal that takes nothing.

use std::io::Write;
use std::process::Stdio;

use crate::lab::peers::{Authority, Mta};
use crate::lab::{BCD, DNS, Host};
use crate::relays::hand_over;
use crate::rig::{Appliance, Site};

/// What openssl says and hears of bcd.com on this port, under TLS that `ca` vouches for.
fn under_tls(site: &Site, ca: &Host, port: u16, said: &str) -> String {
    let (ca, to) = (ca.dir().join("house/ca.pem"), format!("{BCD}:{port}"));
    let args = ["s_client", "-starttls", "smtp", "-connect", &to, "-CAfile", ca.to_str().unwrap(), "-crlf"];
    let strict = ["-verify_hostname", "bcd.com", "-verify_return_error", "-ign_eof"];
    let mut command = site.pc.command("openssl", &[&args[..], &strict].concat());
    let mut talk =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    talk.stdin.take().unwrap().write_all(said.as_bytes()).unwrap();
    let output = talk.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The box relays, shows the pasted certificate and knows its user.
#[track_caller]
fn assert_whole(site: &Site, machine: &mut Appliance, postfix: &Mta, subject: &str) {
    machine.takes_mail(&site.pc);
    assert!(hand_over(site, subject).starts_with("250"));
    let received = postfix.message(subject).received();
    assert!(received.contains(&postfix.clause_from("bcd.com", "bcd.com", BCD)), "{received}");
    // b1, "pepper and salt"
    let said = "EHLO pc.bcd.com\nAUTH PLAIN AGIxAHBlcHBlciBhbmQgc2FsdA==\nQUIT\n";
    let heard = under_tls(site, &site.remote, 587, said);
    assert!(heard.contains("Verify return code: 0 (ok)") && heard.contains("\n235 2.7.0"), "{heard}");
}

#[test]
fn a_box_comes_back_whole_from_its_pasted_export() {
    let Some(site) = Site::new("pc") else { return };
    let house = Authority::new(&site.remote, "house");
    let postfix = Mta::postfix(&site.remote, "xyz.com", DNS);
    let mut machine = site.power_on(site.disk("restored.img"), &[]);
    machine.configure(&["domain bcd.com user b1 password \"pepper and salt\""]);
    let certificate = std::fs::read_to_string(house.certify("bcd.com")).unwrap();
    let answer = machine.pastes("import certificate bcd.com", &certificate);
    assert!(answer.contains("CN=bcd.com") && answer.contains("`commit` makes"), "{answer}");
    let key = certificate.lines().nth(1).unwrap();
    assert!(!answer.contains(key), "the key is not shown");
    let answer = machine.pastes("import authority", &format!("{}\n{}", "x".repeat(10_000), house.pem()));
    assert!(answer.contains("line 1 is longer than") && answer.contains("nothing was kept"), "{answer}");
    let answer = machine.pastes("import authority", &house.pem());
    assert!(answer.contains("CN=house"), "{answer}");
    assert!(machine.say("commit").contains("it runs"));
    assert_whole(&site, &mut machine, &postfix, "before");
    let export = machine.say("export secrets");
    let (export, _prompt) = export.rsplit_once('\n').unwrap();
    machine.type_keys(b"factory-reset\r");
    machine.expect("Write yes if that is meant: ");
    machine.type_keys(b"yes\r");
    machine.expect("has no password yet");
    machine.greeted();
    assert!(!machine.say("show config").contains("bcd.com"));
    let answer = machine.pastes("import", export);
    assert!(answer.contains("2 keys and certificates are kept"), "{answer}");
    assert!(machine.say("commit").contains("it runs"));
    assert_whole(&site, &mut machine, &postfix, "after");
    let again = machine.say("export secrets");
    assert_eq!(again.rsplit_once('\n').unwrap().0, export);
}

#[test]
fn a_console_that_is_left_alone_is_logged_out_and_one_that_takes_nothing_holds_up_no_mail() {
    let Some(site) = Site::long("pc") else { return };
    let postfix = Mta::postfix(&site.remote, "xyz.com", DNS);
    let mut machine = site.power_on(site.disk("left.img"), &[]);
    machine.configure(&["box console logout 10s"]);
    machine.takes_mail(&site.pc);
    machine.type_keys(b"exit\r");
    machine.greeted();
    machine.type_keys(b"set domain bcd.com mailbox ");
    machine.expect("nobody touched a key for a while: logged out");
    machine.expect("Password: ");
    machine.type_keys(b"pepper and salt\r");
    machine.expect("> ");
    assert!(machine.say("show changes").contains("nothing has changed"));

    // More than the line takes while nobody reads.
    for _ in 0..100 {
        machine.type_keys(b"help config\rshow log 1000\r");
    }
    for number in 0..5 {
        let subject = format!("while it stands still {number}");
        assert!(hand_over(&site, &subject).starts_with("250"));
        postfix.message(&subject);
    }
    machine.say_until("show interface --json", BCD);
}
