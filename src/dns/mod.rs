//! DNS without I/O: a stub resolver's half that needs no socket (RFC 1035, 2308, 6891, 7505, RFC 5321 §5).
//!
//! A [`Question`] goes into a [`Lookup`], which says what to send to which nameserver, takes what comes back
//! and the passing of time, and ends in an [`Answer`]. A [`Cache`] keeps answers within bounds, and [`mx`]
//! turns MX records into the order in which hosts are tried.
//!
//! The distinction that matters for mail: [`Found::NxDomain`] and [`Found::NoData`] are facts and bounce a
//! message; [`Found::Failed`] is no fact and only ever defers it. A doubtful answer is always a failed try.
//!
//! ```text
//! Lookup:  ready -> waiting (one server, UDP) -> done
//!            ^        | cut off, or its question spelled otherwise -> waiting (same server, TCP)
//!            |        | alias without its target -> ready (next name, same server)
//!            +--------+ timeout, garbage, SERVFAIL, REFUSED -> next server; second round without extras
//! ```
//!
//! Guessing an answer means guessing the id, the source port and the case of the question's letters; over
//! TCP it means being on the path.

pub mod cache;
pub mod error;
pub mod lookup;
pub mod message;
pub mod mx;
pub mod record;
#[cfg(test)]
pub(crate) mod replies;

pub use cache::Cache;
pub use error::LookupError;
pub use lookup::{Lookup, Send, Step, Transport};
pub use message::{Query, Reply};
pub use mx::MailHost;
pub use record::{Answer, Found, Kind, Name, Question, Record};
