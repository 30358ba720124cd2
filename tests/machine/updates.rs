//! Updates: what a box refuses, what it takes, and that a good one stays. Source: `src/firmware/parcel.rs`.

use std::path::Path;

use ring::digest::{SHA256, digest};

use crate::lab::power::Unflushed;
use crate::lab::stamp;
use crate::relays::hand_over;
use crate::rig::{Part, Site, firmware, flipped, serve_http, slots_on};

/// The update that `scripts/image` made for this board.
pub fn own_parcel(board: &str) -> Vec<u8> {
    std::fs::read(firmware(board).join(format!("{board}.update"))).unwrap()
}

/// A head that nobody signed for this.
fn forged(parcel: &[u8], from: &str, to: &str) -> Vec<u8> {
    let end = parcel.windows(10).position(|w| w == b"signature ").unwrap();
    let head = String::from_utf8(parcel[..end].to_vec()).unwrap().replace(from, to);
    [head.as_bytes(), &parcel[end..]].concat()
}

#[test]
fn bad_updates_are_refused_and_a_good_one_waits_for_its_trial() {
    let Some(site) = Site::long("pc") else { return };
    let disk = site.disk("refused.img");
    let mut machine = site.power_on(&disk, &[]);
    machine.configure(&[]);
    let good = own_parcel("pc");
    let url = serve_http(
        &site.pc,
        vec![
            ("cut", good[..good.len() / 2].to_vec()),
            ("flipped", flipped(&good)),
            ("board", forged(&good, "board pc\n", "board pd\n")),
            ("bytes", forged(&good, "bytes ", "bytes 1")),
            ("long", [&good[..], b"more"].concat()),
            ("page", b"<html>not found</html>\n".repeat(100)),
            ("good", good),
        ],
    );
    for (name, why) in [
        ("cut", "is cut off"),
        ("flipped", "is damaged"),
        ("board", "not signed with this box's key"),
        ("bytes", "not signed with this box's key"),
        ("long", "longer than it says"),
        ("page", "is no firmware update"),
        ("nothing", "answers 404"),
    ] {
        let answer = machine.say(&format!("update {url}/{name}"));
        assert!(answer.contains(why), "{name}: {answer}");
        let slots = machine.say("show slots --json");
        assert!(slots.contains(r#""next":null"#) && slots.contains(r#""good":"A""#), "{name}: {slots}");
    }
    let answer = machine.say(&format!("update {url}/good"));
    assert!(answer.contains("slot B holds the update"), "{answer}");
    assert!(machine.say("show slots --json").contains(r#""next":"B""#));
    // Another one takes the trial back before it writes.
    let answer = machine.say(&format!("update {url}/flipped"));
    assert!(answer.contains("is damaged"), "{answer}");
    assert!(machine.say("show slots --json").contains(r#""next":null"#));
    machine.cut();
    assert_eq!((slots_on(&disk).good.as_str(), slots_on(&disk).next.as_str()), ("A", ""));
}

#[test]
fn an_update_runs_on_trial_and_is_confirmed_by_itself() {
    let Some(site) = Site::new("pc") else { return };
    let disk = site.disk("trial.img");
    let mut machine = site.power_on(&disk, &[]);
    machine.configure(&[]);
    assert!(hand_over(&site, "kept over the update").starts_with("250"));
    let url = serve_http(&site.pc, vec![("good", own_parcel("pc"))]);
    let answer = machine.say(&format!("update {url}/good"));
    assert!(answer.contains("slot B holds the update"), "{answer}");
    machine.type_keys(b"reboot\r");
    machine.greeted();
    let slots = machine.say("show slots --json");
    assert!(slots.contains(r#""running":"B""#) && slots.contains(r#""good":"A""#), "{slots}");
    // The way back is not written over.
    let answer = machine.say(&format!("update {url}/good"));
    assert!(answer.contains("still on trial"), "{answer}");
    assert!(machine.say("show config").contains("domain bcd.com address"));
    assert!(machine.say("show queue").contains("x1@xyz.com"));
    machine.say_until("show slots --json", r#""good":"B""#);
    machine.cut();
    assert_eq!((slots_on(&disk).good.as_str(), slots_on(&disk).fails.as_str()), ("B", ""));
}

#[test]
fn an_update_comes_over_the_serial_line() {
    let Some(site) = Site::long("pc") else { return };
    let mut machine = site.power_on(site.disk("serial.img"), &[]);
    machine.configure(&[]);
    let parcel = own_parcel("pc");
    let text = data_encoding::BASE64.encode(&parcel);
    let lines = |text: &str| -> String {
        let lines = text.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned() + "\r");
        lines.collect()
    };
    // A line that lost a byte is told at once; the rest does no harm as commands.
    let damaged = lines(&text[..200_000]).replacen(&text[7600..7610], &text[7600..7609], 1);
    machine.type_keys(b"update serial\r");
    machine.expect("then a line with a dot");
    machine.paste(damaged.as_bytes());
    machine.expect("line 101 is damaged");
    machine.type_keys(b".\r");
    machine.expect("> ");
    assert!(machine.say("show slots --json").contains(r#""next":null"#));
    machine.type_keys(b"update serial\r");
    machine.expect("then a line with a dot");
    machine.paste(lines(&text).as_bytes());
    machine.type_keys(b".\r");
    machine.expect("slot B holds the update");
}

#[test]
fn an_update_comes_from_a_usb_stick() {
    let Some(site) = Site::long("pc") else { return };
    let stick = site.dir().join("stick.img");
    std::fs::File::create(&stick).unwrap().set_len(32 << 20).unwrap();
    let update = firmware("pc").join("pc.update");
    let tool = |program: &str, args: &[&str]| {
        let done = std::process::Command::new(program).args(args).status().unwrap();
        assert!(done.success(), "{program}");
    };
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    tool("mkfs.vfat", &[&path(&stick)]);
    tool("mcopy", &["-i", &path(&stick), &path(&update), "::pc.update"]);
    let usb = format!("file={},format=raw,if=none,id=stick", stick.display());
    let options = ["--", "-device", "qemu-xhci", "-drive", &usb, "-device", "usb-storage,drive=stick"];
    let mut machine = site.power_on(site.disk("usb.img"), &options);
    machine.greeted();
    let answer = machine.say("update other.update");
    assert!(answer.contains("no stick"), "{answer}");
    let answer = machine.say_until("update pc.update", "slot B holds");
    assert!(answer.contains("on trial"), "{answer}");
}

/// Whatever is on the disk when the power goes while an update is written, the boot loader starts a slot that
/// is whole: the one that ran, or, once all of the new one is there, that on trial.
#[test]
fn an_update_cut_off_at_any_write_leaves_a_box_that_starts() {
    let Some(site) = Site::long("pc") else { return };
    let power = site.journaled_disk("update-cut.img");
    let mut machine = site.power_on_with(&power, &[]);
    machine.configure(&[]);
    let url = serve_http(&site.pc, vec![("good", own_parcel("pc"))]);
    let begin = stamp();
    let answer = machine.say(&format!("update {url}/good"));
    assert!(answer.contains("slot B holds"), "{answer}");
    machine.cut();
    let journal = power.journal();
    let slot = std::fs::read(firmware("pc").join("slot.sqfs")).unwrap();
    let is_whole = |disk: &Path, part: u64| {
        let content = Part::of(disk, part).read(disk, slot.len() as u64);
        digest(&SHA256, &content).as_ref() == digest(&SHA256, &slot).as_ref()
    };
    let left = site.dir().join("after-cut.img");
    let moments = journal.moments(begin, 100);
    for (n, moment) in moments.into_iter().enumerate() {
        let fate = Unflushed::EACH[n % Unflushed::EACH.len()];
        journal.after_cut(moment, fate, &left);
        let slots = slots_on(&left);
        assert_eq!(slots.good, "A", "cut {n}, {fate:?}");
        assert!(is_whole(&left, 2), "cut {n}, {fate:?}: slot A has changed");
        assert!(slots.next.is_empty() || is_whole(&left, 3), "cut {n}, {fate:?}: {slots:?}");
    }
    // The last of them is started.
    let mut machine = site.power_on(&left, &[]);
    machine.greeted();
    machine.takes_mail(&site.pc);
}
