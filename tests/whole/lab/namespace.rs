//! Network namespaces through iproute2, and processes and sockets inside them. A thread that enters a
//! namespace never comes back to the test's own: it ends there, and hands over what it opened.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use std::os::fd::AsFd;

/// Every namespace and folder of every lab begins so; what follows is the process that made it.
pub const PREFIX: &str = "stlab";
/// Where labs keep their files, each on a tmpfs of its own.
pub const ROOM: &str = "/tmp/stagepost-lab";

/// Runs a command that must succeed; gives its standard output.
pub fn command(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {errors}", args.join(" "));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A named network namespace, removed when dropped with every process in it.
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub fn new(name: &str) -> Namespace {
        command("ip", &["netns", "add", name]);
        Namespace { name: name.to_owned() }
    }

    pub fn ip(&self, args: &[&str]) -> String {
        let mut all = vec!["-n", self.name.as_str()];
        all.extend(args);
        command("ip", &all)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// A host on the lab's bridge, with a folder for what its processes write.
pub struct Host {
    space: Namespace,
    dir: PathBuf,
}

impl Host {
    pub fn new(name: &str, dir: PathBuf) -> Host {
        fs::create_dir_all(&dir).unwrap();
        Host { space: Namespace::new(name), dir }
    }

    pub fn space(&self) -> &str {
        &self.space.name
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Brings up `eth0` and `lo`; addresses are usable at once, without duplicate-address detection.
    pub fn link_up(&self) {
        self.within(|| {
            for name in ["all", "default", "eth0"] {
                fs::write(format!("/proc/sys/net/ipv6/conf/{name}/accept_dad"), "0").unwrap();
            }
        });
        self.space.ip(&["link", "set", "lo", "up"]);
        self.space.ip(&["link", "set", "eth0", "up"]);
    }

    pub fn ip(&self, args: &[&str]) -> String {
        self.space.ip(args)
    }

    pub fn add_address(&self, address: &str) {
        self.ip(&["addr", "add", address, "dev", "eth0"]);
    }

    pub fn remove_address(&self, address: &str) {
        self.ip(&["addr", "del", address, "dev", "eth0"]);
    }

    /// Whether the kernel holds `address` (without a prefix length) on `eth0` now.
    pub fn has_address(&self, address: &str) -> bool {
        self.ip(&["-o", "addr", "show", "dev", "eth0"])
            .lines()
            .any(|line| line.split_whitespace().any(|word| word.split('/').next() == Some(address)))
    }

    /// Runs `body` on a thread inside this host's namespace; sockets it opens stay there.
    pub fn within<T: Send>(&self, body: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.space());
        let enter = || {
            let space = File::open(&path).unwrap();
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            body()
        };
        std::thread::scope(|scope| match scope.spawn(enter).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// A command inside this host's namespace, not started yet.
    pub fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", self.space(), program]).args(args).env("LC_ALL", "C");
        command
    }

    /// Everything that runs here.
    pub fn processes(&self) -> Vec<rustix::process::Pid> {
        let pids = command("ip", &["netns", "pids", self.space()]);
        pids.split_whitespace().filter_map(|pid| rustix::process::Pid::from_raw(pid.parse().ok()?)).collect()
    }

    /// Starts a command here; what it prints goes to the file `LOG` in this host's folder.
    pub fn start(&self, mut command: Command, log: &str) -> Running {
        let path = self.dir.join(log);
        let open = || File::options().create(true).append(true).open(&path).unwrap();
        let child = command.stdin(Stdio::null()).stdout(open()).stderr(open()).spawn().unwrap();
        Running { child, log: path.clone() }
    }
}

/// A process in the background, killed when dropped.
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// What it has printed so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM, unless it has ended.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }

    /// The exit code, once it has ended by itself.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.child.try_wait().unwrap().map(|status| status.code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Kills what still runs in the namespace and removes it.
fn remove(space: &str) {
    for _ in 0..5 {
        let output = Command::new("ip").args(["netns", "pids", space]).output().unwrap();
        let pids = String::from_utf8_lossy(&output.stdout).into_owned();
        for pid in
            pids.split_whitespace().filter_map(|p| p.parse().ok()).filter_map(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        if pids.trim().is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let _ = Command::new("ip").args(["netns", "del", space]).output();
}

/// Removes everything whose name begins with the lab's.
pub fn clear(lab: &str) {
    for space in names_in("/run/netns").filter(|name| name.starts_with(&format!("{lab}-"))) {
        remove(&space);
    }
    let dir = Path::new(ROOM).join(lab);
    let _ = Command::new("umount").arg("--lazy").arg(&dir).output();
    let _ = fs::remove_dir(&dir);
}

/// Removes the labs of processes that are no more. Once a run.
pub fn sweep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for name in names_in("/run/netns").chain(names_in(ROOM)) {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let mut parts = rest.split('-');
            let (Some(pid), Some(number)) = (parts.next(), parts.next()) else { continue };
            if pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists() {
                clear(&format!("{PREFIX}{pid}-{number}"));
            }
        }
    });
}

fn names_in(dir: &str) -> impl Iterator<Item = String> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.file_name().to_string_lossy().into_owned())
}

/// Prints the tail of each log of a failed test's hosts.
pub fn print_logs(dir: &Path) {
    for host in fs::read_dir(dir).into_iter().flatten().flatten() {
        for file in fs::read_dir(host.path()).into_iter().flatten().flatten() {
            if file.path().extension().is_some_and(|e| e == "log") {
                let text = String::from_utf8_lossy(&fs::read(file.path()).unwrap_or_default()).into_owned();
                let lines: Vec<&str> = text.lines().collect();
                eprintln!("--- the end of {}", file.path().display());
                for line in &lines[lines.len().saturating_sub(40)..] {
                    eprintln!("    {line}");
                }
            }
        }
    }
}
