//! Wanted addresses and routes against those that are there: what to remove and what to add, in order.
//! Source: `box interface`, `box address`, `box gateway` and `domain NAME address` of the configuration.
//! Danger: an address that was there before us belongs to someone else; it is used, and never removed.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use crate::config::{Config, IpLen};

/// Whether a domain may use its address now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressState {
    Up,
    /// Why not, ready for the console: listeners and mail of this address wait.
    Pending(String),
}

impl AddressState {
    pub fn is_up(&self) -> bool {
        *self == AddressState::Up
    }
}

/// Whose traffic an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The box's own: the kernel may choose it as the source of any traffic.
    Own,
    /// A domain's: only what is bound to it leaves from it.
    Domain,
}

/// An address to be put on the NIC, with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alias {
    pub ip: IpAddr,
    pub len: u8,
    pub role: Role,
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.len)
    }
}

/// What the configuration asks of the NIC. The box's own addresses come first, so that they become the
/// primary ones of their networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub interface: Option<String>,
    /// Addresses that the box adds: those with a prefix length, where there is an interface.
    pub aliases: Vec<Alias>,
    pub gateways: Vec<IpAddr>,
    /// Every address that somebody waits for, each once.
    pub addresses: Vec<IpAddr>,
}

impl Wanted {
    pub fn of(config: &Config) -> Self {
        let own = config.machine.addresses.iter().map(|a| (a, Role::Own));
        let domains = config.domains.iter().flat_map(|d| &d.addresses).map(|a| (a, Role::Domain));
        let mut wanted = Wanted { interface: config.machine.interface.clone(), ..Wanted::default() };
        for (&IpLen { ip, len }, role) in own.chain(domains) {
            if !wanted.addresses.contains(&ip) {
                wanted.addresses.push(ip);
            }
            let managed = wanted.interface.is_some() && !wanted.aliases.iter().any(|a| a.ip == ip);
            if let (true, Some(len)) = (managed, len) {
                wanted.aliases.push(Alias { ip, len, role });
            }
        }
        if wanted.interface.is_some() {
            wanted.gateways.clone_from(&config.machine.gateways);
        }
        wanted
    }

    /// The box's own address of the family of `ip`, where it puts one on the NIC.
    pub fn own_address_like(&self, ip: IpAddr) -> Option<IpAddr> {
        let like = |a: &&Alias| a.role == Role::Own && a.ip.is_ipv4() == ip.is_ipv4();
        self.aliases.iter().find(like).map(|a| a.ip)
    }
}

/// An address that is on the NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    pub ip: IpAddr,
    pub len: u8,
    /// Put there by this program, now or before a restart.
    pub ours: bool,
}

/// What is there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    pub on_nic: Vec<Present>,
    /// Addresses that this machine has by other means, such as on another NIC.
    pub elsewhere: BTreeSet<IpAddr>,
    /// Gateways of the default routes through the NIC, and whether a route is ours.
    pub gateways: Vec<(IpAddr, bool)>,
}

/// One change to make; the order of a plan is the order to make them in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    RemoveGateway(IpAddr),
    Remove(Present),
    Add(Alias),
    AddGateway(IpAddr),
}

/// The way from `actual` to `wanted`; empty when they agree.
pub fn plan(wanted: &Wanted, actual: &Actual) -> Vec<Step> {
    let outdated = |p: &&Present| p.ours && !wanted.aliases.iter().any(|a| (a.ip, a.len) == (p.ip, p.len));
    let missing = |a: &&Alias| {
        let there = actual.on_nic.iter().any(|p| p.ip == a.ip && (!p.ours || p.len == a.len));
        !there && !actual.elsewhere.contains(&a.ip)
    };
    let stray = |&&(ip, ours): &&(IpAddr, bool)| ours && !wanted.gateways.contains(&ip);
    let unrouted = |ip: &&IpAddr| !actual.gateways.iter().any(|(there, _)| there == *ip);
    let mut steps = Vec::new();
    steps.extend(actual.gateways.iter().filter(stray).map(|&(ip, _)| Step::RemoveGateway(ip)));
    steps.extend(actual.on_nic.iter().filter(outdated).map(|&p| Step::Remove(p)));
    steps.extend(wanted.aliases.iter().filter(missing).map(|&a| Step::Add(a)));
    steps.extend(wanted.gateways.iter().filter(unrouted).map(|&ip| Step::AddGateway(ip)));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DomainConfig;
    use crate::mail::Domain;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn split(text: &str) -> (IpAddr, u8) {
        let (at, len) = text.split_once('/').unwrap();
        (ip(at), len.parse().unwrap())
    }

    /// `+192.0.2.70/24` an alias to add, `-...` an address to remove, `+gw`/`-gw` a default route.
    fn told(steps: &[Step]) -> String {
        let word = |step: &Step| match step {
            Step::RemoveGateway(ip) => format!("-gw{ip}"),
            Step::Remove(p) => format!("-{}/{}", p.ip, p.len),
            Step::Add(a) => format!("+{a}"),
            Step::AddGateway(ip) => format!("+gw{ip}"),
        };
        steps.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// `192.0.2.1/24` somebody's address on the NIC, `*192.0.2.1/24` ours, `@192.0.2.1` elsewhere,
    /// `gw192.0.2.254` somebody's default route, `*gw...` ours.
    fn actual(text: &str) -> Actual {
        let mut actual = Actual::default();
        for word in text.split_ascii_whitespace() {
            let (ours, word) = word.strip_prefix('*').map_or((false, word), |rest| (true, rest));
            if let Some(at) = word.strip_prefix('@') {
                actual.elsewhere.insert(ip(at));
            } else if let Some(gateway) = word.strip_prefix("gw") {
                actual.gateways.push((ip(gateway), ours));
            } else {
                let (ip, len) = split(word);
                actual.on_nic.push(Present { ip, len, ours });
            }
        }
        actual
    }

    fn wanted(text: &str) -> Wanted {
        let mut wanted = Wanted { interface: Some("eth0".into()), ..Wanted::default() };
        for word in text.split_ascii_whitespace() {
            match word.strip_prefix("gw") {
                Some(gateway) => wanted.gateways.push(ip(gateway)),
                None => {
                    let (ip, len) = split(word);
                    wanted.aliases.push(Alias { ip, len, role: Role::Domain });
                }
            }
        }
        wanted
    }

    #[test]
    fn the_difference_is_made_up_in_order() {
        for (caption, want, have, steps) in [
            ("an empty NIC", "192.0.2.1/24 gw192.0.2.254", "", "+192.0.2.1/24 +gw192.0.2.254"),
            ("all is well", "192.0.2.1/24", "*192.0.2.1/24", ""),
            ("somebody's address is used as it is", "192.0.2.1/24", "192.0.2.1/16", ""),
            ("and left alone when unconfigured", "", "192.0.2.1/16", ""),
            ("ours goes when unconfigured", "", "*192.0.2.1/24 192.0.2.9/24", "-192.0.2.1/24"),
            ("ours changes its length", "192.0.2.1/25", "*192.0.2.1/24", "-192.0.2.1/24 +192.0.2.1/25"),
            ("deleted by someone: comes back", "192.0.2.1/24 192.0.2.7/24", "*192.0.2.1/24", "+192.0.2.7/24"),
            ("on another NIC: not added twice", "192.0.2.1/24", "@192.0.2.1", ""),
            ("both families", "192.0.2.1/24 2001:db8::1/64", "*2001:db8::1/64", "+192.0.2.1/24"),
            ("a gateway of somebody's is enough", "gw192.0.2.254", "gw192.0.2.254", ""),
            (
                "our gateway moves, before addresses go",
                "192.0.2.1/24 gw192.0.2.253",
                "*192.0.2.1/24 *192.0.2.2/24 *gw192.0.2.254",
                "-gw192.0.2.254 -192.0.2.2/24 +gw192.0.2.253",
            ),
            ("somebody's gateway stays", "", "gw192.0.2.254", ""),
        ] {
            assert_eq!(told(&plan(&wanted(want), &actual(have))), steps, "{caption}");
        }
    }

    fn domain(name: &str, addresses: &[(&str, Option<u8>)]) -> DomainConfig {
        DomainConfig {
            addresses: addresses.iter().map(|&(at, len)| IpLen { ip: ip(at), len }).collect(),
            ..crate::config::DomainConfig::new(Domain::parse(name).unwrap())
        }
    }

    fn config() -> Config {
        let mut config = Config::default();
        config.machine.addresses = vec![IpLen { ip: ip("192.0.2.1"), len: Some(24) }];
        config.machine.gateways = vec![ip("192.0.2.254")];
        config.domains = vec![
            domain("abc.com", &[("192.0.2.1", None)]),
            domain("bcd.com", &[("192.0.2.70", Some(24)), ("2001:db8::70", Some(64))]),
            domain("cde.com", &[("192.0.2.71", None)]),
        ];
        config
    }

    #[test]
    fn the_boxes_own_address_comes_first_and_each_only_once() {
        let mut config = config();
        config.machine.interface = Some("eth0".into());
        let wanted = Wanted::of(&config);
        let shown: Vec<_> = wanted.aliases.iter().map(|a| (a.to_string(), a.role)).collect();
        let expected =
            [("192.0.2.1/24", Role::Own), ("192.0.2.70/24", Role::Domain), ("2001:db8::70/64", Role::Domain)];
        assert_eq!(shown, expected.map(|(text, role)| (text.to_owned(), role)));
        assert_eq!(wanted.addresses.len(), 4);
        assert_eq!(wanted.gateways, [ip("192.0.2.254")]);
        assert_eq!(wanted.own_address_like(ip("192.0.2.254")), Some(ip("192.0.2.1")));
        assert_eq!(wanted.own_address_like(ip("2001:db8::1")), None);
    }

    #[test]
    fn without_an_interface_nothing_is_touched() {
        let wanted = Wanted::of(&config());
        assert!(wanted.aliases.is_empty() && wanted.gateways.is_empty());
        assert_eq!(wanted.addresses.len(), 4);
        assert!(plan(&wanted, &Actual::default()).is_empty());
    }
}
