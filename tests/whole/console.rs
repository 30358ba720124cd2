//! The console of the real daemon: typed on a terminal, and the configuration changed while it runs.

use std::time::Duration;

use crate::lab::{ABC, BCD, DNS, Dialogue, Remote, Reply, Stagepost, XYZ, run_binary, until, until_true};
use crate::world::{BOTH, MESSAGE_2A, two_domains, world};

#[test]
fn a_terminal_has_history_completion_and_help() {
    let Some(world) = world(BOTH) else { return };
    let device = Stagepost::start(&world.device, &two_domains());
    let mut terminal = device.terminal();
    terminal.shows("abc.com> ");
    terminal.type_keys(b"sh\tst\t\r");
    terminal.shows("show status");
    terminal.shows("2 up, 0 pending");
    terminal.type_keys(b"show queue ?");
    terminal.shows("a virtual domain, as in bcd.com");
    terminal.shows("abc.com> show queue ");
    terminal.type_keys(b"b\t\r");
    terminal.shows("bcd.com");
    terminal.shows("no mail waits");
    for piece in [&b"\x1b"[..], b"[", b"A", b"\r"] {
        terminal.type_keys(piece);
    }
    terminal.shows("no mail waits");
    terminal.line("bogus");
    terminal.shows("`bogus` is unknown");
    terminal.line("exit");
    terminal.ends();
}

#[test]
fn garbage_and_endless_lines_hurt_nobody() {
    let Some(world) = world(BOTH) else { return };
    let device = Stagepost::start(&world.device, &two_domains());
    let mut terminal = device.terminal();
    terminal.shows("abc.com> ");
    terminal.type_keys(&vec![b'x'; 10_000]);
    // Every byte but ^C, ^D, and the ends of lines.
    let garbage: Vec<u8> = (0..=255).rev().filter(|b| !matches!(b, 3 | 4 | b'\r' | b'\n')).collect();
    terminal.type_keys(&garbage);
    terminal.type_keys(b"\x03\x03");
    terminal.shows("^C");
    terminal.line("show memory");
    terminal.shows("the process takes");
    let mut gone = device.terminal();
    gone.type_keys(b"set domain cde.com addr");
    drop(gone);
    assert_eq!(device.console(&["show", "changes"])["changes"], serde_json::json!([]));
    terminal.type_keys(b"\x04");
    terminal.ends();
}

#[test]
fn send_asks_for_its_text_and_a_failure_does_not_end_the_console() {
    let Some(world) = world(BOTH) else { return };
    let device = Stagepost::start(&world.device, &two_domains());
    let mut terminal = device.terminal();
    terminal.line("send b1@bcd.com b2 Hello");
    terminal.shows("Text, then a line with a dot:");
    terminal.line("Is this right?");
    terminal.line(".");
    terminal.shows("b2@bcd.com... Sent (kept here)");
    assert!(device.mailbox_message("bcd.com", "b2", "Hello").raw.contains("Is this right?"));
    terminal.line("send c1@cde.com b2 Hello");
    terminal.shows("cde.com is not hosted here");
    terminal.line("send b1@bcd.com b2 Never");
    terminal.shows("Text, then");
    terminal.type_keys(b"gone\x03");
    terminal.shows("nothing was sent");
    terminal.line("show status");
    terminal.shows("1 accepted");
}

#[test]
fn a_domain_comes_and_goes_while_mail_flows() {
    let Some(world) = world(BOTH) else { return };
    let config = two_domains();
    let (abc, bcd): (Vec<&str>, Vec<&str>) = config.lines().partition(|line| !line.contains("bcd.com"));
    let device = Stagepost::start(&world.device, &abc.join("\n"));
    for line in &bcd {
        assert_eq!(device.try_console(&["set", line]).code, 0, "{line}");
    }
    assert_eq!(device.try_console(&["set", "domain bcd.com frob"]).code, 1);
    assert_eq!(device.console(&["show", "changes"])["changes"].as_array().unwrap().len(), bcd.len());
    device.console_text(&["check"]);
    device.console_text(&["commit"]);
    Dialogue::greeted(&world.pc, BCD, "pc.example");
    assert_eq!(device.sendmail(&["-f", "b1@bcd.com", "b2@bcd.com"], MESSAGE_2A).code, 0);
    device.mailbox_message("bcd.com", "b2", "Test Message 2");

    // What cannot leave stays in the spool while the domain is away.
    assert_eq!(device.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], MESSAGE_2A).code, 0);
    until_true("the message waits", || device.console_text(&["show", "queue"]).contains("tried 1"));
    device.console_text(&["delete", "domain", "bcd.com"]);
    let told = device.console_text(&["commit"]);
    assert!(told.contains("bcd.com has gone, its spool with 1 messages stays on disk"), "{told}");
    device.await_log("bcd.com is closed");
    device.console_text(&["rollback", "1"]);
    device.console_text(&["commit"]);
    let queue = device.console(&["show", "queue", "bcd.com"]);
    assert_eq!(queue["queue"][0]["recipients"][0]["address"], "x1@xyz.com", "{queue}");
}

#[test]
fn a_trial_that_nobody_confirms_ends_with_a_restart() {
    let Some(world) = world(BOTH) else { return };
    let mut device = Stagepost::start(&world.device, &two_domains());
    device.console_text(&["set", "box", "port", "smtp", "2525"]);
    device.console_text(&["commit", "confirm", "5"]);
    Dialogue::greeted(&world.pc, &format!("{BCD}:2525"), "pc.example");
    assert_eq!(device.console(&["show", "status"])["smtp_port"], 2525);
    device.kill9();
    device.restart();
    assert_eq!(device.console(&["show", "status"])["smtp_port"], 25);

    device.console_text(&["set", "box", "port", "smtp", "2525"]);
    device.console_text(&["commit", "confirm"]);
    device.console_text(&["confirm"]);
    device.kill9();
    device.restart();
    assert_eq!(device.console(&["show", "status"])["smtp_port"], 2525, "confirmed, it stays");
    assert_eq!(device.console(&["show", "history"])["history"][0]["number"], 1);
}

#[test]
fn a_trial_that_nobody_confirms_ends_by_itself() {
    let Some(world) = world(&[]) else { return };
    let config = two_domains()
        .replace(&format!("address {ABC}\n"), &format!("address {ABC}/24\n"))
        .replace(&format!("address {BCD}\n"), &format!("address {BCD}/24\n"));
    let mut device = Stagepost::start(&world.device, &format!("box interface eth0\n{config}"));
    device.await_up();
    // The whole box moves to a network where nobody is.
    let cut_off = |device: &Stagepost| {
        device.console_text(&["set", "domain abc.com address 198.51.100.1/24"]);
        device.console_text(&["set", "domain bcd.com address 198.51.100.70/24"]);
        device.console_text(&["commit", "confirm", "1"]);
        until_true("the addresses are gone", || {
            !world.device.has_address(BCD) && !world.device.has_address(ABC)
        });
        let told = device.console_text(&["show", "status"]);
        assert!(told.contains("the configuration is on trial"), "{told}");
    };
    cut_off(&device);
    device.kill9();
    device.restart();
    device.await_up();
    Dialogue::greeted(&world.pc, BCD, "pc.example");

    cut_off(&device);
    let back = || world.device.has_address(BCD).then_some(());
    until("the old configuration returns", Duration::from_secs(120), back);
    device.await_up();
    Dialogue::greeted(&world.pc, BCD, "pc.example");
    let changes = device.console(&["show", "changes"]);
    assert_eq!(changes["changes"].as_array().unwrap().len(), 4, "the trial is the candidate: {changes}");
}

#[test]
fn two_consoles_hear_of_each_other() {
    let Some(world) = world(BOTH) else { return };
    let device = Stagepost::start(&world.device, &two_domains());
    let (mut one, mut other) = (device.terminal(), device.terminal());
    one.shows("abc.com> ");
    other.shows("abc.com> ");
    one.line("set box name one.abc.com");
    one.shows("noted");
    other.line("set domain bcd.com mailbox other");
    other.shows("note: another console edits");
    other.shows("abc.com*> ");
    one.line("commit");
    one.shows("another console has edited the configuration since you looked");
    one.line("show changes");
    one.shows("+ domain bcd.com mailbox other");
    one.line("commit");
    one.shows("it runs");
    other.line("commit");
    other.shows("nothing has changed");
    let mut third = device.terminal();
    third.shows("one.abc.com> ");
    device.console_text(&["delete", "domain", "bcd.com", "mailbox", "other"]);
    device.terminal().shows("the configuration is being edited");
}

#[test]
fn a_crash_is_told_until_it_is_cleared() {
    let Some(world) = world(BOTH) else { return };
    let mut device = Stagepost::start(&world.device, &two_domains());
    assert_eq!(device.try_console(&["show", "crash"]).code, 1);
    device.kill9();
    let note = "2026-11-27T12:00:00Z at src/x.rs:1: a mishap\n2026-11-27T11:59:59Z warn: smoke\x1b[2J\n";
    std::fs::write(device.data().join("crash"), note).unwrap();
    device.restart();
    device.terminal().shows("it crashed: 2026-11-27T12:00:00Z at src/x.rs:1: a mishap;");
    let status = device.console(&["show", "status"]);
    assert!(status["alarms"][0].as_str().unwrap().contains("a mishap"), "{status}");
    let told = device.console_text(&["show", "crash"]);
    assert!(told.contains("warn: smoke?[2J"), "{told}");
    device.console_text(&["clear", "crash"]);
    assert_eq!(device.console(&["show", "status"])["alarms"], serde_json::json!([]));
    device.kill9();
    device.restart();
    assert_eq!(device.try_console(&["show", "crash"]).code, 1);
}

#[test]
fn a_log_that_nobody_takes_ends_nothing() {
    let Some(world) = world(BOTH) else { return };
    let device = Stagepost::start_with_log(&world.device, &two_domains(), "/dev/full");
    let mut client = Dialogue::greeted(&world.pc, BCD, "pc.example");
    client.hand_over("b1@bcd.com", &["b2@bcd.com"], MESSAGE_2A);
    let log = device.console(&["show", "log", "50"]);
    assert!(log["lines"].as_array().unwrap().len() > 1, "{log}");
}

#[test]
fn a_reset_without_a_machine_removes_what_the_daemon_keeps() {
    let Some(world) = world(BOTH) else { return };
    let mut device = Stagepost::start(&world.device, &two_domains());
    assert_eq!(device.sendmail(&["-f", "b1@bcd.com", "b2@bcd.com"], MESSAGE_2A).code, 0);
    device.mailbox_message("bcd.com", "b2", "Test Message 2");
    std::fs::write(device.data().join("foreign"), "not ours").unwrap();
    assert_eq!(device.try_console(&["factory-reset"]).code, 1);
    device.console_text(&["factory-reset", "yes"]);
    assert_eq!(device.console(&["show", "domains"])["domains"], serde_json::json!([]));
    device.stop();
    let entries = std::fs::read_dir(device.data()).unwrap().flatten();
    let left: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["foreign"]);
    device.restart();
    device.terminal().shows("`setup` asks a few questions");
}

#[test]
fn an_export_is_an_import() {
    let Some(world) = world(BOTH) else { return };
    let device = Stagepost::start(&world.device, &two_domains());
    let text = device.console_text(&["export"]);
    let told = device.console_with(&["import"], &format!("{text}.\n"));
    assert!(told.out.contains("it is as it runs already"), "{told:?}");
    let wrong = device.console_with(&["import"], "box name abc.com\nfrob\n.\n");
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("line 2: `frob` is unknown"), "{wrong:?}");
    let mut terminal = device.terminal();
    terminal.line("import");
    terminal.shows("Statements, then a line with a dot:");
    terminal.type_keys(text.replace("abc.com\n", "box.abc.com\n").replace('\n', "\r").as_bytes());
    terminal.line(".");
    terminal.shows("abc.com*> ");
    terminal.line("show changes");
    terminal.shows("+ box name box.abc.com");
}

#[test]
fn what_a_later_version_has_saved_is_left_out_and_kept() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let config = format!("{}box teleport on\n", two_domains());
    let mut device = Stagepost::start(&world.device, &config);
    device.terminal().shows("a statement of a later version is left out, and kept for that version: `box");
    let alarms = |device: &Stagepost| device.console(&["show", "status"])["alarms"].to_string();
    assert!(alarms(&device).contains("`box teleport on`"), "{}", alarms(&device));
    let send = |device: &Stagepost| device.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], MESSAGE_2A).code;
    assert_eq!(send(&device), 0);
    assert_eq!(remote.await_taken(1)[0].ehlo, "bcd.com");

    // Whoever writes something now is told.
    let file = world.device.dir().join("written");
    std::fs::write(&file, &config).unwrap();
    let checked = run_binary(&["check", file.to_str().unwrap()], "");
    assert!(checked.code == 1 && checked.err.contains("`teleport` is unknown after `box`"), "{checked:?}");
    assert_eq!(device.try_console(&["set", "box teleport off"]).code, 1);
    assert_eq!(device.console_with(&["import"], &config).code, 1);

    // What is committed here keeps it, until it is taken out.
    device.console_text(&["set", "box postmaster b2@bcd.com"]);
    let told = device.console_text(&["check"]).replace('\n', " ");
    assert!(told.contains("left out and kept: box teleport on"), "{told}");
    device.console_text(&["commit"]);
    assert!(device.file("config").contains("\nbox teleport on\n"), "{}", device.file("config"));
    device.console_text(&["delete", "box", "teleport"]);
    device.console_text(&["commit"]);
    assert!(!device.file("config").contains("teleport") && alarms(&device) == "[]", "{}", alarms(&device));

    // Where it says by which road mail goes, or who a user is, nothing is done without it that could be wrong.
    let without = device.file("config");
    device.stop();
    let more = "domain bcd.com route default mx dane required\ndomain bcd.com mailbox b9 quota 5M\n\
                domain new.com address 203.0.113.72/24 metric 5\n";
    std::fs::write(device.data().join("config"), without + more).unwrap();
    device.restart();
    let mut client = Dialogue::greeted(&world.pc, BCD, "pc.example");
    client.ask("MAIL FROM:<x1@xyz.com>", "250");
    client.ask("RCPT TO:<b9@bcd.com>", "450 4.3.5");
    client.ask("RCPT TO:<n1@new.com>", "450 4.3.5");
    client.ask("RCPT TO:<b2@bcd.com>", "250");
    assert_eq!(send(&device), 0);
    assert!(alarms(&device).contains("`queue release` lets it go"), "{}", alarms(&device));
    assert_eq!(device.console(&["show", "queue", "bcd.com"])["queue"].as_array().unwrap().len(), 1);
    assert_eq!(remote.taken().len(), 1, "it is held back");
    device.console_text(&["queue", "release", "bcd.com"]);
    remote.await_taken(2);
}

#[test]
fn the_operator_asks_dns_and_talks_to_a_host() {
    let Some(world) = world(BOTH) else { return };
    let device = Stagepost::start(&world.device, &two_domains());
    assert_eq!(device.console_text(&["resolve", "xyz.com", "MX"]), "10 xyz.com\n");
    assert_eq!(device.console(&["resolve", XYZ])["records"], serde_json::json!(["xyz.com"]));
    assert_eq!(device.try_console(&["resolve", "nowhere.example"]).code, 1);
    let told = device.console_text(&["connect", BCD, "abc.com"]);
    assert!(told.contains("220 bcd.com ESMTP"), "{told}");
    assert!(told.contains(">>> EHLO abc.com") && told.contains(">>> QUIT\n221"), "{told}");
    assert_eq!(device.try_console(&["connect", DNS, "bcd.com"]).code, 1, "nobody listens there");
    let mut terminal = device.terminal();
    terminal.line("watch");
    terminal.shows("queue 0");
    terminal.type_keys(b"q");
    terminal.line("show interface");
    terminal.shows("203.0.113.70  up");
}
