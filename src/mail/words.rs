//! Display names and free text inside header fields: phrases, quoted strings and encoded words.
//! Source: RFC 5322 §3.2.5, RFC 2047 §2 and §5 (an encoded word has at most 75 characters).
//! Danger: a name comes from outside; no byte of it may end the field it stands in.

use data_encoding::BASE64;

use crate::limits::DISPLAY_NAME_CHARS_MAX;

/// UTF-8 bytes in one encoded word: 45 of them are 60 of base64, and `=?utf-8?B?` `?=` are 12 more.
const ENCODED_WORD_PAYLOAD_BYTES_MAX: usize = 45;

/// A display name as a phrase: a quoted string, or encoded words on lines of their own where it is not
/// ASCII. At most [`DISPLAY_NAME_CHARS_MAX`] characters of `name` are taken; controls become blanks. Empty
/// when nothing is left.
pub fn phrase(name: &str) -> String {
    let clean: String =
        name.chars().take(DISPLAY_NAME_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.trim();
    if clean.is_empty() {
        String::new()
    } else if clean.is_ascii() {
        quoted_string(clean)
    } else {
        encoded_words(clean)
    }
}

fn quoted_string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// Encoded words of UTF-8 in base64, none of which splits a character.
fn encoded_words(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.floor_char_boundary(ENCODED_WORD_PAYLOAD_BYTES_MAX));
        if !out.is_empty() {
            out.push_str("\r\n ");
        }
        out.push_str("=?utf-8?B?");
        BASE64.encode_append(word.as_bytes(), &mut out);
        out.push_str("?=");
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_what_its_characters_need() {
        for (caption, name, expected) in [
            ("plain", "Bob Smith", "\"Bob Smith\""),
            ("specials", "Smith, \"Bob\" \\", "\"Smith, \\\"Bob\\\" \\\\\""),
            ("injection", "Bob\r\nBcc: x1@xyz.com", "\"Bob  Bcc: x1@xyz.com\""),
            ("beyond ASCII", "Jörg", "=?utf-8?B?SsO2cmc=?="),
            ("nothing", " \r\n", ""),
        ] {
            assert_eq!(phrase(name), expected, "{caption}");
        }
    }

    #[test]
    fn long_names_are_folded_between_characters() {
        let name = "ö".repeat(100);
        let folded = phrase(&name);
        assert!(folded.split("\r\n").all(|line| line.len() <= 76), "{folded}");
        let field = format!("From: {folded}\r\n");
        let (header, _) = mailparse::parse_header(field.as_bytes()).unwrap();
        assert_eq!(header.get_value(), name);
    }
}
