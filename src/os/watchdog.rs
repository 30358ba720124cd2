//! The hardware watchdog: resets the machine when nobody feeds it. Source: the kernel's watchdog-api.
//! A real one is taken before the kernel's own software one. How long it waits is set on the kernel's
//! command line. Danger: once opened it must be fed to the machine's end, which it also watches over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// An armed watchdog. Dropping it leaves it armed.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
    pub identity: String,
    /// From the last feeding to the reset, in seconds; 0 where the driver does not say.
    pub timeout_s: u64,
}

impl Watchdog {
    /// Arms the best watchdog of the machine; `None` where there is none.
    ///
    /// # Errors
    /// Those of opening its device, `ResourceBusy` when something else feeds it.
    pub fn arm() -> io::Result<Option<Self>> {
        let Some((name, identity, timeout_s)) = best(Path::new("/sys/class/watchdog")) else {
            return Ok(None);
        };
        let device = OpenOptions::new().write(true).open(Path::new("/dev").join(name))?;
        Ok(Some(Watchdog { device, identity, timeout_s }))
    }

    /// Puts the reset off by the whole timeout.
    ///
    /// # Errors
    /// Those of writing to the device; the reset then comes.
    pub fn feed(&mut self) -> io::Result<()> {
        self.device.write_all(b"\0")
    }
}

/// Name, identity and timeout of the watchdog to take: any real one before `Software Watchdog`.
fn best(class: &Path) -> Option<(String, String, u64)> {
    let mut found: Vec<_> = fs::read_dir(class)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let text = |file| Some(fs::read_to_string(entry.path().join(file)).ok()?.trim().to_owned());
            let identity = text("identity")?;
            let timeout_s = text("timeout").and_then(|t| t.parse().ok()).unwrap_or(0);
            Some((entry.file_name().into_string().ok()?, identity, timeout_s))
        })
        .collect();
    found.sort_by_key(|(name, identity, _)| (identity.contains("Software"), name.clone()));
    found.into_iter().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_watchdog_comes_before_the_software_one() {
        let class = std::env::temp_dir().join(format!("stagepost-watchdog-{}", std::process::id()));
        assert_eq!(best(&class), None);
        for (name, identity) in [("watchdog0", "Software Watchdog\n"), ("watchdog1", "i6300ESB timer\n")] {
            fs::create_dir_all(class.join(name)).unwrap();
            fs::write(class.join(name).join("identity"), identity).unwrap();
            fs::write(class.join(name).join("timeout"), "30\n").unwrap();
        }
        assert_eq!(best(&class), Some(("watchdog1".into(), "i6300ESB timer".into(), 30)));
        fs::remove_dir_all(&class).unwrap();
    }
}
