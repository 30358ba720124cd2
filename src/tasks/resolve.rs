//! The resolver that all tasks share: static names, the cache, and lookups at the configured nameservers
//! (RFC 1035 §7, RFC 5321 §5). One lookup serves all who ask the same thing at one time.
//! Danger: what is unknown must come out as temporary, or mail bounces for a nameserver's fault.

mod exchange;
mod flight;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future;
use smol::Timer;
use smol::lock::Semaphore;

use crate::config::model::Config;
use crate::dns::mx::{self, Reach};
use crate::dns::{Answer, Cache, Found, Kind, Lookup, LookupError, MailHost, Name, Question, Record};
use crate::limits::{DNS_LOOKUPS_MAX, HOST_ADDRESSES_MAX, REVERSE_LOOKUP_S_MAX, REVERSE_NAMES_MAX};
use crate::mail::Domain;
use crate::os;
use crate::prng::Prng;

use flight::Flights;

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    V4,
    V6,
    Both,
}

impl Families {
    fn include(self, ip: IpAddr) -> bool {
        match self {
            Families::V4 => ip.is_ipv4(),
            Families::V6 => ip.is_ipv6(),
            Families::Both => true,
        }
    }
}

/// Answers questions about names. Clones share one cache and one configuration.
#[derive(Clone)]
pub struct Resolver(Rc<Shared>);

struct Shared {
    setup: RefCell<Rc<Setup>>,
    cache: RefCell<Cache>,
    flights: Flights,
    places: Semaphore,
    prng: RefCell<Prng>,
    /// The nameserver that is asked first: the next one, once it has kept silent.
    first: Cell<usize>,
}

/// What the configuration says for names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Setup {
    servers: Vec<SocketAddr>,
    hosts: Vec<(IpAddr, Domain)>,
    own_addresses: Vec<IpAddr>,
    own_names: Vec<Domain>,
}

impl Setup {
    fn new(config: &Config) -> Self {
        let machine = &config.machine;
        let aliases = config.domains.iter().flat_map(|domain| &domain.addresses);
        let own_addresses = machine.addresses.iter().chain(aliases).map(|address| address.ip).collect();
        let ehlo_names = config.domains.iter().map(|domain| domain.ehlo_name());
        Setup {
            servers: machine.nameservers.clone(),
            hosts: machine.hosts.clone(),
            own_addresses,
            own_names: machine.name.iter().chain(ehlo_names).cloned().collect(),
        }
    }

    fn static_addresses(&self, name: &Domain) -> Vec<IpAddr> {
        self.hosts.iter().filter(|(_, host)| host == name).map(|(ip, _)| *ip).collect()
    }

    fn static_name(&self, ip: IpAddr) -> Option<Domain> {
        self.hosts.iter().find(|(host, _)| *host == ip).map(|(_, name)| name.clone())
    }

    fn is_static(&self, name: &Domain) -> bool {
        self.hosts.iter().any(|(_, host)| host == name)
    }

    /// What the static names say; `None` leaves the question to DNS.
    fn static_records(&self, question: &Question) -> Option<Vec<Record>> {
        match question.kind {
            Kind::A | Kind::Aaaa => {
                let name = question.name.to_host().filter(|name| self.is_static(name))?;
                let addresses = self.static_addresses(&name).into_iter();
                Some(
                    addresses
                        .map(record_of)
                        .filter(|r| matches!(r, Record::A(_)) == (question.kind == Kind::A))
                        .collect(),
                )
            }
            Kind::Ptr => {
                let name = self.static_name(question.name.reversed_address()?)?;
                Some(vec![Record::Ptr(Name::of_host(&name)?)])
            }
            Kind::Mx | Kind::Txt | Kind::Cname => None,
        }
    }
}

fn record_of(ip: IpAddr) -> Record {
    match ip {
        IpAddr::V4(v4) => Record::A(v4),
        IpAddr::V6(v6) => Record::Aaaa(v6),
    }
}

impl Resolver {
    /// A resolver without nameservers and static names. `seed` is for the order of equal hosts only.
    pub fn new(seed: u64) -> Self {
        Resolver(Rc::new(Shared {
            setup: RefCell::default(),
            cache: RefCell::default(),
            flights: Flights::default(),
            places: Semaphore::new(DNS_LOOKUPS_MAX),
            prng: RefCell::new(Prng::from_seed(seed)),
            first: Cell::new(0),
        }))
    }

    /// Takes over the nameservers, static names and own addresses of `config`. Where these differ from what
    /// was, cached answers are forgotten; lookups under way end as they began.
    pub fn configure(&self, config: &Config) {
        let setup = Setup::new(config);
        if *self.setup() != setup {
            *self.0.setup.borrow_mut() = Rc::new(setup);
            self.0.cache.borrow_mut().clear();
            self.0.flights.forget();
            self.0.first.set(0);
        }
    }

    /// The hosts that take mail for `domain`, in the order in which they are to be tried: MX hosts without
    /// this box and what is behind it, or the domain itself. At most `MAIL_HOSTS_MAX`, at least one.
    pub async fn mail_hosts(&self, domain: &Domain) -> Result<Vec<MailHost>, LookupError> {
        let hosts = match Name::of_host(domain) {
            Some(name) => self.hosts_in_dns(domain, name).await?,
            None if domain.as_literal().is_some() => mx::implicit(domain),
            None => return Err(LookupError::NoSuchDomain(domain.to_string())),
        };
        let looks = hosts.into_iter().map(|host| async move {
            let reach = self.reach(&host).await;
            (host, reach)
        });
        mx::usable(domain, all(looks).await)
    }

    async fn hosts_in_dns(&self, domain: &Domain, name: Name) -> Result<Vec<MailHost>, LookupError> {
        let setup = self.setup();
        let answer = self.answer(Question::new(name, Kind::Mx)).await;
        let only_static = setup.is_static(domain) && setup.servers.is_empty();
        match &answer.found {
            Found::Records(records) => mx::ordered(domain, records, &mut self.0.prng.borrow_mut()),
            Found::NoData => Ok(mx::implicit(domain)),
            Found::NxDomain if setup.is_static(domain) => Ok(mx::implicit(domain)),
            Found::NxDomain => Err(LookupError::NoSuchDomain(domain.to_string())),
            Found::Failed(_) if only_static => Ok(mx::implicit(domain)),
            Found::Failed(why) => Err(LookupError::Temporary(why.clone())),
        }
    }

    async fn reach(&self, host: &MailHost) -> Reach {
        let setup = self.setup();
        if setup.own_names.contains(&host.name) {
            return Reach::Ourselves;
        }
        match self.addresses(&host.name, Families::Both).await {
            Ok(ips) if ips.iter().any(|ip| setup.own_addresses.contains(ip)) => Reach::Ourselves,
            Err(error) if error.is_permanent() => Reach::Nowhere,
            Ok(_) | Err(_) => Reach::Open,
        }
    }

    /// The addresses of `name`, in the order in which they are to be tried: families take turns, IPv6 first,
    /// each in random order; those of a static name as configured. At most `HOST_ADDRESSES_MAX` of each
    /// family, at least one in all. An address literal is its own address.
    pub async fn addresses(&self, name: &Domain, families: Families) -> Result<Vec<IpAddr>, LookupError> {
        let setup = self.setup();
        let known = match name.as_literal() {
            Some(ip) => Some(vec![ip]),
            None => Some(setup.static_addresses(name)).filter(|known| !known.is_empty()),
        };
        if let Some(mut known) = known {
            known.retain(|ip| families.include(*ip));
            return if known.is_empty() { Err(LookupError::NoAddress(name.to_string())) } else { Ok(known) };
        }
        let question = Name::of_host(name).ok_or_else(|| LookupError::NoSuchDomain(name.to_string()))?;
        let (v4, v6) = future::zip(
            self.family(families != Families::V6, &question, Kind::A),
            self.family(families != Families::V4, &question, Kind::Aaaa),
        )
        .await;
        self.both_families(name, v4.as_deref(), v6.as_deref())
    }

    async fn family(&self, wanted: bool, name: &Name, kind: Kind) -> Option<Rc<Answer>> {
        if wanted { Some(self.answer(Question::new(name.clone(), kind)).await) } else { None }
    }

    /// One family's failure does not matter where the other has addresses.
    fn both_families(
        &self,
        name: &Domain,
        v4: Option<&Answer>,
        v6: Option<&Answer>,
    ) -> Result<Vec<IpAddr>, LookupError> {
        let addresses = |answer: Option<&Answer>| {
            let mut ips = answer.map(addresses_in).unwrap_or_default();
            self.0.prng.borrow_mut().shuffle(&mut ips);
            ips.truncate(HOST_ADDRESSES_MAX);
            ips
        };
        let ips = take_turns(addresses(v6), addresses(v4));
        if !ips.is_empty() {
            return Ok(ips);
        }
        let both = || v4.into_iter().chain(v6).map(|answer| &answer.found);
        if let Some(Found::Failed(why)) = both().find(|found| matches!(found, Found::Failed(_))) {
            return Err(LookupError::Temporary(why.clone()));
        }
        if both().any(|found| *found == Found::NxDomain) {
            return Err(LookupError::NoSuchDomain(name.to_string()));
        }
        Err(LookupError::NoAddress(name.to_string()))
    }

    /// The name of `ip` that is confirmed forward: the first of its PTR names, of at most
    /// `REVERSE_NAMES_MAX`, that has `ip` among its addresses. `None` also after `REVERSE_LOOKUP_S_MAX`.
    pub async fn verified_name(&self, ip: IpAddr) -> Option<Domain> {
        let ip = ip.to_canonical();
        if let Some(name) = self.setup().static_name(ip) {
            return Some(name);
        }
        let time_over = async {
            Timer::after(Duration::from_secs(REVERSE_LOOKUP_S_MAX)).await;
            None
        };
        future::or(self.confirmed_name(ip), time_over).await
    }

    async fn confirmed_name(&self, ip: IpAddr) -> Option<Domain> {
        let answer = self.answer(Question::new(Name::reverse(ip), Kind::Ptr)).await;
        let Found::Records(records) = &answer.found else { return None };
        let families = if ip.is_ipv4() { Families::V4 } else { Families::V6 };
        let names = records.iter().filter_map(|record| match record {
            Record::Ptr(name) => name.to_host(),
            _ => None,
        });
        for name in names.take(REVERSE_NAMES_MAX) {
            if self.addresses(&name, families).await.is_ok_and(|ips| ips.contains(&ip)) {
                return Some(name);
            }
        }
        None
    }

    /// The records of `question` as text in printable ASCII; none where the name has no such record.
    pub async fn query(&self, question: &Question) -> Result<Vec<String>, LookupError> {
        let text = |records: &[Record]| records.iter().map(Record::to_string).collect();
        if let Some(records) = self.setup().static_records(question) {
            return Ok(text(&records));
        }
        match &self.answer(question.clone()).await.found {
            Found::Records(records) => Ok(text(records)),
            Found::NoData => Ok(Vec::new()),
            Found::NxDomain => Err(LookupError::NoSuchDomain(question.name.to_string())),
            Found::Failed(why) => Err(LookupError::Temporary(why.clone())),
        }
    }

    /// Answers in the cache, and the bytes that they take.
    pub fn cache_size(&self) -> (usize, usize) {
        let cache = self.0.cache.borrow();
        (cache.len(), cache.bytes())
    }

    fn setup(&self) -> Rc<Setup> {
        self.0.setup.borrow().clone()
    }

    /// From the cache, or from the nameservers; who asks what is being asked already waits for that answer.
    async fn answer(&self, question: Question) -> Rc<Answer> {
        if let Some(answer) = self.0.cache.borrow_mut().get(os::clock::mono(), &question) {
            return answer;
        }
        let flight = self.0.flights.join(&question);
        flight.answer(self.ask(&question)).await
    }

    async fn ask(&self, question: &Question) -> Rc<Answer> {
        let _place = self.0.places.acquire().await;
        let setup = self.setup();
        let mut servers = setup.servers.clone();
        servers.rotate_left(self.0.first.get());
        let lookup = Lookup::new(question.clone(), servers, os::clock::mono());
        let answer = Rc::new(exchange::run(lookup, |server| self.pass_over(&setup, server)).await);
        if !setup.servers.is_empty() && self.is_current(&setup) {
            if let Found::Failed(why) = &answer.found {
                log::warn!("DNS: {why}");
            }
            self.0.cache.borrow_mut().put(os::clock::mono(), question, answer.clone());
        }
        answer
    }

    /// A nameserver that kept silent is not the first one to be asked again, even by a lookup that nobody
    /// waited for to its end.
    fn pass_over(&self, setup: &Rc<Setup>, silent: SocketAddr) {
        let first = self.0.first.get();
        if self.is_current(setup) && setup.servers[first] == silent {
            self.0.first.set((first + 1) % setup.servers.len());
        }
    }

    fn is_current(&self, setup: &Rc<Setup>) -> bool {
        Rc::ptr_eq(setup, &self.0.setup.borrow())
    }
}

fn addresses_in(answer: &Answer) -> Vec<IpAddr> {
    let Found::Records(records) = &answer.found else { return Vec::new() };
    let address = |record: &Record| match record {
        Record::A(v4) => Some(IpAddr::V4(*v4)),
        Record::Aaaa(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    };
    records.iter().filter_map(address).collect()
}

/// The items of both, one of each in turn, as long as both last.
fn take_turns<T>(first: Vec<T>, second: Vec<T>) -> Vec<T> {
    let mut taken = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let before = taken.len();
        taken.extend(first.next());
        taken.extend(second.next());
        if taken.len() == before {
            return taken;
        }
    }
}

/// Runs all of `futures` at once; their results in order.
pub(super) async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(|f| (Box::pin(f), None)).collect();
    future::poll_fn(|context| {
        for (future, output) in &mut running {
            if output.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *output = Some(value);
            }
        }
        let done = running.iter().all(|(_, output)| output.is_some());
        if done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}
