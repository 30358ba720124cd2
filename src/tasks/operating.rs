//! The console's commands about the machine itself. Those that need one say so where the daemon is an
//! ordinary program on somebody's Linux.

use std::io;
use std::rc::Rc;

use crate::config::DomainConfig;
use crate::console::clock::{ClockReport, Mark, ServerReport};
use crate::console::machine::{AddressLine, InterfaceReport, LeaseLine, Order, RoadLine, SlotsReport};
use crate::console::report::Report;
use crate::net::alias_plan::roads;
use crate::net::conflict::mac_text;
use crate::net::{AddressState, Road, Wanted};
use crate::ntp::{Trust, told};
use crate::os;
use crate::os::init::End;
use crate::os::slots::Slot;
use crate::tasks::clock;
use crate::tasks::machine::Machinist;
use crate::tasks::station::Station;
use crate::tasks::talk::Talk;
use crate::tasks::update::{self, Source};
use crate::time::Instant;

/// Carries out one of them. The inner error is why it cannot be done, in words.
///
/// # Errors
/// Those of talking to the user.
pub async fn carry_out(
    station: &Rc<Station>,
    talk: &mut Talk,
    order: Order,
) -> io::Result<Result<Report, String>> {
    Ok(match order {
        Order::ShowInterface => Ok(Report::Interface(interface(station))),
        Order::ShowClock => Ok(Report::Clock(clock_report(station))),
        Order::SetClock(time) => clock::set_by_hand(station, time)
            .map(|()| Report::Done(format!("the clock is {}", os::clock::wall().rfc3339()))),
        Order::ShowSlots => slots(station).await.map(Report::Slots),
        Order::Update(from) => match (machinist(station), Source::parse(&from)) {
            (Ok(machinist), Ok(source)) => update::run(station, &machinist, talk, source).await?.map(updated),
            (Err(why), _) | (_, Err(why)) => Err(why),
        },
        Order::Reboot => end(station, End::Reboot, "the box starts anew"),
        Order::PowerOff => end(station, End::PowerOff, "the box goes off"),
    })
}

fn updated(slot: Slot) -> Report {
    log::info!("slot {slot} holds an update");
    Report::Done(format!(
        "slot {slot} holds the update; `reboot` starts it on trial, and it stays when it has been healthy \
         for a minute"
    ))
}

fn machinist(station: &Station) -> Result<Rc<Machinist>, String> {
    let none =
        || "stagepost is not this machine's first process: it was started by something else".to_owned();
    station.machinist.clone().ok_or_else(none)
}

fn end(station: &Station, how: End, said: &str) -> Result<Report, String> {
    machinist(station)?.ask_for(how);
    Ok(Report::Done(said.to_owned()))
}

/// The boot partition is read where waiting for the flash holds up nobody.
async fn slots(station: &Rc<Station>) -> Result<SlotsReport, String> {
    let machinist = machinist(station)?;
    let machine = machinist.machine.clone();
    let read = station.blocking(move || machine.slots()).await.ok_or("the box is stopping")?;
    let slots = read.map_err(|e| format!("the slots cannot be read: {e}"))?;
    let name = |slot: Slot| slot.to_string();
    Ok(SlotsReport {
        running: machinist.machine.running().map_or_else(|| "-".to_owned(), name),
        good: slots.good.to_string(),
        next: slots.next.map(name),
        unconfirmed_starts: slots.failed,
    })
}

fn clock_report(station: &Station) -> ClockReport {
    let keeper = station.clock.keeper.borrow();
    let now = os::clock::now();
    let mark = match keeper.trust() {
        Trust::Host => Mark::Left,
        Trust::Unset(from) => Mark::Unset((*from).to_owned()),
        Trust::Set(by) => Mark::Set((*by).to_owned()),
    };
    let server = |server: &clock::Server| ServerReport {
        host: server.host.clone(),
        address: server.address,
        heard: server.heard.as_ref().map(|s| (s.stratum, s.offset, s.distance)).map_err(String::clone),
        agrees: server.agrees,
    };
    let next = station.clock.next.get();
    ClockReport {
        time: now.wall,
        mark,
        offset: keeper.offset().map(|offset| (told(offset), offset)),
        trouble: keeper.trouble().map(str::to_owned),
        next: (next != Instant::NEVER).then(|| next.since(now.mono)),
        servers: station.clock.servers.borrow().iter().map(server).collect(),
    }
}

fn interface(station: &Station) -> InterfaceReport {
    let config = station.config();
    let overview = station.nic.overview();
    let line = |ip| {
        let pending = match station.nic.state(ip) {
            AddressState::Up => None,
            AddressState::Pending(why) => Some(why),
        };
        AddressLine { ip, pending, conflict: overview.conflicts.contains(&ip) }
    };
    let wanted = Wanted::of(&config);
    let road = |domain: &DomainConfig, Road { from, gateway }: Road| {
        let built = overview.roads.iter().find(|road| (road.from, road.gateway) == (from, Some(gateway)));
        RoadLine { domain: domain.name.to_string(), from, gateway, table: built.map(|road| road.table) }
    };
    let roads = config.domains.iter().flat_map(|domain| roads(domain).map(move |found| road(domain, found)));
    InterfaceReport {
        name: config.machine.interface.clone(),
        link: overview.link.as_ref().map(|link| link.carrier),
        mac: overview.link.as_ref().and_then(|link| link.mac).map(mac_text),
        addresses: wanted.addresses.into_iter().map(line).collect(),
        gateways: overview.gateways.clone(),
        lease: station.leasing.doing().map(|doing| lease(station, doing)),
        roads: if config.machine.interface.is_some() { roads.collect() } else { Vec::new() },
    }
}

fn lease(station: &Station, doing: &str) -> LeaseLine {
    let mut line = LeaseLine { doing: doing.to_owned(), ..LeaseLine::default() };
    if let Some(held) = station.leasing.held() {
        line.address = Some(format!("{}/{}", held.lease.address, held.lease.len));
        line.server = Some(held.lease.server.to_string());
        line.left_s = Some(held.ends().since(os::clock::mono()).as_secs());
    }
    line
}
