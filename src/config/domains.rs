//! The domains of a configuration, in the order of their first statement. Each is found by its name or by
//! an address of its own, at a cost that does not grow with their number.
//! Danger: a domain keeps its name for good, else it would be found under one that it has no more.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};

use crate::config::model::DomainConfig;
use crate::mail::Domain;

/// All domains; names are unique.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    list: Vec<DomainConfig>,
    by_name: HashMap<Domain, usize>,
    /// Made anew for the first question after a change.
    by_address: OnceCell<HashMap<IpAddr, usize>>,
}

impl Domains {
    pub fn named(&self, name: &Domain) -> Option<&DomainConfig> {
        let domain = &self.list[*self.by_name.get(name)?];
        debug_assert_eq!(domain.name, *name, "a domain has changed its name");
        Some(domain)
    }

    /// The first domain that has this address.
    pub fn at(&self, ip: IpAddr) -> Option<&DomainConfig> {
        let by_address = self.by_address.get_or_init(|| self.addresses());
        Some(&self.list[*by_address.get(&ip.to_canonical())?])
    }

    /// The domain of this name, which is made if there is none.
    pub fn named_or_new(&mut self, name: &Domain) -> &mut DomainConfig {
        let at = *self.by_name.entry(name.clone()).or_insert_with(|| {
            self.list.push(DomainConfig::new(name.clone()));
            self.list.len() - 1
        });
        &mut self[at]
    }

    fn addresses(&self) -> HashMap<IpAddr, usize> {
        let mut found = HashMap::new();
        for (at, domain) in self.list.iter().enumerate() {
            domain.addresses.iter().for_each(|address| {
                found.entry(address.ip).or_insert(at);
            });
        }
        found
    }
}

impl FromIterator<DomainConfig> for Domains {
    fn from_iter<I: IntoIterator<Item = DomainConfig>>(domains: I) -> Self {
        let mut all = Domains::default();
        for domain in domains {
            let place = all.named_or_new(&domain.name);
            *place = domain;
        }
        all
    }
}

impl Deref for Domains {
    type Target = [DomainConfig];

    fn deref(&self) -> &[DomainConfig] {
        &self.list
    }
}

impl DerefMut for Domains {
    fn deref_mut(&mut self) -> &mut [DomainConfig] {
        self.by_address.take();
        &mut self.list
    }
}

impl<'d> IntoIterator for &'d Domains {
    type Item = &'d DomainConfig;
    type IntoIter = std::slice::Iter<'d, DomainConfig>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

impl PartialEq for Domains {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl Eq for Domains {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::IpLen;

    fn name(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_domain_is_found_by_its_name_and_by_every_address() {
        let mut domains = Domains::default();
        for (domain, addresses) in
            [("abc.com", &["203.0.113.2", "2001:db8::2"][..]), ("bcd.com", &["203.0.113.70", "203.0.113.2"])]
        {
            let addresses = addresses.iter().map(|text| IpLen { ip: ip(text), len: None });
            domains.named_or_new(&name(domain)).addresses.extend(addresses);
        }
        let found = |ask: &str| domains.at(ip(ask)).map(|domain| domain.name.to_string());
        assert_eq!(found("203.0.113.70").as_deref(), Some("bcd.com"));
        assert_eq!(found("2001:db8::2").as_deref(), Some("abc.com"));
        assert_eq!(found("::ffff:203.0.113.70").as_deref(), Some("bcd.com"), "the same address");
        assert_eq!(found("203.0.113.2").as_deref(), Some("abc.com"), "the first that has it");
        assert_eq!(found("203.0.113.71"), None);
        assert_eq!(domains.named(&name("BCD.com")).map(|d| d.addresses.len()), Some(2));
        assert_eq!(domains.named(&name("cde.com")), None);
    }

    #[test]
    fn an_address_that_is_changed_is_found_at_once() {
        let mut domains: Domains = [DomainConfig::new(name("abc.com"))].into_iter().collect();
        assert_eq!(domains.at(ip("203.0.113.2")), None);
        domains[0].addresses.push(IpLen { ip: ip("203.0.113.2"), len: None });
        assert!(domains.at(ip("203.0.113.2")).is_some());
        domains.named_or_new(&name("abc.com")).addresses.clear();
        assert_eq!(domains.at(ip("203.0.113.2")), None);
        assert_eq!(domains.len(), 1);
    }
}
