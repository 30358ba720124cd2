//! The part of a report that people read: what happened, to which address, what the other host said, what
//! to do now. Source: RFC 3461 §6 (what a report must tell). Plain words; foreign text is cleaned, indented
//! and bounded, so that it cannot pass for ours.

use crate::limits::DIAGNOSTIC_CHARS_MAX;
use crate::mail::bounce::{FOLD_CHARS, Fate, Kind, Original, Outcome, Reporter};
use crate::mail::headers::Section;
use crate::mail::words::{fold, one_line};

/// Characters of the original's subject that are quoted.
const SUBJECT_CHARS_MAX: usize = 200;

/// The report's subject, such as `Not delivered: your mail to x1@xyz.com and 2 others`.
pub fn subject(gravest: Kind, outcomes: &[&Outcome<'_>]) -> String {
    let what = match gravest {
        Kind::Failure => "Not delivered",
        Kind::Delay => "Not delivered yet",
        Kind::Success => "Delivered",
    };
    let mut of_this_kind = outcomes.iter().filter(|outcome| outcome.fate.kind() == gravest);
    let first = of_this_kind.next().map(|outcome| outcome.recipient.address.to_string()).unwrap_or_default();
    match of_this_kind.count() {
        0 => format!("{what}: your mail to {first}"),
        1 => format!("{what}: your mail to {first} and another"),
        others => format!("{what}: your mail to {first} and {others} others"),
    }
}

/// The whole letter, with CRLF line ends.
pub fn letter(reporter: &Reporter<'_>, original: &Original<'_>, outcomes: &[&Outcome<'_>]) -> String {
    let mut out = String::with_capacity(512 + 512 * outcomes.len());
    paragraph(
        &mut out,
        "",
        &format!("This is the mail system of {}. It writes about your mail", reporter.domain),
    );
    if let Some(subject) = original_subject(original) {
        paragraph(&mut out, "    ", &format!("Subject: {subject}"));
    }
    paragraph(&mut out, "    ", &format!("Handed in: {}", original.arrived.rfc5322()));
    for (kind, opening) in [
        (Kind::Failure, "It could NOT be delivered to the following address, and will not be tried again:"),
        (Kind::Delay, "It has not been delivered yet to the following address. You need not send it again:"),
        (Kind::Success, "It has been delivered to the following address:"),
    ] {
        let of_this_kind = outcomes.iter().filter(|outcome| outcome.fate.kind() == kind);
        for (nth, outcome) in of_this_kind.enumerate() {
            if nth == 0 {
                out.push_str("\r\n");
                paragraph(&mut out, "", opening);
            }
            entry(&mut out, outcome);
        }
    }
    out.push_str("\r\n");
    let close = "Below this text are a report for mail programs and the header of your mail.";
    paragraph(&mut out, "", close);
    out
}

/// What happened for one address.
fn entry(out: &mut String, outcome: &Outcome<'_>) {
    out.push_str("\r\n");
    paragraph(out, "  ", &format!("<{}>", outcome.recipient.address));
    match &outcome.fate {
        Fate::Delivered => paragraph(out, "    ", "It is in the mailbox."),
        Fate::Relayed(cause) => paragraph(
            out,
            "    ",
            &format!(
                "The host {} has taken it; that host will not report what becomes of it.",
                cause.host.unwrap_or("behind this one")
            ),
        ),
        Fate::Delayed { retry_until, .. } => {
            said(out, &outcome.fate);
            let until = retry_until.rfc5322();
            paragraph(
                out,
                "    ",
                &format!("It will be tried again until {until}; then you will hear of it."),
            );
        }
        Fate::Expired(_) => {
            said(out, &outcome.fate);
            paragraph(out, "    ", "It has been tried for as long as is sensible.");
            paragraph(out, "    ", advice(outcome.fate.status()));
        }
        Fate::Failed(_) => {
            said(out, &outcome.fate);
            paragraph(out, "    ", advice(outcome.fate.status()));
        }
    }
}

/// The words of the other host, or ours.
fn said(out: &mut String, fate: &Fate<'_>) {
    let Some(cause) = fate.cause() else {
        return;
    };
    let text = one_line(cause.text, DIAGNOSTIC_CHARS_MAX);
    match cause.host {
        Some(host) => {
            paragraph(out, "    ", &format!("The host {host} said:"));
            paragraph(out, "      ", &text);
        }
        None => paragraph(out, "    ", &format!("The reason: {text}")),
    }
}

/// What the sender can do, by the enhanced status code (RFC 3463 §3); the class does not matter.
fn advice(status: &str) -> &'static str {
    let detail = status.split_once('.').map_or("", |(_, detail)| detail);
    match detail {
        "1.1" | "1.0" | "1.3" | "1.6" => {
            "The address does not exist there. Look for a typing error, or ask for the right address."
        }
        "1.2" | "1.10" | "4.4" => {
            "What stands after the @ takes no mail. Look for a typing error, or ask for the right address."
        }
        "2.1" => "The mailbox has been switched off. Ask its owner in another way.",
        "2.2" => "The mailbox is full. Its owner must make room before you send it again.",
        "2.3" | "3.4" => {
            "Your mail is too big for the other side. Send it in smaller parts, or in another way."
        }
        "7.10" | "7.30" => {
            "TLS was asked for, and cannot be had all the way. Send it without asking for that, or in another way."
        }
        "4.6" => "The mail was running in a circle. The people who look after the address must mend that.",
        "6.7" => {
            "The address or the header has letters that the other side cannot take. Ask for another address."
        }
        _ if detail.starts_with("1.") => "Something is wrong with the address. Look for a typing error.",
        _ if detail.starts_with("4.") => {
            "The other side could not be reached. Send it again later, or ask there whether mail comes in."
        }
        _ if detail.starts_with("6.") => {
            "The other side does not take mail of this form. Send it in another format, as plain text say."
        }
        _ if detail.starts_with("7.") => {
            "The other side does not want this mail by its own rules. What it said may name whom to ask."
        }
        _ => "If you do not see why, show this report to whoever looks after your mail.",
    }
}

fn original_subject(original: &Original<'_>) -> Option<String> {
    let field = Section::of(original.start).find("Subject")?;
    let (parsed, _) = mailparse::parse_header(field.raw).ok()?;
    let subject = one_line(&parsed.get_value(), SUBJECT_CHARS_MAX);
    (!subject.is_empty()).then_some(subject)
}

/// Appends `text` folded, every line behind `indent`.
fn paragraph(out: &mut String, indent: &str, text: &str) {
    out.push_str(indent);
    out.push_str(&fold(text, FOLD_CHARS - indent.len(), &format!("\r\n{indent}")));
    out.push_str("\r\n");
}
