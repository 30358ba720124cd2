//! Plays dialogues against a client session. `S:` is a line from the server (`S~` one without CRLF), `C:`
//! the next line that we say, `E:` the next event, `H:` what the driver does, `@` lets time pass.

use super::*;
use crate::mail::{Address, Body, ReversePath};
use crate::smtp::sasl::Credentials;
use crate::smtp::script::{self, Pieces, Step};

/// Plays `script` in all ways; we are bcd.com.
pub(super) fn play(script: &str) {
    for (way, pieces) in Pieces::ways() {
        let mut session = Session::new(Domain::parse("bcd.com").unwrap(), Instant::ORIGIN);
        session.record_transcript();
        let now = Instant::ORIGIN;
        let (unread, output) = (Vec::new(), Vec::new());
        Player { session, now, pieces, unread, output, events: VecDeque::new(), way }.play(script);
    }
}

/// From b1@bcd.com to each of `to`.
pub(super) fn envelope<'a>(to: impl IntoIterator<Item = &'a str>) -> Envelope {
    let from = ReversePath::Address(Address::parse("b1@bcd.com").unwrap());
    Envelope::plain(from, to.into_iter().map(|text| Address::parse(text).unwrap()))
}

struct Player {
    session: Session,
    now: Instant,
    pieces: Pieces,
    unread: Vec<u8>,
    output: Vec<u8>,
    events: VecDeque<Event>,
    way: String,
}

impl Player {
    fn play(&mut self, script: &str) {
        let mut spoke = false;
        for step in script::steps(script) {
            let speaks = matches!(step.kind, "S:" | "S~");
            if spoke && !speaks {
                self.pump();
            }
            if !(matches!(step.kind, "C:" | "E:") || spoke && speaks) {
                self.nothing_left(&format!("{}, before line {}", self.way, step.number));
            }
            self.step(&step);
            spoke = speaks;
        }
        self.pump();
        self.nothing_left(&format!("{}, at the end", self.way));
    }

    fn step(&mut self, step: &Step) {
        let place = format!("{}, line {}: {}", self.way, step.number, step.text);
        match step.kind {
            "S:" => self.unread.extend([script::bytes(step.text), b"\r\n".to_vec()].concat()),
            "S~" => self.unread.extend(script::bytes(step.text)),
            "C:" => assert_eq!(self.next_line(), step.text, "{place}"),
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

    fn pump(&mut self) {
        while !self.unread.is_empty() {
            let piece: Vec<u8> = self.unread.drain(..self.pieces.next(self.unread.len())).collect();
            self.session.input(self.now, &piece);
            self.derive();
            self.collect();
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

    fn next_line(&mut self) -> String {
        let end = self.output.windows(2).position(|w| w == b"\r\n");
        let Some(end) = end else { return "(nothing)".to_owned() };
        let line: Vec<u8> = self.output.drain(..end + 2).collect();
        script::shown(&line[..end])
    }

    fn nothing_left(&mut self, place: &str) {
        assert_eq!(self.next_line(), "(nothing)", "{place}: something is said");
        assert_eq!(self.next_event(), None, "{place}: an event is left");
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
