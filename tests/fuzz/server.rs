//! The server's session, as a client of any kind drives it.

use std::time::Duration;

use stagepost::limits::{MESSAGE_BYTES_MAX, REPLIES_HELD_BYTES_MAX};
use stagepost::mail::envelope::{Envelope, Recipient};
use stagepost::mail::{Address, Domain, LocalPart, ReversePath};
use stagepost::smtp::server::{Action, AuthOffer, Client, Desk, Peer, Session, Settings, Tls};
use stagepost::smtp::{Enhanced, MailParameters, Reply};
use stagepost::time::Instant;

use super::{Cut, Happening, assert_lines, happenings};

const CONTENT_MAX: u64 = 2000;

/// A house that takes mail for bcd.com.
struct House;

impl Desk for House {
    fn mail(&self, _: &Client, path: &ReversePath, _: &MailParameters) -> Result<(), Reply> {
        match path.address() {
            Some(address) if address.domain.as_str() != "bcd.com" => {
                Err(Reply::new(550, Enhanced(5, 7, 1), "Not from there"))
            }
            _ => Ok(()),
        }
    }

    fn rcpt(&self, _: &Client, _: &Envelope, recipient: &Recipient) -> Result<(), Reply> {
        match recipient.address.domain.as_str() {
            "bcd.com" => Ok(()),
            _ => Err(Reply::new(550, Enhanced(5, 7, 1), "No relaying")),
        }
    }

    fn vrfy(&self, _: &Client, _: &str) -> Reply {
        Reply::new(252, Enhanced(2, 5, 0), "Send mail and see")
    }

    fn complete(&self, user: LocalPart) -> Address {
        Address::new(user, Domain::parse("bcd.com").expect("a domain"))
    }
}

/// The first byte chooses the settings; the rest is a script of what the client sends and what happens.
pub fn server(data: &[u8]) {
    let Some((flags, script)) = data.split_first() else { return };
    let whole = Dialogue::play(*flags, script, Cut::Whole);
    for pieces in [1, 7] {
        let cut = Dialogue::play(*flags, script, Cut::Pieces(pieces));
        let said = |dialogue: &Dialogue| dialogue.output.escape_ascii().to_string();
        assert_eq!(said(&whole), said(&cut), "the same bytes in pieces of {pieces}");
        assert_eq!(whole.told, cut.told, "the same bytes in pieces of {pieces}");
    }
}

struct Dialogue {
    session: Session,
    now: Instant,
    /// Content of the message that is coming in.
    content: Vec<u8>,
    begun: bool,
    /// Bytes that the session did not want yet.
    unread: Vec<u8>,
    output: Vec<u8>,
    /// The actions, and the messages with their content.
    told: Vec<String>,
}

impl Dialogue {
    fn play(flags: u8, script: &[u8], cut: Cut) -> Self {
        let settings = Settings {
            message_bytes_max: CONTENT_MAX,
            recipients_max: 3,
            smtputf8: flags & 1 != 0,
            starttls: flags & 2 != 0,
            tolerant: flags & 4 != 0,
            auth: (flags & 8 != 0).then_some(AuthOffer {
                nonce: [1; 32],
                secret: [2; 32],
                in_the_clear: flags & 16 != 0,
                lacks_users: flags & 64 != 0,
            }),
            ..Settings::new(Domain::parse("bcd.com").expect("a domain"))
        };
        let peer = Peer { ip: [192, 0, 2, 1].into() };
        let mut dialogue = Dialogue {
            session: Session::new(settings, peer, Instant::ORIGIN),
            now: Instant::ORIGIN,
            content: Vec::new(),
            begun: false,
            unread: Vec::new(),
            output: Vec::new(),
            told: Vec::new(),
        };
        if flags & 32 == 0 {
            dialogue.event(b'n');
        }
        for happening in happenings(script) {
            match happening {
                Happening::Event(letter) => dialogue.event(letter),
                Happening::Bytes(bytes) => cut.of(bytes).for_each(|piece| {
                    dialogue.unread.extend_from_slice(piece);
                    dialogue.pump();
                }),
            }
        }
        dialogue.event(b'e');
        assert!(dialogue.session.is_finished(), "a client that has left keeps nothing open");
        assert!(!dialogue.begun, "a message that had begun was neither whole nor given up");
        assert_lines(&dialogue.output, "what the server says");
        dialogue
    }

    fn event(&mut self, letter: u8) {
        match letter {
            b'n' => self.session.resolved(self.now, None),
            b'N' => self.session.resolved(self.now, Domain::parse("client.example").ok()),
            b'a' => self.session.answer(self.now, Reply::new(250, Enhanced(2, 0, 0), "Taken")),
            b'f' => self.session.answer(self.now, Reply::new(451, Enhanced(4, 3, 0), "Not taken")),
            b't' => {
                self.now = self.session.deadline().max(self.now).min(self.now + Duration::from_secs(100_000));
                self.session.timeout(self.now);
            }
            b'w' => {
                self.now += Duration::from_secs(20);
                self.session.timeout(self.now);
            }
            b's' => self.session.shutdown(self.now),
            b'h' => {
                let (version, cipher) = ("TLSv1.3".to_owned(), "TLS_AES_128_GCM_SHA256".to_owned());
                self.session.tls_started(self.now, Tls { version, cipher, binding: None });
            }
            b'e' => self.session.closed(),
            _ => {}
        }
        self.collect();
        self.pump();
    }

    fn pump(&mut self) {
        while !self.unread.is_empty() {
            let used = self.session.input(self.now, &House, &self.unread);
            self.unread.drain(..used);
            self.collect();
            if used == 0 {
                return;
            }
        }
    }

    fn collect(&mut self) {
        let said = self.session.output().to_vec();
        assert!(said.len() < 2 * REPLIES_HELD_BYTES_MAX, "{} bytes of replies wait", said.len());
        self.session.sent(said.len());
        self.output.extend(&said);
        assert!(self.session.content_len() as u64 <= CONTENT_MAX.min(MESSAGE_BYTES_MAX as u64));
        while let Some(action) = self.session.next_action() {
            if let Action::Message { .. } = action {
                self.content.extend(self.session.take_content());
            }
            self.act(&action);
        }
        // Behind the actions: it may be of a message that begins only among them.
        self.content.extend(self.session.take_content());
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::DataStarts(envelope) => {
                assert!(!self.begun && !envelope.recipients.is_empty() && envelope.recipients.len() <= 3);
                for recipient in &envelope.recipients {
                    assert_eq!(recipient.address.domain.as_str(), "bcd.com", "nobody let this one in");
                }
                assert_path(&envelope.reverse_path);
                self.begun = true;
            }
            Action::Message { bytes, .. } => {
                assert!(std::mem::take(&mut self.begun));
                let content = std::mem::take(&mut self.content);
                assert_eq!(*bytes, content.len() as u64);
                assert!(content.len() as u64 <= CONTENT_MAX, "more than was offered");
                // BDAT says how long a message is: its last line need not be ended (RFC 3030 §2).
                let end: &[u8] = if content.ends_with(b"\r\n") { b"" } else { b"\r\n" };
                assert_lines(&[&content, end].concat(), "a message that was taken");
                self.told.push(format!("message {}", content.escape_ascii()));
                return;
            }
            Action::Aborted => {
                self.begun = false;
                self.content.clear();
            }
            Action::Refused { line, .. } => assert!(!line.contains(char::is_control), "{line:?}"),
            _ => {}
        }
        self.told.push(format!("{action:?}"));
    }
}

/// An address that was parsed reads back to the same, in one line.
fn assert_path(path: &ReversePath) {
    if let Some(address) = path.address() {
        let text = address.to_string();
        assert!(!text.contains(['\r', '\n', '\0']), "{text:?}");
        assert_eq!(Address::parse(&text).as_ref(), Ok(address));
    }
}
