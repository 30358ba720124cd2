//! A box in QEMU, and its owner at the serial line: he types, and knows only what the console prints.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::PATIENCE;
use crate::lab::{ABC, BCD, DNS, Host, PC};

/// A running box; its power is cut when this is dropped.
pub struct Appliance {
    qemu: Child,
    /// When it was switched on.
    pub since: Instant,
    serial: UnixStream,
    control: PathBuf,
    /// What the serial line has said and nobody has looked for yet.
    seen: String,
}

const STATEMENTS: &[&str] = &["box name abc.com", "box interface eth0", "domain bcd.com mailbox b2"];

impl Appliance {
    pub fn start(mut command: Command, dir: &Path, options: &[&str]) -> Appliance {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("box{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (socket, control) = (dir.join(format!("{name}.serial")), dir.join(format!("{name}.control")));
        let printed = File::create(dir.join(format!("{name}.log"))).unwrap();
        command.arg("--serial").arg(&socket).arg("--control").arg(&control).args(options);
        command.stdin(Stdio::null()).stdout(printed.try_clone().unwrap()).stderr(printed);
        let since = Instant::now();
        let mut qemu = command.spawn().unwrap();
        let serial = loop {
            match UnixStream::connect(&socket) {
                Ok(serial) => break serial,
                Err(e) => {
                    let log = std::fs::read_to_string(dir.join(format!("{name}.log"))).unwrap_or_default();
                    let ended = qemu.try_wait().unwrap();
                    assert!(
                        ended.is_none() && since.elapsed() < PATIENCE,
                        "QEMU has no serial line: {e}\n{log}"
                    );
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        serial.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        Appliance { qemu, since, serial, control, seen: String::new() }
    }

    /// Types bytes as they are.
    pub fn type_keys(&mut self, keys: &[u8]) {
        self.serial.write_all(keys).unwrap();
    }

    /// Types much, as a terminal does that minds XOFF and XON.
    pub fn paste(&mut self, bytes: &[u8]) {
        const XON: char = '\u{11}';
        const XOFF: char = '\u{13}';
        self.serial.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let mut is_held = false;
        for piece in bytes.chunks(512) {
            loop {
                self.listen();
                if let Some(at) = self.seen.rfind([XON, XOFF]) {
                    is_held = self.seen[at..].starts_with(XOFF);
                    self.seen.retain(|c| c != XON && c != XOFF);
                }
                if !is_held {
                    break;
                }
            }
            self.serial.write_all(piece).unwrap();
        }
        self.serial.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    }

    /// Reads what the serial line says now.
    fn listen(&mut self) {
        let mut piece = [0; 4096];
        match self.serial.read(&mut piece) {
            Ok(0) => panic!("the machine has gone; the serial line says:\n{}", self.seen),
            Ok(n) => self.seen.push_str(&String::from_utf8_lossy(&piece[..n])),
            Err(_) => {}
        }
    }

    /// Reads the serial line until `text` stands on it; what came up to its end.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        self.expect_one_of(&[text]).1
    }

    /// The same for the first of several; which, and what came up to its end.
    #[track_caller]
    pub fn expect_one_of(&mut self, texts: &[&str]) -> (usize, String) {
        let until = Instant::now() + PATIENCE;
        loop {
            let found = texts.iter().enumerate().filter_map(|(n, text)| Some((self.seen.find(text)?, n)));
            if let Some((at, n)) = found.min() {
                return (n, self.seen.drain(..at + texts[n].len()).collect());
            }
            assert!(Instant::now() < until, "none of {texts:?} on the serial line, but:\n{}", self.seen);
            self.listen();
        }
    }

    /// Types a command and gives what the console prints, up to its next prompt.
    #[track_caller]
    pub fn say(&mut self, line: &str) -> String {
        self.type_keys(format!("{line}\r").as_bytes());
        self.expect("\n");
        self.expect("> ")
    }

    /// Types a command, pastes a text and a line with a dot behind it; what the console says of it.
    #[track_caller]
    pub fn pastes(&mut self, line: &str, text: &str) -> String {
        self.type_keys(format!("{line}\r").as_bytes());
        self.expect_one_of(&["Nothing of it is shown.", "a line with a dot:"]);
        self.paste(text.replace("\r\n", "\n").replace('\n', "\r").as_bytes());
        self.paste(b"\r.\r");
        self.expect("> ")
    }

    /// Repeats a command until its answer holds `text`.
    #[track_caller]
    pub fn say_until(&mut self, line: &str, text: &str) -> String {
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

    /// Goes through what the console of a box that comes up asks for, to its first prompt.
    #[track_caller]
    pub fn greeted(&mut self) {
        let asked =
            ["Hit f within", "Password: ", "New password: ", "The same again: ", "lists the commands"];
        loop {
            match self.expect_one_of(&asked).0 {
                0 => self.type_keys(b"\r"),
                1..=3 => self.type_keys(b"pepper and salt\r"),
                _ => break,
            }
        }
        if self.expect_one_of(&["name: ", "> "]).0 == 0 {
            self.type_keys(b"\x03");
            self.expect("> ");
        }
    }

    /// A new box is told who it is; mail flows when this returns.
    #[track_caller]
    pub fn configure(&mut self, more: &[&str]) {
        self.greeted();
        self.set_up(more);
    }

    /// The same for one whose console waits at its prompt.
    #[track_caller]
    pub fn set_up(&mut self, more: &[&str]) {
        let own = [
            format!("box address {ABC}/24"),
            format!("box nameserver {DNS}"),
            format!("domain bcd.com address {BCD}/24"),
            format!("domain bcd.com client {PC}"),
        ];
        let own = own.iter().map(String::as_str);
        self.told(&STATEMENTS.iter().copied().chain(own).chain(more.iter().copied()).collect::<Vec<_>>());
        self.say_until("show interface --json", &format!(r#""address":"{BCD}","up":true"#));
    }

    /// Sets these statements and commits them.
    #[track_caller]
    pub fn told(&mut self, statements: &[&str]) {
        for statement in statements {
            let answer = self.say(&format!("set {statement}"));
            assert!(answer.contains("noted"), "set {statement}: {answer}");
        }
        let answer = self.say("commit");
        assert!(answer.contains("it runs"), "{answer}");
    }

    /// Waits until the box takes mail, asked from `pc` over the network; how long that took from power-on.
    #[track_caller]
    pub fn takes_mail(&mut self, pc: &Host) -> Duration {
        let ask = || -> Option<()> {
            let address = format!("{BCD}:25").parse().unwrap();
            let wait = Duration::from_millis(100);
            let mut stream = std::net::TcpStream::connect_timeout(&address, wait).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
            let mut greeting = [0; 4];
            stream.read_exact(&mut greeting).ok()?;
            (&greeting == b"220 ").then_some(())
        };
        let since = self.since;
        pc.within(|| {
            while ask().is_none() {
                assert!(since.elapsed() < PATIENCE, "no 220 from the box");
                std::thread::sleep(Duration::from_millis(5));
            }
            since.elapsed()
        })
    }

    /// Asks QEMU for something, such as to press the power button.
    #[track_caller]
    pub fn qemu(&self, command: &str) {
        self.order(&format!(r#"{{"execute":"{command}"}}"#));
    }

    /// Lets the disk take so many bytes a second; 0: as many as it can.
    #[track_caller]
    pub fn slow_writes(&self, bytes_per_second: u64) {
        let others = r#""bps":0,"bps_rd":0,"iops":0,"iops_rd":0,"iops_wr":0"#;
        let arguments = format!(r#""device":"disk","bps_wr":{bytes_per_second},{others}"#);
        self.order(&format!(r#"{{"execute":"block_set_io_throttle","arguments":{{{arguments}}}}}"#));
    }

    /// Has QEMU carry out one order of QMP.
    #[track_caller]
    fn order(&self, order: &str) {
        self.control(order, "\"return\"", 2);
    }

    /// Waits until the machine is reset, from now on.
    #[track_caller]
    pub fn is_reset(&self) {
        self.control("", "\"RESET\"", 1);
    }

    /// Says something to QEMU and reads until it has said `word` so many times.
    #[track_caller]
    fn control(&self, order: &str, word: &str, times: usize) {
        let mut control = UnixStream::connect(&self.control).unwrap();
        control.set_read_timeout(Some(PATIENCE)).unwrap();
        let order = format!(r#"{{"execute":"qmp_capabilities"}}{order}"#);
        control.write_all(order.as_bytes()).unwrap();
        let mut heard = String::new();
        while heard.matches(word).count() < times {
            let mut piece = [0; 4096];
            let n = control.read(&mut piece).unwrap();
            assert!(n > 0 && !heard.contains("\"error\""), "{order}: {heard}");
            heard.push_str(&String::from_utf8_lossy(&piece[..n]));
        }
    }

    /// Waits until the machine has switched itself off.
    #[track_caller]
    pub fn goes_off(mut self) {
        let until = Instant::now() + PATIENCE;
        while self.qemu.try_wait().unwrap().is_none() {
            assert!(Instant::now() < until, "the machine does not switch itself off:\n{}", self.seen);
            self.listen_a_little();
        }
    }

    fn listen_a_little(&mut self) {
        let mut piece = [0; 4096];
        if let Ok(n @ 1..) = self.serial.read(&mut piece) {
            self.seen.push_str(&String::from_utf8_lossy(&piece[..n]));
        }
    }

    /// Pulls the plug.
    pub fn cut(mut self) {
        self.pull();
    }

    fn pull(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

impl Drop for Appliance {
    fn drop(&mut self) {
        self.pull();
        if std::thread::panicking() {
            eprintln!("--- the serial line, not looked at yet:\n{}", self.seen);
        }
    }
}
