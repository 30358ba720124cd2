//! Updates that are signed and bad: their program dies, hangs, or their kernel is none. The old slot comes back
//! by itself. Source: `board/README.md`, a start.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rig::{Part, Site, parcel_of, serve_http, slots_on};

/// A program for the machine that is started instead of stagepost.
fn program(site: &Site, name: &str, text: &str) -> PathBuf {
    let (source, program) = (site.dir().join(format!("{name}.c")), site.dir().join(name));
    std::fs::write(&source, text).unwrap();
    let built = Command::new("cc").args(["-static", "-Os", "-o"]).arg(&program).arg(&source).status();
    assert!(built.unwrap().success());
    program
}

/// Its end is the kernel's.
const DIES: &str = "int main(void) { return 1; }\n";
/// It arms every watchdog and does nothing more.
const HANGS: &str = r#"
#include <fcntl.h>
#include <unistd.h>
int main(void) {
    open("/dev/watchdog0", O_WRONLY);
    open("/dev/watchdog1", O_WRONLY);
    for (;;) pause();
}
"#;

/// Updates a configured box with this program, starts that on trial, and waits for the old one.
fn comes_back_from(site: &Site, name: &str, text: &str) {
    let parcel = parcel_of("pc", &program(site, name, text), &site.dir().join("bad.update"));
    let disk = site.disk("bad.img");
    let mut machine = site.power_on(&disk, &[]);
    machine.configure(&[]);
    let url = serve_http(&site.pc, vec![("bad", parcel)]);
    let answer = machine.say(&format!("update {url}/bad"));
    assert!(answer.contains("slot B holds the update"), "{answer}");
    machine.type_keys(b"reboot\r");
    machine.greeted();
    machine.takes_mail(&site.pc);
    let slots = machine.say("show slots --json");
    assert!(slots.contains(r#""running":"A""#) && slots.contains(r#""next":null"#), "{slots}");
    assert!(machine.say("show config").contains("domain bcd.com address"));
}

#[test]
fn a_program_that_dies_gives_way_to_the_old_one() {
    let Some(site) = Site::new("pc") else { return };
    comes_back_from(&site, "dies", DIES);
}

#[test]
fn a_program_that_hangs_is_ended_by_the_watchdog() {
    let Some(site) = Site::long("pc") else { return };
    comes_back_from(&site, "hangs", HANGS);
}

#[test]
fn a_slot_without_a_kernel_is_passed_over() {
    let Some(site) = Site::long("pc") else { return };
    let disk = site.disk("empty.img");
    for garbage in [vec![0; 1 << 20], vec![0xff; 1 << 20], b"hsqs".repeat(1 << 18)] {
        Part::of(&disk, 2).write(&disk, &garbage);
        let mut machine = site.power_on(&disk, &[]);
        machine.greeted();
        let slots = machine.say("show slots --json");
        assert!(slots.contains(r#""running":"B""#), "{slots}");
    }
}

#[test]
fn a_good_slot_that_dies_again_and_again_gives_way_to_the_other() {
    let Some(site) = Site::long("pc") else { return };
    let disk = site.disk("loop.img");
    let parcel = parcel_of("pc", &program(&site, "dies", DIES), &site.dir().join("bad.update"));
    Part::of(&disk, 2).write(&disk, image_of(&parcel));
    let mut machine = site.power_on(&disk, &[]);
    machine.greeted();
    let slots = machine.say("show slots --json");
    assert!(slots.contains(r#""running":"B""#), "{slots}");
    machine.say_until("show slots --json", r#""good":"B""#);
    machine.cut();
    assert_eq!(slots_on(&disk).good, "B");
}

/// What follows the head's five lines.
fn image_of(parcel: &[u8]) -> &[u8] {
    let ends: Vec<usize> = (0..parcel.len()).filter(|at| parcel[*at] == b'\n').take(5).collect();
    &parcel[ends[4] + 1..]
}

#[test]
fn a_boot_partition_that_cannot_be_read_costs_no_mail() {
    let Some(site) = Site::long("pc") else { return };
    let disk = site.disk("boot.img");
    let mut machine = site.power_on(&disk, &[]);
    machine.configure(&[]);
    machine.cut();
    damage_boot_partition(&disk);
    let mut machine = site.power_on(&disk, &["--direct"]);
    machine.greeted();
    machine.takes_mail(&site.pc);
    let answer = machine.say("show slots");
    assert!(answer.contains("cannot be read"), "{answer}");
}

fn damage_boot_partition(disk: &Path) {
    Part::of(disk, 1).write(disk, &vec![0xff; 1 << 16]);
}
