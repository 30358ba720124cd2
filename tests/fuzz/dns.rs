//! A lookup, as servers of any kind answer it, and the order of hosts that comes of it.

use std::rc::Rc;
use std::time::Duration;

use stagepost::dns::{Cache, Found, Lookup, Question, Record, Send, Step, Transport, mx};
use stagepost::limits::{DNS_CACHE_BYTES_MAX, DNS_RECORDS_MAX, MAIL_HOSTS_MAX};
use stagepost::mail::Domain;
use stagepost::prng::Prng;
use stagepost::time::Instant;

/// The first byte chooses the question; then come messages, two bytes of length before each. Those with the
/// highest bit of the length set get the id and the question of the query, as no stranger could know them.
pub fn dns(data: &[u8]) {
    let Some((kind, mut rest)) = data.split_first() else { return };
    let kind = ["A", "AAAA", "MX", "TXT", "PTR", "CNAME"][usize::from(*kind) % 6];
    let Ok(question) = Question::parse("xyz.com", Some(kind)) else { return };
    let servers = vec![([203, 0, 113, 53], 53).into(), ([203, 0, 113, 54], 53).into()];
    let mut now = Instant::ORIGIN;
    let mut lookup = Lookup::new(question.clone(), servers, now);
    let mut asked: Option<Send> = None;
    // Each message takes one turn, a foreign one too.
    for turn in 0..200 + data.len() as u64 {
        match lookup.step(now, || turn.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
            Step::Send(send) => asked = Some(send),
            Step::Wait(until) => match (take_message(&mut rest), &asked) {
                (Some(message), Some(query)) => lookup.received(now, &answered(message, query)),
                _ => {
                    now = until;
                    lookup.timed_out(now);
                }
            },
            Step::Done(answer) => {
                if let Found::Records(records) = &answer.found {
                    check(records);
                }
                let mut cache = Cache::default();
                cache.put(now, &question, Rc::new(answer));
                assert!(cache.bytes() <= DNS_CACHE_BYTES_MAX);
                return;
            }
        }
        now += Duration::from_millis(1);
    }
    panic!("a lookup without end");
}

fn take_message<'a>(rest: &mut &'a [u8]) -> Option<(bool, &'a [u8])> {
    let (length, after) = rest.split_first_chunk::<2>()?;
    let length = u16::from_be_bytes(*length);
    let (message, after) = after.split_at(usize::from(length & 0x0fff).min(after.len()));
    *rest = after;
    Some((length & 0x8000 != 0, message))
}

/// The message as it is, or behind the head that the query wants: its id, one question, and that.
fn answered((ours, message): (bool, &[u8]), query: &Send) -> Vec<u8> {
    const HEAD: usize = 12;
    if !ours || message.len() < HEAD {
        return message.to_vec();
    }
    let name_end = query.query[HEAD..].iter().position(|byte| *byte == 0);
    let end = name_end.map_or(HEAD, |at| HEAD + at + 5);
    let mut bytes = message[..HEAD].to_vec();
    bytes[..2].copy_from_slice(&query.query[..2]);
    bytes[2] = (bytes[2] | 0x80) & 0x87;
    bytes[4..6].copy_from_slice(&[0, 1]);
    if query.transport == Transport::Tcp {
        bytes[2] &= !0x02;
    }
    bytes.extend_from_slice(query.query.get(HEAD..end).unwrap_or_default());
    bytes.extend_from_slice(&message[HEAD..]);
    bytes
}

fn check(records: &[Record]) {
    assert!(records.len() <= DNS_RECORDS_MAX);
    for record in records {
        assert!(!record.to_string().contains(char::is_control), "{record}");
    }
    let domain = Domain::parse("xyz.com").expect("a domain");
    let Ok(hosts) = mx::ordered(&domain, records, &mut Prng::from_seed(1)) else { return };
    assert!(!hosts.is_empty() && hosts.len() <= MAIL_HOSTS_MAX);
    for host in hosts {
        assert_eq!(Domain::host_name(host.name.as_str()).as_ref(), Ok(&host.name));
    }
}
