//! The header section as bytes: where it ends, its fields, lookup by name. Nothing is copied or decoded.
//! Source: RFC 5322 §2.2 and §4.5 (`To :` with a space). Only CRLF ends a line; a bare LF is a byte like others.
//! Danger: what is taken as a field here and as text elsewhere lets a sender smuggle header fields in.
//!
//! A section ends at the first empty line, or before the first line that is neither a field nor a
//! continuation of one: that line and all after it are body. Lines `From SENDER DATE` that a mailbox file
//! left at the very top are no part of the message and are skipped.

use std::ops::Range;

use memchr::{memchr, memchr_iter};

use crate::limits::HEADER_SECTION_BYTES_MAX;

/// One header field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as written, without the colon and blanks before it.
    pub name: &'a [u8],
    /// The field with its folds and its final CRLF.
    pub raw: &'a [u8],
    /// Where the body begins in `raw`: right after the colon.
    body_start: usize,
}

impl<'a> Field<'a> {
    /// What follows the colon, with blanks and folds, without the final CRLF.
    pub fn body(&self) -> &'a [u8] {
        &self.raw[self.body_range()]
    }

    /// Where [`Field::body`] stands in `raw`.
    pub fn body_range(&self) -> Range<usize> {
        let end = self.raw.strip_suffix(b"\r\n").map_or(self.raw.len(), <[u8]>::len);
        self.body_start..end
    }

    pub fn is_named(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Whether the body holds nothing but blanks.
    pub fn is_empty(&self) -> bool {
        self.body().iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
    }
}

/// Where a header section ends, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With an empty line, which belongs to the section.
    EmptyLine,
    /// Before a line that is no field.
    NoField,
    /// Nowhere yet: the bytes ran out. For a whole message this means that it has no body.
    BytesRanOut,
}

/// The header section at the start of a message, or of a piece of it.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    fields: &'a [u8],
    /// Where the fields begin: at 0, or after mailbox lines.
    pub fields_start: usize,
    /// Where the body begins.
    pub body_start: usize,
    pub end: End,
}

impl<'a> Section<'a> {
    /// Finds the section in `message`, which may go on after it.
    pub fn of(message: &'a [u8]) -> Self {
        let mut scan = Scan::default();
        scan.advance(message);
        if scan.end == End::BytesRanOut {
            scan.finish(message);
        }
        Section {
            fields: &message[scan.fields_start..scan.fields_end],
            fields_start: scan.fields_start,
            body_start: scan.body_start,
            end: scan.end,
        }
    }

    /// All fields, byte for byte, without the empty line after them.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.fields
    }

    /// The fields in their order.
    pub fn fields(&self) -> Fields<'a> {
        Fields { rest: self.fields }
    }

    /// The first field of this name, in any case.
    pub fn find(&self, name: &str) -> Option<Field<'a>> {
        self.fields().find(|field| field.is_named(name))
    }

    /// How many fields have this name.
    pub fn count(&self, name: &str) -> usize {
        self.fields().filter(|field| field.is_named(name)).count()
    }
}

/// Iterator over the fields of a [`Section`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let (raw, rest) = self.rest.split_at(field_len(self.rest));
        self.rest = rest;
        let colon = memchr(b':', raw)?;
        let name = raw[..colon].trim_ascii_end();
        Some(Field { name, raw, body_start: colon + 1 })
    }
}

/// The length of the field at the start of `bytes`, up to the first line end that no blank follows.
fn field_len(bytes: &[u8]) -> usize {
    memchr_iter(b'\n', bytes)
        .find(|lf| bytes[..*lf].ends_with(b"\r") && !matches!(bytes.get(lf + 1), Some(b' ' | b'\t')))
        .map_or(bytes.len(), |lf| lf + 1)
}

/// The header section grew past [`HEADER_SECTION_BYTES_MAX`] without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SectionTooLong;

/// Gathers the header section of a message that arrives in pieces.
#[derive(Debug, Default)]
pub struct Gatherer {
    bytes: Vec<u8>,
    scan: Scan,
}

impl Gatherer {
    /// Takes a whole piece; true when the section is complete. Bytes of the body that stood in the same
    /// piece are kept after it, and `compose` hands them on. Not called again once it has said true.
    pub fn push(&mut self, piece: &[u8]) -> Result<bool, SectionTooLong> {
        self.bytes.extend_from_slice(piece);
        self.scan.advance(&self.bytes);
        let complete = self.scan.end != End::BytesRanOut;
        let reached = if complete { self.scan.fields_end } else { self.bytes.len() };
        if reached > HEADER_SECTION_BYTES_MAX { Err(SectionTooLong) } else { Ok(complete) }
    }

    /// What it takes of memory.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// The section and the bytes that came with it.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The state of a search for the end; goes on where it stopped when more bytes are there.
#[derive(Clone, Copy, Debug)]
struct Scan {
    fields_start: usize,
    fields_end: usize,
    body_start: usize,
    /// Up to here no line end is left to be looked at.
    searched: usize,
    end: End,
}

impl Default for Scan {
    fn default() -> Self {
        Scan { fields_start: 0, fields_end: 0, body_start: 0, searched: 0, end: End::BytesRanOut }
    }
}

impl Scan {
    /// Looks at all complete lines of `bytes`, which begin as those of the last call did.
    fn advance(&mut self, bytes: &[u8]) {
        while self.end == End::BytesRanOut {
            let line_start = self.fields_end;
            let Some(line_end) = line_end(bytes, self.searched) else {
                self.searched = bytes.len();
                return;
            };
            self.searched = line_end;
            self.take_line(&bytes[line_start..line_end], line_end);
        }
    }

    /// Takes the last line, which has no line end.
    fn finish(&mut self, bytes: &[u8]) {
        if self.fields_end < bytes.len() {
            self.take_line(&bytes[self.fields_end..], bytes.len());
        }
    }

    fn take_line(&mut self, line: &[u8], line_end: usize) {
        let at_top = self.fields_end == self.fields_start;
        if line == b"\r\n" {
            self.end = End::EmptyLine;
            self.body_start = line_end;
        } else if at_top && is_mailbox_line(line) {
            (self.fields_start, self.fields_end, self.body_start) = (line_end, line_end, line_end);
        } else if is_field(line) || (!at_top && line.first().is_some_and(is_blank)) {
            (self.fields_end, self.body_start) = (line_end, line_end);
        } else {
            self.end = End::NoField;
        }
    }
}

/// The end of the first line whose CRLF ends after `from`.
fn line_end(bytes: &[u8], from: usize) -> Option<usize> {
    let searched = bytes.get(from..)?;
    memchr_iter(b'\n', searched).map(|lf| from + lf).find(|lf| bytes[..*lf].ends_with(b"\r")).map(|lf| lf + 1)
}

/// `From SENDER DATE`, quoted with `>` or not, as mailbox files have it before each message. The time of day
/// tells it from a text that begins with the word "From".
fn is_mailbox_line(line: &[u8]) -> bool {
    let after = line.strip_prefix(b">").unwrap_or(line).strip_prefix(b"From ");
    after.is_some_and(|words| words.split(is_blank).any(is_time_of_day))
}

/// `10:19` or `10:19:23`.
fn is_time_of_day(word: &[u8]) -> bool {
    let two_digits = |part: &[u8]| part.len() == 2 && part.iter().all(u8::is_ascii_digit);
    matches!(word.len(), 5 | 8) && word.split(|b| *b == b':').all(two_digits)
}

/// A name of visible ASCII, blanks, a colon.
fn is_field(line: &[u8]) -> bool {
    let name_len = line.iter().position(|b| !is_name_byte(*b)).unwrap_or(line.len());
    let colon = line[name_len..].iter().find(|b| !is_blank(b));
    name_len > 0 && colon == Some(&b':')
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_graphic() && b != b':'
}

fn is_blank(b: &u8) -> bool {
    matches!(b, b' ' | b'\t')
}

#[cfg(test)]
mod tests;
