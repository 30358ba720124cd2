//! Changes of the configuration that could lock its owner out, and do not; and how everything is undone.

use std::time::Duration;

use crate::lab::{ABC, BCD, Dialogue};
use crate::relays::hand_over;
use crate::rig::Site;

#[test]
fn a_commit_that_cuts_the_network_off_undoes_itself() {
    let Some(site) = Site::new("pc") else { return };
    let mut machine = site.power_on(site.disk("confirm.img"), &[]);
    machine.configure(&[]);
    machine.say("delete domain bcd.com address");
    machine.say("set domain bcd.com address 198.51.100.70/24");
    let answer = machine.say("commit confirm 1");
    assert!(answer.contains("on trial"), "{answer}");
    machine.say_until("show interface --json", "198.51.100.70");
    let heard = site.pc.within(|| {
        let address = format!("{BCD}:25").parse().unwrap();
        std::net::TcpStream::connect_timeout(&address, Duration::from_secs(3)).map(drop)
    });
    assert!(heard.is_err(), "the old address is still there");
    // Nobody confirms, and nobody touches the console.
    machine.takes_mail(&site.pc);
    Dialogue::greeted(&site.pc, BCD, "pc.bcd.com").quit();
    let config = machine.say("show config");
    assert!(config.contains(&format!("address {BCD}/24")) && !config.contains("198.51.100"), "{config}");
}

#[test]
fn a_commit_on_trial_does_not_outlive_a_power_cut() {
    let Some(site) = Site::long("pc") else { return };
    let disk = site.disk("trial.img");
    let mut machine = site.power_on(&disk, &[]);
    machine.configure(&[]);
    machine.say("delete domain bcd.com address");
    machine.say("set domain bcd.com address 198.51.100.70/24");
    machine.say("commit confirm 600");
    machine.say_until("show interface --json", "198.51.100.70");
    machine.cut();
    let mut machine = site.power_on(&disk, &[]);
    machine.greeted();
    machine.takes_mail(&site.pc);
    let config = machine.say("show config");
    assert!(config.contains(&format!("address {BCD}/24")) && !config.contains("198.51.100"), "{config}");
}

#[test]
fn a_factory_reset_makes_the_box_as_new() {
    let Some(site) = Site::new("pc") else { return };
    let mut machine = site.power_on(site.disk("reset.img"), &[]);
    machine.configure(&[]);
    assert!(hand_over(&site, "gone with the reset").starts_with("250"));
    machine.type_keys(b"factory-reset\r");
    machine.expect("Write yes if that is meant: ");
    machine.type_keys(b"yes\r");
    machine.expect("has no password yet");
    machine.greeted();
    let config = machine.say("show config");
    assert!(!config.contains("bcd.com") && !config.contains(ABC), "{config}");
    assert!(!machine.say("show queue").contains("x1@xyz.com"));
    // As new is as it may be set up again.
    machine.set_up(&[]);
    assert!(machine.takes_mail(&site.pc) > Duration::ZERO);
}
