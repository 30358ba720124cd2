//! The user's end of the control socket: `stagepost console` and `stagepost sendmail`. It only carries: what
//! is typed or piped in, and what the daemon answers. Danger: with the daemon down nothing is accepted, and
//! `sendmail` says so with EX_TEMPFAIL, so that the caller keeps its mail.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::cli::{DATA_DIR, Sendmail};
use crate::console::exit;
use crate::console::wire::{Decoder, Frame, Submission, ToDaemon, ToUser, VERSION};
use crate::limits::{CONTROL_PIECE_BYTES_MAX, CONTROL_READ_BYTES};
use crate::mail::local_text::LocalText;
use crate::os::tty::{self, Wish};
use crate::os::{sockets, users};

/// The name of the control socket in the data directory.
pub const SOCKET: &str = "control.sock";

/// Runs one command of the console; the exit code.
pub fn console(data: &Path, words: Vec<String>) -> u8 {
    let outcome = match words.is_empty() {
        false => one_command(data, words),
        true if io::stdin().is_terminal() => interactive(data),
        true => script(data),
    };
    outcome.unwrap_or_else(|error| {
        complain(&no_daemon(data, &error));
        exit::FAILURE
    })
}

/// Hands in the message on standard input; the exit code.
pub fn sendmail(asked: Sendmail) -> u8 {
    let data = asked.data.clone().unwrap_or_else(|| DATA_DIR.into());
    let mut caller = match Caller::connect(&data) {
        Ok(caller) => caller,
        Err(error) => {
            complain(&no_daemon(&data, &error));
            return exit::TEMPORARY;
        }
    };
    // A daemon that refuses early stops reading: its answer counts, not the error of our writing.
    let given = submit(&mut caller, asked);
    match caller.attend().map_err(|error| given.err().unwrap_or(error)) {
        Ok(code) => code,
        Err(error) => {
            complain(&format!("the daemon broke off: {error}; the message may not have been taken"));
            exit::TEMPORARY
        }
    }
}

fn no_daemon(data: &Path, error: &io::Error) -> String {
    format!("no daemon answers at {}: {error}", data.join(SOCKET).display())
}

fn complain(text: &str) {
    // Without a stderr there is nobody to tell.
    let _ = writeln!(io::stderr(), "stagepost: {text}");
}

fn one_command(data: &Path, words: Vec<String>) -> io::Result<u8> {
    let mut caller = Caller::connect(data)?;
    let width = io::stdout().is_terminal().then(|| tty::columns(io::stdout()));
    caller.send(&ToDaemon::Command { words, width })?;
    caller.attend()
}

/// Commands from a pipe, a line each; stops at the first that fails.
fn script(data: &Path) -> io::Result<u8> {
    let mut line = String::new();
    while io::stdin().lock().read_line(&mut line)? > 0 {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if !words.is_empty() {
            let code = one_command(data, words)?;
            if code != exit::OK {
                return Ok(code);
            }
        }
        line.clear();
    }
    Ok(exit::OK)
}

/// Keys to the daemon, output back, until one of them ends. Whoever pastes much is read no further while the
/// daemon takes nothing, and its output all the same: each would wait for the other.
fn interactive(data: &Path) -> io::Result<u8> {
    let mut caller = Caller::connect(data)?;
    let width = Some(tty::columns(io::stdout()));
    caller.send(&ToDaemon::Interactive { width, login: false })?;
    caller.stream.set_nonblocking(true)?;
    let raw = tty::RawMode::enter(io::stdin())?;
    let (mut keys, mut unsent) = ([0; CONTROL_READ_BYTES], Vec::new());
    let code = loop {
        if let Some(code) = caller.take_frames()? {
            break code;
        }
        let (typing, talking) = match unsent.is_empty() {
            true => (Wish::Read, Wish::Read),
            false => (Wish::Nothing, Wish::ReadOrWrite),
        };
        let [typed, stirred] =
            tty::wait_ready([(io::stdin().as_fd(), typing), (caller.stream.as_fd(), talking)])?;
        if stirred && !caller.read_more()? {
            break exit::FAILURE;
        }
        if typed {
            match io::stdin().read(&mut keys)? {
                0 => break exit::OK,
                n => ToDaemon::Keys(keys[..n].to_vec()).encode(&mut unsent),
            }
        }
        if !unsent.is_empty() {
            match caller.stream.write(&unsent) {
                Ok(n) => drop(unsent.drain(..n)),
                // Why it has closed stands in what is still to be read.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => unsent.clear(),
                failed => drop(unless_full(failed)?),
            }
        }
    };
    drop(raw);
    Ok(code)
}

/// `None`: nothing can be read or written just now.
fn unless_full(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        done => done.map(Some),
    }
}

fn submit(caller: &mut Caller, asked: Sendmail) -> io::Result<()> {
    let submission = Submission {
        sender: asked.sender,
        full_name: asked.full_name,
        recipients: asked.recipients,
        from_header: asked.from_header,
        verbose: asked.verbose,
        user: users::name(),
    };
    caller.send(&ToDaemon::Submit(submission))?;
    let mut text = LocalText::new(asked.ignore_dots);
    let mut raw = vec![0; CONTROL_PIECE_BYTES_MAX / 2];
    let mut piece = Vec::new();
    while !text.is_over() {
        match io::stdin().read(&mut raw)? {
            0 => text.end(&mut piece),
            n => text.push(&raw[..n], &mut piece),
        }
        if !piece.is_empty() {
            caller.send(&ToDaemon::Data(std::mem::take(&mut piece)))?;
        }
    }
    caller.send(&ToDaemon::EndOfData)
}

/// A connection to the daemon.
struct Caller {
    stream: UnixStream,
    decoder: Decoder,
}

impl Caller {
    fn connect(data: &Path) -> io::Result<Caller> {
        let stream = sockets::connect_unix(&data.join(SOCKET))?;
        let mut caller = Caller { stream, decoder: Decoder::default() };
        caller.send(&ToDaemon::Hello { version: VERSION })?;
        Ok(caller)
    }

    fn send(&mut self, frame: &ToDaemon) -> io::Result<()> {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        self.stream.write_all(&bytes)
    }

    /// Carries answers to the user and lines to the daemon, up to the exit code.
    fn attend(&mut self) -> io::Result<u8> {
        loop {
            if let Some(code) = self.take_frames()? {
                return Ok(code);
            }
            if !self.read_more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// False: the daemon has closed the connection.
    fn read_more(&mut self) -> io::Result<bool> {
        let mut piece = [0; CONTROL_READ_BYTES];
        let Some(n) = unless_full(self.stream.read(&mut piece))? else { return Ok(true) };
        self.decoder.input(&piece[..n]);
        Ok(n > 0)
    }

    /// Does what the frames at hand say; the exit code when it is among them.
    fn take_frames(&mut self) -> io::Result<Option<u8>> {
        loop {
            match self.decoder.next_frame().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))? {
                None => return Ok(None),
                Some(ToUser::Hello { version: VERSION }) => {}
                Some(ToUser::Hello { .. }) => {
                    let text = "the daemon is of another version; use its own stagepost";
                    return Err(io::Error::new(io::ErrorKind::Unsupported, text));
                }
                Some(ToUser::Out(bytes)) => {
                    let mut out = io::stdout();
                    out.write_all(&bytes)?;
                    out.flush()?;
                }
                Some(ToUser::Err(bytes)) => io::stderr().write_all(&bytes)?,
                Some(ToUser::Prompt { text, echo }) => self.ask(&text, echo)?,
                Some(ToUser::Exit(code)) => return Ok(Some(code)),
            }
        }
    }

    fn ask(&mut self, prompt: &str, echo: bool) -> io::Result<()> {
        let mut silent = None;
        if io::stdin().is_terminal() {
            io::stdout().write_all(prompt.as_bytes())?;
            io::stdout().flush()?;
            silent = (!echo).then(|| tty::Silence::enter(io::stdin())).transpose()?;
        }
        let mut line = Vec::new();
        let read = io::stdin().lock().read_until(b'\n', &mut line)?;
        if silent.take().is_some() {
            io::stdout().write_all(b"\n")?;
        }
        // What is no UTF-8 or holds a NUL is told so by whoever asked for it.
        let line = String::from_utf8_lossy(&line).replace('\0', "\u{fffd}");
        match read {
            0 => self.send(&ToDaemon::EndOfInput),
            _ => self.send(&ToDaemon::Line(line.trim_end_matches(['\r', '\n']).replace('\r', " "))),
        }
    }
}
