//! Wanted addresses and routes against those that are there: what to remove and what to add, in order.
//! Source: `box interface`, `box address`, `box gateway` and `domain NAME address` of the configuration.
//! Danger: an address that was there before us belongs to someone else; it is used, and never removed.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use crate::config::{Config, DomainConfig, IpLen};

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

/// What leaves from this address, and is not for a network of ours, goes by this gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Road {
    pub from: IpAddr,
    pub gateway: IpAddr,
}

/// What the configuration asks of the NIC. The box's own addresses come first, so that they become the
/// primary ones of their networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub interface: Option<String>,
    /// Addresses that the box adds: those with a prefix length, where there is an interface.
    pub aliases: Vec<Alias>,
    pub gateways: Vec<IpAddr>,
    /// Ways out of domains that do not use the box's gateway.
    pub roads: Vec<Road>,
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
            wanted.roads = config.domains.iter().flat_map(roads).collect();
        }
        wanted
    }

    /// The box's own address of the family of `ip`, where it puts one on the NIC.
    pub fn own_address_like(&self, ip: IpAddr) -> Option<IpAddr> {
        let like = |a: &&Alias| a.role == Role::Own && a.ip.is_ipv4() == ip.is_ipv4();
        self.aliases.iter().find(like).map(|a| a.ip)
    }
}

/// From which of its addresses a domain goes by a gateway of its own.
pub fn roads(domain: &DomainConfig) -> impl Iterator<Item = Road> {
    let from = |gateway: &IpAddr| domain.addresses.iter().find(|a| a.ip.is_ipv4() == gateway.is_ipv4());
    domain
        .gateways
        .iter()
        .filter_map(move |gateway| Some(Road { from: from(gateway)?.ip, gateway: *gateway }))
}

/// An address that is on the NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present {
    pub ip: IpAddr,
    pub len: u8,
    /// Put there by this program, now or before a restart.
    pub ours: bool,
    pub check: Check,
}

/// How far the kernel is with looking for a double of an IPv6 address (RFC 4862 §5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    #[default]
    Passed,
    Running,
    /// Another machine has it.
    Failed,
}

/// A road of ours as the kernel has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentRoad {
    pub from: IpAddr,
    pub table: u32,
    /// `None` where a part of it is missing.
    pub gateway: Option<IpAddr>,
}

/// What is there now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actual {
    pub on_nic: Vec<Present>,
    /// Addresses that this machine has by other means, such as on another NIC.
    pub elsewhere: BTreeSet<IpAddr>,
    /// Gateways of the default routes through the NIC, and whether a route is ours.
    pub gateways: Vec<(IpAddr, bool)>,
    /// Those of ours alone.
    pub roads: Vec<PresentRoad>,
}

/// One change to make; the order of a plan is the order to make them in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    RemoveRoad(PresentRoad),
    RemoveGateway(IpAddr),
    Remove(Present),
    Add(Alias),
    AddGateway(IpAddr),
    /// In a routing table of its own.
    AddRoad(Road, u32),
}

/// The first routing table that may be a road's: far from any that people number by hand.
pub const ROAD_TABLE_FIRST: u32 = 0x5350_0000;

/// The way from `actual` to `wanted`; empty when they agree.
pub fn plan(wanted: &Wanted, actual: &Actual) -> Vec<Step> {
    let outdated = |p: &&Present| p.ours && !wanted.aliases.iter().any(|a| (a.ip, a.len) == (p.ip, p.len));
    let missing = |a: &&Alias| {
        let there = actual.on_nic.iter().any(|p| p.ip == a.ip && (!p.ours || p.len == a.len));
        !there && !actual.elsewhere.contains(&a.ip)
    };
    let stray = |&&(ip, ours): &&(IpAddr, bool)| ours && !wanted.gateways.contains(&ip);
    let unrouted = |ip: &&IpAddr| !actual.gateways.iter().any(|(there, _)| there == *ip);
    let stands = |p: &PresentRoad, road: &Road| (p.from, p.gateway) == (road.from, Some(road.gateway));
    let (kept, strays): (Vec<PresentRoad>, Vec<PresentRoad>) =
        actual.roads.iter().partition(|p| wanted.roads.iter().any(|road| stands(p, road)));
    // A road begins at an address that is there; the next look, after that came, builds it.
    let is_there = |ip: IpAddr| actual.elsewhere.contains(&ip) || actual.on_nic.iter().any(|p| p.ip == ip);
    let missing_roads =
        wanted.roads.iter().filter(|road| is_there(road.from) && !kept.iter().any(|p| stands(p, road)));
    let tables = (ROAD_TABLE_FIRST..).filter(|table| !kept.iter().any(|p| p.table == *table));
    let mut steps = Vec::new();
    steps.extend(strays.into_iter().map(Step::RemoveRoad));
    steps.extend(actual.gateways.iter().filter(stray).map(|&(ip, _)| Step::RemoveGateway(ip)));
    steps.extend(actual.on_nic.iter().filter(outdated).map(|&p| Step::Remove(p)));
    steps.extend(wanted.aliases.iter().filter(missing).map(|&a| Step::Add(a)));
    steps.extend(wanted.gateways.iter().filter(unrouted).map(|&ip| Step::AddGateway(ip)));
    steps.extend(missing_roads.zip(tables).map(|(&road, table)| Step::AddRoad(road, table)));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
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
            Step::RemoveRoad(p) => format!("-{}by{}", p.from, p.table - ROAD_TABLE_FIRST),
            Step::AddRoad(road, table) => {
                format!("+{}>{}by{}", road.from, road.gateway, table - ROAD_TABLE_FIRST)
            }
        };
        steps.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// `192.0.2.1/24` somebody's address on the NIC, `*192.0.2.1/24` ours, `@192.0.2.1` elsewhere,
    /// `gw192.0.2.254` somebody's default route, `*gw...` ours; `192.0.2.70>192.0.2.253by0` a road of ours, with
    /// its table, `>-` where its route is missing.
    fn actual(text: &str) -> Actual {
        let mut actual = Actual::default();
        for word in text.split_ascii_whitespace() {
            let (ours, word) = word.strip_prefix('*').map_or((false, word), |rest| (true, rest));
            if let Some((from, rest)) = word.split_once('>') {
                let (gateway, table) = rest.split_once("by").unwrap();
                let table = ROAD_TABLE_FIRST + table.parse::<u32>().unwrap();
                let gateway = (gateway != "-").then(|| ip(gateway));
                actual.roads.push(PresentRoad { from: ip(from), table, gateway });
            } else if let Some(at) = word.strip_prefix('@') {
                actual.elsewhere.insert(ip(at));
            } else if let Some(gateway) = word.strip_prefix("gw") {
                actual.gateways.push((ip(gateway), ours));
            } else {
                let (ip, len) = split(word);
                actual.on_nic.push(Present { ip, len, ours, check: Check::Passed });
            }
        }
        actual
    }

    fn wanted(text: &str) -> Wanted {
        let mut wanted = Wanted { interface: Some("eth0".into()), ..Wanted::default() };
        for word in text.split_ascii_whitespace() {
            match (word.strip_prefix("gw"), word.split_once('>')) {
                (Some(gateway), _) => wanted.gateways.push(ip(gateway)),
                (_, Some((from, gateway))) => {
                    wanted.roads.push(Road { from: ip(from), gateway: ip(gateway) });
                }
                _ => {
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
            (
                "a road waits for its address",
                "198.51.100.7/24 198.51.100.7>198.51.100.1",
                "",
                "+198.51.100.7/24",
            ),
            (
                "each road has a table of its own",
                "198.51.100.7/24 198.51.100.7>198.51.100.1 192.0.2.8/24 192.0.2.8>192.0.2.253",
                "*198.51.100.7/24 *192.0.2.8/24 192.0.2.8>192.0.2.253by0",
                "+198.51.100.7>198.51.100.1by1",
            ),
            (
                "a road by another gateway, or without its route, is built anew",
                "192.0.2.8/24 192.0.2.8>192.0.2.253 192.0.2.9/24 192.0.2.9>192.0.2.253",
                "*192.0.2.8/24 192.0.2.8>192.0.2.254by0 *192.0.2.9/24 192.0.2.9>-by1",
                "-192.0.2.8by0 -192.0.2.9by1 +192.0.2.8>192.0.2.253by0 +192.0.2.9>192.0.2.253by1",
            ),
            ("an unconfigured road goes", "", "192.0.2.8>192.0.2.254by3", "-192.0.2.8by3"),
        ] {
            assert_eq!(told(&plan(&wanted(want), &actual(have))), steps, "{caption}");
        }
    }

    fn domain(name: &str, addresses: &[(&str, Option<u8>)]) -> DomainConfig {
        DomainConfig {
            addresses: addresses.iter().map(|&(at, len)| IpLen { ip: ip(at), len }).collect(),
            ..DomainConfig::new(Domain::parse(name).unwrap())
        }
    }

    fn config() -> Config {
        let mut config = Config::default();
        config.machine.addresses = vec![IpLen { ip: ip("192.0.2.1"), len: Some(24) }];
        config.machine.gateways = vec![ip("192.0.2.254")];
        config.domains = [
            domain("abc.com", &[("192.0.2.1", None)]),
            domain("bcd.com", &[("192.0.2.70", Some(24)), ("2001:db8::70", Some(64))]),
            domain("cde.com", &[("192.0.2.71", None)]),
        ]
        .into_iter()
        .collect();
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
