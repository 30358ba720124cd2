//! The trace line that every host puts on top of a message: `Received:` of RFC 5321 §4.4, Figure 2D.
//! The claimed name and the user's name come from outside: only harmless bytes of them are written, and
//! never more than a domain name's length. Nothing here may break out of its field.

use std::fmt::{self, Write};
use std::net::IpAddr;

use crate::limits::DOMAIN_BYTES_MAX;
use crate::mail::{Address, Domain, QueueId};
use crate::time::WallTime;

/// A line of a header section should not be longer, without its CRLF (RFC 5322 §2.1.1).
const LINE_CHARS_WANTED: usize = 78;

/// What is known of a message's last step.
#[derive(Clone, Debug)]
pub struct Trace<'a> {
    /// The name under which the message was taken: of the domain, or of the box.
    pub our_name: &'a Domain,
    pub id: QueueId,
    pub now: WallTime,
    pub submitter: Submitter<'a>,
    /// The only recipient; `None` where there are several, whose names are nobody's business (§7.6).
    pub recipient_for: Option<&'a Address>,
}

/// Who handed the message in.
#[derive(Clone, Copy, Debug)]
pub enum Submitter<'a> {
    Smtp {
        /// The name in EHLO or HELO, as it came; may be empty.
        claimed: &'a str,
        /// The name of `ip`, confirmed forward and back.
        verified: Option<&'a Domain>,
        ip: IpAddr,
        protocol: Protocol<'a>,
    },
    /// A user of this machine, through `sendmail` or the console.
    Local { user: &'a str },
}

/// What the session spoke; gives the keyword after `with` (RFC 3848, RFC 6531 §4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocol<'a> {
    /// EHLO was said, not HELO.
    pub extended: bool,
    /// The session's cipher suite under TLS (RFC 8314 §4.3).
    pub tls: Option<&'a str>,
    pub authenticated: bool,
    /// The transaction used SMTPUTF8.
    pub utf8: bool,
}

impl fmt::Display for Protocol<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.utf8, self.extended) {
            (true, _) => "UTF8SMTP",
            (false, true) => "ESMTP",
            (false, false) => return f.write_str("SMTP"),
        })?;
        f.write_str(if self.tls.is_some() { "S" } else { "" })?;
        f.write_str(if self.authenticated { "A" } else { "" })
    }
}

/// The `Received:` field with its final CRLF.
pub fn received_field(trace: &Trace<'_>) -> String {
    let mut field = String::with_capacity(256);
    write_received(&mut field, trace).expect("a String takes all that is written");
    field
}

fn write_received(out: &mut String, trace: &Trace<'_>) -> fmt::Result {
    let Trace { our_name, id, .. } = trace;
    let mut tls = None;
    let mut utf8 = true;
    match trace.submitter {
        Submitter::Local { user } => {
            write!(out, "Received: by {our_name} (Stagepost, from user {}) id {id}", Harmless(user))?;
        }
        Submitter::Smtp { claimed, verified, ip, protocol } => {
            (tls, utf8) = (protocol.tls, protocol.utf8);
            write_from(out, claimed, verified, ip)?;
            write!(out, "\r\n\tby {our_name} (Stagepost) with {protocol} id {id}")?;
        }
    }
    match trace.recipient_for {
        Some(address) if utf8 || address.to_string().is_ascii() => write!(out, "\r\n\tfor <{address}>")?,
        _ => {}
    }
    if let Some(cipher) = tls {
        write!(out, "\r\n\ttls {}", Harmless(cipher))?;
    }
    write!(out, ";\r\n\t{}\r\n", trace.now.rfc5322())
}

/// `from CLAIMED (VERIFIED [IP])`, on one line where that fits.
fn write_from(out: &mut String, claimed: &str, verified: Option<&Domain>, ip: IpAddr) -> fmt::Result {
    let literal = Domain::literal(ip.to_canonical());
    let tcp_info = match verified {
        Some(name) => format!("({name} {literal})"),
        None => format!("({literal})"),
    };
    let claimed = if claimed.is_empty() { literal.as_str() } else { claimed };
    write!(out, "Received: from {}", Harmless(claimed))?;
    let fits = out.len() + 1 + tcp_info.len() <= LINE_CHARS_WANTED;
    write!(out, "{}{tcp_info}", if fits { " " } else { "\r\n\t" })
}

/// A foreign text with `?` for all that could end a word, a comment or a line; cut at 255 characters.
struct Harmless<'a>(&'a str);

impl fmt::Display for Harmless<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().take(DOMAIN_BYTES_MAX).try_for_each(|c| {
            let harmless = c.is_ascii_alphanumeric() || ".-_:[]+@".contains(c);
            f.write_char(if harmless { c } else { '?' })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(claimed: &str, verified: Option<&str>, ip: &str, protocol: Protocol<'_>) -> String {
        let (ours, verified) =
            (Domain::parse("bcd.com").unwrap(), verified.map(|v| Domain::parse(v).unwrap()));
        let submitter =
            Submitter::Smtp { claimed, verified: verified.as_ref(), ip: ip.parse().unwrap(), protocol };
        let now = WallTime::from_unix_seconds(975_320_506);
        let id = QueueId::from_u64(1).unwrap();
        received_field(&Trace { our_name: &ours, id, now, submitter, recipient_for: None })
    }

    const ESMTP: Protocol<'_> = Protocol { extended: true, tls: None, authenticated: false, utf8: false };

    #[test]
    fn the_client_is_named_as_it_is_known() {
        let rest =
            "\r\n\tby bcd.com (Stagepost) with ESMTP id 0000000001;\r\n\tMon, 27 Nov 2000 10:21:46 +0000\r\n";
        for (caption, claimed, verified, ip, from) in [
            ("names differ", "bcd.com", Some("abc.com"), "216.122.95.1", "bcd.com (abc.com [216.122.95.1])"),
            ("no name known", "bcd.com", None, "216.122.95.1", "bcd.com ([216.122.95.1])"),
            ("IPv6", "bcd.com", None, "2001:db8::1", "bcd.com ([IPv6:2001:db8::1])"),
            ("IPv4 in IPv6", "bcd.com", None, "::ffff:192.0.2.1", "bcd.com ([192.0.2.1])"),
            ("empty HELO", "", None, "192.0.2.1", "[192.0.2.1] ([192.0.2.1])"),
            ("injection", "a\r\nTo: (b)\\", None, "192.0.2.1", "a??To:??b?? ([192.0.2.1])"),
            (
                "too long for one line",
                "a-long-name-that-somebody-claims.example",
                Some("another-long-name.example"),
                "192.0.2.1",
                "a-long-name-that-somebody-claims.example\r\n\t(another-long-name.example [192.0.2.1])",
            ),
        ] {
            let expected = format!("Received: from {from}{rest}");
            assert_eq!(field(claimed, verified, ip, ESMTP), expected, "{caption}");
        }
        assert!(field(&"x".repeat(5000), None, "192.0.2.1", ESMTP).len() < 500);
    }

    #[test]
    fn the_protocol_has_its_registered_keyword() {
        let tls = Some("TLS13_AES_128_GCM_SHA256");
        for (extended, tls, authenticated, utf8, keyword) in [
            (false, None, false, false, "SMTP"),
            (true, None, false, false, "ESMTP"),
            (true, None, true, false, "ESMTPA"),
            (true, tls, false, false, "ESMTPS"),
            (true, tls, true, false, "ESMTPSA"),
            (true, tls, true, true, "UTF8SMTPSA"),
            (true, None, false, true, "UTF8SMTP"),
        ] {
            let protocol = Protocol { extended, tls, authenticated, utf8 };
            assert_eq!(protocol.to_string(), keyword);
        }
        let field = field("bcd.com", None, "192.0.2.1", Protocol { tls, ..ESMTP });
        assert!(
            field.contains(" with ESMTPS id 0000000001\r\n\ttls TLS13_AES_128_GCM_SHA256;\r\n"),
            "{field}"
        );
    }

    #[test]
    fn a_local_user_has_no_address() {
        let ours = Domain::parse("bcd.com").unwrap();
        let now = WallTime::from_unix_seconds(975_320_506);
        let submitter = Submitter::Local { user: "b1 (root)" };
        let id = QueueId::from_u64(1).unwrap();
        let field = received_field(&Trace { our_name: &ours, id, now, submitter, recipient_for: None });
        assert_eq!(
            field,
            "Received: by bcd.com (Stagepost, from user b1??root?) id 0000000001;\r\n\tMon, 27 Nov 2000 10:21:46 +0000\r\n"
        );
    }
}
