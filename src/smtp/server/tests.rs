//! Dialogues with the server, by what they are about.

use super::dialogue::play;

mod arbitrary;
mod auth;
mod commands;
mod content;
mod security;
mod tolerant;

const HELLO: &str = "
    S: 220 bcd.com ESMTP Stagepost
    C: EHLO a.example
    S: 250-bcd.com Hello a.example
    S: 250-SIZE 1000
    S: 250-PIPELINING
    S: 250-8BITMIME
    S: 250-ENHANCEDSTATUSCODES
    S: 250-DSN
    S: 250-CHUNKING
    S: 250-LIMITS RCPTMAX=3
    S: 250 HELP
    ";

/// After EHLO.
fn after_hello(script: &str) {
    play(&format!("{HELLO}{script}"));
}

/// After DATA, with one recipient.
fn in_data(script: &str) {
    after_hello(&format!(
        "
        C: MAIL FROM:<a@a.example>
        C: RCPT TO:<b1@bcd.com>
        C: DATA
        S: 250 2.1.0 Sender ok
        S: 250 2.1.5 Recipient ok
        S: 354 End the message with a dot on a line by itself
        A: data <a@a.example> to b1@bcd.com
        {script}"
    ));
}
