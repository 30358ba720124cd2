//! TLS to another host. Every handshake proves that the host has the key of the certificate it shows; whether
//! that certificate is worth anything ([`Outgoing::verify`]) is asked afterwards, because opportunistic TLS
//! takes any (RFC 7435) and only tells the difference.
//! Danger: where TLS is required, nothing may be said before [`Outgoing::verify`] has said yes.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::time::WallTime;
use crate::tls::authority::Authority;
use crate::tls::provider;

/// What every connection of ours shares.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// For handshakes.
    pub config: Arc<ClientConfig>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Outgoing {
    /// With the certificate authorities that browsers trust.
    pub fn new() -> Self {
        Outgoing::trusting(&[])
    }

    /// With those, and others beside them.
    pub fn trusting(authorities: &[Authority]) -> Self {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for authority in authorities {
            roots.add(authority.der.clone()).expect("what is read as an authority can be one");
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .expect("there are certificate authorities");
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has what both versions need")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider())))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Outgoing { config: Arc::new(config), verifier }
    }

    /// Whether a chain leads to an authority that is trusted, and speaks of this host (RFC 9525).
    ///
    /// # Errors
    /// Why not.
    pub fn verify(&self, chain: &[CertificateDer<'_>], host: &str, now: WallTime) -> Result<(), String> {
        let Some((own, others)) = chain.split_first() else { return Err("it has no certificate".to_owned()) };
        let name = server_name(host).ok_or("its name is no host name")?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unix_seconds()));
        self.verifier.verify_server_cert(own, others, &name, &[], now).map(|_| ()).map_err(|e| e.to_string())
    }
}

impl Default for Outgoing {
    fn default() -> Self {
        Outgoing::new()
    }
}

/// A host's name or address as certificates have it.
pub fn server_name(host: &str) -> Option<ServerName<'static>> {
    match host.parse::<IpAddr>() {
        Ok(ip) => Some(ServerName::IpAddress(ip.into())),
        Err(_) => ServerName::try_from(host.to_owned()).ok(),
    }
}

/// Takes whoever has the key of the certificate shown.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Spoken;
    use crate::tls::authority;
    use crate::tls::certificate::Certificate;
    use crate::tls::certificate::tests::{TestAuthority, der, made};
    use crate::tls::keyring::Keyring;
    use rustls::{ClientConnection, ServerConnection};

    /// A handshake in memory; gives the certificate that the client saw.
    fn shown(ring: &Keyring, reached: &str, asked: &str) -> (Spoken, String) {
        let config = ring.server(&crate::mail::Domain::parse(reached).unwrap()).unwrap();
        let mut server = ServerConnection::new(config).unwrap();
        let mut client = ClientConnection::new(Outgoing::new().config, server_name(asked).unwrap()).unwrap();
        let mut wire = Vec::new();
        while client.is_handshaking() || server.is_handshaking() {
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut &*wire).unwrap();
            server.process_new_packets().unwrap();
            wire.clear();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut &*wire).unwrap();
            client.process_new_packets().unwrap();
            wire.clear();
        }
        let seen = client.peer_certificates().unwrap()[0].clone();
        let digest = ring::digest::digest(&ring::digest::SHA256, &seen);
        (Spoken::of(&client), data_encoding::HEXUPPER.encode(digest.as_ref()))
    }

    #[test]
    fn a_client_sees_the_name_it_asks_for_else_the_one_it_reached() {
        let mut ring = Keyring::default();
        let mut prints = Vec::new();
        for name in ["abc.com", "bcd.com"] {
            let certificate = Certificate::from_pem(made(name).as_bytes()).unwrap();
            prints.push(certificate.fingerprint.replace(':', ""));
            ring.insert(crate::mail::Domain::parse(name).unwrap(), certificate);
        }
        for (reached, asked, wanted) in [
            ("abc.com", "bcd.com", 1),
            ("abc.com", "BCD.com", 1),
            ("bcd.com", "xyz.com", 1),
            ("abc.com", "192.0.2.1", 0),
        ] {
            let (spoken, print) = shown(&ring, reached, asked);
            assert_eq!(print, prints[wanted], "{asked} at {reached}");
            assert_eq!(spoken.version, "TLSv1.3");
            assert!(spoken.cipher.starts_with("TLS_"), "{spoken:?}");
        }
        assert!(ring.server(&crate::mail::Domain::parse("xyz.com").unwrap()).is_none());
    }

    #[test]
    fn a_certificate_nobody_vouches_for_is_not_verified() {
        let (outgoing, now) = (Outgoing::new(), WallTime::from_unix_seconds(1_790_000_000));
        let own = CertificateDer::from(der());
        let why = outgoing.verify(&[own], "bcd.com", now).unwrap_err();
        assert!(why.contains("UnknownIssuer") || why.contains("CaUsedAsEndEntity"), "{why}");
        assert_eq!(outgoing.verify(&[], "bcd.com", now), Err("it has no certificate".to_owned()));
    }

    #[test]
    fn an_authority_of_the_house_vouches_for_its_own_hosts_by_their_names() {
        let (house, stranger) = (TestAuthority::new(), TestAuthority::new());
        let trusted = authority::from_pem(house.pem.as_bytes()).unwrap();
        let (outgoing, now) = (Outgoing::trusting(&trusted), WallTime::from_unix_seconds(1_790_000_000));
        let verify = |certificate, name| outgoing.verify(&[certificate], name, now);
        assert_eq!(verify(house.sign("xyz.com"), "xyz.com"), Ok(()));
        for (caption, certificate, name, wanted) in [
            ("another name", house.sign("xyz.com"), "xyz.org", "xyz.com"),
            ("another authority", stranger.sign("xyz.com"), "xyz.com", "Signature"),
        ] {
            let why = verify(certificate, name).unwrap_err();
            assert!(why.contains(wanted), "{caption}: {why}");
        }
        let why = Outgoing::new().verify(&[house.sign("xyz.com")], "xyz.com", now).unwrap_err();
        assert!(why.contains("UnknownIssuer"), "nobody told us of it: {why}");
    }
}
