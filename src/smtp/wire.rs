//! A server and a client session joined in memory: what goes in at one end comes out at the other.

use proptest::prelude::*;

use crate::mail::{Address, Body, Domain, Envelope, LocalPart, Recipient, ReversePath};
use crate::smtp::server::{self, Action, Client, Desk, Peer, Settings};
use crate::smtp::{Enhanced, MailParameters, Reply, client};
use crate::time::Instant;

struct OpenHouse;

impl Desk for OpenHouse {
    fn mail(&self, _: &Client, _: &ReversePath, _: &MailParameters) -> Result<(), Reply> {
        Ok(())
    }

    fn rcpt(&self, _: &Client, _: &Envelope, recipient: &Recipient) -> Result<(), Reply> {
        match recipient.address.local.as_str() {
            "nobody" => Err(Reply::new(550, Enhanced(5, 1, 1), "No such user")),
            _ => Ok(()),
        }
    }

    fn vrfy(&self, _: &Client, _: &str) -> Reply {
        Reply::new(252, Enhanced(2, 5, 0), "Perhaps")
    }

    fn complete(&self, user: LocalPart) -> Address {
        Address::new(user, Domain::parse("xyz.com").unwrap())
    }
}

/// Sends each message over one connection, by pieces of `size`; what arrived, and the outcomes.
fn pass(messages: &[Vec<u8>], envelope: &Envelope, size: usize) -> (Vec<Vec<u8>>, Vec<client::Outcome>) {
    let now = Instant::ORIGIN;
    let peer = Peer { ip: "192.0.2.1".parse().unwrap() };
    let mut server = server::Session::new(Settings::new(Domain::parse("xyz.com").unwrap()), peer, now);
    server.resolved(now, None);
    let mut client = client::Session::new(Domain::parse("bcd.com").unwrap(), now);
    let (mut arrived, mut outcomes) = (Vec::new(), Vec::new());
    let mut waiting = messages.iter();
    let mut sending: &[u8] = b"";
    while !client.is_finished() {
        while let Some(event) = client.next_event() {
            match event {
                client::Event::SendContent => {
                    sending.chunks(size).for_each(|piece| client.content(now, piece));
                    client.end_of_content(now);
                    continue;
                }
                client::Event::Ready => {}
                client::Event::Finished(outcome) => outcomes.push(outcome),
                other => panic!("{other:?}"),
            }
            match waiting.next() {
                Some(message) => {
                    sending = message;
                    client.start(now, envelope, message.len() as u64);
                }
                None => client.quit(now),
            }
        }
        let piece = client.output().len().min(size);
        let used = server.input(now, &OpenHouse, &client.output()[..piece]);
        client.sent(used);
        while let Some(action) = server.next_action() {
            if let Action::Message { .. } = action {
                arrived.push(server.take_content());
                server.answer(now, Reply::new(250, Enhanced(2, 0, 0), "Taken"));
            }
        }
        let piece = server.output().len().min(size);
        client.input(now, &server.output()[..piece]);
        server.sent(piece);
    }
    (arrived, outcomes)
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "[.]{0,3}[ -~]{0,80}".prop_map(String::into_bytes),
        1 => (1000..5000usize).prop_map(|n| vec![b'.'; n]),
        1 => proptest::collection::vec(128..=255u8, 0..40),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn content_arrives_byte_by_byte_identical(
        messages in proptest::collection::vec(proptest::collection::vec(line(), 0..12), 1..4),
        size in 1..300usize,
    ) {
        let messages: Vec<Vec<u8>> = messages
            .into_iter()
            .map(|lines| lines.into_iter().flat_map(|line| [line, b"\r\n".to_vec()].concat()).collect())
            .collect();
        let to = ["x1@xyz.com", "nobody@xyz.com", "x2@xyz.com"].map(|a| Address::parse(a).unwrap());
        let mut envelope = Envelope::plain(ReversePath::Null, to);
        envelope.body = Body::EightBitMime;
        let (arrived, outcomes) = pass(&messages, &envelope, size);
        prop_assert_eq!(&arrived, &messages);
        for outcome in outcomes {
            let taken: Vec<bool> = outcome.recipients.iter().map(Result::is_ok).collect();
            prop_assert_eq!(taken, [true, false, true]);
        }
    }
}
