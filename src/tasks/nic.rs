//! The keeper of the NIC: puts the configured addresses on it, brings back what someone deletes, and tells
//! everyone else which address may be used now. Sources: rtnetlink(7), RFC 5227 (ask first, announce twice).
//! Danger: only what this program added is ever removed; its addresses and routes carry a mark in the kernel.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use async_io::Timer;
use event_listener::{Event, EventListener};
use futures_lite::{FutureExt, StreamExt, future};
use rtnetlink::sys::SmolSocket;
use rtnetlink::{Handle, MulticastGroup, new_multicast_connection_with_socket};

use crate::config::Config;
use crate::limits::{ARP_PROBE_AGAIN_S, NIC_ANNOUNCE_AGAIN_S, NIC_RECHECK_S, NIC_SETTLE_MS};
use crate::net::conflict::{Claim, mac_text};
use crate::net::{Actual, AddressState, Alias, Check, Present, PresentRoad, Road, Step, Wanted, alias_plan};
use crate::os;
use crate::tasks::ear::Ear;
use crate::tasks::netlink::{self, Link};
use crate::time::Instant;

/// One for the daemon, shared by all its tasks. [`NicKeeper::run`] is to be spawned once.
#[derive(Default)]
pub struct NicKeeper {
    shared: RefCell<Shared>,
    applied: Event,
    changed: Event,
    ear: Ear,
}

#[derive(Default)]
struct Shared {
    wanted: Wanted,
    states: HashMap<IpAddr, AddressState>,
    /// What this process put on which interface: what it may remove where the kernel keeps no mark.
    added: BTreeSet<(u32, IpAddr)>,
    /// Whether the NIC had a carrier at the last look; its return is announced.
    carrier: bool,
    /// IPv6 addresses that the neighbours hear of when the kernel has found no double.
    unannounced: BTreeSet<IpAddr>,
    /// IPv6 addresses that have a double, and since when; they are tried again.
    doubles: HashMap<IpAddr, Instant>,
    findings: Findings,
}

/// The NIC, for the console.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// `None` while it is not there.
    pub link: Option<Link>,
    pub gateways: Vec<(IpAddr, bool)>,
    pub roads: Vec<PresentRoad>,
    pub conflicts: BTreeSet<IpAddr>,
}

/// What the last look at the NIC found.
#[derive(Clone, Default)]
struct Findings {
    /// What keeps every address of the NIC from working.
    nic: Option<String>,
    on_nic: BTreeSet<IpAddr>,
    /// Addresses that work without the NIC.
    elsewhere: BTreeSet<IpAddr>,
    failed: HashMap<IpAddr, String>,
    /// Those of them that another machine has.
    conflicts: BTreeSet<IpAddr>,
    link: Option<Link>,
    /// Of the default routes, and whether each is ours.
    gateways: Vec<(IpAddr, bool)>,
    roads: Vec<PresentRoad>,
    /// What could not be done, so that each is logged once.
    complaints: BTreeSet<String>,
}

/// Why the NIC is looked at.
enum Woken {
    ByTheKernel,
    ByUs,
}

impl NicKeeper {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over the addresses of `config`. Those that are there already keep working meanwhile; the task
    /// does the rest.
    pub fn apply(&self, config: &Config) {
        let wanted = Wanted::of(config);
        let mut shared = self.shared.borrow_mut();
        if shared.wanted.interface != wanted.interface {
            shared.findings = Findings::default();
        }
        shared.wanted = wanted;
        drop(shared);
        self.refresh();
        self.applied.notify(usize::MAX);
    }

    /// Whether `ip` may be used now.
    pub fn state(&self, ip: IpAddr) -> AddressState {
        let state = self.shared.borrow().states.get(&ip).cloned();
        state.unwrap_or_else(|| AddressState::Pending(format!("{ip} is not in the configuration")))
    }

    /// The NIC as the last look found it, for the console.
    pub fn overview(&self) -> Overview {
        let shared = self.shared.borrow();
        let Findings { link, gateways, roads, conflicts, .. } = shared.findings.clone();
        Overview { link, gateways, roads, conflicts }
    }

    /// Whether another machine on the link has `ip`.
    pub fn is_taken(&self, ip: IpAddr) -> bool {
        self.shared.borrow().findings.conflicts.contains(&ip)
    }

    /// Wakes at the next change of any address's state, or of the link. Listen first, then ask for states, then wait, so
    /// that no change is missed.
    pub fn changed(&self) -> EventListener {
        self.changed.listen()
    }

    /// Keeps the NIC for as long as the daemon lives. Without netlink the states are still kept, by looking
    /// now and then.
    pub async fn run(&self) -> Infallible {
        loop {
            let error = self.watch().await;
            log::warn!("netlink: {error}; addresses are looked at every {NIC_RECHECK_S} s");
            let applied = self.applied.listen();
            self.look_without_netlink(&error);
            let recheck = async {
                Timer::after(Duration::from_secs(NIC_RECHECK_S)).await;
            };
            applied.or(recheck).await;
        }
    }

    /// Makes up the difference at every event until netlink fails.
    async fn watch(&self) -> io::Error {
        use MulticastGroup::{Ipv4Ifaddr, Ipv4Route, Ipv4Rule, Ipv6Ifaddr, Ipv6Route, Ipv6Rule, Link};
        let groups = [Link, Ipv4Ifaddr, Ipv6Ifaddr, Ipv4Route, Ipv6Route, Ipv4Rule, Ipv6Rule];
        let opened = new_multicast_connection_with_socket::<SmolSocket>(&groups);
        let (connection, handle, mut events) = match opened {
            Ok(opened) => opened,
            Err(e) => return e,
        };
        let work = async {
            let mut announce_again = None;
            loop {
                let applied = self.applied.listen();
                self.make_up(&handle, &mut announce_again).await;
                let event = async { events.next().await.map(|_| Woken::ByTheKernel) };
                let called = async {
                    applied.await;
                    Some(Woken::ByUs)
                };
                let due = announce_again.as_ref().map(|(at, ..): &(Instant, _, _)| *at);
                let recheck = async {
                    let wait = due.map(|at| at.since(os::clock::mono()));
                    Timer::after(wait.unwrap_or(Duration::from_secs(NIC_RECHECK_S))).await;
                    Some(Woken::ByUs)
                };
                let claimed = async {
                    self.ear.hear().await;
                    Some(Woken::ByUs)
                };
                match claimed.or(called).or(event).or(recheck).await {
                    None => return io::ErrorKind::BrokenPipe.into(),
                    Some(Woken::ByUs) => {}
                    // Events come in crowds, our own changes among them: one look serves them all.
                    Some(Woken::ByTheKernel) => self.settle().await,
                }
                while future::poll_once(events.next()).await.flatten().is_some() {}
            }
        };
        let gone = async {
            connection.await;
            io::ErrorKind::ConnectionAborted.into()
        };
        work.or(gone).await
    }

    /// Lets a crowd of events pass, but not a claim that is decided meanwhile.
    async fn settle(&self) {
        let passed = async {
            Timer::after(Duration::from_millis(NIC_SETTLE_MS)).await;
        };
        passed.or(self.ear.hear()).await;
    }

    async fn make_up(&self, handle: &Handle, again: &mut Option<(Instant, Link, Vec<IpAddr>)>) {
        if let Some((_, link, ips)) = again.take_if(|(at, ..)| *at <= os::clock::mono()) {
            announce(&link, &ips);
        }
        let wanted = self.shared.borrow().wanted.clone();
        let mut findings = Findings::default();
        if let Some(interface) = &wanted.interface {
            match self.manage(handle, interface, &wanted, &mut findings).await {
                Ok((link, fresh)) if !fresh.is_empty() => {
                    announce(&link, &fresh);
                    let at = os::clock::mono() + Duration::from_secs(NIC_ANNOUNCE_AGAIN_S);
                    *again = Some((at, link, fresh));
                }
                Ok(_) => {}
                Err(reason) => findings.nic = Some(reason),
            }
        }
        if self.shared.borrow().wanted == wanted {
            self.found(findings);
        }
    }

    /// Only the addresses that work without our help can be told then.
    fn look_without_netlink(&self, error: &io::Error) {
        let wanted = self.shared.borrow().wanted.addresses.clone();
        let elsewhere = wanted.into_iter().filter(|ip| os::sockets::is_here(*ip).is_ok()).collect();
        let nic = Some(format!("the NIC cannot be managed: {error}"));
        self.found(Findings { nic, elsewhere, ..Findings::default() });
    }

    fn found(&self, findings: Findings) {
        let before = std::mem::replace(&mut self.shared.borrow_mut().findings, findings);
        for complaint in self.shared.borrow().findings.complaints.difference(&before.complaints) {
            log::warn!("{complaint}");
        }
        let link = |findings: &Findings| findings.link.as_ref().map(|l| (l.index, l.mac, l.carrier));
        if link(&before) != link(&self.shared.borrow().findings) {
            self.changed.notify(usize::MAX);
        }
        self.refresh();
    }

    /// One look at the NIC, and the steps from what is there to what is wanted. Gives the addresses to be
    /// announced; the error is the reason why no address of the NIC works.
    async fn manage(
        &self,
        handle: &Handle,
        interface: &str,
        wanted: &Wanted,
        findings: &mut Findings,
    ) -> Result<(Link, Vec<IpAddr>), String> {
        let link = netlink::bring_up(handle, interface).await?;
        if let Err(e) = os::nic::keep_secondaries(interface) {
            log::debug!("{interface}: promote_secondaries: {e}");
        }
        self.ear.listen_on(&link);
        let mut actual = self.look(handle, &link, wanted).await?;
        self.yield_lost(handle, &link, wanted, &mut actual).await;
        findings.link = Some(link.clone());
        findings.gateways.clone_from(&actual.gateways);
        findings.roads.clone_from(&actual.roads);
        findings.elsewhere.clone_from(&actual.elsewhere);
        findings.on_nic = actual.on_nic.iter().map(|present| present.ip).collect();
        let mut fresh = self.checked(&link, &actual, findings);
        for step in alias_plan::plan(wanted, &actual) {
            if let Step::Add(alias) = step
                && let Err(why) = self.may_add(&link, alias, findings)
            {
                findings.failed.insert(alias.ip, why);
                continue;
            }
            match netlink::take(handle, &link, step, wanted).await {
                Ok(()) => {
                    self.note(&link, step, findings);
                    match step {
                        Step::Add(alias) if alias.ip.is_ipv4() => fresh.push(alias.ip),
                        Step::Add(alias) => drop(self.shared.borrow_mut().unannounced.insert(alias.ip)),
                        _ => {}
                    }
                }
                Err(e) => {
                    findings.complaints.insert(format!("{interface}: not done: {}: {e}", told(step)));
                    if let Step::Add(alias) = step {
                        findings.failed.insert(alias.ip, format!("{interface} refused it: {e}"));
                    }
                }
            }
        }
        let returned = !std::mem::replace(&mut self.shared.borrow_mut().carrier, link.carrier);
        if !link.carrier {
            return Err(format!("{interface} has no link"));
        }
        if returned {
            self.ear.link_returned();
            fresh = wanted.aliases.iter().map(|a| a.ip).filter(|ip| findings.on_nic.contains(ip)).collect();
        }
        Ok((link, fresh))
    }

    /// An IPv4 address is put on the NIC once the link was asked whether somebody else has it.
    fn may_add(&self, link: &Link, alias: Alias, findings: &mut Findings) -> Result<(), String> {
        let Alias { ip, .. } = alias;
        if ip.is_ipv6() || link.mac.is_none() {
            return Ok(());
        }
        if !link.carrier {
            return Err(format!("{} has no link", link.name));
        }
        match self.ear.claim(ip) {
            Claim::Free => Ok(()),
            Claim::Probing => Err(format!("{} is asked whether {ip} is free", link.name)),
            Claim::Taken(mac) => {
                findings.conflicts.insert(ip);
                let why = format!("{ip} is in use by another machine on {}, {}", link.name, mac_text(mac));
                findings.complaints.insert(why.clone());
                Err(why)
            }
        }
    }

    /// Takes our addresses from the NIC that another machine uses too.
    async fn yield_lost(&self, handle: &Handle, link: &Link, wanted: &Wanted, actual: &mut Actual) {
        let on_nic: Vec<IpAddr> = actual.on_nic.iter().map(|present| present.ip).collect();
        self.ear.attend(&on_nic, &wanted.addresses);
        let now = os::clock::mono();
        let lost = |present: &&Present| {
            let taken = || matches!(self.ear.claim(present.ip), Claim::Taken(_));
            present.ours
                && wanted.addresses.contains(&present.ip)
                && (taken() || self.is_to_be_tried_again(present, now))
        };
        let lost: Vec<Present> = actual.on_nic.iter().filter(lost).copied().collect();
        for present in lost {
            let gone = netlink::remove(handle, link.index, present.ip, present.len).await;
            log::warn!("{}: {} removed, another machine has it: {gone:?}", link.name, present.ip);
            if gone.is_ok() {
                actual.on_nic.retain(|other| other.ip != present.ip);
            }
        }
    }

    /// Whether an IPv6 address has had a double for so long that it is to be tried once more.
    fn is_to_be_tried_again(&self, present: &Present, now: Instant) -> bool {
        let doubles = &mut self.shared.borrow_mut().doubles;
        if present.check != Check::Failed {
            doubles.remove(&present.ip);
            return false;
        }
        let since = *doubles.entry(present.ip).or_insert(now);
        let over = now.since(since) >= Duration::from_secs(ARP_PROBE_AGAIN_S);
        if over {
            doubles.remove(&present.ip);
        }
        over
    }

    /// What the kernel has found out of IPv6 addresses; gives those that can be announced now.
    fn checked(&self, link: &Link, actual: &Actual, findings: &mut Findings) -> Vec<IpAddr> {
        let mut fresh = Vec::new();
        for Present { ip, check, .. } in &actual.on_nic {
            match check {
                Check::Passed if self.shared.borrow_mut().unannounced.remove(ip) => fresh.push(*ip),
                Check::Passed => {}
                Check::Running => {
                    findings.failed.insert(*ip, format!("{} is asked whether {ip} is free", link.name));
                }
                Check::Failed => {
                    let why = format!("{ip} is in use by another machine on {}", link.name);
                    findings.complaints.insert(why.clone());
                    findings.failed.insert(*ip, why);
                    findings.conflicts.insert(*ip);
                }
            }
        }
        fresh
    }

    /// What is on the NIC. Addresses that this process left on an interface it kept before are taken away.
    async fn look(&self, handle: &Handle, link: &Link, wanted: &Wanted) -> Result<Actual, String> {
        let everywhere = netlink::addresses(handle).await.map_err(|e| e.to_string())?;
        let added = self.shared.borrow().added.clone();
        let mut actual = Actual::default();
        for (index, mut present) in everywhere {
            let ours = added.contains(&(index, present.ip));
            if index == link.index {
                present.ours |= ours;
                actual.on_nic.push(present);
            } else if ours {
                let gone = netlink::remove(handle, index, present.ip, present.len).await;
                log::info!("{} removed from the interface it was on: {gone:?}", present.ip);
            }
        }
        self.shared.borrow_mut().added.retain(|(index, _)| *index == link.index);
        let here =
            |ip: &IpAddr| !actual.on_nic.iter().any(|p| p.ip == *ip) && os::sockets::is_here(*ip).is_ok();
        actual.elsewhere = wanted.addresses.iter().copied().filter(here).collect();
        let routes = netlink::default_routes(handle, link).await.map_err(|e| e.to_string())?;
        let main = routes.iter().filter(|route| route.is_main());
        actual.gateways = main.map(|route| (route.gateway, route.ours)).collect();
        // A kernel without rules has none of ours either.
        actual.roads = netlink::roads(handle, &routes).await.unwrap_or_default();
        Ok(actual)
    }

    fn note(&self, link: &Link, step: Step, findings: &mut Findings) {
        log::info!("{}: {}", link.name, told(step));
        let added = &mut self.shared.borrow_mut().added;
        match step {
            Step::Add(alias) => {
                added.insert((link.index, alias.ip));
                findings.on_nic.insert(alias.ip);
            }
            Step::Remove(present) => {
                added.remove(&(link.index, present.ip));
                findings.on_nic.remove(&present.ip);
            }
            Step::AddGateway(ip) => findings.gateways.push((ip, true)),
            Step::RemoveGateway(ip) => findings.gateways.retain(|known| *known != (ip, true)),
            Step::AddRoad(Road { from, gateway }, table) => {
                findings.roads.push(PresentRoad { from, table, gateway: Some(gateway) });
            }
            Step::RemoveRoad(road) => findings.roads.retain(|known| *known != road),
        }
    }

    /// Looks whether each address works, and wakes the others when something is not as it was.
    fn refresh(&self) {
        let mut shared = self.shared.borrow_mut();
        let state = |&ip: &IpAddr| (ip, state_now(ip, shared.wanted.interface.as_deref(), &shared.findings));
        let states: HashMap<_, _> = shared.wanted.addresses.iter().map(state).collect();
        if states == shared.states {
            return;
        }
        for (ip, state) in &states {
            if shared.states.get(ip) != Some(state) {
                match state {
                    AddressState::Up => log::info!("address {ip} is up"),
                    AddressState::Pending(reason) => log::warn!("address {ip} is pending: {reason}"),
                }
            }
        }
        shared.states = states;
        self.changed.notify(usize::MAX);
    }
}

/// An address of the NIC works once the keeper has seen it there; any other when it can be bound.
fn state_now(ip: IpAddr, interface: Option<&str>, findings: &Findings) -> AddressState {
    let Some(nic) = interface.filter(|_| !findings.elsewhere.contains(&ip)) else {
        return match os::sockets::is_here(ip) {
            Ok(()) => AddressState::Up,
            Err(e) if e.kind() == io::ErrorKind::AddrNotAvailable => {
                AddressState::Pending(format!("{ip} is not on this machine"))
            }
            Err(e) => AddressState::Pending(format!("{ip}: {e}")),
        };
    };
    if let Some(reason) = &findings.nic {
        return AddressState::Pending(reason.clone());
    }
    match findings.failed.get(&ip) {
        Some(refused) => AddressState::Pending(refused.clone()),
        None if !findings.on_nic.contains(&ip) => AddressState::Pending(format!("{ip} is not on {nic} yet")),
        None => match os::sockets::is_here(ip) {
            Ok(()) => AddressState::Up,
            Err(e) => AddressState::Pending(format!("{ip} on {nic}: {e}")),
        },
    }
}

fn announce(link: &Link, ips: &[IpAddr]) {
    let Some(mac) = link.mac else { return };
    for &ip in ips {
        if let Err(e) = os::nic::announce(link.index, mac, ip) {
            log::debug!("{}: {ip} was not announced: {e}", link.name);
        }
    }
}

fn told(step: Step) -> String {
    match step {
        Step::Add(alias) => format!("{alias} added"),
        Step::Remove(present) => format!("{}/{} removed", present.ip, present.len),
        Step::AddGateway(ip) => format!("default route by {ip} added"),
        Step::RemoveGateway(ip) => format!("default route by {ip} removed"),
        Step::AddRoad(road, table) => format!("{} goes by {}, table {table}", road.from, road.gateway),
        Step::RemoveRoad(road) => format!("{} has no road of its own any more", road.from),
    }
}
