//! The console's commands about the machine itself. Those that need one say so where the daemon is an
//! ordinary program on somebody's Linux.

use std::rc::Rc;

use crate::console::machine::{InterfaceReport, Order, SlotsReport};
use crate::console::report::Report;
use crate::net::AddressState;
use crate::os::init::End;
use crate::os::slots::Slot;
use crate::tasks::machine::Machinist;
use crate::tasks::station::Station;
use crate::tasks::update::{self, Source};

/// Carries out one of them.
///
/// # Errors
/// Why it cannot be done, in words.
pub async fn carry_out(station: &Rc<Station>, order: Order) -> Result<Report, String> {
    match order {
        Order::ShowInterface => Ok(Report::Interface(interface(station))),
        Order::ShowSlots => {
            let machinist = machinist(station)?;
            Ok(Report::Slots(slots(&machinist)?))
        }
        Order::Update(from) => {
            let machine = machinist(station)?.machine.clone();
            let slot = update::run(station, machine, Source::parse(&from)?).await?;
            log::info!("slot {slot} holds an update");
            Ok(Report::Done(format!(
                "slot {slot} holds the update; `reboot` starts it on trial, and it stays when it has been \
                 healthy for a minute"
            )))
        }
        Order::Reboot => end(station, End::Reboot, "the box starts anew"),
        Order::PowerOff => end(station, End::PowerOff, "the box goes off"),
    }
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

fn slots(machinist: &Machinist) -> Result<SlotsReport, String> {
    let slots = machinist.machine.slots().map_err(|e| format!("the slots cannot be read: {e}"))?;
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
