//! The hosts of a next hop, in the order in which they are tried (RFC 5321 §5.1), each with the address of
//! ours that it will be reached from. Hosts of a family that the domain has no address in are left out.

use std::net::{IpAddr, SocketAddr};

use crate::config::{Destination, DomainConfig, HostPort};
use crate::dns::LookupError;
use crate::limits::{SMTP_PORT, TARGETS_MAX};
use crate::mail::Domain;
use crate::relay::{Answer, Attempt, LaneKey, NextHop};
use crate::smtp::{Enhanced, Reply};

use crate::tasks::resolve::Families;
use crate::tasks::station::Station;

/// A host to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What the operator and the sender are told: a name, or the address.
    pub host: String,
    pub source: IpAddr,
    pub address: SocketAddr,
}

/// The targets of a lane, at least one; or what that means for its mail.
pub async fn find(station: &Station, key: &LaneKey) -> Result<Vec<Target>, Attempt> {
    let config = station.config();
    let Some(sender) = config.domain(&key.sender) else {
        return Err(unreached(Enhanced(4, 3, 5), format!("{} is no longer configured", key.sender)));
    };
    let found = match &key.hop {
        NextHop::Host(HostPort { host: Destination::Ip(ip), port }) => {
            vec![(ip.to_string(), SocketAddr::new(*ip, *port))]
        }
        NextHop::Host(HostPort { host: Destination::Name(name), port }) => {
            addresses(station, name, *port).await?
        }
        NextHop::Mx(domain) => exchangers(station, domain).await?,
    };
    with_sources(station, sender, found)
}

async fn addresses(
    station: &Station,
    name: &Domain,
    port: u16,
) -> Result<Vec<(String, SocketAddr)>, Attempt> {
    let found = station.resolver.addresses(name, Families::Both).await.map_err(|e| lookup_failed(&e))?;
    Ok(found.into_iter().map(|ip| (name.to_string(), SocketAddr::new(ip, port))).collect())
}

/// The addresses of a domain's mail exchangers, best first. One that has none is passed over.
async fn exchangers(station: &Station, domain: &Domain) -> Result<Vec<(String, SocketAddr)>, Attempt> {
    let hosts = station.resolver.mail_hosts(domain).await.map_err(|e| lookup_failed(&e))?;
    let mut found = Vec::new();
    let mut failure = None;
    for host in hosts {
        match addresses(station, &host.name, SMTP_PORT).await {
            Ok(addresses) => found.extend(addresses),
            Err(attempt) => failure = Some(attempt),
        }
        if found.len() >= TARGETS_MAX {
            break;
        }
    }
    match failure {
        Some(attempt) if found.is_empty() => Err(attempt),
        _ => Ok(found),
    }
}

fn with_sources(
    station: &Station,
    sender: &DomainConfig,
    found: Vec<(String, SocketAddr)>,
) -> Result<Vec<Target>, Attempt> {
    let office = station.office.borrow();
    let mut obstacle = None;
    let mut targets = Vec::new();
    for (host, address) in found {
        match office.source_for(sender, address.ip()) {
            Ok(source) => targets.push(Target { host, source, address }),
            Err(why) => obstacle = obstacle.or(Some(why)),
        }
    }
    match obstacle {
        Some(why) if targets.is_empty() => Err(Attempt::NoAddress(Answer::own(451, Enhanced(4, 3, 5), why))),
        _ => {
            targets.truncate(TARGETS_MAX);
            Ok(targets)
        }
    }
}

fn lookup_failed(error: &LookupError) -> Attempt {
    let status = Enhanced::parse(error.status());
    let answer = Answer { host: None, reply: Reply::new(error.code(), status, error.to_string()) };
    if error.is_permanent() { Attempt::Refused(answer) } else { Attempt::Unreached(answer) }
}

fn unreached(status: Enhanced, why: String) -> Attempt {
    Attempt::Unreached(Answer::own(451, status, why))
}
