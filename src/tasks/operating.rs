//! The console's commands about the machine itself. Those that need one say so where the daemon is an
//! ordinary program on somebody's Linux.

use std::io;
use std::rc::Rc;

use crate::console::machine::{InterfaceReport, Order, SlotsReport};
use crate::console::report::Report;
use crate::net::AddressState;
use crate::os::init::End;
use crate::os::slots::Slot;
use crate::tasks::machine::Machinist;
use crate::tasks::station::Station;
use crate::tasks::talk::Talk;
use crate::tasks::update::{self, Source};

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

fn interface(station: &Station) -> InterfaceReport {
    let config = station.config();
    let reason = |ip| match station.nic.state(ip) {
        AddressState::Up => None,
        AddressState::Pending(why) => Some(why),
    };
    let wanted = crate::net::Wanted::of(&config).addresses;
    InterfaceReport {
        name: config.machine.interface.clone(),
        addresses: wanted.into_iter().map(|ip| (ip, reason(ip))).collect(),
    }
}
