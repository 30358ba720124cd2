//! Keeps the DKIM keys at hand: reads those of each domain that signs, and makes what is missing at first
//! use (RFC 8301: RSA of 2048 bits; RFC 8463: Ed25519), RSA on a thread of its own. They lie under
//! `DIR/dkim/NAME/`, mode 0600. Danger: a key is used only after it is on flash, or its record would be lost.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::console::dkim::{DkimRecord, DkimReport};
use crate::limits::CERTIFICATE_FILE_BYTES_MAX;
use crate::mail::Domain;
use crate::mail::dkim::{Selector, SigningKey, generate_rsa_2048, pem_of};
use crate::os::{entropy, files, worker};
use crate::tasks::station::Station;

/// The keys of all domains that sign.
pub struct Signing {
    folder: PathBuf,
    rings: RefCell<BTreeMap<Domain, Ring>>,
}

/// One domain's keys.
struct Ring {
    selector: Selector,
    keys: Arc<[SigningKey]>,
    making: bool,
    trouble: Option<String>,
}

impl Signing {
    /// Keeps the keys in folders of `folder`, one for each domain.
    pub fn new(folder: PathBuf) -> Self {
        Signing { folder, rings: RefCell::default() }
    }

    /// The keys that sign a domain's mail: none where it signs nothing.
    pub fn keys(&self, domain: &Domain) -> Arc<[SigningKey]> {
        self.rings.borrow().get(domain).map_or_else(|| Arc::from([]), |ring| ring.keys.clone())
    }

    /// What the operator should look at.
    pub fn alarms(&self) -> Vec<String> {
        let rings = self.rings.borrow();
        let told = |(name, ring): (&Domain, &Ring)| {
            ring.trouble.as_ref().map(|why| format!("{name}: its mail is not signed as it should be: {why}"))
        };
        rings.iter().filter_map(told).collect()
    }

    /// `show dkim`; an error says what is missing.
    pub fn report(&self, domain: &Domain) -> Result<DkimReport, String> {
        let rings = self.rings.borrow();
        let ring = rings.get(domain).ok_or_else(|| {
            format!("{domain} signs nothing; `set domain {domain} dkim SELECTOR`, then `commit`")
        })?;
        let record = |key: &SigningKey| {
            let record = key.txt_record(domain);
            DkimRecord {
                algorithm: key.algorithm().to_owned(),
                zone: record.to_string(),
                name: record.name,
                value: record.value,
            }
        };
        Ok(DkimReport {
            domain: domain.to_string(),
            selector: ring.selector.to_string(),
            records: ring.keys.iter().map(record).collect(),
            making: ring.making,
        })
    }

    /// The selectors of a domain's two keys, and their files.
    pub fn places(&self, domain: &Domain, selector: &Selector) -> [(Domain, PathBuf); 2] {
        let folder = self.folder.join(domain.as_str());
        [selector.ed25519(), selector.rsa()].map(|name| {
            let path = folder.join(format!("{name}.pem"));
            (name, path)
        })
    }

    /// Reads the keys that are there. Tells whether one is missing.
    fn load(&self, domain: &Domain, selector: &Selector, making: bool) -> bool {
        let read = self.places(domain, selector).map(|(name, path)| read_key(name, &path));
        let missing = read.iter().any(|key| matches!(key, Ok(None)));
        let trouble = read.iter().find_map(|key| key.as_ref().err().cloned());
        if let Some(why) = &trouble {
            log::error!("{domain}: its mail is not signed as it should be: {why}");
        }
        let keys = read.into_iter().filter_map(|key| key.ok().flatten()).collect();
        let ring = Ring { selector: selector.clone(), keys, making: making && missing, trouble };
        self.rings.borrow_mut().insert(domain.clone(), ring);
        missing
    }

    fn fail(&self, domain: &Domain, why: String) {
        log::error!("{domain}: its DKIM keys: {why}");
        if let Some(ring) = self.rings.borrow_mut().get_mut(domain) {
            ring.making = false;
            ring.trouble = Some(why);
        }
    }

    fn signs_as(&self, domain: &Domain, selector: &Selector) -> bool {
        self.rings.borrow().get(domain).is_some_and(|ring| ring.selector == *selector)
    }
}

/// A key's file: `None` where there is none yet.
fn read_key(selector: Domain, path: &Path) -> Result<Option<SigningKey>, String> {
    match files::read_bounded(path, CERTIFICATE_FILE_BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
        Ok(pem) => {
            SigningKey::from_pem(selector, &pem).map(Some).map_err(|e| format!("{}: {e}", path.display()))
        }
    }
}

/// Brings the keys in line with the configuration; what is missing is made in the meantime.
pub fn follow(station: &Rc<Station>) {
    let (config, signing) = (station.config(), &station.signing);
    let signs = |name: &Domain| config.domain(name).is_some_and(|d| d.dkim.is_some());
    signing.rings.borrow_mut().retain(|name, _| signs(name));
    for domain in &config.domains {
        let Some(selector) = &domain.dkim else { continue };
        if signing.signs_as(&domain.name, selector) {
            continue;
        }
        if signing.load(&domain.name, selector, true) {
            station.spawn(make(station.clone(), domain.name.clone(), selector.clone()));
        }
    }
}

/// Reads the keys of all domains again, after files were put in the place of others.
pub fn read_again(station: &Rc<Station>) {
    let rings = station.signing.rings.borrow();
    let known: Vec<(Domain, Selector, bool)> =
        rings.iter().map(|(name, ring)| (name.clone(), ring.selector.clone(), ring.making)).collect();
    drop(rings);
    for (name, selector, making) in known {
        station.signing.load(&name, &selector, making);
    }
}

/// Makes the keys that have no file yet.
async fn make(station: Rc<Station>, domain: Domain, selector: Selector) {
    let [(_, ed25519), (_, rsa)] = station.signing.places(&domain, &selector);
    let made = async {
        if files::stamp(&ed25519).is_none() {
            let mut seed = [0; 32];
            entropy::fill(&mut seed);
            keep(&station, ed25519, SigningKey::ed25519_pkcs8(&seed)).await?;
            station.signing.load(&domain, &selector, true);
        }
        if files::stamp(&rsa).is_none() {
            let job = || generate_rsa_2048(&mut entropy::fill);
            let search = worker::run("rsa key", job).map_err(|e| format!("no thread for RSA: {e}"))?;
            let pkcs8 = search.recv().await.map_err(|_| "the search for RSA primes broke off".to_owned())?;
            keep(&station, rsa, pkcs8).await?;
        }
        Ok::<(), String>(())
    };
    let result = made.await;
    // The configuration may have changed meanwhile.
    if !station.signing.signs_as(&domain, &selector) {
        return;
    }
    match result {
        Ok(()) => {
            station.signing.load(&domain, &selector, false);
            log::info!("{domain}: its DKIM keys are made; `show dkim {domain}` has the DNS records");
        }
        Err(why) => station.signing.fail(&domain, why),
    }
}

/// Writes a key where only the box can read it, unless one has come there meanwhile, as by `import`.
async fn keep(station: &Station, path: PathBuf, pkcs8: Vec<u8>) -> Result<(), String> {
    let shown = path.display().to_string();
    let written = station.blocking(move || {
        let folder = path.parent().unwrap_or(Path::new("."));
        files::make_private_dir(folder)?;
        match files::stamp(&path) {
            None => files::replace(&path, pem_of(&pkcs8).as_bytes()),
            Some(_) => Ok(()),
        }
    });
    match written.await {
        Some(result) => result.map_err(|e| format!("{shown}: {e}")),
        None => Err("the box is stopping".to_owned()),
    }
}
