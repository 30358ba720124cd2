//! `show flash`: what the spools have written to the medium, and how long that can go on. Bytes are of the logs,
//! whole pages and the zeros of new segments; the device's own count, where there is one, has the file system too.

use serde_json::{Value, json};

use crate::console::layout::{clean, pairs, size, table};
use crate::spool::EmmcLife;
use crate::time::WallTime;

/// `show flash`.
#[derive(Clone, Debug, PartialEq)]
pub struct FlashReport {
    pub domains: Vec<DomainWear>,
    /// Today is counted since then: since midnight, or the start of the daemon.
    pub today_since: WallTime,
    /// Everything else is counted since then.
    pub since: WallTime,
    /// The medium's block device, and bytes that it was given to write since the start of the daemon.
    pub device: Option<(String, u64)>,
    /// `box flash endurance`.
    pub endurance_bytes: Option<u64>,
    pub years_left: Option<f64>,
    pub emmc: Option<EmmcLife>,
}

/// What one domain's spool has written.
#[derive(Clone, Debug, PartialEq)]
pub struct DomainWear {
    pub name: String,
    pub today_bytes: u64,
    pub written_bytes: u64,
    /// Bytes of the messages that it has stored.
    pub stored_bytes: u64,
    /// Bytes written for each of these; `None` when there are none.
    pub amplification: Option<f64>,
}

impl FlashReport {
    fn sum(&self, of: impl Fn(&DomainWear) -> u64) -> u64 {
        self.domains.iter().map(of).sum()
    }

    fn amplification(&self) -> Option<f64> {
        let stored = self.sum(|d| d.stored_bytes);
        (stored > 0).then(|| self.sum(|d| d.written_bytes) as f64 / stored as f64)
    }

    pub fn text(&self, out: &mut String, width: usize) {
        let row = |name: &str, today: u64, written: u64, stored: u64, amplification: Option<f64>| {
            vec![clean(name), size(today), size(written), size(stored), times(amplification)]
        };
        let titles = ["domain", "today", "written", "stored", "times"];
        let mut rows = vec![titles.map(str::to_owned).to_vec()];
        rows.extend(
            self.domains
                .iter()
                .map(|d| row(&d.name, d.today_bytes, d.written_bytes, d.stored_bytes, d.amplification)),
        );
        let sums = (self.sum(|d| d.today_bytes), self.sum(|d| d.written_bytes), self.sum(|d| d.stored_bytes));
        rows.push(row("sum", sums.0, sums.1, sums.2, self.amplification()));
        table(out, &rows, &[1, 2, 3, 4]);
        let device = self.device.as_ref().map_or_else(
            || "does not say what it writes".to_owned(),
            |(name, bytes)| format!("{name}: {} written, file system and all", size(*bytes)),
        );
        let mut facts = vec![
            ("today", format!("since {}", self.today_since.rfc3339())),
            ("all else", format!("since {}, when stagepost started", self.since.rfc3339())),
            ("device", device),
            ("endures", self.endurance_bytes.map_or_else(untold, size)),
            ("years left", self.years_left.map_or_else(|| "-".to_owned(), years)),
        ];
        if let Some(emmc) = &self.emmc {
            let used = emmc.used_percent.map(|used| used.map_or_else(|| "?".to_owned(), |u| u.to_string()));
            let [a, b] = used;
            facts.push(("eMMC", format!("up to {a} and {b} % used, reserve {}", emmc.reserve.word())));
        }
        let facts: Vec<_> = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        pairs(out, width, &facts);
    }

    pub fn json(&self) -> Value {
        let domain = |d: &DomainWear| {
            json!({
                "name": d.name,
                "today_bytes": d.today_bytes,
                "written_bytes": d.written_bytes,
                "stored_bytes": d.stored_bytes,
                "amplification": d.amplification,
            })
        };
        let emmc = self.emmc.map(|emmc| {
            json!({ "used_percent_a": emmc.used_percent[0], "used_percent_b": emmc.used_percent[1], "reserve": emmc.reserve.word() })
        });
        json!({
            "domains": self.domains.iter().map(domain).collect::<Vec<_>>(),
            "today_bytes": self.sum(|d| d.today_bytes),
            "today_since": self.today_since.rfc3339(),
            "written_bytes": self.sum(|d| d.written_bytes),
            "stored_bytes": self.sum(|d| d.stored_bytes),
            "amplification": self.amplification(),
            "since": self.since.rfc3339(),
            "device": self.device.as_ref().map(|(name, _)| name),
            "device_written_bytes": self.device.as_ref().map(|(_, bytes)| bytes),
            "endurance_bytes": self.endurance_bytes,
            "years_left": self.years_left,
            "emmc": emmc,
        })
    }
}

fn times(amplification: Option<f64>) -> String {
    amplification.map_or_else(|| "-".to_owned(), |times| format!("{times:.2}"))
}

fn untold() -> String {
    "not told; say `box flash endurance SIZE`".to_owned()
}

fn years(years: f64) -> String {
    if years >= 100.0 { "over 100".to_owned() } else { format!("{years:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wear_is_told_in_both_forms() {
        let domain = |name: &str, today_bytes, written_bytes: u64, stored_bytes: u64| DomainWear {
            name: name.to_owned(),
            today_bytes,
            written_bytes,
            stored_bytes,
            amplification: (stored_bytes > 0).then(|| written_bytes as f64 / stored_bytes as f64),
        };
        let report = FlashReport {
            domains: vec![domain("abc.com", 0, 0, 0), domain("bcd.com", 8192, 3 << 20, 2 << 20)],
            today_since: WallTime::from_unix_seconds(975_283_200),
            since: WallTime::from_unix_seconds(975_240_000),
            device: Some(("mmcblk0p3".to_owned(), 4 << 20)),
            endurance_bytes: Some(1 << 40),
            years_left: Some(7.25),
            emmc: EmmcLife::parse("0x01 0x02", "0x01"),
        };
        let mut out = String::new();
        report.text(&mut out, 80);
        let wanted = "\
domain   today  written  stored  times
abc.com      0        0       0      -
bcd.com     8K       3M      2M   1.50
sum         8K       3M      2M   1.50
today       since 2000-11-27T00:00:00Z
all else    since 2000-11-26T12:00:00Z, when stagepost started
device      mmcblk0p3: 4M written, file system and all
endures     1T
years left  7.2
eMMC        up to 10 and 20 % used, reserve normal
";
        assert_eq!(out, wanted);
        let json = report.json();
        assert_eq!(json["domains"][1]["amplification"], 1.5);
        assert_eq!(json["emmc"]["used_percent_b"], 20);
        assert_eq!((&json["today_bytes"], &json["years_left"]), (&json!(8192), &json!(7.25)));
    }
}
