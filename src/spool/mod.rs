//! The spool: one append-only log of checksummed records for each domain, and the rule that nothing is
//! acknowledged before it is on flash and synced.
//! Sources: RFC 5321 §4.2.5 (what 250 after the final dot promises), Figure 5 (step 525).

mod append;
mod batch;
mod bytes;
mod commit;
mod damage;
mod domain_log;
mod envelope_text;
mod errors;
mod flash;
pub mod inspect;
mod meta;
mod reading;
mod record;
mod recovery;
mod segments;
mod settle;
mod state;
mod sweep;

#[cfg(test)]
pub(crate) mod sim;
#[cfg(test)]
mod tests;

pub use batch::{Batch, BatchError};
pub use damage::Damage;
pub use domain_log::DomainLog;
pub use errors::{SpoolError, Ticket, Wear};
pub use flash::{FileName, Flash, FlashError, Listed};
pub use meta::Meta;
pub use reading::Stored;
pub use recovery::{Recovered, Recovery};
pub use segments::Bounds;
pub use settle::{Durable, Failure};
pub use state::{RecipientState, State};
