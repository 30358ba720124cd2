//! Opens the spools of domains, at the start and when a configuration brings new ones. Reading a spool waits
//! for flash, so at run time it happens on the flusher's thread.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Config, DomainConfig};
use crate::limits::SPOOL_SHARE_PERCENT;
use crate::mail::Domain;
use crate::os::flash_files::FlashFiles;
use crate::os::{clock, entropy, files};
use crate::relay::Office;
use crate::spool::{Bounds, DomainLog, Recovery};
use crate::tasks::station::Station;

/// The spool of a domain, read and ready for the office.
pub struct OpenSpool {
    name: Domain,
    log: DomainLog,
    flash: Arc<FlashFiles>,
    found: Recovery,
    /// The operator holds its mail.
    held: bool,
}

impl OpenSpool {
    /// Opens the spool below `data`. A damaged one opens too, with what is readable of it.
    ///
    /// # Errors
    /// When its folder cannot be made or listed; the text names it.
    pub fn read(data: &Path, name: &Domain, quota_bytes: u64) -> Result<OpenSpool, String> {
        let dir = data.join("spool").join(name.as_str());
        let told = |e: io::Error| format!("{}: {e}", dir.display());
        let flash = Arc::new(FlashFiles::open(&dir).map_err(told)?);
        let (log, found) = DomainLog::recover(&*flash, Bounds::for_quota(quota_bytes, entropy::u64()));
        if !found.messages.is_empty() {
            log::info!("{name}: {} messages in the spool", found.messages.len());
        }
        for damage in &found.damage {
            log::error!("{name}: the spool is damaged: {damage}");
        }
        let held = files::stamp(&hold_mark(data, name)).is_some();
        Ok(OpenSpool { name: name.clone(), log, flash, found, held })
    }

    /// Gives the domain its post. Mail in the spool is due from now on.
    pub fn enter(self, office: &mut Office) {
        let OpenSpool { name, log, flash, found, held } = self;
        office.open(clock::now(), name.clone(), log, flash, &found);
        if held {
            office.hold_again(&name);
        }
    }
}

/// The file that stands in a domain's spool as long as the operator holds its mail.
fn hold_mark(data: &Path, name: &Domain) -> PathBuf {
    data.join("spool").join(name.as_str()).join("held")
}

/// Keeps the marks of these domains as the office has their holds, so that a hold outlives a restart.
///
/// # Errors
/// The first mark that could not be made or removed, and why.
pub async fn keep_hold_marks(station: &Station, names: Vec<Domain>) -> Result<(), String> {
    let marks: Vec<(PathBuf, bool)> = {
        let office = station.office.borrow();
        let mark = |name: &Domain| (hold_mark(&station.data, name), office.is_held(name));
        names.iter().map(mark).collect()
    };
    let keep = move || -> Result<(), String> {
        for (path, held) in marks {
            let there = files::stamp(&path).is_some();
            let kept = match (held, there) {
                (true, false) => files::replace(&path, b""),
                (false, true) => files::unlink(&path),
                _ => Ok(()),
            };
            kept.map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    };
    station.blocking(keep).await.unwrap_or(Ok(()))
}

/// What a domain's spool may take: its own quota, or an equal share of the room in the data directory.
pub fn quota_bytes(data: &Path, config: &Config, domain: &DomainConfig) -> u64 {
    domain.quota_bytes.unwrap_or_else(|| {
        let room = files::room_bytes(data).unwrap_or(u64::MAX);
        room / 100 * SPOOL_SHARE_PERCENT / config.domains.len().max(1) as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_without_a_quota_has_an_equal_share() {
        let text = "domain abc.com address 192.0.2.1\ndomain bcd.com address 192.0.2.2\n\
                    domain bcd.com quota 64M\ndomain cde.com address 192.0.2.3\ndomain def.com address 192.0.2.4\n";
        let config = crate::config::parse(text.as_bytes()).unwrap();
        let data = std::env::temp_dir();
        let share = files::room_bytes(&data).unwrap() / 100 * SPOOL_SHARE_PERCENT / 4;
        let quotas: Vec<u64> = config.domains.iter().map(|d| quota_bytes(&data, &config, d)).collect();
        assert_eq!(quotas, [share, 64 << 20, share, share]);
    }
}
