//! *Create message for virtual user* (Figure 5, steps 515 and 520): what a message needs before it enters
//! the queue of its domain. Source: RFC 5322 §3.6, RFC 6409 §8; Figures 2A, 2B.
//! Danger: a message that merely passes gets its trace line and keeps every other byte.

use std::fmt;

use crate::limits::{COMPOSED_HEAD_BYTES_MAX, MESSAGE_ID_CHARS_MAX, RECEIVED_FIELDS_MAX};
use crate::mail::addresses::{holds_addresses, is_blind, places_to_complete};
use crate::mail::headers::{End, Field, Section};
use crate::mail::mend;
use crate::mail::received::{Submitter, Trace, received_field};
use crate::mail::words::{one_line, phrase};
use crate::mail::{Address, Domain, ReversePath, message_id};

/// What the house knows of a message that a user of a virtual domain hands in.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    pub trace: Trace<'a>,
    /// The virtual domain whose message it is.
    pub domain: &'a Domain,
    pub reverse_path: &'a ReversePath,
    /// Drawn at random for each message; see [`message_id`].
    pub unique: u64,
    /// `Bcc` and `Resent-Bcc` are taken out: their addresses have become the envelope (`sendmail -t`).
    pub drop_bcc: bool,
    /// The user's full name for a missing From (`sendmail -F`).
    pub full_name: Option<&'a str>,
    /// The client is an old device: 8-bit characters that it did not declare are mended (see `mail::mend`).
    pub tolerant: bool,
}

/// Why a message cannot enter the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComposeError {
    /// More `Received:` fields than [`RECEIVED_FIELDS_MAX`].
    Loop,
    /// The head would be longer than [`COMPOSED_HEAD_BYTES_MAX`].
    TooLong,
}

impl ComposeError {
    /// The reply's code, enhanced status code and text.
    pub fn reply(self) -> (u16, &'static str, &'static str) {
        match self {
            ComposeError::Loop => (554, "5.4.6", "this message has been through too many hosts: a mail loop"),
            ComposeError::TooLong => (552, "5.3.4", "the message's header section is too long"),
        }
    }
}

impl fmt::Display for ComposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, status, text) = self.reply();
        write!(f, "{code} {status} {text}")
    }
}

impl std::error::Error for ComposeError {}

/// A message's new beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// The header section with its empty line, and the body bytes that came with the old one. The rest of
    /// the body follows it as it is.
    pub head: Vec<u8>,
    /// The Message-Id that was there or was made, for the log: one line of at most
    /// [`MESSAGE_ID_CHARS_MAX`] characters. Empty where a passing message has none.
    pub message_id: String,
}

/// Completes a message that a user hands in: any user's, not only an old device's. Figure 5 makes these fields of
/// what the house knows of him, his name, his domain and the time (step 515), as Figure 2B has a Message-Id that
/// 2A lacks; RFC 6409 §8 asks a submission server for Date and Message-Id; and RFC 5321 §6.4 allows it where
/// the server knows the client. Nobody else's message comes here, so a stranger's is passed on as it is. What a
/// tolerated device alone may get wrong is what could mean two things: line ends, commands, undeclared characters.
///
/// `start` is the message or its beginning, at least its header section (see `headers::Gatherer`); bytes after
/// the section are handed on. `Return-Path` goes: only final delivery writes one (RFC 5321 §4.4). On top comes
/// our trace line; then Message-Id, Date and From where they are missing or empty; then all other fields as
/// they are, but for `@domain` behind unqualified addresses. The section ends where [`Section`] says, and there
/// an empty line is put where none is.
pub fn compose(start: &[u8], facts: &Facts<'_>) -> Result<Composed, ComposeError> {
    let section = Section::of(start);
    refuse_loop(&section)?;
    let mut head = Vec::with_capacity(start.len() + 512);
    head.extend_from_slice(received_field(&facts.trace).as_bytes());
    let message_id = match present(&section, "Message-Id") {
        Some(field) => for_the_log(&field),
        None => {
            let made = message_id(facts.domain, facts.trace.id, facts.unique);
            push_field(&mut head, "Message-Id", &made);
            made
        }
    };
    if present(&section, "Date").is_none() {
        push_field(&mut head, "Date", &facts.trace.now.rfc5322());
    }
    if present(&section, "From").is_none() {
        push_field(&mut head, "From", &from_body(facts));
    }
    if facts.tolerant && !mend::declares_mime(&section) {
        head.extend_from_slice(mend::declaration(&start[section.body_start..]).as_bytes());
    }
    for field in section.fields() {
        let replaced =
            ["Message-Id", "Date", "From"].iter().any(|name| field.is_named(name) && field.is_empty());
        let dropped = (facts.drop_bcc && is_blind(&field)) || field.is_named("Return-Path");
        if !replaced && !dropped {
            push_mended(&mut head, &field, facts)?;
        }
    }
    if !head.ends_with(b"\r\n") {
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.extend_from_slice(&start[section.body_start..]);
    Ok(Composed { head, message_id })
}

/// Puts the trace line before a message that merely passes: inbound, or forwarded. Nothing else changes,
/// save that a text without any header field gets an empty line before it, lest it be taken for one.
pub fn pass(start: &[u8], trace: &Trace<'_>) -> Result<Composed, ComposeError> {
    let section = Section::of(start);
    refuse_loop(&section)?;
    let mut head = Vec::with_capacity(start.len() + 256);
    head.extend_from_slice(received_field(trace).as_bytes());
    if section.as_bytes().is_empty() && section.end == End::NoField {
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(&start[section.fields_start..]);
    let message_id = present(&section, "Message-Id").map(|field| for_the_log(&field)).unwrap_or_default();
    Ok(Composed { head, message_id })
}

/// What final delivery puts before everything else (RFC 5321 §4.4).
pub fn delivery_head(reverse_path: &ReversePath, delivered_to: &Address) -> String {
    format!("Return-Path: <{reverse_path}>\r\nDelivered-To: {delivered_to}\r\n")
}

/// The `From SENDER DATE` line of Figure 1B, without a line end; the null path is `MAILER-DAEMON`.
pub fn mailbox_line(reverse_path: &ReversePath, now: crate::time::WallTime) -> String {
    match reverse_path {
        ReversePath::Null => format!("From MAILER-DAEMON {}", now.ctime()),
        ReversePath::Address(address) => format!("From {address} {}", now.ctime()),
    }
}

fn refuse_loop(section: &Section<'_>) -> Result<(), ComposeError> {
    if section.count("Received") > RECEIVED_FIELDS_MAX { Err(ComposeError::Loop) } else { Ok(()) }
}

/// The field of this name, if its body is not empty.
fn present<'a>(section: &Section<'a>, name: &str) -> Option<Field<'a>> {
    section.fields().find(|field| field.is_named(name) && !field.is_empty())
}

fn for_the_log(field: &Field<'_>) -> String {
    one_line(&String::from_utf8_lossy(field.body()), MESSAGE_ID_CHARS_MAX)
}

fn push_field(head: &mut Vec<u8>, name: &str, body: &str) {
    for part in [name, ": ", body, "\r\n"] {
        head.extend_from_slice(part.as_bytes());
    }
}

/// The reverse-path, or where that is null the user at his domain.
fn from_body(facts: &Facts<'_>) -> String {
    let address = match (facts.reverse_path, facts.trace.submitter) {
        (ReversePath::Address(address), _) => address.to_string(),
        (ReversePath::Null, Submitter::Local { user }) => {
            match Address::parse(&format!("{user}@{}", facts.domain)) {
                Ok(address) => address.to_string(),
                Err(_) => format!("MAILER-DAEMON@{}", facts.domain),
            }
        }
        (ReversePath::Null, Submitter::Smtp { .. }) => format!("MAILER-DAEMON@{}", facts.domain),
    };
    match facts.full_name.map(phrase) {
        Some(name) if !name.is_empty() => format!("{name}\r\n <{address}>"),
        _ => address,
    }
}

fn push_mended(head: &mut Vec<u8>, field: &Field<'_>, facts: &Facts<'_>) -> Result<(), ComposeError> {
    if !facts.tolerant || field.raw.is_ascii() {
        return push_completed(head, field, facts.domain);
    }
    let mended = mend::seven_bit_field(field);
    Section::of(mended.as_bytes()).fields().try_for_each(|field| push_completed(head, &field, facts.domain))
}

fn push_completed(head: &mut Vec<u8>, field: &Field<'_>, domain: &Domain) -> Result<(), ComposeError> {
    let places = if holds_addresses(field) { places_to_complete(field.body()) } else { Vec::new() };
    let suffix = domain.as_str();
    if head.len() + field.raw.len() + places.len() * (1 + suffix.len()) > COMPOSED_HEAD_BYTES_MAX {
        return Err(ComposeError::TooLong);
    }
    let body_start = field.body_range().start;
    let mut copied = 0;
    for place in places.into_iter().map(|place| body_start + place) {
        head.extend_from_slice(&field.raw[copied..place]);
        head.push(b'@');
        head.extend_from_slice(suffix.as_bytes());
        copied = place;
    }
    head.extend_from_slice(&field.raw[copied..]);
    Ok(())
}

#[cfg(test)]
mod tests;
