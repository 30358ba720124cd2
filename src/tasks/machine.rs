//! The machine's own tasks, where this program is its first process: the watchdog is fed while the loop
//! turns, the power button is heard, and a start that went well is reported to the boot loader.
//! Danger: a slot is confirmed only after a minute of health, or a bad update could never be undone.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer};
use event_listener::Event;
use futures_lite::AsyncReadExt;
use smol::LocalExecutor;

use crate::limits::{HEALTHY_AFTER_S, WATCHDOG_FEED_S};
use crate::os::button;
use crate::os::init::{self, End, Machine};
use crate::os::watchdog::Watchdog;

/// One for the machine, shared by all who may end it.
pub struct Machinist {
    pub machine: Machine,
    end: Cell<Option<End>>,
    asked: Event,
}

impl Machinist {
    pub fn new(machine: Machine) -> Rc<Self> {
        Rc::new(Machinist { machine, end: Cell::new(None), asked: Event::new() })
    }

    /// Asks for the machine's end, in order.
    pub fn ask_for(&self, how: End) {
        self.end.set(Some(how));
        self.asked.notify(usize::MAX);
    }

    /// The end that was asked for.
    pub fn asked_for(&self) -> Option<End> {
        self.end.get()
    }

    /// Waits until somebody asks for the end.
    pub async fn ended(&self) {
        loop {
            let asked = self.asked.listen();
            if self.end.get().is_some() {
                return;
            }
            asked.await;
        }
    }

    /// Starts everything that the machine itself needs.
    pub fn start(self: &Rc<Self>, executor: &LocalExecutor<'static>) {
        executor.spawn(keep_alive()).detach();
        executor.spawn(confirm(self.clone())).detach();
        for device in button::devices() {
            let machinist = self.clone();
            let heard = async move {
                match button_pressed(device).await {
                    Ok(()) => {
                        log::info!("the power button was pressed");
                        machinist.ask_for(End::PowerOff);
                    }
                    Err(e) => log::debug!("input device: {e}"),
                }
            };
            executor.spawn(heard).detach();
        }
    }
}

/// Feeds the watchdog as long as the loop turns, and takes in orphans that have ended.
async fn keep_alive() {
    let mut watchdog = Watchdog::arm().unwrap_or_else(|e| {
        log::error!("watchdog: {e}");
        None
    });
    match &watchdog {
        Some(armed) => log::info!("watchdog: {}, {} s", armed.identity, armed.timeout_s),
        None => log::warn!("there is no watchdog: a program that hangs stays so"),
    }
    loop {
        if let Some(Err(e)) = watchdog.as_mut().map(Watchdog::feed) {
            log::error!("watchdog: {e}");
        }
        init::reap();
        Timer::after(Duration::from_secs(WATCHDOG_FEED_S)).await;
    }
}

/// After a minute the start counts as a good one, and its slot is the one to start from now on.
async fn confirm(machinist: Rc<Machinist>) {
    let Some(running) = machinist.machine.running() else { return };
    Timer::after(Duration::from_secs(HEALTHY_AFTER_S)).await;
    let machine = &machinist.machine;
    let done = machine.slots().and_then(|slots| match slots.confirmed(running) {
        confirmed if confirmed == slots => Ok(()),
        confirmed => machine.set_slots(confirmed),
    });
    match done {
        Ok(()) => log::info!("slot {running} is healthy and will be started from now on"),
        Err(e) => log::error!("slot {running} could not be confirmed: {e}"),
    }
}

async fn button_pressed(device: File) -> io::Result<()> {
    let mut device = Async::new(device)?;
    let mut events = [0; 16 * button::EVENT_BYTES];
    loop {
        let n = device.read(&mut events).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if button::is_power_pressed(&events[..n]) {
            return Ok(());
        }
    }
}
