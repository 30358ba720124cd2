//! Splits a byte stream into lines. RFC 5321 §2.3.8: CRLF, and nothing else, ends a line.
//! A bare CR, a bare LF, a NUL or too many bytes make the line an error, told once, when its true end has
//! come. If anything else ended a line here, a sender could smuggle commands past a stricter neighbour.

use std::fmt;

use memchr::{memchr, memchr2};

/// Collects lines of at most `MAX` bytes, CRLF included. Holds at most `MAX` bytes itself.
#[derive(Debug, Default)]
pub struct LineBuffer<const MAX: usize> {
    /// The beginning of a line whose end has not come; empty once the line is known to be wrong.
    held: Vec<u8>,
    /// `held` is the line that the last call gave out.
    given: bool,
    /// Bytes of the line so far.
    length: usize,
    after_cr: bool,
    bare_lf: bool,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFault {
    TooLong,
    BareCr,
    BareLf,
    Nul,
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LineFault::TooLong => "the line is too long",
            LineFault::BareCr => "a bare CR is in the line; only CRLF ends a line",
            LineFault::BareLf => "a bare LF is in the line; only CRLF ends a line",
            LineFault::Nul => "a NUL is in the line",
        })
    }
}

impl<const MAX: usize> LineBuffer<MAX> {
    /// The next line, without its CRLF, or what is wrong with it; `input` is moved past what was used.
    /// `None`: all of `input` is used and the line has no end yet.
    pub fn next<'a, 'b: 'a>(&'a mut self, input: &mut &'b [u8]) -> Option<Result<&'a [u8], LineFault>> {
        if self.given {
            *self = LineBuffer { held: std::mem::take(&mut self.held), ..Self::default() };
            self.held.clear();
        }
        let piece = *input;
        let end = self.find_end(piece);
        let (line, rest) = piece.split_at(end.unwrap_or(piece.len()));
        *input = rest;
        let whole_here = end.is_some() && self.length == 0 && !self.bare_lf;
        if !whole_here {
            self.hold(line);
        }
        end?;
        self.given = true;
        if whole_here {
            return Some(check::<MAX>(line));
        }
        Some(match (self.length > MAX, self.bare_lf) {
            (true, _) => Err(LineFault::TooLong),
            (_, true) => Err(LineFault::BareLf),
            _ => check::<MAX>(&self.held),
        })
    }

    /// Like [`LineBuffer::next`] for old devices: a bare LF ends a line too, and every CR and NUL is taken
    /// out. Only for clients that the operator has named.
    pub fn next_mended<'a>(&'a mut self, input: &mut &[u8]) -> Option<Result<&'a [u8], LineFault>> {
        if self.given {
            *self = LineBuffer { held: std::mem::take(&mut self.held), ..Self::default() };
            self.held.clear();
        }
        let end = memchr(b'\n', input).map(|lf| lf + 1);
        let (line, rest) = input.split_at(end.unwrap_or(input.len()));
        *input = rest;
        self.hold(line);
        end?;
        self.given = true;
        if self.length > MAX {
            return Some(Err(LineFault::TooLong));
        }
        self.held.retain(|b| !matches!(b, b'\r' | b'\n' | 0));
        Some(Ok(&self.held))
    }

    /// Whether no line has begun.
    pub fn is_empty(&self) -> bool {
        self.given || self.length == 0
    }

    /// Whether the line at hand is too long already; there is nothing in its end to wait for.
    pub fn is_overfull(&self) -> bool {
        !self.given && self.length > MAX
    }

    /// The position after the first CRLF in `piece`; bare LFs before it are noted.
    fn find_end(&mut self, piece: &[u8]) -> Option<usize> {
        let mut from = 0;
        while let Some(n) = memchr(b'\n', &piece[from..]) {
            let lf = from + n;
            if lf.checked_sub(1).map_or(self.after_cr, |before| piece[before] == b'\r') {
                return Some(lf + 1);
            }
            self.bare_lf = true;
            from = lf + 1;
        }
        None
    }

    /// Keeps `piece`, or only its length and its end when the line is wrong already.
    fn hold(&mut self, piece: &[u8]) {
        self.length = self.length.saturating_add(piece.len());
        self.after_cr = piece.last().map_or(self.after_cr, |last| *last == b'\r');
        if self.length > MAX || self.bare_lf {
            self.held.clear();
        } else {
            self.held.extend_from_slice(piece);
        }
    }
}

/// `whole` ends in CRLF; what is before must be clean.
fn check<const MAX: usize>(whole: &[u8]) -> Result<&[u8], LineFault> {
    if whole.len() > MAX {
        return Err(LineFault::TooLong);
    }
    let line = &whole[..whole.len() - 2];
    match memchr2(b'\r', 0, line) {
        None => Ok(line),
        Some(n) if line[n] == 0 => Err(LineFault::Nul),
        Some(_) => Err(LineFault::BareCr),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All lines of `input`, handed in by pieces of `size`.
    fn split(input: &[u8], size: usize) -> Vec<Result<Vec<u8>, LineFault>> {
        let mut buffer = LineBuffer::<16>::default();
        let mut lines = Vec::new();
        for mut piece in input.chunks(size) {
            while let Some(line) = buffer.next(&mut piece) {
                lines.push(line.map(<[u8]>::to_vec));
            }
            assert!(buffer.held.capacity() <= 64);
        }
        lines
    }

    #[test]
    fn old_devices_get_their_lines_mended() {
        for size in [1, 2, 1000] {
            let (mut buffer, mut lines) = (LineBuffer::<16>::default(), Vec::new());
            for mut piece in b"a\nb\r\r\n\rc\0d\r\n01234567890123456\ne\n".chunks(size) {
                while let Some(line) = buffer.next_mended(&mut piece) {
                    lines.push(line.map(|line| String::from_utf8_lossy(line).into_owned()));
                }
            }
            let fine = |line: &str| Ok(line.to_owned());
            assert_eq!(lines, [fine("a"), fine("b"), fine("cd"), Err(LineFault::TooLong), fine("e")]);
        }
    }

    #[test]
    fn only_crlf_ends_a_line() {
        use LineFault::*;
        let fine = |line: &str| Ok(line.as_bytes().to_vec());
        for (caption, input, expected) in [
            ("lines", "a\r\n\r\nb c\r\nrest", vec![fine("a"), fine(""), fine("b c")]),
            ("a bare LF", "a\nb\r\nc\r\n", vec![Err(BareLf), fine("c")]),
            ("a bare LF first", "\n\r\nc\r\n", vec![Err(BareLf), fine("c")]),
            ("a bare CR", "a\rb\r\nc\r\n", vec![Err(BareCr), fine("c")]),
            ("two CRs", "a\r\r\nc\r\n", vec![Err(BareCr), fine("c")]),
            ("a NUL", "a\0\r\nc\r\n", vec![Err(Nul), fine("c")]),
            ("just the bound", "01234567890123\r\nc\r\n", vec![fine("01234567890123"), fine("c")]),
            ("one over", "012345678901234\r\nc\r\n", vec![Err(TooLong), fine("c")]),
            ("far over", &format!("{}\r\nc\r\n", "x".repeat(999)), vec![Err(TooLong), fine("c")]),
            ("over, with an LF", "0123456789\n0123456789\r\nc\r\n", vec![Err(TooLong), fine("c")]),
            ("an LF, then over", "0\n0123456789012345\r\nc\r\n", vec![Err(TooLong), fine("c")]),
        ] {
            for size in [1, 2, 3, 5, 1000] {
                assert_eq!(split(input.as_bytes(), size), expected, "{caption}, pieces of {size}");
            }
        }
    }
}
