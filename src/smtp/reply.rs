//! Replies: RFC 5321 §4.2, enhanced status codes of RFC 3463 and RFC 2034. Printed by the server, parsed
//! by the client. What a remote host says ends up in logs, bounces and our own replies: text loses its
//! control characters here, in the one constructor, or a CR LF in it would become a line of ours.

use std::borrow::Cow;
use std::fmt;

use crate::limits::{OWN_REPLY_LINE_BYTES_MAX, REPLY_BYTES_MAX, REPLY_LINE_BYTES_MAX, REPLY_LINES_MAX};
use crate::smtp::line::{LineBuffer, LineFault};

/// One reply, of one or more lines.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    enhanced: Option<Enhanced>,
    /// The lines, separated by `\n`; no other control character is in it.
    text: Cow<'static, str>,
}

/// An enhanced status code `class.subject.detail` (RFC 3463 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enhanced(pub u8, pub u16, pub u16);

impl Enhanced {
    /// Parses `5.7.1`; the class is 2, 4 or 5, the rest at most three digits each.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let class = match parts.next()? {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return None,
        };
        let mut number = || {
            let part = parts.next()?;
            let fits = matches!(part.len(), 1..=3) && part.bytes().all(|b| b.is_ascii_digit());
            fits.then(|| part.parse().ok()).flatten()
        };
        let parsed = Enhanced(class, number()?, number()?);
        parts.next().is_none().then_some(parsed)
    }
}

impl fmt::Display for Enhanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Reply {
    /// A reply with a code from 200 to 599. `\n` separates lines; other control characters become `?`.
    pub fn new(code: u16, enhanced: impl Into<Option<Enhanced>>, text: impl Into<Cow<'static, str>>) -> Self {
        debug_assert!((200..=599).contains(&code), "{code}");
        let text = text.into();
        let dirty = |c: char| c.is_control() && c != '\n';
        let text = if text.contains(dirty) { text.replace(dirty, "?").into() } else { text };
        Reply { code, enhanced: enhanced.into(), text }
    }

    pub fn code(&self) -> u16 {
        self.code
    }

    pub fn enhanced(&self) -> Option<Enhanced> {
        self.enhanced
    }

    /// The text of each line, without codes; at least one line, which may be empty.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// All the text, its lines separated by `\n`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// 2xx: done.
    pub fn is_success(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3xx: go on.
    pub fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 4xx: try again later.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx: never try this again.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// Appends the wire form: every line with the code and the enhanced code, ended by CRLF. Lines are cut
    /// at 500 bytes, and what is not ASCII becomes `?`.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let start = out.len();
            out.extend_from_slice(self.code.to_string().as_bytes());
            out.push(if lines.peek().is_some() { b'-' } else { b' ' });
            if let Some(enhanced) = self.enhanced {
                out.extend_from_slice(enhanced.to_string().as_bytes());
                out.push(b' ');
            }
            out.extend(line.chars().map(|c| if c.is_ascii() { c as u8 } else { b'?' }));
            out.truncate(start + OWN_REPLY_LINE_BYTES_MAX);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// In one line, as logs have it: `550 5.1.1 no such user`.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        self.lines().filter(|line| !line.is_empty()).try_for_each(|line| write!(f, " {line}"))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({self})")
    }
}

/// Collects the replies of a remote server; holds at most `REPLY_BYTES_MAX` and one line.
#[derive(Debug, Default)]
pub struct ReplyReader {
    lines: LineBuffer<REPLY_LINE_BYTES_MAX>,
    begun: Option<Begun>,
}

/// A reply whose last line has not come.
#[derive(Debug)]
struct Begun {
    code: u16,
    enhanced: Option<Enhanced>,
    text: String,
    lines: usize,
}

/// Why what a remote server says is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFault {
    Line(LineFault),
    NoCode,
    CodeChanges,
    TooManyLines,
    TooLong,
}

impl fmt::Display for ReplyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyFault::Line(fault) => write!(f, "in the reply, {fault}"),
            ReplyFault::NoCode => f.write_str("what came is no SMTP reply"),
            ReplyFault::CodeChanges => f.write_str("the lines of one reply have differing codes"),
            ReplyFault::TooManyLines => f.write_str("the reply has too many lines"),
            ReplyFault::TooLong => f.write_str("the reply is too long"),
        }
    }
}

impl ReplyReader {
    /// The next whole reply in `input`, which is moved past what was used.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Reply>, ReplyFault> {
        while let Some(line) = self.lines.next(input) {
            let line = ReplyLine::parse(line.map_err(ReplyFault::Line)?)?;
            let begun = self.begun.take();
            let begun = match begun {
                None => Begun::first(&line),
                Some(begun) => begun.with(&line)?,
            };
            if line.last {
                return Ok(Some(Reply::new(begun.code, begun.enhanced, begun.text)));
            }
            self.begun = Some(begun);
        }
        match self.lines.is_overfull() {
            true => Err(ReplyFault::Line(LineFault::TooLong)),
            false => Ok(None),
        }
    }

    /// Whether nothing of a reply is held.
    pub fn is_empty(&self) -> bool {
        self.begun.is_none() && self.lines.is_empty()
    }
}

struct ReplyLine {
    code: u16,
    last: bool,
    text: String,
}

impl ReplyLine {
    /// `CODE`, `CODE SP text` or `CODE-text`.
    fn parse(line: &[u8]) -> Result<Self, ReplyFault> {
        let (code, rest) = line.split_at_checked(3).ok_or(ReplyFault::NoCode)?;
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(ReplyFault::NoCode),
        };
        if !code.iter().all(u8::is_ascii_digit) || !matches!(code[0], b'2'..=b'5') {
            return Err(ReplyFault::NoCode);
        }
        let code = code.iter().fold(0, |n, digit| n * 10 + u16::from(digit - b'0'));
        Ok(ReplyLine { code, last, text: String::from_utf8_lossy(text).into_owned() })
    }
}

impl Begun {
    fn first(line: &ReplyLine) -> Self {
        let word = line.text.split(' ').next().unwrap_or_default();
        let enhanced = Enhanced::parse(word).filter(|e| u16::from(e.0) == line.code / 100);
        let text = without(&line.text, enhanced).to_owned();
        Begun { code: line.code, enhanced, text, lines: 1 }
    }

    fn with(mut self, line: &ReplyLine) -> Result<Self, ReplyFault> {
        if line.code != self.code {
            return Err(ReplyFault::CodeChanges);
        }
        if self.lines == REPLY_LINES_MAX {
            return Err(ReplyFault::TooManyLines);
        }
        if self.text.len() + 1 + line.text.len() > REPLY_BYTES_MAX {
            return Err(ReplyFault::TooLong);
        }
        self.text.push('\n');
        self.text.push_str(without(&line.text, self.enhanced));
        self.lines += 1;
        Ok(self)
    }
}

/// `text` without the enhanced code that the whole reply has.
fn without(text: &str, enhanced: Option<Enhanced>) -> &str {
    let Some(enhanced) = enhanced else { return text };
    match text.split_once(' ').unwrap_or((text, "")) {
        (word, rest) if Enhanced::parse(word) == Some(enhanced) => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.write_to(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// The one reply that `text` is.
    fn read(mut text: &[u8]) -> Result<Option<Reply>, ReplyFault> {
        let mut reader = ReplyReader::default();
        let reply = reader.next(&mut text)?;
        assert!(text.is_empty() && (reply.is_none() || reader.is_empty()));
        Ok(reply)
    }

    #[test]
    fn replies_are_written_line_by_line() {
        let reply = Reply::new(550, Enhanced(5, 1, 1), "no\nsuch\nuser");
        assert_eq!(wire(&reply), "550-5.1.1 no\r\n550-5.1.1 such\r\n550 5.1.1 user\r\n");
        assert_eq!(reply.to_string(), "550 5.1.1 no such user");
        assert_eq!(wire(&Reply::new(220, None, "")), "220 \r\n");
        assert_eq!(wire(&Reply::new(250, None, "a\r\u{85}é\0")), "250 a????\r\n");
        assert_eq!(wire(&Reply::new(250, None, "x".repeat(9999))).len(), OWN_REPLY_LINE_BYTES_MAX + 2);
    }

    #[test]
    fn replies_are_read() {
        for (text, code, enhanced, lines) in [
            ("250\r\n", 250, None, vec![""]),
            ("250 \r\n", 250, None, vec![""]),
            ("250 2.1.0 ok\r\n", 250, Some(Enhanced(2, 1, 0)), vec!["ok"]),
            ("550-5.1.1 no\r\n550 5.1.1 user\r\n", 550, Some(Enhanced(5, 1, 1)), vec!["no", "user"]),
            ("550-5.1.1 no\r\n550 user\r\n", 550, Some(Enhanced(5, 1, 1)), vec!["no", "user"]),
            ("550 4.1.1 x\r\n", 550, None, vec!["4.1.1 x"]),
            ("550 5.1.1000 x\r\n", 550, None, vec!["5.1.1000 x"]),
            ("550 5.1 x\r\n", 550, None, vec!["5.1 x"]),
            ("451 4.7.30\r\n", 451, Some(Enhanced(4, 7, 30)), vec![""]),
        ] {
            let reply = read(text.as_bytes()).unwrap().unwrap();
            assert_eq!((reply.code(), reply.enhanced()), (code, enhanced), "{text:?}");
            assert_eq!(reply.lines().collect::<Vec<_>>(), lines, "{text:?}");
        }
    }

    #[test]
    fn a_reply_has_a_class() {
        let class = |code| {
            let reply = Reply::new(code, None, "");
            [reply.is_success(), reply.is_intermediate(), reply.is_transient(), reply.is_permanent()]
        };
        assert_eq!(class(250), [true, false, false, false]);
        assert_eq!(class(354), [false, true, false, false]);
        assert_eq!(class(421), [false, false, true, false]);
        assert_eq!(class(599), [false, false, false, true]);
    }
}
