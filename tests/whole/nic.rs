//! The keeper of the NIC against a real kernel: each test has a network namespace of its own, with a NIC
//! whose other end is a neighbour in a second one. Skipped, with a word about it, without CAP_NET_ADMIN.
//! Danger: the namespace is the thread's; every command is started from the test's own thread.

use std::future::Future;
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;
use futures_lite::FutureExt;
use nix::sched::{CloneFlags, unshare};
use smol::LocalExecutor;
use stagepost::config::{Config, IpLen};
use stagepost::mail::Domain;
use stagepost::net::AddressState;
use stagepost::tasks::nic::NicKeeper;

const PATIENCE: Duration = Duration::from_secs(10);

/// A namespace for this thread; `None`, and the reason told, where that is not allowed.
fn namespace() -> Option<()> {
    if let Err(e) = unshare(CloneFlags::CLONE_NEWNET) {
        eprintln!("skipped: a network namespace needs CAP_SYS_ADMIN and CAP_NET_ADMIN: {e}");
        return None;
    }
    Some(())
}

/// What `ip ARGUMENTS` prints in this thread's namespace.
fn ip(arguments: &str) -> String {
    run(Command::new("ip").args(arguments.split(' ')))
}

fn run(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The machine at the other end of `eth0`, in its own namespace.
struct Neighbour(Child);

impl Neighbour {
    /// Connects `eth0` of this thread's namespace to `far` of the neighbour's, with 192.0.2.2/24 there.
    fn new() -> Self {
        let child =
            Command::new("unshare").args(["-n", "sleep", "600"]).stdin(Stdio::null()).spawn().unwrap();
        let neighbour = Neighbour(child);
        let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
        let far = format!("/proc/{}/ns/net", neighbour.0.id());
        while std::fs::read_link(&far).unwrap() == own {
            std::thread::yield_now();
        }
        ip(&format!("link add eth0 type veth peer name far netns {}", neighbour.0.id()));
        neighbour.run("ip link set far up");
        neighbour.run("ip addr add 192.0.2.2/24 dev far");
        neighbour.run("sysctl -qw net.ipv4.conf.far.arp_accept=1");
        neighbour
    }

    fn run(&self, command: &str) -> String {
        let pid = self.0.id().to_string();
        run(Command::new("nsenter").args(["-t", &pid, "-n"]).args(command.split(' ')))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn address(text: &str) -> IpLen {
    match text.split_once('/') {
        Some((ip, len)) => IpLen { ip: ip.parse().unwrap(), len: Some(len.parse().unwrap()) },
        None => IpLen { ip: text.parse().unwrap(), len: None },
    }
}

fn config(interface: Option<&str>, own: &[&str], domains: &[(&str, &[&str])]) -> Config {
    let mut config = Config::default();
    config.machine.interface = interface.map(str::to_owned);
    config.machine.addresses = own.iter().map(|a| address(a)).collect();
    for (name, addresses) in domains {
        let domain = config.domains.named_or_new(&Domain::parse(name).unwrap());
        domain.addresses = addresses.iter().map(|a| address(a)).collect();
    }
    config
}

/// Runs `story` beside the keeper's task.
fn with_keeper<F: Future<Output = ()>>(story: impl FnOnce(Rc<NicKeeper>) -> F) {
    let keeper = Rc::new(NicKeeper::new());
    let executor = LocalExecutor::new();
    let task = executor.spawn({
        let keeper = keeper.clone();
        async move { keeper.run().await }
    });
    smol::block_on(executor.run(story(keeper)));
    drop(task);
}

fn state(keeper: &NicKeeper, ip: &str) -> AddressState {
    keeper.state(ip.parse::<IpAddr>().unwrap())
}

/// Waits, by the keeper's own word, until `ip` is in the state `wanted`; `up` or the reason.
async fn until(keeper: &NicKeeper, ip: &str, wanted: &str) {
    let told = || match state(keeper, ip) {
        AddressState::Up => "up".to_owned(),
        AddressState::Pending(reason) => reason,
    };
    let arrives = async {
        loop {
            let changed = keeper.changed();
            if told() == wanted {
                return;
            }
            changed.await;
        }
    };
    let late = async {
        Timer::after(PATIENCE).await;
        panic!("{ip} never was '{wanted}', it is '{}'", told());
    };
    arrives.or(late).await;
}

/// Waits until `holds`; for what the keeper does not report.
async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..PATIENCE.as_millis() / 20 {
        if holds() {
            return;
        }
        Timer::after(Duration::from_millis(20)).await;
    }
    panic!("{what}: never came about");
}

fn on_eth0(ip_len: &str) -> bool {
    ip("-o addr show dev eth0").contains(&format!(" {ip_len} "))
}

#[test]
fn aliases_are_added_announced_and_come_back() {
    let Some(()) = namespace() else { return };
    let neighbour = Neighbour::new();
    let mut config = config(
        Some("eth0"),
        &["192.0.2.1/24"],
        &[("bcd.com", &["192.0.2.70/24", "2001:db8::70/64"]), ("cde.com", &["192.0.2.71/24"])],
    );
    config.machine.gateways = vec!["192.0.2.2".parse().unwrap()];
    with_keeper(async |keeper: Rc<NicKeeper>| {
        keeper.apply(&config);
        for ip in ["192.0.2.1", "192.0.2.70", "2001:db8::70", "192.0.2.71"] {
            until(&keeper, ip, "up").await;
        }
        let shown = ip("-o addr show dev eth0");
        let ipv6 = shown.lines().find(|l| l.contains("2001:db8::70/64")).unwrap();
        assert!(ipv6.contains("deprecated") && !ipv6.contains("tentative"), "{ipv6}");
        eventually("the default route", || ip("route").contains("default via 192.0.2.2")).await;
        assert!(ip("route").contains("src 192.0.2.1"), "{}", ip("route"));
        let known = || neighbour.run("ip neigh").lines().filter(|l| l.contains("lladdr")).count() >= 3;
        eventually("the neighbour knows the aliases unasked", known).await;

        ip("addr del 192.0.2.70/24 dev eth0");
        ip("addr del 2001:db8::70/64 dev eth0");
        ip("addr del 192.0.2.1/24 dev eth0");
        ip("route flush 0/0");
        for alias in ["192.0.2.70/24", "2001:db8::70/64", "192.0.2.1/24", "192.0.2.71/24"] {
            eventually(alias, || on_eth0(alias)).await;
        }
        eventually("the default route again", || ip("route").contains("default via 192.0.2.2")).await;

        neighbour.run("ip link set far down");
        until(&keeper, "192.0.2.70", "eth0 has no link").await;
        neighbour.run("ip link set far up");
        until(&keeper, "192.0.2.70", "up").await;

        config.domains = config.domains.iter().take(1).cloned().collect();
        keeper.apply(&config);
        eventually("unconfigured is removed", || !on_eth0("192.0.2.71/24")).await;
        assert!(on_eth0("192.0.2.70/24"));
    });
}

#[test]
fn an_address_that_was_there_before_is_used_and_left_alone() {
    let Some(()) = namespace() else { return };
    let _neighbour = Neighbour::new();
    ip("addr add 192.0.2.9/25 dev eth0");
    ip("addr add 192.0.2.71/32 dev lo");
    let all = config(
        Some("eth0"),
        &["192.0.2.1/24"],
        &[("bcd.com", &["192.0.2.9/24"]), ("cde.com", &["192.0.2.71/24"]), ("def.com", &["192.0.2.72/24"])],
    );
    with_keeper(async |keeper: Rc<NicKeeper>| {
        keeper.apply(&all);
        for ip in ["192.0.2.1", "192.0.2.9", "192.0.2.71", "192.0.2.72"] {
            until(&keeper, ip, "up").await;
        }
        assert!(on_eth0("192.0.2.9/25") && !on_eth0("192.0.2.9/24") && !on_eth0("192.0.2.71/24"));
    });
    // A new life of the daemon knows its own addresses from the others by their mark.
    with_keeper(async |keeper: Rc<NicKeeper>| {
        keeper.apply(&config(Some("eth0"), &["192.0.2.1/24"], &[]));
        eventually("ours of the life before is removed", || !on_eth0("192.0.2.72/24")).await;
        assert!(on_eth0("192.0.2.9/25") && on_eth0("192.0.2.1/24"));
        assert_eq!(
            state(&keeper, "192.0.2.9"),
            AddressState::Pending("192.0.2.9 is not in the configuration".into())
        );
    });
}

#[test]
fn a_nic_that_is_not_there_yet_is_waited_for() {
    let Some(()) = namespace() else { return };
    with_keeper(async |keeper: Rc<NicKeeper>| {
        keeper.apply(&config(Some("eth0"), &[], &[("bcd.com", &["192.0.2.70/24"])]));
        until(&keeper, "192.0.2.70", "eth0 is not on this machine").await;
        let _neighbour = Neighbour::new();
        until(&keeper, "192.0.2.70", "up").await;
        ip("link del eth0");
        until(&keeper, "192.0.2.70", "eth0 is not on this machine").await;
    });
}

#[test]
fn another_nic_takes_the_aliases_over() {
    let Some(()) = namespace() else { return };
    for nic in ["eth0", "eth1"] {
        ip(&format!("link add {nic} type veth peer name far-{nic}"));
        ip(&format!("link set far-{nic} up"));
    }
    with_keeper(async |keeper: Rc<NicKeeper>| {
        let domains: [(&str, &[&str]); 1] = [("bcd.com", &["192.0.2.70/24"])];
        keeper.apply(&config(Some("eth0"), &[], &domains));
        until(&keeper, "192.0.2.70", "up").await;
        keeper.apply(&config(Some("eth1"), &[], &domains));
        eventually("moved", || ip("-o addr show dev eth1").contains("192.0.2.70/24")).await;
        assert!(!on_eth0("192.0.2.70/24"));
        until(&keeper, "192.0.2.70", "up").await;
    });
}

#[test]
fn without_an_interface_addresses_are_only_watched() {
    let Some(()) = namespace() else { return };
    ip("link set lo up");
    with_keeper(async |keeper: Rc<NicKeeper>| {
        keeper.apply(&config(None, &["127.0.0.1"], &[("bcd.com", &["192.0.2.70"])]));
        assert_eq!(state(&keeper, "127.0.0.1"), AddressState::Up);
        until(&keeper, "192.0.2.70", "192.0.2.70 is not on this machine").await;
        ip("addr add 192.0.2.70/32 dev lo");
        until(&keeper, "192.0.2.70", "up").await;
        ip("addr del 192.0.2.70/32 dev lo");
        until(&keeper, "192.0.2.70", "192.0.2.70 is not on this machine").await;
    });
}

#[test]
fn a_vlan_is_made_and_taken_away_and_a_strangers_stays() {
    let Some(()) = namespace() else { return };
    let _neighbour = Neighbour::new();
    let with = |interface| config(Some(interface), &[], &[("bcd.com", &["192.0.2.70/24"])]);
    let strangers = ["link", "add", "link", "eth0", "name", "eth0.30", "type", "vlan", "id", "30"];
    if !Command::new("ip").args(strangers).status().unwrap().success() {
        eprintln!("this kernel has no VLANs: only that it is told of them");
        return with_keeper(async |keeper: Rc<NicKeeper>| {
            keeper.apply(&with("eth0.20"));
            let why = "eth0.20 cannot be made: Operation not supported (os error 95)";
            until(&keeper, "192.0.2.70", why).await;
        });
    }
    with_keeper(async |keeper: Rc<NicKeeper>| {
        keeper.apply(&with("eth0.20"));
        until(&keeper, "192.0.2.70", "up").await;
        let shown = ip("-d link show eth0.20");
        assert!(shown.contains("vlan protocol 802.1Q id 20") && shown.contains("alias stagepost"), "{shown}");
        assert!(ip("-o addr show dev eth0.20").contains(" 192.0.2.70/24 "));
    });
    // A new life knows the VLAN of the life before.
    with_keeper(async |keeper: Rc<NicKeeper>| {
        keeper.apply(&with("eth0.30"));
        until(&keeper, "192.0.2.70", "up").await;
        assert!(!ip("-o link").contains("eth0.20"), "{}", ip("-o link"));
        keeper.apply(&with("eth0"));
        until(&keeper, "192.0.2.70", "up").await;
        assert!(ip("-o link").contains("eth0.30") && on_eth0("192.0.2.70/24"));
    });
}

#[test]
fn a_domain_with_a_gateway_of_its_own_goes_by_it_and_nobody_else_does() {
    let Some(()) = namespace() else { return };
    let _neighbour = Neighbour::new();
    ip("link set lo up");
    ip("rule add from 10.9.9.9 lookup 77");
    let mut config = config(
        Some("eth0"),
        &["192.0.2.1/24", "2001:db8::1/64"],
        &[("bcd.com", &["198.51.100.70/24", "2001:db8:1::70/64"]), ("cde.com", &["192.0.2.71/24"])],
    );
    config.machine.gateways = vec!["192.0.2.2".parse().unwrap()];
    config.domains[0].gateways = vec!["198.51.100.1".parse().unwrap(), "2001:db8:1::1".parse().unwrap()];
    let way = |from: &str, to: &str| ip(&format!("route get {to} from {from}"));
    with_keeper(async |keeper: Rc<NicKeeper>| {
        keeper.apply(&config);
        let goes = || way("198.51.100.70", "203.0.113.9").contains("via 198.51.100.1 ");
        until(&keeper, "198.51.100.70", "up").await;
        eventually("bcd.com goes by its own gateway", goes).await;
        until(&keeper, "2001:db8:1::70", "up").await;
        eventually("in IPv6 too", || {
            ip("-6 rule").contains("from 2001:db8:1::70 lookup")
                && way("2001:db8:1::70", "2001:db8:9::9").contains("via 2001:db8:1::1 ")
        })
        .await;
        let near = way("198.51.100.70", "192.0.2.2");
        assert!(!near.contains("via"), "what is on the link needs no gateway: {near}");
        eventually("the others", || way("192.0.2.71", "203.0.113.9").contains("via 192.0.2.2 ")).await;
        ip("route flush table 1397751808");
        eventually("the road is built again", goes).await;
        assert_eq!(keeper.overview().roads.len(), 2);
    });
    with_keeper(async |keeper: Rc<NicKeeper>| {
        config.domains[0].gateways.clear();
        keeper.apply(&config);
        eventually("a new life takes the roads away", || !ip("rule").contains("198.51.100.70")).await;
        eventually("and their routes", || !ip("route show table all").contains("via 198.51.100.1 ")).await;
        eventually("of IPv6 as well", || !ip("-6 rule").contains("2001:db8:1::70")).await;
        assert!(ip("rule").contains("from 10.9.9.9 lookup 77"), "{}", ip("rule"));
    });
}

#[test]
fn an_address_that_another_machine_has_is_held_back_until_it_is_free() {
    let Some(()) = namespace() else { return };
    let neighbour = Neighbour::new();
    neighbour.run("ip addr add 192.0.2.70/24 dev far");
    neighbour.run("ip addr add 2001:db8::70/64 dev far nodad");
    let shown = neighbour.run("ip -o link show far");
    let mac = shown.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap();
    let own: &[&str] = &["192.0.2.70/24", "2001:db8::70/64"];
    with_keeper(async |keeper: Rc<NicKeeper>| {
        keeper.apply(&config(Some("eth0"), &["192.0.2.1/24"], &[("bcd.com", own)]));
        until(&keeper, "192.0.2.1", "up").await;
        let why = format!("192.0.2.70 is in use by another machine on eth0, {mac}");
        until(&keeper, "192.0.2.70", &why).await;
        until(&keeper, "2001:db8::70", "2001:db8::70 is in use by another machine on eth0").await;
        assert!(!on_eth0("192.0.2.70/24") && keeper.overview().conflicts.len() == 2);
        neighbour.run("ip addr del 192.0.2.70/24 dev far");
        // Its link goes and comes: whatever was learned of it is asked anew.
        neighbour.run("ip link set far down");
        until(&keeper, "192.0.2.1", "eth0 has no link").await;
        neighbour.run("ip link set far up");
        until(&keeper, "192.0.2.70", "up").await;
    });
}
