//! Plays dialogues against a client session. `S:` is a line from the server (`S~` one without CRLF), `C:`
//! the next line that we say, `E:` the next event, `H:` what the driver does, `@` lets time pass.

use super::*;
use crate::mail::{Address, Body, ReversePath};
use crate::smtp::sasl::Credentials;
use crate::smtp::script::{self, Pieces, Player, Step};

/// Plays `script` in all ways; we are bcd.com.
pub(super) fn play(script: &str) {
    for (way, pieces) in Pieces::ways() {
        let mut session = Session::new(Domain::parse("bcd.com").unwrap(), Instant::ORIGIN);
        session.record_transcript();
        let now = Instant::ORIGIN;
        let (unread, output) = (Vec::new(), Vec::new());
        let mut player = Client { session, now, pieces, unread, output, events: VecDeque::new(), way };
        player.play_steps(&script::steps(script));
    }
}

/// From b1@bcd.com to each of `to`.
pub(super) fn envelope<'a>(to: impl IntoIterator<Item = &'a str>) -> Envelope {
    let from = ReversePath::Address(Address::parse("b1@bcd.com").unwrap());
    Envelope::plain(from, to.into_iter().map(|text| Address::parse(text).unwrap()))
}

struct Client {
    session: Session,
    now: Instant,
    pieces: Pieces,
    unread: Vec<u8>,
    output: Vec<u8>,
    events: VecDeque<Event>,
    way: String,
}

impl Player for Client {
    const PEER: [&'static str; 2] = ["S:", "S~"];

    fn looks(step: &Step<'_>) -> bool {
        matches!(step.kind, "C:" | "E:")
    }

    fn step(&mut self, step: &Step<'_>) {
        let place = format!("{}, line {}: {}", self.way, step.number, step.text);
        match step.kind {
            "S:" | "S~" => self.unread.extend(script::said(step)),
            "C:" => assert_eq!(script::take_line(&mut self.output), step.text, "{place}"),
            "E:" => {
                let event = self.next_event().map(|event| told(&event)).unwrap_or_default();
                assert_eq!(event, step.text, "{place}");
            }
            "T:" => {
                let told: Vec<String> =
                    self.session.take_transcript().iter().map(|l| l.to_string()).collect();
                assert_eq!(told.join(" | "), step.text, "{place}");
            }
            "@" => {
                self.now += script::duration(step.text);
                self.session.timeout(self.now);
            }
            "H:" => self.driver(step.text),
            other => panic!("{place}: step {other}"),
        }
        self.collect();
    }

    fn pump(&mut self) {
        while !self.unread.is_empty() {
            let piece: Vec<u8> = self.unread.drain(..self.pieces.next(self.unread.len())).collect();
            self.session.input(self.now, &piece);
            self.derive();
            self.collect();
        }
    }

    fn nothing_left(&mut self, when: &str) {
        let line = script::take_line(&mut self.output);
        assert_eq!(line, "(nothing)", "{}, {when}: something is said", self.way);
        assert_eq!(self.next_event(), None, "{}, {when}: an event is left", self.way);
    }
}

impl Client {
    fn driver(&mut self, what: &str) {
        let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
        match verb {
            "start" => {
                let (flags, to): (Vec<&str>, Vec<&str>) = rest.split(' ').partition(|w| !w.contains('@'));
                let mut envelope = envelope(to);
                let mut size = 10;
                for flag in flags {
                    match flag.split_once('=').unwrap_or((flag, "")) {
                        ("8bit", _) => envelope.body = Body::EightBitMime,
                        ("utf8", _) => envelope.smtputf8 = true,
                        ("tls", _) => envelope.require_tls = true,
                        ("size", number) => size = number.parse().unwrap(),
                        other => panic!("{other:?}"),
                    }
                }
                self.session.start(self.now, &envelope, size);
            }
            "content" => {
                let content = script::bytes(rest);
                let mut rest = &content[..];
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(self.pieces.next(rest.len()));
                    self.session.content(self.now, piece);
                    rest = after;
                }
            }
            "end" => self.session.end_of_content(self.now),
            "starttls" => self.session.start_tls(self.now),
            "tls" => self.session.tls_started(self.now),
            "login" => {
                let credentials = Credentials { user: "b1".to_owned(), password: rest.to_owned() };
                self.session.authenticate(self.now, &credentials, "rOprNGfwEbeRWgbNEkqO".to_owned());
            }
            "quit" => self.session.quit(self.now),
            "closed" => self.session.closed(),
            other => panic!("driver: {other}"),
        }
    }

    /// Salts the password that the server asks for, where that is what happened last.
    fn derive(&mut self) {
        let events: Vec<Event> = std::iter::from_fn(|| self.session.next_event()).collect();
        for event in events {
            match event {
                Event::Derive(derivation) => self.session.derived(self.now, derivation.run()),
                event => self.events.push_back(event),
            }
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front().or_else(|| self.session.next_event())
    }

    fn collect(&mut self) {
        let output = self.session.output().to_vec();
        self.output.extend(&output);
        self.session.sent(output.len());
    }
}

fn told(event: &Event) -> String {
    match event {
        Event::Ready => "ready".to_owned(),
        Event::StartTls => "start TLS".to_owned(),
        Event::TlsRefused(reply) => format!("no TLS: {reply}"),
        Event::Derive(_) => unreachable!("done by `pump`"),
        Event::Authenticated => "authenticated".to_owned(),
        Event::AuthRefused(reply) => format!("not authenticated: {reply}"),
        Event::SendContent => "send".to_owned(),
        Event::Refused(reply) => format!("refused {reply}"),
        Event::Broken(reason) => format!("broken: {reason}"),
        Event::Closed => "closed".to_owned(),
        Event::Finished(outcome) => {
            let each = outcome.recipients.iter().map(|result| match result {
                Ok(reply) => format!("ok {reply}"),
                Err(Refusal::Said(reply)) => format!("no {reply}"),
                Err(Refusal::Found(reply)) => format!("own {reply}"),
            });
            each.collect::<Vec<String>>().join(" / ")
        }
    }
}
