//! The console: keystrokes to lines, lines to commands, answers to text or JSON, and the frames that carry
//! both over the control socket. One table of commands feeds the parser, `help`, TAB and `?`.
//!
//! # The keys of JSON answers
//!
//! `--json` anywhere in a command makes its answer one object on one line. Keys keep their meaning; new ones
//! may be added. Times end in `_s` (seconds) or are RFC 3339 in UTC; sizes end in `_bytes`; what is not known
//! is `null`. A failure is `{"error": TEXT}`.
//!
//! ```text
//! show status    version name uptime_s time smtp_port sessions_in sessions_out domains_up domains_pending
//!                queued oldest_s accepted delivered bounced auth_failures memory_used_bytes
//!                memory_bound_bytes confinement alarms[]
//! show domains   domains[]: name addresses[] ehlo held queued oldest_s last_reply
//!                addresses[]: address state (up|pending) reason
//! show queue     queue[]: id domain from ("" is the null path) recipients[] size_bytes age_s attempts
//!                next_attempt_s held reason
//!                recipients[]: address state (pending|deferred|delivered|failed) reply
//! show message   the keys of one queue entry, and from_line arrived headers_bytes last_reply
//! show log       lines[]: time level (error|warn|info|debug|trace) text
//! show memory    parts[] used_bytes bound_bytes resident_bytes;  parts[]: name used_bytes bound_bytes
//! show config    statements[]
//! show dkim      domain selector making records[];  records[]: algorithm name value zone
//! show certificates  certificates[]: name kind (own|authority) subject not_after sha256 file trouble
//! export secrets statements[] carried[] (lines with keys and certificates)
//! show changes   changes[] (`- STATEMENT`, `+ STATEMENT`)
//! show history   history[]: number replaced statements
//! show crash     crash log[]
//! resolve        records[]
//! help           help[]: form help
//! queue ...      messages
//! the others     done
//! ```

pub mod answer;
pub mod carried;
pub mod certificates;
pub mod clock;
pub mod commands;
pub mod dkim;
pub mod exit;
pub mod first_boot;
pub mod flash;
pub mod help;
mod layout;
pub mod line_editor;
pub mod machine;
pub mod mailbox;
pub mod password;
pub mod report;
pub mod status;
pub mod wire;

pub use layout::{WIDTH_USUAL, clean};
