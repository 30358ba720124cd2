//! A kept message as a person reads it on a plain terminal: who wrote it, when and about what, and its text without
//! its encodings. Source: RFC 2045 to 2047, by mailparse. Danger: it comes from strangers; its size is bounded by who
//! reads it, its depth by the parser, and what steers a terminal is taken out where it is shown.

use mailparse::{MailHeaderMap, ParsedMail};

use crate::limits::{DISPLAY_NAME_CHARS_MAX, MAILBOX_LINE_CHARS_MAX, MESSAGE_ID_CHARS_MAX};
use crate::mail::words::one_line;

/// The fields that tell messages apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub from: String,
    pub to: String,
    /// As its sender wrote it.
    pub date: String,
    pub subject: String,
}

impl Summary {
    /// Of a message's beginning; a header section that is cut off is read as far as it goes.
    pub fn of(head: &[u8]) -> Self {
        let end = memchr::memmem::find(head, b"\n\n").map_or(head.len(), |at| at + 1);
        match mailparse::parse_headers(&head[..end]) {
            Ok((fields, _)) => Summary::from(&fields[..]),
            Err(_) => Summary::default(),
        }
    }

    fn from(fields: &[mailparse::MailHeader<'_>]) -> Self {
        let field =
            |name: &str, chars_max| one_line(&fields.get_first_value(name).unwrap_or_default(), chars_max);
        Summary {
            from: field("From", DISPLAY_NAME_CHARS_MAX),
            to: field("To", DISPLAY_NAME_CHARS_MAX),
            date: field("Date", DISPLAY_NAME_CHARS_MAX),
            subject: field("Subject", MESSAGE_ID_CHARS_MAX),
        }
    }
}

/// The text of a message in lines, and in brackets what else it holds. HTML is shown where there is nothing else.
pub fn text_lines(message: &[u8]) -> Vec<String> {
    let Ok(parsed) = mailparse::parse_mail(message) else {
        return lines(&String::from_utf8_lossy(message));
    };
    let leaves: Vec<&ParsedMail> = parsed.parts().filter(|part| part.subparts.is_empty()).collect();
    let plain = leaves.iter().any(|part| is_plain(part));
    let mut text = Vec::new();
    for part in leaves {
        let kind = &part.ctype.mimetype;
        if is_plain(part) || !plain && kind.starts_with("text/") {
            let body = part.get_body();
            text.extend(lines(
                &body.unwrap_or_else(|_| String::from_utf8_lossy(part.raw_bytes).into_owned()),
            ));
        } else {
            let name = file_name(part).map(|name| format!(" {name:?}")).unwrap_or_default();
            text.push(format!("[{kind}{name}, {} bytes as they came, not shown]", part.raw_bytes.len()));
        }
    }
    text
}

/// What its sender calls a part (RFC 2183 §2.3, or the older way).
fn file_name(part: &ParsedMail) -> Option<String> {
    let disposition = part.get_content_disposition();
    let name = disposition.params.get("filename").or_else(|| part.ctype.params.get("name"));
    name.map(|name| one_line(name, DISPLAY_NAME_CHARS_MAX))
}

/// Text that is meant to be read as it is: the parts of a report too (RFC 3462, RFC 3464).
fn is_plain(part: &ParsedMail) -> bool {
    let kind = part.ctype.mimetype.as_str();
    kind.starts_with("message/") || kind.starts_with("text/") && kind != "text/html"
}

fn lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = line.trim_end().replace('\t', "    ");
        let mut rest = line.as_str();
        while let Some((at, _)) = rest.char_indices().nth(MAILBOX_LINE_CHARS_MAX) {
            lines.push(rest[..at].to_owned());
            rest = &rest[at..];
        }
        lines.push(rest.to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Return-Path: <>\nFrom: =?utf-8?Q?J=C3=B6rg?= <x1@xyz.com>\nTo: postmaster@bcd.com\n\
        Date: Fri, 27 Nov 2026 10:18:52 +0000\nSubject: =?utf-8?B?w5xiZXI=?=\n a\tlong way\n\
        Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain; charset=iso-8859-1\n\
        Content-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe,\n\tJ=F6rg\n--b\n\
        Content-Type: image/png; name=cat.png\nContent-Transfer-Encoding: base64\n\nAAAA\n--b\n\
        Content-Type: message/delivery-status\n\nFinal-Recipient: rfc822;b9@bcd.com\n--b--\n";

    #[test]
    fn who_wrote_it_and_about_what_is_read_without_encodings() {
        let summary = Summary::of(REPORT.as_bytes());
        assert_eq!(summary.from, "J\u{f6}rg <x1@xyz.com>");
        assert_eq!(summary.subject, "\u{dc}ber a long way");
        assert_eq!(
            (summary.to.as_str(), summary.date.as_str()),
            ("postmaster@bcd.com", "Fri, 27 Nov 2026 10:18:52 +0000")
        );
        assert_eq!(Summary::of(b"").subject, "");
        assert_eq!(Summary::of(b"Subject: cut of").subject, "cut of");
        assert_eq!(Summary::of(b"\xff\xfe no header\n\nSubject: none\n").subject, "");
    }

    #[test]
    fn the_text_is_shown_and_the_rest_is_told_of() {
        let text = text_lines(REPORT.as_bytes());
        let wanted = ["Gr\u{fc}\u{df}e,", "    J\u{f6}rg"];
        assert_eq!(text[..2], wanted);
        assert!(
            text[2].starts_with("[image/png \"cat.png\", ") && text[2].ends_with(" not shown]"),
            "{text:?}"
        );
        assert_eq!(text[3..], ["Final-Recipient: rfc822;b9@bcd.com"]);
        let newer =
            "Content-Type: application/pdf\nContent-Disposition: attachment; filename=bill.pdf\n\nx\n";
        assert!(text_lines(newer.as_bytes())[0].starts_with("[application/pdf \"bill.pdf\", "));
    }

    #[test]
    fn html_is_shown_where_there_is_nothing_else() {
        let alone = "Content-Type: text/html\n\n<p>Hello</p>\n";
        assert_eq!(text_lines(alone.as_bytes()), ["<p>Hello</p>"]);
        let both = "Content-Type: multipart/alternative; boundary=b\n\n--b\n\nHello\n--b\n\
                    Content-Type: text/html\n\n<p>Hello</p>\n--b--\n";
        let text = text_lines(both.as_bytes());
        assert_eq!(text[0], "Hello");
        assert!(text[1].starts_with("[text/html, "), "{text:?}");
    }

    #[test]
    fn endless_lines_and_endless_depth_do_no_harm() {
        let long = format!("Subject: long\n\n{}", "x".repeat(3 * MAILBOX_LINE_CHARS_MAX));
        assert!(text_lines(long.as_bytes()).iter().all(|line| line.len() == MAILBOX_LINE_CHARS_MAX));
        let deep: String =
            (0..5000).map(|n| format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n")).collect();
        assert!(!text_lines(deep.as_bytes()).is_empty());
    }
}
