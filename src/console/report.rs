//! The answers of the console as plain data, and their two forms: text for a serial line of 80 columns, and
//! JSON whose keys are listed in `console`. Danger: scripts read the keys, so they never change their meaning;
//! foreign text in an answer must not steer the terminal.

use std::time::Duration;

use serde_json::{Value, json};

use crate::console::certificates::CertificateReport;
use crate::console::clock::ClockReport;
use crate::console::dkim::DkimReport;
use crate::console::flash::FlashReport;
use crate::console::layout::{clean, pairs, size, span, table, wrap};
use crate::console::machine::{InterfaceReport, SlotsReport};
use crate::console::mailbox::{LetterReport, MailboxLine, MailboxReport, all_text};
use crate::console::status::StatusReport;
use crate::time::WallTime;

/// An answer to a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    Status(StatusReport),
    Domains(Vec<DomainReport>),
    Queue(Vec<QueueEntry>),
    Message(MessageReport),
    Mailboxes(Vec<MailboxLine>),
    Mailbox(MailboxReport),
    Letter(LetterReport),
    Log(Vec<LogLine>),
    Memory(MemoryReport),
    Dkim(DkimReport),
    Certificates(Vec<CertificateReport>),
    Flash(FlashReport),
    /// The running configuration, as its statements.
    Config(Vec<String>),
    /// The same with its secrets, and the lines that carry keys and certificates.
    Export {
        statements: Vec<String>,
        carried: Vec<String>,
    },
    Help(Vec<HelpLine>),
    /// `show changes`: statements after `-` and `+`.
    Changes(Vec<String>),
    /// `show history`.
    History(Vec<FormerConfig>),
    /// `resolve`: as in a zone file.
    Records(Vec<String>),
    /// `queue ...`: how many messages it touched.
    Touched {
        messages: usize,
    },
    Slots(SlotsReport),
    /// `show crash`: what was said, and the log before it.
    Crash {
        what: String,
        log: Vec<String>,
    },
    Interface(InterfaceReport),
    Clock(ClockReport),
    /// Something was done, and there is only this to say.
    Done(String),
}

/// One domain of `show domains`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainReport {
    pub name: String,
    pub addresses: Vec<AddressReport>,
    pub ehlo: String,
    /// SHA-256 of the certificate that TLS clients see, as `AB:CD:...`.
    pub certificate: Option<String>,
    /// Held back by the operator.
    pub held: bool,
    pub queued: usize,
    pub oldest: Option<Duration>,
    /// The last reply of any remote host to this domain's mail.
    pub last_reply: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressReport {
    pub address: String,
    pub state: AddressState,
}

/// Whether an address can be spoken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressState {
    Up,
    /// Not on the NIC yet, and why.
    Pending(String),
}

/// One message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    pub id: String,
    pub domain: String,
    /// `None` is the null path.
    pub from: Option<String>,
    pub recipients: Vec<RecipientReport>,
    pub size_bytes: u64,
    pub age: Duration,
    pub attempts: u32,
    /// Until the next attempt; `None` while none is planned.
    pub next_attempt: Option<Duration>,
    /// Held back by the operator.
    pub held: bool,
    /// Why the message waits.
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipientReport {
    pub address: String,
    pub state: RecipientState,
    /// The last reply that concerned this recipient.
    pub reply: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecipientState {
    Pending,
    Deferred,
    Delivered,
    Failed,
}

/// `show message ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageReport {
    pub entry: QueueEntry,
    /// `From SENDER DATE`, as in Figure 1B.
    pub from_line: String,
    pub arrived: WallTime,
    pub headers_bytes: u64,
    pub last_reply: Option<String>,
}

/// One line of `show log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub time: WallTime,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: &'static str,
    pub text: String,
}

/// `show memory`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryReport {
    /// Clients at once, as the machine's memory allows.
    pub sessions_max: usize,
    pub parts: Vec<MemoryPart>,
    /// What the kernel says that the process takes, where it says so.
    pub resident_bytes: Option<u64>,
    /// All the memory of the machine and how much of it is to be had, where the kernel says so.
    pub machine: Option<MachineMemory>,
}

/// The memory of the whole machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineMemory {
    pub bytes: u64,
    pub available_bytes: u64,
}

/// One thing that grows, and how far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPart {
    pub name: String,
    pub used_bytes: u64,
    pub bound_bytes: u64,
}

/// A form and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelpLine {
    pub form: String,
    pub help: String,
}

/// One line of `show history`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerConfig {
    /// What `rollback` takes.
    pub number: usize,
    /// When another took its place.
    pub replaced: WallTime,
    pub statements: usize,
}

impl Report {
    /// As text in lines of at most `width` columns, each ended by `\n`.
    pub fn text(&self, width: usize) -> String {
        let mut out = String::new();
        match self {
            Report::Status(status) => status.text(&mut out, width),
            Report::Domains(domains) => domains_text(&mut out, width, domains),
            Report::Queue(entries) => queue_text(&mut out, width, entries),
            Report::Message(message) => message.text(&mut out, width),
            Report::Mailboxes(all) => all_text(&mut out, all),
            Report::Mailbox(mailbox) => mailbox.text(&mut out, width),
            Report::Letter(letter) => letter.text(&mut out, width),
            Report::Log(lines) => lines.iter().for_each(|line| line.text(&mut out, width)),
            Report::Memory(memory) => memory.text(&mut out),
            Report::Dkim(dkim) => dkim.text(&mut out, width),
            Report::Certificates(all) => all.iter().for_each(|one| one.text(&mut out, width)),
            Report::Flash(flash) => flash.text(&mut out, width),
            Report::Config(statements) => statements.iter().for_each(|s| out.extend([s.as_str(), "\n"])),
            Report::Export { statements, carried } => {
                statements.iter().chain(carried).for_each(|line| out.extend([line.as_str(), "\n"]));
            }
            Report::Help(lines) => help_text(&mut out, width, lines),
            Report::Changes(lines) if lines.is_empty() => out.push_str("nothing has changed\n"),
            Report::Changes(lines) => lines.iter().for_each(|line| out.extend([line.as_str(), "\n"])),
            Report::History(former) => history_text(&mut out, former),
            Report::Records(records) => {
                records.iter().for_each(|r| wrap(&mut out, width, "", "  ", &clean(r)))
            }
            Report::Touched { messages: 1 } => out.push_str("1 message\n"),
            Report::Touched { messages } => out.push_str(&format!("{messages} messages\n")),
            Report::Slots(slots) => slots.text(&mut out, width),
            Report::Crash { what, log } => {
                wrap(&mut out, width, "", "  ", &clean(what));
                log.iter().for_each(|line| wrap(&mut out, width, "", "    ", &clean(line)));
            }
            Report::Interface(interface) => interface.text(&mut out, width),
            Report::Clock(clock) => clock.text(&mut out, width),
            Report::Done(what) => wrap(&mut out, width, "", "", &clean(what)),
        }
        out
    }

    /// As one JSON object, on one line.
    pub fn json(&self) -> String {
        let value = match self {
            Report::Status(status) => status.json(),
            Report::Domains(domains) => json!({ "domains": all(domains, DomainReport::json) }),
            Report::Queue(entries) => json!({ "queue": all(entries, QueueEntry::json) }),
            Report::Message(message) => message.json(),
            Report::Mailboxes(list) => json!({ "mailboxes": all(list, MailboxLine::json) }),
            Report::Mailbox(mailbox) => mailbox.json(),
            Report::Letter(letter) => letter.json(),
            Report::Log(lines) => json!({ "lines": all(lines, LogLine::json) }),
            Report::Memory(memory) => memory.json(),
            Report::Dkim(dkim) => dkim.json(),
            Report::Certificates(list) => {
                json!({ "certificates": all(list, CertificateReport::json) })
            }
            Report::Flash(flash) => flash.json(),
            Report::Config(statements) => json!({ "statements": statements }),
            Report::Export { statements, carried } => {
                json!({ "statements": statements, "carried": carried })
            }
            Report::Help(lines) => {
                json!({ "help": all(lines, |line| json!({ "form": line.form, "help": line.help })) })
            }
            Report::Changes(lines) => json!({ "changes": lines }),
            Report::History(former) => json!({ "history": all(former, FormerConfig::json) }),
            Report::Records(records) => json!({ "records": records }),
            Report::Touched { messages } => json!({ "messages": messages }),
            Report::Slots(slots) => slots.json(),
            Report::Crash { what, log } => json!({ "crash": what, "log": log }),
            Report::Interface(interface) => interface.json(),
            Report::Clock(clock) => clock.json(),
            Report::Done(what) => json!({ "done": what }),
        };
        format!("{value}\n")
    }
}

/// A failure of a command, as JSON.
pub fn error_json(what: &str) -> String {
    format!("{}\n", json!({ "error": what }))
}

fn all<T>(items: &[T], one: impl Fn(&T) -> Value) -> Value {
    Value::Array(items.iter().map(one).collect())
}

pub(super) fn seconds(time: Option<Duration>) -> Value {
    time.map_or(Value::Null, |t| t.as_secs().into())
}

pub(super) fn or_dash(text: Option<&str>) -> String {
    text.map_or("-".to_owned(), clean)
}

fn domains_text(out: &mut String, width: usize, domains: &[DomainReport]) {
    if domains.is_empty() {
        out.push_str("no domains; add one with `domain NAME address IP`\n");
    }
    for domain in domains {
        let name = clean(&domain.name);
        let rows = domain.addresses.iter().map(|a| ("address", a.text())).chain([
            ("ehlo", clean(&domain.ehlo)),
            ("certificate", or_dash(domain.certificate.as_deref())),
            ("queue", domain.queue()),
            ("last reply", or_dash(domain.last_reply.as_deref())),
        ]);
        let rows: Vec<(String, String)> = rows.map(|(name, value)| (format!("  {name}"), value)).collect();
        out.push_str(&name);
        out.push_str(if domain.held { " (held)\n" } else { "\n" });
        pairs(out, width, &rows);
    }
}

impl DomainReport {
    fn queue(&self) -> String {
        match self.oldest {
            Some(oldest) => format!("{}, the oldest for {}", self.queued, span(oldest)),
            None => self.queued.to_string(),
        }
    }

    fn json(&self) -> Value {
        json!({
                   "name": self.name,
                   "addresses": all(&self.addresses, AddressReport::json),
        "ehlo": self.ehlo,
                   "certificate_sha256": self.certificate,
                   "held": self.held,
                   "queued": self.queued,
                   "oldest_s": seconds(self.oldest),
                   "last_reply": self.last_reply,
               })
    }
}

impl AddressReport {
    fn text(&self) -> String {
        match &self.state {
            AddressState::Up => format!("{} up", self.address),
            AddressState::Pending(reason) => format!("{} pending: {}", self.address, clean(reason)),
        }
    }

    fn json(&self) -> Value {
        let (state, reason) = match &self.state {
            AddressState::Up => ("up", None),
            AddressState::Pending(reason) => ("pending", Some(reason)),
        };
        json!({ "address": self.address, "state": state, "reason": reason })
    }
}

fn queue_text(out: &mut String, width: usize, entries: &[QueueEntry]) {
    if entries.is_empty() {
        out.push_str("no mail waits\n");
    }
    for entry in entries {
        entry.text(out, width);
    }
}

impl QueueEntry {
    fn text(&self, out: &mut String, width: usize) {
        let next = match (self.held, self.next_attempt) {
            (true, _) => "held".to_owned(),
            (false, Some(Duration::ZERO)) => "next now".to_owned(),
            (false, Some(time)) => format!("next in {}", span(time)),
            (false, None) => "in progress".to_owned(),
        };
        let head = format!(
            "{}  {}  {}  {} old  tried {}  {next}",
            self.id,
            clean(&self.domain),
            size(self.size_bytes),
            span(self.age),
            self.attempts
        );
        wrap(out, width, "", "  ", &head);
        wrap(out, width, "  from ", "    ", &self.sender());
        for recipient in &self.recipients {
            wrap(out, width, "  to ", "    ", &recipient.text());
        }
        if let Some(reason) = &self.reason {
            wrap(out, width, "  ", "    ", &clean(reason));
        }
    }

    fn sender(&self) -> String {
        self.from.as_deref().map_or("<>".to_owned(), clean)
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "domain": self.domain,
            "from": self.from.as_deref().unwrap_or(""),
            "recipients": all(&self.recipients, RecipientReport::json),
            "size_bytes": self.size_bytes,
            "age_s": self.age.as_secs(),
            "attempts": self.attempts,
            "next_attempt_s": seconds(self.next_attempt),
            "held": self.held,
            "reason": self.reason,
        })
    }
}

impl RecipientState {
    /// The word for it, in text and in JSON.
    pub fn word(self) -> &'static str {
        match self {
            RecipientState::Pending => "pending",
            RecipientState::Deferred => "deferred",
            RecipientState::Delivered => "delivered",
            RecipientState::Failed => "failed",
        }
    }
}

impl RecipientReport {
    fn text(&self) -> String {
        match &self.reply {
            Some(reply) => format!("{}  {}: {}", clean(&self.address), self.state.word(), clean(reply)),
            None => format!("{}  {}", clean(&self.address), self.state.word()),
        }
    }

    fn json(&self) -> Value {
        json!({ "address": self.address, "state": self.state.word(), "reply": self.reply })
    }
}

impl MessageReport {
    fn text(&self, out: &mut String, width: usize) {
        wrap(out, width, "", "  ", &clean(&self.from_line));
        self.entry.text(out, width);
        let rows = [
            ("  arrived".to_owned(), self.arrived.rfc5322()),
            ("  header".to_owned(), format!("{} bytes", self.headers_bytes)),
            ("  last reply".to_owned(), or_dash(self.last_reply.as_deref())),
        ];
        pairs(out, width, &rows);
    }

    fn json(&self) -> Value {
        let mut value = self.entry.json();
        value["from_line"] = self.from_line.as_str().into();
        value["arrived"] = self.arrived.rfc3339().into();
        value["headers_bytes"] = self.headers_bytes.into();
        value["last_reply"] = json!(self.last_reply);
        value
    }
}

impl LogLine {
    fn text(&self, out: &mut String, width: usize) {
        let mark = if matches!(self.level, "info" | "debug" | "trace") { "" } else { self.level };
        let gap = if mark.is_empty() { "" } else { ": " };
        wrap(out, width, &format!("{} {mark}{gap}", self.time.rfc3339()), "    ", &clean(&self.text));
    }

    fn json(&self) -> Value {
        json!({ "time": self.time.rfc3339(), "level": self.level, "text": self.text })
    }
}

impl MemoryReport {
    fn sum(&self, of: impl Fn(&MemoryPart) -> u64) -> u64 {
        self.parts.iter().map(of).fold(0, u64::saturating_add)
    }

    fn text(&self, out: &mut String) {
        let row = |name: &str, used: u64, bound: u64| vec![name.to_owned(), size(used), size(bound)];
        let mut rows = vec![vec!["what".to_owned(), "used".to_owned(), "bound".to_owned()]];
        rows.extend(self.parts.iter().map(|part| row(&part.name, part.used_bytes, part.bound_bytes)));
        rows.push(row("sum", self.sum(|part| part.used_bytes), self.sum(|part| part.bound_bytes)));
        table(out, &rows, &[1, 2]);
        out.push_str(&format!("at most {} clients come in at once\n", self.sessions_max));
        if let Some(resident) = self.resident_bytes {
            out.push_str(&format!("the process takes {}\n", size(resident)));
        }
        if let Some(machine) = self.machine {
            let (all, left) = (size(machine.bytes), size(machine.available_bytes));
            out.push_str(&format!("the machine has {all}, of which {left} are to be had\n"));
        }
    }

    fn json(&self) -> Value {
        let part = |p: &MemoryPart| json!({ "name": p.name, "used_bytes": p.used_bytes, "bound_bytes": p.bound_bytes });
        json!({
            "parts": all(&self.parts, part),
            "used_bytes": self.sum(|part| part.used_bytes),
            "bound_bytes": self.sum(|part| part.bound_bytes),
            "resident_bytes": self.resident_bytes,
            "machine_bytes": self.machine.map(|machine| machine.bytes),
            "machine_available_bytes": self.machine.map(|machine| machine.available_bytes),
            "sessions_max": self.sessions_max,
        })
    }
}

fn history_text(out: &mut String, former: &[FormerConfig]) {
    if former.is_empty() {
        out.push_str("there is no former configuration yet\n");
    }
    for FormerConfig { number, replaced, statements } in former {
        out.push_str(&format!("{number:>2}  until {}  {statements} statements\n", replaced.rfc3339()));
    }
}

impl FormerConfig {
    fn json(&self) -> Value {
        json!({ "number": self.number, "replaced": self.replaced.rfc3339(), "statements": self.statements })
    }
}

fn help_text(out: &mut String, width: usize, lines: &[HelpLine]) {
    let rows: Vec<(String, String)> = lines.iter().map(|l| (l.form.clone(), l.help.clone())).collect();
    pairs(out, width, &rows);
}

#[cfg(test)]
mod tests;
