//! Programs that look for faults in a server's TLS: testssl.sh, and Postfix' posttls-finger.

use std::process::Stdio;

use serde_json::Value;

use super::super::Host;

/// Runs testssl.sh on `host` with these arguments; gives its findings, each with an `id` and a `severity`.
#[track_caller]
pub fn testssl(host: &Host, args: &[&str]) -> Vec<Value> {
    const QUIET: [&str; 8] = ["testssl", "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none"];
    let all = [&QUIET[..], &["--jsonfile", "/lab/found.json"], args].concat();
    let mut command = super::command(host, "testssl", "command.sh", include_str!("command.sh"), &all);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = std::fs::read(super::lab_dir(host, "testssl").join("found.json"));
    let found = found.unwrap_or_else(|e| panic!("testssl.sh found nothing to write: {e}: {said}"));
    serde_json::from_slice(&found).unwrap_or_else(|e| panic!("{e}: {said}"))
}

/// Runs posttls-finger on `host` with these arguments; gives what it says. Its authorities lie in `/lab/ca.pem`.
pub fn posttls_finger(host: &Host, authorities: &str, args: &[&str]) -> String {
    let outside = super::lab_dir(host, "postfix");
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("ca.pem"), authorities).unwrap();
    let mut command = super::command(host, "postfix", "posttls.sh", include_str!("posttls.sh"), args);
    let output = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
