//! Who runs this process, by name: getuid(2), passwd(5). Without NSS, which a static program does not have.

use std::fs;

/// The login name of the user, or `uid-N` where /etc/passwd does not know it.
pub fn name() -> String {
    let uid = rustix::process::getuid().as_raw();
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let entry =
        passwd.lines().find(|line| line.split(':').nth(2).is_some_and(|field| field.parse() == Ok(uid)));
    entry.and_then(|line| line.split(':').next()).map_or_else(|| format!("uid-{uid}"), str::to_owned)
}
