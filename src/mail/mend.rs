//! Header fields of old devices that write 8-bit characters without saying so, made clean: encoded words
//! (RFC 2047), extended parameters (RFC 2231), and a declaration for the body (RFC 2045).
//! Danger: only for clients that the configuration calls tolerant. What is no UTF-8 is taken for
//! ISO 8859-1, which can be wrong; an address beyond ASCII stays as it is and needs SMTPUTF8.

use std::fmt::Write;

use crate::mail::addresses::{AddrSpecs, Kind, Lexer, Token, holds_addresses};
use crate::mail::headers::{Field, Section};
use crate::mail::words::encoded_words;

/// Fields whose text is for programs: encoded words have no place there (RFC 2047 §5).
const MACHINE_FIELDS: [&str; 9] = [
    "Received",
    "Return-Path",
    "Message-Id",
    "In-Reply-To",
    "References",
    "Date",
    "MIME-Version",
    "Content-Transfer-Encoding",
    "Content-Id",
];
/// Fields with parameters.
const PARAMETER_FIELDS: [&str; 2] = ["Content-Type", "Content-Disposition"];
/// Behind this column an encoded word begins on a new line.
const COLUMN_LAST: usize = 50;

/// Whether a header section says anything of the body's form.
pub fn declares_mime(section: &Section<'_>) -> bool {
    ["MIME-Version", "Content-Type", "Content-Transfer-Encoding"]
        .iter()
        .any(|name| section.find(name).is_some())
}

/// The MIME fields of a body that has none; `body` is what of it is known.
pub fn declaration(body: &[u8]) -> String {
    let utf8 = match std::str::from_utf8(body) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    let charset = if utf8 { "utf-8" } else { "iso-8859-1" };
    format!(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n"
    )
}

/// The field in seven bits, as far as that can be.
pub fn seven_bit_field(field: &Field<'_>) -> String {
    let is_one_of = |names: &[&str]| names.iter().any(|name| field.is_named(name));
    let (before, body) = (&field.raw[..field.body_range().start], text_of(field.body()));
    let mut mended = Mended { out: text_of(before) };
    if holds_addresses(field) {
        mended.addresses(&body);
    } else if is_one_of(&PARAMETER_FIELDS) {
        mended.parameters(&body);
    } else if is_one_of(&MACHINE_FIELDS) {
        mended.question_marks(&body);
    } else {
        mended.text(&body);
    }
    mended.out.push_str("\r\n");
    mended.out
}

/// The bytes as UTF-8, or as ISO 8859-1 when they are none.
fn text_of(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|b| char::from(*b)).collect(),
    }
}

/// A field that is being written.
struct Mended {
    out: String,
}

impl Mended {
    /// Free text: from the first word beyond ASCII to the last one all is encoded, since blanks between two
    /// encoded words do not count.
    fn text(&mut self, text: &str) {
        let is_blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
        let (Some(first), Some(last)) = (text.find(beyond_ascii), text.rfind(beyond_ascii)) else {
            return self.out.push_str(text);
        };
        let start = text[..first].rfind(is_blank).map_or(0, |at| at + 1);
        let end = text[last..].find(is_blank).map_or(text.len(), |len| last + len);
        self.out.push_str(&text[..start]);
        self.encoded(&text[start..end].replace("\r\n", ""));
        self.out.push_str(&text[end..]);
    }

    /// An address list: display names and comments are encoded, addresses are not.
    fn addresses(&mut self, body: &str) {
        let bytes = body.as_bytes();
        let (Ok(specs), Ok(tokens)) = (
            AddrSpecs::of(bytes).collect::<Result<Vec<_>, _>>(),
            Lexer::new(bytes, 0..bytes.len()).collect::<Result<Vec<_>, _>>(),
        ) else {
            return self.text(body);
        };
        let mut specs = specs.into_iter().peekable();
        let mut name = String::new();
        let mut copied = 0;
        for Token { kind, range } in tokens {
            while specs.next_if(|spec| spec.end <= range.start).is_some() {}
            let in_address = specs.peek().is_some_and(|spec| spec.start <= range.start);
            let (gap, text) = (&body[copied..range.start], &body[range.clone()]);
            let word = matches!(kind, Kind::Atom | Kind::Quoted);
            copied = range.end;
            let encode = word && !in_address && !text.is_ascii();
            if encode && !name.is_empty() && gap.trim().is_empty() {
                name.push(' ');
            } else {
                self.display_name(&mut name);
                self.gap(gap);
            }
            if encode { name.push_str(&unquoted(text)) } else { self.out.push_str(text) }
        }
        self.display_name(&mut name);
        self.gap(&body[copied..]);
    }

    /// Writes a gathered name, with a blank on both sides (RFC 2047 §5).
    fn display_name(&mut self, name: &mut String) {
        if name.is_empty() {
            return;
        }
        if !self.out.ends_with([' ', '\t']) {
            self.out.push(' ');
        }
        self.encoded(&std::mem::take(name));
        self.out.push(' ');
    }

    /// Blanks and comments; those right after a display name's own blank are not doubled.
    fn gap(&mut self, gap: &str) {
        let gap = if self.out.ends_with(' ') { gap.strip_prefix(' ').unwrap_or(gap) } else { gap };
        for piece in gap.split_inclusive(['(', ')', '\\']) {
            let inside = piece.trim_end_matches(['(', ')', '\\']);
            self.text(inside);
            self.out.push_str(&piece[inside.len()..]);
        }
    }

    /// `name="ö"` becomes `name*=utf-8''%C3%B6`; anything else beyond ASCII becomes `?`.
    fn parameters(&mut self, body: &str) {
        let mut rest = body;
        while let Some((before, quoted)) = rest.split_once("=\"") {
            let Some(len) = quoted.find('"') else { break };
            let value = &quoted[..len];
            self.question_marks(before);
            if value.is_ascii() || before.ends_with('*') {
                self.out.push_str("=\"");
                self.question_marks(&quoted[..=len]);
            } else {
                self.out.push_str("*=utf-8''");
                self.percent_encoded(value);
            }
            rest = &quoted[len + 1..];
        }
        self.question_marks(rest);
    }

    /// RFC 2231 §7.
    fn percent_encoded(&mut self, value: &str) {
        for b in value.bytes() {
            if b.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(&b) {
                self.out.push(char::from(b));
            } else {
                write!(self.out, "%{b:02X}").expect("a String takes all that is written");
            }
        }
    }

    fn question_marks(&mut self, text: &str) {
        self.out.extend(text.chars().map(|c| if c.is_ascii() { c } else { '?' }));
    }

    fn encoded(&mut self, text: &str) {
        let mut column = self.out.len() - self.out.rfind('\n').map_or(0, |lf| lf + 1);
        if column > COLUMN_LAST && self.out.ends_with([' ', '\t']) {
            self.out.pop();
            self.out.push_str("\r\n ");
            column = 1;
        }
        self.out.push_str(&encoded_words(column, text));
    }
}

fn beyond_ascii(c: char) -> bool {
    !c.is_ascii()
}

/// A token's meaning: a quoted string without its quotes and escapes.
fn unquoted(token: &str) -> String {
    let Some(inside) = token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return token.to_owned();
    };
    let mut meaning = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        meaning.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    meaning
}

#[cfg(test)]
mod tests {
    use mailparse::parse_header;
    use proptest::prelude::*;

    use super::*;

    fn mended(raw: &[u8]) -> String {
        let section = Section::of(raw);
        seven_bit_field(&section.fields().next().expect("a field"))
    }

    #[test]
    fn fields_become_seven_bits_by_their_kind() {
        for (caption, raw, expected) in [
            (
                "text",
                "Subject: Die Übersicht für März ist da",
                "Subject: Die =?utf-8?B?w5xiZXJzaWNodCBmw7xyIE3DpHJ6?= ist da",
            ),
            ("folded text", "Subject: Ü\r\n ö", "Subject: =?utf-8?B?w5wgw7Y=?="),
            (
                "display name",
                "To: Jörg Müller <b2@bcd.com>",
                "To: =?utf-8?B?SsO2cmcgTcO8bGxlcg==?= <b2@bcd.com>",
            ),
            ("quoted name", "To: \"Müller, J\"<b2>, x1", "To: =?utf-8?B?TcO8bGxlciwgSg==?= <b2>, x1"),
            (
                "name in part",
                "From: Dr. Jörg von Groß <b2>",
                "From: Dr. =?utf-8?B?SsO2cmc=?= von =?utf-8?B?R3Jvw58=?= <b2>",
            ),
            (
                "comment",
                "Cc: b2@bcd.com (Jörg (Ä B) Ö)",
                "Cc: b2@bcd.com (=?utf-8?B?SsO2cmc=?= (=?utf-8?B?w4Q=?= B)\r\n =?utf-8?B?w5Y=?=)",
            ),
            ("group", "To: Büro: b2;", "To: =?utf-8?B?QsO8cm8=?= : b2;"),
            ("address", "To: jörg@bcd.com", "To: jörg@bcd.com"),
            (
                "file name",
                "Content-Type: x/y; name=\"ö 1.pdf\"; a=b",
                "Content-Type: x/y; name*=utf-8''%C3%B6%201.pdf; a=b",
            ),
            (
                "file name without quotes",
                "Content-Disposition: inline; filename=ö",
                "Content-Disposition: inline; filename=?",
            ),
            ("for programs", "Message-Id: <ö@bcd.com>", "Message-Id: <?@bcd.com>"),
        ] {
            assert_eq!(mended(format!("{raw}\r\n").as_bytes()), format!("{expected}\r\n"), "{caption}");
        }
        assert_eq!(mended(b"Subject: \xdcbersicht\r\n"), "Subject: =?utf-8?B?w5xiZXJzaWNodA==?=\r\n");
    }

    #[test]
    fn a_body_is_declared_by_what_is_known_of_it() {
        for (body, charset) in
            [(&b""[..], "utf-8"), ("ö".as_bytes(), "utf-8"), (b"a\xc3", "utf-8"), (b"\xf6 x", "iso-8859-1")]
        {
            assert!(declaration(body).contains(charset), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn text_reads_as_before(text in "[a-zäöü€]{1,12}( [a-zäöü€]{1,40}){0,9}") {
            let mended = mended(format!("Subject: {text}\r\n").as_bytes());
            prop_assert!(mended.is_ascii());
            let (header, _) = parse_header(mended.as_bytes()).unwrap();
            prop_assert_eq!(header.get_value(), text);
        }

        #[test]
        fn any_field_stays_one_field(
            name in "(To|Subject|Content-Type|Received)",
            body in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let body: Vec<u8> = body.into_iter().map(|b| if b"\r\n".contains(&b) { b' ' } else { b }).collect();
            let raw = [name.as_bytes(), b": ", &body, b"\r\n"].concat();
            let mended = mended(&raw);
            let section = Section::of(mended.as_bytes());
            prop_assert_eq!(section.as_bytes(), mended.as_bytes());
            prop_assert_eq!(section.fields().count(), 1);
            prop_assert!(name == "To" || mended.is_ascii());
        }
    }
}
