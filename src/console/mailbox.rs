//! The mailboxes of the box at its console: which there are, what lies in one, and a message page by page. On an
//! appliance there is no other way to what comes for its postmaster. Danger: all of it is foreign text.

use serde_json::{Value, json};

use crate::console::layout::{clean, pairs, size, table, wrap};
use crate::mail::Address;
use crate::mail::reading::Summary;
use crate::time::WallTime;

/// A command about mailboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// All of them.
    ShowAll,
    /// The newest messages of one, so many.
    Show(Address, usize),
    /// A page of one message.
    Read { mailbox: Address, number: u64, page: usize },
    /// One message, or all that are there.
    Delete(Address, Option<u64>),
}

/// One line of `show mailboxes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxLine {
    pub address: String,
    pub messages: u64,
    pub used_bytes: u64,
    /// A user's together with those of the domain's other users.
    pub bound_bytes: u64,
}

/// `show mailbox`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailboxReport {
    pub address: String,
    /// Messages in it, with those that are not listed.
    pub messages: u64,
    pub letters: Vec<LetterLine>,
}

/// One message of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterLine {
    pub number: u64,
    pub arrived: WallTime,
    pub bytes: u64,
    pub summary: Summary,
}

/// `mailbox read`: one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LetterReport {
    pub address: String,
    pub letter: LetterLine,
    pub lines: Vec<String>,
    pub page: usize,
    pub pages: usize,
    /// It is longer than what can be shown.
    pub cut: bool,
}

pub(super) fn all_text(out: &mut String, mailboxes: &[MailboxLine]) {
    if mailboxes.is_empty() {
        return out.push_str("no mailboxes; add one with `domain NAME mailbox LOCALPART`\n");
    }
    let mut rows = vec![["mailbox", "messages", "used", "of"].map(str::to_owned).to_vec()];
    rows.extend(
        mailboxes.iter().map(|m| {
            vec![clean(&m.address), m.messages.to_string(), size(m.used_bytes), size(m.bound_bytes)]
        }),
    );
    table(out, &rows, &[1, 2, 3]);
}

impl MailboxLine {
    pub fn json(&self) -> Value {
        json!({
            "address": self.address,
            "messages": self.messages,
            "used_bytes": self.used_bytes,
            "bound_bytes": self.bound_bytes,
        })
    }
}

/// Columns of the sender in the list.
const FROM_COLUMNS: usize = 24;
/// Columns of what is left of the subject, with the blanks between columns.
const BEFORE_SUBJECT_COLUMNS: usize = 5 + 16 + 5 + FROM_COLUMNS + 4 * 2;

impl MailboxReport {
    pub fn text(&self, out: &mut String, width: usize) {
        if self.letters.is_empty() {
            return out.push_str("no mail is there\n");
        }
        let mut rows = vec![["no.", "arrived (UTC)", "size", "from", "subject"].map(str::to_owned).to_vec()];
        let subject_columns = width.saturating_sub(BEFORE_SUBJECT_COLUMNS).max(10);
        rows.extend(self.letters.iter().map(|letter| {
            vec![
                letter.number.to_string(),
                letter.arrived.rfc3339()[..16].replace('T', " "),
                size(letter.bytes),
                cut(&letter.summary.from, FROM_COLUMNS),
                cut(&letter.summary.subject, subject_columns),
            ]
        }));
        table(out, &rows, &[0, 2]);
        let older = self.messages.saturating_sub(self.letters.len() as u64);
        if older > 0 {
            wrap(
                out,
                width,
                "",
                "",
                &format!("and {older} older; `show mailbox {} N` lists N of them", self.address),
            );
        }
    }

    pub fn json(&self) -> Value {
        let letters: Vec<Value> = self.letters.iter().map(LetterLine::json).collect();
        json!({ "mailbox": self.address, "messages": self.messages, "mail": letters })
    }
}

impl LetterLine {
    fn json(&self) -> Value {
        json!({
            "number": self.number,
            "arrived": self.arrived.rfc3339(),
            "size_bytes": self.bytes,
            "from": self.summary.from,
            "to": self.summary.to,
            "date": self.summary.date,
            "subject": self.summary.subject,
        })
    }
}

impl LetterReport {
    pub fn text(&self, out: &mut String, width: usize) {
        let LetterLine { number, arrived, bytes, summary } = &self.letter;
        if self.page == 1 {
            let rows = [
                ("from", shown(&summary.from)),
                ("to", shown(&summary.to)),
                ("date", shown(&summary.date)),
                ("arrived", format!("{}, {} bytes", arrived.rfc5322(), bytes)),
                ("subject", shown(&summary.subject)),
            ];
            let rows: Vec<(String, String)> = rows.map(|(name, value)| (name.to_owned(), value)).into();
            pairs(out, width, &rows);
            out.push('\n');
        }
        self.lines.iter().for_each(|line| wrap(out, width, "", "", &clean(line)));
        let next = (self.page < self.pages)
            .then(|| format!("; `mailbox read {} {number} {}` shows the next", self.address, self.page + 1));
        let rest = if self.cut { "; the message goes on, but no more of it can be shown" } else { "" };
        let rest = if self.page == self.pages { rest } else { "" };
        if self.pages > 1 || self.cut {
            let end = format!("-- page {} of {}{}{rest}", self.page, self.pages, next.unwrap_or_default());
            wrap(out, width, "", "   ", &end);
        }
    }

    pub fn json(&self) -> Value {
        let mut value = self.letter.json();
        value["mailbox"] = self.address.as_str().into();
        value["page"] = self.page.into();
        value["pages"] = self.pages.into();
        value["cut"] = self.cut.into();
        value["lines"] = json!(self.lines);
        value
    }
}

/// A field that the message does not have is a dash.
fn shown(field: &str) -> String {
    if field.is_empty() { "-".to_owned() } else { clean(field) }
}

/// At most so many columns of foreign text; what is cut off is shown by three dots.
fn cut(text: &str, columns: usize) -> String {
    let text = clean(text);
    match text.char_indices().nth(columns) {
        None => text,
        Some(_) => text.chars().take(columns - 3).chain("...".chars()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::report::Report;

    fn letter(number: u64, from: &str, subject: &str) -> LetterLine {
        let summary = Summary {
            from: from.to_owned(),
            to: "postmaster@bcd.com".to_owned(),
            date: "Mon, 27 Nov 2000 10:18:52 -0800".to_owned(),
            subject: subject.to_owned(),
        };
        LetterLine { number, arrived: WallTime::from_unix_seconds(975_320_363), bytes: 2200, summary }
    }

    #[test]
    fn a_mailbox_is_a_table_that_fits_the_terminal() {
        let report = Report::Mailbox(MailboxReport {
            address: "postmaster@bcd.com".to_owned(),
            messages: 7,
            letters: vec![
                letter(3, "x1@xyz.com", "Your mail\x1b[2J"),
                letter(12, "\"A very long display name\" <x2@xyz.com>", &"a long subject ".repeat(10)),
            ],
        });
        let wanted = "\
no.  arrived (UTC)     size  from                      subject
  3  2000-11-27 10:19  2.1K  x1@xyz.com                Your mail?[2J
 12  2000-11-27 10:19  2.1K  \"A very long display ...  a long subject a lo...
and 5 older; `show mailbox postmaster@bcd.com N` lists N of them
";
        assert_eq!(report.text(80), wanted);
        let empty = MailboxReport { address: String::new(), messages: 0, letters: Vec::new() };
        assert_eq!(Report::Mailbox(empty).text(80), "no mail is there\n");
    }

    #[test]
    fn a_message_is_shown_page_by_page() {
        let mut report = LetterReport {
            address: "b1@bcd.com".to_owned(),
            letter: letter(3, "x1@xyz.com", "Hello"),
            lines: vec!["first".to_owned(), String::new(), "third\x07".to_owned()],
            page: 1,
            pages: 2,
            cut: true,
        };
        let wanted = "\
from     x1@xyz.com
to       postmaster@bcd.com
date     Mon, 27 Nov 2000 10:18:52 -0800
arrived  Mon, 27 Nov 2000 10:19:23 +0000, 2200 bytes
subject  Hello

first

third?
-- page 1 of 2; `mailbox read b1@bcd.com 3 2` shows the next
";
        assert_eq!(Report::Letter(report.clone()).text(80), wanted);
        report.page = 2;
        report.lines = vec!["last".to_owned()];
        let wanted = "last\n-- page 2 of 2; the message goes on, but no more of it can be shown\n";
        assert_eq!(Report::Letter(report.clone()).text(80), wanted);
        let json: Value = serde_json::from_str(&Report::Letter(report).json()).unwrap();
        assert_eq!(
            (&json["number"], &json["lines"][0], &json["pages"]),
            (&json!(3), &json!("last"), &json!(2))
        );
    }

    #[test]
    fn mailboxes_tell_how_full_they_are() {
        let line = MailboxLine {
            address: "b1@bcd.com".to_owned(),
            messages: 2,
            used_bytes: 8192,
            bound_bytes: 3 << 20,
        };
        let report = Report::Mailboxes(vec![line]);
        assert_eq!(report.text(80), "mailbox     messages  used  of\nb1@bcd.com         2    8K  3M\n");
        let json = "{\"mailboxes\":[{\"address\":\"b1@bcd.com\",\"messages\":2,\"used_bytes\":8192,\"bound_bytes\":3145728}]}\n";
        assert_eq!(report.json(), json);
    }
}
