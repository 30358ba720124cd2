//! What attackers send, and what comes of it at the real daemon: nothing for them, and nothing for others.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use stagepost::limits::{SESSION_STALLED_S, SESSIONS_MAX, SESSIONS_RESERVED};

use crate::crowd::{crowd, many_addresses};
use crate::lab::{BCD, Dialogue, Host, PATIENCE, PC, Remote, Reply, Stagepost, XYZ, until};
use crate::world::{BOTH, note, two_domains, world};

/// Everything that some server somewhere has taken for the end of a message.
const ENDS: [&str; 9] =
    ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\r.\n", "\n.\r", "\n\n.\n\n"];

fn python(from: &Host, script: &str, args: &[&str]) -> Output {
    let all = [&["-c", script], args].concat();
    from.command("python3", &all).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn no_end_of_data_but_the_real_one_goes_in_or_out() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let stagepost = Stagepost::start(&world.device, &two_domains());
    for (n, end) in ENDS.into_iter().enumerate() {
        let text = format!("Subject: one\r\n\r\ntext{end}MAIL FROM:<b1@bcd.com>\r\n.\r\n");
        let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
        dialogue.ask("MAIL FROM:<b1@bcd.com>", "250");
        dialogue.ask("RCPT TO:<b2@bcd.com>", "250");
        dialogue.ask("DATA", "354");
        dialogue.send(text.as_bytes());
        let reply = dialogue.reply();
        assert!(reply.starts_with("55") || reply.starts_with("50"), "{end:?}: {reply}");
        // A local program hands it in as a text: it leaves as the content of one message.
        let sent =
            stagepost.sendmail(&["-i", "-f", "b1@bcd.com", "x1@xyz.com"], &text.replace("\r\n.\r\n", ""));
        assert_eq!(sent.code, 0, "{end:?}: {}", sent.err);
        let taken = remote.await_taken(n + 1).remove(n);
        assert_eq!(taken.recipients, ["x1@xyz.com"], "{end:?}");
        assert!(taken.message.raw.contains("MAIL FROM:<b1@bcd.com>"), "{end:?}: {}", taken.message.raw);
    }
    assert_eq!(stagepost.mailbox("bcd.com", "b2").len(), 0);
    assert_eq!(remote.taken().len(), ENDS.len());
}

#[test]
fn commands_before_the_handshake_count_for_nothing() {
    let Some(world) = world(BOTH) else { return };
    let stagepost = Stagepost::start(&world.device, &two_domains());
    const SCRIPT: &str = "
import socket, ssl, sys
plain = socket.create_connection((sys.argv[1], 25))
def reply(stream):
    text = b''
    while not (text.endswith(b'\\r\\n') and text.split(b'\\r\\n')[-2][3:4] == b' '):
        piece = stream.recv(4096)
        if not piece: break
        text += piece
    return text.decode()
reply(plain)
plain.sendall(b'EHLO pc.example\\r\\n')
reply(plain)
plain.sendall(b'STARTTLS\\r\\nEHLO evil\\r\\nMAIL FROM:<b1@bcd.com>\\r\\nRCPT TO:<b2@bcd.com>\\r\\n')
print(reply(plain), end='')
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
secure = context.wrap_socket(plain)
for line in [b'MAIL FROM:<b1@bcd.com>', b'EHLO pc.example', b'RCPT TO:<b2@bcd.com>', b'DATA', b'QUIT']:
    secure.sendall(line + b'\\r\\n')
    print(reply(secure), end='')
";
    let output = python(&world.pc, SCRIPT, &[BCD]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let first =
        |at: usize| said.lines().filter(|l| l.as_bytes().get(3) == Some(&b' ')).nth(at).unwrap_or_default();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(first(0).starts_with("220"), "{said}{told}");
    // Nothing that was said in the clear is known: not the name, not the sender.
    assert!(first(1).starts_with("503"), "{said}{told}");
    assert!(first(2).starts_with("250") && !said.contains("evil"), "{said}");
    assert!(first(3).starts_with("503") && first(4).starts_with("503"), "{said}");
    assert!(first(5).starts_with("221"), "{said}");
    assert_eq!(stagepost.console(&["show", "status"])["accepted"], 0);
}

#[test]
fn nothing_is_injected_through_sendmail_or_the_console() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let text = "Subject: plain\n\nbody\n";
    for (caption, args) in [
        ("a sender with a second line", &["-f", "b1@bcd.com>\r\nRCPT TO:<x2@xyz.com", "x1@xyz.com"][..]),
        ("a recipient with a second line", &["-f", "b1@bcd.com", "x1@xyz.com>\r\nRCPT TO:<x2@xyz.com"]),
        ("a recipient with a bare LF", &["-f", "b1@bcd.com", "\"x1\nRCPT TO:<x2\"@xyz.com"]),
        ("a recipient with parameters", &["-f", "b1@bcd.com", "x1@xyz.com> NOTIFY=NEVER"]),
    ] {
        let sent = stagepost.sendmail(args, text);
        assert_ne!(sent.code, 0, "{caption}");
    }
    // A full name is only ever a name.
    let sent = stagepost.sendmail(&["-f", "b1@bcd.com", "-F", "B\r\nBcc: x2@xyz.com", "x1@xyz.com"], text);
    let header = "From: b1@bcd.com\nTo: x1@xyz.com\nSubject: cr\rBcc: x2@xyz.com\n\nbody\n";
    let other = stagepost.sendmail(&["-t", "-f", "b1@bcd.com"], header);
    for taken in remote.await_taken(usize::from(sent.code == 0) + usize::from(other.code == 0)) {
        assert_eq!(taken.recipients, ["x1@xyz.com"]);
        assert!(taken.message.fields("Bcc").is_empty(), "{}", taken.message.raw);
    }
    for words in [
        &["send", "b1@bcd.com", "x2@xyz.com", "Hello\r\nBcc: x2@xyz.com"][..],
        &["send", "b1@bcd.com\r\nRCPT TO:<x2@xyz.com>", "x1@xyz.com", "Hello"],
        &["set", "domain bcd.com ehlo bcd.com\r\nMAIL"],
        &["resolve", "xyz.com\r\n"],
    ] {
        let outcome = stagepost.console_with(words, "text\n.\n");
        assert_ne!(outcome.code, 0, "{words:?}: {}", outcome.out);
    }
    assert_eq!(remote.heard("RCPT TO:<x2@xyz.com>"), 0);
}

#[test]
fn a_mail_bomb_is_refused_in_bounded_memory() {
    let Some(world) = world(BOTH) else { return };
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
    dialogue.ask("MAIL FROM:<b1@bcd.com> SIZE=40000000", "552 5.3.4");
    dialogue.ask("MAIL FROM:<b1@bcd.com>", "250");
    dialogue.ask("RCPT TO:<b2@bcd.com>", "250");
    dialogue.ask("DATA", "354");
    let lines =
        "a line of a bomb, again and again, until it is more than any message may be\r\n".repeat(1000);
    dialogue.send(b"Subject: bomb\r\n\r\n");
    for _ in 0..(40_000_000 / lines.len()) {
        dialogue.send(lines.as_bytes());
    }
    dialogue.send(b".\r\n");
    dialogue.expect("552 5.3.4");
    dialogue.ask("MAIL FROM:<b1@bcd.com>", "250");
    for n in 0..1000 {
        dialogue.ask(&format!("RCPT TO:<x{n}@xyz.com>"), "250");
    }
    dialogue.ask("RCPT TO:<x1000@xyz.com>", "452 4.5.3");
    let peak = std::fs::read_to_string(format!("/proc/{}/status", stagepost.pid())).unwrap();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kibibytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kibibytes < 96 * 1024, "{peak}");
    assert!(stagepost.mailbox("bcd.com", "b2").is_empty());
}

#[test]
fn endless_headers_and_ten_thousand_received_lines_are_refused() {
    let Some(world) = world(BOTH) else { return };
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
    let received = "Received: from a by b\n".repeat(10_000) + "\nbody\n";
    let reply = dialogue.hand_over("b1@bcd.com", &["b2@bcd.com"], &received);
    assert!(reply.starts_with("554 5.4.6"), "{reply}");
    let many = "X-Field: and one more of these\n".repeat(20_000) + "\nbody\n";
    let reply = dialogue.hand_over("b1@bcd.com", &["b2@bcd.com"], &many);
    assert!(reply.starts_with("552 5.3.4"), "{reply}");
    let one = format!("X-Field: {}\n\nbody\n", "x".repeat(300_000));
    let reply = dialogue.hand_over("b1@bcd.com", &["b2@bcd.com"], &one);
    assert!(reply.starts_with("55"), "{reply}");
    dialogue.quit();
    let endless = "x".repeat(100_000);
    let mut dialogue = Dialogue::greeted(&world.pc, BCD, "pc.example");
    dialogue.send(endless.as_bytes());
    dialogue.ask("", "500 5.5.2");
    dialogue.ask("NOOP", "250");
    assert_eq!(stagepost.console(&["show", "status"])["queued"], 0);
}

#[test]
fn a_forged_sender_is_sent_nothing() {
    let Some(world) = world(BOTH) else { return };
    let inner = Remote::start(&world.pc, PC, |line| match line {
        "RCPT TO:<gone@bcd.com>" => Reply::Say("550 5.1.1 moved away"),
        _ => Reply::Usual,
    });
    let victim = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let config = two_domains() + "domain bcd.com forward 203.0.113.9\ndomain bcd.com spool always\n";
    let stagepost = Stagepost::start(&world.device, &config);
    // The PC has no name in DNS, and says that it writes for x1.
    let text = note("x1@xyz.com", "gone@bcd.com", "Backscatter");
    let mut dialogue = Dialogue::greeted(&world.dns, BCD, "xyz.com");
    let reply = dialogue.hand_over("x1@xyz.com", &["gone@bcd.com"], &text);
    assert!(reply.starts_with("250"), "{reply}");
    inner.await_heard("RCPT TO:<gone@bcd.com>", 1);
    stagepost.await_log("nobody is told who has not asked for it");
    assert_eq!(stagepost.console(&["show", "status"])["queued"], 0);
    assert_eq!(victim.heard("CONNECT"), 0);
}

#[test]
fn a_host_that_floods_us_with_replies_is_left() {
    let Some(world) = world(BOTH) else { return };
    const FLOOD: &[u8] = &[b'2'; 200_000];
    let remote = Remote::start(&world.remote, XYZ, |line| match line {
        "DATA" => Reply::Bytes(FLOOD),
        _ => Reply::Usual,
    });
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let sent = stagepost.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], "Subject: flooded\n\nbody\n");
    assert_eq!(sent.code, 0, "{}", sent.err);
    remote.await_heard("DATA", 1);
    stagepost.await_log("in the reply, the line is too long");
    assert_eq!(stagepost.console(&["show", "status"])["queued"], 1);
}

/// Says NOOP without pause for so long, and reads every reply; the bytes of them.
fn flood(stream: &TcpStream, time: Duration) -> u64 {
    let (began, noops) = (Instant::now(), b"NOOP\r\n".repeat(1000));
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            while began.elapsed() < time && (&*stream).write_all(&noops).is_ok() {}
            let _ = stream.shutdown(Shutdown::Write);
        });
        let (mut replies, mut read) = (vec![0; 64 * 1024], 0);
        while let Ok(n @ 1..) = (&*stream).read(&mut replies) {
            read += n as u64;
        }
        read
    })
}

#[test]
fn a_client_that_talks_without_pause_holds_up_nobody() {
    let Some(world) = world(BOTH) else { return };
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let stream = world.pc.within(|| TcpStream::connect((BCD, 25))).unwrap();
    let soon = Duration::from_secs(2);
    thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(&stream, 2 * soon));
        let mut turns = 0;
        while !flooding.is_finished() {
            let asked = Instant::now();
            Dialogue::connect(&world.remote, BCD).expect("220");
            assert!(asked.elapsed() < soon, "a greeting took {:?}", asked.elapsed());
            let asked = Instant::now();
            stagepost.console(&["show", "status"]);
            assert!(asked.elapsed() < soon, "the console took {:?}", asked.elapsed());
            turns += 1;
        }
        assert!(turns > 1);
        let read = flooding.join().unwrap();
        assert!(read > 1_000_000, "it was answered all the while: {read} bytes of replies");
    });
}

#[test]
fn strangers_whose_messages_never_end_give_way_to_one_who_has_mail() {
    let Some(world) = world(BOTH) else { return };
    many_addresses(&world.pc, &world.device);
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let places = SESSIONS_MAX - SESSIONS_RESERVED;
    let held: Vec<TcpStream> = crowd(&world.pc, BCD, places, 50).into_iter().map(TcpStream::from).collect();
    assert_eq!(held.len(), places);
    let begun =
        "EHLO pc.example\r\nMAIL FROM:<x1@xyz.com>\r\nRCPT TO:<b1@bcd.com>\r\nDATA\r\nSubject: half\r\n";
    held.iter().for_each(|mut stream| stream.write_all(begun.as_bytes()).unwrap());
    for stream in &held {
        stream.set_read_timeout(Some(2 * PATIENCE)).unwrap();
        let mut lines = BufReader::new(stream).lines().map(|line| line.unwrap_or_default());
        assert!(lines.any(|line| line.starts_with("354")), "each begins a message");
    }
    let wait = PATIENCE + Duration::from_secs(SESSION_STALLED_S);
    let mut stranger = until("a stranger with mail is let in", wait, || {
        let mut dialogue = Dialogue::connect(&world.remote, BCD);
        dialogue.reply().starts_with("220").then_some(dialogue)
    });
    stranger.ask("EHLO xyz.com", "250");
    let reply = stranger.hand_over("x1@xyz.com", &["b1@bcd.com"], &note("x1@xyz.com", "b1@bcd.com", "In"));
    assert!(reply.starts_with("250"), "{reply}");
    stagepost.mailbox_message("bcd.com", "b1", "In");
    stagepost.await_log("gives way to another");
    let status = stagepost.console(&["show", "status"]);
    assert!(status["sessions_in"].as_u64().unwrap() <= places as u64, "{status}");
}
