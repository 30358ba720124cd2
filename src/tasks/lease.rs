//! The box's own address by DHCP: carries messages between the link and `net::dhcp`, and has the rest of the
//! daemon run with what the lease says. Danger: an address whose lease is over must go at once.

use std::cell::RefCell;
use std::net::{IpAddr, UdpSocket};
use std::rc::Rc;

use async_io::Async;
use futures_lite::future;

use crate::net::dhcp::{Client, Held, Lease, Road, State, message};
use crate::os::{self, clock, entropy};
use crate::tasks::netlink::Link;
use crate::tasks::settings;
use crate::tasks::station::Station;
use crate::tasks::timer::{by, pause_after_error};

/// An Ethernet frame's worth of packet, and more.
const PACKET_BYTES_MAX: usize = 2048;

/// The lease, as the rest of the daemon sees it.
#[derive(Debug, Default)]
pub struct Leasing {
    held: RefCell<Option<Held>>,
    /// What the client is doing, in a word.
    doing: RefCell<Option<&'static str>>,
}

impl Leasing {
    pub fn lease(&self) -> Option<Lease> {
        self.held.borrow().as_ref().map(|held| held.lease.clone())
    }

    pub fn held(&self) -> Option<Held> {
        self.held.borrow().clone()
    }

    /// `None` where no lease is asked for.
    pub fn doing(&self) -> Option<&'static str> {
        *self.doing.borrow()
    }
}

/// Keeps a lease as long as the daemon runs and the configuration asks for one.
pub async fn run(station: Rc<Station>) {
    loop {
        let changed = station.settings.changed();
        let nic = station.nic.changed();
        let wanted = wanted(&station);
        let link = station.nic.overview().link.filter(|link| link.carrier && link.mac.is_some());
        match link.filter(|_| wanted) {
            Some(link) => keep(&station, &link).await,
            None => {
                *station.leasing.doing.borrow_mut() = wanted.then_some("waiting for a link");
                if !wanted {
                    publish(&station, None);
                }
                future::or(changed, nic).await;
            }
        }
    }
}

fn wanted(station: &Station) -> bool {
    let store = station.settings.store.borrow();
    let machine = &store.running().machine;
    machine.dhcp && machine.interface.is_some()
}

/// Runs the client on `link` until that is another one, or no lease is wanted any more.
async fn keep(station: &Rc<Station>, link: &Link) {
    let Some(mac) = link.mac else { return };
    let ear = match os::dhcp::listen(link.index).and_then(Async::new) {
        Ok(ear) => ear,
        Err(error) => {
            log::error!("{}: DHCP cannot listen: {error}", link.name);
            *station.leasing.doing.borrow_mut() = Some("not allowed to listen");
            return station.settings.changed().await;
        }
    };
    let mut client = Client::new(clock::mono(), mac, entropy::u64());
    let mut unicast = None;
    let mut carrier = true;
    loop {
        let (changed, nic) = (station.settings.changed(), station.nic.changed());
        let now_link = station.nic.overview().link;
        let same = now_link.as_ref().is_some_and(|now| (now.index, now.mac) == (link.index, link.mac));
        if !same || !wanted(station) {
            if let Some((road, said)) = client.release(clock::mono()) {
                send(&ear, link, road, &said, &mut unicast);
            }
            return publish(station, None);
        }
        let up = now_link.is_some_and(|now| now.carrier);
        if up && !carrier {
            client.link_returned(clock::mono());
        }
        carrier = up;
        if client.lease().is_some_and(|held| station.nic.is_taken(held.lease.address.into()))
            && let Some((road, said)) = client.decline(clock::mono())
        {
            log::warn!("{}: the leased address is in use by another machine; asking for another", link.name);
            send(&ear, link, road, &said, &mut unicast);
        }
        if let Some((road, said)) = client.tick(clock::mono()) {
            send(&ear, link, road, &said, &mut unicast);
        }
        if matches!(client.state(), State::Bound(_)) {
            unicast = None;
        }
        *station.leasing.doing.borrow_mut() = Some(word(client.state()));
        publish(station, client.lease().cloned());
        let heard = async { Some(by(client.deadline(), receive(&ear)).await) };
        let disturbed = async {
            future::or(changed, nic).await;
            None
        };
        if let Some(Some(packet)) = future::or(heard, disturbed).await
            && let Some(bytes) = message::payload(&packet)
        {
            client.heard(clock::mono(), bytes);
        }
    }
}

async fn receive(ear: &Async<UdpSocket>) -> Vec<u8> {
    let mut packet = vec![0; PACKET_BYTES_MAX];
    loop {
        future::yield_now().await;
        match ear.recv(&mut packet).await {
            Ok(n) => {
                packet.truncate(n);
                return packet;
            }
            // The link went down; netlink tells when it is back.
            Err(_) => pause_after_error().await,
        }
    }
}

fn send(ear: &Async<UdpSocket>, link: &Link, road: Road, said: &[u8], unicast: &mut Option<UdpSocket>) {
    let sent = match road {
        Road::Broadcast(from) => os::dhcp::broadcast(ear.get_ref(), link.index, &message::packet(from, said)),
        Road::Unicast { from, to } => {
            *unicast = None;
            os::dhcp::unicast(from, to, said).map(|socket| *unicast = Some(socket))
        }
    };
    if let Err(error) = sent {
        log::debug!("{}: DHCP: {error}", link.name);
    }
}

/// Has everybody run with this lease.
fn publish(station: &Rc<Station>, held: Option<Held>) {
    let before = station.leasing.held.replace(held.clone());
    let lease = |held: &Option<Held>| held.as_ref().map(|held| held.lease.clone());
    if lease(&before) == lease(&held) {
        return;
    }
    match &held {
        Some(Held { lease, .. }) => {
            let (ip, len, server) = (IpAddr::V4(lease.address), lease.len, lease.server);
            log::info!("DHCP: {ip}/{len} from {server} for {} s", lease.duration.as_secs());
        }
        None => log::warn!("DHCP: the lease is over"),
    }
    settings::run_with_lease(station);
}

fn word(state: &State) -> &'static str {
    match state {
        State::Selecting => "looking for a server",
        State::Requesting(_) => "asking for an address",
        State::Bound(_) => "bound",
        State::Renewing(_) => "renewing",
        State::Rebinding(_) => "asking any server to renew",
    }
}
