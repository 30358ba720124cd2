//! The keeper of the clock: asks the time servers, carries out what `ntp::keeper` decides, and writes the time
//! down now and then for a start without a battery. Sources: RFC 5905, RFC 4330.
//! Danger: on somebody's Linux the clock is not ours; it is set only on the appliance, or where asked.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use async_io::Async;
use futures_lite::future;

use crate::config::argument::{Argument, TimeHost};
use crate::config::{ClockDuty, Config, Destination, HostPort};
use crate::limits::{
    CLOCK_SAVE_EVERY_S, CLOCK_STEP_NOTED_S, NTP_REPLY_WAIT_S, NTP_RESOLVE_WAIT_S, NTP_SERVERS_MAX,
};
use crate::ntp::packet::{self, Exchange};
use crate::ntp::{ClockKeeper, Nanos, Order, Sample, Step, Steps, Trust, agree, keeper, steps, told};
use crate::os::{self, clock, entropy, files};
use crate::prng::Prng;
use crate::relay::{QueueAction, Target};
use crate::tasks::resolve::{Families, all};
use crate::tasks::station::Station;
use crate::tasks::timer::{by, sleep_until};
use crate::time::{BUILT, Instant, WallTime};

/// Whom an appliance asks when nobody is named: four that serve everybody and depend on nobody in common.
const SERVERS_USUAL: [&str; 4] = ["time.cloudflare.com", "ptbtime1.ptb.de", "time.nist.gov", "ntp.se"];

/// The daemon's clock. [`run`] and [`run_saving`] are to be spawned once.
pub struct Timekeeper {
    pub keeper: RefCell<ClockKeeper>,
    pub servers: RefCell<Vec<Server>>,
    pub steps: RefCell<Steps>,
    /// When the servers are asked next.
    pub next: Cell<Instant>,
    file: PathBuf,
    /// Since when, by its own reading, the clock has run without a step.
    since: Cell<WallTime>,
    appliance: bool,
}

/// What the last poll heard of one server.
#[derive(Clone, Debug)]
pub struct Server {
    pub host: String,
    pub address: Option<IpAddr>,
    pub heard: Result<Sample, String>,
    /// Whether it belongs to the majority.
    pub agrees: bool,
}

impl Timekeeper {
    /// Looks at the clock as the machine has it, and puts one that cannot be right to the latest time that is
    /// known. `appliance`: this process is the machine's first one.
    pub fn begin(data: &Path, config: &Config, appliance: bool) -> Self {
        let file = data.join("clock");
        let text = files::read(&file).map(|text| String::from_utf8_lossy(&text).into_owned());
        let (known, steps) = steps::parse(&text.unwrap_or_default());
        let trust = match keeps(config, appliance) {
            true => begun(known),
            false => Trust::Host,
        };
        Timekeeper {
            keeper: RefCell::new(ClockKeeper::new(trust)),
            servers: RefCell::default(),
            steps: RefCell::new(steps),
            next: Cell::new(Instant::NEVER),
            file,
            since: Cell::new(clock::wall()),
            appliance,
        }
    }

    /// The servers that the configuration asks for.
    fn hosts(&self, config: &Config) -> Vec<HostPort> {
        match &config.machine.timeservers[..] {
            [] if keeps(config, self.appliance) => {
                SERVERS_USUAL.iter().filter_map(|name| TimeHost::read(name).ok()).map(|host| host.0).collect()
            }
            named => named.to_vec(),
        }
    }

    /// What is to be written down; nothing while the time is not known.
    fn to_save(&self) -> Option<WallTime> {
        matches!(self.keeper.borrow().trust(), Trust::Set(_)).then(clock::wall)
    }

    /// Writes the time down for the next start, into the place of the one before.
    pub fn save(&self) {
        let Some(known) = self.to_save() else { return };
        let written = files::overwrite(&self.file, steps::known_line(known).as_bytes())
            .or_else(|_| self.save_whole(known));
        if let Err(error) = written {
            log::warn!("the time is not written down: {}: {error}", self.file.display());
        }
    }

    fn save_whole(&self, known: WallTime) -> std::io::Result<()> {
        files::replace(&self.file, steps::print(known, &self.steps.borrow()).as_bytes())
    }
}

/// An appliance keeps its clock, an ordinary Linux has somebody else for it; a statement may say otherwise.
fn keeps(config: &Config, appliance: bool) -> bool {
    config.machine.clock.map_or(appliance, |duty| duty == ClockDuty::Keep)
}

fn begun(known: Option<WallTime>) -> Trust {
    let (start, trust) = keeper::begin(clock::wall(), known, BUILT);
    if let (Some(start), Trust::Unset(from)) = (start, &trust) {
        match clock::set(start.unix_millis() as Nanos * 1_000_000) {
            Ok(()) => log::warn!("the clock begins from {from}, {}", start.rfc3339()),
            Err(error) => log::error!("the clock cannot be set: {error}"),
        }
    }
    trust
}

/// Keeps the clock as long as the daemon runs, and there is somebody to ask.
pub async fn run(station: Rc<Station>) {
    loop {
        let config = station.config();
        let wish = |config: &Config| (keeps(config, station.clock.appliance), station.clock.hosts(config));
        let (keeps, hosts) = wish(&config);
        station.clock.keeper.borrow_mut().take_duty(keeps);
        let other = async {
            loop {
                let changed = station.settings.changed();
                if wish(&station.config()) != (keeps, hosts.clone()) {
                    return;
                }
                changed.await;
            }
        };
        let work = async {
            match hosts.is_empty() {
                true => future::pending().await,
                false => keep_asking(&station, &hosts).await,
            }
        };
        future::or(other, work).await;
        station.clock.servers.take();
        station.clock.next.set(Instant::NEVER);
    }
}

/// Writes the time down once an hour.
pub async fn run_saving(station: Rc<Station>) {
    loop {
        sleep_until(clock::mono() + Duration::from_secs(CLOCK_SAVE_EVERY_S)).await;
        station.clock.save_in_turn(&station).await;
    }
}

impl Timekeeper {
    /// The same as [`Timekeeper::save`], on the thread that waits for flash.
    async fn save_in_turn(&self, station: &Station) {
        let Some(known) = self.to_save() else { return };
        let (file, text) = (self.file.clone(), steps::print(known, &self.steps.borrow()));
        let write = move || {
            let line = steps::known_line(known);
            files::overwrite(&file, line.as_bytes()).or_else(|_| files::replace(&file, text.as_bytes()))
        };
        if let Some(Err(error)) = station.blocking(write).await {
            log::warn!("the time is not written down: {}: {error}", self.file.display());
        }
    }
}

async fn keep_asking(station: &Rc<Station>, hosts: &[HostPort]) {
    let mut prng = Prng::from_seed(entropy::u64());
    loop {
        poll(station, hosts).await;
        let wait = prng.jitter(station.clock.keeper.borrow().wait());
        let next = clock::mono() + wait;
        station.clock.next.set(next);
        sleep_until(next).await;
    }
}

async fn poll(station: &Rc<Station>, hosts: &[HostPort]) {
    let until = clock::mono() + Duration::from_secs(NTP_RESOLVE_WAIT_S);
    let names = all(hosts.iter().map(|host| targets(station, host, hosts.len(), until))).await;
    let asked = names.into_iter().flatten().take(NTP_SERVERS_MAX).map(async |(host, at)| match at {
        Ok(at) => Server { host, address: Some(at.ip()), heard: ask(at).await, agrees: false },
        Err(why) => Server { host, address: None, heard: Err(why), agrees: false },
    });
    let mut servers: Vec<Server> = all(asked).await;
    let places: Vec<usize> = (0..servers.len()).filter(|place| servers[*place].heard.is_ok()).collect();
    let samples: Vec<Sample> = servers.iter().filter_map(|server| server.heard.clone().ok()).collect();
    let result = agree(&samples, servers.len());
    for member in result.iter().flat_map(|agreement| &agreement.members) {
        servers[places[*member]].agrees = true;
    }
    *station.clock.servers.borrow_mut() = servers;
    let before = station.clock.keeper.borrow().trouble().map(str::to_owned);
    let order = station.clock.keeper.borrow_mut().heard(clock::now(), result);
    carry_out(station, order);
    let trouble = station.clock.keeper.borrow().trouble().map(str::to_owned);
    if let Some(why) = trouble.filter(|why| before.as_ref() != Some(why)) {
        log::warn!("clock: {why}");
    }
}

/// Steps or slews, and lets everybody know who must.
fn carry_out(station: &Rc<Station>, order: Order) {
    let unset = station.clock.keeper.borrow().judges().is_err();
    let done = match order {
        Order::Leave => return,
        Order::Slew(offset) => clock::slew(offset).map_err(|e| e.to_string()),
        Order::Step(offset) => step(station, offset),
    };
    station.clock.keeper.borrow_mut().done(order, done);
    if unset && station.clock.keeper.borrow().judges().is_ok() {
        log::info!("the clock is set");
        station.clock.save();
        // What waited for the clock need not wait for its turn.
        station.office.borrow_mut().operate(clock::now(), QueueAction::Retry, &Target::All);
        station.wake_senders();
    }
}

fn step(station: &Rc<Station>, offset: Nanos) -> Result<(), String> {
    let before = clock::wall();
    let goal = clock::wall_nanos().saturating_add(offset);
    clock::set(goal).map_err(|e| e.to_string())?;
    let after = clock::wall();
    log::warn!("the clock was stepped by {}, from {} to {}", told(offset), before.rfc3339(), after.rfc3339());
    let step = Step { from: station.clock.since.replace(after), until: before, was: after };
    if offset.unsigned_abs() >= CLOCK_STEP_NOTED_S * 1_000_000_000 {
        station.clock.steps.borrow_mut().add(step);
        station.office.borrow_mut().clock_stepped(step);
        if let Err(error) = station.clock.save_whole(after) {
            log::warn!("the step of the clock is not written down: {error}");
        }
    }
    Ok(())
}

/// The operator sets the clock.
///
/// # Errors
/// Why not, in words.
pub fn set_by_hand(station: &Rc<Station>, time: WallTime) -> Result<(), String> {
    if !station.clock.keeper.borrow().keeps() {
        return Err(
            "somebody else keeps this machine's clock; `box clock keep` would make it ours".to_owned()
        );
    }
    step(
        station,
        (time.unix_millis() as Nanos).saturating_mul(1_000_000).saturating_sub(clock::wall_nanos()),
    )?;
    station.clock.keeper.borrow_mut().set_by_hand();
    station.clock.save();
    Ok(())
}

type Found = (String, Result<SocketAddr, String>);

/// The servers behind a name: one, or several where it is the only name, as a pool's is. Addresses of one
/// family, so that no server counts twice; the other family after failures.
async fn targets(station: &Station, host: &HostPort, names: usize, until: Instant) -> Vec<Found> {
    let told = TimeHost(host.clone()).write();
    let name = match &host.host {
        Destination::Ip(ip) => return vec![(told, Ok(SocketAddr::new(*ip, host.port)))],
        Destination::Name(name) => name,
    };
    let found = match by(until, station.resolver.addresses(name, Families::Both)).await {
        Some(Ok(found)) => found,
        Some(Err(error)) => return vec![(told, Err(error.to_string()))],
        None => return vec![(told, Err(format!("{name} is not resolved yet")))],
    };
    let first = station.clock.keeper.borrow().prefers_ipv4();
    let (mut mine, others): (Vec<IpAddr>, Vec<IpAddr>) =
        found.into_iter().partition(|ip| ip.is_ipv4() == first);
    if mine.is_empty() {
        mine = others;
    }
    mine.truncate(if names == 1 { NTP_SERVERS_MAX } else { 1 });
    mine.into_iter().map(|ip| (told.clone(), Ok(SocketAddr::new(ip, host.port)))).collect()
}

async fn ask(server: SocketAddr) -> Result<Sample, String> {
    let until = clock::mono() + Duration::from_secs(NTP_REPLY_WAIT_S);
    let (sent, started, reply) = match by(until, exchange(server)).await {
        None => return Err("no reply".to_owned()),
        Some(result) => result.map_err(|e| e.to_string())?,
    };
    packet::read(&reply, Exchange { sent, took: clock::mono().since(started) }, BUILT)
}

/// Sends a request and waits for its reply; what else comes is nothing.
async fn exchange(server: SocketAddr) -> std::io::Result<(Nanos, Instant, Vec<u8>)> {
    let socket = Async::new(os::udp::connected_to(server)?)?;
    let nonce = entropy::u64();
    let (sent, started) = (clock::wall_nanos(), clock::mono());
    socket.send(&packet::request(nonce)).await?;
    let mut reply = vec![0; 2 * packet::PACKET_BYTES];
    loop {
        future::yield_now().await;
        let n = socket.recv(&mut reply).await?;
        if packet::answers(&reply[..n], nonce) {
            reply.truncate(n);
            return Ok((sent, started, reply));
        }
    }
}
