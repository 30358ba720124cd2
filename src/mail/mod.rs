//! What a message is, as pure functions over bytes. Sources: RFC 5321 (paths), RFC 5322 (header fields),
//! RFC 3464 (reports), RFC 6376 (DKIM), Figures 1B, 2A-2D and 5.
//!
//! # What is promised
//!
//! - An address is parsed once, and two spellings of one address compare equal ([`address`]), its domain in
//!   U-labels or in A-labels ([`idn`]).
//! - A message that a user hands in is completed by insertions only; one that passes gets its trace line and
//!   keeps every other byte; bodies are never touched ([`mod@compose`], [`received`]).
//! - Nothing that came from outside breaks out of the field it is written into ([`words`], [`received`],
//!   [`bounce`]).
//! - A report is never made about mail from the null reverse-path ([`bounce`]).
//! - An id is given once, whatever the clock says ([`id`]).
//! - For a 7-bit host a part is re-encoded or the message is refused, never guessed at ([`recode`]).
//!
//! # A message's head on its way
//!
//! ```text
//! bytes -> headers::Gatherer -> compose() or pass() -> spool -> [recode] -> [dkim] -> the next host
//!                                                         \-> delivery_head() -> a mailbox here
//!                                                         \-> bounce::report() -> its sender's domain's queue
//! ```

pub mod address;
pub mod addresses;
pub mod bounce;
pub mod compose;
pub mod dkim;
pub mod encoding;
pub mod envelope;
pub mod headers;
pub mod id;
pub mod idn;
pub mod local_text;
pub mod mend;
pub mod note;
pub mod reading;
pub mod received;
pub mod recode;
pub mod words;

pub use address::{Address, AddressError, Domain, LocalPart, ReversePath};
pub use compose::{ComposeError, Composed, Facts, compose, delivery_head, mailbox_line, pass};
pub use envelope::{Body, Envelope, Notify, Recipient, Ret};
pub use id::{QueueId, QueueIds, message_id};
pub use received::{Protocol, Submitter, Trace};
