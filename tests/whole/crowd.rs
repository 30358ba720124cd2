//! Too many at the doors: clients that come and say nothing, from one place and from everywhere.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use stagepost::limits::{SESSION_BYTES, SESSIONS_OF_ONE_CLIENT_MAX};

use crate::lab::{ABC, BCD, BINARY, Dialogue, Host, PATIENCE, PC, Stagepost, until};
use crate::world::{BOTH, note, two_domains, world};

const CROWD: usize = 10_000;

/// Room for as many connections as the crowd has.
fn raise_descriptors() {
    let hard = getrlimit(Resource::Nofile).maximum;
    let wanted = CROWD as u64 + 1000;
    let limit = Rlimit { current: Some(wanted), maximum: hard.map(|hard| hard.max(wanted)) };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// `count` connections from as many addresses of 10.9.0.0/16 as `each` demands.
pub fn crowd(from: &Host, to: &str, count: usize, each: usize) -> Vec<Socket> {
    let target = SocketAddr::new(to.parse().unwrap(), 25);
    from.within(|| {
        let arrive = |n: usize| {
            let place = u16::try_from(n / each + 1).unwrap().to_be_bytes();
            let source = IpAddr::V4(Ipv4Addr::new(10, 9, place[0], place[1]));
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            // Any address of the route is good enough.
            socket.set_ip_transparent_v4(true).unwrap();
            socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
            // One that is turned away while it comes is no fault of the house.
            socket.connect_timeout(&target.into(), Duration::from_secs(5)).map(|()| socket).ok()
        };
        (0..count).filter_map(arrive).collect()
    })
}

/// The PC is 10.9.0.0/16 as well, and the device finds it there.
pub fn many_addresses(pc: &Host, device: &Host) {
    pc.ip(&["route", "add", "local", "10.9.0.0/16", "dev", "lo"]);
    device.ip(&["route", "add", "10.9.0.0/16", "via", PC]);
}

#[test]
fn ten_thousand_idle_connections_do_not_stop_mail() {
    let Some(world) = world(BOTH) else { return };
    raise_descriptors();
    many_addresses(&world.pc, &world.device);
    let stagepost = Stagepost::start(&world.device, &two_domains());
    let held = crowd(&world.pc, BCD, CROWD, 50);
    assert!(held.len() > CROWD / 2, "only {} came in", held.len());
    // A client that the configuration names has its place, however many strangers are there.
    let began = Instant::now();
    let mut known = Dialogue::greeted(&world.pc, ABC, "pc.example");
    let reply = known.hand_over("a1@abc.com", &["b2@bcd.com"], &note("a1@abc.com", "b2@bcd.com", "Through"));
    assert!(reply.starts_with("250"), "{reply}");
    // So has a stranger who has something to say, once an idle one has been there for a while.
    let stranger = until("a stranger is let in", PATIENCE, || {
        let mut dialogue = Dialogue::connect(&world.remote, BCD);
        let greeting = dialogue.reply();
        greeting.starts_with("220").then_some(dialogue)
    });
    let mut stranger = stranger;
    stranger.ask("EHLO xyz.com", "250");
    let reply = stranger.hand_over("x1@xyz.com", &["b1@bcd.com"], &note("x1@xyz.com", "b1@bcd.com", "In"));
    assert!(reply.starts_with("250"), "{reply}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    stagepost.mailbox_message("bcd.com", "b2", "Through");
    stagepost.mailbox_message("bcd.com", "b1", "In");
    let status = stagepost.console(&["show", "status"]);
    assert!(status["sessions_in"].as_u64().unwrap() <= 500, "{status}");
    drop(held);
}

#[test]
fn one_client_gets_so_many_sessions_and_no_more() {
    let Some(world) = world(BOTH) else { return };
    let _stagepost = Stagepost::start(&world.device, &two_domains());
    let mut held: Vec<TcpStream> = Vec::new();
    for _ in 0..SESSIONS_OF_ONE_CLIENT_MAX {
        let stream = world.remote.within(|| TcpStream::connect((BCD, 25))).unwrap();
        held.push(stream);
    }
    let mut one_more = Dialogue::connect(&world.remote, BCD);
    one_more.expect("421 4.7.0 Too many sessions from your address");
    let mut other = Dialogue::connect(&world.pc, BCD);
    other.expect("220");
    held.pop();
    until("its place is free again", PATIENCE, || {
        Dialogue::connect(&world.remote, BCD).reply().starts_with("220").then_some(())
    });
}

#[test]
fn a_small_machine_lets_in_as_many_as_fit_into_a_quarter_of_its_memory() {
    let Some(world) = world(BOTH) else { return };
    let data = world.device.dir().join("stagepost");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("config"), two_domains()).unwrap();
    let meminfo = world.device.dir().join("meminfo");
    std::fs::write(&meminfo, "MemTotal:          65536 kB\nMemAvailable:      40000 kB\n").unwrap();
    let script = "mount --bind \"$1\" /proc/meminfo && exec \"$2\" run --data \"$3\"";
    let args =
        ["--mount", "sh", "-c", script, "sh", meminfo.to_str().unwrap(), BINARY, data.to_str().unwrap()];
    let _running = world.device.start(world.device.command("unshare", &args), "small.log");
    let stagepost = Stagepost::beside(&world.device, &data);
    until("its console answers", PATIENCE, || {
        (stagepost.try_console(&["show", "status"]).code == 0).then_some(())
    });
    stagepost.await_up();
    let memory = stagepost.console(&["show", "memory"]);
    let places = (64 << 20) / 4 / SESSION_BYTES;
    assert_eq!(memory["sessions_max"], places, "{memory}");
    assert!(
        stagepost
            .console_text(&["show", "memory"])
            .contains(&format!("at most {places} clients come in at once"))
    );
    let of_one = places / 5;
    let held: Vec<Dialogue> = (0..of_one)
        .map(|_| {
            let mut dialogue = Dialogue::connect(&world.remote, BCD);
            dialogue.expect("220");
            dialogue
        })
        .collect();
    Dialogue::connect(&world.remote, BCD).expect("421 4.7.0 Too many sessions from your address");
    drop(held);
}
