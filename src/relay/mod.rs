//! The relay: who may send ([`policy`]), where it goes ([`route`]), when ([`queue`], [`dispatch`]), and what
//! a reply means ([`judge`]). The [`Office`] ties them to the spool and keeps every message in exactly one
//! state:
//!
//! ```text
//!            store            commit durable        its time has come          all jobs reported
//! Composed ---------> Fresh -----------------> Waiting -----------------> Active ------------------> Gone
//!            (452/451: never here)                ^    \                    |    report stored first
//!                                                 |     `--> OnHold         |
//!                                                 `-------------------------' some recipient is deferred
//! ```
//!
//! Nothing here reads a clock, waits or touches a socket: the tasks bring in time and outcomes, and carry out
//! what the office asks for. Sources: Figures 5 and 6; RFC 5321 §3.6, §4.5.4, §5.

pub mod active;
pub mod agenda;
pub mod capacity;
pub mod departure;
pub mod desk;
pub mod dispatch;
pub mod guesses;
pub mod guests;
pub mod holding;
pub mod incoming;
pub mod intake;
pub mod judge;
pub mod mailboxes;
pub mod notices;
pub mod office;
pub mod operator;
pub mod policy;
pub mod posts;
pub mod queue;
pub mod recording;
pub mod route;
pub mod sending;
pub mod storing;

pub use active::{Body, Content};
pub use capacity::Capacity;
pub use departure::{Form, Measure};
pub use desk::FrontDesk;
pub use dispatch::{Job, LaneKey};
pub use guesses::Guesses;
pub use guests::{Doing, GuestId, Guests, Places, Shut};
pub use incoming::Incoming;
pub use judge::{Answer, Attempt, Host, Verdict};
pub use mailboxes::{Mailboxes, Stock};
pub use office::{Office, Outcome, Post};
pub use operator::{QueueAction, Target};
pub use policy::{Door, Share};
pub use route::NextHop;
pub use sending::LocalJob;
pub use storing::{Composed, Draft, Receipt, Safe};

#[cfg(test)]
mod tests;
