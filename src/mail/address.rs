//! Addresses and paths of RFC 5321 §4.1.2, parsed once at the edge; past this file nobody handles a domain
//! as `&str`. Two spellings of one address must never compare unequal here (`"b1"@BCD.com` is
//! `b1@bcd.com`), or a relay rule could be walked around.

use std::borrow::Borrow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::limits::{DOMAIN_BYTES_MAX, LOCAL_PART_BYTES_MAX};
use crate::mail::idn;

/// Why a text is no address; the text says what is wrong, ready for a reply or a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressError(pub &'static str);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for AddressError {}

/// A mail domain: a host name in lower case and A-labels without a final dot, or an address literal such as
/// `[192.0.2.1]` or `[IPv6:2001:db8::1]` in its one canonical spelling. At most 255 bytes. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Arc<str>);

impl Domain {
    /// Parses a host name or an address literal.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix('[') {
            Some(rest) => {
                let inside = rest.strip_suffix(']').ok_or(AddressError("an address literal ends with ]"))?;
                parse_literal(inside).map(Self::literal)
            }
            None => Self::host_name(text),
        }
    }

    /// Parses a host name only: labels of letters, digits and inner hyphens, each at most 63 bytes
    /// (RFC 1123 §2.1); the last label is not all digits, so that no IPv4 address passes for a name. Labels
    /// beyond ASCII are U-labels and become A-labels (RFC 5890 §2.3.2.1).
    pub fn host_name(text: &str) -> Result<Self, AddressError> {
        if !text.is_ascii() && text.len() <= DOMAIN_BYTES_MAX {
            let ascii = idn::to_ascii(text).ok_or(AddressError("the domain is no host name"))?;
            return Self::host_name(&ascii);
        }
        if text.is_empty() {
            return Err(AddressError("the domain is missing"));
        }
        if text.len() > DOMAIN_BYTES_MAX {
            return Err(AddressError("the domain is longer than 255 bytes"));
        }
        for label in text.split('.') {
            let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if label.is_empty()
                || label.len() > 63
                || !inner
                || label.starts_with('-')
                || label.ends_with('-')
            {
                return Err(AddressError("the domain is no host name"));
            }
        }
        let last = text.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(AddressError("the domain ends in a number"));
        }
        Ok(Domain(text.to_ascii_lowercase().into()))
    }

    /// The address literal of `ip` (RFC 5321 §4.1.3).
    pub fn literal(ip: IpAddr) -> Self {
        Domain(match ip {
            IpAddr::V4(v4) => format!("[{v4}]").into(),
            IpAddr::V6(v6) => format!("[IPv6:{v6}]").into(),
        })
    }

    /// The address, when this is an address literal.
    pub fn as_literal(&self) -> Option<IpAddr> {
        parse_literal(self.0.strip_prefix('[')?.strip_suffix(']')?).ok()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The inside of an address literal.
fn parse_literal(inside: &str) -> Result<IpAddr, AddressError> {
    let v6 = inside.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:")).map(|_| &inside[5..]);
    let parsed = match v6 {
        Some(rest) => rest.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => inside.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    };
    parsed.ok_or(AddressError("the address literal holds no IP address"))
}

impl Borrow<str> for Domain {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The part before `@`, in its shortest spelling: a dot-string where it can be one, else a quoted string.
/// The case is kept for the wire; [`LocalPart::same_user`] compares users.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalPart(Arc<str>);

impl LocalPart {
    /// Parses a dot-string or a quoted string (RFC 5321 §4.1.2), at most 128 bytes. Bytes above 127 are
    /// taken as UTF-8 (RFC 6531 §3.3).
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let meaning = match text.strip_prefix('"') {
            Some(rest) => {
                unquote(rest.strip_suffix('"').ok_or(AddressError("the quoted local part has no end"))?)?
            }
            None if is_dot_string(text) => text.to_owned(),
            None => return Err(AddressError("the local part has characters that need quoting")),
        };
        let canonical = if is_dot_string(&meaning) { meaning } else { quote(&meaning) };
        if canonical.len() > LOCAL_PART_BYTES_MAX {
            return Err(AddressError("the local part is longer than 128 bytes"));
        }
        Ok(LocalPart(canonical.into()))
    }

    /// The user that every domain has (RFC 5321 §4.5.1).
    pub fn postmaster() -> Self {
        LocalPart("postmaster".into())
    }

    /// As it stands on the wire, with its quotes where it needs them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether both name one user of this house: case does not tell users apart here.
    pub fn same_user(&self, other: &LocalPart) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }

    /// `postmaster` in any case (RFC 5321 §4.5.1).
    pub fn is_postmaster(&self) -> bool {
        self.0.eq_ignore_ascii_case("postmaster")
    }
}

fn is_dot_string(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// `atext` of RFC 5322 §3.2.3, and all beyond ASCII but controls (RFC 6532 §3.2).
pub fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
}

fn unquote(inside: &str) -> Result<String, AddressError> {
    let mut meaning = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => chars.next().ok_or(AddressError("the quoted local part ends in a backslash"))?,
            '"' => return Err(AddressError("a quote stands inside the quoted local part")),
            c => c,
        };
        if c.is_control() {
            return Err(AddressError("the quoted local part holds a control character"));
        }
        meaning.push(c);
    }
    Ok(meaning)
}

fn quote(meaning: &str) -> String {
    let mut quoted = String::with_capacity(meaning.len() + 2);
    quoted.push('"');
    for c in meaning.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

impl fmt::Display for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A mailbox of RFC 5321: `LOCALPART@DOMAIN`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    pub local: LocalPart,
    pub domain: Domain,
}

impl Address {
    pub fn new(local: LocalPart, domain: Domain) -> Self {
        Address { local, domain }
    }

    /// Parses `LOCALPART@DOMAIN` without angle brackets and without a source route.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError("the address has no @"))?;
        Ok(Address { local: LocalPart::parse(local)?, domain: Domain::parse(domain)? })
    }

    /// Whether both reach one user of this house.
    pub fn same_user(&self, other: &Address) -> bool {
        self.domain == other.domain && self.local.same_user(&other.local)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Where a bounce goes: an address, or the null path `<>` of messages that must never cause one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    Null,
    Address(Address),
}

impl ReversePath {
    pub fn address(&self) -> Option<&Address> {
        match self {
            ReversePath::Null => None,
            ReversePath::Address(address) => Some(address),
        }
    }
}

/// Without angle brackets; the null path is the empty text.
impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => Ok(()),
            ReversePath::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_spelling() {
        let plain = Address::parse("b1@bcd.com").unwrap();
        for other in ["\"b1\"@BCD.com", "\"\\b\\1\"@bcd.COM"] {
            assert_eq!(Address::parse(other).unwrap(), plain, "{other}");
        }
        let beyond = Address::parse("jörg@BÜCHER.example").unwrap();
        assert_eq!(beyond, Address::parse("jörg@xn--bcher-kva.example").unwrap());
        assert_eq!(beyond.to_string(), "jörg@xn--bcher-kva.example");
        let quoted = Address::parse("\"a b@xyz.com\"@bcd.com").unwrap();
        assert_eq!(quoted.domain.as_str(), "bcd.com");
        assert_eq!(quoted.to_string(), "\"a b@xyz.com\"@bcd.com");
    }

    #[test]
    fn literals_are_canonical() {
        for (text, canonical) in
            [("[192.0.2.1]", "[192.0.2.1]"), ("[ipv6:2001:DB8:0::1]", "[IPv6:2001:db8::1]")]
        {
            let domain = Domain::parse(text).unwrap();
            assert_eq!(domain.as_str(), canonical);
            assert!(domain.as_literal().is_some());
        }
        assert_eq!(Domain::parse("bcd.com").unwrap().as_literal(), None);
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        for bad in [
            "",
            "b1",
            "@bcd.com",
            "b1@",
            "b1@bcd..com",
            "b1@-bcd.com",
            "b1@bcd.com.",
            "b1@10.0.0.1",
            "b..1@bcd.com",
            "b 1@bcd.com",
            "\"b1@bcd.com",
            "\"b\"1\"@bcd.com",
            "b1@[10.0.0]",
            "b1@[::1]",
            "b1@bcd.com\r\n",
            "\"\r\"@x.y",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
        let long = format!("{}@bcd.com", "x".repeat(129));
        assert_eq!(Address::parse(&long), Err(AddressError("the local part is longer than 128 bytes")));
    }
}
