//! The configuration: one grammar, one parser and one printer for the file and the console.
//! A statement is a line; the order is free; what is printed parses back to the same model.
//!
//! The road of a text: `words` parts a line, `grammar` finds its form in the table of `forms`, `argument`
//! reads each value, `text` builds the model, `check` refuses what contradicts itself. Errors are one line
//! each: what is wrong, and what would be right. What is saved is read by `saved`, which leaves out and keeps what
//! only a later version knows.

pub mod argument;
pub mod candidate;
mod check;
pub mod diff;
pub mod domains;
pub mod forms;
pub mod grammar;
pub mod model;
pub mod saved;
#[cfg(test)]
mod tests;
pub mod text;
pub mod words;

pub use domains::Domains;
pub use model::{
    BoxConfig, Carrier, CertificateSource, ClientLine, ClockDuty, Config, Destination, DomainConfig,
    HostPort, IpLen, IpNet, Login, Port, RetryPlan, Route, RouteLine, Service, SpoolMode, Syslog, Terms,
    TlsTerms, UserConfig,
};
pub use text::{Problem, Statement, parse, parse_statement, print, print_shown};
