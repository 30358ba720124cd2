//! What an owner brings to a box that has no shell: a certificate and its key, an authority, a whole export with
//! its keys, all of them pasted. Seen by openssl and a real Postfix.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::lab::peers::{Authority, Mta};
use crate::lab::{DNS, Dialogue, Host, Stagepost, until_true};
use crate::world::{BOTH, World, note, world};

const CONFIG: &str = "box name abc.com\nbox nameserver 203.0.113.53\n\
    domain abc.com address 203.0.113.1\ndomain bcd.com address 203.0.113.70\n\
    domain bcd.com client 203.0.113.0/24\ndomain bcd.com mailbox b2\n";

/// What openssl says of a handshake with bcd.com, by the authority in `ca`.
fn handshake(from: &Host, ca: &Path) -> String {
    let ca = ca.to_str().unwrap();
    let args = ["s_client", "-starttls", "smtp", "-connect", "203.0.113.70:25", "-brief", "-CAfile", ca];
    let more = ["-verify_hostname", "bcd.com", "-verify_return_error"];
    let output = from.command("openssl", &[&args[..], &more].concat()).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn file_of(authority: &Authority, world: &World) -> std::path::PathBuf {
    let file = world.pc.dir().join("trusted.pem");
    authority.install(&file);
    file
}

/// A certificate's whole text, its key behind it.
fn certified(authority: &Authority, name: &str) -> String {
    std::fs::read_to_string(authority.certify(name)).unwrap()
}

#[track_caller]
fn assert_private(file: &Path) {
    let mode = std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{}", file.display());
}

#[test]
fn a_pasted_certificate_is_shown_to_everybody() {
    let Some(world) = world(BOTH) else { return };
    let (house, other) = (Authority::new(&world.remote, "house"), Authority::new(&world.remote, "other"));
    let trusted = file_of(&house, &world);
    let box_ = Stagepost::start(&world.device, CONFIG);
    let (right, wrong) = (certified(&house, "bcd.com"), certified(&other, "cde.com"));
    let (key, own) = right.split_at(right.find("-----BEGIN CERT").unwrap());
    let foreign = wrong.split("-----BEGIN CERT").next().unwrap();
    let mut terminal = box_.terminal();
    terminal.shows("abc.com> ");
    for (caption, paste, told) in [
        ("no certificate", "hello\n".to_owned(), "there is no certificate in PEM among it; nothing was kept"),
        ("a certificate alone", own.to_owned(), "there is no private key in PEM among it"),
        ("another's key", format!("{foreign}{own}"), "the private key belongs to no certificate among it"),
        ("another name", wrong.clone(), "it is for cde.com, and not for bcd.com; nothing was kept"),
        (
            "an endless line",
            format!("{}\n{right}", "M".repeat(10_000)),
            "line 1 is longer than 1024 characters",
        ),
        ("too much of it", "words and words\n".repeat(20_000), "it is longer than 262144 bytes"),
    ] {
        terminal.line("import certificate bcd.com");
        terminal.shows("Nothing of it is shown.");
        terminal.type_keys(paste.replace('\n', "\r").as_bytes());
        terminal.line(".");
        terminal.shows(&told[..told.len().min(60)]);
        println!("{caption}: refused");
    }
    terminal.line("import certificate bcd.com");
    terminal.shows("Nothing of it is shown.");
    terminal.type_keys(&key.replace('\n', "\r").as_bytes()[..80]);
    terminal.type_keys(b"\x03");
    terminal.shows("given up; nothing was kept");
    assert!(!box_.data().join("certificates/pasted").exists());
    assert_eq!(box_.console(&["show", "changes"])["changes"], serde_json::json!([]));

    // Every byte but ^C, ^D and the ends of lines, then all parts of it in another order.
    terminal.line("import certificate bcd.com");
    terminal.shows("Nothing of it is shown.");
    let garbage: Vec<u8> = (0..=255).rev().filter(|b| !matches!(b, 3 | 4 | b'\r' | b'\n' | b'.')).collect();
    terminal.type_keys(&garbage);
    terminal.type_keys(format!("\r{}{own}{key}", house.pem()).replace('\n', "\r\n").as_bytes());
    terminal.line(".");
    terminal.shows("`commit` makes bcd.com");
    terminal.line("commit");
    terminal.shows("it runs");
    assert_private(&box_.data().join("certificates/pasted/bcd.com.pem"));
    let seen = handshake(&world.pc, &trusted);
    assert!(seen.contains("Verification: OK") && seen.contains("bcd.com"), "{seen}");
    let secret = key.lines().nth(1).unwrap();
    assert!(!terminal.whole_screen().contains(&secret[..20]), "the key is not shown");
    let shown = box_.console(&["show", "certificates"]);
    let print = shown["certificates"][1]["sha256"].as_str().unwrap().to_owned();

    // The next one counts at once: its statement is there already.
    let renewed = box_.console_with(&["import", "certificate", "bcd.com"], &certified(&house, "bcd.com"));
    assert!(renewed.out.contains("it is shown from now on"), "{renewed:?}");
    let shown = box_.console(&["show", "certificates"]);
    assert_ne!(shown["certificates"][1]["sha256"], print.as_str());
    assert_eq!(box_.console(&["show", "changes"])["changes"], serde_json::json!([]));
    assert!(handshake(&world.pc, &trusted).contains("Verification: OK"));
    let unknown = box_.console_with(&["import", "certificate", "xyz.com"], ".\n");
    assert!(unknown.err.contains("xyz.com is not hosted here"), "{unknown:?}");
}

#[test]
fn a_pasted_authority_vouches_for_a_real_host() {
    let Some(world) = world(BOTH) else { return };
    let house = Authority::new(&world.remote, "house");
    house.certify_peer(&world.remote, "postfix", "xyz.com");
    let lines = ["smtpd_tls_chain_files=/lab/xyz.com.pem", "smtpd_tls_security_level=may"];
    let postfix = Mta::postfix_with(&world.remote, "xyz.com", DNS, &lines);
    let box_ =
        Stagepost::start(&world.device, &format!("{CONFIG}domain bcd.com route default mx tls required\n"));
    let refused = box_.console_with(&["import", "authority"], &certified(&house, "xyz.com"));
    assert!(refused.err.contains("is a host's, not an authority's"), "{refused:?}");
    let told = box_.console_with(&["import", "authority"], &format!("whatever\n{}.\n", house.pem()));
    assert!(told.out.contains("CN=house") && told.out.contains("`commit` lets it vouch"), "{told:?}");
    box_.console_text(&["commit"]);
    assert_private(&box_.data().join("authority.pem"));
    let sent = box_.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], "Subject: sealed\n\nhello\n");
    assert_eq!(sent.code, 0, "{}", sent.err);
    postfix.message("sealed");
    box_.await_log("xyz.com (TLSv1.3 TLS_AES_256_GCM_SHA384, verified) said: 250");
}

/// Keys as openssl makes them, where the box looks for its own: RSA of its own making takes long.
fn dkim_keys(data: &Path) {
    let folder = data.join("dkim/bcd.com");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, kind) in
        [("mail-ed25519", &["ed25519"][..]), ("mail-rsa", &["rsa", "-pkeyopt", "rsa_keygen_bits:2048"])]
    {
        let path = folder.join(format!("{name}.pem"));
        let args = [&["genpkey", "-out", path.to_str().unwrap(), "-algorithm"], kind].concat();
        assert!(Command::new("openssl").args(args).output().unwrap().status.success());
    }
}

#[test]
fn a_box_comes_back_whole_from_what_its_export_said() {
    let Some(world) = world(BOTH) else { return };
    let house = Authority::new(&world.remote, "house");
    let trusted = file_of(&house, &world);
    dkim_keys(&world.device.dir().join("stagepost"));
    let more = "domain bcd.com dkim mail\ndomain bcd.com user b1 password \"pepper and salt\"\n\
                domain bcd.com route default 203.0.113.25 user bcd password letmein tls required\n";
    let mut box_ = Stagepost::start(&world.device, &format!("{CONFIG}{more}"));
    for (command, paste) in [
        (&["import", "certificate", "bcd.com"][..], certified(&house, "bcd.com")),
        (&["import", "authority"], house.pem()),
    ] {
        assert_eq!(box_.console_with(command, &paste).code, 0, "{command:?}");
    }
    box_.console_text(&["commit"]);
    let (export, plain) = (box_.console_text(&["export", "secrets"]), box_.console_text(&["export"]));
    assert!(!plain.contains("BEGIN") && plain.contains("certificates/pasted/bcd.com.pem"), "{plain}");
    assert_eq!(export.matches("# -----BEGIN PRIVATE KEY-----").count(), 3, "{export}");
    let records = box_.console(&["show", "dkim", "bcd.com"])["records"].clone();
    let certificates = box_.console(&["show", "certificates"])["certificates"].clone();
    box_.console_text(&["factory-reset", "yes"]);
    box_.stop();
    assert!(std::fs::read_dir(box_.data()).unwrap().next().is_none(), "nothing is left");
    box_.restart();

    // One wrong byte in a key, and nothing of it counts.
    let damaged = export.replacen("# = dkim bcd.com mail-rsa", "# = dkim bcd.com mail-ed25519", 1);
    let refused = box_.console_with(&["import"], &damaged);
    assert!(
        refused.code == 1 && refused.err.contains("dkim bcd.com mail-ed25519: it is a key for rsa"),
        "{refused:?}"
    );
    assert!(!box_.data().join("certificates/pasted").exists() && !box_.data().join("authority.pem").exists());
    let told = box_.console_with(&["import"], &export);
    assert!(told.out.contains("4 keys and certificates are kept"), "{told:?}");
    box_.console_text(&["commit"]);
    until_true("the keys are read", || box_.console(&["show", "dkim", "bcd.com"])["records"] == records);
    let again = box_.console(&["show", "certificates"])["certificates"].clone();
    assert_eq!((&again[1], &again[2]), (&certificates[1], &certificates[2]));
    assert_eq!(box_.console_text(&["export", "secrets"]), export);
    assert!(handshake(&world.pc, &trusted).contains("Verification: OK"));
    let mut client = Dialogue::greeted(&world.pc, "203.0.113.70", "pc.example");
    client.hand_over("b1@bcd.com", &["b2@bcd.com"], &note("b1@bcd.com", "b2@bcd.com", "again"));
    box_.mailbox_message("bcd.com", "b2", "again");
    for name in ["certificates/pasted/bcd.com.pem", "authority.pem", "dkim/bcd.com/mail-rsa.pem"] {
        assert_private(&box_.data().join(name));
    }
}
