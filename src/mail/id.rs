//! Names of messages: the queue id that people read aloud, and the Message-Id of RFC 5322 §3.6.4.
//! Source: Crockford's base32 (no I, L, O, U); Figure 2B for `<...@bcd.com>`.
//! Danger: a clock that goes backwards must not give one id twice, or a done message would hide a new one.

use std::fmt;

use crate::mail::Domain;
use crate::prng::Prng;
use crate::time::WallTime;

/// Digits of Crockford's base32, five bits each.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Digits of a queue id as text.
const ID_DIGITS: usize = 10;
/// Bits of a queue id: seconds since 1970 above, a serial number within the second below.
const ID_BITS: u32 = 50;
const SERIAL_BITS: u32 = 12;
/// A second's serial numbers begin below this, at random.
const SERIAL_START_MAX: usize = 1 << 10;

const _: () = assert!(ID_DIGITS * 5 == ID_BITS as usize);

/// A message's name within this box. Later ids are greater; the text form is ten digits of base32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(u64);

impl QueueId {
    /// The id as stored in records; `None` when the number has more than 50 bits.
    pub const fn from_u64(number: u64) -> Option<Self> {
        if number >> ID_BITS == 0 { Some(QueueId(number)) } else { None }
    }

    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// Reads ten digits in any case; `I` and `L` are taken as 1, `O` as 0.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != ID_DIGITS {
            return None;
        }
        let number = text.bytes().try_fold(0u64, |number, b| Some(number << 5 | digit_value(b)?));
        number.map(QueueId)
    }
}

fn digit_value(digit: u8) -> Option<u64> {
    let digit = match digit.to_ascii_uppercase() {
        b'I' | b'L' => b'1',
        b'O' => b'0',
        other => other,
    };
    DIGITS.iter().position(|d| *d == digit).map(|value| value as u64)
}

/// The last `width` base32 digits of `number`.
pub(super) fn base32(number: u64, width: usize) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        (0..width).rev().try_for_each(|place| {
            let value = number.checked_shr(place as u32 * 5).unwrap_or(0) & 31;
            write!(f, "{}", char::from(DIGITS[value as usize]))
        })
    })
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base32(self.0, ID_DIGITS).fmt(f)
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Gives out ids. Each is greater than all before it and greater than all that the spool has seen,
/// whatever the clock says; serial numbers start at random so that ids of mail that was never stored are
/// unlikely to come again after a restart with a clock gone backwards.
#[derive(Clone, Debug)]
pub struct QueueIds {
    last: u64,
    random: Prng,
}

impl QueueIds {
    /// `highest` is the highest id in any spool; `seed` differs from one start to the next.
    pub fn new(highest: Option<QueueId>, seed: u64) -> Self {
        QueueIds { last: highest.map_or(0, QueueId::as_u64), random: Prng::from_seed(seed) }
    }

    /// Tells of an id that was seen elsewhere: no later one will be below it.
    pub fn saw(&mut self, id: QueueId) {
        self.last = self.last.max(id.as_u64());
    }

    /// The next id. The clock reaches at most the year 9999, which leaves 2^46 ids after the last of them.
    pub fn next(&mut self, now: WallTime) -> QueueId {
        let start = self.random.below(SERIAL_START_MAX) as u64;
        let by_clock = now.unix_seconds() << SERIAL_BITS | start;
        let last_of_all = (1u64 << ID_BITS) - 1;
        self.last = by_clock.max(self.last + 1).min(last_of_all);
        QueueId(self.last)
    }
}

/// A Message-Id with its angle brackets, `<0A7QZ3K9MX.5CJ2M81V0T4RG@bcd.com>`. `unique` is drawn at random for
/// each message, so that the id stays unique even where a queue id comes again; it is no secret.
pub fn message_id(domain: &Domain, id: QueueId, unique: u64) -> String {
    format!("<{id}.{}@{domain}>", base32(unique, 13))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_is_written_and_as_it_is_misread() {
        let id = QueueIds::new(None, 1).next(WallTime::from_unix_seconds(975_320_363));
        let text = id.to_string();
        assert_eq!(text.len(), 10);
        assert_eq!(QueueId::parse(&text), Some(id));
        assert_eq!(QueueId::parse(&text.to_lowercase()), Some(id));
        assert_eq!(QueueId::parse("ooooooooil"), QueueId::parse("0000000011"));
        for bad in ["", "000000000", "00000000000", "000000000U", "00000000-0", "0000000é"] {
            assert_eq!(QueueId::parse(bad), None, "{bad}");
        }
        assert_eq!(QueueId::from_u64(1 << 50), None);
    }

    #[test]
    fn ids_grow_while_the_clock_goes_backwards() {
        let mut ids = QueueIds::new(None, 7);
        let mut last = ids.next(WallTime::from_unix_seconds(2_000_000_000));
        for second in [1_999_999_999, 0, 2_000_000_000, 2_000_000_001, u64::MAX, 5, u64::MAX] {
            let next = ids.next(WallTime::from_unix_seconds(second));
            assert!(next > last, "at {second}");
            last = next;
        }
        let mut after_restart = QueueIds::new(Some(last), 8);
        assert!(after_restart.next(WallTime::from_unix_seconds(1)) > last);
    }

    #[test]
    fn a_burst_in_one_second_runs_ahead_of_the_clock() {
        let mut ids = QueueIds::new(None, 7);
        let now = WallTime::from_unix_seconds(2_000_000_000);
        let burst: Vec<_> = (0..10_000).map(|_| ids.next(now)).collect();
        assert!(burst.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn a_message_id_is_made_of_atoms_only() {
        let id = QueueId::from_u64(0xABCDEF).unwrap();
        let text = message_id(&Domain::parse("bcd.com").unwrap(), id, u64::MAX);
        assert_eq!(text, "<00000AQKFF.FZZZZZZZZZZZZ@bcd.com>");
    }
}
