//! The keeper of the NIC: puts the configured addresses on it, brings back what someone deletes, and tells
//! everyone else which address may be used now. Sources: rtnetlink(7), RFC 5227 §2.3 (announce twice).
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
use crate::limits::{NIC_ANNOUNCE_AGAIN_S, NIC_RECHECK_S, NIC_SETTLE_MS};
use crate::net::{Actual, AddressState, Step, Wanted, alias_plan};
use crate::os;
use crate::tasks::netlink::{self, Link};
use crate::time::Instant;

/// One for the daemon, shared by all its tasks. [`NicKeeper::run`] is to be spawned once.
#[derive(Default)]
pub struct NicKeeper {
    shared: RefCell<Shared>,
    applied: Event,
    changed: Event,
}

#[derive(Default)]
struct Shared {
    wanted: Wanted,
    states: HashMap<IpAddr, AddressState>,
    /// What this process put on which interface: what it may remove where the kernel keeps no mark.
    added: BTreeSet<(u32, IpAddr)>,
    /// Whether the NIC had a carrier at the last look; its return is announced.
    carrier: bool,
    findings: Findings,
}

/// What the last look at the NIC found.
#[derive(Default)]
struct Findings {
    /// What keeps every address of the NIC from working.
    nic: Option<String>,
    on_nic: BTreeSet<IpAddr>,
    /// Addresses that work without the NIC.
    elsewhere: BTreeSet<IpAddr>,
    failed: HashMap<IpAddr, String>,
    /// What could not be done, so that each is logged once.
    complaints: BTreeSet<String>,
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

    /// Wakes at the next change of any address's state. Listen first, then ask for states, then wait, so
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
        use MulticastGroup::{Ipv4Ifaddr, Ipv4Route, Ipv6Ifaddr, Ipv6Route, Link};
        let groups = [Link, Ipv4Ifaddr, Ipv6Ifaddr, Ipv4Route, Ipv6Route];
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
                let event = async { events.next().await.is_some() };
                let called = async {
                    applied.await;
                    true
                };
                let due = announce_again.as_ref().map(|(at, ..): &(Instant, _, _)| *at);
                let recheck = async {
                    let wait = due.map(|at| at.since(os::clock::mono()));
                    Timer::after(wait.unwrap_or(Duration::from_secs(NIC_RECHECK_S))).await;
                    true
                };
                if !called.or(event).or(recheck).await {
                    return io::ErrorKind::BrokenPipe.into();
                }
                // Events come in crowds, our own changes among them: one look serves them all.
                Timer::after(Duration::from_millis(NIC_SETTLE_MS)).await;
                while future::poll_once(events.next()).await.flatten().is_some() {}
            }
        };
        let gone = async {
            connection.await;
            io::ErrorKind::ConnectionAborted.into()
        };
        work.or(gone).await
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
        let actual = self.look(handle, &link, wanted).await?;
        findings.elsewhere.clone_from(&actual.elsewhere);
        findings.on_nic = actual.on_nic.iter().map(|present| present.ip).collect();
        let mut fresh = Vec::new();
        for step in alias_plan::plan(wanted, &actual) {
            match netlink::take(handle, &link, step, wanted).await {
                Ok(()) => {
                    self.note(&link, step, findings);
                    if let Step::Add(alias) = step {
                        fresh.push(alias.ip);
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
            fresh = wanted.aliases.iter().map(|a| a.ip).filter(|ip| findings.on_nic.contains(ip)).collect();
        }
        Ok((link, fresh))
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
        actual.gateways = netlink::gateways(handle, link).await.map_err(|e| e.to_string())?;
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
            Step::AddGateway(_) | Step::RemoveGateway(_) => {}
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
    }
}
