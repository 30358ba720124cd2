//! Who is at the doors: how many clients at once, how many of them from one place, and who gives way when all
//! places are taken. Source: RFC 5321 §4.5.3.2 (a server may close a connection that is idle), §3.8 (421).
//! Danger: strangers must never fill the house so that its own users stand outside, nor so that no other stranger
//! with mail comes in.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::limits::{
    SESSION_BYTES, SESSION_FRUITLESS_S, SESSION_GIVES_WAY_AFTER_S, SESSION_STALLED_S, SESSIONS_MAX,
    SESSIONS_MEMORY_PARTS, SESSIONS_MIN, SESSIONS_OF_ONE_CLIENT_MAX, SESSIONS_RESERVED,
};
use crate::relay::capacity::fitting;
use crate::time::Instant;

/// One guest, as long as it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestId(u64);

/// How many there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    pub all: usize,
    /// Of these, for one client.
    pub of_one: usize,
    /// Of these, only for clients that the configuration names.
    pub reserved: usize,
}

impl Places {
    /// As many sessions as fit into their part of the machine's memory, each with all that it may take; where that
    /// is not known, as many as there may be.
    pub fn for_memory(bytes: Option<u64>) -> Self {
        let room = bytes.map(|bytes| bytes / SESSIONS_MEMORY_PARTS);
        let all = fitting(room, SESSION_BYTES, SESSIONS_MIN..=SESSIONS_MAX);
        let part = |of_max: usize| of_max * all / SESSIONS_MAX;
        Places { all, of_one: part(SESSIONS_OF_ONE_CLIENT_MAX), reserved: part(SESSIONS_RESERVED) }
    }
}

/// All guests.
#[derive(Debug)]
pub struct Guests {
    places: Places,
    seats: BTreeMap<GuestId, Seat>,
    last: u64,
}

#[derive(Debug)]
struct Seat {
    place: IpAddr,
    /// Some domain's `client` line names it, or it has authenticated as a user.
    known: bool,
    /// When something came from it last.
    heard: Instant,
    doing: Doing,
    /// When it came in, or brought the last message that was accepted.
    fruitful: Instant,
}

/// What a guest is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It says commands, or nothing.
    Talking,
    /// The content of a message of it is coming in.
    Sending,
    /// Its message is whole, or its password is being checked, and it waits for our answer: whatever that takes is no
    /// fault of its own.
    Waiting,
}

impl Seat {
    /// How little would be lost if a stranger went; the least goes first. `None`: it may stay.
    fn rank(&self, now: Instant) -> Option<(Fault, Instant)> {
        let lasts = |since: Instant, s: u64| now.since(since) >= Duration::from_secs(s);
        match self.doing {
            _ if self.known => None,
            Doing::Waiting => None,
            Doing::Talking if lasts(self.heard, SESSION_GIVES_WAY_AFTER_S) => Some((Fault::Idle, self.heard)),
            Doing::Sending if lasts(self.heard, SESSION_STALLED_S) => Some((Fault::Stalled, self.heard)),
            _ if lasts(self.fruitful, SESSION_FRUITLESS_S) => Some((Fault::Fruitless, self.fruitful)),
            _ => None,
        }
    }
}

/// What is held against a stranger when others need its place, the clearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// It is silent between two commands.
    Idle,
    /// It is silent in the middle of a message.
    Stalled,
    /// It is busy all the time, and no message of it has been accepted for long.
    Fruitless,
}

/// Why a newcomer stays outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// Too many are here from where it comes.
    TooManyOfOne,
    /// All places are taken, and nobody has to give way.
    Full,
}

/// A newcomer that was let in, and who has to go for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seated {
    pub id: GuestId,
    pub gives_way: Option<GuestId>,
}

impl Guests {
    /// Nobody yet, in a house with so many places.
    pub fn new(places: Places) -> Self {
        Guests { places, seats: BTreeMap::new(), last: 0 }
    }

    pub fn places(&self) -> Places {
        self.places
    }

    /// Lets a client in. Strangers leave the reserved places to known clients; when there is no place
    /// left, a stranger gives way: the one that has been idle for longest, then one that is stuck in its message,
    /// then one that only seems busy.
    ///
    /// # Errors
    /// Why it stays outside; nothing has changed then.
    pub fn seat(&mut self, now: Instant, client: IpAddr, known: bool) -> Result<Seated, Shut> {
        let place = place_of(client);
        if self.seats.values().filter(|seat| seat.place == place).count() >= self.places.of_one {
            return Err(Shut::TooManyOfOne);
        }
        let strangers = self.seats.values().filter(|seat| !seat.known).count();
        let Places { all, reserved, .. } = self.places;
        let room = self.seats.len() < all && (known || strangers < all - reserved);
        let gives_way = match room {
            true => None,
            false => Some(self.dispensable_stranger(now).ok_or(Shut::Full)?),
        };
        if let Some(gone) = gives_way {
            self.seats.remove(&gone);
        }
        self.last += 1;
        let id = GuestId(self.last);
        self.seats.insert(id, Seat { place, known, heard: now, doing: Doing::Talking, fruitful: now });
        Ok(Seated { id, gives_way })
    }

    /// Something came from a guest.
    pub fn heard(&mut self, id: GuestId, now: Instant) {
        self.seats.get_mut(&id).into_iter().for_each(|seat| seat.heard = now);
    }

    /// A guest is about something else now.
    pub fn does(&mut self, id: GuestId, doing: Doing) {
        self.seats.get_mut(&id).into_iter().for_each(|seat| seat.doing = doing);
    }

    /// A guest has authenticated: it is no stranger any more.
    pub fn becomes_user(&mut self, id: GuestId) {
        self.seats.get_mut(&id).into_iter().for_each(|seat| seat.known = true);
    }

    /// A message of a guest was accepted.
    pub fn brought_mail(&mut self, id: GuestId, now: Instant) {
        self.seats.get_mut(&id).into_iter().for_each(|seat| seat.fruitful = now);
    }

    /// A guest has left.
    pub fn left(&mut self, id: GuestId) {
        self.seats.remove(&id);
    }

    pub fn len(&self) -> usize {
        self.seats.len()
    }

    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    fn dispensable_stranger(&self, now: Instant) -> Option<GuestId> {
        let ranked = self.seats.iter().filter_map(|(id, seat)| Some((seat.rank(now)?, *id)));
        ranked.min().map(|(_, id)| id)
    }
}

/// What counts as one client: an IPv4 address, or the /64 in which an IPv6 host may call itself anything.
fn place_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ORIGIN + Duration::from_secs(seconds)
    }

    /// The nth stranger's address; four of them are one client.
    fn stranger(n: usize) -> IpAddr {
        IpAddr::from([198, 18, u8::try_from(n / 4 / 250).unwrap(), u8::try_from(n / 4 % 250).unwrap()])
    }

    fn known() -> IpAddr {
        IpAddr::from([192, 168, 7, 9])
    }

    fn large_house() -> Guests {
        Guests::new(Places::for_memory(None))
    }

    #[test]
    fn a_small_machine_has_fewer_places_and_they_fit_into_a_quarter_of_it() {
        for mebibytes in [16, 48, 64, 128, 256, 1024, 1 << 20] {
            let Places { all, of_one, reserved } = Places::for_memory(Some(mebibytes << 20));
            let bytes = (all * SESSION_BYTES) as u64;
            assert!(bytes <= mebibytes << 20 >> 2 || all == SESSIONS_MIN, "{all} in {mebibytes} MiB");
            assert!(
                0 < of_one && 0 < reserved && of_one + reserved < all,
                "{of_one} and {reserved} of {all}"
            );
        }
        let all = |mebibytes: u64| Places::for_memory(Some(mebibytes << 20)).all;
        assert_eq!((all(1), all(64), all(1024)), (SESSIONS_MIN, 75, SESSIONS_MAX));
        let large = Places { all: 500, of_one: 100, reserved: 100 };
        assert_eq!(Places::for_memory(None), large);
    }

    /// A house in which no stranger finds a place any more.
    fn crowded() -> Guests {
        let mut guests = large_house();
        for n in 0..SESSIONS_MAX - SESSIONS_RESERVED {
            let seated = guests.seat(at(n as u64), stranger(n), false).unwrap();
            assert_eq!(seated.gives_way, None);
        }
        guests
    }

    #[test]
    fn one_client_does_not_take_all_places() {
        let mut guests = large_house();
        let hosts = ["2001:db8::1", "2001:db8::2:1"].map(|host| host.parse().unwrap());
        for n in 0..SESSIONS_OF_ONE_CLIENT_MAX {
            guests.seat(at(0), hosts[n % 2], false).unwrap();
        }
        assert_eq!(guests.seat(at(0), hosts[0], true), Err(Shut::TooManyOfOne));
        let mapped = "::ffff:192.168.7.9".parse().unwrap();
        for client in [known(), mapped, "2001:db8:0:1::1".parse().unwrap()] {
            assert!(guests.seat(at(0), client, false).is_ok());
        }
        let id = *guests.seats.keys().next().unwrap();
        guests.left(id);
        assert!(guests.seat(at(0), hosts[0], false).is_ok());
    }

    #[test]
    fn strangers_leave_room_for_known_clients() {
        let mut guests = crowded();
        let now = at(SESSIONS_MAX as u64);
        for n in 0..SESSIONS_RESERVED {
            let client = IpAddr::from([10, 0, 0, u8::try_from(n / 4).unwrap()]);
            assert_eq!(guests.seat(now, client, true).unwrap().gives_way, None);
        }
        assert_eq!(guests.len(), SESSIONS_MAX);
    }

    #[test]
    fn the_stranger_that_was_idle_for_longest_gives_way() {
        let mut guests = crowded();
        let ids: Vec<GuestId> = guests.seats.keys().copied().collect();
        let now = at(SESSIONS_MAX as u64);
        guests.heard(ids[0], now);
        guests.does(ids[1], Doing::Waiting);
        let seated = guests.seat(now, known(), false).unwrap();
        assert_eq!(seated.gives_way, Some(ids[2]), "the first spoke just now, the second has a message");
        assert_eq!(guests.len(), SESSIONS_MAX - SESSIONS_RESERVED);
    }

    /// A house full of strangers who came at once, do this, and were heard of just now.
    fn all_busy(doing: Doing) -> (Guests, Vec<GuestId>) {
        let mut guests = large_house();
        let ids: Vec<GuestId> = (0..SESSIONS_MAX - SESSIONS_RESERVED)
            .map(|n| guests.seat(at(0), stranger(n), false).unwrap().id)
            .collect();
        ids.iter().for_each(|id| guests.does(*id, doing));
        (guests, ids)
    }

    #[test]
    fn a_stranger_that_is_stuck_in_its_message_gives_way() {
        let (mut guests, ids) = all_busy(Doing::Sending);
        let now = at(SESSION_STALLED_S - 1);
        assert_eq!(guests.seat(now, known(), false), Err(Shut::Full));
        ids[..3].iter().for_each(|id| guests.heard(*id, now));
        let seated = guests.seat(at(SESSION_STALLED_S), known(), false).unwrap();
        assert_eq!(seated.gives_way, Some(ids[3]), "the first three went on");
        // One that says nothing between two commands goes before one that is stuck.
        guests.does(ids[100], Doing::Talking);
        let seated = guests.seat(at(SESSION_STALLED_S), known(), false).unwrap();
        assert_eq!(seated.gives_way, Some(ids[100]));
    }

    #[test]
    fn a_stranger_that_is_busy_and_brings_nothing_gives_way() {
        for doing in [Doing::Talking, Doing::Sending] {
            let (mut guests, ids) = all_busy(doing);
            let bring = |guests: &mut Guests, s: u64| {
                ids.iter().for_each(|id| guests.heard(*id, at(s)));
                guests.brought_mail(ids[0], at(s / 2));
            };
            bring(&mut guests, SESSION_FRUITLESS_S - 1);
            assert_eq!(guests.seat(at(SESSION_FRUITLESS_S - 1), known(), false), Err(Shut::Full));
            bring(&mut guests, SESSION_FRUITLESS_S);
            let seated = guests.seat(at(SESSION_FRUITLESS_S), known(), false).unwrap();
            assert_eq!(seated.gives_way, Some(ids[1]), "the first brought mail, {doing:?}");
        }
    }

    #[test]
    fn a_user_who_has_authenticated_is_no_stranger() {
        let (mut guests, ids) = all_busy(Doing::Talking);
        guests.becomes_user(ids[0]);
        let seated = guests.seat(at(1), known(), false).unwrap();
        assert_eq!(seated.gives_way, None, "a stranger's place is free");
        let seated = guests.seat(at(100), known(), false).unwrap();
        assert_eq!(seated.gives_way, Some(ids[1]), "he was idle for as long, and stays");
    }

    #[test]
    fn whoever_waits_for_our_answer_stays() {
        let (mut guests, _) = all_busy(Doing::Waiting);
        assert_eq!(guests.seat(at(2 * SESSION_FRUITLESS_S), known(), false), Err(Shut::Full));
        assert!(guests.seat(at(2 * SESSION_FRUITLESS_S), known(), true).is_ok());
    }

    #[test]
    fn nobody_gives_way_who_has_just_come() {
        let mut guests = large_house();
        for n in 0..SESSIONS_MAX - SESSIONS_RESERVED {
            guests.seat(at(100), stranger(n), false).unwrap();
        }
        assert_eq!(guests.seat(at(101), known(), false), Err(Shut::Full));
        assert!(guests.seat(at(101), known(), true).is_ok());
        assert!(guests.seat(at(100 + SESSION_GIVES_WAY_AFTER_S), known(), false).is_ok());
    }
}
