//! The content of a message on its way in: DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030). What makes it
//! unacceptable is noted as it comes and told at its end; until then the bytes go by and are not kept.
//! A client that stops, or that sends too slowly, is let go.

use super::*;
use crate::limits::{
    PACE_WINDOW_S, SERVER_ANSWER_WAIT_S, SERVER_CONTENT_WAIT_S, SERVER_PACE_BYTES_PER_MINUTE_MIN,
};
use crate::mail::Body;
use crate::smtp::data::{DataFault, Decoder, Mender};

/// A message on its way.
#[derive(Debug)]
pub(super) struct Incoming {
    envelope: Arc<Envelope>,
    bytes: u64,
    /// A byte beyond ASCII was in it.
    eight_bit: bool,
    /// What will be told at its end, before anything else.
    fault: Option<DataFault>,
    too_large: bool,
    pub(super) pace: Pace,
}

/// How the dots come off and the end is found.
#[derive(Debug)]
pub(super) enum Undotting {
    Strict(Decoder),
    Mending(Mender),
}

impl Undotting {
    fn decode(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> bool {
        match self {
            Undotting::Strict(decoder) => decoder.decode(input, out),
            Undotting::Mending(mender) => mender.decode(input, out),
        }
    }

    fn fault(&self) -> Option<DataFault> {
        match self {
            Undotting::Strict(decoder) => decoder.fault(),
            Undotting::Mending(_) => None,
        }
    }
}

/// How fast a message comes.
#[derive(Debug)]
pub(super) struct Pace {
    window_began: Instant,
    /// Bytes on the wire since then.
    bytes: u64,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Pace { window_began: now, bytes: 0 }
    }

    pub(super) fn looked_at(&self) -> Instant {
        self.window_began + Duration::from_secs(PACE_WINDOW_S)
    }

    /// Whether enough has come in the window that ends now; then the next one begins.
    fn is_kept(&mut self, now: Instant) -> bool {
        let kept = self.bytes >= SERVER_PACE_BYTES_PER_MINUTE_MIN * PACE_WINDOW_S / 60;
        *self = Pace::new(now);
        kept
    }
}

impl Incoming {
    fn new(envelope: Arc<Envelope>, now: Instant) -> Self {
        let pace = Pace::new(now);
        Incoming { envelope, bytes: 0, eight_bit: false, fault: None, too_large: false, pace }
    }

    /// It will be refused at its end; nothing of it is kept.
    pub(super) fn is_refused(&self) -> bool {
        self.too_large || self.fault.is_some()
    }

    /// Notes what has come: `added` is what is new in the content, `fault` what is wrong with it so far.
    /// Returns whether the message has just become unacceptable.
    fn note(&mut self, added: &[u8], fault: Option<DataFault>, bytes_max: u64) -> bool {
        let before = self.is_refused();
        self.bytes += added.len() as u64;
        self.eight_bit |= !added.is_ascii();
        self.fault = fault;
        self.too_large |= self.bytes > bytes_max;
        !before && self.is_refused()
    }

    fn refusal(&self, bytes_max: u64) -> Option<Reply> {
        if let Some(fault) = self.fault {
            return Some(Reply::new(550, Enhanced(5, 6, 0), format!("Refused: {fault}")));
        }
        let told = || format!("Refused: larger than {bytes_max} bytes");
        self.too_large.then(|| Reply::new(552, Enhanced(5, 3, 4), told()))
    }
}

impl Session {
    /// DATA or the first BDAT: the driver hears of the message.
    fn message_starts(&mut self, now: Instant, envelope: Envelope) -> Incoming {
        let envelope = Arc::new(envelope);
        self.actions.push_back(Action::DataStarts(Arc::clone(&envelope)));
        Incoming::new(envelope, now)
    }

    pub(super) fn data(&mut self, now: Instant) -> Result<Reply, Reply> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Mail(envelope) if !envelope.recipients.is_empty() => {
                let message = self.message_starts(now, envelope);
                let undotting = match self.settings.tolerant {
                    true => Undotting::Mending(Mender::default()),
                    false => Undotting::Strict(Decoder::default()),
                };
                self.state = State::Data(message, undotting);
                Ok(Reply::new(354, None, "End the message with a dot on a line by itself"))
            }
            other => {
                let reply = out_of_order(&other);
                self.state = other;
                Err(reply)
            }
        }
    }

    /// A chunk of `bytes` follows. What follows is content in any case, wanted or not.
    pub(super) fn bdat(&mut self, now: Instant, bytes: u64, last: bool) {
        let (mut message, checker) = match std::mem::replace(&mut self.state, State::Idle) {
            State::Mail(envelope) if !envelope.recipients.is_empty() => {
                (self.message_starts(now, envelope), Checker::default())
            }
            State::Chunks(message, checker) => (message, checker),
            other => {
                let reply = out_of_order(&other);
                self.state = State::Skip { left: bytes, reply, back: Box::new(other) };
                return self.wait_for_content(now, bytes);
            }
        };
        let bytes_max = self.settings.message_bytes_max;
        if !message.is_refused() && bytes > bytes_max.saturating_sub(message.bytes) {
            message.too_large = true;
            self.actions.push_back(Action::Aborted);
        }
        self.state = State::Chunk { message, checker, left: bytes, last };
        self.wait_for_content(now, bytes);
    }

    fn wait_for_content(&mut self, now: Instant, bytes: u64) {
        self.deadline = now + Duration::from_secs(SERVER_CONTENT_WAIT_S);
        if bytes == 0 {
            self.chunk_ended(now);
        }
    }

    /// Takes content up to its end or to the end of `input`.
    pub(super) fn content_arrives(&mut self, now: Instant, input: &mut &[u8]) {
        self.deadline = now + Duration::from_secs(SERVER_CONTENT_WAIT_S);
        let bytes_max = self.settings.message_bytes_max;
        let (before, offered) = (self.content.len(), input.len());
        let (unacceptable, ended) = match &mut self.state {
            State::Data(message, decoder) => {
                let ended = decoder.decode(input, &mut self.content);
                message.pace.bytes += (offered - input.len()) as u64;
                let unacceptable = message.note(&self.content[before..], decoder.fault(), bytes_max);
                if message.is_refused() {
                    self.content = Vec::new();
                }
                (unacceptable, ended)
            }
            State::Chunk { message, checker, left, .. } => {
                let piece = take(input, left);
                checker.check(piece);
                message.pace.bytes += piece.len() as u64;
                if !message.is_refused() {
                    self.content.extend_from_slice(piece);
                }
                (message.note(piece, checker.fault(), bytes_max), *left == 0)
            }
            State::Skip { left, .. } => {
                take(input, left);
                (false, *left == 0)
            }
            _ => (false, false),
        };
        if unacceptable {
            self.content = Vec::new();
            self.actions.push_back(Action::Aborted);
        }
        match &self.state {
            State::Data(..) if ended => self.data_ended(now),
            _ if ended => self.chunk_ended(now),
            _ => {}
        }
    }

    /// Lets a client go whose message has come too slowly up to now.
    pub(super) fn look_at_pace(&mut self, now: Instant) {
        let kept = match &mut self.state {
            State::Data(message, _) | State::Chunk { message, .. } | State::Chunks(message, _) => {
                message.pace.is_kept(now)
            }
            _ => true,
        };
        if !kept {
            self.end(now, Reply::new(421, Enhanced(4, 4, 2), "The message comes too slowly"));
        }
    }

    fn data_ended(&mut self, now: Instant) {
        if let State::Data(message, _) = std::mem::replace(&mut self.state, State::Idle) {
            self.message_ended(now, message);
        }
    }

    fn chunk_ended(&mut self, now: Instant) {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Chunk { mut message, mut checker, last, .. } => {
                if last {
                    checker.finish();
                    if message.note(&[], checker.fault(), self.settings.message_bytes_max) {
                        self.actions.push_back(Action::Aborted);
                    }
                }
                if last || message.is_refused() {
                    return self.message_ended(now, message);
                }
                let text = format!("{} bytes so far", message.bytes);
                self.state = State::Chunks(message, checker);
                self.reply(now, Reply::new(250, Enhanced(2, 0, 0), text));
            }
            State::Skip { reply, back, .. } => {
                self.state = *back;
                // A client that pipelines hears of one failure for each chunk that it has sent already.
                match std::mem::replace(&mut self.chunks_skipped, true) {
                    false => self.refuse(now, b"BDAT", reply),
                    true => self.reply(now, reply),
                }
            }
            other => self.state = other,
        }
        self.stop_if_asked(now);
    }

    /// What was not declared and may not be sent so (RFC 6152 §3), but for old devices.
    fn undeclared(&self, message: &Incoming) -> Option<Reply> {
        let Envelope { body, smtputf8, .. } = *message.envelope;
        let declared = body != Body::SevenBit || smtputf8 || self.settings.tolerant;
        let text = "Refused: it has bytes beyond ASCII, and MAIL did not say BODY=8BITMIME";
        (message.eight_bit && !declared).then(|| Reply::new(550, Enhanced(5, 6, 0), text))
    }

    /// The message is whole, or it was refused.
    fn message_ended(&mut self, now: Instant, message: Incoming) {
        let refusal = message.refusal(self.settings.message_bytes_max).or_else(|| {
            let refusal = self.undeclared(&message)?;
            self.actions.push_back(Action::Aborted);
            Some(refusal)
        });
        match refusal {
            Some(refusal) => {
                self.content = Vec::new();
                self.note_refusal(b"(the message)", &refusal);
                self.reply(now, refusal);
                self.stop_if_asked(now);
            }
            None => {
                let Incoming { envelope, bytes, eight_bit, .. } = message;
                self.state = State::Answering;
                self.deadline = now + Duration::from_secs(SERVER_ANSWER_WAIT_S);
                self.actions.push_back(Action::Message { envelope, bytes, eight_bit });
            }
        }
    }
}

/// The reply to DATA or BDAT in a state where no content may come.
fn out_of_order(state: &State) -> Reply {
    match state {
        State::Mail(_) => Reply::new(554, Enhanced(5, 5, 1), "No recipient was accepted"),
        State::Chunks(..) => Reply::new(503, Enhanced(5, 5, 1), "DATA cannot follow BDAT"),
        _ => Reply::new(503, Enhanced(5, 5, 1), "MAIL and RCPT come before the message"),
    }
}

/// Up to `left` bytes from the front of `input`.
fn take<'a>(input: &mut &'a [u8], left: &mut u64) -> &'a [u8] {
    let n = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
    let (piece, rest) = input.split_at(n);
    *input = rest;
    *left -= n as u64;
    piece
}
