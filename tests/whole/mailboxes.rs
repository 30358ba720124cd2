//! The mailboxes of the box itself: what is kept there, in how much memory, and what becomes of a delivery that
//! is cut off.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::{BCD, Dialogue, Disk, Host, PATIENCE, Stagepost, tell, until, until_true};
use crate::world::{BOTH, note, two_domains, world};

/// What a short message may take while a long one is on its way, on a busy machine too.
const SHORT_MAX: Duration = Duration::from_secs(5);

/// The files of a mailbox's folder.
fn files(stagepost: &Stagepost, folder: &str) -> Vec<PathBuf> {
    let dir = stagepost.data().join("mail/bcd.com").join(folder);
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// So many bytes of text, no two lines of it the same.
fn long_text(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 100);
    let mut n: u64 = 0;
    while text.len() < bytes {
        n += 1;
        let dot = if n.is_multiple_of(7) { "." } else { "" };
        text.push_str(&format!("{dot}{n:010} {:016x}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    }
    text
}

/// What the daemon has taken at most since [`forget_peak`].
fn peak_bytes(stagepost: &Stagepost) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stagepost.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn forget_peak(stagepost: &Stagepost) {
    std::fs::write(format!("/proc/{}/clear_refs", stagepost.pid()), "5").unwrap();
}

#[test]
fn thirty_megabytes_are_kept_byte_for_byte_in_little_memory_while_others_get_theirs() {
    let Some(world) = world(BOTH) else { return };
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let text = long_text(30_000_000);
    let warm =
        Dialogue::greeted(&world.pc, BCD, "pc.example").hand_over("b1@bcd.com", &["b2@bcd.com"], "\nwarm\n");
    assert!(warm.starts_with("250"), "{warm}");
    let before = stagepost.resident_bytes();
    forget_peak(&stagepost);
    let slowest = thread::scope(|scope| {
        let long = scope.spawn(|| {
            let whole = format!("Subject: long\n\n{text}");
            let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
            let reply = dialogue.hand_over("b1@bcd.com", &["b1@bcd.com"], &whole);
            assert!(reply.starts_with("250"), "{reply}");
            until("the long message is kept", PATIENCE, || files(&stagepost, "b1/new").pop())
        });
        let (mut short, mut slowest) = (0, Duration::ZERO);
        while !long.is_finished() {
            let (began, subject) = (Instant::now(), format!("short {short}"));
            let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
            let reply = dialogue.hand_over(
                "b2@bcd.com",
                &["b2@bcd.com"],
                &note("b2@bcd.com", "b2@bcd.com", &subject),
            );
            assert!(reply.starts_with("250"), "{reply}");
            dialogue.quit();
            stagepost.mailbox_message("bcd.com", "b2", &subject);
            slowest = slowest.max(began.elapsed());
            short += 1;
        }
        let kept = std::fs::read(long.join().unwrap()).unwrap();
        let body = kept.windows(2).position(|two| two == b"\n\n").unwrap() + 2;
        assert!(kept[body..] == *text.as_bytes(), "byte for byte");
        assert!(short > 0);
        slowest
    });
    let grown = peak_bytes(&stagepost).saturating_sub(before);
    tell(&format!(
        "30 MB into a mailbox: {} KiB more at most; a short one took {slowest:?} at most",
        grown / 1024
    ));
    assert!(grown < 16 << 20, "{grown} bytes more");
    assert!(slowest < SHORT_MAX, "a short message waited {slowest:?} beside the long one");
}

#[test]
fn a_delivery_that_is_cut_off_comes_whole_after_the_next_start_and_leaves_nothing() {
    let Some(world) = world(BOTH) else { return };
    let mut stagepost = Stagepost::start(&world.device, &two_domains());
    let whole = format!("Subject: long\n\n{}", long_text(30_000_000));
    let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
    let reply = dialogue.hand_over("b1@bcd.com", &["b1@bcd.com"], &whole);
    assert!(reply.starts_with("250"), "{reply}");
    let under_way = until("it is on its way or there", PATIENCE, || {
        files(&stagepost, "b1/tmp").pop().or_else(|| files(&stagepost, "b1/new").pop())
    });
    stagepost.kill9();
    // What a slower death would have left.
    let left = stagepost.data().join("mail/bcd.com/b1/tmp/1764244800.M0P1Q1R0123456789abcdef.abc.com");
    std::fs::write(&left, "half").unwrap();
    stagepost.restart();
    until_true("the message is there", || !files(&stagepost, "b1/new").is_empty());
    until_true("nothing waits", || stagepost.console(&["show", "status"])["queued"] == 0);
    assert!(files(&stagepost, "b1/tmp").is_empty(), "cut off at {}", under_way.display());
    for file in files(&stagepost, "b1/new") {
        let kept = std::fs::read_to_string(file).unwrap();
        assert!(kept.split_once("\n\n").unwrap().1 == whole.split_once("\n\n").unwrap().1);
    }
}

/// The two domains, each with a postmaster of its own.
fn own_postmasters() -> String {
    two_domains().replace("box postmaster a1@abc.com\n", "")
}

fn write_to(from: &Host, recipient: &str, text: &str) {
    let reply = Dialogue::greeted(from, BCD, "ns.example").hand_over("x1@xyz.com", &[recipient], text);
    assert!(reply.starts_with("250"), "{reply}");
}

#[test]
fn postmasters_mail_is_listed_read_and_deleted_at_the_console() {
    let Some(world) = world(BOTH) else { return };
    let stagepost = Stagepost::start(&world.device, &own_postmasters());
    let long: String = (1..=60).map(|n| format!("line {n} =1B[2J\n")).collect();
    let complaint = format!(
        "From: =?utf-8?Q?J=C3=B6rg?= <x1@xyz.com>\nTo: postmaster@bcd.com\nSubject: Your mail\n\
         MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
         Content-Transfer-Encoding: quoted-printable\n\n{long}"
    );
    write_to(&world.dns, "postmaster@bcd.com", &complaint);
    write_to(&world.dns, "Postmaster@bcd.com", &note("x2@xyz.com", "postmaster@bcd.com", "Second"));
    until_true("both are kept", || files(&stagepost, "postmaster/new").len() == 2);
    let all = stagepost.console(&["show", "mailboxes"])["mailboxes"].clone();
    let postmaster = all.as_array().unwrap().iter().find(|m| m["address"] == "postmaster@bcd.com").unwrap();
    assert_eq!((&postmaster["messages"], &postmaster["used_bytes"]), (&2.into(), &8192.into()), "{all}");
    let text = stagepost.console_text(&["show", "mailbox", "postmaster@bcd.com"]);
    assert!(
        text.contains("J\u{f6}rg <x1@xyz.com>") && text.contains("Your mail") && text.contains("Second"),
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");

    let mut terminal = stagepost.terminal();
    terminal.type_keys(b"mailbox read post\tbcd.com 1\r");
    terminal.shows("Your mail");
    terminal.shows("line 1 ?[2J");
    terminal.shows("page 1 of 2; `mailbox read postmaster@bcd.com 1 2` shows the next");
    terminal.line("mailbox read postmaster@bcd.com 1 2");
    terminal.shows("line 60");
    terminal.line("mailbox delete postmaster@bcd.com 1");
    terminal.shows("1 message");
    terminal.line("mailbox read postmaster@bcd.com 1");
    terminal.shows("no message 1 is there");
    drop(terminal);
    let left = stagepost.console(&["show", "mailbox", "postmaster@bcd.com"]);
    assert_eq!((&left["messages"], &left["mail"][0]["number"]), (&1.into(), &2.into()), "{left}");
    assert_eq!(left["mail"][0]["subject"], "Second");
    assert_eq!(stagepost.console(&["mailbox", "delete", "postmaster@bcd.com", "all"])["messages"], 1);
    assert!(files(&stagepost, "postmaster/new").is_empty());
    assert_eq!(stagepost.try_console(&["show", "mailbox", "nobody@bcd.com"]).code, 1);
}

#[test]
fn a_full_mailbox_of_the_postmasters_shuts_out_nobody_else_and_opens_again() {
    let Some(world) = world(BOTH) else { return };
    let _disk = Disk::ext4(&world.device, "stagepost", 64);
    let stagepost = Stagepost::start(&world.device, &own_postmasters());
    let text = format!("Subject: large\n\n{}", ("x".repeat(99) + "\n").repeat(1000));
    let mut dialogue = Dialogue::greeted(&world.dns, BCD, "ns.example");
    let full = (0..100).find_map(|_| {
        dialogue.ask("MAIL FROM:<x1@xyz.com>", "250");
        dialogue.ask("RCPT TO:<postmaster@bcd.com>", "250");
        dialogue.ask("DATA", "354");
        dialogue.text(&text);
        Some(dialogue.reply()).filter(|reply| !reply.starts_with("250"))
    });
    // Its size was not known before.
    assert!(full.as_ref().is_some_and(|reply| reply.starts_with("452 4.2.2")), "{full:?}");
    dialogue.ask("MAIL FROM:<x1@xyz.com> SIZE=100000", "250");
    dialogue.ask("RCPT TO:<postmaster@bcd.com>", "452 4.2.2");
    dialogue.ask("RCPT TO:<b1@bcd.com>", "250");
    dialogue.ask("RSET", "250");
    dialogue.ask("MAIL FROM:<x1@xyz.com> SIZE=30000000", "250");
    dialogue.ask("RCPT TO:<postmaster@bcd.com>", "552 5.2.3");
    dialogue.ask("RSET", "250");
    write_to(&world.dns, "b1@bcd.com", &text);
    until_true("b1 has his", || files(&stagepost, "b1/new").len() == 1);
    let status = stagepost.console(&["show", "status"]);
    assert_eq!(status["queued"], 0, "{status}");
    assert!(
        status["alarms"].to_string().contains("postmaster@bcd.com: its mailbox is nearly full"),
        "{status}"
    );
    stagepost.console(&["mailbox", "delete", "postmaster@bcd.com", "all"]);
    write_to(&world.dns, "postmaster@bcd.com", &text);
    until_true("there is room again", || files(&stagepost, "postmaster/new").len() == 1);
}
