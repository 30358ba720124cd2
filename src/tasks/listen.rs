//! The front doors: one listener for every address of the box and of its domains that is there. An address
//! that is not there yet is a door that opens later; it never stops the rest.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;

use async_io::Async;
use futures_lite::AsyncWriteExt;
use smol::Task;

use crate::config::{Config, Service};
use crate::os::sockets;
use crate::relay::{Door, Shut};
use crate::tasks::guest::Guest;
use crate::tasks::session;
use crate::tasks::station::Station;

/// The open doors, by address.
#[derive(Default)]
pub struct Doors {
    open: BTreeMap<SocketAddr, (Service, Task<()>)>,
    /// Doors that could not be opened, and why.
    shut: BTreeMap<SocketAddr, String>,
}

impl Doors {
    /// Opens what the configuration wants, closes what it no longer wants, tries again what is shut.
    pub fn arrange(&mut self, station: &Rc<Station>, config: &Config) {
        let wanted: BTreeMap<SocketAddr, Service> = config.listeners().into_iter().collect();
        self.open.retain(|address, (service, _)| wanted.get(address) == Some(service));
        self.shut.clear();
        for (address, service) in wanted {
            if self.open.contains_key(&address) {
                continue;
            }
            match sockets::listen(address).and_then(Async::new) {
                Ok(listener) => {
                    log::info!("listening on {address} for {}", service.word());
                    let task =
                        station.executor.spawn(answer(station.clone(), listener, address.ip(), service));
                    self.open.insert(address, (service, task));
                    if let Some(machinist) = &station.machinist {
                        machinist.door_opened();
                    }
                }
                Err(error) => {
                    log::warn!("not listening on {address}: {error}");
                    self.shut.insert(address, error.to_string());
                }
            }
        }
    }

    /// An address has gone: its listener would be dead when it comes back.
    pub fn close(&mut self, ip: IpAddr) {
        self.open.retain(|address, _| address.ip() != ip);
    }

    pub fn shut(&self) -> impl Iterator<Item = (&SocketAddr, &String)> {
        self.shut.iter()
    }
}

async fn answer(station: Rc<Station>, listener: Async<TcpListener>, reached: IpAddr, service: Service) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let door = Door { reached, client: peer.ip().to_canonical(), service };
                admit(&station, stream, door);
            }
            // Out of descriptors or memory: what is open has to end first.
            Err(error) => {
                log::error!("cannot accept on {reached}: {error}");
                crate::tasks::timer::pause_after_error().await;
            }
        }
    }
}

fn admit(station: &Rc<Station>, stream: Async<std::net::TcpStream>, door: Door) {
    let guest = match station.stop.is_given() {
        true => Err(STOPPING),
        false => Guest::let_in(station, door.client).map_err(|shut| match shut {
            Shut::Full => FULL,
            Shut::TooManyOfOne => TOO_MANY_OF_ONE,
        }),
    };
    match guest {
        Ok(guest) => station.spawn(session::serve(station.clone(), stream, door, guest)),
        Err(reply) => {
            let meters = &station.meters;
            meters.refused_sessions.set(meters.refused_sessions.get() + 1);
            station.spawn(turn_away(stream, reply));
        }
    }
}

const STOPPING: &[u8] = b"421 4.3.2 The box is stopping, try again later\r\n";
const FULL: &[u8] = b"421 4.3.2 Too many sessions at once, try again later\r\n";
const TOO_MANY_OF_ONE: &[u8] = b"421 4.7.0 Too many sessions from your address, try again later\r\n";

/// One reply, and the door (RFC 5321 §3.1, §3.8).
async fn turn_away(mut stream: Async<std::net::TcpStream>, reply: &[u8]) {
    // The client may be gone already; it has had its answer or needs none.
    let _ = stream.write_all(reply).await;
}
