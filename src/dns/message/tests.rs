//! Every kind of answer, then arbitrary bytes.

use domain::base::iana::Rcode;
use proptest::prelude::*;

use super::*;
use crate::dns::replies::{Script, question_end};

const RANDOM: u64 = 0x1234_5555_AAAA_F0F0;

fn question(text: &str) -> Question {
    let (kind, name) = text.split_once(' ').unwrap();
    Question::parse(name, Some(kind)).unwrap()
}

/// Asks `asked` and reads the reply that `script` makes of the query.
fn reply(asked: &str, script: impl Fn(&mut Script)) -> Reply {
    let question = question(asked);
    let query = Query::new(&question, RANDOM, false);
    let mut made = Script::new(query.bytes());
    script(&mut made);
    read(&query, &question, Transport::Udp, &made.bytes())
}

/// A short form of what was understood.
fn told(reply: &Reply) -> String {
    match reply {
        Reply::Foreign => "foreign".to_owned(),
        Reply::AskOverTcp => "ask over TCP".to_owned(),
        Reply::Failed(why) => format!("failed: {why}"),
        Reply::Alias(name, ttl) => format!("alias {name} for {}s", ttl.as_secs()),
        Reply::Answer(Answer { found, ttl }) => match found {
            Found::Records(records) => {
                let records: Vec<String> = records.iter().map(Record::to_string).collect();
                format!("{} for {}s", records.join(", "), ttl.as_secs())
            }
            found => format!("{found:?} for {}s", ttl.as_secs()),
        },
    }
}

#[test]
fn a_query_asks_one_question_with_recursion_and_edns() {
    let query = Query::new(&question("MX xyz.com"), RANDOM, false);
    let bytes = query.bytes();
    assert_eq!(bytes[..12], [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1], "id, RD, one question, one OPT");
    assert!(bytes[12..21].eq_ignore_ascii_case(b"\x03xyz\x03com\x00"), "{bytes:?}");
    assert_eq!(bytes[21..25], [0, 15, 0, 1], "MX IN");
    assert_eq!(bytes[25..], [0, 0, 41, 0x04, 0xD0, 0, 0, 0, 0, 0, 0], "1232 bytes");
    let plain = Query::new(&question("MX xyz.com"), RANDOM, true);
    assert_eq!(plain.bytes()[10..], *b"\0\0\x03xyz\x03com\0\0\x0f\0\x01");
}

#[test]
fn the_case_of_letters_is_random() {
    let name = |random| Query::new(&question("A mail-1.xyz.com"), random, false).bytes()[12..30].to_vec();
    assert_ne!(name(0), name(u64::MAX));
    assert!(name(0).eq_ignore_ascii_case(&name(0x5555)));
}

/// `(caption, question, answer section, authority section, what is understood)`
type Case = (&'static str, &'static str, &'static [&'static str], &'static [&'static str], &'static str);

const CASES: &[Case] = &[
    ("one address", "A a.xyz.com", &["a.xyz.com 60 A 192.0.2.1"], &[], "192.0.2.1 for 60s"),
    ("the case of the owner is free", "A a.xyz.com", &["A.XYZ.com 60 A 192.0.2.1"], &[], "192.0.2.1 for 60s"),
    ("IPv6", "AAAA a.xyz.com", &["a.xyz.com 60 AAAA 2001:db8::1"], &[], "2001:db8::1 for 60s"),
    (
        "several MX, the shortest time to live",
        "MX xyz.com",
        &["xyz.com 300 MX 10 a.xyz.com", "xyz.com 200 MX 20 b.xyz.com"],
        &[],
        "10 a.xyz.com, 20 b.xyz.com for 200s",
    ),
    ("null MX", "MX xyz.com", &["xyz.com 60 MX 0 ."], &[], "0 . for 60s"),
    ("text", "TXT xyz.com", &["xyz.com 60 TXT v=spf1 -all"], &[], "\"v=spf1 -all\" for 60s"),
    ("pointer", "PTR 192.0.2.1", &["1.2.0.192.in-addr.arpa 60 PTR a.xyz.com"], &[], "a.xyz.com for 60s"),
    ("an alias itself", "CNAME a.xyz.com", &["a.xyz.com 60 CNAME b.xyz.com"], &[], "b.xyz.com for 60s"),
    (
        "aliases to an address, in any order",
        "A a.xyz.com",
        &["c.net 90 A 192.0.2.1", "b.xyz.com 50 CNAME c.net", "a.xyz.com 60 CNAME b.xyz.com"],
        &[],
        "192.0.2.1 for 50s",
    ),
    (
        "an alias whose target is not told",
        "A a.xyz.com",
        &["a.xyz.com 60 CNAME b.net"],
        &[],
        "alias b.net for 60s",
    ),
    (
        "an alias whose target has none",
        "A a.xyz.com",
        &["a.xyz.com 60 CNAME b.net"],
        &["net 300 SOA 100"],
        "NoData for 60s",
    ),
    (
        "aliases in a circle",
        "A a.xyz.com",
        &["a.xyz.com 60 CNAME b.xyz.com", "b.xyz.com 60 CNAME a.xyz.com"],
        &[],
        "failed: aliases without end",
    ),
    ("no such record", "MX xyz.com", &[], &["xyz.com 300 SOA 100"], "NoData for 100s"),
    ("the SOA's own time is shorter", "MX xyz.com", &[], &["xyz.com 30 SOA 100"], "NoData for 30s"),
    ("absence is not believed for long", "MX xyz.com", &[], &["xyz.com 90000 SOA 90000"], "NoData for 900s"),
    ("absence without SOA is not kept", "MX xyz.com", &[], &[], "NoData for 0s"),
    (
        "a referral is no answer",
        "MX xyz.com",
        &[],
        &["com 60 NS a.gtld"],
        "failed: only a referral to other servers",
    ),
    ("a long time to live is cut", "A xyz.com", &["xyz.com 2000000 A 192.0.2.1"], &[], "192.0.2.1 for 3600s"),
    (
        "a negative time to live is none",
        "A xyz.com",
        &["xyz.com 2147483648 A 192.0.2.1"],
        &[],
        "192.0.2.1 for 0s",
    ),
    (
        "the case of a name in the answer is of no use",
        "MX xyz.com",
        &["xyz.com 60 MX 1 A.xYz.com"],
        &[],
        "1 a.xyz.com for 60s",
    ),
    ("another name's records are not ours", "A xyz.com", &["evil.com 60 A 192.0.2.66"], &[], "NoData for 0s"),
    ("another type's records are not ours", "A xyz.com", &["xyz.com 60 TXT 192.0.2.1"], &[], "NoData for 0s"),
];

#[test]
fn every_kind_of_answer_is_understood() {
    for (caption, asked, answers, authority, wanted) in CASES {
        let got = reply(asked, |script| (script.answers, script.authority) = (answers, authority));
        assert_eq!(told(&got), *wanted, "{caption}");
    }
}

#[test]
fn every_code_has_its_meaning() {
    let soa: &[&str] = &["xyz.com 300 SOA 100"];
    let alias: &[&str] = &["xyz.com 60 CNAME gone.net"];
    let address: &[&str] = &["xyz.com 60 A 192.0.2.1"];
    for (rcode, answers, wanted) in [
        (Rcode::NXDOMAIN, &[][..], "NxDomain for 100s"),
        (Rcode::NXDOMAIN, alias, "NxDomain for 60s"),
        (Rcode::NXDOMAIN, address, "failed: a reply that contradicts itself"),
        (Rcode::SERVFAIL, &[], "failed: SERVFAIL"),
        (Rcode::REFUSED, &[], "failed: REFUSED"),
        (Rcode::FORMERR, &[], "failed: FORMERR"),
        (Rcode::NOTIMP, &[], "failed: NOTIMP"),
        (Rcode::checked_from_int(13).unwrap(), address, "failed: 13"),
    ] {
        let got = reply("A xyz.com", |script| {
            (script.rcode, script.answers, script.authority) = (rcode, answers, soa);
        });
        assert_eq!(told(&got), wanted, "{rcode}");
    }
}

/// What is done to a good reply.
type Spoil = fn(&mut Vec<u8>);

/// A good reply, spoilt by `spoil`.
fn spoilt(transport: Transport, spoil: impl Fn(&mut Vec<u8>)) -> String {
    let question = question("A xyz.com");
    let query = Query::new(&question, RANDOM, false);
    let mut bytes = Script { answers: &["xyz.com 60 A 192.0.2.1"], ..Script::new(query.bytes()) }.bytes();
    spoil(&mut bytes);
    told(&read(&query, &question, transport, &bytes))
}

#[test]
fn what_does_not_match_the_query_is_foreign() {
    let spoils: [(&str, Spoil); 8] = [
        ("another id", |b| b[1] ^= 1),
        ("a query, no reply", |b| b[2] &= 0x7F),
        ("another operation", |b| b[2] |= 0x20),
        ("another name", |b| b[13] = b'w'),
        ("another type", |b| b[22] = 28),
        ("another class", |b| b[24] = 3),
        ("no question", |b| b[5] = 0),
        ("shorter than a header", |b| b.truncate(11)),
    ];
    for (caption, spoil) in spoils {
        assert_eq!(spoilt(Transport::Udp, spoil), "foreign", "{caption}");
        assert_eq!(spoilt(Transport::Tcp, spoil), "foreign", "{caption}");
    }
}

#[test]
fn a_respelled_question_is_asked_over_tcp_where_case_does_not_matter() {
    let respell: Spoil = |b| b[13..16].copy_from_slice(b"xYz");
    assert_ne!(RANDOM & 0b1110, 0b0100, "not the case of the query");
    assert_eq!(spoilt(Transport::Udp, respell), "ask over TCP");
    assert_eq!(spoilt(Transport::Tcp, respell), "192.0.2.1 for 60s");
}

#[test]
fn a_cut_off_reply_is_asked_again_over_tcp_once() {
    let cut: Spoil = |b| b[2] |= 2;
    assert_eq!(spoilt(Transport::Udp, cut), "ask over TCP");
    assert_eq!(spoilt(Transport::Tcp, cut), "failed: a reply over TCP that is cut off");
}

#[test]
fn a_server_that_did_not_understand_may_leave_out_the_question() {
    let short: Spoil = |b| {
        b.truncate(12);
        (b[3], b[5], b[7]) = (1, 0, 0);
    };
    assert_eq!(spoilt(Transport::Udp, short), "failed: FORMERR");
}

#[test]
fn what_matches_and_makes_no_sense_has_failed() {
    let spoils: [(&str, Spoil); 5] = [
        ("more answers announced than there are", |b| b[7] = 2),
        ("cut in the middle of a record", |b| b.truncate(b.len() - 1)),
        ("an address of five bytes", |b| {
            let at = b.len() - 5;
            b[at] = 5;
            b.push(0);
        }),
        ("an owner that points at itself", |b| (b[25], b[26]) = (0xC0, 25)),
        ("an owner that points forward", |b| (b[25], b[26]) = (0xC0, 40)),
    ];
    for (caption, spoil) in spoils {
        assert_eq!(spoilt(Transport::Udp, spoil), "failed: a garbled reply", "{caption}");
    }
}

#[test]
fn an_extended_error_code_is_no_absence() {
    // BADVERS: the lower four bits, in the header, say NOERROR.
    let opt = [0, 0, 41, 4, 0xD0, 1, 0, 0, 0, 0, 0];
    let got = spoilt(Transport::Udp, |b| {
        b.truncate(25);
        (b[7], b[11]) = (0, 1);
        b.extend(opt);
    });
    assert!(got.starts_with("failed: "), "{got}");
}

#[test]
fn long_answers_are_cut() {
    let question = question("MX xyz.com");
    let query = Query::new(&question, RANDOM, false);
    let lines: Vec<String> = (0..300).map(|i| format!("xyz.com 60 MX {i} h{i}.xyz.com")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let bytes = Script { answers: &lines, ..Script::new(query.bytes()) }.bytes();
    let Reply::Answer(answer) = read(&query, &question, Transport::Tcp, &bytes) else { panic!("an answer") };
    let Found::Records(records) = answer.found else { panic!("records") };
    assert_eq!(records.len(), DNS_RECORDS_MAX);
}

#[test]
fn long_chains_of_pointers_are_bounded() {
    let question = question("A xyz.com");
    let query = Query::new(&question, RANDOM, false);
    // 30,000 pointers, each to the one before, then records whose owners all end there.
    let mut bytes = Script::new(query.bytes()).bytes();
    let start = bytes.len();
    (bytes[6], bytes[7]) = (0xFF, 0xFF);
    bytes.extend([0, 0, 99, 0, 1, 0, 0, 0, 0, 0x3F, 0xF0]);
    let mut target = start;
    while bytes.len() < 16_000 {
        let here = bytes.len();
        bytes.extend((0xC000 | target as u16).to_be_bytes());
        target = here;
    }
    bytes.resize(start + 11 + 0x3FF0, 0);
    while bytes.len() < 65_000 {
        bytes.extend((0xC000 | target as u16).to_be_bytes());
        bytes.extend([0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    }
    assert_eq!(told(&read(&query, &question, Transport::Tcp, &bytes)), "failed: a garbled reply");
}

/// Whatever it is, it stays within the bounds.
fn check_bounds(reply: &Reply) {
    if let Reply::Answer(answer) = reply {
        assert!(answer.ttl <= Duration::from_secs(DNS_TTL_S_MAX));
        assert!(answer.heap_bytes() <= 65_536 + DNS_RECORDS_MAX * 512, "{}", answer.heap_bytes());
        assert!(!told(reply).bytes().any(|b| b.is_ascii_control() || !b.is_ascii()));
    }
}

fn any_kind() -> impl Strategy<Value = Kind> {
    proptest::sample::select(Kind::ALL.to_vec())
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(kind in any_kind(), noise in proptest::collection::vec(any::<u8>(), 0..600)) {
        let question = Question::new(Name::parse("xyz.com").unwrap(), kind);
        let query = Query::new(&question, RANDOM, false);
        for transport in [Transport::Udp, Transport::Tcp] {
            check_bounds(&read(&query, &question, transport, &noise));
            // The same behind a header and a question that match.
            let mut bytes = Script::new(query.bytes()).bytes();
            (bytes[7], bytes[9], bytes[11]) = (3, 2, 1);
            bytes.extend(&noise);
            check_bounds(&read(&query, &question, transport, &bytes));
        }
    }

    #[test]
    fn mutated_answers_never_panic(
        case in 0..CASES.len(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..8),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let (_, asked, answers, authority, _) = CASES[case];
        let question = question(asked);
        let query = Query::new(&question, RANDOM, false);
        let mut bytes = Script { answers, authority, ..Script::new(query.bytes()) }.bytes();
        let fixed = question_end(query.bytes());
        for (at, byte) in changes {
            // Past the question, or in the counts: the rest would be foreign.
            let at = at.index(bytes.len() - fixed + 6);
            let at = if at < 6 { at + 6 } else { at - 6 + fixed };
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        check_bounds(&read(&query, &question, Transport::Udp, &bytes));
    }

    #[test]
    fn names_survive_text(labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 1..8)) {
        let mut wire = Vec::new();
        for label in &labels {
            wire.push(label.len() as u8);
            wire.extend(label);
        }
        wire.push(0);
        let name = Name::copy_of(&domain::base::Name::from_octets(wire).unwrap());
        let text = name.to_string();
        prop_assert!(text.bytes().all(|b| (0x20..0x7F).contains(&b)));
        prop_assert_eq!(Name::parse(&text), Some(name));
    }
}
