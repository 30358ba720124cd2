//! The tasks of the event loop: async, and thin.

pub mod netlink;
pub mod nic;
pub mod resolve;
