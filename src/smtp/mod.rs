//! SMTP sessions, server and client, as state machines without I/O: bytes and time in, actions out (RFC 5321).

pub mod client;
pub mod command;
pub mod data;
pub mod line;
pub mod outbox;
pub mod reply;
pub mod server;

pub use command::{Claimed, MailParameters};
pub use reply::{Enhanced, Reply};
