//! From MX records to the hosts that mail is offered to, in order (RFC 5321 §5.1, RFC 7505).
//! Danger: a list in which this box itself appears sends mail round in circles; everything from there on
//! is cut.

use crate::dns::{LookupError, Record};
use crate::limits::MAIL_HOSTS_MAX;
use crate::mail::Domain;
use crate::prng::Prng;

/// A host that takes mail for a domain; an address literal where the recipient's address had one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailHost {
    pub name: Domain,
    /// Lower is better; 0 without MX records.
    pub preference: u16,
}

/// What is known of a host's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It has some, or it is not known whether it has.
    Open,
    /// It has none.
    Nowhere,
    /// One of them, or the name, is this box's own.
    Ourselves,
}

/// The one host of a domain without MX records: itself.
pub fn implicit(domain: &Domain) -> Vec<MailHost> {
    vec![MailHost { name: domain.clone(), preference: 0 }]
}

/// The hosts of `domain`'s MX records, best first, equals in random order, each host once, at most
/// [`MAIL_HOSTS_MAX`]. Records that name no host (RFC 5321 §2.3.5) are passed over.
///
/// # Errors
/// [`LookupError::NullMx`] for the one record `0 .`; [`LookupError::NoAddress`] when no record names a host.
pub fn ordered(domain: &Domain, records: &[Record], prng: &mut Prng) -> Result<Vec<MailHost>, LookupError> {
    if let [Record::Mx { exchange, .. }] = records
        && exchange.is_root()
    {
        return Err(LookupError::NullMx(domain.to_string()));
    }
    let mut hosts: Vec<MailHost> = records
        .iter()
        .filter_map(|record| match record {
            Record::Mx { preference, exchange } => {
                exchange.to_host().map(|name| MailHost { name, preference: *preference })
            }
            _ => None,
        })
        .collect();
    prng.shuffle(&mut hosts);
    hosts.sort_by_key(|host| host.preference);
    let mut seen: Vec<MailHost> = Vec::new();
    for host in hosts {
        if seen.len() < MAIL_HOSTS_MAX && !seen.iter().any(|other| other.name == host.name) {
            seen.push(host);
        }
    }
    if seen.is_empty() { Err(LookupError::NoAddress(domain.to_string())) } else { Ok(seen) }
}

/// Leaves the hosts that are better than this box itself, without those that lead nowhere.
///
/// # Errors
/// [`LookupError::LoopsBack`] when this box is the best host; [`LookupError::NoAddress`] when all lead nowhere.
pub fn usable(domain: &Domain, hosts: Vec<(MailHost, Reach)>) -> Result<Vec<MailHost>, LookupError> {
    let ours =
        hosts.iter().filter(|(_, reach)| *reach == Reach::Ourselves).map(|(host, _)| host.preference).min();
    let better = |host: &MailHost| ours.is_none_or(|ours| host.preference < ours);
    let left: Vec<MailHost> = hosts
        .into_iter()
        .filter(|(host, reach)| better(host) && *reach == Reach::Open)
        .map(|(host, _)| host)
        .collect();
    match (left.is_empty(), ours) {
        (false, _) => Ok(left),
        (true, Some(_)) => Err(LookupError::LoopsBack(domain.to_string())),
        (true, None) => Err(LookupError::NoAddress(domain.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Name;

    fn mx(records: &[(u16, &str)]) -> Vec<Record> {
        let record = |&(preference, name): &(u16, &str)| Record::Mx {
            preference,
            exchange: Name::parse(name).unwrap(),
        };
        records.iter().map(record).collect()
    }

    fn xyz() -> Domain {
        Domain::parse("xyz.com").unwrap()
    }

    fn names(hosts: &[MailHost]) -> Vec<&str> {
        hosts.iter().map(|host| host.name.as_str()).collect()
    }

    #[test]
    fn hosts_are_sorted_by_preference() {
        let records = mx(&[(30, "c.xyz.com"), (10, "a.xyz.com"), (20, "b.xyz.com"), (40, "A.xyz.com")]);
        let hosts = ordered(&xyz(), &records, &mut Prng::from_seed(1)).unwrap();
        assert_eq!(names(&hosts), ["a.xyz.com", "b.xyz.com", "c.xyz.com"], "each once, at its best");
    }

    #[test]
    fn equals_are_shuffled() {
        let records = mx(&[(10, "a.xyz.com"), (10, "b.xyz.com"), (20, "c.xyz.com")]);
        let (mut prng, mut a_first) = (Prng::from_seed(1), 0);
        for _ in 0..1000 {
            let hosts = ordered(&xyz(), &records, &mut prng).unwrap();
            a_first += usize::from(hosts[0].name.as_str() == "a.xyz.com");
            assert_eq!(hosts[2].name.as_str(), "c.xyz.com");
        }
        assert!((400..600).contains(&a_first), "{a_first}");
    }

    #[test]
    fn null_mx_takes_no_mail() {
        let order = |records: &[(u16, &str)]| ordered(&xyz(), &mx(records), &mut Prng::from_seed(1));
        assert_eq!(order(&[(0, ".")]), Err(LookupError::NullMx("xyz.com".to_owned())));
        assert_eq!(
            names(&order(&[(0, "."), (10, "a.xyz.com")]).unwrap()),
            ["a.xyz.com"],
            "no null MX among others"
        );
        assert_eq!(order(&[(0, "."), (1, ".")]), Err(LookupError::NoAddress("xyz.com".to_owned())));
    }

    #[test]
    fn what_is_no_host_name_is_passed_over() {
        let records =
            mx(&[(5, "192.0.2.1"), (6, "mail_1.xyz.com"), (7, "a\\010b.xyz.com"), (10, "a.xyz.com")]);
        assert_eq!(names(&ordered(&xyz(), &records, &mut Prng::from_seed(1)).unwrap()), ["a.xyz.com"]);
    }

    #[test]
    fn a_long_list_is_cut_after_the_best() {
        let many: Vec<(u16, String)> = (0..100).rev().map(|i| (i, format!("h{i}.xyz.com"))).collect();
        let many: Vec<(u16, &str)> = many.iter().map(|(p, n)| (*p, n.as_str())).collect();
        let hosts = ordered(&xyz(), &mx(&many), &mut Prng::from_seed(1)).unwrap();
        assert_eq!((hosts.len(), hosts[0].preference, hosts[15].preference), (MAIL_HOSTS_MAX, 0, 15));
    }

    #[test]
    fn the_list_ends_before_this_box() {
        use Reach::{Nowhere, Open, Ourselves};
        let loops = || Err(LookupError::LoopsBack("xyz.com".to_owned()));
        let nowhere = || Err(LookupError::NoAddress("xyz.com".to_owned()));
        type Case = (&'static str, &'static [(u16, Reach)], Result<&'static [u16], LookupError>);
        let cases: [Case; 7] = [
            ("nothing of ours", &[(10, Open), (20, Open)], Ok(&[10, 20])),
            ("we are the backup", &[(10, Open), (20, Ourselves), (30, Open)], Ok(&[10])),
            ("an equal goes too", &[(10, Open), (20, Open), (20, Ourselves)], Ok(&[10])),
            ("we are the best", &[(10, Ourselves), (20, Open)], loops()),
            ("the better ones are gone", &[(10, Nowhere), (20, Ourselves)], loops()),
            ("one leads nowhere", &[(10, Nowhere), (20, Open)], Ok(&[20])),
            ("all lead nowhere", &[(10, Nowhere), (20, Nowhere)], nowhere()),
        ];
        for (caption, hosts, wanted) in cases {
            let host = |&(preference, reach): &(u16, Reach)| (MailHost { name: xyz(), preference }, reach);
            let left = usable(&xyz(), hosts.iter().map(host).collect());
            let left = left.map(|hosts| hosts.iter().map(|host| host.preference).collect::<Vec<_>>());
            assert_eq!(left, wanted.map(<[u16]>::to_vec), "{caption}");
        }
    }
}
