//! Where a recipient's mail goes (RFC 5321 §5.1; the `route`, `forward` and `mailbox` statements). The route
//! belongs to the domain that sends, so two domains may reach one destination on different roads.

use std::fmt;

use crate::config::{Config, Destination, DomainConfig, HostPort, Route, Terms};
use crate::limits::SMTP_PORT;
use crate::mail::{Address, Domain, LocalPart};
use crate::relay::policy::{Place, place};
use crate::smtp::{Enhanced, Reply};

/// The road of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Road {
    /// Into a mailbox of this box.
    Mailbox { domain: Domain, user: LocalPart },
    /// Over SMTP.
    Smtp(NextHop, Terms),
    /// Nowhere, for good.
    None(Reply),
}

/// Whom a connection is for: one half of the connection pool's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NextHop {
    /// The mail exchangers of a domain, on port 25.
    Mx(Domain),
    /// A host that the configuration names, or an address literal.
    Host(HostPort),
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextHop::Mx(domain) => write!(f, "{domain}"),
            NextHop::Host(HostPort { host: Destination::Name(name), port }) => write!(f, "{name}:{port}"),
            NextHop::Host(HostPort { host: Destination::Ip(ip), port }) => {
                write!(f, "{}", std::net::SocketAddr::new(*ip, *port))
            }
        }
    }
}

/// The road from `sender`, the domain whose spool holds the message, to `recipient`.
pub fn road(config: &Config, sender: &DomainConfig, recipient: &Address) -> Road {
    match place(config, recipient) {
        Place::Mailbox(domain, user) => Road::Mailbox { domain: domain.name.clone(), user },
        Place::Forward(domain) => match &domain.forward {
            Some(inner) => Road::Smtp(NextHop::Host(inner.clone()), Terms::default()),
            None => no_user(recipient),
        },
        Place::Elsewhere => next_hop(sender, &recipient.domain),
        // Aliases were followed when the message came in; one that came later sends it round once more.
        Place::Alias(..) | Place::NoUser | Place::Routed => no_user(recipient),
    }
}

fn no_user(recipient: &Address) -> Road {
    Road::None(Reply::new(550, Enhanced(5, 1, 1), format!("<{recipient}>: no such user here")))
}

fn next_hop(sender: &DomainConfig, to: &Domain) -> Road {
    let of = |key: Option<&Domain>| sender.routes.iter().find(|line| line.to.as_ref() == key);
    let line = of(Some(to)).or_else(|| of(None));
    let hop = match (line.map(|l| &l.route), to.as_literal()) {
        (Some(Route::Host(host)), _) => NextHop::Host(host.clone()),
        (_, Some(ip)) => NextHop::Host(HostPort { host: Destination::Ip(ip), port: SMTP_PORT }),
        (_, None) => NextHop::Mx(to.clone()),
    };
    Road::Smtp(hop, line.map(|l| l.terms.clone()).unwrap_or_default())
}
