//! The binary as a machine's first process: a new box and its owner at the serial line, with everything that
//! can go wrong there. What the kernel and the boot loader add to it is `tests/machine.rs`.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::lab::{ABC, Appliance, BCD, DNS, Dialogue, PASSWORD, Remote, Reply, Stagepost, XYZ, until_true};
use crate::world::{note, two_domains, world};

#[test]
fn a_new_box_is_set_up_by_its_questions() {
    let Some(world) = world(&[]) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let mut new = Appliance::new(&world.device);
    for (prompt, answers) in [
        ("name: ", &["a b", "abc.com"][..]),
        ("interface [eth0]: ", &[""]),
        ("address: ", &["203.0.113.1", &format!("{ABC}/24")]),
        ("gateway: ", &[""]),
        ("name servers: ", &[DNS]),
        ("domain: ", &["\u{7f}\u{1}bcd.com"]),
        ("its address [203.0.113.1/24]: ", &[&format!("{BCD}/24")]),
    ] {
        for answer in answers {
            new.terminal.shows(prompt);
            new.terminal.line(answer);
        }
    }
    // Left in the middle, by ^C and by ^D, it goes on where it was.
    new.terminal.shows("its clients: ");
    new.terminal.type_keys(b"203.0.113.\x03");
    new.terminal.shows("`setup` goes on from here");
    new.says("setup", "its clients: ");
    new.terminal.type_keys(b"\x04");
    new.says("setup", "its clients: ");
    new.says("203.0.113.0/24", "test message to: ");
    new.says("x1@xyz.com", "domain bcd.com client 203.0.113.0/24");
    new.terminal.shows("yes or no [no]: ");
    new.says("perhaps", "write yes or no");
    new.says("yes", "It runs, and is saved.");
    new.terminal.shows(">>> EHLO bcd.com");
    new.terminal.shows("x1@xyz.com... Sent");
    let taken = remote.await_taken(1);
    assert_eq!((taken[0].client.to_string().as_str(), taken[0].ehlo.as_str()), (BCD, "bcd.com"));
    assert_eq!(taken[0].message.fields("Subject"), ["Test message"]);
    new.terminal.shows("abc.com> ");
    new.says("setup", "this box is set up already");
    assert!(!new.terminal.whole_screen().contains(PASSWORD), "a password is never shown");
}

#[test]
fn the_console_asks_for_its_password() {
    let Some(world) = world(&[]) else { return };
    let mut box_ = Appliance::new(&world.device);
    box_.terminal.shows("name: ");
    box_.terminal.type_keys(b"\x03");
    box_.terminal.shows("> ");
    box_.says("password", "Password until now: ");
    box_.says("wrong", "that is not the password");
    box_.says("exit", "Password: ");
    for keys in [&b"\r"[..], b"guess\r", b"\x03", b"\x04", b"pepper\x1b[D\x00\xff\r"] {
        box_.terminal.type_keys(keys);
    }
    box_.terminal.shows("hit f in the first");
    box_.terminal.shows("Password: ");
    box_.terminal.line(PASSWORD);
    box_.terminal.shows("`exit` ends");
    box_.terminal.shows("goes on from there");
    box_.terminal.type_keys(b"\x03");
    box_.says("show log 3", "somebody logged in");

    // The next one asks for what was chosen, after a restart too.
    box_.says("password", "Password until now: ");
    box_.says(PASSWORD, "New password: ");
    box_.says("short", "at least 8 characters");
    box_.says("password", "Password until now: ");
    box_.says(PASSWORD, "New password: ");
    box_.says("another one", "The same again: ");
    box_.says("another one", "asks for the new password");
    box_.power_off();
    box_.on_again();
    box_.terminal.shows("Password: ");
    box_.says("another one", "`exit` ends");
    let kept = std::fs::read_to_string(box_.data.join("console.password")).unwrap();
    assert!(kept.starts_with("PBKDF2-SHA256$") && !kept.contains("another"), "{kept}");
}

#[test]
fn a_key_after_the_start_leaves_the_configuration_aside() {
    let Some(world) = world(&["203.0.113.1/24", "203.0.113.70/24"]) else { return };
    let mut box_ = Appliance::with_config(&world.device, &two_domains());
    Dialogue::greeted(&world.pc, BCD, "pc.example");
    box_.power_off();
    box_.on_again();
    box_.terminal.shows("Hit f within");
    Dialogue::greeted(&world.pc, BCD, "pc.example");
    box_.terminal.type_keys(b"f");
    box_.terminal.shows("no password is asked for");
    box_.terminal.shows("it was asked for at the console");
    box_.says("show status", "ALARM");
    box_.terminal.shows("failsafe: the saved configuration does not run");
    box_.says("show domains", "no domains");
    box_.says("password", "New password: ");
    box_.says(PASSWORD, "The same again: ");
    box_.says(PASSWORD, "asks for the new password");
    box_.says("rollback 1", "noted");
    box_.says("commit", "it runs");
    let beside = Stagepost::beside(&world.device, &box_.data);
    assert_eq!(beside.console(&["show", "status"])["alarms"], serde_json::json!([]));
    Dialogue::greeted(&world.pc, BCD, "pc.example");
    box_.power_off();
    box_.on_again();
    box_.log_in();
    box_.says("show domains", "bcd.com");
}

/// What happened to the data partition, and how.
type Damage = (&'static str, fn(&Path));

/// What flash may hold after years; each must lead to a console.
const DAMAGES: &[Damage] = &[
    ("a configuration of garbage", |data| put(data, "config", &[0xff, 0, 27, 7, 10].repeat(2000))),
    ("a configuration with wrong types", |data| {
        put(data, "config", b"box name 7 8\ndomain x address y\nbox port smtp -1\n");
    }),
    ("an empty configuration", |data| put(data, "config", b"")),
    ("an endless line", |data| put(data, "config", &vec![b'x'; 3 << 20])),
    ("a folder for a configuration", |data| folder(data, "config")),
    ("a link that leads nowhere", |data| {
        erase(data, "config");
        symlink("config", data.join("config")).unwrap();
    }),
    ("histories and passwords of garbage", |data| {
        put(data, "config.history", &[0x80; 4000]);
        put(data, "console.password", b"PBKDF2-SHA256$999999999$AA==$AA==");
        put(data, "crash", &[0xc3; 9000]);
    }),
    ("folders for them", |data| {
        for name in ["config.history", "console.password", "crash", "control.sock"] {
            folder(data, name);
        }
    }),
    ("a file for the spool", |data| put(data, "spool", b"mail")),
    ("a file for a domain's spool", |data| put(data, "spool/bcd.com", b"mail")),
    ("files for all other folders", |data| {
        for name in ["mail", "certificates", "dkim"] {
            put(data, name, b"");
        }
    }),
    ("a damaged spool", |data| {
        for entry in std::fs::read_dir(data.join("spool/bcd.com")).unwrap().flatten() {
            if entry.file_type().unwrap().is_file() {
                std::fs::write(entry.path(), [0xa5; 5000]).unwrap();
            }
        }
    }),
];

fn erase(data: &Path, name: &str) {
    let path = data.join(name);
    match path.is_dir() {
        true => std::fs::remove_dir_all(&path).unwrap(),
        false => drop(std::fs::remove_file(&path)),
    }
}

fn put(data: &Path, name: &str, bytes: &[u8]) {
    erase(data, name);
    std::fs::write(data.join(name), bytes).unwrap();
}

fn folder(data: &Path, name: &str) {
    erase(data, name);
    std::fs::create_dir(data.join(name)).unwrap();
}

#[test]
fn whatever_the_flash_holds_there_is_a_console() {
    let Some(world) = world(&["203.0.113.1/24", "203.0.113.70/24"]) else { return };
    let mut box_ = Appliance::with_config(&world.device, &two_domains());
    let good = box_.data.clone();
    box_.power_off();
    for (number, (caption, damage)) in DAMAGES.iter().enumerate() {
        let data = world.device.dir().join(format!("damaged-{number}"));
        crate::lab::copy(&good, &data);
        damage(&data);
        box_.data = data;
        box_.on_again();
        reach(&mut box_);
        box_.says("show status", "up for");
        box_.says("set box name reached.example", "noted");
        box_.terminal.line("delete domain bcd.com");
        box_.terminal.shows_one_of(&["taken out", "no statement begins with"]);
        box_.says("commit", "it runs");
        box_.says("show config", "box name reached.example");
        println!("{caption}: reached");
        box_.power_off();
        box_.on_again();
        box_.terminal.shows("Hit f");
        box_.terminal.type_keys(b"\r");
        box_.terminal.shows(" on reached.example");
        box_.power_off();
    }
}

/// Goes through whatever the console asks for, to the first prompt.
fn reach(box_: &mut Appliance) {
    loop {
        match box_.terminal.shows_one_of(&[
            "Hit f",
            "Password: ",
            "New password: ",
            "again: ",
            "name: ",
            "> ",
        ]) {
            0 => box_.terminal.type_keys(b"\r"),
            1..=3 => box_.terminal.line(PASSWORD),
            4 => box_.terminal.type_keys(b"\x03"),
            _ => return,
        }
    }
}

#[test]
fn a_full_or_read_only_flash_has_a_console() {
    let Some(world) = world(&["203.0.113.1/24", "203.0.113.70/24"]) else { return };
    let mut box_ = Appliance::with_config(&world.device, &two_domains());
    let good = box_.data.clone();
    box_.power_off();
    for (name, options) in [("full", "rw"), ("read-only", "ro")] {
        let data = world.device.dir().join(name);
        std::fs::create_dir_all(&data).unwrap();
        crate::lab::command("mount", &["-t", "tmpfs", "-o", "size=1m", "none", data.to_str().unwrap()]);
        for file in ["config", "console.password"] {
            std::fs::copy(good.join(file), data.join(file)).unwrap();
        }
        // What is left takes nothing more.
        let _ = std::fs::write(data.join("filling"), vec![0; 2 << 20]);
        crate::lab::command("mount", &["-o", &format!("remount,{options}"), data.to_str().unwrap()]);
        box_.data = data;
        box_.on_again();
        box_.log_in();
        box_.says("show status", "ALARM");
        let mut client = Dialogue::greeted(&world.pc, BCD, "pc.example");
        let reply = client.hand_over(
            "b1@bcd.com",
            &["x1@xyz.com"],
            &note("b1@bcd.com", "x1@xyz.com", "kept by nobody"),
        );
        assert!(reply.starts_with('4'), "{name}: {reply}");
        box_.says("set box name reached.example", "noted");
        box_.says("commit", "could not be saved");
        box_.says("show config", "box name reached.example");
        box_.says("factory-reset", "Write yes if that is meant: ");
        box_.says("no", "nothing was erased");
        box_.power_off();
    }
}

#[test]
fn a_factory_reset_asks_and_leaves_nothing() {
    let Some(world) = world(&["203.0.113.1/24", "203.0.113.70/24"]) else { return };
    let mut box_ = Appliance::with_config(&world.device, &two_domains());
    let beside = Stagepost::beside(&world.device, &box_.data);
    assert_eq!(beside.sendmail(&["-f", "b1@bcd.com", "b2@bcd.com"], &note("b1", "b2", "kept")).code, 0);
    until_true("the mail is kept", || box_.data.join("mail/bcd.com/b2").exists());
    let refused = beside.try_console(&["factory-reset"]);
    assert!(refused.code == 1 && refused.err.contains("write `factory-reset yes`"), "{refused:?}");
    box_.says("factory-reset", "every mailbox");
    box_.terminal.shows("Write yes if that is meant: ");
    box_.says("y", "nothing was erased");
    box_.says("factory-reset", "Write yes if that is meant: ");
    box_.says("yes", "the box starts anew, as new");
    box_.goes_down();
    let left: Vec<_> = std::fs::read_dir(&box_.data).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    box_.on_again();
    box_.terminal.shows("has no password yet");
}

#[test]
fn a_terminal_that_stands_still_or_goes_holds_up_no_mail() {
    let Some(world) = world(&["203.0.113.1/24", "203.0.113.70/24"]) else { return };
    let mut box_ = Appliance::with_config(&world.device, &two_domains());
    let beside = Stagepost::beside(&world.device, &box_.data);
    for _ in 0..200 {
        box_.terminal.type_keys(b"help\rshow log 1000\r");
    }
    box_.terminal.shows("help [WORDS...]");
    box_.terminal.stands_still();
    for n in 0..20 {
        let mut client = Dialogue::greeted(&world.pc, BCD, "pc.example");
        client.hand_over("b1@bcd.com", &["b2@bcd.com"], &note("b1@bcd.com", "b2@bcd.com", &format!("n{n}")));
    }
    // What is logged meanwhile is not waited for either: this file cannot be replaced, which is an error each time.
    std::fs::create_dir(box_.data.join("config.new")).unwrap();
    for n in 0..12 {
        beside.console_text(&["set", &format!("box name n{n}.example")]);
        assert!(beside.try_console(&["commit"]).err.contains("could not be saved"));
    }
    box_.terminal.goes_on();
    box_.says("show interface", "203.0.113.70");
    std::fs::remove_dir(box_.data.join("config.new")).unwrap();
    beside.console_text(&["commit"]);
    box_.terminal.type_keys(b"set box name last.example\r");
    std::fs::create_dir(box_.data.join("config.new")).unwrap();
    box_.terminal.line("commit");
    box_.terminal.shows(" of the log left out)");
    box_.terminal.shows("could not be saved");
    box_.terminal.type_keys(b"set domain cde.com addr");
    box_.terminal.unplug();
    let mut client = Dialogue::greeted(&world.pc, BCD, "pc.example");
    client.hand_over("b1@bcd.com", &["b2@bcd.com"], &note("b1@bcd.com", "b2@bcd.com", "later"));
    assert_eq!(beside.console(&["show", "changes"])["changes"], serde_json::json!([]));
    until_true("the loss is noted", || beside.console_text(&["show", "log", "20"]).contains("broke off"));
}

#[test]
fn the_serial_console_and_one_of_the_socket_hear_of_each_other() {
    let Some(world) = world(&["203.0.113.1/24", "203.0.113.70/24"]) else { return };
    let mut box_ = Appliance::with_config(&world.device, &two_domains());
    let beside = Stagepost::beside(&world.device, &box_.data);
    let mut other = beside.terminal();
    other.shows("abc.com> ");
    other.line("set box name other.abc.com");
    other.shows("noted");
    box_.says("set domain bcd.com mailbox b7", "note: another console edits");
    box_.says("commit", "another console has edited the configuration since you looked");
    box_.says("show changes", "+ box name other.abc.com");
    box_.says("commit confirm 5", "it runs on trial");
    other.line("show changes");
    other.shows("nothing has changed");
    other.shows("other.abc.com (unconfirmed)> ");
    other.line("confirm");
    other.shows("it runs for good");
    box_.says("confirm", "nothing is on trial");
}

#[test]
fn a_console_that_is_left_alone_is_logged_out() {
    let Some(world) = world(&["203.0.113.1/24", "203.0.113.70/24"]) else { return };
    let mut box_ =
        Appliance::with_config(&world.device, &format!("{}box console logout 10s\n", two_domains()));
    box_.says("exit", "Password: ");
    box_.says(PASSWORD, "`exit` ends");
    box_.terminal.type_keys(b"set domain bcd.com mailbox ");
    box_.terminal.shows("nobody touched a key for a while: logged out");
    box_.terminal.shows("Password: ");
    box_.says(PASSWORD, "`exit` ends");
    box_.says("show changes", "nothing has changed");
}
