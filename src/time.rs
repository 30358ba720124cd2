//! Time as a value. [`Instant`] is monotonic and orders events; [`WallTime`] is what goes into headers,
//! records and logs. Nothing here reads a clock: `os::clock` does, and hands the value in.
//! Sources: RFC 5322 §3.3 (dates of header fields), Figure 1B (the `From SENDER DATE` line).

use std::ops::{Add, AddAssign};
use std::time::Duration;

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
    /// 9999-12-30T22:00:00Z, the last moment that `jiff` takes: beyond it a date has no RFC 5322 form.
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
        self.civil().strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
    }

    /// `Mon Nov 27 10:19:23 2000`, as the `From SENDER DATE` line of Figure 1B has it.
    pub fn ctime(self) -> String {
        self.civil().strftime("%a %b %e %H:%M:%S %Y").to_string()
    }

    /// `2000-11-27T10:19:23Z` (RFC 3339), for logs and JSON.
    pub fn rfc3339(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// `2000-11-27T10:19:23Z`, or with another offset; whole seconds count.
    pub fn parse_rfc3339(text: &str) -> Option<WallTime> {
        let stamp: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(stamp.as_second()).ok().map(WallTime::from_unix_seconds)
    }

    /// Year, month and day in UTC.
    pub fn date(self) -> (i32, u8, u8) {
        let civil = self.civil();
        (i32::from(civil.year()), civil.month().unsigned_abs(), civil.day().unsigned_abs())
    }

    fn civil(self) -> jiff::civil::DateTime {
        let seconds = i64::try_from(self.unix_seconds()).expect("bounded by MILLIS_MAX");
        let stamp = jiff::Timestamp::from_second(seconds).expect("bounded by MILLIS_MAX");
        jiff::tz::Offset::UTC.to_datetime(stamp)
    }
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
        assert_eq!(WallTime::parse_rfc3339("2000-11-27"), None);
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
