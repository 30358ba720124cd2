//! What a configuration says, as values that every floor above reads. Everything here is parsed and within
//! its bounds; what contradicts itself never becomes a [`Config`] (see `config::text`).

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::config::domains::Domains;
use crate::limits::CONSOLE_IDLE_S;
use crate::mail::dkim::Selector;
use crate::mail::{Address, Domain, LocalPart};
use crate::smtp::sasl::{Credentials, Verifier};

/// The whole configuration. Domains are in the order of their first statement, names unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub machine: BoxConfig,
    pub domains: Domains,
}

/// The `box ...` statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxConfig {
    /// The box's own name; greetings on the shared address and its own EHLO use it.
    pub name: Option<Domain>,
    /// The NIC that carries the aliases; `None`: the addresses are there already.
    pub interface: Option<String>,
    /// The box's own addresses: at most one of each family.
    pub addresses: Vec<IpLen>,
    /// Its IPv4 address is asked for on the link; what comes with it counts where nothing is configured.
    pub dhcp: bool,
    pub gateways: Vec<IpAddr>,
    /// At most three, tried in turn.
    pub nameservers: Vec<SocketAddr>,
    /// Static names, both ways, before DNS.
    pub hosts: Vec<(IpAddr, Domain)>,
    pub smtp: Port,
    pub submission: Port,
    pub submissions: Port,
    pub postmaster: Option<Address>,
    /// A file with certificates of authorities that are trusted beside the public ones, by its whole path.
    pub authority: Option<String>,
    /// All the bytes that the medium endures being written, as its maker says.
    pub endurance_bytes: Option<u64>,
    /// Servers of time; at most `limits::NTP_SERVERS_MAX`.
    pub timeservers: Vec<HostPort>,
    /// `None`: an appliance keeps its clock, an ordinary Linux leaves it to others.
    pub clock: Option<ClockDuty>,
    /// Where the log is sent, beside the ring in memory.
    pub syslog: Option<Syslog>,
    /// How long a console with a login may be left alone.
    pub logout: Duration,
    /// Statements of a later version, of the box and of domains, word by word: they are kept and do nothing.
    pub unread: Vec<Vec<String>>,
}

/// Whether this program sets the machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockDuty {
    Keep,
    /// It is only compared with the servers' time.
    Leave,
}

/// A host that gathers logs, and how they get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syslog {
    pub host: HostPort,
    pub carrier: Carrier,
}

/// What carries the log (RFC 5426, RFC 6587).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    Udp,
    Tcp,
}

/// A listening port, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    Off,
    On(u16),
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// Port 25: from host to host.
    Smtp,
    /// Port 587 (RFC 6409).
    Submission,
    /// Port 465: submission with TLS from the first byte (RFC 8314 §3.3).
    Submissions,
}

impl Service {
    pub const ALL: [Service; 3] = [Service::Smtp, Service::Submission, Service::Submissions];

    pub fn word(self) -> &'static str {
        match self {
            Service::Smtp => "smtp",
            Service::Submission => "submission",
            Service::Submissions => "submissions",
        }
    }
}

/// An address, and how long its network prefix is where the box adds it to the NIC itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpLen {
    pub ip: IpAddr,
    pub len: Option<u8>,
}

/// A network: the bits of `ip` past `len` are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IpNet {
    pub ip: IpAddr,
    pub len: u8,
}

/// The `domain NAME ...` statements of one virtual domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainConfig {
    pub name: Domain,
    /// At most one IPv4 and one IPv6 address, at least one of them.
    pub addresses: Vec<IpLen>,
    /// Routers of this domain alone: at most one of each family.
    pub gateways: Vec<IpAddr>,
    /// The EHLO name; `None`: the domain's own name.
    pub ehlo: Option<Domain>,
    /// May submit as any user of the domain without a password.
    pub clients: Vec<ClientLine>,
    /// May submit as themselves, with a password. In the order of their first statement.
    pub users: Vec<UserConfig>,
    /// Users whose mail is kept here.
    pub mailboxes: Vec<LocalPart>,
    /// Rewritten recipients; one local part may have several targets.
    pub aliases: Vec<(LocalPart, Address)>,
    /// The inner host that takes all other mail of this domain.
    pub forward: Option<HostPort>,
    /// In the order of their [`Terms`].
    pub routes: Vec<RouteLine>,
    pub certificate: CertificateSource,
    /// Outgoing mail of the domain is signed, with keys under these selectors.
    pub dkim: Option<Selector>,
    pub retry: RetryPlan,
    pub spool: SpoolMode,
    /// What the domain's spool may take of flash, in bytes; `None`: an equal share.
    pub quota_bytes: Option<u64>,
    /// Outgoing connections at once.
    pub connections_max: u16,
}

/// Addresses that need no password, and what else they are granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLine {
    pub net: IpNet,
    /// An old device: what it gets wrong is mended.
    pub tolerant: bool,
    /// AUTH is offered to it without TLS.
    pub plaintext_auth: bool,
}

/// A user who submits with AUTH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    pub name: LocalPart,
    /// Every user of a whole configuration has one.
    pub verifier: Option<Verifier>,
    /// What he may send as, beside his own address.
    pub sends_as: Vec<Address>,
}

/// When a message that a client hands in is written to flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpoolMode {
    /// Only when its destinations have not all taken it within this time, while the client waits.
    Held(Duration),
    /// At once, before anything else.
    Always,
}

impl Default for SpoolMode {
    fn default() -> Self {
        SpoolMode::Held(Duration::from_secs(2))
    }
}

/// Where a domain's mail for a destination goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteLine {
    /// `None` is `default`.
    pub to: Option<Domain>,
    pub route: Route,
    pub terms: Terms,
}

/// On what terms we speak to a next hop. In the order in which a configuration prints its routes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Terms {
    pub tls: TlsTerms,
    /// Who we say that we are, where the next hop wants to know.
    pub login: Option<Login>,
}

/// How we are known to a smarthost.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Login {
    pub credentials: Credentials,
    /// The operator allows the password to be shown without TLS.
    pub in_the_clear: bool,
}

/// What becomes of a connection on which TLS cannot be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsTerms {
    /// The mail goes in the clear; any certificate will do (RFC 7435).
    #[default]
    Opportunistic,
    /// Nothing is sent without a certificate that is trusted and has the host's name.
    Required,
}

/// Where a domain's certificate comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CertificateSource {
    /// The box makes it.
    #[default]
    SelfMade,
    /// A file with the chain and the key in PEM, by its whole path.
    File(String),
}

/// Where mail goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    Mx,
    Host(HostPort),
}

/// A host named in the configuration; the port is 25 where none was given.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    pub host: Destination,
    pub port: u16,
}

/// A name to resolve, or an address to use as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    Name(Domain),
    Ip(IpAddr),
}

/// `retry first F max M expire E`: the first delay, the longest delay, and when to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPlan {
    pub first: Duration,
    pub max: Duration,
    pub expire: Duration,
}

impl Default for RetryPlan {
    fn default() -> Self {
        let minutes = |m: u64| Duration::from_secs(m * 60);
        RetryPlan { first: minutes(5), max: minutes(4 * 60), expire: minutes(5 * 24 * 60) }
    }
}

impl Default for BoxConfig {
    fn default() -> Self {
        BoxConfig {
            name: None,
            interface: None,
            addresses: Vec::new(),
            dhcp: false,
            gateways: Vec::new(),
            nameservers: Vec::new(),
            hosts: Vec::new(),
            smtp: Port::On(25),
            submission: Port::On(587),
            submissions: Port::On(465),
            postmaster: None,
            authority: None,
            endurance_bytes: None,
            timeservers: Vec::new(),
            clock: None,
            syslog: None,
            logout: Duration::from_secs(CONSOLE_IDLE_S),
            unread: Vec::new(),
        }
    }
}

impl BoxConfig {
    pub fn port(&self, service: Service) -> Port {
        match service {
            Service::Smtp => self.smtp,
            Service::Submission => self.submission,
            Service::Submissions => self.submissions,
        }
    }

    pub fn port_mut(&mut self, service: Service) -> &mut Port {
        match service {
            Service::Smtp => &mut self.smtp,
            Service::Submission => &mut self.submission,
            Service::Submissions => &mut self.submissions,
        }
    }
}

impl IpNet {
    /// Whether `ip` lies in this network; a v4-mapped IPv6 address counts as its IPv4 address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                same_prefix(net.to_bits().into(), ip.to_bits().into(), self.len, 32)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => same_prefix(net.to_bits(), ip.to_bits(), self.len, 128),
            _ => false,
        }
    }
}

impl IpNet {
    /// Whether every address of it is private: RFC 1918, unique local, link-local or loopback.
    pub fn is_private(&self) -> bool {
        const PRIVATE: [(IpAddr, u8); 8] = [
            (IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0)), 8),
            (IpAddr::V4(Ipv4Addr::new(172, 16, 0, 0)), 12),
            (IpAddr::V4(Ipv4Addr::new(192, 168, 0, 0)), 16),
            (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
            (IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8),
            (IpAddr::V6(Ipv6Addr::LOCALHOST), 128),
            (IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), 7),
            (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
        ];
        PRIVATE.iter().any(|(ip, len)| self.len >= *len && IpNet { ip: *ip, len: *len }.contains(self.ip))
    }
}

fn same_prefix(a: u128, b: u128, len: u8, width: u8) -> bool {
    (a ^ b).checked_shr(u32::from(width - len.min(width))).unwrap_or(0) == 0
}

impl Terms {
    /// The terms that have a form of their own; see `config::forms`.
    fn rank(&self) -> usize {
        match (&self.login, self.tls) {
            (None, TlsTerms::Opportunistic) => 0,
            (None, TlsTerms::Required) => 1,
            (Some(login), _) if login.in_the_clear => 4,
            (Some(_), TlsTerms::Opportunistic) => 2,
            (Some(_), TlsTerms::Required) => 3,
        }
    }
}

impl ClientLine {
    /// One that is granted nothing else.
    pub fn plain(net: IpNet) -> Self {
        ClientLine { net, tolerant: false, plaintext_auth: false }
    }
}

impl UserConfig {
    /// Whether the user, who is one of `domain`, may send as `address`.
    pub fn owns(&self, domain: &Domain, address: &Address) -> bool {
        let own = address.domain == *domain && address.local.same_user(&self.name);
        own || self.sends_as.iter().any(|granted| granted.same_user(address))
    }
}

impl DomainConfig {
    /// Outgoing connections at once, where nothing is said.
    pub const CONNECTIONS_USUAL: u16 = 20;

    /// A domain of which only the name is known.
    pub fn new(name: Domain) -> Self {
        DomainConfig {
            name,
            addresses: Vec::new(),
            gateways: Vec::new(),
            ehlo: None,
            clients: Vec::new(),
            users: Vec::new(),
            mailboxes: Vec::new(),
            aliases: Vec::new(),
            forward: None,
            routes: Vec::new(),
            certificate: CertificateSource::SelfMade,
            dkim: None,
            retry: RetryPlan::default(),
            spool: SpoolMode::default(),
            quota_bytes: None,
            connections_max: Self::CONNECTIONS_USUAL,
        }
    }

    /// What the domain says of itself in EHLO and in its greeting.
    pub fn ehlo_name(&self) -> &Domain {
        self.ehlo.as_ref().unwrap_or(&self.name)
    }

    pub fn is_client(&self, ip: IpAddr) -> bool {
        self.clients_at(ip).next().is_some()
    }

    /// The client lines that speak of `ip`.
    pub fn clients_at(&self, ip: IpAddr) -> impl Iterator<Item = &ClientLine> {
        self.clients.iter().filter(move |client| client.net.contains(ip))
    }

    pub fn user(&self, name: &LocalPart) -> Option<&UserConfig> {
        self.users.iter().find(|user| user.name.same_user(name))
    }

    /// The user whose name is spelt so.
    pub fn user_or_new(&mut self, name: LocalPart) -> &mut UserConfig {
        let at = self.users.iter().position(|user| user.name == name).unwrap_or_else(|| {
            self.users.push(UserConfig { name, verifier: None, sends_as: Vec::new() });
            self.users.len() - 1
        });
        &mut self.users[at]
    }

    /// The names that the domain's certificate is shown for.
    pub fn names(&self) -> impl Iterator<Item = &Domain> {
        std::iter::once(&self.name).chain(self.ehlo.as_ref().filter(|ehlo| **ehlo != self.name))
    }

    /// Takes a route in the order of terms, so that a printed configuration reads back equal.
    pub fn add_route(&mut self, line: RouteLine) {
        let at = self.routes.partition_point(|other| other.terms.rank() <= line.terms.rank());
        self.routes.insert(at, line);
    }

    pub fn has_mailbox(&self, user: &LocalPart) -> bool {
        self.mailboxes.iter().any(|m| m.same_user(user))
    }
}

/// What a domain says about its mail's roads; without one of these a road would be another one.
const OF_ROADS: [&str; 7] = ["address", "gateway", "ehlo", "mailbox", "alias", "forward", "route"];

impl Config {
    /// Whether a statement that this version does not know says where mail of the domain goes, or who receives it:
    /// then nothing is refused for good or sent by another road for want of it.
    pub fn lacks_roads(&self, name: &Domain) -> bool {
        self.unread_of(name).any(|about| OF_ROADS.contains(&about))
    }

    /// Whether such a statement says who sends as the domain: then nobody's mail is refused for good for want of it.
    pub fn lacks_senders(&self, name: &Domain) -> bool {
        self.unread_of(name).any(|about| ["client", "user"].contains(&about))
    }

    /// Whether such a statement speaks of a user of a domain, who then is told to come again.
    pub fn lacks_users(&self) -> bool {
        self.unread().any(|(_, about)| about == "user")
    }

    fn unread_of(&self, name: &Domain) -> impl Iterator<Item = &str> {
        let speaks = move |of: &str| Domain::host_name(of).is_ok_and(|of| of == *name);
        self.unread().filter(move |(of, _)| speaks(of)).map(|(_, about)| about)
    }

    /// The domain, as written, and the third word of each statement about a domain that is not known here.
    fn unread(&self) -> impl Iterator<Item = (&str, &str)> {
        self.machine.unread.iter().filter_map(|words| match &words[..] {
            [first, of, about, ..] if first == "domain" => Some((of.as_str(), about.as_str())),
            _ => None,
        })
    }

    pub fn domain(&self, name: &Domain) -> Option<&DomainConfig> {
        self.domains.named(name)
    }

    /// Every address that the configuration names, the box's first, each once.
    pub fn addresses(&self) -> Vec<IpLen> {
        let all = self.machine.addresses.iter().chain(self.domains.iter().flat_map(|d| &d.addresses));
        let mut seen = HashSet::new();
        all.filter(|address| seen.insert(address.ip)).copied().collect()
    }

    /// Where the box listens, and for what: every address with every port that is on.
    pub fn listeners(&self) -> Vec<(SocketAddr, Service)> {
        let open = |service: Service| match self.machine.port(service) {
            Port::On(port) => Some((port, service)),
            Port::Off => None,
        };
        let ports: Vec<(u16, Service)> = Service::ALL.into_iter().filter_map(open).collect();
        let at = |address: IpLen| {
            ports.clone().into_iter().map(move |(port, service)| (SocketAddr::new(address.ip, port), service))
        };
        self.addresses().into_iter().flat_map(at).collect()
    }

    /// The domain that owns `ip`.
    pub fn domain_at(&self, ip: IpAddr) -> Option<&DomainConfig> {
        self.domains.at(ip)
    }

    /// Whether `ip` is the listener that all domains share.
    pub fn is_shared_address(&self, ip: IpAddr) -> bool {
        self.machine.addresses.iter().any(|a| a.ip == ip.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_in_both_families() {
        let net = |ip: &str, len| IpNet { ip: ip.parse().unwrap(), len };
        for (net, ip, inside) in [
            (net("10.1.0.0", 16), "10.1.255.9", true),
            (net("10.1.0.0", 16), "::ffff:10.1.2.3", true),
            (net("10.1.0.0", 16), "10.2.0.1", false),
            (net("0.0.0.0", 0), "203.0.113.9", true),
            (net("0.0.0.0", 0), "2001:db8::1", false),
            (net("2001:db8::", 32), "2001:db8:ffff::1", true),
            (net("::", 0), "2001:db8::1", true),
            (net("192.0.2.7", 32), "192.0.2.7", true),
            (net("192.0.2.7", 32), "192.0.2.6", false),
        ] {
            assert_eq!(net.contains(ip.parse().unwrap()), inside, "{net:?} {ip}");
        }
    }
}
