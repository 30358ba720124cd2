//! One question to a time server and its reply. Sources: RFC 5905 §7.3 (format) and §8 (offset and delay),
//! RFC 8633 §5.4 and RFC 5905 §7.4 (kiss codes). The request tells the server nothing: its transmit timestamp is a
//! random number, and only a reply that gives it back counts.
//! Danger: seconds of NTP come round in 2036; they are read as the first such moment after the build.

use std::time::Duration;

use crate::limits::{NTP_DELAY_MS_MAX, NTP_DISTANCE_MS_MAX, NTP_STRATUM_MAX};
use crate::ntp::Nanos;
use crate::time::WallTime;

pub const PACKET_BYTES: usize = 48;

/// From 1900-01-01 to 1970-01-01.
const ERA_OFFSET_S: u64 = 2_208_988_800;
/// A time that far after the build is one before it, read in the next era.
const BELIEVED_S_MAX: u64 = 1 << 31;

/// What a reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What is to be added to our clock.
    pub offset: Nanos,
    /// The most that the offset may be wrong, if the server tells the truth (RFC 5905 §11.2).
    pub distance: Nanos,
    pub stratum: u8,
}

/// When a request left and when its reply came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Our clock as the request left.
    pub sent: Nanos,
    /// How long the reply took, in monotonic time.
    pub took: Duration,
}

/// A request. `nonce` is drawn at random for each.
///
/// ```text
/// 0  leap 0, version 4, mode 3   1..40  zero   40  transmit timestamp: the nonce
/// ```
pub fn request(nonce: u64) -> [u8; PACKET_BYTES] {
    let mut packet = [0; PACKET_BYTES];
    packet[0] = 4 << 3 | 3;
    packet[40..].copy_from_slice(&nonce.to_be_bytes());
    packet
}

/// Whether a packet answers the request with this nonce; any other is nobody's.
pub fn answers(packet: &[u8], nonce: u64) -> bool {
    packet.len() >= PACKET_BYTES && packet[0] & 7 == 4 && packet[24..32] == nonce.to_be_bytes()
}

/// What a reply is worth; the error says why it is worth nothing.
///
/// ```text
/// 0  leap, version, mode   4  root delay        24  origin timestamp   40  transmit timestamp
/// 1  stratum               8  root dispersion   32  receive timestamp
/// 12 reference: a kiss code at stratum 0
/// ```
pub fn read(packet: &[u8], exchange: Exchange, built: WallTime) -> Result<Sample, String> {
    let Some(packet) = packet.first_chunk::<PACKET_BYTES>() else {
        return Err("its reply is cut short".to_owned());
    };
    let (leap, stratum) = (packet[0] >> 6, packet[1]);
    match stratum {
        0 => return Err(format!("it does not serve us: {}", String::from_utf8_lossy(&packet[12..16]))),
        _ if leap == 3 => return Err("its own clock is not set".to_owned()),
        1..=NTP_STRATUM_MAX => {}
        _ => return Err(format!("it has no source of time: stratum {stratum}")),
    }
    let (arrived, left) = (timestamp(&packet[32..40], built)?, timestamp(&packet[40..48], built)?);
    let (sent, took) = (exchange.sent, nanos(exchange.took));
    let held = left - arrived;
    if held < 0 || held > took + MILLISECOND {
        return Err("its timestamps contradict one another".to_owned());
    }
    let delay = (took - held).max(0);
    if delay > NTP_DELAY_MS_MAX * MILLISECOND {
        return Err(format!("its reply took {} ms", took / MILLISECOND));
    }
    let distance = short(&packet[4..8]) / 2 + short(&packet[8..12]) + delay / 2 + MILLISECOND;
    if distance > NTP_DISTANCE_MS_MAX * MILLISECOND {
        return Err(format!("it may be {} ms off by its own account", distance / MILLISECOND));
    }
    // The mean of both ways (RFC 5905 §8), written so that years of difference do not overflow.
    let offset = (arrived - sent) / 2 + (left - (sent + took)) / 2;
    Ok(Sample { offset, distance, stratum })
}

const MILLISECOND: Nanos = 1_000_000;

fn nanos(time: Duration) -> Nanos {
    Nanos::try_from(time.as_nanos()).unwrap_or(Nanos::MAX)
}

/// A timestamp of 32 bits of seconds and 32 of their fraction.
fn timestamp(bytes: &[u8], built: WallTime) -> Result<Nanos, String> {
    let (seconds, fraction) = (word(&bytes[..4]), word(&bytes[4..8]));
    let since_built = (seconds.wrapping_add(1 << 32).wrapping_sub(ERA_OFFSET_S % (1 << 32)))
        .wrapping_sub(built.unix_seconds())
        % (1 << 32);
    if (seconds, fraction) == (0, 0) || since_built > BELIEVED_S_MAX {
        return Err("its time is before this program was built".to_owned());
    }
    let whole = (built.unix_seconds() + since_built) as Nanos * 1000 * MILLISECOND;
    Ok(whole + ((fraction * 1_000_000_000) >> 32) as Nanos)
}

/// 16 bits of seconds and 16 of their fraction.
fn short(bytes: &[u8]) -> Nanos {
    ((word(bytes) * 1_000_000_000) >> 16) as Nanos
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().take(4).fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub const BUILT: WallTime = WallTime::from_unix_seconds(1_700_000_000);
    const SENT: Nanos = 1_800_000_000_000_000_000;

    /// A reply of a good server whose clock is ahead of `SENT` by so many milliseconds on arrival.
    pub fn reply(nonce: u64, ahead_ms: i64) -> [u8; PACKET_BYTES] {
        let mut packet = [0; PACKET_BYTES];
        packet[0] = 4 << 3 | 4;
        packet[1] = 2;
        packet[8..12].copy_from_slice(&0x0000_0100u32.to_be_bytes());
        packet[24..32].copy_from_slice(&nonce.to_be_bytes());
        let at = SENT + ahead_ms * MILLISECOND;
        let stamp = |at: Nanos| {
            let seconds = (at / 1_000_000_000 + ERA_OFFSET_S as i64) as u32;
            let fraction = (((at % 1_000_000_000) << 32) / 1_000_000_000) as u32;
            (u64::from(seconds) << 32 | u64::from(fraction)).to_be_bytes()
        };
        packet[32..40].copy_from_slice(&stamp(at));
        packet[40..48].copy_from_slice(&stamp(at + MILLISECOND));
        packet
    }

    fn read_it(packet: &[u8]) -> Result<Sample, String> {
        read(packet, Exchange { sent: SENT, took: Duration::from_millis(21) }, BUILT)
    }

    #[test]
    fn the_offset_is_the_mean_of_both_ways() {
        let sample = read_it(&reply(7, 510)).unwrap();
        assert!((sample.offset - 500 * MILLISECOND).abs() < 1000, "{sample:?}");
        let expected = 10 * MILLISECOND + 3_906_250 + MILLISECOND;
        assert!((sample.distance - expected).abs() < 1000, "{sample:?}");
        let far = read_it(&reply(7, 200_000_000_000)).unwrap();
        assert!((far.offset / MILLISECOND - 199_999_999_990).abs() < 2, "{far:?}");
    }

    #[test]
    fn a_time_past_2036_is_read_in_its_era() {
        // 2040-01-01, eight years on from SENT, is in the second era.
        let ahead_ms = 2_208_988_800_000 - SENT / MILLISECOND;
        assert!(read_it(&reply(7, ahead_ms)).unwrap().offset > 400_000_000 * 1000 * MILLISECOND);
    }

    #[test]
    fn only_the_answer_to_this_request_counts() {
        assert!(answers(&reply(7, 0), 7));
        assert!(!answers(&reply(8, 0), 7), "another request's");
        assert!(!answers(&request(7), 7), "our own question come back");
        assert!(!answers(&reply(7, 0)[..47], 7));
        assert_eq!(request(0x0102)[..2], [0x23, 0]);
        assert_eq!(request(0x0102)[46..], [1, 2]);
    }

    #[test]
    fn bad_servers_are_told_apart() {
        let with = |at: usize, bytes: &[u8]| {
            let mut packet = reply(7, 10);
            packet[at..at + bytes.len()].copy_from_slice(bytes);
            read_it(&packet).unwrap_err()
        };
        for (why, got) in [
            ("its own clock is not set", with(0, &[3 << 6 | 4 << 3 | 4])),
            ("it does not serve us: RATE", with(1, b"\0\0\0\0\0\0\0\0\0\0\0RATE")),
            ("it has no source of time: stratum 16", with(1, &[16])),
            ("it may be 4011 ms off by its own account", with(8, &[0, 4, 0, 0])),
            ("its time is before this program was built", with(40, &[0; 8])),
            ("its time is before this program was built", with(32, &[0xbc, 0x17, 0xc2, 0, 0, 0, 0, 0])),
            ("its timestamps contradict one another", with(32, &reply(7, 500)[32..40])),
            ("its timestamps contradict one another", with(40, &reply(7, 500)[40..48])),
        ] {
            assert_eq!(got, why);
        }
        assert_eq!(read_it(&[0; 20]).unwrap_err(), "its reply is cut short");
        let slow = Exchange { sent: SENT, took: Duration::from_secs(3) };
        assert_eq!(read(&reply(7, 0), slow, BUILT).unwrap_err(), "its reply took 3000 ms");
    }

    #[test]
    fn any_bytes_are_read_without_harm() {
        let mut prng = crate::prng::Prng::from_seed(1);
        for _ in 0..20_000 {
            let mut packet = [0; PACKET_BYTES];
            packet.fill_with(|| prng.below(256) as u8);
            let _ = read_it(&packet);
        }
    }
}
