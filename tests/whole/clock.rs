//! The clock against real and bad time servers. Nothing here sets this machine's clock: the daemon either
//! leaves it alone, or runs without the right to set it, and shows what it would have done.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::lab::peers::chrony;
use crate::lab::{Host, Remote, Reply, Stagepost, XYZ, until, until_true};
use crate::world::{BOTH, note, two_domains, world};

/// A time server that is `ahead_s` ahead of this machine; what it replies is changed by `spoil`.
struct BadServer(Arc<AtomicBool>);

impl BadServer {
    fn new(host: &Host, address: &str, ahead_s: i64, spoil: fn(&mut [u8])) -> BadServer {
        let socket = host.within(|| UdpSocket::bind((address, 123)).unwrap());
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        std::thread::spawn(move || {
            let mut packet = [0; 48];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((48, from)) = socket.recv_from(&mut packet) else { continue };
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                let seconds = (now.as_secs() as i64 + ahead_s + 2_208_988_800) as u32;
                let fraction = ((u64::from(now.subsec_nanos()) << 32) / 1_000_000_000) as u32;
                let stamp = (u64::from(seconds) << 32 | u64::from(fraction)).to_be_bytes();
                packet.copy_within(40..48, 24);
                packet[32..40].copy_from_slice(&stamp);
                packet[40..48].copy_from_slice(&stamp);
                (packet[0], packet[1]) = (4 << 3 | 4, 2);
                spoil(&mut packet);
                let _ = socket.send_to(&packet, from);
            }
        });
        BadServer(stop)
    }
}

impl Drop for BadServer {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn server(clock: &Value, host: &str) -> Value {
    let servers = clock["servers"].as_array().unwrap();
    servers.iter().find(|s| s["host"] == host).unwrap_or_else(|| panic!("{host} in {clock}")).clone()
}

#[test]
fn a_majority_of_servers_is_believed_and_the_bad_ones_are_told() {
    let Some(world) = world(BOTH) else { return };
    let _chrony = [chrony(&world.remote), chrony(&world.dns)];
    for address in ["203.0.113.201/24", "203.0.113.202/24", "203.0.113.203/24", "203.0.113.204/24"] {
        world.pc.add_address(address);
    }
    let _bad = [
        BadServer::new(&world.pc, "203.0.113.201", 400_000, |_| ()),
        BadServer::new(&world.pc, "203.0.113.202", 0, |packet| packet[0] |= 3 << 6),
        BadServer::new(&world.pc, "203.0.113.203", 0, |packet| packet[24] ^= 1),
    ];
    let config = format!(
        "{}box timeserver xyz.com\nbox timeserver 203.0.113.53\nbox timeserver 203.0.113.201\n\
         box timeserver 203.0.113.202\nbox timeserver 203.0.113.203\nbox timeserver 203.0.113.204\n",
        two_domains()
    );
    let device = Stagepost::start(&world.device, &config);
    let clock = until("both chronyds are heard and agree", Duration::from_secs(90), || {
        let clock = device.console(&["show", "clock"]);
        let agreed = clock["servers"].as_array()?.iter().filter(|s| s["agrees"] == true).count();
        (agreed == 2).then_some(clock)
    });
    assert_eq!((&clock["state"], &clock["trouble"]), (&"left".into(), &Value::Null), "{clock}");
    assert!(clock["offset_ms"].as_f64().unwrap().abs() < 1000.0, "{clock}");
    for (host, why) in [
        ("203.0.113.202", "its own clock is not set"),
        ("203.0.113.203", "no reply"),
        ("203.0.113.204", "Connection refused (os error 111)"),
    ] {
        assert_eq!(server(&clock, host)["error"], why, "{clock}");
    }
    assert_eq!(server(&clock, "xyz.com")["agrees"], true, "{clock}");
    let liar = server(&clock, "203.0.113.201");
    assert!(liar["agrees"] == false && liar["offset_ms"].as_f64().unwrap() > 3.9e8, "{clock}");
    let text = device.console_text(&["show", "clock"]);
    assert!(text.contains("left to this machine's system"), "{text}");
    let done = device.try_console(&["clock", "2030-01-01T00:00:00Z"]);
    assert_eq!(done.code, 1);
    assert!(done.err.contains("somebody else keeps this machine's clock"), "{}", done.err);
}

#[test]
fn a_clock_that_is_not_set_judges_no_certificate_and_takes_mail() {
    let Some(world) = world(BOTH) else { return };
    let remote = Remote::start(&world.remote, XYZ, |_| Reply::Usual);
    let _one = BadServer::new(&world.remote, XYZ, 400_000_000, |_| ());
    let config = format!(
        "{}box clock keep\nbox timeserver {XYZ}\nbox timeserver 203.0.113.9\n\
         domain bcd.com route default mx tls required\ndomain bcd.com spool always\n",
        two_domains()
    );
    // The machine's clock is behind the last time that was known, by a year.
    let known = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 365 * 86_400;
    let device = Stagepost::start_without_clock(&world.device, &config, &format!("{known:015}\n"));
    device.await_log("the clock cannot be set: Operation not permitted");
    let clock = until("the servers were asked", Duration::from_secs(60), || {
        let clock = device.console(&["show", "clock"]);
        clock["trouble"].as_str()?.contains("only one of 2").then_some(clock)
    });
    assert_eq!(
        (&clock["state"], &clock["by"]),
        (&"unset".into(), &"the last time it knew".into()),
        "{clock}"
    );
    let status = device.console(&["show", "status"]);
    assert!(status["alarms"].to_string().contains("the clock is not set, it began from"), "{status}");
    let sent =
        device.sendmail(&["-f", "b1@bcd.com", "x1@xyz.com"], &note("b1@bcd.com", "x1@xyz.com", "Later"));
    assert_eq!(sent.code, 0, "{}", sent.err);
    until_true("it waits, and says for what", || {
        let queue = device.console(&["show", "queue"]).to_string();
        queue.contains("TLS is required, but no certificate can be judged: the clock is not set")
    });
    assert_eq!(remote.heard(""), 0, "nobody was spoken to");
}

#[test]
fn what_the_servers_agree_on_would_be_set() {
    let Some(world) = world(BOTH) else { return };
    world.pc.add_address("203.0.113.201/24");
    let _two = [
        BadServer::new(&world.pc, "203.0.113.201", 400_000_000, |_| ()),
        BadServer::new(&world.pc, "203.0.113.9", 400_000_000, |_| ()),
    ];
    let config = format!(
        "{}box clock keep\nbox timeserver 203.0.113.201\nbox timeserver 203.0.113.9\n",
        two_domains()
    );
    let mut device = Stagepost::start_without_clock(&world.device, &config, "000000000000001\n");
    let clock = until("they agree", Duration::from_secs(60), || {
        let clock = device.console(&["show", "clock"]);
        clock["trouble"].as_str()?.contains("cannot be set").then_some(clock)
    });
    assert!((clock["offset_ms"].as_f64().unwrap() - 4e11).abs() < 60_000.0, "{clock}");
    assert_eq!(
        (&clock["state"], &clock["by"]),
        (&"set".into(), &"the machine's own clock".into()),
        "{clock}"
    );
    let status = device.console(&["show", "status"]);
    assert!(status["alarms"].to_string().contains("the clock is wrong"), "{status}");
    assert_eq!(device.stop(), Some(0));
    let saved = std::fs::read_to_string(device.data().join("clock")).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let known: u64 = saved.trim_end().parse().unwrap();
    assert!(
        now.abs_diff(known) < 60 && saved.len() == 16,
        "the end of the daemon writes the time down: {saved}"
    );
}
