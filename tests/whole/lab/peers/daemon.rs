//! Debian's small daemons, each with the files that its command line names below `/lab`.

use std::path::PathBuf;

use super::super::{Host, Running};

/// Starts the daemon of the peer `name` on `host`; its output is in `NAME.log`.
pub fn daemon(host: &Host, name: &str, files: &[(&str, &str)], command: &[&str]) -> Running {
    let lab = super::lab_dir(host, name);
    std::fs::create_dir_all(&lab).unwrap();
    for (file, text) in files {
        std::fs::write(lab.join(file), text).unwrap();
    }
    super::start(host, name, "command.sh", include_str!("command.sh"), command)
}

/// A file that the daemon writes below `/lab`, as seen from here.
pub fn daemon_file(host: &Host, name: &str, file: &str) -> PathBuf {
    super::lab_dir(host, name).join(file)
}

/// Debian's chronyd, which serves this machine's own time and sets nothing (`-x`).
pub fn chrony(host: &Host) -> Running {
    let conf = "local stratum 3\nallow all\ncmdport 0\npidfile /run/chronyd.pid\ndriftfile /lab/drift\n";
    daemon(
        host,
        "chrony",
        &[("chrony.conf", conf)],
        &["/usr/sbin/chronyd", "-x", "-d", "-u", "root", "-f", "/lab/chrony.conf"],
    )
}
