//! A program that stands still is ended by the machine's watchdog, whether by itself or by its disk.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::lab::BCD;
use crate::rig::{Debugger, Site};

/// The most that may pass until the box begins anew.
const WITHIN: Duration = Duration::from_secs(60);
/// The same where the flash has not answered for a minute first.
const DISK_WITHIN: Duration = Duration::from_secs(120);

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

#[test]
fn a_disk_that_hangs_is_left_by_starting_anew() {
    let Some(site) = Site::long("pc") else { return };
    // Its driver waits for ever; that of a SATA disk resets it, which QEMU cannot do while a write hangs.
    let mut machine = site.power_on(site.disk("hang.img"), &["--virtio"]);
    machine.configure(&[]);
    machine.slow_writes(1);
    machine.type_keys(b"set box name abd.com\rcommit\r");
    let since = Instant::now();
    machine.is_reset();
    eprintln!("reset {:.1} s after the disk began to hang", since.elapsed().as_secs_f32());
    assert!(since.elapsed() < DISK_WITHIN, "{:?}", since.elapsed());
    machine.slow_writes(0);
    machine.greeted();
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
