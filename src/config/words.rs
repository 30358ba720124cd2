//! A line of text to words, for the file and the console alike: blanks part words, a double quote keeps
//! blanks inside a word (as the quoted local parts of RFC 5321 §4.1.2 need), `#` at a word's start ends the
//! line. Words keep their quotes; what a word means is for `config::argument` to say.

/// The words of `line`, without its comment. The error says what is wrong with the line as a whole.
pub fn split(line: &str) -> Result<Vec<&str>, String> {
    if let Some(c) = line.chars().find(|c| c.is_control() && *c != '\t') {
        return Err(format!("the line holds the control character {}; write plain text", c.escape_default()));
    }
    let mut words = Vec::new();
    let mut rest = line.trim_matches(is_blank);
    while !rest.is_empty() && !rest.starts_with('#') {
        let end = word_end(rest).ok_or("the quote has no end; write a second \" after it")?;
        words.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_blank);
    }
    Ok(words)
}

pub fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

/// Where the first word of `text` ends, or `None` when a quote in it has no end.
fn word_end(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if is_blank(c) && !quoted => return Some(at),
            _ => {}
        }
    }
    (!quoted).then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_part_into_words() {
        for (caption, line, words) in [
            ("nothing", "", &[][..]),
            ("blanks and a comment", " \t # box", &[]),
            ("tabs part words", "box\tname  abc.com ", &["box", "name", "abc.com"]),
            ("a comment after a statement", "box name a # b", &["box", "name", "a"]),
            ("a hash inside a word", "mailbox a#b", &["mailbox", "a#b"]),
            ("a quoted hash and blank", r##"x "#a \" b"@y z"##, &["x", r##""#a \" b"@y"##, "z"]),
        ] {
            assert_eq!(split(line).unwrap(), words, "{caption}");
        }
    }

    #[test]
    fn lines_that_are_no_text_are_refused() {
        assert_eq!(split("a \"b").unwrap_err(), "the quote has no end; write a second \" after it");
        assert_eq!(split("a\rb").unwrap_err(), "the line holds the control character \\r; write plain text");
    }
}
