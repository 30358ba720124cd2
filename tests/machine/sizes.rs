//! What the box takes of a small machine: time to start, memory, and writes to its flash. The figures are
//! printed; the README quotes them.

use std::path::Path;
use std::time::Duration;

use crate::relays::hand_over;
use crate::rig::{Appliance, Site};

/// From power-on to `220`, the kernel started directly, and through the boot loader.
const DIRECT: Duration = Duration::from_secs(4);
const FLASHED: Duration = Duration::from_secs(9);
/// Of which from the program's first instruction.
const PROGRAM_MS: u64 = 500;
/// A machine that does other things beside needs more than one try.
const TRIES: usize = 5;

#[test]
fn a_box_takes_mail_within_seconds_of_power_on() {
    let Some(site) = Site::long("pc") else { return };
    let disk = site.disk("time.img");
    let mut machine = site.power_on(&disk, &[]);
    machine.configure(&[]);
    machine.type_keys(b"poweroff\r");
    machine.goes_off();
    for (way, options, most) in
        [("the kernel directly", &["--direct"][..], DIRECT), ("through the boot loader", &[], FLASHED)]
    {
        let mut best: Option<(Duration, u64)> = None;
        for _ in 0..TRIES {
            let (took, program_ms) = timed(&site, &disk, options);
            eprintln!("{way}: 220 after {:.1} s, {program_ms} ms of it stagepost", took.as_secs_f32());
            best = Some(best.map_or((took, program_ms), |(t, p)| (t.min(took), p.min(program_ms))));
            if best.is_some_and(|(took, program_ms)| took <= most && program_ms <= PROGRAM_MS) {
                break;
            }
        }
        let (took, program_ms) = best.unwrap();
        if is_busy() {
            eprintln!("not judged: this machine is busy with other things");
            continue;
        }
        assert!(took <= most, "{way}: {took:?}, at most {most:?}");
        assert!(program_ms <= PROGRAM_MS, "{way}: {program_ms} ms of stagepost's own");
    }
}

/// More wants to run than there are processors, our own test beside.
fn is_busy() -> bool {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load: f32 = load.split(' ').next().unwrap().parse().unwrap();
    load > 1.5 + std::thread::available_parallelism().map_or(1.0, |n| n.get() as f32)
}

fn timed(site: &Site, disk: &Path, options: &[&str]) -> (Duration, u64) {
    let mut machine = site.power_on(disk, options);
    let took = machine.takes_mail(&site.pc);
    machine.greeted();
    let log = machine.say_until("show log 1000", "mail is taken");
    let told = log.split("mail is taken ").nth(1).unwrap();
    let program_ms = told.split(' ').next().unwrap().parse().unwrap();
    machine.type_keys(b"poweroff\r");
    machine.goes_off();
    (took, program_ms)
}

#[test]
fn a_small_machine_is_large_enough() {
    let Some(site) = Site::long("pc") else { return };
    let disk = site.disk("small.img");
    let mut machine = site.power_on(&disk, &["--memory", "64"]);
    machine.configure(&[]);
    let used = used_kib(&mut machine);
    eprintln!("idle on 64 MB: {used} KiB in use");
    assert!(used <= 24 * 1024, "{used} KiB in use");
    machine.type_keys(b"poweroff\r");
    machine.goes_off();
    let mut machine = site.power_on(&disk, &["--memory", "48"]);
    machine.greeted();
    machine.takes_mail(&site.pc);
    assert!(hand_over(&site, "on 48 MB").starts_with("250"));
}

/// MemTotal minus MemAvailable, as the box itself tells it.
fn used_kib(machine: &mut Appliance) -> u64 {
    let memory = machine.say("show memory --json");
    let number = |key: &str| -> u64 {
        let after =
            memory.split(&format!("\"{key}\":")).nth(1).unwrap_or_else(|| panic!("{key} in {memory}"));
        after.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    };
    (number("machine_bytes") - number("machine_available_bytes")) / 1024
}

#[test]
fn an_idle_box_writes_nothing() {
    let Some(site) = Site::long("pc") else { return };
    let disk = site.journaled_disk("idle.img");
    let mut machine = site.power_on_with(&disk, &[]);
    machine.configure(&[]);
    machine.say_until("show log 1000", "is healthy");
    std::thread::sleep(Duration::from_secs(45));
    // The journal grows with every write and every flush.
    let journal_bytes = || std::fs::metadata(site.dir().join("idle.journal")).unwrap().len();
    let before = journal_bytes();
    std::thread::sleep(Duration::from_secs(180));
    assert_eq!(journal_bytes(), before, "an idle box has written");
}
