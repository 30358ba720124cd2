//! What changes from one configuration to another: as statements for the operator, and as facts for those who
//! must act. Danger: an address or a listener left out of these lists stays as it was, so a test compares
//! them with the whole.

use std::net::{IpAddr, SocketAddr};

use crate::config::{Config, IpLen, Service, text};
use crate::mail::Domain;

/// One line of `show changes`; displays as `- box name abc.com` or `+ box name bcd.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Removed(String),
    Added(String),
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Line::Removed(statement) => write!(f, "- {statement}"),
            Line::Added(statement) => write!(f, "+ {statement}"),
        }
    }
}

/// What somebody has to do about a new configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The NIC that carries the aliases is another one: all addresses move.
    pub interface: bool,
    pub addresses: Delta<IpLen>,
    pub gateways: Delta<IpAddr>,
    pub listeners: Delta<(SocketAddr, Service)>,
    /// Domains that come and go.
    pub domains: Delta<Domain>,
    /// Domains that stay, of which a statement is another.
    pub changed: Vec<Domain>,
    /// Name servers or static names.
    pub resolver: bool,
}

/// What one list has more and less than another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delta<T> {
    pub added: Vec<T>,
    pub removed: Vec<T>,
}

impl<T> Default for Delta<T> {
    fn default() -> Self {
        Delta { added: Vec::new(), removed: Vec::new() }
    }
}

impl<T: PartialEq + Clone> Delta<T> {
    fn of(old: &[T], new: &[T]) -> Self {
        let missing = |from: &[T], other: &[T]| from.iter().filter(|x| !other.contains(x)).cloned().collect();
        Delta { added: missing(new, old), removed: missing(old, new) }
    }

    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// The statements that `old` has and `new` has not, then those that are new, each in canonical order.
pub fn lines(old: &Config, new: &Config) -> Vec<Line> {
    let texts =
        |config| -> Vec<String> { text::statements(config).iter().map(ToString::to_string).collect() };
    let (old, new) = (texts(old), texts(new));
    let (in_old, in_new): (std::collections::HashSet<&String>, std::collections::HashSet<&String>) =
        (old.iter().collect(), new.iter().collect());
    let removed = old.iter().filter(|s| !in_new.contains(s)).map(|s| Line::Removed(s.clone()));
    let added = new.iter().filter(|s| !in_old.contains(s)).map(|s| Line::Added(s.clone()));
    removed.chain(added).collect()
}

/// What has to be done to come from `old` to `new`.
pub fn change(old: &Config, new: &Config) -> Change {
    let names = |config: &Config| -> Vec<Domain> { config.domains.iter().map(|d| d.name.clone()).collect() };
    let changed = new.domains.iter().filter(|d| old.domain(&d.name).is_some_and(|before| before != *d));
    let (before, after) = (&old.machine, &new.machine);
    Change {
        interface: before.interface != after.interface,
        addresses: Delta::of(&old.addresses(), &new.addresses()),
        gateways: Delta::of(&before.gateways, &after.gateways),
        listeners: Delta::of(&old.listeners(), &new.listeners()),
        domains: Delta::of(&names(old), &names(new)),
        changed: changed.map(|d| d.name.clone()).collect(),
        resolver: before.nameservers != after.nameservers || before.hosts != after.hosts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Config {
        text::parse(text.as_bytes()).unwrap()
    }

    const OLD: &str = "box name abc.com\nbox address 10.0.0.1\ndomain abc.com address 10.0.0.1\n\
                       domain bcd.com address 10.0.0.7\nbox port submission off\nbox port submissions off";

    #[test]
    fn nothing_changes_by_order_alone() {
        let turned: Vec<&str> = OLD.lines().rev().collect();
        let turned = parsed(&turned.join("\n"));
        assert_eq!(change(&parsed(OLD), &turned), Change::default());
        assert_eq!(lines(&parsed(OLD), &turned), []);
    }

    #[test]
    fn what_must_be_done_is_listed() {
        let new = parsed(
            "box name abc.com\nbox address 10.0.0.1\ndomain abc.com address 10.0.0.1\n\
             domain abc.com client 10.0.0.9\ndomain cde.com address 10.0.0.8\nbox port submission 587\n\
             box port submissions off\nbox nameserver 10.0.0.53",
        );
        let change = change(&parsed(OLD), &new);
        let ip = |text: &str| IpLen { ip: text.parse().unwrap(), len: None };
        let domain = |text: &str| Domain::parse(text).unwrap();
        assert_eq!(change.addresses, Delta { added: vec![ip("10.0.0.8")], removed: vec![ip("10.0.0.7")] });
        assert_eq!(
            change.domains,
            Delta { added: vec![domain("cde.com")], removed: vec![domain("bcd.com")] }
        );
        assert_eq!(change.changed, [domain("abc.com")]);
        assert!(change.resolver && !change.interface && change.gateways.is_empty());
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let listeners = Delta {
            added: vec![
                (at("10.0.0.1:587"), Service::Submission),
                (at("10.0.0.8:25"), Service::Smtp),
                (at("10.0.0.8:587"), Service::Submission),
            ],
            removed: vec![(at("10.0.0.7:25"), Service::Smtp)],
        };
        assert_eq!(change.listeners, listeners);
    }

    #[test]
    fn statements_are_shown_as_they_go_and_come() {
        let new = format!("{}\ndomain bcd.com ehlo mail.bcd.com", OLD.replace("name abc", "name box.abc"));
        let shown: Vec<String> = lines(&parsed(OLD), &parsed(&new)).iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["- box name abc.com", "+ box name box.abc.com", "+ domain bcd.com ehlo mail.bcd.com"]
        );
    }
}
