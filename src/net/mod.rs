//! Which addresses the NIC should carry, and what to do about the difference. A domain's mail leaves only
//! from the domain's own address, so an address is either up, or pending with a reason that the operator
//! can act on. And the small packets that are no mail: announcements, echoes, the log for a collector.
//! Sources: RFC 826 and RFC 5227 (ARP), RFC 4861 (neighbour advertisements), RFC 792, RFC 5424,
//! RFC 2131.

pub mod alias_plan;
pub mod announce;
pub mod conflict;
pub mod dhcp;
pub mod echo;
pub mod syslog;

pub use alias_plan::{Actual, AddressState, Alias, Check, Present, PresentRoad, Road, Role, Step, Wanted};
