//! A box whose own clock has no battery: it takes mail at once, is set by its time servers, and begins the next
//! time from what it knew.

use std::time::SystemTime;

use stagepost::time::WallTime;

use crate::lab::peers::chrony;
use crate::lab::{PC, XYZ};
use crate::relays::hand_over;
use crate::rig::{Appliance, Site};

/// A board without a battery begins its life in the last century.
const NO_BATTERY: [&str; 3] = ["--", "-rtc", "base=1999-12-31T23:00:00"];

#[test]
fn a_clock_without_battery_is_set_and_its_time_is_kept() {
    let Some(site) = Site::new("pc") else { return };
    let _servers = [chrony(&site.pc), chrony(&site.remote)];
    let disk = site.disk("clock.img");
    let mut machine = site.power_on(&disk, &NO_BATTERY);
    machine.configure(&[
        &format!("box timeserver {XYZ}"),
        &format!("box timeserver {}", PC),
        "domain bcd.com retry first 1s max 1s expire 5d",
    ]);
    assert!(hand_over(&site, "before the time is known").starts_with("250"));
    machine.say_until("show clock --json", r#""state":"set""#);
    assert!(seconds(&mut machine).abs_diff(now()) < 60, "{}", machine.say("show clock"));
    machine.type_keys(b"poweroff\r");
    machine.goes_off();
    // Nobody tells the time now.
    drop(_servers);
    let mut machine = site.power_on(&disk, &NO_BATTERY);
    machine.greeted();
    let clock = machine.say("show clock --json");
    assert!(clock.contains(r#""state":"unset""#), "{clock}");
    let (began, now) = (seconds(&mut machine), now());
    assert!(began <= now + 60 && now - began < 900, "{began} of {now}");
}

/// The box's time, in seconds since 1970.
fn seconds(machine: &mut Appliance) -> u64 {
    let clock = machine.say("show clock --json");
    let time = clock.split(r#""time":""#).nth(1).and_then(|rest| rest.split('"').next());
    WallTime::parse_rfc3339(time.unwrap_or_else(|| panic!("{clock}"))).unwrap().unix_seconds()
}

/// This machine's.
fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}
