//! swaks, the ordinary SMTP client of those who test mail servers, msmtp, that of those who send
//! mail, and GNU SASL, which knows every mechanism.

use std::io::Write;
use std::process::{Output, Stdio};

use super::super::Host;

/// Runs swaks on `host` with these arguments.
pub fn swaks(host: &Host, args: &[&str]) -> Output {
    let mut all = vec!["swaks"];
    all.extend(args);
    super::command(host, "swaks", "command.sh", include_str!("command.sh"), &all).output().unwrap()
}

/// Runs GNU SASL's client on `host` with these arguments.
pub fn gsasl(host: &Host, args: &[&str]) -> Output {
    let mut all = vec!["gsasl"];
    all.extend(args);
    let mut command = super::command(host, "gsasl", "command.sh", include_str!("command.sh"), &all);
    command.stdin(Stdio::null()).output().unwrap()
}

/// Runs msmtp on `host` with these arguments, and this message on its standard input.
pub fn msmtp(host: &Host, args: &[&str], message: &str) -> Output {
    let mut all = vec!["msmtp"];
    all.extend(args);
    let mut command = super::command(host, "msmtp", "command.sh", include_str!("command.sh"), &all);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // One that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(message.as_bytes());
    child.wait_with_output().unwrap()
}
