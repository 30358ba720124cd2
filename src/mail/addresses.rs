//! Addresses inside header fields (RFC 5322 §3.4): completing unqualified ones, and reading recipients for
//! `sendmail -t`. Completing only inserts `@bcd.com`; every byte that was there stays where it was.
//! Danger: a wrong insertion makes another address of it, so what is not clearly an address is left alone.

use std::fmt;
use std::ops::Range;

use crate::limits::RECIPIENTS_MAX;
use crate::mail::address::is_atext;
use crate::mail::headers::{Field, Section};
use crate::mail::{Address, Domain};

/// Fields that hold addresses, each also as `Resent-...` (RFC 5322 §3.6.2, §3.6.3, §3.6.6, RFC 8098 §2.1).
const ADDRESS_FIELDS: [&str; 8] =
    ["From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Disposition-Notification-To", "Errors-To"];
/// Fields that `sendmail -t` takes recipients from.
const RECIPIENT_FIELDS: [&str; 3] = ["To", "Cc", "Bcc"];

/// Whether a field's addresses are completed.
pub fn holds_addresses(field: &Field<'_>) -> bool {
    ADDRESS_FIELDS.iter().any(|name| is_field_or_resent(field, name))
}

/// Whether this is `Bcc` or `Resent-Bcc`.
pub fn is_blind(field: &Field<'_>) -> bool {
    is_field_or_resent(field, "Bcc")
}

fn is_field_or_resent(field: &Field<'_>, name: &str) -> bool {
    field.is_named(name)
        || without_resent(field).is_some_and(|rest| rest.eq_ignore_ascii_case(name.as_bytes()))
}

fn without_resent<'a>(field: &Field<'a>) -> Option<&'a [u8]> {
    let (resent, rest) = field.name.split_at_checked("Resent-".len())?;
    resent.eq_ignore_ascii_case(b"Resent-").then_some(rest)
}

/// Where in the body of an address field `@domain` belongs, in rising order. Empty when the list cannot be
/// read as a whole: then nothing in it is touched.
pub fn places_to_complete(body: &[u8]) -> Vec<usize> {
    let places = AddrSpecs::of(body).filter_map(|spec| match spec {
        Ok(spec) => place_to_complete(body, spec).map(Ok),
        Err(error) => Some(Err(error)),
    });
    places.collect::<Result<_, _>>().unwrap_or_default()
}

/// The end of an address that is a local part and nothing more: atoms, or one quoted string without
/// blanks, joined by dots. `a!b` and `a%b` already name a host in the older ways and stay as they are.
fn place_to_complete(body: &[u8], spec: Range<usize>) -> Option<usize> {
    let mut end = None;
    let mut word_expected = true;
    for token in Lexer::new(body, spec) {
        let token = token.ok()?;
        let text = &body[token.range.clone()];
        match token.kind {
            Kind::Atom if word_expected && is_plain_atom(text) => {}
            Kind::Quoted if word_expected && !text.iter().any(u8::is_ascii_whitespace) => {}
            Kind::Special(b'.') if !word_expected => {}
            _ => return None,
        }
        word_expected = !word_expected;
        end = Some(token.range.end);
    }
    end.filter(|_| !word_expected)
}

fn is_plain_atom(atom: &[u8]) -> bool {
    let encoded_word = atom.starts_with(b"=?") && atom.ends_with(b"?=");
    !encoded_word && atom.iter().all(|b| !b.is_ascii() || (is_atext(char::from(*b)) && !b"!%".contains(b)))
}

/// Why `sendmail -t` cannot take its recipients from a header section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientsError {
    /// A field's list cannot be read: an open quote, comment or angle bracket, or a colon or angle bracket
    /// too many.
    Unreadable { field: String, what: &'static str },
    /// An entry is no address.
    NoAddress { field: String, text: String, what: &'static str },
    /// More than [`RECIPIENTS_MAX`].
    TooMany,
}

impl fmt::Display for RecipientsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecipientsError::Unreadable { field, what } => write!(f, "{field}: {what}"),
            RecipientsError::NoAddress { field, text, what } => write!(f, "{field}: {text:?}: {what}"),
            RecipientsError::TooMany => write!(f, "more than {RECIPIENTS_MAX} recipients"),
        }
    }
}

impl std::error::Error for RecipientsError {}

/// The recipients named in To, Cc and Bcc, or, when the message is resent, in Resent-To, Resent-Cc and
/// Resent-Bcc alone (RFC 5322 §3.6.6). Unqualified addresses are in `domain`; an address that stands
/// there twice is taken once.
pub fn recipients(section: &Section<'_>, domain: &Domain) -> Result<Vec<Address>, RecipientsError> {
    let is_resent_recipient =
        |f: &Field<'_>| without_resent(f).is_some_and(|rest| is_one_of(rest, &RECIPIENT_FIELDS));
    let resent = section.fields().any(|field| is_resent_recipient(&field));
    let mut found = Vec::new();
    for field in section.fields() {
        let wanted =
            if resent { is_resent_recipient(&field) } else { is_one_of(field.name, &RECIPIENT_FIELDS) };
        if wanted {
            recipients_of_field(&field, domain, &mut found)?;
        }
    }
    Ok(found)
}

/// The first address in From: whose message it is where the envelope does not say (`sendmail` without `-f`).
/// `None` when there is no From, or no address in it that can be read.
pub fn author(section: &Section<'_>, domain: &Domain) -> Option<Address> {
    let from = section.find("From")?;
    let spec = AddrSpecs::of(from.body()).next()?.ok()?;
    parse_address(&address_text(from.body(), spec), domain).ok()
}

/// Whether there is one From field and every address in it is of `domain`: only then does the message speak
/// for that domain.
pub fn is_from(section: &Section<'_>, domain: &Domain) -> bool {
    let Some(from) = section.find("From").filter(|_| section.count("From") == 1) else { return false };
    let is_of_domain = |spec: Result<Range<usize>, Unreadable>| {
        let address = spec.ok().map(|spec| Address::parse(&address_text(from.body(), spec)));
        address.is_some_and(|address| address.is_ok_and(|a| a.domain == *domain))
    };
    let mut specs = AddrSpecs::of(from.body()).peekable();
    specs.peek().is_some() && specs.all(is_of_domain)
}

fn is_one_of(name: &[u8], names: &[&str]) -> bool {
    names.iter().any(|one| name.eq_ignore_ascii_case(one.as_bytes()))
}

fn recipients_of_field(
    field: &Field<'_>,
    domain: &Domain,
    found: &mut Vec<Address>,
) -> Result<(), RecipientsError> {
    let name = || String::from_utf8_lossy(field.name).into_owned();
    let body = field.body();
    for spec in AddrSpecs::of(body) {
        let spec = spec.map_err(|Unreadable(what)| RecipientsError::Unreadable { field: name(), what })?;
        let text = address_text(body, spec);
        let address = parse_address(&text, domain).map_err(|what| RecipientsError::NoAddress {
            field: name(),
            text: text.chars().take(100).collect(),
            what,
        })?;
        if !found.contains(&address) {
            found.push(address);
        }
        if found.len() > RECIPIENTS_MAX {
            return Err(RecipientsError::TooMany);
        }
    }
    Ok(())
}

/// The tokens of an address without comments and folds; two words in a row are kept apart by a blank, so
/// that `Bob Smith` does not become one.
fn address_text(body: &[u8], spec: Range<usize>) -> String {
    let mut text = Vec::with_capacity(spec.len());
    let mut after_word = false;
    for token in Lexer::new(body, spec).flatten() {
        let word = !matches!(token.kind, Kind::Special(_));
        if word && after_word {
            text.push(b' ');
        }
        text.extend_from_slice(&body[token.range]);
        after_word = word;
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Takes `x1@xyz.com.` with its final dot, a source route before the address, and a local part alone.
fn parse_address(text: &str, domain: &Domain) -> Result<Address, &'static str> {
    let text = match text.strip_prefix('@').and_then(|route| route.split_once(':')) {
        Some((_, address)) => address,
        None => text,
    };
    let text = text.strip_suffix('.').filter(|rest| rest.contains('@')).unwrap_or(text);
    let parsed = match Address::parse(text) {
        Err(_) if !text.contains('@') => Address::parse(&format!("{text}@{domain}")),
        parsed => parsed,
    };
    parsed.map_err(|error| error.0)
}

/// A list that cannot be read, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) &'static str);

/// Where each address of an address list stands, without display name, angle brackets and group names.
/// Ends after the first error.
pub(super) struct AddrSpecs<'a> {
    lexer: Lexer<'a>,
    failed: bool,
}

/// One entry of the list while it is read.
#[derive(Default)]
struct Entry {
    /// The tokens outside of angle brackets.
    plain: Option<Range<usize>>,
    /// What stands between the angle brackets.
    angle: Option<Range<usize>>,
    in_angle: bool,
}

impl<'a> AddrSpecs<'a> {
    pub(super) fn of(body: &'a [u8]) -> Self {
        AddrSpecs { lexer: Lexer::new(body, 0..body.len()), failed: false }
    }

    fn next_entry(&mut self) -> Result<Option<Range<usize>>, Unreadable> {
        let mut entry = Entry::default();
        loop {
            let Some(token) = self.lexer.next().transpose()? else {
                return entry.finish();
            };
            match token.kind {
                Kind::Special(b',' | b';') if !entry.in_angle => {
                    if let Some(spec) = entry.finish()? {
                        return Ok(Some(spec));
                    }
                    entry = Entry::default();
                }
                _ => entry.take(token)?,
            }
        }
    }
}

impl Iterator for AddrSpecs<'_> {
    type Item = Result<Range<usize>, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let entry = self.next_entry();
        self.failed = entry.is_err();
        entry.transpose()
    }
}

impl Entry {
    fn take(&mut self, token: Token) -> Result<(), Unreadable> {
        match token.kind {
            Kind::Special(b'<') if self.in_angle || self.angle.is_some() => {
                return Err(Unreadable("an angle bracket too many"));
            }
            Kind::Special(b'<') => {
                self.in_angle = true;
                self.angle = Some(token.range.end..token.range.end);
            }
            Kind::Special(b'>') if !self.in_angle => return Err(Unreadable("an angle bracket too many")),
            Kind::Special(b'>') => self.in_angle = false,
            Kind::Special(b':') if !self.in_angle && self.angle.is_none() => self.plain = None,
            Kind::Special(b':') if !self.in_angle => return Err(Unreadable("a colon too many")),
            _ if self.in_angle => self.angle = self.angle.as_ref().map(|angle| angle.start..token.range.end),
            _ => {
                let start = self.plain.as_ref().map_or(token.range.start, |plain| plain.start);
                self.plain = Some(start..token.range.end);
            }
        }
        Ok(())
    }

    /// The address, if the entry has one; `<>` has none.
    fn finish(&mut self) -> Result<Option<Range<usize>>, Unreadable> {
        if self.in_angle {
            return Err(Unreadable("an angle bracket is not closed"));
        }
        Ok(self.angle.take().or(self.plain.take()).filter(|spec| !spec.is_empty()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Atom,
    Quoted,
    /// `[192.0.2.1]`
    Literal,
    /// One of `<>@,;:.` or a bracket that stands alone.
    Special(u8),
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
}

/// Tokens of RFC 5322 §3.2; comments, blanks and folds are skipped.
pub(super) struct Lexer<'a> {
    body: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Lexer<'a> {
    /// The tokens within `range` of `body`.
    pub(super) fn new(body: &'a [u8], range: Range<usize>) -> Self {
        Lexer { body, at: range.start, end: range.end }
    }

    fn rest(&self) -> &'a [u8] {
        &self.body[self.at..self.end]
    }

    fn skip_blanks_and_comments(&mut self) -> Result<(), Unreadable> {
        loop {
            match self.rest().first() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(b'(') => {
                    self.at += comment_len(self.rest()).ok_or(Unreadable("a comment is not closed"))?;
                }
                _ => return Ok(()),
            }
        }
    }

    fn token(&mut self) -> Result<Option<Token>, Unreadable> {
        self.skip_blanks_and_comments()?;
        let rest = self.rest();
        let Some(first) = rest.first() else {
            return Ok(None);
        };
        let (kind, len) = match first {
            b'"' => (Kind::Quoted, quoted_len(rest, b'"').ok_or(Unreadable("a quote is not closed"))?),
            b'[' => {
                (Kind::Literal, quoted_len(rest, b']').ok_or(Unreadable("an address literal is not closed"))?)
            }
            special if is_special(*special) => (Kind::Special(*special), 1),
            _ => (Kind::Atom, rest.iter().position(|b| ends_atom(*b)).unwrap_or(rest.len())),
        };
        let start = self.at;
        self.at += len;
        Ok(Some(Token { kind, range: start..self.at }))
    }
}

impl Iterator for Lexer<'_> {
    type Item = Result<Token, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        self.token().transpose()
    }
}

fn is_special(b: u8) -> bool {
    b"<>@,;:.])".contains(&b)
}

fn ends_atom(b: u8) -> bool {
    is_special(b) || b"\"[( \t\r\n".contains(&b)
}

/// The length of a quoted string or literal at the start of `bytes`, with its delimiters.
fn quoted_len(bytes: &[u8], close: u8) -> Option<usize> {
    let mut escaped = true; // the opening delimiter closes nothing
    for (at, b) in bytes.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b if *b == close => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The length of the comment at the start of `bytes`; comments nest.
fn comment_len(bytes: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut escaped = false;
    for (at, b) in bytes.iter().enumerate() {
        match b {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests;
