//! The NIC's ear for ARP: asks the link before an IPv4 address is used, and hears of others who use ours.
//! Thin: what is said and what it means is `net::conflict`'s. Without the right to a packet socket there is no
//! ear, and addresses are used unasked.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::rc::Rc;

use async_io::Async;
use futures_lite::future;

use crate::net::announce::Mac;
use crate::net::conflict::{ARP_BYTES, Claim, Defender};
use crate::os::{self, clock};
use crate::tasks::netlink::Link;
use crate::tasks::timer::{by, pause_after_error};

/// One for the NIC's keeper.
#[derive(Default)]
pub struct Ear {
    defender: RefCell<Defender>,
    open: RefCell<Option<Rc<Open>>>,
    complained: Cell<bool>,
}

struct Open {
    socket: Async<UdpSocket>,
    index: u32,
    mac: Mac,
}

impl Ear {
    /// Listens on `link` from now on.
    pub fn listen_on(&self, link: &Link) {
        let Some(mac) = link.mac.filter(|_| link.carrier) else { return };
        let known = self.open.borrow().as_ref().map(|open| (open.index, open.mac));
        if known == Some((link.index, mac)) {
            return;
        }
        self.defender.borrow_mut().retain(|_| false);
        let opened = os::nic::listen_arp(link.index).and_then(Async::new);
        if let Err(error) = &opened
            && !self.complained.replace(true)
        {
            log::warn!("{}: other users of our addresses will not be noticed: {error}", link.name);
        }
        *self.open.borrow_mut() = opened.ok().map(|socket| Rc::new(Open { socket, index: link.index, mac }));
    }

    /// Whether `ip` may be put on the NIC.
    pub fn claim(&self, ip: IpAddr) -> Claim {
        match ip {
            IpAddr::V4(ip) if self.open.borrow().is_some() => {
                self.defender.borrow_mut().claim(clock::mono(), ip)
            }
            _ => Claim::Free,
        }
    }

    /// The addresses that are on the NIC; and `wanted`, those that it is to have. The others are forgotten.
    pub fn attend(&self, on_nic: &[IpAddr], wanted: &[IpAddr]) {
        let mut defender = self.defender.borrow_mut();
        defender.retain(|ip: Ipv4Addr| wanted.contains(&ip.into()));
        for ip in on_nic.iter().filter(|ip| wanted.contains(ip)) {
            if let IpAddr::V4(ip) = ip {
                defender.hold(*ip);
            }
        }
    }

    /// The link has come back: what was learned of it is asked anew.
    pub fn link_returned(&self) {
        self.defender.borrow_mut().link_returned(clock::mono());
    }

    /// Listens and asks, until the NIC must be looked at.
    pub async fn hear(&self) {
        let Some(open) = self.open.borrow().clone() else { return future::pending().await };
        loop {
            // A link that is full of ARP takes no time from the mail.
            future::yield_now().await;
            let deadline = self.defender.borrow().deadline();
            let mut packet = [0; ARP_BYTES];
            let heard = by(deadline, open.socket.recv(&mut packet)).await;
            let now = clock::mono();
            let changed = {
                let mut defender = self.defender.borrow_mut();
                let heard = matches!(heard, Some(Ok(n)) if defender.heard(now, open.mac, &packet[..n]));
                defender.tick(now, open.mac) || heard
            };
            for packet in self.defender.borrow_mut().take_output() {
                if let Err(error) = os::nic::send_arp(open.socket.get_ref(), open.index, &packet) {
                    log::debug!("ARP: {error}");
                }
            }
            if changed {
                return;
            }
            if matches!(heard, Some(Err(_))) {
                // The link went down; netlink tells when it is back.
                pause_after_error().await;
            }
        }
    }
}
