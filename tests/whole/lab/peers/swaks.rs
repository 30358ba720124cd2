//! swaks, the ordinary SMTP client of those who test mail servers.

use std::process::Output;

use super::super::Host;

/// Runs swaks on `host` with these arguments.
pub fn swaks(host: &Host, args: &[&str]) -> Output {
    let mut all = vec!["swaks"];
    all.extend(args);
    super::command(host, "swaks", "command.sh", include_str!("command.sh"), &all).output().unwrap()
}
