//! What changes from one configuration to another: as statements for the operator, and as facts for those who
//! must act. Danger: an address or a listener left out of these lists stays as it was, so a test compares
//! them with the whole.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use crate::config::{Config, IpLen, Service, Statement};
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

/// The statements that `old` has and `new` has not, then those that are new, each in their own order. Name
/// servers in another order are others, because they are tried in turn.
pub fn lines(old: &[Statement], new: &[Statement]) -> Vec<Line> {
    let texts = |list: &[Statement]| -> Vec<String> { list.iter().map(Statement::whole).collect() };
    let (before, after) = (texts(old), texts(new));
    let in_new: HashSet<&String> = after.iter().collect();
    let mut stay: HashSet<&String> = before.iter().filter(|statement| in_new.contains(statement)).collect();
    let in_turn = |list: &[String]| -> Vec<String> {
        list.iter().filter(|s| s.starts_with("box nameserver ") && stay.contains(s)).cloned().collect()
    };
    if in_turn(&before) != in_turn(&after) {
        stay.retain(|statement| !statement.starts_with("box nameserver "));
    }
    let differ = |list: &[Statement], texts: &[String]| -> Vec<String> {
        let all = list.iter().zip(texts).filter(|(_, text)| !stay.contains(text));
        all.map(|(statement, _)| statement.to_string()).collect()
    };
    let removed = differ(old, &before).into_iter().map(Line::Removed);
    removed.chain(differ(new, &after).into_iter().map(Line::Added)).collect()
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
    use crate::config::text;

    fn shown(old: &str, new: &str) -> Vec<String> {
        let statements = |text| text::statements(&parsed(text));
        lines(&statements(old), &statements(new)).iter().map(ToString::to_string).collect()
    }

    fn parsed(text: &str) -> Config {
        text::parse(text.as_bytes()).unwrap()
    }

    const OLD: &str = "box name abc.com\nbox address 10.0.0.1\ndomain abc.com address 10.0.0.1\n\
                       domain bcd.com address 10.0.0.7\nbox port submission off\nbox port submissions off";

    #[test]
    fn nothing_changes_by_order_alone() {
        let turned: Vec<&str> = OLD.lines().rev().collect();
        let turned = turned.join("\n");
        assert_eq!(change(&parsed(OLD), &parsed(&turned)), Change::default());
        assert_eq!(shown(OLD, &turned), [""; 0]);
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
    fn the_order_of_name_servers_is_a_difference() {
        let (one, two) = ("box nameserver 10.0.0.1\n", "box nameserver 10.0.0.2\n");
        let turned = shown(&[one, two].concat(), &[two, one].concat());
        assert_eq!(turned.len(), 4, "{turned:?}");
        assert_eq!(shown(&[one, two].concat(), two), ["- box nameserver 10.0.0.1"]);
    }

    #[test]
    fn statements_are_shown_as_they_go_and_come() {
        let new = format!("{}\ndomain bcd.com ehlo mail.bcd.com", OLD.replace("name abc", "name box.abc"));
        assert_eq!(
            shown(OLD, &new),
            ["- box name abc.com", "+ box name box.abc.com", "+ domain bcd.com ehlo mail.bcd.com"]
        );
    }
}
