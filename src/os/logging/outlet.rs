//! Where lines of the log go that somebody may watch: a terminal, a pipe, a socket or a file. What is not taken at
//! once is left out and counted, and the count stands where the lines would have stood. Sources: poll(2), pipe(7).
//! Danger: standard error is shared with others, so its own flags are left alone.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, OFlags, fstat};
use rustix::net::SendFlags;

/// What a pipe that can be written to takes whole (POSIX PIPE_BUF on Linux).
const PIECE_BYTES_MAX: usize = 4096;

/// One for the process.
pub struct Outlet {
    to: BorrowedFd<'static>,
    way: Way,
    /// The end of a line of which the beginning was taken.
    rest: Vec<u8>,
    /// Lines since then.
    left_out: u64,
}

/// How something is written to without waiting for it.
pub enum Way {
    /// Opened anew, so that not to wait concerns us alone: a terminal or a pipe.
    Own(File),
    Socket,
    /// As it is, when it can be written to: a file never makes anybody wait.
    Shared,
}

impl Outlet {
    pub fn new(to: BorrowedFd<'static>) -> Self {
        Outlet { to, way: Way::to(to), rest: Vec::new(), left_out: 0 }
    }

    /// Takes a line, with its end.
    pub fn line(&mut self, line: String) {
        if !self.clear() {
            self.left_out += 1;
            return;
        }
        if self.left_out > 0 {
            let lines = if self.left_out == 1 { "line" } else { "lines" };
            self.rest = format!("({} {lines} of the log left out)\n", self.left_out).into_bytes();
            self.left_out = 0;
            if !self.clear() {
                self.left_out = 1;
                return;
            }
        }
        self.rest = line.into_bytes();
        self.clear();
    }

    /// Writes what is left of the last line. False: not all of it was taken.
    fn clear(&mut self) -> bool {
        while !self.rest.is_empty() {
            match self.way.write(self.to, &self.rest) {
                Ok(n @ 1..) => drop(self.rest.drain(..n)),
                // A terminal that was hung up is another one when it comes back.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                    self.way = Way::to(self.to);
                    return false;
                }
                _ => return false,
            }
        }
        true
    }
}

impl Way {
    fn to(fd: BorrowedFd<'_>) -> Self {
        let kind = fstat(fd).map(|meta| FileType::from_raw_mode(meta.st_mode));
        match kind {
            Ok(FileType::Socket) => Way::Socket,
            Ok(FileType::Fifo | FileType::CharacterDevice) => {
                let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits() as i32;
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                let opened = OpenOptions::new().write(true).custom_flags(flags).open(path);
                opened.map_or(Way::Shared, Way::Own)
            }
            _ => Way::Shared,
        }
    }

    /// Writes what is taken at once, and says how much that is.
    ///
    /// # Errors
    /// `WouldBlock` where that is nothing; those of writing.
    pub fn write(&self, to: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
        let done = match self {
            Way::Own(file) => rustix::io::write(file.as_fd(), bytes),
            Way::Socket => rustix::net::send(to, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Way::Shared => {
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                match poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], Some(&now)) {
                    Ok(1..) => rustix::io::write(to, &bytes[..bytes.len().min(PIECE_BYTES_MAX)]),
                    Ok(0) => Err(rustix::io::Errno::AGAIN),
                    Err(error) => Err(error),
                }
            }
        };
        Ok(done?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    /// All that can be read now.
    fn drained(reader: &mut (impl Read + AsFd)) -> String {
        let mut seen = Vec::new();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        while poll(&mut [PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::IN)], Some(&now)).unwrap() == 1 {
            let mut piece = [0; 1 << 16];
            let n = reader.read(&mut piece).unwrap();
            seen.extend_from_slice(&piece[..n]);
        }
        String::from_utf8(seen).unwrap()
    }

    /// What stands there after 20,000 lines that nobody took, and one more when there was room again.
    fn crowded(outlet: &mut Outlet, reader: &mut (impl Read + AsFd)) -> String {
        (0..20_000).for_each(|number| outlet.line(format!("line {number} {}\n", "x".repeat(100))));
        let before = drained(reader);
        outlet.line("again\n".to_owned());
        before + &drained(reader)
    }

    fn leaked<T: AsFd + 'static>(fd: T) -> BorrowedFd<'static> {
        let fd: &'static T = Box::leak(Box::new(fd));
        fd.as_fd()
    }

    #[test]
    fn what_nobody_takes_is_left_out_and_counted() {
        let (mut pipe, into_pipe) = std::io::pipe().unwrap();
        let (mut socket, into_socket) = UnixStream::pair().unwrap();
        let mut outlets = [Outlet::new(leaked(into_pipe)), Outlet::new(leaked(into_socket))];
        assert!(matches!(outlets[0].way, Way::Own(_)) && matches!(outlets[1].way, Way::Socket));
        let texts = [crowded(&mut outlets[0], &mut pipe), crowded(&mut outlets[1], &mut socket)];
        for text in texts {
            let lines: Vec<&str> = text.lines().collect();
            let [taken @ .., left_out, "again"] = &lines[..] else {
                panic!("{:?}", &lines[lines.len() - 3..])
            };
            let count = 20_000 - taken.len();
            assert_eq!(*left_out, format!("({count} lines of the log left out)"));
            let whole = |(n, line): (usize, &&str)| **line == format!("line {n} {}", "x".repeat(100));
            assert!(count > 0 && taken.iter().enumerate().all(whole), "no line is torn or out of its place");
        }
    }

    #[test]
    fn a_reader_that_has_gone_ends_nothing() {
        let (pipe, into_pipe) = std::io::pipe().unwrap();
        let mut outlet = Outlet::new(leaked(into_pipe));
        drop(pipe);
        (0..10).for_each(|n| outlet.line(format!("{n}\n")));
        assert!(outlet.left_out > 0 && outlet.rest.len() < 10);
    }
}
