//! What the running daemon may still do, as the kernel tells it; and that it works all the same.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::lab::{BCD, Dialogue, Remote, Reply, Stagepost, XYZ, until_true};
use crate::world::{BOTH, note, two_domains, world};

/// A line of a thread's status.
fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} in {status}")).trim().to_owned()
}

/// The status of all threads of a process.
fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks.map(|task| fs::read_to_string(task.path().join("status")).unwrap()).collect()
}

const NET_BIND_SERVICE: u64 = 1 << 10;
const NET_ADMIN_AND_RAW: u64 = 1 << 12 | 1 << 13;

#[test]
fn every_thread_of_the_daemon_is_confined() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let mut stagepost = Stagepost::start(&world.device, &two_domains());
    for start in ["first", "second"] {
        let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
        let text = note("b1@bcd.com", "b2@bcd.com", start);
        let reply = dialogue.hand_over("b1@bcd.com", &["b2@bcd.com", "x1@xyz.com"], &text);
        assert!(reply.starts_with("250"), "{reply}");
        stagepost.mailbox_message("bcd.com", "b2", start);
        let threads = threads(stagepost.pid());
        assert!(threads.len() >= 2, "the loop and the flusher");
        for status in &threads {
            assert_eq!(field(status, "Seccomp"), "2", "{status}");
            assert_eq!(field(status, "NoNewPrivs"), "1", "{status}");
            assert!(!field(status, "Uid").split_whitespace().any(|uid| uid == "0"), "{status}");
            assert!(!field(status, "Gid").split_whitespace().any(|gid| gid == "0"), "{status}");
            assert_eq!(field(status, "Groups"), "", "{status}");
            let capabilities = u64::from_str_radix(&field(status, "CapEff"), 16).unwrap();
            // Where the lab's own path is closed to others, searching it is left.
            assert_eq!(capabilities & !(1 << 2), NET_BIND_SERVICE, "{status}");
            assert_eq!(field(status, "CapEff"), field(status, "CapPrm"), "{status}");
        }
        let told = stagepost.console(&["show", "status"])["confinement"].as_str().unwrap().to_owned();
        assert!(told.contains("no new privileges") && told.contains("seccomp"), "{told}");
        assert!(!told.contains("root") && !told.contains("NOT"), "{told}");
        // Another start finds files that are its user's already.
        stagepost.stop();
        stagepost.restart();
    }
    remote.await_taken(2);
}

#[test]
fn what_root_left_behind_becomes_the_daemons() {
    let Some(world) = world(BOTH) else { return };
    let folder = world.device.dir().join("stagepost");
    fs::create_dir_all(folder.join("mail/bcd.com/b2/new")).unwrap();
    fs::write(folder.join("mail/bcd.com/b2/new/old"), "Subject: old\n\nkept\n").unwrap();
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let status = threads(stagepost.pid()).remove(0);
    let uid: u32 = field(&status, "Uid").split_whitespace().next().unwrap().parse().unwrap();
    for path in ["", "config", "spool", "mail/bcd.com/b2/new/old", "control.sock"] {
        let owner = folder.join(path).symlink_metadata().unwrap().uid();
        assert_eq!(owner, uid, "{path}");
    }
    let sent = stagepost.sendmail(&["-f", "b1@bcd.com", "b2"], "Subject: new\n\nbody\n");
    assert_eq!(sent.code, 0, "{}", sent.err);
    until_true("both are there", || stagepost.mailbox("bcd.com", "b2").len() == 2);
}

#[test]
fn a_box_with_an_interface_keeps_what_that_needs() {
    let Some(world) = world(&["203.0.113.1/24"]) else { return };
    let config = two_domains().replace("address 203.0.113.1\n", "address 203.0.113.1/24\n");
    let config = config.replace("address 203.0.113.70\n", "address 203.0.113.70/24\n");
    let stagepost = Stagepost::start(&world.device, &(config + "box interface eth0\n"));
    stagepost.await_up();
    for status in threads(stagepost.pid()) {
        let capabilities = u64::from_str_radix(&field(&status, "CapEff"), 16).unwrap();
        assert_eq!(capabilities & !(1 << 2), NET_BIND_SERVICE | NET_ADMIN_AND_RAW, "{status}");
    }
}

#[test]
fn a_certificate_that_only_root_may_read_is_read_again() {
    let Some(world) = world(BOTH) else { return };
    let folder = world.device.dir().join("certificates");
    fs::create_dir_all(&folder).unwrap();
    let pem = folder.join("bcd.pem");
    make_certificate(&world.device, &pem);
    fs::set_permissions(&pem, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let config = two_domains() + &format!("domain bcd.com certificate {}\n", pem.display());
    let stagepost = Stagepost::start(&world.device, &config);
    let shown = || stagepost.console(&["show", "domains"])["domains"][1]["certificate_sha256"].clone();
    let first = shown();
    assert!(first.is_string(), "{}", stagepost.stderr());
    let ends_soon =
        |status: &serde_json::Value| status["alarms"].to_string().contains("bcd.com: its certificate ends");
    assert!(ends_soon(&stagepost.console(&["show", "status"])), "nine days are an alarm");
    // As certbot does it: another file under the same name.
    make_certificate(&world.device, &folder.join("new.pem"));
    fs::rename(folder.join("new.pem"), &pem).unwrap();
    crate::lab::until("it is read again", std::time::Duration::from_secs(90), || {
        (shown() != first).then_some(())
    });
}

fn make_certificate(host: &crate::lab::Host, pem: &Path) {
    let key = pem.with_extension("key");
    let (key_path, pem_path) = (key.to_str().unwrap(), pem.to_str().unwrap());
    let args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", "/CN=bcd.com"];
    let made = host
        .command("openssl", &[&args[..], &["-keyout", key_path, "-out", pem_path]].concat())
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let both = fs::read_to_string(pem).unwrap() + &fs::read_to_string(&key).unwrap();
    fs::write(pem, both).unwrap();
}
