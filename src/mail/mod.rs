//! What a message is, as pure functions over bytes: addresses, the envelope, header fields, and the
//! messages that the house writes itself (bounces and delay notices).
//! Sources: RFC 5321 (paths), RFC 5322 (header fields), RFC 3464 (delivery status), Figures 1B and 5.

pub mod address;
pub mod addresses;
pub mod bounce;
pub mod compose;
pub mod dkim;
pub mod encoding;
pub mod envelope;
pub mod headers;
pub mod id;
pub mod mend;
pub mod received;
pub mod recode;
pub mod words;

pub use address::{Address, AddressError, Domain, LocalPart, ReversePath};
pub use compose::{ComposeError, Composed, Facts, compose, delivery_head, mailbox_line, pass};
pub use envelope::{Body, Envelope, Notify, Recipient, Ret};
pub use id::{QueueId, QueueIds, message_id};
pub use received::{Protocol, Submitter, Trace};
