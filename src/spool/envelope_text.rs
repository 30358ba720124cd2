//! An envelope as text, one fact a line, for a message that is taken out of one box and put into another.
//! Danger: a recipient that is settled must not be mailed again by the box that takes the message in.

use std::fmt::Write;

use crate::mail::{Address, Body, Envelope, Notify, QueueId, Recipient, Ret, ReversePath};
use crate::spool::{Meta, RecipientState, Stored};
use crate::time::WallTime;

/// Writes a message's facts and the states of its recipients. Of each recipient, `to` comes first.
pub(super) fn write(id: QueueId, stored: &Stored) -> String {
    let mut text = String::new();
    let Envelope { reverse_path, recipients, body, smtputf8, ret, envid, require_tls } =
        &stored.meta.envelope;
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        let _infallible = writeln!(text, "{key} {value}");
    };
    line("id", &id);
    line("received", &stored.meta.received.unix_millis());
    line("origin", &stored.meta.origin.replace(char::is_control, " "));
    line("from", &format_args!("<{reverse_path}>"));
    if stored.meta.authored {
        line("authored", &"yes");
    }
    if *body == Body::EightBitMime {
        line("body", &"8bitmime");
    }
    if *smtputf8 {
        line("smtputf8", &"yes");
    }
    if *require_tls {
        line("requiretls", &"yes");
    }
    if let Some(ret) = ret {
        line("ret", &if *ret == Ret::Full { "full" } else { "hdrs" });
    }
    if let Some(envid) = envid {
        line("envid", envid);
    }
    for (recipient, state) in recipients.iter().zip(&stored.state.recipients) {
        line("to", &format_args!("<{}>", recipient.address));
        if let Some(notify) = recipient.notify {
            line("notify", &notify_text(notify));
        }
        if let Some(orcpt) = &recipient.orcpt {
            line("orcpt", orcpt);
        }
        line("state", &state_text(state).replace(char::is_control, " "));
    }
    text
}

/// `pending`, or `delivered`, `failed` or `deferred` and the reply.
pub(super) fn state_text(state: &RecipientState) -> String {
    match state {
        RecipientState::Pending => "pending".to_owned(),
        RecipientState::Delivered { reply } => format!("delivered {reply}"),
        RecipientState::Failed { reply } => format!("failed {reply}"),
        RecipientState::Deferred { reply } => format!("deferred {reply}"),
    }
}

fn notify_text(notify: Notify) -> String {
    let words = [(notify.success, "success"), (notify.failure, "failure"), (notify.delay, "delay")];
    let said: Vec<&str> = words.into_iter().filter(|(set, _)| *set).map(|(_, word)| word).collect();
    if said.is_empty() { "never".to_owned() } else { said.join(",") }
}

/// Reads what [`write`] has written, without the recipients that are settled. The text of an error names
/// the line.
pub(super) fn read(text: &str) -> Result<Meta, String> {
    let mut reading = Reading {
        meta: Meta {
            received: WallTime::default(),
            origin: String::new(),
            authored: false,
            envelope: Envelope::plain(ReversePath::Null, []),
        },
        has_sender: false,
        settled: Vec::new(),
    };
    for (n, line) in text.lines().enumerate() {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        reading.take(key, value).ok_or_else(|| format!("line {}: `{line}` is not understood", n + 1))?;
    }
    if !reading.has_sender {
        return Err("there is no `from` line".to_owned());
    }
    let Reading { mut meta, settled, .. } = reading;
    let mut settled = settled.into_iter();
    meta.envelope.recipients.retain(|_| settled.next() == Some(false));
    Ok(meta)
}

struct Reading {
    meta: Meta,
    has_sender: bool,
    /// Of each recipient.
    settled: Vec<bool>,
}

impl Reading {
    fn take(&mut self, key: &str, value: &str) -> Option<()> {
        let envelope = &mut self.meta.envelope;
        match key {
            "id" => {}
            "received" => self.meta.received = WallTime::from_unix_millis(value.parse().ok()?),
            "origin" => self.meta.origin = value.to_owned(),
            "from" => {
                envelope.reverse_path = reverse_path(value)?;
                self.has_sender = true;
            }
            "authored" => self.meta.authored = value == "yes",
            "body" => envelope.body = if value == "8bitmime" { Body::EightBitMime } else { return None },
            "smtputf8" => envelope.smtputf8 = value == "yes",
            "requiretls" => envelope.require_tls = value == "yes",
            "ret" => envelope.ret = Some(if value == "full" { Ret::Full } else { Ret::Headers }),
            "envid" => envelope.envid = Some(value.to_owned()),
            "to" => {
                envelope.recipients.push(Recipient::plain(Address::parse(inside(value)?).ok()?));
                self.settled.push(false);
            }
            "notify" => envelope.recipients.last_mut()?.notify = Some(notify(value)?),
            "orcpt" => envelope.recipients.last_mut()?.orcpt = Some(value.to_owned()),
            "state" => {
                *self.settled.last_mut()? = value.starts_with("delivered") || value.starts_with("failed")
            }
            _ => return None,
        }
        Some(())
    }
}

fn inside(path: &str) -> Option<&str> {
    path.strip_prefix('<')?.strip_suffix('>')
}

fn reverse_path(value: &str) -> Option<ReversePath> {
    match inside(value)? {
        "" => Some(ReversePath::Null),
        address => Address::parse(address).ok().map(ReversePath::Address),
    }
}

fn notify(value: &str) -> Option<Notify> {
    let mut notify = Notify::NEVER;
    for word in value.split(',').filter(|word| *word != "never") {
        match word {
            "success" => notify.success = true,
            "failure" => notify.failure = true,
            "delay" => notify.delay = true,
            _ => return None,
        }
    }
    Some(notify)
}
