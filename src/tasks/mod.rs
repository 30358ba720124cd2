//! The tasks of the event loop: async, and thin. Each carries bytes, times and outcomes between the system
//! and the floors below, where all decisions are made. One thread runs them all.
//!
//! ```text
//! listen -> session -> [office] -> committer -> (flusher thread)
//!                         |
//!                      sender -> connection -> line, targets -> resolve
//!                         `----> mailbox -> (flusher thread)
//! control -> shell, submission, editing -> settings, keys -> [office]        nic -> listen, [office]
//! listen, line -> stream -> certificates        line -> pieces, signing -> (a thread for a new RSA key)
//! ```

pub mod addresses;
pub mod answers;
mod authorities;
pub mod certificates;
pub mod clock;
pub mod committer;
pub mod connection;
pub mod control;
pub mod ear;
pub mod editing;
pub mod guest;
pub mod keys;
pub mod lease;
pub mod line;
pub mod link;
pub mod listen;
pub mod login;
pub mod machine;
pub mod mailbox;
pub mod mailboxes;
pub mod netlink;
pub mod nic;
pub mod notices;
pub mod operating;
pub mod paste;
pub mod pieces;
pub mod ping;
pub mod posts;
pub mod probe;
pub mod reset;
pub mod resolve;
pub mod sender;
pub mod serial;
pub mod session;
pub mod settings;
pub mod setup;
pub mod shell;
pub mod signing;
pub mod station;
pub mod stream;
pub mod submission;
pub mod syslog;
pub mod talk;
pub mod targets;
pub mod timer;
pub mod update;
pub mod watch;
pub mod wear;
