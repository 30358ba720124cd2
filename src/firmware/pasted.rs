//! An update as text, for a serial line: base64 as base64(1) prints it (RFC 4648 §4), one line after the other.
//! Danger: a serial line loses bytes; a line that came in short is noticed at once and not after the last one,
//! many minutes later. What is changed without changing a line's length fails the parcel's own digest.

use std::fmt;

use data_encoding::BASE64;

/// A line that does not fit, as the operator reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Counted from 1.
    pub line: u64,
}

impl std::error::Error for Damaged {}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {} is damaged: send it again, with the terminal's XON/XOFF flow control on",
            self.line
        )
    }
}

/// Takes the lines and gives their bytes.
#[derive(Debug, Default)]
pub struct Pasted {
    lines: u64,
    /// How long every line but the last is.
    usual: Option<usize>,
    has_ended: bool,
}

impl Pasted {
    /// The bytes of the next line; an empty line has none.
    ///
    /// # Errors
    /// A line that is no base64, is longer than the first, or follows one that was shorter: some are missing.
    pub fn line(&mut self, line: &str) -> Result<Vec<u8>, Damaged> {
        let text = line.trim_ascii();
        self.lines += 1;
        if text.is_empty() {
            return Ok(Vec::new());
        }
        let usual = *self.usual.get_or_insert(text.len());
        let damaged = Damaged { line: self.lines };
        if self.has_ended || text.len() > usual {
            return Err(damaged);
        }
        self.has_ended = text.len() < usual || text.ends_with('=');
        BASE64.decode(text.as_bytes()).map_err(|_| damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(lines: &[&str]) -> Result<Vec<u8>, u64> {
        let mut pasted = Pasted::default();
        let all: Result<Vec<_>, _> = lines.iter().map(|line| pasted.line(line)).collect();
        all.map(|pieces| pieces.concat()).map_err(|damaged| damaged.line)
    }

    #[test]
    fn what_base64_prints_is_taken() {
        for (caption, lines, result) in [
            ("nothing", &[][..], Ok("")),
            ("one short line", &["c3RhZ2U="], Ok("stage")),
            ("many", &["c3Rh", "Z2Vw", "b3N0"], Ok("stagepost")),
            ("a short last line", &["c3RhZ2Vw", "b3N0"], Ok("stagepost")),
            ("blank lines and blanks at the ends", &["c3Rh\r", "", " Z2Vw"], Ok("stagep")),
            ("a byte was lost", &["c3Rh", "Z2V", "b3N0"], Err(2)),
            ("four bytes were lost", &["c3RhZ2Vw", "b3N0", "c3RhZ2Vw"], Err(3)),
            ("two lines became one", &["c3Rh", "Z2Vwb3N0"], Err(2)),
            ("no base64", &["c3!h"], Err(1)),
            ("more after the end", &["c3RhZ2U=", "c3RhZ2U="], Err(2)),
        ] {
            assert_eq!(bytes(lines), result.map(|text| text.as_bytes().to_vec()), "{caption}");
        }
    }
}
