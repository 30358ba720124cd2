//! A short message that is typed at the console: From, To, Subject, and lines of text.

use crate::mail::Address;
use crate::mail::words::{encoded_text, fold, one_line};

/// The longest subject that is taken.
const SUBJECT_CHARS_MAX: usize = 200;
/// Where the header section's lines are folded.
const FOLD_CHARS: usize = 76;

/// A message being typed.
#[derive(Debug)]
pub struct Note(Vec<u8>);

impl Note {
    pub fn new(from: &Address, to: &[Address], subject: Option<&str>) -> Self {
        let to: Vec<String> = to.iter().map(Address::to_string).collect();
        let subject = one_line(subject.unwrap_or_default(), SUBJECT_CHARS_MAX);
        let mut head =
            format!("From: {from}\r\n{}\r\n", fold(&format!("To: {}", to.join(", ")), FOLD_CHARS, "\r\n "));
        if !subject.is_empty() {
            head.push_str(&format!("Subject: {}\r\n", encoded_text("Subject: ".len(), &subject)));
        }
        let is_plain = head.is_ascii();
        head.push_str(if is_plain {
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        } else {
            "\r\n"
        });
        Note(head.into_bytes())
    }

    /// A line of text, without its end.
    pub fn line(&mut self, line: &str) {
        self.0.extend(line.bytes().filter(|b| !matches!(b, b'\r' | b'\n' | 0)));
        self.0.extend_from_slice(b"\r\n");
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
