//! A certificate as its owner pastes it: PEM in any order. The host's own certificate is the one that the
//! private key belongs to; the chain above it is put in order, and what will not do is told in words. Sources:
//! RFC 7468, RFC 5280 §6.1, RFC 9525. Danger: the private key must reach neither a log nor a message.

use std::time::Duration;

use rustls::CertificateError;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use crate::limits::{CERTIFICATE_ALARM_DAYS, CERTIFICATE_CHAIN_MAX, CERTIFICATE_EARLY_S};
use crate::mail::Domain;
use crate::mail::encoding::pem;
use crate::mail::words::one_line;
use crate::time::WallTime;
use crate::tls::certificate::Certificate;
use crate::tls::outgoing::{Outgoing, server_name};
use crate::tls::provider;
use crate::tls::x509::{Facts, issuer_and_subject};

/// The names of a foreign certificate are told up to here.
const NAMES_CHARS_MAX: usize = 200;

/// A chain and its key, in order.
pub struct Pasted {
    /// As `Certificate::from_pem` takes it: the host's own certificate, those above it, the key.
    pub pem: String,
    pub facts: Facts,
    pub fingerprint: String,
    /// What its owner should know of what was pasted.
    pub notes: Vec<String>,
    chain: Vec<CertificateDer<'static>>,
}

/// What a certificate is wanted for.
pub struct Purpose<'a> {
    /// The names that clients ask for.
    pub names: &'a [Domain],
    pub now: WallTime,
    /// Whether `now` is to be believed.
    pub clock_is_set: bool,
    /// Whom we trust to vouch for hosts.
    pub trusted: &'a Outgoing,
}

impl Pasted {
    /// Puts together what stands in `text`, whatever else does.
    ///
    /// # Errors
    /// What is wrong with it, in words for its owner.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let (mut certificates, keys) = sections(text)?;
        let (key, own) = matching(&certificates, keys)?;
        let own = certificates.swap_remove(own);
        let mut notes = Vec::new();
        let chain = in_order(own, certificates, &mut notes);
        if chain.len() > CERTIFICATE_CHAIN_MAX {
            return Err(format!("its chain has more than {CERTIFICATE_CHAIN_MAX} certificates"));
        }
        let label = match &key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        let mut text: String = chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
        text.push_str(&pem(label, key.secret_der()));
        let certificate = Certificate::from_pem(text.as_bytes())?;
        let (facts, fingerprint) = (certificate.facts, certificate.fingerprint);
        Ok(Pasted { pem: text, facts, fingerprint, notes, chain })
    }

    /// Whether it serves its purpose; adds to the notes what does not speak against it.
    ///
    /// # Errors
    /// Why it does not.
    pub fn judge(&mut self, purpose: &Purpose<'_>) -> Result<(), String> {
        let own =
            ParsedCertificate::try_from(&self.chain[0]).map_err(|e| format!("it cannot be read: {e}"))?;
        let (held, missing): (Vec<_>, Vec<_>) =
            purpose.names.iter().partition(|name| covers(&own, name).is_ok());
        let Some(name) = held.first() else {
            let holds = purpose.names.first().and_then(|name| covers(&own, name).err()).unwrap_or_default();
            return Err(format!("it is for {holds}, and not for {}", told(&missing)));
        };
        let Facts { not_before, not_after, .. } = self.facts;
        let has_ended = not_after <= purpose.now;
        match (has_ended, purpose.clock_is_set) {
            (true, true) => {
                return Err(format!("it ended on {}; a new one is needed", not_after.rfc3339()));
            }
            (true, false) => self.notes.push(format!(
                "it ended on {}, which this box cannot judge before its clock is set",
                not_after.rfc3339()
            )),
            _ => {}
        }
        let soon = purpose.now + Duration::from_secs(CERTIFICATE_EARLY_S);
        match (not_before > soon, purpose.clock_is_set) {
            (true, true) => {
                let (begins, now) = (not_before.rfc3339(), purpose.now.rfc3339());
                return Err(format!(
                    "it does not begin before {begins}, and it is {now}; paste it again then"
                ));
            }
            (true, false) => self.notes.push(format!(
                "it begins on {}, which this box cannot judge before its clock is set",
                not_before.rfc3339()
            )),
            _ => {}
        }
        if !has_ended && not_after.since(purpose.now).as_secs() / 86_400 < CERTIFICATE_ALARM_DAYS {
            self.notes.push(format!("it ends soon, on {}", not_after.rfc3339()));
        }
        if !missing.is_empty() {
            self.notes.push(format!("it does not hold the name {}, only {name}", told(&missing)));
        }
        if let Err(why) = purpose.trusted.verify(&self.chain, name.as_str(), purpose.now)
            && purpose.clock_is_set
        {
            self.notes.push(format!(
                "no authority that this box trusts vouches for it ({why}); others may see it so too, if a \
                 certificate between it and its authority is missing"
            ));
        }
        Ok(())
    }
}

type Sections = (Vec<CertificateDer<'static>>, Vec<PrivateKeyDer<'static>>);

/// The certificates and the private keys of a text.
fn sections(text: &[u8]) -> Result<Sections, String> {
    let (mut certificates, mut keys) = (Vec::new(), Vec::new());
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(text) {
        let (kind, der) = section.map_err(|_| "it is damaged: a part of it is no PEM; paste it again")?;
        match kind {
            SectionKind::Certificate if certificates.iter().any(|c: &CertificateDer<'_>| **c == *der) => {}
            SectionKind::Certificate => certificates.push(CertificateDer::from(der)),
            kind => keys.extend(PrivateKeyDer::from_pem(kind, der)),
        }
    }
    let is_locked = memchr::memmem::find(text, b"ENCRYPTED").is_some();
    match (certificates.is_empty(), keys.is_empty()) {
        (true, _) => Err("there is no certificate in PEM among it".to_owned()),
        (_, true) if is_locked => Err("its private key is locked with a passphrase; paste it as \
                                       `openssl pkey -in FILE` prints it"
            .to_owned()),
        (_, true) => Err("there is no private key in PEM among it".to_owned()),
        _ => Ok((certificates, keys)),
    }
}

/// The first key that belongs to one of the certificates, and which one that is.
fn matching(
    certificates: &[CertificateDer<'static>],
    keys: Vec<PrivateKeyDer<'static>>,
) -> Result<(PrivateKeyDer<'static>, usize), String> {
    let mut usable = false;
    for key in keys {
        let Ok(signer) = provider().key_provider.load_private_key(key.clone_key()) else { continue };
        usable = true;
        let belongs = |certificate: &CertificateDer<'static>| {
            CertifiedKey::new(vec![certificate.clone()], signer.clone()).keys_match().is_ok()
        };
        if let Some(at) = certificates.iter().position(belongs) {
            return Ok((key, at));
        }
    }
    Err(match usable {
        true => "the private key belongs to no certificate among it".to_owned(),
        false => "its private key is of no use here; take RSA of 2048 bits or more, P-256, P-384 or Ed25519"
            .to_owned(),
    })
}

/// A certificate and those above it, each followed by its issuer's; without the one at the top that vouches
/// for itself, which whoever trusts it has already.
fn in_order(
    own: CertificateDer<'static>,
    mut others: Vec<CertificateDer<'static>>,
    notes: &mut Vec<String>,
) -> Vec<CertificateDer<'static>> {
    let mut chain = vec![own];
    while let Some((issuer, subject)) = chain.last().and_then(|last| issuer_and_subject(last)) {
        let is_above = |other: &CertificateDer<'_>| issuer_and_subject(other).is_some_and(|o| o.1 == issuer);
        match others.iter().position(is_above).filter(|_| issuer != subject) {
            Some(at) => chain.push(others.remove(at)),
            None => break,
        }
    }
    let is_top = |der: &CertificateDer<'_>| issuer_and_subject(der).is_some_and(|(i, s)| i == s);
    if chain.len() > 1 && chain.last().is_some_and(is_top) {
        chain.pop();
    }
    match others.len() {
        0 => {}
        1 => notes.push("one certificate does not belong to its chain and is left out".to_owned()),
        n => notes.push(format!("{n} certificates do not belong to its chain and are left out")),
    }
    chain
}

/// Whether a certificate holds a name; the error is the names that it holds.
fn covers(own: &ParsedCertificate<'_>, name: &Domain) -> Result<(), String> {
    let name = server_name(name.as_str()).ok_or("no host")?;
    let Err(error) = verify_server_name(own, &name) else { return Ok(()) };
    let names = match error {
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }) => {
            let bare = |name: &String| match name.split_once("(\"") {
                Some((_, rest)) => rest.trim_end_matches("\")").to_owned(),
                None => name.clone(),
            };
            presented.iter().map(bare).collect::<Vec<_>>().join(", ")
        }
        _ => String::new(),
    };
    Err(if names.is_empty() { "no name at all".to_owned() } else { one_line(&names, NAMES_CHARS_MAX) })
}

fn told(names: &[&Domain]) -> String {
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::authority;
    use crate::tls::certificate::tests::made;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    /// An authority, one that it vouches for, and a host that the second vouches for.
    struct House {
        root: String,
        middle: String,
        own: String,
        key: String,
    }

    /// A certificate's head; an authority where it has no host's names.
    fn params(name: &str, hosts: &[&str]) -> CertificateParams {
        let mut params =
            CertificateParams::new(hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        if hosts.is_empty() {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        (params.not_before, params.not_after) =
            (rcgen::date_time_ymd(2026, 1, 1), rcgen::date_time_ymd(2027, 1, 1));
        params
    }

    fn house(hosts: &[&str]) -> House {
        let (root_key, middle_key, key) =
            (KeyPair::generate().unwrap(), KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let root = params("Root", &[]).self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(params("Root", &[]), root_key);
        let middle = params("Middle", &[]).signed_by(&middle_key, &root_issuer).unwrap();
        let middle_issuer = Issuer::new(params("Middle", &[]), middle_key);
        let own = params("own", hosts).signed_by(&key, &middle_issuer).unwrap();
        House { root: root.pem(), middle: middle.pem(), own: own.pem(), key: key.serialize_pem() }
    }

    fn judged(
        text: &str,
        names: &[&str],
        day: (i32, u8, u8),
        clock_is_set: bool,
    ) -> Result<Vec<String>, String> {
        let names: Vec<Domain> = names.iter().map(|name| Domain::parse(name).unwrap()).collect();
        let at = rcgen::date_time_ymd(day.0, day.1, day.2).unix_timestamp();
        let now = WallTime::from_unix_seconds(u64::try_from(at).unwrap());
        let mut pasted = Pasted::read(text.as_bytes())?;
        pasted.judge(&Purpose { names: &names, now, clock_is_set, trusted: &Outgoing::new() })?;
        Ok(pasted.notes)
    }

    #[test]
    fn parts_in_any_order_become_one_chain_with_its_key() {
        let House { root, middle, own, key } = house(&["bcd.com"]);
        let wanted = format!("{own}{middle}{key}").replace("\r\n", "\n");
        for (caption, parts) in [
            ("in order", [&own, &middle, &root, &key]),
            ("turned round", [&key, &root, &middle, &own]),
            ("one twice", [&own, &middle, &own, &key]),
        ] {
            let text = parts
                .map(String::as_str)
                .join("some words\n-----BEGIN DH PARAMETERS-----\nMAA=\n-----END DH PARAMETERS-----\n");
            let pasted = Pasted::read(text.as_bytes()).unwrap();
            assert_eq!(pasted.pem, wanted, "{caption}");
            assert_eq!((pasted.facts.subject.as_str(), pasted.notes), ("CN=own", vec![]), "{caption}");
        }
        let alone = Pasted::read(made("bcd.com").as_bytes()).unwrap();
        assert_eq!(alone.pem, made_again(&alone.pem), "what it made of it, it takes");
        let strange = house(&["cde.com"]).own;
        let pasted = Pasted::read(format!("{strange}{key}{own}{middle}").as_bytes()).unwrap();
        assert_eq!(pasted.notes, ["one certificate does not belong to its chain and is left out"]);
    }

    fn made_again(pem: &str) -> String {
        Pasted::read(pem.as_bytes()).unwrap().pem
    }

    #[test]
    fn what_is_no_chain_with_its_key_is_refused() {
        let (House { middle, own, key, .. }, other) = (house(&["bcd.com"]), house(&["bcd.com"]));
        let cut = own.replacen("MII", "M?I", 1);
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (caption, text, wanted) in [
            ("nothing", String::new(), "there is no certificate in PEM among it"),
            ("words", "hello\n".repeat(1000), "there is no certificate in PEM among it"),
            ("a key alone", key.clone(), "there is no certificate in PEM among it"),
            ("no key", format!("{own}{middle}"), "there is no private key in PEM among it"),
            ("a locked key", format!("{own}{locked}"), "its private key is locked with a passphrase"),
            (
                "another's key",
                format!("{own}{middle}{}", other.key),
                "the private key belongs to no certificate",
            ),
            ("damaged", format!("{cut}{key}"), "it is damaged"),
            ("cut off", format!("{key}{}", &own[..200]), "it is damaged"),
        ] {
            let why = Pasted::read(text.as_bytes()).err().unwrap_or_else(|| panic!("{caption}"));
            assert!(why.starts_with(wanted), "{caption}: {why}");
            assert!(!why.contains(&key[100..120]), "{caption}");
        }
    }

    #[test]
    fn its_names_and_its_dates_are_judged() {
        let House { own, middle, key, .. } = house(&["bcd.com", "*.bcd.com"]);
        let text = format!("{own}{middle}{key}");
        let day = (2026, 6, 1);
        for (caption, names, day, wanted) in [
            ("another's", &["cde.com"][..], day, "it is for bcd.com, *.bcd.com, and not for cde.com"),
            ("ended", &["bcd.com"], (2027, 1, 1), "it ended on 2027-01-01T00:00:00Z; a new one"),
            ("not begun", &["bcd.com"], (2025, 12, 31), "it does not begin before 2026-01-01T00:00:00Z, and"),
        ] {
            let why = judged(&text, names, day, true).unwrap_err();
            assert!(why.starts_with(wanted), "{caption}: {why}");
        }
        for (caption, names, day, is_set, wanted) in [
            ("by a wrong clock", &["bcd.com"][..], (2025, 1, 1), false, &["it begins on 2026"][..]),
            ("ended, by a wrong clock", &["bcd.com"], (2028, 1, 1), false, &["it ended on 2027"]),
            ("of nobody's trust", &["bcd.com"], day, true, &["no authority that this box trusts"]),
            ("two names", &["bcd.com", "mail.bcd.com"], day, false, &[]),
            ("one of two names", &["bcd.com", "cde.com"], day, false, &["it does not hold the name cde.com"]),
            ("soon over", &["bcd.com"], (2026, 12, 20), false, &["it ends soon, on 2027-01-01"]),
        ] {
            let notes = judged(&text, names, day, is_set).unwrap();
            assert_eq!(notes.len(), wanted.len(), "{caption}: {notes:?}");
            let fits = notes.iter().zip(wanted).all(|(note, wanted)| note.starts_with(wanted));
            assert!(fits, "{caption}: {notes:?}");
        }
    }

    #[test]
    fn one_that_was_just_made_is_taken_by_a_clock_that_is_a_little_behind() {
        let House { own, middle, key, .. } = house(&["bcd.com"]);
        let names = [Domain::parse("bcd.com").unwrap()];
        let begins = WallTime::parse_rfc3339("2026-01-01T00:00:00Z").unwrap().unix_seconds();
        for (behind_s, taken) in [(CERTIFICATE_EARLY_S, true), (CERTIFICATE_EARLY_S + 1, false)] {
            let now = WallTime::from_unix_seconds(begins - behind_s);
            let mut pasted = Pasted::read(format!("{own}{middle}{key}").as_bytes()).unwrap();
            let purpose = Purpose { names: &names, now, clock_is_set: true, trusted: &Outgoing::new() };
            assert_eq!(pasted.judge(&purpose).is_ok(), taken, "{behind_s} s behind");
        }
    }

    #[test]
    fn an_authority_of_the_house_vouches_for_a_whole_chain_alone() {
        let House { root, own, middle, key } = house(&["bcd.com"]);
        let trusted = Outgoing::trusting(&authority::from_pem(root.as_bytes()).unwrap());
        let names = [Domain::parse("bcd.com").unwrap()];
        let now = WallTime::from_unix_seconds(1_790_000_000);
        for (text, notes) in [(format!("{own}{middle}{key}"), 0), (format!("{own}{key}"), 1)] {
            let mut pasted = Pasted::read(text.as_bytes()).unwrap();
            pasted.judge(&Purpose { names: &names, now, clock_is_set: true, trusted: &trusted }).unwrap();
            assert_eq!(pasted.notes.len(), notes, "{:?}", pasted.notes);
        }
    }
}
