//! What to do about the clock: believe it, slew it, step it, and when to ask again. No clock and no socket
//! here: readings and the servers' agreement come in, orders go out. Source: RFC 5905 §11.3, RFC 4330 §10.
//! Danger: a clock that nobody has set must judge no certificate; one that is set must not follow every cry.

use std::time::Duration;

use crate::limits::{
    CLOCK_ALARM_S, CLOCK_FAR_POLLS, CLOCK_FAR_S, CLOCK_STALE_S, CLOCK_STEP_MS, CLOCK_YEARS_MAX,
    NTP_POLL_FIRST_S, NTP_POLL_S, NTP_POLL_UNSET_S_MAX,
};
use crate::ntp::{Agreement, Nanos, told};
use crate::time::{Now, WallTime};

/// Whether the clock is right, and why that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Somebody else keeps this machine's clock, and knows what he does.
    Host,
    /// Nobody has set it; it began from this.
    Unset(&'static str),
    /// By whom.
    Set(&'static str),
}

/// What is to be done to the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Leave,
    /// Let it run faster or slower until this is made up.
    Slew(Nanos),
    Step(Nanos),
}

/// One for the machine.
#[derive(Clone, Debug)]
pub struct ClockKeeper {
    trust: Trust,
    /// When the servers last agreed, and how far off they found the clock.
    agreed: Option<(Now, Nanos)>,
    /// Why they have not, since then; or why the clock could not be set.
    trouble: Option<String>,
    failures: u32,
    /// Polls in a row that found a clock far off which servers had set.
    far: u32,
}

const SERVERS: &str = "the time servers";
const MACHINE: &str = "the machine's own clock";
const OPERATOR: &str = "the operator";

/// How a machine's clock is to begin: what it is to be set to, where it is not plausible as it is. `known` is
/// the last time that the machine knew.
pub fn begin(wall: WallTime, known: Option<WallTime>, built: WallTime) -> (Option<WallTime>, Trust) {
    let latest = built + Duration::from_secs(CLOCK_YEARS_MAX * 366 * 86_400);
    // A last known time beyond belief would make every other one implausible.
    let known = known.filter(|known| (built..latest).contains(known));
    let floor = known.unwrap_or(built);
    if (floor..latest).contains(&wall) {
        return (None, Trust::Set(MACHINE));
    }
    let from =
        if known.is_some() { "the last time it knew" } else { "the time at which the program was built" };
    (Some(floor), Trust::Unset(from))
}

impl ClockKeeper {
    pub fn new(trust: Trust) -> Self {
        ClockKeeper { trust, agreed: None, trouble: None, failures: 0, far: 0 }
    }

    /// Whether this program sets the clock.
    pub fn keeps(&self) -> bool {
        self.trust != Trust::Host
    }

    /// From now on the clock is ours to set, or is not.
    pub fn take_duty(&mut self, keeps: bool) {
        if keeps != self.keeps() {
            *self = ClockKeeper::new(if keeps { Trust::Set(MACHINE) } else { Trust::Host });
        }
    }

    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// How far off the servers last found the clock.
    pub fn offset(&self) -> Option<Nanos> {
        self.agreed.map(|(_, offset)| offset)
    }

    /// Takes what a poll of the servers came to.
    pub fn heard(&mut self, now: Now, result: Result<Agreement, String>) -> Order {
        let agreement = match result {
            Ok(agreement) => agreement,
            Err(why) => {
                self.trouble = Some(why);
                self.failures = self.failures.saturating_add(1);
                return Order::Leave;
            }
        };
        let offset = agreement.offset;
        self.agreed = Some((now, offset));
        (self.trouble, self.failures) = (None, 0);
        if !self.keeps() {
            return Order::Leave;
        }
        let far = self.trust == Trust::Set(SERVERS) && magnitude(offset) > Duration::from_secs(CLOCK_FAR_S);
        self.far = if far { self.far + 1 } else { 0 };
        if far && self.far < CLOCK_FAR_POLLS {
            return Order::Leave;
        }
        match magnitude(offset) >= Duration::from_millis(CLOCK_STEP_MS) {
            true => Order::Step(offset),
            false => Order::Slew(offset),
        }
    }

    /// The order was carried out, or could not be.
    pub fn done(&mut self, order: Order, result: Result<(), String>) {
        match (order, result) {
            (Order::Leave, _) => {}
            (_, Ok(())) => {
                self.trust = Trust::Set(SERVERS);
                self.far = 0;
            }
            (_, Err(why)) => self.trouble = Some(format!("the clock cannot be set: {why}")),
        }
    }

    /// The operator has set it by hand.
    pub fn set_by_hand(&mut self) {
        *self = ClockKeeper::new(Trust::Set(OPERATOR));
    }

    /// Which family of addresses to ask next: the other one after a failure.
    pub fn prefers_ipv4(&self) -> bool {
        self.failures.is_multiple_of(2)
    }

    /// From the end of one poll to the next.
    pub fn wait(&self) -> Duration {
        let most = if matches!(self.trust, Trust::Unset(_)) { NTP_POLL_UNSET_S_MAX } else { NTP_POLL_S };
        let wait = match self.failures {
            0 => most,
            n => (NTP_POLL_FIRST_S << (n - 1).min(16)).min(most),
        };
        Duration::from_secs(wait)
    }

    /// Whether certificates may be judged by this clock; the error says why not.
    pub fn judges(&self) -> Result<(), String> {
        match self.trust {
            Trust::Unset(from) => {
                let why = self.trouble.as_deref().unwrap_or("the time servers have not been heard yet");
                Err(format!("the clock is not set, it began from {from}: {why}"))
            }
            Trust::Host | Trust::Set(_) => Ok(()),
        }
    }

    /// What the operator should know.
    pub fn alarm(&self, now: Now) -> Option<String> {
        if let Err(why) = self.judges() {
            return Some(why);
        }
        let (at, offset) = self.agreed?;
        let off = magnitude(offset) > Duration::from_secs(CLOCK_ALARM_S);
        if off && (!self.keeps() || self.far > 0 || self.trouble.is_some()) {
            let trouble = self.trouble.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
            return Some(format!("the clock is wrong: the time servers are {} ahead{trouble}", told(offset)));
        }
        let silent = now.mono.since(at.mono);
        (silent > Duration::from_secs(CLOCK_STALE_S)).then(|| {
            let why = self.trouble.as_deref().unwrap_or("they were not asked");
            format!("the time servers have not agreed for {} hours: {why}", silent.as_secs() / 3600)
        })
    }
}

fn magnitude(offset: Nanos) -> Duration {
    Duration::from_nanos(offset.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    const S: Nanos = 1_000_000_000;
    const BUILT: WallTime = WallTime::from_unix_seconds(1_700_000_000);

    fn at(s: u64) -> Now {
        Now { mono: Instant::ORIGIN + Duration::from_secs(s), wall: BUILT + Duration::from_secs(s) }
    }

    fn agreed(offset: Nanos) -> Result<Agreement, String> {
        Ok(Agreement { offset, distance: S / 100, members: vec![0, 1] })
    }

    #[test]
    fn a_clock_begins_from_the_latest_that_is_known() {
        let s = WallTime::from_unix_seconds;
        let unset_known = Trust::Unset("the last time it knew");
        let unset_built = Trust::Unset("the time at which the program was built");
        for (caption, wall, known, wanted) in [
            ("no battery, first start", s(0), None, (Some(BUILT), unset_built.clone())),
            ("no battery", s(30), Some(s(1_800_000_000)), (Some(s(1_800_000_000)), unset_known.clone())),
            ("a known time before the build", s(0), Some(s(9)), (Some(BUILT), unset_built)),
            ("a battery", s(1_800_000_100), Some(s(1_800_000_000)), (None, Trust::Set(MACHINE))),
            (
                "a battery that is behind",
                s(1_750_000_000),
                Some(s(1_800_000_000)),
                (Some(s(1_800_000_000)), unset_known.clone()),
            ),
            (
                "a battery gone mad",
                s(9_800_000_000),
                Some(s(1_800_000_000)),
                (Some(s(1_800_000_000)), unset_known),
            ),
            ("a known time gone mad", s(1_800_000_000), Some(s(9_900_000_000)), (None, Trust::Set(MACHINE))),
        ] {
            assert_eq!(begin(wall, known, BUILT), wanted, "{caption}");
        }
    }

    #[test]
    fn until_it_is_set_it_judges_nothing_and_asks_often() {
        let mut keeper = ClockKeeper::new(Trust::Unset("the last time it knew"));
        assert!(keeper.judges().unwrap_err().contains("have not been heard yet"));
        let mut waits = Vec::new();
        for n in 0..8 {
            assert_eq!(keeper.heard(at(n), Err("no time server answers".into())), Order::Leave);
            waits.push(keeper.wait().as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 64, 64]);
        assert!(keeper.alarm(at(9)).unwrap().ends_with("it knew: no time server answers"));
        let order = keeper.heard(at(9), agreed(40_000_000 * S));
        assert_eq!(order, Order::Step(40_000_000 * S));
        keeper.done(order, Err("Operation not permitted".into()));
        assert!(keeper.judges().unwrap_err().ends_with("cannot be set: Operation not permitted"));
        let order = keeper.heard(at(12), agreed(40_000_000 * S));
        keeper.done(order, Ok(()));
        assert_eq!((keeper.judges(), keeper.alarm(at(13))), (Ok(()), None));
        assert_eq!(keeper.wait().as_secs(), NTP_POLL_S);
    }

    #[test]
    fn a_set_clock_is_slewed_stepped_and_dragged_far_only_by_persistence() {
        let mut keeper = ClockKeeper::new(Trust::Set(MACHINE));
        let mut poll = |s, offset| {
            let order = keeper.heard(at(s), agreed(offset));
            keeper.done(order, Ok(()));
            (order, keeper.alarm(at(s)).is_some())
        };
        assert_eq!(poll(0, 3600 * S), (Order::Step(3600 * S), false), "a battery clock may be far off");
        assert_eq!(poll(1, S / 50), (Order::Slew(S / 50), false));
        assert_eq!(poll(2, -5 * S), (Order::Step(-5 * S), false));
        assert_eq!(poll(3, 90_000 * S), (Order::Leave, true));
        assert_eq!(poll(4, 90_000 * S), (Order::Leave, true));
        assert_eq!(poll(5, 0), (Order::Slew(0), false), "it was a passing cry");
        assert_eq!(poll(6, 90_000 * S), (Order::Leave, true));
        assert_eq!(poll(7, 90_000 * S), (Order::Leave, true));
        assert_eq!(poll(8, 90_000 * S), (Order::Step(90_000 * S), false), "it was not");
    }

    #[test]
    fn silence_of_a_day_is_told() {
        let mut keeper = ClockKeeper::new(Trust::Set(MACHINE));
        keeper.heard(at(0), agreed(0));
        keeper.heard(at(100), Err("no time server answers".into()));
        assert_eq!(keeper.alarm(at(1000)), None);
        let alarm = keeper.alarm(at(2 * 86_400)).unwrap();
        assert_eq!(alarm, "the time servers have not agreed for 48 hours: no time server answers");
    }

    #[test]
    fn somebody_elses_clock_is_only_looked_at() {
        let mut keeper = ClockKeeper::new(Trust::Host);
        assert_eq!(keeper.heard(at(0), agreed(3600 * S)), Order::Leave);
        assert_eq!(keeper.judges(), Ok(()));
        assert_eq!(keeper.alarm(at(1)).unwrap(), "the clock is wrong: the time servers are 3600.0 s ahead");
        keeper.take_duty(true);
        assert_eq!(keeper.heard(at(2), agreed(3600 * S)), Order::Step(3600 * S));
        keeper.take_duty(false);
        assert!(!keeper.keeps() && keeper.offset().is_none());
    }
}
