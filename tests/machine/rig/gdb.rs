//! QEMU's debugger, to make a healthy program hang without its help: the instruction that it is about to
//! execute becomes a jump to itself. Source: GDB remote serial protocol. Only for x86-64 boxes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::PATIENCE;

/// A connection; the machine stands still from the first question to [`Debugger::go_on`].
pub struct Debugger {
    stream: UnixStream,
}

/// Where the registers that matter stand in the answer to `g`, in hexadecimal digits.
const RIP: usize = 16 * 16;
const CS: usize = RIP + 16 + 8;
/// `jmp` to itself.
const SPIN: &str = "ebfe";

impl Debugger {
    pub fn connect(socket: &Path) -> Debugger {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut debugger = Debugger { stream };
        debugger.send("?");
        debugger.answer();
        debugger
    }

    fn ask(&mut self, packet: &str) -> String {
        self.send(packet);
        loop {
            let answer = self.answer();
            // That the machine stands still may be told more than once.
            if !answer.starts_with('T') {
                return answer;
            }
        }
    }

    fn send(&mut self, packet: &str) {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        self.stream.write_all(format!("${packet}#{sum:02x}").as_bytes()).unwrap();
    }

    /// The content of the next packet, which is acknowledged.
    fn answer(&mut self) -> String {
        let mut heard = Vec::new();
        loop {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            heard.push(byte[0]);
            if let [.., b'#', _, _] = heard[..] {
                self.stream.write_all(b"+").unwrap();
                let text = String::from_utf8_lossy(&heard).into_owned();
                let begin = text.find('$').expect("a packet begins with $");
                return text[begin + 1..text.len() - 3].to_owned();
            }
        }
    }

    /// Lets the machine run on for a moment, then stops it again.
    fn go_on_for(&mut self, time: Duration) {
        self.send("c");
        std::thread::sleep(time);
        self.stream.write_all(&[3]).unwrap();
        self.answer();
    }

    /// Finds the machine at work in its program, and makes that spin, at so many places.
    pub fn make_the_program_spin(&mut self, places: usize) {
        let until = Instant::now() + PATIENCE;
        let mut done = 0;
        while done < places {
            assert!(Instant::now() < until, "the machine is never seen in its program");
            self.go_on_for(Duration::from_millis(7));
            let registers = self.ask("g");
            let is_user = u8::from_str_radix(&registers[CS..CS + 2], 16).unwrap() & 3 == 3;
            if is_user {
                let rip = u64::from_str_radix(&registers[RIP..RIP + 16], 16).unwrap().swap_bytes();
                assert_eq!(self.ask(&format!("M{rip:x},2:{SPIN}")), "OK", "at {rip:x}");
                done += 1;
            }
        }
    }

    /// Leaves the machine to itself.
    pub fn go_on(mut self) {
        self.ask("D");
    }
}
