//! The resolver against nameservers on loopback that say what a table tells them.

use std::net::{TcpListener, UdpSocket};

use domain::base::iana::Rcode;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use smol::{Async, LocalExecutor};

use super::*;
use crate::dns::replies::{Script, question_end};

/// `(question, answer section)`; the answer `SERVFAIL`, `NXDOMAIN` or `TRUNCATED` is a code, not a record.
type Zone = &'static [(&'static str, &'static [&'static str])];

const ZONE: Zone = &[
    ("MX xyz.com", &["xyz.com 60 MX 20 b.xyz.com", "xyz.com 60 MX 10 a.xyz.com"]),
    ("A a.xyz.com", &["a.xyz.com 60 A 192.0.2.1"]),
    ("AAAA a.xyz.com", &["a.xyz.com 60 AAAA 2001:db8::1"]),
    ("A b.xyz.com", &["b.xyz.com 60 A 192.0.2.2", "b.xyz.com 60 A 192.0.2.3"]),
    (
        "MX bcd.com",
        &["bcd.com 60 MX 10 a.xyz.com", "bcd.com 60 MX 20 here.bcd.com", "bcd.com 60 MX 30 b.xyz.com"],
    ),
    ("A here.bcd.com", &["here.bcd.com 60 A 203.0.113.70"]),
    ("MX ours.com", &["ours.com 60 MX 10 box.abc.com", "ours.com 60 MX 20 a.xyz.com"]),
    ("MX null.com", &["null.com 60 MX 0 ."]),
    ("MX gone.com", &["gone.com 60 MX 10 no.xyz.com"]),
    ("A plain.com", &["plain.com 60 CNAME a.xyz.com"]),
    ("AAAA plain.com", &["SERVFAIL"]),
    ("MX broken.com", &["SERVFAIL"]),
    ("MX no.com", &["NXDOMAIN"]),
    ("A no.xyz.com", &["NXDOMAIN"]),
    ("AAAA no.xyz.com", &["NXDOMAIN"]),
    ("TXT long.com", &["TRUNCATED"]),
    (
        "PTR 1.2.0.192.in-addr.arpa",
        &["1.2.0.192.in-addr.arpa 60 PTR liar.com", "1.2.0.192.in-addr.arpa 60 PTR a.xyz.com"],
    ),
    ("PTR 66.2.0.192.in-addr.arpa", &["66.2.0.192.in-addr.arpa 60 PTR a.xyz.com"]),
];

/// A nameserver for [`ZONE`], over UDP and TCP at one port.
struct Server {
    udp: Async<UdpSocket>,
    tcp: Async<TcpListener>,
    asked: RefCell<Vec<String>>,
}

impl Server {
    fn new() -> Rc<Self> {
        loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                let (udp, tcp) = (Async::new(udp).unwrap(), Async::new(tcp).unwrap());
                return Rc::new(Server { udp, tcp, asked: RefCell::default() });
            }
        }
    }

    fn address(&self) -> SocketAddr {
        self.udp.get_ref().local_addr().unwrap()
    }

    async fn serve(&self) {
        future::zip(self.serve_udp(), self.serve_tcp()).await;
    }

    async fn serve_udp(&self) {
        let mut query = [0; 512];
        loop {
            let (len, peer) = self.udp.recv_from(&mut query).await.unwrap();
            let mut forged = self.reply(&query[..len], false);
            forged[1] ^= 1;
            self.udp.send_to(&forged, peer).await.unwrap();
            self.udp.send_to(b"noise", peer).await.unwrap();
            self.udp.send_to(&self.reply(&query[..len], false), peer).await.unwrap();
        }
    }

    async fn serve_tcp(&self) {
        loop {
            let (mut stream, _) = self.tcp.accept().await.unwrap();
            let mut len = [0; 2];
            stream.read_exact(&mut len).await.unwrap();
            let mut query = vec![0; u16::from_be_bytes(len).into()];
            stream.read_exact(&mut query).await.unwrap();
            let reply = self.reply(&query, true);
            stream.write_all(&(reply.len() as u16).to_be_bytes()).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    }

    fn reply(&self, query: &[u8], over_tcp: bool) -> Vec<u8> {
        let end = question_end(query);
        let name = domain::base::Name::from_octets(query[12..end - 4].to_vec()).unwrap().to_string();
        let kind =
            Kind::ALL.into_iter().find(|kind| kind.rtype().to_int() == u16::from(query[end - 3])).unwrap();
        let asked = format!("{kind} {}", name.to_ascii_lowercase());
        let known = ZONE.iter().find(|(question, _)| *question == asked).map(|(_, answers)| *answers);
        self.asked.borrow_mut().push(asked);
        let mut script = Script::new(query);
        let long = ["long.com 60 TXT one", "long.com 60 TXT two"];
        match known {
            Some(["SERVFAIL"]) => script.rcode = Rcode::SERVFAIL,
            Some(["NXDOMAIN"]) => script.rcode = Rcode::NXDOMAIN,
            Some(["TRUNCATED"]) if over_tcp => script.answers = &long,
            Some(["TRUNCATED"]) => script.truncated = true,
            answers => script.answers = answers.unwrap_or_default(),
        }
        script.bytes()
    }
}

/// Runs `test` with a resolver whose nameservers are a port where nobody listens and a [`Server`].
fn with_server<F: Future<Output = ()>>(test: impl FnOnce(Resolver, Rc<Server>) -> F) {
    let server = Server::new();
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let resolver = Resolver::new(1);
    resolver.configure(&config(&[nobody, server.address()]));
    let executor = LocalExecutor::new();
    let serving = server.clone();
    executor.spawn(async move { serving.serve().await }).detach();
    smol::block_on(executor.run(test(resolver, server)));
}

fn config(nameservers: &[SocketAddr]) -> Config {
    let mut config = Config::default();
    config.machine.name = Some(domain("box.abc.com"));
    config.machine.addresses.push(crate::config::model::IpLen { ip: ip("203.0.113.70"), len: None });
    config.machine.nameservers = nameservers.to_vec();
    config.machine.hosts = vec![
        (ip("127.0.0.25"), domain("static.com")),
        (ip("127.0.0.26"), domain("static.com")),
        (ip("127.0.0.25"), domain("other.com")),
    ];
    config
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Hosts or the error, in words.
async fn hosts(resolver: &Resolver, name: &str) -> String {
    match resolver.mail_hosts(&domain(name)).await {
        Ok(hosts) => hosts
            .iter()
            .map(|host| format!("{} {}", host.preference, host.name))
            .collect::<Vec<_>>()
            .join(", "),
        Err(error) => format!("{} {error}", error.status()),
    }
}

async fn addresses(resolver: &Resolver, name: &str, families: Families) -> String {
    match resolver.addresses(&domain(name), families).await {
        Ok(ips) => ips.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", "),
        Err(error) => format!("{} {error}", error.status()),
    }
}

#[test]
fn mail_hosts_come_in_order_and_end_before_this_box() {
    with_server(|resolver, _| async move {
        for (name, wanted) in [
            ("xyz.com", "10 a.xyz.com, 20 b.xyz.com"),
            ("bcd.com", "10 a.xyz.com"),
            ("ours.com", "5.4.6 mail for ours.com loops back to this host, which does not host it"),
            ("null.com", "5.1.10 null.com accepts no mail (null MX)"),
            ("gone.com", "5.4.4 gone.com has no mail host with an address"),
            ("plain.com", "0 plain.com"),
            ("nothing.com", "5.4.4 nothing.com has no mail host with an address"),
            ("no.com", "5.1.2 there is no domain no.com"),
            ("static.com", "0 static.com"),
            ("[192.0.2.9]", "0 [192.0.2.9]"),
            (
                "[203.0.113.70]",
                "5.4.6 mail for [203.0.113.70] loops back to this host, which does not host it",
            ),
        ] {
            assert_eq!(hosts(&resolver, name).await, wanted, "{name}");
        }
        let broken = hosts(&resolver, "broken.com").await;
        assert!(
            broken.starts_with("4.4.3 DNS lookup failed: MX broken.com: nameserver 127.0.0.1:"),
            "{broken}"
        );
    });
}

#[test]
fn addresses_come_from_either_family() {
    with_server(|resolver, _| async move {
        for (name, families, wanted) in [
            ("a.xyz.com", Families::Both, "2001:db8::1, 192.0.2.1"),
            ("a.xyz.com", Families::V4, "192.0.2.1"),
            ("a.xyz.com", Families::V6, "2001:db8::1"),
            ("b.xyz.com", Families::V6, "5.4.4 b.xyz.com has no mail host with an address"),
            ("plain.com", Families::Both, "192.0.2.1"),
            ("no.xyz.com", Families::Both, "5.1.2 there is no domain no.xyz.com"),
            ("static.com", Families::Both, "127.0.0.25, 127.0.0.26"),
            ("static.com", Families::V6, "5.4.4 static.com has no mail host with an address"),
            ("[192.0.2.9]", Families::Both, "192.0.2.9"),
        ] {
            assert_eq!(addresses(&resolver, name, families).await, wanted, "{name} {families:?}");
        }
        let half = addresses(&resolver, "plain.com", Families::V6).await;
        assert!(half.contains("SERVFAIL"), "{half}");
    });
}

#[test]
fn a_name_is_verified_forward() {
    with_server(|resolver, _| async move {
        for (address, wanted) in [
            ("192.0.2.1", Some("a.xyz.com")),
            ("::ffff:192.0.2.1", Some("a.xyz.com")),
            ("192.0.2.66", None),
            ("192.0.2.99", None),
            ("127.0.0.25", Some("static.com")),
        ] {
            assert_eq!(resolver.verified_name(ip(address)).await, wanted.map(domain), "{address}");
        }
    });
}

#[test]
fn an_operator_sees_records_as_text() {
    with_server(|resolver, _| async move {
        for (name, kind, wanted) in [
            ("xyz.com", "MX", "20 b.xyz.com; 10 a.xyz.com"),
            ("long.com", "TXT", "\"one\"; \"two\""),
            ("static.com", "A", "127.0.0.25; 127.0.0.26"),
            ("static.com", "AAAA", ""),
            ("127.0.0.25", "PTR", "static.com"),
            ("xyz.com", "A", ""),
        ] {
            let question = Question::parse(name, Some(kind)).unwrap();
            assert_eq!(resolver.query(&question).await.unwrap().join("; "), wanted, "{question}");
        }
        let question = Question::parse("no.com", Some("MX")).unwrap();
        assert_eq!(resolver.query(&question).await, Err(LookupError::NoSuchDomain("no.com".to_owned())));
    });
}

#[test]
fn who_asks_the_same_shares_one_lookup_and_the_cache() {
    with_server(|resolver, server| async move {
        let question = Question::parse("xyz.com", Some("MX")).unwrap();
        let asked = || server.asked.borrow().iter().filter(|asked| *asked == "MX xyz.com").count();
        let answers = all((0..200).map(|_| resolver.query(&question))).await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|records| records.len() == 2)));
        // The server notes each query twice: for the forged reply and for its own.
        assert_eq!(asked(), 2);
        resolver.query(&question).await.unwrap();
        assert_eq!(asked(), 2, "from the cache");
        assert_eq!(resolver.0.first.get(), 1, "the silent server is not the first one any more");
        resolver.configure(&config(&[server.address()]));
        resolver.query(&question).await.unwrap();
        assert_eq!(asked(), 4, "another configuration begins anew");
        assert_eq!(resolver.cache_size().0, 1);
    });
}

#[test]
fn more_questions_than_places_are_all_answered() {
    with_server(|resolver, _| async move {
        let ask = |i: usize| {
            let resolver = resolver.clone();
            async move { hosts(&resolver, &format!("nothing{i}.com")).await }
        };
        let answers = all((0..3 * DNS_LOOKUPS_MAX).map(ask)).await;
        assert!(answers.iter().all(|answer| answer.starts_with("5.4.4")), "{answers:?}");
    });
}

#[test]
fn a_dropped_lookup_is_taken_over() {
    with_server(|resolver, _| async move {
        let question = Question::parse("xyz.com", Some("MX")).unwrap();
        let mut first = Box::pin(resolver.query(&question));
        assert!(future::poll_once(&mut first).await.is_none());
        let mut second = Box::pin(resolver.query(&question));
        assert!(future::poll_once(&mut second).await.is_none());
        drop(first);
        assert_eq!(second.await.unwrap().len(), 2);
        let question = Question::parse("b.xyz.com", None).unwrap();
        let mut third = Box::pin(resolver.query(&question));
        assert!(future::poll_once(&mut third).await.is_none());
        drop(third);
        assert!(resolver.0.flights.is_empty());
    });
}

#[test]
fn without_nameservers_static_names_work_and_the_rest_waits() {
    let resolver = Resolver::new(1);
    resolver.configure(&config(&[]));
    smol::block_on(async {
        assert_eq!(hosts(&resolver, "static.com").await, "0 static.com");
        let wanted = "4.4.3 DNS lookup failed: no nameserver is configured";
        assert_eq!(hosts(&resolver, "xyz.com").await, wanted);
        assert_eq!(addresses(&resolver, "a.xyz.com", Families::Both).await, wanted);
        assert_eq!(resolver.verified_name(ip("192.0.2.1")).await, None);
    });
}
