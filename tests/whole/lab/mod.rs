//! The lab: hosts in network namespaces on one bridge, with real peers and the real binary on them. Needs
//! root. Everything of a lab is named after it and goes with it, also when a test panics; what a killed run
//! left behind is swept by the next. The addresses are documentation's (RFC 5737, RFC 3849), in every lab
//! the same ones: no packet leaves the bridge.

mod appliance;
mod dialogue;
mod disk;
pub mod guest;
pub mod load;
mod message;
mod namespace;
pub mod peers;
pub mod power;
mod remote;
mod stagepost;
mod terminal;
mod wait;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

pub use appliance::{Appliance, PASSWORD};
pub use dialogue::Dialogue;
pub use disk::{Disk, make_ext4};
pub use message::{Message, split_mbox};
pub use namespace::{Host, Running, command};
pub use remote::{Remote, Reply, Taken};
pub use stagepost::{BINARY, Stagepost, run_binary};
pub use terminal::Terminal;
pub use wait::{PATIENCE, stamp, until, until_true};

/// The lab's own addresses, as the figures place them.
pub const ABC: &str = "203.0.113.1";
pub const BCD: &str = "203.0.113.70";
pub const XYZ: &str = "203.0.113.25";
pub const DNS: &str = "203.0.113.53";
pub const PC: &str = "203.0.113.9";

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    command("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
}

/// One bridge and the hosts on it.
pub struct Lab {
    name: String,
    switch: namespace::Namespace,
    dir: PathBuf,
}

impl Lab {
    /// A new lab, or `None` where this process may not make one; the test then ends, having said why.
    pub fn new() -> Option<Lab> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root, to make network namespaces");
            return None;
        }
        namespace::sweep();
        let name =
            format!("{}{}-{}", namespace::PREFIX, std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = PathBuf::from(namespace::ROOM).join(&name);
        std::fs::create_dir_all(&dir).unwrap();
        namespace::command("mount", &["-t", "tmpfs", "lab", dir.to_str().unwrap()]);
        let switch = namespace::Namespace::new(&format!("{name}-sw"));
        switch.ip(&["link", "add", "br0", "type", "bridge", "forward_delay", "0", "stp_state", "0"]);
        switch.ip(&["link", "set", "br0", "up"]);
        Some(Lab { name, switch, dir })
    }

    /// A host with these addresses (`203.0.113.1/24`) on its `eth0`.
    pub fn host(&self, name: &str, addresses: &[&str]) -> Host {
        let host = Host::new(&format!("{}-{name}", self.name), self.dir.join(name));
        let port = format!("p-{name}");
        let space = host.space();
        self.switch.ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", space]);
        self.switch.ip(&["link", "set", &port, "master", "br0", "up"]);
        host.link_up();
        for address in addresses {
            host.add_address(address);
        }
        host
    }

    /// A port of the bridge for a virtual machine.
    pub fn tap(&self) -> Tap {
        self.switch.ip(&["tuntap", "add", "dev", "tap0", "mode", "tap"]);
        self.switch.ip(&["link", "set", "tap0", "master", "br0", "up"]);
        Tap { name: "tap0", space: format!("{}-sw", self.name) }
    }

    /// Cuts `host`'s cable, or mends it.
    pub fn cable(&self, name: &str, connected: bool) {
        self.switch.ip(&["link", "set", &format!("p-{name}"), if connected { "up" } else { "down" }]);
    }
}

/// A network device in the bridge's namespace.
pub struct Tap {
    pub name: &'static str,
    space: String,
}

impl Tap {
    /// A command beside the device, not started yet.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space, program]).args(args);
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            namespace::print_logs(&self.dir);
        }
        namespace::clear(&self.name);
    }
}

/// Whether the long runs were asked for: `scripts/test --long`.
pub fn long() -> bool {
    std::env::var_os("STAGEPOST_LONG").is_some()
}

/// Tells a figure to whoever watches the run, whether the test passes or fails.
pub fn tell(figure: &str) {
    let _ = writeln!(std::io::stderr(), "    {figure}");
}

/// The project's top directory.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
