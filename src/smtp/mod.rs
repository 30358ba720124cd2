//! SMTP sessions, server and client, as state machines without I/O: bytes and time in, actions out.
//!
//! # What is promised
//!
//! - Only CRLF ends a line and only CRLF.CRLF ends a message, in both directions ([`line`], [`data`]). What
//!   we send never holds a bare CR or LF.
//! - The server gives exactly one reply to each command, in order, however the bytes are cut; a command that
//!   is refused changes nothing. It accepts nothing that the [`server::Desk`] has not let in, and says 250 to
//!   a message only with the words of [`server::Session::answer`].
//! - The client gives every recipient of a transaction one outcome. What was not decided when the connection
//!   ends is deferred, never delivered and never lost.
//! - Whatever comes, memory is bounded by `limits`, and every wait has a deadline.
//!
//! # The server's states
//!
//! ```text
//!                     EHLO, HELO                  resolved() or 5 s
//! (greeting) -> Idle ------------> Naming ---------------------------> Idle (greeted)
//!                 ^  MAIL              RCPT                 DATA
//!                 +-------> Mail(envelope) -> Mail(envelope) --> Data(message)
//!                 |                                | BDAT         |
//!                 |                                v              |
//!                 |            Chunks(message) <-> Chunk(message) | CRLF.CRLF
//!                 | RSET, EHLO, HELO |             | BDAT .. LAST |
//!                 +------------------+             v              v
//!                 |  faulty or too large           |              |
//!                 +--------------------------------+--------------+
//!                 |                answer()        |              | Action::Message
//!                 +--------------------------- Answering <--------+
//! any -> Closed     by QUIT, 421 (time, pace, errors, shutdown), or the client leaving
//! ```
//!
//! A chunk that nobody asked for goes by in Skip, and what was before goes on after it. STARTTLS leads from
//! Idle through Handshake to a session that knows nothing; AUTH leads from Idle through Auth, and Penalty
//! where it fails, back to Idle.
//! In Naming, Penalty and Answering no input is used: the driver keeps it, and TCP holds the client back.
//!
//! # The client's states
//!
//! ```text
//!             220, 250 (EHLO, or HELO after 5xx)          start()
//! Opening ----------------------------------------> Ready ------> Transaction
//!    | refused                                       ^ |             | Commands: MAIL, RCPT.., DATA
//!    v           Event::Finished                     | |             | Content:  content()
//! Quitting <--- quit() ------------------------------+-+             | Final:    end_of_content()
//!    |                                               +---------------+
//!    v 221, or 10 s
//! Closed            any -> Closed by 421, a fault, silence, or the server leaving
//! ```
//!
//! From Ready, STARTTLS leads through Securing and Handshake back to Opening, and AUTH through Authenticating
//! back to Ready.
//!
//! Replies are matched with the commands that they answer by a queue, so that pipelined commands need no
//! states of their own.
//!
//! Sources: RFC 5321 (all of it), RFC 2034 and 3463 (enhanced codes), RFC 2920 (PIPELINING), RFC 1870
//! (SIZE), RFC 6152 (8BITMIME), RFC 3461 (DSN), RFC 3030 (CHUNKING), RFC 6531 (SMTPUTF8), RFC 9422 (LIMITS),
//! RFC 3207 (STARTTLS), RFC 8689 (REQUIRETLS), RFC 4954 (AUTH),
//! Figures 1D, 2E and 3A.

pub mod client;
pub mod command;
pub mod data;
pub mod line;
pub mod outbox;
pub mod reply;
pub mod sasl;
#[cfg(test)]
mod script;
pub mod server;
#[cfg(test)]
mod wire;

pub use command::{Claimed, MailParameters};
pub use reply::{Enhanced, Reply};
