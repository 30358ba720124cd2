//! What is asked and what is found: names, questions, records, answers (RFC 1035 §3).
//! Danger: a name in an answer is chosen by strangers; [`Name::to_host`] is the only way from here to a
//! host name, and the text forms hold nothing but printable ASCII.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use domain::base::iana::Rtype;
use domain::base::name::{Name as WireName, ToName};

use crate::mail::Domain;

/// Any DNS name, at most 255 bytes on the wire, in lower case. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(WireName<Arc<[u8]>>);

impl Name {
    /// Parses the usual text form, with or without a final dot. Escapes (`\.` and `\032`) are taken.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<WireName<Vec<u8>>>().ok().map(|name| Self::copy_of(&name))
    }

    /// The name of a host; `None` for an address literal and for names too long for DNS (253 bytes of text).
    pub fn of_host(host: &Domain) -> Option<Self> {
        if host.as_literal().is_some() { None } else { Self::parse(host.as_str()) }
    }

    /// The name under `in-addr.arpa` or `ip6.arpa` that holds the names of `ip` (RFC 1035 §3.5, RFC 3596 §2.5).
    pub fn reverse(ip: IpAddr) -> Self {
        let text = match ip.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(v6) => {
                let nibbles = v6.octets().into_iter().rev().flat_map(|byte| [byte & 0xF, byte >> 4]);
                nibbles.map(|n| format!("{n:x}.")).collect::<String>() + "ip6.arpa"
            }
        };
        Self::parse(&text).expect("a reverse name is well formed")
    }

    /// The address whose reverse name this is.
    pub fn reversed_address(&self) -> Option<IpAddr> {
        let text = self.to_string();
        let address: IpAddr = if let Some(v4) = text.strip_suffix(".in-addr.arpa") {
            let parts: Vec<&str> = v4.split('.').rev().collect();
            IpAddr::V4(parts.join(".").parse().ok()?)
        } else {
            let nibbles: String = text.strip_suffix(".ip6.arpa")?.split('.').rev().collect();
            let bits =
                if nibbles.len() == 32 { u128::from_str_radix(&nibbles, 16).ok()? } else { return None };
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        };
        (Self::reverse(address) == *self).then_some(address)
    }

    /// As a host name, if it is one: letters, digits and hyphens only.
    pub fn to_host(&self) -> Option<Domain> {
        Domain::host_name(&self.to_string()).ok()
    }

    pub fn is_root(&self) -> bool {
        self.0.is_root()
    }

    /// In lower case: a reply may repeat the random case of its query.
    pub(super) fn copy_of(name: &impl ToName) -> Self {
        let bytes: Arc<[u8]> = name.to_vec().as_slice().to_ascii_lowercase().into();
        Name(WireName::from_octets(bytes).expect("copied from a well-formed name"))
    }

    pub(super) fn wire(&self) -> &WireName<Arc<[u8]>> {
        &self.0
    }
}

/// Without a final dot; the root is `.`; what is not printable ASCII is escaped as `\DDD`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() { f.write_str(".") } else { self.0.fmt(f) }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The record types that the house asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    A,
    Aaaa,
    Mx,
    Ptr,
    Txt,
    Cname,
}

impl Kind {
    pub const ALL: [Kind; 6] = [Kind::A, Kind::Aaaa, Kind::Mx, Kind::Ptr, Kind::Txt, Kind::Cname];

    /// Parses the mnemonic in any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(text))
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Mx => "MX",
            Kind::Ptr => "PTR",
            Kind::Txt => "TXT",
            Kind::Cname => "CNAME",
        }
    }

    pub(crate) fn rtype(self) -> Rtype {
        match self {
            Kind::A => Rtype::A,
            Kind::Aaaa => Rtype::AAAA,
            Kind::Mx => Rtype::MX,
            Kind::Ptr => Rtype::PTR,
            Kind::Txt => Rtype::TXT,
            Kind::Cname => Rtype::CNAME,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name and the type of record that is wanted of it, in class IN.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    pub name: Name,
    pub kind: Kind,
}

impl Question {
    pub fn new(name: Name, kind: Kind) -> Self {
        Question { name, kind }
    }

    /// Parses what an operator types: a name and a type (A where none is given), or an address, which asks
    /// for its names.
    pub fn parse(name: &str, kind: Option<&str>) -> Result<Self, &'static str> {
        let kind = match kind {
            Some(text) => Some(Kind::parse(text).ok_or("the types are A, AAAA, MX, TXT, PTR and CNAME")?),
            None => None,
        };
        if let Ok(ip) = name.parse::<IpAddr>() {
            return match kind {
                None | Some(Kind::Ptr) => Ok(Question::new(Name::reverse(ip), Kind::Ptr)),
                Some(_) => Err("an address has only PTR records"),
            };
        }
        let name = Name::parse(name).ok_or("that is no DNS name")?;
        Ok(Question::new(name, kind.unwrap_or(Kind::A)))
    }
}

/// `MX xyz.com`
impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// One record's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Mx {
        preference: u16,
        exchange: Name,
    },
    Ptr(Name),
    /// The character strings of one record, joined.
    Txt(Box<[u8]>),
    Cname(Name),
}

impl Record {
    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize {
        match self {
            Record::A(_) | Record::Aaaa(_) => 0,
            Record::Mx { exchange: name, .. } | Record::Ptr(name) | Record::Cname(name) => name.0.len() + 16,
            Record::Txt(text) => text.len(),
        }
    }
}

/// As in a zone file, in printable ASCII only.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Record::A(ip) => ip.fmt(f),
            Record::Aaaa(ip) => ip.fmt(f),
            Record::Mx { preference, exchange } => write!(f, "{preference} {exchange}"),
            Record::Ptr(name) | Record::Cname(name) => name.fmt(f),
            Record::Txt(text) => write_quoted(f, text),
        }
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for &byte in text {
        match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(byte))?,
            0x20..0x7F => write!(f, "{}", char::from(byte))?,
            _ => write!(f, "\\{byte:03}")?,
        }
    }
    f.write_str("\"")
}

/// How a lookup ended, and how long that may be believed (already capped).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub found: Found,
    pub ttl: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// At least one record, all of the kind that was asked for.
    Records(Vec<Record>),
    /// The name exists, without such a record.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// Nobody could say; the text says who answered what.
    Failed(String),
}

impl Answer {
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        match &self.found {
            Found::Records(records) => {
                let inside: usize = records.iter().map(Record::heap_bytes).sum();
                inside + records.capacity() * size_of::<Record>()
            }
            Found::NoData | Found::NxDomain => 0,
            Found::Failed(why) => why.capacity(),
        }
    }
}

impl Question {
    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.name.0.len() + 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reverse_name_goes_there_and_back() {
        for (ip, name) in [
            ("203.0.113.70", "70.113.0.203.in-addr.arpa"),
            ("::ffff:10.0.0.1", "1.0.0.10.in-addr.arpa"),
            ("2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(Name::reverse(ip).to_string(), name);
            assert_eq!(Name::reverse(ip).reversed_address(), Some(ip.to_canonical()), "{ip}");
        }
        for none in ["bcd.com", "1.2.3.in-addr.arpa", "in-addr.arpa", "g.ip6.arpa", "a.1.2.3.4.in-addr.arpa"]
        {
            assert_eq!(Name::parse(none).unwrap().reversed_address(), None, "{none}");
        }
    }

    #[test]
    fn names_compare_without_case_and_print_safely() {
        assert_eq!(Name::parse("MX.Bcd.COM."), Name::parse("mx.bcd.com"));
        assert_eq!(Name::parse(".").unwrap().to_string(), ".");
        let nasty = Name::parse("a\\013\\010b\\.c.com").unwrap();
        assert_eq!(nasty.to_string(), "a\\013\\010b\\.c.com");
        assert_eq!(nasty.to_host(), None);
        assert_eq!(Name::parse("Mx_1.bcd.com").unwrap().to_host(), None);
        assert_eq!(Name::parse("Mx1.bcd.com").unwrap().to_host().unwrap().as_str(), "mx1.bcd.com");
        assert!(Name::parse(&"abc.".repeat(64)).is_none(), "257 bytes on the wire");
        assert!(Name::of_host(&Domain::parse("[192.0.2.1]").unwrap()).is_none());
    }

    #[test]
    fn an_operator_asks_for_names_types_and_addresses() {
        for (name, kind, asked) in [
            ("xyz.com", None, "A xyz.com"),
            ("xyz.com", Some("mx"), "MX xyz.com"),
            ("k._domainkey.xyz.com.", Some("TXT"), "TXT k._domainkey.xyz.com"),
            ("192.0.2.1", None, "PTR 1.2.0.192.in-addr.arpa"),
        ] {
            assert_eq!(Question::parse(name, kind).unwrap().to_string(), asked);
        }
        for (name, kind) in [("xyz.com", Some("SRV")), ("192.0.2.1", Some("A")), ("a..b", None), ("", None)] {
            assert!(Question::parse(name, kind).is_err(), "{name} {kind:?}");
        }
    }

    #[test]
    fn text_records_print_in_ascii() {
        let record = Record::Txt(b"v=\"1\" \x1b[2J\xff".as_slice().into());
        assert_eq!(record.to_string(), "\"v=\\\"1\\\" \\027[2J\\255\"");
    }
}
