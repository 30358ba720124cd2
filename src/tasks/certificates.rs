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
use crate::limits::{CERTIFICATE_ALARM_DAYS, CERTIFICATE_CHECK_S, CERTIFICATE_FILE_BYTES_MAX};
use crate::mail::Domain;
use crate::os::{clock, files};
use crate::tasks::station::Station;
use crate::tasks::timer::sleep_until;
use crate::time::WallTime;
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
    outgoing: Outgoing,
    folder_made: Cell<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileSeen {
    path: PathBuf,
    stamp: Option<files::Stamp>,
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
            outgoing: Outgoing::new(),
            folder_made: Cell::new(false),
        }
    }

    pub fn outgoing(&self) -> &Outgoing {
        &self.outgoing
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
        let ends = config.domains.iter().filter_map(|domain| {
            let certificate = ring.get(&domain.name)?;
            let left_days = certificate.not_after.since(now).as_secs() / 86_400;
            let end = certificate.not_after.rfc3339();
            (left_days < CERTIFICATE_ALARM_DAYS)
                .then(|| format!("{}: its certificate ends {end}", domain.name))
        });
        let troubles = self.troubles.borrow();
        troubles.iter().map(|(name, why)| format!("{name}: its certificate: {why}")).chain(ends).collect()
    }

    /// Brings the certificates in line with the configuration and the files.
    pub fn follow(&self, config: &Config, now: WallTime) {
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
        let stamp = files::stamp(&path);
        if stamp.is_none() && is_own {
            self.make(identity, &path, now).map_err(told)?;
        }
        let seen = FileSeen { path: path.clone(), stamp: files::stamp(&path) };
        let known = identity.names.iter().all(|name| self.can_serve(name));
        if known && self.files.borrow().get(identity.name) == Some(&seen) {
            return Ok(());
        }
        let pem = files::read_bounded(&path, CERTIFICATE_FILE_BYTES_MAX).map_err(|e| told(in_words(&e)))?;
        let certificate = Certificate::from_pem(&pem).map_err(told)?;
        log::info!(
            "{}: certificate {} until {}",
            identity.name,
            certificate.fingerprint,
            certificate.not_after.rfc3339()
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

/// Why a file cannot be read.
fn in_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            format!(
                "{error}; a file elsewhere is within reach when it is configured as the daemon starts: start it again"
            )
        }
        _ => error.to_string(),
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
