//! The content of DATA on the wire (RFC 5321 §4.5.2): dots are taken off by [`Decoder`], put on by
//! [`Encoder`]. Only CRLF.CRLF ends a message; if anything else did, two messages could be smuggled as one.
//! Both work on slices: what lies between two stuffed dots is copied in one go.

mod mender;

use std::fmt;

use memchr::{memchr2, memchr3};
pub use mender::Mender;

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

/// Looks through content that comes in chunks of known length (RFC 3030), where dots mean nothing.
#[derive(Debug, Default)]
pub struct Checker {
    after_cr: bool,
    fault: Option<DataFault>,
}

impl Checker {
    /// Looks through the next piece.
    pub fn check(&mut self, piece: &[u8]) {
        let mut i = 0;
        while self.fault.is_none() && i < piece.len() {
            match (std::mem::take(&mut self.after_cr), piece[i]) {
                (true, b'\n') => i += 1,
                (true, _) => self.fault = Some(DataFault::BareCr),
                (false, _) => {
                    let Some(n) = memchr3(b'\r', b'\n', 0, &piece[i..]) else { return };
                    match piece[i + n] {
                        b'\r' => self.after_cr = true,
                        b'\n' => self.fault = Some(DataFault::BareLf),
                        _ => self.fault = Some(DataFault::Nul),
                    }
                    i += n + 1;
                }
            }
        }
    }

    /// The content is whole: a CR at its very end is bare.
    pub fn finish(&mut self) {
        if std::mem::take(&mut self.after_cr) {
            self.fault.get_or_insert(DataFault::BareCr);
        }
    }

    /// The first fault of the message.
    pub fn fault(&self) -> Option<DataFault> {
        self.fault
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The content, the fault, and what is behind the end, if it comes.
    fn decode(wire: &[u8], size: usize) -> (Vec<u8>, Option<DataFault>, Option<Vec<u8>>) {
        let (mut decoder, mut content) = (Decoder::default(), Vec::new());
        let mut rest = wire;
        while !rest.is_empty() {
            let (mut piece, after) = rest.split_at(size.min(rest.len()));
            if decoder.decode(&mut piece, &mut content) {
                return (content, decoder.fault(), Some([piece, after].concat()));
            }
            assert!(piece.is_empty());
            rest = after;
        }
        (content, decoder.fault(), None)
    }

    fn encode(content: &[u8], size: usize) -> Vec<u8> {
        let (mut encoder, mut wire) = (Encoder::default(), Vec::new());
        content.chunks(size).for_each(|piece| encoder.encode(piece, &mut wire));
        encoder.finish(&mut wire);
        wire
    }

    #[test]
    fn dots_come_off_and_the_end_is_found() {
        for (wire, content, rest) in [
            (".\r\nQUIT", "", "QUIT"),
            ("a\r\n.\r\n", "a\r\n", ""),
            ("..\r\n...x\r\n.\r\n.", ".\r\n..x\r\n", "."),
            ("a.\r\n.b\r\n.\r\n\r\n", "a.\r\nb\r\n", "\r\n"),
            ("\r\n\r\n.\r\n", "\r\n\r\n", ""),
        ] {
            for size in [1, 2, 3, 1000] {
                let expected = (content.as_bytes().to_vec(), None, Some(rest.as_bytes().to_vec()));
                assert_eq!(decode(wire.as_bytes(), size), expected, "{wire:?}");
            }
        }
    }

    #[test]
    fn nothing_else_is_an_end() {
        use DataFault::*;
        for (wire, fault) in [
            ("a\n.\n", BareLf),
            ("a\n.\r\n", BareLf),
            ("a\r\n.\n", BareLf),
            ("a\r.\r", BareCr),
            ("a\r.\r\n", BareCr),
            ("a\r\n.\rx", BareCr),
            ("a\r\n.\r\r\n", BareCr),
            (".\n", BareLf),
            ("a\r\n\0.\r\n", Nul),
            ("a\r\n.\0\r\n", Nul),
        ] {
            for size in [1, 2, 3, 1000] {
                let (_, told, end) = decode(wire.as_bytes(), size);
                assert_eq!((told, end), (Some(fault), None), "{wire:?} by {size}");
            }
        }
    }

    #[test]
    fn chunks_are_looked_through() {
        use DataFault::*;
        for (content, fault) in [
            ("", None),
            ("a\r\n.\r\n\r\n", None),
            ("no end", None),
            ("a\nb", Some(BareLf)),
            ("\n", Some(BareLf)),
            ("a\rb", Some(BareCr)),
            ("a\r\r\n", Some(BareCr)),
            ("a\r", Some(BareCr)),
            ("a\r\n\0", Some(Nul)),
        ] {
            for size in [1, 2, 1000] {
                let mut checker = Checker::default();
                content.as_bytes().chunks(size).for_each(|piece| checker.check(piece));
                checker.finish();
                assert_eq!(checker.fault(), fault, "{content:?} by {size}");
            }
        }
    }

    #[test]
    fn a_bare_cr_or_lf_leaves_as_crlf() {
        for (content, wire) in [
            ("", ".\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            ("a\n.\nb\n", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\r.\rb", "a\r\n..\r\nb\r\n.\r\n"),
            ("a\r\r\n.", "a\r\n\r\n..\r\n.\r\n"),
        ] {
            for size in [1, 2, 1000] {
                assert_eq!(encode(content.as_bytes(), size), wire.as_bytes(), "{content:?} by {size}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

        #[test]
        fn what_is_encoded_is_decoded(
            lines in proptest::collection::vec("[.a ]{0,5}", 0..20),
            sizes in (1..9usize, 1..9usize),
        ) {
            let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let wire = encode(content.as_bytes(), sizes.0);
            let expected = (content.into_bytes(), None, Some(Vec::new()));
            prop_assert_eq!(decode(&wire, sizes.1), expected);
        }

        #[test]
        fn whatever_is_encoded_is_one_clean_message(content: Vec<u8>, size in 1..9usize) {
            let content: Vec<u8> = content.iter().map(|b| b"\r\n.a"[usize::from(b % 4)]).collect();
            let (_, fault, end) = decode(&encode(&content, size), 3);
            prop_assert_eq!((fault, end), (None, Some(Vec::new())));
        }
    }
}
