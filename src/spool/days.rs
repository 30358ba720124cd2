//! How fast a medium wears: what was written today, and how long it lasts at that pace. Counts live in memory;
//! keeping them over a restart would itself wear the flash, so a start begins anew and says since when it counts.

use std::time::Duration;

use crate::spool::Wear;
use crate::time::WallTime;

const DAY_MS: u64 = 86_400_000;
const YEAR: Duration = Duration::from_secs(365 * 86_400 + 86_400 / 4);

/// Parts a count that only grows by days of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Today {
    /// Days since 1970.
    day: u64,
    /// The count when the day, or the counting, began.
    base: u64,
    /// When that was.
    pub since: WallTime,
}

impl Today {
    /// Counting begins, at `count`.
    pub fn new(now: WallTime, count: u64) -> Self {
        Today { day: now.unix_millis() / DAY_MS, base: count, since: now }
    }

    /// Brings this up to `now`, where `count` is what was counted until now. It is called before the count
    /// grows, so that what is written after midnight is the new day's, however long nobody looked.
    pub fn turn(&mut self, now: WallTime, count: u64) {
        let day = now.unix_millis() / DAY_MS;
        if day != self.day {
            // A clock that is set goes to another day too; it then counts from there.
            let midnight = WallTime::from_unix_millis(day * DAY_MS);
            let since = if day == self.day + 1 { midnight } else { now };
            *self = Today { day, base: count, since };
        }
    }

    /// What was counted today.
    pub fn of(&self, count: u64) -> u64 {
        count.saturating_sub(self.base)
    }
}

impl Wear {
    /// All bytes that went to the medium.
    pub fn bytes(&self) -> u64 {
        self.bytes_written + self.bytes_zeroed
    }

    /// Bytes written for each byte of the messages that were stored; `None` when none was.
    pub fn amplification(&self) -> Option<f64> {
        (self.bytes_stored > 0).then(|| self.bytes() as f64 / self.bytes_stored as f64)
    }
}

/// How many years a medium lasts that endures `endurance_bytes`, of which `used_percent` are gone, when
/// `written_bytes` were written in `time`. A time of less than a day counts as a day, so that one busy hour
/// does not pass for a habit. `None`: nothing was written.
pub fn years_left(endurance_bytes: u64, used_percent: u8, written_bytes: u64, time: Duration) -> Option<f64> {
    let days = time.max(Duration::from_millis(DAY_MS)).as_secs_f64() / YEAR.as_secs_f64();
    let left = endurance_bytes as f64 * f64::from(100 - used_percent.min(100)) / 100.0;
    let left = (left - written_bytes as f64).max(0.0);
    (written_bytes > 0).then(|| left / (written_bytes as f64 / days))
}

/// What an eMMC says of its own life (JEDEC JESD84-B51, EXT_CSD [267..=269]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmmcLife {
    /// Of the cells of type A and of type B, how many percent of their life are used at most: 10, 20, ... 100;
    /// 110 where the estimate is exceeded. `None`: the medium does not say.
    pub used_percent: [Option<u8>; 2],
    pub reserve: EmmcReserve,
}

/// The blocks that an eMMC keeps in reserve for bad ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmmcReserve {
    Unknown,
    Normal,
    /// 80 % of them are in use.
    Warning,
    /// 90 % of them are.
    Urgent,
}

impl EmmcReserve {
    pub fn word(self) -> &'static str {
        match self {
            EmmcReserve::Unknown => "unknown",
            EmmcReserve::Normal => "normal",
            EmmcReserve::Warning => "warning",
            EmmcReserve::Urgent => "urgent",
        }
    }
}

impl EmmcLife {
    /// Reads the kernel's `life_time` (`0x01 0x02`) and `pre_eol_info` (`0x01`).
    pub fn parse(life_time: &str, pre_eol_info: &str) -> Option<Self> {
        let mut steps = life_time.split_whitespace().map(number);
        let used = |step: u8| (1..=11).contains(&step).then(|| step * 10);
        let used_percent = [used(steps.next()??), used(steps.next()??)];
        let reserve = match number(pre_eol_info.trim()) {
            Some(1) => EmmcReserve::Normal,
            Some(2) => EmmcReserve::Warning,
            Some(3) => EmmcReserve::Urgent,
            _ => EmmcReserve::Unknown,
        };
        Some(EmmcLife { used_percent, reserve })
    }

    /// What is surely used, of the cells that are used more: a step of ten says between the last and this.
    pub fn surely_used_percent(&self) -> u8 {
        self.used_percent.iter().flatten().max().map_or(0, |most| most - 10)
    }

    /// What is wrong, if it is near its end.
    pub fn alarm(&self) -> Option<String> {
        let worn = self.used_percent.iter().flatten().max().filter(|used| **used >= 100);
        match (worn, self.reserve) {
            (Some(110..), _) => Some("the eMMC says that its life is over: replace it".to_owned()),
            (Some(_), _) => Some("the eMMC says that over 90 % of its life are used: replace it".to_owned()),
            (None, EmmcReserve::Warning) => {
                Some("the eMMC says that 80 % of its reserve are in use: replace it soon".to_owned())
            }
            (None, EmmcReserve::Urgent) => {
                Some("the eMMC says that 90 % of its reserve are in use: replace it now".to_owned())
            }
            (None, EmmcReserve::Normal | EmmcReserve::Unknown) => None,
        }
    }
}

fn number(word: &str) -> Option<u8> {
    u8::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u64, second: u64) -> WallTime {
        WallTime::from_unix_seconds(day * 86_400 + second)
    }

    #[test]
    fn a_day_begins_at_midnight_whenever_somebody_looks() {
        let mut today = Today::new(at(20_000, 50_000), 100);
        today.turn(at(20_000, 86_399), 300);
        assert_eq!((today.of(300), today.since), (200, at(20_000, 50_000)), "since the start");
        // The last count before midnight was 450; the next write is looked at before it is counted.
        today.turn(at(20_001, 7_000), 450);
        assert_eq!((today.of(450), today.since), (0, at(20_001, 0)));
        assert_eq!(today.of(470), 20);
        today.turn(at(20_001, 86_000), 470);
        assert_eq!(today.of(470), 20);
        today.turn(at(20_009, 5), 470);
        assert_eq!((today.of(470), today.since), (0, at(20_009, 5)), "a clock that was set");
    }

    #[test]
    fn years_follow_from_the_pace() {
        let day = Duration::from_secs(86_400);
        let years = |endurance, used, written, time| years_left(endurance, used, written, time);
        assert_eq!(years(1 << 40, 0, 0, day), None);
        // A gibibyte a day, of a tebibyte: 1023 days more.
        let one = years(1 << 40, 0, 1 << 30, day).unwrap();
        assert!((one - 1023.0 / 365.25).abs() < 0.001, "{one}");
        assert_eq!(years(1 << 40, 0, 1 << 30, Duration::from_secs(60)), Some(one), "an hour is no habit");
        let half = years(1 << 40, 50, 1 << 30, day).unwrap();
        assert!((half - 511.0 / 365.25).abs() < 0.001, "{half}");
        assert_eq!(years(1 << 30, 100, 5, day), Some(0.0));
    }

    #[test]
    fn an_emmc_is_believed_in_steps_of_ten() {
        let life = |time: &str, reserve: &str| EmmcLife::parse(time, reserve).unwrap();
        let young = life("0x01 0x02\n", "0x01\n");
        assert_eq!((young.used_percent, young.reserve), ([Some(10), Some(20)], EmmcReserve::Normal));
        assert_eq!((young.surely_used_percent(), young.alarm()), (10, None));
        for (time, reserve, said) in [
            ("0x0a 0x01", "0x01", "over 90 %"),
            ("0x01 0x0b", "0x01", "is over"),
            ("0x00 0x00", "0x02", "80 %"),
            ("0x05 0x05", "0x03", "now"),
        ] {
            let alarm = life(time, reserve).alarm().unwrap();
            assert!(alarm.contains(said), "{time} {reserve}: {alarm}");
        }
        for bad in ["", "0x01", "1 2", "0x01 x"] {
            assert_eq!(EmmcLife::parse(bad, "0x01"), None, "{bad:?}");
        }
    }
}
