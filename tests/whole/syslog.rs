//! The log at a real collector, and `ping`: what an operator has of the network beside mail.

use std::fs;
use std::net::TcpListener;

use crate::lab::peers::{daemon, daemon_file};
use crate::lab::{ABC, BCD, Dialogue, Stagepost, XYZ, until_true};
use crate::world::{BOTH, two_domains, world};

/// What rsyslog understood of each message, one a line.
const RSYSLOG: &str = "\
module(load=\"imudp\")
module(load=\"imtcp\")
input(type=\"imudp\" port=\"514\")
input(type=\"imtcp\" port=\"514\")
template(name=\"fields\" type=\"string\" string=\"%pri% %protocol-version% %hostname% %app-name% %fromhost-ip%|%msg%\\n\")
*.* action(type=\"omfile\" file=\"/lab/messages\" template=\"fields\")
";

#[test]
fn a_collector_gets_the_log_by_udp_and_by_tcp() {
    let Some(world) = world(BOTH) else { return };
    let command = ["/usr/sbin/rsyslogd", "-n", "-f", "/lab/rsyslog.conf", "-i", "NONE"];
    let _rsyslog = daemon(&world.remote, "rsyslog", &[("rsyslog.conf", RSYSLOG)], &command);
    let file = daemon_file(&world.remote, "rsyslog", "messages");
    let messages = || std::fs::read_to_string(&file).unwrap_or_default();
    let config = format!("{}box address {ABC}\nbox syslog {XYZ} tcp\n", two_domains());
    let device = Stagepost::start(&world.device, &config);
    let told = format!("22 1 abc.com stagepost {ABC}|stagepost {} is running", env!("CARGO_PKG_VERSION"));
    until_true("rsyslog has understood the log over TCP", || messages().contains(&told));

    let change = format!("box syslog {XYZ} udp\n");
    assert_eq!(device.try_console(&["delete", "box", "syslog"]).code, 0);
    assert_eq!(device.try_console(&["set", change.trim_end()]).code, 0);
    assert_eq!(device.try_console(&["commit"]).code, 0);
    device.try_console(&["send", "b1@bcd.com", "b2"]);
    let by_udp = || device.console(&["show", "status"])["syslog"]["carrier"] == "udp";
    until_true("the way is UDP now", by_udp);
    until_true("rsyslog has the line of the change", || {
        messages().contains("|the configuration has changed through the console")
    });
    until_true("what was sent is counted, and nothing twice", || {
        let status = device.console(&["show", "status"]);
        status["syslog"]["sent"] == messages().lines().count() && status["syslog"]["lost"] == 0
    });
}

#[test]
fn a_collector_that_is_away_or_hangs_stops_nothing_and_its_losses_are_counted() {
    let Some(world) = world(BOTH) else { return };
    let device = Stagepost::start(&world.device, &format!("{}box syslog {XYZ}:1514 tcp\n", two_domains()));
    let alarms = || device.console(&["show", "status"])["alarms"].to_string();
    until_true("the alarm names the collector", || alarms().contains("the log does not reach 203.0.113.25"));
    // More than the ring holds, while nobody takes it: each refused command is a line.
    for _ in 0..40 {
        let mut client = Dialogue::greeted(&world.pc, BCD, "pc.example");
        for _ in 0..15 {
            client.ask(&format!("NOSUCH {}", "x".repeat(300)), "500");
        }
    }
    let listener = world.remote.within(|| TcpListener::bind((XYZ, 1514)).unwrap());
    let (mut stream, _) = listener.accept().unwrap();
    let mut text = String::new();
    until_true("the collector hears of the losses", || {
        let mut piece = [0; 65536];
        let n = std::io::Read::read(&mut stream, &mut piece).unwrap();
        text.push_str(&String::from_utf8_lossy(&piece[..n]));
        text.contains("the log is sent again; ")
    });
    let status = device.console(&["show", "status"]);
    assert!(status["syslog"]["lost"].as_u64().unwrap() > 0, "{status}");
    assert!(!alarms().contains("the log does not reach"), "{}", alarms());
    let (length, rest) = text.split_once(' ').unwrap();
    let message = &rest[..length.parse::<usize>().unwrap()];
    assert!(message.starts_with("<22>1 20") || message.starts_with("<20>1 20"), "{message}");
}

#[test]
fn ping_goes_from_the_domains_own_address() {
    let Some(world) = world(BOTH) else { return };
    // As distributions set it; without it a daemon that keeps no NIC may not ping.
    world.device.within(|| fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap());
    let device = Stagepost::start(&world.device, &two_domains());
    let done = device.try_console(&["ping", "xyz.com", "bcd.com"]);
    assert_eq!(done.code, 0, "{} {}", done.out, done.err);
    assert!(done.out.starts_with(&format!("echoes of {XYZ} to {BCD}; any key ends\n1: ")), "{}", done.out);
    assert!(done.out.ends_with("4 of 4 answered\n"), "{}", done.out);
    let mut terminal = device.terminal();
    terminal.line(&format!("ping {XYZ}"));
    terminal.shows("2: ");
    terminal.type_keys(b" ");
    terminal.shows(" answered");
    terminal.shows("abc.com> ");
    world.remote.remove_address(&format!("{XYZ}/24"));
    let done = device.try_console(&["ping", XYZ]);
    assert_eq!((done.code, done.out.lines().last()), (1, Some("0 of 4 answered")), "{}", done.out);
    let done = device.try_console(&["ping", XYZ, "xyz.com"]);
    assert!(done.err.starts_with("xyz.com is not hosted here"), "{}", done.err);
}
