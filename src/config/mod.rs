//! The configuration: one grammar, one parser and one printer for the file and the console.
//! A statement is a line; the order is free; what is printed parses back to the same model.

pub mod model;

pub use model::{
    BoxConfig, Config, Destination, DomainConfig, HostPort, IpLen, IpNet, Port, RetryPlan, Route,
};
