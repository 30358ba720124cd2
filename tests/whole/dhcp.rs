//! The box's own address from real DHCP servers: dnsmasq and Debian's udhcpd.

use crate::lab::peers::{Nsd, daemon};
use crate::lab::{BCD, DNS, Dialogue, Host, Lab, Running, Stagepost, until_true};
use crate::world::zones;

const CONFIG: &str = "box name abc.com\nbox interface eth0\nbox address dhcp\n\
    domain bcd.com address 203.0.113.70/24\ndomain bcd.com client 203.0.113.9\n";

/// dnsmasq as a DHCP server alone, which hands out 203.0.113.100 first.
fn dnsmasq(host: &Host) -> Running {
    let conf = format!(
        "port=0\ninterface=eth0\nuser=root\nlog-dhcp\nlog-facility=-\ndhcp-leasefile=/lab/leases\n\
         dhcp-authoritative\ndhcp-sequential-ip\nno-ping\n\
         dhcp-range=203.0.113.100,203.0.113.101,255.255.255.0,300\n\
         dhcp-option=option:router,203.0.113.254\ndhcp-option=option:dns-server,{DNS}\n\
         dhcp-option=option:ntp-server,203.0.113.25\n"
    );
    daemon(
        host,
        "dnsmasq",
        &[("dnsmasq.conf", &conf)],
        &["/usr/sbin/dnsmasq", "-k", "-C", "/lab/dnsmasq.conf"],
    )
}

/// udhcpd with one address, for ten seconds.
fn udhcpd(host: &Host) -> Running {
    let conf = "start 203.0.113.100\nend 203.0.113.100\ninterface eth0\nlease_file /lab/leases\n\
        pidfile /run/udhcpd.pid\nmin_lease 5\nauto_time 0\noption subnet 255.255.255.0\noption lease 10\n";
    daemon(
        host,
        "udhcpd",
        &[("udhcpd.conf", conf), ("leases", "")],
        &["/usr/sbin/udhcpd", "-f", "/lab/udhcpd.conf"],
    )
}

fn lease(device: &Stagepost) -> serde_json::Value {
    device.console(&["show", "interface"])["lease"].clone()
}

fn has(device: &Stagepost, address: &str) -> bool {
    lease(device)["address"] == address
}

#[test]
fn a_lease_brings_the_address_and_all_that_is_not_configured() {
    let Some(lab) = Lab::new() else { return };
    let (router, pc) = (lab.host("router", &["203.0.113.254/24"]), lab.host("pc", &["203.0.113.9/24"]));
    let dns = lab.host("dns", &[&format!("{DNS}/24")]);
    let _nsd = Nsd::start(&dns, &[DNS], &zones());
    let host = lab.host("device", &[]);
    let server = dnsmasq(&router);
    let device = Stagepost::start(&host, CONFIG);
    until_true("the lease is there", || has(&device, "203.0.113.100/24"));
    until_true("all addresses are up", || {
        let shown = device.console(&["show", "interface"]);
        let addresses = shown["addresses"].as_array().unwrap().clone();
        addresses.len() == 2 && addresses.iter().all(|a| a["up"] == true)
    });
    until_true("the router is the lease's", || {
        host.ip(&["route"]).contains("default via 203.0.113.254 dev eth0 proto 83 src 203.0.113.100")
    });
    let text = device.console_text(&["show", "interface"]);
    assert!(text.contains("bound: 203.0.113.100/24 from 203.0.113.254, for "), "{text}");
    assert_eq!(device.console(&["resolve", "xyz.com"])["records"], serde_json::json!(["203.0.113.25"]));
    until_true("the time server is the lease's", || {
        device.console(&["show", "clock"])["servers"][0]["host"] == "203.0.113.25"
    });
    until_true("its door is open", || {
        host.within(|| std::net::TcpStream::connect("203.0.113.100:25").is_ok())
    });
    let greeted = Dialogue::connect(&pc, "203.0.113.100").reply();
    assert!(greeted.starts_with("220 abc.com"), "{greeted}");
    let config = device.console_text(&["show", "config"]);
    assert!(config.contains("box address dhcp\n") && !config.contains("203.0.113.100"), "{config}");

    for words in [&["delete", "box", "address"][..], &["set", "box address 203.0.113.1/24"], &["commit"]] {
        let done = device.try_console(words);
        assert_eq!(done.code, 0, "{words:?}: {}", done.err);
    }
    until_true("the fixed address is there", || host.has_address("203.0.113.1"));
    until_true("the leased one is not", || !host.has_address("203.0.113.100"));
    assert!(host.has_address(BCD) && lease(&device).is_null());
    until_true("it was given back", || server.printed().contains("DHCPRELEASE(eth0) 203.0.113.100"));
}

#[test]
fn a_lease_is_renewed_and_ends_when_nobody_renews_it() {
    let Some(lab) = Lab::new() else { return };
    let router = lab.host("router", &["203.0.113.254/24"]);
    let host = lab.host("device", &[]);
    let mut server = udhcpd(&router);
    let device = Stagepost::start(&host, CONFIG);
    until_true("the lease is there", || has(&device, "203.0.113.100/24"));
    let left = || lease(&device)["left_s"].as_u64().unwrap_or(0);
    until_true("time passes", || (1..=6).contains(&left()));
    until_true("and is given anew", || left() >= 8);
    assert!(host.has_address("203.0.113.100"));
    server.kill9();
    until_true("the lease is over", || lease(&device)["address"].is_null());
    until_true("and its address gone", || !host.has_address("203.0.113.100"));
    assert!(host.has_address(BCD), "the domains keep theirs");
    let log = device.stderr();
    assert!(log.contains("DHCP: the lease is over"), "{log}");
}

#[test]
fn an_address_that_somebody_has_is_declined() {
    let Some(lab) = Lab::new() else { return };
    let router = lab.host("router", &["203.0.113.254/24"]);
    let _other = lab.host("other", &["203.0.113.100/24"]);
    let host = lab.host("device", &[]);
    let server = dnsmasq(&router);
    let device = Stagepost::start(&host, CONFIG);
    until_true("the server hears of it", || server.printed().contains("DHCPDECLINE(eth0) 203.0.113.100"));
    until_true("and has another", || has(&device, "203.0.113.101/24") && host.has_address("203.0.113.101"));
    assert!(!host.has_address("203.0.113.100"));
}
