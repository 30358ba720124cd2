//! The certificates of the box, by name, and what a client gets to see: that of the name it asks for (RFC
//! 6066 §3), else that of the domain whose address it reached. A name that is not hosted here shows nothing
//! of the others.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::mail::Domain;
use crate::tls::certificate::Certificate;
use crate::tls::provider;

/// Certificates by the names that they are shown for.
#[derive(Debug, Default)]
pub struct Keyring {
    names: Arc<BTreeMap<Domain, Certificate>>,
}

impl Keyring {
    /// Shows `certificate` to those who ask for `name`.
    pub fn insert(&mut self, name: Domain, certificate: Certificate) {
        Arc::make_mut(&mut self.names).insert(name, certificate);
    }

    /// Forgets the names that `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(&Domain) -> bool) {
        if self.names.keys().any(|name| !keep(name)) {
            Arc::make_mut(&mut self.names).retain(|name, _| keep(name));
        }
    }

    pub fn get(&self, name: &Domain) -> Option<&Certificate> {
        self.names.get(name)
    }

    pub fn has(&self, name: &Domain) -> bool {
        self.names.contains_key(name)
    }

    /// For one handshake with a client that reached `reached`; `None` when that has no certificate.
    pub fn server(&self, reached: &Domain) -> Option<Arc<ServerConfig>> {
        let usual = self.names.get(reached)?.key.clone();
        let choice = Choice { names: self.names.clone(), usual };
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("ring has what both versions need");
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(choice));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Some(Arc::new(config))
    }
}

#[derive(Debug)]
struct Choice {
    names: Arc<BTreeMap<Domain, Certificate>>,
    usual: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().and_then(|name| Domain::host_name(name).ok());
        let named = asked.and_then(|name| self.names.get(&name)).map(|certificate| certificate.key.clone());
        Some(named.unwrap_or_else(|| self.usual.clone()))
    }
}
