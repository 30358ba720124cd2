//! Text as programs of this machine hand it to `sendmail`: lines end in LF, and a line with a dot alone may
//! end it all (`-i` forbids that). It leaves here as RFC 5322 wants it: every line ends in CRLF, no bare CR,
//! no NUL.

/// Turns local text into message content, piece by piece.
#[derive(Debug)]
pub struct LocalText {
    ignore_dots: bool,
    line: Vec<u8>,
    /// The part of the line at hand that was given out already.
    given: bool,
    over: bool,
}

/// How much of a line is held back to look for a lone dot and a CR before the LF.
const HELD_BYTES: usize = 2;

impl LocalText {
    pub fn new(ignore_dots: bool) -> Self {
        LocalText { ignore_dots, line: Vec::new(), given: false, over: false }
    }

    /// Whether the text has come to its end.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Appends what `raw` stands for to `out`; nothing more once the text is over.
    pub fn push(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let mut rest = raw;
        while let (false, Some(at)) = (self.over, memchr::memchr(b'\n', rest)) {
            self.line.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            self.finish_line(out);
        }
        if !self.over {
            self.line.extend_from_slice(rest);
            self.give_long_line(out);
        }
    }

    /// The input has ended; an unfinished line is finished.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if !self.over && (!self.line.is_empty() || self.given) {
            self.finish_line(out);
        }
        self.over = true;
    }

    fn finish_line(&mut self, out: &mut Vec<u8>) {
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if line == b"." && !self.given && !self.ignore_dots {
            self.over = true;
            return;
        }
        append_clean(line, out);
        out.extend_from_slice(b"\r\n");
        self.line.clear();
        self.given = false;
    }

    /// Keeps no more of a line than is needed to judge its beginning and its end.
    fn give_long_line(&mut self, out: &mut Vec<u8>) {
        if self.line.len() > HELD_BYTES {
            let give = self.line.len() - 1;
            append_clean(&self.line[..give], out);
            self.line.drain(..give);
            self.given = true;
        }
    }
}

fn append_clean(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(bytes.iter().filter(|b| !matches!(b, b'\r' | 0)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(raw: &[u8], ignore_dots: bool, step: usize) -> Vec<u8> {
        let (mut text, mut out) = (LocalText::new(ignore_dots), Vec::new());
        for piece in raw.chunks(step) {
            text.push(piece, &mut out);
        }
        text.end(&mut out);
        assert!(text.is_over());
        out
    }

    #[test]
    fn lines_end_in_crlf_however_they_came() {
        let rows: [(&str, &[u8], bool, &[u8]); 9] = [
            ("local lines", b"a\nb\n", false, b"a\r\nb\r\n"),
            ("network lines", b"a\r\nb\r\n", false, b"a\r\nb\r\n"),
            ("no end of line at the end", b"a\nb", false, b"a\r\nb\r\n"),
            ("a dot ends it", b"a\n.\nb\n", false, b"a\r\n"),
            ("a dot with CR ends it", b"a\n.\r\nb\n", false, b"a\r\n"),
            ("a dot does not end it with -i", b"a\n.\nb\n", true, b"a\r\n.\r\nb\r\n"),
            ("a dot in a line is a dot", b".a\na.\n..\n", false, b".a\r\na.\r\n..\r\n"),
            ("a long line ending in a dot", b"long.\n", false, b"long.\r\n"),
            ("bare CR and NUL vanish", b"a\rb\0c\n", false, b"abc\r\n"),
        ];
        for (caption, raw, ignore_dots, expected) in rows {
            for step in 1..=raw.len() {
                assert_eq!(convert(raw, ignore_dots, step), expected, "{caption}, in pieces of {step}");
            }
        }
        assert_eq!(convert(b"", false, 1), b"");
    }
}
