//! What a server offers in its reply to EHLO (RFC 5321 §4.1.1.1). Unknown keywords are passed over; a
//! malformed one counts as not offered, so that nothing is sent which the server did not ask for.

use crate::smtp::reply::Reply;

/// The extensions that this client knows and the server offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 1870: the largest message in bytes; 0 is no fixed bound.
    pub size: Option<u64>,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 8689.
    pub require_tls: bool,
}

impl Extensions {
    /// Reads the lines after the first of a reply to EHLO.
    pub fn parse(reply: &Reply) -> Self {
        let mut offered = Extensions::default();
        for line in reply.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            let keyword = words.next().unwrap_or_default().to_ascii_uppercase();
            match keyword.as_str() {
                "PIPELINING" => offered.pipelining = true,
                "SIZE" => offered.size = words.next().map_or(Some(0), |number| number.parse().ok()),
                "8BITMIME" => offered.eight_bit_mime = true,
                "DSN" => offered.dsn = true,
                "SMTPUTF8" => offered.smtputf8 = true,
                "REQUIRETLS" => offered.require_tls = true,
                _ => {}
            }
        }
        offered
    }

    /// Whether a message of `bytes` is more than the server takes.
    pub fn refuses_size(&self, bytes: u64) -> bool {
        self.size.is_some_and(|max| max != 0 && bytes > max)
    }
}
