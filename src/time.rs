//! Time as a value. [`Instant`] is monotonic and orders events; [`WallTime`] is what goes into headers,
//! records and logs. Nothing here reads a clock: `os::clock` does, and hands the value in.
//! Sources: RFC 5322 §3.3 (dates of header fields), Figure 1B (the `From SENDER DATE` line).

use std::ops::{Add, AddAssign};
use std::time::Duration;

use time::{Date, Month, Time, UtcDateTime};

/// A point of monotonic time: nanoseconds since an origin that the clock chose (boot, or a test's zero).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    pub const ORIGIN: Instant = Instant(0);
    /// Later than anything that happens.
    pub const NEVER: Instant = Instant(u64::MAX);

    pub const fn from_nanos(ns: u64) -> Self {
        Instant(ns)
    }

    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, by: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

/// Wall-clock time: milliseconds since 1970-01-01T00:00:00Z. The appliance speaks UTC (`+0000`) everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(u64);

impl WallTime {
    /// 9999-12-30T22:00:00Z: a day later a date has no RFC 5322 form, wherever it is read.
    const MILLIS_MAX: u64 = 253_402_207_200_000;

    /// Times past 9999-12-30T22:00:00Z are taken as that moment.
    pub const fn from_unix_millis(ms: u64) -> Self {
        WallTime(if ms > Self::MILLIS_MAX { Self::MILLIS_MAX } else { ms })
    }

    pub const fn from_unix_seconds(s: u64) -> Self {
        Self::from_unix_millis(s.saturating_mul(1000))
    }

    pub const fn unix_millis(self) -> u64 {
        self.0
    }

    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1000
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    pub const fn since(self, earlier: WallTime) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// `Mon, 27 Nov 2000 10:18:52 +0000` (RFC 5322 §3.3).
    pub fn rfc5322(self) -> String {
        let (weekday, month, day, clock, year) = self.parts();
        format!("{weekday}, {day:02} {month} {year:04} {clock} +0000")
    }

    /// `Mon Nov 27 10:19:23 2000`, as the `From SENDER DATE` line of Figure 1B has it.
    pub fn ctime(self) -> String {
        let (weekday, month, day, clock, year) = self.parts();
        format!("{weekday} {month} {day:2} {clock} {year:04}")
    }

    /// `2000-11-27T10:19:23Z` (RFC 3339), for logs and JSON.
    pub fn rfc3339(self) -> String {
        let (year, month, day) = self.date();
        format!("{year:04}-{month:02}-{day:02}T{}Z", self.parts().3)
    }

    /// `2000-11-27T10:19:23Z`, or with another offset; whole seconds count.
    pub fn parse_rfc3339(text: &str) -> Option<WallTime> {
        let (stamp, zone) = text.split_at_checked("2000-11-27T10:19:23".len())?;
        let (marks, digits): (String, String) = stamp.chars().partition(|c| !c.is_ascii_digit());
        let is_mark = |at: usize| matches!(at, 4 | 7 | 10 | 13 | 16);
        let in_place = stamp.bytes().enumerate().all(|(at, b)| b.is_ascii_digit() != is_mark(at));
        let written =
            WallTime::parse_digits(&digits).filter(|_| in_place && marks.eq_ignore_ascii_case("--t::"));
        let fraction = zone.strip_prefix('.');
        let zone = fraction.map_or(zone, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
        let east_seconds = offset_seconds(zone)?;
        written?.unix_seconds().checked_add_signed(-east_seconds).map(WallTime::from_unix_seconds)
    }

    /// `20001127101923`, as certificates have it; `None` for anything else, and before 1970.
    pub fn parse_digits(text: &str) -> Option<WallTime> {
        if text.len() != 14 || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let two = |at: usize| text[at..at + 2].parse::<u8>().ok();
        let month = Month::try_from(two(4)?).ok()?;
        let date = Date::from_calendar_date(text[..4].parse().ok()?, month, two(6)?).ok()?;
        let time = Time::from_hms(two(8)?, two(10)?, two(12)?).ok()?;
        let seconds = UtcDateTime::new(date, time).unix_timestamp();
        u64::try_from(seconds).ok().map(WallTime::from_unix_seconds)
    }

    /// Year, month and day in UTC.
    pub fn date(self) -> (i32, u8, u8) {
        let civil = self.civil();
        (civil.year(), civil.month().into(), civil.day())
    }

    /// What mail's dates are made of: weekday, month, day of the month, time of the day, year.
    fn parts(self) -> (String, String, u8, String, i32) {
        let civil = self.civil();
        let (hour, minute, second) = civil.as_hms();
        let short = |name: String| name[..3].to_owned();
        let clock = format!("{hour:02}:{minute:02}:{second:02}");
        (
            short(civil.weekday().to_string()),
            short(civil.month().to_string()),
            civil.day(),
            clock,
            civil.year(),
        )
    }

    fn civil(self) -> UtcDateTime {
        let seconds = i64::try_from(self.unix_seconds()).expect("bounded by MILLIS_MAX");
        UtcDateTime::from_unix_timestamp(seconds).expect("bounded by MILLIS_MAX")
    }
}

/// How far east of UTC `Z` or `+01:00` is.
fn offset_seconds(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = match zone.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    let two = |text: &str, below: i64| {
        let is_number = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<i64>().ok().filter(|n| is_number && *n < below)
    };
    Some(sign * (two(hours, 24)? * 3600 + two(minutes, 60)? * 60))
}

impl Add<Duration> for WallTime {
    type Output = WallTime;

    fn add(self, by: Duration) -> WallTime {
        Self::from_unix_millis(self.0.saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// When the program was built, by the build's `SOURCE_DATE_EPOCH` (seconds since 1970), so that the same source
/// makes the same program, but at least the beginning of the year 2026, in which this line was written. No
/// clock that is right is behind it.
pub const BUILT: WallTime = WallTime::from_unix_seconds(match option_env!("SOURCE_DATE_EPOCH") {
    Some(digits) if number(digits.as_bytes()) > WRITTEN_S => number(digits.as_bytes()),
    _ => WRITTEN_S,
});

const WRITTEN_S: u64 = 1_767_225_600;

const fn number(digits: &[u8]) -> u64 {
    let (mut value, mut at) = (0, 0);
    while at < digits.len() {
        assert!(digits[at].is_ascii_digit(), "SOURCE_DATE_EPOCH is a number of seconds");
        value = value * 10 + (digits[at] - b'0') as u64;
        at += 1;
    }
    value
}

/// A pair of readings taken at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub mono: Instant,
    pub wall: WallTime,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_the_figures_have_them() {
        let t = WallTime::from_unix_seconds(975_320_363);
        assert_eq!(t.rfc5322(), "Mon, 27 Nov 2000 10:19:23 +0000");
        assert_eq!(t.ctime(), "Mon Nov 27 10:19:23 2000");
        assert_eq!(t.rfc3339(), "2000-11-27T10:19:23Z");
        assert_eq!(t.date(), (2000, 11, 27));
        assert_eq!(WallTime::parse_rfc3339("2000-11-27T10:19:23Z"), Some(t));
    }

    #[test]
    fn a_time_is_read_with_its_offset() {
        let t = WallTime::from_unix_seconds(975_320_363);
        for same in [
            "2000-11-27T10:19:23Z",
            "2000-11-27t10:19:23.987z",
            "2000-11-27T11:19:23+01:00",
            "2000-11-26T22:49:23-11:30",
        ] {
            assert_eq!(WallTime::parse_rfc3339(same), Some(t), "{same}");
        }
        for wrong in [
            "2000-11-27",
            "2000-11-27T10:19:23",
            "2000-13-27T10:19:23Z",
            "2000-02-30T10:19:23Z",
            "2000-11-27T24:19:23Z",
            "2000-11-27 10:19:23Z",
            "20001127T10:19:23Z",
            "2000-11-27T10:19:23+1:00",
            "2000-11-27T10:19:23+01:60",
            "2000-11-27T10:19:23é",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert_eq!(WallTime::parse_rfc3339(wrong), None, "{wrong}");
        }
        assert_eq!(WallTime::parse_digits("20001127101923"), Some(t));
        assert_eq!(WallTime::parse_digits("2000112710192"), None);
        assert_eq!(WallTime::parse_digits("+0001127101923"), None);
    }

    #[test]
    fn the_far_future_still_has_a_date() {
        let t = WallTime::from_unix_millis(u64::MAX) + Duration::from_secs(9);
        assert_eq!(t.rfc3339(), "9999-12-30T22:00:00Z");
    }

    #[test]
    fn an_earlier_instant_is_no_time_ago() {
        let later = Instant::ORIGIN + Duration::from_secs(2);
        assert_eq!(Instant::ORIGIN.since(later), Duration::ZERO);
        assert_eq!(later.since(Instant::ORIGIN), Duration::from_secs(2));
        assert_eq!(Instant::NEVER + Duration::from_secs(1), Instant::NEVER);
    }
}
