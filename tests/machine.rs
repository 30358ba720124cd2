//! The whole appliance in QEMU, from power-on: driven through its serial line and the network only. Needs the
//! image of `scripts/image pc`, QEMU, and root for a tap device in a network namespace of its own; without
//! them a test says `skipped:` and why. They take minutes under emulation and belong to `scripts/test --long`.

// Whoever watches a machine from outside must read clocks and wait.
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

/// Under emulation, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// A box in QEMU, with its serial line.
struct Machine {
    qemu: Child,
    serial: UnixStream,
    seen: String,
    disk: PathBuf,
}

impl Machine {
    /// Starts the image `disk` in this thread's network namespace, on `tap0`.
    fn start(disk: &Path) -> Self {
        let socket = disk.with_extension("serial");
        let _ = std::fs::remove_file(&socket);
        let log = std::fs::File::create(disk.with_extension("log")).unwrap();
        let qemu = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/boot"))
            .args(["pc", "--tap", "tap0", "--disk"])
            .arg(disk)
            .arg("--serial")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let until = Instant::now() + PATIENCE;
        let serial = loop {
            match UnixStream::connect(&socket) {
                Ok(serial) => break serial,
                Err(e) => assert!(Instant::now() < until, "QEMU has no serial line: {e}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        serial.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        Machine { qemu, serial, seen: String::new(), disk: disk.to_owned() }
    }

    /// Reads the serial line until `text` stands on it; what came up to its end.
    fn expect(&mut self, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.seen.find(text) {
                return self.seen.drain(..at + text.len()).collect();
            }
            assert!(Instant::now() < until, "no `{text}` on the serial line, but:\n{}", self.seen);
            let mut piece = [0; 4096];
            match self.serial.read(&mut piece) {
                Ok(0) => panic!("the machine has gone; the serial line says:\n{}", self.seen),
                Ok(n) => self.seen.push_str(&String::from_utf8_lossy(&piece[..n])),
                Err(_) => {}
            }
        }
    }

    /// Types a command and gives what the console prints, up to its next prompt.
    fn say(&mut self, line: &str) -> String {
        self.serial.write_all(format!("{line}\r").as_bytes()).unwrap();
        self.expect("\n");
        self.expect("> ")
    }

    /// Repeats a command until its answer holds `text`.
    fn say_until(&mut self, line: &str, text: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let answer = self.say(line);
            if answer.contains(text) {
                return answer;
            }
            assert!(Instant::now() < until, "`{line}` never says `{text}`, but:\n{answer}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// Waits until the machine has switched itself off.
    fn gone(mut self) {
        let until = Instant::now() + PATIENCE;
        while self.qemu.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the machine does not switch itself off");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = std::fs::remove_file(&self.disk);
    }
}

/// A fresh disk, and a tap device with 10.99.0.10 on it; `None`, and why, where that cannot be had.
fn laboratory(name: &str) -> Option<PathBuf> {
    if std::env::var_os("STAGEPOST_LONG").is_none() {
        eprintln!("skipped: takes minutes in QEMU; scripts/test --long runs it");
        return None;
    }
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/firmware/pc");
    if !firmware.join("disk.img").exists() {
        eprintln!("skipped: no image; scripts/image pc builds it");
        return None;
    }
    if let Err(e) = unshare(CloneFlags::CLONE_NEWNET) {
        eprintln!("skipped: a network namespace needs root: {e}");
        return None;
    }
    for line in [
        "link set lo up",
        "tuntap add dev tap0 mode tap",
        "link set tap0 up",
        "addr add 10.99.0.10/24 dev tap0",
    ] {
        let done = Command::new("ip").args(line.split(' ')).status().unwrap();
        if !done.success() {
            eprintln!("skipped: ip {line}: {done}");
            return None;
        }
    }
    let disk = firmware.join(format!("{name}.img"));
    let copied = Command::new("cp").arg("--sparse=always").arg(firmware.join("disk.img")).arg(&disk).status();
    assert!(copied.unwrap().success());
    Some(disk)
}

const STATEMENTS: &[&str] = &[
    "box name abc.com",
    "box interface eth0",
    "box address 10.99.0.1/24",
    "domain bcd.com address 10.99.0.70/24",
    "domain bcd.com client 10.99.0.10",
    "domain bcd.com route default 10.99.0.10",
];

fn configure(machine: &mut Machine) {
    machine.expect("> ");
    for statement in STATEMENTS {
        let answer = machine.say(&format!("set {statement}"));
        assert!(!answer.contains("no "), "set {statement}: {answer}");
    }
    machine.say("commit");
    machine.say_until("show interface", "10.99.0.70");
    while machine.say("show interface").contains("pending") {
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Plays the remote host for one message; gives who called, what he said he was, and the message.
fn receive(listener: &TcpListener) -> (IpAddr, String, String) {
    let (stream, peer) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut out = stream;
    let (mut hello, mut text, mut in_data) = (String::new(), String::new(), false);
    out.write_all(b"220 xyz.com\r\n").unwrap();
    while let Some(Ok(line)) = lines.next() {
        let reply = match line.split(' ').next().unwrap() {
            "." if in_data => {
                in_data = false;
                "250 2.0.0 taken"
            }
            _ if in_data => {
                text.push_str(&line);
                text.push('\n');
                continue;
            }
            "EHLO" => {
                hello = line[5..].to_owned();
                "250 xyz.com"
            }
            "DATA" => {
                in_data = true;
                "354 go on"
            }
            "QUIT" => {
                out.write_all(b"221 2.0.0 bye\r\n").unwrap();
                break;
            }
            _ => "250 2.0.0 ok",
        };
        out.write_all(format!("{reply}\r\n").as_bytes()).unwrap();
        if reply.ends_with("taken") {
            break;
        }
    }
    (peer.ip(), hello, text)
}

/// Hands one message of b1@bcd.com to the box; its reply to the final dot.
fn submit(subject: &str) -> String {
    let stream = TcpStream::connect("10.99.0.70:25").unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut replies = BufReader::new(stream.try_clone().unwrap());
    let mut out = stream;
    let mut last = String::new();
    let message = format!("Subject: {subject}\r\n\r\nThis message is a test. The end.\r\n.");
    for line in ["", "HELO pc", "MAIL FROM:<b1@bcd.com>", "RCPT TO:<x1@xyz.com>", "DATA", &message] {
        if !line.is_empty() {
            out.write_all(format!("{line}\r\n").as_bytes()).unwrap();
        }
        last.clear();
        replies.read_line(&mut last).unwrap();
        assert!(last.starts_with('2') || last.starts_with("354"), "{line}: {last}");
    }
    last
}

#[test]
fn a_new_box_is_configured_over_serial_and_relays() {
    let Some(disk) = laboratory("relays") else { return };
    let listener = TcpListener::bind("10.99.0.10:25").unwrap();
    let mut machine = Machine::start(&disk);
    configure(&mut machine);
    let receiver = std::thread::spawn(move || receive(&listener));
    submit("from the box");
    let (from, hello, text) = receiver.join().unwrap();
    assert_eq!((from.to_string().as_str(), hello.as_str()), ("10.99.0.70", "bcd.com"));
    assert!(text.contains("Subject: from the box") && text.contains("The end."), "{text}");
    let slots = machine.say("show slots");
    assert!(slots.contains("running") && slots.contains('A'), "{slots}");
    machine.serial.write_all(b"poweroff\r").unwrap();
    machine.gone();
}

#[test]
fn garbage_on_the_serial_line_costs_nothing() {
    let Some(disk) = laboratory("garbage") else { return };
    let mut machine = Machine::start(&disk);
    configure(&mut machine);
    let garbage: Vec<u8> = (0..10_000_u32).map(|n| (n * 7 + n / 251) as u8).filter(|b| *b != 4).collect();
    machine.serial.write_all(&garbage).unwrap();
    machine.serial.write_all(b"\x03\r").unwrap();
    machine.say_until("show interface", "10.99.0.70");
    assert!(TcpStream::connect("10.99.0.70:25").is_ok());
}

#[test]
fn an_update_runs_on_trial_and_is_confirmed() {
    let Some(disk) = laboratory("updates") else { return };
    let mut machine = Machine::start(&disk);
    configure(&mut machine);
    let parcel = std::fs::read(disk.with_file_name("pc.update")).unwrap();
    serve_http(vec![parcel[..parcel.len() / 2].to_vec(), flipped(&parcel), parcel]);
    let answer = machine.say("update http://10.99.0.10:8080/cut");
    assert!(answer.contains("cut off"), "{answer}");
    let answer = machine.say("update http://10.99.0.10:8080/flipped");
    assert!(answer.contains("damaged"), "{answer}");
    assert!(machine.say("show slots").contains("next, on trial"));
    let answer = machine.say("update http://10.99.0.10:8080/good");
    assert!(answer.contains("slot B holds the update"), "{answer}");
    machine.serial.write_all(b"reboot\r").unwrap();
    machine.expect("lists the commands");
    machine.expect("> ");
    let slots = machine.say("show slots --json");
    assert!(slots.contains(r#""running":"B""#) && slots.contains(r#""good":"A""#), "{slots}");
    assert!(machine.say("show config").contains("domain bcd.com address"));
    machine.say_until("show slots --json", r#""good":"B""#);
}

fn flipped(parcel: &[u8]) -> Vec<u8> {
    let mut bad = parcel.to_vec();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    bad
}

/// Answers one request after the other with these bodies, on 10.99.0.10:8080.
fn serve_http(bodies: Vec<Vec<u8>>) {
    let listener = TcpListener::bind("10.99.0.10:8080").unwrap();
    std::thread::spawn(move || {
        for body in bodies {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
            while request.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").unwrap();
            // A box that refuses the parcel closes early.
            let _ = stream.write_all(&body);
        }
    });
}
