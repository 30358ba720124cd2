//! Real DNS: NSD, with forward and reverse zones written from data.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::super::{Host, Running, until_true};

/// Zones as data: names with their records, addresses with their names.
#[derive(Clone, Default)]
pub struct Zones {
    /// (zone, record lines as in a zone file, relative to the zone)
    forward: Vec<(String, String)>,
    reverse: Vec<(IpAddr, String)>,
    broken: Vec<String>,
}

impl Zones {
    /// `name` with its address record, and the address back to the name.
    pub fn host(mut self, name: &str, ip: &str) -> Zones {
        let address: IpAddr = ip.parse().unwrap();
        let kind = if address.is_ipv4() { "A" } else { "AAAA" };
        self.reverse.push((address, name.to_owned()));
        self.records(name, &format!("@ {kind} {ip}"))
    }

    /// Record lines of the zone `name`: `@ MX 10 mail`.
    pub fn records(mut self, name: &str, lines: &str) -> Zones {
        match self.forward.iter_mut().find(|(zone, _)| zone == name) {
            Some((_, text)) => *text = format!("{text}\n{lines}"),
            None => self.forward.push((name.to_owned(), lines.to_owned())),
        }
        self
    }

    /// A zone whose every question is answered SERVFAIL.
    pub fn broken(mut self, name: &str) -> Zones {
        self.broken.push(name.to_owned());
        self
    }

    fn files(&self) -> Vec<(String, String)> {
        let mut files: Vec<(String, String)> = self.forward.clone();
        for (zone, matching) in
            [("113.0.203.in-addr.arpa", true), ("0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", false)]
        {
            let mut lines = String::new();
            for (ip, name) in self.reverse.iter().filter(|(ip, _)| ip.is_ipv4() == matching) {
                writeln!(lines, "{}. PTR {name}.", reverse_name(*ip)).unwrap();
            }
            files.push((zone.to_owned(), lines));
        }
        files
    }
}

/// The name under which an address is looked up (RFC 1035 §3.5, RFC 3596 §2.5), without the final dot.
fn reverse_name(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let mut name = String::new();
            for octet in ip.octets().iter().rev() {
                write!(name, "{:x}.{:x}.", octet & 15, octet >> 4).unwrap();
            }
            name + "ip6.arpa"
        }
    }
}

/// A running NSD; its zones can be replaced.
pub struct Nsd {
    running: Running,
    lab: PathBuf,
    addresses: Vec<String>,
}

impl Nsd {
    /// Starts NSD on `host`, listening on `addresses`.
    pub fn start(host: &Host, addresses: &[&str], zones: &Zones) -> Nsd {
        let lab = super::lab_dir(host, "nsd");
        let addresses: Vec<String> = addresses.iter().map(|&a| a.to_owned()).collect();
        let running = Nsd::launch(host, &lab, &addresses, zones);
        Nsd { running, lab, addresses }
    }

    /// Stops, and starts again with other zones.
    pub fn replace(&mut self, host: &Host, zones: &Zones) {
        self.stop();
        self.running = Nsd::launch(host, &self.lab, &self.addresses, zones);
    }

    /// No answers from now on.
    pub fn stop(&mut self) {
        self.running.terminate();
        until_true("NSD stops", || self.running.ended().is_some());
    }

    fn launch(host: &Host, lab: &Path, addresses: &[String], zones: &Zones) -> Running {
        let dir = lab.join("zones");
        let _ = std::fs::remove_dir_all(lab.parent().unwrap().parent().unwrap());
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(lab.join("broken"), zones.broken.join("\n")).unwrap();
        for (zone, records) in zones.files() {
            let head = "$TTL 2\n@ SOA ns.lab. postmaster.lab. 1 3600 600 86400 2\n@ NS ns.lab.\n";
            std::fs::write(dir.join(&zone), format!("{head}{records}\n")).unwrap();
        }
        let args: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let mut running = super::start(host, "nsd", "start.sh", include_str!("nsd.sh"), &args);
        until_true("NSD answers", || {
            assert!(running.ended().is_none(), "NSD ended:\n{}", running.printed());
            args.iter().all(|address| host.within(|| answers(address)))
        });
        running
    }
}

/// Whether a name server at `address` answers a question for the root's SOA, whatever it says.
fn answers(address: &str) -> bool {
    let question = [7, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 1];
    let ip: IpAddr = address.parse().unwrap();
    let local = if ip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let Ok(socket) = std::net::UdpSocket::bind(local) else { return false };
    let _ = socket.set_read_timeout(Some(std::time::Duration::from_millis(200)));
    let asked = socket.send_to(&question, (ip, 53)).is_ok();
    asked && socket.recv(&mut [0; 512]).is_ok_and(|n| n >= 12)
}
