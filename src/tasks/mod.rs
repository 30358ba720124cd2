//! The tasks of the event loop: async, and thin.

pub mod resolve;
