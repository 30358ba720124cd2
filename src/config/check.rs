//! What single statements cannot tell: whether they make sense together. Each rule looks at the whole model
//! and names the line of the statement at fault. Danger: two domains with one address would speak for one
//! another, and a route to ourselves would send a message round for ever.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::config::argument::{Argument, TimeHost};
use crate::config::forms;
use crate::config::text::{Places, Problem};
use crate::config::{Config, Destination, DomainConfig, HostPort, IpLen, IpNet, Port, Route};
use crate::limits::{NAMESERVERS_MAX, NTP_SERVERS_MAX};
use crate::mail::{Address, Domain};

/// Everything that is wrong with `config` as a whole.
pub fn problems(config: &Config, places: &Places) -> Vec<Problem> {
    let mut report = Report { places, problems: Vec::new() };
    for rule in [
        missing_addresses,
        shared_addresses,
        missing_lengths,
        dhcp_without_interface,
        too_many_nameservers,
        too_many_timeservers,
        shared_ports,
        strange_gateways,
        self_routes,
    ] {
        rule(config, &mut report);
    }
    for domain in &config.domains {
        users_twice(domain, &mut report);
        strange_devices(domain, &mut report);
        senders_without_password(domain, &mut report);
    }
    alias_circles(config, &mut report);
    report.problems
}

struct Report<'p> {
    places: &'p Places,
    problems: Vec<Problem>,
}

impl Report<'_> {
    /// A problem of the statement with this canonical text.
    fn at(&mut self, statement: &str, what: String) {
        self.problems.push(Problem { line: self.places.line(statement), what });
    }
}

fn missing_addresses(config: &Config, report: &mut Report) {
    let lacking = |d: &&DomainConfig| d.addresses.is_empty() && !report.places.is_doubtful(&d.name);
    for domain in config.domains.iter().filter(lacking) {
        let line = report.places.first_of_domain(&domain.name);
        let what = format!("{0} has no address; add `domain {0} address IP`", domain.name);
        report.problems.push(Problem { line, what });
    }
}

/// A domain may share the box's address, never another domain's.
fn shared_addresses(config: &Config, report: &mut Report) {
    let mut owners: HashMap<IpAddr, &Domain> = HashMap::new();
    for domain in &config.domains {
        for address in &domain.addresses {
            let owner = *owners.entry(address.ip).or_insert(&domain.name);
            if *owner != domain.name {
                let what = format!(
                    "{} is the address of {owner} already; give {} an address of its own",
                    address.ip, domain.name
                );
                report.at(&address_statement(&domain.name, address), what);
            }
        }
    }
}

fn address_statement(domain: &Domain, address: &IpLen) -> String {
    format!("domain {domain} address {}", address.write())
}

fn missing_lengths(config: &Config, report: &mut Report) {
    let Some(nic) = &config.machine.interface else { return };
    let of_box = config.machine.addresses.iter().map(|a| (a, format!("box address {}", a.write())));
    let of_domain = |d: &DomainConfig| -> Vec<(IpLen, String)> {
        d.addresses.iter().map(|a| (*a, address_statement(&d.name, a))).collect()
    };
    let all = of_box.map(|(a, text)| (*a, text)).chain(config.domains.iter().flat_map(of_domain));
    for (address, statement) in all.filter(|(address, _)| address.len.is_none()) {
        let usual = if address.ip.is_ipv4() { 24 } else { 64 };
        let what = format!(
            "the length of the prefix is missing, which the box needs to add {0} to {nic}; write it as {0}/{usual}",
            address.ip
        );
        report.at(&statement, what);
    }
}

fn dhcp_without_interface(config: &Config, report: &mut Report) {
    if config.machine.dhcp && config.machine.interface.is_none() {
        let what = "DHCP needs to know the NIC; add `box interface NIC`".to_owned();
        report.at("box address dhcp", what);
    }
}

fn too_many_nameservers(config: &Config, report: &mut Report) {
    for server in config.machine.nameservers.iter().skip(NAMESERVERS_MAX) {
        let what = format!("one name server too many; keep at most {NAMESERVERS_MAX}");
        report.at(&format!("box nameserver {}", server.write()), what);
    }
}

/// A domain's router stands in the network of the domain's own address.
fn strange_gateways(config: &Config, report: &mut Report) {
    for domain in &config.domains {
        for gateway in &domain.gateways {
            let like = domain.addresses.iter().find(|a| a.ip.is_ipv4() == gateway.is_ipv4());
            let what = match like.map(|a| (a.ip, a.len)) {
                None => {
                    format!("{} has no address that could reach {gateway}; give it one first", domain.name)
                }
                Some((ip, _)) if ip == *gateway => format!("{ip} is the domain's own; name the router"),
                Some((ip, Some(len))) if !(IpNet { ip, len }).contains(*gateway) => {
                    format!("{gateway} is not in the network of {ip}/{len}; name a router that is")
                }
                Some(_) => continue,
            };
            report.at(&format!("domain {} gateway {gateway}", domain.name), what);
        }
    }
}

fn too_many_timeservers(config: &Config, report: &mut Report) {
    for server in config.machine.timeservers.iter().skip(NTP_SERVERS_MAX) {
        let what = format!("one time server too many; keep at most {NTP_SERVERS_MAX}");
        report.at(&format!("box timeserver {}", TimeHost(server.clone()).write()), what);
    }
}

fn shared_ports(config: &Config, report: &mut Report) {
    let machine = &config.machine;
    let ports =
        [("smtp", machine.smtp), ("submission", machine.submission), ("submissions", machine.submissions)];
    for (at, (service, port)) in ports.iter().enumerate() {
        let Some((other, _)) = ports[..at].iter().find(|(_, earlier)| earlier == port && *port != Port::Off)
        else {
            continue;
        };
        let what = format!("{service} and {other} both listen on port {}; give each its own", port.write());
        let spoken = format!("box port {service} {}", port.write());
        let statement =
            if report.places.knows(&spoken) { spoken } else { format!("box port {other} {}", port.write()) };
        report.at(&statement, what);
    }
}

/// Routes and forwards that lead back to one of our own listeners.
fn self_routes(config: &Config, report: &mut Report) {
    for domain in &config.domains {
        if let Some(host) = &domain.forward
            && let Some(why) = leads_home(config, host)
        {
            report.at(&format!("domain {} forward {}", domain.name, host.write()), why);
        }
        for line in &domain.routes {
            if let Route::Host(host) = &line.route
                && let Some(why) = leads_home(config, host)
            {
                report.at(&forms::route_statement(&domain.name, line), why);
            }
        }
    }
}

/// Why mail sent to `host` would come back to this box, if it would.
fn leads_home(config: &Config, host: &HostPort) -> Option<String> {
    if config.machine.smtp != Port::On(host.port) {
        return None;
    }
    let statics = |name: &Domain| -> Vec<IpAddr> {
        config.machine.hosts.iter().filter(|(_, known)| known == name).map(|(ip, _)| *ip).collect()
    };
    let tail = "mail would run in a circle; name another host";
    match &host.host {
        Destination::Ip(ip) => own_address(config, *ip).map(|whose| format!("{ip} is {whose}: {tail}")),
        Destination::Name(name) => {
            let known = statics(name);
            let own = known.iter().find_map(|ip| own_address(config, *ip).map(|whose| (ip, whose)));
            match own {
                Some((ip, whose)) => Some(format!("{name} is {ip}, {whose}: {tail}")),
                None if known.is_empty() && is_own_name(config, name) => {
                    Some(format!("{name} is a name of this box: {tail}"))
                }
                None => None,
            }
        }
    }
}

fn own_address(config: &Config, ip: IpAddr) -> Option<String> {
    let of_domain = config.domain_at(ip).map(|domain| format!("the address of {}", domain.name));
    of_domain.or_else(|| config.is_shared_address(ip).then(|| "the box's own address".to_owned()))
}

fn is_own_name(config: &Config, name: &Domain) -> bool {
    config.machine.name.as_ref() == Some(name)
        || config.domains.iter().any(|d| d.name == *name || d.ehlo_name() == name)
}

/// One user is one thing: a mailbox once, or an alias.
fn users_twice(domain: &DomainConfig, report: &mut Report) {
    let mut seen = HashSet::new();
    for user in &domain.mailboxes {
        if !seen.insert(user.as_str().to_ascii_lowercase()) {
            let what = format!("{user} has a mailbox already, and case does not tell users apart; keep one");
            report.at(&format!("domain {} mailbox {}", domain.name, user.write()), what);
        }
    }
    let mut targets = HashSet::new();
    for (user, target) in &domain.aliases {
        let statement = format!("domain {} alias {} {}", domain.name, user.write(), target.write());
        let folded = user.as_str().to_ascii_lowercase();
        if seen.contains(&folded) {
            report.at(&statement, format!("{user} of {} has a mailbox; keep that or the alias", domain.name));
        }
        if !targets.insert((folded, user_key(target))) {
            report.at(&statement, format!("{user} has an alias to {target} already; keep one"));
        }
    }
}

/// What a stranger gets wrong must never be mended: it may be meant so.
fn strange_devices(domain: &DomainConfig, report: &mut Report) {
    for client in domain.clients.iter().filter(|client| client.tolerant && !client.net.is_private()) {
        let words = if client.plaintext_auth { " tolerant plaintext-auth" } else { " tolerant" };
        let statement = format!("domain {} client {}{words}", domain.name, client.net.write());
        let what = format!(
            "{} is no private address, and only devices of one's own network are put up with; leave out `tolerant`",
            client.net.write()
        );
        report.at(&statement, what);
    }
}

/// Users who authenticate: each name once, and each with a password.
fn senders_without_password(domain: &DomainConfig, report: &mut Report) {
    let mut seen = HashSet::new();
    for user in &domain.users {
        let (name, at) = (user.name.write(), &domain.name);
        let statement = match &user.verifier {
            Some(verifier) => format!("domain {at} user {name} verifier {}", verifier.write()),
            None => {
                let granted: Vec<String> = user.sends_as.iter().map(Argument::write).collect();
                format!("domain {at} user {name} sends-as {}", granted.join(" "))
            }
        };
        if user.verifier.is_none() {
            let what = format!("{name} has no password; add `domain {at} user {name} password PASSWORD`");
            report.at(&statement, what);
        }
        if !seen.insert(user.name.as_str().to_ascii_lowercase()) {
            let what = format!("{name} is a user already, and case does not tell users apart; keep one");
            report.at(&statement, what);
        }
    }
}

fn user_key(address: &Address) -> String {
    address.to_string().to_ascii_lowercase()
}

/// Aliases that lead back to themselves, each circle reported once, where it closes.
fn alias_circles(config: &Config, report: &mut Report) {
    let mut edges: Vec<(String, String, String)> = Vec::new();
    for domain in &config.domains {
        for (user, target) in &domain.aliases {
            let from = user_key(&Address::new(user.clone(), domain.name.clone()));
            let statement = format!("domain {} alias {} {}", domain.name, user.write(), target.write());
            edges.push((from, user_key(target), statement));
        }
    }
    let mut out: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, (from, ..)) in edges.iter().enumerate() {
        out.entry(from).or_default().push(at);
    }
    let mut done: HashSet<&str> = HashSet::new();
    for (start, ..) in &edges {
        for closing in circles_from(start, &edges, &out, &mut done) {
            let (from, to, statement) = &edges[closing];
            let what = format!("{from} and {to} are aliases of one another in a circle; end it at a mailbox");
            report.at(statement, what);
        }
    }
}

/// Walks depth first from `start` without recursion; gives the edges that close a circle.
fn circles_from<'e>(
    start: &'e str,
    edges: &'e [(String, String, String)],
    out: &HashMap<&'e str, Vec<usize>>,
    done: &mut HashSet<&'e str>,
) -> Vec<usize> {
    let mut closing = Vec::new();
    let mut on_path: HashSet<&str> = HashSet::new();
    let mut path: Vec<(&str, usize)> = Vec::new();
    if !done.contains(start) {
        on_path.insert(start);
        path.push((start, 0));
    }
    while let Some((node, next)) = path.last_mut() {
        let Some(edge) = out.get(node).and_then(|list| list.get(*next)) else {
            on_path.remove(*node);
            done.insert(*node);
            path.pop();
            continue;
        };
        *next += 1;
        let target = edges[*edge].1.as_str();
        if on_path.contains(target) {
            closing.push(*edge);
        } else if !done.contains(target) {
            on_path.insert(target);
            path.push((target, 0));
        }
    }
    closing
}
