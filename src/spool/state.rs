//! Where a message's recipients stand: rewritten whole at every change, the latest record counts.
//! The layout is in `spool/mod.rs`. A text that several recipients share is stored once.
//! Danger: a recipient that was delivered must never be read as pending while its record is whole.

use std::collections::HashMap;

use crate::limits::{RECIPIENTS_MAX, SPOOL_REPLY_BYTES_MAX, SPOOL_STATE_TEXT_BYTES_MAX};
use crate::spool::bytes::{Reader, Writer};
use crate::time::WallTime;

/// The state of a message in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Rounds of attempts so far.
    pub attempts: u16,
    /// When the next attempt is due.
    pub next: WallTime,
    /// The operator has put it on hold.
    pub on_hold: bool,
    /// The sender has been told that it is late.
    pub delay_notice_sent: bool,
    /// In the order of the envelope.
    pub recipients: Vec<RecipientState>,
}

/// The state of one recipient. A reply is kept with at most 512 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecipientState {
    Pending,
    Delivered { reply: String },
    Failed { reply: String },
    Deferred { reply: String },
}

const ON_HOLD: u8 = 1 << 0;
const DELAY_NOTICE_SENT: u8 = 1 << 1;

/// The facts at the front of the record that recovery needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Brief {
    pub next: WallTime,
    pub on_hold: bool,
}

impl State {
    /// The state of a message that nothing has been tried for, due at `next`.
    pub fn new(recipients: usize, next: WallTime) -> Self {
        State {
            attempts: 0,
            next,
            on_hold: false,
            delay_notice_sent: false,
            recipients: vec![RecipientState::Pending; recipients],
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut texts = Texts::default();
        let marks: Vec<(u8, u16)> =
            self.recipients.iter().take(RECIPIENTS_MAX).map(|r| r.mark(&mut texts)).collect();
        let mut w = Writer::default();
        w.u64(self.next.unix_millis());
        w.u16(self.attempts);
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        w.u8(flag(self.on_hold, ON_HOLD) | flag(self.delay_notice_sent, DELAY_NOTICE_SENT));
        w.u8(0);
        w.u16(texts.list.len() as u16);
        w.u16(marks.len() as u16);
        for text in texts.list {
            w.text(text, SPOOL_REPLY_BYTES_MAX);
        }
        for (mark, text) in marks {
            w.u8(mark);
            w.u16(text);
        }
        w.0
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<State> {
        let mut r = Reader(bytes);
        let next = WallTime::from_unix_millis(r.u64()?);
        let attempts = r.u16()?;
        let flags = r.u8()?;
        r.u8()?;
        let (text_count, recipient_count) = (usize::from(r.u16()?), usize::from(r.u16()?));
        let texts = (0..text_count.min(RECIPIENTS_MAX)).map(|_| r.text()).collect::<Option<Vec<_>>>()?;
        let recipients = (0..recipient_count.min(RECIPIENTS_MAX))
            .map(|_| RecipientState::from_mark(r.u8()?, r.u16()?, &texts))
            .collect::<Option<Vec<_>>>()?;
        Some(State {
            attempts,
            next,
            on_hold: flags & ON_HOLD != 0,
            delay_notice_sent: flags & DELAY_NOTICE_SENT != 0,
            recipients,
        })
    }
}

impl Brief {
    pub fn decode(bytes: &[u8]) -> Option<Brief> {
        let mut r = Reader(bytes);
        let next = WallTime::from_unix_millis(r.u64()?);
        r.u16()?;
        Some(Brief { next, on_hold: r.u8()? & ON_HOLD != 0 })
    }
}

/// The texts of a record, each once. Past the bound on their sum further ones are stored as empty.
#[derive(Default)]
struct Texts<'a> {
    list: Vec<&'a str>,
    places: HashMap<&'a str, u16>,
    bytes: usize,
}

impl<'a> Texts<'a> {
    fn place(&mut self, text: &'a str) -> u16 {
        let text = &text[..text.floor_char_boundary(usize::from(SPOOL_REPLY_BYTES_MAX))];
        let fits = self.bytes + text.len() <= SPOOL_STATE_TEXT_BYTES_MAX;
        let text = if fits || self.places.contains_key(text) { text } else { "" };
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.list.len() as u16;
        self.list.push(text);
        self.places.insert(text, place);
        self.bytes += text.len();
        place
    }
}

impl RecipientState {
    fn mark<'a>(&'a self, texts: &mut Texts<'a>) -> (u8, u16) {
        match self {
            RecipientState::Pending => (0, 0),
            RecipientState::Delivered { reply } => (1, texts.place(reply)),
            RecipientState::Failed { reply } => (2, texts.place(reply)),
            RecipientState::Deferred { reply } => (3, texts.place(reply)),
        }
    }

    fn from_mark(mark: u8, text: u16, texts: &[&str]) -> Option<Self> {
        let reply = || texts.get(usize::from(text)).map(|t| (*t).to_owned());
        Some(match mark {
            0 => RecipientState::Pending,
            1 => RecipientState::Delivered { reply: reply()? },
            2 => RecipientState::Failed { reply: reply()? },
            3 => RecipientState::Deferred { reply: reply()? },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::RECORD_PAYLOAD_BYTES_MAX;

    fn mixed() -> State {
        let reply = |text: &str| text.to_owned();
        let mut state = State::new(5, WallTime::from_unix_seconds(975_320_363));
        state.attempts = 3;
        state.delay_notice_sent = true;
        state.recipients[1] = RecipientState::Delivered { reply: reply("250 ok") };
        state.recipients[2] = RecipientState::Failed { reply: reply("550 5.1.1 no such user") };
        state.recipients[3] = RecipientState::Deferred { reply: reply("450 later") };
        state.recipients[4] = RecipientState::Deferred { reply: reply("450 later") };
        state
    }

    #[test]
    fn a_state_reads_back_and_shares_its_texts() {
        let state = mixed();
        let bytes = state.encode();
        assert_eq!(State::decode(&bytes), Some(state.clone()));
        assert_eq!(bytes.windows(9).filter(|w| *w == b"450 later").count(), 1);
        assert_eq!(Brief::decode(&bytes), Some(Brief { next: state.next, on_hold: false }));
    }

    #[test]
    fn a_cut_state_is_no_state() {
        let bytes = mixed().encode();
        for end in 0..bytes.len() {
            assert_eq!(State::decode(&bytes[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn a_thousand_long_replies_still_fit_a_record() {
        let mut state = State::new(RECIPIENTS_MAX, WallTime::default());
        for (n, recipient) in state.recipients.iter_mut().enumerate() {
            *recipient = RecipientState::Failed { reply: format!("{n} {}", "x".repeat(2000)) };
        }
        let bytes = state.encode();
        assert!(bytes.len() <= RECORD_PAYLOAD_BYTES_MAX, "{}", bytes.len());
        let read = State::decode(&bytes).unwrap();
        assert!(read.recipients.iter().all(|r| matches!(r, RecipientState::Failed { .. })));
    }
}
