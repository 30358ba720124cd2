//! The relaxed canonical forms of RFC 6376 §3.4.2 (fields) and §3.4.4 (body), the latter piece by piece.
//! Danger: a body in other pieces must have the same hash.

use data_encoding::BASE64;
use memchr::memchr3;
use ring::digest::{Context, Digest, SHA256};

use crate::mail::headers::Field;

/// Canonical bytes that are gathered before they are hashed.
const GATHERED_BYTES_MAX: usize = 4096;

/// Appends `name:body` in lower case and with single blanks, with its CRLF.
pub fn append_relaxed_field(out: &mut Vec<u8>, field: &Field<'_>) {
    out.extend(field.name.iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let words = field.body().split(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
    for (nth, word) in words.filter(|word| !word.is_empty()).enumerate() {
        if nth > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
    out.extend_from_slice(b"\r\n");
}

/// SHA-256 of a canonical body.
#[derive(Clone, Debug)]
pub struct BodyHash(Digest);

impl BodyHash {
    /// The text of `bh=`.
    pub fn base64(&self) -> String {
        BASE64.encode(self.0.as_ref())
    }
}

/// Hashes a body that comes in pieces. Holds at most 4 KiB of it.
#[derive(Clone)]
pub struct BodyHasher {
    sha: Context,
    gathered: Vec<u8>,
    /// Line ends since the last visible byte; those at the body's end do not count.
    line_ends: usize,
    /// Blanks since the last visible byte or line end.
    blanks: bool,
    /// A CR came last; what follows decides whether it ends a line.
    cr: bool,
    empty: bool,
}

impl Default for BodyHasher {
    fn default() -> Self {
        BodyHasher {
            sha: Context::new(&SHA256),
            gathered: Vec::with_capacity(GATHERED_BYTES_MAX),
            line_ends: 0,
            blanks: false,
            cr: false,
            empty: true,
        }
    }
}

impl BodyHasher {
    pub fn update(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while let Some((first, after)) = rest.split_first() {
            if std::mem::take(&mut self.cr) {
                if *first == b'\n' {
                    self.line_ends += 1;
                    self.blanks = false;
                    rest = after;
                } else {
                    self.visible(b"\r");
                }
                continue;
            }
            match first {
                b'\r' => self.cr = true,
                b' ' | b'\t' => self.blanks = true,
                _ => {
                    let (run, after) = rest.split_at(memchr3(b' ', b'\t', b'\r', rest).unwrap_or(rest.len()));
                    self.visible(run);
                    rest = after;
                    continue;
                }
            }
            rest = after;
        }
    }

    /// Takes bytes that count, and with them the line ends and blanks before them.
    fn visible(&mut self, run: &[u8]) {
        self.empty = false;
        for _ in 0..std::mem::take(&mut self.line_ends) {
            self.gather(b"\r\n");
        }
        if std::mem::take(&mut self.blanks) {
            self.gather(b" ");
        }
        self.gather(run);
    }

    fn gather(&mut self, bytes: &[u8]) {
        if self.gathered.len() + bytes.len() > GATHERED_BYTES_MAX {
            self.sha.update(&self.gathered);
            self.gathered.clear();
        }
        if bytes.len() > GATHERED_BYTES_MAX {
            self.sha.update(bytes);
        } else {
            self.gathered.extend_from_slice(bytes);
        }
    }

    pub fn finish(mut self) -> BodyHash {
        if self.cr {
            self.visible(b"\r");
        }
        if !self.empty {
            self.gather(b"\r\n");
        }
        self.sha.update(&self.gathered);
        BodyHash(self.sha.finish())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mail::headers::Section;

    fn hash(body: &[u8], size: usize) -> String {
        let mut hasher = BodyHasher::default();
        body.chunks(size).for_each(|piece| hasher.update(piece));
        hasher.finish().base64()
    }

    fn sha256(bytes: &[u8]) -> String {
        BASE64.encode(ring::digest::digest(&SHA256, bytes).as_ref())
    }

    #[test]
    fn a_body_is_hashed_in_its_relaxed_form() {
        for (caption, body, canonical) in [
            ("RFC 6376 §3.4.5", " C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n"),
            ("empty", "", ""),
            ("only line ends", "\r\n\r\n", ""),
            ("only blanks", " \t\r\n \r\n", ""),
            ("no final line end", "a", "a\r\n"),
            ("no final line end, a blank", "a ", "a\r\n"),
            ("empty lines inside", "a\r\n\r\n \r\nb\r\n", "a\r\n\r\n\r\nb\r\n"),
            ("bare CR and LF", "a \r b\nc\r", "a \r b\nc\r\r\n"),
        ] {
            for size in [1, 2, 3, 100] {
                assert_eq!(hash(body.as_bytes(), size), sha256(canonical.as_bytes()), "{caption}, {size}");
            }
        }
    }

    #[test]
    fn fields_are_written_in_their_relaxed_form() {
        let mut out = Vec::new();
        let section = b"A: X\r\nB : Y\t\r\n\tZ  \r\nEmpty: \r\n\r\n";
        Section::of(section).fields().for_each(|field| append_relaxed_field(&mut out, &field));
        assert_eq!(String::from_utf8(out).unwrap(), "a:X\r\nb:Y Z\r\nempty:\r\n");
    }

    proptest! {
        #[test]
        fn pieces_do_not_change_the_hash(body in "[a \t\r\n]{0,60}", size in 1usize..7) {
            prop_assert_eq!(hash(body.as_bytes(), size), hash(body.as_bytes(), 1000));
        }

        #[test]
        fn long_bodies_are_hashed_whole(words in prop::collection::vec(1usize..6000, 0..8)) {
            let body: String = words.iter().map(|len| "x".repeat(*len) + " y\r\n").collect();
            prop_assert_eq!(hash(body.as_bytes(), 1500), sha256(body.as_bytes()));
        }
    }
}
