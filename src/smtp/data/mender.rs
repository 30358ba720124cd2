//! Takes the content of DATA from old devices and gives it out clean: lines that end in LF, in CR CR LF or
//! in a bare CR end in CRLF, NULs are gone, and a dot alone in a line ends the message whichever of LF or
//! CRLF follows. Only for clients that the operator has named: for a stranger this would be smuggling.

use memchr::memchr3;

/// The lenient counterpart of [`super::Decoder`].
#[derive(Debug, Default)]
pub struct Mender {
    at: At,
}

/// Where in a line the next byte stands.
#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    Start,
    Text,
    /// After CRs in or behind a line, which has `ends` of them.
    Crs {
        ends: usize,
    },
    /// After a dot that began a line.
    Dot,
    /// After that dot and CRs.
    DotCrs {
        ends: usize,
    },
}

impl Mender {
    /// Appends what `input` holds of the message to `out` and moves `input` past what was used. Returns
    /// whether the end was reached.
    pub fn decode(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> bool {
        while let Some((first, rest)) = input.split_first() {
            match (self.at, *first) {
                (At::Dot | At::DotCrs { .. }, b'\n') => {
                    *input = rest;
                    return true;
                }
                (At::Start, b'.') => {
                    self.at = At::Dot;
                    *input = rest;
                }
                (_, 0) => *input = rest,
                (_, b'\r') => {
                    self.at = self.at.after_cr();
                    *input = rest;
                }
                (_, b'\n') => {
                    out.extend_from_slice(b"\r\n");
                    self.at = At::Start;
                    *input = rest;
                }
                (At::Crs { ends } | At::DotCrs { ends }, _) => {
                    (0..ends).for_each(|_| out.extend_from_slice(b"\r\n"));
                    self.at = At::Start;
                }
                (At::Start | At::Text | At::Dot, _) => {
                    let n = memchr3(b'\r', b'\n', 0, input).unwrap_or(input.len());
                    let (text, rest) = input.split_at(n);
                    out.extend_from_slice(text);
                    self.at = At::Text;
                    *input = rest;
                }
            }
        }
        false
    }
}

impl At {
    fn after_cr(self) -> At {
        match self {
            At::Start | At::Text => At::Crs { ends: 1 },
            At::Crs { ends } => At::Crs { ends: ends + 1 },
            At::Dot => At::DotCrs { ends: 1 },
            At::DotCrs { ends } => At::DotCrs { ends: ends + 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_any_ending_come_out_clean() {
        for (caption, wire, content) in [
            ("as it should be", "a\r\n..b\r\n.\r\n", "a\r\n.b\r\n"),
            ("bare LF", "a\nb\n\nc\n.\n", "a\r\nb\r\n\r\nc\r\n"),
            ("bare LF, CRLF at the end", "a\n.\r\n", "a\r\n"),
            ("CRs before CRLF", "a\r\r\nb\r\r\r\n.\r\r\n", "a\r\nb\r\n"),
            ("bare CR", "a\rb\r\rc\r\n.\r\n", "a\r\nb\r\n\r\nc\r\n"),
            ("CR at the beginning", "\ra\n.\n", "\r\na\r\n"),
            ("NUL", "a\0b\n\0.\0\n", "ab\r\n"),
            ("stuffed dots", "..\n.x\n.\n", ".\r\nx\r\n"),
            ("a dot and a bare CR", ".\rx\n.\n", "\r\nx\r\n"),
            ("nothing", ".\n", ""),
        ] {
            for size in [1, 2, 3, 1000] {
                let (mut mender, mut out) = (Mender::default(), Vec::new());
                let ended = wire.as_bytes().chunks(size).any(|mut piece| mender.decode(&mut piece, &mut out));
                assert!(ended, "{caption}");
                assert_eq!(String::from_utf8(out).unwrap(), content, "{caption}, by {size}");
            }
        }
    }
}
