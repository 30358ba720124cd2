//! What the queue must know of a message beside its content: when it came, from where, and its envelope
//! (RFC 5321 §2.3.1 with the parameters of RFC 3461, 6152, 6531, 8689). The layout is in `spool/mod.rs`.
//! Danger: addresses are parsed again when they are read, so that a damaged one never passes for another.

use crate::limits::{
    ADDRESS_BYTES_MAX, ENVID_BYTES_MAX, ORCPT_BYTES_MAX, RECIPIENTS_MAX, SPOOL_ORIGIN_BYTES_MAX,
};
use crate::mail::{Address, Body, Envelope, Notify, Recipient, Ret, ReversePath};
use crate::spool::bytes::{Reader, Writer};
use crate::time::WallTime;

/// A message's facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// When it was received.
    pub received: WallTime,
    /// Where it came from, for logs and reports; at most 512 bytes are kept.
    pub origin: String,
    /// A user of the domain wrote it, or it is the domain's own report: it may be signed as the domain's.
    pub authored: bool,
    pub envelope: Envelope,
}

const BODY_8BIT: u8 = 1 << 0;
const SMTPUTF8: u8 = 1 << 1;
const REQUIRE_TLS: u8 = 1 << 2;
const RET_FULL: u8 = 1 << 3;
const RET_HEADERS: u8 = 1 << 4;
const HAS_ENVID: u8 = 1 << 5;
const AUTHORED: u8 = 1 << 6;

const HAS_NOTIFY: u8 = 1 << 0;
const NOTIFY_SUCCESS: u8 = 1 << 1;
const NOTIFY_FAILURE: u8 = 1 << 2;
const NOTIFY_DELAY: u8 = 1 << 3;
const HAS_ORCPT: u8 = 1 << 4;

impl Meta {
    /// As it is stored; the time of receipt is stored beside it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        let envelope = &self.envelope;
        w.u8(envelope_flags(envelope) | if self.authored { AUTHORED } else { 0 });
        w.text(&self.origin, SPOOL_ORIGIN_BYTES_MAX);
        w.text(&envelope.reverse_path.to_string(), ADDRESS_BYTES_MAX);
        if let Some(envid) = &envelope.envid {
            w.text(envid, ENVID_BYTES_MAX);
        }
        w.u16(envelope.recipients.len().min(RECIPIENTS_MAX) as u16);
        for recipient in envelope.recipients.iter().take(RECIPIENTS_MAX) {
            w.u8(recipient_flags(recipient));
            w.text(&recipient.address.to_string(), ADDRESS_BYTES_MAX);
            if let Some(orcpt) = &recipient.orcpt {
                w.text(orcpt, ORCPT_BYTES_MAX);
            }
        }
        w.0
    }

    pub(super) fn decode(received: WallTime, bytes: &[u8]) -> Option<Meta> {
        let mut r = Reader(bytes);
        let flags = r.u8()?;
        let origin = r.text()?.to_owned();
        let reverse_path = match r.text()? {
            "" => ReversePath::Null,
            address => ReversePath::Address(Address::parse(address).ok()?),
        };
        let envid = if flags & HAS_ENVID == 0 { None } else { Some(r.text()?.to_owned()) };
        let count = usize::from(r.u16()?);
        let recipients =
            (0..count.min(RECIPIENTS_MAX)).map(|_| recipient(&mut r)).collect::<Option<Vec<_>>>()?;
        let envelope = Envelope {
            reverse_path,
            recipients,
            body: if flags & BODY_8BIT == 0 { Body::SevenBit } else { Body::EightBitMime },
            smtputf8: flags & SMTPUTF8 != 0,
            ret: ret(flags),
            envid,
            require_tls: flags & REQUIRE_TLS != 0,
        };
        Some(Meta { received, origin, authored: flags & AUTHORED != 0, envelope })
    }
}

fn envelope_flags(envelope: &Envelope) -> u8 {
    let ret = match envelope.ret {
        None => 0,
        Some(Ret::Full) => RET_FULL,
        Some(Ret::Headers) => RET_HEADERS,
    };
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    ret | flag(envelope.body == Body::EightBitMime, BODY_8BIT)
        | flag(envelope.smtputf8, SMTPUTF8)
        | flag(envelope.require_tls, REQUIRE_TLS)
        | flag(envelope.envid.is_some(), HAS_ENVID)
}

fn ret(flags: u8) -> Option<Ret> {
    if flags & RET_FULL != 0 {
        Some(Ret::Full)
    } else if flags & RET_HEADERS != 0 {
        Some(Ret::Headers)
    } else {
        None
    }
}

fn recipient_flags(recipient: &Recipient) -> u8 {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let notify = recipient.notify.map_or(0, |n| {
        HAS_NOTIFY
            | flag(n.success, NOTIFY_SUCCESS)
            | flag(n.failure, NOTIFY_FAILURE)
            | flag(n.delay, NOTIFY_DELAY)
    });
    notify | flag(recipient.orcpt.is_some(), HAS_ORCPT)
}

fn recipient(r: &mut Reader) -> Option<Recipient> {
    let flags = r.u8()?;
    let address = Address::parse(r.text()?).ok()?;
    let notify = Notify {
        success: flags & NOTIFY_SUCCESS != 0,
        failure: flags & NOTIFY_FAILURE != 0,
        delay: flags & NOTIFY_DELAY != 0,
    };
    let orcpt = if flags & HAS_ORCPT == 0 { None } else { Some(r.text()?.to_owned()) };
    Some(Recipient { address, notify: (flags & HAS_NOTIFY != 0).then_some(notify), orcpt })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rich() -> Meta {
        let address = |text| Address::parse(text).unwrap();
        let mut second = Recipient::plain(address("\"a b\"@[IPv6:2001:db8::1]"));
        second.notify = Some(Notify { success: true, failure: false, delay: true });
        second.orcpt = Some("rfc822;a+20b@old.example".into());
        let envelope = Envelope {
            reverse_path: ReversePath::Address(address("b1@bcd.com")),
            recipients: vec![Recipient::plain(address("x1@xyz.com")), second],
            body: Body::EightBitMime,
            smtputf8: true,
            ret: Some(Ret::Headers),
            envid: Some("QQ314159".into()),
            require_tls: true,
        };
        Meta {
            received: WallTime::from_unix_seconds(975_320_363),
            origin: "192.0.2.9 ESMTP".into(),
            authored: true,
            envelope,
        }
    }

    #[test]
    fn every_parameter_of_an_envelope_reads_back() {
        let meta = rich();
        assert_eq!(Meta::decode(meta.received, &meta.encode()), Some(meta));
        let mut plain = rich();
        plain.envelope = Envelope::plain(ReversePath::Null, [Address::parse("x1@xyz.com").unwrap()]);
        plain.envelope.recipients[0].notify = Some(Notify::NEVER);
        assert_eq!(Meta::decode(plain.received, &plain.encode()), Some(plain));
    }

    #[test]
    fn a_cut_envelope_is_no_envelope() {
        let bytes = rich().encode();
        for end in 0..bytes.len() {
            assert_eq!(Meta::decode(WallTime::default(), &bytes[..end]), None, "cut at {end}");
        }
    }
}
