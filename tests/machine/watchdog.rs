//! A program that stands still is ended by the machine's watchdog, whatever it stands still in.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::lab::{BCD, Dialogue};
use crate::relays::message;
use crate::rig::{Debugger, Site, server_hangs};

/// The most that may pass until the box begins anew.
const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn a_loop_that_spins_is_ended_within_a_minute() {
    let Some(site) = Site::long("pc") else { return };
    let socket = site.dir().join("gdb");
    let gdb = format!("unix:{},server=on,wait=off", socket.display());
    let mut machine = site.power_on(site.disk("spin.img"), &["--", "-gdb", &gdb]);
    machine.configure(&[]);
    keep_busy(&site);
    let mut debugger = Debugger::connect(&socket);
    debugger.make_the_program_spin(8);
    let since = Instant::now();
    debugger.go_on();
    machine.greeted();
    // From the hang to the greeting of the next start, which is later than the reset.
    assert!(since.elapsed() < WITHIN + Duration::from_secs(15), "{:?}", since.elapsed());
    eprintln!("greeted again {:.1} s after the loop began to spin", since.elapsed().as_secs_f32());
    machine.takes_mail(&site.pc);
}

/// A client that says NOOP for as long as somebody answers, so that the program has something to do.
fn keep_busy(site: &Site) {
    let mut stream = site.pc.within(|| TcpStream::connect((BCD, 25))).unwrap();
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while stream.write_all(b"NOOP\r\n").is_ok() && stream.read(&mut piece).is_ok_and(|n| n > 0) {}
    });
}

#[test]
fn a_disk_that_answers_nothing_has_the_box_begin_anew() {
    let Some(site) = Site::long("pc") else { return };
    let disk = site.journaled_disk("hang.img");
    let mut machine = site.power_on_with(&disk, &[]);
    machine.configure(&[]);
    server_hangs(&disk, true);
    let since = Instant::now();
    // xyz.com is not there, so this one is to be stored.
    let mut dialogue = Dialogue::greeted(&site.pc, BCD, "pc.bcd.com");
    for (line, reply) in [("MAIL FROM:<b1@bcd.com>", "250"), ("RCPT TO:<x1@xyz.com>", "250"), ("DATA", "354")]
    {
        dialogue.ask(line, reply);
    }
    dialogue.text(&message("never acknowledged"));
    machine.awaits_watchdog();
    eprintln!("reset {:.1} s after the disk began to hang", since.elapsed().as_secs_f32());
    server_hangs(&disk, false);
    machine.greeted();
    machine.takes_mail(&site.pc);
}
