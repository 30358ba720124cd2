//! A domain's certificate with its private key: read from PEM, or made by the box for itself (P-256, ten
//! years). Sources: RFC 5280, RFC 7468 (PEM), RFC 9525 §3 (names in subjectAltName).
//! Danger: the private key must not reach a log; the `Debug` form does not have it.

use std::fmt;
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::limits::CERTIFICATE_CHAIN_MAX;
use crate::mail::Domain;
use crate::time::WallTime;
use crate::tls::authority::fingerprint;
use crate::tls::provider;
use crate::tls::x509::Facts;

/// How long a certificate lasts that the box makes.
const SELF_MADE_YEARS: i32 = 10;

/// A chain and its key, ready for handshakes.
#[derive(Clone)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    /// SHA-256 of the certificate, as `AB:CD:...`.
    pub fingerprint: String,
    pub facts: Facts,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint)
    }
}

impl Certificate {
    /// Reads a chain, the domain's own certificate first, and the key that belongs to it.
    ///
    /// # Errors
    /// What is wrong with the text, in words for the operator.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
            .take(CERTIFICATE_CHAIN_MAX)
            .collect::<Result<_, _>>()
            .map_err(|e| format!("no PEM: {e}"))?;
        let Some(own) = chain.first() else { return Err("it holds no certificate".to_owned()) };
        let fingerprint = fingerprint(own);
        let facts = Facts::of(own).ok_or("its certificate cannot be read")?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| "it holds no private key in PEM")?;
        let key = CertifiedKey::from_der(chain, key, &provider())
            .map_err(|e| format!("its certificate and its key do not go together: {e}"))?;
        Ok(Certificate { key: Arc::new(key), fingerprint, facts })
    }
}

/// PEM of a new key and of a certificate that it has signed itself, for these names.
pub fn self_made(names: &[Domain], now: WallTime) -> Result<String, String> {
    let text = |e: rcgen::Error| format!("no certificate could be made: {e}");
    let key = KeyPair::generate().map_err(text)?;
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let mut params = CertificateParams::new(names.clone()).map_err(text)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, names.first().cloned().unwrap_or_default());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (year, month, day) = now.date();
    // The 29th of February is not in every year.
    let day = day.min(28);
    params.not_before = rcgen::date_time_ymd(year, month, day);
    params.not_after = rcgen::date_time_ymd(year + SELF_MADE_YEARS, month, day);
    let certificate = params.self_signed(&key).map_err(text)?;
    Ok(certificate.pem() + &key.serialize_pem())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rcgen::{BasicConstraints, IsCa, Issuer};

    pub fn made(name: &str) -> String {
        let now = WallTime::from_unix_seconds(1_709_164_800);
        self_made(&[Domain::parse(name).unwrap()], now).unwrap()
    }

    pub fn der() -> Vec<u8> {
        CertificateDer::from_pem_slice(made("bcd.com").as_bytes()).unwrap().to_vec()
    }

    /// A certificate authority whose name would steer a terminal.
    pub struct TestAuthority {
        issuer: Issuer<'static, KeyPair>,
        pub pem: String,
    }

    impl TestAuthority {
        pub fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.distinguished_name = rcgen::DistinguishedName::new();
            params.distinguished_name.push(DnType::OrganizationName, "Lab\x1b[2J");
            params.distinguished_name.push(DnType::CommonName, "Test CA");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            let pem = params.self_signed(&key).unwrap().pem();
            TestAuthority { issuer: Issuer::new(params, key), pem }
        }

        /// A certificate that it has signed for a host of this name.
        pub fn sign(&self, name: &str) -> CertificateDer<'static> {
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let key = KeyPair::generate().unwrap();
            params.signed_by(&key, &self.issuer).unwrap().der().clone()
        }
    }

    pub fn authority_pem() -> String {
        TestAuthority::new().pem
    }

    pub fn authority_der() -> Vec<u8> {
        CertificateDer::from_pem_slice(authority_pem().as_bytes()).unwrap().to_vec()
    }

    #[test]
    fn what_the_box_makes_it_can_read_for_ten_years() {
        let certificate = Certificate::from_pem(made("bcd.com").as_bytes()).unwrap();
        assert_eq!(certificate.facts.not_after.rfc3339(), "2034-02-28T00:00:00Z");
        assert_eq!(certificate.fingerprint.len(), 32 * 3 - 1);
        assert_ne!(
            certificate.fingerprint,
            Certificate::from_pem(made("bcd.com").as_bytes()).unwrap().fingerprint
        );
    }

    #[test]
    fn what_is_no_certificate_with_its_key_is_refused() {
        let (one, other) = (made("bcd.com"), made("bcd.com"));
        let cut = |pem: &str| {
            let at = pem.find("-----BEGIN PRIVATE").unwrap();
            (pem[..at].to_owned(), pem[at..].to_owned())
        };
        let ((chain, key), (_, other_key)) = (cut(&one), cut(&other));
        for (caption, pem, wanted) in [
            ("nothing", String::new(), "it holds no certificate"),
            ("a key alone", key, "it holds no certificate"),
            ("a certificate alone", chain.clone(), "it holds no private key in PEM"),
            ("another's key", chain + &other_key, "its certificate and its key do not go together"),
            ("no base64", "-----BEGIN CERTIFICATE-----\n%\n-----END CERTIFICATE-----\n".to_owned(), "no PEM"),
        ] {
            let why = Certificate::from_pem(pem.as_bytes()).unwrap_err();
            assert!(why.starts_with(wanted), "{caption}: {why}");
        }
    }
}
