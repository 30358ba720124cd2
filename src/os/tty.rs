//! The terminal of an interactive console: raw mode that is undone when its guard is dropped, the width of
//! the window, and waiting for two ends at once. Sources: termios(3), poll(2).
//! Danger: a terminal left raw is unusable for its owner, so nothing changes it but [`RawMode`].

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios, isatty, tcgetattr,
    tcgetwinsize, tcsetattr,
};

/// Columns of a terminal that does not tell its size, such as a serial line.
const COLUMNS_DEFAULT: u16 = 80;

/// Keys arrive one by one and unchanged, nothing is echoed; Ctrl-C is a byte like any other. Output still
/// gets its carriage returns. Dropping the guard restores the terminal.
pub struct RawMode<Fd: AsFd> {
    terminal: Fd,
    before: Termios,
}

impl<Fd: AsFd> RawMode<Fd> {
    /// # Errors
    /// `ENOTTY` when `terminal` is none.
    pub fn enter(terminal: Fd) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut raw = before.clone();
        raw.input_modes -= InputModes::IGNBRK
            | InputModes::BRKINT
            | InputModes::PARMRK
            | InputModes::ISTRIP
            | InputModes::INLCR
            | InputModes::IGNCR
            | InputModes::ICRNL
            | InputModes::IXON;
        // A serial line whose other end minds XOFF loses nothing that is pasted faster than it is taken.
        raw.input_modes |= InputModes::IXOFF;
        raw.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        raw.local_modes -= LocalModes::ECHO
            | LocalModes::ECHONL
            | LocalModes::ICANON
            | LocalModes::ISIG
            | LocalModes::IEXTEN;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        Ok(RawMode { terminal, before })
    }
}

impl<Fd: AsFd> Drop for RawMode<Fd> {
    fn drop(&mut self) {
        // A terminal that has gone away has nothing to restore, and one that stands still is not waited for.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// What is typed is not shown, as for a password. Dropping the guard restores the terminal.
pub struct Silence<Fd: AsFd> {
    terminal: Fd,
    before: Termios,
}

impl<Fd: AsFd> Silence<Fd> {
    /// # Errors
    /// `ENOTTY` when `terminal` is none.
    pub fn enter(terminal: Fd) -> io::Result<Self> {
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ECHONL;
        tcsetattr(&terminal, OptionalActions::Now, &silent)?;
        Ok(Silence { terminal, before })
    }
}

impl<Fd: AsFd> Drop for Silence<Fd> {
    fn drop(&mut self) {
        // A terminal that has gone away has nothing to restore.
        let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}

/// The machine's own console, opened anew so that waiting on it does not change standard output. Nothing
/// that is written to it waits for the terminal.
///
/// # Errors
/// Those of opening /dev/console.
pub fn machine_console() -> io::Result<File> {
    let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits() as i32;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open("/dev/console")
}

/// The keys typed on standard input before anyone asked for any, at most as many as `keys` holds. It does
/// not wait.
///
/// # Errors
/// `ENOTTY` where standard input is no terminal; those of poll(2) and read(2).
pub fn typed_before(keys: &mut [u8]) -> io::Result<usize> {
    let stdin = rustix::stdio::stdin();
    // Without raw mode nothing is there before the end of a line.
    let _raw = RawMode::enter(stdin)?;
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut [PollFd::from_borrowed_fd(stdin, PollFlags::IN)], Some(&now))? {
        0 => Ok(0),
        _ => Ok(rustix::io::read(stdin, keys)?),
    }
}

/// Whether somebody hit the failsafe's key, `f`, and nothing else: a noisy line hits any of them.
pub fn is_failsafe(keys: &[u8]) -> bool {
    keys.contains(&b'f') && keys.iter().all(|key| matches!(key, b'f' | b'\r' | b'\n'))
}

pub fn is_terminal(fd: impl AsFd) -> bool {
    isatty(fd)
}

/// Columns of the window; 80 where the terminal does not say.
pub fn columns(terminal: impl AsFd) -> u16 {
    tcgetwinsize(terminal).ok().map(|size| size.ws_col).filter(|&n| n > 0).unwrap_or(COLUMNS_DEFAULT)
}

/// What an end is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    Read,
    ReadOrWrite,
}

/// Waits until one of `ends` does as is wished or has been closed, and says which.
///
/// # Errors
/// Those of poll(2); an interruption by a signal is taken as nothing having happened and waited out.
pub fn wait_ready<const N: usize>(ends: [(BorrowedFd<'_>, Wish); N]) -> io::Result<[bool; N]> {
    let flags = |wish| match wish {
        Wish::ReadOrWrite => PollFlags::IN | PollFlags::OUT,
        _ => PollFlags::IN,
    };
    let asked = ends.iter().enumerate().filter(|(_, (_, wish))| *wish != Wish::Nothing);
    let (places, mut polled): (Vec<usize>, Vec<PollFd<'_>>) =
        asked.map(|(at, (fd, wish))| (at, PollFd::from_borrowed_fd(*fd, flags(*wish)))).unzip();
    loop {
        match poll(&mut polled, None) {
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    let mut ready = [false; N];
    places.iter().zip(&polled).for_each(|(at, fd)| ready[*at] = !fd.revents().is_empty());
    Ok(ready)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn noise_is_no_failsafe() {
        for (keys, asked) in
            [(&b"f"[..], true), (b"ff\r\n", true), (b"", false), (b"\r", false), (b"of", false)]
        {
            assert_eq!(is_failsafe(keys), asked, "{keys:?}");
        }
    }

    #[test]
    fn what_is_no_terminal_is_left_alone() {
        let file = File::open("/dev/null").unwrap();
        assert!(!is_terminal(&file));
        assert_eq!(columns(&file), 80);
        assert!(RawMode::enter(&file).is_err());
    }

    #[test]
    fn the_end_that_is_ready_is_named() {
        let (mut a, near_a) = UnixStream::pair().unwrap();
        let (b, near_b) = UnixStream::pair().unwrap();
        a.write_all(b"x").unwrap();
        let of = |a, b| wait_ready([(near_a.as_fd(), a), (near_b.as_fd(), b)]).unwrap();
        assert_eq!(of(Wish::Read, Wish::Read), [true, false]);
        assert_eq!(of(Wish::Nothing, Wish::ReadOrWrite), [false, true]);
        assert_eq!(of(Wish::Read, Wish::Nothing), [true, false]);
        drop(b);
        assert_eq!(of(Wish::Nothing, Wish::Read), [false, true]);
    }
}
