//! TLS that must be verified: a host that an authority of the house vouches for gets the mail, one that cannot
//! prove its name does not, and whatever goes wrong under `tls required`, nothing is said in the clear.

use std::path::PathBuf;

use crate::lab::peers::{Authority, Mta};
use crate::lab::{DNS, Host, Remote, Reply, Stagepost, XYZ, run_binary, until_true};
use crate::world::{BOTH, World, world};

/// abc.com takes TLS as it comes, bcd.com requires it.
const CONFIG: &str = "box name abc.com\nbox nameserver 203.0.113.53\n\
    domain abc.com address 203.0.113.1\ndomain bcd.com address 203.0.113.70\n\
    domain bcd.com route default mx tls required\n";

/// A Postfix that shows this certificate of the authority's, and has `later` wait.
fn postfix(authority: &Authority, host: &Host, name: &str, more: &[&str]) -> Mta {
    authority.certify_peer(host, "postfix", name);
    let file = format!("/lab/{name}.pem");
    let lines = [
        &format!("smtpd_tls_chain_files={file}")[..],
        "smtpd_tls_security_level=may",
        "smtpd_recipient_restrictions=check_recipient_access inline:{later@xyz.com=DEFER},\
         reject_unauth_destination",
    ];
    Mta::postfix_with(host, "xyz.com", DNS, &[&lines[..], more].concat())
}

/// Where the box finds the authority: in its own folder.
fn trusted_file(world: &World) -> PathBuf {
    world.device.dir().join("stagepost/house.pem")
}

fn send(box_: &Stagepost, from: &str, to: &str, subject: &str) {
    let sent = box_.sendmail(&["-f", from, to], &format!("Subject: {subject}\n\nhello\n"));
    assert_eq!(sent.code, 0, "{}", sent.err);
}

/// What `show message` says of the first message in the queue.
fn shown(box_: &Stagepost) -> String {
    let queue = box_.console(&["show", "queue"]);
    let text = box_.console_text(&["show", "message", queue["queue"][0]["id"].as_str().unwrap()]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_host_that_proves_its_name_gets_the_mail_where_tls_is_required() {
    let Some(world) = world(BOTH) else { return };
    let house = Authority::new(&world.remote, "house");
    let postfix = postfix(&house, &world.remote, "xyz.com", &[]);
    let file = trusted_file(&world);
    house.install(&file);
    let box_ = Stagepost::start(&world.device, &format!("{CONFIG}box authority {}\n", file.display()));
    send(&box_, "b1@bcd.com", "x1@xyz.com", "sealed");
    let message = postfix.message("sealed");
    assert!(message.raw.contains("with ESMTPS id"), "{}", message.raw);
    let words = "xyz.com (TLSv1.3 TLS_AES_256_GCM_SHA384, verified) said: 250";
    box_.await_log(words);
    send(&box_, "b1@bcd.com", "later@xyz.com", "later");
    box_.await_log("Deferred: xyz.com (TLSv1.3 TLS_AES_256_GCM_SHA384, verified) said: 450");
    let shown = shown(&box_);
    assert!(shown.contains("xyz.com (TLSv1.3 TLS_AES_256_GCM_SHA384, verified) said: 450"), "{shown}");
}

#[test]
fn a_host_that_proves_another_name_gets_nothing_where_tls_is_required() {
    let Some(world) = world(BOTH) else { return };
    let house = Authority::new(&world.remote, "house");
    let postfix = postfix(&house, &world.remote, "xyz.org", &[]);
    let file = trusted_file(&world);
    house.install(&file);
    let box_ = Stagepost::start(&world.device, &format!("{CONFIG}box authority {}\n", file.display()));
    send(&box_, "b1@bcd.com", "x1@xyz.com", "sealed");
    box_.await_log("xyz.com: TLS is required, but its certificate does not do: ");
    let shown = shown(&box_);
    assert!(shown.contains("TLS is required, but its certificate does not do: "), "{shown}");
    assert!(shown.contains("not valid for name \"xyz.com\""), "{shown}");
    assert!(shown.contains("xyz.org"), "it tells whose the certificate is: {shown}");
    // Who takes TLS as it comes takes this too, and is told what it was.
    send(&box_, "a1@abc.com", "x1@xyz.com", "open");
    assert!(postfix.message("open").raw.contains("with ESMTPS id"));
    box_.await_log("xyz.com (TLSv1.3 TLS_AES_256_GCM_SHA384, not verified) said: 250");
    assert_eq!(postfix.messages().len(), 1);
}

#[test]
fn a_handshake_that_fails_sends_nothing_in_the_clear_where_tls_is_required() {
    let Some(world) = world(BOTH) else { return };
    let house = Authority::new(&world.remote, "house");
    // A version that is no longer spoken.
    let postfix = postfix(&house, &world.remote, "xyz.com", &["smtpd_tls_protocols=TLSv1"]);
    let file = trusted_file(&world);
    house.install(&file);
    let box_ = Stagepost::start(&world.device, &format!("{CONFIG}box authority {}\n", file.display()));
    send(&box_, "b1@bcd.com", "x1@xyz.com", "sealed");
    box_.await_log("xyz.com: TLS is required, but the handshake failed: ");
    assert!(shown(&box_).contains("TLS is required, but the handshake failed: "));
    send(&box_, "a1@abc.com", "x1@xyz.com", "open");
    assert!(postfix.message("open").raw.contains("with ESMTP id"));
    box_.await_log("xyz.com: no TLS, so in the clear: the handshake failed");
    assert_eq!(postfix.messages().len(), 1);
}

#[test]
fn a_host_without_tls_hears_of_no_message_where_tls_is_required() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let box_ = Stagepost::start(&world.device, CONFIG);
    send(&box_, "b1@bcd.com", "x1@xyz.com", "sealed");
    box_.await_log("xyz.com: TLS is required, but the host does not offer it");
    until_true("the host is left", || remote.heard("QUIT") == 1);
    assert_eq!(remote.heard("MAIL"), 0);
}

#[test]
fn an_authority_is_looked_at_before_it_counts_and_gone_when_it_is_taken_out() {
    let Some(world) = world(BOTH) else { return };
    let house = Authority::new(&world.remote, "house");
    let postfix = postfix(&house, &world.remote, "xyz.com", &[]);
    let mut box_ = Stagepost::start(&world.device, CONFIG);
    let file = trusted_file(&world);
    let statement = format!("box authority {}", file.display());
    // Outside: `check` looks at the file as `commit` does.
    let config = world.device.dir().join("written");
    std::fs::write(&config, format!("{CONFIG}{statement}\n")).unwrap();
    let check = || run_binary(&["check", config.to_str().unwrap()], "");
    box_.console_text(&["set", &statement]);
    for (caption, content, why) in [
        ("not there", None, "No such file or directory"),
        ("empty", Some(String::new()), "it holds no certificate in PEM"),
        ("a host's", Some(std::fs::read_to_string(house.certify("xyz.com")).unwrap()), "is a host's"),
    ] {
        content.iter().for_each(|content| std::fs::write(&file, content).unwrap());
        for command in ["check", "commit"] {
            let refused = box_.try_console(&[command]);
            assert_eq!(refused.code, 1, "{caption}: {command}");
            let told = refused.err.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(told.contains(&statement) && told.contains(why), "{caption}: {command}: {told}");
        }
        let refused = check();
        assert_eq!(refused.code, 1, "{caption}");
        let line = CONFIG.lines().count() + 1;
        assert!(refused.err.contains(&format!("written:{line}: {}: ", file.display())), "{}", refused.err);
        assert!(refused.err.contains(why), "{}", refused.err);
    }
    house.install(&file);
    assert_eq!(check().code, 0, "{}", check().err);
    box_.console_text(&["commit"]);
    send(&box_, "b1@bcd.com", "x1@xyz.com", "sealed");
    postfix.message("sealed");
    let exported = box_.console_text(&["export"]);
    assert!(exported.lines().any(|line| line == statement), "{exported}");
    let all = box_.console(&["show", "certificates"]);
    let names: Vec<&str> =
        all["certificates"].as_array().unwrap().iter().map(|c| c["subject"].as_str().unwrap()).collect();
    assert_eq!(names, ["CN=abc.com", "CN=bcd.com", "CN=house, O=Lab"]);
    assert_eq!(all["certificates"][2]["file"], file.to_str().unwrap());
    box_.console_text(&["delete", "box authority"]);
    box_.console_text(&["commit"]);
    send(&box_, "b1@bcd.com", "x1@xyz.com", "unsealed");
    box_.await_log("xyz.com: TLS is required, but its certificate does not do: ");
    // A file that broke keeps no box from starting; it is an alarm, and vouches for nobody.
    box_.console_text(&["set", &statement]);
    box_.console_text(&["commit"]);
    std::fs::write(&file, "nonsense").unwrap();
    box_.stop();
    box_.restart();
    let alarms = box_.console(&["show", "status"])["alarms"].to_string();
    assert!(alarms.contains("box authority: ") && alarms.contains("it holds no certificate"), "{alarms}");
    let shown = box_.console_text(&["show", "certificates"]);
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(shown.contains("an authority from /") && shown.contains("it holds no certificate"), "{shown}");
    send(&box_, "b1@bcd.com", "x2@xyz.com", "broken");
    box_.await_log(
        "x2@xyz.com... Deferred: 451 4.7.5 xyz.com: TLS is required, but its certificate does not do: ",
    );
    assert!(postfix.messages().iter().all(|m| m.fields("Subject") != ["broken"]));
}
