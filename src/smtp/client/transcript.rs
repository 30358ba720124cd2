//! What was said on a connection, as Figure 3A shows it: `>>>` before what we say, then the reply. The
//! content of a message is one line with its length. At most `TRANSCRIPT_LINES_MAX` lines wait here.

use std::fmt;

use crate::limits::TRANSCRIPT_LINES_MAX;
use crate::smtp::reply::Reply;

/// One line of the exchange, without control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TranscriptLine {
    Said(String),
    Heard(String),
    Content { bytes: u64 },
}

impl fmt::Display for TranscriptLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TranscriptLine::Said(line) => write!(f, ">>> {line}"),
            TranscriptLine::Heard(line) => f.write_str(line),
            TranscriptLine::Content { bytes } => write!(f, "{{message, {bytes} bytes}}"),
        }
    }
}

/// Records when it is asked to.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    on: bool,
    lines: Vec<TranscriptLine>,
}

impl Transcript {
    pub(super) fn record(&mut self) {
        self.on = true;
    }

    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    pub(super) fn take(&mut self) -> Vec<TranscriptLine> {
        std::mem::take(&mut self.lines)
    }

    pub(super) fn add(&mut self, line: TranscriptLine) {
        if self.on && self.lines.len() < TRANSCRIPT_LINES_MAX {
            self.lines.push(line);
        }
    }

    pub(super) fn heard(&mut self, reply: &Reply) {
        if !self.on {
            return;
        }
        let mut lines = reply.lines().peekable();
        while let Some(line) = lines.next() {
            let dash = if lines.peek().is_some() { '-' } else { ' ' };
            let enhanced = reply.enhanced().map(|e| format!("{e} ")).unwrap_or_default();
            self.add(TranscriptLine::Heard(format!("{}{dash}{enhanced}{line}", reply.code())));
        }
    }
}
