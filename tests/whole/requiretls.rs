//! REQUIRETLS (RFC 8689) on real connections: such mail goes from box to box under TLS that is verified, keeps
//! its mark, and comes back without its content where the next host cannot keep the promise.

use std::path::Path;

use crate::lab::peers::{Authority, Mta};
use crate::lab::{ABC, BCD, DNS, Host, Message, PATIENCE, PC, Remote, Reply, Stagepost, XYZ, until};
use crate::world::{BOTH, World, world};

/// bcd.com sends to a host by its name, abc.com to whatever DNS says.
const CONFIG: &str = "box name abc.com\nbox nameserver 203.0.113.53\n\
    domain abc.com address 203.0.113.1\ndomain abc.com client 203.0.113.9\n\
    domain bcd.com address 203.0.113.70\ndomain bcd.com client 203.0.113.9\n\
    domain bcd.com mailbox b1\ndomain bcd.com route xyz.com xyz.com\n";

/// The box of xyz.com: x1's mail stays there, all other goes on to a host that knows no TLS.
fn second_box<'w>(world: &'w World, certificate: Option<&Path>) -> Stagepost<'w> {
    let line = certificate.map(|file| format!("domain xyz.com certificate {}\n", file.display()));
    let config = format!(
        "box name xyz.com\nbox nameserver {DNS}\ndomain xyz.com address {XYZ}\ndomain xyz.com mailbox x1\n\
         domain xyz.com forward {PC}\ndomain xyz.com spool always\n{}",
        line.unwrap_or_default()
    );
    Stagepost::start(&world.remote, &config)
}

/// The first box, which trusts `authority`.
fn first_box<'w>(world: &'w World, authority: &Authority, more: &str) -> Stagepost<'w> {
    let file = world.device.dir().join("stagepost/house.pem");
    authority.install(&file);
    Stagepost::start(&world.device, &format!("{CONFIG}box authority {}\n{more}", file.display()))
}

/// Python's smtplib hands a message in under TLS; gives the replies to MAIL, RCPT and the end of the message.
#[track_caller]
fn hand_in(
    from: &Host,
    server: &str,
    sender: &str,
    recipient: &str,
    options: &str,
    text: &str,
) -> Vec<String> {
    const SCRIPT: &str = "import smtplib, ssl, sys\n\
        server, sender, recipient, options, text = sys.argv[1:]\n\
        s = smtplib.SMTP(server, 25, local_hostname='pc.example', timeout=60)\n\
        s.starttls(context=ssl._create_unverified_context())\n\
        s.ehlo()\n\
        said = [s.mail(sender, options.split()), s.rcpt(recipient)]\n\
        said.append(s.data(text))\n\
        print('\\n'.join('%d %s' % (code, text.decode().replace('\\n', ' ')) for code, text in said))\n\
        s.quit()\n";
    let args = ["-c", SCRIPT, server, sender, recipient, options, text];
    let output = from.command("python3", &args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Where a user hands his mail in.
fn door(user: &str) -> &'static str {
    if user.ends_with("@bcd.com") { BCD } else { ABC }
}

/// The report that b1 gets on the mail with this subject.
#[track_caller]
fn report(box_: &Stagepost, subject: &str) -> Message {
    let about =
        |m: &Message| m.raw.contains("Action: failed") && m.raw.contains(&format!("Subject: {subject}\n"));
    until(&format!("b1 hears of {subject:?}"), PATIENCE, || {
        box_.mailbox("bcd.com", "b1").into_iter().find(about)
    })
}

fn text(subject: &str) -> String {
    format!("From: <b1@bcd.com>\nSubject: {subject}\n\nthe content is a secret\n")
}

#[test]
fn mail_that_requires_tls_goes_from_box_to_box_and_keeps_its_mark() {
    let Some(world) = world(BOTH) else { return };
    let house = Authority::new(&world.remote, "house");
    let open = Remote::start(&world.pc, PC, |_| Reply::Usual);
    let second = second_box(&world, Some(&house.certify("xyz.com")));
    let first = first_box(&world, &house, "");
    let hand_in =
        |sender, to, subject| hand_in(&world.pc, door(sender), sender, to, "REQUIRETLS", &text(subject));
    let said = hand_in("b1@bcd.com", "x1@xyz.com", "sealed");
    assert!(said[2].starts_with("250 "), "{said:?}");
    let message = second.mailbox_message("xyz.com", "x1", "sealed");
    assert!(message.received().contains(" with ESMTPS id "), "{}", message.raw);
    first.await_log("xyz.com (TLSv1.3 TLS_AES_256_GCM_SHA384, verified) said: 250");

    // The second box took it with the mark, so it does not hand it to who knows no TLS. What it reports goes by MX,
    // where nobody can prove his name; it arrives all the same, without the content and without the mark.
    let said = hand_in("b1@bcd.com", "x2@xyz.com", "sealed further");
    assert!(said[2].starts_with("250 "), "{said:?}");
    let report = report(&first, "sealed further").raw;
    assert!(report.contains("Reporting-MTA: dns; xyz.com\n"), "{report}");
    assert!(report.contains("Status: 5.7.10\n"), "{report}");
    assert!(!report.contains("secret"), "{report}");
    assert_eq!(open.heard("MAIL"), 0);

    // What DNS says without proof is not enough, whatever certificate the host has.
    let said = hand_in("a1@abc.com", "x1@xyz.com", "sealed by MX");
    let why =
        "550 5.7.10 xyz.com: the mail requires TLS all the way, but its name comes from DNS without proof";
    assert!(said[2].starts_with(why), "{said:?}");
    assert_eq!(second.mailbox("xyz.com", "x1").len(), 1);
}

#[test]
fn a_host_that_does_not_promise_it_gets_no_mail_that_requires_tls() {
    let Some(world) = world(BOTH) else { return };
    let house = Authority::new(&world.remote, "house");
    house.certify_peer(&world.remote, "postfix", "xyz.com");
    let lines = ["smtpd_tls_chain_files=/lab/xyz.com.pem", "smtpd_tls_security_level=may"];
    let postfix = Mta::postfix_with(&world.remote, "xyz.com", DNS, &lines);
    let first = first_box(&world, &house, "domain bcd.com spool always\n");
    let hand_in = |options, text: &str| {
        let said = hand_in(&world.pc, BCD, "b1@bcd.com", "x1@xyz.com", options, text);
        assert!(said[2].starts_with("250 "), "{said:?}");
    };
    hand_in("REQUIRETLS RET=FULL", &text("sealed"));
    // The sender's own `No` in the header does not count where he says the contrary (section 4.1).
    hand_in("REQUIRETLS", &format!("TLS-Required: No\n{}", text("sealed or not")));
    for subject in ["sealed", "sealed or not"] {
        let report = report(&first, subject).raw;
        for line in [
            "Status: 5.7.30\n",
            "Diagnostic-Code: x-stagepost; 550 5.7.30 xyz.com: the mail requires TLS",
            "Content-Type: text/rfc822-headers\n",
        ] {
            assert!(report.contains(line), "{line}: {report}");
        }
        for other in ["secret", "Remote-MTA", " said:"] {
            assert!(!report.contains(other), "{other}: {report}");
        }
    }
    hand_in("", &format!("TLS-Required: No\n{}", text("open")));
    let message = postfix.message("open");
    assert_eq!(message.fields("TLS-Required"), ["No"]);
    assert_eq!(postfix.messages().len(), 1);
}

#[test]
fn a_promise_of_a_host_that_cannot_prove_itself_is_worth_nothing() {
    let Some(world) = world(BOTH) else { return };
    // Its certificate is of its own making.
    let second = second_box(&world, None);
    let first = Stagepost::start(&world.device, &format!("{CONFIG}domain abc.com route xyz.org {PC}\n"));
    let open = Remote::start(&world.pc, PC, |_| Reply::Usual);
    for (sender, recipient, why) in [
        (
            "b1@bcd.com",
            "x1@xyz.com",
            "xyz.com: the mail requires TLS all the way, but its certificate does not do: ",
        ),
        (
            "a1@abc.com",
            "x1@xyz.org",
            "203.0.113.9: the mail requires TLS all the way (REQUIRETLS), and there is none",
        ),
    ] {
        let said = hand_in(&world.pc, door(sender), sender, recipient, "REQUIRETLS", &text("sealed"));
        assert!(said[2].starts_with(&format!("550 5.7.10 {why}")), "{said:?}");
    }
    assert_eq!(open.heard("MAIL"), 0);
    assert!(second.mailbox("xyz.com", "x1").is_empty());
    assert_eq!(first.console(&["show", "status"])["queued"], 0);
}
