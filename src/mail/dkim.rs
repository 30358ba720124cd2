//! DKIM signatures for the domain's own outgoing mail. Source: RFC 6376, RFC 8301 (RSA of 2048 bits, SHA-256),
//! RFC 8463 (Ed25519). Canonicalization is relaxed for header and body.
//! Danger: a signature covers the bytes that leave; whatever changes them comes before it.
//!
//! The body is hashed while it passes ([`BodyHasher`]); [`signatures`] then gives one field for each key, to
//! be put before the header section. From is signed once more than it occurs, so that no second From can
//! be added behind the signature's back (RFC 6376 §8.15).

mod canon;
mod key;
mod rsa;

use std::fmt::Write;

use data_encoding::BASE64;

use crate::limits::SIGNED_FIELDS_OF_A_NAME_MAX;
use crate::mail::Domain;
use crate::mail::headers::{Field, Section};
use crate::time::WallTime;

pub use canon::{BodyHash, BodyHasher};
pub use key::{KeyRejected, Selector, SigningKey, TxtRecord, pem_of};
pub use rsa::generate_rsa_2048;

/// Fields that are signed when they are there (RFC 6376 §5.4.1), beside From, which always is.
const SIGNED_FIELDS: [&str; 20] = [
    "Sender",
    "Reply-To",
    "Subject",
    "Date",
    "Message-Id",
    "To",
    "Cc",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Content-Language",
    "Auto-Submitted",
    "List-Id",
    "List-Post",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Resent-From",
];
/// Characters of a line in the signature field.
const LINE_CHARS_MAX: usize = 76;

/// The `DKIM-Signature` fields of `keys`, each with its CRLF. `head` is the header section as it leaves.
pub fn signatures(
    head: &[u8],
    body: &BodyHash,
    domain: &Domain,
    keys: &[SigningKey],
    now: WallTime,
) -> String {
    let section = Section::of(head);
    let chosen = signed_fields(&section);
    let mut canonical = Vec::with_capacity(section.as_bytes().len());
    for field in chosen.iter().flatten() {
        canon::append_relaxed_field(&mut canonical, field);
    }
    let names = signed_names(&section, &chosen);
    keys.iter().map(|key| signature(key, &canonical, &names, body, domain, now)).collect()
}

/// For each signed name its fields from the bottom up, as verifiers take them (RFC 6376 §5.4.2).
fn signed_fields<'a>(section: &Section<'a>) -> Vec<Vec<Field<'a>>> {
    let of_name = |name: &&str| {
        let mut fields: Vec<Field<'a>> = section.fields().filter(|field| field.is_named(name)).collect();
        fields.reverse();
        fields.truncate(SIGNED_FIELDS_OF_A_NAME_MAX);
        fields
    };
    std::iter::once(&"From").chain(&SIGNED_FIELDS).map(of_name).collect()
}

/// The `h=` list: every signed field's name, and From once more.
fn signed_names(section: &Section<'_>, chosen: &[Vec<Field<'_>>]) -> Vec<String> {
    let lower = |field: &Field<'_>| String::from_utf8_lossy(field.name).to_ascii_lowercase();
    let from_is_whole = section.count("From") == chosen[0].len();
    let oversigned = from_is_whole.then(|| "from".to_owned());
    chosen[0].iter().map(lower).chain(oversigned).chain(chosen[1..].iter().flatten().map(lower)).collect()
}

/// One signature field: everything but the signature is hashed with it.
fn signature(
    key: &SigningKey,
    canonical: &[u8],
    names: &[String],
    body: &BodyHash,
    domain: &Domain,
    now: WallTime,
) -> String {
    let mut field = format!(
        "DKIM-Signature: v=1; a={}; c=relaxed/relaxed;\r\n\td={domain}; s={};\r\n\tt={}; h=",
        key.algorithm(),
        key.selector(),
        now.unix_seconds(),
    );
    append_names(&mut field, names);
    write!(field, ";\r\n\tbh={};\r\n\tb=", body.base64()).expect("a String takes all that is written");
    let mut signed = canonical.to_vec();
    for unsigned in Section::of(field.as_bytes()).fields() {
        canon::append_relaxed_field(&mut signed, &unsigned);
    }
    signed.truncate(signed.trim_ascii_end().len());
    append_folded(&mut field, &BASE64.encode(&key.sign(&signed)));
    field.push_str("\r\n");
    field
}

/// `from:from:subject`, folded before a name (RFC 6376 §3.5).
fn append_names(field: &mut String, names: &[String]) {
    let mut column = field.len() - field.rfind('\n').map_or(0, |lf| lf + 1);
    for (nth, name) in names.iter().enumerate() {
        if nth > 0 {
            field.push(':');
            column += 1;
        }
        if column + name.len() + 1 > LINE_CHARS_MAX {
            field.push_str("\r\n\t ");
            column = 2;
        }
        field.push_str(name);
        column += name.len();
    }
}

fn append_folded(field: &mut String, base64: &str) {
    let mut rest = base64;
    let mut room = LINE_CHARS_MAX - "\tb=".len();
    while rest.len() > room {
        field.extend([&rest[..room], "\r\n\t "]);
        rest = &rest[room..];
        room = LINE_CHARS_MAX - 2;
    }
    field.push_str(rest);
}

#[cfg(test)]
mod tests;
