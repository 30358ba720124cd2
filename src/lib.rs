//! **Stagepost**: a mail relay appliance in one static binary. Every virtual domain speaks from its own
//! address, under its own name.
//!
//! # The floors
//!
//! A file uses only floors below its own, and its neighbours. Two rules anyone can grep: **`async` only in
//! [`tasks`] and [`daemon`]; system calls only in [`os`]**. All the rest is plain functions over bytes, time
//! values and one `Flash` trait, and is tested without sleeping, sockets or disks. `tests/tidy.rs` holds
//! the tree to this map.
//!
//! ```text
//! F0   limits  time  prng     bounds with their units; monotonic and wall time; seedable randomness
//! F1   mail/                  what a message is: addresses, envelope, header fields, composing, bounces
//! F2   smtp/                  sessions, server and client: bytes and time in, actions out
//!      spool/                 the append-only log, one for each domain
//!      dns/                   questions, answers, times to live, MX order
//!      config/                one grammar for the file and the console
//!      ntp/                   the time of day from servers, and what to do about the clock
//!      tls/                   certificates, and what is made of another host's
//!      net/                   wanted and actual addresses -> additions and removals
//!      firmware/              a signed update, piece by piece
//! F2b  relay/                 who may send; where it goes; when; what a reply means
//!      console/               keystrokes -> lines; one table of commands
//! F3   os/                    every system call: clock, sockets, NIC, files, terminal, process
//! F4   tasks/                 the event loop's tasks: async and thin
//! F5   cli  main  daemon      the command line; composition
//!      caller  tools          the user's end of the control socket; `check` and `spool`
//! ```

pub mod caller;
pub mod cli;
pub mod config;
pub mod console;
pub mod daemon;
pub mod dns;
pub mod firmware;
pub mod limits;
pub mod mail;
pub mod net;
pub mod ntp;
pub mod os;
pub mod prng;
pub mod relay;
pub mod smtp;
pub mod spool;
pub mod tasks;
pub mod time;
pub mod tls;
pub mod tools;
