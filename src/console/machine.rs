//! The commands about the machine itself, and their answers: its firmware slots, its NIC, its end.

use std::net::IpAddr;

use serde_json::{Value, json};

use crate::console::layout::pairs;

/// A command that only a machine started from an image can carry out, or that is about its NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    ShowSlots,
    ShowInterface,
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
    /// Each configured address, with the reason where it cannot be used.
    pub addresses: Vec<(IpAddr, Option<String>)>,
}

impl InterfaceReport {
    pub fn text(&self, out: &mut String, width: usize) {
        let name = self.name.clone().unwrap_or_else(|| "none; addresses are used as they are".to_owned());
        let mut rows = vec![("interface".to_owned(), name)];
        rows.extend(self.addresses.iter().map(|(ip, pending)| {
            let state = pending.as_ref().map_or_else(|| "up".to_owned(), |why| format!("pending: {why}"));
            (ip.to_string(), state)
        }));
        pairs(out, width, &rows);
    }

    pub fn json(&self) -> Value {
        let address = |(ip, pending): &(IpAddr, Option<String>)| json!({ "address": ip.to_string(), "up": pending.is_none(), "reason": pending });
        let addresses: Vec<Value> = self.addresses.iter().map(address).collect();
        json!({ "interface": self.name, "addresses": addresses })
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
            addresses: vec![
                ("192.0.2.1".parse().unwrap(), None),
                ("192.0.2.70".parse().unwrap(), Some("eth0 has no link".into())),
            ],
        };
        let mut out = String::new();
        report.text(&mut out, 80);
        assert!(out.contains("pending: eth0 has no link"), "{out}");
        assert_eq!(report.json()["addresses"][0]["up"], true);
        assert_eq!(report.json()["addresses"][1]["reason"], "eth0 has no link");
    }
}
