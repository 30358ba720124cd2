//! A real ext4 for one host: an image on a loop device, whose counters tell what was written to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::Host;
use super::namespace::command;

/// A mounted file system, gone when dropped.
pub struct Disk {
    at: PathBuf,
    device: String,
}

impl Disk {
    /// A fresh ext4 of this size in `folder` of the host: where [`super::Stagepost::start_as`] of that name
    /// keeps its data. It has no lazy work left to do, so that what is written later is its users'.
    #[track_caller]
    pub fn ext4(host: &Host, folder: &str, megabytes: u32) -> Disk {
        let image = host.dir().join(format!("{folder}.image"));
        make_ext4(&image, megabytes);
        Disk::mount(host, folder, &image)
    }

    /// Mounts it again with these options.
    #[track_caller]
    pub fn remount(&self, options: &str) {
        command("mount", &["-o", &format!("remount,{options}"), self.at.to_str().unwrap()]);
    }

    /// The file system that lies in `image` already, as a power cut may have left it.
    #[track_caller]
    pub fn mount(host: &Host, folder: &str, image: &Path) -> Disk {
        let at = host.dir().join(folder);
        std::fs::create_dir_all(&at).unwrap();
        command("mount", &["-o", "loop", image.to_str().unwrap(), at.to_str().unwrap()]);
        let device = command("findmnt", &["-no", "SOURCE", at.to_str().unwrap()]);
        Disk { at, device: device.trim().trim_start_matches("/dev/").to_owned() }
    }

    pub fn folder(&self) -> &Path {
        &self.at
    }

    /// Has everything in memory written to the device.
    pub fn sync(&self) {
        command("sync", &["-f", self.at.to_str().unwrap()]);
    }

    /// Bytes written to the device since it was made.
    pub fn written(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/sys/block/{}/stat", self.device)).unwrap();
        let sectors: u64 = stat.split_whitespace().nth(6).unwrap().parse().unwrap();
        sectors * 512
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).output();
    }
}

/// Makes a file with a fresh ext4 in it.
pub fn make_ext4(image: &Path, megabytes: u32) {
    let file = std::fs::File::create(image).unwrap();
    file.set_len(u64::from(megabytes) << 20).unwrap();
    let lazy = "lazy_itable_init=0,lazy_journal_init=0";
    command("mkfs.ext4", &["-q", "-F", "-b", "4096", "-E", lazy, image.to_str().unwrap()]);
}
