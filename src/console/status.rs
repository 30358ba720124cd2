//! `show status`: the box in one screen. Danger: what is wrong must stand there by itself, as an alarm; nobody
//! looks for what he does not know of.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::Port;
use crate::console::layout::{clean, pairs, size, span};
use crate::console::report::{or_dash, seconds};
use crate::time::WallTime;

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusReport {
    pub version: String,
    /// The box's own name, where it has one.
    pub name: Option<String>,
    pub uptime: Duration,
    pub time: WallTime,
    pub smtp: Port,
    pub sessions_in: usize,
    pub sessions_out: usize,
    pub domains_up: usize,
    pub domains_pending: usize,
    /// Messages that wait.
    pub queued: usize,
    /// How long the oldest of them waits.
    pub oldest: Option<Duration>,
    /// Since the start.
    pub accepted: u64,
    pub delivered: u64,
    pub bounced: u64,
    /// Failed AUTH commands.
    pub auth_failures: u64,
    /// The host that gets the log, where there is one.
    pub syslog: Option<SyslogReport>,
    pub memory_used_bytes: u64,
    pub memory_bound_bytes: u64,
    /// What the daemon may still do, and what not.
    pub confinement: String,
    /// What the operator should look at, one sentence each.
    pub alarms: Vec<String>,
}

/// Lines of the log that went to a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogReport {
    pub to: String,
    pub carrier: String,
    pub sent: u64,
    /// Those that came faster than they could be sent.
    pub lost: u64,
}

impl StatusReport {
    pub fn text(&self, out: &mut String, width: usize) {
        let waiting = match self.oldest {
            Some(oldest) => format!("{} waiting, the oldest for {}", self.queued, span(oldest)),
            None => format!("{} waiting", self.queued),
        };
        let port = match self.smtp {
            Port::On(port) => format!("port {port}"),
            Port::Off => "off".to_owned(),
        };
        let rows = [
            ("stagepost", self.version.clone()),
            ("name", or_dash(self.name.as_deref())),
            ("up for", span(self.uptime)),
            ("time", self.time.rfc3339()),
            ("smtp", format!("{port}, {} sessions in, {} out", self.sessions_in, self.sessions_out)),
            ("domains", format!("{} up, {} pending", self.domains_up, self.domains_pending)),
            ("queue", waiting),
            (
                "mail",
                format!("{} accepted, {} delivered, {} bounced", self.accepted, self.delivered, self.bounced),
            ),
            ("auth", format!("{} failures", self.auth_failures)),
            ("memory", format!("{} of {}", size(self.memory_used_bytes), size(self.memory_bound_bytes))),
            ("confined", clean(&self.confinement)),
        ];
        let mut rows: Vec<(String, String)> = rows.map(|(name, value)| (name.to_owned(), value)).into();
        if let Some(log) = &self.syslog {
            let text = format!("{} by {}, {} lines sent, {} lost", log.to, log.carrier, log.sent, log.lost);
            rows.push(("syslog".to_owned(), text));
        }
        match &self.alarms[..] {
            [] => rows.push(("alarms".to_owned(), "none".to_owned())),
            alarms => rows.extend(alarms.iter().map(|alarm| ("ALARM".to_owned(), clean(alarm)))),
        }
        pairs(out, width, &rows);
    }

    pub fn json(&self) -> Value {
        json!({
            "version": self.version,
            "name": self.name,
            "uptime_s": self.uptime.as_secs(),
            "time": self.time.rfc3339(),
            "smtp_port": port(self.smtp),
            "sessions_in": self.sessions_in,
            "sessions_out": self.sessions_out,
            "domains_up": self.domains_up,
            "domains_pending": self.domains_pending,
            "queued": self.queued,
            "oldest_s": seconds(self.oldest),
            "accepted": self.accepted,
            "delivered": self.delivered,
            "bounced": self.bounced,
            "auth_failures": self.auth_failures,
            "syslog": self.syslog.as_ref().map(|log| json!({
                "to": log.to, "carrier": log.carrier, "sent": log.sent, "lost": log.lost
            })),
            "memory_used_bytes": self.memory_used_bytes,
            "memory_bound_bytes": self.memory_bound_bytes,
            "confinement": self.confinement,
            "alarms": self.alarms,
        })
    }
}

fn port(port: Port) -> Value {
    match port {
        Port::On(number) => number.into(),
        Port::Off => Value::Null,
    }
}
