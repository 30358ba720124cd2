//! The commands about the machine itself, and their answers: its firmware slots, its NIC, its end.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::console::layout::{pairs, span};
use crate::time::WallTime;

/// A command that only a machine started from an image can carry out, or that is about its NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    ShowSlots,
    ShowInterface,
    ShowClock,
    SetClock(WallTime),
    /// From a file or an `http://` URL.
    Update(String),
    Reboot,
    PowerOff,
}

/// `show slots`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotsReport {
    pub running: String,
    /// Started whenever nothing else is asked for.
    pub good: String,
    /// To be started once, on trial.
    pub next: Option<String>,
    /// Starts in a row that nobody has called healthy, this one with them.
    pub unconfirmed_starts: usize,
}

impl SlotsReport {
    pub fn text(&self, out: &mut String, width: usize) {
        let next = self.next.clone().unwrap_or_else(|| "-".to_owned());
        let rows = [
            ("running", self.running.clone()),
            ("good", self.good.clone()),
            ("next, on trial", next),
            ("unconfirmed starts", self.unconfirmed_starts.to_string()),
        ];
        pairs(out, width, &rows.map(|(key, value)| (key.to_owned(), value)));
    }

    pub fn json(&self) -> Value {
        json!({
            "running": self.running,
            "good": self.good,
            "next": self.next,
            "unconfirmed_starts": self.unconfirmed_starts,
        })
    }
}

/// `show interface`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceReport {
    /// `None`: the box keeps no NIC, the addresses are there already.
    pub name: Option<String>,
    /// Whether the NIC has a link; `None` while it is not there, or is none.
    pub link: Option<bool>,
    pub mac: Option<String>,
    pub addresses: Vec<AddressLine>,
    /// Of the default routes, and whether the box put each there.
    pub gateways: Vec<(IpAddr, bool)>,
    pub roads: Vec<RoadLine>,
    /// Where the box's address comes from DHCP.
    pub lease: Option<LeaseLine>,
}

/// What the DHCP client does, and has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseLine {
    pub doing: String,
    pub address: Option<String>,
    pub server: Option<String>,
    pub left_s: Option<u64>,
}

/// A configured address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressLine {
    pub ip: IpAddr,
    /// Why it cannot be used now.
    pub pending: Option<String>,
    /// Another machine has it.
    pub conflict: bool,
}

/// A domain's own way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoadLine {
    pub domain: String,
    pub from: IpAddr,
    pub gateway: IpAddr,
    /// The routing table that it has; `None` while it is not there.
    pub table: Option<u32>,
}

impl InterfaceReport {
    pub fn text(&self, out: &mut String, width: usize) {
        let name = self.name.clone().unwrap_or_else(|| "none; addresses are used as they are".to_owned());
        let mut rows = vec![("interface".to_owned(), name)];
        rows.extend(self.link.map(|up| ("link".to_owned(), if up { "up" } else { "down" }.to_owned())));
        rows.extend(self.mac.iter().map(|mac| ("MAC".to_owned(), mac.clone())));
        rows.extend(self.gateways.iter().map(|(ip, ours)| {
            let whose = if *ours { "" } else { ", put there by somebody else" };
            ("gateway".to_owned(), format!("{ip}{whose}"))
        }));
        rows.extend(self.addresses.iter().map(|line| {
            let state =
                line.pending.as_ref().map_or_else(|| "up".to_owned(), |why| format!("pending: {why}"));
            (line.ip.to_string(), state)
        }));
        rows.extend(self.lease.iter().map(|lease| ("DHCP".to_owned(), lease.text())));
        rows.extend(self.roads.iter().map(|road| {
            let table = road.table.map_or("pending".to_owned(), |table| format!("table {table}"));
            (format!("{} of {}", road.from, road.domain), format!("goes by {}, {table}", road.gateway))
        }));
        pairs(out, width, &rows);
    }

    pub fn json(&self) -> Value {
        let address = |line: &AddressLine| {
            json!({
                "address": line.ip.to_string(),
                "up": line.pending.is_none(),
                "reason": line.pending,
                "conflict": line.conflict,
            })
        };
        let gateway = |(ip, ours): &(IpAddr, bool)| json!({ "gateway": ip.to_string(), "ours": ours });
        let road = |road: &RoadLine| {
            json!({
                "domain": road.domain,
                "address": road.from.to_string(),
                "gateway": road.gateway.to_string(),
                "table": road.table,
            })
        };
        json!({
            "interface": self.name,
            "link": self.link.map(|up| if up { "up" } else { "down" }),
            "mac": self.mac,
            "addresses": self.addresses.iter().map(address).collect::<Vec<_>>(),
            "gateways": self.gateways.iter().map(gateway).collect::<Vec<_>>(),
            "lease": self.lease.as_ref().map(LeaseLine::json),
            "domain_gateways": self.roads.iter().map(road).collect::<Vec<_>>(),
        })
    }
}

impl LeaseLine {
    fn text(&self) -> String {
        match (&self.address, &self.server, self.left_s) {
            (Some(address), Some(server), Some(left)) => {
                let left = span(Duration::from_secs(left));
                format!("{}: {address} from {server}, for {left} more", self.doing)
            }
            _ => self.doing.clone(),
        }
    }

    fn json(&self) -> Value {
        json!({
            "state": self.doing,
            "address": self.address,
            "server": self.server,
            "left_s": self.left_s,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_told() {
        let report = SlotsReport { running: "B".into(), good: "A".into(), next: None, unconfirmed_starts: 1 };
        let mut out = String::new();
        report.text(&mut out, 80);
        assert_eq!(out.lines().count(), 4, "{out}");
        assert_eq!(report.json()["running"], "B");
        assert_eq!(report.json()["next"], Value::Null);
    }

    #[test]
    fn an_address_is_up_or_has_a_reason() {
        let report = InterfaceReport {
            name: Some("eth0".into()),
            link: Some(false),
            mac: Some("52:54:00:12:34:56".into()),
            addresses: vec![
                AddressLine { ip: "192.0.2.1".parse().unwrap(), pending: None, conflict: false },
                AddressLine {
                    ip: "192.0.2.70".parse().unwrap(),
                    pending: Some("eth0 has no link".into()),
                    conflict: false,
                },
            ],
            gateways: vec![("192.0.2.254".parse().unwrap(), false)],
            roads: vec![RoadLine {
                domain: "bcd.com".into(),
                from: "192.0.2.70".parse().unwrap(),
                gateway: "192.0.2.253".parse().unwrap(),
                table: Some(7),
            }],
            lease: Some(LeaseLine {
                doing: "bound".into(),
                address: Some("192.0.2.1/24".into()),
                server: Some("192.0.2.254".into()),
                left_s: Some(600),
            }),
        };
        let mut out = String::new();
        report.text(&mut out, 80);
        assert!(out.contains("pending: eth0 has no link"), "{out}");
        assert!(out.contains("192.0.2.254, put there by somebody else\n"), "{out}");
        assert!(out.contains("192.0.2.70 of bcd.com  goes by 192.0.2.253, table 7\n"), "{out}");
        assert_eq!(report.json()["link"], "down");
        assert!(out.contains("bound: 192.0.2.1/24 from 192.0.2.254, for 10m more\n"), "{out}");
        assert_eq!(report.json()["addresses"][0]["up"], true);
        assert_eq!(report.json()["addresses"][1]["reason"], "eth0 has no link");
    }
}
