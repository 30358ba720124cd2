//! Replies for tests, written as zone-file lines (RFC 1035 §5): `OWNER TTL TYPE DATA`. Well formed, so that a
//! test can spoil just what it is about.

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::message_builder::RecordSectionBuilder;
use domain::base::name::Name as WireName;
use domain::base::{MessageBuilder, Record as WireRecord, Serial, Ttl};
use domain::rdata::{A, Aaaa, Cname, Mx, Ns, Ptr, Soa, Txt};

/// A reply in the making. It begins as an empty NOERROR to `query`.
pub struct Script<'a> {
    pub query: &'a [u8],
    pub rcode: Rcode,
    pub answers: &'a [&'a str],
    pub authority: &'a [&'a str],
    pub truncated: bool,
}

impl<'a> Script<'a> {
    pub fn new(query: &'a [u8]) -> Self {
        Script { query, rcode: Rcode::NOERROR, answers: &[], authority: &[], truncated: false }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let question_end = question_end(self.query);
        let mut builder = MessageBuilder::new_vec();
        builder.header_mut().set_id(u16::from_be_bytes([self.query[0], self.query[1]]));
        builder.header_mut().set_qr(true);
        builder.header_mut().set_tc(self.truncated);
        builder.header_mut().set_rcode(self.rcode);
        let mut question = builder.question();
        let name = WireName::from_octets(self.query[12..question_end - 4].to_vec()).unwrap();
        let kind =
            Rtype::from_int(u16::from_be_bytes([self.query[question_end - 4], self.query[question_end - 3]]));
        question.push((name, kind, Class::IN)).unwrap();
        let mut answer = question.answer();
        self.answers.iter().for_each(|line| push(&mut answer, line));
        let mut authority = answer.authority();
        self.authority.iter().for_each(|line| push(&mut authority, line));
        authority.finish()
    }
}

/// The end of the question section of a query with one question.
pub fn question_end(query: &[u8]) -> usize {
    12 + query[12..].iter().position(|&b| b == 0).unwrap() + 5
}

fn name(text: &str) -> WireName<Vec<u8>> {
    text.parse().unwrap()
}

fn push(section: &mut impl RecordSectionBuilder<Vec<u8>>, line: &str) {
    let words: Vec<&str> = line.splitn(4, ' ').collect();
    let [owner, ttl, kind, data] = words[..] else { panic!("OWNER TTL TYPE DATA: {line}") };
    let (owner, ttl) = (name(owner), Ttl::from_secs(ttl.parse().unwrap()));
    macro_rules! push {
        ($data:expr) => {
            section.push(WireRecord::new(owner, Class::IN, ttl, $data)).unwrap()
        };
    }
    match kind {
        "A" => push!(A::new(data.parse().unwrap())),
        "AAAA" => push!(Aaaa::new(data.parse().unwrap())),
        "CNAME" => push!(Cname::new(name(data))),
        "NS" => push!(Ns::new(name(data))),
        "PTR" => push!(Ptr::new(name(data))),
        "TXT" => push!(Txt::<Vec<u8>>::build_from_slice(data.as_bytes()).unwrap()),
        "MX" => {
            let (preference, host) = data.split_once(' ').unwrap();
            push!(Mx::new(preference.parse().unwrap(), name(host)))
        }
        "SOA" => {
            let minimum = Ttl::from_secs(data.parse().unwrap());
            let hour = Ttl::from_secs(3600);
            push!(Soa::new(name("ns.test"), name("hostmaster.test"), Serial(1), hour, hour, hour, minimum))
        }
        other => panic!("{other}"),
    }
}
