//! `scripts/flash` writes a whole disk after asking, and never one that is in use. Needs root for loop devices.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::lab::project;
use crate::rig::{Site, firmware};

/// A loop device over a file of this size; detached when dropped.
struct Disk {
    device: String,
    file: PathBuf,
}

impl Disk {
    fn new(name: &str, bytes: u64) -> Disk {
        let file = std::env::temp_dir().join(format!("stagepost-flash-{}-{name}", std::process::id()));
        std::fs::File::create(&file).unwrap().set_len(bytes).unwrap();
        let made = Command::new("losetup").args(["--find", "--show"]).arg(&file).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Disk { device: String::from_utf8(made.stdout).unwrap().trim().to_owned(), file }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
        let _ = std::fs::remove_file(&self.file);
    }
}

/// Runs the script with this typed; whether it went well, and what it said.
fn flash(device: &str, typed: &str) -> (bool, String) {
    let mut script = Command::new(project().join("scripts/flash"))
        .args(["pc", device])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that refuses does not listen.
    let _ = script.stdin.take().unwrap().write_all(typed.as_bytes());
    let output = script.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn only_a_whole_disk_that_nobody_uses_is_written_and_only_after_asking() {
    // Where a site can be made, a disk can.
    let Some(_site) = Site::new("pc") else { return };
    let image = firmware("pc").join("disk.img");
    let bytes = std::fs::metadata(&image).unwrap().len();
    let disk = Disk::new("disk", bytes + (1 << 20));
    for (caption, device, typed, why) in [
        ("no block device", "/dev/null", "", "is no block device"),
        ("not confirmed", disk.device.as_str(), "yes\n", "nothing was written"),
        ("no answer", disk.device.as_str(), "", "nothing was written"),
    ] {
        let (done, said) = flash(device, typed);
        assert!(!done && said.contains(why), "{caption}: {said}");
    }
    let small = Disk::new("small", 1 << 20);
    let (done, said) = flash(&small.device, &format!("{}\n", small.device));
    assert!(!done && said.contains("too few"), "{said}");
    mounted_disk_is_refused(&disk);
    assert!(is_empty(&disk.file), "something was written all the same");
    let (done, said) = flash(&disk.device, &format!("{}\n", disk.device));
    assert!(done && said.contains("read back"), "{said}");
    let written = std::fs::read(&disk.file).unwrap();
    assert!(written[..bytes as usize] == std::fs::read(&image).unwrap()[..]);
}

fn is_empty(file: &Path) -> bool {
    std::fs::read(file).unwrap().iter().all(|byte| *byte == 0)
}

fn mounted_disk_is_refused(disk: &Disk) {
    let other = Disk::new("mounted", 16 << 20);
    let run = |program: &str, args: &[&str]| {
        let done = Command::new(program).args(args).output().unwrap();
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let place = disk.file.with_extension("mount");
    std::fs::create_dir_all(&place).unwrap();
    run("mkfs.ext4", &["-q", &other.device]);
    run("mount", &[&other.device, place.to_str().unwrap()]);
    let (done, said) = flash(&other.device, &format!("{}\n", other.device));
    run("umount", &[place.to_str().unwrap()]);
    std::fs::remove_dir(&place).unwrap();
    assert!(!done && said.contains("in use"), "{said}");
}
