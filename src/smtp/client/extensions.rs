//! What a server offers in its reply to EHLO (RFC 5321 §4.1.1.1). Unknown keywords are passed over; a
//! malformed one counts as not offered, so that nothing is sent which the server did not ask for.

use std::collections::BTreeSet;

use crate::mail::Recipient;
use crate::smtp::reply::Reply;
use crate::smtp::sasl::Mechanism;

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
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 8689.
    pub require_tls: bool,
    /// RFC 9422.
    pub limits: Limits,
    /// RFC 4954: the mechanisms that we know.
    pub auth: Vec<Mechanism>,
}

/// The LIMITS of RFC 9422 §4; `None`: not said. None is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Transactions on one connection.
    pub mail_max: Option<usize>,
    /// Recipients of one transaction.
    pub rcpt_max: Option<usize>,
    /// Domains among the recipients on one connection.
    pub rcpt_domain_max: Option<usize>,
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
                "STARTTLS" => offered.starttls = true,
                "REQUIRETLS" => offered.require_tls = true,
                "AUTH" => offered.auth = words.filter_map(Mechanism::parse).collect(),
                "LIMITS" => offered.limits = Limits::parse(words),
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

impl Limits {
    fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut limits = Limits::default();
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let digits = (1..=6).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
            let value = value.parse().ok().filter(|n| digits && *n != 0);
            match name.to_ascii_uppercase().as_str() {
                "MAILMAX" => limits.mail_max = value,
                "RCPTMAX" => limits.rcpt_max = value,
                "RCPTDOMAINMAX" => limits.rcpt_domain_max = value,
                _ => {}
            }
        }
        limits
    }

    /// For each recipient in turn whether it may be named in one transaction with those before it.
    pub(super) fn fitting<'r>(&self, recipients: impl Iterator<Item = &'r Recipient>) -> Vec<bool> {
        let rcpt_max = self.rcpt_max.unwrap_or(usize::MAX);
        let domains_max = self.rcpt_domain_max.unwrap_or(usize::MAX);
        let (mut named, mut domains) = (0, BTreeSet::new());
        let fits = |recipient: &Recipient| {
            let domain = &recipient.address.domain;
            let fits = named < rcpt_max && (domains.len() < domains_max || domains.contains(domain));
            if fits {
                named += 1;
                domains.insert(domain.clone());
            }
            fits
        };
        recipients.map(fits).collect()
    }
}
