//! What the tools say of a stopped daemon's spool: a list, a verdict, a message, and messages as files that
//! another box takes in. Nothing here writes to the spool but [`import`].
//! Danger: this is run on a dead box's card; whatever can still be read must come out.

use std::fmt::Write;

use crate::limits::SPOOL_DATA_BYTES_MAX;
use crate::mail::QueueId;
use crate::spool::envelope_text;
use crate::spool::flash::{FileName, Flash, FlashError, Listed};
use crate::spool::{Bounds, DomainLog, Recovery, SpoolError, State, Stored};

/// A spool as it is found.
pub struct Inspection<'a> {
    flash: ReadOnly<'a>,
    log: DomainLog,
    found: Recovery,
}

/// What [`Inspection::verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub report: String,
    /// Nothing is damaged.
    pub well: bool,
}

/// A message as files: RFC 5322 text, and the envelope as text that [`import`] reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    pub id: QueueId,
    pub eml: Vec<u8>,
    pub envelope: String,
}

impl<'a> Inspection<'a> {
    /// Reads the whole spool in `flash`, and changes nothing of it.
    pub fn new(flash: &'a dyn Flash) -> Self {
        let flash = ReadOnly(flash);
        let (log, found) = DomainLog::recover(&flash, Bounds::for_quota(0, 0));
        Inspection { flash, log, found }
    }

    /// The messages in the order of their ids.
    pub fn ids(&self) -> impl Iterator<Item = QueueId> {
        self.found.messages.iter().map(|message| message.id)
    }

    /// A line for each message: id, time of receipt, bytes, attempts, sender, recipients and their states.
    pub fn list(&self) -> String {
        let mut text = String::new();
        for message in &self.found.messages {
            let (id, received) = (message.id, message.received.rfc3339());
            let rest = match self.log.load(&self.flash, id) {
                Ok(stored) => describe(&stored),
                Err(why) => why.to_string(),
            };
            let held = if message.on_hold { " on hold" } else { "" };
            text.push_str(&format!("{id} {received} {} bytes{held} {rest}\n", message.bytes));
        }
        text
    }

    /// A line for everything that is damaged, one for every message that cannot be read, one for every
    /// range that was kept aside before, and one with the sum.
    pub fn verify(&self) -> Verdict {
        let mut report = String::new();
        for damage in &self.found.damage {
            let note = if damage.at_end {
                " (the last write, perhaps cut short before it was promised)"
            } else {
                ""
            };
            report.push_str(&format!("{damage}{note}\n"));
        }
        let mut faults = self.found.damage.len();
        for id in self.ids() {
            if let Err(why) = self.cat(id) {
                report.push_str(&format!("message {id}: {why}\n"));
                faults += 1;
            }
        }
        for label in self.flash.damaged().unwrap_or_default() {
            report.push_str(&format!("kept aside earlier: damaged/{label}\n"));
        }
        let messages = self.found.messages.len();
        let sum = if faults == 0 { "all is well".to_owned() } else { format!("{faults} faults") };
        report.push_str(&format!("{messages} messages, {sum}\n"));
        Verdict { report, well: faults == 0 }
    }

    /// A whole message.
    pub fn cat(&self, id: QueueId) -> Result<Vec<u8>, SpoolError> {
        let mut message = self.log.load(&self.flash, id)?.head;
        self.append_body(id, &mut message)?;
        Ok(message)
    }

    /// A message as files.
    pub fn export(&self, id: QueueId) -> Result<Exported, SpoolError> {
        let mut stored = self.log.load(&self.flash, id)?;
        let mut eml = std::mem::take(&mut stored.head);
        self.append_body(id, &mut eml)?;
        Ok(Exported { id, eml, envelope: envelope_text::write(id, &stored) })
    }

    fn append_body(&self, id: QueueId, message: &mut Vec<u8>) -> Result<(), SpoolError> {
        let head = message.len();
        loop {
            let filled = message.len();
            message.resize(filled + SPOOL_DATA_BYTES_MAX, 0);
            let offset = (filled - head) as u64;
            let count = self.log.read_body(&self.flash, id, offset, &mut message[filled..])?;
            message.truncate(filled + count);
            if count == 0 {
                return Ok(());
            }
        }
    }
}

fn describe(stored: &Stored) -> String {
    let State { attempts, next, recipients, .. } = &stored.state;
    let mut text = format!("{attempts} attempts, next {}", next.rfc3339());
    let sender = &stored.meta.envelope.reverse_path;
    let states = stored.meta.envelope.recipients.iter().zip(recipients);
    let _infallible = write!(text, ", <{sender}>");
    for (recipient, state) in states {
        let _infallible = write!(text, " to <{}> {}", recipient.address, envelope_text::state_text(state));
    }
    text
}

/// Puts a message that was exported into a log under a new id; recipients that were settled are left out.
/// `eml` is divided behind its header section. The text of an error says what is wrong with the files.
pub fn import(log: &mut DomainLog, id: QueueId, eml: &[u8], envelope: &str) -> Result<(), String> {
    let meta = envelope_text::read(envelope)?;
    if meta.envelope.recipients.is_empty() {
        return Err("every recipient is settled".to_owned());
    }
    let end = memchr::memmem::find(eml, b"\r\n\r\n").map(|at| at + 4);
    let (head, body) = eml.split_at(end.ok_or("the message has no end of its header section")?);
    log.put(id, &meta, head, body).map(|_| ()).map_err(|why| why.to_string())
}

/// A medium on which nothing is changed: what recovery would tidy up is left as it is.
struct ReadOnly<'a>(&'a dyn Flash);

impl Flash for ReadOnly<'_> {
    fn list(&self) -> Result<Vec<Listed>, FlashError> {
        self.0.list()
    }

    fn read(&self, name: FileName, offset: u32, buf: &mut [u8]) -> Result<usize, FlashError> {
        self.0.read(name, offset, buf)
    }

    fn damaged(&self) -> Result<Vec<String>, FlashError> {
        self.0.damaged()
    }

    fn create(&self, _: FileName, _: u32) -> Result<(), FlashError> {
        Ok(())
    }

    fn write(&self, _: FileName, _: u32, _: &[u8]) -> Result<(), FlashError> {
        Ok(())
    }

    fn sync(&self, _: FileName) -> Result<(), FlashError> {
        Ok(())
    }

    fn sync_dir(&self) -> Result<(), FlashError> {
        Ok(())
    }

    fn rename(&self, _: FileName, _: FileName) -> Result<(), FlashError> {
        Ok(())
    }

    fn remove(&self, _: FileName) -> Result<(), FlashError> {
        Ok(())
    }

    fn keep_damaged(&self, _: &str, _: &[u8]) -> Result<(), FlashError> {
        Ok(())
    }
}
