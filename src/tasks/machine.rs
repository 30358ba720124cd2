//! The machine's own tasks, where this program is its first process: the watchdog is fed while the loop
//! turns and the flash answers, the power button is heard, and a start that went well is reported to the boot
//! loader. Danger: a slot is confirmed only after a minute of health, or a bad update could never be undone.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use async_io::{Async, Timer};
use event_listener::Event;
use futures_lite::AsyncReadExt;
use smol::LocalExecutor;

use crate::limits::{
    END_SEEN_MS, FIRST_DOOR_WAIT_S, FLUSHER_SILENCE_S_MAX, HEALTH_LATE_S_MAX, HEALTH_LOOK_S, HEALTHY_AFTER_S,
    TRIAL_S_MAX, WATCHDOG_FEED_S,
};
use crate::net::AddressState;
use crate::os::init::{self, End, Machine};
use crate::os::slots::Slot;
use crate::os::watchdog::Watchdog;
use crate::os::{button, clock};
use crate::tasks::addresses;
use crate::tasks::station::Station;
use crate::tasks::timer::by;
use crate::time::Instant;

/// One for the machine, shared by all who may end it.
pub struct Machinist {
    pub machine: Machine,
    watchdog: RefCell<Option<Watchdog>>,
    end: Cell<Option<End>>,
    asked: Event,
    is_updating: Cell<bool>,
    has_opened: Cell<bool>,
    opened: Event,
}

/// The right to write an update; the next may begin when this is dropped.
pub struct UpdateTurn(Rc<Machinist>);

impl Drop for UpdateTurn {
    fn drop(&mut self) {
        self.0.is_updating.set(false);
    }
}

impl Machinist {
    /// Arms the watchdog: whoever hangs from here on is found out.
    pub fn new(machine: Machine) -> Rc<Self> {
        let watchdog = Watchdog::arm().unwrap_or_else(|e| {
            log::error!("watchdog: {e}");
            None
        });
        match &watchdog {
            Some(armed) => log::info!("watchdog: {}, {} s", armed.identity, armed.timeout_s),
            None => log::warn!("there is no watchdog: a program that hangs stays so"),
        }
        Rc::new(Machinist {
            machine,
            watchdog: RefCell::new(watchdog),
            end: Cell::new(None),
            asked: Event::new(),
            is_updating: Cell::new(false),
            has_opened: Cell::new(false),
            opened: Event::new(),
        })
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

    /// Waits until somebody asks for the end, and has seen that he is heard.
    pub async fn ended(&self) {
        loop {
            let asked = self.asked.listen();
            if self.end.get().is_some() {
                break;
            }
            asked.await;
        }
        Timer::after(Duration::from_millis(END_SEEN_MS)).await;
    }

    /// One update at a time; `None` while another is being written.
    pub fn update_turn(self: &Rc<Self>) -> Option<UpdateTurn> {
        (!self.is_updating.replace(true)).then(|| UpdateTurn(self.clone()))
    }

    /// Puts the watchdog's reset off.
    pub fn feed(&self) {
        if let Some(Err(e)) = self.watchdog.borrow_mut().as_mut().map(Watchdog::feed) {
            log::error!("watchdog: {e}");
        }
    }

    /// The first door for mail is open: notes how long that took.
    pub fn door_opened(&self) {
        if !self.has_opened.replace(true) {
            let now = clock::mono();
            log::info!(
                "mail is taken {} ms after the program's start, {} ms after the kernel's",
                now.since(self.machine.began).as_millis(),
                now.since(Instant::default()).as_millis()
            );
            self.opened.notify(usize::MAX);
        }
    }

    /// Waits for the first door, at most [`FIRST_DOOR_WAIT_S`].
    pub async fn first_door(&self) {
        let opened = self.opened.listen();
        if !self.has_opened.get() {
            by(clock::mono() + Duration::from_secs(FIRST_DOOR_WAIT_S), opened).await;
        }
    }

    /// Hears the machine's buttons.
    pub fn hear_buttons(self: &Rc<Self>, executor: &LocalExecutor<'static>) {
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

/// Feeds the watchdog as long as the loop turns and the flash answers, and takes in orphans that have ended.
pub async fn keep_alive(station: Rc<Station>, machinist: Rc<Machinist>) {
    // When the flusher was asked for a sign of life that it has not given yet.
    let asked: Rc<Cell<Option<Instant>>> = Rc::default();
    loop {
        let now = clock::mono();
        match asked.get() {
            None => {
                asked.set(Some(now));
                let (asked, asker) = (asked.clone(), station.clone());
                station.spawn(async move {
                    asker.blocking(|| ()).await;
                    asked.set(None);
                });
                machinist.feed();
            }
            Some(at) if now.since(at) < Duration::from_secs(FLUSHER_SILENCE_S_MAX) => machinist.feed(),
            Some(_) => log::error!(
                "the flash has not answered for {FLUSHER_SILENCE_S_MAX} s: the watchdog starts the box anew"
            ),
        }
        init::reap();
        Timer::after(Duration::from_secs(WATCHDOG_FEED_S)).await;
    }
}

/// After a minute of health the start counts as a good one, and its slot is the one to start from now on. A
/// slot on trial that does not get well in time is left for the good one.
pub async fn confirm(station: Rc<Station>, machinist: Rc<Machinist>) {
    let Some(running) = machinist.machine.running() else { return };
    let is_trial = is_on_trial(&station, &machinist, running).await;
    let began = clock::mono();
    let mut well_since = began;
    let mut ailment = None;
    loop {
        let due = clock::mono() + Duration::from_secs(HEALTH_LOOK_S);
        Timer::after(Duration::from_secs(HEALTH_LOOK_S)).await;
        let now = clock::mono();
        let mut found = ailing(&station, now.since(due), is_trial);
        if found.is_none() && now.since(well_since) >= Duration::from_secs(HEALTHY_AFTER_S) {
            match confirmed(&station, &machinist, running).await {
                Ok(()) => return log::info!("slot {running} is healthy and will be started from now on"),
                Err(e) => found = Some(format!("it could not be confirmed: {e}")),
            }
        }
        if let Some(why) = &found {
            well_since = now;
            if found != ailment {
                log::warn!("slot {running} is not healthy yet: {why}");
            }
            if is_trial && now.since(began) >= Duration::from_secs(TRIAL_S_MAX) {
                log::error!("slot {running} was on trial and did not get healthy: back to the other one");
                return machinist.ask_for(End::Reboot);
            }
        }
        ailment = found;
    }
}

async fn is_on_trial(station: &Rc<Station>, machinist: &Rc<Machinist>, running: Slot) -> bool {
    let machine = machinist.machine.clone();
    let slots = station.blocking(move || machine.slots()).await;
    slots.is_some_and(|slots| slots.is_ok_and(|slots| slots.good != running))
}

/// What keeps this start from being a good one. A cable that is pulled says nothing against the slot that has
/// been good so far; a new one must show that it knows the NIC.
fn ailing(station: &Rc<Station>, late: Duration, is_trial: bool) -> Option<String> {
    if late > Duration::from_secs(HEALTH_LATE_S_MAX) {
        return Some(format!("its event loop stood still for {} s", late.as_secs()));
    }
    if !is_trial {
        return None;
    }
    let config = station.config();
    let pending = addresses::ours(&config).find_map(|ip| match station.nic.state(ip) {
        AddressState::Up => None,
        AddressState::Pending(why) => Some(format!("{ip} is pending: {why}")),
    });
    let doors = station.doors.borrow();
    pending.or_else(|| doors.shut().next().map(|(at, why)| format!("not listening on {at}: {why}")))
}

/// The last proof of health is that the data partition takes a file; then the boot loader is told.
async fn confirmed(station: &Rc<Station>, machinist: &Rc<Machinist>, running: Slot) -> io::Result<()> {
    let machine = machinist.machine.clone();
    let job = move || {
        init::prove_data()?;
        machine.change_slots(|slots| slots.confirmed(running))
    };
    station.blocking(job).await.unwrap_or_else(|| Err(io::Error::other("the box is stopping")))
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
