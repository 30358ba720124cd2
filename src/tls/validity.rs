//! Until when a certificate is valid: the one field of X.509 that rustls does not tell. Source: RFC 5280
//! §4.1, X.690 (DER). What cannot be read is no certificate; nothing here may read past its end.

use crate::time::WallTime;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The moment after which the certificate is of no use.
pub fn not_after(certificate: &[u8]) -> Option<WallTime> {
    let mut outer = Der(certificate).enter(SEQUENCE)?;
    let mut fields = outer.enter(SEQUENCE)?;
    if fields.0.first() == Some(&VERSION) {
        fields.next()?;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        fields.next()?;
    }
    let mut validity = fields.enter(SEQUENCE)?;
    validity.next()?;
    let (tag, text) = validity.next()?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ` (§4.1.2.5).
fn time(tag: u8, text: &str) -> Option<WallTime> {
    let text = match tag {
        UTC_TIME if text.as_bytes().first()? >= &b'5' => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let civil = jiff::civil::DateTime::strptime("%Y%m%d%H%M%SZ", &text).ok()?;
    let seconds = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?.as_second();
    Some(WallTime::from_unix_seconds(u64::try_from(seconds).ok()?))
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

    #[test]
    fn both_kinds_of_time_are_read() {
        for (tag, text, wanted) in [
            (UTC_TIME, "360101000000Z", Some("2036-01-01T00:00:00Z")),
            (UTC_TIME, "991231235959Z", Some("1999-12-31T23:59:59Z")),
            (GENERALIZED_TIME, "20500102030405Z", Some("2050-01-02T03:04:05Z")),
            (GENERALIZED_TIME, "2050", None),
            (4, "20500102030405Z", None),
        ] {
            assert_eq!(time(tag, text).map(|t| t.rfc3339()).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn no_cut_of_a_certificate_is_read_past_its_end() {
        let whole = crate::tls::certificate::tests::der();
        assert!(not_after(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(not_after(&whole[..end]), None, "{end}");
        }
        assert_eq!(not_after(&[SEQUENCE, 0x84, 1, 1, 1, 1]), None, "longer than any certificate");
    }
}
