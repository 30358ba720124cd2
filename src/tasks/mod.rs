//! The tasks of the event loop: async, and thin.
