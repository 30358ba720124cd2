//! What rustls does not tell of a certificate: whose it is, until when, and whether it is an authority's.
//! Source: RFC 5280 §4.1, §4.2.1.9, X.690 (DER). What cannot be read is no certificate; nothing here may read
//! past its end.

use crate::mail::words::one_line;
use crate::time::WallTime;

const BOOLEAN: u8 = 0x01;
const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
/// Of the parts of a name (§4.1.2.4), those that people know it by.
const NAMES: [(&[u8], &str); 3] = [(&[0x55, 4, 3], "CN"), (&[0x55, 4, 11], "OU"), (&[0x55, 4, 10], "O")];
/// A name's text is cut off here: it is foreign, and goes to a console.
const NAME_CHARS_MAX: usize = 200;

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// As `CN=Example CA, O=Example`; empty where it has no such parts.
    pub subject: String,
    /// Before this moment the certificate is of no use yet.
    pub not_before: WallTime,
    /// The moment after which the certificate is of no use.
    pub not_after: WallTime,
    /// Whether others may be signed by it: CA is set, or the certificate is older than that mark (version 1).
    pub is_authority: bool,
}

impl Facts {
    /// Reads a certificate in DER.
    pub fn of(certificate: &[u8]) -> Option<Facts> {
        let mut fields = Fields::of(certificate)?;
        let mut validity = Der(fields.validity);
        let mut moment = || {
            let (tag, text) = validity.next()?;
            time(tag, std::str::from_utf8(text).ok()?)
        };
        let (not_before, not_after) = (moment()?, moment()?);
        let subject = subject(Der(fields.subject));
        // The public key.
        fields.rest.next()?;
        let is_authority = !fields.has_version || has_authority_mark(fields.rest);
        Some(Facts { subject, not_before, not_after, is_authority })
    }
}

/// Who signed a certificate and whose it is, in DER: one is above another when it is the other's issuer.
pub fn issuer_and_subject(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    Fields::of(certificate).map(|fields| (fields.issuer, fields.subject))
}

/// The parts of a certificate, up to its public key.
struct Fields<'a> {
    has_version: bool,
    issuer: &'a [u8],
    validity: &'a [u8],
    subject: &'a [u8],
    /// From the public key on.
    rest: Der<'a>,
}

impl<'a> Fields<'a> {
    fn of(certificate: &'a [u8]) -> Option<Self> {
        let mut rest = Der(certificate).enter(SEQUENCE)?.enter(SEQUENCE)?;
        let has_version = rest.0.first() == Some(&VERSION);
        if has_version {
            rest.next()?;
        }
        // Serial number, algorithm.
        for _ in 0..2 {
            rest.next()?;
        }
        let (issuer, validity) = (rest.enter(SEQUENCE)?.0, rest.enter(SEQUENCE)?.0);
        let subject = rest.enter(SEQUENCE)?.0;
        Some(Fields { has_version, issuer, validity, subject, rest })
    }
}

fn subject(mut parts: Der<'_>) -> String {
    let mut told = Vec::new();
    while let Some(mut part) = parts.enter(SET).and_then(|mut set| set.enter(SEQUENCE)) {
        let (Some((OID, kind)), Some((tag, text))) = (part.next(), part.next()) else { break };
        let known = NAMES.iter().find(|(oid, _)| *oid == kind);
        if let (Some((_, kind)), UTF8_STRING | PRINTABLE_STRING | IA5_STRING) = (known, tag) {
            told.push(format!("{kind}={}", String::from_utf8_lossy(text)));
        }
    }
    // The name comes last, and is what its owner looks for first.
    told.reverse();
    one_line(&told.join(", "), NAME_CHARS_MAX)
}

/// Looks for basic constraints with CA set in what follows the public key.
fn has_authority_mark(mut fields: Der<'_>) -> bool {
    let mut found = std::iter::from_fn(|| fields.next());
    let Some((_, content)) = found.find(|(tag, _)| *tag == EXTENSIONS) else { return false };
    let Some(mut extensions) = Der(content).enter(SEQUENCE) else { return false };
    while let Some(mut extension) = extensions.enter(SEQUENCE) {
        if extension.next() != Some((OID, BASIC_CONSTRAINTS)) {
            continue;
        }
        let value = std::iter::from_fn(|| extension.next()).last();
        let mut constraints = value.and_then(|(_, value)| Der(value).enter(SEQUENCE));
        return constraints.as_mut().and_then(Der::next) == Some((BOOLEAN, &[0xff]));
    }
    false
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ` (§4.1.2.5).
fn time(tag: u8, text: &str) -> Option<WallTime> {
    let text = text.strip_suffix('Z')?;
    let digits = match tag {
        UTC_TIME if text.as_bytes().first()? >= &b'5' => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    // What is before our time is its beginning.
    let is_early = digits.len() == 14 && digits.bytes().all(|b| b.is_ascii_digit()) && *digits < *"1970";
    if is_early { Some(WallTime::default()) } else { WallTime::parse_digits(&digits) }
}

/// Elements of DER, one after another.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The next element's tag and content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                (digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn enter(&mut self, tag: u8) -> Option<Der<'a>> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| Der(content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::{authority_der, der};

    #[test]
    fn both_kinds_of_time_are_read() {
        for (tag, text, wanted) in [
            (UTC_TIME, "360101000000Z", Some("2036-01-01T00:00:00Z")),
            (UTC_TIME, "991231235959Z", Some("1999-12-31T23:59:59Z")),
            (UTC_TIME, "500101000000Z", Some("1970-01-01T00:00:00Z")),
            (UTC_TIME, "5x0101000000Z", None),
            (GENERALIZED_TIME, "20500102030405Z", Some("2050-01-02T03:04:05Z")),
            (GENERALIZED_TIME, "2050", None),
            (4, "20500102030405Z", None),
        ] {
            assert_eq!(time(tag, text).map(|t| t.rfc3339()).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn a_certificate_says_whose_it_is_and_whether_it_signs_others() {
        let facts = |der: &[u8]| Facts::of(der).map(|f| (f.subject, f.is_authority));
        assert_eq!(facts(&der()), Some(("CN=bcd.com".to_owned(), false)));
        assert_eq!(facts(&authority_der()), Some(("CN=Test CA, O=Lab [2J".to_owned(), true)));
    }

    #[test]
    fn no_cut_of_a_certificate_is_read_past_its_end() {
        for whole in [der(), authority_der()] {
            assert!(Facts::of(&whole).is_some());
            for end in 0..whole.len() {
                assert_eq!(Facts::of(&whole[..end]), None, "{end}");
            }
        }
        assert_eq!(Facts::of(&[SEQUENCE, 0x84, 1, 1, 1, 1]), None, "longer than any certificate");
    }
}
