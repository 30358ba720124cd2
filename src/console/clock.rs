//! `show clock`: the time, whether it can be trusted, and what each time server said of it.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use crate::console::layout::{clean, pairs, span};
use crate::time::WallTime;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockReport {
    pub time: WallTime,
    pub mark: Mark,
    /// How far off the servers found the clock when they last agreed: in words, and in nanoseconds.
    pub offset: Option<(String, i64)>,
    /// Why they have not agreed since, or why the clock could not be set.
    pub trouble: Option<String>,
    /// Until they are asked again.
    pub next: Option<Duration>,
    pub servers: Vec<ServerReport>,
}

/// Who answers for the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// This machine's system; the box only looks at it.
    Left,
    /// Nobody; what it began from.
    Unset(String),
    /// By whom it was set.
    Set(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReport {
    pub host: String,
    pub address: Option<IpAddr>,
    /// Stratum, offset and distance in nanoseconds; or why its word counts for nothing.
    pub heard: Result<(u8, i64, i64), String>,
    /// It belongs to the majority.
    pub agrees: bool,
}

impl ClockReport {
    pub fn text(&self, out: &mut String, width: usize) {
        let mark = match &self.mark {
            Mark::Left => "left to this machine's system; `box clock keep` would set it".to_owned(),
            Mark::Unset(from) => format!("NOT SET; it began from {from}"),
            Mark::Set(by) => format!("set by {by}"),
        };
        let mut rows = vec![("time", self.time.rfc3339()), ("clock", mark)];
        rows.extend(self.offset.iter().map(|(told, _)| ("servers are ahead by", told.clone())));
        rows.extend(self.trouble.iter().map(|why| ("trouble", clean(why))));
        rows.extend(self.next.map(|next| ("asked again in", span(next))));
        rows.extend(self.servers.iter().map(|server| ("server", server.text())));
        let rows: Vec<(String, String)> =
            rows.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        pairs(out, width, &rows);
    }

    pub fn json(&self) -> Value {
        let (state, detail) = match &self.mark {
            Mark::Left => ("left", None),
            Mark::Unset(from) => ("unset", Some(from)),
            Mark::Set(by) => ("set", Some(by)),
        };
        json!({
            "time": self.time.rfc3339(),
            "state": state,
            "by": detail,
            "offset_ms": self.offset.as_ref().map(|(_, offset)| milliseconds(*offset)),
            "trouble": self.trouble,
            "next_poll_s": self.next.map(|next| next.as_secs()),
            "servers": self.servers.iter().map(ServerReport::json).collect::<Vec<_>>(),
        })
    }
}

fn milliseconds(nanos: i64) -> f64 {
    (nanos / 1000) as f64 / 1000.0
}

impl ServerReport {
    fn text(&self) -> String {
        let host = clean(&self.host);
        let at = self.address.map(|ip| ip.to_string()).filter(|ip| *ip != host);
        let at = at.map(|ip| format!(" [{ip}]")).unwrap_or_default();
        match &self.heard {
            Ok((stratum, offset, distance)) => {
                let verdict = if self.agrees { "" } else { "; NOT BELIEVED" };
                let (offset, distance) = (milliseconds(*offset), milliseconds(*distance));
                format!(
                    "{host}{at}: stratum {stratum}, ahead by {offset:.1} ms, give or take {distance:.1}{verdict}"
                )
            }
            Err(why) => format!("{host}{at}: {}", clean(why)),
        }
    }

    fn json(&self) -> Value {
        let heard = self.heard.as_ref().ok();
        json!({
            "host": self.host,
            "address": self.address.map(|ip| ip.to_string()),
            "stratum": heard.map(|(stratum, ..)| stratum),
            "offset_ms": heard.map(|(_, offset, _)| milliseconds(*offset)),
            "distance_ms": heard.map(|(.., distance)| milliseconds(*distance)),
            "agrees": self.agrees,
            "error": self.heard.as_ref().err(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_seen_at_once() {
        let report = ClockReport {
            time: WallTime::from_unix_seconds(975_320_363),
            mark: Mark::Unset("the last time it knew".into()),
            offset: Some(("2.5 s".into(), 2_500_000_000)),
            trouble: Some("the clock cannot be set".into()),
            next: Some(Duration::from_secs(64)),
            servers: vec![
                ServerReport {
                    host: "ntp.abc.com".into(),
                    address: "192.0.2.7".parse().ok(),
                    heard: Ok((2, 2_500_000_000, 4_250_000)),
                    agrees: false,
                },
                ServerReport {
                    host: "192.0.2.8".into(),
                    address: "192.0.2.8".parse().ok(),
                    heard: Err("no reply".into()),
                    agrees: false,
                },
            ],
        };
        let mut out = String::new();
        report.text(&mut out, 200);
        for line in [
            "clock                 NOT SET; it began from the last time it knew\n",
            "server                ntp.abc.com [192.0.2.7]: stratum 2, ahead by 2500.0 ms, give or take 4.2; NOT BELIEVED\n",
            "server                192.0.2.8: no reply\n",
        ] {
            assert!(out.contains(line), "{out}");
        }
        let json = report.json();
        assert_eq!((&json["state"], &json["offset_ms"]), (&"unset".into(), &2500.0.into()));
        assert_eq!(json["servers"][1]["error"], "no reply");
    }
}
