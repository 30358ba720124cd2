//! The wear of the medium, gathered for the console: what the spools count, what the block device counts, what an
//! eMMC says of itself, and the alarm when the end of a medium is near.

use std::path::Path;

use crate::config::Config;
use crate::console::flash::{DomainWear, FlashReport};
use crate::limits::FLASH_ALARM_YEARS;
use crate::os::clock;
use crate::os::medium::Medium;
use crate::relay::Office;
use crate::spool::{EmmcLife, years_left};
use crate::tasks::station::Station;
use crate::time::Now;

/// The medium under the data directory since the start of the daemon.
#[derive(Debug)]
pub struct WearMeter {
    medium: Medium,
    /// What the device had written then.
    base_bytes: u64,
    started: Now,
}

impl WearMeter {
    pub fn start(data: &Path) -> Self {
        let medium = Medium::of(data, Path::new("/sys"));
        let base_bytes = medium.written_bytes().unwrap_or(0);
        WearMeter { medium, base_bytes, started: clock::now() }
    }

    fn device_bytes(&self) -> Option<u64> {
        Some(self.medium.written_bytes()?.saturating_sub(self.base_bytes))
    }

    /// At the pace since the start: the device's where it counts, else the spools'.
    fn years_left(&self, config: &Config, office: &Office, emmc: Option<EmmcLife>, now: Now) -> Option<f64> {
        let spools = || office.posts().map(|(_, post)| post.log.wear().bytes()).sum();
        let written: u64 = self.device_bytes().unwrap_or_else(spools);
        let used = emmc.map_or(0, |emmc| emmc.surely_used_percent());
        years_left(config.machine.endurance_bytes?, used, written, now.mono.since(self.started.mono))
    }

    /// What the operator should know of the medium.
    pub fn alarms(&self, config: &Config, office: &Office, now: Now) -> impl Iterator<Item = String> + use<> {
        let emmc = self.medium.emmc_life();
        let years = self.years_left(config, office, emmc, now);
        let soon = years.filter(|years| *years < FLASH_ALARM_YEARS as f64).map(|years| {
            format!("flash: at this pace the medium is worn out in {years:.1} years; see `show flash`")
        });
        emmc.and_then(|emmc| emmc.alarm()).into_iter().chain(soon)
    }
}

/// `show flash`.
pub fn flash(station: &Station) -> FlashReport {
    let (now, office, meter) = (clock::now(), station.office.borrow(), &station.wear);
    let emmc = meter.medium.emmc_life();
    let domain = |(name, post): (&crate::mail::Domain, &crate::relay::Post)| {
        let wear = post.log.wear();
        DomainWear {
            name: name.to_string(),
            today_bytes: post.written_today(now.wall).1,
            written_bytes: wear.bytes(),
            stored_bytes: wear.bytes_stored,
            amplification: wear.amplification(),
        }
    };
    let today_since = office.posts().map(|(_, post)| post.written_today(now.wall).0).min();
    FlashReport {
        domains: office.posts().map(domain).collect(),
        today_since: today_since.unwrap_or(meter.started.wall),
        since: meter.started.wall,
        device: meter.device_bytes().zip(meter.medium.name()).map(|(bytes, name)| (name, bytes)),
        endurance_bytes: office.config().machine.endurance_bytes,
        years_left: meter.years_left(office.config(), &office, emmc, now),
        emmc,
    }
}
