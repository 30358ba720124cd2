//! Two verifiers of DKIM that share no code with ours: dkimpy and Mail::DKIM.

use std::path::Path;
use std::process::Command;

/// What each prints on the message in a file, sorted, with the DNS records of another: `NAME VALUE` a line.
#[track_caller]
pub fn verdicts(message: &Path, records: &Path) -> [Vec<String>; 2] {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dkim");
    [("/usr/bin/python3", "verify.py"), ("perl", "verify.pl")].map(|(interpreter, script)| {
        let mut command = Command::new(interpreter);
        let output = command.arg(scripts.join(script)).args([message, records]).output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script} (is its Debian package there?): {errors}");
        let mut lines: Vec<String> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    })
}
