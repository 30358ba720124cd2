//! The form in which a message leaves for one host: its envelope and its content within what the host offers
//! (RFC 6152 §3, RFC 6531 §3.4), then its DKIM signatures. Danger: a signature made before the last change to
//! the message is a false one, so what is measured here is exactly what [`Form::writer`] gives.

use std::borrow::Cow;
use std::rc::Rc;

use crate::mail::addresses::is_from;
use crate::mail::dkim::{BodyHasher, SigningKey, signatures};
use crate::mail::headers::Section;
use crate::mail::recode::{Finding, Plan, Recoder, Surveyed};
use crate::mail::{Body, Domain, Envelope};
use crate::smtp::client::Extensions;
use crate::smtp::{Enhanced, Reply};
use crate::time::WallTime;

/// A message as one host gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// With no parameter that the host does not know.
    pub envelope: Envelope,
    plan: Option<Plan>,
    /// Signature fields, each with its CRLF.
    signatures: Rc<str>,
    /// Octets of all of it, as SIZE counts them.
    pub octets: u64,
}

/// Gives a message's content in its form, piece by piece.
#[derive(Debug)]
pub struct Writer(Option<Recoder>);

/// Whether a message must be looked through before this host can have it.
pub fn needs_survey(envelope: &Envelope, offered: &Extensions) -> bool {
    lacks_eight_bit(envelope, offered) || lacks_utf8(envelope, offered)
}

fn lacks_eight_bit(envelope: &Envelope, offered: &Extensions) -> bool {
    envelope.body == Body::EightBitMime && !offered.eight_bit_mime
}

fn lacks_utf8(envelope: &Envelope, offered: &Extensions) -> bool {
    envelope.smtputf8 && !offered.smtputf8
}

impl Form {
    /// The message as it is, `octets` long.
    pub fn plain(envelope: Envelope, octets: u64) -> Self {
        Form { envelope, plan: None, signatures: Rc::from(""), octets }
    }

    /// The message for a host that lacks something, by what a survey has found.
    ///
    /// # Errors
    /// Why the host cannot have it at all: 5.6.3 or 5.6.7; the text goes behind its name.
    pub fn within(mut self, offered: &Extensions, surveyed: Surveyed) -> Result<Self, Reply> {
        let envelope = &mut self.envelope;
        if lacks_utf8(envelope, offered) {
            if surveyed.header {
                let text = "it does not offer SMTPUTF8, which the header needs";
                return Err(Reply::new(550, Enhanced(5, 6, 7), text));
            }
            // A recipient whose address needs it is refused by the session.
            envelope.smtputf8 = !envelope.reverse_path.to_string().is_ascii();
        }
        if lacks_eight_bit(envelope, offered) {
            match surveyed.finding {
                Finding::SevenBit => {}
                Finding::Recode(plan) => self.plan = Some(plan),
                Finding::Impossible(why) => {
                    return Err(Reply::new(
                        554,
                        Enhanced(5, 6, 3),
                        format!("the message does not fit: {why}"),
                    ));
                }
            }
            envelope.body = Body::SevenBit;
        }
        Ok(self)
    }

    /// Whether the content leaves as it is stored.
    pub fn is_unchanged(&self) -> bool {
        self.plan.is_none()
    }

    /// Puts signatures that were made of the content in this form before it.
    pub fn signed(mut self, signatures: Rc<str>) -> Self {
        self.octets += signatures.len() as u64;
        self.signatures = signatures;
        self
    }

    /// What goes before the content.
    pub fn signatures(&self) -> &[u8] {
        self.signatures.as_bytes()
    }

    /// Makes the content out of what is stored.
    pub fn writer(&self) -> Writer {
        Writer(self.plan.clone().map(Recoder::new))
    }
}

impl Writer {
    /// What a piece of the stored message becomes; some of it may come with the next piece.
    pub fn take<'p>(&mut self, piece: &'p [u8]) -> Cow<'p, [u8]> {
        match &mut self.0 {
            None => Cow::Borrowed(piece),
            Some(recoder) => {
                let mut out = Vec::with_capacity(piece.len() * 2);
                recoder.push(piece, &mut out);
                Cow::Owned(out)
            }
        }
    }

    /// What is left after the last piece.
    pub fn finish(self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(recoder) = self.0 {
            recoder.finish(&mut out);
        }
        out
    }
}

/// Walks over the content in its form, for its length and what signatures need.
pub struct Measure {
    writer: Writer,
    head: Vec<u8>,
    hasher: BodyHasher,
    octets: u64,
}

impl Measure {
    /// Begins with the header section as it is stored, with its empty line.
    pub fn new(form: &Form, head: &[u8]) -> Self {
        let mut writer = form.writer();
        let head = writer.take(head).into_owned();
        let octets = head.len() as u64;
        Measure { writer, head, hasher: BodyHasher::default(), octets }
    }

    /// Takes the next piece of the body as it is stored.
    pub fn body(&mut self, piece: &[u8]) {
        let piece = self.writer.take(piece);
        self.octets += piece.len() as u64;
        self.hasher.update(&piece);
    }

    /// The octets of the content, and its signatures by `keys` of `domain`: none where there is no key, or
    /// where From does not speak for the domain alone. An RSA signature takes 0.7 ms on a desktop processor and
    /// some ten times that on a small ARM core: not for the event loop.
    pub fn finish(self, domain: &Domain, keys: &[SigningKey], now: WallTime) -> (u64, String) {
        let Measure { writer, head, mut hasher, octets } = self;
        let rest = writer.finish();
        hasher.update(&rest);
        let fields = match is_from(&Section::of(&head), domain) {
            true => signatures(&head, &hasher.finish(), domain, keys, now),
            false => String::new(),
        };
        (octets + rest.len() as u64, fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::recode::Survey;
    use crate::mail::{Address, ReversePath};

    fn envelope(from: &str) -> Envelope {
        let address = |text| Address::parse(text).unwrap();
        Envelope {
            body: Body::EightBitMime,
            smtputf8: true,
            ..Envelope::plain(ReversePath::Address(address(from)), [address("x1@xyz.com")])
        }
    }

    fn form(from: &str, message: &str, offered: &Extensions) -> Result<Form, String> {
        let mut survey = Survey::default();
        survey.push(message.as_bytes());
        let form = Form::plain(envelope(from), message.len() as u64);
        form.within(offered, survey.finish()).map_err(|reply| reply.to_string())
    }

    /// The whole message as it leaves.
    fn written(form: &Form, message: &str) -> String {
        let mut writer = form.writer();
        let mut out = form.signatures().to_vec();
        message.as_bytes().chunks(3).for_each(|piece| out.extend_from_slice(&writer.take(piece)));
        out.extend(writer.finish());
        String::from_utf8(out).unwrap()
    }

    const TEXT: &str = "Subject: hi\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n";

    #[test]
    fn a_message_is_brought_within_what_the_host_offers_or_refused() {
        let utf8 = Extensions { smtputf8: true, eight_bit_mime: true, ..Extensions::default() };
        let (eight, none) = (Extensions { smtputf8: false, ..utf8.clone() }, Extensions::default());
        let (plain, german) = (format!("{TEXT}hello\r\n"), format!("{TEXT}Grüße\r\n"));
        let header = german.replace("hi", "Grüße");
        let sealed = "Content-Type: multipart/signed; boundary=x\r\n\r\n--x\r\n\r\nGrüße\r\n--x--\r\n";
        for (caption, from, message, offered, expected) in [
            ("all is offered", "b1@bcd.com", &header, &utf8, Ok((true, Body::EightBitMime, true))),
            ("nothing is needed", "b1@bcd.com", &plain, &none, Ok((false, Body::SevenBit, true))),
            ("an 8-bit body", "b1@bcd.com", &german, &eight, Ok((false, Body::EightBitMime, true))),
            ("an 8-bit body, 7-bit host", "b1@bcd.com", &german, &none, Ok((false, Body::SevenBit, false))),
            ("a header", "b1@bcd.com", &header, &eight, Err("550 5.6.7")),
            ("a sender", "jörg@bcd.com", &plain, &eight, Ok((true, Body::EightBitMime, true))),
            ("a seal", "b1@bcd.com", &sealed.to_owned(), &none, Err("554 5.6.3")),
        ] {
            match (form(from, message, offered), expected) {
                (Ok(form), Ok((utf8, body, unchanged))) => {
                    let got = (form.envelope.smtputf8, form.envelope.body, form.is_unchanged());
                    assert_eq!(got, (utf8, body, unchanged), "{caption}");
                }
                (Err(why), Err(code)) => assert!(why.starts_with(code), "{caption}: {why}"),
                (got, expected) => panic!("{caption}: {got:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn what_is_measured_and_signed_is_what_leaves() {
        let seed = SigningKey::ed25519_pkcs8(&[7; 32]);
        let bcd = Domain::parse("bcd.com").unwrap();
        let keys = [SigningKey::from_pkcs8(Domain::parse("s").unwrap(), &seed).unwrap()];
        let message = format!("From: <b1@bcd.com>\r\n{TEXT}Grüße\r\n");
        let form = form("b1@bcd.com", &message, &Extensions::default()).unwrap();
        let (head, body) = message.split_at(message.len() - "Grüße\r\n".len());
        let mut measure = Measure::new(&form, head.as_bytes());
        body.as_bytes().chunks(2).for_each(|piece| measure.body(piece));
        let (octets, fields) = measure.finish(&bcd, &keys, WallTime::from_unix_seconds(1));
        let form = Form { octets, ..form }.signed(fields.into());
        let left = written(&form, &message);
        assert_eq!(left.len() as u64, form.octets);
        let (_, leaving) = left.split_once("\r\nFrom: ").unwrap();
        assert!(
            leaving.is_ascii() && leaving.contains("quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n"),
            "{left}"
        );
        let mut hasher = BodyHasher::default();
        hasher.update(b"Gr=C3=BC=C3=9Fe\r\n");
        assert!(left.contains(&format!("bh={};", hasher.finish().base64())), "{left}");
    }

    #[test]
    fn only_a_from_of_the_domain_alone_is_signed() {
        let seed = SigningKey::ed25519_pkcs8(&[7; 32]);
        let bcd = Domain::parse("bcd.com").unwrap();
        let keys = [SigningKey::from_pkcs8(Domain::parse("s").unwrap(), &seed).unwrap()];
        for (head, signed) in [
            ("From: \"Bob\" <b1@bcd.com>\r\n\r\n", true),
            ("From: b1@BCD.com, b2@bcd.com\r\n\r\n", true),
            ("From: b1@bcd.com, x1@xyz.com\r\n\r\n", false),
            ("From: x1@xyz.com\r\n\r\n", false),
            ("From: b1@bcd.com\r\nFrom: x1@xyz.com\r\n\r\n", false),
            ("From: b1@sub.bcd.com\r\n\r\n", false),
            ("From: b1@bcd.com <x1@xyz.com>\r\n\r\n", false),
            ("From: Bob\r\n\r\n", false),
            ("Subject: none\r\n\r\n", false),
        ] {
            let form = Form::plain(envelope("b1@bcd.com"), head.len() as u64);
            let measure = Measure::new(&form, head.as_bytes());
            let (_, fields) = measure.finish(&bcd, &keys, WallTime::from_unix_seconds(1));
            assert_eq!(!fields.is_empty(), signed, "{head}");
        }
    }
}
