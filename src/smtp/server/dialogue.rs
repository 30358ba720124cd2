//! Plays dialogues against a server session. `C:` is a line from the client (`C~` one without CRLF), `S:`
//! the next line of output, `A:` the next action, `H:` what the house does, `@` lets time pass.

use super::*;
use crate::smtp::sasl::Verifier;
use crate::smtp::script::{self, Pieces, Player, Step};

/// A house that hosts bcd.com: `nobody` is unknown, `later` is busy, and refused.example may not send.
pub(super) struct House;

impl Desk for House {
    fn mail(&self, _: &Client, path: &ReversePath, _: &MailParameters) -> Result<(), Reply> {
        match path.address() {
            Some(address) if address.domain.as_str() == "refused.example" => {
                Err(Reply::new(550, Enhanced(5, 7, 1), "Not from there"))
            }
            _ => Ok(()),
        }
    }

    fn rcpt(&self, _: &Client, _: &Envelope, recipient: &Recipient) -> Result<(), Reply> {
        match (recipient.address.domain.as_str(), recipient.address.local.as_str()) {
            ("bcd.com", "nobody") => Err(Reply::new(550, Enhanced(5, 1, 1), "No such user")),
            ("bcd.com", "later") => Err(Reply::new(450, Enhanced(4, 2, 1), "Busy")),
            ("bcd.com", _) => Ok(()),
            _ => Err(Reply::new(550, Enhanced(5, 7, 1), "No relaying")),
        }
    }

    fn vrfy(&self, _: &Client, _: &str) -> Reply {
        Reply::new(252, Enhanced(2, 5, 0), "Send mail and see")
    }

    /// b1, whose password is `secret`.
    fn account(&self, _: &Client, name: &str) -> Option<Account> {
        let user = Address::parse("b1@bcd.com").unwrap();
        (name == "b1").then(|| Account { user, verifier: Verifier::new("secret", [1; 16]) })
    }

    fn complete(&self, user: LocalPart) -> Address {
        Address::new(user, Domain::parse("bcd.com").unwrap())
    }
}

pub(super) fn settings() -> Settings {
    Settings {
        message_bytes_max: 1000,
        recipients_max: 3,
        ..Settings::new(Domain::parse("bcd.com").unwrap())
    }
}

pub(super) fn session() -> Session {
    session_with(settings())
}

pub(super) fn session_with(settings: Settings) -> Session {
    Session::new(settings, Peer { ip: "192.0.2.1".parse().unwrap() }, Instant::ORIGIN)
}

/// Plays `script` in all ways. Unless it begins with `H: naming`, the peer has no name.
pub(super) fn play(script: &str) {
    play_with(settings(), script);
}

pub(super) fn play_with(settings: Settings, script: &str) {
    for (way, pieces) in Pieces::ways() {
        let peer = Peer { ip: "192.0.2.1".parse().unwrap() };
        let session = Session::new(settings.clone(), peer, Instant::ORIGIN);
        let (now, unread) = (Instant::ORIGIN, Vec::new());
        let (content, actions) = (Vec::new(), VecDeque::new());
        let mut player = Server { session, now, pieces, unread, content, actions, output: Vec::new(), way };
        player.play(script);
    }
}

struct Server {
    session: Session,
    now: Instant,
    pieces: Pieces,
    /// What the client has sent and the session has not used.
    unread: Vec<u8>,
    content: Vec<u8>,
    actions: VecDeque<String>,
    output: Vec<u8>,
    way: String,
}

impl Server {
    fn play(&mut self, script: &str) {
        let steps = script::steps(script);
        let unnamed = steps.first().is_none_or(|step| step.text != "naming");
        if unnamed {
            assert_eq!(self.session.next_action(), Some(Action::ResolvePeer));
            self.session.resolved(self.now, None);
        }
        self.collect();
        self.play_steps(&steps);
    }

    fn house(&mut self, what: &str) {
        let (verb, rest) = what.split_once(' ').unwrap_or((what, ""));
        match verb {
            "naming" | "go" => {}
            "resolved" => self.session.resolved(self.now, Domain::parse(rest).ok()),
            "answer" => {
                let (code, text) = rest.split_once(' ').unwrap();
                self.session.answer(self.now, Reply::new(code.parse().unwrap(), None, text.to_owned()));
            }
            "tls" => {
                let tls = Tls {
                    version: "TLSv1.3".to_owned(),
                    cipher: "TLS13_AES_128_GCM_SHA256".to_owned(),
                    binding: None,
                };
                self.session.tls_started(self.now, tls);
            }
            "shutdown" => self.session.shutdown(self.now),
            "closed" => self.session.closed(),
            other => panic!("house: {other}"),
        }
        self.collect();
        self.pump();
    }

    fn collect(&mut self) {
        let output = self.session.output().to_vec();
        self.output.extend(&output);
        self.session.sent(output.len());
        let content = self.session.take_content();
        self.content.extend(content);
        while let Some(action) = self.session.next_action() {
            if let Action::CheckPassword(check) = action {
                self.session.checked(self.now, Some(check.run()));
                let output = self.session.output().to_vec();
                self.output.extend(&output);
                self.session.sent(output.len());
                continue;
            }
            let told = self.tell(&action);
            // Every refusal is in the output too.
            if !matches!(action, Action::Refused { .. }) {
                self.actions.push_back(told);
            }
        }
    }

    fn tell(&mut self, action: &Action) -> String {
        match action {
            Action::ResolvePeer => "resolve".to_owned(),
            Action::ClaimDiffers { claimed, verified } => format!("{verified} claims to be {claimed}"),
            Action::DataStarts(envelope) => {
                let to: Vec<String> = envelope.recipients.iter().map(|r| r.address.to_string()).collect();
                format!("data <{}> to {}", envelope.reverse_path, to.join(","))
            }
            Action::Message { bytes, .. } => {
                assert_eq!(*bytes, self.content.len() as u64);
                format!("message \"{}\"", script::shown(&std::mem::take(&mut self.content)))
            }
            Action::Aborted => {
                self.content.clear();
                "aborted".to_owned()
            }
            Action::Refused { line, reply } => {
                assert!(self.session.is_finished() || reply.is_permanent(), "{line}");
                String::new()
            }
            Action::StartTls => "start TLS".to_owned(),
            Action::CheckPassword(_) => unreachable!("done by `collect`"),
            Action::AuthFailed { user } => format!("{user} failed"),
            Action::Authenticated(user) => format!("{user} authenticated"),
            Action::SpeaksTls => "speaks TLS".to_owned(),
            Action::Close => "close".to_owned(),
        }
    }

    fn next_line(&mut self) -> String {
        script::take_line(&mut self.output).replace("\\\"", "\"").replace("\\'", "'")
    }
}

impl Player for Server {
    const PEER: [&'static str; 2] = ["C:", "C~"];

    fn looks(step: &Step<'_>) -> bool {
        matches!(step.kind, "S:" | "A:") || step.text == "naming"
    }

    fn step(&mut self, step: &Step<'_>) {
        let place = format!("{}, line {}: {}", self.way, step.number, step.text);
        match step.kind {
            // The session has it when its next other step comes.
            "C:" | "C~" => return self.unread.extend(script::said(step)),
            "S:" => assert_eq!(self.next_line().trim_end(), step.text, "{place}"),
            "A:" => assert_eq!(self.actions.pop_front().unwrap_or_default(), step.text, "{place}"),
            "@" => {
                self.now += script::duration(step.text);
                self.session.timeout(self.now);
            }
            "H:" => self.house(step.text),
            other => panic!("{place}: step {other}"),
        }
        self.collect();
    }

    /// Hands over what the session takes of it.
    fn pump(&mut self) {
        while !self.unread.is_empty() {
            let piece = self.pieces.next(self.unread.len());
            let used = self.session.input(self.now, &House, &self.unread[..piece]);
            self.unread.drain(..used);
            self.collect();
            if used == 0 {
                return;
            }
        }
    }

    fn nothing_left(&mut self, when: &str) {
        assert_eq!(self.next_line(), "(nothing)", "{}, {when}: output is left", self.way);
        assert_eq!(self.actions.pop_front(), None, "{}, {when}: an action is left", self.way);
    }
}
