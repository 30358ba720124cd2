//! Certificate authorities that the operator trusts beside the public ones: those of his own house, whose
//! inner hosts no public authority vouches for. Sources: RFC 5280 §6.1.1 (trust anchors), RFC 7468 (PEM).
//! Danger: whoever holds the key of one of them can pass for any host.

use data_encoding::HEXUPPER;
use ring::digest::{SHA256, digest};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::limits::AUTHORITIES_MAX;
use crate::mail::encoding::pem;
use crate::tls::x509::Facts;

/// One certificate of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    pub facts: Facts,
    /// SHA-256 of the certificate, as `AB:CD:...`.
    pub fingerprint: String,
    pub(super) der: CertificateDer<'static>,
}

/// Reads the certificates of authorities, one or more, in PEM.
///
/// # Errors
/// What is wrong with the text, in words for the operator.
pub fn from_pem(pem: &[u8]) -> Result<Vec<Authority>, String> {
    let mut authorities = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.map_err(|e| format!("no PEM: {e}"))?;
        if authorities.len() == AUTHORITIES_MAX {
            return Err(format!("it holds more than {AUTHORITIES_MAX} certificates"));
        }
        authorities.push(authority(der)?);
    }
    match authorities.is_empty() {
        true => Err("it holds no certificate in PEM".to_owned()),
        false => Ok(authorities),
    }
}

/// PEM of these and of nothing else.
pub fn to_pem(authorities: &[Authority]) -> String {
    authorities.iter().map(|authority| pem("CERTIFICATE", &authority.der)).collect()
}

fn authority(der: CertificateDer<'static>) -> Result<Authority, String> {
    let facts = Facts::of(&der).ok_or("one of its certificates cannot be read")?;
    if !facts.is_authority {
        return Err(format!(
            "the certificate of {} is a host's, not an authority's; put in the one that signed it",
            facts.subject
        ));
    }
    // What the verifier itself makes of it counts.
    RootCertStore::empty().add(der.clone()).map_err(|e| format!("{}: {e}", facts.subject))?;
    Ok(Authority { fingerprint: fingerprint(&der), facts, der })
}

/// `AB:CD:...`, as `openssl x509 -fingerprint -sha256` prints it.
pub(super) fn fingerprint(certificate: &[u8]) -> String {
    let digest = digest(&SHA256, certificate);
    let pairs: Vec<String> = digest.as_ref().iter().map(|byte| HEXUPPER.encode(&[*byte])).collect();
    pairs.join(":")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tls::certificate::tests::{authority_pem, made};

    #[test]
    fn authorities_are_read_one_or_many() {
        let one = authority_pem();
        let read = from_pem(one.as_bytes()).unwrap();
        assert_eq!((read.len(), read[0].facts.subject.as_str()), (1, "CN=Test CA, O=Lab [2J"));
        assert_eq!(read[0].fingerprint.len(), 32 * 3 - 1);
        let two = from_pem(format!("# two\n{one}{}", authority_pem()).as_bytes()).unwrap();
        assert_eq!(two.len(), 2);
        assert_eq!(from_pem(to_pem(&two).as_bytes()).unwrap(), two);
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        let der = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        for (caption, pem, wanted) in [
            ("nothing", String::new(), "it holds no certificate in PEM"),
            ("words", "hello\n".to_owned(), "it holds no certificate in PEM"),
            ("a host's", made("bcd.com"), "the certificate of CN=bcd.com is a host's, not an authority's"),
            ("no certificate", der.to_owned(), "one of its certificates cannot be read"),
            ("cut off", "-----BEGIN CERTIFICATE-----\nMAA=\n".to_owned(), "no PEM"),
            ("too many", authority_pem().repeat(AUTHORITIES_MAX + 1), "it holds more than"),
        ] {
            let why = from_pem(pem.as_bytes()).unwrap_err();
            assert!(why.starts_with(wanted), "{caption}: {why}");
        }
    }
}
