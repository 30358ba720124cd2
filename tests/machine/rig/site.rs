//! A site: the box's place on the bridge, a PC that sends, the remote host xyz.com, and DNS that knows them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Appliance, is_long};
use crate::lab::peers::{Nsd, Zones};
use crate::lab::power::Power;
use crate::lab::{ABC, BCD, DNS, Host, Lab, PC, XYZ, project};

/// The hosts; the lab goes last.
pub struct Site {
    /// Whose image is started.
    pub board: &'static str,
    /// The remote host xyz.com.
    pub remote: Host,
    /// Where mail programs and web servers run.
    pub pc: Host,
    _dns: (Host, Nsd),
    /// The network namespace of the bridge.
    switch: String,
    _lab: Lab,
}

impl Site {
    /// The same for a story that takes minutes, and belongs to `scripts/test --long`.
    pub fn long(board: &'static str) -> Option<Site> {
        if is_long() { Site::new(board) } else { None }
    }

    /// A site for a box of this board; `None`, and why, where that cannot be had.
    pub fn new(board: &'static str) -> Option<Site> {
        if !firmware(board).join("disk.img").exists() {
            eprintln!("skipped: no image; scripts/image {board} builds it");
            return None;
        }
        let lab = Lab::new()?;
        let remote = lab.host("remote", &[&format!("{XYZ}/24")]);
        let pc = lab.host("pc", &[&format!("{PC}/24")]);
        let dns = lab.host("dns", &[&format!("{DNS}/24")]);
        let zones = Zones::default()
            .host("abc.com", ABC)
            .host("bcd.com", BCD)
            .host("xyz.com", XYZ)
            .records("xyz.com", "@ MX 10 xyz.com.");
        let nsd = Nsd::start(&dns, &[DNS], &zones);
        let switch = pc.space().replace("-pc", "-sw");
        let site = Site { board, remote, pc, _dns: (dns, nsd), switch, _lab: lab };
        for tap in ["tap0", "tap1"] {
            for line in [format!("tuntap add dev {tap} mode tap"), format!("link set {tap} master br0 up")] {
                let done = Command::new("ip").args(["-n", &site.switch]).args(line.split(' ')).status();
                assert!(done.unwrap().success(), "ip {line}");
            }
        }
        Some(site)
    }

    /// Where this test keeps its files; they go with the site.
    pub fn dir(&self) -> &Path {
        self.pc.dir()
    }

    /// A new disk as `scripts/flash` would write it.
    pub fn disk(&self, name: &str) -> PathBuf {
        let disk = self.dir().join(name);
        let image = firmware(self.board).join("disk.img");
        let copied = Command::new("cp").arg("--sparse=always").arg(image).arg(&disk).status();
        assert!(copied.unwrap().success());
        disk
    }

    /// A new disk that journals what is done to it.
    pub fn journaled_disk(&self, name: &str) -> Power {
        Power::on(&self.pc, &self.disk(name))
    }

    /// Switches a box on with a journaled disk.
    pub fn power_on_with(&self, disk: &Power, options: &[&str]) -> Appliance {
        self.power_on(format!("nbd:unix:{}", disk.socket().display()), options)
    }

    /// Switches a box on, at `tap0` unless `options`, which are those of `scripts/boot`, say `tap1`. `disk` is a
    /// file or `nbd:unix:SOCKET`.
    pub fn power_on(&self, disk: impl AsRef<Path>, options: &[&str]) -> Appliance {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.switch]).arg(project().join("scripts/boot"));
        command.args([self.board, "--tap", "tap0", "--disk"]).arg(disk.as_ref());
        Appliance::start(command, self.dir(), options)
    }
}

/// What `scripts/image` made for a board.
pub fn firmware(board: &str) -> PathBuf {
    project().join("target/firmware").join(board)
}
