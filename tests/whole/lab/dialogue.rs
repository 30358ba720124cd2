//! An SMTP dialogue typed by a test: what it says, and what it expects to hear.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::{Host, PATIENCE};

/// A connection to an SMTP server, from a host of the lab.
pub struct Dialogue {
    reader: BufReader<TcpStream>,
    /// Everything said and heard so far, for messages.
    transcript: String,
}

impl Dialogue {
    /// Connects and reads nothing yet. `to` is an address, or an address with a port.
    #[track_caller]
    pub fn connect(from: &Host, to: &str) -> Dialogue {
        Dialogue::open(from, None, to)
    }

    /// The same, from one of several addresses of `from`.
    #[track_caller]
    pub fn connect_from(from: &Host, source: &str, to: &str) -> Dialogue {
        Dialogue::open(from, Some(source.parse().unwrap()), to)
    }

    /// Connects from the given address of `from`.
    #[track_caller]
    fn open(from: &Host, source: Option<IpAddr>, to: &str) -> Dialogue {
        let target = target(to);
        let stream = from.within(|| {
            let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
            if let Some(source) = source {
                socket.bind(&SocketAddr::new(source, 0).into())?;
            }
            socket.connect_timeout(&target.into(), PATIENCE)?;
            std::io::Result::Ok(TcpStream::from(socket))
        });
        let stream = stream.unwrap_or_else(|e| panic!("no connection to {target}: {e}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Dialogue { reader: BufReader::new(stream), transcript: String::new() }
    }

    /// Greeted, and said EHLO; gives the reply to it.
    #[track_caller]
    pub fn greeted(from: &Host, to: &str, ehlo: &str) -> Dialogue {
        let mut dialogue = Dialogue::connect(from, to);
        dialogue.expect("220");
        dialogue.ask(&format!("EHLO {ehlo}"), "250");
        dialogue
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.transcript.push_str(&format!(">>> {}\n", String::from_utf8_lossy(bytes).trim_end()));
        if let Err(error) = self.reader.get_mut().write_all(bytes) {
            panic!("{error} after\n{}", self.transcript);
        }
    }

    /// Sends a line.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n").as_bytes());
    }

    /// One reply with all its lines, joined with `\n`; empty when the connection was closed.
    #[track_caller]
    pub fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            match self.reader.read_line(&mut line) {
                Ok(0) => return reply,
                Ok(_) => {}
                Err(error) => panic!("{error} instead of a reply, after\n{}", self.transcript),
            }
            self.transcript.push_str(&line);
            assert!(line.ends_with("\r\n"), "a reply without CRLF: {line:?}");
            reply.push_str(line.trim_end());
            if line.as_bytes().get(3) != Some(&b'-') {
                return reply;
            }
            reply.push('\n');
        }
    }

    /// The next reply, which must begin with `start` (a code, or code and text).
    #[track_caller]
    pub fn expect(&mut self, start: &str) -> String {
        let reply = self.reply();
        assert!(reply.starts_with(start), "expected {start:?}, heard {reply:?} in\n{}", self.transcript);
        reply
    }

    /// Says a line; its reply must begin with `start`.
    #[track_caller]
    pub fn ask(&mut self, line: &str, start: &str) -> String {
        self.say(line);
        self.expect(start)
    }

    /// Sends each of these bytes as they are; the reply to it must begin with what stands beside.
    #[track_caller]
    pub fn exchange(&mut self, lines: &[(&[u8], &str)]) {
        for (bytes, start) in lines {
            self.send(bytes);
            self.expect(start);
        }
    }

    /// Hands over one message; gives the reply to its final dot. `text` has `\n` line ends.
    #[track_caller]
    pub fn hand_over(&mut self, from: &str, to: &[&str], text: &str) -> String {
        self.ask(&format!("MAIL FROM:<{from}>"), "250");
        for recipient in to {
            self.ask(&format!("RCPT TO:<{recipient}>"), "250");
        }
        self.ask("DATA", "354");
        self.text(text);
        self.reply()
    }

    /// Sends message text with CRLF line ends, dots doubled, and the final dot.
    #[track_caller]
    pub fn text(&mut self, text: &str) {
        let mut wire = String::new();
        for line in text.lines() {
            wire.push_str(if line.starts_with('.') { "." } else { "" });
            wire.push_str(line);
            wire.push_str("\r\n");
        }
        wire.push_str(".\r\n");
        self.send(wire.as_bytes());
    }

    /// Whether the other side has closed, having said nothing more.
    pub fn closed(&mut self) -> bool {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest).is_ok() && rest.is_empty()
    }

    pub fn quit(mut self) {
        self.ask("QUIT", "221");
    }
}

fn target(to: &str) -> SocketAddr {
    to.parse().unwrap_or_else(|_| SocketAddr::new(to.parse().expect("an address, perhaps with a port"), 25))
}
