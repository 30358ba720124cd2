//! The box's whole purpose, from power-on to delivered mail: what its owner does, and what the world sees.

use std::time::Duration;

use crate::lab::peers::Mta;
use crate::lab::{ABC, BCD, DNS, Dialogue};
use crate::rig::Site;

/// A message of b1@bcd.com to xyz.com.
pub fn message(subject: &str) -> String {
    format!("From: <b1@bcd.com>\nTo: <x1@xyz.com>\nSubject: {subject}\n\nThis message is a test. The end.\n")
}

/// Hands a message over from the PC; the reply to its final dot.
#[track_caller]
pub fn hand_over(site: &Site, subject: &str) -> String {
    let mut dialogue = Dialogue::greeted(&site.pc, BCD, "pc.bcd.com");
    let reply = dialogue.hand_over("b1@bcd.com", &["x1@xyz.com"], &message(subject));
    dialogue.quit();
    reply
}

#[test]
fn a_new_box_is_configured_over_serial_and_relays_to_a_real_host() {
    let Some(site) = Site::new("pc") else { return };
    relays_on(&site, &[]);
}

/// From a fresh disk to a message in a real host's mailbox, and switched off by its power button.
pub fn relays_on(site: &Site, options: &[&str]) {
    let postfix = Mta::postfix(&site.remote, "xyz.com", DNS);
    let mut machine = site.power_on(site.disk("relays.img"), options);
    machine.configure(&[]);
    let reply = hand_over(site, "from the box");
    assert!(reply.starts_with("250"), "{reply}");
    let received = postfix.message("from the box").received();
    assert!(received.contains(&postfix.clause_from("bcd.com", "bcd.com", BCD)), "{received}");
    assert!(!received.contains(ABC) && !received.contains("abc.com"), "{received}");
    let slots = machine.say("show slots --json");
    assert!(slots.contains(r#""running":"A""#) && slots.contains(r#""good":"A""#), "{slots}");
    machine.qemu("system_powerdown");
    machine.goes_off();
}

#[test]
fn garbage_on_the_serial_line_costs_nothing() {
    let Some(site) = Site::long("pc") else { return };
    let mut machine = site.power_on(site.disk("garbage.img"), &[]);
    machine.configure(&[]);
    let garbage: Vec<u8> = (0..10_000_u32).map(|n| (n * 7 + n / 251) as u8).filter(|b| *b != 4).collect();
    machine.type_keys(&garbage);
    machine.type_keys(b"\x03\r");
    machine.say_until("show interface", BCD);
    assert!(machine.takes_mail(&site.pc) > Duration::ZERO);
}
