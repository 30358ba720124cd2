//! Dialogues with time: what the lookup does on the left, what happens to it on the right.

use domain::base::iana::Rcode;
use proptest::prelude::*;

use super::*;
use crate::dns::replies::Script;

/// What comes back, or does not.
#[derive(Clone, Debug)]
enum Event {
    /// The reply of a well-behaved server with these answers.
    Answers(&'static [&'static str]),
    Code(Rcode),
    CutOff,
    /// Everything right but the case of the name.
    Lowercase,
    WrongId,
    Noise(&'static [u8]),
    /// The deadline comes.
    Silence,
    Broken(&'static str),
}
use Event::{Answers, Broken, Code, CutOff, Lowercase, Noise, Silence, WrongId};

const FOUND: Event = Answers(&["xyz.com 60 A 192.0.2.1"]);

struct Bench {
    lookup: Lookup,
    now: Instant,
    /// The last query.
    query: Vec<u8>,
    /// `@0s udp 1`: when, how and which server was asked.
    log: Vec<String>,
}

impl Bench {
    fn new(servers: usize) -> Self {
        let servers = (1..=servers).map(|i| format!("192.0.2.{i}:53").parse().unwrap()).collect();
        let question = Question::parse("xyz.com", None).unwrap();
        let lookup = Lookup::new(question, servers, Instant::ORIGIN);
        Bench { lookup, now: Instant::ORIGIN, query: Vec::new(), log: Vec::new() }
    }

    /// Lets the lookup act until it waits or is done; whether it waits, and until when.
    fn settle(&mut self) -> Option<Instant> {
        loop {
            match self.lookup.step(self.now, || 0x0102_0304_5A5A_A5A5) {
                Step::Send(send) => {
                    let server = send.server.to_string().replace("192.0.2.", "").replace(":53", "");
                    let at = self.now.since(Instant::ORIGIN).as_secs();
                    let how = if send.transport == Transport::Udp { "udp" } else { "tcp" };
                    let edns = if send.query[11] == 1 { "" } else { " plain" };
                    self.log.push(format!("@{at}s {how} {server}{edns}"));
                    self.query = send.query;
                }
                Step::Wait(until) => return Some(until),
                Step::Done(answer) => {
                    let ttl = answer.ttl.as_secs();
                    self.log.push(match answer.found {
                        Found::Records(records) => format!("found {} for {ttl}s", records.len()),
                        Found::Failed(why) => format!("failed {why}"),
                        found => format!("{found:?} for {ttl}s"),
                    });
                    return None;
                }
            }
        }
    }

    fn happen(&mut self, event: &Event, until: Instant) {
        let reply = |script: &dyn Fn(&mut Script)| {
            let mut made = Script::new(&self.query);
            script(&mut made);
            made.bytes()
        };
        let bytes = match event {
            Answers(answers) => reply(&|script| script.answers = answers),
            Code(rcode) => reply(&|script| script.rcode = *rcode),
            CutOff => reply(&|script| script.truncated = true),
            Lowercase => {
                let mut bytes = reply(&|script| script.answers = &["xyz.com 60 A 192.0.2.1"]);
                bytes[12..20].make_ascii_lowercase();
                bytes
            }
            WrongId => {
                let mut bytes = reply(&|script| script.answers = &["xyz.com 60 A 192.0.2.66"]);
                bytes[0] ^= 1;
                bytes
            }
            Noise(bytes) => bytes.to_vec(),
            Silence => {
                self.now = until;
                return self.lookup.timed_out(self.now);
            }
            Broken(why) => return self.lookup.broken(self.now, why),
        };
        self.lookup.received(self.now, &bytes);
    }
}

/// What a lookup does when `events` happen to it, one after the other.
fn run(servers: usize, events: &[Event]) -> String {
    let mut bench = Bench::new(servers);
    for event in events {
        let until = bench.settle().unwrap_or_else(|| panic!("done before {event:?}: {:?}", bench.log));
        bench.happen(event, until);
    }
    if bench.settle().is_some() {
        bench.log.push("waits".to_owned());
    }
    bench.log.join(", ")
}

#[test]
fn lookups_go_their_way() {
    let cases: [(&str, usize, &[Event], &str); 17] = [
        ("an answer at once", 1, &[FOUND], "@0s udp 1, found 1 for 60s"),
        ("no such name", 2, &[Code(Rcode::NXDOMAIN)], "@0s udp 1, NxDomain for 0s"),
        ("no such record", 2, &[Answers(&[])], "@0s udp 1, NoData for 0s"),
        ("a silent server", 2, &[Silence, FOUND], "@0s udp 1, @3s udp 2, found 1 for 60s"),
        ("a failing server", 2, &[Code(Rcode::SERVFAIL), FOUND], "@0s udp 1, @0s udp 2, found 1 for 60s"),
        ("a refusing server", 2, &[Code(Rcode::REFUSED), FOUND], "@0s udp 1, @0s udp 2, found 1 for 60s"),
        ("a closed port", 2, &[Broken("refused"), FOUND], "@0s udp 1, @0s udp 2, found 1 for 60s"),
        ("cut off", 1, &[CutOff, FOUND], "@0s udp 1, @0s tcp 1, found 1 for 60s"),
        (
            "cut off, and TCP is closed",
            2,
            &[CutOff, Broken("refused"), FOUND],
            "@0s udp 1, @0s tcp 1, @0s udp 2, found 1 for 60s",
        ),
        (
            "cut off even over TCP",
            2,
            &[CutOff, CutOff, FOUND],
            "@0s udp 1, @0s tcp 1, @0s udp 2, found 1 for 60s",
        ),
        (
            "a server that changes the case",
            1,
            &[Lowercase, Lowercase],
            "@0s udp 1, @0s tcp 1, found 1 for 60s",
        ),
        ("forgeries are ignored", 1, &[WrongId, Noise(b"x"), WrongId, FOUND], "@0s udp 1, found 1 for 60s"),
        ("and do not prolong the try", 1, &[WrongId, Silence], "@0s udp 1, @3s udp 1 plain, waits"),
        ("a foreign reply over TCP", 2, &[CutOff, WrongId], "@0s udp 1, @0s tcp 1, @0s udp 2, waits"),
        (
            "a server without EDNS",
            1,
            &[Code(Rcode::FORMERR), FOUND],
            "@0s udp 1, @0s udp 1 plain, found 1 for 60s",
        ),
        (
            "an alias to elsewhere",
            1,
            &[Answers(&["xyz.com 40 CNAME abc.net"]), Answers(&["abc.net 60 A 192.0.2.1"])],
            "@0s udp 1, @0s udp 1, found 1 for 40s",
        ),
        (
            "nobody answers",
            3,
            &[Silence, Code(Rcode::SERVFAIL), Broken("refused"), Silence, Silence, Silence],
            "@0s udp 1, @3s udp 2, @3s udp 3, @3s udp 1 plain, @6s udp 2 plain, @9s udp 3 plain, failed A xyz.com: \
             nameserver 192.0.2.1:53: no reply in time; nameserver 192.0.2.2:53: no reply in time; \
             nameserver 192.0.2.3:53: no reply in time",
        ),
    ];
    for (caption, servers, events, wanted) in cases {
        assert_eq!(run(servers, events), wanted, "{caption}");
    }
}

#[test]
fn without_servers_a_lookup_fails_at_once() {
    assert_eq!(run(0, &[]), "failed no nameserver is configured");
}

#[test]
fn a_garbled_answer_is_a_failed_try() {
    let mut bench = Bench::new(1);
    bench.settle();
    let mut bytes = Script { answers: &["xyz.com 60 A 192.0.2.1"], ..Script::new(&bench.query) }.bytes();
    bytes.pop();
    bench.lookup.received(bench.now, &bytes);
    bench.settle();
    assert_eq!(bench.log.join(", "), "@0s udp 1, @0s udp 1 plain");
}

#[test]
fn aliases_without_end_fail() {
    const ROUND: Event = Answers(&["xyz.com 60 CNAME abc.net", "abc.net 60 CNAME xyz.com"]);
    assert!(
        run(1, &[ROUND, ROUND]).ends_with("failed A xyz.com: nameserver 192.0.2.1:53: aliases without end")
    );
    // Each reply tells one alias only.
    let mut bench = Bench::new(1);
    let mut asked = 0;
    while bench.settle().is_some() {
        let end = crate::dns::replies::question_end(&bench.query);
        let owner = domain::base::Name::from_octets(bench.query[12..end - 4].to_vec()).unwrap();
        let answer = format!("{owner} 60 CNAME n{asked}.xyz.com");
        let bytes = Script { answers: &[&answer], ..Script::new(&bench.query) }.bytes();
        bench.lookup.received(bench.now, &bytes);
        asked += 1;
    }
    assert_eq!(asked, DNS_ALIASES_MAX + DNS_ROUNDS);
    assert!(bench.log.last().unwrap().starts_with("failed "), "{:?}", bench.log);
}

#[test]
fn a_lookup_ends_in_time_even_over_slow_aliases() {
    let mut bench = Bench::new(3);
    while let Some(until) = bench.settle() {
        bench.happen(&Silence, until);
    }
    assert!(bench.now <= Instant::ORIGIN + Duration::from_secs(DNS_LOOKUP_S_MAX));
}

fn any_event() -> impl Strategy<Value = Event> {
    proptest::sample::select(vec![
        FOUND,
        Answers(&["xyz.com 60 CNAME xyz.com"]),
        Answers(&["xyz.com 60 CNAME abc.net"]),
        Code(Rcode::SERVFAIL),
        CutOff,
        Lowercase,
        WrongId,
        Noise(b"\0"),
        Silence,
        Broken("refused"),
    ])
}

proptest! {
    #[test]
    fn whatever_happens_the_lookup_ends(servers in 1usize..=3, events in proptest::collection::vec(any_event(), 1..80)) {
        let mut bench = Bench::new(servers);
        for event in &events {
            let Some(until) = bench.settle() else { break };
            prop_assert!(until <= bench.now + Duration::from_secs(DNS_TRY_S));
            bench.happen(event, until);
        }
        while let Some(until) = bench.settle() {
            bench.happen(&Silence, until);
        }
        prop_assert!(bench.now <= Instant::ORIGIN + Duration::from_secs(DNS_LOOKUP_S_MAX));
        prop_assert!(bench.log.len() <= (DNS_ALIASES_MAX + servers * DNS_ROUNDS) * 2 + 2, "{:?}", bench.log);
    }
}
