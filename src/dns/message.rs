//! Queries written and replies read (RFC 1035 §4, RFC 6891). The wire format is the `domain` crate's.
//! Danger: a reply comes from anywhere on the network. What does not match the query in every respect is
//! foreign, what matches and makes no sense is a failure, and only the rest is believed.

use std::time::Duration;

use domain::base::iana::{Class, Opcode, OptRcode, Rcode, Rtype};
use domain::base::message::RecordSection;
use domain::base::name::ParsedName;
use domain::base::record::ParsedRecord;
use domain::base::{Message, MessageBuilder};
use domain::rdata::{A, Aaaa, Cname, Mx, Ptr, Soa, Txt};

use crate::dns::{Answer, Found, Kind, Name, Question, Record, Transport};
use crate::limits::{
    DNS_ALIASES_MAX, DNS_NEGATIVE_TTL_S_MAX, DNS_RECORDS_MAX, DNS_RECORDS_READ_MAX, DNS_TTL_S_MAX,
    DNS_UDP_PAYLOAD_BYTES,
};

/// Where the question section begins.
const QUESTION_AT: usize = 12;

/// A query as it goes out; kept, because the reply is held against it.
#[derive(Clone, Debug)]
pub struct Query {
    bytes: Vec<u8>,
    /// The end of the question section in `bytes`.
    question_end: usize,
}

impl Query {
    /// Writes a query with the id and the letter cases drawn from `random`, and with EDNS. A `plain` one has
    /// neither cases nor EDNS, for servers and paths that cannot bear them.
    pub fn new(question: &Question, random: u64, plain: bool) -> Self {
        let mut builder = MessageBuilder::new_vec();
        let [id_high, id_low, ..] = random.to_be_bytes();
        builder.header_mut().set_id(u16::from_be_bytes([id_high, id_low]));
        builder.header_mut().set_rd(true);
        let mut builder = builder.question();
        builder
            .push((question.name.wire(), question.kind.rtype(), Class::IN))
            .expect("one question fits a message");
        let question_end = builder.as_slice().len();
        let mut bytes = if plain {
            builder.finish()
        } else {
            let mut builder = builder.additional();
            builder
                .opt(|opt| {
                    opt.set_udp_payload_size(DNS_UDP_PAYLOAD_BYTES);
                    Ok(())
                })
                .expect("one question and an OPT record fit a message");
            builder.finish()
        };
        if !plain {
            mix_case(&mut bytes[QUESTION_AT..question_end - 4], random);
        }
        Query { bytes, question_end }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn question(&self) -> &[u8] {
        &self.bytes[QUESTION_AT..self.question_end]
    }
}

/// Sets the case of each letter by one of the lower 48 bits of `random`. The lengths of labels are below
/// every letter.
fn mix_case(name: &mut [u8], random: u64) {
    for (i, byte) in name.iter_mut().enumerate() {
        if byte.is_ascii_alphabetic() {
            *byte = (*byte | 0x20) ^ (((random >> (i % 48)) & 1) as u8 * 0x20);
        }
    }
}

/// What a message from a nameserver means for the query.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing to do with the query: late, forged, or noise.
    Foreign,
    /// Cut off, or with the question's letters in other cases: worth asking over TCP.
    AskOverTcp,
    /// This server cannot answer, and why.
    Failed(String),
    /// The name is an alias, and the reply says nothing of its target. The time to live is the alias's.
    Alias(Name, Duration),
    Answer(Answer),
}

/// Reads `bytes` as the reply to `query`, which asked `question`.
pub fn read(query: &Query, question: &Question, transport: Transport, bytes: &[u8]) -> Reply {
    let Ok(message) = Message::from_slice(bytes) else { return Reply::Foreign };
    let header = message.header();
    if bytes[..2] != query.bytes[..2] || !header.qr() || header.opcode() != Opcode::QUERY {
        return Reply::Foreign;
    }
    match matching(message, query, question, transport) {
        Match::Exact => {}
        Match::None => return Reply::Foreign,
        Match::OtherCase => return Reply::AskOverTcp,
    }
    if header.tc() {
        return match transport {
            Transport::Udp => Reply::AskOverTcp,
            Transport::Tcp => failed("a reply over TCP that is cut off"),
        };
    }
    let code = message.opt_rcode();
    if code != OptRcode::NOERROR && code != OptRcode::NXDOMAIN {
        return Reply::Failed(code.to_string());
    }
    let exists = code == OptRcode::NOERROR;
    read_sections(message, question, exists).unwrap_or_else(|Garbled| failed("a garbled reply"))
}

fn failed(why: &str) -> Reply {
    Reply::Failed(why.to_owned())
}

enum Match {
    Exact,
    OtherCase,
    None,
}

/// Holds the reply's question against the query's. A server that did not understand may leave it out.
fn matching(message: &Message<[u8]>, query: &Query, question: &Question, transport: Transport) -> Match {
    let counts = message.header_counts();
    let understood = matches!(message.header().rcode(), Rcode::NOERROR | Rcode::NXDOMAIN);
    if counts.qdcount() == 0 && !understood {
        return Match::Exact;
    }
    if counts.qdcount() == 1 && message.as_slice()[QUESTION_AT..].starts_with(query.question()) {
        return Match::Exact;
    }
    let Ok(theirs) = message.sole_question() else { return Match::None };
    let same = theirs.qname() == question.name.wire()
        && theirs.qtype() == question.kind.rtype()
        && theirs.qclass() == Class::IN;
    match (same, transport) {
        (false, _) => Match::None,
        (true, Transport::Udp) => Match::OtherCase,
        (true, Transport::Tcp) => Match::Exact,
    }
}

/// The message does not follow its own format.
#[derive(Debug)]
struct Garbled;

impl From<domain::base::wire::ParseError> for Garbled {
    fn from(_: domain::base::wire::ParseError) -> Self {
        Garbled
    }
}

type Slice<'a> = &'a [u8];
type Raw<'a> = ParsedRecord<'a, [u8]>;
type Parsed<'a> = ParsedName<Slice<'a>>;

fn read_sections(message: &Message<[u8]>, question: &Question, exists: bool) -> Result<Reply, Garbled> {
    let answers = records_of(message.answer()?)?;
    let Some(chain) = follow_aliases(&answers, question)? else {
        return Ok(failed("aliases without end"));
    };
    let (records, ttl_s) = wanted(&answers, &chain, question)?;
    if !records.is_empty() {
        // NXDOMAIN beside records of the name is a contradiction.
        return Ok(if exists {
            let ttl = Duration::from_secs(ttl_s.min(DNS_TTL_S_MAX));
            Reply::Answer(Answer { found: Found::Records(records), ttl })
        } else {
            failed("a reply that contradicts itself")
        });
    }
    let absence = Absence::read(message)?;
    let ttl = Duration::from_secs(absence.ttl_s.unwrap_or(0).min(chain.ttl_s).min(DNS_NEGATIVE_TTL_S_MAX));
    Ok(match (exists, absence.ttl_s, chain.target) {
        (false, _, _) => Reply::Answer(Answer { found: Found::NxDomain, ttl }),
        (true, None, Some(target)) => {
            Reply::Alias(Name::copy_of(&target), Duration::from_secs(chain.ttl_s.min(DNS_TTL_S_MAX)))
        }
        (true, None, None) if absence.refers => failed("only a referral to other servers"),
        (true, _, _) => Reply::Answer(Answer { found: Found::NoData, ttl }),
    })
}

/// The section's records of class IN, as many as are read at all.
fn records_of<'a>(section: RecordSection<'a, [u8]>) -> Result<Vec<Raw<'a>>, Garbled> {
    let mut records = Vec::new();
    for record in section.take(DNS_RECORDS_READ_MAX) {
        let record = record?;
        if record.class() == Class::IN {
            records.push(record);
        }
    }
    Ok(records)
}

/// Where the aliases of an answer lead, and for how long.
struct Chain<'a> {
    /// `None`: the name is no alias.
    target: Option<Parsed<'a>>,
    ttl_s: u64,
}

impl Chain<'_> {
    fn ends_at(&self, name: &Parsed<'_>, question: &Question) -> bool {
        match &self.target {
            Some(target) => name == target,
            None => name == question.name.wire(),
        }
    }
}

/// Follows the CNAME records from the question's name; `None` when there are too many.
fn follow_aliases<'a>(answers: &[Raw<'a>], question: &Question) -> Result<Option<Chain<'a>>, Garbled> {
    let mut chain = Chain { target: None, ttl_s: u64::MAX };
    if question.kind == Kind::Cname {
        return Ok(Some(chain));
    }
    for _ in 0..=DNS_ALIASES_MAX {
        let alias = answers.iter().find(|r| r.rtype() == Rtype::CNAME && chain.ends_at(&r.owner(), question));
        let Some(alias) = alias else { return Ok(Some(chain)) };
        let record = alias.to_record::<Cname<Parsed<'a>>>()?.ok_or(Garbled)?;
        chain.target = Some(*record.data().cname());
        chain.ttl_s = chain.ttl_s.min(seconds(alias));
    }
    Ok(None)
}

/// RFC 2181 §8: a time to live with its highest bit set is none.
fn seconds(record: &Raw<'_>) -> u64 {
    let ttl = record.ttl().as_secs();
    if ttl > i32::MAX as u32 { 0 } else { ttl.into() }
}

/// The records that were asked for, at the end of the chain, and the shortest time to live on the way.
fn wanted(
    answers: &[Raw<'_>],
    chain: &Chain<'_>,
    question: &Question,
) -> Result<(Vec<Record>, u64), Garbled> {
    let (mut records, mut ttl_s) = (Vec::new(), chain.ttl_s);
    let matching = answers
        .iter()
        .filter(|r| r.rtype() == question.kind.rtype() && chain.ends_at(&r.owner(), question))
        .take(DNS_RECORDS_MAX);
    for raw in matching {
        records.push(read_record(raw, question.kind)?);
        ttl_s = ttl_s.min(seconds(raw));
    }
    Ok((records, ttl_s))
}

fn read_record(raw: &Raw<'_>, kind: Kind) -> Result<Record, Garbled> {
    Ok(match kind {
        Kind::A => Record::A(raw.to_record::<A>()?.ok_or(Garbled)?.data().addr()),
        Kind::Aaaa => Record::Aaaa(raw.to_record::<Aaaa>()?.ok_or(Garbled)?.data().addr()),
        Kind::Mx => {
            let record = raw.to_record::<Mx<Parsed<'_>>>()?.ok_or(Garbled)?;
            let exchange = Name::copy_of(record.data().exchange());
            Record::Mx { preference: record.data().preference(), exchange }
        }
        Kind::Ptr => {
            let record = raw.to_record::<Ptr<Parsed<'_>>>()?.ok_or(Garbled)?;
            Record::Ptr(Name::copy_of(record.data().ptrdname()))
        }
        Kind::Cname => {
            let record = raw.to_record::<Cname<Parsed<'_>>>()?.ok_or(Garbled)?;
            Record::Cname(Name::copy_of(record.data().cname()))
        }
        Kind::Txt => {
            let record = raw.to_record::<Txt<Slice<'_>>>()?.ok_or(Garbled)?;
            Record::Txt(record.data().text::<Vec<u8>>().into())
        }
    })
}

/// What the authority section says of an absence (RFC 2308 §2 and §5).
struct Absence {
    /// How long it may be believed, where a SOA record says so.
    ttl_s: Option<u64>,
    /// It names other servers to ask.
    refers: bool,
}

impl Absence {
    fn read(message: &Message<[u8]>) -> Result<Self, Garbled> {
        let mut absence = Absence { ttl_s: None, refers: false };
        for raw in records_of(message.authority()?)? {
            if raw.rtype() == Rtype::SOA && absence.ttl_s.is_none() {
                let soa = raw.to_record::<Soa<Parsed<'_>>>()?.ok_or(Garbled)?;
                absence.ttl_s = Some(seconds(&raw).min(soa.data().minimum().as_secs().into()));
            }
            absence.refers |= raw.rtype() == Rtype::NS;
        }
        Ok(absence)
    }
}

#[cfg(test)]
mod tests;
