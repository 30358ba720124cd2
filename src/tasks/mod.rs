//! The tasks of the event loop: async, and thin.

pub mod resolve;
pub mod netlink;
pub mod nic;
