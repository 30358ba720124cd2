//! Failed AUTH commands, counted by address and by user (RFC 4954 §9): who guesses waits longer each time, and
//! an address that goes on guessing is not listened to for a while. Danger: a user must not be locked out by
//! strangers who guess at him, so what is counted against a user slows down failures alone.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::limits::{
    AUTH_FAILURES_SUSPICIOUS, AUTH_PENALTY_S, AUTH_PENALTY_S_MAX, AUTH_TALLIES_MAX, AUTH_WINDOW_S,
};
use crate::smtp::{Enhanced, Reply};
use crate::time::Instant;

/// The failures of the last while; bounded.
#[derive(Debug, Default)]
pub struct Guesses {
    /// Of IPv6 addresses, their networks of 64 bits count.
    addresses: Tallies<IpAddr>,
    users: Tallies<String>,
    total: u64,
}

#[derive(Clone, Copy, Debug)]
struct Tally {
    failures: u32,
    last: Instant,
}

impl Tally {
    fn is_over(&self, now: Instant) -> bool {
        now.since(self.last) >= Duration::from_secs(AUTH_WINDOW_S)
    }

    fn penalty(&self) -> Duration {
        let s = AUTH_PENALTY_S.saturating_mul(self.failures.into()).min(AUTH_PENALTY_S_MAX);
        Duration::from_secs(s)
    }
}

#[derive(Debug)]
struct Tallies<K>(HashMap<K, Tally>);

impl<K> Default for Tallies<K> {
    fn default() -> Self {
        Tallies(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash + Ord> Tallies<K> {
    /// Counts one more failure; where there is no room, the one who has been quiet longest is forgotten.
    fn add(&mut self, key: K, now: Instant) -> Tally {
        if self.0.len() >= AUTH_TALLIES_MAX && !self.0.contains_key(&key) {
            self.0.retain(|_, tally| !tally.is_over(now));
            if self.0.len() >= AUTH_TALLIES_MAX
                && let Some(quiet) = self.0.iter().min_by_key(|(_, t)| t.last).map(|(key, _)| key.clone())
            {
                self.0.remove(&quiet);
            }
        }
        let tally = self.0.entry(key).or_insert(Tally { failures: 0, last: now });
        let before = if tally.is_over(now) { 0 } else { tally.failures };
        *tally = Tally { failures: before.saturating_add(1), last: now };
        *tally
    }

    /// Those who have failed suspiciously often, the worst first.
    fn suspects(&self, now: Instant) -> Vec<(&K, u32)> {
        let many = |tally: &Tally| !tally.is_over(now) && tally.failures >= AUTH_FAILURES_SUSPICIOUS;
        let mut found: Vec<(&K, u32)> =
            self.0.iter().filter(|(_, t)| many(t)).map(|(key, t)| (key, t.failures)).collect();
        found.sort_by(|(a, x), (b, y)| y.cmp(x).then(a.cmp(b)));
        found
    }
}

impl Guesses {
    /// Counts a failure. Gives how long its reply waits.
    pub fn failed(&mut self, now: Instant, ip: IpAddr, user: &str) -> Duration {
        self.total += 1;
        let (address, user) =
            (self.addresses.add(neighbourhood(ip), now), self.users.add(user.to_ascii_lowercase(), now));
        address.penalty().max(user.penalty())
    }

    /// Whether an address may try now.
    pub fn may_try(&self, now: Instant, ip: IpAddr) -> Result<(), Reply> {
        let Some(tally) = self.addresses.0.get(&neighbourhood(ip)) else { return Ok(()) };
        let until = tally.last + tally.penalty();
        if tally.is_over(now) || tally.failures < AUTH_FAILURES_SUSPICIOUS || until <= now {
            return Ok(());
        }
        let wait_s = until.since(now).as_secs() + 1;
        let text = format!("Too many failures from your address; try again in {wait_s} s");
        Err(Reply::new(454, Enhanced(4, 7, 0), text))
    }

    /// All failures since the start.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What the operator should know: the worst of the suspects, and how many more there are.
    pub fn alarms(&self, now: Instant) -> Vec<String> {
        let minutes = AUTH_WINDOW_S / 60;
        let tell = |what: String, more: usize| {
            let more = if more == 0 { String::new() } else { format!(", and {more} more") };
            format!(
                "AUTH failed {what} within {minutes} min{more}: somebody guesses passwords, or one is wrong"
            )
        };
        let users = self.users.suspects(now);
        let addresses = self.addresses.suspects(now);
        let of_user = users.first().map(|(user, n)| tell(format!("{n} times for {user}"), users.len() - 1));
        let of_address =
            addresses.first().map(|(ip, n)| tell(format!("{n} times from {ip}"), addresses.len() - 1));
        of_user.into_iter().chain(of_address).collect()
    }
}

/// What one host can choose from counts as one address.
fn neighbourhood(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(s)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_guesses_waits_longer_each_time_and_then_for_good_measure() {
        let mut guesses = Guesses::default();
        let stranger = ip("198.51.100.7");
        for n in 1..=12 {
            let wait = guesses.failed(at(n), stranger, &format!("user{n}")).as_secs();
            assert_eq!(wait, (3 * n).min(30));
        }
        let refusal = guesses.may_try(at(13), stranger).unwrap_err();
        assert_eq!(refusal.to_string(), "454 4.7.0 Too many failures from your address; try again in 30 s");
        assert_eq!(guesses.may_try(at(42), stranger), Ok(()), "one try after each wait");
        assert_eq!(guesses.may_try(at(13), ip("198.51.100.8")), Ok(()), "another address");
        assert_eq!(guesses.total(), 12);
        let alarm = "AUTH failed 12 times from 198.51.100.7 within 10 min: somebody guesses passwords, or one is wrong";
        assert_eq!(guesses.alarms(at(13)), [alarm]);
        assert_eq!(guesses.alarms(at(12 + AUTH_WINDOW_S)), [""; 0]);
        assert_eq!(guesses.failed(at(12 + AUTH_WINDOW_S), stranger, "x").as_secs(), 3, "forgotten");
    }

    #[test]
    fn a_user_who_is_guessed_at_from_everywhere_is_slowed_not_locked() {
        let mut guesses = Guesses::default();
        for n in 0..20u8 {
            guesses.failed(
                at(n.into()),
                ip(&format!("198.51.100.{n}")),
                if n % 2 == 0 { "b1@bcd.com" } else { "B1@bcd.com" },
            );
        }
        assert_eq!(guesses.failed(at(20), ip("192.0.2.1"), "b1@bcd.com").as_secs(), 30);
        assert_eq!(guesses.may_try(at(20), ip("192.0.2.1")), Ok(()));
        assert!(guesses.alarms(at(20))[0].starts_with("AUTH failed 21 times for b1@bcd.com within 10 min:"));
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let mut guesses = Guesses::default();
        for n in 0..10 {
            guesses.failed(at(0), ip(&format!("2001:db8::{n}")), &format!("u{n}"));
        }
        assert!(guesses.may_try(at(1), ip("2001:db8::ffff")).is_err());
        assert!(guesses.may_try(at(1), ip("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn what_is_counted_is_bounded() {
        let mut guesses = Guesses::default();
        for n in 0..3 * AUTH_TALLIES_MAX {
            let address = IpAddr::V4((n as u32 + 1).into());
            guesses.failed(at(n as u64 / 100), address, &format!("u{n}"));
        }
        assert_eq!((guesses.addresses.0.len(), guesses.users.0.len()), (AUTH_TALLIES_MAX, AUTH_TALLIES_MAX));
    }
}
