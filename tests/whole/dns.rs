//! The resolver against a real NSD: every kind of answer, truncation, servers that fail and servers that are
//! silent. NSD answers for its own zones only, so that an alias into another zone comes without its target.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use stagepost::config::model::{Config, IpLen};
use stagepost::dns::Question;
use stagepost::mail::Domain;
use stagepost::tasks::resolve::{Families, Resolver};

use crate::lab::peers::{Nsd, Zones};
use crate::lab::{ABC, BCD, DNS, Host, Lab, XYZ, until_true};

const DNS6: &str = "2001:db8::53";

fn zones() -> Zones {
    let long: Vec<String> = (0..40).map(|i| format!("long TXT \"{i:02} {}\"", "x".repeat(100))).collect();
    Zones::default()
        .host("abc.com", ABC)
        .host("bcd.com", BCD)
        .host("xyz.com", XYZ)
        .host("six.com", "2001:db8::25")
        .records("xyz.com", "@ MX 20 b\n@ MX 10 a\na A 203.0.113.26\na AAAA 2001:db8::26\nb A 203.0.113.27")
        .records(
            "xyz.com",
            "@ TXT \"v=spf1 mx -all\"\nwww CNAME a\nout CNAME a.other.net.\n*.wild A 203.0.113.28",
        )
        .records("xyz.com", "loop1 CNAME loop2\nloop2 CNAME loop1\nnowhere CNAME gone.other.net.")
        .records("xyz.com", &long.join("\n"))
        .records("other.net", "a A 203.0.113.29")
        .records("null.com", "@ MX 0 .")
        .records("dangling.com", "@ MX 10 gone.xyz.com.")
        .records("backup.com", "@ MX 10 a.xyz.com.\n@ MX 20 bcd.com.\n@ MX 30 b.xyz.com.")
        .records("circle.com", "@ MX 10 bcd.com.\n@ MX 20 a.xyz.com.")
        .records("aliased.com", "mail CNAME a.xyz.com.\n@ MX 10 mail")
        .records("empty.com", "@ TXT \"nothing else\"")
        .host("liar.com", "203.0.113.30")
        .broken("broken.com")
}

struct Bench {
    device: Host,
    dns: Host,
    nsd: Nsd,
    lab: Lab,
}

fn bench() -> Option<Bench> {
    let lab = Lab::new()?;
    let device = lab.host("device", &["203.0.113.1/24", "203.0.113.70/24", "2001:db8::1/64"]);
    let dns = lab.host("dns", &["203.0.113.53/24", "2001:db8::53/64"]);
    let nsd = Nsd::start(&dns, &[DNS, DNS6], &zones());
    Some(Bench { device, dns, nsd, lab })
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// A box with bcd.com's address that asks `servers`.
fn resolver(servers: &[&str]) -> Resolver {
    let mut config = Config::default();
    config.machine.addresses = vec![IpLen { ip: ip(BCD), len: None }];
    config.machine.nameservers = servers.iter().map(|server| SocketAddr::new(ip(server), 53)).collect();
    let resolver = Resolver::new(1);
    resolver.configure(&config);
    resolver
}

/// Mail hosts, or why there are none.
async fn hosts(resolver: &Resolver, name: &str) -> String {
    match resolver.mail_hosts(&domain(name)).await {
        Ok(hosts) => hosts
            .iter()
            .map(|host| format!("{} {}", host.preference, host.name))
            .collect::<Vec<_>>()
            .join(", "),
        Err(error) => error.status().to_owned(),
    }
}

async fn addresses(resolver: &Resolver, name: &str) -> String {
    match resolver.addresses(&domain(name), Families::Both).await {
        Ok(ips) => ips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", "),
        Err(error) => error.status().to_owned(),
    }
}

async fn query(resolver: &Resolver, words: &str) -> String {
    let (name, kind) = words.split_once(' ').unwrap();
    match resolver.query(&Question::parse(name, Some(kind)).unwrap()).await {
        Ok(records) => records.join(", "),
        Err(error) => error.status().to_owned(),
    }
}

#[test]
fn real_answers_decide_where_mail_goes() {
    let Some(bench) = bench() else { return };
    let cases = [
        ("sorted", "xyz.com", "10 a.xyz.com, 20 b.xyz.com"),
        ("no MX", "abc.com", "0 abc.com"),
        ("no MX, IPv6 only", "six.com", "0 six.com"),
        ("null MX", "null.com", "5.1.10"),
        ("an MX that does not exist", "dangling.com", "5.4.4"),
        ("this box is the backup", "backup.com", "10 a.xyz.com"),
        ("this box is the best", "circle.com", "5.4.6"),
        ("this box without MX", "bcd.com", "5.4.6"),
        ("an MX that is an alias", "aliased.com", "10 mail.aliased.com"),
        ("an alias", "www.xyz.com", "0 www.xyz.com"),
        ("neither MX nor address", "empty.com", "5.4.4"),
        ("no such name", "gone.xyz.com", "5.1.2"),
        ("an alias to no such name", "nowhere.xyz.com", "5.1.2"),
        ("aliases in a circle", "loop1.xyz.com", "4.4.3"),
        ("SERVFAIL", "broken.com", "4.4.3"),
        ("REFUSED", "unknown.org", "4.4.3"),
    ];
    for server in [DNS, DNS6] {
        bench.device.within(|| {
            smol::block_on(async {
                let resolver = resolver(&[server]);
                for (caption, name, wanted) in cases {
                    assert_eq!(hosts(&resolver, name).await, wanted, "{caption}: {name} at {server}");
                }
            });
        });
    }
}

#[test]
fn real_answers_give_addresses_and_verified_names() {
    let Some(bench) = bench() else { return };
    bench.device.within(|| {
        smol::block_on(async {
            let resolver = resolver(&[DNS]);
            for (name, wanted) in [
                ("a.xyz.com", "2001:db8::26, 203.0.113.26"),
                ("www.xyz.com", "2001:db8::26, 203.0.113.26"),
                ("out.xyz.com", "203.0.113.29"),
                ("any.wild.xyz.com", "203.0.113.28"),
                ("gone.xyz.com", "5.1.2"),
                ("empty.com", "5.4.4"),
                ("broken.com", "4.4.3"),
            ] {
                assert_eq!(addresses(&resolver, name).await, wanted, "{name}");
            }
            for (address, wanted) in [
                (ABC, Some("abc.com")),
                ("2001:db8::25", Some("six.com")),
                ("203.0.113.99", None),
                ("192.0.2.1", None),
            ] {
                assert_eq!(resolver.verified_name(ip(address)).await, wanted.map(domain), "{address}");
            }
        });
    });
}

#[test]
fn long_answers_come_whole_over_tcp() {
    let Some(bench) = bench() else { return };
    bench.device.within(|| {
        smol::block_on(async {
            let resolver = resolver(&[DNS]);
            let text = query(&resolver, "long.xyz.com TXT").await;
            assert_eq!(text.split(", ").count(), 40, "{text}");
            assert_eq!(query(&resolver, "xyz.com TXT").await, "\"v=spf1 mx -all\"");
            assert_eq!(query(&resolver, "www.xyz.com CNAME").await, "a.xyz.com");
            assert_eq!(query(&resolver, "203.0.113.25 PTR").await, "xyz.com");
            assert_eq!(query(&resolver, "xyz.com AAAA").await, "");
        });
    });
}

#[test]
fn the_next_server_is_asked_when_one_fails() {
    let Some(bench) = bench() else { return };
    let _silent = bench.lab.host("silent", &["203.0.113.54/24"]);
    let timed = |servers: &[&str], wanted: &str| {
        bench.device.within(|| {
            let begun = Instant::now();
            let resolver = resolver(servers);
            assert_eq!(smol::block_on(hosts(&resolver, "xyz.com")), wanted);
            begun.elapsed()
        })
    };
    let sorted = "10 a.xyz.com, 20 b.xyz.com";
    // Nobody listens at the first: the kernel says so at once.
    assert!(timed(&["203.0.113.54", DNS], sorted) < Duration::from_secs(2));
    bench.lab.cable("silent", false);
    // The first is gone. Asked once: after that the one that answered comes first.
    let waited = timed(&["203.0.113.54", DNS], sorted);
    assert!((Duration::from_secs(2)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
}

#[test]
fn an_absence_is_believed_as_long_as_its_zone_says() {
    let Some(mut bench) = bench() else { return };
    bench.device.within(|| {
        let resolver = resolver(&[DNS]);
        let look = || smol::block_on(hosts(&resolver, "late.xyz.com"));
        assert_eq!(look(), "5.1.2");
        bench.nsd.replace(&bench.dns, &zones().records("xyz.com", "late MX 10 a"));
        // The lab's zones say two seconds.
        until_true("the new record is seen", || look() == "10 a.xyz.com");
        bench.nsd.stop();
        assert_eq!(look(), "10 a.xyz.com", "from the cache");
    });
}
