//! The real binary in a virtual machine (QEMU, Debian's kernel), for file systems that this machine's kernel
//! may not have: its data lie on f2fs, its network is the lab's bridge. Beside busybox nothing else runs there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::namespace::command;
use super::{BINARY, Host, PATIENCE, Running, Tap, peers, until};

/// The modules that the guest needs, in the order in which they are loaded; what is built in is not found.
const MODULES: [&str; 18] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
    "virtio_blk",
    "crc32_generic",
    "lz4_compress",
    "lz4hc_compress",
    "lz4",
    "lz4hc",
    "xxhash",
    "zstd_compress",
    "zstd",
    "f2fs",
];

/// What the guest does: it mounts its disk, takes its addresses, and runs the daemon.
const INIT: &str = "#!/busybox sh\n\
    b=/busybox\n\
    $b mkdir -p /proc /sys /dev /data /run /tmp\n\
    $b mount -t proc p /proc; $b mount -t sysfs s /sys; $b mount -t devtmpfs d /dev\n\
    for m in $($b cat /modules/order); do $b insmod /modules/$m.ko; done\n\
    $b ip link set lo up; $b ip link set eth0 up\n\
    for a in $($b cat /addresses); do $b ip addr add $a dev eth0; done\n\
    $b mount -t f2fs /dev/vda /data || $b echo NO DISK\n\
    $b cp /config /data/config; $b sync\n\
    /stagepost run --data /data\n\
    $b echo THE DAEMON ENDED; $b sleep 1000\n";

/// Whether this machine can do it; says why not.
pub fn possible() -> bool {
    let missing = |program: &&str| Command::new(program).arg("--version").output().is_err();
    let lacks = ["qemu-system-x86_64", "mkfs.f2fs", "strip"].into_iter().find(missing);
    if let Some(lacks) = lacks {
        eprintln!("skipped: no {lacks}; `scripts/test --long` installs the packages");
    }
    lacks.is_none()
}

/// Makes a file with a fresh f2fs in it.
pub fn make_f2fs(image: &Path, megabytes: u32) {
    let file = fs::File::create(image).unwrap();
    file.set_len(u64::from(megabytes) << 20).unwrap();
    command("mkfs.f2fs", &["-q", "-f", image.to_str().unwrap()]);
}

/// A guest that can be started from any disk.
pub struct Guest<'h> {
    host: &'h Host,
    tap: Tap,
    kernel: PathBuf,
    initrd: PathBuf,
}

impl<'h> Guest<'h> {
    /// Files lie in the folder of `host`, which does nothing else; the guest has these addresses.
    pub fn new(host: &'h Host, tap: Tap, addresses: &[&str], config: &str) -> Guest<'h> {
        let linux = peers::tree("linux");
        let kernel = find(&linux.join("boot"), &|name| name.starts_with("vmlinuz")).expect("a kernel");
        let root = host.dir().join("guest");
        fs::create_dir_all(root.join("modules")).unwrap();
        let mut order = String::new();
        for module in MODULES {
            let file = format!("{module}.ko");
            if let Some(path) = find(&linux.join("usr/lib/modules"), &|name| name == file) {
                fs::copy(path, root.join("modules").join(&file)).unwrap();
                order.push_str(&format!("{module}\n"));
            }
        }
        let busybox = find(&linux.join("usr/bin"), &|name| name == "busybox").expect("busybox");
        fs::copy(busybox, root.join("busybox")).unwrap();
        command("strip", &["-o", root.join("stagepost").to_str().unwrap(), BINARY]);
        libraries(&root);
        for (name, text) in [
            ("modules/order", order.as_str()),
            ("addresses", &addresses.join("\n")),
            ("config", config),
            ("init", INIT),
        ] {
            fs::write(root.join(name), text).unwrap();
        }
        command("chmod", &["755", root.join("init").to_str().unwrap()]);
        let initrd = host.dir().join("guest.cpio");
        let pack = format!("cd {} && find . | cpio --quiet -o -H newc >{}", root.display(), initrd.display());
        command("sh", &["-c", &pack]);
        Guest { host, tap, kernel, initrd }
    }

    /// Powers it on with this disk: `nbd:unix:SOCKET`, or a file. Dropping what this gives cuts the power.
    pub fn power_on(&self, disk: &str) -> Running {
        let drive = format!("file={disk},format=raw,if=none,id=d,cache=writeback");
        let net = format!("tap,id=n,ifname={},script=no,downscript=no", self.tap.name);
        let (kernel, initrd) = (self.kernel.to_str().unwrap(), self.initrd.to_str().unwrap());
        let args = [
            "-accel",
            "tcg",
            "-M",
            "q35",
            "-cpu",
            "max",
            "-m",
            "512",
            "-display",
            "none",
            "-monitor",
            "none",
            "-no-reboot",
            "-serial",
            "stdio",
            "-kernel",
            kernel,
            "-initrd",
            initrd,
            "-append",
            "console=ttyS0 quiet panic=-1 no_timer_check",
            "-drive",
            &drive,
            "-device",
            "virtio-blk-pci,drive=d",
            "-netdev",
            &net,
            "-device",
            "virtio-net-pci,netdev=n,romfile=",
        ];
        self.host.start(self.tap.command("qemu-system-x86_64", &args), "guest.log")
    }

    /// Waits until a guest that is powered on greets at all of these addresses.
    #[track_caller]
    pub fn await_up(&self, from: &Host, addresses: &[&str]) {
        for address in addresses {
            let target = format!("{address}:25").parse().unwrap();
            let wait = std::time::Duration::from_secs(1);
            let greets = || std::net::TcpStream::connect_timeout(&target, wait).is_ok();
            until(&format!("the guest listens on {address}"), 10 * PATIENCE, || {
                from.within(greets).then_some(())
            });
        }
    }
}

/// Copies the libraries that the binary is linked with to where its loader finds them.
fn libraries(root: &Path) {
    let listed = command("ldd", &[BINARY]);
    for path in listed.split_whitespace().filter(|word| word.starts_with('/')) {
        let place = root.join(path.trim_start_matches('/'));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(path, place).unwrap();
    }
}

/// The first file below `folder` with such a name.
fn find(folder: &Path, fits: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            if let Some(found) = find(&path, fits) {
                return Some(found);
            }
        } else if fits(&entry.file_name().to_string_lossy()) {
            return Some(path);
        }
    }
    None
}
