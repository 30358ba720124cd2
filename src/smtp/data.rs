//! The content of DATA on the wire (RFC 5321 §4.5.2): dots are taken off by [`Decoder`], put on by
//! [`Encoder`]. Only CRLF.CRLF ends a message; if anything else did, two messages could be smuggled as one.
//! Both work on slices: what lies between two stuffed dots is copied in one go.

use std::fmt;

use memchr::{memchr2, memchr3};

/// Takes the stuffed dots off and finds the end of the message.
#[derive(Debug, Default)]
pub struct Decoder {
    at: At,
    fault: Option<DataFault>,
}

/// Where in a line the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// After CRLF, or at the beginning.
    #[default]
    Start,
    Text,
    /// After a CR in a line.
    Cr,
    /// After a dot that began a line.
    Dot,
    /// After that dot and a CR.
    DotCr,
}

/// What makes a message unacceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFault {
    BareCr,
    BareLf,
    Nul,
}

impl fmt::Display for DataFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DataFault::BareCr => "a bare CR is in the message; lines end in CRLF",
            DataFault::BareLf => "a bare LF is in the message; lines end in CRLF",
            DataFault::Nul => "a NUL is in the message",
        })
    }
}

impl Decoder {
    /// Appends what `input` holds of the message to `out` and moves `input` past what was used. Returns
    /// whether the end was reached. After a fault nothing is appended, and the end is still looked for.
    pub fn decode(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> bool {
        let piece = *input;
        // piece[run..i] belongs to the message and is not yet appended.
        let (mut run, mut i) = (0, 0);
        let ended = loop {
            if i == piece.len() {
                break false;
            }
            match (self.at, piece[i]) {
                (At::Start, b'.') => {
                    self.append(&piece[run..i], out);
                    i += 1;
                    run = i;
                    self.at = At::Dot;
                }
                (At::Cr, b'\n') => {
                    i += 1;
                    self.at = At::Start;
                }
                (At::Dot, b'\r') => {
                    i += 1;
                    run = i;
                    self.at = At::DotCr;
                }
                (At::DotCr, b'\n') => {
                    i += 1;
                    run = i;
                    break true;
                }
                (At::Cr | At::DotCr, _) => {
                    self.fault.get_or_insert(DataFault::BareCr);
                    self.at = At::Text;
                }
                (At::Start | At::Dot | At::Text, _) => i = self.text(piece, i),
            }
        };
        self.append(&piece[run..i], out);
        *input = &piece[i..];
        ended
    }

    /// The first fault of the message.
    pub fn fault(&self) -> Option<DataFault> {
        self.fault
    }

    /// Goes on from `i` to after the next CR or fault, or to the end.
    fn text(&mut self, piece: &[u8], i: usize) -> usize {
        self.at = At::Text;
        let Some(n) = memchr3(b'\r', b'\n', 0, &piece[i..]) else { return piece.len() };
        match piece[i + n] {
            b'\r' => self.at = At::Cr,
            b'\n' => _ = self.fault.get_or_insert(DataFault::BareLf),
            _ => _ = self.fault.get_or_insert(DataFault::Nul),
        }
        i + n + 1
    }

    fn append(&self, run: &[u8], out: &mut Vec<u8>) {
        if self.fault.is_none() {
            out.extend_from_slice(run);
        }
    }
}

/// Puts dots before the lines that begin with one. A bare CR or LF leaves as CRLF: no receiver, however
/// lenient, ever sees one from us.
#[derive(Debug, Default)]
pub struct Encoder {
    at: At,
}

impl Encoder {
    /// Appends the wire form of `piece` to `out`.
    pub fn encode(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len() + piece.len() / 64);
        let (mut run, mut i) = (0, 0);
        while i < piece.len() {
            match (self.at, piece[i]) {
                (At::Cr, b'\n') => {
                    i += 1;
                    self.at = At::Start;
                }
                (At::Cr, _) => {
                    out.extend_from_slice(&piece[run..i]);
                    out.push(b'\n');
                    run = i;
                    self.at = At::Start;
                }
                (At::Start, b'.') => {
                    out.extend_from_slice(&piece[run..i]);
                    out.push(b'.');
                    run = i;
                    self.at = At::Text;
                }
                _ => match memchr2(b'\r', b'\n', &piece[i..]) {
                    None => {
                        i = piece.len();
                        self.at = At::Text;
                    }
                    Some(n) if piece[i + n] == b'\r' => {
                        i += n + 1;
                        self.at = At::Cr;
                    }
                    Some(n) => {
                        out.extend_from_slice(&piece[run..i + n]);
                        out.extend_from_slice(b"\r\n");
                        i += n + 1;
                        run = i;
                        self.at = At::Start;
                    }
                },
            }
        }
        out.extend_from_slice(&piece[run..]);
    }

    /// Appends the end of the message; a last line without an end gets one.
    pub fn finish(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.at {
            At::Start => b".\r\n",
            At::Cr => b"\n.\r\n",
            _ => b"\r\n.\r\n",
        });
    }
}
