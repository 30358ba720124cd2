//! Display names and free text inside header fields: phrases, quoted strings and encoded words.
//! Source: RFC 5322 §3.2.5, RFC 2047 §2 and §5 (an encoded word has at most 75 characters).
//! Danger: a name comes from outside; no byte of it may end the field it stands in.

use data_encoding::BASE64;

use crate::limits::DISPLAY_NAME_CHARS_MAX;

/// What an encoded word has around its base64: `=?utf-8?B?` and `?=`.
const ENCODED_WORD_FRAME_CHARS: usize = 12;
/// A line of a header section, without its CRLF (RFC 2047 §2).
const LINE_CHARS_MAX: usize = 76;

/// A display name as a phrase for From: a quoted string, or encoded words on lines of their own where it is
/// not ASCII. At most [`DISPLAY_NAME_CHARS_MAX`] characters of `name` are taken; controls become blanks. Empty
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
        encoded_words("From: ".len(), clean)
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

/// Encoded words of UTF-8 in base64, none of which splits a character; `column` characters stand before them
/// on their line.
pub fn encoded_words(column: usize, text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut column = column;
    let mut rest = text;
    while !rest.is_empty() {
        let base64_chars = LINE_CHARS_MAX.saturating_sub(column + ENCODED_WORD_FRAME_CHARS).max(8);
        let (word, after) = rest.split_at(rest.floor_char_boundary(base64_chars / 4 * 3));
        if !out.is_empty() {
            out.push_str("\r\n ");
        }
        out.push_str("=?utf-8?B?");
        BASE64.encode_append(word.as_bytes(), &mut out);
        out.push_str("?=");
        rest = after;
        column = 1;
    }
    out
}

/// Free text for an unstructured field: as it is when it is ASCII and short enough, else encoded words.
/// `name_chars` stand before it on its line.
pub fn encoded_text(name_chars: usize, text: &str) -> String {
    if text.is_ascii() && name_chars + text.len() <= LINE_CHARS_MAX {
        text.to_owned()
    } else {
        encoded_words(name_chars, text)
    }
}

/// `text` as one line of at most `chars_max` characters: every run of blanks, line ends and other controls
/// becomes one blank. Bidirectional controls, which could turn a line round, go the same way.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let mut line = String::with_capacity(text.len().min(chars_max));
    let words = text.split(|c: char| c.is_control() || c.is_whitespace() || is_bidi_control(c));
    let mut chars_left = chars_max;
    for word in words.filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            if chars_left == 0 {
                break;
            }
            line.push(' ');
            chars_left -= 1;
        }
        line.extend(word.chars().take(chars_left));
        chars_left -= word.chars().take(chars_left).count();
    }
    line.truncate(line.trim_end().len());
    line
}

fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Breaks `line` at blanks into lines of at most `chars` characters, where words allow it; `joint` takes the
/// blank's place.
pub fn fold(line: &str, chars: usize, joint: &str) -> String {
    let mut out = String::with_capacity(line.len() + 64);
    let mut column = 0;
    for word in line.split(' ') {
        let width = word.chars().count();
        if column == 0 {
            column = width;
        } else if column + 1 + width <= chars {
            out.push(' ');
            column += 1 + width;
        } else {
            out.push_str(joint);
            column = width;
        }
        out.push_str(word);
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
        let field = format!("From: {folded}\r\n");
        assert!(field.split("\r\n").all(|line| line.len() <= 76), "{field}");
        let (header, _) = mailparse::parse_header(field.as_bytes()).unwrap();
        assert_eq!(header.get_value(), name);
    }

    #[test]
    fn foreign_text_becomes_one_bounded_line() {
        for (caption, text, chars_max, expected) in [
            ("lines", "550-no\r\n550 really", 99, "550-no 550 really"),
            ("controls", "a\x1b[31m\x07b\0c", 99, "a [31m b c"),
            ("bound", "abc def", 5, "abc d"),
            ("bound at a blank", "abc def", 4, "abc"),
            ("turned round", "abc\u{202e}fed", 99, "abc fed"),
            ("nothing", "\r\n", 99, ""),
        ] {
            assert_eq!(one_line(text, chars_max), expected, "{caption}");
        }
    }

    #[test]
    fn lines_are_broken_at_blanks_only() {
        for (line, chars, expected) in [
            ("aa bb cc", 5, "aa bb|cc"),
            ("aa bb cc", 6, "aa bb|cc"),
            ("aaaaaaa b", 3, "aaaaaaa|b"),
            ("öööö ö", 4, "öööö|ö"),
            ("", 4, ""),
        ] {
            assert_eq!(fold(line, chars, "|"), expected);
        }
    }
}
