//! Sends the log to a host that gathers logs. The ring in memory is the buffer: who cannot keep up loses the
//! oldest lines, which are counted, and nobody waits. Sources: RFC 5426, RFC 6587 §3.4.1.
//! Danger: this task's own troubles are logged once each, or a dead collector would fill the log.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::rc::Rc;
use std::time::Duration;

use async_io::Async;
use futures_lite::{AsyncWriteExt, future};

use crate::config::{Carrier, Destination, Syslog};
use crate::limits::{SYSLOG_AGAIN_S, SYSLOG_WAIT_S};
use crate::net::syslog;
use crate::os::{clock, udp};
use crate::tasks::resolve::Families;
use crate::tasks::station::Station;
use crate::tasks::timer::{by, sleep_until};

/// What became of the lines.
#[derive(Debug, Default)]
pub struct Meter {
    pub sent: Cell<u64>,
    /// Lines that left the ring before they could be sent.
    pub lost: Cell<u64>,
    /// Why none can be sent now.
    pub trouble: RefCell<Option<String>>,
    /// The number of the next line.
    next: Cell<u64>,
}

/// The way to the collector.
enum Wire {
    Udp(Async<UdpSocket>),
    Tcp(Async<TcpStream>),
}

/// Sends lines as long as the daemon runs, and somebody is to get them.
pub async fn run(station: Rc<Station>) {
    loop {
        let target = station.config().machine.syslog.clone();
        let other = async {
            loop {
                let changed = station.settings.changed();
                if station.config().machine.syslog != target {
                    return;
                }
                changed.await;
            }
        };
        let work = async {
            match &target {
                Some(target) => keep_sending(&station, target).await,
                None => future::pending().await,
            }
        };
        future::or(other, work).await;
        station.syslog.trouble.take();
    }
}

async fn keep_sending(station: &Station, target: &Syslog) {
    loop {
        let Err(error) = send_lines(station, target).await else { return };
        let why = format!("the log does not reach {}: {error}", told(&target.host.host));
        if station.syslog.trouble.replace(Some(why.clone())).is_none() {
            log::warn!("{why}");
        }
        sleep_until(clock::mono() + Duration::from_secs(SYSLOG_AGAIN_S)).await;
    }
}

fn told(host: &Destination) -> String {
    match host {
        Destination::Name(name) => name.to_string(),
        Destination::Ip(ip) => ip.to_string(),
    }
}

/// Sends until something fails.
async fn send_lines(station: &Station, target: &Syslog) -> io::Result<()> {
    let mut wire = open(station, target).await?;
    let meter = &station.syslog;
    loop {
        let fresh = station.log.fresh();
        let Some((number, line)) = station.log.from(meter.next.get()) else {
            fresh.await;
            continue;
        };
        let config = station.config();
        let name = config.machine.name.as_ref().map(|name| name.as_str());
        send(&mut wire, &syslog::message(line.time, line.level, name, &line.text)).await?;
        let lost = number - meter.next.replace(number + 1);
        meter.lost.set(meter.lost.get() + lost);
        meter.sent.set(meter.sent.get() + 1);
        if let Some(why) = meter.trouble.take() {
            log::info!("the log is sent again; {} lines were lost so far ({why})", meter.lost.get());
        }
    }
}

async fn open(station: &Station, target: &Syslog) -> io::Result<Wire> {
    let ip = match &target.host.host {
        Destination::Ip(ip) => *ip,
        Destination::Name(name) => {
            let found = station.resolver.addresses(name, Families::Both).await;
            *found.map_err(|e| io::Error::other(e.to_string()))?.first().ok_or(io::ErrorKind::NotFound)?
        }
    };
    let at = SocketAddr::new(ip, target.host.port);
    match target.carrier {
        Carrier::Udp => Ok(Wire::Udp(Async::new(udp::connected_to(at)?)?)),
        Carrier::Tcp => in_time(Async::<TcpStream>::connect(at)).await.map(Wire::Tcp),
    }
}

async fn send(wire: &mut Wire, message: &str) -> io::Result<()> {
    match wire {
        Wire::Udp(socket) => in_time(socket.send(message.as_bytes())).await.map(|_| ()),
        Wire::Tcp(stream) => in_time(stream.write_all(syslog::counted(message).as_bytes())).await,
    }
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || Err(io::ErrorKind::TimedOut.into());
    by(clock::mono() + Duration::from_secs(SYSLOG_WAIT_S), work).await.unwrap_or_else(late)
}
