//! The binary as the first process of a machine of its own: namespaces and a bare root file system, a
//! terminal as its serial line, a folder as its data partition. Switching it off is SIGKILL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Host, PATIENCE, Terminal, until, until_true};

const BINARY: &str = env!("CARGO_BIN_EXE_stagepost");

/// The password of every box in these tests.
pub const PASSWORD: &str = "pepper and salt";

/// What `/init` finds: an empty `/dev` but for the console, the data partition mounted already.
const POWER_ON: &str = r#"
set -e
root=$1 data=$2 binary=$3
mount -t tmpfs none "$root"
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/data" "$root/usr"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"
mount --rbind /usr "$root/usr"
mount -t tmpfs none "$root/dev"
touch "$root/dev/console" "$root/init"
mount --bind "$(tty)" "$root/dev/console"
mount --bind "$data" "$root/data"
mount --bind "$binary" "$root/init"
exec chroot "$root" /init
"#;

/// An appliance on a host of the lab, and its owner's terminal.
pub struct Appliance<'h> {
    host: &'h Host,
    pub data: PathBuf,
    pub terminal: Terminal,
}

impl<'h> Appliance<'h> {
    /// Switches on a box with this data partition.
    #[track_caller]
    pub fn power_on(host: &'h Host, data: &Path) -> Appliance<'h> {
        fs::create_dir_all(data).unwrap();
        Appliance { host, data: data.to_owned(), terminal: serial_line(host, data) }
    }

    /// Switches on a new box and gives its console the password.
    #[track_caller]
    pub fn new(host: &'h Host) -> Appliance<'h> {
        let mut new = Appliance::power_on(host, &host.dir().join("data"));
        new.terminal.shows("New password: ");
        new.terminal.line(PASSWORD);
        new.terminal.shows("The same again: ");
        new.terminal.line(PASSWORD);
        new
    }

    /// Switches it on with this configuration and its password, and logs in.
    #[track_caller]
    pub fn with_config(host: &'h Host, config: &str) -> Appliance<'h> {
        let mut box_ = Appliance::new(host);
        box_.terminal.shows("name: ");
        box_.terminal.type_keys(b"\x03");
        box_.terminal.shows("> ");
        box_.terminal.line("import");
        box_.terminal.shows("Statements, then a line with a dot:");
        for line in config.lines() {
            box_.terminal.line(line);
        }
        box_.terminal.line(".");
        box_.terminal.shows("noted");
        box_.terminal.line("commit");
        box_.terminal.shows("it runs");
        box_
    }

    /// Passes the failsafe's offer, and the login.
    #[track_caller]
    pub fn log_in(&mut self) {
        self.terminal.shows("Hit f within");
        self.terminal.type_keys(b"\r");
        self.terminal.shows("Password: ");
        self.terminal.line(PASSWORD);
        self.terminal.shows("`exit` ends");
    }

    /// Types a command; what it must show.
    #[track_caller]
    pub fn says(&mut self, line: &str, shown: &str) {
        self.terminal.line(line);
        self.terminal.shows(shown);
    }

    /// The power goes.
    #[track_caller]
    pub fn power_off(&mut self) {
        self.terminal.unplug();
        until("everything on it ends", PATIENCE, || {
            let running = self.host.processes();
            for pid in &running {
                let _ = rustix::process::kill_process(*pid, rustix::process::Signal::KILL);
            }
            running.is_empty().then_some(())
        });
    }

    /// The power comes back.
    #[track_caller]
    pub fn on_again(&mut self) {
        self.terminal = serial_line(self.host, &self.data);
    }

    /// It ends by itself, as for a restart.
    #[track_caller]
    pub fn goes_down(&mut self) {
        self.terminal.ends();
        until_true("nothing runs on it", || self.host.processes().is_empty());
    }
}

impl Drop for Appliance<'_> {
    fn drop(&mut self) {
        self.terminal.unplug();
        for pid in self.host.processes() {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

fn serial_line(host: &Host, data: &Path) -> Terminal {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let root = host.dir().join(format!("root-{number}"));
    fs::create_dir_all(&root).unwrap();
    let script = host.dir().join("power-on");
    fs::write(&script, POWER_ON).unwrap();
    // Its own session: a terminal that goes takes nobody along.
    let command = format!(
        "setsid -w unshare --mount --pid --fork sh {} {} {} {BINARY}",
        script.display(),
        root.display(),
        data.display()
    );
    let mut typed = host.command("script", &["-q", "-e", "-f", "-c", &command, "/dev/null"]);
    typed.stderr(Stdio::null());
    Terminal::start(typed, host.dir().join(format!("serial-{number}.log")))
}
