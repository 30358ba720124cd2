//! `ping`: an echo a second from a domain's own address, until a key is hit; four of them where nobody is at
//! the keys. Source: RFC 1122 §3.2.2.6.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

use async_io::Async;
use futures_lite::future;

use crate::config::Destination;
use crate::console::exit;
use crate::limits::{PING_EVERY_S, PING_TIMES_USUAL};
use crate::mail::Domain;
use crate::net::echo;
use crate::os::{self, clock};
use crate::tasks::resolve::Families;
use crate::tasks::station::Station;
use crate::tasks::talk::Talk;
use crate::time::Instant;

/// Replies are larger only by an IP header.
const REPLY_BYTES_MAX: usize = 256;

/// What an echo was answered with.
enum Heard {
    Reply(io::Result<Duration>),
    Silence,
    Key,
}

/// Asks `host` for echoes. Without a domain the kernel chooses the address, which is the box's own.
pub async fn ping(
    station: &Rc<Station>,
    talk: &mut Talk,
    host: &Destination,
    sender: Option<&Domain>,
) -> io::Result<u8> {
    let Some(target) = talk.unless_broken(targets(station, host, sender)).await? else {
        return Ok(exit::FAILURE);
    };
    let opened = target.and_then(|(source, ip)| {
        let opened = os::ping::open(source, ip).and_then(|(socket, id)| Ok((Async::new(socket)?, id)));
        opened.map(|(socket, id)| (socket, id, ip)).map_err(|e| no_echo(ip, &e))
    });
    let (socket, identifier, ip) = match opened {
        Ok(opened) => opened,
        Err(why) => {
            talk.complain(&format!("{why}\n")).await?;
            return Ok(exit::FAILURE);
        }
    };
    let from = socket.get_ref().local_addr()?.ip();
    talk.print(&format!("echoes of {ip} to {from}; any key ends\n")).await?;
    let (mut sent, mut received) = (0u16, 0u16);
    while talk.is_interactive() || sent < PING_TIMES_USUAL {
        sent = sent.wrapping_add(1);
        let began = clock::mono();
        let line = match one(talk, &socket, identifier, ip, sent).await? {
            Heard::Key => break,
            Heard::Silence => format!("{sent}: no reply\n"),
            Heard::Reply(Err(error)) => format!("{sent}: {error}\n"),
            Heard::Reply(Ok(time)) => {
                received += 1;
                format!("{sent}: {:.1} ms\n", time.as_secs_f64() * 1000.0)
            }
        };
        talk.print(&line).await?;
        let last = !talk.is_interactive() && sent == PING_TIMES_USUAL;
        let rest = Duration::from_secs(PING_EVERY_S).saturating_sub(clock::mono().since(began));
        if !last && talk.key_within(rest).await? {
            break;
        }
    }
    talk.print(&format!("{received} of {sent} answered\n")).await?;
    Ok(if received > 0 { exit::OK } else { exit::FAILURE })
}

/// The address to ask, and the one of ours to ask from.
async fn targets(
    station: &Station,
    host: &Destination,
    sender: Option<&Domain>,
) -> Result<(Option<IpAddr>, IpAddr), String> {
    let config = station.config();
    let domain = match sender {
        Some(name) => {
            let unknown = || format!("{name} is not hosted here; `show domains` lists those that are");
            Some(config.domain(name).ok_or_else(unknown)?)
        }
        None => None,
    };
    let found = match host {
        Destination::Ip(ip) => vec![*ip],
        Destination::Name(name) => {
            station.resolver.addresses(name, Families::Both).await.map_err(|e| e.to_string())?
        }
    };
    let Some(domain) = domain else { return Ok((None, found[0])) };
    let office = station.office.borrow();
    let mut obstacle = None;
    for ip in found {
        match office.source_for(domain, ip) {
            Ok(source) => return Ok((Some(source), ip)),
            Err(why) => obstacle = obstacle.or(Some(why)),
        }
    }
    Err(obstacle.unwrap_or_else(|| "no address to ask".to_owned()))
}

async fn one(
    talk: &mut Talk,
    socket: &Async<UdpSocket>,
    identifier: Option<u16>,
    ip: IpAddr,
    number: u16,
) -> io::Result<Heard> {
    let sent = clock::mono();
    let packet = echo::request(ip, identifier.unwrap_or(0), number);
    let reply = async {
        Ok(Heard::Reply(match socket.send(&packet).await {
            Ok(_) => heard(socket, identifier, ip, number, sent).await,
            Err(error) => Err(error),
        }))
    };
    let key = async {
        let hit = talk.key_within(Duration::from_secs(PING_EVERY_S)).await?;
        Ok(if hit { Heard::Key } else { Heard::Silence })
    };
    future::or(reply, key).await
}

async fn heard(
    socket: &Async<UdpSocket>,
    identifier: Option<u16>,
    ip: IpAddr,
    number: u16,
    sent: Instant,
) -> io::Result<Duration> {
    let mut packet = [0; REPLY_BYTES_MAX];
    loop {
        future::yield_now().await;
        let n = socket.recv(&mut packet).await?;
        if echo::reply_number(ip, identifier, &packet[..n]) == Some(number) {
            return Ok(clock::mono().since(sent));
        }
    }
}

/// Without a NIC of its own to keep, the daemon has not kept the right to raw sockets either.
fn no_echo(ip: IpAddr, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; allow ping sockets: sysctl net.ipv4.ping_group_range='0 2147483647'"
        }
        _ => "",
    };
    format!("no echo can be sent to {ip}: {error}{hint}")
}
