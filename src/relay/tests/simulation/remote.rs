//! A remote host as bytes: it answers what the client session says to it, each as its mood is.

use super::hosts::Mood;
use crate::mail::Address;
use crate::prng::Prng;

/// One host at the other end of one connection.
#[derive(Debug, Default)]
pub struct Remote {
    /// What has come and is no whole line yet, or the content so far.
    unread: Vec<u8>,
    content: bool,
    /// The null path, or the sender.
    from_nobody: bool,
    /// Of this transaction.
    recipients: Vec<Address>,
    refused: Vec<Address>,
    taken: Option<Taken>,
    closed: bool,
}

/// A message that a host took, as it came over the line.
#[derive(Debug)]
pub struct Taken {
    pub recipients: Vec<Address>,
    pub text: Vec<u8>,
}

impl Remote {
    pub fn greeting(&self) -> &'static [u8] {
        b"220 mx.test ESMTP\r\n"
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The message that it took in this transaction.
    pub fn take(&mut self) -> Option<Taken> {
        self.taken.take()
    }

    /// Those whom it refused for good in this transaction.
    pub fn refusals(&mut self) -> Vec<Address> {
        std::mem::take(&mut self.refused)
    }

    /// Its answer to what comes in.
    pub fn hear(&mut self, bytes: &[u8], mood: Mood, dice: &mut Prng) -> Vec<u8> {
        self.unread.extend_from_slice(bytes);
        let mut said = Vec::new();
        loop {
            let end: &[u8] = if self.content { b"\r\n.\r\n" } else { b"\r\n" };
            let Some(at) = memchr::memmem::find(&self.unread, end) else { return said };
            let line: Vec<u8> = self.unread.drain(..at + end.len()).collect();
            let reply = match self.content {
                true => self.end_of_content(&line, mood),
                false => self.command(&String::from_utf8_lossy(&line), mood, dice),
            };
            if self.closed {
                return said;
            }
            said.extend_from_slice(reply.as_bytes());
        }
    }

    fn command(&mut self, line: &str, mood: Mood, dice: &mut Prng) -> String {
        let verb = line.get(..4).unwrap_or_default();
        let reply = match verb {
            "EHLO" => "250-mx.test\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES",
            "MAIL" => {
                self.from_nobody = line.contains("FROM:<>");
                (self.recipients, self.refused) = (Vec::new(), Vec::new());
                "250 2.1.0 ok"
            }
            "RCPT" => self.recipient(line, mood, dice),
            "DATA" if self.recipients.is_empty() => "554 5.5.1 no valid recipients",
            "DATA" => {
                self.content = true;
                // The first line of the content may be the final dot.
                self.unread.splice(0..0, *b"\r\n");
                "354 go on"
            }
            "QUIT" => "221 2.0.0 bye",
            _ => "250 2.0.0 ok",
        };
        format!("{reply}\r\n")
    }

    fn recipient(&mut self, line: &str, mood: Mood, dice: &mut Prng) -> &'static str {
        let address = line.split(['<', '>']).nth(1).and_then(|text| Address::parse(text).ok());
        let address = address.unwrap_or_else(|| panic!("no recipient in {line:?}"));
        let mood = match mood {
            Mood::Fickle => [Mood::Friendly, Mood::Busy, Mood::Refusing][dice.below(3)],
            same => same,
        };
        match mood {
            Mood::Busy => "451 4.3.0 busy",
            Mood::Refusing => {
                self.refused.push(address);
                "550 5.1.1 no such user"
            }
            Mood::Garbling if dice.below(2) == 0 => "250\x07what\r\n99 \u{fffd}",
            _ => {
                self.recipients.push(address);
                "250 2.1.5 ok"
            }
        }
    }

    fn end_of_content(&mut self, lines: &[u8], mood: Mood) -> String {
        self.content = false;
        if mood == Mood::Dropping {
            self.closed = true;
            return String::new();
        }
        if mood == Mood::Garbling {
            return "I have no idea what a reply is\r\n".to_owned();
        }
        // What the dots stand for (RFC 5321 §4.5.2); the two bytes in front were put there.
        let mut text = Vec::with_capacity(lines.len());
        for line in lines[2..lines.len() - 3].split_inclusive(|b| *b == b'\n') {
            text.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
        }
        self.taken = Some(Taken { recipients: std::mem::take(&mut self.recipients), text });
        self.closed = mood == Mood::Vanishing;
        "250 2.0.0 taken\r\n".to_owned()
    }
}
