//! Keeps the certificates at hand: makes those of the box's own at first start, reads a file's again when it
//! has changed, and watches their ends. A file that cannot be read leaves what was read of it before.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use crate::config::{CertificateSource, Config};
use crate::console::certificates::{CertificateReport, Shown};
use crate::limits::{CERTIFICATE_ALARM_DAYS, CERTIFICATE_CHECK_S};
use crate::mail::Domain;
use crate::os::{clock, files};
use crate::tasks::authorities::{Authorities, FileSeen, read_pem};
use crate::tasks::station::Station;
use crate::tasks::timer::sleep_until;
use crate::time::WallTime;
use crate::tls::Facts;
use crate::tls::authority::Authority;
use crate::tls::certificate::{Certificate, self_made};
use crate::tls::keyring::Keyring;
use crate::tls::outgoing::Outgoing;

/// The box's certificates, and what it needs to look at others'.
pub struct Certificates {
    folder: PathBuf,
    ring: RefCell<Keyring>,
    /// The file behind each identity, as it was when it was read.
    files: RefCell<BTreeMap<Domain, FileSeen>>,
    /// What the operator should know of an identity's file.
    troubles: RefCell<BTreeMap<Domain, String>>,
    authorities: Authorities,
    folder_made: Cell<bool>,
}

/// A name that TLS is spoken under: a domain, or the box itself.
struct Identity<'c> {
    name: &'c Domain,
    names: Vec<Domain>,
    source: &'c CertificateSource,
}

impl Certificates {
    /// Keeps those that the box makes in `folder`.
    pub fn new(folder: PathBuf) -> Self {
        Certificates {
            folder,
            ring: RefCell::default(),
            files: RefCell::default(),
            troubles: RefCell::default(),
            authorities: Authorities::default(),
            folder_made: Cell::new(false),
        }
    }

    /// For connections to other hosts, as things stand.
    pub fn outgoing(&self) -> Outgoing {
        self.authorities.outgoing()
    }

    /// For a handshake with a client that was greeted as `name`; `None` when there is no certificate.
    pub fn server(&self, name: &Domain) -> Option<Arc<ServerConfig>> {
        self.ring.borrow().server(name)
    }

    pub fn can_serve(&self, name: &Domain) -> bool {
        self.ring.borrow().has(name)
    }

    /// The fingerprint that the console shows for a domain.
    pub fn fingerprint(&self, name: &Domain) -> Option<String> {
        self.ring.borrow().get(name).map(|certificate| certificate.fingerprint.clone())
    }

    /// Certificates that are missing or end soon.
    pub fn alarms(&self, config: &Config, now: WallTime) -> Vec<String> {
        let ring = self.ring.borrow();
        let ends_soon =
            |facts: &Facts| facts.not_after.since(now).as_secs() / 86_400 < CERTIFICATE_ALARM_DAYS;
        let ends = config.domains.iter().filter_map(|domain| {
            let facts = &ring.get(&domain.name)?.facts;
            let end = facts.not_after.rfc3339();
            ends_soon(facts).then(|| format!("{}: its certificate ends {end}", domain.name))
        });
        let mut alarms: Vec<String> = self.troubles().into_iter().chain(ends).collect();
        alarms.extend(self.authorities.trouble().map(|why| format!("box authority: {why}")));
        let own = self.authorities.own();
        alarms.extend(own.iter().filter(|a| ends_soon(&a.facts)).map(|Authority { facts, .. }| {
            let end = facts.not_after.rfc3339();
            format!("box authority: the certificate of {} ends {end}", facts.subject)
        }));
        alarms
    }

    /// What is wrong with the files of domains.
    pub fn troubles(&self) -> Vec<String> {
        let told = |(name, why): (&Domain, &String)| format!("{name}: its certificate: {why}");
        self.troubles.borrow().iter().map(told).collect()
    }

    /// All of them, for the console.
    pub fn report(&self, config: &Config) -> Vec<CertificateReport> {
        let (ring, troubles) = (self.ring.borrow(), self.troubles.borrow());
        let shown = |facts: &Facts, fingerprint: &str| Shown {
            subject: facts.subject.clone(),
            not_after: facts.not_after,
            fingerprint: fingerprint.to_owned(),
        };
        let own = identities(config).into_iter().map(|identity| CertificateReport {
            name: Some(identity.name.to_string()),
            shown: ring.get(identity.name).map(|c| shown(&c.facts, &c.fingerprint)),
            file: match identity.source {
                CertificateSource::File(path) => Some(path.clone()),
                CertificateSource::SelfMade => None,
            },
            trouble: troubles.get(identity.name).cloned(),
        });
        let trouble = self.authorities.trouble();
        let authority = |shown| CertificateReport {
            name: None,
            shown,
            file: config.machine.authority.clone(),
            trouble: trouble.clone(),
        };
        let trusted = self.authorities.own();
        let none = (trusted.is_empty() && trouble.is_some()).then(|| authority(None));
        let trusted = trusted.iter().map(|a| authority(Some(shown(&a.facts, &a.fingerprint))));
        own.chain(trusted).chain(none).collect()
    }

    /// Brings the certificates in line with the configuration and the files.
    pub fn follow(&self, config: &Config, now: WallTime) {
        self.authorities.follow(config.machine.authority.as_deref());
        let identities = identities(config);
        let wanted: Vec<&Domain> = identities.iter().flat_map(|i| &i.names).collect();
        self.ring.borrow_mut().retain(|name| wanted.contains(&name));
        self.troubles.borrow_mut().retain(|name, _| identities.iter().any(|i| i.name == name));
        for identity in &identities {
            let trouble = self.follow_one(identity, now).err();
            let mut troubles = self.troubles.borrow_mut();
            match trouble {
                Some(why) if troubles.get(identity.name) != Some(&why) => {
                    log::error!("{}: its certificate: {why}", identity.name);
                    troubles.insert(identity.name.clone(), why);
                }
                Some(_) => {}
                None => drop(troubles.remove(identity.name)),
            }
        }
    }

    fn follow_one(&self, identity: &Identity<'_>, now: WallTime) -> Result<(), String> {
        let path = match identity.source {
            CertificateSource::File(path) => PathBuf::from(path),
            CertificateSource::SelfMade => self.folder.join(format!("{}.pem", identity.name)),
        };
        let told = |why: String| format!("{}: {why}", path.display());
        let is_own = *identity.source == CertificateSource::SelfMade;
        if is_own && !FileSeen::now(&path).exists() {
            self.make(identity, &path, now).map_err(told)?;
        }
        let seen = FileSeen::now(&path);
        let known = identity.names.iter().all(|name| self.can_serve(name));
        if known && self.files.borrow().get(identity.name) == Some(&seen) {
            return Ok(());
        }
        let certificate = Certificate::from_pem(&read_pem(&path).map_err(told)?).map_err(told)?;
        log::info!(
            "{}: certificate {} until {}",
            identity.name,
            certificate.fingerprint,
            certificate.facts.not_after.rfc3339()
        );
        for name in &identity.names {
            self.ring.borrow_mut().insert(name.clone(), certificate.clone());
        }
        self.files.borrow_mut().insert(identity.name.clone(), seen);
        Ok(())
    }

    fn make(&self, identity: &Identity<'_>, path: &Path, now: WallTime) -> Result<(), String> {
        if !self.folder_made.replace(true) {
            files::make_private_dir(&self.folder).map_err(|e| e.to_string())?;
        }
        let pem = self_made(&identity.names, now)?;
        files::replace(path, pem.as_bytes()).map_err(|e| e.to_string())
    }
}

/// Every domain, and the box where its name is none of them.
fn identities(config: &Config) -> Vec<Identity<'_>> {
    let mut all: Vec<Identity<'_>> = config
        .domains
        .iter()
        .map(|d| Identity { name: &d.name, names: d.names().cloned().collect(), source: &d.certificate })
        .collect();
    if let Some(name) = &config.machine.name
        && !all.iter().any(|identity| identity.names.contains(name))
    {
        all.push(Identity { name, names: vec![name.clone()], source: &CertificateSource::SelfMade });
    }
    all
}

/// Looks at the files now and then, as long as the daemon runs.
pub async fn run(station: Rc<Station>) {
    loop {
        station.certificates.follow(&station.config(), clock::now().wall);
        sleep_until(clock::mono() + Duration::from_secs(CERTIFICATE_CHECK_S)).await;
    }
}
