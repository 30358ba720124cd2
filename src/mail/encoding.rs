//! Content transfer encodings (RFC 2045 §6.7, §6.8), `xtext` (RFC 3461 §4) and PEM (RFC 7468): bytes that any
//! host, and any terminal, carries.
//! Danger: decoded `xtext` holds any character, CR and LF among them; whoever writes it out cleans it.

use data_encoding::{BASE64, HEXUPPER};

/// Characters of an encoded line without its CRLF.
const LINE_CHARS_MAX: usize = 76;
/// Bytes that make one full line of base64.
const BASE64_LINE_BYTES: usize = LINE_CHARS_MAX / 4 * 3;
/// Characters of a line of PEM (RFC 7468 §2).
const PEM_LINE_CHARS: usize = 64;

/// Binary text between armour lines of this label (RFC 7468).
pub fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let lines = base64.as_bytes().chunks(PEM_LINE_CHARS).map(String::from_utf8_lossy).collect::<Vec<_>>();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// Appends `text` in quoted-printable. CRLF stays a line end; a bare CR or LF is encoded.
pub fn append_quoted_printable(out: &mut Vec<u8>, text: &[u8]) {
    let mut rest = text;
    while let Some(len) = memchr::memmem::find(rest, b"\r\n") {
        append_quoted_line(out, &rest[..len]);
        out.extend_from_slice(b"\r\n");
        rest = &rest[len + 2..];
    }
    append_quoted_line(out, rest);
}

fn append_quoted_line(out: &mut Vec<u8>, line: &[u8]) {
    let mut column = 0;
    for (at, b) in line.iter().enumerate() {
        let last = at + 1 == line.len();
        let literal = match b {
            b'=' => false,
            b' ' | b'\t' => !last,
            b => b.is_ascii_graphic(),
        };
        let width = if literal { 1 } else { 3 };
        if column + width + usize::from(!last) > LINE_CHARS_MAX {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if literal {
            out.push(*b);
        } else {
            out.push(b'=');
            out.extend_from_slice(HEXUPPER.encode(&[*b]).as_bytes());
        }
        column += width;
    }
}

/// Encodes in base64 what comes in pieces, in lines of 76 characters, each with its CRLF.
#[derive(Clone, Debug, Default)]
pub struct Base64Stream {
    /// Less than a line's worth.
    kept: Vec<u8>,
}

impl Base64Stream {
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let mut rest = bytes;
        if !self.kept.is_empty() {
            let wanted = (BASE64_LINE_BYTES - self.kept.len()).min(rest.len());
            self.kept.extend_from_slice(&rest[..wanted]);
            rest = &rest[wanted..];
            if self.kept.len() == BASE64_LINE_BYTES {
                append_base64_line(out, &self.kept);
                self.kept.clear();
            }
        }
        let lines = rest.chunks_exact(BASE64_LINE_BYTES);
        self.kept.extend_from_slice(lines.remainder());
        lines.for_each(|line| append_base64_line(out, line));
    }

    pub fn finish(self, out: &mut Vec<u8>) {
        if !self.kept.is_empty() {
            append_base64_line(out, &self.kept);
        }
    }
}

/// At most [`BASE64_LINE_BYTES`].
fn append_base64_line(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut line = [0; LINE_CHARS_MAX];
    let encoded = &mut line[..BASE64.encode_len(bytes.len())];
    BASE64.encode_mut(bytes, encoded);
    out.extend_from_slice(encoded);
    out.extend_from_slice(b"\r\n");
}

/// Decodes `xtext`: `+2B` is `+`. What is no `xtext` stays as it is.
pub fn decode_xtext(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'+').and_then(|hex| HEXUPPER.decode(hex).ok());
        match hex {
            Some(decoded) => {
                out.extend_from_slice(&decoded);
                rest = &after[2..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(text: &[u8]) -> String {
        let mut out = Vec::new();
        append_quoted_printable(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_in_quoted_printable() {
        for (caption, text, expected) in [
            ("plain", "a b\r\nc".to_owned(), "a b\r\nc".to_owned()),
            ("blank at the end", "a \r\nb\t".to_owned(), "a=20\r\nb=09".to_owned()),
            ("equals sign and 8-bit", "a=ö".to_owned(), "a=3D=C3=B6".to_owned()),
            ("bare CR and LF", "a\rb\nc".to_owned(), "a=0Db=0Ac".to_owned()),
            ("76 fit", "x".repeat(76), "x".repeat(76)),
            ("77 do not", "x".repeat(77), format!("{}=\r\nxx", "x".repeat(75))),
        ] {
            assert_eq!(quoted(text.as_bytes()), expected, "{caption}");
        }
    }

    #[test]
    fn xtext_is_decoded_as_far_as_it_is_xtext() {
        for (text, expected) in
            [("a+2Bb+3D", "a+b="), ("+0D+0A", "\r\n"), ("a+2", "a+2"), ("+xy", "+xy"), ("+FF", "\u{fffd}")]
        {
            assert_eq!(decode_xtext(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_reads_back(bytes in prop::collection::vec(any::<u8>(), 0..500), size in 1usize..130) {
            let encoded = quoted(&bytes);
            prop_assert!(encoded.split("\r\n").all(|line| line.len() <= 76));
            let decoded = quoted_printable_decode(encoded.as_bytes());
            prop_assert_eq!(&decoded, &bytes);
            let mut base64 = Vec::new();
            let mut stream = Base64Stream::default();
            bytes.chunks(size).for_each(|piece| stream.push(piece, &mut base64));
            stream.finish(&mut base64);
            let text = String::from_utf8(base64).unwrap();
            prop_assert!(text.split("\r\n").all(|line| line.len() <= 76));
            prop_assert_eq!(BASE64.decode(text.replace("\r\n", "").as_bytes()).unwrap(), bytes);
        }
    }

    /// Decodes through mailparse, which did not write the encoder.
    fn quoted_printable_decode(encoded: &[u8]) -> Vec<u8> {
        let mut mail = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n".to_vec();
        mail.extend_from_slice(encoded);
        mailparse::parse_mail(&mail).unwrap().get_body_raw().unwrap()
    }
}
