//! The table of statements: how each looks, what it is for, how it enters the model and how the model prints
//! it. Parsing, printing, `set`, help and completion all read this table; to add a statement is to add a row.
//! Danger: `key_words` decides which statements contradict and which `set` replaces.

mod roads;
mod times;
mod unread;
mod users;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::config::argument::{Argument, Connections, FilePath, LogHost, Nic, OwnAddress, Size, TimeHost};
use crate::config::{
    BoxConfig, CertificateSource, ClockDuty, DomainConfig, HostPort, IpLen, RetryPlan, Service, SpoolMode,
    Syslog,
};
use crate::mail::{Address, Domain, LocalPart};
pub use roads::route_statement;
use times::{check_logout, check_retry};
pub use unread::UNREAD;

/// One row of the table.
pub struct Form {
    /// As `config::grammar` reads it. A domain's form begins with `domain NAME`.
    pub form: &'static str,
    /// One line for `help` and `?`.
    pub help: &'static str,
    /// A statement that parses.
    pub example: &'static str,
    pub key: Key,
    pub scope: Scope,
}

/// What makes two statements speak of one thing, so that they contradict unless they are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Their first words, this many.
    Words(usize),
    /// Their first words, this many, and the family of the address that follows.
    Family(usize),
}

/// Which part of the model a statement speaks of. `read` takes the form's arguments one after another;
/// `list` gives them for each statement that the model needs of this form, defaults left out.
pub enum Scope {
    Box { read: fn(&mut BoxConfig, &mut Taker) -> Result<(), String>, list: fn(&BoxConfig) -> Lines },
    Domain { read: fn(&mut DomainConfig, &mut Taker) -> Result<(), String>, list: fn(&DomainConfig) -> Lines },
}

/// The arguments of statements of one form.
pub type Lines = Vec<Vec<String>>;

/// Hands out the arguments of one statement as values, and keeps their canonical words.
pub struct Taker<'w> {
    words: std::slice::Iter<'w, String>,
    canonical: Vec<String>,
}

impl<'w> Taker<'w> {
    /// `words` are those of the statement that are no fixed word of its form.
    pub fn new(words: &'w [String]) -> Self {
        Taker { words: words.iter(), canonical: Vec::with_capacity(words.len()) }
    }

    pub fn take<T: Argument>(&mut self) -> Result<T, String> {
        let word = self.words.next().expect("a form takes as many arguments as it has places for");
        let value = T::read(word)?;
        self.canonical.push(value.write());
        Ok(value)
    }

    /// An argument that may be left out.
    pub fn take_optional<T: Argument>(&mut self) -> Result<Option<T>, String> {
        if self.words.len() == 0 { Ok(None) } else { self.take().map(Some) }
    }

    /// The arguments that are left, of a form that ends in a list.
    pub fn take_rest<T: Argument>(&mut self) -> Result<Vec<T>, String> {
        let mut values = Vec::new();
        while let Some(value) = self.take_optional()? {
            values.push(value);
        }
        Ok(values)
    }

    /// The canonical words of an argument that stands apart from the order in which it was written.
    fn rewrite(&mut self, words: usize, canonical: Vec<String>) {
        self.canonical.truncate(self.canonical.len() - words);
        self.canonical.extend(canonical);
    }

    pub fn into_canonical(self) -> Vec<String> {
        self.canonical
    }
}

fn each<T: Argument>(values: &[T]) -> Lines {
    values.iter().map(|value| vec![value.write()]).collect()
}

fn maybe<T: Argument>(value: Option<&T>) -> Lines {
    value.map(|value| vec![value.write()]).into_iter().collect()
}

impl Argument for Service {
    fn read(word: &str) -> Result<Self, String> {
        let found = Service::ALL.into_iter().find(|service| service.write() == word);
        found.ok_or_else(|| format!("`{word}` is no service; write smtp, submission or submissions"))
    }

    fn write(&self) -> String {
        self.word().to_owned()
    }
}

fn ports_that_differ(machine: &BoxConfig) -> Lines {
    let usual = BoxConfig::default();
    let differs = |service: &Service| machine.port(*service) != usual.port(*service);
    Service::ALL
        .into_iter()
        .filter(differs)
        .map(|service| vec![service.write(), machine.port(service).write()])
        .collect()
}

/// The statement that takes a password and keeps its verifier.
pub const USER_PASSWORD: &str = "domain NAME user LOCALPART password PASSWORD";

/// The table, in the order in which a configuration is printed. A later version says new things by new forms or new
/// fixed words, never by new values of an argument: an earlier one then knows what it does not know.
pub static FORMS: &[Form] = &[
    Form {
        form: "box name HOST",
        help: "the box's own name",
        example: "box name abc.com",
        key: Key::Words(2),
        scope: Scope::Box {
            read: |machine, args| {
                machine.name = Some(args.take()?);
                Ok(())
            },
            list: |machine| maybe(machine.name.as_ref()),
        },
    },
    Form {
        form: "box interface NIC|none",
        help: "the NIC that carries the aliases; none: the addresses are there already",
        example: "box interface eth0",
        key: Key::Words(2),
        scope: Scope::Box {
            read: |machine, args| {
                machine.interface = args.take::<Nic>()?.0;
                Ok(())
            },
            list: |machine| maybe(machine.interface.clone().map(|nic| Nic(Some(nic))).as_ref()),
        },
    },
    Form {
        form: "box address IP[/LEN]|dhcp",
        help: "the box's own address, and the listener that all domains share; or by DHCP",
        example: "box address 192.0.2.1/24",
        key: Key::Family(2),
        scope: Scope::Box {
            read: |machine, args| {
                match args.take()? {
                    OwnAddress::Fixed(address) => machine.addresses.push(address),
                    OwnAddress::Dhcp => machine.dhcp = true,
                }
                Ok(())
            },
            list: |machine| {
                let by_dhcp = machine.dhcp.then_some(OwnAddress::Dhcp);
                let fixed = machine.addresses.iter().copied().map(OwnAddress::Fixed);
                by_dhcp.into_iter().chain(fixed).map(|address| vec![address.write()]).collect()
            },
        },
    },
    Form {
        form: "box gateway IP",
        help: "the router to everything outside",
        example: "box gateway 192.0.2.254",
        key: Key::Family(2),
        scope: Scope::Box {
            read: |machine, args| {
                machine.gateways.push(args.take()?);
                Ok(())
            },
            list: |machine| each::<IpAddr>(&machine.gateways),
        },
    },
    Form {
        form: "box nameserver IP[:PORT]",
        help: "a DNS resolver; up to three, tried in turn",
        example: "box nameserver 192.0.2.53",
        key: Key::Words(3),
        scope: Scope::Box {
            read: |machine, args| {
                machine.nameservers.push(args.take()?);
                Ok(())
            },
            list: |machine| each::<SocketAddr>(&machine.nameservers),
        },
    },
    Form {
        form: "box host IP NAME",
        help: "a static name, both ways, before DNS",
        example: "box host 192.0.2.25 xyz.com",
        key: Key::Words(4),
        scope: Scope::Box {
            read: |machine, args| {
                machine.hosts.push((args.take()?, args.take()?));
                Ok(())
            },
            list: |machine| machine.hosts.iter().map(|(ip, name)| vec![ip.write(), name.write()]).collect(),
        },
    },
    Form {
        form: "box port smtp|submission|submissions PORT|off",
        help: "where it listens; the defaults are 25, 587 and 465",
        example: "box port smtp 2525",
        key: Key::Words(3),
        scope: Scope::Box {
            read: |machine, args| {
                let service: Service = args.take()?;
                *machine.port_mut(service) = args.take()?;
                Ok(())
            },
            list: ports_that_differ,
        },
    },
    Form {
        form: "box postmaster ADDRESS",
        help: "who gets the mail to postmaster of this box",
        example: "box postmaster ann@abc.com",
        key: Key::Words(2),
        scope: Scope::Box {
            read: |machine, args| {
                machine.postmaster = Some(args.take()?);
                Ok(())
            },
            list: |machine| maybe::<Address>(machine.postmaster.as_ref()),
        },
    },
    Form {
        form: "box authority FILE",
        help: "certificates in PEM of authorities that vouch for other hosts, beside the public ones",
        example: "box authority /data/authority.pem",
        key: Key::Words(2),
        scope: Scope::Box {
            read: |machine, args| {
                machine.authority = Some(args.take::<FilePath>()?.0);
                Ok(())
            },
            list: |machine| maybe(machine.authority.clone().map(FilePath).as_ref()),
        },
    },
    Form {
        form: "box flash endurance SIZE",
        help: "how many bytes the medium endures in all, as its maker says; show flash tells the years left",
        example: "box flash endurance 40T",
        key: Key::Words(3),
        scope: Scope::Box {
            read: |machine, args| {
                machine.endurance_bytes = Some(args.take::<Size>()?.0);
                Ok(())
            },
            list: |machine| {
                machine.endurance_bytes.map(|bytes| vec![Size(bytes).write()]).into_iter().collect()
            },
        },
    },
    Form {
        form: "box timeserver HOST[:PORT]",
        help: "a server of time (NTP); several outvote one that is wrong",
        example: "box timeserver ntp1.example.net",
        key: Key::Words(3),
        scope: Scope::Box {
            read: |machine, args| {
                machine.timeservers.push(args.take::<TimeHost>()?.0);
                Ok(())
            },
            list: |machine| machine.timeservers.iter().map(|h| vec![TimeHost(h.clone()).write()]).collect(),
        },
    },
    Form {
        form: "box clock keep|leave",
        help: "whether the box sets the machine's clock; an appliance does, on other Linux it is left alone",
        example: "box clock leave",
        key: Key::Words(2),
        scope: Scope::Box {
            read: |machine, args| {
                machine.clock = Some(args.take()?);
                Ok(())
            },
            list: |machine| maybe::<ClockDuty>(machine.clock.as_ref()),
        },
    },
    Form {
        form: "box syslog HOST[:PORT] udp|tcp",
        help: "a host that gets the log as well; the port is 514 where none is given",
        example: "box syslog 192.0.2.9 udp",
        key: Key::Words(2),
        scope: Scope::Box {
            read: |machine, args| {
                let host = args.take::<LogHost>()?.0;
                machine.syslog = Some(Syslog { host, carrier: args.take()? });
                Ok(())
            },
            list: |machine| {
                let words = |to: &Syslog| vec![LogHost(to.host.clone()).write(), to.carrier.write()];
                machine.syslog.iter().map(words).collect()
            },
        },
    },
    Form {
        form: "box console logout DURATION",
        help: "a serial console that nobody touches is logged out after this time; 15m",
        example: "box console logout 1h",
        key: Key::Words(3),
        scope: Scope::Box {
            read: |machine, args| {
                machine.logout = args.take()?;
                check_logout(machine.logout)
            },
            list: |machine| match machine.logout == BoxConfig::default().logout {
                true => Vec::new(),
                false => vec![vec![machine.logout.write()]],
            },
        },
    },
    Form {
        form: "domain NAME address IP[/LEN]",
        help: "the domain's own address: it listens there and speaks from there; one IPv4, one IPv6",
        example: "domain bcd.com address 192.0.2.70/24",
        key: Key::Family(3),
        scope: Scope::Domain {
            read: |domain, args| {
                domain.addresses.push(args.take()?);
                Ok(())
            },
            list: |domain| each::<IpLen>(&domain.addresses),
        },
    },
    Form {
        form: "domain NAME gateway IP",
        help: "the domain's own router, where its address lies in another network than the box's",
        example: "domain bcd.com gateway 198.51.100.1",
        key: Key::Family(3),
        scope: Scope::Domain {
            read: |domain, args| {
                domain.gateways.push(args.take()?);
                Ok(())
            },
            list: |domain| each::<IpAddr>(&domain.gateways),
        },
    },
    Form {
        form: "domain NAME ehlo HOST",
        help: "the name that the domain says in EHLO; the default is its own",
        example: "domain bcd.com ehlo mail.bcd.com",
        key: Key::Words(3),
        scope: Scope::Domain {
            read: |domain, args| {
                domain.ehlo = Some(args.take()?);
                Ok(())
            },
            list: |domain| maybe::<Domain>(domain.ehlo.as_ref()),
        },
    },
    Form {
        form: "domain NAME client IP[/LEN] [tolerant|plaintext-auth] [tolerant|plaintext-auth]",
        help: "may submit as any user without a password; an old device's errors are mended, AUTH in the clear",
        example: "domain bcd.com client 192.168.7.0/24 tolerant plaintext-auth",
        key: Key::Words(4),
        scope: Scope::Domain { read: users::read_client, list: users::clients },
    },
    Form {
        form: USER_PASSWORD,
        help: "may submit with AUTH from anywhere; the password is not kept, only a verifier of it",
        example: "domain bcd.com user b1 password letmein",
        key: Key::Words(4),
        scope: Scope::Domain { read: users::read_password, list: |_| Vec::new() },
    },
    Form {
        form: "domain NAME user LOCALPART verifier VERIFIER",
        help: "the same, as it is kept (RFC 5803)",
        example: "domain bcd.com user b1 verifier SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
                  WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
        key: Key::Words(4),
        scope: Scope::Domain { read: users::read_verifier, list: users::verifiers },
    },
    Form {
        form: "domain NAME user LOCALPART sends-as ADDRESS...",
        help: "the addresses that the user may send as, beside his own",
        example: "domain bcd.com user b1 sends-as info@bcd.com sales@bcd.com",
        key: Key::Words(5),
        scope: Scope::Domain { read: users::read_sends_as, list: users::sends_as },
    },
    Form {
        form: "domain NAME mailbox LOCALPART",
        help: "mail for this user is kept here, as a Maildir",
        example: "domain bcd.com mailbox b2",
        key: Key::Words(4),
        scope: Scope::Domain {
            read: |domain, args| {
                domain.mailboxes.push(args.take()?);
                Ok(())
            },
            list: |domain| each::<LocalPart>(&domain.mailboxes),
        },
    },
    Form {
        form: "domain NAME alias LOCALPART ADDRESS",
        help: "mail for this user goes to that address instead; several make a list",
        example: "domain bcd.com alias info b2@bcd.com",
        key: Key::Words(5),
        scope: Scope::Domain {
            read: |domain, args| {
                domain.aliases.push((args.take()?, args.take()?));
                Ok(())
            },
            list: |domain| domain.aliases.iter().map(|(from, to)| vec![from.write(), to.write()]).collect(),
        },
    },
    Form {
        form: "domain NAME forward HOST[:PORT]",
        help: "the inner host that takes all other mail of the domain, over SMTP",
        example: "domain bcd.com forward 10.1.1.5",
        key: Key::Words(3),
        scope: Scope::Domain {
            read: |domain, args| {
                domain.forward = Some(args.take()?);
                Ok(())
            },
            list: |domain| maybe::<HostPort>(domain.forward.as_ref()),
        },
    },
    Form {
        form: "domain NAME route default|DOMAIN mx|HOST[:PORT]",
        help: "where the domain's mail for that destination goes; the default is mx",
        example: "domain bcd.com route default smarthost.example.net",
        key: Key::Words(4),
        scope: Scope::Domain { read: roads::read_plain, list: roads::plain },
    },
    Form {
        form: "domain NAME route default|DOMAIN mx|HOST[:PORT] tls required",
        help: "the same, and nothing leaves in the clear or to a host without a trusted certificate",
        example: "domain bcd.com route xyz.com mx tls required",
        key: Key::Words(4),
        scope: Scope::Domain { read: roads::read_secure, list: roads::secure },
    },
    Form {
        form: "domain NAME route default|DOMAIN HOST[:PORT] user USER password PASSWORD",
        help: "a smarthost that knows us by a password, which is shown to it under TLS only",
        example: "domain bcd.com route default smarthost.example.net:587 user bcd password \"let me in\"",
        key: Key::Words(4),
        scope: Scope::Domain { read: roads::read_login, list: roads::login },
    },
    Form {
        form: "domain NAME route default|DOMAIN HOST[:PORT] user USER password PASSWORD tls required",
        help: "the same, and only where its certificate is trusted",
        example: "domain bcd.com route default smarthost.example.net:465 user bcd password letmein tls required",
        key: Key::Words(4),
        scope: Scope::Domain { read: roads::read_secure_login, list: roads::secure_login },
    },
    Form {
        form: "domain NAME route default|DOMAIN HOST[:PORT] user USER password PASSWORD plaintext-auth",
        help: "the same, and in the clear where the smarthost offers no TLS",
        example: "domain bcd.com route default 10.1.1.5 user bcd password letmein plaintext-auth",
        key: Key::Words(4),
        scope: Scope::Domain { read: roads::read_open_login, list: roads::open_login },
    },
    Form {
        form: "domain NAME certificate self|FILE",
        help: "the certificate for TLS: made by the box, or a file with the chain and the key in PEM; self",
        example: "domain bcd.com certificate /data/bcd.com.pem",
        key: Key::Words(3),
        scope: Scope::Domain {
            read: |domain, args| {
                domain.certificate = args.take()?;
                Ok(())
            },
            list: |domain| match &domain.certificate {
                CertificateSource::SelfMade => Vec::new(),
                file => vec![vec![file.write()]],
            },
        },
    },
    Form {
        form: "domain NAME dkim SELECTOR",
        help: "sign the domain's mail with an Ed25519 and an RSA key; show dkim has the DNS records",
        example: "domain bcd.com dkim mail",
        key: Key::Words(3),
        scope: Scope::Domain {
            read: |domain, args| {
                domain.dkim = Some(args.take()?);
                Ok(())
            },
            list: |domain| maybe(domain.dkim.as_ref()),
        },
    },
    Form {
        form: "domain NAME retry first DURATION max DURATION expire DURATION",
        help: "when deferred mail is tried again, at most how rarely, and when it bounces; 5m, 4h, 5d",
        example: "domain bcd.com retry first 1m max 2h expire 3d",
        key: Key::Words(3),
        scope: Scope::Domain {
            read: |domain, args| {
                domain.retry =
                    RetryPlan { first: args.take()?, max: args.take()?, expire: args.take::<Duration>()? };
                check_retry(&domain.retry)
            },
            list: |domain| match domain.retry == RetryPlan::default() {
                true => Vec::new(),
                false => vec![
                    [domain.retry.first, domain.retry.max, domain.retry.expire].map(|d| d.write()).into(),
                ],
            },
        },
    },
    Form {
        form: "domain NAME spool held DURATION",
        help: "while the client waits, its mail is offered on and written to flash only after this time; 2s",
        example: "domain bcd.com spool held 5s",
        key: Key::Words(3),
        scope: Scope::Domain {
            read: |domain, args| {
                domain.spool = SpoolMode::Held(args.take()?);
                Ok(())
            },
            list: |domain| match domain.spool {
                SpoolMode::Held(time) if domain.spool != SpoolMode::default() => vec![vec![time.write()]],
                _ => Vec::new(),
            },
        },
    },
    Form {
        form: "domain NAME spool always",
        help: "mail is written to flash before anything else is done with it",
        example: "domain bcd.com spool always",
        key: Key::Words(3),
        scope: Scope::Domain {
            read: |domain, _| {
                domain.spool = SpoolMode::Always;
                Ok(())
            },
            list: |domain| match domain.spool {
                SpoolMode::Always => vec![Vec::new()],
                SpoolMode::Held(_) => Vec::new(),
            },
        },
    },
    Form {
        form: "domain NAME quota SIZE",
        help: "what the domain's spool may take of flash; an equal share of all",
        example: "domain bcd.com quota 64M",
        key: Key::Words(3),
        scope: Scope::Domain {
            read: |domain, args| {
                domain.quota_bytes = Some(args.take::<Size>()?.0);
                Ok(())
            },
            list: |domain| domain.quota_bytes.map(|bytes| vec![Size(bytes).write()]).into_iter().collect(),
        },
    },
    Form {
        form: "domain NAME limit connections N",
        help: "how many connections the domain opens at once; 20",
        example: "domain bcd.com limit connections 5",
        key: Key::Words(4),
        scope: Scope::Domain {
            read: |domain, args| {
                domain.connections_max = args.take::<Connections>()?.0;
                Ok(())
            },
            list: |domain| match domain.connections_max == DomainConfig::CONNECTIONS_USUAL {
                true => Vec::new(),
                false => vec![vec![Connections(domain.connections_max).write()]],
            },
        },
    },
];
