//! The client's session, as a server of any kind answers it.

use std::time::Duration;

use stagepost::mail::envelope::Envelope;
use stagepost::mail::{Address, Domain, ReversePath};
use stagepost::smtp::client::{Event, Session};
use stagepost::smtp::data::Decoder;
use stagepost::time::Instant;

use super::{Happening, assert_lines, happenings};

/// What is sent. Its own dots and lines are the ones that could be taken for an end.
const CONTENT: &[u8] = b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\nlast\r\n";

/// A script of what the server sends, and of what happens between. It comes by lines and by bytes: a server
/// that says more than one line at once may have said the second too early.
pub fn client(data: &[u8]) {
    let by_lines = Dialogue::play(data, |bytes| bytes.split_inclusive(|byte| *byte == b'\n').collect());
    let by_bytes = Dialogue::play(data, |bytes| bytes.chunks(1).collect());
    assert_eq!(by_lines.told, by_bytes.told, "the same bytes one by one");
    let _at_once = Dialogue::play(data, |bytes| vec![bytes]);
}

struct Dialogue {
    session: Session,
    now: Instant,
    open: bool,
    output: Vec<u8>,
    told: Vec<String>,
}

impl Dialogue {
    fn play(script: &[u8], cut: impl Fn(&[u8]) -> Vec<&[u8]>) -> Self {
        let mut session = Session::new(Domain::parse("bcd.com").expect("a domain"), Instant::ORIGIN);
        session.record_transcript();
        let mut dialogue =
            Dialogue { session, now: Instant::ORIGIN, open: false, output: Vec::new(), told: Vec::new() };
        for happening in happenings(script) {
            match happening {
                Happening::Event(letter) => dialogue.event(letter),
                Happening::Bytes(bytes) => cut(bytes).into_iter().for_each(|piece| {
                    dialogue.session.input(dialogue.now, piece);
                    dialogue.collect();
                }),
            }
        }
        dialogue.event(b'e');
        assert!(dialogue.session.is_finished() && dialogue.session.output().is_empty());
        assert!(!dialogue.open, "a transaction is left without an outcome");
        assert_lines(&dialogue.output, "what the client says");
        for line in dialogue.session.take_transcript() {
            assert!(!line.to_string().contains(char::is_control), "{line}");
        }
        dialogue
    }

    fn event(&mut self, letter: u8) {
        match letter {
            b's' | b'8' if self.session.is_ready() => {
                self.open = true;
                let envelope = envelope(letter == b'8');
                self.session.start(self.now, &envelope, CONTENT.len() as u64);
            }
            b'h' => self.session.start_tls(self.now),
            b'H' => self.session.tls_started(self.now),
            b'q' => self.session.quit(self.now),
            b't' => {
                self.now = self.session.deadline().max(self.now).min(self.now + Duration::from_secs(100_000));
                self.session.timeout(self.now);
            }
            b'w' => {
                self.now += Duration::from_secs(60);
                self.session.timeout(self.now);
            }
            b'e' => self.session.closed(),
            _ => {}
        }
        self.collect();
    }

    fn collect(&mut self) {
        loop {
            let said = self.session.output().to_vec();
            self.session.sent(said.len());
            self.output.extend(&said);
            let Some(event) = self.session.next_event() else { return };
            match &event {
                Event::SendContent => self.send_content(),
                Event::Finished(outcome) => {
                    assert!(std::mem::take(&mut self.open), "an outcome that nobody waited for");
                    assert_eq!(outcome.recipients.len(), 2);
                    for recipient in &outcome.recipients {
                        let reply = match recipient {
                            Ok(reply) => reply,
                            Err(refusal) => refusal.reply(),
                        };
                        let refused = reply.is_transient() || reply.is_permanent();
                        assert!(if recipient.is_ok() { reply.is_success() } else { refused }, "{reply}");
                        let text = reply.to_string();
                        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
                    }
                }
                _ => {}
            }
            self.told.push(format!("{event:?}"));
        }
    }

    /// What goes out must be read by a server as this one message, and nothing behind it.
    fn send_content(&mut self) {
        if self.session.is_finished() {
            return;
        }
        for piece in CONTENT.chunks(3) {
            self.session.content(self.now, piece);
        }
        self.session.end_of_content(self.now);
        let sent = self.session.output().to_vec();
        let (mut rest, mut read) = (&sent[..], Vec::new());
        let ended = Decoder::default().decode(&mut rest, &mut read);
        assert!(ended && rest.is_empty() && read == CONTENT, "{}", sent.escape_ascii());
    }
}

fn envelope(utf8: bool) -> Envelope {
    let address = |text| Address::parse(text).expect("an address");
    let sender = ReversePath::Address(address("b1@bcd.com"));
    let plain = Envelope::plain(sender, [address("x1@xyz.com"), address("x2@xyz.com")]);
    Envelope { smtputf8: utf8, ..plain }
}
