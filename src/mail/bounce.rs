//! Reports to the sender: not delivered, late, delivered. Source: RFC 3464 and RFC 6522 (form), RFC 3461
//! (who wants which), RFC 3834 (`Auto-Submitted`), RFC 6533 (addresses and fields beyond ASCII).
//! Danger: a report about a report would run in a circle, so a message with the null reverse-path has
//! none; and what remote hosts said is foreign text that must not break out of its place.

mod letter;

use std::fmt::Write;

use memchr::memmem;

use crate::limits::{
    DIAGNOSTIC_CHARS_MAX, MESSAGE_ID_CHARS_MAX, RETURNED_HEADER_BYTES_MAX, RETURNED_MESSAGE_BYTES_MAX,
};
use crate::mail::encoding::{append_quoted_printable, decode_xtext};
use crate::mail::headers::Section;
use crate::mail::id::base32;
use crate::mail::words::{encoded_text, fold, one_line};
use crate::mail::{Address, Body, Domain, Envelope, QueueId, Recipient, Ret, ReversePath, message_id};
use crate::time::WallTime;

/// A line of the machine part, and of the letter, is folded at this many characters.
const FOLD_CHARS: usize = 76;

/// Who reports.
#[derive(Clone, Debug)]
pub struct Reporter<'a> {
    /// The name under which the delivery was tried: the domain's EHLO name.
    pub our_name: &'a Domain,
    /// The virtual domain through which the report leaves.
    pub domain: &'a Domain,
    /// The report's own id.
    pub id: QueueId,
    pub now: WallTime,
    /// Drawn at random for each report; makes its Message-Id and its MIME boundary unique.
    pub unique: u64,
}

/// The message that is reported on.
#[derive(Clone, Debug)]
pub struct Original<'a> {
    pub envelope: &'a Envelope,
    pub id: QueueId,
    pub arrived: WallTime,
    /// The message, or its beginning with at least its header section.
    pub start: &'a [u8],
    /// Whether `start` is all of it.
    pub whole: bool,
}

/// What became of one recipient.
#[derive(Clone, Debug)]
pub struct Outcome<'a> {
    pub recipient: &'a Recipient,
    pub fate: Fate<'a>,
    pub last_attempt: Option<WallTime>,
}

#[derive(Clone, Debug)]
pub enum Fate<'a> {
    /// Refused for good.
    Failed(Cause<'a>),
    /// Tried until its time was over; the cause is that of the last attempt.
    Expired(Cause<'a>),
    Delayed {
        cause: Cause<'a>,
        retry_until: WallTime,
    },
    /// Put into a mailbox here.
    Delivered,
    /// Taken by a host that sends no reports of its own (RFC 3461 §5.2.2); the cause is what it said.
    Relayed(Cause<'a>),
}

/// Why a message did not go out, or what a host said that took it.
#[derive(Clone, Debug)]
pub struct Cause<'a> {
    /// RFC 3463, such as `5.1.1`; when it is none, or its class does not fit the fate, `X.0.0` is reported.
    pub status: &'a str,
    /// The host that said `text`; `None`: `text` is our own finding.
    pub host: Option<&'a str>,
    /// The host's whole reply with its code, lines separated by LF; or our own words.
    pub text: &'a str,
}

/// The kinds of report that a sender may want or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Failure,
    Delay,
    Success,
}

impl Fate<'_> {
    pub fn kind(&self) -> Kind {
        match self {
            Fate::Failed(_) | Fate::Expired(_) => Kind::Failure,
            Fate::Delayed { .. } => Kind::Delay,
            Fate::Delivered | Fate::Relayed(_) => Kind::Success,
        }
    }

    fn cause(&self) -> Option<&Cause<'_>> {
        match self {
            Fate::Failed(cause)
            | Fate::Expired(cause)
            | Fate::Delayed { cause, .. }
            | Fate::Relayed(cause) => Some(cause),
            Fate::Delivered => None,
        }
    }

    /// The host that spoke last.
    fn host(&self) -> Option<&str> {
        self.cause()?.host
    }

    fn action(&self) -> &'static str {
        match self {
            Fate::Failed(_) | Fate::Expired(_) => "failed",
            Fate::Delayed { .. } => "delayed",
            Fate::Delivered => "delivered",
            Fate::Relayed(_) => "relayed",
        }
    }

    /// The enhanced status code that is reported.
    fn status(&self) -> &str {
        let (classes, general) = match self {
            Fate::Failed(_) => ("5", "5.0.0"),
            Fate::Expired(_) => ("45", "4.4.7"),
            Fate::Delayed { .. } => ("4", "4.0.0"),
            Fate::Delivered | Fate::Relayed(_) => ("2", "2.0.0"),
        };
        let fits = |status: &&str| is_status(status) && status.starts_with(|class| classes.contains(class));
        self.cause().map(|cause| cause.status).filter(fits).unwrap_or(general)
    }
}

/// `5.1.1`: a class, a subject of at most three digits, a detail of at most three digits (RFC 3463 §2).
fn is_status(text: &str) -> bool {
    let number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = text.splitn(4, '.').collect();
    parts.len() == 3 && matches!(parts[0], "2" | "4" | "5") && parts[1..].iter().all(|part| number(part))
}

/// Whether the sender wants to hear of `kind` for this recipient (RFC 3461 §4.1). Where he did not say, of
/// failures and delays.
pub fn is_wanted(recipient: &Recipient, kind: Kind) -> bool {
    match (kind, recipient.notify) {
        (Kind::Failure, notify) => notify.is_none_or(|n| n.failure),
        (Kind::Delay, notify) => notify.is_none_or(|n| n.delay),
        (Kind::Success, notify) => notify.is_some_and(|n| n.success),
    }
}

/// A report, ready for the queue of the domain that sent the original.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// From the null reverse-path to the original's sender.
    pub envelope: Envelope,
    pub message: Vec<u8>,
}

/// Writes one report on all `outcomes` that the sender wants to hear of. `None` when there are none, or when
/// the original came from the null reverse-path.
pub fn report(reporter: &Reporter<'_>, original: &Original<'_>, outcomes: &[Outcome<'_>]) -> Option<Report> {
    let sender = match &original.envelope.reverse_path {
        ReversePath::Null => return None,
        ReversePath::Address(sender) => sender,
    };
    let wanted: Vec<&Outcome<'_>> =
        outcomes.iter().filter(|outcome| is_wanted(outcome.recipient, outcome.fate.kind())).collect();
    let gravest = wanted.iter().map(|outcome| outcome.fate.kind()).min_by_key(|kind| *kind as u8)?;
    let letter = letter::letter(reporter, original, &wanted);
    let status = machine_part(reporter, original, &wanted);
    let returned = Returned::of(original, gravest);
    let boundary = boundary(reporter, &[letter.as_bytes(), status.as_bytes(), returned.content]);
    let mut message =
        head(reporter, original, sender, &letter::subject(gravest, &wanted), &boundary).into_bytes();
    append_letter(&mut message, &boundary, &letter);
    let part = format!("\r\n--{boundary}\r\nContent-Description: Delivery report\r\n");
    message.extend_from_slice(part.as_bytes());
    message.extend_from_slice(b"Content-Type: message/delivery-status\r\n\r\n");
    message.extend_from_slice(status.as_bytes());
    returned.append(&mut message, &boundary);
    message.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let mut envelope = Envelope::plain(ReversePath::Null, [sender.clone()]);
    envelope.smtputf8 = envelope.goes_beyond_ascii();
    envelope.require_tls = original.envelope.require_tls;
    envelope.body = if message.is_ascii() { Body::SevenBit } else { Body::EightBitMime };
    Some(Report { envelope, message })
}

/// A text that occurs in no part: the random token makes it unlikely, the search makes it certain.
fn boundary(reporter: &Reporter<'_>, parts: &[&[u8]]) -> String {
    (0..)
        .map(|round| format!("={}={}={round}", reporter.id, base32(reporter.unique, 13)))
        .find(|boundary| parts.iter().all(|part| memmem::find(part, boundary.as_bytes()).is_none()))
        .expect("finite parts hold finitely many boundaries")
}

/// The report's own header section, with its empty line.
fn head(
    reporter: &Reporter<'_>,
    original: &Original<'_>,
    sender: &Address,
    subject: &str,
    boundary: &str,
) -> String {
    let Reporter { domain, id, now, unique, .. } = reporter;
    let mut head = String::with_capacity(1024);
    let mut field = |name: &str, body: &str| {
        head.extend([name, ": ", body, "\r\n"]);
    };
    field("Message-Id", &message_id(domain, *id, *unique));
    field("Date", &now.rfc5322());
    field("From", &format!("Mail Delivery System <MAILER-DAEMON@{domain}>"));
    field("To", &format!("<{sender}>"));
    field("Subject", &encoded_text("Subject: ".len(), subject));
    if let Some(id) = original_message_id(original) {
        field("References", &id);
    }
    field("Auto-Submitted", "auto-replied");
    field("MIME-Version", "1.0");
    field(
        "Content-Type",
        &format!("multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\""),
    );
    head.push_str("\r\n");
    head
}

/// The original's Message-Id, if it has the form of one.
fn original_message_id(original: &Original<'_>) -> Option<String> {
    let field = Section::of(original.start).find("Message-Id")?;
    let id = field.body().trim_ascii();
    let inside = id.strip_prefix(b"<")?.strip_suffix(b">")?;
    let sound = inside.iter().all(|b| b.is_ascii_graphic() && !b"<>".contains(b));
    (sound && id.len() <= MESSAGE_ID_CHARS_MAX).then(|| String::from_utf8_lossy(id).into_owned())
}

fn append_letter(message: &mut Vec<u8>, boundary: &str, letter: &str) {
    let ascii = letter.is_ascii();
    let form = if ascii {
        "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
    } else {
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    };
    let part = format!("--{boundary}\r\nContent-Description: Notification\r\n{form}");
    message.extend_from_slice(part.as_bytes());
    if ascii {
        message.extend_from_slice(letter.as_bytes());
    } else {
        append_quoted_printable(message, letter.as_bytes());
    }
}

/// The body of `message/delivery-status` (RFC 3464 §2): a block for the message, one for each recipient.
fn machine_part(reporter: &Reporter<'_>, original: &Original<'_>, outcomes: &[&Outcome<'_>]) -> String {
    let mut out = String::with_capacity(256 + 512 * outcomes.len());
    push(&mut out, "Reporting-MTA", &format!("dns; {}", reporter.our_name));
    if let Some(envid) = &original.envelope.envid {
        push(&mut out, "Original-Envelope-Id", &decode_xtext(envid));
    }
    push(&mut out, "X-Stagepost-Id", &original.id.to_string());
    push(&mut out, "Arrival-Date", &original.arrived.rfc5322());
    for outcome in outcomes {
        out.push_str("\r\n");
        push_recipient(&mut out, outcome);
    }
    out
}

/// RFC 3464 §2.3.
fn push_recipient(out: &mut String, outcome: &Outcome<'_>) {
    let Outcome { recipient, fate, last_attempt } = outcome;
    if let Some((kind, original)) = recipient.orcpt.as_ref().and_then(|orcpt| orcpt.split_once(';')) {
        push(out, "Original-Recipient", &typed_address(kind, &decode_xtext(original)));
    }
    push(out, "Final-Recipient", &typed_address("rfc822", &recipient.address.to_string()));
    push(out, "Action", fate.action());
    push(out, "Status", fate.status());
    if let Some(host) = fate.host() {
        push(out, "Remote-MTA", &format!("dns; {host}"));
    }
    if let Some(cause) = fate.cause() {
        let kind = if cause.host.is_some() { "smtp" } else { "x-stagepost" };
        push(out, "Diagnostic-Code", &format!("{kind}; {}", one_line(cause.text, DIAGNOSTIC_CHARS_MAX)));
    }
    if let Some(at) = last_attempt {
        push(out, "Last-Attempt-Date", &at.rfc5322());
    }
    if let Fate::Delayed { retry_until, .. } = fate {
        push(out, "Will-Retry-Until", &retry_until.rfc5322());
    }
}

/// `rfc822; x1@xyz.com`, or for an address beyond ASCII its 7-bit form of RFC 6533 §3.
fn typed_address(kind: &str, text: &str) -> String {
    if text.is_ascii() {
        return format!("{kind}; {text}");
    }
    let mut out = String::from("utf-8; ");
    for c in text.chars() {
        match c {
            '\\' | '+' | '=' => write!(out, "\\x{{{:02X}}}", u32::from(c)),
            c if c.is_ascii() => out.write_char(c),
            c => write!(out, "\\x{{{:X}}}", u32::from(c)),
        }
        .expect("a String takes all that is written");
    }
    out
}

/// A field of the machine part: one line of ASCII whatever `body` holds, folded.
fn push(out: &mut String, name: &str, body: &str) {
    let line: String = one_line(body, DIAGNOSTIC_CHARS_MAX + 100)
        .chars()
        .map(|c| if c.is_ascii() { c } else { '?' })
        .collect();
    out.push_str(&fold(&format!("{name}: {line}"), FOLD_CHARS, "\r\n "));
    out.push_str("\r\n");
}

/// The third part: the original, or its header section.
struct Returned<'a> {
    content: &'a [u8],
    whole: bool,
}

impl<'a> Returned<'a> {
    /// All of a small message when the sender asked for it and it failed (RFC 3461 §4.3), else its fields; of
    /// one that must go under TLS never more than these (RFC 8689 §5).
    fn of(original: &Original<'a>, gravest: Kind) -> Self {
        let small = original.whole && original.start.len() <= RETURNED_MESSAGE_BYTES_MAX;
        let open = !original.envelope.require_tls;
        if small && open && gravest == Kind::Failure && original.envelope.ret == Some(Ret::Full) {
            return Returned { content: original.start, whole: true };
        }
        let section = Section::of(original.start);
        let mut kept = 0;
        for field in section.fields() {
            if kept + field.raw.len() > RETURNED_HEADER_BYTES_MAX {
                break;
            }
            kept += field.raw.len();
        }
        Returned { content: &section.as_bytes()[..kept], whole: false }
    }

    fn append(&self, message: &mut Vec<u8>, boundary: &str) {
        let eight_bit = !self.content.is_ascii();
        let fields = Section::of(self.content).as_bytes();
        let utf8 = !fields.is_ascii() && std::str::from_utf8(fields).is_ok();
        let form = match (self.whole, eight_bit) {
            (true, true) if utf8 => {
                "Content-Type: message/global\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
            }
            (false, true) if utf8 => {
                "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
            }
            (true, true) => "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
            (true, false) => "Content-Type: message/rfc822\r\n\r\n",
            (false, true) => {
                "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
            }
            (false, false) => "Content-Type: text/rfc822-headers\r\n\r\n",
        };
        let what = if self.whole { "Your message" } else { "Your message's header" };
        let part = format!("\r\n--{boundary}\r\nContent-Description: {what}\r\n{form}");
        message.extend_from_slice(part.as_bytes());
        if utf8 || eight_bit && !self.whole {
            append_quoted_printable(message, self.content);
        } else {
            message.extend_from_slice(self.content);
        }
    }
}

#[cfg(test)]
mod tests;
