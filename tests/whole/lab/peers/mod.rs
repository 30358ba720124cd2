//! The real peers: Debian's Sendmail, Postfix, Exim, OpenSMTPD, NSD, testssl.sh and others, each in a root of
//! its own over this machine's (`overlay.sh`), fetched by `scripts/peers` the first time. Nothing is installed.

mod authority;
mod daemon;
mod mta;
mod nsd;
mod scanners;
mod swaks;

use std::path::PathBuf;
use std::process::Command;

use super::{Host, Running, project};

pub use authority::Authority;
pub use daemon::{chrony, daemon, daemon_file};
pub use mta::{Kind, Mta, ordinary_client};
pub use nsd::{Nsd, Zones};
pub use scanners::{posttls_finger, testssl};
pub use swaks::{gsasl, msmtp, swaks};

/// The unpacked tree of a peer, fetched when it is not there yet.
pub fn tree(name: &str) -> PathBuf {
    let tree = project().join("target/peers").join(name);
    if !tree.join(".complete").exists() {
        let status = Command::new(project().join("scripts/peers")).arg(name).status().unwrap();
        assert!(status.success(), "scripts/peers {name} failed: run it by hand to see why");
    }
    tree
}

/// A command in the root of the peer `name`, on `host`; files the peer finds under `/lab` lie in the folder
/// that [`lab_dir`] gives, scripts are this folder's.
fn command(host: &Host, name: &str, script: &str, text: &str, args: &[&str]) -> Command {
    let lab = lab_dir(host, name);
    std::fs::create_dir_all(&lab).unwrap();
    std::fs::write(lab.join(script), text).unwrap();
    let work = work_dir(host, name);
    let tree = tree(name);
    let (tree, work) = (tree.to_str().unwrap(), work.to_str().unwrap());
    let mut command = host.command("sh", &["-c", include_str!("overlay.sh"), "overlay", tree, work, script]);
    command.args(args).env_remove("TMPDIR");
    command
}

/// What the peer writes, as seen from outside: its root without what lies below.
fn work_dir(host: &Host, name: &str) -> PathBuf {
    host.dir().join(name)
}

fn written(host: &Host, name: &str) -> PathBuf {
    work_dir(host, name).join("upper")
}

fn lab_dir(host: &Host, name: &str) -> PathBuf {
    written(host, name).join("lab")
}

/// A key and a certificate of its own making for the peer `name` that calls itself `host_name`:
/// `/lab/key.pem` and `/lab/HOST_NAME.pem`.
pub fn certificate(host: &Host, name: &str, host_name: &str) {
    let outside = lab_dir(host, name);
    std::fs::create_dir_all(&outside).unwrap();
    let path = |file: String| outside.join(file).to_str().unwrap().to_owned();
    let (key, pem) = (path("key.pem".to_owned()), path(format!("{host_name}.pem")));
    let subject = format!("/CN={host_name}");
    let args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "9", "-subj", &subject];
    let made =
        host.command("openssl", &[&args[..], &["-keyout", &key, "-out", &pem]].concat()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    // Some read it as somebody else than root.
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
}

/// Starts a peer; its output is in `NAME.log`.
fn start(host: &Host, name: &str, script: &str, text: &str, args: &[&str]) -> Running {
    host.start(command(host, name, script, text, args), &format!("{name}.log"))
}
