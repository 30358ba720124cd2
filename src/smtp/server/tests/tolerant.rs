//! Old devices that the operator has named: what they get wrong is mended. Everyone else is refused.

use crate::smtp::server::Settings;
use crate::smtp::server::dialogue::{play, play_with, settings};

fn tolerated(script: &str) {
    play_with(Settings { tolerant: true, ..settings() }, script);
}

#[test]
fn an_old_scanner_gets_its_message_through() {
    tolerated(
        "
        S: 220 bcd.com ESMTP Stagepost
        C~ HELO\\n
        S: 250 bcd.com Hello [192.0.2.1]
        C~ MAIL FROM: <scanner@bcd.com>\\n
        S: 250 2.1.0 Sender ok
        C~ RCPT TO:b1@bcd.com\\r\\r\\n
        S: 250 2.1.5 Recipient ok
        C~ DATA\\n
        S: 354 End the message with a dot on a line by itself
        A: data <scanner@bcd.com> to b1@bcd.com
        C~ Subject: scan\\n\\r\\r\\n..\\npage\\0 1\\r.\\n
        A: message \"Subject: scan\\r\\n\\r\\n.\\r\\npage 1\\r\\n\"
        H: answer 250 ok
        S: 250 ok
        C~ QUIT\\n
        S: 221 2.0.0 bcd.com closing connection
        A: close",
    );
}

#[test]
fn everyone_else_is_told_what_is_wrong() {
    play(
        "
        S: 220 bcd.com ESMTP Stagepost
        C: HELO
        S: 501 5.5.4 Say your host name or your address after the command
        C: HELO a.example
        S: 250 bcd.com Hello a.example
        C: MAIL FROM: <a@a.example>
        S: 501 5.5.2 Write MAIL FROM:<address>: no space may follow the colon
        C: MAIL FROM:a@a.example
        S: 501 5.5.2 Write MAIL FROM:<address>: the address stands in angle brackets
        C~ NOOP\\nNOOP\\r\\n
        S: 500 5.5.2 Refused: a bare LF is in the line; only CRLF ends a line",
    );
}

#[test]
fn what_cannot_be_mended_is_refused_of_devices_too() {
    tolerated(
        "
        S: 220 bcd.com ESMTP Stagepost
        C~ EHLO\\n
        S: 250-bcd.com Hello [192.0.2.1]
        S: 250-SIZE 1000
        S: 250-PIPELINING
        S: 250-8BITMIME
        S: 250-ENHANCEDSTATUSCODES
        S: 250-DSN
        S: 250-CHUNKING
        S: 250-LIMITS RCPTMAX=3
        S: 250 HELP
        C~ MAIL FROM: scanner\\n
        S: 501 5.1.7 the address has no @
        C~ {2100*x}\\n
        S: 500 5.5.2 Refused: the line is too long
        C~ MAIL FROM:\\n
        S: 250 2.1.0 Sender ok
        C~ RCPT TO:x1@xyz.com\\n
        S: 550 5.7.1 No relaying",
    );
}
