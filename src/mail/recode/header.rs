//! A part's header section with another transfer encoding named. Everything else stays byte for byte.
//! Source: RFC 2045 §4 (MIME-Version), RFC 1428 §3 (text without a charset).

use crate::mail::headers::Section;

const ENCODING: &str = "Content-Transfer-Encoding";

/// Appends `header` with `Content-Transfer-Encoding: label` in place of the field that was there, or at the
/// end. A message (`top`) that did not say that it is MIME says so.
pub fn relabelled(out: &mut Vec<u8>, header: &[u8], label: &str, top: bool) {
    let section = Section::of(header);
    let mut named = false;
    for field in section.fields() {
        if !field.is_named(ENCODING) {
            out.extend_from_slice(field.raw);
        } else if !std::mem::replace(&mut named, true) {
            append(out, ENCODING, label);
        }
    }
    if !section.as_bytes().is_empty() && !section.as_bytes().ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    if top && section.find("MIME-Version").is_none() {
        append(out, "MIME-Version", "1.0");
        if section.find("Content-Type").is_none() {
            append(out, "Content-Type", "text/plain; charset=unknown-8bit");
        }
    }
    if !named {
        append(out, ENCODING, label);
    }
    out.extend_from_slice(&header[section.as_bytes().len() + section.fields_start..]);
}

fn append(out: &mut Vec<u8>, name: &str, body: &str) {
    for part in [name, ": ", body, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}
