//! Which addresses the NIC should carry, and what to do about the difference. A domain's mail leaves only
//! from the domain's own address, so an address is either up, or pending with a reason that the operator
//! can act on. Sources: RFC 826 and RFC 5227 (ARP), RFC 4861 (neighbour advertisements).

pub mod alias_plan;
pub mod announce;

pub use alias_plan::{Actual, AddressState, Alias, Present, Role, Step, Wanted};
